/* planner/expr/func_collection.c: lists and maps. */
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/text.h"

enum { MAX_ELEMENTS = 1000000 };

enum mio_code mio_fn_length(struct mio_call *c, struct mio_value *out)
{
    struct mio_value v = c->args[0];
    if (v.type == MIO_STRING)
        *out = mio_number_i64(c->a, (int64_t)mio_text_clusters(mio_value_str(v)));
    else if (v.type == MIO_LIST || v.type == MIO_MAP)
        *out = mio_number_i64(c->a, v.n);
    else
        return mio_call_fail(c, 0, NULL, "a %s has no length",
                             mio_type_name((enum mio_type)v.type));
    return MIO_OK;
}

enum mio_code mio_fn_concat(struct mio_call *c, struct mio_value *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->args[i].n;
    struct mio_value *items = mio_arena_alloc(c->a, n * sizeof *items), *to = items;
    for (size_t i = 0; i < c->n; i++) {
        memcpy(to, c->args[i].items, c->args[i].n * sizeof *items);
        to += c->args[i].n;
    }
    *out = mio_list(items, n);
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
        memcpy(to, c->args[i].pairs, c->args[i].n * sizeof *pairs);
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
    const struct mio_value *v = mio_get(c->args[0], mio_value_str(c->args[1]));
    if (!v && c->n < 3)
        return mio_call_fail(c, 1, "give a default as the third argument", "there is no such key");
    *out = v ? *v : c->args[2];
    return MIO_OK;
}

enum mio_code mio_fn_contains(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    bool found = false;
    for (uint32_t i = 0; !found && i < list.n; i++)
        found = mio_equal(list.items[i], c->args[1]);
    *out = mio_bool(found);
    return MIO_OK;
}

enum mio_code mio_fn_coalesce(struct mio_call *c, struct mio_value *out)
{
    for (size_t i = 0; i < c->n; i++) {
        struct mio_value v = c->args[i];
        if (v.type == MIO_NULL || (v.type == MIO_STRING && !v.n))
            continue;
        *out = v;
        return MIO_OK;
    }
    return mio_call_fail(c, 0, NULL, "every value is null or empty");
}

enum mio_code mio_fn_range(struct mio_call *c, struct mio_value *out)
{
    int64_t v[3];
    for (size_t i = 0; i < c->n; i++)
        if (!mio_value_i64(c->args[i], &v[i]))
            return mio_call_fail(c, i, NULL, "a whole number is required");
    int64_t from = c->n > 1 ? v[0] : 0, to = c->n > 1 ? v[1] : v[0];
    int64_t step = c->n > 2 ? v[2] : from <= to ? 1 : -1;
    if (!step || (step > 0) != (from <= to))
        return mio_call_fail(c, 2, NULL, "the step never reaches the limit");
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
        if (n == MAX_ELEMENTS)
            return mio_call_fail(c, 0, NULL, "more than %d elements", MAX_ELEMENTS);
        MIO_PUSH(c->a, items, n, cap) = mio_number_i64(c->a, i);
    }
    *out = mio_list(items, n);
    return MIO_OK;
}
