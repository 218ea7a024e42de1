/* planner/change/select.c: -target and -exclude: what a plan is about. See planner.h. */
#include "planner/change/planner.h"

bool mio_planner_selected(const struct mio_planner *p, struct mio_str address)
{
    return (p->ntargets == 0 || mio_address_covered(p->targets, p->ntargets, address)) &&
           !mio_address_covered(p->excludes, p->nexcludes, address);
}

static void include(struct mio_inst *inst, uint8_t *in, struct mio_inst **stack, size_t *n)
{
    if (in[inst->number])
        return;
    in[inst->number] = 1;
    stack[(*n)++] = inst;
}

/* A target or an exclusion that covers nothing is most likely a slip of the pen. */
static void warn_unmatched(struct mio_planner *p, const char *const *list, size_t n,
                           const char *flag)
{
    for (size_t k = 0; k < n; k++) {
        bool found = false;
        for (size_t i = 0; i < p->st->ninsts && !found; i++)
            found = mio_address_covered(&list[k], 1, p->st->insts[i]->address);
        for (size_t i = 0; i < p->state->nrows && !found; i++)
            found = mio_address_covered(&list[k], 1, p->state->rows[i].address);
        if (!found)
            mio_diags_warn(p->diags, (struct mio_pos){0},
                           "`mlops-iac state list` and `graph` show the addresses.",
                           "%s=%s matches no resource of the template or the state", flag, list[k]);
    }
}

void mio_planner_check_selection(struct mio_planner *p)
{
    warn_unmatched(p, p->targets, p->ntargets, "-target");
    warn_unmatched(p, p->excludes, p->nexcludes, "-exclude");
    warn_unmatched(p, p->replaces, p->nreplaces, "-replace");
}

/* Whatever needs an excluded one is excluded too: each instance and each edge is looked at once. */
static void exclude_dependants(struct mio_planner *p, uint8_t *in, struct mio_inst **stack)
{
    size_t ninsts = p->st->ninsts, edges = 0, n = 0;
    struct mio_inst **insts = p->st->insts;
    uint32_t *first = mio_arena_zalloc(p->arena, (ninsts + 2) * sizeof *first);
    for (size_t i = 0; i < ninsts; i++)
        for (size_t k = 0; k < insts[i]->deps.n; k++, edges++)
            first[insts[i]->deps.items[k]->number]++;
    uint32_t *dependants = MIO_NEW_N(p->arena, uint32_t, edges + 1);
    for (size_t i = 0; i <= ninsts; i++)
        first[i + 1] += first[i];
    for (size_t i = 0; i < ninsts; i++) /* filled from the back: first[i] ends as i's start */
        for (size_t k = 0; k < insts[i]->deps.n; k++)
            dependants[--first[insts[i]->deps.items[k]->number]] = (uint32_t)i;
    for (size_t i = 0; i < ninsts; i++)
        if (!in[i])
            stack[n++] = insts[i];
    while (n) {
        size_t i = stack[--n]->number;
        for (uint32_t k = first[i]; k < first[i + 1]; k++, p->looks++)
            if (in[dependants[k]]) {
                in[dependants[k]] = 0;
                stack[n++] = insts[dependants[k]];
            }
    }
}

/* Targets bring along what they depend on; what is to be destroyed brings along what depends on it.
 */
void mio_planner_narrow(struct mio_planner *p)
{
    size_t ninsts = p->st->ninsts, n = 0;
    uint8_t *in = mio_arena_zalloc(p->arena, ninsts + 1);
    struct mio_inst **stack = MIO_NEW_N(p->arena, struct mio_inst *, ninsts + 1);
    for (size_t i = 0; i < ninsts; i++)
        if (p->ntargets == 0 ||
            mio_address_covered(p->targets, p->ntargets, p->st->insts[i]->address))
            include(p->st->insts[i], in, stack, &n);
    while (n) {
        struct mio_inst *inst = stack[--n];
        for (size_t i = 0; i < inst->deps.n; i++)
            include(inst->deps.items[i], in, stack, &n);
        struct mio_step *s = mio_step_of(inst);
        for (size_t i = 0; s && i < s->late_deps.n; i++)
            include(s->late_deps.items[i], in, stack, &n);
    }
    for (size_t i = 0; i < ninsts; i++)
        if (mio_address_covered(p->excludes, p->nexcludes, p->st->insts[i]->address))
            in[i] = 0;
    if (p->nexcludes)
        exclude_dependants(p, in, stack);
    for (size_t i = 0; i < ninsts; i++)
        if (p->steps[i])
            p->steps[i]->excluded = !in[i];
    for (size_t i = ninsts; i < p->nsteps; i++) {
        struct mio_str a = p->steps[i]->row->address;
        p->steps[i]->excluded = !mio_planner_selected(p, a);
    }
}

/* Steps of recorded rows, linked by what was recorded as their dependencies. */
struct links {
    struct mio_step **of_row; /* beside state->rows; NULL: no step */
    uint32_t *first,
        *dependants; /* those of row i: dependants[first[i]] up to dependants[first[i + 1]] */
};

static ptrdiff_t row_number(const struct mio_planner *p, struct mio_str address)
{
    const struct mio_row *row = mio_state_find(p->state, address, MIO_STR(""));
    return row ? row - p->state->rows : -1;
}

static void link_rows(const struct mio_planner *p, struct links *l)
{
    size_t n = p->state->nrows, edges = 0;
    l->of_row = mio_arena_zalloc(p->arena, (n + 1) * sizeof *l->of_row);
    l->first = mio_arena_zalloc(p->arena, (n + 2) * sizeof *l->first);
    for (size_t i = 0; i < p->nsteps; i++) {
        l->of_row[p->steps[i]->row - p->state->rows] = p->steps[i];
        edges += p->steps[i]->record ? p->steps[i]->record->dependencies.n : 0;
    }
    l->dependants = MIO_NEW_N(p->arena, uint32_t, edges + 1);
    /* Counted, summed up, then filled from the back: first[i] ends as the start of row i. */
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < n; i++)
            for (uint32_t k = 0;
                 l->of_row[i] && l->of_row[i]->record && k < l->of_row[i]->record->dependencies.n;
                 k++) {
                ptrdiff_t on =
                    row_number(p, mio_value_str(l->of_row[i]->record->dependencies.items[k]));
                if (on >= 0 && fill)
                    l->dependants[--l->first[on]] = (uint32_t)i;
                else if (on >= 0)
                    l->first[on]++;
            }
        for (size_t i = 0; i <= n && !fill; i++)
            l->first[i + 1] += l->first[i];
    }
}

/* Destroying a target destroys what was built on it; what an excluded one was built on stays with
 * it. */
void mio_planner_narrow_destroy(struct mio_planner *p)
{
    struct links l;
    struct mio_step **stack = MIO_NEW_N(p->arena, struct mio_step *, p->nsteps + 1);
    size_t n = 0;
    link_rows(p, &l);
    for (size_t i = 0; i < p->nsteps; i++) {
        p->steps[i]->excluded = !mio_planner_selected(p, p->steps[i]->row->address);
        if (!p->steps[i]->excluded)
            stack[n++] = p->steps[i];
    }
    while (n) {
        size_t row = (size_t)(stack[--n]->row - p->state->rows);
        for (uint32_t k = l.first[row]; k < l.first[row + 1]; k++) {
            struct mio_step *s = l.of_row[l.dependants[k]];
            if (s->excluded && !mio_address_covered(p->excludes, p->nexcludes, s->row->address)) {
                s->excluded = false;
                stack[n++] = s;
            }
        }
    }
    for (size_t i = 0; i < p->nsteps; i++)
        if (mio_address_covered(p->excludes, p->nexcludes, p->steps[i]->row->address))
            stack[n++] = p->steps[i];
    while (n) {
        const struct mio_step *s = stack[--n];
        for (uint32_t k = 0; s->record && k < s->record->dependencies.n; k++) {
            ptrdiff_t on = row_number(p, mio_value_str(s->record->dependencies.items[k]));
            struct mio_step *needed = on < 0 ? NULL : l.of_row[on];
            if (needed && !needed->excluded) {
                needed->excluded = true;
                stack[n++] = needed;
            }
        }
    }
}
