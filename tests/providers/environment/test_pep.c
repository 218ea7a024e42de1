/* tests/providers/environment/test_pep.c: versions, markers and tags as Python's own rules have
 * them. */
#include "providers/environment/pep.h"
#include "tests/providers/environment/support.h"

static void versions_are_ordered(void **state)
{
    (void)state;
    /* PEP 440's own example, and what it leaves out */
    static const char *const up[] = {"0.9",
                                     "1.0.dev456",
                                     "1.0a1",
                                     "1.0a2.dev456",
                                     "1.0a12.dev456",
                                     "1.0a12",
                                     "1.0b1.dev456",
                                     "1.0b2",
                                     "1.0b2.post345.dev456",
                                     "1.0b2.post345",
                                     "1.0rc1.dev456",
                                     "1.0rc1",
                                     "1.0",
                                     "1.0+abc.5",
                                     "1.0+abc.7",
                                     "1.0.post456.dev34",
                                     "1.0.post456",
                                     "1.0.15",
                                     "1.1.dev1",
                                     "1.10",
                                     "1!0.1"};
    for (size_t i = 1; i < sizeof up / sizeof *up; i++) {
        assert_true(mio_env_pep_order(mio_str_z(up[i - 1]), mio_str_z(up[i])) < 0);
        assert_true(mio_env_pep_order(mio_str_z(up[i]), mio_str_z(up[i - 1])) > 0);
    }
    assert_int_equal(mio_env_pep_order(MIO_STR("1.0"), MIO_STR("1.0.0")), 0);
    assert_int_equal(mio_env_pep_order(MIO_STR("v1.0-RC1"), MIO_STR("1.0c1")), 0);
    assert_int_equal(mio_env_pep_order(MIO_STR("1.0-1"), MIO_STR("1.0.post1")), 0);
}

static void specifiers_hold_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *version, *spec;
        bool fits;
    } rows[] = {{"3.11", ">=3.8", true},
                {"3.11", ">=3.8,<3.11", false},
                {"3.11", "!=3.11.*", false},
                {"3.11.4", "==3.11.*", true},
                {"3.11.4", "~=3.10", true},
                {"3.11.4", "~=3.11.5", false},
                {"2.2", "~=2.2.0", true},
                {"4.0", "~=3.10", false},
                {"1.0+local", "==1.0", true},
                {"1.0", "<1.0.post1", true},
                {"3.11", "", true},
                {"3.11", "=>3", false},
                {"3.11.99", ">=3.9, <4", true},
                {"3.9", ">=3.10", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_env_pep_fits(mio_str_z(rows[i].version), mio_str_z(rows[i].spec)) != rows[i].fits)
            fail_msg("%s %s", rows[i].version, rows[i].spec);
}

static void markers_hold_or_not(void **state)
{
    struct bed *b = *state;
    const struct mio_env_python py = {MIO_STR("3.11"), MIO_STR("arm64"), 36};
    static const struct {
        const char *marker;
        bool holds;
    } rows[] = {
        {"", true},
        {"python_version >= '3.8'", true},
        {"python_version < \"3.9\"", false},
        {"python_full_version < '3.11.4' and sys_platform == 'linux'", true},
        {"sys_platform == 'win32' or (platform_machine == 'aarch64' and os_name == 'posix')", true},
        {"platform_machine == 'x86_64'", false},
        {"'linux' in sys_platform", true},
        {"sys_platform not in 'win32 darwin'", true},
        {"platform_python_implementation != 'PyPy'", true},
        {"extra == 'test'", false},
        {"'test' in extras", false},
        {"'3.10' <= python_version", true},
    };
    static const char *const bad[] = {"python_version", "(python_version > '3'", "nonsense == '1'",
                                      "os_name == 'posix' x", "os_name not 'posix'"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool holds = false;
        assert_int_equal(mio_env_pep_marker(&py, mio_str_z(rows[i].marker), &holds, &b->err),
                         MIO_OK);
        if (holds != rows[i].holds)
            fail_msg("%s", rows[i].marker);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bool holds;
        struct mio_err err = {0};
        assert_int_equal(mio_env_pep_marker(&py, mio_str_z(bad[i]), &holds, &err), MIO_TEMPLATE);
    }
}

/* Each fits better than the one before it. */
static void tags_are_ranked(void **state)
{
    (void)state;
    const struct mio_env_python py = {MIO_STR("3.11"), MIO_STR("amd64"), 36};
    static const char *const up[] = {
        "p-1-py3-none-any.whl",
        "p-1-py2.py3-none-manylinux2014_x86_64.whl",
        "p-1-cp37-abi3-manylinux_2_17_x86_64.whl",
        "p-1-cp39-abi3-manylinux_2_28_x86_64.whl",
        "p-1-cp311-cp311-linux_x86_64.whl",
        "p-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "p-1-1build-cp311-cp311-manylinux_2_28_x86_64.whl"};
    static const char *const never[] = {"p-1.tar.gz",
                                        "p-1-py2-none-any.whl",
                                        "p-1-cp312-cp312-manylinux_2_17_x86_64.whl",
                                        "p-1-cp311-cp311t-manylinux_2_17_x86_64.whl",
                                        "p-1-cp312-abi3-manylinux_2_17_x86_64.whl",
                                        "p-1-cp311-cp311-manylinux_2_38_x86_64.whl",
                                        "p-1-cp311-cp311-musllinux_1_1_x86_64.whl",
                                        "p-1-cp311-cp311-manylinux_2_17_aarch64.whl",
                                        "p-1-cp311-cp311-macosx_11_0_arm64.whl",
                                        "p-1-pp310-pypy310_pp73-manylinux_2_17_x86_64.whl"};
    unsigned before = 0;
    for (size_t i = 0; i < sizeof up / sizeof *up; i++) {
        unsigned now = mio_env_pep_tag(&py, mio_str_z(up[i]));
        if (now <= before)
            fail_msg("%s", up[i]);
        before = now;
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (mio_env_pep_tag(&py, mio_str_z(never[i])))
            fail_msg("%s", never[i]);
}

static void names_are_normalised(void **state)
{
    struct bed *b = *state;
    assert_string_equal(mio_env_pep_name(&b->a, MIO_STR("Scikit__Learn.x")).p, "scikit-learn-x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(versions_are_ordered), T(specifiers_hold_or_not), T(markers_hold_or_not),
        T(tags_are_ranked),      T(names_are_normalised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
