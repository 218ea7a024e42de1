/* tests/planner/template/test_yaml.c: bytes that case files cannot hold, and budgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/template/node.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

static struct mio_arena arena;
static struct mio_diags diags;

static int set_up(void **state)
{
    (void)state;
    mio_arena_init(&arena);
    mio_diags_init(&diags, &arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mio_arena_free(&arena);
    return 0;
}

static const struct mio_node *parse(struct mio_str text)
{
    struct mio_source item = {.path = MIO_STR("x.yaml"), .text = text};
    struct mio_sources sources = {&item, 1, 1};
    return mio_yaml_parse(&arena, &sources, 1, true, &diags);
}

static const char *first_message(void)
{
    return diags.n ? diags.items[0].err.message : "";
}

static void refuses_bytes(void **state)
{
    (void)state;
    static const struct {
        struct mio_str text;
        const char *message;
        uint32_t line, col;
    } rows[] = {
        {MIO_STR_INIT("a: 1\nb: \xff\n"), "this byte is not UTF-8", 2, 4},
        {MIO_STR_INIT("a: \xc0\x80\n"), "this byte is not UTF-8", 1, 4},
        {MIO_STR_INIT("a: \xed\xa0\x80\n"), "this byte is not UTF-8", 1, 4},
        {MIO_STR_INIT("a: \xe2\x82"), "this byte is not UTF-8", 1, 4},
        {MIO_STR_INIT("a: x\0y\n"), "a control character stands here", 1, 5},
        {MIO_STR_INIT("a: \x1b[31m\n"), "a control character stands here", 1, 4},
        {MIO_STR_INIT("aaaaaaaa: 12345678\n\x0b"), "a control character stands here", 2, 1},
        {MIO_STR_INIT("a: \x7f\n"), "a control character stands here", 1, 4},
        {MIO_STR_INIT("a: 1\rb: 2\n"), "a carriage return without a line feed stands here", 1, 5},
        {MIO_STR_INIT("a: x\xe2\x80\xa8y\n"), "a Unicode line separator stands here", 1, 5},
        {MIO_STR_INIT("a: x\xc2\x85y\n"), "a Unicode line separator stands here", 1, 5},
        {MIO_STR_INIT("\xff\xfe"
                      "a\0:\0"),
         "the file is UTF-16", 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mio_diags_init(&diags, &arena);
        assert_null(parse(rows[i].text));
        assert_string_equal(first_message(), rows[i].message);
        assert_int_equal(diags.items[0].err.pos.line, rows[i].line);
        assert_int_equal(diags.items[0].err.pos.col, rows[i].col);
    }
}

static void reads_a_byte_order_mark_and_windows_lines(void **state)
{
    (void)state;
    const struct mio_node *n = parse(MIO_STR("\xef\xbb\xbf"
                                             "a: 1\r\nb:\r\n  c: x\r\n"));
    assert_non_null(n);
    assert_int_equal(diags.errors, 0);
    assert_int_equal(diags.n, 1);
    assert_string_equal(first_message(), "the file begins with a byte order mark");
    const struct mio_node *c = mio_node_get(mio_node_get(n, "b"), "c");
    assert_true(mio_str_is(c->text, "x"));
    assert_int_equal(c->pos.line, 3);
    assert_int_equal(c->pos.col, 6);
    assert_int_equal(n->entries[0].value->pos.col, 3 + 4);
}

static void counts_columns_in_bytes(void **state)
{
    (void)state;
    const struct mio_node *n = parse(MIO_STR("{ä: 1, 日本: [x, \"ö\", y]}\n"));
    const struct mio_node *list = mio_node_get(n, "日本");
    assert_int_equal(n->entries[1].key_pos.col, 9);
    assert_int_equal(n->entries[1].key_pos.len, 6);
    assert_int_equal(list->items[0]->pos.col, 18);
    assert_int_equal(list->items[1]->pos.col, 21);
    assert_int_equal(list->items[1]->pos.len, 4);
    assert_int_equal(list->items[2]->pos.col, 27);
}

/* The text that `make` builds is refused with `message` within a second and a quarter gigabyte. */
static void refused_fast(struct mio_str unit, size_t size, const char *message)
{
    char *text = mio_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = unit.p[i % unit.n];
    int64_t from = mio_now_ms();
    assert_null(parse((struct mio_str){text, size}));
    int64_t took = mio_now_ms() - from;
    assert_string_equal(first_message(), message);
    assert_true(diags.n <= 101);
    assert_true(arena.total < 256u << 20);
    if (took > 20000) /* a quadratic reader takes minutes */
        fail_msg("took %lld ms", (long long)took);
    free(text);
}

static void refuses_hostile_text(void **state)
{
    (void)state;
    enum { WHOLE = 4 << 20 };
    static const struct {
        struct mio_str unit;
        const char *message;
    } rows[] = {
        {MIO_STR_INIT("["), "nested deeper than 64 levels"},
        {MIO_STR_INIT("{"), "nested deeper than 64 levels"},
        {MIO_STR_INIT("{a: "), "nested deeper than 64 levels"},
        {MIO_STR_INIT("- "), "nested deeper than 64 levels"},
        {MIO_STR_INIT("? "), "nested deeper than 64 levels"},
        {MIO_STR_INIT("[\n"), "nested deeper than 64 levels"},
        {MIO_STR_INIT("- 1\n"), "more than a million values in one file"},
        {MIO_STR_INIT("- - &a\n"), "more than a million values in one file"},
        {MIO_STR_INIT("%TAG !a! !\n"), "too many YAML directives"},
        {MIO_STR_INIT("aaaaa: 1\n"),
         "the key `aaaaa` is here a second time: line 1 has it already"},
        {MIO_STR_INIT("- yes: *a\n"), "no anchor is called `a`"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mio_arena_free(&arena);
        mio_arena_init(&arena);
        mio_diags_init(&diags, &arena);
        refused_fast(rows[i].unit, WHOLE, rows[i].message);
    }
}

static void refuses_large_text(void **state)
{
    (void)state;
    refused_fast(MIO_STR("a"), (4 << 20) + 1, "the file is larger than 4 MiB");
    mio_diags_init(&diags, &arena);
    refused_fast(MIO_STR("a"), 4 << 20, "this text is larger than 1 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_a_byte_order_mark_and_windows_lines, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(counts_columns_in_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_hostile_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_large_text, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
