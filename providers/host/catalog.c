/* providers/host/catalog.c: which plugins exist, and the lock file that pins them. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "providers/host/host.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

static const char lock_name[] = ".mlops-iac.lock.json";
static const char lock_format[] = "mlops-iac-lock";
enum { LOCK_VERSION = 1, LOCK_MAX = 1 << 20 };

static struct mio_str lock_path(struct mio_arena *a, const char *dir)
{
    return mio_path_join(a, mio_str_z(dir), mio_str_z(lock_name));
}

static enum mio_code malformed(struct mio_err *err, struct mio_str path, const char *what)
{
    mio_fail(err, MIO_STATE, "lock file %.*s: %s", MIO_FMT(path), what);
    return mio_err_hint(err, "restore the file from version control, or remove it and run "
                             "`mlops-iac init`");
}

static bool is_sha256(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == 64;
}

static enum mio_code read_entries(struct mio_arena *a, struct mio_str path, struct mio_value list,
                                  struct mio_lockfile *out, struct mio_err *err)
{
    for (uint32_t i = 0; i < list.n; i++) {
        struct mio_value v = list.items[i];
        struct mio_lock_entry e = {.type = mio_get_str(v, "type"),
                                   .version = mio_get_str(v, "version"),
                                   .path = mio_get_str(v, "path"),
                                   .sha256 = mio_get_str(v, "sha256")};
        if (e.type.n == 0 || e.path.n == 0 || e.path.p[0] != '/' || !is_sha256(e.sha256))
            return malformed(err, path, "an entry lacks its type, absolute path or SHA-256");
        for (size_t j = 0; j < out->n; j++)
            if (mio_str_eq(out->items[j].type, e.type))
                return malformed(err, path, "a type is there twice");
        MIO_PUSH(a, out->items, out->n, out->cap) = e;
    }
    return MIO_OK;
}

enum mio_code mio_lockfile_read(struct mio_arena *a, const char *dir, struct mio_lockfile *out,
                                bool *found, struct mio_err *err)
{
    struct mio_str path = lock_path(a, dir), text;
    struct mio_lockfile l = {0};
    *found = false;
    bool there = false;
    if (mio_fs_read(a, path.p, LOCK_MAX, &text, &there, err))
        return err->code;
    if (there) {
        struct mio_value v;
        struct mio_err why = {0};
        if (mio_json_read(a, text, NULL, &v, &why))
            return malformed(err, path, why.message);
        if (!mio_str_is(mio_get_str(v, "format"), lock_format))
            return malformed(err, path, "not a lock file of mlops-iac");
        if (mio_get_i64(v, "version", 0) != LOCK_VERSION)
            return malformed(err, path, "written by a newer mlops-iac");
        const struct mio_value *plugins = mio_get_z(v, "plugins");
        if (!plugins || plugins->type != MIO_LIST)
            return malformed(err, path, "no list of plugins");
        if (read_entries(a, path, *plugins, &l, err))
            return err->code;
    }
    *out = l;
    *found = there;
    return MIO_OK;
}

static int by_type(const void *x, const void *y)
{
    const struct mio_lock_entry *a = x, *b = y;
    return mio_str_cmp(a->type, b->type);
}

static struct mio_value entry_value(struct mio_arena *a, const struct mio_lock_entry *e)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 4);
    pairs[0] = (struct mio_pair){MIO_STR("type"), mio_string(e->type)};
    pairs[1] = (struct mio_pair){MIO_STR("version"), mio_string(e->version)};
    pairs[2] = (struct mio_pair){MIO_STR("path"), mio_string(e->path)};
    pairs[3] = (struct mio_pair){MIO_STR("sha256"), mio_string(e->sha256)};
    return mio_map(pairs, 4);
}

enum mio_code mio_lockfile_write(const char *dir, const struct mio_lockfile *l, struct mio_err *err)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_lock_entry *sorted = MIO_NEW_N(&a, struct mio_lock_entry, l->n + 1);
    struct mio_value *items = MIO_NEW_N(&a, struct mio_value, l->n + 1);
    for (size_t i = 0; i < l->n; i++)
        sorted[i] = l->items[i];
    qsort(sorted, l->n, sizeof *sorted, by_type);
    for (size_t i = 0; i < l->n; i++)
        items[i] = entry_value(&a, &sorted[i]);
    struct mio_pair *top = MIO_NEW_N(&a, struct mio_pair, 3);
    top[0] = (struct mio_pair){MIO_STR("format"), mio_string_z(lock_format)};
    top[1] = (struct mio_pair){MIO_STR("version"), mio_number_i64(&a, LOCK_VERSION)};
    top[2] = (struct mio_pair){MIO_STR("plugins"), mio_list(items, l->n)};
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_pretty(&text, mio_map(top, 3), MIO_JSON_PLAIN);
    if (text.n == 0 || text.p[text.n - 1] != '\n')
        mio_buf_char(&text, '\n');
    enum mio_code code = mio_fs_replace(lock_path(&a, dir).p, mio_buf_view(&text), 0644, err);
    mio_arena_free(&a);
    return code;
}

/* ---- finding a plugin ---- */

static bool is_type(struct mio_str type)
{
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return type.n > 0 && type.n <= 64;
}

/* The plugin's true path when `folder` has it: links are followed here and nowhere later. */
static bool look_in(struct mio_arena *a, struct mio_str folder, struct mio_str type,
                    struct mio_str *path)
{
    struct mio_str candidate =
        mio_path_join(a, folder, mio_arena_printf(a, "%.*s.so", MIO_FMT(type)));
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(candidate.p, real) || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    *path = mio_arena_str(a, mio_str_z(real));
    return true;
}

enum mio_code mio_plugin_find(struct mio_arena *a, struct mio_str type, const char *search,
                              const char *program_dir, struct mio_str *path, struct mio_err *err)
{
    if (!is_type(type))
        return mio_fail(err, MIO_PROVIDER, "\"%.*s\" is no name of a provider", MIO_FMT(type));
    MIO_AUTO_BUF searched;
    mio_buf_init(&searched, 400);
    struct mio_str rest = mio_str_z(search);
    while (rest.n > 0) {
        ptrdiff_t colon = mio_str_find(rest, ':');
        struct mio_str folder = mio_str_sub(rest, 0, colon < 0 ? rest.n : (size_t)colon);
        rest = colon < 0 ? MIO_STR("") : mio_str_sub(rest, (size_t)colon + 1, rest.n);
        if (folder.n == 0 || folder.p[0] != '/')
            continue; /* never the working folder */
        if (look_in(a, folder, type, path))
            return MIO_OK;
        mio_buf_printf(&searched, "%.*s, ", MIO_FMT(folder));
    }
    struct mio_str own =
        mio_path_join(a, mio_str_z(program_dir), MIO_STR("../lib/mlops-iac/providers"));
    if (look_in(a, own, type, path))
        return MIO_OK;
    mio_buf_str(&searched, own);
    mio_fail(err, MIO_PROVIDER, "provider plugin \"%.*s\" is not installed (no %.*s.so in %.*s)",
             MIO_FMT(type), MIO_FMT(type), MIO_FMT(mio_buf_view(&searched)));
    return mio_err_hint(err, "put the plugin into one of these folders, or name its folder in "
                             "MLOPS_IAC_PLUGIN_DIR");
}
