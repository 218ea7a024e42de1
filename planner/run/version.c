/* planner/run/version.c: see version.h. */
#include "planner/run/version.h"

enum { PARTS = 3 };

static const char *const operators[] = {">=", "<=", "!=", "~>",
                                        ">",  "<",  "="}; /* longer ones first */

/* Up to three numbers; *given says how many stood there. */
static bool numbers(struct mio_str s, uint64_t out[PARTS], size_t *given)
{
    *given = 0;
    memset(out, 0, PARTS * sizeof *out);
    while (s.n && *given < PARTS) {
        ptrdiff_t dot = mio_str_find(s, '.');
        struct mio_str part = mio_str_sub(s, 0, dot < 0 ? s.n : (size_t)dot);
        if (!mio_str_u64(part, &out[(*given)++]))
            return false;
        s = mio_str_sub(s, part.n + 1, s.n);
    }
    return *given > 0 && s.n == 0;
}

static int compare(const uint64_t a[PARTS], const uint64_t b[PARTS])
{
    for (size_t i = 0; i < PARTS; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* ~> 1.2 is >= 1.2 and < 2; ~> 1.2.3 is >= 1.2.3 and < 1.3 */
static bool is_near(const uint64_t have[PARTS], const uint64_t want[PARTS], size_t given)
{
    size_t fixed = given > 1 ? given - 1 : 1;
    for (size_t i = 0; i < fixed; i++)
        if (have[i] != want[i])
            return false;
    return compare(have, want) >= 0;
}

static bool holds(const char *op, const uint64_t have[PARTS], const uint64_t want[PARTS],
                  size_t given)
{
    int c = compare(have, want);
    switch (op[0]) {
    case '>':
        return op[1] ? c >= 0 : c > 0;
    case '<':
        return op[1] ? c <= 0 : c < 0;
    case '!':
        return c != 0;
    case '~':
        return is_near(have, want, given);
    default:
        return c == 0;
    }
}

enum mio_code mio_version_check(struct mio_str constraint, struct mio_str version,
                                struct mio_err *err)
{
    uint64_t have[PARTS], want[PARTS];
    size_t given;
    struct mio_str rest = constraint;
    numbers(version, have, &given);
    while (rest.n) {
        ptrdiff_t comma = mio_str_find(rest, ',');
        size_t len = comma < 0 ? rest.n : (size_t)comma;
        struct mio_str part = mio_str_trim(mio_str_sub(rest, 0, len));
        const char *op = "=";
        rest = mio_str_sub(rest, len + 1, rest.n);
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
            if (mio_str_starts(part, operators[i])) {
                op = operators[i];
                part = mio_str_trim(mio_str_sub(part, strlen(op), part.n));
                break;
            }
        if (!numbers(part, want, &given)) {
            mio_fail(err, MIO_TEMPLATE, "required_version \"%.*s\" is no version constraint",
                     MIO_FMT(constraint));
            return mio_err_hint(err, "Write \">= 0.1\", \"~> 1.2\" or \">= 1.0, < 2.0\".");
        }
        if (!holds(op, have, want, given)) {
            mio_fail(err, MIO_USAGE, "the template needs mlops-iac %.*s, this is %.*s",
                     MIO_FMT(constraint), MIO_FMT(version));
            return mio_err_hint(
                err, "Install a version that fits, or change mlops_iac.required_version.");
        }
    }
    return MIO_OK;
}
