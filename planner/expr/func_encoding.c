/* planner/expr/func_encoding.c: Base64, gzip, character sets, URLs, CSV. */
#include "planner/expr/func.h"
#include "planner/expr/text.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include <ctype.h>
#include <iconv.h>
#include <zlib.h>

static enum mio_code give(struct mio_call *c, struct mio_str s, struct mio_value *out)
{
    if (!mio_str_utf8(s))
        return mio_call_fail(c, 0, "keep it in Base64", "the result is no UTF-8 text");
    *out = mio_string(mio_text_nfc(c->a, s));
    return MIO_OK;
}

static struct mio_str text(const struct mio_call *c, size_t i)
{
    return mio_value_str(c->args[i]);
}

/* ---- Base64 ---- */

enum mio_code mio_fn_base64encode(struct mio_call *c, struct mio_value *out)
{
    *out = mio_string(mio_base64(c->a, text(c, 0).p, text(c, 0).n));
    return MIO_OK;
}

/* Line breaks inside are fine, missing padding is not. */
static enum mio_code decode64(struct mio_call *c, struct mio_str *out)
{
    struct mio_str s = text(c, 0);
    char *clean = mio_arena_alloc(c->a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\n' && s.p[i] != '\r')
            clean[n++] = s.p[i];
    if (n % 4 || !mio_unbase64(c->a, (struct mio_str){clean, n}, out))
        return mio_call_fail(c, 0, NULL, "this is no Base64 text");
    return MIO_OK;
}

enum mio_code mio_fn_base64decode(struct mio_call *c, struct mio_value *out)
{
    struct mio_str s;
    enum mio_code code = decode64(c, &s);
    return code ? code : give(c, s, out);
}

/* ---- gzip ---- */

static bool gzip(struct mio_str in, struct mio_buf *b)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    int status;
    do {
        Bytef block[4096];
        z.next_out = block;
        z.avail_out = sizeof block;
        status = deflate(&z, Z_FINISH);
        mio_buf_add(b, block, sizeof block - z.avail_out);
    } while (status == Z_OK);
    deflateEnd(&z);
    return status == Z_STREAM_END;
}

enum mio_code mio_fn_base64gzip(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    if (!gzip(text(c, 0), &b))
        return mio_call_fail(c, 0, NULL, "it cannot be compressed");
    *out = mio_string(mio_base64(c->a, b.p, b.n));
    return MIO_OK;
}

enum mio_code mio_fn_base64gunzip(struct mio_call *c, struct mio_value *out)
{
    struct mio_str in;
    enum mio_code code = decode64(c, &in);
    if (code)
        return code;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    int status = inflateInit2(&z, 15 + 16);
    while (status == Z_OK && !mio_buf_full(&b)) {
        Bytef block[4096];
        z.next_out = block;
        z.avail_out = sizeof block;
        status = inflate(&z, Z_NO_FLUSH);
        mio_buf_add(&b, block, sizeof block - z.avail_out);
    }
    inflateEnd(&z);
    if (status != Z_STREAM_END || mio_buf_full(&b))
        return mio_call_fail(c, 0, NULL, "this is no complete gzip data, or more than %d MiB",
                             MIO_MAX_TEXT >> 20);
    return mio_call_text(c, &b, out) ? c->err->code : give(c, mio_value_str(*out), out);
}

/* ---- character sets ---- */

/* False when the text cannot be said in the other character set; MIO_TEMPLATE for an unknown one.
 */
static enum mio_code recode(struct mio_call *c, const char *to, const char *from, struct mio_str in,
                            struct mio_buf *b)
{
    iconv_t cd = iconv_open(to, from);
    if (cd == (iconv_t)-1)
        return mio_call_fail(c, 1, "use an IANA name such as UTF-16LE, ISO-8859-1, windows-1252",
                             "there is no such character encoding");
    char *p = (char *)(uintptr_t)in.p;
    size_t left = in.n;
    bool bad = false;
    while (left && !bad) {
        char block[1024], *at = block;
        size_t room = sizeof block;
        size_t got = iconv(cd, &p, &left, &at, &room);
        bad = (got == (size_t)-1 && room > 16) || (got != (size_t)-1 && got > 0);
        mio_buf_add(b, block, sizeof block - room);
    }
    iconv_close(cd);
    return bad ? mio_call_fail(c, 0, NULL, "a character has no form in that encoding") : MIO_OK;
}

/* Plain UTF-16 is big-endian behind a byte order mark. */
static const char *charset(struct mio_call *c, bool *utf16)
{
    char *name = mio_arena_z(c->a, text(c, 1));
    *utf16 = mio_str_ieq(text(c, 1), MIO_STR("UTF-16"));
    return *utf16 ? "UTF-16BE" : name;
}

enum mio_code mio_fn_textencodebase64(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    bool utf16;
    const char *name = charset(c, &utf16);
    if (utf16)
        mio_buf_z(&b, "\xfe\xff");
    enum mio_code code = recode(c, name, "UTF-8", text(c, 0), &b);
    if (!code)
        *out = mio_string(mio_base64(c->a, b.n ? b.p : "", b.n));
    return code;
}

enum mio_code mio_fn_textdecodebase64(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    struct mio_str in;
    bool utf16;
    const char *name = charset(c, &utf16);
    enum mio_code code = decode64(c, &in);
    if (!code)
        code = recode(c, "UTF-8", utf16 ? "UTF-16" : name, in, &b);
    code = code ? code : mio_call_text(c, &b, out);
    return code ? code : give(c, mio_value_str(*out), out);
}

/* ---- URLs ---- */

enum mio_code mio_fn_urlencode(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    struct mio_str s = text(c, 0);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch == ' ')
            mio_buf_char(&b, '+');
        else if (isalnum(ch) || (ch && strchr("-_.~", ch)))
            mio_buf_char(&b, (char)ch);
        else
            mio_buf_printf(&b, "%%%02X", ch);
    }
    return mio_call_text(c, &b, out) ? c->err->code : give(c, mio_value_str(*out), out);
}

enum mio_code mio_fn_urldecode(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    struct mio_str s = text(c, 0);
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte;
        char digits[2] = {0};
        if (s.p[i] != '%') {
            mio_buf_char(&b, s.p[i] == '+' ? ' ' : s.p[i]);
            continue;
        }
        for (size_t k = 0; k < 2 && i + 1 + k < s.n; k++)
            digits[k] = (char)tolower((unsigned char)s.p[i + 1 + k]);
        if (!mio_unhex((struct mio_str){digits, 2}, &byte, 1))
            return mio_call_fail(c, 0, NULL, "two hexadecimal digits must follow a %%");
        mio_buf_char(&b, (char)byte);
        i += 2;
    }
    return mio_call_text(c, &b, out) ? c->err->code : give(c, mio_value_str(*out), out);
}

/* ---- CSV ---- */

struct csv {
    struct mio_call *c;
    const char *at, *end;
    bool bad;
};

static struct mio_str quoted_field(struct csv *r)
{
    char *out = mio_arena_alloc(r->c->a, (size_t)(r->end - r->at) + 1);
    size_t n = 0;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"' && (r->at + 1 >= r->end || r->at[1] != '"'))
            break;
        r->at += *r->at == '"' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
        out[n++] = *r->at;
    }
    r->bad |= r->at >= r->end;
    r->at += r->at < r->end;
    r->bad |= r->at < r->end && *r->at != ',' && *r->at != '\n' &&
              !(*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
    return (struct mio_str){out, n};
}

/* One record; 0 at the end. Empty lines do not count. */
static size_t record(struct csv *r, struct mio_str **fields)
{
    size_t n = 0, cap = 0;
    while (r->at < r->end &&
           (*r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')))
        r->at++;
    *fields = NULL;
    while (r->at < r->end && !r->bad) {
        struct mio_str f;
        if (*r->at == '"') {
            f = quoted_field(r);
        } else {
            const char *from = r->at;
            while (r->at < r->end && *r->at != ',' && *r->at != '\n')
                r->bad |= *r->at++ == '"';
            f = (struct mio_str){from, (size_t)(r->at - from)};
            if (f.n && f.p[f.n - 1] == '\r' && (r->at == r->end || *r->at == '\n'))
                f.n--;
        }
        MIO_PUSH(r->c->a, *fields, n, cap) = f;
        if (r->at < r->end && *r->at == '\r')
            r->at++;
        if (r->at >= r->end)
            break;
        if (*r->at++ == '\n')
            break;
        if (r->at == r->end) /* a comma at the very end: one more, empty field */
            MIO_PUSH(r->c->a, *fields, n, cap) = MIO_STR("");
    }
    return n;
}

enum mio_code mio_fn_csvdecode(struct mio_call *c, struct mio_value *out)
{
    struct csv r = {.c = c, .at = text(c, 0).p, .end = text(c, 0).p + text(c, 0).n};
    struct mio_str *names, *fields;
    size_t width = record(&r, &names), n;
    struct mio_value *rows = NULL;
    size_t count = 0, cap = 0;
    if (!width)
        return mio_call_fail(c, 0, NULL, "the header line is missing");
    while (!r.bad && (n = record(&r, &fields))) {
        if (n != width)
            return mio_call_fail(c, 0, NULL, "record %zu has %zu fields, the header has %zu",
                                 count + 1, n, width);
        struct mio_pair *pairs = mio_arena_alloc(c->a, n * sizeof *pairs);
        for (size_t i = 0; i < n; i++)
            pairs[i] = (struct mio_pair){names[i], mio_string(fields[i])};
        MIO_PUSH(c->a, rows, count, cap) = mio_map(pairs, n);
    }
    if (r.bad)
        return mio_call_fail(c, 0, NULL, "a quote stands in the wrong place or is not closed");
    for (size_t i = 0; i < width; i++)
        for (size_t k = 0; k < i; k++)
            if (mio_str_eq(names[i], names[k]))
                return mio_call_fail(c, 0, NULL, "column \"%.*s\" is there twice",
                                     MIO_FMT(names[i]));
    *out = mio_list(rows, count);
    return MIO_OK;
}
