/* providers/environment/attest.c: in-toto statements, DSSE, Ed25519 and ECDSA. */
#include "providers/environment/attest.h"
#include "providers/environment/sbom.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define TYPE_PAYLOAD "application/vnd.in-toto+json"
enum { SIGNATURE = 160 };

static void put_material(struct mio_buf *b, const char *kind, struct mio_str name,
                         struct mio_str version, struct mio_str sha256)
{
    if (b->n && b->p[b->n - 1] == '}')
        mio_buf_char(b, ',');
    mio_buf_printf(b, "{\"digest\":{\"sha256\":\"%.*s\"},\"name\":\"%s/%.*s@%.*s\"}",
                   MIO_FMT(sha256), kind, MIO_FMT(name), MIO_FMT(version));
}

static struct mio_str provenance(struct mio_arena *a, const struct mio_env_lock *l)
{
    MIO_AUTO_BUF b;
    MIO_AUTO_BUF materials;
    mio_buf_init(&b, 0);
    mio_buf_init(&materials, 0);
    const struct mio_value *bases = mio_get_z(l->build, "bases");
    for (uint32_t i = 0; i < (bases ? bases->n : !mio_is_null(l->image)); i++) {
        struct mio_value v = bases ? bases->items[i] : l->image;
        struct mio_str image = mio_get_str(v, "manifest");
        put_material(&materials, "image", mio_get_str(v, "reference"), image,
                     mio_str_sub(image, 7, image.n));
    }
    for (size_t i = 0; i < l->n_packages; i++)
        put_material(&materials, "deb", l->packages[i].name, l->packages[i].version,
                     l->packages[i].sha256);
    for (size_t i = 0; i < l->n_wheels; i++)
        put_material(&materials, "wheel", l->wheels[i].name, l->wheels[i].version,
                     l->wheels[i].sha256);
    mio_buf_printf(&b,
                   "{\"buildDefinition\":{\"buildType\":\"urn:mlops-iac:environment:v1\","
                   "\"externalParameters\":{\"inputs\":\"%.*s\",\"name\":\"%.*s\"},"
                   "\"resolvedDependencies\":[%.*s]},\"runDetails\":{\"builder\":{\"id\":"
                   "\"urn:mlops-iac:" MIO_VERSION "\"}}}",
                   MIO_FMT(l->inputs), MIO_FMT(l->name), MIO_FMT(mio_buf_view(&materials)));
    return mio_arena_str(a, mio_buf_view(&b));
}

static const struct {
    const char *type;
    struct mio_str (*make)(struct mio_arena *a, const struct mio_env_lock *lock);
} predicates[] = {
    [MIO_ENV_PROVENANCE] = {"https://slsa.dev/provenance/v1", provenance},
    [MIO_ENV_SPDX] = {"https://spdx.dev/Document", mio_env_spdx},
    [MIO_ENV_CYCLONEDX] = {"https://cyclonedx.org/bom", mio_env_cyclonedx},
};

const char *mio_env_predicate_type(enum mio_env_predicate p)
{
    return predicates[p].type;
}

/* Names and versions come from a checked lock; they are read back below, so that nothing can slip
 * into the JSON. */
static enum mio_code statement(struct mio_arena *a, const struct mio_env_lock *l,
                               enum mio_env_predicate p, struct mio_str *out, struct mio_err *err)
{
    struct mio_str manifest = mio_get_str(l->sealed, "manifest");
    struct mio_value v;
    if (!mio_str_starts(manifest, "sha256:")) {
        mio_fail(err, MIO_STATE, "the lock of %.*s is not sealed", MIO_FMT(l->name));
        return mio_err_hint(err, "build the environment first: 'env build' seals its lock");
    }
    *out =
        mio_arena_printf(a,
                         "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicate\":%.*s,"
                         "\"predicateType\":\"%s\",\"subject\":[{\"digest\":{\"sha256\":\"%.*s\"},"
                         "\"name\":\"%.*s\"}]}",
                         MIO_FMT(mio_str_trim(predicates[p].make(a, l))), predicates[p].type,
                         MIO_FMT(mio_str_sub(manifest, 7, manifest.n)), MIO_FMT(l->name));
    return mio_json_read(a, *out, NULL, &v, err)
               ? mio_err_wrap(err, "the lock holds names that cannot be told")
               : MIO_OK;
}

static void auto_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void auto_ctx(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

static enum mio_code open_key(const char *path, EVP_PKEY **out, struct mio_err *err)
{
    FILE *f = fopen(path, "re");
    EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    int kind = key ? EVP_PKEY_get_base_id(key) : 0;
    if (kind == EVP_PKEY_ED25519 || (kind == EVP_PKEY_EC && EVP_PKEY_get_bits(key) >= 256)) {
        *out = key;
        return MIO_OK;
    }
    EVP_PKEY_free(key);
    mio_fail(err, MIO_AUTH, "%s holds no Ed25519 or ECDSA private key in PEM", path);
    return mio_err_hint(err, "openssl genpkey -algorithm ed25519 -out KEY.pem");
}

/* In base64; ECDSA signs the message's SHA-256. */
static enum mio_code sign(struct mio_arena *a, EVP_PKEY *key, struct mio_str message,
                          struct mio_str *out, struct mio_err *err)
{
    __attribute__((cleanup(auto_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *digest = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? "SHA256" : NULL;
    uint8_t signature[SIGNATURE];
    size_t n = SIGNATURE;
    if (EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) != 1 ||
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)message.p, message.n) != 1)
        return mio_fail(err, MIO_AUTH, "the key cannot sign");
    *out = mio_base64(a, signature, n);
    return MIO_OK;
}

enum mio_code mio_env_sign(struct mio_arena *a, const char *key_file, struct mio_str message,
                           struct mio_str *out, struct mio_err *err)
{
    __attribute__((cleanup(auto_key))) EVP_PKEY *key = NULL;
    return open_key(key_file, &key, err) ? err->code : sign(a, key, message, out, err);
}

/* SHA-256 of the public key as X.509 has it. */
static struct mio_str key_id(struct mio_arena *a, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    struct mio_str id =
        mio_env_sha256(a, (struct mio_str){(const char *)der, n > 0 ? (size_t)n : 0});
    OPENSSL_free(der);
    return id;
}

enum mio_code mio_env_attest(struct mio_arena *a, const struct mio_env_lock *lock,
                             enum mio_env_predicate predicate, const char *key_file,
                             struct mio_str *out, struct mio_err *err)
{
    struct mio_str payload, signature;
    MIO_AUTO_BUF b; /* "DSSEv1 LENGTH TYPE LENGTH PAYLOAD" */
    mio_buf_init(&b, 0);
    __attribute__((cleanup(auto_key))) EVP_PKEY *key = NULL;
    if (open_key(key_file, &key, err) || statement(a, lock, predicate, &payload, err))
        return err->code;
    mio_buf_printf(&b, "DSSEv1 %zu %s %zu ", strlen(TYPE_PAYLOAD), TYPE_PAYLOAD, payload.n);
    mio_buf_str(&b, payload);
    if (sign(a, key, mio_buf_view(&b), &signature, err))
        return err->code;
    *out = mio_arena_printf(a,
                            "{\"payload\":\"%.*s\",\"payloadType\":\"" TYPE_PAYLOAD
                            "\",\"signatures\":[{\"keyid\":\"%.*s\",\"sig\":\"%.*s\"}]}\n",
                            MIO_FMT(mio_base64(a, payload.p, payload.n)), MIO_FMT(key_id(a, key)),
                            MIO_FMT(signature));
    return MIO_OK;
}
