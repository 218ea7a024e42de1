/* tests/providers/host/test_host_read.c: batched reads: order, statuses, splitting, reading again,
 * breaches. */
#include "tests/providers/host/odd.h"

enum { MANY = 1234 };
struct seen {
    size_t n;
    bool ordered;
    int status[MANY];
    size_t bytes[MANY];
    char message[512];
};

static void note(void *arg, size_t index, const struct mio_object *obj)
{
    struct seen *s = arg;
    s->ordered = s->ordered && index == s->n;
    s->status[s->n] = (int)obj->status;
    s->bytes[s->n] = obj->attributes_json.n;
    if (obj->status == MLOPS_ERROR)
        snprintf(s->message, sizeof s->message, "%s", obj->error.message);
    s->n++;
}

static struct mio_read_item item(const char *id)
{
    return (struct mio_read_item){
        .kind = MIO_STR("odd"), .id = mio_str_z(id), .fingerprint = MIO_STR("f1")};
}

static void mixed_answers_in_order(void **state)
{
    (void)state;
    static const char *const plugins[] = {"odd", "many"};
    for (int p = 0; p < 2; p++) {
        struct odd t;
        odd_open(&t, plugins[p], 8);
        static struct mio_read_item items[MANY];
        static const char *const ids[] = {"same", "gone", "there", "failed"};
        for (size_t i = 0; i < MANY; i++)
            items[i] = item(ids[i % 4]);
        struct seen s = {.ordered = true};
        struct mio_err err = {0};
        assert_int_equal(mio_provider_read(t.p, items, MANY, NULL, note, &s, &err), MIO_OK);
        assert_int_equal(s.n, MANY);
        assert_true(s.ordered);
        static const int due[] = {MLOPS_UNCHANGED, MLOPS_NOT_FOUND, MLOPS_OK, MLOPS_ERROR};
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal(s.status[i], due[i % 4]);
        assert_string_equal(s.message, "cannot be read");
        odd_close(&t);
    }
}

static void started_and_collected(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "many", 8);
    static struct mio_read_item items[MANY];
    for (size_t i = 0; i < MANY; i++)
        items[i] = item("same");
    struct mio_err err = {0};
    struct mio_read_job *one = mio_provider_read_start(t.p, items, MANY, NULL);
    struct mio_read_job *two = mio_provider_read_start(t.p, items, MANY, NULL);
    struct seen a = {.ordered = true}, b = {.ordered = true};
    assert_int_equal(mio_provider_read_collect(two, note, &b, &err), MIO_OK);
    assert_int_equal(mio_provider_read_collect(one, note, &a, &err), MIO_OK);
    assert_int_equal(a.n, MANY);
    assert_int_equal(b.n, MANY);
    assert_true(a.ordered && b.ordered);
    odd_close(&t);
}

static void none_at_all(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct seen s = {0};
    struct mio_err err = {0};
    assert_int_equal(mio_provider_read(t.p, NULL, 0, NULL, note, &s, &err), MIO_OK);
    assert_int_equal(
        mio_provider_read_collect(mio_provider_read_start(t.p, NULL, 0, NULL), note, &s, &err),
        MIO_OK);
    assert_int_equal(s.n, 0);
    odd_close(&t);
}

/* Five answers of 9 MiB do not fit into one message: the batch is cut until they do. */
static void large_answers_are_split(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_read_item items[6];
    for (size_t i = 0; i < 6; i++)
        items[i] = item(i == 2 ? "same" : "big");
    struct seen s = {.ordered = true};
    struct mio_err err = {0};
    assert_int_equal(mio_provider_read(t.p, items, 6, NULL, note, &s, &err), MIO_OK);
    assert_int_equal(s.n, 6);
    assert_true(s.ordered);
    assert_int_equal(s.status[2], MLOPS_UNCHANGED);
    assert_int_equal(s.bytes[5], 9 << 20);
    odd_close(&t);
}

static void transient_items_are_read_again(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_read_item items[250]; /* three batches */
    for (size_t i = 0; i < 250; i++)
        items[i] = item(i % 3 == 1 ? "shaky" : "same");
    struct seen s = {.ordered = true};
    struct mio_err err = {0};
    assert_int_equal(mio_provider_read(t.p, items, 250, NULL, note, &s, &err), MIO_OK);
    assert_int_equal(s.n, 250);
    assert_true(s.ordered);
    for (size_t i = 0; i < 250; i++)
        assert_int_equal(s.status[i], i % 3 == 1 ? MLOPS_OK : MLOPS_UNCHANGED);
    /* No time for another attempt: the item carries its error, the others are fine. */
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + 1};
    s = (struct seen){.ordered = true};
    assert_int_equal(mio_provider_read(t.p, items, 2, &o, note, &s, &err), MIO_OK);
    assert_int_equal(s.status[0], MLOPS_UNCHANGED);
    assert_int_equal(s.status[1], MLOPS_ERROR);
    odd_close(&t);
}

static void breaches(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "odd", 1);
    struct mio_read_item items[] = {item("same"), item("skip"), item("same")};
    struct seen s = {0};
    struct mio_err err = {0};
    assert_int_equal(mio_provider_read(t.p, items, 3, NULL, note, &s, &err), MIO_PROVIDER);
    assert_has(err.message, "2 of 3 items were answered");
    assert_false(err.ambiguous); /* a read changes nothing */
    assert_int_equal(s.n, 0);
    mio_err_clear(&err);
    items[1] = item("crash");
    assert_int_equal(mio_provider_read(t.p, items, 3, NULL, note, &s, &err), MIO_PROVIDER);
    assert_has(err.message, "crashed");
    assert_false(err.ambiguous);
    mio_err_clear(&err);
    items[1] = item("same");
    assert_int_equal(mio_provider_read(t.p, items, 3, NULL, note, &s, &err), MIO_OK);
    assert_int_equal(s.n, 3);
    odd_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixed_answers_in_order),
        cmocka_unit_test(started_and_collected),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(large_answers_are_split),
        cmocka_unit_test(transient_items_are_read_again),
        cmocka_unit_test(breaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
