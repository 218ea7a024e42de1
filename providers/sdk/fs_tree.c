/* providers/sdk/fs_tree.c: removing and copying trees, by descriptor so that no symlink is
 * followed. See fs.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

static bool dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

enum { REFILLED_TRIES = 100, REFILLED_MS = 20 };

static enum mio_code remove_at(int dir, const char *name, struct mio_err *err);

static enum mio_code empty_dir(int dir, const char *name, struct mio_err *err)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MIO_OK : mio_fail_sys(err, errno, "cannot remove %s", name);
    fchmod(fd, 0700); /* assets are kept read-only */
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return mio_fail_sys(err, ENOMEM, "cannot remove %s", name);
    }
    for (struct dirent *e; !err->code && (e = readdir(d)) != NULL;)
        if (!dots(e->d_name))
            remove_at(fd, e->d_name, err);
    closedir(d);
    return err->code;
}

/* Others may remove the same, or for a moment still write into it: processes that have been killed.
 */
static enum mio_code remove_at(int dir, const char *name, struct mio_err *err)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return MIO_OK;
    if (errno != EISDIR && errno != EPERM)
        return mio_fail_sys(err, errno, "cannot remove %s", name);
    for (int tries = 0;; tries++) {
        if (empty_dir(dir, name, err) || unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return err->code;
        if (errno != ENOTEMPTY || tries == REFILLED_TRIES)
            return mio_fail_sys(err, errno, "cannot remove %s", name);
        mio_sleep_ms(REFILLED_MS);
    }
}

enum mio_code mio_fs_remove_tree(const char *path, struct mio_err *err)
{
    return remove_at(AT_FDCWD, path, err);
}

static enum mio_code copy_file(int from, const struct stat *st, int dir, const char *name,
                               struct mio_err *err)
{
    mode_t mode = st->st_mode & 0100 ? 0755 : 0644;
    MIO_AUTO_CLOSE int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (to < 0)
        return mio_fail_sys(err, errno, "cannot create %s", name);
    MIO_AUTO_FREE char *chunk = mio_alloc(1 << 16);
    for (;;) {
        ssize_t n = read(from, chunk, 1 << 16);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mio_fail_sys(err, errno, "cannot read %s", name);
        if (n == 0)
            return MIO_OK;
        if (mio_fs_write_all(to, chunk, (size_t)n, name, err))
            return err->code;
    }
}

static enum mio_code copy_at(int from_dir, const char *from, int to_dir, const char *to,
                             struct mio_err *err);

static enum mio_code copy_dir(int from, int to_dir, const char *to, struct mio_err *err)
{
    if (mkdirat(to_dir, to, 0755) != 0 && errno != EEXIST)
        return mio_fail_sys(err, errno, "cannot create folder %s", to);
    MIO_AUTO_CLOSE int out = openat(to_dir, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int again = dup(from);
    DIR *d = out >= 0 && again >= 0 ? fdopendir(again) : NULL;
    if (!d) {
        if (again >= 0)
            close(again);
        return mio_fail_sys(err, errno, "cannot copy folder %s", to);
    }
    for (struct dirent *e; !err->code && (e = readdir(d)) != NULL;)
        if (!dots(e->d_name))
            copy_at(from, e->d_name, out, e->d_name, err);
    closedir(d);
    return err->code;
}

static enum mio_code copy_link(int from_dir, const char *from, int to_dir, const char *to,
                               struct mio_err *err)
{
    char target[4096];
    ssize_t n = readlinkat(from_dir, from, target, sizeof target - 1);
    if (n < 0)
        return mio_fail_sys(err, errno, "cannot read the link %s", from);
    target[n] = '\0';
    return symlinkat(target, to_dir, to) == 0 ? MIO_OK
                                              : mio_fail_sys(err, errno, "cannot create %s", to);
}

static enum mio_code copy_at(int from_dir, const char *from, int to_dir, const char *to,
                             struct mio_err *err)
{
    struct stat st;
    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return mio_fail_sys(err, errno, "cannot read %s", from);
    if (S_ISLNK(st.st_mode))
        return copy_link(from_dir, from, to_dir, to, err);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return mio_fail(err, MIO_IO, "cannot copy %s: neither file, folder nor link", from);
    MIO_AUTO_CLOSE int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return mio_fail_sys(err, errno, "cannot read %s", from);
    return S_ISDIR(st.st_mode) ? copy_dir(in, to_dir, to, err)
                               : copy_file(in, &st, to_dir, to, err);
}

enum mio_code mio_fs_copy_tree(const char *from, const char *to, struct mio_err *err)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str dir = mio_arena_str(&a, mio_path_dir(mio_str_z(to)));
    if (mio_fs_mkdirs(dir.p, 0755, err) == MIO_OK)
        copy_at(AT_FDCWD, from, AT_FDCWD, to, err);
    mio_arena_free(&a);
    return err->code;
}
