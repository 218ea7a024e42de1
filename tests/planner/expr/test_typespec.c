/* tests/planner/expr/test_typespec.c: type constraints and the conversions to scalars. */
#include "planner/expr/expr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"

static const struct mio_pos START = {.file = 2, .line = 5, .col = 11};

/* The value (JSON) made to fit the type: JSON with marks, or "!" and the message. */
static const char *fit(struct mio_arena *a, const char *type, const char *json)
{
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_diags_init(&diags, a);
    const struct mio_typespec *t = mio_typespec_parse(a, mio_str_z(type), START, &diags);
    if (!t) {
        assert_true(diags.errors > 0);
        return mio_arena_printf(a, "!%s", diags.items[0].err.message).p;
    }
    assert_int_equal(mio_json_read(a, mio_str_z(json), NULL, &v, &err), MIO_OK);
    v = mio_json_unmarshal_marks(a, v);
    if (mio_typespec_convert(a, t, v, &v, &err)) {
        assert_int_equal(err.code, MIO_TEMPLATE);
        return mio_arena_printf(a, "!%s", err.message).p;
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, v, MIO_JSON_MARKED);
    return mio_arena_z(a, mio_buf_view(&b));
}

static void test_convert(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value, *answer;
    } ROWS[] = {
        {"string", "5", "\"5\""},
        {"string", "1.10", "\"1.10\""},
        {"string", "true", "\"true\""},
        {"string", "null", "null"},
        {"string", "[1]", "!a string is required, this is a list"},
        {"number", "\"5.0\"", "5"},
        {"number", "\"x\"", "!a number is required, this is the string \"x\""},
        {"number", "true", "!a number is required"},
        {"bool", "\"true\"", "true"},
        {"bool", "\"yes\"", "!a bool is required"},
        {"any", "{\"a\":[1,\"x\"]}", "{\"a\":[1,\"x\"]}"},
        {"list(number)", "[\"1\",2]", "[1,2]"},
        {"list(number)", "[1,\"x\"]", "![1]: a number is required"},
        {"list(any)", "[1,\"a\",true]", "[\"1\",\"a\",\"true\"]"},
        {"list(any)", "[1,[2]]", "!the elements must all have one type"},
        {"list", "[1,2]", "[1,2]"},
        {"list(string)", "{\"a\":1}", "!list(string) is required, this is a map"},
        {"set(string)", "[\"b\",\"a\",\"b\",1]", "[\"1\",\"a\",\"b\"]"},
        {"map(string)", "{\"a\":1,\"b\":true}", "{\"a\":\"1\",\"b\":\"true\"}"},
        {"map(list(number))", "{\"a\":[\"x\"]}", "!a[0]: a number is required"},
        {"tuple([string, number])", "[1,\"2\"]", "[\"1\",2]"},
        {"tuple([string])", "[1,2]", "!1 elements are required, there are 2"},
        {"object({a=string, b=number})", "{\"a\":1,\"b\":\"2\",\"c\":3}", "{\"a\":\"1\",\"b\":2}"},
        {"object({a=string, b=number})", "{\"a\":1}", "!attribute \"b\" is required"},
        {"object({a=string, b=optional(number)})", "{\"a\":\"x\"}", "{\"a\":\"x\",\"b\":null}"},
        {"object({b=optional(number, 1 + 2)})", "{}", "{\"b\":3}"},
        {"object({b=optional(list(string), [\"x\"])})", "{\"b\":null}", "{\"b\":[\"x\"]}"},
        {"object({\n  \"a b\" = string\n  c : bool\n})", "{\"a b\":1,\"c\":false}",
         "{\"a b\":\"1\",\"c\":false}"},
        {"list(object({n=string, s=optional(object({k=number}), {k = 7})}))",
         "[{\"n\":1},{\"n\":2,\"s\":{\"k\":\"8\"}}]",
         "[{\"n\":\"1\",\"s\":{\"k\":7}},{\"n\":\"2\",\"s\":{\"k\":8}}]"},
        {"list(object({size=number}))", "[{\"size\":1},{\"size\":\"x\"}]",
         "![1].size: a number is required"},
        {"string", "{\"$mio\":\"unknown\"}", "{\"$mio\":\"unknown\"}"},
        {"list(string)", "[{\"$mio\":\"unknown\"},1]", "[{\"$mio\":\"unknown\"},\"1\"]"},
        {"string", "{\"$mio\":\"sensitive\",\"v\":5}", "{\"$mio\":\"sensitive\",\"v\":\"5\"}"},
        {"strng", "1", "!there is no type \"strng\""},
        {"list(string", "1", "!expected \")\""},
        {"list(string))", "1", "!expected the end of the type"},
        {"object({a=string, a=string})", "1", "!attribute a is there twice"},
        {"object({a=optional(number, \"x\")})", "1", "!default of a: a number is required"},
        {"tuple([string number])", "1", "!expected \",\" or \"]\""},
        {"", "1", "!there is no type"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct mio_arena a;
        mio_arena_init(&a);
        const char *got = fit(&a, ROWS[i].type, ROWS[i].value), *want = ROWS[i].answer;
        if (*want == '!' ? strncmp(got, want, strlen(want)) : strcmp(got, want))
            fail_msg("%s <- %s\n  want %s\n  got  %s", ROWS[i].type, ROWS[i].value, want, got);
        mio_arena_free(&a);
    }
}

static void test_name(void **state)
{
    (void)state;
    static const char *const TYPES[] = {
        "string",
        "list(any)",
        "map(set(number))",
        "tuple([string, bool])",
        "object({a=string, b=optional(list(number))})",
    };
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        struct mio_arena a;
        struct mio_diags diags;
        mio_arena_init(&a);
        mio_diags_init(&diags, &a);
        const struct mio_typespec *t = mio_typespec_parse(&a, mio_str_z(TYPES[i]), START, &diags);
        assert_non_null(t);
        assert_string_equal(mio_arena_z(&a, mio_typespec_name(&a, t)), TYPES[i]);
        mio_arena_free(&a);
    }
}

static void test_position(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_diags diags;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    assert_null(mio_typespec_parse(&a, MIO_STR("map(nmber)"), START, &diags));
    assert_int_equal(diags.items[0].err.pos.line, 5);
    assert_int_equal(diags.items[0].err.pos.col, 15);
    assert_int_equal(diags.items[0].err.pos.len, 5);
    assert_string_equal(diags.items[0].err.hint, "did you mean \"number\"?");
    mio_arena_free(&a);
}

/* Deep nesting is an error, not a crash. */
static void test_depth(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_diags diags;
    MIO_AUTO_BUF b;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    mio_buf_init(&b, 0);
    for (int i = 0; i < 100000; i++)
        mio_buf_z(&b, i % 2 ? "list(" : "tuple([");
    assert_null(mio_typespec_parse(&a, mio_buf_view(&b), START, &diags));
    mio_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convert),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
