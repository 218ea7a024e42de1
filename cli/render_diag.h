/* cli/render_diag.h: errors and warnings: with the line of the template and a caret for people, as
 * Terraform's diagnostic objects for programs. */
#pragma once
#include "cli/json_out.h"
#include "cli/out.h"

/* Diagnostics from index `from` on. compact: warnings as one line each, unless there is an error.
 */
void mio_render_diags(const struct mio_pen *pen, const struct mio_diags *d, size_t from,
                      const struct mio_sources *sources, bool compact);
/* One error without a template (usage and the like); sources may be NULL. */
void mio_render_diag(const struct mio_pen *pen, const struct mio_diag *d,
                     const struct mio_sources *sources);
/* {"severity":...,"summary":...,"detail":...,"address":...,"range":{...},"snippet":{...}} */
void mio_diag_json(struct mio_jout *j, const struct mio_diag *d, const struct mio_sources *sources);
