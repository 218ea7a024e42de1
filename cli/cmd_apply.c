/* cli/cmd_apply.c: apply, and its two relatives destroy and refresh. */
#include "cli/apply.h"
#include "cli/render_plan.h"
#include "planner/run/review.h"

enum mio_code mio_cli_mode(struct mio_cli *c, enum mio_plan_mode *mode)
{
    bool destroy = mio_cli_on(c, MIO_OPT_DESTROY), refresh = mio_cli_on(c, MIO_OPT_REFRESH_ONLY);
    if (destroy && refresh)
        return mio_cli_usage(c, NULL, "-destroy and -refresh-only exclude each other");
    if (refresh && c->opt.v[MIO_OPT_REFRESH].set && !mio_cli_on(c, MIO_OPT_REFRESH))
        return mio_cli_usage(c, NULL, "-refresh-only and -refresh=false exclude each other");
    *mode = destroy ? MIO_PLAN_DESTROY : refresh ? MIO_PLAN_REFRESH_ONLY : MIO_PLAN_NORMAL;
    return MIO_OK;
}

/* A saved plan has its scope and variables in it: they cannot be given again. */
static enum mio_code check_planfile(struct mio_cli *c, const char *planfile)
{
    static const enum mio_opt fixed[] = {MIO_OPT_VAR,     MIO_OPT_VAR_FILE,    MIO_OPT_TARGET,
                                         MIO_OPT_EXCLUDE, MIO_OPT_REPLACE,     MIO_OPT_DESTROY,
                                         MIO_OPT_REFRESH, MIO_OPT_REFRESH_ONLY};
    if (!planfile)
        return MIO_OK;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (c->opt.v[fixed[i]].set)
            return mio_cli_usage(c, "Give it to 'plan -out' instead.",
                                 "-%s cannot be given together with a saved plan",
                                 mio_option_table[fixed[i]].name);
    }
    return MIO_OK;
}

static enum mio_code ask(struct mio_cli *c, enum mio_plan_mode mode)
{
    static const struct {
        const char *question, *text;
    } words[] = {
        [MIO_PLAN_NORMAL] = {"Do you want to perform these actions",
                             "mlops-iac will perform the actions described above."},
        [MIO_PLAN_DESTROY] = {"Do you really want to destroy all of these resources",
                              "mlops-iac will destroy everything shown above. There is no undo."},
        [MIO_PLAN_REFRESH_ONLY] =
            {"Do you want to record these values",
             "mlops-iac will write the values above to the state. No object is "
             "touched."},
    };
    const char *stage = mio_cli_text(c, MIO_OPT_STAGE);
    bool staged = stage && *stage;
    struct mio_str question =
        mio_arena_printf(&c->arena, "%s%s%s%s?", words[mode].question, staged ? " in stage \"" : "",
                         staged ? stage : "", staged ? "\"" : "");
    return mio_cli_confirm(c, question.p, words[mode].text, "-auto-approve");
}

/* Nothing to do: the outputs as they stand. */
static void report_unchanged(struct mio_cli *c, const struct mio_plan *plan)
{
    struct mio_apply_result r = {0};
    r.outputs = MIO_NEW_N(&c->arena, struct mio_state_output, plan->noutputs + 1);
    for (size_t i = 0; i < plan->noutputs; i++) {
        const struct mio_output_change *o = &plan->outputs[i];
        if (!mio_has_unknown(o->after))
            r.outputs[r.noutputs++] = (struct mio_state_output){
                .name = o->name, .value = o->after, .sensitive = o->sensitive};
    }
    mio_ui_applied(&c->ui, plan, &r, false);
}

/* What was reviewed is what is applied: the same digest that `show` and `approve` print. */
static void tell_review(struct mio_cli *c)
{
    const struct mio_review *r = mio_engine_reviewed(c->engine);
    mio_ui_note(&c->ui, "Applying plan %.*s", MIO_FMT(r->file.digest));
    for (size_t i = 0; i < r->n; i++)
        if (!r->approvals[i].why_not)
            mio_ui_note(&c->ui, "  approved by %.*s", MIO_FMT(r->approvals[i].by));
}

static enum mio_code perform(struct mio_cli *c, const struct mio_plan *plan)
{
    struct mio_apply_result result = {0};
    enum mio_code code = mio_engine_apply(c->engine, &result);
    size_t errors = c->diags ? c->diags->errors : 0;
    bool failed = code || result.failed || result.interrupted;
    mio_text_end(&c->ui.text);
    code = mio_cli_report(c, code);
    mio_ui_applied(&c->ui, plan, &result, failed);
    if (!code && result.interrupted)
        code = MIO_CANCELLED;
    return !code && failed && errors ? MIO_REALITY : code;
}

enum mio_code mio_cli_apply(struct mio_cli *c, enum mio_plan_mode mode, const char *planfile,
                            bool approved)
{
    const struct mio_plan *plan = NULL;
    approved = approved || planfile || mio_cli_on(c, MIO_OPT_AUTO_APPROVE);
    if (mio_cli_on(c, MIO_OPT_JSON) && !approved)
        return mio_cli_usage(c, "Give -auto-approve, or apply a saved plan.",
                             "-json cannot ask for approval");
    enum mio_code code = mio_cli_open(c, MIO_OPEN_WRITE);
    if (code)
        return code;
    code = planfile ? mio_engine_plan_from_file(c->engine, planfile, &plan)
                    : mio_cli_plan(c, mode, &plan);
    if (plan && plan->whole && !planfile)
        mio_ui_plan(&c->ui, plan, mio_cli_on(c, MIO_OPT_SUMMARY));
    code = mio_cli_report(c, code);
    if (code || !plan)
        return code;
    if (!mio_plan_proposes(plan) && !plan->ndrift && !plan->rewrites) {
        report_unchanged(c, plan);
        return mio_cli_report(c, mio_engine_unchanged(c->engine));
    }
    code = mio_cli_report(c, mio_engine_may_apply(c->engine));
    if (!code && planfile)
        tell_review(c);
    if (!code && !approved && mio_plan_proposes(plan))
        code = ask(c, plan->mode);
    return code ? code : perform(c, plan);
}

enum mio_code mio_cmd_apply(struct mio_cli *c)
{
    const char *planfile = c->nargs ? c->args[0] : NULL;
    enum mio_plan_mode mode = MIO_PLAN_NORMAL;
    enum mio_code code = mio_cli_mode(c, &mode);
    if (!code)
        code = check_planfile(c, planfile);
    return code ? code : mio_cli_apply(c, mode, planfile, false);
}

enum mio_code mio_cmd_destroy(struct mio_cli *c)
{
    return mio_cli_apply(c, MIO_PLAN_DESTROY, NULL, false);
}

enum mio_code mio_cmd_refresh(struct mio_cli *c)
{
    return mio_cli_apply(c, MIO_PLAN_REFRESH_ONLY, NULL, true);
}
