/* providers/environment/box.c: see box.h. */
#include "providers/environment/box.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct words {
    struct mio_arena *a;
    const char **items;
    size_t n, cap;
};

static void add(struct words *w, const char *const *words)
{
    for (; *words; words++)
        MIO_PUSH(w->a, w->items, w->n, w->cap) = *words;
}
#define ADD(w, ...) add((w), (const char *const[]){__VA_ARGS__, NULL})

/* What scripts need of root's rights, and nothing that reaches beyond the folder. */
static const char *const rights[] = {"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                     "CAP_FSETID", "CAP_SETUID",       "CAP_SETGID"};

static const char *const *arguments(struct mio_arena *a, const struct mio_env_box *box)
{
    struct words w = {.a = a};
    ADD(&w, "bwrap", "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid",
        "--unshare-net", "--unshare-uts", "--hostname", "environment", "--clearenv");
    ADD(&w, "--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    for (const char *const *v = box->variables; *v; v += 2)
        ADD(&w, "--setenv", v[0], v[1]);
    ADD(&w, box->writable ? "--bind" : "--ro-bind", box->root, "/", "--proc", "/proc", "--dev",
        "/dev", "--tmpfs", "/tmp", "--chdir", "/");
    if (box->writable)
        ADD(&w, "--tmpfs", "/run");
    if (!geteuid()) {
        ADD(&w, "--cap-drop", "ALL");
        for (size_t i = 0; box->writable && i < sizeof rights / sizeof *rights; i++)
            ADD(&w, "--cap-add", rights[i]);
    }
    ADD(&w, "--");
    add(&w, box->argv);
    MIO_PUSH(a, w.items, w.n, w.cap) = NULL;
    return w.items;
}

/* Standard output to a file and standard error to memory. */
static enum mio_code run_apart(const struct mio_proc_opts *o, int64_t deadline,
                               struct mio_buf *said, int *status, struct mio_err *err)
{
    char chunk[4096];
    pid_t pid;
    MIO_AUTO_CLOSE int log = memfd_create("said", MFD_CLOEXEC);
    struct mio_proc_opts mine = *o;
    mine.err = log;
    mine.bound = true;
    if (log < 0)
        return mio_fail_sys(err, errno, "cannot make a memory file");
    if (mio_proc_spawn(&mine, &pid, err) || mio_proc_wait(pid, deadline, status, NULL, err))
        return err->code;
    for (ssize_t n, at = 0; (n = pread(log, chunk, sizeof chunk, at)) > 0; at += n)
        mio_buf_add(said, chunk, (size_t)n);
    return MIO_OK;
}

/* What programs make must not depend on who builds. */
static void plain_umask(void *arg)
{
    (void)arg;
    umask(022);
}

enum mio_code mio_env_box_run(struct mio_arena *a, const struct mio_env_box *box,
                              struct mio_buf *said, int *status, struct mio_err *err)
{
    struct mio_proc_opts o = {.argv = arguments(a, box),
                              .in = box->in,
                              .out = box->out,
                              .err = -1,
                              .prepare = plain_umask};
    int64_t deadline = mio_now_ms() + box->ms;
    if (!mio_proc_find(a, "bwrap").n) {
        mio_fail(err, MIO_IO, "bubblewrap (bwrap) is not installed");
        return mio_err_hint(err, "install the package bubblewrap, or declare %s", box->without);
    }
    return box->out < 0 ? mio_proc_run(&o, deadline, said, status, err)
                        : run_apart(&o, deadline, said, status, err);
}
