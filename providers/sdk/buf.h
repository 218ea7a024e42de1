/* providers/sdk/buf.h: growing text with a cap.
 *
 * An append beyond the cap is dropped and marks the buffer full, once and for ever: check with
 * mio_buf_full() when done. Memory failure ends the process (alloc.h). */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "providers/sdk/str.h"

struct mio_buf {
    char *p; /* NUL-terminated whenever n > 0; NULL when nothing was added */
    size_t n, room, cap;
    bool full;
};

void mio_buf_init(struct mio_buf *b, size_t cap); /* cap 0: no cap */
void mio_buf_free(struct mio_buf *b);
void mio_buf_reset(struct mio_buf *b);
void mio_buf_add(struct mio_buf *b, const void *p, size_t n);
void mio_buf_str(struct mio_buf *b, struct mio_str s);
void mio_buf_z(struct mio_buf *b, const char *z);
void mio_buf_char(struct mio_buf *b, char c);
void mio_buf_pad(struct mio_buf *b, char c, size_t n);
void mio_buf_u64(struct mio_buf *b, uint64_t v);
void mio_buf_printf(struct mio_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mio_buf_vprintf(struct mio_buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
bool mio_buf_full(const struct mio_buf *b);
struct mio_str mio_buf_view(const struct mio_buf *b);
#define MIO_AUTO_BUF __attribute__((cleanup(mio_buf_free))) struct mio_buf
