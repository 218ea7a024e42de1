/* planner/run/testfile.h: one tests/NAME.mlopstest.yaml: its `run` steps on real engines over a
 * state of their own.
 *
 * In: a template directory and the file. Out: one result a step, told while its engine is still
 * open. Whatever the steps made is destroyed at the end, also after a failure or an interrupt.
 * Never: the template's own state. */
#pragma once
#include "planner/run/engine.h"

enum mio_test_status { MIO_TEST_PASS, MIO_TEST_FAIL, MIO_TEST_ERROR, MIO_TEST_SKIP };
struct mio_test_step {
    struct mio_str name;
    enum mio_test_status status;
    double elapsed_s;
    const struct mio_diags
        *diags; /* what went wrong, and warnings; valid during the call of on_step alone */
    const struct mio_sources *sources;
    bool teardown; /* the destroy at the end; only told when it failed */
};
struct mio_test_opts {
    const struct mio_engine_opts *engine; /* directory, plugins, variables, signals, events */
    const char *const *filters;           /* names of steps; none: all */
    size_t nfilters;
    void (*on_step)(void *arg, const struct mio_test_step *step);
    void *arg;
};
/* Runs one file. Errors: only that the file itself cannot be used (all of it in diags, which the
 * caller owns together with sources); what the steps come to is told to on_step. */
enum mio_code mio_test_file(struct mio_arena *a, const char *path, const struct mio_test_opts *o,
                            struct mio_sources *sources, struct mio_diags *diags);
