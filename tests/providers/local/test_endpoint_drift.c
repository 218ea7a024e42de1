/* tests/providers/local/test_endpoint_drift.c: what is altered, killed or cut short is seen, and
 * mended by the next run. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include "tests/providers/local/serving_support.h"

#define BLUE "deployments/blue/g1"

static void blue_at_100(struct fixture *f, const char *more)
{
    make_endpoint(f, "");
    make_deployment(f, "blue", more);
    set_traffic(f, "'blue':100");
    assert_int_equal(score(f, "1").status, 200);
}

static struct answer update_blue(struct fixture *f, const char *more)
{
    struct answer a =
        do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", more), NULL);
    assert_done(a);
    return a;
}

/* After a restart HAProxy's own checks say when requests flow again: soon, not at once. */
static int answers_soon(struct fixture *f)
{
    int status = 0;
    for (int i = 0; i < 100 && status != 200; i++) {
        status = score(f, "1").status;
        if (status != 200)
            mio_sleep_ms(100);
    }
    return status;
}

static struct mio_str now(struct fixture *f, const char *kind, const char *id, const char *key)
{
    struct answer a = do_read(f, kind, id, NULL);
    return attr(&a, key);
}

static void weight_changed_by_hand(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    make_deployment(f, "green", "");
    struct answer set = set_traffic(f, "'blue':90,'green':10");
    assert_string_equal(runtime(f, "set weight traffic/green 60"), "\n");
    struct answer a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&a, "traffic", "blue"), "90");
    assert_str(attr2(&a, "traffic", "green"), "60");
    /* someone else's change elsewhere keeps it: traffic is changed by its own step alone */
    update_blue(f, "'instance_count':2,");
    a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&a, "traffic", "green"), "60");
    struct answer mended = set_traffic(f, "'blue':90,'green':10");
    assert_true(mio_equal(mended.attributes, set.attributes));
    a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_true(mio_equal(a.attributes, set.attributes));
    assert_non_null(strstr(get_file(f, endpoint_file(f, "haproxy.cfg")), "weight 10 "));
}

static void weight_given_by_hand_to_one_without(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    make_deployment(f, "green", "");
    struct answer a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&a, "traffic", "green"), ""); /* nothing wanted, nothing there */
    runtime(f, "set weight traffic/green 5");
    a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&a, "traffic", "green"), "5");
    a = set_traffic(f, "'blue':100");
    assert_str(attr2(&a, "traffic", "green"), "");
}

static void replica_taken_down(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "'instance_count':2,");
    pid_t other = server_pid(f, BLUE "/r0");
    RUN(f, "s6-svc", "-wd", "-T", "5000", "-d", endpoint_file(f, BLUE "/r1"));
    assert_str(now(f, "deployment", "ws/fare/blue", "ready_replicas"), "1");
    assert_str(now(f, "deployment", "ws/fare/blue", "provisioning_state"), "Degraded");
    assert_int_equal(score(f, "1").status, 200);
    struct answer a = update_blue(f, "'instance_count':2,");
    assert_str(attr(&a, "ready_replicas"), "2");
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
    assert_int_equal(server_pid(f, BLUE "/r0"), other);
}

static void replica_killed_comes_back(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "'instance_count':2,");
    pid_t first = server_pid(f, BLUE "/r0");
    kill(first, SIGKILL);
    while (mio_proc_alive(first))
        mio_sleep_ms(1);
    for (int i = 0; i < 20; i++) /* the other answers */
        assert_int_equal(score(f, "1").status, 200);
    wait_attr(f, "deployment", "ws/fare/blue", "ready_replicas", "2", 10);
    assert_int_not_equal(server_pid(f, BLUE "/r0"), first);
}

/* HAProxy sends it nothing: "1 d_blue 1 r0 - 0 ...", the last being the state of the server. */
static bool out_of_traffic(struct fixture *f, const char *server)
{
    const char *line = strstr(runtime(f, "show servers state d_blue"), server);
    unsigned up = 1;
    return line && sscanf(line, "%*s %*s %u", &up) == 1 && up == 0;
}

static void stuck_replica_is_restarted(void **state)
{
    struct fixture *f = *state;
    const char *probes =
        "'liveness_probe':{'initial_delay':0,'period':1,'timeout':1,'failure_threshold':2},"
        "'readiness_probe':{'period':1,'timeout':1,'failure_threshold':1},'instance_count':2,";
    blue_at_100(f, probes);
    pid_t stuck = server_pid(f, BLUE "/r0");
    mio_sleep_ms(1500); /* the liveness probe, four times a second at first, has seen it once */
    kill(stuck, SIGSTOP);
    for (int i = 0; i < 500 && !out_of_traffic(f, " r0 ") && server_pid(f, BLUE "/r0") == stuck;
         i++)
        mio_sleep_ms(20); /* by the readiness probe, before the liveness probe has it restarted */
    for (int i = 0; i < 5; i++)
        assert_int_equal(score(f, "1").status, 200);
    wait_attr(f, "deployment", "ws/fare/blue", "ready_replicas", "2", 15);
    assert_int_not_equal(server_pid(f, BLUE "/r0"), stuck);
    assert_non_null(
        strstr(get_file(f, endpoint_file(f, BLUE "/r0/logs/current")), "not alive: restarting"));
}

static void haproxy_killed_comes_back(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    kill(service_pid(f, "haproxy"), SIGKILL);
    wait_attr(f, "endpoint", "ws/fare", "provisioning_state", "Succeeded", 10);
    for (int i = 0; i < 40 && score(f, "1").status != 200; i++)
        mio_sleep_ms(50);
    assert_int_equal(score(f, "1").status, 200);
}

/* Probes of a new process that the old one answers while it stops are no news of the replicas. */
static void loaded_anew_many_times(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    for (int i = 0; i < 60; i++) {
        kill(service_pid(f, "haproxy"), SIGUSR2);
        mio_sleep_ms(50);
    }
    const char *log = RUN(f, "cat", endpoint_file(f, "haproxy/logs/current"));
    assert_non_null(strstr(log, "Reloading"));
    /* Unless the machine is too busy for a probe of the replica itself. */
    if (!strstr(log, "d_blue/r0 is DOWN"))
        assert_null(strstr(log, "Layer7 wrong status"));
}

static void haproxy_taken_down(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    RUN(f, "s6-svc", "-wd", "-T", "5000", "-d", endpoint_file(f, "haproxy"));
    struct answer a = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr(&a, "provisioning_state"), "Failed");
    assert_str(attr2(&a, "traffic", "blue"), "100"); /* one thing is wrong, not two */
    assert_int_equal(score(f, "1").status, 0);
    a = set_traffic(f, "'blue':100");
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
    assert_int_equal(score(f, "1").status, 200);
}

static void stop_everything(struct fixture *f)
{
    pid_t pids[64];
    RUN(f, "s6-svscanctl", "-t", endpoint_file(f, "services"));
    for (int i = 0; i < 100 && processes(f, pids, 64); i++)
        mio_sleep_ms(50);
    assert_int_equal(processes(f, pids, 64), 0);
}

static void after_a_restart_of_the_machine(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "'resources':{'cpu':1,'memory':'300MiB'},");
    stop_everything(f);
    assert_str(now(f, "endpoint", "ws/fare", "provisioning_state"), "Failed");
    assert_str(now(f, "deployment", "ws/fare/blue", "provisioning_state"), "Failed");
    set_traffic(f, "'blue':100");
    struct answer a = update_blue(f, "'resources':{'cpu':1,'memory':'300MiB'},");
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
    assert_int_equal(answers_soon(f), 200);
}

static void supervisor_killed(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    const char *out = RUN(f, "pgrep", "-f", text(f, "s6-svscan %s", endpoint_file(f, "services")));
    uint64_t pid = 0;
    assert_true(mio_str_u64(mio_str_trim(mio_str_z(out)), &pid));
    kill((pid_t)pid, SIGKILL);
    assert_int_equal(score(f, "1").status, 200); /* what it started goes on */
    put_plain_script(f, "blue", "second");
    int64_t began = mio_now_ms();
    update_blue(f, "");
    assert_in_range(mio_now_ms() - began, 0, 20000); /* nobody is waited for in vain */
    assert_non_null(strstr(score(f, "1").body.p, "second"));
    assert_done(do_remove(f, "endpoint", "ws/fare"));
    pid_t pids[64];
    assert_int_equal(processes(f, pids, 64), 0);
}

static void altered_code_is_replaced(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    struct answer was = do_read(f, "deployment", "ws/fare/blue", NULL);
    put_file(f, endpoint_file(f, BLUE "/code/score.py"),
             "def init(): pass\ndef run(d): return 'evil'\n");
    struct answer is = do_read(f, "deployment", "ws/fare/blue", NULL);
    assert_false(mio_str_eq(attr(&was, "content_digest"), attr(&is, "content_digest")));
    struct answer mended = update_blue(f, "");
    assert_true(mio_equal(mended.attributes, was.attributes));
    assert_non_null(strstr(score(f, "1").body.p, "blue"));
    assert_false(mio_fs_exists(endpoint_file(f, BLUE)));
}

static void scaling_leaves_the_others_alone(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    pid_t first = server_pid(f, BLUE "/r0");
    struct answer a = update_blue(f, "'instance_count':3,");
    assert_str(attr(&a, "ready_replicas"), "3");
    a = update_blue(f, "'instance_count':1,");
    assert_str(attr(&a, "ready_replicas"), "1");
    assert_int_equal(server_pid(f, BLUE "/r0"), first);
    assert_false(mio_fs_exists(endpoint_file(f, BLUE "/r1")));
    assert_string_equal(RUN(f, "ls", endpoint_file(f, "services")), "blue@g1-r0\nhaproxy\n");
}

static void group_limits_follow_the_resources(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "'resources':{'memory':'200MiB'},");
    if (f->warnings) /* the kernel or the permissions do not let us limit: it was said */
        skip();
    const char *mine = RUN(f, "cat", text(f, "/proc/%d/cgroup", (int)server_pid(f, BLUE "/r0")));
    assert_non_null(strstr(mine, "ws+fare+blue@g1-r0"));
}

/* The machine starts without the groups, and what starts s6-svscan starts the replicas. */
static void group_limits_hold_after_a_restart_of_the_machine(void **state)
{
    struct fixture *f = *state;
    const char *limits = "'resources':{'memory':'200MiB'},";
    blue_at_100(f, limits);
    if (f->warnings)
        skip();
    const char *name = "ws+fare+blue@g1-r0";
    const char *group = RUN(f, "sh", "-c",
                            text(f, "grep -o '\"/[^\"]*%s/cgroup.procs' %s", name,
                                 endpoint_file(f, BLUE "/r0/replica.json")));
    group = mio_arena_z(&f->arena, mio_path_dir(mio_str_sub(mio_str_z(group), 1, strlen(group))));
    stop_everything(f);
    assert_int_equal(rmdir(group), 0);
    set_traffic(f, "'blue':100");
    wait_attr(f, "deployment", "ws/fare/blue", "ready_replicas", "1", 10);
    assert_str(now(f, "deployment", "ws/fare/blue", "provisioning_state"), "Degraded");
    struct answer a = update_blue(f, limits);
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
    const char *mine =
        RUN(f, "cat", text(f, "/proc/%d/cgroup", (int)server_pid(f, "deployments/blue/g2/r0")));
    assert_non_null(strstr(mine, "ws+fare+blue@g2-r0"));
    assert_int_equal(score(f, "1").status, 200);
}

/* Control groups are the machine's, names are a platform's. */
static void platform_with_the_same_names_is_left_alone(void **state)
{
    struct fixture *f = *state;
    const char *limits = "'resources':{'memory':'300MiB'},";
    void *other = NULL;
    blue_at_100(f, limits);
    pid_t mine = server_pid(f, BLUE "/r0");
    assert_int_equal(serving_setup(&other), 0);
    blue_at_100(other, limits);
    assert_done(do_remove(other, "deployment", "ws/fare/blue"));
    assert_int_equal(serving_teardown(&other), 0);
    assert_int_equal(score(f, "1").status, 200);
    assert_int_equal(server_pid(f, BLUE "/r0"), mine);
}

/* A run that is killed at any moment is carried on by the next, and leaves one generation. */
static void update_killed_half_way(void **state)
{
    struct fixture *f = *state;
    blue_at_100(f, "");
    for (int round = 1; round <= 6; round++) {
        put_plain_script(f, "blue", text(f, "round%d", round));
        pid_t child = fork();
        if (child == 0) {
            do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", ""), NULL);
            _exit(0);
        }
        mio_sleep_ms(round * 70);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        assert_int_equal(score(f, "1").status, 200); /* old or new, never none */
        struct answer a = update_blue(f, "");
        assert_str(attr(&a, "provisioning_state"), "Succeeded");
        assert_non_null(strstr(score(f, "1").body.p, text(f, "round%d", round)));
        const char *names =
            RUN(f, "sh", "-c",
                text(f, "ls %s | wc -l; ls -d %s/g* | wc -l", endpoint_file(f, "services"),
                     endpoint_file(f, "deployments/blue")));
        assert_string_equal(names, "2\n1\n");
    }
}

static void create_and_remove_killed_half_way(void **state)
{
    struct fixture *f = *state;
    put_plain_script(f, "blue", "blue");
    for (int round = 0; round < 6; round++) {
        pid_t child = fork();
        if (child == 0) {
            do_create(f, "endpoint", "e", "{'name':'fare','workspace':'ws'}");
            do_create(f, "deployment", "d", deployment_inputs(f, "blue", ""));
            do_remove(f, "endpoint", "ws/fare");
            _exit(0);
        }
        mio_sleep_ms(40 + round * 130);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (round % 2) { /* carried on ... */
            blue_at_100(f, "");
        } /* ... or given up */
        assert_done(do_remove(f, "endpoint", "ws/fare"));
        pid_t pids[64]; /* a child that the killed run had waited for ends by itself */
        for (int i = 0; i < 100 && processes(f, pids, 64); i++)
            mio_sleep_ms(20);
        assert_int_equal(processes(f, pids, 64), 0);
        assert_false(mio_fs_exists(endpoint_dir(f)));
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, serving_setup, serving_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(weight_changed_by_hand),
        TEST(weight_given_by_hand_to_one_without),
        TEST(replica_taken_down),
        TEST(replica_killed_comes_back),
        TEST(stuck_replica_is_restarted),
        TEST(haproxy_killed_comes_back),
        TEST(loaded_anew_many_times),
        TEST(haproxy_taken_down),
        TEST(after_a_restart_of_the_machine),
        TEST(supervisor_killed),
        TEST(altered_code_is_replaced),
        TEST(scaling_leaves_the_others_alone),
        TEST(group_limits_follow_the_resources),
        TEST(group_limits_hold_after_a_restart_of_the_machine),
        TEST(platform_with_the_same_names_is_left_alone),
        TEST(update_killed_half_way),
        TEST(create_and_remove_killed_half_way),
    };
    return cmocka_run_group_tests_name("endpoint_drift", tests, NULL, NULL);
}
