/* providers/environment/index.c: InRelease, its signature, and the Packages files that it vouches
 * for. */
#include "providers/environment/index.h"
#include "providers/environment/fetch.h"
#include "providers/environment/unpack.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GPGV_MS = 60 * 1000, MAX_RELEASE = 16 << 20 };

/* `rest`: what follows the key's number: two algorithms, a class, when it was signed, a reason. */
static enum mio_code cannot_check(struct mio_str key, struct mio_str rest, struct mio_err *err)
{
    struct mio_str word = {0};
    uint64_t made = 0;
    for (int i = 0; i < 4; i++)
        mio_env_word(&rest, &word);
    if (mio_str_u64(word, &made) && (int64_t)made > mio_wall_s()) {
        char now[24];
        mio_rfc3339(mio_wall_s(), now);
        mio_fail(err, MIO_AUTH, "it was signed later than this machine's clock says it is (%s)",
                 now);
        return mio_err_hint(err, "set the clock");
    }
    mio_env_word(&rest, &word);
    mio_fail(err, MIO_AUTH, "gpgv cannot check its signature by key %.*s (reason %.*s)",
             MIO_FMT(key), MIO_FMT(word));
    return mio_err_hint(err, "ask it: gpgv --keyring KEYRING InRelease");
}

/* gpgv's machine-readable words; any of `bad` spoils the file even beside a good signature. */
static enum mio_code judge(struct mio_arena *a, struct mio_str status, struct mio_str *signer,
                           struct mio_err *err)
{
    static const char *const bad[] = {"BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"};
    struct mio_str line, tag, word, missing = {0}, unchecked = {0}, times = {0};
    while (mio_env_line(&status, &line)) {
        if (!mio_env_word(&line, &tag) || !mio_str_is(tag, "[GNUPG:]") ||
            !mio_env_word(&line, &tag))
            continue;
        mio_env_word(&line, &word);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            if (mio_str_is(tag, bad[i])) {
                mio_fail(err, MIO_AUTH, "its signature is bad (%s, key %.*s)", bad[i],
                         MIO_FMT(word));
                return mio_err_hint(err, "what the mirror serves is not what was signed: use "
                                         "another mirror, or a keyring with keys of today");
            }
        if (mio_str_is(tag, "NO_PUBKEY"))
            missing = word;
        if (mio_str_is(tag, "ERRSIG"))
            unchecked = word, times = line;
        if (mio_str_is(tag, "VALIDSIG") && !signer->n)
            *signer = mio_arena_str(a, word);
    }
    if (signer->n)
        return MIO_OK;
    if (unchecked.n && !missing.n)
        return cannot_check(unchecked, times, err);
    mio_fail(err, MIO_AUTH,
             missing.n ? "it is signed by key %.*s, which the keyring does not hold"
                       : "it has no signature%.*s",
             MIO_FMT(missing));
    return mio_err_hint(err, "set base.keyring to the archive's keyring, or repair the mirror");
}

enum mio_code mio_env_verify_signed(struct mio_arena *a, const struct mio_env_store *s,
                                    const char *path, struct mio_str keyring,
                                    struct mio_str *content, struct mio_str *signer,
                                    struct mio_err *err)
{
    const char *plain = mio_env_store_tmp(a, s);
    const char *const argv[] = {
        "gpgv",     "--status-fd", "1",  "--keyring", mio_arena_z(a, keyring),
        "--output", plain,         path, NULL};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    struct mio_str key = {0};
    if (mio_proc_run(&(struct mio_proc_opts){.argv = argv, .in = -1}, mio_now_ms() + GPGV_MS, &said,
                     &status, err))
        return err->code;
    if (judge(a, mio_buf_view(&said), &key, err) == MIO_OK)
        mio_fs_read(a, plain, MAX_RELEASE, content, NULL, err);
    unlink(plain);
    if (!err->code)
        *signer = key;
    return err->code;
}

bool mio_env_date(struct mio_str text, int64_t *seconds)
{
    struct tm tm = {0};
    char z[64];
    if (!text.n || text.n >= sizeof z)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    const char *end = strptime(z, "%a, %d %b %Y %H:%M:%S", &tm);
    if (!end)
        return false;
    *seconds = timegm(&tm);
    return true;
}

static bool apt_ignores_expiry(void)
{
    static const char *const argv[] = {"apt-config", "shell", "V", "Acquire::Check-Valid-Until/b",
                                       NULL};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 4096);
    int status = 0;
    struct mio_err ignored = {0};
    return !mio_proc_run(&(struct mio_proc_opts){.argv = argv, .in = -1}, mio_now_ms() + 5000,
                         &said, &status, &ignored) &&
           said.n && strstr(said.p, "V='false'");
}

static enum mio_code check_expiry(struct mio_str release, struct mio_env_index *x,
                                  struct mio_err *err)
{
    int64_t until;
    struct mio_str text = mio_env_field(release, "Valid-Until");
    x->date = mio_env_field(release, "Date");
    if (!mio_env_date(x->date, &x->epoch))
        return mio_fail(err, MIO_AUTH, "its Release file has no date");
    x->expired = text.n && (!mio_env_date(text, &until) || until < mio_wall_s());
    if (!x->expired || apt_ignores_expiry())
        return MIO_OK;
    mio_fail(err, MIO_AUTH, "its index expired on %.*s", MIO_FMT(text));
    return mio_err_hint(err,
                        "an old index hides security updates: use a fresh mirror, or set apt's "
                        "Acquire::Check-Valid-Until for an archive of snapshots");
}

/* "HEX SIZE NAME" in the SHA256 field. */
static bool find_entry(struct mio_str release, const char *name, struct mio_str *hex,
                       uint64_t *size)
{
    struct mio_str sums = mio_env_field(release, "SHA256"), line, digest, length, file;
    while (mio_env_line(&sums, &line)) {
        mio_env_word(&line, &digest);
        mio_env_word(&line, &length);
        if (!mio_env_word(&line, &file) || !mio_str_is(file, name))
            continue;
        *hex = digest;
        return digest.n == 64 && mio_str_u64(length, size);
    }
    return false;
}

static enum mio_code map_text(const char *path, struct mio_str *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return mio_fail_sys(err, errno, "cannot open %s", path);
    if (!st.st_size) {
        *out = MIO_STR("");
        return MIO_OK;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return mio_fail_sys(err, errno, "cannot map %s", path);
    *out = (struct mio_str){p, (size_t)st.st_size};
    return MIO_OK;
}

/* An index of nothing is one, too. */
static bool has_text(struct mio_arena *a, const struct mio_env_store *s, struct mio_str hex,
                     uint64_t size)
{
    return size ? mio_env_store_has(a, s, hex, size) : mio_fs_exists(mio_env_store_blob(a, s, hex));
}

/* Brings the compressed file where the uncompressed one is not in the store yet. */
static enum mio_code get_packages(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_str arch, struct mio_str release,
                                  struct mio_env_index *x, struct mio_err *err)
{
    static const char *const endings[] = {".xz", ".gz", ""};
    uint64_t size = 0, packed = 0;
    struct mio_str hex = {0};
    const char *stem =
        mio_arena_printf(a, "%.*s/binary-%.*s/Packages", MIO_FMT(x->component), MIO_FMT(arch)).p;
    if (!find_entry(release, stem, &x->sha256, &size))
        return mio_fail(err, MIO_REALITY, "component %.*s has nothing for %.*s",
                        MIO_FMT(x->component), MIO_FMT(arch));
    const char *plain = mio_env_store_blob(a, s, x->sha256);
    for (size_t i = 0; i < 3 && !has_text(a, s, x->sha256, size); i++) {
        const char *name = mio_arena_printf(a, "%s%s", stem, endings[i]).p;
        if (!find_entry(release, name, &hex, &packed))
            continue;
        struct mio_str url = mio_arena_printf(a, "%.*s/dists/%.*s/%s", MIO_FMT(x->source.uri),
                                              MIO_FMT(x->source.suite), name);
        struct mio_env_fetch f = {.url = url, .sha256 = hex, .size = packed};
        if (mio_env_fetch_all(a, s, &f, 1, err))
            return err->code;
        if (*endings[i] && mio_env_inflate(a, s, f.path, x->sha256, size, err))
            return err->code;
    }
    x->cache = mio_arena_printf(a, "%s/indices/%.*s", s->root, MIO_FMT(x->sha256)).p;
    return map_text(plain, &x->packages, err);
}

/* One signed file, checked beside the others: most of the time goes into starting gpgv. */
struct check {
    const struct mio_env_store *store;
    const struct mio_env_source *source;
    const char *path;
    struct mio_arena arena;
    struct mio_str release, signer;
    struct mio_err err;
    pthread_t thread;
    bool started;
};

static void *run_check(void *arg)
{
    struct check *c = arg;
    mio_env_verify_signed(&c->arena, c->store, c->path, c->source->keyring, &c->release, &c->signer,
                          &c->err);
    return NULL;
}

static void check_all(struct check *checks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mio_arena_init(&checks[i].arena);
        checks[i].started =
            i + 1 < n && !pthread_create(&checks[i].thread, NULL, run_check, &checks[i]);
        if (!checks[i].started)
            run_check(&checks[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (checks[i].started)
            pthread_join(checks[i].thread, NULL);
}

static enum mio_code read_source(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_str arch, const struct check *c,
                                 struct mio_env_index **items, size_t *n, size_t *cap,
                                 struct mio_err *err)
{
    *err = c->err;
    if (err->code)
        return err->code;
    struct mio_str release = mio_arena_str(a, c->release), signer = mio_arena_str(a, c->signer),
                   words = c->source->components, word;
    while (mio_env_word(&words, &word)) {
        struct mio_env_index x = {.source = *c->source, .component = word, .signer = signer};
        if (check_expiry(release, &x, err) || get_packages(a, s, arch, release, &x, err))
            return err->code;
        MIO_PUSH(a, *items, *n, *cap) = x;
    }
    return MIO_OK;
}

enum mio_code mio_env_indices(struct mio_arena *a, const struct mio_env_store *s,
                              struct mio_str arch, const struct mio_env_source *sources, size_t n,
                              struct mio_env_index **out, size_t *count, struct mio_err *err)
{
    struct mio_env_fetch *f = MIO_NEW_N(a, struct mio_env_fetch, n + 1);
    struct check *checks = MIO_NEW_N(a, struct check, n + 1);
    struct mio_env_index *items = NULL;
    size_t k = 0, cap = 0;
    for (size_t i = 0; i < n; i++) {
        f[i] = (struct mio_env_fetch){.url = mio_arena_printf(a, "%.*s/dists/%.*s/InRelease",
                                                              MIO_FMT(sources[i].uri),
                                                              MIO_FMT(sources[i].suite)),
                                      .path = mio_env_store_tmp(a, s)};
        checks[i] = (struct check){.store = s, .source = &sources[i], .path = f[i].path};
    }
    enum mio_code code = mio_env_fetch_all(a, s, f, n, err);
    size_t checked = code ? 0 : n;
    check_all(checks, checked);
    for (size_t i = 0; i < checked && !code; i++)
        if (read_source(a, s, arch, &checks[i], &items, &k, &cap, err))
            code = mio_err_wrap(err, "Debian %.*s", MIO_FMT(sources[i].suite));
    for (size_t i = 0; i < checked; i++)
        mio_arena_free(&checks[i].arena);
    for (size_t i = 0; i < n; i++)
        unlink(f[i].path);
    *out = items;
    *count = k;
    return code;
}
