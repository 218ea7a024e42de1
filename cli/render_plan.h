/* cli/render_plan.h: a plan as text for people: what differs, what will be done, the one-line sums.
 */
#pragma once
#include "cli/out.h"
#include "planner/change/plan.h"

/* Everything: drift, actions, outputs, unchecked, the sum. `summary`: one line a change. */
void mio_render_plan(const struct mio_pen *pen, const struct mio_plan *plan, bool summary);
/* The checks that failed; for a plan from a file: whoever makes one tells them as diagnostics. */
void mio_render_checks(const struct mio_pen *pen, const struct mio_plan *plan);
/* One resource: its comment lines, header and attributes, as in a plan. */
void mio_render_change(const struct mio_pen *pen, const struct mio_change *c);
/* The report of the drift command; `total`: resources recorded. */
void mio_render_drift(const struct mio_pen *pen, const struct mio_plan *plan, size_t total,
                      bool summary);

/* Is there anything that an apply of this plan would do (or, refresh-only, record)? */
bool mio_plan_proposes(const struct mio_plan *plan);
/* "Plan: 1 to add, 0 to change, 0 to destroy." without newline. */
void mio_put_plan_sum(struct mio_buf *b, const struct mio_plan *plan);
/* "Apply complete! Resources: ..." or "Destroy complete! ...", without newline. */
void mio_put_apply_sum(struct mio_buf *b, enum mio_plan_mode mode, const struct mio_plan_counts *n);
/* "Drift: 2 differ, 10 as recorded, 1 not checked." without newline. */
void mio_put_drift_sum(struct mio_buf *b, const struct mio_plan *plan, size_t total);
