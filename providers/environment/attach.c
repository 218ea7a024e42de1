/* providers/environment/attach.c: attestations in a registry, in cosign's layout: a manifest under
 * sha256-DIGEST.att with one layer for each envelope, annotated with the kind of its predicate. */
#include "providers/environment/attest.h"
#include "providers/environment/registry.h"

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define TYPE_ENVELOPE "application/vnd.dsse.envelope.v1+json"

enum mio_code mio_env_attach(struct mio_arena *a, const struct mio_env_store *s,
                             const struct mio_env_registry *r, const struct mio_env_lock *lock,
                             const char *key_file, const char **tag, struct mio_err *err)
{
    struct mio_str blobs[MIO_ENV_PREDICATES + 1], text, hex = mio_get_str(lock->sealed, "manifest");
    MIO_AUTO_BUF ids;
    MIO_AUTO_BUF layers;
    size_t sent;
    mio_buf_init(&ids, 0);
    mio_buf_init(&layers, 0);
    for (int p = 0; p < MIO_ENV_PREDICATES; p++) {
        const char *comma = p ? "," : "";
        if (mio_env_attest(a, lock, (enum mio_env_predicate)p, key_file, &text, err) ||
            mio_env_store_put(a, s, text, &blobs[p], err))
            return err->code;
        mio_buf_printf(&ids, "%s\"sha256:%.*s\"", comma, MIO_FMT(blobs[p]));
        mio_buf_printf(&layers,
                       "%s{\"annotations\":{\"dev.cosignproject.cosign/signature\":\"\","
                       "\"predicateType\":\"%s\"},\"digest\":\"sha256:%.*s\","
                       "\"mediaType\":\"" TYPE_ENVELOPE "\",\"size\":%zu}",
                       comma, mio_env_predicate_type((enum mio_env_predicate)p), MIO_FMT(blobs[p]),
                       text.n);
    }
    text = mio_arena_printf(a,
                            "{\"architecture\":\"\",\"config\":{},\"os\":\"\",\"rootfs\":{"
                            "\"diff_ids\":[%.*s],\"type\":\"layers\"}}",
                            MIO_FMT(mio_buf_view(&ids)));
    if (mio_env_store_put(a, s, text, &blobs[MIO_ENV_PREDICATES], err))
        return err->code;
    struct mio_str manifest = mio_arena_printf(
        a,
        "{\"config\":{\"digest\":\"sha256:%.*s\",\"mediaType\":\"" TYPE_CONFIG "\",\"size\":%zu},"
        "\"layers\":[%.*s],\"mediaType\":\"" TYPE_MANIFEST "\",\"schemaVersion\":2}",
        MIO_FMT(blobs[MIO_ENV_PREDICATES]), text.n, MIO_FMT(mio_buf_view(&layers)));
    *tag = mio_arena_printf(a, "sha256-%.*s.att", MIO_FMT(mio_str_sub(hex, 7, hex.n))).p;
    return mio_env_push_manifest(a, s, r, *tag, blobs, MIO_ENV_PREDICATES + 1, manifest, &sent,
                                 err);
}
