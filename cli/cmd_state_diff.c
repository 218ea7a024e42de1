/* cli/cmd_state_diff.c: state diff: what two recorded states differ in, attribute by attribute. */
#include "cli/json_out.h"
#include "cli/render_value.h"
#include "cli/session.h"
#include "state/fsck.h"

struct page {
    struct mio_cli *c;
    struct mio_jout *json; /* NULL: text */
};

static enum mio_code read_one(struct mio_cli *c, struct mio_store *s, const char *name,
                              struct mio_state *out)
{
    uint64_t serial = 0;
    struct mio_err err = {0};
    if (mio_str_is(mio_str_z(name), "current"))
        return mio_store_load(s, &c->arena, out, &err) ? mio_cli_fail(c, &err) : MIO_OK;
    if (!mio_str_u64(mio_str_z(name), &serial))
        return mio_cli_usage(c, "A serial, as 'mlops-iac state history' lists them, or current.",
                             "\"%s\" names no state", name);
    return mio_store_at(s, &c->arena, serial, out, &err) ? mio_cli_fail(c, &err) : MIO_OK;
}

static void put_leaf(void *arg, struct mio_str path, struct mio_value before,
                     struct mio_value after)
{
    enum { WIDTH = 60 };
    struct page *p = arg;
    struct mio_buf *b = &p->c->out.buf;
    if (p->json) {
        mio_jout_item(p->json);
        mio_jout_open(p->json, '{');
        mio_jout_kstr(p->json, "path", path);
        mio_jout_kvalue(p->json, "before", before);
        mio_jout_kvalue(p->json, "after", after);
        mio_jout_close(p->json, '}');
        return;
    }
    mio_buf_z(b, "    ");
    mio_put_safe(b, path);
    mio_buf_z(b, ": ");
    mio_put_brief(b, before, WIDTH);
    mio_buf_z(b, " -> ");
    mio_put_brief(b, after, WIDTH);
    mio_buf_char(b, '\n');
}

/* The parts of a record that people know, as one map. */
static struct mio_value shown(struct mio_arena *a, const struct mio_record *r)
{
    static const char *const statuses[] = {
        [MIO_ROW_OK] = "ok", [MIO_ROW_TAINTED] = "tainted", [MIO_ROW_UNCONFIRMED] = "unconfirmed"};
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 7);
    struct mio_pair all[] = {{MIO_STR("id"), mio_string(r->id)},
                             {MIO_STR("status"), mio_string_z(statuses[r->status])},
                             {MIO_STR("provider"), mio_string(r->provider)},
                             {MIO_STR("inputs"), r->inputs},
                             {MIO_STR("attributes"), r->attributes},
                             {MIO_STR("content"), r->content},
                             {MIO_STR("dependencies"), r->dependencies}};
    memcpy(pairs, all, sizeof all);
    return mio_map(pairs, 7);
}

static enum mio_code put_row(struct page *p, const struct mio_row_diff *d)
{
    const struct mio_row *row = d->to ? d->to : d->from;
    struct mio_cli *c = p->c;
    const char *action = !d->from ? "added" : !d->to ? "removed" : "changed";
    struct mio_pen pen = mio_out_pen(&c->out);
    struct mio_record from, to;
    struct mio_err err = {0};
    if (p->json) {
        mio_jout_item(p->json);
        mio_jout_open(p->json, '{');
        mio_jout_kstr(p->json, "address", row->address);
        if (row->deposed.n)
            mio_jout_kstr(p->json, "deposed", row->deposed);
        mio_jout_kz(p->json, "action", action);
        mio_jout_key(p->json, "changes");
        mio_jout_open(p->json, '[');
    } else {
        mio_put_symbol(&pen, 1, !d->from ? "+" : !d->to ? "-" : "~");
        mio_put_safe(pen.b, row->address);
        if (row->deposed.n)
            mio_buf_printf(pen.b, " (deposed object %.*s)", MIO_FMT(row->deposed));
        mio_buf_char(pen.b, '\n');
    }
    if (d->from && d->to) {
        if (mio_row_read(&c->arena, d->from, &from, &err) ||
            mio_row_read(&c->arena, d->to, &to, &err))
            return mio_cli_fail(c, &err);
        mio_leaf_diff(shown(&c->arena, &from), shown(&c->arena, &to), put_leaf, p);
    }
    if (p->json) {
        mio_jout_close(p->json, ']');
        mio_jout_close(p->json, '}');
    }
    return MIO_OK;
}

enum mio_code mio_cmd_state_diff(struct mio_cli *c)
{
    struct mio_state from, to;
    struct mio_row_diff *rows;
    size_t n = 0;
    struct mio_jout j = {.b = &c->out.buf};
    struct page p = {c, mio_cli_on(c, MIO_OPT_JSON) ? &j : NULL};
    struct mio_store *s = NULL;
    enum mio_code code = mio_cli_store(c, MIO_OPEN_READ, &s);
    if (!code)
        code = read_one(c, s, c->args[0], &from);
    if (!code)
        code = read_one(c, s, c->args[1], &to);
    if (code)
        return code;
    mio_state_diff(&c->arena, &from, &to, &rows, &n);
    if (p.json)
        mio_jout_open(&j, '[');
    for (size_t i = 0; i < n && !code; i++)
        code = put_row(&p, &rows[i]);
    if (p.json) {
        mio_jout_close(&j, ']');
        mio_buf_char(j.b, '\n');
    } else if (n == 0) {
        mio_ui_note(&c->ui, "They record the same.");
    }
    c->differs = n > 0;
    return code;
}
