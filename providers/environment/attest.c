/* providers/environment/attest.c: SLSA provenance, DSSE, Ed25519. */
#include "providers/environment/attest.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include <openssl/evp.h>
#include <openssl/pem.h>

#define TYPE_PAYLOAD "application/vnd.in-toto+json"

static void put_material(struct mio_buf *b, const char *kind, struct mio_str name,
                         struct mio_str version, struct mio_str sha256)
{
    if (b->n && b->p[b->n - 1] == '}')
        mio_buf_char(b, ',');
    mio_buf_printf(b, "{\"digest\":{\"sha256\":\"%.*s\"},\"name\":\"%s/%.*s@%.*s\"}",
                   MIO_FMT(sha256), kind, MIO_FMT(name), MIO_FMT(version));
}

/* Names and versions come from a checked lock; they are read back below, so that nothing can slip
 * into the JSON. */
static enum mio_code statement(struct mio_arena *a, const struct mio_env_lock *l,
                               struct mio_str *out, struct mio_err *err)
{
    MIO_AUTO_BUF materials;
    MIO_AUTO_BUF b;
    struct mio_str manifest = mio_get_str(l->sealed, "manifest");
    mio_buf_init(&materials, 0);
    mio_buf_init(&b, 0);
    if (!mio_str_starts(manifest, "sha256:"))
        return mio_fail(err, MIO_STATE, "the lock is not sealed: build the environment first");
    for (size_t i = 0; i < l->n_packages; i++)
        put_material(&materials, "deb", l->packages[i].name, l->packages[i].version,
                     l->packages[i].sha256);
    for (size_t i = 0; i < l->n_wheels; i++)
        put_material(&materials, "wheel", l->wheels[i].name, l->wheels[i].version,
                     l->wheels[i].sha256);
    mio_buf_printf(
        &b,
        "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicate\":{\"buildDefinition\":{"
        "\"buildType\":\"urn:mlops-iac:environment:v1\",\"externalParameters\":{\"inputs\":\"%.*"
        "s\","
        "\"name\":\"%.*s\"},\"resolvedDependencies\":[%.*s]},\"runDetails\":{\"builder\":{\"id\":"
        "\"urn:mlops-iac:" MIO_VERSION "\"}}},\"predicateType\":\"https://slsa.dev/provenance/v1\","
        "\"subject\":[{\"digest\":{\"sha256\":\"%.*s\"},\"name\":\"%.*s\"}]}",
        MIO_FMT(l->inputs), MIO_FMT(l->name), MIO_FMT(mio_buf_view(&materials)),
        MIO_FMT(mio_str_sub(manifest, 7, manifest.n)), MIO_FMT(l->name));
    struct mio_value v;
    *out = mio_arena_str(a, mio_buf_view(&b));
    if (mio_json_read(a, *out, NULL, &v, err))
        return mio_err_wrap(err, "the lock holds names that cannot be told");
    return MIO_OK;
}

static void auto_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void auto_ctx(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

/* The signature is over "DSSEv1 LENGTH TYPE LENGTH PAYLOAD". */
static enum mio_code sign(const char *key_file, struct mio_str payload, uint8_t out[64],
                          struct mio_err *err)
{
    FILE *f = fopen(key_file, "re");
    __attribute__((cleanup(auto_key))) EVP_PKEY *key =
        f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    __attribute__((cleanup(auto_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (f)
        fclose(f);
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
        mio_fail(err, MIO_AUTH, "%s holds no Ed25519 private key in PEM", key_file);
        return mio_err_hint(err, "openssl genpkey -algorithm ed25519 -out KEY.pem");
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, "DSSEv1 %zu %s %zu ", strlen(TYPE_PAYLOAD), TYPE_PAYLOAD, payload.n);
    mio_buf_str(&b, payload);
    size_t n = 64;
    if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, out, &n, (const unsigned char *)b.p, b.n) != 1 || n != 64)
        return mio_fail(err, MIO_AUTH, "the key cannot sign");
    return MIO_OK;
}

enum mio_code mio_env_attest(struct mio_arena *a, const struct mio_env_lock *lock,
                             const char *key_file, struct mio_str *out, struct mio_err *err)
{
    struct mio_str payload;
    uint8_t signature[64];
    if (statement(a, lock, &payload, err) || sign(key_file, payload, signature, err))
        return err->code;
    *out = mio_arena_printf(a,
                            "{\"payload\":\"%.*s\",\"payloadType\":\"" TYPE_PAYLOAD
                            "\",\"signatures\":[{\"sig\":\"%.*s\"}]}\n",
                            MIO_FMT(mio_base64(a, payload.p, payload.n)),
                            MIO_FMT(mio_base64(a, signature, sizeof signature)));
    return MIO_OK;
}
