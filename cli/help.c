/* cli/help.c: help texts from the command and option tables. */
#include "cli/command.h"
#include "cli/out.h"

enum { WIDTH = 80, COLUMN = 26 };

/* "  name    text", the text folded in its column. */
static void put_row(struct mio_buf *b, const char *name, const char *text, size_t column)
{
    MIO_AUTO_BUF folded = {0};
    size_t used = strlen(name) + 2;
    mio_buf_printf(b, "  %s", name);
    mio_put_folded(&folded, text, column, WIDTH);
    struct mio_str rest = mio_buf_view(&folded);
    if (used + 1 < column) {
        mio_buf_pad(b, ' ', column - used);
        rest = mio_str_sub(rest, column, rest.n);
    } else {
        mio_buf_char(b, '\n');
    }
    mio_buf_str(b, rest);
}

static void put_option(struct mio_buf *b, const struct mio_option *o)
{
    MIO_AUTO_BUF name = {0}, text = {0};
    mio_buf_printf(&name, "-%s", o->name);
    if (o->arg)
        mio_buf_printf(&name, "=%s", o->arg);
    mio_buf_z(&text, o->help);
    if (o->choices)
        mio_buf_printf(&text, " One of: %s.", o->choices);
    if (o->dflt)
        mio_buf_printf(&text, " Default: %s.", o->dflt);
    put_row(b, name.p, text.p, COLUMN);
}

static void put_options(struct mio_buf *b, const char *title, uint64_t set)
{
    if (!set)
        return;
    mio_buf_printf(b, "\n%s:\n\n", title);
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (set >> i & 1)
            put_option(b, &mio_option_table[i]);
    }
}

static void put_commands(struct mio_buf *b, struct mio_str group)
{
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        struct mio_str name = mio_str_z(c->name);
        bool inside = !group.n || (mio_str_starts(name, group.p) && name.p[group.n] == ' ');
        if (inside && !(c->flags & MIO_CMD_HIDDEN))
            put_row(b, c->name, c->summary, 17);
    }
}

void mio_help_overview(struct mio_buf *b)
{
    mio_buf_z(b, "Usage: mlops-iac [global options] COMMAND [options] [arguments]\n\n"
                 "Provisions machine-learning platforms from templates.\n\nCommands:\n\n");
    put_commands(b, MIO_STR(""));
    put_options(b, "Global options, before or after the command", MIO_OPTS_GLOBAL);
    mio_buf_z(b, "\n'mlops-iac COMMAND -help' says more of a command.\n");
}

void mio_help_group(struct mio_buf *b, struct mio_str group)
{
    mio_buf_printf(b, "Usage: mlops-iac %.*s SUBCOMMAND [options] [arguments]\n\nCommands:\n\n",
                   MIO_FMT(group));
    put_commands(b, group);
}

void mio_help_command(struct mio_buf *b, const struct mio_command *c)
{
    mio_buf_printf(b, "Usage: mlops-iac %s%s%s%s\n\n", c->name, c->options ? " [options]" : "",
                   c->args ? " " : "", c->args ? c->args : "");
    mio_put_folded(b, c->text, 2, WIDTH);
    put_options(b, "Options", c->options);
    put_options(b, "Global options", MIO_OPTS_GLOBAL);
}
