/* cli/ui.c: sends what happens to the views that are on. */
#include "cli/ui.h"
#include "cli/render_diag.h"
#include "cli/render_plan.h"
#include "cli/render_value.h"
#include "providers/sdk/clock.h"

static void unlock(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
/* Held until the function that asks for it returns. */
#define HOLD(ui)                                                           \
    __attribute__((cleanup(unlock))) pthread_mutex_t *held_ = &(ui)->lock; \
    pthread_mutex_lock(held_)

static void flush(struct mio_ui *ui)
{
    struct mio_out *outs[] = {ui->text.out, ui->text.err, ui->json.out};
    for (size_t i = 0; i < 3; i++) {
        if (outs[i])
            mio_out_flush(outs[i]);
    }
}

void mio_ui_flush(struct mio_ui *ui)
{
    HOLD(ui);
    flush(ui);
}

static void tell(struct mio_ui *ui, const struct mio_event *ev)
{
    if (ui->text.out)
        mio_text_event(&ui->text, ev);
    if (ui->json.out)
        mio_json_event(&ui->json, ev);
}

void mio_ui_event(void *arg, const struct mio_event *ev)
{
    struct mio_ui *ui = arg;
    HOLD(ui);
    bool quiet = ev->type == MIO_EV_TICK || ev->type == MIO_EV_PROGRESS;
    struct mio_event still;
    mio_running_event(&ui->running, ev);
    while (quiet && mio_running_due(&ui->running, mio_now_ms(), &still))
        tell(ui, &still);
    if (ev->type == MIO_EV_PROGRESS) { /* what it says is shown with the next sign of life */
        struct mio_event tick = {.type = MIO_EV_TICK, .done = ev->done, .total = ev->total};
        tell(ui, &tick);
    } else {
        tell(ui, ev);
    }
    flush(ui);
}

void mio_ui_diag(struct mio_ui *ui, const struct mio_diag *d, const struct mio_sources *sources)
{
    HOLD(ui);
    if (ui->text.err) {
        struct mio_pen pen = mio_out_pen(ui->text.err);
        mio_render_diag(&pen, d, sources);
    }
    if (ui->json.out)
        mio_json_diag(&ui->json, d, sources);
    flush(ui);
}

void mio_ui_diags(struct mio_ui *ui, const struct mio_diags *d, const struct mio_sources *sources)
{
    HOLD(ui);
    if (!d || ui->shown >= d->n)
        return;
    if (ui->text.out)
        mio_text_end(&ui->text);
    flush(ui);
    if (ui->text.err) {
        struct mio_pen pen = mio_out_pen(ui->text.err);
        mio_render_diags(&pen, d, ui->shown, sources, ui->compact_warnings);
    }
    for (size_t i = ui->shown; ui->json.out && i < d->n; i++)
        mio_json_diag(&ui->json, &d->items[i], sources);
    ui->shown = d->n;
    flush(ui);
}

void mio_ui_plan(struct mio_ui *ui, const struct mio_plan *p, bool summary)
{
    HOLD(ui);
    if (ui->text.out) {
        struct mio_pen pen = mio_out_pen(ui->text.out);
        mio_render_plan(&pen, p, summary);
    }
    if (ui->json.out)
        mio_json_plan(&ui->json, p);
    flush(ui);
}

void mio_ui_drift(struct mio_ui *ui, const struct mio_plan *p, size_t total, bool summary)
{
    HOLD(ui);
    if (ui->text.out) {
        struct mio_pen pen = mio_out_pen(ui->text.out);
        mio_render_drift(&pen, p, total, summary);
    }
    if (ui->json.out)
        mio_json_drift(&ui->json, p, total);
    flush(ui);
}

static void put_outputs(const struct mio_pen *pen, const struct mio_apply_result *r)
{
    size_t width = 0;
    for (size_t i = 0; i < r->noutputs; i++)
        width = r->outputs[i].name.n > width ? r->outputs[i].name.n : width;
    if (r->noutputs)
        mio_buf_z(pen->b, "\nOutputs:\n\n");
    for (size_t i = 0; i < r->noutputs; i++) {
        const struct mio_state_output *o = &r->outputs[i];
        mio_put_safe(pen->b, o->name);
        mio_buf_pad(pen->b, ' ', width - o->name.n);
        mio_buf_z(pen->b, " = ");
        if (o->sensitive)
            mio_buf_z(pen->b, "<sensitive>");
        else
            mio_put_value(pen, o->value, 0, "");
        mio_buf_char(pen->b, '\n');
    }
}

static void put_applied(struct mio_ui *ui, const struct mio_plan *p,
                        const struct mio_apply_result *r, bool failed)
{
    struct mio_pen pen = mio_out_pen(ui->text.out);
    mio_text_end(&ui->text);
    mio_buf_char(pen.b, '\n');
    if (failed) {
        const struct mio_plan_counts *n = &r->done;
        mio_style(&pen, MIO_RED);
        bool made = r->unmet && !r->failed && !r->skipped && !r->interrupted;
        mio_buf_printf(pen.b,
                       "Apply incomplete%s. Resources: %zu added, %zu changed, %zu destroyed; %zu "
                       "failed, %zu skipped.",
                       r->interrupted ? " (interrupted)" : "", n->add, n->change, n->destroy,
                       r->failed, r->skipped);
        mio_style(&pen, MIO_RESET);
        mio_buf_z(pen.b, made ? "\nEvery change was made and is recorded, but what the template "
                                "asks of the result does not hold.\n"
                              : "\nWhat was applied is recorded. The next apply carries on from "
                                "there.\n");
        return;
    }
    mio_style(&pen, MIO_GREEN);
    mio_put_apply_sum(pen.b, p->mode, &r->done);
    mio_style(&pen, MIO_RESET);
    mio_buf_char(pen.b, '\n');
    if (p->mode != MIO_PLAN_DESTROY)
        put_outputs(&pen, r);
}

void mio_ui_applied(struct mio_ui *ui, const struct mio_plan *p, const struct mio_apply_result *r,
                    bool failed)
{
    HOLD(ui);
    if (ui->text.out)
        put_applied(ui, p, r, failed);
    if (ui->json.out && !failed)
        mio_json_applied(&ui->json, p->mode, r);
    flush(ui);
}

void mio_ui_note(struct mio_ui *ui, const char *fmt, ...)
{
    HOLD(ui);
    if (!ui->text.out)
        return;
    va_list ap;
    va_start(ap, fmt);
    mio_buf_vprintf(&ui->text.out->buf, fmt, ap);
    va_end(ap);
    mio_buf_char(&ui->text.out->buf, '\n');
    mio_out_flush(ui->text.out);
}
