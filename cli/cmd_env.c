/* cli/cmd_env.c: env: the body of an environment out of the template, and the program that builds
 * it.
 *
 * The builder is a program of its own (libexec/mlops-iac/mlops-iac-env), so that this one does not
 * load its libraries. It gets the body as JSON by a descriptor, and writes to the terminal itself.
 */
#include "cli/session.h"
#include "planner/run/block.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/kinds.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Evaluates an environment, named as the user did, and puts {"name", "body"} into a memory file.
 * *dir is what its paths are relative to. */
static enum mio_code write_spec(struct mio_cli *c, struct mio_str name, int *fd,
                                struct mio_str *dir)
{
    struct mio_err err = {0};
    struct mio_block_found found;
    struct mio_arena *a = &c->arena;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    size_t n = 0;
    while (mio_environment_built_from[n])
        n++;
    if (mio_engine_block(c->engine, "environment", name, mio_environment_built_from, n, &found,
                         &err))
        return mio_cli_fail(c, &err);
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 2);
    pairs[0] = (struct mio_pair){MIO_STR("name"), mio_string(mio_environment_name(found.address))};
    pairs[1] = (struct mio_pair){MIO_STR("body"), found.body};
    *dir = found.dir;
    if (mio_has_unknown(found.body)) {
        mio_fail(&err, MIO_TEMPLATE, "%.*s depends on something that only an apply knows",
                 MIO_FMT(found.address));
        return mio_cli_fail(c, &err);
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, mio_map(pairs, 2), MIO_JSON_OPEN);
    *fd = memfd_create("environment", 0); /* inherited on purpose */
    if (*fd < 0)
        mio_fail_sys(&err, errno, "cannot make a memory file");
    else if (!mio_fs_write_all(*fd, b.p, b.n, "a memory file", &err))
        return MIO_OK;
    return mio_cli_fail(c, &err);
}

struct words {
    struct mio_arena *a;
    const char **items;
    size_t n, cap;
};

static void add(struct words *w, const char *z)
{
    MIO_PUSH(w->a, w->items, w->n, w->cap) = z;
}

static void pass(struct mio_cli *c, struct words *w, enum mio_opt o, const char *name)
{
    const struct mio_optval *v = &c->opt.v[o];
    if (v->text)
        add(w, mio_arena_printf(w->a, "-%s=%s", name, v->text).p);
    else if (v->on)
        add(w, mio_arena_printf(w->a, "-%s", name).p);
}

/* The builder beside this program, or where the distribution put it. */
static const char *builder(struct mio_arena *a)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    struct mio_str dir = mio_path_dir((struct mio_str){path, n > 0 ? (size_t)n : 0});
    return mio_arena_printf(a, "%.*s/../libexec/mlops-iac/mlops-iac-env", MIO_FMT(dir)).p;
}

/* To its end. A signal for this process alone is passed on, and ends the builder at once. */
static bool attend(const struct mio_cli *c, pid_t pid, int *status)
{
    enum { LOOK_MS = 200 };
    for (pid_t got; (got = waitpid(pid, status, WNOHANG)) != pid;) {
        if (got < 0 && errno != EINTR)
            return false;
        if (__atomic_load_n(c->interrupt, __ATOMIC_RELAXED))
            kill(pid, SIGTERM);
        mio_proc_await(pid, LOOK_MS);
    }
    return true;
}

/* What the builder did not say itself. */
static enum mio_code tell_end(struct mio_cli *c, const char *verb, int status)
{
    struct mio_err err = {0};
    if (!WIFSIGNALED(status))
        return status ? MIO_IO : MIO_OK;
    if (__atomic_load_n(c->interrupt, __ATOMIC_RELAXED)) {
        mio_fail(&err, MIO_CANCELLED, "env %s was interrupted: nothing half-made is left", verb);
    } else {
        mio_fail(&err, MIO_IO, "the environment builder was killed (signal %d)", WTERMSIG(status));
        mio_err_hint(&err, "The kernel does that where memory runs out. Run it again: what was "
                           "whole is kept.");
    }
    return mio_cli_fail(c, &err);
}

static enum mio_code start(struct mio_cli *c, struct words *w)
{
    struct mio_err err = {0};
    pid_t pid;
    int status = 0;
    if (!mio_fs_exists(w->items[0])) {
        mio_fail(&err, MIO_IO, "the environment builder is not installed (%s)", w->items[0]);
        mio_err_hint(&err, "build with libsolv-dev, libsolvext-dev, libarchive-dev and libzstd-dev "
                           "present");
        return mio_cli_fail(c, &err);
    }
    add(w, NULL);
    struct mio_proc_opts o = {.argv = w->items, .in = -1, .out = 1, .err = 2, .bound = true};
    if (mio_proc_spawn(&o, &pid, &err) ||
        (!attend(c, pid, &status) && mio_fail_sys(&err, errno, "cannot wait for the builder")))
        return mio_cli_fail(c, &err);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
        c->differs = true;
        return MIO_OK;
    }
    return tell_end(c, w->items[1], status);
}

/* The body of the environment that the first argument names, its folder and that of locks. */
static enum mio_code add_spec(struct mio_cli *c, struct words *w, int *fd)
{
    struct mio_err err = {0};
    const char *locks = ".";
    struct mio_str dir = {0};
    enum mio_code code = write_spec(c, mio_str_z(c->args[0]), fd, &dir);
    if (code)
        return code;
    if (mio_cli_dir(c, &locks, &err))
        return mio_cli_fail(c, &err);
    add(w, mio_arena_printf(w->a, "-spec=/proc/self/fd/%d", *fd).p);
    add(w, mio_arena_printf(w->a, "-dir=%.*s", MIO_FMT(dir)).p);
    add(w, mio_arena_printf(w->a, "-locks=%s", locks).p);
    return MIO_OK;
}

static enum mio_code run(struct mio_cli *c, const char *verb, bool of_template)
{
    struct words w = {.a = &c->arena};
    int fd = -1;
    add(&w, builder(&c->arena));
    add(&w, verb);
    if (of_template) {
        enum mio_code code = add_spec(c, &w, &fd);
        if (code)
            return code;
    }
    for (size_t i = of_template; i < c->nargs; i++)
        add(&w, c->args[i]);
    pass(c, &w, MIO_OPT_STORE, "store");
    pass(c, &w, MIO_OPT_OUT, "out");
    pass(c, &w, MIO_OPT_ROOT, "root");
    pass(c, &w, MIO_OPT_VENDOR, "vendor");
    pass(c, &w, MIO_OPT_OFFLINE, "offline");
    pass(c, &w, MIO_OPT_SUMMARY, "brief");
    pass(c, &w, MIO_OPT_CHECK, "check");
    pass(c, &w, MIO_OPT_UPGRADE, "upgrade");
    enum mio_code code = start(c, &w);
    if (fd >= 0)
        close(fd);
    return code;
}

enum mio_code mio_cmd_env_lock(struct mio_cli *c)
{
    return run(c, "lock", true);
}

enum mio_code mio_cmd_env_build(struct mio_cli *c)
{
    return run(c, "build", true);
}

enum mio_code mio_cmd_env_verify(struct mio_cli *c)
{
    return run(c, "verify", true);
}

enum mio_code mio_cmd_env_diff(struct mio_cli *c)
{
    return run(c, "diff", false);
}

enum mio_code mio_cmd_env_vendor(struct mio_cli *c)
{
    return run(c, "vendor", true);
}

enum mio_code mio_cmd_env_sbom(struct mio_cli *c)
{
    return run(c, "sbom", true);
}

enum mio_code mio_cmd_env_drift(struct mio_cli *c)
{
    return run(c, "drift", true);
}

enum mio_code mio_cmd_env_push(struct mio_cli *c)
{
    return run(c, "push", true);
}

enum mio_code mio_cmd_env_export(struct mio_cli *c)
{
    return run(c, "export", true);
}

enum mio_code mio_cmd_env_pull(struct mio_cli *c)
{
    return run(c, "pull", c->nargs == 2);
}

/* The builder takes this process over, so that signals and exit status need nobody between. */
enum mio_code mio_cmd_env_run(struct mio_cli *c)
{
    struct words w = {.a = &c->arena};
    struct mio_err err = {0};
    int fd = -1;
    add(&w, builder(&c->arena));
    add(&w, "run");
    if (strchr(c->args[0], '/') && !strchr(c->args[0], '"')) /* a key may have a slash, too */
        add(&w, mio_arena_printf(w.a, "-root=%s", c->args[0]).p);
    else if (add_spec(c, &w, &fd))
        return MIO_USAGE;
    const struct mio_optval *variables = &c->opt.v[MIO_OPT_E];
    for (size_t i = 0; i < variables->n; i++)
        add(&w, mio_arena_printf(w.a, "-e=%s", variables->list[i]).p);
    pass(c, &w, MIO_OPT_STORE, "store");
    pass(c, &w, MIO_OPT_VENDOR, "vendor");
    pass(c, &w, MIO_OPT_OFFLINE, "offline");
    pass(c, &w, MIO_OPT_NETWORK, "network");
    add(&w, "--");
    for (size_t i = 1; i < c->nargs; i++)
        add(&w, c->args[i]);
    add(&w, NULL);
    union {
        const char *const *in;
        char *const *out;
    } argv = {w.items};
    execv(w.items[0], argv.out);
    mio_fail_sys(&err, errno, "cannot start the environment builder (%s)", w.items[0]);
    return mio_cli_fail(c, &err);
}
