/* tests/state/test_codec.c: the state file: canonical, and refused in words when anything is wrong
 * with it. */
#include "providers/sdk/digest.h"
#include "state/codec.h"
#include "tests/state/support.h"
#include "tests/arena.h"

static void sample(struct mio_state *s, int rows)
{
    mio_state_init(s, &arena, Z("dev"));
    s->lineage = Z("0-1-2");
    s->serial = 41;
    s->epoch = 2;
    for (int i = rows - 1; i >= 0; i--)
        put(s, mio_arena_printf(&arena, "thing.t[%d]", i).p, "id\"x");
    struct mio_state_output *o = MIO_NEW_N(&arena, struct mio_state_output, 2);
    o[0] = (struct mio_state_output){Z("uri"), mio_string_z("http://x"), false};
    o[1] = (struct mio_state_output){Z("key"), mio_string_z("hunter2"), true};
    mio_state_set_outputs(s, o, 2);
}

static struct mio_str text_of(struct mio_state *s)
{
    MIO_AUTO_BUF b = {0};
    mio_state_write(&b, s);
    return mio_arena_str(&arena, mio_buf_view(&b));
}

static struct mio_err refused(struct mio_str text)
{
    struct mio_err err = {0};
    struct mio_state out = {.serial = 777};
    assert_int_equal(mio_state_read(&arena, text, &out, &err), MIO_STATE);
    assert_int_equal(out.serial, 777); /* nothing set */
    assert_true(err.message[0] && err.hint[0]);
    return err;
}

static void test_round_trip_is_canonical(void **ctx)
{
    (void)ctx;
    struct mio_state s, back;
    struct mio_err err = {0};
    sample(&s, 12);
    struct mio_str text = text_of(&s);
    assert_null(strstr(text.p, "hunter2"));
    assert_ok(err, mio_state_read(&arena, text, &back, &err));
    assert_int_equal(back.serial, 41);
    assert_int_equal(back.epoch, 2);
    assert_true(mio_str_is(back.lineage, "0-1-2") && mio_str_is(back.stage, "dev"));
    assert_true(mio_str_eq(back.salt, s.salt) && back.digest.n == 64 && !back.dirty);
    assert_int_equal(back.nrows, 12);
    assert_true(mio_str_is(back.rows[2].address, "thing.t[2]"));
    assert_true(mio_str_is(back.rows[11].address, "thing.t[11]"));
    assert_true(mio_str_is(back.rows[3].id, "id\"x"));
    assert_int_equal(back.noutputs, 2);
    assert_true(back.outputs[0].sensitive && mio_is_masked(back.outputs[0].value));
    assert_true(mio_str_is(mio_value_str(back.outputs[1].value), "http://x"));
    assert_true(mio_str_eq(text_of(&back), text));

    struct mio_state shuffled = back; /* the same rows in another order give the same bytes */
    shuffled.rows = MIO_NEW_N(&arena, struct mio_row, 12);
    for (size_t i = 0; i < 12; i++)
        shuffled.rows[i] = back.rows[(i * 7 + 3) % 12];
    assert_true(mio_str_eq(text_of(&shuffled), text));
}

static void test_no_rows(void **ctx)
{
    (void)ctx;
    struct mio_state s, back;
    struct mio_err err = {0};
    sample(&s, 0);
    assert_ok(err, mio_state_read(&arena, text_of(&s), &back, &err));
    assert_int_equal(back.nrows, 0);
    put(&back, "thing.first", "x"); /* grows from nothing */
    assert_non_null(mio_state_find(&back, Z("thing.first"), Z("")));
}

static void test_truncated_at_each_byte(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    sample(&s, 3);
    struct mio_str text = text_of(&s);
    for (size_t n = 0; n < text.n; n++) {
        struct mio_arena_mark m = mio_arena_mark(&arena);
        /* a copy of its own size, so that a read past its end is seen by the address sanitizer */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text.p, n);
        struct mio_err err = refused((struct mio_str){copy, n});
        assert_contains(err.hint, "mlops-iac state fsck");
        free(copy);
        mio_arena_rewind(&arena, m);
    }
    assert_contains(refused(mio_str_sub(text, 0, text.n - 1)).message, "cut short");
    const char *first = memchr(text.p, '\n', text.n);
    assert_contains(refused((struct mio_str){text.p, (size_t)(first + 1 - text.p)}).message,
                    "3 rows are missing");
}

static void test_each_byte_flipped(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    sample(&s, 3);
    struct mio_str text = text_of(&s);
    char *copy = mio_arena_z(&arena, text);
    for (size_t i = 0; i < text.n; i++) {
        struct mio_arena_mark m = mio_arena_mark(&arena);
        for (int bit = 0; bit < 8; bit += 3) {
            copy[i] = (char)(text.p[i] ^ (1 << bit));
            struct mio_err err = refused((struct mio_str){copy, text.n});
            assert_true(strstr(err.hint, "fsck") != NULL);
        }
        copy[i] = text.p[i];
        mio_arena_rewind(&arena, m);
    }
}

static void test_named_damage(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    sample(&s, 2);
    struct mio_str text = text_of(&s);
    size_t first = (size_t)((const char *)memchr(text.p, '\n', text.n) + 1 - text.p);

    assert_contains(refused(Z("")).message, "empty");
    assert_contains(refused(Z(" \n\n")).message, "empty");
    assert_contains(refused(Z("hello\n")).message, "line 1 is not the header");
    assert_contains(refused(Z("{\"version\":4,\"serial\":1}\n")).message,
                    "line 1 is not the header");

    struct mio_str merged =
        mio_arena_printf(&arena, "%.*s<<<<<<< HEAD\n%s", (int)first, text.p, text.p + first);
    struct mio_err err = refused(merged);
    assert_contains(err.message, "line 2 is a merge conflict marker");
    assert_contains(err.hint, "git checkout");
    merged =
        mio_arena_printf(&arena, "<<<<<<< HEAD\n%s=======\n%s>>>>>>> theirs\n", text.p, text.p);
    assert_contains(refused(merged).message, "line 1 is a merge conflict marker");

    char *nul = mio_arena_z(&arena, text);
    memset(nul + first + 5, 0, 20);
    assert_contains(refused((struct mio_str){nul, text.n}).message, "line 2 holds NUL bytes");
    memset(nul, 0, text.n);
    assert_contains(refused((struct mio_str){nul, text.n}).message, "NUL");

    char *edited = mio_arena_z(&arena, text);
    char *serial = strstr(edited, "\"serial\":41");
    memcpy(serial, "\"serial\":42", 11);
    assert_contains(refused((struct mio_str){edited, text.n}).message, "edited");

    struct mio_str more = mio_arena_printf(&arena, "%s%s", text.p, text.p + first);
    assert_contains(refused(more).message, "edited");
}

/* The same text with its digest put right, as a hand that knows the format would. */
static struct mio_str resealed(struct mio_str text)
{
    char *p = mio_arena_z(&arena, text), *digits = strstr(p, "\"sha256\":\"") + 10, hex[65];
    uint8_t sum[32];
    struct mio_sha256 *d = mio_sha256_new();
    mio_sha256_start(d);
    mio_sha256_add(d, p, (size_t)(digits - p));
    mio_sha256_add(d, digits + 64, text.n - 64 - (size_t)(digits - p));
    mio_sha256_end(d, sum);
    mio_sha256_free(d);
    mio_hex(sum, 32, hex);
    memcpy(digits, hex, 64);
    return (struct mio_str){p, text.n};
}

static void test_duplicate_rows(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    sample(&s, 3);
    struct mio_str text = text_of(&s);
    char *p = mio_arena_z(&arena, text), *t = strstr(p, "thing.t[2]");
    t[8] = '0';
    struct mio_err err = refused(resealed((struct mio_str){p, text.n}));
    assert_contains(err.message, "line 4 records thing.t[0] a second time");
}

static void test_newer_format(void **ctx)
{
    (void)ctx;
    struct mio_state s, back;
    struct mio_err err = {0};
    sample(&s, 1);
    struct mio_str text = text_of(&s);
    char *p = mio_arena_z(&arena, text);
    memcpy(strstr(p, "\"min_reader\":1"), "\"min_reader\":2", 14);
    err = refused((struct mio_str){p, text.n});
    assert_contains(err.message, "newer mlops-iac");

    err = (struct mio_err){0}; /* a newer writer that says we may read it */
    p = mio_arena_z(&arena, text);
    memcpy(p, "{\"format\":7", 11);
    assert_ok(err, mio_state_read(&arena, resealed((struct mio_str){p, text.n}), &back, &err));
    assert_int_equal(back.nrows, 1);
}

static void test_row_in_other_form_names_its_line(void **ctx)
{
    (void)ctx;
    struct mio_state s;
    sample(&s, 3);
    struct mio_str text = text_of(&s);
    char *p = mio_arena_z(&arena, text), *row = strstr(p, "\"address\":\"thing.t[1]\"");
    memcpy(row, "\"addresS\"", 9);
    assert_contains(refused(resealed((struct mio_str){p, text.n})).message, "line 3");
}

/* Found by tests/fuzz/fuzz_state.c: the last byte of nothing was looked at. */
static void test_header_of_nothing(void **ctx)
{
    (void)ctx;
    struct mio_state_header h;
    struct mio_err err = {0};
    assert_int_equal(mio_state_header(&arena, MIO_STR(""), &h, &err), MIO_STATE);
    assert_contains(err.message, "cut short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip_is_canonical, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_at_each_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_byte_flipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicate_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_in_other_form_names_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_of_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
