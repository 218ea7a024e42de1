/* tests/planner/expr/test_expr.c: syntax, operators, marks, references, positions. */
#include "planner/expr/expr.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"

struct fixture {
    struct mio_arena arena;
    struct mio_diags diags;
    struct mio_scope scope;
    struct mio_err err;
    struct mio_value names; /* root name to value */
};

static enum mio_code lookup(void *arg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err)
{
    const struct mio_value *v = mio_get(((struct fixture *)arg)->names, ref->root);
    *used = 0;
    if (!v)
        return mio_fail(err, MIO_TEMPLATE, "no %.*s", MIO_FMT(ref->root));
    *out = *v;
    return MIO_OK;
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    mio_arena_init(&f->arena);
    mio_diags_init(&f->diags, &f->arena);
    static const char NAMES[] =
        "{\"var\":{\"s\":\"str\",\"n\":5,\"list\":[1,2,3],\"objs\":[{\"a\":1},{\"a\":2}],"
        "\"m\":{\"k\":\"v\"},\"nil\":null,\"yaml\":1.10,"
        "\"unk\":{\"$mio\":\"unknown\"},\"sec\":{\"$mio\":\"sensitive\",\"v\":\"pw\"},"
        "\"part\":{\"a\":1,\"b\":{\"$mio\":\"unknown\"}}},\"count\":{\"index\":7}}";
    struct mio_value v;
    assert_int_equal(mio_json_read(&f->arena, mio_str_z(NAMES), NULL, &v, &f->err), MIO_OK);
    f->names = mio_json_unmarshal_marks(&f->arena, v);
    f->scope = (struct mio_scope){.arena = &f->arena, .lookup = lookup, .arg = f};
}

/* JSON, with marks shown; or "!" and the message. */
static const char *run(struct fixture *f, const char *text, bool template)
{
    struct mio_value v;
    struct mio_pos at = {.file = 1, .line = 1, .col = 1};
    f->diags.n = f->diags.errors = 0;
    mio_err_clear(&f->err);
    const struct mio_expr *e =
        (template ? mio_expr_template : mio_expr_parse)(&f->arena, mio_str_z(text), at, &f->diags);
    if (!e) {
        assert_true(f->diags.errors > 0);
        f->err = f->diags.items[0].err;
        return mio_arena_printf(&f->arena, "!%s", f->err.message).p;
    }
    assert_int_equal(f->diags.errors, 0);
    if (mio_expr_eval(e, &f->scope, &v, &f->err)) {
        assert_true(f->err.pos.line > 0);
        return mio_arena_printf(&f->arena, "!%s", f->err.message).p;
    }
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, v, MIO_JSON_MARKED);
    return mio_arena_z(&f->arena, mio_buf_view(&b));
}

struct row {
    const char *text, *answer;
};

static void check_rows(const struct row *rows, size_t n, bool template)
{
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < n; i++) {
        const char *got = run(&f, rows[i].text, template);
        const char *want = rows[i].answer;
        if (*want == '!' ? strncmp(got, want, strlen(want)) : strcmp(got, want))
            fail_msg("%s\n  want %s\n  got  %s", rows[i].text, want, got);
    }
    mio_arena_free(&f.arena);
}
#define CHECK(rows, template) check_rows(rows, sizeof(rows) / sizeof *(rows), template)
#define UNKNOWN "{\"$mio\":\"unknown\"}"
#define SENSITIVE(x) "{\"$mio\":\"sensitive\",\"v\":" x "}"

#define B "0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_operators(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"1 + 2 * 3", "7"},
        {"(1 + 2) * 3", "9"},
        {"10 - 4 - 3", "3"},
        {"7 / 2", "3.5"},
        {"-7 % 3", "-1"},
        {"1 / 3 * 3 == 1", "true"},
        {"0.1 + 0.2", "0.3"},
        {"12345678901234567890 + 1", "12345678901234567891"},
        {"9007199254740993 * 3", "27021597764222979"},
        {"-2 + 5", "3"},
        {"!true || true", "true"},
        {"1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", "true"},
        {"1 == 1.0", "true"},
        {"1 == \"1\"", "false"},
        {"\"5\" + 1", "6"},
        {"[1, {a = 2}] == [1, {a = 2}]", "true"},
        {"null == null", "true"},
        {"true ? 1 : \"a\"", "\"1\""},
        {"false ? 1 : 2", "2"},
        {"true ? [1] : [\"a\", 2]", "[\"1\"]"},
        {"true ? {a = 1} : {b = \"x\"}", "{\"a\":\"1\"}"},
        {"true ? null : 1", "null"},
        {"true ? \"a\" : []", "!the two results"},
        {"1 == 2 ? 3 : 4 == 4 ? 5 : 6", "5"},
        {"var.nil != null && var.nil.x > 1", "false"},
        {"1 / 0", "!division by zero"},
        {"1 + null", "!an operand of + is null"},
        {"1 + \"x\"", "!operand of +: a number is required"},
        {"1 +", "!expected a value, found the end"},
        {"1 = 2", "!expected the end of the expression"},
        {"var.n-1", "!there is no attribute or key \"n-1\""},
        {"1.50", "1.5"},
        {"1e3", "1000"},
        {"2 /* two */ + 3 # five", "5"},
        {"upper(\"\xff\xff\xff\")", "!the text is no UTF-8"},
        {"length(\"👨‍👩‍👧\")", "1"},
        {"length(\"🇩🇪🇫🇷\")", "2"},
        {"substr(\"👩🏽‍🚀x\", 1, 1)", "\"x\""},
        {"strrev(\"ab👨‍👩‍👧\")", "\"👨‍👩‍👧ba\""},
        {"length(\"a\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301"
         "\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301"
         "\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301x\")",
         "2"},
    };
    CHECK(ROWS, false);
}

/* Budgets of one expression: memory and length of text, however they are made. */
static void test_budgets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"length([for a in range(1000) : [for b in range(1000) : [for c in range(9) : c]]])",
         "!this expression makes more than 128 MiB"},
        {"length(flatten([for i in range(9000) : range(1000)]))",
         "!this expression makes more than 128 MiB"},
        {"length(formatlist(\"%099d\", [for i in range(100000) : i])) > 0", "true"},
        {"length(\"%{for i in range(100000)}" B B B B "%{endfor}\")",
         "!the text would be longer than 16 MiB"},
        {"length(\"${join(\"" B B B B "\", range(80000))}${join(\"" B B B B "\", range(80000))}\")",
         "!the text would be longer than 16 MiB"},
        {"length(replace(join(\"\", [for i in range(100000) : \"a\"]), \"a\", \"" B B B B "\"))",
         "!the text would be longer than 16 MiB"},
        {"length(indent(9999, join(\"\", [for i in range(9999) : \"\\n\"])))",
         "!the text would be longer than 16 MiB"},
        {"length(urlencode(join(\"#############################################################\", "
         "range(99000))))",
         "!the text would be longer than 16 MiB"},
        {"length(jsonencode([for i in range(100000) : \"" B B B B "\"]))",
         "!the text would be longer than 16 MiB"},
        {"length(yamlencode([for i in range(100000) : \"" B B B B "\"]))",
         "!the text would be longer than 16 MiB"},
        {"length([for i in range(400) : try(range(14444444444444444440, 7), 1)])", "400"},
        {"range(14444444444444444440, 7)",
         "!argument 1 of range: the result has more than 100000 elements"},
        {"length(range(-50000, 50000))", "100000"},
        {"length(join(\"\", [for i in range(99999) : \"x\"]))", "99999"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, false);
}

static void test_collections(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"[1, \"a\", true,]", "[1,\"a\",true]"},
        {"{a = 1, \"b\" : 2, (\"c\") = 3}", "{\"a\":1,\"b\":2,\"c\":3}"},
        {"{a = 1\nb = 2}", "{\"a\":1,\"b\":2}"},
        {"{a = 1, a = 2}", "{\"a\":2}"},
        {"{true = 1, 5 = 2}", "{\"5\":2,\"true\":1}"},
        {"{a.b = 1}", "!an attribute path cannot be a key"},
        {"var.list[1]", "2"},
        {"var.list.1", "2"},
        {"var.list[\"1\"]", "2"},
        {"var.list[3]", "!the index 3 is outside a list of 3"},
        {"var.list[[1, 2]]", "!a list is indexed by numbers and has no attribute \"\""},
        {"var.m[\"k\"]", "\"v\""},
        {"var.m.kk", "!there is no attribute or key \"kk\""},
        {"var.objs[*].a", "[1,2]"},
        {"var.objs.*.a", "[1,2]"},
        {"var.objs.*.a[0]", "1"},
        {"var.nil[*]", "[]"},
        {"var.s[*]", "[\"str\"]"},
        {"[[{x = 1}], [{x = 2}]][*][0].x", "[1,2]"},
        {"[for x in var.list : x * 2 if x > 1]", "[4,6]"},
        {"[for i, x in [\"a\", \"b\"] : \"${i}${x}\"]", "[\"0a\",\"1b\"]"},
        {"{for k, v in {a = 1, b = 2} : v => k}", "{\"1\":\"a\",\"2\":\"b\"}"},
        {"{for x in [\"ab\", \"ac\", \"b\"] : length(x) => x...}",
         "{\"1\":[\"b\"],\"2\":[\"ab\",\"ac\"]}"},
        {"{for x in [1, 1] : x => x}", "!two rounds of the for give the key \"1\""},
        {"[for x in [[1, 2], [3]] : [for y in x : y + length(x)]]", "[[3,4],[4]]"},
        {"[for k, v in toset([\"b\", \"a\"]) : \"${k}${v}\"]", "[\"aa\",\"bb\"]"},
        {"toset([\"b\", \"a\"])[0]", "!the elements of a set have no index"},
        {"concat([[1], [2, 3]]...)", "[1,2,3]"},
        {"[slice(range(0), 0, 0), setproduct([\"a\"], range(0)), concat(range(0)), "
         "merge(jsondecode(\"{}\")), "
         "toset(range(0))]",
         "[[],[],[],{},[]]"},
        {"try(var.m.zz, var.list[9], \"d\")", "\"d\""},
        {"can(var.m.zz)", "false"},
        {"core::upper(\"a\")", "\"A\""},
        {"uper(\"a\")", "!there is no function named \"uper\""},
        {"upper()", "!wrong number of arguments for upper"},
        {"upper(null)", "!argument 1 of upper: the value is null"},
        {"upper([])", "!argument 1 of upper: a string is required"},
    };
    CHECK(ROWS, false);
}

static void test_templates(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"n-${count.index}", "\"n-7\""},
        {"${var.n}", "5"},
        {"${var.list}", "[1,2,3]"},
        {" ${var.n}", "\" 5\""},
        {"$${var.n} %%{if}", "\"${var.n} %{if}\""},
        {"${{inputs.a}} and $[[x ${{y}} ]]", "\"${{inputs.a}} and $[[x ${{y}} ]]\""},
        {"${{inputs.a}}-${var.n}", "\"${{inputs.a}}-5\""},
        {"%{if var.n > 3}big%{else}small%{endif}", "\"big\""},
        {"%{if false}x%{endif}", "\"\""},
        {"%{for x in var.list}[${x}]%{endfor}", "\"[1][2][3]\""},
        {"%{for i, x in var.list}${i}=${x} %{endfor}", "\"0=1 1=2 2=3 \""},
        {"a  ${~ var.n ~}  b", "\"a5b\""},
        {"a \n %{~ if true ~} \n x \n %{~ endif ~} \n b", "\"axb\""},
        {"${\"in ${\"deep ${1 + 1}\"}\"}", "\"in deep 2\""},
        {"${\"\\u00e9\\n\\\"\"}", "\"\u00e9\\n\\\"\""},
        {"${{}}", "\"${{}}\""},
        {"\\n ${1}", "\"\\\\n 1\""},
        {"a ${var.list}", "!a list cannot be part of a string"},
        {"a ${var.nil}", "!a null cannot be part of a string"},
        {"${", "!expected a value"},
        {"${}", "!there is no expression"},
        {"${1", "!this ${ has no end"},
        {"${1 2}", "!expected \"}\", found \"2\""},
        {"%{if true}x", "!this directive has no %{endif}"},
        {"x%{endif}", "!%{endif} without its beginning"},
        {"%{foo}", "!this is no directive"},
        {"${<<EOT\na ${1 + 1}\n  b\nEOT\n}", "\"a 2\\n  b\\n\""},
        {"${<<-EOT\n    a\n      b\n    EOT\n}", "\"a\\n  b\\n\""},
        {"${'x'}", "!expected a value, found \"'\""},
        {"${\"a", "!this string has no end"},
    };
    CHECK(ROWS, true);
}

static void test_marks(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"var.unk + 1", UNKNOWN},
        {"\"a${var.unk}\"", UNKNOWN},
        {"[1, var.unk]", "[1," UNKNOWN "]"},
        {"length([1, var.unk])", "2"},
        {"var.unk ? 1 : 2", UNKNOWN},
        {"var.unk[0].x", UNKNOWN},
        {"var.unk == 1", UNKNOWN},
        {"var.unk && false", "false"},
        {"[for x in var.unk : x]", UNKNOWN},
        {"var.part.a", "1"},
        {"keys(var.part)", "[\"a\",\"b\"]"},
        {"jsonencode(var.part)", UNKNOWN},
        {"upper(var.unk)", UNKNOWN},
        {"var.list[var.unk]", UNKNOWN},
        {"try(var.unk, 1)", UNKNOWN},
        {"\"a-${var.sec}\"", SENSITIVE("\"a-pw\"")},
        {"upper(var.sec)", SENSITIVE("\"PW\"")},
        {"{a = var.sec}", "{\"a\":" SENSITIVE("\"pw\"") "}"},
        {"var.sec == \"pw\"", SENSITIVE("true")},
        {"var.sec == \"pw\" ? 1 : 2", SENSITIVE("1")},
        {"nonsensitive(var.sec)", "\"pw\""},
        {"issensitive(var.sec)", "true"},
        {"length([var.sec])", "1"},
        {"sensitive([1, 2])[0]", SENSITIVE("1")},
        {"[for x in sensitive([1]) : x]", SENSITIVE("[1]")},
        {"merge({a = var.sec}, {b = 1}).b", "1"},
        {"sensitive(var.unk)", UNKNOWN},
        {"zipmap([var.sec], [1])", SENSITIVE("{\"pw\":1}")}, /* a map cannot mark a key */
        {"zipmap([\"a\", var.unk], [1, 2])", UNKNOWN},
        {"length(toset([\"a\", var.unk]))", UNKNOWN},
        {"false ? var.sec : \"x\"", SENSITIVE("\"x\"")}, /* else the result tells the condition */
        {"coalesce(\"a\", var.unk)", "\"a\""},
        {"upper(var.unk) == 1", "false"},
        {"upper(var.unk).a", "!a string has no elements or attributes"},
        {"tobool([for x in var.unk : x])",
         "!argument 1 of tobool: a bool is required, this will be a list"},
        {"var.unk ? 1 : []",
         "!the two results of the condition have different types: number and list"},
        {"contains([1, var.unk], 1)", "true"},
        {"index([var.unk, 1], 1)", UNKNOWN},
        {"nonsensitive({a = var.sec})", "{\"a\":" SENSITIVE("\"pw\"") "}"},
    };
    CHECK(ROWS, false);
}

/* No error quotes what is sensitive. */
static void test_secrets(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "var.sec + 1",
        "var.m[var.sec]",
        "var.list[var.sec]",
        "sensitive({pw = 1}).x",
        "sensitive([1])[var.sec]",
        "tonumber(var.sec)",
        "tolist([1, [var.sec]])",
        "sum(sensitive([\"pw\"]))",
        "regex(var.sec, \"x\")",
        "jsondecode(var.sec)",
        "{for x in sensitive([\"pw\", \"pw\"]) : x => 1}",
        "var.sec ? 1 : 2",
        "-var.sec",
        "tobool(var.sec)",
        "file(var.sec)",
        "formatdate(var.sec, \"2018-01-02T23:12:01Z\")",
        "try(tonumber(var.sec))",
        "format(\"%d\", var.sec)",
        "lookup({}, var.sec)",
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        const char *got = run(&f, TEXTS[i], false);
        assert_true(*got == '!');
        if (strstr(got, "pw") || strstr(f.err.hint, "pw"))
            fail_msg("%s: %s (%s)", TEXTS[i], got, f.err.hint);
    }
    mio_arena_free(&f.arena);
}

static void test_needed(void **state)
{
    (void)state;
    static const char *const YES[] = {"${a}", "x %{if}", "$${", "%%{", "${{a}} ${b}", "$$${a}"};
    static const char *const NO[] = {
        "", "plain", "$", "100%", "${{a}}", "$[[a ${{b}} ]]", "${{ a }} ${{ b }}", "$ {a}", "{}"};
    for (size_t i = 0; i < sizeof YES / sizeof *YES; i++)
        assert_true(mio_expr_needed(mio_str_z(YES[i])));
    for (size_t i = 0; i < sizeof NO / sizeof *NO; i++)
        assert_false(mio_expr_needed(mio_str_z(NO[i])));
}

static bool note(void *arg, const struct mio_ref *ref)
{
    struct mio_buf *b = arg;
    mio_buf_str(b, ref->root);
    for (size_t i = 0; i < ref->n; i++) {
        mio_buf_z(b, ".");
        mio_buf_str(b, ref->steps[i].known ? mio_value_str(ref->steps[i].value) : MIO_STR("?"));
    }
    mio_buf_z(b, " ");
    return true;
}

static void test_refs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct mio_expr *e =
        mio_expr_template(&f.arena,
                          MIO_STR("${[for x in var.a[0].b : x.y + "
                                  "local.z]}${compute.c[each.key].id}%{for k, v in data.d.e}"
                                  "${k}${v}${k == path.root ? 1 : "
                                  "stage.name}%{endfor}${try(module.m.o[*].p[self.q], w)}"),
                          (struct mio_pos){1, 1, 1, 1}, &f.diags);
    assert_non_null(e);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_expr_refs(e, note, &b);
    assert_string_equal(b.p, "var.a.0.b local.z compute.c.?.id each.key data.d.e path.root "
                             "stage.name module.m.o self.q w ");
    mio_arena_free(&f.arena);
}

static void test_positions(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct mio_pos at = {.file = 3, .line = 10, .col = 20};
    assert_null(mio_expr_template(
        &f.arena, MIO_STR("a ${uper(\"x\")}\n b ${lowr(1)} ${1 +} ${length(foo(2))}"), at,
        &f.diags));
    assert_int_equal(f.diags.errors, 4);
    static const struct mio_pos WANT[] = {
        {3, 10, 24, 4}, {3, 11, 6, 4}, {3, 11, 20, 1}, {3, 11, 31, 3}};
    for (size_t i = 0; i < 4; i++) {
        struct mio_pos pos = f.diags.items[i].err.pos;
        assert_memory_equal(&pos, &WANT[i], sizeof pos);
    }
    assert_string_equal(f.diags.items[0].err.hint, "did you mean \"upper\"?");
    assert_string_equal(f.diags.items[1].err.hint, "did you mean \"lower\"?");
    run(&f, "[1, var.m.kq]", false);
    assert_int_equal(f.err.pos.col, 5);
    assert_int_equal(f.err.pos.len, 8);
    assert_string_equal(f.err.hint, "did you mean \"k\"?");
    mio_arena_free(&f.arena);
}

static void test_depth(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static const char *const OPEN[] = {"(",      "[",    "{a=", "-",  "!",
                                       "upper(", "\"${", "1+",  "a[", "1?2:"};
    for (size_t i = 0; i < sizeof OPEN / sizeof *OPEN; i++) {
        MIO_AUTO_BUF b;
        mio_buf_init(&b, 0);
        for (int k = 0; k < 100000; k++)
            mio_buf_z(&b, OPEN[i]);
        mio_buf_z(&b, "1");
        assert_null(
            mio_expr_parse(&f.arena, mio_buf_view(&b), (struct mio_pos){1, 1, 1, 1}, &f.diags));
    }
    mio_arena_free(&f.arena);
}

/* "1.10" of YAML stays as it was written. */
static void test_number_text(void **state)
{
    (void)state;
    static const struct row ROWS[] = {
        {"v${var.yaml}", "\"v1.10\""},
        {"${var.yaml == 1.1}", "true"},
        {"${var.yaml + 1}", "2.1"},
    };
    CHECK(ROWS, true);
}

/* A scalar that is one reference takes a way of its own past the parser, and means the same. */
static void test_plain_references(void **state)
{
    (void)state;
    static const char *const INNER[] = {"var.s",
                                        "count.index",
                                        "var.m.k",
                                        "var.nil",
                                        "true",
                                        "null",
                                        "false",
                                        "var.true",
                                        "nowhere",
                                        "var.nothing",
                                        "var..s",
                                        ".var",
                                        "var.",
                                        "",
                                        "1",
                                        "var.list.0",
                                        "var.m-k",
                                        "var.-s",
                                        "caf\xc3\xa9.a",
                                        "var .s",
                                        "v\xc3\x28"};
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof INNER / sizeof *INNER; i++) {
        const char *inner = INNER[i];
        const char *plain = run(&f, mio_arena_printf(&f.arena, "${%s}", inner).p, true);
        struct mio_pos at = f.err.pos;
        const char *spaced = run(&f, mio_arena_printf(&f.arena, "${%s }", inner).p, true);
        if (strcmp(plain, spaced) != 0 || at.line != f.err.pos.line || at.col != f.err.pos.col)
            fail_msg("%s\n  alone  %s at %u\n  parsed %s at %u", inner, plain, at.col, spaced,
                     f.err.pos.col);
    }
    mio_arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators),   cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_collections), cmocka_unit_test(test_templates),
        cmocka_unit_test(test_marks),       cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_needed),      cmocka_unit_test(test_refs),
        cmocka_unit_test(test_positions),   cmocka_unit_test(test_depth),
        cmocka_unit_test(test_number_text), cmocka_unit_test(test_plain_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
