/* planner/change/providers.c: see providers.h. */
#include "planner/change/providers.h"

static struct mio_prov *add(struct mio_provs *p, struct mio_str name, struct mio_str type,
                            const struct mio_provider_block *b)
{
    struct mio_prov *it = &MIO_PUSH(p->arena, p->items, p->n, p->cap);
    *it = (struct mio_prov){.name = name, .type = type, .block = b};
    return it;
}

void mio_provs_init(struct mio_provs *p, const struct mio_template *tpl)
{
    for (size_t i = 0; i < tpl->providers.n; i++)
        add(p, tpl->providers.items[i].name, tpl->providers.items[i].type,
            &tpl->providers.items[i]);
    if (p->n == 0)
        add(p, MIO_STR("local"), MIO_STR("local"), NULL);
}

struct mio_prov *mio_provs_find(struct mio_provs *p, struct mio_str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (mio_str_eq(p->items[i].name, name))
            return &p->items[i];
    return NULL;
}

static const struct mio_lock_entry *locked(const struct mio_provs *p, struct mio_str type)
{
    for (size_t i = 0; i < p->lock.n; i++)
        if (mio_str_eq(p->lock.items[i].type, type))
            return &p->lock.items[i];
    return NULL;
}

enum mio_code mio_prov_open(struct mio_provs *p, struct mio_prov *it, struct mio_err *err)
{
    if (it->plugin)
        return MIO_OK;
    const struct mio_lock_entry *entry = p->have_lock ? locked(p, it->type) : NULL;
    if (p->have_lock && !entry) {
        mio_fail(err, MIO_PROVIDER, "the provider plugin \"%.*s\" is not in the lock file",
                 MIO_FMT(it->type));
        mio_err_hint(err, "Run `mlops-iac init`; it finds the plugin and records its digest.");
        return it->block ? mio_err_at(err, it->block->pos) : err->code;
    }
    struct mio_str path = entry ? entry->path : MIO_STR("");
    if (path.n == 0 &&
        mio_plugin_find(p->arena, it->type, p->plugin_dirs, p->program_dir, &path, err))
        return it->block ? mio_err_at(err, it->block->pos) : err->code;
    struct mio_provider_opts o = {
        .instance = it->name,
        .plugin_path = mio_arena_z(p->arena, path),
        .sha256 = entry ? entry->sha256 : MIO_STR(""),
        .host_program = p->host_program,
        .config = mio_null(),
        .base_dir = p->base_dir,
        .stage = p->stage,
        .parallelism = p->parallelism,
        .on_log = p->on_log,
        .arg = p->arg,
    };
    if (mio_provider_open(p->arena, &o, &it->plugin, err) ||
        mio_provider_schema(it->plugin, &it->schema, err))
        return it->block ? mio_err_at(err, it->block->pos) : err->code;
    return MIO_OK;
}

enum mio_code mio_prov_configure(struct mio_provs *p, struct mio_prov *it, struct mio_stack *st,
                                 struct mio_str lineage, struct mio_err *err)
{
    if (it->configured)
        return MIO_OK;
    if (mio_prov_open(p, it, err))
        return err->code;
    struct mio_value config;
    const struct mio_node *map = it->block ? it->block->config : NULL;
    struct mio_pos pos = it->block ? it->block->pos : (struct mio_pos){0};
    struct mio_deps deps = {0}, *outer = st->collect;
    st->collect = &deps;
    enum mio_code rc =
        mio_object_eval(st, st->root, map, &it->schema->config, pos, "the provider", &config, err);
    st->collect = outer;
    err->reported = rc != MIO_OK; /* each fault was, where it stands */
    if (rc == MIO_OK && (deps.n || mio_has_unknown(config))) {
        mio_fail(err, MIO_TEMPLATE, "the settings of provider \"%.*s\" depend on resources",
                 MIO_FMT(it->name));
        mio_err_hint(
            err,
            "Use variables, locals and the stage in provider settings: they are needed before any "
            "resource can be read.");
        rc = mio_err_at(err, pos);
    }
    if (rc == MIO_OK)
        rc = mio_provider_configure(it->plugin, config, lineage, err);
    it->configured = rc == MIO_OK;
    return rc;
}

/* The provider that a block names, or the first whose plugin has the kind. */
static struct mio_prov *choose(struct mio_provs *p, struct mio_stack *st, struct mio_res *r,
                               struct mio_err *err)
{
    const struct mio_node *named = r->block->provider;
    struct mio_scope_arg arg = {.st = st, .mod = r->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_value v;
    if (named) {
        if (mio_node_eval(named, &scope, &v, err))
            return NULL;
        struct mio_prov *it = mio_provs_find(p, mio_value_str(v));
        if (!it) {
            mio_fail(err, MIO_TEMPLATE, "there is no provider \"%.*s\"", MIO_FMT(mio_value_str(v)));
            mio_err_hint(err, "Declare it under `providers:`.");
            mio_err_at(err, named->pos);
        }
        return it;
    }
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].block || p->n == 1)
            if (p->items[i].schema && mio_schema_kind(p->items[i].schema, r->block->kind))
                return &p->items[i];
    return p->n ? &p->items[0] : NULL;
}

static void no_kind(struct mio_provs *p, struct mio_res *r, const struct mio_prov *it,
                    struct mio_err *err)
{
    struct mio_str names[256];
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; p->items[i].schema && k < p->items[i].schema->nkinds && n < 256; k++)
            names[n++] = p->items[i].schema->kinds[k].name;
    struct mio_str near = mio_str_nearest(r->block->kind, names, n);
    mio_fail(err, MIO_TEMPLATE, "the provider \"%.*s\" has no kind \"%.*s\"", MIO_FMT(it->name),
             MIO_FMT(r->block->kind));
    if (near.n) {
        mio_err_hint(err, "Did you mean %.*s?", MIO_FMT(near));
    } else {
        char list[200] = "";
        size_t at = 0;
        for (size_t i = 0; i < n && at < sizeof list - 40; i++)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%.*s", i ? ", " : "",
                                   MIO_FMT(names[i]));
        mio_err_hint(err, "Known kinds: %s.", list);
    }
    mio_err_at(err, r->block->pos);
}

enum mio_code mio_provs_bind(struct mio_provs *p, struct mio_stack *st)
{
    size_t before = st->diags->errors;
    for (size_t i = 0; i < p->n; i++) {
        struct mio_err err = {0};
        if (mio_prov_open(p, &p->items[i], &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    if (st->diags->errors > before)
        return st->diags->items[st->diags->n - 1].err.code;
    for (size_t i = 0; i < st->nres; i++) {
        struct mio_res *r = st->res[i];
        struct mio_err err = {0};
        struct mio_prov *it = choose(p, st, r, &err);
        if (it) {
            r->provider = it->name;
            r->kind = it->schema ? mio_schema_kind(it->schema, r->block->kind) : NULL;
            if (!r->kind)
                no_kind(p, r, it, &err);
            else if (r->block->is_data && !(r->kind->flags & MLOPS_KIND_DATA)) {
                mio_fail(&err, MIO_TEMPLATE,
                         "%.*s cannot be looked up with data:", MIO_FMT(r->block->kind));
                mio_err_at(&err, r->block->pos);
            }
        }
        if (err.code)
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    return st->diags->errors > before ? MIO_TEMPLATE : MIO_OK;
}

void mio_provs_close(struct mio_provs *p)
{
    for (size_t i = 0; i < p->n; i++)
        mio_provider_close(p->items[i].plugin);
    p->n = 0;
}
