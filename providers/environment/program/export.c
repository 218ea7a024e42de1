/* providers/environment/program/export.c: env export: the environment as Azure ML writes one.
 *
 *   image   environment.yaml alone: REFERENCE@sha256:..., which 'env push' has put there
 *   conda   environment.yaml and conda.yaml: an image, and the locked wheels on top of it
 *   build   environment.yaml and context/: a Dockerfile that unpacks the layers, for no registry
 *
 * The version is the beginning of the identity: the same lock gives the same document. */
#include "providers/environment/conda.h"
#include "providers/environment/program/verbs.h"
#include "providers/environment/registry.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SCHEMA "https://azuremlschemas.azureedge.net/latest/environment.schema.json"
enum { VERSION_DIGITS = 12 };

struct export
{
    struct mio_env_cli *c;
    const struct mio_env_store *store;
    const struct mio_env_lock *lock;
    const struct mio_env_image *image;
    const char *base;      /* the image below by its digest; NULL: there is none */
    const char *reference; /* of the image that Azure ML is to take; NULL for the build form */
    const char *to;        /* folder in the making */
};

static const char *in(const struct export *x, const char *name)
{
    return mio_arena_printf(&x->c->arena, "%s/%s", x->to, name).p;
}

/* One scalar in double quotes: what JSON writes is YAML. */
static void put(struct mio_buf *b, const char *key, struct mio_str value)
{
    mio_buf_printf(b, "%s: ", key);
    mio_json_string(b, value);
    mio_buf_char(b, '\n');
}

/* Azure ML wants all three routes where it gets one. */
static void put_routes(const struct export *x, struct mio_buf *b)
{
    static const char *const names[] = {"liveness", "readiness", "scoring"};
    const struct mio_value *serve = mio_get_z(x->lock->config, "serve"),
                           *scoring = serve ? mio_get_z(*serve, "scoring") : NULL;
    if (!scoring)
        return;
    mio_buf_z(b, "inference_config:\n");
    for (size_t i = 0; i < 3; i++) {
        const struct mio_value *route = mio_get_z(*serve, names[i]);
        int64_t port = mio_get_i64(route ? *route : *scoring, "port", 0);
        struct mio_str path = route ? mio_get_str(*route, "path") : MIO_STR("/");
        mio_buf_printf(b, "  %s_route:\n    port: %lld\n", names[i], (long long)port);
        put(b, "    path", path);
    }
}

/* Azure ML's names know letters, digits and three signs. */
static struct mio_str asset_name(const struct export *x)
{
    char *z = mio_arena_z(&x->c->arena, mio_env_file_name(&x->c->arena, x->lock->name));
    for (char *p = z; *p; p++)
        *p = *p == '%' ? '-' : *p;
    return mio_str_z(z);
}

static enum mio_code write_document(const struct export *x, const char *form)
{
    MIO_AUTO_BUF b;
    struct mio_str digest = mio_get_str(x->lock->sealed, "config");
    mio_buf_init(&b, 0);
    put(&b, "$schema", MIO_STR(SCHEMA));
    put(&b, "name", asset_name(x));
    put(&b, "version", mio_str_sub(digest, 7, VERSION_DIGITS));
    mio_buf_z(&b, "os_type: linux\ntags:\n");
    put(&b, "  mlops_iac_environment", digest);
    put(&b, "  mlops_iac_inputs", x->lock->inputs);
    const struct mio_value *build = mio_get_z(x->lock->config, "build");
    struct mio_str file = build ? mio_get_str(*build, "dockerfile_path") : (struct mio_str){0};
    if (!strcmp(form, "build")) {
        mio_buf_z(&b, "build:\n  path: context\n");
        put(&b, "  dockerfile_path", file.n ? file : MIO_STR("Dockerfile"));
    } else
        put(&b, "image", mio_str_z(x->reference));
    if (!strcmp(form, "conda"))
        mio_buf_z(&b, "conda_file: conda.yaml\n");
    put_routes(x, &b);
    return mio_fs_replace(in(x, "environment.yaml"), mio_buf_view(&b), 0644, &x->c->err);
}

/* ---- conda ---- */

/* "https://host/channel/linux-64/file" lies in https://host/channel. */
static struct mio_str channel_of(const struct mio_env_wheel *w)
{
    return mio_path_dir(mio_path_dir(w->url));
}

static void put_item(struct mio_buf *b, struct mio_str value)
{
    mio_buf_z(b, "  - ");
    mio_json_string(b, value);
    mio_buf_char(b, '\n');
}

static void put_channels(const struct mio_env_lock *l, struct mio_buf *b)
{
    bool any = false;
    mio_buf_z(b, "channels:\n");
    for (size_t i = 0; i < l->n_wheels; i++) {
        bool seen = !mio_env_is_conda(&l->wheels[i]);
        for (size_t k = 0; k < i && !seen; k++)
            seen = mio_env_is_conda(&l->wheels[k]) &&
                   mio_str_eq(channel_of(&l->wheels[k]), channel_of(&l->wheels[i]));
        if (!seen)
            put_item(b, channel_of(&l->wheels[i]));
        any |= !seen;
    }
    if (!any)
        mio_buf_z(b, "  - conda-forge\n");
}

/* name=version=build, as the file is named; whether one of them is Python. */
static bool put_conda_packages(const struct mio_env_lock *l, struct mio_buf *b)
{
    bool python = false;
    for (size_t i = 0; i < l->n_wheels; i++) {
        const struct mio_env_wheel *w = &l->wheels[i];
        if (!mio_env_is_conda(w))
            continue;
        size_t stem = w->name.n + w->version.n + 2;
        struct mio_str build = mio_str_sub(w->file, stem < w->file.n ? stem : w->file.n, w->file.n);
        ptrdiff_t end = mio_str_find(build, '.');
        mio_buf_printf(b, "  - %.*s=%.*s=%.*s\n", MIO_FMT(w->name), MIO_FMT(w->version),
                       end < 0 ? 0 : (int)end, build.p);
        python |= mio_str_is(w->name, "python");
    }
    return python;
}

static enum mio_code write_conda(const struct export *x)
{
    const struct mio_env_lock *l = x->lock;
    const struct mio_value *python = mio_get_z(l->config, "python");
    struct mio_str version = python ? mio_get_str(*python, "version") : (struct mio_str){0};
    size_t wheels = 0;
    for (size_t i = 0; i < l->n_wheels; i++)
        wheels += !mio_env_is_conda(&l->wheels[i]);
    if (!l->n_wheels || !version.n) {
        mio_fail(&x->c->err, MIO_USAGE,
                 "environment %.*s has no wheels and no conda packages for a conda file",
                 MIO_FMT(l->name));
        return mio_err_hint(&x->c->err, "write the form image: it brings everything");
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    put(&b, "name", asset_name(x));
    put_channels(l, &b);
    mio_buf_z(&b, "dependencies:\n");
    if (!put_conda_packages(l, &b))
        mio_buf_printf(&b, "  - python=%.*s\n", MIO_FMT(version));
    if (wheels)
        mio_buf_z(&b, "  - pip\n  - pip:\n");
    for (size_t i = 0; i < l->n_wheels; i++)
        if (!mio_env_is_conda(&l->wheels[i]))
            mio_buf_printf(&b, "      - %.*s==%.*s\n", MIO_FMT(l->wheels[i].name),
                           MIO_FMT(l->wheels[i].version));
    return mio_fs_replace(in(x, "conda.yaml"), mio_buf_view(&b), 0644, &x->c->err);
}

/* ---- build ---- */

static void put_variables(const struct export *x, struct mio_buf *b)
{
    const struct mio_value *env = mio_get_z(x->lock->config, "env");
    if (mio_is_null(x->lock->image))
        mio_buf_z(b, "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
    for (uint32_t i = 0; env && env->type == MIO_MAP && i < env->n; i++) {
        MIO_AUTO_BUF quoted;
        mio_buf_init(&quoted, 0);
        mio_json_string(&quoted, mio_value_str(env->pairs[i].value));
        mio_buf_printf(b, "ENV %.*s=", MIO_FMT(env->pairs[i].key));
        for (size_t k = 0; k < quoted.n; k++) /* a dollar would be expanded */
            mio_buf_z(b, quoted.p[k] == '$' ? "\\$" : (char[]){quoted.p[k], 0});
        mio_buf_char(b, '\n');
    }
}

/* Layers that are gzip already are taken as they are; Docker's ADD knows no zstd. */
static enum mio_code write_layer(const struct export *x, size_t i, const char *name)
{
    struct mio_env_layer layer = x->image->layers[i];
    if (mio_env_layer_make(&x->c->arena, x->store, MIO_CODEC_GZIP, &layer, &x->c->err))
        return x->c->err.code;
    return mio_env_store_give(&x->c->arena, x->store, layer.sums.packed, name, &x->c->err);
}

/* Of an environment that a Dockerfile makes: its own folder. */
static enum mio_code copy_context(const struct export *x)
{
    const struct mio_value *build = mio_get_z(x->lock->config, "build");
    struct mio_arena *a = &x->c->arena;
    struct mio_str from = mio_get_str(*build, "path"), digest;
    const struct mio_value *locked = mio_get(x->lock->sources, from);
    const char *to = in(x, "context");
    static const char *const added[] = {"env", "files", "workdir", "command", "user"};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        if (mio_get_z(x->lock->config, added[i])) {
            mio_fail(&x->c->err, MIO_USAGE, "%s is declared beside the Dockerfile", added[i]);
            return mio_err_hint(&x->c->err, "write the form image, or put it into the Dockerfile");
        }
    if (mio_fs_copy_tree(mio_path_join(a, mio_str_z(x->c->dir), from).p, to, &x->c->err) ||
        mio_digest_path(a, to, &digest, &x->c->err))
        return x->c->err.code;
    return locked && mio_str_eq(mio_value_str(*locked), digest)
               ? MIO_OK
               : mio_fail(&x->c->err, MIO_STATE,
                          "%.*s has changed since the environment was locked", MIO_FMT(from));
}

static enum mio_code write_context(const struct export *x)
{
    MIO_AUTO_BUF b;
    const struct mio_value *command = mio_get_z(x->lock->config, "command");
    struct mio_str workdir = mio_get_str(x->lock->config, "workdir");
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, "# The layers of environment %.*s, %.*s, as they were locked.\nFROM %s\n",
                   MIO_FMT(x->lock->name), MIO_FMT(mio_get_str(x->lock->sealed, "config")),
                   mio_is_null(x->lock->image) ? "scratch" : x->base);
    if (mio_fs_mkdirs(in(x, "context"), 0755, &x->c->err))
        return x->c->err.code;
    for (size_t i = 0; i < x->image->n_layers; i++) {
        const char *name = mio_arena_printf(&x->c->arena, "layer-%02zu.tar.gz", i).p;
        if (x->image->layers[i].type.n) /* the image's own */
            continue;
        mio_buf_printf(&b, "ADD %s /\n", name);
        if (write_layer(x, i, in(x, mio_arena_printf(&x->c->arena, "context/%s", name).p)))
            return x->c->err.code;
    }
    put_variables(x, &b);
    if (workdir.n)
        mio_buf_printf(&b, "WORKDIR %.*s\n", MIO_FMT(workdir));
    if (command && command->type == MIO_LIST) {
        mio_buf_z(&b, "CMD ");
        mio_json_write(&b, *command, MIO_JSON_PLAIN);
        mio_buf_char(&b, '\n');
    }
    return mio_fs_replace(in(x, "context/Dockerfile"), mio_buf_view(&b), 0644, &x->c->err);
}

/* ---- the folder ---- */

static enum mio_code fill(const struct export *x, const char *form)
{
    if (mio_fs_mkdirs(x->to, 0755, &x->c->err) || write_document(x, form))
        return x->c->err.code;
    if (!strcmp(form, "conda"))
        return write_conda(x);
    if (!strcmp(form, "build"))
        return mio_is_null(x->lock->build) ? write_context(x) : copy_context(x);
    return MIO_OK;
}

/* Whole, or not there. */
static enum mio_code write_folder(struct export *x, const char *form)
{
    struct mio_env_cli *c = x->c;
    if (mio_fs_exists(c->out_path)) {
        mio_fail(&c->err, MIO_USAGE, "%s exists", c->out_path);
        return mio_err_hint(&c->err, "remove it, or name another folder");
    }
    x->to = mio_env_partial(&c->arena, c->out_path);
    enum mio_code code = fill(x, form);
    if (!code && rename(x->to, c->out_path))
        code = mio_fail_sys(&c->err, errno, "cannot rename %s to %s", x->to, c->out_path);
    if (code) {
        struct mio_err ignored = {0};
        mio_fs_remove_tree(x->to, &ignored);
    }
    return code;
}

/* REFERENCE@sha256:HEX of the image below; without its tag, which may move. */
static const char *base_of(struct mio_env_cli *c, const struct mio_env_lock *lock)
{
    struct mio_str reference = mio_get_str(lock->image, "reference"), dir = mio_path_dir(reference),
                   base = mio_path_base(reference);
    size_t n = 0;
    while (n < base.n && base.p[n] != ':' && base.p[n] != '@')
        n++;
    if (mio_is_null(lock->image) || mio_str_starts(reference, "oci:"))
        return reference.n ? mio_arena_z(&c->arena, reference) : NULL;
    return mio_arena_printf(&c->arena, "%.*s%s%.*s@%.*s",
                            MIO_FMT(mio_str_is(dir, ".") ? MIO_STR("") : dir),
                            mio_str_is(dir, ".") ? "" : "/", (int)n, base.p,
                            MIO_FMT(mio_get_str(lock->image, "manifest")))
        .p;
}

/* FORM [REFERENCE]; of an image by digest. */
static enum mio_code choose(struct mio_env_cli *c, const struct mio_env_lock *lock,
                            const char *base, const char **form, const char **reference)
{
    struct mio_env_registry r;
    *form = c->n_args ? c->args[0] : "";
    *reference = c->n_args > 1 ? c->args[1] : NULL;
    bool image = !strcmp(*form, "image"), build = !strcmp(*form, "build");
    if (!image && !build && strcmp(*form, "conda") != 0)
        return mio_fail(&c->err, MIO_USAGE, "the form is image, conda or build, not \"%s\"", *form);
    if (build && *reference)
        return mio_fail(&c->err, MIO_USAGE, "the form build takes no image: it brings the layers");
    if (!strcmp(*form, "conda") && !*reference)
        *reference = base;
    if (build && base && mio_str_starts(mio_str_z(base), "oci:"))
        return mio_fail(&c->err, MIO_USAGE,
                        "no Dockerfile can begin with an image of a folder (%s)", base);
    if (!build && !*reference) {
        mio_fail(&c->err, MIO_USAGE, "the form %s needs the image: HOST/REPOSITORY", *form);
        return mio_err_hint(&c->err, "'mlops-iac env push' puts it there");
    }
    if (!image || mio_env_registry_parse(&c->arena, *reference, &r, &c->err))
        return c->err.code;
    *reference = mio_arena_printf(&c->arena, "%.*s/%.*s@%.*s", MIO_FMT(r.host), MIO_FMT(r.name),
                                  MIO_FMT(mio_get_str(lock->sealed, "manifest")))
                     .p;
    return MIO_OK;
}

enum mio_code mio_env_verb_export(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    const char *form;
    struct export x = {.c = c, .store = &store, .lock = &lock, .image = &im};
    if (!c->out_path)
        return mio_fail(&c->err, MIO_USAGE, "-out=DIR is missing");
    if (mio_env_cli_sealed(c, &lock) ||
        choose(c, &lock, x.base = base_of(c, &lock), &form, &x.reference) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err) ||
        (!strcmp(form, "build") && mio_env_cli_build(c, &store, &lock, &im)) ||
        write_folder(&x, form))
        return c->err.code;
    mio_buf_printf(&c->out, "%s/environment.yaml\n", c->out_path);
    return MIO_OK;
}
