/* tests/providers/sdk/test_ed25519.c: public keys in every form, signatures of RFC 8032 and of
 * ours. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "providers/sdk/ed25519.h"
#include "providers/sdk/digest.h"

/* RFC 8032, 7.1, test 2: the message is the byte 72. */
static const char public_hex[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                  sig_hex[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5balsNpgDZgnJT/gV8HbS9Oul5aGbmn7ni8\n"
                          "-----END PRIVATE KEY-----\n";

static void a_signature_of_the_standard_holds(void **state)
{
    (void)state;
    uint8_t key[MIO_ED25519_KEY], sig[MIO_ED25519_SIG];
    assert_true(mio_unhex(mio_str_z(public_hex), key, sizeof key));
    assert_true(mio_unhex(mio_str_z(sig_hex), sig, sizeof sig));
    struct mio_str s = {(const char *)sig, sizeof sig};
    assert_true(mio_ed25519_verify(key, MIO_STR("r"), s));
    assert_false(mio_ed25519_verify(key, MIO_STR("s"), s));
    assert_false(mio_ed25519_verify(key, MIO_STR("r"), mio_str_sub(s, 0, 63)));
    for (size_t i = 0; i < sizeof sig; i++) {
        sig[i] ^= 1;
        assert_false(mio_ed25519_verify(key, MIO_STR("r"), s));
        sig[i] ^= 1;
    }
}

static void what_is_signed_can_be_verified(void **state)
{
    (void)state;
    struct mio_ed25519 *k;
    struct mio_err err = {0};
    uint8_t key[MIO_ED25519_KEY], sig[MIO_ED25519_SIG];
    assert_int_equal(mio_ed25519_open(NULL, MIO_STR(pem), &k, &err), MIO_OK);
    mio_ed25519_public(k, key);
    assert_int_equal(mio_ed25519_sign(k, MIO_STR("text"), sig, &err), MIO_OK);
    assert_true(
        mio_ed25519_verify(key, MIO_STR("text"), (struct mio_str){(const char *)sig, sizeof sig}));
    mio_ed25519_close(k);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct mio_ed25519 *k = NULL;
        struct mio_err err = {0};
        assert_int_equal(mio_ed25519_open(NULL, mio_str_z(texts[i]), &k, &err), MIO_AUTH);
        assert_non_null(strstr(err.hint, "openssl genpkey"));
    }
}

static void public_keys_come_in_many_forms(void **state)
{
    (void)state;
    static const char *const good[] = {
        "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
        "-----END PUBLIC KEY-----\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM a@b",
    };
    static const char *const bad[] = {
        "", "x", "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zg==",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"};
    uint8_t want[MIO_ED25519_KEY], got[MIO_ED25519_KEY];
    assert_true(mio_unhex(mio_str_z(public_hex), want, sizeof want));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(mio_ed25519_parse(mio_str_z(good[i]), got));
        assert_memory_equal(got, want, sizeof want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(mio_ed25519_parse(mio_str_z(bad[i]), got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_of_the_standard_holds),
        cmocka_unit_test(what_is_signed_can_be_verified),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(public_keys_come_in_many_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
