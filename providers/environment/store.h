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
/* Removes a blob that is not what its name says, and makes that the error, in place of what its use
 * led to. Nothing where it is sound. */
enum mio_code mio_env_store_doubt(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_str hex, struct mio_err *err);
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
