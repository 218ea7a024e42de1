/* providers/environment/tar.h: the canonical tar writer: ustar, pax only where a name or size does
 * not fit, numeric owners, no other field. The bytes are a function of the entries. */
#pragma once
#include "providers/environment/sink.h"
#include "providers/environment/tree.h"

/* Writes a sorted tree as a fragment (no trailer); each entry's offset becomes that of its content
 * in the fragment. Errors: MIO_IO. */
enum mio_code mio_env_tar_write(struct mio_env_tree *t, struct mio_env_sink *out,
                                struct mio_err *err);
/* The 1024 zero bytes that end an archive, as a frame of their own. */
enum mio_code mio_env_tar_end(struct mio_env_sink *out, struct mio_err *err);
