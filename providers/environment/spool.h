/* providers/environment/spool.h: the contents of a tree, one behind the other: the first of them in
 * memory, the rest in an unlinked file, so that a package of gigabytes costs little memory.
 *
 * A zeroed one is empty. One thread. */
#pragma once
#include "providers/environment/store.h"

enum { MIO_ENV_SPOOL_BLOCK = 1 << 20, MIO_ENV_SPOOL_BLOCKS = 32 };

struct mio_env_spool {
    const struct mio_env_store *store; /* where the file is made */
    char *blocks[MIO_ENV_SPOOL_BLOCKS];
    uint64_t size;
    int fd; /* valid once `filed` */
    bool filed;
};
/* Adds bytes behind the others. Errors: MIO_IO. */
enum mio_code mio_env_spool_add(struct mio_env_spool *s, struct mio_arena *a, const void *p,
                                size_t n, struct mio_err *err);
/* Reads `n` bytes from `at` on; they must be there. Errors: MIO_IO. */
enum mio_code mio_env_spool_read(const struct mio_env_spool *s, uint64_t at, void *p, size_t n,
                                 struct mio_err *err);
/* Where up to *n bytes from `at` on lie in memory, *n made what lies there in one piece; NULL when
 * they are in the file. */
const char *mio_env_spool_peek(const struct mio_env_spool *s, uint64_t at, size_t *n);
void mio_env_spool_free(struct mio_env_spool *s); /* empties it */
