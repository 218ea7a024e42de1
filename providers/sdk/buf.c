/* providers/sdk/buf.c: see buf.h. */
#include "providers/sdk/buf.h"
#include "providers/sdk/alloc.h"

void mio_buf_init(struct mio_buf *b, size_t cap)
{
    *b = (struct mio_buf){.cap = cap};
}

void mio_buf_free(struct mio_buf *b)
{
    free(b->p);
    mio_buf_init(b, b->cap);
}

void mio_buf_reset(struct mio_buf *b)
{
    b->n = 0;
    b->full = false;
}

/* False when the cap forbids `n` more bytes. */
static bool reserve(struct mio_buf *b, size_t n)
{
    if (b->full || (b->cap && (n > b->cap || b->n > b->cap - n))) {
        b->full = true;
        return false;
    }
    if (b->room - b->n > n)
        return true;
    size_t room = b->room ? b->room * 2 : 256;
    while (room - b->n <= n)
        room *= 2;
    b->p = mio_realloc(b->p, room, 1);
    b->room = room;
    return true;
}

void mio_buf_add(struct mio_buf *b, const void *p, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void mio_buf_str(struct mio_buf *b, struct mio_str s)
{
    mio_buf_add(b, s.p, s.n);
}

void mio_buf_z(struct mio_buf *b, const char *z)
{
    mio_buf_add(b, z, strlen(z));
}

void mio_buf_char(struct mio_buf *b, char c)
{
    mio_buf_add(b, &c, 1);
}

void mio_buf_pad(struct mio_buf *b, char c, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memset(b->p + b->n, c, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void mio_buf_u64(struct mio_buf *b, uint64_t v)
{
    char digits[20], *p = digits + sizeof digits;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    mio_buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void mio_buf_vprintf(struct mio_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n <= 0 || !reserve(b, (size_t)n))
        return;
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    b->n += (size_t)n;
}

void mio_buf_printf(struct mio_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    mio_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

bool mio_buf_full(const struct mio_buf *b)
{
    return b->full;
}

struct mio_str mio_buf_view(const struct mio_buf *b)
{
    return (struct mio_str){b->n ? b->p : "", b->n};
}
