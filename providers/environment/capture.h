/* providers/environment/capture.h: what differs between a root file system and the cells that it
 * was made of. */
#pragma once
#include "providers/environment/build.h"

/* New and changed files, folders and links into `t`, and whiteouts (".wh.NAME") for what is gone;
 * no time is later than the lock's. Logs, locks and backups, which differ every time, are passed
 * over. Errors: MIO_REALITY for devices, pipes, attributes, and files that run with another user's
 * rights though no package that may have such is theirs. */
enum mio_code mio_env_capture(struct mio_env_tree *t, const struct mio_env_image *im,
                              const struct mio_env_spec *spec, const char *root, int64_t epoch,
                              struct mio_err *err);
