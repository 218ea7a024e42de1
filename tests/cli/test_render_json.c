/* tests/cli/test_render_json.c: the plan and state documents have the keys that Terraform's tools
 * read. */
#include "cli/render_json.h"
#include "tests/cli/support.h"
#include "tests/arena.h"

/* "a.0.b" in a document, as compact JSON; fails when it is not there. */
static void check(struct mio_value doc, const char *path, const char *want)
{
    struct mio_str rest = mio_str_z(path);
    while (rest.n) {
        ptrdiff_t dot = mio_str_find(rest, '.');
        struct mio_str step = mio_str_sub(rest, 0, dot < 0 ? rest.n : (size_t)dot);
        uint64_t index;
        const struct mio_value *next = NULL;
        if (doc.type == MIO_MAP)
            next = mio_get(doc, step);
        else if (doc.type == MIO_LIST && mio_str_u64(step, &index) && index < doc.n)
            next = &doc.items[index];
        if (!next) {
            if (want)
                fail_msg("%s is missing at %.*s", path, MIO_FMT(step));
            return;
        }
        doc = *next;
        rest = dot < 0 ? (struct mio_str){0} : mio_str_sub(rest, (size_t)dot + 1, rest.n);
    }
    MIO_AUTO_BUF b = {0};
    mio_json_write(&b, doc, MIO_JSON_PLAIN);
    if (!want)
        fail_msg("%s is there: %s", path, b.p);
    assert_string_equal(b.p, want);
}

static void test_plan(void **state)
{
    (void)state;
    static const struct mio_str inputs[] = {MIO_STR_INIT("var.n"),
                                            MIO_STR_INIT("thing.b[0].net.ip")};
    static const struct mio_diff_attr attr = {
        .path = MIO_STR_INIT("net.0.zone"), .replaces = true, .inputs = inputs, .ninputs = 2};
    struct mio_change changes[] = {
        change_of(&arena, "thing.a", MIO_CREATE, "null",
                  "{\"id\":" UNKNOWN ",\"n\":1,\"l\":[1," UNKNOWN
                  "],\"s\":{\"pw\":" SECRET("\"hush\"") "}}"),
        change_of(&arena, "module.m.thing.a[0]", MIO_REPLACE, "{\"n\":1}", "{\"n\":2}"),
        change_of(&arena, "thing.c", MIO_DELETE, "{\"n\":1}", "null"),
    };
    changes[1].module = MIO_STR("module.m");
    changes[1].key = value_of(&arena, "0");
    changes[1].reason = MIO_WHY_CANNOT_UPDATE;
    changes[1].attrs = &attr;
    changes[1].nattrs = 1;
    changes[1].previous_address = MIO_STR("thing.old");
    struct mio_output_change outputs[] = {
        {.name = MIO_STR("u"), .action = MIO_CREATE, .after = mio_unknown(MIO_STRING)},
        {.name = MIO_STR("k"),
         .action = MIO_UPDATE,
         .before = value_of(&arena, "\"old-hush\""),
         .after = value_of(&arena, "\"hush\""),
         .sensitive = true},
    };
    struct mio_plan p = {.refreshed = true,
                         .changes = changes,
                         .nchanges = 3,
                         .outputs = outputs,
                         .noutputs = 2,
                         .drift = &changes[2],
                         .ndrift = 1,
                         .variables = value_of(&arena, "{\"n\":2,\"pw\":" SECRET("\"hush\"") "}"),
                         .binding = {.created = 1700000000, .stage = MIO_STR("dev"), .serial = 7}};
    MIO_AUTO_BUF b = {0};
    mio_plan_json(&b, &arena, &p, MIO_STR("d1"));
    assert_null(strstr(b.p, "hush\"")); /* no secret anywhere, old or new */
    struct mio_value d = value_of(&arena, b.p);
    check(d, "format_version", "\"1.2\"");
    check(d, "variables", "{\"n\":{\"value\":2},\"pw\":{\"value\":\"(sensitive value)\"}}");
    check(d, "resource_changes.0.address", "\"thing.a\"");
    check(d, "resource_changes.0.mode", "\"managed\"");
    check(d, "resource_changes.0.type", "\"thing\"");
    check(d, "resource_changes.0.provider_name", "\"sim\"");
    check(d, "resource_changes.0.change.actions", "[\"create\"]");
    check(d, "resource_changes.0.change.before", "null");
    check(d, "resource_changes.0.change.after",
          "{\"l\":[1,null],\"n\":1,\"s\":{\"pw\":\"(sensitive value)\"}}");
    check(d, "resource_changes.0.change.after_unknown", "{\"id\":true,\"l\":[false,true]}");
    check(d, "resource_changes.0.change.before_sensitive", "false");
    check(d, "resource_changes.0.change.after_sensitive", "{\"s\":{\"pw\":true}}");
    check(d, "resource_changes.0.action_reason", NULL);
    check(d, "resource_changes.1.index", "0");
    check(d, "resource_changes.1.module_address", "\"module.m\"");
    check(d, "resource_changes.1.previous_address", "\"thing.old\"");
    check(d, "resource_changes.1.action_reason", "\"replace_because_cannot_update\"");
    check(d, "resource_changes.1.change.actions", "[\"delete\",\"create\"]");
    check(d, "resource_changes.1.change.replace_paths", "[[\"net\",0,\"zone\"]]");
    check(d, "resource_changes.2.change.after", "null");
    check(d, "resource_changes.2.change.after_unknown", "false");
    check(d, "resource_drift.0.address", "\"thing.c\"");
    check(d, "relevant_attributes",
          "[{\"attribute\":[\"net\",\"ip\"],\"resource\":\"thing.b[0]\"}]");
    check(d, "output_changes.u.after_unknown", "true");
    check(d, "output_changes.u.after", NULL);
    check(d, "output_changes.k.after", "\"(sensitive value)\"");
    check(d, "output_changes.k.after_sensitive", "true");
    check(d, "planned_values.root_module.resources.0.values",
          "{\"l\":[1,null],\"n\":1,\"s\":{\"pw\":\"(sensitive value)\"}}");
    check(d, "planned_values.root_module.resources.1", NULL); /* the deleted one */
    check(d, "planned_values.root_module.child_modules.0.address", "\"module.m\"");
    check(d, "planned_values.root_module.child_modules.0.resources.0.values", "{\"n\":2}");
    check(d, "planned_values.outputs.u", "{\"sensitive\":false}");
    check(d, "prior_state.values.root_module.resources.0.address", "\"thing.c\"");
    check(d, "prior_state.values.root_module.child_modules.0.resources.0.values", "{\"n\":1}");
    check(d, "configuration.root_module", "{}");
    check(d, "timestamp", "\"2023-11-14T22:13:20Z\"");
    check(d, "applyable", "true");
    check(d, "complete", "true");
    check(d, "errored", "false");
    check(d, "mlops_iac.stage", "\"dev\"");
    check(d, "mlops_iac.serial", "7");
    check(d, "mlops_iac.plan_digest", "\"d1\"");
}

static void test_state(void **state)
{
    (void)state;
    struct mio_state s;
    struct mio_err err = {0};
    mio_state_init(&s, &arena, MIO_STR("dev"));
    const char *addresses[] = {"thing.a", "module.m[\"x.module.y\"].module.n.thing.b[\"k\"]"};
    for (size_t i = 0; i < 2; i++) {
        struct mio_record r = {
            .address = mio_str_z(addresses[i]),
            .kind = MIO_STR("thing"),
            .provider = MIO_STR("sim"),
            .id = MIO_STR("i"),
            .digest = MIO_STR("0000000000000000000000000000000000000000000000000000000000000000"),
            .inputs = value_of(&arena, "{}"),
            .attributes = value_of(&arena, "{\"n\":1}"),
            .content = value_of(&arena, "{}"),
            .dependencies = value_of(&arena, "[\"thing.z\"]")};
        assert_int_equal(mio_state_put(&s, &r, &err), MIO_OK);
    }
    struct mio_state_output outputs[] = {
        {.name = MIO_STR("l"), .value = value_of(&arena, "[1,\"a\",{\"b\":true}]")}};
    mio_state_set_outputs(&s, outputs, 1);
    MIO_AUTO_BUF b = {0};
    assert_int_equal(mio_state_json(&b, &arena, &s, &err), MIO_OK);
    struct mio_value d = value_of(&arena, b.p);
    check(d, "format_version", "\"1.0\"");
    check(d, "values.outputs.l.type",
          "[\"tuple\",[\"number\",\"string\",[\"object\",{\"b\":\"bool\"}]]]");
    check(d, "values.root_module.resources.0.address", "\"thing.a\"");
    check(d, "values.root_module.resources.0.values", "{\"n\":1}");
    check(d, "values.root_module.resources.0.depends_on", "[\"thing.z\"]");
    check(d, "values.root_module.child_modules.0.address", "\"module.m[\\\"x.module.y\\\"]\"");
    check(d, "values.root_module.child_modules.0.child_modules.0.address",
          "\"module.m[\\\"x.module.y\\\"].module.n\"");
    check(d, "values.root_module.child_modules.0.child_modules.0.resources.0.index", "\"k\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
