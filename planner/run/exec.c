/* planner/run/exec.c: walking the operations: the main thread gives them out, workers carry them
 * out.
 *
 * Owns: the order, the state in memory, events. A failed operation skips what waits for it and
 * nothing else. */
#include "planner/run/exec.h"
#include "planner/run/review.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

enum { TICK_MS = 100, ABORT_GRACE_MS = 5000 };

static bool flag(const bool *b)
{
    return b && __atomic_load_n(b, __ATOMIC_RELAXED);
}

static void emit(struct mio_exec *x, enum mio_event_type type, struct mio_op *op,
                 struct mio_event *ev)
{
    ev->type = type;
    ev->done = x->finished;
    ev->total = x->ops.work;
    if (op) {
        ev->change = op->step->change;
        ev->address = op->step->change ? op->step->change->address : MIO_STR("");
        ev->action = mio_op_action(op);
        ev->late = op->type == MIO_OP_LATE;
    }
    mio_engine_event(x->e, ev);
}

static void end(struct mio_exec *x, struct mio_op *op, enum mio_op_status status)
{
    op->status = status;
    if (!op->idle && status == MIO_OP_SKIPPED)
        x->out->skipped++;
    for (size_t i = 0; i < op->nnext; i++) {
        op->next[i]->blocked |= status != MIO_OP_OK;
        if (--op->next[i]->waits == 0)
            x->ready[x->tail++] = op->next[i];
    }
}

static void fail(struct mio_exec *x, struct mio_op *op, const struct mio_err *err, double elapsed)
{
    struct mio_event ev = {.err = err, .elapsed_s = elapsed};
    x->first = x->first ? x->first : err->code;
    x->out->failed++;
    struct mio_err copy = *err;
    if (op->step->inst)
        mio_err_at(&copy, op->step->inst->res->block->pos);
    mio_err_address(&copy, op->step->change ? op->step->change->address : MIO_STR(""));
    mio_diags_add(&x->e->diags, MIO_ERROR, &copy);
    emit(x, MIO_EV_ERROR, op, &ev);
    end(x, op, MIO_OP_BAD);
}

/* ---- ending one ---- */

void mio_engine_record(struct mio_engine *e, const struct mio_jrn_intent *i,
                       const struct mio_record *result)
{
    struct mio_err err = {0};
    if (i->verb == MIO_JRN_DELETE || i->verb == MIO_JRN_FORGET) {
        mio_state_remove(&e->state, i->address, i->deposed);
        return;
    }
    const struct mio_row *row =
        i->depose ? mio_state_find(&e->state, i->address, MIO_STR("")) : NULL;
    struct mio_record old;
    if (row && mio_row_read(&e->arena, row, &old, &err) == MIO_OK) {
        old.deposed = i->depose_key;
        mio_state_remove(&e->state, i->address, MIO_STR(""));
        mio_state_put(&e->state, &old, &err);
    }
    struct mio_record rec =
        *result; /* of a sealed journal, perhaps, for a state that no longer is */
    rec.inputs = mio_keep(&e->arena, &e->state, rec.inputs);
    rec.attributes = mio_keep(&e->arena, &e->state, rec.attributes);
    if (mio_state_put(&e->state, &rec, &err))
        mio_diags_add(&e->diags, MIO_ERROR, &err);
}

static void tally(struct mio_exec *x, const struct mio_op *op)
{
    switch (mio_op_action(op)) {
    case MIO_CREATE:
        x->out->done.add++;
        break;
    case MIO_UPDATE:
        /* A late update belongs to the create or update of the same resource, unless it is all
         * there is. */
        if (op->type == MIO_OP_APPLY || !op->step->main_change)
            x->out->done.change++;
        break;
    case MIO_DELETE:
        x->out->done.destroy++;
        break;
    case MIO_FORGET:
        x->out->done.forget++;
        break;
    case MIO_READ:
    case MIO_NOOP:
    case MIO_REPLACE:
    case MIO_REPLACE_CREATE:
        break;
    }
}

/* What the plan could not answer is known now, or nothing is sent. */
static enum mio_code precondition(struct mio_exec *x, struct mio_op *op, struct mio_err *err)
{
    const struct mio_inst *inst = op->step->inst;
    if (!inst || op->type != MIO_OP_APPLY || !inst->res->block->lifecycle.precondition)
        return MIO_OK;
    return mio_conditions(&x->e->stack, op->step->inst, inst->res->block->lifecycle.precondition,
                          NULL, "precondition", err);
}

/* Of the whole object: not before its late part is there. */
static void postcondition(struct mio_exec *x, struct mio_op *op, struct mio_err *err)
{
    const struct mio_inst *inst = op->step->inst;
    if (!inst || op->type == MIO_OP_DESTROY || !inst->res->block->lifecycle.postcondition ||
        (op->type == MIO_OP_APPLY && op->step->late_change))
        return;
    mio_conditions(&x->e->stack, op->step->inst, inst->res->block->lifecycle.postcondition,
                   &op->step->after, "postcondition", err);
}

static void finish(struct mio_exec *x, struct mio_work *w)
{
    struct mio_op *op = w->owner;
    double elapsed = (double)(w->ended_ms - w->started_ms) / 1000.0;
    for (size_t i = 0; i < x->nworking; i++)
        if (x->working[i] == w)
            x->working[i--] = x->working[--x->nworking];
    x->running--;
    x->finished++;
    x->open |= w->open;
    if (w->done && !w->is_read)
        mio_engine_record(x->e, &w->intent, &w->result);
    if (w->done && op->step->inst && op->type != MIO_OP_DESTROY)
        op->step->after = mio_value_copy(&x->e->arena, w->attributes);
    if (w->done && !w->err.code)
        postcondition(x, op, &w->err);
    if (w->err.code) {
        if (w->done)
            tally(x, op);
        if (w->open)
            mio_err_hint(
                &w->err,
                "The journal remembers it; the next plan or apply finds out what became of it.");
        fail(x, op, &w->err, elapsed);
    } else {
        struct mio_event ev = {.elapsed_s = elapsed, .id = w->result.id, .percent = 100};
        tally(x, op);
        emit(x, MIO_EV_DONE, op, &ev);
        end(x, op, MIO_OP_OK);
    }
    mio_arena_free(&w->arena);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void start(struct mio_exec *x, struct mio_op *op)
{
    struct mio_work *w = mio_zalloc(1, sizeof *w);
    struct mio_err err = {0};
    mio_arena_init(&w->arena);
    pthread_mutex_init(&w->lock, NULL);
    w->owner = op;
    w->job.run = mio_work_run;
    enum mio_code rc = precondition(x, op, &err);
    if (!rc)
        rc = op->step->action == MIO_READ ? mio_exec_prepare_read(x, op, w, &err)
                                          : mio_exec_prepare(x, op, w, &err);
    if (rc) {
        x->finished++;
        fail(x, op, &err, 0);
        mio_arena_free(&w->arena);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return;
    }
    struct mio_event ev = {.percent = -1, .id = w->intent.id};
    op->status = MIO_OP_RUNNING;
    emit(x, MIO_EV_START, op, &ev);
    x->running++;
    x->working[x->nworking++] = w;
    mio_pool_put(x->pool, &w->job);
}

/* What plugins said of their operations since the last look. */
static void progress(struct mio_exec *x)
{
    for (size_t i = 0; i < x->nworking; i++) {
        char text[sizeof x->working[i]->progress];
        int percent;
        if (!mio_work_progress(x->working[i], text, &percent))
            continue;
        struct mio_event ev = {.message = mio_str_z(text), .percent = percent};
        emit(x, MIO_EV_PROGRESS, x->working[i]->owner, &ev);
    }
}

/* ---- the walk ---- */

static void interrupts(struct mio_exec *x)
{
    struct mio_event ev = {0};
    if (!x->draining && flag(x->e->opts.interrupt)) {
        x->draining = true;
        emit(x, MIO_EV_DRAINING, NULL, &ev);
    }
    if (!x->aborting && flag(x->e->opts.abort)) {
        x->draining = x->aborting = true;
        x->aborted_ms = mio_now_ms();
        for (size_t i = 0; i < x->e->provs.n; i++)
            if (x->e->provs.items[i].plugin)
                mio_provider_cancel(x->e->provs.items[i].plugin);
    }
    if (x->aborting && x->aborted_ms && mio_now_ms() - x->aborted_ms > ABORT_GRACE_MS) {
        x->aborted_ms = 0;
        for (size_t i = 0; i < x->e->provs.n; i++)
            if (x->e->provs.items[i].plugin)
                mio_provider_abort(x->e->provs.items[i].plugin);
    }
    if (x->journal)
        mio_jrn_tick(x->journal);
    if (!x->draining && x->journal && mio_jrn_poisoned(x->journal))
        x->draining = true; /* nothing new is started once it cannot be written down */
}

/* What stays as it is must fulfil its conditions too, once what they name is there. */
static void pass(struct mio_exec *x, struct mio_op *op)
{
    struct mio_err err = {0};
    if (!precondition(x, op, &err))
        postcondition(x, op, &err);
    if (err.code)
        fail(x, op, &err, 0);
    else
        end(x, op, MIO_OP_OK);
}

static void give_out(struct mio_exec *x)
{
    unsigned most = x->e->opts.parallelism ? x->e->opts.parallelism : 10;
    while (x->head < x->tail) {
        struct mio_op *op = x->ready[x->head];
        if (op->blocked || (x->draining && !op->idle)) {
            x->head++;
            x->finished += !op->idle;
            end(x, op, MIO_OP_SKIPPED);
        } else if (op->idle) {
            x->head++;
            pass(x, op);
        } else if (x->running < most) {
            x->head++;
            start(x, op);
        } else {
            return;
        }
    }
}

static void walk(struct mio_exec *x)
{
    x->ready = MIO_NEW_N(&x->e->arena, struct mio_op *, x->ops.n + 1);
    x->working = MIO_NEW_N(&x->e->arena, struct mio_work *,
                           (x->e->opts.parallelism ? x->e->opts.parallelism : 10) + 1u);
    for (size_t i = 0; i < x->ops.n; i++)
        if (x->ops.items[i].waits == 0)
            x->ready[x->tail++] = &x->ops.items[i];
    for (;;) {
        interrupts(x);
        give_out(x);
        if (x->running == 0 && x->head == x->tail)
            break;
        struct mio_job *job = mio_pool_take(x->pool, TICK_MS);
        if (job) {
            finish(x, (struct mio_work *)job);
            continue;
        }
        progress(x);
        struct mio_event ev = {0};
        emit(x, MIO_EV_TICK, NULL, &ev);
    }
}

/* ---- around it ---- */

/* All that is known of an object: what was recorded, and over it what the platform told. */
static struct mio_value known_of(struct mio_engine *e, const struct mio_row *row,
                                 const struct mio_record *rec)
{
    const struct mio_observation *ob = e->refresh.here[row - e->state.rows];
    return ob && ob->attributes.type == MIO_MAP
               ? mio_map_merge(&e->arena, rec->attributes,
                               mio_carry_marks(&e->arena, rec->attributes, ob->attributes))
               : rec->attributes;
}

/* Rows whose object the refresh saw changed or gone, where no operation touches them. */
static void record_drift(struct mio_engine *e)
{
    struct mio_err err = {0};
    for (size_t i = 0; i < e->plan.ndrift; i++) {
        const struct mio_change *d = &e->plan.drift[i];
        const struct mio_row *row = mio_state_find(&e->state, d->address, d->deposed);
        struct mio_record rec;
        if (d->action == MIO_DELETE || !row || mio_row_read(&e->arena, row, &rec, &err))
            continue;
        /* A repair compares with what was recorded, so ensured attributes stay until the repair is
         * done. */
        struct mio_value seen = d->after;
        for (size_t k = 0;
             d->schema && e->plan.mode == MIO_PLAN_NORMAL && k < d->schema->root.nfields; k++) {
            const struct mio_field *f = &d->schema->root.fields[k];
            const struct mio_value *was =
                f->flags & MLOPS_ENSURED ? mio_get(rec.attributes, f->name) : NULL;
            if (was)
                seen = mio_map_with(&e->arena, seen, f->name, *was);
        }
        seen = mio_unmask(&e->arena, e->state.salt, seen, known_of(e, row, &rec));
        rec.attributes =
            mio_keep(&e->arena, &e->state, mio_map_merge(&e->arena, rec.attributes, seen));
        mio_state_put(&e->state, &rec, &err);
    }
    for (size_t i = 0; i < e->plan.ndrift; i++) /* last: what is removed moves other rows */
        if (e->plan.drift[i].action == MIO_DELETE)
            mio_state_remove(&e->state, e->plan.drift[i].address, e->plan.drift[i].deposed);
}

static void rewrite_rows(struct mio_engine *e)
{
    for (size_t i = 0; i < e->planner.nsteps; i++) {
        struct mio_step *s = e->planner.steps[i];
        struct mio_err err = {0};
        if (!s || !s->rewrite || s->excluded || !s->inst || !s->record)
            continue;
        struct mio_record rec = *s->record;
        rec.digest = mio_str_z(s->digest);
        struct mio_value inputs =
            s->late.type == MIO_MAP ? mio_map_merge(&e->arena, s->inputs, s->late) : s->inputs;
        rec.inputs = mio_keep(&e->arena, &e->state, inputs);
        rec.attributes = mio_keep(&e->arena, &e->state, mio_healed(&e->planner, s));
        rec.content = s->content;
        rec.dependencies = mio_wanted_dependencies(&e->arena, s->inst);
        rec.create_before_destroy = s->cbd;
        rec.forget = s->inst->res->block->lifecycle.on_removed_forget;
        rec.delete_timeout_s = (uint32_t)mio_own_timeout_s(s->inst->res->block, "delete");
        mio_state_put(&e->state, &rec, &err);
    }
}

static void record_outputs(struct mio_exec *x)
{
    struct mio_engine *e = x->e;
    const struct mio_template *t = e->tpl;
    size_t n = 0;
    struct mio_state_output *list = MIO_NEW_N(&e->arena, struct mio_state_output, t->outputs.n + 1);
    struct mio_state_output *shown =
        MIO_NEW_N(&e->arena, struct mio_state_output, t->outputs.n + 1);
    if (e->plan.mode == MIO_PLAN_NORMAL) {
        struct mio_modinst *root = e->stack.root;
        memset(root->outputs, 0, (t->outputs.n + 1) * sizeof *root->outputs);
        memset(root->locals, 0, (t->locals.n + 1) * sizeof *root->locals);
        e->stack.planning = false;
        for (size_t i = 0; i < t->outputs.n; i++) {
            struct mio_err err = {0};
            struct mio_value v;
            if (mio_stack_output(&e->stack, root, i, &v, &err)) {
                mio_diags_add(&e->diags, MIO_ERROR, &err);
                continue;
            }
            if (mio_has_unknown(v) || mio_is_null(v))
                continue; /* what it needs was not applied */
            shown[n] = (struct mio_state_output){t->outputs.items[i].name, v,
                                                 t->outputs.items[i].sensitive};
            list[n] = shown[n];
            list[n].value = mio_keep(&e->arena, &e->state, mio_output_value(&shown[n]));
            n++;
        }
        mio_state_set_outputs(&e->state, list, n);
    } else if (e->plan.mode == MIO_PLAN_DESTROY && e->state.nrows == 0) {
        mio_state_set_outputs(&e->state, list, 0);
    }
    x->out->outputs = shown;
    x->out->noutputs = n;
}

/* What the history tells of the plan. */
static void tell_plan(struct mio_engine *e, struct mio_history *h)
{
    char *digest = mio_arena_alloc(&e->arena, MIO_SHA256_HEX + 1);
    mio_plan_digest(&e->plan, e->plan_salt, digest);
    h->plan_digest = e->review ? e->review->file.digest : mio_str_z(digest);
    h->commit = e->review ? e->review->file.plan.binding.commit : e->plan.binding.commit;
    if (!e->review)
        return;
    h->signed_by = e->review->signed_by;
    h->approvals = mio_review_counted(&e->arena, e->review);
}

static void history(struct mio_exec *x)
{
    struct mio_engine *e = x->e;
    struct mio_err err = {0};
    struct mio_history h = {
        .operation = e->plan.mode == MIO_PLAN_DESTROY ? MIO_STR("destroy") : MIO_STR("apply"),
        .stage = e->tpl->stage,
        .serial = e->state.serial,
        .added = (unsigned)x->out->done.add,
        .changed = (unsigned)x->out->done.change,
        .destroyed = (unsigned)x->out->done.destroy,
        .imported = (unsigned)x->out->done.import,
        .forgotten = (unsigned)x->out->done.forget,
        .complete = x->first == MIO_OK && !x->draining,
    };
    bool whole =
        e->plan.mode == MIO_PLAN_NORMAL && !e->plan.ntargets && !e->plan.nexcludes && h.complete;
    h.tpl = whole ? e->tpl->shared_digest : MIO_STR("");
    tell_plan(e, &h);
    if (mio_store_history_add(e->store, &h, &err))
        mio_diags_warn(&e->diags, (struct mio_pos){0}, err.cause, "%s", err.message);
}

/* Can recovery find what the create may have made, with what is known of it now? */
static bool is_findable(const struct mio_op *op)
{
    const struct mio_step *s = op->step;
    if (op->idle || op->type != MIO_OP_APPLY || mio_op_action(op) != MIO_CREATE || !s->inst)
        return false;
    const struct mio_kind *k = s->inst->res->kind;
    if (s->action == MIO_REPLACE) /* its number must follow that of the delete */
        return false;
    bool found = k->create_class == MLOPS_CREATE_C ||
                 (k->create_class != MLOPS_CREATE_D && (k->flags & MLOPS_KIND_FINDABLE));
    return found && s->content.type == MIO_MAP && !mio_has_unknown(s->content) &&
           !mio_has_unknown(s->inputs) && !mio_holds_mask(s->inputs);
}

/* Durability "plan": what the apply may create is durable as a whole, before its first effect. */
static enum mio_code plan_ahead(struct mio_exec *x, struct mio_err *err)
{
    for (size_t i = 0; i < x->ops.n && !err->code; i++) {
        struct mio_op *op = &x->ops.items[i];
        struct mio_work w = {0};
        if (!is_findable(op))
            continue;
        mio_arena_init(&w.arena);
        op->planned = true;
        if (mio_exec_prepare(x, op, &w, err) == MIO_OK)
            mio_jrn_plan(x->journal, &w.intent, err);
        mio_arena_free(&w.arena);
    }
    return err->code ? err->code : mio_jrn_sync(x->journal, err);
}

static enum mio_code begin(struct mio_exec *x, struct mio_err *err)
{
    struct mio_engine *e = x->e;
    uint8_t noise[8];
    char id[17];
    struct mio_history h = {0};
    /* Keys derive from lineage and salt, so both are on disk before the first key is used. */
    enum mio_code rc = e->state.serial ? MIO_OK : mio_store_commit(e->store, &e->state, err);
    if (rc)
        return rc;
    x->base_serial = e->state.serial;
    if (!e->review)
        e->plan.binding.commit = mio_engine_commit(e);
    tell_plan(e, &h);
    mio_random(noise, sizeof noise);
    mio_hex(noise, sizeof noise, id);
    x->apply_id = mio_arena_str(&e->arena, mio_str_z(id));
    struct mio_jrn_begin b = {.apply_id = x->apply_id,
                              .lineage = e->state.lineage,
                              .plan_digest = h.plan_digest,
                              .tool_version = MIO_STR(MIO_VERSION),
                              .commit = h.commit,
                              .signed_by = h.signed_by,
                              .approvals = h.approvals,
                              .base_serial = e->state.serial,
                              .epoch = e->state.epoch};
    b.lazy = e->lazy;
    rc = mio_store_begin(e->store, &e->state, &b, &x->journal, err);
    return rc || !b.lazy ? rc : plan_ahead(x, err);
}

/* The backend does not take the state: what was done is put beside the backend's note, or else
 * where this user's own notes are, sealed as the state would be, and the error says what to do with
 * it. */
static enum mio_code save_elsewhere(struct mio_exec *x, struct mio_err *err)
{
    struct mio_engine *e = x->e;
    const char *folders[] = {e->state_dir.p, e->opts.seen_dir};
    for (size_t i = 0; x->ops.work && err->code != MIO_STATE && i < 2 && folders[i]; i++) {
        struct mio_err second = {0};
        const char *path = mio_arena_printf(&e->arena, "%s/emergency-%llu.state", folders[i],
                                            (unsigned long long)e->state.serial + 1)
                               .p;
        if (mio_fs_mkdirs(folders[i], 0700, &second) ||
            mio_store_dump(e->store, &e->state, x->apply_id, path, &second))
            continue;
        err->hint[0] = '\0';
        mio_err_hint(err,
                     "What was done is in %s. When the backend works again: mlops-iac state push "
                     "'%s' (or, on this machine, any plan: it settles the journal)",
                     path, path);
        break;
    }
    return mio_engine_fail(e, err);
}

enum mio_code mio_engine_execute(struct mio_engine *e, struct mio_apply_result *out)
{
    struct mio_exec x = {.e = e, .out = out};
    struct mio_err err = {0};
    *out = (struct mio_apply_result){0};
    if (mio_ops_build(&e->arena, &e->planner, &x.ops, &err) || (x.ops.work && begin(&x, &err)))
        return mio_engine_fail(e, &err);
    record_drift(e);
    rewrite_rows(e);
    if (x.ops.work) {
        x.pool = mio_pool_open(e->opts.parallelism ? e->opts.parallelism : 10);
        walk(&x);
        mio_pool_close(x.pool);
    }
    size_t errors = e->diags.errors;
    record_outputs(&x);
    mio_checks_run(&e->stack, &e->plan);
    out->unmet = e->diags.errors - errors;
    if (!x.first && out->unmet)
        x.first = MIO_TEMPLATE;
    out->interrupted = x.draining && !x.first;
    out->done.import = e->plan.counts.import;
    bool poisoned = x.journal && mio_jrn_poisoned(x.journal);
    mio_jrn_close(x.journal);
    if (x.open) /* the journal is the only one that knows: it stays, and recovery writes the state
                 */
        return x.first ? x.first : MIO_STATE;
    /* A saved plan moves the serial on even when nothing of it worked: it is used up. */
    if (e->state.dirty || e->plan.counts.move || e->plan.counts.import || e->review) {
        if (mio_store_commit(e->store, &e->state, &err))
            return save_elsewhere(&x, &err);
    } else if (x.journal && mio_store_drop_journal(e->store, &err)) {
        return mio_engine_fail(e, &err);
    }
    if (x.ops.work || e->state.dirty)
        history(&x);
    if (poisoned && !x.first)
        return MIO_IO;
    if (out->interrupted) {
        mio_fail(&err, MIO_CANCELLED, "the apply was interrupted");
        mio_err_hint(&err, "What was done is recorded; run apply again to go on.");
        return mio_engine_fail(e, &err);
    }
    return x.first;
}
