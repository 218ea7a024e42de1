/* providers/environment/push.c: an image into a registry: what it does not hold yet, in chunks. */
#include "providers/environment/registry_session.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const uint64_t chunk_size = 16u << 20;

/* Where the upload goes on must be the registry itself. */
static enum mio_code upload_url(struct mio_env_session *s, const char *location, const char **out)
{
    const char *origin = mio_arena_printf(s->a, "https://%.*s/", MIO_FMT(s->r->host)).p;
    *out = location[0] == '/'
               ? mio_arena_printf(s->a, "https://%.*s%s", MIO_FMT(s->r->host), location).p
               : mio_arena_printf(s->a, "%s", location).p;
    if (!mio_str_starts(mio_str_z(*out), origin))
        return mio_fail(s->err, MIO_REALITY, "the registry sends the upload elsewhere");
    return MIO_OK;
}

/* One request of an upload; its answer says where the next one goes, and how far it came. */
static enum mio_code step(struct mio_env_session *s, struct mio_env_exchange *x, long want,
                          const char **url, uint64_t *at)
{
    if (mio_env_exchange_do(s, x))
        return s->err->code;
    s->lost = x->status == 416 || (x->status == 404 && strcmp(x->method, "POST") != 0);
    if (x->status != want)
        return mio_fail(s->err, s->lost ? MIO_TRANSIENT : MIO_REALITY,
                        "the registry did not take a layer (%s: HTTP %ld)", x->method, x->status);
    struct mio_str range = mio_str_z(x->offset);
    ptrdiff_t dash = mio_str_find(range, '-');
    uint64_t last;
    if (at && dash >= 0 && mio_str_u64(mio_str_sub(range, (size_t)dash + 1, range.n), &last))
        *at = last ? last + 1 : 0;
    return x->location[0] ? upload_url(s, x->location, url) : MIO_OK;
}

static enum mio_code start_upload(struct mio_env_session *s, const char **url)
{
    struct mio_env_exchange x;
    mio_env_exchange_init(&x, "POST", mio_env_session_url(s, "blobs/uploads/"));
    step(s, &x, 202, url, NULL);
    mio_env_exchange_free(&x);
    return s->err->code;
}

/* How far the registry came before the connection broke. Some forget an upload whose chunk was cut
 * in the middle (404): it begins anew. */
static enum mio_code resume(struct mio_env_session *s, const char **url, uint64_t *at)
{
    struct mio_env_exchange x;
    *at = 0;
    mio_env_exchange_init(&x, "GET", *url);
    step(s, &x, 204, url, at);
    mio_env_exchange_free(&x);
    return s->err->code;
}

static enum mio_code send_chunk(struct mio_env_session *s, int fd, uint64_t size, const char **url,
                                uint64_t *at)
{
    struct mio_env_exchange x;
    uint64_t n = size - *at < chunk_size ? size - *at : chunk_size, end = *at + n;
    mio_env_exchange_init(&x, "PATCH", *url);
    x.type = "application/octet-stream";
    x.body_fd = fd;
    x.body_at = *at;
    x.body_size = n;
    x.range =
        mio_arena_printf(s->a, "%llu-%llu", (unsigned long long)*at, (unsigned long long)end - 1).p;
    if (!step(s, &x, 202, url, at))
        *at = x.offset[0] ? *at : end;
    mio_env_exchange_free(&x);
    return s->err->code;
}

/* Names the digest: the registry compares it with what it has got. */
static enum mio_code finish(struct mio_env_session *s, const char *url, struct mio_str hex)
{
    struct mio_env_exchange x;
    mio_env_exchange_init(&x, "PUT",
                          mio_arena_printf(s->a, "%s%cdigest=sha256:%.*s", url,
                                           strchr(url, '?') ? '&' : '?', MIO_FMT(hex))
                              .p);
    x.type = "application/octet-stream";
    step(s, &x, 201, &url, NULL);
    mio_env_exchange_free(&x);
    return s->err->code;
}

static enum mio_code upload(struct mio_env_session *s, int fd, uint64_t size, struct mio_str hex)
{
    const char *url = NULL;
    uint64_t at = 0, before;
    unsigned tries = 0;
    s->lost = false;
    if (start_upload(s, &url))
        return s->err->code;
    while (at < size) {
        before = at;
        if (!send_chunk(s, fd, size, &url, &at)) {
            tries = at > before ? 0 : tries + 1;
            continue;
        }
        do { /* it may be away for a while: then it is asked again what it has got */
            if (s->lost || !mio_env_session_again(s, &tries))
                return s->err->code;
        } while (resume(s, &url, &at));
        tries = at > before ? 0 : tries;
    }
    return finish(s, url, hex);
}

static enum mio_code is_there(struct mio_env_session *s, struct mio_str hex, bool *yes)
{
    struct mio_env_exchange x;
    mio_env_exchange_init(
        &x, "HEAD",
        mio_env_session_url(s, mio_arena_printf(s->a, "blobs/sha256:%.*s", MIO_FMT(hex)).p));
    if (!mio_env_exchange_insist(s, &x))
        *yes = x.status == 200;
    mio_env_exchange_free(&x);
    return s->err->code;
}

/* What another repository of the registry holds need not travel. A registry that will not lend it
 * begins an upload instead, which is left to end by itself. */
static enum mio_code borrow(struct mio_env_session *s, struct mio_str hex, struct mio_str from,
                            bool *there)
{
    struct mio_env_exchange x;
    mio_env_exchange_init(
        &x, "POST",
        mio_env_session_url(s, mio_arena_printf(s->a, "blobs/uploads/?mount=sha256:%.*s&from=%.*s",
                                                MIO_FMT(hex), MIO_FMT(from))
                                   .p));
    if (!mio_env_exchange_insist(s, &x))
        *there = x.status == 201;
    else if (s->err->code == MIO_AUTH || s->err->code == MIO_REALITY)
        mio_err_clear(s->err); /* not for this user: it is sent */
    mio_env_exchange_free(&x);
    return s->err->code;
}

static enum mio_code push_blob(struct mio_env_session *s, const struct mio_env_store *store,
                               struct mio_str hex, struct mio_str from, size_t *sent)
{
    const char *path = mio_env_store_blob(s->a, store, hex);
    bool there = false;
    struct stat st;
    if (is_there(s, hex, &there) || there || (from.n && borrow(s, hex, from, &there)) || there)
        return s->err->code;
    if (mio_env_store_sound(s->a, store, hex, s->err))
        return s->err->code;
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return mio_fail_sys(s->err, errno, "cannot open %s", path);
    for (unsigned tries = 0; upload(s, fd, (uint64_t)st.st_size, hex);)
        if (!mio_env_session_again(s, &tries))
            return s->err->code;
    ++*sent;
    return MIO_OK;
}

/* The first `lent` blobs may lie in the repository `from` as well. */
static enum mio_code push_all(struct mio_arena *a, const struct mio_env_store *store,
                              const struct mio_env_registry *r, const char *tag,
                              const struct mio_str *blobs, size_t n, struct mio_str manifest,
                              struct mio_str from, size_t lent, size_t *sent, struct mio_err *err)
{
    struct mio_env_session s;
    *sent = 0;
    if (mio_env_session_open(&s, a, r, err))
        return err->code;
    for (size_t i = 0; i < n && !err->code; i++)
        push_blob(&s, store, blobs[i], i < lent ? from : (struct mio_str){0}, sent);
    struct mio_env_exchange x;
    mio_env_exchange_init(&x, "PUT",
                          mio_env_session_url(&s, mio_arena_printf(a, "manifests/%s", tag).p));
    x.type = mio_env_manifest_type(a, manifest);
    x.body = manifest;
    if (!err->code && !mio_env_exchange_insist(&s, &x) && x.status != 201)
        mio_fail(err, MIO_REALITY, "the registry did not take the manifest (HTTP %ld)", x.status);
    mio_env_exchange_free(&x);
    mio_env_session_close(&s);
    return err->code;
}

enum mio_code mio_env_push_manifest(struct mio_arena *a, const struct mio_env_store *store,
                                    const struct mio_env_registry *r, const char *tag,
                                    const struct mio_str *blobs, size_t n, struct mio_str manifest,
                                    size_t *sent, struct mio_err *err)
{
    return push_all(a, store, r, tag, blobs, n, manifest, (struct mio_str){0}, 0, sent, err);
}

/* The repository of the image below, where that is one of the same registry. */
static struct mio_str lender(struct mio_arena *a, const struct mio_env_registry *r,
                             struct mio_value base)
{
    struct mio_env_registry of;
    struct mio_err ignored = {0};
    struct mio_str reference = mio_get_str(base, "reference");
    bool same = reference.n &&
                !mio_env_registry_parse(a, mio_arena_z(a, reference), &of, &ignored) &&
                mio_str_eq(of.host, r->host) && !mio_str_eq(of.name, r->name);
    return same ? of.name : (struct mio_str){0};
}
enum mio_code mio_env_push(struct mio_arena *a, const struct mio_env_store *store,
                           const struct mio_env_registry *r, const struct mio_env_image *im,
                           size_t *sent, struct mio_err *err)
{
    struct mio_str *blobs = MIO_NEW_N(a, struct mio_str, im->n_layers + 1);
    for (size_t i = 0; i < im->n_layers; i++)
        blobs[i] = im->layers[i].sums.packed;
    blobs[im->n_layers] = im->config_digest;
    size_t lent = 0; /* layers of the image below come first */
    while (lent < im->n_layers && im->layers[lent].type.n)
        lent++;
    return push_all(a, store, r, mio_arena_z(a, r->tag), blobs, im->n_layers + 1, im->manifest,
                    lender(a, r, im->base), lent, sent, err);
}
