/* cli/ui_json.c: the JSON stream. Message types and keys are those that Terraform's consumers read;
 * resource_drift also carries the attributes, and resource_unchecked and drift_summary are ours. */
#include "cli/json_out.h"
#include "cli/render_diag.h"
#include "cli/render_json.h"
#include "cli/render_plan.h"
#include "cli/render_value.h"
#include "cli/ui.h"
#include "planner/graph/address.h"
#include "providers/sdk/clock.h"

static const struct word {
    const char *plan, *doing, *noun, *name;
} words[] = {
    [MIO_NOOP] = {"no changes", "Checking", "Check", "noop"},
    [MIO_READ] = {"read", "Reading", "Read", "read"},
    [MIO_CREATE] = {"create", "Creating", "Creation", "create"},
    [MIO_UPDATE] = {"update", "Modifying", "Modifications", "update"},
    [MIO_DELETE] = {"delete", "Destroying", "Destruction", "delete"},
    [MIO_REPLACE] = {"replace", "Replacing", "Replacement", "replace"},
    [MIO_REPLACE_CREATE] = {"replace", "Replacing", "Replacement", "replace"},
    [MIO_FORGET] = {"remove", "Forgetting", "Forgetting", "remove"},
};

/* Opens the object of a line; the caller adds its keys and calls end_line. */
static struct mio_jout begin_line(struct mio_json_ui *u, const char *level, struct mio_str message)
{
    struct mio_jout j = {.b = &u->out->buf};
    struct timespec now;
    char when[24];
    clock_gettime(CLOCK_REALTIME, &now);
    mio_rfc3339(now.tv_sec, when);
    mio_jout_open(&j, '{');
    mio_jout_kz(&j, "@level", level);
    mio_jout_key(&j, "@message");
    MIO_AUTO_BUF safe = {0};
    mio_put_safe(&safe, message);
    mio_jout_str(&j, mio_buf_view(&safe));
    mio_jout_kz(&j, "@module", "mlops-iac.ui");
    mio_jout_key(&j, "@timestamp");
    mio_buf_printf(j.b, "\"%.19s.%06ldZ\"", when, now.tv_nsec / 1000);
    return j;
}

static void end_line(struct mio_jout *j, const char *type)
{
    mio_jout_kz(j, "type", type);
    mio_jout_close(j, '}');
    mio_buf_char(j->b, '\n');
}

void mio_json_version(struct mio_json_ui *u)
{
    struct mio_jout j = begin_line(u, "info", MIO_STR("mlops-iac " MIO_VERSION));
    mio_jout_kz(&j, "mlops_iac", MIO_VERSION);
    mio_jout_kz(&j, "ui", "1.2");
    end_line(&j, "version");
}

void mio_json_log(struct mio_json_ui *u, const char *level, struct mio_str message)
{
    struct mio_jout j = begin_line(u, level, message);
    end_line(&j, "log");
}

void mio_json_diag(struct mio_json_ui *u, const struct mio_diag *d,
                   const struct mio_sources *sources)
{
    bool error = d->severity == MIO_ERROR;
    MIO_AUTO_BUF text = {0};
    mio_buf_printf(&text, "%s: %s", error ? "Error" : "Warning", d->err.message);
    struct mio_jout j = begin_line(u, error ? "error" : "warn", mio_buf_view(&text));
    mio_jout_key(&j, "diagnostic");
    mio_diag_json(&j, d, sources);
    end_line(&j, "diagnostic");
}

/* ---- resources ---- */

static void put_resource_parts(struct mio_jout *j, struct mio_str address, struct mio_str module,
                               struct mio_str kind, struct mio_str name, struct mio_value key,
                               struct mio_str provider)
{
    struct mio_str local =
        module.n && module.n < address.n ? mio_str_sub(address, module.n + 1, address.n) : address;
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "addr", address);
    mio_jout_kstr(j, "module", module);
    mio_jout_kstr(j, "resource", local);
    mio_jout_kstr(j, "implied_provider", provider);
    mio_jout_kstr(j, "resource_type", kind);
    mio_jout_kstr(j, "resource_name", name);
    mio_jout_kvalue(j, "resource_key", key);
    mio_jout_close(j, '}');
}

static void put_address(struct mio_jout *j, struct mio_str address, struct mio_str provider)
{
    struct mio_arena a;
    struct mio_address parts = {0};
    struct mio_err ignored = {0};
    mio_arena_init(&a);
    if (mio_address_parse(&a, address, &parts, &ignored))
        parts = (struct mio_address){0}; /* an address we cannot split is shown as it is */
    put_resource_parts(j, address, parts.module, parts.kind, parts.name, parts.key, provider);
    mio_arena_free(&a);
}

static void put_resource(struct mio_jout *j, const struct mio_change *c)
{
    put_resource_parts(j, c->address, c->module, c->kind, c->name, c->key, c->provider);
}

/* ---- plans ---- */

struct attribute_list {
    struct mio_jout *j;
};

static void put_attribute(void *arg, struct mio_str path, struct mio_value before,
                          struct mio_value after)
{
    struct attribute_list *l = arg;
    mio_jout_item(l->j);
    mio_jout_open(l->j, '{');
    mio_jout_kstr(l->j, "path", path);
    mio_jout_kvalue(l->j, "before", before);
    mio_jout_kvalue(l->j, "after", after);
    mio_jout_close(l->j, '}');
}

static void put_drift(struct mio_json_ui *u, const struct mio_change *c)
{
    bool gone = mio_is_null(c->after);
    MIO_AUTO_BUF text = {0};
    mio_buf_str(&text, c->address);
    mio_buf_printf(&text, ": Drift detected (%s)", gone ? "delete" : "update");
    struct mio_jout j = begin_line(u, "info", mio_buf_view(&text));
    mio_jout_key(&j, "change");
    mio_jout_open(&j, '{');
    mio_jout_key(&j, "resource");
    put_resource(&j, c);
    mio_jout_kz(&j, "action", gone ? "delete" : "update");
    mio_jout_key(&j, "attributes");
    mio_jout_open(&j, '[');
    struct attribute_list list = {&j};
    if (!gone)
        mio_leaf_diff(c->before, c->after, put_attribute, &list);
    mio_jout_close(&j, ']');
    mio_jout_close(&j, '}');
    end_line(&j, "resource_drift");
}

/* "address: why" */
static void put_unchecked(struct mio_json_ui *u, struct mio_str line)
{
    ptrdiff_t at = -1;
    bool quoted = false;
    for (size_t i = 0; i + 1 < line.n && at < 0; i++) {
        quoted ^= line.p[i] == '"';
        if (!quoted && line.p[i] == ':' && line.p[i + 1] == ' ')
            at = (ptrdiff_t)i;
    }
    struct mio_str address = at < 0 ? line : mio_str_sub(line, 0, (size_t)at);
    MIO_AUTO_BUF text = {0};
    mio_buf_printf(&text, "Not checked: %.*s", MIO_FMT(line));
    struct mio_jout j = begin_line(u, "warn", mio_buf_view(&text));
    mio_jout_kstr(&j, "address", address);
    mio_jout_kstr(&j, "reason", at < 0 ? MIO_STR("") : mio_str_sub(line, (size_t)at + 2, line.n));
    end_line(&j, "resource_unchecked");
}

/* Terraform's stream says "cannot_update" where its plan says "replace_because_cannot_update". */
static const char *stream_reason(enum mio_reason reason)
{
    const char *name = mio_reason_name(reason), *prefix = "replace_because_";
    if (reason == MIO_WHY_REQUESTED)
        return "requested";
    return strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : name;
}

static void put_planned(struct mio_json_ui *u, const struct mio_change *c)
{
    bool moved = c->action == MIO_NOOP && c->previous_address.n;
    bool imported = c->action == MIO_NOOP && c->import_id.n;
    const char *plan = moved ? "move" : imported ? "import" : words[c->action].plan;
    MIO_AUTO_BUF text = {0};
    mio_buf_str(&text, c->address);
    mio_buf_printf(&text, ": Plan to %s", plan);
    struct mio_jout j = begin_line(u, "info", mio_buf_view(&text));
    mio_jout_key(&j, "change");
    mio_jout_open(&j, '{');
    mio_jout_key(&j, "resource");
    put_resource(&j, c);
    if (c->previous_address.n) {
        mio_jout_key(&j, "previous_resource");
        put_address(&j, c->previous_address, c->provider);
    }
    mio_jout_kz(&j, "action", moved || imported ? plan : words[c->action].name);
    if (c->reason != MIO_WHY_NONE)
        mio_jout_kz(&j, "reason", stream_reason(c->reason));
    if (c->deposed.n)
        mio_jout_kstr(&j, "deposed", c->deposed);
    if (c->import_id.n) {
        mio_jout_key(&j, "importing");
        mio_jout_open(&j, '{');
        mio_jout_kstr(&j, "id", c->import_id);
        mio_jout_close(&j, '}');
    }
    mio_jout_close(&j, '}');
    end_line(&j, "planned_change");
}

static void put_counts(struct mio_json_ui *u, struct mio_str message,
                       const struct mio_plan_counts *n, const char *operation)
{
    struct mio_jout j = begin_line(u, "info", message);
    mio_jout_key(&j, "changes");
    mio_jout_open(&j, '{');
    mio_jout_ku64(&j, "add", n->add);
    mio_jout_ku64(&j, "change", n->change);
    mio_jout_ku64(&j, "import", n->import);
    mio_jout_ku64(&j, "remove", n->destroy);
    if (n->forget)
        mio_jout_ku64(&j, "forget", n->forget);
    mio_jout_kz(&j, "operation", operation);
    mio_jout_close(&j, '}');
    end_line(&j, "change_summary");
}

static void put_output_changes(struct mio_json_ui *u, const struct mio_plan *p)
{
    if (!p->noutputs)
        return;
    MIO_AUTO_BUF text = {0};
    mio_buf_printf(&text, "Outputs: %zu", p->noutputs);
    struct mio_jout j = begin_line(u, "info", mio_buf_view(&text));
    mio_jout_key(&j, "outputs");
    mio_jout_open(&j, '{');
    for (size_t i = 0; i < p->noutputs; i++) {
        mio_jout_key_str(&j, p->outputs[i].name);
        mio_jout_open(&j, '{');
        mio_jout_kbool(&j, "sensitive", p->outputs[i].sensitive);
        mio_jout_kz(&j, "action", words[p->outputs[i].action].name);
        mio_jout_close(&j, '}');
    }
    mio_jout_close(&j, '}');
    end_line(&j, "outputs");
}

void mio_json_plan(struct mio_json_ui *u, const struct mio_plan *p)
{
    for (size_t i = 0; i < p->ndrift; i++)
        put_drift(u, &p->drift[i]);
    for (size_t i = 0; i < p->nunchecked; i++)
        put_unchecked(u, p->unchecked[i]);
    for (size_t i = 0; i < p->nchanges; i++) {
        const struct mio_change *c = &p->changes[i];
        if (c->action != MIO_NOOP || c->previous_address.n || c->import_id.n)
            put_planned(u, c);
    }
    MIO_AUTO_BUF text = {0};
    mio_put_plan_sum(&text, p);
    put_counts(u, mio_buf_view(&text), &p->counts, "plan");
    put_output_changes(u, p);
}

void mio_json_drift(struct mio_json_ui *u, const struct mio_plan *p, size_t total)
{
    for (size_t i = 0; i < p->ndrift; i++)
        put_drift(u, &p->drift[i]);
    for (size_t i = 0; i < p->nunchecked; i++)
        put_unchecked(u, p->unchecked[i]);
    MIO_AUTO_BUF text = {0};
    mio_put_drift_sum(&text, p, total);
    struct mio_jout j = begin_line(u, "info", mio_buf_view(&text));
    mio_jout_key(&j, "drift");
    mio_jout_open(&j, '{');
    mio_jout_ku64(&j, "drifted", p->ndrift);
    mio_jout_ku64(&j, "unchecked", p->nunchecked);
    mio_jout_ku64(&j, "total", total);
    mio_jout_close(&j, '}');
    end_line(&j, "drift_summary");
}

void mio_json_applied(struct mio_json_ui *u, enum mio_plan_mode mode,
                      const struct mio_apply_result *r)
{
    MIO_AUTO_BUF text = {0};
    mio_put_apply_sum(&text, mode, &r->done);
    put_counts(u, mio_buf_view(&text), &r->done, mode == MIO_PLAN_DESTROY ? "destroy" : "apply");
    mio_buf_reset(&text);
    mio_buf_printf(&text, "Outputs: %zu", r->noutputs);
    struct mio_jout j = begin_line(u, "info", mio_buf_view(&text));
    mio_jout_key(&j, "outputs");
    mio_json_outputs(&j, r->outputs, r->noutputs, false);
    end_line(&j, "outputs");
}

/* ---- events ---- */

/* How each event is called, and what its message adds to the address. */
static const struct {
    const char *type, *level;
} event_types[] = {
    [MIO_EV_REFRESH_START] = {"refresh_start", "info"},
    [MIO_EV_REFRESH_DONE] = {"refresh_complete", "info"},
    [MIO_EV_START] = {"apply_start", "info"},
    [MIO_EV_PROGRESS] = {"apply_progress", "info"},
    [MIO_EV_DONE] = {"apply_complete", "info"},
    [MIO_EV_ERROR] = {"apply_errored", "info"},
    [MIO_EV_RECOVERED] = {"log", "info"},
    [MIO_EV_LOG] = {"log", "info"},
    [MIO_EV_WAITING] = {"log", "info"},
    [MIO_EV_DRAINING] = {"log", "warn"},
    [MIO_EV_TICK] = {NULL, NULL},
};

static void put_message(struct mio_buf *b, const struct mio_event *ev)
{
    const struct word *w = &words[ev->action];
    mio_buf_str(b, ev->address);
    mio_buf_z(b, ev->address.n ? ": " : "");
    switch (ev->type) {
    case MIO_EV_REFRESH_START:
        mio_buf_z(b, "Refreshing state...");
        break;
    case MIO_EV_REFRESH_DONE:
        mio_buf_z(b, "Refresh complete");
        break;
    case MIO_EV_START:
        mio_buf_printf(b, "%s...", w->doing);
        break;
    case MIO_EV_PROGRESS:
        mio_buf_printf(b, "Still %c%s... [", w->doing[0] + ('a' - 'A'), w->doing + 1);
        mio_put_elapsed(b, ev->elapsed_s);
        mio_buf_z(b, " elapsed]");
        break;
    case MIO_EV_DONE:
    case MIO_EV_ERROR:
        mio_buf_printf(b, "%s %s after ", w->noun,
                       ev->type == MIO_EV_DONE ? "complete" : "errored");
        mio_put_elapsed(b, ev->elapsed_s);
        break;
    case MIO_EV_RECOVERED:
        mio_buf_printf(b, "Recovered from an interrupted apply: %.*s", MIO_FMT(ev->message));
        return;
    case MIO_EV_WAITING:
        mio_buf_str(b, ev->message.n ? ev->message : MIO_STR("Waiting for the state lock..."));
        return;
    case MIO_EV_DRAINING:
        mio_buf_z(b, "Interrupted: what runs is brought to its end, nothing new is started.");
        return;
    case MIO_EV_LOG:
    case MIO_EV_TICK:
        mio_buf_str(b, ev->message);
        return;
    }
    bool gone = ev->action == MIO_DELETE && ev->type != MIO_EV_START;
    if (ev->id.n && !gone && ev->type != MIO_EV_PROGRESS && ev->type != MIO_EV_ERROR)
        mio_buf_printf(b, " [id=%.*s]", MIO_FMT(ev->id));
}

static void put_hook(struct mio_jout *j, const struct mio_event *ev)
{
    bool refresh = ev->type == MIO_EV_REFRESH_START || ev->type == MIO_EV_REFRESH_DONE;
    bool timed = ev->type == MIO_EV_PROGRESS || ev->type == MIO_EV_DONE || ev->type == MIO_EV_ERROR;
    mio_jout_key(j, "hook");
    mio_jout_open(j, '{');
    mio_jout_key(j, "resource");
    if (ev->change)
        put_resource(j, ev->change);
    else
        put_address(j, ev->address, MIO_STR(""));
    if (!refresh)
        mio_jout_kz(j, "action", words[ev->action].name);
    if (ev->id.n && ev->type != MIO_EV_PROGRESS && ev->type != MIO_EV_ERROR) {
        mio_jout_kz(j, "id_key", "id");
        mio_jout_kstr(j, "id_value", ev->id);
    }
    if (timed)
        mio_jout_ku64(j, "elapsed_seconds",
                      ev->elapsed_s > 0 ? (uint64_t)(ev->elapsed_s + 0.5) : 0);
    if (ev->type == MIO_EV_PROGRESS && ev->message.n)
        mio_jout_kstr(j, "message", ev->message);
    if (ev->type == MIO_EV_PROGRESS && ev->percent >= 0)
        mio_jout_ku64(j, "percent", (uint64_t)ev->percent);
    mio_jout_close(j, '}');
}

void mio_json_event(struct mio_json_ui *u, const struct mio_event *ev)
{
    const char *type = event_types[ev->type].type, *level = event_types[ev->type].level;
    if (!type)
        return;
    if (ev->type == MIO_EV_LOG)
        level = ev->level >= MLOPS_LOG_WARN   ? "warn"
                : ev->level == MLOPS_LOG_INFO ? "info"
                                              : "debug";
    MIO_AUTO_BUF text = {0};
    put_message(&text, ev);
    struct mio_jout j = begin_line(u, level, mio_buf_view(&text));
    if (ev->type <= MIO_EV_ERROR)
        put_hook(&j, ev);
    end_line(&j, type);
}
