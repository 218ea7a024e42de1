/* state/seal_config.c: whether and with which keys a state is sealed: what the machine's
 * administrator, the environment and the template say, put together. See store.h. */
#include "providers/sdk/fs.h"
#include "state/store.h"

struct gather {
    struct mio_arena *a;
    struct mio_key_source *keys;
    size_t n, cap;
    bool enforced, write_clear;
    struct mio_err *err;
};

/* ---- the environment ---- */

/* Sources of one name are the same key given in other ways. */
static const struct {
    const char *variable, *id;
    enum mio_key_type type;
    bool is_path, old;
} rows[] = {
    {"MLOPS_IAC_STATE_KEY", "key", MIO_KEY_RAW, false, false},
    {"MLOPS_IAC_STATE_KEY_FILE", "key", MIO_KEY_RAW, true, false},
    {"MLOPS_IAC_STATE_PASSPHRASE", "passphrase", MIO_KEY_PASSPHRASE, false, false},
    {"MLOPS_IAC_STATE_OLD_KEY", "key", MIO_KEY_RAW, false, true},
    {"MLOPS_IAC_STATE_OLD_KEY_FILE", "key", MIO_KEY_RAW, true, true},
    {"MLOPS_IAC_STATE_OLD_PASSPHRASE", "passphrase", MIO_KEY_PASSPHRASE, false, true},
};

static void add_environment(struct gather *g, const struct mio_seal_from *from, bool old)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i].old == old ? from->lookup(from->arg, rows[i].variable) : NULL;
        if (!text || !*text)
            continue;
        struct mio_key_source k = {.type = rows[i].type, .id = mio_str_z(rows[i].id)};
        if (rows[i].is_path)
            k.path = text;
        else
            k.secret = mio_str_z(text);
        MIO_PUSH(g->a, g->keys, g->n, g->cap) = k;
    }
}

static enum mio_code environment_enforces(struct gather *g, const struct mio_seal_from *from)
{
    static const char name[] = "MLOPS_IAC_ENCRYPTION_ENFORCED";
    const char *text = from->lookup(from->arg, name);
    struct mio_str s = mio_str_z(text ? text : "");
    bool on = mio_str_is(s, "true") || mio_str_is(s, "1");
    if (s.n && !on && !mio_str_is(s, "false") && !mio_str_is(s, "0"))
        return mio_fail(g->err, MIO_USAGE, "%s must be true or false, not \"%s\"", name, text);
    g->enforced |= on;
    return MIO_OK;
}

/* ---- a mapping: {enforced, write_clear, keys: [{id, type, file, command}]} ---- */

/* A misspelt `enforced` must not pass for none. */
static enum mio_code only(struct gather *g, const char *what, struct mio_value map,
                          const char *const *names, size_t n)
{
    for (uint32_t i = 0; map.type == MIO_MAP && i < map.n; i++) {
        size_t k = 0;
        while (k < n && !mio_str_is(map.pairs[i].key, names[k]))
            k++;
        if (k == n)
            return mio_fail(g->err, MIO_USAGE, "%s has no setting `%.*s`", what,
                            MIO_FMT(map.pairs[i].key));
    }
    return map.type == MIO_MAP ? MIO_OK : mio_fail(g->err, MIO_USAGE, "%s must be a map", what);
}

static enum mio_code read_flag(struct gather *g, const char *what, struct mio_value map,
                               const char *name, bool *flag)
{
    const struct mio_value *v = mio_get_z(map, name);
    if (v && v->type != MIO_BOOL)
        return mio_fail(g->err, MIO_USAGE, "`%s` of %s must be true or false", name, what);
    *flag |= v && v->b;
    return MIO_OK;
}

static enum mio_code read_command(struct gather *g, struct mio_value list, struct mio_key_source *k)
{
    const char **argv = MIO_NEW_N(g->a, const char *, list.n + 1);
    bool good = list.type == MIO_LIST && list.n > 0;
    for (uint32_t i = 0; good && i < list.n; i++) {
        good = list.items[i].type == MIO_STRING;
        argv[i] = mio_arena_z(g->a, mio_value_str(list.items[i]));
    }
    k->command = argv;
    return good ? MIO_OK
                : mio_fail(g->err, MIO_USAGE, "`command` of key %.*s must be a list of strings",
                           MIO_FMT(k->id));
}

static enum mio_code read_key(struct gather *g, const char *what, struct mio_value map,
                              struct mio_str dir)
{
    static const char *const names[] = {"id", "type", "file", "command"};
    static const struct {
        const char *name;
        enum mio_key_type type;
    } types[] = {
        {"raw", MIO_KEY_RAW}, {"passphrase", MIO_KEY_PASSPHRASE}, {"external", MIO_KEY_EXTERNAL}};
    enum mio_code rc = only(g, what, map, names, 4);
    if (rc)
        return rc;
    struct mio_key_source k = {.id = mio_get_str(map, "id")};
    struct mio_str type = mio_get_str(map, "type"), file = mio_get_str(map, "file");
    size_t i = 0;
    while (i < 3 && !mio_str_is(type, types[i].name))
        i++;
    if (i == 3 || k.id.n == 0)
        return mio_fail(g->err, MIO_USAGE,
                        "a key of %s needs an `id` and a `type`: raw, passphrase or external",
                        what);
    k.type = types[i].type;
    const struct mio_value *command = mio_get_z(map, "command");
    if ((k.type == MIO_KEY_EXTERNAL) != (command != NULL) ||
        (k.type != MIO_KEY_EXTERNAL) != (file.n > 0)) {
        mio_fail(g->err, MIO_USAGE, "key %.*s of %s needs `%s`, and that alone", MIO_FMT(k.id),
                 what, k.type == MIO_KEY_EXTERNAL ? "command" : "file");
        return mio_err_hint(g->err, "A secret itself is given in the environment, never in a file "
                                    "that people share: MLOPS_IAC_STATE_KEY.");
    }
    if (command && (rc = read_command(g, *command, &k)) != MIO_OK)
        return rc;
    if (file.n)
        k.path = mio_path_join(g->a, dir, file).p;
    MIO_PUSH(g->a, g->keys, g->n, g->cap) = k;
    return MIO_OK;
}

static enum mio_code read_map(struct gather *g, const char *what, struct mio_value map,
                              struct mio_str dir)
{
    static const char *const names[] = {"enforced", "write_clear", "keys"};
    if (mio_is_null(map))
        return MIO_OK;
    enum mio_code rc = only(g, what, map, names, 3);
    rc = rc ? rc : read_flag(g, what, map, "enforced", &g->enforced);
    rc = rc ? rc : read_flag(g, what, map, "write_clear", &g->write_clear);
    const struct mio_value *keys = mio_get_z(map, "keys");
    if (!rc && keys && keys->type != MIO_LIST)
        rc = mio_fail(g->err, MIO_USAGE, "`keys` of %s must be a list", what);
    for (uint32_t i = 0; !rc && keys && i < keys->n; i++)
        rc = read_key(g, what, keys->items[i], dir);
    return rc;
}

enum mio_code mio_seal_settings(struct mio_arena *a, const struct mio_seal_from *from,
                                struct mio_seal_opts *out, bool *wanted, struct mio_err *err)
{
    struct gather g = {.a = a, .err = err};
    enum mio_code rc = environment_enforces(&g, from);
    rc = rc ? rc : read_map(&g, "the machine's encryption.yaml", from->admin, MIO_STR("/"));
    if (rc == MIO_OK)
        add_environment(&g, from, false);
    rc = rc ? rc : read_map(&g, "`encryption`", from->block, from->dir);
    if (rc)
        return rc;
    add_environment(&g, from, true);
    if (g.n == 0 && (g.enforced || g.write_clear)) {
        mio_fail(err, MIO_AUTH,
                 g.enforced ? "sealing is enforced here, and there is no key"
                            : "write_clear is set, and there is no key to read with");
        return mio_err_hint(err, "Set MLOPS_IAC_STATE_KEY_FILE to a file with 64 hex digits "
                                 "(openssl rand -hex 32), or name a key in `encryption`.");
    }
    *wanted = g.n > 0;
    *out = (struct mio_seal_opts){.keys = g.keys,
                                  .nkeys = g.n,
                                  .enforced = g.enforced,
                                  .write_clear = g.write_clear,
                                  .accept_clear = from->accept_clear};
    return MIO_OK;
}
