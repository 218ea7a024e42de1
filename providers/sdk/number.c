/* providers/sdk/number.c: exact decimals as text: validity, order, canonical form. See value.h. */
#include "providers/sdk/value.h"

/* value = (neg ? -1 : 1) * 0.d1d2d3... * 10^point, where d1 and the last digit are not zero. */
struct decimal {
    bool neg;
    const char *text; /* digits, with at most one '.' among them that is skipped */
    size_t n;         /* significant digits; 0: the number zero */
    int64_t point;
};

enum { PLAIN_MAX = 400 }; /* zeros that are written out: doubles end at 308 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool mio_number_valid(struct mio_str s)
{
    size_t i = 0;
    if (i < s.n && s.p[i] == '-')
        i++;
    if (i >= s.n || !is_digit(s.p[i]))
        return false;
    if (s.p[i] == '0')
        i++;
    else
        while (i < s.n && is_digit(s.p[i]))
            i++;
    if (i < s.n && s.p[i] == '.') {
        size_t from = ++i;
        while (i < s.n && is_digit(s.p[i]))
            i++;
        if (i == from)
            return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
            i++;
        size_t from = i;
        while (i < s.n && is_digit(s.p[i]))
            i++;
        if (i == from || i - from > 9)
            return false;
    }
    return i == s.n;
}

/* Reads a valid JSON number. */
static struct decimal split(struct mio_str s)
{
    struct decimal d = {0};
    size_t i = 0;
    if (i < s.n && s.p[i] == '-') {
        d.neg = true;
        i++;
    }
    size_t first = 0, last = 0, whole = 0, digits = 0;
    bool dot = false, found = false;
    int64_t lead = 0; /* zeros after the point before the first significant digit */
    for (; i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'); i++) {
        if (s.p[i] == '.') {
            dot = true;
            continue;
        }
        if (s.p[i] != '0' && !found) {
            found = true;
            first = i;
        }
        if (found) {
            digits++;
            whole += !dot;
            if (s.p[i] != '0') {
                last = i;
                d.n = digits;
            }
        } else if (dot) {
            lead++;
        }
    }
    (void)last;
    int64_t exp = 0;
    if (i < s.n) {
        size_t from = i + 1;
        if (from < s.n && s.p[from] == '+')
            from++;
        mio_str_i64(mio_str_sub(s, from, s.n), &exp);
    }
    d.text = s.p + first;
    d.point = (int64_t)whole - lead + exp;
    if (d.n == 0) {
        d.neg = false;
        d.point = 0;
    }
    return d;
}

int mio_number_cmp(struct mio_str a, struct mio_str b)
{
    struct decimal x = split(a), y = split(b);
    int sign = x.neg ? -1 : 1;
    if (x.n == 0 || y.n == 0)
        return x.n ? sign : y.n ? (y.neg ? 1 : -1) : 0;
    if (x.neg != y.neg)
        return sign;
    if (x.point != y.point)
        return x.point < y.point ? -sign : sign;
    const char *p = x.text, *q = y.text;
    size_t n = x.n < y.n ? x.n : y.n;
    for (size_t i = 0; i < n; i++, p++, q++) {
        p += *p == '.';
        q += *q == '.';
        if (*p != *q)
            return *p < *q ? -sign : sign;
    }
    return x.n == y.n ? 0 : x.n < y.n ? -sign : sign;
}

static bool is_canonical_integer(struct mio_str s)
{
    size_t i = s.n && s.p[0] == '-';
    if (s.n == i || s.n - i > 21 || (s.p[i] == '0' && s.n > 1))
        return false;
    for (; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return true;
}

struct mio_str mio_number_canon(struct mio_arena *a, struct mio_str text)
{
    if (is_canonical_integer(text))
        return text;
    struct decimal d = split(text);
    if (d.n == 0)
        return MIO_STR("0");
    bool plain = d.point > -PLAIN_MAX && d.point <= PLAIN_MAX;
    size_t pad = plain && d.point > (int64_t)d.n ? (size_t)d.point - d.n : 0;
    size_t zeros = plain && d.point <= 0 ? (size_t)-d.point : 0;
    char *out = mio_arena_alloc(a, d.n + pad + zeros + 32), *p = out;
    const char *q = d.text;
    if (d.neg)
        *p++ = '-';
    if (plain && d.point <= 0) {
        *p++ = '0';
        *p++ = '.';
        memset(p, '0', zeros);
        p += zeros;
    }
    for (size_t i = 0; i < d.n; i++, q++) {
        q += *q == '.';
        if (i && (plain ? (int64_t)i == d.point : i == 1))
            *p++ = '.';
        *p++ = *q;
    }
    memset(p, '0', pad);
    p += pad;
    if (!plain)
        p += snprintf(p, 28, "e%+lld", (long long)(d.point - 1));
    return (struct mio_str){out, (size_t)(p - out)};
}

bool mio_value_i64(struct mio_value v, int64_t *out)
{
    if (v.type != MIO_NUMBER)
        return false;
    struct mio_str s = {v.s, v.n};
    if (mio_str_i64(s, out))
        return true;
    struct decimal d = split(s);
    if (d.point < (int64_t)d.n || d.point > 18)
        return d.n == 0 ? (*out = 0, true) : false;
    int64_t r = 0;
    const char *q = d.text;
    for (int64_t i = 0; i < d.point; i++) {
        int digit = 0;
        if (i < (int64_t)d.n) {
            q += *q == '.';
            digit = *q++ - '0';
        }
        r = r * 10 + digit;
    }
    *out = d.neg ? -r : r;
    return true;
}

bool mio_value_f64(struct mio_value v, double *out)
{
    char text[128];
    if (v.type != MIO_NUMBER || v.n >= sizeof text)
        return false;
    memcpy(text, v.s, v.n);
    text[v.n] = '\0';
    *out = strtod(text, NULL);
    return true;
}
