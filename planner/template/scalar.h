/* planner/template/scalar.h: plain YAML scalars to values, by the core schema of YAML 1.2. */
#pragma once
#include "providers/sdk/value.h"

enum mio_scalar_note {
    MIO_SCALAR_FINE,
    MIO_SCALAR_BOOL_WORD,    /* yes, no, on, off: a string, but other readers see a bool */
    MIO_SCALAR_UNDERSCORES,  /* 1_000: a string */
    MIO_SCALAR_LEADING_ZERO, /* 0777: seven hundred and seventy-seven */
    MIO_SCALAR_NOT_FINITE,   /* .inf, .nan: no value of ours */
    MIO_SCALAR_TOO_LARGE,    /* 0x... or 0o... beyond 64 bits */
};
/* The value of an unquoted scalar. Text of numbers is kept ("1.10") unless JSON has another grammar
 * for it
 * (+5, .5, 0x1f), then it is rewritten in the arena. The note says what the author should hear. */
enum mio_scalar_note mio_scalar_resolve(struct mio_arena *a, struct mio_str text,
                                        struct mio_value *out);
