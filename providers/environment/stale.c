/* providers/environment/stale.c: what is declared other than it was locked. */
#include "providers/environment/lock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

static void put(struct mio_buf *out, const struct mio_value *v)
{
    if (v)
        mio_json_write(out, *v, MIO_JSON_HIDDEN);
    else
        mio_buf_z(out, "(nothing)");
}

static void change(struct mio_buf *out, struct mio_str key, const struct mio_value *was,
                   const struct mio_value *is)
{
    mio_buf_printf(out, "~ %.*s ", MIO_FMT(key));
    put(out, was);
    mio_buf_z(out, " -> ");
    put(out, is);
    mio_buf_char(out, '\n');
}

enum mio_code mio_env_lock_stale(struct mio_arena *a, const struct mio_env_lock *lock,
                                 const struct mio_env_spec *spec, const char *dir,
                                 struct mio_buf *out, struct mio_err *err)
{
    struct mio_value was = lock->config, is = mio_env_lock_config(a, spec);
    size_t before = out->n;
    for (uint32_t i = 0; was.type == MIO_MAP && i < was.n; i++) {
        const struct mio_value *now = mio_get(is, was.pairs[i].key);
        if (!now || !mio_equal(*now, was.pairs[i].value))
            change(out, was.pairs[i].key, &was.pairs[i].value, now);
    }
    for (uint32_t i = 0; i < is.n; i++)
        if (!mio_get(was, is.pairs[i].key))
            change(out, is.pairs[i].key, NULL, &is.pairs[i].value);
    for (uint32_t i = 0; lock->files.type == MIO_LIST && i < lock->files.n; i++) {
        struct mio_str source = mio_get_str(lock->files.items[i], "source"), digest;
        const char *path = mio_path_join(a, mio_str_z(dir), source).p;
        if (!mio_fs_exists(path))
            mio_buf_printf(out, "- file %.*s\n", MIO_FMT(source));
        else if (mio_digest_path(a, path, &digest, err))
            return err->code;
        else if (!mio_str_eq(digest, mio_get_str(lock->files.items[i], "digest")))
            mio_buf_printf(out, "~ file %.*s\n", MIO_FMT(source));
    }
    if (out->n == before && spec->requirements.n) /* locked by the digest of the inputs alone */
        mio_buf_printf(out, "~ file %.*s\n", MIO_FMT(spec->requirements));
    return MIO_OK;
}
