/* providers/sdk/map.c: see map.h. */
#include "providers/sdk/map.h"

void mio_index_init(struct mio_index *m, struct mio_arena *a, size_t expected)
{
    *m = (struct mio_index){.arena = a};
    if (expected == 0)
        return;
    size_t room = 16;
    while (room < expected * 2)
        room *= 2;
    m->room = room;
    m->slots = MIO_NEW_N(a, struct mio_map_slot, room);
}

/* The slot that holds the key, or the free one where it belongs. */
static struct mio_map_slot *slot_of(const struct mio_index *m, struct mio_str key)
{
    size_t i = (size_t)mio_str_hash(key) & (m->room - 1);
    while (m->slots[i].key.p && !mio_str_eq(m->slots[i].key, key))
        i = (i + 1) & (m->room - 1);
    return &m->slots[i];
}

static void grow(struct mio_index *m)
{
    if (m->n * 2 < m->room)
        return;
    struct mio_index bigger;
    mio_index_init(&bigger, m->arena, m->room ? m->room : 8);
    for (size_t i = 0; i < m->room; i++)
        if (m->slots[i].key.p)
            *slot_of(&bigger, m->slots[i].key) = m->slots[i];
    bigger.n = m->n;
    *m = bigger;
}

bool mio_index_add(struct mio_index *m, struct mio_str key, uintptr_t value)
{
    grow(m);
    struct mio_map_slot *s = slot_of(m, key);
    if (s->key.p)
        return false;
    *s = (struct mio_map_slot){{key.p ? key.p : "", key.n}, value};
    m->n++;
    return true;
}

void mio_index_set(struct mio_index *m, struct mio_str key, uintptr_t value)
{
    if (!mio_index_add(m, key, value))
        slot_of(m, key)->value = value;
}

bool mio_index_get(const struct mio_index *m, struct mio_str key, uintptr_t *value)
{
    if (m->room == 0)
        return false;
    const struct mio_map_slot *s = slot_of(m, key);
    if (!s->key.p)
        return false;
    *value = s->value;
    return true;
}
