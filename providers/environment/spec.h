/* providers/environment/spec.h: what an environment declares, read from the body of its resource.
 *
 * In: a frozen value (the resource after evaluation). Out: a struct whose texts live in the value
 * or the arena. Never: files or network. */
#pragma once
#include "providers/sdk/value.h"

struct mio_env_reasoned { /* a deviation from what the packages say, with its reason */
    struct mio_str name, reason;
};
struct mio_env_pair {
    struct mio_str key, value;
};
enum mio_env_scripts { MIO_SCRIPTS_STATIC, MIO_SCRIPTS_SANDBOX, MIO_SCRIPTS_NONE };
struct mio_env_built {                    /* a package that may be built from source */
    struct mio_str name, version, source; /* source: a file beside the template, or empty */
};

struct mio_env_spec {
    struct mio_str name;
    struct mio_str suite;               /* Debian's code name; empty on an image or a Dockerfile */
    struct mio_str image;               /* reference of what it stands on, or empty */
    struct mio_str context, dockerfile; /* folder and file of a Dockerfile build, or empty */
    bool network;                       /* whether the Dockerfile's commands have one */
    struct mio_str arch;                /* Debian's name of the architecture */
    bool bare;                          /* base.variant: none, nothing but what is asked for */
    bool essential; /* base.variant: essential, what every package may rely on */
    struct mio_str mirror, security_mirror, keyring; /* empty: from the system's apt sources */
    struct mio_str *packages;
    size_t n_packages;
    struct mio_env_reasoned *drops, *accepted, *setuid; /* accepted: scripts that need not run */
    size_t n_drops, n_accepted, n_setuid; /* setuid: packages that may bring such files */
    enum mio_env_scripts scripts;
    struct mio_str python_version, requirements, pylock; /* the latter two: a path, or empty */
    struct mio_str conda; /* lock of a tool of conda's: a path, or empty */
    struct mio_env_built *builds;
    struct mio_env_reasoned *overlap; /* wheels whose files win over those of other wheels */
    size_t n_builds, n_overlap;
    struct mio_str *requirement_lines; /* given in place */
    size_t n_requirement_lines;
    struct mio_env_pair *files, *variables; /* files: source to target */
    size_t n_files, n_variables;
    struct mio_str workdir;
    struct mio_str *command;
    size_t n_command;
    struct mio_value serve; /* null when absent */
    bool gzip;
    bool bytecode; /* Python's, beside its modules; by default where the interpreter is an amd64 */
    unsigned budget; /* layers of packages at most */
    struct mio_value body;
};

/* Everything unknown or malformed is an error that names the key. Errors: MIO_TEMPLATE. */
enum mio_code mio_env_spec_read(struct mio_arena *a, struct mio_str name, struct mio_value body,
                                struct mio_env_spec *out, struct mio_err *err);
/* The mode that a declaration names; a word that is none is static's. */
enum mio_env_scripts mio_env_scripts_of(struct mio_value body);
struct mio_env_inputs {
    struct mio_str digest; /* SHA-256 (hex) of all that decides the lock */
    struct mio_value
        sources; /* {path: digest} of requirements with all that they read, of locks of others */
    struct mio_value files; /* [{source, target, digest}] */
};
/* The declared inputs and the content of the files that they name, relative to `dir`. Errors:
 * MIO_TEMPLATE when one is missing, MIO_IO. */
enum mio_code mio_env_spec_inputs(struct mio_arena *a, const struct mio_env_spec *s,
                                  const char *dir, struct mio_env_inputs *out, struct mio_err *err);
