/* planner/run/recover.c: settling what a killed apply left in its journal, before anything else
 * happens.
 *
 * Done operations become rows; open ones are settled by create class (step.h), several at a time;
 * then the state is written and the journal dropped. May itself be killed: what it has sent has a
 * durable intent, and what it has learned is looked up again.
 */
#include <pthread.h>
#include "planner/run/internal.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

static struct mio_str base_dir_of(struct mio_engine *e, struct mio_str address)
{
    struct mio_address ad;
    struct mio_err err = {0};
    if (mio_address_parse(&e->arena, address, &ad, &err) == MIO_OK)
        for (size_t i = 0; i < e->stack.nres; i++)
            if (mio_str_eq(e->stack.res[i]->block->kind, ad.kind) &&
                mio_str_eq(e->stack.res[i]->block->name, ad.name))
                return e->stack.res[i]->block->base_dir;
    return e->tpl->dir;
}

static struct mio_prov *provider(struct mio_engine *e, struct mio_str name, struct mio_err *err)
{
    struct mio_prov *prov = mio_provs_find(&e->provs, name);
    if (prov && !prov->folded) {
        if (mio_prov_configure(&e->provs, prov, &e->stack, e->state.lineage, err) == MIO_OK)
            return prov;
        mio_err_wrap(err, "an interrupted apply needs the provider \"%.*s\"", MIO_FMT(name));
        return NULL;
    }
    mio_fail(err, MIO_TEMPLATE, "the provider \"%.*s\" is not configured in the template",
             MIO_FMT(name));
    mio_err_hint(err, "An interrupted apply needs it to find out what became of its last "
                      "operations; put it back.");
    return NULL;
}

struct settling {
    struct mio_work work; /* first: the pool hands it back */
    const struct mio_jrn_op *op;
};

static void settle(struct mio_job *job)
{
    struct mio_work *w = (struct mio_work *)job;
    const struct settling *s = (const struct settling *)w;
    if (s->op->outcome == MIO_OP_PLANNED)
        mio_work_find(w);
    else
        mio_work_settle(w);
}

/* The inputs as the journal has them: secrets too when it is sealed. */
static struct mio_value sendable(struct mio_work *w, const struct mio_jrn_op *op)
{
    w->wanted = op->intent.target.inputs;
    return mio_holds_mask(w->wanted) ? w->wanted : mio_unmark(&w->arena, w->wanted);
}

static struct settling *prepare(struct mio_engine *e, const struct mio_jrn_op *op,
                                struct mio_prov *prov, struct mio_jrn *j)
{
    struct settling *s = mio_zalloc(1, sizeof *s);
    struct mio_work *w = &s->work;
    mio_arena_init(&w->arena);
    pthread_mutex_init(&w->lock, NULL);
    w->job.run = settle;
    s->op = op;
    w->plugin = prov->plugin;
    w->plugin_name = prov->type;
    w->kind = mio_schema_kind(prov->schema, op->intent.kind);
    w->journal = j;
    w->salt = e->state.salt;
    w->keeps = mio_jrn_keeps(j);
    w->intent = op->intent;
    w->unjournalled = true;
    w->settled = true;
    struct mio_str id = op->intent.id.n ? op->intent.id : op->intent.target.id;
    bool remove = op->intent.verb == MIO_JRN_DELETE;
    w->call = (struct mio_prov_change){.kind = op->intent.kind,
                                       .address = op->intent.address,
                                       .id = id,
                                       .resume = op->handle,
                                       .inputs = remove ? mio_null() : sendable(w, op),
                                       .prior = remove ? op->intent.target.attributes : mio_null(),
                                       .changed = mio_list(NULL, 0),
                                       .content = op->intent.target.content,
                                       .base_dir = base_dir_of(e, op->intent.address)};
    w->intent.id = id;
    w->timeout_ms = remove ? 1000 * (int64_t)op->intent.target.delete_timeout_s : 0;
    const struct mio_row *row = mio_state_find(&e->state, op->intent.address, op->intent.deposed);
    struct mio_record rec;
    struct mio_err err = {0};
    if (row && op->intent.verb != MIO_JRN_CREATE &&
        mio_row_read(&w->arena, row, &rec, &err) == MIO_OK)
        w->call.prior = rec.attributes;
    w->opts = (struct mio_call_opts){.key = op->intent.key,
                                     .attempt = 1,
                                     .cancel = e->opts.abort,
                                     .deadline_ms = mio_now_ms() + 1200 * 1000};
    return s;
}

static enum mio_action action_of(const struct mio_jrn_op *op)
{
    switch (op->intent.verb) {
    case MIO_JRN_CREATE:
        return MIO_CREATE;
    case MIO_JRN_UPDATE:
        return MIO_UPDATE;
    case MIO_JRN_DELETE:
        return MIO_DELETE;
    case MIO_JRN_FORGET:
        break;
    }
    return MIO_FORGET;
}

/* What was found out, into journal and state; done: counts by verb. */
static void settled(struct mio_engine *e, struct settling *s, size_t *done, struct mio_err *err)
{
    struct mio_work *w = &s->work;
    const struct mio_jrn_op *op = s->op;
    struct mio_event ev = {.type = MIO_EV_RECOVERED,
                           .address = op->intent.address,
                           .id = w->result.id,
                           .action = action_of(op)};
    if (w->open && !err->code) {
        *err = w->err;
        mio_err_address(err, op->intent.address);
        mio_err_wrap(err, "an interrupted apply could not be settled");
        mio_err_hint(err, "Nothing is lost: the journal stays, and the next run tries again.");
    } else if (!w->open &&
               mio_jrn_recovered(w->journal, op->intent.op,
                                 w->done && op->intent.verb <= MIO_JRN_UPDATE ? &w->result : NULL,
                                 w->done, err) == MIO_OK) {
        done[op->intent.verb] += w->done;
        if (w->done)
            mio_engine_record(e, &op->intent, &w->result);
        ev.message = w->done ? MIO_STR("it took effect") : MIO_STR("it did not take effect");
        if (w->err.code) { /* class D: recorded as unconfirmed; or a refusal, which the next plan
                             meets again */
            mio_err_address(&w->err, op->intent.address);
            mio_diags_add(&e->diags, MIO_WARNING, &w->err);
        }
        if (w->done || op->outcome != MIO_OP_PLANNED)
            mio_engine_event(e, &ev);
    }
    mio_arena_free(&w->arena);
    pthread_mutex_destroy(&w->lock);
    free(s);
}

/* Late commits of class C, and of planned creates, must have shown themselves before anybody looks:
 * one wait for all. */
static void wait_for_commits(struct mio_engine *e, const struct mio_jrn_replay *replay)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < replay->n; i++) {
        const struct mio_jrn_op *op = &replay->ops[i];
        bool marked = op->intent.create_class == MLOPS_CREATE_C &&
                      (op->outcome == MIO_OP_OPEN || op->outcome == MIO_OP_AMBIGUOUS);
        struct mio_prov *prov = mio_provs_find(&e->provs, op->intent.provider);
        const struct mio_kind *k =
            prov && prov->schema ? mio_schema_kind(prov->schema, op->intent.kind) : NULL;
        if (k && op->intent.verb == MIO_JRN_CREATE && (marked || op->outcome == MIO_OP_PLANNED) &&
            k->settle_ms > longest)
            longest = k->settle_ms;
    }
    mio_sleep_ms(longest);
}

static bool is_open(const struct mio_jrn_op *op)
{
    return op->outcome != MIO_OP_DONE && op->outcome != MIO_OP_FAILED;
}

static enum mio_code settle_all(struct mio_engine *e, const struct mio_jrn_replay *replay,
                                struct mio_jrn *j, size_t *done, struct mio_err *err)
{
    enum { TICK_MS = 100 };
    unsigned most = e->opts.parallelism ? e->opts.parallelism : 10;
    size_t running = 0, next = 0;
    for (size_t i = 0; i < replay->n; i++)
        if (is_open(&replay->ops[i]) && !provider(e, replay->ops[i].intent.provider, err))
            return err->code;
    wait_for_commits(e, replay);
    struct mio_pool *pool = mio_pool_open(most);
    for (;;) {
        for (; !err->code && next < replay->n && running < most; next++) {
            const struct mio_jrn_op *op = &replay->ops[next];
            if (!is_open(op))
                continue;
            struct mio_prov *prov = provider(e, op->intent.provider, err);
            mio_pool_put(pool, &prepare(e, op, prov, j)->work.job);
            running++;
        }
        if (running == 0)
            break;
        struct mio_job *job = mio_pool_take(pool, TICK_MS);
        if (job)
            settled(e, (struct settling *)(struct mio_work *)job, done, err);
        running -= job != NULL;
    }
    mio_pool_close(pool);
    return err->code;
}

/* The killed apply's line in the history: its plan, and what became of it. */
static void history(struct mio_engine *e, const struct mio_jrn_replay *replay, const size_t *done)
{
    struct mio_err err = {0};
    const struct mio_jrn_begin *b = &replay->begin;
    struct mio_history h = {.operation = MIO_STR("recovery"),
                            .stage = e->tpl->stage,
                            .commit = b->commit,
                            .plan_digest = b->plan_digest,
                            .signed_by = b->signed_by,
                            .approvals = b->approvals,
                            .serial = e->state.serial,
                            .added = (unsigned)done[MIO_JRN_CREATE],
                            .changed = (unsigned)done[MIO_JRN_UPDATE],
                            .destroyed = (unsigned)done[MIO_JRN_DELETE],
                            .forgotten = (unsigned)done[MIO_JRN_FORGET]};
    if (mio_store_history_add(e->store, &h, &err))
        mio_diags_warn(&e->diags, (struct mio_pos){0}, err.cause, "%s", err.message);
}

enum mio_code mio_engine_recover(struct mio_engine *e, const struct mio_jrn_replay *replay)
{
    struct mio_err err = {0};
    struct mio_jrn *j = NULL;
    size_t started = 0, done[MIO_JRN_FORGET + 1] = {0};
    if (mio_store_reopen(e->store, replay, &j, &err))
        return mio_engine_fail(e, &err);
    for (size_t i = 0; i < replay->n; i++) {
        started += replay->ops[i].outcome != MIO_OP_PLANNED;
        if (replay->ops[i].outcome != MIO_OP_DONE)
            continue;
        mio_engine_record(e, &replay->ops[i].intent, &replay->ops[i].result);
        done[replay->ops[i].intent.verb]++;
    }
    settle_all(e, replay, j, done, &err);
    mio_jrn_close(j);
    if (!err.code)
        mio_store_commit(e->store, &e->state, &err);
    if (err.code)
        return mio_engine_fail(e, &err);
    history(e, replay, done);
    mio_diags_warn(&e->diags, (struct mio_pos){0}, NULL,
                   "an interrupted apply was found and settled: %zu operations, state serial %llu",
                   started, (unsigned long long)e->state.serial);
    return MIO_OK;
}
