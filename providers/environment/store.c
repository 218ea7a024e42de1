/* providers/environment/store.c: the builder's folder of content. */
#include "providers/environment/store.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

static const char *const folders[] = {"tmp", "blobs/sha256", "cells", "indices", "layers"};

/* What killed builds left: all of tmp/, and files on their way into the other folders. The
 * descriptor stays open on purpose: the lock ends with the process. */
static void sweep(struct mio_arena *a, const char *root)
{
    struct mio_err ignored = {0};
    const char *tmp = mio_arena_printf(a, "%s/tmp", root).p;
    int fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool alone = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    for (size_t f = 0; alone && f < sizeof folders / sizeof *folders; f++) {
        struct mio_str *names = NULL;
        size_t n = 0;
        const char *at = mio_arena_printf(a, "%s/%s", root, folders[f]).p;
        mio_fs_list(a, at, &names, &n, &ignored);
        for (size_t i = 0; i < n; i++)
            if (f == 0 || mio_str_ends(names[i], ".tmp"))
                mio_fs_remove_tree(mio_arena_printf(a, "%s/%.*s", at, MIO_FMT(names[i])).p,
                                   &ignored);
    }
    while (fd >= 0 && flock(fd, LOCK_SH) != 0 && errno == EINTR)
        ;
}

enum mio_code mio_env_store_open(struct mio_arena *a, const char *path, struct mio_env_store *out,
                                 struct mio_err *err)
{
    const char *from_env = getenv("MLOPS_IAC_ENV_STORE"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (!path && from_env && *from_env)
        path = from_env;
    if (!path && cache && *cache == '/')
        path = mio_arena_printf(a, "%s/mlops-iac/env", cache).p;
    if (!path)
        path = mio_arena_printf(a, "%s/.cache/mlops-iac/env", home && *home ? home : "/tmp").p;
    if (path[0] != '/') {
        MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
        path = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(path)).p;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mio_fs_mkdirs(mio_arena_printf(a, "%s/%s", path, folders[i]).p, 0755, err))
            return mio_err_wrap(err, "environment store");
    sweep(a, path);
    out->root = path;
    return MIO_OK;
}

const char *mio_env_partial(struct mio_arena *a, const char *path)
{
    struct mio_str *names, at = mio_str_z(path), dir = mio_path_dir(at);
    struct mio_err ignored = {0};
    size_t n;
    const char *folder = dir.n ? mio_arena_z(a, dir) : ".",
               *prefix = mio_arena_printf(a, "%.*s.partial-", MIO_FMT(mio_path_base(at))).p;
    if (!mio_fs_list(a, folder, &names, &n, &ignored))
        for (size_t i = 0; i < n; i++) {
            uint64_t pid;
            if (mio_str_starts(names[i], prefix) &&
                mio_str_u64(mio_str_sub(names[i], strlen(prefix), names[i].n), &pid) && pid > 1 &&
                kill((pid_t)pid, 0) && errno == ESRCH)
                mio_fs_remove_tree(mio_arena_printf(a, "%s/%.*s", folder, MIO_FMT(names[i])).p,
                                   &ignored);
        }
    return mio_arena_printf(a, "%s.partial-%d", path, (int)getpid()).p;
}

const char *mio_env_store_blob(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_str hex)
{
    return mio_arena_printf(a, "%s/blobs/sha256/%.*s", s->root, MIO_FMT(hex)).p;
}

const char *mio_env_store_tmp(struct mio_arena *a, const struct mio_env_store *s)
{
    uint8_t raw[8];
    char hex[17];
    mio_random(raw, sizeof raw);
    mio_hex(raw, sizeof raw, hex);
    return mio_arena_printf(a, "%s/tmp/%s", s->root, hex).p;
}

struct mio_str mio_env_sha256(struct mio_arena *a, struct mio_str text)
{
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_sha256_of(text.p, text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    return mio_str_z(hex);
}

enum mio_code mio_env_store_put(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str bytes, struct mio_str *hex, struct mio_err *err)
{
    struct mio_str digest = mio_env_sha256(a, bytes);
    const char *path = mio_env_store_blob(a, s, digest);
    if (!mio_fs_exists(path) && mio_fs_replace(path, bytes, 0644, err))
        return err->code;
    *hex = digest;
    return MIO_OK;
}

enum mio_code mio_env_file_sha256(struct mio_arena *a, const char *path, struct mio_str *hex,
                                  uint64_t *size, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot open %s", path);
    MIO_AUTO_FREE char *chunk = mio_alloc(1 << 16);
    struct mio_sha256 *sha = mio_sha256_new();
    uint64_t total = 0;
    ssize_t n;
    mio_sha256_start(sha);
    while ((n = read(fd, chunk, 1 << 16)) > 0) {
        mio_sha256_add(sha, chunk, (size_t)n);
        total += (uint64_t)n;
    }
    int failed = n < 0 ? errno : 0;
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    if (failed)
        return mio_fail_sys(err, failed, "cannot read %s", path);
    char *text = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_hex(sum, sizeof sum, text);
    *hex = mio_str_z(text);
    *size = total;
    return MIO_OK;
}
