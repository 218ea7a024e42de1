/* tests/faults/far.c: the plugin `sim` whose cloud is not in the same process: what is asked of
 * things goes by HTTP to FAULTS_URL (see far.py), the rest is the real one's.
 *
 * What is known of a change whose answer did not come: nothing, unless no connection was made or
 * the answer is 429. Each call has a connection of its own: a library that sends a request again on
 * a connection that died would make things twice. */
#include <curl/curl.h>
#include <dlfcn.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/plugin.h"

static struct mlops_provider mine; /* set once, when the plugin is loaded */

struct reply {
    CURLcode got;
    long status, retry_after_s;
    struct mio_buf body;
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct reply *r = arg;
    mio_buf_add(&r->body, p, size * n);
    return size * n;
}

static void ask(const struct mlops_call *c, struct mio_value question, struct reply *r)
{
    MIO_AUTO_BUF text = {0};
    mio_json_write(&text, question, MIO_JSON_PLAIN);
    CURL *h = curl_easy_init();
    int64_t left = c->deadline_ms - mio_now_ms();
    const char *url = getenv("FAULTS_URL");
    *r = (struct reply){.got = CURLE_FAILED_INIT};
    if (!h || !url)
        return;
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, left > 1 ? (long)left : 1L);
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, text.p);
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text.n);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, r);
    r->got = curl_easy_perform(h);
    curl_off_t after = 0;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &after);
    r->retry_after_s = (long)after;
    curl_easy_cleanup(h);
}

/* MLOPS_OK: *out is what was answered. */
static int settle(const struct mlops_call *c, struct mio_arena *a, struct reply *r,
                  struct mio_value *out)
{
    struct mio_err err = {0};
    bool whole = r->got == CURLE_OK;
    bool definite = r->got == CURLE_COULDNT_CONNECT || (whole && r->status == 429);
    if (whole && r->status == 409)
        mio_fail(&err, MIO_REALITY, "%.*s", MIO_FMT(mio_buf_view(&r->body)));
    else if (!whole || r->status != 200)
        mio_fail(&err, MIO_TRANSIENT, "the cloud is far away: status %ld, %s", r->status,
                 curl_easy_strerror(r->got));
    err.ambiguous = err.code == MIO_TRANSIENT && !definite;
    err.retry_after_ms = (uint32_t)r->retry_after_s * 1000;
    if (!err.code)
        mio_json_read(a, mio_arena_str(a, mio_buf_view(&r->body)), NULL, out, &err);
    mio_buf_free(&r->body);
    return err.code ? mio_plugin_fail(c, &err) : MLOPS_OK;
}

static struct mio_value text(const char *z)
{
    return z ? mio_string(mio_str_z(z)) : mio_null();
}

static int emit(struct mio_arena *a, const struct mlops_call *c, size_t i, struct mio_value thing)
{
    const struct mio_value *attributes = mio_get_z(thing, "attributes");
    return mio_plugin_emit(a, c, i, mio_get_str(thing, "id"), mio_get_str(thing, "fingerprint"),
                           attributes ? *attributes : mio_null());
}

/* Asks; the things that come back are emitted as 0, 1, ...; null stands for one that is not there.
 */
static int call(const struct mlops_call *c, struct mio_pair *pairs, uint32_t n)
{
    struct mio_arena a;
    struct mio_value answer = mio_null();
    struct reply r;
    mio_arena_init(&a);
    ask(c, mio_map(pairs, n), &r);
    int status = settle(c, &a, &r, &answer);
    for (uint32_t i = 0; status == MLOPS_OK && answer.type == MIO_LIST && i < answer.n; i++) {
        if (mio_is_null(answer.items[i]))
            mio_plugin_emit_status(c, i, MLOPS_NOT_FOUND);
        else
            emit(&a, c, i, answer.items[i]);
    }
    mio_arena_free(&a);
    return status;
}

#define PAIR(k, v) ((struct mio_pair){MIO_STR(k), v})

static int change(const char *op, const struct mlops_call *c, const struct mlops_change_args *a)
{
    struct mio_pair pairs[] = {PAIR("op", text(op)), PAIR("kind", text(a->kind)),
                               PAIR("key", text(c->idempotency_key)), PAIR("id", text(a->id)),
                               PAIR("inputs", text(a->inputs))};
    return call(c, pairs, sizeof pairs / sizeof *pairs);
}

static int create(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    (void)p;
    return change("create", c, a);
}

static int update(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    (void)p;
    return change("update", c, a);
}

static int remove_thing(struct mlops_instance *p, const struct mlops_call *c,
                        const struct mlops_change_args *a)
{
    (void)p;
    return change("delete", c, a);
}

static int read_many(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_read_args *a)
{
    (void)p;
    struct mio_value *ids = mio_alloc(a->count * sizeof *ids);
    for (size_t i = 0; i < a->count; i++)
        ids[i] = text(mio_plugin_item(a, i)->id);
    struct mio_pair pairs[] = {PAIR("op", text("read")),
                               PAIR("ids", mio_list(ids, (uint32_t)a->count))};
    int status = call(c, pairs, 2);
    free(ids);
    return status;
}

static int import(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_import_args *a)
{
    (void)p;
    struct mio_value id = text(a->id);
    struct mio_pair pairs[] = {PAIR("op", text("read")), PAIR("ids", mio_list(&id, 1))};
    return call(c, pairs, 2);
}

static int lookup(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_lookup_args *a)
{
    (void)p;
    struct mio_pair pairs[] = {PAIR("op", text("lookup")), PAIR("kind", text(a->kind)),
                               PAIR("key", text(a->key))};
    return call(c, pairs, 3);
}

const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host)
{
    const char *path = getenv("FAULTS_SIM");
    void *so = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const struct mlops_provider *(*entry)(const struct mlops_host *) = NULL;
    if (so)
        *(void **)&entry = dlsym(so, "mlops_provider_v1");
    if (!entry || curl_global_init(CURL_GLOBAL_DEFAULT))
        return NULL;
    mine = *entry(host);
    mine.create = create;
    mine.update = update;
    mine.remove = remove_thing;
    mine.read_many = read_many;
    mine.import = import;
    mine.lookup_by_key = lookup;
    return &mine;
}
