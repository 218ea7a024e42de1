/* state/remote/s3.c: objects in an S3 bucket: Signature Version 4, conditional writes. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "state/remote/object.h"
#include "state/remote/wait.h"
#include "state/remote/web.h"

struct s3 {
    struct mio_objects base;
    struct mio_arena arena;
    struct mio_web *web;
    const char *endpoint, *host, *bucket, *prefix, *region, *access_key, *secret_key, *token;
};

/* ---- Signature Version 4 ---- */

static void hex_of(const void *p, size_t n, char out[65])
{
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_of(p, n, sum);
    mio_hex(sum, sizeof sum, out);
}

static void step(uint8_t key[32], size_t nkey, const uint8_t *from, const char *text)
{
    uint8_t out[32];
    mio_hmac_sha256(from, nkey, text, strlen(text), out);
    memcpy(key, out, 32);
}

/* `stamp` is YYYYMMDDTHHMMSSZ. */
static void sign(const struct s3 *s, const char *stamp, struct mio_str text, char hex[65])
{
    char first[300], day[9];
    uint8_t key[32];
    snprintf(first, sizeof first, "AWS4%s", s->secret_key);
    snprintf(day, sizeof day, "%.8s", stamp);
    step(key, strlen(first), (uint8_t *)first, day);
    step(key, 32, key, s->region);
    step(key, 32, key, "s3");
    step(key, 32, key, "aws4_request");
    mio_hmac_sha256(key, 32, text.p, text.n, key);
    mio_hex(key, 32, hex);
    explicit_bzero(first, sizeof first);
}

static void stamp_now(char out[20])
{
    char t[24];
    mio_rfc3339(mio_wall_s(), t); /* 2026-11-23T05:32:59Z */
    snprintf(out, 20, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", t, t + 5, t + 8, t + 11, t + 14, t + 17);
}

/* path and query are percent-encoded already; the query's keys are in order. `condition` is "" or a
 * header. */
static enum mio_code call(struct s3 *s, struct mio_arena *a, const char *method, const char *path,
                          const char *query, struct mio_str body, bool has_body,
                          const char *condition, struct mio_web_reply *r, struct mio_err *err)
{
    char stamp[20], payload[65], canonical_hex[65], signature[65];
    stamp_now(stamp);
    hex_of(body.n ? body.p : "", body.n, payload);
    const char *signed_names = s->token
                                   ? "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
                                   : "host;x-amz-content-sha256;x-amz-date";
    struct mio_str token =
        s->token ? mio_arena_printf(a, "x-amz-security-token:%s\n", s->token) : MIO_STR("");
    struct mio_str canonical = mio_arena_printf(
        a, "%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n%.*s\n%s\n%s", method,
        path, query, s->host, payload, stamp, MIO_FMT(token), signed_names, payload);
    hex_of(canonical.p, canonical.n, canonical_hex);
    struct mio_str scope = mio_arena_printf(a, "%.8s/%s/s3/aws4_request", stamp, s->region);
    struct mio_str to_sign =
        mio_arena_printf(a, "AWS4-HMAC-SHA256\n%s\n%.*s\n%s", stamp, MIO_FMT(scope), canonical_hex);
    sign(s, stamp, to_sign, signature);
    struct mio_web_call c = {
        .method = method,
        .url = mio_arena_printf(a, "%s%s%s%s", s->endpoint, path, *query ? "?" : "", query).p,
        .headers = {mio_arena_printf(a,
                                     "Authorization: AWS4-HMAC-SHA256 Credential=%s/%.*s, "
                                     "SignedHeaders=%s, Signature=%s",
                                     s->access_key, MIO_FMT(scope), signed_names, signature),
                    mio_arena_printf(a, "x-amz-content-sha256: %s", payload),
                    mio_arena_printf(a, "x-amz-date: %s", stamp)},
        .body = body,
        .has_body = has_body,
    };
    size_t n = 3;
    if (has_body)
        c.headers[n++] = MIO_STR("Content-Type: application/octet-stream");
    if (s->token)
        c.headers[n++] = mio_arena_printf(a, "x-amz-security-token: %s", s->token);
    if (*condition)
        c.headers[n++] = mio_str_z(condition);
    enum mio_code rc = mio_web_call(s->web, a, &c, r, err);
    if (rc == MIO_OK && r->status >= 300 && r->status != 404 && r->status != 409 &&
        r->status != 412)
        return mio_web_unexpected(&c, r, err);
    return rc;
}

static const char *path_of(const struct s3 *s, struct mio_arena *a, const char *name)
{
    struct mio_str key = mio_arena_printf(a, "%s%s", s->prefix, name);
    return mio_arena_printf(a, "/%s/%.*s", s->bucket, MIO_FMT(mio_web_escape(a, key, true))).p;
}

/* ---- objects ---- */

static enum mio_code no_bucket(struct s3 *s, const struct mio_web_reply *r, struct mio_err *err)
{
    if (!memmem(r->body.p, r->body.n, "NoSuchBucket", 12))
        return MIO_OK;
    mio_fail(err, MIO_REALITY, "there is no bucket %s", s->bucket);
    return mio_err_hint(err, "Make it first, with versioning, and closed to the public.");
}

static enum mio_code s3_get(struct mio_objects *o, struct mio_arena *a, const char *name,
                            struct mio_str *text, struct mio_str *tag, bool *found,
                            struct mio_err *err)
{
    struct s3 *s = (struct s3 *)o;
    struct mio_web_reply r;
    enum mio_code rc = call(s, a, "GET", path_of(s, a, name), "", MIO_STR(""), false, "", &r, err);
    if (rc)
        return rc;
    *found = r.status == 200;
    if (!*found)
        return no_bucket(s, &r, err);
    *text = r.body;
    *tag = r.etag;
    return MIO_OK;
}

static enum mio_code s3_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                            struct mio_str text, const char *if_tag, struct mio_str *tag,
                            bool *lost, struct mio_err *err)
{
    enum { CONFLICTS = 4 };
    struct s3 *s = (struct s3 *)o;
    struct mio_web_reply r;
    const char *condition = !if_tag   ? ""
                            : *if_tag ? mio_arena_printf(a, "If-Match: %s", if_tag).p
                                      : "If-None-Match: *";
    for (int i = 0;; i++) { /* 409: another write is on its way, which may fail yet */
        enum mio_code rc =
            call(s, a, "PUT", path_of(s, a, name), "", text, true, condition, &r, err);
        if (rc)
            return rc;
        if (r.status != 409 || i == CONFLICTS)
            break;
        mio_sleep_ms(50 << i);
    }
    *lost = r.status == 412 || r.status == 409 || (r.status == 404 && if_tag && *if_tag);
    if (!*lost && r.status == 404)
        return no_bucket(s, &r, err) ? err->code
                                     : mio_fail(err, MIO_IO, "S3 answers 404 to a write");
    *tag = r.etag;
    return MIO_OK;
}

static enum mio_code s3_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct s3 *s = (struct s3 *)o;
    struct mio_arena a;
    struct mio_web_reply r;
    mio_arena_init(&a);
    enum mio_code rc =
        call(s, &a, "DELETE", path_of(s, &a, name), "", MIO_STR(""), false, "", &r, err);
    mio_arena_free(&a);
    return rc;
}

static enum mio_code s3_list(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                             struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct s3 *s = (struct s3 *)o;
    struct mio_str all = mio_web_escape(a, mio_arena_printf(a, "%s%s", s->prefix, prefix), false);
    struct mio_str token = MIO_STR("");
    size_t cap = 0, skip = strlen(s->prefix);
    *names = NULL;
    *n = 0;
    for (;;) {
        struct mio_web_reply r;
        struct mio_str more = token.n ? mio_arena_printf(a, "continuation-token=%.*s&",
                                                         MIO_FMT(mio_web_escape(a, token, false)))
                                      : MIO_STR("");
        struct mio_str query =
            mio_arena_printf(a, "%.*slist-type=2&prefix=%.*s", MIO_FMT(more), MIO_FMT(all));
        enum mio_code rc = call(s, a, "GET", mio_arena_printf(a, "/%s", s->bucket).p, query.p,
                                MIO_STR(""), false, "", &r, err);
        if (rc || (rc = no_bucket(s, &r, err)))
            return rc;
        struct mio_str *keys, *next;
        size_t found = mio_xml_texts(a, r.body, "Key", &keys);
        for (size_t i = 0; i < found; i++)
            MIO_PUSH(a, *names, *n, cap) = mio_str_sub(keys[i], skip, keys[i].n);
        if (mio_xml_texts(a, r.body, "NextContinuationToken", &next) == 0)
            return MIO_OK;
        token = next[0];
    }
}

static void s3_close(struct mio_objects *o)
{
    struct s3 *s = (struct s3 *)o;
    mio_web_close(s->web);
    mio_arena_free(&s->arena);
    free(s);
}

static enum mio_code settings(struct s3 *s, const struct mio_backend_args *args,
                              struct mio_err *err)
{
    struct mio_arena *a = &s->arena;
    struct mio_web_opts w = {.insecure_http = mio_get_bool(args->config, "insecure_http", false)};
    struct mio_str stage = args->stage.n ? args->stage : MIO_STR("default");
    const char *key, *ca;
    enum mio_code rc = mio_setting(a, args, "bucket", NULL, &s->bucket, err);
    rc = rc ? rc : mio_setting(a, args, "region", NULL, &s->region, err);
    rc = rc ? rc : mio_setting(a, args, "access_key", NULL, &s->access_key, err);
    rc = rc ? rc : mio_setting(a, args, "secret_key", NULL, &s->secret_key, err);
    rc = rc ? rc : mio_setting(a, args, "token", "", &s->token, err);
    rc = rc ? rc : mio_setting(a, args, "key", mio_arena_z(a, stage), &key, err);
    rc = rc ? rc : mio_setting(a, args, "ca_file", "", &ca, err);
    rc = rc ? rc : mio_setting_timeout(a, args, &w.timeout_s, err);
    rc = rc ? rc
            : mio_setting(
                  a, args, "endpoint",
                  mio_arena_printf(a, "https://s3.%s.amazonaws.com", s->region ? s->region : "").p,
                  &s->endpoint, err);
    if (rc)
        return rc;
    if (strlen(s->secret_key) > 256)
        return mio_fail(err, MIO_USAGE, "the S3 secret key is too long");
    struct mio_str e = mio_str_z(s->endpoint);
    while (e.n && e.p[e.n - 1] == '/')
        e.n--;
    s->endpoint = mio_arena_z(a, e);
    const char *host = strstr(s->endpoint, "://");
    s->host = host ? host + 3 : s->endpoint;
    s->prefix = mio_arena_printf(a, "%s/", key).p;
    s->token = *s->token ? s->token : NULL;
    w.ca_file = *ca ? ca : NULL;
    s->base.where = mio_arena_printf(a, "s3://%s/%s", s->bucket, key).p;
    return mio_web_open(&w, &s->web, err);
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct s3 *s = mio_zalloc(1, sizeof *s);
    mio_arena_init(&s->arena);
    s->base = (struct mio_objects){.where = "S3",
                                   .get = s3_get,
                                   .put = s3_put,
                                   .del = s3_del,
                                   .list = s3_list,
                                   .close = s3_close};
    enum mio_code rc = settings(s, args, err);
    if (rc) {
        s3_close(&s->base);
        return rc;
    }
    return mio_backend_objects(&s->base, "s3", args, out, err);
}
