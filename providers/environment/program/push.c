/* providers/environment/program/push.c: env push, env pull. */
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
    /* What was sent is signed: by another encoder than the seal's, its manifest is another. */
    lock.sealed = mio_map_with(&c->arena, mio_is_null(lock.sealed) ? im.sealed : lock.sealed,
                               MIO_STR("manifest"), *mio_get_z(im.sealed, "manifest"));
    if (mio_env_attach(&c->arena, &store, &r, &lock, key, &tag, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out,
                   "signature: tag %s.sig; provenance and bills of materials: tag %s.att\n", tag,
                   tag);
    return MIO_OK;
}

/* [NAME] REFERENCE: with a name the image must be the one that its lock was sealed with. */
enum mio_code mio_env_verb_pull(struct mio_env_cli *c)
{
    struct mio_arena *a = &c->arena;
    struct mio_env_store store;
    struct mio_env_lock lock = {.arch = MIO_STR("amd64")};
    struct mio_env_registry r;
    struct mio_env_remote im;
    const char *path;
    if (c->n_args != 1)
        return mio_fail(&c->err, MIO_USAGE, "env pull needs a reference: HOST[:PORT]/NAME[:TAG]");
    if (mio_env_registry_parse(a, c->args[0], &r, &c->err) ||
        (c->spec_path && mio_env_cli_lock(c, &lock, &path)) ||
        mio_env_store_open(a, c->store_path, &store, &c->err) ||
        mio_env_pull(a, &store, &r, lock.arch, true, &im, &c->err))
        return c->err.code;
    if (!im.found)
        return mio_fail(&c->err, MIO_REALITY, "%s is not in the registry", c->args[0]);
    struct mio_str sealed = mio_get_str(lock.sealed, "config"),
                   is = mio_arena_printf(a, "sha256:%.*s", MIO_FMT(im.config_digest));
    if (c->spec_path && !mio_str_eq(sealed, is)) {
        mio_fail(&c->err, MIO_STATE, "%s is environment %.*s, but %s is sealed as %.*s", c->args[0],
                 MIO_FMT(is), path, MIO_FMT(sealed.n ? sealed : MIO_STR("nothing")));
        return mio_err_hint(&c->err, "'mlops-iac env drift' names the paths that differ");
    }
    struct mio_env_oci image = {r.name,   im.manifest, im.manifest_digest,
                                im.blobs, im.n_blobs,  false};
    if (c->out_path && mio_env_oci_write(a, &store, &image, c->out_path, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out, "environment %.*s\nmanifest    sha256:%.*s\n", MIO_FMT(is),
                   MIO_FMT(im.manifest_digest));
    mio_buf_printf(&c->out, "%zu of %zu blobs were fetched, the others were there\n", im.fetched,
                   im.n_blobs);
    return MIO_OK;
}
