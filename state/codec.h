/* state/codec.h: the state file's bytes: what the files of this room share about them.
 *
 * Line 1 is the header, the keys in this order:
 *   {"format":1,"min_reader":1,"sha256":"<64
 * hex>","lineage":..,"serial":..,"epoch":..,"stage":..,"salt":..,
 *    "tool_version":..,"rows":N,"outputs":[..]}
 * sha256 covers every byte of the file but its own 64 digits. Then one line a row (see model.h),
 * the keys of its head first and in fixed order, so that a scan needs no JSON tree. */
#pragma once
#include "state/model.h"

enum { MIO_STATE_FORMAT = 1, MIO_STATE_READER = 1 };

struct mio_state_header {
    struct mio_str sha256, lineage, stage, salt, tool_version, apply;
    uint64_t serial, epoch, rows;
    struct mio_value outputs;
};

/* Reads line 1 alone; `text` may go on after it or be cut anywhere after the first newline. The
 * digest is not checked. Errors: MIO_STATE (not a state file, newer format). */
enum mio_code mio_state_header(struct mio_arena *a, struct mio_str text,
                               struct mio_state_header *out, struct mio_err *err);
/* Whole, and in a form that only later versions read? */
bool mio_state_newer(struct mio_str text);
/* Fills the views of a row from its line; *row is partly set when it gives false. Escaped strings
 * are unescaped into the arena. */
bool mio_row_scan(struct mio_arena *a, struct mio_str line, struct mio_row *row);
/* A record from the object that mio_record_write wrote. Errors: MIO_STATE. */
enum mio_code mio_record_from(struct mio_arena *a, struct mio_value v, struct mio_record *out,
                              struct mio_err *err);
/* No unknown values, and no sensitive ones in clear unless it keeps them? */
bool mio_record_storable(const struct mio_record *r, bool keeps);

/* A value as the state's lines have it: sensitive parts that are not masked are marked. */
void mio_stored_value(struct mio_buf *b, struct mio_value v);

/* The hint of every damaged state: what repairs it. */
extern const char mio_state_repair[];
