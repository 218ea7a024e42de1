/* cli/render_diag.c: diagnostics as text and as JSON. */
#include "cli/render_diag.h"

static const struct mio_source *source_of(const struct mio_sources *s, struct mio_pos pos)
{
    return s && pos.file && pos.file <= s->n ? &s->items[pos.file - 1] : NULL;
}

static void put_text(struct mio_buf *b, const char *text)
{
    mio_put_safe(b, mio_str_z(text));
}

static bool starts_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* Of a very long line the part around the caret; *col is counted from its beginning then. */
static struct mio_str visible(struct mio_str line, size_t *col)
{
    enum { WIDEST = 160, BEFORE = 40 };
    size_t from = 0;
    if (*col > WIDEST - BEFORE) {
        from = *col - BEFORE;
        while (from && from < line.n && !starts_char(line.p[from]))
            from--;
    }
    *col -= from;
    size_t n = WIDEST;
    while (from + n < line.n && !starts_char(line.p[from + n]))
        n++;
    return mio_str_sub(line, from, n);
}

/* The line in question, and ^~~~ under what is meant. Tabs are shown as blanks, so that the caret
 * stays below. */
static void put_snippet(const struct mio_pen *pen, struct mio_str line, struct mio_pos pos)
{
    struct mio_buf *b = pen->b;
    size_t col = pos.col ? pos.col - 1 : 0;
    line = visible(line, &col);
    mio_buf_printf(b, "  %5u: ", pos.line);
    MIO_AUTO_BUF blank = {0};
    for (size_t i = 0; i < line.n; i++)
        mio_buf_char(&blank, line.p[i] == '\t' ? ' ' : line.p[i]);
    mio_put_safe(b, mio_buf_view(&blank));
    mio_buf_char(b, '\n');
    mio_buf_pad(b, ' ', 9);
    for (size_t i = 0; i < col && i < line.n; i++) {
        if (starts_char(line.p[i])) /* one blank a character, not a byte */
            mio_buf_char(b, ' ');
    }
    size_t left = line.n > col ? line.n - col : 0, len = pos.len < left ? pos.len : left;
    mio_style(pen, MIO_RED);
    mio_buf_char(b, '^');
    for (size_t i = 1; i < len; i++) {
        if (starts_char(line.p[col + i]))
            mio_buf_char(b, '~');
    }
    mio_style(pen, MIO_RESET);
    mio_buf_char(b, '\n');
}

static void put_where(const struct mio_pen *pen, const struct mio_err *e,
                      const struct mio_sources *sources)
{
    const struct mio_source *src = source_of(sources, e->pos);
    struct mio_buf *b = pen->b;
    if (src) {
        mio_buf_z(b, "\n  on ");
        mio_put_safe(b, src->path);
        mio_buf_printf(b, " line %u, column %u", e->pos.line, e->pos.col);
        if (e->address[0]) {
            mio_buf_z(b, ", in ");
            put_text(b, e->address);
        }
        mio_buf_z(b, ":\n");
        struct mio_str line = mio_sources_line(sources, e->pos);
        if (line.n)
            put_snippet(pen, line, e->pos);
    } else if (e->address[0]) {
        mio_buf_z(b, "\n  with ");
        put_text(b, e->address);
        mio_buf_char(b, '\n');
    }
}

static void put_body(const struct mio_pen *pen, const struct mio_diag *d,
                     const struct mio_sources *sources)
{
    struct mio_buf *b = pen->b;
    mio_style(pen, d->severity == MIO_ERROR ? MIO_RED : MIO_YELLOW);
    mio_buf_z(b, d->severity == MIO_ERROR ? "Error: " : "Warning: ");
    mio_style(pen, MIO_RESET);
    mio_style(pen, MIO_BOLD);
    put_text(b, d->err.message);
    mio_style(pen, MIO_RESET);
    mio_buf_char(b, '\n');
    put_where(pen, &d->err, sources);
    if (d->err.cause[0]) {
        mio_buf_z(b, "\nCause: ");
        put_text(b, d->err.cause);
        mio_buf_char(b, '\n');
    }
    if (d->err.hint[0]) {
        mio_buf_char(b, '\n');
        put_text(b, d->err.hint);
        mio_buf_char(b, '\n');
    }
    if (d->err.code == MIO_BUG)
        mio_buf_printf(b, "\nThis is a defect of mlops-iac (%s:%d). Please report it.\n",
                       d->err.origin_file ? d->err.origin_file : "?", d->err.origin_line);
}

void mio_render_diag(const struct mio_pen *pen, const struct mio_diag *d,
                     const struct mio_sources *sources)
{
    enum mio_style tint = d->severity == MIO_ERROR ? MIO_RED : MIO_YELLOW;
    if (!pen->color) {
        mio_buf_char(pen->b, '\n');
        put_body(pen, d, sources);
        return;
    }
    MIO_AUTO_BUF text = {0};
    put_body(&(struct mio_pen){&text, true}, d, sources);
    struct mio_str rest = mio_buf_view(&text);
    mio_style(pen, tint);
    mio_buf_z(pen->b, "╷\n");
    while (rest.n) {
        ptrdiff_t nl = mio_str_find(rest, '\n');
        struct mio_str line = mio_str_sub(rest, 0, nl < 0 ? rest.n : (size_t)nl);
        mio_style(pen, tint);
        mio_buf_z(pen->b, "│ ");
        mio_style(pen, MIO_RESET);
        mio_buf_str(pen->b, line);
        mio_buf_char(pen->b, '\n');
        rest = nl < 0 ? (struct mio_str){0} : mio_str_sub(rest, (size_t)nl + 1, rest.n);
    }
    mio_style(pen, tint);
    mio_buf_z(pen->b, "╵");
    mio_style(pen, MIO_RESET);
    mio_buf_char(pen->b, '\n');
}

static void put_compact(const struct mio_pen *pen, const struct mio_diags *d, size_t from,
                        const struct mio_sources *sources)
{
    mio_style(pen, MIO_YELLOW);
    mio_buf_z(pen->b, "Warnings:");
    mio_style(pen, MIO_RESET);
    mio_buf_z(pen->b, "\n\n");
    for (size_t i = from; i < d->n; i++) {
        const struct mio_err *e = &d->items[i].err;
        const struct mio_source *src = source_of(sources, e->pos);
        mio_buf_z(pen->b, "- ");
        put_text(pen->b, e->message);
        if (src) {
            mio_buf_z(pen->b, " (");
            mio_put_safe(pen->b, src->path);
            mio_buf_printf(pen->b, " line %u)", e->pos.line);
        }
        mio_buf_char(pen->b, '\n');
    }
    mio_buf_char(pen->b, '\n');
}

void mio_render_diags(const struct mio_pen *pen, const struct mio_diags *d, size_t from,
                      const struct mio_sources *sources, bool compact)
{
    for (size_t i = from; i < d->n; i++)
        compact = compact && d->items[i].severity == MIO_WARNING;
    if (compact && from < d->n) {
        put_compact(pen, d, from, sources);
        return;
    }
    for (size_t i = from; i < d->n; i++)
        mio_render_diag(pen, &d->items[i], sources);
}

/* ---- JSON ---- */

/* Bytes of the source before the line. */
static size_t line_offset(struct mio_str text, uint32_t line)
{
    size_t at = 0;
    while (line > 1 && at < text.n) {
        const char *nl = memchr(text.p + at, '\n', text.n - at);
        if (!nl)
            break;
        at = (size_t)(nl - text.p) + 1;
        line--;
    }
    return at;
}

static void put_point(struct mio_jout *j, const char *key, uint32_t line, uint32_t col, size_t byte)
{
    mio_jout_key(j, key);
    mio_jout_open(j, '{');
    mio_jout_ku64(j, "line", line);
    mio_jout_ku64(j, "column", col);
    mio_jout_ku64(j, "byte", byte);
    mio_jout_close(j, '}');
}

static void put_range(struct mio_jout *j, const struct mio_diag *d, const struct mio_source *src,
                      const struct mio_sources *sources)
{
    struct mio_pos pos = d->err.pos;
    struct mio_str line = mio_sources_line(sources, pos);
    uint32_t col = pos.col ? pos.col : 1, len = pos.len ? pos.len : 1;
    size_t byte = line_offset(src->text, pos.line) + col - 1;
    mio_jout_key(j, "range");
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "filename", src->path);
    put_point(j, "start", pos.line, col, byte);
    put_point(j, "end", pos.line, col + len, byte + len);
    mio_jout_close(j, '}');
    mio_jout_key(j, "snippet");
    mio_jout_open(j, '{');
    mio_jout_key(j, "context");
    if (d->err.address[0])
        mio_jout_str(j, mio_str_z(d->err.address));
    else
        mio_jout_null(j);
    mio_jout_kstr(j, "code", line);
    mio_jout_ku64(j, "start_line", pos.line);
    mio_jout_ku64(j, "highlight_start_offset", col - 1 < line.n ? col - 1 : line.n);
    mio_jout_ku64(j, "highlight_end_offset", col - 1 + len < line.n ? col - 1 + len : line.n);
    mio_jout_key(j, "values");
    mio_jout_open(j, '[');
    mio_jout_close(j, ']');
    mio_jout_close(j, '}');
}

void mio_diag_json(struct mio_jout *j, const struct mio_diag *d, const struct mio_sources *sources)
{
    const struct mio_source *src = source_of(sources, d->err.pos);
    MIO_AUTO_BUF text = {0}, message = {0};
    put_text(&message, d->err.message);
    put_text(&text, d->err.cause);
    if (text.n && d->err.hint[0])
        mio_buf_z(&text, "\n\n");
    put_text(&text, d->err.hint);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "severity", d->severity == MIO_ERROR ? "error" : "warning");
    mio_jout_kstr(j, "summary", mio_buf_view(&message));
    mio_jout_kstr(j, "detail", mio_buf_view(&text));
    if (d->severity == MIO_ERROR)
        mio_jout_kz(j, "code", mio_code_name(d->err.code));
    if (d->err.address[0])
        mio_jout_kz(j, "address", d->err.address);
    if (src)
        put_range(j, d, src, sources);
    mio_jout_close(j, '}');
}
