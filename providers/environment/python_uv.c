/* providers/environment/python_uv.c: uv as the resolver. */
#include "providers/environment/python.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <unistd.h>

enum { UV_MS = 20 * 60 * 1000, MAX_OUT = 64 << 20 };
extern char **environ;

struct words {
    struct mio_arena *a;
    const char **items;
    size_t n, cap;
};

static void add(struct words *w, const char *z)
{
    MIO_PUSH(w->a, w->items, w->n, w->cap) = z;
}

/* uv takes no other name for what it writes in this format. */
static const char *output(const struct mio_env_ask *q)
{
    struct mio_str tmp = mio_str_z(mio_env_store_tmp(q->a, q->s));
    return mio_arena_printf(q->a, "%.*s/pylock.%.*s.toml", MIO_FMT(mio_path_dir(tmp)),
                            MIO_FMT(mio_path_base(tmp)))
        .p;
}

struct mio_str mio_env_uv(struct mio_arena *a)
{
    return mio_proc_find(a, "uv");
}

/* uv does not read pip's settings: where it has none of its own, it gets those of pip's variables,
 * by the environment because an address may hold a password. */
static const char *const *with_pip_settings(struct mio_arena *a)
{
    static const char *const rows[][3] = {
        {"PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"},
        {"PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX"},
        {"PIP_FIND_LINKS", "UV_FIND_LINKS", ""},
        {"PIP_CERT", "SSL_CERT_FILE", ""},
    };
    struct words env = {.a = a};
    for (char **e = environ; *e; e++)
        add(&env, *e);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *pip = getenv(rows[i][0]);
        if (pip && *pip && !getenv(rows[i][1]) && !getenv(rows[i][2]))
            add(&env, mio_arena_printf(a, "%s=%s", rows[i][1], pip).p);
    }
    add(&env, NULL);
    return env.items;
}

/* Its complaint on one line. */
static enum mio_code failed(struct mio_str said, const char *what, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 380);
    for (size_t i = 0; i < said.n; i++) {
        bool gap = strchr(" \n\r\t", said.p[i]) != NULL;
        if (!gap)
            mio_buf_char(&b, said.p[i]);
        else if (b.n && b.p[b.n - 1] != ' ')
            mio_buf_char(&b, ' ');
    }
    struct mio_str text = mio_buf_view(&b);
    if (mio_str_starts(text, "error: "))
        text = mio_str_sub(text, 7, text.n);
    mio_fail(err, MIO_TEMPLATE, "%s: %.*s", what, MIO_FMT(text));
    return mio_err_hint(err, "only wheels are taken: a package that exists as source alone must be "
                             "listed under python.build_wheel, with its version");
}

static enum mio_code run(const struct mio_env_ask *q, struct words *w, const char *out,
                         const char *what, struct mio_str *text, struct mio_err *err)
{
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    add(w, "-o");
    add(w, out);
    add(w, NULL);
    struct mio_proc_opts o = {
        .argv = w->items, .env = with_pip_settings(q->a), .cwd = q->dir, .in = -1};
    if (!mio_proc_run(&o, mio_now_ms() + UV_MS, &said, &status, err)) {
        if (status)
            failed(mio_buf_view(&said), what, err);
        else
            mio_fs_read(q->a, out, MAX_OUT, text, NULL, err);
    }
    unlink(out);
    return err->code;
}

static struct words begin(const struct mio_env_ask *q)
{
    static const char *const head[] = {"pip",           "compile",     "--quiet",
                                       "--no-progress", "--no-header", "--no-python-downloads",
                                       "--color",       "never",       "--no-annotate",
                                       "--format",      "pylock.toml"};
    struct words w = {.a = q->a};
    add(&w, mio_env_uv(q->a).p);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        add(&w, head[i]);
    const char *no_index = getenv("PIP_NO_INDEX");
    if (no_index && *no_index && strcmp(no_index, "0") != 0)
        add(&w, "--no-index");
    add(&w, "--python-version");
    add(&w, mio_arena_z(q->a, q->py.version));
    add(&w, "--python-platform");
    add(&w, mio_arena_printf(q->a, "%s-manylinux_2_%u", mio_env_pep_machine(q->py.arch),
                             q->py.glibc > 40 ? 40 : q->py.glibc)
                .p);
    return w;
}

/* What was locked is what uv prefers, when it stands in the file that it writes. */
static enum mio_code put_kept(const struct mio_env_ask *q, struct words *w, const char *out,
                              struct mio_err *err)
{
    const struct mio_env_keep *k = q->keep;
    if (!k || !k->old || k->all || !k->old->n_wheels)
        return MIO_OK;
    for (size_t i = 0; i < k->n_names; i++) {
        add(w, "--upgrade-package");
        add(w, mio_arena_z(q->a, k->names[i]));
    }
    return mio_fs_replace(out, mio_env_pylock_text(q->a, k->old), 0600, err);
}

enum mio_code mio_env_uv_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                             struct mio_err *err)
{
    struct words w = begin(q);
    struct mio_str text;
    const char *to = output(q);
    add(&w, "--only-binary");
    add(&w, ":all:");
    if (q->links) {
        add(&w, "--find-links");
        add(&w, q->links);
    }
    if (q->bare)
        add(&w, "--no-deps");
    for (size_t i = 0; i < 2; i++)
        if (q->files[i])
            add(&w, q->files[i]);
    if (put_kept(q, &w, to, err) ||
        run(q, &w, to, "the Python requirements cannot be resolved", &text, err))
        return err->code;
    struct mio_str base = mio_path_dir(mio_str_z(to));
    return mio_env_pylock_read(q->a, text, mio_arena_z(q->a, base), &q->py, out, n, err);
}

/* With its dependencies given, uv need not ask the package for them, which would run its code. */
enum mio_code mio_env_uv_sdist(const struct mio_env_ask *q, struct mio_str name,
                               struct mio_str version, struct mio_env_pinned *out,
                               struct mio_err *err)
{
    const char *base = mio_env_store_tmp(q->a, q->s);
    const char *list = mio_arena_printf(q->a, "%s.txt", base).p,
               *config = mio_arena_printf(q->a, "%s.uv.toml", base).p, *to = output(q);
    struct words w = begin(q);
    struct mio_str text;
    struct mio_env_pinned *items = NULL;
    size_t n = 0;
    add(&w, "--no-deps");
    add(&w, "--no-binary");
    add(&w, mio_arena_z(q->a, name));
    add(&w, "--config-file");
    add(&w, config);
    add(&w, list);
    struct mio_str pin = mio_arena_printf(q->a, "%.*s==%.*s\n", MIO_FMT(name), MIO_FMT(version)),
                   meta = mio_arena_printf(q->a,
                                           "[[dependency-metadata]]\nname = \"%.*s\"\nversion = "
                                           "\"%.*s\"\nrequires-dist = []\n",
                                           MIO_FMT(name), MIO_FMT(version));
    if (!mio_fs_replace(list, pin, 0600, err) && !mio_fs_replace(config, meta, 0600, err) &&
        !run(q, &w, to, "the source distribution cannot be found", &text, err))
        mio_env_pylock_read(q->a, text, q->dir, &q->py, &items, &n, err);
    unlink(list);
    unlink(config);
    if (err->code)
        return err->code;
    if (n != 1 || !items[0].sdist)
        return mio_fail(err, MIO_TEMPLATE, "%.*s %.*s has no source distribution", MIO_FMT(name),
                        MIO_FMT(version));
    *out = items[0];
    return MIO_OK;
}
