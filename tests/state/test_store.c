/* tests/state/test_store.c: load, commit, generations, refusals, what a failing disk leaves,
 * history. */
#include "tests/state/support.h"
#include <errno.h>
#include <sys/wait.h>

struct world {
    char dir[64];
    struct mio_arena arena;
};

static int setup(void **ctx)
{
    struct world *w = calloc(1, sizeof *w);
    scratch_make(w->dir);
    mio_arena_init(&w->arena);
    *ctx = w;
    return 0;
}

static int teardown(void **ctx)
{
    struct world *w = *ctx;
    mio_fault_setup(NULL);
    scratch_remove(w->dir);
    mio_arena_free(&w->arena);
    free(w);
    return 0;
}

/* One run: load, add a row, commit. */
static void grow(struct world *w, const char *address)
{
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_state state;
    load(s, &w->arena, &state);
    put(&state, address, "x");
    commit(s, &state);
    mio_store_close(s);
}

static struct mio_err load_refused(struct world *w, const char *stage)
{
    struct mio_store *s = open_store(w->dir, stage);
    struct mio_state state;
    struct mio_err err = {0};
    assert_int_equal(mio_store_load(s, &w->arena, &state, &err), MIO_STATE);
    mio_store_close(s);
    return err;
}

static void test_first_write(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_state state;
    load(s, &w->arena, &state);
    assert_int_equal(state.serial, 0);
    assert_int_equal(state.lineage.n, 0);
    put(&state, "thing.a", "x");
    commit(s, &state);
    assert_int_equal(state.serial, 1);
    assert_false(state.dirty);
    assert_int_equal(state.lineage.n, 36);
    put(&state, "thing.b", "x"); /* the same run may commit again */
    commit(s, &state);
    assert_int_equal(state.serial, 2);
    mio_store_close(s);

    struct mio_state back;
    s = open_store(w->dir, "dev");
    load(s, &w->arena, &back);
    assert_int_equal(back.serial, 2);
    assert_int_equal(back.nrows, 2);
    assert_true(mio_str_eq(back.lineage, state.lineage) && mio_str_eq(back.salt, state.salt));
    assert_true(mio_str_eq(back.digest, state.digest));
    mio_store_close(s);
    struct stat st;
    assert_int_equal(stat(in(w->dir, "state.jsonl"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(mio_fs_exists(in(w->dir, "state.jsonl.tmp")));
}

static void test_plan_leaves_the_disk_alone(void **ctx)
{
    struct world *w = *ctx;
    char dir[96];
    snprintf(dir, sizeof dir, "%s/none", w->dir);
    struct mio_store_opts o = {.dir = dir, .stage = Z(""), .create = false};
    struct mio_store *s;
    struct mio_state state;
    struct mio_err err = {0};
    assert_ok(err, mio_store_open(&o, &s, &err));
    assert_ok(err, mio_store_lock(s, "plan", 0, NULL, &err));
    load(s, &w->arena, &state);
    assert_int_equal(state.serial, 0);
    struct mio_jrn_replay r;
    bool found = true;
    assert_ok(err, mio_store_journal(s, &w->arena, &state, &r, &found, &err));
    assert_false(found);
    assert_int_equal(mio_store_commit(s, &state, &err), MIO_IO);
    mio_store_close(s);
    assert_false(mio_fs_exists(dir));
}

static void test_made_folder_is_private(void **ctx)
{
    struct world *w = *ctx;
    char dir[96];
    struct stat st;
    snprintf(dir, sizeof dir, "%s/a/b", w->dir);
    mio_store_close(open_store(dir, ""));
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_folder_open_to_others_is_refused(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store_opts o = {.dir = w->dir, .stage = Z(""), .create = true};
    struct mio_store *s;
    mode_t bad[] = {0770, 0702, 0777};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mio_err err = {0};
        assert_int_equal(chmod(w->dir, bad[i]), 0);
        assert_int_equal(mio_store_open(&o, &s, &err), MIO_STATE);
        assert_contains(err.message, "can be written by others");
        assert_contains(err.hint, "chmod 700");
    }
    assert_int_equal(chmod(w->dir, 0700), 0);
    if (geteuid() != 0)
        return;
    struct mio_err err = {0};
    assert_int_equal(chown(w->dir, 12345, 12345), 0);
    assert_int_equal(mio_store_open(&o, &s, &err), MIO_STATE);
    assert_contains(err.message, "belongs to user 12345");
    assert_int_equal(chown(w->dir, 0, 0), 0);
}

static void test_links_are_not_followed(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    assert_int_equal(rename(in(w->dir, "state.jsonl"), in(w->dir, "elsewhere")), 0);
    assert_int_equal(symlink("elsewhere", in(w->dir, "state.jsonl")), 0);
    assert_contains(load_refused(w, "dev").message, "symbolic link");
}

static void test_generations(void **ctx)
{
    struct world *w = *ctx;
    for (int i = 1; i <= 12; i++) {
        grow(w, mio_arena_printf(&w->arena, "thing.t[%d]", i).p);
        for (int g = 1; g <= 9; g++) {
            char name[32];
            snprintf(name, sizeof name, "state.jsonl.%d", g);
            assert_int_equal(mio_fs_exists(in(w->dir, name)), g <= 8 && g < i);
            if (g > 8 || g >= i)
                continue;
            struct mio_state old;
            struct mio_err err = {0};
            assert_ok(err, mio_state_read(&w->arena, slurp(&w->arena, w->dir, name), &old, &err));
            assert_int_equal(old.serial, i - g);
        }
    }
}

static void test_missing_with_generations_is_refused(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    grow(w, "thing.b");
    assert_int_equal(unlink(in(w->dir, "state.jsonl")), 0);
    struct mio_err err = load_refused(w, "dev");
    assert_contains(err.message, "is missing, but older generations");
    assert_contains(err.hint, "fsck");
}

static void test_empty_and_damaged_are_refused(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    struct mio_str text = slurp(&w->arena, w->dir, "state.jsonl");
    spill(w->dir, "state.jsonl", Z(""));
    struct mio_err err = load_refused(w, "dev");
    assert_contains(err.message, "empty");
    assert_contains(err.message, w->dir);
    spill(w->dir, "state.jsonl", mio_str_sub(text, 0, text.n / 2));
    assert_contains(load_refused(w, "dev").message, "cut short");
    spill(w->dir, "state.jsonl", text);
    assert_contains(load_refused(w, "prod").message, "is that of stage dev, not of stage prod");
    assert_contains(load_refused(w, "").message, "not of the default stage");
}

static void test_two_writers_one_wins(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_state state;
    struct mio_err err = {0};
    load(s, &w->arena, &state);
    put(&state, "thing.mine", "x");
    grow(w, "thing.theirs");
    assert_int_equal(mio_store_commit(s, &state, &err), MIO_STATE);
    assert_contains(err.message, "changed by someone else");
    mio_store_close(s);
    struct mio_str text = slurp(&w->arena, w->dir, "state.jsonl");
    assert_contains(text.p, "thing.theirs");
    assert_null(strstr(text.p, "thing.mine"));
}

static void test_commit_of_a_foreign_state_is_refused(void **ctx)
{
    struct world *w = *ctx;
    grow(w, "thing.a");
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_state loaded, other;
    struct mio_err err = {0};
    load(s, &w->arena, &loaded);
    mio_state_init(&other, &w->arena, Z("dev"));
    assert_int_equal(mio_store_commit(s, &other, &err), MIO_STATE);
    mio_store_close(s);
}

/* Each call that writes fails, once and for ever: either the commit says so and the old state is
 * whole, or the new one is there. */
static void test_each_fault_leaves_old_or_new(void **ctx)
{
    struct world *w = *ctx;
    static const char *const points[] = {"open", "write", "fsync", "rename", "unlink"};
    static const char *const errors[] = {"EIO", "ENOSPC", "EDQUOT", "EACCES"};
    grow(w, "thing.a");
    grow(w, "thing.b");
    int failures = 0;
    for (size_t p = 0; p < 5; p++)
        for (int n = 1; n <= 14; n++)
            for (int k = 0; k < 8; k++) {
                struct mio_store *s = open_store(w->dir, "dev");
                struct mio_state before, after;
                struct mio_err err = {0};
                char spec[64];
                snprintf(spec, sizeof spec, "%s:%d%s:%s", points[p], n, k & 1 ? "+" : "",
                         errors[k / 2]);
                load(s, &w->arena, &before);
                struct mio_state next = before;
                put(&next, "thing.c", spec);
                mio_fault_setup(spec);
                enum mio_code rc = mio_store_commit(s, &next, &err);
                mio_fault_setup(NULL);
                mio_store_close(s);
                s = open_store(w->dir, "dev");
                load(s, &w->arena, &after);
                mio_store_close(s);
                failures += rc != MIO_OK;
                if (rc == MIO_OK)
                    assert_int_equal(after.serial, before.serial + 1);
                else
                    assert_in_range(after.serial, before.serial, before.serial + 1);
                assert_false(mio_fs_exists(in(w->dir, "state.jsonl.tmp")));
            }
    assert_true(failures > 50); /* the faults were met */
}

/* The file, then its folder: a commit that said yes has synced both. */
static void test_commit_syncs_file_and_folder(void **ctx)
{
    struct world *w = *ctx;
    static const char *const specs[] = {"fsync:1:EIO", "fsync:2:EIO"};
    grow(w, "thing.a");
    for (size_t i = 0; i < 2; i++) {
        struct mio_store *s = open_store(w->dir, "dev");
        struct mio_state state;
        struct mio_err err = {0};
        load(s, &w->arena, &state);
        mio_fault_setup(specs[i]);
        assert_int_equal(mio_store_commit(s, &state, &err), MIO_IO);
        mio_fault_setup(NULL);
        mio_store_close(s);
    }
}

static void test_interrupted_call_is_repeated(void **ctx)
{
    struct world *w = *ctx;
    static const char *const specs[] = {"write:1:EINTR", "fsync:1:EINTR", "open:2:EINTR"};
    for (size_t i = 0; i < 3; i++) {
        mio_fault_setup(specs[i]);
        grow(w, "thing.a");
    }
}

/* 16 processes x 25 rounds: every commit that said yes is in the state. */
static void test_no_lost_updates(void **ctx)
{
    struct world *w = *ctx;
    enum { WRITERS = 16, ROUNDS = 25 };
    pid_t pids[WRITERS];
    grow(w, "thing.base");
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        int wins = 0;
        for (int r = 0; r < ROUNDS; r++) {
            struct mio_arena a;
            struct mio_state state;
            struct mio_err err = {0};
            struct mio_store_opts o = {.dir = w->dir, .stage = Z("dev"), .create = true};
            struct mio_store *s;
            char address[32];
            mio_arena_init(&a);
            if (mio_store_open(&o, &s, &err))
                _exit(200);
            bool locked = r % 2 && mio_store_lock(s, "test", 60000, NULL, &err) == MIO_OK;
            if (mio_store_load(s, &a, &state, &err))
                _exit(201);
            snprintf(address, sizeof address, "thing.w[%d]", i * ROUNDS + r);
            put(&state, address, "x");
            enum mio_code rc = mio_store_commit(s, &state, &err);
            bool fair = rc == MIO_OK || (!locked && (rc == MIO_STATE || rc == MIO_LOCKED));
            if (!fair) {
                fprintf(stderr, "%s (%s)\n", err.message, err.cause);
                _exit(202);
            }
            wins += rc == MIO_OK;
            mio_store_close(s);
            mio_arena_free(&a);
        }
        _exit(wins);
    }
    int wins = 0;
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), ROUNDS / 2, ROUNDS);
        wins += WEXITSTATUS(status);
    }
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_state state;
    load(s, &w->arena, &state);
    mio_store_close(s);
    assert_int_equal(state.nrows, wins + 1);
    assert_int_equal(state.serial, wins + 1);
}

static void test_history(void **ctx)
{
    struct world *w = *ctx;
    struct mio_store *s = open_store(w->dir, "dev");
    struct mio_history h = {.operation = Z("apply"),
                            .stage = Z("dev"),
                            .commit = Z("abc\"def"),
                            .plan_digest = Z("00"),
                            .added = 2,
                            .complete = true},
                       *back;
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
    assert_int_equal(back[2].added, 2);
    assert_true(back[0].complete && mio_str_is(back[0].commit, "abc\"def") && back[0].who.n);

    struct mio_str text = slurp(&w->arena, w->dir, "history.jsonl");
    const char *torn = mio_arena_printf(&w->arena, "%s{\"prev\":\"00", text.p).p;
    spill(w->dir, "history.jsonl", Z(torn)); /* killed in the middle of a line */
    h.serial = 4;
    assert_ok(err, mio_store_history_add(s, &h, &err));
    assert_ok(err, mio_store_history(s, &w->arena, &back, &n, &broken, &err));
    assert_int_equal(n, 4);
    assert_int_equal(broken, 0);

    text = slurp(&w->arena, w->dir, "history.jsonl");
    char *edited = mio_arena_z(&w->arena, text);
    memcpy(strstr(edited, "\"added\":2"), "\"added\":9", 9);
    spill(w->dir, "history.jsonl", (struct mio_str){edited, text.n});
    assert_ok(err, mio_store_history(s, &w->arena, &back, &n, &broken, &err));
    assert_int_equal(n, 4);
    assert_int_equal(broken, 2); /* line 2 does not follow from the edited line 1 */
    mio_store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_first_write),
        T(test_plan_leaves_the_disk_alone),
        T(test_made_folder_is_private),
        T(test_folder_open_to_others_is_refused),
        T(test_links_are_not_followed),
        T(test_generations),
        T(test_missing_with_generations_is_refused),
        T(test_empty_and_damaged_are_refused),
        T(test_two_writers_one_wins),
        T(test_commit_of_a_foreign_state_is_refused),
        T(test_each_fault_leaves_old_or_new),
        T(test_commit_syncs_file_and_folder),
        T(test_interrupted_call_is_repeated),
        T(test_no_lost_updates),
        T(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
