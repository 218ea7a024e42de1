/* planner/graph/node_value.c: a node of the template, with the expressions in it, as a value. See
 * stack.h. */
#include "planner/graph/stack.h"

static enum mio_code eval_list(const struct mio_node *n, const struct mio_scope *scope,
                               struct mio_value *out, struct mio_err *err)
{
    struct mio_value *items = MIO_NEW_N(scope->arena, struct mio_value, n->n);
    for (size_t i = 0; i < n->n; i++)
        if (mio_node_eval(n->items[i], scope, &items[i], err))
            return err->code;
    *out = mio_list(items, n->n);
    return MIO_OK;
}

static enum mio_code eval_map(const struct mio_node *n, const struct mio_scope *scope,
                              struct mio_value *out, struct mio_err *err)
{
    struct mio_pair *pairs = mio_arena_alloc(scope->arena, n->n * sizeof *pairs);
    for (size_t i = 0; i < n->n; i++) {
        pairs[i].key = n->entries[i].key;
        if (mio_node_eval(n->entries[i].value, scope, &pairs[i].value, err))
            return err->code;
    }
    *out = mio_map(pairs, n->n);
    return MIO_OK;
}

enum mio_code mio_node_eval(const struct mio_node *n, const struct mio_scope *scope,
                            struct mio_value *out, struct mio_err *err)
{
    if (n->type == MIO_NODE_SEQ)
        return eval_list(n, scope, out, err);
    if (n->type == MIO_NODE_MAP)
        return eval_map(n, scope, out, err);
    if (!n->expr) {
        *out = n->literal;
        return MIO_OK;
    }
    return mio_expr_eval(n->expr, scope, out, err) ? mio_err_at(err, n->pos) : MIO_OK;
}
