/* providers/environment/program/run.c: env run: a command in the built root.
 *
 * Bubblewrap lies between: the root read-only, the working folder writable in its place, a fresh
 * /tmp, no network unless asked for. Signals that come to this process go on to the command; its
 * exit status becomes ours. */
#include "providers/environment/inspect.h"
#include "providers/environment/program/verbs.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"
#include "providers/sdk/rootfs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* ---- the sandbox's words ---- */

static const char *own_cwd(struct mio_env_cli *c)
{
    MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
    return cwd && cwd[1] ? mio_arena_z(&c->arena, mio_str_z(cwd)) : NULL; /* not "/" itself */
}

static enum mio_code add_variable(struct mio_env_cli *c, struct mio_words *w, const char *pair)
{
    struct mio_str s = mio_str_z(pair);
    ptrdiff_t eq = mio_str_find(s, '=');
    const char *name = mio_arena_z(&c->arena, mio_str_sub(s, 0, eq < 0 ? s.n : (size_t)eq));
    const char *value = eq < 0 ? getenv(name) : pair + eq + 1;
    if (!*name || !value) {
        mio_fail(&c->err, MIO_USAGE, "-e %s: there is no such variable here", pair);
        return mio_err_hint(&c->err, "Write -e NAME=VALUE, or set the variable.");
    }
    mio_words_add3(w, "--setenv", name, value);
    return MIO_OK;
}

static enum mio_code add_environment(struct mio_env_cli *c, struct mio_words *w,
                                     struct mio_value variables)
{
    const char *term = getenv("TERM");
    mio_words_add(w, "--clearenv");
    mio_words_add3(w, "--setenv", "HOME", "/tmp");
    mio_words_add3(w, "--setenv", "LANG", "C.UTF-8");
    if (term)
        mio_words_add3(w, "--setenv", "TERM", term);
    if (mio_is_null(variables)) /* a folder: nothing is known of it */
        mio_words_add3(w, "--setenv", "PATH",
                       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for (uint32_t i = 0; variables.type == MIO_LIST && i < variables.n; i++) {
        struct mio_str pair = mio_value_str(variables.items[i]);
        ptrdiff_t eq = mio_str_find(pair, '=');
        if (eq > 0)
            mio_words_add3(w, "--setenv", mio_arena_z(&c->arena, mio_str_sub(pair, 0, (size_t)eq)),
                           mio_arena_z(&c->arena, mio_str_sub(pair, (size_t)eq + 1, pair.n)));
    }
    for (size_t i = 0; i < c->n_variables; i++)
        if (add_variable(c, w, c->variables[i]))
            return c->err.code;
    return MIO_OK;
}

static enum mio_code options(struct mio_env_cli *c, struct mio_words *w, struct mio_value variables)
{
    static const char *const net[] = {"/etc/resolv.conf", "/etc/hosts"};
    const char *cwd = own_cwd(c), *targets[8] = {"/proc", "/dev", "/tmp"};
    size_t n = 3;
    for (size_t i = 0; i < 2 && c->network; i++)
        targets[n++] = net[i];
    if (cwd)
        targets[n++] = cwd;
    mio_words_add(w, "--die-with-parent");
    mio_words_add(w, "--new-session");
    mio_words_add(w, "--unshare-all");
    if (c->network)
        mio_words_add(w, "--share-net");
    if (mio_rootfs_words(w, c->root_path, targets, n, &c->err))
        return c->err.code;
    mio_words_add(w, "--proc");
    mio_words_add(w, "/proc");
    mio_words_add(w, "--dev");
    mio_words_add(w, "/dev");
    mio_words_add(w, "--tmpfs");
    mio_words_add(w, "/tmp");
    for (size_t i = 0; i < 2 && c->network; i++)
        mio_words_add3(w, "--ro-bind-try", net[i], net[i]);
    if (cwd)
        mio_words_add3(w, "--bind", cwd, cwd);
    mio_words_add(w, "--remount-ro");
    mio_words_add(w, "/");
    mio_words_add(w, "--chdir");
    mio_words_add(w, cwd ? cwd : "/");
    return add_environment(c, w, variables);
}

/* ---- the process ---- */

/* The command is the only child of bubblewrap's own first process. */
static pid_t command_of(pid_t init)
{
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)init, (int)init);
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = 0;
    return (pid_t)strtol(text, NULL, 10);
}

/* Until bubblewrap ends. The signals are blocked, and taken here one by one. */
static int attend(pid_t bwrap, pid_t init, const sigset_t *set)
{
    int status = 0;
    for (;;) {
        int number = sigwaitinfo(set, NULL);
        if (number == SIGCHLD && waitpid(bwrap, &status, WNOHANG) == bwrap)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        pid_t command = number > 0 && number != SIGCHLD && init > 0 ? command_of(init) : 0;
        if (command > 0)
            kill(command, number);
        else if (number > 0 && number != SIGCHLD)
            kill(bwrap, SIGKILL); /* nothing runs in it yet */
    }
}

static enum mio_code start(struct mio_env_cli *c, const struct mio_words *w, int *status)
{
    int told[2], listed = memfd_create("options", 0); /* inherited on purpose */
    pid_t pid;
    sigset_t set;
    if (listed < 0 || pipe2(told, O_CLOEXEC))
        return mio_fail_sys(&c->err, errno, "cannot start the sandbox");
    int telling = fcntl(told[1], F_DUPFD, 3);
    close(told[1]);
    const char **argv = MIO_NEW_N(&c->arena, const char *, c->n_args + 8);
    size_t n = 0;
    argv[n++] = "bwrap";
    argv[n++] = "--info-fd";
    argv[n++] = mio_arena_printf(&c->arena, "%d", telling).p;
    argv[n++] = "--args"; /* variables may hold secrets: not on the command line */
    argv[n++] = mio_arena_printf(&c->arena, "%d", listed).p;
    argv[n++] = "--";
    for (size_t i = 0; i < c->n_args; i++)
        argv[n++] = c->args[i];
    for (size_t i = 0; i < w->n; i++)
        if (mio_fs_write_all(listed, w->items[i], strlen(w->items[i]) + 1, "options", &c->err))
            return c->err.code;
    lseek(listed, 0, SEEK_SET);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(&set, forwarded[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGCHLD, SIG_DFL);
    struct mio_proc_opts o = {.argv = argv, .in = 0, .out = 1, .err = 2, .new_session = true};
    if (mio_proc_spawn(&o, &pid, &c->err))
        return mio_err_hint(&c->err, "apt-get install bubblewrap");
    close(telling);
    close(listed);
    char text[512];
    ssize_t got = read(told[0], text, sizeof text - 1);
    text[got > 0 ? got : 0] = 0;
    const char *child = strstr(text, "\"child-pid\":");
    *status = attend(pid, child ? (pid_t)strtol(child + 12, NULL, 10) : 0, &set);
    close(told[0]);
    return MIO_OK;
}

/* ---- the root ---- */

/* An entry point and its arguments, as images have them. */
static struct mio_value joined(struct mio_arena *a, const struct mio_value *x,
                               const struct mio_value *y)
{
    uint32_t n = x && x->type == MIO_LIST ? x->n : 0, m = y && y->type == MIO_LIST ? y->n : 0;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + m + 1u);
    for (uint32_t i = 0; i < n + m; i++)
        items[i] = i < n ? x->items[i] : y->items[i - n];
    return mio_list(items, n + m);
}

/* The root of the lock in the store: whole if nobody touched it since it was made. */
static enum mio_code store_root(struct mio_env_cli *c, struct mio_value *variables,
                                struct mio_value *command)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    struct mio_str stamp, was;
    bool found, stamped;
    const struct mio_value *v;
    if (mio_env_cli_sealed(c, &lock) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    struct mio_str digest = mio_get_str(lock.sealed, "config");
    c->root_path = mio_arena_printf(&c->arena, "%s/roots/%.*s", store.root,
                                    MIO_FMT(mio_str_sub(digest, 7, digest.n)))
                       .p;
    const char *path = mio_arena_printf(&c->arena, "%s.stamp", c->root_path).p;
    *variables = mio_env_variables(&c->arena, &lock);
    v = mio_get_z(lock.config, "command");
    *command = joined(&c->arena, mio_get_z(mio_env_run_of(&lock), "Entrypoint"),
                      v ? v : mio_get_z(mio_env_run_of(&lock), "Cmd"));
    if (mio_fs_read(&c->arena, path, 4096, &was, &stamped, &c->err) ||
        mio_rootfs_stamp(&c->arena, c->root_path, &stamp, &found, &c->err))
        return c->err.code;
    if (stamped && found && mio_str_eq(was, stamp))
        return MIO_OK;
    if (mio_env_cli_root(c, &store, &lock) ||
        mio_rootfs_stamp(&c->arena, c->root_path, &stamp, &found, &c->err))
        return c->err.code;
    return mio_fs_replace(path, stamp, 0644, &c->err);
}

enum mio_code mio_env_verb_run(struct mio_env_cli *c)
{
    struct mio_words w = {.arena = &c->arena};
    struct mio_value variables = mio_null(), command = mio_null();
    if (c->root_path && !mio_fs_is_dir(c->root_path))
        return mio_fail(&c->err, MIO_USAGE, "%s is no folder", c->root_path);
    if (!c->root_path && store_root(c, &variables, &command))
        return c->err.code;
    bool given = c->n_args > 0;
    for (uint32_t i = 0; !given && command.type == MIO_LIST && i < command.n; i++)
        MIO_PUSH(&c->arena, c->args, c->n_args, c->args_cap) =
            mio_arena_z(&c->arena, mio_value_str(command.items[i]));
    if (!c->n_args) {
        mio_fail(&c->err, MIO_USAGE, "no command is given, and the environment declares none");
        return mio_err_hint(&c->err, "mlops-iac env run NAME -- python3 -V");
    }
    if (c->root_path[0] != '/') {
        MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
        c->root_path =
            mio_path_join(&c->arena, mio_str_z(cwd ? cwd : "/"), mio_str_z(c->root_path)).p;
    }
    return options(c, &w, variables) ? c->err.code : start(c, &w, &c->status);
}
