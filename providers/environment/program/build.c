/* providers/environment/program/build.c: env build. */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/fs.h"

/* The difference goes to the output in full, and as much as fits into the error. */
static enum mio_code check_fit(struct mio_env_cli *c, const struct mio_env_spec *spec,
                               const struct mio_env_lock *lock)
{
    enum { SHOWN = 300 };
    size_t before = c->out.n;
    if (mio_env_lock_stale(&c->arena, lock, spec, c->dir, &c->out, &c->err) || c->out.n == before)
        return c->err.code;
    struct mio_str lines = mio_str_trim(mio_str_sub(mio_buf_view(&c->out), before, c->out.n));
    MIO_AUTO_BUF one;
    mio_buf_init(&one, 0);
    for (size_t i = 0; i < lines.n && i < SHOWN; i++)
        mio_buf_z(&one, lines.p[i] == '\n' ? "; " : (char[]){lines.p[i], 0});
    mio_fail(&c->err, MIO_STATE,
             "environment %.*s is declared differently from what is locked: %.*s%s",
             MIO_FMT(spec->name), MIO_FMT(mio_buf_view(&one)), lines.n > SHOWN ? " ..." : "");
    return mio_err_hint(&c->err,
                        "run 'mlops-iac env lock %.*s' and review the difference: nothing else "
                        "renews the lock",
                        MIO_FMT(spec->name));
}

enum mio_code mio_env_cli_lock(struct mio_env_cli *c, struct mio_env_lock *out, const char **path)
{
    struct mio_env_spec spec = {0};
    bool found = false;
    *path = c->lock_path;
    if (c->spec_path) {
        if (mio_env_cli_spec(c, &spec))
            return c->err.code;
        *path = mio_env_lock_path(&c->arena, c->locks ? c->locks : c->dir, spec.name);
    }
    if (!*path)
        return mio_fail(&c->err, MIO_USAGE, "-spec=FILE or -lock=FILE is missing");
    if (mio_env_lock_read(&c->arena, *path, out, &found, &c->err))
        return c->err.code;
    if (!found) {
        mio_fail(&c->err, MIO_STATE, "%s is not there", *path);
        return mio_err_hint(&c->err, "run 'mlops-iac env lock %.*s' first",
                            MIO_FMT(c->spec_path ? spec.name : MIO_STR("NAME")));
    }
    return c->spec_path ? check_fit(c, &spec, out) : MIO_OK;
}

enum mio_code mio_env_cli_build(struct mio_env_cli *c, const struct mio_env_store *store,
                                const struct mio_env_lock *lock, struct mio_env_image *image)
{
    uint64_t threads = 0;
    if (c->threads && (!mio_str_u64(mio_str_z(c->threads), &threads) || threads > 64))
        return mio_fail(&c->err, MIO_USAGE, "-threads must be a number up to 64");
    struct mio_env_build_opts o = {.store = store,
                                   .dir = c->dir,
                                   .vendor = c->vendor,
                                   .offline = c->offline,
                                   .threads = (unsigned)threads};
    return mio_env_build(&c->arena, &o, lock, image, &c->err);
}

enum mio_code mio_env_verb_build(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    const char *path;
    if (mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err) ||
        mio_env_cli_build(c, &store, &lock, &im))
        return c->err.code;
    if (c->out_path && mio_env_oci_layout(&c->arena, &store, &lock, &im, c->out_path, &c->err))
        return c->err.code;
    if (c->root_path && mio_env_root(&c->arena, &im, c->root_path, &c->err))
        return c->err.code;
    uint64_t plain = 0, packed = 0;
    for (size_t i = 0; i < im.n_layers; i++) {
        plain += im.layers[i].sums.plain_size;
        packed += im.layers[i].sums.packed_size;
    }
    mio_buf_printf(&c->out, "environment sha256:%.*s\nmanifest    sha256:%.*s\n",
                   MIO_FMT(im.config_digest), MIO_FMT(im.manifest_digest));
    if (!mio_is_null(lock.build) && !mio_get_bool(lock.sealed, "proven", false))
        mio_buf_printf(&c->out,
                       "not proven: a Dockerfile may give other bytes every time; "
                       "'mlops-iac env verify %.*s' builds it again and compares\n",
                       MIO_FMT(lock.name));
    mio_buf_printf(&c->out, "%zu layers, %.1f MB (%.1f MB unpacked)\n", im.n_layers,
                   (double)packed / 1e6, (double)plain / 1e6);
    if (!mio_is_null(lock.sealed))
        return MIO_OK;
    lock.sealed = im.sealed;
    mio_buf_printf(&c->out, "sealed in %s\n", path);
    return mio_env_lock_write(&c->arena, path, &lock, &c->err);
}
