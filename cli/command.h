/* cli/command.h: one row a command: name, arguments, options, help, function. */
#pragma once
#include "cli/option.h"

struct mio_cli;
enum mio_command_flags {
    MIO_CMD_STREAM =
        1, /* -json is the JSON stream (else a document that the command itself writes) */
    MIO_CMD_HIDDEN = 2, /* not in the list of commands */
    MIO_CMD_STATE = 4,  /* asks for the state alone: a broken template is no hindrance */
};
struct mio_command {
    const char *name;    /* "plan", "state list" */
    const char *args;    /* how the usage line shows them, "" for none */
    const char *summary; /* one line, no full stop */
    const char *text;    /* paragraphs, folded by the help */
    unsigned min_args, max_args;
    uint64_t options; /* MIO_OPT_BIT of what it takes besides MIO_OPTS_GLOBAL */
    unsigned flags;
    enum mio_code (*run)(struct mio_cli *c);
};
extern const struct mio_command mio_command_table[];
extern const size_t mio_command_count;

/* Command whose name is the first one or two words; *used: how many words that were. NULL when
 * there is none. */
const struct mio_command *mio_command_find(const char *const *words, size_t n, size_t *used);
/* Is it the first half of two-word commands ("state")? */
bool mio_command_is_group(struct mio_str word);
/* The name nearest to a misspelt one, or to one without its first word, or "". */
struct mio_str mio_command_nearest(struct mio_str word);

/* help.c: texts made from the tables. */
struct mio_buf;
void mio_help_overview(struct mio_buf *b);
void mio_help_group(struct mio_buf *b, struct mio_str group);
void mio_help_command(struct mio_buf *b, const struct mio_command *c);
/* cmd_help.c: NAME, of one word or of two, is no command; group: the first of two, or "". */
enum mio_code mio_help_unknown(struct mio_cli *c, struct mio_str name, const char *group);

/* cmd_docs.c: the manual page (roff) and docs/cli.md. */
void mio_docs_man(struct mio_buf *b);
void mio_docs_markdown(struct mio_buf *b);
/* docs_language.c: inputs and outputs of a template; the function table. */
struct mio_template;
void mio_docs_module(struct mio_arena *a, struct mio_buf *b, const struct mio_template *t);
void mio_docs_functions(struct mio_buf *b);
/* docs_provider.c: one page of a provider. */
struct mio_schema;
void mio_docs_provider(struct mio_buf *b, const struct mio_schema *s);

/* The functions, one file each. */
enum mio_code mio_cmd_apply(struct mio_cli *c);
enum mio_code mio_cmd_approve(struct mio_cli *c);
enum mio_code mio_cmd_completion(struct mio_cli *c);
enum mio_code mio_cmd_destroy(struct mio_cli *c);
enum mio_code mio_cmd_docs(struct mio_cli *c);
enum mio_code mio_cmd_console(struct mio_cli *c);
enum mio_code mio_cmd_drift(struct mio_cli *c);
enum mio_code mio_cmd_env_build(struct mio_cli *c);
enum mio_code mio_cmd_env_diff(struct mio_cli *c);
enum mio_code mio_cmd_env_drift(struct mio_cli *c);
enum mio_code mio_cmd_env_lock(struct mio_cli *c);
enum mio_code mio_cmd_env_push(struct mio_cli *c);
enum mio_code mio_cmd_env_export(struct mio_cli *c);
enum mio_code mio_cmd_env_pull(struct mio_cli *c);
enum mio_code mio_cmd_env_run(struct mio_cli *c);
enum mio_code mio_cmd_env_sbom(struct mio_cli *c);
enum mio_code mio_cmd_env_vendor(struct mio_cli *c);
enum mio_code mio_cmd_env_verify(struct mio_cli *c);
enum mio_code mio_cmd_explain(struct mio_cli *c);
enum mio_code mio_cmd_fmt(struct mio_cli *c);
enum mio_code mio_cmd_force_unlock(struct mio_cli *c);
enum mio_code mio_cmd_graph(struct mio_cli *c);
enum mio_code mio_cmd_help(struct mio_cli *c);
enum mio_code mio_cmd_import(struct mio_cli *c);
enum mio_code mio_cmd_init(struct mio_cli *c);
enum mio_code mio_cmd_output(struct mio_cli *c);
enum mio_code mio_cmd_plan(struct mio_cli *c);
enum mio_code mio_cmd_refresh(struct mio_cli *c);
enum mio_code mio_cmd_schema(struct mio_cli *c);
enum mio_code mio_cmd_show(struct mio_cli *c);
enum mio_code mio_cmd_state_at(struct mio_cli *c);
enum mio_code mio_cmd_state_diff(struct mio_cli *c);
enum mio_code mio_cmd_state_fsck(struct mio_cli *c);
enum mio_code mio_cmd_state_history(struct mio_cli *c);
enum mio_code mio_cmd_state_list(struct mio_cli *c);
enum mio_code mio_cmd_state_mv(struct mio_cli *c);
enum mio_code mio_cmd_state_pull(struct mio_cli *c);
enum mio_code mio_cmd_state_push(struct mio_cli *c);
enum mio_code mio_cmd_state_rekey(struct mio_cli *c);
enum mio_code mio_cmd_state_replace_provider(struct mio_cli *c);
enum mio_code mio_cmd_state_rm(struct mio_cli *c);
enum mio_code mio_cmd_state_show(struct mio_cli *c);
enum mio_code mio_cmd_test(struct mio_cli *c);
enum mio_code mio_cmd_validate(struct mio_cli *c);
enum mio_code mio_cmd_version(struct mio_cli *c);
