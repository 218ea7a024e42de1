/* tests/providers/host/test_host_trouble.c: crashes, hangs, garbage, retries, cancels: what goes
 * wrong after loading. */
#include "tests/providers/host/odd.h"

#include <pthread.h>

/* A crash takes the call with it, says so, and the next call finds a new child. */
static void crash_and_restart(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t pid = odd_tell(&t, "pid");
    assert_int_equal(odd_create(&t, "crash", 5000, &obj, &err), MIO_PROVIDER);
    assert_true(err.ambiguous);
    assert_has(err.message, "crashed (signal 6");
    assert_has(err.cause, "my last words");
    assert_has(err.cause, "odd.so");
    assert_has(t.log, "something is deeply wrong");
    assert_int_not_equal(odd_tell(&t, "pid"), pid);
    mio_err_clear(&err);
    assert_int_equal(odd_create(&t, "exit", 5000, &obj, &err), MIO_PROVIDER);
    assert_has(err.message, "ended with status 3");
    odd_close(&t);
}

/* A grandchild that holds the sockets open hides nothing. */
static void crash_behind_a_fork(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "fork", 20000, &obj, &err), MIO_PROVIDER);
    assert_has(err.message, "crashed");
    assert_in_range(mio_now_ms() - began, 0, 3000);
    odd_close(&t);
}

static void gives_up_on_a_plugin_that_only_crashes(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_object obj;
    struct mio_err err = {0};
    for (int i = 0; i < 5; i++) {
        mio_err_clear(&err);
        assert_int_equal(odd_create(&t, "crash", 5000, &obj, &err), MIO_PROVIDER);
        assert_has(err.message, "crashed");
    }
    mio_err_clear(&err);
    assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_PROVIDER);
    assert_has(err.message, "5 times in a row");
    assert_false(err.ambiguous); /* it was not even sent */
    odd_close(&t);
}

static void hang_meets_its_deadline(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms(), pid = odd_tell(&t, "pid");
    assert_int_equal(odd_create(&t, "hang", 200, &obj, &err), MIO_PROVIDER);
    assert_in_range(mio_now_ms() - began, 200, 5000);
    assert_true(err.ambiguous);
    assert_has(err.message, "did not finish create within its deadline");
    assert_int_not_equal(odd_tell(&t, "pid"), pid);
    odd_close(&t);
}

/* One that hears the cancel at its deadline may answer in order, and lives. */
static void deadline_is_a_cancel_first(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t pid = odd_tell(&t, "pid");
    assert_int_equal(odd_create(&t, "patient", 100, &obj, &err), MIO_CANCELLED);
    assert_int_equal(odd_tell(&t, "pid"), pid);
    odd_close(&t);
}

/* Contract broken: the plugin is named, killed, and the outcome of a create is unknown. */
static void garbage(void **state)
{
    (void)state;
    static const struct {
        const char *word, *message;
    } cases[] = {
        {"index", "an answer for item 7 of 1"},
        {"twice", "two answers for item 0"},
        {"nothing", "returned without an object"},
        {"silent", "returned an error and did not say which"},
        {"status", "returned 42"},
        {"badjson", "bad JSON"},
        {"listjson", "no JSON object"},
        {"nul", "bad JSON"},
        {"noutf8", "no text"},
        {"noid", "no id"},
        {"nosize", "declares no size"},
        {"unchanged", "where an object is due"},
        {"huge", "beyond 16 MiB"},
        {"scribble", "garbage"},
        {"forge", "a call that was not made"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct odd t;
        struct mio_err err = {0};
        struct mio_object obj;
        odd_open(&t, "odd", 1);
        int64_t pid = odd_tell(&t, "pid");
        assert_int_equal(odd_create(&t, cases[i].word, 5000, &obj, &err), MIO_PROVIDER);
        assert_has(err.message, cases[i].message);
        assert_has(err.message, "\"test\"");
        assert_true(err.ambiguous);
        assert_int_not_equal(odd_tell(&t, "pid"), pid);
        odd_close(&t);
    }
}

static void noise_harms_nobody(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    assert_int_equal(odd_create(&t, "noisy", 5000, &obj, &err), MIO_OK);
    for (int i = 0; i < 100 && !strstr(t.log, "garbage on standard output"); i++)
        mio_sleep_ms(10);
    odd_close(&t);
    assert_has(t.log, "garbage on standard output");
}

/* ---- retries ---- */

static void retries_what_is_transient(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    assert_int_equal(odd_create(&t, "flaky", 20000, &obj, &err), MIO_OK);
    assert_int_equal(mio_get_i64(obj.attributes, "attempt", 0), 3);
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "throttled", 20000, &obj, &err), MIO_OK);
    assert_in_range(mio_now_ms() - began, 250, 5000); /* Retry-After */
    assert_int_equal(mio_get_i64(obj.attributes, "attempt", 0), 2);
    odd_close(&t);
}

static void retries_end_at_the_deadline(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "busy", 600, &obj, &err), MIO_TRANSIENT);
    assert_in_range(mio_now_ms() - began, 0, 1500);
    assert_string_equal(err.message, "busy for ever");
    odd_close(&t);
}

/* What may have happened is not done again. */
static void never_retries_what_is_ambiguous(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "lost", 20000, &obj, &err), MIO_TRANSIENT);
    assert_true(err.ambiguous);
    assert_in_range(mio_now_ms() - began, 0, 2000);
    odd_close(&t);
}

struct tired {
    struct odd *t;
    enum mio_code code;
};

static void *be_throttled(void *arg)
{
    struct tired *w = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = MIO_STR("throttled"), .inputs = mio_map(NULL, 0)};
    w->code = mio_provider_change(w->t->p, &a, MIO_PROV_CREATE, &c, NULL, &obj, &err);
    mio_arena_free(&a);
    return NULL;
}

/* A platform that asks one call for a rest is given it by all. */
static void everybody_rests(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "many", 8);
    struct tired w = {.t = &t};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_throttled, &w), 0);
    mio_sleep_ms(60);
    struct mio_err err = {0};
    struct mio_object obj;
    int64_t began = mio_now_ms();
    assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_OK);
    assert_in_range(mio_now_ms() - began, 100, 3000);
    pthread_join(thread, NULL);
    assert_int_equal(w.code, MIO_OK);
    odd_close(&t);
}

/* ---- callbacks ---- */

struct heard {
    pthread_t thread;
    char progress[64], handle[64];
    int percent;
    bool refuse, same_thread;
};

static void on_progress(void *arg, struct mio_str message, int percent)
{
    struct heard *h = arg;
    snprintf(h->progress, sizeof h->progress, "%.*s", MIO_FMT(message));
    h->percent = percent;
}

static bool on_handle(void *arg, struct mio_str handle)
{
    struct heard *h = arg;
    snprintf(h->handle, sizeof h->handle, "%.*s", MIO_FMT(handle));
    h->same_thread = pthread_equal(h->thread, pthread_self());
    return !h->refuse;
}

static void handle_is_recorded_and_resumed(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct heard h = {.thread = pthread_self()};
    struct mio_err err = {0};
    struct mio_object obj;
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = MIO_STR("long"), .inputs = mio_map(NULL, 0)};
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + 10000,
                              .on_progress = on_progress,
                              .on_handle = on_handle,
                              .arg = &h};
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err), MIO_OK);
    assert_string_equal(h.progress, "half way");
    assert_int_equal(h.percent, 50);
    assert_string_equal(h.handle, "operation-17");
    assert_true(h.same_thread);
    assert_true(mio_str_is(mio_get_str(obj.attributes, "resume"), "operation-17"));

    h.refuse = true;
    assert_int_equal(mio_provider_change(t.p, &t.a, MIO_PROV_CREATE, &c, &o, &obj, &err),
                     MIO_PROVIDER);
    assert_string_equal(err.message, "the handle was not kept");
    odd_close(&t);
}

/* ---- cancel ---- */

struct patient {
    struct odd *t;
    const char *address;
    bool cancel; /* atomic */
    struct mio_err err;
};

static void *wait_long(void *arg)
{
    struct patient *w = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_object obj;
    struct mio_prov_change c = {
        .kind = MIO_STR("odd"), .address = mio_str_z(w->address), .inputs = mio_map(NULL, 0)};
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + 30000, .cancel = &w->cancel};
    mio_provider_change(w->t->p, &a, MIO_PROV_CREATE, &c, &o, &obj, &w->err);
    mio_arena_free(&a);
    return NULL;
}

static struct mio_err stop_after_a_while(struct odd *t, const char *address, int how)
{
    struct patient w = {.t = t, .address = address};
    pthread_t thread;
    int64_t began = mio_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, wait_long, &w), 0);
    mio_sleep_ms(100);
    if (how == 0)
        __atomic_store_n(&w.cancel, true, __ATOMIC_RELAXED);
    else if (how == 1)
        mio_provider_cancel(t->p);
    else
        mio_provider_abort(t->p);
    pthread_join(thread, NULL);
    assert_in_range(mio_now_ms() - began, 0, 5000);
    return w.err;
}

static void cancels(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    int64_t pid = odd_tell(&t, "pid");
    struct mio_err err = stop_after_a_while(&t, "patient", 0);
    assert_int_equal(err.code, MIO_CANCELLED);
    assert_string_equal(err.message, "was asked to stop");
    err = stop_after_a_while(&t, "patient", 1);
    assert_int_equal(err.code, MIO_CANCELLED);
    err = stop_after_a_while(&t, "busy", 1); /* asleep between two attempts */
    assert_int_equal(err.code, MIO_TRANSIENT);
    assert_int_equal(odd_tell(&t, "pid"), pid);

    struct mio_object obj;
    err = stop_after_a_while(&t, "hang", 2);
    assert_int_equal(err.code, MIO_CANCELLED);
    assert_true(err.ambiguous);
    mio_err_clear(&err);
    assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_CANCELLED); /* stays stopped */
    odd_close(&t);
}

/* Others in flight on the same child fail too, as unknown; they are not lost in silence. */
static void a_crash_hits_all_in_flight(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "many", 8);
    struct patient w[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct patient){.t = &t, .address = "hang"};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_long, &w[i]), 0);
    }
    mio_sleep_ms(100);
    struct mio_err err = {0};
    struct mio_object obj;
    assert_int_equal(odd_create(&t, "crash", 5000, &obj, &err), MIO_PROVIDER);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].err.code, MIO_PROVIDER);
        assert_true(w[i].err.ambiguous);
        assert_has(w[i].err.message, "crashed");
    }
    odd_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_and_restart),
        cmocka_unit_test(crash_behind_a_fork),
        cmocka_unit_test(gives_up_on_a_plugin_that_only_crashes),
        cmocka_unit_test(hang_meets_its_deadline),
        cmocka_unit_test(deadline_is_a_cancel_first),
        cmocka_unit_test(garbage),
        cmocka_unit_test(noise_harms_nobody),
        cmocka_unit_test(retries_what_is_transient),
        cmocka_unit_test(retries_end_at_the_deadline),
        cmocka_unit_test(never_retries_what_is_ambiguous),
        cmocka_unit_test(everybody_rests),
        cmocka_unit_test(handle_is_recorded_and_resumed),
        cmocka_unit_test(cancels),
        cmocka_unit_test(a_crash_hits_all_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
