/* providers/local/haproxy_cfg.c: the records of an endpoint as a configuration of HAProxy 2.6.
 * Pure. */
#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"

/* Answered by HAProxy itself, for the servers of backend `traffic`. */
#define HEALTH "/.mlops-iac/health"
enum { CLIENT_S = 30, KEEPALIVE_S = 5, CONNECTIONS = 4000, ID_CHARS = 16 };

/* %s: the identifier. A connection that is idle when a new configuration is loaded ends with its
 * next answer or after KEEPALIVE_S: never between two bytes of a request. */
static const char head[] =
    "# Made by mlops-iac from endpoint.json and deployments/*/deployment.json; changes are "
    "overwritten.\n"
    "global\n"
    "    description %s\n"
    "    stats socket unix@admin.sock mode 600 level admin expose-fd listeners\n"
    "    log stderr format raw local0 notice\n"
    "    maxconn %d\n"
    "    no strict-limits\n"
    "    nbthread 2\n"
    "    hard-stop-after 200s\n"
    "defaults\n"
    "    mode http\n"
    "    log global\n"
    "    timeout connect 2s\n"
    "    timeout client %ds\n"
    "    timeout http-request 30s\n"
    "    timeout http-keep-alive %ds\n"
    "    timeout check 1s\n"
    "    option redispatch 1\n"
    "    retries 3\n"
    "    retry-on conn-failure empty-response\n";

static bool needs_key(const struct serving *ep)
{
    return !mio_str_ieq(mio_get_str(local_get(ep->record, "inputs"), "auth_mode"), MIO_STR("none"));
}

/* %.*s: digest of the keys, so that new keys are a new configuration. */
static const char check_key[] =
    "    # keys %.*s\n"
    "    http-request return status 401 content-type application/json string "
    "'{\"message\":\"The key is missing or wrong; send Authorization: Bearer KEY.\"}' hdr "
    "WWW-Authenticate Bearer "
    "unless { http_auth_bearer,sha2(256),hex -m str -f keys.sha256 }\n"
    "    http-request del-header authorization\n";
static const char unknown_deployment[] =
    "    http-request return status 404 content-type application/json string "
    "'{\"message\":\"No deployment of the name that the header azureml-model-deployment gives.\"}' "
    "if { req.hdr(azureml-model-deployment) -m found }";

static void add_frontend(struct mio_buf *b, const struct serving *ep, const struct served *d,
                         size_t n)
{
    mio_buf_printf(b,
                   "frontend endpoint\n"
                   "    bind 127.0.0.1:%jd\n"
                   "    option idle-close-on-response\n",
                   (intmax_t)mio_get_i64(ep->record, "port", 0));
    if (needs_key(ep))
        mio_buf_printf(b, check_key, MIO_FMT(mio_get_str(ep->record, "keys")));
    for (size_t i = 0; i < n; i++) /* a line each: HAProxy takes no long lines */
        mio_buf_printf(b, "    acl known req.hdr(azureml-model-deployment) -m str %.*s\n",
                       MIO_FMT(d[i].name));
    mio_buf_z(b, unknown_deployment);
    mio_buf_z(b, n ? " !known\n" : "\n");
    for (size_t i = 0; i < n; i++)
        mio_buf_printf(
            b, "    use_backend d_%.*s if { req.hdr(azureml-model-deployment) -m str %.*s }\n",
            MIO_FMT(d[i].name), MIO_FMT(d[i].name));
    mio_buf_z(b, "    default_backend traffic\n");
}

/* 0 when it has none. */
static int64_t weight_of(struct mio_value weights, struct mio_str name)
{
    const struct mio_value *w = mio_get(weights, name);
    int64_t out = 0;
    return w && mio_value_i64(*w, &out) ? out : 0;
}

static void add_traffic(struct mio_buf *b, const struct served *d, size_t n,
                        struct mio_value weights)
{
    int64_t longest = 1000;
    for (size_t i = 0; i < n; i++) {
        struct bounds at = served_bounds(local_get(d[i].record, "inputs"));
        int64_t total = at.timeout_ms + at.queue_ms + 1000;
        longest = total > longest ? total : longest;
    }
    mio_buf_printf(b,
                   "backend traffic\n"
                   "    option httpchk GET " HEALTH "\n"
                   "    option http-server-close\n"
                   "    timeout queue 1s\n"
                   "    timeout server %jdms\n"
                   "    http-request disable-l7-retry if METH_POST\n",
                   (intmax_t)longest);
    for (size_t i = 0; i < n; i++)
        mio_buf_printf(b, "    server %.*s unix@in/%.*s.sock weight %jd check inter 250ms\n",
                       MIO_FMT(d[i].name), MIO_FMT(d[i].name),
                       (intmax_t)weight_of(weights, d[i].name));
}

/* The first probe of a new process may be answered by the old one, whose backends count no server
 * once it is stopping: that says nothing of the replicas.
 *
 * No connection to a replica is used twice: one that cannot be made is safely tried elsewhere,
 * while a request that was sent into a kept connection just as the replica died could only be
 * answered 502. */
static void add_deployment(struct local *l, struct mio_buf *b, const struct served *d)
{
    struct mio_value inputs = local_get(d->record, "inputs");
    struct bounds at = served_bounds(inputs);
    struct probe ready = served_probe(l, inputs, "readiness_probe", "/ready");
    int64_t n = mio_get_i64(d->record, "replicas", 1);
    int64_t generation = mio_get_i64(d->record, "generation", 1);
    mio_buf_printf(b,
                   "frontend in_%.*s\n"
                   "    bind unix@in/%.*s.sock mode 600\n"
                   "    monitor-uri " HEALTH "\n"
                   "    monitor fail if { nbsrv(d_%.*s) lt 1 } !{ stopping }\n"
                   "    default_backend d_%.*s\n",
                   MIO_FMT(d->name), MIO_FMT(d->name), MIO_FMT(d->name), MIO_FMT(d->name));
    mio_buf_printf(b,
                   "backend d_%.*s\n"
                   "    balance leastconn\n"
                   "    http-reuse never\n"
                   "    option httpchk GET %s\n"
                   "    timeout check %jds\n"
                   "    timeout queue %jdms\n"
                   "    timeout server %jdms\n"
                   "    http-request disable-l7-retry if METH_POST\n"
                   "    http-response set-header azureml-model-deployment %.*s\n",
                   MIO_FMT(d->name), ready.path, (intmax_t)ready.timeout, (intmax_t)at.queue_ms,
                   (intmax_t)at.timeout_ms, MIO_FMT(d->name));
    if (at.refuse)
        mio_buf_printf(
            b,
            "    http-request return status 429 content-type application/json string "
            "'{\"message\":\"Too many requests at once.\"}' if { be_conn(d_%.*s) gt %jd }\n",
            MIO_FMT(d->name), (intmax_t)(2 * at.concurrency * n));
    for (int64_t i = 0; i < n; i++)
        mio_buf_printf(
            b,
            "    server r%jd unix@deployments/%.*s/g%jd/r%jd/io/s maxconn %jd check inter %jds "
            "fastinter 500ms rise %jd fall %jd\n",
            (intmax_t)i, MIO_FMT(d->name), (intmax_t)generation, (intmax_t)i,
            (intmax_t)at.concurrency, (intmax_t)ready.period, (intmax_t)ready.success,
            (intmax_t)ready.failure);
}

static struct mio_str write_cfg(struct local *l, const struct serving *ep, const struct served *d,
                                size_t n, struct mio_value weights, const char *id)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, head, id, CONNECTIONS, CLIENT_S, KEEPALIVE_S);
    add_frontend(&b, ep, d, n);
    add_traffic(&b, d, n, weights);
    for (size_t i = 0; i < n; i++)
        add_deployment(l, &b, &d[i]);
    return mio_arena_str(l->a, mio_buf_view(&b));
}

struct mio_str haproxy_cfg(struct local *l, const struct serving *ep, const struct served *d,
                           size_t n, struct mio_value weights, struct mio_str *id)
{
    char hex[MIO_SHA256_HEX + 1];
    uint8_t sum[MIO_SHA256_LEN];
    struct mio_str unweighted = write_cfg(l, ep, d, n, mio_null(), "-");
    mio_sha256_of(unweighted.p, unweighted.n, sum);
    mio_hex(sum, sizeof sum, hex);
    *id = mio_arena_str(l->a, (struct mio_str){hex, ID_CHARS});
    return write_cfg(l, ep, d, n, weights, id->p);
}
