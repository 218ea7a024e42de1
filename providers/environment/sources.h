/* providers/environment/sources.h: where Debian's packages come from: the mirror that the
 * environment names, else what this system's apt is configured to use for the same suite. */
#pragma once
#include "providers/environment/spec.h"
#include "providers/sdk/buf.h"

struct mio_env_source {
    struct mio_str uri; /* without a slash at its end */
    struct mio_str suite;
    struct mio_str components; /* words separated by spaces */
    struct mio_str keyring;    /* path */
};
/* Errors: MIO_TEMPLATE when nothing offers the suite. */
enum mio_code mio_env_sources(struct mio_arena *a, const struct mio_env_spec *spec,
                              struct mio_env_source **out, size_t *n, struct mio_err *err);
/* Splits off the next line of *text, without its newline. False at the end. */
bool mio_env_line(struct mio_str *text, struct mio_str *line);
/* Splits off the next word (white space around it is dropped). False at the end. */
bool mio_env_word(struct mio_str *text, struct mio_str *word);
/* Value of a field of a Debian control stanza (continuation lines included), or the empty view. */
struct mio_str mio_env_field(struct mio_str stanza, const char *name);
