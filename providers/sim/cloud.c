/* providers/sim/cloud.c: see cloud.h.
 *
 * One connection behind a lock: writers of one SQLite file take turns anyway. Changes that come
 * while another is being committed wait together and share the next transaction, as ten workers at
 * once are the everyday case. */
#include "providers/sim/cloud.h"

#include <pthread.h>
#include <sqlite3.h>

#include "providers/sdk/alloc.h"

enum { BUSY_MS = 20000 };

/* Durable against the death of processes, not of the machine: synchronous is off. */
static const char setup_sql[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-16000;"
    "CREATE TABLE IF NOT EXISTS things(id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " name TEXT, key TEXT, marker TEXT, version INTEGER NOT NULL, commit_at INTEGER NOT NULL,"
    " visible_at INTEGER NOT NULL, inputs TEXT NOT NULL);"
    "CREATE UNIQUE INDEX IF NOT EXISTS things_name ON things(kind, name) WHERE name IS NOT NULL;"
    "CREATE UNIQUE INDEX IF NOT EXISTS things_key ON things(key) WHERE key IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS things_marker ON things(marker) WHERE marker IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS ops(n INTEGER PRIMARY KEY, op TEXT NOT NULL, id INTEGER, key TEXT);"
    "CREATE TABLE IF NOT EXISTS calls(op TEXT PRIMARY KEY, n INTEGER NOT NULL, items INTEGER NOT "
    "NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fired(rule TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;";

#define COLUMNS "id, version, commit_at, visible_at, kind, name, coalesce(key, marker), inputs"
enum sql {
    BEGIN,
    COMMIT,
    ROLLBACK,
    INSERT,
    BY_ID,
    BY_KEY,
    BY_NAME,
    UPDATE,
    DELETE,
    VERSION,
    RANGE,
    LIST,
    LIST_KEY,
    COUNT,
    OP,
    OP_NEW,
    CALL,
    FIRE,
    NSQL,
};
static const char *const texts[NSQL] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] =
        "INSERT INTO things(kind, name, key, marker, version, commit_at, visible_at, inputs, id)"
        " VALUES(?, ?, ?, ?, 1, ?, ?, ?, ?)",
    [BY_ID] = "SELECT " COLUMNS " FROM things WHERE id = ?",
    [BY_KEY] = "SELECT " COLUMNS " FROM things WHERE key = ?",
    [BY_NAME] = "SELECT " COLUMNS " FROM things WHERE kind = ? AND name = ?",
    [UPDATE] = "UPDATE things SET version = version + 1, inputs = ? WHERE id = ?",
    [DELETE] = "DELETE FROM things WHERE id = ?",
    [VERSION] = "SELECT version FROM things WHERE id = ? AND visible_at <= ?",
    [RANGE] = "SELECT id, version FROM things WHERE id BETWEEN ? AND ? AND visible_at <= ?",
    [LIST] = "SELECT " COLUMNS " FROM things WHERE kind = ? AND visible_at <= ? ORDER BY id",
    [LIST_KEY] = "SELECT " COLUMNS " FROM things WHERE kind = ?1 AND visible_at <= ?2"
                 " AND (marker = ?3 OR key = ?3) ORDER BY id",
    [COUNT] = "SELECT count(*) FROM things",
    [OP] = "INSERT INTO ops(op, id, key) VALUES(?, ?, ?)",
    [OP_NEW] = "INSERT INTO ops(op, id, key) VALUES('create', (SELECT coalesce(max(n), 0) + 1 FROM "
               "ops), ?)",
    [CALL] = "INSERT INTO calls(op, n, items) VALUES(?1, 1, ?2)"
             " ON CONFLICT(op) DO UPDATE SET n = n + 1, items = items + ?2",
    [FIRE] = "INSERT INTO fired(rule, n) VALUES(?1, 1)"
             " ON CONFLICT(rule) DO UPDATE SET n = n + 1 RETURNING n",
};

/* A change that waits for its turn, on the stack of the thread that wants it. */
struct change {
    struct change *next;
    pthread_cond_t wake;
    bool (*run)(struct sim_cloud *c,
                struct change *ch); /* inside a transaction; false: it failed */
    struct mio_arena *a;
    const struct sim_row *in;
    struct sim_row out;
    int64_t id;
    struct mio_str key, body;
    bool dedupe, marked, found;
    bool done;
    struct mio_err err;
};

struct sim_cloud {
    sqlite3 *db;
    pthread_mutex_t mu; /* the connection */
    sqlite3_stmt *st[NSQL];
    bool failed;              /* a statement did: what follows must not stand on its answer */
    pthread_mutex_t queue_mu; /* what follows */
    struct change *first, **last;
    bool busy; /* somebody commits for all */
};

int64_t sim_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static enum mio_code broken(struct sim_cloud *c, struct mio_err *err)
{
    int code = sqlite3_errcode(c->db);
    enum mio_code mine = code == SQLITE_BUSY || code == SQLITE_LOCKED ? MIO_TRANSIENT : MIO_IO;
    return mio_fail(err, mine, "the simulated cloud: %s", sqlite3_errmsg(c->db));
}

enum mio_code sim_cloud_open(const char *path, struct sim_cloud **out, struct mio_err *err)
{
    struct sim_cloud *c = mio_zalloc(1, sizeof *c);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&c->mu, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_init(&c->queue_mu, NULL);
    c->last = &c->first;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int bad = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (!bad) {
        sqlite3_busy_timeout(c->db, BUSY_MS);
        bad = sqlite3_exec(c->db, setup_sql, NULL, NULL, NULL);
    }
    for (int i = 0; i < NSQL && !bad; i++)
        bad = sqlite3_prepare_v3(c->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &c->st[i], NULL);
    if (bad) {
        mio_fail(err, MIO_IO, "cannot open the simulated cloud %s: %s", path,
                 sqlite3_errmsg(c->db));
        sim_cloud_close(c);
        return mio_err_hint(err, "the folder of `path` must exist and be writable");
    }
    *out = c;
    return MIO_OK;
}

void sim_cloud_close(struct sim_cloud *c)
{
    if (!c)
        return;
    for (int i = 0; i < NSQL; i++)
        sqlite3_finalize(c->st[i]);
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->queue_mu);
    pthread_mutex_destroy(&c->mu);
    free(c);
}

/* ---- statements ---- */

static void bind_text(sqlite3_stmt *s, int i, struct mio_str v)
{
    if (v.n > 0)
        sqlite3_bind_text(s, i, v.p, (int)v.n, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, i);
}

/* Steps once and lets the statement go; for those without rows. */
static bool run(struct sim_cloud *c, enum sql which)
{
    int got = sqlite3_step(c->st[which]);
    bool ok = got == SQLITE_DONE || got == SQLITE_ROW;
    sqlite3_reset(c->st[which]);
    c->failed |= !ok;
    return ok;
}

static struct mio_str column(struct mio_arena *a, sqlite3_stmt *s, int i)
{
    const char *p = (const char *)sqlite3_column_text(s, i);
    return mio_arena_str(a, (struct mio_str){p ? p : "", (size_t)sqlite3_column_bytes(s, i)});
}

static struct sim_row row_of(struct mio_arena *a, sqlite3_stmt *s)
{
    return (struct sim_row){.id = sqlite3_column_int64(s, 0),
                            .version = sqlite3_column_int64(s, 1),
                            .commit_at = sqlite3_column_int64(s, 2),
                            .visible_at = sqlite3_column_int64(s, 3),
                            .kind = column(a, s, 4),
                            .name = column(a, s, 5),
                            .key = column(a, s, 6),
                            .body = column(a, s, 7)};
}

/* The row of a bound statement; false when there is none. */
static bool one(struct sim_cloud *c, struct mio_arena *a, enum sql which, struct sim_row *out)
{
    int got = sqlite3_step(c->st[which]);
    if (got == SQLITE_ROW)
        *out = row_of(a, c->st[which]);
    c->failed |= (got != SQLITE_ROW && got != SQLITE_DONE) ||
                 sqlite3_errcode(c->db) == SQLITE_NOMEM; /* of a column's text */
    sqlite3_reset(c->st[which]);
    return got == SQLITE_ROW;
}

static bool by_id(struct sim_cloud *c, struct mio_arena *a, int64_t id, struct sim_row *out)
{
    sqlite3_bind_int64(c->st[BY_ID], 1, id);
    return one(c, a, BY_ID, out);
}

static bool log_op(struct sim_cloud *c, const char *op, int64_t id, struct mio_str key)
{
    sqlite3_bind_text(c->st[OP], 1, op, -1, SQLITE_STATIC);
    sqlite3_bind_int64(c->st[OP], 2, id);
    bind_text(c->st[OP], 3, key);
    return run(c, OP);
}

static bool log_call(struct sim_cloud *c, const char *op, size_t items)
{
    sqlite3_bind_text(c->st[CALL], 1, op, -1, SQLITE_STATIC);
    sqlite3_bind_int64(c->st[CALL], 2, (sqlite3_int64)items);
    return run(c, CALL);
}

/* ---- changes ---- */

/* The thing that stands in the way of a create, inside its transaction. */
static bool find_existing(struct sim_cloud *c, struct mio_arena *a, const struct sim_row *in,
                          bool dedupe, struct sim_row *out)
{
    if (dedupe) {
        bind_text(c->st[BY_KEY], 1, in->key);
        if (one(c, a, BY_KEY, out))
            return true;
    }
    if (in->name.n == 0)
        return false;
    bind_text(c->st[BY_NAME], 1, in->kind);
    bind_text(c->st[BY_NAME], 2, in->name);
    return one(c, a, BY_NAME, out);
}

/* The number of the operation becomes the id: no id is ever given twice. */
static bool add(struct sim_cloud *c, struct sim_row *row, bool dedupe, bool marked)
{
    sqlite3_stmt *s = c->st[INSERT];
    struct mio_str none = {0};
    bind_text(c->st[OP_NEW], 1, row->key);
    if (!run(c, OP_NEW))
        return false;
    row->id = sqlite3_last_insert_rowid(c->db);
    row->version = 1;
    bind_text(s, 1, row->kind);
    bind_text(s, 2, row->name);
    bind_text(s, 3, dedupe ? row->key : none);
    bind_text(s, 4, marked && !dedupe ? row->key : none);
    sqlite3_bind_int64(s, 5, row->commit_at);
    sqlite3_bind_int64(s, 6, row->visible_at);
    bind_text(s, 7, row->body);
    sqlite3_bind_int64(s, 8, row->id);
    return run(c, INSERT);
}

/* Ends a transaction: commits when all went well, else takes it back and says why. Whether a commit
 * that fails took effect, nobody knows. */
static void end(struct sim_cloud *c, bool ok, struct mio_err *err)
{
    if (ok && run(c, COMMIT))
        return;
    broken(c, err);
    err->ambiguous = ok;
    if (!sqlite3_get_autocommit(c->db))
        run(c, ROLLBACK);
}

/* One transaction for all of them, or for none: a statement that fails may have ended it, and what
 * came after would take effect by itself. */
static void commit_all(struct sim_cloud *c, struct change *all)
{
    struct mio_err err = {0};
    pthread_mutex_lock(&c->mu);
    c->failed = false;
    bool ok = run(c, BEGIN);
    for (struct change *ch = all; ch && ok; ch = ch->next)
        ok = ch->run(c, ch) && !c->failed;
    end(c, ok, &err);
    pthread_mutex_unlock(&c->mu);
    for (struct change *ch = all; ch; ch = ch->next)
        ch->err = err;
}

/* Takes what waits, commits it, wakes those who wanted it, and one more to go on with what has come
 * since. */
static void lead(struct sim_cloud *c)
{
    struct change *all = c->first;
    c->first = NULL;
    c->last = &c->first;
    c->busy = true;
    pthread_mutex_unlock(&c->queue_mu);
    commit_all(c, all);
    pthread_mutex_lock(&c->queue_mu);
    c->busy = false;
    while (all) {
        struct change *next = all->next;
        all->done = true;
        pthread_cond_signal(&all->wake);
        all = next; /* its owner may be gone as soon as the lock is */
    }
    if (c->first)
        pthread_cond_signal(&c->first->wake);
}

static enum mio_code change(struct sim_cloud *c, struct change *ch, struct mio_err *err)
{
    pthread_cond_init(&ch->wake, NULL);
    pthread_mutex_lock(&c->queue_mu);
    *c->last = ch;
    c->last = &ch->next;
    while (!ch->done)
        if (c->busy)
            pthread_cond_wait(&ch->wake, &c->queue_mu);
        else
            lead(c);
    pthread_mutex_unlock(&c->queue_mu);
    pthread_cond_destroy(&ch->wake);
    if (ch->err.code)
        *err = ch->err;
    return ch->err.code;
}

static bool run_insert(struct sim_cloud *c, struct change *ch)
{
    ch->out = *ch->in;
    if (!log_call(c, "create", 1))
        return false;
    ch->found = find_existing(c, ch->a, ch->in, ch->dedupe, &ch->out);
    return !c->failed && (ch->found || add(c, &ch->out, ch->dedupe, ch->marked));
}

enum mio_code sim_cloud_insert(struct sim_cloud *c, struct mio_arena *a, const struct sim_row *in,
                               bool dedupe, bool marked, struct sim_row *out, bool *existed,
                               struct mio_err *err)
{
    struct change ch = {.run = run_insert, .a = a, .in = in, .dedupe = dedupe, .marked = marked};
    if (change(c, &ch, err))
        return err->code;
    if (ch.found && !(dedupe && mio_str_eq(ch.out.key, in->key)))
        return mio_fail(err, MIO_REALITY, "the name \"%.*s\" is taken", MIO_FMT(in->name));
    *out = ch.out;
    *existed = ch.found;
    return MIO_OK;
}

static bool run_update(struct sim_cloud *c, struct change *ch)
{
    if (!log_call(c, "update", 1))
        return false;
    ch->found = by_id(c, ch->a, ch->id, &ch->out) && ch->out.commit_at <= sim_now_ms();
    if (!ch->found)
        return true;
    bind_text(c->st[UPDATE], 1, ch->body);
    sqlite3_bind_int64(c->st[UPDATE], 2, ch->id);
    ch->out.version++;
    ch->out.body = ch->body;
    return run(c, UPDATE) && log_op(c, "update", ch->id, ch->key);
}

enum mio_code sim_cloud_update(struct sim_cloud *c, struct mio_arena *a, int64_t id,
                               struct mio_str key, struct mio_str body, struct sim_row *out,
                               bool *found, struct mio_err *err)
{
    struct change ch = {.run = run_update, .a = a, .id = id, .key = key, .body = body};
    if (change(c, &ch, err))
        return err->code;
    *out = ch.out;
    *found = ch.found;
    return MIO_OK;
}

static bool run_delete(struct sim_cloud *c, struct change *ch)
{
    sqlite3_bind_int64(c->st[DELETE], 1, ch->id);
    if (!log_call(c, "delete", 1) || !run(c, DELETE))
        return false;
    return sqlite3_changes(c->db) == 0 || log_op(c, "delete", ch->id, ch->key);
}

enum mio_code sim_cloud_delete(struct sim_cloud *c, int64_t id, struct mio_str key,
                               struct mio_err *err)
{
    struct change ch = {.run = run_delete, .id = id, .key = key};
    return change(c, &ch, err);
}

/* ---- questions ---- */

/* The error of a query that returned neither rows nor their end. */
static enum mio_code settle(struct sim_cloud *c, struct mio_err *err)
{
    int code = sqlite3_errcode(c->db);
    bool ok = code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE;
    return ok ? MIO_OK : broken(c, err);
}

enum mio_code sim_cloud_get(struct sim_cloud *c, struct mio_arena *a, int64_t id, bool seen,
                            struct sim_row *out, bool *found, struct mio_err *err)
{
    pthread_mutex_lock(&c->mu);
    bool there = by_id(c, a, id, out);
    enum mio_code code = settle(c, err);
    pthread_mutex_unlock(&c->mu);
    int64_t now = sim_now_ms();
    *found = there && out->commit_at <= now && !(seen && out->visible_at > now);
    return code;
}

enum mio_code sim_cloud_by_name(struct sim_cloud *c, struct mio_arena *a, struct mio_str kind,
                                struct mio_str name, struct sim_row *out, bool *found,
                                struct mio_err *err)
{
    pthread_mutex_lock(&c->mu);
    bind_text(c->st[BY_NAME], 1, kind);
    bind_text(c->st[BY_NAME], 2, name);
    *found = one(c, a, BY_NAME, out) && out->visible_at <= sim_now_ms();
    enum mio_code code = settle(c, err);
    pthread_mutex_unlock(&c->mu);
    return code;
}

/* Ids that lie close together are fetched by one scan. */
static void scan(struct sim_cloud *c, const int64_t *ids, size_t n, int64_t low, int64_t high,
                 int64_t now, int64_t *versions)
{
    sqlite3_stmt *s = c->st[RANGE];
    size_t span = (size_t)(high - low + 1);
    MIO_AUTO_FREE int64_t *at = mio_zalloc(span, sizeof *at);
    sqlite3_bind_int64(s, 1, low);
    sqlite3_bind_int64(s, 2, high);
    sqlite3_bind_int64(s, 3, now);
    while (sqlite3_step(s) == SQLITE_ROW)
        at[sqlite3_column_int64(s, 0) - low] = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    for (size_t i = 0; i < n; i++)
        versions[i] = ids[i] > 0 ? at[ids[i] - low] : 0;
}

static void seek(struct sim_cloud *c, const int64_t *ids, size_t n, int64_t now, int64_t *versions)
{
    sqlite3_stmt *s = c->st[VERSION];
    for (size_t i = 0; i < n; i++) {
        sqlite3_bind_int64(s, 1, ids[i]);
        sqlite3_bind_int64(s, 2, now);
        versions[i] = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
        sqlite3_reset(s);
    }
}

enum mio_code sim_cloud_versions(struct sim_cloud *c, const int64_t *ids, size_t n,
                                 int64_t *versions, struct mio_err *err)
{
    int64_t low = INT64_MAX, high = 0, now = sim_now_ms();
    for (size_t i = 0; i < n; i++) {
        if (ids[i] > 0 && ids[i] < low)
            low = ids[i];
        if (ids[i] > high)
            high = ids[i];
    }
    if (high >= low && (uint64_t)(high - low) < 8 * (uint64_t)n)
        scan(c, ids, n, low, high, now, versions);
    else
        seek(c, ids, n, now, versions);
    return settle(c, err);
}

enum mio_code sim_cloud_read_begin(struct sim_cloud *c, size_t n, struct mio_err *err)
{
    pthread_mutex_lock(&c->mu);
    if (run(c, BEGIN) && log_call(c, "read", n))
        return MIO_OK;
    end(c, false, err);
    pthread_mutex_unlock(&c->mu);
    return err->code;
}

void sim_cloud_read_end(struct sim_cloud *c, struct mio_err *err)
{
    end(c, true, err);
    pthread_mutex_unlock(&c->mu);
}

enum mio_code sim_cloud_list(struct sim_cloud *c, struct mio_arena *a, struct mio_str kind,
                             struct mio_str key, struct sim_row **out, size_t *n,
                             struct mio_err *err)
{
    struct sim_row *rows = NULL;
    size_t count = 0, cap = 0;
    pthread_mutex_lock(&c->mu);
    sqlite3_stmt *s = c->st[key.n > 0 ? LIST_KEY : LIST];
    bind_text(s, 1, kind);
    sqlite3_bind_int64(s, 2, sim_now_ms());
    if (key.n > 0)
        bind_text(s, 3, key);
    while (sqlite3_step(s) == SQLITE_ROW)
        MIO_PUSH(a, rows, count, cap) = row_of(a, s);
    sqlite3_reset(s);
    enum mio_code code = settle(c, err);
    pthread_mutex_unlock(&c->mu);
    *out = rows;
    *n = count;
    return code;
}

enum mio_code sim_cloud_count(struct sim_cloud *c, int64_t *n, struct mio_err *err)
{
    pthread_mutex_lock(&c->mu);
    sqlite3_stmt *s = c->st[COUNT];
    *n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    enum mio_code code = settle(c, err);
    pthread_mutex_unlock(&c->mu);
    return code;
}

enum mio_code sim_cloud_called(struct sim_cloud *c, const char *op, size_t items,
                               struct mio_err *err)
{
    pthread_mutex_lock(&c->mu);
    bool ok = log_call(c, op, items);
    enum mio_code code = ok ? MIO_OK : broken(c, err);
    pthread_mutex_unlock(&c->mu);
    return code;
}

bool sim_cloud_fires(struct sim_cloud *c, const char *rule, int64_t times)
{
    pthread_mutex_lock(&c->mu);
    sqlite3_stmt *s = c->st[FIRE];
    sqlite3_bind_text(s, 1, rule, -1, SQLITE_STATIC);
    int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : INT64_MAX;
    while (sqlite3_step(s) == SQLITE_ROW)
        ;
    sqlite3_reset(s);
    pthread_mutex_unlock(&c->mu);
    return n <= times;
}
