/* planner/run/pool.h: worker threads that take jobs and give them back. Knows nothing of what a job
 * is. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct mio_job {
    struct mio_job *next;
    void (*run)(struct mio_job *job); /* on a worker thread */
};
struct mio_pool;
/* Threads are started as jobs come, `threads` at most. */
struct mio_pool *mio_pool_open(unsigned threads);
void mio_pool_put(struct mio_pool *p, struct mio_job *job);
/* A finished job, or NULL after `wait_ms` without one. */
struct mio_job *mio_pool_take(struct mio_pool *p, int wait_ms);
void mio_pool_close(struct mio_pool *p); /* waits for running jobs; NULL accepted */
