/* providers/environment/view.h: all cells of an environment laid over one another: who owns a path.
 */
#pragma once
#include "providers/environment/cell.h"
#include "providers/sdk/map.h"

struct mio_env_found {
    const struct mio_env_cell *cell;
    const struct mio_env_entry *entry;
};
struct mio_env_view {
    struct mio_arena *arena;
    const struct mio_env_cell *cells; /* in the order in which they are laid */
    size_t n;
    struct mio_index index;     /* path to entry */
    struct mio_env_found *late; /* files that win although a later cell has the name as well */
    size_t n_late, late_cap;
    const struct mio_env_spec *allowed; /* deviations that were declared */
    const struct mio_env_tree *made;    /* links that static mode made so far; may be NULL */
};
/* Errors: MIO_REALITY when two packages bring different files under one name and neither replaces
 * the other (nor is said to by `allowed`), when a path lies behind another package's link, or when
 * a file is setuid and its package is not allowed to have one. */
enum mio_code mio_env_view_init(struct mio_env_view *v, struct mio_arena *a,
                                const struct mio_env_cell *cells, size_t n,
                                const struct mio_env_spec *allowed, struct mio_err *err);
/* The entry itself; entry NULL when there is none. */
struct mio_env_found mio_env_view_get(const struct mio_env_view *v, struct mio_str path);
/* Follows symlinks (absolute ones inside the root) to a file; entry NULL when it leads nowhere. */
struct mio_env_found mio_env_view_follow(const struct mio_env_view *v, struct mio_str path);
/* Content of a file that some cell has; *found false when there is none. */
enum mio_code mio_env_view_read(const struct mio_env_view *v, const char *path, struct mio_str *out,
                                bool *found, struct mio_err *err);
