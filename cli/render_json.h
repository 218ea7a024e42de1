/* cli/render_json.h: plans and states as the JSON documents that Terraform's tools read. */
#pragma once
#include "cli/json_out.h"
#include "planner/change/plan.h"
#include "state/model.h"

/* `show -json PLANFILE`: one line, no newline. `digest`: of the plan file, or "". */
void mio_plan_json(struct mio_buf *b, struct mio_arena *a, const struct mio_plan *plan,
                   struct mio_str digest);
/* `show -json`: the recorded state. Errors: MIO_STATE when a row cannot be read. */
enum mio_code mio_state_json(struct mio_buf *b, struct mio_arena *a, const struct mio_state *s,
                             struct mio_err *err);
/* `show`: the same for people: resource blocks and outputs. */
struct mio_pen;
enum mio_code mio_state_text(const struct mio_pen *pen, struct mio_arena *a,
                             const struct mio_state *s, struct mio_err *err);
/* One row (`state show`). */
enum mio_code mio_row_text(const struct mio_pen *pen, struct mio_arena *a,
                           const struct mio_row *row, struct mio_err *err);
enum mio_code mio_row_json(struct mio_jout *j, struct mio_arena *a, const struct mio_row *row,
                           struct mio_err *err);

/* Values without what is unknown: absent from maps, null in lists. */
void mio_json_known(struct mio_jout *j, struct mio_value v);
/* true for what is sensitive, with the way there: {"keys":{"primary":true}}. */
void mio_json_sensitive(struct mio_jout *j, struct mio_value v);
/* Terraform's name of a value's type: "string", ["tuple",[...]], ["object",{...}]. */
void mio_json_type(struct mio_jout *j, struct mio_value v);
/* {"NAME":{"sensitive":...,"type":...,"value":...}}; the values of sensitive ones only when `open`.
 */
void mio_json_outputs(struct mio_jout *j, const struct mio_state_output *o, size_t n, bool open);
/* ["delete","create"] and the like. */
void mio_json_actions(struct mio_jout *j, enum mio_action action);
/* ["a",0,"b"] of "a.0.b". */
void mio_json_path(struct mio_jout *j, struct mio_str path);
