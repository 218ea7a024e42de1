/* providers/sdk/fs.c: reading, replacing and listing files. See fs.h; whole trees are in fs_tree.c.
 */
#include "providers/sdk/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"

enum mio_code mio_fs_read(struct mio_arena *a, const char *path, size_t max, struct mio_str *out,
                          bool *found, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && found) {
        *found = false;
        return MIO_OK;
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return mio_fail_sys(err, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode))
        return mio_fail(err, MIO_IO, "cannot read %s: it is not a regular file", path);
    if (st.st_size < 0 || (size_t)st.st_size > max)
        return mio_fail(err, MIO_IO, "%s is larger than the %zu bytes allowed for it", path, max);
    size_t size = (size_t)st.st_size, n = 0;
    char *p = mio_arena_alloc(a, size + 1);
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mio_fail_sys(err, errno, "cannot read %s", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    p[n] = '\0';
    if (found)
        *found = true;
    *out = (struct mio_str){p, n};
    return MIO_OK;
}

enum mio_code mio_fs_write_all(int fd, const void *p, size_t n, const char *what,
                               struct mio_err *err)
{
    const char *at = p;
    while (n) {
        int fault = mio_fault("write");
        size_t take = fault == MIO_FAULT_SHORT ? (n + 1) / 2 : n;
        ssize_t put = fault > 0 ? -1 : write(fd, at, take);
        int errnum = fault > 0 ? fault : errno;
        if (put < 0 && errnum == EINTR)
            continue;
        if (put < 0)
            return mio_fail_sys(err, errnum, "cannot write %s", what);
        at += put;
        n -= (size_t)put;
    }
    return MIO_OK;
}

enum mio_code mio_fs_sync_dir(const char *path, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fault = mio_fault("fsync");
    if (fd < 0 || fault || fsync(fd) != 0)
        return mio_fail_sys(err, fault ? fault : errno, "cannot make %s durable", path);
    return MIO_OK;
}

static enum mio_code write_new(const char *tmp, struct mio_str text, mode_t mode,
                               struct mio_err *err)
{
    int fault = mio_fault("open");
    MIO_AUTO_CLOSE int fd =
        fault ? -1 : open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return mio_fail_sys(err, fault ? fault : errno, "cannot create %s", tmp);
    if (mio_fs_write_all(fd, text.p, text.n, tmp, err))
        return err->code;
    fault = mio_fault("fsync");
    if (fault || fsync(fd) != 0)
        return mio_fail_sys(err, fault ? fault : errno, "cannot make %s durable", tmp);
    int closed = close(fd);
    fd = -1;
    return closed == 0 ? MIO_OK : mio_fail_sys(err, errno, "cannot close %s", tmp);
}

enum mio_code mio_fs_replace(const char *path, struct mio_str text, mode_t mode,
                             struct mio_err *err)
{
    struct mio_arena a;
    uint8_t noise[6];
    char hex[13];
    mio_random(noise, sizeof noise);
    mio_hex(noise, sizeof noise, hex);
    mio_arena_init(&a);
    struct mio_str tmp = mio_arena_printf(&a, "%s.%s.tmp", path, hex);
    struct mio_str dir = mio_arena_str(&a, mio_path_dir(mio_str_z(path)));
    if (write_new(tmp.p, text, mode, err) == MIO_OK) {
        int fault = mio_fault("rename");
        if (fault || rename(tmp.p, path) != 0)
            mio_fail_sys(err, fault ? fault : errno, "cannot replace %s", path);
    }
    if (err->code)
        unlink(tmp.p);
    else
        mio_fs_sync_dir(dir.p, err);
    mio_arena_free(&a);
    return err->code;
}

enum mio_code mio_fs_mkdirs(const char *path, mode_t mode, struct mio_err *err)
{
    enum { AGAIN = 1000 };
    int again = 0;
    MIO_AUTO_FREE char *p = mio_strdup(path);
    for (char *at = p + 1;; at++) {
        if (*at && *at != '/')
            continue;
        char c = *at;
        *at = '\0';
        int no = mkdir(p, mode) == 0 ? 0 : errno;
        if (no && no != EEXIST && (no != ENOENT || again == AGAIN))
            return mio_fail_sys(err, no, "cannot create folder %s", p);
        *at = c;
        if (no ==
            ENOENT) { /* somebody took away an outer folder, empty as it was: from the start */
            again++;
            at = p;
        } else if (!c) {
            break;
        }
    }
    if (!mio_fs_is_dir(path))
        return mio_fail(err, MIO_IO, "%s is not a folder", path);
    return MIO_OK;
}

bool mio_fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool mio_fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_bytes(const void *a, const void *b)
{
    const struct mio_str *x = a, *y = b;
    return mio_str_cmp(*x, *y);
}

enum mio_code mio_fs_list(struct mio_arena *a, const char *path, struct mio_str **names, size_t *n,
                          struct mio_err *err)
{
    DIR *d = opendir(path);
    if (!d)
        return mio_fail_sys(err, errno, "cannot list %s", path);
    struct mio_str *items = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct mio_str name = mio_str_z(e->d_name);
        if (!mio_str_is(name, ".") && !mio_str_is(name, ".."))
            MIO_PUSH(a, items, count, cap) = mio_arena_str(a, name);
    }
    closedir(d);
    if (count)
        qsort(items, count, sizeof *items, by_bytes);
    *names = items;
    *n = count;
    return MIO_OK;
}

struct mio_str mio_path_dir(struct mio_str path)
{
    size_t n = path.n;
    while (n > 0 && path.p[n - 1] != '/')
        n--;
    if (n == 0)
        return MIO_STR(".");
    while (n > 1 && path.p[n - 1] == '/')
        n--;
    return (struct mio_str){path.p, n};
}

struct mio_str mio_path_base(struct mio_str path)
{
    size_t n = path.n;
    while (n > 0 && path.p[n - 1] != '/')
        n--;
    return (struct mio_str){path.p + n, path.n - n};
}

/* Appends one cleaned component to the text of n bytes; gives the new length. */
static size_t component(char *out, size_t n, struct mio_str part, bool absolute)
{
    if (part.n == 0 || mio_str_is(part, "."))
        return n;
    if (mio_str_is(part, "..")) {
        size_t last = n;
        while (last > 0 && out[last - 1] != '/')
            last--;
        bool up = n - last == 2 && out[last] == '.' && out[last + 1] == '.';
        if (n > 0 && !up && !(absolute && n == 1))
            return last > 1 ? last - 1 : last == 1 ? 1 : 0;
        if (absolute)
            return n;
    }
    if (n > 0 && out[n - 1] != '/')
        out[n++] = '/';
    memcpy(out + n, part.p, part.n);
    return n + part.n;
}

struct mio_str mio_path_join(struct mio_arena *a, struct mio_str dir, struct mio_str name)
{
    struct mio_str parts[2] = {dir, name};
    bool only_name = name.n && name.p[0] == '/';
    struct mio_str lead = only_name ? name : dir;
    bool absolute = lead.n && lead.p[0] == '/';
    char *out = mio_arena_alloc(a, dir.n + name.n + 4);
    size_t n = 0;
    if (absolute)
        out[n++] = '/';
    for (size_t k = only_name ? 1 : 0; k < 2; k++) {
        struct mio_str s = parts[k];
        while (s.n) {
            ptrdiff_t slash = mio_str_find(s, '/');
            size_t len = slash < 0 ? s.n : (size_t)slash;
            n = component(out, n, (struct mio_str){s.p, len}, absolute);
            s = mio_str_sub(s, len + 1, s.n);
        }
    }
    if (n == 0)
        out[n++] = '.';
    out[n] = '\0';
    return (struct mio_str){out, n};
}

struct mio_str mio_path_relative(struct mio_arena *a, struct mio_str from, struct mio_str path)
{
    size_t same = 0, ups = 0;
    for (size_t i = 0; i <= from.n; i++) {
        if (i < path.n ? i < from.n && from.p[i] != path.p[i] : i > path.n)
            break;
        if ((i == from.n || from.p[i] == '/') && (i == path.n || path.p[i] == '/'))
            same = i;
    }
    MIO_AUTO_BUF b = {0};
    for (size_t i = same; i < from.n; i++)
        ups += from.p[i] == '/' && i + 1 < from.n;
    while (ups--)
        mio_buf_z(&b, "../");
    mio_buf_str(&b, mio_str_sub(path, same + (same < path.n && path.p[same] == '/'), path.n));
    return mio_arena_str(a, mio_buf_view(&b));
}
