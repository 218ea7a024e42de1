/* providers/local/job_run.c: the run of a job: its folder is filled, a runner started, its end
 * awaited.
 *
 * The runner holds the OFD lock run.lock for as long as it lives: whoever gets the lock knows that
 * nothing runs. So a second create with the same key joins the run that the first one started. See
 * job.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/local/compute.h"
#include "providers/local/environment.h"
#include "providers/local/job.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

enum { POLL_FIRST_MS = 10, POLL_MAX_MS = 250, STOP_MS = 30000, BINDS_EXTRA = 4, SHELL_WORDS = 3 };

static const char *in_dir(struct local *l, const char *dir, const char *name)
{
    return mio_arena_printf(l->a, "%s/%s", dir, name).p;
}

enum mio_code local_job_status(struct local *l, const char *dir, struct mio_value *out,
                               struct mio_err *err)
{
    bool found;
    *out = mio_null();
    return local_record_read(l, in_dir(l, dir, "status.json"), out, &found, err);
}

struct mio_str local_job_tail(struct local *l, const char *log, size_t max)
{
    MIO_AUTO_CLOSE int fd = open(log, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return MIO_STR("");
    char *text = mio_arena_alloc(l->a, max + 1);
    off_t from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
    ssize_t n = pread(fd, text, max, from);
    struct mio_str tail = mio_str_trim((struct mio_str){text, n > 0 ? (size_t)n : 0});
    ptrdiff_t line = mio_str_find(tail, '\n');
    if (from && line >= 0) /* the first line is cut: leave it out */
        tail = mio_str_sub(tail, (size_t)line + 1, tail.n);
    return tail;
}

/* ---- preparing ---- */

static enum mio_code copy_code(struct local *l, const struct local_change *ch, const char *to,
                               struct mio_err *err)
{
    struct mio_str given = mio_get_str(ch->inputs, "code");
    if (!given.n)
        return mio_fs_mkdirs(to, 0700, err);
    const char *from = local_abs(l, ch, given);
    struct mio_str inside = mio_arena_printf(l->a, "%s/", from);
    if (mio_str_starts(l->p->root, inside.p)) {
        mio_fail(err, MIO_TEMPLATE, "code: %s contains the folder %.*s of provider local", from,
                 MIO_FMT(l->p->root));
        return mio_err_hint(err, "Put the scripts in a folder of their own.");
    }
    if (mio_fs_is_dir(from))
        return mio_fs_copy_tree(from, to, err);
    struct mio_str base = mio_path_base(mio_str_z(from));
    if (mio_fs_mkdirs(to, 0700, err))
        return err->code;
    return mio_fs_copy_tree(from, mio_arena_printf(l->a, "%s/%.*s", to, MIO_FMT(base)).p, err);
}

static enum mio_code make_folders(struct local *l, const struct local_change *ch,
                                  const struct local_job *j, const struct local_job_ios *outs,
                                  struct mio_err *err)
{
    static const char *const stale[] = {"code", "outputs", "std_log.txt", "status.json",
                                        "run.json"};
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++)
        if (mio_fs_remove_tree(in_dir(l, j->dir, stale[i]), err))
            return err->code;
    if (copy_code(l, ch, in_dir(l, j->dir, "code"), err) ||
        mio_fs_mkdirs(in_dir(l, j->dir, "outputs"), 0700, err))
        return err->code;
    for (size_t i = 0; i < outs->n; i++)
        if (!outs->items[i].is_file && mio_fs_mkdirs(outs->items[i].from, 0700, err))
            return err->code;
    return MIO_OK;
}

static enum mio_code timeout_of(struct mio_value inputs, int64_t *seconds, struct mio_err *err)
{
    struct mio_str given = mio_get_str(local_get(inputs, "limits"), "timeout");
    *seconds = 0;
    if (!given.n || mio_duration_s(given, seconds))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "limits.timeout: \"%.*s\" is no length of time", MIO_FMT(given));
    return mio_err_hint(err, "Write seconds, 5m or PT5M.");
}

static struct mio_value list_of(struct mio_arena *a, const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n])
        n++;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + 1);
    for (size_t i = 0; i < n; i++)
        items[i] = mio_string_z(texts[i]);
    return mio_list(items, n);
}

static enum mio_code sandbox_of(struct local *l, const struct local_change *ch,
                                const struct local_job *j, const struct local_job_ios *ins,
                                struct mio_str command, const char ***argv, struct mio_err *err)
{
    struct local_environment env = {0};
    if (local_environment_open(l, j->ws, local_get(ch->inputs, "environment"), &env, err))
        return err->code;
    struct local_bind *binds =
        MIO_NEW_N(l->a, struct local_bind, ins->n + env.nbinds + BINDS_EXTRA);
    size_t n = 0;
    for (size_t i = 0; i < env.nbinds; i++)
        binds[n++] = env.binds[i];
    for (size_t i = 0; i < ins->n; i++)
        if (ins->items[i].from)
            binds[n++] = (struct local_bind){ins->items[i].from, ins->items[i].text.p, false};
    binds[n++] = (struct local_bind){in_dir(l, j->dir, "code"), "/job/code", true};
    binds[n++] = (struct local_bind){in_dir(l, j->dir, "outputs"), "/job/outputs", true};
    const char *line[SHELL_WORDS + 1] = {"/bin/sh", "-c", mio_arena_z(l->a, command), NULL};
    struct mio_value vars = local_get(ch->inputs, "environment_variables");
    struct mio_value base = local_map(l->a, "AZUREML_RUN_ID", mio_string(j->id), NULL);
    if (env.env.type == MIO_MAP)
        base = mio_map_merge(l->a, base, env.env);
    struct local_sandbox s = {
        .binds = binds,
        .nbinds = n,
        .root = env.root,
        .interpreter = env.interpreter,
        .path = env.path,
        .cwd = "/job/code",
        .env = vars.type == MIO_MAP ? mio_map_merge(l->a, base, vars) : base,
        .command = line,
    };
    return local_sandbox_argv(l, &s, argv, err);
}

/* Everything of the run on disk; *slot is the lock of a compute slot, or -1 without a compute. */
static enum mio_code prepare(struct local *l, const struct local_change *ch,
                             const struct local_job *j, int *slot, struct mio_err *err)
{
    struct local_job_ios ins = {0}, outs = {0};
    struct mio_str command, compute = mio_get_str(ch->inputs, "compute");
    const char **argv, *const *procs = NULL;
    int64_t timeout, index;
    struct local_compute c;
    if (local_job_inputs(l, ch, &ins, err) ||
        local_job_outputs(l, j->dir, local_get(ch->inputs, "outputs"), &outs, err) ||
        local_job_command(l, mio_get_str(ch->inputs, "command"), &ins, &outs, &command, err) ||
        timeout_of(ch->inputs, &timeout, err) || sandbox_of(l, ch, j, &ins, command, &argv, err) ||
        make_folders(l, ch, j, &outs, err))
        return err->code;
    if (compute.n) {
        if (local_compute_open(l, j->ws, compute, &c, err) ||
            local_compute_take(l, &c, &index, slot, err))
            return err->code;
        procs = local_cgroup_procs(l, local_compute_group(l, &c, index));
    }
    struct mio_value words = list_of(l->a, argv);
    struct mio_value spec = local_map(
        l->a, "argv", words, "command_at", mio_number_i64(l->a, words.n - SHELL_WORDS),
        "cgroup_procs", list_of(l->a, procs), "timeout_s", mio_number_i64(l->a, timeout), NULL);
    return local_record_write(l, in_dir(l, j->dir, "run.json"), spec, err);
}

/* ---- running ---- */

static enum mio_code start(struct local *l, const struct local_change *ch,
                           const struct local_job *j, int lock, pid_t *pid, struct mio_err *err)
{
    MIO_AUTO_CLOSE int slot = -1;
    if (prepare(l, ch, j, &slot, err))
        return err->code;
    const char *argv[] = {local_support(l, "mlops-iac-runner"), j->dir, NULL};
    struct mio_proc_opts o = {
        .argv = argv, .cwd = "/", .in = slot, .out = lock, .err = -1, .new_session = true};
    return mio_proc_spawn(&o, pid, err);
}

static void tell(struct local *l, const struct local_job *j, int64_t since, struct mio_str *last)
{
    struct mio_arena_mark mark = mio_arena_mark(l->a);
    struct mio_str tail = local_job_tail(l, in_dir(l, j->dir, "std_log.txt"), 200);
    const char *newline = tail.n ? memrchr(tail.p, '\n', tail.n) : NULL;
    if (newline)
        tail = mio_str_sub(tail, (size_t)(newline - tail.p) + 1, tail.n);
    if (mio_str_eq(tail, *last)) {
        mio_arena_rewind(l->a, mark);
        return;
    }
    *last = tail;
    local_progress(l, -1, "running %jd s: %.*s", (intmax_t)(mio_now_ms() - since) / 1000,
                   MIO_FMT(tail));
}

/* Until the run's lock is free. *fd holds it then. */
static enum mio_code await_end(struct local *l, const struct local_job *j, int *fd,
                               struct mio_err *err)
{
    const char *path = in_dir(l, j->dir, "run.lock");
    struct mio_str last = {0};
    int64_t since = mio_now_ms();
    for (int64_t pause = POLL_FIRST_MS;; pause = pause < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS) {
        struct mio_arena_mark mark = mio_arena_mark(l->a);
        if (local_trylock(l, path, fd, err) || *fd >= 0)
            return err->code;
        mio_arena_rewind(l->a, mark);
        if (local_check_stop(l, err)) {
            struct mio_err ignored = {0};
            local_job_stop(l, j->dir, &ignored);
            return err->code;
        }
        if (pause == POLL_MAX_MS)
            tell(l, j, since, &last);
        mio_sleep_ms(pause);
    }
}

enum mio_code local_job_run(struct local *l, const struct local_change *ch,
                            const struct local_job *j, struct mio_value *status,
                            struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    MIO_AUTO_CLOSE int ended = -1;
    pid_t pid = 0;
    if (local_trylock(l, in_dir(l, j->dir, "run.lock"), &lock, err) ||
        (lock >= 0 && local_job_status(l, j->dir, status, err)))
        return err->code;
    struct mio_str state = lock >= 0 ? mio_get_str(*status, "state") : (struct mio_str){0};
    if (state.n && !mio_str_is(state, "Running"))
        return MIO_OK; /* an earlier attempt came to its end */
    if (lock >= 0) {
        if (start(l, ch, j, lock, &pid, err))
            return err->code;
        close(lock); /* the runner has it now */
        lock = -1;
    } else {
        local_progress(l, -1, "joining the run that was started before");
    }
    await_end(l, j, &ended, err);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (err->code || local_job_status(l, j->dir, status, err))
        return err->code;
    if (!mio_str_is(mio_get_str(*status, "state"), "Running") && !mio_is_null(*status))
        return MIO_OK;
    return mio_fail(err, MIO_REALITY, "the runner of job %.*s was killed", MIO_FMT(j->id));
}

enum mio_code local_job_stop(struct local *l, const char *dir, struct mio_err *err)
{
    const char *path = in_dir(l, dir, "run.lock");
    if (!mio_fs_exists(path))
        return MIO_OK;
    for (int64_t end = mio_now_ms() + STOP_MS; mio_now_ms() < end; mio_sleep_ms(20)) {
        MIO_AUTO_CLOSE int lock = -1;
        struct mio_value status;
        if (local_trylock(l, path, &lock, err) || lock >= 0)
            return err->code;
        if (local_job_status(l, dir, &status, err))
            return err->code;
        pid_t pid = (pid_t)mio_get_i64(status, "pid", 0);
        uint64_t born = (uint64_t)mio_get_i64(status, "pid_started", 0);
        if (pid > 1 && born &&
            mio_proc_started(pid) == born) /* not another process by that number */
            kill(pid, SIGKILL);
    }
    return mio_fail(err, MIO_REALITY, "the run in %s cannot be stopped", dir);
}
