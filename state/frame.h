/* state/frame.h: one journal record as bytes, and its payload as JSON.
 *
 * Frame, little-endian: magic "MJR1", u32 payload length, u8 type, 7 zero bytes, u64 sequence
 * number, u64 highest sequence number known durable, 32 bytes SHA-256 of the frame before (zero for
 * the first), the payload, u32 crc32c of all before it. */
#pragma once
#include "providers/sdk/buf.h"
#include "state/journal.h"
#include "state/seal.h"

#define MIO_FRAME_MAGIC "MJR1"
enum { MIO_FRAME_HEAD = 64, MIO_FRAME_TAIL = 4, MIO_FRAME_MAX = 64 * 1024 * 1024 };

struct mio_frame {
    char type; /* B P I H D F R E */
    uint64_t seq, synced;
    const uint8_t *prev; /* 32 bytes */
    struct mio_str payload;
    struct mio_str bytes; /* the whole frame */
};

/* Appends the frame to b. */
void mio_frame_put(struct mio_buf *b, char type, uint64_t seq, uint64_t synced,
                   const uint8_t prev[32], struct mio_str payload);
/* The frame that begins at byte `at`; false when none that is whole and intact does. */
bool mio_frame_get(struct mio_str text, size_t at, struct mio_frame *out);

/* What a B record says beyond struct mio_jrn_begin. */
struct mio_jrn_origin {
    struct mio_jrn_begin begin;
    struct mio_str salt, stage;
    struct mio_str boot; /* of the machine that began a lazy journal which stays there, or "" */
    bool sealed;         /* the records are, under record_key */
    uint8_t record_key[MIO_RECORD_KEY];
};

/* Payloads. The writers fail with MIO_BUG when a record holds what must not be stored: secrets,
 * unless the journal is sealed and keeps them. */
void mio_payload_begin(struct mio_buf *b, const struct mio_jrn_origin *o);
/* The payload of B: with a sealer it is sealed text, and o gets a record key if it has none yet. */
enum mio_code mio_begin_put(struct mio_buf *b, struct mio_sealer *s, struct mio_jrn_origin *o,
                            struct mio_err *err);
/* Errors: MIO_STATE, MIO_AUTH (sealed and no key, or in clear although sealing is enforced). */
enum mio_code mio_begin_get(struct mio_sealer *s, struct mio_arena *a, struct mio_str payload,
                            struct mio_jrn_origin *out, struct mio_err *err);
/* The payload of any other record as it is written, and back; bound to its type and number. */
void mio_payload_put(struct mio_buf *b, const struct mio_jrn_origin *o, char type, uint64_t seq,
                     struct mio_str plain);
bool mio_payload_get(struct mio_arena *a, const struct mio_jrn_origin *o, const struct mio_frame *f,
                     struct mio_str *plain);
enum mio_code mio_payload_intent(struct mio_buf *b, const struct mio_jrn_intent *i, bool keeps,
                                 struct mio_err *err);
/* D, F, H, R: the members that are not NULL or "" are written. */
enum mio_code mio_payload_result(struct mio_buf *b, uint64_t op, const struct mio_record *result,
                                 bool keeps, const char *outcome, struct mio_str text,
                                 struct mio_err *err);

/* The verb of that name; false when there is none. */
bool mio_jrn_verb_of(struct mio_str name, enum mio_jrn_verb *out);
/* A record is whole but not understood. */
enum mio_code mio_payload_misread(struct mio_err *err);

/* Everything that a journal says: its frames up to the first damaged one, applied in order; then
 * the rescue file's, if it belongs to it. n and begin are unset when not even B is whole (*begun
 * false). Errors: MIO_STATE when records that were durable are damaged. */
enum mio_code mio_replay(struct mio_arena *a, struct mio_sealer *s, struct mio_str text,
                         struct mio_str rescue, struct mio_jrn_origin *origin,
                         struct mio_jrn_replay *out, bool *begun, struct mio_err *err);

struct mio_sink;
/* Takes the sink over. begin: the payload of B. `owner`, if given, is set to NULL when the journal
 * is closed. at, seq and prev: where a replayed journal ends; 0, 0 and NULL for a new one. */
struct mio_jrn *mio_jrn_new(struct mio_sink *sink, const struct mio_jrn_origin *o,
                            struct mio_str begin, uint64_t at, uint64_t seq, const uint8_t *prev,
                            struct mio_jrn **owner);
/* Appends B and waits until it is durable. */
enum mio_code mio_jrn_start(struct mio_jrn *j, struct mio_err *err);
/* Appends E, without waiting. */
void mio_jrn_end(struct mio_jrn *j, uint64_t serial);
/* The owner is gone. */
void mio_jrn_disown(struct mio_jrn *j);
