/* planner/change/planfile.h: a plan as canonical bytes: same inputs, same bytes.
 *
 * JSON Lines: a header (format, binding, mode, targets, counts, SHA-256 of the body), then a line
 * each for variables, every change that is no no-op, drift, outputs and checks. 0600, O_EXCL +
 * rename. Sensitive values are written as salted digests. */
#pragma once
#include "planner/change/plan.h"
#include "providers/sdk/buf.h"

void mio_planfile_write(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt);
/* Refuses truncated, edited, newer and foreign files with MIO_STATE or MIO_USAGE and what to do. */
enum mio_code mio_planfile_read(struct mio_arena *a, struct mio_str text, struct mio_plan *out,
                                struct mio_str *digest, struct mio_err *err);
/* SHA-256 (hex) of what the plan would change: equal for two plans that do the same, whenever they
 * were made. */
void mio_plan_digest(const struct mio_plan *p, struct mio_str salt, char out[65]);
