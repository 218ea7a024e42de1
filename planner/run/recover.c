/* planner/run/recover.c: settling what a killed apply left in its journal, before anything else
 * happens.
 *
 * Done operations become rows; open ones are settled by create class (step.h); then the state is
 * written and the journal dropped. May itself be killed: everything it learns is journalled first.
 */
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
    if (prov && mio_prov_configure(&e->provs, prov, &e->stack, e->state.lineage, err) == MIO_OK)
        return prov;
    mio_fail(err, MIO_TEMPLATE, "the provider \"%.*s\" is not configured in the template",
             MIO_FMT(name));
    mio_err_hint(err, "An interrupted apply needs it to find out what became of its last "
                      "operations; put it back.");
    return NULL;
}

static void prepare(struct mio_engine *e, const struct mio_jrn_op *op, struct mio_prov *prov,
                    struct mio_jrn *j, struct mio_work *w)
{
    w->plugin = prov->plugin;
    w->plugin_name = prov->type;
    w->kind = mio_schema_kind(prov->schema, op->intent.kind);
    w->journal = j;
    w->salt = e->state.salt;
    w->intent = op->intent;
    w->unjournalled = true;
    struct mio_str id = op->intent.id.n ? op->intent.id : op->intent.target.id;
    bool remove = op->intent.verb == MIO_JRN_DELETE;
    w->call = (struct mio_prov_change){.kind = op->intent.kind,
                                       .address = op->intent.address,
                                       .id = id,
                                       .resume = op->handle,
                                       .inputs = remove ? mio_null() : op->intent.target.inputs,
                                       .prior = remove ? op->intent.target.attributes : mio_null(),
                                       .changed = mio_list(NULL, 0),
                                       .content = op->intent.target.content,
                                       .base_dir = base_dir_of(e, op->intent.address)};
    w->intent.id = id;
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
}

static enum mio_code settle(struct mio_engine *e, const struct mio_jrn_op *op, struct mio_jrn *j,
                            struct mio_err *err)
{
    struct mio_prov *prov = provider(e, op->intent.provider, err);
    if (!prov)
        return err->code;
    struct mio_work w = {0};
    mio_arena_init(&w.arena);
    prepare(e, op, prov, j, &w);
    mio_work_settle(&w);
    struct mio_event ev = {.type = MIO_EV_RECOVERED,
                           .address = op->intent.address,
                           .id = w.result.id,
                           .action = op->intent.verb == MIO_JRN_CREATE   ? MIO_CREATE
                                     : op->intent.verb == MIO_JRN_UPDATE ? MIO_UPDATE
                                     : op->intent.verb == MIO_JRN_DELETE ? MIO_DELETE
                                                                         : MIO_FORGET};
    if (w.open) {
        *err = w.err;
        mio_err_address(err, op->intent.address);
        mio_err_wrap(err, "an interrupted apply could not be settled");
        mio_err_hint(err, "Nothing is lost: the journal stays, and the next run tries again.");
    } else if (mio_jrn_recovered(j, op->intent.op,
                                 w.done && op->intent.verb <= MIO_JRN_UPDATE ? &w.result : NULL,
                                 w.done, err) == MIO_OK) {
        if (w.done)
            mio_engine_record(e, &op->intent, &w.result);
        ev.message = w.done ? MIO_STR("it took effect") : MIO_STR("it did not take effect");
        if (w.err.code) { /* class D: recorded as unconfirmed; or a refusal, which the next plan
                             meets again */
            mio_err_address(&w.err, op->intent.address);
            mio_diags_add(&e->diags, MIO_WARNING, &w.err);
        }
        mio_engine_event(e, &ev);
    }
    mio_arena_free(&w.arena);
    return err->code;
}

enum mio_code mio_engine_recover(struct mio_engine *e, const struct mio_jrn_replay *replay)
{
    struct mio_err err = {0};
    struct mio_jrn *j = NULL;
    if (mio_store_reopen(e->store, replay, &j, &err))
        return mio_engine_fail(e, &err);
    for (size_t i = 0; i < replay->n && !err.code; i++) {
        const struct mio_jrn_op *op = &replay->ops[i];
        switch (op->outcome) {
        case MIO_OP_DONE:
            mio_engine_record(e, &op->intent, &op->result);
            break;
        case MIO_OP_OPEN:
        case MIO_OP_AMBIGUOUS:
            settle(e, op, j, &err);
            break;
        case MIO_OP_FAILED:
            break;
        }
    }
    mio_jrn_close(j);
    if (!err.code)
        mio_store_commit(e->store, &e->state, &err);
    if (err.code)
        return mio_engine_fail(e, &err);
    mio_diags_warn(&e->diags, (struct mio_pos){0}, NULL,
                   "an interrupted apply was found and settled: %zu operations, state serial %llu",
                   replay->n, (unsigned long long)e->state.serial);
    return MIO_OK;
}
