/* tests/providers/sdk/test_json.c: the strict reader and the canonical writer. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "providers/sdk/json.h"
#include "tests/arena.h"

static void writes_canonically_what_it_reads(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {" { \"b\" : [1, 2.50, {\"x\":null}], \"a\":\"q\\u00e9\\n\" } ",
         "{\"a\":\"q\xc3\xa9\\n\",\"b\":[1,2.5,{\"x\":null}]}"},
        {"12345678901234567890", "12345678901234567890"},
        {"0.1", "0.1"},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\u001b\\u007f\"", "\"\\u001b\\u007f\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[true,false,null]", "[true,false,null]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_value v;
        struct mio_err err = {0};
        MIO_AUTO_BUF b = {0};
        assert_int_equal(mio_json_read(&arena, mio_str_z(rows[i].in), NULL, &v, &err), MIO_OK);
        mio_json_write(&b, v, MIO_JSON_PLAIN);
        assert_string_equal(b.p, rows[i].out);
    }
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",        "{",           "[1,]",        "{\"a\":1,}", "{\"a\":1,\"a\":2}",
        "01",      "1.",          "+1",          "nul",        "\"",
        "\"\\x\"", "\"\\u0000\"", "\"\\ud800\"", "\"\t\"",     "[1] 2",
        "{a:1}",   "'a'",         "\"\xff\"",    "-",          "1e",
        "[1 2]",   "{\"a\" 1}",   "\"\\udc00\"", "NaN",        "\"\xc0\x80\"",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_value v;
        struct mio_err err = {0};
        assert_int_equal(mio_json_read(&arena, mio_str_z(rows[i]), NULL, &v, &err), MIO_STATE);
        assert_non_null(strstr(err.message, "line "));
    }
}

static void keeps_its_budgets(void **state)
{
    (void)state;
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    struct mio_value v;
    struct mio_err err = {0};
    assert_int_equal(mio_json_read(&arena, mio_str_z(deep), NULL, &v, &err), MIO_STATE);
    struct mio_json_limits wide = {.depth = 100};
    mio_err_clear(&err);
    assert_int_equal(mio_json_read(&arena, mio_str_z(deep), &wide, &v, &err), MIO_OK);
    struct mio_json_limits few = {.nodes = 3};
    assert_int_equal(mio_json_read(&arena, MIO_STR("[1,2,3]"), &few, &v, &err), MIO_STATE);
}

static void marks_survive_the_round_trip(void **state)
{
    (void)state;
    struct mio_pair pairs[] = {{MIO_STR("k"), mio_sensitive(mio_string_z("hush"))},
                               {MIO_STR("u"), mio_unknown(MIO_STRING)}};
    struct mio_value v = mio_map(pairs, 2), back;
    struct mio_err err = {0};
    MIO_AUTO_BUF marked = {0}, hidden = {0}, open = {0};
    mio_json_write(&marked, v, MIO_JSON_MARKED);
    mio_json_write(&hidden, v, MIO_JSON_HIDDEN);
    mio_json_write(&open, v, MIO_JSON_OPEN);
    assert_null(strstr(hidden.p, "hush"));
    assert_string_equal(open.p, "{\"k\":\"hush\",\"u\":null}");
    assert_int_equal(mio_json_read(&arena, mio_buf_view(&marked), NULL, &back, &err), MIO_OK);
    back = mio_json_unmarshal_marks(&arena, back);
    assert_true(mio_is_sensitive(*mio_get_z(back, "k")));
    assert_int_equal(mio_get_z(back, "u")->type, MIO_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_canonically_what_it_reads),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(keeps_its_budgets),
        cmocka_unit_test(marks_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
