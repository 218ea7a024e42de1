/* providers/environment/solv.c: libsolv's own format, one file an index, with the places of the
 * stanzas in another. */
#include "providers/environment/solv.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <solv/repo_deb.h>
#include <solv/repo_solv.h>
#include <solv/repo_write.h>
#include <solv/solvversion.h>

/* libsolv sorts dependencies when it writes them. Which comes first is what apt goes by, so the
 * order is kept as an attribute of our own. */
#define IN_ORDER "mlops-iac:requires"

/* FORMAT: to be raised when other attributes are kept. */
enum { MAX_CACHE = 256 << 20, FORMAT = 2 };

struct span {
    uint64_t at, n;
};

static const char *cache_path(struct mio_arena *a, const struct mio_env_index *x, const char *kind)
{
    return mio_arena_printf(a, "%s-%s-%d.%s", x->cache, solv_version, FORMAT, kind).p;
}

/* ---- from the text ---- */

static struct mio_str *find_stanzas(struct mio_arena *a, struct mio_str text, size_t *count)
{
    struct mio_str *items = NULL;
    size_t n = 0, cap = 0;
    for (struct mio_str rest = text; rest.n;) {
        const char *end = memmem(rest.p, rest.n, "\n\n", 2);
        size_t k = end ? (size_t)(end - rest.p) + 1 : rest.n;
        struct mio_str stanza = {rest.p, k};
        rest = mio_str_sub(rest, end ? k + 1 : k, rest.n);
        if (mio_str_starts(stanza, "Package:"))
            MIO_PUSH(a, items, n, cap) = stanza;
    }
    *count = n;
    return items;
}

static enum mio_code parse(struct mio_arena *a, const struct mio_env_index *x, Repo *repo,
                           struct mio_str **stanzas, struct mio_err *err)
{
    size_t n = 0;
    FILE *f = x->packages.n ? fmemopen((void *)(uintptr_t)x->packages.p, x->packages.n, "r") : NULL;
    if (x->packages.n && (!f || repo_add_debpackages(repo, f, 0)))
        mio_fail(err, MIO_IO, "the index of %.*s cannot be read: %s", MIO_FMT(x->source.suite),
                 pool_errstr(repo->pool));
    if (f)
        fclose(f);
    if (err->code)
        return err->code;
    Id p;
    Solvable *s;
    FOR_REPO_SOLVABLES(repo, p, s) /* nothing goes by them, and reading them takes time */
    s->suggests = s->enhances = s->supplements = 0;
    *stanzas = find_stanzas(a, x->packages, &n);
    if (n != (size_t)repo->nsolvables)
        return mio_fail(err, MIO_BUG, "the index of %.*s has %zu packages, and %d were read",
                        MIO_FMT(x->source.suite), n, repo->nsolvables);
    return MIO_OK;
}

/* ---- the cache ---- */

static int keep_key(Repo *repo, Repokey *key, void *arg)
{
    static const Id kept[] = {SOLVABLE_NAME,     SOLVABLE_ARCH,      SOLVABLE_EVR,
                              SOLVABLE_PROVIDES, SOLVABLE_OBSOLETES, SOLVABLE_CONFLICTS,
                              SOLVABLE_REQUIRES, SOLVABLE_RECOMMENDS};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (key->name == kept[i])
            return repo_write_stdkeyfilter(repo, key, arg);
    return key->name == pool_str2id(repo->pool, IN_ORDER, 1) ? KEY_STORAGE_INCORE
                                                             : KEY_STORAGE_DROPPED;
}

static void note_order(Repo *repo)
{
    Id key = pool_str2id(repo->pool, IN_ORDER, 1), p;
    Solvable *s;
    Repodata *data = repo_add_repodata(repo, 0);
    FOR_REPO_SOLVABLES(repo, p, s)
    for (const Id *d = s->requires ? repo->idarraydata + s->requires : NULL; d && *d; d++)
        repodata_add_idarray(data, p, key, *d);
    repodata_internalize(data);
}

/* libsolv's form of the repo in memory; false when it cannot be written. */
static bool write_repo(Repo *repo, char **p, size_t *n)
{
    FILE *f = open_memstream(p, n);
    bool ok = f && !repo_write_filtered(repo, f, keep_key, NULL, NULL);
    return f && !fclose(f) && ok;
}

/* The spans last, with the digest of the other file before them: libsolv does not survive one that
 * is damaged. A failure costs nothing but time. */
static void write_cache(struct mio_arena *a, const struct mio_env_index *x, Repo *repo,
                        const struct mio_str *stanzas)
{
    MIO_AUTO_FREE char *solv = NULL;
    size_t size = 0;
    struct mio_err ignored = {0};
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    note_order(repo);
    if (!write_repo(repo, &solv, &size))
        return;
    struct mio_str text = {solv, size};
    mio_buf_str(&b, mio_env_sha256(a, text));
    for (size_t i = 0; i < (size_t)repo->nsolvables; i++) {
        struct span s = {(uint64_t)(stanzas[i].p - x->packages.p), stanzas[i].n};
        mio_buf_add(&b, &s, sizeof s);
    }
    if (!mio_fs_replace(cache_path(a, x, "solv"), text, 0644, &ignored))
        mio_fs_replace(cache_path(a, x, "spans"), mio_buf_view(&b), 0644, &ignored);
}

static bool read_spans(struct mio_arena *a, const struct mio_env_index *x, struct mio_str text,
                       const Repo *repo, struct mio_str **stanzas)
{
    size_t n = text.n / sizeof(struct span);
    struct mio_str *items = MIO_NEW_N(a, struct mio_str, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct span s;
        memcpy(&s, text.p + i * sizeof s, sizeof s);
        if (s.at > x->packages.n || s.n > x->packages.n - s.at)
            return false;
        items[i] = (struct mio_str){x->packages.p + s.at, s.n};
    }
    *stanzas = items;
    return text.n == (size_t)repo->nsolvables * sizeof(struct span);
}

static bool read_cache(struct mio_arena *a, const struct mio_env_index *x, Repo *repo,
                       struct mio_str **stanzas)
{
    struct mio_str spans, solv;
    struct mio_err ignored = {0};
    bool found = false;
    if (mio_fs_read(a, cache_path(a, x, "spans"), MAX_CACHE, &spans, &found, &ignored) || !found ||
        mio_fs_read(a, cache_path(a, x, "solv"), MAX_CACHE, &solv, &found, &ignored) || !found ||
        !solv.n || !mio_str_eq(mio_str_sub(spans, 0, MIO_SHA256_HEX), mio_env_sha256(a, solv)))
        return false;
    FILE *f = fmemopen((void *)(uintptr_t)solv.p, solv.n, "r");
    bool ok = f && !repo_add_solv(repo, f, 0) &&
              read_spans(a, x, mio_str_sub(spans, MIO_SHA256_HEX, spans.n), repo, stanzas);
    if (f)
        fclose(f);
    if (!ok)
        repo_empty(repo, 1);
    return ok;
}

enum mio_code mio_env_solv_load(struct mio_arena *a, const struct mio_env_index *x, Repo *repo,
                                struct mio_str **stanzas, struct mio_err *err)
{
    if (x->cache && read_cache(a, x, repo, stanzas))
        return MIO_OK;
    if (parse(a, x, repo, stanzas, err))
        return err->code;
    if (x->cache)
        write_cache(a, x, repo, *stanzas);
    return MIO_OK;
}

void mio_env_solv_order(Pool *pool, Solvable *s)
{
    Id key = pool_str2id(pool, IN_ORDER, 0);
    Queue order, left;
    queue_init(&order);
    queue_init(&left);
    if (key && s->requires && solvable_lookup_idarray(s, key, &order)) {
        Id *to = s->repo->idarraydata + s->requires;
        for (const Id *d = to; *d; d++)
            queue_push(&left, *d);
        for (int i = 0; i < order.count; i++)
            for (int k = 0; k < left.count; k++)
                if (left.elements[k] == order.elements[i]) {
                    *to++ = order.elements[i];
                    left.elements[k] = 0;
                    break;
                }
    }
    queue_free(&left);
    queue_free(&order);
}
