/* planner/expr/number.c: small integers in a register, the rest by MPFR. */
#include "planner/expr/number.h"
#include "providers/sdk/alloc.h"
#include <ctype.h>
#include <gmp.h>
#include <math.h>
#include <mpfr.h>

enum {
    PRECISION = 512,
    SURE_DIGITS = 153, /* decimals of up to this many digits survive the way through 512 bits */
    MAX_EXPONENT = 4096,
    SMALL_DIGITS = 18,
};

/* Integers that fit a register with room for one addition. */
static bool small(struct mio_value v, int64_t *out)
{
    const char *p = v.s, *end = p + v.n;
    bool neg = p < end && *p == '-';
    p += neg;
    if (p == end || end - p > SMALL_DIGITS)
        return false;
    int64_t n = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        n = n * 10 + (*p - '0');
    }
    *out = neg ? -n : n;
    return true;
}

static bool load(mpfr_t x, struct mio_str text)
{
    char buf[256];
    MIO_AUTO_FREE char *big = text.n < sizeof buf ? NULL : mio_alloc(text.n + 1);
    char *z = big ? big : buf;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    return !mpfr_set_str(x, z, 10, MPFR_RNDN) && mpfr_number_p(x);
}

/* Digits and the place of the point as plain decimal text. */
static struct mio_str plain(struct mio_arena *a, const char *digits, long point)
{
    bool neg = *digits == '-';
    digits += neg;
    size_t n = strlen(digits);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    size_t whole = point > 0 ? (size_t)point : 0, zeros = point < 0 ? (size_t)-point : 0;
    char *out = mio_arena_alloc(a, n + whole + zeros + 4), *o = out;
    if (neg)
        *o++ = '-';
    if (!whole)
        *o++ = '0';
    for (size_t i = 0; i < whole; i++)
        *o++ = i < n ? digits[i] : '0';
    if (n > whole) {
        *o++ = '.';
        memset(o, '0', zeros);
        memcpy(o + zeros, digits + whole, n - whole);
        o += zeros + (n - whole);
    }
    return (struct mio_str){out, (size_t)(o - out)};
}

static bool store(struct mio_arena *a, mpfr_t x, struct mio_value *out)
{
    if (!mpfr_number_p(x))
        return false;
    if (mpfr_zero_p(x)) {
        *out = mio_number(MIO_STR("0"));
        return true;
    }
    MPFR_DECL_INIT(back, PRECISION);
    char digits[PRECISION];
    mpfr_exp_t point = 0;
    for (size_t n = SURE_DIGITS; n < SURE_DIGITS + 4; n++) {
        mpfr_get_str(digits, &point, 10, n, x, MPFR_RNDN);
        char text[PRECISION + 64];
        snprintf(text, sizeof text, "%s@%ld", digits, (long)point - (long)n);
        mpfr_set_str(back, text, 10, MPFR_RNDN);
        if (mpfr_equal_p(back, x))
            break;
    }
    if (point > MAX_EXPONENT || point < -MAX_EXPONENT)
        return false;
    *out = mio_number(plain(a, digits, (long)point));
    return true;
}

bool mio_num_literal(struct mio_arena *a, struct mio_str text, struct mio_value *out)
{
    bool plain_int = text.n && text.n <= SMALL_DIGITS && (text.n == 1 || *text.p != '0');
    for (size_t i = 0; plain_int && i < text.n; i++)
        plain_int = isdigit((unsigned char)text.p[i]);
    if (plain_int) {
        *out = mio_number(text);
        return true;
    }
    MPFR_DECL_INIT(x, PRECISION);
    return load(x, text) && store(a, x, out);
}

bool mio_num_parse(struct mio_arena *a, struct mio_str text, struct mio_value *out)
{
    size_t i = text.n && (*text.p == '-' || *text.p == '+'), digits = 0;
    for (; i < text.n && isdigit((unsigned char)text.p[i]); i++)
        digits++;
    if (i < text.n && text.p[i] == '.')
        for (i++; i < text.n && isdigit((unsigned char)text.p[i]); i++)
            digits++;
    if (digits && i < text.n && (text.p[i] == 'e' || text.p[i] == 'E')) {
        i++;
        i += i < text.n && (text.p[i] == '-' || text.p[i] == '+');
        size_t from = i;
        while (i < text.n && isdigit((unsigned char)text.p[i]))
            i++;
        if (i == from)
            return false;
    }
    return digits && i == text.n && mio_num_literal(a, text, out);
}

static enum mio_code range(struct mio_err *err)
{
    return mio_fail(err, MIO_TEMPLATE, "the result is too large or too small a number");
}

static bool small_op(struct mio_arena *a, enum node_op op, int64_t x, int64_t y,
                     struct mio_value *out)
{
    int64_t r;
    switch ((int)op) {
    case OP_ADD:
        r = x + y;
        break;
    case OP_SUB:
        r = x - y;
        break;
    case OP_MUL:
        if (__builtin_mul_overflow(x, y, &r))
            return false;
        break;
    case OP_DIV:
        if (x % y)
            return false;
        r = x / y;
        break;
    default:
        r = x % y;
    }
    *out = mio_number_i64(a, r);
    return true;
}

enum mio_code mio_num_op(struct mio_arena *a, enum node_op op, struct mio_value x,
                         struct mio_value y, struct mio_value *out, struct mio_err *err)
{
    int64_t i, j;
    bool divides = op == OP_DIV || op == OP_MOD;
    bool have_j = small(y, &j);
    if (divides && !mio_number_cmp(mio_value_str(y), MIO_STR("0"))) {
        mio_fail(err, MIO_TEMPLATE, "division by zero");
        return mio_err_hint(err, "guard it: n == 0 ? 0 : x / n");
    }
    if (have_j && small(x, &i) && small_op(a, op, i, j, out))
        return MIO_OK;
    MPFR_DECL_INIT(p, PRECISION);
    MPFR_DECL_INIT(q, PRECISION);
    MPFR_DECL_INIT(r, PRECISION);
    if (!load(p, mio_value_str(x)) || !load(q, mio_value_str(y)))
        return range(err);
    if (op == OP_ADD)
        mpfr_add(r, p, q, MPFR_RNDN);
    else if (op == OP_SUB)
        mpfr_sub(r, p, q, MPFR_RNDN);
    else if (op == OP_MUL)
        mpfr_mul(r, p, q, MPFR_RNDN);
    else
        mpfr_div(r, p, q, MPFR_RNDN);
    if (op == OP_MOD) {
        mpfr_trunc(r, r);
        mpfr_mul(r, r, q, MPFR_RNDN);
        mpfr_sub(r, p, r, MPFR_RNDN);
    }
    return store(a, r, out) ? MIO_OK : range(err);
}

struct mio_value mio_num_neg(struct mio_arena *a, struct mio_value x)
{
    if (!mio_number_cmp(mio_value_str(x), MIO_STR("0")))
        return mio_number(MIO_STR("0"));
    if (*x.s == '-')
        return mio_number((struct mio_str){x.s + 1, x.n - 1});
    return mio_number(mio_arena_printf(a, "-%.*s", (int)x.n, x.s));
}

bool mio_num_double(struct mio_arena *a, double d, struct mio_value *out)
{
    if (!isfinite(d))
        return false;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    return mio_num_parse(a, mio_str_z(text), out) && (out->s = mio_arena_z(a, mio_value_str(*out)));
}

enum mio_code mio_num_round(struct mio_arena *a, struct mio_value x, bool down,
                            struct mio_value *out, struct mio_err *err)
{
    int64_t ignored;
    if (small(x, &ignored)) {
        *out = x;
        return MIO_OK;
    }
    MPFR_DECL_INIT(p, PRECISION);
    if (!load(p, mio_value_str(x)))
        return range(err);
    if (down)
        mpfr_floor(p, p);
    else
        mpfr_ceil(p, p);
    return store(a, p, out) ? MIO_OK : range(err);
}

/* GMP takes A-Z before a-z in bases above 36, people write it the other way round. */
static char swap_case(char c)
{
    return (char)(isupper((unsigned char)c) ? tolower(c) : toupper(c));
}

bool mio_num_base(struct mio_arena *a, struct mio_str text, int base, struct mio_value *out)
{
    size_t sign = text.n && (*text.p == '-' || *text.p == '+');
    if (text.n == sign || text.n > MAX_EXPONENT)
        return false;
    char *z = mio_arena_alloc(a, text.n + 1);
    for (size_t i = sign; i < text.n; i++) {
        if (!isalnum((unsigned char)text.p[i]))
            return false;
        z[i - sign] = base > 36 ? swap_case(text.p[i]) : text.p[i];
    }
    z[text.n - sign] = 0;
    mpz_t n;
    bool ok = !mpz_init_set_str(n, z, base);
    if (ok) {
        char *digits = mio_arena_alloc(a, mpz_sizeinbase(n, 10) + 3);
        *digits = '-';
        mpz_get_str(digits + 1, 10, n);
        bool neg = mpz_sgn(n) && *text.p == '-';
        *out = mio_number(mio_str_z(neg ? digits : digits + 1));
    }
    mpz_clear(n);
    return ok;
}
