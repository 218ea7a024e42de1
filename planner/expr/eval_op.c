/* planner/expr/eval_op.c: operators and the conditional. */
#include "planner/expr/convert.h"
#include "providers/sdk/json.h"
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"

static const char *const OP_TEXT_OF[] = {
    [OP_OR] = "||", [OP_AND] = "&&", [OP_EQ] = "==", [OP_NE] = "!=", [OP_GT] = ">",
    [OP_GE] = ">=", [OP_LT] = "<",   [OP_LE] = "<=", [OP_ADD] = "+", [OP_SUB] = "-",
    [OP_MUL] = "*", [OP_DIV] = "/",  [OP_MOD] = "%", [OP_NEG] = "-", [OP_NOT] = "!",
};

/* An operand as number or bool; null is refused. */
static enum mio_code operand(struct evaluator *ev, const struct mio_expr *e, int op, bool number,
                             struct mio_value *out)
{
    enum mio_code code = mio_eval(ev, e, out);
    if (code)
        return code;
    if (out->type == MIO_NULL)
        return mio_eval_fail(ev, e, "guard it: coalesce(x, 0), or x == null ? ... : ...",
                             "an operand of %s is null", OP_TEXT_OF[op]);
    code = number ? mio_to_number(ev->a, *out, out, ev->err) : mio_to_bool(*out, out, ev->err);
    if (code) {
        mio_err_wrap(ev->err, "operand of %s", OP_TEXT_OF[op]);
        mio_err_at(ev->err, e->pos);
    }
    return code;
}

/* The second operand is not looked at when the first decides: x != null && x.y > 1. */
static enum mio_code eval_logic(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value *out)
{
    bool decides = e->op == OP_OR;
    struct mio_value a, b;
    enum mio_code code = operand(ev, e->op3.a, e->op, false, &a);
    if (code)
        return code;
    if (a.type == MIO_BOOL && a.b == decides) {
        *out = a;
        return MIO_OK;
    }
    code = operand(ev, e->op3.b, e->op, false, &b);
    if (code)
        return code;
    struct mio_value v = a.type == MIO_UNKNOWN && !(b.type == MIO_BOOL && b.b == decides) ? a : b;
    *out = mio_mark_like(mio_mark_like(v, a), b);
    return MIO_OK;
}

static bool alike(struct mio_value a, struct mio_value b)
{
    return a.type == b.type && (a.marks & MIO_MARK_SET) == (b.marks & MIO_MARK_SET);
}

static enum mio_code eval_equal(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value *out)
{
    struct mio_value a, b, v;
    enum mio_code code = mio_eval(ev, e->op3.a, &a);
    if (!code)
        code = mio_eval(ev, e->op3.b, &b);
    if (code)
        return code;
    bool top = a.type == MIO_UNKNOWN || b.type == MIO_UNKNOWN;
    int same = top || alike(a, b) ? mio_equal_so_far(a, b) : 0;
    if (!top && mio_is_masked(a) != mio_is_masked(b) && a.type != MIO_NULL && b.type != MIO_NULL)
        return mio_eval_fail(ev, e, MIO_MASKED_HINT, MIO_MASKED);
    v = same < 0 ? mio_unknown(MIO_BOOL) : mio_bool(same == (e->op == OP_EQ));
    *out = mio_has_sensitive(a) || mio_has_sensitive(b) ? mio_sensitive(v) : v;
    return MIO_OK;
}

static struct mio_value compare(int op, struct mio_value a, struct mio_value b)
{
    int order = mio_number_cmp(mio_value_str(a), mio_value_str(b));
    bool less = op == OP_LT || op == OP_LE;
    bool equal = op == OP_LE || op == OP_GE;
    return mio_bool(order ? (order < 0) == less : equal);
}

static enum mio_code eval_numbers(struct evaluator *ev, const struct mio_expr *e,
                                  struct mio_value *out)
{
    struct mio_value a, b, v;
    bool compares = e->op >= OP_GT && e->op <= OP_LE;
    enum mio_code code = operand(ev, e->op3.a, e->op, true, &a);
    if (!code)
        code = operand(ev, e->op3.b, e->op, true, &b);
    if (code)
        return code;
    if (a.type == MIO_UNKNOWN || b.type == MIO_UNKNOWN)
        v = mio_unknown(compares ? MIO_BOOL : MIO_NUMBER);
    else if (compares)
        v = compare(e->op, a, b);
    else if (mio_num_op(ev->a, (enum node_op)e->op, a, b, &v, ev->err))
        return mio_err_at(ev->err, e->pos);
    *out = mio_mark_like(mio_mark_like(v, a), b);
    return MIO_OK;
}

static enum mio_code eval_unary(struct evaluator *ev, const struct mio_expr *e,
                                struct mio_value *out)
{
    struct mio_value a, v;
    enum mio_code code = operand(ev, e->op3.a, e->op, e->op == OP_NEG, &a);
    if (code)
        return code;
    if (a.type == MIO_UNKNOWN)
        v = a;
    else
        v = e->op == OP_NEG ? mio_num_neg(ev->a, a) : mio_bool(!a.b);
    *out = mio_mark_like(v, a);
    return MIO_OK;
}

enum mio_code mio_eval_op(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    if (e->kind == NODE_UNARY)
        return eval_unary(ev, e, out);
    if (e->op == OP_OR || e->op == OP_AND)
        return eval_logic(ev, e, out);
    if (e->op == OP_EQ || e->op == OP_NE)
        return eval_equal(ev, e, out);
    return eval_numbers(ev, e, out);
}

/* ---- conditional ---- */

static enum mio_code mixed(struct evaluator *ev, const struct mio_expr *e, struct mio_value yes,
                           struct mio_value no)
{
    return mio_eval_fail(ev, e, "make both the same type, for instance with tostring() or []",
                         "the two results of the condition have different types: %s and %s",
                         mio_type_name(mio_future_type(yes)), mio_type_name(mio_future_type(no)));
}

/* Gives `taken` the type it has in common with `other`. Lists and maps whose insides have none stay
 * as they are: recorded objects may lack attributes that are null. */
static enum mio_code to_common(struct evaluator *ev, const struct mio_expr *e,
                               struct mio_value *taken, struct mio_value other)
{
    enum mio_type x = mio_future_type(*taken), y = mio_future_type(other);
    if (x == y && x <= MIO_STRING)
        return MIO_OK;
    if (x == MIO_NULL || x == MIO_UNKNOWN || y == MIO_NULL || y == MIO_UNKNOWN)
        return MIO_OK;
    bool structures = x == y && (x == MIO_LIST || x == MIO_MAP);
    if (structures && (taken->type == MIO_UNKNOWN || other.type == MIO_UNKNOWN))
        return MIO_OK;
    const struct mio_typespec *t =
        mio_type_unify(ev->a, mio_type_of(ev->a, *taken), mio_type_of(ev->a, other));
    bool apart = !t || (x != y && (x >= MIO_LIST || y >= MIO_LIST));
    if (apart)
        return structures ? MIO_OK : mixed(ev, e, *taken, other);
    if (mio_typespec_convert(ev->a, t, *taken, taken, ev->err))
        return mio_err_at(ev->err, e->pos);
    return MIO_OK;
}

/* Both results count: which it will be is not known. */
static enum mio_code unknown_condition(struct evaluator *ev, const struct mio_expr *e,
                                       struct mio_value cond, struct mio_value *out)
{
    struct mio_value a, b;
    enum mio_code code = mio_eval(ev, e->op3.b, &a);
    if (!code)
        code = mio_eval(ev, e->op3.c, &b);
    bool sensitive =
        !code && (mio_is_sensitive(cond) || mio_has_sensitive(a) || mio_has_sensitive(b));
    if (!code)
        code = to_common(ev, e, &a, b);
    if (!code)
        code = to_common(ev, e, &b, a);
    if (code)
        return code;
    enum mio_type x = mio_future_type(a), y = mio_future_type(b);
    enum mio_type t = x == y || y == MIO_NULL ? x : x == MIO_NULL ? y : MIO_UNKNOWN;
    struct mio_value v = mio_unknown(t == MIO_NULL ? MIO_UNKNOWN : t);
    *out = sensitive ? mio_sensitive(v) : v;
    return MIO_OK;
}

/* What the result that is not taken has to say: the type in common, and whether it is sensitive,
 * which would tell the condition. Its errors do not count. */
static enum mio_code other_result(struct evaluator *ev, const struct mio_expr *e,
                                  const struct mio_expr *other, struct mio_value *v)
{
    if (other->kind == NODE_LITERAL && other->literal.type == v->type)
        return MIO_OK;
    struct mio_err ignored = {0};
    struct mio_err *err = ev->err;
    const struct frame *frames = ev->frames;
    struct mio_value w;
    ev->err = &ignored;
    enum mio_code code = mio_eval(ev, other, &w);
    ev->err = err;
    ev->frames = frames;
    if (code)
        return MIO_OK;
    code = to_common(ev, e, v, w);
    *v = mio_mark_like(*v, w);
    return code;
}

enum mio_code mio_eval_cond(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    struct mio_value cond, v;
    enum mio_code code = mio_eval(ev, e->op3.a, &cond);
    if (code)
        return code;
    if (cond.type == MIO_NULL)
        return mio_eval_fail(ev, e->op3.a, NULL, "the condition is null");
    if (mio_to_bool(cond, &cond, ev->err)) {
        mio_err_wrap(ev->err, "condition");
        return mio_err_at(ev->err, e->op3.a->pos);
    }
    if (cond.type == MIO_UNKNOWN)
        return unknown_condition(ev, e, cond, out);
    const struct mio_expr *other = cond.b ? e->op3.c : e->op3.b;
    code = mio_eval(ev, cond.b ? e->op3.b : e->op3.c, &v);
    if (!code)
        code = other_result(ev, e, other, &v);
    if (code)
        return code;
    *out = mio_mark_like(v, cond);
    return MIO_OK;
}
