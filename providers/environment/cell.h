/* providers/environment/cell.h: one package as a piece of a layer.
 *
 * cells/KEY.zst is the tar fragment in zstd frames, cells/KEY.idx the list of its entries and
 * what else is needed of the package. KEY names the input, the format and the encoder: a cell is a
 * pure function of it. The list tells the digests of both, and what stat said of the fragment: what
 * is no longer that is no cell. */
#pragma once
#include "providers/environment/lock.h"
#include "providers/environment/tar.h"

enum { MIO_ENV_CELL_FORMAT = 3 };

/* What a .deb says of itself; all empty for other cells. Text up to its first NUL. */
struct mio_env_about {
    struct mio_str control, postinst, preinst; /* its stanza and its scripts */
};
struct mio_env_cell {
    struct mio_str name, group; /* group: source package, what layers are cut by */
    struct mio_str key;
    const char *path;      /* of the fragment */
    struct mio_str sha256; /* of the file there */
    struct mio_env_entry *items;
    size_t n;
    struct mio_env_about about;
    uint64_t size; /* of the fragment */
};
/* From the cache, or built from the package's blob in the store. Errors: MIO_REALITY (unsafe or
 * broken archive, with the package's name), MIO_IO. Any thread, with an arena of its own. */
enum mio_code mio_env_cell_deb(struct mio_arena *a, const struct mio_env_store *s,
                               const struct mio_env_package *p, struct mio_env_cell *out,
                               struct mio_err *err);
/* From a tree; `key` (64 hex) names its content. Takes a sorted and checked tree. `about` is NULL
 * unless it is of a .deb. */
enum mio_code mio_env_cell_put(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_str key, struct mio_env_tree *t,
                               const struct mio_env_about *about, struct mio_env_cell *out,
                               struct mio_err *err);
/* Writes the list of what is in a cell whose fragment lies elsewhere: of a layer of an image. */
enum mio_code mio_env_cell_index(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_cell *c, struct mio_err *err);
/* Of a key that is in the cache. `path`: where the fragment lies; NULL: in the cache, too. */
enum mio_code mio_env_cell_load(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str key, const char *path, bool *found,
                                struct mio_env_cell *out, struct mio_err *err);
/* Key of a tree that was made up here: from its entries and their digests. */
struct mio_str mio_env_tree_key(struct mio_arena *a, const struct mio_env_tree *t);
/* Entry of a path, or NULL. */
const struct mio_env_entry *mio_env_cell_find(const struct mio_env_cell *c, struct mio_str path);
/* Content of a file of the cell, in the arena. Errors: MIO_IO. */
enum mio_code mio_env_cell_read(struct mio_arena *a, const struct mio_env_cell *c,
                                const struct mio_env_entry *e, struct mio_str *out,
                                struct mio_err *err);
/* An entry as one line of text, and back; what is read points into the line. False when malformed.
 */
void mio_env_entry_write(struct mio_buf *b, const struct mio_env_entry *e);
bool mio_env_entry_read(struct mio_str line, struct mio_env_entry *e);
