/* providers/sdk/arena.c: see arena.h. */
#include "providers/sdk/arena.h"
#include <sys/mman.h>
#include "providers/sdk/alloc.h"

/* Blocks grow with the arena, so that a small run stays small and a big one needs few of them; the
 * large ones ask for huge pages, because most of what a large run costs here is page faults. */
enum { FIRST_BLOCK = 16 * 1024, LARGEST_BLOCK = 2 * 1024 * 1024 };

struct mio_arena_block {
    struct mio_arena_block *prev;
    size_t size; /* of the memory that follows */
};

void mio_arena_init(struct mio_arena *a)
{
    *a = (struct mio_arena){0};
}

void mio_arena_free(struct mio_arena *a)
{
    while (a->head) {
        struct mio_arena_block *prev = a->head->prev;
        free(a->head);
        a->head = prev;
    }
    mio_arena_init(a);
}

static void add_block(struct mio_arena *a, size_t need)
{
    size_t size = a->head ? (a->head->size + sizeof *a->head) * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    bool huge = size == LARGEST_BLOCK && need <= LARGEST_BLOCK - sizeof(struct mio_arena_block);
    if (huge)
        size = LARGEST_BLOCK - sizeof(struct mio_arena_block);
    if (size < need)
        size = need;
    struct mio_arena_block *b =
        huge ? aligned_alloc(LARGEST_BLOCK, LARGEST_BLOCK) : mio_alloc(sizeof *b + size);
    if (!b)
        mio_alloc_die(size);
    if (huge)
        madvise(b, LARGEST_BLOCK, MADV_HUGEPAGE); /* a wish: nothing depends on it */
    b->prev = a->head;
    b->size = size;
    a->head = b;
    a->next = (char *)(b + 1);
    a->end = a->next + size;
}

void *mio_arena_alloc(struct mio_arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        mio_alloc_die(size);
    size = (size + 7) & ~(size_t)7;
    if (size == 0)
        size = 8;
    if ((size_t)(a->end - a->next) < size)
        add_block(a, size);
    void *p = a->next;
    a->next += size;
    a->total += size;
    return p;
}

void *mio_arena_zalloc(struct mio_arena *a, size_t size)
{
    return memset(mio_arena_alloc(a, size), 0, size);
}

char *mio_arena_z(struct mio_arena *a, struct mio_str s)
{
    char *p = mio_arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct mio_str mio_arena_str(struct mio_arena *a, struct mio_str s)
{
    return (struct mio_str){mio_arena_z(a, s), s.n};
}

struct mio_str mio_arena_vprintf(struct mio_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        n = 0;
    char *p = mio_arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return (struct mio_str){p, (size_t)n};
}

struct mio_str mio_arena_printf(struct mio_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_str s = mio_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

struct mio_arena_mark mio_arena_mark(const struct mio_arena *a)
{
    return (struct mio_arena_mark){a->head, a->next, a->end, a->total};
}

void mio_arena_rewind(struct mio_arena *a, struct mio_arena_mark m)
{
    while (a->head != m.head) {
        struct mio_arena_block *prev = a->head->prev;
        free(a->head);
        a->head = prev;
    }
    a->next = m.next;
    a->end = m.end;
    a->total = m.total;
}

void *mio_arena_grow(struct mio_arena *a, void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    size_t room = *cap ? *cap * 2 : 2; /* most arrays stay short */
    void *p = mio_arena_alloc(a, room * size);
    if (n)
        memcpy(p, items, n * size);
    *cap = room;
    return p;
}
