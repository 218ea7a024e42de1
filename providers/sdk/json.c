/* providers/sdk/json.c: the strict reader. See json.h; the writer is json_write.c. */
#include <stdlib.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/json.h"

enum { FIRST_OPEN = 32 };

struct reader {
    struct mio_arena *a;
    const char *start, *p, *end;
    size_t depth, nodes, max_depth, max_nodes;
    /* children of the lists and maps that are still open, the innermost last: of a list's the keys
     * are unused. In the arena an array is made once its length is known, so that nothing is left
     * behind there by growing. */
    struct mio_pair first[FIRST_OPEN], *open, *grown;
    size_t n, cap;
    struct mio_err *err;
};

static enum mio_code fail(struct reader *r, const char *what)
{
    size_t line = 1, col = 1;
    for (const char *q = r->start; q < r->p; q++) {
        col = *q == '\n' ? 1 : col + 1;
        line += *q == '\n';
    }
    return mio_fail(r->err, MIO_STATE, "invalid JSON at line %zu, column %zu: %s", line, col, what);
}

static void space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static char *utf8_put(char *o, uint32_t c)
{
    if (c < 0x80) {
        *o++ = (char)c;
    } else if (c < 0x800) {
        *o++ = (char)(0xC0 | c >> 6);
        *o++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *o++ = (char)(0xE0 | c >> 12);
        *o++ = (char)(0x80 | (c >> 6 & 0x3F));
        *o++ = (char)(0x80 | (c & 0x3F));
    } else {
        *o++ = (char)(0xF0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 0x3F));
        *o++ = (char)(0x80 | (c >> 6 & 0x3F));
        *o++ = (char)(0x80 | (c & 0x3F));
    }
    return o;
}

/* \uXXXX, with its second half when it is a surrogate; r->p stands after the 'u'. */
static enum mio_code unicode(struct reader *r, char **o)
{
    int c = r->end - r->p >= 4 ? hex4(r->p) : -1;
    if (c <= 0 || (c >= 0xDC00 && c <= 0xDFFF))
        return fail(r, c == 0 ? "U+0000 is not allowed" : "bad \\u escape");
    r->p += 4;
    uint32_t cp = (uint32_t)c;
    if (c >= 0xD800 && c <= 0xDBFF) {
        int lo = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2) : -1;
        if (lo < 0xDC00 || lo > 0xDFFF)
            return fail(r, "half a surrogate pair");
        r->p += 6;
        cp = 0x10000 + (((uint32_t)c & 0x3FF) << 10) + ((uint32_t)lo & 0x3FF);
    }
    *o = utf8_put(*o, cp);
    return MIO_OK;
}

static enum mio_code unescape(struct reader *r, size_t longest, struct mio_str *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *text = mio_arena_alloc(r->a, longest + 1), *o = text;
    while (*r->p != '"') {
        if (*r->p != '\\') {
            *o++ = *r->p++;
            continue;
        }
        char c = *++r->p;
        r->p++;
        const char *at = c ? strchr(from, c) : NULL;
        if (at) {
            *o++ = to[at - from];
        } else if (c != 'u') {
            return fail(r, "unknown escape");
        } else if (unicode(r, &o)) {
            return r->err->code;
        }
    }
    *o = '\0';
    r->p++;
    *out = (struct mio_str){text, (size_t)(o - text)};
    return MIO_OK;
}

/* r->p stands on the opening quote. */
static enum mio_code string(struct reader *r, struct mio_str *out)
{
    const char *from = ++r->p, *q = from;
    bool plain = true, ascii = true;
    for (; q < r->end && *q != '"'; q++) {
        if ((unsigned char)*q < 0x20) {
            r->p = q;
            return fail(r, "control character in a string");
        }
        ascii &= (unsigned char)*q < 0x80;
        if (*q == '\\') {
            plain = false;
            q++;
        }
    }
    if (q >= r->end)
        return fail(r, "string without end");
    *out = (struct mio_str){from, (size_t)(q - from)};
    if (!ascii && !mio_str_utf8(*out))
        return fail(r, "string is not UTF-8");
    if (!plain)
        return unescape(r, out->n, out);
    r->p = q + 1;
    return MIO_OK;
}

static enum mio_code value(struct reader *r, struct mio_value *out);

static void push(struct reader *r, const struct mio_pair *child)
{
    if (r->n == r->cap) {
        struct mio_pair *grown = mio_realloc(r->grown, r->cap * 2, sizeof *grown);
        if (!r->grown)
            memcpy(grown, r->first, sizeof r->first);
        r->open = r->grown = grown;
        r->cap *= 2;
    }
    r->open[r->n++] = *child;
}

/* Behind a child: *next: another one follows; else this list or map ends. */
static enum mio_code behind(struct reader *r, char close, bool *next)
{
    space(r);
    char c = r->p < r->end ? *r->p : '\0';
    if (c != ',' && c != close)
        return fail(r, close == ']' ? "expected , or ]" : "expected , or }");
    r->p++;
    *next = c == ',';
    return MIO_OK;
}

/* Just behind the opening bracket: is this the closing one? */
static bool empty(struct reader *r, char close)
{
    space(r);
    bool ends = r->p < r->end && *r->p == close;
    r->p += ends;
    return ends;
}

static enum mio_code list(struct reader *r, struct mio_value *out)
{
    size_t from = r->n;
    struct mio_pair item = {0};
    r->p++;
    for (bool next = !empty(r, ']'); next;) {
        if (value(r, &item.value))
            return r->err->code;
        push(r, &item);
        if (behind(r, ']', &next))
            return r->err->code;
    }
    size_t n = r->n - from;
    struct mio_value *items = n ? mio_arena_alloc(r->a, n * sizeof *items) : NULL;
    for (size_t i = 0; i < n; i++)
        items[i] = r->open[from + i].value;
    r->n = from;
    *out = mio_list(items, n);
    return MIO_OK;
}

static enum mio_code pair(struct reader *r)
{
    struct mio_pair pair = {0};
    space(r);
    if (r->p >= r->end || *r->p != '"')
        return fail(r, "expected a key in quotes");
    if (string(r, &pair.key))
        return r->err->code;
    space(r);
    if (r->p >= r->end || *r->p != ':')
        return fail(r, "expected :");
    r->p++;
    if (value(r, &pair.value))
        return r->err->code;
    push(r, &pair);
    return MIO_OK;
}

static enum mio_code map(struct reader *r, struct mio_value *out)
{
    size_t from = r->n;
    r->p++;
    for (bool next = !empty(r, '}'); next;) {
        if (pair(r) || behind(r, '}', &next))
            return r->err->code;
    }
    size_t n = r->n - from;
    struct mio_pair *pairs = n ? mio_arena_alloc(r->a, n * sizeof *pairs) : NULL;
    if (n)
        memcpy(pairs, r->open + from, n * sizeof *pairs);
    r->n = from;
    *out = mio_map(pairs, n);
    return out->n == n ? MIO_OK : fail(r, "duplicate key");
}

static bool word(struct reader *r, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0)
        return false;
    r->p += n;
    return true;
}

static enum mio_code number(struct reader *r, struct mio_value *out)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p && strchr("+-.0123456789eE", *r->p))
        r->p++;
    struct mio_str s = {from, (size_t)(r->p - from)};
    if (!mio_number_valid(s)) {
        r->p = from;
        return fail(r, s.n ? "malformed number" : "unexpected character");
    }
    *out = mio_number(s);
    return MIO_OK;
}

static enum mio_code value(struct reader *r, struct mio_value *out)
{
    space(r);
    if (r->p >= r->end)
        return fail(r, "unexpected end");
    if (++r->nodes > r->max_nodes)
        return fail(r, "too many values");
    if (*r->p == '{' || *r->p == '[') {
        if (++r->depth > r->max_depth)
            return fail(r, "nested too deeply");
        enum mio_code rc = *r->p == '{' ? map(r, out) : list(r, out);
        r->depth--;
        return rc;
    }
    if (*r->p == '"') {
        struct mio_str s;
        if (string(r, &s))
            return r->err->code;
        *out = mio_string(s);
        return MIO_OK;
    }
    if (word(r, "null"))
        *out = mio_null();
    else if (word(r, "true"))
        *out = mio_bool(true);
    else if (word(r, "false"))
        *out = mio_bool(false);
    else
        return number(r, out);
    return MIO_OK;
}

enum mio_code mio_json_read(struct mio_arena *a, struct mio_str text,
                            const struct mio_json_limits *limits, struct mio_value *out,
                            struct mio_err *err)
{
    struct reader r = {
        .a = a,
        .start = text.p,
        .p = text.p,
        .end = text.p + text.n,
        .err = err,
        .max_depth = limits && limits->depth ? limits->depth : 64,
        .max_nodes = limits && limits->nodes ? limits->nodes : 1000000,
    };
    r.open = r.first;
    r.cap = FIRST_OPEN;
    struct mio_value v;
    enum mio_code code = value(&r, &v);
    free(r.grown);
    if (code)
        return code;
    space(&r);
    if (r.p != r.end)
        return fail(&r, "something follows the value");
    *out = v;
    return MIO_OK;
}
