/* providers/environment/program/lock.c: env lock. */
#include "providers/environment/program/verbs.h"
#include "providers/environment/conda_file.h"
#include "providers/environment/pylock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <fcntl.h>

/* The body came by a descriptor, and may hold secrets: nobody that is started here gets it. */
static void keep_to_itself(const char *path)
{
    static const char own[] = "/proc/self/fd/";
    uint64_t fd;
    struct mio_str s = mio_str_z(path);
    if (mio_str_starts(s, own) && mio_str_u64(mio_str_sub(s, sizeof own - 1, s.n), &fd))
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

enum mio_code mio_env_cli_spec(struct mio_env_cli *c, struct mio_env_spec *out)
{
    struct mio_str text;
    struct mio_value v;
    if (!c->spec_path)
        return mio_fail(&c->err, MIO_USAGE, "-spec=FILE is missing");
    keep_to_itself(c->spec_path);
    if (mio_fs_read(&c->arena, c->spec_path, 4 << 20, &text, NULL, &c->err) ||
        mio_json_read(&c->arena, text, NULL, &v, &c->err))
        return mio_err_wrap(&c->err, "%s", c->spec_path);
    const struct mio_value *body = mio_get_z(v, "body");
    struct mio_str name = mio_get_str(v, "name");
    if (!body || !name.n)
        return mio_fail(&c->err, MIO_USAGE, "%s needs a name and a body", c->spec_path);
    struct mio_value whole;
    if (mio_env_conda_file(&c->arena, *body, c->dir, &whole, &c->err))
        return mio_err_wrap(&c->err, "environment %.*s", MIO_FMT(name));
    return mio_env_spec_read(&c->arena, name, whole, out, &c->err);
}

/* What became of each name of a conda_file. */
static void tell_mapping(struct mio_env_cli *c, const struct mio_env_spec *spec)
{
    const struct mio_value *file = mio_get_z(spec->body, "conda_file");
    const struct mio_value *notes = file ? mio_get_z(*file, "mapping") : NULL;
    for (uint32_t i = 0; notes && i < notes->n; i++)
        mio_buf_printf(&c->out, "  %.*s\n", MIO_FMT(mio_value_str(notes->items[i])));
}

/* An unchanged result leaves the file, its seal included, as it is. */
static enum mio_code save(struct mio_env_cli *c, const char *path, const struct mio_env_lock *old,
                          bool found, struct mio_env_lock *lock)
{
    struct mio_buf *o = &c->out;
    struct mio_err foreign = {0};
    if (found && !mio_env_seal_current(old, &foreign) &&
        mio_str_eq(mio_env_lock_text(&c->arena, old, false),
                   mio_env_lock_text(&c->arena, lock, false))) {
        mio_buf_printf(o, "%s is up to date: %zu packages, %zu wheels\n", path, lock->n_packages,
                       lock->n_wheels);
        return MIO_OK;
    }
    if (found)
        mio_env_lock_diff(old, lock, o);
    if (mio_env_lock_write(&c->arena, path, lock, &c->err))
        return c->err.code;
    if (!mio_is_null(lock->image))
        mio_buf_printf(o, "image %.*s is %.*s\n", MIO_FMT(mio_get_str(lock->image, "reference")),
                       MIO_FMT(mio_get_str(lock->image, "manifest")));
    const struct mio_value *bases = mio_get_z(lock->build, "bases");
    for (uint32_t i = 0; bases && i < bases->n; i++)
        mio_buf_printf(o, "image %.*s is %.*s\n",
                       MIO_FMT(mio_get_str(bases->items[i], "reference")),
                       MIO_FMT(mio_get_str(bases->items[i], "manifest")));
    mio_buf_printf(o, "%s: %zu packages, %zu wheels\n", path, lock->n_packages, lock->n_wheels);
    return MIO_OK;
}

/* Every name that is to be renewed must be in the lock. */
static enum mio_code check_names(struct mio_env_cli *c, const struct mio_env_lock *old,
                                 const struct mio_env_keep *keep)
{
    for (size_t i = 0; i < keep->n_names; i++) {
        bool there = (!mio_is_null(old->image) || !mio_is_null(old->build)) &&
                     mio_str_is(keep->names[i], "image");
        for (size_t k = 0; k < old->n_packages; k++)
            there |= mio_str_eq(old->packages[k].name, keep->names[i]);
        for (size_t k = 0; k < old->n_wheels; k++)
            there |= mio_str_eq(old->wheels[k].name, keep->names[i]);
        if (!there)
            return mio_fail(&c->err, MIO_USAGE, "the lock has no package %.*s to renew",
                            MIO_FMT(keep->names[i]));
    }
    return MIO_OK;
}

/* Says whether the lock fits, writes nothing and needs no network. */
static enum mio_code check(struct mio_env_cli *c)
{
    struct mio_env_lock lock;
    const char *path;
    if (!mio_env_cli_lock(c, &lock, &path))
        mio_buf_printf(&c->out, "%s fits what is declared\n", path);
    return c->err.code;
}

static enum mio_code write_pylock(struct mio_env_cli *c, const struct mio_env_lock *lock)
{
    if (!c->out_path)
        return MIO_OK;
    if (mio_fs_replace(c->out_path, mio_env_pylock_text(&c->arena, lock), 0644, &c->err))
        return c->err.code;
    mio_buf_printf(&c->out, "%s: %zu wheels\n", c->out_path, lock->n_wheels);
    return MIO_OK;
}

enum mio_code mio_env_verb_lock(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_spec spec;
    struct mio_env_lock lock, old = {0};
    bool found = false;
    if (c->n_args && !c->upgrade)
        return mio_fail(&c->err, MIO_USAGE,
                        "packages are named to be renewed: -upgrade is missing");
    if (c->check)
        return check(c);
    if (mio_env_cli_spec(c, &spec) || mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    const char *path = mio_env_lock_path(&c->arena, c->locks ? c->locks : c->dir, spec.name);
    struct mio_str *names = MIO_NEW_N(&c->arena, struct mio_str, c->n_args + 1);
    for (size_t i = 0; i < c->n_args; i++)
        names[i] = mio_str_z(c->args[i]);
    if (mio_env_lock_read(&c->arena, path, &old, &found, &c->err))
        return c->err.code;
    struct mio_env_keep keep = {.old = found ? &old : NULL,
                                .names = names,
                                .n_names = c->n_args,
                                .all = c->upgrade && !c->n_args};
    if (check_names(c, &old, &keep) ||
        mio_env_lock_make(&c->arena, &store, &spec, c->dir, &keep, &lock, &c->err) ||
        save(c, path, &old, found, &lock))
        return c->err.code;
    tell_mapping(c, &spec);
    return write_pylock(c, &lock);
}
