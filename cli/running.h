/* cli/running.h: the operations that run right now: since when, and what they last said. */
#pragma once
#include "planner/run/engine.h"

struct mio_running {
    char *address;                   /* owned */
    const struct mio_change *change; /* of the plan; may be NULL */
    enum mio_action action;
    bool late;
    int64_t started_ms, said_ms; /* monotonic */
    char message[120];
    int percent; /* -1: not known */
};
struct mio_running_set {
    struct mio_running *items;
    size_t n, cap;
};
/* Takes in one event: starts, messages and ends. */
void mio_running_event(struct mio_running_set *s, const struct mio_event *ev);
/* The next operation whose last sign of life is ten seconds old, as a progress event; false when
 * there is none. The event borrows from the set. */
bool mio_running_due(struct mio_running_set *s, int64_t now_ms, struct mio_event *ev);
void mio_running_clear(struct mio_running_set *s);
