/* cli/render_plan.c: plans as text. Symbols, headers and sums are the ones administrators know. */
#include "cli/render_plan.h"
#include "cli/render_value.h"

/* ---- one resource ---- */

static const struct {
    const char *legend, *does;
} action_words[] = {
    [MIO_NOOP] = {NULL, "is unchanged"},
    [MIO_READ] = {" <= read (data)", "will be read during apply"},
    [MIO_CREATE] = {"  + create", "will be created"},
    [MIO_UPDATE] = {"  ~ update in-place", "will be updated in-place"},
    [MIO_DELETE] = {"  - destroy", "will be destroyed"},
    [MIO_REPLACE] = {"-/+ destroy and then create replacement", "must be replaced"},
    [MIO_REPLACE_CREATE] = {"+/- create replacement and then destroy", "must be replaced"},
    [MIO_FORGET] = {"  . forget (the object stays)",
                    "will be forgotten: no longer managed, but not destroyed"},
};

/* `instead` takes the place of the action's words, `why` is a line of its own. */
static const struct {
    const char *instead, *why;
} reason_words[] = {
    [MIO_WHY_NONE] = {NULL, NULL},
    [MIO_WHY_TAINTED] = {"is tainted, so must be replaced", NULL},
    [MIO_WHY_CANNOT_UPDATE] = {NULL, NULL},
    [MIO_WHY_REQUESTED] = {"will be replaced, as requested", NULL},
    [MIO_WHY_TRIGGERS] = {"will be replaced due to changes in replace_triggered_by", NULL},
    [MIO_WHY_NO_RESOURCE_CONFIG] = {NULL, "because it is no longer in the template"},
    [MIO_WHY_WRONG_REPETITION] = {NULL, "because the resource uses another kind of repetition now"},
    [MIO_WHY_COUNT_INDEX] = {NULL, "because its index is out of range for count"},
    [MIO_WHY_EACH_KEY] = {NULL, "because its key is not in for_each"},
    [MIO_WHY_NO_MODULE] = {NULL, "because its module is no longer in the template"},
    [MIO_WHY_DISABLED] = {NULL, "because enabled is false"},
    [MIO_WHY_CONFIG_UNKNOWN] = {NULL, "its query holds values not known yet"},
    [MIO_WHY_DEPENDENCY_PENDING] = {NULL, "it depends on a resource with changes pending"},
    [MIO_WHY_DEPOSED] = {NULL, "left over from a replacement that was not finished"},
    [MIO_WHY_DRIFT] = {NULL, "because it was changed outside of mlops-iac"},
    [MIO_WHY_CONTENT] = {NULL, "because what a local path holds has changed"},
    [MIO_WHY_DEPENDENCY_CBD] = {NULL, "created first because a dependant is"},
    [MIO_WHY_PROVIDER] = {"belongs to another provider now, so must be replaced", NULL},
};

static void put_comment(const struct mio_pen *pen, const char *fmt, struct mio_str text)
{
    mio_buf_z(pen->b, "  # (");
    mio_buf_z(pen->b, fmt);
    mio_put_safe(pen->b, text);
    mio_buf_z(pen->b, ")\n");
}

/* "  # ADDRESS will be created" */
static void put_title(const struct mio_pen *pen, struct mio_str address, struct mio_str deposed,
                      const char *does)
{
    mio_style(pen, MIO_BOLD);
    mio_buf_z(pen->b, "  # ");
    mio_put_safe(pen->b, address);
    if (deposed.n)
        mio_buf_printf(pen->b, " (deposed object %.*s)", MIO_FMT(deposed));
    mio_style(pen, MIO_RESET);
    mio_buf_printf(pen->b, " %s\n", does);
}

static void put_moved_title(const struct mio_pen *pen, const struct mio_change *c)
{
    mio_style(pen, MIO_BOLD);
    mio_buf_z(pen->b, "  # ");
    mio_put_safe(pen->b, c->previous_address);
    mio_style(pen, MIO_RESET);
    mio_buf_z(pen->b, " has moved to ");
    mio_put_safe(pen->b, c->address);
    mio_buf_char(pen->b, '\n');
}

static void put_titles(const struct mio_pen *pen, const struct mio_change *c)
{
    const char *instead = reason_words[c->reason].instead, *why = reason_words[c->reason].why;
    if (c->action == MIO_NOOP && c->previous_address.n) {
        put_moved_title(pen, c);
        return;
    }
    if (c->action == MIO_NOOP && c->import_id.n)
        instead = "will be imported";
    put_title(pen, c->address, c->deposed, instead ? instead : action_words[c->action].does);
    if (why)
        put_comment(pen, why, MIO_STR(""));
    if (c->previous_address.n)
        put_comment(pen, "moved from ", c->previous_address);
    if (c->import_id.n)
        put_comment(pen, "imported from ", c->import_id);
}

static struct mio_value as_map(struct mio_value v)
{
    return v.type == MIO_MAP ? v : mio_map(NULL, 0);
}

/* "  + resource "kind" "name" {" to "}" */
static void put_body(const struct mio_pen *pen, const struct mio_change *c, enum mio_action action)
{
    const char *symbol = action == MIO_NOOP ? "" : mio_action_symbol(action);
    mio_put_symbol(pen, 1, symbol);
    mio_buf_printf(pen->b, "%s \"%.*s\" \"%.*s\" {\n", c->is_data ? "data" : "resource",
                   MIO_FMT(c->kind), MIO_FMT(c->name));
    if (action == MIO_CREATE || action == MIO_READ) {
        mio_put_map_lines(pen, as_map(c->after), 2, action == MIO_READ ? "" : "+", "");
    } else if (action == MIO_DELETE) {
        mio_put_map_lines(pen, as_map(c->before), 2, "-", " -> null");
    } else if (action == MIO_FORGET) {
        mio_put_map_lines(pen, as_map(c->before), 2, ".", "");
    } else {
        struct mio_value_page page = {.pen = pen, .change = c};
        mio_put_map_diff(&page, as_map(c->before), as_map(c->after), 2, true);
        mio_buf_free(&page.path);
    }
    mio_put_symbol(pen, 1, "");
    mio_buf_z(pen->b, "}\n\n");
}

void mio_render_change(const struct mio_pen *pen, const struct mio_change *c)
{
    put_titles(pen, c);
    put_body(pen, c, c->action);
}

static bool is_shown(const struct mio_change *c)
{
    return c->action != MIO_NOOP || c->previous_address.n || c->import_id.n;
}

/* ---- one line a change ---- */

struct names {
    struct mio_buf *b;
    size_t n;
};

/* The attribute as people know it: the first step of the path. */
static void put_changed_name(struct names *w, struct mio_str name)
{
    mio_buf_z(w->b, w->n++ ? ", " : " (");
    mio_put_safe(w->b, name);
}

static void put_changed_names(struct mio_buf *b, struct mio_value before, struct mio_value after)
{
    struct names w = {b, 0};
    if (before.type != MIO_MAP || after.type != MIO_MAP)
        return;
    for (uint32_t i = 0, k = 0; i < before.n || k < after.n;) {
        int order = i == before.n  ? 1
                    : k == after.n ? -1
                                   : mio_str_cmp(before.pairs[i].key, after.pairs[k].key);
        struct mio_str key = order <= 0 ? before.pairs[i].key : after.pairs[k].key;
        struct mio_value was = order <= 0 ? before.pairs[i++].value : mio_null();
        struct mio_value is = order >= 0 ? after.pairs[k++].value : mio_null();
        if (mio_has_unknown(is) || !mio_equal(was, is))
            put_changed_name(&w, key);
    }
    if (w.n)
        mio_buf_char(b, ')');
}

static void put_line(const struct mio_pen *pen, const struct mio_change *c)
{
    mio_put_symbol(pen, 1, c->action == MIO_NOOP ? "" : mio_action_symbol(c->action));
    mio_put_safe(pen->b, c->address);
    if (c->deposed.n)
        mio_buf_printf(pen->b, " (deposed object %.*s)", MIO_FMT(c->deposed));
    put_changed_names(pen->b, c->before, c->after);
    if (c->previous_address.n) {
        mio_buf_z(pen->b, " moved from ");
        mio_put_safe(pen->b, c->previous_address);
    }
    if (c->import_id.n) {
        mio_buf_z(pen->b, " imported from ");
        mio_put_safe(pen->b, c->import_id);
    }
    mio_buf_char(pen->b, '\n');
}

/* ---- sections ---- */

static void put_drift(const struct mio_pen *pen, const struct mio_plan *plan, bool summary)
{
    for (size_t i = 0; i < plan->ndrift; i++) {
        const struct mio_change *c = &plan->drift[i];
        bool gone = mio_is_null(c->after);
        if (summary) {
            put_line(pen, c);
            continue;
        }
        put_title(pen, c->address, c->deposed, gone ? "has been deleted" : "has changed");
        put_body(pen, c, gone ? MIO_DELETE : MIO_UPDATE);
    }
    if (summary && plan->ndrift)
        mio_buf_char(pen->b, '\n');
}

static void put_unchecked(const struct mio_pen *pen, const struct mio_plan *plan)
{
    if (!plan->nunchecked)
        return;
    mio_buf_z(pen->b, "Not checked:\n");
    for (size_t i = 0; i < plan->nunchecked; i++) {
        mio_buf_z(pen->b, "  ? ");
        mio_put_safe(pen->b, plan->unchecked[i]);
        mio_buf_char(pen->b, '\n');
    }
    mio_buf_char(pen->b, '\n');
}

static void put_legend(const struct mio_pen *pen, const struct mio_plan *plan)
{
    bool used[MIO_FORGET + 1] = {false}, any = false;
    for (size_t i = 0; i < plan->nchanges; i++) {
        used[plan->changes[i].action] = true;
        any = any || action_words[plan->changes[i].action].legend;
    }
    if (!any) /* only moves */
        return;
    mio_buf_z(pen->b, "Resource actions are indicated with the following symbols:\n");
    for (size_t i = 0; i <= MIO_FORGET; i++) {
        if (used[i] && action_words[i].legend)
            mio_buf_printf(pen->b, "%s\n", action_words[i].legend);
    }
    mio_buf_char(pen->b, '\n');
}

static void put_actions(const struct mio_pen *pen, const struct mio_plan *plan, bool summary)
{
    if (!summary) {
        put_legend(pen, plan);
        mio_buf_z(pen->b, "mlops-iac will perform the following actions:\n\n");
    }
    for (size_t i = 0; i < plan->nchanges; i++) {
        if (!is_shown(&plan->changes[i]))
            continue;
        if (summary)
            put_line(pen, &plan->changes[i]);
        else
            mio_render_change(pen, &plan->changes[i]);
    }
    if (summary)
        mio_buf_char(pen->b, '\n');
}

static void put_output(const struct mio_pen *pen, const struct mio_output_change *o, size_t width)
{
    struct mio_value_page page = {.pen = pen};
    const char *symbol = mio_action_symbol(o->action);
    mio_put_symbol(pen, 1, symbol);
    mio_put_safe(pen->b, o->name);
    mio_buf_pad(pen->b, ' ', width - o->name.n);
    mio_buf_z(pen->b, " = ");
    if (o->sensitive)
        mio_buf_z(pen->b, "(sensitive value)");
    else if (o->action == MIO_CREATE)
        mio_put_value(pen, o->after, 1, "+");
    else if (o->action == MIO_DELETE)
        mio_put_value(pen, o->before, 1, "-");
    else
        mio_put_diff(&page, o->before, o->after, 1);
    mio_buf_z(pen->b, o->action == MIO_DELETE ? " -> null\n" : "\n");
    mio_buf_free(&page.path);
}

static bool put_outputs(const struct mio_pen *pen, const struct mio_plan *plan)
{
    size_t width = 0, n = 0;
    for (size_t i = 0; i < plan->noutputs; i++) {
        const struct mio_output_change *o = &plan->outputs[i];
        if (o->action == MIO_NOOP)
            continue;
        n++;
        width = o->name.n > width ? o->name.n : width;
    }
    if (!n)
        return false;
    mio_buf_z(pen->b, "Changes to Outputs:\n");
    for (size_t i = 0; i < plan->noutputs; i++) {
        if (plan->outputs[i].action != MIO_NOOP)
            put_output(pen, &plan->outputs[i], width);
    }
    mio_buf_char(pen->b, '\n');
    return true;
}

void mio_render_checks(const struct mio_pen *pen, const struct mio_plan *plan)
{
    for (size_t i = 0; i < plan->nchecks; i++) {
        const struct mio_check_result *c = &plan->checks[i];
        if (c->passed || c->unknown)
            continue;
        mio_buf_printf(pen->b, "%s %.*s failed: ", c->blocks ? "Policy" : "Check",
                       MIO_FMT(c->name));
        mio_put_safe(pen->b, c->message);
        mio_buf_z(pen->b, "\n\n");
    }
}

static bool has_actions(const struct mio_plan *plan)
{
    for (size_t i = 0; i < plan->nchanges; i++) {
        if (is_shown(&plan->changes[i]))
            return true;
    }
    return false;
}

static void put_no_changes(const struct mio_pen *pen, const struct mio_plan *plan)
{
    static const char *const words[] = {
        [MIO_PLAN_NORMAL] = "The platform matches the template.",
        [MIO_PLAN_DESTROY] = "Nothing is managed, so there is nothing to destroy.",
        [MIO_PLAN_REFRESH_ONLY] = "The platform still matches what was recorded.",
    };
    mio_style(pen, MIO_GREEN);
    mio_buf_z(pen->b, "No changes.");
    mio_style(pen, MIO_RESET);
    mio_buf_printf(pen->b, " %s\n\n", words[plan->mode]);
    if (!plan->refreshed)
        mio_buf_z(pen->b, "The real objects were not read (-refresh=false).\n\n");
}

void mio_render_plan(const struct mio_pen *pen, const struct mio_plan *plan, bool summary)
{
    bool actions = has_actions(plan), refresh_only = plan->mode == MIO_PLAN_REFRESH_ONLY;
    if (plan->ndrift) {
        mio_style(pen, MIO_BOLD);
        mio_buf_z(pen->b, "Note: Objects have changed outside of mlops-iac");
        mio_style(pen, MIO_RESET);
        mio_buf_z(pen->b, "\n\nSince the last apply, these differ from what was recorded:\n\n");
        put_drift(pen, plan, summary);
        if (refresh_only)
            mio_buf_z(pen->b,
                      "This is a refresh-only plan: no object is touched. Applying it records "
                      "the values\nabove as the state.\n\n");
    }
    put_unchecked(pen, plan);
    if (actions)
        put_actions(pen, plan, summary);
    if (actions && !refresh_only) {
        mio_put_plan_sum(pen->b, plan);
        mio_buf_z(pen->b, "\n\n");
    }
    bool outputs = put_outputs(pen, plan);
    if (outputs && !actions && !refresh_only)
        mio_buf_z(pen->b, "Applying this plan records these outputs; no object is touched.\n\n");
    if (!actions && !outputs && !(refresh_only && plan->ndrift) && !plan->errored)
        put_no_changes(pen, plan);
}

void mio_render_drift(const struct mio_pen *pen, const struct mio_plan *plan, size_t total,
                      bool summary)
{
    if (plan->ndrift) {
        mio_buf_z(pen->b,
                  "These objects were changed outside of mlops-iac (recorded -> real):\n\n");
        put_drift(pen, plan, summary);
    }
    put_unchecked(pen, plan);
    mio_put_drift_sum(pen->b, plan, total);
    mio_buf_char(pen->b, '\n');
}

/* ---- sums ---- */

bool mio_plan_proposes(const struct mio_plan *plan)
{
    return mio_plan_has_changes(plan) || (plan->mode == MIO_PLAN_REFRESH_ONLY && plan->ndrift);
}

void mio_put_plan_sum(struct mio_buf *b, const struct mio_plan *plan)
{
    const struct mio_plan_counts *n = &plan->counts;
    mio_buf_z(b, "Plan: ");
    if (n->import)
        mio_buf_printf(b, "%zu to import, ", n->import);
    mio_buf_printf(b, "%zu to add, %zu to change, %zu to destroy", n->add, n->change, n->destroy);
    if (n->forget)
        mio_buf_printf(b, ", %zu to forget", n->forget);
    mio_buf_char(b, '.');
}

void mio_put_apply_sum(struct mio_buf *b, enum mio_plan_mode mode, const struct mio_plan_counts *n)
{
    if (mode == MIO_PLAN_DESTROY) {
        mio_buf_printf(b, "Destroy complete! Resources: %zu destroyed", n->destroy);
    } else {
        mio_buf_z(b, "Apply complete! Resources: ");
        if (n->import)
            mio_buf_printf(b, "%zu imported, ", n->import);
        mio_buf_printf(b, "%zu added, %zu changed, %zu destroyed", n->add, n->change, n->destroy);
    }
    if (n->forget)
        mio_buf_printf(b, ", %zu forgotten", n->forget);
    mio_buf_char(b, '.');
}

void mio_put_drift_sum(struct mio_buf *b, const struct mio_plan *plan, size_t total)
{
    size_t known = plan->ndrift + plan->nunchecked, same = total > known ? total - known : 0;
    if (plan->ndrift)
        mio_buf_printf(b, "Drift: %zu differ%s, ", plan->ndrift, plan->ndrift == 1 ? "s" : "");
    else
        mio_buf_z(b, "No drift: ");
    mio_buf_printf(b, "%zu as recorded, %zu not checked.", same, plan->nunchecked);
}
