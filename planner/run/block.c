/* planner/run/block.c: one block's own settings, without provider or state. */
#include "planner/run/block.h"
#include "planner/run/internal.h"

static const struct mio_block *find(const struct mio_engine *e, const char *kind,
                                    struct mio_str name, struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t n = 0, cap = 0;
    struct mio_arena a;
    mio_arena_init(&a);
    const struct mio_block *b = NULL;
    for (size_t i = 0; i < e->tpl->blocks.n && !b; i++) {
        const struct mio_block *one = &e->tpl->blocks.items[i];
        if (one->is_data || !mio_str_is(one->kind, kind))
            continue;
        if (mio_str_eq(one->name, name))
            b = one;
        else
            MIO_PUSH(&a, names, n, cap) = one->name;
    }
    if (!b) {
        struct mio_str near = mio_str_nearest(name, names, n);
        mio_fail(err, MIO_USAGE, "the template has no %s.%.*s", kind, MIO_FMT(name));
        if (near.n)
            mio_err_hint(err, "Did you mean %.*s?", MIO_FMT(near));
    }
    mio_arena_free(&a);
    return b;
}

enum mio_code mio_engine_block(struct mio_engine *e, const char *kind, struct mio_str name,
                               const char *const *keys, size_t n, struct mio_value *out,
                               struct mio_err *err)
{
    const struct mio_block *b = find(e, kind, name, err);
    if (!b)
        return err->code;
    if (!e->planned && mio_engine_stack(e, true, true) && !e->stack.root)
        return mio_fail(err, MIO_TEMPLATE, "the template has errors");
    struct mio_scope_arg arg = {.st = &e->stack, .mod = e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_pair *pairs = MIO_NEW_N(&e->arena, struct mio_pair, n);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mio_node *node = mio_node_get(b->body, keys[i]);
        if (!node)
            continue;
        pairs[k].key = mio_str_z(keys[i]);
        if (mio_node_eval(node, &scope, &pairs[k++].value, err))
            return err->code;
    }
    *out = mio_map(pairs, k);
    return MIO_OK;
}
