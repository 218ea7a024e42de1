/* planner/expr/text.h: Unicode where Terraform's strings need it (normal form, user-perceived
 * characters). */
#pragma once
#include "providers/sdk/arena.h"

/* Normal form C; ASCII and malformed text come back as they are. */
struct mio_str mio_text_nfc(struct mio_arena *a, struct mio_str s);
/* Bytes of the first user-perceived character (grapheme cluster) of a text that is not empty. */
size_t mio_text_cluster(struct mio_str s);
size_t mio_text_clusters(struct mio_str s);
/* The code point at the start of a text that is not empty; *n is its length in bytes. Malformed:
 * U+FFFD, 1 byte. */
uint32_t mio_text_rune(struct mio_str s, size_t *n);
struct mio_str mio_text_upper(struct mio_arena *a, struct mio_str s);
struct mio_str mio_text_lower(struct mio_arena *a, struct mio_str s);
