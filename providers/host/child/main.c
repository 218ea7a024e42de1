/* providers/host/child/main.c: mlops-iac-provider-host, the process that one plugin lives in.
 *
 * In: argv (plugin path, its SHA-256, pid of the host), sockets on descriptors 3 and 4. Never: a
 * terminal, a core dump, a descriptor of the host's, a life longer than the host's. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/host/child/child.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/schema.h"

/* Before any code of the plugin runs. */
static void confine(const char *parent)
{
    uint64_t pid = 0;
    mio_str_u64(mio_str_z(parent), &pid);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((uint64_t)getppid() != pid)
        _exit(1); /* the host died before the line above */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0);
    close_range(MIO_WIRE_CTL_FD + 1, ~0U, 0);
    fcntl(MIO_WIRE_FD, F_SETFD, FD_CLOEXEC);
    fcntl(MIO_WIRE_CTL_FD, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void hello(struct mio_child_lane *lane, bool loaded, struct mio_str text,
                  struct mio_str hint)
{
    MIO_AUTO_OUT out = {0};
    mio_msg_u8(&out, loaded);
    mio_msg_str(&out, text);
    if (!loaded)
        mio_msg_str(&out, hint);
    mio_child_send(lane, (struct mio_wire_head){.type = MIO_WIRE_HELLO},
                   &(struct iovec){out.p, out.n}, 1);
}

/* A person who starts the program by hand learns what it is. */
static int explain(void)
{
    static const char text[] = "mlops-iac-provider-host: started by mlops-iac to hold one provider "
                               "plugin; it does nothing by itself.\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    return ignored < 0 ? 1 : 2;
}

int main(int argc, char **argv)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (argc != 4 || getsockopt(MIO_WIRE_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return explain();
    confine(argv[3]);
    mio_crypto_setup();
    static struct mio_child c = {.calls_mu = PTHREAD_MUTEX_INITIALIZER};
    static struct mio_child_lane first = {
        .child = &c, .send_mu = PTHREAD_MUTEX_INITIALIZER, .rx = {.fd = MIO_WIRE_FD}};
    struct mio_err err = {0};
    if (mio_child_load(argv[1], mio_str_z(argv[2]), &c.plugin, &err)) {
        hello(&first, false, mio_str_z(err.message), mio_str_z(err.hint));
        return 1;
    }
    MIO_AUTO_BUF schema;
    mio_buf_init(&schema, MIO_WIRE_MAX / 2);
    mio_schema_write(&schema, c.plugin);
    hello(&first, true, mio_buf_view(&schema), MIO_STR(""));
    mio_child_serve(&first);
}
