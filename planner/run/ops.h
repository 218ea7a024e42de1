/* planner/run/ops.h: the operations of an apply and what each waits for.
 *
 * In: the steps of a plan. Out: a graph without circles: every edge says "after". Pure. */
#pragma once
#include "planner/change/planner.h"

enum mio_op_type { MIO_OP_APPLY, MIO_OP_DESTROY, MIO_OP_LATE };
enum mio_op_status { MIO_OP_WAITING, MIO_OP_RUNNING, MIO_OP_OK, MIO_OP_BAD, MIO_OP_SKIPPED };
struct mio_op {
    enum mio_op_type type;
    enum mio_op_status status;
    struct mio_step *step;
    bool idle;            /* nothing to do: only order passes through it */
    bool blocked;         /* something it waits for failed or was skipped */
    size_t waits;         /* predecessors that have not ended */
    struct mio_op **next; /* those that wait for it */
    size_t nnext, cap;
    uint64_t number;           /* in the journal; 0: not given yet */
    bool planned;              /* the journal has it as a planned create */
    struct mio_str depose_key; /* "" until it is chosen */
};
struct mio_ops {
    struct mio_op *items;
    size_t n;
    size_t work; /* not idle */
};
enum mio_code mio_ops_build(struct mio_arena *a, const struct mio_planner *p, struct mio_ops *out,
                            struct mio_err *err);
/* "create", "update", ... as events name it. */
enum mio_action mio_op_action(const struct mio_op *op);
