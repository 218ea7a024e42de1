/* tests/faults/killer.c: runs a program under ptrace and kills it and all its children at the N-th
 * system call.
 *
 * usage: killer [-n N] [-f all|engine] [-w DIR -o LOG] [-r REPORT] PROGRAM ARG...
 *   -n N       SIGKILL before the N-th system call is carried out; 0 (default): never, only count
 *   -f WHOM    whose calls count: of the program's threads and all its children (all), or of the
 * program's own threads (engine, default) -w DIR     only calls count that change files of this
 * folder; each one that succeeded is a line of LOG: create NAME | write NAME OFFSET HEX | truncate
 * NAME SIZE | reserve NAME OFFSET SIZE | sync NAME | rename FROM TO | link FROM TO | unlink NAME
 * (sync . : the folder itself) -r REPORT  where the count goes (default: standard error): "calls N
 * killed 0|1" Exit: the program's, or 137 when it was killed.
 *
 * The process tree dies as one: whoever is orphaned becomes a child of this program and is killed
 * too. With an odd N the program dies first, with an even N its children do. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 512, NAME = 160, CHILDREN = 64 };

struct thread {
    pid_t id;
    struct __ptrace_syscall_info call; /* as it was entered */
    char line[2 * NAME + 64];          /* for the log, should the call succeed */
    bool write;                        /* the line wants the bytes, too */
};

struct killer {
    uint64_t nth, calls;
    bool children, started, killed;
    const char *dir, *report;
    size_t dir_len;
    FILE *log;
    pid_t program;
    int status;
    struct thread threads[THREADS];
    size_t n;
};

static void die(const char *what)
{
    fprintf(stderr, "killer: %s: %s\n", what, strerror(errno));
    exit(125);
}

static struct thread *thread_of(struct killer *k, pid_t id)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->threads[i].id == id)
            return &k->threads[i];
    if (k->n == THREADS) {
        errno = EMFILE;
        die("too many threads");
    }
    k->threads[k->n] = (struct thread){.id = id};
    return &k->threads[k->n++];
}

static void forget(struct killer *k, pid_t id)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->threads[i].id == id) {
            k->threads[i] = k->threads[--k->n];
            return;
        }
}

/* ---- killing ---- */

static size_t children_of(pid_t id, pid_t *out, size_t room)
{
    char path[64];
    size_t n = 0;
    long child;
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)id, (long)id);
    FILE *f = fopen(path, "re");
    while (f && n < room && fscanf(f, "%ld", &child) == 1)
        out[n++] = (pid_t)child;
    if (f)
        fclose(f);
    return n;
}

/* A child is listed with the thread that started it. */
static size_t children_of_all(struct killer *k, pid_t *out, size_t room)
{
    size_t n = children_of(k->program, out, room);
    for (size_t i = 0; i < k->n && !k->children; i++) {
        char path[64];
        long child;
        if (k->threads[i].id == k->program)
            continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)k->program,
                 (long)k->threads[i].id);
        FILE *f = fopen(path, "re");
        while (f && n < room && fscanf(f, "%ld", &child) == 1)
            out[n++] = (pid_t)child;
        if (f)
            fclose(f);
    }
    return n;
}

static void kill_tree(struct killer *k)
{
    pid_t list[CHILDREN];
    size_t n = children_of_all(k, list, CHILDREN);
    k->killed = true;
    if (k->nth % 2)
        kill(k->program, SIGKILL);
    for (size_t i = 0; i < n; i++)
        kill(list[i], SIGKILL);
    kill(k->program, SIGKILL);
}

/* Whoever was orphaned is ours now. */
static void kill_orphans(void)
{
    pid_t list[CHILDREN];
    size_t n = children_of(getpid(), list, CHILDREN);
    for (size_t i = 0; i < n; i++)
        kill(list[i], SIGKILL);
}

/* ---- calls that change files of the folder ---- */

static bool read_text(pid_t id, uint64_t at, char out[NAME])
{
    struct iovec here = {out, NAME - 1}, there = {(void *)(uintptr_t)at, NAME - 1};
    ssize_t n = process_vm_readv(id, &here, 1, &there, 1, 0);
    if (n <= 0) { /* it may end at the end of a page */
        there.iov_len = here.iov_len = 4096 - at % 4096 < NAME - 1 ? 4096 - at % 4096 : NAME - 1;
        n = process_vm_readv(id, &here, 1, &there, 1, 0);
    }
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The name in the folder of an open file; "." is the folder itself. */
static bool name_of_fd(const struct killer *k, pid_t id, uint64_t fd, char out[NAME])
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)id, (int)fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0 || (size_t)n < k->dir_len || memcmp(path, k->dir, k->dir_len) != 0)
        return false;
    path[n] = '\0';
    if (path[k->dir_len] == '\0')
        return snprintf(out, NAME, ".") > 0;
    return path[k->dir_len] == '/' && !strchr(path + k->dir_len + 1, '/') &&
           !strstr(path, " (deleted)") && snprintf(out, NAME, "%s", path + k->dir_len + 1) < NAME;
}

/* A name below a descriptor of the folder. */
static bool name_at(const struct killer *k, pid_t id, uint64_t fd, uint64_t text, char out[NAME])
{
    char of[NAME];
    return (int)fd != AT_FDCWD && name_of_fd(k, id, fd, of) && strcmp(of, ".") == 0 &&
           read_text(id, text, out) && out[0] != '/' && !strchr(out, '/');
}

static bool is_there(const struct killer *k, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return snprintf(path, sizeof path, "%s/%s", k->dir, name) > 0 && lstat(path, &st) == 0;
}

/* Puts the call's line together; false: it changes no file of the folder. */
static bool changes_folder(const struct killer *k, struct thread *t)
{
    const uint64_t nr = t->call.entry.nr;
    const __typeof__(t->call.entry.args[0]) *arg = t->call.entry.args;
    char a[NAME], b[NAME];
    size_t room = sizeof t->line;
    t->write = false;
    switch (nr) {
    case SYS_pwrite64:
        t->write = name_of_fd(k, t->id, arg[0], a);
        return t->write &&
               snprintf(t->line, room, "write %s %llu ", a, (unsigned long long)arg[3]) > 0;
    case SYS_ftruncate:
        return name_of_fd(k, t->id, arg[0], a) &&
               snprintf(t->line, room, "truncate %s %llu", a, (unsigned long long)arg[1]) > 0;
    case SYS_fallocate:
        return name_of_fd(k, t->id, arg[0], a) &&
               snprintf(t->line, room, "reserve %s %llu %llu", a, (unsigned long long)arg[2],
                        (unsigned long long)arg[3]) > 0;
    case SYS_fsync:
    case SYS_fdatasync:
        return name_of_fd(k, t->id, arg[0], a) && snprintf(t->line, room, "sync %s", a) > 0;
    case SYS_openat:
        return (arg[2] & O_CREAT) && name_at(k, t->id, arg[0], arg[1], a) && !is_there(k, a) &&
               snprintf(t->line, room, "create %s", a) > 0;
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_linkat:
        return name_at(k, t->id, arg[0], arg[1], a) && name_at(k, t->id, arg[2], arg[3], b) &&
               snprintf(t->line, room, "%s %s %s", nr == SYS_linkat ? "link" : "rename", a, b) > 0;
    case SYS_unlinkat:
        return name_at(k, t->id, arg[0], arg[1], a) && snprintf(t->line, room, "unlink %s", a) > 0;
    default:
        return false;
    }
}

static void log_bytes(struct killer *k, const struct thread *t, uint64_t n)
{
    unsigned char *bytes = malloc(n + 1);
    struct iovec here = {bytes, n}, there = {(void *)(uintptr_t)t->call.entry.args[1], n};
    if (!bytes || process_vm_readv(t->id, &here, 1, &there, 1, 0) != (ssize_t)n)
        die("cannot read what is written");
    for (uint64_t i = 0; i < n; i++)
        fprintf(k->log, "%02x", bytes[i]);
    free(bytes);
}

static void log_call(struct killer *k, struct thread *t, int64_t result)
{
    if (t->line[0] && result >= 0) {
        fputs(t->line, k->log);
        if (t->write)
            log_bytes(k, t, (uint64_t)result);
        fputc('\n', k->log);
        fflush(k->log);
    }
    t->line[0] = '\0';
}

/* ---- the loop ---- */

static void entered(struct killer *k, struct thread *t)
{
    t->line[0] = '\0';
    if (k->dir && !changes_folder(k, t)) {
        t->line[0] = '\0';
        return;
    }
    if (++k->calls == k->nth)
        kill_tree(k);
}

static void system_call(struct killer *k, pid_t id)
{
    struct __ptrace_syscall_info info;
    struct thread *t = thread_of(k, id);
    if (!k->started || k->killed || ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        t->call = info;
        entered(k, t);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && k->dir) {
        log_call(k, t, info.exit.rval);
    }
}

static void stopped(struct killer *k, pid_t id, int status)
{
    int sig = WSTOPSIG(status), event = status >> 16, deliver = 0;
    bool known = false;
    for (size_t i = 0; i < k->n && !known; i++)
        known = k->threads[i].id == id;
    (void)thread_of(k, id);
    if (event == PTRACE_EVENT_EXEC)
        k->started = true;
    else if (sig == (SIGTRAP | 0x80))
        system_call(k, id);
    else if (!event && !(sig == SIGSTOP && !known)) /* a new thread begins with a stop of its own */
        deliver = sig;
    ptrace(PTRACE_SYSCALL, id, NULL, (void *)(intptr_t)deliver);
}

static void follow(struct killer *k)
{
    long options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (k->children)
        options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (waitpid(k->program, &k->status, 0) != k->program || !WIFSTOPPED(k->status))
        die("the program does not start");
    (void)thread_of(k, k->program);
    if (ptrace(PTRACE_SETOPTIONS, k->program, NULL, (void *)options) ||
        ptrace(PTRACE_SYSCALL, k->program, NULL, NULL))
        die("ptrace");
    for (;;) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == ECHILD)
            return;
        if (id < 0)
            continue;
        if (WIFSTOPPED(status)) {
            stopped(k, id, status);
            continue;
        }
        forget(k, id);
        if (id == k->program)
            k->status = status;
        if (k->killed)
            kill_orphans();
    }
}

static void start(struct killer *k, char **argv)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    k->program = fork();
    if (k->program < 0)
        die("fork");
    if (k->program == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execv(argv[0], argv);
        die(argv[0]);
    }
}

static int usage(void)
{
    fputs("usage: killer [-n N] [-f all|engine] [-w DIR -o LOG] [-r REPORT] PROGRAM ARG...\n",
          stderr);
    return 125;
}

int main(int argc, char **argv)
{
    static struct killer k;
    int o;
    while ((o = getopt(argc, argv, "+n:f:w:o:r:")) != -1) {
        if (o == 'n')
            k.nth = strtoull(optarg, NULL, 10);
        else if (o == 'f')
            k.children = strcmp(optarg, "all") == 0;
        else if (o == 'w')
            k.dir = realpath(optarg, NULL);
        else if (o == 'o')
            k.log = fopen(optarg, "we");
        else if (o == 'r')
            k.report = optarg;
        else
            return usage();
    }
    if (optind >= argc || (k.dir != NULL) != (k.log != NULL))
        return usage();
    k.dir_len = k.dir ? strlen(k.dir) : 0;
    start(&k, argv + optind);
    follow(&k);
    FILE *out = k.report ? fopen(k.report, "we") : stderr;
    if (!out)
        die(k.report);
    fprintf(out, "calls %llu killed %d\n", (unsigned long long)k.calls, k.killed);
    return k.killed              ? 128 + SIGKILL
           : WIFEXITED(k.status) ? WEXITSTATUS(k.status)
                                 : 128 + WTERMSIG(k.status);
}
