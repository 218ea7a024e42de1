/* planner/change/decide.c: one instance: wanted, recorded, observed, and what follows. See
 * planner.h. */
#include "planner/change/planner.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"

enum mio_code mio_step_record(struct mio_planner *p, struct mio_step *s, struct mio_err *err)
{
    if (s->record || !s->row)
        return MIO_OK;
    struct mio_record *rec = MIO_NEW(p->arena, struct mio_record);
    if (mio_row_read(p->arena, s->row, rec, err))
        return err->code;
    s->record = rec;
    return MIO_OK;
}

struct mio_value mio_observed(struct mio_planner *p, const struct mio_kind *kind,
                              const struct mio_record *rec, struct mio_value told)
{
    struct mio_value v =
        mio_carry_marks(p->arena, rec->attributes, mio_mark(p->arena, &kind->root, told));
    return mio_keep(p->arena, p->state, v);
}

struct mio_value mio_healed(struct mio_planner *p, const struct mio_step *s)
{
    struct mio_value was = s->record->attributes;
    if (!p->state->keeps || !mio_holds_mask(was))
        return was;
    struct mio_value told = s->observed.type == MIO_MAP ? s->observed : mio_map(NULL, 0);
    return mio_unmask(p->arena, p->state->salt, was, mio_map_merge(p->arena, s->inputs, told));
}

static struct mio_row *row_of(struct mio_planner *p, struct mio_inst *inst, size_t *index)
{
    struct mio_row *row = mio_state_find(p->state, inst->address, MIO_STR(""));
    if (row)
        *index = (size_t)(row - p->state->rows);
    return row;
}

/* Attributes before the change: what the refresh saw, else what was recorded. */
static enum mio_code look(struct mio_planner *p, struct mio_step *s, size_t index,
                          struct mio_err *err)
{
    const struct mio_observation *ob = p->refresh->here[index];
    s->fingerprint = s->row->fingerprint;
    switch ((enum mio_seen)p->refresh->seen[index]) {
    case MIO_SEEN_GONE:
        s->gone = true;
        return mio_step_record(p, s, err);
    case MIO_SEEN_ERROR:
        s->trouble = ob->err;
        break;
    case MIO_SEEN_HERE:
        if (mio_step_record(p, s, err))
            return err->code;
        s->observed = mio_observed(p, s->inst->res->kind, s->record, ob->attributes);
        s->fingerprint = ob->fingerprint;
        return MIO_OK;
    case MIO_SEEN_NOT:
    case MIO_SEEN_UNCHANGED:
        break;
    }
    if (mio_step_record(p, s, err))
        return err->code;
    s->observed = s->record->attributes;
    return MIO_OK;
}

static struct mio_value only(struct mio_planner *p, const struct mio_field *object,
                             struct mio_value v, uint32_t flag)
{
    struct mio_pair *pairs = MIO_NEW_N(p->arena, struct mio_pair, object->nfields + 1);
    size_t n = 0;
    for (size_t i = 0; i < object->nfields; i++) {
        const struct mio_value *x =
            object->fields[i].flags & flag ? mio_get(v, object->fields[i].name) : NULL;
        if (x)
            pairs[n++] = (struct mio_pair){object->fields[i].name, *x};
    }
    return mio_map(pairs, n);
}

/* What the plugin has to add: computed values known already, reasons to replace. */
static enum mio_code ask_plugin(struct mio_planner *p, struct mio_step *s,
                                struct mio_diff_out *diff, bool create, struct mio_err *err)
{
    const struct mio_res *r = s->inst->res;
    struct mio_prov *prov = mio_provs_find(p->provs, s->inst->provider);
    if (p->validating || !prov || !prov->configured || !(prov->schema->caps & MLOPS_CAP_PLAN))
        return MIO_OK;
    struct mio_pair *pairs = MIO_NEW_N(p->arena, struct mio_pair, s->inputs.n + 1u);
    size_t n = 0;
    for (uint32_t i = 0; i < s->inputs.n; i++)
        if (!mio_has_unknown(s->inputs.pairs[i].value))
            pairs[n++] = s->inputs.pairs[i];
    struct mio_pair *known = MIO_NEW_N(p->arena, struct mio_pair, s->content.n + 1u);
    size_t nk = 0;
    for (uint32_t i = 0; i < s->content.n; i++)
        if (s->content.pairs[i].value.type == MIO_STRING)
            known[nk++] = s->content.pairs[i];
    struct mio_prov_change c = {
        .kind = r->kind->name,
        .address = s->inst->address,
        .id = create || !s->row ? MIO_STR("") : s->row->id,
        .inputs = mio_map(pairs, n),
        .prior = s->row && !s->gone ? s->observed : mio_null(),
        .changed = s->changed.type == MIO_LIST ? s->changed : mio_list(NULL, 0),
        .content = mio_map(known, nk),
        .base_dir = r->block->base_dir,
    };
    struct mio_call_opts o = {.cancel = p->cancel};
    struct mio_value answer;
    bool supported;
    if (mio_provider_plan(prov->plugin, p->arena, &c, &o, &supported, &answer, err)) {
        mio_err_address(err, s->inst->address);
        return mio_err_at(err, r->block->pos);
    }
    if (!supported || answer.type != MIO_MAP)
        return MIO_OK;
    const struct mio_value *computed = mio_get_z(answer, "computed"),
                           *unknown = mio_get_z(answer, "unknown");
    const struct mio_value *replace = mio_get_z(answer, "replace"),
                           *update = mio_get_z(answer, "update");
    if (computed)
        s->after = mio_map_merge(p->arena, s->after, mio_mark(p->arena, &r->kind->root, *computed));
    for (uint32_t i = 0; unknown && unknown->type == MIO_LIST && i < unknown->n; i++)
        s->after = mio_map_with(p->arena, s->after, mio_value_str(unknown->items[i]),
                                mio_unknown(MIO_UNKNOWN));
    for (uint32_t i = 0; replace && replace->type == MIO_LIST && i < replace->n; i++) {
        struct mio_diff_attr attr = {.path = mio_get_str(replace->items[i], "path"),
                                     .replaces = true};
        MIO_PUSH(p->arena, diff->attrs, diff->n, diff->cap) = attr;
        diff->replaces = diff->main = true;
    }
    for (uint32_t i = 0; update && update->type == MIO_LIST && i < update->n; i++) {
        struct mio_diff_attr attr = {.path = mio_get_str(update->items[i], "path")};
        MIO_PUSH(p->arena, diff->attrs, diff->n, diff->cap) = attr;
        diff->main = true;
    }
    return MIO_OK;
}

static void keep_attrs(struct mio_planner *p, struct mio_step *s, const struct mio_diff_out *diff)
{
    struct mio_value *paths = MIO_NEW_N(p->arena, struct mio_value, diff->n + 1);
    size_t n = 0;
    s->attrs = diff->attrs;
    s->nattrs = diff->n;
    for (size_t i = 0; i < diff->n; i++)
        if (!diff->attrs[i].late)
            paths[n++] = mio_string(diff->attrs[i].path);
    s->changed = mio_list(paths, n);
}

/* Does something that replace_triggered_by refers to change? */
static bool triggered(const struct mio_step *s)
{
    for (size_t i = 0; i < s->triggers.n; i++) {
        const struct mio_step *other = mio_step_of(s->triggers.items[i]);
        if (other && other->action != MIO_NOOP && other->action != MIO_READ)
            return true;
    }
    return false;
}

static enum mio_code protect(struct mio_step *s, struct mio_err *err)
{
    const struct mio_block *b = s->inst->res->block;
    if (!b->lifecycle.prevent_destroy)
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "%.*s would be destroyed, but lifecycle.prevent_destroy is set",
             MIO_FMT(s->inst->address));
    mio_err_hint(
        err, "Leave it out with -exclude, undo the change that asks for a replacement, or remove "
             "prevent_destroy.");
    return mio_err_at(err, b->lifecycle.prevent_destroy_pos.file ? b->lifecycle.prevent_destroy_pos
                                                                 : b->pos);
}

/* The object lies with another provider than the block names now. */
static bool is_elsewhere(const struct mio_step *s)
{
    return s->row && !mio_str_eq(s->row->provider, s->inst->provider);
}

/* It can be replaced only while the provider that has it is there to destroy it. */
static enum mio_code check_elsewhere(struct mio_planner *p, const struct mio_step *s,
                                     struct mio_err *err)
{
    if (!is_elsewhere(s) || mio_prov_has(p->provs, s->row->provider))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE,
             "%.*s lies with the provider \"%.*s\", which the template no longer has",
             MIO_FMT(s->inst->address), MIO_FMT(s->row->provider));
    mio_err_hint(err,
                 "Put the provider back until the resource has moved; or, where only its name has "
                 "changed: mlops-iac state replace-provider '%.*s' '%.*s'.",
                 MIO_FMT(s->row->provider), MIO_FMT(s->inst->provider));
    return mio_err_at(err, s->inst->res->block->pos);
}

static enum mio_reason why_replace(const struct mio_step *s, const struct mio_diff_out *diff,
                                   bool requested, bool trigger)
{
    if (is_elsewhere(s))
        return MIO_WHY_PROVIDER;
    if (requested)
        return MIO_WHY_REQUESTED;
    if (s->row->status == MIO_ROW_TAINTED)
        return MIO_WHY_TAINTED;
    if (trigger)
        return MIO_WHY_TRIGGERS;
    return diff->content && !diff->replaces ? MIO_WHY_CONTENT : MIO_WHY_CANNOT_UPDATE;
}

static enum mio_code create(struct mio_planner *p, struct mio_step *s, struct mio_diff_in *in,
                            struct mio_diff_out *diff, struct mio_err *err)
{
    s->action = MIO_CREATE;
    s->main_change = true;
    s->late_change = s->late.type == MIO_MAP && s->late.n > 0;
    in->observed = in->recorded = in->prior_inputs = mio_null();
    s->after = mio_diff_after(p->arena, in, diff, true);
    return ask_plugin(p, s, diff, true, err);
}

static enum mio_code compare(struct mio_planner *p, struct mio_step *s, struct mio_diff_in *in,
                             struct mio_err *err)
{
    struct mio_diff_out diff;
    bool trigger = triggered(s),
         requested = mio_address_covered(p->replaces, p->nreplaces, s->inst->address);
    mio_diff(p->arena, in, &diff);
    s->after = mio_diff_after(p->arena, in, &diff, false);
    keep_attrs(p, s, &diff);
    bool elsewhere = is_elsewhere(s);
    if (diff.n && !elsewhere && ask_plugin(p, s, &diff, false, err))
        return err->code;
    bool asset = s->inst->res->kind->flags & MLOPS_KIND_ASSET;
    bool once = s->inst->res->kind->flags & MLOPS_KIND_JOB;
    bool replace = requested || trigger || elsewhere || s->row->status == MIO_ROW_TAINTED ||
                   diff.replaces || ((asset || once) && diff.content);
    keep_attrs(p, s, &diff);
    s->late_change = diff.late;
    if (replace) {
        enum mio_reason why = why_replace(s, &diff, requested, trigger);
        struct mio_value observed = s->observed;
        if (protect(s, err) || create(p, s, in, &diff, err))
            return err->code;
        s->observed = observed;
        s->action = s->cbd ? MIO_REPLACE_CREATE : MIO_REPLACE;
        s->reason = (uint8_t)why;
        s->changed = mio_list(NULL, 0);
        return MIO_OK;
    }
    s->main_change = diff.main;
    s->action = diff.main || diff.late ? MIO_UPDATE : MIO_NOOP;
    if (diff.repairs)
        s->reason = MIO_WHY_DRIFT;
    else if (diff.content)
        s->reason = MIO_WHY_CONTENT;
    s->rewrite = s->action == MIO_NOOP &&
                 memcmp(s->digest, s->record->digest.p, MIO_SHA256_HEX) != 0 && s->digest[0];
    s->rewrite |= s->action == MIO_NOOP && s->digest[0] && p->state->keeps &&
                  !mio_equal(mio_healed(p, s), s->record->attributes);
    return MIO_OK;
}

/* wanted = main and late parts together; the late part of before stands in until its own turn. */
static enum mio_code settle(struct mio_planner *p, struct mio_step *s, struct mio_value late,
                            struct mio_err *err)
{
    const struct mio_res *r = s->inst->res;
    struct mio_value wanted =
        late.type == MIO_MAP ? mio_map_merge(p->arena, s->inputs, late) : s->inputs;
    struct mio_diff_in in = {
        .kind = r->kind,
        .salt = p->state->salt,
        .wanted = wanted,
        .content = s->content,
        .ignore = r->block->lifecycle.ignore_changes,
        .nignore = r->block->lifecycle.nignore,
        .ignore_all = r->block->lifecycle.ignore_all,
    };
    struct mio_diff_out diff = {0};
    s->digest[0] = '\0';
    if (!mio_has_unknown(wanted) && !mio_has_unknown(s->content))
        mio_wanted_digest(p, s->inst, wanted, s->content, s->digest);
    if (!s->row || s->gone)
        return create(p, s, &in, &diff, err);
    in.prior_inputs = s->record->inputs;
    in.observed = s->observed;
    in.recorded = s->record->attributes;
    in.prior_content = s->record->content;
    return compare(p, s, &in, err);
}

static bool is_quiet(const struct mio_planner *p, const struct mio_step *s, size_t index)
{
    enum mio_seen seen = (enum mio_seen)p->refresh->seen[index];
    return (seen == MIO_SEEN_UNCHANGED || seen == MIO_SEEN_NOT) && s->row->status == MIO_ROW_OK &&
           memcmp(s->digest, s->row->digest.p, MIO_SHA256_HEX) == 0 &&
           !s->inst->res->block->lifecycle.replace_triggered_by &&
           !s->inst->res->block->lifecycle.precondition &&
           !s->inst->res->block->lifecycle.postcondition &&
           (p->nreplaces == 0 || !mio_address_covered(p->replaces, p->nreplaces, s->inst->address));
}

/* With what is known by now; an apply asks again. What they name comes before this one, or an apply
 * could not answer. */
static enum mio_code check_before(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err)
{
    struct mio_deps *outer = p->st->collect;
    p->st->collect = &inst->deps;
    mio_conditions(p->st, inst, inst->res->block->lifecycle.precondition, NULL, "precondition",
                   err);
    p->st->collect = outer;
    return err->code;
}

/* A kind with a late part has all its fields when that part is decided, which may wait for what was
 * built on the object. */
static enum mio_code check_after(struct mio_planner *p, struct mio_step *s, struct mio_err *err)
{
    struct mio_deps *outer = p->st->collect;
    p->st->collect = s->inst->res->kind->has_late ? &s->late_deps : &s->inst->deps;
    mio_conditions(p->st, s->inst, s->inst->res->block->lifecycle.postcondition, &s->after,
                   "postcondition", err);
    p->st->collect = outer;
    return err->code;
}

enum mio_code mio_decide(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err)
{
    struct mio_res *r = inst->res;
    struct mio_step *s = MIO_NEW(p->arena, struct mio_step);
    size_t index = 0;
    s->inst = inst;
    s->cbd = r->block->lifecycle.create_before_destroy || (r->kind->flags & MLOPS_KIND_ASSET);
    s->row = row_of(p, inst, &index);
    if (s->row)
        p->claimed[index] = 1;
    struct mio_prov *prov;
    if (mio_prov_of(p->provs, p->st, inst, &prov, err) || check_elsewhere(p, s, err) ||
        mio_stack_depends(p->st, inst, err) ||
        mio_stack_named(p->st, r->mod, r->block->lifecycle.replace_triggered_by, &s->triggers, err))
        return err->code;
    s->trouble = prov->trouble;
    mio_deps_merge(p->st, &inst->deps, &s->triggers);
    size_t kept = ++p->st->kept; /* whoever evaluates around this one must keep it */
    struct mio_arena_mark mark = mio_arena_mark(p->arena);
    struct mio_deps *outer = p->st->collect;
    p->st->collect = &inst->deps;
    enum mio_code rc = mio_body_eval(p->st, inst, MIO_BODY_MAIN, &s->inputs, err);
    p->st->collect = outer;
    if (rc) {
        err->reported = true;
        return rc;
    }
    s->inputs = mio_mark(p->arena, &r->kind->root, s->inputs);
    if (mio_wanted_content(p, inst, s->inputs, &s->content, err))
        return err->code;
    inst->user = s;
    if (s->row && !r->kind->has_late && !mio_has_unknown(s->inputs) &&
        !mio_has_unknown(s->content)) {
        mio_wanted_digest(p, inst, s->inputs, s->content, s->digest);
        if (is_quiet(p, s, index)) {
            s->lazy = true;
            s->fingerprint = s->row->fingerprint;
            if (p->st->kept ==
                kept) { /* nothing else was left in the arena: take the evaluation back */
                s->inputs = s->content = mio_null();
                mio_arena_rewind(p->arena, mark);
            }
            return MIO_OK;
        }
    }
    if (s->row && look(p, s, index, err))
        return err->code;
    if (s->row && !s->gone)
        s->inputs = mio_keep_ignored(p->arena, r->kind, &r->block->lifecycle, false, s->inputs,
                                     s->observed, s->record->inputs);
    if (check_before(p, inst, err))
        return err->code;
    struct mio_value late = mio_null();
    if (r->kind->has_late && s->record)
        late = only(p, &r->kind->root, s->record->inputs, MLOPS_LATE);
    return settle(p, s, late, err) || r->kind->has_late ? err->code : check_after(p, s, err);
}

enum mio_code mio_decide_late(struct mio_planner *p, struct mio_step *s, struct mio_err *err)
{
    struct mio_deps *outer = p->st->collect;
    p->st->collect = &s->late_deps;
    enum mio_code rc = mio_body_eval(p->st, s->inst, MIO_BODY_LATE, &s->late, err);
    p->st->collect = outer;
    if (rc) {
        err->reported = true;
        return rc;
    }
    s->late = mio_mark(p->arena, &s->inst->res->kind->root, s->late);
    if (s->row && !s->gone)
        s->late = mio_keep_ignored(p->arena, s->inst->res->kind, &s->inst->res->block->lifecycle,
                                   true, s->late, s->observed, s->record->inputs);
    return settle(p, s, s->late, err) ? err->code : check_after(p, s, err);
}

/* A lookup is answered now when everything it asks by is known and settled; else while applying. */
enum mio_code mio_decide_data(struct mio_planner *p, struct mio_inst *inst, struct mio_err *err)
{
    struct mio_res *r = inst->res;
    struct mio_step *s = MIO_NEW(p->arena, struct mio_step);
    struct mio_scope_arg arg = {.st = p->st, .mod = r->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_prov *prov;
    s->inst = inst;
    inst->user = s;
    if (mio_prov_of(p->provs, p->st, inst, &prov, err) || mio_stack_depends(p->st, inst, err))
        return err->code;
    const struct mio_node *body = r->block->body;
    struct mio_pair *pairs = MIO_NEW_N(p->arena, struct mio_pair, body->n + 1);
    size_t n = 0;
    struct mio_deps *outer = p->st->collect;
    struct mio_inst *self = p->st->self;
    p->st->collect = &inst->deps;
    p->st->self = inst;
    for (size_t i = 0; body->type == MIO_NODE_MAP && !err->code && i < body->n; i++) {
        pairs[n].key = body->entries[i].key;
        if (!mio_is_meta_key(body->entries[i].key))
            mio_node_eval(body->entries[i].value, &scope, &pairs[n++].value, err);
    }
    p->st->collect = outer;
    p->st->self = self;
    if (err->code)
        return mio_err_address(err, inst->address);
    s->inputs = mio_map(pairs, n);
    if (check_before(p, inst, err))
        return err->code;
    bool pending = false;
    for (size_t i = 0; i < inst->deps.n; i++) {
        const struct mio_step *d = mio_step_of(inst->deps.items[i]);
        pending |= d && d->action != MIO_NOOP;
    }
    s->trouble = prov->trouble;
    if (p->validating || mio_has_unknown(s->inputs) || pending || s->trouble) {
        s->action = MIO_READ;
        s->main_change = true;
        s->reason = pending ? MIO_WHY_DEPENDENCY_PENDING : MIO_WHY_CONFIG_UNKNOWN;
        struct mio_diff_in in = {.kind = r->kind, .wanted = mio_map(NULL, 0)};
        struct mio_diff_out none = {0};
        s->after = mio_map_merge(p->arena, mio_diff_after(p->arena, &in, &none, true), s->inputs);
        return MIO_OK;
    }
    struct mio_call_opts o = {.cancel = p->cancel};
    if (mio_provider_data(prov->plugin, p->arena, r->kind->name, s->inputs, &o, &s->after, err)) {
        mio_err_address(err, inst->address);
        return mio_err_at(err, r->block->pos);
    }
    s->after = mio_mark(p->arena, &r->kind->root, s->after);
    return check_after(p, s, err);
}
