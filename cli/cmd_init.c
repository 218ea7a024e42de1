/* cli/cmd_init.c: init. */
#include "cli/session.h"

static enum mio_code set_up_backend(struct mio_cli *c)
{
    const struct mio_optval *given = &c->opt.v[MIO_OPT_BACKEND_CONFIG];
    struct mio_backend_init o = {.config = given->list,
                                 .nconfig = given->n,
                                 .migrate = mio_cli_on(c, MIO_OPT_MIGRATE_STATE),
                                 .reconfigure = mio_cli_on(c, MIO_OPT_RECONFIGURE)};
    struct mio_backend_done done;
    if (!mio_cli_on(c, MIO_OPT_BACKEND))
        return MIO_OK;
    if (o.migrate && o.reconfigure)
        return mio_cli_usage(c, NULL, "-migrate-state and -reconfigure exclude each other");
    enum mio_code code = mio_cli_report(c, mio_engine_init_backend(c->engine, &o, &done));
    if (code || !done.changed)
        return code;
    mio_ui_note(&c->ui, "The state is kept by the backend %.*s.%s", MIO_FMT(done.type),
                done.moved ? " It was moved there; what the old backend has stays as it is." : "");
    return MIO_OK;
}

enum mio_code mio_cmd_init(struct mio_cli *c)
{
    struct mio_lockfile lock = {0};
    bool readonly = mio_cli_text(c, MIO_OPT_LOCKFILE) != NULL;
    if (readonly && mio_cli_on(c, MIO_OPT_UPGRADE))
        return mio_cli_usage(c, NULL, "-upgrade and -lockfile=readonly exclude each other");
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    code = set_up_backend(c);
    if (code)
        return code;
    mio_ui_note(&c->ui, "Initializing provider plugins...");
    code = mio_engine_init(c->engine, mio_cli_on(c, MIO_OPT_UPGRADE), readonly, &lock);
    for (size_t i = 0; !code && i < lock.n; i++) {
        const struct mio_lock_entry *e = &lock.items[i];
        struct mio_str digest = mio_str_sub(e->sha256, 0, 12);
        mio_ui_note(&c->ui, "- %.*s %.*s (sha256:%.*s...)", MIO_FMT(e->type), MIO_FMT(e->version),
                    MIO_FMT(digest));
    }
    code = mio_cli_report(c, code);
    if (code)
        return code;
    mio_ui_note(&c->ui, "\nmlops-iac has been initialized.");
    if (!c->automation)
        mio_ui_note(&c->ui,
                    "\n'mlops-iac plan' shows what would be changed. Keep the lock file under "
                    "version\ncontrol, so that every run uses the same plugins.");
    return MIO_OK;
}
