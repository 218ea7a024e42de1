/* providers/local/sandbox.c: the argument vector that runs a command in bubblewrap.
 *
 * The sandbox sees a built root file system, or this machine's /usr and the few files of /etc that
 * programs need, all read-only; a fresh /tmp, /proc and /dev; and what the caller binds. It has
 * pid, ipc, uts and (unless asked) network namespaces of its own and an environment made here, not
 * inherited. */
#include <unistd.h>

#include "providers/local/local.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/rootfs.h"

#define TOOL_BIN "/job/bin"

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
static void add_python(struct mio_words *v, const char *python)
{
    struct mio_str dir = mio_path_dir(mio_str_z(python));
    bool packaged = mio_str_starts(dir, "/usr/");
    mio_words_add3(v, "--symlink", python, TOOL_BIN "/python");
    mio_words_add3(v, "--symlink", python, TOOL_BIN "/python3");
    const char *first = packaged ? TOOL_BIN : mio_arena_z(v->arena, dir);
    mio_words_add3(
        v, "--setenv", "PATH",
        mio_arena_printf(v->arena, "%s:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", first).p);
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

enum mio_code local_sandbox_argv(struct local *l, const struct local_sandbox *s, const char ***argv,
                                 struct mio_err *err)
{
    struct mio_words v = {.arena = l->a};
    const char *bwrap;
    if (local_program(l, "bwrap", "bwrap", "bubblewrap", &bwrap, err))
        return err->code;
    const char *python = s->interpreter ? s->interpreter : "/usr/bin/python3";
    mio_words_add(&v, bwrap);
    mio_words_add(&v, "--die-with-parent");
    mio_words_add(&v, "--new-session");
    mio_words_add(&v, "--unshare-all");
    if (s->network)
        mio_words_add(&v, "--share-net");
    if (!s->root)
        add_system(&v);
    else if (add_root(&v, s, err))
        return err->code;
    add_fresh(&v);
    mio_words_add(&v, "--clearenv");
    add_python(&v, python);
    for (size_t i = 0; i < s->nbinds; i++)
        mio_words_add3(&v, s->binds[i].writable ? "--bind" : "--ro-bind", s->binds[i].from,
                       s->binds[i].to);
    if (s->root)
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
