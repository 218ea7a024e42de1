/* tests/providers/host/test_host_catalog.c: the lock file, and where plugins are looked for. */
#include "tests/providers/host/odd.h"

static const char hex[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void put(struct odd *t, const char *name, const char *text)
{
    struct mio_err err = {0};
    struct mio_str path = mio_arena_printf(&t->a, "%s/%s", t->folder, name);
    assert_int_equal(mio_fs_replace(path.p, mio_str_z(text), 0644, &err), MIO_OK);
}

static void round_trip(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    struct mio_lockfile got;
    bool found = true;
    assert_int_equal(mio_lockfile_read(&t.a, t.folder, &got, &found, &err), MIO_OK);
    assert_false(found);
    struct mio_lock_entry entries[] = {
        {MIO_STR("sim"), MIO_STR("2"), MIO_STR("/b/sim.so"), mio_str_z(hex)},
        {MIO_STR("local"), MIO_STR("1"), MIO_STR("/b/local.so"), mio_str_z(hex)}};
    struct mio_lockfile l = {.items = entries, .n = 2};
    assert_int_equal(mio_lockfile_write(t.folder, &l, &err), MIO_OK);
    assert_int_equal(mio_lockfile_read(&t.a, t.folder, &got, &found, &err), MIO_OK);
    assert_true(found);
    assert_int_equal(got.n, 2);
    assert_true(
        mio_str_is(got.items[0].type, "local")); /* sorted: the file does not depend on order */
    assert_true(mio_str_is(got.items[1].path, "/b/sim.so"));
    assert_true(mio_str_is(got.items[1].sha256, hex));
    odd_close(&t);
}

static void malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"format\":\"other\",\"version\":1,\"plugins\":[]}",
        "{\"format\":\"mlops-iac-lock\",\"version\":2,\"plugins\":[]}",
        "{\"format\":\"mlops-iac-lock\",\"version\":1}",
        "{\"format\":\"mlops-iac-lock\",\"version\":1,\"plugins\":[{\"type\":\"sim\",\"path\":"
        "\"sim.so\","
        "\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}",
        "{\"format\":\"mlops-iac-lock\",\"version\":1,\"plugins\":[{\"type\":\"sim\",\"path\":\"/"
        "sim.so\","
        "\"sha256\":\"0123\"}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct odd t;
        odd_begin(&t);
        struct mio_err err = {0};
        struct mio_lockfile got;
        bool found;
        put(&t, ".mlops-iac.lock.json", texts[i]);
        assert_int_equal(mio_lockfile_read(&t.a, t.folder, &got, &found, &err), MIO_STATE);
        assert_has(err.message, "lock file");
        assert_has(err.hint, "init");
        odd_close(&t);
    }
}

static void finds(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    struct mio_str path, real = mio_arena_printf(&t.a, "%s/sim.so", t.folder);
    put(&t, "sim.so", "x");
    struct mio_str link = mio_arena_printf(&t.a, "%s/alias.so", t.folder);
    assert_int_equal(symlink("sim.so", link.p), 0);
    struct mio_str search = mio_arena_printf(&t.a, "/nonexistent:relative:%s", t.folder);
    assert_int_equal(mio_plugin_find(&t.a, MIO_STR("sim"), search.p, "/usr/bin", &path, &err),
                     MIO_OK);
    assert_true(mio_str_eq(path, real));
    /* A link is resolved here, so that the lock file names the file itself. */
    assert_int_equal(mio_plugin_find(&t.a, MIO_STR("alias"), search.p, "/usr/bin", &path, &err),
                     MIO_OK);
    assert_true(mio_str_eq(path, real));
    assert_int_equal(mio_plugin_find(&t.a, MIO_STR("other"), search.p, "/opt/x/bin", &path, &err),
                     MIO_PROVIDER);
    assert_has(err.message, "/nonexistent");
    assert_has(err.message, t.folder);
    assert_has(err.message, "/opt/x/lib/mlops-iac/providers");
    mio_err_clear(&err);
    assert_int_equal(mio_plugin_find(&t.a, MIO_STR("../sim"), search.p, "/usr/bin", &path, &err),
                     MIO_PROVIDER);
    assert_has(err.message, "no name of a provider");
    odd_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(malformed),
                                       cmocka_unit_test(finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
