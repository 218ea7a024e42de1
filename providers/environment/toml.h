/* providers/environment/toml.h: TOML 1.0 to a frozen value, for pylock.toml and pyproject.toml.
 *
 * Dates and times come as strings, other numbers as written (underscores taken out); inf, nan and
 * hexadecimal numbers come as strings too. */
#pragma once
#include "providers/sdk/value.h"

/* Errors: MIO_TEMPLATE with the line. */
enum mio_code mio_env_toml(struct mio_arena *a, struct mio_str text, struct mio_value *out,
                           struct mio_err *err);
