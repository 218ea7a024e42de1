/* cli/cmd_show.c: show: the state, or a saved plan. */
#include "cli/render_json.h"
#include "cli/render_plan.h"
#include "cli/render_review.h"
#include "cli/document.h"
#include "cli/session.h"

static enum mio_code show_plan(struct mio_cli *c, const char *path)
{
    struct mio_planfile f;
    enum mio_code code = mio_cli_read_plan(c, path, &f);
    if (code)
        return code;
    if (mio_cli_on(c, MIO_OPT_JSON)) {
        mio_plan_json(&c->out.buf, &c->arena, &f.plan, f.digest);
        mio_buf_char(&c->out.buf, '\n');
        return MIO_OK;
    }
    struct mio_pen pen = mio_out_pen(&c->out);
    mio_render_plan(&pen, &f.plan, mio_cli_on(c, MIO_OPT_SUMMARY));
    mio_render_planfile(&pen, &f);
    return MIO_OK;
}

enum mio_code mio_cmd_show(struct mio_cli *c)
{
    struct mio_state *state = NULL;
    struct mio_err err = {0};
    if (mio_cli_on(c, MIO_OPT_AZUREML))
        return c->nargs ? mio_cli_show_document(c, c->args[0])
                        : mio_cli_usage(c, NULL, "-azureml needs the address of a resource");
    if (c->nargs)
        return show_plan(c, c->args[0]);
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_state(c, &state);
    if (code)
        return code;
    struct mio_pen pen = mio_out_pen(&c->out);
    bool json = mio_cli_on(c, MIO_OPT_JSON);
    code = json ? mio_state_json(pen.b, &c->arena, state, &err)
                : mio_state_text(&pen, &c->arena, state, &err);
    if (code) {
        mio_buf_reset(pen.b); /* half a document is none */
        return mio_cli_fail(c, &err);
    }
    if (json)
        mio_buf_char(pen.b, '\n');
    return MIO_OK;
}
