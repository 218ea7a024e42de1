/* tests/state/test_durability.c: a lazy journal: planned creates are durable together, intents of
 * theirs wait for nothing, and what a stopped machine may have lost is told from what was never
 * sent. */
#include "providers/sdk/digest.h"
#include "state/frame.h"
#include "tests/state/journal_world.h"

static int setup(void **ctx)
{
    *ctx = world_make(true);
    return 0;
}

static struct mio_jrn_intent intent(struct world *w, uint64_t op, bool planned)
{
    struct mio_jrn_intent i = {.op = op,
                               .address = Z("thing.a"),
                               .kind = Z("thing"),
                               .provider = Z("sim"),
                               .key = Z("key"),
                               .create_class = 2,
                               .planned = planned};
    i.target = record(&w->arena, "thing.a", "");
    return i;
}

/* Three planned creates, durable. */
static void plan(struct world *w)
{
    struct mio_err err = {0};
    for (uint64_t op = 1; op <= 3; op++) {
        struct mio_jrn_intent i = intent(w, op, true);
        assert_ok(err, mio_jrn_plan(w->j, &i, &err));
    }
    assert_ok(err, mio_jrn_sync(w->j, &err));
}

static uint64_t syncs(struct world *w)
{
    uint64_t records, n;
    mio_jrn_counts(w->j, &records, &n);
    return n;
}

static void begin_op(struct world *w, uint64_t op, bool planned)
{
    struct mio_err err = {0};
    struct mio_jrn_intent i = intent(w, op, planned);
    assert_ok(err, mio_jrn_intent(w->j, &i, &err));
}

static bool replay(struct world *w, struct mio_jrn_replay *r)
{
    struct mio_err err = {0};
    bool found;
    assert_ok(err, mio_store_journal(w->s, &w->arena, &w->state, r, &found, &err));
    return found;
}

/* The journal as a machine that has been started anew since finds it: `n` records of it. */
static void stopped(struct world *w, size_t n)
{
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    MIO_AUTO_BUF out = {0};
    uint8_t prev[32] = {0};
    struct mio_frame f;
    size_t at = 0;
    for (uint64_t seq = 1; seq <= n && mio_frame_get(text, at, &f); seq++, at += f.bytes.n) {
        struct mio_str payload = f.payload;
        if (f.type == 'B') {
            char *copy = mio_arena_z(&w->arena, f.payload);
            char *place = strstr(copy, "\"boot\":\"");
            assert_non_null(place);
            place[8] = place[8] == 'f' ? '0' : 'f';
            payload = (struct mio_str){copy, f.payload.n};
        }
        size_t from = out.n;
        mio_frame_put(&out, f.type, seq, 0, prev, payload);
        mio_sha256_of(out.p + from, out.n - from, prev);
    }
    spill(w->dir, "journal", mio_buf_view(&out));
}

static void test_one_sync_for_all(void **ctx)
{
    struct world *w = *ctx;
    uint64_t before = syncs(w);
    plan(w);
    assert_int_equal(syncs(w), before + 1);
    for (uint64_t op = 1; op <= 3; op++)
        begin_op(w, op, true);
    assert_int_equal(syncs(w), before + 1);
    begin_op(w, 4, false); /* one that was not planned waits for its own */
    assert_int_equal(syncs(w), before + 2);
}

static void test_same_machine(void **ctx)
{
    struct world *w = *ctx;
    struct mio_jrn_replay r;
    plan(w);
    begin_op(w, 2, true);
    killed(w);
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 1); /* the others were not sent */
    assert_int_equal(r.ops[0].intent.op, 2);
    assert_int_equal(r.ops[0].outcome, MIO_OP_OPEN);
}

static void test_nothing_was_sent(void **ctx)
{
    struct world *w = *ctx;
    struct mio_jrn_replay r;
    plan(w);
    killed(w);
    assert_false(replay(w, &r));
    assert_false(mio_fs_exists(in(w->dir, "journal")));
}

static void test_started_anew(void **ctx)
{
    struct world *w = *ctx;
    struct mio_jrn_replay r;
    plan(w);
    begin_op(w, 2, true);
    killed(w);
    stopped(w, 5);
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 3);
    assert_int_equal(r.ops[0].outcome, MIO_OP_PLANNED);
    assert_int_equal(r.ops[1].outcome, MIO_OP_OPEN);
    assert_int_equal(r.ops[2].outcome, MIO_OP_PLANNED);
    assert_true(mio_str_is(r.ops[2].intent.key, "key"));
    stopped(w, 4); /* its intent is lost */
    assert_true(replay(w, &r));
    assert_int_equal(r.ops[1].outcome, MIO_OP_PLANNED);
}

/* The lock was taken while we slept, and the journal settled: nothing more is sent. */
static void test_taken_over(void **ctx)
{
    struct world *w = *ctx;
    struct mio_err err = {0};
    plan(w);
    begin_op(w, 1, true);
    assert_int_equal(unlink(in(w->dir, "journal")), 0);
    struct mio_jrn_intent i = intent(w, 2, true);
    assert_int_equal(mio_jrn_intent(w->j, &i, &err), MIO_IO);
    assert_contains(err.cause, "another run has taken over");
    assert_true(mio_jrn_poisoned(w->j));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_one_sync_for_all), T(test_same_machine), T(test_nothing_was_sent),
        T(test_started_anew),     T(test_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
