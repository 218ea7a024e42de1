/* tests/providers/local/test_job.c: command jobs in the sandbox: inputs, outputs, quoting, limits,
 * failures, and runs that outlive their caller. */
#include "tests/providers/local/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"

static void make_world(struct fixture *f)
{
    assert_done(do_create(f, "workspace", "ws", "{'name':'taxi'}"));
    put_file(f, text(f, "%s/data/trips/a.csv", f->dir), "1,2\n");
    put_file(f, text(f, "%s/src/step.py", f->dir),
             "import sys\nopen(sys.argv[1] + '/m', 'w').write(sys.argv[2])\n");
    assert_done(
        do_create(f, "data", "d", "{'name':'trips','workspace':'taxi','path':'data/trips'}"));
}

/* A job with this command; more: further members, each with a comma in front. */
static struct answer run(struct fixture *f, const char *key, const char *command, const char *more)
{
    return do_create(
        f, "job", key,
        text(f, "{\"name\":\"t\",\"workspace\":\"taxi\",\"command\":\"%s\"%s}", command, more));
}

static const char *output(struct fixture *f, const struct answer *a, const char *name)
{
    return mio_arena_z(&f->arena, attr2(a, "output_paths", name));
}

static void test_inputs_and_outputs(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    struct answer a = run(
        f, "k1", "python step.py ${{outputs.model}} $(cat ${{inputs.trips}}/a.csv)-${{inputs.n}}",
        ",\"code\":\"src\",\"inputs\":{\"trips\":{\"type\":\"uri_folder\",\"path\":\"taxi/"
        "trips:1\"},\"n\":3},"
        "\"outputs\":{\"model\":{\"type\":\"uri_folder\"}}");
    assert_done(a);
    assert_str(attr(&a, "status"), "Completed");
    const char *out = output(f, &a, "model");
    assert_string_equal(get_file(f, text(f, "%s/m", out)), "1,2-3");
    assert_int_equal(do_read(f, "job", a.id.p, NULL).status, MLOPS_OK);
    assert_int_equal(do_list(f, "job").json.n, 1);
    struct mio_err err = {0};
    mio_fs_remove_tree(out, &err);
    assert_int_equal(do_read(f, "job", a.id.p, NULL).status, MLOPS_NOT_FOUND);
    assert_done(do_remove(f, "job", a.id.p));
    assert_int_equal(do_list(f, "job").json.n, 0);
}

static void test_quoting(void **state)
{
    struct fixture *f = *state;
    static const char value[] = "a b'c\\\"d$HOME`x`\\\\";
    make_world(f);
    struct answer a = run(
        f, "k1",
        "printf '%s|' ${{inputs.v}} \\\"${{inputs.v}}\\\" '${{inputs.v}}' > ${{outputs.o}}",
        text(f, ",\"inputs\":{\"v\":\"%s\"},\"outputs\":{\"o\":{\"type\":\"uri_file\"}}", value));
    assert_done(a);
    const char *plain = "a b'c\"d$HOME`x`\\";
    assert_string_equal(get_file(f, output(f, &a, "o")), text(f, "%s|%s|%s|", plain, plain, plain));
}

static void test_sandbox_walls(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    struct answer a =
        run(f, "k1",
            "cat /proc/net/dev | grep -c : > ${{outputs.o}}; touch ${{inputs.t}}/x 2>/dev/null "
            "&& echo written >> ${{outputs.o}}; ls -d /root /home /work >> ${{outputs.o}} "
            "2>/dev/null; touch /usr/x 2>/dev/null && echo usr >> ${{outputs.o}}; "
            "echo $SECRET >> ${{outputs.o}}; true",
            ",\"inputs\":{\"t\":{\"type\":\"uri_folder\",\"path\":\"taxi/trips:1\"}},"
            "\"outputs\":{\"o\":{\"type\":\"uri_file\"}}");
    assert_done(a);
    /* Loopback alone, nothing writable outside, no home folders, no inherited environment. */
    assert_string_equal(get_file(f, output(f, &a, "o")), "1\n\n");
}

static void test_failure_shows_the_log(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    struct answer a = run(f, "k1", "echo first; echo the reason >&2; exit 3", "");
    assert_int_equal(a.rc, MLOPS_ERROR);
    assert_int_equal(a.code, MLOPS_E_REALITY);
    assert_has(a.message, "exit status 3");
    assert_has(a.message, "the reason");
    assert_has(a.hint, ".log");
    assert_int_equal(do_list(f, "job").json.n, 0); /* what failed leaves its log alone */
    a = run(f, "k2", "true", ",\"outputs\":{\"o\":{\"type\":\"uri_file\"}}");
    assert_has(a.message, "wrote no output \"o\"");
    a = run(f, "k3", "sleep 60", ",\"limits\":{\"timeout\":\"1s\"}");
    assert_has(a.message, "limits.timeout");
    a = run(f, "k4", "kill -9 $$", "");
    assert_has(a.message, "signal 9");
}

static void test_bad_bodies(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    struct answer a = run(f, "k", "echo ${{inputs.trip}}", ",\"inputs\":{\"trips\":\"x\"}");
    assert_has(a.hint, "Did you mean ${{inputs.trips}}");
    assert_int_equal(a.code, MLOPS_E_TEMPLATE);
    a = run(f, "k", "true", ",\"inputs\":{\"n\":{\"type\":\"integer\",\"value\":\"x\"}}");
    assert_has(a.message, "not an integer");
    a = run(f, "k", "true",
            ",\"inputs\":{\"n\":{\"type\":\"uri_folder\",\"path\":\"taxi/none:1\"}}");
    assert_has(a.message, "has no data named \"none\"");
    a = run(f, "k", "true", ",\"compute\":\"none\"");
    assert_has(a.message, "has no compute \"none\"");
    a = run(f, "k", "true", ",\"code\":\".\"");
    assert_has(a.message, "contains the folder");
    a = do_validate(f, "job", "{'name':'t','type':'sweep'}");
    assert_int_equal(a.json.n, 1);
    a = do_validate(f, "job", "{'name':'t','command':'echo ${{inputs.y}}','inputs':{'x':1}}");
    assert_int_equal(a.json.n, 1);
    a = do_validate(f, "job", "{'name':'t','command':'echo ${{inputs.y}}'}");
    assert_int_equal(a.json.n, 0); /* inputs may be unknown yet */
    assert_int_equal(do_list(f, "job").json.n, 0);
}

static void test_preflight(void **state)
{
    struct fixture *f = *state;
    /* What is not known yet comes as null, and is no error. */
    struct answer a = do_preflight(
        f,
        "[{'address':'job.t','kind':'job','action':'create','inputs':{'name':'t','workspace':null,"
        "'command':'echo ${{inputs.x}} "
        "${{outputs.m}}','inputs':{'x':{'type':'uri_folder','path':null}},"
        "'outputs':{'m':null}}},"
        "{'address':'data.d','kind':'data','action':'replace','inputs':{'name':'d','path':null}},"
        "{'address':'environment.e','kind':'environment','action':'create','inputs':{'image':null,'"
        "python':null}}]");
    assert_int_equal(a.json.n, 0);
    a = do_preflight(
        f, "[{'address':'job.t','kind':'job','action':'create','inputs':{'name':'t',"
           "'command':'echo ${{inputs.y}}','inputs':{'x':{'path':'data/x'}}}},"
           "{'address':'job.u','kind':'job','action':'delete','inputs':{'name':'../u'}}]");
    assert_int_equal(a.json.n, 1); /* what goes is not checked */
    assert_has(mio_get_str(a.json.items[0], "message"), "names no input");
    assert_str(mio_get_str(a.json.items[0], "address"), "job.t");
}

static void test_missing_bwrap(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    fixture_configure(f, "{\"bwrap\":\"/nowhere/bwrap\"}");
    assert_has(run(f, "k1", "true", "").message, "/nowhere/bwrap");
    struct answer a = do_preflight(f, "[{'address':'job.t','kind':'job','action':'create'}]");
    assert_int_equal(a.json.n, 1);
    assert_str(mio_get_str(a.json.items[0], "address"), "job.t");
    const char *path = getenv("PATH");
    const char *kept = text(f, "%s", path ? path : "");
    fixture_configure(f, "{}");
    setenv("PATH", "/nowhere", 1);
    a = run(f, "k1", "true", "");
    setenv("PATH", kept, 1);
    assert_has(a.message, "bwrap is not installed");
    assert_has(a.hint, "apt-get install bubblewrap");
}

/* A caller that is killed while its job runs: the next call with the same key joins that run. */
static void test_run_outlives_its_caller(void **state)
{
    struct fixture *f = *state;
    const char *command =
        "echo started >> ${{outputs.o}}/log; sleep 2; echo ended >> ${{outputs.o}}/log";
    const char *more = ",\"outputs\":{\"o\":{\"type\":\"uri_folder\"}}";
    make_world(f);
    pid_t child = fork();
    if (child == 0) {
        run(f, "k1", command, more);
        _exit(0);
    }
    const char *log = text(f, "%s/workspaces/taxi/jobs/t-k1aaaaaaaa/outputs/o/log", f->root);
    for (int i = 0; i < 500 && !mio_fs_exists(log); i++)
        mio_sleep_ms(10);
    assert_true(mio_fs_exists(log));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct answer a = run(f, "k1", command, more);
    assert_done(a);
    assert_string_equal(get_file(f, log), "started\nended\n"); /* once */
    assert_done(run(f, "k1", command, more));
    assert_string_equal(get_file(f, log), "started\nended\n"); /* still once */
}

static pid_t runner_of(struct fixture *f, const char *folder)
{
    struct mio_value v;
    struct mio_err err = {0};
    const char *json =
        get_file(f, text(f, "%s/workspaces/taxi/jobs/%s/status.json", f->root, folder));
    if (mio_json_read(&f->arena, mio_str_z(json), NULL, &v, &err))
        fail_msg("%s", err.message);
    return (pid_t)mio_get_i64(v, "pid", 0);
}

static void test_interrupted_runner_runs_again(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    pid_t child = fork();
    if (child == 0) {
        run(f, "k1", "sleep 30", "");
        _exit(0);
    }
    const char *status = text(f, "%s/workspaces/taxi/jobs/t-k1aaaaaaaa/status.json", f->root);
    for (int i = 0; i < 500 && !mio_fs_exists(status); i++)
        mio_sleep_ms(10);
    kill(child, SIGKILL); /* the caller first, or it would tidy up */
    waitpid(child, NULL, 0);
    pid_t runner = runner_of(f, "t-k1aaaaaaaa");
    assert_true(mio_proc_alive(runner));
    kill(runner, SIGKILL); /* as a power cut would */
    for (int i = 0; i < 200 && mio_proc_alive(runner); i++)
        mio_sleep_ms(10);
    assert_done(run(f, "k1", "true", ""));
}

static void test_cancel_and_deadline(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    f->deadline_ms = mio_now_ms() + 600;
    struct answer a = run(f, "k1", "sleep 60", "");
    assert_has(a.message, "deadline");
    f->deadline_ms = 0;
    f->cancel_at = "";
    a = run(f, "k2", "sleep 60", "");
    assert_int_equal(a.code, MLOPS_E_CANCELLED);
    f->cancel_at = NULL;
    assert_int_equal(do_list(f, "job").json.n, 0);
}

/* Variables may be secrets: nobody may read them off a process list. */
static bool secret_on_a_command_line(struct fixture *f, const char *secret)
{
    struct mio_str *pids;
    size_t n;
    bool seen = false;
    struct mio_err err = {0};
    assert_int_equal(mio_fs_list(&f->arena, "/proc", &pids, &n, &err), MIO_OK);
    for (size_t i = 0; i < n && !seen; i++) {
        char line[8192];
        FILE *in = fopen(text(f, "/proc/%.*s/cmdline", MIO_FMT(pids[i])), "r");
        size_t got = in ? fread(line, 1, sizeof line, in) : 0;
        if (in)
            fclose(in);
        seen = memmem(line, got, secret, strlen(secret)) != NULL;
    }
    return seen;
}

static void test_removing_a_running_job_stops_it(void **state)
{
    struct fixture *f = *state;
    make_world(f);
    pid_t child = fork();
    if (child == 0) {
        run(f, "k1", "touch started; sleep 60",
            ",\"environment_variables\":{\"TOKEN\":\"hush-hush\"}");
        _exit(0);
    }
    const char *started = text(f, "%s/workspaces/taxi/jobs/t-k1aaaaaaaa/code/started", f->root);
    for (int i = 0; i < 500 && !mio_fs_exists(started); i++)
        mio_sleep_ms(10);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    pid_t runner = runner_of(f, "t-k1aaaaaaaa");
    assert_false(secret_on_a_command_line(f, "hush-hush"));
    assert_done(do_remove(f, "job", "taxi/t-k1aaaaaaaa"));
    assert_false(mio_proc_alive(runner));
    assert_done(do_remove(f, "data", "taxi/trips:1"));
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_false(mio_fs_exists(f->root));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        CASE(test_inputs_and_outputs),
        CASE(test_quoting),
        CASE(test_sandbox_walls),
        CASE(test_failure_shows_the_log),
        CASE(test_bad_bodies),
        CASE(test_preflight),
        CASE(test_missing_bwrap),
        CASE(test_run_outlives_its_caller),
        CASE(test_interrupted_runner_runs_again),
        CASE(test_cancel_and_deadline),
        CASE(test_removing_a_running_job_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
