/* planner/run/step.h: one operation: intent, call, outcome. Runs on a worker thread.
 *
 * In: const inputs and an arena of its own. Out: what the journal and the state are to know.
 * Never: the graph, the state, the user interface (the main thread owns them). */
#pragma once
#include <pthread.h>
#include "planner/change/planner.h"
#include "planner/run/pool.h"
#include "state/journal.h"

struct mio_work {
    struct mio_job job; /* first: the pool hands it back */
    void *owner;        /* struct mio_op of the executor, or the recovery's own */
    struct mio_arena arena;
    /* in */
    struct mio_provider *plugin;
    struct mio_str plugin_name;
    const struct mio_kind *kind;
    struct mio_jrn *journal;
    struct mio_jrn_intent intent; /* target: the row as it will be, attributes empty */
    struct mio_prov_change call;
    struct mio_value wanted; /* the inputs with their sensitive marks; null: call.inputs has them */
    struct mio_value planned; /* attributes promised by the plan; null: no promise */
    struct mio_str salt;
    bool keeps; /* secrets are recorded as they are: journal and state are sealed */
    struct mio_call_opts opts;
    int64_t timeout_ms; /* what a second attempt may take; 0: a minute */
    bool is_read;       /* a lookup of a data block: no journal */
    bool unjournalled;  /* recovery: the intent is in the journal already */
    bool settled;       /* recovery: late commits have shown themselves by now */
    pthread_mutex_t
        lock; /* of the progress: the plugin's threads write it, the main thread reads it */
    char progress[160];
    int percent;
    bool news;
    /* out */
    struct mio_err err;
    struct mio_record result;    /* of create and update */
    struct mio_value attributes; /* as answered, sensitive ones marked, not masked */
    bool done;                   /* took effect */
    bool open;   /* nobody can say yet whether it did: the journal keeps the intent */
    bool breach; /* done, but the plugin broke a promise; err tells */
    int64_t started_ms, ended_ms;
};
void mio_work_run(struct mio_job *job);
/* The last thing that the plugin said of it, if that is new. */
bool mio_work_progress(struct mio_work *w, char text[160], int *percent);
/* What to do with an operation whose outcome is unknown, by create class. Sets done, open, result
 * and err. */
void mio_work_settle(struct mio_work *w);
/* The same for a planned create whose intent may be lost: it is found, or was never sent. */
void mio_work_find(struct mio_work *w);
