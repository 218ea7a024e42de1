/* planner/run/engine.c: opening, planning, applying. See engine.h. */
#include <dirent.h>
#include <unistd.h>
#include "planner/run/internal.h"
#include "planner/run/review.h"
#include "planner/run/version.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

enum { DEFAULT_BUDGET = 100000, PLAN_LIFE_S = 24 * 3600 };

enum mio_code mio_engine_fail(struct mio_engine *e, const struct mio_err *err)
{
    return mio_diags_add(&e->diags, MIO_ERROR, err);
}

void mio_engine_event(struct mio_engine *e, const struct mio_event *ev)
{
    if (e->opts.on_event)
        e->opts.on_event(e->opts.arg, ev);
}

static void on_log(void *arg, int level, struct mio_str instance, struct mio_str message)
{
    struct mio_engine *e = arg;
    struct mio_event ev = {
        .type = MIO_EV_LOG, .level = level, .message = message, .address = instance};
    mio_engine_event(e, &ev);
}

/* `required_version` of the template and of every module in it. */
static void check_versions(struct mio_engine *e, const struct mio_template *t)
{
    struct mio_err old = {0};
    if (mio_version_check(t->required_version, MIO_STR(MIO_VERSION), &old)) {
        if (t != e->tpl)
            mio_err_wrap(&old, "the module in %.*s", MIO_FMT(mio_str_sub(t->dir, 0, 200)));
        mio_engine_fail(e, &old);
    }
    for (size_t i = 0; i < t->modules.n; i++)
        check_versions(e, t->modules.items[i].tpl);
}

enum mio_code mio_engine_open(const struct mio_engine_opts *o, struct mio_engine **out,
                              struct mio_diags **diags, struct mio_sources **sources)
{
    struct mio_engine *e = mio_zalloc(1, sizeof *e);
    mio_arena_init(&e->arena);
    e->opts = *o;
    mio_diags_init(&e->diags, &e->arena);
    *out = e;
    *diags = &e->diags;
    *sources = &e->sources;
    struct mio_template_opts t = {.dir = o->dir,
                                  .stage = o->stage ? o->stage : "",
                                  .sources = &e->sources,
                                  .shown_from = o->shown_from,
                                  .overlay = o->overlay,
                                  .no_paths = o->no_paths,
                                  .module = mio_engine_module,
                                  .module_arg = e};
    enum mio_code rc = o->state_only ? mio_template_settings(&e->arena, &t, &e->tpl, &e->diags)
                                     : mio_template_load(&e->arena, &t, &e->tpl, &e->diags);
    if (rc)
        return e->diags.errors ? mio_diags_code(&e->diags) : rc;
    if (mio_engine_modules_done(e))
        return MIO_IO;
    if (!o->state_only)
        check_versions(e, e->tpl);
    if (e->diags.errors)
        return MIO_TEMPLATE;
    e->state_dir = o->state_dir ? mio_arena_str(&e->arena, mio_str_z(o->state_dir))
                                : mio_arena_printf(&e->arena, "%s/.state/%s", o->dir,
                                                   o->stage && *o->stage ? o->stage : "default");
    e->provs = (struct mio_provs){
        .arena = &e->arena,
        .plugin_dirs = o->plugin_dirs,
        .program_dir = o->program_dir,
        .base_dir = e->tpl->dir,
        .stage = e->tpl->stage,
        .parallelism = o->parallelism ? o->parallelism : 10,
        .on_log = on_log,
        .arg = e,
        .host_program =
            mio_arena_printf(&e->arena, "%s/../libexec/mlops-iac/mlops-iac-provider-host",
                             o->program_dir)
                .p};
    if (o->state_only)
        return MIO_OK;
    mio_provs_init(&e->provs, e->tpl);
    return mio_engine_variables(e);
}

void mio_engine_close(struct mio_engine *e)
{
    if (!e)
        return;
    mio_planner_free(&e->planner);
    mio_provs_close(&e->provs);
    mio_store_close(e->store);
    mio_sealer_close(e->sealer);
    mio_arena_free(&e->arena);
    free(e);
}

struct mio_diags *mio_engine_diags(struct mio_engine *e)
{
    return &e->diags;
}

struct mio_arena *mio_engine_arena(struct mio_engine *e)
{
    return &e->arena;
}

const struct mio_template *mio_engine_template(const struct mio_engine *e)
{
    return e->tpl;
}

struct mio_store *mio_engine_store(struct mio_engine *e)
{
    return e->store;
}

static size_t instance_budget(void)
{
    const char *text = getenv("MLOPS_IAC_MAX_INSTANCES");
    uint64_t n;
    return text && mio_str_u64(mio_str_z(text), &n) && n > 0 ? (size_t)n : DEFAULT_BUDGET;
}

static enum mio_code unplanned(void *arg, struct mio_inst *inst, struct mio_value *out,
                               struct mio_err *err)
{
    (void)arg;
    (void)inst;
    (void)err;
    *out = mio_unknown(MIO_MAP);
    return MIO_OK;
}

enum mio_code mio_engine_stack(struct mio_engine *e, bool planning, bool validating)
{
    struct mio_err err = {0};
    char *cwd = mio_arena_alloc(&e->arena, 4096);
    if (!getcwd(cwd, 4096))
        cwd[0] = '\0';
    e->stack = (struct mio_stack){.arena = &e->arena,
                                  .diags = &e->diags,
                                  .budget = instance_budget(),
                                  .vars = e->vars,
                                  .nvars = e->nvars,
                                  .chdir = cwd,
                                  .temp_dir = e->opts.temp_dir,
                                  .planning = planning,
                                  .validating = validating,
                                  .now = mio_wall_s(),
                                  .value = unplanned,
                                  .function = mio_provs_function,
                                  .function_arg = &e->provs};
    bool found = false;
    if (!e->provs.have_lock &&
        mio_lockfile_read(&e->arena, e->opts.dir, &e->provs.lock, &found, &err))
        return mio_engine_fail(e, &err);
    if (!e->provs.have_lock && !found && e->opts.temp_dir &&
        mio_engine_find_plugins(e, &e->provs.lock))
        return MIO_PROVIDER;
    e->provs.have_lock = true;
    enum mio_code rc = mio_stack_build(&e->stack, e->tpl);
    return rc ? rc : mio_provs_bind(&e->provs, &e->stack);
}

static enum mio_code lock(struct mio_engine *e, const char *operation)
{
    struct mio_err err = {0};
    bool wanted = e->opts.lock && !e->opts.read_only && !e->locked &&
                  (e->remote || e->opts.durable_folder || mio_fs_exists(e->state_dir.p));
    if (!wanted)
        return MIO_OK;
    enum mio_code rc = mio_store_lock(e->store, operation, 0, e->opts.interrupt, &err);
    if (rc == MIO_LOCKED && e->opts.lock_timeout_ms) {
        struct mio_event ev = {.type = MIO_EV_WAITING};
        mio_engine_event(e, &ev);
        mio_err_clear(&err);
        rc = mio_store_lock(e->store, operation, e->opts.lock_timeout_ms, e->opts.interrupt, &err);
    }
    if (rc)
        return mio_engine_fail(e, &err);
    e->locked = true;
    return MIO_OK;
}

enum mio_code mio_engine_load(struct mio_engine *e, const char *operation)
{
    struct mio_err err = {0};
    struct mio_jrn_replay replay;
    bool found = false;
    if (e->loaded)
        return MIO_OK;
    enum mio_code rc = mio_engine_store_open(e);
    if (rc == MIO_OK)
        rc = lock(e, operation);
    if (rc)
        return rc;
    if (mio_store_load(e->store, &e->arena, &e->state, &err) ||
        mio_store_journal(e->store, &e->arena, &e->state, &replay, &found, &err))
        return mio_engine_fail(e, &err);
    mio_engine_store_warn(e);
    e->loaded = true;
    if (found && (e->opts.read_only || !e->locked)) {
        mio_diags_warn(&e->diags, (struct mio_pos){0},
                       "If none is running, `mlops-iac plan` settles the interrupted one.",
                       "an apply is running, or was interrupted: %zu operations of its journal are "
                       "not in the state yet",
                       replay.n);
    } else if (found) {
        if (!e->stack.root && (rc = mio_engine_stack(e, true, false)) != MIO_OK)
            return rc;
        return mio_engine_recover(e, &replay);
    }
    return MIO_OK;
}

static bool is_recorded(const struct mio_engine *e, struct mio_str name)
{
    for (size_t i = 0; i < e->state.nrows; i++)
        if (mio_str_eq(e->state.rows[i].provider, name))
            return true;
    return false;
}

enum mio_code mio_engine_configure(struct mio_engine *e, bool some)
{
    for (size_t i = 0; i < e->provs.n; i++) {
        struct mio_err err = {0};
        struct mio_prov *it = &e->provs.items[i];
        if ((!it->used && !is_recorded(e, it->name)) ||
            mio_prov_configure(&e->provs, it, &e->stack, e->state.lineage, &err) == MIO_OK)
            continue;
        if (!some || !it->schema) {
            mio_engine_fail(e, &err);
            continue;
        }
        struct mio_err *kept = MIO_NEW(&e->arena, struct mio_err);
        *kept = err;
        it->trouble = kept;
    }
    return mio_diags_code(&e->diags);
}

/* A row that an earlier run could not confirm blocks everything until a person has said what is
 * true. */
static enum mio_code refuse_unconfirmed(struct mio_engine *e)
{
    for (size_t i = 0; i < e->state.nrows; i++) {
        const struct mio_row *row = &e->state.rows[i];
        if (row->status != MIO_ROW_UNCONFIRMED)
            continue;
        struct mio_err err = {0};
        mio_fail(&err, MIO_STATE, "nobody can say whether %.*s exists: its create was interrupted",
                 MIO_FMT(row->address));
        mio_err_hint(&err,
                     "If it exists: mlops-iac import '%.*s' ID. If not: mlops-iac state rm '%.*s'.",
                     MIO_FMT(row->address), MIO_FMT(row->address));
        mio_err_address(&err, row->address);
        mio_engine_fail(e, &err);
    }
    return e->diags.errors ? MIO_STATE : MIO_OK;
}

static int by_text(const void *a, const void *b)
{
    const struct mio_str *x = a, *y = b;
    return mio_str_cmp(*x, *y);
}

const struct mio_str *mio_engine_plugins(struct mio_engine *e, size_t *n)
{
    struct mio_str *plugins = MIO_NEW_N(&e->arena, struct mio_str, e->provs.lock.n + 1);
    for (size_t i = 0; i < e->provs.lock.n; i++) {
        const struct mio_lock_entry *l = &e->provs.lock.items[i];
        plugins[i] = mio_arena_printf(&e->arena, "%.*s %.*s %.*s", MIO_FMT(l->type),
                                      MIO_FMT(l->version), MIO_FMT(l->sha256));
    }
    if (e->provs.lock.n > 1)
        qsort(plugins, e->provs.lock.n, sizeof *plugins, by_text);
    *n = e->provs.lock.n;
    return plugins;
}

/* Values of the variables as the plan used them, and a digest over them. */
static void bind_variables(struct mio_engine *e)
{
    const struct mio_template *t = e->tpl;
    struct mio_pair *pairs = MIO_NEW_N(&e->arena, struct mio_pair, t->variables.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < t->variables.n; i++) {
        struct mio_err err = {0};
        if (mio_stack_variable(&e->stack, e->stack.root, i, &pairs[n].value, &err)) {
            mio_engine_fail(e, &err);
            continue;
        }
        pairs[n++].key = t->variables.items[i].name;
    }
    e->plan.variables = mio_map(pairs, n);
    MIO_AUTO_BUF b = {0};
    uint8_t digest[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(&e->arena, MIO_SHA256_HEX + 1);
    mio_json_write(&b, mio_mask(&e->arena, e->plan_salt, e->plan.variables), MIO_JSON_MARKED);
    mio_sha256_of(b.p, b.n, digest);
    mio_hex(digest, sizeof digest, hex);
    e->plan.binding.variables_digest = (struct mio_str){hex, MIO_SHA256_HEX};
}

static struct mio_str nonce(struct mio_arena *a)
{
    uint8_t bytes[16];
    char *hex = mio_arena_alloc(a, 2 * sizeof bytes + 1);
    mio_random(bytes, sizeof bytes);
    mio_hex(bytes, sizeof bytes, hex);
    return (struct mio_str){hex, 2 * sizeof bytes};
}

static void bind(struct mio_engine *e)
{
    struct mio_plan_binding *b = &e->plan.binding;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    e->plan_salt = e->state.serial ? e->state.salt : MIO_STR(zeros);
    bind_variables(e);
    b->tool_version = MIO_STR(MIO_VERSION);
    b->template_digest = e->tpl->digest;
    b->stage = e->tpl->stage;
    b->lineage = e->state.serial ? e->state.lineage : MIO_STR("");
    b->serial = e->state.serial;
    b->state_digest = e->state.digest;
    b->created = mio_wall_s();
    b->expires = b->created + (e->opts.plan_life_s > 0 ? e->opts.plan_life_s : PLAN_LIFE_S);
    b->plugins = mio_engine_plugins(e, &b->nplugins);
    b->nonce = nonce(&e->arena);
}

static const struct mio_str *names(struct mio_arena *a, const char *const *list, size_t n)
{
    struct mio_str *out = MIO_NEW_N(a, struct mio_str, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = mio_arena_str(a, mio_str_z(list[i]));
    return out;
}

static void refresh_event(void *arg, const struct mio_row *row, bool done)
{
    struct mio_engine *e = arg;
    struct mio_event ev = {.type = done ? MIO_EV_REFRESH_DONE : MIO_EV_REFRESH_START,
                           .address = row->address,
                           .id = row->id,
                           .action = MIO_READ};
    mio_engine_event(e, &ev);
}

static enum mio_code check_targets(struct mio_engine *e, const char *const *list, size_t n,
                                   const char *flag)
{
    for (size_t i = 0; i < n; i++) {
        struct mio_address ad;
        struct mio_err err = {0};
        if (mio_address_parse(&e->arena, mio_str_z(list[i]), &ad, &err)) {
            mio_err_wrap(&err, "%s", flag);
            mio_engine_fail(e, &err);
        }
    }
    return e->diags.errors ? MIO_USAGE : MIO_OK;
}

static void mark_imported(struct mio_engine *e)
{
    for (size_t i = 0; i < e->nimported; i++)
        for (size_t k = 0; k < e->plan.nchanges; k++)
            if (mio_str_eq(e->plan.changes[k].address, e->imported[i].address)) {
                e->plan.changes[k].import_id = e->imported[i].id;
                e->plan.counts.import++;
            }
}

struct mio_planner mio_engine_planner(struct mio_engine *e, enum mio_plan_mode mode)
{
    return (struct mio_planner){.arena = &e->arena,
                                .st = &e->stack,
                                .provs = &e->provs,
                                .state = &e->state,
                                .refresh = &e->refresh,
                                .diags = &e->diags,
                                .sources = &e->sources,
                                .mode = mode,
                                .cancel = e->opts.interrupt,
                                .unguarded = e->opts.temp_dir != NULL,
                                .plan = &e->plan};
}

enum mio_code mio_engine_plan(struct mio_engine *e, const struct mio_plan_opts *o,
                              const struct mio_plan **out)
{
    enum mio_code rc;
    if ((rc = mio_engine_stack(e, true, false)) == MIO_TEMPLATE)
        mio_engine_find_more(e);
    if (rc || (rc = check_targets(e, o->targets, o->ntargets, "-target")) ||
        (rc = check_targets(e, o->excludes, o->nexcludes, "-exclude")) ||
        (rc = check_targets(e, o->replaces, o->nreplaces, "-replace")) ||
        (rc = mio_engine_load(e, o->mode == MIO_PLAN_DESTROY ? "destroy"
                                 : e->opts.durable_folder    ? "apply"
                                                             : "plan")) ||
        (rc = refuse_unconfirmed(e)) ||
        /* a provider that cannot be asked does not keep the others from being looked at */
        ((rc = mio_engine_configure(e, o->ntargets || o->nexcludes)) &&
         o->mode != MIO_PLAN_REFRESH_ONLY) ||
        (rc = o->mode == MIO_PLAN_NORMAL ? mio_engine_check_after(e) : MIO_OK))
        return rc;
    e->plan = (struct mio_plan){.mode = o->mode,
                                .refreshed = o->refresh,
                                .targets = names(&e->arena, o->targets, o->ntargets),
                                .ntargets = o->ntargets,
                                .excludes = names(&e->arena, o->excludes, o->nexcludes),
                                .nexcludes = o->nexcludes,
                                .replaces = names(&e->arena, o->replaces, o->nreplaces),
                                .nreplaces = o->nreplaces};
    struct mio_planner *p = &e->planner;
    *p = mio_engine_planner(e, o->mode);
    p->targets = o->targets;
    p->ntargets = o->ntargets;
    p->excludes = o->excludes;
    p->nexcludes = o->nexcludes;
    p->replaces = o->replaces;
    p->nreplaces = o->nreplaces;
    p->looking = o->looking;
    bind(e);
    if (o->mode == MIO_PLAN_NORMAL)
        mio_planner_moved(&e->planner);
    e->generating = o->generate;
    if (o->mode == MIO_PLAN_NORMAL)
        mio_engine_import_blocks(e);
    e->refresh = (struct mio_refresh){.arena = &e->arena,
                                      .state = &e->state,
                                      .provs = &e->provs,
                                      .arg = e,
                                      .on_row = e->opts.refresh_events ? refresh_event : NULL};
    if (o->refresh)
        mio_refresh_start(&e->refresh, o->mode == MIO_PLAN_REFRESH_ONLY, e->opts.abort);
    else
        mio_refresh_none(&e->refresh);
    mio_engine_overlay(e);
    e->stack.value = mio_planner_value;
    e->stack.arg = &e->planner;
    rc = mio_planner_run(&e->planner);
    if (!rc)
        mio_engine_check_imported(e);
    mark_imported(e);
    *out = &e->plan;
    e->planned = rc == MIO_OK && e->diags.errors == 0;
    rc = rc ? rc : mio_diags_code(&e->diags);
    e->plan.errored = rc != MIO_OK;
    return rc;
}

enum mio_code mio_engine_apply(struct mio_engine *e, struct mio_apply_result *out)
{
    struct mio_err err = {0};
    *out = (struct mio_apply_result){0};
    if (!e->planned) {
        mio_fail(&err, MIO_BUG, "there is no plan to apply");
        return mio_engine_fail(e, &err);
    }
    enum mio_code rc = mio_engine_may_apply(e);
    if (rc)
        return rc;
    e->stack.planning = false;
    return mio_engine_execute(e, out);
}
