/* tests/cli/test_render_plan.c: plans as text, whole. */
#include "cli/render_plan.h"
#include "tests/cli/support.h"

static struct mio_arena arena;
static struct mio_buf text;
static const struct mio_pen pen = {&text, false};

static int setup(void **state)
{
    (void)state;
    mio_arena_init(&arena);
    mio_buf_init(&text, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mio_buf_free(&text);
    mio_arena_free(&arena);
    return 0;
}

static void check(const struct mio_change *c, const char *want)
{
    mio_buf_reset(&text);
    mio_render_change(&pen, c);
    assert_text(&text, want);
}

static void test_create(void **state)
{
    (void)state;
    struct mio_change c = change_of(
        &arena, "thing.a", MIO_CREATE, "null",
        "{\"id\":" UNKNOWN
        ",\"none\":null,\"size\":1.10,\"on\":true,\"key-1\":\"q\\\"\\\\\\t\",\"odd key\":\"\","
        "\"inputs\":{\"list\":[1,{\"x\":[]}],\"pw\":" SECRET(
            "\"hush\"") ",\"text\":\"one\\ntwo\\n\",\"e\":{}}}");
    check(&c, "  # thing.a will be created\n"
              "  + resource \"thing\" \"a\" {\n"
              "      + id        = (known after apply)\n"
              "      + inputs    = {\n"
              "          + e    = {}\n"
              "          + list = [\n"
              "              + 1,\n"
              "              + {\n"
              "                  + x = []\n"
              "                },\n"
              "            ]\n"
              "          + pw   = (sensitive value)\n"
              "          + text = <<-EOT\n"
              "                one\n"
              "                two\n"
              "            EOT\n"
              "        }\n"
              "      + key-1     = \"q\\\"\\\\\\t\"\n"
              "      + \"odd key\" = \"\"\n"
              "      + on        = true\n"
              "      + size      = 1.10\n"
              "    }\n\n");
}

static void test_update(void **state)
{
    (void)state;
    struct mio_change c =
        change_of(&arena, "thing.a", MIO_UPDATE,
                  "{\"id\":\"i1\",\"n\":1,\"same\":1,\"gone\":\"x\",\"pw\":" SECRET(
                      "\"a\"") ",\"was\":null,"
                               "\"m\":{\"k\":{\"deep\":1,\"other\":2},\"del\":1,\"same\":true},"
                               "\"t\":\"a\\nb\\nc\\n\",\"kind\":\"s\"}",
                  "{\"id\":\"i1\",\"n\":2,\"same\":1,\"gone\":null,\"pw\":" SECRET(
                      "\"b\"") ",\"was\":\"now\","
                               "\"m\":{\"k\":{\"deep\":3,\"other\":2},\"same\":true},\"t\":"
                               "\"a\\nB\\nc\\n\",\"kind\":{\"a\":1}}");
    check(&c, "  # thing.a will be updated in-place\n"
              "  ~ resource \"thing\" \"a\" {\n"
              "      - gone = \"x\" -> null\n"
              "        id   = \"i1\"\n"
              "      ~ kind = \"s\" -> {\n"
              "          + a = 1\n"
              "        }\n"
              "      ~ m    = {\n"
              "          - del = 1\n"
              "          ~ k   = {\n"
              "              ~ deep = 1 -> 3\n"
              "                # (1 unchanged attribute hidden)\n"
              "            }\n"
              "            # (1 unchanged attribute hidden)\n"
              "        }\n"
              "      ~ n    = 1 -> 2\n"
              "      ~ pw   = (sensitive value)\n"
              "      ~ t    = <<-EOT\n"
              "            a\n"
              "          - b\n"
              "          + B\n"
              "            c\n"
              "        EOT\n"
              "      + was  = \"now\"\n"
              "        # (1 unchanged attribute hidden)\n"
              "    }\n\n");
}

static void test_lists(void **state)
{
    (void)state;
    struct mio_change c = change_of(
        &arena, "thing.a", MIO_UPDATE,
        "{\"same_length\":[0,1,2,3,\"X\",5,6,7],\"grown\":[1,2,3],\"objects\":[{\"a\":1,\"b\":2},{"
        "\"a\":2,\"b\":3}],"
        "\"inserted\":[{\"a\":1},{\"a\":9}],\"all\":[1],\"unknown\":[1]}",
        "{\"same_length\":[0,1,2,3,4,5,6,7],\"grown\":[1,9,3,4],\"objects\":[{\"a\":1,\"b\":2},{"
        "\"a\":2,\"b\":4}],"
        "\"inserted\":[{\"a\":1},{\"a\":5},{\"a\":9}],\"all\":[],\"unknown\":" UNKNOWN "}");
    check(&c, "  # thing.a will be updated in-place\n"
              "  ~ resource \"thing\" \"a\" {\n"
              "      ~ all         = [\n"
              "          - 1,\n"
              "        ]\n"
              "      ~ grown       = [\n"
              "            1,\n"
              "          - 2,\n"
              "          + 9,\n"
              "            3,\n"
              "          + 4,\n"
              "        ]\n"
              "      ~ inserted    = [\n"
              "            {\n"
              "                a = 1\n"
              "            },\n"
              "          + {\n"
              "              + a = 5\n"
              "            },\n"
              "            {\n"
              "                a = 9\n"
              "            },\n"
              "        ]\n"
              "      ~ objects     = [\n"
              "            {\n"
              "                a = 1\n"
              "                b = 2\n"
              "            },\n"
              "          ~ {\n"
              "              ~ b = 3 -> 4\n"
              "                # (1 unchanged attribute hidden)\n"
              "            },\n"
              "        ]\n"
              "      ~ same_length = [\n"
              "            # (3 unchanged elements hidden)\n"
              "            3,\n"
              "          ~ \"X\" -> 4,\n"
              "            5,\n"
              "            # (2 unchanged elements hidden)\n"
              "        ]\n"
              "      ~ unknown     = [\n"
              "          - 1,\n"
              "        ] -> (known after apply)\n"
              "    }\n\n");
}

static void test_delete_and_reasons(void **state)
{
    (void)state;
    struct mio_change c =
        change_of(&arena, "thing.a[1]", MIO_DELETE, "{\"id\":\"i1\",\"m\":{\"a\":1}}", "null");
    c.reason = MIO_WHY_COUNT_INDEX;
    check(&c, "  # thing.a[1] will be destroyed\n"
              "  # (because its index is out of range for count)\n"
              "  - resource \"thing\" \"a\" {\n"
              "      - id = \"i1\" -> null\n"
              "      - m  = {\n"
              "          - a = 1\n"
              "        } -> null\n"
              "    }\n\n");
    c.deposed = MIO_STR("abcdef01");
    c.reason = MIO_WHY_DEPOSED;
    c.before = value_of(&arena, "{}");
    check(&c, "  # thing.a[1] (deposed object abcdef01) will be destroyed\n"
              "  # (left over from a replacement that was not finished)\n"
              "  - resource \"thing\" \"a\" {\n"
              "    }\n\n");
}

static void test_replace(void **state)
{
    (void)state;
    static const struct mio_diff_attr attrs[] = {
        {.path = MIO_STR_INIT("sku"), .replaces = true},
        {.path = MIO_STR_INIT("net.zone"), .replaces = true},
        {.path = MIO_STR_INIT("code")},
    };
    struct mio_change c =
        change_of(&arena, "thing.a", MIO_REPLACE,
                  "{\"id\":\"i1\",\"sku\":\"s\",\"net\":{\"zone\":1},\"code\":\"./src\"}",
                  "{\"id\":" UNKNOWN ",\"sku\":\"l\",\"net\":{\"zone\":2},\"code\":\"./src\"}");
    c.attrs = attrs;
    c.nattrs = 3;
    check(&c, "  # thing.a must be replaced\n"
              "-/+ resource \"thing\" \"a\" {\n"
              "      ~ code = \"./src\" # content changed\n"
              "      ~ id   = \"i1\" -> (known after apply)\n"
              "      ~ net  = {\n"
              "          ~ zone = 1 -> 2 # forces replacement\n"
              "        }\n"
              "      ~ sku  = \"s\" -> \"l\" # forces replacement\n"
              "    }\n\n");
    c.before = c.after = value_of(&arena, "{}");
    c.action = MIO_REPLACE_CREATE;
    c.reason = MIO_WHY_TAINTED;
    check(&c, "  # thing.a is tainted, so must be replaced\n"
              "+/- resource \"thing\" \"a\" {\n"
              "    }\n\n");
}

/* Text of others cannot move the cursor, end a line or start a colour. */
static void test_escapes(void **state)
{
    (void)state;
    struct mio_change c =
        change_of(&arena, "thing.a[\"\x1b[2J\"]", MIO_CREATE, "null",
                  "{\"a\":\"\\u001b[31mred\\u0007\",\"k\\u001b\":\"x\\n\\u001b]0;t\\n\"}");
    check(&c, "  # thing.a[\"\\x1b[2J\"] will be created\n"
              "  + resource \"thing\" \"a\" {\n"
              "      + a    = \"\\x1b[31mred\\x07\"\n"
              "      + \"k\\x1b\" = <<-EOT\n"
              "            x\n"
              "            \\x1b]0;t\n"
              "        EOT\n"
              "    }\n\n");
}

#define HMAC "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
/* A digest of a secret against the secret: only the engine knows whether they differ. */
static void test_masked(void **state)
{
    (void)state;
    struct mio_change c = change_of(&arena, "thing.a", MIO_UPDATE,
                                    "{\"n\":1,\"pw\":{\"$mio\":\"digest\",\"h\":\"" HMAC "\"}}",
                                    "{\"n\":2,\"pw\":" SECRET("\"hush\"") "}");
    check(&c, "  # thing.a will be updated in-place\n"
              "  ~ resource \"thing\" \"a\" {\n"
              "      ~ n = 1 -> 2\n"
              "        # (1 unchanged attribute hidden)\n"
              "    }\n\n");
    static const struct mio_diff_attr attr = {.path = MIO_STR_INIT("pw")};
    c.attrs = &attr;
    c.nattrs = 1;
    check(&c, "  # thing.a will be updated in-place\n"
              "  ~ resource \"thing\" \"a\" {\n"
              "      ~ n  = 1 -> 2\n"
              "      ~ pw = (sensitive value)\n"
              "    }\n\n");
}

static void test_moved_imported_forgotten(void **state)
{
    (void)state;
    struct mio_change c =
        change_of(&arena, "thing.a", MIO_NOOP, "{\"id\":\"i\",\"x\":1}", "{\"id\":\"i\",\"x\":1}");
    c.previous_address = MIO_STR("thing.old");
    check(&c, "  # thing.old has moved to thing.a\n"
              "    resource \"thing\" \"a\" {\n"
              "        id = \"i\"\n"
              "        # (1 unchanged attribute hidden)\n"
              "    }\n\n");
    c.previous_address = MIO_STR("");
    c.import_id = MIO_STR("cloud-7");
    check(&c, "  # thing.a will be imported\n"
              "  # (imported from cloud-7)\n"
              "    resource \"thing\" \"a\" {\n"
              "        id = \"i\"\n"
              "        # (1 unchanged attribute hidden)\n"
              "    }\n\n");
    c = change_of(&arena, "thing.a", MIO_FORGET, "{\"id\":\"i\"}", "null");
    check(&c, "  # thing.a will be forgotten: no longer managed, but not destroyed\n"
              "  . resource \"thing\" \"a\" {\n"
              "      . id = \"i\"\n"
              "    }\n\n");
}

static void test_whole_plan(void **state)
{
    (void)state;
    struct mio_change changes[] = {
        change_of(&arena, "thing.a", MIO_CREATE, "null", "{\"n\":1}"),
        change_of(&arena, "thing.b", MIO_NOOP, "{\"n\":1}", "{\"n\":1}"),
        change_of(&arena, "thing.c", MIO_UPDATE, "{\"n\":1,\"m\":1}", "{\"n\":2,\"m\":1}"),
    };
    struct mio_change drift[] = {
        change_of(&arena, "thing.c", MIO_UPDATE, "{\"w\":90}", "{\"w\":10}"),
        change_of(&arena, "thing.d", MIO_DELETE, "{\"id\":\"d\"}", "null"),
    };
    struct mio_output_change outputs[] = {
        {.name = MIO_STR("uri"), .action = MIO_CREATE, .after = mio_unknown(MIO_STRING)},
        {.name = MIO_STR("key"),
         .action = MIO_UPDATE,
         .before = value_of(&arena, "1"),
         .after = value_of(&arena, "2"),
         .sensitive = true},
        {.name = MIO_STR("old"), .action = MIO_DELETE, .before = value_of(&arena, "[1]")},
        {.name = MIO_STR("same"), .action = MIO_NOOP},
    };
    struct mio_check_result checks[] = {
        {.name = MIO_STR("budget"), .message = MIO_STR("too dear")}};
    const struct mio_str unchecked[] = {MIO_STR_INIT("thing.q: no read right")};
    struct mio_plan p = {.refreshed = true,
                         .changes = changes,
                         .nchanges = 3,
                         .drift = drift,
                         .ndrift = 2,
                         .outputs = outputs,
                         .noutputs = 4,
                         .checks = checks,
                         .nchecks = 1,
                         .unchecked = unchecked,
                         .nunchecked = 1,
                         .counts = {.add = 1, .change = 1, .import = 2, .forget = 3}};
    mio_render_plan(&pen, &p, false);
    assert_text(&text, "Note: Objects have changed outside of mlops-iac\n\n"
                       "Since the last apply, these differ from what was recorded:\n\n"
                       "  # thing.c has changed\n"
                       "  ~ resource \"thing\" \"a\" {\n"
                       "      ~ w = 90 -> 10\n"
                       "    }\n\n"
                       "  # thing.d has been deleted\n"
                       "  - resource \"thing\" \"a\" {\n"
                       "      - id = \"d\" -> null\n"
                       "    }\n\n"
                       "Not checked:\n"
                       "  ? thing.q: no read right\n\n"
                       "Resource actions are indicated with the following symbols:\n"
                       "  + create\n"
                       "  ~ update in-place\n\n"
                       "mlops-iac will perform the following actions:\n\n"
                       "  # thing.a will be created\n"
                       "  + resource \"thing\" \"a\" {\n"
                       "      + n = 1\n"
                       "    }\n\n"
                       "  # thing.c will be updated in-place\n"
                       "  ~ resource \"thing\" \"a\" {\n"
                       "      ~ n = 1 -> 2\n"
                       "        # (1 unchanged attribute hidden)\n"
                       "    }\n\n"
                       "Plan: 2 to import, 1 to add, 1 to change, 0 to destroy, 3 to forget.\n\n"
                       "Changes to Outputs:\n"
                       "  + uri = (known after apply)\n"
                       "  ~ key = (sensitive value)\n"
                       "  - old = [\n"
                       "      - 1,\n"
                       "    ] -> null\n\n");
    mio_buf_reset(&text);
    mio_render_checks(&pen, &p);
    assert_text(&text, "Check budget failed: too dear\n\n");
    mio_buf_reset(&text);
    p.ndrift = p.nunchecked = p.noutputs = p.nchecks = 0;
    mio_render_plan(&pen, &p, true);
    assert_text(&text, "  + thing.a\n  ~ thing.c (n)\n\n"
                       "Plan: 2 to import, 1 to add, 1 to change, 0 to destroy, 3 to forget.\n\n");
}

static void test_nothing(void **state)
{
    (void)state;
    struct mio_plan p = {.refreshed = true};
    mio_render_plan(&pen, &p, false);
    assert_text(&text, "No changes. The platform matches the template.\n\n");
    mio_buf_reset(&text);
    p.mode = MIO_PLAN_REFRESH_ONLY;
    mio_render_plan(&pen, &p, false);
    assert_text(&text, "No changes. The platform still matches what was recorded.\n\n");
    mio_buf_reset(&text);
    mio_render_drift(&pen, &p, 12, false);
    assert_text(&text, "No drift: 12 as recorded, 0 not checked.\n");
}

static void test_drift_report(void **state)
{
    (void)state;
    struct mio_change drift[] = {
        change_of(&arena, "thing.c", MIO_UPDATE, "{\"w\":90}", "{\"w\":10}")};
    const struct mio_str unchecked[] = {MIO_STR_INIT("thing.q: no read right")};
    struct mio_plan p = {.mode = MIO_PLAN_REFRESH_ONLY,
                         .refreshed = true,
                         .drift = drift,
                         .ndrift = 1,
                         .unchecked = unchecked,
                         .nunchecked = 1};
    mio_render_drift(&pen, &p, 5, false);
    assert_text(&text, "These objects were changed outside of mlops-iac (recorded -> real):\n\n"
                       "  # thing.c has changed\n"
                       "  ~ resource \"thing\" \"a\" {\n"
                       "      ~ w = 90 -> 10\n"
                       "    }\n\n"
                       "Not checked:\n"
                       "  ? thing.q: no read right\n\n"
                       "Drift: 1 differs, 3 as recorded, 1 not checked.\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_create),     T(test_update),  T(test_lists),        T(test_delete_and_reasons),
        T(test_replace),    T(test_escapes), T(test_masked),       T(test_moved_imported_forgotten),
        T(test_whole_plan), T(test_nothing), T(test_drift_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
