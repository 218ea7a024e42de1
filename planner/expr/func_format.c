/* planner/expr/func_format.c: format() and formatlist(). */
#include "planner/expr/convert.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "planner/expr/text.h"
#include "providers/sdk/buf.h"
#include <ctype.h>

enum { MAX_WIDTH = 1000 };

struct verb {
    struct num_format f;
    size_t arg; /* from 1; 0: the next one */
};

/* The digits at *p; -1 when they are too many. */
static int read_number(const char **p, const char *end)
{
    int n = 0;
    for (; *p < end && isdigit((unsigned char)**p); ++*p)
        n = n < 0 || n > MAX_WIDTH ? -1 : n * 10 + (**p - '0');
    return n > MAX_WIDTH ? -1 : n;
}

/* What stands behind the %; false when it is no verb. */
static bool read_verb(const char **p, const char *end, struct verb *v)
{
    *v = (struct verb){.f = {.precision = -1}};
    for (; *p < end && **p && strchr("#0-+ ", **p); ++*p) {
        v->f.alt |= **p == '#';
        v->f.zero |= **p == '0';
        v->f.minus |= **p == '-';
        v->f.plus |= **p == '+';
        v->f.space |= **p == ' ';
    }
    v->f.width = read_number(p, end);
    if (*p < end && **p == '.') {
        ++*p;
        v->f.precision = read_number(p, end);
        if (v->f.precision < 0)
            return false;
    }
    if (*p < end && **p == '[') {
        ++*p;
        int n = read_number(p, end);
        if (n < 1 || *p >= end || **p != ']')
            return false;
        ++*p;
        v->arg = (size_t)n;
    }
    if (v->f.width < 0 || *p >= end || !isalpha((unsigned char)**p))
        return false;
    v->f.verb = *(*p)++;
    return strchr("vtbdoxXeEfgGsq", v->f.verb);
}

/* Padded to the width in characters as people count them. */
static void put_padded(struct mio_buf *b, const struct num_format *f, struct mio_str s)
{
    size_t n = f->width ? mio_text_clusters(s) : 0;
    size_t fill = f->width > (int)n ? (size_t)f->width - n : 0;
    if (!f->minus)
        mio_buf_pad(b, f->zero ? '0' : ' ', fill);
    mio_buf_str(b, s);
    if (f->minus)
        mio_buf_pad(b, ' ', fill);
}

static struct mio_str cut(struct mio_str s, int clusters)
{
    size_t n = 0;
    while (clusters-- > 0 && n < s.n)
        n += mio_text_cluster(mio_str_sub(s, n, s.n));
    return (struct mio_str){s.p, n};
}

static struct mio_str json_text(struct mio_arena *a, struct mio_value v)
{
    MIO_AUTO_BUF json;
    mio_buf_init(&json, 0);
    mio_put_json(a, &json, v);
    return mio_arena_str(a, mio_buf_view(&json));
}

/* %v: strings and bools as they are, numbers by %g, everything else as JSON. */
static bool put_any(struct mio_arena *a, struct mio_buf *b, struct num_format f, struct mio_value v)
{
    struct mio_str s = mio_value_str(v);
    f.precision = -1;
    if (f.alt || v.type == MIO_LIST || v.type == MIO_MAP)
        s = json_text(a, v);
    else if (v.type == MIO_NULL)
        s = MIO_STR("null");
    else if (v.type == MIO_BOOL)
        s = v.b ? MIO_STR("true") : MIO_STR("false");
    else if (v.type == MIO_NUMBER)
        mio_num_format(a, &(struct num_format){.verb = 'g', .precision = -1}, v, &s);
    put_padded(b, &f, s);
    return true;
}

static enum mio_code put_verb(struct mio_call *c, struct mio_buf *b, const struct verb *verb,
                              size_t arg, struct mio_value v)
{
    struct mio_err err = {0};
    const struct num_format *f = &verb->f;
    struct mio_str s;
    if (f->verb == 'v') {
        put_any(c->a, b, *f, v);
        return MIO_OK;
    }
    enum mio_code code = f->verb == 't'                     ? mio_to_bool(v, &v, &err)
                         : f->verb == 's' || f->verb == 'q' ? mio_to_string(c->a, v, &v, &err)
                                                            : mio_to_number(c->a, v, &v, &err);
    if (code)
        return mio_call_fail(c, arg, NULL, "for %%%c %s", f->verb, err.message);
    if (v.type == MIO_NULL)
        return mio_call_fail(c, arg, "%v shows a null", "the value for %%%c is null", f->verb);
    if (f->verb == 't') {
        mio_buf_z(b, v.b ? "true" : "false"); /* a width does not count here */
        return MIO_OK;
    }
    if (f->verb == 's' || f->verb == 'q') {
        s = mio_value_str(v);
        if (f->precision >= 0)
            s = cut(s, f->precision);
        put_padded(b, f, f->verb == 'q' ? json_text(c->a, mio_string(s)) : s);
        return MIO_OK;
    }
    if (!mio_num_format(c->a, f, v, &s))
        return mio_call_fail(c, arg, "use %g or %f", "%%%c takes whole numbers only", f->verb);
    mio_buf_str(b, s);
    return MIO_OK;
}

static enum mio_code format(struct mio_call *c, const struct mio_value *args, struct mio_value *out)
{
    struct mio_str text = mio_value_str(args[0]);
    const char *p = text.p, *end = p + text.n;
    size_t next = 1, last = 0;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MIO_MAX_TEXT);
    while (p < end) {
        const char *percent = memchr(p, '%', (size_t)(end - p));
        mio_buf_add(&b, p, (size_t)((percent ? percent : end) - p));
        if (!percent)
            break;
        p = percent + 1;
        if (p < end && *p == '%') {
            mio_buf_char(&b, *p++);
            continue;
        }
        struct verb v;
        if (!read_verb(&p, end, &v))
            return mio_call_fail(c, 0,
                                 "verbs are %s %d %f %g %e %x %o %b %t %q %v; %% is a percent sign",
                                 "\"%.*s\" is no verb",
                                 p < end ? (int)(p + 1 - percent) : (int)(p - percent), percent);
        size_t arg = v.arg ? v.arg : next;
        next = arg + 1;
        if (arg >= c->n)
            return mio_call_fail(c, 0, NULL, "there is no argument for \"%.*s\"",
                                 (int)(p - percent), percent);
        last = arg > last ? arg : last;
        enum mio_code code = put_verb(c, &b, &v, arg, args[arg]);
        if (code)
            return code;
    }
    if (last + 1 < c->n)
        return mio_call_fail(c, last + 1, NULL, "the format has no use for this argument");
    return mio_call_text(c, &b, out);
}

enum mio_code mio_fn_format(struct mio_call *c, struct mio_value *out)
{
    return format(c, c->args, out);
}

/* Lists go through in step, everything else stays the same in every round. */
enum mio_code mio_fn_formatlist(struct mio_call *c, struct mio_value *out)
{
    size_t n = 1, list = 0;
    for (size_t i = 1; i < c->n; i++) {
        if (c->args[i].type != MIO_LIST)
            continue;
        if (list && c->args[i].n != n)
            return mio_call_fail(c, i, NULL, "it has %u elements, argument %zu has %zu",
                                 c->args[i].n, list + 1, n);
        n = c->args[i].n;
        list = i;
    }
    struct mio_value *row = mio_arena_alloc(c->a, c->n * sizeof *row);
    struct mio_value *items = mio_arena_alloc(c->a, n * sizeof *items);
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < c->n; i++)
            row[i] = i && c->args[i].type == MIO_LIST ? c->args[i].items[k] : c->args[i];
        bool open = false;
        for (size_t i = 1; i < c->n; i++)
            open |= mio_has_unknown(row[i]);
        items[k] = mio_unknown(MIO_STRING);
        enum mio_code code = open ? MIO_OK : format(c, row, &items[k]);
        code = code ? code : mio_eval_budget(c->ev, c->node);
        if (code)
            return code;
    }
    *out = mio_list(items, n);
    return MIO_OK;
}
