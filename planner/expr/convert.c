/* planner/expr/convert.c: values from one type to another, and the type that several have in
 * common. */
#include "planner/expr/convert.h"
#include "planner/expr/eval.h"
#include "planner/expr/number.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/json.h"

static const struct mio_typespec ANY = {.kind = T_ANY}, BOOL = {.kind = T_BOOL},
                                 NUMBER = {.kind = T_NUMBER}, STRING = {.kind = T_STRING};

/* ---- what is known of an unknown value ---- */

enum mio_type mio_future_type(struct mio_value v)
{
    return (enum mio_type)(v.type == MIO_UNKNOWN ? v.hint : v.type);
}

int mio_equal_so_far(struct mio_value a, struct mio_value b)
{
    enum mio_type x = mio_future_type(a), y = mio_future_type(b);
    if (a.type == MIO_UNKNOWN || b.type == MIO_UNKNOWN) {
        bool open =
            x == y || x == MIO_UNKNOWN || y == MIO_UNKNOWN || x == MIO_NULL || y == MIO_NULL;
        return open ? -1 : 0;
    }
    if (!mio_has_unknown(a) && !mio_has_unknown(b))
        return mio_equal(a, b);
    if (x != y)
        return 0;
    if ((a.marks | b.marks) & MIO_MARK_SET) /* two elements may become one */
        return -1;
    if (a.n != b.n)
        return 0;
    int all = 1;
    for (uint32_t i = 0; all && i < a.n; i++) {
        int one = x != MIO_MAP ? mio_equal_so_far(a.items[i], b.items[i])
                  : !mio_str_eq(a.pairs[i].key, b.pairs[i].key)
                      ? 0
                      : mio_equal_so_far(a.pairs[i].value, b.pairs[i].value);
        all = one && all == 1 ? one : one ? all : 0;
    }
    return all;
}

/* ---- scalars ---- */

/* An unknown list or map will be no scalar either. */
static bool may_be_scalar(struct mio_value v)
{
    return mio_future_type(v) != MIO_LIST && mio_future_type(v) != MIO_MAP;
}

static struct mio_value with_marks(struct mio_value v, struct mio_value from)
{
    return mio_is_sensitive(from) ? mio_sensitive(v) : v;
}

enum mio_code mio_to_string(struct mio_arena *a, struct mio_value v, struct mio_value *out,
                            struct mio_err *err)
{
    (void)a;
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
    case MIO_STRING:
        *out = v;
        return MIO_OK;
    case MIO_UNKNOWN:
        if (!may_be_scalar(v))
            break;
        *out = with_marks(mio_unknown(MIO_STRING), v);
        return MIO_OK;
    case MIO_BOOL:
        *out = with_marks(mio_string_z(v.b ? "true" : "false"), v);
        return MIO_OK;
    case MIO_NUMBER:
        *out = with_marks(mio_string(mio_value_str(v)), v);
        return MIO_OK;
    case MIO_LIST:
    case MIO_MAP:
        break;
    }
    return mio_fail(err, MIO_TEMPLATE, "a string is required, this is a %s",
                    mio_type_name(mio_future_type(v)));
}

enum mio_code mio_to_number(struct mio_arena *a, struct mio_value v, struct mio_value *out,
                            struct mio_err *err)
{
    if (v.type == MIO_NULL || v.type == MIO_NUMBER) {
        *out = v;
        return MIO_OK;
    }
    if (v.type == MIO_UNKNOWN && may_be_scalar(v)) {
        *out = with_marks(mio_unknown(MIO_NUMBER), v);
        return MIO_OK;
    }
    struct mio_value n;
    if (v.type == MIO_STRING && mio_num_parse(a, mio_value_str(v), &n)) {
        *out = with_marks(n, v);
        return MIO_OK;
    }
    if (v.type == MIO_STRING && !mio_is_sensitive(v))
        return mio_fail(err, MIO_TEMPLATE, "a number is required, this is the string \"%.*s\"",
                        v.n > 60 ? 60 : (int)v.n, v.s);
    return mio_fail(err, MIO_TEMPLATE, "a number is required, this is a %s",
                    mio_type_name(mio_future_type(v)));
}

enum mio_code mio_to_bool(struct mio_value v, struct mio_value *out, struct mio_err *err)
{
    if (v.type == MIO_NULL || v.type == MIO_BOOL) {
        *out = v;
        return MIO_OK;
    }
    if (v.type == MIO_UNKNOWN && may_be_scalar(v)) {
        *out = with_marks(mio_unknown(MIO_BOOL), v);
        return MIO_OK;
    }
    struct mio_str s = mio_value_str(v);
    bool yes = mio_str_is(s, "true") || mio_str_is(s, "1");
    if (v.type == MIO_STRING && (yes || mio_str_is(s, "false") || mio_str_is(s, "0"))) {
        *out = with_marks(mio_bool(yes), v);
        return MIO_OK;
    }
    if (mio_is_masked(v)) {
        mio_fail(err, MIO_STATE, MIO_MASKED);
        return mio_err_hint(err, MIO_MASKED_HINT);
    }
    mio_fail(err, MIO_TEMPLATE, "a bool is required, this is a %s",
             mio_type_name(mio_future_type(v)));
    return mio_err_hint(err, "of strings, \"true\" and \"false\" alone are bools");
}

/* ---- the type of a value ---- */

const struct mio_typespec *mio_type_of(struct mio_arena *a, struct mio_value v)
{
    struct mio_typespec *t;
    struct type_field *fields;
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
    case MIO_UNKNOWN:
        return v.type == MIO_NULL || v.hint > MIO_STRING || v.hint < MIO_BOOL ? &ANY
               : v.hint == MIO_BOOL                                           ? &BOOL
               : v.hint == MIO_NUMBER                                         ? &NUMBER
                                                                              : &STRING;
    case MIO_BOOL:
        return &BOOL;
    case MIO_NUMBER:
        return &NUMBER;
    case MIO_STRING:
        return &STRING;
    case MIO_LIST:
    case MIO_MAP:
        break;
    }
    t = MIO_NEW(a, struct mio_typespec);
    fields = MIO_NEW_N(a, struct type_field, v.n + 1);
    t->n = v.n;
    t->fields = fields;
    t->kind = v.type == MIO_MAP ? T_OBJECT : T_TUPLE;
    for (uint32_t i = 0; i < v.n; i++) {
        if (v.type == MIO_MAP)
            fields[i].name = v.pairs[i].key;
        fields[i].type = mio_type_of(a, v.type == MIO_MAP ? v.pairs[i].value : v.items[i]);
    }
    if (v.marks & MIO_MARK_SET) {
        t->kind = T_SET;
        t->elem = v.n ? fields[0].type : &ANY; /* a set's elements are alike */
    }
    return t;
}

/* ---- the common type ---- */

static const struct mio_typespec *unify(struct mio_arena *a, const struct mio_typespec **types,
                                        size_t n);

/* Unifies what pick(type, i) gives for all types. */
static const struct mio_typespec *
unify_fields(struct mio_arena *a, const struct mio_typespec **types, size_t n, uint32_t field)
{
    const struct mio_typespec **each = MIO_NEW_N(a, const struct mio_typespec *, n);
    for (size_t i = 0; i < n; i++)
        each[i] = types[i]->fields[field].type;
    return unify(a, each, n);
}

static const struct mio_typespec *unify_elements(struct mio_arena *a,
                                                 const struct mio_typespec **types, size_t n,
                                                 enum type_kind kind)
{
    size_t total = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        total += types[i]->elem ? 1 : types[i]->n;
    const struct mio_typespec **each = MIO_NEW_N(a, const struct mio_typespec *, total + 1);
    for (size_t i = 0; i < n; i++) {
        if (types[i]->elem)
            each[k++] = types[i]->elem;
        for (uint32_t f = 0; !types[i]->elem && f < types[i]->n; f++)
            each[k++] = types[i]->fields[f].type;
    }
    const struct mio_typespec *elem = unify(a, each, total);
    if (!elem)
        return NULL;
    struct mio_typespec *t = MIO_NEW(a, struct mio_typespec);
    *t = (struct mio_typespec){.kind = kind, .elem = elem};
    return t;
}

static bool same_shape(const struct mio_typespec **types, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (types[i]->elem || types[i]->n != types[0]->n || types[i]->kind != types[0]->kind)
            return false;
        for (uint32_t f = 0; i && types[0]->kind == T_OBJECT && f < types[0]->n; f++)
            if (!mio_str_eq(types[i]->fields[f].name, types[0]->fields[f].name))
                return false;
    }
    return true;
}

static const struct mio_typespec *unify_structures(struct mio_arena *a,
                                                   const struct mio_typespec **types, size_t n,
                                                   enum type_kind collection)
{
    if (same_shape(types, n)) { /* element by element, or not at all */
        struct mio_typespec *t = MIO_NEW(a, struct mio_typespec);
        struct type_field *fields = MIO_NEW_N(a, struct type_field, types[0]->n + 1);
        *t = *types[0];
        t->fields = fields;
        bool ok = true;
        for (uint32_t f = 0; ok && f < t->n; f++) {
            fields[f] = types[0]->fields[f];
            fields[f].type = unify_fields(a, types, n, f);
            ok = fields[f].type;
        }
        return ok ? t : NULL;
    }
    return unify_elements(a, types, n, collection);
}

static const struct mio_typespec *unify(struct mio_arena *a, const struct mio_typespec **types,
                                        size_t n)
{
    unsigned kinds = 0;
    const struct mio_typespec **typed = MIO_NEW_N(a, const struct mio_typespec *, n + 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (types[i]->kind == T_ANY)
            continue;
        kinds |= 1u << types[i]->kind;
        typed[k++] = types[i];
    }
    if (!k)
        return &ANY;
    const unsigned scalars = 1u << T_BOOL | 1u << T_NUMBER | 1u << T_STRING;
    const unsigned lists = 1u << T_LIST | 1u << T_TUPLE, maps = 1u << T_MAP | 1u << T_OBJECT;
    if (!(kinds & ~scalars)) {
        if (!(kinds & (kinds - 1)))
            return typed[0];
        return kinds & 1u << T_STRING ? &STRING : NULL;
    }
    if (kinds == 1u << T_SET)
        return unify_elements(a, typed, k, T_SET);
    if (!(kinds & ~(lists | 1u << T_SET)))
        return kinds & 1u << T_SET ? unify_elements(a, typed, k, T_LIST)
                                   : unify_structures(a, typed, k, T_LIST);
    if (!(kinds & ~maps))
        return unify_structures(a, typed, k, T_MAP);
    return NULL;
}

const struct mio_typespec *mio_type_unify(struct mio_arena *a, const struct mio_typespec *x,
                                          const struct mio_typespec *y)
{
    const struct mio_typespec *both[] = {x, y};
    return unify(a, both, 2);
}

bool mio_unify_values(struct mio_arena *a, struct mio_value *items, size_t n)
{
    bool alike = true;
    for (size_t i = 0; alike && i < n; i++)
        alike = items[i].type == items[0].type && items[i].type <= MIO_STRING;
    if (alike)
        return true;
    const struct mio_typespec **types = MIO_NEW_N(a, const struct mio_typespec *, n + 1);
    for (size_t i = 0; i < n; i++)
        types[i] = mio_type_of(a, items[i]);
    const struct mio_typespec *common = unify(a, types, n);
    struct mio_err err = {0};
    for (size_t i = 0; common && i < n; i++)
        if (mio_typespec_convert(a, common, items[i], &items[i], &err))
            return false;
    return common;
}

/* ---- sets ---- */

/* The text by which Terraform orders the elements of a set that are no scalars. */
static void sort_text(struct mio_buf *b, struct mio_value v)
{
    double d;
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
        mio_buf_z(b, "~");
        return;
    case MIO_UNKNOWN:
        mio_buf_z(b, "?");
        return;
    case MIO_BOOL:
        mio_buf_z(b, v.b ? "T" : "F");
        return;
    case MIO_NUMBER:
        if (mio_value_f64(v, &d))
            mio_buf_printf(b, "%.10g", d);
        return;
    case MIO_STRING:
        mio_buf_printf(b, "\"%.*s\"", (int)v.n, v.s);
        return;
    case MIO_LIST:
    case MIO_MAP:
        break;
    }
    mio_buf_z(b, "<");
    for (uint32_t i = 0; i < v.n; i++) {
        sort_text(b, v.type == MIO_MAP ? v.pairs[i].value : v.items[i]);
        mio_buf_z(b, ";");
    }
    mio_buf_z(b, ">");
}

static int by_order(const void *pa, const void *pb)
{
    const struct mio_value *a = pa, *b = pb;
    if (a->type == MIO_NULL || b->type == MIO_NULL) /* null comes last */
        return (a->type == MIO_NULL) - (b->type == MIO_NULL);
    if (a->type != b->type || (a->type != MIO_LIST && a->type != MIO_MAP))
        return mio_compare(*a, *b);
    MIO_AUTO_BUF x, y;
    mio_buf_init(&x, 0);
    mio_buf_init(&y, 0);
    sort_text(&x, *a);
    sort_text(&y, *b);
    int order = mio_str_cmp(mio_buf_view(&x), mio_buf_view(&y));
    return order ? order : mio_compare(*a, *b);
}

struct mio_value mio_make_set(struct mio_arena *a, struct mio_value *items, size_t n)
{
    (void)a;
    bool sensitive = false;
    for (size_t i = 0; i < n; i++) /* a set cannot mark one element: the mark moves to the set */
        sensitive |= mio_has_sensitive(items[i]);
    if (n)
        qsort(items, n, sizeof *items, by_order);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!kept || mio_has_unknown(items[i]) || mio_compare(items[kept - 1], items[i]))
            items[kept++] = items[i];
    struct mio_value set = mio_list(items, kept);
    set.marks |= MIO_MARK_SET;
    return sensitive ? mio_sensitive(set) : set;
}
