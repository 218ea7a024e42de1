/* tests/providers/sdk/test_proc.c: starting programs and seeing their end. */
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

static void output_and_status_come_back(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
    struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1};
    struct mio_err err = {0};
    MIO_AUTO_BUF out = {0};
    int status = 0;
    assert_int_equal(mio_proc_run(&o, 0, &out, &status, &err), MIO_OK);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_string_equal(out.p, "out\nerr\n");
}

static void a_missing_program_is_a_clear_error(void **state)
{
    (void)state;
    const char *const argv[] = {"no-such-program-anywhere", NULL};
    struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1};
    struct mio_err err = {0};
    pid_t pid = 0;
    assert_int_equal(mio_proc_spawn(&o, &pid, &err), MIO_IO);
    assert_non_null(strstr(err.message, "no-such-program-anywhere"));
    assert_true(err.hint[0] != '\0');
}

static void what_hangs_is_stopped_at_the_deadline(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "60", NULL};
    struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1};
    struct mio_err err = {0};
    MIO_AUTO_BUF out = {0};
    int status = 0;
    int64_t from = mio_now_ms();
    assert_int_equal(mio_proc_run(&o, from + 200, &out, &status, &err), MIO_IO);
    assert_true(mio_now_ms() - from < 30000);
    assert_true(WIFSIGNALED(status));
}

static void the_environment_is_what_was_given(void **state)
{
    (void)state;
    const char *const argv[] = {"/usr/bin/env", NULL}, *const env[] = {"ONLY=this", NULL};
    struct mio_proc_opts o = {.argv = argv, .env = env, .in = -1, .out = -1, .err = -1};
    struct mio_err err = {0};
    MIO_AUTO_BUF out = {0};
    int status = 0;
    assert_int_equal(mio_proc_run(&o, 0, &out, &status, &err), MIO_OK);
    assert_string_equal(out.p, "ONLY=this\n");
}

static void a_zombie_is_not_alive(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    for (int i = 0; i < 200 && mio_proc_alive(pid); i++)
        mio_sleep_ms(10);
    assert_int_equal(kill(pid, 0), 0); /* the kernel still has it */
    assert_false(mio_proc_alive(pid));
    assert_true(mio_proc_started(pid) > 0);
    waitpid(pid, NULL, 0);
    assert_true(mio_proc_alive(getpid()));
}

/* A process that starts a long one and is killed itself; the number of the long one by a pipe. */
static pid_t orphan_of_a_killed_parent(bool bound)
{
    int told[2];
    pid_t pid = 0;
    assert_int_equal(pipe(told), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const char *const argv[] = {"sleep", "60", NULL};
        struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1, .bound = bound};
        struct mio_err err = {0};
        mio_proc_spawn(&o, &pid, &err);
        ssize_t n = write(told[1], &pid, sizeof pid);
        pause();
        _exit(n > 0);
    }
    assert_int_equal(read(told[0], &pid, sizeof pid), sizeof pid);
    close(told[0]);
    close(told[1]);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    return pid;
}

static void what_is_bound_ends_with_who_started_it(void **state)
{
    (void)state;
    pid_t bound = orphan_of_a_killed_parent(true), loose = orphan_of_a_killed_parent(false);
    for (int i = 0; i < 500 && mio_proc_alive(bound); i++)
        mio_sleep_ms(10);
    assert_false(mio_proc_alive(bound));
    assert_true(mio_proc_alive(loose));
    kill(loose, SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_come_back),
        cmocka_unit_test(a_missing_program_is_a_clear_error),
        cmocka_unit_test(what_hangs_is_stopped_at_the_deadline),
        cmocka_unit_test(the_environment_is_what_was_given),
        cmocka_unit_test(a_zombie_is_not_alive),
        cmocka_unit_test(what_is_bound_ends_with_who_started_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
