/* providers/sdk/str.c: see str.h. */
#include "providers/sdk/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool mio_str_ieq(struct mio_str a, struct mio_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool mio_str_starts(struct mio_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool mio_str_ends(struct mio_str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

struct mio_str mio_str_sub(struct mio_str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (struct mio_str){s.p + from, n};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct mio_str mio_str_trim(struct mio_str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t mio_str_find(struct mio_str s, char c)
{
    const char *p = s.n ? memchr(s.p, c, s.n) : NULL;
    return p ? p - s.p : -1;
}

/* Eight bytes a step; the mix is a multiply and a fold, as good as needed for a table in memory. */
uint64_t mio_str_hash(struct mio_str s)
{
    uint64_t h = 0x9E3779B97F4A7C15u ^ s.n;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    uint64_t tail = 0;
    if (s.n > i)
        memcpy(&tail, s.p + i, s.n - i);
    h = (h ^ tail) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return h ^ (h >> 32);
}

bool mio_str_u64(struct mio_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool mio_str_i64(struct mio_str s, int64_t *out)
{
    bool neg = s.n > 1 && s.p[0] == '-';
    uint64_t v;
    if (!mio_str_u64(neg ? mio_str_sub(s, 1, s.n) : s, &v) || v > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int mio_str_natcmp(struct mio_str a, struct mio_str b)
{
    size_t i = 0, j = 0;
    while (i < a.n && j < b.n) {
        if (is_digit(a.p[i]) && is_digit(b.p[j])) {
            size_t i0 = i, j0 = j;
            while (i0 < a.n && a.p[i0] == '0')
                i0++;
            while (j0 < b.n && b.p[j0] == '0')
                j0++;
            size_t i1 = i0, j1 = j0;
            while (i1 < a.n && is_digit(a.p[i1]))
                i1++;
            while (j1 < b.n && is_digit(b.p[j1]))
                j1++;
            if (i1 - i0 != j1 - j0)
                return i1 - i0 < j1 - j0 ? -1 : 1;
            int c = i1 > i0 ? memcmp(a.p + i0, b.p + j0, i1 - i0) : 0;
            if (c)
                return c;
            i = i1;
            j = j1;
        } else {
            if (a.p[i] != b.p[j])
                return (unsigned char)a.p[i] < (unsigned char)b.p[j] ? -1 : 1;
            i++;
            j++;
        }
    }
    if (a.n - i != b.n - j)
        return a.n - i < b.n - j ? -1 : 1;
    return mio_str_cmp(a, b); /* 01 and 1 are equal as numbers, not as text */
}

enum { LONGEST_WORD = 64 };

/* Optimal string alignment distance: insert, delete, substitute, swap neighbours. */
static size_t distance(struct mio_str a, struct mio_str b)
{
    size_t rows[3][LONGEST_WORD + 1];
    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *cur = rows[i % 3], *up = rows[(i + 2) % 3], *upup = rows[(i + 1) % 3];
        cur[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
            size_t d = up[j - 1] + !same;
            if (up[j] + 1 < d)
                d = up[j] + 1;
            if (cur[j - 1] + 1 < d)
                d = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                upup[j - 2] + 1 < d)
                d = upup[j - 2] + 1;
            cur[j] = d;
        }
    }
    return rows[a.n % 3][b.n];
}

struct mio_str mio_str_nearest(struct mio_str word, const struct mio_str *candidates, size_t n)
{
    struct mio_str best = {"", 0};
    size_t limit = word.n / 3 < 1 ? 1 : word.n / 3 > 3 ? 3 : word.n / 3;
    size_t least = limit + 1;
    if (word.n > LONGEST_WORD)
        return best;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].n > LONGEST_WORD)
            continue;
        size_t d = distance(word, candidates[i]);
        /* words that share no letter are not near, however short they are */
        if (d < least && d < (word.n > candidates[i].n ? word.n : candidates[i].n)) {
            least = d;
            best = candidates[i];
        }
    }
    return best;
}

bool mio_str_utf8(struct mio_str s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    while (p < end) {
        unsigned char c = *p++;
        if (c == 0)
            return false;
        if (c < 0x80)
            continue;
        int more = c >= 0xC2 && c <= 0xDF   ? 1
                   : (c & 0xF0) == 0xE0     ? 2
                   : c >= 0xF0 && c <= 0xF4 ? 3
                                            : -1;
        if (more < 0 || end - p < more)
            return false;
        if ((c == 0xE0 && p[0] < 0xA0) || (c == 0xED && p[0] > 0x9F) ||
            (c == 0xF0 && p[0] < 0x90) || (c == 0xF4 && p[0] > 0x8F))
            return false;
        for (; more > 0; more--)
            if ((*p++ & 0xC0) != 0x80)
                return false;
    }
    return true;
}
