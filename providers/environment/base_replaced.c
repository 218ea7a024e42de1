/* providers/environment/base_replaced.c: what wheels take the place of in an image that others
 * made.
 *
 * pip would uninstall the older version first; here whiteouts do it, by that version's own RECORD.
 */
#include "providers/environment/base_image.h"
#include "providers/environment/pep.h"
#include "providers/environment/sources.h"
#include "providers/sdk/fs.h"

struct replacing {
    struct mio_arena *a;
    const struct mio_env_image *im;
    size_t n_base;
    struct mio_env_content below, ours; /* the image; what comes on top */
    struct mio_index installed;         /* SITE/NORMALISED-NAME to the entry of RECORD */
    struct mio_index seen;              /* folders that were looked at */
    struct mio_env_tree *t;
    int64_t mtime;
    struct mio_err *err;
};

/* "site/Foo_Bar-1.0.dist-info/RECORD": site and "site/foo-bar". */
static bool installation(struct mio_arena *a, struct mio_str path, struct mio_str *site,
                         struct mio_str *key)
{
    struct mio_str info = mio_path_dir(path), base = mio_path_base(info);
    ptrdiff_t dash = mio_str_find(base, '-');
    if (!mio_str_is(mio_path_base(path), "RECORD") || !mio_str_ends(base, ".dist-info") || dash < 1)
        return false;
    *site = mio_path_dir(info);
    *key = mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(*site),
                            MIO_FMT(mio_env_pep_name(a, mio_str_sub(base, 0, (size_t)dash))));
    return true;
}

static const struct mio_env_cell *cell_of(const struct replacing *r, const struct mio_env_entry *e)
{
    for (size_t i = 0; i < r->n_base; i++)
        if (e >= r->im->cells[i].items && e < r->im->cells[i].items + r->im->cells[i].n)
            return &r->im->cells[i];
    return NULL;
}

static enum mio_code white(struct replacing *r, struct mio_str path)
{
    return mio_env_tree_file(r->t,
                             mio_arena_printf(r->a, "%.*s/.wh.%.*s", MIO_FMT(mio_path_dir(path)),
                                              MIO_FMT(mio_path_base(path))),
                             0644, r->mtime, MIO_STR(""), r->err);
}

static enum mio_code take_out(struct replacing *r, const struct mio_env_entry *record,
                              struct mio_str site)
{
    struct mio_str text, line;
    if (!record->size || record->type != MIO_ENTRY_FILE)
        return MIO_OK;
    if (mio_env_cell_read(r->a, cell_of(r, record), record, &text, r->err))
        return r->err->code;
    /* Its own notes go with their folder. */
    struct mio_str info = mio_path_dir(record->path);
    bool same = mio_env_content_find(&r->ours, record->path) != NULL;
    if (!same && white(r, info))
        return r->err->code;
    while (mio_env_line(&text, &line)) {
        bool quoted = line.n && line.p[0] == '"';
        struct mio_str name = quoted ? mio_str_sub(line, 1, line.n) : line;
        ptrdiff_t end = mio_str_find(name, quoted ? '"' : ',');
        name = mio_path_join(r->a, mio_arena_printf(r->a, "/%.*s", MIO_FMT(site)),
                             mio_str_sub(name, 0, end < 0 ? name.n : (size_t)end));
        name = mio_str_sub(name, 1, name.n);
        if (mio_env_content_find(&r->below, name) &&
            (same || !mio_str_eq(mio_path_dir(name), info)) && white(r, name))
            return r->err->code;
    }
    return MIO_OK;
}

/* Our own entries must come to lie where they say, not where a link of the image leads. */
static enum mio_code check_parents(struct replacing *r, const struct mio_env_cell *c,
                                   struct mio_str path)
{
    for (size_t k = path.n; k-- > 1;) {
        struct mio_str dir = mio_str_sub(path, 0, k);
        if (path.p[k] != '/')
            continue;
        if (!mio_index_add(&r->seen, dir, 1))
            return MIO_OK;
        const struct mio_env_entry *e = mio_env_content_find(&r->below, dir);
        if (!e || e->type == MIO_ENTRY_DIR)
            continue;
        mio_fail(r->err, MIO_REALITY, "/%.*s of %.*s lies behind /%.*s, which is %s of the image",
                 MIO_FMT(path), MIO_FMT(c->name), MIO_FMT(dir),
                 e->type == MIO_ENTRY_SYMLINK ? "a link" : "a file");
        return mio_err_hint(r->err, "name the folder that it leads to: files: [{ target: ... }], "
                                    "python.prefix");
    }
    return MIO_OK;
}

static enum mio_code compare(struct replacing *r, const struct mio_env_cell *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct mio_str site, key;
        uintptr_t record;
        if (check_parents(r, c, c->items[i].path))
            return r->err->code;
        if (installation(r->a, c->items[i].path, &site, &key) &&
            mio_index_get(&r->installed, key, &record) &&
            take_out(r, (const struct mio_env_entry *)record, site))
            return r->err->code;
    }
    return MIO_OK;
}

enum mio_code mio_env_base_replaced(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_lock *lock, const struct mio_env_image *im,
                                    size_t n_base, struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_env_tree t;
    struct replacing r = {
        .a = a, .im = im, .n_base = n_base, .t = &t, .mtime = lock->epoch, .err = err};
    mio_env_content_init(&r.below, a);
    mio_index_init(&r.installed, a, 64);
    mio_index_init(&r.seen, a, 256);
    for (size_t i = 0; i < n_base; i++)
        mio_env_content_lay(&r.below, im->cells[i].items, im->cells[i].n);
    mio_env_content_init(&r.ours, a);
    for (size_t i = n_base; i < im->n_cells; i++)
        mio_env_content_lay(&r.ours, im->cells[i].items, im->cells[i].n);
    for (size_t i = 0; i < r.below.n; i++) {
        struct mio_str site, key;
        if (installation(a, r.below.items[i]->path, &site, &key))
            mio_index_set(&r.installed, key, (uintptr_t)r.below.items[i]);
    }
    mio_env_tree_init(&t, a, s);
    for (size_t i = n_base; i < im->n_cells && !compare(&r, &im->cells[i]); i++)
        ;
    if (!err->code && t.n) {
        mio_env_tree_sort(&t);
        if (!mio_env_tree_check(&t, err))
            mio_env_cell_put(a, s, mio_env_tree_key(a, &t), &t, NULL, out, err);
    }
    mio_env_tree_free(&t);
    out->name = out->group = MIO_STR("replaced");
    return err->code;
}
