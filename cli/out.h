/* cli/out.h: where text goes: a buffered descriptor that remembers its first failure and lets no
 * secret pass, and the pen that renderers write with. */
#pragma once
#include "providers/sdk/buf.h"

enum mio_style {
    MIO_RESET,
    MIO_BOLD,
    MIO_DIM,
    MIO_RED,
    MIO_GREEN,
    MIO_YELLOW,
    MIO_CYAN,
};

/* What a renderer needs to know of its page. */
struct mio_pen {
    struct mio_buf *b;
    bool color;
};
/* Switches the style when the pen has colour. */
void mio_style(const struct mio_pen *p, enum mio_style style);
/* Text that came from providers, templates or values: control bytes escaped, secrets replaced. */
void mio_put_safe(struct mio_buf *b, struct mio_str text);
/* Paragraph folded at word borders to `width` columns, each line behind `indent` blanks, newline at
 * the end. Newlines of the text are kept. */
void mio_put_folded(struct mio_buf *b, const char *text, size_t indent, size_t width);
/* "0s", "59s", "1m5s", "2h0m1s". */
void mio_put_elapsed(struct mio_buf *b, double seconds);

struct mio_out {
    struct mio_buf buf;
    int fd;    /* not owned unless `owned` */
    int error; /* errno of the first failed write; later text is dropped */
    bool tty, color, owned;
    bool exact; /* a document that would be damaged: what is secret in it is masked already */
};
void mio_out_init(struct mio_out *o, int fd);
void mio_out_free(struct mio_out *o);  /* no flush */
bool mio_out_flush(struct mio_out *o); /* false when this or an earlier write failed */
struct mio_pen mio_out_pen(struct mio_out *o);
