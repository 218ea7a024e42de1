/* planner/expr/number_format.c: numbers by the verbs of format(), as Go's big numbers print. */
#include "planner/expr/number.h"
#include "providers/sdk/buf.h"
#include <ctype.h>
#include <gmp.h>
#include <mpfr.h>

enum { PRECISION = 512, SURE_DIGITS = 153, MAX_TEXT = 8192 };

static int by_verb(char verb)
{
    return verb == 'b' ? 2 : verb == 'o' ? 8 : verb == 'd' ? 10 : 16;
}

/* Digits of a whole number without sign. */
static bool whole_digits(struct mio_buf *b, const struct num_format *f, struct mio_value x,
                         bool *neg)
{
    char text[MAX_TEXT];
    if (x.n >= sizeof text || memchr(x.s, '.', x.n))
        return false;
    memcpy(text, x.s, x.n);
    text[x.n] = 0;
    mpz_t z;
    if (mpz_init_set_str(z, text, 10)) {
        mpz_clear(z);
        return false;
    }
    *neg = mpz_sgn(z) < 0;
    mpz_abs(z, z);
    char digits[4 * MAX_TEXT];
    mpz_get_str(digits, f->verb == 'X' ? -16 : by_verb(f->verb), z);
    mpz_clear(z);
    size_t n = strlen(digits);
    if (f->precision > (int)n)
        mio_buf_pad(b, '0', (size_t)f->precision - n);
    mio_buf_z(b, digits);
    return true;
}

/* %g without a precision: the shortest digits that read back the same, exponents from 1e+06 on. */
static void shortest(struct mio_buf *b, char verb, mpfr_t x)
{
    char digits[PRECISION], text[PRECISION + 64];
    mpfr_exp_t point = 0;
    MPFR_DECL_INIT(back, PRECISION);
    for (size_t n = SURE_DIGITS; n < SURE_DIGITS + 4; n++) {
        mpfr_get_str(digits, &point, 10, n, x, MPFR_RNDN);
        snprintf(text, sizeof text, "%s@%ld", digits, (long)point - (long)n);
        mpfr_set_str(back, text, 10, MPFR_RNDN);
        if (mpfr_equal_p(back, x))
            break;
    }
    size_t n = mpfr_zero_p(x) ? 1 : strlen(digits);
    if (mpfr_zero_p(x))
        point = 1;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    long exp = (long)point - 1;
    if (exp < -4 || exp >= 6)
        mpfr_snprintf(text, sizeof text, verb == 'g' ? "%.*Re" : "%.*RE", (int)n - 1, x);
    else
        mpfr_snprintf(text, sizeof text, "%.*Rf",
                      (long)n > point ? (int)((long)n - (long)point) : 0, x);
    mio_buf_z(b, text);
}

static void float_digits(struct mio_buf *b, const struct num_format *f, struct mio_value x,
                         bool *neg)
{
    MPFR_DECL_INIT(v, PRECISION);
    char text[MAX_TEXT];
    snprintf(text, sizeof text, "%.*s", (int)x.n, x.s);
    mpfr_set_str(v, text, 10, MPFR_RNDN);
    *neg = mpfr_sgn(v) < 0;
    mpfr_abs(v, v, MPFR_RNDN);
    int precision = f->precision < 0 ? 6 : f->precision;
    if (f->precision < 0 && tolower(f->verb) == 'g') {
        shortest(b, f->verb, v);
        return;
    }
    static const struct {
        char verb;
        const char *format;
    } FORMATS[] = {{'e', "%.*Re"}, {'E', "%.*RE"}, {'f', "%.*Rf"}, {'g', "%.*Rg"}, {'G', "%.*RG"}};
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (FORMATS[i].verb == f->verb)
            mpfr_snprintf(text, sizeof text, FORMATS[i].format, precision, v);
    mio_buf_z(b, text);
}

bool mio_num_format(struct mio_arena *a, const struct num_format *f, struct mio_value x,
                    struct mio_str *out)
{
    static const char *const PREFIX[] = {
        ['b'] = "0b", ['o'] = "0", ['x'] = "0x", ['X'] = "0X", ['z'] = ""};
    bool whole = strchr("bdoxX", f->verb), neg = false;
    MIO_AUTO_BUF digits, b;
    mio_buf_init(&digits, 0);
    mio_buf_init(&b, 0);
    mio_num_literal(a, mio_value_str(x), &x); /* 1e3 and 1.0 as plain digits */
    if (whole && !whole_digits(&digits, f, x, &neg))
        return false;
    if (!whole)
        float_digits(&digits, f, x, &neg);
    char sign[4] = {neg ? '-' : f->plus ? '+' : f->space ? ' ' : 0};
    const char *prefix = whole && f->alt && PREFIX[(int)f->verb] ? PREFIX[(int)f->verb] : "";
    size_t n = strlen(sign) + strlen(prefix) + digits.n;
    size_t fill = f->width > (int)n ? (size_t)f->width - n : 0;
    bool zeros = f->zero && (!whole || (!f->minus && f->precision < 0));
    if (!zeros && !f->minus)
        mio_buf_pad(&b, ' ', fill);
    mio_buf_z(&b, sign);
    mio_buf_z(&b, prefix);
    if (zeros)
        mio_buf_pad(&b, '0', fill);
    mio_buf_str(&b, mio_buf_view(&digits));
    if (!zeros && f->minus)
        mio_buf_pad(&b, ' ', fill);
    *out = mio_arena_str(a, mio_buf_view(&b));
    return true;
}
