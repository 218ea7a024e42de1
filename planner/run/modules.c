/* planner/run/modules.c: modules of git repositories and https archives: fetched by `init` below
 * .mlops-iac/modules, locked by the digest of their tree in .mlops-iac.modules.json, and verified
 * by every run. */
#include "planner/run/internal.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <stdlib.h>

#define LOCK_FILE ".mlops-iac.modules.json"
enum { LOCK_MAX = 1 << 20 };

/* ---- the lock file ---- */

static enum mio_code read_lock(struct mio_engine *e, struct mio_err *err)
{
    struct mio_str path = mio_path_join(&e->arena, mio_str_z(e->opts.dir), MIO_STR(LOCK_FILE)),
                   text;
    struct mio_value v;
    bool found = false;
    if (e->module_lock_read)
        return MIO_OK;
    e->module_lock = mio_map(NULL, 0);
    if (mio_fs_read(&e->arena, path.p, LOCK_MAX, &text, &found, err))
        return err->code;
    e->module_lock_read = true;
    if (!found)
        return MIO_OK;
    const struct mio_value *modules =
        mio_json_read(&e->arena, text, NULL, &v, err) ? NULL : mio_get_z(v, "modules");
    if (!modules || modules->type != MIO_MAP || mio_get_i64(v, "version", 0) != 1) {
        mio_err_clear(err);
        mio_fail(err, MIO_STATE, "%.*s is no module lock file of this version", MIO_FMT(path));
        return mio_err_hint(err,
                            "Take it from version control, or remove it and run `mlops-iac init`.");
    }
    e->module_lock = *modules;
    return MIO_OK;
}

enum mio_code mio_engine_modules_done(struct mio_engine *e)
{
    struct mio_err err = {0};
    if (!e->module_lock_changed)
        return MIO_OK;
    struct mio_pair root[] = {{MIO_STR("modules"), e->module_lock},
                              {MIO_STR("version"), mio_number(MIO_STR("1"))}};
    struct mio_str path = mio_path_join(&e->arena, mio_str_z(e->opts.dir), MIO_STR(LOCK_FILE));
    MIO_AUTO_BUF text = {0};
    mio_json_pretty(&text, mio_map(root, 2), MIO_JSON_PLAIN);
    mio_buf_char(&text, '\n');
    return mio_fs_replace(path.p, mio_buf_view(&text), 0644, &err) ? mio_engine_fail(e, &err)
                                                                   : MIO_OK;
}

/* ---- fetching ---- */

static enum mio_code record(struct mio_engine *e, const struct mio_module_source *s,
                            struct mio_str digest, struct mio_err *err)
{
    const struct mio_value *locked = mio_get(e->module_lock, s->id);
    if (locked && mio_str_eq(mio_value_str(*locked), digest))
        return MIO_OK;
    if (locked && !e->opts.upgrade_modules) {
        mio_fail(err, MIO_TEMPLATE, "the module %.*s is not the one that the lock file names",
                 MIO_FMT(mio_str_sub(s->id, 0, 200)));
        mio_err_cause(err, "fetched %.*s, recorded %.*s", MIO_FMT(digest),
                      MIO_FMT(mio_value_str(*locked)));
        return mio_err_hint(err, "If the change is meant, run `mlops-iac init -upgrade`.");
    }
    if (e->opts.keep_module_lock)
        return mio_fail(err, MIO_TEMPLATE,
                        "the module lock file would change, and -lockfile=readonly forbids that");
    e->module_lock = mio_map_with(&e->arena, e->module_lock, s->id, mio_string(digest));
    e->module_lock_changed = true;
    return MIO_OK;
}

static enum mio_code install(struct mio_engine *e, const struct mio_module_source *s,
                             struct mio_str root, struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    struct mio_str digest;
    char *fresh = mio_arena_z(a, mio_arena_printf(a, "%.*s.XXXXXX", MIO_FMT(root)));
    if (mio_fs_mkdirs(mio_arena_z(a, mio_path_dir(root)), 0755, err))
        return err->code;
    if (!mkdtemp(fresh))
        return mio_fail_sys(err, errno, "cannot make a folder for the module");
    struct mio_err ignored = {0};
    if (mio_module_fetch(a, s, e->opts.program_dir, fresh, err) == MIO_OK &&
        mio_digest_path(a, fresh, &digest, err) == MIO_OK && record(e, s, digest, err) == MIO_OK &&
        mio_fs_remove_tree(root.p, err) == MIO_OK && rename(fresh, root.p))
        mio_fail_sys(err, errno, "cannot put the module to %s", root.p);
    if (err->code)
        mio_fs_remove_tree(fresh, &ignored);
    return err->code;
}

enum mio_code mio_engine_module(void *engine, struct mio_str source, struct mio_str stated,
                                struct mio_str *root, struct mio_str *dir, struct mio_err *err)
{
    struct mio_engine *e = engine;
    struct mio_arena *a = &e->arena;
    struct mio_module_source s;
    struct mio_str digest;
    uint8_t name[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    if (mio_module_source(a, source, stated, &s, err) || read_lock(e, err))
        return err->code;
    mio_sha256_of(s.id.p, s.id.n, name);
    mio_hex(name, sizeof name, hex);
    *root = mio_arena_printf(a, "%s/.mlops-iac/modules/%.32s", e->opts.dir, hex);
    *dir = s.folder.n ? mio_path_join(a, *root, s.folder) : *root;
    const struct mio_value *locked = mio_get(e->module_lock, s.id);
    bool there = mio_fs_is_dir(root->p);
    if (there && locked && mio_digest_path(a, root->p, &digest, err))
        return err->code;
    bool good = there && locked && mio_str_eq(digest, mio_value_str(*locked));
    if (good && !(e->opts.fetch_modules && e->opts.upgrade_modules))
        return MIO_OK;
    if (e->opts.fetch_modules)
        return install(e, &s, *root, err);
    mio_fail(err, MIO_TEMPLATE,
             there && locked ? "the fetched module %.*s was altered"
                             : "the module %.*s is not fetched",
             MIO_FMT(mio_str_sub(source, 0, 200)));
    return mio_err_hint(err, "Run `mlops-iac init`.");
}
