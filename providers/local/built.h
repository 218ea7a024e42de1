/* providers/local/built.h: environments that are built from a lock: their root file systems.
 *
 * Below the provider's root lies environments/HEX, the root file system of the image whose
 * configuration has that digest, and HEX.files, what should be in it. All workspaces share them;
 * the last environment that goes takes its root with it. The builder is a program of its own
 * (libexec/mlops-iac/mlops-iac-env). */
#pragma once
#include "providers/local/local.h"

/* Whether the body asks for a root of its own. */
bool built_wanted(struct mio_value inputs);
/* What the lock says without building: {config_digest, interpreter, interpreter_version,
 * package_count, packages_digest, proven}. Errors: MIO_TEMPLATE when the lock is missing, was never
 * built, or does not fit what is declared, with the difference. */
enum mio_code built_facts(struct local *l, const struct local_change *ch, struct mio_value *facts,
                          struct mio_err *err);
/* Whoever holds it may make roots, and record that they are held. Taken before the lock of a
 * workspace's assets. Errors: as of local_lock. */
enum mio_code built_lock(struct local *l, int *fd, struct mio_err *err);
/* The same, with the root made, mended or found, and compared with the lock file by file; +
 * {stamp}. Under built_lock. */
enum mio_code built_make(struct local *l, const struct local_change *ch, struct mio_value *facts,
                         struct mio_err *err);
/* The folder of a root. */
const char *built_root(struct local *l, struct mio_value facts);
/* Inodes and times of the root as one word; "absent" when it is not there. */
enum mio_code built_stamp(struct local *l, struct mio_value facts, struct mio_str *stamp,
                          struct mio_err *err);
/* "intact", "absent" or "altered: ..."; every file is compared when the stamp is not the one of the
 * facts. */
enum mio_code built_look(struct local *l, struct mio_value facts, struct mio_str stamp,
                         struct mio_str *state, struct mio_err *err);
/* Removes the roots that no environment of any workspace refers to. */
enum mio_code built_release(struct local *l, struct mio_err *err);
