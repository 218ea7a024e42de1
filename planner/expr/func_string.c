/* planner/expr/func_string.c: strings. Characters are grapheme clusters, as people count them. */
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/text.h"
#include "providers/sdk/buf.h"
#include <unictype.h>

static struct mio_str text(const struct mio_call *c, size_t i)
{
    return mio_value_str(c->args[i]);
}

static enum mio_code give(struct mio_value *out, struct mio_str s)
{
    *out = mio_string(s);
    return MIO_OK;
}

static enum mio_code give_buf(struct mio_call *c, const struct mio_buf *b, struct mio_value *out)
{
    if (mio_call_text(c, b, out))
        return c->err->code;
    return give(out, mio_text_nfc(c->a, mio_value_str(*out)));
}

static bool starts(struct mio_str s, struct mio_str with)
{
    return s.n >= with.n && !memcmp(s.p, with.p, with.n);
}

static bool ends(struct mio_str s, struct mio_str with)
{
    return s.n >= with.n && !memcmp(s.p + s.n - with.n, with.p, with.n);
}

static const char *find(struct mio_str s, struct mio_str what)
{
    return memmem(s.p, s.n, what.p, what.n);
}

/* ---- case ---- */

enum mio_code mio_fn_upper(struct mio_call *c, struct mio_value *out)
{
    return give(out, mio_text_upper(c->a, text(c, 0)));
}

enum mio_code mio_fn_lower(struct mio_call *c, struct mio_value *out)
{
    return give(out, mio_text_lower(c->a, text(c, 0)));
}

/* Letters, digits and _ belong to a word; beyond ASCII white space alone ends one. */
static bool ends_word(uint32_t rune)
{
    if (rune == '_' || uc_is_alpha(rune) || uc_is_digit(rune))
        return false;
    return rune < 0x80 || uc_is_property_white_space(rune);
}

enum mio_code mio_fn_title(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    bool first = true;
    struct mio_str s = text(c, 0);
    for (size_t n; s.n; s = mio_str_sub(s, n, s.n)) {
        uint32_t rune = mio_text_rune(s, &n);
        struct mio_str one = {s.p, n};
        mio_buf_str(&b, first ? mio_text_upper(c->a, one) : one);
        first = ends_word(rune);
    }
    return give_buf(c, &b, out);
}

/* ---- parts ---- */

enum mio_code mio_fn_startswith(struct mio_call *c, struct mio_value *out)
{
    *out = mio_bool(starts(text(c, 0), text(c, 1)));
    return MIO_OK;
}

enum mio_code mio_fn_endswith(struct mio_call *c, struct mio_value *out)
{
    *out = mio_bool(ends(text(c, 0), text(c, 1)));
    return MIO_OK;
}

enum mio_code mio_fn_strcontains(struct mio_call *c, struct mio_value *out)
{
    *out = mio_bool(find(text(c, 0), text(c, 1)));
    return MIO_OK;
}

/* A negative offset counts from the end, a negative length means all of the rest. */
enum mio_code mio_fn_substr(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = text(c, 0);
    int64_t from, length;
    for (size_t i = 1; i < 3; i++)
        if (!mio_value_i64(c->args[i], i == 1 ? &from : &length))
            return mio_call_fail(c, i, NULL, "a whole number is required");
    if (from < 0 && !length)
        length = -1; /* as Terraform has it */
    int64_t total = from < 0 ? (int64_t)mio_text_clusters(s) : 0;
    from = from < 0 ? from + total : from;
    from = from < 0 ? 0 : from;
    while (s.n && from-- > 0)
        s = mio_str_sub(s, mio_text_cluster(s), s.n);
    size_t n = 0;
    while (n < s.n && length-- != 0)
        n += mio_text_cluster(mio_str_sub(s, n, s.n));
    return give(out, (struct mio_str){s.p, n});
}

enum mio_code mio_fn_strrev(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = text(c, 0);
    char *rev = mio_arena_alloc(c->a, s.n + 1), *to = rev + s.n;
    for (size_t n; s.n; s = mio_str_sub(s, n, s.n)) {
        n = mio_text_cluster(s);
        to -= n;
        memcpy(to, s.p, n);
    }
    return give(out, (struct mio_str){rev, text(c, 0).n});
}

/* ---- trimming ---- */

static bool in_set(struct mio_str set, struct mio_str one)
{
    for (size_t n; set.n; set = mio_str_sub(set, n, set.n)) {
        mio_text_rune(set, &n);
        if (n == one.n && !memcmp(set.p, one.p, n))
            return true;
    }
    return false;
}

static bool is_space(struct mio_str set, struct mio_str one)
{
    (void)set;
    size_t n;
    return uc_is_property_white_space(mio_text_rune(one, &n));
}

static struct mio_str trim(struct mio_str s, struct mio_str set,
                           bool (*drop)(struct mio_str, struct mio_str))
{
    size_t n;
    for (; s.n; s = mio_str_sub(s, n, s.n)) {
        mio_text_rune(s, &n);
        if (!drop(set, (struct mio_str){s.p, n}))
            break;
    }
    for (; s.n; s.n -= n) {
        for (n = 1; n < s.n && n < 4 && ((unsigned char)s.p[s.n - n] & 0xc0) == 0x80;)
            n++;
        if (!drop(set, (struct mio_str){s.p + s.n - n, n}))
            break;
    }
    return s;
}

enum mio_code mio_fn_trim(struct mio_call *c, struct mio_value *out)
{
    return give(out, trim(text(c, 0), text(c, 1), in_set));
}

enum mio_code mio_fn_trimspace(struct mio_call *c, struct mio_value *out)
{
    return give(out, trim(text(c, 0), MIO_STR(""), is_space));
}

enum mio_code mio_fn_trimprefix(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = text(c, 0), prefix = text(c, 1);
    return give(out, starts(s, prefix) ? mio_str_sub(s, prefix.n, s.n) : s);
}

enum mio_code mio_fn_trimsuffix(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = text(c, 0), suffix = text(c, 1);
    return give(out, ends(s, suffix) ? mio_str_sub(s, 0, s.n - suffix.n) : s);
}

enum mio_code mio_fn_chomp(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s = text(c, 0);
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return give(out, s);
}

/* ---- joining and splitting ---- */

enum mio_code mio_fn_join(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    bool first = true, unknown = false;
    for (size_t i = 1; i < c->n; i++) {
        for (uint32_t k = 0; k < c->args[i].n; k++) {
            struct mio_value v = c->args[i].items[k];
            if (v.type == MIO_NULL)
                return mio_call_fail(c, i, "compact() takes nulls out", "element %u is null", k);
            unknown |= v.type == MIO_UNKNOWN;
            if (!first)
                mio_buf_str(&b, text(c, 0));
            first = false;
            mio_buf_str(&b, mio_value_str(v));
        }
    }
    return unknown ? MIO_OK : give_buf(c, &b, out); /* *out is an unknown string already */
}

enum mio_code mio_fn_split(struct mio_call *c, struct mio_value *out)
{
    struct mio_str sep = text(c, 0), s = text(c, 1);
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0, k;
    if (!sep.n) { /* character by character */
        for (; s.n; s = mio_str_sub(s, k, s.n)) {
            mio_text_rune(s, &k);
            MIO_PUSH(c->a, items, n, cap) = mio_string((struct mio_str){s.p, k});
        }
        *out = mio_list(items, n);
        return MIO_OK;
    }
    for (const char *at; (at = find(s, sep));) {
        k = (size_t)(at - s.p);
        MIO_PUSH(c->a, items, n, cap) = mio_string((struct mio_str){s.p, k});
        s = mio_str_sub(s, k + sep.n, s.n);
    }
    MIO_PUSH(c->a, items, n, cap) = mio_string(s);
    *out = mio_list(items, n);
    return MIO_OK;
}

enum mio_code mio_fn_indent(struct mio_call *c, struct mio_value *out)
{
    enum { MOST = 10000 };
    int64_t n;
    if (!mio_value_i64(c->args[0], &n) || n < 0 || n > MOST)
        return mio_call_fail(c, 0, NULL, "a whole number from 0 to %d is required", MOST);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    struct mio_str s = text(c, 1);
    for (size_t i = 0; i < s.n; i++) {
        mio_buf_char(&b, s.p[i]);
        if (s.p[i] == '\n')
            mio_buf_pad(&b, ' ', (size_t)n);
    }
    return give_buf(c, &b, out);
}

/* Every occurrence of a plain text; the empty one stands before every character and at the end. */
static void replace_plain(struct mio_buf *b, struct mio_str s, struct mio_str what,
                          struct mio_str with)
{
    while (s.n) {
        size_t n;
        const char *at = find(s, what);
        if (!what.n)
            mio_text_rune(s, &n);
        else
            n = at ? (size_t)(at - s.p) : s.n;
        if (!what.n)
            mio_buf_str(b, with);
        mio_buf_add(b, s.p, n);
        if (what.n && at)
            mio_buf_str(b, with);
        s = mio_str_sub(s, n + what.n, s.n);
    }
    if (!what.n)
        mio_buf_str(b, with);
}

enum mio_code mio_fn_replace(struct mio_call *c, struct mio_value *out)
{
    struct mio_str what = text(c, 1);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    if (what.n > 1 && *what.p == '/' && what.p[what.n - 1] == '/') {
        enum mio_code code = mio_regex_replace(c, mio_str_sub(what, 1, what.n - 2), &b);
        if (code)
            return code;
    } else {
        replace_plain(&b, text(c, 0), what, text(c, 2));
    }
    return give_buf(c, &b, out);
}
