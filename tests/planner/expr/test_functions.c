/* tests/planner/expr/test_functions.c: the table itself, its examples, and what functions refuse.
 */
#include "answer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static void test_table(void **state)
{
    (void)state;
    size_t n;
    const struct mio_function_doc *docs = mio_functions(&n);
    assert_true(n >= 110);
    for (size_t i = 0; i < n; i++) {
        if (i)
            assert_true(strcmp(docs[i - 1].name, docs[i].name) < 0);
        assert_true(mio_str_starts(mio_str_z(docs[i].signature), docs[i].name));
        assert_true(strlen(docs[i].help) > 8);
        assert_non_null(strstr(docs[i].example, docs[i].name));
    }
}

static void test_examples(void **state)
{
    (void)state;
    size_t n;
    char dir[64];
    const struct mio_function_doc *docs = mio_functions(&n);
    answer_folder_make(dir);
    for (size_t i = 0; i < n; i++) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_str want = answer(&a, dir, mio_str_z(docs[i].result));
        struct mio_str got = answer(&a, dir, mio_str_z(docs[i].example));
        if (!mio_str_eq(want, got) || *want.p == '?')
            fail_msg("%s: want %.*s, got %.*s", docs[i].example, MIO_FMT(want), MIO_FMT(got));
        mio_arena_free(&a);
    }
    answer_folder_remove(dir);
}

/* Nothing outside the folder can be read, whatever the path looks like. */
static void test_confined(void **state)
{
    (void)state;
    char dir[64], path[128];
    answer_folder_make(dir);
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/dirlink", dir);
    assert_int_equal(symlink("/etc", path), 0);
    snprintf(path, sizeof path, "%s/inner", dir);
    assert_int_equal(symlink("a.txt", path), 0);
    static const struct {
        const char *text, *answer;
    } ROWS[] = {
        {"file(\"/etc/passwd\")", "!"},
        {"file(\"../../etc/passwd\")", "!"},
        {"file(\"sub/../../x\")", "!"},
        {"file(\"link\")", "!"},
        {"file(\"dirlink/passwd\")", "!"},
        {"fileexists(\"dirlink/passwd\")", "!"},
        {"fileset(\"dirlink\", \"*\")", "!"},
        {"fileset(\"..\", \"*\")", "!"},
        {"file(\"sub\")", "!"},
        {"file(\"none\")", "!"},
        {"file(\"bin.dat\")", "!"},
        {"filebase64(\"bin.dat\")", "\"//4=\""},
        {"file(\"sub/../a.txt\")", "\"hello\\n\""},
        {"file(\"inner\")", "\"hello\\n\""},
        {"fileexists(\"sub/x\")", "false"},
        {"fileexists(\"a.txt/x\")", "false"},
        {"fileset(\".\", \"**\")",
         "[\"a.txt\",\"bin.dat\",\"list.tpl\",\"sub/b.txt\",\"sub/deep/c.json\",\"t.tpl\"]"},
        {"fileset(\".\", \"**/*.{txt,json}\")", "[\"a.txt\",\"sub/b.txt\",\"sub/deep/c.json\"]"},
        {"fileset(\"sub\", \"*\")", "[\"b.txt\"]"},
        {"fileset(\"sub\", \"[a-b].tx?\")", "[\"b.txt\"]"},
        {"fileset(\"none\", \"*\")", "[]"},
        {"templatefile(\"t.tpl\", {})", "!"},
        {"templatefile(\"list.tpl\", {items = [1, 2]})", "\"- 1\\n- 2\\n\""},
        {"[for t in [\"$${templatestring(t, {t = t})}\"] : templatestring(t, {t = \"x\"})]", "!"},
        {"jsondecode(file(\"sub/deep/c.json\")).a[1]", "2"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_str got = answer(&a, dir, mio_str_z(ROWS[i].text));
        if (!mio_str_is(got, ROWS[i].answer))
            fail_msg("%s: want %s, got %.*s", ROWS[i].text, ROWS[i].answer, MIO_FMT(got));
        got = answer(&a, NULL, mio_str_z(ROWS[i].text)); /* no folder: no files at all */
        assert_true(mio_str_is(got, "!"));
        mio_arena_free(&a);
    }
    answer_folder_remove(dir);
}

static void check_scope(const char *text, bool pure, bool planning, const char *want)
{
    struct mio_arena a;
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    struct mio_scope scope = {.arena = &a, .pure = pure, .planning = planning, .now = 1700000000};
    const struct mio_expr *e =
        mio_expr_parse(&a, mio_str_z(text), (struct mio_pos){1, 1, 1, 1}, &diags);
    assert_non_null(e);
    enum mio_code code = mio_expr_eval(e, &scope, &v, &err);
    if (!want) {
        assert_int_equal(code, MIO_TEMPLATE);
    } else {
        assert_int_equal(code, MIO_OK);
        if (*want == '?')
            assert_true(v.type == MIO_UNKNOWN && v.hint == MIO_STRING);
        else
            assert_string_equal(want, mio_arena_z(&a, mio_value_str(v)));
    }
    mio_arena_free(&a);
}

static void test_impure(void **state)
{
    (void)state;
    static const char *const CALLS[] = {"timestamp()", "uuid()", "bcrypt(\"x\", 4)"};
    for (size_t i = 0; i < 3; i++) {
        check_scope(CALLS[i], true, false, NULL);
        check_scope(CALLS[i], false, true, "?");
    }
    check_scope("timestamp()", false, false, "2023-11-14T22:13:20Z");
    check_scope("plantimestamp()", false, true, "2023-11-14T22:13:20Z");
    check_scope("plantimestamp()", true, true, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_confined),
        cmocka_unit_test(test_impure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
