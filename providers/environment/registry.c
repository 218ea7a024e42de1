/* providers/environment/registry.c: the OCI distribution protocol, as far as push and compare need
 * it. */
#include "providers/environment/registry.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/log.h"
#include <curl/curl.h>
#include <errno.h>

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
enum { MAX_ANSWER = 8 << 20, CONNECT_MS = 15000, STALL_S = 60 };

struct session {
    struct mio_arena *a;
    const struct mio_env_registry *r;
    CURL *curl;
    struct mio_err *err;
};
struct exchange {
    const char *method, *url, *type;
    const char *file;    /* body from a file, or */
    struct mio_str body; /* from memory */
    long status;
    struct mio_buf answer;
    char location[2048];
};

enum mio_code mio_env_registry_parse(struct mio_arena *a, const char *reference,
                                     struct mio_env_registry *out, struct mio_err *err)
{
    struct mio_str s = mio_str_z(reference);
    ptrdiff_t slash = mio_str_find(s, '/');
    struct mio_str host = mio_str_sub(s, 0, slash < 0 ? 0 : (size_t)slash),
                   name = mio_str_sub(s, (size_t)(slash + 1), s.n);
    ptrdiff_t colon = mio_str_find(name, ':');
    struct mio_str tag =
        colon < 0 ? MIO_STR("latest") : mio_str_sub(name, (size_t)colon + 1, name.n);
    name = mio_str_sub(name, 0, colon < 0 ? name.n : (size_t)colon);
    bool sound = host.n && name.n && tag.n;
    for (size_t i = 0; i < s.n; i++)
        sound &= strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:",
                        s.p[i]) != NULL;
    if (!sound)
        return mio_fail(err, MIO_USAGE, "%s is no image reference: HOST[:PORT]/NAME[:TAG]",
                        reference);
    *out = (struct mio_env_registry){.host = mio_arena_str(a, host),
                                     .name = mio_arena_str(a, name),
                                     .tag = mio_arena_str(a, tag),
                                     .user = getenv("MLOPS_IAC_REGISTRY_USER"),
                                     .password = getenv("MLOPS_IAC_REGISTRY_PASSWORD"),
                                     .ca = getenv("MLOPS_IAC_REGISTRY_CA")};
    mio_log_secret(mio_str_z(out->password));
    return MIO_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    mio_buf_add(&x->answer, p, size * n);
    return mio_buf_full(&x->answer) ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    struct mio_str line = {p, size * n};
    if (line.n > 9 && mio_str_ieq(mio_str_sub(line, 0, 9), MIO_STR("location:"))) {
        struct mio_str v = mio_str_trim(mio_str_sub(line, 9, line.n));
        if (v.n < sizeof x->location) {
            memcpy(x->location, v.p, v.n);
            x->location[v.n] = 0;
        }
    }
    return size * n;
}

struct cursor {
    struct mio_str rest;
};

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct cursor *c = arg;
    size_t k = size * n < c->rest.n ? size * n : c->rest.n;
    memcpy(to, c->rest.p, k);
    c->rest = mio_str_sub(c->rest, k, c->rest.n);
    return k;
}

/* TLS 1.2 or newer, verified; no redirect followed; no connection kept for a request that changes
 * something. */
static void set_up(struct session *s, struct exchange *x, struct curl_slist *headers)
{
    CURL *c = s->curl;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, x->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->method);
    curl_easy_setopt(c, CURLOPT_NOBODY, !strcmp(x->method, "HEAD") ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    if (s->r->ca)
        curl_easy_setopt(c, CURLOPT_CAINFO, s->r->ca);
    if (s->r->user && s->r->password) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERNAME, s->r->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, s->r->password);
    }
}

static enum mio_code judge(struct session *s, const struct exchange *x)
{
    if (x->status == 401 || x->status == 403) {
        mio_fail(s->err, MIO_AUTH, "the registry refuses this user (HTTP %ld)", x->status);
        return mio_err_hint(s->err, "set MLOPS_IAC_REGISTRY_USER and MLOPS_IAC_REGISTRY_PASSWORD");
    }
    if (x->status >= 500 || x->status == 429)
        return mio_fail(s->err, MIO_TRANSIENT, "the registry answers HTTP %ld", x->status);
    if (x->status >= 300 && x->status != 404)
        return mio_fail(s->err, MIO_REALITY, "the registry answers HTTP %ld to %s: %.*s", x->status,
                        x->method, (int)(x->answer.n < 200 ? x->answer.n : 200), x->answer.p);
    return MIO_OK;
}

static enum mio_code send_it(struct session *s, struct exchange *x)
{
    struct cursor cursor = {x->body};
    FILE *file = x->file ? fopen(x->file, "re") : NULL;
    struct stat st = {0};
    if (x->file && (!file || fstat(fileno(file), &st)))
        return mio_fail_sys(s->err, errno, "cannot open %s", x->file);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, "Accept: " TYPE_MANIFEST);
    if (x->type)
        headers = curl_slist_append(headers, mio_arena_printf(s->a, "Content-Type: %s", x->type).p);
    set_up(s, x, headers);
    if (!strcmp(x->method, "PUT")) {
        curl_easy_setopt(s->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(s->curl, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE,
                         file ? (curl_off_t)st.st_size : (curl_off_t)x->body.n);
        curl_easy_setopt(s->curl, CURLOPT_READDATA, file ? (void *)file : (void *)&cursor);
        if (!file)
            curl_easy_setopt(s->curl, CURLOPT_READFUNCTION, on_read);
    } else if (!strcmp(x->method, "POST"))
        curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, "");
    CURLcode rc = curl_easy_perform(s->curl);
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &x->status);
    curl_slist_free_all(headers);
    if (file)
        fclose(file);
    if (rc)
        return mio_fail(s->err, rc == CURLE_PEER_FAILED_VERIFICATION ? MIO_AUTH : MIO_TRANSIENT,
                        "the registry %.*s cannot be reached: %s", MIO_FMT(s->r->host),
                        curl_easy_strerror(rc));
    return judge(s, x);
}

static const char *url_of(struct session *s, const char *rest)
{
    return mio_arena_printf(s->a, "https://%.*s/v2/%.*s/%s", MIO_FMT(s->r->host),
                            MIO_FMT(s->r->name), rest)
        .p;
}

/* Where the upload goes must be the registry itself. */
static enum mio_code upload_url(struct session *s, const char *location, struct mio_str hex,
                                const char **out)
{
    const char *origin = mio_arena_printf(s->a, "https://%.*s/", MIO_FMT(s->r->host)).p;
    const char *base =
        location[0] == '/'
            ? mio_arena_printf(s->a, "https://%.*s%s", MIO_FMT(s->r->host), location).p
            : location;
    if (!mio_str_starts(mio_str_z(base), origin))
        return mio_fail(s->err, MIO_REALITY, "the registry sends the upload elsewhere");
    *out = mio_arena_printf(s->a, "%s%cdigest=sha256:%.*s", base, strchr(base, '?') ? '&' : '?',
                            MIO_FMT(hex))
               .p;
    return MIO_OK;
}

static enum mio_code push_blob(struct session *s, const struct mio_env_store *store,
                               struct mio_str hex, size_t *sent)
{
    struct exchange head = {.method = "HEAD"}, post = {.method = "POST"}, put = {.method = "PUT"};
    mio_buf_init(&head.answer, MAX_ANSWER);
    mio_buf_init(&post.answer, MAX_ANSWER);
    mio_buf_init(&put.answer, MAX_ANSWER);
    head.url = url_of(s, mio_arena_printf(s->a, "blobs/sha256:%.*s", MIO_FMT(hex)).p);
    post.url = url_of(s, "blobs/uploads/");
    put.type = "application/octet-stream";
    put.file = mio_env_store_blob(s->a, store, hex);
    if (!send_it(s, &head) && head.status == 404 && !send_it(s, &post) &&
        !upload_url(s, post.location, hex, &put.url) && !send_it(s, &put)) {
        if (put.status != 201)
            mio_fail(s->err, MIO_REALITY, "the registry did not take a layer (HTTP %ld)",
                     put.status);
        ++*sent;
    }
    mio_buf_free(&head.answer);
    mio_buf_free(&post.answer);
    mio_buf_free(&put.answer);
    return s->err->code;
}

static enum mio_code open_session(struct session *s)
{
    s->curl = curl_easy_init();
    return s->curl ? MIO_OK : mio_fail(s->err, MIO_IO, "libcurl cannot start");
}

enum mio_code mio_env_push_manifest(struct mio_arena *a, const struct mio_env_store *store,
                                    const struct mio_env_registry *r, const char *tag,
                                    const struct mio_str *blobs, size_t n, struct mio_str manifest,
                                    size_t *sent, struct mio_err *err)
{
    struct session s = {.a = a, .r = r, .err = err};
    *sent = 0;
    if (open_session(&s))
        return err->code;
    for (size_t i = 0; i < n && !err->code; i++)
        push_blob(&s, store, blobs[i], sent);
    struct exchange x = {.method = "PUT", .type = TYPE_MANIFEST, .body = manifest};
    mio_buf_init(&x.answer, MAX_ANSWER);
    x.url = url_of(&s, mio_arena_printf(a, "manifests/%s", tag).p);
    if (!err->code && !send_it(&s, &x) && x.status != 201)
        mio_fail(err, MIO_REALITY, "the registry did not take the manifest (HTTP %ld)", x.status);
    mio_buf_free(&x.answer);
    curl_easy_cleanup(s.curl);
    return err->code;
}

enum mio_code mio_env_push(struct mio_arena *a, const struct mio_env_store *store,
                           const struct mio_env_registry *r, const struct mio_env_image *im,
                           size_t *sent, struct mio_err *err)
{
    struct mio_str *blobs = MIO_NEW_N(a, struct mio_str, im->n_layers + 1);
    for (size_t i = 0; i < im->n_layers; i++)
        blobs[i] = im->layers[i].sums.packed;
    blobs[im->n_layers] = im->config_digest;
    return mio_env_push_manifest(a, store, r, mio_arena_z(a, r->tag), blobs, im->n_layers + 1,
                                 im->manifest, sent, err);
}

enum mio_code mio_env_remote_manifest(struct mio_arena *a, const struct mio_env_registry *r,
                                      struct mio_str *hex, bool *found, struct mio_err *err)
{
    struct session s = {.a = a, .r = r, .err = err};
    if (open_session(&s))
        return err->code;
    struct exchange x = {.method = "GET"};
    mio_buf_init(&x.answer, MAX_ANSWER);
    x.url = url_of(&s, mio_arena_printf(a, "manifests/%.*s", MIO_FMT(r->tag)).p);
    if (!send_it(&s, &x)) {
        *found = x.status == 200;
        *hex = mio_env_sha256(a, mio_buf_view(&x.answer));
    }
    mio_buf_free(&x.answer);
    curl_easy_cleanup(s.curl);
    return err->code;
}
