/* tests/providers/local/test_example.c: the example's own data and scripts, from files to a
 * registered model. */
#include "tests/providers/local/support.h"

#include <unistd.h>

static bool have_sklearn(void)
{
    return access("/usr/lib/python3/dist-packages/sklearn", F_OK) == 0 &&
           access("/usr/lib/python3/dist-packages/pandas", F_OK) == 0;
}

static void test_trips_become_a_model(void **state)
{
    struct fixture *f = *state;
    const char *source = getenv("MIO_SOURCE");
    if (!source || !have_sklearn())
        skip();
    assert_done(do_create(f, "workspace", "w", "{'name':'taxi'}"));
    assert_done(do_create(
        f, "compute", "c",
        "{'name':'cpu','workspace':'taxi','resources':{'cpu':1,'memory':'1GiB','pids':256}}"));
    assert_done(
        do_create(f, "environment", "e", "{'name':'host','workspace':'taxi','image':'host'}"));
    assert_done(do_create(
        f, "data", "d",
        text(f, "{'name':'trips','workspace':'taxi','path':'%s/.cloud/data/trips'}", source)));
    struct answer job =
        do_create(f, "job", "j",
                  text(f,
                       "{'name':'train','workspace':'taxi','compute':'cpu','environment':'azureml:"
                       "host@latest',"
                       "'code':'%s/.cloud/src/train','command':'python transform.py --raw "
                       "${{inputs.trips}} --clean "
                       "/tmp/c.csv && python train.py --clean /tmp/c.csv --model "
                       "${{outputs.model}} --trees 20',"
                       "'inputs':{'trips':{'type':'uri_folder','path':'azureml:trips:1'}},"
                       "'outputs':{'model':{'type':'uri_folder'}}}",
                       source));
    assert_done(job);
    const char *out = mio_arena_z(&f->arena, attr2(&job, "output_paths", "model"));
    struct mio_value metrics;
    struct mio_err err = {0};
    const char *json = get_file(f, text(f, "%s/metrics.json", out));
    assert_int_equal(mio_json_read(&f->arena, mio_str_z(json), NULL, &metrics, &err), MIO_OK);
    double r2 = 0;
    assert_true(mio_value_f64(*mio_get_z(metrics, "r2"), &r2));
    assert_true(r2 > 0.6 && r2 < 1);
    struct answer model =
        do_create(f, "model", "m", text(f, "{'name':'fare','workspace':'taxi','path':'%s'}", out));
    assert_done(model);
    assert_str(model.id, "taxi/fare:1");
    assert_done(do_remove(f, "job", job.id.p));
    struct answer read = do_read(f, "model", "taxi/fare:1", NULL); /* it stands on its own */
    assert_true(mio_str_eq(attr(&read, "content_digest"), attr(&model, "content_digest")));
    assert_done(do_remove(f, "compute", "taxi/cpu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trips_become_a_model, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
