/* tests/cli/test_render_diag.c: diagnostics as text, with the caret where it belongs, and as JSON.
 */
#include "cli/render_diag.h"
#include "tests/cli/support.h"

static struct mio_source source = {.path = MIO_STR_INIT("t/main.yaml"),
                                   .text = MIO_STR_INIT("a: 1\n\tb: größe ${var.x}\nlast")};
static struct mio_sources sources = {&source, 1, 1};

static struct mio_diag diag(struct mio_pos pos, const char *message, const char *hint)
{
    struct mio_diag d = {.severity = MIO_ERROR};
    mio_fail(&d.err, MIO_TEMPLATE, "%s", message);
    mio_err_at(&d.err, pos);
    if (hint)
        mio_err_hint(&d.err, "%s", hint);
    return d;
}

static void test_text(void **state)
{
    (void)state;
    MIO_AUTO_BUF b = {0};
    struct mio_pen pen = {&b, false};
    /* column 14 in bytes: behind two two-byte letters */
    struct mio_diag d =
        diag((struct mio_pos){1, 2, 13, 8}, "unknown \x1b[1mvariable", "Did you mean y?");
    mio_err_address(&d.err, MIO_STR("thing.a"));
    mio_err_cause(&d.err, "because");
    mio_render_diag(&pen, &d, &sources);
    assert_text(&b, "\nError: unknown \\x1b[1mvariable\n"
                    "\n  on t/main.yaml line 2, column 13, in thing.a:\n"
                    "      2:  b: größe ${var.x}\n"
                    "                   ^~~~~~~~\n"
                    "\nCause: because\n"
                    "\nDid you mean y?\n");
}

static void test_nowhere(void **state)
{
    (void)state;
    MIO_AUTO_BUF b = {0};
    struct mio_pen pen = {&b, false};
    struct mio_diag d = diag((struct mio_pos){0}, "no place", NULL);
    mio_render_diag(&pen, &d, NULL);
    assert_text(&b, "\nError: no place\n");
}

static void test_compact(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_diags d;
    MIO_AUTO_BUF b = {0};
    struct mio_pen pen = {&b, false};
    mio_arena_init(&a);
    mio_diags_init(&d, &a);
    mio_diags_warn(&d, (struct mio_pos){1, 1, 1, 1}, "a hint", "odd key");
    mio_diags_warn(&d, (struct mio_pos){0}, NULL, "odd day");
    mio_render_diags(&pen, &d, 0, &sources, true);
    assert_text(&b, "Warnings:\n\n- odd key (t/main.yaml line 1)\n- odd day\n\n");
    mio_buf_reset(&b);
    mio_render_diags(&pen, &d, 2, &sources, true);
    assert_int_equal(b.n, 0);
    mio_arena_free(&a);
}

static void test_json(void **state)
{
    (void)state;
    MIO_AUTO_BUF b = {0};
    struct mio_jout j = {.b = &b};
    struct mio_diag d = diag((struct mio_pos){1, 3, 2, 9}, "bad", "do this");
    mio_diag_json(&j, &d, &sources);
    assert_text(
        &b,
        "{\"severity\":\"error\",\"summary\":\"bad\",\"detail\":\"do this\",\"code\":\"template\","
        "\"range\":{\"filename\":\"t/main.yaml\",\"start\":{\"line\":3,\"column\":2,\"byte\":27},"
        "\"end\":{\"line\":3,\"column\":11,\"byte\":36}},\"snippet\":{\"context\":null,"
        "\"code\":\"last\",\"start_line\":3,\"highlight_start_offset\":1,"
        "\"highlight_end_offset\":4,\"values\":[]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
