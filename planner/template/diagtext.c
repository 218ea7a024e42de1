/* planner/template/diagtext.c: a diagnostic as plain text. */
#include "planner/template/diagtext.h"
#include "providers/sdk/log.h"

static bool starts_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* The line and the caret below it. One blank a character, so that the caret stands below what is
 * meant. */
static void snippet(struct mio_buf *out, struct mio_str line, struct mio_pos pos)
{
    enum { WIDEST = 160 };
    size_t col = pos.col ? pos.col - 1 : 0, from = 0;
    if (col > WIDEST - 40) { /* of a very long line the part around the caret */
        from = col - 40;
        while (from && from < line.n && !starts_char(line.p[from]))
            from--;
    }
    struct mio_str part = mio_str_sub(line, from, WIDEST);
    col -= from;
    mio_buf_printf(out, "  %5u: ", pos.line);
    mio_redact(out, part);
    mio_buf_char(out, '\n');
    mio_buf_pad(out, ' ', 9);
    for (size_t i = 0; i < col && i < part.n; i++)
        if (starts_char(part.p[i]))
            mio_buf_char(out, part.p[i] == '\t' ? '\t' : ' ');
    mio_buf_char(out, '^');
    for (size_t i = col + 1; i < col + pos.len && i < part.n; i++)
        if (starts_char(part.p[i]))
            mio_buf_char(out, '^');
    mio_buf_char(out, '\n');
}

static void paragraph(struct mio_buf *out, const char *text)
{
    if (!text[0])
        return;
    mio_buf_z(out, "\n  ");
    mio_redact(out, mio_str_z(text));
    mio_buf_char(out, '\n');
}

void mio_diag_text(struct mio_buf *out, const struct mio_diag *d, const struct mio_sources *sources)
{
    const struct mio_err *e = &d->err;
    mio_buf_z(out, d->severity == MIO_ERROR ? "Error: " : "Warning: ");
    mio_redact(out, mio_str_z(e->message));
    mio_buf_char(out, '\n');
    if (sources && e->pos.file && e->pos.file <= sources->n) {
        mio_buf_z(out, "\n  on ");
        mio_redact(out, sources->items[e->pos.file - 1].path);
        mio_buf_printf(out, " line %u, column %u", e->pos.line, e->pos.col);
        if (e->address[0])
            mio_buf_printf(out, ", in %s", e->address);
        mio_buf_z(out, ":\n");
        snippet(out, mio_sources_line(sources, e->pos), e->pos);
    } else if (e->address[0]) {
        mio_buf_printf(out, "\n  with %s\n", e->address);
    }
    paragraph(out, e->cause);
    paragraph(out, e->hint);
}

void mio_diags_text(struct mio_buf *out, const struct mio_diags *d,
                    const struct mio_sources *sources)
{
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            mio_buf_char(out, '\n');
        mio_diag_text(out, &d->items[i], sources);
    }
}
