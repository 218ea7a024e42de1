/* providers/environment/store.h: the builder's folder of content.
 *
 *   blobs/sha256/HEX   inputs and image blobs by digest: read-only, complete or absent
 *   cells/KEY.*        one package turned into a tar fragment, see cell.h
 *   indices/KEY-*      a package index as libsolv holds it, see solv.h
 *   layers/KEY         what a list of cells gave
 *   roots/             root file systems of `env run`, by identity
 *   tmp/               work in progress; renamed into place when whole
 *
 * Two builds may share it: every entry is made under tmp/ and renamed, and equal names hold equal
 * bytes. Whoever uses it holds a lock on tmp/ to its end; one that finds nobody else there removes
 * what killed builds left. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

struct mio_env_store {
    const char *root;
};
/* Makes the folders. `path` NULL: MLOPS_IAC_ENV_STORE, else XDG_CACHE_HOME/mlops-iac/env, else
 * ~/.cache/mlops-iac/env, the home being the user's own where HOME says none. Errors: MIO_USAGE (a
 * folder with other things in it, no home), MIO_IO. */
enum mio_code mio_env_store_open(struct mio_arena *a, const char *path, struct mio_env_store *out,
                                 struct mio_err *err);
/* Path of a blob, there or not. */
const char *mio_env_store_blob(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_str hex);
/* Whether the store has a blob, of that size unless it is 0: what a power cut left is none. */
bool mio_env_store_has(struct mio_arena *a, const struct mio_env_store *s, struct mio_str hex,
                       uint64_t size);
/* Reads a blob before it is used: one that is not what its name says is removed. Errors: MIO_IO. */
enum mio_code mio_env_store_sound(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_str hex, struct mio_err *err);
/* A blob that is a text of up to `max` bytes, compared with its digest. Errors: as above. */
enum mio_code mio_env_store_text(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_str hex, size_t max, struct mio_str *out,
                                 struct mio_err *err);
/* A blob for others, at `to` (O_EXCL): a copy of its own (or a clone, where the file system has
 * them) whose digest was compared, so that nobody's edit gets into the store. Errors: MIO_IO. */
enum mio_code mio_env_store_give(struct mio_arena *a, const struct mio_env_store *s,
                                 struct mio_str hex, const char *to, struct mio_err *err);
/* Whether a file of the store holds the bytes of that SHA-256. *stamp is what stat said of it when
 * they were last looked at: nobody wrote to it since, if it says the same; else it is read anew,
 * and *stamp becomes what stat says now. An empty stamp asks for that. */
bool mio_env_unchanged(struct mio_arena *a, const char *path, struct mio_str sha256,
                       struct mio_str *stamp);
/* What stat says of a file now, as one word; empty where it is not there. */
struct mio_str mio_env_stamp(struct mio_arena *a, const char *path);
/* A name beside `path` for what is made there, free of what killed processes left under such names.
 */
const char *mio_env_partial(struct mio_arena *a, const char *path);
/* A fresh name under tmp/. Any thread. */
const char *mio_env_store_tmp(struct mio_arena *a, const struct mio_env_store *s);
/* Puts bytes in as a blob and tells their digest. */
enum mio_code mio_env_store_put(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str bytes, struct mio_str *hex, struct mio_err *err);
/* SHA-256 (hex, in the arena) and size of a file, streamed. Errors: MIO_IO. */
enum mio_code mio_env_file_sha256(struct mio_arena *a, const char *path, struct mio_str *hex,
                                  uint64_t *size, struct mio_err *err);
/* SHA-256 of text, as hex in the arena. */
struct mio_str mio_env_sha256(struct mio_arena *a, struct mio_str text);
