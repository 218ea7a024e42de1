/* state/journal.h: what an apply is about to do and has done, durable before it is done.
 *
 * Records: B(egin) P(lanned) I(ntent) H(andle) D(one) F(ailed) R(ecovered) E(nd), each with length,
 * crc32c, sequence number, the highest sequence known durable, the previous record's hash, type and
 * JSON payload. Thread-safe: workers that wait for the same sync share one fdatasync. A failed
 * write or sync poisons the journal: every later intent fails, results are still kept (in memory
 * and in a second file).
 *
 * With durability "plan" the creates of a plan that a lookup can find again are written as P, all
 * of them durable before the first effect; their intents then wait for no sync. */
#pragma once
#include "state/model.h"

struct mio_jrn;

struct mio_jrn_begin {
    struct mio_str apply_id, lineage, plan_digest, tool_version;
    struct mio_str commit, signed_by; /* of a saved plan, as in struct mio_history */
    struct mio_value approvals;
    uint64_t base_serial, epoch;
    bool lazy; /* durability "plan" */
};
enum mio_jrn_verb { MIO_JRN_CREATE, MIO_JRN_UPDATE, MIO_JRN_DELETE, MIO_JRN_FORGET };

/* Everything recovery needs to settle one operation without the template. */
struct mio_jrn_intent {
    uint64_t op; /* number in this apply, from 1 */
    enum mio_jrn_verb verb;
    struct mio_str address, deposed, kind, provider, id, key;
    uint32_t create_class; /* enum mlops_create_class */
    struct mio_record
        target; /* what the row will be, attributes not yet known; deletes: the row as it was */
    bool
        depose; /* create of a create-before-destroy replacement: the current row becomes deposed */
    struct mio_str depose_key;
    bool planned; /* its P is durable: it may be lost, and is found again by its key */
};
struct mio_jrn_op {
    struct mio_jrn_intent intent;
    enum {
        MIO_OP_OPEN,
        MIO_OP_AMBIGUOUS,
        MIO_OP_DONE,
        MIO_OP_FAILED,
        MIO_OP_PLANNED, /* P alone: it may have been sent, its intent lost with what came after */
    } outcome;
    struct mio_str handle;    /* last H record, or "" */
    struct mio_record result; /* MIO_OP_DONE and not a delete */
    bool has_result;
};
struct mio_jrn_replay {
    struct mio_jrn_begin begin;
    struct mio_jrn_op *ops; /* in order of op */
    size_t n;
    uint64_t last_seq;
    uint8_t last_hash[32]; /* of its last record: the next one chains to it */
    size_t valid_bytes;    /* the journal is cut here before anything is appended */
    bool ended;            /* an E record is there: the state was written, the journal is spent */
};

/* Appends P, without waiting. */
enum mio_code mio_jrn_plan(struct mio_jrn *j, const struct mio_jrn_intent *i, struct mio_err *err);
/* Returns once everything appended before is durable. */
enum mio_code mio_jrn_sync(struct mio_jrn *j, struct mio_err *err);
/* To be called now and then: syncs what has been waiting for it for two seconds. */
void mio_jrn_tick(struct mio_jrn *j);
/* Appends I and returns once it is durable; a planned one: once it is sure that nobody has taken
 * over. */
enum mio_code mio_jrn_intent(struct mio_jrn *j, const struct mio_jrn_intent *i,
                             struct mio_err *err);
enum mio_code mio_jrn_handle(struct mio_jrn *j, uint64_t op, struct mio_str handle,
                             struct mio_err *err);
/* Appends; durable with the next sync (at once when `now`). A delete has result NULL. */
enum mio_code mio_jrn_done(struct mio_jrn *j, uint64_t op, const struct mio_record *result,
                           bool now, struct mio_err *err);
enum mio_code mio_jrn_failed(struct mio_jrn *j, uint64_t op, bool ambiguous, struct mio_str why,
                             struct mio_err *err);
/* R: recovery settled the operation. Rides: lost, it is settled again. */
enum mio_code mio_jrn_recovered(struct mio_jrn *j, uint64_t op, const struct mio_record *result,
                                bool applied, struct mio_err *err);
/* Its records are sealed: they may hold secrets. */
bool mio_jrn_keeps(const struct mio_jrn *j);
bool mio_jrn_poisoned(const struct mio_jrn *j);
/* Counts for figures: records, syncs. */
void mio_jrn_counts(const struct mio_jrn *j, uint64_t *records, uint64_t *syncs);
void mio_jrn_close(struct mio_jrn *j); /* NULL accepted; the file stays until the commit drops it */

/* 26 characters of a-z2-7: HMAC-SHA256(salt, lineage, base serial, address, verb, generation). */
void mio_jrn_key(struct mio_str salt, struct mio_str lineage, uint64_t base_serial,
                 struct mio_str address, enum mio_jrn_verb verb, uint32_t generation, char out[27]);
