/* providers/environment/dockerfile.h: environments that a Dockerfile makes.
 *
 * What it begins with is locked by digest, its folder by content; buildah does the rest, without a
 * network unless the declaration gives it one. Commands may give other bytes every time: such an
 * environment counts as not proven until `env verify` has built it twice. In a lock:
 *
 *   build: {bases: [image, ...]}, each as base_image.h has it, and in the seal
 *   built: image without a reference, proven: whether a second build gave the same. */
#pragma once
#include "providers/environment/base_image.h"

/* The images that the Dockerfile begins with or copies from, in the order of their first mention:
 * arguments before the first FROM are expanded by their defaults, stages left out. Errors:
 * MIO_TEMPLATE, with the line. */
enum mio_code mio_env_dockerfile_bases(struct mio_arena *a, struct mio_str text,
                                       struct mio_str **out, size_t *n, struct mio_err *err);
/* Locks those images: l->build, l->epoch. Errors: as of mio_env_base_lock; MIO_TEMPLATE. */
enum mio_code mio_env_dockerfile_lock(struct mio_arena *a, const struct mio_env_store *s,
                                      const struct mio_env_spec *spec, const char *dir,
                                      const struct mio_env_keep *keep, struct mio_env_lock *l,
                                      struct mio_err *err);
/* The image that it makes: out of the store when it was built before, unless `o->anew`. Errors:
 * MIO_IO ("install buildah"), MIO_REALITY with buildah's last words, MIO_STATE when the folder is
 * not what was locked. */
enum mio_code mio_env_dockerfile_build(struct mio_arena *a, const struct mio_env_build_opts *o,
                                       const struct mio_env_lock *lock,
                                       const struct mio_env_spec *spec, struct mio_value *image,
                                       struct mio_err *err);
/* buildah.c: runs buildah in a folder of its own: the result is an OCI layout, `out` in it. */
struct mio_env_buildah {
    const char *work;           /* an empty folder, for the caller to remove */
    const char *context, *file; /* the folder, in the state in which it counts; below it the file */
    const struct mio_env_oci *bases; /* name: the reference by which the Dockerfile calls it */
    size_t n_bases;
    int64_t epoch; /* of every file and of the image */
    bool network;
};
enum mio_code mio_env_buildah_run(struct mio_arena *a, const struct mio_env_store *s,
                                  const struct mio_env_buildah *b, struct mio_err *err);
