/* planner/template/moved.c: moved blocks that contradict each other, or the template. */
#include "planner/template/load.h"

/* The first step of an address, taken off it; dots in the text of a key do not count. */
static struct mio_str take_step(struct mio_str *rest)
{
    size_t end = 0;
    bool quoted = false;
    for (; end < rest->n && (quoted || rest->p[end] != '.'); end++)
        quoted ^= rest->p[end] == '"' && (end == 0 || rest->p[end - 1] != '\\');
    struct mio_str step = mio_str_sub(*rest, 0, end);
    *rest = mio_str_sub(*rest, end + 1, rest->n);
    return step;
}

struct mio_str mio_tpl_kind_of(struct mio_str address)
{
    while (address.n) {
        struct mio_str step = take_step(&address);
        if (!mio_str_is(step, "module"))
            return step;
        take_step(&address); /* its name */
    }
    return MIO_STR("module");
}

static bool is_declared(struct mio_load *l, const struct mio_template *t, struct mio_str address)
{
    for (size_t i = 0; i < t->blocks.n; i++) {
        const struct mio_block *b = &t->blocks.items[i];
        if (!b->is_data && mio_str_eq(address, mio_tpl_address(l->arena, false, b->kind, b->name)))
            return true;
    }
    for (size_t i = 0; i < t->modules.n; i++)
        if (mio_str_starts(address, "module.") &&
            mio_str_eq(mio_str_sub(address, 7, address.n), t->modules.items[i].name))
            return true;
    return false;
}

/* Following the blocks from `start`, does one come back to it? */
static bool is_circle(const struct mio_template *t, size_t start)
{
    struct mio_str at = t->moved.items[start].to;
    for (size_t round = 0; round < t->moved.n; round++) {
        size_t i = 0;
        while (i < t->moved.n && !mio_str_eq(t->moved.items[i].from, at))
            i++;
        if (i == t->moved.n)
            return false;
        if (i == start)
            return true;
        at = t->moved.items[i].to;
    }
    return false;
}

static void check_pair(struct mio_load *l, const struct mio_moved *a, const struct mio_moved *b)
{
    if (mio_str_eq(a->from, b->from))
        mio_tpl_error(l, b->pos, "an object has one new address", "%.*s is moved twice",
                      MIO_FMT(b->from));
    else if (mio_str_eq(a->to, b->to))
        mio_tpl_error(l, b->pos, "an address takes one object", "two are moved to %.*s",
                      MIO_FMT(b->to));
}

void mio_tpl_check_moved(struct mio_load *l, const struct mio_template *t)
{
    for (size_t i = 0; i < t->moved.n && !l->full; i++) {
        const struct mio_moved *m = &t->moved.items[i];
        for (size_t k = 0; k < i; k++)
            check_pair(l, &t->moved.items[k], m);
        if (!mio_str_eq(mio_tpl_kind_of(m->from), mio_tpl_kind_of(m->to)))
            mio_tpl_error(l, m->pos, "an object keeps its kind: destroy the one and make the other",
                          "%.*s cannot become %.*s", MIO_FMT(m->from), MIO_FMT(m->to));
        else if (is_circle(t, i))
            mio_tpl_error(l, m->pos, "take one of them out", "moved blocks go in a circle at %.*s",
                          MIO_FMT(m->from));
        else if (is_declared(l, t, m->from) &&
                 !mio_str_starts(m->to, mio_arena_printf(l->arena, "%.*s[", MIO_FMT(m->from)).p))
            mio_tpl_error(l, m->pos, "rename the block, too, or take the moved block out",
                          "%.*s is moved, and the template still has it", MIO_FMT(m->from));
    }
}
