/* providers/local/runner/main.c: mlops-iac-runner, the process that stays with a job when the
 * engine goes.
 *
 * In: FOLDER with run.json {argv, command_at, cgroup_procs, timeout_s}, which is removed once read,
 * as variables of the job may be secrets; for the same reason bubblewrap gets its options through a
 * descriptor. Descriptor 0 is the lock of a compute slot and descriptor 1 the lock of the run, both
 * held until this process ends. Out: std_log.txt and status.json in the folder. Killing it kills
 * the job (bubblewrap dies with its parent). Started by job.c alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"

enum { SPEC_MAX = 4 << 20 };

struct run {
    struct mio_arena arena;
    const char *const *argv;
    const char *const *procs; /* cgroup.procs files to enter */
    size_t command_at; /* index in argv of the command inside the sandbox; "--" stands before it */
    int64_t timeout_s;
    char started[24];
};

static const char *const *texts(struct mio_arena *a, struct mio_value list)
{
    const char **out = MIO_NEW_N(a, const char *, list.type == MIO_LIST ? list.n + 1 : 1);
    for (uint32_t i = 0; list.type == MIO_LIST && i < list.n; i++)
        out[i] = mio_arena_z(a, mio_value_str(list.items[i]));
    return out;
}

static enum mio_code load(struct run *r, struct mio_err *err)
{
    struct mio_str text;
    struct mio_value spec;
    if (mio_fs_read(&r->arena, "run.json", SPEC_MAX, &text, NULL, err) ||
        mio_json_read(&r->arena, text, NULL, &spec, err))
        return err->code;
    const struct mio_value *argv = mio_get_z(spec, "argv"),
                           *procs = mio_get_z(spec, "cgroup_procs");
    unlink("run.json");
    r->argv = texts(&r->arena, argv ? *argv : mio_null());
    r->procs = texts(&r->arena, procs ? *procs : mio_null());
    r->timeout_s = mio_get_i64(spec, "timeout_s", 0);
    int64_t at = mio_get_i64(spec, "command_at", 0);
    if (at < 2 || !argv || argv->type != MIO_LIST || at >= argv->n)
        return mio_fail(err, MIO_BUG, "run.json names no command");
    r->command_at = (size_t)at;
    return MIO_OK;
}

/* PROGRAM OPTIONS... -- COMMAND... becomes PROGRAM --args FD -- COMMAND..., the options in a memory
 * file. */
static enum mio_code hide_options(struct run *r, struct mio_err *err)
{
    size_t dashes = r->command_at - 1, n = 0;
    while (r->argv[dashes + n])
        n++;
    int fd = memfd_create("options", 0); /* inherited by bubblewrap, which closes it */
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot keep the options of the sandbox");
    for (size_t i = 1; i < dashes; i++)
        if (mio_fs_write_all(fd, r->argv[i], strlen(r->argv[i]) + 1, "options", err))
            return err->code;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return mio_fail_sys(err, errno, "cannot keep the options of the sandbox");
    const char **argv = MIO_NEW_N(&r->arena, const char *, n + 4);
    argv[0] = r->argv[0];
    argv[1] = "--args";
    argv[2] = mio_arena_printf(&r->arena, "%d", fd).p;
    memcpy(argv + 3, r->argv + dashes, n * sizeof *argv);
    r->argv = argv;
    return MIO_OK;
}

static enum mio_code report(struct run *r, const char *state, int exit_code, int sig,
                            struct mio_err *err)
{
    struct mio_arena *a = &r->arena;
    char now[24] = "";
    if (strcmp(state, "Running") != 0)
        mio_rfc3339(mio_wall_s(), now);
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 7);
    p[0] = (struct mio_pair){MIO_STR("state"), mio_string_z(state)};
    p[1] = (struct mio_pair){MIO_STR("exit_code"), mio_number_i64(a, exit_code)};
    p[2] = (struct mio_pair){MIO_STR("signal"), mio_number_i64(a, sig)};
    p[3] = (struct mio_pair){MIO_STR("started_at"), mio_string_z(r->started)};
    p[4] = (struct mio_pair){MIO_STR("finished_at"), mio_string_z(now)};
    p[5] = (struct mio_pair){MIO_STR("pid"), mio_number_i64(a, getpid())};
    p[6] = (struct mio_pair){MIO_STR("pid_started"),
                             mio_number_i64(a, (int64_t)mio_proc_started(getpid()))};
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_write(&text, mio_map(p, 7), MIO_JSON_PLAIN);
    mio_buf_char(&text, '\n');
    return mio_fs_replace("status.json", mio_buf_view(&text), 0600, err);
}

/* In the child: async-signal-safe calls only. A group that cannot be entered leaves the job
 * unlimited, which the compute's `limits` attribute has told. */
static void enter_groups(void *arg)
{
    const char *const *procs = arg;
    for (size_t i = 0; procs[i]; i++) {
        int fd = open(procs[i], O_WRONLY | O_CLOEXEC);
        ssize_t ignored = fd >= 0 ? write(fd, "0", 1) : -1;
        (void)ignored;
        if (fd >= 0)
            close(fd);
    }
}

static enum mio_code run(struct run *r, int log, struct mio_err *err)
{
    pid_t pid;
    int status = 0;
    bool late = false;
    union {
        const char *const *in;
        void *out;
    } procs = {r->procs};
    struct mio_proc_opts o = {.argv = r->argv,
                              .in = -1,
                              .out = log,
                              .err = log,
                              .prepare = enter_groups,
                              .prepare_arg = procs.out};
    int64_t deadline = r->timeout_s ? mio_now_ms() + r->timeout_s * 1000 : 0;
    mio_rfc3339(mio_wall_s(), r->started);
    if (report(r, "Running", 0, 0, err) || mio_proc_spawn(&o, &pid, err) ||
        mio_proc_wait(pid, deadline, &status, &late, err))
        return err->code;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : code > 128 && code < 160 ? code - 128 : 0;
    return report(r, late ? "TimedOut" : status == 0 ? "Completed" : "Failed", code, sig, err);
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct mio_err err = {0};
    if (argc != 2 || chdir(argv[1]) != 0)
        return 2;
    umask(077);
    mio_arena_init(&r.arena);
    /* The locks move out of the way of the job's descriptors and are not inherited by it. */
    int slot = fcntl(0, F_DUPFD_CLOEXEC, 10), lock = fcntl(1, F_DUPFD_CLOEXEC, 10);
    int log = open("std_log.txt", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (slot < 0 || lock < 0 || log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return 2;
    if (load(&r, &err) || hide_options(&r, &err) || run(&r, log, &err)) {
        dprintf(log, "mlops-iac-runner: %s%s%s\n", err.message, err.cause[0] ? ": " : "",
                err.cause);
        struct mio_err second = {0};
        report(&r, "Failed", 127, 0, &second);
    }
    mio_arena_free(&r.arena);
    return err.code ? 1 : 0;
}
