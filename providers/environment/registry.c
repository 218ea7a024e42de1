/* providers/environment/registry.c: requests to an OCI registry, over verified TLS. */
#include "providers/environment/registry_session.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/redact.h"
#include <errno.h>
#include <unistd.h>

enum { CONNECT_MS = 15000, STALL_S = 60, PAUSE_MS = 100, REDIRECTS = 5 };

enum mio_code mio_env_registry_parse(struct mio_arena *a, const char *reference,
                                     struct mio_env_registry *out, struct mio_err *err)
{
    struct mio_str s = mio_str_z(reference);
    ptrdiff_t slash = mio_str_find(s, '/');
    struct mio_str host = mio_str_sub(s, 0, slash < 0 ? 0 : (size_t)slash),
                   name = mio_str_sub(s, (size_t)(slash + 1), s.n), tag = MIO_STR("latest");
    ptrdiff_t at = mio_str_find(name, '@'), colon = mio_str_find(name, ':');
    if (at >= 0 || colon >= 0) {
        size_t cut = (size_t)(at >= 0 ? at : colon);
        tag = mio_str_sub(name, cut + 1, name.n);
        name = mio_str_sub(name, 0, colon >= 0 && (size_t)colon < cut ? (size_t)colon : cut);
    }
    bool sound = host.n && name.n && tag.n && (at < 0 || mio_str_starts(tag, "sha256:"));
    for (size_t i = 0; i < s.n; i++)
        sound &= strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@",
                        s.p[i]) != NULL;
    if (!sound)
        return mio_fail(err, MIO_USAGE,
                        "%s is no image reference: HOST[:PORT]/NAME[:TAG|@sha256:HEX]", reference);
    *out = (struct mio_env_registry){.host = mio_arena_str(a, host),
                                     .name = mio_arena_str(a, name),
                                     .tag = mio_arena_str(a, tag),
                                     .user = getenv("MLOPS_IAC_REGISTRY_USER"),
                                     .password = getenv("MLOPS_IAC_REGISTRY_PASSWORD"),
                                     .ca = getenv("MLOPS_IAC_REGISTRY_CA")};
    mio_secret_add(mio_str_z(out->password));
    return MIO_OK;
}

enum mio_code mio_env_session_open(struct mio_env_session *s, struct mio_arena *a,
                                   const struct mio_env_registry *r, struct mio_err *err)
{
    *s = (struct mio_env_session){.a = a, .r = r, .err = err, .curl = curl_easy_init()};
    return s->curl ? MIO_OK : mio_fail(err, MIO_IO, "libcurl cannot start");
}

void mio_env_session_close(struct mio_env_session *s)
{
    if (s->curl)
        curl_easy_cleanup(s->curl);
    s->curl = NULL;
}

void mio_env_exchange_init(struct mio_env_exchange *x, const char *method, const char *url)
{
    *x = (struct mio_env_exchange){.method = method, .url = url, .body_fd = -1, .out_fd = -1};
    mio_buf_init(&x->answer, MIO_REGISTRY_ANSWER);
}

void mio_env_exchange_free(struct mio_env_exchange *x)
{
    mio_buf_free(&x->answer);
}

const char *mio_env_session_url(struct mio_env_session *s, const char *rest)
{
    return mio_arena_printf(s->a, "https://%.*s/v2/%.*s/%s", MIO_FMT(s->r->host),
                            MIO_FMT(s->r->name), rest)
        .p;
}

bool mio_env_session_again(struct mio_env_session *s, unsigned *tries)
{
    if (s->err->code != MIO_TRANSIENT || ++*tries >= MIO_REGISTRY_TRIES)
        return false;
    mio_err_clear(s->err);
    mio_sleep_ms((int64_t)PAUSE_MS << *tries);
    return true;
}

/* ---- curl's callbacks ---- */

struct transfer {
    struct mio_env_session *s;
    struct mio_env_exchange *x;
    uint64_t sent, got;
    bool failed; /* writing the answer down */
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;
    curl_easy_getinfo(t->s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->x->out_fd >= 0 && status >= 200 && status < 300) {
        t->got += size * n;
        if (t->x->most && t->got > t->x->most) {
            t->failed = true;
            mio_fail(t->s->err, MIO_IO, "the registry gives more than the manifest says");
            return 0;
        }
        t->failed = mio_fs_write_all(t->x->out_fd, p, size * n, "a blob", t->s->err) != MIO_OK;
        return t->failed ? 0 : size * n;
    }
    mio_buf_add(&t->x->answer, p, size * n);
    return mio_buf_full(&t->x->answer) ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct mio_env_exchange *x = ((struct transfer *)arg)->x;
    struct mio_str line = {p, size * n};
    const struct {
        const char *name;
        char *to;
        size_t room;
    } rows[] = {{"location:", x->location, sizeof x->location},
                {"range:", x->offset, sizeof x->offset},
                {"content-type:", x->answer_type, sizeof x->answer_type},
                {"www-authenticate:", x->challenge, sizeof x->challenge}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t k = strlen(rows[i].name);
        if (line.n <= k || !mio_str_ieq(mio_str_sub(line, 0, k), mio_str_z(rows[i].name)))
            continue;
        struct mio_str v = mio_str_trim(mio_str_sub(line, k, line.n));
        if (v.n < rows[i].room) {
            memcpy(rows[i].to, v.p, v.n);
            rows[i].to[v.n] = 0;
        }
    }
    return size * n;
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    uint64_t left = t->x->body_size - t->sent;
    size_t k = size * n < left ? size * n : (size_t)left;
    if (t->x->body_fd < 0) {
        memcpy(to, t->x->body.p + t->sent, k);
    } else if (k) {
        ssize_t got = pread(t->x->body_fd, to, k, (off_t)(t->x->body_at + t->sent));
        if (got <= 0)
            return CURL_READFUNC_ABORT;
        k = (size_t)got;
    }
    t->sent += k;
    return k;
}

/* ---- one request ---- */

/* TLS 1.2 or newer, verified; a connection is never kept for a request that changes something. */
static void set_up(struct mio_env_session *s, struct mio_env_exchange *x, struct transfer *t)
{
    CURL *c = s->curl;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, x->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, x->follow ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->follow ? NULL : x->method);
    curl_easy_setopt(c, CURLOPT_NOBODY, !strcmp(x->method, "HEAD") ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    if (x->from)
        curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)x->from);
    if (s->r->ca)
        curl_easy_setopt(c, CURLOPT_CAINFO, s->r->ca);
    if (!strcmp(x->method, "PUT") || !strcmp(x->method, "PATCH")) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_size);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    } else if (!strcmp(x->method, "POST")) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    }
}

/* The user's own name and password, or the token that they were changed for. */
static struct curl_slist *headers_of(struct mio_env_session *s, const struct mio_env_exchange *x,
                                     bool own)
{
    struct mio_arena *a = s->a;
    struct curl_slist *h = curl_slist_append(NULL, "Expect:");
    if (x->accept)
        h = curl_slist_append(h, mio_arena_printf(a, "Accept: %s", x->accept).p);
    if (x->type)
        h = curl_slist_append(h, mio_arena_printf(a, "Content-Type: %s", x->type).p);
    if (x->range)
        h = curl_slist_append(h, mio_arena_printf(a, "Content-Range: %s", x->range).p);
    if (s->token.n && !own) {
        h = curl_slist_append(
            h, mio_arena_printf(a, "Authorization: Bearer %.*s", MIO_FMT(s->token)).p);
    } else if (s->r->user && s->r->password) {
        curl_easy_setopt(s->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(s->curl, CURLOPT_USERNAME, s->r->user);
        curl_easy_setopt(s->curl, CURLOPT_PASSWORD, s->r->password);
    }
    return h;
}

static enum mio_code perform(struct mio_env_session *s, struct mio_env_exchange *x, bool own)
{
    struct transfer t = {.s = s, .x = x};
    x->status = 0;
    x->location[0] = x->offset[0] = x->challenge[0] = 0;
    mio_buf_reset(&x->answer);
    if (x->body_fd < 0)
        x->body_size = x->body.n;
    set_up(s, x, &t);
    struct curl_slist *headers = headers_of(s, x, own);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode rc = curl_easy_perform(s->curl);
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &x->status);
    curl_slist_free_all(headers);
    if (t.failed || (rc == CURLE_RANGE_ERROR && x->from) || x->status == 401)
        return s->err->code;
    if (rc &&
        !(rc == CURLE_SEND_ERROR && x->status >= 400)) /* it need not take all of what it refuses */
        return mio_fail(
            s->err,
            rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE ? MIO_AUTH
                                                                                   : MIO_TRANSIENT,
            "the registry %.*s cannot be reached: %s", MIO_FMT(s->r->host), curl_easy_strerror(rc));
    return MIO_OK;
}

/* ---- tokens ---- */

/* Value of NAME="..." in a challenge. */
static struct mio_str parameter(struct mio_str challenge, const char *name)
{
    size_t k = strlen(name);
    for (size_t i = 0; i + k + 2 < challenge.n; i++) {
        bool starts = i == 0 || challenge.p[i - 1] == ' ' || challenge.p[i - 1] == ',';
        if (!starts || memcmp(challenge.p + i, name, k) != 0 || challenge.p[i + k] != '=' ||
            challenge.p[i + k + 1] != '"')
            continue;
        struct mio_str rest = mio_str_sub(challenge, i + k + 2, challenge.n);
        ptrdiff_t end = mio_str_find(rest, '"');
        return end < 0 ? (struct mio_str){0} : mio_str_sub(rest, 0, (size_t)end);
    }
    return (struct mio_str){0};
}

static struct mio_str escaped(struct mio_env_session *s, struct mio_str text)
{
    char *e = curl_easy_escape(s->curl, text.p, (int)text.n);
    struct mio_str copy = mio_arena_str(s->a, mio_str_z(e));
    curl_free(e);
    return copy;
}

/* The server that the challenge names gives a token for the user's name and password, over TLS. */
static enum mio_code fetch_token(struct mio_env_session *s, struct mio_str challenge)
{
    struct mio_str realm = parameter(challenge, "realm"), service = parameter(challenge, "service"),
                   scope = parameter(challenge, "scope");
    struct mio_value answer;
    struct mio_err bad = {0};
    if (!mio_str_starts(realm, "https://"))
        return mio_fail(s->err, MIO_AUTH,
                        "the registry asks for a token from \"%.*s\", not by https",
                        MIO_FMT(realm));
    MIO_AUTO_BUF url;
    mio_buf_init(&url, 1 << 14);
    mio_buf_printf(&url, "%.*s%c", MIO_FMT(realm), mio_str_find(realm, '?') < 0 ? '?' : '&');
    mio_buf_printf(&url, "service=%.*s", MIO_FMT(escaped(s, service)));
    if (scope.n)
        mio_buf_printf(&url, "&scope=%.*s", MIO_FMT(escaped(s, scope)));
    struct mio_env_exchange x;
    mio_env_exchange_init(&x, "GET", mio_arena_str(s->a, mio_buf_view(&url)).p);
    if (!perform(s, &x, true)) {
        struct mio_str text = mio_arena_str(s->a, mio_buf_view(&x.answer));
        if (x.status == 200 && !mio_json_read(s->a, text, NULL, &answer, &bad)) {
            struct mio_str token = mio_get_str(answer, "token");
            s->token = token.n ? token : mio_get_str(answer, "access_token");
            mio_secret_add(s->token);
        }
        if (x.status >= 500 || x.status == 429)
            mio_fail(s->err, MIO_TRANSIENT, "the token server of the registry answers HTTP %ld",
                     x.status);
        else if (!s->token.n)
            mio_fail(s->err, MIO_AUTH,
                     "the token server of the registry refuses this user (HTTP %ld)", x.status);
    }
    mio_env_exchange_free(&x);
    return s->err->code;
}

static enum mio_code judge(struct mio_env_session *s, const struct mio_env_exchange *x)
{
    if (x->status == 401 || x->status == 403) {
        mio_fail(s->err, MIO_AUTH, "the registry refuses this user (HTTP %ld)", x->status);
        return mio_err_hint(s->err, "set MLOPS_IAC_REGISTRY_USER and MLOPS_IAC_REGISTRY_PASSWORD");
    }
    if (x->status >= 500 || x->status == 429) {
        mio_fail(s->err, MIO_TRANSIENT, "the registry answers HTTP %ld", x->status);
        return mio_err_hint(s->err, "run it again later: what has arrived does not travel again");
    }
    if (x->status >= 300 && x->status != 404 && x->status != 416)
        return mio_fail(s->err, MIO_REALITY, "the registry answers HTTP %ld to %s: %.*s", x->status,
                        x->method, (int)(x->answer.n < 200 ? x->answer.n : 200), x->answer.p);
    return MIO_OK;
}

enum mio_code mio_env_exchange_do(struct mio_env_session *s, struct mio_env_exchange *x)
{
    if (perform(s, x, false))
        return s->err->code;
    struct mio_str challenge = mio_arena_str(s->a, mio_str_z(x->challenge));
    if (x->status == 401 && mio_str_ieq(mio_str_sub(challenge, 0, 7), MIO_STR("bearer "))) {
        s->token = (struct mio_str){0}; /* too old, or for something else */
        if (fetch_token(s, challenge) || perform(s, x, false))
            return s->err->code;
    }
    return judge(s, x);
}

enum mio_code mio_env_exchange_insist(struct mio_env_session *s, struct mio_env_exchange *x)
{
    for (unsigned tries = 0; mio_env_exchange_do(s, x);)
        if (!mio_env_session_again(s, &tries))
            break;
    return s->err->code;
}
