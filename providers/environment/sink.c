/* providers/environment/sink.c: zstd frames and gzip members. */
#include "providers/environment/sink.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

/* A frame's content is compressed in one go: that takes a sixth less time than a stream of pieces.
 */
enum { CHUNK = 1 << 17, FRAME = 8 << 20, ZSTD_LEVEL = 3, ZSTD_WINDOW = 22, GZIP_LEVEL = 6 };

struct mio_env_sink {
    int fd;
    enum mio_codec codec;
    bool in_frame;
    ZSTD_CCtx *zstd;
    z_stream gzip;
    struct mio_sha256 *plain; /* NULL: nobody asks for it */
    struct mio_sha256 *packed;
    uint64_t plain_size, packed_size;
    char *frame; /* of zstd: what came since the last frame ended */
    size_t n;
    unsigned char *chunk; /* what goes into the file next */
};

enum mio_code mio_env_sink_open(const char *path, enum mio_codec codec, bool plain,
                                struct mio_env_sink **out, struct mio_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot make %s", path);
    struct mio_env_sink *s = mio_zalloc(1, sizeof *s);
    *s = (struct mio_env_sink){.fd = fd, .codec = codec};
    s->packed = mio_sha256_new();
    mio_sha256_start(s->packed);
    if (plain) {
        s->plain = mio_sha256_new();
        mio_sha256_start(s->plain);
    }
    if (codec == MIO_CODEC_ZSTD) {
        s->zstd = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_windowLog, ZSTD_WINDOW);
        ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_checksumFlag, 1);
        s->frame = mio_alloc(FRAME);
        s->chunk = mio_alloc(ZSTD_COMPRESSBOUND(FRAME));
    } else { /* 16: a gzip header, whose time and system fields zlib leaves fixed */
        deflateInit2(&s->gzip, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
        s->chunk = mio_alloc(CHUNK);
    }
    *out = s;
    return MIO_OK;
}

void mio_env_sink_drop(struct mio_env_sink *s)
{
    if (!s)
        return;
    if (s->codec == MIO_CODEC_ZSTD)
        ZSTD_freeCCtx(s->zstd);
    else
        deflateEnd(&s->gzip);
    mio_sha256_free(s->plain);
    mio_sha256_free(s->packed);
    free(s->frame);
    free(s->chunk);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static enum mio_code put_packed(struct mio_env_sink *s, const void *p, size_t n,
                                struct mio_err *err)
{
    mio_sha256_add(s->packed, p, n);
    s->packed_size += n;
    return mio_fs_write_all(s->fd, p, n, "a layer", err);
}

static enum mio_code pump_zstd(struct mio_env_sink *s, const char *p, size_t n, bool end,
                               struct mio_err *err)
{
    while (n || (end && s->n)) {
        size_t k = n < FRAME - s->n ? n : FRAME - s->n;
        memcpy(s->frame + s->n, p, k);
        s->n += k;
        p += k;
        n -= k;
        if (s->n < FRAME && !(end && !n))
            return MIO_OK;
        size_t packed =
            ZSTD_compress2(s->zstd, s->chunk, ZSTD_COMPRESSBOUND(FRAME), s->frame, s->n);
        if (ZSTD_isError(packed))
            return mio_fail(err, MIO_BUG, "zstd: %s", ZSTD_getErrorName(packed));
        s->n = 0;
        if (put_packed(s, s->chunk, packed, err))
            return err->code;
    }
    return MIO_OK;
}

static enum mio_code pump_gzip(struct mio_env_sink *s, const void *p, size_t n, bool end,
                               struct mio_err *err)
{
    s->gzip.next_in = (unsigned char *)(uintptr_t)p;
    s->gzip.avail_in = (unsigned)n;
    do {
        s->gzip.next_out = s->chunk;
        s->gzip.avail_out = CHUNK;
        deflate(&s->gzip, end ? Z_FINISH : Z_NO_FLUSH);
        if (put_packed(s, s->chunk, CHUNK - s->gzip.avail_out, err))
            return err->code;
    } while (!s->gzip.avail_out);
    if (end)
        deflateReset(&s->gzip);
    return MIO_OK;
}

static enum mio_code pump(struct mio_env_sink *s, const void *p, size_t n, bool end,
                          struct mio_err *err)
{
    return s->codec == MIO_CODEC_ZSTD ? pump_zstd(s, p, n, end, err) : pump_gzip(s, p, n, end, err);
}

enum mio_code mio_env_sink_write(struct mio_env_sink *s, const void *p, size_t n,
                                 struct mio_err *err)
{
    s->in_frame = true;
    s->plain_size += n;
    if (s->plain)
        mio_sha256_add(s->plain, p, n);
    return pump(s, p, n, false, err);
}

enum mio_code mio_env_sink_frame(struct mio_env_sink *s, struct mio_err *err)
{
    if (!s->in_frame)
        return MIO_OK;
    s->in_frame = false;
    return pump(s, "", 0, true, err);
}

static struct mio_str take_hex(struct mio_arena *a, struct mio_sha256 *s)
{
    uint8_t sum[MIO_SHA256_LEN];
    char *hex = mio_arena_alloc(a, MIO_SHA256_HEX + 1);
    mio_sha256_end(s, sum);
    mio_hex(sum, sizeof sum, hex);
    return mio_str_z(hex);
}

enum mio_code mio_env_sink_close(struct mio_env_sink *s, struct mio_arena *a,
                                 struct mio_env_sums *out, struct mio_err *err)
{
    enum mio_code code = mio_env_sink_frame(s, err);
    if (!code && fdatasync(s->fd))
        code = mio_fail_sys(err, errno, "cannot flush a layer to disk");
    if (!code) {
        *out = (struct mio_env_sums){.packed = take_hex(a, s->packed),
                                     .plain_size = s->plain_size,
                                     .packed_size = s->packed_size};
        if (s->plain)
            out->plain = take_hex(a, s->plain);
    }
    mio_env_sink_drop(s);
    return code;
}

static void auto_dctx(ZSTD_DCtx **d)
{
    ZSTD_freeDCtx(*d);
}

typedef enum mio_code take_fn(void *arg, const void *p, size_t n, bool *enough,
                              struct mio_err *err);

static enum mio_code damaged(const char *path, const char *how, struct mio_err *err)
{
    mio_fail(err, MIO_IO, "%s is damaged: %s", path, how);
    return mio_err_hint(err, "remove it and build again: what a store lacks is made anew");
}

/* As mio_env_unzstd; the file goes into `copy` as it is, too, unless that is NULL. */
static enum mio_code unzstd(const char *path, uint64_t skip, struct mio_env_sink *copy,
                            take_fn *take, void *arg, struct mio_err *err)
{
    MIO_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot open %s", path);
    uint32_t magic = 0;
    if (pread(fd, &magic, sizeof magic, 0) == sizeof magic && magic != ZSTD_MAGICNUMBER)
        return mio_env_layer_stream(path, skip, take, arg, err);
    MIO_AUTO_FREE char *packed = mio_alloc(CHUNK), *plain = mio_alloc(CHUNK);
    __attribute__((cleanup(auto_dctx))) ZSTD_DCtx *d = ZSTD_createDCtx();
    bool enough = false;
    size_t rc = 0;
    ssize_t n;
    while (!enough && (n = read(fd, packed, CHUNK)) != 0) {
        if (n < 0)
            return mio_fail_sys(err, errno, "cannot read %s", path);
        if (copy && put_packed(copy, packed, (size_t)n, err))
            return err->code;
        ZSTD_inBuffer in = {packed, (size_t)n, 0};
        for (bool full = true; !enough && (in.pos < in.size || full);) {
            ZSTD_outBuffer to = {plain, CHUNK, 0};
            rc = ZSTD_decompressStream(d, &to, &in);
            if (ZSTD_isError(rc))
                return damaged(path, ZSTD_getErrorName(rc), err);
            full = to.pos == CHUNK;
            size_t past = skip < to.pos ? (size_t)skip : to.pos;
            skip -= past;
            if (to.pos > past && take(arg, plain + past, to.pos - past, &enough, err))
                return err->code;
        }
    }
    if (!enough && rc)
        return damaged(path, "it is cut off", err);
    return MIO_OK;
}

enum mio_code mio_env_unzstd(const char *path, uint64_t skip,
                             enum mio_code (*take)(void *arg, const void *p, size_t n, bool *enough,
                                                   struct mio_err *err),
                             void *arg, struct mio_err *err)
{
    return unzstd(path, skip, NULL, take, arg, err);
}

static enum mio_code take_plain(void *arg, const void *p, size_t n, bool *enough,
                                struct mio_err *err)
{
    struct mio_env_sink *s = arg;
    (void)enough;
    if (s->codec != MIO_CODEC_ZSTD)
        return mio_env_sink_write(s, p, n, err);
    s->plain_size += n;
    if (s->plain)
        mio_sha256_add(s->plain, p, n);
    return MIO_OK;
}

enum mio_code mio_env_sink_append(struct mio_env_sink *s, const char *path, struct mio_err *err)
{
    struct mio_env_sink *copy = s->codec == MIO_CODEC_ZSTD ? s : NULL;
    return unzstd(path, 0, copy, take_plain, s, err) ? err->code : mio_env_sink_frame(s, err);
}

enum mio_code mio_env_codec_check(struct mio_arena *a, const struct mio_env_store *s,
                                  enum mio_codec codec, struct mio_str *hex, struct mio_err *err)
{
    MIO_AUTO_FREE unsigned char *text = mio_alloc(CHUNK);
    uint32_t x = 1;
    for (size_t i = 0; i < CHUNK; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = (unsigned char)("the quick brown fox jumps "[(x >> 24) % 26]);
    }
    const char *tmp = mio_env_store_tmp(a, s);
    struct mio_env_sink *sink;
    struct mio_env_sums sums;
    if (mio_env_sink_open(tmp, codec, true, &sink, err))
        return err->code;
    enum mio_code code = mio_env_sink_write(sink, text, CHUNK, err);
    if (code)
        mio_env_sink_drop(sink);
    else
        code = mio_env_sink_close(sink, a, &sums, err);
    unlink(tmp);
    if (!code)
        *hex = sums.packed;
    return code;
}
