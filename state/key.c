/* state/key.c: keys from passphrases, files and programs. See key.h. */
#include "state/key.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"
#include "providers/sdk/redact.h"
#include "providers/sdk/secret_file.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORTEST_PASSPHRASE = 16, LONGEST_SECRET = 4096, COMMAND_MS = 30000 };
/* Bounds for what a header may ask of us: a hostile one must not cost gigabytes. */
enum { SCRYPT_N_MIN = 1 << 14, SCRYPT_N_MAX = 1 << 20, SCRYPT_R_MAX = 16, SCRYPT_P_MAX = 4 };

static bool id_ok(struct mio_str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", id.p[i]))
            return false;
    return id.n >= 1 && id.n <= 64;
}

/* A file with a secret: regular, ours, closed to others. */
static enum mio_code read_secret(const char *path, char text[LONGEST_SECRET], size_t *n,
                                 struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = -1;
    if (mio_secret_file_open(path, &fd, err))
        return err->code;
    ssize_t got = read(fd, text, LONGEST_SECRET);
    if (got < 0 || got == LONGEST_SECRET)
        return got < 0 ? mio_fail_sys(err, errno, "cannot read the key file %s", path)
                       : mio_fail(err, MIO_USAGE, "the key file %s is too long", path);
    *n = (size_t)got;
    return MIO_OK;
}

static enum mio_code take_raw(struct mio_key *k, struct mio_str text, struct mio_err *err)
{
    struct mio_arena scratch;
    struct mio_str bytes;
    k->secret = mio_alloc(MIO_KEY_LEN);
    k->nsecret = MIO_KEY_LEN;
    mio_arena_init(&scratch);
    bool ok = mio_unhex(text, k->secret, MIO_KEY_LEN);
    if (!ok && mio_unbase64(&scratch, text, &bytes)) {
        ok = bytes.n == MIO_KEY_LEN;
        if (ok)
            memcpy(k->secret, bytes.p, bytes.n);
        OPENSSL_cleanse((char *)(uintptr_t)bytes.p, bytes.n);
    }
    mio_arena_free(&scratch);
    if (ok)
        return MIO_OK;
    mio_fail(err, MIO_USAGE, "key %.*s is not 32 bytes as 64 hex digits or as base64",
             MIO_FMT(k->id));
    return mio_err_hint(err, "Make one: openssl rand -hex 32");
}

static enum mio_code take_passphrase(struct mio_key *k, struct mio_str text, struct mio_err *err)
{
    if (text.n < SHORTEST_PASSPHRASE) {
        mio_fail(err, MIO_AUTH, "the passphrase %.*s is shorter than %d characters", MIO_FMT(k->id),
                 SHORTEST_PASSPHRASE);
        return mio_err_hint(err, "Use a longer one, or a raw key: openssl rand -hex 32");
    }
    k->secret = mio_alloc(text.n);
    k->nsecret = text.n;
    memcpy(k->secret, text.p, text.n);
    return MIO_OK;
}

enum mio_code mio_key_load(struct mio_arena *a, const struct mio_key_source *src,
                           struct mio_key *out, struct mio_err *err)
{
    char file[LONGEST_SECRET];
    size_t n = 0;
    struct mio_key k = {
        .type = src->type, .id = mio_arena_str(a, src->id), .command = src->command};
    if (!id_ok(src->id))
        return mio_fail(err, MIO_USAGE,
                        "a key needs a name of 1 to 64 letters, digits, dots, dashes");
    if (src->type == MIO_KEY_EXTERNAL) {
        if (!src->command || !src->command[0])
            return mio_fail(err, MIO_USAGE, "key %.*s names no program", MIO_FMT(src->id));
        *out = k;
        return MIO_OK;
    }
    enum mio_code rc = MIO_OK;
    struct mio_str text = src->secret;
    if (text.n == 0 && !src->path)
        return mio_fail(err, MIO_AUTH, "key %.*s is not set", MIO_FMT(src->id));
    if (text.n == 0) {
        rc = read_secret(src->path, file, &n, err);
        text = mio_str_trim((struct mio_str){file, n});
    }
    mio_secret_add(text);
    if (rc == MIO_OK)
        rc = src->type == MIO_KEY_RAW ? take_raw(&k, text, err) : take_passphrase(&k, text, err);
    OPENSSL_cleanse(file, sizeof file);
    if (rc) {
        mio_key_wipe(&k);
        return rc;
    }
    (void)mlock(k.secret, k.nsecret); /* a courtesy: limits may forbid it */
    *out = k;
    return MIO_OK;
}

void mio_key_wipe(struct mio_key *k)
{
    if (k->secret)
        OPENSSL_cleanse(k->secret, k->nsecret);
    OPENSSL_cleanse(k->kek, sizeof k->kek);
    free(k->secret);
    k->secret = NULL;
    k->derived = false;
}

enum mio_code mio_key_kek(struct mio_key *k, const uint8_t **kek, struct mio_err *err)
{
    if (k->type == MIO_KEY_RAW) {
        *kek = k->secret;
        return MIO_OK;
    }
    if (!k->derived) {
        if (k->n < SCRYPT_N_MIN || k->n > SCRYPT_N_MAX || (k->n & (k->n - 1)) || k->r < 1 ||
            k->r > SCRYPT_R_MAX || k->p < 1 || k->p > SCRYPT_P_MAX)
            return mio_fail(err, MIO_STATE,
                            "a sealed header asks for scrypt parameters out of bounds");
        uint64_t most = 256ull * k->n * k->r + (32u << 20);
        if (EVP_PBE_scrypt((const char *)k->secret, k->nsecret, k->salt, sizeof k->salt, k->n, k->r,
                           k->p, most, k->kek, sizeof k->kek) != 1)
            return mio_fail(err, MIO_IO, "scrypt failed: not enough memory?");
        k->derived = true;
    }
    *kek = k->kek;
    return MIO_OK;
}

/* A file without a name that holds the question; no pipe, so that neither side can block the other.
 */
static int question(const char *op, struct mio_str in, struct mio_arena *a)
{
    MIO_AUTO_BUF b = {0};
    mio_buf_printf(&b, "{\"op\":\"%s\",\"key\":", op);
    mio_json_string(&b, mio_base64(a, in.p, in.n));
    mio_buf_z(&b, "}\n");
    int fd = memfd_create("key", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, b.p, b.n) != (ssize_t)b.n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    OPENSSL_cleanse(b.p, b.n);
    return fd;
}

enum mio_code mio_key_ask(struct mio_key *k, struct mio_arena *a, const char *op, struct mio_str in,
                          struct mio_str *out, struct mio_err *err)
{
    enum { ANSWER_MAX = 64 * 1024 };
    MIO_AUTO_CLOSE int from = question(op, in, a), to = memfd_create("answer", MFD_CLOEXEC);
    if (from < 0 || to < 0)
        return mio_fail_sys(err, errno, "cannot pass a key to %s", k->command[0]);
    struct mio_proc_opts p = {.argv = k->command, .in = from, .out = to, .err = -1};
    pid_t pid;
    int status = 0;
    bool late = false;
    enum mio_code rc = mio_proc_spawn(&p, &pid, err);
    if (rc || (rc = mio_proc_wait(pid, mio_now_ms() + COMMAND_MS, &status, &late, err)))
        return rc;
    char *text = mio_arena_alloc(a, ANSWER_MAX);
    ssize_t n = pread(to, text, ANSWER_MAX, 0);
    struct mio_value v;
    struct mio_err why = {0};
    if (late || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return mio_fail(err, MIO_AUTH, "%s did not %s the data key (%s)", k->command[0], op,
                        late ? "no answer in 30 s" : "it failed");
    if (n <= 0 || mio_json_read(a, (struct mio_str){text, (size_t)n}, NULL, &v, &why) ||
        !mio_unbase64(a, mio_get_str(v, "key"), out) || out->n == 0)
        return mio_fail(err, MIO_AUTH, "%s did not answer {\"key\":\"<base64>\"}", k->command[0]);
    return MIO_OK;
}
