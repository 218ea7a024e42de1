/* cli/render_test.c: see render_test.h. */
#include "cli/render_test.h"
#include "cli/render_diag.h"

static const struct {
    const char *name;
    enum mio_style style;
} statuses[] = {
    [MIO_TEST_PASS] = {"pass", MIO_GREEN},
    [MIO_TEST_FAIL] = {"fail", MIO_RED},
    [MIO_TEST_ERROR] = {"error", MIO_RED},
    [MIO_TEST_SKIP] = {"skip", MIO_DIM},
};

const char *mio_test_status_name(enum mio_test_status s)
{
    return statuses[s].name;
}

bool mio_test_good(const struct mio_test_counts *c)
{
    return c->failed + c->errored == 0;
}

static enum mio_test_status status_of(const struct mio_test_counts *c)
{
    return c->errored                 ? MIO_TEST_ERROR
           : c->failed                ? MIO_TEST_FAIL
           : c->passed || !c->skipped ? MIO_TEST_PASS
                                      : MIO_TEST_SKIP;
}

static void count(struct mio_test_counts *c, const struct mio_test_step *s)
{
    size_t *slots[] = {&c->passed, &c->failed, &c->errored, &c->skipped};
    (*slots[s->status])++;
    c->seconds += s->elapsed_s;
}

static void put_status(struct mio_test_report *r, enum mio_test_status s)
{
    struct mio_pen pen = {r->text, r->color};
    mio_style(&pen, statuses[s].style);
    mio_buf_z(r->text, statuses[s].name);
    mio_style(&pen, MIO_RESET);
    mio_buf_char(r->text, '\n');
}

/* XML 1.0 takes no control bytes but tab and line ends. */
static void put_xml(struct mio_buf *b, struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *entity = c == '<'   ? "&lt;"
                             : c == '>' ? "&gt;"
                             : c == '&' ? "&amp;"
                             : c == '"' ? "&quot;"
                                        : NULL;
        if (entity)
            mio_buf_z(b, entity);
        else if (c >= 32 || c == '\n' || c == '\t')
            mio_buf_char(b, (char)c);
    }
}

static void put_case(struct mio_test_report *r, const char *path, const struct mio_test_step *s,
                     struct mio_str details)
{
    static const char *const tags[] = {
        [MIO_TEST_FAIL] = "failure", [MIO_TEST_ERROR] = "error", [MIO_TEST_SKIP] = "skipped"};
    struct mio_buf *b = &r->junit_file;
    mio_buf_z(b, "    <testcase name=\"");
    put_xml(b, s->name);
    mio_buf_z(b, "\" classname=\"");
    put_xml(b, mio_str_z(path));
    mio_buf_printf(b, "\" time=\"%.3f\"", s->elapsed_s);
    if (s->status == MIO_TEST_PASS) {
        mio_buf_z(b, "/>\n");
        return;
    }
    const struct mio_diags *d = s->diags;
    size_t first = 0;
    while (first < d->n && d->items[first].severity != MIO_ERROR)
        first++;
    mio_buf_printf(b, ">\n      <%s message=\"", tags[s->status]);
    if (s->status != MIO_TEST_SKIP && first < d->n)
        put_xml(b, mio_str_z(d->items[first].err.message));
    mio_buf_z(b, "\">");
    put_xml(b, details);
    mio_buf_printf(b, "</%s>\n    </testcase>\n", tags[s->status]);
}

static void put_json_diags(struct mio_jout *j, const struct mio_diags *d,
                           const struct mio_sources *sources)
{
    mio_jout_key(j, "diagnostics");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < d->n; i++) {
        mio_jout_item(j);
        mio_diag_json(j, &d->items[i], sources);
    }
    mio_jout_close(j, ']');
}

void mio_test_file_begin(struct mio_test_report *r, const char *path)
{
    r->file = (struct mio_test_counts){0};
    mio_buf_reset(&r->junit_file);
    if (r->text)
        mio_buf_printf(r->text, "%s... in progress\n", path);
    if (r->json) {
        mio_jout_item(r->json);
        mio_jout_open(r->json, '{');
        mio_jout_kz(r->json, "path", path);
        mio_jout_key(r->json, "runs");
        mio_jout_open(r->json, '[');
    }
}

void mio_test_step_done(struct mio_test_report *r, const char *path, const struct mio_test_step *s)
{
    MIO_AUTO_BUF details = {0};
    struct mio_pen plain = {&details, false};
    bool bad = s->status == MIO_TEST_FAIL || s->status == MIO_TEST_ERROR;
    count(&r->file, s);
    if (bad)
        mio_render_diags(&plain, s->diags, 0, s->sources, false);
    put_case(r, path, s, mio_buf_view(&details));
    if (r->text) {
        mio_buf_printf(r->text, "  run \"%.*s\"... ", MIO_FMT(s->name));
        put_status(r, s->status);
        if (bad) {
            struct mio_pen pen = {r->text, r->color};
            mio_render_diags(&pen, s->diags, 0, s->sources, false);
        }
    }
    if (r->json) {
        mio_jout_item(r->json);
        mio_jout_open(r->json, '{');
        mio_jout_kstr(r->json, "run", s->name);
        mio_jout_kz(r->json, "status", statuses[s->status].name);
        mio_jout_ku64(r->json, "elapsed_milliseconds", (uint64_t)(s->elapsed_s * 1000));
        if (s->status != MIO_TEST_SKIP)
            put_json_diags(r->json, s->diags, s->sources);
        mio_jout_close(r->json, '}');
    }
}

static void end_json(struct mio_test_report *r, const struct mio_diags *unusable,
                     const struct mio_sources *sources)
{
    mio_jout_close(r->json, ']');
    mio_jout_kz(r->json, "status", statuses[status_of(&r->file)].name);
    if (unusable)
        put_json_diags(r->json, unusable, sources);
    mio_jout_close(r->json, '}');
}

static void end_junit(struct mio_test_report *r, const char *path)
{
    const struct mio_test_counts *c = &r->file;
    mio_buf_z(&r->junit, "  <testsuite name=\"");
    put_xml(&r->junit, mio_str_z(path));
    mio_buf_printf(&r->junit,
                   "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" "
                   "time=\"%.3f\">\n",
                   c->passed + c->failed + c->errored + c->skipped, c->failed, c->errored,
                   c->skipped, c->seconds);
    mio_buf_str(&r->junit, mio_buf_view(&r->junit_file));
    mio_buf_z(&r->junit, "  </testsuite>\n");
}

void mio_test_file_end(struct mio_test_report *r, const char *path,
                       const struct mio_diags *unusable, const struct mio_sources *sources)
{
    struct mio_test_counts *c = &r->file;
    if (unusable) {
        struct mio_test_step whole = {.name = MIO_STR("(file)"),
                                      .status = MIO_TEST_ERROR,
                                      .diags = unusable,
                                      .sources = sources};
        MIO_AUTO_BUF details = {0};
        struct mio_pen plain = {&details, false}, pen = {r->text, r->color};
        mio_render_diags(&plain, unusable, 0, sources, false);
        put_case(r, path, &whole, mio_buf_view(&details));
        if (r->text)
            mio_render_diags(&pen, unusable, 0, sources, false);
        c->errored++;
    }
    end_junit(r, path);
    if (r->json)
        end_json(r, unusable, sources);
    if (r->text) {
        mio_buf_printf(r->text, "%s... ", path);
        put_status(r, status_of(c));
    }
    r->all.passed += c->passed;
    r->all.failed += c->failed;
    r->all.errored += c->errored;
    r->all.skipped += c->skipped;
    r->all.seconds += c->seconds;
}

void mio_test_summary(struct mio_test_report *r)
{
    const struct mio_test_counts *c = &r->all;
    if (!r->text)
        return;
    mio_buf_printf(r->text, "\n%s! %zu passed, %zu failed",
                   mio_test_good(c) ? "Success" : "Failure", c->passed, c->failed + c->errored);
    if (c->skipped)
        mio_buf_printf(r->text, ", %zu skipped", c->skipped);
    mio_buf_z(r->text, ".\n");
}

void mio_test_junit(struct mio_test_report *r, struct mio_buf *out)
{
    const struct mio_test_counts *c = &r->all;
    mio_buf_printf(out,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%zu\" "
                   "failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
                   c->passed + c->failed + c->errored + c->skipped, c->failed, c->errored,
                   c->skipped, c->seconds);
    mio_buf_str(out, mio_buf_view(&r->junit));
    mio_buf_z(out, "</testsuites>\n");
}
