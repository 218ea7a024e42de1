/* planner/expr/refs.c: every reference of a tree, without evaluating it. */
#include "planner/expr/ast.h"

struct walk {
    bool (*visit)(void *arg, const struct mio_ref *ref);
    void *arg;
};

static bool walk(const struct walk *w, const struct mio_expr *e);

static bool walk_all(const struct walk *w, const struct mio_expr *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!walk(w, items[i]))
            return false;
    return true;
}

static bool walk_ref(const struct walk *w, const struct mio_expr *e)
{
    struct mio_ref ref = mio_expr_ref(e);
    return w->visit(w->arg, &ref) && (!e->ref.index || walk_all(w, e->ref.index, ref.n));
}

static bool walk_object(const struct walk *w, const struct mio_expr *e)
{
    for (size_t i = 0; i < e->object.n; i++)
        if (!walk(w, e->object.items[i].key) || !walk(w, e->object.items[i].value))
            return false;
    return true;
}

static bool walk_for(const struct walk *w, const struct for_node *f)
{
    return walk(w, f->source) && walk(w, f->key) && walk(w, f->value) && walk(w, f->cond);
}

static bool walk(const struct walk *w, const struct mio_expr *e)
{
    if (!e)
        return true;
    switch ((enum node_kind)e->kind) {
    case NODE_LITERAL:
    case NODE_LOCAL:
        return true;
    case NODE_REF:
        return walk_ref(w, e);
    case NODE_INDEX:
        return walk(w, e->index.base) && walk(w, e->index.key);
    case NODE_SPLAT:
        return walk(w, e->splat.base) && walk(w, e->splat.each);
    case NODE_UNARY:
    case NODE_BINARY:
    case NODE_COND:
    case NODE_PAREN:
        return walk(w, e->op3.a) && walk(w, e->op3.b) && walk(w, e->op3.c);
    case NODE_LIST:
    case NODE_TEMPLATE:
        return walk_all(w, e->list.items, e->list.n);
    case NODE_OBJECT:
        return walk_object(w, e);
    case NODE_FOR:
        return walk_for(w, e->loop);
    case NODE_CALL:
        return walk_all(w, e->call.args, e->call.n);
    }
    return true;
}

void mio_expr_refs(const struct mio_expr *e, bool (*visit)(void *arg, const struct mio_ref *ref),
                   void *arg)
{
    walk(&(struct walk){visit, arg}, e);
}
