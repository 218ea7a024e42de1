/* tests/planner/run/test_pool.c: every job comes back once, whatever the number of threads. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/run/pool.h"

struct counted {
    struct mio_job job;
    int runs;
};

static void run(struct mio_job *job)
{
    ((struct counted *)job)->runs++;
}

static void every_job_comes_back_once(void **state)
{
    (void)state;
    enum { JOBS = 5000 };
    static const unsigned threads[] = {1, 2, 16};
    for (size_t t = 0; t < 3; t++) {
        static struct counted jobs[JOBS];
        struct mio_pool *p = mio_pool_open(threads[t]);
        size_t back = 0;
        for (size_t i = 0; i < JOBS; i++) {
            jobs[i] = (struct counted){.job.run = run};
            mio_pool_put(p, &jobs[i].job);
        }
        while (back < JOBS) {
            struct counted *c = (struct counted *)mio_pool_take(p, 10000);
            assert_non_null(c);
            assert_int_equal(c->runs, 1);
            back++;
        }
        assert_null(mio_pool_take(p, 1));
        mio_pool_close(p);
    }
}

static void closing_without_work_ends(void **state)
{
    (void)state;
    mio_pool_close(mio_pool_open(8));
    mio_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back_once),
        cmocka_unit_test(closing_without_work_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
