/* tests/state/test_lock.c: one holder at a time, said who, waited for, gone with its process. */
#include "providers/sdk/clock.h"
#include "tests/state/support.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64];

static int setup(void **ctx)
{
    (void)ctx;
    scratch_make(dir);
    return 0;
}

static int teardown(void **ctx)
{
    (void)ctx;
    scratch_remove(dir);
    return 0;
}

/* A process that holds the lock until it is killed. */
static pid_t holder(const char *operation)
{
    int fds[2];
    char ready;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct mio_err err = {0};
        struct mio_store *s = open_store(dir, "");
        if (mio_store_lock(s, operation, 0, NULL, &err) == MIO_OK && write(fds[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(fds[0], &ready, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_second_is_told_who_holds_it(void **ctx)
{
    (void)ctx;
    pid_t pid = holder("apply");
    struct mio_store *s = open_store(dir, "");
    struct mio_err err = {0};
    char text[64];
    assert_int_equal(mio_store_lock(s, "plan", 0, NULL, &err), MIO_LOCKED);
    snprintf(text, sizeof text, "(pid %ld) for `apply`", (long)pid);
    assert_contains(err.message, text);
    assert_contains(err.message, "lock id ");
    assert_contains(err.hint, "mlops-iac force-unlock ");
    const char *id = strstr(err.message, "lock id ") + 8;
    assert_int_equal(strlen(id), 32);
    assert_contains(err.hint, id);

    struct mio_err other = {0};
    assert_int_equal(mio_store_force_unlock(s, Z("nonsense"), &other), MIO_USAGE);
    assert_contains(other.message, "not nonsense");
    other = (struct mio_err){0};
    assert_int_equal(mio_store_force_unlock(s, Z(id), &other), MIO_LOCKED);
    assert_contains(other.message, "still running");

    end(pid); /* its lock dies with it; the note stays and misleads nobody */
    other = (struct mio_err){0};
    assert_ok(other, mio_store_force_unlock(s, Z(id), &other));
    assert_int_equal(mio_store_force_unlock(s, Z(id), &other), MIO_USAGE);
    other = (struct mio_err){0};
    assert_ok(other, mio_store_lock(s, "plan", 0, NULL, &other));
    mio_store_close(s);
}

static void test_dead_holder_is_no_holder(void **ctx)
{
    (void)ctx;
    end(holder("apply"));
    struct mio_store *s = open_store(dir, "");
    struct mio_err err = {0};
    assert_ok(err, mio_store_lock(s, "plan", 0, NULL, &err));
    assert_ok(err, mio_store_lock(s, "plan", 0, NULL, &err)); /* held already */
    mio_store_unlock(s);
    mio_store_unlock(s);
    mio_store_close(s);
}

static void *kill_later(void *arg)
{
    mio_sleep_ms(300);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

static void test_waits_for_the_holder(void **ctx)
{
    (void)ctx;
    pid_t pid = holder("apply");
    pthread_t t;
    struct mio_store *s = open_store(dir, "");
    struct mio_err err = {0};
    assert_int_equal(pthread_create(&t, NULL, kill_later, &pid), 0);
    int64_t from = mio_now_ms();
    assert_ok(err, mio_store_lock(s, "plan", 10000, NULL, &err));
    assert_in_range(mio_now_ms() - from, 200, 5000);
    pthread_join(t, NULL);
    waitpid(pid, NULL, 0);
    mio_store_close(s);
}

static void test_gives_up_in_time(void **ctx)
{
    (void)ctx;
    pid_t pid = holder("apply");
    struct mio_store *s = open_store(dir, "");
    struct mio_err err = {0};
    int64_t from = mio_now_ms();
    assert_int_equal(mio_store_lock(s, "plan", 250, NULL, &err), MIO_LOCKED);
    assert_in_range(mio_now_ms() - from, 250, 2000);
    end(pid);
    mio_store_close(s);
}

static void *cancel_later(void *arg)
{
    mio_sleep_ms(150);
    __atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
    return NULL;
}

static void test_cancel_ends_the_wait(void **ctx)
{
    (void)ctx;
    pid_t pid = holder("apply");
    pthread_t t;
    bool cancel = false;
    struct mio_store *s = open_store(dir, "");
    struct mio_err err = {0};
    assert_int_equal(pthread_create(&t, NULL, cancel_later, &cancel), 0);
    int64_t from = mio_now_ms();
    assert_int_equal(mio_store_lock(s, "plan", 60000, &cancel, &err), MIO_CANCELLED);
    assert_in_range(mio_now_ms() - from, 100, 2000);
    pthread_join(t, NULL);
    end(pid);
    mio_store_close(s);
}

/* Closing another descriptor of the same file drops an old POSIX lock; not this one. */
static void test_survives_other_descriptors(void **ctx)
{
    (void)ctx;
    struct mio_store *mine = open_store(dir, ""), *other = open_store(dir, "");
    struct mio_err err = {0};
    assert_ok(err, mio_store_lock(mine, "apply", 0, NULL, &err));
    assert_int_equal(mio_store_lock(other, "plan", 0, NULL, &err), MIO_LOCKED);
    mio_store_close(other);
    pid_t pid = fork();
    if (pid == 0) {
        struct mio_err e = {0};
        _exit(mio_store_lock(open_store(dir, ""), "plan", 0, NULL, &e) == MIO_LOCKED ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    mio_store_close(mine);
}

static void test_commit_under_a_foreign_lock_is_refused(void **ctx)
{
    (void)ctx;
    struct mio_arena a;
    struct mio_state state;
    struct mio_err err = {0};
    mio_arena_init(&a);
    struct mio_store *holds = open_store(dir, ""), *s = open_store(dir, "");
    load(s, &a, &state);
    assert_ok(err, mio_store_lock(holds, "apply", 0, NULL, &err));
    assert_int_equal(mio_store_lock(s, "state rm", 0, NULL, &err), MIO_LOCKED);
    mio_store_close(holds);
    commit(s, &state);
    mio_store_close(s);
    mio_arena_free(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_second_is_told_who_holds_it),
        T(test_dead_holder_is_no_holder),
        T(test_waits_for_the_holder),
        T(test_gives_up_in_time),
        T(test_cancel_ends_the_wait),
        T(test_survives_other_descriptors),
        T(test_commit_under_a_foreign_lock_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
