/* providers/environment/pool.h: which packages a request needs.
 *
 * apt's answer is rebuilt by a walk that takes the first alternative of every dependency, and
 * handed to libsolv as weak jobs: libsolv proves that the set is consistent, repairs it where it is
 * not, and explains conflicts. */
#pragma once
#include "providers/environment/index.h"

struct mio_env_package {
    struct mio_str name, version, arch, source, source_version;
    struct mio_str path; /* in the archive: pool/main/... */
    struct mio_str sha256, suite;
    uint64_t size;
};
struct mio_env_keep; /* lock.h */

/* The set sorted by name; versions that `keep` holds and an index still has are preferred to newer
 * ones. Errors: MIO_TEMPLATE, with libsolv's words, when it cannot be had. */
enum mio_code mio_env_resolve(struct mio_arena *a, const struct mio_env_spec *spec,
                              const struct mio_env_index *indices, size_t n,
                              const struct mio_env_keep *keep, struct mio_env_package **out,
                              size_t *count, struct mio_err *err);
