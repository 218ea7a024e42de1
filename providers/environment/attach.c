/* providers/environment/attach.c: signature and attestations in a registry, in cosign's layout: of
 * an image with the manifest sha256:DIGEST a manifest under sha256-DIGEST.sig, whose layer says
 * which image it is and bears the signature as an annotation, and one under sha256-DIGEST.att with
 * one layer for each envelope, annotated with the kind of its predicate. */
#include "providers/environment/attest.h"
#include "providers/environment/registry.h"

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define TYPE_ENVELOPE "application/vnd.dsse.envelope.v1+json"
#define TYPE_SIGNED "application/vnd.dev.cosign.simplesigning.v1+json"

/* A manifest in the making: its layers as JSON, and what it names, the configuration last. */
struct attached {
    struct mio_arena *a;
    const struct mio_env_store *s;
    struct mio_buf ids, layers;
    struct mio_str blobs[MIO_ENV_PREDICATES + 1];
    size_t n;
};

/* `annotations` are the rows of a JSON object. */
static enum mio_code add(struct attached *m, const char *type, struct mio_str annotations,
                         struct mio_str text, struct mio_err *err)
{
    const char *comma = m->n ? "," : "";
    struct mio_str *hex = &m->blobs[m->n++];
    if (mio_env_store_put(m->a, m->s, text, hex, err))
        return err->code;
    mio_buf_printf(&m->ids, "%s\"sha256:%.*s\"", comma, MIO_FMT(*hex));
    mio_buf_printf(&m->layers,
                   "%s{\"annotations\":{%.*s},\"digest\":\"sha256:%.*s\",\"mediaType\":\"%s\","
                   "\"size\":%zu}",
                   comma, MIO_FMT(annotations), MIO_FMT(*hex), type, text.n);
    return MIO_OK;
}

static enum mio_code push(struct attached *m, const struct mio_env_registry *r, const char *tag,
                          struct mio_err *err)
{
    size_t sent;
    struct mio_str config =
        mio_arena_printf(m->a,
                         "{\"architecture\":\"\",\"config\":{},\"os\":\"\","
                         "\"rootfs\":{\"diff_ids\":[%.*s],\"type\":\"layers\"}}",
                         MIO_FMT(mio_buf_view(&m->ids)));
    if (mio_env_store_put(m->a, m->s, config, &m->blobs[m->n++], err))
        return err->code;
    struct mio_str manifest = mio_arena_printf(
        m->a,
        "{\"config\":{\"digest\":\"sha256:%.*s\",\"mediaType\":\"" TYPE_CONFIG "\",\"size\":%zu},"
        "\"layers\":[%.*s],\"mediaType\":\"" TYPE_MANIFEST "\",\"schemaVersion\":2}",
        MIO_FMT(m->blobs[m->n - 1]), config.n, MIO_FMT(mio_buf_view(&m->layers)));
    return mio_env_push_manifest(m->a, m->s, r, tag, m->blobs, m->n, manifest, &sent, err);
}

/* What "cosign sign" signs: which image, and where it was put. */
static enum mio_code add_signature(struct attached *m, const struct mio_env_registry *r,
                                   struct mio_str digest, const char *key_file, struct mio_err *err)
{
    struct mio_str text, signature;
    text = mio_arena_printf(m->a,
                            "{\"critical\":{\"identity\":{\"docker-reference\":\"%.*s/%.*s\"},"
                            "\"image\":{\"docker-manifest-digest\":\"%.*s\"},"
                            "\"type\":\"cosign container image signature\"},\"optional\":null}",
                            MIO_FMT(r->host), MIO_FMT(r->name), MIO_FMT(digest));
    if (mio_env_sign(m->a, key_file, text, &signature, err))
        return err->code;
    struct mio_str row = mio_arena_printf(m->a, "\"dev.cosignproject.cosign/signature\":\"%.*s\"",
                                          MIO_FMT(signature));
    return add(m, TYPE_SIGNED, row, text, err);
}

static enum mio_code add_attestations(struct attached *m, const struct mio_env_lock *lock,
                                      const char *key_file, struct mio_err *err)
{
    for (int p = 0; p < MIO_ENV_PREDICATES; p++) {
        struct mio_str text, rows;
        enum mio_env_predicate kind = (enum mio_env_predicate)p;
        if (mio_env_attest(m->a, lock, kind, key_file, &text, err))
            return err->code;
        rows = mio_arena_printf(
            m->a, "\"dev.cosignproject.cosign/signature\":\"\",\"predicateType\":\"%s\"",
            mio_env_predicate_type(kind));
        if (add(m, TYPE_ENVELOPE, rows, text, err))
            return err->code;
    }
    return MIO_OK;
}

enum mio_code mio_env_attach(struct mio_arena *a, const struct mio_env_store *s,
                             const struct mio_env_registry *r, const struct mio_env_lock *lock,
                             const char *key_file, const char **tag, struct mio_err *err)
{
    struct mio_str digest = mio_get_str(lock->sealed, "manifest");
    *tag = mio_arena_printf(a, "sha256-%.*s", MIO_FMT(mio_str_sub(digest, 7, digest.n))).p;
    for (int i = 0; i < 2 && !err->code; i++) {
        struct attached m = {.a = a, .s = s};
        mio_buf_init(&m.ids, 0);
        mio_buf_init(&m.layers, 0);
        const char *full = mio_arena_printf(a, "%s.%s", *tag, i ? "att" : "sig").p;
        if (!(i ? add_attestations(&m, lock, key_file, err)
                : add_signature(&m, r, digest, key_file, err)))
            push(&m, r, full, err);
        mio_buf_free(&m.ids);
        mio_buf_free(&m.layers);
    }
    return err->code;
}
