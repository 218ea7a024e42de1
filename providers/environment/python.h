/* providers/environment/python.h: Python requirements to wheels. Resolving is uv's or pip's, or was
 * done by whoever wrote pylock.toml; the wheels are named by hash and installed by wheel.h. */
#pragma once
#include "providers/environment/pylock.h"

/* Interpreter, architecture and C library of a locked or declared environment. */
struct mio_env_python mio_env_python_target(struct mio_value config, struct mio_str suite,
                                            struct mio_str arch);
struct mio_env_places {
    struct mio_str prefix, site, interpreter; /* without a slash in front, but the last */
};
/* Where wheels go: Debian's place for what is installed by hand, or below python.prefix. */
struct mio_env_places mio_env_python_places(struct mio_arena *a, struct mio_value config);

/* Wheels for the spec's Python and architecture, sorted by name; none when nothing is asked. What
 * `keep` holds stays as it was where it still fits. Errors: MIO_TEMPLATE (cannot be resolved, or
 * only as a source distribution), MIO_IO (no resolver installed). */
enum mio_code mio_env_python_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                     const struct mio_env_spec *spec, const char *dir,
                                     const struct mio_env_keep *keep, struct mio_env_wheel **out,
                                     size_t *n, struct mio_err *err);
/* Brings the wheels that the store lacks, and builds again those that were built here. Errors: as
 * resolve, and MIO_IO for a wrong hash. */
enum mio_code mio_env_python_fetch(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, const char *dir,
                                   struct mio_err *err);

/* ---- the resolvers: python_uv.c and python_pip.c ---- */

struct mio_env_ask {
    struct mio_arena *a;
    const struct mio_env_store *s;
    const char *dir; /* of the template: the resolver works in it */
    struct mio_env_python py;
    const char *files[2];    /* requirements files, absolute; NULL: none */
    struct mio_value config; /* of a lock: where mirrors are */
    const char *links;       /* folder with wheels that were built here, or NULL */
    const struct mio_env_keep *keep;
    bool bare; /* dependencies are left out */
};
/* Path of uv, empty where it is not installed. */
struct mio_str mio_env_uv(struct mio_arena *a);
/* One file for each package. Errors: MIO_TEMPLATE with the resolver's words; MIO_IO when it cannot
 * be run. */
enum mio_code mio_env_uv_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                             struct mio_err *err);
enum mio_code mio_env_pip_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                              struct mio_err *err);
/* The source distribution of one version, found without running any of its code (uv alone can). */
enum mio_code mio_env_uv_sdist(const struct mio_env_ask *q, struct mio_str name,
                               struct mio_str version, struct mio_env_pinned *out,
                               struct mio_err *err);
/* Brings wheels by name, version and hash from where pip is configured to look. */
enum mio_code mio_env_pip_fetch(const struct mio_env_ask *q, const struct mio_env_wheel *wheels,
                                size_t n, struct mio_err *err);
/* Whichever resolver is there, uv first. */
enum mio_code mio_env_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                          struct mio_err *err);

/* ---- sdist.c: source distributions to wheels ---- */

/* Builds in a sandbox without network, twice, and puts the wheel into the store; w->built says from
 * what. Errors: MIO_TEMPLATE (does not build, or not to the same bytes), MIO_IO (no bubblewrap or
 * interpreter). */
enum mio_code mio_env_sdist_build(const struct mio_env_ask *q, const struct mio_env_pinned *sdist,
                                  struct mio_env_wheel *out, struct mio_err *err);
/* The same from what the lock says. Errors: also MIO_STATE when other bytes came out. */
enum mio_code mio_env_sdist_again(const struct mio_env_ask *q, const struct mio_env_wheel *w,
                                  struct mio_err *err);
