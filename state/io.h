/* state/io.h: the system calls that write, each behind its fault point (sdk/fault.h). Interrupted
 * calls are repeated. All give 0 or an errno. */
#pragma once
#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

int mio_io_open(int dir, const char *name, int flags, int *fd); /* O_CLOEXEC, O_NOFOLLOW, 0600 */
int mio_io_pwrite(int fd, const void *p, size_t n, uint64_t at);
int mio_io_sync(int fd);     /* fsync */
int mio_io_datasync(int fd); /* fdatasync */
int mio_io_rename(int dir, const char *from, const char *to);
int mio_io_unlink(int dir, const char *name); /* absent is fine */
int mio_io_truncate(int fd, uint64_t n);
int mio_io_reserve(int fd, uint64_t from, uint64_t n); /* posix_fallocate */
