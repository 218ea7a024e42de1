/* state/store.h: one recorded state on its backend: lock, load, journal, commit.
 *
 * The file backend keeps, in the folder given (0700, files 0600):
 *   state.jsonl        the state; replaced atomically, never written in place
 *   state.jsonl.N      the N-th last generations (N = 1 .. 8)
 *   lock               an open-file-description lock with holder, operation and age in it
 *   journal            append-only records of the apply that is running (or was killed)
 *   history.jsonl      one hash-chained line an apply
 * Handle: mio_store_open / mio_store_close. */
#pragma once
#include "state/journal.h"
#include "state/model.h"
#include "state/seal.h"

struct mio_store;
struct mio_store_opts {
    const char *dir;          /* absolute folder of the state */
    struct mio_str stage;     /* "" : the default stage */
    struct mio_value backend; /* settings of `backend:` (map with type); null: the file backend */
    const char *backend_dir;  /* absolute folder of the remote backends' shared objects */
    const struct mio_seal_opts *seal; /* NULL: nothing is sealed. Keys are copied in */
    const char
        *seen_dir; /* absolute folder of this machine's notes on states it has seen; NULL: none */
    bool accept_rollback; /* a state older than the last seen one is fine, this once */
    bool create; /* make the folder when it is missing (apply); plan leaves the disk alone */
};
/* A variable of the environment by its name, or NULL (getenv, with the caller's argument). */
typedef const char *mio_lookup(void *arg, const char *name);
/* The settings of `backend:` with what the environment adds to them: MLOPS_IAC_BACKEND_... and, for
 * credentials the variables that their platforms' own tools read. What is set already stays.  */
struct mio_value mio_backend_settings(struct mio_arena *a, struct mio_value backend,
                                      mio_lookup *lookup, void *arg);
/* Errors: MIO_USAGE: a type or a setting that does not exist, a value of the wrong type; *where is
 * the setting that is wrong. */
enum mio_code mio_backend_check(struct mio_value backend, struct mio_str *where,
                                struct mio_err *err);
/* Is this setting of a backend of that type a secret? */
bool mio_backend_secret(struct mio_str type, const struct mio_pair *p);
/* Where sealing is configured. Every place can demand it, none can undo what another demands. */
struct mio_seal_from {
    struct mio_value admin; /* this machine's encryption.yaml; null: there is none */
    struct mio_value block; /* `encryption:` of the template; null: there is none */
    struct mio_str dir;     /* absolute: key files of the block that are not */
    mio_lookup *lookup;     /* environment: MLOPS_IAC_STATE_KEY and the like */
    void *arg;
    bool accept_clear;
};
/* The keys: those of the machine first, then the environment's, then the template's, then the
 * environment's old ones. *wanted false: nothing asks for sealing. Errors: MIO_USAGE (malformed),
 * MIO_AUTH (demanded, but there is no key). */
enum mio_code mio_seal_settings(struct mio_arena *a, const struct mio_seal_from *from,
                                struct mio_seal_opts *out, bool *wanted, struct mio_err *err);
enum mio_code mio_store_open(const struct mio_store_opts *o, struct mio_store **out,
                             struct mio_err *err);
/* The keys that the store seals with; NULL: nothing is sealed. Lives as long as the store. */
struct mio_sealer *mio_store_sealer(const struct mio_store *s);
/* User and host, as far as the system knows them. */
void mio_store_who(struct mio_arena *a, struct mio_str *who, struct mio_str *host);
/* What users must be told of the place where the state is, or NULL. */
const char *mio_store_warning(const struct mio_store *s);
/* For init: proves that the backend compares and swaps. Errors: MIO_STATE when it does not. */
enum mio_code mio_store_probe(struct mio_store *s, struct mio_err *err);
void mio_store_close(struct mio_store *s); /* unlocks; NULL accepted */

/* Errors: MIO_LOCKED with holder, host, pid, operation, age and id, and `force-unlock ID` as the
 * hint. timeout_ms 0: once. *cancel is polled. */
enum mio_code mio_store_lock(struct mio_store *s, const char *operation, int64_t timeout_ms,
                             const bool *cancel, struct mio_err *err);
void mio_store_unlock(struct mio_store *s);
/* Removes a lock that a dead holder left on a backend whose locks do not die with their holder. For
 * the file backend the kernel has already done it: only the note is cleared. Errors: MIO_USAGE when
 * the id differs. */
enum mio_code mio_store_force_unlock(struct mio_store *s, struct mio_str id, struct mio_err *err);

/* The recorded state, or an initialised empty one when there has never been any. */
enum mio_code mio_store_load(struct mio_store *s, struct mio_arena *a, struct mio_state *out,
                             struct mio_err *err);
/* The first write of a state that has never been gives it this lineage, which follows from a digest
 * (hex), instead of a random one. *seen: the serial that this machine has seen of that lineage; 0:
 * none, or a rollback is accepted. */
void mio_store_name(struct mio_store *s, struct mio_str digest, uint64_t *seen);
/* Writes s->serial + 1 (compare-and-swap on the serial and digest that were loaded), keeps
 * generations, then drops the journal. On failure the old state is intact and the journal kept. */
enum mio_code mio_store_commit(struct mio_store *s, struct mio_state *state, struct mio_err *err);

/* What a commit would have written, into a file, for `state push` once the backend is there again.
 * `apply` names the apply whose outcome it is: it stands for its journal. */
enum mio_code mio_store_dump(struct mio_store *s, const struct mio_state *state,
                             struct mio_str apply, const char *path, struct mio_err *err);

/* The journal of a killed apply, if one is there: its begin record and every operation, latest
 * record first applied. *found false: nothing to recover. Damaged tail records are dropped as the
 * protocol says. */
enum mio_code mio_store_journal(struct mio_store *s, struct mio_arena *a,
                                const struct mio_state *state, struct mio_jrn_replay *out,
                                bool *found, struct mio_err *err);
/* Opens a fresh journal (the old one must have been recovered and dropped) with its begin record
 * durable. */
enum mio_code mio_store_begin(struct mio_store *s, const struct mio_state *state,
                              const struct mio_jrn_begin *b, struct mio_jrn **out,
                              struct mio_err *err);
/* Appends to an existing journal while recovering. */
enum mio_code mio_store_reopen(struct mio_store *s, const struct mio_jrn_replay *r,
                               struct mio_jrn **out, struct mio_err *err);
enum mio_code mio_store_drop_journal(struct mio_store *s, struct mio_err *err);

/* One line of history. */
struct mio_history {
    int64_t when;
    struct mio_str who, host, operation, stage;
    struct mio_str commit;      /* of the template's repository, or "" */
    struct mio_str tpl;         /* digest of the template that was applied as a whole, without its
                                   stage; or "" */
    struct mio_str plan_digest; /* of the saved plan, or of what was changed when there was none */
    struct mio_str signed_by;   /* the saved plan's signer, or "" */
    struct mio_value approvals; /* list of {by, key} that counted; null: none */
    uint64_t serial;
    unsigned added, changed, destroyed, imported, forgotten;
    bool complete;
};
enum mio_code mio_store_history_add(struct mio_store *s, const struct mio_history *h,
                                    struct mio_err *err);
/* Every line, oldest first. *broken: number of the first line that does not follow from the one
 * before it, or cannot be read; 0: the chain holds. */
enum mio_code mio_store_history(struct mio_store *s, struct mio_arena *a, struct mio_history **out,
                                size_t *n, size_t *broken, struct mio_err *err);
