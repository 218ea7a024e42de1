/* state/store_impl.h: the inside of struct mio_store, for the files of this room that work on it.
 */
#pragma once
#include "state/backend.h"
#include "state/frame.h"
#include "state/store.h"

struct mio_store {
    struct mio_backend *b;
    struct mio_sealer *sealer; /* NULL: nothing is sealed */
    struct mio_arena arena;    /* what lives as long as the store: tags, ids */
    struct mio_str stage;
    struct mio_str tag, digest; /* of what was loaded last; "" when there was nothing */
    struct mio_str lineage; /* of a state that has never been written: as its journal says, or "" */
    char lock_id[33];
    const char *seen_dir; /* in the arena, or NULL */
    bool accept_rollback;
    bool locked;
    bool journal_ours; /* begun or reopened by this store: a commit makes it superfluous */
    bool took_over;    /* a killed apply was recovered: the next commit begins a new epoch */
    struct mio_jrn_origin origin; /* of the journal that was read last, for reopening it */
    struct mio_jrn *jrn;
};

/* The history, its lines in clear (without newlines), whatever the backend holds. */
struct mio_history_text {
    bool sealed; /* as it lies there, under `key` */
    uint8_t key[MIO_RECORD_KEY];
    struct mio_str *lines;
    size_t n;
    size_t keep;    /* bytes up to a torn last line */
    size_t altered; /* number of the first line that could not be unsealed ("" in its place); 0 */
};
/* Errors: MIO_AUTH (no key, in clear although sealing is enforced), MIO_STATE. */
enum mio_code mio_history_read(struct mio_store *s, struct mio_arena *a,
                               struct mio_history_text *out, struct mio_err *err);
/* Adds a line; where the file is not as sealing has it now, all of it is written anew. */
enum mio_code mio_history_append(struct mio_store *s, struct mio_arena *a,
                                 struct mio_history_text *h, struct mio_str line,
                                 struct mio_err *err);
/* Puts these lines in the place of what is there, sealed with the first key where sealing is on. */
enum mio_code mio_history_write(struct mio_store *s, struct mio_arena *a,
                                const struct mio_history_text *h, struct mio_err *err);
/* Does the journal belong to this state, and is anything in it (*live) that the state does not
 * have? Errors: MIO_STATE (of another state or stage, or of a later one). */
enum mio_code mio_store_judge(struct mio_store *s, const struct mio_jrn_origin *o,
                              const struct mio_jrn_replay *r, const struct mio_state *state,
                              bool *live, struct mio_err *err);
/* The plain text of a state as the backend holds it: unsealed, or as it is if that is allowed.
 * Errors: MIO_AUTH, MIO_STATE. */
enum mio_code mio_store_unwrap(struct mio_store *s, struct mio_arena *a, struct mio_str text,
                               struct mio_str *plain, struct mio_err *err);
/* Replaces what bears the tag by the state as it is, sealed if that is configured, and remembers it
 * as loaded. */
enum mio_code mio_store_swap(struct mio_store *s, struct mio_str tag, struct mio_state *next,
                             struct mio_err *err);
/* Errors: MIO_STATE when an older state than the last seen one was put back. No-ops without
 * seen_dir. */
enum mio_code mio_store_check_seen(struct mio_store *s, const struct mio_state *state,
                                   struct mio_err *err);
/* 0: never, or there are no notes. */
uint64_t mio_store_seen(const struct mio_store *s, struct mio_str lineage);
void mio_store_note_seen(struct mio_store *s, const struct mio_state *state);
