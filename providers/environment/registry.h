/* providers/environment/registry.h: images to and from an OCI registry, over verified TLS. */
#pragma once
#include "providers/environment/build.h"

struct mio_env_registry {
    struct mio_str host, name, tag;   /* of HOST[:PORT]/NAME[:TAG|@DIGEST] */
    const char *user, *password, *ca; /* password and ca (a file) may be NULL */
};
/* Splits a reference; name, password and certificates come from MLOPS_IAC_REGISTRY_USER, _PASSWORD
 * and _CA; the tag defaults to "latest". Errors: MIO_USAGE. */
enum mio_code mio_env_registry_parse(struct mio_arena *a, const char *reference,
                                     struct mio_env_registry *out, struct mio_err *err);
/* Sends what the registry does not hold yet (what the repository of the image below holds is lent
 * by it): layers, configuration, and the manifest last, so that
 * a tag never points at half an image. Layers go in chunks: where the connection breaks, the
 * registry is asked how far it came, and the rest is sent. Errors: MIO_AUTH, MIO_REALITY (refused),
 * MIO_TRANSIENT (no answer), MIO_IO. */
enum mio_code mio_env_push(struct mio_arena *a, const struct mio_env_store *s,
                           const struct mio_env_registry *r, const struct mio_env_image *image,
                           size_t *sent, struct mio_err *err);
/* The same for blobs of the store (digests in hex) and a manifest that names them. */
enum mio_code mio_env_push_manifest(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_registry *r, const char *tag,
                                    const struct mio_str *blobs, size_t n, struct mio_str manifest,
                                    size_t *sent, struct mio_err *err);
/* attach.c: signs the sealed image, its provenance and bills of materials, and puts that beside it
 * as cosign does: under the tags sha256-DIGEST.sig and .att; *tag is sha256-DIGEST. Errors: those
 * of mio_env_attest and mio_env_push.
 */
enum mio_code mio_env_attach(struct mio_arena *a, const struct mio_env_store *s,
                             const struct mio_env_registry *r, const struct mio_env_lock *lock,
                             const char *key_file, const char **tag, struct mio_err *err);
/* Digest (hex) of the manifest that the tag stands for, taken from its bytes; *found false when
 * there is none. */
enum mio_code mio_env_remote_manifest(struct mio_arena *a, const struct mio_env_registry *r,
                                      struct mio_str *hex, bool *found, struct mio_err *err);

struct mio_env_remote { /* an image of a registry */
    bool found;
    struct mio_str manifest, manifest_digest;  /* its bytes; hex of them */
    struct mio_str config_digest;              /* hex */
    struct mio_value config, diff_ids, layers; /* the configuration; descriptors of the layers */
    struct mio_str *blobs;                     /* hex: configuration and layers, all in the store */
    size_t n_blobs, cap_blobs, fetched;
};
/* Go's name of Debian's architecture, which images use: armhf is arm. */
struct mio_str mio_env_go_arch(struct mio_str arch);
/* Of an index the manifest for the architecture. Errors: MIO_REALITY, with what there is. */
enum mio_code mio_env_choose(struct mio_arena *a, struct mio_value index, struct mio_str arch,
                             struct mio_str *digest, struct mio_err *err);
/* Brings configuration and (where asked) layers into the store, what is there already left out;
 * `arch` chooses from an index. Errors: as of mio_env_push; MIO_IO when something is not what its
 * digest says. */
enum mio_code mio_env_pull(struct mio_arena *a, const struct mio_env_store *s,
                           const struct mio_env_registry *r, struct mio_str arch, bool layers,
                           struct mio_env_remote *out, struct mio_err *err);
