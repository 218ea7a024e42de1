/* planner/expr/func_time.c: dates and times. */
#include "planner/expr/civil.h"
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include <ctype.h>

enum { GIGA = 1000000000 };

static enum mio_code now(struct mio_call *c, struct mio_value *out)
{
    char text[24];
    mio_rfc3339(c->scope->now, text);
    *out = mio_string(mio_arena_str(c->a, mio_str_z(text)));
    return MIO_OK;
}

enum mio_code mio_fn_timestamp(struct mio_call *c, struct mio_value *out)
{
    if (!c->scope->planning)
        return now(c, out);
    *out = mio_unknown(MIO_STRING);
    return MIO_OK;
}

enum mio_code mio_fn_plantimestamp(struct mio_call *c, struct mio_value *out)
{
    return now(c, out);
}

static bool when(struct mio_call *c, size_t arg, struct civil *t)
{
    if (mio_civil_parse(mio_value_str(c->args[arg]), t))
        return true;
    mio_call_fail(c, arg, "write it like 2026-11-23T05:32:59Z", "this is no RFC 3339 time");
    return false;
}

enum mio_code mio_fn_timeadd(struct mio_call *c, struct mio_value *out)
{
    struct civil t;
    int64_t nanos;
    if (!when(c, 0, &t))
        return MIO_TEMPLATE;
    if (!mio_civil_duration(mio_value_str(c->args[1]), &nanos))
        return mio_call_fail(c, 1, "write it like 90s, 1h30m, -24h", "this is no duration");
    nanos += t.nanos;
    t.seconds += nanos / GIGA - (nanos % GIGA < 0);
    *out = mio_string(mio_civil_text(c->a, t));
    return MIO_OK;
}

enum mio_code mio_fn_timecmp(struct mio_call *c, struct mio_value *out)
{
    struct civil x, y;
    if (!when(c, 0, &x) || !when(c, 1, &y))
        return MIO_TEMPLATE;
    int order = (x.seconds > y.seconds) - (x.seconds < y.seconds);
    if (!order)
        order = (x.nanos > y.nanos) - (x.nanos < y.nanos);
    *out = mio_number_i64(c->a, order);
    return MIO_OK;
}

/* ---- formatdate ---- */

static const char *const MONTHS[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const DAYS[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

static void put_zone(struct mio_buf *b, int32_t offset, size_t n)
{
    int minutes = offset / 60;
    if (!minutes && (n == 1 || n == 3)) {
        mio_buf_z(b, n == 1 ? "Z" : "UTC");
        return;
    }
    mio_buf_printf(b, "%c%02d%s%02d", minutes < 0 ? '-' : '+', abs(minutes) / 60,
                   n == 1 || n == 5 ? ":" : "", abs(minutes) % 60);
}

/* A run of n letters; false when it stands for nothing. */
static bool put_letters(struct mio_buf *b, const struct civil_fields *f, int32_t offset,
                        char letter, size_t n)
{
    int hour12 = f->hour % 12 ? f->hour % 12 : 12;
    const struct {
        char letter;
        int value;
    } NUMBERS[] = {{'M', f->month}, {'D', f->day},    {'h', f->hour},
                   {'H', hour12},   {'m', f->minute}, {'s', f->second}};
    for (size_t i = 0; n <= 2 && i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        if (NUMBERS[i].letter != letter)
            continue;
        mio_buf_printf(b, "%0*d", (int)n, NUMBERS[i].value);
        return true;
    }
    if (letter == 'Y' && (n == 4 || n == 2))
        mio_buf_printf(b, "%0*lld", (int)n, (long long)(n == 2 ? f->year % 100 : f->year));
    else if (letter == 'M' && (n == 3 || n == 4))
        mio_buf_printf(b, "%.*s", n == 3 ? 3 : 20, MONTHS[f->month - 1]);
    else if (letter == 'E' && (n == 3 || n == 4))
        mio_buf_printf(b, "%.*s", n == 3 ? 3 : 20, DAYS[f->weekday]);
    else if (letter == 'A' && n == 2)
        mio_buf_z(b, f->hour < 12 ? "AM" : "PM");
    else if (letter == 'a' && n == 2)
        mio_buf_z(b, f->hour < 12 ? "am" : "pm");
    else if (letter == 'Z' && n != 2 && n <= 5)
        put_zone(b, offset, n);
    else
        return false;
    return true;
}

/* From the quote at p: its text is put; gives what follows, NULL when it is not closed. */
static const char *put_quoted(struct mio_buf *b, const char *p, const char *end)
{
    if (p + 1 < end && p[1] == '\'') {
        mio_buf_char(b, '\'');
        return p + 2;
    }
    for (p++; p < end; p++) {
        if (*p == '\'' && (p + 1 >= end || p[1] != '\''))
            return p + 1;
        p += *p == '\'';
        mio_buf_char(b, *p);
    }
    return NULL;
}

enum mio_code mio_fn_formatdate(struct mio_call *c, struct mio_value *out)
{
    struct civil t;
    if (!when(c, 1, &t))
        return MIO_TEMPLATE;
    struct civil_fields f = mio_civil_fields(t);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    const char *p = mio_value_str(c->args[0]).p, *end = p + c->args[0].n;
    while (p < end) {
        if (*p == '\'') {
            p = put_quoted(&b, p, end);
            if (!p)
                return mio_call_fail(c, 0, NULL, "a quote is not closed");
            continue;
        }
        if (!isalpha((unsigned char)*p)) {
            mio_buf_char(&b, *p++);
            continue;
        }
        const char *from = p;
        while (p < end && *p == *from)
            p++;
        if (!put_letters(&b, &f, t.offset, *from, (size_t)(p - from)))
            return mio_call_fail(c, 0,
                                 "known: YYYY YY MMMM MMM MM M DD D EEEE EEE hh h HH H AA aa mm m "
                                 "ss s Z ZZZ ZZZZ ZZZZZ; other text in 'quotes'",
                                 "\"%.*s\" stands for nothing", (int)(p - from), from);
    }
    return mio_call_text(c, &b, out);
}
