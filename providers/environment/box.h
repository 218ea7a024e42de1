/* providers/environment/box.h: programs of an environment, run inside its root file system by
 * bubblewrap: no network, no other process to see, nothing of this machine's files. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/err.h"

struct mio_env_box {
    const char *root;             /* becomes / */
    bool writable;                /* else it is read-only */
    const char *const *variables; /* NAME, VALUE, ..., NULL: the whole environment but PATH */
    const char *const *argv;      /* NULL-terminated */
    int in;                       /* standard input; -1: none */
    int out;                      /* standard output; -1: into `said`, as standard error */
    int64_t ms;                   /* how long it may take */
    const char *without;          /* what to declare to do without it, for the hint */
};
/* Runs to the end; `said` gets what it said, *status is as from waitpid. Errors: MIO_IO, with
 * "install bubblewrap" as a hint where it is missing. */
enum mio_code mio_env_box_run(struct mio_arena *a, const struct mio_env_box *box,
                              struct mio_buf *said, int *status, struct mio_err *err);
