/* planner/expr/func_regex.c: regular expressions by PCRE2.
 *
 * The syntax that PCRE2 and Terraform's RE2 share is accepted; what RE2 lacks (look-around, back
 * references, atomic and possessive matching, recursion) is refused, so that templates mean the
 * same in both. A match limit bounds the time. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include <ctype.h>
#include <pcre2.h>

enum { MATCH_LIMIT = 1000000 };

struct regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    uint32_t groups, names;
};

static void regex_free(struct regex *r)
{
    pcre2_code_free(r->code);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->context);
}
#define AUTO_REGEX __attribute__((cleanup(regex_free))) struct regex

/* What RE2 does not know: the reason, or NULL. */
static const char *foreign(struct mio_str s)
{
    bool set = false;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i], next = i + 1 < s.n ? s.p[i + 1] : 0;
        if (ch == '\\') {
            if (!set && ((next >= '1' && next <= '9') || (next && strchr("gkKRXGZhHNeo", next))))
                return "RE2 has no such escape";
            if (next == 'Q') {
                const char *end = memmem(s.p + i, s.n - i, "\\E", 2);
                i = end ? (size_t)(end - s.p) : s.n;
            }
            if (next && strchr("pPx", next) && i + 2 < s.n && s.p[i + 2] == '{') {
                const char *end = memchr(s.p + i, '}', s.n - i);
                i = end ? (size_t)(end - s.p) - 1 : i;
            }
            i++;
        } else if (ch == '[' && !set) {
            set = true;
            i += next == '^';
            i += i + 1 < s.n && s.p[i + 1] == ']';
        } else if (ch == ']') {
            set = false;
        } else if (ch == '[' && next == ':') {
            const char *end = memmem(s.p + i, s.n - i, ":]", 2);
            i = end ? (size_t)(end - s.p) + 1 : i;
        } else if (!set && ch == '(' && next == '?') {
            const char *ok = i + 2 < s.n && s.p[i + 2] ? strchr(":imsU-P<", s.p[i + 2]) : NULL;
            char after = i + 3 < s.n ? s.p[i + 3] : 0;
            if (!ok || (*ok == '<' && (after == '=' || after == '!')) ||
                (*ok == 'P' && after != '<'))
                return "RE2 has no look-around, atomic groups or recursion";
        } else if (!set && ch == '(' && next == '*') {
            return "RE2 has no verbs";
        } else if (!set && strchr("*+?}", ch) && next == '+') {
            return "RE2 has no possessive repetition";
        }
    }
    return NULL;
}

static enum mio_code compile(struct mio_call *c, size_t arg, struct mio_str pattern,
                             struct regex *r)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    const char *why = foreign(pattern);
    if (why)
        return mio_call_fail(c, arg, NULL, "the regular expression is not portable: %s", why);
    r->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                            PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                            NULL);
    if (!r->code) {
        PCRE2_UCHAR message[120] = "";
        pcre2_get_error_message(error, message, sizeof message);
        return mio_call_fail(c, arg, NULL, "the regular expression is wrong at character %zu: %s",
                             at + 1, (const char *)message);
    }
    pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &r->names);
    r->match = pcre2_match_data_create_from_pattern(r->code, NULL);
    r->context = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(r->context, MATCH_LIMIT);
    return MIO_OK;
}

/* 1 a match, 0 none, -1 reported. */
static int match(struct mio_call *c, struct regex *r, struct mio_str s, size_t from)
{
    int n = pcre2_match(r->code, (PCRE2_SPTR)s.p, s.n, from, 0, r->match, r->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n >= 0)
        return 1;
    mio_call_fail(c, 0, "make it simpler", "matching takes too long or the text is no UTF-8");
    return -1;
}

static struct mio_value group(const struct regex *r, struct mio_str s, uint32_t i)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->match);
    if (at[2 * i] == PCRE2_UNSET)
        return mio_null();
    return mio_string((struct mio_str){s.p + at[2 * i], at[2 * i + 1] - at[2 * i]});
}

/* The whole match, a list of groups, or a map of named groups. */
static struct mio_value result(struct mio_call *c, const struct regex *r, struct mio_str s)
{
    if (!r->groups)
        return group(r, s, 0);
    if (!r->names) {
        struct mio_value *items = mio_arena_alloc(c->a, r->groups * sizeof *items);
        for (uint32_t i = 0; i < r->groups; i++)
            items[i] = group(r, s, i + 1);
        return mio_list(items, r->groups);
    }
    PCRE2_SPTR table;
    uint32_t size;
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &table);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    struct mio_pair *pairs = mio_arena_alloc(c->a, r->names * sizeof *pairs);
    for (uint32_t i = 0; i < r->names; i++, table += size) {
        pairs[i].key = mio_arena_str(c->a, mio_str_z((const char *)table + 2));
        pairs[i].value = group(r, s, (uint32_t)(table[0] << 8 | table[1]));
    }
    return mio_map(pairs, r->names);
}

static enum mio_code open_regex(struct mio_call *c, struct regex *r)
{
    enum mio_code code = compile(c, 0, mio_value_str(c->args[0]), r);
    if (!code && r->names && r->names != r->groups)
        return mio_call_fail(c, 0, NULL, "either all groups have names or none");
    return code;
}

enum mio_code mio_fn_regex(struct mio_call *c, struct mio_value *out)
{
    AUTO_REGEX r = {0};
    struct mio_str s = mio_value_str(c->args[1]);
    enum mio_code code = open_regex(c, &r);
    if (code)
        return code;
    int n = match(c, &r, s, 0);
    if (n < 0)
        return c->err->code;
    if (!n)
        return mio_call_fail(c, 1, "regexall() gives an empty list instead",
                             "the regular expression does not match");
    *out = result(c, &r, s);
    return MIO_OK;
}

struct scan {
    size_t at;          /* where to search on */
    ptrdiff_t last_end; /* of the match before; an empty one right there does not count */
};

/* The next match that counts. 1, 0 or -1 as match(). */
static int next_match(struct mio_call *c, struct regex *r, struct mio_str s, struct scan *scan)
{
    bool counts = false;
    while (!counts && scan->at <= s.n) {
        int n = match(c, r, s, scan->at);
        if (n <= 0)
            return n;
        const PCRE2_SIZE *m = pcre2_get_ovector_pointer(r->match);
        counts = m[1] != scan->at || (ptrdiff_t)m[0] != scan->last_end;
        if (m[1] == scan->at) { /* empty: one character on */
            do
                scan->at++;
            while (scan->at < s.n && ((unsigned char)s.p[scan->at] & 0xc0) == 0x80);
        } else {
            scan->at = m[1];
        }
        scan->last_end = (ptrdiff_t)m[1];
    }
    return counts;
}

enum mio_code mio_fn_regexall(struct mio_call *c, struct mio_value *out)
{
    AUTO_REGEX r = {0};
    struct mio_str s = mio_value_str(c->args[1]);
    enum mio_code code = open_regex(c, &r);
    if (code)
        return code;
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0;
    struct scan scan = {.last_end = -1};
    int more;
    while ((more = next_match(c, &r, s, &scan)) > 0)
        MIO_PUSH(c->a, items, n, cap) = result(c, &r, s);
    if (more < 0)
        return c->err->code;
    *out = mio_list(items, n);
    return MIO_OK;
}

/* ---- replace() ---- */

/* $1, $name, ${1}, ${name}, $$; unknown groups are empty. Gives how long the reference is. */
static size_t expand(struct mio_buf *b, const struct regex *r, struct mio_str s, struct mio_str ref)
{
    size_t n = 1;
    bool braces = ref.n > 1 && ref.p[1] == '{';
    if (ref.n > 1 && ref.p[1] == '$') {
        mio_buf_char(b, '$');
        return 2;
    }
    n += braces;
    struct mio_str name = {ref.p + n, 0};
    while (n < ref.n && (isalnum((unsigned char)ref.p[n]) || ref.p[n] == '_'))
        n++;
    name.n = (size_t)(ref.p + n - name.p);
    if (!name.n || (braces && (n >= ref.n || ref.p[n] != '}'))) {
        mio_buf_char(b, '$');
        return 1;
    }
    uint64_t i = r->groups + 1;
    if (!mio_str_u64(name, &i)) {
        char z[64];
        snprintf(z, sizeof z, "%.*s", MIO_FMT(name));
        int k = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)z);
        i = k > 0 ? (uint64_t)k : r->groups + 1;
    }
    if (i <= r->groups)
        mio_buf_str(b, mio_value_str(group(r, s, (uint32_t)i)));
    return n + braces;
}

enum mio_code mio_regex_replace(struct mio_call *c, struct mio_str pattern, struct mio_buf *b)
{
    AUTO_REGEX r = {0};
    struct mio_str s = mio_value_str(c->args[0]), with = mio_value_str(c->args[2]);
    enum mio_code code = compile(c, 1, pattern, &r);
    if (code)
        return code;
    struct scan scan = {.last_end = -1};
    size_t done = 0;
    int more;
    while ((more = next_match(c, &r, s, &scan)) > 0) {
        const PCRE2_SIZE *m = pcre2_get_ovector_pointer(r.match);
        mio_buf_add(b, s.p + done, m[0] - done);
        done = m[1];
        for (size_t i = 0; i < with.n;) {
            if (with.p[i] == '$')
                i += expand(b, &r, s, mio_str_sub(with, i, with.n));
            else
                mio_buf_char(b, with.p[i++]);
        }
    }
    mio_buf_add(b, s.p + done, s.n - done);
    return more < 0 ? c->err->code : MIO_OK;
}
