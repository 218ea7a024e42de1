/* cli/json_out.h: writes JSON piece by piece; commas and, when asked for, indentation come by
 * themselves. */
#pragma once
#include "providers/sdk/json.h"

struct mio_jout {
    struct mio_buf *b;
    unsigned depth;
    bool pretty;
    bool some; /* the open object or list has an element already */
};
void mio_jout_open(struct mio_jout *j,
                   char bracket); /* '{' or '['; after a key, or as an element */
void mio_jout_close(struct mio_jout *j, char bracket);
void mio_jout_key(struct mio_jout *j, const char *key);
void mio_jout_key_str(struct mio_jout *j, struct mio_str key);
/* An element of a list begins: the value is what comes next. */
void mio_jout_item(struct mio_jout *j);
void mio_jout_str(struct mio_jout *j, struct mio_str s);
void mio_jout_bool(struct mio_jout *j, bool v);
void mio_jout_u64(struct mio_jout *j, uint64_t v);
void mio_jout_null(struct mio_jout *j);
/* Unknown as null, sensitive as "(sensitive value)". */
void mio_jout_value(struct mio_jout *j, struct mio_value v);
/* Key and value at once. */
void mio_jout_kstr(struct mio_jout *j, const char *key, struct mio_str s);
void mio_jout_kz(struct mio_jout *j, const char *key, const char *z);
void mio_jout_kbool(struct mio_jout *j, const char *key, bool v);
void mio_jout_ku64(struct mio_jout *j, const char *key, uint64_t v);
void mio_jout_kvalue(struct mio_jout *j, const char *key, struct mio_value v);
