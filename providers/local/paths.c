/* providers/local/paths.c: names, paths, records and locks of the local provider. */
#include "providers/local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

enum { NAME_MAX_LEN = 64, RECORD_MAX = 4 << 20, MAP_MAX = 32 };

const char *local_path(struct local *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_str rest = mio_arena_vprintf(l->a, fmt, ap);
    va_end(ap);
    return mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(l->p->root), MIO_FMT(rest)).p;
}

const char *local_ws_dir(struct local *l, struct mio_str ws)
{
    return local_path(l, "workspaces/%.*s", MIO_FMT(ws));
}

const char *local_support(struct local *l, const char *name)
{
    return mio_arena_printf(l->a, "%.*s/%s", MIO_FMT(l->p->support), name).p;
}

const char *local_abs(struct local *l, const struct local_change *ch, struct mio_str path)
{
    struct mio_str base = ch->base_dir.n ? ch->base_dir : l->p->base_dir;
    struct mio_str abs = mio_path_join(l->a, base, path);
    return mio_arena_z(l->a, abs);
}

/* ---- names ---- */

static bool alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool local_name_ok(struct mio_str name)
{
    if (!name.n || name.n > NAME_MAX_LEN || !alnum(name.p[0]))
        return false;
    for (size_t i = 1; i < name.n; i++)
        if (!alnum(name.p[i]) && !strchr("-_.", name.p[i]))
            return false;
    return true;
}

enum mio_code local_name_check(struct mio_str name, const char *what, struct mio_err *err)
{
    if (local_name_ok(name))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" cannot be the name of %s", MIO_FMT(name), what);
    return mio_err_hint(
        err, "Use letters, digits, '-', '_' and '.', a letter or digit first, at most %d.",
        NAME_MAX_LEN);
}

static struct mio_str without_prefix(struct mio_str s)
{
    const struct mio_str prefix = MIO_STR("azureml:");
    return mio_str_starts(s, prefix.p) ? mio_str_sub(s, prefix.n, s.n) : s;
}

bool local_id_split(struct mio_str id, struct mio_str *ws, struct mio_str *rest)
{
    id = without_prefix(id);
    ptrdiff_t slash = mio_str_find(id, '/');
    if (slash <= 0 || (size_t)slash + 1 == id.n)
        return false;
    *ws = mio_str_sub(id, 0, (size_t)slash);
    *rest = mio_str_sub(id, (size_t)slash + 1, id.n);
    return true;
}

struct mio_str local_ref_name(struct mio_str ref)
{
    struct mio_str ws, rest;
    return local_id_split(ref, &ws, &rest) ? rest : without_prefix(ref);
}

enum mio_code local_ws_check(struct local *l, struct mio_str ws, struct mio_err *err)
{
    if (!ws.n) {
        mio_fail(err, MIO_TEMPLATE, "no workspace is given");
        return mio_err_hint(err, "Add `workspace:` to the block, or a default `workspace:` to the "
                                 "settings of provider local.");
    }
    if (local_name_check(ws, "a workspace", err))
        return err->code;
    if (mio_fs_exists(local_path(l, "workspaces/%.*s/workspace.json", MIO_FMT(ws))))
        return MIO_OK;
    mio_fail(err, MIO_REALITY, "workspace \"%.*s\" does not exist below %.*s", MIO_FMT(ws),
             MIO_FMT(l->p->root));
    return mio_err_hint(err, "Declare it as `workspace:` in the template and refer to it with "
                             "${workspace.NAME.name}, so that it is made first.");
}

enum mio_code local_program(struct local *l, const char *setting, const char *name,
                            const char *package, const char **path, struct mio_err *err)
{
    struct mio_str given = mio_get_str(l->p->config, setting);
    if (given.n) {
        const char *abs = mio_arena_z(l->a, mio_path_join(l->a, l->p->base_dir, given));
        if (access(abs, X_OK) != 0)
            return mio_fail_sys(err, errno, "setting %s of provider local: %s cannot be run",
                                setting, abs);
        *path = abs;
        return MIO_OK;
    }
    struct mio_str found = mio_proc_find(l->a, name);
    if (found.n) {
        *path = mio_arena_z(l->a, found);
        return MIO_OK;
    }
    mio_fail(err, MIO_IO, "the program %s is not installed", name);
    return mio_err_hint(err,
                        "apt-get install %s, or give its path as `%s:` in the settings of provider "
                        "local.",
                        package, setting);
}

/* ---- folders ---- */

enum mio_code local_names(struct local *l, const char *dir, struct mio_str **names, size_t *n,
                          struct mio_err *err)
{
    struct mio_err why = {0};
    *names = NULL;
    *n = 0;
    if (mio_fs_list(l->a, dir, names, n, &why) && mio_fs_exists(dir))
        *err = why;
    return err->code;
}

enum mio_code local_remove(struct local *l, const char *dir, const char *record,
                           struct mio_err *err)
{
    struct mio_str *names;
    size_t n;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (!mio_str_is(names[i], record) &&
            mio_fs_remove_tree(mio_arena_printf(l->a, "%s/%.*s", dir, MIO_FMT(names[i])).p, err))
            return err->code;
    return mio_fs_remove_tree(dir, err);
}

/* ---- records ---- */

enum mio_code local_record_read(struct local *l, const char *path, struct mio_value *out,
                                bool *found, struct mio_err *err)
{
    struct mio_str text;
    if (mio_fs_read(l->a, path, RECORD_MAX, &text, found, err))
        return err->code;
    if (!*found)
        return MIO_OK;
    struct mio_err bad = {0};
    struct mio_value v;
    if (!mio_json_read(l->a, text, NULL, &v, &bad) && v.type == MIO_MAP) {
        *out = v;
        return MIO_OK;
    }
    mio_fail(err, MIO_REALITY, "%s is damaged: %s", path,
             bad.message[0] ? bad.message : "not a JSON object");
    return mio_err_hint(err,
                        "Restore the file, or remove its folder so that the object is made again.");
}

enum mio_code local_record_write(struct local *l, const char *path, struct mio_value v,
                                 struct mio_err *err)
{
    struct mio_str dir = mio_path_dir(mio_str_z(path));
    if (mio_fs_mkdirs(mio_arena_z(l->a, dir), 0700, err))
        return err->code;
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_pretty(&text, v, MIO_JSON_PLAIN);
    mio_buf_char(&text, '\n');
    return mio_fs_replace(path, mio_buf_view(&text), 0600, err);
}

struct mio_str local_stamp(struct local *l, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return MIO_STR("");
    return mio_arena_printf(l->a, "%ju.%jd.%jd.%09ld", (uintmax_t)st.st_ino, (intmax_t)st.st_size,
                            (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

struct mio_value local_map(struct mio_arena *a, ...)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, MAP_MAX);
    size_t n = 0;
    va_list ap;
    va_start(ap, a);
    for (const char *key; n < MAP_MAX && (key = va_arg(ap, const char *)); n++) {
        pairs[n].key = mio_str_z(key);
        pairs[n].value = va_arg(ap, struct mio_value);
    }
    va_end(ap);
    return mio_map(pairs, n);
}

struct mio_value local_get(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
}

/* ---- locks ---- */

enum mio_code local_check_stop(struct local *l, struct mio_err *err)
{
    if (l->c->cancelled && l->c->cancelled(l->c))
        return mio_fail(err, MIO_CANCELLED, "interrupted");
    if (l->c->deadline_ms && mio_now_ms() >= l->c->deadline_ms) {
        mio_fail(err, MIO_REALITY, "the deadline passed");
        return mio_err_hint(err, "Raise `timeouts:` of the resource.");
    }
    return MIO_OK;
}

enum mio_code local_trylock(struct local *l, const char *path, int *fd, struct mio_err *err)
{
    struct mio_str dir = mio_path_dir(mio_str_z(path));
    if (mio_fs_mkdirs(mio_arena_z(l->a, dir), 0700, err))
        return err->code;
    MIO_AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return mio_fail_sys(err, errno, "cannot open the lock %s", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(lock, F_OFD_SETLK, &whole) == 0) {
        struct stat has, is;
        if (fstat(lock, &has) != 0 || stat(path, &is) != 0 || has.st_ino != is.st_ino)
            return local_trylock(l, path, fd, err); /* removed meanwhile: it guards nothing */
        *fd = lock;
        lock = -1;
        return MIO_OK;
    }
    if (errno != EAGAIN && errno != EACCES)
        return mio_fail_sys(err, errno, "cannot lock %s", path);
    *fd = -1;
    return MIO_OK;
}

enum mio_code local_lock(struct local *l, const char *path, int *fd, struct mio_err *err)
{
    for (int64_t pause = 2;; pause = pause < 100 ? pause * 2 : 100) {
        if (local_trylock(l, path, fd, err) || *fd >= 0 || local_check_stop(l, err))
            return err->code;
        mio_sleep_ms(pause);
    }
}

/* ---- talking to the host ---- */

void local_warn(struct local *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_str text = mio_arena_vprintf(l->a, fmt, ap);
    va_end(ap);
    if (l->c->log)
        l->c->log(l->c, MLOPS_LOG_WARN, text.p);
}

void local_progress(struct local *l, int percent, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_str text = mio_arena_vprintf(l->a, fmt, ap);
    va_end(ap);
    if (l->c->progress)
        l->c->progress(l->c, text.p, percent);
}

static void finding(struct local_findings *f, const char *severity, const char *path,
                    const char *hint, struct mio_str message)
{
    struct mio_arena *a = f->arena;
    MIO_PUSH(a, f->items, f->n, f->cap) =
        local_map(a, "address", mio_string(f->where), "path", mio_string_z(path), "severity",
                  mio_string_z(severity), "message", mio_string(message), "hint",
                  mio_string(mio_arena_str(a, mio_str_z(hint))), NULL);
}

void local_find_error(struct local_findings *f, const char *path, const char *hint, const char *fmt,
                      ...)
{
    va_list ap;
    va_start(ap, fmt);
    finding(f, "error", path, hint, mio_arena_vprintf(f->arena, fmt, ap));
    va_end(ap);
}

void local_find_warning(struct local_findings *f, const char *path, const char *hint,
                        const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    finding(f, "warning", path, hint, mio_arena_vprintf(f->arena, fmt, ap));
    va_end(ap);
}

void local_list_row(struct local_findings *rows, struct mio_str id, struct mio_str name)
{
    MIO_PUSH(rows->arena, rows->items, rows->n, rows->cap) =
        local_map(rows->arena, "id", mio_string(id), "name", mio_string(name), NULL);
}
