/* tests/planner/expr/answer.h: text of an expression to its value as JSON, for tests and the
 * oracle. */
#pragma once
#include "planner/expr/expr.h"

/* A folder with a few files that file functions may read; `dir` is at least 64 bytes. */
void answer_folder_make(char *dir);
void answer_folder_remove(const char *dir);
/* JSON as jsonencode() writes it, "!" when it cannot be evaluated, "?" when it cannot be parsed. In
 * the arena. */
struct mio_str answer(struct mio_arena *a, const char *dir, struct mio_str text);

/* What flows: rows NAME TAB TYPE TAB JSON TAB "secret" or nothing, as the map that answer_flow
 * takes. */
struct mio_value answer_names(struct mio_arena *a, struct mio_str rows);
/* As oracle/ask_plan.py writes it: `?` for what is unknown, `$(...)` around what is sensitive, "!"
 * when it is refused. `names` are below `var`; terraform_data.u.id is an unknown string,
 * terraform_data.d.output unknown with its type. */
struct mio_str answer_flow(struct mio_arena *a, const char *dir, struct mio_value names,
                           struct mio_str text);
/* The value (JSON) converted to the type, in the same form. */
struct mio_str answer_type(struct mio_arena *a, struct mio_str type, struct mio_str value);
