/* state/seal.h: bytes that only holders of a key can read or make: state, journal, history, plan.
 *
 * Sealed text: one line of JSON (what it is, which key, the wrapped data key), then AES-256-GCM
 * cipher text and tag. The data key is fresh for each write and wrapped by the key-encryption key;
 * the whole first line is associated data, so kind, lineage, serial and epoch cannot be exchanged.
 * Thread-confined. */
#pragma once
#include "providers/sdk/buf.h"
#include "providers/sdk/err.h"

enum mio_key_type {
    MIO_KEY_PASSPHRASE, /* at least 16 characters; scrypt N=2^17 r=8 p=1 */
    MIO_KEY_RAW,        /* 32 bytes as 64 hex digits or base64 */
    MIO_KEY_EXTERNAL, /* a program that wraps and unwraps: JSON on its standard input and output */
};
/* Where a key comes from. */
struct mio_key_source {
    enum mio_key_type type;
    struct mio_str id;     /* its name in headers and messages: [A-Za-z0-9._-]{1,64} */
    struct mio_str secret; /* the passphrase or key itself; "" : read from path */
    const char *path;      /* a file that only its owner can read */
    const char *const
        *command; /* EXTERNAL: argv. Input {"op":"wrap"|"unwrap","key":"<base64>"}, output
                     {"key":"<base64>"} */
};
/* The first key writes, every key reads. */
struct mio_seal_opts {
    const struct mio_key_source *keys;
    size_t nkeys;
    bool enforced;     /* text in clear is refused, and nothing is written in clear */
    bool write_clear;  /* read sealed, write in clear (to give sealing up); refused with enforced */
    bool accept_clear; /* with enforced: read what is still in clear, once, to seal it */
};

struct mio_sealer;
/* Proves that the first key can be used: wraps and unwraps with it. Errors: MIO_USAGE (malformed),
 * MIO_AUTH (weak, readable by others), MIO_IO. */
enum mio_code mio_sealer_open(const struct mio_seal_opts *o, struct mio_sealer **out,
                              struct mio_err *err);
const struct mio_seal_opts *mio_sealer_opts(const struct mio_sealer *s);
void mio_sealer_close(struct mio_sealer *s); /* wipes the keys; NULL accepted */

/* What is sealed, bound to it. */
struct mio_seal_about {
    struct mio_str kind; /* "state", "journal", "history", "plan" */
    struct mio_str lineage;
    uint64_t serial, epoch;
};
enum mio_code mio_seal(struct mio_sealer *s, const struct mio_seal_about *about,
                       struct mio_str plain, struct mio_buf *out, struct mio_err *err);
bool mio_is_sealed(struct mio_str text);
bool mio_seal_newer(struct mio_str text); /* in a form that only later versions read */
/* Gives the plain text in the arena and what it is. s NULL: fails with what is needed. Errors:
 * MIO_AUTH (no such key, wrong key), MIO_STATE (damaged, altered, of another kind). */
enum mio_code mio_unseal(struct mio_sealer *s, struct mio_arena *a, const char *kind,
                         struct mio_str text, struct mio_str *plain, struct mio_seal_about *about,
                         struct mio_err *err);

/* Records under one data key, each with a nonce of its own; `context` is associated data. */
enum { MIO_RECORD_KEY = 32, MIO_RECORD_EXTRA = 12 + 16 };
void mio_seal_record(const uint8_t key[MIO_RECORD_KEY], const void *context, size_t ncontext,
                     struct mio_str plain, struct mio_buf *out);
bool mio_unseal_record(const uint8_t key[MIO_RECORD_KEY], const void *context, size_t ncontext,
                       struct mio_str sealed, struct mio_arena *a, struct mio_str *plain);
