/* providers/environment/store.c: the builder's folder of content. */
#include "providers/environment/store.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
    static const char *const folders[] = {"blobs/sha256", "cells", "indices", "layers", "tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mio_fs_mkdirs(mio_arena_printf(a, "%s/%s", path, folders[i]).p, 0755, err))
            return mio_err_wrap(err, "environment store");
    out->root = path;
    return MIO_OK;
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
