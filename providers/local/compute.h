/* providers/local/compute.h: the slots of a compute, as jobs take them. */
#pragma once
#include "providers/local/local.h"

struct local_compute {
    struct mio_str ws, name;
    int64_t slots;
};
/* Errors: MIO_REALITY when there is no such compute. */
enum mio_code local_compute_open(struct local *l, struct mio_str ws, struct mio_str ref,
                                 struct local_compute *out, struct mio_err *err);
/* Waits for a free slot and locks it; *fd holds the lock and may be handed to a process that
 * outlives us. Errors: MIO_CANCELLED, MIO_REALITY (deadline), MIO_IO. */
enum mio_code local_compute_take(struct local *l, const struct local_compute *c, int64_t *slot,
                                 int *fd, struct mio_err *err);
/* Name of the control group of one slot, for local_cgroup_procs. */
const char *local_compute_group(struct local *l, const struct local_compute *c, int64_t slot);
