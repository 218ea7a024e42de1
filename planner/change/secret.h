/* planner/change/secret.h: where sensitive marks go when a value has been to a platform and back.
 * Pure.
 *
 * A plugin answers in plain values: what was sensitive on the way out is so on the way in, at the
 * same path, and wherever else the same text turns up. */
#pragma once
#include "providers/sdk/schema.h"
#include "providers/sdk/value.h"

/* v with every leaf marked that is sensitive (or masked) at the same path of `like`. */
struct mio_value mio_carry_marks(struct mio_arena *a, struct mio_value like, struct mio_value v);
/* v with every string marked that is, or (from 6 bytes on) holds, a sensitive string of `secrets`.
 */
struct mio_value mio_carry_texts(struct mio_arena *a, struct mio_value secrets, struct mio_value v);
/* v with every mask in it replaced by the value at the same path of `from`, where that is what the
 * mask stands for. */
struct mio_value mio_unmask(struct mio_arena *a, struct mio_str salt, struct mio_value v,
                            struct mio_value from);
/* Marks the fields that the schema says are sensitive. */
struct mio_value mio_mark(struct mio_arena *a, const struct mio_field *object, struct mio_value v);
