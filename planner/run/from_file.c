/* planner/run/from_file.c: applying exactly what was reviewed. See engine.h.
 *
 * The plan file binds everything it was made from. Here all of that is compared, the plan is made
 * again from the same facts (without asking the platform: what the refresh saw is in the file), and
 * must come out with the same bytes. */
#include "planner/run/internal.h"
#include "planner/run/review.h"
#include "providers/sdk/clock.h"

static enum mio_code stale(struct mio_engine *e, const char *path, const char *what,
                           struct mio_str then, struct mio_str now)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_STATE, "%s: the saved plan is stale: %s", path, what);
    if (then.n || now.n)
        mio_err_cause(&err, "planned with \"%.*s\", now \"%.*s\"", MIO_FMT(then), MIO_FMT(now));
    mio_err_hint(&err,
                 "Make a new plan with `mlops-iac plan -out=FILE` and have it reviewed again.");
    return mio_engine_fail(e, &err);
}

/* A plan is used once: its apply moves the serial on, whatever became of it, so the serial alone
 * keeps it from being used again. The history knows more to say about it. */
static enum mio_code was_used(struct mio_engine *e, const struct mio_review *r)
{
    struct mio_history *h;
    size_t n, broken;
    struct mio_err err = {0};
    if (mio_store_history(e->store, &e->arena, &h, &n, &broken, &err))
        return MIO_OK; /* no history: the serial decides */
    for (size_t i = 0; i < n; i++) {
        if (!mio_str_eq(h[i].plan_digest, r->file.digest))
            continue;
        char when[24];
        mio_rfc3339(h[i].when, when);
        struct mio_str what = mio_arena_printf(
            &e->arena, "it was applied already, %s by %.*s on %.*s (%s)", when, MIO_FMT(h[i].who),
            MIO_FMT(h[i].host),
            h[i].complete ? "all of it" : "not all of it: the next plan shows what is left");
        return stale(e, r->path, what.p, MIO_STR(""), MIO_STR(""));
    }
    return MIO_OK;
}

/* Everything a plan is bound to and that is known before the state is, one row each. */
static enum mio_code compare_template(struct mio_engine *e, const struct mio_review *r)
{
    const struct mio_plan_binding *k = &r->file.plan.binding;
    const struct {
        const char *what;
        struct mio_str then, now;
    } rows[] = {
        {"it was made by another version of mlops-iac", k->tool_version, MIO_STR(MIO_VERSION)},
        {"the template has changed since", k->template_digest, e->tpl->digest},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!mio_str_eq(rows[i].then, rows[i].now))
            return stale(e, r->path, rows[i].what, rows[i].then, rows[i].now);
    size_t n;
    const struct mio_str *plugins = mio_engine_plugins(e, &n);
    if (k->nplugins != n)
        return stale(e, r->path, "the plugin lock file has changed since", MIO_STR(""),
                     MIO_STR(""));
    for (size_t i = 0; i < n; i++)
        if (!mio_str_eq(k->plugins[i], plugins[i]))
            return stale(e, r->path, "a plugin has changed since", k->plugins[i], plugins[i]);
    return MIO_OK;
}

/* A plan for what has never been gives the state that it makes a lineage of its own: so it is known
 * again when that state is gone, lock, history and all. */
static enum mio_code was_begun(struct mio_engine *e, const struct mio_review *r)
{
    struct mio_err err = {0};
    uint64_t seen;
    mio_store_name(e->store, r->file.digest, &seen);
    if (!seen)
        return MIO_OK;
    mio_fail(&err, MIO_STATE,
             "%s: it was applied already: this machine has seen the state that it made (serial "
             "%llu), and that state is gone",
             r->path, (unsigned long long)seen);
    mio_err_hint(&err, "Put the state back before anything else: whatever is applied without it is "
                       "made a second time. If nothing of it exists any more, make a new plan.");
    return mio_engine_fail(e, &err);
}

static enum mio_code compare_state(struct mio_engine *e, const struct mio_review *r)
{
    const struct mio_plan_binding *k = &r->file.plan.binding;
    struct mio_str lineage = e->state.serial ? e->state.lineage : MIO_STR("");
    enum mio_code rc = was_used(e, r);
    if (rc)
        return rc;
    struct mio_str now = mio_arena_printf(&e->arena, "%llu", (unsigned long long)e->state.serial);
    struct mio_str then = mio_arena_printf(&e->arena, "%llu", (unsigned long long)k->serial);
    const struct {
        const char *what;
        struct mio_str then, now;
    } rows[] = {
        {"it was made for another state (lineage)", k->lineage, lineage},
        {"the state has changed since (serial)", then, now},
        {"the state has changed since (digest)", k->state_digest, e->state.digest},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!mio_str_eq(rows[i].then, rows[i].now))
            return stale(e, r->path, rows[i].what, rows[i].then, rows[i].now);
    return e->state.serial ? MIO_OK : was_begun(e, r);
}

/* The plan's values stand in for -var and files; sensitive ones are not in the file and must be
 * given again. */
static void take_variables(struct mio_engine *e, const struct mio_plan *p)
{
    for (uint32_t i = 0; p->variables.type == MIO_MAP && i < p->variables.n; i++) {
        if (mio_has_sensitive(p->variables.pairs[i].value))
            continue;
        struct mio_node *n = MIO_NEW(&e->arena, struct mio_node);
        n->type = MIO_NODE_SCALAR;
        n->literal = p->variables.pairs[i].value;
        MIO_PUSH(&e->arena, e->vars, e->nvars, e->vars_cap) = (struct mio_var_input){
            .name = p->variables.pairs[i].key, .node = n, .origin = "plan file"};
    }
}

static const char **texts(struct mio_engine *e, const struct mio_str *list, size_t n)
{
    const char **out = MIO_NEW_N(&e->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = mio_arena_z(&e->arena, list[i]);
    return out;
}

/* Everything that can be said against the file without asking a provider. */
static enum mio_code judge(struct mio_engine *e, const char *path, struct mio_review *r)
{
    struct mio_err err = {0};
    enum mio_code rc;
    if ((rc = mio_engine_store_open(e)) || (rc = mio_engine_review(e, path, false, r)))
        return rc;
    if (mio_engine_may_use(e, r, true, &err))
        return mio_engine_fail(e, &err);
    take_variables(e, &r->file.plan);
    if ((rc = mio_engine_stack(e, true, false)) || (rc = compare_template(e, r)) ||
        (rc = mio_engine_load(e, "apply")))
        return rc;
    return compare_state(e, r);
}

enum mio_code mio_engine_plan_from_file(struct mio_engine *e, const char *path,
                                        const struct mio_plan **out)
{
    struct mio_review *r = MIO_NEW(&e->arena, struct mio_review);
    enum mio_code rc = judge(e, path, r);
    if (rc)
        return rc;
    const struct mio_plan *p = &r->file.plan;
    e->review = r;
    struct mio_plan_opts o = {.mode = p->mode,
                              .refresh = false,
                              .targets = texts(e, p->targets, p->ntargets),
                              .ntargets = p->ntargets,
                              .excludes = texts(e, p->excludes, p->nexcludes),
                              .nexcludes = p->nexcludes,
                              .replaces = texts(e, p->replaces, p->nreplaces),
                              .nreplaces = p->nreplaces};
    if ((rc = mio_engine_plan(e, &o, out)) != MIO_OK)
        return rc;
    char again[65];
    mio_plan_digest(&e->plan, e->plan_salt, again);
    if (!mio_str_is(r->file.changes, again)) {
        e->planned = false;
        if (!mio_str_eq(p->binding.variables_digest, e->plan.binding.variables_digest))
            return stale(e, path, "a sensitive variable has another value", MIO_STR(""),
                         MIO_STR(""));
        return stale(e, path,
                     "making it again gives other changes (files that it refers to, or lookups, "
                     "have changed)",
                     MIO_STR(""), MIO_STR(""));
    }
    return MIO_OK;
}

/* What the refresh of the plan saw, put where a refresh of now would have put it. */
void mio_engine_overlay(struct mio_engine *e)
{
    for (size_t i = 0; e->review && i < e->review->file.plan.ndrift; i++) {
        const struct mio_change *d = &e->review->file.plan.drift[i];
        const struct mio_row *row = mio_state_find(&e->state, d->address, d->deposed);
        if (!row)
            continue;
        size_t k = (size_t)(row - e->state.rows);
        e->refresh.seen[k] = d->action == MIO_DELETE ? MIO_SEEN_GONE : MIO_SEEN_HERE;
        struct mio_observation *ob = MIO_NEW(&e->arena, struct mio_observation);
        struct mio_record rec;
        struct mio_err err = {0};
        ob->attributes =
            d->after; /* secrets are masks in the file; those that are known are told */
        if (mio_has_sensitive(d->after) && mio_row_read(&e->arena, row, &rec, &err) == MIO_OK)
            ob->attributes = mio_unmask(&e->arena, e->state.salt, d->after, rec.attributes);
        ob->id = d->id;
        e->refresh.here[k] = ob;
    }
}
