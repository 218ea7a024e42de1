/* tests/planner/graph/test_address.c: addresses to parts and back. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/graph/address.h"
#include "tests/arena.h"

static void round_trips(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "compute.cpu",
        "thing.x[0]",
        "thing.x[\"a.b\"]",
        "thing.x[\"q\\\"]\"]",
        "data.model.base",
        "data.trips",
        "data.trips[\"k\"]",
        "module.m.compute.cpu",
        "module.a.module.b[1].thing.x[\"k\"]",
        "module.m[\"x\"].data.thing.y",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_address ad;
        struct mio_err err = {0};
        assert_int_equal(mio_address_parse(&arena, mio_str_z(rows[i]), &ad, &err), MIO_OK);
        assert_true(mio_str_is(mio_address_text(&arena, &ad), rows[i]));
    }
}

static void data_is_a_kind_beside_the_lookups(void **state)
{
    (void)state;
    struct mio_address ad;
    struct mio_err err = {0};
    assert_int_equal(mio_address_parse(&arena, MIO_STR("data.trips"), &ad, &err), MIO_OK);
    assert_false(ad.is_data);
    assert_true(mio_str_is(ad.kind, "data"));
    assert_int_equal(mio_address_parse(&arena, MIO_STR("data.model.m"), &ad, &err), MIO_OK);
    assert_true(ad.is_data);
    assert_true(mio_str_is(ad.kind, "model"));
}

static void refuses_with_the_grammar_as_a_hint(void **state)
{
    (void)state;
    static const char *const rows[] = {"",         "thing",        "thing.",      ".x",
                                       "thing.x[", "thing.x[a]",   "thing.x[0",   "thing.x[0].y",
                                       "module.",  "thing x",      "thing.x[\"]", "thing.x[1,2]",
                                       "thing..x", "thing.x[null]"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_address ad;
        struct mio_err err = {0};
        assert_int_equal(mio_address_parse(&arena, mio_str_z(rows[i]), &ad, &err), MIO_USAGE);
        assert_true(err.hint[0] != '\0');
    }
}

static void a_target_covers_what_is_below_it(void **state)
{
    (void)state;
    static const struct {
        const char *target, *instance;
        bool covers;
    } rows[] = {
        {"thing.x", "thing.x[0]", true},          {"thing.x[0]", "thing.x[0]", true},
        {"thing.x[0]", "thing.x[1]", false},      {"thing.x", "thing.xy", false},
        {"module.m", "module.m.thing.x", true},   {"module.m", "module.m[0].thing.x", true},
        {"module.m", "module.mm.thing.x", false}, {"thing.x[1]", "thing.x[10]", false},
        {"thing.x", "thing.x.y", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(mio_address_covers(mio_str_z(rows[i].target), mio_str_z(rows[i].instance)),
                         rows[i].covers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(data_is_a_kind_beside_the_lookups),
        cmocka_unit_test(refuses_with_the_grammar_as_a_hint),
        cmocka_unit_test(a_target_covers_what_is_below_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
