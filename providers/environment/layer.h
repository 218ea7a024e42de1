/* providers/environment/layer.h: cells into layers. */
#pragma once
#include "providers/environment/cell.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/map.h"

struct mio_env_layer {
    struct mio_str title; /* for people: the group, or what it holds */
    const struct mio_env_cell **cells;
    size_t n, cap;
    uint64_t size;            /* of the fragments */
    struct mio_env_sums sums; /* plain is the diff ID, packed the blob's digest */
    struct mio_str type;      /* of a layer that others made: what it is; empty: it is ours */
};
/* Cuts the cells by group: the budget-1 largest groups get a layer each, the rest shares the first.
 * Cells of one layer stay in their order. */
void mio_env_layer_cut(struct mio_arena *a, const struct mio_env_cell *cells, size_t n,
                       unsigned budget, struct mio_env_layer **out, size_t *count);
/* Makes the blob in the store, or finds that it is there. Any thread. Errors: MIO_IO. */
enum mio_code mio_env_layer_make(struct mio_arena *a, const struct mio_env_store *s,
                                 enum mio_codec codec, struct mio_env_layer *layer,
                                 struct mio_err *err);
