/* providers/environment/attest.h: a signed statement of how an image came about. */
#pragma once
#include "providers/environment/lock.h"

enum mio_env_predicate { MIO_ENV_PROVENANCE, MIO_ENV_SPDX, MIO_ENV_CYCLONEDX };
enum { MIO_ENV_PREDICATES = MIO_ENV_CYCLONEDX + 1 };
/* The address that names the kind of predicate. */
const char *mio_env_predicate_type(enum mio_env_predicate p);
/* The signature of a message by the key of a PEM file, in base64: Ed25519 of the message, ECDSA of
 * its SHA-256. Errors: MIO_AUTH. */
enum mio_code mio_env_sign(struct mio_arena *a, const char *key_file, struct mio_str message,
                           struct mio_str *out, struct mio_err *err);
/* What is said of the sealed manifest (SLSA v1 provenance, or a bill of materials) as an in-toto
 * statement in a DSSE envelope, signed with the Ed25519 or ECDSA key of a PEM file. Errors:
 * MIO_STATE when the lock is not sealed; MIO_AUTH when the key cannot be read or is of another
 * kind. */
enum mio_code mio_env_attest(struct mio_arena *a, const struct mio_env_lock *lock,
                             enum mio_env_predicate predicate, const char *key_file,
                             struct mio_str *out, struct mio_err *err);
