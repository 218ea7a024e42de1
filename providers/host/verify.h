/* providers/host/verify.h: is this file the plugin that the lock file names? */
#pragma once
#include "providers/sdk/err.h"

/* Opens a plugin file (no symlink) read-only and checks it: regular, owned by root or the user, not
 * writable by others, digest equal to `sha256` unless that is "". *fd is the caller's. What is
 * loaded through this very descriptor is what was checked. Errors: MIO_PROVIDER (absent, altered,
 * unsafe), MIO_IO. */
enum mio_code mio_plugin_open(const char *path, struct mio_str sha256, int *fd,
                              struct mio_err *err);
/* SHA-256 of an open file, 64 hex digits and a NUL. */
enum mio_code mio_plugin_digest_fd(int fd, const char *path, char hex[65], struct mio_err *err);
