/* state/backend.h: where a state lives: the few things that every place must be able to do.
 *
 * A backend moves bytes: it knows locks, compare-and-swap, a journal sink and lines of history, and
 * nothing of what is in them. store.c knows the rest. Calls come from one thread, those of the sink
 * from any. */
#pragma once
#include "providers/sdk/fault.h"
#include "providers/sdk/log.h"
#include "providers/sdk/value.h"

struct mio_backend;

/* What was read, and the mark by which the backend knows it again ("" : nothing was there). */
struct mio_blob {
    struct mio_str text, tag;
    bool found;
};

/* The journal's bytes; the rescue file is written when the first one no longer can be. */
struct mio_journal_text {
    struct mio_str text, rescue;
    bool found;
};

/* Where journal records go. Writes come one at a time, so do syncs; a sync may overlap with writes.
 */
struct mio_sink {
    /* Puts n bytes at offset `at`, which is the end of what was written before. */
    enum mio_code (*write)(struct mio_sink *s, const void *p, size_t n, uint64_t at,
                           struct mio_err *err);
    /* Everything written before the call is durable when it gives MIO_OK. */
    enum mio_code (*sync)(struct mio_sink *s, struct mio_err *err);
    /* Is the journal still ours? Asked before an effect whose intent is not synced. NULL: only a
     * sync can tell, and one that is older than lease_ms does not count. */
    enum mio_code (*held)(struct mio_sink *s, struct mio_err *err);
    int64_t lease_ms;
    /* A second place for results once the first has failed; appends and syncs. */
    enum mio_code (*rescue)(struct mio_sink *s, const void *p, size_t n, struct mio_err *err);
    void (*close)(struct mio_sink *s);
};

/* One older state that the backend kept, youngest first. */
struct mio_generation {
    struct mio_str name; /* as the backend calls it: "state.jsonl.1" */
    struct mio_str text; /* read only when asked for */
    int64_t when;        /* seconds since 1970; 0 when not known */
};

struct mio_backend_ops {
    const char *type;
    bool lock_outlives; /* the lock stays when its holder dies; force-unlock takes it away */
    bool journal_stays; /* journal: what was written and not synced outlives the process, as long as
                         * the machine runs */
    void (*close)(struct mio_backend *b);
    /* Proves that compare-and-swap works here; NULL: nothing to prove. Errors: MIO_STATE when it
     * does not. */
    enum mio_code (*probe)(struct mio_backend *b, struct mio_err *err);
    /* One attempt. Errors: MIO_LOCKED with the holder's note in *held ("" when it cannot be read).
     */
    enum mio_code (*lock)(struct mio_backend *b, struct mio_str note, struct mio_arena *a,
                          struct mio_str *held, struct mio_err *err);
    void (*unlock)(struct mio_backend *b);
    /* The note that lies there now, "" for none; *live when its holder certainly still holds the
     * lock. */
    enum mio_code (*holder)(struct mio_backend *b, struct mio_arena *a, struct mio_str *note,
                            bool *live, struct mio_err *err);
    enum mio_code (*break_lock)(struct mio_backend *b, struct mio_str id, struct mio_err *err);
    enum mio_code (*read)(struct mio_backend *b, struct mio_arena *a, struct mio_blob *out,
                          struct mio_err *err);
    /* Replaces what bears the tag by `text`, atomically and durably, and keeps the old one as a
     * generation. Errors: MIO_STATE when something else is there (and nothing is changed). */
    enum mio_code (*swap)(struct mio_backend *b, struct mio_arena *a, struct mio_str tag,
                          struct mio_str text, struct mio_str *new_tag, struct mio_err *err);
    enum mio_code (*generations)(struct mio_backend *b, struct mio_arena *a,
                                 struct mio_generation **out, size_t *n, struct mio_err *err);
    enum mio_code (*generation_read)(struct mio_backend *b, struct mio_arena *a,
                                     struct mio_generation *g, struct mio_err *err);
    enum mio_code (*journal_read)(struct mio_backend *b, struct mio_arena *a,
                                  struct mio_journal_text *out, struct mio_err *err);
    /* keep 0: a new one, which must not exist yet; else the journal there, cut to `keep` bytes. */
    enum mio_code (*journal_open)(struct mio_backend *b, uint64_t keep, struct mio_sink **out,
                                  struct mio_err *err);
    /* Puts `text` in the journal's place, atomically, and keeps the old one (and the rescue file)
     * under another name, where nothing looks for it. */
    enum mio_code (*journal_replace)(struct mio_backend *b, struct mio_str text,
                                     struct mio_err *err);
    enum mio_code (*journal_drop)(struct mio_backend *b, struct mio_err *err);
    enum mio_code (*history_read)(struct mio_backend *b, struct mio_arena *a, struct mio_str *out,
                                  struct mio_err *err);
    /* Appends a line (with its newline) after `keep` bytes; what follows them is a torn line. */
    enum mio_code (*history_add)(struct mio_backend *b, uint64_t keep, struct mio_str line,
                                 struct mio_err *err);
    /* Puts `text` in the history's place, atomically. The lock is held. */
    enum mio_code (*history_replace)(struct mio_backend *b, struct mio_str text,
                                     struct mio_err *err);
};

struct mio_backend {
    const struct mio_backend_ops *ops;
    const char *where;    /* for messages: a path or an address without secrets */
    const char *warning;  /* what users must know of this place, or NULL: "unsafe, because ..." */
    unsigned lock_ends_s; /* the longest that a lock outlives its holder; 0: see lock_outlives */
};

/* What a backend is opened with. */
struct mio_backend_args {
    struct mio_value config; /* map: the settings of `backend:`, type among them */
    struct mio_str stage;
    const char *dir; /* absolute folder on this machine, for what is kept beside a remote state */
    bool create;
    /* The variable of the environment that gives a secret, NULL for other settings; for messages.
     * Filled in by mio_backend_open. */
    const char *(*variable)(struct mio_str type, const char *name);
};
/* By type: "file" (or no type) is here; every other one is a shared object in `folder`, which is
 * loaded now and stays. Errors: MIO_USAGE (no such type, bad setting), MIO_AUTH, MIO_IO,
 * MIO_TRANSIENT. */
enum mio_code mio_backend_open(const struct mio_backend_args *args, const char *folder,
                               struct mio_backend **out, struct mio_err *err);
/* The one symbol of such a shared object. */
#define MIO_BACKEND_ENTRY "mio_backend_open_v1"
typedef enum mio_code mio_backend_entry(const struct mio_backend_args *args,
                                        struct mio_backend **out, struct mio_err *err);

/* And one that hands it the fault points and the log of the program. */
#define MIO_BACKEND_PROGRAM "mio_backend_program_v1"
void mio_backend_program_v1(mio_fault_fn *ask, mio_log_fn *log);

const char *mio_backend_variable(struct mio_str type, const char *name);

/* The file backend. create: make the folder when it is missing; otherwise a missing folder is an
 * empty store that cannot be written. Errors: MIO_IO, MIO_STATE (folder open to others). */
enum mio_code mio_backend_file(const char *dir, bool create, struct mio_backend **out,
                               struct mio_err *err);
