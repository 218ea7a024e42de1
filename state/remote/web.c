/* state/remote/web.c: see web.h. */
#include "state/remote/web.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/log.h"
#include "state/remote/wait.h"
#include <curl/curl.h>

enum { ATTEMPTS = 5, SILENCES = 2, CONNECT_S = 10, FIRST_WAIT_MS = 200, LONGEST_WAIT_MS = 10000 };
enum { SLOWEST = 1000 }; /* bytes a second; less is as good as nothing */
static const size_t body_max = (size_t)512 << 20;

struct mio_web {
    CURL *curl;
    bool insecure_http;
    unsigned timeout_s;
    bool given_up; /* the last call ended in silence: the next one is not patient for long */
};

static void once(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum mio_code mio_web_open(const struct mio_web_opts *o, struct mio_web **out, struct mio_err *err)
{
    once();
    CURL *c = curl_easy_init();
    if (!c)
        return mio_fail(err, MIO_IO, "libcurl does not start");
    struct mio_web *w = mio_alloc(sizeof *w);
    *w = (struct mio_web){.curl = c, .insecure_http = o->insecure_http, .timeout_s = o->timeout_s};
    bool ok = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SLOWEST) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)o->timeout_s) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "mlops-iac/" MIO_VERSION) == CURLE_OK;
    if (ok && o->ca_file)
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file) == CURLE_OK;
    if (ok && o->user)
        ok = curl_easy_setopt(c, CURLOPT_USERNAME, o->user) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_PASSWORD, o->password ? o->password : "") == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK;
    if (!ok) {
        mio_web_close(w);
        return mio_fail(err, MIO_IO, "libcurl lacks what a backend needs");
    }
    *out = w;
    return MIO_OK;
}

void mio_web_close(struct mio_web *w)
{
    if (!w)
        return;
    curl_easy_cleanup(w->curl);
    free(w);
}

/* ---- one attempt ---- */

/* The address as far as it may be shown. */
static struct mio_str shown(const char *url)
{
    struct mio_str s = mio_str_z(url);
    ptrdiff_t q = mio_str_find(s, '?');
    return q < 0 ? s : mio_str_sub(s, 0, (size_t)q);
}

struct attempt {
    struct mio_buf body, etag;
    long retry_after_s;
    const char *url;
    unsigned number, timeout_s; /* number: 1 for the first */
    curl_off_t moved;           /* bytes, both ways */
    int64_t moved_ms;           /* when the last of them did */
    bool told;
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct attempt *t = arg;
    mio_buf_add(&t->body, p, size * n);
    return mio_buf_full(&t->body) ? 0 : size * n;
}

static bool header_value(struct mio_str line, const char *name, struct mio_str *value)
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return false;
    *value = mio_str_trim(mio_str_sub(line, n + 1, line.n));
    return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct attempt *t = arg;
    struct mio_str line = {p, size * n}, value;
    uint64_t seconds;
    if (header_value(line, "etag", &value)) {
        mio_buf_reset(&t->etag);
        mio_buf_str(&t->etag, value);
    }
    if (header_value(line, "retry-after", &value) && mio_str_u64(value, &seconds) && seconds < 3600)
        t->retry_after_s = (long)seconds;
    return size * n;
}

/* Says, once an attempt, whose answer is waited for: a server that accepts and says nothing would
 * make the program look as if it hung. */
static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    struct attempt *t = arg;
    int64_t now = mio_now_ms();
    if (down + up != t->moved) {
        t->moved = down + up;
        t->moved_ms = now;
    }
    if (!t->told && now - t->moved_ms >= MIO_SILENT_MS) {
        mio_log(MIO_WARN, "state",
                "no answer from %.*s for %d s; this is attempt %u, each waits up to %u s",
                MIO_FMT(shown(t->url)), MIO_SILENT_MS / 1000, t->number, t->timeout_s);
        t->told = true;
    }
    return 0;
}

static CURLcode perform(struct mio_web *w, const struct mio_web_call *c, struct attempt *t,
                        long *status)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; i < MIO_WEB_HEADERS && c->headers[i].n; i++) {
        MIO_AUTO_BUF z = {0};
        mio_buf_str(&z, c->headers[i]);
        headers = curl_slist_append(headers, z.p);
    }
    bool head = strcmp(c->method, "HEAD") == 0;
    curl_easy_setopt(w->curl, CURLOPT_URL, c->url);
    curl_easy_setopt(w->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(w->curl, CURLOPT_NOBODY, head ? 1L : 0L);
    if (c->has_body) {
        curl_easy_setopt(w->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, c->body.n ? c->body.p : "");
        curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
    }
    curl_easy_setopt(w->curl, CURLOPT_CUSTOMREQUEST, c->method);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(w->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(w->curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(w->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFODATA, t);
    CURLcode rc = mio_fault("request") ? CURLE_COULDNT_CONNECT : curl_easy_perform(w->curl);
    if (rc == CURLE_OK && mio_fault("reply"))
        rc = CURLE_RECV_ERROR;
    *status = 0;
    if (rc == CURLE_OK)
        curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- calls ---- */

static bool loopback(const char *url)
{
    static const char *const names[] = {"http://127.", "http://localhost:", "http://localhost/",
                                        "http://[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(url, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static enum mio_code check_url(const struct mio_web *w, const char *url, struct mio_err *err)
{
    if (strncmp(url, "https://", 8) == 0 ||
        (strncmp(url, "http://", 7) == 0 && (w->insecure_http || loopback(url))))
        return MIO_OK;
    mio_fail(err, MIO_USAGE, "the address %.*s is not https", MIO_FMT(shown(url)));
    return mio_err_hint(
        err, "Use https, or set `insecure_http: true` where the network itself is trusted.");
}

static enum mio_code unreachable(const char *url, CURLcode rc, int64_t waited_ms,
                                 struct mio_err *err)
{
    bool cert = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE ||
                rc == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
    if (cert)
        mio_fail(err, MIO_AUTH, "the certificate of %.*s does not hold", MIO_FMT(shown(url)));
    else
        mio_fail(err, MIO_TRANSIENT, "no answer from %.*s in %lld s", MIO_FMT(shown(url)),
                 (long long)(waited_ms + 500) / 1000);
    mio_err_cause(err, "%s", curl_easy_strerror(rc));
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return mio_silent_hint(err);
    return mio_err_hint(err,
                        cert ? "Give the authority that signed it with `ca_file`."
                             : "Check the address and the network, then run the command again.");
}

static void wait_before(unsigned attempt, long retry_after_s)
{
    int64_t most = (int64_t)FIRST_WAIT_MS << attempt;
    uint16_t noise;
    mio_random(&noise, sizeof noise);
    int64_t ms = most * noise / UINT16_MAX;
    if (retry_after_s * 1000 > ms)
        ms = retry_after_s * 1000;
    mio_sleep_ms(ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS);
}

/* Who was silent so long for a second time is given up. */
static bool worth_repeating(CURLcode rc, long status, unsigned *silences)
{
    if (rc == CURLE_OPERATION_TIMEDOUT && ++*silences == SILENCES)
        return false;
    if (rc != CURLE_OK)
        return rc != CURLE_PEER_FAILED_VERIFICATION && rc != CURLE_SSL_CACERT_BADFILE &&
               rc != CURLE_URL_MALFORMAT && rc != CURLE_UNSUPPORTED_PROTOCOL &&
               rc != CURLE_WRITE_ERROR;
    return status == 429 || status == 408 || status >= 500;
}

enum mio_code mio_web_unexpected(const struct mio_web_call *c, const struct mio_web_reply *r,
                                 struct mio_err *err)
{
    bool denied = r->status == 401 || r->status == 403,
         later = r->status == 429 || r->status >= 500;
    struct mio_str words = mio_str_sub(mio_str_trim(r->body), 0, 160);
    mio_fail(err,
             denied  ? MIO_AUTH
             : later ? MIO_TRANSIENT
                     : MIO_IO,
             "%s %.*s: status %ld", c->method, MIO_FMT(shown(c->url)), r->status);
    mio_err_cause(err, "%.*s", MIO_FMT(words));
    if (denied)
        mio_err_hint(err, "Check the credentials of the backend and what they are allowed.");
    return err->code;
}

enum mio_code mio_web_call(struct mio_web *w, struct mio_arena *a, const struct mio_web_call *c,
                           struct mio_web_reply *out, struct mio_err *err)
{
    enum mio_code code = check_url(w, c->url, err);
    if (code)
        return code;
    bool unanswered = false;
    unsigned silences = w->given_up;
    int64_t begun = mio_now_ms();
    for (unsigned attempt = 0;; attempt++) {
        struct attempt t = {.body = {.cap = body_max},
                            .url = c->url,
                            .number = attempt + 1,
                            .timeout_s = w->timeout_s,
                            .moved_ms = mio_now_ms()};
        long status;
        CURLcode rc = perform(w, c, &t, &status);
        bool again = worth_repeating(rc, status, &silences) && attempt + 1 < ATTEMPTS;
        if (!again && rc == CURLE_OK)
            *out = (struct mio_web_reply){.status = status,
                                          .body = mio_arena_str(a, mio_buf_view(&t.body)),
                                          .etag = mio_arena_str(a, mio_buf_view(&t.etag)),
                                          .repeated = unanswered};
        mio_buf_free(&t.body);
        mio_buf_free(&t.etag);
        if (again) {
            unanswered = true;
            wait_before(attempt, t.retry_after_s);
            continue;
        }
        w->given_up = rc == CURLE_OPERATION_TIMEDOUT;
        if (rc != CURLE_OK)
            return unreachable(c->url, rc, mio_now_ms() - begun, err);
        bool bad = status == 401 || status == 403 || status == 429 || status >= 500;
        return bad ? mio_web_unexpected(c, out, err) : MIO_OK;
    }
}

/* ---- text ---- */

struct mio_str mio_web_escape(struct mio_arena *a, struct mio_str text, bool slashes)
{
    MIO_AUTO_BUF b = {0};
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.~", c)) || (slashes && c == '/');
        if (plain)
            mio_buf_char(&b, c);
        else
            mio_buf_printf(&b, "%%%02X", (unsigned char)c);
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

static struct mio_str unescape_xml(struct mio_arena *a, struct mio_str s)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},
                    {"&quot;", '"'}, {"&apos;", '\''}, {"&#34;", '"'}};
    char *out = mio_arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        size_t step = 1;
        out[n] = s.p[i];
        for (size_t k = 0; s.p[i] == '&' && k < sizeof entities / sizeof *entities; k++)
            if (mio_str_starts(mio_str_sub(s, i, s.n), entities[k].name)) {
                out[n] = entities[k].c;
                step = strlen(entities[k].name);
            }
        i += step;
        n++;
    }
    out[n] = '\0';
    return (struct mio_str){out, n};
}

size_t mio_xml_texts(struct mio_arena *a, struct mio_str xml, const char *tag, struct mio_str **out)
{
    char open[64], close[64];
    size_t n = 0, cap = 0;
    snprintf(open, sizeof open, "<%s>", tag);
    snprintf(close, sizeof close, "</%s>", tag);
    *out = NULL;
    const char *p = xml.p, *end = xml.p + xml.n;
    while (p < end) {
        const char *from = memmem(p, (size_t)(end - p), open, strlen(open));
        if (!from)
            break;
        from += strlen(open);
        const char *to = memmem(from, (size_t)(end - from), close, strlen(close));
        if (!to)
            break;
        MIO_PUSH(a, *out, n, cap) = unescape_xml(a, (struct mio_str){from, (size_t)(to - from)});
        p = to + strlen(close);
    }
    return n;
}
