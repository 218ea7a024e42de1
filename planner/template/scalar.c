/* planner/template/scalar.c: null, bool, number or string: what an unquoted scalar means. */
#include "planner/template/scalar.h"

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool one_of(struct mio_str s, const char *const *words)
{
    for (; *words; words++)
        if (mio_str_is(s, *words))
            return true;
    return false;
}

static bool word(struct mio_str s, struct mio_value *out, enum mio_scalar_note *note)
{
    static const char *const nulls[] = {"null", "Null", "NULL", "~", "", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const bools[] = {"yes", "Yes", "YES", "no",  "No",  "NO", "on",
                                        "On",  "ON",  "off", "Off", "OFF", NULL};
    if (s.n > 5 || (s.n && !strchr("nNtTfFyYoO~", s.p[0])))
        return false;
    if (one_of(s, nulls))
        *out = mio_null();
    else if (one_of(s, trues))
        *out = mio_bool(true);
    else if (one_of(s, falses))
        *out = mio_bool(false);
    else if (one_of(s, bools))
        *note = MIO_SCALAR_BOOL_WORD;
    else
        return false;
    return true;
}

/* 0x1f and 0o17 */
static bool based(struct mio_arena *a, struct mio_str s, struct mio_value *out,
                  enum mio_scalar_note *note)
{
    if (s.n < 3 || s.p[0] != '0' || (s.p[1] != 'x' && s.p[1] != 'o'))
        return false;
    unsigned base = s.p[1] == 'x' ? 16 : 8;
    uint64_t v = 0;
    bool over = false;
    for (size_t i = 2; i < s.n; i++) {
        unsigned d;
        if (digit(s.p[i]))
            d = (unsigned)(s.p[i] - '0');
        else if (base == 16 && ((s.p[i] | 32) >= 'a') && (s.p[i] | 32) <= 'f')
            d = (unsigned)((s.p[i] | 32) - 'a') + 10;
        else
            return false;
        if (d >= base)
            return false;
        over = over || v > (UINT64_MAX - d) / base;
        v = v * base + d;
    }
    if (over)
        *note = MIO_SCALAR_TOO_LARGE;
    *out = mio_number(mio_arena_printf(a, "%llu", (unsigned long long)v));
    return true;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? : where its parts lie. */
struct decimal {
    bool negative, plus;
    struct mio_str whole, fraction, exponent; /* exponent with its sign */
    bool dot;
};

static bool decimal_split(struct mio_str s, struct decimal *d)
{
    size_t i = 0;
    *d = (struct decimal){0};
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) {
        d->negative = s.p[i] == '-';
        d->plus = s.p[i] == '+';
        i++;
    }
    size_t from = i;
    while (i < s.n && digit(s.p[i]))
        i++;
    d->whole = mio_str_sub(s, from, i - from);
    if (i < s.n && s.p[i] == '.') {
        d->dot = true;
        from = ++i;
        while (i < s.n && digit(s.p[i]))
            i++;
        d->fraction = mio_str_sub(s, from, i - from);
    }
    if (!d->whole.n && !d->fraction.n)
        return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        from = ++i;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        size_t digits = i;
        while (i < s.n && digit(s.p[i]))
            i++;
        if (i == digits)
            return false;
        d->exponent = mio_str_sub(s, from, i - from);
    }
    return i == s.n;
}

static bool decimal(struct mio_arena *a, struct mio_str s, struct mio_value *out,
                    enum mio_scalar_note *note)
{
    struct decimal d;
    if (!decimal_split(s, &d))
        return false;
    bool zero_led = d.whole.n > 1 && d.whole.p[0] == '0';
    if (!zero_led && !d.plus && d.whole.n && (!d.dot || d.fraction.n)) {
        *out = mio_number(s); /* JSON's grammar already: the text stays as written */
        return true;
    }
    if (zero_led && !d.dot && !d.exponent.n)
        *note = MIO_SCALAR_LEADING_ZERO;
    while (d.whole.n > 1 && d.whole.p[0] == '0')
        d.whole = mio_str_sub(d.whole, 1, d.whole.n - 1);
    if (!d.whole.n)
        d.whole = MIO_STR("0");
    *out = mio_number(mio_arena_printf(
        a, "%s%.*s%s%.*s%s%.*s", d.negative ? "-" : "", MIO_FMT(d.whole), d.fraction.n ? "." : "",
        MIO_FMT(d.fraction), d.exponent.n ? "e" : "", MIO_FMT(d.exponent)));
    return true;
}

static bool not_finite(struct mio_str s)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    bool sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    if (s.n - sign != 4)
        return false;
    struct mio_str rest = mio_str_sub(s, sign, s.n - sign);
    return one_of(rest, words) && !(sign && (rest.p[1] | 32) == 'n');
}

static bool underscored(struct mio_str s)
{
    bool seen = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_')
            seen = true;
        else if (!digit(s.p[i]))
            return false;
    }
    return seen && digit(s.p[0]) && s.p[s.n - 1] != '_';
}

enum mio_scalar_note mio_scalar_resolve(struct mio_arena *a, struct mio_str text,
                                        struct mio_value *out)
{
    enum mio_scalar_note note = MIO_SCALAR_FINE;
    *out = mio_string(text);
    if (word(text, out, &note))
        return note;
    char c = text.p[0];
    if (!digit(c) && c != '-' && c != '+' && c != '.')
        return MIO_SCALAR_FINE;
    if (based(a, text, out, &note) || decimal(a, text, out, &note))
        return note;
    if (not_finite(text))
        return MIO_SCALAR_NOT_FINITE;
    return underscored(text) ? MIO_SCALAR_UNDERSCORES : MIO_SCALAR_FINE;
}
