/* tests/state/test_journal.c: intents durable before they are returned, replay of anything a kill
 * can leave. */
#include "providers/sdk/clock.h"
#include "state/frame.h"
#include "tests/state/journal_world.h"
#include <pthread.h>

static int setup(void **ctx)
{
    *ctx = world_make(false);
    return 0;
}

static enum mio_code intend(struct world *w, uint64_t op, const char *address, struct mio_err *err)
{
    struct mio_jrn_intent i = {.op = op,
                               .verb = MIO_JRN_CREATE,
                               .address = Z(address),
                               .deposed = Z(""),
                               .kind = Z("thing"),
                               .provider = Z("sim"),
                               .id = Z(""),
                               .key = Z("key"),
                               .create_class = 2,
                               .depose_key = Z("")};
    i.target = record(&w->arena, address, "");
    return mio_jrn_intent(w->j, &i, err);
}

static bool replay(struct world *w, struct mio_jrn_replay *r)
{
    struct mio_err err = {0};
    bool found;
    assert_ok(err, mio_store_journal(w->s, &w->arena, &w->state, r, &found, &err));
    return found;
}

static void test_replay_says_what_was_recorded(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_record done = record(&w->arena, "thing.b", "id-b");
    for (uint64_t op = 1; op <= 6; op++)
        assert_ok(err, intend(w, op, op == 2 ? "thing.b" : "thing.x[\"a\\\"b\"]", &err));
    assert_ok(err, mio_jrn_done(w->j, 2, &done, false, &err));
    assert_ok(err, mio_jrn_handle(w->j, 3, Z("{\"poll\":7}"), &err));
    assert_ok(err, mio_jrn_failed(w->j, 4, false, Z("409"), &err));
    assert_ok(err, mio_jrn_failed(w->j, 5, true, Z("reset"), &err));
    assert_ok(err, mio_jrn_done(w->j, 6, NULL, true, &err));
    killed(w);

    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 6);
    assert_true(mio_str_is(r.begin.apply_id, "apply-1") && !r.ended);
    assert_int_equal(r.ops[0].outcome, MIO_OP_OPEN);
    assert_int_equal(r.ops[1].outcome, MIO_OP_DONE);
    assert_true(r.ops[1].has_result && mio_str_is(r.ops[1].result.id, "id-b"));
    assert_true(mio_equal(r.ops[1].result.attributes, done.attributes));
    assert_int_equal(r.ops[2].outcome, MIO_OP_OPEN);
    assert_true(mio_str_is(r.ops[2].handle, "{\"poll\":7}"));
    assert_int_equal(r.ops[3].outcome, MIO_OP_FAILED);
    assert_int_equal(r.ops[4].outcome, MIO_OP_AMBIGUOUS);
    assert_int_equal(r.ops[5].outcome, MIO_OP_DONE);
    assert_false(r.ops[5].has_result);
    const struct mio_jrn_intent *i = &r.ops[0].intent;
    assert_true(mio_str_is(i->address, "thing.x[\"a\\\"b\"]") && mio_str_is(i->key, "key"));
    assert_int_equal(i->create_class, 2);
    assert_int_equal(i->verb, MIO_JRN_CREATE);
    assert_true(mio_str_eq(i->target.address, i->address) && i->target.schema_version == 3);
}

/* The lineage, the salt and with them the idempotency keys survive a first apply that wrote no
 * state. */
static void test_first_apply_keeps_salt_and_lineage(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_str salt = w->state.salt;
    assert_ok(err, intend(w, 1, "thing.a", &err));
    killed(w);
    assert_true(mio_str_eq(w->state.salt, salt));
    assert_int_equal(w->state.lineage.n, 36);
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_ok(err, mio_store_reopen(w->s, &r, &w->j, &err));
    struct mio_record done = record(&w->arena, "thing.a", "id-a");
    assert_ok(err, mio_jrn_recovered(w->j, 1, &done, true, &err));
    killed(w); /* in the middle of the recovery */
    assert_true(replay(w, &r));
    assert_int_equal(r.ops[0].outcome, MIO_OP_DONE);
    assert_ok(err, mio_store_reopen(w->s, &r, &w->j, &err));
    assert_ok(err, mio_state_put(&w->state, &r.ops[0].result, &err));
    struct mio_str lineage = r.begin.lineage;
    commit(w->s, &w->state);
    assert_true(mio_str_eq(w->state.lineage, lineage));
    assert_int_equal(w->state.epoch, 1); /* a take-over */
    killed(w);
    assert_false(replay(w, &r));
    assert_true(mio_str_eq(w->state.lineage, lineage) && mio_str_eq(w->state.salt, salt));
}

static void test_commit_drops_the_journal(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    assert_ok(err, intend(w, 1, "thing.a", &err));
    assert_true(mio_fs_exists(in(w->dir, "journal")));
    put(&w->state, "thing.a", "x");
    commit(w->s, &w->state);
    assert_false(mio_fs_exists(in(w->dir, "journal")));
}

/* Killed after the rename of the state and before the journal was removed. */
static void test_spent_journal_is_dropped(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_jrn_replay r;
    assert_ok(err, intend(w, 1, "thing.a", &err));
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    commit(w->s, &w->state);
    spill(w->dir, "journal", text);
    killed(w);
    assert_false(replay(w, &r));
    assert_false(mio_fs_exists(in(w->dir, "journal")));
}

static void refused(struct world *w, const char *words)
{
    struct mio_err err = {0};
    struct mio_jrn_replay r;
    bool found;
    assert_int_equal(mio_store_journal(w->s, &w->arena, &w->state, &r, &found, &err), MIO_STATE);
    assert_contains(err.message, words);
    assert_true(err.hint[0] != 0);
    assert_true(mio_fs_exists(in(w->dir, "journal")));
}

static void test_rolled_back_state_is_refused(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    put(&w->state, "thing.a", "x");
    commit(w->s, &w->state);
    struct mio_str old = slurp(&w->arena, w->dir, "state.jsonl");
    put(&w->state, "thing.b", "x");
    commit(w->s, &w->state);
    mio_jrn_close(w->j);
    world_begin(w, false);
    assert_ok(err, intend(w, 1, "thing.c", &err));
    spill(w->dir, "state.jsonl", old);
    killed(w);
    refused(w, "an older state was put back");
}

static void test_foreign_journal_is_refused(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    assert_ok(err, intend(w, 1, "thing.a", &err));
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    char other[64];
    scratch_make(other);
    struct mio_store *s = open_store(other, "dev");
    struct mio_state state;
    struct mio_jrn_replay r;
    bool found;
    load(s, &w->arena, &state);
    commit(s, &state);
    spill(other, "journal", text);
    assert_int_equal(mio_store_journal(s, &w->arena, &state, &r, &found, &err), MIO_STATE);
    assert_contains(err.message, "is of another state");
    struct mio_err again = {0}; /* and no commit may throw it away */
    assert_int_equal(mio_store_commit(s, &state, &again), MIO_STATE);
    mio_store_close(s);
    scratch_remove(other);
}

static void test_state_without_recovery_is_not_committed(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    assert_ok(err, intend(w, 1, "thing.a", &err));
    killed(w);
    assert_int_equal(mio_store_commit(w->s, &w->state, &err), MIO_STATE);
    assert_contains(err.message, "must be settled first");
    err = (struct mio_err){0};
    struct mio_jrn_begin b = {.apply_id = Z("2"), .plan_digest = Z(""), .tool_version = Z("")};
    struct mio_jrn *j;
    assert_int_equal(mio_store_begin(w->s, &w->state, &b, &j, &err), MIO_STATE);
    assert_true(mio_fs_exists(in(w->dir, "journal")));
}

/* Three intents, each durable when it returned, so three records follow B. */
static struct mio_str three(struct world *w, size_t ends[4])
{
    struct mio_err err = {0};
    for (uint64_t op = 1; op <= 3; op++)
        assert_ok(err, intend(w, op, "thing.a", &err));
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    struct mio_frame f;
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        assert_true(mio_frame_get(text, at, &f));
        ends[i] = at += f.bytes.n;
    }
    killed(w);
    return text;
}

/* Cut anywhere: what is whole before the cut is there, the rest was never sent. */
static void test_torn_at_each_byte(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[4];
    struct mio_str text = three(w, ends);
    struct mio_jrn_replay r;
    for (size_t n = 0; n <= ends[3]; n++) {
        struct mio_arena_mark m = mio_arena_mark(&w->arena);
        spill(w->dir, "journal", mio_str_sub(text, 0, n));
        bool found = replay(w, &r);
        size_t ops = n >= ends[3] ? 3 : n >= ends[2] ? 2 : n >= ends[1] ? 1 : 0;
        assert_int_equal(found, ops > 0);
        if (found) {
            assert_int_equal(r.n, ops);
            assert_int_equal(r.valid_bytes, ends[ops]);
        }
        assert_int_equal(mio_fs_exists(in(w->dir, "journal")), found);
        mio_arena_rewind(&w->arena, m);
    }
}

/* One bit flipped anywhere: before the last record it is damage and refused; in the last one it is
 * a torn tail. Never is a damaged record believed. */
static void test_each_byte_flipped(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[4];
    struct mio_str text = three(w, ends);
    char *copy = mio_arena_z(&w->arena, text);
    for (size_t i = 0; i < ends[3]; i++) {
        struct mio_arena_mark m = mio_arena_mark(&w->arena);
        copy[i] = (char)(text.p[i] ^ (1 << (i % 8)));
        spill(w->dir, "journal", (struct mio_str){copy, ends[3]});
        struct mio_jrn_replay r;
        if (i < ends[2]) {
            refused(w, "damaged although it had been written safely");
        } else {
            assert_true(replay(w, &r));
            assert_int_equal(r.n, 2);
        }
        copy[i] = text.p[i];
        mio_arena_rewind(&w->arena, m);
    }
}

/* A hole in the middle of what no sync had promised is no damage: group commit may leave it. */
static void test_hole_in_unsynced_tail(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    assert_ok(err, intend(w, 1, "thing.a", &err));
    for (int i = 0; i < 3; i++)
        assert_ok(err, mio_jrn_handle(w->j, 1, Z("{\"poll\":1}"), &err));
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    struct mio_frame f;
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(mio_frame_get(text, at, &f));
        at += f.bytes.n; /* B, I, first H */
    }
    char *copy = mio_arena_z(&w->arena, text);
    memset(copy + at, 0, f.bytes.n);
    killed(w);
    spill(w->dir, "journal", (struct mio_str){copy, text.n});
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_int_equal(r.valid_bytes, at);
    assert_true(mio_str_is(r.ops[0].handle, "{\"poll\":1}"));
}

/* Records of another journal do not pass for a continuation of this one. */
static void test_splice_is_seen(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[4];
    struct mio_str text = three(w, ends);
    struct mio_buf b = {0};
    struct mio_frame f;
    assert_true(mio_frame_get(text, ends[1], &f));
    mio_buf_str(&b, mio_str_sub(text, 0, ends[1]));
    uint8_t wrong[32] = {1};
    mio_frame_put(&b, 'I', 3, 1, wrong, f.payload);
    spill(w->dir, "journal", mio_buf_view(&b));
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 1);
    assert_int_equal(r.valid_bytes, ends[1]);
    mio_buf_free(&b);
}

static void test_reopen_chains_on(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[4];
    struct mio_err err = {0};
    struct mio_jrn_replay r;
    struct mio_str text = three(w, ends);
    spill(w->dir, "journal", mio_str_sub(text, 0, ends[3] - 3)); /* torn */
    assert_true(replay(w, &r));
    assert_ok(err, mio_store_reopen(w->s, &r, &w->j, &err));
    assert_ok(err, mio_jrn_recovered(w->j, 1, NULL, false, &err));
    assert_ok(err, mio_jrn_recovered(w->j, 2, NULL, true, &err));
    killed(w);
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 2);
    assert_int_equal(r.last_seq, 5);
    assert_int_equal(r.ops[0].outcome, MIO_OP_FAILED);
    assert_int_equal(r.ops[1].outcome, MIO_OP_DONE);
}

/* A failed write or sync: no new intent, and every result is kept all the same. */
static void test_poisoned(void **ctx)
{
    struct world *w = *ctx;
    static const char *const specs[] = {"write:1+:ENOSPC", "fsync:1:EIO", "fsync:1+:EIO"};
    for (size_t i = 0; i < 3; i++) {
        struct mio_err err = {0};
        struct mio_record done = record(&w->arena, "thing.a", "id-a"),
                          late = record(&w->arena, "thing.b", "id-b");
        assert_ok(err, intend(w, 1, "thing.a", &err));
        assert_ok(err, intend(w, 2, "thing.b", &err));
        assert_ok(err,
                  mio_jrn_done(w->j, 1, &done, false, &err)); /* rides on the sync that fails */
        mio_fault_setup(specs[i]);
        assert_int_equal(intend(w, 3, "thing.c", &err), MIO_IO);
        assert_contains(err.message, "journal can no longer be written");
        assert_true(mio_jrn_poisoned(w->j));
        if (i == 1) /* the second place is in order: what may be lost is there at once */
            assert_true(mio_fs_exists(in(w->dir, "journal.rescue")));
        if (i != 1)
            mio_fault_setup(NULL); /* the second place is in order again */
        struct mio_err again = {0};
        assert_int_equal(intend(w, 4, "thing.d", &again), MIO_IO);
        again = (struct mio_err){0};
        assert_ok(again, mio_jrn_done(w->j, 2, &late, false, &again));
        assert_true(mio_fs_exists(in(w->dir, "journal.rescue")));
        struct mio_str safe =
            slurp(&w->arena, w->dir, "journal"); /* what was not synced may be lost */
        struct mio_frame f;
        size_t at = 0;
        for (int k = 0; k < 3; k++) {
            assert_true(mio_frame_get(safe, at, &f));
            at += f.bytes.n;
        }
        killed(w);
        spill(w->dir, "journal", mio_str_sub(safe, 0, at));
        struct mio_jrn_replay r;
        assert_true(replay(w, &r));
        assert_int_equal(r.n, 2);
        assert_int_equal(r.ops[0].outcome, MIO_OP_DONE);
        assert_int_equal(r.ops[1].outcome, MIO_OP_DONE);
        assert_true(mio_str_is(r.ops[1].result.id, "id-b"));
        struct mio_err drop = {0};
        assert_ok(drop, mio_store_drop_journal(w->s, &drop));
        assert_false(mio_fs_exists(in(w->dir, "journal.rescue")));
        world_begin(w, false);
    }
}

static void test_unstorable_target_is_refused(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    struct mio_jrn_intent i = {
        .op = 1, .address = Z("thing.a"), .target = record(&w->arena, "thing.a", "")};
    i.target.attributes = mio_unknown(MIO_MAP); /* that is how a create begins */
    assert_ok(err, mio_jrn_intent(w->j, &i, &err));
    i.target.inputs = mio_sensitive(mio_string_z("hunter2"));
    assert_int_equal(mio_jrn_intent(w->j, &i, &err), MIO_BUG);
    assert_false(mio_jrn_poisoned(w->j));
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    assert_null(memmem(text.p, text.n, "hunter2", 7));
}

struct worker {
    struct world *w;
    uint64_t first;
    int failed;
};
enum { WORKERS = 8, EACH = 60 };

static void *work(void *arg)
{
    struct worker *k = arg;
    struct mio_arena a;
    mio_arena_init(&a);
    for (uint64_t n = 0; n < EACH; n++) {
        struct mio_err err = {0};
        uint64_t op = k->first + n;
        struct mio_jrn_intent i = {
            .op = op, .verb = MIO_JRN_CREATE, .address = Z("thing.a"), .key = Z("k")};
        struct mio_record done = record(&a, "thing.a", "id");
        k->failed += mio_jrn_intent(k->w->j, &i, &err) != MIO_OK;
        k->failed += mio_jrn_done(k->w->j, op, &done, n % 16 == 0, &err) != MIO_OK;
    }
    mio_arena_free(&a);
    return NULL;
}

static void test_workers_share_syncs(void **ctx)
{
    struct world *w = *ctx;
    pthread_t t[WORKERS];
    struct worker k[WORKERS];
    for (uint64_t i = 0; i < WORKERS; i++) {
        k[i] = (struct worker){w, i * EACH + 1, 0};
        assert_int_equal(pthread_create(&t[i], NULL, work, &k[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(k[i].failed, 0);
    }
    uint64_t records, syncs;
    mio_jrn_counts(w->j, &records, &syncs);
    assert_int_equal(records, 1 + 2 * WORKERS * EACH);
    assert_true(syncs < WORKERS * EACH); /* fewer than one an operation */
    killed(w);
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_int_equal(r.n, WORKERS * EACH);
    for (size_t i = 0; i < r.n; i++) {
        assert_int_equal(r.ops[i].intent.op, i + 1);
        assert_int_equal(r.ops[i].outcome, MIO_OP_DONE);
    }
}

/* The disk fails while eight workers are at it: each either has its record or knows that it has
 * not. */
static void test_workers_and_a_failing_disk(void **ctx)
{
    struct world *w = *ctx;
    pthread_t t[WORKERS];
    struct worker k[WORKERS];
    mio_fault_setup("fsync:20:EIO");
    for (uint64_t i = 0; i < WORKERS; i++) {
        k[i] = (struct worker){w, i * EACH + 1, 0};
        assert_int_equal(pthread_create(&t[i], NULL, work, &k[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(t[i], NULL);
    assert_true(mio_jrn_poisoned(w->j));
}

static void test_key(void **ctx)
{
    (void)ctx;
    char a[27], b[27];
    mio_jrn_key(Z("salt"), Z("lineage"), 7, Z("thing.a"), MIO_JRN_CREATE, 1, a);
    mio_jrn_key(Z("salt"), Z("lineage"), 7, Z("thing.a"), MIO_JRN_CREATE, 1, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 26);
    assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz234567"), 26);
    static const struct {
        const char *salt, *lineage, *address;
        uint64_t serial;
        enum mio_jrn_verb verb;
        uint32_t gen;
    } other[] = {
        {"sal", "lineage", "thing.a", 7, MIO_JRN_CREATE, 1},
        {"salt", "lineagf", "thing.a", 7, MIO_JRN_CREATE, 1},
        {"salt", "lineage", "thing.b", 7, MIO_JRN_CREATE, 1},
        {"salt", "lineage", "thing.a", 8, MIO_JRN_CREATE, 1},
        {"salt", "lineage", "thing.a", 7, MIO_JRN_DELETE, 1},
        {"salt", "lineage", "thing.a", 7, MIO_JRN_CREATE, 2},
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        mio_jrn_key(Z(other[i].salt), Z(other[i].lineage), other[i].serial, Z(other[i].address),
                    other[i].verb, other[i].gen, b);
        assert_string_not_equal(a, b);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_replay_says_what_was_recorded),
        T(test_first_apply_keeps_salt_and_lineage),
        T(test_commit_drops_the_journal),
        T(test_spent_journal_is_dropped),
        T(test_rolled_back_state_is_refused),
        T(test_foreign_journal_is_refused),
        T(test_state_without_recovery_is_not_committed),
        T(test_torn_at_each_byte),
        T(test_each_byte_flipped),
        T(test_hole_in_unsynced_tail),
        T(test_splice_is_seen),
        T(test_reopen_chains_on),
        T(test_poisoned),
        T(test_unstorable_target_is_refused),
        T(test_workers_share_syncs),
        T(test_workers_and_a_failing_disk),
        T(test_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
