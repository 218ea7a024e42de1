/* providers/host/wire.h: the messages between the host and a plugin's child process.
 *
 * Calls travel on lanes: stream sockets, each with one thread of the child at its end and at most
 * one call in flight, so that nothing stands between caller and plugin and nobody is woken but the
 * two. The first lane is descriptor 3 of the child; more are handed over on the control socket (4),
 * which also carries cancels, acknowledgements and heartbeats: a child whose threads are all busy
 * still hears them. A message is a head and a payload of numbers and counted, NUL-terminated
 * strings in the byte order of the machine: both ends are the same build. What comes from the child
 * is never trusted. */
#pragma once
#include "providers/sdk/alloc.h"
#include "providers/sdk/str.h"
#include <sys/uio.h>

enum { MIO_WIRE_MAX = 16 << 20, MIO_WIRE_FD = 3, MIO_WIRE_CTL_FD = 4, MIO_WIRE_LANES = 256 };

enum mio_wire_type {
    MIO_WIRE_HELLO = 1, /* child: u8 loaded, then schema JSON, or message and hint */
    MIO_WIRE_CALL,      /* host: verb in the head, arguments */
    MIO_WIRE_RESULT,    /* child: verb is an enum mio_wire_outcome */
    MIO_WIRE_LOG,       /* child: i32 level, text */
    MIO_WIRE_PROGRESS,  /* child: i32 percent, text */
    MIO_WIRE_HANDLE,    /* child: text; waits for an ACK */
    MIO_WIRE_ACK,       /* host, control: verb is 1 when the handle was recorded */
    MIO_WIRE_CANCEL,    /* host, control */
    MIO_WIRE_LANE,      /* host, control: a socket comes with it */
    MIO_WIRE_CLOSE,     /* host: end in order */
    MIO_WIRE_BEAT,      /* host, control: are you there? The child sends the same back at once */
};
enum mio_wire_verb {
    MIO_VERB_CONFIGURE = 1,
    MIO_VERB_VALIDATE,
    MIO_VERB_PLAN,
    MIO_VERB_READ,
    MIO_VERB_CREATE,
    MIO_VERB_UPDATE,
    MIO_VERB_REMOVE,
    MIO_VERB_IMPORT,
    MIO_VERB_LIST,
    MIO_VERB_LOOKUP,
    MIO_VERB_PREFLIGHT,
    MIO_VERB_DATA,
    MIO_VERB_FUNCTION,
    MIO_VERB_COUNT,
};
enum mio_wire_outcome {
    MIO_OUT_OK = 1, /* u32 n, n status bytes, u32 bytes of objects, objects, answer */
    MIO_OUT_FAIL,   /* an error */
    MIO_OUT_BREACH, /* text: how the plugin broke its contract */
    MIO_OUT_LARGE,  /* the answer is beyond MIO_WIRE_MAX */
};
const char *mio_wire_verb_name(uint8_t verb); /* "create", ...; "call" when out of range */

struct mio_wire_head {
    uint32_t len; /* bytes of the payload */
    uint32_t id;  /* of the call; 0: none */
    uint8_t type, verb;
    uint16_t zero;
};
_Static_assert(sizeof(struct mio_wire_head) == 12, "no padding");

/* Growing payload. */
struct mio_msg {
    uint8_t *p;
    size_t n, room;
};
void mio_msg_free(struct mio_msg *o);
#define MIO_AUTO_OUT __attribute__((cleanup(mio_msg_free))) struct mio_msg
void mio_msg_grow(struct mio_msg *o, size_t more);

static inline void mio_msg_raw(struct mio_msg *o, const void *p, size_t n)
{
    if (o->room - o->n < n)
        mio_msg_grow(o, n);
    if (n > 0)
        memcpy(o->p + o->n, p, n);
    o->n += n;
}
static inline void mio_msg_u8(struct mio_msg *o, uint8_t v)
{
    mio_msg_raw(o, &v, sizeof v);
}
static inline void mio_msg_u32(struct mio_msg *o, uint32_t v)
{
    mio_msg_raw(o, &v, sizeof v);
}
static inline void mio_msg_i64(struct mio_msg *o, int64_t v)
{
    mio_msg_raw(o, &v, sizeof v);
}
void mio_msg_str(struct mio_msg *o, struct mio_str s);
void mio_msg_z(struct mio_msg *o, const char *z); /* NULL stays NULL */

/* Bounded reader: the first step beyond the end makes everything zero and sets `bad`. */
struct mio_in {
    const uint8_t *p, *end;
    bool bad;
};
uint8_t mio_in_u8(struct mio_in *in);
uint32_t mio_in_u32(struct mio_in *in);
int64_t mio_in_i64(struct mio_in *in);
const void *mio_in_raw(struct mio_in *in, size_t n); /* NULL when bad */
/* The view points into the message and is followed by a NUL. p is NULL for NULL (and when bad). */
struct mio_str mio_in_str(struct mio_in *in);
const char *mio_in_z(struct mio_in *in);

/* Sends one message as a whole; the caller holds the lock of the descriptor. len of the head is
 * filled in from the parts. Returns 0 or an errno. */
int mio_wire_send(int fd, struct mio_wire_head head, const struct iovec *parts, size_t n);

/* A message without payload, and a descriptor with it unless fd is -1. */
int mio_wire_send_control(int ctl, struct mio_wire_head head, int fd);
/* Its other end; *fd is the caller's, -1 when none came. False: the stream has ended. */
bool mio_wire_receive_control(int ctl, struct mio_wire_head *head, int *fd);

/* Receiving end: a buffer that holds at least one whole message. */
struct mio_rx {
    int fd;
    uint8_t *buf;
    size_t start, end, room;
};
void mio_rx_free(struct mio_rx *rx);
/* The next whole message in the buffer; its payload is good until the next fill. 1: one was taken;
 * 0: fill first; -1: garbage (too long, unknown type). */
int mio_rx_next(struct mio_rx *rx, struct mio_wire_head *head, struct mio_in *payload);
/* recv() with `flags`. Bytes got, 0 at the end of the stream, -errno. */
ptrdiff_t mio_rx_fill(struct mio_rx *rx, int flags);
