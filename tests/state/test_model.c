/* tests/state/test_model.c: rows by address, records to lines and back, masks. */
#include "state/codec.h"
#include "tests/state/support.h"
#include "tests/arena.h"

static void test_put_find_remove(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    mio_state_init(&s, &arena, Z("dev"));
    assert_int_equal(s.salt.n, 64);
    assert_false(s.dirty);
    for (int i = 0; i < 1000; i++) {
        char address[32];
        snprintf(address, sizeof address, "thing.t[%d]", i);
        put(&s, mio_arena_z(&arena, Z(address)), "id");
    }
    assert_true(s.dirty);
    assert_int_equal(s.nrows, 1000);
    put(&s, "thing.t[7]", "second");
    assert_int_equal(s.nrows, 1000);
    assert_string_equal(mio_arena_z(&arena, mio_state_find(&s, Z("thing.t[7]"), Z(""))->id),
                        "second");
    assert_null(mio_state_find(&s, Z("thing.t[7]"), Z("00000001")));
    for (int i = 0; i < 1000; i += 2) {
        char address[32];
        snprintf(address, sizeof address, "thing.t[%d]", i);
        assert_true(mio_state_remove(&s, Z(address), Z("")));
        assert_false(mio_state_remove(&s, Z(address), Z("")));
    }
    assert_int_equal(s.nrows, 500);
    for (int i = 0; i < 1000; i++) {
        char address[32];
        snprintf(address, sizeof address, "thing.t[%d]", i);
        struct mio_row *row = mio_state_find(&s, Z(address), Z(""));
        assert_true((row != NULL) == (i % 2 == 1));
        if (row)
            assert_true(mio_str_is(row->address, address));
    }
    put(&s, "thing.t[0]", "again");
    assert_non_null(mio_state_find(&s, Z("thing.t[0]"), Z("")));
}

static void test_deposed_lies_beside_current(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    struct mio_err err = {0};
    mio_state_init(&s, &arena, Z(""));
    put(&s, "thing.a", "new");
    struct mio_record old = record(&arena, "thing.a", "old");
    old.deposed = Z("0badcafe");
    assert_ok(err, mio_state_put(&s, &old, &err));
    assert_int_equal(s.nrows, 2);
    assert_true(mio_str_is(mio_state_find(&s, Z("thing.a"), Z("0badcafe"))->id, "old"));
    assert_true(mio_state_remove(&s, Z("thing.a"), Z("")));
    assert_null(mio_state_find(&s, Z("thing.a"), Z("")));
    assert_non_null(mio_state_find(&s, Z("thing.a"), Z("0badcafe")));
}

static void test_sort_is_natural_and_keeps_the_index(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    mio_state_init(&s, &arena, Z(""));
    const char *in_order[] = {"thing.a", "thing.t[\"x\"]", "thing.t[2]", "thing.t[10]"};
    for (int i = 3; i >= 0; i--)
        put(&s, in_order[i], in_order[i]);
    mio_state_sort(&s);
    for (int i = 0; i < 4; i++) {
        assert_true(mio_str_is(s.rows[i].address, in_order[i]));
        assert_ptr_equal(mio_state_find(&s, Z(in_order[i]), Z("")), &s.rows[i]);
    }
}

/* Every head string with every nuisance in it, and the whole record, come back as they were. */
static void test_record_round_trip(void **ctx)
{
    (void)ctx;
    const char *nasty[] = {"x[\"a\\\"b\"]",   "back\\slash\\", "tab\tnewline\nquote\"", "\x7f\x01",
                           "umlaut-\xc3\xa4", "\\\"",          "{\"digest\":\""};
    for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
        struct mio_state s;
        struct mio_err err = {0};
        struct mio_record r = record(&arena, nasty[i], nasty[i]), back;
        r.deposed = r.kind = r.provider = r.fingerprint = Z(nasty[i]);
        r.status = MIO_ROW_TAINTED;
        r.create_before_destroy = true;
        r.generation = 4000000000u;
        mio_state_init(&s, &arena, Z(""));
        assert_ok(err, mio_state_put(&s, &r, &err));
        struct mio_row *row = mio_state_find(&s, Z(nasty[i]), Z(nasty[i]));
        assert_non_null(row);
        assert_ok(err, mio_row_read(&arena, row, &back, &err));
        assert_true(mio_str_eq(back.address, r.address) && mio_str_eq(back.id, r.id));
        assert_true(mio_str_eq(row->kind, r.kind) && mio_str_eq(row->fingerprint, r.fingerprint));
        assert_true(mio_str_eq(row->provider, r.provider) && row->status == MIO_ROW_TAINTED);
        assert_true(back.create_before_destroy && back.generation == 4000000000u);
        assert_int_equal(back.schema_version, 3);
        assert_true(mio_equal(back.inputs, r.inputs) && mio_equal(back.attributes, r.attributes));
        assert_true(mio_equal(back.content, r.content));
        assert_true(mio_equal(back.dependencies, r.dependencies));
        MIO_AUTO_BUF b = {0};
        mio_record_write(&b, &back, false);
        assert_true(mio_str_eq(mio_buf_view(&b), row->line));
    }
}

static void test_mask(void **ctx)
{
    (void)ctx;
    struct mio_str salt = Z("aa"), other = Z("bb");
    struct mio_value secret = mio_sensitive(mio_string_z("hunter2-hunter2"));
    struct mio_value m = mio_mask(&arena, salt, secret);
    assert_true(mio_is_masked(m) && mio_is_sensitive(m));
    assert_true(mio_equal(m, mio_mask(&arena, salt, secret)));
    assert_false(mio_equal(m, mio_mask(&arena, other, secret)));
    assert_false(mio_equal(m, mio_mask(&arena, salt, mio_sensitive(mio_string_z("hunter3")))));
    assert_true(mio_equal(m, mio_mask(&arena, salt, m))); /* once is enough */

    struct mio_pair pairs[] = {{Z("a"), mio_string_z("open")}, {Z("b"), secret}};
    struct mio_value items[] = {mio_map(pairs, 2)};
    struct mio_value deep = mio_mask(&arena, salt, mio_list(items, 1));
    MIO_AUTO_BUF b = {0};
    mio_json_write(&b, deep, MIO_JSON_OPEN);
    assert_contains(b.p, "\"a\":\"open\"");
    assert_contains(b.p, "{\"$mio\":\"digest\",\"h\":\"");
    assert_null(strstr(b.p, "hunter2"));
    assert_true(mio_has_sensitive(deep));
}

static void test_masked_survives_the_file(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    struct mio_err err = {0};
    mio_state_init(&s, &arena, Z(""));
    struct mio_record r = record(&arena, "thing.a", "x"), back;
    r.attributes = mio_mask(&arena, s.salt, mio_sensitive(mio_string_z("hunter2")));
    assert_ok(err, mio_state_put(&s, &r, &err));
    assert_ok(err, mio_row_read(&arena, &s.rows[0], &back, &err));
    assert_true(mio_is_masked(back.attributes) && mio_is_sensitive(back.attributes));
}

static void test_clear_secret_and_unknown_are_refused(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    mio_state_init(&s, &arena, Z(""));
    struct mio_value bad[] = {mio_sensitive(mio_string_z("hunter2")), mio_unknown(MIO_STRING)};
    for (size_t i = 0; i < 2; i++) {
        struct mio_err err = {0};
        struct mio_record r = record(&arena, "thing.a", "x");
        r.inputs = mio_list(&bad[i], 1);
        assert_int_equal(mio_state_put(&s, &r, &err), MIO_BUG);
        assert_int_equal(s.nrows, 0);
        assert_string_equal(err.address, "thing.a");
        assert_null(strstr(err.message, "hunter2"));
    }
}

static void test_text_that_is_not_utf8_is_refused(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    mio_state_init(&s, &arena, Z(""));
    struct mio_err err = {0};
    struct mio_record r = record(&arena, "thing.a", "\xff\xfe");
    assert_int_equal(mio_state_put(&s, &r, &err), MIO_PROVIDER);
    assert_int_equal(s.nrows, 0);
}

static void test_outputs(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    mio_state_init(&s, &arena, Z(""));
    struct mio_state_output o[] = {{Z("b"), mio_string_z("1"), false},
                                   {Z("a"), mio_bool(true), false}};
    mio_state_set_outputs(&s, o, 2);
    assert_true(s.dirty && mio_str_is(s.outputs[0].name, "a"));
    s.dirty = false;
    struct mio_state_output same[] = {{Z("a"), mio_bool(true), false},
                                      {Z("b"), mio_string_z("1"), false}};
    mio_state_set_outputs(&s, same, 2);
    assert_false(s.dirty);
    mio_state_set_outputs(&s, NULL, 0);
    assert_true(s.dirty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_find_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deposed_lies_beside_current, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_is_natural_and_keeps_the_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_masked_survives_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clear_secret_and_unknown_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_that_is_not_utf8_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outputs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
