/* providers/environment/download.c: libcurl, eight transfers at a time. */
#include "providers/environment/download.h"
#include "providers/sdk/fs.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { AT_ONCE = 8, CONNECT_MS = 20000, STALL_S = 60, MAX_HOPS = 8 };

struct transfer {
    struct mio_env_download *item;
    const char *tmp;
    FILE *to;
    CURL *curl;
    char why[CURL_ERROR_SIZE];
};

static struct mio_str local_path(struct mio_str url)
{
    if (mio_str_starts(url, "file://"))
        return mio_str_sub(url, 7, url.n);
    return mio_str_find(url, ':') < 0 ? url : (struct mio_str){0};
}

static enum mio_code accept_file(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_env_download *d, const char *tmp)
{
    struct mio_str hex, name = mio_path_base(d->url);
    uint64_t size;
    if (mio_env_file_sha256(a, tmp, &hex, &size, &d->err))
        return d->err.code;
    if (d->sha256.n && !mio_str_eq(d->sha256, hex)) {
        mio_fail(&d->err, MIO_IO, "%.*s: SHA-256 is %.*s, not %.*s", MIO_FMT(name), MIO_FMT(hex),
                 MIO_FMT(d->sha256));
        return mio_err_hint(&d->err, "what lies at the address is not what was locked: take the "
                                     "file from a vendored folder, or lock anew");
    }
    if (rename(tmp, mio_env_store_blob(a, s, hex)))
        return mio_fail_sys(&d->err, errno, "cannot move %.*s into the store", MIO_FMT(name));
    d->sha256 = hex;
    d->size = size;
    d->done = true;
    return MIO_OK;
}

static void copy_local(struct mio_arena *a, const struct mio_env_store *s,
                       struct mio_env_download *d, struct mio_str path)
{
    const char *tmp = mio_env_store_tmp(a, s), *from = mio_arena_z(a, path);
    if (!mio_fs_exists(from) || mio_fs_is_dir(from))
        mio_fail(&d->err, MIO_REALITY, "%s is not there", from);
    else if (!mio_fs_copy_tree(from, tmp, &d->err))
        accept_file(a, s, d, tmp);
    unlink(tmp);
}

/* Certificates as pip and uv are told of them. */
static void set_trust(CURL *c)
{
    static const char *const names[] = {"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = getenv(names[i]);
        if (path && *path) {
            curl_easy_setopt(c, CURLOPT_CAINFO, path);
            return;
        }
    }
}

static void begin(struct mio_arena *a, const struct mio_env_store *s, CURLM *multi,
                  struct transfer *t, struct mio_env_download *d)
{
    *t = (struct transfer){.item = d, .tmp = mio_env_store_tmp(a, s), .curl = curl_easy_init()};
    t->to = fopen(t->tmp, "wxe");
    CURL *c = t->curl;
    if (!t->to || !c) {
        mio_fail_sys(&d->err, errno, "cannot make %s", t->tmp);
        return;
    }
    curl_easy_setopt(c, CURLOPT_URL, mio_arena_z(a, d->url));
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)MAX_HOPS);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t->to);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    if (d->size)
        curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)d->size);
    set_trust(c);
    curl_multi_add_handle(multi, c);
}

/* The host, without user and password. */
static struct mio_str host_of(struct mio_str url)
{
    const char *at = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    struct mio_str rest = at ? mio_str_sub(url, (size_t)(at - url.p) + 3, url.n) : url;
    ptrdiff_t slash = mio_str_find(rest, '/');
    rest = mio_str_sub(rest, 0, slash < 0 ? rest.n : (size_t)slash);
    ptrdiff_t user = mio_str_find(rest, '@');
    return mio_str_sub(rest, (size_t)(user + 1), rest.n);
}

static void end(struct mio_arena *a, const struct mio_env_store *s, struct transfer *t, CURLcode rc)
{
    struct mio_env_download *d = t->item;
    struct mio_str name = mio_path_base(d->url), host = host_of(d->url);
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    bool flushed = !fclose(t->to);
    if (rc == CURLE_WRITE_ERROR || !flushed)
        mio_fail_sys(&d->err, errno, "cannot write %.*s", MIO_FMT(name));
    else if (rc == CURLE_FILESIZE_EXCEEDED)
        mio_fail(&d->err, MIO_IO, "%.*s is larger than it should be", MIO_FMT(name));
    else if (rc == CURLE_HTTP_RETURNED_ERROR)
        mio_fail(&d->err,
                 status == 401 || status == 403   ? MIO_AUTH
                 : status == 404 || status == 410 ? MIO_REALITY
                                                  : MIO_TRANSIENT,
                 "%.*s gave no %.*s (HTTP %ld)", MIO_FMT(host), MIO_FMT(name), status);
    else if (rc)
        mio_fail(&d->err, MIO_TRANSIENT, "%.*s gave no %.*s: %s", MIO_FMT(host), MIO_FMT(name),
                 t->why[0] ? t->why : curl_easy_strerror(rc));
    else
        accept_file(a, s, d, t->tmp);
    unlink(t->tmp);
    curl_easy_cleanup(t->curl);
    *t = (struct transfer){0};
}

static void finish(struct mio_arena *a, const struct mio_env_store *s, CURLM *multi,
                   size_t *running)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(multi, t->curl);
        end(a, s, t, rc);
        --*running;
    }
}

static void over_network(struct mio_arena *a, const struct mio_env_store *s,
                         struct mio_env_download **todo, size_t n)
{
    struct transfer slots[AT_ONCE] = {0};
    CURLM *multi = curl_multi_init();
    size_t next = 0, running = 0;
    while (next < n || running) {
        for (size_t k = 0; k < AT_ONCE && next < n; k++)
            if (!slots[k].item) {
                begin(a, s, multi, &slots[k], todo[next++]);
                if (slots[k].item->err.code) {
                    if (slots[k].to)
                        fclose(slots[k].to);
                    curl_easy_cleanup(slots[k].curl);
                    slots[k] = (struct transfer){0};
                } else
                    running++;
            }
        int busy = 0;
        curl_multi_perform(multi, &busy);
        finish(a, s, multi, &running);
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    curl_multi_cleanup(multi);
}

enum mio_code mio_env_download(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_env_download *items, size_t n, struct mio_err *err)
{
    struct mio_env_download **todo = MIO_NEW_N(a, struct mio_env_download *, n + 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        struct mio_env_download *d = &items[i];
        struct stat st;
        struct mio_str path = local_path(d->url);
        if (d->sha256.n && !stat(mio_env_store_blob(a, s, d->sha256), &st)) {
            d->size = (uint64_t)st.st_size;
            d->done = true;
        } else if (path.n)
            copy_local(a, s, d, path);
        else
            todo[k++] = d;
    }
    if (k)
        over_network(a, s, todo, k);
    for (size_t i = 0; i < n; i++)
        if (!items[i].done) {
            *err = items[i].err;
            return err->code;
        }
    return MIO_OK;
}
