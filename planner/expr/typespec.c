/* planner/expr/typespec.c: type constraints: text to tree, and a value made to fit. */
#include "planner/expr/convert.h"
#include "planner/expr/parse.h"
#include "providers/sdk/buf.h"

/* ---- text to tree ---- */

static const struct {
    const char *name;
    enum type_kind kind;
    char args; /* 0 none, t a type, o an object's braces, b a tuple's brackets */
} TYPES[] = {
    {"any", T_ANY, 0},       {"bool", T_BOOL, 0},     {"number", T_NUMBER, 0},
    {"string", T_STRING, 0}, {"list", T_LIST, 't'},   {"set", T_SET, 't'},
    {"map", T_MAP, 't'},     {"tuple", T_TUPLE, 'b'}, {"object", T_OBJECT, 'o'},
};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static const struct mio_typespec *parse_type(struct parser *p);

/* optional(T) or optional(T, default) */
static bool parse_optional(struct parser *p, struct type_field *f)
{
    mio_parser_next(p);
    f->optional = true;
    if (!mio_parser_expect(p, '(', "\"(\"") || !(f->type = parse_type(p)))
        return false;
    if (mio_parser_accept(p, ',')) {
        const struct mio_expr *e = mio_parse_expr(p);
        struct mio_scope scope = {.arena = p->a, .pure = true};
        struct mio_err err = {0};
        if (!e)
            return false;
        if (mio_expr_eval(e, &scope, &f->value, &err) ||
            mio_typespec_convert(p->a, f->type, f->value, &f->value, &err)) {
            mio_err_at(&err, e->pos);
            mio_err_wrap(&err, "default of %.*s", MIO_FMT(f->name));
            mio_diags_add(p->diags, MIO_ERROR, &err);
            return false;
        }
        f->has_default = true;
    }
    return mio_parser_expect(p, ')', "\")\"");
}

static int by_field_name(const void *a, const void *b)
{
    return mio_str_cmp(((const struct type_field *)a)->name, ((const struct type_field *)b)->name);
}

static bool parse_field(struct parser *p, struct type_field *f)
{
    struct token t = mio_parser_peek(p);
    if (t.kind == TOK_QUOTE) {
        const struct mio_expr *e = (mio_parser_next(p), mio_parse_template(p, TEMPLATE_QUOTED));
        if (!e || e->kind != NODE_LITERAL)
            return false;
        f->name = mio_value_str(e->literal);
    } else if (mio_parser_expect(p, TOK_IDENT, "the name of an attribute")) {
        f->name = mio_token_str(t);
    } else {
        return false;
    }
    if (!mio_parser_accept(p, ':') && !mio_parser_expect(p, '=', "\"=\" and a type"))
        return false;
    if (mio_parser_word(p, "optional"))
        return parse_optional(p, f);
    f->type = parse_type(p);
    return f->type;
}

static bool parse_fields(struct parser *p, struct mio_typespec *t)
{
    struct type_field *fields = NULL;
    size_t n = 0, cap = 0;
    if (!mio_parser_expect(p, '{', "\"{\""))
        return false;
    while (!mio_parser_accept(p, '}')) {
        struct token at = mio_parser_peek(p);
        struct type_field f = {0};
        if (!parse_field(p, &f))
            return false;
        for (size_t i = 0; i < n; i++)
            if (mio_str_eq(fields[i].name, f.name))
                return mio_parser_fail(p, at.start, at.end, NULL, "attribute %.*s is there twice",
                                       MIO_FMT(f.name));
        MIO_PUSH(p->a, fields, n, cap) = f;
        mio_parser_accept(p, ','); /* a line break will do as well */
    }
    if (n)
        qsort(fields, n, sizeof *fields, by_field_name);
    t->fields = fields;
    t->n = (uint32_t)n;
    return true;
}

static bool parse_elements(struct parser *p, struct mio_typespec *t)
{
    struct type_field *fields = NULL;
    size_t n = 0, cap = 0;
    if (!mio_parser_expect(p, '[', "\"[\""))
        return false;
    while (!mio_parser_accept(p, ']')) {
        struct type_field f = {.type = parse_type(p)};
        if (!f.type)
            return false;
        MIO_PUSH(p->a, fields, n, cap) = f;
        if (!mio_parser_accept(p, ',') && mio_parser_peek(p).kind != ']')
            return mio_parser_expect(p, ']', "\",\" or \"]\"");
    }
    t->fields = fields;
    t->n = (uint32_t)n;
    return true;
}

static void *unknown_type(struct parser *p, struct token t)
{
    struct mio_str names[TYPE_COUNT];
    for (size_t i = 0; i < TYPE_COUNT; i++)
        names[i] = mio_str_z(TYPES[i].name);
    struct mio_str near = mio_str_nearest(mio_token_str(t), names, TYPE_COUNT);
    char hint[120] = "types are string, number, bool, any, list(T), set(T), map(T), object({}), "
                     "tuple([])";
    if (near.n)
        snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", MIO_FMT(near));
    return mio_parser_fail(p, t.start, t.end, hint, "there is no type \"%.*s\"",
                           t.end - t.start > 40 ? 40 : (int)(t.end - t.start), t.start);
}

static const struct mio_typespec *parse_type(struct parser *p)
{
    struct token t = mio_parser_peek(p);
    struct mio_typespec *type = MIO_NEW(p->a, struct mio_typespec);
    size_t i = 0;
    while (i < TYPE_COUNT && !mio_parser_word(p, TYPES[i].name))
        i++;
    if (i == TYPE_COUNT)
        return unknown_type(p, t);
    mio_parser_next(p);
    type->kind = TYPES[i].kind;
    if (!TYPES[i].args)
        return type;
    if (TYPES[i].args == 't' && mio_parser_peek(p).kind != '(') { /* list alone is list(any) */
        type->elem = MIO_NEW(p->a, struct mio_typespec);
        return type;
    }
    if (p->nest++ >= EXPR_MAX_NEST)
        return mio_parser_fail(p, t.start, t.end, NULL, "the type is nested more than %d deep",
                               EXPR_MAX_NEST);
    bool ok = mio_parser_expect(p, '(', "\"(\"");
    if (ok && TYPES[i].args == 't')
        ok = (type->elem = parse_type(p));
    else if (ok)
        ok = TYPES[i].args == 'o' ? parse_fields(p, type) : parse_elements(p, type);
    p->nest--;
    return ok && mio_parser_expect(p, ')', "\")\"") ? type : NULL;
}

const struct mio_typespec *mio_typespec_parse(struct mio_arena *a, struct mio_str text,
                                              struct mio_pos at, struct mio_diags *diags)
{
    struct parser p;
    size_t before = diags->errors;
    mio_parser_init(&p, a, text, at, diags);
    const struct mio_typespec *t = mio_parser_text_ok(&p) ? parse_type(&p) : NULL;
    if (t)
        mio_parser_expect(&p, TOK_END, "the end of the type");
    return diags->errors == before ? t : NULL;
}

/* ---- value to type ---- */

/* Where we are inside the value, for errors. */
struct path {
    const struct path *up;
    struct mio_str key; /* empty: the index */
    uint32_t index;
};

static void put_path(struct mio_buf *b, const struct path *p)
{
    if (!p)
        return;
    put_path(b, p->up);
    if (p->key.p)
        mio_buf_printf(b, "%s%.*s", p->up ? "." : "", MIO_FMT(p->key));
    else
        mio_buf_printf(b, "[%u]", p->index);
}

static enum mio_code misfit(const struct path *path, struct mio_err *err, const char *message)
{
    MIO_AUTO_BUF where;
    mio_buf_init(&where, 200);
    put_path(&where, path);
    return mio_fail(err, MIO_TEMPLATE, "%.*s%s%s", (int)where.n, where.n ? where.p : "",
                    where.n ? ": " : "", message);
}

static enum mio_code misfit_type(struct mio_arena *a, const struct mio_typespec *t,
                                 struct mio_value v, const struct path *path, struct mio_err *err)
{
    struct mio_str name = mio_typespec_name(a, t);
    struct mio_str text = mio_arena_printf(a, "%.*s is required, this is a %s", MIO_FMT(name),
                                           mio_type_name((enum mio_type)v.type));
    return misfit(path, err, text.p);
}

static enum mio_code fit(struct mio_arena *a, const struct mio_typespec *t, struct mio_value v,
                         const struct path *path, struct mio_value *out, struct mio_err *err);

static enum mio_type shape(enum type_kind kind)
{
    static const enum mio_type SHAPES[] = {
        [T_ANY] = MIO_UNKNOWN,   [T_BOOL] = MIO_BOOL,  [T_NUMBER] = MIO_NUMBER,
        [T_STRING] = MIO_STRING, [T_LIST] = MIO_LIST,  [T_SET] = MIO_LIST,
        [T_MAP] = MIO_MAP,       [T_TUPLE] = MIO_LIST, [T_OBJECT] = MIO_MAP,
    };
    return SHAPES[kind];
}

static enum mio_code fit_scalar(struct mio_arena *a, const struct mio_typespec *t,
                                struct mio_value v, const struct path *path, struct mio_value *out,
                                struct mio_err *err)
{
    struct mio_err why = {0};
    enum mio_code code = t->kind == T_STRING   ? mio_to_string(a, v, out, &why)
                         : t->kind == T_NUMBER ? mio_to_number(a, v, out, &why)
                                               : mio_to_bool(v, out, &why);
    if (!code)
        return MIO_OK;
    misfit(path, err, why.message);
    return *why.hint ? mio_err_hint(err, "%s", why.hint) : err->code;
}

/* Is there an `any` in it, which must become the same for all elements? */
static bool is_open(const struct mio_typespec *t)
{
    if (t->kind == T_ANY || t->elem)
        return t->kind == T_ANY || is_open(t->elem);
    for (uint32_t i = 0; t->fields && i < t->n; i++)
        if (is_open(t->fields[i].type))
            return true;
    return false;
}

static enum mio_code fit_list(struct mio_arena *a, const struct mio_typespec *t, struct mio_value v,
                              const struct path *path, struct mio_value *out, struct mio_err *err)
{
    if (v.type != MIO_LIST)
        return misfit_type(a, t, v, path, err);
    if (t->kind == T_TUPLE && v.n != t->n)
        return misfit(path, err,
                      mio_arena_printf(a, "%u elements are required, there are %u", t->n, v.n).p);
    struct mio_value *items = mio_arena_alloc(a, v.n * sizeof *items);
    for (uint32_t i = 0; i < v.n; i++) {
        struct path here = {.up = path, .index = i};
        const struct mio_typespec *elem = t->kind == T_TUPLE ? t->fields[i].type : t->elem;
        enum mio_code code = fit(a, elem, v.items[i], &here, &items[i], err);
        if (code)
            return code;
    }
    if (t->kind != T_TUPLE && is_open(t->elem) && !mio_unify_values(a, items, v.n))
        return misfit(path, err, "the elements must all have one type");
    *out = t->kind == T_SET ? mio_make_set(a, items, v.n) : mio_list(items, v.n);
    return MIO_OK;
}

static enum mio_code fit_map(struct mio_arena *a, const struct mio_typespec *t, struct mio_value v,
                             const struct path *path, struct mio_value *out, struct mio_err *err)
{
    if (v.type != MIO_MAP)
        return misfit_type(a, t, v, path, err);
    struct mio_pair *pairs = mio_arena_alloc(a, v.n * sizeof *pairs);
    struct mio_value *items = mio_arena_alloc(a, v.n * sizeof *items);
    for (uint32_t i = 0; i < v.n; i++) {
        struct path here = {.up = path, .key = v.pairs[i].key};
        enum mio_code code = fit(a, t->elem, v.pairs[i].value, &here, &items[i], err);
        if (code)
            return code;
    }
    if (is_open(t->elem) && !mio_unify_values(a, items, v.n))
        return misfit(path, err, "the elements must all have one type");
    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct mio_pair){v.pairs[i].key, items[i]};
    *out = mio_map(pairs, v.n);
    return MIO_OK;
}

/* Attributes that the type does not name are left out, as in Terraform. */
static enum mio_code fit_object(struct mio_arena *a, const struct mio_typespec *t,
                                struct mio_value v, const struct path *path, struct mio_value *out,
                                struct mio_err *err)
{
    if (v.type != MIO_MAP)
        return misfit_type(a, t, v, path, err);
    struct mio_pair *pairs = mio_arena_alloc(a, t->n * sizeof *pairs);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct type_field *f = &t->fields[i];
        const struct mio_value *given = mio_get(v, f->name);
        struct path here = {.up = path, .key = f->name};
        pairs[i].key = f->name;
        if (!given && !f->optional)
            return misfit(
                path, err,
                mio_arena_printf(a, "attribute \"%.*s\" is required", MIO_FMT(f->name)).p);
        if (!given || (given->type == MIO_NULL && f->has_default)) {
            pairs[i].value = f->has_default ? f->value : mio_null();
            continue;
        }
        enum mio_code code = fit(a, f->type, *given, &here, &pairs[i].value, err);
        if (code)
            return code;
    }
    *out = mio_map(pairs, t->n);
    return MIO_OK;
}

static enum mio_code fit(struct mio_arena *a, const struct mio_typespec *t, struct mio_value v,
                         const struct path *path, struct mio_value *out, struct mio_err *err)
{
    enum mio_code code = MIO_OK;
    if (t->kind == T_ANY || v.type == MIO_NULL) {
        *out = v;
        return MIO_OK;
    }
    struct mio_value made = mio_unknown(shape(t->kind));
    bool scalar = v.hint >= MIO_BOOL && v.hint <= MIO_STRING;
    if (v.type == MIO_UNKNOWN && v.hint != MIO_UNKNOWN && v.hint != (uint8_t)made.hint &&
        !(scalar && t->kind <= T_STRING)) {
        code = misfit(path, err,
                      mio_arena_printf(a, "a %s is required, this will be a %s",
                                       mio_type_name((enum mio_type)made.hint),
                                       mio_type_name((enum mio_type)v.hint))
                          .p);
    } else if (v.type != MIO_UNKNOWN) {
        if (t->kind <= T_STRING)
            code = fit_scalar(a, t, v, path, &made, err);
        else if (t->kind == T_MAP)
            code = fit_map(a, t, v, path, &made, err);
        else if (t->kind == T_OBJECT)
            code = fit_object(a, t, v, path, &made, err);
        else
            code = fit_list(a, t, v, path, &made, err);
    }
    if (code && mio_is_sensitive(v)) {
        mio_err_clear(err); /* it may quote what is inside */
        return misfit(path, err, "this sensitive value does not fit the type");
    }
    if (!code)
        *out = mio_is_sensitive(v) ? mio_sensitive(made) : made;
    return code;
}

enum mio_code mio_typespec_convert(struct mio_arena *a, const struct mio_typespec *t,
                                   struct mio_value v, struct mio_value *out, struct mio_err *err)
{
    return fit(a, t, v, NULL, out, err);
}

/* ---- tree to text ---- */

static void put_type(struct mio_buf *b, const struct mio_typespec *t)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (TYPES[i].kind == t->kind)
            mio_buf_z(b, TYPES[i].name);
    if (t->kind <= T_STRING)
        return;
    mio_buf_z(b, t->kind == T_OBJECT ? "({" : t->kind == T_TUPLE ? "([" : "(");
    if (t->elem)
        put_type(b, t->elem);
    for (uint32_t i = 0; !t->elem && i < t->n; i++) {
        mio_buf_z(b, i ? ", " : "");
        if (t->kind == T_OBJECT)
            mio_buf_printf(b, "%.*s=%s", MIO_FMT(t->fields[i].name),
                           t->fields[i].optional ? "optional(" : "");
        put_type(b, t->fields[i].type);
        mio_buf_z(b, t->fields[i].optional ? ")" : "");
    }
    mio_buf_z(b, t->kind == T_OBJECT ? "})" : t->kind == T_TUPLE ? "])" : ")");
}

struct mio_str mio_typespec_name(struct mio_arena *a, const struct mio_typespec *t)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    put_type(&b, t);
    return mio_arena_str(a, mio_buf_view(&b));
}
