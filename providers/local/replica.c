/* providers/local/replica.c: the replicas of a deployment: started in sandboxes, waited for,
 * counted, stopped. */
#include "providers/local/environment.h"
#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

enum {
    STARTUP_S = 1800,  /* a replica that never answered is started again after this */
    READY_MS = 5000,   /* an answer of GET /ready may take */
    CRASHES = 3,       /* ends of a replica that nobody waits out */
    SCRIPT_FAILED = 3, /* exit status of server.py when the script itself fails */
};

const char *replica_dir(struct local *l, const struct served *d, int64_t generation, int64_t index)
{
    return mio_arena_printf(l->a, "%s/g%jd/r%jd", d->dir, (intmax_t)generation, (intmax_t)index).p;
}

const char *replica_name(struct local *l, const struct served *d, int64_t generation, int64_t index)
{
    return mio_arena_printf(l->a, "%.*s@g%jd-r%jd", MIO_FMT(d->name), (intmax_t)generation,
                            (intmax_t)index)
        .p;
}

static const char *group_name(struct local *l, const struct served *d, const char *name)
{
    return mio_arena_printf(l->a, "%.*s+%.*s+%s", MIO_FMT(d->ep.ws), MIO_FMT(d->ep.name), name).p;
}

/* ---- starting ---- */

#define ROOT "/var/azureml-app"

static struct mio_value replica_env(struct local *l, const struct replicas *r,
                                    const struct local_environment *env, const char *model_dir)
{
    struct mio_value own =
        local_map(l->a, "AML_APP_ROOT", mio_string_z(ROOT "/code"), "AZUREML_ENTRY_SCRIPT",
                  mio_string(r->script), "AZUREML_MODEL_DIR", mio_string_z(model_dir), NULL);
    struct mio_value given = local_get(r->inputs, "environment_variables");
    if (env->env.type == MIO_MAP)
        own = mio_map_merge(l->a, own, env->env);
    return given.type == MIO_MAP ? mio_map_merge(l->a, own, given) : own;
}

/* Text after the last slash, for a model keeps the name of its file or folder below
 * AZUREML_MODEL_DIR. */
static const char *base_name(struct local *l, const char *path)
{
    return mio_arena_z(l->a, mio_path_base(mio_str_z(path)));
}

static enum mio_code sandbox(struct local *l, const struct replicas *r,
                             const struct local_environment *env, const char *io,
                             const char *const *command, const char ***argv, struct mio_err *err)
{
    struct local_bind *binds = MIO_NEW_N(l->a, struct local_bind, env->nbinds + 4);
    size_t n = 0;
    for (; n < env->nbinds; n++)
        binds[n] = env->binds[n];
    const char *model_dir = "";
    binds[n++] = (struct local_bind){io, "/run/replica", true};
    binds[n++] = (struct local_bind){local_support(l, "serve/server.py"), "/run/server.py", false};
    binds[n++] =
        (struct local_bind){mio_arena_printf(l->a, "%s/code", r->dir).p, ROOT "/code", false};
    if (r->model) {
        model_dir =
            mio_arena_printf(l->a, ROOT "/azureml-models/%s/%s", r->model_name, r->model_version).p;
        binds[n++] = (struct local_bind){
            r->model, mio_arena_printf(l->a, "%s/%s", model_dir, base_name(l, r->model)).p, false};
    }
    const struct local_sandbox s = {
        .binds = binds,
        .nbinds = n,
        .root = env->root,
        .interpreter = env->interpreter,
        .path = env->path,
        .env = replica_env(l, r, env, model_dir),
        .cwd = ROOT "/code",
        .command = command,
    };
    return local_sandbox_argv(l, &s, argv, err);
}

static struct mio_value strings(struct local *l, const char *const *items, size_t n)
{
    struct mio_value *v = MIO_NEW_N(l->a, struct mio_value, n + 1);
    for (size_t i = 0; i < n; i++)
        v[i] = mio_string_z(items[i]);
    return mio_list(v, n);
}

static size_t count_z(const char *const *items)
{
    size_t n = 0;
    while (items && items[n])
        n++;
    return n;
}

/* The control group of the replica, and the files that enter it: none where there is nothing to
 * limit. */
static enum mio_code groups(struct local *l, const struct replicas *r, const char *name,
                            struct mio_value *procs, struct mio_err *err)
{
    struct local_limits limits;
    struct mio_value all = local_get(r->inputs, "resources"), given = local_get(all, "limits");
    bool enforced = false;
    const char *group = group_name(l, r->of, name);
    *procs = mio_list(NULL, 0);
    if (local_limits_parse(given.type == MIO_MAP ? given : all, &limits, err))
        return err->code;
    if (!limits.cpu_milli && !limits.memory_bytes && !limits.pids)
        return MIO_OK;
    if (local_cgroup_set(l, group, &limits, &enforced, err))
        return err->code;
    const char **files = enforced ? local_cgroup_procs(l, group) : NULL;
    *procs = strings(l, files, count_z(files));
    return MIO_OK;
}

/* replica.json, what serve/replica.py starts from. */
static enum mio_code write_conf(struct local *l, const struct replicas *r, const char *dir,
                                const char *name, struct mio_err *err)
{
    const char *io = mio_arena_printf(l->a, "%s/io", dir).p;
    const char *script = mio_arena_printf(l->a, ROOT "/code/%.*s", MIO_FMT(r->script)).p;
    struct local_environment env;
    if (local_environment_open(l, r->of->ep.ws, local_get(r->inputs, "environment"), &env, err))
        return err->code;
    if (!env.interpreter) {
        mio_fail(err, MIO_TEMPLATE, "the environment of deployment %.*s has no python3",
                 MIO_FMT(r->of->name));
        return mio_err_hint(err,
                            "Add python3 to its `debian: {packages: [...]}` and lock it anew.");
    }
    const char *command[] = {
        env.interpreter,
        "/run/server.py",
        "--script",
        script,
        "--socket",
        "/run/replica/s",
        "--name",
        mio_arena_z(l->a, r->of->ep.name),
        "--model",
        r->model_name,
        "--model-version",
        r->model_version,
        "--concurrency",
        mio_arena_printf(l->a, "%jd", (intmax_t)served_bounds(r->inputs).concurrency).p,
        NULL};
    const size_t words = sizeof command / sizeof *command - 1;
    const char **argv;
    struct mio_value procs;
    if (mio_fs_mkdirs(io, 0700, err) || sandbox(l, r, &env, io, command, &argv, err) ||
        groups(l, r, name, &procs, err))
        return err->code;
    size_t options = count_z(argv) - words - 1; /* without "--" and the command */
    struct probe live = served_probe(l, r->inputs, "liveness_probe", "/");
    struct mio_value liveness =
        local_map(l->a, "path", mio_string_z(live.path), "initial_delay",
                  mio_number_i64(l->a, live.initial_delay), "period",
                  mio_number_i64(l->a, live.period), "timeout", mio_number_i64(l->a, live.timeout),
                  "failure_threshold", mio_number_i64(l->a, live.failure), NULL);
    struct mio_value conf =
        local_map(l->a, "sandbox", strings(l, argv, options), "command", strings(l, command, words),
                  "cgroup", procs, "socket", mio_string_z("io/s"), "liveness", liveness, "startup",
                  mio_number_i64(l->a, STARTUP_S), NULL);
    return local_record_write(l, mio_arena_printf(l->a, "%s/replica.json", dir).p, conf, err);
}

enum mio_code replica_start(struct local *l, const struct replicas *r, int64_t index,
                            struct mio_err *err)
{
    const char *dir = replica_dir(l, r->of, r->generation, index);
    const char *name = replica_name(l, r->of, r->generation, index);
    if (service_up(l, dir))
        return MIO_OK;
    const char *run =
        mio_arena_printf(l->a, "exec /usr/bin/python3 -I %.*s",
                         MIO_FMT(shell_word(l->a, mio_str_z(local_support(l, "serve/replica.py")))))
            .p;
    if (write_conf(l, r, dir, name, err) || service_write(l, dir, run, err))
        return err->code;
    return service_start(l, &r->of->ep, dir, name, err);
}

/* ---- waiting ---- */

static enum mio_code broken(struct local *l, const struct replicas *r, int64_t index,
                            struct mio_err *err)
{
    const char *dir = replica_dir(l, r->of, r->generation, index);
    struct mio_str log = service_log(l, dir, 380);
    mio_fail(err, MIO_REALITY, "replica %jd of deployment %.*s does not start: %.*s",
             (intmax_t)index, MIO_FMT(r->of->name),
             MIO_FMT(log.n ? log : MIO_STR("it said nothing")));
    return mio_err_hint(
        err,
        "Correct the scoring script, the model or the environment; the lines above are the end of "
        "the replica's log.");
}

enum mio_code replicas_wait(struct local *l, const struct replicas *r, int64_t n,
                            struct mio_err *err)
{
    int64_t start = mio_now_ms(), told = start;
    for (int64_t i = 0; i < n;) {
        const char *dir = replica_dir(l, r->of, r->generation, i);
        int last = 0;
        if (unix_get(dir, "io/s", "/ready", READY_MS) == 200) {
            i++;
            continue;
        }
        int deaths = service_deaths(l, dir, &last);
        if (deaths >= CRASHES || (deaths && last == SCRIPT_FAILED))
            return broken(l, r, i, err);
        if (local_check_stop(l, err)) {
            struct mio_str log = service_log(l, dir, 200);
            return mio_err_cause(err, "replica %jd is not ready yet; its log ends: %.*s",
                                 (intmax_t)i, MIO_FMT(log));
        }
        if (mio_now_ms() - told >= 2000) {
            told = mio_now_ms();
            local_progress(l, (int)(i * 100 / n), "%jd of %jd replicas ready after %jd s",
                           (intmax_t)i, (intmax_t)n, (intmax_t)((told - start) / 1000));
        }
        mio_sleep_ms(50);
    }
    return MIO_OK;
}

/* A start of the machine takes control groups away, and whoever starts s6-svscan then starts the
 * replicas without them. */
static bool limited(struct local *l, const char *dir, pid_t pid)
{
    struct mio_value conf;
    bool found, inside = true;
    struct mio_err ignored = {0};
    if (local_record_read(l, mio_arena_printf(l->a, "%s/replica.json", dir).p, &conf, &found,
                          &ignored))
        return true;
    struct mio_value files = local_get(conf, "cgroup");
    for (uint32_t i = 0; inside && files.type == MIO_LIST && i < files.n; i++)
        inside = local_cgroup_has(l, mio_arena_z(l->a, mio_value_str(files.items[i])), pid);
    return inside;
}

enum mio_code replicas_look(struct local *l, const struct served *d, int64_t generation, int64_t n,
                            struct replicas_state *out, struct mio_err *err)
{
    struct mio_str *names;
    size_t count;
    const char *prefix = mio_arena_printf(l->a, "%.*s@", MIO_FMT(d->name)).p;
    if (service_names(l, &d->ep, prefix, &names, &count, err))
        return err->code;
    *out = (struct replicas_state){.extra = count > (size_t)n};
    for (int64_t i = 0; i < n; i++) {
        const char *dir = replica_dir(l, d, generation, i);
        pid_t pid = service_pid(l, dir);
        if (!pid || unix_get(dir, "io/s", "/ready", READY_MS) != 200)
            continue;
        out->ready++;
        out->unlimited = out->unlimited || !limited(l, dir, pid);
    }
    return MIO_OK;
}

/* ---- stopping ---- */

static enum mio_code stop_one(struct local *l, const struct served *d, int64_t generation,
                              int64_t index, struct mio_err *err)
{
    const char *dir = replica_dir(l, d, generation, index);
    const char *name = replica_name(l, d, generation, index);
    if (service_stop(l, &d->ep, dir, name, err) ||
        local_cgroup_remove(l, group_name(l, d, name), err))
        return err->code;
    return mio_fs_remove_tree(dir, err);
}

/* "g7" with letter 'g' gives 7. */
static bool numbered(struct mio_str name, char letter, int64_t *number)
{
    return name.n > 1 && name.p[0] == letter && mio_str_i64(mio_str_sub(name, 1, name.n), number);
}

/* By the folders, not the links: a run that was killed may have taken the link away and no more. */
static enum mio_code prune_generation(struct local *l, const struct served *d, int64_t generation,
                                      int64_t keep, struct mio_err *err)
{
    struct mio_str *names;
    size_t n;
    int64_t index;
    const char *dir = mio_arena_printf(l->a, "%s/g%jd", d->dir, (intmax_t)generation).p;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (numbered(names[i], 'r', &index) && index >= keep &&
            stop_one(l, d, generation, index, err))
            return err->code;
    return keep ? MIO_OK : mio_fs_remove_tree(dir, err);
}

enum mio_code replicas_prune(struct local *l, const struct served *d, int64_t generation,
                             int64_t keep, struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t n = 0;
    int64_t g;
    if (local_names(l, d->dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (numbered(names[i], 'g', &g) &&
            prune_generation(l, d, g, g == generation ? keep : 0, err))
            return err->code;
    return MIO_OK;
}
