/* providers/host/link.c: see link.h. */
#include "providers/host/link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/host/process.h"
#include "providers/sdk/clock.h"

enum {
    GRACE_MS = 500,      /* from the cancel at the deadline to the kill */
    TICK_MS = 100,       /* how often a cancel flag is looked at */
    HELLO_MS = 20000,    /* to load a plugin */
    SEND_TIMEOUT_S = 30, /* a child that takes no bytes for so long is stuck */
};

struct event {
    struct event *next;
    uint8_t type;
    int percent;
    struct mio_str text;
    char bytes[];
};

struct mio_pending {
    uint32_t id;
    uint8_t verb;
    bool done, cancelled;
    bool waiting; /* asleep on wake */
    pthread_cond_t wake;
    struct event *first, **last;
    struct mio_answer answer;
};

struct mio_link {
    unsigned refs; /* atomic */
    struct mio_link_opts o;
    char *instance, *path; /* what o points to */
    struct mio_process *process;
    int fd, ctl;
    pthread_mutex_t send_mu, ctl_mu;
    pthread_mutex_t mu; /* everything below */
    bool reading;       /* some caller reads for all */
    bool dead;
    struct mio_err death;
    struct mio_pending **calls; /* by the low bits of the id */
    uint32_t ncalls, sequence;
    char *hello; /* payload of the greeting */
    size_t nhello;
    bool greeted;
    struct mio_rx rx; /* belongs to whoever is reading */
};

enum { SLOT_BITS = 12, SLOT_MASK = (1 << SLOT_BITS) - 1 };

/* ---- death ---- */

/* Under mu. The first reason wins. */
static void die(struct mio_link *l, enum mio_code code, const char *cause, const char *hint,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void die(struct mio_link *l, enum mio_code code, const char *cause, const char *hint,
                const char *fmt, ...)
{
    if (l->dead)
        return;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->dead = true;
    mio_fail(&l->death, code, "provider \"%s\": %s", l->instance, text);
    mio_err_cause(&l->death, "plugin %s%s%s", l->path, *cause ? ": " : "", cause);
    if (hint)
        mio_err_hint(&l->death, "%s", hint);
    for (uint32_t i = 0; i < l->ncalls; i++)
        if (l->calls[i])
            pthread_cond_signal(&l->calls[i]->wake);
}

static const char crash_hint[] =
    "run the command again: what was in flight is settled first; report this to the plugin's author";

/* Under mu: the plugin broke the protocol. */
static void garbage(struct mio_link *l, const char *what)
{
    die(l, MIO_PROVIDER, "", crash_hint, "the plugin answered garbage: %s", what);
    mio_process_kill(l->process);
}

/* The stream ended: find out how. Called without mu. */
static void lost(struct mio_link *l)
{
    if (!mio_process_wait(l->process, mio_now_ms() + 1000)) {
        mio_process_kill(l->process);
        mio_process_wait(l->process, mio_now_ms() + 1000);
    }
    char how[160], last[256];
    mio_process_epitaph(l->process, how, sizeof how, last, sizeof last);
    pthread_mutex_lock(&l->mu);
    die(l, MIO_PROVIDER, last, crash_hint, "the plugin %s", how);
    pthread_mutex_unlock(&l->mu);
}

void mio_link_kill(struct mio_link *l, enum mio_code code, const char *why, const char *hint)
{
    pthread_mutex_lock(&l->mu);
    die(l, code, "", hint, "%s", why);
    pthread_mutex_unlock(&l->mu);
    mio_process_kill(l->process);
}

bool mio_link_dead(struct mio_link *l)
{
    pthread_mutex_lock(&l->mu);
    bool dead = l->dead;
    pthread_mutex_unlock(&l->mu);
    return dead;
}

/* ---- what the child sends ---- */

static struct mio_pending *find(struct mio_link *l, uint32_t id)
{
    uint32_t slot = id & SLOT_MASK;
    struct mio_pending *c = slot < l->ncalls ? l->calls[slot] : NULL;
    return c && c->id == id ? c : NULL;
}

static void take_event(struct mio_link *l, struct mio_pending *c, uint8_t type, struct mio_in *in)
{
    int percent = type == MIO_WIRE_PROGRESS ? (int)(int32_t)mio_in_u32(in) : 0;
    struct mio_str text = mio_in_str(in);
    if (in->bad || !mio_str_utf8(text)) {
        garbage(l, "a message that is no text");
        return;
    }
    struct event *e = mio_alloc(sizeof *e + text.n + 1);
    *e = (struct event){.type = type, .percent = percent};
    if (text.n > 0)
        memcpy(e->bytes, text.p, text.n);
    e->bytes[text.n] = 0;
    e->text = (struct mio_str){e->bytes, text.n};
    *c->last = e;
    c->last = &e->next;
    pthread_cond_signal(&c->wake);
}

static void take_result(struct mio_link *l, struct mio_pending *c, uint8_t outcome,
                        const struct mio_in *in)
{
    if (c->done) {
        garbage(l, "two answers to one call");
        return;
    }
    size_t n = (size_t)(in->end - in->p);
    c->answer = (struct mio_answer){.outcome = outcome, .payload = mio_alloc(n + 1), .n = n};
    memcpy(c->answer.payload, in->p, n);
    c->done = true;
    pthread_cond_signal(&c->wake);
}

static void take_log(struct mio_link *l, struct mio_in *in)
{
    int level = (int)(int32_t)mio_in_u32(in);
    struct mio_str text = mio_in_str(in);
    if (in->bad || !mio_str_utf8(text))
        garbage(l, "a log line that is no text");
    else
        l->o.on_log(l->o.arg, level, text);
}

/* Under mu. */
static void dispatch(struct mio_link *l, const struct mio_wire_head *h, struct mio_in *in)
{
    if (h->type == MIO_WIRE_HELLO && !l->greeted) {
        l->greeted = true;
        l->nhello = h->len;
        l->hello = mio_alloc((size_t)h->len + 1);
        memcpy(l->hello, in->p, h->len);
        return;
    }
    if (h->type == MIO_WIRE_LOG) {
        take_log(l, in);
        return;
    }
    struct mio_pending *c = find(l, h->id);
    if (!c)
        garbage(l, "an answer to a call that was not made");
    else if (h->type == MIO_WIRE_PROGRESS || h->type == MIO_WIRE_HANDLE)
        take_event(l, c, h->type, in);
    else if (h->type == MIO_WIRE_RESULT && h->verb >= MIO_OUT_OK && h->verb <= MIO_OUT_LARGE)
        take_result(l, c, h->verb, in);
    else
        garbage(l, "a message of an unknown type");
}

/* Reads what is there, waiting at most `ms`. The caller holds the reading role, not mu. */
static void pump(struct mio_link *l, int64_t ms)
{
    struct pollfd pfd = {.fd = l->fd, .events = POLLIN};
    if (poll(&pfd, 1, (int)ms) <= 0)
        return;
    ptrdiff_t got = mio_rx_fill(&l->rx, MSG_DONTWAIT);
    if (got == -EAGAIN || got == -EWOULDBLOCK)
        return;
    if (got <= 0) {
        lost(l);
        return;
    }
    pthread_mutex_lock(&l->mu);
    struct mio_wire_head h;
    struct mio_in in;
    int more = 1;
    while (!l->dead && (more = mio_rx_next(&l->rx, &h, &in)) > 0)
        dispatch(l, &h, &in);
    if (more < 0)
        garbage(l, "bytes that are no message, or an answer beyond 16 MiB");
    pthread_mutex_unlock(&l->mu);
}

/* ---- sending ---- */

static void send_control(struct mio_link *l, uint8_t type, uint32_t id, uint8_t verb)
{
    pthread_mutex_lock(&l->ctl_mu);
    mio_wire_send(l->ctl, (struct mio_wire_head){.type = type, .id = id, .verb = verb}, NULL, 0);
    pthread_mutex_unlock(&l->ctl_mu);
}

void mio_link_cancel_all(struct mio_link *l)
{
    uint32_t ids[SLOT_MASK + 1];
    uint32_t n = 0;
    pthread_mutex_lock(&l->mu);
    for (uint32_t i = 0; i < l->ncalls; i++)
        if (l->calls[i] && !l->calls[i]->done && !l->calls[i]->cancelled) {
            l->calls[i]->cancelled = true;
            ids[n++] = l->calls[i]->id;
        }
    pthread_mutex_unlock(&l->mu);
    for (uint32_t i = 0; i < n; i++)
        send_control(l, MIO_WIRE_CANCEL, ids[i], 0);
}

/* Under mu. */
static void enlist(struct mio_link *l, struct mio_pending *c)
{
    uint32_t slot = 0;
    while (slot < l->ncalls && l->calls[slot])
        slot++;
    if (slot > SLOT_MASK)
        mio_alloc_die(slot); /* four thousand calls at once: the caller bounds them to 256 */
    if (slot == l->ncalls) {
        uint32_t room = l->ncalls ? l->ncalls * 2 : 16;
        l->calls = mio_realloc(l->calls, room, sizeof *l->calls);
        memset(l->calls + l->ncalls, 0, (room - l->ncalls) * sizeof *l->calls);
        l->ncalls = room;
    }
    c->id = ++l->sequence << SLOT_BITS | slot;
    l->calls[slot] = c;
}

struct mio_pending *mio_link_send(struct mio_link *l, uint8_t verb, const struct mio_call_opts *o,
                                  const struct mio_out *arguments)
{
    struct mio_pending *c = mio_zalloc(1, sizeof *c);
    c->verb = verb;
    c->last = &c->first;
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &ca);
    pthread_condattr_destroy(&ca);
    pthread_mutex_lock(&l->mu);
    enlist(l, c);
    bool dead = l->dead;
    pthread_mutex_unlock(&l->mu);
    if (dead)
        return c;
    MIO_AUTO_OUT first = {0};
    mio_out_str(&first, o->key);
    mio_out_i64(&first, o->deadline_ms);
    mio_out_u32(&first, o->attempt);
    const struct iovec parts[] = {{first.p, first.n}, {arguments->p, arguments->n}};
    struct mio_wire_head head = {.type = MIO_WIRE_CALL, .id = c->id, .verb = verb};
    pthread_mutex_lock(&l->send_mu);
    int why = mio_wire_send(l->fd, head, parts, 2);
    pthread_mutex_unlock(&l->send_mu);
    if (why == EMSGSIZE)
        mio_link_kill(l, MIO_PROVIDER, "a call beyond 16 MiB cannot be sent", NULL);
    else if (why == EAGAIN)
        mio_link_kill(l, MIO_PROVIDER, "the plugin's process takes no calls any more", crash_hint);
    else if (why)
        lost(l);
    return c;
}

/* ---- waiting ---- */

static void free_events(struct event *e)
{
    while (e) {
        struct event *next = e->next;
        free(e);
        e = next;
    }
}

/* Takes the call off the table; under mu. */
static void retire(struct mio_link *l, struct mio_pending *c)
{
    l->calls[c->id & SLOT_MASK] = NULL;
    for (uint32_t i = 0; !l->reading && i < l->ncalls; i++)
        if (l->calls[i] && l->calls[i]->waiting) {
            pthread_cond_signal(&l->calls[i]->wake); /* somebody else must read now */
            break;
        }
}

/* Runs the callbacks of what has come in; called without mu. */
static void deliver(struct mio_link *l, struct mio_pending *c, const struct mio_call_opts *o,
                    struct event *e)
{
    for (struct event *i = e; i; i = i->next) {
        if (i->type == MIO_WIRE_PROGRESS) {
            if (o->on_progress)
                o->on_progress(o->arg, i->text, i->percent);
        } else {
            bool kept = o->on_handle && o->on_handle(o->arg, i->text);
            send_control(l, MIO_WIRE_ACK, c->id, kept);
        }
    }
    free_events(e);
}

/* At the deadline: a cancel; a moment later: the end of the child. Under mu; gives the next time to look. */
static int64_t watch_clock(struct mio_link *l, struct mio_pending *c, const struct mio_call_opts *o,
                           int64_t now)
{
    bool wanted = o->cancel && __atomic_load_n(o->cancel, __ATOMIC_RELAXED);
    bool late = now >= o->deadline_ms;
    if ((wanted || late) && !c->cancelled) {
        c->cancelled = true;
        pthread_mutex_unlock(&l->mu);
        send_control(l, MIO_WIRE_CANCEL, c->id, 0);
        pthread_mutex_lock(&l->mu);
    }
    if (now >= o->deadline_ms + GRACE_MS) {
        die(l, MIO_PROVIDER, "", "raise the timeout of the resource, or see why the platform is slow",
            "the plugin did not finish %s within its deadline and was stopped",
            mio_wire_verb_name(c->verb));
        mio_process_kill(l->process);
    }
    int64_t until = late ? o->deadline_ms + GRACE_MS : o->deadline_ms;
    return o->cancel && until > now + TICK_MS ? now + TICK_MS : until;
}

/* Reads for all, or sleeps until the reader has something for this call. Under mu. */
static void wait_or_read(struct mio_link *l, struct mio_pending *c, int64_t now, int64_t until)
{
    if (!l->reading) {
        l->reading = true;
        pthread_mutex_unlock(&l->mu);
        int64_t ms = until > now ? until - now : 0;
        pump(l, ms < 60000 ? ms : 60000);
        pthread_mutex_lock(&l->mu);
        l->reading = false;
        return;
    }
    struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    c->waiting = true;
    pthread_cond_timedwait(&c->wake, &l->mu, &ts);
    c->waiting = false;
}

enum mio_code mio_link_wait(struct mio_link *l, struct mio_pending *c, const struct mio_call_opts *o,
                            struct mio_answer *out, struct mio_err *err)
{
    pthread_mutex_lock(&l->mu);
    for (;;) {
        if (c->first) {
            struct event *e = c->first;
            c->first = NULL;
            c->last = &c->first;
            pthread_mutex_unlock(&l->mu);
            deliver(l, c, o, e);
            pthread_mutex_lock(&l->mu);
            continue;
        }
        if (c->done || l->dead)
            break;
        int64_t now = mio_now_ms();
        int64_t until = watch_clock(l, c, o, now);
        if (!l->dead && !c->done && !c->first)
            wait_or_read(l, c, now, until);
    }
    retire(l, c);
    bool done = c->done;
    if (!done && !err->code)
        *err = l->death;
    pthread_mutex_unlock(&l->mu);
    if (done)
        *out = c->answer;
    pthread_cond_destroy(&c->wake);
    free(c);
    return done ? MIO_OK : err->code;
}

/* ---- beginning and end ---- */

static void on_line(void *arg, struct mio_str line)
{
    struct mio_link *l = arg;
    l->o.on_log(l->o.arg, MLOPS_LOG_DEBUG, line);
}

/* A child of the child may hold the sockets open: end the streams for our side. */
static void on_exit_(void *arg)
{
    struct mio_link *l = arg;
    shutdown(l->fd, SHUT_RDWR);
    shutdown(l->ctl, SHUT_RDWR);
}

static void link_free(struct mio_link *l)
{
    mio_process_free(l->process);
    close(l->fd);
    close(l->ctl);
    mio_rx_free(&l->rx);
    pthread_mutex_destroy(&l->mu);
    pthread_mutex_destroy(&l->send_mu);
    pthread_mutex_destroy(&l->ctl_mu);
    free(l->calls);
    free(l->hello);
    free(l->instance);
    free(l->path);
    free(l);
}

void mio_link_ref(struct mio_link *l)
{
    __atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
}

void mio_link_unref(struct mio_link *l)
{
    if (l && __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
        link_free(l);
}

void mio_link_close(struct mio_link *l, int64_t deadline_ms)
{
    if (!mio_link_dead(l)) {
        pthread_mutex_lock(&l->send_mu);
        mio_wire_send(l->fd, (struct mio_wire_head){.type = MIO_WIRE_CLOSE}, NULL, 0);
        pthread_mutex_unlock(&l->send_mu);
        mio_process_wait(l->process, deadline_ms);
    }
    mio_link_kill(l, MIO_CANCELLED, "the provider was closed", NULL);
}

static enum mio_code start(struct mio_link *l, const struct mio_link_opts *o, struct mio_err *err)
{
    int main_pair[2], ctl_pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, main_pair) < 0)
        return mio_fail_sys(err, errno, "cannot make a socket for a plugin");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl_pair) < 0) {
        int why = errno;
        close(main_pair[0]);
        close(main_pair[1]);
        return mio_fail_sys(err, why, "cannot make a socket for a plugin");
    }
    l->fd = l->rx.fd = main_pair[0];
    l->ctl = ctl_pair[0];
    struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(l->ctl, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    char sha[65], parent[24];
    snprintf(sha, sizeof sha, "%.*s", MIO_FMT(o->sha256));
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *argv[] = {o->host_program, l->path, sha, parent, NULL};
    struct mio_process_opts po = {.program = o->host_program,
                                  .argv = argv,
                                  .fds = {main_pair[1], ctl_pair[1]},
                                  .on_line = on_line,
                                  .on_exit = on_exit_,
                                  .arg = l};
    enum mio_code code = mio_process_start(&po, &l->process, err);
    close(main_pair[1]);
    close(ctl_pair[1]);
    if (code) {
        close(l->fd);
        close(l->ctl);
    }
    return code;
}

/* Reads until the greeting is there: the schema, or why the plugin was refused. */
static enum mio_code greet(struct mio_link *l, char **schema, struct mio_err *err)
{
    int64_t deadline = mio_now_ms() + HELLO_MS, now;
    while (!l->greeted && !l->dead && (now = mio_now_ms()) < deadline)
        pump(l, deadline - now);
    if (l->dead) {
        *err = l->death;
        return mio_err_wrap(err, "cannot load the plugin");
    }
    if (!l->greeted) {
        mio_fail(err, MIO_PROVIDER, "provider \"%s\": the plugin did not load within %d s",
                 l->instance, HELLO_MS / 1000);
        return mio_err_cause(err, "plugin %s", l->path);
    }
    struct mio_in in = {.p = (const uint8_t *)l->hello, .end = (const uint8_t *)l->hello + l->nhello};
    bool loaded = mio_in_u8(&in);
    struct mio_str text = mio_in_str(&in);
    struct mio_str hint = loaded ? MIO_STR("") : mio_in_str(&in);
    if (in.bad)
        return mio_fail(err, MIO_PROVIDER, "provider \"%s\": the plugin's greeting is garbage",
                        l->instance);
    if (!loaded) {
        mio_fail(err, MIO_PROVIDER, "provider \"%s\": %.*s", l->instance, MIO_FMT(text));
        return mio_err_hint(err, "%.*s", MIO_FMT(hint));
    }
    *schema = mio_alloc(text.n + 1);
    memcpy(*schema, text.p, text.n + 1);
    return MIO_OK;
}

enum mio_code mio_link_open(const struct mio_link_opts *o, struct mio_link **out, char **schema,
                            struct mio_err *err)
{
    struct mio_link *l = mio_zalloc(1, sizeof *l);
    l->refs = 1;
    l->o = *o;
    l->path = mio_strdup(o->plugin_path);
    l->instance = mio_zalloc(1, o->instance.n + 1);
    memcpy(l->instance, o->instance.p, o->instance.n);
    pthread_mutex_init(&l->mu, NULL);
    pthread_mutex_init(&l->send_mu, NULL);
    pthread_mutex_init(&l->ctl_mu, NULL);
    if (start(l, o, err)) {
        free(l->instance);
        free(l->path);
        free(l);
        return err->code;
    }
    if (greet(l, schema, err)) {
        mio_link_unref(l);
        return err->code;
    }
    *out = l;
    return MIO_OK;
}
