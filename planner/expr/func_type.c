/* planner/expr/func_type.c: conversions, try and can, the sensitive mark. */
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include "planner/expr/func.h"

/* ---- expressions that may fail ---- */

static enum mio_code attempt(struct mio_call *c, size_t arg, struct mio_value *out,
                             struct mio_err *err)
{
    struct mio_err *before = c->ev->err;
    const struct frame *frames = c->ev->frames;
    c->ev->err = err;
    enum mio_code code = mio_eval(c->ev, c->node->call.args[arg], out);
    c->ev->err = before;
    c->ev->frames = frames;
    return code;
}

enum mio_code mio_fn_can(struct mio_call *c, struct mio_value *out)
{
    struct mio_err err = {0};
    struct mio_value v;
    bool ok = !attempt(c, 0, &v, &err);
    *out = ok && mio_has_unknown(v) ? mio_unknown(MIO_BOOL) : mio_bool(ok);
    return MIO_OK;
}

enum mio_code mio_fn_try(struct mio_call *c, struct mio_value *out)
{
    struct mio_err first = {0};
    for (size_t i = 0; i < c->n; i++) {
        struct mio_err err = {0};
        struct mio_value v;
        if (!attempt(c, i, &v, i ? &err : &first)) {
            *out = v;
            return MIO_OK;
        }
    }
    mio_fail(c->err, MIO_TEMPLATE, "no argument of try can be evaluated; the first: %s",
             first.message);
    if (*first.hint)
        mio_err_hint(c->err, "%s", first.hint);
    return mio_err_at(c->err, c->node->pos);
}

/* ---- marks ---- */

enum mio_code mio_fn_sensitive(struct mio_call *c, struct mio_value *out)
{
    *out = mio_sensitive(c->args[0]);
    return MIO_OK;
}

/* The value's own mark goes; those of elements stay. */
enum mio_code mio_fn_nonsensitive(struct mio_call *c, struct mio_value *out)
{
    struct mio_value v = c->args[0];
    if (v.type == MIO_LIST) {
        uint8_t set = v.marks & MIO_MARK_SET;
        v = mio_list(v.items, v.n);
        v.marks = set;
    } else if (v.type == MIO_MAP) {
        struct mio_pair *pairs = mio_arena_alloc(c->a, v.n * sizeof *pairs);
        mio_copy_items(pairs, v.pairs, v.n, sizeof *pairs);
        v = mio_map(pairs, v.n);
    } else {
        v = mio_unmark(c->a, v);
    }
    mio_reveal(v);
    *out = v;
    return MIO_OK;
}

enum mio_code mio_fn_issensitive(struct mio_call *c, struct mio_value *out)
{
    if (mio_is_sensitive(c->args[0]) || c->args[0].type != MIO_UNKNOWN)
        *out = mio_bool(mio_is_sensitive(c->args[0])); /* else it may become so */
    return MIO_OK;
}

/* Nothing is ephemeral here: the value itself. */
enum mio_code mio_fn_ephemeralasnull(struct mio_call *c, struct mio_value *out)
{
    *out = c->args[0];
    return MIO_OK;
}

/* ---- conversions ---- */

static enum mio_code to(struct mio_call *c, const struct mio_typespec *t, struct mio_value *out)
{
    struct mio_err err = {0};
    if (!mio_typespec_convert(c->a, t, c->args[0], out, &err))
        return MIO_OK;
    return mio_call_fail(c, 0, *err.hint ? err.hint : NULL, "%s", err.message);
}

static const struct mio_typespec ANY = {.kind = T_ANY};

enum mio_code mio_fn_tostring(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_STRING}, out);
}

enum mio_code mio_fn_tonumber(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_NUMBER}, out);
}

enum mio_code mio_fn_tobool(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_BOOL}, out);
}

enum mio_code mio_fn_tolist(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_LIST, .elem = &ANY}, out);
}

enum mio_code mio_fn_toset(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_SET, .elem = &ANY}, out);
}

enum mio_code mio_fn_tomap(struct mio_call *c, struct mio_value *out)
{
    return to(c, &(struct mio_typespec){.kind = T_MAP, .elem = &ANY}, out);
}
