/* providers/local/serving.h: what endpoint.c and deployment.c share: folders, HAProxy, supervised
 * services.
 *
 * Below workspaces/WS/endpoints/NAME (0700):
 *
 *   endpoint.json                    inputs, port, wanted traffic
 *   lock                             held while haproxy.cfg and the running HAProxy are changed
 *   haproxy.cfg  keys.sha256         what HAProxy reads; keys/primary, keys/secondary: curl -H
 * @FILE admin.sock  master.sock  in/     sockets of HAProxy, all 0600 services/ scan folder of
 * s6-svscan: links to the service folders haproxy/                         service folder of
 * HAProxy deployments/D/deployment.json    inputs, generation, digest of what a generation is made
 * of deployments/D/gN/code, rI/       one generation: its code, and a service folder a replica;
 * rI/io/s its socket
 *
 * Traffic goes frontend -> backend `traffic`, one server a deployment, whose weight is its
 * percentage -> in/D.sock -> backend d_D, one server a replica. So weights need no arithmetic, and
 * each deployment has its own time limits. */
#pragma once
#include "providers/local/local.h"

struct serving { /* one endpoint */
    struct mio_str ws, name;
    const char *dir;
    struct mio_value record; /* endpoint.json; null when there is none */
};
struct served { /* one deployment */
    struct serving ep;
    struct mio_str name;
    const char *dir;
    struct mio_value record; /* deployment.json; null when there is none */
};

/* The endpoint WS/NAME with its record, if it has one. Errors: MIO_REALITY (damaged record). */
enum mio_code serving_open(struct local *l, struct mio_str ws, struct mio_str name,
                           struct serving *out, struct mio_err *err);
enum mio_code served_open(struct local *l, struct mio_str ws, struct mio_str endpoint,
                          struct mio_str name, struct served *out, struct mio_err *err);
/* Every deployment of the endpoint that has a record and is not being removed, sorted by name. */
enum mio_code served_all(struct local *l, const struct serving *ep, struct served **out, size_t *n,
                         struct mio_err *err);

/* A probe as given, with what Azure ML takes for members that are left out; local ones when there
 * is no probe at all. */
struct probe {
    const char *path;
    int64_t initial_delay, period, timeout, success, failure; /* seconds, times */
};
struct probe served_probe(struct local *l, struct mio_value inputs, const char *key,
                          const char *path);
struct bounds {
    int64_t concurrency;          /* requests in one replica at once */
    int64_t timeout_ms, queue_ms; /* a request may take, and may wait for a replica */
    bool refuse;                  /* more than twice what fits is answered 429, as Azure ML does */
};
struct bounds served_bounds(struct mio_value inputs);

/* ---- sockets (unix_http.c) ---- */

/* Sends `text` to the Unix socket dir/name and reads to the end or `wait_ms`. dir may be of any
 * length. False when nobody listens. */
bool unix_ask(const char *dir, const char *name, const char *text, int wait_ms,
              struct mio_buf *answer);
/* Status of GET `path`, 0 when there is no answer. */
int unix_get(const char *dir, const char *name, const char *path, int wait_ms);

/* ---- ports (port.c) ---- */

/* A socket bound to 127.0.0.1:port, not listening, that keeps the port until it is closed. `want`
 * 0: a free port from 20000 to 32767, the same for the same `seed` where possible. Errors:
 * MIO_REALITY naming who has it. */
enum mio_code port_hold(struct local *l, int64_t want, struct mio_str seed, int *fd, int64_t *port,
                        struct mio_err *err);

/* ---- supervision by s6 (supervise.c) ---- */

/* s6 and what else is needed is installed. */
enum mio_code service_programs(struct local *l, struct mio_err *err);
/* Writes run, log/run and the kill timeout into `dir`; `run` is the body of a shell script. */
enum mio_code service_write(struct local *l, const char *dir, const char *run, struct mio_err *err);
/* Starts s6-svscan for the endpoint unless it runs, links the service folder as `name` and wants it
 * up. */
enum mio_code service_start(struct local *l, const struct serving *ep, const char *dir,
                            const char *name, struct mio_err *err);
/* Signals through s6-svc: 'u' up, 'd' down, 'r' restart, '2' SIGUSR2. */
enum mio_code service_signal(struct local *l, const char *dir, char what, struct mio_err *err);
/* The service has a supervisor, which wants it up and has it running: as this process, else 0. */
pid_t service_pid(struct local *l, const char *dir);
bool service_up(struct local *l, const char *dir);
/* How often it ended since its supervisor started (100 at most); *last: exit status, or 128 +
 * signal. */
int service_deaths(struct local *l, const char *dir, int *last);
/* Down, unlinked and its supervisor gone; nothing to do is fine. */
enum mio_code service_stop(struct local *l, const struct serving *ep, const char *dir,
                           const char *name, struct mio_err *err);
/* Names of the linked services that start with `prefix`. */
enum mio_code service_names(struct local *l, const struct serving *ep, const char *prefix,
                            struct mio_str **names, size_t *n, struct mio_err *err);
/* Ends s6-svscan and everything below it. */
enum mio_code service_stop_all(struct local *l, const struct serving *ep, struct mio_err *err);
/* The last lines of its log without their times, at most `max` bytes; "" when there are none. */
struct mio_str service_log(struct local *l, const char *dir, size_t max);
/* The text as one word of a shell script. */
struct mio_str shell_word(struct mio_arena *a, struct mio_str text);

/* ---- HAProxy (haproxy.c, haproxy_cfg.c) ---- */

/* haproxy.cfg for the endpoint and its deployments with these weights (map of name: percent). *id
 * is the digest of everything in it but the weights. */
struct mio_str haproxy_cfg(struct local *l, const struct serving *ep, const struct served *d,
                           size_t n, struct mio_value weights, struct mio_str *id);
/* Makes the file and the running HAProxy agree with the records: starts it, loads a new
 * configuration without a pause, or sets weights, whichever is needed. traffic: new weights, or
 * null to keep those that the running HAProxy has. Takes the endpoint's lock. Errors: MIO_REALITY
 * with the last lines of its log. */
enum mio_code haproxy_apply(struct local *l, const struct serving *ep, struct mio_value traffic,
                            struct mio_err *err);
/* Tells HAProxy that replicas 0..n-1 are well, which the caller has just seen, so that requests
 * need not wait for its next probe. */
enum mio_code haproxy_well(struct local *l, const struct served *d, int64_t n, struct mio_err *err);
/* Waits until processes of an earlier configuration have answered what they had in flight. */
enum mio_code haproxy_drained(struct local *l, const struct serving *ep, struct mio_err *err);
struct haproxy_state {
    bool up;                  /* answers */
    bool starting;            /* runs, and does not answer yet */
    bool current;             /* runs the configuration that follows from the records */
    struct mio_value weights; /* map of deployment: weight, as the running HAProxy has them */
};
enum mio_code haproxy_read(struct local *l, const struct serving *ep, struct haproxy_state *out,
                           struct mio_err *err);

/* ---- replicas (replica.c) ---- */

/* One generation of a deployment, resolved: everything that its replicas are started with. */
struct replicas {
    const struct served *of;
    int64_t generation;
    const char *dir; /* gN */
    struct mio_value inputs;
    struct mio_str script; /* below code/ */
    const char *model, *model_name,
        *model_version; /* model: absolute path, NULL when there is none */
};
const char *replica_dir(struct local *l, const struct served *d, int64_t generation, int64_t index);
const char *replica_name(struct local *l, const struct served *d, int64_t generation,
                         int64_t index);
/* Writes the service folder of replica `index` and starts it; one that runs is left alone. */
enum mio_code replica_start(struct local *l, const struct replicas *r, int64_t index,
                            struct mio_err *err);
/* Waits until replicas 0..n-1 answer GET /ready. Errors: MIO_REALITY with the last lines of the log
 * of one that ended, MIO_CANCELLED. */
enum mio_code replicas_wait(struct local *l, const struct replicas *r, int64_t n,
                            struct mio_err *err);
/* Stops every replica of the deployment but 0..keep-1 of `generation`; folders and groups go too.
 */
enum mio_code replicas_prune(struct local *l, const struct served *d, int64_t generation,
                             int64_t keep, struct mio_err *err);
struct replicas_state {
    int64_t ready;  /* wanted up and answering GET /ready */
    bool extra;     /* others of this deployment are running */
    bool unlimited; /* one that is ready is not in the control groups it was started for */
};
/* What there is of replicas 0..n-1. */
enum mio_code replicas_look(struct local *l, const struct served *d, int64_t generation, int64_t n,
                            struct replicas_state *out, struct mio_err *err);
