/* planner/change/secret.c: see secret.h. */
#include "planner/change/secret.h"
#include "state/model.h"

enum { SHORTEST_INSIDE = 6 };

static struct mio_value carry_map(struct mio_arena *a, struct mio_value like, struct mio_value v)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++) {
        const struct mio_value *l = mio_get(like, v.pairs[i].key);
        pairs[i] = v.pairs[i];
        if (l)
            pairs[i].value = mio_carry_marks(a, *l, v.pairs[i].value);
    }
    return mio_map(pairs, v.n);
}

static struct mio_value carry_list(struct mio_arena *a, struct mio_value like, struct mio_value v)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++)
        items[i] = i < like.n ? mio_carry_marks(a, like.items[i], v.items[i]) : v.items[i];
    return mio_list(items, v.n);
}

struct mio_value mio_carry_marks(struct mio_arena *a, struct mio_value like, struct mio_value v)
{
    if (!mio_has_sensitive(like) || mio_is_sensitive(v))
        return v;
    if (mio_is_sensitive(like) || mio_is_masked(like))
        return mio_is_null(v) ? v : mio_sensitive(v);
    if (like.type == MIO_MAP && v.type == MIO_MAP)
        return carry_map(a, like, v);
    return like.type == MIO_LIST && v.type == MIO_LIST ? carry_list(a, like, v) : v;
}

struct texts {
    struct mio_arena *a;
    struct mio_str *items;
    size_t n, cap;
};

static void collect(struct texts *t, struct mio_value v, bool inside)
{
    inside |= mio_is_sensitive(v);
    if (v.type == MIO_STRING && inside && v.n)
        MIO_PUSH(t->a, t->items, t->n, t->cap) = mio_value_str(v);
    for (uint32_t i = 0; v.type == MIO_LIST && i < v.n; i++)
        collect(t, v.items[i], inside);
    for (uint32_t i = 0; v.type == MIO_MAP && !mio_is_masked(v) && i < v.n; i++)
        collect(t, v.pairs[i].value, inside);
}

static bool tells(const struct texts *t, struct mio_str s)
{
    for (size_t i = 0; i < t->n; i++)
        if (mio_str_eq(t->items[i], s) ||
            (t->items[i].n >= SHORTEST_INSIDE && s.n > t->items[i].n &&
             memmem(s.p, s.n, t->items[i].p, t->items[i].n)))
            return true;
    return false;
}

static struct mio_value mark_texts(const struct texts *t, struct mio_value v)
{
    if (mio_is_sensitive(v))
        return v;
    if (v.type == MIO_STRING)
        return tells(t, mio_value_str(v)) ? mio_sensitive(v) : v;
    if (v.type == MIO_LIST) {
        struct mio_value *items = MIO_NEW_N(t->a, struct mio_value, v.n + 1u);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = mark_texts(t, v.items[i]);
        return mio_list(items, v.n);
    }
    if (v.type != MIO_MAP)
        return v;
    struct mio_pair *pairs = MIO_NEW_N(t->a, struct mio_pair, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct mio_pair){v.pairs[i].key, mark_texts(t, v.pairs[i].value)};
    return mio_map(pairs, v.n);
}

struct mio_value mio_carry_texts(struct mio_arena *a, struct mio_value secrets, struct mio_value v)
{
    struct texts t = {.a = a};
    if (!mio_has_sensitive(secrets))
        return v;
    collect(&t, secrets, false);
    return t.n ? mark_texts(&t, v) : v;
}

struct mio_value mio_unmask(struct mio_arena *a, struct mio_str salt, struct mio_value v,
                            struct mio_value from)
{
    if (mio_is_masked(v))
        return mio_equal(v, mio_mask(a, salt, mio_sensitive(from))) ? mio_sensitive(from) : v;
    if (!mio_has_sensitive(v) || v.type != from.type)
        return v;
    if (v.type == MIO_LIST) {
        struct mio_value *items = MIO_NEW_N(a, struct mio_value, v.n + 1u);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = i < from.n ? mio_unmask(a, salt, v.items[i], from.items[i]) : v.items[i];
        return mio_list(items, v.n);
    }
    if (v.type != MIO_MAP)
        return v;
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++) {
        const struct mio_value *f = mio_get(from, v.pairs[i].key);
        pairs[i] = v.pairs[i];
        if (f)
            pairs[i].value = mio_unmask(a, salt, v.pairs[i].value, *f);
    }
    return mio_map(pairs, v.n);
}

struct mio_value mio_mark(struct mio_arena *a, const struct mio_field *object, struct mio_value v)
{
    if (v.type != MIO_MAP || !object)
        return v;
    bool any = false;
    for (size_t i = 0; i < object->nfields && !any; i++)
        any = (object->fields[i].flags & MLOPS_SENSITIVE) || object->fields[i].type == MLOPS_OBJECT;
    if (!any)
        return v;
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++) {
        const struct mio_field *f = mio_field_get(object, v.pairs[i].key);
        pairs[i] = v.pairs[i];
        if (f && (f->flags & MLOPS_SENSITIVE) && pairs[i].value.type != MIO_NULL)
            pairs[i].value = mio_sensitive(pairs[i].value);
        else if (f && f->type == MLOPS_OBJECT)
            pairs[i].value = mio_mark(a, f, pairs[i].value);
    }
    return mio_map(pairs, v.n);
}
