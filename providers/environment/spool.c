/* providers/environment/spool.c: see spool.h. */
#include "providers/environment/spool.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = MIO_ENV_SPOOL_BLOCK };
static const uint64_t in_memory = (uint64_t)MIO_ENV_SPOOL_BLOCKS * BLOCK;

static enum mio_code make_file(struct mio_env_spool *s, struct mio_arena *a, struct mio_err *err)
{
    const char *path = mio_env_store_tmp(a, s->store);
    s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return mio_fail_sys(err, errno, "cannot make %s", path);
    unlink(path);
    s->filed = true;
    return MIO_OK;
}

enum mio_code mio_env_spool_add(struct mio_env_spool *s, struct mio_arena *a, const void *p,
                                size_t n, struct mio_err *err)
{
    const char *from = p;
    while (n && s->size < in_memory) {
        size_t block = (size_t)(s->size / BLOCK), at = (size_t)(s->size % BLOCK),
               k = n < BLOCK - at ? n : BLOCK - at;
        if (!s->blocks[block])
            s->blocks[block] = mio_alloc(BLOCK);
        memcpy(s->blocks[block] + at, from, k);
        from += k;
        n -= k;
        s->size += k;
    }
    if (!n)
        return MIO_OK;
    s->size += n;
    if (!s->filed && make_file(s, a, err))
        return err->code;
    return mio_fs_write_all(s->fd, from, n, "the builder's spool", err);
}

const char *mio_env_spool_peek(const struct mio_env_spool *s, uint64_t at, size_t *n)
{
    if (at >= in_memory)
        return NULL;
    size_t from = (size_t)(at % BLOCK);
    *n = *n < BLOCK - from ? *n : BLOCK - from;
    return s->blocks[at / BLOCK] + from;
}

enum mio_code mio_env_spool_read(const struct mio_env_spool *s, uint64_t at, void *p, size_t n,
                                 struct mio_err *err)
{
    char *to = p;
    for (size_t k; n && at < in_memory; to += k, at += k, n -= k) {
        size_t from = (size_t)(at % BLOCK);
        k = n < BLOCK - from ? n : BLOCK - from;
        memcpy(to, s->blocks[at / BLOCK] + from, k);
    }
    for (ssize_t k; n; to += k, at += (uint64_t)k, n -= (size_t)k) {
        k = pread(s->fd, to, n, (off_t)(at - in_memory));
        if (k <= 0)
            return mio_fail_sys(err, k ? errno : EIO, "cannot read the builder's spool");
    }
    return MIO_OK;
}

void mio_env_spool_free(struct mio_env_spool *s)
{
    for (size_t i = 0; i < MIO_ENV_SPOOL_BLOCKS; i++)
        free(s->blocks[i]);
    if (s->filed)
        close(s->fd);
    *s = (struct mio_env_spool){.store = s->store};
}
