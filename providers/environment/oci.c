/* providers/environment/oci.c: OCI image configuration, manifest and layout. */
#include "providers/environment/build.h"
#include "providers/environment/conda.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <unistd.h>

#define TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define TYPE_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define TYPE_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"

struct pairs {
    struct mio_arena *a;
    struct mio_pair *items;
    size_t n, cap;
};

static void put(struct pairs *p, const char *key, struct mio_value v)
{
    MIO_PUSH(p->a, p->items, p->n, p->cap) = (struct mio_pair){mio_str_z(key), v};
}

static struct mio_value done(const struct pairs *p)
{
    return mio_map(p->items, p->n);
}

static struct mio_value sha(struct mio_arena *a, struct mio_str hex)
{
    return mio_string(mio_arena_printf(a, "sha256:%.*s", MIO_FMT(hex)));
}

static struct mio_str text_of(struct mio_arena *a, struct mio_value v)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, v, MIO_JSON_PLAIN);
    return mio_arena_str(a, mio_buf_view(&b));
}

static bool is_gzip(const struct mio_env_lock *lock)
{
    const struct mio_value *layers = mio_get_z(lock->config, "layers");
    return layers && mio_str_is(mio_get_str(*layers, "compression"), "gzip");
}

static struct mio_value variables(struct mio_arena *a, const struct mio_env_lock *lock)
{
    const struct mio_value *env = mio_get_z(lock->config, "env");
    uint32_t n = env && env->type == MIO_MAP ? env->n : 0;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + 1u);
    struct mio_str conda =
        mio_get_z(lock->config, "conda")
            ? mio_arena_printf(a, "/%.*s/bin:", MIO_FMT(mio_env_conda_prefix(lock->config)))
            : MIO_STR("");
    items[0] = mio_string(
        mio_arena_printf(a, "PATH=%.*s/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         MIO_FMT(conda)));
    for (uint32_t i = 0; i < n; i++)
        items[i + 1] = mio_string(mio_arena_printf(a, "%.*s=%.*s", MIO_FMT(env->pairs[i].key),
                                                   MIO_FMT(mio_value_str(env->pairs[i].value))));
    return mio_list(items, n + 1u);
}

static struct mio_value run_config(struct mio_arena *a, const struct mio_env_lock *lock)
{
    struct pairs p = {.a = a}, labels = {.a = a}, ports = {.a = a};
    const struct mio_value *command = mio_get_z(lock->config, "command"),
                           *serve = mio_get_z(lock->config, "serve");
    struct mio_str workdir = mio_get_str(lock->config, "workdir"),
                   user = mio_get_str(lock->config, "user");
    put(&p, "Env", variables(a, lock));
    if (command && !mio_is_null(*command))
        put(&p, "Cmd", *command);
    if (user.n)
        put(&p, "User", mio_string(user));
    if (workdir.n)
        put(&p, "WorkingDir", mio_string(workdir));
    put(&labels, "org.mlops-iac.environment", mio_string(lock->name));
    put(&labels, "org.mlops-iac.inputs", mio_string(lock->inputs));
    if (serve && serve->type == MIO_MAP) {
        put(&labels, "org.mlops-iac.serve", mio_string(text_of(a, *serve)));
        for (uint32_t i = 0; i < serve->n; i++) {
            int64_t port = mio_get_i64(serve->pairs[i].value, "port", 0);
            if (port)
                put(&ports, mio_arena_printf(a, "%lld/tcp", (long long)port).p, mio_map(NULL, 0));
        }
        put(&p, "ExposedPorts", done(&ports));
    }
    put(&p, "Labels", done(&labels));
    return done(&p);
}

static struct mio_value history(struct mio_arena *a, const struct mio_env_image *im,
                                const char *created)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, im->n_layers + 1);
    for (size_t i = 0; i < im->n_layers; i++) {
        struct pairs p = {.a = a};
        put(&p, "created", mio_string_z(created));
        put(&p, "created_by",
            mio_string(mio_arena_printf(a, "mlops-iac: %.*s", MIO_FMT(im->layers[i].title))));
        items[i] = done(&p);
    }
    return mio_list(items, im->n_layers);
}

static struct mio_value diff_ids(struct mio_arena *a, const struct mio_env_image *im)
{
    struct mio_value *ids = MIO_NEW_N(a, struct mio_value, im->n_layers + 1);
    for (size_t i = 0; i < im->n_layers; i++)
        ids[i] = sha(a, im->layers[i].sums.plain);
    return mio_list(ids, im->n_layers);
}

static struct mio_value descriptor(struct mio_arena *a, const char *type, struct mio_str hex,
                                   uint64_t size)
{
    struct pairs p = {.a = a};
    put(&p, "mediaType", mio_string_z(type));
    put(&p, "digest", sha(a, hex));
    put(&p, "size", mio_number_i64(a, (int64_t)size));
    return done(&p);
}

static struct mio_value make_config(struct mio_arena *a, const struct mio_env_lock *lock,
                                    const struct mio_env_image *im)
{
    char *created = mio_arena_alloc(a, 24);
    mio_rfc3339(lock->epoch, created);
    struct pairs p = {.a = a}, rootfs = {.a = a};
    put(&rootfs, "type", mio_string_z("layers"));
    put(&rootfs, "diff_ids", diff_ids(a, im));
    put(&p, "architecture", mio_string(lock->arch));
    put(&p, "os", mio_string_z("linux"));
    put(&p, "created", mio_string_z(created));
    put(&p, "config", run_config(a, lock));
    put(&p, "rootfs", done(&rootfs));
    put(&p, "history", history(a, im, created));
    return done(&p);
}

enum mio_code mio_env_oci_describe(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, struct mio_env_image *im,
                                   struct mio_err *err)
{
    struct mio_value *layers = MIO_NEW_N(a, struct mio_value, im->n_layers + 1);
    struct mio_str check = {0};
    bool gzip = is_gzip(lock);
    im->config = text_of(a, make_config(a, lock, im));
    for (size_t i = 0; i < im->n_layers; i++)
        layers[i] = descriptor(a, gzip ? TYPE_GZIP : TYPE_ZSTD, im->layers[i].sums.packed,
                               im->layers[i].sums.packed_size);
    if (mio_env_store_put(a, s, im->config, &im->config_digest, err) ||
        mio_env_codec_check(a, s, gzip ? MIO_CODEC_GZIP : MIO_CODEC_ZSTD, &check, err))
        return err->code;
    struct pairs m = {.a = a}, seal = {.a = a};
    put(&m, "schemaVersion", mio_number_i64(a, 2));
    put(&m, "mediaType", mio_string_z(TYPE_MANIFEST));
    put(&m, "config", descriptor(a, TYPE_CONFIG, im->config_digest, im->config.n));
    put(&m, "layers", mio_list(layers, im->n_layers));
    im->manifest = text_of(a, done(&m));
    put(&seal, "builder", mio_number_i64(a, MIO_ENV_BUILDER));
    put(&seal, "config", sha(a, (im->config_digest)));
    put(&seal, "diff_ids", diff_ids(a, im));
    put(&seal, "encoder", mio_string(check));
    if (mio_env_store_put(a, s, im->manifest, &im->manifest_digest, err))
        return err->code;
    put(&seal, "manifest", sha(a, im->manifest_digest));
    im->sealed = done(&seal);
    return MIO_OK;
}

static enum mio_code put_blob(struct mio_arena *a, const struct mio_env_store *s, const char *root,
                              struct mio_str hex, struct mio_err *err)
{
    const char *to = mio_arena_printf(a, "%s/blobs/sha256/%.*s", root, MIO_FMT(hex)).p;
    const char *from = mio_env_store_blob(a, s, hex);
    if (mio_fs_exists(to) || !link(from, to))
        return MIO_OK;
    return mio_fs_copy_tree(from, to, err);
}

static enum mio_code fill_layout(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_oci *image, const char *root,
                                 struct mio_err *err)
{
    struct pairs index = {.a = a}, marks = {.a = a};
    struct mio_value entry =
        descriptor(a, TYPE_MANIFEST, image->manifest_digest, image->manifest.n);
    struct mio_value *entries = MIO_NEW(a, struct mio_value);
    put(&marks, "org.opencontainers.image.ref.name", mio_string(image->name));
    entries[0] = mio_map_with(a, entry, MIO_STR("annotations"), done(&marks));
    put(&index, "schemaVersion", mio_number_i64(a, 2));
    put(&index, "mediaType", mio_string_z(TYPE_INDEX));
    put(&index, "manifests", mio_list(entries, 1));
    if (mio_fs_mkdirs(mio_arena_printf(a, "%s/blobs/sha256", root).p, 0755, err) ||
        put_blob(a, s, root, image->manifest_digest, err))
        return err->code;
    for (size_t i = 0; i < image->n_blobs; i++)
        if (put_blob(a, s, root, image->blobs[i], err))
            return err->code;
    if (mio_fs_replace(mio_arena_printf(a, "%s/oci-layout", root).p,
                       MIO_STR("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, err))
        return err->code;
    return mio_fs_replace(mio_arena_printf(a, "%s/index.json", root).p, text_of(a, done(&index)),
                          0644, err);
}

enum mio_code mio_env_oci_write(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_oci *image, const char *path,
                                struct mio_err *err)
{
    if (mio_fs_exists(path)) {
        mio_fail(err, MIO_USAGE, "%s exists", path);
        return mio_err_hint(err, "remove it, or name another folder");
    }
    const char *tmp = mio_env_partial(a, path);
    enum mio_code code = fill_layout(a, s, image, tmp, err);
    if (!code && rename(tmp, path))
        code = mio_fail_sys(err, errno, "cannot rename %s to %s", tmp, path);
    if (code) {
        struct mio_err ignored = {0};
        mio_fs_remove_tree(tmp, &ignored);
    }
    return code;
}

enum mio_code mio_env_oci_layout(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const struct mio_env_image *im,
                                 const char *path, struct mio_err *err)
{
    struct mio_str *blobs = MIO_NEW_N(a, struct mio_str, im->n_layers + 1);
    for (size_t i = 0; i < im->n_layers; i++)
        blobs[i] = im->layers[i].sums.packed;
    blobs[im->n_layers] = im->config_digest;
    struct mio_env_oci image = {mio_env_file_name(a, lock->name), im->manifest, im->manifest_digest,
                                blobs, im->n_layers + 1};
    return mio_env_oci_write(a, s, &image, path, err);
}
