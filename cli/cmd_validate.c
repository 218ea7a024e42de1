/* cli/cmd_validate.c: validate. */
#include "cli/render_diag.h"
#include "cli/document.h"
#include "cli/session.h"

static void put_document(struct mio_cli *c)
{
    struct mio_jout out = {.b = &c->out.buf, .pretty = true}, *j = &out;
    const struct mio_diags *d = c->diags;
    size_t n = d ? d->n : 0, errors = d ? d->errors : 0;
    mio_jout_open(j, '{');
    mio_jout_kz(j, "format_version", "1.0");
    mio_jout_kbool(j, "valid", errors == 0);
    mio_jout_ku64(j, "error_count", errors);
    mio_jout_ku64(j, "warning_count", n - errors);
    mio_jout_key(j, "diagnostics");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        mio_jout_item(j);
        mio_diag_json(j, &d->items[i], c->sources);
    }
    mio_jout_close(j, ']');
    mio_jout_close(j, '}');
    mio_buf_char(&c->out.buf, '\n');
}

enum mio_code mio_cmd_validate(struct mio_cli *c)
{
    bool json = mio_cli_on(c, MIO_OPT_JSON);
    if (c->nargs)
        return mio_cli_documents(c);
    c->collect = json;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_report(c, mio_engine_validate(c->engine));
    if (json && c->diags)
        put_document(c);
    else if (!code)
        mio_ui_note(&c->ui, "Success! The template is valid%s.",
                    c->diags && c->diags->n ? ", but see the warnings above" : "");
    return code;
}
