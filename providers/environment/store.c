/* providers/environment/store.c: the builder's folder of content. */
#include "providers/environment/store.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = {"tmp", "blobs/sha256", "cells", "indices", "layers"};
enum { TMP_BYTES = 8 }; /* of randomness in a name under tmp/ */

/* A name that mio_env_store_tmp gave, or one made beside it. */
static bool is_own(struct mio_str name)
{
    const size_t digits = (size_t)2 * TMP_BYTES;
    for (size_t i = 0; i < digits && i < name.n; i++)
        if (!strchr("0123456789abcdef", name.p[i]))
            return false;
    return name.n == digits || (name.n > digits && name.p[digits] == '.');
}

/* What killed builds left: in tmp/, and files on their way into the other folders. The
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
            if (f == 0 ? is_own(names[i]) : mio_str_ends(names[i], ".tmp"))
                mio_fs_remove_tree(mio_arena_printf(a, "%s/%.*s", at, MIO_FMT(names[i])).p,
                                   &ignored);
    }
    while (fd >= 0 && flock(fd, LOCK_SH) != 0 && errno == EINTR)
        ;
}

/* Nothing of anybody else's is to be mistaken for a store's: it is one already, or there is nothing
 * but what a store, or a file system of its own, has. */
static enum mio_code check_folder(struct mio_arena *a, const char *path, struct mio_err *err)
{
    static const char *const known[] = {"blobs", "cells", "indices",   "layers",
                                        "roots", "tmp",   "lost+found"};
    struct mio_str *names = NULL;
    struct mio_err ignored = {0};
    size_t n = 0;
    if (mio_fs_is_dir(mio_arena_printf(a, "%s/cells", path).p) ||
        mio_fs_list(a, path, &names, &n, &ignored))
        return MIO_OK;
    for (size_t i = 0; i < n; i++) {
        bool ours = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            ours = ours || mio_str_is(names[i], known[k]);
        if (!ours) {
            mio_fail(err, MIO_USAGE, "%s is no store of environments: it holds %.*s", path,
                     MIO_FMT(names[i]));
            return mio_err_hint(err,
                                "name an empty folder, or one that is not there yet: "
                                "-store=%s/mlops-iac",
                                path[1] ? path : "");
        }
    }
    return MIO_OK;
}

/* The user's cache folder; never one that anybody else may have made. */
static const char *own_folder(struct mio_arena *a, struct mio_err *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char text[4096];
    if (cache && *cache == '/')
        return mio_arena_printf(a, "%s/mlops-iac/env", cache).p;
    if ((!home || *home != '/') && !getpwuid_r(geteuid(), &entry, text, sizeof text, &found))
        home = found ? found->pw_dir : NULL;
    if (home && *home == '/')
        return mio_arena_printf(a, "%s/.cache/mlops-iac/env", home).p;
    mio_fail(err, MIO_USAGE,
             "there is no place for the store of environments: this user has no "
             "home");
    mio_err_hint(err, "name a folder: -store=DIR, or MLOPS_IAC_ENV_STORE");
    return NULL;
}

enum mio_code mio_env_store_open(struct mio_arena *a, const char *path, struct mio_env_store *out,
                                 struct mio_err *err)
{
    const char *from_env = getenv("MLOPS_IAC_ENV_STORE");
    if (!path && from_env && *from_env)
        path = from_env;
    if (!path && !(path = own_folder(a, err)))
        return err->code;
    if (path[0] != '/') {
        MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
        path = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(path)).p;
    }
    if (check_folder(a, path, err))
        return err->code;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mio_fs_mkdirs(mio_arena_printf(a, "%s/%s", path, folders[i]).p, 0755, err)) {
            mio_err_wrap(err, "environment store");
            err->hint[0] = 0;
            return mio_err_hint(err, "name another folder: -store=DIR, or MLOPS_IAC_ENV_STORE");
        }
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

bool mio_env_store_has(struct mio_arena *a, const struct mio_env_store *s, struct mio_str hex,
                       uint64_t size)
{
    struct stat st;
    return !stat(mio_env_store_blob(a, s, hex), &st) && S_ISREG(st.st_mode) &&
           (size ? (uint64_t)st.st_size == size : st.st_size > 0);
}

/* SHA-256 of an open file, as hex in the arena; what is read goes to `copy` as well unless that is
 * -1. */
static enum mio_code hash(struct mio_arena *a, int fd, const char *path, int copy,
                          struct mio_str *hex, uint64_t *size, struct mio_err *err)
{
    enum { CHUNK = 1 << 17 };
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct mio_sha256 *sha = mio_sha256_new();
    uint64_t total = 0;
    ssize_t n;
    mio_sha256_start(sha);
    while (!err->code && (n = read(fd, chunk, CHUNK)) != 0) {
        if (n < 0) {
            mio_fail_sys(err, errno, "cannot read %s", path);
            break;
        }
        mio_sha256_add(sha, chunk, (size_t)n);
        total += (uint64_t)n;
        if (copy >= 0)
            mio_fs_write_all(copy, chunk, (size_t)n, "a copy of the store's", err);
    }
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    char *text = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_hex(sum, sizeof sum, text);
    *hex = mio_str_z(text);
    if (size)
        *size = total;
    return err->code;
}

static enum mio_code damaged(const char *path, struct mio_str is, struct mio_err *err)
{
    unlink(path);
    mio_fail(err, MIO_IO, "%s was damaged (SHA-256 is %.*s) and is removed", path, MIO_FMT(is));
    return mio_err_hint(err, "run it again: what the store lacks is fetched");
}

enum mio_code mio_env_store_sound(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_str hex, struct mio_err *err)
{
    const char *path = mio_env_store_blob(a, s, hex);
    struct mio_str is;
    uint64_t size;
    if (mio_env_file_sha256(a, path, &is, &size, err) || mio_str_eq(is, hex))
        return err->code;
    return damaged(path, is, err);
}

enum mio_code mio_env_store_text(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_str hex, size_t max, struct mio_str *out,
                                 struct mio_err *err)
{
    const char *path = mio_env_store_blob(a, s, hex);
    if (mio_fs_read(a, path, max, out, NULL, err))
        return err->code;
    struct mio_str is = mio_env_sha256(a, *out);
    return mio_str_eq(is, hex) ? MIO_OK : damaged(path, is, err);
}

enum mio_code mio_env_store_give(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_str hex, const char *to, struct mio_err *err)
{
    const char *path = mio_env_store_blob(a, s, hex);
    struct mio_str is;
    MIO_AUTO_CLOSE int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return mio_fail_sys(err, errno, "cannot open %s", path);
    MIO_AUTO_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot make %s", to);
    bool cloned = !ioctl(fd, FICLONE, from);
    if (!hash(a, from, path, cloned ? -1 : fd, &is, NULL, err) && !mio_str_eq(is, hex))
        damaged(path, is, err);
    if (err->code)
        unlink(to);
    return err->code;
}

struct mio_str mio_env_stamp(struct mio_arena *a, const char *path)
{
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return (struct mio_str){0};
    return mio_arena_printf(a, "%llx:%llx:%llx.%lx:%llx.%lx", (unsigned long long)st.st_ino,
                            (unsigned long long)st.st_size, (unsigned long long)st.st_mtim.tv_sec,
                            (unsigned long)st.st_mtim.tv_nsec,
                            (unsigned long long)st.st_ctim.tv_sec,
                            (unsigned long)st.st_ctim.tv_nsec);
}

bool mio_env_unchanged(struct mio_arena *a, const char *path, struct mio_str sha256,
                       struct mio_str *stamp)
{
    struct mio_str now = mio_env_stamp(a, path), is;
    struct mio_err ignored = {0};
    uint64_t size;
    if (stamp->n && mio_str_eq(*stamp, now))
        return true;
    *stamp = now;
    return now.n && !mio_env_file_sha256(a, path, &is, &size, &ignored) && mio_str_eq(is, sha256);
}

const char *mio_env_store_tmp(struct mio_arena *a, const struct mio_env_store *s)
{
    uint8_t raw[TMP_BYTES];
    char hex[2 * TMP_BYTES + 1];
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
    struct mio_str was;
    struct mio_err ignored = {0};
    bool found = false;
    if (mio_fs_read(a, path, bytes.n + 1, &was, &found, &ignored) || !found ||
        !mio_str_eq(was, bytes))
        mio_fs_replace(path, bytes, 0644, err);
    if (err->code)
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
    return hash(a, fd, path, -1, hex, size, err);
}
