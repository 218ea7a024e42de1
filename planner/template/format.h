/* planner/template/format.h: one way to lay a YAML file out: what `fmt` does to a file.
 *
 * Two blanks a level, lists indented below their key, one empty line at most, no trailing blanks,
 * one newline at the end, LF. Comments, quotes, folding, flow style and the order of keys stay. */
#pragma once
#include "planner/template/node.h"

/* *out is the text in its form (the same view when it has it already), in the arena. The result is
 * parsed again and compared before it is given out; formatting it once more changes nothing.
 * Errors: MIO_TEMPLATE in diags when the text is no YAML. `shown` is its path in messages. */
enum mio_code mio_format(struct mio_arena *a, struct mio_str text, struct mio_str shown,
                         struct mio_sources *sources, struct mio_str *out, struct mio_diags *diags);
