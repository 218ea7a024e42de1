/* tests/state/backends/conformance.c: what every backend must do, run against a real server.
 *
 * MIO_BACKEND: JSON of its settings, @ standing for a name that each test gets for itself.
 * MIO_BUILD: where the shared objects are. Started by run.py, which starts the server. */
#include "providers/sdk/clock.h"
#include "state/fsck.h"
#include "state/store_impl.h"
#include "tests/state/support.h"
#include <sys/wait.h>

struct world {
    char dir[64];
    struct mio_arena arena;
    struct mio_value config;
    char backends[512];
    struct mio_seal_opts *seal;
};

static bool journal_is_remote;

static int setup(void **ctx)
{
    static int number;
    struct world *w = calloc(1, sizeof *w);
    char name[64];
    MIO_AUTO_BUF text = {0};
    scratch_make(w->dir);
    mio_arena_init(&w->arena);
    snprintf(name, sizeof name, "t%ld-%d", (long)getpid(), ++number);
    for (const char *p = getenv("MIO_BACKEND"); *p; p++) {
        if (*p == '@')
            mio_buf_z(&text, name);
        else
            mio_buf_char(&text, *p);
    }
    w->config = json(&w->arena, text.p);
    snprintf(w->backends, sizeof w->backends, "%s/lib/mlops-iac/backends", getenv("MIO_BUILD"));
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    scratch_remove(w->dir);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

static enum mio_code try_open(struct world *w, struct mio_store **s, struct mio_err *err)
{
    struct mio_store_opts o = {.dir = w->dir,
                               .stage = Z("dev"),
                               .create = true,
                               .backend = w->config,
                               .backend_dir = w->backends,
                               .seal = w->seal};
    return mio_store_open(&o, s, err);
}

static struct mio_store *open_it(struct world *w)
{
    struct mio_store *s;
    struct mio_err err = {0};
    assert_ok(err, try_open(w, &s, &err));
    return s;
}

static void grow(struct world *w, const char *address)
{
    struct mio_store *s = open_it(w);
    struct mio_state state;
    load(s, &w->arena, &state);
    put(&state, address, "x");
    commit(s, &state);
    mio_store_close(s);
}

static void test_probe(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_err err = {0};
    assert_ok(err, mio_store_probe(s, &err));
    mio_store_close(s);
    grow(w, "thing.a");
    s = open_it(w);
    assert_ok(err, mio_store_probe(s, &err)); /* with a state there */
    struct mio_state state;
    load(s, &w->arena, &state);
    assert_int_equal(state.nrows, 1);
    assert_true(mio_store_warning(s) == NULL || getenv("MIO_UNSAFE"));
    mio_store_close(s);
}

/* A store that ignores preconditions is refused before anything is in it. */
static void test_blind(void **ctx)
{
    struct mio_store *s = open_it(*ctx);
    struct mio_err err = {0};
    assert_int_equal(mio_store_probe(s, &err), MIO_STATE);
    assert_contains(err.message, "does not compare before it writes");
    mio_store_close(s);
}

/* A store without room says so, and what makes room; what was said to be written stays. */
static void test_full(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_state state;
    struct mio_err err = {0};
    load(s, &w->arena, &state);
    for (int i = 0; i < 600 && err.code == MIO_OK; i++) {
        put(&state, mio_arena_printf(&w->arena, "thing.t[%d]", i).p, "x");
        (void)mio_store_commit(s, &state, &err);
    }
    assert_int_equal(err.code, MIO_IO);
    assert_contains(err.hint, "compact");
    uint64_t serial = state.serial;
    mio_store_close(s);
    s = open_it(w);
    load(s, &w->arena, &state);
    assert_int_equal(state.serial, serial);
    mio_store_close(s);
}

static void test_write_and_read(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_state state, back;
    load(s, &w->arena, &state);
    assert_int_equal(state.serial, 0);
    for (int i = 0; i < 6000;
         i++) /* some megabytes: more than one etcd value or one TCP window holds */
        put(&state, mio_arena_printf(&w->arena, "thing.t[%d]", i).p, "\xc3\xa4\"x");
    commit(s, &state);
    put(&state, "thing.more", "x");
    commit(s, &state);
    assert_int_equal(state.serial, 2);
    mio_store_close(s);
    s = open_it(w);
    load(s, &w->arena, &back);
    assert_int_equal(back.nrows, 6001);
    assert_int_equal(back.serial, 2);
    assert_true(mio_str_eq(back.digest, state.digest) && mio_str_eq(back.lineage, state.lineage));
    assert_true(mio_state_remove(&back, Z("thing.more"), Z("")));
    commit(s, &back);
    mio_store_close(s);
    s = open_it(w);
    load(s, &w->arena, &back);
    assert_int_equal(back.nrows, 6000);
    mio_store_close(s);
}

static void test_second_writer_loses(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *first = open_it(w), *second = open_it(w);
    struct mio_state a, b;
    struct mio_err err = {0};
    load(first, &w->arena, &a);
    load(second, &w->arena, &b);
    put(&a, "thing.a", "x");
    put(&b, "thing.b", "x");
    commit(first, &a);
    assert_int_equal(mio_store_commit(second, &b, &err), MIO_STATE); /* the first write of all */
    assert_contains(err.message, "changed by someone else");
    load(second, &w->arena, &b);
    put(&a, "thing.a2", "x");
    commit(first, &a);
    put(&b, "thing.b", "x");
    err = (struct mio_err){0};
    assert_int_equal(mio_store_commit(second, &b, &err), MIO_STATE); /* and a later one */
    mio_store_close(first);
    mio_store_close(second);
    first = open_it(w);
    load(first, &w->arena, &a);
    assert_int_equal(a.nrows, 2);
    assert_null(mio_state_find(&a, Z("thing.b"), Z("")));
    mio_store_close(first);
}

static void test_lock(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *holder = open_it(w), *other = open_it(w);
    struct mio_err err = {0};
    assert_ok(err, mio_store_lock(holder, "apply", 0, NULL, &err));
    int64_t from = mio_now_ms();
    assert_int_equal(mio_store_lock(other, "plan", 200, NULL, &err), MIO_LOCKED);
    assert_true(mio_now_ms() - from >= 150);
    assert_contains(err.message, "`apply`");
    assert_contains(err.hint, "force-unlock ");
    assert_null(strstr(err.hint, "No process"));
    mio_store_unlock(holder);
    err = (struct mio_err){0};
    assert_ok(err, mio_store_lock(other, "plan", 5000, NULL, &err));
    mio_store_close(other);
    assert_ok(err, mio_store_lock(holder, "apply", 5000, NULL, &err));
    mio_store_close(holder);
}

static void test_lock_of_a_dead_holder(void **ctx)
{
    struct world *w = *ctx;
    pid_t pid = fork();
    if (pid == 0) {
        struct mio_err err = {0};
        _exit(mio_store_lock(open_it(w), "apply", 0, NULL, &err)); /* and is gone without a word */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct mio_store *s = open_it(w);
    struct mio_err err = {0};
    assert_int_equal(mio_store_lock(s, "plan", 0, NULL, &err), MIO_LOCKED);
    const char *id = strstr(err.message, "lock id ");
    assert_non_null(id);
    char gone[64];
    snprintf(gone, sizeof gone, "No process %ld is seen from here", (long)pid);
    assert_contains(err.hint, gone);
    assert_contains(err.hint, id + 8);
    struct mio_err wrong = {0};
    assert_int_equal(mio_store_force_unlock(s, Z("nonsense"), &wrong), MIO_USAGE);
    wrong = (struct mio_err){0};
    assert_ok(wrong, mio_store_force_unlock(s, Z(id + 8), &wrong));
    assert_int_equal(mio_store_force_unlock(s, Z(id + 8), &wrong), MIO_USAGE);
    wrong = (struct mio_err){0};
    assert_ok(wrong, mio_store_lock(s, "plan", 0, NULL, &wrong));
    mio_store_close(s);
}

/* A store that takes half a request for a whole one has the lock, and half of its note. */
static void test_lock_without_a_note(void **ctx)
{
    static const char *const notes[] = {"{\"id\": \"01", ""};
    struct world *w = *ctx;
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        struct mio_store *torn = open_it(w), *s = open_it(w);
        struct mio_str held;
        struct mio_err err = {0};
        assert_ok(err, torn->b->ops->lock(torn->b, Z(notes[i]), &w->arena, &held, &err));
        assert_int_equal(mio_store_lock(s, "plan", 0, NULL, &err), MIO_LOCKED);
        assert_contains(err.message, "no readable note");
        assert_contains(err.hint, "force-unlock unreadable");
        err = (struct mio_err){0};
        assert_ok(err, mio_store_force_unlock(s, Z("unreadable"), &err));
        assert_ok(err, mio_store_lock(s, "plan", 0, NULL, &err));
        mio_store_close(s);
        mio_store_close(torn);
    }
}

/* The note of a lock that is being given back is there or not, never half: nobody waits for the
 * rest of it. */
static void test_lock_in_turns(void **ctx)
{
    enum { TURNS = 60, PROMPT_MS = 30000, AWAY_MS = 50 };
    struct world *w = *ctx;
    pid_t pid = fork();
    struct mio_err err = {0};
    if (pid == 0) {
        struct mio_store *s = open_it(w);
        for (int i = 0; i < TURNS; i++) {
            if (mio_store_lock(s, "apply", 60000, NULL, &err))
                _exit(1);
            mio_store_unlock(s);
        }
        _exit(0);
    }
    struct mio_store *s = open_it(w);
    int status = -1;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t from = mio_now_ms();
        err = (struct mio_err){0};
        enum mio_code rc = mio_store_lock(s, "plan", 0, NULL, &err);
        mio_store_unlock(s);
        assert_true(rc == MIO_OK || rc == MIO_LOCKED);
        assert_in_range(mio_now_ms() - from, 0, PROMPT_MS);
        if (rc == MIO_OK) /* who is always back at once leaves the other one waiting for ever */
            mio_sleep_ms(AWAY_MS);
    }
    assert_int_equal(status, 0);
    mio_store_close(s);
}

/* Azure: the lock is a lease. It is renewed as long as its holder lives, and ends with it. */
static void test_lease(void **ctx)
{
    enum { HELD_MS = 20000 };
    struct world *w = *ctx;
    struct mio_err err = {0};
    pid_t pid = fork();
    if (pid == 0) {
        if (mio_store_lock(open_it(w), "apply", 0, NULL, &err))
            _exit(1);
        mio_sleep_ms(HELD_MS); /* longer than a lease lasts */
        _exit(0);
    }
    struct mio_store *s = open_it(w);
    mio_sleep_ms(HELD_MS - 2000);
    assert_int_equal(mio_store_lock(s, "plan", 0, NULL, &err), MIO_LOCKED);
    assert_contains(err.message, "`apply`");
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    err = (struct mio_err){0};
    assert_int_equal(mio_store_lock(s, "plan", 0, NULL, &err), MIO_LOCKED);
    assert_contains(err.hint, "ends by itself within 60 s");
    err = (struct mio_err){0};
    assert_ok(err, mio_store_lock(s, "plan", 20000, NULL, &err));
    mio_store_close(s);
}

static enum mio_code intend(struct world *w, struct mio_jrn *j, uint64_t op, struct mio_err *err)
{
    struct mio_jrn_intent i = {
        .op = op, .address = Z("thing.n"), .kind = Z("thing"), .key = Z("k")};
    i.target = record(&w->arena, "thing.n", "");
    return mio_jrn_intent(j, &i, err);
}

static void test_journal_survives_and_is_dropped(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_err err = {0};
    struct mio_jrn_begin b = {.apply_id = Z("a1")};
    struct mio_jrn_replay r;
    bool found;
    grow(w, "thing.a");
    load(s, &w->arena, &state);
    assert_ok(err, mio_store_begin(s, &state, &b, &j, &err));
    assert_ok(err, intend(w, j, 1, &err));
    assert_ok(err, intend(w, j, 2, &err));
    struct mio_record done = record(&w->arena, "thing.n", "made");
    assert_ok(err, mio_jrn_done(j, 1, &done, false, &err));
    mio_jrn_close(j);
    mio_store_close(s);

    s = open_it(w);
    load(s, &w->arena, &state);
    assert_int_equal(mio_store_begin(s, &state, &b, &j, &err), MIO_STATE);
    err = (struct mio_err){0};
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_true(found && r.n == 2);
    assert_int_equal(r.ops[0].outcome, MIO_OP_DONE);
    assert_int_equal(r.ops[1].outcome, MIO_OP_OPEN);
    assert_ok(err, mio_store_reopen(s, &r, &j, &err));
    assert_ok(err, mio_jrn_recovered(j, 2, NULL, false, &err));
    mio_jrn_close(j);
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_true(found && r.ops[1].outcome == MIO_OP_FAILED);
    assert_ok(err, mio_state_put(&state, &r.ops[0].result, &err));
    commit(s, &state);
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_false(found);
    assert_ok(err, mio_store_begin(s, &state, &b, &j, &err)); /* and a new one can begin */
    mio_jrn_close(j);
    mio_store_close(s);
}

/* A holder that slept while another took over cannot begin anything new. */
/* The former holder goes on before the other one has settled its journal, or after. */
static void take_over(struct world *w, bool settled)
{
    struct mio_store *old = open_it(w), *new = open_it(w);
    struct mio_state a, b;
    struct mio_jrn *j, *k;
    struct mio_err err = {0}, late = {0};
    struct mio_jrn_begin begin = {.apply_id = Z("a1")};
    struct mio_jrn_replay r;
    bool found;
    load(old, &w->arena, &a);
    commit(old, &a);
    assert_ok(err, mio_store_begin(old, &a, &begin, &j, &err));
    assert_ok(err, intend(w, j, 1, &err));
    load(new, &w->arena, &b);
    assert_ok(err, mio_store_journal(new, &w->arena, &b, &r, &found, &err));
    assert_true(found);
    assert_ok(err, mio_store_reopen(new, &r, &k, &err));
    if (!settled)
        assert_int_equal(intend(w, j, 2, &late), MIO_IO);
    assert_ok(err, mio_jrn_recovered(k, 1, NULL, false, &err));
    mio_jrn_close(k);
    commit(new, &b);
    assert_int_equal(b.epoch, a.epoch + 1);
    if (settled)
        assert_int_equal(intend(w, j, 2, &late), MIO_IO);
    assert_true(strstr(late.cause, "taken over") || strstr(late.cause, "is gone"));
    assert_int_equal(mio_store_commit(old, &a, &err), MIO_STATE);
    mio_jrn_close(j);
    err = (struct mio_err){0};
    begin.apply_id = Z("a2"); /* nothing of the former one lies in the way */
    assert_ok(err, mio_store_begin(new, &b, &begin, &k, &err));
    for (uint64_t op = 1; op <= 3; op++)
        assert_ok(err, intend(w, k, op, &err));
    mio_jrn_close(k);
    mio_store_close(old);
    mio_store_close(new);
}

static void test_take_over_stops_the_former_holder(void **ctx)
{
    take_over(*ctx, false);
}

static void test_take_over_long_ago_stops_it_too(void **ctx)
{
    take_over(*ctx, true);
}

/* Who slept between reading and beginning, while another run came and went, begins nothing. */
static void test_begin_after_another_run(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_jrn_replay r;
    struct mio_err err = {0};
    struct mio_jrn_begin begin = {.apply_id = Z("a1")};
    bool found;
    load(s, &w->arena, &state);
    grow(w, "thing.a");
    assert_int_equal(mio_store_begin(s, &state, &begin, &j, &err), MIO_STATE);
    assert_contains(err.hint, "Nothing was done");
    load(s, &w->arena, &state);
    err = (struct mio_err){0};
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_false(found);
    assert_ok(err, mio_store_begin(s, &state, &begin, &j, &err));
    mio_jrn_close(j);
    mio_store_close(s);
}

/* Durability "plan": intents of planned creates make no request; they are found planned when the
 * holder is gone; one that slept through a take-over starts nothing more. */
static void test_lazy_journal(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *old = open_it(w), *new = open_it(w);
    struct mio_state a, b;
    struct mio_jrn *j, *k;
    struct mio_err err = {0};
    struct mio_jrn_begin begin = {.apply_id = Z("a1"), .lazy = true};
    struct mio_jrn_intent i = {
        .address = Z("thing.n"), .kind = Z("thing"), .key = Z("k"), .planned = true};
    struct mio_jrn_replay r;
    uint64_t records, before, after;
    bool found;
    i.target = record(&w->arena, "thing.n", "");
    load(old, &w->arena, &a);
    commit(old, &a);
    assert_ok(err, mio_store_begin(old, &a, &begin, &j, &err));
    for (i.op = 1; i.op <= 2; i.op++)
        assert_ok(err, mio_jrn_plan(j, &i, &err));
    assert_ok(err, mio_jrn_sync(j, &err));
    mio_jrn_counts(j, &records, &before);
    i.op = 1;
    assert_ok(err, mio_jrn_intent(j, &i, &err));
    mio_jrn_counts(j, &records, &after);
    assert_int_equal(before, after);
    load(new, &w->arena, &b);
    assert_ok(err, mio_store_journal(new, &w->arena, &b, &r, &found, &err));
    assert_true(found);
    assert_int_equal(r.n, journal_is_remote ? 2 : 1);
    assert_int_equal(r.ops[0].outcome, journal_is_remote ? MIO_OP_PLANNED : MIO_OP_OPEN);
    if (journal_is_remote) {
        assert_ok(err, mio_store_reopen(new, &r, &k, &err));
        i.op = 2;
        assert_int_equal(mio_jrn_intent(j, &i, &err), MIO_IO);
        assert_contains(err.cause, "taken over");
        mio_jrn_close(k);
    }
    mio_jrn_close(j);
    mio_store_close(old);
    mio_store_close(new);
}

static void test_generations(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_state state;
    load(s, &w->arena, &state);
    for (int i = 0; i < 11; i++) {
        put(&state, mio_arena_printf(&w->arena, "thing.t[%d]", i).p, "x");
        commit(s, &state);
    }
    struct mio_kept *k;
    size_t n;
    struct mio_err err = {0};
    struct mio_state at;
    assert_ok(err, mio_store_kept(s, &w->arena, &k, &n, &err));
    assert_true(n >= 8 && n <= 10);
    for (size_t i = 0; i < n; i++)
        assert_true(k[i].good);
    assert_ok(err, mio_store_at(s, &w->arena, 7, &at, &err));
    assert_int_equal(at.nrows, 7);
    mio_store_close(s);
}

/* The http protocol has room for the state alone: no older ones, and the journal stays here, where
 * another machine does not see it. Users are told. */
static void test_http_keeps_the_state_alone(void **ctx)
{
    struct world *w = *ctx, other = *w;
    struct mio_store *s = open_it(w), *elsewhere;
    struct mio_state state, at;
    struct mio_jrn *j;
    struct mio_kept *k;
    struct mio_jrn_begin begin = {.apply_id = Z("a1")};
    struct mio_jrn_replay r;
    struct mio_err err = {0};
    size_t n;
    bool found;
    grow(w, "thing.a");
    grow(w, "thing.b");
    load(s, &w->arena, &state);
    assert_ok(err, mio_store_kept(s, &w->arena, &k, &n, &err));
    assert_true(n <= 1); /* the current one */
    assert_int_equal(mio_store_at(s, &w->arena, 1, &at, &err), MIO_USAGE);
    err = (struct mio_err){0};
    assert_ok(err, mio_store_begin(s, &state, &begin, &j, &err));
    assert_ok(err, intend(w, j, 1, &err));
    scratch_make(other.dir);
    elsewhere = open_it(&other);
    load(elsewhere, &w->arena, &state);
    assert_ok(err, mio_store_journal(elsewhere, &w->arena, &state, &r, &found, &err));
    assert_false(found);
    if (getenv("MIO_UNSAFE")) {
        assert_non_null(mio_store_warning(s));
        assert_contains(mio_store_warning(s), "stays on the machine that ran it");
    }
    mio_jrn_close(j);
    mio_store_close(s);
    mio_store_close(elsewhere);
    scratch_remove(other.dir);
}

static void test_history(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_it(w);
    struct mio_history h = {.operation = Z("apply"), .added = 1}, *back;
    struct mio_err err = {0};
    size_t n, broken;
    for (uint64_t i = 1; i <= 3; i++) {
        h.serial = i;
        assert_ok(err, mio_store_history_add(s, &h, &err));
    }
    assert_ok(err, mio_store_history(s, &w->arena, &back, &n, &broken, &err));
    assert_int_equal(n, 3);
    assert_int_equal(broken, 0);
    assert_int_equal(back[2].serial, 3);
    mio_store_close(s);
}

static void test_sealed(void **ctx)
{
    struct world *w = *ctx;
    struct mio_key_source key = {
        .type = MIO_KEY_RAW,
        .id = Z("k1"),
        .secret = Z("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")};
    struct mio_seal_opts seal = {.keys = &key, .nkeys = 1, .enforced = true};
    w->seal = &seal;
    grow(w, "thing.a");
    grow(w, "thing.b");
    w->seal = NULL;
    struct mio_store *s = open_it(w);
    struct mio_state state;
    struct mio_err err = {0};
    assert_int_equal(mio_store_load(s, &w->arena, &state, &err), MIO_AUTH);
    mio_store_close(s);
}

/* Every commit that said yes is in the state; without locks and with them. */
static void test_no_lost_updates(void **ctx)
{
    struct world *w = *ctx;
    enum { MOST = 6 };
    pid_t pids[MOST];
    bool slow = getenv("MIO_SLOW") != NULL; /* a login for each store */
    int writers = slow ? 3 : MOST, rounds = slow ? 2 : 5;
    grow(w, "thing.base");
    for (int i = 0; i < writers; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        int wins = 0;
        for (int r = 0; r < rounds; r++) {
            struct mio_state state;
            struct mio_err err = {0};
            struct mio_store *s;
            if (try_open(w, &s, &err))
                _exit(200);
            bool locked = mio_store_lock(s, "test", r % 2 ? 60000 : 0, NULL, &err) == MIO_OK;
            err = (struct mio_err){0};
            if (getenv("MIO_UNSAFE") && !locked) {
                mio_store_close(s);
                continue;
            }
            if (mio_store_load(s, &w->arena, &state, &err))
                _exit(201);
            put(&state, mio_arena_printf(&w->arena, "thing.w[%d]", i * rounds + r).p, "x");
            enum mio_code rc = mio_store_commit(s, &state, &err);
            if (rc && (locked || (rc != MIO_STATE && rc != MIO_LOCKED))) {
                fprintf(stderr, "%s (%s)\n", err.message, err.cause);
                _exit(202);
            }
            wins += rc == MIO_OK;
            mio_store_close(s);
        }
        _exit(wins);
    }
    int wins = 0;
    for (int i = 0; i < writers; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), rounds / 2, rounds);
        wins += WEXITSTATUS(status);
    }
    struct mio_store *s = open_it(w);
    struct mio_state state;
    load(s, &w->arena, &state);
    mio_store_close(s);
    assert_int_equal(state.nrows, wins + 1);
    assert_int_equal(state.serial, wins + 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    if (!getenv("MIO_BACKEND") || !getenv("MIO_BUILD"))
        return 77;
    bool http = strstr(getenv("MIO_BACKEND"), "\"http\"") != NULL;
    journal_is_remote = !http;
    const struct CMUnitTest tests[] = {
        T(test_probe),
        T(test_write_and_read),
        T(test_second_writer_loses),
        T(test_lock),
        T(test_lock_in_turns),
        T(test_lock_of_a_dead_holder),
        T(test_journal_survives_and_is_dropped),
        T(test_lazy_journal),
        T(test_begin_after_another_run),
        T(test_history),
        T(test_sealed),
        T(test_no_lost_updates),
    };
    const struct CMUnitTest whole[] = {T(test_take_over_stops_the_former_holder),
                                       T(test_take_over_long_ago_stops_it_too),
                                       T(test_generations)};
    const struct CMUnitTest alone[] = {T(test_http_keeps_the_state_alone)};
    const struct CMUnitTest lease[] = {T(test_lease)}, blind[] = {T(test_blind)},
                            full[] = {T(test_full)}, torn[] = {T(test_lock_without_a_note)};
    if (getenv("MIO_FULL"))
        return cmocka_run_group_tests(full, NULL, NULL);
    if (getenv("MIO_BLIND"))
        return cmocka_run_group_tests(blind, NULL, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed += http ? cmocka_run_group_tests(alone, NULL, NULL)
                   : cmocka_run_group_tests(whole, NULL, NULL);
    if (strstr(getenv("MIO_BACKEND"), "\"azure\""))
        failed += cmocka_run_group_tests(lease, NULL, NULL);
    if (strstr(getenv("MIO_BACKEND"), "\"s3\"") || strstr(getenv("MIO_BACKEND"), "\"etcd\""))
        failed += cmocka_run_group_tests(torn, NULL, NULL);
    return failed;
}
