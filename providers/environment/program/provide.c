/* providers/environment/program/provide.c: what providers ask for: env check, env provide, env
 * look.
 *
 * They answer with one JSON object; -json turns errors into one as well. */
#include "providers/environment/base_image.h"
#include "providers/environment/program/verbs.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <unistd.h>

enum { NAMED = 3 }; /* deviations that a sentence names */

static struct mio_str hex_of(struct mio_str digest)
{
    return mio_str_starts(digest, "sha256:") ? mio_str_sub(digest, 7, digest.n) : digest;
}

/* The version that Debian's python3 has: "3.11.2-1+b1" is 3.11.2. */
static struct mio_str python_of(const struct mio_env_lock *lock)
{
    for (size_t i = 0; i < lock->n_packages; i++)
        if (mio_str_is(lock->packages[i].name, "python3-minimal")) {
            struct mio_str v = lock->packages[i].version;
            ptrdiff_t dash = mio_str_find(v, '-');
            return mio_str_sub(v, 0, dash < 0 ? v.n : (size_t)dash);
        }
    return (struct mio_str){0};
}

static struct mio_str packages_digest(struct mio_arena *a, const struct mio_env_lock *lock)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_str(&b, mio_get_str(mio_env_below(lock), "manifest"));
    for (size_t i = 0; i < lock->n_packages; i++)
        mio_buf_printf(&b, "%.*s %.*s\n", MIO_FMT(lock->packages[i].name),
                       MIO_FMT(lock->packages[i].version));
    for (size_t i = 0; i < lock->n_wheels; i++)
        mio_buf_printf(&b, "%.*s %.*s\n", MIO_FMT(lock->wheels[i].name),
                       MIO_FMT(lock->wheels[i].version));
    return mio_arena_printf(a, "sha256:%.*s", MIO_FMT(mio_env_sha256(a, mio_buf_view(&b))));
}

enum mio_code mio_env_cli_sealed(struct mio_env_cli *c, struct mio_env_lock *lock)
{
    const char *path;
    if (mio_env_cli_lock(c, lock, &path))
        return c->err.code;
    if (mio_env_seal_current(lock, &c->err))
        return c->err.code;
    if (mio_get_str(lock->sealed, "config").n)
        return MIO_OK;
    mio_fail(&c->err, MIO_STATE, "%s was never built: it has no seal", path);
    return mio_err_hint(&c->err,
                        "run 'mlops-iac env build %.*s', which writes the digests of the "
                        "image into the lock",
                        MIO_FMT(lock->name));
}

static void answer(struct mio_env_cli *c, const struct mio_env_lock *lock, bool made)
{
    struct mio_arena *a = &c->arena;
    struct mio_value below = mio_env_below(lock);
    const struct mio_value *python = mio_get_z(below, "python"),
                           *packages = mio_get_z(below, "packages");
    struct mio_str version = python ? mio_get_str(*python, "version") : python_of(lock);
    size_t n = lock->n_packages + lock->n_wheels + (packages ? packages->n : 0);
    struct mio_pair rows[] = {
        {MIO_STR("config_digest"), mio_string(mio_get_str(lock->sealed, "config"))},
        {MIO_STR("interpreter"), python ? mio_string(mio_get_str(*python, "interpreter"))
                                        : mio_string_z("/usr/bin/python3")},
        {MIO_STR("interpreter_version"), mio_string(version)},
        {MIO_STR("variables"), mio_env_variables(a, lock)},
        {MIO_STR("made"), mio_bool(made)},
        {MIO_STR("package_count"), mio_number_i64(a, (int64_t)n)},
        {MIO_STR("packages_digest"), mio_string(packages_digest(a, lock))},
        {MIO_STR("proven"), mio_bool(mio_get_bool(lock->sealed, "proven", true))},
    };
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, sizeof rows / sizeof *rows);
    memcpy(pairs, rows, sizeof rows);
    mio_json_write(&c->out, mio_map(pairs, sizeof rows / sizeof *rows), MIO_JSON_PLAIN);
}

enum mio_code mio_env_verb_check(struct mio_env_cli *c)
{
    struct mio_env_lock lock;
    if (!mio_env_cli_sealed(c, &lock))
        answer(c, &lock, false);
    return c->err.code;
}

static const char *list_path(struct mio_env_cli *c)
{
    return mio_arena_printf(&c->arena, "%s.files", c->root_path).p;
}

/* *n is 0 only for a root that is there and is what it should be. */
static enum mio_code look(struct mio_env_cli *c, struct mio_env_deviation **d, size_t *n)
{
    struct mio_env_content want;
    bool found = false;
    *d = MIO_NEW(&c->arena, struct mio_env_deviation);
    *n = 1;
    if (!mio_fs_is_dir(c->root_path) ||
        mio_env_content_read(&c->arena, list_path(c), &want, &found, &c->err) || !found)
        return c->err.code;
    return mio_env_inspect(&c->arena, &want, c->root_path, d, n, &c->err);
}

/* {"state": "intact" | "absent" | "altered: ~ /path (content), 2 more"} */
enum mio_code mio_env_verb_look(struct mio_env_cli *c)
{
    struct mio_env_deviation *d;
    size_t n;
    if (!c->root_path)
        return mio_fail(&c->err, MIO_USAGE, "-root=DIR is missing");
    if (look(c, &d, &n))
        return c->err.code;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_z(&b, !n ? "intact" : d[0].path.n ? "altered: " : "absent");
    for (size_t i = 0; i < n && i < NAMED && d[i].path.n; i++)
        mio_buf_printf(&b, "%s%c /%.*s", i ? ", " : "", d[i].sign, MIO_FMT(d[i].path));
    if (n > NAMED)
        mio_buf_printf(&b, " and %zu more", n - NAMED);
    struct mio_pair *state = MIO_NEW(&c->arena, struct mio_pair);
    *state =
        (struct mio_pair){MIO_STR("state"), mio_string(mio_arena_str(&c->arena, mio_buf_view(&b)))};
    mio_json_write(&c->out, mio_map(state, 1), MIO_JSON_PLAIN);
    return MIO_OK;
}

enum mio_code mio_env_cli_root(struct mio_env_cli *c, const struct mio_env_store *store,
                               const struct mio_env_lock *lock)
{
    struct mio_env_content want;
    struct mio_env_deviation *d;
    size_t n;
    MIO_AUTO_IMAGE im = {0};
    struct mio_str above = mio_path_dir(mio_str_z(c->root_path));
    if (mio_fs_mkdirs(mio_arena_z(&c->arena, above), 0700, &c->err) ||
        mio_env_cli_build(c, store, lock, &im))
        return c->err.code;
    mio_env_content_of(&want, &c->arena, &im);
    if (!mio_fs_is_dir(c->root_path)) {
        if (mio_env_root(&c->arena, &im, c->root_path, &c->err))
            return c->err.code;
    } else if (mio_env_inspect(&c->arena, &want, c->root_path, &d, &n, &c->err) ||
               mio_env_root_mend(&c->arena, &im, c->root_path, d, n, &c->err)) {
        return c->err.code;
    }
    if (mio_env_inspect(&c->arena, &want, c->root_path, &d, &n, &c->err))
        return c->err.code;
    if (n)
        return mio_fail(&c->err, MIO_IO, "%s: %c /%.*s after it was written", c->root_path,
                        d[0].sign, MIO_FMT(d[0].path));
    return mio_env_content_write(&want, list_path(c), &c->err);
}

enum mio_code mio_env_verb_provide(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock lock;
    struct mio_env_deviation *d;
    size_t n;
    if (!c->root_path)
        return mio_fail(&c->err, MIO_USAGE, "-root=DIR is missing");
    if (mio_env_cli_sealed(c, &lock))
        return c->err.code;
    /* Below the folder given: one root for each identity. */
    c->root_path = mio_arena_printf(&c->arena, "%s/%.*s", c->root_path,
                                    MIO_FMT(hex_of(mio_get_str(lock.sealed, "config"))))
                       .p;
    if (look(c, &d, &n))
        return c->err.code;
    bool made = n > 0;
    if (made && (mio_env_store_open(&c->arena, c->store_path, &store, &c->err) ||
                 mio_env_cli_root(c, &store, &lock)))
        return c->err.code;
    answer(c, &lock, made);
    return MIO_OK;
}
