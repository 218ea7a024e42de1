/* cli/markdown.h: cells of Markdown tables. */
#pragma once
#include "providers/sdk/buf.h"

/* Bars and line ends would break the table: the first are escaped, the second become spaces. */
void mio_md_cell(struct mio_buf *b, struct mio_str text);
/* The same in backquotes. */
void mio_md_code(struct mio_buf *b, struct mio_str text);
