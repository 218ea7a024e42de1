/* state/remote/wait.h: waits for a server's bytes, says so after a while, and gives up in time. */
#pragma once
#include "state/remote/object.h"

enum { MIO_SILENT_MS = 5000 }; /* after which people are told what they wait for */

/* The setting `timeout_seconds`: how long a server may be silent. Errors: MIO_USAGE. */
enum mio_code mio_setting_timeout(struct mio_arena *a, const struct mio_backend_args *args,
                                  unsigned *seconds, struct mio_err *err);
/* Waits until one of the poll `events` holds for fd. false: nothing came for so many seconds. Once
 * it has been silent for a while, a line in the log says who (`where`) is waited for. */
bool mio_wait_fd(const char *where, unsigned seconds, int fd, short events);
/* The hint of every backend whose server was given up. */
enum mio_code mio_silent_hint(struct mio_err *err);
