/* providers/host/child/serve.c: the threads of the child.
 *
 * Each worker takes the receiving lock, reads one call, gives the lock to the next and works: no thread stands
 * between the socket and the plugin. A plugin that is not concurrent has one worker, the main thread. The control
 * thread hears cancels and acknowledgements, and ends the process when the host is gone. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/host/child/child.h"
#include "providers/sdk/clock.h"

enum { CLOSE_WAIT_MS = 1500 };

void mio_child_send(struct mio_child *c, struct mio_wire_head head, const struct iovec *parts,
                    size_t n)
{
    pthread_mutex_lock(&c->send_mu);
    int why = mio_wire_send(MIO_WIRE_FD, head, parts, n);
    pthread_mutex_unlock(&c->send_mu);
    if (why)
        _exit(1); /* nobody is there to tell */
}

/* ---- the table of calls in flight ---- */

static void release(struct mio_child *c, struct mio_child_call *call)
{
    pthread_mutex_lock(&c->calls_mu);
    bool last = --call->refs == 0;
    pthread_mutex_unlock(&c->calls_mu);
    if (!last)
        return;
    pthread_cond_destroy(&call->acked);
    pthread_mutex_destroy(&call->mu);
    mio_out_free(&call->objects);
    mio_out_free(&call->error);
    free(call->status);
    free(call->answer);
    free(call);
}

static struct mio_child_call *enter(struct mio_child *c, const struct mio_wire_head *head)
{
    struct mio_child_call *call = mio_zalloc(1, sizeof *call);
    call->abi = (struct mlops_call){.size = sizeof call->abi, .host = call};
    mio_child_callbacks(&call->abi);
    call->child = c;
    call->refs = 1;
    call->id = head->id;
    call->verb = head->verb;
    pthread_mutex_init(&call->mu, NULL);
    pthread_cond_init(&call->acked, NULL);
    pthread_mutex_lock(&c->calls_mu);
    for (size_t i = 0; i < sizeof c->stray / sizeof *c->stray; i++)
        if (c->stray[i] == call->id)
            call->cancelled = true;
    call->next = c->calls;
    c->calls = call;
    pthread_mutex_unlock(&c->calls_mu);
    return call;
}

static void leave(struct mio_child *c, struct mio_child_call *call)
{
    pthread_mutex_lock(&c->calls_mu);
    struct mio_child_call **at = &c->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    pthread_mutex_unlock(&c->calls_mu);
    release(c, call);
}

/* Referenced; NULL when it is not in flight (any more, or yet). Under calls_mu. */
static struct mio_child_call *find(struct mio_child *c, uint32_t id)
{
    struct mio_child_call *call = c->calls;
    while (call && call->id != id)
        call = call->next;
    if (call)
        call->refs++;
    return call;
}

/* ---- the control socket ---- */

static void cancel(struct mio_child *c, uint32_t id)
{
    pthread_mutex_lock(&c->calls_mu);
    struct mio_child_call *call = find(c, id);
    if (!call)
        c->stray[c->nstray++ % (sizeof c->stray / sizeof *c->stray)] = id;
    pthread_mutex_unlock(&c->calls_mu);
    if (!call)
        return;
    __atomic_store_n(&call->cancelled, true, __ATOMIC_RELAXED);
    if ((c->plugin->caps & MLOPS_CAP_CANCEL) && call->verb != MIO_VERB_CONFIGURE)
        c->plugin->cancel(c->instance, &call->abi);
    release(c, call);
}

static void acknowledge(struct mio_child *c, uint32_t id, bool kept)
{
    pthread_mutex_lock(&c->calls_mu);
    struct mio_child_call *call = find(c, id);
    pthread_mutex_unlock(&c->calls_mu);
    if (!call)
        return;
    pthread_mutex_lock(&call->mu);
    call->ack = kept;
    pthread_cond_signal(&call->acked);
    pthread_mutex_unlock(&call->mu);
    release(c, call);
}

static void *control(void *arg)
{
    struct mio_child *c = arg;
    struct mio_rx rx = {.fd = MIO_WIRE_CTL_FD};
    for (;;) {
        struct mio_wire_head head;
        struct mio_in in;
        int got = mio_rx_next(&rx, &head, &in);
        if (got < 0 || (got == 0 && mio_rx_fill(&rx, 0) <= 0))
            _exit(0); /* the host is gone: so are we, whatever the plugin is doing */
        if (got == 1 && head.type == MIO_WIRE_CANCEL)
            cancel(c, head.id);
        else if (got == 1 && head.type == MIO_WIRE_ACK)
            acknowledge(c, head.id, head.verb == 1);
    }
}

/* ---- the workers ---- */

static void *work(void *arg);

static void add_worker(struct mio_child *c)
{
    pthread_t t;
    __atomic_add_fetch(&c->workers, 1, __ATOMIC_RELAXED);
    if (pthread_create(&t, NULL, work, c) == 0)
        pthread_detach(t);
    else
        __atomic_sub_fetch(&c->workers, 1, __ATOMIC_RELAXED);
}

/* In order: the calls in flight end first, as far as they do in time. */
static _Noreturn void close_plugin(struct mio_child *c)
{
    int64_t until = mio_now_ms() + CLOSE_WAIT_MS;
    for (;;) {
        pthread_mutex_lock(&c->calls_mu);
        bool busy = c->calls != NULL;
        pthread_mutex_unlock(&c->calls_mu);
        if (!busy || mio_now_ms() >= until)
            break;
        mio_sleep_ms(10);
    }
    if (c->instance && c->plugin->close)
        c->plugin->close(c->instance);
    _exit(0);
}

/* Reads one message into `buf`; ends the process when there will be none. */
static struct mio_wire_head receive(struct mio_child *c, struct mio_out *buf)
{
    struct mio_wire_head head;
    struct mio_in in;
    __atomic_add_fetch(&c->idle, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&c->receive_mu);
    for (;;) {
        int got = mio_rx_next(&c->rx, &head, &in);
        if (got == 1)
            break;
        if (got < 0 || mio_rx_fill(&c->rx, 0) <= 0)
            _exit(0);
    }
    buf->n = 0;
    mio_out_raw(buf, in.p, (size_t)(in.end - in.p));
    pthread_mutex_unlock(&c->receive_mu);
    unsigned idle = __atomic_sub_fetch(&c->idle, 1, __ATOMIC_RELAXED);
    if (idle == 0 && __atomic_load_n(&c->workers, __ATOMIC_RELAXED) < c->limit)
        add_worker(c); /* somebody must hear the next call while this one works */
    return head;
}

static void *work(void *arg)
{
    struct mio_child *c = arg;
    MIO_AUTO_OUT buf = {0};
    for (;;) {
        struct mio_wire_head head = receive(c, &buf);
        if (head.type == MIO_WIRE_CLOSE)
            close_plugin(c);
        if (head.type != MIO_WIRE_CALL)
            _exit(1);
        struct mio_child_call *call = enter(c, &head);
        struct mio_in in = {.p = buf.p, .end = buf.p + buf.n};
        mio_child_dispatch(c, call, &in);
        leave(c, call);
    }
}

_Noreturn void mio_child_serve(struct mio_child *c)
{
    c->limit = c->plugin->caps & MLOPS_CAP_CONCURRENT ? MIO_WIRE_THREADS : 1;
    c->workers = 1;
    pthread_t t;
    if (pthread_create(&t, NULL, control, c) != 0)
        _exit(1);
    work(c);
    _exit(0);
}
