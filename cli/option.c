/* cli/option.c: the option table and the parser that reads command lines by it. */
#include "cli/option.h"
#include "providers/sdk/clock.h"

const struct mio_option mio_option_table[MIO_OPT_COUNT] = {
    [MIO_OPT_ACCEPT_CLEAR] = {.name = "accept-clear",
                              .help =
                                  "Sealing is enforced: read what is still in clear, this once, "
                                  "to seal it."},
    [MIO_OPT_ACCEPT_ROLLBACK] = {.name = "accept-rollback",
                                 .help = "A state older than the one seen last was put back on "
                                         "purpose: go on with it."},
    [MIO_OPT_ALLOW_MISSING] = {.name = "allow-missing",
                               .help = "Succeed when the address is not in the state."},
    [MIO_OPT_AUTO_APPROVE] = {.name = "auto-approve",
                              .help = "Skip the question before anything is changed."},
    [MIO_OPT_AZUREML] = {.name = "azureml",
                         .help = "Write the Azure ML document that a resource came from."},
    [MIO_OPT_BACKEND] = {.name = "backend",
                         .dflt = "true",
                         .help = "Set up the backend of the state, too. -backend=false leaves it "
                                 "as it is."},
    [MIO_OPT_BACKEND_CONFIG] = {.name = "backend-config",
                                .type = MIO_OPT_LIST,
                                .arg = "KEY=VALUE",
                                .help = "A setting of the backend, over the template's; later "
                                        "runs go by it. May be repeated. Secrets are given in "
                                        "the environment."},
    [MIO_OPT_CHDIR] = {.name = "chdir",
                       .type = MIO_OPT_TEXT,
                       .arg = "DIR",
                       .complete = MIO_DO_DIR,
                       .help = "Switch to this directory before anything else."},
    [MIO_OPT_CHECK] = {.name = "check",
                       .help = "Change nothing; say what is not as it should be, and exit with an "
                               "error code: 3 for a file that is not in its form."},
    [MIO_OPT_COMPACT_WARNINGS] = {.name = "compact-warnings",
                                  .help = "Show warnings as one line each when there is no error."},
    [MIO_OPT_DESTROY] = {.name = "destroy", .help = "Plan to destroy everything that is managed."},
    [MIO_OPT_DETAILED_EXITCODE] = {.name = "detailed-exitcode",
                                   .help = "Exit with 0 when nothing differs, 1 on errors, 2 when "
                                           "there are changes (for drift: when reality differs)."},
    [MIO_OPT_DIFF] = {.name = "diff", .help = "Show what changes as a unified diff."},
    [MIO_OPT_DIR] = {.name = "dir",
                     .type = MIO_OPT_TEXT,
                     .arg = "DIR",
                     .env = "MLOPS_IAC_DIR",
                     .complete = MIO_DO_DIR,
                     .help =
                         "Template directory. Default: .cloud below the working directory, else "
                         "the working directory when it holds YAML files."},
    [MIO_OPT_DRY_RUN] = {.name = "dry-run", .help = "Say what would be done and do nothing."},
    [MIO_OPT_DURABILITY] = {.name = "durability",
                            .type = MIO_OPT_TEXT,
                            .arg = "MODE",
                            .env = "MLOPS_IAC_DURABILITY",
                            .choices = "full|plan",
                            .help = "full: every change is in the journal, durable, before it is "
                                    "sent. plan: creates that can be found again by their key are "
                                    "journalled once, before the first; cheaper, and a power cut "
                                    "makes the next run look all of them up. Default: as the "
                                    "backend's setting says, else full."},
    [MIO_OPT_E] = {.name = "e",
                   .type = MIO_OPT_LIST,
                   .arg = "NAME[=VALUE]",
                   .help =
                       "A variable of the command; without a value the one that is set here. May "
                       "be repeated."},
    [MIO_OPT_EXCLUDE] = {.name = "exclude",
                         .type = MIO_OPT_LIST,
                         .arg = "ADDRESS",
                         .complete = MIO_DO_ADDRESS,
                         .help = "Leave out this module, resource or instance, and what depends on "
                                 "it. May be repeated."},
    [MIO_OPT_EXIT_CODES] = {.name = "exit-codes",
                            .type = MIO_OPT_TEXT,
                            .arg = "SET",
                            .dflt = "plain",
                            .env = "MLOPS_IAC_EXIT_CODES",
                            .choices = "plain|fine",
                            .help =
                                "plain: every error exits with 1. fine: the exit status says who "
                                "must act (10 and above)."},
    [MIO_OPT_FILTER] = {.name = "filter",
                        .type = MIO_OPT_LIST,
                        .arg = "NAME",
                        .complete = MIO_DO_FILE,
                        .help = "Only this test file (NAME ends with .mlopstest.yaml) or step. May "
                                "be repeated."},
    [MIO_OPT_FORCE] = {.name = "force",
                       .help =
                           "Do not ask; for 'state push', take an older or another state, too."},
    [MIO_OPT_FORMAT] = {.name = "format",
                        .type = MIO_OPT_TEXT,
                        .arg = "FORMAT",
                        .dflt = "dot",
                        .choices = "dot|json|svg",
                        .help = "How the graph is written; svg needs Graphviz."},
    [MIO_OPT_GENERATE_CONFIG_OUT] = {.name = "generate-config-out",
                                     .type = MIO_OPT_TEXT,
                                     .arg = "FILE",
                                     .complete = MIO_DO_FILE,
                                     .help = "Write blocks for imports that have none to this new "
                                             "file, for you to review."},
    [MIO_OPT_HELP] = {.name = "help", .help = "Show the help of the command."},
    [MIO_OPT_ID] = {.name = "id",
                    .type = MIO_OPT_TEXT,
                    .arg = "ID",
                    .help = "Only resources with this identifier."},
    [MIO_OPT_INPUT] = {.name = "input",
                       .dflt = "true",
                       .env = "MLOPS_IAC_INPUT",
                       .help =
                           "Ask at the terminal where an answer is needed. With -input=false, or "
                           "without a terminal, a needed answer is an error."},
    [MIO_OPT_JSON] = {.name = "json", .help = "Write JSON to standard output."},
    [MIO_OPT_JSON_INTO] = {.name = "json-into",
                           .type = MIO_OPT_TEXT,
                           .arg = "FILE",
                           .complete = MIO_DO_FILE,
                           .help =
                               "Write what -json writes to this file, and the text for people to "
                               "standard output."},
    [MIO_OPT_JUNIT_XML] = {.name = "junit-xml",
                           .type = MIO_OPT_TEXT,
                           .arg = "FILE",
                           .complete = MIO_DO_FILE,
                           .help = "Write the results to this file as JUnit's XML, too."},
    [MIO_OPT_KEY] = {.name = "key",
                     .type = MIO_OPT_TEXT,
                     .arg = "FILE",
                     .complete = MIO_DO_FILE,
                     .env = "MLOPS_IAC_APPROVAL_KEY_FILE",
                     .help = "Your Ed25519 private key in PEM, closed to others."},
    [MIO_OPT_LIST_NAMES] = {.name = "list",
                            .dflt = "true",
                            .help = "Print the names of the files that are not in their form; of "
                                    "approve: those who approved, and how many are needed."},
    [MIO_OPT_LOCK] = {.name = "lock",
                      .dflt = "true",
                      .help =
                          "Hold the state lock. -lock=false is dangerous when others may work on "
                          "the same state."},
    [MIO_OPT_LOCKFILE] = {.name = "lockfile",
                          .type = MIO_OPT_TEXT,
                          .arg = "MODE",
                          .choices = "readonly",
                          .help =
                              "readonly: fail where the plugin lock file would have to change."},
    [MIO_OPT_LOCK_TIMEOUT] = {.name = "lock-timeout",
                              .type = MIO_OPT_TIME,
                              .arg = "TIME",
                              .dflt = "0s",
                              .env = "MLOPS_IAC_LOCK_TIMEOUT",
                              .help = "How long to wait for the state lock, such as 90s or 5m."},
    [MIO_OPT_MIGRATE_STATE] = {.name = "migrate-state",
                               .help = "The backend has changed: move the state and its history "
                                       "from the old one to the new one."},
    [MIO_OPT_NETWORK] = {.name = "network", .help = "Let the command reach the network."},
    [MIO_OPT_NO_COLOR] = {.name = "no-color",
                          .env = "MLOPS_IAC_NO_COLOR",
                          .help = "No colour. NO_COLOR in the environment does the same."},
    [MIO_OPT_NO_PATHS] = {.name = "no-paths",
                          .help = "Do not look whether the local paths in the files exist."},
    [MIO_OPT_OFFLINE] = {.name = "offline",
                         .help =
                             "Fetch nothing: everything is in the store or the vendored folder."},
    [MIO_OPT_OUT] = {.name = "out",
                     .type = MIO_OPT_TEXT,
                     .arg = "FILE",
                     .complete = MIO_DO_FILE,
                     .help = "Save the plan, to be applied as it is by 'apply FILE'; of an "
                             "environment, the new folder for its image or vendored inputs, or the "
                             "pylock.toml that 'env lock' writes."},
    [MIO_OPT_PARALLELISM] = {.name = "parallelism",
                             .type = MIO_OPT_NUMBER,
                             .arg = "N",
                             .dflt = "10",
                             .env = "MLOPS_IAC_PARALLELISM",
                             .help = "Most operations at the same time."},
    [MIO_OPT_PLUGIN_DIR] = {.name = "plugin-dir",
                            .type = MIO_OPT_TEXT,
                            .arg = "DIRS",
                            .env = "MLOPS_IAC_PLUGIN_DIR",
                            .complete = MIO_DO_DIR,
                            .help = "Folders to search for provider plugins first, separated by "
                                    "colons."},
    [MIO_OPT_RAW] = {.name = "raw",
                     .help = "Print the bare text of one value, without quotes or "
                             "newline."},
    [MIO_OPT_RECONFIGURE] = {.name = "reconfigure",
                             .help = "The backend has changed: use what is in the new one and "
                                     "leave the old one behind."},
    [MIO_OPT_RECURSIVE] = {.name = "recursive", .help = "Go into the folders below, too."},
    [MIO_OPT_REFRESH] = {.name = "refresh",
                         .dflt = "true",
                         .help =
                             "Read the real objects first. -refresh=false plans against what was "
                             "recorded."},
    [MIO_OPT_REFRESH_ONLY] = {.name = "refresh-only",
                              .help = "Only compare reality with the state; propose no change to "
                                      "any object."},
    [MIO_OPT_REPAIR] = {.name = "repair", .help = "Mend what can be mended, under the lock."},
    [MIO_OPT_REPLACE] = {.name = "replace",
                         .type = MIO_OPT_LIST,
                         .arg = "ADDRESS",
                         .complete = MIO_DO_ADDRESS,
                         .help =
                             "Replace this resource instance even where an update would do. May "
                             "be repeated."},
    [MIO_OPT_ROOT] = {.name = "root",
                      .type = MIO_OPT_TEXT,
                      .arg = "DIR",
                      .complete = MIO_DO_DIR,
                      .help = "Write the root file system to this new folder."},
    [MIO_OPT_SHOW] = {.name = "show",
                      .help = "Show what would be applied, and who approved it; approve nothing."},
    [MIO_OPT_STAGE] = {.name = "stage",
                       .type = MIO_OPT_TEXT,
                       .arg = "NAME",
                       .env = "MLOPS_IAC_STAGE",
                       .help = "Use stages/NAME.yaml of the template and the state of that stage."},
    [MIO_OPT_STATE_DIR] = {.name = "state-dir",
                           .type = MIO_OPT_TEXT,
                           .arg = "DIR",
                           .env = "MLOPS_IAC_STATE_DIR",
                           .complete = MIO_DO_DIR,
                           .help = "Folder of the state. Default: .state below the template "
                                   "directory."},
    [MIO_OPT_STORE] = {.name = "store",
                       .type = MIO_OPT_TEXT,
                       .arg = "DIR",
                       .complete = MIO_DO_DIR,
                       .help = "Folder of fetched and built content. Default: mlops-iac/env in the "
                               "user's cache folder."},
    [MIO_OPT_SUMMARY] = {.name = "summary",
                         .help = "One line a change instead of every attribute."},
    [MIO_OPT_TARGET] = {.name = "target",
                        .type = MIO_OPT_LIST,
                        .arg = "ADDRESS",
                        .complete = MIO_DO_ADDRESS,
                        .help =
                            "Only this module, resource or instance and what it depends on; other "
                            "providers may be out of reach then. May be repeated."},
    [MIO_OPT_UPGRADE] = {.name = "upgrade",
                         .help =
                             "Accept plugins that differ from those recorded in the lock file; of "
                             "an environment, renew what is locked."},
    [MIO_OPT_VALID_FOR] = {.name = "valid-for",
                           .type = MIO_OPT_TIME,
                           .least_s = 1,
                           .arg = "TIME",
                           .help = "How long the saved plan (24h unless said) or the approval (as "
                                   "long as the plan) holds, such as 2h."},
    [MIO_OPT_VAR] = {.name = "var",
                     .type = MIO_OPT_LIST,
                     .arg = "NAME=VALUE",
                     .help = "Set a variable of the template. May be repeated; the last one wins."},
    [MIO_OPT_VAR_FILE] = {.name = "var-file",
                          .type = MIO_OPT_LIST,
                          .arg = "FILE",
                          .complete = MIO_DO_FILE,
                          .help = "Set variables from a YAML file. May be repeated."},
    [MIO_OPT_VENDOR] = {.name = "vendor",
                        .type = MIO_OPT_TEXT,
                        .arg = "DIR",
                        .complete = MIO_DO_DIR,
                        .help = "Take inputs from this folder, which 'env vendor' wrote."},
    [MIO_OPT_VERSION] = {.name = "version", .help = "The same as the version command."},
    [MIO_OPT_WRITE] = {.name = "write",
                       .dflt = "true",
                       .help = "Write the files. -write=false only names them."},
};

bool mio_option_bool(struct mio_str s, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"1", true},  {"t", true},  {"true", true},   {"yes", true}, {"on", true},
                 {"0", false}, {"f", false}, {"false", false}, {"no", false}, {"off", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (mio_str_ieq(s, mio_str_z(words[i].word))) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, struct mio_str word)
{
    struct mio_str rest = mio_str_z(choices);
    for (;;) {
        ptrdiff_t bar = mio_str_find(rest, '|');
        struct mio_str one = bar < 0 ? rest : mio_str_sub(rest, 0, (size_t)bar);
        if (mio_str_eq(one, word))
            return true;
        if (bar < 0)
            return false;
        rest = mio_str_sub(rest, (size_t)bar + 1, rest.n);
    }
}

static enum mio_code set_time(const struct mio_option *row, struct mio_optval *v, const char *text,
                              const char *where, struct mio_err *err)
{
    enum { MOST_S = 365 * 86400 };
    if (!mio_duration_s(mio_str_z(text), &v->number)) {
        mio_fail(err, MIO_USAGE, "%s takes a length of time, not \"%s\"", where, text);
        return mio_err_hint(err, "Write it like 90s, 5m or 1h30m.");
    }
    if (v->number < row->least_s || v->number > MOST_S)
        return mio_fail(err, MIO_USAGE, "%s takes %ds to 365d, not \"%s\"", where, row->least_s,
                        text);
    v->number *= 1000;
    return MIO_OK;
}

/* `where` is "-name" or the variable that the text came from. */
static enum mio_code set_value(struct mio_arena *a, const struct mio_option *row,
                               struct mio_optval *v, const char *text, const char *where,
                               struct mio_err *err)
{
    struct mio_str s = mio_str_z(text);
    uint64_t number = 0;
    v->set = true;
    switch (row->type) {
    case MIO_OPT_BOOL:
        if (!mio_option_bool(s, &v->on))
            return mio_fail(err, MIO_USAGE, "%s takes true or false, not \"%s\"", where, text);
        return MIO_OK;
    case MIO_OPT_NUMBER:
        if (!mio_str_u64(s, &number) || number < 1 || number > 10000)
            return mio_fail(err, MIO_USAGE, "%s takes a number from 1 to 10000, not \"%s\"", where,
                            text);
        v->number = (int64_t)number;
        return MIO_OK;
    case MIO_OPT_TIME:
        return set_time(row, v, text, where, err);
    case MIO_OPT_TEXT:
        if (row->choices && !is_choice(row->choices, s))
            return mio_fail(err, MIO_USAGE, "%s must be one of %s, not \"%s\"", where, row->choices,
                            text);
        v->text = text;
        return MIO_OK;
    case MIO_OPT_LIST:
        MIO_PUSH(a, v->list, v->n, v->cap) = text;
        return MIO_OK;
    }
    return MIO_OK;
}

/* Without its dashes and "=value"; false for arguments, "-" and negative numbers. */
static bool option_name(const char *word, struct mio_str *name, const char **value)
{
    if (word[0] != '-' || word[1] == '\0' || (word[1] >= '0' && word[1] <= '9'))
        return false;
    struct mio_str s = mio_str_z(word + (word[1] == '-' ? 2 : 1));
    ptrdiff_t eq = mio_str_find(s, '=');
    *value = eq < 0 ? NULL : s.p + eq + 1;
    *name = eq < 0 ? s : mio_str_sub(s, 0, (size_t)eq);
    return true;
}

static int find_option(struct mio_str name)
{
    if (mio_str_is(name, "h"))
        return MIO_OPT_HELP;
    if (mio_str_is(name, "v"))
        return MIO_OPT_VERSION;
    for (int i = 0; i < MIO_OPT_COUNT; i++) {
        if (mio_str_is(name, mio_option_table[i].name))
            return i;
    }
    return -1;
}

static enum mio_code unknown_option(uint64_t allowed, const char *command, struct mio_str name,
                                    bool exists, struct mio_err *err)
{
    if (exists)
        mio_fail(err, MIO_USAGE, "%s does not take the option -%.*s", command, MIO_FMT(name));
    else
        mio_fail(err, MIO_USAGE, "unknown option -%.*s", MIO_FMT(name));
    struct mio_str names[MIO_OPT_COUNT];
    size_t n = 0;
    for (int i = 0; i < MIO_OPT_COUNT; i++) {
        if (allowed >> i & 1)
            names[n++] = mio_str_z(mio_option_table[i].name);
    }
    struct mio_str near = exists ? (struct mio_str){0} : mio_str_nearest(name, names, n);
    if (near.n)
        return mio_err_hint(err, "Did you mean -%.*s?", MIO_FMT(near));
    return mio_err_hint(err, "'mlops-iac %s -help' lists its options.", command);
}

enum mio_code mio_options_parse(struct mio_arena *a, uint64_t allowed, const char *command,
                                const char *const *argv, size_t argc, struct mio_options *out,
                                const char ***args, size_t *nargs, struct mio_err *err)
{
    size_t cap = 0;
    bool ended = false;
    *args = NULL;
    *nargs = 0;
    for (size_t i = 0; i < argc; i++) {
        struct mio_str name;
        const char *value;
        if (!ended && mio_str_is(mio_str_z(argv[i]), "--")) {
            ended = true;
            continue;
        }
        if (ended || !option_name(argv[i], &name, &value)) {
            MIO_PUSH(a, *args, *nargs, cap) = argv[i];
            continue;
        }
        int id = find_option(name);
        if (id < 0 || !(allowed >> id & 1))
            return unknown_option(allowed, command, name, id >= 0, err);
        const struct mio_option *row = &mio_option_table[id];
        if (!value && row->type == MIO_OPT_BOOL)
            value = "true";
        if (!value && ++i == argc) {
            mio_fail(err, MIO_USAGE, "-%s needs a value", row->name);
            return mio_err_hint(err, "Write -%s=%s.", row->name, row->arg);
        }
        struct mio_str where = mio_arena_printf(a, "-%s", row->name);
        enum mio_code code = set_value(a, row, &out->v[id], value ? value : argv[i], where.p, err);
        if (code)
            return code;
    }
    return MIO_OK;
}

enum mio_code mio_options_defaults(struct mio_arena *a, uint64_t allowed, struct mio_options *o,
                                   struct mio_err *err)
{
    for (int i = 0; i < MIO_OPT_COUNT; i++) {
        const struct mio_option *row = &mio_option_table[i];
        if (o->v[i].set)
            continue;
        const char *env = row->env && allowed >> i & 1 ? getenv(row->env) : NULL;
        const char *text = env && *env ? env : row->dflt;
        if (!text)
            continue;
        enum mio_code code =
            set_value(a, row, &o->v[i], text, row->env ? row->env : row->name, err);
        if (code)
            return code;
        o->v[i].set = text == env;
    }
    return MIO_OK;
}

size_t mio_options_first_word(const char *const *argv, size_t argc)
{
    for (size_t i = 0; i < argc; i++) {
        struct mio_str name;
        const char *value;
        if (!option_name(argv[i], &name, &value))
            return i;
        int id = find_option(name);
        if (id >= 0 && mio_option_table[id].type != MIO_OPT_BOOL && !value)
            i++;
    }
    return argc;
}

enum mio_code mio_options_split(struct mio_arena *a, const char *text, const char *what,
                                const char ***words, size_t *n, size_t *cap, struct mio_err *err)
{
    char *word = mio_arena_alloc(a, strlen(text) + 1);
    size_t len = 0;
    char quote = 0;
    bool inside = false;
    for (const char *p = text;; p++) {
        bool blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\0';
        if (*p == '\0' && quote) {
            mio_fail(err, MIO_USAGE, "%s has a quote that is never closed", what);
            return err->code;
        }
        if (blank && !quote) {
            if (inside)
                MIO_PUSH(a, *words, *n, *cap) = mio_arena_z(a, (struct mio_str){word, len});
            inside = false;
            len = 0;
            if (*p == '\0')
                return MIO_OK;
        } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
            inside = true;
        } else {
            if (*p == '\\' && quote != '\'' && p[1])
                p++;
            word[len++] = *p;
            inside = true;
        }
    }
}
