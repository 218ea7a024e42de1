/* tests/providers/local/test_endpoint.c: endpoints and deployments on the real HAProxy, s6 and
 * bubblewrap. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "tests/providers/local/serving_support.h"

/* ---- serving ---- */

static void serves_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct answer e = make_endpoint(f, "");
    assert_str(attr(&e, "provisioning_state"), "Succeeded");
    assert_str(e.id, "ws/fare");
    assert_int_equal(score(f, "1").status, 503); /* nothing to serve it */
    struct answer d = make_deployment(f, "blue", "'instance_count':2,");
    assert_str(d.id, "ws/fare/blue");
    assert_str(attr(&d, "ready_replicas"), "2");
    assert_str(attr(&d, "provisioning_state"), "Succeeded");
    assert_int_equal(score(f, "1").status, 503); /* no traffic yet */
    struct answer t = set_traffic(f, "'blue':100");
    assert_str(attr2(&t, "traffic", "blue"), "100");
    struct reply r = score(f, "{\"x\": 1}");
    assert_int_equal(r.status, 200);
    assert_str(r.body, "{\"by\": \"blue\", \"got\": \"{\\\"x\\\": 1}\"}");
    assert_str(header_of(f, &r, "azureml-model-deployment"), "blue");
    assert_int_equal(send_to(f, "GET", "/", key_header(f, "primary"), "").status, 200);
    struct answer list = do_list(f, "deployment");
    assert_str(mio_get_str(list.json.items[0], "id"), "ws/fare/blue");
    assert_int_equal(do_import(f, "endpoint", "ws/fare").status, MLOPS_OK);

    pid_t pids[64];
    assert_true(processes(f, pids, 64) > 5);
    assert_done(do_remove(f, "deployment", "ws/fare/blue"));
    assert_int_equal(do_read(f, "deployment", "ws/fare/blue", NULL).status, MLOPS_NOT_FOUND);
    assert_int_equal(score(f, "1").status, 503);
    assert_done(do_remove(f, "deployment", "ws/fare/blue"));
    assert_done(do_remove(f, "endpoint", "ws/fare"));
    assert_done(do_remove(f, "endpoint", "ws/fare"));
    assert_int_equal(do_read(f, "endpoint", "ws/fare", NULL).status, MLOPS_NOT_FOUND);
    assert_int_equal(processes(f, pids, 64), 0);
    assert_false(mio_fs_exists(endpoint_dir(f)));
}

static void making_it_again_gives_the_same(void **state)
{
    struct fixture *f = *state;
    struct answer a = make_endpoint(f, ""), b = make_endpoint(f, "");
    assert_true(mio_equal(a.attributes, b.attributes));
    struct answer c = make_deployment(f, "blue", "");
    pid_t before = server_pid(f, "deployments/blue/g1/r0");
    struct answer d = make_deployment(f, "blue", "");
    assert_true(mio_equal(c.attributes, d.attributes));
    assert_int_equal(server_pid(f, "deployments/blue/g1/r0"), before);
    struct answer r = do_read(f, "deployment", "ws/fare/blue", NULL);
    assert_true(mio_equal(r.attributes, d.attributes));
}

static void endpoint_goes_with_its_deployments(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    make_deployment(f, "blue", "'resources':{'cpu':1,'memory':'256MiB'},");
    assert_done(do_remove(f, "endpoint", "ws/fare"));
    pid_t pids[64];
    assert_int_equal(processes(f, pids, 64), 0);
}

/* ---- keys ---- */

static void keys_are_wanted_and_kept_secret(void **state)
{
    struct fixture *f = *state;
    struct answer e = make_endpoint(f, "'auth_mode':'key',");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    assert_int_equal(score(f, "1").status, 200);
    assert_int_equal(send_to(f, "POST", "/score", key_header(f, "secondary"), "1").status, 200);
    struct reply r = send_to(f, "POST", "/score", "", "1");
    assert_int_equal(r.status, 401);
    assert_has(r.head, "www-authenticate: Bearer");
    assert_int_equal(send_to(f, "POST", "/score", "Authorization: Bearer nonsense\r\n", "1").status,
                     401);
    assert_int_equal(send_to(f, "GET", "/swagger.json", "", "").status, 401);

    const char *key = strstr(key_header(f, "primary"), "Bearer ") + 7;
    key = text(f, "%.*s", (int)strcspn(key, "\r"), key);
    assert_int_equal(strlen(key), 43); /* 32 bytes in base64url */
    struct stat st;
    const char *private[] = {"keys/primary", "keys/secondary", "keys.sha256",  "haproxy.cfg",
                             "admin.sock",   "master.sock",    "endpoint.json"};
    for (size_t i = 0; i < sizeof private / sizeof *private; i++) {
        assert_int_equal(stat(endpoint_file(f, private[i]), &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
    assert_int_equal(stat(endpoint_dir(f), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    /* nowhere but in its own file: not in records, logs, configuration or command lines */
    const char *found =
        RUN(f, "sh", "-c",
            text(f,
                 "grep -rlF -e '%s' %s --exclude-dir=keys -s; cat /proc/[0-9]*/cmdline 2>/dev/null "
                 "| tr '\\0' ' ' | grep -v grep | grep -cF 'haproxy %s'; true",
                 key, f->dir, key));
    assert_string_equal(found, "0\n");
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, e.attributes, MIO_JSON_PLAIN);
    assert_null(strstr(b.p, key));
    /* curl takes the file as it is */
    assert_str(attr(&e, "key_file"), endpoint_file(f, "keys/primary"));
    const char *code = RUN(f, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "1",
                           "-H", text(f, "@%.*s", MIO_FMT(attr(&e, "key_file"))),
                           text(f, "%.*s", MIO_FMT(attr(&e, "scoring_uri"))));
    assert_string_equal(code, "200");
}

static void the_model_never_sees_the_key(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(f, "blue",
               "def init(): pass\ndef run(d, request_headers): return sorted(k.lower() for k in "
               "request_headers)\n");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    struct reply r = score(f, "1");
    assert_int_equal(r.status, 200);
    assert_null(strstr(r.body.p, "authorization"));
    assert_non_null(strstr(r.body.p, "host"));
}

static void auth_mode_none_and_back(void **state)
{
    struct fixture *f = *state;
    struct answer e = make_endpoint(f, "'auth_mode':'none',");
    assert_str(attr(&e, "key_file"), "");
    make_deployment(f, "blue", "");
    struct answer t = do_update(
        f, "endpoint", "u", "ws/fare",
        "{'name':'fare','workspace':'ws','auth_mode':'none','traffic':{'blue':100}}", NULL);
    assert_done(t);
    assert_int_equal(send_to(f, "POST", "/score", "", "1").status, 200);
    set_traffic(f, "'blue':100"); /* auth_mode left out: key */
    assert_int_equal(send_to(f, "POST", "/score", "", "1").status, 401);
    assert_int_equal(score(f, "1").status, 200);
}

static void a_lost_key_is_made_anew(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    const char *old = key_header(f, "primary");
    assert_int_equal(unlink(endpoint_file(f, "keys/primary")), 0);
    struct answer r = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr(&r, "provisioning_state"), "Degraded");
    set_traffic(f, "'blue':100");
    assert_int_equal(send_to(f, "POST", "/score", old, "1").status, 401);
    assert_int_equal(score(f, "1").status, 200);
}

/* ---- routing ---- */

static void traffic_is_shared_by_percent(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    make_deployment(f, "blue", "'instance_count':1,");
    make_deployment(f, "green",
                    "'instance_count':2,"); /* the number of replicas changes no share */
    set_traffic(f, "'blue':90,'green':10");
    int blue = 0, green = 0;
    for (int i = 0; i < 200; i++) {
        struct reply r = score(f, "1");
        assert_int_equal(r.status, 200);
        struct mio_str by = header_of(f, &r, "azureml-model-deployment");
        blue += mio_str_is(by, "blue");
        green += mio_str_is(by, "green");
    }
    assert_in_range(blue, 174, 186);
    assert_int_equal(blue + green, 200);
    for (int i = 0; i < 10; i++) { /* a caller may ask for one by name, whatever its share */
        struct reply r = send_to(
            f, "POST", "/score",
            text(f, "%sazureml-model-deployment: green\r\n", key_header(f, "primary")), "1");
        assert_str(header_of(f, &r, "azureml-model-deployment"), "green");
    }
    struct reply r =
        send_to(f, "POST", "/score",
                text(f, "%sazureml-model-deployment: red\r\n", key_header(f, "primary")), "1");
    assert_int_equal(r.status, 404);
    set_traffic(f, "'green':100");
    for (int i = 0; i < 20; i++) {
        r = score(f, "1");
        assert_str(header_of(f, &r, "azureml-model-deployment"), "green");
    }
}

static void a_replaced_deployment_keeps_its_share(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    assert_done(do_remove(f, "deployment", "ws/fare/blue"));
    struct answer gone = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&gone, "traffic", "blue"), "0");
    make_deployment(f, "blue", "");
    struct answer back = do_read(f, "endpoint", "ws/fare", NULL);
    assert_str(attr2(&back, "traffic", "blue"), "100");
    assert_int_equal(score(f, "1").status, 200);
}

static void limits_of_a_request(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(f, "blue",
               "import time\ndef init(): pass\ndef run(d):\n  time.sleep(float(d))\n  return d\n");
    make_deployment(
        f, "blue",
        "'request_settings':{'request_timeout_ms':400,'max_concurrent_requests_per_instance':1,"
        "'max_queue_wait_ms':200},");
    set_traffic(f, "'blue':100");
    assert_int_equal(score(f, "0").status, 200);
    assert_int_equal(score(f, "1").status, 504);
    mio_sleep_ms(800);
    /* one is served, one waits and gives up, the others are too many */
    const char *cmd =
        text(f,
             "for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%%{http_code}\\n' -d 0.35 -H @%s "
             "http://127.0.0.1:%s/score & done; wait",
             endpoint_file(f, "keys/primary"),
             text(f, "%.*s",
                  MIO_FMT(mio_str_trim(
                      mio_str_z(RUN(f, "sh", "-c",
                                    text(f, "sed -n 's/.*\"port\": \\([0-9]*\\).*/\\1/p' %s",
                                         endpoint_file(f, "endpoint.json"))))))));
    const char *codes = RUN(f, "sh", "-c", cmd);
    assert_non_null(strstr(codes, "200"));
    assert_non_null(strstr(codes, "503"));
    assert_non_null(strstr(codes, "429"));
}

/* ---- what a replica sees ---- */

static void replica_environment(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "'auth_mode':'none',");
    put_file(f, text(f, "%s/weights/model.txt", f->dir), "forty-two");
    put_script(f, "blue",
               "import json, os, socket\n"
               "def init(): pass\n"
               "def run(d):\n"
               "  out = {}\n"
               "  root = os.environ['AZUREML_MODEL_DIR']\n"
               "  out['model'] = open(os.path.join(root, 'weights', 'model.txt')).read()\n"
               "  out['mine'] = os.environ['MINE']\n"
               "  out['beside'] = os.path.exists(d)\n"
               "  for name, path in (('code', 'x'), ('model_dir', root + '/weights/x'), ('usr', "
               "'/usr/x')):\n"
               "    try:\n"
               "      open(path, 'w'); out[name] = 'written'\n"
               "    except OSError as e: out[name] = 'refused'\n"
               "  try:\n"
               "    socket.create_connection(('127.0.0.1', 22), 1); out['net'] = 'open'\n"
               "  except OSError as e: out['net'] = 'closed'\n"
               "  out['others'] = len([p for p in os.listdir('/proc') if p.isdigit()])\n"
               "  return out\n");
    make_deployment(
        f, "blue",
        "'model':{'path':'weights'},'environment_variables':{'MINE':'a secret of mine'},");
    assert_done(do_update(
        f, "endpoint", "u", "ws/fare",
        "{'name':'fare','workspace':'ws','auth_mode':'none','traffic':{'blue':100}}", NULL));
    struct reply r = send_to(f, "POST", "/score", "", endpoint_file(f, "keys"));
    assert_int_equal(r.status, 200);
    assert_str(
        r.body,
        "{\"model\": \"forty-two\", \"mine\": \"a secret of mine\", \"beside\": false, \"code\": "
        "\"refused\", "
        "\"model_dir\": \"refused\", \"usr\": \"refused\", \"net\": \"closed\", \"others\": 1}");
    const char *argv =
        RUN(f, "sh", "-c",
            "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'a secret of "
            "[m]ine'; true");
    assert_string_equal(argv, "0\n");
}

/* ---- failing ---- */

static void broken_script_says_why_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(
        f, "bad",
        "def init():\n    raise RuntimeError('the weights are upside down')\ndef run(d): pass\n");
    struct answer a =
        do_create(f, "deployment", "d", deployment_inputs(f, "bad", "'instance_count':2,"));
    assert_int_equal(a.rc, MLOPS_ERROR); /* at once: nobody waits for it to become well */
    assert_int_equal(a.code, MLOPS_E_REALITY);
    assert_has(a.message, "the weights are upside down");
    assert_has(a.hint, "scoring script");
    assert_int_equal(do_read(f, "deployment", "ws/fare/bad", NULL).status, MLOPS_NOT_FOUND);
    assert_false(mio_fs_exists(endpoint_file(f, "deployments/bad")));
    assert_int_equal(score(f, "1").status, 503);
}

static void a_bad_update_keeps_the_old_one_serving(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    make_deployment(f, "blue", "");
    set_traffic(f, "'blue':100");
    put_script(f, "blue", "def init(): raise SystemError('no')\ndef run(d): pass\n");
    struct answer a =
        do_update(f, "deployment", "u", "ws/fare/blue", deployment_inputs(f, "blue", ""), NULL);
    assert_int_equal(a.rc, MLOPS_ERROR);
    struct reply r = score(f, "1");
    assert_int_equal(r.status, 200);
    struct answer now = do_read(f, "deployment", "ws/fare/blue", NULL);
    assert_str(attr(&now, "provisioning_state"), "Succeeded");
    assert_false(mio_fs_exists(endpoint_file(f, "deployments/blue/g2")));
}

static void slow_start_ends_at_the_deadline_or_on_request(void **state)
{
    struct fixture *f = *state;
    make_endpoint(f, "");
    put_script(
        f, "slow",
        "import time\nprint('loading the giant')\ndef init(): time.sleep(60)\ndef run(d): pass\n");
    f->deadline_ms = mio_now_ms() + 3000;
    struct answer a = do_create(f, "deployment", "d", deployment_inputs(f, "slow", ""));
    f->deadline_ms = 0;
    assert_int_equal(a.rc, MLOPS_ERROR);
    f->cancel_at = "of 1 replicas ready";
    a = do_create(f, "deployment", "d", deployment_inputs(f, "slow", ""));
    f->cancel_at = NULL;
    assert_int_equal(a.code, MLOPS_E_CANCELLED);
    assert_false(mio_fs_exists(endpoint_file(f, "deployments/slow")));
}

static void references_that_lead_nowhere(void **state)
{
    struct fixture *f = *state;
    put_plain_script(f, "blue", "blue");
    struct answer a = do_create(f, "deployment", "d", deployment_inputs(f, "blue", ""));
    assert_int_equal(a.code, MLOPS_E_REALITY);
    assert_has(a.message, "endpoint fare does not exist");
    make_endpoint(f, "");
    a = do_create(f, "deployment", "d",
                  deployment_inputs(f, "blue", "'model':'azureml:nothing:1',"));
    assert_int_equal(a.rc, MLOPS_ERROR);
    assert_has(a.message, "nothing");
    a = do_create(f, "deployment", "d",
                  "{'name':'blue','workspace':'ws','endpoint':'fare','code_configuration':"
                  "{'code':'nowhere'}}");
    assert_int_equal(a.code, MLOPS_E_TEMPLATE);
    assert_has(a.message, "nowhere/score.py does not exist");
    a = do_update(f, "endpoint", "u", "ws/fare",
                  "{'name':'fare','workspace':'ws','traffic':{'red':100}}", NULL);
    assert_int_equal(a.code, MLOPS_E_REALITY);
    assert_has(a.message, "no deployment red");
    a = do_create(f, "endpoint", "e", "{'name':'other','workspace':'nope'}");
    assert_has(a.message, "nope");
}

static void bad_inputs_are_found_before_anything_runs(void **state)
{
    struct fixture *f = *state;
    struct answer a =
        do_validate(f, "endpoint", "{'name':'fare','traffic':{'blue':90,'green':20}}");
    assert_int_equal(a.json.n, 1);
    assert_has(mio_get_str(a.json.items[0], "message"), "110 percent");
    assert_str(mio_get_str(a.json.items[0], "path"), "traffic");
    a = do_validate(f, "endpoint", "{'name':'fare','traffic':{'blue':12.5,'green':87.5}}");
    assert_int_equal(mio_str_is(mio_get_str(a.json.items[0], "path"), "traffic.blue"), 1);
    a = do_validate(f, "endpoint",
                    "{'name':'fare','mirror_traffic':{'blue':10},'auth_mode':'aad_token'}");
    assert_int_equal(a.json.n, 1);
    a = do_validate(f, "endpoint", "{'name':'fare','traffic':{'blue':0}}");
    assert_int_equal(a.json.n, 0);
    a = do_validate(f, "deployment", "{'name':'blue','endpoint':'fare'}");
    assert_has(mio_get_str(a.json.items[0], "path"), "code_configuration");
    put_plain_script(f, "blue", "blue");
    a = do_validate(
        f, "deployment",
        "{'name':'b','code_configuration':{'code':'src-blue','scoring_script':'x.py'}}");
    assert_has(mio_get_str(a.json.items[0], "message"), "no x.py");
    a = do_validate(
        f, "deployment",
        "{'name':'b','code_configuration':{'code':'src-blue','scoring_script':'../x.py'}}");
    assert_has(mio_get_str(a.json.items[0], "message"), "outside");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, serving_setup, serving_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_and_leaves_nothing),
        TEST(making_it_again_gives_the_same),
        TEST(endpoint_goes_with_its_deployments),
        TEST(keys_are_wanted_and_kept_secret),
        TEST(the_model_never_sees_the_key),
        TEST(auth_mode_none_and_back),
        TEST(a_lost_key_is_made_anew),
        TEST(traffic_is_shared_by_percent),
        TEST(a_replaced_deployment_keeps_its_share),
        TEST(limits_of_a_request),
        TEST(replica_environment),
        TEST(broken_script_says_why_and_leaves_nothing),
        TEST(a_bad_update_keeps_the_old_one_serving),
        TEST(slow_start_ends_at_the_deadline_or_on_request),
        TEST(references_that_lead_nowhere),
        TEST(bad_inputs_are_found_before_anything_runs),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
