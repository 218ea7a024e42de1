/* providers/sdk/alloc.c: see alloc.h. */
#include "providers/sdk/alloc.h"
#include <stdint.h>
#include <unistd.h>

_Noreturn void mio_alloc_die(size_t size)
{
    static const char text[] = "mlops-iac: out of memory\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored;
    (void)size;
    _exit(71);
}

void *mio_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        mio_alloc_die(size);
    return p;
}

void *mio_zalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        mio_alloc_die(size);
    return p;
}

void *mio_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        mio_alloc_die(SIZE_MAX);
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        mio_alloc_die(bytes);
    return q;
}

char *mio_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mio_alloc(n), s, n);
}

void mio_auto_free(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p); /* pp points at a pointer of any type */
    free(p);
}

void mio_auto_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
