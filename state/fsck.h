/* state/fsck.h: older states, the difference of two, and what is wrong with a store and can be
 * mended. */
#pragma once
#include "state/store.h"

/* One state that the backend holds: the current one first, then the generations, youngest first. */
struct mio_kept {
    struct mio_str name; /* "current", or as the backend calls it */
    int64_t when;        /* seconds since 1970; 0: not known */
    bool good;           /* reads in full; serial and rows are set then */
    uint64_t serial;
    size_t rows;
    struct mio_str text; /* its bytes, unsealed when good */
    char message[256];   /* what is wrong with it */
    bool foreign;        /* nothing is: a later version wrote it, or a key is missing */
    char remedy[256];    /* then: what it takes to read it */
};
/* Errors: MIO_IO only; damage is said in the entries. */
enum mio_code mio_store_kept(struct mio_store *s, struct mio_arena *a, struct mio_kept **out,
                             size_t *n, struct mio_err *err);
/* The state that had the serial. Errors: MIO_USAGE when none is kept, naming those that are. */
enum mio_code mio_store_at(struct mio_store *s, struct mio_arena *a, uint64_t serial,
                           struct mio_state *out, struct mio_err *err);

/* One instance that two states record differently; the row it lacks is NULL. */
struct mio_row_diff {
    const struct mio_row *from, *to;
};
/* In the order of addresses. Both states must stay as they are while the result is used; they get
 * sorted. */
void mio_state_diff(struct mio_arena *a, struct mio_state *from, struct mio_state *to,
                    struct mio_row_diff **out, size_t *n);

enum mio_finding_level {
    MIO_FINDING_NOTE,    /* nothing to do, or the next run does it */
    MIO_FINDING_WARNING, /* worth a look */
    MIO_FINDING_DAMAGE,  /* commands refuse to work until it is mended */
};
struct mio_finding {
    enum mio_finding_level level;
    struct mio_str what;    /* "state", "state.jsonl.3", "journal", "history" */
    struct mio_str message; /* what is the matter */
    struct mio_str remedy;  /* what a repair does, or did, or what a person can do; "" */
    bool mendable, mended;
};
/* Looks at everything. repair: mends what can be mended, under the lock (taken if it is not held):
 * puts the youngest good generation in place of a damaged or missing state (the damaged one becomes
 * a generation), and makes a damaged journal anew from its whole records (the damaged one is set
 * aside). Errors: MIO_LOCKED, MIO_IO; damage is said in the findings. */
enum mio_code mio_store_fsck(struct mio_store *s, struct mio_arena *a, bool repair,
                             struct mio_finding **out, size_t *n, struct mio_err *err);

/* ---- whole states moved ---- */

/* `state push`: makes `text` (as mio_state_write or mio_store_dump made it) the state of this
 * store. Refuses (MIO_STATE) another lineage, a serial that is not higher, another stage and a
 * pending journal; force: only the last two. A dump may settle the journal of its own apply. */
enum mio_code mio_store_push(struct mio_store *s, struct mio_str text, bool force,
                             struct mio_err *err);
/* `init -migrate-state`: the state and its history, from one store to another that has never been
 * written. Both locked by the caller; the old one stays as it is. *moved false: there was nothing
 * to move. */
enum mio_code mio_store_migrate(struct mio_store *from, struct mio_store *to, bool *moved,
                                struct mio_err *err);
/* `state rekey`: writes the state anew under the first key. Older generations stay under the key
 * that they have. */
enum mio_code mio_store_rekey(struct mio_store *s, struct mio_err *err);
