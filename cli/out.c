/* cli/out.c: buffered output to a descriptor, styles, safe text. */
#include "cli/out.h"
#include "providers/sdk/redact.h"
#include <errno.h>
#include <unistd.h>

void mio_style(const struct mio_pen *p, enum mio_style style)
{
    static const char *const codes[] = {
        [MIO_RESET] = "\033[0m", [MIO_BOLD] = "\033[1m",   [MIO_DIM] = "\033[2m",
        [MIO_RED] = "\033[31m",  [MIO_GREEN] = "\033[32m", [MIO_YELLOW] = "\033[33m",
        [MIO_CYAN] = "\033[36m",
    };
    if (p->color)
        mio_buf_z(p->b, codes[style]);
}

void mio_put_safe(struct mio_buf *b, struct mio_str text)
{
    mio_redact(b, text);
}

void mio_put_folded(struct mio_buf *b, const char *text, size_t indent, size_t width)
{
    size_t column = 0;
    for (const char *p = text; *p;) {
        if (*p == '\n') {
            mio_buf_char(b, '\n');
            column = 0;
            p++;
            continue;
        }
        size_t word = strcspn(p, " \n");
        if (column && column + 1 + word > width) {
            mio_buf_char(b, '\n');
            column = 0;
        }
        if (column)
            mio_buf_char(b, ' ');
        else
            mio_buf_pad(b, ' ', indent);
        column = (column ? column + 1 : indent) + word;
        mio_buf_add(b, p, word);
        p += word;
        if (*p == ' ')
            p++;
    }
    mio_buf_char(b, '\n');
}

void mio_put_elapsed(struct mio_buf *b, double seconds)
{
    unsigned s = seconds > 0 ? (unsigned)(seconds + 0.5) : 0;
    if (s >= 3600)
        mio_buf_printf(b, "%uh", s / 3600);
    if (s >= 60)
        mio_buf_printf(b, "%um", s / 60 % 60);
    mio_buf_printf(b, "%us", s % 60);
}

void mio_out_init(struct mio_out *o, int fd)
{
    *o = (struct mio_out){.fd = fd, .tty = fd >= 0 && isatty(fd) == 1};
    mio_buf_init(&o->buf, 0);
}

void mio_out_free(struct mio_out *o)
{
    mio_buf_free(&o->buf);
    if (o->owned && o->fd >= 0)
        close(o->fd);
    o->fd = -1;
}

/* Every text of the program passes here, whole lines at a time: what is still in it of a secret,
 * however it came there, is replaced. */
bool mio_out_flush(struct mio_out *o)
{
    MIO_AUTO_BUF hidden = {0};
    struct mio_str text = mio_buf_view(&o->buf);
    if (text.n && !o->exact && mio_secrets_known()) {
        mio_hide(&hidden, text);
        text = mio_buf_view(&hidden);
    }
    const char *p = text.p;
    size_t left = text.n;
    while (left && !o->error) {
        ssize_t n = write(o->fd, p, left);
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            o->error = errno;
        }
    }
    mio_buf_reset(&o->buf);
    return !o->error;
}

struct mio_pen mio_out_pen(struct mio_out *o)
{
    return (struct mio_pen){&o->buf, o->color};
}
