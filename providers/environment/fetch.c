/* providers/environment/fetch.c: apt's downloader, and the check of what it brought. */
#include "providers/environment/fetch.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define APT_HELPER "/usr/lib/apt/apt-helper"
enum { BATCH = 200, COPIERS = 4, BATCH_MS = 30 * 60 * 1000 };

static struct mio_str local_path(struct mio_str url)
{
    if (mio_str_starts(url, "file://"))
        return mio_str_sub(url, 7, url.n);
    if (mio_str_starts(url, "file:"))
        return mio_str_sub(url, 5, url.n);
    return mio_str_starts(url, "/") ? url : (struct mio_str){0};
}

static enum mio_code accept_file(struct mio_arena *a, const struct mio_env_fetch *f,
                                 const char *tmp, struct mio_err *err)
{
    struct mio_str hex, name = mio_path_base(f->url);
    uint64_t size;
    if (mio_env_file_sha256(a, tmp, &hex, &size, err))
        return err->code;
    if (f->size && size != f->size)
        mio_fail(err, MIO_IO, "%.*s: %llu bytes came instead of %llu", MIO_FMT(name),
                 (unsigned long long)size, (unsigned long long)f->size);
    else if (f->sha256.n && !mio_str_eq(hex, f->sha256))
        mio_fail(err, MIO_IO, "%.*s: SHA-256 is %.*s, not %.*s", MIO_FMT(name), MIO_FMT(hex),
                 MIO_FMT(f->sha256));
    else if (rename(tmp, f->path))
        mio_fail_sys(err, errno, "cannot move %s to %s", tmp, f->path);
    else
        return MIO_OK;
    unlink(tmp);
    return mio_err_hint(
        err, "the mirror does not hold what was signed or locked; try another mirror, or "
             "build from a vendored folder");
}

static enum mio_code copy_local(struct mio_arena *a, const struct mio_env_store *s,
                                const struct mio_env_fetch *f, struct mio_str path,
                                struct mio_err *err)
{
    const char *tmp = mio_env_store_tmp(a, s), *from = mio_arena_z(a, path);
    if (access(from, R_OK) && errno != ENOENT && errno != ENOTDIR)
        return mio_fail_sys(err, errno, "cannot read %s", from);
    if (!mio_fs_exists(from)) {
        mio_fail(err, MIO_REALITY, "%s is not there", from);
        return mio_err_hint(err, "gone from the mirror: a newer version may have replaced it; "
                                 "'env lock' resolves anew");
    }
    if (mio_fs_copy_tree(from, tmp, err)) {
        unlink(tmp);
        return err->code;
    }
    return accept_file(a, f, tmp, err);
}

/* Files of this machine, a few at a time: hashing is what takes the time. */
struct copies {
    const struct mio_env_store *s;
    struct mio_env_fetch **items;
    size_t n;
    _Atomic size_t next;
    pthread_mutex_t mu;
    struct mio_err *err; /* the first one */
};

static void *copy_some(void *arg)
{
    struct copies *c = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    for (size_t i; (i = c->next++) < c->n;) {
        struct mio_err err = {0};
        if (!copy_local(&a, c->s, c->items[i], local_path(c->items[i]->url), &err))
            continue;
        pthread_mutex_lock(&c->mu);
        if (!c->err->code)
            *c->err = err;
        pthread_mutex_unlock(&c->mu);
        c->next = c->n;
    }
    mio_arena_free(&a);
    return NULL;
}

static enum mio_code copy_all(struct copies *c)
{
    pthread_t threads[COPIERS];
    size_t n = 0;
    pthread_mutex_init(&c->mu, NULL);
    while (n < COPIERS && n + 1 < c->n && !pthread_create(&threads[n], NULL, copy_some, c))
        n++;
    copy_some(c);
    while (n)
        pthread_join(threads[--n], NULL);
    pthread_mutex_destroy(&c->mu);
    return c->err->code;
}

static enum mio_code explain(struct mio_arena *a, struct mio_str said, struct mio_err *err)
{
    struct mio_str line = {0};
    bool gone = false;
    for (size_t from = 0; from < said.n;) {
        struct mio_str rest = mio_str_sub(said, from, said.n);
        ptrdiff_t nl = mio_str_find(rest, '\n');
        struct mio_str one = nl < 0 ? rest : mio_str_sub(rest, 0, (size_t)nl);
        if (mio_str_starts(one, "E: ") && !line.n)
            line = mio_str_sub(one, 3, one.n);
        from += one.n + 1;
    }
    gone = line.n && memmem(line.p, line.n, "404", 3);
    mio_fail(err, gone ? MIO_REALITY : MIO_TRANSIENT, "the mirror did not give a file: %.*s",
             MIO_FMT(line.n ? line : mio_str_trim(said)));
    (void)a;
    return mio_err_hint(err, gone ? "a newer version may have replaced it: 'env lock' resolves anew"
                                  : "check the network and apt's proxy settings");
}

static enum mio_code run_helper(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_env_fetch **items, size_t n, struct mio_err *err)
{
    if (!mio_fs_exists(APT_HELPER)) {
        mio_fail(err, MIO_IO, "apt's downloader is not installed here");
        return mio_err_hint(err, "install apt, or point base.mirror at a folder with a copy");
    }
    static const char *const head[] = {APT_HELPER,
                                       "-o",
                                       "APT::Sandbox::User=root",
                                       "-o",
                                       "Acquire::Retries=3",
                                       "-o",
                                       "Acquire::http::Timeout=30",
                                       "-o",
                                       "Acquire::https::Timeout=30",
                                       "download-file"};
    size_t k = sizeof head / sizeof *head;
    const char **argv = MIO_NEW_N(a, const char *, k + 3 * n + 1);
    const char **tmp = MIO_NEW_N(a, const char *, n);
    memcpy(argv, head, sizeof head);
    for (size_t i = 0; i < n; i++) {
        tmp[i] = mio_env_store_tmp(a, s);
        argv[k++] = mio_arena_z(a, items[i]->url);
        argv[k++] = tmp[i];
        argv[k++] = items[i]->sha256.n
                        ? mio_arena_printf(a, "SHA256:%.*s", MIO_FMT(items[i]->sha256)).p
                        : "";
    }
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    struct mio_proc_opts o = {.argv = argv, .in = -1};
    if (mio_proc_run(&o, mio_now_ms() + BATCH_MS, &said, &status, err))
        return err->code;
    enum mio_code code = status ? explain(a, mio_buf_view(&said), err) : MIO_OK;
    for (size_t i = 0; i < n && !code; i++)
        code = accept_file(a, items[i], tmp[i], err);
    for (size_t i = 0; i < n && code; i++)
        unlink(tmp[i]);
    return code;
}

enum mio_code mio_env_fetch_all(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_env_fetch *items, size_t n, struct mio_err *err)
{
    struct mio_env_fetch **todo = MIO_NEW_N(a, struct mio_env_fetch *, n + 1);
    struct copies local = {
        .s = s, .items = MIO_NEW_N(a, struct mio_env_fetch *, n + 1), .err = err};
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        struct mio_env_fetch *f = &items[i];
        if (f->sha256.n) {
            f->path = mio_env_store_blob(a, s, f->sha256);
            if (mio_env_store_has(a, s, f->sha256, f->size))
                continue;
        }
        if (local_path(f->url).n)
            local.items[local.n++] = f;
        else
            todo[k++] = f;
    }
    if (copy_all(&local))
        return err->code;
    for (size_t from = 0; from < k; from += BATCH)
        if (run_helper(a, s, todo + from, k - from < BATCH ? k - from : BATCH, err))
            return err->code;
    return MIO_OK;
}
