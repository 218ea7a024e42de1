/* planner/expr/func_json.c: JSON as Terraform writes it: HTML-safe escapes, plain numbers. */
#include "planner/expr/convert.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "planner/expr/text.h"
#include "providers/sdk/json.h"

/* < > & and the two line separators are escaped, so that the text may stand in HTML and JavaScript.
 */
static void put_string(struct mio_buf *b, struct mio_str s)
{
    mio_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        static const char SHORT[] = "\"\\\b\f\n\r\t", AS[] = "\"\\bfnrt";
        const char *at = ch ? strchr(SHORT, ch) : NULL;
        if (at) {
            mio_buf_char(b, '\\');
            mio_buf_char(b, AS[at - SHORT]);
        } else if (ch < 0x20 || ch == '<' || ch == '>' || ch == '&') {
            mio_buf_printf(b, "\\u%04x", ch);
        } else if (ch == 0xe2 && s.n - i >= 3 && (unsigned char)s.p[i + 1] == 0x80 &&
                   ((unsigned char)s.p[i + 2] | 1) == 0xa9) {
            mio_buf_printf(b, "\\u20%02x", (unsigned char)s.p[i + 2] - 0x80);
            i += 2;
        } else {
            mio_buf_char(b, (char)ch);
        }
    }
    mio_buf_char(b, '"');
}

void mio_put_json(struct mio_arena *a, struct mio_buf *b, struct mio_value v)
{
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
    case MIO_UNKNOWN:
        mio_buf_z(b, "null");
        return;
    case MIO_BOOL:
        mio_buf_z(b, v.b ? "true" : "false");
        return;
    case MIO_NUMBER:
        mio_num_literal(a, mio_value_str(v), &v);
        mio_buf_str(b, mio_value_str(v));
        return;
    case MIO_STRING:
        put_string(b, mio_value_str(v));
        return;
    case MIO_LIST:
    case MIO_MAP:
        break;
    }
    bool map = v.type == MIO_MAP;
    mio_buf_char(b, map ? '{' : '[');
    for (uint32_t i = 0; i < v.n; i++) {
        if (i)
            mio_buf_char(b, ',');
        if (map) {
            put_string(b, v.pairs[i].key);
            mio_buf_char(b, ':');
        }
        mio_put_json(a, b, map ? v.pairs[i].value : v.items[i]);
    }
    mio_buf_char(b, map ? '}' : ']');
}

enum mio_code mio_fn_jsonencode(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    mio_put_json(c->a, &b, c->args[0]);
    return mio_call_text(c, &b, out);
}

/* Numbers in Terraform's form, text in normal form. */
static struct mio_value normal(struct mio_arena *a, struct mio_value v)
{
    if (v.type == MIO_STRING)
        return mio_string(mio_text_nfc(a, mio_value_str(v)));
    if (v.type == MIO_NUMBER)
        mio_num_literal(a, mio_value_str(v), &v);
    if (v.type == MIO_LIST) {
        struct mio_value *items = mio_arena_alloc(a, v.n * sizeof *items);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = normal(a, v.items[i]);
        return mio_list(items, v.n);
    }
    if (v.type == MIO_MAP) {
        struct mio_pair *pairs = mio_arena_alloc(a, v.n * sizeof *pairs);
        for (uint32_t i = 0; i < v.n; i++)
            pairs[i] =
                (struct mio_pair){mio_text_nfc(a, v.pairs[i].key), normal(a, v.pairs[i].value)};
        return mio_map(pairs, v.n);
    }
    return v;
}

enum mio_code mio_fn_jsondecode(struct mio_call *c, struct mio_value *out)
{
    struct mio_err err = {0};
    struct mio_value v;
    if (mio_json_read(c->a, mio_value_str(c->args[0]), NULL, &v, &err))
        return mio_call_fail(c, 0, *err.hint ? err.hint : NULL, "%s", err.message);
    *out = normal(c->a, v);
    return MIO_OK;
}
