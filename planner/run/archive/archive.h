/* planner/run/archive/archive.h: an archive from the network into a folder; what the files of this
 * program share.
 *
 * Never: redirects to other origins, a certificate that does not hold, a path outside of the
 * folder, links, devices, more than the budget. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

enum {
    MIO_ARCHIVE_MAX_FILES = 20000,
    MIO_ARCHIVE_MAX_DEPTH = 32,
    MIO_ARCHIVE_MAX_PATH = 1024,
    MIO_ARCHIVE_MAX_MIB = 64,   /* as it comes over the network */
    MIO_ARCHIVE_UNPACKED = 256, /* MiB of all files together */
};

/* Downloads an https address into the open file fd, at most MIO_ARCHIVE_MAX_MIB. Errors: MIO_AUTH
 * (certificate, 401, 403), MIO_TRANSIENT (no answer), MIO_TEMPLATE (not there, redirected to
 * another origin, too large). */
enum mio_code mio_archive_download(struct mio_arena *a, const char *url, int fd,
                                   struct mio_err *err);
/* Unpacks a tar (plain, gzip, bzip2, xz, zstd) or zip from fd into an empty folder. Errors:
 * MIO_TEMPLATE (no archive, broken, unsafe, too large), MIO_IO. */
enum mio_code mio_archive_unpack(int fd, const char *into, struct mio_err *err);
