/* planner/run/prepare.c: what an operation sends and what the journal is told first: inputs as they
 * really are now, keys, deadlines, the row as it will be. Main thread only. See exec.h. */
#include "planner/run/exec.h"
#include "providers/sdk/clock.h"

static int64_t timeout_s(const struct mio_step *s, const struct mio_kind *k, enum mio_action action)
{
    static const char *const names[] = {[MIO_CREATE] = "create",
                                        [MIO_UPDATE] = "update",
                                        [MIO_DELETE] = "delete",
                                        [MIO_READ] = "read"};
    int64_t seconds = 1200;
    if (k)
        seconds = action == MIO_CREATE   ? k->create_timeout_s
                  : action == MIO_UPDATE ? k->update_timeout_s
                  : action == MIO_DELETE ? k->delete_timeout_s
                                         : k->read_timeout_s;
    int64_t own = 0;
    if (s->inst && names[action])
        own = mio_own_timeout_s(s->inst->res->block, names[action]);
    else if (action == MIO_DELETE && s->record)
        own = s->record->delete_timeout_s; /* the block is gone */
    seconds = own ? own : seconds;
    return seconds > 0 ? seconds : 1200;
}

/* What is destroyed lies with the provider that made it; the rest with the one that the template
 * names. */
static struct mio_str provider_of(const struct mio_op *op)
{
    const struct mio_step *s = op->step;
    return op->type == MIO_OP_DESTROY && s->record ? s->record->provider : s->change->provider;
}

static void base_record(struct mio_exec *x, struct mio_op *op, struct mio_work *w)
{
    struct mio_step *s = op->step;
    struct mio_record *t = &w->intent.target;
    *t = s->record ? *s->record : (struct mio_record){.content = mio_map(NULL, 0)};
    t->deposed = op->type == MIO_OP_DESTROY && s->record ? s->record->deposed : MIO_STR("");
    t->address = s->change->address;
    t->kind = s->change->kind;
    t->provider = provider_of(op);
    if (op->type == MIO_OP_DESTROY || !s->inst)
        return;
    const struct mio_kind *k = s->inst->res->kind;
    t->schema_version = k->schema_version;
    t->create_before_destroy = s->cbd;
    t->forget = s->inst->res->block->lifecycle.on_removed_forget;
    t->delete_timeout_s = (uint32_t)mio_own_timeout_s(s->inst->res->block, "delete");
    t->dependencies = mio_wanted_dependencies(&w->arena, s->inst);
    t->attributes = mio_map(NULL, 0);
    (void)x;
}

/* Inputs as they really are now; they must agree with what was planned. */
static enum mio_code real_inputs(struct mio_exec *x, struct mio_op *op, enum mio_body_part part,
                                 struct mio_value planned, struct mio_value *out,
                                 struct mio_err *err)
{
    struct mio_step *s = op->step;
    size_t errors = x->e->diags.errors;
    if (mio_holds_mask(planned)) {
        mio_fail(err, MIO_STATE, "%.*s needs a secret that the state does not hold",
                 MIO_FMT(s->inst->address));
        return mio_err_hint(
            err, x->e->state.keeps
                     ? "It was recorded before the state was sealed, as a digest, and the platform "
                       "does not tell it again: -replace the resource that makes it, or pass it "
                       "by a variable."
                     : "An attribute it refers to is sensitive, and only its digest is recorded. "
                       "A sealed state keeps it: set MLOPS_IAC_STATE_KEY_FILE (docs/state.md). Or "
                       "pass the secret by a variable.");
    }
    if (!mio_has_unknown(planned)) {
        *out = planned;
        return MIO_OK;
    }
    struct mio_deps ignored = {0}, *outer = x->e->stack.collect;
    x->e->stack.collect = &ignored;
    enum mio_code rc = mio_body_eval(&x->e->stack, s->inst, part, out, err);
    x->e->stack.collect = outer;
    if (rc) {
        err->reported = x->e->diags.errors > errors;
        return rc;
    }
    *out = mio_mark(&x->e->arena, &s->inst->res->kind->root, *out);
    if (s->row && !s->gone)
        *out = mio_keep_ignored(&x->e->arena, s->inst->res->kind, &s->inst->res->block->lifecycle,
                                part == MIO_BODY_LATE, *out, s->observed, s->record->inputs);
    for (uint32_t i = 0; i < planned.n; i++) {
        const struct mio_value *now = mio_get(*out, planned.pairs[i].key);
        const struct mio_field *f = mio_field_get(&s->inst->res->kind->root, planned.pairs[i].key);
        if (!mio_has_unknown(planned.pairs[i].value) &&
            (!now || !mio_same(f, planned.pairs[i].value, *now)))
            return mio_fail(err, MIO_BUG, "%.*s of %.*s is no longer what was planned",
                            MIO_FMT(planned.pairs[i].key), MIO_FMT(s->inst->address));
    }
    if (mio_has_unknown(*out))
        return mio_fail(err, MIO_BUG, "%.*s still has unknown values while it is applied",
                        MIO_FMT(s->inst->address));
    return MIO_OK;
}

static enum mio_code prepare_main(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                                  struct mio_err *err)
{
    struct mio_step *s = op->step;
    struct mio_value inputs, content = s->content;
    if (real_inputs(x, op, MIO_BODY_MAIN, s->inputs, &inputs, err))
        return err->code;
    if ((mio_has_unknown(content) || content.type != MIO_MAP) &&
        mio_wanted_content(&x->e->planner, s->inst, inputs, &content, err))
        return err->code;
    s->inputs = inputs;
    s->content = content;
    w->wanted = inputs;
    w->call.inputs = mio_unmark(&w->arena, inputs);
    w->call.content = content;
    /* The late part keeps what it had until its own turn. */
    struct mio_value sent = inputs;
    if (s->inst->res->kind->has_late && s->action == MIO_UPDATE && s->record)
        for (uint32_t i = 0; i < s->record->inputs.n; i++) {
            const struct mio_field *f =
                mio_field_get(&s->inst->res->kind->root, s->record->inputs.pairs[i].key);
            if (f && (f->flags & MLOPS_LATE))
                sent = mio_map_with(&w->arena, sent, f->name, s->record->inputs.pairs[i].value);
        }
    struct mio_record *t = &w->intent.target;
    t->inputs = mio_keep(&w->arena, &x->e->state, sent);
    t->content = content;
    char digest[MIO_SHA256_HEX + 1];
    mio_wanted_digest(&x->e->planner, s->inst, sent, content, digest);
    t->digest = mio_arena_str(&w->arena, mio_str_z(digest));
    w->planned = s->after;
    return MIO_OK;
}

static enum mio_code prepare_late(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                                  struct mio_err *err)
{
    struct mio_step *s = op->step;
    struct mio_value late;
    if (real_inputs(x, op, MIO_BODY_LATE, s->late, &late, err))
        return err->code;
    struct mio_value inputs = mio_map_merge(&w->arena, s->inputs, late);
    struct mio_value *paths = MIO_NEW_N(&w->arena, struct mio_value, late.n + 1u);
    for (uint32_t i = 0; i < late.n; i++)
        paths[i] = mio_string(late.pairs[i].key);
    w->wanted = inputs;
    w->call.inputs = mio_unmark(&w->arena, inputs);
    w->call.changed = mio_list(paths, late.n);
    w->call.content = s->content;
    struct mio_record *t = &w->intent.target;
    t->inputs = mio_keep(&w->arena, &x->e->state, inputs);
    t->content = s->content.type == MIO_MAP ? s->content : mio_map(NULL, 0);
    char digest[MIO_SHA256_HEX + 1];
    mio_wanted_digest(&x->e->planner, s->inst, inputs, s->content, digest);
    t->digest = mio_arena_str(&w->arena, mio_str_z(digest));
    return MIO_OK;
}

/* The current row as it is now (an earlier operation of this apply may have written it). */
static enum mio_code current(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                             struct mio_str deposed, struct mio_record *out, bool *found,
                             struct mio_err *err)
{
    const struct mio_row *row = mio_state_find(&x->e->state, op->step->change->address, deposed);
    *found = row != NULL;
    return row ? mio_row_read(&w->arena, row, out, err) : MIO_OK;
}

static enum mio_jrn_verb verb_of(const struct mio_op *op)
{
    switch (mio_op_action(op)) {
    case MIO_CREATE:
        return MIO_JRN_CREATE;
    case MIO_DELETE:
        return MIO_JRN_DELETE;
    case MIO_FORGET:
        return MIO_JRN_FORGET;
    case MIO_NOOP:
    case MIO_READ:
    case MIO_UPDATE:
    case MIO_REPLACE:
    case MIO_REPLACE_CREATE:
        break;
    }
    return MIO_JRN_UPDATE;
}

static void set_deposed(struct mio_exec *x, struct mio_op *op, struct mio_work *w)
{
    struct mio_step *s = op->step;
    if (op->type == MIO_OP_APPLY && s->action == MIO_REPLACE_CREATE && s->record && !s->gone) {
        uint8_t noise[4];
        char hex[9];
        mio_random(noise, sizeof noise);
        mio_hex(noise, sizeof noise, hex);
        if (op->depose_key.n == 0)
            op->depose_key = mio_arena_str(&x->e->arena, mio_str_z(hex));
        w->intent.depose = true;
        w->intent.depose_key = op->depose_key;
        s->record->deposed = w->intent.depose_key; /* what the destroy that follows will look for */
    }
}

enum mio_code mio_exec_prepare(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                               struct mio_err *err)
{
    struct mio_step *s = op->step;
    struct mio_engine *e = x->e;
    struct mio_prov *prov = mio_provs_find(&e->provs, provider_of(op));
    enum mio_jrn_verb verb = verb_of(op);
    bool found = false;
    struct mio_record now = {0};
    if (verb != MIO_JRN_FORGET && (!prov || !prov->configured))
        return mio_fail(err, MIO_TEMPLATE,
                        "the provider \"%.*s\" is not configured in the template",
                        MIO_FMT(provider_of(op)));
    struct mio_str deposed =
        op->type == MIO_OP_DESTROY && s->record ? s->record->deposed : MIO_STR("");
    if (verb != MIO_JRN_CREATE && current(x, op, w, deposed, &now, &found, err))
        return err->code;
    if (prov) {
        w->plugin = prov->plugin;
        w->plugin_name = prov->type;
        w->kind = mio_schema_kind(prov->schema, s->change->kind);
    }
    w->journal = x->journal;
    w->salt = e->state.salt;
    w->keeps = e->state.keeps;
    base_record(x, op, w);
    struct mio_record *t = &w->intent.target;
    if (found && verb != MIO_JRN_UPDATE)
        *t = now;
    if (op->number == 0)
        op->number = ++x->number;
    w->intent.op = op->number;
    w->intent.planned = op->planned;
    w->intent.verb = verb;
    w->intent.address = t->address;
    w->intent.deposed = deposed;
    w->intent.kind = t->kind;
    w->intent.provider = t->provider;
    w->intent.create_class = w->kind ? (uint32_t)w->kind->create_class : MLOPS_CREATE_D;
    t->generation = (s->record ? s->record->generation : 0) + (verb == MIO_JRN_CREATE);
    w->call = (struct mio_prov_change){
        .kind = t->kind,
        .address = t->address,
        .fingerprint = s->fingerprint,
        .inputs = mio_null(),
        .prior = mio_null(),
        .changed = s->changed.type == MIO_LIST ? s->changed : mio_list(NULL, 0),
        .content = mio_map(NULL, 0),
        .base_dir = s->inst ? s->inst->res->block->base_dir : e->tpl->dir};
    if (verb != MIO_JRN_CREATE) {
        w->intent.id = w->call.id = found ? now.id : s->record ? s->record->id : MIO_STR("");
        w->call.prior = found && (op->type == MIO_OP_LATE || s->observed.type != MIO_MAP)
                            ? now.attributes
                            : s->observed;
        t->id = w->intent.id;
        if (op->type == MIO_OP_LATE && found)
            w->call.fingerprint = now.fingerprint;
    }
    set_deposed(x, op, w);
    char key[27];
    mio_jrn_key(e->state.salt, e->state.lineage, x->base_serial, t->address, verb,
                t->generation + (op->type == MIO_OP_LATE ? 1u << 30 : 0), key);
    w->intent.key = mio_arena_str(&w->arena, mio_str_z(key));
    w->timeout_ms = 1000 * timeout_s(s, w->kind, mio_op_action(op));
    w->opts = (struct mio_call_opts){.key = w->intent.key,
                                     .attempt = 1,
                                     .cancel = e->opts.abort,
                                     .deadline_ms = mio_now_ms() + w->timeout_ms};
    if (op->type == MIO_OP_DESTROY)
        return MIO_OK;
    return op->type == MIO_OP_LATE ? prepare_late(x, op, w, err) : prepare_main(x, op, w, err);
}

enum mio_code mio_exec_prepare_read(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                                    struct mio_err *err)
{
    struct mio_step *s = op->step;
    struct mio_prov *prov = mio_provs_find(&x->e->provs, s->change->provider);
    struct mio_scope_arg arg = {.st = &x->e->stack, .mod = s->inst->res->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    const struct mio_node *body = s->inst->res->block->body;
    struct mio_pair *pairs = MIO_NEW_N(&x->e->arena, struct mio_pair, body->n + 1);
    size_t n = 0;
    x->e->stack.self = s->inst;
    for (size_t i = 0; !err->code && i < body->n; i++) {
        pairs[n].key = body->entries[i].key;
        if (!mio_is_meta_key(pairs[n].key))
            mio_node_eval(body->entries[i].value, &scope, &pairs[n++].value, err);
    }
    x->e->stack.self = NULL;
    w->is_read = true;
    w->plugin = prov->plugin;
    w->kind = s->inst->res->kind;
    w->intent.address = s->inst->address;
    w->call.inputs = mio_unmark(&x->e->arena, mio_map(pairs, n));
    w->opts.deadline_ms = mio_now_ms() + 60000;
    return err->code;
}
