/* state/seal.c: sealed text and sealed records. See seal.h; keys are key.c's. */
#include "state/seal.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/key.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { NONCE = 12, TAG = 16, SEAL_READER = 1, SCRYPT_N = 1 << 17, SCRYPT_R = 8, SCRYPT_P = 1 };
static const char prefix[] = "{\"sealed\":1,";

struct mio_sealer {
    struct mio_arena arena;
    struct mio_key *keys;
    size_t nkeys;
    struct mio_seal_opts opts;
};

/* ---- AES-256-GCM ---- */

/* out has room for in.n + TAG; false only for a wrong tag. */
static bool gcm(bool seal, const uint8_t key[32], const uint8_t nonce[NONCE], const void *aad,
                size_t naad, struct mio_str in, uint8_t *out, uint8_t tag[TAG])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    if (!c || EVP_CipherInit_ex2(c, EVP_aes_256_gcm(), key, nonce, seal, NULL) != 1)
        mio_alloc_die(0);
    bool ok = naad == 0 || EVP_CipherUpdate(c, NULL, &n, aad, (int)naad) == 1;
    enum { STEP = 1 << 30 };
    for (size_t at = 0; ok && at < in.n; at += STEP) {
        size_t step = in.n - at < STEP ? in.n - at : STEP;
        ok = EVP_CipherUpdate(c, out + at, &n, (const uint8_t *)in.p + at, (int)step) == 1;
    }
    if (ok && !seal)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1;
    ok = ok && EVP_CipherFinal_ex(c, out + in.n, &n) == 1;
    if (ok && seal)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

void mio_seal_record(const uint8_t key[MIO_RECORD_KEY], const void *context, size_t ncontext,
                     struct mio_str plain, struct mio_buf *out)
{
    uint8_t nonce[NONCE], tag[TAG];
    mio_random(nonce, sizeof nonce);
    MIO_AUTO_FREE uint8_t *cipher = mio_alloc(plain.n + TAG);
    if (!gcm(true, key, nonce, context, ncontext, plain, cipher, tag))
        abort();
    mio_buf_add(out, nonce, NONCE);
    mio_buf_add(out, cipher, plain.n);
    mio_buf_add(out, tag, TAG);
}

bool mio_unseal_record(const uint8_t key[MIO_RECORD_KEY], const void *context, size_t ncontext,
                       struct mio_str sealed, struct mio_arena *a, struct mio_str *plain)
{
    if (sealed.n < NONCE + TAG)
        return false;
    uint8_t nonce[NONCE], tag[TAG];
    size_t n = sealed.n - NONCE - TAG;
    memcpy(nonce, sealed.p, NONCE);
    memcpy(tag, sealed.p + NONCE + n, TAG);
    uint8_t *out = mio_arena_alloc(a, n + TAG);
    if (!gcm(false, key, nonce, context, ncontext, (struct mio_str){sealed.p + NONCE, n}, out, tag))
        return false;
    out[n] = '\0';
    *plain = (struct mio_str){(char *)out, n};
    return true;
}

/* ---- data keys ---- */

/* HKDF-Expand of RFC 5869, one block: a key of its own for each kind of text. */
static void expand(const uint8_t kek[32], struct mio_str kind, uint8_t out[32])
{
    MIO_AUTO_BUF info = {0};
    mio_buf_printf(&info, "mlops-iac seal %.*s%c", MIO_FMT(kind), 1);
    mio_hmac_sha256(kek, MIO_KEY_LEN, info.p, info.n, out);
}

static enum mio_code wrap(struct mio_sealer *s, struct mio_key *k, struct mio_str kind,
                          const uint8_t dek[32], struct mio_str *out, struct mio_err *err)
{
    struct mio_str bare = {(const char *)dek, MIO_KEY_LEN};
    if (k->type == MIO_KEY_EXTERNAL)
        return mio_key_ask(k, &s->arena, "wrap", bare, out, err);
    const uint8_t *kek;
    uint8_t sub[32];
    enum mio_code rc = mio_key_kek(k, &kek, err);
    if (rc)
        return rc;
    MIO_AUTO_BUF b = {0};
    expand(kek, kind, sub);
    mio_seal_record(sub, k->id.p, k->id.n, bare, &b);
    OPENSSL_cleanse(sub, sizeof sub);
    *out = mio_arena_str(&s->arena, mio_buf_view(&b));
    return MIO_OK;
}

static enum mio_code unwrap(struct mio_sealer *s, struct mio_key *k, struct mio_str kind,
                            struct mio_str wrapped, uint8_t dek[32], struct mio_err *err)
{
    struct mio_str bare = MIO_STR("");
    enum mio_code rc = MIO_OK;
    bool ok = true;
    if (k->type == MIO_KEY_EXTERNAL) {
        rc = mio_key_ask(k, &s->arena, "unwrap", wrapped, &bare, err);
    } else {
        const uint8_t *kek;
        uint8_t sub[32];
        rc = mio_key_kek(k, &kek, err);
        if (rc == MIO_OK) {
            expand(kek, kind, sub);
            ok = mio_unseal_record(sub, k->id.p, k->id.n, wrapped, &s->arena, &bare);
            OPENSSL_cleanse(sub, sizeof sub);
        }
    }
    if (rc == MIO_OK && (!ok || bare.n != MIO_KEY_LEN)) {
        mio_fail(err, MIO_AUTH, "key %.*s does not open it: the wrong secret under that name",
                 MIO_FMT(k->id));
        rc = mio_err_hint(
            err, "Give the secret that it was sealed with, as a further key if it has changed.");
    }
    if (rc == MIO_OK)
        memcpy(dek, bare.p, MIO_KEY_LEN);
    OPENSSL_cleanse((char *)(uintptr_t)bare.p, bare.n);
    return rc;
}

/* ---- the sealer ---- */

static enum mio_code prove(struct mio_sealer *s, struct mio_err *err)
{
    uint8_t dek[32], back[32];
    struct mio_str wrapped;
    struct mio_key *k = &s->keys[0];
    if (k->type == MIO_KEY_PASSPHRASE)
        return MIO_OK; /* nothing in it can fail later, and deriving a key here would cost a third
                          of a second */
    mio_random(dek, sizeof dek);
    enum mio_code rc = wrap(s, k, MIO_STR("proof"), dek, &wrapped, err);
    rc = rc ? rc : unwrap(s, k, MIO_STR("proof"), wrapped, back, err);
    if (rc == MIO_OK && CRYPTO_memcmp(dek, back, sizeof dek) != 0)
        rc = mio_fail(err, MIO_AUTH, "key %.*s gives back another data key than it was given",
                      MIO_FMT(k->id));
    return rc;
}

enum mio_code mio_sealer_open(const struct mio_seal_opts *o, struct mio_sealer **out,
                              struct mio_err *err)
{
    if (o->nkeys == 0)
        return mio_fail(err, MIO_USAGE, "sealing is asked for but no key is configured");
    if (o->enforced && o->write_clear)
        return mio_fail(err, MIO_USAGE, "sealing is enforced here and cannot be given up");
    struct mio_sealer *s = mio_zalloc(1, sizeof *s);
    mio_arena_init(&s->arena);
    s->opts = *o;
    s->keys = MIO_NEW_N(&s->arena, struct mio_key, o->nkeys);
    enum mio_code rc = MIO_OK;
    for (size_t i = 0; i < o->nkeys && rc == MIO_OK; i++) {
        rc = mio_key_load(&s->arena, &o->keys[i], &s->keys[i], err);
        s->nkeys += rc == MIO_OK;
    }
    if (rc == MIO_OK)
        rc = prove(s, err);
    if (rc) {
        mio_sealer_close(s);
        return rc;
    }
    *out = s;
    return MIO_OK;
}

void mio_sealer_close(struct mio_sealer *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nkeys; i++)
        mio_key_wipe(&s->keys[i]);
    mio_arena_free(&s->arena);
    free(s);
}

const struct mio_seal_opts *mio_sealer_opts(const struct mio_sealer *s)
{
    return &s->opts;
}

/* ---- sealed text ---- */

static void put_hex(struct mio_buf *b, const char *before, const void *p, size_t n)
{
    MIO_AUTO_FREE char *hex = mio_alloc(2 * n + 1);
    mio_hex(p, n, hex);
    mio_buf_z(b, before);
    mio_buf_add(b, hex, 2 * n);
    mio_buf_char(b, '"');
}

static void put_str(struct mio_buf *b, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_json_string(b, s);
}

/* The nonce comes early: the beginning of the file differs with each write. */
static void write_header(struct mio_buf *b, const struct mio_seal_about *about,
                         const struct mio_key *k, const uint8_t nonce[NONCE],
                         struct mio_str wrapped)
{
    mio_buf_z(b, prefix);
    mio_buf_printf(b, "\"min_reader\":%d", SEAL_READER);
    put_hex(b, ",\"nonce\":\"", nonce, NONCE);
    put_str(b, ",\"kind\":", about->kind);
    put_str(b, ",\"lineage\":", about->lineage);
    mio_buf_printf(b, ",\"serial\":%lu,\"epoch\":%lu", (unsigned long)about->serial,
                   (unsigned long)about->epoch);
    put_str(b, ",\"key\":", k->id);
    if (k->type == MIO_KEY_PASSPHRASE) {
        mio_buf_printf(b, ",\"scrypt\":{\"n\":%lu,\"r\":%u,\"p\":%u", (unsigned long)k->n, k->r,
                       k->p);
        put_hex(b, ",\"salt\":\"", k->salt, sizeof k->salt);
        mio_buf_char(b, '}');
    }
    put_hex(b, ",\"wrapped\":\"", wrapped.p, wrapped.n);
    mio_buf_z(b, "}\n");
}

enum mio_code mio_seal(struct mio_sealer *s, const struct mio_seal_about *about,
                       struct mio_str plain, struct mio_buf *out, struct mio_err *err)
{
    struct mio_key *k = &s->keys[0];
    uint8_t dek[32], nonce[NONCE], tag[TAG];
    struct mio_str wrapped;
    if (k->type == MIO_KEY_PASSPHRASE &&
        !k->derived) { /* a salt that was read is used on: one derivation a run */
        mio_random(k->salt, sizeof k->salt);
        k->n = SCRYPT_N;
        k->r = SCRYPT_R;
        k->p = SCRYPT_P;
    }
    mio_random(dek, sizeof dek);
    mio_random(nonce, sizeof nonce);
    enum mio_code rc = wrap(s, k, about->kind, dek, &wrapped, err);
    if (rc)
        return rc;
    size_t from = out->n;
    write_header(out, about, k, nonce, wrapped);
    size_t naad = out->n - from;
    mio_buf_pad(out, 0, plain.n + TAG);
    if (mio_buf_full(out) ||
        !gcm(true, dek, nonce, out->p + from, naad, plain, (uint8_t *)out->p + from + naad, tag))
        rc = mio_fail(err, MIO_BUG, "sealing failed");
    else
        memcpy(out->p + out->n - TAG, tag, TAG);
    OPENSSL_cleanse(dek, sizeof dek);
    return rc;
}

bool mio_is_sealed(struct mio_str text)
{
    return mio_str_starts(text, "{\"sealed\":");
}

static enum mio_code altered(struct mio_err *err)
{
    return mio_fail(err, MIO_STATE, "sealed, but damaged or altered");
}

/* The next key of that name after `k` (NULL: the first): an old secret may go on under its name. */
static struct mio_key *key_named(struct mio_sealer *s, struct mio_str id, const struct mio_key *k)
{
    for (size_t i = k ? (size_t)(k - s->keys) + 1 : 0; i < s->nkeys; i++)
        if (mio_str_eq(s->keys[i].id, id))
            return &s->keys[i];
    return NULL;
}

static enum mio_code no_key(struct mio_sealer *s, struct mio_str id, struct mio_err *err)
{
    MIO_AUTO_BUF known = {0};
    for (size_t i = 0; s && i < s->nkeys; i++)
        mio_buf_printf(&known, "%s%.*s", i ? ", " : "", MIO_FMT(s->keys[i].id));
    mio_fail(err, MIO_AUTH, "sealed with key %.*s, which is not configured",
             (int)(id.n > 64 ? 64 : id.n), id.p);
    return mio_err_hint(err, "Configure that key. Configured are: %s.", known.n ? known.p : "none");
}

/* Makes the passphrase derive with what the header says. */
static bool set_scrypt(struct mio_key *k, struct mio_value v)
{
    const struct mio_value *p = mio_get_z(v, "scrypt");
    uint8_t salt[MIO_SCRYPT_SALT];
    if (!p || !mio_unhex(mio_get_str(*p, "salt"), salt, sizeof salt))
        return false;
    int64_t n = mio_get_i64(*p, "n", 0), r = mio_get_i64(*p, "r", 0), q = mio_get_i64(*p, "p", 0);
    if (n < 0 || r < 0 || r > UINT32_MAX || q < 0 || q > UINT32_MAX)
        return false;
    if (k->derived && memcmp(k->salt, salt, sizeof salt) == 0 && k->n == (uint64_t)n && k->r == r &&
        k->p == q)
        return true;
    memcpy(k->salt, salt, sizeof salt);
    k->n = (uint64_t)n;
    k->r = (uint32_t)r;
    k->p = (uint32_t)q;
    k->derived = false;
    return true;
}

/* The data key, by the keys of that name in turn. The first error stands if none opens it. */
static enum mio_code open_key(struct mio_sealer *s, struct mio_key *k, struct mio_str kind,
                              struct mio_str wrapped, struct mio_value header, uint8_t dek[32],
                              struct mio_err *err)
{
    enum mio_code first = MIO_OK;
    for (; k; k = key_named(s, k->id, k)) {
        struct mio_err ignored = {0}, *to = first ? &ignored : err;
        enum mio_code rc = k->type == MIO_KEY_PASSPHRASE && !set_scrypt(k, header)
                               ? altered(to)
                               : unwrap(s, k, kind, wrapped, dek, to);
        if (rc == MIO_OK) {
            mio_err_clear(err);
            return MIO_OK;
        }
        first = first ? first : rc;
    }
    return first;
}

static enum mio_code newer(struct mio_value header, struct mio_err *err)
{
    if (mio_get_i64(header, "min_reader", 0) <= SEAL_READER)
        return MIO_OK;
    mio_fail(err, MIO_STATE, "sealed by a newer mlops-iac");
    return mio_err_hint(err,
                        "Use that version. `mlops-iac state fsck` lists what this one can read.");
}

bool mio_seal_newer(struct mio_str text)
{
    const char *nl = mio_is_sealed(text) ? memchr(text.p, '\n', text.n) : NULL;
    struct mio_arena a;
    struct mio_value v;
    struct mio_err why = {0};
    mio_arena_init(&a);
    bool is = nl &&
              !mio_json_read(&a, (struct mio_str){text.p, (size_t)(nl - text.p)}, NULL, &v, &why) &&
              newer(v, &why);
    mio_arena_free(&a);
    return is;
}

enum mio_code mio_unseal(struct mio_sealer *s, struct mio_arena *a, const char *kind,
                         struct mio_str text, struct mio_str *plain, struct mio_seal_about *about,
                         struct mio_err *err)
{
    const char *nl = memchr(text.p, '\n', text.n);
    struct mio_value v;
    struct mio_err why = {0};
    struct mio_str wrapped = MIO_STR("");
    uint8_t nonce[NONCE], dek[32], tag[TAG];
    size_t naad = nl ? (size_t)(nl + 1 - text.p) : 0;
    if (!nl || text.n - naad < TAG ||
        mio_json_read(a, (struct mio_str){text.p, naad - 1}, NULL, &v, &why))
        return altered(err);
    if (newer(v, err))
        return err->code;
    struct mio_str hex = mio_get_str(v, "wrapped"), id = mio_get_str(v, "key");
    uint8_t *bytes = mio_arena_alloc(a, hex.n / 2 + 1);
    struct mio_seal_about what = {.kind = mio_get_str(v, "kind"),
                                  .lineage = mio_get_str(v, "lineage")};
    if (!mio_unhex(hex, bytes, hex.n / 2) || !mio_unhex(mio_get_str(v, "nonce"), nonce, NONCE) ||
        !mio_str_u64(mio_get_str(v, "serial"), &what.serial) ||
        !mio_str_u64(mio_get_str(v, "epoch"), &what.epoch))
        return altered(err);
    wrapped = (struct mio_str){(char *)bytes, hex.n / 2};
    struct mio_key *k = s ? key_named(s, id, NULL) : NULL;
    if (!k)
        return no_key(s, id, err);
    if (!mio_str_is(what.kind, kind))
        return mio_fail(err, MIO_STATE, "sealed, but as a %.*s", MIO_FMT(what.kind));
    enum mio_code rc = open_key(s, k, what.kind, wrapped, v, dek, err);
    if (rc)
        return rc;
    struct mio_str cipher = {text.p + naad, text.n - naad - TAG};
    memcpy(tag, cipher.p + cipher.n, TAG);
    uint8_t *out = mio_arena_alloc(a, cipher.n + TAG);
    bool ok = gcm(false, dek, nonce, text.p, naad, cipher, out, tag);
    OPENSSL_cleanse(dek, sizeof dek);
    if (!ok)
        return altered(err);
    out[cipher.n] = '\0';
    *plain = (struct mio_str){(char *)out, cipher.n};
    *about = what;
    return MIO_OK;
}
