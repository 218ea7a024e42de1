/* providers/sdk/value.h: the frozen value that every attribute, input and output is.
 *
 * A value is 16 bytes, built privately in an arena and never changed once stored; copying the
 * struct shares what it points to. Unknown and sensitive are marks in the value, known to this file
 * alone. Maps are sorted by key (byte order) and hold each key once, so equal values have equal
 * bytes. Numbers keep their source text: 1.10 stays "1.10" when a string is wanted, and equals 1.1.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "providers/sdk/arena.h"
#include "providers/sdk/err.h"
#include "providers/sdk/str.h"

enum mio_type {
    MIO_NULL,
    MIO_BOOL,
    MIO_NUMBER,
    MIO_STRING,
    MIO_LIST,
    MIO_MAP,
    MIO_UNKNOWN,
};
enum { MIO_MARK_SENSITIVE = 1, MIO_MARK_SET = 2 /* a list that is a set: sorted, unique */ };

struct mio_pair;
struct mio_value {
    uint8_t type;  /* enum mio_type */
    uint8_t marks; /* MIO_MARK_*: of this value itself, not of its children */
    uint8_t hint;  /* MIO_UNKNOWN: the enum mio_type it will have, MIO_UNKNOWN when not known */
    uint8_t
        deep;   /* bit 0: a child (or itself) is unknown; bit 1: a child (or itself) is sensitive */
    uint32_t n; /* bytes of a string or number; items of a list; pairs of a map */
    union {
        bool b;
        const char *s; /* string: UTF-8; number: a JSON number */
        const struct mio_value *items;
        const struct mio_pair *pairs;
    };
};
struct mio_pair {
    struct mio_str key;
    struct mio_value value;
};

/* Makers. Text is not copied: it must live as long as the value. */
struct mio_value mio_null(void);
struct mio_value mio_bool(bool b);
struct mio_value mio_string(struct mio_str s);
struct mio_value mio_string_z(const char *z);
struct mio_value mio_number(struct mio_str text); /* text is a valid JSON number */
struct mio_value mio_number_i64(struct mio_arena *a, int64_t v);
struct mio_value mio_unknown(enum mio_type expected);
/* Takes the array over (it is frozen from here on); computes `deep`. */
struct mio_value mio_list(const struct mio_value *items, size_t n);
/* Sorts the pairs in place. Of equal keys the last one stays; use mio_map_dup to refuse instead. */
struct mio_value mio_map(struct mio_pair *pairs, size_t n);
/* Index of the first pair of a sorted array whose key equals its neighbour's, or -1. */
ptrdiff_t mio_map_dup(const struct mio_pair *pairs, size_t n);
/* Marked as a whole. Its texts are known to the sink (redact.h) from here on. */
struct mio_value mio_sensitive(struct mio_value v);
/* Its texts, but for those of sensitive parts, are not hidden by the sink, whatever else they are.
 */
void mio_reveal(struct mio_value v);
struct mio_value mio_unmark(struct mio_arena *a,
                            struct mio_value v); /* deep copy without sensitive marks */

/* Questions. */
struct mio_str mio_value_str(struct mio_value v); /* text of a string or number, else empty */
bool mio_is_null(struct mio_value v);
bool mio_has_unknown(struct mio_value v);   /* anywhere inside */
bool mio_has_sensitive(struct mio_value v); /* anywhere inside */
bool mio_is_sensitive(struct mio_value v);  /* the value itself is marked */
/* Borrowed; NULL when v is no map or has no such key. Binary search. */
const struct mio_value *mio_get(struct mio_value v, struct mio_str key);
const struct mio_value *mio_get_z(struct mio_value v, const char *key);
struct mio_str mio_get_str(struct mio_value v, const char *key); /* "" unless a string or number */
bool mio_get_bool(struct mio_value v, const char *key, bool otherwise);
int64_t mio_get_i64(struct mio_value v, const char *key, int64_t otherwise);
bool mio_value_i64(struct mio_value v, int64_t *out); /* whole numbers only, 1e3 and 2.0 included */
bool mio_value_f64(struct mio_value v, double *out);
const char *mio_type_name(enum mio_type t); /* "string", "list", ... as users know them */

/* Deep equality; numbers by value, marks ignored, unknown equals nothing. */
bool mio_equal(struct mio_value a, struct mio_value b);
/* Total order for sorting: null < bool < number < string < list < map < unknown. */
int mio_compare(struct mio_value a, struct mio_value b);

/* New map: `base` with the pairs of `over` put over it (shallow). */
struct mio_value mio_map_merge(struct mio_arena *a, struct mio_value base, struct mio_value over);
struct mio_value mio_map_with(struct mio_arena *a, struct mio_value base, struct mio_str key,
                              struct mio_value v);
struct mio_value mio_map_without(struct mio_arena *a, struct mio_value base, struct mio_str key);
/* Deep copy into another arena, text included. */
struct mio_value mio_value_copy(struct mio_arena *a, struct mio_value v);

/* Exact decimals. A number text split as sign, digits without leading or trailing zeros, and
 * exponent of ten: value = digits * 10^exp. */
int mio_number_cmp(struct mio_str a, struct mio_str b);
/* Canonical form: plain digits, as readers that know doubles alone still take them for integers;
 * scientific beyond 400 places; no trailing zeros. */
struct mio_str mio_number_canon(struct mio_arena *a, struct mio_str text);
bool mio_number_valid(struct mio_str text); /* JSON grammar */
