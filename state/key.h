/* state/key.h: one key-encryption key, loaded. Never: included outside key.c and seal.c. */
#pragma once
#include "state/seal.h"

enum { MIO_KEY_LEN = 32, MIO_SCRYPT_SALT = 32 };

struct mio_key {
    enum mio_key_type type;
    struct mio_str id;
    uint8_t *secret; /* passphrase or raw key */
    size_t nsecret;
    const char *const *command;
    /* the last key derived from the passphrase, and what for */
    bool derived;
    uint8_t salt[MIO_SCRYPT_SALT], kek[MIO_KEY_LEN];
    uint64_t n;
    uint32_t r, p;
};

enum mio_code mio_key_load(struct mio_arena *a, const struct mio_key_source *src,
                           struct mio_key *out, struct mio_err *err);
void mio_key_wipe(struct mio_key *k);
/* The 32 bytes that wrap data keys; PASSPHRASE: derived with k->salt, n, r, p (set by the caller).
 * Errors: MIO_STATE when the parameters are out of bounds. */
enum mio_code mio_key_kek(struct mio_key *k, const uint8_t **kek, struct mio_err *err);
/* EXTERNAL: asks the program. */
enum mio_code mio_key_ask(struct mio_key *k, struct mio_arena *a, const char *op, struct mio_str in,
                          struct mio_str *out, struct mio_err *err);
