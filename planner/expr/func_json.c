/* planner/expr/func_json.c: JSON as Terraform writes it: HTML-safe escapes, plain numbers. */
#include "planner/expr/convert.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "providers/sdk/json.h"

/* < > & and the two line separators are escaped, so that the text may stand in HTML and JavaScript. */
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
    mio_buf_init(&b, 0);
    mio_put_json(c->a, &b, c->args[0]);
    *out = mio_string(mio_arena_str(c->a, mio_buf_view(&b)));
    return MIO_OK;
}
