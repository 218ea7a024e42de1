/* tests/state/test_seal_config.c: who may demand sealing, which key writes, and what is refused. */
#include "tests/state/support.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct world {
    struct mio_arena arena;
    const char *const (*env)[2]; /* name, value; ends with NULL */
};

static const char *lookup(void *arg, const char *name)
{
    struct world *w = arg;
    for (size_t i = 0; w->env && w->env[i][0]; i++)
        if (strcmp(w->env[i][0], name) == 0)
            return w->env[i][1];
    return NULL;
}

static int setup(void **ctx)
{
    struct world *w = calloc(1, sizeof *w);
    mio_arena_init(&w->arena);
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

static enum mio_code gather(struct world *w, const char *admin, const char *block,
                            struct mio_seal_opts *out, bool *wanted, struct mio_err *err)
{
    struct mio_seal_from from = {.admin = admin ? json(&w->arena, admin) : mio_null(),
                                 .block = block ? json(&w->arena, block) : mio_null(),
                                 .dir = Z("/t"),
                                 .lookup = lookup,
                                 .arg = w};
    *err = (struct mio_err){0};
    return mio_seal_settings(&w->arena, &from, out, wanted, err);
}

static void test_nothing_asks(void **ctx)
{
    struct mio_seal_opts o;
    struct mio_err err;
    bool wanted = true;
    assert_ok(err, gather(*ctx, NULL, "{\"enforced\":false}", &o, &wanted, &err));
    assert_false(wanted);
    assert_false(o.enforced);
}

static void test_order_of_keys(void **ctx)
{
    static const char *const env[][2] = {{"MLOPS_IAC_STATE_OLD_KEY", HEX},
                                         {"MLOPS_IAC_STATE_KEY_FILE", "/k"},
                                         {"MLOPS_IAC_STATE_PASSPHRASE", "correct horse battery"},
                                         {NULL, NULL}};
    static const char *const ids[] = {"house", "key", "passphrase", "team", "kms", "key"};
    struct world *w = *ctx;
    struct mio_seal_opts o;
    struct mio_err err;
    bool wanted = false;
    w->env = env;
    assert_ok(err,
              gather(w, "{\"keys\":[{\"id\":\"house\",\"type\":\"raw\",\"file\":\"/etc/k\"}]}",
                     "{\"keys\":[{\"id\":\"team\",\"type\":\"passphrase\",\"file\":\"k/team\"},"
                     "{\"id\":\"kms\",\"type\":\"external\",\"command\":[\"wrap\",\"-x\"]}]}",
                     &o, &wanted, &err));
    assert_true(wanted);
    assert_int_equal(o.nkeys, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(mio_str_is(o.keys[i].id, ids[i]));
    assert_string_equal(o.keys[1].path, "/k");
    assert_string_equal(o.keys[3].path, "/t/k/team");
    assert_string_equal(o.keys[4].command[1], "-x");
    assert_null(o.keys[4].command[2]);
    assert_true(mio_str_is(o.keys[5].secret, HEX));
}

/* Each place can demand it; a `false` elsewhere does not take it back. */
static void test_demands_add_up(void **ctx)
{
    static const char *const on[][2] = {
        {"MLOPS_IAC_ENCRYPTION_ENFORCED", "true"}, {"MLOPS_IAC_STATE_KEY", HEX}, {NULL, NULL}};
    static const char *const off[][2] = {
        {"MLOPS_IAC_ENCRYPTION_ENFORCED", "false"}, {"MLOPS_IAC_STATE_KEY", HEX}, {NULL, NULL}};
    static const char yes[] = "{\"enforced\":true}", no[] = "{\"enforced\":false}";
    const struct {
        const char *const (*env)[2];
        const char *admin, *block;
    } cases[] = {{on, no, no}, {off, yes, no}, {off, no, yes}};
    struct world *w = *ctx;
    for (size_t i = 0; i < 3; i++) {
        struct mio_seal_opts o;
        struct mio_err err;
        bool wanted = false;
        w->env = cases[i].env;
        assert_ok(err, gather(w, cases[i].admin, cases[i].block, &o, &wanted, &err));
        assert_true(o.enforced);
        o.write_clear = true;
        struct mio_sealer *s;
        assert_int_equal(mio_sealer_open(&o, &s, &err), MIO_USAGE);
        assert_contains(err.message, "cannot be given up");
    }
}

static void test_refused(void **ctx)
{
    static const struct {
        const char *block;
        enum mio_code code;
        const char *says;
    } bad[] = {
        {"{\"enforced\":true}", MIO_AUTH, "there is no key"},
        {"{\"write_clear\":true}", MIO_AUTH, "no key to read with"},
        {"{\"enforce\":true}", MIO_USAGE, "no setting `enforce`"},
        {"{\"enforced\":\"yes\"}", MIO_USAGE, "true or false"},
        {"{\"keys\":{}}", MIO_USAGE, "must be a list"},
        {"{\"keys\":[{\"id\":\"a\",\"type\":\"raw\",\"secret\":\"x\"}]}", MIO_USAGE,
         "no setting `secret`"},
        {"{\"keys\":[{\"id\":\"a\",\"type\":\"raw\"}]}", MIO_USAGE, "needs `file`"},
        {"{\"keys\":[{\"id\":\"a\",\"type\":\"rot13\",\"file\":\"x\"}]}", MIO_USAGE, "`type`"},
        {"{\"keys\":[{\"id\":\"a\",\"type\":\"external\",\"file\":\"x\"}]}", MIO_USAGE,
         "needs `command`"},
        {"{\"keys\":[{\"id\":\"a\",\"type\":\"external\",\"command\":[1]}]}", MIO_USAGE,
         "list of strings"},
        {"[]", MIO_USAGE, "must be a map"},
    };
    static const char *const odd[][2] = {{"MLOPS_IAC_ENCRYPTION_ENFORCED", "ja"}, {NULL, NULL}};
    struct world *w = *ctx;
    struct mio_seal_opts o;
    struct mio_err err;
    bool wanted;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(gather(w, NULL, bad[i].block, &o, &wanted, &err), bad[i].code);
        assert_contains(err.message, bad[i].says);
    }
    w->env = odd;
    assert_int_equal(gather(w, NULL, NULL, &o, &wanted, &err), MIO_USAGE);
}

/* A new secret under the old name: what the old one sealed is still read, and sealed by the new. */
static void test_two_secrets_of_one_name(void **ctx)
{
    static const char other[] = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
    struct world *w = *ctx;
    struct mio_key_source keys[] = {
        {.type = MIO_KEY_RAW, .id = Z("key"), .secret = mio_str_z(other)},
        {.type = MIO_KEY_RAW, .id = Z("key"), .secret = Z(HEX)}};
    struct mio_seal_opts was = {.keys = &keys[1], .nkeys = 1}, is = {.keys = keys, .nkeys = 2},
                         alone = {.keys = keys, .nkeys = 1};
    struct mio_seal_about about = {Z("plan"), Z("l"), 1, 0};
    struct mio_sealer *a, *b, *c;
    struct mio_err err = {0};
    struct mio_str plain;
    MIO_AUTO_BUF text = {0};
    assert_ok(err, mio_sealer_open(&was, &a, &err));
    assert_ok(err, mio_sealer_open(&is, &b, &err));
    assert_ok(err, mio_sealer_open(&alone, &c, &err));
    assert_ok(err, mio_seal(a, &about, Z("canary"), &text, &err));
    assert_ok(err, mio_unseal(b, &w->arena, "plan", mio_buf_view(&text), &plain, &about, &err));
    assert_true(mio_str_is(plain, "canary"));
    assert_int_equal(err.code, MIO_OK);
    assert_int_equal(mio_unseal(c, &w->arena, "plan", mio_buf_view(&text), &plain, &about, &err),
                     MIO_AUTH);
    assert_contains(err.message, "wrong secret");
    mio_sealer_close(a);
    mio_sealer_close(b);
    mio_sealer_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_of_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_demands_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_secrets_of_one_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
