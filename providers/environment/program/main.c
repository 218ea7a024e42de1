/* providers/environment/program/main.c: the program behind `mlops-iac env`.
 *
 * In: a verb, options, and the environment's body as JSON (-spec). Out: text, an exit status as the
 * main program's: 0, 1, 2 for "differs". */
#include "providers/environment/program/verbs.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/json.h"
#include "providers/sdk/redact.h"

static const struct {
    const char *name;
    enum mio_code (*run)(struct mio_env_cli *c);
    bool has_args;
} verbs[] = {
    {"lock", mio_env_verb_lock, true},      {"build", mio_env_verb_build, false},
    {"verify", mio_env_verb_verify, false}, {"diff", mio_env_verb_diff, true},
    {"drift", mio_env_verb_drift, true},    {"push", mio_env_verb_push, true},
    {"vendor", mio_env_verb_vendor, false}, {"sbom", mio_env_verb_sbom, false},
    {"check", mio_env_verb_check, false},   {"provide", mio_env_verb_provide, false},
    {"pull", mio_env_verb_pull, true},      {"export", mio_env_verb_export, true},
    {"look", mio_env_verb_look, false},     {"run", mio_env_verb_run, true},
};

static const struct {
    const char *name;
    size_t offset;
} options[] = {
    {"spec", offsetof(struct mio_env_cli, spec_path)},
    {"lock", offsetof(struct mio_env_cli, lock_path)},
    {"dir", offsetof(struct mio_env_cli, dir)},
    {"locks", offsetof(struct mio_env_cli, locks)},
    {"out", offsetof(struct mio_env_cli, out_path)},
    {"root", offsetof(struct mio_env_cli, root_path)},
    {"vendor", offsetof(struct mio_env_cli, vendor)},
    {"threads", offsetof(struct mio_env_cli, threads)},
    {"store", offsetof(struct mio_env_cli, store_path)},
};
static const struct {
    const char *name;
    size_t offset;
} switches[] = {
    {"offline", offsetof(struct mio_env_cli, offline)},
    {"brief", offsetof(struct mio_env_cli, brief)},
    {"check", offsetof(struct mio_env_cli, check)},
    {"upgrade", offsetof(struct mio_env_cli, upgrade)},
    {"json", offsetof(struct mio_env_cli, json)},
    {"network", offsetof(struct mio_env_cli, network)},
};

/* Without the slashes that shells add to names of folders: what is made aside lies beside them. */
static const char *plain(struct mio_arena *a, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return mio_arena_z(a, (struct mio_str){path, n});
}

static enum mio_code take_option(struct mio_env_cli *c, const char *word)
{
    const char *name = word + (word[1] == '-' ? 2 : 1), *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strlen(options[i].name) != n || memcmp(options[i].name, name, n) != 0)
            continue;
        if (!eq || !eq[1])
            return mio_fail(&c->err, MIO_USAGE, "option -%s needs a value: -%s=...",
                            options[i].name, options[i].name);
        *(const char **)(void *)((char *)c + options[i].offset) = plain(&c->arena, eq + 1);
        return MIO_OK;
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (!strcmp(switches[i].name, name)) {
            *(bool *)(void *)((char *)c + switches[i].offset) = true;
            return MIO_OK;
        }
    if (eq && n == 1 && name[0] == 'e') {
        MIO_PUSH(&c->arena, c->variables, c->n_variables, c->variables_cap) = eq + 1;
        return MIO_OK;
    }
    return mio_fail(&c->err, MIO_USAGE, "unknown option %s", word);
}

static enum mio_code run(struct mio_env_cli *c, int argc, char **argv)
{
    bool ended = false;
    for (int i = 2; i < argc; i++) {
        if (!ended && !strcmp(argv[i], "--")) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1]) {
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

/* Without the tokens and passwords of registries. */
static void put(FILE *f, const struct mio_buf *text)
{
    MIO_AUTO_BUF hidden = {0};
    mio_hide(&hidden, mio_buf_view(text));
    fwrite(hidden.p, 1, hidden.n, f);
}

static void tell(struct mio_env_cli *c, enum mio_code code)
{
    const struct mio_err *e = &c->err;
    if (!c->json) {
        MIO_AUTO_BUF text = {0};
        mio_buf_printf(&text, "Error: %s\n", e->message);
        if (e->cause[0])
            mio_buf_printf(&text, "  %s\n", e->cause);
        if (e->hint[0])
            mio_buf_printf(&text, "\n  %s\n", e->hint);
        put(stderr, &text);
        return;
    }
    struct mio_pair *p = MIO_NEW_N(&c->arena, struct mio_pair, 4);
    p[0] = (struct mio_pair){MIO_STR("cause"), mio_string_z(e->cause)};
    p[1] = (struct mio_pair){MIO_STR("code"), mio_string_z(mio_code_name(code))};
    p[2] = (struct mio_pair){MIO_STR("hint"), mio_string_z(e->hint)};
    p[3] = (struct mio_pair){MIO_STR("message"), mio_string_z(e->message)};
    mio_buf_reset(&c->out); /* an object alone */
    mio_json_write(&c->out, mio_map(p, 4), MIO_JSON_PLAIN);
}

int main(int argc, char **argv)
{
    struct mio_env_cli c = {.dir = "."};
    mio_crypto_setup();
    mio_fault_setup(getenv("MLOPS_IAC_FAULT"));
    mio_arena_init(&c.arena);
    mio_buf_init(&c.out, 0);
    enum mio_code code = run(&c, argc, argv);
    if (code)
        tell(&c, code);
    if (c.out.n)
        put(stdout, &c.out);
    mio_secrets_wipe();
    mio_buf_free(&c.out);
    mio_arena_free(&c.arena);
    return code ? 1 : c.differs ? 2 : c.status;
}
