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
