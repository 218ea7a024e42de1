/* providers/sdk/rootfs.h: a root file system under other mounts, in bubblewrap's words. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct mio_words { /* an argument vector in the making; not ended by NULL until it is pushed */
    struct mio_arena *arena;
    const char **items;
    size_t n, cap;
};
void mio_words_add(struct mio_words *w, const char *z);
void mio_words_add3(struct mio_words *w, const char *option, const char *x, const char *y);

/* Lays the folder `root` read-only as "/". `targets` are the absolute paths at which the caller
 * mounts something afterwards: a folder of the root above one of them is laid entry by entry, so
 * that the mount point can be made without writing to the root. Strings live in the arena or with
 * the caller. Errors: MIO_IO. */
enum mio_code mio_rootfs_words(struct mio_words *w, const char *root, const char *const *targets,
                               size_t n, struct mio_err *err);
/* Inode, type, mode, size and times of everything below `root` as one digest: equal as long as
 * nobody touched it. *found is false when there is no such folder. Errors: MIO_IO. */
enum mio_code mio_rootfs_stamp(struct mio_arena *a, const char *root, struct mio_str *hex,
                               bool *found, struct mio_err *err);
