/* providers/host/wire.c: see wire.h. */
#include "providers/host/wire.h"

#include <errno.h>
#include <sys/socket.h>

enum { NO_STRING = UINT32_MAX, RX_ROOM = 1 << 16 };

const char *mio_wire_verb_name(uint8_t verb)
{
    static const char *const names[MIO_VERB_COUNT] = {
        [MIO_VERB_CONFIGURE] = "configure", [MIO_VERB_VALIDATE] = "validate",
        [MIO_VERB_PLAN] = "plan",           [MIO_VERB_READ] = "read",
        [MIO_VERB_CREATE] = "create",       [MIO_VERB_UPDATE] = "update",
        [MIO_VERB_REMOVE] = "delete",       [MIO_VERB_IMPORT] = "import",
        [MIO_VERB_LIST] = "list",           [MIO_VERB_LOOKUP] = "lookup",
        [MIO_VERB_PREFLIGHT] = "preflight", [MIO_VERB_DATA] = "data read",
        [MIO_VERB_FUNCTION] = "function",
    };
    return verb < MIO_VERB_COUNT && names[verb] ? names[verb] : "call";
}

/* ---- writing ---- */

void mio_msg_free(struct mio_msg *o)
{
    free(o->p);
    *o = (struct mio_msg){0};
}

void mio_msg_grow(struct mio_msg *o, size_t more)
{
    size_t room = o->room ? o->room : 256;
    while (room - o->n < more)
        room *= 2;
    o->p = mio_realloc(o->p, room, 1);
    o->room = room;
}

void mio_msg_str(struct mio_msg *o, struct mio_str s)
{
    uint32_t n = (uint32_t)s.n;
    if (o->room - o->n < s.n + sizeof n + 1)
        mio_msg_grow(o, s.n + sizeof n + 1);
    memcpy(o->p + o->n, &n, sizeof n);
    if (s.n > 0)
        memcpy(o->p + o->n + sizeof n, s.p, s.n);
    o->n += sizeof n + s.n;
    o->p[o->n++] = 0;
}

void mio_msg_z(struct mio_msg *o, const char *z)
{
    if (z)
        mio_msg_str(o, (struct mio_str){z, strlen(z)});
    else
        mio_msg_u32(o, NO_STRING);
}

/* ---- reading ---- */

const void *mio_in_raw(struct mio_in *in, size_t n)
{
    if (in->bad || (size_t)(in->end - in->p) < n) {
        in->bad = true;
        return NULL;
    }
    const void *p = in->p;
    in->p += n;
    return p;
}

uint8_t mio_in_u8(struct mio_in *in)
{
    const uint8_t *p = mio_in_raw(in, 1);
    return p ? *p : 0;
}

uint32_t mio_in_u32(struct mio_in *in)
{
    uint32_t v = 0;
    const void *p = mio_in_raw(in, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return v;
}

int64_t mio_in_i64(struct mio_in *in)
{
    int64_t v = 0;
    const void *p = mio_in_raw(in, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return v;
}

struct mio_str mio_in_str(struct mio_in *in)
{
    uint32_t n = mio_in_u32(in);
    if (in->bad || n == NO_STRING)
        return (struct mio_str){0};
    const char *p = mio_in_raw(in, (size_t)n + 1);
    if (!p)
        return (struct mio_str){0};
    if (p[n] != 0) {
        in->bad = true;
        return (struct mio_str){0};
    }
    return (struct mio_str){p, n};
}

const char *mio_in_z(struct mio_in *in)
{
    return mio_in_str(in).p;
}

/* ---- sockets ---- */

int mio_wire_send(int fd, struct mio_wire_head head, const struct iovec *parts, size_t n)
{
    struct iovec v[5] = {{&head, sizeof head}};
    if (n > 4)
        return EINVAL;
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        v[i + 1] = parts[i];
        total += parts[i].iov_len;
    }
    if (total > MIO_WIRE_MAX)
        return EMSGSIZE;
    head.len = (uint32_t)total;
    struct msghdr m = {.msg_iov = v, .msg_iovlen = n + 1};
    for (;;) {
        ssize_t got = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        size_t done = (size_t)got;
        while (m.msg_iovlen > 0 && done >= m.msg_iov->iov_len) {
            done -= m.msg_iov->iov_len;
            m.msg_iov++;
            m.msg_iovlen--;
        }
        if (m.msg_iovlen == 0)
            return 0;
        m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + done;
        m.msg_iov->iov_len -= done;
    }
}

union control_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int mio_wire_send_control(int ctl, struct mio_wire_head head, int fd)
{
    struct iovec v = {&head, sizeof head};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    union control_room room = {0};
    if (fd >= 0) {
        m.msg_control = room.bytes;
        m.msg_controllen = sizeof room.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(ctl, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

bool mio_wire_receive_control(int ctl, struct mio_wire_head *head, int *fd)
{
    struct iovec v = {head, sizeof *head};
    union control_room room = {0};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = room.bytes,
                       .msg_controllen = sizeof room.bytes};
    ssize_t got;
    do
        got = recvmsg(ctl, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    *fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return got == (ssize_t)sizeof *head;
}

void mio_rx_free(struct mio_rx *rx)
{
    free(rx->buf);
    rx->buf = NULL;
    rx->start = rx->end = rx->room = 0;
}

int mio_rx_next(struct mio_rx *rx, struct mio_wire_head *head, struct mio_in *payload)
{
    size_t have = rx->end - rx->start;
    if (have < sizeof *head)
        return 0;
    memcpy(head, rx->buf + rx->start, sizeof *head);
    if (head->len > MIO_WIRE_MAX || head->zero != 0 || head->type < MIO_WIRE_HELLO ||
        head->type > MIO_WIRE_CLOSE)
        return -1;
    if (have < sizeof *head + head->len)
        return 0;
    const uint8_t *p = rx->buf + rx->start + sizeof *head;
    *payload = (struct mio_in){.p = p, .end = p + head->len};
    rx->start += sizeof *head + head->len;
    return 1;
}

/* Room for the rest of the message whose head is there, else for a usual read. */
static void make_room(struct mio_rx *rx)
{
    size_t have = rx->end - rx->start, want = RX_ROOM;
    if (have >= sizeof(struct mio_wire_head)) {
        struct mio_wire_head head;
        memcpy(&head, rx->buf + rx->start, sizeof head);
        if (head.len <= MIO_WIRE_MAX && sizeof head + head.len > want)
            want = sizeof head + head.len;
    }
    if (have > 0 && rx->start > 0)
        memmove(rx->buf, rx->buf + rx->start, have);
    rx->start = 0;
    rx->end = have;
    if (have == 0 && rx->room > 16 * RX_ROOM)
        mio_rx_free(rx); /* one huge answer must not be paid for during the rest of the run */
    if (rx->room < want) {
        rx->buf = mio_realloc(rx->buf, want, 1);
        rx->room = want;
    }
}

ptrdiff_t mio_rx_fill(struct mio_rx *rx, int flags)
{
    make_room(rx);
    for (;;) {
        ssize_t got = recv(rx->fd, rx->buf + rx->end, rx->room - rx->end, flags);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -(ptrdiff_t)errno;
        rx->end += (size_t)got;
        return got;
    }
}
