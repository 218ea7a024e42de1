/* cli/running.c: keeps the list of running operations; as long as the parallelism, so searched in a
 * line. */
#include "cli/running.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

enum { HEARTBEAT_MS = 10000 };

static struct mio_running *find(struct mio_running_set *s, const struct mio_event *ev)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mio_running *r = &s->items[i];
        if (r->action == ev->action && r->late == ev->late && r->change == ev->change &&
            mio_str_eq(mio_str_z(r->address), ev->address))
            return r;
    }
    return NULL;
}

static void start(struct mio_running_set *s, const struct mio_event *ev)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->items = mio_realloc(s->items, s->cap, sizeof *s->items);
    }
    int64_t now = mio_now_ms();
    char *address = mio_alloc(ev->address.n + 1);
    memcpy(address, ev->address.p, ev->address.n);
    address[ev->address.n] = '\0';
    s->items[s->n++] = (struct mio_running){.address = address,
                                            .change = ev->change,
                                            .action = ev->action,
                                            .late = ev->late,
                                            .started_ms = now,
                                            .said_ms = now,
                                            .percent = -1};
}

static void take_message(struct mio_running *r, const struct mio_event *ev)
{
    if (!ev->message.n)
        return;
    struct mio_str text = mio_str_sub(ev->message, 0, sizeof r->message - 1);
    while (text.n < ev->message.n && ((unsigned char)ev->message.p[text.n] & 0xc0) == 0x80)
        text.n--; /* never half a character */
    memcpy(r->message, text.p, text.n);
    r->message[text.n] = '\0';
    r->percent = ev->percent;
}

void mio_running_event(struct mio_running_set *s, const struct mio_event *ev)
{
    if (ev->type == MIO_EV_START) {
        start(s, ev);
        return;
    }
    bool end = ev->type == MIO_EV_DONE || ev->type == MIO_EV_ERROR;
    struct mio_running *r = end || ev->type == MIO_EV_PROGRESS ? find(s, ev) : NULL;
    if (r && end) {
        free(r->address);
        s->n--; /* the rest keeps its order: lines on a screen must not jump */
        memmove(r, r + 1, (size_t)(s->items + s->n - r) * sizeof *r);
    } else if (r) {
        take_message(r, ev);
    }
}

bool mio_running_due(struct mio_running_set *s, int64_t now_ms, struct mio_event *ev)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mio_running *r = &s->items[i];
        if (now_ms - r->said_ms < HEARTBEAT_MS)
            continue;
        r->said_ms += HEARTBEAT_MS;
        *ev = (struct mio_event){.type = MIO_EV_PROGRESS,
                                 .change = r->change,
                                 .address = mio_str_z(r->address),
                                 .action = r->action,
                                 .late = r->late,
                                 .message = mio_str_z(r->message),
                                 .percent = r->percent,
                                 .elapsed_s = (double)(r->said_ms - r->started_ms) / 1000};
        return true;
    }
    return false;
}

void mio_running_clear(struct mio_running_set *s)
{
    while (s->n)
        free(s->items[--s->n].address);
    free(s->items);
    *s = (struct mio_running_set){0};
}
