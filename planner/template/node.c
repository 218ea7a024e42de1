/* planner/template/node.c: questions asked of the tree. */
#include "planner/template/node.h"

const struct mio_entry *mio_node_entry(const struct mio_node *map, struct mio_str key)
{
    if (!map || map->type != MIO_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (mio_str_eq(map->entries[i].key, key))
            return &map->entries[i];
    return NULL;
}

const struct mio_node *mio_node_get(const struct mio_node *map, const char *key)
{
    const struct mio_entry *e = mio_node_entry(map, mio_str_z(key));
    return e ? e->value : NULL;
}

static const struct mio_node *child(const struct mio_node *n, size_t i)
{
    return n->type == MIO_NODE_SEQ ? n->items[i] : n->entries[i].value;
}

bool mio_node_has_expr(const struct mio_node *n)
{
    if (n->type == MIO_NODE_SCALAR)
        return n->expr;
    for (size_t i = 0; i < n->n; i++)
        if (mio_node_has_expr(child(n, i)))
            return true;
    return false;
}

void mio_node_exprs(const struct mio_node *n, void (*visit)(void *arg, const struct mio_expr *e),
                    void *arg)
{
    if (n->type == MIO_NODE_SCALAR) {
        if (n->expr)
            visit(arg, n->expr);
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        mio_node_exprs(child(n, i), visit, arg);
}

static struct mio_value literal(struct mio_arena *a, const struct mio_node *n)
{
    if (n->type == MIO_NODE_SCALAR)
        return n->literal;
    if (n->type == MIO_NODE_SEQ) {
        struct mio_value *items = MIO_NEW_N(a, struct mio_value, n->n);
        for (size_t i = 0; i < n->n; i++)
            items[i] = literal(a, n->items[i]);
        return mio_list(items, n->n);
    }
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, n->n);
    for (size_t i = 0; i < n->n; i++)
        pairs[i] = (struct mio_pair){n->entries[i].key, literal(a, n->entries[i].value)};
    return mio_map(pairs, n->n);
}

bool mio_node_literal(struct mio_arena *a, const struct mio_node *n, struct mio_value *out)
{
    if (mio_node_has_expr(n))
        return false;
    *out = literal(a, n);
    return true;
}

/* One step of a path: its text, and what is left behind it. */
static struct mio_str path_step(struct mio_str *path)
{
    bool index = path->p[0] == '[';
    size_t from = index || path->p[0] == '.' ? 1 : 0, to = from;
    while (to < path->n && !strchr(index ? "]" : ".[:", path->p[to]))
        to++;
    struct mio_str step = mio_str_sub(*path, from, to - from);
    *path = mio_str_sub(*path, to + index, path->n);
    return step;
}

const struct mio_node *mio_node_at(const struct mio_node *n, struct mio_str path)
{
    while (path.n) {
        bool index = path.p[0] == '[';
        struct mio_str step = path_step(&path);
        const struct mio_entry *e = n->type == MIO_NODE_MAP ? mio_node_entry(n, step) : NULL;
        uint64_t i;
        if (e)
            n = e->value;
        else if (index && n->type == MIO_NODE_SEQ && mio_str_u64(step, &i) && i < n->n)
            n = n->items[i];
        else
            break;
    }
    return n;
}
