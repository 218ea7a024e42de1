/* providers/environment/requirements.h: what a requirements file reads of other files, and which
 * hashes it demands. Versions, extras and markers are the resolver's. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct mio_env_demanded {
    struct mio_str name, sha256; /* name as PEP 503 writes it */
};
struct mio_env_requirements {
    struct mio_str *files; /* the file itself, then those that -r and -c name, each once */
    size_t n_files, files_cap;
    struct mio_env_demanded *hashes;
    size_t n_hashes, hashes_cap;
};
/* Follows -r and -c from `path`, which is relative to `dir`. Errors: MIO_TEMPLATE (missing,
 * editable or local requirement), MIO_IO. */
enum mio_code mio_env_requirements(struct mio_arena *a, const char *dir, struct mio_str path,
                                   struct mio_env_requirements *out, struct mio_err *err);
