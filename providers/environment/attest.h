/* providers/environment/attest.h: a signed statement of how an image came about. */
#pragma once
#include "providers/environment/lock.h"

/* SLSA v1 provenance in an in-toto statement, in a DSSE envelope signed with the Ed25519 key of a
 * PEM file. The subject is the sealed manifest, the materials are what the lock names. Errors:
 * MIO_STATE when the lock is not sealed; MIO_AUTH when the key cannot be read or is of another
 * kind. */
enum mio_code mio_env_attest(struct mio_arena *a, const struct mio_env_lock *lock,
                             const char *key_file, struct mio_str *out, struct mio_err *err);
