/* providers/environment/sandbox.h: maintainer scripts, run for real in a box without network, and
 * what they changed as a cell. */
#pragma once
#include "providers/environment/build.h"

/* Configures every package of the image as laid so far and gives the difference. It is cached by
 * what went in: whether scripts give the same twice is for `verify` to find out. Errors:
 * MIO_REALITY (a script failed: the package's name and its last words; something came out that an
 * image cannot hold), MIO_IO (bubblewrap is missing, no right to be several users). */
enum mio_code mio_env_sandbox(struct mio_arena *a, const struct mio_env_store *s,
                              const struct mio_env_lock *lock, const struct mio_env_spec *spec,
                              const struct mio_env_image *im, struct mio_env_cell *out,
                              struct mio_err *err);
