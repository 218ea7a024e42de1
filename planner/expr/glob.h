/* planner/expr/glob.h: patterns of file names: * ? [a-z] [^a] {a,b} \x, and ** over any number of
 * folders. */
#pragma once
#include "providers/sdk/str.h"

/* True when the whole path (parts separated by /) matches. Bounded effort: a pattern that needs
 * more matches nothing. */
bool mio_glob(struct mio_str pattern, struct mio_str path);
