/* providers/local/store.c: the content-addressed store of a workspace.
 *
 * In: files and folders. Out: blobs named by SHA-256 (and ".x" when executable), hard-linked into
 * the assets. Each asset folder has a file `blobs` beside content/: the names of its blobs, one a
 * line, so that a drop finds them without reading contents. Never: writing to a blob that exists; a
 * bad one is replaced as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "providers/local/asset.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"

enum { CHUNK = 64 << 10, BLOBS_MAX = 256 << 20, BLOB_NAME = MIO_SHA256_HEX + 2 };

struct ingest {
    struct local *l;
    struct mio_str ws;
    struct mio_buf blobs; /* text of the `blobs` file */
};

static const char *blob_path(struct local *l, struct mio_str ws, struct mio_str name)
{
    return local_path(l, "workspaces/%.*s/store/sha256/%.2s/%.*s", MIO_FMT(ws), name.p,
                      MIO_FMT(name));
}

/* Copies `from` into the open file and gives the SHA-256 of what was copied. */
static enum mio_code copy_and_digest(const char *from, int to, char hex[MIO_SHA256_HEX + 1],
                                     struct mio_err *err)
{
    MIO_AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return mio_fail_sys(err, errno, "cannot read %s", from);
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    struct mio_sha256 *sha = mio_sha256_new();
    uint8_t sum[MIO_SHA256_LEN];
    mio_sha256_start(sha);
    ssize_t n;
    while ((n = read(in, chunk, CHUNK)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        mio_sha256_add(sha, chunk, (size_t)n);
        if (mio_fs_write_all(to, chunk, (size_t)n, from, err))
            break;
    }
    if (n < 0)
        mio_fail_sys(err, errno, "cannot read %s", from);
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    mio_hex(sum, sizeof sum, hex);
    return err->code;
}

/* True when a blob of that name holds what its name says. */
static bool blob_good(struct local *l, const char *path, const char *hex)
{
    struct mio_err ignored = {0};
    struct mio_str digest;
    return mio_fs_exists(path) && !mio_digest_path(l->a, path, &digest, &ignored) &&
           digest.n > MIO_SHA256_HEX &&
           mio_str_is(mio_str_sub(digest, digest.n - MIO_SHA256_HEX, MIO_SHA256_HEX), hex);
}

/* Moves the temporary file to the blob's place unless a good one is there. */
static enum mio_code settle_blob(struct local *l, const char *tmp, const char *blob,
                                 const char *hex, struct mio_err *err)
{
    struct mio_str dir = mio_path_dir(mio_str_z(blob));
    if (mio_fs_mkdirs(mio_arena_z(l->a, dir), 0700, err))
        return err->code;
    if (!blob_good(l, blob, hex) && rename(tmp, blob) != 0)
        return mio_fail_sys(err, errno, "cannot store %s", blob);
    unlink(tmp); /* gone already when it was renamed */
    return MIO_OK;
}

static enum mio_code link_or_copy(const char *blob, const char *to, struct mio_err *err)
{
    if (link(blob, to) == 0)
        return MIO_OK;
    if (errno != EPERM && errno != EMLINK && errno != EXDEV && errno != EOPNOTSUPP)
        return mio_fail_sys(err, errno, "cannot link %s", to);
    return mio_fs_copy_tree(blob, to, err); /* a file system without hard links */
}

static enum mio_code ingest_file(struct ingest *in, const char *from, const char *to,
                                 bool executable, struct mio_err *err)
{
    struct local *l = in->l;
    char noise[9], hex[MIO_SHA256_HEX + 1];
    uint8_t random[4];
    mio_random(random, sizeof random);
    mio_hex(random, sizeof random, noise);
    const char *store = local_path(l, "workspaces/%.*s/store", MIO_FMT(in->ws));
    const char *tmp = mio_arena_printf(l->a, "%s/new-%s", store, noise).p;
    if (mio_fs_mkdirs(store, 0700, err))
        return err->code;
    MIO_AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot create %s", tmp);
    if (copy_and_digest(from, fd, hex, err) || fchmod(fd, executable ? 0555 : 0444) != 0) {
        unlink(tmp);
        return err->code ? err->code : mio_fail_sys(err, errno, "cannot protect %s", tmp);
    }
    struct mio_str name = mio_arena_printf(l->a, "%s%s", hex, executable ? ".x" : "");
    const char *blob = blob_path(l, in->ws, name);
    if (settle_blob(l, tmp, blob, hex, err)) {
        unlink(tmp);
        return err->code;
    }
    mio_buf_printf(&in->blobs, "%.*s\n", MIO_FMT(name));
    return link_or_copy(blob, to, err);
}

static enum mio_code ingest_tree(struct ingest *in, const char *from, const char *to,
                                 struct mio_err *err);

static enum mio_code ingest_folder(struct ingest *in, const char *from, const char *to,
                                   struct mio_err *err)
{
    struct mio_str *names;
    size_t n;
    if (mkdir(to, 0700) != 0)
        return mio_fail_sys(err, errno, "cannot create folder %s", to);
    if (mio_fs_list(in->l->a, from, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n && !err->code; i++) {
        struct mio_str f = mio_arena_printf(in->l->a, "%s/%.*s", from, MIO_FMT(names[i]));
        struct mio_str t = mio_arena_printf(in->l->a, "%s/%.*s", to, MIO_FMT(names[i]));
        ingest_tree(in, f.p, t.p, err);
    }
    return err->code;
}

static enum mio_code ingest_tree(struct ingest *in, const char *from, const char *to,
                                 struct mio_err *err)
{
    struct stat st;
    if (local_check_stop(in->l, err))
        return err->code;
    if (lstat(from, &st) != 0)
        return mio_fail_sys(err, errno, "cannot read %s", from);
    if (S_ISDIR(st.st_mode))
        return ingest_folder(in, from, to, err);
    if (S_ISREG(st.st_mode))
        return ingest_file(in, from, to, (st.st_mode & S_IXUSR) != 0, err);
    if (S_ISLNK(st.st_mode))
        return mio_fs_copy_tree(from, to, err);
    return mio_fail(err, MIO_TEMPLATE, "%s is neither a file nor a folder", from);
}

/* What an ingest that was killed left half-written; the caller holds the lock of the workspace. */
static void drop_unfinished(struct local *l, struct mio_str ws)
{
    const char *store = local_path(l, "workspaces/%.*s/store", MIO_FMT(ws));
    struct mio_err ignored = {0};
    struct mio_str *names;
    size_t n;
    if (local_names(l, store, &names, &n, &ignored))
        return;
    for (size_t i = 0; i < n; i++)
        if (mio_str_starts(names[i], "new-"))
            unlink(mio_arena_printf(l->a, "%s/%.*s", store, MIO_FMT(names[i])).p);
}

enum mio_code local_store_ingest(struct local *l, struct mio_str ws, const char *source,
                                 const char *content, struct mio_str *digest, struct mio_err *err)
{
    struct ingest in = {.l = l, .ws = ws};
    char *real = realpath(source, NULL); /* a link given as the path itself is followed */
    if (!real)
        return mio_fail_sys(err, errno, "cannot read %s", source);
    struct mio_str base = mio_path_base(mio_path_join(l->a, MIO_STR("/"), mio_str_z(source)));
    const char *to = mio_arena_printf(l->a, "%s/%.*s", content, MIO_FMT(base)).p;
    drop_unfinished(l, ws);
    mio_buf_init(&in.blobs, BLOBS_MAX);
    struct mio_str dir = mio_path_dir(mio_str_z(content));
    const char *list = mio_arena_printf(l->a, "%.*s/blobs", MIO_FMT(dir)).p;
    if (!mio_fs_mkdirs(content, 0700, err) && !ingest_tree(&in, real, to, err))
        mio_fs_replace(list, mio_buf_view(&in.blobs), 0600, err);
    if (!err->code && mio_digest_path(l->a, to, digest, err) == MIO_OK) {
        MIO_AUTO_CLOSE int fd = open(content, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || syncfs(fd) != 0) /* one call makes every new blob durable */
            mio_fail_sys(err, errno, "cannot make %s durable", content);
    }
    mio_buf_free(&in.blobs);
    free(real);
    return err->code;
}

enum mio_code local_store_drop(struct local *l, struct mio_str ws, const char *content,
                               struct mio_err *err)
{
    struct mio_str dir = mio_path_dir(mio_str_z(content)), text;
    bool found;
    if (mio_fs_remove_tree(content, err) ||
        mio_fs_read(l->a, mio_arena_printf(l->a, "%.*s/blobs", MIO_FMT(dir)).p, BLOBS_MAX, &text,
                    &found, err))
        return err->code;
    for (struct mio_str rest = found ? text : MIO_STR(""); rest.n;) {
        ptrdiff_t end = mio_str_find(rest, '\n');
        struct mio_str name = mio_str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
        rest = mio_str_sub(rest, name.n + 1, rest.n);
        if (name.n < MIO_SHA256_HEX || name.n > BLOB_NAME)
            continue;
        struct mio_arena_mark mark = mio_arena_mark(l->a);
        const char *blob = blob_path(l, ws, name);
        struct stat st;
        if (lstat(blob, &st) == 0 && st.st_nlink == 1) { /* nobody else has it */
            unlink(blob);
            rmdir(mio_arena_z(l->a, mio_path_dir(mio_str_z(blob))));
        }
        mio_arena_rewind(l->a, mark);
    }
    return MIO_OK;
}

/* ---- stamps ---- */

static enum mio_code stamp_tree(struct local *l, struct mio_sha256 *sha, const char *path,
                                struct mio_err *err)
{
    struct stat st;
    struct mio_str *names;
    size_t n;
    if (lstat(path, &st) != 0)
        return mio_fail_sys(err, errno, "cannot look at %s", path);
    struct mio_str one =
        mio_arena_printf(l->a, "%s\n%s %o\n", path, local_stamp(l, path).p, (unsigned)st.st_mode);
    if (!S_ISDIR(st.st_mode)) {
        mio_sha256_add(sha, one.p, one.n);
        return MIO_OK;
    }
    mio_sha256_add(sha, path, strlen(path) + 1); /* a folder's own time says nothing of its files */
    if (mio_fs_list(l->a, path, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (stamp_tree(l, sha, mio_arena_printf(l->a, "%s/%.*s", path, MIO_FMT(names[i])).p, err))
            return err->code;
    return MIO_OK;
}

enum mio_code local_store_stamp(struct local *l, const char *path, struct mio_str *out,
                                struct mio_err *err)
{
    struct mio_sha256 *sha = mio_sha256_new();
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_start(sha);
    stamp_tree(l, sha, path, err);
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    if (err->code)
        return err->code;
    mio_hex(sum, sizeof sum, hex);
    *out = mio_arena_str(l->a, mio_str_z(hex));
    return MIO_OK;
}
