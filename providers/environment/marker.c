/* providers/environment/marker.c: markers: "python_version >= '3.8' and sys_platform == 'linux'".
 */
#include "providers/environment/pep.h"
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

struct reader {
    const struct mio_env_python *py;
    struct mio_str rest;
    int depth;
    char room[64]; /* of the value of a variable that is made up here */
    struct mio_err *err;
};

static enum mio_code bad(struct reader *r, const char *what)
{
    return mio_fail(r->err, MIO_TEMPLATE, "a marker that cannot be read: %s near \"%.*s\"", what,
                    (int)(r->rest.n < 40 ? r->rest.n : 40), r->rest.p);
}

static void skip(struct reader *r)
{
    while (r->rest.n && strchr(" \t\n", r->rest.p[0]))
        r->rest = mio_str_sub(r->rest, 1, r->rest.n);
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

/* A word at the front, without taking it. */
static struct mio_str front(struct reader *r)
{
    skip(r);
    size_t n = 0;
    while (n < r->rest.n && letter(r->rest.p[n]))
        n++;
    return mio_str_sub(r->rest, 0, n);
}

static bool take(struct reader *r, const char *word)
{
    if (!mio_str_is(front(r), word))
        return false;
    r->rest = mio_str_sub(r->rest, strlen(word), r->rest.n);
    return true;
}

/* What the variable is on the target; false for an unknown one. */
static bool variable(struct reader *r, struct mio_str name, struct mio_str *out)
{
    static const char *const rows[][2] = {
        {"os_name", "posix"},
        {"sys_platform", "linux"},
        {"platform_system", "Linux"},
        {"platform_python_implementation", "CPython"},
        {"python_implementation", "CPython"},
        {"implementation_name", "cpython"},
        {"platform_release", ""},
        {"platform_version", ""},
        {"extra", ""},
        {"extras", ""},
        {"dependency_groups", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_str_is(name, rows[i][0])) {
            *out = mio_str_z(rows[i][1]);
            return true;
        }
    if (mio_str_is(name, "platform_machine"))
        *out = mio_str_z(mio_env_pep_machine(r->py->arch));
    else if (mio_str_is(name, "python_version"))
        *out = r->py->version;
    else if (mio_str_is(name, "python_full_version") ||
             mio_str_is(name, "implementation_version")) {
        snprintf(r->room, sizeof r->room, "%.*s.0", MIO_FMT(r->py->version));
        *out = mio_str_z(r->room);
    } else
        return false;
    return true;
}

static enum mio_code operand(struct reader *r, struct mio_str *out, bool *version)
{
    struct mio_str name = front(r);
    if (name.n) {
        *version |= mio_str_starts(name, "python_") || mio_str_is(name, "implementation_version");
        if (!variable(r, name, out))
            return bad(r, "an unknown variable");
        r->rest = mio_str_sub(r->rest, name.n, r->rest.n);
        return MIO_OK;
    }
    char q = r->rest.n ? r->rest.p[0] : 0;
    ptrdiff_t end =
        q == '"' || q == '\'' ? mio_str_find(mio_str_sub(r->rest, 1, r->rest.n), q) : -1;
    if (end < 0)
        return bad(r, "a quoted text or a variable is missing");
    *out = mio_str_sub(r->rest, 1, (size_t)end);
    r->rest = mio_str_sub(r->rest, (size_t)end + 2, r->rest.n);
    return MIO_OK;
}

static bool contains(struct mio_str s, struct mio_str part)
{
    return !part.n || (s.n && memmem(s.p, s.n, part.p, part.n));
}

/* Words are compared as texts: the orders <= and the like are for versions. */
static enum mio_code compare(struct reader *r, bool *out)
{
    struct mio_str x, y, op;
    bool version = false;
    if (operand(r, &x, &version))
        return r->err->code;
    if (take(r, "not")) {
        if (!take(r, "in"))
            return bad(r, "'in' is missing after 'not'");
        op = MIO_STR("not in");
    } else if (take(r, "in"))
        op = MIO_STR("in");
    else {
        skip(r);
        size_t n = 0;
        while (n < r->rest.n && strchr("<>=!~", r->rest.p[n]))
            n++;
        op = mio_str_sub(r->rest, 0, n);
        if (!n)
            return bad(r, "a comparison is missing");
        r->rest = mio_str_sub(r->rest, n, r->rest.n);
    }
    if (operand(r, &y, &version))
        return r->err->code;
    if (mio_str_is(op, "in") || mio_str_is(op, "not in"))
        *out = contains(y, x) == mio_str_is(op, "in");
    else if (version) {
        char both[160];
        snprintf(both, sizeof both, "%.*s%.*s", MIO_FMT(op), MIO_FMT(y));
        *out = mio_env_pep_fits(x, mio_str_z(both));
    } else {
        int c = mio_str_cmp(x, y);
        *out = mio_str_is(op, "==")   ? c == 0
               : mio_str_is(op, "!=") ? c != 0
               : mio_str_is(op, "<=") ? c <= 0
               : mio_str_is(op, ">=") ? c >= 0
               : mio_str_is(op, "<")  ? c < 0
                                      : mio_str_is(op, ">") && c > 0;
    }
    return MIO_OK;
}

static enum mio_code any(struct reader *r, bool *out);

static enum mio_code one(struct reader *r, bool *out)
{
    skip(r);
    if (!r->rest.n || r->rest.p[0] != '(')
        return compare(r, out);
    r->rest = mio_str_sub(r->rest, 1, r->rest.n);
    if (++r->depth > MAX_DEPTH)
        return bad(r, "too many brackets");
    if (any(r, out))
        return r->err->code;
    skip(r);
    if (!r->rest.n || r->rest.p[0] != ')')
        return bad(r, "')' is missing");
    r->rest = mio_str_sub(r->rest, 1, r->rest.n);
    r->depth--;
    return MIO_OK;
}

static enum mio_code all(struct reader *r, bool *out)
{
    if (one(r, out))
        return r->err->code;
    while (take(r, "and")) {
        bool more;
        if (one(r, &more))
            return r->err->code;
        *out &= more;
    }
    return MIO_OK;
}

static enum mio_code any(struct reader *r, bool *out)
{
    if (all(r, out))
        return r->err->code;
    while (take(r, "or")) {
        bool more;
        if (all(r, &more))
            return r->err->code;
        *out |= more;
    }
    return MIO_OK;
}

enum mio_code mio_env_pep_marker(const struct mio_env_python *py, struct mio_str marker, bool *out,
                                 struct mio_err *err)
{
    struct reader r = {.py = py, .rest = mio_str_trim(marker), .err = err};
    *out = true;
    if (!r.rest.n || any(&r, out))
        return err->code;
    skip(&r);
    return r.rest.n ? bad(&r, "something stands after its end") : MIO_OK;
}
