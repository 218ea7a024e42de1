/* providers/environment/program/verify.c: env verify. */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a second build, in which everything differs that must not matter ---- */

struct circumstances {
    const char *clock; /* libfaketime, or NULL: it is not installed */
    bool user;         /* another one, as the program sees it */
};

/* What makes a program believe in another time. A sanitizer's runtime does not let itself be
 * preceded by it. */
static const char *find_clock(struct mio_arena *a)
{
#ifdef __SANITIZE_ADDRESS__
    (void)a;
    return NULL;
#else
    static const char folder[] = "/usr/lib";
    struct mio_str *names;
    struct mio_err ignored = {0};
    size_t n = 0;
    if (mio_fs_list(a, folder, &names, &n, &ignored))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const char *path =
            mio_arena_printf(a, "%s/%.*s/faketime/libfaketimeMT.so.1", folder, MIO_FMT(names[i])).p;
        if (mio_fs_exists(path))
            return path;
    }
    return NULL;
#endif
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* In the child: user 4321 in a user namespace of its own, which keeps this user's access to files.
 */
static void be_another(void *arg)
{
    char line[64];
    unsigned uid = geteuid(), gid = getegid();
    umask(077);
    if (!*(const bool *)arg || unshare(CLONE_NEWUSER))
        return;
    snprintf(line, sizeof line, "4321 %u 1", uid);
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "4321 %u 1", gid);
    put("/proc/self/gid_map", line);
}

/* Whether this system lets be_another be another. */
static bool can_be_another(void)
{
    const bool yes = true;
    pid_t pid = fork();
    int status = 1;
    if (!pid) {
        be_another((void *)(uintptr_t)&yes);
        _exit(geteuid() == 4321 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

/* Inputs come from the first store by hash. */
static enum mio_code rebuild(struct mio_env_cli *c, const char *lock, const char *folder,
                             const char *inputs, const struct circumstances *other)
{
    struct mio_arena *a = &c->arena;
    const char *self = mio_arena_alloc(a, 4096);
    ssize_t n = readlink("/proc/self/exe", (char *)(uintptr_t)self, 4095);
    if (n <= 0)
        return mio_fail(&c->err, MIO_IO, "cannot find this program's own file");
    ((char *)(uintptr_t)self)[n] = 0;
    const char *const argv[] = {self,
                                "build",
                                "-offline",
                                mio_arena_printf(a, "-lock=%s", lock).p,
                                mio_arena_printf(a, "-dir=%s", c->dir).p,
                                mio_arena_printf(a, "-store=%s/store", folder).p,
                                mio_arena_printf(a, "-out=%s/image", folder).p,
                                mio_arena_printf(a, "-vendor=%s", inputs).p,
                                sysconf(_SC_NPROCESSORS_ONLN) > 1 ? "-threads=1" : "-threads=3",
                                NULL};
    const char *env[9] = {"TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "HOME=/nonexistent",
                          "PATH=/usr/bin:/bin"};
    if (other->clock) {
        env[4] = mio_arena_printf(a, "LD_PRELOAD=%s", other->clock).p;
        env[5] = "FAKETIME=@2031-05-06 07:08:09";
        env[6] = "FAKETIME_DONT_FAKE_MONOTONIC=1";
        env[7] = "NO_FAKE_STAT=1"; /* the clock, not what files say of themselves */
    }
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 16);
    int status = 0;
    struct mio_proc_opts o = {.argv = argv,
                              .env = env,
                              .cwd = folder,
                              .in = -1,
                              .prepare = be_another,
                              .prepare_arg = (void *)(uintptr_t)&other->user};
    mio_proc_run(&o, mio_now_ms() + 3600 * 1000, &said, &status, &c->err);
    if (!c->err.code && status)
        return mio_fail(&c->err, MIO_STATE, "the second build failed: %.*s",
                        MIO_FMT(mio_str_trim(mio_buf_view(&said))));
    return c->err.code;
}

/* Every file of one layout against the other, by name and content. */
static enum mio_code compare(struct mio_env_cli *c, const char *x, const char *y)
{
    struct mio_arena *a = &c->arena;
    static const char *const folders[] = {".", "blobs/sha256"};
    for (size_t f = 0; f < 2; f++) {
        struct mio_str *names[2], hex[2];
        size_t n[2];
        uint64_t size;
        for (size_t k = 0; k < 2; k++)
            if (mio_fs_list(a, mio_arena_printf(a, "%s/%s", k ? y : x, folders[f]).p, &names[k],
                            &n[k], &c->err))
                return c->err.code;
        bool same = n[0] == n[1];
        for (size_t i = 0; i < n[0] && same; i++) {
            same = mio_str_eq(names[0][i], names[1][i]);
            for (size_t k = 0; k < 2 && same; k++) {
                const char *path =
                    mio_arena_printf(a, "%s/%s/%.*s", k ? y : x, folders[f], MIO_FMT(names[0][i]))
                        .p;
                if (!mio_fs_is_dir(path) && mio_env_file_sha256(a, path, &hex[k], &size, &c->err))
                    return c->err.code;
                if (k && !mio_fs_is_dir(path))
                    same = mio_str_eq(hex[0], hex[1]);
            }
        }
        if (!same)
            return mio_fail(&c->err, MIO_STATE, "the two builds differ: compare %s and %s", x, y);
    }
    return MIO_OK;
}

enum mio_code mio_env_verb_verify(struct mio_env_cli *c)
{
    struct mio_arena *a = &c->arena;
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    const char *path;
    if (mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(a, c->store_path, &store, &c->err) ||
        mio_env_cli_build(c, &store, &lock, &im))
        return c->err.code;
    if (!mio_is_null(lock.build))
        return mio_env_cli_prove(c, &store, &lock, path, &im);
    const char *folder = mio_env_store_tmp(a, &store),
               *inputs = mio_arena_printf(a, "%s/blobs", store.root).p,
               *one = mio_arena_printf(a, "%s/one", folder).p,
               *two = mio_arena_printf(a, "%s/image", folder).p,
               *copy = mio_arena_printf(a, "%s/lock.json", folder).p;
    struct circumstances other = {.clock = find_clock(a)};
    /* Only root can be the several users that scripts want. */
    other.user = mio_env_scripts_of(lock.config) != MIO_SCRIPTS_SANDBOX && can_be_another();
    MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
    c->dir = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(c->dir)).p;
    if (!mio_fs_mkdirs(folder, 0755, &c->err) && !mio_env_lock_write(a, copy, &lock, &c->err) &&
        !mio_env_oci_layout(a, &store, &lock, &im, one, &c->err) &&
        !rebuild(c, copy, folder, inputs, &other))
        compare(c, one, two);
    if (!c->err.code || c->err.code != MIO_STATE) {
        struct mio_err ignored = {0};
        mio_fs_remove_tree(folder, &ignored);
    }
    if (!c->err.code)
        mio_buf_printf(&c->out,
                       "verified: two builds gave sha256:%.*s, byte for byte\n"
                       "the second: another folder, umask, time zone, language, number of "
                       "threads%s%s\n",
                       MIO_FMT(im.config_digest), other.user ? ", user" : "",
                       other.clock ? ", clock" : " (the same clock: faketime is not installed)");
    return c->err.code;
}
