/* providers/environment/stale.c: what is declared other than it was locked. */
#include "providers/environment/lock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

static struct mio_value or_null(const struct mio_value *v)
{
    return v ? *v : mio_null();
}

static void put_value(struct mio_buf *b, struct mio_value v)
{
    if (mio_is_null(v))
        mio_buf_z(b, "(nothing)");
    else
        mio_json_write(b, v, MIO_JSON_HIDDEN);
}

/* One line for each key that differs; maps are opened, lists are shown whole. */
static void compare(struct mio_arena *a, struct mio_str path, struct mio_value was,
                    struct mio_value is, struct mio_buf *out)
{
    if (mio_equal(was, is))
        return;
    if (was.type != MIO_MAP || is.type != MIO_MAP) {
        mio_buf_printf(out, "~ %.*s ", MIO_FMT(path));
        put_value(out, was);
        mio_buf_z(out, " -> ");
        put_value(out, is);
        mio_buf_char(out, '\n');
        return;
    }
    const char *dot = path.n ? "." : "";
    for (uint32_t i = 0; i < was.n; i++)
        compare(a, mio_arena_printf(a, "%.*s%s%.*s", MIO_FMT(path), dot, MIO_FMT(was.pairs[i].key)),
                was.pairs[i].value, or_null(mio_get(is, was.pairs[i].key)), out);
    for (uint32_t i = 0; i < is.n; i++)
        if (!mio_get(was, is.pairs[i].key))
            compare(a,
                    mio_arena_printf(a, "%.*s%s%.*s", MIO_FMT(path), dot, MIO_FMT(is.pairs[i].key)),
                    mio_null(), is.pairs[i].value, out);
}

/* Files whose content is not what was locked. */
static void compare_sources(struct mio_value was, struct mio_value is, struct mio_buf *out)
{
    for (uint32_t i = 0; is.type == MIO_MAP && i < is.n; i++) {
        const struct mio_value *old = mio_get(was, is.pairs[i].key);
        if (!old || !mio_equal(*old, is.pairs[i].value))
            mio_buf_printf(out, "%c file %.*s\n", old ? '~' : '+', MIO_FMT(is.pairs[i].key));
    }
    for (uint32_t i = 0; was.type == MIO_MAP && i < was.n; i++)
        if (!mio_get(is, was.pairs[i].key))
            mio_buf_printf(out, "- file %.*s\n", MIO_FMT(was.pairs[i].key));
}

static enum mio_code compare_files(struct mio_arena *a, struct mio_value files, const char *dir,
                                   struct mio_buf *out, struct mio_err *err)
{
    for (uint32_t i = 0; files.type == MIO_LIST && i < files.n; i++) {
        struct mio_str source = mio_get_str(files.items[i], "source"), digest;
        const char *path = mio_path_join(a, mio_str_z(dir), source).p;
        if (!mio_fs_exists(path))
            mio_buf_printf(out, "- file %.*s\n", MIO_FMT(source));
        else if (mio_digest_path(a, path, &digest, err))
            return err->code;
        else if (!mio_str_eq(digest, mio_get_str(files.items[i], "digest")))
            mio_buf_printf(out, "~ file %.*s\n", MIO_FMT(source));
    }
    return MIO_OK;
}

/* What locking found out about an image's Python is nobody's declaration. */
static struct mio_value as_locked(struct mio_arena *a, const struct mio_env_lock *lock,
                                  struct mio_value config)
{
    static const char *const found[] = {"glibc", "prefix", "version"};
    const struct mio_value *was = mio_get_z(lock->config, "python"),
                           *is = mio_get_z(config, "python");
    if (mio_is_null(lock->image) || !was || !is)
        return config;
    struct mio_value python = *is;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (mio_get_z(*was, found[i]) && !mio_get_z(python, found[i]))
            python = mio_map_with(a, python, mio_str_z(found[i]), *mio_get_z(*was, found[i]));
    return mio_map_with(a, config, MIO_STR("python"), python);
}

enum mio_code mio_env_lock_stale(struct mio_arena *a, const struct mio_env_lock *lock,
                                 const struct mio_env_spec *spec, const char *dir,
                                 struct mio_buf *out, struct mio_err *err)
{
    struct mio_str inputs;
    struct mio_value sources;
    if (mio_env_spec_digest(a, spec, dir, &inputs, &sources, err))
        return err->code;
    compare(a, MIO_STR(""), lock->config, as_locked(a, lock, mio_env_lock_config(a, spec)), out);
    compare_sources(lock->sources, sources, out);
    return compare_files(a, lock->files, dir, out, err);
}
