/* providers/host/link.h: one running child, its lanes, and the calls in flight on them.
 *
 * There is no reader thread: each caller reads its own lane. Callbacks run on the thread that made
 * the call. */
#pragma once
#include "providers/host/host.h"
#include "providers/host/wire.h"

struct mio_link;
struct mio_lane; /* a call in flight */

struct mio_link_opts {
    struct mio_str instance;
    const char *plugin_path, *host_program;
    struct mio_str sha256;
    void (*on_log)(void *arg, int level, struct mio_str message); /* any thread */
    void *arg;
};
/* Starts a child and waits for its greeting. *schema (JSON text) is the caller's to free. Errors:
 * MIO_PROVIDER (refused, crashed or hung while loading), MIO_IO. */
enum mio_code mio_link_open(const struct mio_link_opts *o, struct mio_link **out, char **schema,
                            struct mio_err *err);
void mio_link_ref(struct mio_link *l);
void mio_link_unref(struct mio_link *l); /* the last one kills the child if it still runs */
bool mio_link_dead(struct mio_link *l);
/* Asks the plugin to end, waits until deadline_ms, then kills. */
void mio_link_close(struct mio_link *l, int64_t deadline_ms);
/* Kills the child; calls in flight fail with this error (the first reason given wins). */
void mio_link_kill(struct mio_link *l, enum mio_code code, const char *why, const char *hint);
void mio_link_cancel_all(struct mio_link *l);

/* Sends a call: key, deadline and attempt of o, then the verb's arguments. At most MIO_WIRE_LANES
 * at once. NULL: the link is dead, which the wait tells. */
struct mio_lane *mio_link_send(struct mio_link *l, uint8_t verb, const struct mio_call_opts *o,
                               const struct mio_msg *arguments);
/* Waits for the answer, which is the caller's (free() payload). At o->deadline_ms the call is
 * cancelled, a moment later the child is killed. Errors: why the child is gone. */
struct mio_answer {
    uint8_t outcome; /* enum mio_wire_outcome */
    uint8_t *payload;
    size_t n;
};
enum mio_code mio_link_wait(struct mio_link *l, struct mio_lane *lane,
                            const struct mio_call_opts *o, struct mio_answer *out,
                            struct mio_err *err);
