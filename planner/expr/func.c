/* planner/expr/func.c: the function table and the way into a function. */
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include <stdarg.h>

/* Two views of the same rows, in the same order (sorted by name). */
#define FUNCTION(name_, params_, returns_, flags_, signature_, help_, example_, result_) \
    {.name = #name_,                                                                     \
     .impl = mio_fn_##name_,                                                             \
     .params = params_,                                                                  \
     .returns = returns_,                                                                \
     .flags = flags_},
static const struct mio_func FUNCS[] = {
#include "planner/expr/functions.def"
};
#undef FUNCTION
#define FUNCTION(name_, params_, returns_, flags_, signature_, help_, example_, result_) \
    {.name = #name_,                                                                     \
     .signature = #name_ signature_,                                                     \
     .help = help_,                                                                      \
     .example = example_,                                                                \
     .result = result_},
static const struct mio_function_doc DOCS[] = {
#include "planner/expr/functions.def"
};
#undef FUNCTION
enum { FUNC_COUNT = sizeof FUNCS / sizeof *FUNCS };

const struct mio_function_doc *mio_functions(size_t *n)
{
    *n = FUNC_COUNT;
    return DOCS;
}

static int by_name(const void *key, const void *row)
{
    const struct mio_str *name = key;
    const struct mio_func *f = row;
    return mio_str_cmp(*name, mio_str_z(f->name));
}

/* provider::PROVIDER::NAME(...): the plugin is asked, and says itself what is wrong with it. */
static enum mio_code of_provider(struct mio_call *c, struct mio_value *out)
{
    struct mio_str name = mio_str_z(c->func->name);
    name = mio_str_sub(name, sizeof "provider::" - 1, name.n);
    size_t n = (size_t)mio_str_find(name, ':');
    if (!c->scope->function)
        return mio_eval_fail(c->ev, c->node, NULL, "functions of providers cannot be used here");
    struct mio_value *args = MIO_NEW_N(c->a, struct mio_value, c->n + 1);
    for (size_t i = 0; i < c->n; i++)
        args[i] = mio_unmark(c->a, c->args[i]);
    return c->scope->function(c->scope->arg, mio_str_sub(name, 0, n),
                              mio_str_sub(name, n + 2, name.n), mio_list(args, c->n), out, c->err);
}

/* A row made for one call. */
static const struct mio_func *provider_row(struct mio_arena *a, struct mio_str name,
                                           const char **hint)
{
    struct mio_str rest = mio_str_sub(name, sizeof "provider::" - 1, name.n);
    ptrdiff_t colon = mio_str_find(rest, ':');
    *hint = "write provider::NAME::FUNCTION(...)";
    if (colon <= 0 || mio_str_find(mio_str_sub(rest, (size_t)colon + 2, rest.n), ':') >= 0)
        return NULL;
    struct mio_func *f = MIO_NEW(a, struct mio_func);
    *f = (struct mio_func){
        .name = mio_arena_z(a, name), .impl = of_provider, .params = ".?*", .returns = '.'};
    return f;
}

const struct mio_func *mio_func_find(struct mio_arena *a, struct mio_str name, const char **hint)
{
    if (mio_str_starts(name, "provider::"))
        return provider_row(a, name, hint);
    if (mio_str_starts(name, "core::"))
        name = mio_str_sub(name, 6, name.n);
    const struct mio_func *f = bsearch(&name, FUNCS, FUNC_COUNT, sizeof *FUNCS, by_name);
    if (f)
        return f;
    struct mio_str names[FUNC_COUNT];
    for (size_t i = 0; i < FUNC_COUNT; i++)
        names[i] = mio_str_z(FUNCS[i].name);
    struct mio_str near = mio_str_nearest(name, names, FUNC_COUNT);
    if (near.n)
        *hint = mio_arena_printf(a, "did you mean \"%.*s\"?", MIO_FMT(near)).p;
    else
        *hint = "the language reference lists all functions";
    return NULL;
}

/* ---- parameters ---- */

/* Smallest and largest number of arguments (SIZE_MAX: any). */
static void bounds(const struct mio_func *f, size_t *least, size_t *most)
{
    *least = *most = 0;
    for (const char *p = f->params; *p; p++) {
        if (*p == '*' || *p == '0')
            --*least;
        if (*p == '*' || *p == '+')
            *most = SIZE_MAX;
        if (!strchr("?*+0", *p)) {
            ++*least;
            *most += *most != SIZE_MAX;
        }
    }
}

const char *mio_func_count(struct mio_arena *a, const struct mio_func *f, size_t n)
{
    size_t least, most;
    bounds(f, &least, &most);
    if (n >= least && n <= most)
        return NULL;
    return mio_arena_printf(a, "it is %s, called with %zu", DOCS[f - FUNCS].signature, n).p;
}

/* The letter of parameter i; the last one covers all further arguments. */
static char param(const struct mio_func *f, size_t i, bool *nullable)
{
    char letter = '.';
    for (const char *p = f->params; *p; p++) {
        if (strchr("?*+0", *p))
            continue;
        letter = *p;
        *nullable = p[1] == '?';
        if (!i--)
            break;
    }
    return letter;
}

static const struct mio_typespec ANY = {.kind = T_ANY}, BOOL = {.kind = T_BOOL},
                                 NUMBER = {.kind = T_NUMBER}, STRING = {.kind = T_STRING},
                                 LIST = {.kind = T_LIST, .elem = &ANY},
                                 BOOLS = {.kind = T_LIST, .elem = &BOOL},
                                 STRINGS = {.kind = T_LIST, .elem = &STRING},
                                 SET = {.kind = T_SET, .elem = &ANY},
                                 GROUPS = {.kind = T_MAP, .elem = &STRINGS};

static const struct {
    char letter;
    enum mio_type type;
    const struct mio_typespec *spec; /* what a value is converted to */
} LETTERS[] = {
    {'s', MIO_STRING, &STRING}, {'n', MIO_NUMBER, &NUMBER}, {'b', MIO_BOOL, &BOOL},
    {'l', MIO_LIST, &LIST},     {'L', MIO_LIST, &STRINGS},  {'B', MIO_LIST, &BOOLS},
    {'t', MIO_LIST, &SET},      {'q', MIO_LIST, NULL},      {'m', MIO_MAP, NULL},
    {'M', MIO_MAP, &GROUPS},    {'.', MIO_UNKNOWN, NULL},
};

static size_t letter_row(char letter)
{
    size_t i = 0;
    while (LETTERS[i].letter != letter && LETTERS[i].letter != '.')
        i++;
    return i;
}

enum mio_type mio_func_type(char letter)
{
    return LETTERS[letter_row(letter)].type;
}

void mio_copy_items(void *to, const void *from, size_t n, size_t size)
{
    if (n)
        memcpy(to, from, n * size);
}

/* ---- errors ---- */

/* Reasons often quote what they are about. */
static bool secret(const struct mio_call *c)
{
    for (size_t i = 0; c->args && i < c->n; i++)
        if (mio_has_sensitive(c->args[i]))
            return true;
    return false;
}

enum mio_code mio_call_fail(const struct mio_call *c, size_t arg, const char *hint, const char *fmt,
                            ...)
{
    va_list ap;
    va_start(ap, fmt);
    char message[320];
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (secret(c)) {
        snprintf(message, sizeof message, "it is refused; why is not shown, a value is sensitive");
        hint = NULL;
    }
    mio_fail(c->err, MIO_TEMPLATE, "argument %zu of %s: %s", arg + 1, c->func->name, message);
    if (hint)
        mio_err_hint(c->err, "%s", hint);
    size_t last = c->node->call.n;
    const struct mio_expr *at = last ? c->node->call.args[arg < last ? arg : last - 1] : c->node;
    return mio_err_at(c->err, at->pos);
}

enum mio_code mio_call_text(struct mio_call *c, const struct mio_buf *b, struct mio_value *out)
{
    if (mio_buf_full(b))
        return mio_eval_too_long(c->ev, c->node);
    *out = mio_string(mio_arena_str(c->a, mio_buf_view(b)));
    return MIO_OK;
}

/* ---- calls ---- */

static enum mio_code convert(struct mio_call *c, size_t i, char letter, struct mio_value *v)
{
    size_t row = letter_row(letter);
    enum mio_type type = LETTERS[row].type;
    const struct mio_typespec *spec = LETTERS[row].spec;
    if (type == MIO_UNKNOWN || (v->type == (uint8_t)type && type <= MIO_STRING))
        return MIO_OK;
    if (v->type == MIO_UNKNOWN) {
        bool scalar = v->hint >= MIO_BOOL && v->hint <= MIO_STRING;
        if (scalar && type >= MIO_LIST)
            return mio_call_fail(c, i, NULL, "a %s is required, this will be a %s",
                                 mio_type_name(type), mio_type_name((enum mio_type)v->hint));
        if (v->hint == MIO_UNKNOWN)
            v->hint = (uint8_t)type;
        return MIO_OK;
    }
    if (!spec && v->type != (uint8_t)type && v->type != MIO_NULL)
        return mio_call_fail(c, i, NULL, "a %s is required, this is a %s", mio_type_name(type),
                             mio_type_name((enum mio_type)v->type));
    struct mio_err err = {0};
    if (!spec || !mio_typespec_convert(c->a, spec, *v, v, &err))
        return MIO_OK;
    return mio_call_fail(c, i, *err.hint ? err.hint : NULL, "%s", err.message);
}

/* Would the function take a mask for what it stands for? Passing it on is fine. */
static bool needs_secret(const struct mio_func *f, char letter, struct mio_value v)
{
    if (!mio_has_sensitive(v) || f->flags & FN_ALL_MARKS)
        return false;
    if (f->returns == 's')
        return mio_holds_mask(v);
    bool any = LETTERS[letter_row(letter)].type == MIO_UNKNOWN;
    return mio_is_masked(v) && (!any || f->returns == 'n' || f->returns == 'b');
}

enum mio_code mio_func_call(struct mio_call *c, struct mio_value *args, struct mio_value *out)
{
    const struct mio_func *f = c->func;
    bool unknown = false, sensitive = false;
    const char *wrong = mio_func_count(c->a, f, c->n);
    if (wrong) {
        mio_fail(c->err, MIO_TEMPLATE, "wrong number of arguments for %s", f->name);
        mio_err_hint(c->err, "%s", wrong);
        return mio_err_at(c->err, c->node->pos);
    }
    c->args = args;
    for (size_t i = 0; i < c->n; i++) {
        bool nullable = false;
        char letter = param(f, i, &nullable);
        if (args[i].type == MIO_NULL && !nullable)
            return mio_call_fail(c, i, "guard it with coalesce() or a condition",
                                 "the value is null");
        if (needs_secret(f, letter, args[i]))
            return mio_eval_fail(c->ev, c->node, MIO_MASKED_HINT, MIO_MASKED);
        enum mio_code code = convert(c, i, letter, &args[i]);
        if (code)
            return code;
        unknown |=
            args[i].type == MIO_UNKNOWN || (!(f->flags & FN_NESTED) && mio_has_unknown(args[i]));
        sensitive |= f->flags & FN_MARKS ? mio_is_sensitive(args[i]) : mio_has_sensitive(args[i]);
    }
    struct mio_value v = mio_unknown(mio_func_type(f->returns));
    if (!unknown || f->flags & FN_UNKNOWN) {
        enum mio_code code = f->impl(c, &v);
        if (code)
            return mio_err_at(c->err, c->node->pos);
    }
    *out = sensitive && !(f->flags & FN_ALL_MARKS) ? mio_sensitive(v) : v;
    return MIO_OK;
}

/* f(a, list...): the elements of the last argument become arguments. */
static enum mio_code spread(struct mio_call *c, struct mio_value **args)
{
    size_t fixed = c->n - 1;
    struct mio_value last = (*args)[fixed];
    if (last.type != MIO_LIST)
        return mio_call_fail(c, fixed, NULL, "only a list can be spread with ..., this is a %s",
                             mio_type_name((enum mio_type)last.type));
    struct mio_value *all = mio_arena_alloc(c->a, (fixed + last.n) * sizeof *all);
    memcpy(all, *args, fixed * sizeof *all);
    for (uint32_t i = 0; i < last.n; i++)
        all[fixed + i] = mio_mark_like(last.items[i], last);
    c->n = fixed + last.n;
    *args = all;
    return MIO_OK;
}

enum mio_code mio_eval_call(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    enum { FEW = 6 };
    struct mio_value few[FEW];
    struct mio_call c = {.func = e->call.func,
                         .scope = ev->scope,
                         .a = ev->a,
                         .n = e->call.n,
                         .node = e,
                         .ev = ev,
                         .err = ev->err};
    if (c.func->flags & FN_LAZY)
        return c.func->impl(&c, out);
    if (c.func->flags & FN_IMPURE && ev->scope->pure)
        return mio_eval_fail(ev, e, NULL,
                             "%s() gives another answer every time and cannot be used here",
                             c.func->name);
    struct mio_value *args = c.n <= FEW ? few : mio_arena_alloc(ev->a, c.n * sizeof *args);
    for (size_t i = 0; i < c.n; i++) {
        enum mio_code code = mio_eval(ev, e->call.args[i], &args[i]);
        if (code)
            return code;
    }
    if (e->call.expand && c.n) {
        struct mio_value last = args[c.n - 1];
        if (last.type == MIO_UNKNOWN) {
            *out = mio_mark_like(mio_unknown(mio_func_type(c.func->returns)), last);
            return MIO_OK;
        }
        enum mio_code code = spread(&c, &args);
        if (code)
            return code;
    }
    return mio_func_call(&c, args, out);
}
