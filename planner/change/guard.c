/* planner/change/guard.c: the guards of a stage: what one plan may do to it. See planner.h. */
#include "planner/change/planner.h"
#include "planner/change/providers.h"

struct guard {
    struct mio_stack *st;
    const struct mio_plan *plan;
    const struct mio_node *guards;
};

/* Deposed objects end a replacement that was allowed before. */
static bool counts(const struct mio_change *c)
{
    return c->action != MIO_NOOP && c->action != MIO_READ && !c->is_data && !c->deposed.n;
}

static bool destroys(const struct mio_change *c)
{
    return counts(c) &&
           (c->action == MIO_DELETE || c->action == MIO_REPLACE || c->action == MIO_REPLACE_CREATE);
}

static void refuse(const struct guard *g, struct mio_pos pos, struct mio_str address,
                   const char *text)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_TEMPLATE, "stage %.*s refuses the plan: %s",
             MIO_FMT(g->st->root->tpl->stage), text);
    mio_err_hint(&err,
                 "Do less at a time (-target), or change `guards` in stages/%.*s.yaml, where "
                 "it is reviewed.",
                 MIO_FMT(g->st->root->tpl->stage));
    mio_err_at(&err, pos);
    mio_err_address(&err, address);
    mio_diags_add(g->st->diags, MIO_ERROR, &err);
}

static void check_number(const struct guard *g, const char *key, const char *verb,
                         bool (*counted)(const struct mio_change *))
{
    const struct mio_node *most = mio_node_get(g->guards, key);
    const struct mio_change *first = NULL;
    int64_t allowed, n = 0;
    if (!most || !mio_value_i64(most->literal, &allowed))
        return;
    for (size_t i = 0; i < g->plan->nchanges; i++) {
        const struct mio_change *c = &g->plan->changes[i];
        if (!counted(c))
            continue;
        first = first ? first : c;
        n++;
    }
    if (n <= allowed)
        return;
    struct mio_str text = mio_arena_printf(
        g->st->arena, "it %s %lld objects, and %s is %lld (%.*s%s)", verb, (long long)n, key,
        (long long)allowed, MIO_FMT(first->address), n > 1 ? ", ..." : "");
    refuse(g, most->pos, MIO_STR(""), text.p);
}

static void check_allowed(const struct guard *g)
{
    const struct mio_node *allow = mio_node_get(g->guards, "allow");
    for (size_t i = 0; allow && i < g->plan->nchanges; i++) {
        const struct mio_change *c = &g->plan->changes[i];
        bool good = !counts(c);
        for (size_t k = 0; k < allow->n; k++)
            good |= mio_str_is(allow->items[k]->text, mio_action_name(c->action));
        if (good)
            continue;
        struct mio_str text =
            mio_arena_printf(g->st->arena, "%.*s would be changed by `%s`, which is not allowed",
                             MIO_FMT(c->address), mio_action_name(c->action));
        refuse(g, allow->pos, c->address, text.p);
    }
}

static void check_protected(const struct guard *g)
{
    const struct mio_node *protect = mio_node_get(g->guards, "protect");
    for (size_t k = 0; protect && k < protect->n; k++) {
        struct mio_str what = protect->items[k]->text;
        bool kind = mio_str_find(what, '.') < 0;
        for (size_t i = 0; i < g->plan->nchanges; i++) {
            const struct mio_change *c = &g->plan->changes[i];
            if (!destroys(c) ||
                !(kind ? mio_str_eq(c->kind, what) : mio_address_covers(what, c->address)))
                continue;
            struct mio_str text = mio_arena_printf(
                g->st->arena, "%.*s is protected and would be %s", MIO_FMT(c->address),
                c->action == MIO_DELETE ? "destroyed" : "replaced");
            refuse(g, protect->items[k]->pos, c->address, text.p);
        }
    }
}

void mio_guards_kinds(struct mio_stack *st, const struct mio_provs *provs)
{
    const struct mio_node *stage = st->root->tpl->stage_block,
                          *guards = stage ? mio_node_get(stage, "guards") : NULL,
                          *protect = guards ? mio_node_get(guards, "protect") : NULL;
    struct mio_str known[MIO_PROVS_KINDS];
    size_t n = protect ? mio_provs_kinds(provs, known) : 0;
    for (size_t k = 0; protect && k < protect->n; k++) {
        struct mio_str kind = mio_tpl_kind_of(protect->items[k]->text);
        bool there = mio_str_is(kind, "module");
        for (size_t i = 0; !there && i < n; i++)
            there = mio_str_eq(known[i], kind);
        struct mio_str near = there ? MIO_STR("") : mio_str_nearest(kind, known, n);
        if (near.n)
            mio_diags_error(st->diags, MIO_TEMPLATE, protect->items[k]->pos,
                            mio_arena_printf(st->arena, "Did you mean %.*s?", MIO_FMT(near)).p,
                            "the guard `protect` protects nothing: no provider has the kind %.*s",
                            MIO_FMT(kind));
    }
}

void mio_guards_run(struct mio_stack *st, const struct mio_plan *plan)
{
    const struct mio_node *stage = st->root->tpl->stage_block;
    struct guard g = {st, plan, stage ? mio_node_get(stage, "guards") : NULL};
    if (!g.guards)
        return;
    check_number(&g, "max_destroy", "destroys", destroys);
    check_number(&g, "max_change", "changes", counts);
    check_allowed(&g);
    check_protected(&g);
}
