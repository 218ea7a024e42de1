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
    code = mio_cli_plan(c, MIO_PLAN_REFRESH_ONLY, &plan);
    if (plan && plan->whole && mio_engine_state(c->engine, &state) == MIO_OK)
        mio_ui_drift(&c->ui, plan, state->nrows, mio_cli_on(c, MIO_OPT_SUMMARY));
    code = mio_cli_report(c, code); /* what could not be looked at */
    c->differs = !code && plan && plan->ndrift > 0;
    return code;
}
