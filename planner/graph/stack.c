/* planner/graph/stack.c: building and unfolding. See stack.h. */
#include "planner/graph/stack.h"
#include "providers/sdk/json.h"

void mio_deps_add(struct mio_stack *st, struct mio_deps *d, struct mio_inst *inst)
{
    if (d->n && d->items[d->n - 1] == inst)
        return;
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i] == inst)
            return;
    MIO_PUSH(st->arena, d->items, d->n, d->cap) = inst;
    st->kept++;
}

void mio_deps_merge(struct mio_stack *st, struct mio_deps *d, const struct mio_deps *from)
{
    for (size_t i = 0; i < from->n; i++)
        mio_deps_add(st, d, from->items[i]);
}

static struct mio_str key_of(struct mio_arena *a, const char *root, struct mio_str name)
{
    return mio_arena_printf(a, "%s.%.*s", root, MIO_FMT(name));
}

static struct mio_modinst *new_module(struct mio_stack *st, const struct mio_template *t)
{
    struct mio_arena *a = st->arena;
    struct mio_modinst *m = MIO_NEW(a, struct mio_modinst);
    m->tpl = t;
    m->variables = MIO_NEW_N(a, struct mio_memo, t->variables.n + 1);
    m->locals = MIO_NEW_N(a, struct mio_memo, t->locals.n + 1);
    m->outputs = MIO_NEW_N(a, struct mio_memo, t->outputs.n + 1);
    mio_index_init(&m->index, a, t->variables.n + t->locals.n + t->outputs.n + t->blocks.n + 8);
    for (size_t i = 0; i < t->variables.n; i++)
        mio_index_add(&m->index, key_of(a, "var", t->variables.items[i].name), i);
    for (size_t i = 0; i < t->locals.n; i++)
        mio_index_add(&m->index, key_of(a, "local", t->locals.items[i].name), i);
    for (size_t i = 0; i < t->outputs.n; i++)
        mio_index_add(&m->index, key_of(a, "output", t->outputs.items[i].name), i);
    return m;
}

static void add_blocks(struct mio_stack *st, struct mio_modinst *m, unsigned depth)
{
    const struct mio_template *t = m->tpl;
    for (size_t i = 0; i < t->blocks.n; i++) {
        const struct mio_block *b = &t->blocks.items[i];
        struct mio_res *r = MIO_NEW(st->arena, struct mio_res);
        r->mod = m;
        r->block = b;
        mio_index_add(&m->index, b->address, (uintptr_t)r);
        MIO_PUSH(st->arena, st->res, st->nres, st->res_cap) = r;
    }
    for (size_t i = 0; i < t->modules.n; i++) {
        struct mio_modcall *c = MIO_NEW(st->arena, struct mio_modcall);
        c->call = &t->modules.items[i];
        c->in = m;
        c->depth = depth;
        mio_index_add(&m->index, key_of(st->arena, "module", c->call->name), (uintptr_t)c);
        MIO_PUSH(st->arena, st->calls, st->ncalls, st->calls_cap) = c;
    }
}

/* Keys and values of one repetition; `n` is 1 with a null key when there is none. */
struct unfolded {
    enum mio_repetition repetition;
    bool stand_in;
    size_t n;
    struct mio_value each; /* MIO_FOR_EACH: a map, or a list of strings */
};

static enum mio_code unfold_count(struct mio_stack *st, const struct mio_node *node,
                                  struct mio_value v, struct unfolded *out, struct mio_err *err)
{
    int64_t n;
    bool number = v.type == MIO_STRING ? mio_str_i64(mio_value_str(v), &n) : mio_value_i64(v, &n);
    if (!number || n < 0) {
        mio_fail(err, MIO_TEMPLATE, "count must be a whole number that is not negative");
        return mio_err_at(err, node->pos);
    }
    if ((uint64_t)n > st->budget) {
        mio_fail(err, MIO_TEMPLATE, "count of %lld is above the budget of %zu instances",
                 (long long)n, st->budget);
        mio_err_hint(err, "Raise MLOPS_IAC_MAX_INSTANCES if that many are really wanted.");
        return mio_err_at(err, node->pos);
    }
    *out = (struct unfolded){.repetition = MIO_COUNT, .n = (size_t)n};
    return MIO_OK;
}

static enum mio_code unfold_each(const struct mio_node *node, struct mio_value v,
                                 struct unfolded *out, struct mio_err *err)
{
    bool strings = v.type == MIO_LIST;
    for (uint32_t i = 0; strings && i < v.n; i++)
        strings = v.items[i].type == MIO_STRING;
    /* the values of a map may be sensitive, its keys cannot; of a list the elements are the keys */
    bool secret = v.type == MIO_LIST ? mio_has_sensitive(v) : mio_is_sensitive(v);
    if (secret || (v.type != MIO_MAP && !strings)) {
        mio_fail(err, MIO_TEMPLATE,
                 secret ? "for_each cannot be sensitive: its keys become addresses"
                        : "for_each must be a map, or a set of strings");
        mio_err_hint(err, secret ? "nonsensitive(...) says that these may be shown."
                                 : "Use toset([...]) for a list of names.");
        return mio_err_at(err, node->pos);
    }
    *out = (struct unfolded){.repetition = MIO_FOR_EACH, .n = v.n, .each = v};
    return MIO_OK;
}

static enum mio_code unfold(struct mio_stack *st, const struct mio_scope *scope,
                            const struct mio_node *count, const struct mio_node *each,
                            const struct mio_node *enabled, struct unfolded *out,
                            struct mio_err *err)
{
    static const char *const names[] = {"count", "for_each", "enabled"};
    const struct mio_node *nodes[] = {count, each, enabled};
    *out = (struct unfolded){.repetition = MIO_ONE, .n = 1};
    for (size_t k = 0; k < 3; k++) {
        struct mio_value v;
        if (!nodes[k])
            continue;
        if (mio_node_eval(nodes[k], scope, &v, err))
            return err->code;
        if (v.type == MIO_UNKNOWN && st->validating) {
            out->stand_in |= k < 2;
            continue;
        }
        if (v.type == MIO_UNKNOWN || (k == 1 && mio_has_unknown(v) && v.type == MIO_LIST)) {
            mio_fail(err, MIO_TEMPLATE, "%s depends on values that are known only after apply",
                     names[k]);
            mio_err_hint(err,
                         "Make it depend on variables or names from the template, or apply in two "
                         "steps with -target.");
            return mio_err_at(err, nodes[k]->pos);
        }
        if (k == 0 && unfold_count(st, nodes[k], v, out, err))
            return err->code;
        if (k == 1 && unfold_each(nodes[k], v, out, err))
            return err->code;
        if (k == 2) {
            struct mio_value b;
            if (mio_to_bool(v, &b, err))
                return mio_err_at(err, nodes[k]->pos);
            if (b.type == MIO_BOOL && !b.b)
                *out = (struct unfolded){.repetition = MIO_DISABLED, .n = 0};
        }
    }
    return MIO_OK;
}

enum mio_code mio_stack_each(struct mio_stack *st, const struct mio_node *node,
                             struct mio_value *out, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = st->root};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct unfolded u;
    if (unfold(st, &scope, NULL, node, NULL, &u, err))
        return err->code;
    *out = u.repetition == MIO_FOR_EACH ? u.each : mio_unknown(MIO_MAP);
    if (out->type != MIO_LIST)
        return MIO_OK;
    struct mio_pair *pairs = MIO_NEW_N(st->arena, struct mio_pair, u.n + 1);
    for (size_t i = 0; i < u.n; i++)
        pairs[i] = (struct mio_pair){mio_value_str(u.each.items[i]), u.each.items[i]};
    *out = mio_map(pairs, u.n);
    return MIO_OK;
}

static struct mio_value key_at(struct mio_stack *st, const struct unfolded *u, size_t i,
                               struct mio_value *each)
{
    *each = mio_null();
    if (u->repetition == MIO_COUNT)
        return mio_number_i64(st->arena, (int64_t)i);
    if (u->repetition != MIO_FOR_EACH)
        return mio_null();
    if (u->each.type == MIO_LIST) {
        *each = u->each.items[i];
        return u->each.items[i];
    }
    *each = u->each.pairs[i].value;
    return mio_string(u->each.pairs[i].key);
}

static enum mio_code build(struct mio_stack *st, struct mio_modinst *m, unsigned depth);

static enum mio_code unfold_call(struct mio_stack *st, struct mio_modcall *c, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = c->in};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct unfolded u;
    struct mio_deps deps = {0}, *outer = st->collect;
    struct mio_inst *self = st->self;
    st->collect = &deps;
    st->self = NULL;
    enum mio_code rc = unfold(st, &scope, c->call->count, c->call->for_each, NULL, &u, err);
    st->collect = outer;
    st->self = self;
    if (rc)
        return rc;
    c->repetition = (uint8_t)u.repetition;
    c->stand_in = u.stand_in;
    c->items = MIO_NEW_N(st->arena, struct mio_modinst *, u.n);
    for (size_t i = 0; i < u.n; i++) {
        struct mio_modinst *m = new_module(st, c->call->tpl);
        m->call = c->call;
        m->parent = c->in;
        m->key = key_at(st, &u, i, &m->each);
        m->stand_in = u.stand_in;
        mio_deps_merge(st, &m->deps, &c->in->deps);
        mio_deps_merge(st, &m->deps, &deps);
        MIO_AUTO_BUF b = {0};
        mio_buf_printf(&b, "%.*smodule.%.*s", MIO_FMT(c->in->prefix), MIO_FMT(c->call->name));
        if (!mio_is_null(m->key)) {
            mio_buf_char(&b, '[');
            mio_json_write(&b, m->key, MIO_JSON_PLAIN);
            mio_buf_char(&b, ']');
        }
        mio_buf_char(&b, '.');
        m->prefix = mio_arena_str(st->arena, mio_buf_view(&b));
        c->items[c->n++] = m;
        if (build(st, m, c->depth + 1))
            return mio_fail(err, MIO_TEMPLATE, "module %.*s could not be unfolded",
                            MIO_FMT(m->prefix));
    }
    return MIO_OK;
}

enum mio_code mio_stack_unfold_module(struct mio_stack *st, struct mio_modcall *c)
{
    struct mio_err err = {0};
    if (c->visit != MIO_VISIT_NEW)
        return c->visit == MIO_VISIT_DONE ? MIO_OK : MIO_TEMPLATE;
    c->visit = MIO_VISIT_BUSY;
    st->kept++;
    if (c->depth > 16)
        mio_fail(&err, MIO_TEMPLATE, "modules are nested more than 16 deep");
    else
        unfold_call(st, c, &err);
    c->visit = err.code ? MIO_VISIT_FAILED : MIO_VISIT_DONE;
    if (err.code) {
        mio_err_at(&err, c->call->pos);
        mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    return err.code;
}

static enum mio_code build(struct mio_stack *st, struct mio_modinst *m, unsigned depth)
{
    size_t from = st->ncalls;
    add_blocks(st, m, depth);
    size_t to = st->ncalls;
    for (size_t i = from; i < to; i++)
        mio_stack_unfold_module(st, st->calls[i]);
    return st->diags->errors ? MIO_TEMPLATE : MIO_OK;
}

enum mio_code mio_stack_build(struct mio_stack *st, const struct mio_template *tpl)
{
    st->root = new_module(st, tpl);
    return build(st, st->root, 0);
}

static struct mio_str instance_address(struct mio_stack *st, const struct mio_res *r,
                                       struct mio_value key)
{
    struct mio_str prefix = r->mod->prefix, base = r->block->address;
    if (!prefix.n && mio_is_null(key))
        return base;
    MIO_AUTO_BUF quoted = {0};
    if (key.type == MIO_STRING)
        mio_json_write(&quoted, key, MIO_JSON_PLAIN);
    struct mio_str word = key.type == MIO_STRING ? mio_buf_view(&quoted) : mio_value_str(key);
    size_t n = prefix.n + base.n;
    char *p = mio_arena_alloc(st->arena, n + word.n + 3);
    if (prefix.n)
        memcpy(p, prefix.p, prefix.n);
    memcpy(p + prefix.n, base.p, base.n);
    if (word.n) {
        p[n++] = '[';
        memcpy(p + n, word.p, word.n);
        n += word.n;
        p[n++] = ']';
    }
    p[n] = '\0';
    return (struct mio_str){p, n};
}

static enum mio_code expand(struct mio_stack *st, struct mio_res *r, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = r->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    const struct mio_block *b = r->block;
    struct unfolded u;
    if (unfold(st, &scope, b->count, b->for_each, b->enabled, &u, err))
        return err->code;
    if (u.n > st->budget - (st->ninsts < st->budget ? st->ninsts : st->budget)) {
        mio_fail(err, MIO_TEMPLATE, "the template has more than %zu instances", st->budget);
        return mio_err_hint(err, "Raise MLOPS_IAC_MAX_INSTANCES if that many are really wanted.");
    }
    r->repetition = u.repetition;
    r->stand_in = u.stand_in;
    r->n = u.n;
    r->insts = MIO_NEW_N(st->arena, struct mio_inst, u.n);
    if (u.repetition == MIO_FOR_EACH)
        mio_index_init(&r->keys, st->arena, u.n);
    for (size_t i = 0; i < u.n; i++) {
        struct mio_inst *inst = &r->insts[i];
        inst->res = r;
        inst->key = key_at(st, &u, i, &inst->each);
        inst->address = instance_address(st, r, inst->key);
        if (u.repetition == MIO_FOR_EACH && !mio_index_add(&r->keys, mio_value_str(inst->key), i))
            return mio_fail(err, MIO_TEMPLATE, "for_each has the key \"%.*s\" twice",
                            MIO_FMT(mio_value_str(inst->key)));
        inst->number = (uint32_t)st->ninsts;
        MIO_PUSH(st->arena, st->insts, st->ninsts, st->inst_cap) = inst;
    }
    return MIO_OK;
}

enum mio_code mio_stack_expand_res(struct mio_stack *st, struct mio_res *r, struct mio_err *err)
{
    if (r->visit == MIO_VISIT_DONE)
        return MIO_OK;
    if (r->visit == MIO_VISIT_BUSY) {
        mio_fail(err, MIO_TEMPLATE, "count or for_each of %.*s.%.*s refers to itself",
                 MIO_FMT(r->block->kind), MIO_FMT(r->block->name));
        return mio_err_at(err, r->block->pos);
    }
    if (r->visit == MIO_VISIT_FAILED) {
        err->reported = true;
        return mio_fail(err, MIO_TEMPLATE, "%.*s.%.*s could not be unfolded",
                        MIO_FMT(r->block->kind), MIO_FMT(r->block->name));
    }
    struct mio_deps *outer = st->collect;
    r->visit = MIO_VISIT_BUSY;
    st->kept++;
    mio_deps_merge(st, &r->deps, &r->mod->deps);
    st->collect = &r->deps;
    enum mio_code rc = expand(st, r, err);
    st->collect = outer;
    r->visit = rc ? MIO_VISIT_FAILED : MIO_VISIT_DONE;
    if (rc) {
        mio_err_at(err, r->block->pos);
        mio_diags_add(st->diags, MIO_ERROR, err);
        err->reported = true;
    }
    return rc;
}

enum mio_code mio_stack_expand(struct mio_stack *st)
{
    enum mio_code first = MIO_OK;
    for (size_t i = 0; i < st->nres; i++) {
        struct mio_err err = {0};
        enum mio_code rc = mio_stack_expand_res(st, st->res[i], &err);
        first = first ? first : rc;
    }
    return first;
}

struct mio_inst *mio_stack_find(const struct mio_stack *st, struct mio_str address)
{
    for (size_t i = 0; i < st->ninsts; i++)
        if (mio_str_eq(st->insts[i]->address, address))
            return st->insts[i];
    return NULL;
}

bool mio_res_in_module(const struct mio_res *r, struct mio_str module)
{
    struct mio_str prefix = r->mod->prefix; /* "" or the module with a dot behind it */
    return prefix.n ? prefix.n == module.n + 1 && memcmp(prefix.p, module.p, module.n) == 0
                    : module.n == 0;
}
