/* planner/run/after.c: `after` of a stage: what must have been applied elsewhere before. See
 * internal.h.
 *
 * The history of every stage holds the digest of the template that was applied as a whole; the
 * file of the stage itself does not count, so that the digest is the same in all stages. */
#include "planner/run/internal.h"

static enum mio_code was_applied(struct mio_engine *e, struct mio_store *store, bool *out,
                                 struct mio_err *err)
{
    struct mio_history *lines;
    size_t n, broken;
    *out = false;
    if (mio_store_history(store, &e->arena, &lines, &n, &broken, err))
        return err->code;
    for (size_t i = 0; i < n && !*out; i++)
        *out = lines[i].complete && mio_str_eq(lines[i].tpl, e->tpl->shared_digest);
    return MIO_OK;
}

enum mio_code mio_engine_unchanged(struct mio_engine *e)
{
    struct mio_err err = {0};
    bool there = true;
    char digest[MIO_SHA256_HEX + 1];
    if (!e->tpl->stage.n || e->opts.temp_dir || e->plan.mode != MIO_PLAN_NORMAL ||
        e->plan.ntargets || e->plan.nexcludes)
        return MIO_OK;
    mio_plan_digest(&e->plan, e->plan_salt, digest);
    struct mio_history h = {.operation = MIO_STR("apply"),
                            .stage = e->tpl->stage,
                            .tpl = e->tpl->shared_digest,
                            .commit = mio_engine_commit(e),
                            .plan_digest = mio_str_z(digest),
                            .serial = e->state.serial,
                            .complete = true};
    if (was_applied(e, e->store, &there, &err) == MIO_OK && !there)
        mio_store_history_add(e->store, &h, &err);
    return err.code ? mio_engine_fail(e, &err) : MIO_OK;
}

static void check_one(struct mio_engine *e, const struct mio_node *n)
{
    struct mio_store *store = NULL;
    struct mio_err err = {0};
    bool there = false;
    if (mio_engine_store_of(e, n->text, &store, &err) == MIO_OK)
        was_applied(e, store, &there, &err);
    mio_store_close(store);
    if (err.code)
        mio_err_wrap(&err, "the history of stage %.*s cannot be read", MIO_FMT(n->text));
    else if (!there) {
        mio_fail(&err, MIO_TEMPLATE,
                 "stage %.*s comes after %.*s, where this template has not been applied",
                 MIO_FMT(e->tpl->stage), MIO_FMT(n->text));
        mio_err_hint(&err, "Run `mlops-iac apply -stage=%.*s` first.", MIO_FMT(n->text));
    }
    if (!err.code)
        return;
    mio_err_at(&err, n->pos);
    mio_diags_add(&e->diags, e->opts.durable_folder ? MIO_ERROR : MIO_WARNING, &err);
}

enum mio_code mio_engine_check_after(struct mio_engine *e)
{
    const struct mio_node *stage = e->tpl->stage_block;
    const struct mio_node *after = stage ? mio_node_get(stage, "after") : NULL;
    size_t before = e->diags.errors;
    if (!after || e->opts.temp_dir || e->opts.read_only)
        return MIO_OK;
    if (after->type != MIO_NODE_SEQ)
        check_one(e, after);
    for (size_t i = 0; after->type == MIO_NODE_SEQ && i < after->n; i++)
        check_one(e, after->items[i]);
    return e->diags.errors > before ? MIO_TEMPLATE : MIO_OK;
}
