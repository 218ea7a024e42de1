/* providers/environment/program/prove.c: env verify of what a Dockerfile makes: built once more,
 * and compared layer by layer. */
#include "providers/environment/dockerfile.h"
#include "providers/environment/program/verbs.h"

enum { NAMED = 20 }; /* paths that are listed */

static struct mio_value layers_of(struct mio_value image)
{
    const struct mio_value *list = mio_get_z(image, "layers");
    return list && list->type == MIO_LIST ? *list : mio_list(NULL, 0);
}

static enum mio_code content_of(struct mio_env_cli *c, const struct mio_env_store *s,
                                struct mio_value image, struct mio_env_content *out)
{
    struct mio_env_layer *layers;
    size_t n;
    mio_env_content_init(out, &c->arena);
    if (mio_env_base_layers(&c->arena, s, image, &layers, &n, &c->err))
        return c->err.code;
    for (size_t i = 0; i < n; i++)
        mio_env_content_lay(out, layers[i].cells[0]->items, layers[i].cells[0]->n);
    return MIO_OK;
}

static enum mio_code differ(struct mio_env_cli *c, const struct mio_env_store *s,
                            struct mio_value first, struct mio_value second)
{
    struct mio_env_content x, y;
    struct mio_env_deviation *d;
    size_t n;
    struct mio_value a = layers_of(first), b = layers_of(second);
    if (content_of(c, s, first, &x) || content_of(c, s, second, &y))
        return c->err.code;
    for (uint32_t i = 0; i < a.n || i < b.n; i++) {
        struct mio_str was = i < a.n ? mio_get_str(a.items[i], "diff_id") : MIO_STR("nothing"),
                       is = i < b.n ? mio_get_str(b.items[i], "diff_id") : MIO_STR("nothing");
        if (!mio_str_eq(was, is))
            mio_buf_printf(&c->out, "~ layer %u %.*s -> %.*s\n", i + 1, MIO_FMT(was), MIO_FMT(is));
    }
    mio_env_content_diff(&c->arena, &x, &y, &d, &n);
    mio_env_deviations_print(d, n < NAMED ? n : NAMED, &c->out);
    if (n > NAMED)
        mio_buf_printf(&c->out, "  and %zu paths more\n", n - NAMED);
    if (!n)
        mio_buf_z(&c->out, "the configurations, or times of files, differ\n");
    mio_fail(&c->err, MIO_STATE,
             "two builds of the Dockerfile gave different images (%zu paths differ): the "
             "environment stays not proven",
             n);
    return mio_err_hint(&c->err, "commands that write times, random names or what they find in a "
                                 "network give other bytes every time");
}

enum mio_code mio_env_cli_prove(struct mio_env_cli *c, const struct mio_env_store *s,
                                struct mio_env_lock *lock, const char *path,
                                const struct mio_env_image *im)
{
    struct mio_env_spec spec;
    struct mio_value again;
    struct mio_env_build_opts o = {.store = s, .dir = c->dir, .offline = true, .anew = true};
    if (mio_env_spec_read(&c->arena, lock->name, lock->config, &spec, &c->err) ||
        mio_env_dockerfile_build(&c->arena, &o, lock, &spec, &again, &c->err))
        return c->err.code;
    struct mio_str first = mio_get_str(im->base, "config"), second = mio_get_str(again, "config");
    if (!mio_str_eq(first, second))
        return differ(c, s, im->base, again);
    mio_buf_printf(&c->out,
                   "verified: buildah gave %.*s twice, without its caches: the environment is "
                   "proven\n",
                   MIO_FMT(first));
    if (mio_get_bool(lock->sealed, "proven", false))
        return MIO_OK;
    lock->sealed = mio_map_with(&c->arena, mio_is_null(lock->sealed) ? im->sealed : lock->sealed,
                                MIO_STR("proven"), mio_bool(true));
    return mio_env_lock_write(&c->arena, path, lock, &c->err);
}
