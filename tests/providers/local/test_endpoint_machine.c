/* tests/providers/local/test_endpoint_machine.c: what the machine lacks or refuses is said, with
 * the next step. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "tests/providers/local/serving_support.h"

static const char endpoint[] = "{'name':'fare','workspace':'ws'}";
static const char planned[] =
    "[{'address':'endpoint.fare','kind':'endpoint','action':'create','inputs':"
    "{'name':'fare','workspace':'ws'%s},'prior':null}]";

/* Row of a preflight that speaks of `part`; fails when there is none. */
static void assert_found(struct fixture *f, const struct answer *a, const char *part,
                         const char *hint)
{
    for (uint32_t i = 0; i < a->json.n; i++)
        if (strstr(text(f, "%.*s", MIO_FMT(mio_get_str(a->json.items[i], "message"))), part)) {
            assert_str(mio_get_str(a->json.items[i], "address"), "endpoint.fare");
            assert_has(mio_get_str(a->json.items[i], "hint"), hint);
            return;
        }
    fail_msg("no finding says \"%s\"", part);
}

static void missing_programs(void **state)
{
    struct fixture *f = *state;
    char *path = mio_strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    struct answer a = do_create(f, "endpoint", "e", endpoint);
    struct answer p = do_preflight(f, text(f, planned, ""));
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(a.code, MLOPS_E_IO);
    assert_has(a.message, "s6-svscan is not installed");
    assert_has(a.hint, "apt-get install s6");
    assert_found(f, &p, "s6-svscan is not installed", "apt-get install s6");
    fixture_configure(f, "{\"workspace\":\"ws\",\"haproxy\":\"/nonexistent/haproxy\"}");
    a = do_create(f, "endpoint", "e", endpoint);
    assert_int_equal(a.code, MLOPS_E_IO);
    assert_has(a.message, "/nonexistent/haproxy cannot be run");
    fixture_configure(f, "{\"workspace\":\"ws\",\"bwrap\":\"/nonexistent/bwrap\"}");
    a = do_create(f, "endpoint", "e", endpoint);
    assert_has(a.message, "/nonexistent/bwrap");
    fixture_configure(f, "{\"workspace\":\"ws\",\"s6\":\"/nonexistent\"}");
    a = do_create(f, "endpoint", "e", endpoint);
    assert_has(a.message, "/nonexistent/s6-svscan");
    assert_has(a.hint, "apt-get install s6");
    assert_false(mio_fs_exists(endpoint_dir(f)));
}

/* A program that is PATH's first but not there: each of the three, by its Debian package. */
static void the_hint_names_the_package(void **state)
{
    struct fixture *f = *state;
    const char *bin = text(f, "%s/bin", f->dir);
    RUN(f, "sh", "-c", text(f, "mkdir %s; for p in /usr/bin/s6-*; do ln -s $p %s; done", bin, bin));
    char *path = mio_strdup(getenv("PATH"));
    setenv("PATH", bin, 1);
    struct answer a = do_create(f, "endpoint", "e", endpoint);
    setenv("PATH", path, 1);
    free(path);
    assert_has(a.message, "bwrap is not installed");
    assert_has(a.hint, "apt-get install bubblewrap");
}

static int listen_on(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void port_taken(void **state)
{
    struct fixture *f = *state;
    int port, fd = listen_on(&port);
    const char *who = text(f, "port %d is taken by test_endpoint_m (pid %d)", port, (int)getpid());
    struct answer p = do_preflight(f, text(f, planned, text(f, ",'port':%d", port)));
    assert_found(f, &p, who, "another `port:`");
    struct answer a =
        do_create(f, "endpoint", "e", text(f, "{'name':'fare','workspace':'ws','port':%d}", port));
    assert_int_equal(a.code, MLOPS_E_REALITY);
    assert_str(a.message, who);
    assert_int_equal(do_read(f, "endpoint", "ws/fare", NULL).status, MLOPS_NOT_FOUND);
    close(fd);
    a = do_create(f, "endpoint", "e", text(f, "{'name':'fare','workspace':'ws','port':%d}", port));
    assert_done(a);
    assert_str(attr(&a, "port"), text(f, "%d", port));
    /* another endpoint of ours counts too, although HAProxy could share the port */
    a = do_create(f, "endpoint", "e", text(f, "{'name':'other','workspace':'ws','port':%d}", port));
    assert_int_equal(a.rc, MLOPS_ERROR);
    assert_has(a.message, "is taken by haproxy (pid ");
    do_remove(f, "endpoint", "ws/other");
}

static void a_chosen_port_is_remembered_and_changed(void **state)
{
    struct fixture *f = *state;
    struct answer a = make_endpoint(f, "");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    struct answer b = do_read(f, "endpoint", "ws/fare", NULL);
    assert_true(mio_str_eq(attr(&a, "port"), attr(&b, "port")));
    a = do_create(f, "endpoint", "e", "{'name':'other','workspace':'ws'}");
    assert_done(a);
    assert_false(mio_str_eq(attr(&a, "port"), attr(&b, "port")));
    assert_done(do_remove(f, "endpoint", "ws/other"));
    int port, fd = listen_on(&port);
    close(fd);
    a = do_update(f, "endpoint", "u", "ws/fare",
                  text(f, "{'name':'fare','workspace':'ws','port':%d}", port), NULL);
    assert_done(a);
    assert_str(attr(&a, "scoring_uri"), text(f, "http://127.0.0.1:%d/score", port));
    assert_int_equal(score(f, "1").status, 200); /* traffic was kept */
    a = do_update(f, "endpoint", "u", "ws/fare", endpoint, NULL);
    assert_str(attr(&a, "port"), text(f, "%d", port)); /* no longer given: stays */
}

/* Runs in a child that is nobody; 0 when `part` was in the message. */
static int as_nobody(struct fixture *f, const char *inputs, const char *part)
{
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) || setuid(65534))
            _exit(2);
        struct answer a = do_create(f, "endpoint", "e", inputs);
        _exit(a.rc == MLOPS_ERROR && strstr(text(f, "%.*s", MIO_FMT(a.message)), part) ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void no_permission(void **state)
{
    struct fixture *f = *state;
    if (getuid() != 0)
        skip();
    assert_int_equal(as_nobody(f, endpoint, f->root), 0);
}

static void disk_full(void **state)
{
    struct fixture *f = *state;
    struct rlimit was, tiny;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tiny = (struct rlimit){.rlim_cur = 16, .rlim_max = was.rlim_max};
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &tiny);
        struct answer a = do_create(f, "endpoint", "e", endpoint);
        _exit(a.rc == MLOPS_ERROR && a.code == MLOPS_E_IO ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_done(
        do_create(f, "endpoint", "e", endpoint)); /* and when there is room again it works */
}

/* A workspace may lie deeper than the 107 bytes of a Unix socket's address, and bear blanks and
 * quotes. */
static void a_deep_and_odd_folder(void **state)
{
    struct fixture *f = *state;
    const char *root =
        "a folder with 'quotes' and $dollars/and a very long name that goes on and on and on/"
        "until nobody can remember where it once began/platform";
    fixture_configure(f, text(f, "{\"workspace\":\"ws\",\"root\":\"%s\"}", root));
    f->root = text(f, "%s/%s", f->dir, root);
    assert_done(do_create(f, "workspace", "w", "{'name':'ws'}"));
    make_endpoint(f, "");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    assert_int_equal(score(f, "1").status, 200);
    put_plain_script(f, "blue", "second");
    assert_done(
        do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", ""), NULL));
    assert_non_null(strstr(score(f, "1").body.p, "second"));
}

/* A machine under load: HAProxy is there, and says nothing for a while. */
static void a_slow_haproxy_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct answer a = make_endpoint(f, "");
    const char *port = text(f, "%.*s", MIO_FMT(attr(&a, "port")));
    const char *worker = RUN(f, "pgrep", "-P", text(f, "%d", (int)service_pid(f, "haproxy")));
    pid_t pid = (pid_t)strtol(worker, NULL, 10);
    assert_true(pid > 1);
    kill(pid, SIGSTOP);
    pid_t waker = fork();
    if (waker == 0) {
        sleep(5);
        kill(pid, SIGCONT);
        _exit(0);
    }
    a = do_update(f, "endpoint", "u", "ws/fare",
                  "{'name':'fare','workspace':'ws','tags':{'x':'y'}}", NULL);
    waitpid(waker, NULL, 0);
    assert_done(a);
    assert_str(attr(&a, "port"), port);
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
}

/* Long names and many of them: HAProxy takes 2048 characters a line, and 64 words. */
static void many_deployments(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    for (int i = 10; i < 80; i++)
        put_file(f, endpoint_file(f, text(f, "deployments/d%061d%d/deployment.json", 0, i)),
                 "{\"inputs\":{},\"generation\":1,\"replicas\":1}");
    struct answer a = do_update(f, "endpoint", "u", "ws/fare",
                                "{'name':'fare','workspace':'ws','tags':{'x':'y'}}", NULL);
    assert_done(a);
    assert_str(attr(&a, "provisioning_state"), "Succeeded");
    struct reply r =
        send_to(f, "POST", "/score",
                text(f, "%sazureml-model-deployment: none\r\n", key_header(f, "primary")), "1");
    assert_int_equal(r.status, 404);
    r = send_to(f, "POST", "/score",
                text(f, "%sazureml-model-deployment: d%061d79\r\n", key_header(f, "primary"), 0),
                "1");
    assert_int_equal(r.status, 503); /* known; it has no replica */
    assert_done(do_remove(f, "endpoint", "ws/fare"));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, serving_setup, serving_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_programs),
        TEST(the_hint_names_the_package),
        TEST(port_taken),
        TEST(a_chosen_port_is_remembered_and_changed),
        TEST(no_permission),
        TEST(disk_full),
        TEST(a_deep_and_odd_folder),
        TEST(a_slow_haproxy_is_waited_for),
        TEST(many_deployments),
    };
    return cmocka_run_group_tests_name("endpoint_machine", tests, NULL, NULL);
}
