/* tests/state/test_fsck.c: older states and their difference; damage found, named and mended. */
#include "state/frame.h"
#include "state/fsck.h"
#include "tests/state/support.h"

struct world {
    char dir[64];
    struct mio_arena arena;
    struct mio_store *s;
};

static int setup(void **ctx)
{
    struct world *w = calloc(1, sizeof *w);
    scratch_make(w->dir);
    mio_arena_init(&w->arena);
    w->s = open_store(w->dir, "dev");
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_store_close(w->s);
    scratch_remove(w->dir);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

static void grow(struct world *w, const char *address)
{
    struct mio_state state;
    load(w->s, &w->arena, &state);
    put(&state, address, "x");
    commit(w->s, &state);
}

/* The finding about `what` of at least that level; NULL when there is none. */
static const struct mio_finding *look(struct world *w, bool repair, const char *what,
                                      enum mio_finding_level level)
{
    struct mio_finding *f;
    size_t n;
    struct mio_err err = {0};
    assert_ok(err, mio_store_fsck(w->s, &w->arena, repair, &f, &n, &err));
    for (size_t i = 0; i < n; i++)
        if (mio_str_is(f[i].what, what) && f[i].level >= level)
            return &f[i];
    return NULL;
}

static bool damaged(struct world *w)
{
    struct mio_finding *f;
    size_t n;
    struct mio_err err = {0};
    assert_ok(err, mio_store_fsck(w->s, &w->arena, false, &f, &n, &err));
    for (size_t i = 0; i < n; i++)
        if (f[i].level == MIO_FINDING_DAMAGE)
            return true;
    return false;
}

static void test_at_and_diff(void **ctx)
{
    struct world *w = *ctx;
    struct mio_state state, one, three;
    struct mio_err err = {0};
    grow(w, "thing.a");
    grow(w, "thing.b");
    load(w->s, &w->arena, &state);
    put(&state, "thing.a", "changed");
    put(&state, "thing.c", "x");
    assert_true(mio_state_remove(&state, Z("thing.b"), Z("")));
    commit(w->s, &state);
    assert_ok(err, mio_store_at(w->s, &w->arena, 2, &one, &err));
    assert_ok(err, mio_store_at(w->s, &w->arena, 3, &three, &err));
    struct mio_row_diff *d;
    size_t n;
    mio_state_diff(&w->arena, &one, &three, &d, &n);
    assert_int_equal(n, 3);
    assert_true(mio_str_is(d[0].from->id, "x") && mio_str_is(d[0].to->id, "changed"));
    assert_true(mio_str_is(d[1].from->address, "thing.b") && !d[1].to);
    assert_true(!d[2].from && mio_str_is(d[2].to->address, "thing.c"));
    mio_state_diff(&w->arena, &three, &three, &d, &n);
    assert_int_equal(n, 0);
    assert_int_equal(mio_store_at(w->s, &w->arena, 9, &one, &err), MIO_USAGE);
    assert_contains(err.hint, "Kept are: 3, 2, 1.");
}

static void test_nothing_wrong(void **ctx)
{
    struct world *w = *ctx;
    assert_false(damaged(w)); /* an empty folder */
    grow(w, "thing.a");
    grow(w, "thing.b");
    assert_false(damaged(w));
    assert_non_null(look(w, false, "state.jsonl.1", MIO_FINDING_NOTE));
    assert_null(look(w, false, "state", MIO_FINDING_WARNING));
}

static void test_damaged_state_is_restored(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    grow(w, "thing.b");
    grow(w, "thing.c");
    struct mio_str text = slurp(&w->arena, w->dir, "state.jsonl");
    spill(w->dir, "state.jsonl", mio_str_sub(text, 0, text.n - 7));
    spill(w->dir, "state.jsonl.1", Z("")); /* the youngest generation is no good either */
    const struct mio_finding *f = look(w, false, "state", MIO_FINDING_DAMAGE);
    assert_non_null(f);
    assert_true(f->mendable && !f->mended);
    assert_contains(f->remedy.p, "a repair restores state.jsonl.2 (serial 1");
    struct mio_str after = slurp(&w->arena, w->dir, "state.jsonl");
    assert_int_equal(after.n, text.n - 7); /* looking changes nothing */

    f = look(w, true, "state", MIO_FINDING_DAMAGE);
    assert_true(f && f->mended);
    struct mio_state state;
    load(w->s, &w->arena, &state);
    assert_int_equal(state.nrows, 1);
    assert_int_equal(state.serial, 1);
    assert_false(damaged(w));
    grow(w, "thing.d"); /* and life goes on */
}

static void test_missing_state_is_restored(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    grow(w, "thing.b");
    assert_int_equal(unlink(in(w->dir, "state.jsonl")), 0);
    const struct mio_finding *f = look(w, true, "state", MIO_FINDING_DAMAGE);
    assert_true(f && f->mended);
    struct mio_state state;
    load(w->s, &w->arena, &state);
    assert_int_equal(state.nrows, 1);
}

static void test_no_good_generation(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    spill(w->dir, "state.jsonl", Z("{}"));
    const struct mio_finding *f = look(w, true, "state", MIO_FINDING_DAMAGE);
    assert_true(f && !f->mendable && !f->mended);
    assert_contains(f->remedy.p, "backup");
}

/* A journal with intents 1 to 3 of which 2 is done, after a state of serial 1. */
static struct mio_str interrupted(struct world *w, size_t ends[6])
{
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_err err = {0};
    struct mio_jrn_begin b = {.apply_id = Z("apply-1")};
    grow(w, "thing.a");
    grow(w, "thing.b");
    load(w->s, &w->arena, &state);
    assert_ok(err, mio_store_begin(w->s, &state, &b, &j, &err));
    for (uint64_t op = 1; op <= 3; op++) {
        struct mio_jrn_intent i = {.op = op, .address = Z("thing.n"), .kind = Z("thing")};
        i.target = record(&w->arena, "thing.n", "");
        assert_ok(err, mio_jrn_intent(j, &i, &err));
        struct mio_record done = record(&w->arena, "thing.n", "made");
        if (op == 2)
            assert_ok(err, mio_jrn_done(j, op, &done, true, &err));
    }
    mio_jrn_close(j);
    mio_store_close(w->s);
    w->s = open_store(w->dir, "dev");
    struct mio_str text = slurp(&w->arena, w->dir, "journal");
    struct mio_frame f;
    size_t at = 0;
    for (int i = 0; i < 5; i++) { /* B I1 I2 D2 I3 */
        ends[i] = at;
        assert_true(mio_frame_get(text, at, &f));
        at += f.bytes.n;
    }
    ends[5] = at;
    return text;
}

static bool replay(struct world *w, struct mio_jrn_replay *r)
{
    struct mio_err err = {0};
    struct mio_state state;
    bool found;
    load(w->s, &w->arena, &state);
    assert_ok(err, mio_store_journal(w->s, &w->arena, &state, r, &found, &err));
    return found;
}

static void test_unfinished_journal_is_no_damage(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[6];
    interrupted(w, ends);
    assert_false(damaged(w));
    const struct mio_finding *f = look(w, true, "journal", MIO_FINDING_NOTE);
    assert_contains(f->message.p, "3 operations, 2 open");
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
}

/* Each record of the journal lost in turn: what is whole is kept, and no object that is known to
 * exist is lost. */
static void test_damaged_journal_is_made_anew(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[6];
    struct mio_str text = interrupted(w, ends);
    for (int hit = 0; hit < 4; hit++) {
        char *copy = mio_arena_z(&w->arena, text);
        copy[ends[hit] + 70] ^= 1;
        spill(w->dir, "journal", (struct mio_str){copy, text.n});
        const struct mio_finding *f = look(w, false, "journal", MIO_FINDING_DAMAGE);
        assert_true(f && f->mendable && !f->mended);
        f = look(w, true, "journal", MIO_FINDING_DAMAGE);
        assert_true(f && f->mended);
        assert_false(damaged(w));
        struct mio_jrn_replay r;
        assert_true(replay(w, &r));
        assert_int_equal(r.n, hit == 1 ? 2 : 3);
        const struct mio_jrn_op *two = &r.ops[hit == 1 ? 0 : 1];
        assert_int_equal(two->intent.op, 2);
        assert_int_equal(two->outcome, hit == 3 ? MIO_OP_OPEN : MIO_OP_DONE);
        assert_true(hit == 3 || mio_str_is(two->result.id, "made"));
    }
    struct mio_str *names;
    size_t n, aside = 0;
    struct mio_err err = {0};
    assert_ok(err, mio_fs_list(&w->arena, w->dir, &names, &n, &err));
    for (size_t i = 0; i < n; i++)
        aside += mio_str_starts(names[i], "journal.damaged-");
    assert_true(aside >= 1);
}

/* The state and the journal of a killed apply: the restored state is not older than the journal. */
static void test_restored_state_goes_with_its_journal(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[6];
    interrupted(w, ends);
    spill(w->dir, "state.jsonl", Z("")); /* serial 2; generation 1 has serial 1 */
    const struct mio_finding *f = look(w, true, "state", MIO_FINDING_DAMAGE);
    assert_true(f && f->mended);
    struct mio_jrn_replay r;
    assert_true(replay(w, &r));
    assert_int_equal(r.n, 3);
}

static void test_rolled_back_is_named(void **ctx)
{
    struct world *w = *ctx;
    size_t ends[6];
    interrupted(w, ends);
    struct mio_str old = slurp(&w->arena, w->dir, "state.jsonl.1");
    spill(w->dir, "state.jsonl", old);
    const struct mio_finding *f = look(w, true, "journal", MIO_FINDING_DAMAGE);
    assert_true(f && !f->mendable);
    assert_contains(f->message.p, "an older state was put back");
}

static void test_edited_history_is_named(void **ctx)
{
    struct world *w = *ctx;
    struct mio_history h = {.operation = Z("apply"), .added = 2};
    struct mio_err err = {0};
    for (int i = 0; i < 2; i++)
        assert_ok(err, mio_store_history_add(w->s, &h, &err));
    assert_null(look(w, false, "history", MIO_FINDING_WARNING));
    struct mio_str text = slurp(&w->arena, w->dir, "history.jsonl");
    char *edited = mio_arena_z(&w->arena, text);
    memcpy(strstr(edited, "\"added\":2"), "\"added\":7", 9);
    spill(w->dir, "history.jsonl", (struct mio_str){edited, text.n});
    assert_non_null(look(w, false, "history", MIO_FINDING_WARNING));
}

static void test_repair_wants_the_lock(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *other = open_store(w->dir, "dev");
    struct mio_err err = {0};
    struct mio_finding *f;
    size_t n;
    assert_ok(err, mio_store_lock(other, "apply", 0, NULL, &err));
    assert_int_equal(mio_store_fsck(w->s, &w->arena, true, &f, &n, &err), MIO_LOCKED);
    mio_store_close(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_at_and_diff),
        T(test_nothing_wrong),
        T(test_damaged_state_is_restored),
        T(test_missing_state_is_restored),
        T(test_no_good_generation),
        T(test_unfinished_journal_is_no_damage),
        T(test_damaged_journal_is_made_anew),
        T(test_restored_state_goes_with_its_journal),
        T(test_rolled_back_is_named),
        T(test_edited_history_is_named),
        T(test_repair_wants_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
