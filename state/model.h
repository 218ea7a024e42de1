/* state/model.h: the recorded state in memory: one row a resource instance, parsed only when asked
 * for.
 *
 * In: the bytes of a state file. Owns: rows; the text they look at belongs to the arena (or the
 * mapped file) that the state was loaded with. Never: I/O, provider calls. */
#pragma once
#include "providers/sdk/json.h"
#include "providers/sdk/map.h"
#include "providers/sdk/value.h"

enum mio_row_status { MIO_ROW_OK, MIO_ROW_TAINTED, MIO_ROW_UNCONFIRMED };

/* The head of one line. All views look into `line`. */
struct mio_row {
    struct mio_str line; /* the JSON object, without newline */
    struct mio_str
        digest; /* 64 hex digits: SHA-256 over what was wanted (mio_record.inputs and more) */
    struct mio_str address; /* kind.name["key"], with module prefix */
    struct mio_str deposed; /* "" for the current object, else 8 hex digits */
    struct mio_str kind, provider, id, fingerprint;
    enum mio_row_status status;
};

/* A row in full. */
struct mio_record {
    struct mio_str digest, address, deposed, kind, provider, id, fingerprint;
    enum mio_row_status status;
    uint32_t schema_version;
    bool create_before_destroy;
    bool forget;                   /* lifecycle.on_removed: forget, for when the block is gone */
    uint32_t delete_timeout_s;     /* timeouts.delete of the block, for the same; 0: none */
    struct mio_value inputs;       /* as last sent, sensitive leaves as mio_keep has it */
    struct mio_value attributes;   /* as last read: inputs and computed, the same */
    struct mio_value content;      /* map: dotted path of a content field to "sha256:..." */
    struct mio_value dependencies; /* list of addresses: direct ones only */
    uint32_t generation; /* of the idempotency key: how many creates this address has had */
};

struct mio_state_output {
    struct mio_str name;
    struct mio_value value; /* sensitive ones as mio_keep has it */
    bool sensitive;
};
/* Its value, marked where the output is sensitive. */
static inline struct mio_value mio_output_value(const struct mio_state_output *o)
{
    return o->sensitive ? mio_sensitive(o->value) : o->value;
}

struct mio_state {
    struct mio_arena *arena;
    struct mio_str lineage; /* "" before the first write */
    uint64_t serial;        /* 0 before the first write */
    struct mio_str stage;
    struct mio_str digest; /* of the body as loaded, 64 hex digits; "" when nothing was loaded */
    struct mio_str
        salt; /* 64 hex digits: keys the masks of sensitive values and the idempotency keys */
    struct mio_str apply; /* of an emergency dump: the apply that it is the outcome of; else "" */
    uint64_t epoch;       /* bumped by each take-over */
    struct mio_row *rows; /* sorted by address, then deposed, as loaded; see mio_state_sort */
    size_t nrows, cap;
    struct mio_state_output *outputs; /* sorted by name */
    size_t noutputs;
    struct mio_index
        index;  /* address (+ "\1" + deposed) to row number; asked through mio_state_find */
    bool keeps; /* what is written is sealed, so secrets are kept in it; else their masks are */
    bool dirty; /* differs from what was loaded */
};

/* Reads a whole file. Refuses empty, truncated, merged (<<<<<<<), edited (digest), newer and
 * duplicate rows with MIO_STATE and the command that repairs it. `text` must outlive the state. */
enum mio_code mio_state_read(struct mio_arena *a, struct mio_str text, struct mio_state *out,
                             struct mio_err *err);
/* The file's bytes for serial + 1 ... as given in s->serial. Canonical: same state, same bytes. */
struct mio_buf;
void mio_state_write(struct mio_buf *b, struct mio_state *s);
void mio_state_init(struct mio_state *s, struct mio_arena *a, struct mio_str stage);

/* Row by address, or NULL. deposed "" for the current object. */
struct mio_row *mio_state_find(const struct mio_state *s, struct mio_str address,
                               struct mio_str deposed);
/* Adds or replaces; the record's text is encoded into the state's arena. */
enum mio_code mio_state_put(struct mio_state *s, const struct mio_record *r, struct mio_err *err);
bool mio_state_remove(struct mio_state *s, struct mio_str address, struct mio_str deposed);
/* Rows in canonical order (natural order of the address, then deposed) and the index over them made
 * anew. Put and remove leave the order to it: a new row comes last, the last row takes a removed
 * one's place. */
void mio_state_sort(struct mio_state *s);
/* The index made anew; false with the number of the row whose address an earlier row has. */
bool mio_state_reindex(struct mio_state *s, size_t *twice);
void mio_state_set_outputs(struct mio_state *s, struct mio_state_output *outputs, size_t n);
enum mio_code mio_row_read(struct mio_arena *a, const struct mio_row *row, struct mio_record *out,
                           struct mio_err *err);
/* A row's line with every secret in it as a mask: what may be written where nothing is sealed. */
struct mio_str mio_row_masked(struct mio_arena *a, struct mio_str salt, const struct mio_row *row);
/* The canonical line of a record, without newline. Aborts (MIO_BUG) on unknown values, and on
 * unmasked sensitive ones unless it `keeps` them (sealed). */
void mio_record_write(struct mio_buf *b, const struct mio_record *r, bool keeps);

/* Replaces each sensitive leaf by {"$mio":"digest","h":"<hmac of its canonical JSON, keyed by the
 * salt>"}: enough to see that it changed, not what it is. Stays marked sensitive. */
struct mio_value mio_mask(struct mio_arena *a, struct mio_str salt, struct mio_value v);
/* v as this state records it: itself where the state is sealed, else masked. */
struct mio_value mio_keep(struct mio_arena *a, const struct mio_state *s, struct mio_value v);
/* Every secret that rows and outputs hold becomes its mask: before the state leaves its seal. */
void mio_state_mask(struct mio_state *s);
