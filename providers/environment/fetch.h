/* providers/environment/fetch.h: files from a Debian mirror into the store.
 *
 * Over the network apt's own downloader works, so that the proxies, certificates and credentials
 * that were configured for apt hold here as well; `file:` locations and folders are copied. */
#pragma once
#include "providers/environment/store.h"

struct mio_env_fetch {
    struct mio_str url;
    struct mio_str sha256; /* hex; empty: unknown, and `path` is where the file goes */
    uint64_t size;         /* 0: unknown */
    const char *path;      /* set for a blob: where it lies in the store */
};
/* Fetches what the store does not hold yet; each is checked before it becomes visible. Errors:
 * MIO_IO (wrong hash, truncated), MIO_TRANSIENT (the mirror does not answer), MIO_REALITY (gone
 * from the mirror). */
enum mio_code mio_env_fetch_all(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_env_fetch *items, size_t n, struct mio_err *err);
