/* tests/planner/change/test_planfile.c: canonical bytes, round trip, refusal of every altered byte.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/change/planfile.h"
#include "tests/arena.h"

static const char salt[] = "00000000000000000000000000000000000000000000000000000000000000aa";

static struct mio_plan sample(void)
{
    static struct mio_pair before[2], after[3];
    static struct mio_diff_attr attrs[1];
    static struct mio_change changes[2], drift[1];
    static struct mio_output_change outputs[1];
    static const struct mio_str inputs[] = {MIO_STR_INIT("var.v")},
                                plugins[] = {MIO_STR_INIT("sim 1 abc")};
    before[0] = (struct mio_pair){MIO_STR("key"), mio_sensitive(mio_string_z("hunter22"))};
    before[1] = (struct mio_pair){MIO_STR("size"), mio_number(MIO_STR("1"))};
    after[0] = (struct mio_pair){MIO_STR("id"), mio_unknown(MIO_STRING)};
    after[1] = (struct mio_pair){MIO_STR("key"), mio_sensitive(mio_string_z("hunter33"))};
    after[2] = (struct mio_pair){MIO_STR("size"), mio_number(MIO_STR("2"))};
    attrs[0] = (struct mio_diff_attr){.path = MIO_STR("size"),
                                      .replaces = true,
                                      .place = MIO_STR("main.yaml:3:4"),
                                      .source = MIO_STR("${var.v}"),
                                      .inputs = inputs,
                                      .ninputs = 1};
    changes[0] = (struct mio_change){.address = MIO_STR("thing.x[0]"),
                                     .kind = MIO_STR("thing"),
                                     .name = MIO_STR("x"),
                                     .key = mio_number(MIO_STR("0")),
                                     .provider = MIO_STR("sim"),
                                     .action = MIO_REPLACE,
                                     .reason = MIO_WHY_CANNOT_UPDATE,
                                     .before = mio_map(before, 2),
                                     .after = mio_map(after, 3),
                                     .attrs = attrs,
                                     .nattrs = 1,
                                     .id = MIO_STR("t-1")};
    changes[1] = (struct mio_change){.address = MIO_STR("thing.y"), .action = MIO_NOOP};
    drift[0] = (struct mio_change){.address = MIO_STR("thing.z"),
                                   .kind = MIO_STR("thing"),
                                   .action = MIO_DELETE,
                                   .before = mio_map(before, 2)};
    outputs[0] = (struct mio_output_change){
        .name = MIO_STR("o"), .action = MIO_CREATE, .after = mio_string_z("v")};
    return (struct mio_plan){.changes = changes,
                             .nchanges = 2,
                             .drift = drift,
                             .ndrift = 1,
                             .outputs = outputs,
                             .noutputs = 1,
                             .variables = mio_map(NULL, 0),
                             .refreshed = true,
                             .counts = {.add = 1, .destroy = 1},
                             .binding = {.tool_version = MIO_STR("1"),
                                         .template_digest = MIO_STR("t"),
                                         .lineage = MIO_STR("l"),
                                         .serial = 7,
                                         .plugins = plugins,
                                         .nplugins = 1,
                                         .created = 1000,
                                         .expires = 2000,
                                         .nonce = MIO_STR("0123abcd")}};
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct mio_plan p = sample();
    struct mio_planfile q;
    struct mio_err err = {0};
    MIO_AUTO_BUF b = {0}, again = {0};
    char sum[65];
    mio_planfile_write(&b, &p, MIO_STR(salt), NULL);
    assert_null(strstr(b.p, "hunter"));
    assert_int_equal(mio_planfile_read(&arena, mio_buf_view(&b), true, &q, &err), MIO_OK);
    assert_int_equal(q.plan.nchanges, 1); /* no-ops are not written */
    assert_int_equal(q.plan.changes[0].action, MIO_REPLACE);
    assert_int_equal(mio_get_z(q.plan.changes[0].after, "id")->type, MIO_UNKNOWN);
    assert_true(mio_is_sensitive(*mio_get_z(q.plan.changes[0].after, "key")));
    assert_true(mio_str_is(q.plan.changes[0].attrs[0].inputs[0], "var.v"));
    assert_int_equal(q.plan.binding.serial, 7);
    mio_plan_digest(&p, MIO_STR(salt), sum);
    assert_true(mio_str_is(q.changes, sum));
    mio_planfile_write(&again, &q.plan, MIO_STR(salt), NULL);
    assert_int_equal(b.n, again.n);
    assert_memory_equal(b.p, again.p, b.n);
}

static void every_altered_byte_is_refused(void **state)
{
    (void)state;
    struct mio_plan p = sample();
    struct mio_planfile q;
    MIO_AUTO_BUF b = {0};
    mio_planfile_write(&b, &p, MIO_STR(salt), NULL);
    for (size_t i = 0; i < b.n; i++) {
        struct mio_err err = {0};
        b.p[i] ^= 1;
        assert_int_equal(mio_planfile_read(&arena, mio_buf_view(&b), true, &q, &err), MIO_STATE);
        assert_true(err.hint[0] != '\0');
        b.p[i] ^= 1;
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct mio_plan p = sample();
    struct mio_planfile q;
    MIO_AUTO_BUF b = {0};
    mio_planfile_write(&b, &p, MIO_STR(salt), NULL);
    for (size_t n = 0; n < b.n; n++) {
        struct mio_err err = {0};
        char *copy = mio_arena_z(&arena, mio_str_sub(mio_buf_view(&b), 0, n));
        assert_int_equal(mio_planfile_read(&arena, (struct mio_str){copy, n}, true, &q, &err),
                         MIO_STATE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(every_altered_byte_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
