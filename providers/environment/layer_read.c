/* providers/environment/layer_read.c: layers of any image, laid over one another by path. */
#include "providers/environment/inspect.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include <archive.h>
#include <archive_entry.h>

enum { CHUNK = 1 << 16 };

static void auto_archive(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}

static enum mio_code broken(struct archive *ar, struct mio_err *err)
{
    const char *why = archive_error_string(ar);
    return mio_fail(err, MIO_REALITY, "a layer is broken: %s", why ? why : "no reason given");
}

static enum mio_code digest(struct archive *ar, struct mio_arena *a, struct mio_env_entry *e,
                            struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct mio_sha256 *sha = mio_sha256_new();
    la_ssize_t n;
    mio_sha256_start(sha);
    while ((n = archive_read_data(ar, chunk, CHUNK)) > 0) {
        mio_sha256_add(sha, chunk, (size_t)n);
        e->size += (uint64_t)n;
    }
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    mio_hex(sum, sizeof sum, hex);
    e->sha256 = mio_str_z(hex);
    return n < 0 ? broken(ar, err) : MIO_OK;
}

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
               : mio_fail(err, MIO_REALITY, "a layer has an entry that leaves the root");
}

/* ".wh.x" takes x of the layers below away, ".wh..wh..opq" all that lies in its folder. */
static bool whiteout(struct mio_env_content *c, struct mio_str path)
{
    size_t base = path.n;
    while (base && path.p[base - 1] != '/')
        base--;
    struct mio_str name = mio_str_sub(path, base, path.n);
    if (!mio_str_starts(name, ".wh."))
        return false;
    bool opaque = mio_str_is(name, ".wh..wh..opq");
    struct mio_str gone = opaque ? mio_str_sub(path, 0, base ? base - 1 : 0)
                                 : mio_arena_printf(c->arena, "%.*s%.*s", (int)base, path.p,
                                                    MIO_FMT(mio_str_sub(name, 4, name.n)));
    mio_env_content_drop(c, gone, !opaque);
    return true;
}

static enum mio_code take(struct archive *ar, struct archive_entry *ae, struct mio_env_content *c,
                          struct mio_err *err)
{
    const char *raw = archive_entry_pathname(ae), *hard = archive_entry_hardlink(ae),
               *soft = archive_entry_symlink(ae);
    struct mio_env_entry *e = MIO_NEW(c->arena, struct mio_env_entry);
    if (!raw || path_of(c->arena, raw, &e->path, err))
        return err->code ? err->code : mio_fail(err, MIO_REALITY, "a layer has a nameless entry");
    if (!e->path.n || whiteout(c, e->path))
        return MIO_OK;
    e->mode = (unsigned)archive_entry_perm(ae) & 07777;
    e->uid = (unsigned)archive_entry_uid(ae);
    e->gid = (unsigned)archive_entry_gid(ae);
    if (hard) {
        e->type = MIO_ENTRY_HARDLINK;
        if (path_of(c->arena, hard, &e->link, err))
            return err->code;
    } else if (soft) {
        e->type = MIO_ENTRY_SYMLINK;
        e->link = mio_arena_str(c->arena, mio_str_z(soft));
    } else if (archive_entry_filetype(ae) == AE_IFDIR) {
        e->type = MIO_ENTRY_DIR;
    } else if (archive_entry_filetype(ae) == AE_IFREG) {
        e->type = MIO_ENTRY_FILE;
        if (digest(ar, c->arena, e, err))
            return err->code;
    } else {
        return MIO_OK; /* devices and pipes: no package brings one, and a root has its own */
    }
    mio_env_content_lay(c, e, 1);
    return MIO_OK;
}

enum mio_code mio_env_content_layer(struct mio_env_content *c, const char *path,
                                    struct mio_err *err)
{
    __attribute__((cleanup(auto_archive))) struct archive *ar = archive_read_new();
    struct archive_entry *ae;
    int rc;
    archive_read_support_filter_all(ar);
    archive_read_support_format_tar(ar);
    archive_read_set_options(ar, "read_concatenated_archives");
    if (archive_read_open_filename(ar, path, CHUNK))
        return broken(ar, err);
    while ((rc = archive_read_next_header(ar, &ae)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        if (take(ar, ae, c, err))
            return mio_err_wrap(err, "%s", path);
    return rc == ARCHIVE_EOF ? MIO_OK : broken(ar, err);
}
