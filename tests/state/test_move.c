/* tests/state/test_move.c: push, migrate, rekey; settings from the environment; backends that are
 * not there. */
#include "providers/sdk/redact.h"
#include "state/fsck.h"
#include "tests/state/support.h"

struct world {
    char one[64], two[64];
    struct mio_arena arena;
    struct mio_store *from, *to;
};

static int setup(void **ctx)
{
    struct world *w = calloc(1, sizeof *w);
    scratch_make(w->one);
    scratch_make(w->two);
    mio_arena_init(&w->arena);
    w->from = open_store(w->one, "dev");
    w->to = open_store(w->two, "dev");
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_store_close(w->from);
    mio_store_close(w->to);
    scratch_remove(w->one);
    scratch_remove(w->two);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

static void grow(struct world *w, struct mio_store *s, const char *address)
{
    struct mio_state state;
    load(s, &w->arena, &state);
    put(&state, address, "x");
    commit(s, &state);
}

static struct mio_str text_of(struct world *w, struct mio_store *s)
{
    MIO_AUTO_BUF b = {0};
    struct mio_state state;
    load(s, &w->arena, &state);
    mio_state_write(&b, &state);
    return mio_arena_str(&w->arena, mio_buf_view(&b));
}

static void test_push(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_state state;
    grow(w, w->from, "thing.a");
    struct mio_str one = text_of(w, w->from);
    assert_ok(err, mio_store_push(w->to, one, false, &err)); /* into an empty place */
    grow(w, w->from, "thing.b");
    assert_ok(err, mio_store_push(w->to, text_of(w, w->from), false, &err)); /* a newer one */
    load(w->to, &w->arena, &state);
    assert_int_equal(state.nrows, 2);
    assert_int_equal(mio_store_push(w->to, one, false, &err), MIO_STATE);
    assert_contains(err.message, "has serial 1, the one here 2");
    err = (struct mio_err){0};
    assert_ok(err, mio_store_push(w->to, one, true, &err));
    load(w->to, &w->arena, &state);
    assert_int_equal(state.nrows, 1);
    assert_int_equal(state.serial, 3); /* serials only grow */
    assert_int_equal(mio_store_push(w->to, mio_str_sub(one, 0, one.n - 5), true, &err), MIO_STATE);
}

static void test_push_of_another_lineage_or_stage(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    grow(w, w->from, "thing.a");
    grow(w, w->from, "thing.b");
    grow(w, w->to, "thing.other");
    struct mio_str text = text_of(w, w->from);
    assert_int_equal(mio_store_push(w->to, text, false, &err), MIO_STATE);
    assert_contains(err.message, "that state is another one");
    err = (struct mio_err){0};
    assert_ok(err, mio_store_push(w->to, text, true, &err));
    struct mio_store *prod = open_store(in(w->two, "prod"), "prod");
    assert_int_equal(mio_store_push(prod, text, true, &err), MIO_STATE);
    assert_contains(err.message, "is of stage \"dev\"");
    mio_store_close(prod);
}

static void pending(struct world *w, struct mio_store *s)
{
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_err err = {0};
    struct mio_jrn_begin b = {.apply_id = Z("a1")};
    struct mio_jrn_intent i = {.op = 1, .address = Z("thing.n")};
    load(s, &w->arena, &state);
    assert_ok(err, mio_store_begin(s, &state, &b, &j, &err));
    assert_ok(err, mio_jrn_intent(j, &i, &err));
    mio_jrn_close(j);
}

static void test_nothing_moves_over_an_open_journal(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    bool moved;
    grow(w, w->from, "thing.a");
    struct mio_str text = text_of(w, w->from);
    pending(w, w->from);
    assert_int_equal(mio_store_migrate(w->from, w->to, &moved, &err), MIO_STATE);
    assert_contains(err.message, "must be settled");
    err = (struct mio_err){0};
    assert_int_equal(mio_store_push(w->from, text, true, &err), MIO_STATE);
}

static void test_migrate(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_state old, new;
    bool moved = true;
    assert_ok(err, mio_store_migrate(w->from, w->to, &moved, &err));
    assert_false(moved);
    grow(w, w->from, "thing.a");
    grow(w, w->from, "thing.b");
    struct mio_history h = {.operation = Z("apply")}, *lines;
    size_t n, broken;
    assert_ok(err, mio_store_history_add(w->from, &h, &err));
    assert_ok(err, mio_store_migrate(w->from, w->to, &moved, &err));
    assert_true(moved);
    load(w->from, &w->arena, &old);
    load(w->to, &w->arena, &new);
    assert_true(mio_str_eq(old.digest, new.digest) && mio_str_eq(old.lineage, new.lineage));
    assert_int_equal(new.serial, 2);
    assert_ok(err, mio_store_history(w->to, &w->arena, &lines, &n, &broken, &err));
    assert_true(n == 1 && broken == 0);
    assert_ok(err, mio_store_migrate(w->from, w->to, &moved, &err)); /* again: nothing happens */
    assert_int_equal(unlink(in(w->two, "history.jsonl")), 0); /* killed between state and history */
    assert_ok(err, mio_store_migrate(w->from, w->to, &moved, &err));
    assert_ok(err, mio_store_history(w->to, &w->arena, &lines, &n, &broken, &err));
    assert_int_equal(n, 1);
    grow(w, w->from, "thing.c");
    assert_int_equal(mio_store_migrate(w->from, w->to, &moved, &err), MIO_STATE);
    assert_contains(err.message, "there is a state");
    grow(w, w->to, "thing.d"); /* both went on: neither is the other one's copy */
    err = (struct mio_err){0};
    assert_int_equal(mio_store_migrate(w->from, w->to, &moved, &err), MIO_STATE);
    assert_contains(err.message, "is not a copy of it");
    grow(w, w->to, "thing.e");
    err = (struct mio_err){0};
    assert_int_equal(mio_store_migrate(w->from, w->to, &moved, &err), MIO_STATE);
    assert_contains(err.hint, "-reconfigure");
}

static void test_rekey(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_key_source key = {
        .type = MIO_KEY_RAW,
        .id = Z("k1"),
        .secret = Z("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")};
    struct mio_seal_opts seal = {.keys = &key, .nkeys = 1};
    struct mio_store_opts o = {.dir = w->one, .stage = Z("dev"), .seal = &seal};
    struct mio_store *s;
    grow(w, w->from, "thing.a");
    assert_ok(err, mio_store_open(&o, &s, &err));
    assert_ok(err, mio_store_rekey(s, &err));
    mio_store_close(s);
    assert_true(mio_is_sealed(slurp(&w->arena, w->one, "state.jsonl")));
}

static const char *environment(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0 ? "AKIAsecret"
           : strcmp(name, "AWS_ACCESS_KEY_ID") == 0   ? "AKIApublic"
           : strcmp(name, "AWS_REGION") == 0          ? "env"
           : strcmp(name, "PG_CONN_STR") == 0
               ? "postgres://me:hunter22@db:5432/states?sslmode=require"
               : NULL;
}

static void test_settings_from_the_environment(void **ctx)
{
    struct world *w = *ctx;
    struct mio_value s3 = mio_backend_settings(
        &w->arena, json(&w->arena, "{\"type\":\"s3\",\"region\":\"here\"}"), environment, NULL);
    assert_true(mio_str_is(mio_get_str(s3, "secret_key"), "AKIAsecret"));
    assert_true(mio_is_sensitive(*mio_get_z(s3, "secret_key")));
    assert_false(mio_is_sensitive(*mio_get_z(s3, "access_key")));
    assert_true(mio_str_is(mio_get_str(s3, "region"), "here"));
    struct mio_value pg =
        mio_backend_settings(&w->arena, json(&w->arena, "{\"type\":\"pg\"}"), environment, NULL);
    assert_int_equal(pg.n, 2);
    MIO_AUTO_BUF b = {0};
    mio_hide(&b, MIO_STR("AKIAsecret AKIApublic me hunter22 db"));
    assert_string_equal(b.p, "(sensitive value) AKIApublic me (sensitive value) db");
    mio_buf_reset(&b);
    mio_backend_settings(
        &w->arena,
        json(&w->arena, "{\"type\":\"pg\",\"conn_str\":\"user=me password='pa ss word' host=db\"}"),
        environment, NULL);
    mio_hide(&b, MIO_STR("pa ss word"));
    assert_string_equal(b.p, "(sensitive value)");
}

static void test_backends_that_are_not_there(void **ctx)
{
    struct world *w = *ctx;
    static const struct {
        const char *config;
        enum mio_code code;
        const char *says;
    } bad[] = {
        {"{\"type\":\"gopher\"}", MIO_USAGE, "no backend of type \"gopher\""},
        {"{\"type\":\"../../x\"}", MIO_USAGE, "no backend of type"},
        {"{\"type\":\"s3\"}", MIO_IO, "cannot load the backend"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mio_store_opts o = {.dir = w->one,
                                   .stage = Z("dev"),
                                   .backend = json(&w->arena, bad[i].config),
                                   .backend_dir = "/nonexistent"};
        struct mio_store *s;
        struct mio_err err = {0};
        assert_int_equal(mio_store_open(&o, &s, &err), bad[i].code);
        assert_contains(err.message, bad[i].says);
        assert_true(err.hint[0] != 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_push),
        T(test_push_of_another_lineage_or_stage),
        T(test_nothing_moves_over_an_open_journal),
        T(test_migrate),
        T(test_rekey),
        T(test_settings_from_the_environment),
        T(test_backends_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
