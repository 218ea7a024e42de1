/* providers/environment/python.c: which wheels, and where they are to be had. */
#include "providers/environment/python.h"
#include "providers/environment/conda.h"
#include "providers/environment/download.h"
#include "providers/environment/requirements.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <unistd.h>

enum { MAX_PYLOCK = 32 << 20 };

/* ---- the target ---- */

struct mio_env_python mio_env_python_target(struct mio_value config, struct mio_str suite,
                                            struct mio_str arch)
{
    static const struct {
        const char *suite;
        unsigned glibc;
    } rows[] = {{"buster", 28}, {"bullseye", 31}, {"bookworm", 36}, {"trixie", 41},
                {"forky", 41},  {"sid", 41},      {"jammy", 35},    {"noble", 39}};
    const struct mio_value *python = mio_get_z(config, "python");
    struct mio_env_python py = {
        .version = python ? mio_get_str(*python, "version") : MIO_STR("3"),
        .arch = arch,
        .glibc = 28, /* what most images have at least */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_str_is(suite, rows[i].suite))
            py.glibc = rows[i].glibc;
    if (python) /* of an image, where locking found it */
        py.glibc = (unsigned)mio_get_i64(*python, "glibc", py.glibc);
    return py;
}

struct mio_env_places mio_env_python_places(struct mio_arena *a, struct mio_value config)
{
    const struct mio_value *python = mio_get_z(config, "python");
    struct mio_str version = python ? mio_get_str(*python, "version") : MIO_STR("3"),
                   prefix = python ? mio_get_str(*python, "prefix") : (struct mio_str){0};
    while (prefix.n && prefix.p[0] == '/')
        prefix = mio_str_sub(prefix, 1, prefix.n);
    if (!prefix.n)
        return (struct mio_env_places){
            MIO_STR("usr/local"),
            mio_arena_printf(a, "usr/local/lib/python%.*s/dist-packages", MIO_FMT(version)),
            mio_arena_printf(a, "/usr/bin/python%.*s", MIO_FMT(version))};
    return (struct mio_env_places){
        prefix,
        mio_arena_printf(a, "%.*s/lib/python%.*s/site-packages", MIO_FMT(prefix), MIO_FMT(version)),
        mio_arena_printf(a, "/%.*s/bin/python%.*s", MIO_FMT(prefix), MIO_FMT(version))};
}

enum mio_code mio_env_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                          struct mio_err *err)
{
    return mio_env_uv(q->a).n ? mio_env_uv_pin(q, out, n, err) : mio_env_pip_pin(q, out, n, err);
}

/* ---- wheels that are built here ---- */

struct made {
    struct mio_env_wheel *items;
    size_t n;
    const char *links; /* folder in which they lie under their names */
};

/* Where the source of one entry of build_wheel is. */
static enum mio_code find_source(struct mio_env_ask *q, const struct mio_env_built *b,
                                 struct mio_env_pinned *out, struct mio_err *err)
{
    *out = (struct mio_env_pinned){.name = b->name, .version = b->version, .sdist = true};
    if (b->source.n) {
        out->url = mio_path_join(q->a, mio_str_z(q->dir), b->source);
        out->file = mio_path_base(b->source);
        return MIO_OK;
    }
    if (mio_env_uv(q->a).n)
        return mio_env_uv_sdist(q, b->name, b->version, out, err);
    mio_fail(err, MIO_IO, "only uv can find the source of %.*s without running it",
             MIO_FMT(b->name));
    return mio_err_hint(err, "install uv, or keep the source beside the template and name it: "
                             "build_wheel: [{ name, version, source: FILE }]");
}

/* As it was, when the lock has it from the same source and nothing asks for another. */
static bool built_before(const struct mio_env_ask *q, const struct mio_env_pinned *f,
                         struct mio_env_wheel *out)
{
    const struct mio_env_keep *k = q->keep;
    for (size_t i = 0; k && k->old && i < k->old->n_wheels; i++) {
        const struct mio_env_wheel *w = &k->old->wheels[i];
        const struct mio_value *sdist = mio_get_z(w->built, "sdist");
        if (sdist && mio_env_keeps(k, w->name) &&
            mio_str_eq(mio_get_str(*sdist, "sha256"), f->sha256) &&
            mio_env_store_has(q->a, q->s, w->sha256, w->size)) {
            *out = *w;
            return true;
        }
    }
    return false;
}

static enum mio_code make_one(struct mio_env_ask *q, const struct mio_env_built *b,
                              struct mio_env_wheel *out, struct mio_err *err)
{
    struct mio_env_pinned source;
    if (find_source(q, b, &source, err))
        return err->code;
    struct mio_env_download d = {.url = source.url, .sha256 = source.sha256};
    if (mio_env_download(q->a, q->s, &d, 1, err))
        return err->code;
    source.sha256 = d.sha256;
    source.size = d.size;
    if (b->source.n)
        source.url = b->source; /* as the template names it */
    return built_before(q, &source, out) ? MIO_OK : mio_env_sdist_build(q, &source, out, err);
}

static enum mio_code make_all(struct mio_env_ask *q, const struct mio_env_spec *spec,
                              struct made *m, struct mio_err *err)
{
    if (!spec->n_builds)
        return MIO_OK;
    m->items = MIO_NEW_N(q->a, struct mio_env_wheel, spec->n_builds);
    m->links = mio_env_store_tmp(q->a, q->s);
    if (mio_fs_mkdirs(m->links, 0755, err))
        return err->code;
    for (; m->n < spec->n_builds; m->n++) {
        struct mio_env_wheel *w = &m->items[m->n];
        if (make_one(q, &spec->builds[m->n], w, err))
            return mio_err_wrap(err, "build_wheel %.*s", MIO_FMT(spec->builds[m->n].name));
        const char *to = mio_arena_printf(q->a, "%s/%.*s", m->links, MIO_FMT(w->file)).p;
        if (mio_env_store_give(q->a, q->s, w->sha256, to, err))
            return err->code;
    }
    q->links = m->links;
    return MIO_OK;
}

static const struct mio_env_wheel *made_by(const struct made *m, const struct mio_env_pinned *p)
{
    for (size_t i = 0; i < m->n; i++)
        if (mio_str_eq(m->items[i].name, p->name) &&
            !mio_env_pep_order(m->items[i].version, p->version))
            return &m->items[i];
    return NULL;
}

/* ---- pins to wheels ---- */

/* A requirements file may demand hashes: then what was chosen must have one of them. */
static enum mio_code check_demanded(const struct mio_env_requirements *r,
                                    const struct mio_env_wheel *w, struct mio_err *err)
{
    bool asked = false;
    for (size_t i = 0; i < r->n_hashes; i++) {
        if (!mio_str_eq(r->hashes[i].name, w->name))
            continue;
        if (mio_str_eq(r->hashes[i].sha256, w->sha256))
            return MIO_OK;
        asked = true;
    }
    if (!asked)
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "%.*s has SHA-256 %.*s, which the requirements do not list",
             MIO_FMT(w->file), MIO_FMT(w->sha256));
    return mio_err_hint(err, "add --hash=sha256:... of this file if it is the right one");
}

/* The address that an unchanged file was locked with, so that locking elsewhere changes nothing. */
static struct mio_str earlier_hint(const struct mio_env_keep *k, const struct mio_env_pinned *p)
{
    for (size_t i = 0; k && k->old && i < k->old->n_wheels; i++)
        if (mio_str_eq(k->old->wheels[i].sha256, p->sha256))
            return k->old->wheels[i].url;
    return (struct mio_str){0};
}

static enum mio_code refuse_source(const struct mio_env_pinned *p, struct mio_err *err)
{
    mio_fail(err, MIO_TEMPLATE, "%.*s %.*s is there as a source distribution alone",
             MIO_FMT(p->name), MIO_FMT(p->version));
    return mio_err_hint(err,
                        "building runs its code: allow it by python.build_wheel: [{ name: "
                        "%.*s, version: \"%.*s\" }]",
                        MIO_FMT(p->name), MIO_FMT(p->version));
}

static enum mio_code take(struct mio_env_ask *q, const struct made *m,
                          const struct mio_env_pinned *pins, size_t n, struct mio_env_wheel **out,
                          struct mio_err *err)
{
    struct mio_env_wheel *w = MIO_NEW_N(q->a, struct mio_env_wheel, n + 1);
    struct mio_env_download *d = MIO_NEW_N(q->a, struct mio_env_download, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct mio_env_wheel *own = made_by(m, &pins[i]);
        if (pins[i].sdist && !own)
            return refuse_source(&pins[i], err);
        d[i] = (struct mio_env_download){
            .url = own ? MIO_STR("") : pins[i].url,
            .sha256 = own ? own->sha256 : pins[i].sha256,
        };
    }
    if (mio_env_download(q->a, q->s, d, n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        const struct mio_env_wheel *own = made_by(m, &pins[i]);
        struct mio_str was = earlier_hint(q->keep, &pins[i]);
        w[i] = (struct mio_env_wheel){.name = pins[i].name,
                                      .version = pins[i].version,
                                      .file = pins[i].file,
                                      .sha256 = d[i].sha256,
                                      .size = d[i].size,
                                      .url = was.n ? was
                                                   : mio_env_pinned_hint(q->a, q->dir, pins[i].url),
                                      .built = mio_null()};
        if (own)
            w[i] = *own;
    }
    *out = w;
    return MIO_OK;
}

static enum mio_code from_pylock(struct mio_env_ask *q, const struct mio_env_spec *spec,
                                 struct mio_env_pinned **out, size_t *n, struct mio_err *err)
{
    struct mio_str text, path = mio_path_join(q->a, mio_str_z(q->dir), spec->pylock);
    bool found = false;
    if (mio_fs_read(q->a, path.p, MAX_PYLOCK, &text, &found, err))
        return err->code;
    if (!found)
        return mio_fail(err, MIO_TEMPLATE, "%.*s is not there", MIO_FMT(path));
    const char *base = mio_arena_z(q->a, mio_path_dir(path));
    if (mio_env_pylock_read(q->a, text, base, &q->py, out, n, err))
        return mio_err_wrap(err, "%.*s", MIO_FMT(spec->pylock));
    return MIO_OK;
}

static enum mio_code from_requirements(struct mio_env_ask *q, const struct mio_env_spec *spec,
                                       struct mio_env_pinned **out, size_t *n, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    size_t k = 0;
    const char *list = mio_env_store_tmp(q->a, q->s);
    for (size_t i = 0; i < spec->n_requirement_lines; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(spec->requirement_lines[i]));
    if (spec->requirements.n)
        q->files[k++] = mio_path_join(q->a, mio_str_z(q->dir), spec->requirements).p;
    if (b.n)
        q->files[k] = list;
    if (!b.n || !mio_fs_replace(list, mio_buf_view(&b), 0600, err))
        mio_env_pin(q, out, n, err);
    unlink(list);
    return err->code;
}

static int by_name(const void *x, const void *y)
{
    return mio_str_cmp(((const struct mio_env_wheel *)x)->name,
                       ((const struct mio_env_wheel *)y)->name);
}

static enum mio_code resolve(struct mio_env_ask *q, const struct mio_env_spec *spec, struct made *m,
                             struct mio_env_wheel **out, size_t *n, struct mio_err *err)
{
    struct mio_env_requirements r = {0};
    struct mio_env_pinned *pins = NULL;
    if (spec->requirements.n && mio_env_requirements(q->a, q->dir, spec->requirements, &r, err))
        return err->code;
    if (make_all(q, spec, m, err) ||
        (spec->pylock.n ? from_pylock(q, spec, &pins, n, err)
                        : from_requirements(q, spec, &pins, n, err)) ||
        take(q, m, pins, *n, out, err))
        return err->code;
    for (size_t i = 0; i < *n; i++)
        if (check_demanded(&r, &(*out)[i], err))
            return err->code;
    qsort(*out, *n, sizeof **out, by_name);
    return MIO_OK;
}

enum mio_code mio_env_python_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                     const struct mio_env_spec *spec, const char *dir,
                                     const struct mio_env_keep *keep, struct mio_env_wheel **out,
                                     size_t *n, struct mio_err *err)
{
    *out = NULL;
    *n = 0;
    if (!spec->requirements.n && !spec->n_requirement_lines && !spec->pylock.n)
        return MIO_OK;
    MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
    struct made m = {0};
    struct mio_env_ask q = {.a = a,
                            .s = s,
                            .dir = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(dir)).p,
                            .py = mio_env_python_target(spec->body, spec->suite, spec->arch),
                            .keep = keep};
    resolve(&q, spec, &m, out, n, err);
    struct mio_err ignored = {0};
    if (m.links)
        mio_fs_remove_tree(m.links, &ignored);
    return err->code;
}

/* ---- what a lock names ---- */

/* By its address, and where that has gone, by name from the index that is configured here. */
static enum mio_code bring(struct mio_env_ask *q, const struct mio_env_wheel *w, size_t n,
                           struct mio_err *err)
{
    struct mio_env_download *d = MIO_NEW_N(q->a, struct mio_env_download, n + 1);
    struct mio_env_wheel *left = MIO_NEW_N(q->a, struct mio_env_wheel, n + 1);
    struct mio_err ignored = {0};
    size_t k = 0, tried = 0;
    for (size_t i = 0; i < n; i++) {
        if (!w[i].url.n) {
            left[k++] = w[i];
            continue;
        }
        bool relative = mio_str_find(w[i].url, ':') < 0;
        struct mio_str url = relative ? mio_path_join(q->a, mio_str_z(q->dir), w[i].url) : w[i].url;
        if (mio_env_is_conda(&w[i]))
            url = mio_env_conda_url(q->a, q->config, url);
        d[tried++] = (struct mio_env_download){.url = url, .sha256 = w[i].sha256};
    }
    mio_env_download(q->a, q->s, d, tried, &ignored);
    for (size_t i = 0, t = 0; i < n; i++) {
        if (!w[i].url.n || d[t++].done)
            continue;
        if (mio_env_is_conda(&w[i])) { /* no index is asked for these */
            *err = d[t - 1].err;
            return err->code;
        }
        left[k++] = w[i];
    }
    if (k && mio_env_pip_fetch(q, left, k, err) && ignored.code)
        *err = ignored; /* the address said more */
    return err->code;
}

enum mio_code mio_env_python_fetch(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, const char *dir,
                                   struct mio_err *err)
{
    struct mio_env_wheel *missing = MIO_NEW_N(a, struct mio_env_wheel, lock->n_wheels + 1);
    MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
    size_t n = 0;
    struct mio_env_ask q = {.a = a,
                            .s = s,
                            .dir = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(dir)).p,
                            .py = mio_env_python_target(lock->config, lock->suite, lock->arch),
                            .config = lock->config};
    for (size_t i = 0; i < lock->n_wheels; i++) {
        const struct mio_env_wheel *w = &lock->wheels[i];
        if (mio_env_store_has(a, s, w->sha256, w->size))
            continue;
        if (mio_is_null(w->built))
            missing[n++] = *w;
        else if (mio_env_sdist_again(&q, w, err))
            return err->code;
    }
    return n ? bring(&q, missing, n, err) : MIO_OK;
}
