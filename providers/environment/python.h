/* providers/environment/python.h: Python requirements to wheels. Resolving is uv's or pip's; the
 * wheels are named by hash and installed by wheel.h. */
#pragma once
#include "providers/environment/lock.h"

/* Wheels for the spec's Python and architecture, sorted by name; none when nothing is asked.
 * Errors: MIO_TEMPLATE (cannot be resolved, or only as a source distribution), MIO_IO (no resolver
 * installed). */
enum mio_code mio_env_python_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                     const struct mio_env_spec *spec, const char *dir,
                                     struct mio_env_wheel **out, size_t *n, struct mio_err *err);
/* Brings the wheels that the store lacks. Errors: as resolve, and MIO_IO for a wrong hash. */
enum mio_code mio_env_python_fetch(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, struct mio_err *err);
