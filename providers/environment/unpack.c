/* providers/environment/unpack.c: .deb, wheel and compressed index, through libarchive. */
#include "providers/environment/unpack.h"
#include "providers/environment/archive.h"
#include "providers/environment/elf.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHUNK = 1 << 16, MAX_ENTRIES = 2000000 };
static const uint64_t max_content = 64ull << 30;

static enum mio_code broken(struct archive *ar, struct mio_err *err)
{
    const char *why = archive_error_string(ar);
    return mio_fail(err, MIO_REALITY, "the archive is broken: %s", why ? why : "no reason given");
}

enum mio_code mio_env_inflate(struct mio_arena *a, const struct mio_env_store *s, const char *path,
                              struct mio_str sha256, uint64_t size, struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = archive_read_new();
    struct archive_entry *e;
    archive_read_support_filter_all(ar);
    archive_read_support_format_raw(ar);
    if (archive_read_open_filename(ar, path, CHUNK) || archive_read_next_header(ar, &e))
        return broken(ar, err);
    const char *tmp = mio_env_store_tmp(a, s);
    MIO_AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot make %s", tmp);
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    uint64_t total = 0, got = 0;
    la_ssize_t n;
    while (!err->code && total <= size && (n = archive_read_data(ar, chunk, CHUNK)) != 0) {
        if (n < 0)
            broken(ar, err);
        else
            mio_fs_write_all(fd, chunk, (size_t)n, tmp, err);
        total += (uint64_t)(n > 0 ? n : 0);
    }
    struct mio_str hex = {0};
    if (!err->code && !mio_env_file_sha256(a, tmp, &hex, &got, err) && !mio_str_eq(hex, sha256))
        mio_fail(err, MIO_IO, "an index does not match its digest after unpacking");
    if (!err->code && rename(tmp, mio_env_store_blob(a, s, sha256)))
        mio_fail_sys(err, errno, "cannot move %s into the store", tmp);
    if (err->code)
        unlink(tmp);
    return err->code;
}

/* Copies the content of the current entry into the spool, digesting it on the way. */
static enum mio_code take_content(struct archive *ar, struct mio_env_tree *t,
                                  struct mio_env_entry *e, struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct mio_sha256 *sha = mio_sha256_new();
    mio_sha256_start(sha);
    e->offset = t->spool.size;
    la_ssize_t n;
    while (!err->code && (n = archive_read_data(ar, chunk, CHUNK)) != 0) {
        if (n < 0)
            broken(ar, err);
        else if (t->spool.size + (uint64_t)n > max_content)
            mio_fail(err, MIO_REALITY, "the archive unpacks to more than 64 GiB");
        else {
            mio_sha256_add(sha, chunk, (size_t)n);
            mio_env_tree_spool(t, chunk, (size_t)n, err);
        }
    }
    e->size = t->spool.size - e->offset;
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(t->arena, MIO_SHA256_HEX + 1);
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    mio_hex(sum, sizeof sum, hex);
    e->sha256 = mio_str_z(hex);
    return err->code ? err->code : mio_env_elf_look(t, e, err);
}

static enum mio_code kind_of(struct archive_entry *ae, struct mio_env_entry *e, struct mio_err *err)
{
    const char *hard = archive_entry_hardlink(ae);
    if (hard) {
        e->type = MIO_ENTRY_HARDLINK;
        return MIO_OK;
    }
    switch (archive_entry_filetype(ae)) {
    case AE_IFREG:
        e->type = MIO_ENTRY_FILE;
        return MIO_OK;
    case AE_IFDIR:
        e->type = MIO_ENTRY_DIR;
        return MIO_OK;
    case AE_IFLNK:
        e->type = MIO_ENTRY_SYMLINK;
        return MIO_OK;
    default:
        return mio_fail(err, MIO_REALITY, "%.*s is a device, pipe or socket", MIO_FMT(e->path));
    }
}

static bool printable(const char *z)
{
    for (; *z; z++)
        if ((unsigned char)*z < 0x20 || *z == 0x7f)
            return false;
    return true;
}

static enum mio_code take_entry(struct archive *ar, struct archive_entry *ae,
                                struct mio_env_tree *t, struct mio_err *err)
{
    const char *name = archive_entry_pathname(ae), *hard = archive_entry_hardlink(ae),
               *soft = archive_entry_symlink(ae);
    struct mio_env_entry e = {.mode = (unsigned)archive_entry_perm(ae),
                              .uid = (unsigned)archive_entry_uid(ae),
                              .gid = (unsigned)archive_entry_gid(ae),
                              .mtime = (int64_t)archive_entry_mtime(ae)};
    if (!name || !mio_env_path(t->arena, mio_str_z(name), &e.path))
        return mio_fail(err, MIO_REALITY, "the archive has an unsafe name: %s", name ? name : "");
    if (!e.path.n)
        return MIO_OK; /* the root itself */
    if (kind_of(ae, &e, err))
        return err->code;
    if (e.mtime < 0)
        e.mtime = 0;
    if (hard && !mio_env_path(t->arena, mio_str_z(hard), &e.link))
        return mio_fail(err, MIO_REALITY, "hard link %.*s has an unsafe target", MIO_FMT(e.path));
    if (e.type == MIO_ENTRY_SYMLINK) {
        if (!soft || !*soft || !printable(soft))
            return mio_fail(err, MIO_REALITY, "symlink %.*s has no sound target", MIO_FMT(e.path));
        e.link = mio_arena_str(t->arena, mio_str_z(soft));
        e.mode = 0777;
    }
    if (archive_entry_xattr_count(ae) || archive_entry_acl_types(ae) > 0)
        return mio_fail(err, MIO_REALITY, "%.*s has extended attributes or ACLs", MIO_FMT(e.path));
    if (t->n >= MAX_ENTRIES)
        return mio_fail(err, MIO_REALITY, "the archive has more than %d entries", MAX_ENTRIES);
    if (e.type == MIO_ENTRY_FILE && take_content(ar, t, &e, err))
        return err->code;
    MIO_PUSH(t->arena, t->items, t->n, t->cap) = e;
    return MIO_OK;
}

static enum mio_code take_all(struct archive *ar, struct mio_env_tree *t, struct mio_err *err)
{
    struct archive_entry *e;
    int rc;
    while ((rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK)
        if (take_entry(ar, e, t, err))
            return err->code;
    return rc == ARCHIVE_EOF ? MIO_OK : broken(ar, err);
}

/* The tar inside an ar member is read as it streams by. */
struct inner {
    struct archive *outer;
    char *chunk;
};

static la_ssize_t read_inner(struct archive *ar, void *arg, const void **p)
{
    struct inner *in = arg;
    la_ssize_t n = archive_read_data(in->outer, in->chunk, CHUNK);
    if (n < 0)
        archive_set_error(ar, EIO, "%s", archive_error_string(in->outer));
    *p = in->chunk;
    return n;
}

static enum mio_code take_member(struct archive *outer, struct mio_env_tree *t, struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct inner in = {outer, chunk};
    MIO_AUTO_ARCHIVE *ar = archive_read_new();
    archive_read_support_filter_gzip(ar);
    archive_read_support_filter_xz(ar);
    archive_read_support_filter_zstd(ar);
    archive_read_support_format_tar(ar);
    if (archive_read_open(ar, &in, NULL, read_inner, NULL))
        return broken(ar, err);
    return take_all(ar, t, err);
}

static enum mio_code take_deb(struct archive *ar, struct mio_env_tree *control,
                              struct mio_env_tree *data, struct mio_err *err)
{
    struct archive_entry *e;
    int seen = 0, rc;
    while ((rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK) {
        struct mio_str name = mio_str_z(archive_entry_pathname(e));
        struct mio_env_tree *t = mio_str_starts(name, "control.tar") ? control
                                 : mio_str_starts(name, "data.tar")  ? data
                                                                     : NULL;
        if (!t)
            continue;
        seen += t == control ? 1 : 16;
        if (take_member(ar, t, err))
            return err->code;
    }
    if (rc != ARCHIVE_EOF)
        return broken(ar, err);
    if (seen != 17)
        return mio_fail(err, MIO_REALITY,
                        "not a Debian package: it needs one control.tar and one data.tar");
    return MIO_OK;
}

static struct archive *reader(int kind)
{
    struct archive *ar = archive_read_new();
    if (kind)
        archive_read_support_format_zip_seekable(ar);
    else
        archive_read_support_format_ar(ar);
    return ar;
}

enum mio_code mio_env_unpack_deb(const char *path, struct mio_env_tree *control,
                                 struct mio_env_tree *data, struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = reader(0);
    if (archive_read_open_filename(ar, path, CHUNK))
        return broken(ar, err);
    return take_deb(ar, control, data, err);
}

enum mio_code mio_env_unpack_zip(const char *path, struct mio_env_tree *data, struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = reader(1);
    if (archive_read_open_filename(ar, path, CHUNK))
        return broken(ar, err);
    return take_all(ar, data, err);
}

enum mio_code mio_env_unpack_conda(const char *path, struct mio_str file, struct mio_env_tree *t,
                                   struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = archive_read_new();
    struct archive_entry *e;
    int rc, seen = 0;
    bool old = mio_str_ends(file, ".tar.bz2");
    if (old) {
        archive_read_support_filter_bzip2(ar);
        archive_read_support_format_tar(ar);
    } else
        archive_read_support_format_zip(ar);
    if (archive_read_open_filename(ar, path, CHUNK))
        return broken(ar, err);
    if (old)
        return take_all(ar, t, err);
    while ((rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK) {
        struct mio_str name = mio_str_z(archive_entry_pathname(e));
        if (!mio_str_ends(name, ".tar.zst"))
            continue;
        seen += mio_str_starts(name, "pkg-") ? 1 : mio_str_starts(name, "info-") ? 16 : 0;
        if (take_member(ar, t, err))
            return err->code;
    }
    if (rc != ARCHIVE_EOF)
        return broken(ar, err);
    return seen == 17 ? MIO_OK
                      : mio_fail(err, MIO_REALITY,
                                 "not a conda package: it needs one pkg and one info archive");
}

enum mio_code mio_env_archive_text(struct mio_arena *a, const char *path, const char *name,
                                   size_t max, struct mio_str *out, bool *found,
                                   struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = archive_read_new();
    struct archive_entry *e;
    int rc;
    *found = false;
    archive_read_support_filter_all(ar);
    archive_read_support_format_tar(ar);
    archive_read_support_format_zip(ar);
    if (archive_read_open_filename(ar, path, CHUNK))
        return broken(ar, err);
    while ((rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK) {
        const char *at = archive_entry_pathname(e), *slash = at ? strchr(at, '/') : NULL;
        if (!slash || strcmp(slash + 1, name) != 0)
            continue;
        MIO_AUTO_FREE char *text = mio_alloc(max + 1);
        la_ssize_t n = archive_read_data(ar, text, max + 1);
        if (n < 0)
            return broken(ar, err);
        if ((size_t)n > max)
            return mio_fail(err, MIO_REALITY, "%s is too long", name);
        *out = mio_arena_str(a, (struct mio_str){text, (size_t)n});
        *found = true;
        return MIO_OK;
    }
    return rc == ARCHIVE_EOF ? MIO_OK : broken(ar, err);
}

enum mio_code mio_env_unpack_memory(const void *p, size_t n, int kind, struct mio_env_tree *control,
                                    struct mio_env_tree *data, struct mio_err *err)
{
    MIO_AUTO_ARCHIVE *ar = reader(kind);
    if (archive_read_open_memory(ar, p, n))
        return broken(ar, err);
    return kind ? take_all(ar, data, err) : take_deb(ar, control, data, err);
}
