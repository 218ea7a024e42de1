/* planner/change/planner.c: from an unfolded template to a plan. See planner.h. */
#include "planner/change/planner.h"
#include "providers/sdk/buf.h"

/* ---- the value hook: plans by demand ---- */

static enum mio_code circle(struct mio_planner *p, const struct mio_inst *inst, struct mio_err *err)
{
    size_t from = p->nbusy;
    while (from > 0 && p->busy[from - 1] != inst)
        from--;
    MIO_AUTO_BUF chain = {0}, places = {0};
    for (size_t i = from ? from - 1 : 0; i < p->nbusy; i++) {
        const struct mio_inst *k = p->busy[i];
        struct mio_pos pos = k->res->block->pos;
        mio_buf_printf(&chain, "%.*s -> ", MIO_FMT(k->address));
        if (pos.file && pos.file <= p->sources->n)
            mio_buf_printf(&places, "%s%.*s at %.*s:%u", places.n ? ", " : "", MIO_FMT(k->address),
                           MIO_FMT(p->sources->items[pos.file - 1].path), pos.line);
    }
    mio_buf_str(&chain, inst->address);
    mio_fail(err, MIO_TEMPLATE, "the resources refer to each other in a circle: %s", chain.p);
    mio_err_hint(err, "Take one of these references out: %s.", places.n ? places.p : "");
    return mio_err_at(err, inst->res->block->pos);
}

static enum mio_code visit(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err)
{
    if (inst->visit == MIO_VISIT_DONE)
        return MIO_OK;
    if (inst->visit == MIO_VISIT_BUSY)
        return circle(p, inst, err);
    if (inst->visit == MIO_VISIT_FAILED) {
        err->reported = true;
        return mio_fail(err, MIO_TEMPLATE, "%.*s could not be planned", MIO_FMT(inst->address));
    }
    if (!inst->res->kind) {
        err->reported = true; /* what has no kind was reported when providers were bound */
        return mio_fail(err, MIO_TEMPLATE, "%.*s has no kind", MIO_FMT(inst->address));
    }
    inst->visit = MIO_VISIT_BUSY;
    MIO_PUSH(p->arena, p->busy, p->nbusy, p->busy_cap) = inst;
    enum mio_code rc =
        inst->res->block->is_data ? mio_decide_data(p, inst, err) : mio_decide(p, inst, err);
    p->nbusy--;
    inst->visit = rc ? MIO_VISIT_FAILED : MIO_VISIT_DONE;
    if (rc) {
        mio_err_address(err, inst->address);
        mio_diags_add(p->diags, MIO_ERROR, err);
        err->reported = true;
    }
    return rc;
}

enum mio_code mio_planner_value(void *arg, struct mio_inst *inst, struct mio_value *out,
                                struct mio_err *err)
{
    struct mio_planner *p = arg;
    if (mio_refresh_collect(p->refresh, err) || visit(p, inst, err))
        return err->code;
    struct mio_step *s = mio_step_of(inst);
    if (s->lazy) {
        if (mio_step_record(p, s, err))
            return err->code;
        s->after = s->observed = s->record->attributes;
        s->lazy = false;
        p->st->kept++;
    }
    *out = s->after;
    return MIO_OK;
}

/* ---- rows that no instance claims ---- */

/* Why a row has to go, from what is left of its block in the template. */
static enum mio_reason why_gone(struct mio_planner *p, struct mio_str address)
{
    struct mio_address ad;
    struct mio_err err = {0};
    if (mio_address_parse(p->arena, address, &ad, &err))
        return MIO_WHY_NO_RESOURCE_CONFIG;
    bool module_there = ad.module.n == 0;
    for (size_t i = 0; i < p->st->nres; i++) {
        const struct mio_res *r = p->st->res[i];
        bool same_module = mio_res_in_module(r, ad.module);
        module_there |= same_module;
        if (!same_module || !mio_str_eq(r->block->kind, ad.kind) ||
            !mio_str_eq(r->block->name, ad.name))
            continue;
        if (r->repetition == MIO_DISABLED)
            return MIO_WHY_DISABLED;
        bool by_count = ad.key.type == MIO_NUMBER, by_each = ad.key.type == MIO_STRING;
        if (by_count && r->repetition == MIO_COUNT)
            return MIO_WHY_COUNT_INDEX;
        return by_each && r->repetition == MIO_FOR_EACH ? MIO_WHY_EACH_KEY
                                                        : MIO_WHY_WRONG_REPETITION;
    }
    return module_there ? MIO_WHY_NO_RESOURCE_CONFIG : MIO_WHY_NO_MODULE;
}

static void go(struct mio_planner *p, struct mio_row *row, enum mio_reason why)
{
    size_t i = (size_t)(row - p->state->rows);
    struct mio_step *s = MIO_NEW(p->arena, struct mio_step);
    struct mio_err err = {0};
    s->row = row;
    s->reason = (uint8_t)why;
    s->gone = p->refresh->seen[i] == MIO_SEEN_GONE;
    s->fingerprint = row->fingerprint;
    if (mio_step_record(p, s, &err)) {
        mio_diags_add(p->diags, MIO_ERROR, &err);
        return;
    }
    bool forget =
        mio_planner_forgets(p, row->address) || (s->record->forget && p->mode == MIO_PLAN_NORMAL);
    s->action = forget ? MIO_FORGET : MIO_DELETE;
    struct mio_prov *prov = mio_provs_find(p->provs, row->provider);
    const struct mio_kind *kind =
        prov && prov->schema ? mio_schema_kind(prov->schema, row->kind) : NULL;
    s->trouble = prov ? prov->trouble : NULL;
    s->observed = s->record->attributes;
    if (p->refresh->seen[i] == MIO_SEEN_HERE && kind) {
        s->observed = mio_observed(p, kind, s->record, p->refresh->here[i]->attributes);
        s->fingerprint = p->refresh->here[i]->fingerprint;
    }
    if (s->action == MIO_DELETE && !mio_prov_has(p->provs, row->provider) &&
        mio_planner_selected(p, row->address)) {
        mio_fail(
            &err, MIO_TEMPLATE,
            "the template no longer has the provider \"%.*s\", and the state still has objects "
            "of it",
            MIO_FMT(row->provider));
        mio_err_hint(&err,
                     "Put it back until they are destroyed, or give them up with `removed:` and "
                     "`on_removed: forget`, or `mlops-iac state rm '%.*s'`.",
                     MIO_FMT(row->address));
        mio_err_address(&err, row->address);
        mio_diags_add(p->diags, MIO_ERROR, &err);
        return;
    }
    if (s->gone) /* drift tells of it; nothing is left to delete */
        s->rewrite = true, s->action = MIO_NOOP;
    MIO_PUSH(p->arena, p->steps, p->nsteps, p->steps_cap) = s;
}

static void orphans(struct mio_planner *p)
{
    for (size_t i = 0; i < p->state->nrows; i++) {
        struct mio_row *row = &p->state->rows[i];
        if (row->deposed.n)
            go(p, row, MIO_WHY_DEPOSED);
        else if (!p->claimed[i] ||
                 p->mode == MIO_PLAN_DESTROY) /* a for_each may have looked at it */
            go(p, row, p->mode == MIO_PLAN_DESTROY ? MIO_WHY_NONE : why_gone(p, row->address));
    }
}

/* ---- create before destroy reaches down to what is depended on ---- */

static void mark_cbd(struct mio_inst *inst, struct mio_inst **stack, size_t *n)
{
    for (size_t i = 0; i < inst->deps.n; i++) {
        struct mio_step *d = mio_step_of(inst->deps.items[i]);
        if (!d || d->cbd || inst->deps.items[i]->res->block->is_data)
            continue;
        d->cbd = true;
        if (d->action == MIO_REPLACE)
            d->action = MIO_REPLACE_CREATE;
        stack[(*n)++] = inst->deps.items[i];
    }
}

static void propagate_cbd(struct mio_planner *p)
{
    struct mio_inst **stack = MIO_NEW_N(p->arena, struct mio_inst *, p->st->ninsts + 1);
    size_t n = 0;
    for (size_t i = 0; i < p->st->ninsts; i++) {
        struct mio_step *s = mio_step_of(p->st->insts[i]);
        if (s && s->cbd && s->action != MIO_NOOP)
            mark_cbd(p->st->insts[i], stack, &n);
    }
    while (n)
        mark_cbd(stack[--n], stack, &n);
}

/* ---- destroy ---- */

static void destroy_all(struct mio_planner *p)
{
    for (size_t i = 0; i < p->st->nres; i++) {
        struct mio_res *r = p->st->res[i];
        for (size_t k = 0; k < r->n && r->block->lifecycle.prevent_destroy; k++)
            if (mio_state_find(p->state, r->insts[k].address, MIO_STR("")) &&
                mio_planner_selected(p, r->insts[k].address))
                mio_diags_error(p->diags, MIO_TEMPLATE, r->block->pos,
                                "Remove prevent_destroy, or leave it out with -exclude.",
                                "%.*s would be destroyed, but lifecycle.prevent_destroy is set",
                                MIO_FMT(r->insts[k].address));
    }
}

/* ---- what could not be asked ---- */

/* Objects that could not be read, and providers that could not be configured, where the plan is
 * about them: what -target and -exclude leave out does not matter. A provider is named once. */
static void tell_troubles(struct mio_planner *p)
{
    for (size_t i = 0; i < p->nsteps; i++) {
        const struct mio_step *s = p->steps[i];
        if (!s || !s->trouble || s->excluded)
            continue;
        struct mio_prov *prov =
            mio_provs_find(p->provs, s->inst ? s->inst->provider : s->row->provider);
        if (prov && prov->trouble == s->trouble) {
            if (prov->told)
                continue;
            prov->told = true;
        }
        struct mio_err err = *s->trouble;
        if (s->inst)
            mio_err_at(&err, s->inst->res->block->pos);
        mio_diags_add(p->diags, MIO_ERROR, &err);
    }
}

/* ---- putting the plan together ---- */

/* Before the first write the state's salt is another one in each run, while a saved plan must come
 * out the same when it is made again: what is planned has masks without salt then, as the rest of
 * the plan file has. */
static struct mio_str plan_salt(const struct mio_planner *p)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    return p->state->serial ? p->state->salt : MIO_STR(zeros);
}

static void fill_change(struct mio_planner *p, struct mio_step *s, struct mio_change *c)
{
    s->change = c;
    *c = (struct mio_change){
        .action = s->excluded ? MIO_NOOP : (enum mio_action)s->action,
        .reason = (enum mio_reason)s->reason,
        .before = s->gone && s->action == MIO_CREATE
                      ? mio_null()
                      : mio_mask(p->arena, plan_salt(p), s->observed),
        .after = mio_mask(p->arena, plan_salt(p), s->after), /* equal secrets then look equal */
        .attrs = s->attrs,
        .nattrs = s->nattrs,
    };
    if (s->row) {
        c->address = s->row->address;
        c->deposed = s->row->deposed;
        c->kind = s->row->kind;
        c->provider = s->row->provider;
        c->id = s->row->id;
    }
    if (s->inst) {
        const struct mio_res *r = s->inst->res;
        c->address = s->inst->address;
        c->kind = r->block->kind;
        c->name = r->block->name;
        c->key = s->inst->key;
        c->provider = s->inst->provider;
        c->is_data = r->block->is_data;
        c->pos = r->block->pos;
        c->schema = r->kind;
        c->module = mio_str_sub(r->mod->prefix, 0, r->mod->prefix.n - (r->mod->prefix.n > 0));
    } else {
        struct mio_address ad = {0};
        struct mio_err err = {0};
        struct mio_prov *prov = mio_provs_find(p->provs, c->provider);
        if (mio_address_parse(p->arena, c->address, &ad, &err) == MIO_OK) {
            c->name = ad.name;
            c->key = ad.key;
            c->module = ad.module;
        }
        c->schema = prov && prov->schema ? mio_schema_kind(prov->schema, c->kind) : NULL;
        c->after = mio_null();
    }
    if (c->action == MIO_NOOP && !s->inst)
        c->after = c->before;
}

static struct mio_str moved_from(const struct mio_planner *p, struct mio_str address)
{
    for (size_t i = 0; i < p->nmoved; i++)
        if (mio_str_eq(p->moved[i].to, address))
            return p->moved[i].from;
    return MIO_STR("");
}

static void count(struct mio_plan_counts *n, const struct mio_change *c)
{
    switch (c->action) {
    case MIO_NOOP:
        break;
    case MIO_READ:
        n->read++;
        break;
    case MIO_CREATE:
        n->add++;
        break;
    case MIO_UPDATE:
        n->change++;
        break;
    case MIO_DELETE:
        n->destroy++;
        break;
    case MIO_REPLACE:
    case MIO_REPLACE_CREATE:
        n->add++;
        n->destroy++;
        break;
    case MIO_FORGET:
        n->forget++;
        break;
    }
}

static void assemble(struct mio_planner *p)
{
    struct mio_plan *plan = p->plan;
    plan->changes = MIO_NEW_N(p->arena, struct mio_change, p->nsteps + 1);
    for (size_t i = 0; i < p->nsteps; i++) {
        struct mio_step *s = p->steps[i];
        plan->rewrites += s && s->rewrite && !s->excluded;
        if (!s || (!s->inst && s->action == MIO_NOOP))
            continue;
        if (s->action != MIO_NOOP && !s->excluded)
            mio_cause_fill(p, s);
        struct mio_change *c = &plan->changes[plan->nchanges++];
        fill_change(p, s, c);
        c->previous_address = p->nmoved ? moved_from(p, c->address) : MIO_STR("");
        count(&plan->counts, c);
    }
}

/* One object that could not be read is named. Where only reality is looked at, that is what is
 * wrong; else the block's own decision has met it. */
static void not_read(struct mio_planner *p, const struct mio_row *row, const struct mio_err *why)
{
    mio_refresh_unchecked(p->refresh, row, why->message);
    if (p->mode == MIO_PLAN_REFRESH_ONLY)
        mio_diags_add(p->diags, MIO_ERROR, why);
}

static void drift(struct mio_planner *p)
{
    struct mio_plan *plan = p->plan;
    size_t cap = 0;
    for (size_t i = 0; i < p->state->nrows; i++) {
        const struct mio_row *row = &p->state->rows[i];
        enum mio_seen seen = (enum mio_seen)p->refresh->seen[i];
        if (p->mode == MIO_PLAN_REFRESH_ONLY && !mio_planner_selected(p, row->address)) {
            if (seen != MIO_SEEN_NOT)
                mio_refresh_unchecked(p->refresh, row, "-target or -exclude leaves it out");
            continue;
        }
        if (seen == MIO_SEEN_ERROR)
            not_read(p, row, p->refresh->here[i]->err);
        if (seen != MIO_SEEN_HERE && seen != MIO_SEEN_GONE)
            continue;
        struct mio_prov *prov = mio_provs_find(p->provs, row->provider);
        const struct mio_kind *kind =
            prov && prov->schema ? mio_schema_kind(prov->schema, row->kind) : NULL;
        struct mio_record rec;
        struct mio_err err = {0};
        struct mio_diff_out diff = {0};
        if (!kind || mio_row_read(p->arena, row, &rec, &err))
            continue;
        struct mio_value now = seen == MIO_SEEN_HERE
                                   ? mio_observed(p, kind, &rec, p->refresh->here[i]->attributes)
                                   : mio_null();
        if (seen == MIO_SEEN_HERE &&
            !mio_drifted(kind, p->state->salt, rec.attributes, now, p->arena, &diff)) {
            p->refresh->seen[i] = MIO_SEEN_UNCHANGED;
            continue;
        }
        struct mio_change *c = &MIO_PUSH(p->arena, plan->drift, plan->ndrift, cap);
        *c = (struct mio_change){.address = row->address,
                                 .kind = row->kind,
                                 .provider = row->provider,
                                 .deposed = row->deposed,
                                 .id = row->id,
                                 .schema = kind,
                                 .action = seen == MIO_SEEN_HERE ? MIO_UPDATE : MIO_DELETE,
                                 .before = mio_mask(p->arena, p->state->salt, rec.attributes),
                                 .after = mio_mask(p->arena, p->state->salt, now),
                                 .attrs = diff.attrs,
                                 .nattrs = diff.n};
        struct mio_address ad = {0};
        if (mio_address_parse(p->arena, row->address, &ad, &err) == MIO_OK) {
            c->name = ad.name;
            c->key = ad.key;
            c->module = ad.module;
        }
    }
    plan->unchecked = p->refresh->unchecked;
    plan->nunchecked = p->refresh->nunchecked;
}

static const struct mio_state_output *recorded_output(const struct mio_state *s,
                                                      struct mio_str name)
{
    for (size_t i = 0; i < s->noutputs; i++)
        if (mio_str_eq(s->outputs[i].name, name))
            return &s->outputs[i];
    return NULL;
}

static bool output_differs(struct mio_planner *p, const struct mio_state_output *was,
                           struct mio_value v)
{
    if (p->state->keeps && mio_is_masked(was->value) && !mio_has_unknown(v) && !mio_holds_mask(v))
        return true; /* of a state that was not sealed: now the value itself is kept */
    if (mio_is_masked(was->value) && !mio_has_unknown(v))
        v = mio_mask(p->arena, p->state->salt, mio_sensitive(v));
    return !mio_equal(was->value, v);
}

static void outputs(struct mio_planner *p)
{
    const struct mio_template *t = p->st->root->tpl;
    bool gone = p->mode == MIO_PLAN_DESTROY;
    p->plan->outputs =
        MIO_NEW_N(p->arena, struct mio_output_change, t->outputs.n + p->state->noutputs + 1);
    for (size_t i = 0; !gone && i < t->outputs.n; i++) {
        const struct mio_output *o = &t->outputs.items[i];
        struct mio_output_change *c = &p->plan->outputs[p->plan->noutputs];
        struct mio_err err = {0};
        struct mio_value v;
        if (mio_stack_output(p->st, p->st->root, i, &v, &err)) {
            mio_err_at(&err, o->pos);
            mio_diags_add(p->diags, MIO_ERROR, &err);
            continue;
        }
        const struct mio_state_output *was = recorded_output(p->state, o->name);
        *c = (struct mio_output_change){.name = o->name, .after = v, .sensitive = o->sensitive};
        if (was)
            c->before = mio_output_value(was);
        c->action = !was                        ? (mio_is_null(v) ? MIO_NOOP : MIO_CREATE)
                    : output_differs(p, was, v) ? MIO_UPDATE
                                                : MIO_NOOP;
        p->plan->noutputs++;
    }
    for (size_t i = 0; i < p->state->noutputs; i++) {
        const struct mio_state_output *was = &p->state->outputs[i];
        bool there = false;
        for (size_t k = 0; !gone && k < t->outputs.n; k++)
            there |= mio_str_eq(t->outputs.items[k].name, was->name);
        if (!there)
            p->plan->outputs[p->plan->noutputs++] =
                (struct mio_output_change){.name = was->name,
                                           .action = MIO_DELETE,
                                           .before = was->value,
                                           .after = mio_null(),
                                           .sensitive = was->sensitive};
    }
}

static void visit_all(struct mio_planner *p)
{
    for (size_t i = 0; i < p->st->ninsts; i++) {
        struct mio_err err = {0};
        if (p->cancel && __atomic_load_n(p->cancel, __ATOMIC_RELAXED)) {
            mio_diags_error(p->diags, MIO_CANCELLED, (struct mio_pos){0}, NULL,
                            "the plan was interrupted");
            return;
        }
        visit(p, p->st->insts[i], &err);
    }
    for (size_t i = 0; i < p->st->ninsts; i++) {
        struct mio_step *s = mio_step_of(p->st->insts[i]);
        struct mio_err err = {0};
        if (s && p->st->insts[i]->res->kind->has_late && p->st->insts[i]->visit == MIO_VISIT_DONE &&
            !p->st->insts[i]->res->block->is_data && mio_decide_late(p, s, &err)) {
            mio_err_address(&err, p->st->insts[i]->address);
            mio_diags_add(p->diags, MIO_ERROR, &err);
        }
    }
}

/* ---- preflight ---- */

enum { PREFLIGHT_PART = 10000 };

static struct mio_value told_change(struct mio_planner *p, const struct mio_step *s)
{
    struct mio_pair *pairs = MIO_NEW_N(p->arena, struct mio_pair, 5);
    pairs[0] = (struct mio_pair){MIO_STR("address"), mio_string(s->change->address)};
    pairs[1] = (struct mio_pair){MIO_STR("kind"), mio_string(s->change->kind)};
    pairs[2] =
        (struct mio_pair){MIO_STR("action"), mio_string_z(mio_action_name(s->change->action))};
    pairs[3] = (struct mio_pair){MIO_STR("inputs"), s->inputs};
    pairs[4] = (struct mio_pair){MIO_STR("prior"), s->row && !s->gone ? s->observed : mio_null()};
    return mio_map(pairs, 5);
}

static void answer_to_diags(struct mio_planner *p, struct mio_value answer)
{
    for (uint32_t i = 0; answer.type == MIO_LIST && i < answer.n; i++) {
        struct mio_value a = answer.items[i];
        struct mio_err one = {.code = MIO_REALITY};
        snprintf(one.message, sizeof one.message, "%.*s", MIO_FMT(mio_get_str(a, "message")));
        snprintf(one.hint, sizeof one.hint, "%.*s", MIO_FMT(mio_get_str(a, "hint")));
        mio_err_address(&one, mio_get_str(a, "address"));
        const struct mio_change *c = mio_plan_find(p->plan, mio_get_str(a, "address"));
        if (c)
            mio_err_at(&one, c->pos);
        mio_diags_add(p->diags,
                      mio_str_is(mio_get_str(a, "severity"), "warning") ? MIO_WARNING : MIO_ERROR,
                      &one);
    }
}

/* Every change of one provider, told to its plugin before the first write; a very large plan comes
 * in parts. */
static void preflight_one(struct mio_planner *p, struct mio_prov *prov)
{
    struct mio_value *items = MIO_NEW_N(p->arena, struct mio_value, PREFLIGHT_PART);
    size_t n = 0;
    for (size_t i = 0; i <= p->nsteps; i++) {
        struct mio_step *s = i < p->nsteps ? p->steps[i] : NULL;
        if (s && s->change && s->change->action != MIO_NOOP && !s->change->is_data &&
            mio_str_eq(s->change->provider, prov->name))
            items[n++] = told_change(p, s);
        if (n == 0 || (n < PREFLIGHT_PART && i < p->nsteps))
            continue;
        struct mio_value answer = mio_null();
        struct mio_err err = {0};
        bool supported;
        if (mio_provider_preflight(prov->plugin, p->arena, mio_list(items, n), &supported, &answer,
                                   &err)) {
            mio_diags_add(p->diags, MIO_ERROR, &err);
            return;
        }
        answer_to_diags(p, answer);
        n = 0;
    }
}

static void preflight(struct mio_planner *p)
{
    for (size_t k = 0; k < p->provs->n; k++) {
        struct mio_prov *prov = &p->provs->items[k];
        if (prov->configured && prov->schema && (prov->schema->caps & MLOPS_CAP_PREFLIGHT))
            preflight_one(p, prov);
    }
}

/* There will be no plan: what else is wrong is said in the same run. */
static enum mio_code give_up(struct mio_planner *p)
{
    struct mio_value ignored;
    for (size_t i = 0; p->mode == MIO_PLAN_NORMAL && i < p->st->root->tpl->outputs.n; i++) {
        struct mio_err err = {0};
        if (mio_stack_output(p->st, p->st->root, i, &ignored, &err))
            mio_diags_add(p->diags, MIO_ERROR, &err);
    }
    if (p->mode == MIO_PLAN_NORMAL)
        mio_checks_look(p->st);
    return mio_diags_code(p->diags);
}

enum mio_code mio_planner_run(struct mio_planner *p)
{
    struct mio_err err = {0};
    size_t before = p->diags->errors;
    p->sha = mio_sha256_new();
    mio_buf_init(&p->scratch, 0);
    p->claimed = mio_arena_zalloc(p->arena, p->state->nrows + 1);
    mio_stack_expand(p->st); /* what is wrong here does not keep the rest from being looked at */
    if (p->mode == MIO_PLAN_NORMAL && !p->validating)
        mio_planner_check_moved(p);
    bool readable = mio_refresh_collect(p->refresh, &err) == MIO_OK;
    if (!readable)
        mio_diags_add(p->diags, MIO_ERROR, &err);
    if (readable && p->mode != MIO_PLAN_REFRESH_ONLY) {
        if (p->mode == MIO_PLAN_DESTROY)
            destroy_all(p);
        else
            visit_all(p), mio_stack_evaluate(p->st);
    }
    if (p->mode == MIO_PLAN_NORMAL) {
        p->steps = MIO_NEW_N(p->arena, struct mio_step *, p->st->ninsts + 1);
        for (size_t i = 0; i < p->st->ninsts; i++)
            p->steps[i] = mio_step_of(p->st->insts[i]);
        p->nsteps = p->steps_cap = p->st->ninsts;
    }
    /* Also of variables: what follows from wrong ones would mislead. Reality is looked at as far as
     * it can be. */
    if (p->diags->errors && p->mode != MIO_PLAN_REFRESH_ONLY)
        return give_up(p);
    if (p->mode != MIO_PLAN_REFRESH_ONLY)
        orphans(p);
    drift(p);
    mio_planner_check_selection(p);
    if (p->mode == MIO_PLAN_NORMAL)
        propagate_cbd(p);
    if (p->ntargets || p->nexcludes) {
        if (p->mode == MIO_PLAN_DESTROY)
            mio_planner_narrow_destroy(p);
        else if (p->mode == MIO_PLAN_NORMAL)
            mio_planner_narrow(p);
    }
    tell_troubles(p);
    if (p->diags->errors && p->mode != MIO_PLAN_REFRESH_ONLY)
        return mio_diags_code(p->diags);
    assemble(p);
    if (p->mode != MIO_PLAN_REFRESH_ONLY)
        outputs(p);
    p->plan->whole = p->diags->errors == before || p->mode == MIO_PLAN_REFRESH_ONLY;
    if (p->mode != MIO_PLAN_REFRESH_ONLY)
        mio_checks_run(p->st, p->plan);
    if (p->mode != MIO_PLAN_REFRESH_ONLY && !p->unguarded)
        mio_guards_run(p->st, p->plan);
    if (p->mode == MIO_PLAN_NORMAL && !p->validating && !p->looking)
        preflight(p);
    return p->diags->errors > before ? MIO_TEMPLATE : MIO_OK;
}

void mio_planner_free(struct mio_planner *p)
{
    mio_sha256_free(p->sha);
    mio_buf_free(&p->scratch);
    p->sha = NULL;
}
