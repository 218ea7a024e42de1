/* providers/host/child/callback.c: what a plugin may call while it works. Each may come from any of
 * its threads. */
#include "providers/host/child/child.h"
#include "providers/sdk/clock.h"

static struct mio_child_call *call_of(const struct mlops_call *c)
{
    return c->host;
}

void mio_child_breach(struct mio_child_call *call, const char *fmt, ...)
{
    if (call->breach[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(call->breach, sizeof call->breach, fmt, ap);
    va_end(ap);
}

/* A number and a text: log, progress. */
static void send_text(struct mio_child_call *call, uint8_t type, int number, const char *text)
{
    MIO_AUTO_OUT out = {0};
    if (type != MIO_WIRE_HANDLE)
        mio_msg_u32(&out, (uint32_t)number);
    struct mio_str s = mio_str_z(text);
    mio_msg_str(&out, mio_str_sub(s, 0, type == MIO_WIRE_HANDLE ? s.n : 4096));
    struct mio_wire_head head = {.type = type, .id = call->id};
    mio_child_send(call->lane, head, &(struct iovec){out.p, out.n}, 1);
}

static void on_log(const struct mlops_call *c, int level, const char *message)
{
    send_text(call_of(c), MIO_WIRE_LOG, level, message);
}

static void on_progress(const struct mlops_call *c, const char *message, int percent)
{
    send_text(call_of(c), MIO_WIRE_PROGRESS, percent, message);
}

static bool on_handle(const struct mlops_call *c, const char *handle)
{
    struct mio_child_call *call = call_of(c);
    if (!handle)
        return false;
    pthread_mutex_lock(&call->mu);
    call->ack = -1;
    pthread_mutex_unlock(&call->mu);
    send_text(call, MIO_WIRE_HANDLE, 0, handle);
    pthread_mutex_lock(&call->mu);
    while (call->ack < 0)
        pthread_cond_wait(&call->acked, &call->mu);
    bool kept = call->ack == 1;
    pthread_mutex_unlock(&call->mu);
    return kept;
}

static bool on_cancelled(const struct mlops_call *c)
{
    return __atomic_load_n(&call_of(c)->cancelled, __ATOMIC_RELAXED);
}

#define GET(s, member)                                                     \
    ((s)->size >= offsetof(__typeof__(*(s)), member) + sizeof((s)->member) \
         ? (s)->member                                                     \
         : (__typeof__((s)->member))0)

static void put_error(struct mio_msg *o, const struct mlops_error *e)
{
    mio_msg_u32(o, (uint32_t)GET(e, code));
    mio_msg_u32(o, GET(e, retry_after_ms));
    mio_msg_u8(o, GET(e, applied_unknown));
    mio_msg_z(o, GET(e, message));
    mio_msg_z(o, GET(e, hint));
    mio_msg_z(o, GET(e, attribute));
}

/* Is there room to answer this index? Under call->mu. */
static bool claim(struct mio_child_call *call, size_t index)
{
    if (call->grows && index == call->emitted) {
        if (index == call->room) {
            call->room = call->room ? call->room * 2 : 16;
            call->status = mio_realloc(call->status, call->room, 1);
        }
        call->status[index] = MIO_NOT_EMITTED;
        call->expected = index + 1;
    }
    if (index >= call->expected)
        mio_child_breach(call, "an answer for item %zu of %zu", index, call->expected);
    else if (call->status[index] != MIO_NOT_EMITTED)
        mio_child_breach(call, "two answers for item %zu", index);
    return !call->breach[0];
}

/* Adds the record of an object. Under call->mu. */
static void put_object(struct mio_child_call *call, size_t index, const struct mlops_object *o)
{
    const char *attributes = GET(o, attributes), *id = GET(o, id);
    size_t n = GET(o, attributes_len);
    if (!attributes || !id || !*id) {
        mio_child_breach(call, "item %zu has no id or no attributes", index);
        return;
    }
    if (n == 0)
        n = strlen(attributes);
    if (n > MIO_WIRE_MAX || call->objects.n + n > MIO_WIRE_MAX) {
        call->large = true;
        return;
    }
    mio_msg_u32(&call->objects, (uint32_t)index);
    mio_msg_z(&call->objects, id);
    mio_msg_z(&call->objects, GET(o, fingerprint));
    mio_msg_str(&call->objects, (struct mio_str){attributes, n});
}

static void on_emit(const struct mlops_call *c, size_t index, const struct mlops_object *o)
{
    struct mio_child_call *call = call_of(c);
    pthread_mutex_lock(&call->mu);
    if (!o || o->size < offsetof(struct mlops_object, id))
        mio_child_breach(call, "an object that declares no size");
    else if (o->status < MLOPS_OK || o->status > MLOPS_ERROR)
        mio_child_breach(call, "item %zu has the unknown status %d", index, (int)o->status);
    else if (o->status == MLOPS_ERROR && !GET(o, error))
        mio_child_breach(call, "item %zu failed without an error", index);
    else if (claim(call, index)) {
        call->status[index] = (uint8_t)o->status;
        call->emitted++;
        if (o->status == MLOPS_OK) {
            put_object(call, index, o);
        } else if (o->status == MLOPS_ERROR) {
            mio_msg_u32(&call->objects, (uint32_t)index);
            put_error(&call->objects, o->error);
        }
    }
    pthread_mutex_unlock(&call->mu);
}

static void on_fail(const struct mlops_call *c, const struct mlops_error *e)
{
    struct mio_child_call *call = call_of(c);
    pthread_mutex_lock(&call->mu);
    if (!e || e->size < offsetof(struct mlops_error, message) + sizeof e->message) {
        mio_child_breach(call, "an error that declares no size");
    } else if (!call->failed) {
        call->failed = true;
        put_error(&call->error, e);
    }
    pthread_mutex_unlock(&call->mu);
}

static void on_answer(const struct mlops_call *c, const char *json, size_t len)
{
    struct mio_child_call *call = call_of(c);
    pthread_mutex_lock(&call->mu);
    if (call->answered || !json) {
        mio_child_breach(call,
                         call->answered ? "two answers to one call" : "an answer without text");
    } else if (len > MIO_WIRE_MAX - 1024) {
        call->large = true;
    } else {
        call->answered = true;
        call->answer = mio_zalloc(1, len + 1);
        memcpy(call->answer, json, len);
        call->answer_len = len;
    }
    pthread_mutex_unlock(&call->mu);
}

void mio_child_callbacks(struct mlops_call *abi)
{
    abi->log = on_log;
    abi->progress = on_progress;
    abi->handle = on_handle;
    abi->cancelled = on_cancelled;
    abi->emit = on_emit;
    abi->fail = on_fail;
    abi->answer = on_answer;
}
