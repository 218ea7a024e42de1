/* cli/option.h: one row an option: name, type, default, environment variable, help. The parser, the
 * help texts, the man page, the completion scripts and docs/cli.md all come from these rows. */
#pragma once
#include "providers/sdk/err.h"
#include <stdbool.h>
#include <stdint.h>

enum mio_opt {
    MIO_OPT_ACCEPT_CLEAR,
    MIO_OPT_ACCEPT_ROLLBACK,
    MIO_OPT_ALLOW_MISSING,
    MIO_OPT_AUTO_APPROVE,
    MIO_OPT_AZUREML,
    MIO_OPT_BACKEND,
    MIO_OPT_BACKEND_CONFIG,
    MIO_OPT_CHDIR,
    MIO_OPT_CHECK,
    MIO_OPT_COMPACT_WARNINGS,
    MIO_OPT_DESTROY,
    MIO_OPT_DETAILED_EXITCODE,
    MIO_OPT_DIFF,
    MIO_OPT_DIR,
    MIO_OPT_DRY_RUN,
    MIO_OPT_DURABILITY,
    MIO_OPT_E,
    MIO_OPT_EXCLUDE,
    MIO_OPT_EXIT_CODES,
    MIO_OPT_FILTER,
    MIO_OPT_FORCE,
    MIO_OPT_FORMAT,
    MIO_OPT_GENERATE_CONFIG_OUT,
    MIO_OPT_HELP,
    MIO_OPT_ID,
    MIO_OPT_INPUT,
    MIO_OPT_JSON,
    MIO_OPT_JSON_INTO,
    MIO_OPT_JUNIT_XML,
    MIO_OPT_KEY,
    MIO_OPT_LIST_NAMES,
    MIO_OPT_LOCK,
    MIO_OPT_LOCK_TIMEOUT,
    MIO_OPT_LOCKFILE,
    MIO_OPT_MIGRATE_STATE,
    MIO_OPT_NETWORK,
    MIO_OPT_NO_COLOR,
    MIO_OPT_NO_PATHS,
    MIO_OPT_OFFLINE,
    MIO_OPT_OUT,
    MIO_OPT_PARALLELISM,
    MIO_OPT_PLUGIN_DIR,
    MIO_OPT_RAW,
    MIO_OPT_RECONFIGURE,
    MIO_OPT_RECURSIVE,
    MIO_OPT_REFRESH,
    MIO_OPT_REFRESH_ONLY,
    MIO_OPT_REPAIR,
    MIO_OPT_REPLACE,
    MIO_OPT_ROOT,
    MIO_OPT_SHOW,
    MIO_OPT_STAGE,
    MIO_OPT_STATE_DIR,
    MIO_OPT_STORE,
    MIO_OPT_SUMMARY,
    MIO_OPT_TARGET,
    MIO_OPT_UPGRADE,
    MIO_OPT_VALID_FOR,
    MIO_OPT_VAR,
    MIO_OPT_VAR_FILE,
    MIO_OPT_VENDOR,
    MIO_OPT_VERSION,
    MIO_OPT_WRITE,
    MIO_OPT_COUNT, /* at most 64: command rows hold them as bits */
};
enum mio_opt_type { MIO_OPT_BOOL, MIO_OPT_TEXT, MIO_OPT_LIST, MIO_OPT_NUMBER, MIO_OPT_TIME };
enum mio_opt_complete { MIO_DO_NOTHING, MIO_DO_FILE, MIO_DO_DIR, MIO_DO_ADDRESS };

struct mio_option {
    const char *name;
    enum mio_opt_type type;
    const char *arg;     /* how help calls the argument; NULL for switches */
    const char *dflt;    /* as text, or NULL */
    const char *env;     /* variable that sets it where the command line does not, or NULL */
    const char *choices; /* "a|b", or NULL */
    int least_s;         /* of a TIME, in seconds */
    enum mio_opt_complete complete;
    const char *help; /* one or two sentences */
};
extern const struct mio_option mio_option_table[MIO_OPT_COUNT];

/* What the command line and the environment said. */
struct mio_optval {
    bool set; /* on the command line or by its variable */
    bool on;
    int64_t number; /* NUMBER; TIME in milliseconds */
    const char *text;
    const char **list;
    size_t n, cap;
};
struct mio_options {
    struct mio_optval v[MIO_OPT_COUNT];
};

#define MIO_OPT_BIT(name) (UINT64_C(1) << MIO_OPT_##name)

/* Options that every command takes, before or after its name. */
#define MIO_OPTS_GLOBAL                                                                   \
    (MIO_OPT_BIT(CHDIR) | MIO_OPT_BIT(DIR) | MIO_OPT_BIT(STAGE) | MIO_OPT_BIT(NO_COLOR) | \
     MIO_OPT_BIT(EXIT_CODES) | MIO_OPT_BIT(HELP) | MIO_OPT_BIT(VERSION))

/* Options and arguments in any order; "--" ends the options; "-" is an argument. `allowed` is a set
 * of MIO_OPT_BIT. The arguments found are put into the arena. Errors: MIO_USAGE, with a suggestion.
 */
enum mio_code mio_options_parse(struct mio_arena *a, uint64_t allowed, const char *command,
                                const char *const *argv, size_t argc, struct mio_options *out,
                                const char ***args, size_t *nargs, struct mio_err *err);
/* Fills what the command line left open: from the environment, then the defaults of the table. */
enum mio_code mio_options_defaults(struct mio_arena *a, uint64_t allowed, struct mio_options *o,
                                   struct mio_err *err);
/* Index of the first word of argv that is no option (nor an option's argument), or argc. */
size_t mio_options_first_word(const char *const *argv, size_t argc);
/* Splits as a shell does (quotes, backslash; nothing is expanded) and appends to words. Errors:
 * MIO_USAGE. */
enum mio_code mio_options_split(struct mio_arena *a, const char *text, const char *what,
                                const char ***words, size_t *n, size_t *cap, struct mio_err *err);
/* "1", "t", "true", "yes", "on" and their opposites, in any case. */
bool mio_option_bool(struct mio_str s, bool *out);
