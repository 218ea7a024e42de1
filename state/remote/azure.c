/* state/remote/azure.c: objects as blobs of an Azure storage container: shared key or shared access
 * signature, conditional writes; the journal as append blobs. The lock is in azure_lease.c. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "state/remote/azure.h"
#include "state/remote/wait.h"

static const char version[] = "2021-12-02";
enum { APPEND_MAX = 4 * 1024 * 1024 };

static void http_date(char out[40])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)mio_wall_s();
    struct tm t;
    gmtime_r(&now, &t);
    snprintf(out, 40, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
             months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static int by_name(const void *x, const void *y)
{
    const char *const *a = x, *const *b = y;
    return strcmp(*a, *b);
}

/* The x-ms headers in the order in which they are signed; the number of them. */
static size_t ms_headers(struct mio_arena *a, const struct azure_request *q, const char *date,
                         const char *out[AZURE_HEADERS + 2])
{
    size_t n = 0;
    while (n < AZURE_HEADERS && q->ms[n]) {
        out[n] = q->ms[n];
        n++;
    }
    out[n++] = mio_arena_printf(a, "x-ms-date:%s", date).p;
    out[n++] = mio_arena_printf(a, "x-ms-version:%s", version).p;
    qsort(out, n, sizeof *out, by_name);
    return n;
}

/* The lines that the shared key signs. */
static struct mio_str to_sign(const struct azure *z, struct mio_arena *a,
                              const struct azure_request *q, const char *const *ms, size_t nms)
{
    MIO_AUTO_BUF b = {0};
    bool none = q->if_match && strcmp(q->if_match, "*") == 0;
    mio_buf_printf(&b, "%s\n\n\n", q->method);
    if (q->body.n)
        mio_buf_printf(&b, "%zu", q->body.n);
    bool typed = q->has_body || strcmp(q->method, "PUT") == 0;
    mio_buf_printf(&b, "\n\n%s\n\n\n%s\n%s\n\n\n", typed ? "application/octet-stream" : "",
                   q->if_match && !none ? q->if_match : "", none ? "*" : "");
    for (size_t i = 0; i < nms; i++)
        mio_buf_printf(&b, "%s\n", ms[i]);
    mio_buf_printf(&b, "/%s%s%s", z->account, z->account_path, q->path);
    for (const char *p = q->query; p && *p;) {
        size_t n = strcspn(p, "&"), eq = strcspn(p, "=");
        mio_buf_printf(&b, "\n%.*s:%.*s", (int)eq, p, (int)(n - eq - 1), p + eq + 1);
        p += n + (p[n] == '&');
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_str encoded_query(struct mio_arena *a, const char *query)
{
    MIO_AUTO_BUF b = {0};
    for (const char *p = query; p && *p;) {
        size_t n = strcspn(p, "&"), eq = strcspn(p, "=");
        mio_buf_printf(&b, "%s%.*s=", b.n ? "&" : "", (int)eq, p);
        mio_buf_str(&b, mio_web_escape(a, (struct mio_str){p + eq + 1, n - eq - 1}, false));
        p += n + (p[n] == '&');
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

enum mio_code azure_call(struct azure *z, struct mio_web *web, struct mio_arena *a,
                         const struct azure_request *q, struct mio_web_reply *r,
                         struct mio_err *err)
{
    char date[40];
    const char *ms[AZURE_HEADERS + 2];
    size_t n = 0;
    http_date(date);
    size_t nms = ms_headers(a, q, date, ms);
    struct mio_str query = encoded_query(a, q->query);
    const char *joint = query.n && z->sas ? "&" : "";
    struct mio_web_call c = {
        .method = q->method,
        .url = mio_arena_printf(a, "%s%s%s%.*s%s%s", z->endpoint, q->path,
                                query.n || z->sas ? "?" : "", MIO_FMT(query), joint,
                                z->sas ? z->sas : "")
                   .p,
        .body = q->body,
        .has_body = q->has_body || strcmp(q->method, "PUT") == 0, /* a length of 0 is said, too */
    };
    while (n < nms) {
        c.headers[n] = mio_str_z(ms[n]);
        n++;
    }
    if (z->key.n) {
        uint8_t mac[MIO_SHA256_LEN];
        struct mio_str text = to_sign(z, a, q, ms, nms);
        mio_hmac_sha256(z->key.p, z->key.n, text.p, text.n, mac);
        c.headers[n++] = mio_arena_printf(a, "Authorization: SharedKey %s:%.*s", z->account,
                                          MIO_FMT(mio_base64(a, mac, sizeof mac)));
    }
    if (c.has_body)
        c.headers[n++] = MIO_STR("Content-Type: application/octet-stream");
    if (q->if_match)
        c.headers[n++] = strcmp(q->if_match, "*") == 0
                             ? MIO_STR("If-None-Match: *")
                             : mio_arena_printf(a, "If-Match: %s", q->if_match);
    enum mio_code rc = mio_web_call(web, a, &c, r, err);
    if (rc)
        return rc;
    if (r->status == 404 && memmem(r->body.p, r->body.n, "ContainerNotFound", 17)) {
        mio_fail(err, MIO_REALITY, "there is no container %s", z->container);
        return mio_err_hint(err, "Make it first, closed to the public.");
    }
    if (r->status >= 300 && r->status != 404 && r->status != 409 && r->status != 412)
        return mio_web_unexpected(&c, r, err);
    return MIO_OK;
}

const char *azure_path(const struct azure *z, struct mio_arena *a, const char *name)
{
    struct mio_str key = mio_arena_printf(a, "%s%s", z->prefix, name);
    return mio_arena_printf(a, "/%s/%.*s", z->container, MIO_FMT(mio_web_escape(a, key, true))).p;
}

static enum mio_code azure_get(struct mio_objects *o, struct mio_arena *a, const char *name,
                               struct mio_str *text, struct mio_str *tag, bool *found,
                               struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_web_reply r;
    struct azure_request q = {.method = "GET", .path = azure_path(z, a, name)};
    enum mio_code rc = azure_call(z, z->web, a, &q, &r, err);
    if (rc)
        return rc;
    *found = r.status == 200;
    if (*found) {
        *text = r.body;
        *tag = r.etag;
    }
    return MIO_OK;
}

static enum mio_code azure_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_arena a;
    struct mio_web_reply r;
    mio_arena_init(&a);
    struct azure_request q = {.method = "DELETE", .path = azure_path(z, &a, name)};
    enum mio_code rc = azure_call(z, z->web, &a, &q, &r, err);
    mio_arena_free(&a);
    return rc;
}

static enum mio_code azure_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                               struct mio_str text, const char *if_tag, struct mio_str *tag,
                               bool *lost, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_web_reply r;
    struct azure_request q = {.method = "PUT",
                              .path = azure_path(z, a, name),
                              .ms = {"x-ms-blob-type:BlockBlob"},
                              .body = text,
                              .has_body = true,
                              .if_match = !if_tag   ? NULL
                                          : *if_tag ? if_tag
                                                    : "*"};
    enum mio_code rc = azure_call(z, z->web, a, &q, &r, err);
    if (rc)
        return rc;
    if (!if_tag && r.status == 409) { /* an append blob does not become a block blob */
        rc = azure_del(o, name, err);
        rc = rc ? rc : azure_call(z, z->web, a, &q, &r, err);
        if (rc)
            return rc;
    }
    *lost = r.status == 412 || r.status == 409 || r.status == 404;
    *tag = r.etag;
    return MIO_OK;
}

/* An answer that got lost must not look like another writer: what lies at that place tells. */
static enum mio_code is_ours(struct mio_objects *o, struct mio_arena *a, const char *name,
                             struct mio_str text, uint64_t at, bool *ours, struct mio_err *err)
{
    struct mio_str there = MIO_STR(""), tag;
    bool found = false;
    enum mio_code rc = azure_get(o, a, name, &there, &tag, &found, err);
    *ours = found && there.n == at + text.n && mio_str_eq(mio_str_sub(there, at, there.n), text);
    return rc;
}

static enum mio_code azure_append(struct mio_objects *o, struct mio_arena *a, const char *name,
                                  struct mio_str text, uint64_t at, bool *lost, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_web_reply r;
    struct azure_request make = {.method = "PUT",
                                 .path = azure_path(z, a, name),
                                 .if_match = "*",
                                 .ms = {"x-ms-blob-type:AppendBlob"}};
    struct azure_request q = {
        .method = "PUT",
        .path = make.path,
        .query = "comp=appendblock",
        .ms = {mio_arena_printf(a, "x-ms-blob-condition-appendpos:%lu", (unsigned long)at).p},
        .body = text,
        .has_body = true};
    enum mio_code rc = at ? MIO_OK : azure_call(z, z->web, a, &make, &r, err);
    rc = rc ? rc : azure_call(z, z->web, a, &q, &r, err);
    if (rc)
        return rc;
    bool ours = r.status < 300;
    if (!ours && r.repeated)
        rc = is_ours(o, a, name, text, at, &ours, err);
    *lost = !ours;
    return rc;
}

static enum mio_code azure_list(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                                struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_str marker = MIO_STR("");
    size_t cap = 0, skip = strlen(z->prefix);
    *names = NULL;
    *n = 0;
    do {
        struct mio_web_reply r;
        struct mio_str from =
            marker.n ? mio_arena_printf(a, "marker=%.*s&", MIO_FMT(marker)) : MIO_STR("");
        struct azure_request q = {
            .method = "GET",
            .path = mio_arena_printf(a, "/%s", z->container).p,
            .query = mio_arena_printf(a, "comp=list&%.*sprefix=%s%s&restype=container",
                                      MIO_FMT(from), z->prefix, prefix)
                         .p};
        enum mio_code rc = azure_call(z, z->web, a, &q, &r, err);
        if (rc)
            return rc;
        struct mio_str *keys, *next;
        size_t found = mio_xml_texts(a, r.body, "Name", &keys);
        for (size_t i = 0; i < found; i++)
            MIO_PUSH(a, *names, *n, cap) = mio_str_sub(keys[i], skip, keys[i].n);
        marker = mio_xml_texts(a, r.body, "NextMarker", &next) ? next[0] : MIO_STR("");
    } while (marker.n);
    return MIO_OK;
}

static void azure_close(struct mio_objects *o)
{
    struct azure *z = (struct azure *)o;
    if (z->lease) /* never unlocked: the lease runs on for its minute */
        azure_stop_renewing(z);
    mio_web_close(z->web);
    mio_arena_free(&z->arena);
    free(z);
}

static enum mio_code settings(struct azure *z, const struct mio_backend_args *args,
                              struct mio_err *err)
{
    struct mio_arena *a = &z->arena;
    struct mio_web_opts w = {.insecure_http = mio_get_bool(args->config, "insecure_http", false)};
    struct mio_str stage = args->stage.n ? args->stage : MIO_STR("default");
    const char *key, *access, *ca, *lease;
    uint64_t lease_s;
    enum mio_code rc = mio_setting(a, args, "storage_account_name", NULL, &z->account, err);
    rc = rc ? rc : mio_setting(a, args, "container_name", NULL, &z->container, err);
    rc = rc ? rc : mio_setting(a, args, "key", mio_arena_z(a, stage), &key, err);
    rc = rc ? rc : mio_setting(a, args, "sas_token", "", &z->sas, err);
    rc = rc ? rc : mio_setting(a, args, "access_key", *z->sas ? "" : NULL, &access, err);
    rc = rc ? rc : mio_setting(a, args, "ca_file", "", &ca, err);
    rc = rc ? rc : mio_setting_timeout(a, args, &w.timeout_s, err);
    rc = rc ? rc : mio_setting(a, args, "lease_seconds", "60", &lease, err);
    if (rc)
        return rc;
    if (!mio_str_u64(mio_str_z(lease), &lease_s) || lease_s < AZURE_LEASE_MIN ||
        lease_s > AZURE_LEASE_MAX)
        return mio_fail(err, MIO_USAGE, "`lease_seconds` is 15 to 60");
    z->lease_s = (unsigned)lease_s;
    const char *usual = mio_arena_printf(a, "https://%s.blob.core.windows.net", z->account).p;
    (void)mio_setting(a, args, "endpoint", usual, &z->endpoint, err);
    struct mio_str e = mio_str_z(z->endpoint);
    while (e.n && e.p[e.n - 1] == '/')
        e.n--;
    z->endpoint = mio_arena_z(a, e);
    const char *host = strstr(z->endpoint, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    z->account_path = path ? path : "";
    z->sas = *z->sas ? z->sas + (*z->sas == '?') : NULL;
    z->key = MIO_STR("");
    if (!z->sas && !mio_unbase64(a, mio_str_z(access), &z->key))
        return mio_fail(err, MIO_USAGE, "the access key of the storage account is not base64");
    z->prefix = mio_arena_printf(a, "%s/", key).p;
    w.ca_file = *ca ? ca : NULL;
    z->base.where = mio_arena_printf(a, "%s/%s/%s", z->endpoint, z->container, key).p;
    z->web_opts = w;
    return mio_web_open(&w, &z->web, err);
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct azure *z = mio_zalloc(1, sizeof *z);
    mio_arena_init(&z->arena);
    z->base = (struct mio_objects){.where = "Azure Blob",
                                   .get = azure_get,
                                   .put = azure_put,
                                   .del = azure_del,
                                   .list = azure_list,
                                   .close = azure_close,
                                   .append = azure_append,
                                   .append_max = APPEND_MAX,
                                   .lock = azure_lock,
                                   .unlock = azure_unlock,
                                   .break_lock = azure_break};
    enum mio_code rc = settings(z, args, err);
    if (rc) {
        azure_close(&z->base);
        return rc;
    }
    rc = mio_backend_objects(&z->base, "azure", args, out, err);
    if (rc == MIO_OK)
        (*out)->lock_ends_s = AZURE_LEASE_MAX; /* the holder may have another setting than we */
    return rc;
}
