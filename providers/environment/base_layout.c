/* providers/environment/base_layout.c: images of an OCI layout on disk. */
#include "providers/environment/base_image.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <unistd.h>

enum { MAX_TEXT = 8 << 20 };

struct layout {
    struct mio_arena *a;
    const struct mio_env_store *s;
    const char *folder;
    struct mio_env_remote *out;
    struct mio_err *err;
};

static struct mio_value at(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
}

static enum mio_code no_layout(struct layout *l, const char *why)
{
    mio_fail(l->err, MIO_REALITY, "%s is no OCI layout: %s", l->folder, why);
    return mio_err_hint(l->err,
                        "a folder with index.json and blobs/sha256, as 'mlops-iac env build "
                        "-out=DIR' and 'skopeo copy ... oci:DIR:NAME' write it");
}

/* A blob into the store, with the digest that its name is. */
static enum mio_code take(struct layout *l, struct mio_str digest, struct mio_str *hex)
{
    struct mio_str is, name = mio_str_sub(digest, 7, digest.n);
    uint64_t size;
    if (!mio_str_starts(digest, "sha256:") || name.n != 64 || mio_str_find(name, '/') >= 0)
        return no_layout(l, "a digest is malformed");
    *hex = name;
    MIO_PUSH(l->a, l->out->blobs, l->out->n_blobs, l->out->cap_blobs) = name;
    const char *to = mio_env_store_blob(l->a, l->s, name), *tmp = mio_env_store_tmp(l->a, l->s),
               *from = mio_arena_printf(l->a, "%s/blobs/sha256/%.*s", l->folder, MIO_FMT(name)).p;
    if (mio_env_store_has(l->a, l->s, name, 0))
        return MIO_OK;
    if (!mio_fs_exists(from))
        return no_layout(l, mio_arena_printf(l->a, "it lacks %.*s", MIO_FMT(digest)).p);
    if (!mio_fs_copy_tree(from, tmp, l->err) &&
        !mio_env_file_sha256(l->a, tmp, &is, &size, l->err)) {
        if (!mio_str_eq(is, name))
            mio_fail(l->err, MIO_IO, "%s holds sha256:%.*s", from, MIO_FMT(is));
        else if (rename(tmp, to))
            mio_fail_sys(l->err, errno, "cannot move %s into the store", tmp);
    }
    if (l->err->code)
        unlink(tmp);
    return l->err->code;
}

static enum mio_code read_json(struct layout *l, const char *path, struct mio_str *text,
                               struct mio_value *out)
{
    if (mio_fs_read(l->a, path, MAX_TEXT, text, NULL, l->err) ||
        mio_json_read(l->a, *text, NULL, out, l->err))
        return mio_err_wrap(l->err, "%s", l->folder);
    return MIO_OK;
}

/* The manifest of that name or digest; without one the only one. */
static enum mio_code choose(struct layout *l, struct mio_value index, struct mio_str name,
                            struct mio_str *digest)
{
    struct mio_value list = at(index, "manifests");
    size_t found = 0;
    for (uint32_t i = 0; list.type == MIO_LIST && i < list.n; i++) {
        struct mio_str own = mio_get_str(list.items[i], "digest");
        struct mio_str tag =
            mio_get_str(at(list.items[i], "annotations"), "org.opencontainers.image.ref.name");
        if (name.n && !mio_str_eq(name, tag) && !mio_str_eq(name, own))
            continue;
        *digest = own;
        found++;
    }
    if (found == 1)
        return MIO_OK;
    mio_fail(l->err, MIO_REALITY, found ? "%s holds %zu images" : "%s holds no such image",
             l->folder, found);
    return mio_err_hint(l->err, "name one of them: oci:FOLDER:NAME");
}

enum mio_code mio_env_layout_read(struct mio_arena *a, const struct mio_env_store *s,
                                  const char *folder, struct mio_str name, struct mio_str arch,
                                  struct mio_env_remote *out, struct mio_err *err)
{
    struct layout l = {a, s, folder, out, err};
    struct mio_value manifest;
    struct mio_str text, hex, digest = name;
    const char *index = mio_arena_printf(a, "%s/index.json", folder).p;
    *out = (struct mio_env_remote){0};
    if (!mio_fs_exists(index))
        return no_layout(&l, "it has no index.json");
    if (!mio_str_starts(name, "sha256:") &&
        (read_json(&l, index, &text, &manifest) || choose(&l, manifest, name, &digest)))
        return err->code;
    for (int depth = 0; depth < 3; depth++) {
        if (take(&l, digest, &hex) ||
            read_json(&l, mio_env_store_blob(a, s, hex), &text, &manifest))
            return err->code;
        if (at(manifest, "manifests").type != MIO_LIST)
            break;
        if (mio_env_choose(a, manifest, arch, &digest, err))
            return err->code;
    }
    out->manifest = text;
    out->manifest_digest = hex;
    out->n_blobs = 0; /* as of a pull: configuration and layers */
    out->layers = at(manifest, "layers");
    if (take(&l, mio_get_str(at(manifest, "config"), "digest"), &out->config_digest) ||
        read_json(&l, mio_env_store_blob(a, s, out->config_digest), &text, &out->config))
        return err->code;
    out->diff_ids = at(at(out->config, "rootfs"), "diff_ids");
    for (uint32_t i = 0; out->layers.type == MIO_LIST && i < out->layers.n; i++)
        if (take(&l, mio_get_str(out->layers.items[i], "digest"), &hex))
            return err->code;
    out->found = true;
    return MIO_OK;
}
