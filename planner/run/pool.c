/* planner/run/pool.c: see pool.h. */
#include "planner/run/pool.h"
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include "providers/sdk/alloc.h"

struct queue {
    struct mio_job *first, *last;
};
struct mio_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct queue todo, finished;
    pthread_t *threads;
    unsigned started, most, idle;
    bool closing;
};

static void push(struct queue *q, struct mio_job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
}

static struct mio_job *pop(struct queue *q)
{
    struct mio_job *job = q->first;
    if (job) {
        q->first = job->next;
        if (!q->first)
            q->last = NULL;
    }
    return job;
}

static void *worker(void *arg)
{
    struct mio_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct mio_job *job = pop(&p->todo);
        if (!job && p->closing)
            break;
        if (!job) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        push(&p->finished, job);
        pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct mio_pool *mio_pool_open(unsigned threads)
{
    struct mio_pool *p = mio_zalloc(1, sizeof *p);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, &attr);
    pthread_condattr_destroy(&attr);
    p->most = threads ? threads : 1;
    p->threads = mio_zalloc(p->most, sizeof *p->threads);
    return p;
}

void mio_pool_put(struct mio_pool *p, struct mio_job *job)
{
    pthread_mutex_lock(&p->lock);
    push(&p->todo, job);
    if (p->idle == 0 && p->started < p->most &&
        pthread_create(&p->threads[p->started], NULL, worker, p) == 0)
        p->started++;
    if (p->started == 0)
        mio_alloc_die(0); /* not even one thread: as bad as no memory */
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

struct mio_job *mio_pool_take(struct mio_pool *p, int wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    while (!p->finished.first && pthread_cond_timedwait(&p->done, &p->lock, &until) != ETIMEDOUT)
        ;
    struct mio_job *job = pop(&p->finished);
    pthread_mutex_unlock(&p->lock);
    return job;
}

void mio_pool_close(struct mio_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}
