/* cli/session.h: one invocation: what was asked, where it writes, and the engine it drives. */
#pragma once
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/ui.h"

struct mio_cli {
    const struct mio_command *command;
    struct mio_options opt;
    const char **args;
    size_t nargs;
    struct mio_arena arena;
    struct mio_env env; /* secrets of backend and sealing */
    struct mio_out out, err, json_file;
    struct mio_ui ui;
    struct mio_engine *engine;   /* NULL until mio_cli_open */
    struct mio_diags *diags;     /* of the engine */
    struct mio_sources *sources; /* of the engine */
    const char *dir;             /* absolute template directory; NULL until needed */
    bool automation;             /* no advice about what to type next */
    bool collect;    /* diagnostics go into a document of the command, not to the views */
    bool differs;    /* -detailed-exitcode: exit with 2 */
    int exit_status; /* of a success that is not 0 (fmt -check) */
    const bool *interrupt, *abort; /* the signal flags */
};

static inline bool mio_cli_on(const struct mio_cli *c, enum mio_opt o)
{
    return c->opt.v[o].on;
}
static inline const char *mio_cli_text(const struct mio_cli *c, enum mio_opt o)
{
    return c->opt.v[o].text;
}

/* Sets up outputs, log and views from the options. Errors: MIO_USAGE, MIO_IO. */
enum mio_code mio_cli_begin(struct mio_cli *c, struct mio_err *err);
/* Flushes and closes everything, and gives the exit status that belongs to the code. */
int mio_cli_end(struct mio_cli *c, enum mio_code code);

/* Shows the error; returns its code. */
enum mio_code mio_cli_fail(struct mio_cli *c, const struct mio_err *err);
/* A failure of the command line itself. Returns MIO_USAGE. */
enum mio_code mio_cli_usage(struct mio_cli *c, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* All of standard input. Errors: MIO_IO: it cannot be read, or is
 * larger than so many MiB. */
enum mio_code mio_cli_stdin(struct mio_cli *c, size_t most_mib, struct mio_str *out,
                            struct mio_err *err);
/* The next step after a saved plan, with the stage that it is of. */
void mio_cli_advise_apply(struct mio_cli *c, const char *path);
/* Shows what the engine collected since the last call; returns `code`, or the first new error's
 * where `code` is MIO_OK. */
enum mio_code mio_cli_report(struct mio_cli *c, enum mio_code code);

enum mio_open {
    MIO_OPEN_READ = 0,  /* writes nothing: no lock, no folder, no recovery */
    MIO_OPEN_PLAN = 1,  /* takes the lock unless -lock=false */
    MIO_OPEN_WRITE = 2, /* and makes the state folder */
};
/* Directory, plugins, variables, views as the command line says. Errors are shown. */
enum mio_code mio_cli_engine_opts(struct mio_cli *c, enum mio_open how,
                                  struct mio_engine_opts *out);
/* Opens the engine on the template directory; shows what is wrong with the template. */
enum mio_code mio_cli_open(struct mio_cli *c, enum mio_open how);
/* Gives the engine back, for another one to be opened. */
void mio_cli_close(struct mio_cli *c);
/* Opens the engine, and the store without loading what is in it (it may be damaged). */
enum mio_code mio_cli_store(struct mio_cli *c, enum mio_open how, struct mio_store **out);
/* The recorded state through the engine. */
enum mio_code mio_cli_state(struct mio_cli *c, struct mio_state **out);
/* Absolute template directory by -dir, .cloud, or the working directory. Errors: MIO_USAGE. */
enum mio_code mio_cli_dir(struct mio_cli *c, const char **out, struct mio_err *err);
/* What is kept between runs for this user: $XDG_STATE_HOME/mlops-iac/NAME, in the arena; NULL when
 * there is no home. */
const char *mio_cli_home(struct mio_arena *a, const char *name);
/* Reads a saved plan without state or plugins; a sealed one with the keys of this machine, the
 * environment and, where there is one, the template. Errors are shown. */
struct mio_planfile;
enum mio_code mio_cli_read_plan(struct mio_cli *c, const char *path, struct mio_planfile *out);
/* Plans with the options of the command line, shows diagnostics. */
enum mio_code mio_cli_plan(struct mio_cli *c, enum mio_plan_mode mode, const struct mio_plan **out);

/* Asks and accepts "yes" alone. MIO_OK when approved; MIO_CANCELLED when refused or interrupted;
 * MIO_USAGE without a terminal or with -input=false, naming `instead` (the option that makes the
 * question unnecessary). */
enum mio_code mio_cli_confirm(struct mio_cli *c, const char *question, const char *text,
                              const char *instead);
/* A file without a name that holds the text, for another program to read; -1 and an error when it
 * cannot be made. */
int mio_cli_text_file(struct mio_str text, struct mio_err *err);
/* Exit status of a code: 0, 1, or with `fine` 10 and above. */
int mio_exit_status(enum mio_code code, bool fine);
/* The table behind -exit-codes=fine, for the docs. */
const char *mio_exit_meaning(enum mio_code code);
