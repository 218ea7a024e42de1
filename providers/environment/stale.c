/* providers/environment/stale.c: what is declared other than it was locked. */
#include "providers/environment/lock.h"
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

/* Files that the image gets. */
static void compare_files(struct mio_value was, struct mio_value is, struct mio_buf *out)
{
    for (uint32_t i = 0; i < is.n; i++) {
        const struct mio_value *old = was.type == MIO_LIST && i < was.n ? &was.items[i] : NULL;
        if (!old || !mio_equal(*old, is.items[i]))
            mio_buf_printf(out, "~ file %.*s\n", MIO_FMT(mio_get_str(is.items[i], "source")));
    }
    for (uint32_t i = is.n; was.type == MIO_LIST && i < was.n; i++)
        mio_buf_printf(out, "- file %.*s\n", MIO_FMT(mio_get_str(was.items[i], "source")));
}

enum mio_code mio_env_lock_stale(struct mio_arena *a, const struct mio_env_lock *lock,
                                 const struct mio_env_spec *spec, const char *dir,
                                 struct mio_buf *out, struct mio_err *err)
{
    struct mio_env_inputs inputs;
    struct mio_value config;
    const struct {
        const char *key;
        struct mio_str was, is;
    } own[] = {{"arch", lock->arch, spec->arch}, {"suite", lock->suite, spec->suite}};
    size_t before = out->n;
    if (mio_env_spec_inputs(a, spec, dir, &inputs, err) ||
        mio_env_lock_config(a, spec, lock, &config, err))
        return err->code;
    compare(a, MIO_STR("name"), mio_string(lock->name), mio_string(spec->name), out);
    compare(a, MIO_STR(""), lock->config, config, out);
    for (size_t i = 0; i < 2 && out->n == before; i++) /* what follows from the base */
        compare(a, mio_str_z(own[i].key), mio_string(own[i].was), mio_string(own[i].is), out);
    compare_sources(lock->sources, inputs.sources, out);
    compare_files(lock->files, inputs.files, out);
    if (out->n == before && !mio_str_eq(inputs.digest, lock->inputs))
        mio_buf_z(out, "another version of mlops-iac has read the declaration\n");
    return MIO_OK;
}
