/* tests/cli/test_ui.c: what the views print for the events of a run. */
#include "cli/render_plan.h"
#include "cli/ui.h"
#include "tests/cli/support.h"
#include <unistd.h>

/* A view that writes into memory: descriptor -1 is never flushed to because the test reads the
 * buffer first. */
struct page {
    struct mio_arena arena;
    struct mio_out out;
    struct mio_text_ui text;
    struct mio_json_ui json;
    struct mio_running_set running;
};

static void open_page(struct page *p)
{
    *p = (struct page){0};
    mio_arena_init(&p->arena);
    mio_out_init(&p->out, -1);
    p->text = (struct mio_text_ui){.out = &p->out, .running = &p->running};
    p->json = (struct mio_json_ui){.out = &p->out};
}

static void close_page(struct page *p)
{
    mio_running_clear(&p->running);
    mio_out_free(&p->out);
    mio_arena_free(&p->arena);
}

static struct mio_event event(enum mio_event_type type, enum mio_action action)
{
    return (struct mio_event){.type = type,
                              .address = MIO_STR("thing.a"),
                              .action = action,
                              .id = MIO_STR("i-1"),
                              .percent = -1,
                              .elapsed_s = 65.2,
                              .done = 1,
                              .total = 4};
}

static void test_text_lines(void **state)
{
    (void)state;
    static const struct {
        enum mio_event_type type;
        enum mio_action action;
        const char *want;
    } cases[] = {
        {MIO_EV_START, MIO_CREATE, "thing.a: Creating...\n"},
        {MIO_EV_DONE, MIO_CREATE, "thing.a: Creation complete after 1m5s [id=i-1]\n"},
        {MIO_EV_START, MIO_UPDATE, "thing.a: Modifying... [id=i-1]\n"},
        {MIO_EV_DONE, MIO_UPDATE, "thing.a: Modifications complete after 1m5s [id=i-1]\n"},
        {MIO_EV_START, MIO_DELETE, "thing.a: Destroying... [id=i-1]\n"},
        {MIO_EV_DONE, MIO_DELETE, "thing.a: Destruction complete after 1m5s\n"},
        {MIO_EV_ERROR, MIO_CREATE, "thing.a: Creation failed after 1m5s\n"},
        {MIO_EV_PROGRESS, MIO_CREATE, "thing.a: Still creating... [1m5s elapsed]\n"},
        {MIO_EV_REFRESH_START, MIO_READ, ""},
        {MIO_EV_TICK, MIO_NOOP, ""},
    };
    struct page p;
    open_page(&p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mio_event ev = event(cases[i].type, cases[i].action);
        mio_buf_reset(&p.out.buf);
        mio_text_event(&p.text, &ev);
        assert_text(&p.out.buf, cases[i].want);
    }
    close_page(&p);
}

/* @timestamp is the only thing that may differ from run to run. */
static void blank_time(struct mio_buf *b)
{
    char *at = b->p ? strstr(b->p, "\"@timestamp\":\"") : NULL;
    assert_non_null(at);
    at += strlen("\"@timestamp\":\"");
    assert_int_equal(strcspn(at, "\""), strlen("2026-11-23T05:53:42.756968Z"));
    for (; *at != '"'; at++) {
        if (*at >= '0' && *at <= '9')
            *at = '0';
    }
}

#define HEAD(level, message)                            \
    "{\"@level\":\"" level "\",\"@message\":\"" message \
    "\",\"@module\":\"mlops-iac.ui\",\"@timestamp\":"   \
    "\"0000-00-00T00:00:00.000000Z\","
#define RESOURCE                                                                                   \
    "{\"addr\":\"thing.a\",\"module\":\"\",\"resource\":\"thing.a\",\"implied_provider\":\"sim\"," \
    "\"resource_type\":\"thing\",\"resource_name\":\"a\",\"resource_key\":null}"

static void test_json_lines(void **state)
{
    (void)state;
    struct page p;
    open_page(&p);
    struct mio_change c = change_of(&p.arena, "thing.a", MIO_CREATE, "null", "{}");
    struct mio_event ev = event(MIO_EV_DONE, MIO_CREATE);
    ev.change = &c;
    mio_json_event(&p.json, &ev);
    blank_time(&p.out.buf);
    assert_text(
        &p.out.buf,
        HEAD("info",
             "thing.a: Creation complete after 1m5s [id=i-1]") "\"hook\":{\"resource\":" RESOURCE
                                                               ",\"action\":\"create\",\"id_key\":"
                                                               "\"id\",\"id_value\":\"i-1\","
                                                               "\"elapsed_seconds\":65},"
                                                               "\"type\":\"apply_complete\"}\n");
    mio_buf_reset(&p.out.buf);
    ev.type = MIO_EV_PROGRESS;
    ev.elapsed_s = 10;
    mio_json_event(&p.json, &ev);
    blank_time(&p.out.buf);
    assert_text(
        &p.out.buf,
        HEAD("info", "thing.a: Still creating... [10s elapsed]") "\"hook\":{\"resource\":" RESOURCE
                                                                 ",\"action\":\"create\",\"elapsed_"
                                                                 "seconds\":10},\"type\":\"apply_"
                                                                 "progress\"}\n");
    mio_buf_reset(&p.out.buf);
    ev.type = MIO_EV_TICK;
    mio_json_event(&p.json, &ev);
    assert_int_equal(p.out.buf.n, 0);
    mio_json_version(&p.json);
    blank_time(&p.out.buf);
    assert_text(&p.out.buf,
                HEAD("info", "mlops-iac " MIO_VERSION) "\"mlops_iac\":\"" MIO_VERSION
                                                       "\",\"ui\":\"1.2\",\"type\":\"version\"}\n");
    close_page(&p);
}

static void test_json_plan(void **state)
{
    (void)state;
    struct page p;
    open_page(&p);
    struct mio_change changes[] = {change_of(&p.arena, "thing.a", MIO_REPLACE, "{}", "{}"),
                                   change_of(&p.arena, "thing.b", MIO_NOOP, "{}", "{}")};
    struct mio_change drift = change_of(&p.arena, "thing.a", MIO_UPDATE,
                                        "{\"m\":{\"w\":90},\"pw\":" SECRET("\"hush\"") "}",
                                        "{\"m\":{\"w\":10},\"pw\":" SECRET("\"other\"") "}");
    const struct mio_str unchecked = MIO_STR("thing.q[\"a: b\"]: no right");
    changes[0].reason = MIO_WHY_CANNOT_UPDATE;
    struct mio_plan plan = {.changes = changes,
                            .nchanges = 2,
                            .drift = &drift,
                            .ndrift = 1,
                            .unchecked = &unchecked,
                            .nunchecked = 1,
                            .counts = {.add = 1, .destroy = 1}};
    mio_json_plan(&p.json, &plan);
    assert_null(strstr(p.out.buf.p, "hush"));
    assert_non_null(
        strstr(p.out.buf.p,
               "\"attributes\":[{\"path\":\"m.w\",\"before\":90,\"after\":10},{\"path\":\"pw\","
               "\"before\":\"(sensitive value)\",\"after\":\"(sensitive value)\"}]},"
               "\"type\":\"resource_drift\"}\n"));
    assert_non_null(strstr(p.out.buf.p,
                           "\"address\":\"thing.q[\\\"a: b\\\"]\",\"reason\":\"no right\","
                           "\"type\":\"resource_unchecked\"}\n"));
    assert_non_null(strstr(p.out.buf.p, "\"change\":{\"resource\":" RESOURCE
                                        ",\"action\":\"replace\",\"reason\":"
                                        "\"cannot_update\"},\"type\":\"planned_change\"}\n"));
    assert_null(strstr(p.out.buf.p, "thing.b"));
    assert_non_null(strstr(p.out.buf.p,
                           "\"changes\":{\"add\":1,\"change\":0,\"import\":0,\"remove\":1,"
                           "\"operation\":\"plan\"},\"type\":\"change_summary\"}\n"));
    close_page(&p);
}

/* Ten seconds without a word: a sign of life, with what the plugin said last; and only one. */
static void test_heartbeat(void **state)
{
    (void)state;
    struct mio_running_set set = {0};
    struct mio_event ev = event(MIO_EV_START, MIO_CREATE), due;
    mio_running_event(&set, &ev);
    ev.type = MIO_EV_PROGRESS;
    ev.message = MIO_STR("pulling");
    ev.percent = 40;
    mio_running_event(&set, &ev);
    int64_t start = set.items[0].started_ms;
    assert_false(mio_running_due(&set, start + 9999, &due));
    assert_true(mio_running_due(&set, start + 10000, &due));
    assert_true(mio_str_is(due.message, "pulling"));
    assert_int_equal(due.percent, 40);
    assert_true(due.elapsed_s > 9.9 && due.elapsed_s < 10.1);
    assert_false(mio_running_due(&set, start + 10000, &due));
    ev.type = MIO_EV_DONE;
    mio_running_event(&set, &ev);
    assert_int_equal(set.n, 0);
    assert_false(mio_running_due(&set, start + 100000, &due));
    mio_running_clear(&set);
}

static void test_sums(void **state)
{
    (void)state;
    MIO_AUTO_BUF b = {0};
    struct mio_plan_counts n = {.add = 1, .change = 2, .destroy = 3};
    mio_put_apply_sum(&b, MIO_PLAN_NORMAL, &n);
    assert_text(&b, "Apply complete! Resources: 1 added, 2 changed, 3 destroyed.");
    mio_buf_reset(&b);
    n.import = 4;
    n.forget = 5;
    mio_put_apply_sum(&b, MIO_PLAN_NORMAL, &n);
    assert_text(
        &b, "Apply complete! Resources: 4 imported, 1 added, 2 changed, 3 destroyed, 5 forgotten.");
    mio_buf_reset(&b);
    n.forget = 0;
    mio_put_apply_sum(&b, MIO_PLAN_DESTROY, &n);
    assert_text(&b, "Destroy complete! Resources: 3 destroyed.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_lines), cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_json_plan),  cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
