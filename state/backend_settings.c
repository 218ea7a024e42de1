/* state/backend_settings.c: which settings each backend has, which of them are secrets, and the
 * variables of the environment that can give them, so that no secret need be in a template. */
#include "providers/sdk/redact.h"
#include "state/backend.h"
#include "state/store.h"

enum { SECRET = 1, FLAG = 2, VARIABLES = 3 };

static const struct setting {
    const char *type; /* NULL: every backend has it */
    const char *name;
    unsigned marks;
    const char *variables[VARIABLES]; /* tried in order */
} rows[] = {
    {NULL, "type", 0, {NULL}},
    {NULL, "durability", 0, {NULL}},
    {"http", "address", 0, {"MLOPS_IAC_BACKEND_ADDRESS"}},
    {"http", "lock_address", 0, {NULL}},
    {"http", "unlock_address", 0, {NULL}},
    {"http", "lock_method", 0, {NULL}},
    {"http", "unlock_method", 0, {NULL}},
    {"http", "update_method", 0, {NULL}},
    {"http", "username", 0, {"MLOPS_IAC_BACKEND_USERNAME", "TF_HTTP_USERNAME"}},
    {"http", "password", SECRET, {"MLOPS_IAC_BACKEND_PASSWORD", "TF_HTTP_PASSWORD"}},
    {"http", "ca_file", 0, {NULL}},
    {"http", "insecure_http", FLAG, {NULL}},
    {"http", "timeout_seconds", 0, {NULL}},
    {"pg", "conn_str", 0, {"MLOPS_IAC_BACKEND_CONN_STR", "PG_CONN_STR"}},
    {"pg", "name", 0, {NULL}},
    {"pg", "timeout_seconds", 0, {NULL}},
    {"s3", "bucket", 0, {NULL}},
    {"s3", "region", 0, {"MLOPS_IAC_BACKEND_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"}},
    {"s3", "key", 0, {NULL}},
    {"s3", "endpoint", 0, {NULL}},
    {"s3", "access_key", 0, {"MLOPS_IAC_BACKEND_ACCESS_KEY", "AWS_ACCESS_KEY_ID"}},
    {"s3", "secret_key", SECRET, {"MLOPS_IAC_BACKEND_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"}},
    {"s3", "token", SECRET, {"AWS_SESSION_TOKEN"}},
    {"s3", "ca_file", 0, {NULL}},
    {"s3", "insecure_http", FLAG, {NULL}},
    {"s3", "timeout_seconds", 0, {NULL}},
    {"azure", "storage_account_name", 0, {NULL}},
    {"azure", "container_name", 0, {NULL}},
    {"azure", "key", 0, {NULL}},
    {"azure", "access_key", SECRET, {"MLOPS_IAC_BACKEND_ACCESS_KEY", "ARM_ACCESS_KEY"}},
    {"azure", "sas_token", SECRET, {"MLOPS_IAC_BACKEND_SAS_TOKEN", "ARM_SAS_TOKEN"}},
    {"azure", "endpoint", 0, {NULL}},
    {"azure", "lease_seconds", 0, {NULL}},
    {"azure", "ca_file", 0, {NULL}},
    {"azure", "insecure_http", FLAG, {NULL}},
    {"azure", "timeout_seconds", 0, {NULL}},
    {"etcd", "endpoint", 0, {NULL}},
    {"etcd", "prefix", 0, {NULL}},
    {"etcd", "username", 0, {"MLOPS_IAC_BACKEND_USERNAME", "ETCDV3_USERNAME"}},
    {"etcd", "password", SECRET, {"MLOPS_IAC_BACKEND_PASSWORD", "ETCDV3_PASSWORD"}},
    {"etcd", "ca_file", 0, {NULL}},
    {"etcd", "insecure_http", FLAG, {NULL}},
    {"etcd", "timeout_seconds", 0, {NULL}},
    {"ssh", "host", 0, {NULL}},
    {"ssh", "path", 0, {NULL}},
    {"ssh", "user", 0, {"MLOPS_IAC_BACKEND_USER"}},
    {"ssh", "port", 0, {NULL}},
    {"ssh", "identity_file", 0, {"MLOPS_IAC_BACKEND_IDENTITY_FILE"}},
    {"ssh", "known_hosts", 0, {NULL}},
    {"ssh", "timeout_seconds", 0, {NULL}},
};
enum { ROWS = sizeof rows / sizeof *rows };
static const char *const types[] = {"file", "http", "pg", "s3", "azure", "etcd", "ssh"};

static bool has(const struct setting *row, struct mio_str type)
{
    return !row->type || mio_str_is(type, row->type);
}

static const struct setting *find(struct mio_str type, struct mio_str name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (has(&rows[i], type) && mio_str_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

/* What stands between the colon and the at sign of a URL, and behind `password=`. */
static void note_password(struct mio_str conn)
{
    static const char name[] = "password=";
    ptrdiff_t at = -1, colon = -1;
    for (size_t i = 0; i < conn.n; i++) {
        at = conn.p[i] == '@' ? (ptrdiff_t)i : at;
        colon = colon < 0 && i && conn.p[i] == ':' && conn.p[i + 1 < conn.n ? i + 1 : i] != '/'
                    ? (ptrdiff_t)i
                    : colon;
    }
    if (colon >= 0 && colon < at)
        mio_secret_add(mio_str_sub(conn, (size_t)colon + 1, (size_t)(at - colon - 1)));
    const char *p = memmem(conn.p, conn.n, name, sizeof name - 1);
    if (!p)
        return;
    p += sizeof name - 1;
    bool quoted = p < conn.p + conn.n && *p == '\'';
    const char *end = p += quoted;
    while (end < conn.p + conn.n && (quoted ? *end != '\'' : *end != ' ' && *end != '&'))
        end++;
    mio_secret_add((struct mio_str){p, (size_t)(end - p)});
}

static struct mio_value marked(const struct setting *row, struct mio_value v)
{
    if (strcmp(row->name, "conn_str") == 0)
        note_password(mio_value_str(v));
    return row->marks & SECRET ? mio_sensitive(v) : v;
}

struct mio_value mio_backend_settings(struct mio_arena *a, struct mio_value backend,
                                      mio_lookup *lookup, void *arg)
{
    struct mio_str type = mio_get_str(backend, "type");
    for (uint32_t i = 0; backend.type == MIO_MAP && i < backend.n; i++) {
        const struct setting *row = find(type, backend.pairs[i].key);
        if (row)
            marked(row, backend.pairs[i].value);
    }
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < VARIABLES && rows[i].variables[k] && has(&rows[i], type) &&
                           !mio_get_z(backend, rows[i].name);
             k++) {
            const char *text = lookup(arg, rows[i].variables[k]);
            if (text && *text)
                backend =
                    mio_map_with(a, backend, mio_str_z(rows[i].name),
                                 marked(&rows[i], mio_string(mio_arena_str(a, mio_str_z(text)))));
        }
    }
    return backend;
}

/* ---- what is wrong with them ---- */

static enum mio_code no_type(struct mio_str type, struct mio_err *err)
{
    enum { TYPES = sizeof types / sizeof *types };
    struct mio_str names[TYPES];
    for (size_t i = 0; i < TYPES; i++)
        names[i] = mio_str_z(types[i]);
    struct mio_str near = mio_str_nearest(type, names, TYPES);
    mio_fail(err, MIO_USAGE, "there is no backend of type \"%.*s\"",
             (int)(type.n > 32 ? 32 : type.n), type.p);
    return near.n ? mio_err_hint(err, "Did you mean \"%.*s\"?", MIO_FMT(near))
                  : mio_err_hint(err, "Backends are file, http, pg, s3, azure, etcd and ssh.");
}

static enum mio_code no_setting(struct mio_str type, struct mio_str name, struct mio_err *err)
{
    struct mio_str names[ROWS];
    size_t n = 0;
    char all[256] = "";
    for (size_t i = 0; i < ROWS; i++) {
        if (!has(&rows[i], type))
            continue;
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", rows[i].name);
        names[n++] = mio_str_z(rows[i].name);
    }
    struct mio_str near = mio_str_nearest(name, names, n);
    mio_fail(err, MIO_USAGE, "the backend %.*s has no setting `%.*s`", MIO_FMT(type),
             (int)(name.n > 64 ? 64 : name.n), name.p);
    return near.n ? mio_err_hint(err, "Did you mean `%.*s`?", MIO_FMT(near))
                  : mio_err_hint(err, "Its settings are %s.", all);
}

static enum mio_code wrong_value(const struct setting *row, struct mio_value v, struct mio_err *err)
{
    struct mio_str text = mio_value_str(v);
    if (row->marks & FLAG)
        return v.type == MIO_BOOL ? MIO_OK
                                  : mio_fail(err, MIO_USAGE, "`%s` is true or false", row->name);
    if (v.type != MIO_STRING && v.type != MIO_NUMBER)
        return mio_fail(err, MIO_USAGE, "`%s` is a text", row->name);
    if (strcmp(row->name, "durability") == 0 && !mio_str_is(text, "full") &&
        !mio_str_is(text, "plan"))
        return mio_fail(err, MIO_USAGE, "`durability` is full or plan, not \"%.*s\"",
                        (int)(text.n > 32 ? 32 : text.n), text.p);
    return MIO_OK;
}

enum mio_code mio_backend_check(struct mio_value backend, struct mio_str *where,
                                struct mio_err *err)
{
    struct mio_str type = mio_get_str(backend, "type");
    bool known = false;
    *where = MIO_STR("type");
    if (type.n == 0 && mio_get_z(backend, "type"))
        return mio_fail(err, MIO_USAGE, "`type` is a text");
    type = type.n ? type : MIO_STR("file");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known |= mio_str_is(type, types[i]);
    if (!known)
        return no_type(type, err);
    for (uint32_t i = 0; backend.type == MIO_MAP && i < backend.n && !err->code; i++) {
        const struct setting *row = find(type, backend.pairs[i].key);
        *where = backend.pairs[i].key;
        if (row)
            wrong_value(row, backend.pairs[i].value, err);
        else
            no_setting(type, backend.pairs[i].key, err);
    }
    return err->code;
}

/* ---- secrets ---- */

static bool holds_password(struct mio_str conn)
{
    ptrdiff_t at = mio_str_find(conn, '@'), scheme = -1;
    for (size_t i = 0; i + 3 <= conn.n && scheme < 0; i++)
        if (mio_str_is(mio_str_sub(conn, i, i + 3), "://"))
            scheme = (ptrdiff_t)i + 3;
    for (size_t i = 0; i + 8 <= conn.n; i++)
        if (mio_str_is(mio_str_sub(conn, i, i + 8), "password"))
            return true;
    return scheme >= 0 && at > scheme &&
           mio_str_find(mio_str_sub(conn, (size_t)scheme, (size_t)at), ':') >= 0;
}

const char *mio_backend_variable(struct mio_str type, const char *name)
{
    const struct setting *row = find(type, mio_str_z(name));
    return row && (row->marks & SECRET) ? row->variables[0] : NULL;
}

bool mio_backend_secret(struct mio_str type, const struct mio_pair *p)
{
    const struct setting *row = find(type, p->key);
    return (row && (row->marks & SECRET)) ||
           (mio_str_is(p->key, "conn_str") && holds_password(mio_value_str(p->value)));
}
