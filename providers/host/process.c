/* providers/host/process.c: see process.h. */
#include "providers/host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

extern char **environ;

enum { LINE_MAX_BYTES = 1024 };

struct mio_process {
    struct mio_process_opts o;
    pthread_t keeper;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool started, gone; /* under mu */
    int start_errno, status;
    pid_t pid;
    int pidfd, out; /* the keeper's own */
    char line[LINE_MAX_BYTES];
    size_t nline;
    char last[256]; /* under mu */
};

/* Variables that let a third party into the child, that change what its C library does, or that
 * hold values of template variables: secrets among them have no business in the environment of a
 * child. */
static bool dropped(const char *entry)
{
    static const char *const prefixes[] = {
        "LD_",      "GCONV_PATH=", "GLIBC_TUNABLES=", "MALLOC_",
        "LOCPATH=", "NLSPATH=",    "GETCONF_DIR=",    "BASH_ENV=",
        "ENV=",     "IFS=",        "MLOPS_IAC_VAR_",  "MLOPS_IAC_CLI_ARGS"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static char **clean_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ && environ[n])
        n++;
    char **env = mio_zalloc(n + 1, sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (!dropped(environ[i]))
            env[kept++] = environ[i];
    return env;
}

/* posix_spawn shares the address space until exec: a big engine starts a child as fast as a small
 * one. */
static int spawn(struct mio_process *p, int out)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return errno;
    /* Numbers of ours must not be overwritten before they are moved: lift everything above the
     * targets. */
    int lifted[2], why = 0;
    for (int i = 0; i < 2; i++)
        lifted[i] = fcntl(p->o.fds[i], F_DUPFD_CLOEXEC, 10);
    int err_fd = fcntl(out, F_DUPFD_CLOEXEC, 10);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, null, 0);
    posix_spawn_file_actions_adddup2(&fa, err_fd, 1);
    posix_spawn_file_actions_adddup2(&fa, err_fd, 2);
    posix_spawn_file_actions_adddup2(&fa, lifted[0], 3);
    posix_spawn_file_actions_adddup2(&fa, lifted[1], 4);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setflags(&at,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    MIO_AUTO_FREE char **env = clean_environment();
    if (lifted[0] < 0 || lifted[1] < 0 || err_fd < 0)
        why = EMFILE;
    else
        why =
            posix_spawn(&p->pid, p->o.program, &fa, &at, (char *const *)(uintptr_t)p->o.argv, env);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    const int mine[] = {null, lifted[0], lifted[1], err_fd};
    for (size_t i = 0; i < 4; i++)
        if (mine[i] >= 0)
            close(mine[i]);
    return why;
}

static void end_line(struct mio_process *p)
{
    if (p->nline == 0)
        return;
    struct mio_str line = {p->line, p->nline};
    pthread_mutex_lock(&p->mu);
    size_t n = line.n < sizeof p->last - 1 ? line.n : sizeof p->last - 1;
    memcpy(p->last, line.p, n);
    p->last[n] = 0;
    pthread_mutex_unlock(&p->mu);
    p->o.on_line(p->o.arg, line);
    p->nline = 0;
}

/* What the child printed; false at the end of the stream. */
static bool hear(struct mio_process *p)
{
    char chunk[4096];
    ssize_t got = read(p->out, chunk, sizeof chunk);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < got; i++) {
        if (chunk[i] == '\n' || p->nline == sizeof p->line)
            end_line(p);
        if (chunk[i] != '\n')
            p->line[p->nline++] = chunk[i];
    }
    return got > 0;
}

static void watch(struct mio_process *p)
{
    bool open = true;
    while (p->pidfd >= 0 || open) {
        struct pollfd fds[2] = {{.fd = p->pidfd, .events = POLLIN},
                                {.fd = open ? p->out : -1, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            open = hear(p);
        else if (fds[0].revents)
            break; /* gone, and nothing left to hear; a grandchild may hold the pipe for ever */
    }
    end_line(p);
}

static void reap(struct mio_process *p)
{
    int status = 0;
    pthread_mutex_lock(&p->mu);
    /* Whatever the plugin left in its process group goes with it, while the number is still ours.
     */
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    p->status = status;
    p->gone = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mu);
    p->o.on_exit(p->o.arg);
}

static void *keep(void *arg)
{
    struct mio_process *p = arg;
    int pipe_fds[2];
    int why = pipe2(pipe_fds, O_CLOEXEC) < 0 ? errno : 0;
    if (!why) {
        p->out = pipe_fds[0];
        why = spawn(p, pipe_fds[1]);
        close(pipe_fds[1]);
        fcntl(p->out, F_SETFL, O_NONBLOCK);
        p->pidfd = why ? -1 : pidfd_open(p->pid, 0);
    }
    pthread_mutex_lock(&p->mu);
    p->started = true;
    p->start_errno = why;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mu);
    if (!why) {
        watch(p);
        reap(p);
        close(p->pidfd);
    }
    if (p->out >= 0)
        close(p->out);
    return NULL;
}

enum mio_code mio_process_start(const struct mio_process_opts *o, struct mio_process **out,
                                struct mio_err *err)
{
    struct mio_process *p = mio_zalloc(1, sizeof *p);
    p->o = *o;
    p->out = p->pidfd = -1;
    pthread_mutex_init(&p->mu, NULL);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &ca);
    pthread_condattr_destroy(&ca);
    int why = pthread_create(&p->keeper, NULL, keep, p);
    if (why) {
        free(p);
        return mio_fail_sys(err, why, "cannot start a thread for %s", o->program);
    }
    pthread_mutex_lock(&p->mu);
    while (!p->started)
        pthread_cond_wait(&p->changed, &p->mu);
    pthread_mutex_unlock(&p->mu);
    if (!p->start_errno) {
        *out = p;
        return MIO_OK;
    }
    why = p->start_errno;
    pthread_join(p->keeper, NULL);
    mio_fail_sys(err, why, "cannot start %s", o->program);
    free(p);
    return mio_err_hint(err, "the installation is incomplete: install mlops-iac again");
}

void mio_process_kill(struct mio_process *p)
{
    pthread_mutex_lock(&p->mu);
    if (!p->gone && p->pid > 0) {
        kill(p->pid, SIGKILL);
        kill(-p->pid, SIGKILL);
    }
    pthread_mutex_unlock(&p->mu);
}

bool mio_process_wait(struct mio_process *p, int64_t deadline_ms)
{
    struct timespec ts = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    pthread_mutex_lock(&p->mu);
    while (!p->gone && pthread_cond_timedwait(&p->changed, &p->mu, &ts) != ETIMEDOUT)
        ;
    bool gone = p->gone;
    pthread_mutex_unlock(&p->mu);
    return gone;
}

void mio_process_epitaph(struct mio_process *p, char *how, size_t hown, char *last, size_t lastn)
{
    pthread_mutex_lock(&p->mu);
    if (!p->gone)
        snprintf(how, hown, "closed its connection");
    else if (WIFSIGNALED(p->status))
        snprintf(how, hown, "crashed (signal %d, %s)", WTERMSIG(p->status),
                 strsignal(WTERMSIG(p->status)));
    else
        snprintf(how, hown, "ended with status %d", WEXITSTATUS(p->status));
    snprintf(last, lastn, "%s", p->last);
    pthread_mutex_unlock(&p->mu);
}

void mio_process_free(struct mio_process *p)
{
    if (!p)
        return;
    mio_process_kill(p);
    pthread_join(p->keeper, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mu);
    free(p);
}
