/* planner/graph/body.c: the attributes of a block, evaluated and checked against the fields of its
 * kind.
 *
 * In: nodes with positions, field tables. Out: one map of typed values. All faults of a body are
 * reported, each where it stands. See stack.h. */
#include <regex.h>
#include "planner/graph/stack.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"

static const char *const meta_keys[] = {"count",    "for_each",  "enabled",  "depends_on",
                                        "provider", "lifecycle", "timeouts", "provider_options"};

bool mio_is_meta_key(struct mio_str key)
{
    for (size_t i = 0; i < sizeof meta_keys / sizeof *meta_keys; i++)
        if (mio_str_is(key, meta_keys[i]))
            return true;
    return false;
}

struct body {
    struct mio_stack *st;
    const struct mio_scope *scope;
    struct mio_str address; /* "" for settings */
    enum mio_body_part part;
    bool top; /* meta keys are allowed here */
    bool failed;
    struct mio_err err; /* of the expression at hand: large, hence cleared once a body */
};

static void fault(struct body *b, struct mio_pos pos, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void fault(struct body *b, struct mio_pos pos, const char *hint, const char *fmt, ...)
{
    struct mio_err err = {.code = MIO_TEMPLATE, .pos = pos};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    if (hint)
        snprintf(err.hint, sizeof err.hint, "%s", hint);
    mio_err_address(&err, b->address);
    mio_diags_add(b->st->diags, MIO_ERROR, &err);
    b->failed = true;
}

static const char *type_name(enum mlops_type t)
{
    switch (t) {
    case MLOPS_STRING:
        return "a string";
    case MLOPS_NUMBER:
        return "a number";
    case MLOPS_INTEGER:
        return "a whole number";
    case MLOPS_BOOL:
        return "true or false";
    case MLOPS_LIST:
        return "a list";
    case MLOPS_MAP:
    case MLOPS_OBJECT:
        return "a map";
    case MLOPS_ANY:
        break;
    }
    return "a value";
}

static bool convert_to(struct mio_stack *st, enum mio_type type, struct mio_value *v)
{
    if (v->type == type)
        return true;
    struct mio_err err = {0};
    return (type == MIO_STRING   ? mio_to_string(st->arena, *v, v, &err)
            : type == MIO_NUMBER ? mio_to_number(st->arena, *v, v, &err)
                                 : mio_to_bool(*v, v, &err)) == MIO_OK;
}

static bool convert_scalar(struct mio_stack *st, const struct mio_field *f, struct mio_value *v)
{
    struct mio_value out = *v;
    int64_t n;
    bool ok = false;
    switch (f->type) {
    case MLOPS_STRING:
        ok = convert_to(st, MIO_STRING, &out);
        break;
    case MLOPS_NUMBER:
        ok = convert_to(st, MIO_NUMBER, &out);
        break;
    case MLOPS_INTEGER:
        ok = convert_to(st, MIO_NUMBER, &out) && mio_value_i64(out, &n);
        break;
    case MLOPS_BOOL:
        ok = convert_to(st, MIO_BOOL, &out);
        break;
    case MLOPS_LIST:
    case MLOPS_MAP:
    case MLOPS_OBJECT:
    case MLOPS_ANY:
        break;
    }
    if (ok)
        *v = out;
    return ok;
}

static bool is_allowed(const struct mio_field *f, struct mio_str text)
{
    for (size_t i = 0; i < f->nallowed; i++)
        if (f->flags & MLOPS_FOLD_CASE ? mio_str_ieq(f->allowed[i], text)
                                       : mio_str_eq(f->allowed[i], text))
            return true;
    return f->nallowed == 0;
}

static void check_allowed(struct body *b, const struct mio_field *f, struct mio_value v,
                          struct mio_pos pos)
{
    struct mio_str text = mio_value_str(v), near;
    MIO_AUTO_BUF list = {0};
    if (is_allowed(f, text))
        return;
    for (size_t i = 0; i < f->nallowed; i++)
        mio_buf_printf(&list, "%s%.*s", i ? ", " : "Allowed: ", MIO_FMT(f->allowed[i]));
    near = mio_str_nearest(text, f->allowed, f->nallowed);
    if (near.n)
        mio_buf_printf(&list, ". Did you mean %.*s?", MIO_FMT(near));
    fault(b, pos, list.p, "%.*s cannot be \"%.*s\"", MIO_FMT(f->name), MIO_FMT(text));
}

static void check_range(struct body *b, const struct mio_field *f, struct mio_value v,
                        struct mio_pos pos)
{
    struct mio_str n = mio_value_str(v);
    bool low = f->minimum.n && mio_number_cmp(n, f->minimum) < 0;
    bool high = f->maximum.n && mio_number_cmp(n, f->maximum) > 0;
    if (low || high)
        fault(b, pos, NULL, "%.*s must be %s %.*s%s%.*s", MIO_FMT(f->name),
              low ? "at least" : "at most", MIO_FMT(low ? f->minimum : f->maximum),
              f->unit.n ? " " : "", MIO_FMT(f->unit));
}

static void check_pattern(struct body *b, const struct mio_field *f, struct mio_value v,
                          struct mio_pos pos)
{
    regex_t re;
    char pattern[256], text[512];
    struct mio_str s = mio_value_str(v);
    if (f->pattern.n >= sizeof pattern || s.n >= sizeof text)
        return;
    memcpy(pattern, f->pattern.p, f->pattern.n);
    pattern[f->pattern.n] = '\0';
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return;
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fault(b, pos, NULL, "%.*s \"%s\" does not match %s", MIO_FMT(f->name), text, pattern);
    regfree(&re);
}

static void check_scalar(struct body *b, const struct mio_field *f, struct mio_value v,
                         struct mio_pos pos)
{
    int64_t seconds;
    if (f->nallowed && v.type == MIO_STRING)
        check_allowed(b, f, v, pos);
    if (v.type == MIO_NUMBER && (f->minimum.n || f->maximum.n))
        check_range(b, f, v, pos);
    if (v.type == MIO_STRING && f->pattern.n)
        check_pattern(b, f, v, pos);
    if ((f->flags & MLOPS_DURATION) && v.type == MIO_STRING &&
        !mio_duration_s(mio_value_str(v), &seconds))
        fault(b, pos, "Durations look like 90, 90s, 5m, 1h30m or PT5M.",
              "%.*s \"%.*s\" is no duration", MIO_FMT(f->name), MIO_FMT(mio_value_str(v)));
}

static bool fit(struct body *b, const struct mio_field *f, struct mio_value v, struct mio_pos pos,
                struct mio_value *out);

static bool fit_object(struct body *b, const struct mio_field *f, struct mio_value v,
                       struct mio_pos pos, struct mio_value *out);

static bool fit_children(struct body *b, const struct mio_field *f, struct mio_value v,
                         struct mio_pos pos, struct mio_value *out)
{
    bool ok = true;
    if (v.type == MIO_LIST) {
        struct mio_value *items = MIO_NEW_N(b->st->arena, struct mio_value, v.n);
        for (uint32_t i = 0; i < v.n; i++)
            ok &= f->element ? fit(b, f->element, v.items[i], pos, &items[i])
                             : (items[i] = v.items[i], true);
        *out = mio_list(items, v.n);
    } else {
        struct mio_pair *pairs = MIO_NEW_N(b->st->arena, struct mio_pair, v.n);
        for (uint32_t i = 0; i < v.n; i++) {
            pairs[i] = v.pairs[i];
            ok &= !f->element || fit(b, f->element, v.pairs[i].value, pos, &pairs[i].value);
        }
        *out = mio_map(pairs, v.n);
    }
    out->marks = v.marks;
    if (mio_is_sensitive(v))
        *out = mio_sensitive(*out);
    return ok;
}

/* A value that is there already (it came out of an expression) against a field. */
static bool fit(struct body *b, const struct mio_field *f, struct mio_value v, struct mio_pos pos,
                struct mio_value *out)
{
    *out = v;
    /* What stands in the state for a secret has the shape of a map and means whatever the field
     * wants. */
    bool mask = mio_is_sensitive(v) && mio_str_is(mio_get_str(v, "$mio"), "digest");
    if (v.type == MIO_UNKNOWN || v.type == MIO_NULL || mask || f->type == MLOPS_ANY)
        return true;
    if (f->type == MLOPS_OBJECT && v.type == MIO_MAP)
        return fit_object(b, f, v, pos, out);
    if ((f->type == MLOPS_LIST && v.type == MIO_LIST) ||
        (f->type == MLOPS_MAP && v.type == MIO_MAP))
        return fit_children(b, f, v, pos, out);
    bool scalar = v.type != MIO_LIST && v.type != MIO_MAP;
    if (!scalar || !convert_scalar(b->st, f, out)) {
        fault(b, pos, NULL, "%.*s must be %s, not %s %s%.*s%s", MIO_FMT(f->name),
              type_name(f->type), mio_type_name((enum mio_type)v.type), scalar ? "\"" : "",
              MIO_FMT(mio_is_sensitive(v) ? MIO_STR("(sensitive value)") : mio_value_str(v)),
              scalar ? "\"" : "");
        return false;
    }
    out->marks = v.marks;
    out->deep = v.deep;
    check_scalar(b, f, *out, pos);
    return true;
}

static void unknown_key(struct body *b, const struct mio_field *object, struct mio_str key,
                        struct mio_pos pos)
{
    const struct mio_field *known = mio_field_get(object, key);
    if (known) {
        fault(b, pos, "Remove it; refer to it elsewhere as an attribute of this resource.",
              "%.*s is set by the platform and cannot be given", MIO_FMT(key));
        return;
    }
    struct mio_str *names = MIO_NEW_N(b->st->arena, struct mio_str, object->nfields + 8);
    size_t n = 0;
    for (size_t i = 0; i < object->nfields; i++)
        if (mio_field_is_input(&object->fields[i]))
            names[n++] = object->fields[i].name;
    for (size_t i = 0; b->top && i < 8; i++)
        names[n++] = mio_str_z(meta_keys[i]);
    struct mio_str near = mio_str_nearest(key, names, n);
    MIO_AUTO_BUF hint = {0};
    if (near.n) {
        mio_buf_printf(&hint, "Did you mean %.*s?", MIO_FMT(near));
    } else {
        mio_buf_z(&hint, "Known keys: ");
        for (size_t i = 0; i < n && hint.n < 240; i++)
            mio_buf_printf(&hint, "%s%.*s", i ? ", " : "", MIO_FMT(names[i]));
    }
    fault(b, pos, hint.p, "unknown key \"%.*s\"", MIO_FMT(key));
}

static bool fit_object(struct body *b, const struct mio_field *f, struct mio_value v,
                       struct mio_pos pos, struct mio_value *out)
{
    struct mio_pair *pairs = MIO_NEW_N(b->st->arena, struct mio_pair, v.n + f->nfields + 1u);
    size_t n = 0;
    bool was_top = b->top, ok = true;
    b->top = false;
    for (uint32_t i = 0; i < v.n; i++) {
        const struct mio_field *child = mio_field_get(f, v.pairs[i].key);
        if (!child || !mio_field_is_input(child)) {
            unknown_key(b, f, v.pairs[i].key, pos);
            ok = false;
        } else if (v.pairs[i].value.type != MIO_NULL) {
            pairs[n].key = child->name;
            ok &= fit(b, child, v.pairs[i].value, pos, &pairs[n++].value);
        }
    }
    for (size_t i = 0; i < f->nfields; i++) {
        const struct mio_field *child = &f->fields[i];
        const struct mio_value *has = mio_get(v, child->name);
        if (has && has->type != MIO_NULL)
            continue;
        if (child->has_default)
            pairs[n++] = (struct mio_pair){child->name, child->dflt};
        else if (child->flags & MLOPS_REQUIRED)
            fault(b, pos, NULL, "%.*s is missing in %.*s", MIO_FMT(child->name), MIO_FMT(f->name));
    }
    b->top = was_top;
    *out = mio_map(pairs, n);
    if (mio_is_sensitive(v))
        *out = mio_sensitive(*out);
    return ok;
}

static bool node_field(struct body *b, const struct mio_field *f, const struct mio_node *n,
                       struct mio_value *out);

/* An expression's error, told where it stands. */
static bool evaluate(struct body *b, const struct mio_node *n, struct mio_value *out)
{
    if (!mio_node_eval(n, b->scope, out, &b->err))
        return true;
    mio_err_address(&b->err, b->address);
    mio_diags_add(b->st->diags, MIO_ERROR, &b->err);
    mio_err_clear(&b->err);
    b->failed = true;
    return false;
}

static bool scalar_field(struct body *b, const struct mio_field *f, const struct mio_node *n,
                         struct mio_value *out)
{
    /* `version: 1.10` under a string field is "1.10", whatever YAML makes of it */
    if (!n->expr && f->type == MLOPS_STRING && n->literal.type != MIO_NULL) {
        *out = mio_string(n->text);
        check_scalar(b, f, *out, n->pos);
        return true;
    }
    struct mio_value v = n->literal;
    return (!n->expr || evaluate(b, n, &v)) && fit(b, f, v, n->pos, out);
}

/* Body of an object written out in the template: every key has a position of its own. */
static bool node_object(struct body *b, const struct mio_field *f, const struct mio_node *n,
                        struct mio_value *out)
{
    struct mio_pair *pairs = mio_arena_alloc(b->st->arena, n->n * sizeof *pairs);
    size_t count = 0;
    bool top = b->top, ok = true;
    b->top = false;
    for (size_t i = 0; i < n->n; i++) {
        const struct mio_entry *e = &n->entries[i];
        const struct mio_field *child = mio_field_get(f, e->key);
        if (!child && top && mio_is_meta_key(e->key))
            continue;
        if (!child || !mio_field_is_input(child)) {
            b->top = top;
            unknown_key(b, f, e->key, e->key_pos);
            b->top = false;
            ok = false;
            continue;
        }
        if (top && ((child->flags & MLOPS_LATE) != 0) != (b->part == MIO_BODY_LATE))
            continue;
        struct mio_value v =
            mio_unknown(MIO_UNKNOWN); /* stands in for what is wrong: it is not missing too */
        ok &= node_field(b, child, e->value, &v);
        if (v.type != MIO_NULL)
            pairs[count++] = (struct mio_pair){child->name, v};
    }
    b->top = top;
    *out = mio_map(pairs, count);
    return ok;
}

static bool node_list(struct body *b, const struct mio_field *f, const struct mio_node *n,
                      struct mio_value *out)
{
    struct mio_value *items = MIO_NEW_N(b->st->arena, struct mio_value, n->n);
    bool ok = true;
    for (size_t i = 0; i < n->n; i++)
        ok &= node_field(b, f->element, n->items[i], &items[i]);
    *out = mio_list(items, n->n);
    return ok;
}

static bool node_map(struct body *b, const struct mio_field *f, const struct mio_node *n,
                     struct mio_value *out)
{
    struct mio_pair *pairs = MIO_NEW_N(b->st->arena, struct mio_pair, n->n);
    bool ok = true;
    for (size_t i = 0; i < n->n; i++) {
        pairs[i].key = n->entries[i].key;
        ok &= node_field(b, f->element, n->entries[i].value, &pairs[i].value);
    }
    *out = mio_map(pairs, n->n);
    return ok;
}

/* Defaults and required fields of a nested object written out in the template. */
static bool complete(struct body *b, const struct mio_field *f, struct mio_value *v,
                     struct mio_pos pos, struct mio_str fallback_name)
{
    struct mio_pair *more = NULL;
    size_t n = 0, cap = 0;
    bool ok = true;
    for (size_t i = 0; i < f->nfields; i++) {
        const struct mio_field *child = &f->fields[i];
        bool required = child->flags & MLOPS_REQUIRED;
        bool here = ((child->flags & MLOPS_LATE) != 0) == (b->part == MIO_BODY_LATE);
        if ((!child->has_default && !required) || (!here && b->top) || mio_get(*v, child->name))
            continue;
        if (child->has_default) {
            MIO_PUSH(b->st->arena, more, n, cap) = (struct mio_pair){child->name, child->dflt};
        } else if (fallback_name.n && mio_str_is(child->name, "name")) {
            MIO_PUSH(b->st->arena, more, n, cap) =
                (struct mio_pair){child->name, mio_string(fallback_name)};
        } else {
            MIO_AUTO_BUF hint = {0};
            mio_buf_printf(&hint, "Add `%.*s:`, %s%s%.*s", MIO_FMT(child->name),
                           type_name(child->type), child->doc.n ? ": " : ".", MIO_FMT(child->doc));
            fault(b, pos, hint.p, "the key \"%.*s\" is missing", MIO_FMT(child->name));
            ok = false;
        }
    }
    if (n)
        *v = mio_map_merge(b->st->arena, *v, mio_map(more, n));
    return ok;
}

static bool node_field(struct body *b, const struct mio_field *f, const struct mio_node *n,
                       struct mio_value *out)
{
    bool was_top = b->top;
    if (n->type == MIO_NODE_SCALAR)
        return scalar_field(b, f, n, out);
    if (f->type == MLOPS_OBJECT && n->type == MIO_NODE_MAP) {
        b->top = false;
        bool ok = node_object(b, f, n, out) && complete(b, f, out, n->pos, MIO_STR(""));
        b->top = was_top;
        return ok;
    }
    if (f->type == MLOPS_LIST && f->element && n->type == MIO_NODE_SEQ)
        return node_list(b, f, n, out);
    if (f->type == MLOPS_MAP && f->element && n->type == MIO_NODE_MAP)
        return node_map(b, f, n, out);
    struct mio_value v;
    return evaluate(b, n, &v) && fit(b, f, v, n->pos, out);
}

/* name: the block's, with the key of the instance when there is one. */
static struct mio_str default_name(struct mio_stack *st, const struct mio_inst *inst)
{
    struct mio_str name = inst->res->block->name;
    if (mio_is_null(inst->key))
        return name;
    return mio_arena_printf(st->arena, "%.*s-%.*s", MIO_FMT(name),
                            MIO_FMT(mio_value_str(inst->key)));
}

enum mio_code mio_body_eval(struct mio_stack *st, struct mio_inst *inst, enum mio_body_part part,
                            struct mio_value *out, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = inst->res->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    const struct mio_kind *kind = inst->res->kind;
    const struct mio_node *body = inst->res->block->body;
    struct body b = {
        .st = st, .scope = &scope, .address = inst->address, .part = part, .top = true};
    struct mio_inst *outer = st->self;
    st->self = inst;
    bool ok = body->type != MIO_NODE_MAP ? (*out = mio_map(NULL, 0), true)
                                         : node_object(&b, &kind->root, body, out);
    ok = complete(&b, &kind->root, out, inst->res->block->pos, default_name(st, inst)) && ok;
    st->self = outer;
    if (!ok || b.failed) {
        mio_fail(err, MIO_TEMPLATE, "%.*s has errors", MIO_FMT(inst->address));
        return MIO_TEMPLATE;
    }
    return MIO_OK;
}

enum mio_code mio_object_eval(struct mio_stack *st, struct mio_modinst *mod,
                              const struct mio_node *map, const struct mio_field *object,
                              struct mio_pos pos, const char *what, struct mio_value *out,
                              struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct body b = {.st = st, .scope = &scope, .address = MIO_STR(""), .part = MIO_BODY_MAIN};
    *out = mio_map(NULL, 0);
    bool ok = !map || map->type != MIO_NODE_MAP || node_object(&b, object, map, out);
    ok = complete(&b, object, out, pos, MIO_STR("")) && ok;
    return ok && !b.failed ? MIO_OK : mio_fail(err, MIO_TEMPLATE, "%s has errors", what);
}
