/* providers/environment/download.h: files from web addresses, several at a time, each under the
 * digest that is known of it. */
#pragma once
#include "providers/environment/store.h"
#include "providers/sdk/str.h"

struct mio_env_download {
    struct mio_str url;    /* https:, http:, file: or a path */
    struct mio_str sha256; /* hex; empty: taken as it comes, and filled in */
    uint64_t size;         /* filled in; 0: unknown */
    bool done;             /* it is in the store */
    struct mio_err err;    /* why not */
};
/* Brings what the store lacks. An item that fails does not stop the others: the first error is
 * given back at the end, and each item says its own. Errors: MIO_TRANSIENT (no answer), MIO_AUTH,
 * MIO_REALITY (gone), MIO_IO (other bytes than the digest says). */
enum mio_code mio_env_download(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_env_download *items, size_t n, struct mio_err *err);
