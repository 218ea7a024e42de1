/* providers/environment/program/verbs.h: one invocation, and the verbs. */
#pragma once
#include "providers/environment/build.h"

struct mio_env_cli {
    struct mio_arena arena;
    struct mio_err err;
    struct mio_buf out;
    const char *locks; /* where lock files lie; NULL: in dir */
    const char *spec_path, *lock_path, *dir, *store_path, *out_path, *root_path, *vendor, *threads;
    const char **args;
    size_t n_args, args_cap;
    bool offline, brief, json, differs, network, check, upgrade;
    const char **variables; /* -e, of env run */
    size_t n_variables, variables_cap;
    int status; /* env run: of the command */
};
/* Reads the file that -spec names. Errors: MIO_USAGE, MIO_TEMPLATE. */
enum mio_code mio_env_cli_spec(struct mio_env_cli *c, struct mio_env_spec *out);

/* The lock that -spec or -lock means; a declaration that it does not fit is an error. Errors:
 * MIO_STATE. */
enum mio_code mio_env_cli_lock(struct mio_env_cli *c, struct mio_env_lock *out, const char **path);
/* mio_env_build with the options of the command line. */
enum mio_code mio_env_cli_build(struct mio_env_cli *c, const struct mio_env_store *store,
                                const struct mio_env_lock *lock, struct mio_env_image *image);

/* The lock that fits the declaration, and that a build has sealed: its identity is known. */
enum mio_code mio_env_cli_sealed(struct mio_env_cli *c, struct mio_env_lock *out);
/* Makes the root c->root_path, or mends the one that is there, looks at every file of it, and
 * leaves the list of what it holds beside it. */
enum mio_code mio_env_cli_root(struct mio_env_cli *c, const struct mio_env_store *store,
                               const struct mio_env_lock *lock);

/* prove.c: builds the Dockerfile of a lock once more; what is the same counts as proven in the
 * lock. Errors: MIO_STATE with what differs. */
enum mio_code mio_env_cli_prove(struct mio_env_cli *c, const struct mio_env_store *s,
                                struct mio_env_lock *lock, const char *path,
                                const struct mio_env_image *im);

/* The verbs: text into out; errors in err. */
enum mio_code mio_env_verb_lock(struct mio_env_cli *c);
enum mio_code mio_env_verb_build(struct mio_env_cli *c);
enum mio_code mio_env_verb_verify(struct mio_env_cli *c);
enum mio_code mio_env_verb_diff(struct mio_env_cli *c);
enum mio_code mio_env_verb_vendor(struct mio_env_cli *c);
enum mio_code mio_env_verb_sbom(struct mio_env_cli *c);
enum mio_code mio_env_verb_push(struct mio_env_cli *c);
enum mio_code mio_env_verb_pull(struct mio_env_cli *c);
enum mio_code mio_env_verb_drift(struct mio_env_cli *c);
/* For providers: whether the lock fits and is sealed; a root below -root=DIR, made, mended or found
 * intact; the state of the root -root=DIR. */
enum mio_code mio_env_verb_check(struct mio_env_cli *c);
enum mio_code mio_env_verb_provide(struct mio_env_cli *c);
enum mio_code mio_env_verb_look(struct mio_env_cli *c);
enum mio_code mio_env_verb_export(struct mio_env_cli *c);
enum mio_code mio_env_verb_run(struct mio_env_cli *c);
