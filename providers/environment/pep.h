/* providers/environment/pep.h: the small languages of Python packages: names (PEP 503), versions
 * (PEP 440), markers (PEP 508), wheel tags (PEP 425, 600). Nothing is resolved here: a lock that
 * was made elsewhere is read for one target. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct mio_env_python {
    struct mio_str version; /* "3.11" */
    struct mio_str arch;    /* Debian's name */
    unsigned glibc;         /* minor number of the C library: 36 is glibc 2.36 */
};
/* "Scikit_Learn" is "scikit-learn". */
struct mio_str mio_env_pep_name(struct mio_arena *a, struct mio_str raw);
/* Order of two versions; a malformed one is older than every other. */
int mio_env_pep_order(struct mio_str a, struct mio_str b);
/* Whether a version fits ">=3.8, !=3.9.*, <4". False for specifiers that cannot be read. */
bool mio_env_pep_fits(struct mio_str version, struct mio_str specifiers);
/* Whether a marker holds for the target; the empty one does. Errors: MIO_TEMPLATE. */
enum mio_code mio_env_pep_marker(const struct mio_env_python *py, struct mio_str marker, bool *out,
                                 struct mio_err *err);
/* How well the wheel of that file name fits the target: 0 not at all, more is better. */
unsigned mio_env_pep_tag(const struct mio_env_python *py, struct mio_str file);
/* Name and version out of "NAME-VERSION(-BUILD)-TAGS.whl"; false when it is none. */
bool mio_env_pep_wheel(struct mio_str file, struct mio_str *name, struct mio_str *version);
/* The machine as Python names it: x86_64, aarch64 ... */
const char *mio_env_pep_machine(struct mio_str arch);
