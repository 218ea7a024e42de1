/* providers/environment/bytecode.h: Python's byte-code of a package, as a cell of its own.
 *
 * Compiled by the environment's own interpreter, in a fresh process for each package: what an
 * interpreter has compiled before leaves traces in what it writes next. Marked as never to be
 * checked against the source, so that no time is in it. */
#pragma once
#include "providers/environment/cell.h"

struct mio_env_interpreter {
    const char *path;           /* /usr/bin/python3.11; NULL: the environment has none */
    struct mio_str tag;         /* python3.11 */
    struct mio_str key;         /* names all that it is made of */
    struct mio_env_cell *cells; /* its package and those that this one needs */
    size_t n, cap;
    const char *folders[4]; /* whose modules it compiles; NULL-terminated */
    const char *root;       /* folder with all that, once it is made */
};
/* The interpreter among the cells: `version` ("3.11"), or empty for the one that usr/bin/python3
 * stands for; conda's, where conda packages below `conda` ("opt/conda"; empty: there are none)
 * bring it. Errors: MIO_IO for a store that is damaged. */
enum mio_code mio_env_interpreter_find(struct mio_arena *a, const struct mio_env_cell *cells,
                                       size_t n, struct mio_str version, struct mio_str conda,
                                       struct mio_env_interpreter *out, struct mio_err *err);
/* Puts it into a folder of the store's tmp, for the caller to free. Errors: MIO_IO. */
enum mio_code mio_env_interpreter_make(struct mio_arena *a, const struct mio_env_store *s,
                                       struct mio_env_interpreter *p, struct mio_err *err);
void mio_env_interpreter_free(const struct mio_env_interpreter *p);
/* The byte-code of one cell; out->n is 0 where it has no modules. While the interpreter has no
 * folder, only what is cached is found: *missing tells of the rest. Files that do not compile are
 * left out. Errors: MIO_IO, MIO_REALITY. Any thread, with an arena of its own. */
enum mio_code mio_env_cell_bytecode(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_interpreter *python,
                                    const struct mio_env_cell *of, struct mio_env_cell *out,
                                    bool *missing, struct mio_err *err);
