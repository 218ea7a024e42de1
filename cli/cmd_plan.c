/* cli/cmd_plan.c: plan. */
#include "cli/apply.h"
#include "cli/render_plan.h"

static void put_advice(struct mio_cli *c, const char *out, bool proposes)
{
    if (out) {
        mio_ui_note(&c->ui, "Saved the plan to: %s", out);
        if (!c->automation)
            mio_ui_note(&c->ui,
                        "\nTo perform exactly these actions, run:\n    mlops-iac apply \"%s\"",
                        out);
    } else if (proposes && !c->automation) {
        mio_ui_note(&c->ui,
                    "Note: this plan was not saved (-out=FILE), so a later apply makes its own, "
                    "which\nmay differ.");
    }
}

enum mio_code mio_cmd_plan(struct mio_cli *c)
{
    const struct mio_plan *plan = NULL;
    enum mio_plan_mode mode = MIO_PLAN_NORMAL;
    const char *out = mio_cli_text(c, MIO_OPT_OUT);
    enum mio_code code = mio_cli_mode(c, &mode);
    if (!code)
        code = mio_cli_open(c, MIO_OPEN_PLAN);
    if (code)
        return code;
    code = mio_cli_plan(c, mode, &plan);
    if (!code && plan)
        mio_ui_plan(&c->ui, plan, mio_cli_on(c, MIO_OPT_SUMMARY));
    code = mio_cli_report(c, code);
    if (code || !plan)
        return code;
    if (out)
        code = mio_cli_report(c, mio_engine_save_plan(c->engine, out));
    if (!code)
        put_advice(c, out, mio_plan_proposes(plan));
    c->differs = mio_plan_proposes(plan);
    return code;
}
