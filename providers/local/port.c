/* providers/local/port.c: TCP ports of endpoints on 127.0.0.1: choosing, holding, and who has a
 * taken one. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"

/* Below the range that the kernel gives to outgoing connections, so that a stopped endpoint finds
 * its port free. */
enum { FIRST = 20000, LAST = 32767 };

/* 0 or errno. `lenient`: connections of an earlier owner that linger are not in the way.
 *
 * One socket, so that there is no moment at which two could hold the port: listening alone, it
 * tells whether anybody else has it; then it listens no more, and HAProxy, which binds with
 * SO_REUSEPORT, may take the port beside it, while another holder may not. */
static int hold(int64_t port, bool lenient, int *out)
{
    const int on = 1, off = 0;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MIO_AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || (lenient && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off) != 0 ||
        shutdown(fd, SHUT_RDWR) != 0)
        return errno;
    *out = fd;
    fd = -1;
    return 0;
}

/* Inode of the socket that listens on the port, or 0. */
static uint64_t listener_inode(int64_t port)
{
    FILE *f = fopen("/proc/net/tcp", "re");
    char line[512];
    uint64_t inode = 0;
    while (f && !inode && fgets(line, sizeof line, f)) {
        unsigned local_port = 0, state = 0;
        unsigned long long ino = 0;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %llu",
                   &local_port, &state, &ino) == 3 &&
            local_port == (unsigned)port && state == 0x0A)
            inode = ino;
    }
    if (f)
        fclose(f);
    return inode;
}

static bool has_socket(const char *pid, const char *wanted)
{
    char path[640], link[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        found = n > 0 && (size_t)n == strlen(wanted) && memcmp(link, wanted, (size_t)n) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

/* "nginx (pid 123)", or "another program" where we may not see it. */
static struct mio_str owner(struct local *l, int64_t port)
{
    uint64_t inode = listener_inode(port);
    char wanted[48];
    struct mio_str who = MIO_STR("another program");
    snprintf(wanted, sizeof wanted, "socket:[%ju]", (uintmax_t)inode);
    DIR *d = inode ? opendir("/proc") : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !has_socket(e->d_name, wanted))
            continue;
        char comm[32] = "";
        FILE *f = fopen(mio_arena_printf(l->a, "/proc/%s/comm", e->d_name).p, "re");
        if (f && fgets(comm, sizeof comm, f))
            comm[strcspn(comm, "\n")] = '\0';
        if (f)
            fclose(f);
        who = mio_arena_printf(l->a, "%s (pid %s)", comm, e->d_name);
        break;
    }
    if (d)
        closedir(d);
    return who;
}

enum mio_code port_hold(struct local *l, int64_t want, struct mio_str seed, int *fd, int64_t *port,
                        struct mio_err *err)
{
    if (want) {
        int failed = hold(want, true, fd);
        *port = want;
        if (!failed)
            return MIO_OK;
        if (failed == EACCES || failed == EPERM) {
            mio_fail(err, MIO_AUTH, "no permission to listen on port %jd", (intmax_t)want);
            return mio_err_hint(err, "Give a `port:` of 1024 or more, or leave it out.");
        }
        if (failed != EADDRINUSE)
            return mio_fail_sys(err, failed, "cannot listen on port %jd", (intmax_t)want);
        mio_fail(err, MIO_REALITY, "port %jd is taken by %.*s", (intmax_t)want,
                 MIO_FMT(owner(l, want)));
        return mio_err_hint(err, "Stop that program, or give the endpoint another `port:`.");
    }
    int64_t start = (int64_t)(mio_str_hash(seed) % (LAST - FIRST + 1)), span = LAST - FIRST + 1;
    for (int64_t i = 0; i < span; i++) {
        int64_t p = FIRST + (start + i) % span;
        if (hold(p, false, fd) == 0) {
            *port = p;
            return MIO_OK;
        }
    }
    return mio_fail(err, MIO_REALITY, "no free port from %d to %d", FIRST, LAST);
}
