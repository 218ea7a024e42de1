/* tests/providers/local/serving_support.h: a workspace with an endpoint to serve from, and what a
 * client and a meddler do to it. */
#pragma once
#include "tests/providers/local/support.h"

/* fixture_open plus workspace ws; serving_close fails when a process of the fixture is left, and
 * ends it. */
int serving_setup(void **state);
int serving_teardown(void **state);

/* Endpoint ws/fare with these further inputs ("" or "'port':8080,"), and deployment `name` whose
 * run() gives back its own name in {"by": name, "got": body}. more: "'instance_count':2,". Both
 * must succeed. */
struct answer make_endpoint(struct fixture *f, const char *more);
struct answer make_deployment(struct fixture *f, const char *name, const char *more);
const char *deployment_inputs(struct fixture *f, const char *name, const char *more);
struct answer set_traffic(struct fixture *f, const char *traffic); /* "'blue':90,'green':10" */
/* Scoring script of deployment `name`. */
void put_script(struct fixture *f, const char *name, const char *script);
void put_plain_script(struct fixture *f, const char *name, const char *says);
const char *endpoint_dir(struct fixture *f);
const char *endpoint_file(struct fixture *f, const char *name);

struct reply {
    int status; /* 0: no answer */
    struct mio_str head, body;
};
/* One request on a connection of its own. header: "" or "Name: value\r\n". The key is the
 * endpoint's. */
struct reply send_to(struct fixture *f, const char *method, const char *path, const char *header,
                     const char *body);
struct reply score(struct fixture *f, const char *body); /* POST /score with the primary key */
struct mio_str header_of(struct fixture *f, const struct reply *r, const char *name);
const char *key_header(struct fixture *f, const char *which); /* "Authorization: Bearer ...\r\n" */

/* A command of HAProxy's runtime API on admin.sock. */
const char *runtime(struct fixture *f, const char *command);
/* Runs a program to its end; fails unless it succeeds. Gives what it printed. */
const char *run(struct fixture *f, const char *const *argv);
#define RUN(f, ...) run((f), (const char *const[]){__VA_ARGS__, NULL})
/* Processes whose command line or folder lies below the fixture's folder. */
int processes(struct fixture *f, pid_t *pids, int max);
/* The pid of the server (inside bubblewrap) of replica `dir` below the endpoint, and of a service's
 * process. */
pid_t service_pid(struct fixture *f, const char *dir);
pid_t server_pid(struct fixture *f, const char *dir);
/* Waits up to `seconds` for the attribute to have the value; fails otherwise. */
void wait_attr(struct fixture *f, const char *kind, const char *id, const char *key,
               const char *value, int seconds);
