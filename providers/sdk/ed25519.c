/* providers/sdk/ed25519.c: see ed25519.h. */
#include "providers/sdk/ed25519.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/redact.h"
#include "providers/sdk/secret_file.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

struct mio_ed25519 {
    EVP_PKEY *key;
    uint8_t public[MIO_ED25519_KEY];
};

static void free_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void free_ctx(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

static void free_bio(BIO **b)
{
    BIO_free(*b);
}

/* ---- private keys ---- */

/* A key with a passphrase cannot be used: nobody is asked here. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    *(bool *)arg = true;
    return -1;
}

static enum mio_code take(BIO *bio, const char *what, struct mio_ed25519 **out, struct mio_err *err)
{
    bool locked = false;
    __attribute__((cleanup(free_key))) EVP_PKEY *key =
        PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &locked);
    struct mio_ed25519 k = {0};
    size_t n = sizeof k.public;
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key, k.public, &n) != 1) {
        mio_fail(err, MIO_AUTH,
                 locked ? "%s is locked with a passphrase, and nobody is asked for it"
                        : "%s holds no Ed25519 private key in PEM",
                 what);
        return mio_err_hint(err, locked ? "openssl pkey -in LOCKED.pem -out KEY.pem"
                                        : "openssl genpkey -algorithm ed25519 -out KEY.pem");
    }
    uint8_t secret[MIO_ED25519_KEY];
    size_t nsecret = sizeof secret;
    if (EVP_PKEY_get_raw_private_key(key, secret, &nsecret) == 1)
        mio_secret_add((struct mio_str){(const char *)secret, nsecret});
    OPENSSL_cleanse(secret, sizeof secret);
    k.key = key;
    key = NULL;
    *out = mio_alloc(sizeof **out);
    **out = k;
    return MIO_OK;
}

static enum mio_code take_file(const char *path, struct mio_ed25519 **out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = -1;
    if (mio_secret_file_open(path, &fd, err))
        return err->code;
    __attribute__((cleanup(free_bio))) BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    return take(bio, path, out, err);
}

enum mio_code mio_ed25519_open(const char *path, struct mio_str text, struct mio_ed25519 **out,
                               struct mio_err *err)
{
    if (path)
        return take_file(path, out, err);
    __attribute__((cleanup(free_bio))) BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    return take(bio, "the key", out, err);
}

void mio_ed25519_close(struct mio_ed25519 *k)
{
    if (k)
        EVP_PKEY_free(k->key);
    free(k);
}

void mio_ed25519_public(const struct mio_ed25519 *k, uint8_t out[MIO_ED25519_KEY])
{
    memcpy(out, k->public, MIO_ED25519_KEY);
}

/* ---- signatures ---- */

enum mio_code mio_ed25519_sign(const struct mio_ed25519 *k, struct mio_str message,
                               uint8_t out[MIO_ED25519_SIG], struct mio_err *err)
{
    __attribute__((cleanup(free_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = MIO_ED25519_SIG;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) != 1 ||
        EVP_DigestSign(ctx, out, &n, (const uint8_t *)message.p, message.n) != 1 ||
        n != MIO_ED25519_SIG)
        return mio_fail(err, MIO_AUTH, "the key cannot sign");
    return MIO_OK;
}

bool mio_ed25519_verify(const uint8_t key[MIO_ED25519_KEY], struct mio_str message,
                        struct mio_str signature)
{
    __attribute__((cleanup(free_key))) EVP_PKEY *k =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, MIO_ED25519_KEY);
    __attribute__((cleanup(free_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    return k && ctx && signature.n == MIO_ED25519_SIG &&
           EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k) == 1 &&
           EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.n,
                            (const uint8_t *)message.p, message.n) == 1;
}

/* ---- public keys ---- */

static const char ssh_head[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20";                  /* RFC 8709 */
static const char der_head[] = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"; /* RFC 8410 */

static bool after(struct mio_str bytes, const char *head, size_t n, uint8_t out[MIO_ED25519_KEY])
{
    if (bytes.n != n + MIO_ED25519_KEY || memcmp(bytes.p, head, n) != 0)
        return false;
    memcpy(out, bytes.p + n, MIO_ED25519_KEY);
    return true;
}

/* The base64 in it: without PEM's fences, without OpenSSH's type and comment. */
static struct mio_str base64_of(struct mio_str text)
{
    text = mio_str_trim(text);
    if (mio_str_starts(text, "-----BEGIN PUBLIC KEY-----")) {
        ptrdiff_t first = mio_str_find(text, '\n');
        text = mio_str_trim(mio_str_sub(text, first < 0 ? text.n : (size_t)first, text.n));
    } else if (mio_str_starts(text, "ssh-ed25519 ")) {
        text = mio_str_trim(mio_str_sub(text, sizeof "ssh-ed25519", text.n));
    }
    size_t n = 0;
    while (n < text.n && !strchr(" \t\r\n", text.p[n]))
        n++;
    return mio_str_sub(text, 0, n);
}

bool mio_ed25519_parse(struct mio_str text, uint8_t out[MIO_ED25519_KEY])
{
    enum { LONGEST = 128 };
    struct mio_arena a;
    struct mio_str bytes, digits = base64_of(text);
    if (digits.n == 0 || digits.n > LONGEST)
        return false;
    mio_arena_init(&a);
    bool ok = mio_unbase64(&a, digits, &bytes) &&
              (after(bytes, "", 0, out) || after(bytes, ssh_head, sizeof ssh_head - 1, out) ||
               after(bytes, der_head, sizeof der_head - 1, out));
    mio_arena_free(&a);
    return ok;
}

struct mio_str mio_ed25519_fingerprint(struct mio_arena *a, const uint8_t key[MIO_ED25519_KEY])
{
    uint8_t blob[sizeof ssh_head - 1 + MIO_ED25519_KEY], sum[MIO_SHA256_LEN];
    memcpy(blob, ssh_head, sizeof ssh_head - 1);
    memcpy(blob + sizeof ssh_head - 1, key, MIO_ED25519_KEY);
    mio_sha256_of(blob, sizeof blob, sum);
    struct mio_str text = mio_base64(a, sum, sizeof sum);
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    return mio_arena_printf(a, "SHA256:%.*s", MIO_FMT(text));
}
