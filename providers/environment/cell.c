/* providers/environment/cell.c: the cache of cells. */
#include "providers/environment/cell.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { MAX_INDEX = 256 << 20, COLUMNS = 11 };

static const char *cell_path(struct mio_arena *a, const struct mio_env_store *s, struct mio_str key,
                             const char *ending)
{
    return mio_arena_printf(a, "%s/cells/%.*s.%s", s->root, MIO_FMT(key), ending).p;
}

void mio_env_entry_write(struct mio_buf *b, const struct mio_env_entry *e)
{
    mio_buf_printf(b, "%d\t%o\t%u\t%u\t%lld\t%llu\t%llu\t%.*s\t%u\t%.*s\t%.*s\t%.*s\n",
                   (int)e->type, e->mode, e->uid, e->gid, (long long)e->mtime,
                   (unsigned long long)e->size, (unsigned long long)e->offset, MIO_FMT(e->sha256),
                   e->elf, MIO_FMT(e->soname), MIO_FMT(e->path), MIO_FMT(e->link));
}

static bool next_column(struct mio_str *line, struct mio_str *out)
{
    ptrdiff_t tab = mio_str_find(*line, '\t');
    *out = tab < 0 ? *line : mio_str_sub(*line, 0, (size_t)tab);
    *line = tab < 0 ? (struct mio_str){0} : mio_str_sub(*line, (size_t)tab + 1, line->n);
    return tab >= 0;
}

bool mio_env_entry_read(struct mio_str line, struct mio_env_entry *e)
{
    struct mio_str c[COLUMNS];
    uint64_t n[9] = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        if (!next_column(&line, &c[i]))
            return false;
    for (size_t i = 0; i < 9; i++)
        if (i != 7 && !mio_str_u64(c[i], &n[i]))
            return false;
    unsigned mode = 0;
    for (size_t i = 0; i < c[1].n; i++)
        mode = mode * 8 + (unsigned)(c[1].p[i] - '0');
    *e = (struct mio_env_entry){.type = (enum mio_entry_type)n[0],
                                .mode = mode,
                                .uid = (unsigned)n[2],
                                .gid = (unsigned)n[3],
                                .mtime = (int64_t)n[4],
                                .size = n[5],
                                .offset = n[6],
                                .sha256 = c[7],
                                .elf = (unsigned)n[8],
                                .soname = c[9],
                                .path = c[10],
                                .link = line};
    return n[0] <= MIO_ENTRY_HARDLINK;
}

struct mio_str mio_env_tree_key(struct mio_arena *a, const struct mio_env_tree *t)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, "tree %d\n", MIO_ENV_CELL_FORMAT);
    for (size_t i = 0; i < t->n; i++) {
        struct mio_env_entry e = t->items[i];
        e.offset = 0;
        mio_env_entry_write(&b, &e);
    }
    return mio_env_sha256(a, mio_buf_view(&b));
}

/* Size, digest and stamp of the fragment, and the digest of what follows them. */
static bool read_head(struct mio_arena *a, struct mio_str line, struct mio_str rest,
                      struct mio_env_cell *out, struct mio_str *stamp)
{
    struct mio_str size, sum;
    return mio_env_word(&line, &size) && mio_str_u64(size, &out->size) &&
           mio_env_word(&line, &out->sha256) && mio_env_word(&line, stamp) &&
           mio_env_word(&line, &sum) && mio_str_eq(sum, mio_env_sha256(a, rest));
}

enum mio_code mio_env_cell_load(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str key, const char *path, bool *found,
                                struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_str text, part[4] = {{0}}, line, stamp, was;
    struct mio_err ignored = {0};
    if (mio_fs_read(a, cell_path(a, s, key, "idx"), MAX_INDEX, &text, found, err) || !*found)
        return err->code;
    *found = false;
    *out = (struct mio_env_cell){.key = key, .path = path ? path : cell_path(a, s, key, "zst")};
    if (!mio_env_line(&text, &line) || !read_head(a, line, text, out, &stamp))
        return MIO_OK;
    was = stamp;
    if (!mio_env_unchanged(a, out->path, out->sha256, &stamp))
        return MIO_OK;
    for (size_t i = 0; i < 4; i++) { /* entries, then what it is about: each ended by a NUL */
        const char *end = memchr(text.p, 0, text.n);
        if (!end)
            return MIO_OK;
        part[i] = mio_str_sub(text, 0, (size_t)(end - text.p));
        text = mio_str_sub(text, part[i].n + 1, text.n);
    }
    out->about = (struct mio_env_about){part[1], part[2], part[3]};
    size_t cap = 0;
    while (mio_env_line(&part[0], &line))
        if (!mio_env_entry_read(line, &MIO_PUSH(a, out->items, out->n, cap)))
            return MIO_OK;
    *found = true;
    if (!mio_str_eq(was, stamp)) /* where it may be written: else it is read again next time */
        mio_env_cell_index(a, s, out, &ignored);
    return MIO_OK;
}

static void put_part(struct mio_buf *b, struct mio_str text)
{
    const char *end = text.n ? memchr(text.p, 0, text.n) : NULL;
    mio_buf_str(b, mio_str_sub(text, 0, end ? (size_t)(end - text.p) : text.n));
    mio_buf_char(b, 0);
}

enum mio_code mio_env_cell_index(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_cell *c, struct mio_err *err)
{
    MIO_AUTO_BUF rest, b;
    mio_buf_init(&rest, 0);
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < c->n; i++)
        mio_env_entry_write(&rest, &c->items[i]);
    mio_buf_char(&rest, 0);
    put_part(&rest, c->about.control);
    put_part(&rest, c->about.postinst);
    put_part(&rest, c->about.preinst);
    mio_buf_printf(&b, "%llu %.*s %.*s %.*s\n", (unsigned long long)c->size, MIO_FMT(c->sha256),
                   MIO_FMT(mio_env_stamp(a, c->path)),
                   MIO_FMT(mio_env_sha256(a, mio_buf_view(&rest))));
    mio_buf_str(&b, mio_buf_view(&rest));
    return mio_fs_replace(cell_path(a, s, c->key, "idx"), mio_buf_view(&b), 0644, err);
}

enum mio_code mio_env_cell_put(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_str key, struct mio_env_tree *t,
                               const struct mio_env_about *about, struct mio_env_cell *out,
                               struct mio_err *err)
{
    const char *tmp = mio_env_store_tmp(a, s), *path = cell_path(a, s, key, "zst");
    struct mio_env_sink *sink;
    struct mio_env_sums sums;
    if (mio_env_sink_open(tmp, MIO_CODEC_ZSTD, false, &sink, err))
        return err->code;
    enum mio_code code = mio_env_tar_write(t, sink, err);
    if (code)
        mio_env_sink_drop(sink);
    else
        code = mio_env_sink_close(sink, a, &sums, err);
    if (!code && rename(tmp, path))
        code = mio_fail_sys(err, errno, "cannot move %s into the store", tmp);
    if (code) {
        unlink(tmp);
        return code;
    }
    *out = (struct mio_env_cell){.key = key,
                                 .path = path,
                                 .sha256 = sums.packed,
                                 .items = t->items,
                                 .n = t->n,
                                 .size = sums.plain_size};
    if (about)
        out->about = *about;
    return mio_env_cell_index(a, s, out, err);
}

const struct mio_env_entry *mio_env_cell_find(const struct mio_env_cell *c, struct mio_str path)
{
    for (size_t i = 0; i < c->n; i++)
        if (mio_str_eq(c->items[i].path, path))
            return &c->items[i];
    return NULL;
}

struct slice {
    char *p;
    size_t n, want;
};

static enum mio_code take_slice(void *arg, const void *p, size_t n, bool *enough,
                                struct mio_err *err)
{
    struct slice *s = arg;
    (void)err;
    size_t k = n < s->want - s->n ? n : s->want - s->n;
    memcpy(s->p + s->n, p, k);
    s->n += k;
    *enough = s->n == s->want;
    return MIO_OK;
}

enum mio_code mio_env_cell_read(struct mio_arena *a, const struct mio_env_cell *c,
                                const struct mio_env_entry *e, struct mio_str *out,
                                struct mio_err *err)
{
    struct slice s = {mio_arena_alloc(a, (size_t)e->size + 1), 0, (size_t)e->size};
    if (e->size && mio_env_unzstd(c->path, e->offset, take_slice, &s, err))
        return err->code;
    if (s.n != s.want)
        return mio_fail(err, MIO_IO, "%s is shorter than its index says", c->path);
    s.p[s.n] = 0;
    *out = (struct mio_str){s.p, s.n};
    return MIO_OK;
}
