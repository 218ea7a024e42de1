/* planner/expr/func_list.c: lists. */
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "providers/sdk/map.h"

enum { MAX_ELEMENTS = 100000 };

static enum mio_code no_set(const struct mio_call *c, size_t arg)
{
    return mio_call_fail(c, arg, "tolist(x) puts them in order", "a set has no order");
}

/* A whole number that counts things; false (reported) otherwise. */
static bool whole(const struct mio_call *c, size_t arg, int64_t *out)
{
    if (mio_value_i64(c->args[arg], out))
        return true;
    mio_call_fail(c, arg, NULL, "a whole number is required");
    return false;
}

enum mio_code mio_fn_concat(struct mio_call *c, struct mio_value *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->args[i].marks & MIO_MARK_SET)
            return no_set(c, i);
        n += c->args[i].n;
    }
    struct mio_value *items = mio_arena_alloc(c->a, n * sizeof *items), *to = items;
    for (size_t i = 0; i < c->n; i++) {
        mio_copy_items(to, c->args[i].items, c->args[i].n, sizeof *items);
        to += c->args[i].n;
    }
    *out = mio_list(items, n);
    return MIO_OK;
}

static bool holds(struct mio_value list, struct mio_value v)
{
    for (uint32_t i = 0; i < list.n; i++)
        if (mio_equal(list.items[i], v))
            return true;
    return false;
}

enum mio_code mio_fn_contains(struct mio_call *c, struct mio_value *out)
{
    bool open = false;
    for (uint32_t i = 0; i < c->args[0].n; i++) {
        int same = mio_equal_so_far(c->args[0].items[i], c->args[1]);
        if (same > 0) {
            *out = mio_bool(true);
            return MIO_OK;
        }
        open |= same < 0;
    }
    if (!open) /* else *out is unknown already */
        *out = mio_bool(false);
    return MIO_OK;
}

enum mio_code mio_fn_index(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    if (list.marks & MIO_MARK_SET)
        return no_set(c, 0);
    for (uint32_t i = 0; i < list.n; i++) {
        int same = mio_equal_so_far(list.items[i], c->args[1]);
        if (same > 0)
            *out = mio_number_i64(c->a, i);
        if (same) /* or it may be this one: *out is unknown already */
            return MIO_OK;
    }
    return mio_call_fail(c, 1, "contains() asks without failing", "the list does not hold it");
}

enum mio_code mio_fn_element(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    int64_t i;
    if (list.marks & MIO_MARK_SET)
        return no_set(c, 0);
    if (!whole(c, 1, &i))
        return MIO_TEMPLATE;
    if (!list.n)
        return mio_call_fail(c, 0, NULL, "the list is empty");
    i %= (int64_t)list.n; /* -1 is the last one */
    *out = list.items[i < 0 ? i + (int64_t)list.n : i];
    return MIO_OK;
}

enum mio_code mio_fn_slice(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    int64_t from, to;
    if (list.marks & MIO_MARK_SET)
        return no_set(c, 0);
    if (!whole(c, 1, &from) || !whole(c, 2, &to))
        return MIO_TEMPLATE;
    if (from < 0 || to > (int64_t)list.n || from > to)
        return mio_call_fail(c, to > (int64_t)list.n ? 2 : 1, NULL,
                             "%lld to %lld is no part of a list of %u", (long long)from,
                             (long long)to, list.n);
    *out = mio_list(list.n ? list.items + from : NULL, (size_t)(to - from));
    return MIO_OK;
}

enum mio_code mio_fn_reverse(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, list.n * sizeof *items);
    for (uint32_t i = 0; i < list.n; i++)
        items[i] = list.items[list.n - 1 - i];
    *out = mio_list(items, list.n);
    return MIO_OK;
}

enum mio_code mio_fn_chunklist(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    int64_t size;
    if (!whole(c, 1, &size))
        return MIO_TEMPLATE;
    if (size < 0)
        return mio_call_fail(c, 1, NULL, "the size is negative");
    size_t step = size && size < (int64_t)list.n ? (size_t)size : list.n ? list.n : 1;
    struct mio_value *chunks = mio_arena_alloc(c->a, (list.n / step + 1) * sizeof *chunks);
    size_t n = 0;
    for (size_t i = 0; i < list.n; i += step)
        chunks[n++] = mio_list(list.items + i, list.n - i < step ? list.n - i : step);
    *out = mio_list(chunks, n);
    return MIO_OK;
}

enum mio_code mio_fn_compact(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, list.n * sizeof *items);
    size_t n = 0;
    for (uint32_t i = 0; i < list.n; i++)
        if (list.items[i].type != MIO_NULL && list.items[i].n)
            items[n++] = list.items[i];
    *out = mio_list(items, n);
    return MIO_OK;
}

/* Strings and numbers go by hash; everything else is compared with what was kept. */
enum mio_code mio_fn_distinct(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, list.n * sizeof *items);
    struct mio_index seen;
    size_t n = 0;
    mio_index_init(&seen, c->a, 0);
    for (uint32_t i = 0; i < list.n; i++) {
        struct mio_value v = list.items[i];
        struct mio_str key =
            v.type == MIO_NUMBER ? mio_number_canon(c->a, mio_value_str(v)) : mio_value_str(v);
        bool fresh = v.type == MIO_STRING || v.type == MIO_NUMBER
                         ? mio_index_add(&seen, key, i)
                         : !holds((struct mio_value){.n = (uint32_t)n, .items = items}, v);
        if (fresh)
            items[n++] = v;
    }
    *out = mio_list(items, n);
    return MIO_OK;
}

struct flat {
    struct mio_value *items;
    size_t n, cap;
    bool unknown, sensitive;
};

static void flatten(struct mio_arena *a, struct flat *f, struct mio_value list)
{
    for (uint32_t i = 0; i < list.n; i++) {
        struct mio_value v = list.items[i];
        /* An unknown that may be a list: the length is unknown. */
        f->unknown |= v.type == MIO_UNKNOWN && (v.hint == MIO_UNKNOWN || v.hint == MIO_LIST);
        if (v.type == MIO_LIST) {
            f->sensitive |= mio_is_sensitive(v);
            flatten(a, f, v);
        } else {
            MIO_PUSH(a, f->items, f->n, f->cap) = v;
        }
    }
}

enum mio_code mio_fn_flatten(struct mio_call *c, struct mio_value *out)
{
    struct flat f = {0};
    flatten(c->a, &f, c->args[0]);
    *out = f.unknown ? mio_unknown(MIO_LIST) : mio_list(f.items, f.n);
    if (f.sensitive)
        *out = mio_sensitive(*out);
    return MIO_OK;
}

enum mio_code mio_fn_matchkeys(struct mio_call *c, struct mio_value *out)
{
    struct mio_value values = c->args[0], keys = c->args[1], wanted = c->args[2];
    if (values.n != keys.n)
        return mio_call_fail(c, 1, NULL, "there are %u values and %u keys", values.n, keys.n);
    if (mio_has_unknown(keys) || mio_has_unknown(wanted))
        return MIO_OK; /* *out is unknown already */
    struct mio_value both[] = {keys, wanted};
    if (!mio_unify_values(c->a, both, 2))
        return mio_call_fail(c, 2, NULL, "the keys and what is searched have no type in common");
    struct mio_value *items = mio_arena_alloc(c->a, values.n * sizeof *items);
    size_t n = 0;
    for (uint32_t i = 0; i < values.n; i++)
        if (holds(both[1], both[0].items[i]))
            items[n++] = values.items[i];
    *out = mio_list(items, n);
    return MIO_OK;
}

/* Would the steps from `at` to `limit` be more than MAX_ELEMENTS? Asked before any is made. */
static bool too_many(struct mio_call *c, struct mio_value at, struct mio_value limit,
                     struct mio_value step)
{
    struct mio_value way, most = mio_number_i64(c->a, MAX_ELEMENTS);
    struct mio_err err = {0};
    return mio_num_op(c->a, OP_SUB, limit, at, &way, &err) ||
           mio_num_op(c->a, OP_DIV, way, step, &way, &err) ||
           mio_number_cmp(mio_value_str(way), mio_value_str(most)) > 0;
}

/* Start, limit and step as any number; counted with exact arithmetic. */
enum mio_code mio_fn_range(struct mio_call *c, struct mio_value *out)
{
    struct mio_value zero = mio_number(MIO_STR("0"));
    struct mio_value at = c->n > 1 ? c->args[0] : zero, limit = c->args[c->n > 1];
    int way = mio_number_cmp(mio_value_str(at), mio_value_str(limit));
    struct mio_value step =
        c->n > 2 ? c->args[2] : mio_number(way > 0 ? MIO_STR("-1") : MIO_STR("1"));
    int sign = mio_number_cmp(mio_value_str(step), MIO_STR("0"));
    if (!sign || (way && (sign < 0) != (way > 0)))
        return mio_call_fail(c, c->n - 1, NULL, "the step never reaches the limit");
    if (too_many(c, at, limit, step))
        return mio_call_fail(c, 0, NULL, "the result has more than %d elements", MAX_ELEMENTS);
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0;
    while (mio_number_cmp(mio_value_str(at), mio_value_str(limit)) * sign < 0) {
        MIO_PUSH(c->a, items, n, cap) = at;
        if (mio_num_op(c->a, OP_ADD, at, step, &at, c->err))
            return c->err->code;
    }
    *out = mio_list(items, n);
    return MIO_OK;
}

static int by_text(const void *a, const void *b)
{
    return mio_str_cmp(mio_value_str(*(const struct mio_value *)a),
                       mio_value_str(*(const struct mio_value *)b));
}

enum mio_code mio_fn_sort(struct mio_call *c, struct mio_value *out)
{
    struct mio_value list = c->args[0];
    struct mio_value *items = mio_arena_alloc(c->a, list.n * sizeof *items);
    for (uint32_t i = 0; i < list.n; i++) {
        if (list.items[i].type == MIO_NULL)
            return mio_call_fail(c, 0, "compact() takes nulls out", "element %u is null", i);
        items[i] = mio_has_unknown(list) ? mio_unknown(MIO_STRING) : list.items[i];
    }
    qsort(items, list.n, sizeof *items, by_text);
    *out = mio_list(items, list.n);
    return MIO_OK;
}

/* One element that is `decides` settles it; else one that is unknown leaves it open. */
static void settle(const struct mio_call *c, bool decides, struct mio_value *out)
{
    bool open = false, found = false;
    for (uint32_t i = 0; !found && i < c->args[0].n; i++) {
        struct mio_value v = c->args[0].items[i];
        open |= v.type == MIO_UNKNOWN;
        found = v.type != MIO_UNKNOWN && (v.type == MIO_BOOL && v.b) == decides;
    }
    if (found || !open)
        *out = mio_bool(found == decides);
}

enum mio_code mio_fn_alltrue(struct mio_call *c, struct mio_value *out)
{
    settle(c, false, out);
    return MIO_OK;
}

enum mio_code mio_fn_anytrue(struct mio_call *c, struct mio_value *out)
{
    settle(c, true, out);
    return MIO_OK;
}
