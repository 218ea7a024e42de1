/* planner/change/checks.c: preconditions, postconditions, checks and policies. See planner.h. */
#include "planner/change/planner.h"

/* *ok is -1 when it cannot be said yet. */
static enum mio_code condition(const struct mio_scope *scope, const struct mio_node *n, int *ok,
                               struct mio_err *err)
{
    struct mio_value v;
    if (mio_node_eval(n, scope, &v, err) || mio_to_bool(v, &v, err))
        return mio_err_at(err, n->pos);
    *ok = v.type == MIO_BOOL ? v.b : -1;
    return MIO_OK;
}

static struct mio_str message(const struct mio_scope *scope, const struct mio_node *n)
{
    struct mio_value v;
    struct mio_err err = {0};
    if (n && mio_node_eval(n, scope, &v, &err) == MIO_OK && v.type == MIO_STRING && !mio_is_sensitive(v))
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
        if (cond && condition(&scope, cond, &ok, err) == MIO_OK && ok == 0) {
            mio_fail(err, MIO_TEMPLATE, "%s failed: %.*s", what,
                     MIO_FMT(message(&scope, mio_node_get(rules->items[i], "error"))));
            mio_err_at(err, cond->pos);
        }
    }
    st->self = outer;
    st->self_value = outer_value;
    return err->code ? mio_err_address(err, inst->address) : MIO_OK;
}

void mio_checks_run(struct mio_stack *st, struct mio_plan *plan)
{
    const struct mio_template *t = st->root->tpl;
    struct mio_scope_arg arg = {.st = st, .mod = st->root};
    struct mio_scope scope = mio_stack_scope(&arg);
    plan->checks = MIO_NEW_N(st->arena, struct mio_check_result, t->checks.n + 1);
    plan->nchecks = 0;
    for (size_t i = 0; i < t->checks.n; i++) {
        const struct mio_check *c = &t->checks.items[i];
        struct mio_check_result *r = &plan->checks[plan->nchecks++];
        struct mio_err err = {0};
        int ok = -1;
        *r = (struct mio_check_result){.name = c->name, .blocks = c->blocks, .pos = c->pos};
        if (condition(&scope, c->condition, &ok, &err)) {
            mio_diags_add(st->diags, MIO_ERROR, &err);
            continue;
        }
        r->unknown = ok < 0;
        r->passed = ok != 0;
        if (r->passed)
            continue;
        r->message = mio_arena_str(st->arena, message(&scope, c->error));
        if (c->blocks)
            mio_diags_error(st->diags, MIO_TEMPLATE, c->pos, NULL, "policy \"%.*s\" refuses the plan: %.*s",
                            MIO_FMT(c->name), MIO_FMT(r->message));
        else
            mio_diags_warn(st->diags, c->pos, NULL, "check \"%.*s\" failed: %.*s", MIO_FMT(c->name),
                           MIO_FMT(r->message));
    }
}
