/* providers/sdk/clock.c: see clock.h. */
#include "providers/sdk/clock.h"
#include <errno.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t mio_now_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t mio_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t mio_wall_s(void)
{
    return (int64_t)time(NULL);
}

void mio_rfc3339(int64_t wall_s, char out[24])
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 24, "1970-01-01T00:00:00Z");
}

bool mio_rfc3339_parse(struct mio_str s, int64_t *wall_s)
{
    struct tm tm = {0};
    char text[32];
    if (s.n != 20)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        return false;
    *wall_s = (int64_t)timegm(&tm);
    return true;
}

void mio_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

/* Both notations are a row of number-and-unit pairs; ISO 8601 adds P and T in front. */
bool mio_duration_s(struct mio_str s, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t plain;
    if (mio_str_u64(s, &plain) && plain <= INT32_MAX) {
        *seconds = (int64_t)plain;
        return true;
    }
    bool iso = s.n > 1 && (s.p[0] == 'P' || s.p[0] == 'p');
    bool any = false;
    int64_t total = 0;
    size_t i = iso ? 1 : 0;
    while (i < s.n) {
        if (iso && (s.p[i] == 'T' || s.p[i] == 't')) {
            i++;
            continue;
        }
        size_t from = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        uint64_t v;
        if (i >= s.n || !mio_str_u64(mio_str_sub(s, from, i - from), &v) || v > INT32_MAX)
            return false;
        size_t u = 0;
        while (u < 4 && units[u].unit != (s.p[i] | 32))
            u++;
        if (u == 4)
            return false;
        if (__builtin_add_overflow(total, (int64_t)v * units[u].seconds, &total))
            return false;
        any = true;
        i++;
    }
    if (!any)
        return false;
    *seconds = total;
    return true;
}
