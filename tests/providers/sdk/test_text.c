/* tests/providers/sdk/test_text.c: strings, buffers, errors, times, digests. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/log.h"
#include "providers/sdk/map.h"

static void natural_order_counts_digits_as_numbers(void **state)
{
    (void)state;
    assert_true(mio_str_natcmp(MIO_STR("x[2]"), MIO_STR("x[10]")) < 0);
    assert_true(mio_str_natcmp(MIO_STR("x[10]"), MIO_STR("x[9]")) > 0);
    assert_true(mio_str_natcmp(MIO_STR("a"), MIO_STR("b")) < 0);
    assert_true(mio_str_natcmp(MIO_STR("x01"), MIO_STR("x1")) != 0);
    assert_int_equal(mio_str_natcmp(MIO_STR("x1"), MIO_STR("x1")), 0);
}

static void strict_numbers_have_no_slack(void **state)
{
    (void)state;
    uint64_t u = 5;
    int64_t i = 5;
    assert_true(mio_str_u64(MIO_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(mio_str_u64(MIO_STR("18446744073709551616"), &u));
    assert_false(mio_str_u64(MIO_STR("1 "), &u));
    assert_false(mio_str_u64(MIO_STR(""), &u));
    assert_true(mio_str_i64(MIO_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_false(mio_str_i64(MIO_STR("9223372036854775808"), &i));
    assert_false(mio_str_i64(MIO_STR("-"), &i));
}

static void suggestions_are_near_or_none(void **state)
{
    (void)state;
    static const struct mio_str words[] = {MIO_STR_INIT("workspace"), MIO_STR_INIT("compute"),
                                           MIO_STR_INIT("count")};
    assert_true(mio_str_is(mio_str_nearest(MIO_STR("wrokspace"), words, 3), "workspace"));
    assert_true(mio_str_is(mio_str_nearest(MIO_STR("cuont"), words, 3), "count"));
    assert_int_equal(mio_str_nearest(MIO_STR("zebra"), words, 3).n, 0);
    const struct mio_str shorts[] = {MIO_STR("p"), MIO_STR("zz")};
    assert_int_equal(mio_str_nearest(MIO_STR("z"), shorts, 1).n, 0);
    assert_true(mio_str_is(mio_str_nearest(MIO_STR("z"), shorts, 2), "zz"));
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(mio_str_utf8(MIO_STR("h\xc3\xa9")));
    assert_false(mio_str_utf8(MIO_STR("\xc0\x80")));
    assert_false(mio_str_utf8(MIO_STR("\xed\xa0\x80")));
    assert_false(mio_str_utf8(MIO_STR("a\0b")));
    assert_false(mio_str_utf8(MIO_STR("\xe2\x82")));
}

static void a_full_buffer_stays_full(void **state)
{
    (void)state;
    struct mio_buf b;
    mio_buf_init(&b, 8);
    mio_buf_z(&b, "12345678");
    assert_false(mio_buf_full(&b));
    mio_buf_char(&b, '9');
    assert_true(mio_buf_full(&b));
    mio_buf_z(&b, "");
    assert_int_equal(b.n, 8);
    mio_buf_free(&b);
}

static void the_first_error_wins(void **state)
{
    (void)state;
    struct mio_err err = {0};
    assert_int_equal(mio_fail(&err, MIO_IO, "one"), MIO_IO);
    assert_int_equal(mio_fail(&err, MIO_BUG, "two"), MIO_IO);
    mio_err_wrap(&err, "while %d", 3);
    assert_string_equal(err.message, "while 3: one");
}

static void the_same_diagnostic_is_told_once(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_diags d;
    mio_diags_init(&d, &a);
    for (int i = 0; i < 3; i++)
        mio_diags_error(&d, MIO_TEMPLATE, (struct mio_pos){1, 2, 3, 1}, NULL, "wrong");
    struct mio_err told = {.code = MIO_TEMPLATE, .reported = true};
    mio_diags_add(&d, MIO_ERROR, &told);
    assert_int_equal(d.errors, 1);
    mio_arena_free(&a);
}

static void durations_in_both_notations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {{"90", 90},      {"90s", 90},   {"5m", 300},
                {"1h30m", 5400}, {"PT5M", 300}, {"P1DT1H", 90000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t s;
        assert_true(mio_duration_s(mio_str_z(rows[i].text), &s));
        assert_int_equal(s, rows[i].seconds);
    }
    int64_t s = 0;
    assert_false(mio_duration_s(MIO_STR("5x"), &s));
    assert_false(mio_duration_s(MIO_STR(""), &s));
    assert_false(mio_duration_s(MIO_STR("m5"), &s));
    assert_false(mio_duration_s(MIO_STR("PT"), &s));
    assert_false(mio_duration_s(MIO_STR("1.5h"), &s));
    assert_false(mio_duration_s(MIO_STR("-5s"), &s));
    enum { DAYS = 60000, LEN = 11 }; /* more days than there are seconds in 64 bits */
    char *days = mio_alloc(DAYS * LEN);
    for (size_t i = 0; i < DAYS; i++)
        memcpy(days + i * LEN, "2147483647d", LEN);
    assert_false(mio_duration_s((struct mio_str){days, DAYS * LEN}, &s));
    free(days);
    char text[24];
    mio_rfc3339(1795415762, text);
    assert_true(mio_rfc3339_parse(mio_str_z(text), &s));
    assert_int_equal(s, 1795415762);
}

static void digests_have_their_published_values(void **state)
{
    (void)state;
    uint8_t d[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1], b32[27];
    mio_sha256_of("abc", 3, d);
    mio_hex(d, sizeof d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mio_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d);
    mio_hex(d, sizeof d, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(mio_crc32c("123456789", 9), 0xe3069283);
    mio_base32((const uint8_t *)"foobar", 6, b32, 10);
    assert_string_equal(b32, "mzxw6ytboi");
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str text = mio_base64(&a, "fooba", 5), back;
    assert_true(mio_str_is(text, "Zm9vYmE="));
    assert_true(mio_unbase64(&a, text, &back) && mio_str_is(back, "fooba"));
    assert_false(mio_unbase64(&a, MIO_STR("Zm9"), &back));
    mio_arena_free(&a);
}

static int always_28(const char *point)
{
    (void)point;
    return 28;
}

static void faults_strike_when_told(void **state)
{
    (void)state;
    mio_fault_setup("write:2:ENOSPC");
    assert_int_equal(mio_fault("write"), 0);
    assert_int_equal(mio_fault("fsync"), 0);
    assert_int_equal(mio_fault("write"), 28);
    assert_int_equal(mio_fault("write"), 0);
    mio_fault_setup("fsync:1+:EIO");
    assert_int_equal(mio_fault("fsync"), 5);
    assert_int_equal(mio_fault("fsync"), 5);
    mio_fault_ask(always_28); /* a shared object asks the program */
    assert_int_equal(mio_fault("write"), 28);
    mio_fault_ask(NULL);
    mio_fault_setup(NULL);
    assert_int_equal(mio_fault("fsync"), 0);
}

static char passed[64];

static void keep_line(enum mio_level level, const char *room, struct mio_str text)
{
    snprintf(passed, sizeof passed, "%d %s %.*s", (int)level, room, MIO_FMT(text));
}

static void a_log_is_passed_on(void **state)
{
    (void)state;
    mio_log(MIO_WARN, "state", "off until it is set up");
    assert_string_equal(passed, "");
    mio_log_pass(keep_line); /* a shared object gives its lines to the program, all of them */
    mio_log(MIO_TRACE, "state", "line %d", 2);
    assert_string_equal(passed, "0 state line 2");
    mio_log_pass(NULL);
    mio_log(MIO_WARN, "state", "line 3");
    assert_string_equal(passed, "0 state line 2");
}

static void an_index_finds_what_was_put_in(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_index m;
    mio_index_init(&m, &a, 0);
    for (uintptr_t i = 0; i < 10000; i++)
        assert_true(mio_index_add(&m, mio_arena_printf(&a, "key-%zu", (size_t)i), i));
    assert_false(mio_index_add(&m, MIO_STR("key-77"), 1));
    uintptr_t v;
    for (uintptr_t i = 0; i < 10000; i++)
        assert_true(mio_index_get(&m, mio_arena_printf(&a, "key-%zu", (size_t)i), &v) && v == i);
    assert_false(mio_index_get(&m, MIO_STR("key-10000"), &v));
    mio_arena_free(&a);
}

static void rewinding_an_arena_takes_back_what_followed(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str kept = mio_arena_printf(&a, "kept");
    struct mio_arena_mark mark = mio_arena_mark(&a);
    size_t before = a.total;
    for (int i = 0; i < 1000; i++)
        mio_arena_alloc(&a, 1000);
    mio_arena_rewind(&a, mark);
    assert_int_equal(a.total, before);
    assert_true(mio_str_is(kept, "kept"));
    mio_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(natural_order_counts_digits_as_numbers),
        cmocka_unit_test(strict_numbers_have_no_slack),
        cmocka_unit_test(suggestions_are_near_or_none),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(a_full_buffer_stays_full),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(the_same_diagnostic_is_told_once),
        cmocka_unit_test(durations_in_both_notations),
        cmocka_unit_test(digests_have_their_published_values),
        cmocka_unit_test(faults_strike_when_told),
        cmocka_unit_test(a_log_is_passed_on),
        cmocka_unit_test(an_index_finds_what_was_put_in),
        cmocka_unit_test(rewinding_an_arena_takes_back_what_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
