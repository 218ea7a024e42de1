/* planner/graph/depends.c: depends_on and other lists of references: every instance they name. See
 * stack.h. */
#include "planner/graph/stack.h"

static enum mio_code wait_for(struct mio_scope_arg *s, struct mio_res *r, struct mio_value key,
                              struct mio_deps *deps, struct mio_err *err)
{
    if (mio_stack_expand_res(s->st, r, err))
        return err->code;
    for (size_t i = 0; i < r->n; i++) {
        struct mio_value ignored;
        if (!mio_is_null(key) && !mio_equal(key, r->insts[i].key))
            continue;
        mio_deps_add(s->st, deps, &r->insts[i]);
        if (s->st->value(s->st->arg, &r->insts[i], &ignored, err))
            return err->code;
    }
    return MIO_OK;
}

/* Every resource of a module and of the modules in it. */
static enum mio_code wait_for_module(struct mio_scope_arg *s, struct mio_str prefix,
                                     struct mio_deps *deps, struct mio_err *err)
{
    for (size_t i = 0; i < s->st->nres; i++) {
        struct mio_str p = s->st->res[i]->mod->prefix;
        if (p.n > prefix.n && memcmp(p.p, prefix.p, prefix.n) == 0 &&
            (p.p[prefix.n] == '.' || p.p[prefix.n] == '[') &&
            wait_for(s, s->st->res[i], mio_null(), deps, err))
            return err->code;
    }
    return MIO_OK;
}

/* The index of a module has these beside its resources. */
static bool is_other(struct mio_str kind)
{
    static const char *const words[] = {"var", "local", "output", "module"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (mio_str_is(kind, words[i]))
            return true;
    return false;
}

struct named_ref {
    struct mio_str text;
    bool found;
};

static bool first_ref(void *arg, const struct mio_ref *ref)
{
    struct named_ref *r = arg;
    (void)ref;
    r->found = true;
    return false;
}

/* One item: plain text "compute.cpu", or the same in ${...}. */
static enum mio_code depend_item(struct mio_scope_arg *s, const struct mio_node *n,
                                 struct mio_deps *deps, struct mio_err *err)
{
    struct mio_str text = mio_str_trim(n->text);
    struct named_ref seen = {text, false};
    if (n->type == MIO_NODE_SCALAR && n->expr)
        mio_expr_refs(n->expr, first_ref, &seen);
    if (seen.found && mio_str_starts(text, "${") && mio_str_ends(text, "}"))
        text = mio_str_trim(mio_str_sub(text, 2, text.n - 3));
    struct mio_address ad;
    uintptr_t r;
    if (n->type != MIO_NODE_SCALAR || mio_address_parse(s->st->arena, text, &ad, err))
        return mio_err_at(err, n->pos);
    if (ad.module.n && ad.kind.n == 0)
        return wait_for_module(
            s,
            mio_arena_printf(s->st->arena, "%.*s%.*s", MIO_FMT(s->mod->prefix), MIO_FMT(ad.module)),
            deps, err);
    if (!ad.is_data && is_other(ad.kind)) {
        mio_fail(err, MIO_TEMPLATE, "%.*s.%.*s is no resource and no module", MIO_FMT(ad.kind),
                 MIO_FMT(ad.name));
        mio_err_hint(err, "Name what it is made of; nothing has to wait for a value.");
        return mio_err_at(err, n->pos);
    }
    struct mio_str key = mio_arena_printf(s->st->arena, "%s%.*s.%.*s", ad.is_data ? "data." : "",
                                          MIO_FMT(ad.kind), MIO_FMT(ad.name));
    if (!mio_index_get(&s->mod->index, key, &r)) {
        mio_scope_no_resource(s, ad.kind, ad.name, ad.is_data, err);
        return mio_err_at(err, n->pos);
    }
    return wait_for(s, (struct mio_res *)r, ad.key, deps, err);
}

enum mio_code mio_stack_named(struct mio_stack *st, struct mio_modinst *mod,
                              const struct mio_node *list, struct mio_deps *out,
                              struct mio_err *err)
{
    struct mio_scope_arg s = {.st = st, .mod = mod};
    for (size_t i = 0; list && i < list->n; i++)
        if (depend_item(&s, list->items[i], out, err))
            return err->code;
    return MIO_OK;
}

enum mio_code mio_stack_depends(struct mio_stack *st, struct mio_inst *inst, struct mio_err *err)
{
    mio_deps_merge(st, &inst->deps, &inst->res->deps);
    if (mio_stack_named(st, inst->res->mod, inst->res->block->depends_on, &inst->deps, err))
        return err->code;
    for (struct mio_modinst *m = inst->res->mod; m->parent; m = m->parent)
        if (mio_stack_named(st, m->parent, m->call->depends_on, &inst->deps, err))
            return err->code;
    return MIO_OK;
}
