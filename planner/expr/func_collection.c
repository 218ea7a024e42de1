/* planner/expr/func_collection.c: lists and maps alike, and maps. */
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/text.h"
#include "providers/sdk/map.h"

enum mio_code mio_fn_length(struct mio_call *c, struct mio_value *out)
{
    struct mio_value v = c->args[0];
    if (v.type == MIO_STRING)
        *out = mio_number_i64(c->a, (int64_t)mio_text_clusters(mio_value_str(v)));
    else if (v.marks & MIO_MARK_SET && v.n > 1 && mio_has_unknown(v))
        return MIO_OK; /* two elements may become one: *out is unknown already */
    else if (v.type == MIO_LIST || v.type == MIO_MAP)
        *out = mio_number_i64(c->a, v.n);
    else
        return mio_call_fail(c, 0, NULL, "a %s has no length",
                             mio_type_name((enum mio_type)v.type));
    return MIO_OK;
}

enum mio_code mio_fn_merge(struct mio_call *c, struct mio_value *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->args[i].type == MIO_MAP ? c->args[i].n : 0;
    struct mio_pair *pairs = mio_arena_alloc(c->a, n * sizeof *pairs), *to = pairs;
    for (size_t i = 0; i < c->n; i++) {
        if (c->args[i].type != MIO_MAP)
            continue; /* a null counts as no map */
        mio_copy_items(to, c->args[i].pairs, c->args[i].n, sizeof *pairs);
        to += c->args[i].n;
    }
    *out = mio_map(pairs, n);
    return MIO_OK;
}

enum mio_code mio_fn_keys(struct mio_call *c, struct mio_value *out)
{
    struct mio_value map = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, map.n * sizeof *items);
    for (uint32_t i = 0; i < map.n; i++)
        items[i] = mio_string(map.pairs[i].key);
    *out = mio_list(items, map.n);
    return MIO_OK;
}

enum mio_code mio_fn_values(struct mio_call *c, struct mio_value *out)
{
    struct mio_value map = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, map.n * sizeof *items);
    for (uint32_t i = 0; i < map.n; i++)
        items[i] = map.pairs[i].value;
    *out = mio_list(items, map.n);
    return MIO_OK;
}

enum mio_code mio_fn_lookup(struct mio_call *c, struct mio_value *out)
{
    if (c->args[0].type == MIO_UNKNOWN || c->args[1].type == MIO_UNKNOWN)
        return MIO_OK; /* *out is unknown already */
    const struct mio_value *v = mio_get(c->args[0], mio_value_str(c->args[1]));
    if (!v && c->n < 3)
        return mio_call_fail(c, 1, "give a default as the third argument", "there is no such key");
    *out = v ? *v : c->args[2];
    return MIO_OK;
}

enum mio_code mio_fn_zipmap(struct mio_call *c, struct mio_value *out)
{
    struct mio_value keys = c->args[0], values = c->args[1];
    if (values.marks & MIO_MARK_SET)
        return mio_call_fail(c, 1, "tolist(x) puts them in order", "a set has no order");
    if (keys.n != values.n)
        return mio_call_fail(c, 1, NULL, "there are %u keys and %u values", keys.n, values.n);
    bool sensitive = false;
    if (mio_has_unknown(keys))
        return MIO_OK; /* *out is unknown already */
    struct mio_pair *pairs = mio_arena_alloc(c->a, keys.n * sizeof *pairs);
    for (uint32_t i = 0; i < keys.n; i++) {
        sensitive |= mio_is_sensitive(keys.items[i]); /* a map cannot mark a key */
        if (keys.items[i].type == MIO_NULL)
            return mio_call_fail(c, 0, NULL, "key %u is null", i);
        pairs[i] = (struct mio_pair){mio_value_str(keys.items[i]), values.items[i]};
    }
    *out = sensitive ? mio_sensitive(mio_map(pairs, keys.n)) : mio_map(pairs, keys.n);
    return MIO_OK;
}

/* {a = [1, 2]} becomes {1 = [a], 2 = [a]}; the keys arrive in order, so the lists are sorted. */
enum mio_code mio_fn_transpose(struct mio_call *c, struct mio_value *out)
{
    struct mio_value map = c->args[0];
    struct group {
        struct mio_value *items;
        size_t n, cap;
    } *groups = NULL;
    struct mio_index seen;
    struct mio_pair *pairs = NULL;
    size_t n = 0, cap = 0, group_cap = 0;
    mio_index_init(&seen, c->a, map.n);
    for (uint32_t i = 0; i < map.n; i++) {
        struct mio_value list = map.pairs[i].value;
        for (uint32_t k = 0; k < list.n; k++) {
            uintptr_t at = n;
            struct mio_str key = mio_value_str(list.items[k]);
            if (list.items[k].type != MIO_STRING)
                return mio_call_fail(c, 0, NULL, "an element of a list is null");
            if (!mio_index_get(&seen, key, &at)) {
                mio_index_add(&seen, key, n);
                groups = mio_arena_grow(c->a, groups, n, &group_cap, sizeof *groups);
                groups[n] = (struct group){0};
                MIO_PUSH(c->a, pairs, n, cap).key = key;
            }
            struct group *g = &groups[at];
            MIO_PUSH(c->a, g->items, g->n, g->cap) = mio_string(map.pairs[i].key);
        }
    }
    for (size_t i = 0; i < n; i++)
        pairs[i].value = mio_list(groups[i].items, groups[i].n);
    *out = mio_map(pairs, n);
    return MIO_OK;
}

enum mio_code mio_fn_one(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    if (list.n > 1)
        return mio_call_fail(c, 0, NULL, "it has %u elements, at most one is allowed", list.n);
    *out = list.n ? list.items[0] : mio_null();
    return MIO_OK;
}

/* The first argument that counts, in the type all of them have in common. */
enum mio_code mio_fn_coalesce(struct mio_call *c, struct mio_value *out)
{
    struct mio_value *all = mio_arena_alloc(c->a, c->n * sizeof *all);
    mio_copy_items(all, c->args, c->n, sizeof *all);
    if (!mio_unify_values(c->a, all, c->n))
        return mio_call_fail(c, 0, NULL, "the values have no type in common");
    for (size_t i = 0; i < c->n; i++) {
        if (all[i].type == MIO_NULL || (all[i].type == MIO_STRING && !all[i].n))
            continue;
        *out = all[i]; /* an unknown one may be null: then it is not known which */
        return MIO_OK;
    }
    return mio_call_fail(c, 0, NULL, "every value is null or empty");
}

enum mio_code mio_fn_coalescelist(struct mio_call *c, struct mio_value *out)
{
    for (size_t i = 0; i < c->n; i++) {
        struct mio_value v = c->args[i];
        if (v.type == MIO_UNKNOWN)
            continue;
        if (v.marks & MIO_MARK_SET || (v.type != MIO_LIST && v.type != MIO_NULL))
            return mio_call_fail(c, i, NULL, "a list is required, this is a %s",
                                 v.type == MIO_LIST ? "set" : mio_type_name((enum mio_type)v.type));
    }
    for (size_t i = 0; i < c->n; i++) {
        if (c->args[i].type == MIO_UNKNOWN)
            return MIO_OK; /* *out is unknown already */
        if (!c->args[i].n)
            continue;
        *out = c->args[i];
        return MIO_OK;
    }
    return mio_call_fail(c, 0, NULL, "every list is null or empty");
}
