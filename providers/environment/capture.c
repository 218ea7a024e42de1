/* providers/environment/capture.c: see capture.h. */
#include "providers/environment/capture.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/map.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

struct owner {
    const struct mio_env_entry *entry;
    const struct mio_env_cell *cell;
};
struct walk {
    struct mio_env_tree *t;
    const struct mio_env_spec *spec;
    const char *root;
    int64_t epoch;
    struct mio_index was, is; /* path to owner; path to 1 */
    struct mio_err *err;
};

/* Never part of an image: they tell of the moment, not of the packages. */
static const char *const passed_over[] = {
    "dev",
    "proc",
    "run",
    "tmp",
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/machine-id",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "usr/sbin/policy-rc.d",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/passwords.dat",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/log/alternatives.log",
    "var/log/dpkg.log",
};

static bool is_passed_over(struct mio_str path)
{
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
        if (mio_str_is(path, passed_over[i]))
            return true;
    return false;
}

static void index_cells(struct walk *w, const struct mio_env_image *im)
{
    mio_index_init(&w->was, w->t->arena, 4096);
    mio_index_init(&w->is, w->t->arena, 4096);
    for (size_t c = 0; c < im->n_cells; c++)
        for (size_t i = 0; i < im->cells[c].n; i++) {
            struct owner *o = MIO_NEW(w->t->arena, struct owner);
            *o = (struct owner){&im->cells[c].items[i], &im->cells[c]};
            mio_index_set(&w->was, o->entry->path, (uintptr_t)o);
        }
}

static const struct owner *owner_of(const struct walk *w, struct mio_str path)
{
    uintptr_t at = 0;
    return mio_index_get(&w->was, path, &at) ? (const struct owner *)at : NULL;
}

static bool declared(const struct walk *w, const struct owner *o)
{
    for (size_t i = 0; o && i < w->spec->n_setuid; i++)
        if (mio_str_eq(w->spec->setuid[i].name, o->cell->name))
            return true;
    return false;
}

/* What the image had under the name, hard links followed. */
static const struct mio_env_entry *before(const struct walk *w, const struct owner *o)
{
    if (o && o->entry->type == MIO_ENTRY_HARDLINK)
        o = owner_of(w, o->entry->link);
    return o ? o->entry : NULL;
}

static enum mio_code describe(struct walk *w, const char *full, const struct stat *st,
                              struct mio_env_entry *e)
{
    char target[4096];
    uint64_t size = 0;
    *e = (struct mio_env_entry){.path = e->path,
                                .mode = st->st_mode & 07777,
                                .uid = st->st_uid,
                                .gid = st->st_gid,
                                .mtime = st->st_mtime > w->epoch ? w->epoch : st->st_mtime};
    if (llistxattr(full, NULL, 0) > 0)
        return mio_fail(w->err, MIO_REALITY, "a script gave /%.*s extended attributes",
                        MIO_FMT(e->path));
    if (S_ISDIR(st->st_mode))
        e->type = MIO_ENTRY_DIR;
    else if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlink(full, target, sizeof target);
        if (n <= 0)
            return mio_fail_sys(w->err, errno, "cannot read %s", full);
        e->type = MIO_ENTRY_SYMLINK;
        e->link = mio_arena_str(w->t->arena, (struct mio_str){target, (size_t)n});
    } else if (!S_ISREG(st->st_mode))
        return mio_fail(w->err, MIO_REALITY, "a script made /%.*s, a device, pipe or socket",
                        MIO_FMT(e->path));
    else if (mio_env_file_sha256(w->t->arena, full, &e->sha256, &size, w->err))
        return w->err->code;
    e->size = size;
    return MIO_OK;
}

static bool unchanged(const struct mio_env_entry *x, const struct mio_env_entry *y)
{
    return x && x->type == y->type && x->mode == y->mode && x->uid == y->uid && x->gid == y->gid &&
           mio_str_eq(x->link, y->link) && mio_str_eq(x->sha256, y->sha256);
}

static enum mio_code spool(struct walk *w, const char *full, struct mio_env_entry *e)
{
    enum { CHUNK = 1 << 16 };
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    MIO_AUTO_CLOSE int fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = -1;
    e->offset = w->t->spool.size;
    while (fd >= 0 && (n = read(fd, chunk, CHUNK)) > 0)
        if (mio_env_tree_spool(w->t, chunk, (size_t)n, w->err))
            return w->err->code;
    return n < 0 ? mio_fail_sys(w->err, errno, "cannot read %s", full) : MIO_OK;
}

static enum mio_code visit(struct walk *w, struct mio_str path);

static enum mio_code visit_folder(struct walk *w, struct mio_str path)
{
    struct mio_arena *a = w->t->arena;
    struct mio_str *names;
    size_t n;
    if (mio_fs_list(a, mio_arena_printf(a, "%s/%.*s", w->root, MIO_FMT(path)).p, &names, &n,
                    w->err))
        return w->err->code;
    for (size_t i = 0; i < n; i++) {
        struct mio_str one =
            mio_arena_printf(a, "%.*s%s%.*s", MIO_FMT(path), path.n ? "/" : "", MIO_FMT(names[i]));
        if (!is_passed_over(one) && visit(w, one))
            return w->err->code;
    }
    return MIO_OK;
}

static enum mio_code visit(struct walk *w, struct mio_str path)
{
    const char *full = mio_arena_printf(w->t->arena, "%s/%.*s", w->root, MIO_FMT(path)).p;
    const struct owner *o = owner_of(w, path);
    struct mio_env_entry e = {.path = path};
    struct stat st;
    if (lstat(full, &st))
        return mio_fail_sys(w->err, errno, "cannot read %s", full);
    if (describe(w, full, &st, &e))
        return w->err->code;
    mio_index_set(&w->is, path, 1);
    if (!unchanged(before(w, o), &e)) {
        if (e.type == MIO_ENTRY_FILE && (e.mode & 06000) && !declared(w, o))
            return mio_fail(w->err, MIO_REALITY,
                            "a script made /%.*s run with another user's rights (mode %o)",
                            MIO_FMT(path), e.mode);
        if (e.type == MIO_ENTRY_FILE && spool(w, full, &e))
            return w->err->code;
        MIO_PUSH(w->t->arena, w->t->items, w->t->n, w->t->cap) = e;
    }
    return e.type == MIO_ENTRY_DIR ? visit_folder(w, path) : MIO_OK;
}

/* Folders stay: one that is empty does no harm. */
static enum mio_code white_out(struct walk *w, const struct mio_env_image *im)
{
    struct mio_arena *a = w->t->arena;
    for (size_t c = 0; c < im->n_cells; c++)
        for (size_t i = 0; i < im->cells[c].n; i++) {
            const struct mio_env_entry *e = &im->cells[c].items[i];
            uintptr_t there;
            if (e->type == MIO_ENTRY_DIR || is_passed_over(e->path) ||
                mio_index_get(&w->is, e->path, &there))
                continue;
            mio_index_set(&w->is, e->path, 1); /* another cell may have it too */
            struct mio_str dir = mio_path_dir(e->path), base = mio_path_base(e->path),
                           mark = mio_arena_printf(a, "%.*s/.wh.%.*s", MIO_FMT(dir), MIO_FMT(base));
            if (mio_env_tree_file(w->t, mark, 0644, w->epoch, (struct mio_str){0}, w->err))
                return w->err->code;
        }
    return MIO_OK;
}

enum mio_code mio_env_capture(struct mio_env_tree *t, const struct mio_env_image *im,
                              const struct mio_env_spec *spec, const char *root, int64_t epoch,
                              struct mio_err *err)
{
    struct walk w = {.t = t, .spec = spec, .root = root, .epoch = epoch, .err = err};
    index_cells(&w, im);
    if (visit_folder(&w, (struct mio_str){0}) || white_out(&w, im))
        return err->code;
    mio_env_tree_sort(t);
    return mio_env_tree_check(t, err);
}
