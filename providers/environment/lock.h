/* providers/environment/lock.h: the lock file: everything that decides the bytes of an environment.
 *
 * Indented JSON with sorted keys beside the template, reviewed in git. A digest is what names an
 * artefact; an address is where it was seen, and may have gone. */
#pragma once
#include "providers/environment/pool.h"

enum { MIO_ENV_LOCK_FORMAT = 1 };

struct mio_env_wheel {
    struct mio_str name, version, file, sha256;
    struct mio_str url; /* where it was; relative to the template for a local file; may be empty */
    uint64_t size;
    struct mio_value built; /* null, or {sdist, requires}: built here from source */
};
struct mio_env_lock {
    struct mio_str name, inputs, suite, arch;
    int64_t epoch; /* newest date of the indices: no file is younger */
    struct mio_value indices;
    struct mio_env_package *packages;
    size_t n_packages;
    struct mio_env_wheel *wheels;
    size_t n_wheels;
    struct mio_value files;   /* [{source, target, digest}] */
    struct mio_value sources; /* {path: digest} of the files that say what is wanted */
    struct mio_value
        config;             /* the rest of what was declared: variables, drops, layers, serve ... */
    struct mio_value image; /* null, or what it stands on: see base_image.h */
    struct mio_value build; /* null, or what a Dockerfile is built from: see dockerfile.h */
    struct mio_value sealed; /* null, or {config, manifest, diff_ids}: what the first build gave */
};
struct mio_env_keep {               /* what of an earlier lock stays when it is renewed */
    const struct mio_env_lock *old; /* NULL: there is none */
    const struct mio_str *names;    /* packages that are to be renewed */
    size_t n_names;
    bool all; /* everything is */
};
/* Whether the package of that name shall stay at its locked version. */
bool mio_env_keeps(const struct mio_env_keep *k, struct mio_str name);

/* An environment's name as part of the name of a file: sk["a/b"] becomes sk.a%2Fb. */
struct mio_str mio_env_file_name(struct mio_arena *a, struct mio_str name);
/* The file's name for an environment, in the template directory: environment.NAME.lock.json, or
 * module.M.environment.NAME.lock.json. */
const char *mio_env_lock_path(struct mio_arena *a, const char *dir, struct mio_str name);
/* Errors: MIO_STATE (malformed, newer format); a missing file is *found = false. */
enum mio_code mio_env_lock_read(struct mio_arena *a, const char *path, struct mio_env_lock *out,
                                bool *found, struct mio_err *err);
enum mio_code mio_env_lock_write(struct mio_arena *a, const char *path,
                                 const struct mio_env_lock *lock, struct mio_err *err);
/* The whole lock as text; with `sealed` left out where so asked (its digest is the environment's
 * inputs). */
struct mio_str mio_env_lock_text(struct mio_arena *a, const struct mio_env_lock *lock, bool sealed);
/* Resolves the spec against the network; what `keep` holds stays where it can be had and still
 * fits. Errors: those of sources, indices and resolve. */
enum mio_code mio_env_lock_make(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_spec *spec, const char *dir,
                                const struct mio_env_keep *keep, struct mio_env_lock *out,
                                struct mio_err *err);
/* What build needs of the declaration, so that the lock alone is enough; with what the lock's image
 * or conda packages say of their Python. Errors: MIO_TEMPLATE where the image has none. */
enum mio_code mio_env_lock_config(struct mio_arena *a, const struct mio_env_spec *spec,
                                  const struct mio_env_lock *lock, struct mio_value *out,
                                  struct mio_err *err);
/* What is declared (and lies in the files it names) other than it was locked, one line each;
 * nothing where the lock is that of the declaration. */
enum mio_code mio_env_lock_stale(struct mio_arena *a, const struct mio_env_lock *lock,
                                 const struct mio_env_spec *spec, const char *dir,
                                 struct mio_buf *out, struct mio_err *err);
/* What differs between two locks, one line each ("+ numpy 1.2", "- x", "~ y 1 -> 2"); false when
 * nothing. */
bool mio_env_lock_diff(const struct mio_env_lock *a, const struct mio_env_lock *b,
                       struct mio_buf *out);
