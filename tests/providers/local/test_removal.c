/* tests/providers/local/test_removal.c: what a removal does when it is killed, or not alone. */
#include <sys/inotify.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "tests/providers/local/serving_support.h"

/* Removes the object; gives the name that went last from its folder. */
static const char *last_of(struct fixture *f, const char *kind, const char *id, const char *dir)
{
    char events[1 << 16] __attribute__((aligned(__alignof__(struct inotify_event))));
    const char *last = "";
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(inotify_add_watch(watch, text(f, "%s/%s", f->root, dir), IN_DELETE) >= 0);
    assert_done(do_remove(f, kind, id));
    for (ssize_t n; (n = read(watch, events, sizeof events)) > 0;)
        for (char *at = events; at < events + n;) {
            const struct inotify_event *e = (const void *)at;
            if (e->mask & IN_DELETE)
                last = text(f, "%s", e->name);
            at += sizeof *e + e->len;
        }
    close(watch);
    assert_false(mio_fs_exists(text(f, "%s/%s", f->root, dir)));
    return last;
}

/* One that was killed half-way must still be found, or the rest would stay for ever. */
static void the_record_goes_last(void **state)
{
    struct fixture *f = *state;
    put_file(f, text(f, "%s/x/file", f->dir), "1");
    assert_done(do_create(f, "data", "d", "{'name':'d','workspace':'ws','path':'x'}"));
    assert_done(do_create(f, "compute", "c", "{'name':'c','workspace':'ws'}"));
    struct answer job =
        do_create(f, "job", "j", "{'name':'j','workspace':'ws','compute':'c','command':'true'}");
    assert_done(job);
    make_endpoint(f, "");
    make_deployment(f, "blue", "");
    assert_string_equal(
        last_of(f, "deployment", "ws/fare/blue", "workspaces/ws/endpoints/fare/deployments/blue"),
        "deployment.json");
    assert_string_equal(last_of(f, "endpoint", "ws/fare", "workspaces/ws/endpoints/fare"),
                        "endpoint.json");
    const char *id = text(f, "%.*s", MIO_FMT(job.id));
    assert_string_equal(
        last_of(f, "job", id, text(f, "workspaces/ws/jobs/%s", strchr(id, '/') + 1)), "job.json");
    assert_string_equal(last_of(f, "compute", "ws/c", "workspaces/ws/compute/c"), "compute.json");
    assert_string_equal(last_of(f, "data", "ws/d:1", "workspaces/ws/assets/data/d/1"),
                        "asset.json");
    assert_string_equal(last_of(f, "workspace", "ws", "workspaces/ws"), "workspace.json");
}

static void a_job_that_is_half_removed_is_found(void **state)
{
    struct fixture *f = *state;
    struct answer job = do_create(
        f, "job", "j",
        "{'name':'j','workspace':'ws','command':'echo > ${{outputs.o}}/f','outputs':{'o':{}}}");
    assert_done(job);
    const char *id = text(f, "%.*s", MIO_FMT(job.id));
    const char *dir = text(f, "%s/workspaces/ws/jobs/%s", f->root, strchr(id, '/') + 1);
    RUN(f, "sed", "-i", "s/^{/{\"removing\":true,/", text(f, "%s/job.json", dir));
    RUN(f, "rm", "-r", text(f, "%s/outputs", dir), text(f, "%s/status.json", dir));
    struct answer a = do_read(f, "job", id, NULL);
    assert_int_equal(a.status, MLOPS_OK);
    assert_str(attr(&a, "status"), "Deleting");
    assert_done(do_remove(f, "job", id));
    assert_false(mio_fs_exists(dir));
}

/* What a killed create or remove may leave: no record, so nobody's. */
static void folders_without_a_record_do_not_hold_a_workspace(void **state)
{
    struct fixture *f = *state;
    static const char *const left[] = {"endpoints/e/keys", "compute/c/slots", "jobs/j-key/code",
                                       "assets/data/d/.new-1", "assets/model/m/1"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        RUN(f, "mkdir", "-p", text(f, "%s/workspaces/ws/%s", f->root, left[i]));
    assert_done(do_remove(f, "workspace", "ws"));
    assert_false(mio_fs_exists(f->root));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, serving_setup, serving_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_record_goes_last),
        TEST(a_job_that_is_half_removed_is_found),
        TEST(folders_without_a_record_do_not_hold_a_workspace),
    };
    return cmocka_run_group_tests_name("removal", tests, NULL, NULL);
}
