/* planner/expr/func.h: the function table and what a function sees.
 *
 * One row a function in functions.def; the row is the source of the prototype, the argument checks,
 * help, documentation and a test. */
#pragma once
#include "planner/expr/eval.h"

struct mio_call;
typedef enum mio_code mio_func_impl(struct mio_call *c, struct mio_value *out);

enum {
    FN_NESTED = 1,  /* works with unknown values inside its arguments */
    FN_UNKNOWN = 2, /* works with arguments that are unknown themselves */
    FN_MARKS = 4,   /* takes care of sensitive marks inside its arguments; one on an argument itself
                       always spreads */
    FN_ALL_MARKS = 8, /* takes care of every mark */
    FN_LAZY = 16,     /* evaluates its arguments itself */
    FN_IMPURE = 32,   /* another answer every time */
};

struct mio_func {
    const char *name;
    mio_func_impl *impl;
    /* One letter a parameter: s string, n number, b bool, . anything; l list and t set, elements
     * made of one type, L of strings, B of bools; q list or set as it is; m map, M map of lists of
     * strings; behind it ? may be null, * none or more of it (last only), + one or more, 0 may be
     * left out (last only). */
    const char *params;
    char returns; /* the same letters */
    uint8_t flags;
};

struct evaluator;
struct mio_call {
    const struct mio_func *func;
    const struct mio_scope *scope;
    struct mio_arena *a;
    const struct mio_value *args; /* converted to the parameters' types; not for FN_LAZY */
    size_t n;
    const struct mio_expr *node;
    struct evaluator *ev;
    struct mio_err *err;
};

/* NULL when there is none; then *hint (in the arena) may name the nearest. */
const struct mio_func *mio_func_find(struct mio_arena *a, struct mio_str name, const char **hint);
/* NULL when n arguments will do, else a hint in the arena that tells the signature. */
const char *mio_func_count(struct mio_arena *a, const struct mio_func *f, size_t n);
/* Converts and checks the arguments in place, handles null, unknown and sensitive, and calls. */
enum mio_code mio_func_call(struct mio_call *c, struct mio_value *args, struct mio_value *out);
/* "argument N of NAME: ..." at the argument's place. Gives MIO_TEMPLATE. */
enum mio_code mio_call_fail(const struct mio_call *c, size_t arg, const char *hint, const char *fmt,
                            ...) __attribute__((format(printf, 4, 5)));
enum mio_type mio_func_type(char letter);
/* memcpy of n items that takes the NULL which empty lists and maps may hold. */
void mio_copy_items(void *to, const void *from, size_t n, size_t size);
struct mio_buf;
/* The text that a function made, or an error when it did not fit into MIO_MAX_TEXT. */
enum mio_code mio_call_text(struct mio_call *c, const struct mio_buf *b, struct mio_value *out);
/* The value as jsonencode() writes it; unknown values as null. */
void mio_put_json(struct mio_arena *a, struct mio_buf *b, struct mio_value v);
/* replace() with a regular expression: argument 0 with its matches replaced, into b. */
enum mio_code mio_regex_replace(struct mio_call *c, struct mio_str pattern, struct mio_buf *b);
/* The file below scope->dir that argument `arg` names, read whole. */
enum mio_code mio_call_file(struct mio_call *c, size_t arg, struct mio_str *text);
/* A template (file or text) evaluated with the names of a map alone. */
enum mio_code mio_call_template(struct mio_call *c, struct mio_str text, struct mio_value names,
                                struct mio_value *out);

#define FUNCTION(name, params, returns, flags, signature, help, example, result) \
    mio_func_impl mio_fn_##name;
#include "planner/expr/functions.def"
#undef FUNCTION
