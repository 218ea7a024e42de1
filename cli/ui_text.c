/* cli/ui_text.c: progress for people. Off a terminal: one line when an operation starts, every ten
 * seconds, and when it ends. On one: the ends scroll by above a block that shows what runs, for how
 * long, and a bar. */
#include "cli/ui.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/log.h"
#include <sys/ioctl.h>

enum { BLOCK_LINES = 8, REDRAW_MS = 100 };

static const struct verb {
    const char *doing, *still, *noun;
} verbs[] = {
    [MIO_NOOP] = {"Checking", "checking", "Check"},
    [MIO_READ] = {"Reading", "reading", "Read"},
    [MIO_CREATE] = {"Creating", "creating", "Creation"},
    [MIO_UPDATE] = {"Modifying", "modifying", "Modifications"},
    [MIO_DELETE] = {"Destroying", "destroying", "Destruction"},
    [MIO_REPLACE] = {"Replacing", "replacing", "Replacement"},
    [MIO_REPLACE_CREATE] = {"Replacing", "replacing", "Replacement"},
    [MIO_FORGET] = {"Forgetting", "forgetting", "Forgetting"},
};
static const struct verb late_verb = {"Finishing", "finishing", "Finishing"};

static const struct verb *verb_of(enum mio_action action, bool late)
{
    return late ? &late_verb : &verbs[action];
}

/* ---- the moving block ---- */

static size_t screen_width(const struct mio_out *o)
{
    struct winsize w = {0};
    return ioctl(o->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static void erase_block(struct mio_text_ui *t)
{
    if (t->drawn_lines)
        mio_buf_printf(&t->out->buf, "\033[%uA\r\033[J", t->drawn_lines);
    t->drawn_lines = 0;
}

/* At most `width` characters of the line. */
static void put_cut(struct mio_text_ui *t, struct mio_str line, size_t width)
{
    size_t chars = 0, i = 0;
    for (; i < line.n; i++) {
        if (((unsigned char)line.p[i] & 0xc0) != 0x80 && ++chars >= width)
            break;
    }
    mio_buf_add(&t->out->buf, line.p, i);
    mio_buf_char(&t->out->buf, '\n');
    t->drawn_lines++;
}

static void put_note(struct mio_buf *b, struct mio_str message, int percent)
{
    if (!message.n)
        return;
    mio_buf_char(b, ' ');
    mio_put_safe(b, message);
    if (percent >= 0)
        mio_buf_printf(b, " (%d%%)", percent);
}

static void draw_running(struct mio_text_ui *t, const struct mio_running *r, int64_t now,
                         size_t width)
{
    MIO_AUTO_BUF line = {0};
    mio_buf_z(&line, "  ");
    mio_put_safe(&line, mio_str_z(r->address));
    mio_buf_printf(&line, ": %s... ", verb_of(r->action, r->late)->doing);
    mio_put_elapsed(&line, (double)(now - r->started_ms) / 1000);
    put_note(&line, mio_str_z(r->message), r->percent);
    put_cut(t, mio_buf_view(&line), width);
}

static void draw_bar(struct mio_text_ui *t, size_t width)
{
    enum { CELLS = 30 };
    MIO_AUTO_BUF line = {0};
    size_t full = t->total ? t->done * CELLS / t->total : 0;
    mio_buf_z(&line, "  [");
    mio_buf_pad(&line, '=', full);
    mio_buf_pad(&line, ' ', CELLS - full);
    mio_buf_printf(&line, "] %zu/%zu", t->done, t->total);
    put_cut(t, mio_buf_view(&line), width);
}

static void draw_block(struct mio_text_ui *t, int64_t now)
{
    size_t width = screen_width(t->out), shown = t->running->n;
    if (!t->total)
        return;
    if (shown > BLOCK_LINES)
        shown = BLOCK_LINES - 1;
    for (size_t i = 0; i < shown; i++)
        draw_running(t, &t->running->items[i], now, width);
    if (shown < t->running->n) {
        char more[64];
        int n = snprintf(more, sizeof more, "  and %zu more", t->running->n - shown);
        put_cut(t, (struct mio_str){more, (size_t)n}, width);
    }
    draw_bar(t, width);
    t->drawn_ms = now;
}

void mio_text_end(struct mio_text_ui *t)
{
    erase_block(t);
    t->total = 0;
}

/* ---- lines ---- */

static void put_subject(struct mio_text_ui *t, const struct mio_event *ev)
{
    struct mio_pen pen = mio_out_pen(t->out);
    mio_style(&pen, MIO_BOLD);
    mio_put_safe(pen.b, ev->address);
    if (ev->change && ev->change->deposed.n)
        mio_buf_printf(pen.b, " (deposed object %.*s)", MIO_FMT(ev->change->deposed));
    mio_style(&pen, MIO_RESET);
    mio_buf_z(pen.b, ": ");
}

static void put_id(struct mio_text_ui *t, struct mio_str id)
{
    if (!id.n)
        return;
    mio_buf_z(&t->out->buf, " [id=");
    mio_put_safe(&t->out->buf, id);
    mio_buf_char(&t->out->buf, ']');
}

static void put_message(struct mio_text_ui *t, struct mio_str message)
{
    mio_put_safe(&t->out->buf, message);
    mio_buf_char(&t->out->buf, '\n');
}

static void put_still(struct mio_text_ui *t, const struct mio_event *ev)
{
    put_subject(t, ev);
    mio_buf_printf(&t->out->buf, "Still %s... [", verb_of(ev->action, ev->late)->still);
    mio_put_elapsed(&t->out->buf, ev->elapsed_s);
    mio_buf_z(&t->out->buf, " elapsed]");
    put_note(&t->out->buf, ev->message, ev->percent);
    mio_buf_char(&t->out->buf, '\n');
}

static void put_end(struct mio_text_ui *t, const struct mio_event *ev)
{
    const struct verb *v = verb_of(ev->action, ev->late);
    put_subject(t, ev);
    mio_buf_printf(&t->out->buf, "%s %s after ", v->noun,
                   ev->type == MIO_EV_DONE ? "complete" : "failed");
    mio_put_elapsed(&t->out->buf, ev->elapsed_s);
    if (ev->type == MIO_EV_DONE && ev->action != MIO_DELETE)
        put_id(t, ev->id);
    mio_buf_char(&t->out->buf, '\n');
}

static void put_log(struct mio_text_ui *t, const struct mio_event *ev)
{
    if (ev->level < MLOPS_LOG_WARN) {
        mio_log(ev->level == MLOPS_LOG_INFO ? MIO_INFO : MIO_DEBUG, "provider", "%.*s: %.*s",
                MIO_FMT(ev->address), MIO_FMT(ev->message));
        return;
    }
    struct mio_pen pen = mio_out_pen(t->out);
    mio_style(&pen, MIO_YELLOW);
    mio_buf_z(pen.b, "Warning: ");
    mio_style(&pen, MIO_RESET);
    if (ev->address.n)
        put_subject(t, ev);
    put_message(t, ev->message);
}

/* The lines that stay. */
static void put_event(struct mio_text_ui *t, const struct mio_event *ev)
{
    switch (ev->type) {
    case MIO_EV_START:
        if (t->live)
            break;
        put_subject(t, ev);
        mio_buf_printf(&t->out->buf, "%s...", verb_of(ev->action, ev->late)->doing);
        if (ev->action != MIO_CREATE)
            put_id(t, ev->id);
        mio_buf_char(&t->out->buf, '\n');
        break;
    case MIO_EV_DONE:
    case MIO_EV_ERROR:
        put_end(t, ev);
        break;
    case MIO_EV_RECOVERED:
        put_subject(t, ev);
        mio_buf_z(&t->out->buf, "Recovered from an interrupted apply");
        mio_buf_z(&t->out->buf, ev->message.n ? ": " : "");
        put_message(t, ev->message);
        break;
    case MIO_EV_LOG:
        put_log(t, ev);
        break;
    case MIO_EV_WAITING:
        put_message(t, ev->message.n ? ev->message : MIO_STR("Waiting for the state lock..."));
        break;
    case MIO_EV_DRAINING:
        mio_buf_z(&t->out->buf, "\nInterrupted. What runs is brought to its end, nothing new is "
                                "started.\nA second Ctrl-C aborts; the next run settles what was "
                                "open.\n\n");
        break;
    case MIO_EV_PROGRESS:
        if (!t->live)
            put_still(t, ev);
        break;
    case MIO_EV_REFRESH_START: /* a line a resource says nothing; the stream has them */
    case MIO_EV_REFRESH_DONE:
    case MIO_EV_TICK:
        break;
    }
}

void mio_text_event(struct mio_text_ui *t, const struct mio_event *ev)
{
    int64_t now = t->live ? mio_now_ms() : 0;
    bool quiet = ev->type == MIO_EV_TICK || ev->type == MIO_EV_PROGRESS || ev->type == MIO_EV_START;
    if (ev->total) {
        t->done = ev->done;
        t->total = ev->total;
    }
    if (t->live && quiet && now - t->drawn_ms < REDRAW_MS)
        return;
    if (t->live)
        erase_block(t);
    put_event(t, ev);
    if (t->live && now - t->drawn_ms >= REDRAW_MS) /* a burst of ends is not worth a block each */
        draw_block(t, now);
}
