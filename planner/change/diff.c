/* planner/change/diff.c: see diff.h. */
#include "planner/change/diff.h"
#include "planner/change/secret.h"
#include "providers/sdk/clock.h"
#include "state/model.h"

static bool same_children(const struct mio_field *f, struct mio_value a, struct mio_value b)
{
    if (a.type != b.type || a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++) {
        const struct mio_field *child = f->element;
        if (a.type == MIO_MAP && !mio_str_eq(a.pairs[i].key, b.pairs[i].key))
            return false;
        if (!mio_same(child, a.type == MIO_MAP ? a.pairs[i].value : a.items[i],
                      a.type == MIO_MAP ? b.pairs[i].value : b.items[i]))
            return false;
    }
    return true;
}

/* An object is the same when every key of `want` is; what the platform adds does not count. */
static bool same_object(const struct mio_field *f, struct mio_value want, struct mio_value have)
{
    for (uint32_t i = 0; i < want.n; i++) {
        const struct mio_value *h = mio_get(have, want.pairs[i].key);
        if (!mio_same(mio_field_get(f, want.pairs[i].key), want.pairs[i].value,
                      h ? *h : mio_null()))
            return false;
    }
    return true;
}

bool mio_same(const struct mio_field *f, struct mio_value a, struct mio_value b)
{
    if (a.type == MIO_UNKNOWN || b.type == MIO_UNKNOWN)
        return false;
    if (!f || a.type != b.type)
        return mio_equal(a, b);
    if (f->type == MLOPS_OBJECT && a.type == MIO_MAP)
        return same_object(f, a, b);
    if ((f->type == MLOPS_LIST || f->type == MLOPS_MAP) && f->element &&
        (a.type == MIO_LIST || a.type == MIO_MAP))
        return same_children(f, a, b);
    int64_t x, y;
    if ((f->flags & MLOPS_FOLD_CASE) && a.type == MIO_STRING)
        return mio_str_ieq(mio_value_str(a), mio_value_str(b));
    if ((f->flags & MLOPS_DURATION) && mio_duration_s(mio_value_str(a), &x) &&
        mio_duration_s(mio_value_str(b), &y))
        return x == y;
    return mio_equal(a, b);
}

/* Secrets are compared by their masks: one side may be all that is known. */
static bool same_masked(struct mio_arena *a, struct mio_str salt, const struct mio_field *f,
                        struct mio_value x, struct mio_value y)
{
    if (!mio_has_sensitive(x) && !mio_has_sensitive(y))
        return mio_same(f, x, y);
    return mio_same(f, mio_mask(a, salt, mio_carry_marks(a, y, x)),
                    mio_mask(a, salt, mio_carry_marks(a, x, y)));
}

static bool ignored(const struct mio_diff_in *in, struct mio_str path)
{
    if (in->ignore_all)
        return true;
    for (size_t i = 0; i < in->nignore; i++) {
        struct mio_str p = in->ignore[i];
        if (mio_str_eq(p, path) || (path.n > p.n && memcmp(path.p, p.p, p.n) == 0 &&
                                    (path.p[p.n] == '.' || path.p[p.n] == '[')))
            return true;
    }
    return false;
}

/* One ignored path: what the platform has, else what was last sent, stands where the template says
 * otherwise. */
static struct mio_value keep_path(struct mio_arena *a, struct mio_value want,
                                  const struct mio_value *have, const struct mio_value *prior,
                                  struct mio_str path)
{
    ptrdiff_t dot = mio_str_find(path, '.');
    struct mio_str key = mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot);
    const struct mio_value *w = mio_get(want, key), *h = have ? mio_get(*have, key) : NULL;
    const struct mio_value *p = prior ? mio_get(*prior, key) : NULL;
    if (dot >= 0) {
        if (!w || w->type != MIO_MAP || mio_is_sensitive(*w))
            return want;
        return mio_map_with(a, want, key,
                            keep_path(a, *w, h, p, mio_str_sub(path, (size_t)dot + 1, path.n)));
    }
    const struct mio_value *kept = h ? h : p;
    if ((!w && !p) || (kept && mio_holds_mask(*kept)))
        return want;
    return kept ? mio_map_with(a, want, key, *kept) : mio_map_without(a, want, key);
}

struct mio_value mio_keep_ignored(struct mio_arena *a, const struct mio_kind *kind,
                                  const struct mio_lifecycle *l, bool late, struct mio_value want,
                                  struct mio_value have, struct mio_value prior)
{
    for (size_t i = 0; i < kind->root.nfields && l->ignore_all; i++) {
        const struct mio_field *f = &kind->root.fields[i];
        if (((f->flags & MLOPS_LATE) != 0) == late)
            want = keep_path(a, want, &have, &prior, f->name);
    }
    for (size_t i = 0; i < l->nignore; i++) {
        struct mio_str path = l->ignore_changes[i];
        ptrdiff_t dot = mio_str_find(path, '.');
        const struct mio_field *f =
            mio_field_get(&kind->root, mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot));
        if (f && ((f->flags & MLOPS_LATE) != 0) == late)
            want = keep_path(a, want, &have, &prior, path);
    }
    return want;
}

static void add(struct mio_arena *a, struct mio_diff_out *out, struct mio_str path,
                const struct mio_field *f, uint32_t top_flags, bool repairs, bool content)
{
    struct mio_diff_attr attr = {.path = path, .repairs = repairs};
    attr.late = (top_flags & MLOPS_LATE) != 0;
    attr.replaces = !repairs && ((f ? f->flags : 0) | top_flags) & MLOPS_CREATE_ONLY;
    MIO_PUSH(a, out->attrs, out->n, out->cap) = attr;
    out->late |= attr.late;
    out->main |= !attr.late;
    out->replaces |= attr.replaces;
    out->repairs |= repairs;
    out->content |= content;
}

struct walk {
    struct mio_arena *a;
    const struct mio_diff_in *in;
    struct mio_diff_out *out;
    uint32_t top_flags;
};

static void field_diff(struct walk *w, const struct mio_field *f, struct mio_str path,
                       struct mio_value want, const struct mio_value *prior,
                       const struct mio_value *have);

/* Keys of `want`, and keys that were given before and no longer are. */
static void object_diff(struct walk *w, const struct mio_field *f, struct mio_str path,
                        struct mio_value want, struct mio_value prior, struct mio_value have,
                        bool top)
{
    for (size_t i = 0; i < f->nfields; i++) {
        const struct mio_field *child = &f->fields[i];
        const struct mio_value *x = mio_get(want, child->name), *p = mio_get(prior, child->name);
        if (!x && !p)
            continue;
        if (!mio_field_is_input(child) || (!x && (child->flags & MLOPS_COMPUTED)))
            continue; /* the platform chooses when nothing is said any more */
        struct mio_str below =
            path.n ? mio_arena_printf(w->a, "%.*s.%.*s", MIO_FMT(path), MIO_FMT(child->name))
                   : child->name;
        if (top)
            w->top_flags = child->flags & (MLOPS_LATE | MLOPS_CREATE_ONLY);
        field_diff(w, child, below, x ? *x : mio_null(), p, mio_get(have, child->name));
    }
}

static void field_diff(struct walk *w, const struct mio_field *f, struct mio_str path,
                       struct mio_value want, const struct mio_value *prior,
                       const struct mio_value *have)
{
    if (ignored(w->in, path))
        return;
    if (f->type == MLOPS_OBJECT && want.type == MIO_MAP && have && have->type == MIO_MAP &&
        !(f->flags & (MLOPS_WRITE_ONLY | MLOPS_SENSITIVE)) && !mio_is_sensitive(want)) {
        object_diff(w, f, path, want, prior ? *prior : mio_null(), *have, false);
        return;
    }
    /* What is never read back is compared with what was last sent; so is what the platform does not
     * report. */
    bool write_only = (f->flags & MLOPS_WRITE_ONLY) || !have;
    struct mio_value against = write_only ? (prior ? *prior : mio_null()) : *have;
    if (!same_masked(w->a, w->in->salt, f, want, against))
        add(w->a, w->out, path, f, w->top_flags, false, false);
}

static void content_diff(struct walk *w)
{
    struct mio_value now = w->in->content, then = w->in->prior_content;
    for (uint32_t i = 0; now.type == MIO_MAP && i < now.n; i++) {
        struct mio_str path = now.pairs[i].key;
        const struct mio_value *old = mio_get(then, path);
        if (ignored(w->in, path) || (old && mio_equal(*old, now.pairs[i].value)))
            continue;
        const struct mio_field *f = mio_field_at(&w->in->kind->root, path);
        ptrdiff_t dot = mio_str_find(path, '.');
        const struct mio_field *top =
            mio_field_get(&w->in->kind->root, mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot));
        bool listed = false;
        for (size_t k = 0; k < w->out->n && !listed; k++)
            listed = mio_str_eq(w->out->attrs[k].path, path);
        w->out->content = true;
        if (!listed)
            add(w->a, w->out, path, f, top ? top->flags & (MLOPS_LATE | MLOPS_CREATE_ONLY) : 0,
                false, true);
    }
}

static void ensured_diff(struct walk *w)
{
    const struct mio_kind *k = w->in->kind;
    for (size_t i = 0; k->has_ensured && i < k->root.nfields; i++) {
        const struct mio_field *f = &k->root.fields[i];
        const struct mio_value *was = mio_get(w->in->recorded, f->name);
        const struct mio_value *is = mio_get(w->in->observed, f->name);
        if ((f->flags & MLOPS_ENSURED) && was && !ignored(w->in, f->name) &&
            !same_masked(w->a, w->in->salt, f, *was, is ? *is : mio_null()))
            add(w->a, w->out, f->name, f, f->flags & MLOPS_LATE, true, false);
    }
}

void mio_diff(struct mio_arena *a, const struct mio_diff_in *in, struct mio_diff_out *out)
{
    struct walk w = {a, in, out, 0};
    *out = (struct mio_diff_out){0};
    object_diff(&w, &in->kind->root, MIO_STR(""), in->wanted, in->prior_inputs, in->observed, true);
    content_diff(&w);
    ensured_diff(&w);
}

static enum mio_type value_type(enum mlops_type t)
{
    switch (t) {
    case MLOPS_STRING:
        return MIO_STRING;
    case MLOPS_NUMBER:
    case MLOPS_INTEGER:
        return MIO_NUMBER;
    case MLOPS_BOOL:
        return MIO_BOOL;
    case MLOPS_LIST:
        return MIO_LIST;
    case MLOPS_MAP:
    case MLOPS_OBJECT:
        return MIO_MAP;
    case MLOPS_ANY:
        break;
    }
    return MIO_UNKNOWN;
}

/* One attribute after the change; false when there will be none. */
static bool after_field(const struct mio_field *f, const struct mio_diff_in *in,
                        const struct mio_diff_out *diff, bool create, struct mio_value *out)
{
    const struct mio_value *want = mio_get(in->wanted, f->name);
    const struct mio_value *have = mio_get(in->observed, f->name);
    bool computed = f->flags & MLOPS_COMPUTED;
    if (want) {
        *out = *want;
        for (size_t i = 0; !create && have && i < in->nignore; i++)
            if (mio_str_eq(in->ignore[i], f->name))
                *out = *have;
        if (in->ignore_all && !create && have)
            *out = *have;
        return true;
    }
    if (!computed && (create || mio_get(in->prior_inputs, f->name)))
        return false;
    if (create || (diff->main && (f->flags & MLOPS_VOLATILE))) {
        *out = mio_unknown(value_type(f->type));
        return computed;
    }
    if (f->flags & MLOPS_ENSURED)
        have = mio_get(in->recorded, f->name);
    if (have)
        *out = *have;
    return have != NULL;
}

struct mio_value mio_diff_after(struct mio_arena *a, const struct mio_diff_in *in,
                                const struct mio_diff_out *diff, bool create)
{
    const struct mio_field *root = &in->kind->root;
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, root->nfields + 1);
    size_t n = 0;
    for (size_t i = 0; i < root->nfields; i++) {
        struct mio_value v;
        if (!after_field(&root->fields[i], in, diff, create, &v))
            continue;
        if ((root->fields[i].flags & MLOPS_SENSITIVE) && !mio_is_sensitive(v))
            v = mio_sensitive(v);
        pairs[n++] = (struct mio_pair){root->fields[i].name, v};
    }
    return mio_map(pairs, n);
}

bool mio_drifted(const struct mio_kind *kind, struct mio_str salt, struct mio_value recorded,
                 struct mio_value observed, struct mio_arena *a, struct mio_diff_out *out)
{
    *out = (struct mio_diff_out){0};
    for (uint32_t i = 0; recorded.type == MIO_MAP && i < recorded.n; i++) {
        const struct mio_field *f = mio_field_get(&kind->root, recorded.pairs[i].key);
        const struct mio_value *now = mio_get(observed, recorded.pairs[i].key);
        struct mio_value was = recorded.pairs[i].value;
        if (!f || (f->flags & (MLOPS_UNSTABLE | MLOPS_WRITE_ONLY)))
            continue;
        if (!same_masked(a, salt, f, was, now ? *now : mio_null()))
            add(a, out, f->name, f, 0, false, false);
    }
    return out->n > 0;
}
