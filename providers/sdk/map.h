/* providers/sdk/map.h: string to pointer or index, in an arena; open addressing, linear time to
 * fill. */
#pragma once
#include "providers/sdk/arena.h"

struct mio_map_slot {
    const char *key; /* NULL: free */
    uint32_t n;      /* its bytes */
    uint32_t hash;   /* so that other keys are seldom looked at: they are far apart in memory */
    uintptr_t value;
};
struct mio_index {
    struct mio_arena *arena;
    struct mio_map_slot *slots;
    size_t n, room; /* room is 0 or a power of two */
};
void mio_index_init(struct mio_index *m, struct mio_arena *a, size_t expected);
/* Makes room for so many more keys at once. */
void mio_index_reserve(struct mio_index *m, size_t more);
/* Keys are not copied. False (and nothing changed) when the key is there already. */
bool mio_index_add(struct mio_index *m, struct mio_str key, uintptr_t value);
/* Adds or overwrites. */
void mio_index_set(struct mio_index *m, struct mio_str key, uintptr_t value);
bool mio_index_get(const struct mio_index *m, struct mio_str key, uintptr_t *value);
/* Every key, in no order: *at begins as 0; false when there is none left. */
bool mio_index_next(const struct mio_index *m, size_t *at, struct mio_str *key);
