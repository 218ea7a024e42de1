/* providers/environment/tree.h: files on their way from a package into a layer.
 *
 * A list of entries in memory, and their contents in a spool. */
#pragma once
#include "providers/environment/spool.h"
#include "providers/sdk/str.h"
#include <sys/types.h>

enum mio_entry_type { MIO_ENTRY_FILE, MIO_ENTRY_DIR, MIO_ENTRY_SYMLINK, MIO_ENTRY_HARDLINK };
struct mio_env_entry {
    struct mio_str path; /* relative, no ./ in front, no / behind */
    struct mio_str link; /* target of a symlink; path of a hard link's first name */
    enum mio_entry_type type;
    unsigned mode, uid, gid;
    int64_t mtime;
    uint64_t size, offset; /* offset: of the content in the spool, later in the tar fragment */
    struct mio_str sha256; /* files: hex */
    struct mio_str soname; /* shared objects: DT_SONAME, empty for everything else */
    unsigned elf;          /* shared objects: class and machine, see elf.h */
};
struct mio_env_tree {
    struct mio_arena *arena;
    struct mio_env_entry *items;
    size_t n, cap;
    struct mio_env_spool spool;
};
void mio_env_tree_init(struct mio_env_tree *t, struct mio_arena *a, const struct mio_env_store *s);
void mio_env_tree_free(struct mio_env_tree *t); /* the spool; entries stay in the arena */
/* Adds content to the spool. Errors: MIO_IO. */
enum mio_code mio_env_tree_spool(struct mio_env_tree *t, const void *p, size_t n,
                                 struct mio_err *err);
/* Shorthands for made files; paths and texts are copied. */
enum mio_code mio_env_tree_file(struct mio_env_tree *t, struct mio_str path, unsigned mode,
                                int64_t mtime, struct mio_str content, struct mio_err *err);
void mio_env_tree_dir(struct mio_env_tree *t, struct mio_str path, unsigned mode, int64_t mtime);
void mio_env_tree_symlink(struct mio_env_tree *t, struct mio_str path, struct mio_str target,
                          int64_t mtime);
/* Content of an entry, in the arena. Errors: MIO_IO. */
enum mio_code mio_env_tree_read(const struct mio_env_tree *t, const struct mio_env_entry *e,
                                struct mio_str *out, struct mio_err *err);
/* By path, files before the hard links to them. Equal paths: the last one added stays. */
void mio_env_tree_sort(struct mio_env_tree *t);
/* Refuses names that would leave the root, have control bytes, or pass through a link or file of
 * the same tree. Errors: MIO_REALITY. The tree must be sorted. */
enum mio_code mio_env_tree_check(const struct mio_env_tree *t, struct mio_err *err);
/* The path as stored ("./a//b/" is "a/b"); false when it is absolute, has "..", or a control byte.
 */
bool mio_env_path(struct mio_arena *a, struct mio_str raw, struct mio_str *out);
