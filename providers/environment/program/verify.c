/* providers/environment/program/verify.c: env verify and env diff. */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"
#include <unistd.h>

/* The second build differs in everything that must not matter: store, folder, umask, zone,
 * language, number of threads. Inputs come from the first store by hash. */
static enum mio_code rebuild(struct mio_env_cli *c, const char *lock, const char *folder,
                             const char *inputs)
{
    struct mio_arena *a = &c->arena;
    const char *self = mio_arena_alloc(a, 4096);
    ssize_t n = readlink("/proc/self/exe", (char *)(uintptr_t)self, 4095);
    if (n <= 0)
        return mio_fail(&c->err, MIO_IO, "cannot find this program's own file");
    ((char *)(uintptr_t)self)[n] = 0;
    const char *const argv[] = {self,
                                "build",
                                "-offline",
                                mio_arena_printf(a, "-lock=%s", lock).p,
                                mio_arena_printf(a, "-dir=%s", c->dir).p,
                                mio_arena_printf(a, "-store=%s/store", folder).p,
                                mio_arena_printf(a, "-out=%s/image", folder).p,
                                mio_arena_printf(a, "-vendor=%s", inputs).p,
                                "-threads=1",
                                NULL};
    const char *const env[] = {"TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "HOME=/nonexistent",
                               "PATH=/usr/bin:/bin", NULL};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 16);
    int status = 0;
    mode_t old = umask(077);
    struct mio_proc_opts o = {.argv = argv, .env = env, .cwd = folder, .in = -1};
    mio_proc_run(&o, mio_now_ms() + 3600 * 1000, &said, &status, &c->err);
    umask(old);
    if (!c->err.code && status)
        return mio_fail(&c->err, MIO_STATE, "the second build failed: %.*s",
                        MIO_FMT(mio_str_trim(mio_buf_view(&said))));
    return c->err.code;
}

/* Every file of one layout against the other, by name and content. */
static enum mio_code compare(struct mio_env_cli *c, const char *x, const char *y)
{
    struct mio_arena *a = &c->arena;
    static const char *const folders[] = {".", "blobs/sha256"};
    for (size_t f = 0; f < 2; f++) {
        struct mio_str *names[2], hex[2];
        size_t n[2];
        uint64_t size;
        for (size_t k = 0; k < 2; k++)
            if (mio_fs_list(a, mio_arena_printf(a, "%s/%s", k ? y : x, folders[f]).p, &names[k],
                            &n[k], &c->err))
                return c->err.code;
        bool same = n[0] == n[1];
        for (size_t i = 0; i < n[0] && same; i++) {
            same = mio_str_eq(names[0][i], names[1][i]);
            for (size_t k = 0; k < 2 && same; k++) {
                const char *path =
                    mio_arena_printf(a, "%s/%s/%.*s", k ? y : x, folders[f], MIO_FMT(names[0][i]))
                        .p;
                if (!mio_fs_is_dir(path) && mio_env_file_sha256(a, path, &hex[k], &size, &c->err))
                    return c->err.code;
                if (k && !mio_fs_is_dir(path))
                    same = mio_str_eq(hex[0], hex[1]);
            }
        }
        if (!same)
            return mio_fail(&c->err, MIO_STATE, "the two builds differ: compare %s and %s", x, y);
    }
    return MIO_OK;
}

enum mio_code mio_env_verb_verify(struct mio_env_cli *c)
{
    struct mio_arena *a = &c->arena;
    struct mio_env_store store;
    struct mio_env_lock lock;
    MIO_AUTO_IMAGE im = {0};
    const char *path;
    if (mio_env_cli_lock(c, &lock, &path) ||
        mio_env_store_open(a, c->store_path, &store, &c->err) ||
        mio_env_cli_build(c, &store, &lock, &im))
        return c->err.code;
    const char *folder = mio_env_store_tmp(a, &store),
               *inputs = mio_arena_printf(a, "%s/blobs", store.root).p,
               *one = mio_arena_printf(a, "%s/one", folder).p,
               *two = mio_arena_printf(a, "%s/image", folder).p,
               *copy = mio_arena_printf(a, "%s/lock.json", folder).p;
    MIO_AUTO_FREE char *cwd = getcwd(NULL, 0);
    c->dir = mio_path_join(a, mio_str_z(cwd ? cwd : "/"), mio_str_z(c->dir)).p;
    if (!mio_fs_mkdirs(folder, 0755, &c->err) && !mio_env_lock_write(a, copy, &lock, &c->err) &&
        !mio_env_oci_layout(a, &store, &lock, &im, one, &c->err) &&
        !rebuild(c, copy, folder, inputs))
        compare(c, one, two);
    if (!c->err.code || c->err.code != MIO_STATE) {
        struct mio_err ignored = {0};
        mio_fs_remove_tree(folder, &ignored);
    }
    if (!c->err.code)
        mio_buf_printf(&c->out, "verified: two builds gave sha256:%.*s, byte for byte\n",
                       MIO_FMT(im.config_digest));
    return c->err.code;
}

/* ---- diff ---- */

static enum mio_code load(struct mio_env_cli *c, const char *path, struct mio_env_lock *out)
{
    bool found = false;
    if (mio_env_lock_read(&c->arena, path, out, &found, &c->err))
        return c->err.code;
    return found ? MIO_OK : mio_fail(&c->err, MIO_USAGE, "%s is not there", path);
}

static void diff_values(struct mio_env_cli *c, const char *what, struct mio_value x,
                        struct mio_value y)
{
    if (mio_equal(x, y))
        return;
    mio_buf_printf(&c->out, "~ %s ", what);
    mio_json_write(&c->out, x, MIO_JSON_HIDDEN);
    mio_buf_z(&c->out, " -> ");
    mio_json_write(&c->out, y, MIO_JSON_HIDDEN);
    mio_buf_char(&c->out, '\n');
}

static struct mio_value key_of(struct mio_value config, const char *key)
{
    const struct mio_value *v = mio_get_z(config, key);
    return v ? *v : mio_null();
}

/* Which file is whose; the last cell wins as in the image. */
static void index_files(struct mio_arena *a, const struct mio_env_image *im, struct mio_index *out)
{
    mio_index_init(out, a, 4096);
    for (size_t c = 0; c < im->n_cells; c++)
        for (size_t i = 0; i < im->cells[c].n; i++)
            mio_index_set(out, im->cells[c].items[i].path, (uintptr_t)&im->cells[c].items[i]);
}

static void diff_files(struct mio_env_cli *c, const struct mio_env_image *x,
                       const struct mio_env_image *y)
{
    struct mio_index a, b;
    index_files(&c->arena, x, &a);
    index_files(&c->arena, y, &b);
    const struct mio_env_image *images[] = {x, y};
    for (size_t k = 0; k < 2; k++)
        for (size_t n = 0; n < images[k]->n_cells; n++)
            for (size_t i = 0; i < images[k]->cells[n].n; i++) {
                const struct mio_env_entry *e = &images[k]->cells[n].items[i];
                uintptr_t own = 0, other = 0;
                mio_index_get(k ? &b : &a, e->path, &own);
                if (own != (uintptr_t)e || e->type == MIO_ENTRY_DIR)
                    continue;
                const struct mio_env_entry *o = NULL;
                if (mio_index_get(k ? &a : &b, e->path, &other))
                    o = (const struct mio_env_entry *)other;
                if (!o)
                    mio_buf_printf(&c->out, "%c /%.*s\n", k ? '+' : '-', MIO_FMT(e->path));
                else if (!k && (e->mode != o->mode || !mio_str_eq(e->sha256, o->sha256) ||
                                !mio_str_eq(e->link, o->link)))
                    mio_buf_printf(&c->out, "~ /%.*s\n", MIO_FMT(e->path));
            }
}

enum mio_code mio_env_verb_diff(struct mio_env_cli *c)
{
    struct mio_env_store store;
    struct mio_env_lock x, y;
    MIO_AUTO_IMAGE a = {0};
    MIO_AUTO_IMAGE b = {0};
    static const char *const parts[] = {"base",   "env",    "serve",  "command", "workdir",
                                        "debian", "python", "layers", "scripts"};
    if (c->n_args != 2)
        return mio_fail(&c->err, MIO_USAGE, "env diff needs two lock files");
    if (load(c, c->args[0], &x) || load(c, c->args[1], &y) ||
        mio_env_store_open(&c->arena, c->store_path, &store, &c->err))
        return c->err.code;
    mio_env_lock_diff(&x, &y, &c->out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        diff_values(c, parts[i], key_of(x.config, parts[i]), key_of(y.config, parts[i]));
    diff_values(c, "files", x.files, y.files);
    if (!c->brief) {
        if (mio_env_cli_build(c, &store, &x, &a) || mio_env_cli_build(c, &store, &y, &b))
            return c->err.code;
        diff_files(c, &a, &b);
        diff_values(c, "layers", key_of(a.sealed, "diff_ids"), key_of(b.sealed, "diff_ids"));
    }
    c->differs = c->out.n > 0;
    return MIO_OK;
}
