/* providers/sdk/arena.h: memory of one run, freed as a whole by its maker.
 *
 * Owns: its blocks. Never: shared between threads. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include "providers/sdk/str.h"

struct mio_arena_block;
struct mio_arena {
    struct mio_arena_block *head;
    char *next, *end;
    size_t total; /* bytes handed out */
};
struct mio_arena_mark {
    struct mio_arena_block *head;
    char *next, *end;
    size_t total;
};

void mio_arena_init(struct mio_arena *a);
void mio_arena_free(struct mio_arena *a); /* usable again after it */

/* Aligned to 8 bytes; not cleared. Never NULL. */
void *mio_arena_alloc(struct mio_arena *a, size_t size) __attribute__((returns_nonnull));
void *mio_arena_zalloc(struct mio_arena *a, size_t size) __attribute__((returns_nonnull));
#define MIO_NEW(a, type) ((type *)mio_arena_zalloc((a), sizeof(type)))
#define MIO_NEW_N(a, type, n) ((type *)mio_arena_zalloc((a), sizeof(type) * (n)))

/* Copies; always followed by a NUL that the view does not count. */
struct mio_str mio_arena_str(struct mio_arena *a, struct mio_str s);
char *mio_arena_z(struct mio_arena *a, struct mio_str s);
struct mio_str mio_arena_printf(struct mio_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct mio_str mio_arena_vprintf(struct mio_arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Everything allocated after the mark is gone after the rewind. */
struct mio_arena_mark mio_arena_mark(const struct mio_arena *a);
void mio_arena_rewind(struct mio_arena *a, struct mio_arena_mark m);

/* Grows a plain array that lives in the arena: items of `size`, *cap doubled when n reaches it. */
void *mio_arena_grow(struct mio_arena *a, void *items, size_t n, size_t *cap, size_t size);
/* MIO_PUSH(arena, array, count, capacity) gives an lvalue of the new last element (not cleared). */
#define MIO_PUSH(a, items, n, cap) \
    (*(((items) = mio_arena_grow((a), (items), (n), &(cap), sizeof *(items))), &(items)[(n)++]))
