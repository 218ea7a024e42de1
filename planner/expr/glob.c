/* planner/expr/glob.c: see glob.h. */
#include "planner/expr/glob.h"
#include <string.h>

enum { EFFORT = 100000, MAX_PATTERN = 1024 };

static bool match(struct mio_str p, struct mio_str s, int *effort);

static struct mio_str from(struct mio_str s, size_t n)
{
    return mio_str_sub(s, n, s.n);
}

/* Behind the bracket at p; *hit whether c is in it. 0 when it is not closed. */
static size_t bracket(struct mio_str p, unsigned char c, bool *hit)
{
    size_t i = 1;
    bool not = i < p.n && p.p[i] == '^';
    i += not ;
    *hit = false;
    for (size_t first = i; i < p.n && (p.p[i] != ']' || i == first); i++) {
        unsigned char lo = (unsigned char)p.p[i], hi = lo;
        if (i + 2 < p.n && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
            hi = (unsigned char)p.p[i + 2];
            i += 2;
        }
        *hit |= lo <= c && c <= hi;
    }
    *hit = *hit != not ;
    return i < p.n ? i + 1 : 0;
}

/* {a,b}rest: tries "a" + rest, then "b" + rest. */
static bool alternatives(struct mio_str p, struct mio_str s, int *effort)
{
    size_t close = 0;
    for (size_t i = 0, depth = 0; i < p.n && !close; i++) {
        depth += p.p[i] == '{';
        if (p.p[i] == '}' && !--depth)
            close = i;
    }
    if (!close || p.n > MAX_PATTERN)
        return false;
    for (size_t i = 1, start = 1, depth = 0; i <= close; i++) {
        bool inner = depth;
        depth += p.p[i] == '{';
        depth -= inner && p.p[i] == '}';
        if (inner || depth || (p.p[i] != ',' && i != close))
            continue;
        char joined[MAX_PATTERN];
        size_t n = i - start, rest = p.n - close - 1;
        memcpy(joined, p.p + start, n);
        memcpy(joined + n, p.p + close + 1, rest);
        if (match((struct mio_str){joined, n + rest}, s, effort))
            return true;
        start = i + 1;
    }
    return false;
}

static bool star(struct mio_str p, struct mio_str s, int *effort)
{
    bool folders = p.n > 1 && p.p[1] == '*';
    struct mio_str rest = from(p, folders ? 2 : 1);
    /* Two stars and a slash also stand for no folder at all. */
    if (folders && rest.n && *rest.p == '/' && match(from(rest, 1), s, effort))
        return true;
    for (size_t i = 0; i <= s.n; i++) {
        if (match(rest, from(s, i), effort))
            return true;
        if (i < s.n && s.p[i] == '/' && !folders)
            return false;
    }
    return false;
}

static bool match(struct mio_str p, struct mio_str s, int *effort)
{
    while (p.n && --*effort > 0) {
        bool hit = false;
        size_t n = 1;
        if (*p.p == '*')
            return star(p, s, effort);
        if (*p.p == '{')
            return alternatives(p, s, effort);
        if (!s.n)
            return false;
        if (*p.p == '[')
            n = bracket(p, (unsigned char)*s.p, &hit);
        else if (*p.p == '?')
            hit = true;
        else if (*p.p == '\\' && p.n > 1)
            hit = p.p[n++] == *s.p;
        else
            hit = *p.p == *s.p;
        if (!n || !hit || (*s.p == '/' && *p.p != '/'))
            return false;
        p = from(p, n);
        s = from(s, 1);
    }
    return !p.n && !s.n;
}

bool mio_glob(struct mio_str pattern, struct mio_str path)
{
    int effort = EFFORT;
    return match(pattern, path, &effort);
}
