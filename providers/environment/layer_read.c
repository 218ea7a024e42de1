/* providers/environment/layer_read.c: what a layer of any image holds, and where in it.
 *
 * In: a tar file as registries have it: gzip, zstd or plain. Out: entries with the place of their
 * content in the unpacked stream, whiteouts first, for they concern the layers below alone. Devices
 * and pipes below dev/ are passed over, because every sandbox has a /dev of its own; so are
 * extended attributes, which no root gets. Never: a path that leaves the root. */
#include "providers/environment/archive.h"
#include "providers/environment/inspect.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include <archive_entry.h>
#include <errno.h>

enum { CHUNK = 1 << 16, MAX_ENTRIES = 2000000 };
static const uint64_t max_layer = 64ull << 30;

static enum mio_code broken(struct archive *ar, struct mio_err *err)
{
    const char *why = archive_error_string(ar);
    return mio_fail(err, MIO_REALITY, "a layer is broken: %s", why ? why : "no reason given");
}

/* ---- the unpacked stream ---- */

struct stream {
    struct archive *ar;
    struct mio_sha256 *sha;
    uint64_t size;
    char *chunk;
};

static void auto_stream(struct stream *s)
{
    if (s->ar)
        archive_read_free(s->ar);
    mio_sha256_free(s->sha);
    free(s->chunk);
}

static enum mio_code open_stream(struct stream *s, const char *path, struct mio_err *err)
{
    struct archive_entry *ignored;
    *s = (struct stream){
        .ar = archive_read_new(), .sha = mio_sha256_new(), .chunk = mio_alloc(CHUNK)};
    mio_sha256_start(s->sha);
    archive_read_support_filter_gzip(s->ar);
    archive_read_support_filter_zstd(s->ar);
    archive_read_support_format_raw(s->ar);
    archive_read_support_format_empty(s->ar);
    if (archive_read_open_filename(s->ar, path, CHUNK) ||
        archive_read_next_header(s->ar, &ignored) < ARCHIVE_WARN)
        return broken(s->ar, err);
    return MIO_OK;
}

static la_ssize_t more(struct archive *ar, void *arg, const void **p)
{
    struct stream *s = arg;
    la_ssize_t n = archive_read_data(s->ar, s->chunk, CHUNK);
    if (n < 0 || s->size > max_layer) {
        const char *why = n < 0 ? archive_error_string(s->ar) : "it unpacks to more than 64 GiB";
        archive_set_error(ar, EIO, "%s", why ? why : "it cannot be unpacked");
        return -1;
    }
    mio_sha256_add(s->sha, s->chunk, (size_t)n);
    s->size += (uint64_t)n;
    *p = s->chunk;
    return n;
}

enum mio_code mio_env_layer_stream(const char *path, uint64_t skip,
                                   enum mio_code (*take)(void *arg, const void *p, size_t n,
                                                         bool *enough, struct mio_err *err),
                                   void *arg, struct mio_err *err)
{
    __attribute__((cleanup(auto_stream))) struct stream s;
    bool enough = false;
    if (open_stream(&s, path, err))
        return err->code;
    for (la_ssize_t n; !enough && (n = archive_read_data(s.ar, s.chunk, CHUNK)) != 0;) {
        if (n < 0)
            return broken(s.ar, err);
        uint64_t k = skip < (uint64_t)n ? skip : (uint64_t)n;
        skip -= k;
        if (k < (uint64_t)n && take(arg, s.chunk + k, (size_t)((uint64_t)n - k), &enough, err))
            return err->code;
    }
    return MIO_OK;
}

/* ---- entries ---- */

struct index {
    struct mio_arena *a;
    struct mio_env_entry *items;
    size_t n, cap;
};

/* A path of the archive as stored; the layer's own root ("./") gives an empty one. */
static enum mio_code path_of(struct mio_arena *a, const char *raw, struct mio_str *out,
                             struct mio_err *err)
{
    struct mio_str s = mio_str_z(raw);
    while (mio_str_starts(s, "/"))
        s = mio_str_sub(s, 1, s.n);
    if (!s.n || mio_str_is(s, ".") || mio_str_is(s, "./")) {
        *out = (struct mio_str){0};
        return MIO_OK;
    }
    return mio_env_path(a, s, out)
               ? MIO_OK
               : mio_fail(err, MIO_REALITY, "a layer has an entry that leaves the root: %.100s",
                          raw);
}

/* Content in one piece: its digest, and where in the stream it begins. */
static enum mio_code content(struct archive *ar, struct mio_arena *a, struct mio_env_entry *e,
                             struct mio_err *err)
{
    struct mio_sha256 *sha = mio_sha256_new();
    const void *p;
    size_t n;
    la_int64_t at;
    int rc;
    mio_sha256_start(sha);
    while ((rc = archive_read_data_block(ar, &p, &n, &at)) == ARCHIVE_OK && n) {
        if (!e->size) /* libarchive has not yet moved behind the block that it gives */
            e->offset = (uint64_t)archive_filter_bytes(ar, 0);
        if ((uint64_t)at != e->size)
            break; /* holes */
        mio_sha256_add(sha, p, n);
        e->size += n;
    }
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    mio_hex(sum, sizeof sum, hex);
    e->sha256 = mio_str_z(hex);
    if (rc == ARCHIVE_OK && n)
        return mio_fail(err, MIO_REALITY, "/%.*s is stored with holes", MIO_FMT(e->path));
    return rc < ARCHIVE_WARN ? broken(ar, err) : MIO_OK;
}

static bool sound(const char *z)
{
    for (; *z; z++)
        if ((unsigned char)*z < 0x20 || *z == 0x7f)
            return false;
    return true;
}

/* What it is; *skip for what no root is given. */
static enum mio_code kind_of(struct archive_entry *ae, struct mio_arena *a, struct mio_env_entry *e,
                             bool *skip, struct mio_err *err)
{
    const char *hard = archive_entry_hardlink(ae), *soft = archive_entry_symlink(ae);
    if (hard) {
        e->type = MIO_ENTRY_HARDLINK;
        return path_of(a, hard, &e->link, err);
    }
    switch (archive_entry_filetype(ae)) {
    case AE_IFLNK:
        e->type = MIO_ENTRY_SYMLINK;
        e->mode = 0777;
        if (!soft || !*soft || !sound(soft))
            return mio_fail(err, MIO_REALITY, "symlink /%.*s has no sound target",
                            MIO_FMT(e->path));
        e->link = mio_arena_str(a, mio_str_z(soft));
        return MIO_OK;
    case AE_IFDIR:
        e->type = MIO_ENTRY_DIR;
        return MIO_OK;
    case AE_IFREG:
        e->type = MIO_ENTRY_FILE;
        return archive_entry_sparse_count(ae) > 0
                   ? mio_fail(err, MIO_REALITY, "/%.*s is stored with holes", MIO_FMT(e->path))
                   : MIO_OK;
    default:
        *skip = mio_str_starts(e->path, "dev/");
        return *skip ? MIO_OK
                     : mio_fail(err, MIO_REALITY, "/%.*s is a device, pipe or socket",
                                MIO_FMT(e->path));
    }
}

static enum mio_code take(struct index *x, struct archive *ar, struct archive_entry *ae,
                          struct mio_err *err)
{
    const char *raw = archive_entry_pathname(ae);
    struct mio_env_entry e = {.mode = (unsigned)archive_entry_perm(ae) & 07777,
                              .uid = (unsigned)archive_entry_uid(ae),
                              .gid = (unsigned)archive_entry_gid(ae),
                              .mtime = (int64_t)archive_entry_mtime(ae),
                              .offset = (uint64_t)archive_read_header_position(ar)};
    bool skip = false;
    if (!raw)
        return mio_fail(err, MIO_REALITY, "a layer has a nameless entry");
    if (path_of(x->a, raw, &e.path, err) || !e.path.n)
        return err->code;
    if (mio_env_whiteout(e.path))
        e.offset = 0;
    else if (kind_of(ae, x->a, &e, &skip, err) || skip)
        return err->code;
    if (e.mtime < 0)
        e.mtime = 0;
    if (x->n >= MAX_ENTRIES)
        return mio_fail(err, MIO_REALITY, "a layer has more than %d entries", MAX_ENTRIES);
    if (e.type == MIO_ENTRY_FILE && !mio_env_whiteout(e.path) && content(ar, x->a, &e, err))
        return err->code;
    MIO_PUSH(x->a, x->items, x->n, x->cap) = e;
    return MIO_OK;
}

static void whiteouts_first(struct index *x)
{
    struct mio_env_entry *sorted = MIO_NEW_N(x->a, struct mio_env_entry, x->n + 1);
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < x->n; i++)
            if (mio_env_whiteout(x->items[i].path) == !pass)
                sorted[n++] = x->items[i];
    x->items = sorted;
}

static enum mio_code read_layer(struct index *x, const char *path, struct mio_str *plain,
                                uint64_t *size, struct mio_err *err)
{
    __attribute__((cleanup(auto_stream))) struct stream s;
    MIO_AUTO_ARCHIVE *ar = archive_read_new();
    struct archive_entry *ae;
    const void *rest;
    int rc;
    la_ssize_t n;
    if (open_stream(&s, path, err))
        return err->code;
    archive_read_support_format_tar(ar);
    archive_read_support_format_empty(ar);
    if (archive_read_open(ar, &s, NULL, more, NULL))
        return broken(ar, err);
    while ((rc = archive_read_next_header(ar, &ae)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        if (take(x, ar, ae, err))
            return err->code;
    if (rc != ARCHIVE_EOF)
        return broken(ar, err);
    while ((n = more(ar, &s, &rest)) > 0)
        ; /* what lies behind the archive's end counts for the digest */
    if (n < 0)
        return broken(ar, err);
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(x->a, MIO_SHA256_HEX + 1);
    mio_sha256_end(s.sha, sum);
    mio_hex(sum, sizeof sum, hex);
    *plain = mio_str_z(hex);
    *size = s.size;
    return MIO_OK;
}

enum mio_code mio_env_layer_index(struct mio_arena *a, const char *path,
                                  struct mio_env_entry **items, size_t *n, struct mio_str *plain,
                                  uint64_t *size, struct mio_err *err)
{
    struct index x = {.a = a};
    if (read_layer(&x, path, plain, size, err))
        return mio_err_wrap(err, "%s", path);
    whiteouts_first(&x);
    *items = x.items;
    *n = x.n;
    return MIO_OK;
}

enum mio_code mio_env_content_layer(struct mio_env_content *c, const char *path,
                                    struct mio_err *err)
{
    struct mio_env_entry *items;
    struct mio_str plain;
    uint64_t size;
    size_t n;
    if (mio_env_layer_index(c->arena, path, &items, &n, &plain, &size, err))
        return err->code;
    return mio_env_content_settle(c, items, n, err);
}
