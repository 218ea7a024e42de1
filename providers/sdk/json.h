/* providers/sdk/json.h: JSON text to frozen values and back.
 *
 * The reader is strict (RFC 8259, duplicate keys and U+0000 refused) and keeps number texts exact,
 * which no stock C library does: 12345678901234567890 and 0.1 come back as they were written. The
 * writer is canonical: sorted keys, no white space, canonical numbers, UTF-8 kept. */
#pragma once
#include "providers/sdk/buf.h"
#include "providers/sdk/value.h"

struct mio_json_limits {
    size_t depth; /* 0: 64 */
    size_t nodes; /* 0: 1,000,000 */
};
/* Strings without escapes point into `text`, which must outlive the value; pass copied text
 * otherwise. Errors: MIO_STATE with line and column in the message. */
enum mio_code mio_json_read(struct mio_arena *a, struct mio_str text,
                            const struct mio_json_limits *limits, struct mio_value *out,
                            struct mio_err *err);

enum mio_json_marks {
    MIO_JSON_PLAIN,  /* unknown and sensitive must not occur: unknown is a MIO_BUG abort */
    MIO_JSON_MARKED, /* {"$mio":"unknown"} and {"$mio":"sensitive","v":...}: for our own files and
                        the wire */
    MIO_JSON_HIDDEN, /* unknown becomes null, sensitive becomes "(sensitive value)": for people */
    MIO_JSON_OPEN,   /* sensitive written as its plain value, unknown as null: for providers only */
};
void mio_json_write(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks);
/* Two-space indented, for `output -json` and the like. */
void mio_json_pretty(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks);
void mio_json_string(struct mio_buf *b, struct mio_str s); /* with quotes; control bytes escaped */
/* {"$mio":"digest","h":...}: what stands for a secret where it must not be written. Deep: anywhere
 * inside. */
bool mio_is_masked(struct mio_value v);
bool mio_holds_mask(struct mio_value v);
/* Turns {"$mio":...} objects back into marks. */
struct mio_value mio_json_unmarshal_marks(struct mio_arena *a, struct mio_value v);
