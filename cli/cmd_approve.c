/* cli/cmd_approve.c: approve: shows a saved plan and puts a signed approval into its file. */
#include "cli/json_out.h"
#include "cli/render_plan.h"
#include "cli/render_review.h"
#include "cli/session.h"
#include "providers/sdk/clock.h"

static void put_time(struct mio_jout *j, const char *key, int64_t when)
{
    char text[24];
    mio_rfc3339(when, text);
    mio_jout_kz(j, key, text);
}

static void put_json(struct mio_buf *b, const struct mio_review *r)
{
    struct mio_jout out = {.b = b}, *j = &out;
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "plan_digest", r->file.digest);
    mio_jout_kstr(j, "stage", r->file.plan.binding.stage);
    put_time(j, "expires", r->file.plan.binding.expires);
    mio_jout_kbool(j, "sealed", r->sealed);
    mio_jout_kstr(j, "signed_by", r->signed_by);
    mio_jout_ku64(j, "required", r->required);
    mio_jout_ku64(j, "good", r->good);
    mio_jout_key(j, "approvals");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < r->n; i++) {
        const struct mio_approval *p = &r->approvals[i];
        mio_jout_item(j);
        mio_jout_open(j, '{');
        mio_jout_kstr(j, "by", p->by);
        mio_jout_kstr(j, "key", p->fingerprint);
        put_time(j, "when", p->when);
        put_time(j, "expires", p->expires);
        mio_jout_kbool(j, "counts", !p->why_not);
        if (p->why_not)
            mio_jout_kz(j, "why_not", p->why_not);
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, ']');
    mio_jout_close(j, '}');
    mio_buf_char(b, '\n');
}

/* The plan's own stage is the one whose approvers are asked. */
static enum mio_code open_stage(struct mio_cli *c, const char *path)
{
    struct mio_planfile f;
    struct mio_optval *stage = &c->opt.v[MIO_OPT_STAGE];
    enum mio_code code = mio_cli_read_plan(c, path, &f);
    if (code)
        return code;
    struct mio_str wanted = f.plan.binding.stage;
    if (stage->text && *stage->text && !mio_str_eq(mio_str_z(stage->text), wanted))
        return mio_cli_usage(c, "Leave -stage out: the plan knows its stage.",
                             "%s is a plan for stage \"%.*s\"", path, MIO_FMT(wanted));
    bool again = c->engine && !mio_str_eq(mio_engine_template(c->engine)->stage, wanted);
    if (again)
        mio_cli_close(c);
    stage->text = wanted.n ? mio_arena_z(&c->arena, wanted) : NULL;
    return c->engine ? MIO_OK : mio_cli_open(c, MIO_OPEN_READ);
}

static void show(struct mio_cli *c, const struct mio_review *r, bool plan)
{
    struct mio_pen pen = mio_out_pen(&c->out);
    if (plan) {
        mio_render_plan(&pen, &r->file.plan, mio_cli_on(c, MIO_OPT_SUMMARY));
        mio_render_planfile(&pen, &r->file);
    }
    mio_render_approvals(&pen, r);
}

static enum mio_code merge(struct mio_cli *c, struct mio_review *r)
{
    size_t added = 0, all = 0;
    for (size_t i = 1; i < c->nargs; i++, all += added) {
        enum mio_code code =
            mio_cli_report(c, mio_engine_take_approvals(c->engine, c->args[i], r, &added));
        if (code)
            return code;
    }
    mio_ui_note(&c->ui, "%zu approval%s taken over.", all, all == 1 ? "" : "s");
    show(c, r, false);
    return MIO_OK;
}

static enum mio_code approve(struct mio_cli *c, struct mio_review *r)
{
    struct mio_err err = {0};
    show(c, r, true);
    enum mio_code code = mio_engine_may_use(c->engine, r, false, &err);
    if (code)
        return mio_cli_fail(c, &err);
    if (!mio_cli_on(c, MIO_OPT_AUTO_APPROVE))
        code = mio_cli_confirm(c, "Do you approve exactly these actions?",
                               "Your signature goes into the plan file; nothing is changed yet.",
                               "-auto-approve");
    if (code)
        return code;
    code = mio_cli_report(c, mio_engine_approve(c->engine, mio_cli_text(c, MIO_OPT_KEY),
                                                c->opt.v[MIO_OPT_VALID_FOR].number / 1000, r));
    if (code)
        return code;
    mio_buf_char(&c->out.buf, '\n');
    show(c, r, false);
    if (!c->automation && r->good >= r->required)
        mio_cli_advise_apply(c, r->path);
    return MIO_OK;
}

enum mio_code mio_cmd_approve(struct mio_cli *c)
{
    struct mio_review r;
    bool list = c->opt.v[MIO_OPT_LIST_NAMES].set && mio_cli_on(c, MIO_OPT_LIST_NAMES);
    bool json = mio_cli_on(c, MIO_OPT_JSON);
    if (json && !list)
        return mio_cli_usage(c, NULL, "-json goes with -list");
    enum mio_code code = open_stage(c, c->args[0]);
    if (!code)
        code = mio_cli_report(c, mio_engine_review(c->engine, c->args[0], true, &r));
    if (code)
        return code;
    if (json)
        put_json(&c->out.buf, &r);
    else if (list || mio_cli_on(c, MIO_OPT_SHOW))
        show(c, &r, !list);
    else
        return c->nargs > 1 ? merge(c, &r) : approve(c, &r);
    return MIO_OK;
}
