/* planner/expr/civil.c: see civil.h. The calendar is the proleptic Gregorian one. */
#include "planner/expr/civil.h"
#include <ctype.h>

enum { DAY = 86400, GIGA = 1000000000 };

int64_t mio_civil_days(int64_t year, int month, int day)
{
    /* Years that begin in March put the leap day last; eras of 400 years are all alike. */
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool mio_civil_date_exists(int64_t year, int month, int day)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 || year % 400 == 0);
    return month >= 1 && month <= 12 && day >= 1 && day <= DAYS[month - 1] + (leap && month == 2);
}

struct civil_fields mio_civil_fields(struct civil t)
{
    int64_t local = t.seconds + t.offset;
    int64_t days = local / DAY - (local % DAY < 0);
    int rest = (int)(local - days * DAY);
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t m = (5 * of_year + 2) / 153;
    struct civil_fields f = {
        .year = year + era * 400 + (m >= 10),
        .month = (int)(m < 10 ? m + 3 : m - 9),
        .day = (int)(of_year - (153 * m + 2) / 5 + 1),
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
    };
    return f;
}

/* Takes exactly n digits; -1 when there are fewer. */
static int digits(struct mio_str *s, size_t n)
{
    int v = 0;
    if (s->n < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s->p[i]))
            return -1;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = mio_str_sub(*s, n, s->n);
    return v;
}

static bool skip(struct mio_str *s, char c)
{
    if (!s->n || *s->p != c)
        return false;
    *s = mio_str_sub(*s, 1, s->n);
    return true;
}

static bool parse_zone(struct mio_str s, int32_t *offset)
{
    *offset = 0;
    if (mio_str_is(s, "Z"))
        return true;
    int sign = s.n && *s.p == '-' ? -1 : 1;
    if (!skip(&s, '+') && !skip(&s, '-'))
        return false;
    int hour = digits(&s, 2), minute = skip(&s, ':') ? digits(&s, 2) : -1;
    *offset = sign * (hour * 3600 + minute * 60);
    return hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && !s.n;
}

bool mio_civil_parse(struct mio_str s, struct civil *out)
{
    static const char BEHIND[] = "--T::";
    int v[6];
    for (size_t i = 0; i < 6; i++) {
        v[i] = digits(&s, i ? 2 : 4);
        if (v[i] < 0 || (i < 5 && !skip(&s, BEHIND[i])))
            return false;
    }
    int64_t nanos = 0;
    if (skip(&s, '.')) {
        int64_t unit = GIGA / 10;
        size_t n = 0;
        for (; n < s.n && isdigit((unsigned char)s.p[n]); n++, unit /= 10)
            nanos += unit * (s.p[n] - '0');
        if (!n)
            return false;
        s = mio_str_sub(s, n, s.n);
    }
    int32_t offset;
    if (!parse_zone(s, &offset) || !mio_civil_date_exists(v[0], v[1], v[2]) || v[3] > 23 ||
        v[4] > 59 || v[5] > 59)
        return false;
    int64_t seconds = mio_civil_days(v[0], v[1], v[2]) * DAY + v[3] * 3600 + v[4] * 60 + v[5];
    *out = (struct civil){.seconds = seconds - offset, .nanos = nanos, .offset = offset};
    return true;
}

struct mio_str mio_civil_text(struct mio_arena *a, struct civil t)
{
    struct civil_fields f = mio_civil_fields(t);
    char zone[16] = "Z";
    int minutes = t.offset / 60;
    if (minutes)
        snprintf(zone, sizeof zone, "%c%02d:%02d", minutes < 0 ? '-' : '+', abs(minutes) / 60 % 100,
                 abs(minutes) % 60);
    return mio_arena_printf(a, "%04lld-%02d-%02dT%02d:%02d:%02d%s", (long long)f.year, f.month,
                            f.day, f.hour, f.minute, f.second, zone);
}

/* One "1.5h"; adds to *total. */
static bool one_part(struct mio_str *s, int64_t *total)
{
    static const struct {
        const char *unit;
        int64_t nanos;
    } UNITS[] = {{"ns", 1},       {"us", 1000}, {"\u00b5s", 1000},  {"\u03bcs", 1000},
                 {"ms", 1000000}, {"s", GIGA},  {"m", 60LL * GIGA}, {"h", 3600LL * GIGA}};
    int64_t whole = 0, fraction = 0, scale = 1;
    size_t n = 0, seen = 0;
    for (; n < s->n && isdigit((unsigned char)s->p[n]); n++, seen++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, s->p[n] - '0', &whole))
            return false;
    if (n < s->n && s->p[n] == '.')
        for (n++; n < s->n && isdigit((unsigned char)s->p[n]); n++, seen++)
            if (scale < GIGA) {
                fraction = fraction * 10 + (s->p[n] - '0');
                scale *= 10;
            }
    *s = mio_str_sub(*s, n, s->n);
    for (n = 0; n < s->n && s->p[n] != '.' && !isdigit((unsigned char)s->p[n]);)
        n++;
    for (size_t i = 0; seen && i < sizeof UNITS / sizeof *UNITS; i++) {
        if (!mio_str_is(mio_str_sub(*s, 0, n), UNITS[i].unit))
            continue;
        *s = mio_str_sub(*s, n, s->n);
        int64_t nanos;
        int64_t part = (int64_t)((double)fraction * ((double)UNITS[i].nanos / (double)scale));
        return !__builtin_mul_overflow(whole, UNITS[i].nanos, &nanos) &&
               !__builtin_add_overflow(nanos, part, &nanos) &&
               !__builtin_add_overflow(*total, nanos, total);
    }
    return false;
}

bool mio_civil_duration(struct mio_str s, int64_t *nanos)
{
    int64_t total = 0;
    bool neg = s.n && *s.p == '-';
    if (s.n && (*s.p == '-' || *s.p == '+'))
        s = mio_str_sub(s, 1, s.n);
    if (!s.n)
        return false;
    if (!mio_str_is(s, "0"))
        while (s.n)
            if (!one_part(&s, &total))
                return false;
    *nanos = neg ? -total : total;
    return true;
}
