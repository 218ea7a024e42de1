/* providers/environment/sink.h: bytes into a compressed file, with the digests of both sides.
 *
 * A file is a row of frames (zstd) or members (gzip): a cell begins one, and zstd another after
 * each 8 MiB. Each is compressed on its own: its bytes do not depend on the number of threads or on
 * its neighbours. */
#pragma once
#include "providers/environment/store.h"

enum mio_codec { MIO_CODEC_ZSTD, MIO_CODEC_GZIP };
struct mio_env_sink;
struct mio_env_sums {
    struct mio_str packed; /* SHA-256, hex */
    struct mio_str plain;  /* the same of what went in; empty where nobody asked for it */
    uint64_t plain_size, packed_size;
};
/* A new file at `path` (O_EXCL); `plain`: the digest of what goes in is wanted. Errors: MIO_IO. */
enum mio_code mio_env_sink_open(const char *path, enum mio_codec codec, bool plain,
                                struct mio_env_sink **out, struct mio_err *err);
enum mio_code mio_env_sink_write(struct mio_env_sink *s, const void *p, size_t n,
                                 struct mio_err *err);
/* Ends the frame; the next write begins another. */
enum mio_code mio_env_sink_frame(struct mio_env_sink *s, struct mio_err *err);
/* Copies a file that mio_env_sink wrote with zstd: as it is into a zstd sink, compressed anew into
 * others. */
enum mio_code mio_env_sink_append(struct mio_env_sink *s, const char *path, struct mio_err *err);
/* Ends the file and tells its digests; frees the sink in any case. Errors: MIO_IO. */
enum mio_code mio_env_sink_close(struct mio_env_sink *s, struct mio_arena *a,
                                 struct mio_env_sums *out, struct mio_err *err);
void mio_env_sink_drop(struct mio_env_sink *s); /* frees without finishing; NULL accepted */
/* Digest of a fixed text compressed: what names this machine's encoder in a seal. */
enum mio_code mio_env_codec_check(struct mio_arena *a, const struct mio_env_store *s,
                                  enum mio_codec codec, struct mio_str *hex, struct mio_err *err);

/* Reads a zstd file of frames from `skip` plain bytes on; what is none goes to
 * mio_env_layer_stream. */
enum mio_code mio_env_unzstd(const char *path, uint64_t skip,
                             enum mio_code (*take)(void *arg, const void *p, size_t n, bool *enough,
                                                   struct mio_err *err),
                             void *arg, struct mio_err *err);
/* layer_read.c: the same of a layer as registries have it: gzip, zstd or plain. */
enum mio_code mio_env_layer_stream(const char *path, uint64_t skip,
                                   enum mio_code (*take)(void *arg, const void *p, size_t n,
                                                         bool *enough, struct mio_err *err),
                                   void *arg, struct mio_err *err);
