/* planner/template/diagtext.h: a diagnostic as plain text: what, where with a caret, what to do. */
#pragma once
#include "providers/sdk/buf.h"
#include "providers/sdk/err.h"

/* "Error: message", the place with its line and ^^^ under it, cause and hint; ends with a newline.
 * Control bytes are escaped. sources may be NULL. */
void mio_diag_text(struct mio_buf *out, const struct mio_diag *d,
                   const struct mio_sources *sources);
/* All of them, an empty line between two. */
void mio_diags_text(struct mio_buf *out, const struct mio_diags *d,
                    const struct mio_sources *sources);
