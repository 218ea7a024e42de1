/* providers/environment/base_image.h: an image that others made, as what an environment stands on.
 *
 * Its layers stay as they are, byte for byte: blobs of the store that are checked by digest once
 * and read where they lie. In a lock it is the map
 *
 *   {reference, manifest, config: "sha256:HEX", layers: [{digest, diff_id, size, type}],
 *    distribution, packages: [{name, version, arch}], python: {interpreter, version},
 *    run: {Env, Entrypoint, Cmd, WorkingDir, User}}
 *
 * A Dockerfile's result is such a map too, without a reference. */
#pragma once
#include "providers/environment/inspect.h"
#include "providers/environment/registry.h"

/* Finds what the spec's image stands for now (or, where `keep` holds it, stood for), brings all of
 * it into the store and looks into it; sets l->image, l->epoch, and in l->config the Python that
 * wheels are for. `reference` is HOST/NAME[:TAG|@DIGEST], NAME of Docker's own registry, or
 * oci:FOLDER[:NAME]. Errors: MIO_REALITY (gone, no file system, nothing for the architecture,
 * unsafe layers), MIO_AUTH, MIO_TRANSIENT, MIO_IO (not what its digest says). */
enum mio_code mio_env_base_lock(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_spec *spec, const char *dir,
                                const struct mio_env_keep *keep, struct mio_env_lock *l,
                                struct mio_err *err);
/* Brings one reference into the store and tells what it is: the map above, without a look inside.
 * Errors: as above. */
enum mio_code mio_env_base_find(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str reference, struct mio_str arch, const char *dir,
                                struct mio_value *image, struct mio_err *err);
/* Whether a map of a lock is whole. */
bool mio_env_base_sound(struct mio_value image);
/* Brings what the store lacks: out of the vendored folder, or from where the image was. Errors: as
 * above. */
enum mio_code mio_env_base_fetch(struct mio_arena *a, const struct mio_env_build_opts *o,
                                 struct mio_str name, struct mio_value image, struct mio_err *err);
/* Hex of everything that it is made of: manifest, configuration, layers. */
void mio_env_base_blobs(struct mio_arena *a, struct mio_value image, struct mio_str **out,
                        size_t *n);
/* When it says that it was made, to the second; 0 where it says nothing of use. */
int64_t mio_env_base_created(struct mio_arena *a, struct mio_value config);
/* What a lock stands on: its image, or what its Dockerfile gave when it was sealed; null. */
struct mio_value mio_env_below(const struct mio_env_lock *lock);
/* A manifest of its own for an image, in the store. */
enum mio_code mio_env_manifest_of(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_str *hex, struct mio_err *err);
/* Its layers, each with one cell. Errors: MIO_REALITY (broken, unsafe, or not what the diff ID
 * says). */
enum mio_code mio_env_base_layers(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_env_layer **out, size_t *n,
                                  struct mio_err *err);
/* Its configuration. */
enum mio_code mio_env_base_config(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_value *out,
                                  struct mio_err *err);
/* Whether the lock adds nothing to its image: then the environment is that image. */
bool mio_env_base_alone(const struct mio_env_lock *lock);
/* Whether the tag stands for another image than was locked: hex of what it stands for now. Errors:
 * as of mio_env_pull. */
enum mio_code mio_env_base_moved(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const char *dir, bool *moved,
                                 struct mio_str *now, struct mio_err *err);
/* Where wheels would take the place of files of the image: whiteouts for what an older version of
 * the same package left, as a cell; out->n is 0 when there is none. Errors: MIO_REALITY when one of
 * our own paths lies behind a link of the image. */
enum mio_code mio_env_base_replaced(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_lock *lock, const struct mio_env_image *im,
                                    size_t n_base, struct mio_env_cell *out, struct mio_err *err);

/* base_layout.c: an image of an OCI layout on disk; its blobs are copied into the store, checked.
 * Errors: MIO_REALITY, MIO_IO. */
enum mio_code mio_env_layout_read(struct mio_arena *a, const struct mio_env_store *s,
                                  const char *folder, struct mio_str name, struct mio_str arch,
                                  struct mio_env_remote *out, struct mio_err *err);

/* base_facts.c: what lies in it: distribution, packages and Python, put into the map. Errors:
 * MIO_IO. */
enum mio_code mio_env_base_facts(struct mio_arena *a, const struct mio_env_layer *layers, size_t n,
                                 struct mio_value config, struct mio_str python_version,
                                 struct mio_value *image, struct mio_err *err);
/* How processes start by an image's configuration: {Env, Entrypoint, Cmd, WorkingDir, User}. */
struct mio_value mio_env_base_run(struct mio_arena *a, struct mio_value config);
/* What wheels are installed for: {version, prefix, glibc} into the map `python` of a declaration.
 * Errors: MIO_TEMPLATE when the image has no such Python. */
enum mio_code mio_env_base_python(struct mio_arena *a, struct mio_value image,
                                  struct mio_value *python, struct mio_err *err);
