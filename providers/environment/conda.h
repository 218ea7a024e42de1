/* providers/environment/conda.h: conda packages as a lock of another tool names them. They stand
 * among the wheels of our lock, and their files' names tell them from those. */
#pragma once
#include "providers/environment/cell.h"
#include "providers/environment/python.h"

/* Whether it is a conda package: NAME.conda or NAME.tar.bz2. */
bool mio_env_is_conda(const struct mio_env_wheel *w);
/* What conda.from (conda-lock.yml, pixi.lock or a list that begins with @EXPLICIT) names for the
 * spec's architecture, fetched and pinned by SHA-256; wheels that it names too. Errors:
 * MIO_TEMPLATE, those of mio_env_download. */
enum mio_code mio_env_conda_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_spec *spec, const char *dir,
                                    struct mio_env_wheel **out, size_t *n, struct mio_err *err);
/* Where a locked address is asked for: conda.mirror or MLOPS_IAC_CONDA_MIRROR in place of scheme
 * and host. */
struct mio_str mio_env_conda_url(struct mio_arena *a, struct mio_value config, struct mio_str url);
/* Folder of the environment, without a slash in front: opt/conda unless conda.prefix says another.
 */
struct mio_str mio_env_conda_prefix(struct mio_value config);
/* conda_cell.c: as mio_env_cell_deb. Errors: MIO_REALITY also for files that are not as the package
 * lists them, and for scripts that would have to run. */
enum mio_code mio_env_cell_conda(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_wheel *w,
                                 struct mio_env_cell *out, struct mio_err *err);
