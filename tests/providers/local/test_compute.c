/* tests/providers/local/test_compute.c: slots, control groups of both versions, environments of
 * this machine. */
#include "tests/providers/local/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"

#define CPU                                               \
    "{'name':'cpu','workspace':'taxi','max_instances':1," \
    "'resources':{'cpu':0.5,'memory':'128MiB','pids':64}}"
#define CPU_TWO                                           \
    "{'name':'cpu','workspace':'taxi','max_instances':2," \
    "'resources':{'cpu':0.5,'memory':'128MiB','pids':64}}"

static void make_workspace(struct fixture *f)
{
    assert_done(do_create(f, "workspace", "ws", "{'name':'taxi'}"));
}

static const char *group(struct fixture *f, int slot)
{
    uint8_t sum[MIO_SHA256_LEN];
    char tag[9];
    mio_sha256_of(f->root, strlen(f->root), sum);
    mio_hex(sum, 4, tag);
    return text(f, "mlops-%s+taxi+cpu+%d", tag, slot);
}

static bool can_limit(void)
{
    return access("/sys/fs/cgroup/memory/cgroup.procs", W_OK) == 0 && geteuid() == 0;
}

static void write_text(const char *path, const char *what)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(what, out);
    assert_int_equal(fclose(out), 0);
}

static const char *read_text(struct fixture *f, const char *path)
{
    char line[128] = "";
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_non_null(fgets(line, sizeof line, in));
    fclose(in);
    return text(f, "%s", line);
}

static void test_limits_on_this_machine(void **state)
{
    struct fixture *f = *state;
    if (!can_limit())
        skip();
    make_workspace(f);
    struct answer a = do_create(f, "compute", "c", CPU);
    assert_done(a);
    assert_str(attr(&a, "limits"), "enforced");
    assert_int_equal(f->warnings, 0);
    const char *pids = text(f, "/sys/fs/cgroup/pids/%s/pids.max", group(f, 0));
    assert_string_equal(read_text(f, pids), "64\n");

    write_text(pids, "32"); /* by hand */
    a = do_read(f, "compute", "taxi/cpu", NULL);
    assert_str(attr2(&a, "resources", "pids"), "32");
    assert_str(attr2(&a, "resources", "memory"),
               "128MiB"); /* what did not change keeps its spelling */
    a = do_update(f, "compute", "u", "taxi/cpu", CPU, "['resources.pids']");
    assert_str(attr2(&a, "resources", "pids"), "64");
    assert_string_equal(read_text(f, pids), "64\n");

    rmdir(text(f, "/sys/fs/cgroup/memory/%s", group(f, 0)));
    rmdir(text(f, "/sys/fs/cgroup/cpu/%s", group(f, 0)));
    rmdir(text(f, "/sys/fs/cgroup/pids/%s", group(f, 0))); /* as after a restart of the machine */
    a = do_read(f, "compute", "taxi/cpu", NULL);
    assert_str(attr(&a, "limits"), "not_enforced");
    a = do_update(f, "compute", "u2", "taxi/cpu", CPU, "['limits']");
    assert_str(attr(&a, "limits"), "enforced");

    assert_done(do_update(f, "compute", "u3", "taxi/cpu", CPU_TWO, "['max_instances']"));
    assert_true(mio_fs_exists(text(f, "/sys/fs/cgroup/pids/%s", group(f, 1))));
    assert_done(do_update(f, "compute", "u4", "taxi/cpu", CPU, "['max_instances']"));
    assert_false(mio_fs_exists(text(f, "/sys/fs/cgroup/pids/%s", group(f, 1))));
    assert_done(do_remove(f, "compute", "taxi/cpu"));
    assert_false(mio_fs_exists(text(f, "/sys/fs/cgroup/memory/%s", group(f, 0))));
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_false(mio_fs_exists(f->root));
}

static struct answer job(struct fixture *f, const char *key, const char *command)
{
    return do_create(
        f, "job", key,
        text(f, "{\"name\":\"t\",\"workspace\":\"taxi\",\"compute\":\"cpu\",\"command\":\"%s\"}",
             command));
}

static void test_job_meets_its_limits(void **state)
{
    struct fixture *f = *state;
    if (!can_limit())
        skip();
    make_workspace(f);
    assert_done(do_create(f, "compute", "c", CPU));
    assert_done(job(f, "k1", "python -c 'x = bytearray(40 << 20)'"));
    struct answer a = job(f, "k2", "python -c 'x = b\\\"y\\\" * (400 << 20)'");
    assert_int_equal(a.rc, MLOPS_ERROR);
    assert_has(a.message, "more memory than its compute gives");
    a = job(f, "k3", "for i in $(seq 100); do sleep 5 & done; wait");
    assert_int_equal(a.rc, MLOPS_ERROR); /* cannot fork */
    assert_done(do_remove(f, "job", "taxi/t-k1aaaaaaaa"));
    assert_done(do_remove(f, "compute", "taxi/cpu"));
}

static void test_slots_are_shared_by_processes(void **state)
{
    struct fixture *f = *state;
    make_workspace(f);
    assert_done(
        do_create(f, "compute", "c", "{'name':'cpu','workspace':'taxi','max_instances':1}"));
    pid_t child = fork();
    if (child == 0) {
        job(f, "k1", "sleep 1");
        _exit(0);
    }
    const char *status = text(f, "%s/workspaces/taxi/jobs/t-k1aaaaaaaa/status.json", f->root);
    for (int i = 0; i < 500 && !mio_fs_exists(status); i++)
        mio_sleep_ms(10);
    struct answer busy = do_remove(f, "compute", "taxi/cpu");
    assert_has(busy.message, "a job is running on slot 0");
    struct answer a = job(f, "k2", "true");
    assert_done(a);
    waitpid(child, NULL, 0);
    struct answer first = do_read(f, "job", "taxi/t-k1aaaaaaaa", NULL);
    assert_true(mio_str_cmp(attr(&a, "started_at"), attr(&first, "finished_at")) >= 0);
    assert_done(do_remove(f, "job", first.id.p));
    assert_done(do_remove(f, "job", a.id.p));
    assert_done(do_remove(f, "compute", "taxi/cpu"));
}

/* A tree of plain files that looks like version 2. */
static void test_version_two_files(void **state)
{
    struct fixture *f = *state;
    const char *tree = text(f, "%s/cgroup", f->dir), *g = text(f, "%s/%s", tree, group(f, 0));
    static const char *const files[] = {"cpu.max", "memory.max", "pids.max", "cgroup.procs"};
    put_file(f, text(f, "%s/cgroup.controllers", tree), "cpuset cpu io memory pids\n");
    put_file(f, text(f, "%s/cgroup.subtree_control", tree), "");
    for (size_t i = 0; i < 4; i++)
        put_file(f, text(f, "%s/%s", g, files[i]), "");
    fixture_configure(f, text(f, "{\"cgroup_root\":\"%s\"}", tree));
    make_workspace(f);
    struct answer a = do_create(f, "compute", "c", CPU);
    assert_str(attr(&a, "limits"), "enforced");
    assert_string_equal(get_file(f, text(f, "%s/cpu.max", g)), "50000 100000");
    assert_string_equal(get_file(f, text(f, "%s/memory.max", g)), "134217728");
    assert_string_equal(get_file(f, text(f, "%s/pids.max", g)), "64");
    put_file(f, text(f, "%s/cpu.max", g), "max 100000\n");
    a = do_read(f, "compute", "taxi/cpu", NULL);
    assert_str(attr2(&a, "resources", "cpu"), "0");
}

static void test_no_control_groups(void **state)
{
    struct fixture *f = *state;
    fixture_configure(f, "{\"cgroup_root\":\"/nowhere\"}");
    make_workspace(f);
    struct answer a = do_create(f, "compute", "c", CPU);
    assert_done(a);
    assert_str(attr(&a, "limits"), "not_enforced");
    assert_true(f->warnings > 0);
    assert_has(f->last_warning, "is not enforced");
    a = do_read(f, "compute", "taxi/cpu", NULL);
    assert_str(attr(&a, "limits"), "not_enforced");
    assert_done(job(f, "k1", "true"));
}

static void test_bad_compute(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "{'name':'x','type':'kubernetes'}",
        "{'name':'x','min_instances':3,'max_instances':2}",
        "{'name':'x','resources':{'memory':'lots'}}",
        "{'name':'x','resources':{'cpu':0}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct answer a = do_validate(f, "compute", bad[i]);
        assert_int_equal(a.json.n, 1);
        assert_str(mio_get_str(a.json.items[0], "severity"), "error");
    }
    make_workspace(f);
    assert_done(do_create(f, "compute", "c", CPU));
    struct answer a = do_create(f, "compute", "other", CPU);
    assert_has(a.hint, "import compute.x taxi/cpu");
    assert_done(do_remove(f, "compute", "taxi/cpu"));
}

static void test_environment(void **state)
{
    struct fixture *f = *state;
    const char *body = "{'name':'host','workspace':'taxi','image':'host'}";
    make_workspace(f);
    assert_int_equal(do_validate(f, "environment", body).json.n, 0);
    assert_int_equal(do_validate(f, "environment", "{'name':'x','image':'ubuntu'}").json.n, 0);
    assert_int_equal(
        do_validate(f, "environment", "{'name':'x','image':'host','conda_file':'c'}").json.n, 1);
    assert_int_equal(do_validate(f, "environment", "{'name':'x'}").json.n, 1);
    struct answer a = do_create(f, "environment", "e", body);
    assert_done(a);
    assert_str(a.id, "taxi/host:1");
    assert_str(attr(&a, "interpreter"), "/usr/bin/python3");
    assert_has(attr(&a, "interpreter_version"), "3.");
    assert_int_equal(attr(&a, "packages_digest").n, 7 + 64);
    assert_false(mio_get_bool(a.attributes, "reproducible", true));
    assert_int_equal(do_read(f, "environment", a.id.p, a.fingerprint.p).status, MLOPS_UNCHANGED);
    struct answer full = do_read(f, "environment", a.id.p, NULL);
    assert_true(mio_equal(full.attributes, a.attributes));
    /* Another interpreter is another version. */
    const char *link = text(f, "%s/mypython", f->dir);
    assert_int_equal(symlink("/usr/bin/python3", link), 0);
    a = do_update(f, "environment", "e2", a.id.p,
                  text(f, "{'name':'host','workspace':'taxi','python':{'interpreter':'%s'}}", link),
                  NULL);
    assert_str(a.id, "taxi/host:2");
    unlink(link);
    a = do_read(f, "environment", "taxi/host:2", NULL);
    assert_str(attr(&a, "interpreter_version"), "missing");
    assert_done(do_remove(f, "environment", "taxi/host:2"));
    assert_done(do_remove(f, "workspace", "taxi"));
    assert_false(mio_fs_exists(f->root));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        CASE(test_limits_on_this_machine),
        CASE(test_job_meets_its_limits),
        CASE(test_slots_are_shared_by_processes),
        CASE(test_version_two_files),
        CASE(test_no_control_groups),
        CASE(test_bad_compute),
        CASE(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
