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

struct moving {
    struct mio_str from, deposed, to;
    const struct move *why; /* the last of the chain; NULL: nothing moves it */
    size_t steps;           /* of the chain */
};

/* The block that says most about an address: an instance before its block, what is in a module
 * before the module, whatever their order in the file. */
static const struct move *closest(const struct moves *m, struct mio_str address)
{
    const struct move *found = NULL;
    for (size_t i = 0; i < m->n; i++)
        if (concerns(&m->items[i], address) && (!found || m->items[i].from.n > found->from.n))
            found = &m->items[i];
    return found;
}

/* Where the chain of moves that begins at an address ends. Circles of equal addresses were refused
 * when the template was read; one by way of an instance or a module shows here. */
static void follow(const struct moves *m, struct moving *it)
{
    const struct move *next;
    it->to = it->from;
    while ((next = closest(m, it->to)) != NULL) {
        if (it->steps++ == m->n) {
            mio_diags_error(m->p->diags, MIO_TEMPLATE, next->pos, "take one of them out",
                            "moved blocks go in a circle at %.*s", MIO_FMT(it->to));
            it->why = NULL;
            return;
        }
        it->to = mio_arena_printf(m->p->arena, "%.*s%.*s", MIO_FMT(next->to),
                                  MIO_FMT(mio_str_sub(it->to, next->from.n, SIZE_MAX)));
        it->why = next;
    }
}

/* What was moved by a block and then gets or loses its count has come from where it was at first.
 */
static void note(struct mio_planner *p, const struct moving *m)
{
    for (size_t i = 0; !m->why && i < p->nmoved; i++)
        if (mio_str_eq(p->moved[i].to, m->from)) {
            p->moved[i].to = m->to;
            return;
        }
    MIO_PUSH(p->arena, p->moved, p->nmoved, p->moved_cap) = (struct mio_moved_row){m->from, m->to};
    p->plan->counts.move++;
}

static void move_row(struct mio_planner *p, const struct moving *m)
{
    const struct mio_row *row = mio_state_find(p->state, m->from, m->deposed);
    struct mio_record rec;
    struct mio_err err = {0};
    if (mio_row_read(p->arena, row, &rec, &err)) {
        mio_diags_add(p->diags, MIO_ERROR, &err);
        return;
    }
    note(p, m);
    mio_state_remove(p->state, m->from, m->deposed);
    rec.address = m->to;
    if (mio_state_put(p->state, &rec, &err))
        mio_diags_add(p->diags, MIO_ERROR, &err);
}

static int by_steps(const void *a, const void *b)
{
    const struct moving *x = a, *y = b;
    int order = (x->steps > y->steps) - (x->steps < y->steps);
    return order ? order : mio_str_cmp(x->from, y->from);
}

/* What lies where a chain ends does not move itself, so rows need no room made by others. Where two
 * rows of one chain want the same place, the one that is nearer gets it: it was there last. */
static void move_all(struct mio_planner *p, struct moving *items, size_t n)
{
    if (n)
        qsort(items, n, sizeof *items, by_steps);
    for (size_t i = 0; i < n; i++)
        if (!mio_state_find(p->state, items[i].to, items[i].deposed))
            move_row(p, &items[i]);
        else
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
    for (size_t i = 0; p->state->nrows && i < p->st->nres; i++) {
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

/* True, with a message, when a move takes away what the template still has. */
static bool still_there(struct mio_planner *p, const struct move *m, struct mio_str address)
{
    if (!concerns(m, address))
        return false;
    mio_diags_error(
        p->diags, MIO_TEMPLATE, m->pos, "rename what is there, too, or take the moved block out",
        "%.*s is moved, and the template still has %.*s", MIO_FMT(m->from), MIO_FMT(address));
    return true;
}

/* A module may have no resources, and is there all the same. */
static bool module_is_there(struct mio_planner *p, const struct move *m)
{
    for (size_t i = 0; i < p->st->ncalls; i++)
        for (size_t k = 0; k < p->st->calls[i]->n; k++) {
            struct mio_str prefix = p->st->calls[i]->items[k]->prefix;
            if (still_there(p, m, mio_str_sub(prefix, 0, prefix.n - 1)))
                return true;
        }
    return false;
}

/* What is said to be removed must not be there. */
static void check_removed(struct mio_planner *p, const struct mio_modinst *mod)
{
    for (size_t i = 0; i < mod->tpl->removed.n; i++) {
        const struct mio_removed *r = &mod->tpl->removed.items[i];
        struct mio_str from =
            mio_arena_printf(p->arena, "%.*s%.*s", MIO_FMT(mod->prefix), MIO_FMT(r->from));
        size_t k = 0;
        while (k < p->st->ninsts && (p->st->insts[k]->res->block->is_data ||
                                     !mio_address_covers(from, p->st->insts[k]->address)))
            k++;
        if (k < p->st->ninsts)
            mio_diags_error(p->diags, MIO_TEMPLATE, r->pos,
                            "take what is there out, too, or the removed block",
                            "%.*s is removed, and the template still has %.*s", MIO_FMT(from),
                            MIO_FMT(p->st->insts[k]->address));
    }
}

void mio_planner_check_moved(struct mio_planner *p)
{
    struct moves m = all_moves(p);
    check_removed(p, p->st->root);
    for (size_t i = 0; i < p->st->ncalls; i++)
        for (size_t k = 0; k < p->st->calls[i]->n; k++)
            check_removed(p, p->st->calls[i]->items[k]);
    for (size_t i = 0; i < m.n; i++) {
        bool found = module_is_there(p, &m.items[i]);
        for (size_t k = 0; k < p->st->ninsts && !found; k++)
            found = still_there(p, &m.items[i], p->st->insts[k]->address);
    }
}

void mio_planner_moved(struct mio_planner *p)
{
    struct moves m = all_moves(p);
    struct moving *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; m.n && i < p->state->nrows; i++) {
        const struct mio_row *row = &p->state->rows[i];
        struct moving it = {.from = row->address, .deposed = row->deposed};
        follow(&m, &it);
        if (!it.why)
            continue;
        it.from = mio_arena_str(p->arena, it.from);
        it.deposed = mio_arena_str(p->arena, it.deposed);
        MIO_PUSH(p->arena, items, n, cap) = it;
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
