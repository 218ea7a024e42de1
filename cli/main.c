/* cli/main.c: signals, the command line as a whole, and the jump into the command. */
#include "cli/session.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static bool interrupted, aborted; /* set by signals, read everywhere */
static int64_t last_signal_ms;

/* First signal: drain. Second: abort. Third: leave at once; the journal makes that safe. Wrappers
 * (timeout, shells) tend to send one signal to the process and to its group: what comes right after
 * is the same signal. */
static void on_signal(int sig)
{
    enum { SAME_MS = 300 };
    int64_t now = mio_now_ms(), last = last_signal_ms;
    last_signal_ms = now;
    if (last && now - last < SAME_MS)
        return;
    if (__atomic_load_n(&aborted, __ATOMIC_RELAXED))
        _exit(128 + sig);
    if (__atomic_load_n(&interrupted, __ATOMIC_RELAXED))
        __atomic_store_n(&aborted, true, __ATOMIC_RELAXED);
    __atomic_store_n(&interrupted, true, __ATOMIC_RELAXED);
}

static void setup_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    enum { N = sizeof ending / sizeof *ending };
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: a question must end too */
    struct sigaction was;
    for (size_t i = 0; i < N; i++)
        sigaddset(&act.sa_mask, ending[i]);
    for (size_t i = 0; i < N; i++) {
        bool nohup =
            ending[i] == SIGHUP && !sigaction(SIGHUP, NULL, &was) && was.sa_handler == SIG_IGN;
        if (!nohup)
            sigaction(ending[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN); /* a closed output is an error of its own */
    signal(SIGXFSZ, SIG_IGN); /* as a file that may grow no further is */
}

/* A standard descriptor that the caller closed must not become a file of ours: it is filled with
 * one that fails. */
static void fill_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

/* Options before the command, MLOPS_IAC_CLI_ARGS, MLOPS_IAC_CLI_ARGS_name, then the rest of the
 * command line. */
static enum mio_code gather(struct mio_cli *c, const char *const *argv, size_t argc, size_t word,
                            size_t used, const char ***words, size_t *n, struct mio_err *err)
{
    size_t cap = 0;
    char name[64] = "MLOPS_IAC_CLI_ARGS_";
    size_t len = strlen(name);
    for (const char *p = c->command->name; *p && len + 1 < sizeof name; p++)
        name[len++] = *p == ' ' || *p == '-' ? '_' : *p;
    for (size_t i = 0; i < word; i++)
        MIO_PUSH(&c->arena, *words, *n, cap) = argv[i];
    const char *vars[] = {"MLOPS_IAC_CLI_ARGS", name};
    for (size_t i = 0; i < 2; i++) {
        const char *text = getenv(vars[i]);
        enum mio_code code =
            text ? mio_options_split(&c->arena, text, vars[i], words, n, &cap, err) : MIO_OK;
        if (code)
            return code;
    }
    for (size_t i = word + used; i < argc; i++)
        MIO_PUSH(&c->arena, *words, *n, cap) = argv[i];
    return MIO_OK;
}

static enum mio_code check_args(const struct mio_cli *c, struct mio_err *err)
{
    const struct mio_command *cmd = c->command;
    if (c->nargs >= cmd->min_args && c->nargs <= cmd->max_args)
        return MIO_OK;
    if (c->nargs > cmd->max_args)
        mio_fail(err, MIO_USAGE, "%s does not take \"%s\"", cmd->name, c->args[cmd->max_args]);
    else
        mio_fail(err, MIO_USAGE, "%s needs %s", cmd->name, cmd->args);
    return mio_err_hint(err, "Usage: mlops-iac %s%s%s%s", cmd->name,
                        cmd->options ? " [options]" : "", cmd->args ? " " : "",
                        cmd->args ? cmd->args : "");
}

static enum mio_code parse(struct mio_cli *c, const char *const *argv, size_t argc, size_t word,
                           size_t used, struct mio_err *err)
{
    uint64_t allowed = c->command->options | MIO_OPTS_GLOBAL;
    const char **words = NULL;
    size_t n = 0;
    enum mio_code code = gather(c, argv, argc, word, used, &words, &n, err);
    if (!code)
        code = mio_options_parse(&c->arena, allowed, c->command->name, words, n, &c->opt, &c->args,
                                 &c->nargs, err);
    if (code || mio_cli_on(c, MIO_OPT_HELP))
        return code;
    code = mio_options_defaults(&c->arena, allowed, &c->opt, err);
    return code ? code : check_args(c, err);
}

static enum mio_code run(struct mio_cli *c)
{
    struct mio_err err = {0};
    const char *chdir_to = mio_cli_text(c, MIO_OPT_CHDIR);
    if (chdir_to && chdir(chdir_to)) {
        mio_fail_sys(&err, errno, "cannot change to the directory %s", chdir_to);
        return mio_cli_fail(c, &err);
    }
    if (mio_cli_begin(c, &err))
        return mio_cli_fail(c, &err);
    return c->command->run(c);
}

/* No command, or one that does not exist. */
static enum mio_code no_command(struct mio_cli *c, const char *const *argv, size_t argc,
                                size_t word)
{
    if (word < argc && !mio_command_is_group(mio_str_z(argv[word])))
        return mio_help_unknown(c, mio_str_z(argv[word]), "");
    struct mio_err err = {0};
    const char **rest;
    size_t nrest;
    if (mio_options_parse(&c->arena, MIO_OPTS_GLOBAL, "mlops-iac", argv, argc, &c->opt, &rest,
                          &nrest, &err))
        return mio_cli_fail(c, &err);
    if (mio_cli_on(c, MIO_OPT_VERSION))
        return mio_cmd_version(c);
    if (word < argc && nrest > 1)
        return mio_help_unknown(c, mio_arena_printf(&c->arena, "%s %s", rest[0], rest[1]), rest[0]);
    if (word < argc)
        mio_help_group(&c->out.buf, mio_str_z(argv[word]));
    else
        mio_help_overview(&c->out.buf);
    return mio_cli_on(c, MIO_OPT_HELP) ? MIO_OK : MIO_USAGE;
}

int main(int argc, char **argv)
{
    fill_descriptors();
    setup_signals();
    prctl(PR_SET_DUMPABLE, 0); /* a core file would hold every secret of the run ... */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* ... or, of a program it starts, a key */
    mio_crypto_setup();
    mio_fault_setup(getenv("MLOPS_IAC_FAULT"));
    struct mio_cli c = {.interrupt = &interrupted,
                        .abort = &aborted,
                        .json_file = {.fd = -1},
                        .ui.lock = PTHREAD_MUTEX_INITIALIZER};
    struct mio_err err = {0};
    mio_arena_init(&c.arena);
    mio_out_init(&c.out, STDOUT_FILENO);
    mio_out_init(&c.err, STDERR_FILENO);
    c.ui.text.err = &c.err;
    const char *const *words = (const char *const *)argv + (argc > 0);
    size_t n = argc > 0 ? (size_t)argc - 1 : 0, word = mio_options_first_word(words, n), used = 0;
    c.command = mio_command_find(words + word, n - word, &used);
    if (!c.command)
        return mio_cli_end(&c, no_command(&c, words, n, word));
    if (parse(&c, words, n, word, used, &err))
        return mio_cli_end(&c, mio_cli_fail(&c, &err));
    if (mio_cli_on(&c, MIO_OPT_HELP)) {
        mio_help_command(&c.out.buf, c.command);
        return mio_cli_end(&c, MIO_OK);
    }
    return mio_cli_end(&c, mio_cli_on(&c, MIO_OPT_VERSION) ? mio_cmd_version(&c) : run(&c));
}
