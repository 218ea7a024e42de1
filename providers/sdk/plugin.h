/* providers/sdk/plugin.h: glue for authors of plugins written in C with this SDK: JSON in, JSON
 * out, errors. */
#pragma once
#include "providers/abi/mlops_provider.h"
#include "providers/sdk/json.h"

/* Parses one of the JSON arguments; NULL or "null" gives the null value. */
enum mio_code mio_plugin_json(struct mio_arena *a, const char *text, struct mio_value *out,
                              struct mio_err *err);
/* fail() from an error of ours; returns MLOPS_ERROR, so that `return mio_plugin_fail(c, &err);` is
 * one line. */
int mio_plugin_fail(const struct mlops_call *c, const struct mio_err *err);
/* emit() one object; id, fingerprint NULL-terminated by the arena; returns MLOPS_OK. */
int mio_plugin_emit(struct mio_arena *a, const struct mlops_call *c, size_t index,
                    struct mio_str id, struct mio_str fingerprint, struct mio_value attributes);
void mio_plugin_emit_status(const struct mlops_call *c, size_t index, enum mlops_status status);
void mio_plugin_emit_error(const struct mlops_call *c, size_t index, const struct mio_err *err);
int mio_plugin_answer(const struct mlops_call *c, struct mio_value v);
/* The i-th item, stepping by the declared size. */
const struct mlops_read_item *mio_plugin_item(const struct mlops_read_args *a, size_t i);
