/* providers/environment/content.c: what a root should hold: layers laid over one another by path.
 */
#include "providers/environment/inspect.h"
#include "providers/sdk/fs.h"

void mio_env_content_init(struct mio_env_content *c, struct mio_arena *a)
{
    *c = (struct mio_env_content){.arena = a};
    mio_index_init(&c->index, a, 4096);
}

const struct mio_env_entry *mio_env_content_find(const struct mio_env_content *c,
                                                 struct mio_str path)
{
    uintptr_t at;
    return mio_index_get(&c->index, path, &at) ? c->items[at] : NULL;
}

bool mio_env_whiteout(struct mio_str path)
{
    return mio_str_starts(mio_path_base(path), ".wh.");
}

/* Folders that no layer lists are there because of what lay in them, and stay. */
static void leave_folders(struct mio_env_content *c, const struct mio_index *gone,
                          struct mio_str path)
{
    uintptr_t how = 0;
    for (size_t k = 1; k < path.n && how != 2; k++) {
        struct mio_str dir = mio_str_sub(path, 0, k);
        if (path.p[k] != '/')
            continue;
        if (mio_index_get(gone, dir, &how) && how == 1)
            return;
        if (mio_env_content_find(c, dir))
            continue;
        struct mio_env_entry *e = MIO_NEW(c->arena, struct mio_env_entry);
        *e = (struct mio_env_entry){.path = dir, .type = MIO_ENTRY_DIR, .mode = 0755};
        mio_index_set(&c->index, dir, c->n);
        MIO_PUSH(c->arena, c->items, c->n, c->cap) = e;
    }
}

/* Forgets what is gone, in one pass. `gone`: by path, 1 for the path and all below it, 2 for what
 * lies below. */
static void forget(struct mio_env_content *c, const struct mio_index *gone)
{
    size_t kept = 0, n = 0;
    const struct mio_env_entry **dropped =
        MIO_NEW_N(c->arena, const struct mio_env_entry *, c->n + 1);
    for (size_t i = 0; i < c->n; i++) {
        struct mio_str p = c->items[i]->path;
        uintptr_t how = 0;
        bool out = mio_index_get(gone, p, &how) && how == 1;
        for (size_t k = p.n; k-- > 0 && !out;)
            out = (!k || p.p[k] == '/') && mio_index_get(gone, mio_str_sub(p, 0, k), &how);
        if (out)
            dropped[n++] = c->items[i];
        else
            c->items[kept++] = c->items[i];
    }
    c->n = kept;
    mio_index_init(&c->index, c->arena, kept);
    for (size_t i = 0; i < kept; i++)
        mio_index_set(&c->index, c->items[i]->path, i);
    for (size_t i = 0; i < n; i++)
        leave_folders(c, gone, dropped[i]->path);
}

static void take_away(struct mio_env_content *c, const struct mio_env_entry *items, size_t n)
{
    struct mio_index gone = {0};
    mio_index_init(&gone, c->arena, 0);
    for (size_t i = 0; i < n; i++) {
        struct mio_str path = items[i].path, base = mio_path_base(path),
                       dir = mio_str_sub(path, 0, path.n > base.n ? path.n - base.n - 1 : 0);
        if (!mio_env_whiteout(path))
            continue;
        if (mio_str_is(base, ".wh..wh..opq"))
            mio_index_add(&gone, dir, 2);
        else if (!mio_str_starts(base, ".wh..wh.")) /* others are notes of AUFS to itself */
            mio_index_set(&gone,
                          mio_arena_printf(c->arena, "%.*s%s%.*s", MIO_FMT(dir), dir.n ? "/" : "",
                                           MIO_FMT(mio_str_sub(base, 4, base.n))),
                          1);
    }
    if (gone.n)
        forget(c, &gone);
}

void mio_env_content_lay(struct mio_env_content *c, const struct mio_env_entry *items, size_t n)
{
    take_away(c, items, n);
    for (size_t i = 0; i < n; i++) {
        uintptr_t at = c->n;
        if (mio_env_whiteout(items[i].path))
            continue;
        if (mio_index_get(&c->index, items[i].path, &at)) {
            bool folder = c->items[at]->type == MIO_ENTRY_DIR;
            c->items[at] = &items[i];
            if (!folder || items[i].type == MIO_ENTRY_DIR)
                continue;
            struct mio_index gone;
            mio_index_init(&gone, c->arena, 1);
            mio_index_set(&gone, items[i].path, 2);
            forget(c, &gone);
            continue;
        }
        mio_index_set(&c->index, items[i].path, at);
        MIO_PUSH(c->arena, c->items, c->n, c->cap) = &items[i];
    }
}

void mio_env_content_of(struct mio_env_content *c, struct mio_arena *a,
                        const struct mio_env_image *image)
{
    mio_env_content_init(c, a);
    for (size_t i = 0; i < image->n_cells; i++)
        mio_env_content_lay(c, image->cells[i].items, image->cells[i].n);
}

/* Where a path comes to lie: folders of it that are links are followed inside the root. */
static enum mio_code lead(struct mio_env_content *c, const struct mio_index *own,
                          const struct mio_env_entry *items, struct mio_str *path,
                          struct mio_err *err)
{
    enum { HOPS = 40 };
    size_t at = 0;
    for (int hops = 0; at < path->n; at++) {
        uintptr_t i;
        struct mio_str dir = mio_str_sub(*path, 0, at);
        if (path->p[at] != '/')
            continue;
        const struct mio_env_entry *e =
            mio_index_get(own, dir, &i) ? &items[i] : mio_env_content_find(c, dir);
        if (!e || e->type == MIO_ENTRY_DIR)
            continue;
        if (e->type != MIO_ENTRY_SYMLINK)
            return mio_fail(err, MIO_REALITY, "/%.*s lies below /%.*s, which is no folder",
                            MIO_FMT(*path), MIO_FMT(dir));
        if (++hops > HOPS)
            return mio_fail(err, MIO_REALITY, "/%.*s leads in a circle", MIO_FMT(*path));
        struct mio_str base = mio_arena_printf(c->arena, "/%.*s", MIO_FMT(mio_path_dir(dir)));
        struct mio_str to =
            mio_path_join(c->arena, base,
                          mio_arena_printf(c->arena, "%.*s%.*s", MIO_FMT(e->link),
                                           MIO_FMT(mio_str_sub(*path, at, path->n))));
        while (to.n && to.p[0] == '/')
            to = mio_str_sub(to, 1, to.n);
        if (mio_str_starts(to, "../") || mio_str_is(to, "..") || !to.n)
            return mio_fail(err, MIO_REALITY, "/%.*s leads out of the root", MIO_FMT(*path));
        *path = to;
        at = (size_t)-1; /* from the start */
    }
    return MIO_OK;
}

enum mio_code mio_env_content_settle(struct mio_env_content *c, struct mio_env_entry *items,
                                     size_t n, struct mio_err *err)
{
    struct mio_index own;
    mio_index_init(&own, c->arena, n);
    for (size_t i = 0; i < n; i++)
        if (items[i].type != MIO_ENTRY_FILE)
            mio_index_set(&own, items[i].path, i);
    for (size_t i = 0; i < n; i++)
        if (lead(c, &own, items, &items[i].path, err) ||
            (items[i].type == MIO_ENTRY_HARDLINK && lead(c, &own, items, &items[i].link, err)))
            return err->code;
    mio_env_content_lay(c, items, n);
    return MIO_OK;
}

const struct mio_env_entry *mio_env_content_follow(struct mio_env_content *c, struct mio_str path)
{
    struct mio_index none;
    struct mio_err ignored = {0};
    mio_index_init(&none, c->arena, 0);
    for (int hops = 0; hops < 16; hops++) {
        if (lead(c, &none, NULL, &path, &ignored))
            return NULL;
        const struct mio_env_entry *e = mio_env_content_find(c, path);
        if (!e || e->type == MIO_ENTRY_FILE || e->type == MIO_ENTRY_DIR)
            return e;
        if (e->type == MIO_ENTRY_HARDLINK) {
            path = e->link;
            continue;
        }
        struct mio_str from = mio_arena_printf(c->arena, "/%.*s", MIO_FMT(mio_path_dir(path)));
        path = mio_path_join(c->arena, from, e->link);
        while (path.n && path.p[0] == '/')
            path = mio_str_sub(path, 1, path.n);
    }
    return NULL;
}

enum mio_code mio_env_content_write(const struct mio_env_content *c, const char *path,
                                    struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < c->n; i++)
        mio_env_entry_write(&b, c->items[i]);
    return mio_fs_replace(path, mio_buf_view(&b), 0644, err);
}

enum mio_code mio_env_content_read(struct mio_arena *a, const char *path,
                                   struct mio_env_content *out, bool *found, struct mio_err *err)
{
    enum { MAX_LIST = 256 << 20 };
    struct mio_str text, line;
    struct mio_env_entry *items = NULL;
    size_t n = 0, cap = 0;
    if (mio_fs_read(a, path, MAX_LIST, &text, found, err) || !*found)
        return err->code;
    while (mio_env_line(&text, &line))
        if (!mio_env_entry_read(line, &MIO_PUSH(a, items, n, cap)))
            return mio_fail(err, MIO_IO, "%s is damaged", path);
    mio_env_content_init(out, a);
    mio_env_content_lay(out, items, n);
    return MIO_OK;
}
