/* state/io.c: see io.h. */
#include "state/io.h"
#include "providers/sdk/fault.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* A fault of EINTR is met as the kernel's would be: by trying again. */
static int fault(const char *point)
{
    int e;
    do
        e = mio_fault(point);
    while (e == EINTR);
    return e;
}

int mio_io_open(int dir, const char *name, int flags, int *fd)
{
    int e = fault("open");
    if (e)
        return e;
    do
        *fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? errno : 0;
}

int mio_io_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
    const char *from = p;
    while (n) {
        int e = fault("write");
        if (e > 0)
            return e;
        ssize_t done = pwrite(fd, from, e == MIO_FAULT_SHORT ? (n + 1) / 2 : n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? errno : EIO;
        from += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return 0;
}

static int sync_with(int (*call)(int), int fd)
{
    int e = fault("fsync");
    if (e)
        return e;
    while (call(fd) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

int mio_io_sync(int fd)
{
    return sync_with(fsync, fd);
}

int mio_io_datasync(int fd)
{
    return sync_with(fdatasync, fd);
}

int mio_io_rename(int dir, const char *from, const char *to)
{
    int e = fault("rename");
    return e ? e : renameat(dir, from, dir, to) == 0 ? 0 : errno;
}

int mio_io_unlink(int dir, const char *name)
{
    int e = fault("unlink");
    return e ? e : unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : errno;
}

int mio_io_truncate(int fd, uint64_t n)
{
    int e = fault("write");
    return e > 0 ? e : ftruncate(fd, (off_t)n) == 0 ? 0 : errno;
}

int mio_io_reserve(int fd, uint64_t from, uint64_t n)
{
    int e = fault("write");
    if (e > 0)
        return e;
    do
        e = posix_fallocate(fd, (off_t)from, (off_t)n);
    while (e == EINTR);
    return e;
}
