/* state/remote/pg.c: objects as rows of a PostgreSQL table.
 *
 * A version comes from a sequence and is never used twice, so that a row that was removed and made
 * again does not pass for the old one.
 *
 * A question that got no answer may have been heard, now or later. It is asked once more, on a new
 * connection that first ends the old one's session over there; every one may be repeated. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "state/remote/wait.h"
#include <libpq-fe.h>
#include <poll.h>

struct pg {
    struct mio_objects base;
    struct mio_arena arena;
    const char *conninfo, *space;
    char session[32]; /* a name of our own for the connections */
    unsigned timeout_s;
    PGconn *conn;
    bool mute, given_up; /* the last question got no answer in time; two in a row did not */
};

static const char ddl[] = "CREATE SCHEMA IF NOT EXISTS mlops_iac;"
                          "CREATE SEQUENCE IF NOT EXISTS mlops_iac.version;"
                          "CREATE TABLE IF NOT EXISTS mlops_iac.object (space text NOT NULL, name "
                          "text NOT NULL, body bytea NOT NULL,"
                          " version bigint NOT NULL, PRIMARY KEY (space, name))";

static enum mio_code fail(struct pg *p, PGresult *r, const char *what, struct mio_err *err)
{
    struct mio_str words = mio_str_trim(mio_str_z(r         ? PQresultErrorMessage(r)
                                                  : p->conn ? PQerrorMessage(p->conn)
                                                            : "the connection broke twice"));
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

static void hang_up(struct pg *p)
{
    if (p->conn)
        PQfinish(p->conn);
    p->conn = NULL;
}

static enum mio_code connect_db(struct pg *p, struct mio_err *err)
{
    if (p->conn && PQstatus(p->conn) == CONNECTION_OK)
        return MIO_OK;
    hang_up(p);
    /* libpq itself waits for ever; what conn_str says comes later and counts more */
    static const char *const names[] = {"connect_timeout", "dbname", "application_name", NULL};
    const char *values[] = {CONNECT_S, p->conninfo, p->session, NULL};
    p->conn = PQconnectdbParams(names, values, 1);
    if (!p->conn || PQstatus(p->conn) != CONNECTION_OK || PQsetnonblocking(p->conn, 1) != 0) {
        struct mio_str words = mio_str_trim(mio_str_z(PQerrorMessage(p->conn)));
        mio_fail(err, MIO_TRANSIENT,
                 p->mute ? "no answer from PostgreSQL in %u s, and no new connection"
                         : "cannot connect to PostgreSQL",
                 p->timeout_s);
        mio_err_cause(err, "%.*s", (int)(words.n > 200 ? 200 : words.n), words.p);
        return mio_err_hint(err, "Check `conn_str` and that the server is up.");
    }
    PQsetNoticeProcessor(p->conn, quiet, NULL);
    return MIO_OK;
}

/* What goes wrong here but for silence, the result tells. */
static void flush(struct pg *p)
{
    while (!p->mute && PQflush(p->conn) > 0) {
        p->mute = !mio_wait_fd(p->base.where, p->timeout_s, PQsocket(p->conn), POLLIN | POLLOUT);
        if (!p->mute && !PQconsumeInput(p->conn)) /* who is not read from may stop reading */
            return;
    }
}

/* The next result, or NULL: there is none any more, or (p->mute) no answer. */
static PGresult *next_result(struct pg *p)
{
    while (!p->mute && PQisBusy(p->conn)) {
        p->mute = !mio_wait_fd(p->base.where, p->timeout_s, PQsocket(p->conn), POLLIN);
        if (!p->mute && !PQconsumeInput(p->conn))
            break;
    }
    return p->mute ? NULL : PQgetResult(p->conn);
}

/* What a statement, or several without arguments, gave last. NULL: the connection is gone. */
static PGresult *exec(struct pg *p, const char *sql, int n, const char *const *values,
                      const int *lengths, const int *formats)
{
    PGresult *r = NULL;
    p->mute = false;
    if (!mio_fault("request")) {
        int begun = n ? PQsendQueryParams(p->conn, sql, n, NULL, values, lengths, formats, 1)
                      : PQsendQuery(p->conn, sql);
        if (begun)
            flush(p);
        for (PGresult *more = begun ? next_result(p) : NULL; more; more = next_result(p)) {
            PQclear(r);
            r = more;
        }
        if (!p->mute && !mio_fault("reply"))
            return r;
    }
    PQclear(r);
    hang_up(p);
    return NULL;
}

/* What the lost connection was asked may still arrive, and must come to nothing then. Who may not
 * look for the session, or end it, is no worse off than before. */
static void end_old_session(struct pg *p)
{
    static const char plain[] =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "current_setting('application_name') AND pid <> pg_backend_pid()";
    static const char waiting[] = /* for its end */
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = "
        "current_setting('application_name') AND pid <> pg_backend_pid()";
    enum { WITH_TIMEOUT = 140000 };
    PQclear(
        exec(p, PQserverVersion(p->conn) >= WITH_TIMEOUT ? waiting : plain, 0, NULL, NULL, NULL));
}

static enum mio_code silent(struct pg *p, struct mio_err *err)
{
    mio_fail(err, MIO_TRANSIENT, "no answer from PostgreSQL in %u s%s", p->timeout_s,
             p->given_up ? "" : ", twice");
    p->given_up = true;
    return mio_silent_hint(err);
}

/* *r NULL: the connection is gone, or mute. */
static enum mio_code ask(struct pg *p, const char *sql, int n, const char *const *values,
                         const int *lengths, const int *formats, PGresult **r, struct mio_err *err)
{
    enum mio_code rc = connect_db(p, err);
    if (rc)
        return rc;
    *r = exec(p, sql, n, values, lengths, formats);
    if (PQstatus(p->conn) == CONNECTION_OK)
        return MIO_OK;
    PQclear(*r);
    *r = NULL;
    if (p->mute && p->given_up)
        return silent(p, err);
    rc = connect_db(p, err);
    if (rc)
        return rc;
    end_old_session(p);
    rc = connect_db(p, err);
    if (rc)
        return rc;
    *r = exec(p, sql, n, values, lengths, formats);
    return p->mute ? silent(p, err) : MIO_OK;
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
    PGresult *r = NULL;
    enum mio_code rc = ask(p, sql, n, values, lengths, formats, &r, err);
    if (rc)
        return rc;
    p->given_up = false;
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
    hang_up(p);
    mio_arena_free(&p->arena);
    free(p);
}

/* Two runs may make the table at the same moment, and one of them then fails for it. */
static enum mio_code make_table(struct pg *p, struct mio_err *err)
{
    enum { TRIES = 3 };
    enum mio_code rc = MIO_OK;
    for (int attempt = 0; attempt < TRIES; attempt++) {
        PGresult *r = NULL;
        mio_err_clear(err);
        rc = run(p, ddl, NULL, 0, "make the table mlops_iac.object", &r, err);
        PQclear(r);
        if (rc != MIO_IO)
            break;
    }
    return rc;
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
    uint8_t noise[8];
    mio_random(noise, sizeof noise);
    snprintf(p->session, sizeof p->session, "mlops-iac ");
    mio_hex(noise, sizeof noise, p->session + strlen(p->session));
    const char *stage = args->stage.n ? mio_arena_z(&p->arena, args->stage) : "default";
    enum mio_code rc = mio_setting(&p->arena, args, "conn_str", NULL, &p->conninfo, err);
    rc = rc ? rc : mio_setting(&p->arena, args, "name", stage, &p->space, err);
    rc = rc ? rc : mio_setting_timeout(&p->arena, args, &p->timeout_s, err);
    rc = rc ? rc : make_table(p, err);
    if (rc) {
        pg_close(&p->base);
        return rc;
    }
    return mio_backend_objects(&p->base, "pg", args, out, err);
}
