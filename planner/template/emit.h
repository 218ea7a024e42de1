/* planner/template/emit.h: a tree back to YAML text. */
#pragma once
#include "planner/template/node.h"
#include "providers/sdk/buf.h"

/* Block style, two blanks a level, keys in source order; text is quoted where it would read as
 * something else. Parsing the result gives a tree that mio_node_same calls the same. */
void mio_node_emit(struct mio_buf *out, const struct mio_node *n);
/* Same types, keys in the same order, texts and values; positions and quotes do not count. */
bool mio_node_same(const struct mio_node *a, const struct mio_node *b);
