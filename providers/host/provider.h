/* providers/host/provider.h: the inside of struct mio_provider, for the files of this room. */
#pragma once
#include <pthread.h>

#include "providers/host/host.h"
#include "providers/host/link.h"

enum { MIO_CRASHES_IN_A_ROW = 5, MIO_CALL_DEFAULT_MS = 60000 };

struct mio_provider {
    struct mio_provider_opts o; /* what it points to lives in the arena below */
    char *path, *host_program;
    pthread_mutex_t log_mu;
    pthread_mutex_t link_mu; /* the pointer `link`, so that a stop need not wait for mu */
    struct mio_link *link;   /* NULL: none running; changed under both */
    pthread_mutex_t mu;      /* everything below; held while a child starts and is configured */
    struct mio_arena arena;  /* schema and strings */
    struct mio_schema schema;
    bool have_schema;
    char *config; /* JSON as last given to configure; NULL: never */
    struct mio_str lineage;
    bool link_configured;
    bool aborted;       /* atomic */
    unsigned cancels;   /* atomic; how often cancel was asked: retries stop when it moves */
    int64_t not_before; /* atomic; the platform asked for a rest until then */
    unsigned crashes;   /* in a row, without one call answered between */
    unsigned in_flight; /* calls that the child has; at most `limit` */
    unsigned limit;
    pthread_cond_t turn; /* in_flight fell */
};

/* One attempt of one call, on a running and configured child (started when needed). o->deadline_ms
 * counts from the moment the plugin is free. answer->payload is the caller's. Errors: MIO_PROVIDER,
 * MIO_CANCELLED with `ambiguous` set when the call may have had an effect. */
enum mio_code mio_provider_call(struct mio_provider *p, uint8_t verb, const struct mio_msg *payload,
                                const struct mio_call_opts *o, struct mio_answer *answer,
                                struct mio_err *err);
/* The two halves of it, for pipelines: `wait` false gives *link NULL when no turn is free. The link
 * is referenced for the caller; finish gives it and the turn back. */
enum mio_code mio_provider_begin(struct mio_provider *p, uint8_t verb,
                                 const struct mio_msg *payload, struct mio_call_opts *o, bool wait,
                                 struct mio_link **link, struct mio_lane **call,
                                 struct mio_err *err);
enum mio_code mio_provider_finish(struct mio_provider *p, struct mio_link *link,
                                  struct mio_lane *call, uint8_t verb,
                                  const struct mio_call_opts *o, struct mio_answer *answer,
                                  struct mio_err *err);
/* Defaults filled in. */
struct mio_call_opts mio_call_opts_full(const struct mio_call_opts *o);

/* Sleeps before attempt `attempt` + 1 when err is transient, certain, and there is time left: full
 * jitter, and no sooner than the platform asked. False: give the error up to the caller. */
bool mio_provider_again(struct mio_provider *p, const struct mio_err *err, unsigned attempt,
                        const struct mio_call_opts *o, unsigned cancels);
unsigned mio_provider_cancels(struct mio_provider *p);

/* The plugin broke its contract: kills the child, returns MIO_PROVIDER naming the plugin. */
enum mio_code mio_provider_breach(struct mio_provider *p, uint8_t verb, struct mio_str what,
                                  struct mio_err *err);
bool mio_provider_changes(uint8_t verb); /* create, update, remove */

/* Decoding (answer.c). */
struct mio_objects {
    size_t n;
    const uint8_t *status;
    struct mio_in data;
    struct mio_str answer; /* JSON; p NULL when none */
};
/* Splits an OK answer, or turns the other outcomes into the error. MIO_OUT_LARGE is a breach too:
 * who can split the call looks for it first. */
enum mio_code mio_answer_open(struct mio_provider *p, uint8_t verb, const struct mio_answer *a,
                              struct mio_objects *out, struct mio_err *err);
/* Where the objects of the answer lie: at[i] is the i-th item's record, NULL when its status says
 * it all. False: garbage. */
bool mio_answer_index(const struct mio_objects *objects, const uint8_t **at);
/* One item: its status and record (at NULL: none; end: of the data it lies in). False: garbage, err
 * is set. */
bool mio_answer_object(struct mio_provider *p, struct mio_arena *a, uint8_t status,
                       const uint8_t *at, const uint8_t *end, uint8_t verb, struct mio_object *out,
                       struct mio_err *err);
