/* planner/expr/civil.h: points in time as RFC 3339 writes them, with their zone kept. */
#pragma once
#include "providers/sdk/arena.h"

struct civil {
    int64_t seconds; /* since 1970, UTC */
    int64_t nanos;   /* 0 to 999,999,999 */
    int32_t offset;  /* of the zone, in seconds east of UTC */
};
struct civil_fields {
    int64_t year;
    int month, day, hour, minute, second, weekday; /* month and day from 1; weekday 0 is Sunday */
};

/* Strict: 2006-01-02T15:04:05[.999](Z|+07:00); the day must exist. */
bool mio_civil_parse(struct mio_str s, struct civil *out);
struct civil_fields mio_civil_fields(struct civil t); /* in its own zone */
/* Days since 1970 of a date that exists. */
int64_t mio_civil_days(int64_t year, int month, int day);
bool mio_civil_date_exists(int64_t year, int month, int day);
/* RFC 3339 without a fraction. */
struct mio_str mio_civil_text(struct mio_arena *a, struct civil t);
/* "1h30m", "-1.5s", "300ms": nanoseconds; false when malformed or beyond 292 years. */
bool mio_civil_duration(struct mio_str s, int64_t *nanos);
