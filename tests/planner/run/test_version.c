/* tests/planner/run/test_version.c: which versions satisfy which constraints. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/run/version.h"

static void constraints(void **state)
{
    (void)state;
    static const struct {
        const char *constraint, *version;
        enum mio_code code;
    } rows[] = {
        {">= 0.1", "0.1.0", MIO_OK},
        {">= 0.2", "0.1.9", MIO_USAGE},
        {"", "1.0.0", MIO_OK},
        {"~> 1.2", "1.9.0", MIO_OK},
        {"~> 1.2", "2.0.0", MIO_USAGE},
        {"~> 1.2", "1.1.9", MIO_USAGE},
        {"~> 1.2.3", "1.2.9", MIO_OK},
        {"~> 1.2.3", "1.3.0", MIO_USAGE},
        {"= 1.0", "1.0.0", MIO_OK},
        {"1.0.1", "1.0.0", MIO_USAGE},
        {"!= 1.0.0", "1.0.0", MIO_USAGE},
        {">= 1.0, < 2.0", "1.5.0", MIO_OK},
        {">= 1.0, < 2.0", "2.0.0", MIO_USAGE},
        {"> 1.0.0", "1.0.0", MIO_USAGE},
        {"<= 1.0.0", "1.0.0", MIO_OK},
        {"newest", "1.0.0", MIO_TEMPLATE},
        {">=", "1.0.0", MIO_TEMPLATE},
        {">= 1.0.0.0", "1.0.0", MIO_TEMPLATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_err err = {0};
        assert_int_equal(
            mio_version_check(mio_str_z(rows[i].constraint), mio_str_z(rows[i].version), &err),
            rows[i].code);
        assert_true(err.code == MIO_OK || err.hint[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(constraints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
