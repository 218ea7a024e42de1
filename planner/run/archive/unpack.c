/* planner/run/archive/unpack.c: see archive.h. */
#include "planner/run/archive/archive.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

struct unpack {
    struct archive *ar;
    const char *into;
    char *chunk;
    size_t files, entries, bytes;
    struct mio_err *err;
};

static enum mio_code broken(struct unpack *u)
{
    const char *why = archive_error_string(u->ar);
    mio_fail(u->err, MIO_TEMPLATE, "the archive is broken or cut off");
    return mio_err_cause(u->err, "%s", why ? why : "no reason given");
}

/* What the name of an entry may be: relative, no "..", no control byte. */
static enum mio_code check_name(struct mio_str name, struct mio_err *err)
{
    size_t depth = 1;
    bool bad = name.n == 0 || name.p[0] == '/';
    for (size_t i = 0; i < name.n && !bad; i++) {
        struct mio_str rest = mio_str_sub(name, i, name.n);
        bool starts = i == 0 || name.p[i - 1] == '/';
        bad = (unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f || name.p[i] == '\\' ||
              (starts && (mio_str_is(rest, "..") || mio_str_starts(rest, "../")));
        depth += name.p[i] == '/';
    }
    if (bad)
        return mio_fail(err, MIO_TEMPLATE, "the archive has an entry that leaves its folder: %.*s",
                        MIO_FMT(mio_str_sub(name, 0, 200)));
    if (name.n > MIO_ARCHIVE_MAX_PATH || depth > MIO_ARCHIVE_MAX_DEPTH)
        return mio_fail(err, MIO_TEMPLATE, "the archive has a path that is too long or too deep");
    return MIO_OK;
}

static enum mio_code write_file(struct unpack *u, const char *path, mode_t mode)
{
    MIO_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0 && errno == EEXIST)
        return mio_fail(u->err, MIO_TEMPLATE, "the archive has an entry twice: %s",
                        path + strlen(u->into) + 1);
    if (fd < 0)
        return mio_fail_sys(u->err, errno, "cannot make %s", path);
    la_ssize_t n;
    while ((n = archive_read_data(u->ar, u->chunk, CHUNK)) > 0) {
        u->bytes += (size_t)n;
        if (u->bytes > (size_t)MIO_ARCHIVE_UNPACKED << 20)
            return mio_fail(u->err, MIO_TEMPLATE, "the archive unpacks to more than %d MiB",
                            MIO_ARCHIVE_UNPACKED);
        if (mio_fs_write_all(fd, u->chunk, (size_t)n, path, u->err))
            return u->err->code;
    }
    u->files++;
    return n < 0 ? broken(u) : MIO_OK;
}

static enum mio_code take(struct unpack *u, struct archive_entry *e)
{
    const char *z = archive_entry_pathname(e);
    struct mio_str name = mio_str_z(z ? z : "");
    mode_t type = archive_entry_filetype(e);
    char path[4096];
    if (++u->entries > MIO_ARCHIVE_MAX_FILES)
        return mio_fail(u->err, MIO_TEMPLATE, "the archive has more than %d entries",
                        MIO_ARCHIVE_MAX_FILES);
    if (check_name(name, u->err))
        return u->err->code;
    if (archive_entry_hardlink(e) || (type != AE_IFREG && type != AE_IFDIR)) {
        mio_fail(u->err, MIO_TEMPLATE, "the archive holds a link or device: %.*s",
                 MIO_FMT(mio_str_sub(name, 0, 200)));
        return mio_err_hint(u->err, "A module is folders and files alone.");
    }
    if ((size_t)snprintf(path, sizeof path, "%s/%.*s", u->into, MIO_FMT(name)) >= sizeof path)
        return mio_fail(u->err, MIO_TEMPLATE, "the archive has a path that is too long");
    if (type == AE_IFDIR)
        return mio_fs_mkdirs(path, 0755, u->err);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (mio_fs_mkdirs(path, 0755, u->err))
        return u->err->code;
    *slash = '/';
    return write_file(u, path, archive_entry_perm(e) & 0100 ? 0755 : 0644);
}

static struct archive *reader(void)
{
    struct archive *ar = archive_read_new();
    archive_read_support_filter_gzip(ar);
    archive_read_support_filter_bzip2(ar);
    archive_read_support_filter_xz(ar);
    archive_read_support_filter_zstd(ar);
    archive_read_support_format_tar(ar);
    archive_read_support_format_zip_seekable(ar);
    return ar;
}

enum mio_code mio_archive_unpack(int fd, const char *into, struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct unpack u = {.ar = reader(), .into = into, .chunk = chunk, .err = err};
    struct archive_entry *e;
    int rc = archive_read_open_fd(u.ar, fd, CHUNK);
    bool first = true;
    while (rc == ARCHIVE_OK && (rc = archive_read_next_header(u.ar, &e)) == ARCHIVE_OK) {
        first = false;
        if (take(&u, e))
            break;
    }
    if (!err->code && rc != ARCHIVE_EOF) {
        if (first) {
            mio_fail(err, MIO_TEMPLATE, "what came is no tar or zip archive");
            mio_err_cause(err, "%s", archive_error_string(u.ar));
            mio_err_hint(err, "A git repository is git::https://HOST/REPOSITORY.git.");
        } else {
            broken(&u);
        }
    }
    if (!err->code && u.files == 0)
        mio_fail(err, MIO_TEMPLATE, "the archive holds no files");
    archive_read_free(u.ar);
    return err->code;
}
