/* planner/expr/func_set.c: sets and products. */
#include "planner/expr/convert.h"
#include "planner/expr/func.h"

enum { MAX_PRODUCT = 100000 };

static int compare(const void *a, const void *b)
{
    return mio_compare(*(const struct mio_value *)a, *(const struct mio_value *)b);
}

/* All arguments as sets of one element type, each sorted by mio_compare. */
static bool prepare(struct mio_call *c, struct mio_value **sets)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < c->n; i++)
        total += c->args[i].n;
    struct mio_value *all = mio_arena_alloc(c->a, total * sizeof *all);
    for (size_t i = 0; i < c->n; at += c->args[i++].n)
        mio_copy_items(all + at, c->args[i].items, c->args[i].n, sizeof *all);
    if (!mio_unify_values(c->a, all, total)) {
        mio_call_fail(c, 0, NULL, "the elements have no type in common");
        return false;
    }
    *sets = mio_arena_alloc(c->a, c->n * sizeof **sets);
    at = 0;
    for (size_t i = 0; i < c->n; at += c->args[i++].n) {
        qsort(all + at, c->args[i].n, sizeof *all, compare);
        (*sets)[i] = mio_list(all + at, c->args[i].n);
    }
    return true;
}

static bool holds(struct mio_value set, struct mio_value v)
{
    return set.n && bsearch(&v, set.items, set.n, sizeof v, compare);
}

enum mio_code mio_fn_setunion(struct mio_call *c, struct mio_value *out)
{
    struct mio_value *sets;
    if (!prepare(c, &sets))
        return MIO_TEMPLATE;
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < c->n; i++)
        for (uint32_t k = 0; k < sets[i].n; k++)
            MIO_PUSH(c->a, items, n, cap) = sets[i].items[k];
    *out = mio_make_set(c->a, items, n);
    return MIO_OK;
}

enum mio_code mio_fn_setintersection(struct mio_call *c, struct mio_value *out)
{
    struct mio_value *sets;
    if (!prepare(c, &sets))
        return MIO_TEMPLATE;
    struct mio_value *items = mio_arena_alloc(c->a, sets[0].n * sizeof *items);
    size_t n = 0;
    for (uint32_t k = 0; k < sets[0].n; k++) {
        bool everywhere = true;
        for (size_t i = 1; everywhere && i < c->n; i++)
            everywhere = holds(sets[i], sets[0].items[k]);
        if (everywhere)
            items[n++] = sets[0].items[k];
    }
    *out = mio_make_set(c->a, items, n);
    return MIO_OK;
}

enum mio_code mio_fn_setsubtract(struct mio_call *c, struct mio_value *out)
{
    struct mio_value *sets;
    if (!prepare(c, &sets))
        return MIO_TEMPLATE;
    struct mio_value *items = mio_arena_alloc(c->a, sets[0].n * sizeof *items);
    size_t n = 0;
    for (uint32_t k = 0; k < sets[0].n; k++)
        if (!holds(sets[1], sets[0].items[k]))
            items[n++] = sets[0].items[k];
    *out = mio_make_set(c->a, items, n);
    return MIO_OK;
}

/* The last list turns fastest. A set when any argument is one. */
enum mio_code mio_fn_setproduct(struct mio_call *c, struct mio_value *out)
{
    size_t total = 1;
    bool set = false;
    struct mio_value *lists = mio_arena_alloc(c->a, c->n * sizeof *lists);
    for (size_t i = 0; i < c->n; i++) {
        lists[i] = c->args[i];
        total *= lists[i].n;
        set = set || lists[i].marks & MIO_MARK_SET;
        if (total > MAX_PRODUCT)
            return mio_call_fail(c, i, NULL, "the product has more than %d elements", MAX_PRODUCT);
        struct mio_value *items = mio_arena_alloc(c->a, lists[i].n * sizeof *items);
        mio_copy_items(items, lists[i].items, lists[i].n, sizeof *items);
        if (!mio_unify_values(c->a, items, lists[i].n))
            return mio_call_fail(c, i, NULL, "the elements have no type in common");
        lists[i] = mio_list(items, lists[i].n);
    }
    struct mio_value *rows = mio_arena_alloc(c->a, total * sizeof *rows);
    for (size_t k = 0; k < total; k++) {
        struct mio_value *row = mio_arena_alloc(c->a, c->n * sizeof *row);
        size_t rest = k;
        for (size_t i = c->n; i--; rest /= lists[i].n)
            row[i] = lists[i].items[rest % lists[i].n];
        rows[k] = mio_list(row, c->n);
    }
    *out = set ? mio_make_set(c->a, rows, total) : mio_list(rows, total);
    return MIO_OK;
}
