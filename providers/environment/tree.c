/* providers/environment/tree.c: entries and their spool. */
#include "providers/environment/tree.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/map.h"

void mio_env_tree_init(struct mio_env_tree *t, struct mio_arena *a, const struct mio_env_store *s)
{
    *t = (struct mio_env_tree){.arena = a, .spool = {.store = s}};
}

void mio_env_tree_free(struct mio_env_tree *t)
{
    mio_env_spool_free(&t->spool);
}

enum mio_code mio_env_tree_spool(struct mio_env_tree *t, const void *p, size_t n,
                                 struct mio_err *err)
{
    return mio_env_spool_add(&t->spool, t->arena, p, n, err);
}

enum mio_code mio_env_tree_file(struct mio_env_tree *t, struct mio_str path, unsigned mode,
                                int64_t mtime, struct mio_str content, struct mio_err *err)
{
    struct mio_env_entry e = {.path = mio_arena_str(t->arena, path),
                              .mode = mode,
                              .mtime = mtime,
                              .size = content.n,
                              .offset = t->spool.size,
                              .sha256 = mio_env_sha256(t->arena, content)};
    MIO_PUSH(t->arena, t->items, t->n, t->cap) = e;
    return mio_env_tree_spool(t, content.p, content.n, err);
}

void mio_env_tree_dir(struct mio_env_tree *t, struct mio_str path, unsigned mode, int64_t mtime)
{
    struct mio_str p = mio_arena_str(t->arena, path);
    MIO_PUSH(t->arena, t->items, t->n, t->cap) =
        (struct mio_env_entry){.path = p, .type = MIO_ENTRY_DIR, .mode = mode, .mtime = mtime};
}

void mio_env_tree_symlink(struct mio_env_tree *t, struct mio_str path, struct mio_str target,
                          int64_t mtime)
{
    struct mio_str p = mio_arena_str(t->arena, path), l = mio_arena_str(t->arena, target);
    MIO_PUSH(t->arena, t->items, t->n, t->cap) = (struct mio_env_entry){
        .path = p, .link = l, .type = MIO_ENTRY_SYMLINK, .mode = 0777, .mtime = mtime};
}

enum mio_code mio_env_tree_read(const struct mio_env_tree *t, const struct mio_env_entry *e,
                                struct mio_str *out, struct mio_err *err)
{
    char *p = mio_arena_alloc(t->arena, (size_t)e->size + 1);
    if (mio_env_spool_read(&t->spool, e->offset, p, (size_t)e->size, err))
        return err->code;
    p[e->size] = 0;
    *out = (struct mio_str){p, (size_t)e->size};
    return MIO_OK;
}

/* Parents come before children because '/' counts as the smallest byte. */
static int path_cmp(struct mio_str a, struct mio_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];
        if (x != y)
            return x == '/' ? -1 : y == '/' ? 1 : x < y ? -1 : 1;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int by_path(const void *x, const void *y)
{
    const struct mio_env_entry *a = x, *b = y;
    int late = (a->type == MIO_ENTRY_HARDLINK) - (b->type == MIO_ENTRY_HARDLINK);
    return late ? late : path_cmp(a->path, b->path);
}

void mio_env_tree_sort(struct mio_env_tree *t)
{
    struct mio_index last;
    mio_index_init(&last, t->arena, t->n);
    for (size_t i = 0; i < t->n; i++)
        mio_index_set(&last, t->items[i].path, i);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uintptr_t at = 0;
        if (mio_index_get(&last, t->items[i].path, &at) && at == i)
            t->items[n++] = t->items[i];
    }
    t->n = n;
    if (n)
        qsort(t->items, n, sizeof *t->items, by_path);
}

bool mio_env_path(struct mio_arena *a, struct mio_str raw, struct mio_str *out)
{
    char *p = mio_arena_alloc(a, raw.n + 1);
    size_t n = 0;
    if (raw.n && raw.p[0] == '/')
        return false;
    for (size_t i = 0; i < raw.n;) {
        size_t from = i;
        while (i < raw.n && raw.p[i] != '/') {
            unsigned char c = (unsigned char)raw.p[i++];
            if (c < 0x20 || c == 0x7f)
                return false;
        }
        struct mio_str part = mio_str_sub(raw, from, i - from);
        while (i < raw.n && raw.p[i] == '/')
            i++;
        if (mio_str_is(part, ".."))
            return false;
        if (!part.n || mio_str_is(part, "."))
            continue;
        if (n)
            p[n++] = '/';
        memcpy(p + n, part.p, part.n);
        n += part.n;
    }
    p[n] = 0;
    *out = (struct mio_str){p, n};
    return true;
}

enum mio_code mio_env_tree_check(const struct mio_env_tree *t, struct mio_err *err)
{
    struct mio_index types;
    mio_index_init(&types, t->arena, t->n);
    for (size_t i = 0; i < t->n; i++)
        mio_index_set(&types, t->items[i].path, (uintptr_t)t->items[i].type);
    for (size_t i = 0; i < t->n; i++) {
        struct mio_str path = t->items[i].path;
        uintptr_t type = MIO_ENTRY_DIR;
        for (size_t k = 0; k < path.n; k++)
            if (path.p[k] == '/' && mio_index_get(&types, mio_str_sub(path, 0, k), &type) &&
                type != MIO_ENTRY_DIR)
                return mio_fail(err, MIO_REALITY, "%.*s lies behind %.*s, which is no folder",
                                MIO_FMT(path), (int)k, path.p);
        if (t->items[i].type != MIO_ENTRY_HARDLINK)
            continue;
        if (!mio_index_get(&types, t->items[i].link, &type) || type == MIO_ENTRY_DIR)
            return mio_fail(err, MIO_REALITY, "hard link %.*s to %.*s, which is not in the archive",
                            MIO_FMT(path), MIO_FMT(t->items[i].link));
    }
    return MIO_OK;
}
