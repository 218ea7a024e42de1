/* providers/sdk/json_write.c: the canonical writer, and the form that marks take in JSON. See
 * json.h. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/json.h"

enum { MASK_DIGITS = 64 };
static const char hidden[] = "\"(sensitive value)\"";

void mio_json_string(struct mio_buf *b, struct mio_str s)
{
    static const char digits[] = "0123456789abcdef";
    mio_buf_char(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        mio_buf_add(b, s.p + from, i - from);
        from = i + 1;
        char esc[7] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15], 0};
        const char *short_form = c == '"'    ? "\\\""
                                 : c == '\\' ? "\\\\"
                                 : c == '\n' ? "\\n"
                                 : c == '\t' ? "\\t"
                                 : c == '\r' ? "\\r"
                                             : esc;
        mio_buf_z(b, short_form);
    }
    mio_buf_add(b, s.p + from, s.n - from);
    mio_buf_char(b, '"');
}

static void number(struct mio_buf *b, struct mio_value v)
{
    struct mio_arena a;
    mio_arena_init(&a);
    mio_buf_str(b, mio_number_canon(&a, mio_value_str(v)));
    mio_arena_free(&a);
}

/* Writes v if its marks need a form of their own; false when it is to be written as usual. */
static bool marked(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks)
{
    if (v.type == MIO_UNKNOWN) {
        if (marks == MIO_JSON_PLAIN)
            abort(); /* a bug of ours: unknowns never reach a provider or the state */
        mio_buf_z(b, marks == MIO_JSON_MARKED ? "{\"$mio\":\"unknown\"}" : "null");
        return true;
    }
    if (mio_is_sensitive(v) && marks != MIO_JSON_OPEN) {
        if (marks == MIO_JSON_PLAIN)
            abort();
        if (marks == MIO_JSON_HIDDEN) {
            mio_buf_z(b, hidden);
            return true;
        }
        v.marks &= (uint8_t)~MIO_MARK_SENSITIVE;
        mio_buf_z(b, "{\"$mio\":\"sensitive\",\"v\":");
        mio_json_write(b, v, marks);
        mio_buf_char(b, '}');
        return true;
    }
    return false;
}

static void scalar(struct mio_buf *b, struct mio_value v)
{
    switch ((enum mio_type)v.type) {
    case MIO_BOOL:
        mio_buf_z(b, v.b ? "true" : "false");
        break;
    case MIO_NUMBER:
        number(b, v);
        break;
    case MIO_STRING:
        mio_json_string(b, (struct mio_str){v.s, v.n});
        break;
    case MIO_NULL:
    case MIO_LIST:
    case MIO_MAP:
    case MIO_UNKNOWN:
        mio_buf_z(b, "null");
        break;
    }
}

void mio_json_write(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks)
{
    if ((v.type == MIO_UNKNOWN || mio_is_sensitive(v)) && marked(b, v, marks))
        return;
    if (v.type == MIO_LIST) {
        mio_buf_char(b, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i)
                mio_buf_char(b, ',');
            mio_json_write(b, v.items[i], marks);
        }
        mio_buf_char(b, ']');
    } else if (v.type == MIO_MAP) {
        mio_buf_char(b, '{');
        for (uint32_t i = 0; i < v.n; i++) {
            if (i)
                mio_buf_char(b, ',');
            mio_json_string(b, v.pairs[i].key);
            mio_buf_char(b, ':');
            mio_json_write(b, v.pairs[i].value, marks);
        }
        mio_buf_char(b, '}');
    } else {
        scalar(b, v);
    }
}

static void newline(struct mio_buf *b, size_t depth)
{
    mio_buf_char(b, '\n');
    mio_buf_pad(b, ' ', depth * 2);
}

static void pretty(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks, size_t depth)
{
    bool plain = v.n == 0 || (v.type != MIO_LIST && v.type != MIO_MAP) || mio_is_sensitive(v);
    if (plain) {
        mio_json_write(b, v, marks);
        return;
    }
    mio_buf_char(b, v.type == MIO_LIST ? '[' : '{');
    for (uint32_t i = 0; i < v.n; i++) {
        if (i)
            mio_buf_char(b, ',');
        newline(b, depth + 1);
        if (v.type == MIO_MAP) {
            mio_json_string(b, v.pairs[i].key);
            mio_buf_z(b, ": ");
        }
        pretty(b, v.type == MIO_LIST ? v.items[i] : v.pairs[i].value, marks, depth + 1);
    }
    newline(b, depth);
    mio_buf_char(b, v.type == MIO_LIST ? ']' : '}');
}

void mio_json_pretty(struct mio_buf *b, struct mio_value v, enum mio_json_marks marks)
{
    pretty(b, v, marks, 0);
}

struct mio_value mio_json_unmarshal_marks(struct mio_arena *a, struct mio_value v)
{
    if (v.type == MIO_LIST) {
        struct mio_value *items = mio_arena_alloc(a, v.n * sizeof *items);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = mio_json_unmarshal_marks(a, v.items[i]);
        return mio_list(items, v.n);
    }
    if (v.type != MIO_MAP)
        return v;
    struct mio_str mark = mio_get_str(v, "$mio");
    if (mio_str_is(mark, "unknown"))
        return mio_unknown(MIO_UNKNOWN);
    const struct mio_value *inner = mio_str_is(mark, "sensitive") ? mio_get_z(v, "v") : NULL;
    if (inner)
        return mio_sensitive(mio_json_unmarshal_marks(a, *inner));
    struct mio_pair *pairs = mio_arena_alloc(a, v.n * sizeof *pairs);
    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct mio_pair){v.pairs[i].key, mio_json_unmarshal_marks(a, v.pairs[i].value)};
    struct mio_value out = mio_map(pairs, v.n);
    return mio_str_is(mark, "digest") ? mio_sensitive(out) : out;
}

bool mio_is_masked(struct mio_value v)
{
    return v.type == MIO_MAP && v.n == 2 && mio_str_is(mio_get_str(v, "$mio"), "digest") &&
           mio_get_str(v, "h").n == MASK_DIGITS;
}

bool mio_holds_mask(struct mio_value v)
{
    if (!mio_has_sensitive(v))
        return false;
    if (mio_is_masked(v))
        return true;
    for (uint32_t i = 0; v.type == MIO_LIST && i < v.n; i++)
        if (mio_holds_mask(v.items[i]))
            return true;
    for (uint32_t i = 0; v.type == MIO_MAP && i < v.n; i++)
        if (mio_holds_mask(v.pairs[i].value))
            return true;
    return false;
}
