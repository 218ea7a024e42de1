/* providers/environment/base_image.c: see base_image.h. */
#include "providers/environment/base_image.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>

#define LAYER "application/vnd.oci.image.layer.v1.tar"
#define DOCKER "application/vnd.docker."
#define CONFIG "application/vnd.oci.image.config.v1+json"
#define MANIFEST "application/vnd.oci.image.manifest.v1+json"
enum { MAX_CONFIG = 8 << 20, LAYER_FORMAT = 1 };

static struct mio_value at(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
}

static struct mio_str hex_of(struct mio_value v, const char *key)
{
    struct mio_str digest = mio_get_str(v, key);
    bool sound = digest.n == 71 && mio_str_starts(digest, "sha256:");
    for (size_t i = 7; sound && i < digest.n; i++)
        sound = strchr("0123456789abcdef", digest.p[i]) != NULL;
    return sound ? mio_str_sub(digest, 7, digest.n) : (struct mio_str){0};
}

static struct mio_value sha(struct mio_arena *a, struct mio_str hex)
{
    return mio_string(mio_arena_printf(a, "sha256:%.*s", MIO_FMT(hex)));
}

bool mio_env_base_sound(struct mio_value image)
{
    struct mio_value layers = at(image, "layers");
    if (mio_is_null(image))
        return true;
    if (!hex_of(image, "manifest").n || !hex_of(image, "config").n || layers.type != MIO_LIST)
        return false;
    for (uint32_t i = 0; i < layers.n; i++)
        if (!hex_of(layers.items[i], "digest").n || !hex_of(layers.items[i], "diff_id").n ||
            !mio_get_str(layers.items[i], "type").n || mio_get_i64(layers.items[i], "size", -1) < 0)
            return false;
    return true;
}

void mio_env_base_blobs(struct mio_arena *a, struct mio_value image, struct mio_str **out,
                        size_t *n)
{
    struct mio_value layers = at(image, "layers");
    struct mio_str *hex = MIO_NEW_N(a, struct mio_str, layers.n + 2u);
    *n = 0;
    hex[(*n)++] = hex_of(image, "manifest");
    hex[(*n)++] = hex_of(image, "config");
    for (uint32_t i = 0; i < layers.n; i++)
        hex[(*n)++] = hex_of(layers.items[i], "digest");
    *out = hex;
}

enum mio_code mio_env_base_config(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_value *out,
                                  struct mio_err *err)
{
    struct mio_str text;
    if (mio_env_store_text(a, s, hex_of(image, "config"), MAX_CONFIG, &text, err) ||
        mio_json_read(a, text, NULL, out, err))
        return mio_err_wrap(err, "the configuration of the image");
    return MIO_OK;
}

bool mio_env_base_alone(const struct mio_env_lock *lock)
{
    static const char *const added[] = {"env",  "files",  "workdir", "command",
                                        "user", "python", "conda",   "serve"};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        if (!mio_is_null(at(lock->config, added[i])))
            return false;
    return !mio_is_null(lock->image) || !mio_is_null(lock->build);
}

struct mio_value mio_env_below(const struct mio_env_lock *lock)
{
    return mio_is_null(lock->image) ? at(lock->sealed, "built") : lock->image;
}

enum mio_code mio_env_manifest_of(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_str *hex, struct mio_err *err)
{
    struct mio_value layers = at(image, "layers");
    struct mio_str config = mio_get_str(image, "config");
    struct stat st;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    if (stat(mio_env_store_blob(a, s, hex_of(image, "config")), &st))
        return mio_fail_sys(err, errno, "cannot look at the configuration of the image");
    mio_buf_printf(&b,
                   "{\"config\":{\"digest\":\"%.*s\",\"mediaType\":\"" CONFIG
                   "\",\"size\":%lld},\"layers\":[",
                   MIO_FMT(config), (long long)st.st_size);
    for (uint32_t i = 0; i < layers.n; i++)
        mio_buf_printf(&b, "%s{\"digest\":\"%.*s\",\"mediaType\":\"%.*s\",\"size\":%lld}",
                       i ? "," : "", MIO_FMT(mio_get_str(layers.items[i], "digest")),
                       MIO_FMT(mio_get_str(layers.items[i], "type")),
                       (long long)mio_get_i64(layers.items[i], "size", 0));
    mio_buf_z(&b, "],\"mediaType\":\"" MANIFEST "\",\"schemaVersion\":2}");
    return mio_env_store_put(a, s, mio_buf_view(&b), hex, err);
}

/* ---- what a reference stands for ---- */

/* Names without a registry are those of Docker's own, as everywhere. */
static struct mio_str full(struct mio_arena *a, struct mio_str reference)
{
    static const char hub[] = "docker.io/";
    ptrdiff_t slash = mio_str_find(reference, '/');
    struct mio_str host = mio_str_sub(reference, 0, slash < 0 ? 0 : (size_t)slash);
    bool named = mio_str_find(host, '.') >= 0 || mio_str_find(host, ':') >= 0 ||
                 mio_str_is(host, "localhost");
    if (named && !mio_str_starts(reference, hub))
        return reference;
    struct mio_str rest = named ? mio_str_sub(reference, sizeof hub - 1, reference.n) : reference;
    return mio_arena_printf(a, "registry-1.docker.io/%s%.*s",
                            mio_str_find(rest, '/') < 0 ? "library/" : "", MIO_FMT(rest));
}

/* oci:FOLDER[:NAME] */
static bool is_layout(struct mio_arena *a, struct mio_str reference, const char *dir,
                      const char **folder, struct mio_str *name)
{
    if (!mio_str_starts(reference, "oci:"))
        return false;
    struct mio_str path = mio_str_sub(reference, 4, reference.n);
    ptrdiff_t colon = mio_str_find(path, ':');
    *name = colon < 0 ? (struct mio_str){0} : mio_str_sub(path, (size_t)colon + 1, path.n);
    path = mio_str_sub(path, 0, colon < 0 ? path.n : (size_t)colon);
    *folder = mio_path_join(a, mio_str_z(dir), path).p;
    return true;
}

/* `digest`: that very manifest; NULL: what the reference stands for now. */
static enum mio_code pull(struct mio_arena *a, const struct mio_env_store *s,
                          struct mio_str reference, const char *digest, struct mio_str arch,
                          const char *dir, bool layers, struct mio_env_remote *out,
                          struct mio_err *err)
{
    struct mio_env_registry r;
    struct mio_str name;
    const char *folder;
    if (is_layout(a, reference, dir, &folder, &name))
        return mio_env_layout_read(a, s, folder, digest ? mio_str_z(digest) : name, arch, out, err);
    if (mio_env_registry_parse(a, mio_arena_z(a, full(a, reference)), &r, err))
        return err->code;
    if (digest)
        r.tag = mio_str_z(digest);
    if (mio_env_pull(a, s, &r, arch, layers, out, err) || out->found)
        return err->code ? mio_err_wrap(err, "image %.*s", MIO_FMT(reference)) : MIO_OK;
    if (digest)
        mio_fail(err, MIO_REALITY, "image %.*s: the registry no longer holds %s",
                 MIO_FMT(reference), digest);
    else
        mio_fail(err, MIO_REALITY, "image %.*s is not in the registry", MIO_FMT(reference));
    return mio_err_hint(err, digest
                                 ? "take it from another store (env vendor), or renew it: env lock "
                                   "-upgrade image"
                                 : "look at name and tag; a private registry hides from strangers "
                                   "what it has: MLOPS_IAC_REGISTRY_USER");
}

/* OCI's name of a layer's type; empty for what is no file system. */
static struct mio_str layer_type(struct mio_str type)
{
    static const char *const rows[][2] = {
        {LAYER, LAYER},
        {LAYER "+gzip", LAYER "+gzip"},
        {LAYER "+zstd", LAYER "+zstd"},
        {DOCKER "image.rootfs.diff.tar", LAYER},
        {DOCKER "image.rootfs.diff.tar.gzip", LAYER "+gzip"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_str_is(type, rows[i][0]))
            return mio_str_z(rows[i][1]);
    return (struct mio_str){0};
}

/* Before any layer is asked for. */
static enum mio_code judge(const struct mio_env_remote *im, struct mio_str reference,
                           struct mio_err *err)
{
    for (uint32_t i = 0; im->layers.type == MIO_LIST && i < im->layers.n; i++) {
        struct mio_str type = mio_get_str(im->layers.items[i], "mediaType");
        if (layer_type(type).n)
            continue;
        if (memmem(type.p, type.n, "foreign", 7) ||
            memmem(type.p, type.n, "nondistributable", 16)) {
            mio_fail(err, MIO_REALITY, "image %.*s: layer %u is kept by its owner alone (%.*s)",
                     MIO_FMT(reference), i + 1, MIO_FMT(type));
            return mio_err_hint(err, "push the image to a registry of your own with "
                                     "--allow-nondistributable-artifacts, and name that one");
        }
        mio_fail(err, MIO_REALITY, "image %.*s: layer %u is no file system: %.*s",
                 MIO_FMT(reference), i + 1, MIO_FMT(type.n ? type : MIO_STR("no media type")));
        return mio_err_hint(err, "charts, models and other artefacts are no image to build on");
    }
    if (im->layers.type == MIO_LIST && im->layers.n && im->diff_ids.type == MIO_LIST &&
        im->diff_ids.n == im->layers.n)
        return MIO_OK;
    mio_fail(err, MIO_REALITY,
             "image %.*s: its configuration and its manifest do not tell of the "
             "same layers",
             MIO_FMT(reference));
    return mio_err_hint(err, "it must be an image by OCI or Docker (schema 2)");
}

static struct mio_value to_value(struct mio_arena *a, const struct mio_env_remote *im,
                                 struct mio_str reference)
{
    struct mio_value *layers = MIO_NEW_N(a, struct mio_value, im->layers.n + 1u);
    for (uint32_t i = 0; i < im->layers.n; i++) {
        struct mio_value l = im->layers.items[i];
        struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 4);
        p[0] = (struct mio_pair){MIO_STR("digest"), at(l, "digest")};
        p[1] = (struct mio_pair){MIO_STR("diff_id"), im->diff_ids.items[i]};
        p[2] = (struct mio_pair){MIO_STR("size"), at(l, "size")};
        p[3] =
            (struct mio_pair){MIO_STR("type"), mio_string(layer_type(mio_get_str(l, "mediaType")))};
        layers[i] = mio_map(p, 4);
    }
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 4);
    size_t n = 0;
    if (reference.n)
        p[n++] = (struct mio_pair){MIO_STR("reference"), mio_string(reference)};
    p[n++] = (struct mio_pair){MIO_STR("manifest"), sha(a, im->manifest_digest)};
    p[n++] = (struct mio_pair){MIO_STR("config"), sha(a, im->config_digest)};
    p[n++] = (struct mio_pair){MIO_STR("layers"), mio_list(layers, im->layers.n)};
    return mio_map(p, n);
}

static enum mio_code find(struct mio_arena *a, const struct mio_env_store *s,
                          struct mio_str reference, const char *digest, struct mio_str arch,
                          const char *dir, struct mio_value *image, struct mio_err *err)
{
    struct mio_env_remote im;
    if (pull(a, s, reference, digest, arch, dir, false, &im, err) || judge(&im, reference, err))
        return err->code;
    const char *exact = mio_arena_printf(a, "sha256:%.*s", MIO_FMT(im.manifest_digest)).p;
    *image = to_value(a, &im, reference);
    if (!mio_env_base_sound(*image))
        return mio_fail(err, MIO_REALITY, "image %.*s: its manifest is not sound",
                        MIO_FMT(reference));
    return pull(a, s, reference, exact, arch, dir, true, &im, err);
}

enum mio_code mio_env_base_find(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_str reference, struct mio_str arch, const char *dir,
                                struct mio_value *image, struct mio_err *err)
{
    return find(a, s, reference, NULL, arch, dir, image, err);
}

enum mio_code mio_env_base_moved(struct mio_arena *a, const struct mio_env_store *s,
                                 const struct mio_env_lock *lock, const char *dir, bool *moved,
                                 struct mio_str *now, struct mio_err *err)
{
    struct mio_env_remote im;
    if (pull(a, s, mio_get_str(lock->image, "reference"), NULL, lock->arch, dir, false, &im, err))
        return err->code;
    *now = im.manifest_digest;
    *moved = !mio_str_eq(im.manifest_digest, hex_of(lock->image, "manifest"));
    return MIO_OK;
}

/* ---- its layers ---- */

static enum mio_code open_cell(struct mio_arena *a, const struct mio_env_store *s,
                               struct mio_value layer, struct mio_env_cell *out,
                               struct mio_err *err)
{
    struct mio_str diff_id = hex_of(layer, "diff_id"), plain;
    const char *blob = mio_env_store_blob(a, s, hex_of(layer, "digest"));
    bool found = false;
    struct mio_str key = mio_env_sha256(
        a, mio_arena_printf(a, "layer of an image %d %.*s", LAYER_FORMAT, MIO_FMT(diff_id)));
    if (mio_env_cell_load(a, s, key, blob, &found, out, err))
        return err->code;
    if (!found) {
        *out = (struct mio_env_cell){.key = key, .path = blob, .sha256 = hex_of(layer, "digest")};
        if (mio_env_store_sound(a, s, out->sha256, err) ||
            mio_env_layer_index(a, blob, &out->items, &out->n, &plain, &out->size, err))
            return err->code;
        if (!mio_str_eq(plain, diff_id))
            return mio_fail(err, MIO_REALITY,
                            "%s unpacks to sha256:%.*s, but the image's configuration says "
                            "sha256:%.*s",
                            blob, MIO_FMT(plain), MIO_FMT(diff_id));
        if (mio_env_cell_index(a, s, out, err))
            return err->code;
    }
    out->name = out->group = MIO_STR("image");
    return MIO_OK;
}

enum mio_code mio_env_base_layers(struct mio_arena *a, const struct mio_env_store *s,
                                  struct mio_value image, struct mio_env_layer **out, size_t *n,
                                  struct mio_err *err)
{
    struct mio_value list = at(image, "layers");
    struct mio_env_layer *layers = MIO_NEW_N(a, struct mio_env_layer, list.n + 1u);
    struct mio_env_content all;
    mio_env_content_init(&all, a);
    for (uint32_t i = 0; i < list.n; i++) {
        struct mio_env_cell *cell = MIO_NEW(a, struct mio_env_cell);
        struct mio_value v = list.items[i];
        if (open_cell(a, s, v, cell, err) ||
            mio_env_content_settle(&all, cell->items, cell->n, err))
            return mio_err_wrap(err, "layer %u of the image", i + 1);
        layers[i] =
            (struct mio_env_layer){.title = mio_arena_printf(a, "image %u", i + 1),
                                   .size = cell->size,
                                   .type = mio_get_str(v, "type"),
                                   .sums = {.plain = hex_of(v, "diff_id"),
                                            .packed = hex_of(v, "digest"),
                                            .plain_size = cell->size,
                                            .packed_size = (uint64_t)mio_get_i64(v, "size", 0)}};
        MIO_PUSH(a, layers[i].cells, layers[i].n, layers[i].cap) = cell;
    }
    *out = layers;
    *n = list.n;
    return MIO_OK;
}

/* ---- for a build ---- */

enum mio_code mio_env_base_fetch(struct mio_arena *a, const struct mio_env_build_opts *o,
                                 struct mio_str name, struct mio_value image, struct mio_err *err)
{
    struct mio_str *hex, reference = mio_get_str(image, "reference");
    struct mio_env_remote im;
    size_t n, lacking = 0;
    if (mio_is_null(image))
        return MIO_OK;
    mio_env_base_blobs(a, image, &hex, &n);
    for (size_t i = 0; i < n; i++) {
        if (o->vendor && mio_env_take_vendored(a, o, hex[i], err))
            return err->code;
        lacking += !mio_env_store_has(a, o->store, hex[i], 0);
    }
    if (!lacking)
        return MIO_OK;
    if (o->offline) {
        mio_fail(err, MIO_IO, "environment %.*s: %zu parts of image %.*s are not in the store",
                 MIO_FMT(name), lacking, MIO_FMT(reference));
        return mio_err_hint(err, "build without -offline, or name a folder with -vendor");
    }
    return pull(a, o->store, reference, mio_arena_z(a, mio_get_str(image, "manifest")), MIO_STR(""),
                o->dir, true, &im, err);
}

/* ---- for a lock ---- */

/* As it was, when the same reference was locked and the image can still be had. */
static bool kept(struct mio_arena *a, const struct mio_env_store *s,
                 const struct mio_env_spec *spec, const char *dir, const struct mio_env_keep *keep,
                 struct mio_value *image)
{
    struct mio_err gone = {0};
    struct mio_value was = keep->old ? keep->old->image : mio_null();
    if (mio_is_null(was) || !mio_env_keeps(keep, MIO_STR("image")) ||
        !mio_str_eq(mio_get_str(was, "reference"), spec->image) ||
        !mio_str_eq(keep->old->arch, spec->arch))
        return false;
    struct mio_env_build_opts o = {.store = s, .dir = dir};
    if (mio_env_base_fetch(a, &o, spec->name, was, &gone))
        return false;
    *image = mio_map_without(a, was, MIO_STR("python")); /* looked for anew */
    return true;
}

int64_t mio_env_base_created(struct mio_arena *a, struct mio_value config)
{
    struct mio_str s = mio_str_sub(mio_get_str(config, "created"), 0, 19);
    int64_t when;
    return mio_rfc3339_parse(mio_arena_printf(a, "%.*sZ", MIO_FMT(s)), &when) && when > 0 ? when
                                                                                          : 0;
}

enum mio_code mio_env_base_lock(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_spec *spec, const char *dir,
                                const struct mio_env_keep *keep, struct mio_env_lock *l,
                                struct mio_err *err)
{
    struct mio_env_layer *layers;
    struct mio_value config, image;
    size_t n;
    if (!kept(a, s, spec, dir, keep, &image) &&
        find(a, s, spec->image, NULL, spec->arch, dir, &image, err))
        return err->code;
    if (mio_env_base_config(a, s, image, &config, err) ||
        mio_env_base_layers(a, s, image, &layers, &n, err) ||
        mio_env_base_facts(a, layers, n, config, spec->python_version, &image, err))
        return mio_err_wrap(err, "image %.*s", MIO_FMT(spec->image));
    l->epoch = mio_env_base_created(a, config);
    l->image = image;
    return MIO_OK;
}
