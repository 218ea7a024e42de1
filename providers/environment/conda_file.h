/* providers/environment/conda_file.h: environment.yml of conda, as far as the base and the Python
 * registry have what it names. */
#pragma once
#include "providers/sdk/value.h"

/* Rewrites a body that has conda_file (a path relative to `dir`, or the map itself): what it names
 * goes to python and debian, and conda_file becomes {mapping: [what became of each]}. Any other
 * body comes back as it is. Errors: MIO_TEMPLATE, with all names that only a conda resolver can
 * find. */
enum mio_code mio_env_conda_file(struct mio_arena *a, struct mio_value body, const char *dir,
                                 struct mio_value *out, struct mio_err *err);
