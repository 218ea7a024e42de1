/* tests/providers/sdk/test_redact.c: texts without secrets: their forms, their pieces, and what is
 * no secret. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "providers/sdk/digest.h"
#include "providers/sdk/redact.h"
#include "providers/sdk/value.h"
#include "tests/arena.h"

#define HIDDEN "(sensitive value)"

static void check(const char *text, const char *expected)
{
    MIO_AUTO_BUF b = {0};
    mio_redact(&b, mio_str_z(text));
    assert_string_equal(b.n ? b.p : "", expected);
}

static int forget(void **state)
{
    (void)state;
    mio_secrets_wipe();
    assert_false(mio_secrets_known());
    return 0;
}

static void as_they_are(void **state)
{
    (void)state;
    check("hunter22", "hunter22");
    mio_secret_add(MIO_STR("hunter22"));
    mio_secret_add(MIO_STR("hunter22"));
    check("a\x1b[2Jb hunter22 \xe2\x80\xae c", "a\\x1b[2Jb " HIDDEN " \\xe2\\x80\\xae c");
    check("hunter22hunter22", HIDDEN HIDDEN);
    check("hunter2", HIDDEN); /* a text that was cut inside it */
    check("hunter2 and more", "hunter2 and more");
    check("hunte", "hunte");
    check("", "");
    mio_secret_add(MIO_STR("short"));
    check("short", "short");
    mio_secrets_wipe();
    check("hunter22", "hunter22");
}

static void controls_stay_where_only_secrets_go(void **state)
{
    (void)state;
    MIO_AUTO_BUF b = {0};
    mio_secret_add(MIO_STR("hunter22"));
    mio_hide(&b, MIO_STR("\x1b[1mhunter22\x1b[0m"));
    assert_string_equal(b.p, "\x1b[1m" HIDDEN "\x1b[0m");
}

static void in_other_writing(void **state)
{
    (void)state;
    mio_secret_add(MIO_STR("canary\"one/7+x\\q 11"));
    check("{\"k\":\"canary\\\"one/7+x\\\\q 11\"}", "{\"k\":\"" HIDDEN "\"}");
    check("?k=canary%22one%2F7%2Bx%5Cq%2011&l", "?k=" HIDDEN "&l");
    check("?k=canary%22one%2F7%2Bx%5Cq+11&l", "?k=" HIDDEN "&l");
}

/* At each of the three offsets, and in the alphabet of URLs. */
static void in_base64(void **state)
{
    (void)state;
    static const char secret[] = "s3cr3t>>>???";
    mio_secret_add(mio_str_z(secret));
    for (size_t before = 0; before < 7; before++)
        for (size_t behind = 0; behind < 4; behind++)
            for (int url = 0; url < 2; url++) {
                MIO_AUTO_BUF plain = {0}, b = {0};
                mio_buf_pad(&plain, 'u', before);
                mio_buf_z(&plain, secret);
                mio_buf_pad(&plain, 'v', behind);
                struct mio_str code = mio_base64(&arena, plain.p, plain.n);
                char *p = (char *)(uintptr_t)code.p;
                for (size_t i = 0; url && i < code.n; i++)
                    p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
                mio_redact(&b, code);
                assert_non_null(strstr(b.p, HIDDEN));
                assert_true(b.n <=
                            sizeof HIDDEN - 1 + 4 * ((before + 2) / 3) + 4 * (behind / 3 + 2));
                assert_null(strstr(b.p, "zY3IzdD4"));
            }
}

static void one_in_another(void **state)
{
    (void)state;
    mio_secret_add(MIO_STR("abcdefgh"));
    mio_secret_add(MIO_STR("efghijkl"));
    mio_secret_add(MIO_STR("abcdefghXYZ"));
    check("abcdefghijkl.", HIDDEN ".");
    check("abcdefghXYZ.", HIDDEN ".");
    check("abcdefghXY.", HIDDEN "XY.");
}

static void lines_of_a_key(void **state)
{
    (void)state;
    mio_secret_add(MIO_STR("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\nBCIEIJ+DYvh6SEqV\n"
                           "-----END PRIVATE KEY-----\n"));
    check("at MC4CAQAwBQYDK2Vw", "at " HIDDEN);
    check("| BCIEIJ+DYvh6SEqV |", "| " HIDDEN " |");
    check("it begins with -----BEGIN PRIVATE KEY----- and",
          "it begins with -----BEGIN PRIVATE KEY----- and");
}

static void what_is_allowed(void **state)
{
    (void)state;
    mio_secret_add(MIO_STR("production"));
    check("in production", "in " HIDDEN);
    mio_secret_allow(MIO_STR("production"));
    mio_secret_add(MIO_STR("production"));
    check("in production", "in production");
    mio_secret_add(MIO_STR("production-key-1"));
    check("in production, with production-key-1", "in production, with " HIDDEN);
    mio_secret_add(MIO_STR("hunter22"));
    mio_secret_allow(MIO_STR("pg://u:hunter22@h"));
    check("pg://u:hunter22@h but hunter22", "pg://u:hunter22@h but " HIDDEN);
}

static void values_that_are_marked(void **state)
{
    (void)state;
    struct mio_pair inner[] = {{MIO_STR("token"), mio_string_z("deep-secret")}};
    struct mio_value items[] = {mio_map(inner, 1), mio_number(MIO_STR("12345678"))};
    struct mio_pair mask[] = {{MIO_STR("$mio"), mio_string_z("digest")},
                              {MIO_STR("h"), mio_string_z("0123456789abcdef")}};
    struct mio_value whole = mio_sensitive(mio_list(items, 2));
    mio_sensitive(mio_map(mask, 2));
    check("deep-secret digest 0123456789abcdef", HIDDEN " digest 0123456789abcdef");
    mio_reveal(whole); /* its mark is there still */
    check("deep-secret", HIDDEN);
    mio_reveal(mio_list(items, 2));
    check("deep-secret", "deep-secret");
}

static void many_of_them(void **state)
{
    (void)state;
    enum { N = 20000 };
    MIO_AUTO_BUF b = {0}, text = {0};
    for (int i = 0; i < N; i++) {
        char one[32];
        int n = snprintf(one, sizeof one, "token-%d-end", i);
        mio_secret_add((struct mio_str){one, (size_t)n});
        mio_buf_printf(&text, "%s,", one);
    }
    mio_hide(&b, mio_buf_view(&text));
    assert_int_equal(b.n, N * sizeof HIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(as_they_are, forget),
        cmocka_unit_test_setup(controls_stay_where_only_secrets_go, forget),
        cmocka_unit_test_setup(in_other_writing, forget),
        cmocka_unit_test_setup(in_base64, forget),
        cmocka_unit_test_setup(one_in_another, forget),
        cmocka_unit_test_setup(lines_of_a_key, forget),
        cmocka_unit_test_setup(what_is_allowed, forget),
        cmocka_unit_test_setup(values_that_are_marked, forget),
        cmocka_unit_test_setup(many_of_them, forget),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
