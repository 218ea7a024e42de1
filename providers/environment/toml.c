/* providers/environment/toml.c: a reader of TOML: tables grow while it reads and are frozen at the
 * end. */
#include "providers/environment/toml.h"
#include "providers/sdk/buf.h"

enum { MAX_DEPTH = 64 };

struct node {
    enum { NODE_TABLE, NODE_ARRAY, NODE_PLAIN } kind;
    bool closed; /* written in one go: nothing may be added from elsewhere */
    bool named;  /* a [header] has named it */
    struct mio_value plain;
    struct mio_str *keys; /* of a table */
    struct node **items;
    size_t n, cap, keys_n, keys_cap;
};

struct reader {
    struct mio_arena *a;
    const char *p, *end;
    int line, depth;
    struct mio_err *err;
};

static enum mio_code bad(struct reader *r, const char *what)
{
    return mio_fail(r->err, MIO_TEMPLATE, "line %d: %s", r->line, what);
}

static int peek(const struct reader *r, size_t k)
{
    return r->p + k < r->end ? (unsigned char)r->p[k] : -1;
}

static void blanks(struct reader *r)
{
    while (peek(r, 0) == ' ' || peek(r, 0) == '\t')
        r->p++;
}

/* Blanks, line ends and comments. */
static void gaps(struct reader *r)
{
    for (;;) {
        blanks(r);
        if (peek(r, 0) == '#')
            while (r->p < r->end && *r->p != '\n')
                r->p++;
        if (peek(r, 0) == '\n')
            r->line++;
        else if (peek(r, 0) != '\r')
            return;
        r->p++;
    }
}

static struct node *make(struct reader *r, int kind)
{
    struct node *n = MIO_NEW(r->a, struct node);
    n->kind = (__typeof__(n->kind))kind;
    return n;
}

static struct node *child(const struct node *table, struct mio_str key)
{
    for (size_t i = 0; i < table->keys_n; i++)
        if (mio_str_eq(table->keys[i], key))
            return table->items[i];
    return NULL;
}

static void put(struct reader *r, struct node *to, struct mio_str key, struct node *item)
{
    if (to->kind == NODE_TABLE)
        MIO_PUSH(r->a, to->keys, to->keys_n, to->keys_cap) = key;
    MIO_PUSH(r->a, to->items, to->n, to->cap) = item;
}

/* ---- strings ---- */

static void put_utf8(struct mio_buf *b, uint32_t c)
{
    if (c < 0x80)
        mio_buf_char(b, (char)c);
    else if (c < 0x800) {
        mio_buf_char(b, (char)(0xc0 | c >> 6));
        mio_buf_char(b, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        mio_buf_char(b, (char)(0xe0 | c >> 12));
        mio_buf_char(b, (char)(0x80 | (c >> 6 & 63)));
        mio_buf_char(b, (char)(0x80 | (c & 63)));
    } else {
        mio_buf_char(b, (char)(0xf0 | c >> 18));
        mio_buf_char(b, (char)(0x80 | (c >> 12 & 63)));
        mio_buf_char(b, (char)(0x80 | (c >> 6 & 63)));
        mio_buf_char(b, (char)(0x80 | (c & 63)));
    }
}

static enum mio_code hex_escape(struct reader *r, int digits, struct mio_buf *b)
{
    uint32_t c = 0;
    for (int i = 0; i < digits; i++, r->p++) {
        const char *hex = "0123456789abcdef", *at = NULL;
        int d = peek(r, 0);
        if (d > 0)
            at = strchr(hex, d | 0x20);
        if (!at)
            return bad(r, "an escape that is no hexadecimal number");
        c = c * 16 + (uint32_t)(at - hex);
    }
    if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return bad(r, "an escape that is no character");
    put_utf8(b, c);
    return MIO_OK;
}

static enum mio_code escape(struct reader *r, bool multi, struct mio_buf *b)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    int c = peek(r, 0);
    const char *at = c > 0 ? strchr(from, c) : NULL;
    if (at) {
        mio_buf_char(b, to[at - from]);
        r->p++;
        return MIO_OK;
    }
    r->p++;
    if (c == 'u' || c == 'U')
        return hex_escape(r, c == 'u' ? 4 : 8, b);
    if (multi && (c == '\n' || c == ' ' || c == '\r' || c == '\t')) { /* the line goes on */
        r->p--;
        while ((c = peek(r, 0)) == '\n' || c == ' ' || c == '\r' || c == '\t') {
            r->line += c == '\n';
            r->p++;
        }
        return MIO_OK;
    }
    return bad(r, "an unknown escape");
}

static enum mio_code string(struct reader *r, struct mio_str *out)
{
    char q = *r->p;
    bool multi = peek(r, 1) == q && peek(r, 2) == q;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    r->p += multi ? 3 : 1;
    if (multi && peek(r, 0) == '\r')
        r->p++;
    if (multi && peek(r, 0) == '\n') {
        r->line++;
        r->p++;
    }
    for (;;) {
        int c = peek(r, 0);
        if (c < 0 || (c == '\n' && !multi))
            return bad(r, "a string that does not end");
        if (c == q && (!multi || (peek(r, 1) == q && peek(r, 2) == q)))
            break;
        r->p++;
        r->line += c == '\n';
        if (c == '\\' && q == '"') {
            if (escape(r, multi, &b))
                return r->err->code;
        } else if (c)
            mio_buf_char(&b, (char)c);
        else
            return bad(r, "a NUL byte");
    }
    r->p += multi ? 3 : 1;
    while (multi && peek(r, 0) == q) { /* up to two quotes may stand before the end */
        mio_buf_char(&b, q);
        r->p++;
    }
    *out = mio_arena_str(r->a, mio_buf_view(&b));
    return MIO_OK;
}

/* ---- keys ---- */

static bool bare(int c)
{
    return c > 0 &&
           strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", c) != NULL;
}

static enum mio_code key(struct reader *r, struct mio_str *out)
{
    blanks(r);
    int c = peek(r, 0);
    if (c == '"' || c == '\'')
        return string(r, out);
    const char *from = r->p;
    while (bare(peek(r, 0)))
        r->p++;
    *out = (struct mio_str){from, (size_t)(r->p - from)};
    return out->n ? MIO_OK : bad(r, "a key is missing");
}

/* The table that all but the last word of a dotted key lead to; words between are made. */
static enum mio_code dotted(struct reader *r, struct node *from, bool through_arrays,
                            struct node **table, struct mio_str *last)
{
    for (;;) {
        if (key(r, last))
            return r->err->code;
        blanks(r);
        if (peek(r, 0) != '.') {
            *table = from;
            return MIO_OK;
        }
        r->p++;
        struct node *next = child(from, *last);
        if (!next) {
            next = make(r, NODE_TABLE);
            put(r, from, *last, next);
        }
        if (through_arrays && next->kind == NODE_ARRAY && next->n && !next->closed)
            next = next->items[next->n - 1];
        if (next->kind != NODE_TABLE || next->closed)
            return bad(r, "a key goes through something that is no open table");
        from = next;
    }
}

/* ---- values ---- */

static enum mio_code value(struct reader *r, struct node **out);

static enum mio_code pair(struct reader *r, struct node *table)
{
    struct node *to, *item;
    struct mio_str last;
    if (dotted(r, table, false, &to, &last))
        return r->err->code;
    if (peek(r, 0) != '=')
        return bad(r, "'=' is missing after a key");
    r->p++;
    if (child(to, last))
        return bad(r, "a key is given twice");
    if (value(r, &item))
        return r->err->code;
    put(r, to, last, item);
    return MIO_OK;
}

static enum mio_code inline_table(struct reader *r, struct node *n)
{
    r->p++;
    blanks(r);
    while (peek(r, 0) != '}') {
        if (pair(r, n))
            return r->err->code;
        gaps(r);
        if (peek(r, 0) == ',')
            r->p++;
        else if (peek(r, 0) != '}')
            return bad(r, "',' or '}' is missing");
        gaps(r);
    }
    r->p++;
    return MIO_OK;
}

static enum mio_code array(struct reader *r, struct node *n)
{
    r->p++;
    gaps(r);
    while (peek(r, 0) != ']') {
        struct node *item;
        if (value(r, &item))
            return r->err->code;
        put(r, n, (struct mio_str){0}, item);
        gaps(r);
        if (peek(r, 0) == ',')
            r->p++;
        else if (peek(r, 0) != ']')
            return bad(r, "',' or ']' is missing");
        gaps(r);
    }
    r->p++;
    return MIO_OK;
}

/* Numbers, truth values, dates: up to what can end one. */
static enum mio_code word(struct reader *r, struct node *n)
{
    const char *from = r->p;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    while (r->p < r->end && !strchr(",]}#\r\n\t", *r->p)) {
        bool in_date = *r->p == ' ' && r->p - from == 10 && peek(r, 1) >= '0' && peek(r, 1) <= '9';
        if (*r->p == ' ' && !in_date)
            break;
        if (*r->p != '_')
            mio_buf_char(&b, *r->p);
        r->p++;
    }
    struct mio_str text = mio_arena_str(r->a, mio_buf_view(&b));
    if (!text.n)
        return bad(r, "a value is missing");
    if (mio_str_is(text, "true") || mio_str_is(text, "false"))
        n->plain = mio_bool(text.p[0] == 't');
    else if (mio_number_valid(text))
        n->plain = mio_number(text);
    else if (strchr("0123456789+-", text.p[0]) || mio_str_is(text, "inf") ||
             mio_str_is(text, "nan"))
        n->plain = mio_string(text);
    else
        return bad(r, "a value that is no string, number, date, array or table");
    return MIO_OK;
}

static enum mio_code value(struct reader *r, struct node **out)
{
    blanks(r);
    int c = peek(r, 0);
    struct mio_str s = {0};
    struct node *n = make(r, c == '{' ? NODE_TABLE : c == '[' ? NODE_ARRAY : NODE_PLAIN);
    *out = n;
    if (r->depth >= MAX_DEPTH)
        return bad(r, "nested too deeply");
    r->depth++;
    enum mio_code code = MIO_OK;
    if (c == '{')
        code = inline_table(r, n);
    else if (c == '[')
        code = array(r, n);
    else if (c == '"' || c == '\'') {
        code = string(r, &s);
        n->plain = mio_string(s);
    } else
        code = word(r, n);
    n->closed = true;
    r->depth--;
    return code;
}

/* ---- the document ---- */

static enum mio_code header(struct reader *r, struct node *root, struct node **current)
{
    bool many = peek(r, 1) == '[';
    struct node *to, *n;
    struct mio_str last;
    r->p += many ? 2 : 1;
    if (dotted(r, root, true, &to, &last))
        return r->err->code;
    if (peek(r, 0) != ']' || (many && peek(r, 1) != ']'))
        return bad(r, "']' is missing");
    r->p += many ? 2 : 1;
    n = child(to, last);
    if (!n) {
        n = make(r, many ? NODE_ARRAY : NODE_TABLE);
        put(r, to, last, n);
    } else if (n->closed || n->kind != (many ? NODE_ARRAY : NODE_TABLE) || (!many && n->named))
        return bad(r, "a table is given twice");
    n->named = true;
    if (many) {
        struct node *item = make(r, NODE_TABLE);
        put(r, n, (struct mio_str){0}, item);
        n = item;
    }
    *current = n;
    return MIO_OK;
}

static struct mio_value freeze(struct reader *r, const struct node *n)
{
    if (n->kind == NODE_PLAIN)
        return n->plain;
    if (n->kind == NODE_TABLE) {
        struct mio_pair *pairs = MIO_NEW_N(r->a, struct mio_pair, n->n + 1);
        for (size_t i = 0; i < n->n; i++)
            pairs[i] = (struct mio_pair){n->keys[i], freeze(r, n->items[i])};
        return mio_map(pairs, n->n);
    }
    struct mio_value *items = MIO_NEW_N(r->a, struct mio_value, n->n + 1);
    for (size_t i = 0; i < n->n; i++)
        items[i] = freeze(r, n->items[i]);
    return mio_list(items, n->n);
}

enum mio_code mio_env_toml(struct mio_arena *a, struct mio_str text, struct mio_value *out,
                           struct mio_err *err)
{
    struct reader r = {.a = a, .p = text.p, .end = text.p + text.n, .line = 1, .err = err};
    struct node *root = make(&r, NODE_TABLE), *current = root;
    if (!mio_str_utf8(text))
        return bad(&r, "not UTF-8");
    for (gaps(&r); r.p < r.end; gaps(&r)) {
        if (*r.p == '[' ? header(&r, root, &current) : pair(&r, current))
            return err->code;
        blanks(&r);
        if (r.p < r.end && !strchr("#\r\n", *r.p))
            return bad(&r, "something stands after the value");
    }
    *out = freeze(&r, root);
    return MIO_OK;
}
