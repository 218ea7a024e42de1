/* tests/planner/change/test_diff.c: wanted against observed, field by field. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/change/diff.h"
#include "providers/sdk/json.h"
#include "state/model.h"

#define F(n, t, fl)                                                                 \
    {                                                                               \
        .size = sizeof(struct mlops_field), .name = (n), .type = (t), .flags = (fl) \
    }

static const struct mlops_field probe[] = {
    F("period", MLOPS_STRING, MLOPS_OPTIONAL | MLOPS_DURATION),
    F("retries", MLOPS_INTEGER, MLOPS_OPTIONAL),
    {0},
};
static const struct mlops_field share = F("", MLOPS_NUMBER, 0);
static const struct mlops_field fields[] = {
    F("name", MLOPS_STRING, MLOPS_REQUIRED | MLOPS_CREATE_ONLY),
    F("mode", MLOPS_STRING, MLOPS_OPTIONAL | MLOPS_FOLD_CASE),
    F("size", MLOPS_NUMBER, MLOPS_OPTIONAL),
    F("zone", MLOPS_STRING, MLOPS_OPTIONAL | MLOPS_COMPUTED),
    F("key", MLOPS_STRING, MLOPS_OPTIONAL | MLOPS_SENSITIVE | MLOPS_WRITE_ONLY),
    F("path", MLOPS_STRING, MLOPS_OPTIONAL | MLOPS_CONTENT),
    {.size = sizeof(struct mlops_field),
     .name = "probe",
     .type = MLOPS_OBJECT,
     .flags = MLOPS_OPTIONAL,
     .fields = probe},
    {.size = sizeof(struct mlops_field),
     .name = "traffic",
     .type = MLOPS_MAP,
     .flags = MLOPS_OPTIONAL | MLOPS_LATE,
     .element = &share},
    F("id", MLOPS_STRING, MLOPS_COMPUTED),
    F("etag", MLOPS_STRING, MLOPS_COMPUTED | MLOPS_VOLATILE | MLOPS_UNSTABLE),
    F("state", MLOPS_STRING, MLOPS_COMPUTED | MLOPS_ENSURED),
    {0},
};
static const struct mlops_kind kinds[] = {
    {.size = sizeof(struct mlops_kind), .name = "box", .fields = fields, .schema_version = 1},
    {0},
};
static const struct mlops_provider provider = {.size = sizeof(struct mlops_provider),
                                               .name = "t",
                                               .version = "1",
                                               .kinds = kinds,
                                               .config = &fields[11]};

static struct mio_arena arena;
static struct mio_schema schema;

static struct mio_value parse(const char *json)
{
    struct mio_value v;
    struct mio_err err = {0};
    assert_int_equal(mio_json_read(&arena, mio_arena_str(&arena, mio_str_z(json)), NULL, &v, &err),
                     MIO_OK);
    return v;
}

static int setup(void **state)
{
    MIO_AUTO_BUF b = {0};
    struct mio_err err = {0};
    (void)state;
    mio_arena_init(&arena);
    mio_schema_write(&b, &provider);
    return (int)mio_schema_read(&arena, parse(b.p), &schema, &err);
}

static int teardown(void **state)
{
    (void)state;
    mio_arena_free(&arena);
    return 0;
}

/* want | recorded inputs | observed -> "path path!" where ! replaces, * repairs, ~ late */
static void paths(const char *want, const char *inputs, const char *observed, const char *recorded,
                  const char *expect)
{
    static const char salt[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    struct mio_diff_in in = {.kind = &schema.kinds[0],
                             .salt = MIO_STR(salt),
                             .wanted = parse(want),
                             .prior_inputs = parse(inputs),
                             .observed = parse(observed),
                             .recorded = parse(recorded)};
    struct mio_diff_out out;
    MIO_AUTO_BUF b = {0};
    mio_diff(&arena, &in, &out);
    for (size_t i = 0; i < out.n; i++)
        mio_buf_printf(&b, "%s%.*s%s%s%s", i ? " " : "", MIO_FMT(out.attrs[i].path),
                       out.attrs[i].replaces ? "!" : "", out.attrs[i].repairs ? "*" : "",
                       out.attrs[i].late ? "~" : "");
    assert_string_equal(b.n ? b.p : "", expect);
}

static void only_what_differs_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *want, *inputs, *observed, *expect;
    } rows[] = {
        {"{\"name\":\"a\"}", "{\"name\":\"a\"}", "{\"name\":\"a\",\"id\":\"1\"}", ""},
        {"{\"name\":\"b\"}", "{\"name\":\"a\"}", "{\"name\":\"a\"}", "name!"},
        {"{\"mode\":\"KEY\"}", "{\"mode\":\"key\"}", "{\"mode\":\"Key\"}", ""},
        {"{\"size\":1.50}", "{\"size\":1.5}", "{\"size\":15e-1}", ""},
        {"{\"size\":2}", "{\"size\":1}", "{\"size\":1}", "size"},
        /* no longer given: an optional one goes, one that the platform chooses stays */
        {"{}", "{\"size\":1,\"zone\":\"z\"}", "{\"size\":1,\"zone\":\"z\"}", "size"},
        /* never given: what the platform reports is its own affair */
        {"{}", "{}", "{\"size\":1,\"zone\":\"z\"}", ""},
        {"{\"probe\":{\"period\":\"5m\"}}", "{\"probe\":{\"period\":\"300\"}}",
         "{\"probe\":{\"period\":\"PT5M\",\"retries\":3}}", ""},
        {"{\"probe\":{\"period\":\"6m\"}}", "{\"probe\":{\"period\":\"5m\"}}",
         "{\"probe\":{\"period\":\"5m\"}}", "probe.period"},
        {"{\"traffic\":{\"a\":90,\"b\":10}}", "{\"traffic\":{\"a\":90,\"b\":10}}",
         "{\"traffic\":{\"a\":50,\"b\":50}}", "traffic~"},
        {"{\"traffic\":{\"a\":100}}", "{\"traffic\":{\"a\":100}}",
         "{\"traffic\":{\"a\":100,\"b\":0}}", "traffic~"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        paths(rows[i].want, rows[i].inputs, rows[i].observed, rows[i].observed, rows[i].expect);
}

static void an_ensured_attribute_is_repaired(void **state)
{
    (void)state;
    paths("{}", "{}", "{\"state\":\"down\",\"etag\":\"2\"}", "{\"state\":\"up\",\"etag\":\"1\"}",
          "state*");
    paths("{}", "{}", "{\"state\":\"up\"}", "{\"state\":\"up\"}", "");
}

static void secrets_are_compared_by_their_masks(void **state)
{
    (void)state;
    static const char salt[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    struct mio_pair pair = {MIO_STR("key"), mio_sensitive(mio_string_z("hunter2"))};
    struct mio_value want = mio_map(&pair, 1), recorded = mio_mask(&arena, MIO_STR(salt), want);
    struct mio_diff_in in = {.kind = &schema.kinds[0],
                             .salt = MIO_STR(salt),
                             .wanted = want,
                             .prior_inputs = recorded,
                             .observed = mio_map(NULL, 0),
                             .recorded = mio_map(NULL, 0)};
    struct mio_diff_out out;
    mio_diff(&arena, &in, &out);
    assert_int_equal(out.n, 0);
    struct mio_pair other = {MIO_STR("key"), mio_sensitive(mio_string_z("hunter3"))};
    in.wanted = mio_map(&other, 1);
    mio_diff(&arena, &in, &out);
    assert_int_equal(out.n, 1);
}

static void content_counts_like_a_value(void **state)
{
    (void)state;
    struct mio_diff_in in = {.kind = &schema.kinds[0],
                             .wanted = parse("{\"path\":\"./m\"}"),
                             .prior_inputs = parse("{\"path\":\"./m\"}"),
                             .observed = parse("{\"path\":\"./m\"}"),
                             .recorded = parse("{}"),
                             .content = parse("{\"path\":\"sha256:1\"}"),
                             .prior_content = parse("{\"path\":\"sha256:1\"}")};
    struct mio_diff_out out;
    mio_diff(&arena, &in, &out);
    assert_int_equal(out.n, 0);
    in.prior_content = parse("{\"path\":\"sha256:2\"}");
    mio_diff(&arena, &in, &out);
    assert_true(out.n == 1 && out.content && mio_str_is(out.attrs[0].path, "path"));
}

static void ignored_paths_are_left_alone(void **state)
{
    (void)state;
    const struct mio_str ignore[] = {MIO_STR_INIT("size"), MIO_STR_INIT("probe")};
    struct mio_diff_in in = {
        .kind = &schema.kinds[0],
        .wanted = parse("{\"size\":2,\"probe\":{\"retries\":1},\"mode\":\"x\"}"),
        .prior_inputs = parse("{}"),
        .observed = parse("{\"size\":1,\"probe\":{\"retries\":2},\"mode\":\"y\"}"),
        .recorded = parse("{}"),
        .ignore = ignore,
        .nignore = 2};
    struct mio_diff_out out;
    mio_diff(&arena, &in, &out);
    assert_true(out.n == 1 && mio_str_is(out.attrs[0].path, "mode"));
    in.ignore_all = true;
    mio_diff(&arena, &in, &out);
    assert_int_equal(out.n, 0);
}

static void afterwards_computed_values_are_unknown_or_kept(void **state)
{
    (void)state;
    struct mio_diff_in in = {
        .kind = &schema.kinds[0],
        .wanted = parse("{\"name\":\"a\",\"size\":2}"),
        .prior_inputs = parse("{\"name\":\"a\",\"size\":1}"),
        .observed = parse("{\"name\":\"a\",\"size\":1,\"id\":\"7\",\"etag\":\"x\",\"zone\":\"z\"}"),
        .recorded = parse("{\"state\":\"up\"}")};
    struct mio_diff_out out;
    mio_diff(&arena, &in, &out);
    struct mio_value after = mio_diff_after(&arena, &in, &out, false);
    assert_true(mio_str_is(mio_get_str(after, "id"), "7"));
    assert_true(mio_str_is(mio_get_str(after, "state"), "up"));
    assert_true(mio_str_is(mio_get_str(after, "zone"), "z"));
    assert_int_equal(mio_get_z(after, "etag")->type, MIO_UNKNOWN);
    after = mio_diff_after(&arena, &in, &out, true);
    assert_int_equal(mio_get_z(after, "id")->type, MIO_UNKNOWN);
    assert_int_equal(mio_get_z(after, "zone")->type, MIO_UNKNOWN);
    assert_null(mio_get_z(after, "mode"));
}

static void drift_is_what_was_recorded_and_is_no_more(void **state)
{
    (void)state;
    struct mio_diff_out out;
    assert_false(mio_drifted(&schema.kinds[0], MIO_STR(""), parse("{\"size\":1,\"etag\":\"1\"}"),
                             parse("{\"size\":1.0,\"etag\":\"2\",\"zone\":\"new\"}"), &arena,
                             &out));
    assert_true(mio_drifted(&schema.kinds[0], MIO_STR(""), parse("{\"size\":1}"),
                            parse("{\"size\":2}"), &arena, &out));
    assert_true(mio_drifted(&schema.kinds[0], MIO_STR(""), parse("{\"zone\":\"z\"}"), parse("{}"),
                            &arena, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_differs_is_told),
        cmocka_unit_test(an_ensured_attribute_is_repaired),
        cmocka_unit_test(secrets_are_compared_by_their_masks),
        cmocka_unit_test(content_counts_like_a_value),
        cmocka_unit_test(ignored_paths_are_left_alone),
        cmocka_unit_test(afterwards_computed_values_are_unknown_or_kept),
        cmocka_unit_test(drift_is_what_was_recorded_and_is_no_more),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
