/* providers/sdk/redact.h: the secrets of this process, and text without them.
 *
 * Whatever is marked sensitive (value.h) is known here by its text, and so are keys and credentials
 * that were never values. Everything that leaves for people, logs and programs passes mio_redact or
 * mio_hide. Found are the texts themselves, as JSON and URLs write them, inside base64 at any
 * offset, the lines of texts of several lines, and what is left of a secret at the end of a text
 * that was cut.
 *
 * Owns: copies of the secrets in memory that is in no core file and in no child, wiped at the end.
 * Thread-safe. */
#pragma once
#include "providers/sdk/buf.h"

enum { MIO_SECRET_MIN = 6 }; /* shorter ones would take half of the text with them */

/* From now on hidden; texts below MIO_SECRET_MIN bytes are not. */
void mio_secret_add(struct mio_str text);
/* Never hidden, now and later: the template says that it is no secret. */
void mio_secret_allow(struct mio_str text);
/* Forgets all of them; before the end of the process, when nothing is written any more. */
void mio_secrets_wipe(void);

bool mio_secrets_known(void); /* any at all? */
/* Copies text to out, each secret replaced by "(sensitive value)". */
void mio_hide(struct mio_buf *out, struct mio_str text);
/* The same, and control bytes (C0, DEL, C1, bidi overrides) as \xNN: for text that came from
 * elsewhere. */
void mio_redact(struct mio_buf *out, struct mio_str text);
