/* providers/sdk/schema.h: what a provider says of its kinds, as the engine reads it.
 *
 * The C tables of a plugin (mlops_provider.h) travel as JSON from the provider host and become
 * these structs; validation, diff, replace decisions, docs and JSON Schema all come from them. */
#pragma once
#include "providers/abi/mlops_provider.h"
#include "providers/sdk/value.h"

struct mio_field {
    struct mio_str name, doc, unit, pattern;
    enum mlops_type type;
    uint32_t flags; /* enum mlops_field_flags */
    bool has_default;
    struct mio_value dflt;
    const struct mio_str *allowed;
    size_t nallowed;
    struct mio_str minimum, maximum; /* "" when none */
    const struct mio_field *element; /* LIST, MAP; NULL: any */
    const struct mio_field *fields;  /* OBJECT: sorted by name */
    size_t nfields;
};
struct mio_kind {
    struct mio_str name, doc;
    uint32_t flags; /* enum mlops_kind_flags */
    enum mlops_create_class create_class;
    uint32_t settle_ms, create_timeout_s, update_timeout_s, delete_timeout_s, read_timeout_s;
    uint32_t schema_version;
    struct mio_field root;                   /* an OBJECT of the kind's fields */
    bool has_late, has_content, has_ensured; /* some field bears the flag */
};
struct mio_schema {
    struct mio_str name, version, doc;
    uint32_t caps, batch, threads;
    bool has_validate;            /* the one optional function without a capability bit */
    struct mio_field config;      /* OBJECT */
    const struct mio_kind *kinds; /* sorted by name */
    size_t nkinds;
};

/* From the JSON that mio_schema_write made. Errors: MIO_PROVIDER. */
enum mio_code mio_schema_read(struct mio_arena *a, struct mio_value json, struct mio_schema *out,
                              struct mio_err *err);
/* The static tables of a plugin as JSON (run in the provider host; honours every struct's size). */
struct mio_buf;
void mio_schema_write(struct mio_buf *b, const struct mlops_provider *p);

const struct mio_kind *mio_schema_kind(const struct mio_schema *s, struct mio_str name);
const struct mio_field *mio_field_get(const struct mio_field *object, struct mio_str name);
/* The field at a dotted path ("traffic.blue": through maps and list indices), or NULL. */
const struct mio_field *mio_field_at(const struct mio_field *object, struct mio_str path);
/* True when the field can be written in a template. */
bool mio_field_is_input(const struct mio_field *f);
