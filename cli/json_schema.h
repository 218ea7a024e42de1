/* cli/json_schema.h: the field tables of the kinds as JSON Schema, draft 2020-12.
 *
 * Every scalar may be an expression (${...}) instead; a list or map may be one as a whole. */
#pragma once
#include "cli/json_out.h"
#include "providers/sdk/schema.h"

/* A template file with all kinds of all plugins (of kinds that two have, the first one's). */
void mio_json_schema_template(struct mio_jout *j, const struct mio_schema *const *schemas,
                              size_t n);
/* The body of one kind under `resources: KIND: NAME:`. */
void mio_json_schema_kind(struct mio_jout *j, const struct mio_kind *kind);
