/* tests/providers/local/test_endpoint_traffic.c: no request fails while everything changes under
 * load (wrk). */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include "tests/providers/local/serving_support.h"

struct load {
    pid_t pid;
    const char *out;
};

/* POSTs (or GETs with a query) over kept connections until requests_of, 100 seconds at most. */
static struct load start_load(struct fixture *f, const char *method)
{
    struct answer e = do_read(f, "endpoint", "ws/fare", NULL);
    const char *key = key_header(f, "primary"), *get = strcmp(method, "GET") == 0 ? "?x=1" : "";
    const char *lua = text(f, "%s/%s.lua", f->dir, method),
               *out = text(f, "%s/%s.out", f->dir, method);
    put_file(f, lua,
             text(f,
                  "wrk.method = '%s'\nwrk.body = '%s'\nwrk.headers['Authorization'] = '%.*s'\n"
                  "function response(status, headers, body)\n"
                  "  if status ~= 200 then print(status, os.time(), body) end\n"
                  "end\n",
                  method, *get ? "" : "{\"data\": [1, 2, 3]}", (int)strcspn(key + 15, "\r"),
                  key + 15));
    const char *argv[] = {
        "wrk",    "-t1",       "-c8",
        "-d100s", "--timeout", "20s",
        "-s",     lua,         text(f, "%.*s%s", MIO_FMT(attr(&e, "scoring_uri")), get),
        NULL};
    int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const struct mio_proc_opts o = {.argv = argv, .in = -1, .out = fd, .err = fd};
    struct load load = {.out = out};
    struct mio_err err = {0};
    if (mio_proc_spawn(&o, &load.pid, &err))
        fail_msg("%s", err.message);
    close(fd);
    return load;
}

static uint64_t requests_of(struct fixture *f, struct load load)
{
    int status = -1;
    kill(load.pid, SIGINT);
    waitpid(load.pid, &status, 0);
    const char *said = get_file(f, load.out);
    uint64_t n = 0;
    assert_int_equal(status, 0);
    if (strstr(said, "Non-2xx") || strstr(said, "Socket errors"))
        fail_msg("requests failed:\n%s\n%s", said,
                 get_file(f, endpoint_file(f, "haproxy/logs/current")));
    const char *at = strstr(said, " requests in ");
    assert_non_null(at);
    const char *start = at;
    while (start > said && start[-1] >= '0' && start[-1] <= '9')
        start--;
    assert_true(mio_str_u64((struct mio_str){start, (size_t)(at - start)}, &n));
    return n;
}

static void two_deployments(struct fixture *f)
{
    make_endpoint(f, "");
    make_deployment(f, "blue", "'instance_count':2,");
    make_deployment(f, "green", "");
    set_traffic(f, "'blue':90,'green':10");
}

static void nothing_fails_while_everything_changes(void **state)
{
    struct fixture *f = *state;
    two_deployments(f);
    struct load post = start_load(f, "POST"), get = start_load(f, "GET");
    mio_sleep_ms(300);
    set_traffic(f, "'blue':50,'green':50");
    set_traffic(f, "'blue':0,'green':100");
    put_plain_script(f, "green",
                     "green two"); /* rolling update of the one that has all the traffic */
    assert_done(
        do_update(f, "deployment", "u", "ws/fare/green", deployment_inputs(f, "green", ""), NULL));
    make_deployment(f, "red", "'instance_count':2,"); /* a new one */
    set_traffic(f, "'red':100");
    assert_done(do_remove(f, "deployment", "ws/fare/blue")); /* an old one gone */
    assert_done(do_update(f, "deployment", "s", "ws/fare/red", deployment_inputs(f, "red", ""),
                          NULL)); /* scaled down */
    set_traffic(f, "'green':50,'red':50");
    mio_sleep_ms(300);
    uint64_t sent = requests_of(f, post), asked = requests_of(f, get);
    print_message("%ju POST and %ju GET requests, none failed\n", (uintmax_t)sent,
                  (uintmax_t)asked);
    assert_true(sent > 100 && asked > 100);
    assert_non_null(strstr(
        send_to(f, "POST", "/score",
                text(f, "%sazureml-model-deployment: green\r\n", key_header(f, "primary")), "1")
            .body.p,
        "green two"));
}

/* The whole load by runtime weights alone: the process of HAProxy stays the same. */
static void weights_change_without_a_new_process(void **state)
{
    struct fixture *f = *state;
    two_deployments(f);
    const char *before = strstr(runtime(f, "show info"), "\nPid: ");
    struct load post = start_load(f, "POST");
    for (int i = 0; i <= 100; i += 10) {
        set_traffic(f, text(f, "'blue':%d,'green':%d", 100 - i, i));
        mio_sleep_ms(50);
    }
    for (int i = 0; i < 40; i++) /* and at no moment is there nobody */
        set_traffic(f, i % 2 ? "'blue':100" : "'green':100");
    set_traffic(f, "'green':100");
    const char *after = strstr(runtime(f, "show info"), "\nPid: ");
    assert_int_equal(strncmp(before, after, strcspn(before + 1, "\n") + 1), 0);
    assert_true(requests_of(f, post) > 100);
    for (int i = 0; i < 20; i++) {
        struct reply r = score(f, "1");
        assert_str(header_of(f, &r, "azureml-model-deployment"), "green");
    }
}

/* A request to blue that it answers after `seconds`; its answer goes to the file `long`. */
static pid_t ask_slowly(struct fixture *f, const char *seconds)
{
    struct answer e = set_traffic(f, "'blue':100");
    const char *argv[] = {"curl",
                          "-s",
                          "-o",
                          text(f, "%s/long", f->dir),
                          "-d",
                          seconds,
                          "-H",
                          text(f, "@%s", endpoint_file(f, "keys/primary")),
                          text(f, "%.*s", MIO_FMT(attr(&e, "scoring_uri"))),
                          NULL};
    const struct mio_proc_opts o = {.argv = argv, .in = -1, .out = -1, .err = -1};
    struct mio_err err = {0};
    pid_t curl;
    assert_int_equal(mio_proc_spawn(&o, &curl, &err), MIO_OK);
    mio_sleep_ms(300);
    return curl;
}

static const char slow_script[] =
    "import time\ndef init(): pass\ndef run(d):\n  time.sleep(float(d))\n  return 'first'\n";

/* A request that takes long is answered by the generation it was sent to. */
static void a_long_request_outlives_the_update(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(f, "blue", slow_script);
    make_deployment(f, "blue", "");
    pid_t curl = ask_slowly(f, "2.5");
    put_plain_script(f, "blue", "second");
    int64_t start = mio_now_ms();
    assert_done(
        do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", ""), NULL));
    assert_true(mio_now_ms() - start > 1000); /* it waited */
    waitpid(curl, NULL, 0);
    assert_string_equal(get_file(f, text(f, "%s/long", f->dir)), "\"first\"");
    assert_non_null(strstr(score(f, "1").body.p, "second"));
}

/* While the update waits for the earlier generation; the second start takes longer than that. */
static void a_replica_that_dies_in_the_update_is_back_at_its_end(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(f, "blue", slow_script);
    make_deployment(f, "blue", "");
    pid_t curl = ask_slowly(f, "4"), killer = fork();
    if (killer == 0) {
        const char *dir = endpoint_file(f, "deployments/blue");
        execlp("sh", "sh", "-c",
               text(f,
                    "until grep -q '\"generation\": 2' %s/deployment.json; do sleep 0.1; done; "
                    "s6-svc -k %s/g2/r0",
                    dir, dir),
               NULL);
        _exit(127);
    }
    put_script(f, "blue",
               "import os, time\ndef init():\n  if os.path.exists('/run/replica/again'): "
               "time.sleep(6)\n  open('/run/replica/again', 'w').close()\ndef run(d): return d\n");
    struct answer a =
        do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", ""), NULL);
    waitpid(curl, NULL, 0);
    waitpid(killer, NULL, 0);
    assert_done(a);
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, serving_setup, serving_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_fails_while_everything_changes),
        TEST(weights_change_without_a_new_process),
        TEST(a_long_request_outlives_the_update),
        TEST(a_replica_that_dies_in_the_update_is_back_at_its_end),
    };
    return cmocka_run_group_tests_name("endpoint_traffic", tests, NULL, NULL);
}
