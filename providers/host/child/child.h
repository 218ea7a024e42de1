/* providers/host/child/child.h: the inside of mlops-iac-provider-host, the process that a plugin
 * lives in. */
#pragma once
#include <pthread.h>

#include "providers/abi/mlops_provider.h"
#include "providers/host/wire.h"
#include "providers/sdk/err.h"

/* A member of the plugin's table, or NULL/0 when its struct is too old to have it. */
#define MIO_PLUGIN_GET(p, member)                                               \
    ((p)->size >= offsetof(struct mlops_provider, member) + sizeof((p)->member) \
         ? (p)->member                                                          \
         : (__typeof__((p)->member))0)

/* Opens, verifies and loads the plugin and checks its tables before any function but the entry
 * runs. */
enum mio_code mio_child_load(const char *path, struct mio_str sha256,
                             const struct mlops_provider **out, struct mio_err *err);

struct mio_child {
    const struct mlops_provider *plugin;
    struct mlops_instance *instance; /* set by configure */
    pthread_mutex_t calls_mu;
    struct mio_child_call *calls; /* in flight */
    uint32_t stray[64];           /* cancelled before their call was seen; under calls_mu */
    unsigned nstray;
};
/* A socket with one worker at its end; other threads of the plugin may send on it too. */
struct mio_child_lane {
    struct mio_child *child;
    pthread_mutex_t send_mu;
    struct mio_rx rx;
};

/* One call in flight. */
struct mio_child_call {
    struct mlops_call abi; /* what the plugin sees; abi.host is this struct */
    struct mio_child_lane *lane;
    struct mio_child_call *next;
    unsigned refs; /* under child->calls_mu: the worker, and a cancel() in progress */
    uint32_t id;
    uint8_t verb;
    bool cancelled;     /* atomic */
    pthread_mutex_t mu; /* everything below */
    pthread_cond_t acked;
    int ack;         /* -1: waiting, else the answer to handle() */
    size_t expected; /* items to be emitted */
    bool grows;      /* lookup: as many as there are */
    uint8_t *status; /* per item; 255: not yet */
    size_t room, emitted;
    struct mio_msg objects, error;
    char *answer;
    size_t answer_len;
    bool answered, failed, large;
    char breach[160]; /* how the plugin broke its contract; "" */
};
enum { MIO_NOT_EMITTED = 255 };

/* The callbacks that a plugin gets (callback.c). */
void mio_child_callbacks(struct mlops_call *abi);
/* Notes a breach; the first one stays. Under call->mu. */
void mio_child_breach(struct mio_child_call *call, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Serves on the first lane, and on those the host adds, until the host closes or dies; does not
 * return. */
_Noreturn void mio_child_serve(struct mio_child_lane *first);
/* Runs one call and sends its answer (dispatch.c). */
void mio_child_dispatch(struct mio_child *c, struct mio_child_call *call, struct mio_in *args);
/* Sends on a lane; ends the process when the host is gone. */
void mio_child_send(struct mio_child_lane *lane, struct mio_wire_head head,
                    const struct iovec *parts, size_t n);
