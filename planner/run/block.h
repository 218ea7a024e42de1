/* planner/run/block.h: one block's own settings, without provider or state. */
#pragma once
#include "planner/run/engine.h"

/* Evaluates those of `keys` that the root block KIND.NAME has, against variables, locals and paths,
 * as a map; what depends on other resources comes as unknown. Errors: MIO_USAGE when there is no
 * such block; MIO_TEMPLATE. */
enum mio_code mio_engine_block(struct mio_engine *e, const char *kind, struct mio_str name,
                               const char *const *keys, size_t n, struct mio_value *out,
                               struct mio_err *err);
