/* cli/cmd_state.c: state list, show and pull: what only reads. */
#include "cli/render_json.h"
#include "cli/session.h"
#include "planner/graph/address.h"

static enum mio_code open_state(struct mio_cli *c, struct mio_state **out)
{
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    return code ? code : mio_cli_state(c, out);
}

static bool is_asked(const struct mio_cli *c, const struct mio_row *row, bool *used)
{
    const char *id = mio_cli_text(c, MIO_OPT_ID);
    bool asked = c->nargs == 0;
    for (size_t i = 0; i < c->nargs; i++) {
        if (!mio_address_covers(mio_str_z(c->args[i]), row->address))
            continue;
        used[i] = true;
        asked = true;
    }
    return asked && (!id || mio_str_is(row->id, id));
}

static void put_row(struct mio_cli *c, const struct mio_row *row, struct mio_jout *j)
{
    static const char *const statuses[] = {
        [MIO_ROW_OK] = "ok", [MIO_ROW_TAINTED] = "tainted", [MIO_ROW_UNCONFIRMED] = "unconfirmed"};
    if (!mio_cli_on(c, MIO_OPT_JSON)) {
        mio_put_safe(&c->out.buf, row->address);
        if (row->deposed.n)
            mio_buf_printf(&c->out.buf, " (deposed object %.*s)", MIO_FMT(row->deposed));
        mio_buf_char(&c->out.buf, '\n');
        return;
    }
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "address", row->address);
    mio_jout_kstr(j, "kind", row->kind);
    mio_jout_kstr(j, "provider", row->provider);
    mio_jout_kstr(j, "id", row->id);
    mio_jout_kz(j, "status", statuses[row->status]);
    if (row->deposed.n)
        mio_jout_kstr(j, "deposed", row->deposed);
    mio_jout_close(j, '}');
}

enum mio_code mio_cmd_state_list(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    enum mio_code code = open_state(c, &s);
    if (code)
        return code;
    struct mio_jout j = {.b = &c->out.buf};
    bool json = mio_cli_on(c, MIO_OPT_JSON), *used = MIO_NEW_N(&c->arena, bool, c->nargs + 1);
    if (json)
        mio_jout_open(&j, '[');
    for (size_t i = 0; i < s->nrows; i++) {
        if (is_asked(c, &s->rows[i], used))
            put_row(c, &s->rows[i], &j);
    }
    if (json) {
        mio_jout_close(&j, ']');
        mio_buf_char(j.b, '\n');
    }
    for (size_t i = 0; i < c->nargs; i++) {
        if (!used[i])
            code = mio_cli_usage(c, "'mlops-iac state list' shows what is recorded.",
                                 "nothing in the state matches %s", c->args[i]);
    }
    return code;
}

enum mio_code mio_cmd_state_show(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    struct mio_err err = {0};
    enum mio_code code = open_state(c, &s);
    if (code)
        return code;
    const struct mio_row *row = mio_state_find(s, mio_str_z(c->args[0]), MIO_STR(""));
    if (!row)
        return mio_cli_usage(c, "'mlops-iac state list' shows what is recorded.",
                             "there is no resource instance %s in the state", c->args[0]);
    struct mio_pen pen = mio_out_pen(&c->out);
    struct mio_jout j = {.b = &c->out.buf};
    if (mio_cli_on(c, MIO_OPT_JSON)) {
        code = mio_row_json(&j, &c->arena, row, &err);
        mio_buf_char(j.b, '\n');
    } else {
        code = mio_row_text(&pen, &c->arena, row, &err);
    }
    return code ? mio_cli_fail(c, &err) : MIO_OK;
}

enum mio_code mio_cmd_state_pull(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    enum mio_code code = open_state(c, &s);
    if (!code && s->serial) {
        mio_state_mask(s);
        c->out.exact = true;
        mio_state_write(&c->out.buf, s);
    }
    return code;
}
