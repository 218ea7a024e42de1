/* planner/expr/func_numeric.c: numbers. */
#include "planner/expr/convert.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include <math.h>

enum mio_code mio_fn_abs(struct mio_call *c, struct mio_value *out)
{
    *out = *c->args[0].s == '-' ? mio_num_neg(c->a, c->args[0]) : c->args[0];
    return MIO_OK;
}

enum mio_code mio_fn_ceil(struct mio_call *c, struct mio_value *out)
{
    return mio_num_round(c->a, c->args[0], false, out, c->err);
}

enum mio_code mio_fn_floor(struct mio_call *c, struct mio_value *out)
{
    return mio_num_round(c->a, c->args[0], true, out, c->err);
}

enum mio_code mio_fn_signum(struct mio_call *c, struct mio_value *out)
{
    int64_t n;
    if (!mio_value_i64(c->args[0], &n))
        return mio_call_fail(c, 0, NULL, "a whole number is required");
    *out = mio_number_i64(c->a, (n > 0) - (n < 0));
    return MIO_OK;
}

static enum mio_code extreme(struct mio_call *c, int sign, struct mio_value *out)
{
    struct mio_value best = c->args[0];
    for (size_t i = 1; i < c->n; i++)
        if (mio_number_cmp(mio_value_str(c->args[i]), mio_value_str(best)) * sign > 0)
            best = c->args[i];
    *out = best;
    return MIO_OK;
}

enum mio_code mio_fn_max(struct mio_call *c, struct mio_value *out)
{
    return extreme(c, 1, out);
}

enum mio_code mio_fn_min(struct mio_call *c, struct mio_value *out)
{
    return extreme(c, -1, out);
}

/* Logarithms and powers are computed in double precision, as Terraform does. */
static enum mio_code from_double(struct mio_call *c, double d, struct mio_value *out)
{
    if (mio_num_double(c->a, d, out))
        return MIO_OK;
    return mio_call_fail(c, 0, NULL, "the result is not a finite number");
}

static double as_double(struct mio_call *c, size_t arg)
{
    return strtod(mio_arena_z(c->a, mio_value_str(c->args[arg])), NULL);
}

/* The series of fdlibm, which Terraform's runtime uses: other libraries differ in the last digit.
 */
static double natural_log(double x)
{
    static const double ODD[] = {6.666666666666735130e-01, 2.857142874366239149e-01,
                                 1.818357216161805012e-01, 1.479819860511658591e-01};
    static const double EVEN[] = {3.999999999940941908e-01, 2.222219843214978396e-01,
                                  1.531383769920937332e-01};
    static const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;
    if (!(x > 0) || !isfinite(x))
        return log(x);
    int power;
    double f = frexp(x, &power);
    if (f < M_SQRT1_2) {
        f *= 2;
        power--;
    }
    f -= 1;
    double s = f / (2 + f), s2 = s * s, s4 = s2 * s2;
    double odd = s2 * (ODD[0] + s4 * (ODD[1] + s4 * (ODD[2] + s4 * ODD[3])));
    double even = s4 * (EVEN[0] + s4 * (EVEN[1] + s4 * EVEN[2]));
    double half = 0.5 * f * f;
    return power * LN2_HIGH - ((half - (s * (half + odd + even) + power * LN2_LOW)) - f);
}

enum mio_code mio_fn_log(struct mio_call *c, struct mio_value *out)
{
    return from_double(c, natural_log(as_double(c, 0)) / natural_log(as_double(c, 1)), out);
}

enum mio_code mio_fn_pow(struct mio_call *c, struct mio_value *out)
{
    return from_double(c, pow(as_double(c, 0), as_double(c, 1)), out);
}

enum mio_code mio_fn_parseint(struct mio_call *c, struct mio_value *out)
{
    int64_t base;
    if (c->args[0].type != MIO_STRING)
        return mio_call_fail(c, 0, NULL, "a string is required");
    if (!mio_value_i64(c->args[1], &base) || base < 2 || base > 62)
        return mio_call_fail(c, 1, NULL, "the base is a whole number from 2 to 62");
    if (!mio_num_base(c->a, mio_value_str(c->args[0]), (int)base, out))
        return mio_call_fail(c, 0, NULL, "this is no whole number of base %d", (int)base);
    return MIO_OK;
}

enum mio_code mio_fn_sum(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0], total = mio_number(MIO_STR("0"));
    if (!list.n)
        return mio_call_fail(c, 0, "guard it: length(x) > 0 ? sum(x) : 0", "the list is empty");
    for (uint32_t i = 0; i < list.n; i++) {
        struct mio_err err = {0};
        struct mio_value n;
        if (list.items[i].type == MIO_NULL)
            return mio_call_fail(c, 0, NULL, "element %u is null", i);
        if (mio_to_number(c->a, list.items[i], &n, &err))
            return mio_call_fail(c, 0, NULL, "element %u: %s", i, err.message);
        if (mio_num_op(c->a, OP_ADD, total, n, &total, c->err))
            return c->err->code;
    }
    *out = total;
    return MIO_OK;
}
