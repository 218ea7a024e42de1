/* cli/cmd_test.c: test: every tests/NAME.mlopstest.yaml of the template directory. */
#include "cli/render_test.h"
#include "cli/session.h"
#include "providers/sdk/fs.h"

#define SUFFIX ".mlopstest.yaml"

struct run {
    struct mio_cli *c;
    struct mio_test_report report;
    const char *path; /* of the file that runs, as shown */
    bool *met;        /* beside the filters: something has this name */
    bool unread;      /* a file is broken: what steps it has is not known */
};

static void meet(struct run *r, struct mio_str name)
{
    const struct mio_optval *filters = &r->c->opt.v[MIO_OPT_FILTER];
    for (size_t i = 0; i < filters->n; i++)
        r->met[i] = r->met[i] || mio_str_is(name, filters->list[i]);
}

static void on_step(void *arg, const struct mio_test_step *s)
{
    struct run *r = arg;
    meet(r, s->name);
    mio_test_step_done(&r->report, r->path, s);
    if (r->report.text)
        mio_out_flush(&r->c->out);
}

/* Filters that name files, and those that name steps. */
static bool names_file(const char *filter)
{
    return mio_str_ends(mio_str_z(filter), SUFFIX);
}

static bool wanted_file(struct run *r, struct mio_str name)
{
    const struct mio_optval *filters = &r->c->opt.v[MIO_OPT_FILTER];
    bool any = false;
    for (size_t i = 0; i < filters->n; i++) {
        struct mio_str f = mio_str_z(filters->list[i]);
        if (!names_file(filters->list[i]))
            continue;
        any = true;
        if (mio_str_eq(mio_path_base(f), name)) {
            r->met[i] = true;
            return true;
        }
    }
    return !any;
}

static void run_file(struct run *r, const struct mio_engine_opts *eo, const char *path)
{
    struct mio_cli *c = r->c;
    const struct mio_optval *filters = &c->opt.v[MIO_OPT_FILTER];
    const char **steps = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < filters->n; i++)
        if (!names_file(filters->list[i]))
            MIO_PUSH(&c->arena, steps, n, cap) = filters->list[i];
    struct mio_test_opts o = {
        .engine = eo, .filters = steps, .nfilters = n, .on_step = on_step, .arg = r};
    struct mio_sources sources = {0};
    struct mio_diags diags;
    mio_diags_init(&diags, &c->arena);
    mio_test_file_begin(&r->report, r->path);
    if (r->report.text)
        mio_out_flush(&c->out);
    bool unusable = mio_test_file(&c->arena, path, &o, &sources, &diags) != MIO_OK;
    r->unread = r->unread || unusable;
    mio_test_file_end(&r->report, r->path, unusable ? &diags : NULL, &sources);
}

static enum mio_code write_junit(struct run *r)
{
    const char *path = mio_cli_text(r->c, MIO_OPT_JUNIT_XML);
    struct mio_err err = {0};
    MIO_AUTO_BUF xml = {0};
    if (!path)
        return MIO_OK;
    mio_test_junit(&r->report, &xml);
    return mio_fs_replace(path, mio_buf_view(&xml), 0644, &err) ? mio_cli_fail(r->c, &err) : MIO_OK;
}

static size_t run_files(struct run *r, const struct mio_engine_opts *eo)
{
    struct mio_arena *a = &r->c->arena;
    struct mio_str *names, folder = mio_path_join(a, mio_str_z(eo->dir), MIO_STR("tests"));
    struct mio_err err = {0};
    size_t n = 0, ran = 0;
    if (!mio_fs_is_dir(folder.p) || mio_fs_list(a, folder.p, &names, &n, &err))
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!mio_str_ends(names[i], SUFFIX) || !wanted_file(r, names[i]))
            continue;
        r->path = mio_arena_printf(a, "tests/%.*s", MIO_FMT(names[i])).p;
        run_file(r, eo, mio_path_join(a, folder, names[i]).p);
        ran++;
    }
    return ran;
}

/* The first filter that names nothing, or NULL: it would pass for a test that passed. */
static const char *unmet(const struct run *r)
{
    const struct mio_optval *filters = &r->c->opt.v[MIO_OPT_FILTER];
    for (size_t i = 0; i < filters->n; i++)
        if (!r->met[i] && !(r->unread && !names_file(filters->list[i])))
            return filters->list[i];
    return NULL;
}

static enum mio_code refuse(struct mio_cli *c, const char *filter)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_USAGE, "no test is called \"%s\"", filter);
    mio_err_hint(&err, "-filter takes the name of a file, NAME%s, or of a step.", SUFFIX);
    return mio_cli_fail(c, &err);
}

enum mio_code mio_cmd_test(struct mio_cli *c)
{
    bool json = mio_cli_on(c, MIO_OPT_JSON);
    struct mio_engine_opts eo;
    struct mio_jout out = {.b = &c->out.buf, .pretty = true};
    struct run r = {.c = c, .met = MIO_NEW_N(&c->arena, bool, c->opt.v[MIO_OPT_FILTER].n + 1)};
    enum mio_code code = mio_cli_engine_opts(c, MIO_OPEN_WRITE, &eo);
    if (code)
        return code;
    eo.on_event = NULL;
    r.report.text = json ? NULL : &c->out.buf;
    r.report.color = c->out.color;
    r.report.json = json ? &out : NULL;
    if (json) {
        mio_jout_open(&out, '{');
        mio_jout_kz(&out, "format_version", "1.0");
        mio_jout_key(&out, "files");
        mio_jout_open(&out, '[');
    }
    size_t ran = run_files(&r, &eo);
    const struct mio_test_counts *all = &r.report.all;
    const char *none = unmet(&r);
    bool good = mio_test_good(all) && !none;
    if (json) {
        mio_jout_close(&out, ']');
        mio_jout_kz(&out, "status", good ? "pass" : "fail");
        mio_jout_ku64(&out, "passed", all->passed);
        mio_jout_ku64(&out, "failed", all->failed);
        mio_jout_ku64(&out, "errored", all->errored);
        mio_jout_ku64(&out, "skipped", all->skipped);
        mio_jout_close(&out, '}');
        mio_buf_char(&c->out.buf, '\n');
    } else if (ran == 0 && !none) {
        mio_ui_note(&c->ui, "No tests: there is no file tests/*%s.", SUFFIX);
    }
    if (ran)
        mio_test_summary(&r.report);
    code = write_junit(&r);
    if (none)
        code = refuse(c, none);
    mio_buf_free(&r.report.junit);
    mio_buf_free(&r.report.junit_file);
    return code ? code : good ? MIO_OK : MIO_TEMPLATE;
}
