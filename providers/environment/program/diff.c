/* providers/environment/program/diff.c: env diff: packages, variables, files and layers. */
#include "providers/environment/inspect.h"
#include "providers/environment/program/verbs.h"
#include "providers/sdk/json.h"

static enum mio_code load(struct mio_env_cli *c, const char *path, struct mio_env_lock *out)
{
    bool found = false;
    if (mio_env_lock_read(&c->arena, path, out, &found, &c->err))
        return c->err.code;
    return found ? MIO_OK : mio_fail(&c->err, MIO_USAGE, "%s is not there", path);
}

static void diff_values(struct mio_env_cli *c, const char *what, struct mio_value x,
                        struct mio_value y)
{
    if (mio_equal(x, y))
        return;
    mio_buf_printf(&c->out, "%c %s ", mio_is_null(x) ? '+' : mio_is_null(y) ? '-' : '~', what);
    if (!mio_is_null(x))
        mio_json_write(&c->out, x, MIO_JSON_HIDDEN);
    if (!mio_is_null(x) && !mio_is_null(y))
        mio_buf_z(&c->out, " -> ");
    if (!mio_is_null(y))
        mio_json_write(&c->out, y, MIO_JSON_HIDDEN);
    mio_buf_char(&c->out, '\n');
}

static struct mio_value key_of(struct mio_value config, const char *key)
{
    const struct mio_value *v = mio_get_z(config, key);
    return v ? *v : mio_null();
}

static void diff_variables(struct mio_env_cli *c, struct mio_value x, struct mio_value y)
{
    const struct mio_value maps[] = {x, y};
    for (size_t k = 0; k < 2; k++)
        for (uint32_t i = 0; maps[k].type == MIO_MAP && i < maps[k].n; i++) {
            struct mio_str name = maps[k].pairs[i].key;
            const char *z = mio_arena_z(&c->arena, name),
                       *what = mio_arena_printf(&c->arena, "variable %s", z).p;
            struct mio_value old = key_of(x, z), new = key_of(y, z);
            if (!k || mio_is_null(old))
                diff_values(c, what, old, new);
        }
}

/* Layers by what they hold. */
static void diff_layers(struct mio_env_cli *c, const struct mio_env_image *x,
                        const struct mio_env_image *y)
{
    const struct mio_env_image *images[] = {x, y};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < images[k]->n_layers; i++) {
            const struct mio_env_layer *l = &images[k]->layers[i], *other = NULL;
            for (size_t o = 0; o < images[!k]->n_layers && !other; o++)
                if (mio_str_eq(images[!k]->layers[o].title, l->title))
                    other = &images[!k]->layers[o];
            if (!other)
                mio_buf_printf(&c->out, "%c layer %.*s sha256:%.*s\n", k ? '+' : '-',
                               MIO_FMT(l->title), MIO_FMT(l->sums.plain));
            else if (!k && !mio_str_eq(l->sums.plain, other->sums.plain))
                mio_buf_printf(&c->out, "~ layer %.*s sha256:%.*s -> sha256:%.*s\n",
                               MIO_FMT(l->title), MIO_FMT(l->sums.plain),
                               MIO_FMT(other->sums.plain));
        }
}

/* What lies in the two, whiteouts of images taken into account. */
static void diff_files(struct mio_env_cli *c, const struct mio_env_image *x,
                       const struct mio_env_image *y)
{
    struct mio_env_content a, b;
    mio_env_content_of(&a, &c->arena, x);
    mio_env_content_of(&b, &c->arena, y);
    for (int k = 0; k < 2; k++) {
        const struct mio_env_content *own = k ? &b : &a, *other = k ? &a : &b;
        for (size_t i = 0; i < own->n; i++) {
            const struct mio_env_entry *e = own->items[i],
                                       *o = mio_env_content_find(other, e->path);
            if (e->type == MIO_ENTRY_DIR && (!o || o->type == MIO_ENTRY_DIR))
                continue;
            if (!o)
                mio_buf_printf(&c->out, "%c /%.*s\n", k ? '+' : '-', MIO_FMT(e->path));
            else if (!k && (e->type != o->type || e->mode != o->mode ||
                            !mio_str_eq(e->sha256, o->sha256) || !mio_str_eq(e->link, o->link)))
                mio_buf_printf(&c->out, "~ /%.*s\n", MIO_FMT(e->path));
        }
    }
}

enum mio_code mio_env_verb_diff(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock x, y;
    MIO_AUTO_IMAGE a = {0};
    MIO_AUTO_IMAGE b = {0};
    static const char *const parts[] = {"base",    "serve",    "command", "workdir",
                                        "debian",  "python",   "users",   "layers",
                                        "scripts", "bytecode", "user",    "build"};
    if (c->n_args != 2)
        return mio_fail(&c->err, MIO_USAGE, "env diff needs two lock files");
    if (load(c, c->args[0], &x) || load(c, c->args[1], &y) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    mio_env_lock_diff(&x, &y, &c->out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        diff_values(c, parts[i], key_of(x.config, parts[i]), key_of(y.config, parts[i]));
    diff_variables(c, key_of(x.config, "env"), key_of(y.config, "env"));
    diff_values(c, "files", x.files, y.files);
    if (!c->brief) {
        if (mio_env_cli_build(c, &store, &x, &a) || mio_env_cli_build(c, &store, &y, &b))
            return c->err.code;
        diff_files(c, &a, &b);
        diff_layers(c, &a, &b);
    }
    c->differs = c->out.n > 0;
    return MIO_OK;
}
