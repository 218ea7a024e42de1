/* providers/environment/program/push.c: env push, env drift. */
#include "providers/environment/program/verbs.h"
#include "providers/environment/registry.h"

enum mio_code mio_env_verb_push(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    struct mio_env_registry r;
    const char *path;
    size_t sent;
    struct mio_str hex = {0};
    bool found = false;
    if (c->n_args != 1)
        return mio_fail(&c->err, MIO_USAGE, "env push needs a reference: HOST[:PORT]/NAME[:TAG]");
    if (mio_env_registry_parse(&c->arena, c->args[0], &r, &c->err) ||
        mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err) ||
        mio_env_cli_build(c, &store, &lock, &im) ||
        mio_env_push(&c->arena, &store, &r, &im, &sent, &c->err) ||
        mio_env_remote_manifest(&c->arena, &r, &hex, &found, &c->err))
        return c->err.code;
    if (!found || !mio_str_eq(hex, im.manifest_digest))
        return mio_fail(&c->err, MIO_REALITY,
                        "the registry gives back another manifest than was sent");
    mio_buf_printf(&c->out, "%s@sha256:%.*s\n%zu of %zu blobs were sent, the others were there\n",
                   c->args[0], MIO_FMT(hex), sent, im.n_layers + 1);
    const char *key = getenv("MLOPS_IAC_ENV_KEY"), *tag;
    if (!key || !*key)
        return MIO_OK;
    if (mio_is_null(lock.sealed))
        lock.sealed = im.sealed;
    if (mio_env_attach(&c->arena, &store, &r, &lock, key, &tag, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out, "provenance and bills of materials: tag %s\n", tag);
    return MIO_OK;
}

enum mio_code mio_env_verb_drift(struct mio_env_cli *c)
{
    struct mio_env_lock lock;
    struct mio_env_registry r;
    const char *path;
    struct mio_str hex = {0};
    bool found = false;
    if (c->n_args != 1)
        return mio_fail(&c->err, MIO_USAGE, "env drift needs a reference: HOST[:PORT]/NAME[:TAG]");
    if (mio_env_registry_parse(&c->arena, c->args[0], &r, &c->err) ||
        mio_env_cli_lock(c, &lock, &path) ||
        mio_env_remote_manifest(&c->arena, &r, &hex, &found, &c->err))
        return c->err.code;
    struct mio_str sealed = mio_get_str(lock.sealed, "manifest");
    if (!sealed.n)
        return mio_fail(&c->err, MIO_STATE, "%s is not sealed: build it first", path);
    c->differs = !found || !mio_str_eq(mio_str_sub(sealed, 7, sealed.n), hex);
    if (!found)
        mio_buf_printf(&c->out, "%s is not in the registry\n", c->args[0]);
    else
        mio_buf_printf(&c->out, "%s is sha256:%.*s, %s\n", c->args[0], MIO_FMT(hex),
                       c->differs ? "which is not what the lock was sealed with" : "as sealed");
    return MIO_OK;
}
