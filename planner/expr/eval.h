/* planner/expr/eval.h: what the parts of the evaluator share. Thread-confined; everything lives in
 * the scope's arena. */
#pragma once
#include "planner/expr/ast.h"

/* A value bound by a `for` or a splat; innermost first. */
struct frame {
    struct mio_value value;
    const struct frame *up;
};

struct evaluator {
    const struct mio_scope *scope;
    struct mio_arena *a;
    const struct frame *frames;
    struct mio_err *err;
    size_t rounds; /* of all `for` so far: bounds the work of one expression */
    size_t start;  /* of the arena's total: bounds the memory of one expression */
};
/* Budgets of one expression, whoever asks for its references not counted. */
enum { MIO_MAX_TEXT = 16 << 20, MIO_MAX_BYTES = 128 << 20 };

/* Has the expression made too much? Then an error at the node. */
enum mio_code mio_eval_budget(struct evaluator *ev, const struct mio_expr *e);
/* "the text would be longer than ...", at the node. */
enum mio_code mio_eval_too_long(struct evaluator *ev, const struct mio_expr *e);

enum mio_code mio_eval(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out);
enum mio_code mio_eval_for(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out);
enum mio_code mio_eval_op(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out);
enum mio_code mio_eval_cond(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out);
enum mio_code mio_eval_call(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out);
/* An error at the node's place, with an optional hint; gives MIO_TEMPLATE. */
enum mio_code mio_eval_fail(struct evaluator *ev, const struct mio_expr *e, const char *hint,
                            const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What is said of a secret that the state holds as a mask alone (mio_is_masked): it can be passed
 * on, compared with another mask, and nothing else. */
#define MIO_MASKED "this needs a secret that the state does not hold, only its digest"
#define MIO_MASKED_HINT                                                                       \
    "A sealed state keeps secrets: set MLOPS_IAC_STATE_KEY_FILE (docs/state.md). Or pass it " \
    "by a variable."
/* v, marked sensitive when `from` is. */
struct mio_value mio_mark_like(struct mio_value v, struct mio_value from);
/* coll[key]; errors are put at e. */
enum mio_code mio_eval_index(struct evaluator *ev, const struct mio_expr *e, struct mio_value coll,
                             struct mio_value key, struct mio_value *out);
/* The element at i of a list, set or map, and its key. */
struct mio_value mio_element(struct mio_value coll, uint32_t i);
struct mio_value mio_element_key(struct mio_arena *a, struct mio_value coll, uint32_t i);
