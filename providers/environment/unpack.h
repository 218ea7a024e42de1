/* providers/environment/unpack.h: archives into trees. What comes out has safe names and kinds,
 * whatever the archive held: no absolute or climbing path, no device, no extended attribute. */
#pragma once
#include "providers/environment/tree.h"

/* Uncompresses a file into the store and checks what came out. Errors: MIO_IO. */
enum mio_code mio_env_inflate(struct mio_arena *a, const struct mio_env_store *s, const char *path,
                              struct mio_str sha256, uint64_t size, struct mio_err *err);
/* Reads a .deb: both trees must be initialised. Errors: MIO_REALITY (not a package, unsafe),
 * MIO_IO. */
enum mio_code mio_env_unpack_deb(const char *path, struct mio_env_tree *control,
                                 struct mio_env_tree *data, struct mio_err *err);
/* Reads a zip file (a wheel). Errors as above. */
enum mio_code mio_env_unpack_zip(const char *path, struct mio_env_tree *data, struct mio_err *err);
/* Reads a conda package of either kind, told by its file's name: what is packed and info/. Errors
 * as above. */
enum mio_code mio_env_unpack_conda(const char *path, struct mio_str file, struct mio_env_tree *t,
                                   struct mio_err *err);
/* Text of the file NAME/`name` of a source archive (tar or zip), which lies one folder deep. Errors
 * as above; MIO_REALITY too when it is longer than `max`. */
enum mio_code mio_env_archive_text(struct mio_arena *a, const char *path, const char *name,
                                   size_t max, struct mio_str *out, bool *found,
                                   struct mio_err *err);
/* The same from memory, for the fuzz target: kind 0 is .deb, 1 is zip. */
enum mio_code mio_env_unpack_memory(const void *p, size_t n, int kind, struct mio_env_tree *control,
                                    struct mio_env_tree *data, struct mio_err *err);
