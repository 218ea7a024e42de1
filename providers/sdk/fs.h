/* providers/sdk/fs.h: files, read whole and replaced atomically. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

/* Reads a regular file of at most `max` bytes. The text is followed by a NUL. Errors: MIO_IO; a
 * missing file is *found = false and MIO_OK when found is not NULL. */
enum mio_code mio_fs_read(struct mio_arena *a, const char *path, size_t max, struct mio_str *out,
                          bool *found, struct mio_err *err);
/* New file in the same folder (O_EXCL, mode), write, fsync, rename, fsync folder. */
enum mio_code mio_fs_replace(const char *path, struct mio_str text, mode_t mode,
                             struct mio_err *err);
enum mio_code mio_fs_write_all(int fd, const void *p, size_t n, const char *what,
                               struct mio_err *err);
enum mio_code mio_fs_sync_dir(const char *path, struct mio_err *err); /* the folder itself */
/* The folder with all that lead to it; one that another takes away meanwhile is made again. */
enum mio_code mio_fs_mkdirs(const char *path, mode_t mode, struct mio_err *err);
/* Removes a tree below `path` without following symlinks; absent is fine. */
enum mio_code mio_fs_remove_tree(const char *path, struct mio_err *err);
/* Copies a regular file or a tree of regular files, folders and symlinks; folders are made. */
enum mio_code mio_fs_copy_tree(const char *from, const char *to, struct mio_err *err);
bool mio_fs_exists(const char *path);
bool mio_fs_is_dir(const char *path);
/* Entries but . and .., sorted by byte order, in the arena. Errors: MIO_IO. */
enum mio_code mio_fs_list(struct mio_arena *a, const char *path, struct mio_str **names, size_t *n,
                          struct mio_err *err);
/* dir + "/" + name unless name is absolute; lexically cleaned of "." and ".." */
struct mio_str mio_path_join(struct mio_arena *a, struct mio_str dir, struct mio_str name);
/* The way from the folder `from` to `path`, both absolute and clean; with "../" where need be. */
struct mio_str mio_path_relative(struct mio_arena *a, struct mio_str from, struct mio_str path);
struct mio_str mio_path_dir(struct mio_str path);
struct mio_str mio_path_base(struct mio_str path);
