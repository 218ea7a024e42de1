/* providers/local/sandbox.c: the argument vector that runs a command in bubblewrap.
 *
 * The sandbox sees this machine's /usr and the few files of /etc that programs need, all read-only;
 * a fresh /tmp, /proc and /dev; and what the caller binds. It has pid, ipc, uts and (unless asked)
 * network namespaces of its own and an environment made here, not inherited. */
#include <unistd.h>

#include "providers/local/local.h"
#include "providers/sdk/alloc.h"

#define TOOL_BIN "/job/bin"

static const char *const top_folders[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
static const char *const etc_files[] = {
    "/etc/alternatives",  "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",  "/etc/passwd",      "/etc/group",
    "/etc/nsswitch.conf", "/etc/localtime",   "/etc/timezone",
    "/etc/ssl/certs",     "/etc/mime.types",  "/etc/matplotlibrc",
    "/etc/python3",       "/etc/python3.11",  "/etc/R",
};

struct vector {
    struct mio_arena *a;
    const char **items;
    size_t n, cap;
};

static void add(struct vector *v, const char *s)
{
    MIO_PUSH(v->a, v->items, v->n, v->cap) = s;
}

static void add3(struct vector *v, const char *option, const char *x, const char *y)
{
    add(v, option);
    add(v, x);
    add(v, y);
}

/* /bin and friends: a link on a merged-usr system, a folder elsewhere. */
static void add_system(struct vector *v)
{
    add3(v, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < sizeof top_folders / sizeof *top_folders; i++) {
        char target[256];
        ssize_t n = readlink(top_folders[i], target, sizeof target);
        if (n > 0 && (size_t)n < sizeof target)
            add3(v, "--symlink", mio_arena_z(v->a, (struct mio_str){target, (size_t)n}),
                 top_folders[i]);
        else
            add3(v, "--ro-bind-try", top_folders[i], top_folders[i]);
    }
    for (size_t i = 0; i < sizeof etc_files / sizeof *etc_files; i++)
        add3(v, "--ro-bind-try", etc_files[i], etc_files[i]);
    add(v, "--proc");
    add(v, "/proc");
    add(v, "--dev");
    add(v, "/dev");
    add(v, "--tmpfs");
    add(v, "/tmp");
}

/* `python` and `python3` on PATH: links, or the folder itself of an interpreter that finds its
 * packages by where it lies (a virtual environment). */
static void add_python(struct vector *v, const char *python)
{
    struct mio_str dir = mio_path_dir(mio_str_z(python));
    bool packaged = mio_str_starts(dir, "/usr/");
    add3(v, "--symlink", python, TOOL_BIN "/python");
    add3(v, "--symlink", python, TOOL_BIN "/python3");
    const char *first = packaged ? TOOL_BIN : mio_arena_z(v->a, dir);
    add3(v, "--setenv", "PATH",
         mio_arena_printf(v->a, "%s:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", first).p);
}

static void add_environment(struct vector *v, struct mio_value env)
{
    add3(v, "--setenv", "HOME", "/tmp");
    add3(v, "--setenv", "LANG", "C.UTF-8");
    add3(v, "--setenv", "PYTHONDONTWRITEBYTECODE", "1");
    add3(v, "--setenv", "PYTHONUNBUFFERED", "1");
    for (uint32_t i = 0; env.type == MIO_MAP && i < env.n; i++) {
        struct mio_value value = env.pairs[i].value;
        struct mio_str text =
            value.type == MIO_BOOL ? mio_str_z(value.b ? "true" : "false") : mio_value_str(value);
        add3(v, "--setenv", mio_arena_z(v->a, env.pairs[i].key), mio_arena_z(v->a, text));
    }
}

enum mio_code local_sandbox_argv(struct local *l, const struct local_sandbox *s, const char ***argv,
                                 struct mio_err *err)
{
    struct vector v = {.a = l->a};
    const char *bwrap;
    if (local_program(l, "bwrap", "bwrap", "bubblewrap", &bwrap, err))
        return err->code;
    const char *python = s->interpreter ? s->interpreter : "/usr/bin/python3";
    add(&v, bwrap);
    add(&v, "--die-with-parent");
    add(&v, "--new-session");
    add(&v, "--unshare-all");
    if (s->network)
        add(&v, "--share-net");
    add_system(&v);
    add(&v, "--clearenv");
    add_python(&v, python);
    for (size_t i = 0; i < s->nbinds; i++)
        add3(&v, s->binds[i].writable ? "--bind" : "--ro-bind", s->binds[i].from, s->binds[i].to);
    add_environment(&v, s->env);
    if (s->cwd) {
        add(&v, "--chdir");
        add(&v, s->cwd);
    }
    add(&v, "--");
    for (size_t i = 0; s->command[i]; i++)
        add(&v, s->command[i]);
    add(&v, NULL);
    *argv = v.items;
    return MIO_OK;
}
