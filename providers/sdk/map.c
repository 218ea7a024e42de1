/* providers/sdk/map.c: see map.h. */
#include "providers/sdk/map.h"
#include "providers/sdk/alloc.h"

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

static struct mio_str slot_key(const struct mio_map_slot *s)
{
    return (struct mio_str){s->key, s->n};
}

/* The slot that holds the key, or the free one where it belongs. */
static struct mio_map_slot *slot_of(const struct mio_index *m, struct mio_str key, uint32_t hash)
{
    size_t i = hash & (m->room - 1);
    while (m->slots[i].key &&
           (m->slots[i].hash != hash || !mio_str_eq(slot_key(&m->slots[i]), key)))
        i = (i + 1) & (m->room - 1);
    return &m->slots[i];
}

/* Every key is there once: the first free slot is the right one. */
static void move_slot(struct mio_index *m, const struct mio_map_slot *s)
{
    size_t i = s->hash & (m->room - 1);
    while (m->slots[i].key)
        i = (i + 1) & (m->room - 1);
    m->slots[i] = *s;
}

void mio_index_reserve(struct mio_index *m, size_t more)
{
    if (m->room && (m->n + more) * 2 <= m->room)
        return;
    struct mio_index bigger;
    mio_index_init(&bigger, m->arena, m->n + more);
    for (size_t i = 0; i < m->room; i++)
        if (m->slots[i].key)
            move_slot(&bigger, &m->slots[i]);
    bigger.n = m->n;
    *m = bigger;
}

bool mio_index_add(struct mio_index *m, struct mio_str key, uintptr_t value)
{
    if (m->n * 2 >= m->room)
        mio_index_reserve(m, m->n ? m->n : 8);
    uint32_t hash = (uint32_t)mio_str_hash(key);
    struct mio_map_slot *s = slot_of(m, key, hash);
    if (s->key)
        return false;
    if (key.n > UINT32_MAX)
        mio_alloc_die(key.n);
    *s = (struct mio_map_slot){key.p ? key.p : "", (uint32_t)key.n, hash, value};
    m->n++;
    return true;
}

void mio_index_set(struct mio_index *m, struct mio_str key, uintptr_t value)
{
    if (!mio_index_add(m, key, value))
        slot_of(m, key, (uint32_t)mio_str_hash(key))->value = value;
}

bool mio_index_get(const struct mio_index *m, struct mio_str key, uintptr_t *value)
{
    if (m->room == 0)
        return false;
    const struct mio_map_slot *s = slot_of(m, key, (uint32_t)mio_str_hash(key));
    if (!s->key)
        return false;
    *value = s->value;
    return true;
}

bool mio_index_next(const struct mio_index *m, size_t *at, struct mio_str *key)
{
    while (*at < m->room) {
        const struct mio_map_slot *s = &m->slots[(*at)++];
        if (s->key) {
            *key = slot_key(s);
            return true;
        }
    }
    return false;
}
