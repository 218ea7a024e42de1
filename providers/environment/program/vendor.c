/* providers/environment/program/vendor.c: env vendor. */
#include "providers/environment/base_image.h"
#include "providers/environment/program/verbs.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <unistd.h>

static enum mio_code copy(struct mio_env_cli *c, const struct mio_env_store *s, struct mio_str hex)
{
    const char *to = mio_arena_printf(&c->arena, "%s/sha256/%.*s", c->out_path, MIO_FMT(hex)).p;
    struct mio_str unknown = {0};
    if (mio_env_unchanged(&c->arena, to, hex, &unknown)) /* of an earlier time, and still sound */
        return MIO_OK;
    const char *tmp = mio_env_partial(&c->arena, to);
    if (!mio_env_store_give(&c->arena, s, hex, tmp, &c->err) && rename(tmp, to)) {
        mio_fail_sys(&c->err, errno, "cannot rename %s to %s", tmp, to);
        unlink(tmp);
    }
    return c->err.code;
}

enum mio_code mio_env_verb_vendor(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    const char *path;
    if (!c->out_path)
        return mio_fail(&c->err, MIO_USAGE, "-out=DIR is missing: where the copies go");
    if (mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    struct mio_env_build_opts o = {
        .store = &store, .dir = c->dir, .vendor = c->vendor, .offline = c->offline};
    if (mio_env_fetch_lock(&c->arena, &o, &lock, &c->err) ||
        mio_fs_mkdirs(mio_arena_printf(&c->arena, "%s/sha256", c->out_path).p, 0755, &c->err))
        return c->err.code;
    struct mio_str *image;
    size_t n = 0;
    if (!mio_is_null(lock.image))
        mio_env_base_blobs(&c->arena, lock.image, &image, &n);
    for (size_t i = 0; i < n; i++)
        if (copy(c, &store, image[i]))
            return c->err.code;
    const struct mio_value *bases = mio_get_z(lock.build, "bases");
    for (uint32_t k = 0; bases && k < bases->n; k++) {
        mio_env_base_blobs(&c->arena, bases->items[k], &image, &n);
        for (size_t i = 0; i < n; i++)
            if (copy(c, &store, image[i]))
                return c->err.code;
    }
    for (size_t i = 0; i < lock.n_packages; i++)
        if (copy(c, &store, lock.packages[i].sha256))
            return c->err.code;
    for (size_t i = 0; i < lock.n_wheels; i++)
        if (copy(c, &store, lock.wheels[i].sha256))
            return c->err.code;
    mio_buf_printf(&c->out, "%s: %zu packages, %zu wheels%s\n", c->out_path, lock.n_packages,
                   lock.n_wheels, mio_is_null(lock.image) ? "" : ", the image below them");
    return MIO_OK;
}
