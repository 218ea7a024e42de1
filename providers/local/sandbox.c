/* providers/local/sandbox.c: the argument vector that runs a command in bubblewrap.
 *
 * The sandbox sees a built root file system under a layer of its own that can be written to (where
 * the kernel lets us: overlay/main.c, else read-only), or this machine's /usr and the few files of
 * /etc that programs need, read-only; a fresh /tmp, /proc and /dev; and what the caller binds. It
 * has pid, ipc, uts and (unless asked) network namespaces of its own and an environment made here,
 * not inherited. */
#include <unistd.h>

#include "providers/local/local.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include "providers/sdk/rootfs.h"

#define TOOL_BIN "/job/bin"
enum { PROBE_MS = 60000 };

static const char *const top_folders[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
static const char *const etc_files[] = {
    "/etc/alternatives",  "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",  "/etc/passwd",      "/etc/group",
    "/etc/nsswitch.conf", "/etc/localtime",   "/etc/timezone",
    "/etc/ssl/certs",     "/etc/mime.types",  "/etc/matplotlibrc",
    "/etc/python3",       "/etc/python3.11",  "/etc/R",
};

/* /bin and friends: a link on a merged-usr system, a folder elsewhere. */
static void add_system(struct mio_words *v)
{
    mio_words_add3(v, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < sizeof top_folders / sizeof *top_folders; i++) {
        char target[256];
        ssize_t n = readlink(top_folders[i], target, sizeof target);
        if (n > 0 && (size_t)n < sizeof target)
            mio_words_add3(v, "--symlink",
                           mio_arena_z(v->arena, (struct mio_str){target, (size_t)n}),
                           top_folders[i]);
        else
            mio_words_add3(v, "--ro-bind-try", top_folders[i], top_folders[i]);
    }
    for (size_t i = 0; i < sizeof etc_files / sizeof *etc_files; i++)
        mio_words_add3(v, "--ro-bind-try", etc_files[i], etc_files[i]);
}

/* A built root under everything that is mounted later; its entries alone, so "/" itself is a fresh
 * folder that takes the mount points. */
static enum mio_code add_root(struct mio_words *v, const struct local_sandbox *s,
                              struct mio_err *err)
{
    static const char *const always[] = {"/proc", "/dev", "/tmp", TOOL_BIN};
    size_t n = sizeof always / sizeof *always;
    const char **targets = MIO_NEW_N(v->arena, const char *, s->nbinds + n);
    memcpy(targets, always, sizeof always);
    for (size_t i = 0; i < s->nbinds; i++)
        targets[n++] = s->binds[i].to;
    return mio_rootfs_words(v, s->root, targets, n, err);
}

/* What every sandbox has of its own. */
static void add_fresh(struct mio_words *v)
{
    mio_words_add(v, "--proc");
    mio_words_add(v, "/proc");
    mio_words_add(v, "--dev");
    mio_words_add(v, "/dev");
    mio_words_add(v, "--tmpfs");
    mio_words_add(v, "/tmp");
}

/* `python` and `python3` on PATH: links, or the folder itself of an interpreter that finds its
 * packages by where it lies (a virtual environment). */
static void add_python(struct mio_words *v, const char *python, const char *path)
{
    struct mio_str dir = mio_path_dir(mio_str_z(python));
    bool packaged = mio_str_starts(dir, "/usr/");
    mio_words_add3(v, "--symlink", python, TOOL_BIN "/python");
    mio_words_add3(v, "--symlink", python, TOOL_BIN "/python3");
    const char *first = packaged ? TOOL_BIN : mio_arena_z(v->arena, dir);
    mio_words_add3(v, "--setenv", "PATH",
                   mio_arena_printf(v->arena, "%s:%s", path ? TOOL_BIN : first,
                                    path ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
                       .p);
}

/* Last of the mounts: nobody writes beside the places made for it. */
static void add_read_only(struct mio_words *v)
{
    mio_words_add(v, "--remount-ro");
    mio_words_add(v, "/");
}

static void add_environment(struct mio_words *v, struct mio_value env)
{
    mio_words_add3(v, "--setenv", "HOME", "/tmp");
    mio_words_add3(v, "--setenv", "LANG", "C.UTF-8");
    mio_words_add3(v, "--setenv", "PYTHONDONTWRITEBYTECODE", "1");
    mio_words_add3(v, "--setenv", "PYTHONUNBUFFERED", "1");
    for (uint32_t i = 0; env.type == MIO_MAP && i < env.n; i++) {
        struct mio_value value = env.pairs[i].value;
        struct mio_str text =
            value.type == MIO_BOOL ? mio_str_z(value.b ? "true" : "false") : mio_value_str(value);
        mio_words_add3(v, "--setenv", mio_arena_z(v->arena, env.pairs[i].key),
                       mio_arena_z(v->arena, text));
    }
}

/* Whether processes may write in the root, to a layer that ends with them. */
static bool writable(struct local *l, const char *helper, const char *root)
{
    MIO_AUTO_BUF said;
    struct mio_err err = {0};
    int status = 1;
    const char *argv[] = {helper, "--probe", root, NULL};
    struct mio_proc_opts o = {.argv = argv, .cwd = "/", .in = -1, .out = -1, .err = -1};
    mio_buf_init(&said, 4096);
    if (!mio_proc_run(&o, mio_now_ms() + PROBE_MS, &said, &status, &err) && !status) {
        if (l->c->log)
            l->c->log(l->c, MLOPS_LOG_INFO, "what processes write to the root lies in an overlay");
        return true;
    }
    struct mio_str why = mio_str_trim(mio_buf_view(&said));
    local_warn(l, "the root file system is read-only for its processes: %.*s",
               MIO_FMT(why.n ? why : mio_str_z(err.message)));
    return false;
}

enum mio_code local_sandbox_argv(struct local *l, const struct local_sandbox *s, const char ***argv,
                                 struct mio_err *err)
{
    struct mio_words v = {.arena = l->a};
    const char *bwrap, *helper = local_support(l, "mlops-iac-overlay");
    if (local_program(l, "bwrap", "bwrap", "bubblewrap", &bwrap, err))
        return err->code;
    bool over = s->root && writable(l, helper, s->root);
    const char *python = s->interpreter ? s->interpreter : "/usr/bin/python3";
    mio_words_add(&v, over ? helper : bwrap);
    mio_words_add(&v, "--die-with-parent");
    mio_words_add(&v, "--new-session");
    mio_words_add(&v, "--unshare-all");
    if (s->network)
        mio_words_add(&v, "--share-net");
    if (over)
        mio_words_add3(&v, "--root-overlay", bwrap, s->root);
    else if (!s->root)
        add_system(&v);
    else if (add_root(&v, s, err))
        return err->code;
    add_fresh(&v);
    mio_words_add(&v, "--clearenv");
    add_python(&v, python, s->path);
    for (size_t i = 0; i < s->nbinds; i++)
        mio_words_add3(&v, s->binds[i].writable ? "--bind" : "--ro-bind", s->binds[i].from,
                       s->binds[i].to);
    if (s->root && !over)
        add_read_only(&v);
    add_environment(&v, s->env);
    if (s->cwd) {
        mio_words_add(&v, "--chdir");
        mio_words_add(&v, s->cwd);
    }
    mio_words_add(&v, "--");
    for (size_t i = 0; s->command[i]; i++)
        mio_words_add(&v, s->command[i]);
    mio_words_add(&v, NULL);
    *argv = v.items;
    return MIO_OK;
}

void local_sandbox_check(struct local *l, struct local_findings *f)
{
    MIO_AUTO_BUF said;
    struct mio_err err = {0};
    const char *const nothing[] = {"/bin/true", NULL};
    const struct local_sandbox s = {.env = mio_null(), .command = nothing};
    const char **argv;
    int status = 0;
    mio_buf_init(&said, 4096);
    if (local_sandbox_argv(l, &s, &argv, &err)) {
        local_find_error(f, "", err.hint, "jobs and replicas run in a sandbox: %s", err.message);
        return;
    }
    struct mio_proc_opts o = {.argv = argv, .cwd = "/", .in = -1, .out = -1, .err = -1};
    if (!mio_proc_run(&o, mio_now_ms() + PROBE_MS, &said, &status, &err) && !status)
        return;
    struct mio_str why = mio_str_trim(mio_buf_view(&said));
    local_find_error(f, "",
                     "Allow user namespaces (kernel.unprivileged_userns_clone=1, "
                     "user.max_user_namespaces, AppArmor's restriction of them), or run as root.",
                     "jobs and replicas run in a sandbox, and none can be made here: %.*s",
                     MIO_FMT(why.n ? why : mio_str_z(err.message)));
}
