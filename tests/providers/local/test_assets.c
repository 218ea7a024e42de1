/* tests/providers/local/test_assets.c: workspaces, data and models: versions, drift, repair,
 * nothing left. */
#include "tests/providers/local/support.h"

#include <pthread.h>
#include <unistd.h>

#define TRIPS "{'name':'trips','workspace':'taxi','type':'uri_folder','path':'data/trips'}"

static void make_workspace(struct fixture *f)
{
    struct answer a = do_create(f, "workspace", "ws", "{'name':'taxi'}");
    assert_done(a);
    assert_str(a.id, "taxi");
}

static void make_data(struct fixture *f)
{
    put_file(f, text(f, "%s/data/trips/a.csv", f->dir), "1,2\n");
    put_file(f, text(f, "%s/data/trips/deep/b.csv", f->dir), "3,4\n");
}

static struct mio_str computed(const struct answer *a, const char *key)
{
    return mio_get_str(*mio_get_z(a->json, "computed"), key);
}

static void test_workspace_life(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    make_workspace(f); /* the same key again gives the same one */
    struct answer other = do_create(f, "workspace", "other", "{'name':'taxi'}");
    assert_int_equal(other.rc, MLOPS_ERROR);
    assert_int_equal(other.code, MLOPS_E_REALITY);
    assert_has(other.hint, "import workspace.x taxi");
    struct answer list = do_list(f, "workspace");
    assert_int_equal(list.json.n, 1);
    struct stat st;
    assert_int_equal(stat(text(f, "%s/workspaces/taxi", f->root), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    struct answer read = do_read(f, "workspace", "taxi", NULL);
    assert_int_equal(read.status, MLOPS_OK);
    assert_int_equal(do_read(f, "workspace", "taxi", read.fingerprint.p).status, MLOPS_UNCHANGED);
    assert_done(do_update(f, "workspace", "u", "taxi", "{'name':'taxi','description':'d'}", NULL));
    assert_int_equal(do_read(f, "workspace", "taxi", read.fingerprint.p).status, MLOPS_OK);
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_int_equal(do_read(f, "workspace", "taxi", NULL).status, MLOPS_NOT_FOUND);
    assert_false(mio_fs_exists(f->root)); /* the last one takes the root along */
}

static void test_bad_names(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"../up", "a/b", ".hidden", "-x", "a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct answer a = do_create(f, "workspace", "ws", text(f, "{'name':'%s'}", bad[i]));
        assert_int_equal(a.code, MLOPS_E_TEMPLATE);
        assert_int_equal(do_validate(f, "workspace", text(f, "{'name':'%s'}", bad[i])).json.n, 1);
    }
    assert_false(mio_fs_exists(f->root));
    assert_int_equal(do_read(f, "data", "../x:1", NULL).code, MLOPS_E_TEMPLATE);
}

static void test_data_versions(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    make_data(f);
    struct answer plan = do_plan(f, "data", NULL, TRIPS);
    assert_str(computed(&plan, "version"), "1");
    struct answer a = do_create(f, "data", "k1", TRIPS);
    assert_done(a);
    assert_str(a.id, "taxi/trips:1");
    assert_true(mio_str_eq(attr(&a, "content_digest"), computed(&plan, "content_digest")));
    assert_true(mio_str_eq(attr(&a, "stored_path"), computed(&plan, "stored_path")));
    assert_string_equal(get_file(f, text(f, "%.*s/deep/b.csv", MIO_FMT(attr(&a, "stored_path")))),
                        "3,4\n");
    struct answer again = do_create(f, "data", "k1", TRIPS);
    assert_str(again.id, "taxi/trips:1"); /* the lost reply, sent again */

    put_file(f, text(f, "%s/data/trips/a.csv", f->dir), "5,6\n");
    plan = do_plan(f, "data", "taxi/trips:1", TRIPS);
    assert_str(computed(&plan, "id"), "taxi/trips:2");
    struct answer two = do_update(f, "data", "k2", "taxi/trips:1", TRIPS, "['path']");
    assert_str(two.id, "taxi/trips:2");
    assert_str(do_update(f, "data", "k2", "taxi/trips:1", TRIPS, "['path']").id, "taxi/trips:2");
    assert_string_equal(get_file(f, text(f, "%.*s/a.csv", MIO_FMT(attr(&a, "stored_path")))),
                        "1,2\n");

    struct answer latest = do_data(f, "data", "{'workspace':'taxi','name':'trips'}");
    assert_str(mio_get_str(latest.json, "version"), "2");
    assert_done(do_remove(f, "data", "taxi/trips:2")); /* and the version that it superseded */
    assert_int_equal(do_read(f, "data", "taxi/trips:1", NULL).status, MLOPS_NOT_FOUND);
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_false(mio_fs_exists(f->root));
}

static void test_explicit_version(void **state)
{
    struct fixture *f = *state;
    const char *body = "{'name':'trips','workspace':'taxi','version':'7','path':'data/trips'}";
    make_workspace(f);
    make_data(f);
    assert_str(do_create(f, "data", "k1", body).id, "taxi/trips:7");
    put_file(f, text(f, "%s/data/trips/a.csv", f->dir), "5,6\n");
    struct answer plan = do_plan(f, "data", "taxi/trips:7", body);
    assert_int_equal(plan.rc, MLOPS_ERROR);
    assert_int_equal(plan.code, MLOPS_E_TEMPLATE);
    assert_has(plan.hint, "version: \"8\"");
    assert_int_equal(do_plan(f, "data", NULL, body).rc, MLOPS_ERROR);
    assert_int_equal(do_update(f, "data", "k2", "taxi/trips:7", body, "['path']").rc, MLOPS_ERROR);
}

static void alter(struct fixture *f, const char *path, const char *with)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(with, out);
    fclose(out);
    (void)f;
}

static void test_drift_and_repair(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    make_data(f);
    struct answer a = do_create(f, "model", "k1", TRIPS);
    /* The same content under another name shares the bytes. */
    const char *twin = "{'name':'twin','workspace':'taxi','path':'data/trips'}";
    assert_done(do_create(f, "model", "k2", twin));
    assert_int_equal(do_read(f, "model", "taxi/trips:1", a.fingerprint.p).status, MLOPS_UNCHANGED);

    const char *stored = text(f, "%.*s/a.csv", MIO_FMT(attr(&a, "stored_path")));
    alter(f, stored, "9,9\n");
    struct answer bad = do_read(f, "model", "taxi/trips:1", a.fingerprint.p);
    assert_int_equal(bad.status, MLOPS_OK);
    assert_int_equal(bad.fingerprint.n, 0);
    assert_false(mio_str_eq(attr(&bad, "content_digest"), attr(&a, "content_digest")));
    struct answer good = do_update(f, "model", "k3", "taxi/trips:1", TRIPS, "['content_digest']");
    assert_done(good);
    assert_str(good.id, "taxi/trips:1");
    assert_true(mio_str_eq(attr(&good, "content_digest"), attr(&a, "content_digest")));
    assert_string_equal(get_file(f, stored), "1,2\n");

    /* A store blob was altered too: the twin shows it and is repaired by its own update. */
    bad = do_read(f, "model", "taxi/twin:1", NULL);
    assert_false(mio_str_eq(attr(&bad, "content_digest"), attr(&a, "content_digest")));
    good = do_update(f, "model", "k4", "taxi/twin:1", twin, "['content_digest']");
    assert_true(mio_str_eq(attr(&good, "content_digest"), attr(&a, "content_digest")));

    unlink(stored);
    bad = do_read(f, "model", "taxi/trips:1", NULL);
    assert_false(mio_str_eq(attr(&bad, "content_digest"), attr(&a, "content_digest")));
    assert_done(do_remove(f, "model", "taxi/trips:1"));
    assert_done(do_remove(f, "model", "taxi/twin:1"));
    struct mio_str *shards;
    size_t n;
    struct mio_err err = {0};
    mio_fs_list(&f->arena, text(f, "%s/workspaces/taxi/store/sha256", f->root), &shards, &n, &err);
    assert_int_equal(err.code, MIO_OK);
    assert_int_equal(n, 0); /* nobody uses any blob any more */
}

static void test_failed_create_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    make_data(f);
    /* Another content than the one that was planned. */
    put_file(f, text(f, "%s/workspaces/taxi/store/new-dead", f->root), "half");
    struct mio_str *names;
    size_t n;
    struct mio_err err = {0};
    struct answer a = do_create_planned(f, "data", "k1", TRIPS, "{'path':'sha256:00'}");
    assert_has(a.message, "changed since it was planned");
    assert_int_equal(mio_fs_list(&f->arena, text(f, "%s/workspaces/taxi/store/sha256", f->root),
                                 &names, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 0);
    assert_false(mio_fs_exists(text(f, "%s/workspaces/taxi/store/new-dead", f->root)));
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_false(mio_fs_exists(f->root));
}

static void test_tags_keep_version(void **state)
{
    struct fixture *f = *state;
    const char *tagged = "{'name':'trips','workspace':'taxi','path':'data/trips','tags':{'a':'b'}}";
    make_workspace(f);
    make_data(f);
    assert_done(do_create(f, "data", "k1", TRIPS));
    struct answer plan = do_plan(f, "data", "taxi/trips:1", tagged);
    assert_str(computed(&plan, "id"), "taxi/trips:1");
    struct answer a = do_update(f, "data", "k2", "taxi/trips:1", tagged, "['tags']");
    assert_str(a.id, "taxi/trips:1");
    assert_str(attr2(&a, "tags", "a"), "b");
}

/* validate comes before configure: `mlops-iac validate` knows no settings. */
static void test_validate_unconfigured(void **state)
{
    struct fixture *f = *state;
    struct mlops_instance *kept = f->instance;
    static const char *const kinds[] = {"workspace", "compute", "environment", "data",
                                        "model",     "job",     "endpoint",    "deployment"};
    f->instance = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_done(do_validate(
            f, kinds[i], "{'name':'x','path':'y','command':'z','inputs':{'a':{'path':'b'}}}"));
    f->instance = kept;
}

/* What another provider understands is nobody's business here; an own option would be, if there
 * were any. */
static void test_options(void **state)
{
    struct fixture *f = *state;
    struct answer a = do_validate(
        f, "workspace", "{'name':'x','provider_options':{'azure':{'sku':'Basic'},'local':{}}}");
    assert_int_equal(a.json.n, 0);
    a = do_validate(f, "workspace", "{'name':'x','provider_options':{'local':{'sku':'Basic'}}}");
    assert_int_equal(a.json.n, 1);
    assert_non_null(strstr(mio_get_str(a.json.items[0], "message").p, "no option \"sku\""));
}

static void test_import_and_lookup(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    make_data(f);
    struct answer made = do_create(f, "data", "k1", TRIPS),
                  a = do_import(f, "data", "taxi/trips:1");
    assert_int_equal(a.status, MLOPS_OK);
    assert_true(mio_equal(a.attributes, made.attributes));
    assert_int_equal(do_import(f, "data", "taxi/trips:2").status, MLOPS_NOT_FOUND);
    assert_str(mio_get_str(do_list(f, "data").json.items[0], "id"), "taxi/trips:1");
    a = do_data(f, "workspace", "{'name':'taxi'}");
    assert_str(mio_get_str(a.json, "id"), "taxi");
    a = do_data(f, "data", "{'workspace':'taxi','name':'trips','version':'9'}");
    assert_has(a.message, "has no version \"9\"");
    assert_has(a.hint, "newest version is 1");
    fixture_configure(f, "{\"workspace\":\"taxi\"}"); /* the default of bodies that name none */
    assert_done(
        do_create(f, "data", "k2", "{'name':'more','path':'data/trips/a.csv','type':'uri_file'}"));
    a = do_data(f, "data", "{'name':'more'}");
    assert_str(mio_get_str(a.json, "id"), "taxi/more:1");
}

struct worker {
    struct fixture f; /* a copy with an arena of its own */
    char key[8];
    struct mio_str id;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    w->id = do_create(&w->f, "data", w->key, TRIPS).id;
    return NULL;
}

static void test_threads_share_a_store(void **state)
{
    struct fixture *f = *state;
    enum { N = 8 };
    struct worker workers[N];
    pthread_t threads[N];
    bool seen[N + 1] = {false};
    make_workspace(f);
    make_data(f);
    for (int i = 0; i < N; i++) {
        workers[i] = (struct worker){.f = *f};
        mio_arena_init(&workers[i].f.arena);
        snprintf(workers[i].key, sizeof workers[i].key, "k%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        uint64_t version = 0;
        pthread_join(threads[i], NULL);
        ptrdiff_t colon = mio_str_find(workers[i].id, ':');
        assert_true(colon > 0);
        assert_true(mio_str_u64(mio_str_sub(workers[i].id, (size_t)colon + 1, 9), &version));
        assert_true(version >= 1 && version <= N && !seen[version]); /* one version each */
        seen[version] = true;
        mio_arena_free(&workers[i].f.arena);
    }
}

static void test_errors_say_what_to_do(void **state)
{
    struct fixture *f = *state;
    struct answer a = do_create(f, "data", "k1", TRIPS);
    assert_int_equal(a.rc, MLOPS_ERROR); /* no workspace, no folder */
    make_workspace(f);
    a = do_create(f, "data", "k1", TRIPS);
    assert_has(a.message, "data/trips does not exist");
    a = do_create(f, "data", "k1", "{'name':'x','workspace':'taxi','path':'https://host/x'}");
    assert_has(a.message, "cannot read https://host/x");
    a = do_create(f, "data", "k1", "{'name':'x','path':'data'}");
    assert_has(a.message, "no workspace is given");
    make_data(f);
    a = do_validate(f, "data", "{'name':'x','type':'uri_file','path':'data/trips'}");
    assert_int_equal(a.json.n, 1);
    assert_done(do_create(f, "data", "k1", TRIPS));
    a = do_remove(f, "workspace", "taxi");
    assert_has(a.message, "still holds data taxi/trips:1");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        CASE(test_workspace_life),
        CASE(test_bad_names),
        CASE(test_data_versions),
        CASE(test_explicit_version),
        CASE(test_drift_and_repair),
        CASE(test_tags_keep_version),
        CASE(test_failed_create_leaves_nothing),
        CASE(test_validate_unconfigured),
        CASE(test_options),
        CASE(test_import_and_lookup),
        CASE(test_threads_share_a_store),
        CASE(test_errors_say_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
