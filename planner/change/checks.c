/* planner/change/checks.c: preconditions, postconditions, checks and policies. See planner.h. */
#include "planner/change/planner.h"

static const char undecidable[] =
    "what it asks for is not known, so nobody can say whether it holds";

/* *ok is -1 when it cannot be said yet. */
static enum mio_code condition(const struct mio_scope *scope, const struct mio_node *n, int *ok,
                               struct mio_err *err)
{
    struct mio_value v;
    if (!mio_node_eval(n, scope, &v, err) && mio_is_null(v))
        mio_fail(err, MIO_TEMPLATE, "the condition is null, not true or false");
    if (err->code || mio_to_bool(v, &v, err))
        return mio_err_at(err, n->pos);
    *ok = v.type == MIO_BOOL ? v.b : -1;
    return MIO_OK;
}

static struct mio_str message(const struct mio_scope *scope, const struct mio_node *n)
{
    struct mio_value v;
    struct mio_err err = {0};
    if (n && mio_node_eval(n, scope, &v, &err) == MIO_OK && v.type == MIO_STRING &&
        !mio_is_sensitive(v))
        return mio_value_str(v);
    return MIO_STR("the condition does not hold");
}

enum mio_code mio_conditions(struct mio_stack *st, struct mio_inst *inst,
                             const struct mio_node *rules, const struct mio_value *self,
                             const char *what, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = inst->res->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_inst *outer = st->self;
    const struct mio_value *outer_value = st->self_value;
    st->self = inst;
    st->self_value = self;
    for (size_t i = 0; rules && !err->code && i < rules->n; i++) {
        const struct mio_node *cond = mio_node_get(rules->items[i], "condition");
        int ok = -1;
        if (!cond || condition(&scope, cond, &ok, err) || ok > 0 || (ok < 0 && st->planning))
            continue;
        if (ok < 0) /* in the apply nobody asks again: what nobody can say is no yes */
            mio_fail(err, MIO_STATE, "%s cannot be decided: %s", what, undecidable);
        else
            mio_fail(err, MIO_TEMPLATE, "%s failed: %.*s", what,
                     MIO_FMT(message(&scope, mio_node_get(rules->items[i], "error"))));
        mio_err_at(err, cond->pos);
    }
    st->self = outer;
    st->self_value = outer_value;
    return err->code ? mio_err_address(err, inst->address) : MIO_OK;
}

/* ---- what policies see of the plan ---- */

static struct mio_value change_value(struct mio_arena *a, const struct mio_change *c)
{
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 9);
    size_t n = 0;
    p[n++] = (struct mio_pair){MIO_STR("address"), mio_string(c->address)};
    p[n++] = (struct mio_pair){MIO_STR("module"), mio_string(c->module)};
    p[n++] = (struct mio_pair){MIO_STR("kind"), mio_string(c->kind)};
    p[n++] = (struct mio_pair){MIO_STR("name"), mio_string(c->name)};
    p[n++] = (struct mio_pair){MIO_STR("provider"), mio_string(c->provider)};
    p[n++] = (struct mio_pair){MIO_STR("action"), mio_string_z(mio_action_name(c->action))};
    p[n++] = (struct mio_pair){MIO_STR("reason"), mio_string_z(mio_reason_name(c->reason))};
    p[n++] = (struct mio_pair){MIO_STR("before"), c->before};
    p[n++] = (struct mio_pair){MIO_STR("after"), c->after};
    return mio_map(p, n);
}

/* {plan: {changes: [...], counts: {...}}}; what stays as it is is left out. */
static struct mio_value plan_value(struct mio_arena *a, const struct mio_plan *plan)
{
    const struct {
        const char *name;
        size_t n;
    } counts[] = {{"add", plan->counts.add},         {"change", plan->counts.change},
                  {"destroy", plan->counts.destroy}, {"forget", plan->counts.forget},
                  {"import", plan->counts.import},   {"move", plan->counts.move}};
    struct mio_value *changes = MIO_NEW_N(a, struct mio_value, plan->nchanges + 1);
    struct mio_pair *tally = MIO_NEW_N(a, struct mio_pair, sizeof counts / sizeof *counts);
    struct mio_pair *both = MIO_NEW_N(a, struct mio_pair, 2), *root = MIO_NEW(a, struct mio_pair);
    size_t n = 0;
    for (size_t i = 0; i < plan->nchanges; i++)
        if (plan->changes[i].action != MIO_NOOP && plan->changes[i].action != MIO_READ)
            changes[n++] = change_value(a, &plan->changes[i]);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        tally[i] =
            (struct mio_pair){mio_str_z(counts[i].name), mio_number_i64(a, (int64_t)counts[i].n)};
    both[0] = (struct mio_pair){MIO_STR("changes"), mio_list(changes, n)};
    both[1] = (struct mio_pair){MIO_STR("counts"), mio_map(tally, sizeof counts / sizeof *counts)};
    *root = (struct mio_pair){MIO_STR("plan"), mio_map(both, 2)};
    return mio_map(root, 1);
}

static bool is_plan(void *arg, const struct mio_ref *ref)
{
    bool *found = arg;
    *found = *found || mio_str_is(ref->root, "plan");
    return !*found;
}

static void find_plan(void *arg, const struct mio_expr *e)
{
    mio_expr_refs(e, is_plan, arg);
}

/* A policy that does not hold is an error, a check that does not hold a warning. */
static void tell(struct mio_stack *st, const struct mio_check *c, const char *what,
                 struct mio_str text)
{
    const char *word = c->blocks ? "policy" : "check";
    struct mio_str name = c->name; /* its module's prefix, and its own */
    size_t own = name.n;
    struct mio_err err = {0};
    while (own && name.p[own - 1] != '.')
        own--;
    mio_fail(&err, MIO_TEMPLATE, "%s \"%.*s\" %s: %.*s", word, MIO_FMT(name), what, MIO_FMT(text));
    mio_err_at(&err, c->pos);
    mio_err_address(&err,
                    mio_arena_printf(st->arena, "%.*s%s.%.*s", MIO_FMT(mio_str_sub(name, 0, own)),
                                     word, MIO_FMT(mio_str_sub(name, own, name.n))));
    mio_diags_add(st->diags, c->blocks ? MIO_ERROR : MIO_WARNING, &err);
}

/* Does it ask for changes of the plan? Those stay as they were planned. */
static bool is_about_plan(const struct mio_check *c)
{
    bool found = false;
    mio_node_exprs(c->condition, find_plan, &found);
    return found;
}

/* A policy that nothing can decide any more must not pass for one that holds. */
static bool is_undecidable(const struct mio_stack *st, const struct mio_check *c)
{
    return c->blocks && (!st->planning || is_about_plan(c));
}

static void run_check(struct mio_stack *st, const struct mio_scope *scope,
                      const struct mio_check *c, struct mio_check_result *r)
{
    struct mio_err err = {0};
    int ok = -1;
    if (condition(scope, c->condition, &ok, &err)) {
        r->message = mio_arena_str(st->arena, mio_str_z(err.message));
        mio_diags_add(st->diags, MIO_ERROR, &err);
        return;
    }
    if (ok < 0 && is_undecidable(st, c)) {
        r->message = mio_str_z(undecidable);
        tell(st, c, "cannot be decided", r->message);
        return;
    }
    r->unknown = ok < 0;
    r->passed = ok != 0;
    if (r->unknown && !st->planning)
        mio_diags_warn(st->diags, c->pos, NULL, "check \"%.*s\" cannot be decided: %s",
                       MIO_FMT(c->name), undecidable);
    if (r->unknown && c->blocks && st->planning)
        mio_diags_warn(st->diags, c->pos, NULL,
                       "policy \"%.*s\" can be decided only after the apply: what it asks for is "
                       "not known before",
                       MIO_FMT(c->name));
    if (r->passed)
        return;
    r->message = mio_arena_str(st->arena, message(scope, c->error));
    tell(st, c,
         !c->blocks     ? "failed"
         : st->planning ? "refuses the plan"
                        : "does not hold after the apply",
         r->message);
}

/* One check or policy of a module instance, under its whole name; false: not one of this plan. */
static bool is_asked(struct mio_stack *st, const struct mio_modinst *m, const struct mio_plan *plan,
                     struct mio_check *c)
{
    if (m->prefix.n)
        c->name = mio_arena_printf(st->arena, "%.*s%.*s", MIO_FMT(m->prefix), MIO_FMT(c->name));
    /* When everything goes, only what is said about the going counts. */
    return plan->mode == MIO_PLAN_NORMAL || (c->blocks && is_about_plan(c));
}

/* The checks and policies of one module instance; they see its names and the whole plan. Planning:
 * their results are noted; after an apply, those that were unknown are asked again. */
static void run_module(struct mio_stack *st, struct mio_modinst *m, struct mio_plan *plan,
                       const struct mio_value *extra, size_t *cap)
{
    struct mio_scope_arg arg = {.st = st, .mod = m, .extra = extra};
    struct mio_scope scope = mio_stack_scope(&arg);
    for (size_t i = 0; i < m->tpl->checks.n; i++) {
        struct mio_check c = m->tpl->checks.items[i];
        if (!is_asked(st, m, plan, &c))
            continue;
        struct mio_check_result *r = NULL;
        if (st->planning) {
            r = &MIO_PUSH(st->arena, plan->checks, plan->nchecks, *cap);
            *r = (struct mio_check_result){.name = c.name, .blocks = c.blocks, .pos = c.pos};
        }
        for (size_t k = 0; !st->planning && !r && k < plan->nchecks; k++)
            if (plan->checks[k].unknown && mio_str_eq(plan->checks[k].name, c.name) &&
                plan->checks[k].blocks == c.blocks)
                r = &plan->checks[k];
        if (r)
            run_check(st, &scope, &c, r);
    }
}

static bool has_checks(const struct mio_stack *st)
{
    bool any = st->root->tpl->checks.n > 0;
    for (size_t i = 0; i < st->ncalls; i++)
        any = any || st->calls[i]->call->tpl->checks.n > 0;
    return any;
}

static bool is_any_open(const struct mio_plan *plan)
{
    bool any = false;
    for (size_t i = 0; i < plan->nchecks; i++)
        any = any || plan->checks[i].unknown;
    return any;
}

void mio_checks_run(struct mio_stack *st, struct mio_plan *plan)
{
    if (!has_checks(st) || (!st->planning && !is_any_open(plan)))
        return; /* what they see of the plan costs something */
    struct mio_value extra = plan_value(st->arena, plan);
    size_t cap = 0;
    if (st->planning) {
        plan->checks = NULL;
        plan->nchecks = 0;
    }
    run_module(st, st->root, plan, &extra, &cap);
    for (size_t i = 0; i < st->ncalls; i++)
        for (size_t k = 0; k < st->calls[i]->n; k++)
            run_module(st, st->calls[i]->items[k], plan, &extra, &cap);
}

static void look(struct mio_stack *st, struct mio_modinst *m)
{
    struct mio_scope_arg arg = {.st = st, .mod = m};
    struct mio_scope scope = mio_stack_scope(&arg);
    for (size_t i = 0; i < m->tpl->checks.n; i++) {
        const struct mio_check *c = &m->tpl->checks.items[i];
        struct mio_err err = {0};
        int ok;
        if (!is_about_plan(c) && condition(&scope, c->condition, &ok, &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
}

void mio_checks_look(struct mio_stack *st)
{
    look(st, st->root);
    for (size_t i = 0; i < st->ncalls; i++)
        for (size_t k = 0; k < st->calls[i]->n; k++)
            look(st, st->calls[i]->items[k]);
}
