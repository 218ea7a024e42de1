/* cli/render_review.c: see render_review.h. */
#include "cli/render_review.h"
#include "cli/render_plan.h"
#include "cli/render_value.h"
#include "providers/sdk/clock.h"

static void put_time(struct mio_buf *b, const char *before, int64_t when)
{
    char text[24];
    mio_rfc3339(when, text);
    mio_buf_printf(b, "%s%s", before, text);
}

void mio_render_planfile(const struct mio_pen *pen, const struct mio_planfile *f)
{
    const struct mio_plan_binding *k = &f->plan.binding;
    struct mio_buf *b = pen->b;
    mio_render_checks(pen, &f->plan);
    put_time(b, "Made ", k->created);
    put_time(b, ", holds until ", k->expires);
    if (k->stage.n) {
        mio_buf_z(b, ", stage ");
        mio_put_safe(b, k->stage);
    }
    mio_buf_printf(b, ", for serial %lu of the state", (unsigned long)k->serial);
    if (k->commit.n) {
        mio_buf_z(b, ", commit ");
        mio_put_safe(b, k->commit);
    }
    if (!mio_is_null(f->signature)) {
        mio_buf_z(b, "\nSigned by ");
        mio_put_safe(b, mio_get_str(f->signature, "by"));
    }
    mio_buf_printf(b, "\nDigest %.*s\n", MIO_FMT(f->digest));
}

void mio_render_approvals(const struct mio_pen *pen, const struct mio_review *r)
{
    struct mio_buf *b = pen->b;
    for (size_t i = 0; i < r->n; i++) {
        const struct mio_approval *p = &r->approvals[i];
        mio_style(pen, p->why_not ? MIO_RED : MIO_GREEN);
        mio_buf_z(b, p->why_not ? "does not count: " : "approved by ");
        mio_style(pen, MIO_RESET);
        mio_put_safe(b, p->by);
        if (p->fingerprint.n)
            mio_buf_printf(b, " (%.*s)", MIO_FMT(p->fingerprint));
        if (p->when)
            put_time(b, ", ", p->when);
        if (p->expires)
            put_time(b, ", until ", p->expires);
        if (p->why_not)
            mio_buf_printf(b, ": %s", p->why_not);
        mio_buf_char(b, '\n');
    }
    mio_buf_printf(b, "%zu of %zu approvals needed.\n", r->good, r->required);
}
