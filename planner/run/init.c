/* planner/run/init.c: `init` (the plugin lock file) and `validate`. See engine.h. */
#include "planner/run/internal.h"

static const struct mio_lock_entry *entry_of(const struct mio_lockfile *l, struct mio_str type)
{
    for (size_t i = 0; i < l->n; i++)
        if (mio_str_eq(l->items[i].type, type))
            return &l->items[i];
    return NULL;
}

static enum mio_code lock_one(struct mio_engine *e, const struct mio_prov *it,
                              const struct mio_lockfile *old, bool upgrade,
                              struct mio_lock_entry *out, struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    const struct mio_lock_entry *was = entry_of(old, it->type);
    *out = (struct mio_lock_entry){.type = it->type};
    if (mio_plugin_find(a, it->type, e->opts.plugin_dirs, e->opts.program_dir, &out->path, err) ||
        mio_plugin_digest(a, out->path.p, &out->sha256, err))
        return it->block ? mio_err_at(err, it->block->pos) : err->code;
    if (was && !upgrade && !mio_str_eq(was->sha256, out->sha256)) {
        mio_fail(err, MIO_PROVIDER, "the plugin \"%.*s\" is not the one that the lock file names",
                 MIO_FMT(it->type));
        mio_err_cause(err, "%.*s has SHA-256 %.*s, recorded is %.*s", MIO_FMT(out->path),
                      MIO_FMT(out->sha256), MIO_FMT(was->sha256));
        return mio_err_hint(
            err, "If the change is meant (a new version), run `mlops-iac init -upgrade`.");
    }
    struct mio_prov probe = {.name = it->name, .type = it->type, .block = it->block};
    struct mio_lockfile only = {.items = out, .n = 1};
    struct mio_provs one = e->provs;
    one.lock = only;
    one.have_lock = true;
    if (mio_prov_open(&one, &probe, err) == MIO_OK)
        out->version = mio_arena_str(a, probe.schema->version);
    mio_provider_close(probe.plugin);
    return err->code;
}

/* The plugin of every provider of the template, once a type. */
static enum mio_code find_plugins(struct mio_engine *e, const struct mio_lockfile *old,
                                  bool upgrade, struct mio_lockfile *out)
{
    *out = (struct mio_lockfile){0};
    for (size_t i = 0; i < e->provs.n; i++) {
        struct mio_lock_entry entry;
        struct mio_err one = {0};
        if (entry_of(out, e->provs.items[i].type))
            continue;
        if (lock_one(e, &e->provs.items[i], old, upgrade, &entry, &one))
            mio_engine_fail(e, &one);
        else
            MIO_PUSH(&e->arena, out->items, out->n, out->cap) = entry;
    }
    return mio_diags_code(&e->diags);
}

enum mio_code mio_engine_find_plugins(struct mio_engine *e, struct mio_lockfile *out)
{
    struct mio_lockfile none = {0};
    return find_plugins(e, &none, false, out);
}

enum mio_code mio_engine_init(struct mio_engine *e, bool upgrade, bool readonly,
                              struct mio_lockfile *out)
{
    struct mio_lockfile old = {0};
    struct mio_err err = {0};
    bool found = false;
    if (mio_lockfile_read(&e->arena, e->opts.dir, &old, &found, &err))
        return mio_engine_fail(e, &err);
    enum mio_code rc = find_plugins(e, &old, upgrade, out);
    if (rc)
        return rc;
    bool same = found && old.n == out->n;
    for (size_t i = 0; same && i < out->n; i++) {
        const struct mio_lock_entry *was = entry_of(&old, out->items[i].type);
        same = was && mio_str_eq(was->sha256, out->items[i].sha256) &&
               mio_str_eq(was->path, out->items[i].path) &&
               mio_str_eq(was->version, out->items[i].version);
    }
    if (same)
        return MIO_OK;
    if (readonly) {
        mio_fail(&err, MIO_PROVIDER,
                 "the lock file would change, and -lockfile=readonly forbids that");
        mio_err_hint(&err, "Run `mlops-iac init` without it and commit .mlops-iac.lock.json.");
        return mio_engine_fail(e, &err);
    }
    return mio_lockfile_write(e->opts.dir, out, &err) ? mio_engine_fail(e, &err) : MIO_OK;
}

static enum mio_code ask(struct mio_engine *e, struct mio_step *s)
{
    struct mio_prov *prov = mio_provs_find(&e->provs, s->inst->provider);
    struct mio_prov_change c = {.kind = s->inst->res->kind->name,
                                .address = s->inst->address,
                                .inputs = s->inputs,
                                .prior = mio_null(),
                                .changed = mio_list(NULL, 0),
                                .content = mio_map(NULL, 0),
                                .base_dir = e->opts.no_paths ? (struct mio_str){0}
                                                             : s->inst->res->block->base_dir};
    struct mio_value answer;
    struct mio_err err = {0};
    bool supported;
    if (mio_has_unknown(s->inputs) || mio_has_sensitive(s->inputs))
        return MIO_OK;
    if (mio_provider_validate(prov->plugin, &e->arena, &c, &supported, &answer, &err))
        return mio_engine_fail(e, &err);
    for (uint32_t i = 0; supported && answer.type == MIO_LIST && i < answer.n; i++) {
        struct mio_err one = {.code = MIO_TEMPLATE};
        struct mio_str path = mio_get_str(answer.items[i], "path");
        snprintf(one.message, sizeof one.message, "%.*s",
                 MIO_FMT(mio_get_str(answer.items[i], "message")));
        snprintf(one.hint, sizeof one.hint, "%.*s", MIO_FMT(mio_get_str(answer.items[i], "hint")));
        const struct mio_entry *at = mio_node_entry(s->inst->res->block->body, path);
        mio_err_at(&one, at ? at->key_pos : s->inst->res->block->pos);
        mio_err_address(&one, s->inst->address);
        mio_engine_fail(e, &one);
    }
    return MIO_OK;
}

/* The settings of every provider against its table; values that are not known here are not missed.
 */
static void check_settings(struct mio_engine *e)
{
    for (size_t i = 0; i < e->provs.n; i++) {
        struct mio_prov *it = &e->provs.items[i];
        struct mio_err err = {0};
        struct mio_value config;
        if (it->schema && it->block && !it->folded &&
            mio_prov_settings(&e->stack, it, &config, &err) && !err.reported)
            mio_engine_fail(e, &err);
    }
}

/* The planner over an empty state, with everything that only apply can know left unknown. */
static enum mio_code look_through(struct mio_engine *e)
{
    enum mio_code rc;
    mio_state_init(&e->state, &e->arena, e->tpl->stage);
    e->plan = (struct mio_plan){.mode = MIO_PLAN_NORMAL};
    e->refresh = (struct mio_refresh){.arena = &e->arena, .state = &e->state, .provs = &e->provs};
    mio_refresh_none(&e->refresh);
    e->planner = mio_engine_planner(e, MIO_PLAN_NORMAL);
    e->planner.validating = true;
    e->planner.no_paths = e->opts.no_paths;
    check_settings(e); /* before there is a planner: they may ask nothing of resources */
    e->stack.value = mio_planner_value;
    e->stack.arg = &e->planner;
    rc = mio_planner_run(&e->planner);
    for (size_t i = 0; i < e->planner.nsteps && !rc; i++)
        if (e->planner.steps[i] && e->planner.steps[i]->inst &&
            !e->planner.steps[i]->inst->res->block->is_data)
            ask(e, e->planner.steps[i]);
    return e->diags.errors ? MIO_TEMPLATE : rc;
}

enum mio_code mio_engine_validate(struct mio_engine *e)
{
    enum mio_code rc = mio_engine_stack(e, true, true);
    if (rc && rc != MIO_TEMPLATE)
        return rc;
    enum mio_code more = look_through(e);
    return rc ? rc : more;
}

void mio_engine_find_more(struct mio_engine *e)
{
    e->stack.validating = true;
    look_through(e);
}
