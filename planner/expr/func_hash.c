/* planner/expr/func_hash.c: digests, passwords, UUIDs. */
#include "planner/expr/func.h"
#include "planner/expr/text.h"
#include "providers/sdk/digest.h"
#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { MAX_DIGEST = 64 };

static enum mio_code digest(struct mio_call *c, const char *algorithm, struct mio_str s,
                            bool base64, struct mio_value *out)
{
    uint8_t md[MAX_DIGEST];
    size_t n = 0;
    if (!EVP_Q_digest(NULL, algorithm, NULL, s.p, s.n, md, &n))
        return mio_fail(c->err, MIO_IO, "OpenSSL offers no %s", algorithm);
    if (base64) {
        *out = mio_string(mio_base64(c->a, md, n));
        return MIO_OK;
    }
    char *hex = mio_arena_alloc(c->a, 2 * n + 1);
    mio_hex(md, n, hex);
    *out = mio_string((struct mio_str){hex, 2 * n});
    return MIO_OK;
}

/* One row a pair of functions: of a text and of a file. */
#define DIGESTS(X)                                    \
    X(md5, filemd5, "MD5", false)                     \
    X(sha1, filesha1, "SHA1", false)                  \
    X(sha256, filesha256, "SHA256", false)            \
    X(sha512, filesha512, "SHA512", false)            \
    X(base64sha256, filebase64sha256, "SHA256", true) \
    X(base64sha512, filebase64sha512, "SHA512", true)
#define DEFINE(of_text, of_file, algorithm, base64)                           \
    enum mio_code mio_fn_##of_text(struct mio_call *c, struct mio_value *out) \
    {                                                                         \
        return digest(c, algorithm, mio_value_str(c->args[0]), base64, out);  \
    }                                                                         \
    enum mio_code mio_fn_##of_file(struct mio_call *c, struct mio_value *out) \
    {                                                                         \
        struct mio_str s;                                                     \
        enum mio_code code = mio_call_file(c, 0, &s);                         \
        return code ? code : digest(c, algorithm, s, base64, out);            \
    }
DIGESTS(DEFINE)

/* Another salt every time, so the value is not known before apply. */
enum mio_code mio_fn_bcrypt(struct mio_call *c, struct mio_value *out)
{
    int64_t cost = 10;
    struct crypt_data data = {0};
    char seed[16], setting[64];
    if (c->n > 1 && (!mio_value_i64(c->args[1], &cost) || cost > 31))
        return mio_call_fail(c, 1, NULL, "the cost is a whole number of at most 31");
    if (c->n > 2)
        return mio_call_fail(c, 2, NULL, "at most one cost can be given");
    if (mio_value_str(c->args[0]).n > 72)
        return mio_call_fail(c, 0, NULL, "bcrypt takes at most 72 bytes");
    if (c->scope->planning) {
        *out = mio_unknown(MIO_STRING);
        return MIO_OK;
    }
    cost = cost < 4 ? 10 : cost; /* less than bcrypt allows means the default */
    mio_random(seed, sizeof seed);
    char *z = mio_arena_z(c->a, mio_value_str(c->args[0]));
    if (!crypt_gensalt_rn("$2a$", (unsigned long)cost, seed, sizeof seed, setting,
                          sizeof setting) ||
        !crypt_rn(z, setting, &data, sizeof data))
        return mio_fail(c->err, MIO_IO, "the crypt library offers no bcrypt");
    *out = mio_string(mio_arena_str(c->a, mio_str_z(data.output)));
    explicit_bzero(&data, sizeof data);
    return MIO_OK;
}

/* ---- RSA ---- */

static void key_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void ctx_free(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static EVP_PKEY *read_key(struct mio_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

/* PKCS#1 v1.5, the Base64 text that `openssl rsautl -encrypt` and cloud consoles give. */
enum mio_code mio_fn_rsadecrypt(struct mio_call *c, struct mio_value *out)
{
    struct mio_str secret;
    if (!mio_unbase64(c->a, mio_value_str(c->args[0]), &secret))
        return mio_call_fail(c, 0, NULL, "this is no Base64 text");
    __attribute__((cleanup(key_free))) EVP_PKEY *key = read_key(mio_value_str(c->args[1]));
    if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_RSA)
        return mio_call_fail(c, 1, NULL, "this is no RSA private key in PEM form");
    __attribute__((cleanup(ctx_free))) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t n = (size_t)EVP_PKEY_size(key);
    uint8_t *plain = mio_arena_alloc(c->a, n + 1);
    if (!ctx || EVP_PKEY_decrypt_init(ctx) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_decrypt(ctx, plain, &n, (const uint8_t *)secret.p, secret.n) <= 0)
        return mio_call_fail(c, 0, NULL, "it cannot be decrypted with this key");
    struct mio_str s = {(const char *)plain, n};
    if (!mio_str_utf8(s))
        return mio_call_fail(c, 0, NULL, "the plain text is no UTF-8");
    *out = mio_string(mio_text_nfc(c->a, s));
    return MIO_OK;
}

/* ---- UUIDs ---- */

static struct mio_str uuid_text(struct mio_arena *a, uint8_t id[16], int version)
{
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    char hex[33];
    mio_hex(id, 16, hex);
    return mio_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                            hex + 20);
}

enum mio_code mio_fn_uuid(struct mio_call *c, struct mio_value *out)
{
    uint8_t id[16];
    if (c->scope->planning) {
        *out = mio_unknown(MIO_STRING);
        return MIO_OK;
    }
    mio_random(id, sizeof id);
    *out = mio_string(uuid_text(c->a, id, 4));
    return MIO_OK;
}

static bool read_uuid(struct mio_str s, uint8_t id[16])
{
    char hex[33];
    size_t n = 0;
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (s.p[i] == '-'))
            return false;
        if (!dash)
            hex[n++] = s.p[i];
    }
    return mio_unhex((struct mio_str){hex, n}, id, 16);
}

enum mio_code mio_fn_uuidv5(struct mio_call *c, struct mio_value *out)
{
    /* The four name spaces of RFC 4122 differ in one digit. */
    static const struct {
        const char *name;
        uint8_t last;
    } SPACES[] = {{"dns", 0x10}, {"url", 0x11}, {"oid", 0x12}, {"x500", 0x14}};
    uint8_t id[16], md[MAX_DIGEST];
    struct mio_str space = mio_value_str(c->args[0]), name = mio_value_str(c->args[1]);
    bool known = read_uuid(space, id);
    for (size_t i = 0; !known && i < 4; i++) {
        if (!mio_str_is(space, SPACES[i].name))
            continue;
        read_uuid(MIO_STR("6ba7b800-9dad-11d1-80b4-00c04fd430c8"), id);
        id[3] = SPACES[i].last;
        known = true;
    }
    if (!known)
        return mio_call_fail(c, 0, "it is dns, url, oid, x500 or a UUID",
                             "this is no name space of UUIDs");
    char *all = mio_arena_alloc(c->a, 16 + name.n);
    size_t n = 0;
    memcpy(all, id, 16);
    memcpy(all + 16, name.p, name.n);
    if (!EVP_Q_digest(NULL, "SHA1", NULL, all, 16 + name.n, md, &n))
        return mio_fail(c->err, MIO_IO, "OpenSSL offers no SHA1");
    *out = mio_string(uuid_text(c->a, md, 5));
    return MIO_OK;
}
