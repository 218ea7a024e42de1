/* planner/expr/number.h: arithmetic on number texts with Terraform's results.
 *
 * Small integers are computed as such; everything else as 512-bit binary floating point, rounded to
 * nearest even, and written as the shortest decimal that reads back the same: the digits Terraform
 * shows. */
#pragma once
#include "planner/expr/ast.h"

/* A number as written in an expression; false when it is out of range. */
bool mio_num_literal(struct mio_arena *a, struct mio_str text, struct mio_value *out);
/* Text a person wrote ("5", "-0.5", "1e3", " 5" is none): false when it is no number or out of
 * range. */
bool mio_num_parse(struct mio_arena *a, struct mio_str text, struct mio_value *out);
/* OP_ADD OP_SUB OP_MUL OP_DIV OP_MOD of two numbers. Errors: MIO_TEMPLATE for division by zero and
 * for results out of range. */
enum mio_code mio_num_op(struct mio_arena *a, enum node_op op, struct mio_value x,
                         struct mio_value y, struct mio_value *out, struct mio_err *err);
struct mio_value mio_num_neg(struct mio_arena *a, struct mio_value x);
/* The shortest text that reads back as this double; false for infinities and NaN. */
bool mio_num_double(struct mio_arena *a, double d, struct mio_value *out);
/* Towards minus (down) or plus infinity. */
enum mio_code mio_num_round(struct mio_arena *a, struct mio_value x, bool down,
                            struct mio_value *out, struct mio_err *err);
/* Whole numbers of base 2 to 62 with an optional sign; false when it is none. */
bool mio_num_base(struct mio_arena *a, struct mio_str text, int base, struct mio_value *out);
/* One number by a verb of format(): b d o x X e E f g G. */
struct num_format {
    char verb;
    bool plus, space, alt, zero, minus;
    int width, precision; /* precision -1: none given */
};
/* False when the verb wants a whole number and x is none. */
bool mio_num_format(struct mio_arena *a, const struct num_format *f, struct mio_value x,
                    struct mio_str *out);
