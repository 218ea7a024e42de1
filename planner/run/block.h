/* planner/run/block.h: one block's own settings, without provider or state. */
#pragma once
#include "planner/run/engine.h"

struct mio_block_found {
    struct mio_str address; /* the whole one */
    struct mio_str dir;     /* what relative paths in the block are relative to */
    struct mio_value body;
};
/* Evaluates those of `keys` that a block has, against variables, locals, paths and its key, as a
 * map; what depends on other resources comes as unknown. `text` is NAME, KIND.NAME or an address
 * with modules and keys. Errors: MIO_USAGE when there is no such block; MIO_TEMPLATE. */
enum mio_code mio_engine_block(struct mio_engine *e, const char *kind, struct mio_str text,
                               const char *const *keys, size_t n, struct mio_block_found *out,
                               struct mio_err *err);
