/* planner/run/exec.h: one apply under way, as the walk (exec.c) and the preparation of operations
 * (prepare.c) see it. */
#pragma once
#include "planner/run/internal.h"

struct mio_exec {
    struct mio_engine *e;
    struct mio_work **working; /* those on worker threads, for their progress */
    size_t nworking;
    struct mio_ops ops;
    struct mio_pool *pool;
    struct mio_jrn *journal;
    struct mio_apply_result *out;
    struct mio_op **ready; /* a queue: first in, first out */
    size_t head, tail;
    size_t running, finished;
    uint64_t number;
    bool draining, aborting;
    int64_t aborted_ms;
    enum mio_code first;
    bool open; /* an outcome that nobody knows is left in the journal */
    struct mio_str apply_id;
    uint64_t base_serial;
};

/* Fills a piece of work from a create, update, delete or late update. Errors: what makes it
 * impossible to send. */
enum mio_code mio_exec_prepare(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                               struct mio_err *err);
/* The same for the lookup of a data block. */
enum mio_code mio_exec_prepare_read(struct mio_exec *x, struct mio_op *op, struct mio_work *w,
                                    struct mio_err *err);
