/* providers/environment/pylock.h: pylock.toml (PEP 751), read for one target and written. */
#pragma once
#include "providers/environment/lock.h"
#include "providers/environment/pep.h"

struct mio_env_pinned { /* a package and the one file of it that fits the target */
    struct mio_str name, version, file, url, sha256;
    uint64_t size; /* 0: not said */
    bool sdist;    /* no wheel fits: this is the source */
};
/* Fills in url and file of an address; false when it names no file. */
bool mio_env_pinned_at(struct mio_arena *a, struct mio_str url, struct mio_env_pinned *out);
/* The address as it may stand in a lock: without user, password and query; of a file below the
 * template, its path there; else empty. */
struct mio_str mio_env_pinned_hint(struct mio_arena *a, const char *dir, struct mio_str url);
/* Packages whose markers hold, sorted by name. `dir` is what paths in it are relative to. Errors:
 * MIO_TEMPLATE. */
enum mio_code mio_env_pylock_read(struct mio_arena *a, struct mio_str text, const char *dir,
                                  const struct mio_env_python *py, struct mio_env_pinned **out,
                                  size_t *n, struct mio_err *err);
/* The wheels of a lock as pylock.toml for its own target. */
struct mio_str mio_env_pylock_text(struct mio_arena *a, const struct mio_env_lock *lock);
