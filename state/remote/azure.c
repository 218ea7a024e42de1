/* state/remote/azure.c: objects as block blobs of an Azure storage container: shared key or shared
 * access signature, conditional writes. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "state/remote/object.h"
#include "state/remote/web.h"

static const char version[] = "2021-12-02";

struct azure {
    struct mio_objects base;
    struct mio_arena arena;
    struct mio_web *web;
    const char *endpoint, *account, *container, *prefix, *sas;
    const char *account_path; /* of the endpoint: "" or "/account" (path-style addresses) */
    struct mio_str key;       /* decoded; empty with a SAS */
};

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

struct request {
    const char *method, *path,
        *query;           /* path below the container; query in order, "k=v&k=v", decoded */
    const char *if_match; /* NULL, "*" for If-None-Match, else an ETag */
    struct mio_str body;
    bool has_body;
};

/* The lines that the shared key signs. */
static struct mio_str to_sign(const struct azure *z, struct mio_arena *a, const struct request *q,
                              const char *date)
{
    MIO_AUTO_BUF b = {0};
    bool none = q->if_match && strcmp(q->if_match, "*") == 0;
    mio_buf_printf(&b, "%s\n\n\n", q->method);
    if (q->body.n)
        mio_buf_printf(&b, "%zu", q->body.n);
    mio_buf_printf(&b, "\n\n%s\n\n\n%s\n%s\n\n\n", q->has_body ? "application/octet-stream" : "",
                   q->if_match && !none ? q->if_match : "", none ? "*" : "");
    if (q->has_body)
        mio_buf_z(&b, "x-ms-blob-type:BlockBlob\n");
    mio_buf_printf(&b, "x-ms-date:%s\nx-ms-version:%s\n/%s%s%s", date, version, z->account,
                   z->account_path, q->path);
    for (const char *p = q->query; *p;) {
        size_t n = strcspn(p, "&"), eq = strcspn(p, "=");
        mio_buf_printf(&b, "\n%.*s:%.*s", (int)eq, p, (int)(n - eq - 1), p + eq + 1);
        p += n + (p[n] == '&');
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_str encoded_query(struct mio_arena *a, const char *query)
{
    MIO_AUTO_BUF b = {0};
    for (const char *p = query; *p;) {
        size_t n = strcspn(p, "&"), eq = strcspn(p, "=");
        mio_buf_printf(&b, "%s%.*s=", b.n ? "&" : "", (int)eq, p);
        mio_buf_str(&b, mio_web_escape(a, (struct mio_str){p + eq + 1, n - eq - 1}, false));
        p += n + (p[n] == '&');
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static enum mio_code call(struct azure *z, struct mio_arena *a, const struct request *q,
                          struct mio_web_reply *r, struct mio_err *err)
{
    char date[40];
    http_date(date);
    struct mio_str query = encoded_query(a, q->query);
    const char *joint = query.n && z->sas ? "&" : "";
    struct mio_web_call c = {
        .method = q->method,
        .url = mio_arena_printf(a, "%s%s%s%.*s%s%s", z->endpoint, q->path,
                                query.n || z->sas ? "?" : "", MIO_FMT(query), joint,
                                z->sas ? z->sas : "")
                   .p,
        .headers = {mio_arena_printf(a, "x-ms-date: %s", date),
                    mio_arena_printf(a, "x-ms-version: %s", version)},
        .body = q->body,
        .has_body = q->has_body,
    };
    size_t n = 2;
    if (z->key.n) {
        uint8_t mac[MIO_SHA256_LEN];
        struct mio_str text = to_sign(z, a, q, date);
        mio_hmac_sha256(z->key.p, z->key.n, text.p, text.n, mac);
        c.headers[n++] = mio_arena_printf(a, "Authorization: SharedKey %s:%.*s", z->account,
                                          MIO_FMT(mio_base64(a, mac, sizeof mac)));
    }
    if (q->has_body) {
        c.headers[n++] = MIO_STR("x-ms-blob-type: BlockBlob");
        c.headers[n++] = MIO_STR("Content-Type: application/octet-stream");
    }
    if (q->if_match)
        c.headers[n++] = strcmp(q->if_match, "*") == 0
                             ? MIO_STR("If-None-Match: *")
                             : mio_arena_printf(a, "If-Match: %s", q->if_match);
    enum mio_code rc = mio_web_call(z->web, a, &c, r, err);
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

static const char *path_of(const struct azure *z, struct mio_arena *a, const char *name)
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
    struct request q = {.method = "GET", .path = path_of(z, a, name), .query = ""};
    enum mio_code rc = call(z, a, &q, &r, err);
    if (rc)
        return rc;
    *found = r.status == 200;
    if (*found) {
        *text = r.body;
        *tag = r.etag;
    }
    return MIO_OK;
}

static enum mio_code azure_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                               struct mio_str text, const char *if_tag, struct mio_str *tag,
                               bool *lost, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_web_reply r;
    struct request q = {.method = "PUT",
                        .path = path_of(z, a, name),
                        .query = "",
                        .body = text,
                        .has_body = true,
                        .if_match = !if_tag   ? NULL
                                    : *if_tag ? if_tag
                                              : "*"};
    enum mio_code rc = call(z, a, &q, &r, err);
    if (rc)
        return rc;
    *lost = r.status == 412 || r.status == 409 || r.status == 404;
    *tag = r.etag;
    return MIO_OK;
}

static enum mio_code azure_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct azure *z = (struct azure *)o;
    struct mio_arena a;
    struct mio_web_reply r;
    mio_arena_init(&a);
    struct request q = {.method = "DELETE", .path = path_of(z, &a, name), .query = ""};
    enum mio_code rc = call(z, &a, &q, &r, err);
    mio_arena_free(&a);
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
        struct request q = {.method = "GET",
                            .path = mio_arena_printf(a, "/%s", z->container).p,
                            .query =
                                mio_arena_printf(a, "comp=list&%.*sprefix=%s%s&restype=container",
                                                 MIO_FMT(from), z->prefix, prefix)
                                    .p};
        enum mio_code rc = call(z, a, &q, &r, err);
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
    const char *key, *access, *ca;
    enum mio_code rc = mio_setting(a, args, "storage_account_name", NULL, &z->account, err);
    rc = rc ? rc : mio_setting(a, args, "container_name", NULL, &z->container, err);
    rc = rc ? rc : mio_setting(a, args, "key", mio_arena_z(a, stage), &key, err);
    rc = rc ? rc : mio_setting(a, args, "sas_token", "", &z->sas, err);
    rc = rc ? rc : mio_setting(a, args, "access_key", *z->sas ? "" : NULL, &access, err);
    rc = rc ? rc : mio_setting(a, args, "ca_file", "", &ca, err);
    if (rc)
        return rc;
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
    return mio_web_open(&w, &z->web, err);
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct azure *z = mio_zalloc(1, sizeof *z);
    mio_arena_init(&z->arena);
    z->base = (struct mio_objects){"Azure Blob", azure_get,  azure_put,
                                   azure_del,    azure_list, azure_close};
    enum mio_code rc = settings(z, args, err);
    if (rc) {
        azure_close(&z->base);
        return rc;
    }
    return mio_backend_objects(&z->base, "azure", args, out, err);
}
