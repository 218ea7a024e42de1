/* providers/sdk/rootfs.c: a root file system under other mounts, in bubblewrap's words. */
#include "providers/sdk/rootfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"

void mio_words_add(struct mio_words *w, const char *z)
{
    MIO_PUSH(w->arena, w->items, w->n, w->cap) = z;
}

void mio_words_add3(struct mio_words *w, const char *option, const char *x, const char *y)
{
    mio_words_add(w, option);
    mio_words_add(w, x);
    mio_words_add(w, y);
}

/* ---- laying ---- */

struct lay {
    struct mio_words *w;
    const char *root;
    const char *const *targets;
    size_t n;
    struct mio_err *err;
};

/* 2: a target lies below `path`; 1: it is a target itself; 0: neither. */
static int relation(const struct lay *l, struct mio_str path)
{
    int found = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct mio_str t = mio_str_z(l->targets[i]);
        if (!mio_str_eq(mio_str_sub(t, 0, path.n), path))
            continue;
        if (t.n == path.n)
            found = found ? found : 1;
        else if (t.p[path.n] == '/')
            found = 2;
    }
    return found;
}

static enum mio_code lay_folder(struct lay *l, const char *at)
{
    struct mio_arena *a = l->w->arena;
    struct mio_str *names;
    size_t n;
    if (mio_fs_list(a, mio_arena_printf(a, "%s%s", l->root, at).p, &names, &n, l->err))
        return l->err->code;
    for (size_t i = 0; i < n; i++) {
        struct mio_str inside = mio_arena_printf(a, "%s/%.*s", at, MIO_FMT(names[i]));
        const char *outside = mio_arena_printf(a, "%s%s", l->root, inside.p).p;
        char link[4096];
        ssize_t k = readlink(outside, link, sizeof link);
        int r = relation(l, inside);
        if (r == 2 && k < 0 && mio_fs_is_dir(outside)) {
            if (lay_folder(l, inside.p))
                return l->err->code;
        } else if (r == 0 && k >= 0) {
            mio_words_add3(l->w, "--symlink", mio_arena_z(a, (struct mio_str){link, (size_t)k}),
                           inside.p);
        } else if (r == 0) {
            mio_words_add3(l->w, "--ro-bind", outside, inside.p);
        }
    }
    return MIO_OK;
}

enum mio_code mio_rootfs_words(struct mio_words *w, const char *root, const char *const *targets,
                               size_t n, struct mio_err *err)
{
    struct lay l = {w, root, targets, n, err};
    return lay_folder(&l, "");
}

/* ---- stamps ---- */

struct stamp {
    struct mio_sha256 *sha;
    struct mio_err *err;
};

static int by_name(const void *a, const void *b)
{
    const struct mio_str *x = a, *y = b;
    return mio_str_cmp(*x, *y);
}

/* The entries of a folder in the order of their names; takes the descriptor over. */
static enum mio_code stamp_folder(struct stamp *s, int fd)
{
    struct mio_arena a;
    struct mio_str *names = NULL;
    size_t n = 0, cap = 0;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        mio_fail_sys(s->err, errno, "cannot read a folder of the root file system");
        close(fd);
        return s->err->code;
    }
    mio_arena_init(&a);
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            MIO_PUSH(&a, names, n, cap) = mio_arena_str(&a, mio_str_z(e->d_name));
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n && !s->err->code; i++) {
        struct stat st;
        if (fstatat(dirfd(dir), names[i].p, &st, AT_SYMLINK_NOFOLLOW)) {
            mio_fail_sys(s->err, errno, "cannot look at %s", names[i].p);
            break;
        }
        uint64_t facts[] = {st.st_ino,
                            st.st_mode,
                            (uint64_t)st.st_size,
                            (uint64_t)st.st_mtim.tv_sec,
                            (uint64_t)st.st_mtim.tv_nsec,
                            (uint64_t)st.st_ctim.tv_sec,
                            (uint64_t)st.st_ctim.tv_nsec,
                            st.st_uid,
                            st.st_gid};
        mio_sha256_add(s->sha, names[i].p, names[i].n + 1);
        mio_sha256_add(s->sha, facts, sizeof facts);
        int below = S_ISDIR(st.st_mode) ? openat(dirfd(dir), names[i].p,
                                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                                        : -1;
        if (below >= 0)
            stamp_folder(s, below);
        else if (S_ISDIR(st.st_mode))
            mio_fail_sys(s->err, errno, "cannot read %s", names[i].p);
    }
    closedir(dir);
    mio_arena_free(&a);
    return s->err->code;
}

enum mio_code mio_rootfs_stamp(struct mio_arena *a, const char *root, struct mio_str *hex,
                               bool *found, struct mio_err *err)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? MIO_OK
                   : mio_fail_sys(err, errno, "cannot open %s", root);
    struct stamp s = {mio_sha256_new(), err};
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_start(s.sha);
    stamp_folder(&s, fd);
    mio_sha256_end(s.sha, sum);
    mio_sha256_free(s.sha);
    if (err->code)
        return mio_err_wrap(err, "%s", root);
    char *text = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_hex(sum, sizeof sum, text);
    *hex = mio_str_z(text);
    return MIO_OK;
}
