/* cli/cmd_drift.c: drift: a refresh-only plan that is shown and never applied; the engine is opened
 * read-only. */
#include "cli/session.h"

enum mio_code mio_cmd_drift(struct mio_cli *c)
{
    const struct mio_plan *plan = NULL;
    struct mio_state *state = NULL;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    code = mio_cli_report(c, mio_cli_plan(c, MIO_PLAN_REFRESH_ONLY, &plan));
    if (!code && plan)
        code = mio_cli_state(c, &state);
    if (code || !plan)
        return code;
    mio_ui_drift(&c->ui, plan, state->nrows, mio_cli_on(c, MIO_OPT_SUMMARY));
    c->differs = plan->ndrift > 0;
    return MIO_OK;
}
