/* providers/environment/conda_cell.c: a conda package as a cell: every file compared with the
 * package's own list, the prefix that it was built with replaced in texts and programs. */
#include "providers/environment/conda.h"
#include "providers/environment/unpack.h"
#include "providers/environment/wheel.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/map.h"

enum { CONDA_FORMAT = MIO_ENV_CELL_FORMAT * 100 + 1 };

struct conda {
    struct mio_arena *a;
    const struct mio_env_wheel *w;
    struct mio_env_tree *t;
    struct mio_str prefix; /* opt/conda */
    struct mio_env_places python;
    bool noarch; /* modules of Python that fit every version */
    struct mio_index listed;
    struct mio_err *err;
};

static enum mio_code broken(struct conda *k, const char *what, struct mio_str name)
{
    return mio_fail(k->err, MIO_REALITY, "%s: %.*s", what, MIO_FMT(name));
}

static enum mio_code info(struct conda *k, const char *name, bool needed, struct mio_value *out)
{
    struct mio_str text;
    *out = mio_null();
    for (size_t i = 0; i < k->t->n; i++)
        if (mio_str_is(k->t->items[i].path, name)) {
            if (mio_env_tree_read(k->t, &k->t->items[i], &text, k->err))
                return k->err->code;
            if (mio_json_read(k->a, text, NULL, out, k->err)) {
                k->err->code = MIO_REALITY;
                return mio_err_wrap(k->err, "%s", name);
            }
            return MIO_OK;
        }
    return needed ? broken(k, "a file is missing", mio_str_z(name)) : MIO_OK;
}

/* The name in the package must be that in the lock. */
static enum mio_code check_index(struct conda *k)
{
    struct mio_value v;
    if (info(k, "info/index.json", true, &v))
        return k->err->code;
    if (!mio_str_eq(mio_get_str(v, "name"), k->w->name) ||
        !mio_str_eq(mio_get_str(v, "version"), k->w->version))
        return broken(k, "the archive holds another package", mio_get_str(v, "name"));
    k->noarch = mio_str_is(mio_get_str(v, "noarch"), "python");
    return MIO_OK;
}

static enum mio_code read_list(struct conda *k)
{
    struct mio_value v;
    if (info(k, "info/paths.json", true, &v))
        return k->err->code;
    const struct mio_value *paths = mio_get_z(v, "paths");
    uint32_t n = paths && paths->type == MIO_LIST ? paths->n : 0;
    mio_index_init(&k->listed, k->a, n);
    for (uint32_t i = 0; i < n; i++)
        mio_index_set(&k->listed, mio_get_str(paths->items[i], "_path"),
                      (uintptr_t)&paths->items[i]);
    return MIO_OK;
}

/* Text: every place. Program: up to the string's end, which then is padded so that nothing moves.
 */
static struct mio_str replaced(struct conda *k, struct mio_str text, struct mio_str was,
                               struct mio_str is, bool program)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (;;) {
        const char *at = text.n >= was.n ? memmem(text.p, text.n, was.p, was.n) : NULL;
        if (!at)
            break;
        size_t before = (size_t)(at - text.p);
        mio_buf_str(&b, mio_str_sub(text, 0, before));
        mio_buf_str(&b, is);
        text = mio_str_sub(text, before + was.n, text.n);
        if (!program)
            continue;
        const char *end = text.n ? memchr(text.p, 0, text.n) : NULL;
        size_t rest = end ? (size_t)(end - text.p) : text.n;
        struct mio_str tail = replaced(k, mio_str_sub(text, 0, rest), was, is, false);
        mio_buf_str(&b, tail);
        mio_buf_pad(&b, 0, was.n - is.n + rest - tail.n);
        text = mio_str_sub(text, rest, text.n);
    }
    mio_buf_str(&b, text);
    return mio_arena_str(k->a, mio_buf_view(&b));
}

static enum mio_code relocate(struct conda *k, const struct mio_env_entry *e, struct mio_value row)
{
    struct mio_str was = mio_get_str(row, "prefix_placeholder"), text,
                   is = mio_arena_printf(k->a, "/%.*s", MIO_FMT(k->prefix));
    bool program = mio_str_is(mio_get_str(row, "file_mode"), "binary");
    if (!was.n)
        return MIO_OK;
    if (program && is.n > was.n)
        return broken(k, "conda.prefix is longer than the one it was built with", e->path);
    if (mio_env_tree_read(k->t, e, &text, k->err))
        return k->err->code;
    return mio_env_tree_file(k->t, e->path, e->mode, e->mtime, replaced(k, text, was, is, program),
                             k->err);
}

static enum mio_code check_file(struct conda *k, const struct mio_env_entry *e)
{
    uintptr_t at = 0;
    if (!mio_index_get(&k->listed, e->path, &at))
        return broken(k, "a file is missing in info/paths.json", e->path);
    struct mio_value row = *(const struct mio_value *)at;
    struct mio_str base = mio_path_base(e->path), sum = mio_get_str(row, "sha256");
    if (e->type == MIO_ENTRY_FILE && !mio_str_eq(sum, e->sha256))
        return broken(k, "the content does not match info/paths.json", e->path);
    if (mio_str_starts(e->path, "bin/.") &&
        (mio_str_ends(base, "-post-link.sh") || mio_str_ends(base, "-pre-link.sh"))) {
        broken(k, "it has a script that would have to run", e->path);
        return mio_err_hint(k->err, "lock without this package: its scripts are not run here");
    }
    return e->type == MIO_ENTRY_FILE ? relocate(k, e, row) : MIO_OK;
}

/* Modules that fit every Python lie in folders without its number. */
static struct mio_str placed(struct conda *k, struct mio_str path)
{
    if (k->noarch && mio_str_starts(path, "site-packages/"))
        return mio_arena_printf(k->a, "%.*s%.*s", MIO_FMT(k->python.site),
                                MIO_FMT(mio_str_sub(path, strlen("site-packages"), path.n)));
    if (k->noarch && mio_str_starts(path, "python-scripts/"))
        return mio_arena_printf(k->a, "%.*s/bin%.*s", MIO_FMT(k->prefix),
                                MIO_FMT(mio_str_sub(path, strlen("python-scripts"), path.n)));
    return mio_arena_printf(k->a, "%.*s/%.*s", MIO_FMT(k->prefix), MIO_FMT(path));
}

/* "name = module:object" of a noarch package. */
static enum mio_code entry_points(struct conda *k, int64_t mtime)
{
    struct mio_value v;
    if (info(k, "info/link.json", false, &v))
        return k->err->code;
    const struct mio_value *noarch = mio_get_z(v, "noarch");
    const struct mio_value *list = noarch ? mio_get_z(*noarch, "entry_points") : NULL;
    for (uint32_t i = 0; list && list->type == MIO_LIST && i < list->n; i++) {
        struct mio_str s = mio_value_str(list->items[i]);
        ptrdiff_t eq = mio_str_find(s, '='), colon = mio_str_find(s, ':');
        if (eq <= 0 || colon < eq)
            return broken(k, "an entry point that is none", s);
        struct mio_str name = mio_str_trim(mio_str_sub(s, 0, (size_t)eq)),
                       module =
                           mio_str_trim(mio_str_sub(s, (size_t)eq + 1, (size_t)(colon - eq - 1))),
                       object = mio_str_trim(mio_str_sub(s, (size_t)colon + 1, s.n)), script;
        if (!mio_env_entry_script(k->a, k->python.interpreter, name, module, object, &script))
            return broken(k, "an entry point that is no name", s);
        if (mio_env_tree_file(
                k->t, mio_arena_printf(k->a, "%.*s/bin/%.*s", MIO_FMT(k->prefix), MIO_FMT(name)),
                0755, mtime, script, k->err))
            return k->err->code;
    }
    return MIO_OK;
}

/* conda's own record of what is installed. */
static struct mio_str record_name(struct conda *k)
{
    bool old = mio_str_ends(k->w->file, ".tar.bz2");
    struct mio_str stem =
        mio_str_sub(k->w->file, 0, k->w->file.n - strlen(old ? ".tar.bz2" : ".conda"));
    return mio_arena_printf(k->a, "%.*s/conda-meta/%.*s.json", MIO_FMT(k->prefix), MIO_FMT(stem));
}

static enum mio_code install(struct conda *k)
{
    mio_env_tree_sort(k->t);
    if (mio_env_tree_check(k->t, k->err) || check_index(k) || read_list(k))
        return k->err->code;
    size_t n = k->t->n, kept = 0;
    int64_t mtime = 315532800; /* 1980, as in the archives of wheels */
    for (size_t i = 0; i < n; i++) {
        struct mio_env_entry e = k->t->items[i];
        if (e.type != MIO_ENTRY_DIR && !mio_str_starts(e.path, "info/") && check_file(k, &e))
            return k->err->code;
    }
    if (k->noarch && entry_points(k, mtime))
        return k->err->code;
    mio_env_tree_sort(k->t); /* what was relocated takes the place of what was packed */
    for (size_t i = 0; i < k->t->n; i++) {
        struct mio_env_entry e = k->t->items[i];
        bool ours = mio_str_starts(e.path, k->prefix.p) && e.path.n > k->prefix.n;
        if (mio_str_is(e.path, "info/index.json"))
            e.path = record_name(k);
        else if (mio_str_starts(e.path, "info/") || e.type == MIO_ENTRY_DIR)
            continue;
        else if (!ours)
            e.path = placed(k, e.path);
        if (e.type == MIO_ENTRY_HARDLINK)
            e.link = placed(k, e.link);
        e.uid = e.gid = 0;
        if (e.type == MIO_ENTRY_FILE)
            e.mode = e.mode & 0100 ? 0755 : 0644;
        k->t->items[kept++] = e;
    }
    k->t->n = n = kept;
    for (size_t i = 0; i < n; i++) {
        struct mio_str p = k->t->items[i].path;
        for (size_t c = 1; c < p.n; c++)
            if (p.p[c] == '/' && c >= k->prefix.n)
                mio_env_tree_dir(k->t, mio_str_sub(p, 0, c), 0755, mtime);
    }
    mio_env_tree_sort(k->t);
    return mio_env_tree_check(k->t, k->err);
}

enum mio_code mio_env_cell_conda(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_wheel *w,
                                 struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_env_places to = mio_env_python_places(a, lock->config);
    struct mio_str prefix = mio_arena_str(a, mio_env_conda_prefix(lock->config));
    struct mio_str key =
        mio_env_sha256(a, mio_arena_printf(a, "conda %d zstd %.*s %.*s %.*s", CONDA_FORMAT,
                                           MIO_FMT(prefix), MIO_FMT(to.site), MIO_FMT(w->sha256)));
    bool found = false;
    if (mio_env_cell_load(a, s, key, NULL, &found, out, err))
        return err->code;
    if (!found) {
        struct mio_env_tree t;
        struct conda k = {.a = a, .w = w, .t = &t, .prefix = prefix, .python = to, .err = err};
        mio_env_tree_init(&t, a, s);
        if (!mio_env_store_sound(a, s, w->sha256, err) &&
            !mio_env_unpack_conda(mio_env_store_blob(a, s, w->sha256), w->file, &t, err) &&
            !install(&k))
            mio_env_cell_put(a, s, key, &t, NULL, out, err);
        mio_env_tree_free(&t);
        if (err->code)
            return mio_err_wrap(err, "conda package %.*s", MIO_FMT(w->file));
    }
    out->name = out->group = w->name;
    return MIO_OK;
}
