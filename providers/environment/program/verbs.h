/* providers/environment/program/verbs.h: one invocation, and the verbs. */
#pragma once
#include "providers/environment/lock.h"

struct mio_env_cli {
    struct mio_arena arena;
    struct mio_err err;
    struct mio_buf out;
    const char *spec_path, *dir, *store_path;
    const char **args;
    size_t n_args, args_cap;
    bool update, differs;
};
/* Reads the file that -spec names. Errors: MIO_USAGE, MIO_TEMPLATE. */
enum mio_code mio_env_cli_spec(struct mio_env_cli *c, struct mio_env_spec *out);

/* The verbs: text into out; errors in err. */
enum mio_code mio_env_verb_lock(struct mio_env_cli *c);
