/* providers/environment/files.c: the files that the template adds. */
#include "providers/environment/build.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <unistd.h>

struct adder {
    struct mio_env_tree *t;
    int64_t mtime;
    struct mio_err *err;
};

static enum mio_code add(struct adder *w, const char *from, struct mio_str to)
{
    struct mio_arena *a = w->t->arena;
    struct stat st;
    struct mio_str text, *names;
    size_t n;
    if (lstat(from, &st))
        return mio_fail_sys(w->err, errno, "cannot read %s", from);
    if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t k = readlink(from, target, sizeof target);
        if (k <= 0)
            return mio_fail_sys(w->err, errno, "cannot read %s", from);
        mio_env_tree_symlink(w->t, to, (struct mio_str){target, (size_t)k}, w->mtime);
        return MIO_OK;
    }
    if (S_ISREG(st.st_mode))
        return mio_fs_read(a, from, 1u << 31, &text, NULL, w->err)
                   ? w->err->code
                   : mio_env_tree_file(w->t, to, st.st_mode & 0100 ? 0755 : 0644, w->mtime, text,
                                       w->err);
    if (!S_ISDIR(st.st_mode))
        return mio_fail(w->err, MIO_TEMPLATE, "%s is a device, pipe or socket", from);
    mio_env_tree_dir(w->t, to, 0755, w->mtime);
    if (mio_fs_list(a, from, &names, &n, w->err))
        return w->err->code;
    for (size_t i = 0; i < n; i++)
        if (add(w, mio_arena_printf(a, "%s/%.*s", from, MIO_FMT(names[i])).p,
                mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(to), MIO_FMT(names[i]))))
            return w->err->code;
    return MIO_OK;
}

static enum mio_code add_locked(struct adder *w, const char *dir, struct mio_value f)
{
    struct mio_arena *a = w->t->arena;
    struct mio_str digest, target = mio_get_str(f, "target"), to;
    const char *from = mio_path_join(a, mio_str_z(dir), mio_get_str(f, "source")).p;
    if (mio_digest_path(a, from, &digest, w->err))
        return w->err->code;
    if (!mio_str_eq(digest, mio_get_str(f, "digest"))) {
        mio_fail(w->err, MIO_STATE, "%s has changed since the environment was locked", from);
        return mio_err_hint(w->err, "run 'env lock', and review the difference");
    }
    if (!mio_str_starts(target, "/") || !mio_env_path(a, mio_str_sub(target, 1, target.n), &to) ||
        !to.n)
        return mio_fail(w->err, MIO_TEMPLATE, "files: %.*s is no sound target", MIO_FMT(target));
    return add(w, from, to);
}

enum mio_code mio_env_files(struct mio_arena *a, const struct mio_env_build_opts *o,
                            const struct mio_env_lock *lock, struct mio_env_cell *out,
                            struct mio_err *err)
{
    struct mio_env_tree t;
    mio_env_tree_init(&t, a, o->store);
    struct adder w = {&t, lock->epoch, err};
    for (uint32_t i = 0; lock->files.type == MIO_LIST && i < lock->files.n && !err->code; i++)
        add_locked(&w, o->dir, lock->files.items[i]);
    if (!err->code) {
        mio_env_tree_sort(&t);
        if (!mio_env_tree_check(&t, err))
            mio_env_cell_put(a, o->store, mio_env_tree_key(a, &t), &t, NULL, out, err);
    }
    mio_env_tree_free(&t);
    out->name = out->group = MIO_STR("files");
    return err->code;
}
