/* providers/sdk/str.h: string views, and the few questions asked of them.
 *
 * Owns: nothing. A view never outlives the memory it looks at; text is UTF-8, may hold any byte but
 * NUL unless the maker says otherwise, and need not be terminated. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mio_str {
    const char *p;
    size_t n;
};

#define MIO_STR(lit) ((struct mio_str){(lit), sizeof(lit) - 1})
#define MIO_STR_INIT(lit)      \
    {                          \
        (lit), sizeof(lit) - 1 \
    }                                /* for static tables */
#define MIO_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

/* Inline: asked of every key of every block, and mostly answered by the lengths. */
static inline struct mio_str mio_str_z(const char *z) /* NULL gives the empty view */
{
    return (struct mio_str){z ? z : "", z ? strlen(z) : 0};
}
static inline bool mio_str_eq(struct mio_str a, struct mio_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool mio_str_is(struct mio_str a, const char *z)
{
    return mio_str_eq(a, mio_str_z(z));
}
static inline int mio_str_cmp(struct mio_str a, struct mio_str b) /* byte order */
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}
bool mio_str_ieq(struct mio_str a, struct mio_str b); /* ASCII case folded */
bool mio_str_starts(struct mio_str s, const char *prefix);
bool mio_str_ends(struct mio_str s, const char *suffix);
struct mio_str mio_str_sub(struct mio_str s, size_t from, size_t n); /* clipped to s */
struct mio_str mio_str_trim(struct mio_str s);                       /* ASCII white space */
ptrdiff_t mio_str_find(struct mio_str s, char c);                    /* -1 when absent */
uint64_t mio_str_hash(struct mio_str s);

/* Strict decimal: the whole view, no sign for _u64, no overflow. False leaves *out alone. */
bool mio_str_u64(struct mio_str s, uint64_t *out);
bool mio_str_i64(struct mio_str s, int64_t *out);

/* Compares runs of digits as numbers, so that x[2] < x[10]. Total order. */
int mio_str_natcmp(struct mio_str a, struct mio_str b);

/* The candidate nearest to `word` within a third of its length (at least 1, at most 3 edits);
 * the empty view when none is near. */
struct mio_str mio_str_nearest(struct mio_str word, const struct mio_str *candidates, size_t n);

/* True when s is well-formed UTF-8 without NUL. */
bool mio_str_utf8(struct mio_str s);
