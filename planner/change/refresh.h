/* planner/change/refresh.h: what the platform has now, for every row of the recorded state. Reads
 * only. */
#pragma once
#include "planner/change/providers.h"
#include "state/model.h"

enum mio_seen {
    MIO_SEEN_NOT,       /* not asked (-refresh=false) or not answerable */
    MIO_SEEN_UNCHANGED, /* as recorded */
    MIO_SEEN_HERE,      /* attributes are in the observation */
    MIO_SEEN_GONE,
    MIO_SEEN_ERROR,
};
struct mio_observation { /* only for rows that are not simply unchanged */
    struct mio_value attributes;
    struct mio_str fingerprint, id;
    struct mio_err *err;
};
struct mio_refresh {
    struct mio_arena *arena;
    struct mio_state *state;
    struct mio_provs *provs;
    uint8_t *seen; /* enum mio_seen, beside state->rows */
    struct mio_observation **here;
    const struct mio_str *unchecked; /* "address: why" */
    size_t nunchecked, unchecked_cap;
    struct mio_refresh_job *jobs;
    size_t njobs;
    bool collected;
    void (*on_row)(void *arg, const struct mio_row *row, bool done); /* may be NULL */
    void *arg;
};
/* Sends the reads of every configured provider; returns at once. `full`: do not trust fingerprints.
 */
void mio_refresh_start(struct mio_refresh *r, bool full, const bool *cancel);
/* Waits for the answers. Errors: the first provider that failed as a whole; single rows that failed
 * are in `here`. */
enum mio_code mio_refresh_collect(struct mio_refresh *r, struct mio_err *err);
/* Tells that this row is not looked at, and why. */
void mio_refresh_unchecked(struct mio_refresh *r, const struct mio_row *row, const char *why);
/* Without any read: every row counts as recorded. */
void mio_refresh_none(struct mio_refresh *r);
