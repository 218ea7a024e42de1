/* tests/planner/change/test_select.c: what -exclude takes with it, and what finding that costs. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/change/planner.h"

enum { LENGTH = 20000 };

/* A chain: each depends on the one that comes `later` (or before), so that an order of visits that
 * helps one way does not help the other. */
static void chain_is_excluded_in_one_pass(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_stack st = {.insts = MIO_NEW_N(&a, struct mio_inst *, LENGTH), .ninsts = LENGTH};
        struct mio_step **steps = MIO_NEW_N(&a, struct mio_step *, LENGTH);
        for (uint32_t i = 0; i < LENGTH; i++) {
            st.insts[i] = MIO_NEW(&a, struct mio_inst);
            steps[i] = MIO_NEW(&a, struct mio_step);
            st.insts[i]->number = i;
            st.insts[i]->user = steps[i];
            st.insts[i]->address = mio_arena_printf(&a, "thing.x[%u]", i);
        }
        for (uint32_t i = 0; i + 1 < LENGTH; i++) {
            struct mio_inst *from = st.insts[later ? i : i + 1], *to = st.insts[later ? i + 1 : i];
            from->deps.items = MIO_NEW_N(&a, struct mio_inst *, 1);
            from->deps.items[0] = to;
            from->deps.n = 1;
        }
        const char *half = "thing.x[10000]";
        struct mio_state none = {0};
        struct mio_planner p = {.arena = &a,
                                .st = &st,
                                .state = &none,
                                .steps = steps,
                                .nsteps = LENGTH,
                                .excludes = &half,
                                .nexcludes = 1};
        mio_planner_narrow(&p);
        for (uint32_t i = 0; i < LENGTH; i++)
            assert_int_equal(steps[i]->excluded, later ? i <= 10000 : i >= 10000);
        assert_true(p.looks <= LENGTH);
        mio_arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chain_is_excluded_in_one_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
