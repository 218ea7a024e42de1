/* providers/host/verify.c: see verify.h. */
#include "providers/host/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/host/host.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"

enum mio_code mio_plugin_digest_fd(int fd, const char *path, char hex[65], struct mio_err *err)
{
    enum { CHUNK = 1 << 18 };
    MIO_AUTO_FREE uint8_t *chunk = mio_alloc(CHUNK);
    struct mio_sha256 *sha = mio_sha256_new();
    mio_sha256_start(sha);
    off_t at = 0;
    int bad = 0;
    for (;;) {
        ssize_t got = pread(fd, chunk, CHUNK, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            bad = errno;
        if (got <= 0)
            break;
        mio_sha256_add(sha, chunk, (size_t)got);
        at += got;
    }
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    if (bad)
        return mio_fail_sys(err, bad, "cannot read plugin %s", path);
    mio_hex(sum, sizeof sum, hex);
    return MIO_OK;
}

/* Who could have written the file? */
static enum mio_code check_owner(const char *path, const struct stat *st, struct mio_err *err)
{
    if (!S_ISREG(st->st_mode))
        return mio_fail(err, MIO_PROVIDER, "plugin %s is not a regular file", path);
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        mio_fail(err, MIO_PROVIDER, "plugin %s belongs to another user (uid %u)", path,
                 (unsigned)st->st_uid);
        return mio_err_hint(err, "install the plugin as root or as the user who runs mlops-iac");
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        mio_fail(err, MIO_PROVIDER, "plugin %s can be written by others (mode %04o)", path,
                 (unsigned)(st->st_mode & 07777));
        return mio_err_hint(err, "chmod go-w %s", path);
    }
    return MIO_OK;
}

static enum mio_code check_digest(int fd, const char *path, struct mio_str sha256,
                                  struct mio_err *err)
{
    char hex[65];
    if (mio_plugin_digest_fd(fd, path, hex, err))
        return err->code;
    if (mio_str_is(sha256, hex))
        return MIO_OK;
    mio_fail(err, MIO_PROVIDER, "plugin %s is not the one in the lock file", path);
    mio_err_cause(err, "SHA-256 is %s, recorded is %.*s", hex, MIO_FMT(sha256));
    return mio_err_hint(err,
                        "if you changed it on purpose, run `mlops-iac init -upgrade`; otherwise "
                        "restore the plugin");
}

enum mio_code mio_plugin_open(const char *path, struct mio_str sha256, int *fd, struct mio_err *err)
{
    if (path[0] != '/')
        return mio_fail(err, MIO_PROVIDER, "plugin path %s is not absolute", path);
    MIO_AUTO_CLOSE int f = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (f < 0) {
        int why = errno;
        if (why == ELOOP)
            return mio_fail(err, MIO_PROVIDER, "plugin %s is a symbolic link", path);
        if (why != ENOENT && why != ENOTDIR)
            return mio_fail_sys(err, why, "cannot open plugin %s", path);
        mio_fail(err, MIO_PROVIDER, "plugin %s does not exist", path);
        return mio_err_hint(err,
                            "run `mlops-iac init` to find the plugins and write the lock file");
    }
    struct stat st;
    if (fstat(f, &st) < 0)
        return mio_fail_sys(err, errno, "cannot look at plugin %s", path);
    if (check_owner(path, &st, err) || (sha256.n > 0 && check_digest(f, path, sha256, err)))
        return err->code;
    *fd = f;
    f = -1;
    return MIO_OK;
}

enum mio_code mio_plugin_digest(struct mio_arena *a, const char *path, struct mio_str *hex,
                                struct mio_err *err)
{
    int fd = -1;
    if (mio_plugin_open(path, MIO_STR(""), &fd, err))
        return err->code;
    MIO_AUTO_CLOSE int f = fd;
    char text[65];
    if (mio_plugin_digest_fd(f, path, text, err))
        return err->code;
    *hex = mio_arena_str(a, mio_str_z(text));
    return MIO_OK;
}
