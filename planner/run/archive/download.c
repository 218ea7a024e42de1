/* planner/run/archive/download.c: see archive.h. */
#include "planner/run/archive/archive.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { ATTEMPTS = 3, HOPS = 5, CONNECT_S = 10, STALL_S = 30, TOTAL_S = 240, WAIT_MS = 500 };

struct sink {
    int fd;
    size_t n;
    struct mio_err *err;
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct sink *s = arg;
    if (s->n + n > (size_t)MIO_ARCHIVE_MAX_MIB << 20)
        mio_fail(s->err, MIO_TEMPLATE, "the archive is larger than %d MiB", MIO_ARCHIVE_MAX_MIB);
    else if (mio_fs_write_all(s->fd, p, size * n, "the archive", s->err) == MIO_OK)
        s->n += size * n;
    return s->err->code ? 0 : size * n;
}

static bool prepare(CURL *c, struct sink *s)
{
    const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");
    bool ok = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)TOTAL_S) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "mlops-iac/" MIO_VERSION) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEDATA, s) == CURLE_OK;
    if (ok && file && *file)
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, file) == CURLE_OK;
    if (ok && dir && *dir)
        ok = curl_easy_setopt(c, CURLOPT_CAPATH, dir) == CURLE_OK;
    return ok;
}

/* One attempt into an emptied file. */
static CURLcode attempt(CURL *c, const char *url, struct sink *s, long *status)
{
    *status = 0;
    s->n = 0;
    if (ftruncate(s->fd, 0) || lseek(s->fd, 0, SEEK_SET)) {
        mio_fail_sys(s->err, errno, "cannot empty a file of our own");
        return CURLE_WRITE_ERROR;
    }
    curl_easy_setopt(c, CURLOPT_URL, url);
    CURLcode rc = curl_easy_perform(c);
    if (rc == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    return rc;
}

static bool is_certificate(CURLcode rc)
{
    return rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE;
}

static bool worth_repeating(CURLcode rc, long status)
{
    if (rc != CURLE_OK)
        return !is_certificate(rc) && rc != CURLE_WRITE_ERROR && rc != CURLE_URL_MALFORMAT &&
               rc != CURLE_UNSUPPORTED_PROTOCOL;
    return status == 429 || status == 408 || status >= 500;
}

static enum mio_code unreachable(CURLcode rc, struct mio_err *err)
{
    bool cert = is_certificate(rc);
    mio_fail(err, cert ? MIO_AUTH : MIO_TRANSIENT,
             cert                       ? "the certificate of the server does not hold"
             : rc == CURLE_PARTIAL_FILE ? "the server broke off before the end of the archive"
                                        : "the server does not answer");
    mio_err_cause(err, "%s", curl_easy_strerror(rc));
    return mio_err_hint(err, cert ? "Where an authority of your own signed it, name its file in "
                                    "the variable SSL_CERT_FILE."
                                  : "Check the address, the network and https_proxy.");
}

static enum mio_code refused(long status, struct mio_err *err)
{
    bool denied = status == 401 || status == 403, gone = status == 404 || status == 410;
    mio_fail(err,
             denied                           ? MIO_AUTH
             : status >= 500 || status == 429 ? MIO_TRANSIENT
                                              : MIO_TEMPLATE,
             gone ? "there is no such archive (status %ld)" : "the server answers with status %ld",
             status);
    return mio_err_hint(err, denied ? "Credentials are taken from ~/.netrc."
                                    : "Check the address of the source.");
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart what)
{
    char *x = NULL, *y = NULL;
    bool same = curl_url_get(a, what, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, what, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && !strcasecmp(x, y);
    curl_free(x);
    curl_free(y);
    return same;
}

static bool same_origin(const char *a, const char *b)
{
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK &&
                same_part(x, y, CURLUPART_SCHEME) && same_part(x, y, CURLUPART_HOST) &&
                same_part(x, y, CURLUPART_PORT);
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

/* Where a redirect leads, when it stays with the server. */
static enum mio_code next_hop(struct mio_arena *a, CURL *c, const char **url, struct mio_err *err)
{
    char *to = NULL;
    if (curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || !to)
        return mio_fail(err, MIO_TEMPLATE, "the server redirects to nowhere");
    struct mio_str shown = mio_str_z(to);
    ptrdiff_t query = mio_str_find(shown, '?');
    if (query >= 0) /* it may hold a token */
        shown = mio_str_sub(shown, 0, (size_t)query);
    if (!same_origin(*url, to)) {
        mio_fail(err, MIO_TEMPLATE, "the server redirects to another one: %.*s",
                 MIO_FMT(mio_str_sub(shown, 0, 200)));
        return mio_err_hint(err, "If you trust it, write that address as the source.");
    }
    *url = mio_arena_z(a, mio_str_z(to));
    return MIO_OK;
}

static enum mio_code get(struct mio_arena *a, CURL *c, const char *url, struct sink *s,
                         struct mio_err *err)
{
    long status = 0;
    for (int hop = 0; hop <= HOPS; hop++) {
        CURLcode rc = attempt(c, url, s, &status);
        for (int i = 1; i < ATTEMPTS && !err->code && worth_repeating(rc, status); i++) {
            mio_sleep_ms(WAIT_MS * i);
            rc = attempt(c, url, s, &status);
        }
        if (err->code) /* the sink said no */
            return err->code;
        if (rc != CURLE_OK)
            return unreachable(rc, err);
        if (status == 200)
            return MIO_OK;
        if (status / 100 != 3)
            return refused(status, err);
        if (next_hop(a, c, &url, err))
            return err->code;
    }
    return mio_fail(err, MIO_TEMPLATE, "the server redirects more than %d times", HOPS);
}

enum mio_code mio_archive_download(struct mio_arena *a, const char *url, int fd,
                                   struct mio_err *err)
{
    struct sink s = {.fd = fd, .err = err};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return mio_fail(err, MIO_IO, "libcurl does not start");
    CURL *c = curl_easy_init();
    if (!c || !prepare(c, &s))
        mio_fail(err, MIO_IO, "libcurl lacks what is needed for https");
    else
        get(a, c, url, &s, err);
    curl_easy_cleanup(c);
    curl_global_cleanup();
    return err->code;
}
