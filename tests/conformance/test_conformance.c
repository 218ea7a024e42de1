/* tests/conformance/test_conformance.c: the kit finds our plugins sound, and finds out those that
 * only claim to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "providers/sdk/fs.h"
#include "tests/conformance/kit.h"

struct run {
    struct mio_arena a;
    char folder[64];
    struct kit_opts o;
    struct kit_result result;
    char broken[4096]; /* the checks that did not hold, a line each */
};

static void note(void *arg, bool held, const char *check, const char *seen)
{
    struct run *r = arg;
    size_t n = strlen(r->broken);
    if (!held)
        snprintf(r->broken + n, sizeof r->broken - n, "%s: %s\n", check, seen);
}

static void begin(struct run *r, const char *plugin, const char *kind)
{
    const char *build = getenv("MIO_BUILD");
    *r = (struct run){0};
    mio_arena_init(&r->a);
    snprintf(r->folder, sizeof r->folder, "/tmp/mio-kit-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    r->o = (struct kit_opts){
        .plugin_path = mio_arena_printf(&r->a, "%s/%s.so", build, plugin).p,
        .host_program =
            mio_arena_printf(&r->a, "%s/libexec/mlops-iac/mlops-iac-provider-host", build).p,
        .base_dir = r->folder,
        .config = "{\"path\":\"cloud.db\",\"latency_ms\":2}",
        .kind = kind,
        .inputs = "{\"inputs\":{\"n\":\"%d\",\"list\":[1,\"two\",null]},\"secret\":\"abc\"}",
        .changed = "{\"inputs\":{\"n\":2},\"secret\":\"def\"}",
        .kills = 12,
        .report = note,
        .arg = r};
}

static void end(struct run *r)
{
    struct mio_err err = {0};
    mio_fs_remove_tree(r->folder, &err);
    mio_arena_free(&r->a);
}

static void must_hold(struct run *r, unsigned least)
{
    struct mio_err err = {0};
    if (kit_run(&r->o, &r->result, &err))
        fail_msg("%s", err.message);
    if (r->result.broken)
        fail_msg("%s", r->broken);
    assert_in_range(r->result.held, least, 100);
    end(r);
}

static void must_break(struct run *r, const char *what)
{
    struct mio_err err = {0};
    if (kit_run(&r->o, &r->result, &err))
        fail_msg("%s", err.message);
    if (!strstr(r->broken, what))
        fail_msg("\"%s\" was not found out; broken: %s", what, r->broken);
    end(r);
}

static const char sim[] = "lib/mlops-iac/providers/sim";

static void sim_class_a(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing_a");
    r.o.inputs = "{\"name\":\"n%d\",\"inputs\":{}}";
    r.o.changed = NULL;
    must_hold(&r, 20);
}

static void sim_class_b(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing");
    must_hold(&r, 25);
}

static void sim_class_c(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing_c");
    r.o.kills = 4; /* each waits until the cloud has settled */
    must_hold(&r, 25);
}

static void sim_class_d(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing_d");
    must_hold(&r, 20);
}

static void example(void **state)
{
    (void)state;
    struct run r;
    begin(&r, "tests/plugins/notes", "note");
    r.o.config = "{\"folder\":\"notes\"}";
    r.o.inputs = "{\"name\":\"n%d\",\"text\":\"one\"}";
    r.o.changed = "{\"name\":\"n%d\",\"text\":\"two, \\u00e9 and \\\"quotes\\\"\"}";
    must_hold(&r, 15);
}

/* A cloud that makes a second object for the same key, though its plugin says that it does not. */
static void claims_b_and_is_d(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing");
    r.o.config = "{\"path\":\"cloud.db\",\"latency_ms\":2,\"create_class\":\"D\"}";
    must_break(&r, "a key sent twice gives the same object");
}

static void claims_c_and_is_d(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing_c");
    r.o.kills = 2;
    r.o.config = "{\"path\":\"cloud.db\",\"latency_ms\":2,\"create_class\":\"D\"}";
    must_break(&r, "the key finds the object that bears it");
}

/* The cloud settles later than its kind says: recovery would miss what is there. */
static void settles_too_late(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing_c");
    r.o.kills = 1;
    r.o.config = "{\"path\":\"cloud.db\",\"lag_ms\":2500}";
    must_break(&r, "the key finds the object that bears it");
}

static void breaks_its_contract(void **state)
{
    (void)state;
    struct run r;
    begin(&r, sim, "thing");
    r.o.kills = 1;
    r.o.config = "{\"path\":\"cloud.db\",\"garbage\":\"double\"}";
    must_break(&r, "create works: provider \"conformance\": the plugin broke its contract");
    begin(&r, "tests/plugins/odd", "odd");
    r.o.inputs = "{}";
    r.o.changed = NULL;
    r.o.config = "{}";
    must_break(&r, "an absent id is not found: status 0");
}

/* The guide shows the example whole, and as it is. */
static void guide_is_true(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_str guide, source;
    const char *root = getenv("MIO_SOURCE");
    struct mio_str path = mio_arena_printf(&a, "%s/docs/plugins.md", root);
    assert_int_equal(mio_fs_read(&a, path.p, 1 << 20, &guide, NULL, &err), MIO_OK);
    path = mio_arena_printf(&a, "%s/tests/conformance/example_plugin.c", root);
    assert_int_equal(mio_fs_read(&a, path.p, 1 << 20, &source, NULL, &err), MIO_OK);
    if (!strstr(guide.p, source.p))
        fail_msg("docs/plugins.md does not hold tests/conformance/example_plugin.c as it is");
    mio_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sim_class_a),
        cmocka_unit_test(sim_class_b),
        cmocka_unit_test(sim_class_c),
        cmocka_unit_test(sim_class_d),
        cmocka_unit_test(example),
        cmocka_unit_test(claims_b_and_is_d),
        cmocka_unit_test(claims_c_and_is_d),
        cmocka_unit_test(settles_too_late),
        cmocka_unit_test(breaks_its_contract),
        cmocka_unit_test(guide_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
