/* providers/environment/wheel.h: a wheel as a cell: RECORD verified, data folders moved to their
 * places, scripts made. */
#pragma once
#include "providers/environment/cell.h"

/* As mio_env_cell_deb. Errors: MIO_REALITY also for a RECORD that does not fit. */
enum mio_code mio_env_cell_wheel(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_wheel *w,
                                 struct mio_env_cell *out, struct mio_err *err);
/* The script of an entry point; false when one of the names is none. */
bool mio_env_entry_script(struct mio_arena *a, struct mio_str interpreter, struct mio_str name,
                          struct mio_str module, struct mio_str object, struct mio_str *out);
