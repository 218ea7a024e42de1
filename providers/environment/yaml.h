/* providers/environment/yaml.h: YAML of other tools to a frozen value. Every scalar comes as a
 * string, because a version such as 3.10 is no number. */
#pragma once
#include "providers/sdk/value.h"

/* Errors: MIO_TEMPLATE with the line. */
enum mio_code mio_env_yaml(struct mio_arena *a, struct mio_str text, struct mio_value *out,
                           struct mio_err *err);
