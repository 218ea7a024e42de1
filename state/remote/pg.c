/* state/remote/pg.c: objects as rows of a PostgreSQL table.
 *
 * A version comes from a sequence and is never used twice, so that a row that was removed and made
 * again does not pass for the old one. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fault.h"
#include "state/remote/object.h"
#include <libpq-fe.h>

struct pg {
    struct mio_objects base;
    struct mio_arena arena;
    const char *conninfo, *space;
    PGconn *conn;
};

static const char ddl[] = "CREATE SCHEMA IF NOT EXISTS mlops_iac;"
                          "CREATE SEQUENCE IF NOT EXISTS mlops_iac.version;"
                          "CREATE TABLE IF NOT EXISTS mlops_iac.object (space text NOT NULL, name "
                          "text NOT NULL, body bytea NOT NULL,"
                          " version bigint NOT NULL, PRIMARY KEY (space, name))";

static enum mio_code fail(struct pg *p, PGresult *r, const char *what, struct mio_err *err)
{
    struct mio_str words =
        mio_str_trim(mio_str_z(r ? PQresultErrorMessage(r) : PQerrorMessage(p->conn)));
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    bool denied = state && (strncmp(state, "28", 2) == 0 || strcmp(state, "42501") == 0);
    bool gone = PQstatus(p->conn) != CONNECTION_OK;
    PQclear(r);
    mio_fail(err, denied ? MIO_AUTH : gone ? MIO_TRANSIENT : MIO_IO, "PostgreSQL: cannot %s", what);
    return mio_err_cause(err, "%.*s", (int)(words.n > 200 ? 200 : words.n), words.p);
}

static void quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message; /* notices say that what we make if it is missing is there */
}

#define CONNECT_S "10" /* for each address of the host */

static enum mio_code connect_db(struct pg *p, struct mio_err *err)
{
    if (p->conn && PQstatus(p->conn) == CONNECTION_OK)
        return MIO_OK;
    if (p->conn)
        PQfinish(p->conn);
    /* libpq itself waits for ever; what conn_str says comes later and counts more */
    static const char *const names[] = {"connect_timeout", "dbname", NULL};
    const char *values[] = {CONNECT_S, p->conninfo, NULL};
    p->conn = PQconnectdbParams(names, values, 1);
    if (!p->conn || PQstatus(p->conn) != CONNECTION_OK) {
        struct mio_str words = mio_str_trim(mio_str_z(PQerrorMessage(p->conn)));
        mio_fail(err, MIO_TRANSIENT, "cannot connect to PostgreSQL");
        mio_err_cause(err, "%.*s", (int)(words.n > 200 ? 200 : words.n), words.p);
        return mio_err_hint(err, "Check `conn_str` and that the server is up.");
    }
    PQsetNoticeProcessor(p->conn, quiet, NULL);
    return MIO_OK;
}

/* NULL: the connection is gone. */
static PGresult *exec(struct pg *p, const char *sql, int n, const char *const *values,
                      const int *lengths, const int *formats)
{
    PGresult *r = NULL;
    if (!mio_fault("request")) {
        r = PQexecParams(p->conn, sql, n, NULL, values, lengths, formats, 1);
        if (!mio_fault("reply"))
            return r;
    }
    PQclear(r);
    PQfinish(p->conn);
    p->conn = NULL;
    return NULL;
}

/* Arguments are all sent as bytes; the statement casts them. */
static enum mio_code run(struct pg *p, const char *sql, const struct mio_str *args, int n,
                         const char *what, PGresult **out, struct mio_err *err)
{
    const char *values[4];
    int lengths[4], formats[4];
    for (int i = 0; i < n; i++) {
        if (args[i].n > INT32_MAX / 2)
            return mio_fail(err, MIO_REALITY, "too large for PostgreSQL: %zu bytes", args[i].n);
        values[i] = args[i].n ? args[i].p : "";
        lengths[i] = (int)args[i].n;
        formats[i] = 1;
    }
    enum mio_code rc = connect_db(p, err);
    if (rc)
        return rc;
    PGresult *r = exec(p, sql, n, values, lengths, formats);
    if (PQstatus(p->conn) !=
        CONNECTION_OK) { /* it went away in between: once more, all of this can be repeated */
        PQclear(r);
        rc = connect_db(p, err);
        if (rc)
            return rc;
        r = exec(p, sql, n, values, lengths, formats);
    }
    ExecStatusType st = PQresultStatus(r);
    if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
        return fail(p, r, what, err);
    *out = r;
    return MIO_OK;
}

static struct mio_str field(struct mio_arena *a, PGresult *r, int row, int col)
{
    return mio_arena_str(
        a, (struct mio_str){PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col)});
}

static enum mio_code pg_get(struct mio_objects *o, struct mio_arena *a, const char *name,
                            struct mio_str *text, struct mio_str *tag, bool *found,
                            struct mio_err *err)
{
    struct pg *p = (struct pg *)o;
    struct mio_str args[] = {mio_str_z(p->space), mio_str_z(name)};
    PGresult *r = NULL;
    enum mio_code rc = run(p,
                           "SELECT body, version::text FROM mlops_iac.object WHERE space = "
                           "$1::text AND name = $2::text",
                           args, 2, "read", &r, err);
    if (rc)
        return rc;
    *found = PQntuples(r) == 1;
    if (*found) {
        *text = field(a, r, 0, 0);
        *tag = field(a, r, 0, 1);
    }
    PQclear(r);
    return MIO_OK;
}

static enum mio_code pg_put(struct mio_objects *o, struct mio_arena *a, const char *name,
                            struct mio_str text, const char *if_tag, struct mio_str *tag,
                            bool *lost, struct mio_err *err)
{
    static const char any[] =
        "INSERT INTO mlops_iac.object VALUES ($1::text, $2::text, $3::bytea, "
        "nextval('mlops_iac.version')) "
        "ON CONFLICT (space, name) DO UPDATE SET body = excluded.body, version = excluded.version "
        "RETURNING version::text";
    static const char absent[] = "INSERT INTO mlops_iac.object VALUES ($1::text, $2::text, "
                                 "$3::bytea, nextval('mlops_iac.version')) "
                                 "ON CONFLICT (space, name) DO NOTHING RETURNING version::text";
    static const char same[] =
        "UPDATE mlops_iac.object SET body = $3::bytea, version = nextval('mlops_iac.version') "
        "WHERE space = $1::text AND name = $2::text AND version::text = $4::text RETURNING "
        "version::text";
    struct pg *p = (struct pg *)o;
    struct mio_str args[] = {mio_str_z(p->space), mio_str_z(name), text, mio_str_z(if_tag)};
    const char *sql = !if_tag ? any : *if_tag ? same : absent;
    PGresult *r = NULL;
    enum mio_code rc = run(p, sql, args, sql == same ? 4 : 3, "write", &r, err);
    if (rc)
        return rc;
    *lost = PQntuples(r) == 0;
    if (!*lost)
        *tag = field(a, r, 0, 0);
    PQclear(r);
    return MIO_OK;
}

static enum mio_code pg_del(struct mio_objects *o, const char *name, struct mio_err *err)
{
    struct pg *p = (struct pg *)o;
    struct mio_str args[] = {mio_str_z(p->space), mio_str_z(name)};
    PGresult *r = NULL;
    enum mio_code rc =
        run(p, "DELETE FROM mlops_iac.object WHERE space = $1::text AND name = $2::text", args, 2,
            "delete", &r, err);
    if (rc == MIO_OK)
        PQclear(r);
    return rc;
}

static enum mio_code pg_list(struct mio_objects *o, struct mio_arena *a, const char *prefix,
                             struct mio_str **names, size_t *n, struct mio_err *err)
{
    struct pg *p = (struct pg *)o;
    struct mio_str args[] = {mio_str_z(p->space), mio_str_z(prefix)};
    PGresult *r = NULL;
    enum mio_code rc = run(
        p,
        "SELECT name FROM mlops_iac.object WHERE space = $1::text AND starts_with(name, $2::text) "
        "ORDER BY name COLLATE \"C\"",
        args, 2, "list", &r, err);
    if (rc)
        return rc;
    *n = (size_t)PQntuples(r);
    *names = MIO_NEW_N(a, struct mio_str, *n);
    for (size_t i = 0; i < *n; i++)
        (*names)[i] = field(a, r, (int)i, 0);
    PQclear(r);
    return MIO_OK;
}

static void pg_close(struct mio_objects *o)
{
    struct pg *p = (struct pg *)o;
    if (p->conn)
        PQfinish(p->conn);
    mio_arena_free(&p->arena);
    free(p);
}

/* Two runs may make the table at the same moment, and one of them then fails for it. */
static enum mio_code make_table(struct pg *p, struct mio_err *err)
{
    enum mio_code rc = connect_db(p, err);
    if (rc)
        return rc;
    for (int attempt = 0;; attempt++) {
        PGresult *r = PQexec(p->conn, ddl);
        if (PQresultStatus(r) == PGRES_COMMAND_OK) {
            PQclear(r);
            return MIO_OK;
        }
        if (attempt == 2)
            return fail(p, r, "make the table mlops_iac.object", err);
        PQclear(r);
    }
}

__attribute__((visibility("default"))) mio_backend_entry mio_backend_open_v1;

enum mio_code mio_backend_open_v1(const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct pg *p = mio_zalloc(1, sizeof *p);
    mio_arena_init(&p->arena);
    p->base = (struct mio_objects){.where = "PostgreSQL",
                                   .get = pg_get,
                                   .put = pg_put,
                                   .del = pg_del,
                                   .list = pg_list,
                                   .close = pg_close};
    const char *stage = args->stage.n ? mio_arena_z(&p->arena, args->stage) : "default";
    enum mio_code rc = mio_setting(&p->arena, args, "conn_str", NULL, &p->conninfo, err);
    rc = rc ? rc : mio_setting(&p->arena, args, "name", stage, &p->space, err);
    rc = rc ? rc : make_table(p, err);
    if (rc) {
        pg_close(&p->base);
        return rc;
    }
    return mio_backend_objects(&p->base, "pg", args, out, err);
}
