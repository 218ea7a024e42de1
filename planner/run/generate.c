/* planner/run/generate.c: the blocks that `plan -generate-config-out` writes for imports that have
 * none: one for each resource, with for_each or count when the addresses have keys, in the folder
 * of the module that it belongs to. See internal.h. */
#include "planner/run/internal.h"

/* The first provider that has the kind. */
static struct mio_prov *provider_of(struct mio_engine *e, struct mio_str kind)
{
    for (size_t i = 0; i < e->provs.n; i++)
        if (e->provs.items[i].schema && mio_schema_kind(e->provs.items[i].schema, kind))
            return &e->provs.items[i];
    return NULL;
}

/* The module instance with this address ("" for the root), or NULL. */
static const struct mio_modinst *module_of(const struct mio_engine *e, struct mio_str address)
{
    if (address.n == 0)
        return e->stack.root;
    for (size_t i = 0; i < e->stack.ncalls; i++)
        for (size_t k = 0; k < e->stack.calls[i]->n; k++) {
            struct mio_str prefix = e->stack.calls[i]->items[k]->prefix;
            if (mio_str_eq(mio_str_sub(prefix, 0, prefix.n - 1), address))
                return e->stack.calls[i]->items[k];
        }
    return NULL;
}

static enum mio_code check_module(const struct mio_modinst *m, struct mio_str address,
                                  struct mio_err *err)
{
    if (!m)
        return mio_fail(err, MIO_TEMPLATE, "the template has no %.*s", MIO_FMT(address));
    if (!memmem(m->tpl->dir.p, m->tpl->dir.n, "/.mlops-iac/modules/", 20))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "%.*s is fetched: no block can be written into it",
             MIO_FMT(address));
    return mio_err_hint(err, "Import into a resource that it has, or into one of your own.");
}

enum mio_code mio_engine_generate(struct mio_engine *e, const struct mio_address *ad,
                                  struct mio_str id, struct mio_err *err)
{
    struct mio_prov *prov = provider_of(e, ad->kind);
    const struct mio_modinst *m = module_of(e, ad->module);
    struct mio_object o = {0};
    if (check_module(m, ad->module, err))
        return err->code;
    if (!prov)
        return mio_fail(err, MIO_TEMPLATE, "no provider of the template has the kind \"%.*s\"",
                        MIO_FMT(ad->kind));
    const struct mio_kind *kind = mio_schema_kind(prov->schema, ad->kind);
    if (mio_prov_configure(&e->provs, prov, &e->stack, e->state.lineage, err) ||
        mio_import_fetch(e, prov, kind, id, &o, err))
        return err->code;
    MIO_PUSH(&e->arena, e->generated, e->ngenerated, e->generated_cap) = (struct mio_generated){
        .module = mio_arena_str(&e->arena, ad->module),
        .dir = m->tpl->dir,
        .kind = mio_arena_str(&e->arena, ad->kind),
        .name = mio_arena_str(&e->arena, ad->name),
        .key = mio_value_copy(&e->arena, ad->key),
        .provider = prov->block && prov->block->for_each ? prov->name : MIO_STR(""),
        .schema = kind,
        .inputs =
            mio_import_inputs(&e->arena, kind, mio_mark(&e->arena, &kind->root, o.attributes))};
    return MIO_OK;
}

/* ---- text ---- */

/* JSON is YAML and an expression, too; text that would read as an expression is escaped. */
static void put_json(struct mio_buf *out, struct mio_value v)
{
    MIO_AUTO_BUF json = {0};
    mio_json_write(&json, v, MIO_JSON_OPEN);
    for (size_t i = 0; i < json.n; i++) {
        if ((json.p[i] == '$' || json.p[i] == '%') && i + 1 < json.n && json.p[i + 1] == '{')
            mio_buf_char(out, json.p[i]);
        mio_buf_char(out, json.p[i]);
    }
}

/* The objects of one block. */
struct group {
    struct mio_generated *const *items;
    size_t n;
    bool keyed;   /* for_each or count */
    bool modules; /* of several instances of the module */
};

static struct mio_value value_of(const struct mio_generated *g, struct mio_str key)
{
    const struct mio_field *f = mio_field_get(&g->schema->root, key);
    const struct mio_value *v = mio_get(g->inputs, key);
    bool said = v && !mio_is_null(*v) && !(f && f->has_default && mio_equal(*v, f->dflt));
    return said ? *v : mio_null();
}

static bool differs(const struct group *g, struct mio_str key)
{
    for (size_t i = 1; i < g->n; i++)
        if (!mio_equal(value_of(g->items[0], key), value_of(g->items[i], key)))
            return true;
    return false;
}

static bool is_secret(const struct group *g, struct mio_str key)
{
    for (size_t i = 0; i < g->n; i++)
        if (mio_has_sensitive(value_of(g->items[i], key)))
            return true;
    return false;
}

static void put_field(struct mio_buf *out, const struct group *g, struct mio_str key)
{
    struct mio_value first = value_of(g->items[0], key);
    bool several = differs(g, key);
    if (!several && mio_is_null(first))
        return;
    if (is_secret(g, key)) {
        mio_buf_printf(out, "      # %.*s is sensitive: give it by a variable\n", MIO_FMT(key));
        return;
    }
    if (several && g->modules) {
        mio_buf_printf(out,
                       "      # %.*s differs between the instances of the module: give it by a "
                       "variable\n",
                       MIO_FMT(key));
        return;
    }
    mio_buf_printf(out, "      %.*s: ", MIO_FMT(key));
    if (!several) {
        put_json(out, first);
    } else if (g->items[0]->key.type == MIO_STRING) {
        mio_buf_printf(out, "\"${each.value.%.*s}\"", MIO_FMT(key));
    } else {
        MIO_AUTO_BUF text = {0};
        mio_buf_z(&text, "${[");
        for (size_t i = 0; i < g->n; i++) {
            mio_buf_z(&text, i ? ", " : "");
            put_json(&text, value_of(g->items[i], key));
        }
        mio_buf_z(&text, "][count.index]}");
        mio_json_string(out, mio_buf_view(&text));
    }
    mio_buf_char(out, '\n');
}

/* What differs between the objects, by key. */
static void put_each(struct mio_buf *out, const struct group *g, const struct mio_kind *kind)
{
    mio_buf_z(out, "      for_each:\n");
    for (size_t i = 0; i < g->n; i++) {
        bool first = true;
        mio_buf_z(out, "        ");
        put_json(out, g->items[i]->key);
        mio_buf_z(out, ": {");
        for (size_t k = 0; k < kind->root.nfields; k++) {
            struct mio_str key = kind->root.fields[k].name;
            if (!differs(g, key) || is_secret(g, key))
                continue;
            mio_buf_printf(out, "%s%.*s: ", first ? " " : ", ", MIO_FMT(key));
            put_json(out, value_of(g->items[i], key));
            first = false;
        }
        mio_buf_z(out, first ? "}\n" : " }\n");
    }
}

static void put_group(struct mio_buf *out, const struct group *g)
{
    const struct mio_generated *first = g->items[0];
    mio_buf_printf(out, "    %.*s:\n", MIO_FMT(first->name));
    if (g->keyed && first->key.type == MIO_STRING)
        put_each(out, g, first->schema);
    else if (g->keyed)
        mio_buf_printf(out, "      count: %zu\n", g->n);
    if (first->provider.n) {
        mio_buf_z(out, "      provider: ");
        mio_json_string(out, first->provider);
        mio_buf_char(out, '\n');
    }
    for (size_t k = 0; k < first->schema->root.nfields; k++)
        put_field(out, g, first->schema->root.fields[k].name);
}

/* ---- blocks ---- */

static bool same_block(const struct mio_generated *a, const struct mio_generated *b)
{
    return mio_str_eq(a->dir, b->dir) && mio_str_eq(a->kind, b->kind) &&
           mio_str_eq(a->name, b->name);
}

static int by_key(const void *x, const void *y)
{
    const struct mio_generated *a = *(struct mio_generated *const *)x,
                               *b = *(struct mio_generated *const *)y;
    int order = mio_compare(a->key, b->key);
    return order ? order : mio_str_cmp(a->module, b->module);
}

static enum mio_code check_group(const struct group *g, struct mio_err *err)
{
    const struct mio_generated *first = g->items[0];
    for (size_t i = 0; i < g->n; i++) {
        int64_t at;
        const struct mio_value key = g->items[i]->key;
        if (key.type != first->key.type || (g->keyed && g->modules))
            return mio_fail(err, MIO_TEMPLATE, "the keys of %.*s.%.*s do not make one block",
                            MIO_FMT(first->kind), MIO_FMT(first->name));
        if (key.type != MIO_NUMBER || (mio_value_i64(key, &at) && at == (int64_t)i))
            continue;
        mio_fail(err, MIO_TEMPLATE,
                 "%.*s.%.*s would need `count`, and its index %zu is not imported",
                 MIO_FMT(first->kind), MIO_FMT(first->name), i);
        return mio_err_hint(err, "Import every index from 0, or use keys of your own.");
    }
    return MIO_OK;
}

static void write_block(struct mio_engine *e, size_t from, struct mio_buf *out)
{
    struct mio_generated **items = MIO_NEW_N(&e->arena, struct mio_generated *, e->ngenerated + 1);
    struct group g = {.items = items};
    struct mio_err err = {0};
    for (size_t i = from; i < e->ngenerated; i++)
        if (same_block(&e->generated[from], &e->generated[i])) {
            items[g.n++] = &e->generated[i];
            g.modules |= !mio_str_eq(e->generated[i].module, e->generated[from].module);
        }
    qsort(items, g.n, sizeof *items, by_key);
    g.keyed = !mio_is_null(items[0]->key);
    if (check_group(&g, &err))
        mio_engine_fail(e, &err);
    else
        put_group(out, &g);
}

/* Is `i` the first of the blocks, or of the kind, or of the folder that it belongs to? */
static bool is_first(const struct mio_engine *e, size_t i, bool kind, bool block)
{
    const struct mio_generated *g = e->generated;
    for (size_t k = 0; k < i; k++)
        if (mio_str_eq(g[k].dir, g[i].dir) && (!kind || mio_str_eq(g[k].kind, g[i].kind)) &&
            (!block || mio_str_eq(g[k].name, g[i].name)))
            return false;
    return true;
}

static void write_file(struct mio_engine *e, size_t from, struct mio_buf *out)
{
    mio_buf_z(out, "# Written for import blocks from what the platform says. Review it: required "
                   "secrets are missing, and\n"
                   "# names and ids may better be references.\nresources:\n");
    for (size_t i = from; i < e->ngenerated; i++) {
        if (!mio_str_eq(e->generated[i].dir, e->generated[from].dir) ||
            !is_first(e, i, true, false))
            continue;
        mio_buf_printf(out, "  %.*s:\n", MIO_FMT(e->generated[i].kind));
        for (size_t k = i; k < e->ngenerated; k++)
            if (mio_str_eq(e->generated[k].dir, e->generated[i].dir) &&
                mio_str_eq(e->generated[k].kind, e->generated[i].kind) &&
                is_first(e, k, true, true))
                write_block(e, k, out);
    }
}

void mio_engine_generated(struct mio_engine *e, struct mio_generated_file **out, size_t *n)
{
    *out = MIO_NEW_N(&e->arena, struct mio_generated_file, e->ngenerated + 1);
    *n = 0;
    for (size_t i = 0; i < e->ngenerated; i++) {
        if (!is_first(e, i, false, false))
            continue;
        MIO_AUTO_BUF text = {0};
        write_file(e, i, &text);
        (*out)[(*n)++] = (struct mio_generated_file){
            .dir = e->generated[i].module.n ? e->generated[i].dir : MIO_STR(""),
            .text = mio_arena_str(&e->arena, mio_buf_view(&text))};
    }
}
