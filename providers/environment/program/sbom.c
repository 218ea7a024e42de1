/* providers/environment/program/sbom.c: env sbom, with provenance where a key is given. */
#include "providers/environment/sbom.h"
#include "providers/environment/attest.h"
#include "providers/environment/program/verbs.h"
#include "providers/sdk/fs.h"

enum mio_code mio_env_verb_sbom(struct mio_env_cli *c)
{
    struct mio_env_lock lock;
    const char *path, *out = c->out_path ? c->out_path : ".";
    if (mio_env_cli_lock(c, &lock, &path) || mio_fs_mkdirs(out, 0755, &c->err))
        return c->err.code;
    struct mio_str stem = mio_env_file_name(&c->arena, lock.name);
    const char *spdx = mio_arena_printf(&c->arena, "%s/%.*s.spdx.json", out, MIO_FMT(stem)).p,
               *cdx = mio_arena_printf(&c->arena, "%s/%.*s.cdx.json", out, MIO_FMT(stem)).p;
    if (mio_fs_replace(spdx, mio_env_spdx(&c->arena, &lock), 0644, &c->err) ||
        mio_fs_replace(cdx, mio_env_cyclonedx(&c->arena, &lock), 0644, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out, "%s\n%s\n", spdx, cdx);
    const char *key = getenv("MLOPS_IAC_ENV_KEY"),
               *to = mio_arena_printf(&c->arena, "%s/%.*s.provenance.dsse.json", out, MIO_FMT(stem))
                         .p;
    struct mio_str envelope;
    if (!key || !*key)
        return MIO_OK;
    if (mio_env_attest(&c->arena, &lock, MIO_ENV_PROVENANCE, key, &envelope, &c->err) ||
        mio_fs_replace(to, envelope, 0644, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out, "%s\n", to);
    return MIO_OK;
}
