/* cli/cmd_docs.c: the manual page and docs/cli.md, made from the tables. */
#include "cli/markdown.h"
#include "cli/session.h"

static const struct {
    const char *name, *help;
} variables[] = {
    {"MLOPS_IAC_VAR_name",
     "Value of the template variable \"name\"; -var and -var-file win over it."},
    {"MLOPS_IAC_CLI_ARGS", "Options put in front of those of every command."},
    {"MLOPS_IAC_CLI_ARGS_command", "The same for one command: MLOPS_IAC_CLI_ARGS_plan, "
                                   "MLOPS_IAC_CLI_ARGS_state_list."},
    {"MLOPS_IAC_IN_AUTOMATION", "Not empty: no advice about what to type next."},
    {"MLOPS_IAC_LOG", "Log level: trace, debug, info, warn (the default), error or off."},
    {"MLOPS_IAC_LOG_PATH", "File that the log is appended to instead of standard error."},
    {"MLOPS_IAC_MAX_INSTANCES", "Most resource instances that a plan may have. Default: 100000."},
    {"MLOPS_IAC_STATE_KEY",
     "Key that the state is sealed with: 64 hex digits or base64 of 32 bytes. "
     "Taken out of the environment at the start."},
    {"MLOPS_IAC_STATE_KEY_FILE", "File with such a key; nobody else may be able to read it."},
    {"MLOPS_IAC_STATE_PASSPHRASE", "Passphrase of at least 16 characters, instead of a key."},
    {"MLOPS_IAC_STATE_OLD_KEY", "What the state was sealed with before (also ..._OLD_KEY_FILE and "
                                "..._OLD_PASSPHRASE): only reads."},
    {"MLOPS_IAC_ENCRYPTION_ENFORCED", "true: a state in clear is refused and none is written."},
    {"MLOPS_IAC_BACKEND_name", "Credentials of the backend: USERNAME, PASSWORD, CONN_STR, "
                               "ACCESS_KEY, SECRET_KEY, SAS_TOKEN and others; docs/state.md lists "
                               "them."},
    {"XDG_STATE_HOME", "Folder of this user's notes on states seen last. Default: "
                       "$HOME/.local/state."},
    {"NO_COLOR", "Not empty: no colour."},
};

/* Name with its argument: "-out=FILE". */
static void put_option_name(struct mio_buf *b, const struct mio_option *o)
{
    mio_buf_printf(b, "-%s", o->name);
    if (o->arg)
        mio_buf_printf(b, "=%s", o->arg);
}

static void put_option_text(struct mio_buf *b, const struct mio_option *o)
{
    mio_buf_z(b, o->help);
    if (o->choices) {
        mio_buf_z(b, " One of: ");
        for (const char *p = o->choices; *p; p++) {
            if (*p == '|')
                mio_buf_z(b, ", ");
            else
                mio_buf_char(b, *p);
        }
        mio_buf_char(b, '.');
    }
    if (o->dflt)
        mio_buf_printf(b, " Default: %s.", o->dflt);
    if (o->env)
        mio_buf_printf(b, " Environment: %s.", o->env);
}

/* ---- man ---- */

/* Dashes are minus signs, a leading dot or quote is no request. */
static void put_roff(struct mio_buf *b, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool first = p == text || p[-1] == '\n';
        if (*p == '\n' && p[1] == '\n') {
            mio_buf_z(b, "\n.PP");
            p++;
        }
        if (first && (*p == '.' || *p == '\''))
            mio_buf_z(b, "\\&");
        if (*p == '-' || *p == '\\')
            mio_buf_char(b, '\\');
        mio_buf_char(b, *p);
    }
    mio_buf_char(b, '\n');
}

static void put_man_options(struct mio_buf *b, uint64_t set)
{
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (!(set >> i & 1))
            continue;
        MIO_AUTO_BUF name = {0}, text = {0};
        put_option_name(&name, &mio_option_table[i]);
        put_option_text(&text, &mio_option_table[i]);
        mio_buf_z(b, ".TP\n.B ");
        put_roff(b, name.p);
        put_roff(b, text.p);
    }
}

static void put_man_command(struct mio_buf *b, const struct mio_command *c)
{
    mio_buf_z(b, ".SS ");
    put_roff(b, c->name);
    mio_buf_z(b, ".B mlops\\-iac ");
    MIO_AUTO_BUF usage = {0};
    mio_buf_printf(&usage, "%s%s%s%s", c->name, c->options ? " [options]" : "", c->args ? " " : "",
                   c->args ? c->args : "");
    put_roff(b, usage.p);
    mio_buf_z(b, ".PP\n");
    put_roff(b, c->text);
    put_man_options(b, c->options);
}

void mio_docs_man(struct mio_buf *b)
{
    mio_buf_z(b,
              ".TH MLOPS\\-IAC 1 \"\" \"mlops\\-iac " MIO_VERSION "\"\n"
              ".SH NAME\nmlops\\-iac \\- provision machine\\-learning platforms from templates\n"
              ".SH SYNOPSIS\n.B mlops\\-iac\n[global options] COMMAND [options] [arguments]\n"
              ".SH DESCRIPTION\n"
              "Reads YAML templates, compares them with the recorded state and with reality, and "
              "applies the difference through provider plugins.\n"
              "Options may be written with one dash or two, as \\-name=value or \\-name value, "
              "before or after the arguments.\n"
              ".SH GLOBAL OPTIONS\n");
    put_man_options(b, MIO_OPTS_GLOBAL);
    mio_buf_z(b, ".SH COMMANDS\n");
    for (size_t i = 0; i < mio_command_count; i++) {
        if (!(mio_command_table[i].flags & MIO_CMD_HIDDEN))
            put_man_command(b, &mio_command_table[i]);
    }
    mio_buf_z(b, ".SH EXIT STATUS\n.TP\n.B 0\nDone.\n.TP\n.B 1\nError.\n.TP\n.B 2\n"
                 "With \\-detailed\\-exitcode: done, and there are changes or drift.\n.PP\n"
                 "With \\-exit\\-codes=fine errors say who must act:\n");
    for (int code = MIO_USAGE; code <= MIO_BUG; code++) {
        mio_buf_printf(b, ".TP\n.B %d\n", mio_exit_status((enum mio_code)code, true));
        put_roff(b, mio_exit_meaning((enum mio_code)code));
    }
    mio_buf_z(b, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        mio_buf_z(b, ".TP\n.B ");
        put_roff(b, variables[i].name);
        put_roff(b, variables[i].help);
    }
    mio_buf_z(b, ".PP\nOptions name their own variables above.\n");
}

/* ---- Markdown ---- */

static void put_option_links(struct mio_buf *b, uint64_t set)
{
    bool some = false;
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (!(set >> i & 1))
            continue;
        mio_buf_z(b, some ? ", `" : "Options: `");
        put_option_name(b, &mio_option_table[i]);
        mio_buf_char(b, '`');
        some = true;
    }
    if (some)
        mio_buf_z(b, ".\n\n");
}

void mio_docs_markdown(struct mio_buf *b)
{
    mio_buf_z(
        b,
        "# Command line\n\nMade by `mlops-iac docs markdown` from the tables of the program.\n\n"
        "Options may be written with one dash or two, as `-name=value` or `-name value`, before "
        "or after the\narguments. Every command also takes the global options.\n\n## Commands\n\n");
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        if (c->flags & MIO_CMD_HIDDEN)
            continue;
        mio_buf_printf(b, "### %s\n\n`mlops-iac %s%s%s%s`: %s.\n\n", c->name, c->name,
                       c->options ? " [options]" : "", c->args ? " " : "", c->args ? c->args : "",
                       c->summary);
        mio_put_folded(b, c->text, 0, 110);
        mio_buf_char(b, '\n');
        put_option_links(b, c->options);
    }
    mio_buf_z(b, "## Options\n\n| option | meaning |\n|---|---|\n");
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        MIO_AUTO_BUF text = {0};
        mio_buf_z(b, "| `");
        put_option_name(b, &mio_option_table[i]);
        mio_buf_z(b, MIO_OPTS_GLOBAL >> i & 1 ? "` (global) | " : "` | ");
        put_option_text(&text, &mio_option_table[i]);
        mio_md_cell(b, mio_buf_view(&text));
        mio_buf_z(b, " |\n");
    }
    mio_buf_z(b,
              "\n## Exit status\n\n| status | meaning |\n|---|---|\n| 0 | done |\n| 1 | error |\n"
              "| 2 | with `-detailed-exitcode`: done, and there are changes or drift |\n");
    for (int code = MIO_USAGE; code <= MIO_BUG; code++)
        mio_buf_printf(b, "| %d | with `-exit-codes=fine`, instead of 1: %s |\n",
                       mio_exit_status((enum mio_code)code, true),
                       mio_exit_meaning((enum mio_code)code));
    mio_buf_z(b, "\n## Environment\n\n| variable | meaning |\n|---|---|\n");
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        mio_buf_printf(b, "| `%s` | %s |\n", variables[i].name, variables[i].help);
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (mio_option_table[i].env)
            mio_buf_printf(b, "| `%s` | Default of `-%s`. |\n", mio_option_table[i].env,
                           mio_option_table[i].name);
    }
}

static enum mio_code put_module(struct mio_cli *c)
{
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        mio_docs_module(&c->arena, &c->out.buf, mio_engine_template(c->engine));
    return code;
}

/* Every type of provider once, in the order of the template's instances. */
static enum mio_code put_providers(struct mio_cli *c)
{
    const struct mio_schema *const *schemas;
    size_t n;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_report(c, mio_engine_schemas(c->engine, &schemas, &n));
    for (size_t i = 0; !code && i < n; i++)
        mio_docs_provider(&c->out.buf, schemas[i]);
    return code;
}

enum mio_code mio_cmd_docs(struct mio_cli *c)
{
    if (mio_str_is(mio_str_z(c->args[0]), "man"))
        mio_docs_man(&c->out.buf);
    else if (mio_str_is(mio_str_z(c->args[0]), "markdown"))
        mio_docs_markdown(&c->out.buf);
    else if (mio_str_is(mio_str_z(c->args[0]), "functions"))
        mio_docs_functions(&c->out.buf);
    else if (mio_str_is(mio_str_z(c->args[0]), "module"))
        return put_module(c);
    else if (mio_str_is(mio_str_z(c->args[0]), "provider"))
        return put_providers(c);
    else
        return mio_cli_usage(c, "There are man, markdown, functions, module and provider.",
                             "no manual as \"%s\"", c->args[0]);
    return MIO_OK;
}
