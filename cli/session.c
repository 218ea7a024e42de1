/* cli/session.c: sets up outputs and views from options and environment, opens the engine, reports
 * errors. */
#include "cli/session.h"
#include "cli/render_diag.h"
#include "planner/run/review.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/log.h"
#include "providers/sdk/redact.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

/* ---- begin and end ---- */

static bool wants_color(const struct mio_cli *c, const struct mio_out *o)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool dumb = !term || !*term || mio_str_is(mio_str_z(term), "dumb");
    return o->tty && !dumb && !(no_color && *no_color) && !mio_cli_on(c, MIO_OPT_NO_COLOR);
}

static enum mio_code setup_log(struct mio_err *err)
{
    const char *level = getenv("MLOPS_IAC_LOG"), *path = getenv("MLOPS_IAC_LOG_PATH");
    enum mio_level l = MIO_WARN;
    if (level && *level && !mio_level_parse(mio_str_z(level), &l)) {
        mio_fail(err, MIO_USAGE, "MLOPS_IAC_LOG must not be \"%s\"", level);
        return mio_err_hint(err, "Use trace, debug, info, warn, error or off.");
    }
    mio_log_setup(l, l != MIO_LEVEL_OFF && path && *path ? path : NULL);
    return MIO_OK;
}

static enum mio_code open_json_file(struct mio_cli *c, struct mio_err *err)
{
    const char *path = mio_cli_text(c, MIO_OPT_JSON_INTO);
    if (!path)
        return MIO_OK;
    if (mio_cli_on(c, MIO_OPT_JSON))
        return mio_fail(err, MIO_USAGE, "-json and -json-into exclude each other");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return mio_fail_sys(err, errno, "cannot write %s", path);
    mio_out_init(&c->json_file, fd);
    c->json_file.owned = true;
    c->ui.json.out = &c->json_file;
    return MIO_OK;
}

enum mio_code mio_cli_begin(struct mio_cli *c, struct mio_err *err)
{
    bool json = mio_cli_on(c, MIO_OPT_JSON), stream = c->command->flags & MIO_CMD_STREAM;
    const char *automation = getenv("MLOPS_IAC_IN_AUTOMATION"), *term = getenv("TERM");
    mio_env_take(&c->env, &c->arena);
    c->automation = automation && *automation;
    c->out.color = wants_color(c, &c->out);
    c->err.color = wants_color(c, &c->err);
    c->ui.text.running = &c->ui.running;
    c->ui.text.out = json ? NULL : &c->out;
    c->ui.text.live = c->out.tty && term && *term && !mio_str_is(mio_str_z(term), "dumb");
    c->ui.compact_warnings = mio_cli_on(c, MIO_OPT_COMPACT_WARNINGS);
    if (json && stream) {
        c->ui.text.err = NULL;
        c->ui.json.out = &c->out;
    }
    enum mio_code code = setup_log(err);
    if (!code)
        code = open_json_file(c, err);
    if (!code && c->ui.json.out)
        mio_json_version(&c->ui.json);
    return code;
}

static const struct {
    int fine;
    const char *meaning;
} statuses[] = {
    [MIO_OK] = {0, "done"},
    [MIO_USAGE] = {10, "the command line is wrong, or an answer is needed and nobody can be asked"},
    [MIO_TEMPLATE] = {11, "the template is wrong"},
    [MIO_REALITY] = {12, "the platform refuses: quota, conflict, gone"},
    [MIO_AUTH] = {13, "credentials or permissions are missing"},
    [MIO_TRANSIENT] = {14, "a passing failure: try again"},
    [MIO_LOCKED] = {15, "somebody else holds the state lock"},
    [MIO_STATE] = {16, "the state or the saved plan is damaged, foreign or stale"},
    [MIO_PROVIDER] = {17, "a provider plugin is missing, altered, crashed or broke its promises"},
    [MIO_CANCELLED] = {18, "interrupted or not approved"},
    [MIO_IO] = {19, "this machine: disk, permission, missing program"},
    [MIO_BUG] = {20, "a defect of mlops-iac"},
};

int mio_exit_status(enum mio_code code, bool fine)
{
    return code == MIO_OK ? 0 : fine ? statuses[code].fine : 1;
}

const char *mio_exit_meaning(enum mio_code code)
{
    return statuses[code].meaning;
}

/* What could not be written is an error of the run, whatever else went well. */
static enum mio_code check_output(struct mio_cli *c, const struct mio_out *o, const char *what,
                                  enum mio_code code)
{
    if (!o->error)
        return code;
    if (o->error == EPIPE) /* the reader has seen enough: the status says it, no words */
        return code ? code : MIO_IO;
    struct mio_diag d = {.severity = MIO_ERROR};
    struct mio_pen pen = mio_out_pen(&c->err);
    mio_fail_sys(&d.err, o->error, "cannot write to %s", what);
    mio_render_diag(&pen, &d, NULL);
    return code ? code : MIO_IO;
}

int mio_cli_end(struct mio_cli *c, enum mio_code code)
{
    const char *set = mio_cli_text(c, MIO_OPT_EXIT_CODES);
    if (!set) /* the command line could not be read to its end */
        set = getenv(mio_option_table[MIO_OPT_EXIT_CODES].env);
    bool fine = set && mio_str_is(mio_str_z(set), "fine");
    mio_text_end(&c->ui.text);
    mio_engine_close(c->engine);
    mio_out_flush(&c->out);
    mio_out_flush(&c->json_file);
    code = check_output(c, &c->out, "standard output", code);
    code = check_output(c, &c->json_file, "the file of -json-into", code);
    mio_out_flush(&c->err);
    bool two = code == MIO_OK && c->differs && mio_cli_on(c, MIO_OPT_DETAILED_EXITCODE);
    mio_running_clear(&c->ui.running);
    mio_env_wipe(&c->env);
    mio_secrets_wipe();
    mio_out_free(&c->out);
    mio_out_free(&c->err);
    mio_out_free(&c->json_file);
    mio_arena_free(&c->arena);
    return two                                ? 2
           : code == MIO_OK && c->exit_status ? c->exit_status
                                              : mio_exit_status(code, fine);
}

/* ---- reporting ---- */

enum mio_code mio_cli_fail(struct mio_cli *c, const struct mio_err *err)
{
    struct mio_diag d = {.severity = MIO_ERROR, .err = *err};
    mio_ui_flush(&c->ui);
    mio_ui_diag(&c->ui, &d, c->sources);
    return err->code;
}

enum mio_code mio_cli_usage(struct mio_cli *c, const char *hint, const char *fmt, ...)
{
    struct mio_err err = {0};
    char message[sizeof err.message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    mio_fail(&err, MIO_USAGE, "%s", message);
    if (hint)
        mio_err_hint(&err, "%s", hint);
    return mio_cli_fail(c, &err);
}

void mio_cli_advise_apply(struct mio_cli *c, const char *path)
{
    const char *stage = mio_cli_text(c, MIO_OPT_STAGE);
    bool named = stage && *stage;
    mio_ui_note(&c->ui, "\nTo perform exactly these actions, run:\n    mlops-iac apply%s%s \"%s\"",
                named ? " -stage=" : "", named ? stage : "", path);
}

enum mio_code mio_cli_report(struct mio_cli *c, enum mio_code code)
{
    size_t from = c->ui.shown;
    bool said = false;
    if (c->collect)
        c->ui.shown = c->diags ? c->diags->n : 0;
    else
        mio_ui_diags(&c->ui, c->diags, c->sources);
    for (size_t i = from; c->diags && i < c->diags->n; i++) {
        if (c->diags->items[i].severity != MIO_ERROR)
            continue;
        said = true;
        code = code ? code : c->diags->items[i].err.code;
    }
    if (code && !said && !(c->diags && c->diags->errors)) {
        struct mio_err err = {0};
        mio_fail(&err, code, "%s", code == MIO_CANCELLED ? "interrupted" : "the operation failed");
        mio_cli_fail(c, &err);
    }
    return code;
}

/* ---- template directory ---- */

static bool has_yaml(struct mio_arena *a, const char *dir)
{
    struct mio_str *names;
    size_t n;
    struct mio_err ignored = {0};
    if (mio_fs_list(a, dir, &names, &n, &ignored))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (names[i].p[0] != '.' &&
            (mio_str_ends(names[i], ".yaml") || mio_str_ends(names[i], ".yml")))
            return true;
    }
    return false;
}

enum mio_code mio_cli_dir(struct mio_cli *c, const char **out, struct mio_err *err)
{
    const char *dir = mio_cli_text(c, MIO_OPT_DIR);
    char cwd[4096];
    if (c->dir) {
        *out = c->dir;
        return MIO_OK;
    }
    if (!getcwd(cwd, sizeof cwd)) {
        mio_fail_sys(err, errno, "cannot tell the working directory");
        return mio_err_hint(err, "Change to a directory that exists, or give one by -chdir=DIR.");
    }
    if (dir && !mio_fs_is_dir(dir))
        return mio_fail(err, MIO_USAGE, "%s is no directory", dir);
    if (!dir)
        dir = mio_fs_is_dir(".cloud") ? ".cloud" : has_yaml(&c->arena, ".") ? "." : NULL;
    if (!dir) {
        mio_fail(err, MIO_USAGE, "there is no template here (%s)", cwd);
        return mio_err_hint(err, "Put *.yaml files into .cloud/, or name their directory with "
                                 "-dir=DIR or -chdir=DIR.");
    }
    c->dir = mio_path_join(&c->arena, mio_str_z(cwd), mio_str_z(dir)).p;
    *out = c->dir;
    return MIO_OK;
}

/* ---- the engine ---- */

static int by_text(const void *x, const void *y)
{
    const char *const *a = x, *const *b = y;
    return strcmp(*a, *b);
}

/* MLOPS_IAC_VAR_name=value of the environment (sorted), then -var. */
static void collect_vars(struct mio_cli *c, struct mio_engine_opts *o)
{
    static const char prefix[] = "MLOPS_IAC_VAR_";
    const struct mio_optval *given = &c->opt.v[MIO_OPT_VAR];
    const char **vars = NULL;
    size_t n = 0, cap = 0;
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, prefix, sizeof prefix - 1) == 0)
            MIO_PUSH(&c->arena, vars, n, cap) = *e + sizeof prefix - 1;
    }
    if (n)
        qsort(vars, n, sizeof *vars, by_text);
    size_t env = n;
    for (size_t i = 0; i < given->n; i++)
        MIO_PUSH(&c->arena, vars, n, cap) = given->list[i];
    bool *from_env = MIO_NEW_N(&c->arena, bool, n + 1);
    memset(from_env, 1, env);
    o->vars = vars;
    o->var_from_env = from_env;
    o->nvars = n;
}

static const char *program_dir(struct mio_arena *a)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    if (n <= 0)
        return "/";
    return mio_arena_z(a, mio_path_dir((struct mio_str){path, (size_t)n}));
}

static const char *absolute(struct mio_arena *a, const char *path)
{
    char cwd[4096];
    if (!path || path[0] == '/' || !getcwd(cwd, sizeof cwd))
        return path;
    return mio_path_join(a, mio_str_z(cwd), mio_str_z(path)).p;
}

const char *mio_cli_home(struct mio_arena *a, const char *name)
{
    const char *data = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/')
        return mio_arena_printf(a, "%s/mlops-iac/%s", data, name).p;
    bool usable = home && home[0] == '/' && mio_fs_is_dir(home);
    return usable ? mio_arena_printf(a, "%s/.local/state/mlops-iac/%s", home, name).p : NULL;
}

/* The folders of -plugin-dir, each absolute; one that is not there is a slip of the pen. */
static enum mio_code find_plugin_dirs(struct mio_cli *c, const char **out, struct mio_err *err)
{
    struct mio_str rest = mio_str_z(mio_cli_text(c, MIO_OPT_PLUGIN_DIR));
    MIO_AUTO_BUF b = {0};
    while (rest.n) {
        ptrdiff_t colon = mio_str_find(rest, ':');
        struct mio_str one = mio_str_sub(rest, 0, colon < 0 ? rest.n : (size_t)colon);
        rest = mio_str_sub(rest, one.n + 1, rest.n);
        if (!one.n)
            continue;
        const char *dir = absolute(&c->arena, mio_arena_z(&c->arena, one));
        if (!mio_fs_is_dir(dir)) {
            mio_fail(err, MIO_USAGE, "%s of -plugin-dir is no directory", dir);
            return mio_err_hint(err, "Name folders with plugins, separated by colons.");
        }
        mio_buf_printf(&b, "%s%s", b.n ? ":" : "", dir);
    }
    *out = b.n ? mio_arena_str(&c->arena, mio_buf_view(&b)).p : NULL;
    return MIO_OK;
}

static enum mio_code check_vars(struct mio_cli *c)
{
    const struct mio_optval *given = &c->opt.v[MIO_OPT_VAR];
    for (size_t i = 0; i < given->n; i++) {
        if (!strchr(given->list[i], '='))
            return mio_cli_usage(c, "Write -var=NAME=VALUE.", "-var %s has no value",
                                 given->list[i]);
    }
    return MIO_OK;
}

enum mio_code mio_cli_engine_opts(struct mio_cli *c, enum mio_open how, struct mio_engine_opts *out)
{
    struct mio_err err = {0};
    const char *stage = mio_cli_text(c, MIO_OPT_STAGE), *plugin_dirs = NULL;
    enum mio_code code = check_vars(c);
    if (!code && stage && !*stage)
        code = mio_cli_usage(c, "Leave it out for the state without a stage.",
                             "-stage needs the name of a stage");
    if (!code && find_plugin_dirs(c, &plugin_dirs, &err))
        code = mio_cli_fail(c, &err);
    if (code)
        return code;
    *out = (struct mio_engine_opts){
        .shown_from = absolute(&c->arena, "."),
        .state_dir = absolute(&c->arena, mio_cli_text(c, MIO_OPT_STATE_DIR)),
        .stage = stage ? stage : "",
        .program_dir = program_dir(&c->arena),
        .plugin_dirs = plugin_dirs,
        .parallelism = (unsigned)c->opt.v[MIO_OPT_PARALLELISM].number,
        .lock_timeout_ms = c->opt.v[MIO_OPT_LOCK_TIMEOUT].number,
        .lock = how != MIO_OPEN_READ && mio_cli_on(c, MIO_OPT_LOCK),
        .state_only = (c->command->flags & MIO_CMD_STATE) && !mio_cli_on(c, MIO_OPT_AZUREML),
        .durable_folder = how == MIO_OPEN_WRITE,
        .durability = mio_cli_text(c, MIO_OPT_DURABILITY),
        .read_only = how == MIO_OPEN_READ,
        .refresh_events = c->ui.json.out != NULL,
        .fetch_modules = c->command->run == mio_cmd_init,
        .upgrade_modules = mio_cli_on(c, MIO_OPT_UPGRADE),
        /* what `init` gets ready may be made by a step that comes after it */
        .no_paths = mio_cli_on(c, MIO_OPT_NO_PATHS) || c->command->run == mio_cmd_init,
        .keep_module_lock = mio_cli_text(c, MIO_OPT_LOCKFILE) != NULL,
        .plan_life_s = c->opt.v[MIO_OPT_VALID_FOR].number / 1000,
        .accept_rollback = mio_cli_on(c, MIO_OPT_ACCEPT_ROLLBACK),
        .accept_clear = mio_cli_on(c, MIO_OPT_ACCEPT_CLEAR),
        /* beside the user's own data, where no one who can write the state can put them back */
        .seen_dir = mio_cli_home(&c->arena, "seen"),
        .env = mio_env_get,
        .arg_env = &c->env,
        .var_files = c->opt.v[MIO_OPT_VAR_FILE].list,
        .nvar_files = c->opt.v[MIO_OPT_VAR_FILE].n,
        .interrupt = c->interrupt,
        .abort = c->abort,
        .on_event = mio_ui_event,
        .arg = &c->ui,
    };
    collect_vars(c, out);
    return mio_cli_dir(c, &out->dir, &err) ? mio_cli_fail(c, &err) : MIO_OK;
}

enum mio_code mio_cli_open(struct mio_cli *c, enum mio_open how)
{
    struct mio_engine_opts o;
    enum mio_code code = mio_cli_engine_opts(c, how, &o);
    if (code)
        return code;
    code = mio_engine_open(&o, &c->engine, &c->diags, &c->sources);
    return mio_cli_report(c, code);
}

void mio_cli_close(struct mio_cli *c)
{
    mio_engine_close(c->engine);
    c->engine = NULL;
    c->diags = NULL;
    c->sources = NULL;
    c->ui.shown = 0;
}

enum mio_code mio_cli_store(struct mio_cli *c, enum mio_open how, struct mio_store **out)
{
    enum mio_code code = mio_cli_open(c, how);
    if (!code)
        code = mio_cli_report(c, mio_engine_store_open(c->engine));
    if (!code)
        *out = mio_engine_store(c->engine);
    return code;
}

enum mio_code mio_cli_state(struct mio_cli *c, struct mio_state **out)
{
    return mio_cli_report(c, mio_engine_state(c->engine, out));
}

enum mio_code mio_cli_plan(struct mio_cli *c, enum mio_plan_mode mode, const struct mio_plan **out)
{
    const struct mio_optval *v = c->opt.v;
    struct mio_plan_opts o = {
        .mode = mode,
        .refresh = !v[MIO_OPT_REFRESH].set || v[MIO_OPT_REFRESH].on,
        .targets = v[MIO_OPT_TARGET].list,
        .ntargets = v[MIO_OPT_TARGET].n,
        .excludes = v[MIO_OPT_EXCLUDE].list,
        .nexcludes = v[MIO_OPT_EXCLUDE].n,
        .replaces = v[MIO_OPT_REPLACE].list,
        .nreplaces = v[MIO_OPT_REPLACE].n,
        .generate = v[MIO_OPT_GENERATE_CONFIG_OUT].text != NULL,
    };
    return mio_engine_plan(c->engine, &o, out);
}

enum mio_code mio_cli_read_plan(struct mio_cli *c, const char *path, struct mio_planfile *out)
{
    struct mio_err err = {0}, ignored = {0};
    struct mio_plan_source from = {.lookup = mio_env_get, .arg = &c->env};
    const char *dir;
    bool sealed;
    if (mio_review_is_sealed(path) && !c->engine && mio_cli_dir(c, &dir, &ignored) == MIO_OK) {
        enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
        if (code)
            return code;
    }
    if (c->engine) {
        const struct mio_template *t = mio_engine_template(c->engine);
        from.encryption = t->encryption;
        from.dir = t->dir;
    }
    enum mio_code code = mio_review_read(&c->arena, &from, path, true, out, &sealed, &err);
    return code ? mio_cli_fail(c, &err) : MIO_OK;
}

int mio_cli_text_file(struct mio_str text, struct mio_err *err)
{
    char path[] = "/tmp/mlops-iac-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        mio_fail_sys(err, errno, "cannot make a temporary file");
        return -1;
    }
    unlink(path);
    if (mio_fs_write_all(fd, text.p, text.n, "a temporary file", err) == MIO_OK &&
        lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}
