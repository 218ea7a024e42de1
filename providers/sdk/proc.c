/* providers/sdk/proc.c: see proc.h. */
#include "providers/sdk/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

enum { TERM_GRACE_MS = 2000 };

struct mio_str mio_proc_find(struct mio_arena *a, const char *name)
{
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? mio_arena_str(a, mio_str_z(name)) : MIO_STR("");
    const char *path = getenv("PATH");
    struct mio_str rest =
        mio_arena_printf(a, "%s:/usr/sbin:/sbin", path && *path ? path : "/usr/bin:/bin");
    while (rest.n) {
        ptrdiff_t colon = mio_str_find(rest, ':');
        struct mio_str dir = mio_str_sub(rest, 0, colon < 0 ? rest.n : (size_t)colon);
        rest = mio_str_sub(rest, dir.n + 1, rest.n);
        struct mio_str full = mio_arena_printf(a, "%.*s/%s", MIO_FMT(dir), name);
        if (dir.n && dir.p[0] == '/' && access(full.p, X_OK) == 0 && !mio_fs_is_dir(full.p))
            return full;
    }
    return MIO_STR("");
}

/* Puts fd on `want`; -1 means /dev/null. */
static bool place(int fd, int want)
{
    if (fd < 0) {
        int null = open("/dev/null", want == 0 ? O_RDONLY : O_WRONLY);
        if (null < 0 || dup2(null, want) < 0)
            return false;
        if (null != want)
            close(null);
        return true;
    }
    if (fd == want)
        return fcntl(fd, F_SETFD, 0) == 0;
    return dup2(fd, want) >= 0;
}

/* After whatever changes rights, which would lift it. A parent in another namespace has number 0.
 */
static void bind_to(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() && getppid() != parent)
        _exit(127);
}

_Noreturn static void child(const struct mio_proc_opts *o, pid_t parent, const char *program,
                            int report)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (o->new_session)
        setsid();
    /* Moved out of the way first, so that no descriptor is overwritten before it is used. */
    int in = o->in >= 0 ? fcntl(o->in, F_DUPFD_CLOEXEC, 10) : -1;
    int out = o->out >= 0 ? fcntl(o->out, F_DUPFD_CLOEXEC, 10) : -1;
    int err = o->err >= 0 ? fcntl(o->err, F_DUPFD_CLOEXEC, 10) : -1;
    int failed = 0;
    if (!place(in, 0) || !place(out, 1) || !place(err, 2) || (o->cwd && chdir(o->cwd) != 0))
        failed = errno;
    if (!failed) {
        if (o->prepare)
            o->prepare(o->prepare_arg);
        if (o->bound)
            bind_to(parent);
        union {
            const char *const *in;
            char *const *out;
        } argv = {o->argv}, env = {o->env};
        execve(program, argv.out, o->env ? env.out : environ);
        failed = errno;
    }
    ssize_t ignored = write(report, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

enum mio_code mio_proc_spawn(const struct mio_proc_opts *o, pid_t *pid, struct mio_err *err)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str program = mio_proc_find(&a, o->argv[0]);
    int report[2];
    if (program.n == 0) {
        mio_fail(err, MIO_IO, "the program %s is not installed", o->argv[0]);
        mio_err_hint(err, "Install it (on Debian: apt-get install the package that has it).");
    } else if (pipe2(report, O_CLOEXEC) != 0) {
        mio_fail_sys(err, errno, "cannot start %s", o->argv[0]);
    } else {
        pid_t self = getpid(), p = fork();
        if (p == 0)
            child(o, self, program.p, report[1]);
        int forked = errno, failed = 0;
        close(report[1]);
        ssize_t n = p > 0 ? read(report[0], &failed, sizeof failed) : 0;
        close(report[0]);
        if (p < 0) {
            mio_fail_sys(err, forked, "cannot start %s", o->argv[0]);
        } else if (n == (ssize_t)sizeof failed) {
            waitpid(p, NULL, 0);
            mio_fail_sys(err, failed, "cannot start %s", program.p);
        } else {
            *pid = p;
        }
    }
    mio_arena_free(&a);
    return err->code;
}

void mio_proc_await(pid_t pid, int ms)
{
    MIO_AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(fd >= 0 ? &p : NULL, fd >= 0, ms);
}

/* Waits for the end at most `ms` (-1: for ever); true when *status is set. */
static bool wait_for(pid_t pid, int64_t ms, int *status)
{
    if (ms < 0)
        return waitpid(pid, status, 0) == pid;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t end = mio_now_ms() + ms;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got != 0) {
            if (fd >= 0)
                close(fd);
            return got == pid;
        }
        int64_t left = end - mio_now_ms();
        if (left <= 0)
            break;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(fd >= 0 ? &p : NULL, fd >= 0, (int)(left > 1000 ? 1000 : left));
    }
    if (fd >= 0)
        close(fd);
    return false;
}

enum mio_code mio_proc_wait(pid_t pid, int64_t deadline_ms, int *status, bool *timed_out,
                            struct mio_err *err)
{
    int64_t left = deadline_ms ? deadline_ms - mio_now_ms() : -1;
    bool late = false;
    if (deadline_ms && left < 0)
        left = 0;
    if (!wait_for(pid, left, status)) {
        if (!deadline_ms)
            return mio_fail_sys(err, errno, "cannot wait for process %d", (int)pid);
        late = true;
        kill(pid, SIGTERM);
        if (!wait_for(pid, TERM_GRACE_MS, status)) {
            kill(pid, SIGKILL);
            wait_for(pid, -1, status);
        }
    }
    if (timed_out)
        *timed_out = late;
    return MIO_OK;
}

enum mio_code mio_proc_run(const struct mio_proc_opts *opts, int64_t deadline_ms,
                           struct mio_buf *out, int *status, struct mio_err *err)
{
    int pipefd[2];
    if (pipe2(pipefd, O_CLOEXEC) != 0)
        return mio_fail_sys(err, errno, "cannot start %s", opts->argv[0]);
    struct mio_proc_opts o = *opts;
    o.out = o.err = pipefd[1];
    o.bound = true;
    pid_t pid;
    enum mio_code rc = mio_proc_spawn(&o, &pid, err);
    close(pipefd[1]);
    while (rc == MIO_OK) {
        char chunk[4096];
        int64_t left = deadline_ms ? deadline_ms - mio_now_ms() : -1;
        struct pollfd p = {.fd = pipefd[0], .events = POLLIN};
        if ((deadline_ms && left <= 0) ||
            poll(&p, 1, (int)(left > INT32_MAX ? INT32_MAX : left)) == 0)
            break;
        ssize_t n = read(pipefd[0], chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        mio_buf_add(out, chunk, (size_t)n);
    }
    close(pipefd[0]);
    bool late = false;
    if (rc == MIO_OK)
        rc = mio_proc_wait(pid, deadline_ms, status, &late, err);
    if (rc == MIO_OK && late)
        rc = mio_fail(err, MIO_IO, "%s did not end in time and was stopped", opts->argv[0]);
    return rc;
}

/* Field `index` (from 3, the state) of /proc/PID/stat; the name before it may hold anything. */
static bool stat_field(pid_t pid, int index, char *out, size_t size)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    for (int i = 2; p && i < index; i++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    p++;
    size_t len = strcspn(p, " ");
    if (len >= size)
        return false;
    memcpy(out, p, len);
    out[len] = '\0';
    return true;
}

bool mio_proc_alive(pid_t pid)
{
    char state[8];
    return pid > 0 && stat_field(pid, 3, state, sizeof state) && state[0] != 'Z' && state[0] != 'X';
}

uint64_t mio_proc_started(pid_t pid)
{
    char text[24];
    uint64_t ticks = 0;
    if (pid <= 0 || !stat_field(pid, 22, text, sizeof text) ||
        !mio_str_u64(mio_str_z(text), &ticks))
        return 0;
    return ticks;
}
