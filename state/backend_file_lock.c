/* state/backend_file_lock.c: the lock of the file backend: an open-file-description lock.
 *
 * It dies with its holder and, unlike the older POSIX lock, does not fall when another descriptor
 * of the same file is closed. The note in the file is courtesy: it tells people who holds it. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/json.h"
#include "state/file.h"
#include "state/io.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char lock_name[] = "lock";
enum { NOTE_MAX = 4096 };

static int try_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
}

static void read_note(int fd, struct mio_arena *a, struct mio_str *note)
{
    char text[NOTE_MAX];
    ssize_t n = pread(fd, text, sizeof text, 0);
    *note = n > 0 ? mio_arena_str(a, (struct mio_str){text, (size_t)n}) : MIO_STR("");
}

/* A second description of the same file must be refused, else this file system does not lock. */
static enum mio_code probe(struct mio_file_backend *f, struct mio_err *err)
{
    MIO_AUTO_CLOSE int other = -1;
    int e = mio_io_open(f->fd, lock_name, O_RDWR, &other);
    if (e)
        return mio_file_fail(f, e, "open", lock_name, err);
    if (try_lock(other) == EAGAIN)
        return MIO_OK;
    mio_fail(err, MIO_IO, "the file system of %s does not honour locks", f->dir);
    return mio_err_hint(err, "Keep the state on a local file system, or use a remote backend.");
}

/* True when the name still leads to the file that is locked. */
static bool still_there(struct mio_file_backend *f, int fd)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && fstatat(f->fd, lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

static enum mio_code take(struct mio_file_backend *f, struct mio_arena *a, struct mio_str *held,
                          struct mio_err *err)
{
    int e = mio_io_open(f->fd, lock_name, O_RDWR | O_CREAT, &f->lock_fd);
    if (e)
        return mio_file_fail(f, e, "open", lock_name, err);
    e = try_lock(f->lock_fd);
    if (e == EAGAIN || e == EACCES) {
        read_note(f->lock_fd, a, held);
        return mio_fail(err, MIO_LOCKED, "the state is locked");
    }
    if (e) {
        mio_file_fail(f, e, "lock", lock_name, err);
        return mio_err_hint(err, "Keep the state on a local file system, or use a remote backend.");
    }
    if (!still_there(
            f, f->lock_fd)) /* removed between open and lock: whoever made a new one may hold it */
        return mio_fail(err, MIO_LOCKED, "the lock file was replaced");
    return probe(f, err);
}

static void drop(struct mio_file_backend *f)
{
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    f->lock_fd = -1;
}

enum mio_code mio_file_lock(struct mio_backend *b, struct mio_str note, struct mio_arena *a,
                            struct mio_str *held, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    *held = MIO_STR("");
    if (f->fd < 0)
        return MIO_OK; /* no folder, nothing to protect */
    enum mio_code rc = take(f, a, held, err);
    if (rc == MIO_OK) {
        int e = mio_io_truncate(f->lock_fd, 0);
        e = e ? e : mio_io_pwrite(f->lock_fd, note.p, note.n, 0);
        rc = e ? mio_file_fail(f, e, "write", lock_name, err) : MIO_OK;
    }
    if (rc)
        drop(f);
    return rc;
}

void mio_file_unlock(struct mio_backend *b)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    if (f->lock_fd >= 0)
        (void)mio_io_truncate(f->lock_fd,
                              0); /* a note that stays misleads nobody: the lock decides */
    drop(f);
}

enum mio_code mio_file_holder(struct mio_backend *b, struct mio_arena *a, struct mio_str *note,
                              bool *live, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    *note = MIO_STR("");
    *live = false;
    MIO_AUTO_CLOSE int fd =
        f->fd < 0 ? -1 : openat(f->fd, lock_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return f->fd < 0 || errno == ENOENT ? MIO_OK
                                            : mio_file_fail(f, errno, "open", lock_name, err);
    read_note(fd, a, note);
    *live = try_lock(fd) != 0;
    return MIO_OK;
}

enum mio_code mio_file_break_lock(struct mio_backend *b, struct mio_str id, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str held;
    (void)id; /* compared by the caller; the lock below makes sure that the holder is dead */
    enum mio_code rc = take(f, &a, &held, err);
    if (rc == MIO_OK)
        mio_file_unlock(b);
    else
        drop(f);
    mio_arena_free(&a);
    return rc;
}
