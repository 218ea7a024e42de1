/* providers/environment/program/drift.c: env drift: a tag of a registry, or a root on disk, against
 * the lock, path by path. */
#include "providers/environment/base_image.h"
#include "providers/environment/program/verbs.h"
#include "providers/environment/registry.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <stdlib.h>

static enum mio_code tell(struct mio_env_cli *c, const struct mio_env_deviation *d, size_t n)
{
    mio_env_deviations_print(d, n, &c->out);
    mio_buf_printf(&c->out, "%s: %zu paths differ from the lock\n", c->args[0], n);
    c->differs = true;
    return MIO_OK;
}

static enum mio_code of_root(struct mio_env_cli *c, const struct mio_env_image *im)
{
    struct mio_env_content want;
    struct mio_env_deviation *d;
    size_t n;
    MIO_AUTO_FREE char *root = realpath(c->args[0], NULL); /* it may be named by a link */
    if (!root)
        return mio_fail_sys(&c->err, errno, "cannot open %s", c->args[0]);
    mio_env_content_of(&want, &c->arena, im);
    if (mio_env_inspect(&c->arena, &want, root, &d, &n, &c->err))
        return c->err.code;
    if (n)
        return tell(c, d, n);
    mio_buf_printf(&c->out, "%s is as locked: %zu paths\n", c->args[0], want.n);
    return MIO_OK;
}

static struct mio_value part(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
}

/* Variables, command and the like of the two configurations. */
static void diff_config(struct mio_env_cli *c, struct mio_value want, struct mio_value is)
{
    for (uint32_t i = 0; want.type == MIO_MAP && i < want.n; i++) {
        struct mio_value now = part(is, mio_arena_z(&c->arena, want.pairs[i].key));
        if (mio_equal(want.pairs[i].value, now))
            continue;
        mio_buf_printf(&c->out, "~ %.*s ", MIO_FMT(want.pairs[i].key));
        mio_json_write(&c->out, want.pairs[i].value, MIO_JSON_HIDDEN);
        mio_buf_z(&c->out, " -> ");
        mio_json_write(&c->out, now, MIO_JSON_HIDDEN);
        mio_buf_char(&c->out, '\n');
    }
}

/* Both images laid out by path; only what differs is fetched, for equal layers are in the store. */
static enum mio_code compare_images(struct mio_env_cli *c, const struct mio_env_store *store,
                                    const struct mio_env_registry *r, struct mio_str arch,
                                    const struct mio_env_image *im)
{
    struct mio_env_content want, is;
    struct mio_env_remote remote;
    struct mio_env_deviation *d;
    struct mio_value config;
    size_t n;
    if (mio_env_pull(&c->arena, store, r, arch, true, &remote, &c->err) ||
        mio_json_read(&c->arena, im->config, NULL, &config, &c->err))
        return c->err.code;
    mio_env_content_of(&want, &c->arena, im);
    mio_env_content_init(&is, &c->arena);
    for (uint32_t i = 0; i < remote.layers.n; i++) {
        struct mio_str digest = mio_get_str(remote.layers.items[i], "digest");
        struct mio_str hex = mio_str_sub(digest, 7, digest.n);
        if (mio_env_content_layer(&is, mio_env_store_blob(&c->arena, store, hex), &c->err))
            return c->err.code;
    }
    mio_env_content_diff(&c->arena, &want, &is, &d, &n);
    diff_config(c, part(config, "config"), part(remote.config, "config"));
    return tell(c, d, n);
}

static enum mio_code of_tag(struct mio_env_cli *c, const struct mio_env_store *store,
                            const struct mio_env_lock *lock)
{
    struct mio_env_registry r;
    struct mio_env_remote remote;
    MIO_AUTO_IMAGE im = {0};
    if (mio_env_registry_parse(&c->arena, c->args[0], &r, &c->err) ||
        mio_env_pull(&c->arena, store, &r, lock->arch, false, &remote, &c->err))
        return c->err.code;
    if (!remote.found) {
        c->differs = true;
        mio_buf_printf(&c->out, "%s is not in the registry\n", c->args[0]);
        return MIO_OK;
    }
    struct mio_str is = mio_arena_printf(&c->arena, "sha256:%.*s", MIO_FMT(remote.config_digest));
    bool same = mio_str_eq(is, mio_get_str(lock->sealed, "config"));
    mio_buf_printf(&c->out, "%s is environment %.*s, %s\n", c->args[0], MIO_FMT(is),
                   same ? "as sealed" : "which is not what the lock was sealed with");
    if (same)
        return MIO_OK;
    return mio_env_cli_build(c, store, lock, &im) ? c->err.code
                                                  : compare_images(c, store, &r, lock->arch, &im);
}

/* Whether the tags of the images that the lock stands on still mean what they did. */
static enum mio_code of_base(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock, one;
    const char *path;
    if (mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    struct mio_value bases = part(lock.build, "bases");
    if (mio_is_null(lock.image) && bases.type != MIO_LIST)
        return mio_fail(&c->err, MIO_USAGE,
                        "env drift needs a folder, or a reference: HOST[:PORT]/NAME[:TAG]");
    one = lock;
    for (uint32_t i = 0; i < (bases.type == MIO_LIST ? bases.n : 1); i++) {
        struct mio_str now;
        bool moved;
        if (bases.type == MIO_LIST)
            one.image = bases.items[i];
        if (mio_env_base_moved(&c->arena, &store, &one, c->dir, &moved, &now, &c->err))
            return c->err.code;
        struct mio_str was = mio_get_str(one.image, "manifest"),
                       name = mio_get_str(one.image, "reference");
        if (moved)
            mio_buf_printf(&c->out, "~ image %.*s %.*s -> sha256:%.*s\n", MIO_FMT(name),
                           MIO_FMT(was), MIO_FMT(now));
        else
            mio_buf_printf(&c->out, "image %.*s is as locked: %.*s\n", MIO_FMT(name), MIO_FMT(was));
        c->differs |= moved;
    }
    return MIO_OK;
}

enum mio_code mio_env_verb_drift(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    if (!c->n_args)
        return of_base(c);
    if (c->n_args != 1)
        return mio_fail(&c->err, MIO_USAGE,
                        "env drift needs a folder, or a reference: HOST[:PORT]/NAME[:TAG]");
    if (mio_env_cli_sealed(c, &lock) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    const char *at = c->args[0];
    if (!mio_fs_is_dir(at) && (mio_fs_exists(at) || *at == '/' || *at == '.')) {
        mio_fail(&c->err, MIO_USAGE, "%s is no folder", at);
        return mio_err_hint(&c->err, "env drift takes a root file system on disk, or a reference: "
                                     "HOST[:PORT]/NAME[:TAG]");
    }
    if (!mio_fs_is_dir(at))
        return of_tag(c, &store, &lock);
    return mio_env_cli_build(c, &store, &lock, &im) ? c->err.code : of_root(c, &im);
}
