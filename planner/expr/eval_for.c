/* planner/expr/eval_for.c: `for` in brackets, braces and templates. */
#include "planner/expr/eval.h"
#include "providers/sdk/map.h"

enum { MAX_ROUNDS = 10000000 };

struct loop {
    struct evaluator *ev;
    const struct mio_expr *e;
    struct mio_value *items; /* values, in order */
    struct mio_str *keys;    /* object form: the key of each */
    size_t n;
    bool unknown, sensitive;
};

static enum mio_code loop_condition(struct loop *l, bool *take)
{
    const struct mio_expr *e = l->e->loop->cond;
    struct evaluator *ev = l->ev;
    struct mio_value v;
    *take = true;
    if (!e)
        return MIO_OK;
    enum mio_code code = mio_eval(ev, e, &v);
    if (code)
        return code;
    if (v.type == MIO_NULL)
        return mio_eval_fail(ev, e, NULL, "the condition of the for is null");
    if (mio_to_bool(v, &v, ev->err)) {
        mio_err_wrap(ev->err, "condition of the for");
        return mio_err_at(ev->err, e->pos);
    }
    l->unknown |= v.type == MIO_UNKNOWN;
    l->sensitive |= mio_is_sensitive(v);
    *take = v.type == MIO_BOOL && v.b;
    return MIO_OK;
}

static enum mio_code loop_key(struct loop *l)
{
    const struct mio_expr *e = l->e->loop->key;
    struct evaluator *ev = l->ev;
    struct mio_value v;
    enum mio_code code = mio_eval(ev, e, &v);
    if (code)
        return code;
    if (v.type == MIO_NULL)
        return mio_eval_fail(ev, e, NULL, "the key of the for is null");
    if (mio_to_string(ev->a, v, &v, ev->err))
        return mio_err_at(ev->err, e->pos);
    l->unknown |= v.type == MIO_UNKNOWN;
    l->sensitive |= mio_is_sensitive(v);
    l->keys[l->n] = mio_value_str(v);
    return MIO_OK;
}

static enum mio_code loop_round(struct loop *l)
{
    bool take;
    if (++l->ev->rounds > MAX_ROUNDS)
        return mio_eval_fail(l->ev, l->e, "compute it outside of the template",
                             "the expression goes more than %d rounds", MAX_ROUNDS);
    enum mio_code code = loop_condition(l, &take);
    if (code || !take)
        return code;
    if (l->e->loop->object)
        code = loop_key(l);
    if (!code)
        code = mio_eval(l->ev, l->e->loop->value, &l->items[l->n]);
    l->n++;
    return code;
}

static enum mio_code loop_rounds(struct loop *l, struct mio_value source)
{
    struct evaluator *ev = l->ev;
    const struct frame *before = ev->frames;
    struct frame key = {.up = before};
    struct frame value = {.up = l->e->loop->with_key ? &key : before};
    enum mio_code code = MIO_OK;
    ev->frames = &value;
    for (uint32_t i = 0; !code && i < source.n; i++) {
        if (l->e->loop->with_key)
            key.value = mio_element_key(ev->a, source, i);
        value.value = mio_element(source, i);
        code = loop_round(l);
    }
    ev->frames = before;
    return code;
}

/* ---- results ---- */

static enum mio_code joined(struct loop *l, struct mio_value *out)
{
    size_t n = 0;
    *out = mio_unknown(MIO_STRING);
    for (size_t i = 0; i < l->n; i++) {
        if (l->items[i].type == MIO_UNKNOWN)
            l->unknown = true;
        else
            n += l->items[i].n;
        l->sensitive |= mio_is_sensitive(l->items[i]);
    }
    if (l->unknown)
        return MIO_OK;
    if (n > MIO_MAX_TEXT)
        return mio_eval_too_long(l->ev, l->e);
    char *text = mio_arena_alloc(l->ev->a, n + 1), *to = text;
    for (size_t i = 0; i < l->n; i++) {
        memcpy(to, l->items[i].s, l->items[i].n);
        to += l->items[i].n;
    }
    *out = mio_string((struct mio_str){text, n});
    return MIO_OK;
}

static enum mio_code as_object(struct loop *l, struct mio_value *out)
{
    struct mio_arena *a = l->ev->a;
    struct mio_index seen;
    struct mio_pair *pairs = mio_arena_alloc(a, l->n * sizeof *pairs);
    mio_index_init(&seen, a, l->n);
    for (size_t i = 0; i < l->n; i++) {
        struct mio_str key = l->sensitive ? MIO_STR("(sensitive value)") : l->keys[i];
        if (!mio_index_add(&seen, l->keys[i], i))
            return mio_eval_fail(
                l->ev, l->e->loop->key, "add ... behind the value to collect them in lists",
                "two rounds of the for give the key \"%.*s\"", key.n > 80 ? 80 : (int)key.n, key.p);
        pairs[i] = (struct mio_pair){l->keys[i], l->items[i]};
    }
    *out = mio_map(pairs, l->n);
    return MIO_OK;
}

static enum mio_code as_groups(struct loop *l, struct mio_value *out)
{
    struct group {
        struct mio_value *items;
        size_t n, cap;
    };
    struct mio_arena *a = l->ev->a;
    struct mio_index seen;
    struct group *groups = MIO_NEW_N(a, struct group, l->n + 1);
    struct mio_pair *pairs = mio_arena_alloc(a, l->n * sizeof *pairs);
    size_t n = 0;
    mio_index_init(&seen, a, l->n);
    for (size_t i = 0; i < l->n; i++) {
        uintptr_t at = n;
        if (!mio_index_get(&seen, l->keys[i], &at)) {
            mio_index_add(&seen, l->keys[i], n);
            pairs[n++].key = l->keys[i];
        }
        MIO_PUSH(a, groups[at].items, groups[at].n, groups[at].cap) = l->items[i];
    }
    for (size_t i = 0; i < n; i++)
        pairs[i].value = mio_list(groups[i].items, groups[i].n);
    *out = mio_map(pairs, n);
    return MIO_OK;
}

enum mio_code mio_eval_for(struct evaluator *ev, const struct mio_expr *e, struct mio_value *out)
{
    const struct for_node *f = e->loop;
    struct mio_value source, v;
    enum mio_code code = mio_eval(ev, f->source, &source);
    if (code)
        return code;
    enum mio_type made = f->joined ? MIO_STRING : f->object ? MIO_MAP : MIO_LIST;
    if (source.type == MIO_NULL)
        return mio_eval_fail(ev, f->source, "guard it: coalesce(x, [])", "a null has no elements");
    if (source.type == MIO_UNKNOWN) {
        *out = mio_mark_like(mio_unknown(made), source);
        return MIO_OK;
    }
    if (source.type != MIO_LIST && source.type != MIO_MAP)
        return mio_eval_fail(ev, f->source, "a for goes over a list, set or map",
                             "a %s has no elements", mio_type_name((enum mio_type)source.type));
    struct loop l = {.ev = ev, .e = e, .sensitive = mio_is_sensitive(source)};
    l.items = mio_arena_alloc(ev->a, source.n * sizeof *l.items);
    l.keys = f->object ? mio_arena_alloc(ev->a, source.n * sizeof *l.keys) : NULL;
    code = loop_rounds(&l, source);
    if (code)
        return code;
    if (f->joined)
        code = joined(&l, &v);
    else if (l.unknown)
        v = mio_unknown(made);
    else if (f->group)
        code = as_groups(&l, &v);
    else if (f->object)
        code = as_object(&l, &v);
    else
        v = mio_list(l.items, l.n);
    if (!code)
        *out = l.sensitive ? mio_sensitive(v) : v;
    return code;
}
