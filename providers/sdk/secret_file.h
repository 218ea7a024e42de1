/* providers/sdk/secret_file.h: files that hold a key. */
#pragma once
#include "providers/sdk/err.h"

/* Opens a key file for reading: regular, of this user or root, closed to everybody else. *fd is the
 * caller's. Errors: MIO_IO, MIO_AUTH, both naming the file. */
enum mio_code mio_secret_file_open(const char *path, int *fd, struct mio_err *err);
