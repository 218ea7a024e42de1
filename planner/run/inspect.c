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

static enum mio_code import_row(struct mio_engine *e, struct mio_inst *inst, struct mio_str id, struct mio_err *err)
{
    struct mio_prov *prov = mio_provs_find(&e->provs, inst->res->provider);
    struct mio_object o = {0};
    struct mio_call_opts opts = {.deadline_ms = mio_now_ms() + 60000, .cancel = e->opts.abort};
    const struct mio_kind *kind = inst->res->kind;
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
        .digest = MIO_STR(zeros), .address = inst->address, .kind = kind->name, .provider = prov->name,
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
    } else if (import_row(e, inst, id, &err) == MIO_OK) {
        mio_store_commit(e->store, &e->state, &err);
    }
    return err.code ? mio_engine_fail(e, &err) : MIO_OK;
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
    struct mio_scope_arg arg = {&e->stack, e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    return mio_expr_eval(x, &scope, out, err);
}
