/* providers/local/environment.h: what a job or a replica needs of its environment. */
#pragma once
#include "providers/local/local.h"

struct local_environment {
    const char *root;               /* a built root file system; NULL: this machine's software */
    const char *interpreter;        /* absolute; NULL when the root has none */
    const char *path;               /* PATH of its processes; NULL: the usual one */
    struct mio_value env;           /* variables of its processes: a map, or null */
    const struct local_bind *binds; /* folders outside /usr that the interpreter needs, read-only */
    size_t nbinds;
};
/* The root that such a reference stands for, as it lies there now: other bytes, another text. Empty
 * for this machine's software. Errors: as of local_environment_open. */
enum mio_code local_environment_root(struct local *l, struct mio_str ws,
                                     struct mio_value environment, struct mio_str *out,
                                     struct mio_err *err);
/* `environment` is a reference, an inline body, or null (the Python of this machine). Errors:
 * MIO_REALITY when there is no such environment, MIO_TEMPLATE when this provider cannot run it. */
enum mio_code local_environment_open(struct local *l, struct mio_str ws,
                                     struct mio_value environment, struct local_environment *out,
                                     struct mio_err *err);
