/* planner/run/from_file.c: applying exactly what was reviewed. See engine.h.
 *
 * The plan file binds everything it was made from. Here all of that is compared, the plan is made
 * again from the same facts (without asking the platform: what the refresh saw is in the file), and
 * must come out with the same bytes. */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

enum { LARGEST = 1 << 30 };

static enum mio_code stale(struct mio_engine *e, const char *what, struct mio_str then,
                           struct mio_str now)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_STATE, "the saved plan is stale: %s", what);
    if (then.n || now.n)
        mio_err_cause(&err, "planned with \"%.*s\", now \"%.*s\"", MIO_FMT(then), MIO_FMT(now));
    mio_err_hint(&err,
                 "Make a new plan with `mlops-iac plan -out=FILE` and have it reviewed again.");
    return mio_engine_fail(e, &err);
}

static enum mio_code was_used(struct mio_engine *e, struct mio_str digest, uint64_t serial)
{
    struct mio_history *h;
    size_t n, broken;
    struct mio_err err = {0};
    if (mio_store_history(e->store, &e->arena, &h, &n, &broken, &err))
        return MIO_OK; /* no history: the serial decides */
    for (size_t i = 0; i < n; i++)
        if (mio_str_eq(h[i].plan_digest, digest) && h[i].serial > serial)
            return stale(e, "it was applied already", MIO_STR(""), MIO_STR(""));
    return MIO_OK;
}

/* Everything a plan is bound to, one row each. */
static enum mio_code compare(struct mio_engine *e, const struct mio_plan *p, struct mio_str digest)
{
    const struct mio_plan_binding *k = &p->binding;
    struct mio_str lineage = e->state.serial ? e->state.lineage : MIO_STR("");
    enum mio_code rc = was_used(e, digest, k->serial);
    if (rc)
        return rc;
    struct mio_str now = mio_arena_printf(&e->arena, "%llu", (unsigned long long)e->state.serial);
    struct mio_str then = mio_arena_printf(&e->arena, "%llu", (unsigned long long)k->serial);
    const struct {
        const char *what;
        struct mio_str then, now;
    } rows[] = {
        {"it was made by another version of mlops-iac", k->tool_version, MIO_STR(MIO_VERSION)},
        {"it was made for another stage", k->stage, e->tpl->stage},
        {"the template has changed since", k->template_digest, e->tpl->digest},
        {"it was made for another state (lineage)", k->lineage, lineage},
        {"the state has changed since (serial)", then, now},
        {"the state has changed since (digest)", k->state_digest, e->state.digest},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!mio_str_eq(rows[i].then, rows[i].now))
            return stale(e, rows[i].what, rows[i].then, rows[i].now);
    if (k->expires < mio_wall_s())
        return stale(e, "it has expired", MIO_STR(""), MIO_STR(""));
    return MIO_OK;
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

static enum mio_code check_plugins(struct mio_engine *e, const struct mio_plan *p)
{
    if (p->binding.nplugins != e->plan.binding.nplugins)
        return stale(e, "the plugin lock file has changed since", MIO_STR(""), MIO_STR(""));
    for (size_t i = 0; i < p->binding.nplugins; i++)
        if (!mio_str_eq(p->binding.plugins[i], e->plan.binding.plugins[i]))
            return stale(e, "a plugin has changed since", p->binding.plugins[i],
                         e->plan.binding.plugins[i]);
    return MIO_OK;
}

static const char **texts(struct mio_engine *e, const struct mio_str *list, size_t n)
{
    const char **out = MIO_NEW_N(&e->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = mio_arena_z(&e->arena, list[i]);
    return out;
}

enum mio_code mio_engine_plan_from_file(struct mio_engine *e, const char *path,
                                        const struct mio_plan **out)
{
    struct mio_str text, digest;
    struct mio_plan *p = MIO_NEW(&e->arena, struct mio_plan);
    struct mio_err err = {0};
    enum mio_code rc;
    if (mio_fs_read(&e->arena, path, LARGEST, &text, NULL, &err) ||
        mio_planfile_read(&e->arena, text, p, &digest, &err))
        return mio_engine_fail(e, &err);
    if (p->errored) {
        mio_fail(&err, MIO_USAGE, "the plan was made with errors and cannot be applied");
        return mio_engine_fail(e, &err);
    }
    take_variables(e, p);
    if ((rc = mio_engine_stack(e, true, false)) || (rc = mio_engine_load(e, "apply")) ||
        (rc = compare(e, p, digest)))
        return rc;
    e->planfile = digest;
    e->seen = p;
    struct mio_plan_opts o = {.mode = p->mode,
                              .refresh = false,
                              .targets = texts(e, p->targets, p->ntargets),
                              .ntargets = p->ntargets,
                              .excludes = texts(e, p->excludes, p->nexcludes),
                              .nexcludes = p->nexcludes,
                              .replaces = texts(e, p->replaces, p->nreplaces),
                              .nreplaces = p->nreplaces};
    if ((rc = mio_engine_plan(e, &o, out)) || (rc = check_plugins(e, p)))
        return rc;
    char again[65];
    mio_plan_digest(&e->plan, e->plan_salt, again);
    if (!mio_str_is(digest, again)) {
        e->planned = false;
        if (!mio_str_eq(p->binding.variables_digest, e->plan.binding.variables_digest))
            return stale(e, "a sensitive variable has another value", MIO_STR(""), MIO_STR(""));
        return stale(e,
                     "making it again gives other changes (files that it refers to, or lookups, "
                     "have changed)",
                     MIO_STR(""), MIO_STR(""));
    }
    return MIO_OK;
}

/* What the refresh of the plan saw, put where a refresh of now would have put it. */
void mio_engine_overlay(struct mio_engine *e)
{
    for (size_t i = 0; e->seen && i < e->seen->ndrift; i++) {
        const struct mio_change *d = &e->seen->drift[i];
        const struct mio_row *row = mio_state_find(&e->state, d->address, d->deposed);
        if (!row)
            continue;
        size_t k = (size_t)(row - e->state.rows);
        e->refresh.seen[k] = d->action == MIO_DELETE ? MIO_SEEN_GONE : MIO_SEEN_HERE;
        struct mio_observation *ob = MIO_NEW(&e->arena, struct mio_observation);
        ob->attributes = d->after;
        ob->id = d->id;
        e->refresh.here[k] = ob;
    }
}
