/* providers/local/supervise.c: services under s6: one s6-svscan an endpoint, in a session of its
 * own.
 *
 * Owns: the scan folder and the service folders. Never: keeps a pid; whether something runs is
 * asked of s6. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

enum {
    START_MS = 30000,
    KILL_MS = 35000, /* after a TERM that was not heeded; the server itself gives requests 30 s */
    STOP_MS = KILL_MS + 30000,
    UNLINK_MS = 1000, /* s6-svscan ends what it started: not the children of one that was killed */
    LOG_READ = 16384,
};

/* Absolute path of one of the s6 programs: the setting names their folder. */
static enum mio_code s6_program(struct local *l, const char *name, const char **path,
                                struct mio_err *err)
{
    struct mio_str folder = mio_get_str(l->p->config, "s6");
    if (!folder.n)
        return local_program(l, "s6", name, "s6", path, err);
    struct mio_str abs = mio_path_join(l->a, l->p->base_dir, folder);
    const char *p = mio_arena_printf(l->a, "%.*s/%s", MIO_FMT(abs), name).p;
    if (access(p, X_OK) != 0) {
        mio_fail_sys(err, errno, "%s cannot be run", p);
        return mio_err_hint(
            err, "apt-get install s6, and give the folder of its programs as `s6:` in the settings "
                 "of provider local, or leave that out.");
    }
    *path = p;
    return MIO_OK;
}

enum mio_code service_programs(struct local *l, struct mio_err *err)
{
    static const char *const s6[] = {"s6-svscan", "s6-svscanctl", "s6-supervise", "s6-svc",
                                     "s6-svstat", "s6-svdt",      "s6-svunlink",  "s6-log"};
    const char *path;
    for (size_t i = 0; i < sizeof s6 / sizeof *s6; i++)
        if (s6_program(l, s6[i], &path, err))
            return err->code;
    if (local_program(l, "haproxy", "haproxy", "haproxy", &path, err) ||
        local_program(l, "bwrap", "bwrap", "bubblewrap", &path, err))
        return err->code;
    if (access("/usr/bin/python3", X_OK) == 0)
        return MIO_OK;
    mio_fail(err, MIO_IO, "/usr/bin/python3 is not installed");
    return mio_err_hint(err, "apt-get install python3");
}

/* Runs one s6 program; *out (may be NULL) gets what it printed. A status other than 0 is an error.
 */
static enum mio_code s6_run(struct local *l, const char *const *words, struct mio_buf *out,
                            struct mio_err *err)
{
    const char *argv[10] = {0};
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 1 << 16);
    if (s6_program(l, words[0], &argv[0], err))
        return err->code;
    for (size_t i = 1; words[i] && i + 1 < sizeof argv / sizeof *argv; i++)
        argv[i] = words[i];
    const struct mio_proc_opts opts = {.argv = argv, .in = -1, .out = -1, .err = -1};
    int status = 0;
    if (mio_proc_run(&opts, mio_now_ms() + STOP_MS + START_MS, &text, &status, err))
        return err->code;
    if (status != 0) {
        mio_fail(err, MIO_IO, "%s failed for %s", words[0], words[1]);
        return mio_err_cause(err, "%.*s", MIO_FMT(mio_str_trim(mio_buf_view(&text))));
    }
    if (out)
        mio_buf_str(out, mio_buf_view(&text));
    return MIO_OK;
}
#define S6(l, out, err, ...) s6_run((l), (const char *const[]){__VA_ARGS__, NULL}, (out), (err))

/* Somebody reads the control pipe: the program that made it runs. */
static bool has_reader(const char *pipe)
{
    MIO_AUTO_CLOSE int fd = open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0;
}
static bool supervised(struct local *l, const char *dir)
{
    return has_reader(mio_arena_printf(l->a, "%s/supervise/control", dir).p);
}
static bool scanning(struct local *l, const char *scan)
{
    return has_reader(mio_arena_printf(l->a, "%s/.s6-svscan/control", scan).p);
}
static const char *scan_dir(struct local *l, const struct serving *ep)
{
    return mio_arena_printf(l->a, "%s/services", ep->dir).p;
}

/* ---- service folders ---- */

struct mio_str shell_word(struct mio_arena *a, struct mio_str text)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_char(&b, '\'');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\'')
            mio_buf_z(&b, "'\\''");
        else
            mio_buf_char(&b, text.p[i]);
    }
    mio_buf_char(&b, '\'');
    return mio_arena_str(a, mio_buf_view(&b));
}

enum mio_code service_write(struct local *l, const char *dir, const char *run, struct mio_err *err)
{
    const char *logger;
    if (s6_program(l, "s6-log", &logger, err) ||
        mio_fs_mkdirs(mio_arena_printf(l->a, "%s/log", dir).p, 0700, err))
        return err->code;
    struct mio_str body = mio_arena_printf(l->a, "#!/bin/sh\nexec 2>&1 </dev/null\n%s\n", run);
    struct mio_str log = mio_arena_printf(l->a, "#!/bin/sh\nexec %.*s -b n3 s1000000 T ../logs\n",
                                          MIO_FMT(shell_word(l->a, mio_str_z(logger))));
    struct mio_str kill_ms = mio_arena_printf(l->a, "%d\n", KILL_MS);
    if (mio_fs_replace(mio_arena_printf(l->a, "%s/run", dir).p, body, 0700, err) ||
        mio_fs_replace(mio_arena_printf(l->a, "%s/log/run", dir).p, log, 0700, err))
        return err->code;
    return mio_fs_replace(mio_arena_printf(l->a, "%s/timeout-kill", dir).p, kill_ms, 0600, err);
}

/* ---- s6-svscan ---- */

static void keep_nothing_open(void *unused)
{
    (void)unused;
    syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
    umask(077);
}

static enum mio_code scan_start(struct local *l, const struct serving *ep, struct mio_err *err)
{
    const char *scan = scan_dir(l, ep), *program;
    if (scanning(l, scan))
        return MIO_OK;
    if (s6_program(l, "s6-svscan", &program, err) || mio_fs_mkdirs(scan, 0700, err))
        return err->code;
    const char *log = mio_arena_printf(l->a, "%s/svscan.log", ep->dir).p;
    MIO_AUTO_CLOSE int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return mio_fail_sys(err, errno, "cannot write %s", log);
    struct mio_str bin = mio_path_dir(mio_str_z(program));
    const char *env[] = {
        mio_arena_printf(l->a, "PATH=%.*s:/usr/sbin:/usr/bin:/sbin:/bin", MIO_FMT(bin)).p, NULL};
    const char *argv[] = {program, scan, NULL};
    const struct mio_proc_opts opts = {.argv = argv,
                                       .env = env,
                                       .cwd = "/",
                                       .in = -1,
                                       .out = out,
                                       .err = out,
                                       .new_session = true,
                                       .prepare = keep_nothing_open};
    pid_t pid;
    if (mio_proc_spawn(&opts, &pid, err))
        return err->code;
    int64_t until = mio_now_ms() + START_MS;
    for (; mio_now_ms() < until && waitpid(pid, NULL, WNOHANG) == 0; mio_sleep_ms(10))
        if (scanning(l, scan))
            return MIO_OK;
    if (scanning(l, scan)) /* somebody else's was faster */
        return MIO_OK;
    mio_fail(err, MIO_IO, "s6-svscan does not start for endpoint %.*s", MIO_FMT(ep->name));
    return mio_err_hint(err, "See %s.", log);
}

/* An s6-svscan that is just ending is waited for and followed by a new one. */
enum mio_code service_start(struct local *l, const struct serving *ep, const char *dir,
                            const char *name, struct mio_err *err)
{
    const char *scan = scan_dir(l, ep);
    const char *link = mio_arena_printf(l->a, "%s/%s", scan, name).p;
    int64_t until = mio_now_ms() + STOP_MS, next = 0;
    if (scan_start(l, ep, err))
        return err->code;
    if (symlink(dir, link) != 0 && errno != EEXIST)
        return mio_fail_sys(err, errno, "cannot link %s", link);
    for (; !supervised(l, dir); mio_sleep_ms(10)) {
        struct mio_err ignored = {0};
        if (mio_now_ms() > until)
            return mio_fail(err, MIO_IO, "s6-supervise does not start for %s", dir);
        if (scan_start(l, ep, err) || local_check_stop(l, err))
            return err->code;
        if (mio_now_ms() < next)
            continue;
        S6(l, NULL, &ignored, "s6-svscanctl", "-a", scan);
        next = mio_now_ms() + 500;
    }
    return service_signal(l, dir, 'u', err);
}

enum mio_code service_signal(struct local *l, const char *dir, char what, struct mio_err *err)
{
    const char option[] = {'-', what, '\0'};
    return S6(l, NULL, err, "s6-svc", option, dir);
}

pid_t service_pid(struct local *l, const char *dir)
{
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 1 << 12);
    struct mio_err ignored = {0};
    uint64_t pid = 0;
    if (!supervised(l, dir) || S6(l, &out, &ignored, "s6-svstat", "-o", "up,wantedup,pid", dir))
        return 0;
    struct mio_str said = mio_str_trim(mio_buf_view(&out));
    if (mio_str_starts(said, "true true "))
        mio_str_u64(mio_str_sub(said, 10, said.n), &pid);
    return (pid_t)pid;
}

bool service_up(struct local *l, const char *dir)
{
    return service_pid(l, dir) > 0;
}

int service_deaths(struct local *l, const char *dir, int *last)
{
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 1 << 16);
    struct mio_err ignored = {0};
    int n = 0;
    if (S6(l, &out, &ignored, "s6-svdt", dir))
        return 0;
    struct mio_str rest = mio_buf_view(&out);
    while (rest.n) { /* "@TAI64N exitcode 3" or "@TAI64N signal SIGKILL" */
        ptrdiff_t end = mio_str_find(rest, '\n');
        struct mio_str line = mio_str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
        const char *code = memmem(line.p, line.n, "exitcode ", 9);
        uint64_t status = 128;
        if (code)
            mio_str_u64(mio_str_sub(line, (size_t)(code - line.p) + 9, line.n), &status);
        *last = (int)status;
        n++;
        rest = mio_str_sub(rest, line.n + 1, rest.n);
    }
    return n;
}

/* ---- the end ---- */

static enum mio_code wait_gone(struct local *l, const char *dir, struct mio_err *err)
{
    const char *logger = mio_arena_printf(l->a, "%s/log", dir).p;
    for (int64_t until = mio_now_ms() + STOP_MS; supervised(l, dir) || supervised(l, logger);
         mio_sleep_ms(10))
        if (mio_now_ms() > until)
            return mio_fail(err, MIO_IO, "the service %s does not stop", dir);
    return MIO_OK;
}

static bool wanted_up(struct local *l, const char *dir)
{
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 1 << 12);
    struct mio_err ignored = {0};
    return !S6(l, &out, &ignored, "s6-svstat", "-o", "wantedup", dir) &&
           mio_str_is(mio_str_trim(mio_buf_view(&out)), "true");
}

/* Supervisors that lost their s6-svscan are told directly; one that is ending already is not told
 * again, for a second signal would cut what is in flight. */
static void dismiss(struct local *l, const char *dir)
{
    const char *logger = mio_arena_printf(l->a, "%s/log", dir).p;
    struct mio_err ignored = {0};
    if (supervised(l, dir))
        S6(l, NULL, &ignored, "s6-svc", wanted_up(l, dir) ? "-xd" : "-x", dir);
    mio_err_clear(&ignored);
    if (supervised(l, logger))
        S6(l, NULL, &ignored, "s6-svc", "-x", logger);
}

enum mio_code service_stop(struct local *l, const struct serving *ep, const char *dir,
                           const char *name, struct mio_err *err)
{
    const char *scan = scan_dir(l, ep), *link = mio_arena_printf(l->a, "%s/%s", scan, name).p;
    const char *wait = mio_arena_printf(l->a, "%d", UNLINK_MS).p;
    struct mio_err late = {0};
    struct stat st;
    if (lstat(link, &st) == 0 && scanning(l, scan))
        S6(l, NULL, &late, "s6-svunlink", "-t", wait, scan, name);
    if (unlink(link) != 0 && errno != ENOENT)
        return mio_fail_sys(err, errno, "cannot remove %s", link);
    dismiss(l, dir);
    return wait_gone(l, dir, err);
}

enum mio_code service_names(struct local *l, const struct serving *ep, const char *prefix,
                            struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct mio_str *all = NULL;
    size_t count = 0, kept = 0;
    const char *scan = scan_dir(l, ep);
    if (local_names(l, scan, &all, &count, err))
        return err->code;
    for (size_t i = 0; i < count; i++)
        if (all[i].p[0] != '.' && mio_str_starts(all[i], prefix))
            all[kept++] = all[i];
    *names = all;
    *n = kept;
    return MIO_OK;
}

enum mio_code service_stop_all(struct local *l, const struct serving *ep, struct mio_err *err)
{
    const char *scan = scan_dir(l, ep);
    struct mio_str *names;
    size_t n;
    if (service_names(l, ep, "", &names, &n, err))
        return err->code;
    if (scanning(l, scan) && S6(l, NULL, err, "s6-svscanctl", "-t", scan))
        return err->code;
    for (int64_t until = mio_now_ms() + STOP_MS; scanning(l, scan); mio_sleep_ms(10))
        if (mio_now_ms() > until)
            return mio_fail(err, MIO_IO, "s6-svscan does not stop for %s", scan);
    for (size_t i = 0; i < n; i++) {
        const char *link = mio_arena_printf(l->a, "%s/%.*s", scan, MIO_FMT(names[i])).p;
        dismiss(l, link);
        if (wait_gone(l, link, err))
            return err->code;
    }
    return MIO_OK;
}

/* ---- the log ---- */

struct mio_str service_log(struct local *l, const char *dir, size_t max)
{
    const char *path = mio_arena_printf(l->a, "%s/logs/current", dir).p;
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = mio_arena_alloc(l->a, LOG_READ);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    ssize_t n = end >= 0 ? pread(fd, text, LOG_READ, end > LOG_READ ? end - LOG_READ : 0) : -1;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    struct mio_str rest = {text, n > 0 ? (size_t)n : 0};
    while (rest.n) { /* "2026-11-23 06:04:40.225381490  text" */
        ptrdiff_t at = mio_str_find(rest, '\n');
        struct mio_str line = mio_str_sub(rest, 0, at < 0 ? rest.n : (size_t)at);
        rest = mio_str_sub(rest, line.n + 1, rest.n);
        if (line.n > 31 && line.p[4] == '-' && line.p[29] == ' ')
            line = mio_str_sub(line, 31, line.n);
        mio_buf_str(&b, line);
        mio_buf_char(&b, '\n');
    }
    struct mio_str all = mio_str_trim(mio_buf_view(&b));
    while (all.n > max) {
        ptrdiff_t at = mio_str_find(all, '\n');
        if (at < 0)
            return mio_arena_str(l->a, mio_str_sub(all, all.n - max, max));
        all = mio_str_sub(all, (size_t)at + 1, all.n);
    }
    return mio_arena_str(l->a, all);
}
