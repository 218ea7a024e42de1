/* providers/environment/program/main.c: the program behind `mlops-iac env`.
 *
 * In: a verb, options, and the environment's body as JSON (-spec). Out: text, an exit status as the
 * main program's: 0, 1, 2 for "differs". */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/log.h"

static const struct {
    const char *name;
    enum mio_code (*run)(struct mio_env_cli *c);
    bool has_args;
} verbs[] = {
    {"lock", mio_env_verb_lock, false},     {"build", mio_env_verb_build, false},
    {"verify", mio_env_verb_verify, false}, {"diff", mio_env_verb_diff, true},
    {"drift", mio_env_verb_drift, true},    {"push", mio_env_verb_push, true},
    {"vendor", mio_env_verb_vendor, false}, {"sbom", mio_env_verb_sbom, false},
};

static const struct {
    const char *name;
    size_t offset;
} options[] = {
    {"spec", offsetof(struct mio_env_cli, spec_path)},
    {"lock", offsetof(struct mio_env_cli, lock_path)},
    {"dir", offsetof(struct mio_env_cli, dir)},
    {"out", offsetof(struct mio_env_cli, out_path)},
    {"root", offsetof(struct mio_env_cli, root_path)},
    {"vendor", offsetof(struct mio_env_cli, vendor)},
    {"threads", offsetof(struct mio_env_cli, threads)},
    {"store", offsetof(struct mio_env_cli, store_path)},
};

static enum mio_code take_option(struct mio_env_cli *c, const char *word)
{
    const char *name = word + (word[1] == '-' ? 2 : 1), *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strlen(options[i].name) != n || memcmp(options[i].name, name, n) != 0)
            continue;
        if (!eq)
            return mio_fail(&c->err, MIO_USAGE, "option -%s needs a value: -%s=...",
                            options[i].name, options[i].name);
        *(const char **)(void *)((char *)c + options[i].offset) = eq + 1;
        return MIO_OK;
    }
    if (n == 7 && !memcmp(name, "offline", 7)) {
        c->offline = true;
        return MIO_OK;
    }
    if (n == 5 && !memcmp(name, "brief", 5)) {
        c->brief = true;
        return MIO_OK;
    }
    return mio_fail(&c->err, MIO_USAGE, "unknown option %s", word);
}

static enum mio_code run(struct mio_env_cli *c, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            if (take_option(c, argv[i]))
                return c->err.code;
        } else
            MIO_PUSH(&c->arena, c->args, c->n_args, c->args_cap) = argv[i];
    }
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(argv[1], verbs[i].name)) {
            if (c->n_args && !verbs[i].has_args)
                return mio_fail(&c->err, MIO_USAGE, "env %s takes no argument here", argv[1]);
            return verbs[i].run(c);
        }
    return mio_fail(&c->err, MIO_USAGE, "unknown verb: env %s", argc > 1 ? argv[1] : "");
}

int main(int argc, char **argv)
{
    struct mio_env_cli c = {.dir = "."};
    mio_crypto_setup();
    mio_fault_setup(getenv("MLOPS_IAC_FAULT"));
    mio_arena_init(&c.arena);
    mio_buf_init(&c.out, 0);
    enum mio_code code = run(&c, argc, argv);
    if (c.out.n)
        fwrite(c.out.p, 1, c.out.n, stdout);
    if (code) {
        fprintf(stderr, "Error: %s\n", c.err.message);
        if (c.err.cause[0])
            fprintf(stderr, "  %s\n", c.err.cause);
        if (c.err.hint[0])
            fprintf(stderr, "\n  %s\n", c.err.hint);
    }
    mio_buf_free(&c.out);
    mio_arena_free(&c.arena);
    return code ? 1 : c.differs ? 2 : 0;
}
