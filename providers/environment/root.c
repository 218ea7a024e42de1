/* providers/environment/root.c: cells onto disk. */
#include "providers/environment/inspect.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct writer {
    int root;                     /* directory */
    bool own;                     /* may set owners */
    const struct mio_index *only; /* paths to write; NULL: all */
    const struct mio_env_cell *cell;
    size_t next; /* entry whose content comes next */
    int fd;
    uint64_t at, end; /* place in the fragment; end of the open file's content */
    struct mio_err *err;
};

/* The parent folder, reached without following a link; made (where so asked) when no package lists
 * it. */
static int open_parent(struct writer *w, struct mio_str path, bool make, char base[256])
{
    int at = dup(w->root);
    char part[256];
    size_t from = 0;
    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/')
            continue;
        size_t n = i - from;
        if (n >= sizeof part) {
            close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path.p + from, n);
        part[n] = 0;
        from = i + 1;
        if (i == path.n)
            break;
        int next = openat(at, part, O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && make && !mkdirat(at, part, 0755))
            next = openat(at, part, O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC);
        int failed = errno;
        close(at);
        errno = failed;
        if (next < 0)
            return -1;
        at = next;
    }
    memcpy(base, part, strlen(part) + 1);
    return at;
}

static enum mio_code dress(struct writer *w, int at, const char *base,
                           const struct mio_env_entry *e)
{
    struct timespec t[2] = {{.tv_sec = (time_t)e->mtime}, {.tv_sec = (time_t)e->mtime}};
    if (w->own && fchownat(at, base, e->uid, e->gid, AT_SYMLINK_NOFOLLOW))
        w->own = false;
    if ((e->type != MIO_ENTRY_SYMLINK && fchmodat(at, base, e->mode, 0)) ||
        utimensat(at, base, t, AT_SYMLINK_NOFOLLOW))
        return mio_fail_sys(w->err, errno, "cannot set the mode of %.*s", MIO_FMT(e->path));
    return MIO_OK;
}

static enum mio_code hard_link(struct writer *w, int at, const char *base,
                               const struct mio_env_entry *e)
{
    char first[256];
    MIO_AUTO_CLOSE int from = open_parent(w, e->link, false, first);
    if (from < 0 || linkat(from, first, at, base, 0))
        return mio_fail_sys(w->err, errno, "cannot link %.*s", MIO_FMT(e->path));
    return MIO_OK;
}

/* Takes away what lies at a name, with all below it. */
static enum mio_code clear(struct writer *w, int at, const char *name)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", at, name);
    return unlinkat(at, name, 0) ? mio_fs_remove_tree(path, w->err) : MIO_OK;
}

/* What a layer says is gone, of those below it. */
static enum mio_code take_away(struct writer *w, struct mio_str path)
{
    char base[256], here[64];
    MIO_AUTO_CLOSE int at = open_parent(w, path, false, base);
    if (at < 0) /* with its folder */
        return MIO_OK;
    if (strcmp(base, ".wh..wh..opq") != 0)
        return strncmp(base, ".wh..wh.", 8) != 0 ? clear(w, at, base + 4) : MIO_OK;
    struct mio_arena a;
    struct mio_str *names;
    size_t n;
    mio_arena_init(&a);
    snprintf(here, sizeof here, "/proc/self/fd/%d", at);
    if (!mio_fs_list(&a, here, &names, &n, w->err))
        for (size_t i = 0; i < n && !w->err->code; i++)
            clear(w, at, mio_arena_z(&a, names[i]));
    mio_arena_free(&a);
    return w->err->code;
}

static enum mio_code make(struct writer *w, const struct mio_env_entry *e)
{
    char base[256];
    if (mio_env_whiteout(e->path))
        return take_away(w, e->path);
    MIO_AUTO_CLOSE int at = open_parent(w, e->path, true, base);
    if (at < 0)
        return mio_fail_sys(w->err, errno, "cannot make %.*s", MIO_FMT(e->path));
    struct stat st;
    bool there = !fstatat(at, base, &st, AT_SYMLINK_NOFOLLOW),
         stays = there && e->type == MIO_ENTRY_DIR && S_ISDIR(st.st_mode);
    int rc = 0;
    if (there && !stays && clear(w, at, base))
        return w->err->code;
    if (e->type == MIO_ENTRY_DIR)
        rc = stays ? 0 : mkdirat(at, base, 0755);
    if (e->type == MIO_ENTRY_SYMLINK)
        rc = symlinkat(strndupa(e->link.p, e->link.n), at, base);
    if (e->type == MIO_ENTRY_HARDLINK)
        return hard_link(w, at, base, e);
    if (e->type == MIO_ENTRY_FILE) {
        w->fd = openat(at, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        rc = w->fd < 0 ? -1 : 0;
    }
    if (rc)
        return mio_fail_sys(w->err, errno, "cannot make %.*s", MIO_FMT(e->path));
    return e->type == MIO_ENTRY_DIR ? MIO_OK : dress(w, at, base, e); /* folders: at the end */
}

/* Entries whose content (if any) begins at w->at: each is made when the stream comes to it. */
static enum mio_code open_due(struct writer *w)
{
    while (w->fd < 0 && w->next < w->cell->n && w->cell->items[w->next].offset <= w->at) {
        const struct mio_env_entry *e = &w->cell->items[w->next++];
        uintptr_t wanted;
        if (w->only && !mio_index_get(w->only, e->path, &wanted))
            continue;
        if (make(w, e))
            return w->err->code;
        w->end = w->at + e->size;
        if (w->fd >= 0 && !e->size) {
            close(w->fd);
            w->fd = -1;
        }
    }
    return MIO_OK;
}

/* Closing sets anew what writing changed: the time, and for all but the machine's own root the
 * right to run as another user. */
static void close_file(struct writer *w)
{
    const struct mio_env_entry *e = &w->cell->items[w->next - 1];
    struct timespec t[2] = {{.tv_sec = (time_t)e->mtime}, {.tv_sec = (time_t)e->mtime}};
    if ((e->mode & 06000 && fchmod(w->fd, e->mode)) || futimens(w->fd, t))
        mio_fail_sys(w->err, errno, "cannot set the mode of %.*s", MIO_FMT(e->path));
    close(w->fd);
    w->fd = -1;
}

static enum mio_code take(void *arg, const void *p, size_t n, bool *enough, struct mio_err *err)
{
    struct writer *w = arg;
    const char *from = p;
    (void)enough;
    while (n || (w->fd < 0 && w->next < w->cell->n && w->cell->items[w->next].offset <= w->at)) {
        if (open_due(w))
            return err->code;
        if (!n)
            break;
        uint64_t stop = w->fd >= 0             ? w->end
                        : w->next < w->cell->n ? w->cell->items[w->next].offset
                                               : UINT64_MAX;
        size_t k = stop - w->at < n ? (size_t)(stop - w->at) : n;
        if (w->fd >= 0 && mio_fs_write_all(w->fd, from, k, "the root file system", err))
            return err->code;
        from += k;
        n -= k;
        w->at += k;
        if (w->fd >= 0 && w->at == w->end)
            close_file(w);
        if (err->code)
            return err->code;
    }
    return MIO_OK;
}

/* Folders last, deepest first: making what lies in them changed their times. */
static enum mio_code dress_folders(struct writer *w, struct mio_arena *a,
                                   const struct mio_env_image *im)
{
    struct mio_env_content all;
    mio_env_content_of(&all, a, im);
    for (size_t i = all.n; i-- > 0;) {
        char base[256];
        if (all.items[i]->type != MIO_ENTRY_DIR)
            continue;
        MIO_AUTO_CLOSE int at = open_parent(w, all.items[i]->path, false, base);
        if (at >= 0 && dress(w, at, base, all.items[i]))
            return w->err->code;
    }
    return MIO_OK;
}

static enum mio_code fill(struct mio_arena *a, const struct mio_env_image *im, const char *path,
                          const struct mio_index *only, struct mio_err *err)
{
    MIO_AUTO_CLOSE int root = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (root < 0)
        return mio_fail_sys(err, errno, "cannot open %s", path);
    for (size_t c = 0; c < im->n_cells; c++) {
        struct writer w = {.root = root,
                           .own = geteuid() == 0,
                           .only = only,
                           .cell = &im->cells[c],
                           .fd = -1,
                           .err = err};
        if (mio_env_unzstd(w.cell->path, 0, take, &w, err)) {
            if (w.fd >= 0)
                close(w.fd);
            return err->code;
        }
    }
    struct writer w = {.root = root, .own = geteuid() == 0, .fd = -1, .err = err};
    return dress_folders(&w, a, im);
}

enum mio_code mio_env_root(struct mio_arena *a, const struct mio_env_image *im, const char *path,
                           struct mio_err *err)
{
    if (mio_fs_exists(path)) {
        mio_fail(err, MIO_USAGE, "%s exists", path);
        return mio_err_hint(err, "remove it, or name another folder");
    }
    const char *tmp = mio_env_partial(a, path);
    enum mio_code code = mio_fs_mkdirs(tmp, 0755, err) ? err->code : fill(a, im, tmp, NULL, err);
    if (!code && (chmod(tmp, 0755) || rename(tmp, path)))
        code = mio_fail_sys(err, errno, "cannot rename %s to %s", tmp, path);
    if (code) {
        struct mio_err ignored = {0};
        mio_fs_remove_tree(tmp, &ignored);
    }
    return code;
}

enum mio_code mio_env_root_mend(struct mio_arena *a, const struct mio_env_image *im,
                                const char *path, const struct mio_env_deviation *d, size_t n,
                                struct mio_err *err)
{
    struct mio_index only;
    mio_index_init(&only, a, n);
    for (size_t i = 0; i < n; i++) {
        const char *full = mio_arena_printf(a, "%s/%.*s", path, MIO_FMT(d[i].path)).p;
        bool other = d[i].sign == '+' || (d[i].what && !strcmp(d[i].what, "type"));
        if (other && mio_fs_remove_tree(full, err))
            return err->code;
        MIO_AUTO_CLOSE int fd = open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) /* a folder stays; files are made anew */
            mio_env_attributed(fd, true);
        if (d[i].sign != '+')
            mio_index_set(&only, d[i].path, 1);
    }
    return fill(a, im, path, &only, err);
}
