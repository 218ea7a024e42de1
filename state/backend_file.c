/* state/backend_file.c: the state as a file in a folder of its own, replaced atomically. See
 * store.h.
 *
 * Everything is reached through one descriptor of the folder, without following symlinks. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "state/file.h"
#include "state/io.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char state_name[] = "state.jsonl", tmp_name[] = "state.jsonl.tmp",
                  history_name[] = "history.jsonl";
enum { GENERATIONS = 8, TAG_BYTES = 256 };

enum mio_code mio_file_fail(struct mio_file_backend *f, int errnum, const char *verb,
                            const char *name, struct mio_err *err)
{
    if (errnum == ELOOP) {
        mio_fail(err, MIO_STATE, "%s/%s is a symbolic link", f->dir, name);
        return mio_err_hint(err, "Put the file itself there; links are never followed.");
    }
    return mio_fail_sys(err, errnum, "cannot %s %s/%s", verb, f->dir, name);
}

/* ---- the folder ---- */

static enum mio_code check_folder(struct mio_file_backend *f, struct mio_err *err)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return mio_fail_sys(err, errno, "cannot look at %s", f->dir);
    if (st.st_uid != geteuid()) {
        mio_fail(err, MIO_STATE, "the state folder %s belongs to user %u, not to you (user %u)",
                 f->dir, (unsigned)st.st_uid, (unsigned)geteuid());
        return mio_err_hint(err, "Run as its owner, or hand it over: chown -R %u '%s'",
                            (unsigned)geteuid(), f->dir);
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        mio_fail(err, MIO_STATE, "the state folder %s can be written by others (mode %04o)", f->dir,
                 (unsigned)st.st_mode & 07777u);
        return mio_err_hint(err, "Close it: chmod 700 '%s'", f->dir);
    }
    return MIO_OK;
}

static enum mio_code open_folder(struct mio_file_backend *f, bool create, struct mio_err *err)
{
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0 && errno == ENOENT) {
        if (!create)
            return MIO_OK;
        enum mio_code rc = mio_fs_mkdirs(f->dir, 0700, err);
        if (rc)
            return rc;
        f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (f->fd < 0)
        return mio_fail_sys(err, errno, "cannot open the state folder %s", f->dir);
    return check_folder(f, err);
}

static void file_close(struct mio_backend *b)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    mio_file_unlock(b);
    if (f->fd >= 0)
        close(f->fd);
    free(f->dir);
    free(f);
}

/* ---- reading ---- */

static enum mio_code read_whole(struct mio_file_backend *f, struct mio_arena *a, int fd,
                                const char *name, struct mio_str *out, struct mio_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return mio_file_fail(f, errno, "look at", name, err);
    if (!S_ISREG(st.st_mode))
        return mio_fail(err, MIO_STATE, "%s/%s is not a regular file", f->dir, name);
    size_t want = (size_t)st.st_size, have = 0;
    char *p = mio_arena_alloc(a, want + 1);
    while (have < want) {
        ssize_t n = pread(fd, p + have, want - have, (off_t)have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mio_file_fail(f, errno, "read", name, err);
        if (n == 0)
            break;
        have += (size_t)n;
    }
    p[have] = '\0';
    *out = (struct mio_str){p, have};
    return MIO_OK;
}

enum mio_code mio_file_slurp(struct mio_file_backend *f, struct mio_arena *a, const char *name,
                             struct mio_str *out, bool *found, struct mio_err *err)
{
    *found = false;
    MIO_AUTO_CLOSE int fd =
        f->fd < 0 ? -1 : openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return f->fd < 0 || errno == ENOENT ? MIO_OK : mio_file_fail(f, errno, "open", name, err);
    enum mio_code rc = read_whole(f, a, fd, name, out, err);
    *found = rc == MIO_OK;
    return rc;
}

/* The beginning of the file holds the digest of all of it; with the size it tells any two states
 * apart. */
static struct mio_str tag_of(struct mio_arena *a, const void *head, size_t n, uint64_t size)
{
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(head, n, sum);
    mio_hex(sum, sizeof sum, hex);
    return mio_arena_printf(a, "%s-%lu", hex, (unsigned long)size);
}

static struct mio_str tag_of_text(struct mio_arena *a, struct mio_str text)
{
    return tag_of(a, text.p, text.n < TAG_BYTES ? text.n : TAG_BYTES, text.n);
}

static enum mio_code file_read(struct mio_backend *b, struct mio_arena *a, struct mio_blob *out,
                               struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    *out = (struct mio_blob){.text = MIO_STR(""), .tag = MIO_STR("")};
    enum mio_code rc = mio_file_slurp(f, a, state_name, &out->text, &out->found, err);
    if (rc == MIO_OK && out->found)
        out->tag = tag_of_text(a, out->text);
    return rc;
}

/* ---- replacing ---- */

/* Still what bears the tag? */
static enum mio_code unchanged(struct mio_file_backend *f, struct mio_arena *a, struct mio_str tag,
                               struct mio_err *err)
{
    char head[TAG_BYTES];
    struct stat st = {0};
    struct mio_str now = MIO_STR("");
    MIO_AUTO_CLOSE int fd = openat(f->fd, state_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return mio_file_fail(f, errno, "open", state_name, err);
    if (fd >= 0) {
        ssize_t n = pread(fd, head, sizeof head, 0);
        if (n < 0 || fstat(fd, &st) != 0)
            return mio_file_fail(f, errno, "read", state_name, err);
        now = tag_of(a, head, (size_t)n, (uint64_t)st.st_size);
    }
    if (mio_str_eq(now, tag))
        return MIO_OK;
    mio_fail(err, MIO_STATE, "%s/%s was changed by someone else meanwhile", f->dir, state_name);
    return mio_err_hint(
        err, "Nothing was overwritten. Run the command again: it starts from the new state.");
}

/* What came back from the file must be what went in. */
static int same_bytes(int fd, struct mio_str text)
{
    enum { STEP = 256 * 1024 };
    MIO_AUTO_FREE char *buf = mio_alloc(STEP);
    for (size_t at = 0; at < text.n;) {
        ssize_t n = pread(fd, buf, STEP, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || (size_t)n > text.n - at || memcmp(buf, text.p + at, (size_t)n) != 0)
            return n < 0 ? errno : EIO;
        at += (size_t)n;
    }
    return 0;
}

enum mio_code mio_file_write_new(struct mio_file_backend *f, const char *name, struct mio_str text,
                                 struct mio_err *err)
{
    int e = mio_io_unlink(f->fd, name); /* of a killed run; the lock is ours */
    if (e)
        return mio_file_fail(f, e, "remove", name, err);
    MIO_AUTO_CLOSE int fd = -1;
    e = mio_io_open(f->fd, name, O_RDWR | O_CREAT | O_EXCL, &fd);
    if (e)
        return mio_file_fail(f, e, "create", name, err);
    e = mio_io_pwrite(fd, text.p, text.n, 0);
    if (e)
        return mio_file_fail(f, e, "write", name, err);
    e = mio_io_sync(fd);
    if (e)
        return mio_file_fail(f, e, "sync", name, err);
    e = same_bytes(fd, text);
    return e ? mio_file_fail(f, e, "verify", name, err) : MIO_OK;
}

static void generation_name(char out[32], int i)
{
    snprintf(out, 32, i ? "%s.%d" : "%s", state_name, i);
}

/* The current file becomes generation 1 (a second name for it until the rename takes its first), 1
 * becomes 2, ... A crash in between leaves a gap or a double, both harmless. */
static enum mio_code keep_generations(struct mio_file_backend *f, struct mio_err *err)
{
    char from[32], to[32];
    struct stat cur, first;
    if (fstatat(f->fd, state_name, &cur, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? MIO_OK : mio_file_fail(f, errno, "look at", state_name, err);
    generation_name(to, 1);
    if (fstatat(f->fd, to, &first, AT_SYMLINK_NOFOLLOW) == 0 && first.st_ino == cur.st_ino)
        return MIO_OK; /* kept already by a run that was killed before its rename */
    for (int i = GENERATIONS - 1; i >= 1; i--) {
        generation_name(from, i);
        generation_name(to, i + 1);
        int e = mio_io_rename(f->fd, from, to);
        if (e && e != ENOENT)
            return mio_file_fail(f, e, "rename", from, err);
    }
    generation_name(to, 1);
    if (linkat(f->fd, state_name, f->fd, to, 0) == 0)
        return MIO_OK;
    int e = errno;
    if (e != EPERM && e != ENOTSUP && e != EMLINK && e != ENOSYS)
        return mio_file_fail(f, e, "link", to, err);
    char from_path[64], to_path[64]; /* a file system without hard links: a copy */
    snprintf(from_path, sizeof from_path, "/proc/self/fd/%d/%s", f->fd, state_name);
    snprintf(to_path, sizeof to_path, "/proc/self/fd/%d/%s", f->fd, to);
    return mio_fs_copy_tree(from_path, to_path, err);
}

static enum mio_code file_swap(struct mio_backend *b, struct mio_arena *a, struct mio_str tag,
                               struct mio_str text, struct mio_str *new_tag, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    if (f->fd < 0)
        return mio_fail(err, MIO_IO, "the state folder %s does not exist", f->dir);
    enum mio_code rc = unchanged(f, a, tag, err);
    if (rc)
        return rc;
    int e = 0;
    const char *verb = "rename";
    rc = mio_file_write_new(f, tmp_name, text, err);
    if (rc == MIO_OK)
        rc = keep_generations(f, err);
    if (rc == MIO_OK)
        e = mio_io_rename(f->fd, tmp_name, state_name);
    if (rc || e)
        (void)unlinkat(f->fd, tmp_name, 0);
    if (rc == MIO_OK && e == 0) {
        e = mio_io_sync(f->fd);
        verb = "sync the folder of";
    }
    if (rc || e)
        return rc ? rc : mio_file_fail(f, e, verb, state_name, err);
    *new_tag = tag_of_text(a, text);
    return MIO_OK;
}

/* ---- older states ---- */

static enum mio_code file_generations(struct mio_backend *b, struct mio_arena *a,
                                      struct mio_generation **out, size_t *n, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    (void)err;
    *n = 0;
    *out = MIO_NEW_N(a, struct mio_generation, GENERATIONS);
    for (int i = 1; i <= GENERATIONS && f->fd >= 0; i++) {
        char name[32];
        struct stat st;
        generation_name(name, i);
        if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            (*out)[(*n)++] = (struct mio_generation){.name = mio_arena_str(a, mio_str_z(name)),
                                                     .when = st.st_mtim.tv_sec};
    }
    return MIO_OK;
}

static enum mio_code file_generation_read(struct mio_backend *b, struct mio_arena *a,
                                          struct mio_generation *g, struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    bool found;
    enum mio_code rc = mio_file_slurp(f, a, mio_arena_z(a, g->name), &g->text, &found, err);
    if (rc == MIO_OK && !found)
        return mio_fail(err, MIO_STATE, "%s/%.*s is gone", f->dir, MIO_FMT(g->name));
    return rc;
}

/* ---- history ---- */

static enum mio_code file_history_read(struct mio_backend *b, struct mio_arena *a,
                                       struct mio_str *out, struct mio_err *err)
{
    bool found;
    *out = MIO_STR("");
    return mio_file_slurp((struct mio_file_backend *)b, a, history_name, out, &found, err);
}

static enum mio_code file_history_add(struct mio_backend *b, uint64_t keep, struct mio_str line,
                                      struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    MIO_AUTO_CLOSE int fd = -1;
    int e = mio_io_open(f->fd, history_name, O_WRONLY | O_CREAT, &fd);
    e = e ? e : mio_io_truncate(fd, keep);
    e = e ? e : mio_io_pwrite(fd, line.p, line.n, keep);
    e = e ? e : mio_io_sync(fd);
    return e ? mio_file_fail(f, e, "write", history_name, err) : MIO_OK;
}

static enum mio_code file_history_replace(struct mio_backend *b, struct mio_str text,
                                          struct mio_err *err)
{
    struct mio_file_backend *f = (struct mio_file_backend *)b;
    static const char tmp[] = "history.jsonl.tmp";
    enum mio_code rc = mio_file_write_new(f, tmp, text, err);
    int e = rc ? 0 : mio_io_rename(f->fd, tmp, history_name);
    if (rc || e)
        (void)unlinkat(f->fd, tmp, 0);
    e = rc || e ? e : mio_io_sync(f->fd);
    return e ? mio_file_fail(f, e, "replace", history_name, err) : rc;
}

static const struct mio_backend_ops file_ops = {
    .type = "file",
    .lock_outlives = false,
    .journal_stays = true,
    .close = file_close,
    .lock = mio_file_lock,
    .unlock = mio_file_unlock,
    .holder = mio_file_holder,
    .break_lock = mio_file_break_lock,
    .read = file_read,
    .swap = file_swap,
    .generations = file_generations,
    .generation_read = file_generation_read,
    .journal_read = mio_file_journal_read,
    .journal_open = mio_file_journal_open,
    .journal_replace = mio_file_journal_replace,
    .journal_drop = mio_file_journal_drop,
    .history_read = file_history_read,
    .history_add = file_history_add,
    .history_replace = file_history_replace,
};

enum mio_code mio_backend_file(const char *dir, bool create, struct mio_backend **out,
                               struct mio_err *err)
{
    struct mio_file_backend *f = mio_alloc(sizeof *f);
    *f = (struct mio_file_backend){
        .base = {.ops = &file_ops}, .dir = mio_strdup(dir), .fd = -1, .lock_fd = -1};
    f->base.where = f->dir;
    enum mio_code rc = open_folder(f, create, err);
    if (rc) {
        file_close(&f->base);
        return rc;
    }
    *out = &f->base;
    return MIO_OK;
}
