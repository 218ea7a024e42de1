/* planner/run/inspect.c: the state, import, locks, the graph and single expressions. See engine.h. */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"

enum mio_code mio_engine_state(struct mio_engine *e, struct mio_state **out)
{
    enum mio_code rc = mio_engine_load(e, "state");
    *out = &e->state;
    return rc;
}

enum mio_code mio_engine_state_commit(struct mio_engine *e)
{
    struct mio_err err = {0};
    return mio_store_commit(e->store, &e->state, &err) ? mio_engine_fail(e, &err) : MIO_OK;
}

enum mio_code mio_engine_force_unlock(struct mio_engine *e, struct mio_str id)
{
    struct mio_err err = {0};
    struct mio_store_opts o = {.dir = e->state_dir.p, .stage = e->tpl->stage};
    if (!e->store && mio_store_open(&o, &e->store, &err))
        return mio_engine_fail(e, &err);
    return mio_store_force_unlock(e->store, id, &err) ? mio_engine_fail(e, &err) : MIO_OK;
}

/* Reads an object of the platform and records it under an address of the template, in memory. */
static enum mio_code import_row(struct mio_engine *e, const struct mio_res *res, struct mio_str address,
                                struct mio_str id, struct mio_err *err)
{
    struct mio_prov *prov = mio_provs_find(&e->provs, res->provider);
    struct mio_object o = {0};
    struct mio_call_opts opts = {.deadline_ms = mio_now_ms() + 60000, .cancel = e->opts.abort};
    const struct mio_kind *kind = res->kind;
    if (mio_provider_import(prov->plugin, &e->arena, kind->name, id, &opts, &o, err))
        return err->code;
    if (o.status == MLOPS_NOT_FOUND) {
        mio_fail(err, MIO_REALITY, "provider \"%.*s\" has no %.*s with the id \"%.*s\"", MIO_FMT(prov->name),
                 MIO_FMT(kind->name), MIO_FMT(id));
        return mio_err_hint(err, "Check the id and the settings of the provider.");
    }
    struct mio_value attributes = mio_mark(&e->arena, &kind->root, o.attributes);
    struct mio_pair *pairs = MIO_NEW_N(&e->arena, struct mio_pair, attributes.n + 1u);
    size_t n = 0;
    for (uint32_t i = 0; i < attributes.n; i++) {
        const struct mio_field *f = mio_field_get(&kind->root, attributes.pairs[i].key);
        if (f && mio_field_is_input(f))
            pairs[n++] = attributes.pairs[i];
    }
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct mio_record rec = {
        .digest = MIO_STR(zeros), .address = address, .kind = kind->name, .provider = prov->name,
        .id = o.id.n ? o.id : id, .fingerprint = o.fingerprint, .schema_version = kind->schema_version,
        .inputs = mio_mask(&e->arena, e->state.salt, mio_map(pairs, n)),
        .attributes = mio_mask(&e->arena, e->state.salt, attributes), .content = mio_map(NULL, 0),
        .dependencies = mio_list(NULL, 0), .generation = 1};
    return mio_state_put(&e->state, &rec, err);
}

enum mio_code mio_engine_import(struct mio_engine *e, struct mio_str address, struct mio_str id)
{
    struct mio_err err = {0};
    struct mio_address ad;
    enum mio_code rc;
    if (mio_address_parse(&e->arena, address, &ad, &err))
        return mio_engine_fail(e, &err);
    if ((rc = mio_engine_stack(e, true, false)) || (rc = mio_engine_load(e, "import")) ||
        (rc = mio_stack_expand(&e->stack)) || (rc = mio_engine_configure(e)))
        return rc;
    struct mio_inst *inst = mio_stack_find(&e->stack, address);
    const struct mio_row *row = mio_state_find(&e->state, address, MIO_STR(""));
    if (!inst) {
        mio_fail(&err, MIO_USAGE, "the template has no resource %.*s", MIO_FMT(address));
        mio_err_hint(&err, "Write its block first; import then fills the state.");
    } else if (row && row->status != MIO_ROW_UNCONFIRMED) {
        mio_fail(&err, MIO_USAGE, "%.*s is in the state already", MIO_FMT(address));
        mio_err_hint(&err, "To record another object under that address, run `mlops-iac state rm '%.*s'` first.",
                     MIO_FMT(address));
    } else if (import_row(e, inst->res, inst->address, id, &err) == MIO_OK) {
        mio_store_commit(e->store, &e->state, &err);
    }
    return err.code ? mio_engine_fail(e, &err) : MIO_OK;
}

/* The resource of the root module that an address belongs to. */
static const struct mio_res *res_of(struct mio_engine *e, const struct mio_address *ad)
{
    for (size_t i = 0; i < e->stack.nres; i++) {
        const struct mio_res *r = e->stack.res[i];
        bool same_module = r->mod->prefix.n ? r->mod->prefix.n == ad->module.n + 1 &&
                                                  memcmp(r->mod->prefix.p, ad->module.p, ad->module.n) == 0
                                            : ad->module.n == 0;
        if (same_module && mio_str_eq(r->block->kind, ad->kind) && mio_str_eq(r->block->name, ad->name))
            return r;
    }
    return NULL;
}

static enum mio_code import_one(struct mio_engine *e, const struct mio_import_block *b, struct mio_str to,
                                struct mio_str id, struct mio_err *err)
{
    struct mio_address ad;
    if (mio_address_parse(&e->arena, to, &ad, err))
        return mio_err_at(err, b->pos);
    if (mio_state_find(&e->state, to, MIO_STR("")))
        return MIO_OK; /* imported by an earlier apply */
    const struct mio_res *res = res_of(e, &ad);
    if (!res || !res->kind) {
        mio_fail(err, MIO_TEMPLATE, "there is no resource %.*s to import into", MIO_FMT(to));
        mio_err_hint(err, "Declare it under `resources:`, or write it with `plan -generate-config-out=FILE`.");
        return mio_err_at(err, b->pos);
    }
    if (import_row(e, res, mio_arena_str(&e->arena, to), id, err))
        return mio_err_at(err, b->pos);
    struct mio_imported *one = &MIO_PUSH(&e->arena, e->imported, e->nimported, e->imported_cap);
    *one = (struct mio_imported){mio_arena_str(&e->arena, to), id};
    return MIO_OK;
}

/* One import block; with for_each, one object a key. */
static enum mio_code import_block(struct mio_engine *e, const struct mio_import_block *b, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = &e->stack, .mod = e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_value id, each;
    if (!b->for_each) {
        if (mio_node_eval(b->id, &scope, &id, err))
            return err->code;
        return import_one(e, b, b->to, mio_value_str(id), err);
    }
    if (mio_node_eval(b->for_each, &scope, &each, err))
        return err->code;
    if (each.type != MIO_MAP) {
        mio_fail(err, MIO_TEMPLATE, "for_each of an import must be a map of keys to ids");
        return mio_err_at(err, b->for_each->pos);
    }
    struct mio_inst self = {0};
    for (uint32_t i = 0; !err->code && i < each.n; i++) {
        self.key = mio_string(each.pairs[i].key);
        self.each = each.pairs[i].value;
        e->stack.self = &self;
        MIO_AUTO_BUF to = {0};
        mio_buf_printf(&to, "%.*s[", MIO_FMT(b->to));
        mio_json_string(&to, each.pairs[i].key);
        mio_buf_char(&to, ']');
        if (mio_node_eval(b->id, &scope, &id, err) == MIO_OK)
            import_one(e, b, mio_buf_view(&to), mio_value_str(id), err);
    }
    e->stack.self = NULL;
    return err->code;
}

void mio_engine_import_blocks(struct mio_engine *e)
{
    for (size_t i = 0; i < e->tpl->imports.n; i++) {
        struct mio_err err = {0};
        if (import_block(e, &e->tpl->imports.items[i], &err))
            mio_engine_fail(e, &err);
    }
}

static void quoted(struct mio_buf *b, struct mio_str s)
{
    mio_json_string(b, s);
}

enum mio_code mio_engine_graph(struct mio_engine *e, struct mio_buf *dot)
{
    const struct mio_plan *plan;
    struct mio_plan_opts o = {.mode = MIO_PLAN_NORMAL, .refresh = false};
    enum mio_code rc = mio_engine_plan(e, &o, &plan);
    if (rc)
        return rc;
    mio_buf_z(dot, "digraph {\n  rankdir = \"RL\";\n  node [shape = rect, fontname = \"sans-serif\"];\n");
    for (size_t i = 0; i < e->stack.ninsts; i++) {
        mio_buf_z(dot, "  ");
        quoted(dot, e->stack.insts[i]->address);
        mio_buf_z(dot, ";\n");
    }
    for (size_t i = 0; i < e->stack.ninsts; i++)
        for (size_t k = 0; k < e->stack.insts[i]->deps.n; k++) {
            mio_buf_z(dot, "  ");
            quoted(dot, e->stack.insts[i]->address);
            mio_buf_z(dot, " -> ");
            quoted(dot, e->stack.insts[i]->deps.items[k]->address);
            mio_buf_z(dot, ";\n");
        }
    mio_buf_z(dot, "}\n");
    return MIO_OK;
}

enum mio_code mio_engine_eval(struct mio_engine *e, struct mio_str text, struct mio_value *out, struct mio_err *err)
{
    if (!e->planned) {
        const struct mio_plan *plan;
        struct mio_plan_opts o = {.mode = MIO_PLAN_NORMAL, .refresh = false};
        enum mio_code rc = mio_engine_plan(e, &o, &plan);
        if (rc)
            return mio_fail(err, rc, "the template has errors");
    }
    struct mio_diags diags;
    mio_diags_init(&diags, &e->arena);
    MIO_PUSH(&e->arena, e->sources.items, e->sources.n, e->sources.cap) =
        (struct mio_source){MIO_STR("console"), mio_arena_str(&e->arena, text)};
    struct mio_pos at = {(uint32_t)e->sources.n, 1, 1, (uint32_t)text.n};
    const struct mio_expr *x = mio_expr_parse(&e->arena, e->sources.items[e->sources.n - 1].text, at, &diags);
    if (!x) {
        *err = diags.items[0].err;
        return err->code;
    }
    struct mio_scope_arg arg = {.st = &e->stack, .mod = e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    return mio_expr_eval(x, &scope, out, err);
}
