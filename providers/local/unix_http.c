/* providers/local/unix_http.c: short questions to Unix sockets: HAProxy's command sockets, a
 * replica's probes.
 *
 * The address goes through /proc/self/fd, because a workspace may lie deeper than the 107 bytes
 * that sun_path holds. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

enum { ANSWER_MAX = 1 << 20 };

static int connect_in(const char *dir, const char *name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    MIO_AUTO_CLOSE int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int n = snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof to.sun_path)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool wait_fd(int fd, short events, int64_t until)
{
    int64_t left = until - mio_now_ms();
    struct pollfd p = {.fd = fd, .events = events};
    return left > 0 && poll(&p, 1, (int)left) > 0;
}

bool unix_ask(const char *dir, const char *name, const char *text, int wait_ms,
              struct mio_buf *answer)
{
    MIO_AUTO_CLOSE int fd = connect_in(dir, name);
    if (fd < 0)
        return false;
    int64_t until = mio_now_ms() + wait_ms;
    for (size_t n = strlen(text), at = 0; at < n;) {
        ssize_t sent = send(fd, text + at, n - at, MSG_NOSIGNAL);
        if (sent >= 0)
            at += (size_t)sent;
        else if (errno != EINTR && (errno != EAGAIN || !wait_fd(fd, POLLOUT, until)))
            return false;
    }
    for (;;) {
        char chunk[4096];
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got > 0)
            mio_buf_add(answer, chunk, (size_t)got);
        else if (got == 0)
            return true;
        else if (errno != EINTR && (errno != EAGAIN || !wait_fd(fd, POLLIN, until)))
            return answer->n > 0;
    }
}

int unix_get(const char *dir, const char *name, const char *path, int wait_ms)
{
    MIO_AUTO_BUF ask, answer;
    mio_buf_init(&ask, 0);
    mio_buf_init(&answer, ANSWER_MAX);
    mio_buf_printf(&ask, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    uint64_t status = 0;
    struct mio_str text = {0};
    if (unix_ask(dir, name, ask.p, wait_ms, &answer))
        text = mio_buf_view(&answer);
    if (mio_str_starts(text, "HTTP/1."))
        mio_str_u64(mio_str_sub(text, 9, 3), &status);
    return (int)status;
}
