/* providers/environment/build.h: an image from a lock. */
#pragma once
#include "providers/environment/layer.h"
#include "providers/environment/view.h"

/* Which bytes a lock gives: one more whenever the same lock gives others than before, so that a
 * seal of an older builder is told from bytes that went wrong. Not for other compressed bytes of
 * the same layers: of those the seal names the encoder (mio_env_codec_check). */
enum { MIO_ENV_BUILDER = 4 };

struct mio_env_build_opts {
    const struct mio_env_store *store;
    const char *dir;    /* the template directory: files are relative to it */
    const char *vendor; /* folder of vendored blobs, or NULL */
    bool offline;       /* fetch nothing */
    bool anew;          /* a Dockerfile is built although the store has what it gave */
    unsigned threads;   /* 0: as many as there are processors */
};
struct mio_env_image {
    struct mio_value base;      /* what it stands on, of an image that others made (base_image.h) */
    struct mio_env_cell *cells; /* in the order in which they are laid */
    size_t n_cells;
    struct mio_env_layer *layers;
    size_t n_layers;
    struct mio_str config, manifest; /* JSON texts */
    struct mio_str config_digest,
        manifest_digest;       /* hex; the former is the environment's identity */
    struct mio_value sealed;   /* what the lock records of it */
    struct mio_arena **arenas; /* of the threads that worked: cells and digests lie in them */
    size_t n_arenas;
};
/* Everything goes into the store; `a` holds the result. Errors: MIO_STATE when what came out is not
 * what the lock's seal says; those of fetch, cell and static mode. */
enum mio_code mio_env_build(struct mio_arena *a, const struct mio_env_build_opts *o,
                            const struct mio_env_lock *lock, struct mio_env_image *out,
                            struct mio_err *err);
/* MIO_STATE when another builder sealed the lock: what it gave is not what this one gives. */
enum mio_code mio_env_seal_current(const struct mio_env_lock *lock, struct mio_err *err);
/* Frees what `a` does not own; an image that was never built is fine. */
void mio_env_image_free(struct mio_env_image *image);
#define MIO_AUTO_IMAGE __attribute__((cleanup(mio_env_image_free))) struct mio_env_image

/* One blob out of the vendored folder, when it is there. */
enum mio_code mio_env_take_vendored(struct mio_arena *a, const struct mio_env_build_opts *o,
                                    struct mio_str sha256, struct mio_err *err);
/* Brings every artefact of the lock into the store (from `vendor` first). */
enum mio_code mio_env_fetch_lock(struct mio_arena *a, const struct mio_env_build_opts *o,
                                 const struct mio_env_lock *lock, struct mio_err *err);

/* oci.c: config and manifest of the layers. */
enum mio_code mio_env_oci_describe(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, struct mio_env_image *image,
                                   struct mio_err *err);
/* The variables of its processes, "NAME=VALUE": those of the image below, and the declared ones. */
struct mio_value mio_env_variables(struct mio_arena *a, const struct mio_env_lock *lock);
/* How processes start in what the lock stands on (base_image.h); an empty map when that is nothing.
 */
struct mio_value mio_env_run_of(const struct mio_env_lock *lock);
/* The media type of a manifest. */
const char *mio_env_manifest_type(struct mio_arena *a, struct mio_str manifest);
struct mio_env_oci { /* what a layout is made of; the blobs lie in the store */
    struct mio_str name, manifest, manifest_digest;
    const struct mio_str *blobs; /* hex; without the manifest */
    size_t n_blobs;
    bool lent; /* to a program of ours, inside the store: its blobs are links */
};
/* As mio_env_oci_layout, of any image. */
enum mio_code mio_env_oci_write(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_oci *image, const char *path,
                                struct mio_err *err);
/* An OCI image layout at `path`, which must not exist: whole, or not there. Errors: MIO_IO,
 * MIO_USAGE. */
enum mio_code mio_env_oci_layout(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_image *image,
                                 const char *path, struct mio_err *err);
/* root.c: a root file system at `path`, which must not exist: whole, or not there. Owners are set
 * where the caller may set them. */
enum mio_code mio_env_root(struct mio_arena *a, const struct mio_env_image *image, const char *path,
                           struct mio_err *err);
/* files.c: declared files as a cell. Errors: MIO_STATE when they are not what was locked. */
enum mio_code mio_env_files(struct mio_arena *a, const struct mio_env_build_opts *o,
                            const struct mio_env_lock *lock, struct mio_env_cell *out,
                            struct mio_err *err);
