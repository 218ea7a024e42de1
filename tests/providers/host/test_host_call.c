/* tests/providers/host/test_host_call.c: calls that go as they should, from one thread and from
 * many. */
#include "tests/providers/host/odd.h"

#include <pthread.h>

static void carries_everything(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_value inputs;
    assert_int_equal(
        mio_json_read(&t.a, MIO_STR("{\"inputs\":{\"n\":12345678901234567890,\"s\":\"\\u00e9\"}}"),
                      NULL, &inputs, &err),
        MIO_OK);
    struct mio_prov_change c = {.kind = MIO_STR("odd"),
                                .address = MIO_STR("fine.x"),
                                .inputs = inputs,
                                .resume = MIO_STR("h1")};
    struct mio_call_opts o = {
        .key = MIO_STR("k"), .attempt = 4, .deadline_ms = mio_now_ms() + 5000};
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err), MIO_OK);
    assert_int_equal(obj.status, MLOPS_OK);
    assert_true(mio_str_is(obj.id, "fine.x"));
    assert_true(mio_str_is(obj.fingerprint, "f1"));
    assert_true(mio_str_is(mio_get_str(obj.attributes, "key"), "k"));
    assert_true(mio_str_is(mio_get_str(obj.attributes, "resume"), "h1"));
    assert_int_equal(mio_get_i64(obj.attributes, "attempt", 0), 4);
    assert_true(mio_equal(*mio_get_z(obj.attributes, "inputs"), inputs));
    assert_true(mio_str_starts(obj.attributes_json, "{\"address\":"));

    c.id = MIO_STR("id-7");
    c.prior = inputs;
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_UPDATE, &c, &o, &obj, &err), MIO_OK);
    assert_true(mio_str_is(obj.id, "id-7"));
    c.address = MIO_STR("gone");
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_DELETE, &c, &o, NULL, &err), MIO_OK);
    odd_close(&t);
}

/* Sensitive values reach the plugin open. */
static void sends_secrets_open(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_pair pairs[] = {{MIO_STR("inputs"), mio_sensitive(mio_string_z("hunter2"))}};
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = MIO_STR("fine"), .inputs = mio_map(pairs, 1)};
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, NULL, &obj, &err), MIO_OK);
    assert_true(mio_str_is(mio_get_str(*mio_get_z(obj.attributes, "inputs"), "inputs"), "hunter2"));
    odd_close(&t);
}

static void errors_keep_their_words(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    assert_int_equal(odd_create(&t, "refused", 5000, &obj, &err), MIO_REALITY);
    assert_string_equal(err.message, "quota is used up");
    assert_string_equal(err.hint, "a hint");
    assert_false(err.ambiguous);
    odd_close(&t);
}

static void validates_without_settings(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    struct mio_value answer;
    struct mio_prov_change c = {.kind = MIO_STR("odd"), .address = MIO_STR("x")};
    bool supported = false;
    assert_int_equal(odd_open_path(&t, odd_plugin_path(&t.a, "odd").p, "", 1, &err), MIO_OK);
    assert_int_equal(mio_provider_validate(t.p, &t.a, &c, &supported, &answer, &err), MIO_OK);
    assert_true(supported);
    assert_int_equal(answer.n, 0);
    odd_configure(&t, "{}");
    assert_int_equal(mio_provider_validate(t.p, &t.a, &c, &supported, &answer, &err), MIO_OK);
    assert_int_equal(answer.n, 1);
    odd_close(&t);
}

static void missing_capabilities(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_value answer;
    struct mio_object obj;
    bool supported = true;
    struct mio_prov_change c = {.kind = MIO_STR("odd"), .address = MIO_STR("x")};
    assert_int_equal(mio_provider_plan(t.p, &t.a, &c, NULL, &supported, &answer, &err), MIO_OK);
    assert_false(supported);
    supported = true;
    assert_int_equal(
        mio_provider_preflight(t.p, &t.a, mio_list(NULL, 0), &supported, &answer, &err), MIO_OK);
    assert_false(supported);
    assert_int_equal(mio_provider_list(t.p, &t.a, MIO_STR("odd"), &answer, &err), MIO_PROVIDER);
    mio_err_clear(&err);
    assert_int_equal(mio_provider_import(t.p, &t.a, MIO_STR("odd"), MIO_STR("1"), NULL, &obj, &err),
                     MIO_PROVIDER);
    odd_close(&t);
}

static void looks_up_many(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object *found;
    size_t n = 99;
    assert_int_equal(mio_provider_lookup(t.p, &t.a, MIO_STR("odd"), MIO_STR("abc"),
                                         mio_map(NULL, 0), NULL, &found, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 3);
    assert_true(mio_str_is(found[1].id, "bc"));
    assert_int_equal(mio_provider_lookup(t.p, &t.a, MIO_STR("odd"), MIO_STR(""), mio_map(NULL, 0),
                                         NULL, &found, &n, &err),
                     MIO_OK);
    assert_int_equal(n, 0);
    odd_close(&t);
}

/* ---- many threads ---- */

enum { THREADS = 64, EACH = 40 };
struct crowd {
    struct odd *t;
    int number, wrong;
};

/* Every thread must get its own answers, never another's. */
static void *member(void *arg)
{
    struct crowd *m = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    for (int i = 0; i < EACH; i++) {
        struct mio_err err = {0};
        struct mio_object obj;
        struct mio_prov_change c = {.kind = MIO_STR("odd"),
                                    .address = mio_arena_printf(&a, "fine.%d.%d", m->number, i),
                                    .inputs = mio_map(NULL, 0)};
        if (mio_provider_change(m->t->p, &a, MIO_PROV_CREATE, &c, NULL, &obj, &err) ||
            !mio_str_eq(obj.id, c.address))
            m->wrong++;
    }
    mio_arena_free(&a);
    return NULL;
}

static void run_crowd(struct odd *t)
{
    pthread_t threads[THREADS];
    struct crowd members[THREADS];
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct crowd){.t = t, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, member, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(members[i].wrong, 0);
    }
}

static void crowd_on_a_serial_plugin(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 32);
    run_crowd(&t);
    assert_int_equal(odd_tell(&t, "most"), 1); /* never two at once */
    odd_close(&t);
}

static void sleep_there(struct odd *t, const char *address)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = mio_str_z(address), .inputs = mio_map(NULL, 0)};
    mio_provider_change(t->p, &a, MIO_PROV_CREATE, &c, NULL, &obj, &err);
    mio_arena_free(&a);
}

static void *sleeper(void *arg)
{
    sleep_there(arg, "slow");
    return NULL;
}

static void *long_sleeper(void *arg)
{
    sleep_there(arg, "sleepy");
    return NULL;
}

static void crowd_on_a_concurrent_plugin(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "many", 32);
    run_crowd(&t);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sleeper, &t), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int64_t most = odd_tell(&t, "most");
    assert_in_range(most, 2, 32); /* side by side, and never more than the run wants */
    odd_close(&t);
}

/* Standing in line is not held against the deadline of a call. */
static void line_is_not_counted(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 8);
    pthread_t thread;
    int64_t pid = odd_tell(&t, "pid");
    assert_int_equal(pthread_create(&thread, NULL, long_sleeper, &t), 0);
    mio_sleep_ms(50);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "fine", 10, &obj, &err), MIO_OK);
    assert_in_range(mio_now_ms() - began, 600, 5000);
    pthread_join(thread, NULL);
    assert_int_equal(odd_tell(&t, "pid"), pid);
    odd_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_everything),       cmocka_unit_test(sends_secrets_open),
        cmocka_unit_test(errors_keep_their_words),  cmocka_unit_test(validates_without_settings),
        cmocka_unit_test(missing_capabilities),     cmocka_unit_test(looks_up_many),
        cmocka_unit_test(crowd_on_a_serial_plugin), cmocka_unit_test(crowd_on_a_concurrent_plugin),
        cmocka_unit_test(line_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
