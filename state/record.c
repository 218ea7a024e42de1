/* state/record.c: one row as JSON: its head scanned without a tree, its whole read and written. */
#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"
#include "state/codec.h"

static const char *const status_names[] = {
    [MIO_ROW_OK] = "ok",
    [MIO_ROW_TAINTED] = "tainted",
    [MIO_ROW_UNCONFIRMED] = "unconfirmed",
};

static bool status_of(struct mio_str name, enum mio_row_status *out)
{
    for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
        if (mio_str_is(name, status_names[i])) {
            *out = (enum mio_row_status)i;
            return true;
        }
    return false;
}

/* ---- the scanner ---- */

struct scan {
    const char *p, *end;
    struct mio_arena *a;
};

static bool lit(struct scan *s, const char *text, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* A string with escapes, its opening quote just passed. */
static bool escaped(struct scan *s, struct mio_str *out)
{
    const char *q = s->p;
    while (q < s->end && *q != '"')
        q += *q == '\\' && s->end - q > 1 ? 2 : 1;
    if (q >= s->end)
        return false;
    struct mio_value v;
    struct mio_err err = {0};
    struct mio_str quoted = {s->p - 1, (size_t)(q + 1 - (s->p - 1))};
    if (mio_json_read(s->a, quoted, NULL, &v, &err))
        return false;
    *out = mio_value_str(v);
    s->p = q + 1;
    return true;
}

/* "key":"value" with the text before it, which ends in the opening quote. */
static bool field(struct scan *s, const char *before, size_t n, struct mio_str *out)
{
    if (!lit(s, before, n))
        return false;
    const char *q = memchr(s->p, '"', (size_t)(s->end - s->p));
    if (!q)
        return false;
    size_t len = (size_t)(q - s->p);
    if (memchr(s->p, '\\', len))
        return escaped(s, out);
    *out = (struct mio_str){s->p, len};
    s->p = q + 1;
    return true;
}
#define FIELD(s, before, out) field((s), (before), sizeof(before) - 1, (out))

bool mio_row_scan(struct mio_arena *a, struct mio_str line, struct mio_row *row)
{
    struct scan s = {line.p, line.p + line.n, a};
    struct mio_str status;
    row->line = line;
    return FIELD(&s, "{\"digest\":\"", &row->digest) &&
           FIELD(&s, ",\"address\":\"", &row->address) &&
           FIELD(&s, ",\"deposed\":\"", &row->deposed) && FIELD(&s, ",\"kind\":\"", &row->kind) &&
           FIELD(&s, ",\"provider\":\"", &row->provider) && FIELD(&s, ",\"id\":\"", &row->id) &&
           FIELD(&s, ",\"fingerprint\":\"", &row->fingerprint) &&
           FIELD(&s, ",\"status\":\"", &status) && status_of(status, &row->status) &&
           row->address.n > 0 && s.p < s.end && *s.p == ',' && line.p[line.n - 1] == '}';
}

/* ---- in full ---- */

static void put_str(struct mio_buf *b, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_json_string(b, s);
}

/* Sensitive anywhere but under a digest? */
static bool in_clear(struct mio_value v)
{
    if (!mio_has_sensitive(v) || mio_is_masked(v))
        return false;
    if (mio_is_sensitive(v) && !mio_is_null(v))
        return true;
    for (uint32_t i = 0; (v.type == MIO_LIST || v.type == MIO_MAP) && i < v.n; i++)
        if (in_clear(v.type == MIO_LIST ? v.items[i] : v.pairs[i].value))
            return true;
    return false;
}

/* Masks bear no mark: they can be told by their form. */
void mio_stored_value(struct mio_buf *b, struct mio_value v)
{
    mio_json_write(b, v, in_clear(v) ? MIO_JSON_MARKED : MIO_JSON_OPEN);
}

static void put_value(struct mio_buf *b, const char *before, struct mio_value v)
{
    mio_buf_z(b, before);
    mio_stored_value(b, v);
}

bool mio_record_storable(const struct mio_record *r, bool keeps)
{
    const struct mio_value *v[] = {&r->inputs, &r->attributes, &r->content, &r->dependencies};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        if (mio_has_unknown(*v[i]) || (!keeps && in_clear(*v[i])))
            return false;
    return true;
}

void mio_record_write(struct mio_buf *b, const struct mio_record *r, bool keeps)
{
    if (!mio_record_storable(r, keeps))
        abort(); /* a bug of ours, and a leak if it went on */
    put_str(b, "{\"digest\":", r->digest);
    put_str(b, ",\"address\":", r->address);
    put_str(b, ",\"deposed\":", r->deposed);
    put_str(b, ",\"kind\":", r->kind);
    put_str(b, ",\"provider\":", r->provider);
    put_str(b, ",\"id\":", r->id);
    put_str(b, ",\"fingerprint\":", r->fingerprint);
    put_str(b, ",\"status\":", mio_str_z(status_names[r->status]));
    mio_buf_z(b, ",\"schema_version\":");
    mio_buf_u64(b, r->schema_version);
    mio_buf_z(b, ",\"create_before_destroy\":");
    mio_buf_z(b, r->create_before_destroy ? "true" : "false");
    if (r->forget)
        mio_buf_z(b, ",\"forget\":true");
    if (r->delete_timeout_s) {
        mio_buf_z(b, ",\"delete_timeout_s\":");
        mio_buf_u64(b, r->delete_timeout_s);
    }
    mio_buf_z(b, ",\"generation\":");
    mio_buf_u64(b, r->generation);
    put_value(b, ",\"inputs\":", r->inputs);
    put_value(b, ",\"attributes\":", r->attributes);
    put_value(b, ",\"content\":", r->content);
    put_value(b, ",\"dependencies\":", r->dependencies);
    mio_buf_char(b, '}');
}

struct mio_str mio_row_masked(struct mio_arena *a, struct mio_str salt, const struct mio_row *row)
{
    static const char mark[] = "{\"$mio\":\"sensitive\"";
    struct mio_record r;
    struct mio_err err = {0};
    if (!memmem(row->line.p, row->line.n, mark, sizeof mark - 1) || mio_row_read(a, row, &r, &err))
        return row->line;
    r.inputs = mio_mask(a, salt, r.inputs);
    r.attributes = mio_mask(a, salt, r.attributes);
    MIO_AUTO_BUF b = {0};
    mio_record_write(&b, &r, false);
    return mio_arena_str(a, mio_buf_view(&b));
}

void mio_state_mask(struct mio_state *s)
{
    for (size_t i = 0; i < s->nrows; i++) {
        struct mio_str line = mio_row_masked(s->arena, s->salt, &s->rows[i]);
        if (line.p != s->rows[i].line.p)
            mio_row_scan(s->arena, line, &s->rows[i]);
    }
    for (size_t i = 0; i < s->noutputs; i++)
        s->outputs[i].value = mio_mask(s->arena, s->salt, mio_output_value(&s->outputs[i]));
}

static struct mio_value get(struct mio_arena *a, struct mio_value v, const char *key)
{
    const struct mio_value *x = mio_get_z(v, key);
    return x ? mio_json_unmarshal_marks(a, *x) : mio_null();
}

enum mio_code mio_record_from(struct mio_arena *a, struct mio_value v, struct mio_record *out,
                              struct mio_err *err)
{
    struct mio_record r = {
        .digest = mio_get_str(v, "digest"),
        .address = mio_get_str(v, "address"),
        .deposed = mio_get_str(v, "deposed"),
        .kind = mio_get_str(v, "kind"),
        .provider = mio_get_str(v, "provider"),
        .id = mio_get_str(v, "id"),
        .fingerprint = mio_get_str(v, "fingerprint"),
        .create_before_destroy = mio_get_bool(v, "create_before_destroy", false),
        .forget = mio_get_bool(v, "forget", false),
        .inputs = get(a, v, "inputs"),
        .attributes = get(a, v, "attributes"),
        .content = get(a, v, "content"),
        .dependencies = get(a, v, "dependencies"),
    };
    int64_t schema = mio_get_i64(v, "schema_version", -1), gen = mio_get_i64(v, "generation", -1);
    if (schema < 0 || schema > UINT32_MAX || gen < 0 || gen > UINT32_MAX || r.address.n == 0 ||
        !status_of(mio_get_str(v, "status"), &r.status))
        return mio_fail(err, MIO_STATE, "a recorded resource lacks a field or has a wrong one");
    int64_t patience = mio_get_i64(v, "delete_timeout_s", 0);
    r.delete_timeout_s = patience > 0 && patience <= UINT32_MAX ? (uint32_t)patience : 0;
    r.schema_version = (uint32_t)schema;
    r.generation = (uint32_t)gen;
    *out = r;
    return MIO_OK;
}

enum mio_code mio_row_read(struct mio_arena *a, const struct mio_row *row, struct mio_record *out,
                           struct mio_err *err)
{
    struct mio_value v;
    if (mio_json_read(a, row->line, NULL, &v, err) || mio_record_from(a, v, out, err)) {
        mio_err_hint(err, "%s", mio_state_repair);
        return mio_err_address(err, row->address);
    }
    return MIO_OK;
}
