/* planner/expr/convert.h: types of values, their common type, and the way from one to the other. */
#pragma once
#include "planner/expr/expr.h"

enum type_kind { T_ANY, T_BOOL, T_NUMBER, T_STRING, T_LIST, T_SET, T_MAP, T_TUPLE, T_OBJECT };

struct type_field {
    struct mio_str name;
    const struct mio_typespec *type;
    bool optional, has_default;
    struct mio_value value; /* the default */
};
struct mio_typespec {
    enum type_kind kind;
    uint32_t n;                      /* of fields; of a tuple's elements */
    const struct mio_typespec *elem; /* list, set, map */
    const struct type_field *fields; /* object, sorted by name; tuple (names empty) */
};

/* The type a value shows: lists are tuples, maps are objects, null and unknown are any. */
const struct mio_typespec *mio_type_of(struct mio_arena *a, struct mio_value v);
/* The type all can be converted to by Terraform's rules; NULL when there is none. */
const struct mio_typespec *mio_type_unify(struct mio_arena *a, const struct mio_typespec *x,
                                          const struct mio_typespec *y);
/* Makes the elements (in place) all of one type; false when they cannot be. */
bool mio_unify_values(struct mio_arena *a, struct mio_value *items, size_t n);
/* Whether the values are equal as far as it is known: 1 yes, 0 no, -1 not known. */
int mio_equal_so_far(struct mio_value a, struct mio_value b);
/* The type that a value has or, when it is unknown, will have. */
enum mio_type mio_future_type(struct mio_value v);
/* A set out of the items: sorted, each once. The array is taken over. */
struct mio_value mio_make_set(struct mio_arena *a, struct mio_value *items, size_t n);
