/* providers/sdk/value.c: see value.h. */
#include "providers/sdk/value.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/redact.h"

enum { DEEP_UNKNOWN = 1, DEEP_SENSITIVE = 2 };

struct mio_value mio_null(void)
{
    return (struct mio_value){.type = MIO_NULL};
}

struct mio_value mio_bool(bool b)
{
    return (struct mio_value){.type = MIO_BOOL, .b = b};
}

static uint32_t length(size_t n)
{
    if (n > UINT32_MAX)
        mio_alloc_die(n);
    return (uint32_t)n;
}

struct mio_value mio_string(struct mio_str s)
{
    return (struct mio_value){.type = MIO_STRING, .n = length(s.n), .s = s.p ? s.p : ""};
}

struct mio_value mio_string_z(const char *z)
{
    return mio_string(mio_str_z(z));
}

struct mio_value mio_number(struct mio_str text)
{
    return (struct mio_value){.type = MIO_NUMBER, .n = length(text.n), .s = text.p};
}

struct mio_value mio_number_i64(struct mio_arena *a, int64_t v)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        *--p = '-';
    return mio_number(mio_arena_str(a, (struct mio_str){p, (size_t)(digits + sizeof digits - p)}));
}

struct mio_value mio_unknown(enum mio_type expected)
{
    return (struct mio_value){.type = MIO_UNKNOWN, .hint = (uint8_t)expected, .deep = DEEP_UNKNOWN};
}

struct mio_value mio_list(const struct mio_value *items, size_t n)
{
    struct mio_value v = {.type = MIO_LIST, .n = length(n), .items = items};
    for (size_t i = 0; i < n; i++)
        v.deep |= items[i].deep;
    return v;
}

static int by_key(const void *a, const void *b)
{
    const struct mio_pair *x = a, *y = b;
    return mio_str_cmp(x->key, y->key);
}

/* Most maps are small and already in order; the rest go to a stable merge sort by hand-sized runs.
 */
static void sort_pairs(struct mio_pair *p, size_t n)
{
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++)
        sorted = mio_str_cmp(p[i - 1].key, p[i].key) <= 0;
    if (sorted)
        return;
    if (n > 24) { /* glibc's qsort is a merge sort, hence stable, for sizes it can buffer */
        qsort(p, n, sizeof *p, by_key);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct mio_pair x = p[i];
        size_t j = i;
        for (; j > 0 && mio_str_cmp(p[j - 1].key, x.key) > 0; j--)
            p[j] = p[j - 1];
        p[j] = x;
    }
}

ptrdiff_t mio_map_dup(const struct mio_pair *pairs, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (mio_str_eq(pairs[i - 1].key, pairs[i].key))
            return (ptrdiff_t)i - 1;
    return -1;
}

struct mio_value mio_map(struct mio_pair *pairs, size_t n)
{
    sort_pairs(pairs, n);
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (out && mio_str_eq(pairs[out - 1].key, pairs[i].key))
            out--;
        pairs[out++] = pairs[i];
    }
    struct mio_value v = {.type = MIO_MAP, .n = length(out), .pairs = pairs};
    for (size_t i = 0; i < out; i++)
        v.deep |= pairs[i].value.deep;
    return v;
}

/* The texts in it are known to the sink from here on; masks are none. */
static void note_secrets(struct mio_value v)
{
    if (v.type == MIO_STRING)
        mio_secret_add(mio_value_str(v));
    for (uint32_t i = 0; v.type == MIO_LIST && i < v.n; i++)
        note_secrets(v.items[i]);
    for (uint32_t i = 0; v.type == MIO_MAP && i < v.n && !mio_get_z(v, "$mio"); i++)
        note_secrets(v.pairs[i].value);
}

void mio_reveal(struct mio_value v)
{
    if (mio_is_sensitive(v))
        return;
    if (v.type == MIO_STRING)
        mio_secret_allow(mio_value_str(v));
    for (uint32_t i = 0; v.type == MIO_LIST && i < v.n; i++)
        mio_reveal(v.items[i]);
    for (uint32_t i = 0; v.type == MIO_MAP && i < v.n; i++)
        mio_reveal(v.pairs[i].value);
}

struct mio_value mio_sensitive(struct mio_value v)
{
    if (!mio_is_sensitive(v))
        note_secrets(v);
    v.marks |= MIO_MARK_SENSITIVE;
    v.deep |= DEEP_SENSITIVE;
    return v;
}

/* Rebuilds a list or map with each child replaced by fn(child). */
static struct mio_value rebuild(struct mio_arena *a, struct mio_value v, bool keys,
                                struct mio_value (*fn)(struct mio_arena *, struct mio_value))
{
    uint8_t marks = v.marks;
    if (v.type == MIO_LIST) {
        struct mio_value *items = mio_arena_alloc(a, v.n * sizeof *items);
        for (uint32_t i = 0; i < v.n; i++)
            items[i] = fn(a, v.items[i]);
        v = mio_list(items, v.n);
    } else if (v.type == MIO_MAP) {
        struct mio_pair *pairs = mio_arena_alloc(a, v.n * sizeof *pairs);
        for (uint32_t i = 0; i < v.n; i++) {
            pairs[i].key = keys ? mio_arena_str(a, v.pairs[i].key) : v.pairs[i].key;
            pairs[i].value = fn(a, v.pairs[i].value);
        }
        v = mio_map(pairs, v.n);
    }
    v.marks = marks;
    if (marks & MIO_MARK_SENSITIVE)
        v.deep |= DEEP_SENSITIVE;
    return v;
}

struct mio_value mio_unmark(struct mio_arena *a, struct mio_value v)
{
    if (!(v.deep & DEEP_SENSITIVE))
        return v;
    v.marks &= (uint8_t)~MIO_MARK_SENSITIVE;
    v.deep &= (uint8_t)~DEEP_SENSITIVE;
    return rebuild(a, v, false, mio_unmark);
}

struct mio_value mio_value_copy(struct mio_arena *a, struct mio_value v)
{
    if (v.type == MIO_STRING || v.type == MIO_NUMBER)
        v.s = mio_arena_str(a, (struct mio_str){v.s, v.n}).p;
    return v.type == MIO_LIST || v.type == MIO_MAP ? rebuild(a, v, true, mio_value_copy) : v;
}

struct mio_str mio_value_str(struct mio_value v)
{
    return v.type == MIO_STRING || v.type == MIO_NUMBER ? (struct mio_str){v.s, v.n} : MIO_STR("");
}

bool mio_is_null(struct mio_value v)
{
    return v.type == MIO_NULL;
}

bool mio_has_unknown(struct mio_value v)
{
    return v.deep & DEEP_UNKNOWN;
}

bool mio_has_sensitive(struct mio_value v)
{
    return v.deep & DEEP_SENSITIVE;
}

bool mio_is_sensitive(struct mio_value v)
{
    return v.marks & MIO_MARK_SENSITIVE;
}

const struct mio_value *mio_get(struct mio_value v, struct mio_str key)
{
    if (v.type != MIO_MAP)
        return NULL;
    size_t lo = 0, hi = v.n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = mio_str_cmp(v.pairs[mid].key, key);
        if (c == 0)
            return &v.pairs[mid].value;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct mio_value *mio_get_z(struct mio_value v, const char *key)
{
    return mio_get(v, mio_str_z(key));
}

struct mio_str mio_get_str(struct mio_value v, const char *key)
{
    const struct mio_value *x = mio_get_z(v, key);
    return x ? mio_value_str(*x) : MIO_STR("");
}

bool mio_get_bool(struct mio_value v, const char *key, bool otherwise)
{
    const struct mio_value *x = mio_get_z(v, key);
    return x && x->type == MIO_BOOL ? x->b : otherwise;
}

int64_t mio_get_i64(struct mio_value v, const char *key, int64_t otherwise)
{
    const struct mio_value *x = mio_get_z(v, key);
    int64_t n;
    return x && mio_value_i64(*x, &n) ? n : otherwise;
}

const char *mio_type_name(enum mio_type t)
{
    static const char *const names[] = {"null", "bool", "number", "string",
                                        "list", "map",  "unknown"};
    return names[t];
}

static bool equal_scalars(struct mio_value a, struct mio_value b)
{
    struct mio_str x = {a.s, a.n}, y = {b.s, b.n};
    return mio_str_eq(x, y) || (a.type == MIO_NUMBER && mio_number_cmp(x, y) == 0);
}

bool mio_equal(struct mio_value a, struct mio_value b)
{
    if (a.type != b.type)
        return false;
    switch ((enum mio_type)a.type) {
    case MIO_NULL:
        return true;
    case MIO_BOOL:
        return a.b == b.b;
    case MIO_NUMBER:
    case MIO_STRING:
        return equal_scalars(a, b);
    case MIO_LIST:
        if (a.n != b.n)
            return false;
        for (uint32_t i = 0; i < a.n; i++)
            if (!mio_equal(a.items[i], b.items[i]))
                return false;
        return true;
    case MIO_MAP:
        if (a.n != b.n)
            return false;
        for (uint32_t i = 0; i < a.n; i++)
            if (!mio_str_eq(a.pairs[i].key, b.pairs[i].key) ||
                !mio_equal(a.pairs[i].value, b.pairs[i].value))
                return false;
        return true;
    case MIO_UNKNOWN:
        break;
    }
    return false;
}

int mio_compare(struct mio_value a, struct mio_value b)
{
    if (a.type != b.type)
        return a.type < b.type ? -1 : 1;
    if (a.type == MIO_BOOL)
        return (int)a.b - (int)b.b;
    if (a.type == MIO_NUMBER)
        return mio_number_cmp(mio_value_str(a), mio_value_str(b));
    if (a.type == MIO_STRING)
        return mio_str_cmp(mio_value_str(a), mio_value_str(b));
    if (a.type != MIO_LIST && a.type != MIO_MAP)
        return 0;
    uint32_t n = a.n < b.n ? a.n : b.n;
    for (uint32_t i = 0; i < n; i++) {
        int c = a.type == MIO_MAP ? mio_str_cmp(a.pairs[i].key, b.pairs[i].key) : 0;
        if (c == 0)
            c = a.type == MIO_MAP ? mio_compare(a.pairs[i].value, b.pairs[i].value)
                                  : mio_compare(a.items[i], b.items[i]);
        if (c)
            return c;
    }
    return (a.n > b.n) - (a.n < b.n);
}

struct mio_value mio_map_merge(struct mio_arena *a, struct mio_value base, struct mio_value over)
{
    uint32_t nb = base.type == MIO_MAP ? base.n : 0, no = over.type == MIO_MAP ? over.n : 0;
    struct mio_pair *pairs = mio_arena_alloc(a, ((size_t)nb + no) * sizeof *pairs);
    size_t n = 0;
    uint32_t i = 0, j = 0;
    while (i < nb || j < no) {
        int c = i == nb ? 1 : j == no ? -1 : mio_str_cmp(base.pairs[i].key, over.pairs[j].key);
        pairs[n++] = c < 0 ? base.pairs[i] : over.pairs[j];
        i += c <= 0;
        j += c >= 0;
    }
    return mio_map(pairs, n);
}

struct mio_value mio_map_with(struct mio_arena *a, struct mio_value base, struct mio_str key,
                              struct mio_value v)
{
    struct mio_pair pair = {key, v};
    struct mio_value over = mio_map(&pair, 1);
    return mio_map_merge(a, base, over);
}

struct mio_value mio_map_without(struct mio_arena *a, struct mio_value base, struct mio_str key)
{
    if (!mio_get(base, key))
        return base;
    struct mio_pair *pairs = mio_arena_alloc(a, base.n * sizeof *pairs);
    size_t n = 0;
    for (uint32_t i = 0; i < base.n; i++)
        if (!mio_str_eq(base.pairs[i].key, key))
            pairs[n++] = base.pairs[i];
    return mio_map(pairs, n);
}
