/* planner/run/block.c: one block's own settings, without provider or state. */
#include "planner/run/block.h"
#include "planner/run/internal.h"

enum { NAMED = 5 }; /* instances that an error names */

/* NAME, KIND.NAME or an address with modules and keys, as an address. */
static struct mio_str full_address(struct mio_arena *a, const char *kind, struct mio_str text)
{
    ptrdiff_t dot = mio_str_find(text, '.'), key = mio_str_find(text, '[');
    bool whole = dot >= 0 && (key < 0 || dot < key);
    return whole ? text : mio_arena_printf(a, "%s.%.*s", kind, MIO_FMT(text));
}

/* The block without its key; its instances are named. */
static void name_instances(const struct mio_res *r, struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < r->n && i < NAMED; i++)
        mio_buf_printf(&b, "%s%.*s", i ? ", " : "", MIO_FMT(r->insts[i].address));
    mio_fail(err, MIO_USAGE, "%.*s.%.*s has %zu instances, not this one", MIO_FMT(r->block->kind),
             MIO_FMT(r->block->name), r->n);
    if (r->n)
        mio_err_hint(err, "Name one: %.*s%s.", MIO_FMT(mio_buf_view(&b)),
                     r->n > NAMED ? ", ..." : "");
}

static const struct mio_inst *missing(const struct mio_engine *e, const struct mio_address *ad,
                                      struct mio_str address, struct mio_err *err)
{
    struct mio_str *known = NULL, near = {0};
    size_t n = 0, cap = 0;
    struct mio_arena a;
    mio_arena_init(&a);
    for (size_t i = 0; i < e->stack.nres; i++) {
        const struct mio_res *r = e->stack.res[i];
        if (r->block->is_data || !mio_str_eq(r->block->kind, ad->kind))
            continue;
        bool same = mio_str_eq(r->block->name, ad->name) && r->n;
        if (same && mio_res_in_module(r, ad->module))
            name_instances(r, err);
        if (same && !near.n)
            near = r->insts[0].address;
        for (size_t k = 0; k < r->n; k++)
            MIO_PUSH(&a, known, n, cap) = r->insts[k].address;
    }
    near = near.n ? near : mio_str_nearest(address, known, n);
    mio_fail(err, MIO_USAGE, "the template has no %.*s", MIO_FMT(address));
    if (near.n)
        mio_err_hint(err, "Did you mean %.*s?", MIO_FMT(near));
    else if (n)
        mio_err_hint(err, "It has %.*s%s.", MIO_FMT(known[0]), n > 1 ? " and others" : "");
    mio_arena_free(&a);
    return NULL;
}

static const struct mio_inst *find(struct mio_engine *e, const char *kind, struct mio_str text,
                                   struct mio_err *err)
{
    struct mio_address ad;
    struct mio_str address = full_address(&e->arena, kind, text);
    if (mio_address_parse(&e->arena, address, &ad, err))
        return NULL;
    if (!mio_str_is(ad.kind, kind) || ad.is_data) {
        mio_fail(err, MIO_USAGE, "%.*s is no %s", MIO_FMT(address), kind);
        return NULL;
    }
    if (!e->planned) {
        mio_engine_stack(e, true, true); /* providers that are not there yet are not needed here */
        if (e->stack.root)
            mio_stack_expand(&e->stack);
    }
    if (!e->stack.root) {
        mio_fail(err, MIO_TEMPLATE, "the template has errors");
        return NULL;
    }
    const struct mio_inst *inst = mio_stack_find(&e->stack, mio_address_text(&e->arena, &ad));
    return inst ? inst : missing(e, &ad, address, err);
}

static enum mio_code evaluate(struct mio_engine *e, const struct mio_inst *inst,
                              const char *const *keys, size_t n, struct mio_value *out,
                              struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = &e->stack, .mod = inst->res->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_pair *pairs = MIO_NEW_N(&e->arena, struct mio_pair, n);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mio_node *node = mio_node_get(inst->res->block->body, keys[i]);
        if (!node)
            continue;
        pairs[k].key = mio_str_z(keys[i]);
        if (mio_node_eval(node, &scope, &pairs[k++].value, err))
            return err->code;
    }
    *out = mio_map(pairs, k);
    return MIO_OK;
}

enum mio_code mio_engine_block(struct mio_engine *e, const char *kind, struct mio_str text,
                               const char *const *keys, size_t n, struct mio_block_found *out,
                               struct mio_err *err)
{
    const struct mio_inst *inst = find(e, kind, text, err);
    if (!inst)
        return err->code;
    struct mio_inst *outer = e->stack.self;
    e->stack.self = &inst->res->insts[inst - inst->res->insts];
    out->address = inst->address;
    out->dir = inst->res->block->base_dir;
    enum mio_code code = evaluate(e, inst, keys, n, &out->body, err);
    e->stack.self = outer;
    return code;
}
