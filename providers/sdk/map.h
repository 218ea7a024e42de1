/* providers/sdk/map.h: string to pointer or index, in an arena; open addressing, linear time to
 * fill. */
#pragma once
#include "providers/sdk/arena.h"

struct mio_map_slot {
    struct mio_str key;
    uintptr_t value;
};
struct mio_index {
    struct mio_arena *arena;
    struct mio_map_slot *slots;
    size_t n, room; /* room is 0 or a power of two */
};
void mio_index_init(struct mio_index *m, struct mio_arena *a, size_t expected);
/* Keys are not copied. False (and nothing changed) when the key is there already. */
bool mio_index_add(struct mio_index *m, struct mio_str key, uintptr_t value);
/* Adds or overwrites. */
void mio_index_set(struct mio_index *m, struct mio_str key, uintptr_t value);
bool mio_index_get(const struct mio_index *m, struct mio_str key, uintptr_t *value);
