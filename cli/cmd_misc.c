/* cli/cmd_misc.c: the commands that are one call of the engine: import, force-unlock. */
#include "cli/session.h"

enum mio_code mio_cmd_import(struct mio_cli *c)
{
    struct mio_str address = mio_str_z(c->args[0]), id = mio_str_z(c->args[1]);
    enum mio_code code = mio_cli_open(c, MIO_OPEN_WRITE);
    if (code)
        return code;
    mio_ui_note(&c->ui, "%s: Importing from ID \"%s\"...", c->args[0], c->args[1]);
    code = mio_cli_report(c, mio_engine_import(c->engine, address, id));
    if (!code)
        mio_ui_note(&c->ui,
                    "\nImport successful! The object is recorded as %s and managed from now on.\n"
                    "'mlops-iac plan' shows where it differs from the template.",
                    c->args[0]);
    return code;
}

enum mio_code mio_cmd_force_unlock(struct mio_cli *c)
{
    enum mio_code code = MIO_OK;
    if (!mio_cli_on(c, MIO_OPT_FORCE))
        code = mio_cli_confirm(
            c, "Do you really want to remove the lock?",
            "Whoever holds it may still be writing. Be sure that its holder is gone.", "-force");
    if (!code)
        code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_report(c, mio_engine_force_unlock(c->engine, mio_str_z(c->args[0])));
    if (!code)
        mio_ui_note(&c->ui, "The state has been unlocked.");
    return code;
}
