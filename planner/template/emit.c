/* planner/template/emit.c: a tree back to YAML text. */
#include "planner/template/emit.h"
#include "planner/template/scalar.h"

enum { LONGEST_KEY = 900 }; /* beyond it, YAML wants `? key` */

static bool plain_chars(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool last = i + 1 == s.n;
        if (c < 0x20 || c == 0x7f || c == 0xe2 || c == 0xef ||
            (c == ':' && (last || s.p[i + 1] == ' ')) || (c == '#' && i && s.p[i - 1] == ' '))
            return false;
    }
    return true;
}

/* Would the text, unquoted, be read as this very string? */
static bool plain_string(struct mio_str s)
{
    struct mio_arena scratch;
    struct mio_value v;
    if (!s.n || s.p[0] == ' ' || s.p[s.n - 1] == ' ' || strchr("-?:,[]{}#&*!|>'\"%@`=<", s.p[0]) ||
        !plain_chars(s))
        return false;
    mio_arena_init(&scratch);
    enum mio_scalar_note note = mio_scalar_resolve(&scratch, s, &v);
    mio_arena_free(&scratch);
    return v.type == MIO_STRING && note == MIO_SCALAR_FINE && !mio_str_starts(s, "---") &&
           !mio_str_starts(s, "...");
}

/* Characters that YAML takes only as escapes: line separators, byte order mark, U+FFFE, U+FFFF. */
static const struct {
    const char *bytes, *escape;
} escapes[] = {
    {"\"", "\\\""},
    {"\\", "\\\\"},
    {"\n", "\\n"},
    {"\t", "\\t"},
    {"\r", "\\r"},
    {"\xe2\x80\xa8", "\\L"},
    {"\xe2\x80\xa9", "\\P"},
    {"\xef\xbb\xbf", "\\uFEFF"},
    {"\xef\xbf\xbe", "\\uFFFE"},
    {"\xef\xbf\xbf", "\\uFFFF"},
};

static void quoted(struct mio_buf *out, struct mio_str s)
{
    enum { N = sizeof escapes / sizeof *escapes };
    mio_buf_char(out, '"');
    while (s.n) {
        size_t k = 0, n = 1;
        while (k < N && !mio_str_starts(s, escapes[k].bytes))
            k++;
        if (k < N) {
            mio_buf_z(out, escapes[k].escape);
            n = strlen(escapes[k].bytes);
        } else {
            mio_buf_char(out, s.p[0]);
        }
        s = mio_str_sub(s, n, s.n);
    }
    mio_buf_char(out, '"');
}

/* Lines of a literal block: text that ends in one newline, without odd blanks. */
static bool literal_block(struct mio_str s)
{
    if (s.n < 2 || s.p[s.n - 1] != '\n' || s.p[s.n - 2] == '\n' || s.p[0] == ' ' || s.p[0] == '\n')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n') || c == 0x7f || c == 0xe2 || c == 0xef)
            return false;
    }
    return true;
}

static void string(struct mio_buf *out, struct mio_str s, size_t indent)
{
    if (plain_string(s)) {
        mio_buf_str(out, s);
    } else if (literal_block(s)) {
        mio_buf_char(out, '|');
        for (size_t i = 0; i < s.n; i++) {
            if (!i || s.p[i - 1] == '\n') {
                mio_buf_char(out, '\n');
                if (s.p[i] != '\n')
                    mio_buf_pad(out, ' ', indent);
            }
            if (s.p[i] != '\n')
                mio_buf_char(out, s.p[i]);
        }
    } else {
        quoted(out, s);
    }
}

static void scalar(struct mio_buf *out, const struct mio_node *n, size_t indent)
{
    if (n->expr || n->literal.type == MIO_STRING)
        string(out, n->text, indent);
    else if (n->literal.type == MIO_NULL)
        mio_buf_z(out, "null");
    else if (n->literal.type == MIO_BOOL)
        mio_buf_z(out, n->literal.b ? "true" : "false");
    else
        mio_buf_str(out, n->plain ? n->text : mio_value_str(n->literal));
}

static void emit(struct mio_buf *out, const struct mio_node *n, size_t indent, bool after_dash);

/* A value behind `key:` or `-`. */
static void value(struct mio_buf *out, const struct mio_node *n, size_t indent, bool dash)
{
    if (n->type == MIO_NODE_SCALAR || !n->n) {
        mio_buf_char(out, ' ');
        if (n->type == MIO_NODE_SCALAR)
            scalar(out, n, indent + 2);
        else
            mio_buf_z(out, n->type == MIO_NODE_SEQ ? "[]" : "{}");
        mio_buf_char(out, '\n');
    } else if (dash) {
        mio_buf_char(out, ' ');
        emit(out, n, indent + 2, true);
    } else {
        mio_buf_char(out, '\n');
        emit(out, n, indent + 2, false);
    }
}

static void emit(struct mio_buf *out, const struct mio_node *n, size_t indent, bool after_dash)
{
    for (size_t i = 0; i < n->n; i++) {
        if (i || !after_dash)
            mio_buf_pad(out, ' ', indent);
        if (n->type == MIO_NODE_SEQ) {
            mio_buf_char(out, '-');
            value(out, n->items[i], indent, true);
        } else {
            struct mio_str key = n->entries[i].key;
            bool longer = key.n > LONGEST_KEY;
            mio_buf_z(out, longer ? "? " : "");
            if (!longer && plain_string(key) && !mio_str_is(key, "<<"))
                mio_buf_str(out, key);
            else
                quoted(out, key);
            if (longer) {
                mio_buf_char(out, '\n');
                mio_buf_pad(out, ' ', indent);
            }
            mio_buf_char(out, ':');
            value(out, n->entries[i].value, indent, false);
        }
    }
}

void mio_node_emit(struct mio_buf *out, const struct mio_node *n)
{
    if (n->type != MIO_NODE_SCALAR && n->n) {
        emit(out, n, 0, false);
        return;
    }
    if (n->type == MIO_NODE_SCALAR)
        scalar(out, n, 2);
    else
        mio_buf_z(out, n->type == MIO_NODE_SEQ ? "[]" : "{}");
    mio_buf_char(out, '\n');
}

bool mio_node_same(const struct mio_node *a, const struct mio_node *b)
{
    if (a->type != b->type || a->n != b->n)
        return false;
    if (a->type == MIO_NODE_SCALAR)
        return !a->expr == !b->expr && a->literal.type == b->literal.type &&
               (a->literal.type == MIO_STRING || a->expr || a->literal.type == MIO_NUMBER
                    ? mio_str_eq(a->text, b->text)
                    : mio_equal(a->literal, b->literal));
    for (size_t i = 0; i < a->n; i++) {
        bool map = a->type == MIO_NODE_MAP;
        if (map && !mio_str_eq(a->entries[i].key, b->entries[i].key))
            return false;
        if (!mio_node_same(map ? a->entries[i].value : a->items[i],
                           map ? b->entries[i].value : b->items[i]))
            return false;
    }
    return true;
}
