/* tests/state/test_seal.c: sealed state and journal: only with the key, nothing exchanged, nothing
 * put back. */
#include "state/frame.h"
#include "state/fsck.h"
#include "state/seal.h"
#include "tests/state/support.h"

static const char raw1[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                  raw2[] = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

struct world {
    char dir[64], seen[64];
    struct mio_arena arena;
};

static int setup(void **ctx)
{
    struct world *w = calloc(1, sizeof *w);
    scratch_make(w->dir);
    scratch_make(w->seen);
    mio_arena_init(&w->arena);
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_fault_setup(NULL);
    scratch_remove(w->dir);
    scratch_remove(w->seen);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

static struct mio_key_source raw(const char *id, const char *secret)
{
    return (struct mio_key_source){.type = MIO_KEY_RAW, .id = Z(id), .secret = Z(secret)};
}

static enum mio_code try_open(const struct mio_key_source *keys, size_t n, struct mio_sealer **out,
                              struct mio_err *err)
{
    struct mio_seal_opts o = {.keys = keys, .nkeys = n};
    return mio_sealer_open(&o, out, err);
}

static struct mio_sealer *sealer(const struct mio_key_source *keys, size_t n)
{
    struct mio_sealer *s;
    struct mio_err err = {0};
    assert_ok(err, try_open(keys, n, &s, &err));
    return s;
}

static const struct mio_seal_about about = {{"state", 5}, {"l-1", 3}, 7, 2};

static struct mio_str sealed(struct world *w, struct mio_sealer *s, const char *text)
{
    struct mio_err err = {0};
    MIO_AUTO_BUF b = {0};
    assert_ok(err, mio_seal(s, &about, Z(text), &b, &err));
    return mio_arena_str(&w->arena, mio_buf_view(&b));
}

static void test_round_trip(void **ctx)
{
    struct world *w = *ctx;
    static const char *const cat[] = {"cat", NULL};
    struct mio_key_source keys[] = {
        raw("k1", raw1),
        {.type = MIO_KEY_RAW,
         .id = Z("b64"),
         .secret = Z("ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=")},
        {.type = MIO_KEY_PASSPHRASE, .id = Z("pass"), .secret = Z("correct horse battery")},
        {.type = MIO_KEY_EXTERNAL, .id = Z("ext"), .command = cat}, /* wraps to itself */
    };
    for (size_t i = 0; i < 4; i++) {
        struct mio_sealer *s = sealer(&keys[i], 1), *other = sealer(&keys[i], 1);
        struct mio_str plain;
        struct mio_seal_about what;
        struct mio_err err = {0};
        struct mio_str text = sealed(w, s, "hunter2-in-here"),
                       again = sealed(w, s, "hunter2-in-here");
        assert_true(mio_is_sealed(text));
        assert_null(memmem(text.p, text.n, "hunter2", 7));
        assert_memory_not_equal(text.p, again.p, text.n); /* a fresh key and nonce each time */
        assert_ok(err, mio_unseal(other, &w->arena, "state", text, &plain, &what, &err));
        assert_true(mio_str_is(plain, "hunter2-in-here"));
        assert_true(mio_str_is(what.lineage, "l-1") && what.serial == 7 && what.epoch == 2);
        mio_sealer_close(s);
        mio_sealer_close(other);
    }
}

static void test_each_byte_flipped_is_refused(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source k = raw("k1", raw1);
    struct mio_sealer *s = sealer(&k, 1);
    struct mio_str text = sealed(w, s, "some plain text"), plain;
    char *copy = mio_arena_z(&w->arena, text);
    struct mio_seal_about what;
    for (size_t i = 0; i < text.n; i++) {
        struct mio_err err = {0};
        copy[i] ^= 1;
        enum mio_code rc =
            mio_unseal(s, &w->arena, "state", (struct mio_str){copy, text.n}, &plain, &what, &err);
        assert_true(rc == MIO_STATE || rc == MIO_AUTH);
        copy[i] ^= 1;
    }
    for (size_t n = 1; n < text.n; n++) {
        struct mio_err err = {0};
        assert_true(
            mio_unseal(s, &w->arena, "state", mio_str_sub(text, 0, n), &plain, &what, &err));
    }
    mio_sealer_close(s);
}

static void test_kind_and_key_matter(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source one = raw("k1", raw1), two = raw("k2", raw2), imposter = raw("k1", raw2);
    struct mio_key_source both[] = {two, one};
    struct mio_sealer *s1 = sealer(&one, 1), *s2 = sealer(&two, 1), *s3 = sealer(&imposter, 1),
                      *s21 = sealer(both, 2);
    struct mio_str text = sealed(w, s1, "text"), plain;
    struct mio_seal_about what;
    struct mio_err err = {0};
    assert_int_equal(mio_unseal(s1, &w->arena, "plan", text, &plain, &what, &err), MIO_STATE);
    assert_contains(err.message, "as a state");
    err = (struct mio_err){0};
    assert_int_equal(mio_unseal(s2, &w->arena, "state", text, &plain, &what, &err), MIO_AUTH);
    assert_contains(err.message, "sealed with key k1");
    assert_contains(err.hint, "Configured are: k2");
    err = (struct mio_err){0};
    assert_int_equal(mio_unseal(s3, &w->arena, "state", text, &plain, &what, &err), MIO_AUTH);
    assert_contains(err.message, "wrong secret");
    err = (struct mio_err){0};
    assert_int_equal(mio_unseal(NULL, &w->arena, "state", text, &plain, &what, &err), MIO_AUTH);
    err = (struct mio_err){0};
    assert_ok(err, mio_unseal(s21, &w->arena, "state", text, &plain, &what, &err)); /* fallback */
    mio_sealer_close(s1);
    mio_sealer_close(s2);
    mio_sealer_close(s3);
    mio_sealer_close(s21);
}

static void test_bad_keys(void **ctx)
{
    struct world *w = *ctx;
    static const char *const fails[] = {"false", NULL}, *const mute[] = {"true", NULL};
    char path[96];
    snprintf(path, sizeof path, "%s/key", w->dir);
    spill(w->dir, "key", Z(raw1));
    assert_int_equal(chmod(path, 0644), 0);
    const struct {
        struct mio_key_source key;
        enum mio_code code;
        const char *says;
    } bad[] = {
        {raw("k1", "0011"), MIO_USAGE, "not 32 bytes"},
        {raw("", raw1), MIO_USAGE, "needs a name"},
        {raw("a/b", raw1), MIO_USAGE, "needs a name"},
        {raw("k1", ""), MIO_AUTH, "is not set"},
        {{.type = MIO_KEY_PASSPHRASE, .id = Z("p"), .secret = Z("too short")},
         MIO_AUTH,
         "shorter than 16"},
        {{.type = MIO_KEY_RAW, .id = Z("f"), .path = path}, MIO_AUTH, "can be read by others"},
        {{.type = MIO_KEY_RAW, .id = Z("f"), .path = "/nonexistent/key"}, MIO_IO, "cannot open"},
        {{.type = MIO_KEY_EXTERNAL, .id = Z("e"), .command = fails}, MIO_AUTH, "it failed"},
        {{.type = MIO_KEY_EXTERNAL, .id = Z("e"), .command = mute}, MIO_AUTH, "did not answer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mio_sealer *s;
        struct mio_err err = {0};
        assert_int_equal(try_open(&bad[i].key, 1, &s, &err), bad[i].code);
        assert_contains(err.message, bad[i].says);
        assert_null(strstr(err.message, "0011")); /* no secret in words */
    }
    assert_int_equal(chmod(path, 0600), 0);
    struct mio_key_source good = {.type = MIO_KEY_RAW, .id = Z("f"), .path = path};
    mio_sealer_close(sealer(&good, 1));
}

/* A header may not make us spend gigabytes. */
static void test_hostile_scrypt(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source k = {
        .type = MIO_KEY_PASSPHRASE, .id = Z("p"), .secret = Z("correct horse battery")};
    struct mio_sealer *s = sealer(&k, 1), *fresh = sealer(&k, 1);
    struct mio_str text = sealed(w, s, "x"), plain;
    char *p = mio_arena_z(&w->arena, text);
    memcpy(strstr(p, "131072"), "999999", 6);
    struct mio_seal_about what;
    struct mio_err err = {0};
    assert_int_equal(
        mio_unseal(fresh, &w->arena, "state", (struct mio_str){p, text.n}, &plain, &what, &err),
        MIO_STATE);
    assert_contains(err.message, "out of bounds");
    mio_sealer_close(s);
    mio_sealer_close(fresh);
}

/* ---- the store ---- */

static struct mio_store *open_with(struct world *w, const struct mio_seal_opts *seal)
{
    struct mio_store *s;
    struct mio_err err = {0};
    struct mio_store_opts o = {
        .dir = w->dir, .stage = Z("dev"), .create = true, .seal = seal, .seen_dir = w->seen};
    assert_ok(err, mio_store_open(&o, &s, &err));
    return s;
}

static void grow(struct world *w, const struct mio_seal_opts *seal, const char *address)
{
    struct mio_store *s = open_with(w, seal);
    struct mio_state state;
    load(s, &w->arena, &state);
    put(&state, address, "x");
    commit(s, &state);
    mio_store_close(s);
}

static size_t rows(struct world *w, const struct mio_seal_opts *seal)
{
    struct mio_store *s = open_with(w, seal);
    struct mio_state state;
    load(s, &w->arena, &state);
    mio_store_close(s);
    return state.nrows;
}

static struct mio_err load_fails(struct world *w, const struct mio_seal_opts *seal,
                                 enum mio_code code)
{
    struct mio_store *s = open_with(w, seal);
    struct mio_state state;
    struct mio_err err = {0};
    assert_int_equal(mio_store_load(s, &w->arena, &state, &err), code);
    mio_store_close(s);
    return err;
}

static void test_store_is_sealed_and_rotated(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source one = raw("k1", raw1), two = raw("k2", raw2), both[] = {two, one};
    struct mio_seal_opts old = {.keys = &one, .nkeys = 1}, new = {.keys = &two, .nkeys = 1},
                         change = {.keys = both, .nkeys = 2};
    grow(w, NULL, "thing.secret-name"); /* in clear: the next write seals it */
    grow(w, &old, "thing.b");
    struct mio_str text = slurp(&w->arena, w->dir, "state.jsonl");
    assert_null(memmem(text.p, text.n, "secret-name", 11));
    assert_int_equal(rows(w, &old), 2);
    assert_contains(load_fails(w, NULL, MIO_AUTH).message, "sealed with key k1");
    assert_contains(load_fails(w, &new, MIO_AUTH).message, "sealed with key k1");
    grow(w, &change, "thing.c");
    assert_int_equal(rows(w, &new), 3);

    struct mio_store *s = open_with(w, &change);
    struct mio_state at;
    struct mio_err err = {0};
    assert_ok(err, mio_store_at(s, &w->arena, 2, &at, &err)); /* a generation under the old key */
    assert_int_equal(at.nrows, 2);
    struct mio_finding *f;
    size_t n;
    spill(w->dir, "state.jsonl", Z(""));
    assert_ok(err, mio_store_fsck(s, &w->arena, true, &f, &n, &err));
    mio_store_close(s);
    text = slurp(&w->arena, w->dir, "state.jsonl");
    assert_true(mio_is_sealed(text)); /* restored, and sealed under the new key */
    assert_int_equal(rows(w, &new), 2);
}

static void test_enforced(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source one = raw("k1", raw1);
    struct mio_seal_opts forced = {.keys = &one, .nkeys = 1, .enforced = true},
                         once = {.keys = &one, .nkeys = 1, .enforced = true, .accept_clear = true},
                         both = {.keys = &one, .nkeys = 1, .enforced = true, .write_clear = true},
                         away = {.keys = &one, .nkeys = 1, .write_clear = true};
    grow(w, NULL, "thing.a");
    assert_contains(load_fails(w, &forced, MIO_AUTH).message,
                    "in clear although sealing is enforced");
    grow(w, &once, "thing.b");
    assert_int_equal(rows(w, &forced), 2);
    struct mio_sealer *s;
    struct mio_err err = {0};
    assert_int_equal(mio_sealer_open(&both, &s, &err), MIO_USAGE);
    grow(w, &away, "thing.c");
    assert_int_equal(rows(w, NULL), 3);
}

static void test_sealed_journal(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source one = raw("k1", raw1);
    struct mio_seal_opts seal = {.keys = &one, .nkeys = 1, .enforced = true};
    struct mio_store *s = open_with(w, &seal);
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_err err = {0};
    struct mio_jrn_begin b = {.apply_id = Z("apply-secret")};
    load(s, &w->arena, &state);
    assert_ok(err, mio_store_begin(s, &state, &b, &j, &err));
    struct mio_jrn_intent i = {.op = 1, .address = Z("thing.secret"), .key = Z("secret-key")};
    i.target = record(&w->arena, "thing.secret", "");
    struct mio_record done = record(&w->arena, "thing.secret", "secret-id");
    assert_ok(err, mio_jrn_intent(j, &i, &err));
    mio_fault_setup("fsync:1:EIO"); /* what follows goes to the rescue file */
    i.op = 2;
    assert_int_equal(mio_jrn_intent(j, &i, &err), MIO_IO);
    err = (struct mio_err){0};
    assert_ok(err, mio_jrn_done(j, 1, &done, false, &err));
    mio_fault_setup(NULL);
    mio_jrn_close(j);
    mio_store_close(s);
    static const char *const files[] = {"journal", "journal.rescue"};
    for (size_t k = 0; k < 2; k++) {
        struct mio_str text = slurp(&w->arena, w->dir, files[k]);
        assert_true(text.n > 0);
        assert_null(memmem(text.p, text.n, "secret", 6));
    }
    struct mio_jrn_replay r;
    bool found;
    s = open_with(w, &seal);
    load(s, &w->arena, &state);
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_true(found);
    assert_int_equal(r.ops[0].outcome, MIO_OP_DONE);
    assert_true(mio_str_is(r.ops[0].result.id, "secret-id"));
    assert_ok(err, mio_store_reopen(s, &r, &j, &err));
    assert_ok(err, mio_jrn_recovered(j, 2, NULL, false, &err));
    mio_jrn_close(j);
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_int_equal(r.ops[1].outcome, MIO_OP_FAILED);
    struct mio_finding *f;
    size_t n;
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    char *copy = mio_arena_z(&w->arena, text);
    struct mio_frame first;
    assert_true(mio_frame_get(text, 0, &first));
    copy[first.bytes.n + 80] ^= 1; /* the intent of operation 1 */
    spill(w->dir, "journal", (struct mio_str){copy, text.n});
    assert_ok(err, mio_store_fsck(s, &w->arena, true, &f, &n, &err));
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    mio_store_close(s);

    spill(w->dir, "journal", Z("")); /* a journal in clear, planted */
    spill(w->dir, "journal.rescue", Z(""));
    s = open_with(w, NULL);
    struct mio_state clear;
    load(s, &w->arena, &clear);
    assert_ok(err, mio_store_drop_journal(s, &err));
    assert_ok(err, mio_store_begin(s, &clear, &b, &j, &err));
    assert_ok(err, mio_jrn_intent(j, &i, &err));
    mio_jrn_close(j);
    mio_store_close(s);
    s = open_with(w, &seal);
    assert_int_equal(mio_store_journal(s, &w->arena, &clear, &r, &found, &err), MIO_AUTH);
    assert_contains(err.message, "in clear although sealing is enforced");
    mio_store_close(s);
}

static void test_older_state_put_back_is_noticed(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source one = raw("k1", raw1);
    struct mio_seal_opts seal = {.keys = &one, .nkeys = 1};
    grow(w, &seal, "thing.a");
    grow(w, &seal, "thing.b");
    spill(w->dir, "state.jsonl", slurp(&w->arena, w->dir, "state.jsonl.1"));
    struct mio_err err = load_fails(w, &seal, MIO_STATE);
    assert_contains(err.message, "has seen serial 2");
    assert_contains(err.hint, "-accept-rollback");
    struct mio_store_opts o = {.dir = w->dir,
                               .stage = Z("dev"),
                               .seal = &seal,
                               .seen_dir = w->seen,
                               .accept_rollback = true};
    struct mio_store *s;
    struct mio_state state;
    err = (struct mio_err){0};
    assert_ok(err, mio_store_open(&o, &s, &err));
    load(s, &w->arena, &state);
    mio_store_close(s);
    assert_int_equal(rows(w, &seal), 1); /* said once, it holds */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_each_byte_flipped_is_refused),
        T(test_kind_and_key_matter),
        T(test_bad_keys),
        T(test_hostile_scrypt),
        T(test_store_is_sealed_and_rotated),
        T(test_enforced),
        T(test_sealed_journal),
        T(test_older_state_put_back_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
