/* cli/cmd_help.c: help, and what is said of a command that does not exist. */
#include "cli/session.h"

enum mio_code mio_help_unknown(struct mio_cli *c, struct mio_str name, const char *group)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_USAGE, "there is no command \"%.*s\"", MIO_FMT(name));
    struct mio_str near = mio_command_nearest(name);
    if (near.n)
        mio_err_hint(&err, "Did you mean '%.*s'?", MIO_FMT(near));
    mio_err_hint(&err, "'mlops-iac %s%s-help' lists %s.", group, *group ? " " : "",
                 *group ? "its commands" : "the commands");
    return mio_cli_fail(c, &err);
}

/* "help", "help plan", "help state", "help state list" */
enum mio_code mio_cmd_help(struct mio_cli *c)
{
    size_t used = 0;
    const struct mio_command *found = mio_command_find(c->args, c->nargs, &used);
    if (!c->nargs)
        mio_help_overview(&c->out.buf);
    else if (found && used == c->nargs)
        mio_help_command(&c->out.buf, found);
    else if (c->nargs == 1 && mio_command_is_group(mio_str_z(c->args[0])))
        mio_help_group(&c->out.buf, mio_str_z(c->args[0]));
    else if (c->nargs == 1)
        return mio_help_unknown(c, mio_str_z(c->args[0]), "");
    else
        return mio_help_unknown(c, mio_arena_printf(&c->arena, "%s %s", c->args[0], c->args[1]),
                                mio_command_is_group(mio_str_z(c->args[0])) ? c->args[0] : "");
    return MIO_OK;
}
