/* providers/environment/lock_make.c: from what is declared to what is locked. */
#include "providers/environment/dockerfile.h"
#include "providers/environment/conda.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"

static struct mio_value put_indices(struct mio_arena *a, const struct mio_env_index *x, size_t n)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 6);
        p[0] = (struct mio_pair){MIO_STR("suite"), mio_string(x[i].source.suite)};
        p[1] = (struct mio_pair){MIO_STR("component"), mio_string(x[i].component)};
        p[2] = (struct mio_pair){MIO_STR("sha256"), mio_string(x[i].sha256)};
        p[3] = (struct mio_pair){MIO_STR("signed_by"), mio_string(x[i].signer)};
        p[4] = (struct mio_pair){MIO_STR("date"), mio_string(x[i].date)};
        p[5] = (struct mio_pair){MIO_STR("expired"), mio_bool(x[i].expired)};
        items[i] = mio_map(p, 6);
    }
    return mio_list(items, n);
}

/* Of the Python that conda's packages bring: wheels are for that one. */
static struct mio_value conda_python(struct mio_arena *a, const struct mio_env_lock *lock,
                                     struct mio_value config)
{
    const struct mio_value *declared = mio_get_z(config, "python");
    if (declared && mio_get_str(*declared, "version").n)
        return config;
    for (size_t i = 0; i < lock->n_wheels; i++) {
        const struct mio_env_wheel *w = &lock->wheels[i];
        if (!mio_env_is_conda(w) || !mio_str_is(w->name, "python"))
            continue;
        struct mio_str v = w->version, minor = mio_str_sub(v, 2, v.n);
        ptrdiff_t dot = mio_str_find(minor, '.');
        struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 2);
        p[0] = (struct mio_pair){MIO_STR("version"),
                                 mio_string(mio_str_sub(v, 0, dot < 0 ? v.n : 2 + (size_t)dot))};
        p[1] = (struct mio_pair){
            MIO_STR("prefix"),
            mio_string(mio_arena_printf(a, "/%.*s", MIO_FMT(mio_env_conda_prefix(config))))};
        return mio_map_with(a, config, MIO_STR("python"), mio_map(p, 2));
    }
    return config;
}

enum mio_code mio_env_lock_config(struct mio_arena *a, const struct mio_env_spec *s,
                                  const struct mio_env_lock *lock, struct mio_value *out,
                                  struct mio_err *err)
{
    static const char *const keys[] = {"base",    "env",     "serve",    "scripts",    "layers",
                                       "workdir", "command", "debian",   "python",     "files",
                                       "users",   "user",    "bytecode", "conda_file", "conda",
                                       "image",   "build"};
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, sizeof keys / sizeof *keys);
    size_t n = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct mio_value *v = mio_get_z(s->body, keys[i]);
        if (v && !mio_is_null(*v))
            p[n++] = (struct mio_pair){mio_str_z(keys[i]), *v};
    }
    struct mio_value config = mio_map(p, n);
    const struct mio_value *declared = mio_get_z(config, "python");
    if (!mio_is_null(lock->image) && declared) {
        struct mio_value python = *declared;
        if (mio_env_base_python(a, lock->image, &python, err))
            return err->code;
        config = mio_map_with(a, config, MIO_STR("python"), python);
    }
    *out = conda_python(a, lock, config);
    return MIO_OK;
}

static int wheels_first(const void *x, const void *y)
{
    const struct mio_env_wheel *a = x, *b = y;
    int c = mio_env_is_conda(a) - mio_env_is_conda(b);
    return c ? c : mio_str_cmp(a->name, b->name);
}

/* Conda's packages beside the wheels. */
static enum mio_code add_conda(struct mio_arena *a, const struct mio_env_store *s,
                               const struct mio_env_spec *spec, const char *dir,
                               struct mio_env_lock *l, struct mio_err *err)
{
    struct mio_env_wheel *more = NULL, *all;
    size_t n = 0;
    if (mio_env_conda_resolve(a, s, spec, dir, &more, &n, err) || !n)
        return err->code;
    all = MIO_NEW_N(a, struct mio_env_wheel, l->n_wheels + n);
    if (l->n_wheels)
        memcpy(all, l->wheels, l->n_wheels * sizeof *all);
    memcpy(all + l->n_wheels, more, n * sizeof *all);
    l->wheels = all;
    l->n_wheels += n;
    qsort(all, l->n_wheels, sizeof *all, wheels_first);
    return MIO_OK;
}

/* On an image: what it is, and for which of its Pythons wheels are. */
static enum mio_code stand_on(struct mio_arena *a, const struct mio_env_store *s,
                              const struct mio_env_spec **spec, struct mio_env_spec *own,
                              const char *dir, const struct mio_env_keep *keep,
                              struct mio_env_lock *l, struct mio_err *err)
{
    const struct mio_value *declared = mio_get_z((*spec)->body, "python");
    if (mio_env_base_lock(a, s, *spec, dir, keep, l, err) || !declared || mio_is_null(*declared))
        return err->code;
    struct mio_value python = *declared;
    if (mio_env_base_python(a, l->image, &python, err))
        return err->code;
    *own = **spec;
    own->body = mio_map_with(a, own->body, MIO_STR("python"), python);
    own->python_version = mio_get_str(python, "version");
    *spec = own;
    return MIO_OK;
}

enum mio_code mio_env_lock_make(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_spec *spec, const char *dir,
                                const struct mio_env_keep *keep, struct mio_env_lock *out,
                                struct mio_err *err)
{
    struct mio_env_source *sources = NULL;
    struct mio_env_index *indices = NULL;
    size_t n_sources = 0, n_indices = 0;
    struct mio_env_lock l = {.name = spec->name, .suite = spec->suite, .arch = spec->arch};
    struct mio_env_spec own;
    struct mio_env_inputs inputs;
    if (mio_env_spec_inputs(a, spec, dir, &inputs, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(spec->name));
    l.inputs = inputs.digest;
    l.sources = inputs.sources;
    l.files = inputs.files;
    if (spec->image.n && stand_on(a, s, &spec, &own, dir, keep, &l, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(spec->name));
    if (spec->context.n && mio_env_dockerfile_lock(a, s, spec, dir, keep, &l, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(spec->name));
    if (spec->suite.n &&
        (mio_env_sources(a, spec, &sources, &n_sources, err) ||
         mio_env_indices(a, s, spec->arch, sources, n_sources, &indices, &n_indices, err) ||
         mio_env_resolve(a, spec, indices, n_indices, keep, &l.packages, &l.n_packages, err)))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(spec->name));
    for (size_t i = 0; i < n_indices; i++)
        if (indices[i].epoch > l.epoch)
            l.epoch = indices[i].epoch;
    l.indices = put_indices(a, indices, n_indices);
    if (mio_env_python_resolve(a, s, spec, dir, keep, &l.wheels, &l.n_wheels, err) ||
        add_conda(a, s, spec, dir, &l, err) || mio_env_lock_config(a, spec, &l, &l.config, err))
        return mio_err_wrap(err, "environment %.*s", MIO_FMT(spec->name));
    l.sealed = mio_null();
    *out = l;
    return MIO_OK;
}
