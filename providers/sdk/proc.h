/* providers/sdk/proc.h: programs, started with an argument vector (no shell) and watched to their
 * end. */
#pragma once
#include <sys/types.h>
#include "providers/sdk/buf.h"
#include "providers/sdk/err.h"

struct mio_proc_opts {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH when it has no slash */
    const char *const *env;  /* NULL: the caller's environment; else the whole environment */
    const char *cwd;         /* NULL: the caller's */
    int in, out, err;        /* descriptors for 0, 1, 2; -1: /dev/null */
    bool new_session;        /* setsid: survives the caller and its terminal */
    bool bound;              /* killed when the thread that started it ends, however that ends */
    void (*prepare)(
        void *); /* run in the child before exec (async-signal-safe only), may be NULL */
    void *prepare_arg;
};
/* Errors: MIO_IO with "install it" as a hint when the program is missing. */
enum mio_code mio_proc_spawn(const struct mio_proc_opts *opts, pid_t *pid, struct mio_err *err);
/* Returns when the child has ended, `ms` have passed or a signal came; the child is not reaped. */
void mio_proc_await(pid_t pid, int ms);
/* Waits until deadline_ms (monotonic; 0: for ever), then TERM, two seconds later KILL. *status is
 * as from waitpid; *timed_out may be NULL. */
enum mio_code mio_proc_wait(pid_t pid, int64_t deadline_ms, int *status, bool *timed_out,
                            struct mio_err *err);
/* Runs to the end, bound to the calling thread; both outputs go to `out` (capped there). */
enum mio_code mio_proc_run(const struct mio_proc_opts *opts, int64_t deadline_ms,
                           struct mio_buf *out, int *status, struct mio_err *err);
/* False for a zombie too. */
bool mio_proc_alive(pid_t pid);
/* Start time of a process in clock ticks since boot, 0 when gone: tells a reused pid apart. */
uint64_t mio_proc_started(pid_t pid);
/* Absolute path of a program on PATH (plus /usr/sbin and /sbin), in the arena; empty when absent.
 */
struct mio_str mio_proc_find(struct mio_arena *a, const char *name);
