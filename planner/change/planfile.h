/* planner/change/planfile.h: a plan as canonical bytes: same inputs, same bytes.
 *
 * JSON Lines: a header (format, binding, mode, targets, counts, SHA-256 of the rest and of itself),
 * then a line each for variables, every change that is no no-op, drift, outputs and checks; then
 * what stays as it is (`prior`, for reviewers); then a signature and approvals, which the digest
 * does not cover: they cover it. 0600, O_EXCL + rename. Sensitive values are written as salted
 * digests. */
#pragma once
#include "planner/change/plan.h"
#include "providers/sdk/buf.h"
#include "state/model.h"

/* How far the clocks of those who plan, approve and apply may be apart, in seconds. */
enum { MIO_CLOCK_SKEW_S = 300 };

/* A plan file, read. */
struct mio_planfile {
    struct mio_plan plan;
    struct mio_str digest;  /* of header and all that it covers: what is reviewed and approved */
    struct mio_str changes; /* of what it would change alone: mio_plan_digest */
    struct mio_str content; /* the text up to signature and approvals */
    struct mio_value signature;        /* null: there is none */
    const struct mio_value *approvals; /* as they lie there: approval.h judges them */
    size_t napprovals;
};

/* state: rows that the plan leaves as they are, for `show`; NULL: none are written. */
void mio_planfile_write(struct mio_buf *b, const struct mio_plan *p, struct mio_str salt,
                        const struct mio_state *state);
/* whole: also what stays as it is, as no-op changes. Refuses truncated, edited, newer and foreign
 * files with MIO_STATE and what to do. */
enum mio_code mio_planfile_read(struct mio_arena *a, struct mio_str text, bool whole,
                                struct mio_planfile *out, struct mio_err *err);
/* Header and rest as they were, with this signature and these approvals. */
void mio_planfile_put(struct mio_buf *b, const struct mio_planfile *f);
/* SHA-256 (hex) of what the plan would change: equal for two plans that do the same, whenever they
 * were made. */
void mio_plan_digest(const struct mio_plan *p, struct mio_str salt, char out[65]);
