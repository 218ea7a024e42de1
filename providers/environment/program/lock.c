/* providers/environment/program/lock.c: env lock. */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

enum mio_code mio_env_cli_spec(struct mio_env_cli *c, struct mio_env_spec *out)
{
    struct mio_str text;
    struct mio_value v;
    if (!c->spec_path)
        return mio_fail(&c->err, MIO_USAGE, "-spec=FILE is missing");
    if (mio_fs_read(&c->arena, c->spec_path, 4 << 20, &text, NULL, &c->err) ||
        mio_json_read(&c->arena, text, NULL, &v, &c->err))
        return mio_err_wrap(&c->err, "%s", c->spec_path);
    const struct mio_value *body = mio_get_z(v, "body");
    struct mio_str name = mio_get_str(v, "name");
    if (!body || !name.n)
        return mio_fail(&c->err, MIO_USAGE, "%s needs a name and a body", c->spec_path);
    return mio_env_spec_read(&c->arena, name, *body, out, &c->err);
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
    mio_buf_printf(o, "%s: %zu packages, %zu wheels\n", path, lock->n_packages, lock->n_wheels);
    return MIO_OK;
}

enum mio_code mio_env_verb_lock(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_spec spec;
    struct mio_env_lock lock, old = {0};
    bool found = false;
    if (mio_env_cli_spec(c, &spec) || mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    const char *path = mio_env_lock_path(&c->arena, c->dir, spec.name);
    if (mio_env_lock_read(&c->arena, path, &old, &found, &c->err) ||
        mio_env_lock_make(&c->arena, &store, &spec, c->dir, &lock, &c->err))
        return c->err.code;
    return save(c, path, &old, found, &lock);
}
