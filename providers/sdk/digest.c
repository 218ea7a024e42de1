/* providers/sdk/digest.c: see digest.h; digests of files and trees are in digest_path.c. */
#include "providers/sdk/digest.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"

/* ---- OpenSSL out of memory ---- */

static void *crypto_alloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return mio_alloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return mio_realloc(p, n, 1);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

void mio_crypto_setup(void)
{
    (void)CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free);
}

/* What is left when it cannot digest: its configuration, or memory that it does not ask us for. */
static _Noreturn void no_digest(void)
{
    static const char text[] =
        "mlops-iac: OpenSSL cannot compute SHA-256: out of memory, or OPENSSL_CONF is wrong\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored;
    _exit(71);
}

/* ---- digests ---- */

struct mio_sha256 {
    EVP_MD_CTX *ctx;
};

/* Fetching an algorithm costs far more than a short digest, so it is done once. */
static const EVP_MD *sha256(void)
{
    static _Atomic(EVP_MD *) fetched;
    EVP_MD *md = atomic_load(&fetched);
    if (md)
        return md;
    EVP_MD *mine = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!mine)
        no_digest();
    if (!atomic_compare_exchange_strong(&fetched, &md, mine)) {
        EVP_MD_free(mine);
        return md;
    }
    return mine;
}

struct mio_sha256 *mio_sha256_new(void)
{
    struct mio_sha256 *s = mio_alloc(sizeof *s);
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx)
        mio_alloc_die(0);
    return s;
}

void mio_sha256_free(struct mio_sha256 *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void mio_sha256_start(struct mio_sha256 *s)
{
    if (EVP_DigestInit_ex2(s->ctx, sha256(), NULL) != 1)
        no_digest();
}

void mio_sha256_add(struct mio_sha256 *s, const void *p, size_t n)
{
    if (n && EVP_DigestUpdate(s->ctx, p, n) != 1)
        no_digest();
}

void mio_sha256_end(struct mio_sha256 *s, uint8_t out[MIO_SHA256_LEN])
{
    unsigned n = 0;
    if (EVP_DigestFinal_ex(s->ctx, out, &n) != 1 || n != MIO_SHA256_LEN)
        no_digest();
}

void mio_sha256_of(const void *p, size_t n, uint8_t out[MIO_SHA256_LEN])
{
    unsigned len = 0;
    if (EVP_Digest(p, n, out, &len, sha256(), NULL) != 1 || len != MIO_SHA256_LEN)
        no_digest();
}

void mio_hmac_sha256(const void *key, size_t keylen, const void *p, size_t n,
                     uint8_t out[MIO_SHA256_LEN])
{
    unsigned len = 0;
    if (keylen > INT32_MAX || !HMAC(sha256(), key, (int)keylen, p, n, out, &len))
        no_digest();
}

void mio_hex(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mio_unhex(struct mio_str hex, uint8_t *out, size_t n)
{
    if (hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = nibble(hex.p[2 * i]), lo = nibble(hex.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

struct mio_str mio_base64(struct mio_arena *a, const void *p, size_t n)
{
    if (n > INT32_MAX / 2)
        mio_alloc_die(n);
    unsigned char *out = mio_arena_alloc(a, (n + 2) / 3 * 4 + 1);
    int len = EVP_EncodeBlock(out, p, (int)n);
    return (struct mio_str){(char *)out, (size_t)len};
}

bool mio_unbase64(struct mio_arena *a, struct mio_str text, struct mio_str *out)
{
    if (text.n % 4 || text.n > INT32_MAX / 2)
        return false;
    unsigned char *p = mio_arena_alloc(a, text.n / 4 * 3 + 1);
    int len = EVP_DecodeBlock(p, (const unsigned char *)text.p, (int)text.n);
    if (len < 0)
        return false;
    for (size_t i = text.n; i > 0 && text.p[i - 1] == '='; i--)
        len--;
    if (len < 0)
        return false;
    p[len] = '\0';
    *out = (struct mio_str){(char *)p, (size_t)len};
    return true;
}

void mio_base32(const uint8_t *p, size_t n, char *out, size_t chars)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < chars; i++) {
        if (bits < 5) {
            acc = acc << 8 | (at < n ? p[at] : 0u);
            at++;
            bits += 8;
        }
        out[i] = digits[acc >> (bits - 5) & 31];
        bits -= 5;
    }
    out[chars] = '\0';
}

void mio_random(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got <= 0)
            abort();
        at += got;
        n -= (size_t)got;
    }
}

/* CRC-32C (Castagnoli), bitwise table of 256; records are short. */
uint32_t mio_crc32c(const void *p, size_t n)
{
    static _Atomic bool ready;
    static uint32_t table[256];
    if (!atomic_load(&ready)) {
        uint32_t fresh[256];
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
            fresh[i] = c;
        }
        for (size_t i = 0; i < 256; i++)
            __atomic_store_n(&table[i], fresh[i], __ATOMIC_RELAXED);
        atomic_store(&ready, true);
    }
    const uint8_t *b = p;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++)
        crc = __atomic_load_n(&table[(crc ^ b[i]) & 255], __ATOMIC_RELAXED) ^ crc >> 8;
    return ~crc;
}
