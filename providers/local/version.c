/* providers/local/version.c: which versions of an asset there are, and what names them. */
#include "providers/local/asset.h"

#include <unistd.h>

#include "providers/sdk/alloc.h"

static const char *name_dir(struct local *l, const struct local_version *v)
{
    return local_path(l, "workspaces/%.*s/assets/%.*s/%.*s", MIO_FMT(v->ws), MIO_FMT(v->kind),
                      MIO_FMT(v->name));
}

const char *local_version_dir(struct local *l, const struct local_version *v)
{
    return local_path(l, "workspaces/%.*s/assets/%.*s/%.*s/%.*s", MIO_FMT(v->ws), MIO_FMT(v->kind),
                      MIO_FMT(v->name), MIO_FMT(v->version));
}

const char *local_version_record(struct local *l, const struct local_version *v)
{
    return mio_arena_printf(l->a, "%s/asset.json", local_version_dir(l, v)).p;
}

struct mio_str local_version_id(struct local *l, const struct local_version *v)
{
    return mio_arena_printf(l->a, "%.*s/%.*s:%.*s", MIO_FMT(v->ws), MIO_FMT(v->name),
                            MIO_FMT(v->version));
}

enum mio_code local_version_parse(struct local *l, const char *kind, struct mio_str id,
                                  struct local_version *out, struct mio_err *err)
{
    struct mio_str ws, rest;
    (void)l;
    ptrdiff_t colon = -1;
    if (local_id_split(id, &ws, &rest))
        colon = mio_str_find(rest, ':');
    struct mio_str name = colon > 0 ? mio_str_sub(rest, 0, (size_t)colon) : (struct mio_str){0};
    struct mio_str version = colon > 0 ? mio_str_sub(rest, (size_t)colon + 1, rest.n) : name;
    if (local_name_ok(ws) && local_name_ok(name) && local_name_ok(version)) {
        *out = (struct local_version){ws, mio_str_z(kind), name, version};
        return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" names no %s", MIO_FMT(id), kind);
    return mio_err_hint(err, "Write WORKSPACE/NAME:VERSION, such as taxi/trips:1.");
}

static int by_number(const void *a, const void *b)
{
    const struct mio_str *x = a, *y = b;
    return mio_str_natcmp(*x, *y);
}

enum mio_code local_version_all(struct local *l, const struct local_version *v,
                                struct mio_str **out, size_t *n, struct mio_err *err)
{
    const char *dir = name_dir(l, v);
    struct mio_str *names = NULL;
    size_t all = 0, kept = 0;
    if (local_names(l, dir, &names, &all, err))
        return err->code;
    for (size_t i = 0; i < all; i++)
        if (local_name_ok(names[i])) /* staging folders begin with a dot */
            names[kept++] = names[i];
    if (kept)
        qsort(names, kept, sizeof *names, by_number);
    *out = names;
    *n = kept;
    return MIO_OK;
}

enum mio_code local_version_next(struct local *l, const struct local_version *v,
                                 struct mio_str *out, struct mio_err *err)
{
    struct mio_str *all;
    size_t n;
    uint64_t highest = 0, number;
    if (local_version_all(l, v, &all, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (mio_str_u64(all[i], &number) && number > highest)
            highest = number;
    *out = mio_arena_printf(l->a, "%ju", (uintmax_t)highest + 1);
    return MIO_OK;
}

enum mio_code local_version_by_key(struct local *l, struct local_version *v, bool *found,
                                   struct mio_err *err)
{
    struct mio_str *all, key = mio_str_z(l->c->idempotency_key);
    size_t n;
    *found = false;
    if (!key.n)
        return MIO_OK;
    if (local_version_all(l, v, &all, &n, err))
        return err->code;
    for (size_t i = n; i-- > 0 && !*found;) {
        struct local_version one = {v->ws, v->kind, v->name, all[i]};
        struct mio_value record;
        bool there;
        if (local_record_read(l, local_version_record(l, &one), &record, &there, err))
            return err->code;
        if (there && mio_str_eq(mio_get_str(record, "key"), key)) {
            *v = one;
            *found = true;
        }
    }
    return MIO_OK;
}

enum mio_code local_version_lock(struct local *l, struct mio_str ws, int *fd, struct mio_err *err)
{
    return local_lock(l, local_path(l, "workspaces/%.*s/run/assets.lock", MIO_FMT(ws)), fd, err);
}

/* The content goes first and the record last, so that a remove that was killed can be sent again.
 */
static enum mio_code remove_one(struct local *l, const struct local_version *v, struct mio_err *err)
{
    const char *dir = local_version_dir(l, v);
    if (local_store_drop(l, v->ws, mio_arena_printf(l->a, "%s/content", dir).p, err))
        return err->code;
    return local_remove(l, dir, "asset.json", err);
}

/* Removes the folders above the versions when no version is in them any more. */
static enum mio_code prune(struct local *l, const struct local_version *v, struct mio_err *err)
{
    struct mio_str *left;
    size_t n;
    if (local_version_all(l, v, &left, &n, err) || (!n && mio_fs_remove_tree(name_dir(l, v), err)))
        return err->code;
    rmdir(local_path(l, "workspaces/%.*s/assets/%.*s", MIO_FMT(v->ws), MIO_FMT(v->kind)));
    return MIO_OK;
}

enum mio_code local_version_abandon(struct local *l, const struct local_version *v,
                                    struct mio_err *err)
{
    return remove_one(l, v, err) ? err->code : prune(l, v, err);
}

enum mio_code local_version_remove(struct local *l, const struct local_version *v,
                                   struct mio_err *err)
{
    struct local_version one = *v, *chain = NULL;
    size_t n = 0, cap = 0;
    while (one.version.n) {
        struct mio_value record = mio_null();
        bool found;
        if (local_record_read(l, local_version_record(l, &one), &record, &found, err))
            return err->code;
        MIO_PUSH(l->a, chain, n, cap) = one;
        one.version = found ? mio_get_str(record, "supersedes") : (struct mio_str){0};
    }
    while (n > 0) /* oldest first: a remove that was killed still finds the rest from the newest */
        if (remove_one(l, &chain[--n], err))
            return err->code;
    return prune(l, v, err);
}

/* ---- references ---- */

static enum mio_code unknown_asset(struct local *l, const struct local_version *v,
                                   struct mio_err *err)
{
    struct mio_str *all;
    size_t n;
    if (local_version_all(l, v, &all, &n, err))
        return err->code;
    if (!n) {
        mio_fail(err, MIO_REALITY, "workspace %.*s has no %.*s named \"%.*s\"", MIO_FMT(v->ws),
                 MIO_FMT(v->kind), MIO_FMT(v->name));
        return mio_err_hint(err,
                            "Declare it, and refer to it with ${%.*s.NAME.id}, so that it is made "
                            "first.",
                            MIO_FMT(v->kind));
    }
    mio_fail(err, MIO_REALITY, "%.*s \"%.*s\" has no version \"%.*s\"", MIO_FMT(v->kind),
             MIO_FMT(v->name), MIO_FMT(v->version));
    return mio_err_hint(err, "The newest version is %.*s.", MIO_FMT(all[n - 1]));
}

/* Splits NAME, NAME:VERSION, NAME@latest; an empty version means the latest. */
static void split_ref(struct mio_str ref, struct local_version *v)
{
    ptrdiff_t colon = mio_str_find(ref, ':'), at = mio_str_find(ref, '@');
    v->version = (struct mio_str){0};
    v->name = ref;
    if (colon >= 0) {
        v->name = mio_str_sub(ref, 0, (size_t)colon);
        v->version = mio_str_sub(ref, (size_t)colon + 1, ref.n);
    } else if (at >= 0 && mio_str_is(mio_str_sub(ref, (size_t)at, ref.n), "@latest")) {
        v->name = mio_str_sub(ref, 0, (size_t)at);
    }
}

enum mio_code local_asset_resolve(struct local *l, struct mio_str ws, const char *kind,
                                  struct mio_str ref, struct local_asset *out, struct mio_err *err)
{
    struct local_version v = {.ws = ws, .kind = mio_str_z(kind)};
    struct mio_str in = ws, rest = ref, *all;
    size_t n;
    if (!local_id_split(ref, &in, &rest))
        rest = local_ref_name(ref);
    v.ws = in;
    split_ref(rest, &v);
    if (local_name_check(v.ws, "a workspace", err) || local_name_check(v.name, "an asset", err) ||
        (v.version.n && local_name_check(v.version, "a version", err)))
        return err->code;
    if (!v.version.n) {
        if (local_version_all(l, &v, &all, &n, err))
            return err->code;
        v.version = n ? all[n - 1] : MIO_STR("latest");
    }
    struct mio_value record;
    bool found;
    if (local_record_read(l, local_version_record(l, &v), &record, &found, err))
        return err->code;
    if (!found)
        return unknown_asset(l, &v, err);
    struct mio_str entry = mio_get_str(record, "entry");
    const char *dir = local_version_dir(l, &v);
    *out = (struct local_asset){
        .ws = v.ws,
        .kind = v.kind,
        .name = v.name,
        .version = v.version,
        .dir = dir,
        .record = record,
        .path = entry.n ? mio_arena_printf(l->a, "%s/content/%.*s", dir, MIO_FMT(entry)).p : "",
    };
    return MIO_OK;
}
