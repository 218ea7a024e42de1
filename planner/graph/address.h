/* planner/graph/address.h: kind.name["key"], module.m["k"].data.kind.name[0]: text to parts and
 * back. */
#pragma once
#include "providers/sdk/err.h"
#include "providers/sdk/value.h"

struct mio_address {
    struct mio_str module; /* "module.a.module.b[0]" or "" */
    bool is_data;
    struct mio_str kind, name;
    struct mio_value key; /* null, a number (count) or a string (for_each) */
};
/* Errors: MIO_USAGE with the grammar as a hint. */
enum mio_code mio_address_parse(struct mio_arena *a, struct mio_str text, struct mio_address *out,
                                struct mio_err *err);
struct mio_str mio_address_text(struct mio_arena *a, const struct mio_address *ad);
/* True when `target` (a module, a resource without key, or an instance) covers `instance`. */
bool mio_address_covers(struct mio_str target, struct mio_str instance);
/* The same for any of `n` targets. */
bool mio_address_covered(const char *const *targets, size_t n, struct mio_str instance);
