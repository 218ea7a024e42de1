/* planner/expr/eval.c: tree to value: dispatch, references, indexing, brackets and templates. */
#include "planner/expr/eval.h"
#include "planner/expr/convert.h"
#include "providers/sdk/json.h"
#include "planner/expr/func.h"
#include <stdarg.h>

enum mio_code mio_eval_fail(struct evaluator *ev, const struct mio_expr *e, const char *hint,
                            const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char message[400];
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    mio_fail(ev->err, MIO_TEMPLATE, "%s", message);
    if (hint)
        mio_err_hint(ev->err, "%s", hint);
    return mio_err_at(ev->err, e->pos);
}

enum mio_code mio_eval_budget(struct evaluator *ev, const struct mio_expr *e)
{
    if (ev->a->total - ev->start <= MIO_MAX_BYTES)
        return MIO_OK;
    return mio_eval_fail(ev, e, "make less of it, or compute it outside of the template",
                         "this expression makes more than %d MiB", MIO_MAX_BYTES >> 20);
}

enum mio_code mio_eval_too_long(struct evaluator *ev, const struct mio_expr *e)
{
    return mio_eval_fail(ev, e, "make less of it, or compute it outside of the template",
                         "the text would be longer than %d MiB", MIO_MAX_TEXT >> 20);
}

struct mio_value mio_mark_like(struct mio_value v, struct mio_value from)
{
    return mio_is_sensitive(from) ? mio_sensitive(v) : v;
}

struct mio_value mio_element(struct mio_value coll, uint32_t i)
{
    return coll.type == MIO_MAP ? coll.pairs[i].value : coll.items[i];
}

struct mio_value mio_element_key(struct mio_arena *a, struct mio_value coll, uint32_t i)
{
    if (coll.type == MIO_MAP)
        return mio_string(coll.pairs[i].key);
    return coll.marks & MIO_MARK_SET ? coll.items[i] : mio_number_i64(a, i);
}

/* ---- indexing ---- */

static enum mio_code no_such_key(struct evaluator *ev, const struct mio_expr *e,
                                 struct mio_value map, struct mio_str key)
{
    struct mio_str *names = MIO_NEW_N(ev->a, struct mio_str, map.n + 1);
    for (uint32_t i = 0; i < map.n; i++)
        names[i] = map.pairs[i].key;
    struct mio_str near = mio_str_nearest(key, names, map.n);
    char hint[200] = "";
    if (near.n)
        snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", MIO_FMT(near));
    else if (!map.n)
        snprintf(hint, sizeof hint, "the map is empty");
    else
        snprintf(hint, sizeof hint, "it has %.*s%s", MIO_FMT(names[0]), map.n > 1 ? ", ..." : "");
    return mio_eval_fail(ev, e, hint, "there is no attribute or key \"%.*s\"",
                         key.n > 80 ? 80 : (int)key.n, key.p);
}

static enum mio_code index_map(struct evaluator *ev, const struct mio_expr *e, struct mio_value map,
                               struct mio_value key, struct mio_value *out)
{
    if (mio_to_string(ev->a, key, &key, ev->err))
        return mio_err_at(ev->err, e->pos);
    const struct mio_value *v = mio_get(map, mio_value_str(key));
    if (!v)
        return no_such_key(ev, e, map, mio_value_str(key));
    *out = *v;
    return MIO_OK;
}

static enum mio_code index_list(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value list, struct mio_value key, struct mio_value *out)
{
    struct mio_err err = {0};
    struct mio_value number;
    struct mio_str word = mio_value_str(key);
    int64_t i = -1;
    if (list.marks & MIO_MARK_SET)
        return mio_eval_fail(ev, e, "a set has no order: use one(...) or tolist(...)[...]",
                             "the elements of a set have no index");
    if (mio_to_number(ev->a, key, &number, &err))
        return mio_eval_fail(ev, e, "use [*] for all elements or [0] for the first",
                             "a list is indexed by numbers and has no attribute \"%.*s\"",
                             word.n > 80 ? 80 : (int)word.n, word.p);
    if (!mio_value_i64(number, &i))
        return mio_eval_fail(ev, e, NULL, "the index %.*s is no whole number",
                             MIO_FMT(mio_value_str(number)));
    if (i < 0 || i >= (int64_t)list.n)
        return mio_eval_fail(ev, e, "indexes count from 0; element() wraps around",
                             "the index %lld is outside a list of %u", (long long)i, list.n);
    *out = list.items[i];
    return MIO_OK;
}

enum mio_code mio_eval_index(struct evaluator *ev, const struct mio_expr *e, struct mio_value coll,
                             struct mio_value key, struct mio_value *out)
{
    struct mio_value v = mio_unknown(MIO_UNKNOWN);
    if (coll.type == MIO_NULL)
        return mio_eval_fail(ev, e, "guard it with try() or a condition",
                             "this value is null and has no elements");
    if (key.type == MIO_NULL)
        return mio_eval_fail(ev, e, NULL, "the index is null");
    enum mio_type will = mio_future_type(coll);
    if (will >= MIO_BOOL && will <= MIO_STRING)
        return mio_eval_fail(ev, e, NULL, "a %s has no elements or attributes",
                             mio_type_name(will));
    if (coll.type != MIO_UNKNOWN && key.type != MIO_UNKNOWN) {
        enum mio_code code = coll.type == MIO_MAP ? index_map(ev, e, coll, key, &v)
                                                  : index_list(ev, e, coll, key, &v);
        if (code && (mio_is_sensitive(coll) || mio_is_sensitive(key))) {
            mio_err_clear(ev->err); /* it names keys */
            return mio_eval_fail(ev, e, NULL, "a sensitive value has no such element");
        }
        if (code)
            return code;
    }
    *out = mio_mark_like(mio_mark_like(v, coll), key);
    return MIO_OK;
}

static enum mio_code eval_index(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value *out)
{
    struct mio_value base, key;
    enum mio_code code = mio_eval(ev, e->index.base, &base);
    if (!code)
        code = mio_eval(ev, e->index.key, &key);
    return code ? code : mio_eval_index(ev, e, base, key, out);
}

/* ---- names ---- */

static enum mio_code eval_steps(struct evaluator *ev, const struct mio_expr *e, struct mio_ref *ref)
{
    struct mio_ref_step *steps = mio_arena_alloc(ev->a, ref->n * sizeof *steps);
    for (size_t i = 0; i < ref->n; i++) {
        steps[i] = ref->steps[i];
        if (steps[i].known)
            continue;
        enum mio_code code = mio_eval(ev, e->ref.index[i], &steps[i].value);
        if (code)
            return code;
        steps[i].known = steps[i].value.type != MIO_UNKNOWN;
    }
    ref->steps = steps;
    return MIO_OK;
}

static enum mio_code eval_ref(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    struct mio_ref ref = mio_expr_ref(e);
    if (e->ref.index && eval_steps(ev, e, &ref))
        return ev->err->code;
    if (!ev->scope->lookup)
        return mio_eval_fail(ev, e, NULL, "there is nothing to refer to here: \"%.*s\"",
                             MIO_FMT(ref.root));
    struct mio_value v;
    size_t used = 0;
    size_t before = ev->a->total;
    enum mio_code code = ev->scope->lookup(ev->scope->arg, &ref, &v, &used, ev->err);
    ev->start += ev->a->total - before; /* theirs */
    if (code) {
        mio_err_at(ev->err, e->pos);
        return code;
    }
    for (; !code && used < ref.n; used++)
        code = mio_eval_index(ev, e, v, ref.steps[used].value, &v);
    if (!code)
        *out = v;
    return code;
}

static struct mio_value local_value(const struct evaluator *ev, uint32_t up)
{
    const struct frame *f = ev->frames;
    while (up--)
        f = f->up;
    return f->value;
}

/* ---- lists, objects, splats ---- */

static enum mio_code eval_list(struct evaluator *ev, const struct mio_expr *e,
                               struct mio_value *out)
{
    struct mio_value *items = mio_arena_alloc(ev->a, e->list.n * sizeof *items);
    for (size_t i = 0; i < e->list.n; i++) {
        enum mio_code code = mio_eval(ev, e->list.items[i], &items[i]);
        if (code)
            return code;
    }
    *out = mio_list(items, e->list.n);
    return MIO_OK;
}

static enum mio_code eval_object(struct evaluator *ev, const struct mio_expr *e,
                                 struct mio_value *out)
{
    struct mio_pair *pairs = mio_arena_alloc(ev->a, e->object.n * sizeof *pairs);
    bool unknown = false, sensitive = false;
    for (size_t i = 0; i < e->object.n; i++) {
        struct mio_value key;
        enum mio_code code = mio_eval(ev, e->object.items[i].key, &key);
        if (!code)
            code = mio_eval(ev, e->object.items[i].value, &pairs[i].value);
        if (code)
            return code;
        if (key.type == MIO_NULL)
            return mio_eval_fail(ev, e->object.items[i].key, NULL, "the key of an object is null");
        if (mio_to_string(ev->a, key, &key, ev->err))
            return mio_err_at(ev->err, e->object.items[i].key->pos);
        unknown |= key.type == MIO_UNKNOWN;
        sensitive |= mio_is_sensitive(key);
        pairs[i].key = mio_value_str(key);
    }
    struct mio_value v = unknown ? mio_unknown(MIO_MAP) : mio_map(pairs, e->object.n);
    *out = sensitive ? mio_sensitive(v) : v;
    return MIO_OK;
}

static enum mio_code eval_splat(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value *out)
{
    struct mio_value base;
    enum mio_code code = mio_eval(ev, e->splat.base, &base);
    if (code)
        return code;
    if (base.type == MIO_UNKNOWN && (base.hint == MIO_UNKNOWN || base.hint == MIO_LIST)) {
        *out = mio_mark_like(mio_unknown(MIO_LIST), base);
        return MIO_OK;
    }
    bool list =
        base.type == MIO_LIST; /* anything else counts as a list of one, null as one of none */
    uint32_t n = list ? base.n : base.type != MIO_NULL;
    struct mio_value *items = mio_arena_alloc(ev->a, n * sizeof *items);
    struct frame frame = {.up = ev->frames};
    ev->frames = &frame;
    for (uint32_t i = 0; !code && i < n; i++) {
        frame.value = list ? base.items[i] : base;
        code = mio_eval(ev, e->splat.each, &items[i]);
    }
    ev->frames = frame.up;
    if (!code)
        *out = mio_mark_like(mio_list(items, n), base);
    return code;
}

/* ---- templates ---- */

static enum mio_code part_text(struct evaluator *ev, const struct mio_expr *part,
                               struct mio_value *v)
{
    enum mio_code code = mio_eval(ev, part, v);
    if (code || v->type == MIO_STRING)
        return code;
    if (v->type == MIO_NULL)
        return mio_eval_fail(ev, part, "guard it: coalesce(x, \"\")",
                             "a null cannot be part of a string");
    if (mio_is_masked(*v))
        return mio_eval_fail(ev, part, MIO_MASKED_HINT, MIO_MASKED);
    if (v->type == MIO_LIST || v->type == MIO_MAP)
        return mio_eval_fail(ev, part, "use join(), jsonencode() or a %{for}",
                             "a %s cannot be part of a string",
                             mio_type_name((enum mio_type)v->type));
    return mio_to_string(ev->a, *v, v, ev->err);
}

static enum mio_code eval_template(struct evaluator *ev, const struct mio_expr *e,
                                   struct mio_value *out)
{
    enum { FEW = 8 };
    struct mio_value few[FEW];
    struct mio_value *parts =
        e->list.n <= FEW ? few : mio_arena_alloc(ev->a, e->list.n * sizeof *parts);
    bool unknown = false, sensitive = false;
    size_t n = 0;
    for (size_t i = 0; i < e->list.n; i++) {
        enum mio_code code = part_text(ev, e->list.items[i], &parts[i]);
        if (code)
            return code;
        unknown |= parts[i].type == MIO_UNKNOWN;
        sensitive |= mio_is_sensitive(parts[i]);
        n += parts[i].type == MIO_STRING ? parts[i].n : 0;
    }
    struct mio_value v = mio_unknown(MIO_STRING);
    if (n > MIO_MAX_TEXT)
        return mio_eval_too_long(ev, e);
    if (!unknown) {
        char *text = mio_arena_alloc(ev->a, n + 1), *to = text;
        for (size_t i = 0; i < e->list.n; i++) {
            memcpy(to, parts[i].s, parts[i].n);
            to += parts[i].n;
        }
        *to = 0;
        v = mio_string((struct mio_str){text, n});
    }
    *out = sensitive ? mio_sensitive(v) : v;
    return MIO_OK;
}

/* ---- dispatch ---- */

static enum mio_code dispatch(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    switch ((enum node_kind)e->kind) {
    case NODE_LITERAL:
        *out = e->literal;
        return MIO_OK;
    case NODE_LOCAL:
        *out = local_value(ev, e->local.up);
        return MIO_OK;
    case NODE_PAREN:
        return mio_eval(ev, e->op3.a, out);
    case NODE_REF:
        return eval_ref(ev, e, out);
    case NODE_INDEX:
        return eval_index(ev, e, out);
    case NODE_SPLAT:
        return eval_splat(ev, e, out);
    case NODE_LIST:
        return eval_list(ev, e, out);
    case NODE_OBJECT:
        return eval_object(ev, e, out);
    case NODE_TEMPLATE:
        return eval_template(ev, e, out);
    case NODE_UNARY:
    case NODE_BINARY:
        return mio_eval_op(ev, e, out);
    case NODE_COND:
        return mio_eval_cond(ev, e, out);
    case NODE_FOR:
        return mio_eval_for(ev, e, out);
    case NODE_CALL:
        return mio_eval_call(ev, e, out);
    }
    return mio_fail(ev->err, MIO_BUG, "a node of kind %d", e->kind);
}

enum mio_code mio_eval(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    enum mio_code code = dispatch(ev, e, out);
    return code ? code : mio_eval_budget(ev, e);
}

enum mio_code mio_expr_eval(const struct mio_expr *e, const struct mio_scope *scope,
                            struct mio_value *out, struct mio_err *err)
{
    struct evaluator ev = {
        .scope = scope, .a = scope->arena, .err = err, .start = scope->arena->total};
    struct mio_value v;
    enum mio_code code = mio_eval(&ev, e, &v);
    if (!code)
        *out = v;
    return code;
}
