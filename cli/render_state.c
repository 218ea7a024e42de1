/* cli/render_state.c: the recorded state as text and as JSON (Terraform's state format 1.0). */
#include "cli/module_tree.h"
#include "cli/render_json.h"
#include "cli/render_value.h"
#include "planner/graph/address.h"

/* One row and the parts of its address. */
struct full_row {
    struct mio_record rec;
    struct mio_address address;
};

static enum mio_code read_row(struct mio_arena *a, const struct mio_row *row, struct full_row *out,
                              struct mio_err *err)
{
    enum mio_code code = mio_row_read(a, row, &out->rec, err);
    return code ? code : mio_address_parse(a, out->rec.address, &out->address, err);
}

/* ---- text ---- */

static void put_row(const struct mio_pen *pen, const struct full_row *r)
{
    static const char *const notes[] = {[MIO_ROW_OK] = "",
                                        [MIO_ROW_TAINTED] = " (tainted)",
                                        [MIO_ROW_UNCONFIRMED] = " (unconfirmed)"};
    mio_buf_z(pen->b, "# ");
    mio_put_safe(pen->b, r->rec.address);
    if (r->rec.deposed.n)
        mio_buf_printf(pen->b, " (deposed object %.*s)", MIO_FMT(r->rec.deposed));
    mio_buf_printf(pen->b, ":%s\n%s \"%.*s\" \"%.*s\" {\n", notes[r->rec.status],
                   r->address.is_data ? "data" : "resource", MIO_FMT(r->address.kind),
                   MIO_FMT(r->address.name));
    if (r->rec.attributes.type == MIO_MAP) {
        if (!mio_get_z(r->rec.attributes, "id") && r->rec.id.n) {
            mio_put_symbol(pen, 1, "");
            mio_buf_z(pen->b, "# id: ");
            mio_put_safe(pen->b, r->rec.id);
            mio_buf_char(pen->b, '\n');
        }
        mio_put_map_lines(pen, r->rec.attributes, 1, "", "");
    }
    mio_buf_z(pen->b, "}\n");
}

enum mio_code mio_row_text(const struct mio_pen *pen, struct mio_arena *a,
                           const struct mio_row *row, struct mio_err *err)
{
    struct full_row r = {0};
    enum mio_code code = read_row(a, row, &r, err);
    if (!code)
        put_row(pen, &r);
    return code;
}

static void put_output_lines(const struct mio_pen *pen, const struct mio_state *s)
{
    size_t width = 0;
    for (size_t i = 0; i < s->noutputs; i++)
        width = s->outputs[i].name.n > width ? s->outputs[i].name.n : width;
    mio_buf_z(pen->b, "\nOutputs:\n\n");
    for (size_t i = 0; i < s->noutputs; i++) {
        const struct mio_state_output *o = &s->outputs[i];
        mio_put_safe(pen->b, o->name);
        mio_buf_pad(pen->b, ' ', width - o->name.n);
        mio_buf_z(pen->b, " = ");
        mio_put_value(pen, mio_output_value(o), 0, "");
        mio_buf_char(pen->b, '\n');
    }
}

enum mio_code mio_state_text(const struct mio_pen *pen, struct mio_arena *a,
                             const struct mio_state *s, struct mio_err *err)
{
    if (!s->nrows && !s->noutputs) {
        mio_buf_z(pen->b, "The state is empty: nothing is managed.\n");
        return MIO_OK;
    }
    for (size_t i = 0; i < s->nrows; i++) {
        struct mio_arena_mark mark = mio_arena_mark(a);
        if (i)
            mio_buf_char(pen->b, '\n');
        enum mio_code code = mio_row_text(pen, a, &s->rows[i], err);
        mio_arena_rewind(a, mark);
        if (code)
            return code;
    }
    if (s->noutputs)
        put_output_lines(pen, s);
    return MIO_OK;
}

/* ---- JSON ---- */

static void put_json(struct mio_jout *j, const void *item)
{
    const struct full_row *r = item;
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "address", r->rec.address);
    mio_jout_kz(j, "mode", r->address.is_data ? "data" : "managed");
    mio_jout_kstr(j, "type", r->address.kind);
    mio_jout_kstr(j, "name", r->address.name);
    if (!mio_is_null(r->address.key))
        mio_jout_kvalue(j, "index", r->address.key);
    mio_jout_kstr(j, "provider_name", r->rec.provider);
    mio_jout_ku64(j, "schema_version", r->rec.schema_version);
    mio_jout_kstr(j, "id", r->rec.id);
    mio_jout_key(j, "values");
    mio_json_known(j, r->rec.attributes);
    mio_jout_key(j, "sensitive_values");
    mio_json_sensitive(j, r->rec.attributes);
    if (r->rec.dependencies.n)
        mio_jout_kvalue(j, "depends_on", r->rec.dependencies);
    if (r->rec.status == MIO_ROW_TAINTED)
        mio_jout_kbool(j, "tainted", true);
    if (r->rec.status == MIO_ROW_UNCONFIRMED)
        mio_jout_kbool(j, "unconfirmed", true);
    if (r->rec.deposed.n)
        mio_jout_kstr(j, "deposed_key", r->rec.deposed);
    mio_jout_close(j, '}');
}

enum mio_code mio_row_json(struct mio_jout *j, struct mio_arena *a, const struct mio_row *row,
                           struct mio_err *err)
{
    struct full_row r = {0};
    enum mio_code code = read_row(a, row, &r, err);
    if (!code)
        put_json(j, &r);
    return code;
}

void mio_json_outputs(struct mio_jout *j, const struct mio_state_output *o, size_t n, bool open)
{
    mio_jout_open(j, '{');
    for (size_t i = 0; i < n; i++) {
        struct mio_value v = open ? o[i].value : mio_output_value(&o[i]);
        mio_jout_key_str(j, o[i].name);
        mio_jout_open(j, '{');
        mio_jout_kbool(j, "sensitive", o[i].sensitive);
        mio_jout_key(j, "type");
        mio_json_type(j, v);
        mio_jout_kvalue(j, "value", v);
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, '}');
}

enum mio_code mio_state_json(struct mio_buf *b, struct mio_arena *a, const struct mio_state *s,
                             struct mio_err *err)
{
    struct mio_jout out = {.b = b}, *j = &out;
    struct full_row *rows = MIO_NEW_N(a, struct full_row, s->nrows + 1);
    struct mio_module_item *items = MIO_NEW_N(a, struct mio_module_item, s->nrows + 1);
    for (size_t i = 0; i < s->nrows; i++) {
        enum mio_code code = read_row(a, &s->rows[i], &rows[i], err);
        if (code)
            return code;
        items[i] = (struct mio_module_item){.module = rows[i].address.module, .item = &rows[i]};
    }
    mio_jout_open(j, '{');
    mio_jout_kz(j, "format_version", "1.0");
    mio_jout_kz(j, "terraform_version", MIO_VERSION);
    mio_jout_key(j, "values");
    mio_jout_open(j, '{');
    mio_jout_key(j, "outputs");
    mio_json_outputs(j, s->outputs, s->noutputs, false);
    mio_jout_key(j, "root_module");
    mio_module_tree(j, a, items, s->nrows, put_json);
    mio_jout_close(j, '}');
    mio_jout_key(j, "mlops_iac");
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "lineage", s->lineage);
    mio_jout_ku64(j, "serial", s->serial);
    mio_jout_kstr(j, "stage", s->stage);
    mio_jout_close(j, '}');
    mio_jout_close(j, '}');
    return MIO_OK;
}
