/* cli/json_out.c: the piecewise JSON writer. */
#include "cli/json_out.h"

static void line(struct mio_jout *j)
{
    if (!j->pretty)
        return;
    mio_buf_char(j->b, '\n');
    mio_buf_pad(j->b, ' ', 2 * (size_t)j->depth);
}

void mio_jout_item(struct mio_jout *j)
{
    if (j->some)
        mio_buf_char(j->b, ',');
    if (j->depth)
        line(j);
    j->some = true;
}

void mio_jout_open(struct mio_jout *j, char bracket)
{
    mio_buf_char(j->b, bracket);
    j->depth++;
    j->some = false;
}

void mio_jout_close(struct mio_jout *j, char bracket)
{
    j->depth--;
    if (j->some)
        line(j);
    mio_buf_char(j->b, bracket);
    j->some = true;
}

void mio_jout_key_str(struct mio_jout *j, struct mio_str key)
{
    mio_jout_item(j);
    mio_json_string(j->b, key);
    mio_buf_add(j->b, ": ", j->pretty ? 2 : 1);
}

void mio_jout_key(struct mio_jout *j, const char *key)
{
    mio_jout_key_str(j, mio_str_z(key));
}

void mio_jout_str(struct mio_jout *j, struct mio_str s)
{
    mio_json_string(j->b, s);
}

void mio_jout_bool(struct mio_jout *j, bool v)
{
    mio_buf_z(j->b, v ? "true" : "false");
}

void mio_jout_u64(struct mio_jout *j, uint64_t v)
{
    mio_buf_u64(j->b, v);
}

void mio_jout_null(struct mio_jout *j)
{
    mio_buf_z(j->b, "null");
}

static void list(struct mio_jout *j, struct mio_value v)
{
    mio_jout_open(j, '[');
    for (uint32_t i = 0; i < v.n; i++) {
        mio_jout_item(j);
        mio_jout_value(j, v.items[i]);
    }
    mio_jout_close(j, ']');
}

static void map(struct mio_jout *j, struct mio_value v)
{
    mio_jout_open(j, '{');
    for (uint32_t i = 0; i < v.n; i++) {
        mio_jout_key_str(j, v.pairs[i].key);
        mio_jout_value(j, v.pairs[i].value);
    }
    mio_jout_close(j, '}');
}

void mio_jout_value(struct mio_jout *j, struct mio_value v)
{
    if (!j->pretty || mio_is_sensitive(v) || (v.type != MIO_LIST && v.type != MIO_MAP))
        mio_json_write(j->b, v, MIO_JSON_HIDDEN);
    else if (v.type == MIO_LIST)
        list(j, v);
    else
        map(j, v);
}

void mio_jout_kstr(struct mio_jout *j, const char *key, struct mio_str s)
{
    mio_jout_key(j, key);
    mio_json_string(j->b, s);
}

void mio_jout_kz(struct mio_jout *j, const char *key, const char *z)
{
    mio_jout_kstr(j, key, mio_str_z(z));
}

void mio_jout_kbool(struct mio_jout *j, const char *key, bool v)
{
    mio_jout_key(j, key);
    mio_jout_bool(j, v);
}

void mio_jout_ku64(struct mio_jout *j, const char *key, uint64_t v)
{
    mio_jout_key(j, key);
    mio_jout_u64(j, v);
}

void mio_jout_kvalue(struct mio_jout *j, const char *key, struct mio_value v)
{
    mio_jout_key(j, key);
    mio_jout_value(j, v);
}
