/* providers/local/asset.h: named, versioned, immutable things of a workspace, and their verbs.
 *
 * A version is a folder: asset.json, and content/ whose files are hard links into the store. It
 * appears by one rename, so a version is there whole or not at all. Changed content makes a new
 * version that remembers the one it supersedes; removing the object removes the whole chain. */
#pragma once
#include "providers/local/local.h"

/* The verbs of a kind whose assets hold a file or a folder; `kind` is its name. */
enum mio_code local_asset_plan(struct local *l, const char *kind, const struct local_change *ch,
                               struct mio_value *answer, struct mio_err *err);
enum mio_code local_asset_create(struct local *l, const char *kind, const struct local_change *ch,
                                 struct local_object *out, struct mio_err *err);
enum mio_code local_asset_update(struct local *l, const char *kind, const struct local_change *ch,
                                 struct local_object *out, struct mio_err *err);
enum mio_code local_asset_remove(struct local *l, const char *kind, const struct local_change *ch,
                                 struct mio_err *err);
enum mio_code local_asset_read(struct local *l, const char *kind, const struct local_read *r,
                               struct local_object *out, struct mio_err *err);
enum mio_code local_asset_list(struct local *l, const char *kind, struct mio_str ws,
                               struct local_findings *rows, struct mio_err *err);
/* type and path agree, where the path can be looked at. */
void local_asset_validate(struct local *l, const struct local_change *ch, struct local_findings *f);

/* Defines `local_KIND` with the verbs above; a kind file is this line and its own checks. */
#define LOCAL_ASSET_KIND(kind, check)                                                  \
    static enum mio_code kind##_plan(struct local *l, const struct local_change *ch,   \
                                     struct mio_value *answer, struct mio_err *err)    \
    {                                                                                  \
        return local_asset_plan(l, #kind, ch, answer, err);                            \
    }                                                                                  \
    static enum mio_code kind##_create(struct local *l, const struct local_change *ch, \
                                       struct local_object *out, struct mio_err *err)  \
    {                                                                                  \
        return local_asset_create(l, #kind, ch, out, err);                             \
    }                                                                                  \
    static enum mio_code kind##_update(struct local *l, const struct local_change *ch, \
                                       struct local_object *out, struct mio_err *err)  \
    {                                                                                  \
        return local_asset_update(l, #kind, ch, out, err);                             \
    }                                                                                  \
    static enum mio_code kind##_remove(struct local *l, const struct local_change *ch, \
                                       struct mio_err *err)                            \
    {                                                                                  \
        return local_asset_remove(l, #kind, ch, err);                                  \
    }                                                                                  \
    static enum mio_code kind##_read(struct local *l, const struct local_read *r,      \
                                     struct local_object *out, struct mio_err *err)    \
    {                                                                                  \
        return local_asset_read(l, #kind, r, out, err);                                \
    }                                                                                  \
    static enum mio_code kind##_list(struct local *l, struct mio_str ws,               \
                                     struct local_findings *rows, struct mio_err *err) \
    {                                                                                  \
        return local_asset_list(l, #kind, ws, rows, err);                              \
    }                                                                                  \
    const struct local_kind local_##kind = {                                           \
        .name = #kind,                                                                 \
        .id = "WORKSPACE/NAME:VERSION",                                                \
        .validate = (check),                                                           \
        .plan = kind##_plan,                                                           \
        .create = kind##_create,                                                       \
        .update = kind##_update,                                                       \
        .remove = kind##_remove,                                                       \
        .read = kind##_read,                                                           \
        .list = kind##_list,                                                           \
    }

/* ---- versions, for kinds with verbs of their own (version.c) ---- */

struct local_version {
    struct mio_str ws, kind, name, version;
};
/* From an id "WS/NAME:VERSION". Errors: MIO_PROVIDER. */
enum mio_code local_version_parse(struct local *l, const char *kind, struct mio_str id,
                                  struct local_version *out, struct mio_err *err);
struct mio_str local_version_id(struct local *l, const struct local_version *v);
/* assets/KIND/NAME/VERSION as an absolute path. */
const char *local_version_dir(struct local *l, const struct local_version *v);
const char *local_version_record(struct local *l, const struct local_version *v);
/* The versions there are, oldest (lowest) first. */
enum mio_code local_version_all(struct local *l, const struct local_version *v,
                                struct mio_str **out, size_t *n, struct mio_err *err);
/* The next whole number above every version there is. */
enum mio_code local_version_next(struct local *l, const struct local_version *v,
                                 struct mio_str *out, struct mio_err *err);
/* The version whose record bears the idempotency key of this call; *found says whether there is
 * one. */
enum mio_code local_version_by_key(struct local *l, struct local_version *v, bool *found,
                                   struct mio_err *err);
/* Lock that guards versions and store of a workspace. */
enum mio_code local_version_lock(struct local *l, struct mio_str ws, int *fd, struct mio_err *err);
/* Removes this version alone: one that never came to be. */
enum mio_code local_version_abandon(struct local *l, const struct local_version *v,
                                    struct mio_err *err);
/* Removes the version and everything it supersedes, and what of the store nobody uses any more. */
enum mio_code local_version_remove(struct local *l, const struct local_version *v,
                                   struct mio_err *err);

/* ---- the store (store.c) ---- */

/* Copies a file or folder into the store of `ws` and links it below `content` under its base name.
 * An altered blob found on the way is replaced by the good content. *digest is as mio_digest_path
 * gives it. The caller holds local_version_lock. A failure leaves a partial `content` and its list
 * of blobs: local_store_drop clears both. */
enum mio_code local_store_ingest(struct local *l, struct mio_str ws, const char *source,
                                 const char *content, struct mio_str *digest, struct mio_err *err);
/* Removes a content folder and every blob that no other asset links to. */
enum mio_code local_store_drop(struct local *l, struct mio_str ws, const char *content,
                               struct mio_err *err);
/* Cheap listing of a tree (names, inodes, sizes, times): equal stamps mean untouched content. */
enum mio_code local_store_stamp(struct local *l, const char *path, struct mio_str *out,
                                struct mio_err *err);
