/* providers/environment/oci.c: OCI image configuration, manifest and layout. */
#include "providers/environment/base_image.h"
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

static struct mio_value at(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
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

/* Whether a declared variable takes the place of NAME=VALUE of the image. */
static bool overridden(const struct mio_value *env, struct mio_str pair)
{
    ptrdiff_t eq = mio_str_find(pair, '=');
    return env && mio_get(*env, mio_str_sub(pair, 0, eq < 0 ? pair.n : (size_t)eq));
}

/* Those of the image below come first, its PATH in front. */
static struct mio_value variables(struct mio_arena *a, const struct mio_env_lock *lock,
                                  struct mio_value was)
{
    const struct mio_value *env = mio_get_z(lock->config, "env");
    uint32_t n = env && env->type == MIO_MAP ? env->n : 0;
    uint32_t below = was.type == MIO_LIST ? was.n : 0;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, below + n + 1u);
    size_t k = 0;
    struct mio_str path = MIO_STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                   conda = mio_get_z(lock->config, "conda")
                               ? mio_arena_printf(
                                     a, "/%.*s/bin:", MIO_FMT(mio_env_conda_prefix(lock->config)))
                               : MIO_STR("");
    for (uint32_t i = 0; i < below; i++) {
        struct mio_str pair = mio_value_str(was.items[i]);
        if (mio_str_starts(pair, "PATH="))
            path = mio_str_sub(pair, 5, pair.n);
    }
    items[k++] = mio_string(mio_arena_printf(a, "PATH=%.*s%.*s", MIO_FMT(conda), MIO_FMT(path)));
    for (uint32_t i = 0; i < below; i++)
        if (!mio_str_starts(mio_value_str(was.items[i]), "PATH=") &&
            !overridden(env, mio_value_str(was.items[i])))
            items[k++] = was.items[i];
    for (uint32_t i = 0; i < n; i++)
        items[k++] = mio_string(mio_arena_printf(a, "%.*s=%.*s", MIO_FMT(env->pairs[i].key),
                                                 MIO_FMT(mio_value_str(env->pairs[i].value))));
    return mio_list(items, k);
}

struct mio_value mio_env_run_of(const struct mio_env_lock *lock)
{
    struct mio_value run = at(mio_env_below(lock), "run");
    return run.type == MIO_MAP ? run : mio_map(NULL, 0);
}

struct mio_value mio_env_variables(struct mio_arena *a, const struct mio_env_lock *lock)
{
    return variables(a, lock, at(mio_env_run_of(lock), "Env"));
}

/* `base`: of the image below, whose entry point, volumes and the like stay. */
static struct mio_value run_config(struct mio_arena *a, const struct mio_env_lock *lock,
                                   struct mio_value base)
{
    struct pairs p = {.a = a}, labels = {.a = a}, ports = {.a = a};
    const struct mio_value *command = mio_get_z(lock->config, "command"),
                           *serve = mio_get_z(lock->config, "serve");
    struct mio_str workdir = mio_get_str(lock->config, "workdir"),
                   user = mio_get_str(lock->config, "user");
    put(&p, "Env", variables(a, lock, at(base, "Env")));
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
        put(&p, "ExposedPorts", mio_map_merge(a, at(base, "ExposedPorts"), done(&ports)));
    }
    put(&p, "Labels", mio_map_merge(a, at(base, "Labels"), done(&labels)));
    return mio_map_merge(a, base, done(&p));
}

static struct mio_value history(struct mio_arena *a, const struct mio_env_image *im,
                                struct mio_value below, const char *created)
{
    uint32_t n = below.type == MIO_LIST ? below.n : 0;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + im->n_layers + 1u), *start = items;
    for (uint32_t i = 0; i < n; i++)
        *items++ = below.items[i];
    for (size_t i = 0; i < im->n_layers; i++) {
        if (im->layers[i].type.n)
            continue;
        struct pairs p = {.a = a};
        put(&p, "created", mio_string_z(created));
        put(&p, "created_by",
            mio_string(mio_arena_printf(a, "mlops-iac: %.*s", MIO_FMT(im->layers[i].title))));
        *items++ = done(&p);
    }
    return mio_list(start, (size_t)(items - start));
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
                                    const struct mio_env_image *im, struct mio_value base)
{
    char *created = mio_arena_alloc(a, 24);
    mio_rfc3339(lock->epoch, created);
    struct pairs p = {.a = a}, rootfs = {.a = a};
    put(&rootfs, "type", mio_string_z("layers"));
    put(&rootfs, "diff_ids", diff_ids(a, im));
    put(&p, "architecture",
        mio_string(mio_is_null(base) ? lock->arch : mio_env_go_arch(lock->arch)));
    if (!mio_is_null(at(base, "variant")))
        put(&p, "variant", at(base, "variant"));
    put(&p, "os", mio_string_z("linux"));
    put(&p, "created", mio_string_z(created));
    put(&p, "config", run_config(a, lock, at(base, "config")));
    put(&p, "rootfs", done(&rootfs));
    put(&p, "history", history(a, im, at(base, "history"), created));
    return done(&p);
}

/* Manifest or configuration of the image below, byte for byte. */
static enum mio_code read_blob(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_value base, const char *key, struct mio_str *out,
                               struct mio_err *err)
{
    enum { MAX_TEXT = 8 << 20 };
    struct mio_str digest = mio_get_str(base, key);
    return mio_env_store_text(a, s, mio_str_sub(digest, 7, digest.n), MAX_TEXT, out, err);
}

static const char *layer_type(struct mio_arena *a, const struct mio_env_layer *l, bool gzip)
{
    return l->type.n ? mio_arena_z(a, l->type) : gzip ? TYPE_GZIP : TYPE_ZSTD;
}

/* A manifest says itself what it is; OCI's need not. */
const char *mio_env_manifest_type(struct mio_arena *a, struct mio_str manifest)
{
    struct mio_value v;
    struct mio_err ignored = {0};
    struct mio_str type = mio_json_read(a, manifest, NULL, &v, &ignored)
                              ? (struct mio_str){0}
                              : mio_get_str(v, "mediaType");
    return type.n ? mio_arena_z(a, type) : TYPE_MANIFEST;
}

enum mio_code mio_env_oci_describe(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, struct mio_env_image *im,
                                   struct mio_err *err)
{
    struct mio_value *layers = MIO_NEW_N(a, struct mio_value, im->n_layers + 1);
    struct mio_str check = {0};
    bool gzip = is_gzip(lock);
    struct mio_value base = mio_null();
    if (!mio_is_null(im->base) && mio_env_base_config(a, s, im->base, &base, err))
        return err->code;
    im->config = text_of(a, make_config(a, lock, im, base));
    if (mio_env_base_alone(lock) && read_blob(a, s, im->base, "config", &im->config, err))
        return err->code;
    for (size_t i = 0; i < im->n_layers; i++)
        layers[i] = descriptor(a, layer_type(a, &im->layers[i], gzip), im->layers[i].sums.packed,
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
    if (mio_env_base_alone(lock) && read_blob(a, s, im->base, "manifest", &im->manifest, err))
        return err->code;
    put(&seal, "builder", mio_number_i64(a, MIO_ENV_BUILDER));
    put(&seal, "config", sha(a, (im->config_digest)));
    put(&seal, "diff_ids", diff_ids(a, im));
    put(&seal, "encoder", mio_string(check));
    if (mio_env_store_put(a, s, im->manifest, &im->manifest_digest, err))
        return err->code;
    put(&seal, "manifest", sha(a, im->manifest_digest));
    if (!mio_is_null(lock->build)) {
        put(&seal, "built", im->base);
        put(&seal, "proven", mio_bool(false)); /* until env verify has built it again */
    }
    im->sealed = done(&seal);
    return MIO_OK;
}

static enum mio_code put_blob(struct mio_arena *a, const struct mio_env_store *s, const char *root,
                              struct mio_str hex, bool lent, struct mio_err *err)
{
    const char *to = mio_arena_printf(a, "%s/blobs/sha256/%.*s", root, MIO_FMT(hex)).p;
    if (mio_fs_exists(to)) /* two layers may be the same */
        return MIO_OK;
    if (lent && (mio_env_store_sound(a, s, hex, err) || !link(mio_env_store_blob(a, s, hex), to)))
        return err->code;
    return mio_env_store_give(a, s, hex, to, err);
}

static enum mio_code fill_layout(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_oci *image, const char *root,
                                 struct mio_err *err)
{
    struct pairs index = {.a = a}, marks = {.a = a};
    struct mio_value entry = descriptor(a, mio_env_manifest_type(a, image->manifest),
                                        image->manifest_digest, image->manifest.n);
    struct mio_value *entries = MIO_NEW(a, struct mio_value);
    put(&marks, "org.opencontainers.image.ref.name", mio_string(image->name));
    entries[0] = mio_map_with(a, entry, MIO_STR("annotations"), done(&marks));
    put(&index, "schemaVersion", mio_number_i64(a, 2));
    put(&index, "mediaType", mio_string_z(TYPE_INDEX));
    put(&index, "manifests", mio_list(entries, 1));
    if (mio_fs_mkdirs(mio_arena_printf(a, "%s/blobs/sha256", root).p, 0755, err) ||
        put_blob(a, s, root, image->manifest_digest, image->lent, err))
        return err->code;
    for (size_t i = 0; i < image->n_blobs; i++)
        if (put_blob(a, s, root, image->blobs[i], image->lent, err))
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
    struct mio_env_oci image = {mio_env_file_name(a, lock->name),
                                im->manifest,
                                im->manifest_digest,
                                blobs,
                                im->n_layers + 1,
                                false};
    return mio_env_oci_write(a, s, &image, path, err);
}
