/* providers/host/process.h: the life of one child process.
 *
 * Owns: the process, its standard error, and a keeper thread that starts it, hears what it prints,
 * and reaps it. The kernel kills a child when the thread that started it ends, so that thread lives
 * as long as the child. */
#pragma once
#include "providers/sdk/err.h"

struct mio_process;

struct mio_process_opts {
    const char *program;     /* absolute */
    const char *const *argv; /* NULL-terminated */
    int fds[2];              /* become descriptors 3 and 4 of the child */
    /* A line that the child printed; called on the keeper thread. */
    void (*on_line)(void *arg, struct mio_str line);
    /* The child is gone; called once, on the keeper thread. */
    void (*on_exit)(void *arg);
    void *arg;
};
/* Errors: MIO_IO (program missing, no memory for a process). The strings of o must live until it
 * returns. */
enum mio_code mio_process_start(const struct mio_process_opts *o, struct mio_process **out,
                                struct mio_err *err);
/* SIGKILL to the child and the process group it leads. Any thread; harmless when it is gone. */
void mio_process_kill(struct mio_process *p);
/* Waits until it is gone, at most until deadline_ms (monotonic); false when it still runs. */
bool mio_process_wait(struct mio_process *p, int64_t deadline_ms);
/* How it ended ("crashed (signal 6, Aborted)", "ended with status 3") and the last line it printed.
 */
void mio_process_epitaph(struct mio_process *p, char *how, size_t hown, char *last, size_t lastn);
/* Kills it if it runs, joins the keeper. */
void mio_process_free(struct mio_process *p);
