/* providers/environment/inspect.c: a root file system on disk against what it should hold. */
#include "providers/environment/inspect.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- comparing ---- */

/* Content and mode of a hard link are those of its first name. */
static const struct mio_env_entry *resolved(const struct mio_env_content *c,
                                            const struct mio_env_entry *e)
{
    const struct mio_env_entry *first =
        e->type == MIO_ENTRY_HARDLINK ? mio_env_content_find(c, e->link) : NULL;
    return first ? first : e;
}

static const char *differs(const struct mio_env_entry *x, const struct mio_env_entry *y)
{
    if (x->type != y->type)
        return "type";
    if (x->type == MIO_ENTRY_SYMLINK)
        return mio_str_eq(x->link, y->link) ? NULL : "link";
    if (x->mode != y->mode)
        return "mode";
    if (x->uid != y->uid || x->gid != y->gid)
        return "owner";
    bool same =
        x->type != MIO_ENTRY_FILE || (x->size == y->size && mio_str_eq(x->sha256, y->sha256));
    return same ? NULL : "content";
}

/* What no package brings: capabilities, access lists, and what users attach. Labels of the kernel's
 * security modules are the machine's own. */
static bool is_foreign(const char *name)
{
    static const char *const kinds[] = {"security.capability", "system.posix_acl_", "trusted.",
                                        "user."};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(name, kinds[i], strlen(kinds[i])))
            return true;
    return false;
}

bool mio_env_attributed(int fd, bool remove)
{
    char names[4096];
    ssize_t n = flistxattr(fd, names, sizeof names);
    bool any = n < 0 && errno == ERANGE;
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
        any |= is_foreign(names + i);
        if (remove && is_foreign(names + i))
            fremovexattr(fd, names + i);
    }
    return any;
}

struct walk {
    struct mio_arena *a;
    const struct mio_env_content *want;
    bool owners;
    bool attributed;                /* the file that was looked at last */
    struct mio_index seen, implied; /* implied: folders above entries that no package lists */
    struct mio_env_deviation *items;
    size_t n, cap;
    struct mio_err *err;
};

static void deviate(struct walk *w, char sign, struct mio_str path, const char *what)
{
    MIO_PUSH(w->a, w->items, w->n, w->cap) = (struct mio_env_deviation){sign, path, what};
}

/* SHA-256 of an open file as hex in the arena. */
static enum mio_code hash(struct walk *w, int fd, struct mio_str path, struct mio_str *hex)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(1 << 16);
    struct mio_sha256 *sha = mio_sha256_new();
    ssize_t n;
    mio_sha256_start(sha);
    while ((n = read(fd, chunk, 1 << 16)) > 0)
        mio_sha256_add(sha, chunk, (size_t)n);
    int failed = n < 0 ? errno : 0;
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    if (failed)
        return mio_fail_sys(w->err, failed, "cannot read /%.*s", MIO_FMT(path));
    char *text = mio_arena_alloc(w->a, MIO_SHA256_HEX + 1);
    mio_hex(sum, sizeof sum, text);
    *hex = mio_str_z(text);
    return MIO_OK;
}

/* What lies at a name, as an entry; `like` says what it should be, so that no content is read in
 * vain. False for what no archive brings: sockets, devices. */
static bool observe(struct walk *w, int at, const char *name, const struct stat *st,
                    const struct mio_env_entry *like, struct mio_env_entry *e)
{
    e->mode = st->st_mode & 07777;
    e->uid = w->owners ? st->st_uid : like->uid;
    e->gid = w->owners ? st->st_gid : like->gid;
    if (S_ISDIR(st->st_mode)) {
        e->type = MIO_ENTRY_DIR;
    } else if (S_ISLNK(st->st_mode)) {
        char target[4096];
        ssize_t n = readlinkat(at, name, target, sizeof target);
        e->type = MIO_ENTRY_SYMLINK;
        e->link = mio_arena_str(w->a, (struct mio_str){target, n > 0 ? (size_t)n : 0});
    } else if (S_ISREG(st->st_mode)) {
        e->type = MIO_ENTRY_FILE;
        e->size = (uint64_t)st->st_size;
        e->sha256 = like->sha256;
        if (like->type != MIO_ENTRY_FILE || e->size != like->size || e->mode != like->mode)
            return true;
        MIO_AUTO_CLOSE int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            mio_fail_sys(w->err, errno, "cannot read /%.*s", MIO_FMT(e->path));
        else if (!hash(w, fd, e->path, &e->sha256))
            w->attributed = mio_env_attributed(fd, false);
    } else {
        return false;
    }
    return true;
}

static const char attributes[] = "extended attributes";

static enum mio_code walk_folder(struct walk *w, int fd, struct mio_str at);

static enum mio_code walk_entry(struct walk *w, int at, const char *name, struct mio_str path)
{
    struct stat st;
    const struct mio_env_entry *want = mio_env_content_find(w->want, path);
    uintptr_t implied;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW))
        return mio_fail_sys(w->err, errno, "cannot look at /%.*s", MIO_FMT(path));
    if (!want && !(S_ISDIR(st.st_mode) && mio_index_get(&w->implied, path, &implied))) {
        deviate(w, '+', path, NULL);
        return MIO_OK;
    }
    if (want) {
        const struct mio_env_entry *like = resolved(w->want, want);
        struct mio_env_entry is = {.path = path};
        w->attributed = false;
        const char *what = observe(w, at, name, &st, like, &is) ? differs(like, &is) : "type";
        if (!what && w->attributed)
            what = attributes;
        mio_index_set(&w->seen, path, 1);
        if (what)
            deviate(w, '~', path, what);
        if (w->err->code || !S_ISDIR(st.st_mode) || like->type != MIO_ENTRY_DIR)
            return w->err->code;
    }
    int below = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return mio_fail_sys(w->err, errno, "cannot read /%.*s", MIO_FMT(path));
    if (mio_env_attributed(below, false))
        deviate(w, '~', path, attributes);
    return walk_folder(w, below, path);
}

/* Takes the descriptor over. */
static enum mio_code walk_folder(struct walk *w, int fd, struct mio_str at)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        mio_fail_sys(w->err, errno, "cannot read /%.*s", MIO_FMT(at));
        close(fd);
        return w->err->code;
    }
    for (struct dirent *e; !w->err->code && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            walk_entry(w, dirfd(dir), e->d_name,
                       at.n ? mio_arena_printf(w->a, "%.*s/%s", MIO_FMT(at), e->d_name)
                            : mio_arena_str(w->a, mio_str_z(e->d_name)));
    closedir(dir);
    return w->err->code;
}

static void imply(struct walk *w)
{
    mio_index_init(&w->implied, w->a, 1024);
    for (size_t i = 0; i < w->want->n; i++)
        for (struct mio_str dir = mio_path_dir(w->want->items[i]->path);
             dir.n && !mio_str_is(dir, ".") && mio_index_add(&w->implied, dir, 1);
             dir = mio_path_dir(dir))
            ;
}

static int by_path(const void *a, const void *b)
{
    const struct mio_env_deviation *x = a, *y = b;
    return mio_str_cmp(x->path, y->path);
}

static void missing(struct walk *w)
{
    uintptr_t seen;
    for (size_t i = 0; i < w->want->n; i++)
        if (!mio_index_get(&w->seen, w->want->items[i]->path, &seen))
            deviate(w, '-', w->want->items[i]->path, NULL);
    if (w->n)
        qsort(w->items, w->n, sizeof *w->items, by_path);
}

enum mio_code mio_env_inspect(struct mio_arena *a, const struct mio_env_content *want,
                              const char *root, struct mio_env_deviation **out, size_t *n,
                              struct mio_err *err)
{
    struct walk w = {.a = a, .want = want, .owners = geteuid() == 0, .err = err};
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot open %s", root);
    mio_index_init(&w.seen, a, want->n);
    imply(&w);
    if (walk_folder(&w, fd, MIO_STR("")))
        return mio_err_wrap(err, "%s", root);
    missing(&w);
    *out = w.items;
    *n = w.n;
    return MIO_OK;
}

void mio_env_content_diff(struct mio_arena *a, const struct mio_env_content *want,
                          const struct mio_env_content *is, struct mio_env_deviation **out,
                          size_t *n)
{
    struct walk w = {.a = a, .want = want};
    mio_index_init(&w.seen, a, want->n);
    imply(&w);
    for (size_t i = 0; i < is->n; i++) {
        const struct mio_env_entry *have = is->items[i],
                                   *e = mio_env_content_find(want, have->path);
        uintptr_t implied;
        mio_index_set(&w.seen, have->path, 1);
        const char *what = e ? differs(resolved(want, e), resolved(is, have)) : NULL;
        if (what)
            deviate(&w, '~', have->path, what);
        else if (!e &&
                 !(have->type == MIO_ENTRY_DIR && mio_index_get(&w.implied, have->path, &implied)))
            deviate(&w, '+', have->path, NULL);
    }
    missing(&w);
    *out = w.items;
    *n = w.n;
}

void mio_env_deviations_print(const struct mio_env_deviation *d, size_t n, struct mio_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        bool odd = false; /* control bytes neither end the line nor reach a terminal */
        for (size_t k = 0; k < d[i].path.n; k++)
            odd |= (unsigned char)d[i].path.p[k] < ' ';
        mio_buf_printf(out, "%c /", d[i].sign);
        if (odd)
            mio_json_string(out, d[i].path);
        else
            mio_buf_str(out, d[i].path);
        if (d[i].what)
            mio_buf_printf(out, " (%s)", d[i].what);
        mio_buf_char(out, '\n');
    }
}
