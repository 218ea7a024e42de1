/* tests/providers/sim/test_sim.c: the simulated cloud through the real host: what it does, and how
 * it misbehaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/host/host.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

struct cloud {
    struct mio_arena a;
    struct mio_provider *p;
    char folder[64];
    int keys;
};

#define assert_has(text, part)                                       \
    do {                                                             \
        if (!strstr((text), (part)))                                 \
            fail_msg("\"%s\" does not hold \"%s\"", (text), (part)); \
    } while (0)

static void connect_to(struct cloud *t, const char *settings)
{
    const char *build = getenv("MIO_BUILD");
    struct mio_err err = {0};
    struct mio_value config;
    struct mio_provider_opts o = {
        .instance = MIO_STR("sim"),
        .plugin_path = mio_arena_printf(&t->a, "%s/lib/mlops-iac/providers/sim.so", build).p,
        .host_program =
            mio_arena_printf(&t->a, "%s/libexec/mlops-iac/mlops-iac-provider-host", build).p,
        .base_dir = mio_str_z(t->folder),
        .parallelism = 10};
    struct mio_str text =
        mio_arena_printf(&t->a, "{\"path\":\"cloud.db\"%s%s}", *settings ? "," : "", settings);
    if (mio_provider_open(&t->a, &o, &t->p, &err) ||
        mio_json_read(&t->a, text, NULL, &config, &err) ||
        mio_provider_configure(t->p, config, MIO_STR(""), &err))
        fail_msg("%s (%s)", err.message, err.cause);
}

static void begin(struct cloud *t, const char *settings)
{
    *t = (struct cloud){0};
    mio_arena_init(&t->a);
    snprintf(t->folder, sizeof t->folder, "/tmp/mio-sim-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    connect_to(t, settings);
}

static void reconnect(struct cloud *t, const char *settings)
{
    mio_provider_close(t->p);
    connect_to(t, settings);
}

static void end(struct cloud *t)
{
    struct mio_err err = {0};
    mio_provider_close(t->p);
    mio_fs_remove_tree(t->folder, &err);
    mio_arena_free(&t->a);
}

/* Asks the file itself, as anybody may. */
static int64_t ask(struct cloud *t, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    struct mio_str path = mio_arena_printf(&t->a, "%s/cloud.db", t->folder);
    assert_int_equal(sqlite3_open(path.p, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

static struct mio_value parse(struct cloud *t, const char *json)
{
    struct mio_err err = {0};
    struct mio_value v;
    assert_int_equal(mio_json_read(&t->a, mio_str_z(json), NULL, &v, &err), MIO_OK);
    return v;
}

/* Creates with a key of its own; `key` NULL: a new one. */
static enum mio_code create(struct cloud *t, const char *kind, const char *inputs, const char *key,
                            struct mio_object *out, struct mio_err *err)
{
    struct mio_prov_change c = {
        .kind = mio_str_z(kind), .address = MIO_STR("thing.x"), .inputs = parse(t, inputs)};
    struct mio_call_opts o = {.key = key ? mio_str_z(key)
                                         : mio_arena_printf(&t->a, "key-%d", ++t->keys),
                              .deadline_ms = mio_now_ms() + 20000};
    *err = (struct mio_err){0};
    return mio_provider_change(t->p, &t->a, MIO_PROV_CREATE, &c, &o, out, err);
}

static struct mio_object made(struct cloud *t, const char *kind, const char *inputs,
                              const char *key)
{
    struct mio_object obj;
    struct mio_err err;
    if (create(t, kind, inputs, key, &obj, &err))
        fail_msg("%s", err.message);
    return obj;
}

struct seen {
    struct mio_arena *a;
    struct mio_object obj;
};
static void note(void *arg, size_t index, const struct mio_object *obj)
{
    struct seen *s = arg;
    (void)index;
    s->obj = *obj;
    s->obj.attributes = mio_value_copy(s->a, obj->attributes);
}

static struct mio_object read_one(struct cloud *t, const char *kind, struct mio_str id,
                                  const char *fingerprint)
{
    struct mio_read_item item = {
        .kind = mio_str_z(kind), .id = id, .fingerprint = mio_str_z(fingerprint)};
    struct seen s = {.a = &t->a};
    struct mio_err err = {0};
    if (mio_provider_read(t->p, &item, 1, NULL, note, &s, &err))
        fail_msg("%s", err.message);
    return s.obj;
}

/* ---- what it does ---- */

static void life_of_a_thing(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "");
    struct mio_object obj =
        made(&t, "thing", "{\"inputs\":{\"n\":1.10},\"secret\":\"s3cret\"}", NULL);
    assert_true(mio_str_starts(obj.id, "t-"));
    assert_true(mio_equal(*mio_get_z(obj.attributes, "output"), parse(&t, "{\"n\":1.1}")));
    assert_true(mio_str_is(mio_get_str(obj.attributes, "secret"), "s3cret"));
    assert_int_equal(read_one(&t, "thing", obj.id, "v1").status, MLOPS_UNCHANGED);
    struct mio_object back = read_one(&t, "thing", obj.id, "v0");
    assert_int_equal(back.status, MLOPS_OK);
    assert_true(mio_equal(back.attributes, obj.attributes));
    assert_int_equal(read_one(&t, "thing_c", obj.id, "").status,
                     MLOPS_NOT_FOUND); /* another kind */

    struct mio_err err = {0};
    struct mio_prov_change c = {.kind = MIO_STR("thing"),
                                .id = obj.id,
                                .inputs = parse(&t, "{\"inputs\":{}}"),
                                .prior = obj.attributes};
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_UPDATE, &c, NULL, &back, &err),
                     MIO_OK);
    assert_true(mio_str_is(back.fingerprint, "v2"));
    assert_int_equal(read_one(&t, "thing", obj.id, "v1").status, MLOPS_OK);
    for (int i = 0; i < 2; i++) /* what is gone already is deleted too */
        assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_DELETE, &c, NULL, NULL, &err),
                         MIO_OK);
    assert_int_equal(read_one(&t, "thing", obj.id, "v2").status, MLOPS_NOT_FOUND);
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_UPDATE, &c, NULL, &back, &err),
                     MIO_OK);
    assert_int_equal(back.status, MLOPS_NOT_FOUND);
    assert_int_equal(ask(&t, "SELECT count(*) FROM ops"), 3);
    end(&t);
}

static void create_classes(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        int things, found; /* after two creates with one key */
    } cases[] = {{"thing", 1, 1}, {"thing_a", 1, 1}, {"thing_c", 2, 2}, {"thing_d", 2, 0}};
    for (size_t i = 0; i < 4; i++) {
        struct cloud t;
        begin(&t, "");
        struct mio_object one = made(&t, cases[i].kind, "{}", "same-key");
        struct mio_object two = made(&t, cases[i].kind, "{}", "same-key"), *found;
        size_t n = 99;
        struct mio_err err = {0};
        assert_int_equal(ask(&t, "SELECT count(*) FROM things"), cases[i].things);
        assert_int_equal(mio_str_eq(one.id, two.id), cases[i].things == 1);
        assert_int_equal(mio_provider_lookup(t.p, &t.a, mio_str_z(cases[i].kind),
                                             MIO_STR("same-key"), mio_map(NULL, 0), NULL, &found,
                                             &n, &err),
                         MIO_OK);
        assert_int_equal(n, cases[i].found);
        if (n > 0)
            assert_true(mio_str_eq(found[0].id, one.id)); /* oldest first */
        end(&t);
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "");
    struct mio_object obj;
    struct mio_err err;
    made(&t, "thing_a", "{\"name\":\"n\"}", "k1");
    made(&t, "thing_a", "{\"name\":\"n\"}", "k1"); /* ours: the same one */
    made(&t, "thing_d", "{\"name\":\"n\"}", "k2"); /* another kind */
    assert_int_equal(create(&t, "thing_a", "{\"name\":\"n\"}", "k3", &obj, &err), MIO_REALITY);
    assert_has(err.message, "taken");
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 2);
    end(&t);
}

static void questions(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "\"quota\":3");
    struct mio_object a = made(&t, "thing", "{\"name\":\"first\",\"inputs\":{\"x\":1}}", NULL),
                      back;
    made(&t, "thing", "{}", NULL);
    struct mio_err err = {0};
    struct mio_value v;
    bool supported = false;
    assert_int_equal(mio_provider_list(t.p, &t.a, MIO_STR("thing"), &v, &err), MIO_OK);
    assert_int_equal(v.n, 2);
    assert_true(mio_str_is(mio_get_str(v.items[0], "name"), "first"));
    assert_int_equal(mio_provider_import(t.p, &t.a, MIO_STR("thing"), a.id, NULL, &back, &err),
                     MIO_OK);
    assert_true(mio_equal(back.attributes, a.attributes));
    assert_int_equal(
        mio_provider_import(t.p, &t.a, MIO_STR("thing"), MIO_STR("t-99"), NULL, &back, &err),
        MIO_OK);
    assert_int_equal(back.status, MLOPS_NOT_FOUND);
    assert_int_equal(mio_provider_data(t.p, &t.a, MIO_STR("thing"),
                                       parse(&t, "{\"name\":\"first\"}"), NULL, &v, &err),
                     MIO_OK);
    assert_true(mio_str_eq(mio_get_str(v, "id"), a.id));
    assert_int_equal(mio_provider_data(t.p, &t.a, MIO_STR("thing"), parse(&t, "{\"id\":\"t-99\"}"),
                                       NULL, &v, &err),
                     MIO_REALITY);
    mio_err_clear(&err);
    struct mio_value changes = parse(&t, "[{\"address\":\"a\",\"action\":\"create\"},"
                                         "{\"address\":\"b\",\"action\":\"create\"},"
                                         "{\"address\":\"c\",\"action\":\"update\"}]");
    assert_int_equal(mio_provider_preflight(t.p, &t.a, changes, &supported, &v, &err), MIO_OK);
    assert_true(supported);
    assert_int_equal(v.n, 1);
    assert_true(mio_str_is(mio_get_str(v.items[0], "address"), "b"));
    struct mio_prov_change c = {.kind = MIO_STR("thing"),
                                .inputs = parse(&t, "{\"fail\":\"sometimes\"}")};
    assert_int_equal(mio_provider_validate(t.p, &t.a, &c, &supported, &v, &err), MIO_OK);
    assert_int_equal(v.n, 1);
    end(&t);
}

/* ---- how it misbehaves ---- */

static void lags(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "\"lag_ms\":150");
    struct mio_object obj = made(&t, "thing_c", "{}", "k"), *found;
    size_t n = 9;
    struct mio_err err = {0};
    assert_int_equal(read_one(&t, "thing_c", obj.id, "").status, MLOPS_NOT_FOUND);
    assert_int_equal(mio_provider_lookup(t.p, &t.a, MIO_STR("thing_c"), MIO_STR("k"),
                                         mio_map(NULL, 0), NULL, &found, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 0);
    mio_sleep_ms(200);
    assert_int_equal(read_one(&t, "thing_c", obj.id, "").status, MLOPS_OK);
    end(&t);
}

static void commits_late(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "\"late_commit_ms\":300");
    struct mio_object obj, *found;
    struct mio_err err;
    size_t n = 9;
    assert_int_equal(create(&t, "thing_c", "{}", "c", &obj, &err), MIO_TRANSIENT);
    assert_true(err.ambiguous);
    mio_err_clear(&err);
    assert_int_equal(mio_provider_lookup(t.p, &t.a, MIO_STR("thing_c"), MIO_STR("c"),
                                         mio_map(NULL, 0), NULL, &found, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 0);
    assert_int_equal(create(&t, "thing", "{}", "b", &obj, &err), MIO_TRANSIENT);
    /* Sent again with the same key: "in progress" until it is there, then the one and only. */
    assert_int_equal(create(&t, "thing", "{}", "b", &obj, &err), MIO_OK);
    mio_sleep_ms(300);
    assert_int_equal(mio_provider_lookup(t.p, &t.a, MIO_STR("thing_c"), MIO_STR("c"),
                                         mio_map(NULL, 0), NULL, &found, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 2);
    end(&t);
}

static void crashes(void **state)
{
    (void)state;
    struct cloud t;
    struct mio_object obj;
    struct mio_err err;
    begin(&t, "\"crash\":[{\"op\":\"create\",\"name\":\"a\",\"times\":1},"
              "{\"op\":\"create\",\"name\":\"b\",\"when\":\"after\",\"times\":1}]");
    assert_int_equal(create(&t, "thing", "{\"name\":\"a\"}", "ka", &obj, &err), MIO_PROVIDER);
    assert_true(err.ambiguous);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 0);
    assert_int_equal(create(&t, "thing", "{\"name\":\"b\"}", "kb", &obj, &err), MIO_PROVIDER);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 1);
    /* Used up, though the process that counted is dead: the same calls now succeed, and make
     * nothing twice. */
    made(&t, "thing", "{\"name\":\"a\"}", "ka");
    made(&t, "thing", "{\"name\":\"b\"}", "kb");
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 2);
    reconnect(&t, "\"crash\":\"create:c@after\"");
    assert_int_equal(create(&t, "thing", "{\"name\":\"c\"}", "kc", &obj, &err), MIO_PROVIDER);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 3);
    made(&t, "thing", "{\"name\":\"d\"}", "kd");
    end(&t);
}

static void a_thing_says_how_it_fails(void **state)
{
    (void)state;
    static const struct {
        const char *inputs;
        enum mio_code code;
        bool ambiguous;
        int things;
    } cases[] = {
        {"{\"fail\":\"create\"}", MIO_REALITY, false, 0},
        {"{\"fail\":\"crash-create\"}", MIO_PROVIDER, true, 0},
        {"{\"fail\":\"crash-after-create\"}", MIO_PROVIDER, true, 1},
        {"{\"fail\":\"lost-create\"}", MIO_TRANSIENT, true, 1},
        {"{\"fail\":\"update\"}", MIO_OK, false, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cloud t;
        struct mio_object obj;
        struct mio_err err;
        begin(&t, "");
        assert_int_equal(create(&t, "thing", cases[i].inputs, "k", &obj, &err), cases[i].code);
        assert_int_equal(err.ambiguous, cases[i].ambiguous);
        assert_int_equal(ask(&t, "SELECT count(*) FROM things"), cases[i].things);
        if (cases[i].things) { /* sending the key again finds it */
            assert_int_equal(create(&t, "thing", cases[i].inputs, "k", &obj, &err), MIO_OK);
            assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 1);
        }
        end(&t);
    }
}

static void update_and_delete_fail(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "");
    struct mio_err err = {0};
    struct mio_object obj = made(&t, "thing", "{\"fail\":\"delete\"}", NULL), back;
    struct mio_prov_change c = {.kind = MIO_STR("thing"),
                                .id = obj.id,
                                .prior = obj.attributes,
                                .inputs = parse(&t, "{\"fail\":\"lost-update\"}")};
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_DELETE, &c, NULL, NULL, &err),
                     MIO_REALITY);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 1);
    mio_err_clear(&err);
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_UPDATE, &c, NULL, &back, &err),
                     MIO_TRANSIENT);
    assert_true(err.ambiguous);
    assert_int_equal(ask(&t, "SELECT version FROM things"), 2);
    end(&t);
}

static void fails_as_told(void **state)
{
    (void)state;
    struct cloud t;
    struct mio_object obj;
    struct mio_err err;
    begin(&t, "\"fail\":[{\"op\":\"create\",\"name\":\"a\",\"code\":\"auth\",\"times\":1},"
              "{\"op\":\"create\",\"name\":\"b\",\"code\":\"transient\",\"times\":2},"
              "{\"op\":\"create\",\"name\":\"c\",\"code\":\"lost\",\"times\":1}]");
    assert_int_equal(create(&t, "thing", "{\"name\":\"a\"}", NULL, &obj, &err), MIO_AUTH);
    made(&t, "thing", "{\"name\":\"a\"}", NULL);
    made(&t, "thing", "{\"name\":\"b\"}", NULL); /* the host tried three times */
    assert_int_equal(ask(&t, "SELECT n FROM fired WHERE rule LIKE '%1'"), 3);
    assert_int_equal(create(&t, "thing", "{\"name\":\"c\"}", "k", &obj, &err), MIO_TRANSIENT);
    assert_true(err.ambiguous);
    reconnect(&t, "\"fail\":1");
    assert_int_equal(read_one(&t, "thing", MIO_STR("t-999"), "").status,
                     MLOPS_NOT_FOUND); /* reads are spared */
    struct mio_prov_change c = {.kind = MIO_STR("thing"), .inputs = parse(&t, "{}")};
    struct mio_call_opts o = {.key = MIO_STR("z"), .deadline_ms = mio_now_ms() + 300};
    mio_err_clear(&err);
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err),
                     MIO_TRANSIENT);
    end(&t);
}

static void garbage_and_hang(void **state)
{
    (void)state;
    static const char *const modes[] = {"index", "double", "json", "huge", "missing", "status"};
    struct cloud t;
    struct mio_object obj;
    struct mio_err err;
    for (size_t i = 0; i < 6; i++) {
        char settings[64];
        snprintf(settings, sizeof settings, "\"garbage\":\"%s\"", modes[i]);
        begin(&t, settings);
        assert_int_equal(create(&t, "thing", "{}", NULL, &obj, &err), MIO_PROVIDER);
        assert_true(err.ambiguous);
        end(&t);
    }
    begin(&t, "\"hang\":\"create:h\"");
    struct mio_prov_change c = {.kind = MIO_STR("thing"), .inputs = parse(&t, "{\"name\":\"h\"}")};
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + 100};
    mio_err_clear(&err);
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err),
                     MIO_PROVIDER);
    assert_has(err.message, "deadline");
    made(&t, "thing", "{}", NULL);
    end(&t);
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *config, *message;
        enum mio_code code;
    } cases[] = {{"{}", "path", MIO_TEMPLATE},
                 {"{\"path\":\"/nonexistent/x.db\"}", "cannot open", MIO_IO},
                 {"{\"path\":\"c.db\",\"create_class\":\"E\"}", "create_class", MIO_TEMPLATE},
                 {"{\"path\":\"c.db\",\"garbage\":\"polite\"}", "garbage", MIO_TEMPLATE}};
    struct cloud t;
    begin(&t, "");
    for (size_t i = 0; i < 4; i++) {
        struct mio_err err = {0};
        assert_int_equal(mio_provider_configure(t.p, parse(&t, cases[i].config), MIO_STR(""), &err),
                         cases[i].code);
        assert_has(err.message, cases[i].message);
    }
    end(&t);
}

/* ---- many at once ---- */

struct worker {
    struct cloud *t;
    int number, each, failed;
};
static void *make_some(void *arg)
{
    struct worker *w = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    for (int i = 0; i < w->each; i++) {
        struct mio_err err = {0};
        struct mio_object obj;
        struct mio_prov_change c = {.kind = MIO_STR("thing"), .inputs = mio_map(NULL, 0)};
        struct mio_call_opts o = {.key = mio_arena_printf(&a, "w%d-%d", w->number, i)};
        w->failed +=
            mio_provider_change(w->t->p, &a, MIO_PROV_CREATE, &c, &o, &obj, &err) != MIO_OK;
    }
    mio_arena_free(&a);
    return NULL;
}

static int crowd(struct cloud *t, int n, int each)
{
    pthread_t threads[16];
    struct worker w[16];
    int failed = 0;
    for (int i = 0; i < n; i++) {
        w[i] = (struct worker){.t = t, .number = i, .each = each};
        assert_int_equal(pthread_create(&threads[i], NULL, make_some, &w[i]), 0);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        failed += w[i].failed;
    }
    return failed;
}

static void waits_side_by_side(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "\"latency_ms\":200");
    int64_t began = mio_now_ms();
    assert_int_equal(crowd(&t, 10, 1), 0);
    assert_in_range(mio_now_ms() - began, 200, 1500); /* not 2000 */
    end(&t);
}

static bool stop;
static void *stop_soon(void *arg)
{
    (void)arg;
    mio_sleep_ms(100);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    return NULL;
}

static void wakes_up_when_cancelled(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "\"latency_ms\":20000");
    pthread_t thread;
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_prov_change c = {.kind = MIO_STR("thing"), .inputs = mio_map(NULL, 0)};
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + 30000, .cancel = &stop};
    int64_t began = mio_now_ms();
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err),
                     MIO_CANCELLED);
    assert_in_range(mio_now_ms() - began, 50, 3000);
    assert_int_equal(ask(&t, "SELECT count(*) FROM things"), 0);
    pthread_join(thread, NULL);
    end(&t);
}

/* Killed in full flight, again and again: the file stays whole, and what was done is in the log of
 * changes once. */
static void survives_kills(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "");
    mio_provider_close(t.p); /* no threads at the fork */
    for (int round = 0; round < 4; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct cloud mine = t; /* the same folder, a child of its own */
            mio_arena_init(&mine.a);
            connect_to(&mine, "");
            crowd(&mine, 4, 100000);
            _exit(0);
        }
        mio_sleep_ms(150 + round * 37);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    connect_to(&t, "");
    made(&t, "thing", "{}", "last");
    int64_t things = ask(&t, "SELECT count(*) FROM things");
    assert_true(things > 10);
    assert_int_equal(ask(&t, "SELECT count(*) FROM ops WHERE op = 'create'"), things);
    assert_int_equal(
        ask(&t, "SELECT count(*) FROM (SELECT key FROM ops GROUP BY key HAVING count(*) > 1)"), 0);
    assert_int_equal(
        ask(&t, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    end(&t);
}

struct tally {
    size_t n[4];
};
static void tally(void *arg, size_t index, const struct mio_object *obj)
{
    (void)index;
    ((struct tally *)arg)->n[obj->status]++;
}

static void counts_its_calls(void **state)
{
    (void)state;
    struct cloud t;
    begin(&t, "");
    assert_int_equal(crowd(&t, 10, 250), 0);
    static struct mio_read_item items[2500];
    for (size_t i = 0; i < 2500; i++)
        items[i] = (struct mio_read_item){.kind = MIO_STR("thing"),
                                          .fingerprint = MIO_STR("v1"),
                                          .id = mio_arena_printf(&t.a, "t-%zu", i + 1)};
    struct tally tl = {{0}};
    struct mio_err err = {0};
    assert_int_equal(mio_provider_read(t.p, items, 2500, NULL, tally, &tl, &err), MIO_OK);
    assert_int_equal(tl.n[MLOPS_UNCHANGED], 2500);
    assert_int_equal(ask(&t, "SELECT n FROM calls WHERE op = 'read'"),
                     3); /* batches of a thousand */
    assert_int_equal(ask(&t, "SELECT items FROM calls WHERE op = 'read'"), 2500);
    assert_int_equal(ask(&t, "SELECT n FROM calls WHERE op = 'create'"), 2500);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_of_a_thing),
        cmocka_unit_test(create_classes),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(questions),
        cmocka_unit_test(lags),
        cmocka_unit_test(commits_late),
        cmocka_unit_test(crashes),
        cmocka_unit_test(a_thing_says_how_it_fails),
        cmocka_unit_test(update_and_delete_fail),
        cmocka_unit_test(fails_as_told),
        cmocka_unit_test(garbage_and_hang),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(waits_side_by_side),
        cmocka_unit_test(wakes_up_when_cancelled),
        cmocka_unit_test(survives_kills),
        cmocka_unit_test(counts_its_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
