/* planner/expr/text.c: Unicode by libunistring; ASCII never gets there. */
#include "planner/expr/text.h"
#include <unicase.h>
#include <unictype.h>
#include <unigbrk.h>
#include <uninorm.h>
#include <unistr.h>

static const uint8_t *bytes(struct mio_str s)
{
    return (const uint8_t *)s.p;
}

static bool ascii(struct mio_str s)
{
    unsigned char all = 0;
    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80;
}

struct mio_str mio_text_nfc(struct mio_arena *a, struct mio_str s)
{
    if (ascii(s) || u8_check(bytes(s), s.n))
        return s;
    /* Composition never makes UTF-8 more than three times as long. */
    size_t n = s.n * 3 + 1;
    uint8_t *out = mio_arena_alloc(a, n);
    uint8_t *done = u8_normalize(UNINORM_NFC, bytes(s), s.n, out, &n);
    if (!done)
        return s;
    if (done == out)
        return (struct mio_str){(char *)out, n};
    struct mio_str copy = mio_arena_str(a, (struct mio_str){(char *)done, n});
    free(done);
    return copy;
}

size_t mio_text_cluster(struct mio_str s)
{
    if (s.n > 1 && (unsigned char)s.p[0] < 0x80 && (unsigned char)s.p[1] < 0x80)
        return s.p[0] == '\r' && s.p[1] == '\n' ? 2 : 1;
    /* All rules, emoji joined by U+200D and pairs of flags included: u8_grapheme_next knows
     * neighbours alone. */
    enum { FIRST = 64, MOST = 4096 };
    char breaks[MOST];
    for (size_t room = FIRST;; room *= 8) {
        size_t n = s.n < room ? s.n : room;
        while (n < s.n && n > 1 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
        u8_grapheme_breaks(bytes(s), n, breaks);
        for (size_t i = 1; i < n; i++)
            if (breaks[i])
                return i;
        if (n == s.n || room == MOST)
            return n;
    }
}

size_t mio_text_clusters(struct mio_str s)
{
    size_t n = 0;
    for (; s.n; n++) {
        size_t k = mio_text_cluster(s);
        s = (struct mio_str){s.p + k, s.n - k};
    }
    return n;
}

uint32_t mio_text_rune(struct mio_str s, size_t *n)
{
    ucs4_t c = (unsigned char)*s.p;
    int k = c < 0x80 ? 1 : u8_mbtoucr(&c, bytes(s), s.n);
    *n = k > 0 ? (size_t)k : 1;
    return k > 0 ? c : 0xfffd;
}

/* Code point by code point, as Go's strings.ToUpper does it: sharp s stays one letter. */
static struct mio_str each_rune(struct mio_arena *a, struct mio_str s, ucs4_t (*f)(ucs4_t))
{
    char *out = mio_arena_alloc(a, s.n * 3 + 8); /* a malformed byte becomes U+FFFD: three */
    size_t n = 0;
    for (size_t k; s.n; s = (struct mio_str){s.p + k, s.n - k}) {
        ucs4_t c = f(mio_text_rune(s, &k));
        int put = u8_uctomb((uint8_t *)out + n, c, 6);
        n += put > 0 ? (size_t)put : 0;
    }
    return (struct mio_str){out, n};
}

struct mio_str mio_text_upper(struct mio_arena *a, struct mio_str s)
{
    return each_rune(a, s, uc_toupper);
}

struct mio_str mio_text_lower(struct mio_arena *a, struct mio_str s)
{
    return each_rune(a, s, uc_tolower);
}
