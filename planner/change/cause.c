/* planner/change/cause.c: why an attribute differs: the place in the template, its text, what it
 * reads. See planner.h; `explain` shows it. */
#include "planner/change/planner.h"

struct list {
    struct mio_arena *a;
    struct mio_str *items;
    size_t n, cap;
};

static bool note(void *arg, const struct mio_ref *ref)
{
    struct list *l = arg;
    MIO_AUTO_BUF b = {0};
    mio_buf_str(&b, ref->root);
    for (size_t i = 0; i < ref->n && ref->steps[i].known; i++) {
        struct mio_value v = ref->steps[i].value;
        if (v.type == MIO_STRING)
            mio_buf_printf(&b, ".%.*s", MIO_FMT(mio_value_str(v)));
        else
            mio_buf_printf(&b, "[%.*s]", MIO_FMT(mio_value_str(v)));
    }
    struct mio_str text = mio_buf_view(&b);
    for (size_t i = 0; i < l->n; i++)
        if (mio_str_eq(l->items[i], text))
            return true;
    MIO_PUSH(l->a, l->items, l->n, l->cap) = mio_arena_str(l->a, text);
    return true;
}

static void note_all(void *arg, const struct mio_expr *e)
{
    mio_expr_refs(e, note, arg);
}

/* The deepest node that the dotted path leads to. */
static const struct mio_node *node_at(const struct mio_node *n, struct mio_str path)
{
    while (path.n && n && n->type == MIO_NODE_MAP) {
        ptrdiff_t dot = mio_str_find(path, '.');
        struct mio_str head = mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot);
        const struct mio_entry *e = mio_node_entry(n, head);
        if (!e)
            break;
        n = e->value;
        path = mio_str_sub(path, head.n + 1, path.n);
    }
    return n;
}

static struct mio_str place(struct mio_planner *p, struct mio_pos pos)
{
    if (pos.file == 0 || pos.file > p->sources->n)
        return MIO_STR("");
    return mio_arena_printf(p->arena, "%.*s:%u:%u", MIO_FMT(p->sources->items[pos.file - 1].name),
                            pos.line, pos.col);
}

void mio_cause_fill(struct mio_planner *p, struct mio_step *s)
{
    const struct mio_node *body = s->inst ? s->inst->res->block->body : NULL;
    for (size_t i = 0; body && i < s->nattrs; i++) {
        struct mio_diff_attr *attr = &s->attrs[i];
        const struct mio_node *n = node_at(body, attr->path);
        struct list refs = {.a = p->arena};
        if (!n || n == body) {
            attr->pos = s->inst->res->block->pos;
            attr->place = place(p, attr->pos);
            continue;
        }
        attr->pos = n->pos;
        attr->place = place(p, n->pos);
        attr->source = n->type == MIO_NODE_SCALAR ? n->text : MIO_STR("");
        mio_node_exprs(n, note_all, &refs);
        attr->inputs = refs.items;
        attr->ninputs = refs.n;
    }
}
