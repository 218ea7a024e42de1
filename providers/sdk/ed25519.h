/* providers/sdk/ed25519.h: Ed25519 keys and signatures over OpenSSL.
 *
 * Private keys are PEM (openssl genpkey -algorithm ed25519); public keys are written as OpenSSH
 * does ("ssh-ed25519 AAAA... comment"), as PEM, or as base64 of the 32 bytes. */
#pragma once
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"

enum { MIO_ED25519_KEY = 32, MIO_ED25519_SIG = 64 };

struct mio_ed25519; /* a private key; handle */
/* From the file `path`, which must be closed to others, or, when path is NULL, from `text`. Errors:
 * MIO_AUTH (no such key, open to others), MIO_IO. */
enum mio_code mio_ed25519_open(const char *path, struct mio_str text, struct mio_ed25519 **out,
                               struct mio_err *err);
void mio_ed25519_close(struct mio_ed25519 *k); /* NULL accepted */
void mio_ed25519_public(const struct mio_ed25519 *k, uint8_t out[MIO_ED25519_KEY]);
/* Errors: MIO_AUTH. */
enum mio_code mio_ed25519_sign(const struct mio_ed25519 *k, struct mio_str message,
                               uint8_t out[MIO_ED25519_SIG], struct mio_err *err);
bool mio_ed25519_verify(const uint8_t key[MIO_ED25519_KEY], struct mio_str message,
                        struct mio_str signature);
/* A public key in any of its forms; false when it is none. */
bool mio_ed25519_parse(struct mio_str text, uint8_t out[MIO_ED25519_KEY]);
/* "SHA256:..." as `ssh-keygen -l` shows it, in the arena. */
struct mio_str mio_ed25519_fingerprint(struct mio_arena *a, const uint8_t key[MIO_ED25519_KEY]);
