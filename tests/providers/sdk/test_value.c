/* tests/providers/sdk/test_value.c: values, exact numbers, maps. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "providers/sdk/value.h"
#include "tests/arena.h"

static void numbers_have_one_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"1.10", "1.1"},
        {"1e3", "1000"},
        {"-0", "0"},
        {"0.000001", "0.000001"},
        {"1e21", "1000000000000000000000"},
        {"1e400", "1e+400"},
        {"1e20", "100000000000000000000"},
        {"0.1e-7", "0.00000001"},
        {"1e-500", "1e-500"},
        {"-12.500", "-12.5"},
        {"100", "100"},
        {"12.34e1", "123.4"},
        {"5e-1", "0.5"},
        {"0.0", "0"},
        {"12345678901234567890", "12345678901234567890"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_str got = mio_number_canon(&arena, mio_str_z(rows[i].in));
        assert_true(mio_str_is(got, rows[i].out));
    }
}

static void numbers_compare_by_value(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
    } rows[] = {{"1.1", "1.10", 0}, {"10", "9", 1},
                {"-1", "1", -1},    {"0.12", "0.1", 1},
                {"-10", "-9", -1},  {"1e3", "1000", 0},
                {"0", "-0", 0},     {"0", "0.0001", -1},
                {"1e-400", "0", 1}, {"12345678901234567890", "12345678901234567891", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int c = mio_number_cmp(mio_str_z(rows[i].a), mio_str_z(rows[i].b));
        assert_int_equal((c > 0) - (c < 0), rows[i].order);
    }
}

static void whole_numbers_are_recognised_in_any_form(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(mio_value_i64(mio_number(MIO_STR("2.0")), &v) && v == 2);
    assert_true(mio_value_i64(mio_number(MIO_STR("1e3")), &v) && v == 1000);
    assert_true(mio_value_i64(mio_number(MIO_STR("-9223372036854775808")), &v) && v == INT64_MIN);
    assert_false(mio_value_i64(mio_number(MIO_STR("9223372036854775808")), &v));
    assert_false(mio_value_i64(mio_number(MIO_STR("0.5")), &v));
    assert_false(mio_value_i64(mio_string(MIO_STR("1")), &v));
    assert_int_equal(v, INT64_MIN);
}

static void maps_are_sorted_and_hold_each_key_once(void **state)
{
    (void)state;
    struct mio_pair pairs[40];
    for (size_t i = 0; i < 40; i++) {
        struct mio_str key = mio_arena_printf(&arena, "k%02zu", (i * 7) % 40);
        pairs[i] = (struct mio_pair){key, mio_number_i64(&arena, (int64_t)i)};
    }
    struct mio_value m = mio_map(pairs, 40);
    assert_int_equal(m.n, 40);
    for (uint32_t i = 1; i < m.n; i++)
        assert_true(mio_str_cmp(m.pairs[i - 1].key, m.pairs[i].key) < 0);
    assert_int_equal(mio_get_i64(m, "k21", -1), 3);
    assert_null(mio_get_z(m, "k99"));
    struct mio_pair twice[] = {{MIO_STR("a"), mio_bool(true)}, {MIO_STR("a"), mio_bool(false)}};
    assert_int_equal(mio_map_dup(twice, 2), 0);
    struct mio_value last = mio_map(twice, 2);
    assert_int_equal(last.n, 1);
    assert_false(mio_get_bool(last, "a", true));
}

static void merging_puts_one_over_the_other(void **state)
{
    (void)state;
    struct mio_pair a[] = {{MIO_STR("x"), mio_string_z("1")}, {MIO_STR("y"), mio_string_z("2")}};
    struct mio_pair b[] = {{MIO_STR("y"), mio_string_z("3")}, {MIO_STR("z"), mio_string_z("4")}};
    struct mio_value m = mio_map_merge(&arena, mio_map(a, 2), mio_map(b, 2));
    assert_int_equal(m.n, 3);
    assert_true(mio_str_is(mio_get_str(m, "y"), "3"));
    m = mio_map_without(&arena, m, MIO_STR("y"));
    assert_int_equal(m.n, 2);
    m = mio_map_with(&arena, m, MIO_STR("a"), mio_null());
    assert_true(mio_str_is(m.pairs[0].key, "a"));
}

static void marks_reach_the_outermost_value(void **state)
{
    (void)state;
    struct mio_value inner[] = {mio_sensitive(mio_string_z("secret")), mio_unknown(MIO_STRING)};
    struct mio_pair pair = {MIO_STR("list"), mio_list(inner, 2)};
    struct mio_value m = mio_map(&pair, 1);
    assert_true(mio_has_sensitive(m) && mio_has_unknown(m));
    assert_false(mio_is_sensitive(m));
    struct mio_value open = mio_unmark(&arena, m);
    assert_false(mio_has_sensitive(open));
    assert_true(mio_has_unknown(open));
    assert_true(mio_has_sensitive(m)); /* frozen: the original keeps its mark */
}

static void equality_ignores_marks_and_number_forms(void **state)
{
    (void)state;
    struct mio_value a[] = {mio_number(MIO_STR("1.50")), mio_string_z("x")};
    struct mio_value b[] = {mio_number(MIO_STR("15e-1")), mio_sensitive(mio_string_z("x"))};
    assert_true(mio_equal(mio_list(a, 2), mio_list(b, 2)));
    assert_false(mio_equal(mio_string_z("1"), mio_number(MIO_STR("1"))));
    assert_false(mio_equal(mio_unknown(MIO_STRING), mio_unknown(MIO_STRING)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_one_canonical_form),
        cmocka_unit_test(numbers_compare_by_value),
        cmocka_unit_test(whole_numbers_are_recognised_in_any_form),
        cmocka_unit_test(maps_are_sorted_and_hold_each_key_once),
        cmocka_unit_test(merging_puts_one_over_the_other),
        cmocka_unit_test(marks_reach_the_outermost_value),
        cmocka_unit_test(equality_ignores_marks_and_number_forms),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
