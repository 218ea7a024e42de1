/* cli/render_review.h: what a plan file is, as text for people: its digest, what it is bound to,
 * who signed and approved it. */
#pragma once
#include "cli/out.h"
#include "planner/run/review.h"

/* Failed checks; "Made ..., stage ..., digest ..." and what it is bound to. */
void mio_render_planfile(const struct mio_pen *pen, const struct mio_planfile *f);
/* Every approval, why some do not count, and what is missing. */
void mio_render_approvals(const struct mio_pen *pen, const struct mio_review *r);
