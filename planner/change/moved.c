/* planner/change/moved.c: `moved` and `removed` of the template and of its modules, whose addresses
 * are those of the module; and the moves that follow from a block that gets `count` or loses it.
 * See planner.h. */
#include "planner/change/planner.h"

/* One moved block of one module instance, addresses in full. */
struct move {
    struct mio_str from, to;
    struct mio_pos pos;
    bool
        one; /* an instance, not all that a block or call has: one of the two addresses has a key */
};
struct moves {
    struct mio_planner *p;
    struct move *items;
    size_t n, cap;
};

static bool has_key(struct mio_str address)
{
    return address.n && address.p[address.n - 1] == ']';
}

static void add_moves(struct moves *m, const struct mio_modinst *mod)
{
    const struct mio_template *t = mod->tpl;
    for (size_t i = 0; i < t->moved.n; i++) {
        const struct mio_moved *b = &t->moved.items[i];
        MIO_PUSH(m->p->arena, m->items, m->n, m->cap) = (struct move){
            mio_arena_printf(m->p->arena, "%.*s%.*s", MIO_FMT(mod->prefix), MIO_FMT(b->from)),
            mio_arena_printf(m->p->arena, "%.*s%.*s", MIO_FMT(mod->prefix), MIO_FMT(b->to)), b->pos,
            has_key(b->from) || has_key(b->to)};
    }
}

static bool concerns(const struct move *m, struct mio_str address)
{
    return mio_address_covers(m->from, address) &&
           !(m->one && address.n > m->from.n && address.p[m->from.n] == '[');
}

/* Where the chain of moves that begins at an address ends; a circle was refused when the template
 * was read, and ends here in any case. */
static struct mio_str destination(const struct moves *m, struct mio_str address,
                                  const struct move **last)
{
    *last = NULL;
    for (size_t round = 0; round < m->n; round++) {
        const struct move *found = NULL;
        for (size_t i = 0; i < m->n && !found; i++)
            if (concerns(&m->items[i], address))
                found = &m->items[i];
        if (!found)
            break;
        *last = found;
        address = mio_arena_printf(m->p->arena, "%.*s%.*s", MIO_FMT(found->to),
                                   MIO_FMT(mio_str_sub(address, found->from.n, SIZE_MAX)));
    }
    return address;
}

struct moving {
    struct mio_str from, deposed, to;
    const struct move *why;
};

static void move_row(struct mio_planner *p, const struct moving *m)
{
    const struct mio_row *row = mio_state_find(p->state, m->from, m->deposed);
    struct mio_record rec;
    struct mio_err err = {0};
    if (mio_row_read(p->arena, row, &rec, &err)) {
        mio_diags_add(p->diags, MIO_ERROR, &err);
        return;
    }
    MIO_PUSH(p->arena, p->moved, p->nmoved, p->moved_cap) = (struct mio_moved_row){m->from, m->to};
    mio_state_remove(p->state, m->from, m->deposed);
    rec.address = m->to;
    if (mio_state_put(p->state, &rec, &err))
        mio_diags_add(p->diags, MIO_ERROR, &err);
    p->plan->counts.move++;
}

/* Rows make room for each other: what can move does, until nothing can any more. */
static void move_all(struct mio_planner *p, struct moving *items, size_t n)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            if (!items[i].why || mio_state_find(p->state, items[i].to, items[i].deposed))
                continue;
            move_row(p, &items[i]);
            items[i].why = NULL;
            again = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (items[i].why)
            mio_diags_warn(p->diags, items[i].why->pos,
                           "Take the block back, or move or remove what is there "
                           "(mlops-iac state mv, state rm).",
                           "%.*s cannot move to %.*s: something is recorded there already",
                           MIO_FMT(items[i].from), MIO_FMT(items[i].to));
}

/* A block that gets `count` keeps its object as number 0, and one that loses it the other way
 * round, without a moved block. */
static void move_implied(struct mio_planner *p)
{
    for (size_t i = 0; i < p->st->nres; i++) {
        const struct mio_res *r = p->st->res[i];
        const struct mio_block *b = r->block;
        if (b->is_data || b->for_each)
            continue;
        struct mio_arena_mark mark = mio_arena_mark(p->arena);
        struct mio_str first =
            mio_arena_printf(p->arena, "%.*s%.*s.%.*s[0]", MIO_FMT(r->mod->prefix),
                             MIO_FMT(b->kind), MIO_FMT(b->name));
        struct mio_str only = mio_arena_str(p->arena, mio_str_sub(first, 0, first.n - 3));
        struct moving m = {.from = b->count ? only : first, .to = b->count ? first : only};
        if (mio_state_find(p->state, m.from, m.deposed) &&
            !mio_state_find(p->state, m.to, m.deposed))
            move_row(p, &m);
        else
            mio_arena_rewind(p->arena, mark);
    }
}

/* Those of the template and of every instance of its modules. */
static struct moves all_moves(struct mio_planner *p)
{
    struct moves m = {.p = p};
    add_moves(&m, p->st->root);
    for (size_t i = 0; i < p->st->ncalls; i++)
        for (size_t k = 0; k < p->st->calls[i]->n; k++)
            add_moves(&m, p->st->calls[i]->items[k]);
    return m;
}

void mio_planner_check_moved(struct mio_planner *p)
{
    struct moves m = all_moves(p);
    for (size_t i = 0; i < m.n; i++)
        for (size_t k = 0; k < p->st->ninsts; k++)
            if (concerns(&m.items[i], p->st->insts[k]->address)) {
                mio_diags_error(p->diags, MIO_TEMPLATE, m.items[i].pos,
                                "rename what is there, too, or take the moved block out",
                                "%.*s is moved, and the template still has %.*s",
                                MIO_FMT(m.items[i].from), MIO_FMT(p->st->insts[k]->address));
                break;
            }
}

void mio_planner_moved(struct mio_planner *p)
{
    struct moves m = all_moves(p);
    struct moving *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; m.n && i < p->state->nrows; i++) {
        const struct mio_row *row = &p->state->rows[i];
        const struct move *why;
        struct mio_str to = destination(&m, row->address, &why);
        if (why)
            MIO_PUSH(p->arena, items, n, cap) =
                (struct moving){mio_arena_str(p->arena, row->address),
                                mio_arena_str(p->arena, row->deposed), to, why};
    }
    move_all(p, items, n);
    move_implied(p);
}

static bool forgets(const struct mio_planner *p, const struct mio_modinst *mod,
                    struct mio_str address)
{
    for (size_t i = 0; i < mod->tpl->removed.n; i++) {
        const struct mio_removed *r = &mod->tpl->removed.items[i];
        if (r->forget &&
            mio_address_covers(
                mio_arena_printf(p->arena, "%.*s%.*s", MIO_FMT(mod->prefix), MIO_FMT(r->from)),
                address))
            return true;
    }
    return false;
}

bool mio_planner_forgets(const struct mio_planner *p, struct mio_str address)
{
    bool yes = forgets(p, p->st->root, address);
    for (size_t i = 0; i < p->st->ncalls && !yes; i++)
        for (size_t k = 0; k < p->st->calls[i]->n && !yes; k++)
            yes = forgets(p, p->st->calls[i]->items[k], address);
    return yes;
}
