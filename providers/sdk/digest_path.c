/* providers/sdk/digest_path.c: what a file or a folder holds, as one digest. See digest.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"

enum { DEEPEST = 64 };

static enum mio_code file_digest(const char *path, uint8_t out[MIO_SHA256_LEN], struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot read %s", path);
    MIO_AUTO_FREE char *chunk = mio_alloc(1 << 16);
    struct mio_sha256 *s = mio_sha256_new();
    mio_sha256_start(s);
    for (;;) {
        ssize_t n = read(fd, chunk, 1 << 16);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            mio_fail_sys(err, errno, "cannot read %s", path);
        if (n <= 0)
            break;
        mio_sha256_add(s, chunk, (size_t)n);
    }
    mio_sha256_end(s, out);
    mio_sha256_free(s);
    return err->code;
}

/* One line a file: type, size, digest, path. The type is x for executables, so that a mode change
 * counts. */
static enum mio_code describe(struct mio_arena *a, struct mio_buf *lines, const char *path,
                              struct mio_str rel, int depth, struct mio_err *err)
{
    struct stat st;
    if (depth > DEEPEST)
        return mio_fail(err, MIO_TEMPLATE, "%s is nested more than %d folders deep", path, DEEPEST);
    if (lstat(path, &st) != 0)
        return mio_fail_sys(err, errno, "cannot read %s", path);
    uint8_t digest[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = readlink(path, target, sizeof target);
        if (n < 0)
            return mio_fail_sys(err, errno, "cannot read the link %s", path);
        mio_sha256_of(target, (size_t)n, digest);
        mio_hex(digest, sizeof digest, hex);
        mio_buf_printf(lines, "l %zd %s %.*s\n", n, hex, MIO_FMT(rel));
        return MIO_OK;
    }
    if (S_ISREG(st.st_mode)) {
        if (file_digest(path, digest, err))
            return err->code;
        mio_hex(digest, sizeof digest, hex);
        mio_buf_printf(lines, "%c %lld %s %.*s\n", st.st_mode & 0100 ? 'x' : 'f',
                       (long long)st.st_size, hex, MIO_FMT(rel));
        return MIO_OK;
    }
    if (!S_ISDIR(st.st_mode))
        return mio_fail(err, MIO_TEMPLATE, "%s is neither file, folder nor link", path);
    struct mio_str *names;
    size_t n;
    if (mio_fs_list(a, path, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct mio_str child = mio_arena_printf(a, "%s/%.*s", path, MIO_FMT(names[i]));
        struct mio_str below =
            rel.n ? mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(rel), MIO_FMT(names[i])) : names[i];
        if (describe(a, lines, child.p, below, depth + 1, err))
            return err->code;
    }
    return MIO_OK;
}

enum mio_code mio_digest_path(struct mio_arena *a, const char *path, struct mio_str *out,
                              struct mio_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return mio_fail(err, MIO_TEMPLATE, "%s does not exist", path);
    uint8_t digest[MIO_SHA256_LEN];
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        if (file_digest(path, digest, err))
            return err->code;
    } else {
        MIO_AUTO_BUF lines = {0};
        struct mio_arena scratch;
        mio_arena_init(&scratch);
        /* A link to a folder is followed at the top only. */
        struct mio_str top = mio_arena_printf(&scratch, "%s/.", path);
        describe(&scratch, &lines, top.p, MIO_STR(""), 0, err);
        mio_arena_free(&scratch);
        if (err->code)
            return err->code;
        mio_sha256_of(lines.n ? lines.p : "", lines.n, digest);
    }
    char hex[MIO_SHA256_HEX + 1];
    mio_hex(digest, sizeof digest, hex);
    *out = mio_arena_printf(a, "sha256:%s", hex);
    return MIO_OK;
}
