/* cli/cmd_completion.c: completion scripts for bash, zsh and fish, made from the command and option
 * tables. Addresses are completed by asking `state list`. */
#include "cli/session.h"

/* First words of commands that have two. */
static const struct {
    const char *name, *summary;
} groups[] = {
    {"state", "Look at and edit the recorded state"},
    {"env", "Lock, build, check and publish environments"},
};
enum { NGROUPS = sizeof groups / sizeof *groups };

/* "state SEPARATOR env" */
static void put_groups(struct mio_buf *b, const char *separator)
{
    for (size_t i = 0; i < NGROUPS; i++)
        mio_buf_printf(b, "%s%s", i ? separator : "", groups[i].name);
}

static bool is_visible(const struct mio_command *c)
{
    return !(c->flags & MIO_CMD_HIDDEN);
}

static void put_option_words(struct mio_buf *b, uint64_t set)
{
    bool some = false;
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        const struct mio_option *o = &mio_option_table[i];
        if (!(set >> i & 1))
            continue;
        mio_buf_printf(b, "%s-%s%s", some ? " " : "", o->name, o->type == MIO_OPT_BOOL ? "" : "=");
        some = true;
    }
}

/* First words of all commands, or the second ones of a group. */
static void put_command_words(struct mio_buf *b, struct mio_str group)
{
    struct mio_str last = {0};
    for (size_t i = 0; i < mio_command_count; i++) {
        struct mio_str name = mio_str_z(mio_command_table[i].name);
        ptrdiff_t blank = mio_str_find(name, ' ');
        struct mio_str first = mio_str_sub(name, 0, blank < 0 ? name.n : (size_t)blank);
        struct mio_str word = group.n ? mio_str_sub(name, (size_t)(blank + 1), name.n) : first;
        bool wanted = group.n ? blank > 0 && mio_str_eq(first, group) : !mio_str_eq(first, last);
        last = first;
        if (wanted && is_visible(&mio_command_table[i]))
            mio_buf_printf(b, "%.*s ", MIO_FMT(word));
    }
}

/* ---- bash ---- */

static void put_bash(struct mio_buf *b)
{
    mio_buf_z(b, "# bash completion of mlops-iac; made by 'mlops-iac completion bash'\n"
                 "_mlops_iac() {\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} cmd= word opts i\n"
                 "    local line=${COMP_LINE:0:COMP_POINT}\n"
                 "    COMPREPLY=()\n"
                 "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                 "        word=${COMP_WORDS[i]}\n"
                 "        [[ $word == -* || $word == = || ${COMP_WORDS[i-1]} == = ]] && continue\n"
                 "        if [[ -z $cmd ]]; then cmd=$word; [[ $cmd == @(");
    put_groups(b, "|");
    mio_buf_z(b, ") ]] || break\n"
                 "        else cmd=\"$cmd $word\"; break; fi\n"
                 "    done\n"
                 "    case ${line##*[[:space:]]} in\n");
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        const struct mio_option *o = &mio_option_table[i];
        if (o->complete == MIO_DO_NOTHING && !o->choices)
            continue;
        mio_buf_printf(b, "        -%s=*|--%s=*)\n            cur=${line##*=}\n            ",
                       o->name, o->name);
        if (o->complete == MIO_DO_ADDRESS)
            mio_buf_z(b, "COMPREPLY=($(compgen -W \"$(mlops-iac state list 2>/dev/null)\" -- "
                         "\"$cur\"))");
        else if (o->complete != MIO_DO_NOTHING)
            mio_buf_printf(b, "COMPREPLY=($(compgen -%c -- \"$cur\"))",
                           o->complete == MIO_DO_DIR ? 'd' : 'f');
        else {
            mio_buf_z(b, "COMPREPLY=($(compgen -W \"");
            for (const char *p = o->choices; *p; p++)
                mio_buf_char(b, *p == '|' ? ' ' : *p);
            mio_buf_z(b, "\" -- \"$cur\"))");
        }
        mio_buf_z(b, "\n            return ;;\n");
    }
    mio_buf_z(b, "    esac\n    case $cmd in\n");
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        if (!is_visible(c))
            continue;
        mio_buf_printf(b, "        '%s') opts='", c->name);
        put_option_words(b, c->options | MIO_OPTS_GLOBAL);
        mio_buf_z(b, "' ;;\n");
    }
    mio_buf_z(b, "        '') opts='");
    put_option_words(b, MIO_OPTS_GLOBAL);
    mio_buf_z(b,
              "' ;;\n    esac\n"
              "    if [[ $cur == -* ]]; then\n"
              "        COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
              "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
              "    elif [[ -z $cmd || $cmd == help ]]; then\n        COMPREPLY=($(compgen -W \"");
    put_command_words(b, MIO_STR(""));
    mio_buf_z(b, "\" -- \"$cur\"))\n");
    for (size_t i = 0; i < NGROUPS; i++) {
        mio_buf_printf(b, "%s    elif [[ $cmd == %s ]]; then\n        COMPREPLY=($(compgen -W \"",
                       i ? "\" -- \"$cur\"))\n" : "", groups[i].name);
        put_command_words(b, mio_str_z(groups[i].name));
    }
    mio_buf_z(
        b, "\" -- \"$cur\"))\n"
           "    elif [[ $cmd == completion ]]; then\n"
           "        COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$cur\"))\n"
           "    elif [[ $cmd == 'state '* || $cmd == explain || $cmd == import ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$(mlops-iac state list 2>/dev/null)\" -- \"$cur\"))\n"
           "    else\n        COMPREPLY=($(compgen -f -- \"$cur\"))\n    fi\n}\n"
           "complete -F _mlops_iac mlops-iac\n");
}

/* ---- zsh ---- */

/* Inside single quotes and the brackets of _arguments. */
static void put_zsh_text(struct mio_buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            mio_buf_z(b, "'\\'");
        else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
            mio_buf_char(b, '\\');
        mio_buf_char(b, *text);
    }
}

static void put_zsh_option(struct mio_buf *b, const struct mio_option *o)
{
    static const char *const actions[] = {[MIO_DO_NOTHING] = "",
                                          [MIO_DO_FILE] = "_files",
                                          [MIO_DO_DIR] = "_files -/",
                                          [MIO_DO_ADDRESS] = "_mlops_iac_addresses"};
    mio_buf_printf(b, " \\\n        '%s-%s", o->type == MIO_OPT_LIST ? "*" : "", o->name);
    mio_buf_z(b, o->type == MIO_OPT_BOOL ? "[" : "=[");
    put_zsh_text(b, o->help);
    mio_buf_char(b, ']');
    if (o->choices) {
        mio_buf_printf(b, ":%s:(", o->arg);
        for (const char *p = o->choices; *p; p++)
            mio_buf_char(b, *p == '|' ? ' ' : *p);
        mio_buf_char(b, ')');
    } else if (o->type != MIO_OPT_BOOL) {
        mio_buf_printf(b, ":%s:%s", o->arg, actions[o->complete]);
    }
    mio_buf_char(b, '\'');
}

static void put_zsh_options(struct mio_buf *b, uint64_t set)
{
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (set >> i & 1)
            put_zsh_option(b, &mio_option_table[i]);
    }
}

static void put_zsh(struct mio_buf *b)
{
    mio_buf_z(
        b, "#compdef mlops-iac\n# zsh completion of mlops-iac; made by 'mlops-iac completion zsh'\n"
           "_mlops_iac_addresses() {\n    local -a found\n"
           "    found=(${(f)\"$(mlops-iac state list 2>/dev/null)\"})\n"
           "    compadd -a found\n}\n"
           "_mlops_iac() {\n    local cmd word\n    local -a names\n"
           "    for word in ${words[2,CURRENT-1]}; do\n"
           "        [[ $word == -* ]] && continue\n"
           "        if [[ -z $cmd ]]; then cmd=$word; [[ $cmd == (");
    put_groups(b, "|");
    mio_buf_z(b, ") ]] || break\n"
                 "        else cmd=\"$cmd $word\"; break; fi\n"
                 "    done\n    case $cmd in\n    '')\n        names=(\n");
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        if (is_visible(c) && !strchr(c->name, ' ')) {
            mio_buf_printf(b, "            '%s:", c->name);
            put_zsh_text(b, c->summary);
            mio_buf_z(b, "'\n");
        }
    }
    for (size_t i = 0; i < NGROUPS; i++)
        mio_buf_printf(b, "            '%s:%s'\n", groups[i].name, groups[i].summary);
    mio_buf_z(b, "        )\n        _describe command names\n        _arguments");
    put_zsh_options(b, MIO_OPTS_GLOBAL);
    mio_buf_z(b, " ;;\n");
    for (size_t i = 0; i < NGROUPS; i++) {
        mio_buf_printf(b, "    %s)\n        names=(", groups[i].name);
        put_command_words(b, mio_str_z(groups[i].name));
        mio_buf_z(b, ")\n        compadd -a names ;;\n");
    }
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        if (!is_visible(c))
            continue;
        mio_buf_printf(b, "    '%s')\n        _arguments", c->name);
        put_zsh_options(b, c->options | MIO_OPTS_GLOBAL);
        mio_buf_printf(b, " \\\n        '*: :%s' ;;\n",
                       strstr(c->args ? c->args : "", "ADDRESS") ? "_mlops_iac_addresses"
                       : mio_str_is(mio_str_z(c->name), "completion") ? "(bash zsh fish)"
                                                                      : "_files");
    }
    mio_buf_z(b, "    esac\n}\nif [[ $funcstack[1] == _mlops_iac ]]; then _mlops_iac \"$@\"\n"
                 "else compdef _mlops_iac mlops-iac; fi\n");
}

/* ---- fish ---- */

static void put_fish_text(struct mio_buf *b, const char *text)
{
    mio_buf_char(b, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            mio_buf_char(b, '\\');
        mio_buf_char(b, *text);
    }
    mio_buf_char(b, '\'');
}

static void put_fish_option(struct mio_buf *b, const char *condition, const struct mio_option *o)
{
    mio_buf_printf(b, "complete -c mlops-iac %s -o %s", condition, o->name);
    if (o->type != MIO_OPT_BOOL)
        mio_buf_z(b, o->complete == MIO_DO_FILE || o->complete == MIO_DO_DIR ? " -r -F" : " -x");
    if (o->complete == MIO_DO_ADDRESS)
        mio_buf_z(b, " -a '(mlops-iac state list 2>/dev/null)'");
    if (o->choices) {
        mio_buf_z(b, " -a '");
        for (const char *p = o->choices; *p; p++)
            mio_buf_char(b, *p == '|' ? ' ' : *p);
        mio_buf_char(b, '\'');
    }
    mio_buf_z(b, " -d ");
    put_fish_text(b, o->help);
    mio_buf_char(b, '\n');
}

/* A command of two words is offered once the first is there, its options once both are. */
static void put_fish_command(struct mio_buf *b, const struct mio_command *c)
{
    MIO_AUTO_BUF in = {0}, condition = {0};
    struct mio_str name = mio_str_z(c->name);
    ptrdiff_t blank = mio_str_find(name, ' ');
    struct mio_str group = mio_str_sub(name, 0, blank < 0 ? 0 : (size_t)blank);
    struct mio_str word = mio_str_sub(name, (size_t)(blank + 1), name.n);
    if (group.n) {
        mio_buf_printf(&in, "__fish_seen_subcommand_from %.*s", MIO_FMT(group));
        mio_buf_printf(b, "complete -c mlops-iac -n '%s; and not __fish_seen_subcommand_from ",
                       in.p);
        put_command_words(b, group);
    } else {
        mio_buf_z(&in, "not __fish_seen_subcommand_from ");
        put_groups(&in, " ");
        mio_buf_z(b, "complete -c mlops-iac -n '__fish_use_subcommand");
    }
    mio_buf_printf(b, "' -a %.*s -d ", MIO_FMT(word));
    put_fish_text(b, c->summary);
    mio_buf_char(b, '\n');
    mio_buf_printf(&condition, "-n '%s; and __fish_seen_subcommand_from %.*s'", in.p,
                   MIO_FMT(word));
    for (size_t k = 0; k < MIO_OPT_COUNT; k++) {
        if (c->options >> k & 1)
            put_fish_option(b, condition.p, &mio_option_table[k]);
    }
}

static void put_fish(struct mio_buf *b)
{
    mio_buf_z(b, "# fish completion of mlops-iac; made by 'mlops-iac completion fish'\n"
                 "complete -c mlops-iac -f\n");
    for (size_t i = 0; i < MIO_OPT_COUNT; i++) {
        if (MIO_OPTS_GLOBAL >> i & 1)
            put_fish_option(b, "", &mio_option_table[i]);
    }
    for (size_t i = 0; i < NGROUPS; i++)
        mio_buf_printf(b, "complete -c mlops-iac -n '__fish_use_subcommand' -a %s -d '%s'\n",
                       groups[i].name, groups[i].summary);
    for (size_t i = 0; i < mio_command_count; i++) {
        if (is_visible(&mio_command_table[i]))
            put_fish_command(b, &mio_command_table[i]);
    }
}

enum mio_code mio_cmd_completion(struct mio_cli *c)
{
    static const struct {
        const char *shell;
        void (*put)(struct mio_buf *b);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (mio_str_is(mio_str_z(shells[i].shell), c->args[0])) {
            shells[i].put(&c->out.buf);
            return MIO_OK;
        }
    }
    return mio_cli_usage(c, "There are bash, zsh and fish.", "no completion for \"%s\"",
                         c->args[0]);
}
