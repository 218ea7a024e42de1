/* cli/markdown.c: see markdown.h. */
#include "cli/markdown.h"

void mio_md_cell(struct mio_buf *b, struct mio_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|')
            mio_buf_char(b, '\\');
        mio_buf_char(b, text.p[i] == '\n' ? ' ' : text.p[i]);
    }
}

void mio_md_code(struct mio_buf *b, struct mio_str text)
{
    mio_buf_char(b, '`');
    mio_md_cell(b, text);
    mio_buf_char(b, '`');
}
