/* providers/local/job.h: between the verbs of a job (job.c) and what its command line and folders
 * become (job_io.c). */
#pragma once
#include "providers/local/local.h"

struct local_job {
    struct mio_str ws, name, key; /* key: the idempotency key's first characters, part of the id */
    struct mio_str id;
    const char *dir;         /* jobs/NAME-KEY */
    struct mio_value inputs; /* body */
};

/* One input or output as the command sees it. */
struct local_job_io {
    struct mio_str name;
    struct mio_str text; /* what ${{inputs.NAME}} becomes */
    const char *from;    /* path on this machine, bound at `text`; NULL for a value */
    bool is_file;        /* outputs: of type uri_file */
};
struct local_job_ios {
    struct local_job_io *items;
    size_t n, cap;
};
/* Resolves the inputs: values, local paths, assets. Errors: MIO_TEMPLATE, MIO_REALITY with the
 * input's name. */
enum mio_code local_job_inputs(struct local *l, const struct local_change *ch,
                               struct local_job_ios *out, struct mio_err *err);
/* The outputs, each below the job's folder `dir`. */
enum mio_code local_job_outputs(struct local *l, const char *dir, struct mio_value outputs,
                                struct local_job_ios *out, struct mio_err *err);
/* The command with every ${{inputs.x}} and ${{outputs.x}} filled in, quoted for where in the shell
 * line it stands. Errors: MIO_TEMPLATE (unknown name, with the nearest one). */
enum mio_code local_job_command(struct local *l, struct mio_str command,
                                const struct local_job_ios *in, const struct local_job_ios *out,
                                struct mio_str *text, struct mio_err *err);
/* Starts the runner, or joins the one that an earlier attempt left, and waits for its end. *status
 * is the runner's last word. Errors: MIO_CANCELLED and MIO_REALITY (deadline) after the run was
 * stopped; MIO_IO. */
enum mio_code local_job_run(struct local *l, const struct local_change *ch,
                            const struct local_job *j, struct mio_value *status,
                            struct mio_err *err);
/* Kills the runner of a job folder, if one runs. */
enum mio_code local_job_stop(struct local *l, const char *dir, struct mio_err *err);
/* status.json; null when there is none. */
enum mio_code local_job_status(struct local *l, const char *dir, struct mio_value *out,
                               struct mio_err *err);
/* The last lines of a log, at most `max` bytes. */
struct mio_str local_job_tail(struct local *l, const char *log, size_t max);
