/* planner/expr/func_string.c: strings. */
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/text.h"
#include "providers/sdk/buf.h"

static struct mio_str text(const struct mio_call *c, size_t i)
{
    return mio_value_str(c->args[i]);
}

static enum mio_code give(struct mio_value *out, struct mio_str s)
{
    *out = mio_string(s);
    return MIO_OK;
}

enum mio_code mio_fn_upper(struct mio_call *c, struct mio_value *out)
{
    return give(out, mio_text_upper(c->a, text(c, 0)));
}

enum mio_code mio_fn_lower(struct mio_call *c, struct mio_value *out)
{
    return give(out, mio_text_lower(c->a, text(c, 0)));
}

enum mio_code mio_fn_join(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    bool first = true;
    for (size_t i = 1; i < c->n; i++) {
        for (uint32_t k = 0; k < c->args[i].n; k++) {
            struct mio_err err = {0};
            struct mio_value v = c->args[i].items[k];
            if (v.type == MIO_NULL)
                return mio_call_fail(c, i, "compact() takes nulls out", "element %u is null", k);
            if (mio_to_string(c->a, v, &v, &err))
                return mio_call_fail(c, i, NULL, "element %u: %s", k, err.message);
            if (v.type == MIO_UNKNOWN)
                return MIO_OK; /* *out is an unknown string already */
            if (!first)
                mio_buf_str(&b, text(c, 0));
            first = false;
            mio_buf_str(&b, mio_value_str(v));
        }
    }
    return give(out, mio_arena_str(c->a, mio_buf_view(&b)));
}
