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
    BEAT_MS = 2000,      /* between heartbeats, while somebody waits */
    LOOK_MS = 1000,      /* how often who waits looks after them */
    DEAF_MS = 10000,     /* a child that answers none for so long is stopped or stuck */
    SLEPT_MS = 4000,     /* nobody looked for so long: it was us who slept */
};

struct mio_lane {
    struct mio_lane *next_free;
    struct mio_rx rx; /* its descriptor is the lane */
    uint32_t id;      /* of the call in flight; 0: none. Changed under mu */
    uint8_t verb;
    bool cancelled; /* under mu */
};

struct mio_link {
    unsigned refs; /* atomic */
    struct mio_link_opts o;
    char *instance, *path; /* what o points to */
    struct mio_process *process;
    int ctl;
    pthread_mutex_t ctl_mu;
    pthread_mutex_t mu; /* everything below */
    bool dead;
    struct mio_err death;
    uint32_t sequence;
    int64_t beat_ms;   /* when the heartbeat that is not answered yet was sent; 0: none is */
    int64_t next_ms;   /* when the next one is due */
    int64_t looked_ms; /* when somebody looked last */
    struct mio_lane *lanes[MIO_WIRE_LANES], *free;
    size_t nlanes;
};

/* ---- death ---- */

/* The first reason wins. Takes mu. */
static void die(struct mio_link *l, enum mio_code code, const char *cause, const char *hint,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void die(struct mio_link *l, enum mio_code code, const char *cause, const char *hint,
                const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&l->mu);
    if (!l->dead) {
        l->dead = true;
        mio_fail(&l->death, code, "provider \"%s\": %s", l->instance, text);
        mio_err_cause(&l->death, "plugin %s%s%s", l->path, *cause ? ": " : "", cause);
        if (hint)
            mio_err_hint(&l->death, "%s", hint);
    }
    pthread_mutex_unlock(&l->mu);
    mio_process_kill(l->process); /* every lane ends with it, and so does who waits there */
}

static const char crash_hint[] = "run the command again: what was in flight is settled first; "
                                 "report this to the plugin's author";

static void garbage(struct mio_link *l, const char *what)
{
    die(l, MIO_PROVIDER, "", crash_hint, "the plugin answered garbage: %s", what);
}

/* A lane ended: find out how the child did. */
static void lost(struct mio_link *l)
{
    if (!mio_process_wait(l->process, mio_now_ms() + 1000)) {
        mio_process_kill(l->process);
        mio_process_wait(l->process, mio_now_ms() + 1000);
    }
    char how[160], last[256];
    mio_process_epitaph(l->process, how, sizeof how, last, sizeof last);
    die(l, MIO_PROVIDER, last, crash_hint, "the plugin %s", how);
}

void mio_link_kill(struct mio_link *l, enum mio_code code, const char *why, const char *hint)
{
    die(l, code, "", hint, "%s", why);
}

bool mio_link_dead(struct mio_link *l)
{
    pthread_mutex_lock(&l->mu);
    bool dead = l->dead;
    pthread_mutex_unlock(&l->mu);
    return dead;
}

/* ---- lanes ---- */

static int make_pair(int pair[2])
{
    struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return 0;
}

/* Under mu. */
static struct mio_lane *add_lane(struct mio_link *l, int fd)
{
    struct mio_lane *lane = mio_zalloc(1, sizeof *lane);
    lane->rx.fd = fd;
    l->lanes[l->nlanes++] = lane;
    return lane;
}

static int send_control(struct mio_link *l, uint8_t type, uint32_t id, uint8_t verb, int fd)
{
    struct mio_wire_head head = {.type = type, .id = id, .verb = verb};
    pthread_mutex_lock(&l->ctl_mu);
    int why = mio_wire_send_control(l->ctl, head, fd);
    pthread_mutex_unlock(&l->ctl_mu);
    return why;
}

/* One more lane, its far end given to the child. NULL: too many, or out of descriptors. Under mu.
 */
static struct mio_lane *open_lane(struct mio_link *l)
{
    int pair[2];
    if (l->nlanes == MIO_WIRE_LANES || make_pair(pair))
        return NULL;
    send_control(l, MIO_WIRE_LANE, 0, 0, pair[1]);
    close(pair[1]);
    return add_lane(l, pair[0]);
}

/* A free lane, marked as taken for a call. */
static struct mio_lane *take_lane(struct mio_link *l, uint8_t verb)
{
    pthread_mutex_lock(&l->mu);
    struct mio_lane *lane = NULL;
    if (!l->dead && l->free) {
        lane = l->free;
        l->free = lane->next_free;
    } else if (!l->dead) {
        lane = open_lane(l);
    }
    if (lane) {
        lane->id = ++l->sequence ? l->sequence : ++l->sequence;
        lane->verb = verb;
        lane->cancelled = false;
    }
    bool dead = l->dead;
    pthread_mutex_unlock(&l->mu);
    if (!lane && !dead)
        die(l, MIO_IO, "", "raise the limit of open files (ulimit -n) or lower -parallelism",
            "no socket is left for one more call");
    return lane;
}

static void free_lane(struct mio_link *l, struct mio_lane *lane)
{
    pthread_mutex_lock(&l->mu);
    lane->id = 0;
    lane->next_free = l->free;
    l->free = lane;
    pthread_mutex_unlock(&l->mu);
}

void mio_link_cancel_all(struct mio_link *l)
{
    pthread_mutex_lock(&l->mu);
    for (size_t i = 0; i < l->nlanes; i++)
        if (l->lanes[i]->id && !l->lanes[i]->cancelled) {
            l->lanes[i]->cancelled = true;
            send_control(l, MIO_WIRE_CANCEL, l->lanes[i]->id, 0, -1);
        }
    pthread_mutex_unlock(&l->mu);
}

/* ---- a call ---- */

struct mio_lane *mio_link_send(struct mio_link *l, uint8_t verb, const struct mio_call_opts *o,
                               const struct mio_msg *arguments)
{
    struct mio_lane *lane = take_lane(l, verb);
    if (!lane)
        return NULL;
    MIO_AUTO_OUT first = {0};
    mio_msg_str(&first, o->key);
    mio_msg_i64(&first, o->deadline_ms);
    mio_msg_u32(&first, o->attempt);
    const struct iovec parts[] = {{first.p, first.n}, {arguments->p, arguments->n}};
    struct mio_wire_head head = {.type = MIO_WIRE_CALL, .id = lane->id, .verb = verb};
    int why = mio_wire_send(lane->rx.fd, head, parts, 2);
    if (why == EMSGSIZE)
        die(l, MIO_PROVIDER, "", NULL, "a call beyond 16 MiB cannot be sent");
    else if (why == EAGAIN)
        die(l, MIO_PROVIDER, "", crash_hint, "the plugin's process takes no calls any more");
    else if (why)
        lost(l);
    return lane;
}

static void take_text(struct mio_link *l, struct mio_lane *lane, const struct mio_call_opts *o,
                      uint8_t type, struct mio_in *in)
{
    int number = type == MIO_WIRE_HANDLE ? 0 : (int)(int32_t)mio_in_u32(in);
    struct mio_str text = mio_in_str(in);
    if (in->bad || !mio_str_utf8(text)) {
        garbage(l, "a message that is no text");
    } else if (type == MIO_WIRE_LOG) {
        l->o.on_log(l->o.arg, number, text);
    } else if (type == MIO_WIRE_PROGRESS) {
        if (o->on_progress)
            o->on_progress(o->arg, text, number);
    } else {
        bool kept = o->on_handle && o->on_handle(o->arg, text);
        send_control(l, MIO_WIRE_ACK, lane->id, kept, -1);
    }
}

/* One message of the child. True: it was the answer. */
static bool take_message(struct mio_link *l, struct mio_lane *lane, const struct mio_call_opts *o,
                         const struct mio_wire_head *h, struct mio_in *in, struct mio_answer *out)
{
    bool result = h->type == MIO_WIRE_RESULT && h->verb >= MIO_OUT_OK && h->verb <= MIO_OUT_LARGE;
    bool text =
        h->type == MIO_WIRE_LOG || h->type == MIO_WIRE_PROGRESS || h->type == MIO_WIRE_HANDLE;
    if (h->id != lane->id)
        garbage(l, "an answer to a call that was not made");
    else if (!result && !text)
        garbage(l, "a message of an unknown type");
    else if (text)
        take_text(l, lane, o, h->type, in);
    else if (lane->rx.start != lane->rx.end)
        garbage(l, "more than one answer to one call");
    else {
        size_t n = (size_t)(in->end - in->p);
        *out = (struct mio_answer){.outcome = h->verb, .payload = mio_alloc(n + 1), .n = n};
        memcpy(out->payload, in->p, n);
        return true;
    }
    return false;
}

/* Is the child there at all? Its control thread answers whatever the plugin is doing, so that a
 * process that was stopped, or is stuck as a whole, does not keep its calls until their deadlines.
 */
static void watch_heart(struct mio_link *l, int64_t now)
{
    uint8_t answers[512];
    bool deaf = false;
    pthread_mutex_lock(&l->mu);
    if (l->beat_ms && recv(l->ctl, answers, sizeof answers, MSG_DONTWAIT) > 0) {
        l->beat_ms = 0;
        l->next_ms = now + BEAT_MS;
    }
    if (l->beat_ms && now - l->looked_ms > SLEPT_MS)
        l->beat_ms = now;
    deaf = l->beat_ms && now - l->beat_ms >= DEAF_MS;
    if (!l->beat_ms && now >= l->next_ms) {
        l->beat_ms = now;
        send_control(l, MIO_WIRE_BEAT, 0, 0, -1);
    }
    l->looked_ms = now;
    pthread_mutex_unlock(&l->mu);
    if (deaf)
        die(l, MIO_PROVIDER, "", "run the command again: what was in flight is settled first",
            "the plugin's process gave no sign of life for %d s and was stopped", DEAF_MS / 1000);
}

/* At the deadline: a cancel; a moment later: the end of the child. Gives the next time to look. */
static int64_t watch_clock(struct mio_link *l, struct mio_lane *lane, const struct mio_call_opts *o,
                           int64_t now)
{
    bool wanted = o->cancel && __atomic_load_n(o->cancel, __ATOMIC_RELAXED);
    bool late = now >= o->deadline_ms;
    if (wanted || late) {
        pthread_mutex_lock(&l->mu);
        if (!lane->cancelled)
            send_control(l, MIO_WIRE_CANCEL, lane->id, 0, -1);
        lane->cancelled = true;
        pthread_mutex_unlock(&l->mu);
    }
    if (now >= o->deadline_ms + GRACE_MS)
        die(l, MIO_PROVIDER, "",
            "raise the timeout of the resource, or see why the platform is slow",
            "the plugin did not finish %s within its deadline and was stopped",
            mio_wire_verb_name(lane->verb));
    int64_t until = late ? o->deadline_ms + GRACE_MS : o->deadline_ms;
    if (until <= now)
        until = now + TICK_MS; /* killed: the lane ends any moment */
    int64_t look = now + (o->cancel ? TICK_MS : LOOK_MS);
    return until > look ? look : until;
}

/* Reads what is there, waiting until `until`. False: the lane has ended. */
static bool fill(struct mio_lane *lane, int64_t now, int64_t until)
{
    struct pollfd pfd = {.fd = lane->rx.fd, .events = POLLIN};
    int64_t ms = until - now < 60000 ? until - now : 60000;
    if (poll(&pfd, 1, (int)ms) <= 0)
        return true;
    ptrdiff_t got = mio_rx_fill(&lane->rx, MSG_DONTWAIT);
    return got > 0 || got == -EAGAIN || got == -EWOULDBLOCK;
}

enum mio_code mio_link_wait(struct mio_link *l, struct mio_lane *lane,
                            const struct mio_call_opts *o, struct mio_answer *out,
                            struct mio_err *err)
{
    bool done = false;
    for (bool open = lane != NULL; open && !done;) {
        struct mio_wire_head head;
        struct mio_in in;
        int got = mio_rx_next(&lane->rx, &head, &in);
        if (got > 0) {
            done = take_message(l, lane, o, &head, &in, out);
            open = done || !mio_link_dead(l);
            continue;
        }
        if (got < 0)
            garbage(l, "bytes that are no message, or an answer beyond 16 MiB");
        int64_t now = mio_now_ms();
        watch_heart(l, now);
        open = got == 0 && fill(lane, now, watch_clock(l, lane, o, now));
        if (!open && got == 0)
            lost(l);
    }
    if (lane)
        free_lane(l, lane);
    if (done)
        return MIO_OK;
    pthread_mutex_lock(&l->mu);
    *err = l->death;
    pthread_mutex_unlock(&l->mu);
    return err->code;
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
    pthread_mutex_lock(&l->mu);
    for (size_t i = 0; i < l->nlanes; i++)
        shutdown(l->lanes[i]->rx.fd, SHUT_RDWR);
    pthread_mutex_unlock(&l->mu);
}

static void link_free(struct mio_link *l)
{
    mio_process_free(l->process);
    for (size_t i = 0; i < l->nlanes; i++) {
        close(l->lanes[i]->rx.fd);
        mio_rx_free(&l->lanes[i]->rx);
        free(l->lanes[i]);
    }
    if (l->ctl >= 0)
        close(l->ctl);
    pthread_mutex_destroy(&l->mu);
    pthread_mutex_destroy(&l->ctl_mu);
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
    struct mio_lane *lane = mio_link_dead(l) ? NULL : l->free;
    if (lane) {
        mio_wire_send(lane->rx.fd, (struct mio_wire_head){.type = MIO_WIRE_CLOSE}, NULL, 0);
        mio_process_wait(l->process, deadline_ms);
    }
    mio_link_kill(l, MIO_CANCELLED, "the provider was closed", NULL);
}

static enum mio_code start(struct mio_link *l, const struct mio_link_opts *o, struct mio_err *err)
{
    int lane[2], ctl[2], why = make_pair(lane);
    if (why)
        return mio_fail_sys(err, why, "cannot make a socket for a plugin");
    add_lane(l, lane[0]);
    why = make_pair(ctl);
    if (why) {
        close(lane[1]);
        return mio_fail_sys(err, why, "cannot make a socket for a plugin");
    }
    l->ctl = ctl[0];
    char sha[65], parent[24];
    snprintf(sha, sizeof sha, "%.*s", MIO_FMT(o->sha256));
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *argv[] = {o->host_program, l->path, sha, parent, NULL};
    struct mio_process_opts po = {.program = o->host_program,
                                  .argv = argv,
                                  .fds = {lane[1], ctl[1]},
                                  .on_line = on_line,
                                  .on_exit = on_exit_,
                                  .arg = l};
    enum mio_code code = mio_process_start(&po, &l->process, err);
    close(lane[1]);
    close(ctl[1]);
    return code;
}

static enum mio_code read_greeting(struct mio_link *l, struct mio_in *in, char **schema,
                                   struct mio_err *err)
{
    bool loaded = mio_in_u8(in);
    struct mio_str text = mio_in_str(in);
    struct mio_str hint = loaded ? MIO_STR("") : mio_in_str(in);
    if (in->bad)
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

/* Waits for the greeting: the schema, or why the plugin was refused. */
static enum mio_code greet(struct mio_link *l, char **schema, struct mio_err *err)
{
    struct mio_lane *lane = l->lanes[0];
    struct mio_wire_head head;
    struct mio_in in;
    int64_t deadline = mio_now_ms() + HELLO_MS, now;
    int got = 0;
    while ((got = mio_rx_next(&lane->rx, &head, &in)) == 0 && (now = mio_now_ms()) < deadline)
        if (!fill(lane, now, deadline)) {
            lost(l);
            *err = l->death;
            return mio_err_wrap(err, "cannot load the plugin");
        }
    if (got == 0) {
        mio_fail(err, MIO_PROVIDER, "provider \"%s\": the plugin did not load within %d s",
                 l->instance, HELLO_MS / 1000);
        return mio_err_cause(err, "plugin %s", l->path);
    }
    if (got < 0 || head.type != MIO_WIRE_HELLO)
        return mio_fail(err, MIO_PROVIDER, "provider \"%s\": the plugin's greeting is garbage",
                        l->instance);
    if (read_greeting(l, &in, schema, err))
        return err->code;
    l->free = lane;
    l->next_ms = mio_now_ms() + BEAT_MS;
    return MIO_OK;
}

enum mio_code mio_link_open(const struct mio_link_opts *o, struct mio_link **out, char **schema,
                            struct mio_err *err)
{
    struct mio_link *l = mio_zalloc(1, sizeof *l);
    l->refs = 1;
    l->o = *o;
    l->ctl = -1;
    l->path = mio_strdup(o->plugin_path);
    l->instance = mio_zalloc(1, o->instance.n + 1);
    memcpy(l->instance, o->instance.p, o->instance.n);
    pthread_mutex_init(&l->mu, NULL);
    pthread_mutex_init(&l->ctl_mu, NULL);
    if (start(l, o, err) || greet(l, schema, err)) {
        mio_link_unref(l);
        return err->code;
    }
    *out = l;
    return MIO_OK;
}
