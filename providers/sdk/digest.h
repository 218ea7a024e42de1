/* providers/sdk/digest.h: SHA-256, HMAC, hex, base32 and base64 over OpenSSL; digests of files and
 * trees. */
#pragma once
#include <stdint.h>
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

enum { MIO_SHA256_LEN = 32, MIO_SHA256_HEX = 64 };

/* OpenSSL out of memory ends the process as ours does (alloc.h): it does not survive it by itself.
 * First thing in main. */
void mio_crypto_setup(void);

struct mio_sha256; /* running digest; thread-confined */
struct mio_sha256 *mio_sha256_new(void);
void mio_sha256_free(struct mio_sha256 *s); /* NULL accepted */
void mio_sha256_start(struct mio_sha256 *s);
void mio_sha256_add(struct mio_sha256 *s, const void *p, size_t n);
void mio_sha256_end(struct mio_sha256 *s, uint8_t out[MIO_SHA256_LEN]);

void mio_sha256_of(const void *p, size_t n, uint8_t out[MIO_SHA256_LEN]);
void mio_hmac_sha256(const void *key, size_t keylen, const void *p, size_t n,
                     uint8_t out[MIO_SHA256_LEN]);
void mio_hex(const uint8_t *p, size_t n, char *out); /* 2n characters and a NUL */
bool mio_unhex(struct mio_str hex, uint8_t *out, size_t n);
struct mio_str mio_base64(struct mio_arena *a, const void *p, size_t n);
bool mio_unbase64(struct mio_arena *a, struct mio_str text, struct mio_str *out);
void mio_base32(const uint8_t *p, size_t n, char *out, size_t chars); /* lower case, NUL added */
void mio_random(void *p, size_t n); /* from the system; ends the process if there is none */
uint32_t mio_crc32c(const void *p, size_t n);

/* "sha256:<hex>" of a regular file, or of a directory: the sorted list of relative path, executable
 * bit, size and digest of every regular file in it (symlinks are digested by target, sockets and
 * devices refused). Names in `.amlignore`/`.gitignore` are not interpreted here. Errors: MIO_IO,
 * MIO_TEMPLATE when absent. */
enum mio_code mio_digest_path(struct mio_arena *a, const char *path, struct mio_str *out,
                              struct mio_err *err);
