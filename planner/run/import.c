/* planner/run/import.c: taking existing objects under management: `import` and import blocks. See
 * engine.h. */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"

enum mio_code mio_import_fetch(struct mio_engine *e, const struct mio_prov *prov,
                               const struct mio_kind *kind, struct mio_str id, struct mio_object *o,
                               struct mio_err *err)
{
    struct mio_call_opts opts = {.deadline_ms = mio_now_ms() + 60000, .cancel = e->opts.abort};
    if (mio_provider_import(prov->plugin, &e->arena, kind->name, id, &opts, o, err))
        return err->code;
    if (o->status == MLOPS_NOT_FOUND) {
        mio_fail(err, MIO_REALITY, "provider \"%.*s\" has no %.*s with the id \"%.*s\"",
                 MIO_FMT(prov->name), MIO_FMT(kind->name), MIO_FMT(id));
        return mio_err_hint(err, "Check the id and the settings of the provider.");
    }
    return MIO_OK;
}

struct mio_value mio_import_inputs(struct mio_arena *a, const struct mio_kind *kind,
                                   struct mio_value attributes)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, attributes.n + 1u);
    size_t n = 0;
    for (uint32_t i = 0; i < attributes.n; i++) {
        const struct mio_field *f = mio_field_get(&kind->root, attributes.pairs[i].key);
        if (f && mio_field_is_input(f))
            pairs[n++] = attributes.pairs[i];
    }
    return mio_map(pairs, n);
}

/* Two addresses for one object would let each undo what the other says. */
static enum mio_code check_free(struct mio_engine *e, const struct mio_prov *prov,
                                const struct mio_kind *kind, struct mio_str id, struct mio_err *err)
{
    for (size_t i = 0; i < e->state.nrows; i++) {
        const struct mio_row *r = &e->state.rows[i];
        if (!mio_str_eq(r->id, id) || !mio_str_eq(r->kind, kind->name) ||
            !mio_str_eq(r->provider, prov->name))
            continue;
        mio_fail(err, MIO_TEMPLATE, "the object \"%.*s\" is recorded as %.*s already", MIO_FMT(id),
                 MIO_FMT(r->address));
        return mio_err_hint(err, "A `moved` block gives what is recorded another address.");
    }
    return MIO_OK;
}

/* Reads an object of the platform and records it under an address of the template, in memory. */
static enum mio_code import_row(struct mio_engine *e, const struct mio_prov *prov,
                                const struct mio_kind *kind, struct mio_str address,
                                struct mio_str id, struct mio_err *err)
{
    struct mio_object o = {0};
    if (mio_import_fetch(e, prov, kind, id, &o, err) ||
        check_free(e, prov, kind, o.id.n ? o.id : id, err))
        return err->code;
    struct mio_value attributes = mio_mark(&e->arena, &kind->root, o.attributes);
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct mio_record rec = {
        .digest = MIO_STR(zeros),
        .address = address,
        .kind = kind->name,
        .provider = prov->name,
        .id = o.id.n ? o.id : id,
        .fingerprint = o.fingerprint,
        .schema_version = kind->schema_version,
        .inputs = mio_keep(&e->arena, &e->state, mio_import_inputs(&e->arena, kind, attributes)),
        .attributes = mio_keep(&e->arena, &e->state, attributes),
        .content = mio_map(NULL, 0),
        .dependencies = mio_list(NULL, 0),
        .generation = 1};
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
        (rc = mio_stack_expand(&e->stack)) || (rc = mio_engine_configure(e, false)))
        return rc;
    struct mio_inst *inst = mio_stack_find(&e->stack, address);
    struct mio_prov *prov = NULL;
    const struct mio_row *row = mio_state_find(&e->state, address, MIO_STR(""));
    if (!inst) {
        mio_fail(&err, MIO_USAGE, "the template has no resource %.*s", MIO_FMT(address));
        mio_err_hint(&err, "Write its block first; import then fills the state.");
    } else if (row && row->status != MIO_ROW_UNCONFIRMED) {
        mio_fail(&err, MIO_USAGE, "%.*s is in the state already", MIO_FMT(address));
        mio_err_hint(
            &err,
            "To record another object under that address, run `mlops-iac state rm '%.*s'` first.",
            MIO_FMT(address));
    } else if (mio_prov_of(&e->provs, &e->stack, inst, &prov, &err) == MIO_OK &&
               import_row(e, prov, inst->res->kind, inst->address, id, &err) == MIO_OK) {
        mio_store_commit(e->store, &e->state, &err);
    }
    return err.code ? mio_engine_fail(e, &err) : MIO_OK;
}

/* The provider of an instance that may not have been unfolded: only one with a provider of its own
 * has to be. */
static enum mio_code provider_for(struct mio_engine *e, struct mio_res *res, struct mio_str address,
                                  struct mio_prov **out, struct mio_err *err)
{
    *out = mio_provs_find(&e->provs, res->provider);
    if (!res->block->provider)
        return MIO_OK;
    if (mio_stack_expand_res(&e->stack, res, err))
        return err->code;
    for (size_t i = 0; i < res->n; i++)
        if (mio_str_eq(res->insts[i].address, address))
            return mio_prov_of(&e->provs, &e->stack, &res->insts[i], out, err);
    return mio_fail(err, MIO_TEMPLATE, "the template has no %.*s to import into", MIO_FMT(address));
}

/* The resource of the root module that an address belongs to. */
static struct mio_res *res_of(struct mio_engine *e, const struct mio_address *ad)
{
    for (size_t i = 0; i < e->stack.nres; i++) {
        struct mio_res *r = e->stack.res[i];
        if (r->block->is_data == ad->is_data && mio_res_in_module(r, ad->module) &&
            mio_str_eq(r->block->kind, ad->kind) && mio_str_eq(r->block->name, ad->name))
            return r;
    }
    return NULL;
}

static enum mio_code import_one(struct mio_engine *e, const struct mio_import_block *b,
                                struct mio_str to, struct mio_str id, struct mio_err *err)
{
    struct mio_address ad;
    if (mio_address_parse(&e->arena, to, &ad, err))
        return mio_err_at(err, b->pos);
    for (size_t i = 0; i < e->nimported; i++)
        if (mio_str_eq(e->imported[i].address, to)) {
            mio_fail(err, MIO_TEMPLATE, "two objects are imported to %.*s", MIO_FMT(to));
            return mio_err_at(err, b->pos);
        }
    if (mio_state_find(&e->state, to, MIO_STR("")))
        return MIO_OK; /* imported by an earlier apply */
    if (ad.is_data) {
        mio_fail(err, MIO_TEMPLATE, "%.*s is only looked up: nothing is imported to it",
                 MIO_FMT(to));
        return mio_err_at(err, b->pos);
    }
    struct mio_res *res = res_of(e, &ad);
    if (!res && e->generating)
        return mio_engine_generate(e, &ad, id, err) ? mio_err_at(err, b->pos) : MIO_OK;
    if (!res || !res->kind) {
        mio_fail(err, MIO_TEMPLATE, "there is no resource %.*s to import into", MIO_FMT(to));
        mio_err_hint(
            err,
            "Declare it under `resources:`, or write it with `plan -generate-config-out=FILE`.");
        return mio_err_at(err, b->pos);
    }
    struct mio_prov *prov;
    if (provider_for(e, res, to, &prov, err) ||
        import_row(e, prov, res->kind, mio_arena_str(&e->arena, to), id, err))
        return mio_err_at(err, b->pos);
    struct mio_imported *one = &MIO_PUSH(&e->arena, e->imported, e->nimported, e->imported_cap);
    *one = (struct mio_imported){mio_arena_str(&e->arena, to), id, b->pos};
    return MIO_OK;
}

void mio_engine_check_imported(struct mio_engine *e)
{
    for (size_t i = 0; i < e->nimported; i++) {
        const struct mio_imported *one = &e->imported[i];
        struct mio_err err = {0};
        if (mio_stack_find(&e->stack, one->address))
            continue;
        mio_fail(&err, MIO_TEMPLATE, "the template has no instance %.*s to import into",
                 MIO_FMT(one->address));
        mio_err_hint(&err, "Its count or for_each makes others; what is imported to none of them "
                           "would be destroyed.");
        mio_err_at(&err, one->pos);
        mio_engine_fail(e, &err);
    }
}

/* The address of one object: as it is written, or the key of for_each behind it. */
static enum mio_code target(struct mio_engine *e, const struct mio_import_block *b,
                            const struct mio_scope *scope, struct mio_value key,
                            struct mio_str *out, struct mio_err *err)
{
    struct mio_value v;
    if (b->to_node) {
        if (mio_node_eval(b->to_node, scope, &v, err))
            return err->code;
        if (v.type != MIO_STRING)
            mio_fail(err, MIO_TEMPLATE, "`to` must give an address");
        *out = mio_value_str(v);
        return err->code ? mio_err_at(err, b->to_node->pos) : MIO_OK;
    }
    MIO_AUTO_BUF to = {0};
    mio_buf_str(&to, b->to);
    if (!mio_is_null(key)) {
        mio_buf_char(&to, '[');
        mio_json_string(&to, mio_value_str(key));
        mio_buf_char(&to, ']');
    }
    *out = mio_arena_str(&e->arena, mio_buf_view(&to));
    return MIO_OK;
}

static enum mio_code import_with(struct mio_engine *e, const struct mio_import_block *b,
                                 struct mio_inst *self, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = &e->stack, .mod = e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_value id;
    struct mio_str to;
    e->stack.self = self;
    bool ok = target(e, b, &scope, self ? self->key : mio_null(), &to, err) == MIO_OK &&
              mio_node_eval(b->id, &scope, &id, err) == MIO_OK;
    e->stack.self = NULL;
    if (!ok)
        return err->code;
    if (mio_value_str(id).n == 0) {
        mio_fail(err, MIO_TEMPLATE, "the id of what is imported must be text that is known now");
        return mio_err_at(err, b->id->pos);
    }
    return import_one(e, b, to, mio_value_str(id), err);
}

/* One import block; with for_each, one object a key. */
static enum mio_code import_block(struct mio_engine *e, const struct mio_import_block *b,
                                  struct mio_err *err)
{
    struct mio_value each;
    if (!b->for_each)
        return import_with(e, b, NULL, err);
    if (mio_stack_each(&e->stack, b->for_each, &each, err))
        return err->code;
    for (uint32_t i = 0; each.type == MIO_MAP && !err->code && i < each.n; i++) {
        struct mio_inst self = {.key = mio_string(each.pairs[i].key), .each = each.pairs[i].value};
        import_with(e, b, &self, err);
    }
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
