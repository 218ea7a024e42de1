/* providers/host/child/serve.c: the threads of the child.
 *
 * Each lane has a worker that reads a call, runs it, answers, and reads the next. A plugin that is
 * not concurrent has one lane, and its worker is the main thread. The control thread hears of new
 * lanes, cancels and acknowledgements, and ends the process when the host is gone. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/host/child/child.h"
#include "providers/sdk/clock.h"

enum { CLOSE_WAIT_MS = 1500 };

void mio_child_send(struct mio_child_lane *lane, struct mio_wire_head head,
                    const struct iovec *parts, size_t n)
{
    pthread_mutex_lock(&lane->send_mu);
    int why = mio_wire_send(lane->rx.fd, head, parts, n);
    pthread_mutex_unlock(&lane->send_mu);
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
    mio_msg_free(&call->objects);
    mio_msg_free(&call->error);
    free(call->status);
    free(call->answer);
    free(call);
}

static struct mio_child_call *enter(struct mio_child_lane *lane, const struct mio_wire_head *head)
{
    struct mio_child *c = lane->child;
    struct mio_child_call *call = mio_zalloc(1, sizeof *call);
    call->abi = (struct mlops_call){.size = sizeof call->abi, .host = call};
    mio_child_callbacks(&call->abi);
    call->lane = lane;
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

static void *work(void *arg);

/* A worker for one more lane. */
static void add_lane(struct mio_child *c, int fd)
{
    pthread_t t;
    struct mio_child_lane *lane = mio_zalloc(1, sizeof *lane);
    lane->child = c;
    lane->rx.fd = fd;
    pthread_mutex_init(&lane->send_mu, NULL);
    if (pthread_create(&t, NULL, work, lane) != 0)
        _exit(1); /* the host would wait on this lane for ever */
    pthread_detach(t);
}

static void *control(void *arg)
{
    struct mio_child *c = arg;
    struct mio_wire_head head;
    int fd;
    while (mio_wire_receive_control(MIO_WIRE_CTL_FD, &head, &fd)) {
        if (head.type == MIO_WIRE_CANCEL)
            cancel(c, head.id);
        else if (head.type == MIO_WIRE_ACK)
            acknowledge(c, head.id, head.verb == 1);
        else if (head.type == MIO_WIRE_LANE && fd >= 0)
            add_lane(c, fd);
        else if (head.type == MIO_WIRE_BEAT)
            mio_wire_send_control(MIO_WIRE_CTL_FD, head, -1);
    }
    _exit(0); /* the host is gone: so are we, whatever the plugin is doing */
}

/* ---- the workers ---- */

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

static void *work(void *arg)
{
    struct mio_child_lane *lane = arg;
    for (;;) {
        struct mio_wire_head head;
        struct mio_in in;
        int got = mio_rx_next(&lane->rx, &head, &in);
        if (got < 0 || (got == 0 && mio_rx_fill(&lane->rx, 0) <= 0))
            _exit(0);
        if (got == 0)
            continue;
        if (head.type == MIO_WIRE_CLOSE)
            close_plugin(lane->child);
        if (head.type != MIO_WIRE_CALL)
            _exit(1);
        struct mio_child_call *call = enter(lane, &head);
        mio_child_dispatch(lane->child, call, &in);
        leave(lane->child, call);
    }
}

_Noreturn void mio_child_serve(struct mio_child_lane *first)
{
    pthread_t t;
    if (pthread_create(&t, NULL, control, first->child) != 0)
        _exit(1);
    work(first);
    _exit(0);
}
