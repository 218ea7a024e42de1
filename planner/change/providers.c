/* planner/change/providers.c: see providers.h. */
#include "planner/change/providers.h"
#include "providers/sdk/json.h"

static struct mio_prov *add(struct mio_provs *p, struct mio_str name, struct mio_str type,
                            const struct mio_provider_block *b)
{
    struct mio_prov *it = &MIO_PUSH(p->arena, p->items, p->n, p->cap);
    *it = (struct mio_prov){.name = name,
                            .type = type,
                            .block = b,
                            .key = mio_null(),
                            .each = mio_null(),
                            .folded = b && b->for_each};
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

bool mio_prov_has(struct mio_provs *p, struct mio_str name)
{
    const struct mio_prov *it = mio_provs_find(p, name);
    return it && !it->folded;
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

static enum mio_code on_resources(const struct mio_prov *it, struct mio_err *err)
{
    mio_fail(err, MIO_TEMPLATE, "the settings of provider \"%.*s\" depend on resources",
             MIO_FMT(it->name));
    mio_err_hint(err,
                 "Use variables, locals and the stage in provider settings: they are needed before "
                 "any resource can be read.");
    return it->block ? mio_err_at(err, it->block->pos) : err->code;
}

enum mio_code mio_prov_settings(struct mio_stack *st, const struct mio_prov *it,
                                struct mio_value *config, struct mio_err *err)
{
    struct mio_inst self = {.key = it->key, .each = it->each}, *outer = st->self;
    const struct mio_node *map = it->block ? it->block->config : NULL;
    struct mio_deps deps = {0}, *outer_deps = st->collect;
    st->self = mio_is_null(it->key) ? NULL : &self;
    st->collect = &deps;
    enum mio_code rc = mio_object_eval(st, st->root, map, &it->schema->config,
                                       it->block ? it->block->pos : (struct mio_pos){0},
                                       "the provider", config, err);
    st->self = outer;
    st->collect = outer_deps;
    err->reported = rc != MIO_OK; /* each fault was, where it stands */
    return rc == MIO_OK && deps.n ? on_resources(it, err) : rc;
}

enum mio_code mio_prov_configure(struct mio_provs *p, struct mio_prov *it, struct mio_stack *st,
                                 struct mio_str lineage, struct mio_err *err)
{
    if (it->configured || it->folded)
        return MIO_OK;
    if (mio_prov_open(p, it, err))
        return err->code;
    struct mio_value config;
    enum mio_code rc = mio_prov_settings(st, it, &config, err);
    if (rc == MIO_OK && mio_has_unknown(config))
        rc = on_resources(it, err);
    if (rc == MIO_OK)
        rc = mio_provider_configure(it->plugin, config, lineage, err);
    it->configured = rc == MIO_OK;
    return rc;
}

enum mio_code mio_provs_function(void *arg, struct mio_str provider, struct mio_str name,
                                 struct mio_value args, struct mio_value *out, struct mio_err *err)
{
    struct mio_provs *p = arg;
    struct mio_prov *it = mio_provs_find(p, provider);
    if (!it) {
        struct mio_str *names = MIO_NEW_N(p->arena, struct mio_str, p->n + 1);
        for (size_t i = 0; i < p->n; i++)
            names[i] = p->items[i].name;
        struct mio_str near = mio_str_nearest(provider, names, p->n);
        mio_fail(err, MIO_TEMPLATE, "there is no provider \"%.*s\" in the template",
                 MIO_FMT(provider));
        return near.n ? mio_err_hint(err, "did you mean \"%.*s\"?", MIO_FMT(near))
                      : mio_err_hint(err, "Name it below `providers`.");
    }
    if (mio_prov_open(p, it, err))
        return err->code;
    enum mio_code rc = mio_provider_function(it->plugin, p->arena, name, args, out, err);
    return rc ? mio_err_wrap(err, "provider::%.*s::%.*s()", MIO_FMT(provider), MIO_FMT(name)) : rc;
}

/* ---- for_each ---- */

static void unfold(struct mio_provs *p, struct mio_stack *st, struct mio_prov folded)
{
    struct mio_err err = {0};
    struct mio_value each;
    if (mio_stack_each(st, folded.block->for_each, &each, &err)) {
        mio_diags_add(st->diags, MIO_ERROR, &err);
        each = mio_unknown(MIO_MAP);
    }
    if (each.type == MIO_UNKNOWN || each.n == 0) {
        MIO_PUSH(p->arena, p->items, p->n, p->cap) = folded;
        return;
    }
    for (uint32_t i = 0; i < each.n; i++) {
        MIO_AUTO_BUF name = {0};
        mio_buf_printf(&name, "%.*s[", MIO_FMT(folded.name));
        mio_json_string(&name, each.pairs[i].key);
        mio_buf_char(&name, ']');
        struct mio_prov *it =
            add(p, mio_arena_str(p->arena, mio_buf_view(&name)), folded.type, folded.block);
        it->key = mio_string(each.pairs[i].key);
        it->each = each.pairs[i].value;
        it->folded = false;
    }
}

/* Blocks with for_each become one provider a key, in their place. */
static void unfold_all(struct mio_provs *p, struct mio_stack *st)
{
    struct mio_prov *old = p->items;
    size_t n = p->n;
    p->items = NULL;
    p->n = p->cap = 0;
    for (size_t i = 0; i < n; i++) {
        if (old[i].folded && !old[i].plugin)
            unfold(p, st, old[i]);
        else
            MIO_PUSH(p->arena, p->items, p->n, p->cap) = old[i];
    }
}

/* ---- which provider a resource has ---- */

static bool names_instance(void *arg, const struct mio_ref *ref)
{
    bool *found = arg;
    *found = mio_str_is(ref->root, "each") || mio_str_is(ref->root, "count");
    return !*found;
}

/* `provider:` speaks of each or count: every instance has its own. */
static bool is_per_instance(const struct mio_node *named)
{
    bool found = false;
    if (named && named->type == MIO_NODE_SCALAR && named->expr)
        mio_expr_refs(named->expr, names_instance, &found);
    return found;
}

static struct mio_prov *of_block(struct mio_provs *p, struct mio_str block)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].block && mio_str_eq(p->items[i].block->name, block))
            return &p->items[i];
    return NULL;
}

/* NAME of NAME["KEY"]. */
static struct mio_str block_name(struct mio_str text)
{
    ptrdiff_t open = mio_str_find(text, '[');
    return open < 0 ? text : mio_str_sub(text, 0, (size_t)open);
}

/* "Did you mean NAME?" in the arena, of instances and their types; "" when none is near. */
static struct mio_str near_provider(struct mio_provs *p, struct mio_str name)
{
    struct mio_str *names = MIO_NEW_N(p->arena, struct mio_str, p->n * 2 + 1), near;
    for (size_t i = 0; i < p->n; i++) {
        names[2 * i] = block_name(p->items[i].name);
        names[2 * i + 1] = p->items[i].type;
    }
    near = mio_str_nearest(name, names, p->n * 2);
    return near.n ? mio_arena_printf(p->arena, "Did you mean %.*s?", MIO_FMT(near)) : near;
}

static void no_provider(struct mio_provs *p, struct mio_str name, struct mio_err *err)
{
    struct mio_str near = near_provider(p, block_name(name));
    struct mio_prov *same = of_block(p, block_name(name));
    bool bare = mio_str_eq(block_name(name), name);
    mio_fail(err, MIO_TEMPLATE, "there is no provider \"%.*s\"", MIO_FMT(name));
    if (!same)
        mio_err_hint(err, "%s", near.n ? near.p : "Declare it under `providers:`.");
    else if (!same->block->for_each)
        mio_err_hint(err, "%.*s has no for_each: write `provider: %.*s`.", MIO_FMT(same->name),
                     MIO_FMT(same->name));
    else if (same->folded)
        mio_err_hint(err, "The for_each of %.*s is empty.", MIO_FMT(same->block->name));
    else
        mio_err_hint(err, "%.*s has for_each: %s one of its keys, such as '%.*s'.",
                     MIO_FMT(same->block->name), bare ? "name" : "use", MIO_FMT(same->name));
}

/* By the name that an expression gave. */
static struct mio_prov *by_name(struct mio_provs *p, struct mio_value v, bool validating,
                                struct mio_pos pos, struct mio_err *err)
{
    struct mio_str name = mio_value_str(v);
    struct mio_prov *it = mio_provs_find(p, name);
    if (it && !it->folded)
        return it;
    it = of_block(p, block_name(name)); /* a for_each that is not known yet has every key */
    if (it && it->folded && validating && !mio_str_eq(block_name(name), name))
        return it;
    if (v.type == MIO_STRING)
        no_provider(p, name, err);
    else
        mio_fail(err, MIO_TEMPLATE, "`provider` is the name of a provider, not a %s",
                 v.type == MIO_UNKNOWN ? "value that only an apply knows"
                                       : mio_type_name((enum mio_type)v.type));
    mio_err_at(err, pos);
    return NULL;
}

/* The first provider whose plugin has the kind; one of a for_each must be named. */
static struct mio_prov *by_kind(struct mio_provs *p, const struct mio_block *b, struct mio_err *err)
{
    struct mio_prov *keyed = NULL;
    for (size_t i = 0; i < p->n; i++) {
        struct mio_prov *it = &p->items[i];
        if (!it->schema || !mio_schema_kind(it->schema, b->kind))
            continue;
        if (!it->block || !it->block->for_each)
            return it;
        keyed = keyed ? keyed : it;
    }
    if (!keyed)
        return p->n ? &p->items[0] : NULL;
    mio_fail(err, MIO_TEMPLATE, "%.*s.%.*s does not say which provider it belongs to",
             MIO_FMT(b->kind), MIO_FMT(b->name));
    mio_err_hint(err,
                 "%.*s has for_each: write `provider: '%.*s[\"KEY\"]'`, with \"${each.key}\" "
                 "where the resource has for_each, too.",
                 MIO_FMT(keyed->block->name), MIO_FMT(keyed->block->name));
    mio_err_at(err, b->pos);
    return NULL;
}

/* The provider that a block names, or the first whose plugin has the kind. */
static struct mio_prov *choose(struct mio_provs *p, struct mio_stack *st, struct mio_res *r,
                               struct mio_err *err)
{
    const struct mio_node *named = r->block->provider;
    struct mio_scope_arg arg = {.st = st, .mod = r->mod};
    struct mio_scope scope = mio_stack_scope(&arg);
    struct mio_value v;
    struct mio_prov *it = NULL;
    if (is_per_instance(named)) {
        it = of_block(p, block_name(mio_str_trim(named->text)));
        for (size_t i = 0; !it && i < p->n; i++)
            if (p->items[i].schema && mio_schema_kind(p->items[i].schema, r->block->kind))
                it = &p->items[i];
        for (size_t i = 0; it && i < p->n; i++)
            p->items[i].used |= mio_str_eq(p->items[i].type, it->type);
        return it ? it : by_kind(p, r->block, err);
    }
    if (!named)
        it = by_kind(p, r->block, err);
    else if (mio_node_eval(named, &scope, &v, err) == MIO_OK)
        it = v.type == MIO_UNKNOWN && st->validating
                 ? by_kind(p, r->block, err)
                 : by_name(p, v, st->validating, named->pos, err);
    if (it)
        it->used = true;
    return it;
}

enum mio_code mio_prov_of(struct mio_provs *p, struct mio_stack *st, struct mio_inst *inst,
                          struct mio_prov **out, struct mio_err *err)
{
    const struct mio_node *named = inst->res->block->provider;
    if (!inst->provider.n && is_per_instance(named)) {
        struct mio_scope_arg arg = {.st = st, .mod = inst->res->mod};
        struct mio_scope scope = mio_stack_scope(&arg);
        struct mio_inst *outer = st->self;
        struct mio_value v;
        st->self = inst;
        enum mio_code rc = mio_node_eval(named, &scope, &v, err);
        st->self = outer;
        struct mio_prov *first = mio_provs_find(p, inst->res->provider);
        struct mio_prov *it = rc ? NULL
                              : v.type == MIO_UNKNOWN && st->validating
                                  ? first
                                  : by_name(p, v, st->validating, named->pos, err);
        if (!it)
            return mio_err_at(err, named->pos);
        if (first && !mio_str_eq(it->type, first->type)) {
            mio_fail(err, MIO_TEMPLATE,
                     "the instances of one resource have providers of two plugins, "
                     "%.*s and %.*s",
                     MIO_FMT(first->type), MIO_FMT(it->type));
            return mio_err_at(err, named->pos);
        }
        inst->provider = it->name;
    } else if (!inst->provider.n) {
        inst->provider = inst->res->provider;
    }
    *out = mio_provs_find(p, inst->provider);
    return MIO_OK;
}

size_t mio_provs_kinds(const struct mio_provs *p, struct mio_str *names)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; p->items[i].schema && k < p->items[i].schema->nkinds; k++)
            if (n < MIO_PROVS_KINDS)
                names[n++] = p->items[i].schema->kinds[k].name;
    return n;
}

static void no_kind(struct mio_provs *p, struct mio_res *r, const struct mio_prov *it,
                    struct mio_err *err)
{
    struct mio_str names[MIO_PROVS_KINDS];
    size_t n = mio_provs_kinds(p, names);
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

/* `ignore_changes` names fields of the kind. */
static void check_ignored(struct mio_stack *st, const struct mio_res *r)
{
    const struct mio_node *life = mio_node_get(r->block->body, "lifecycle"),
                          *list = life ? mio_node_get(life, "ignore_changes") : NULL;
    const struct mio_field *root = &r->kind->root;
    for (size_t i = 0; list && list->type == MIO_NODE_SEQ && i < list->n; i++) {
        struct mio_str path = list->items[i]->text, names[64], hint = {0};
        size_t end = 0, n = 0;
        while (end < path.n && path.p[end] != '.' && path.p[end] != '[')
            end++;
        struct mio_str head = mio_str_sub(path, 0, end);
        if (mio_field_get(root, head) || mio_str_is(head, "all"))
            continue;
        for (; n < root->nfields && n < 64; n++)
            names[n] = root->fields[n].name;
        struct mio_str near = mio_str_nearest(head, names, n);
        if (near.n)
            hint = mio_arena_printf(st->arena, "Did you mean %.*s?", MIO_FMT(near));
        mio_diags_error(st->diags, MIO_TEMPLATE, list->items[i]->pos, hint.n ? hint.p : NULL,
                        "the kind %.*s has no field \"%.*s\" to ignore", MIO_FMT(r->block->kind),
                        MIO_FMT(head));
    }
}

/* `provider_options` has a map of settings for each type of provider that it names. Those of the
 * resource's own provider reach it with the other fields, if the kind has the field. */
static void check_options(struct mio_provs *p, struct mio_stack *st, const struct mio_res *r,
                          const struct mio_prov *own)
{
    bool taken = r->kind && mio_field_get(&r->kind->root, MIO_STR("provider_options"));
    const struct mio_node *options = mio_node_get(r->block->body, "provider_options");
    bool scalar = options && options->type == MIO_NODE_SCALAR;
    if (!options || (scalar && (options->expr || !options->text.n)))
        return;
    if (options->type != MIO_NODE_MAP)
        mio_diags_error(st->diags, MIO_TEMPLATE, options->pos,
                        "write `provider_options: { NAME: { ... } }`",
                        "provider_options is a map by the names of providers");
    for (size_t i = 0; options->type == MIO_NODE_MAP && i < options->n; i++) {
        const struct mio_entry *e = &options->entries[i];
        bool known = false;
        for (size_t k = 0; !known && k < p->n; k++)
            known = mio_str_eq(p->items[k].type, e->key);
        bool map = e->value->type == MIO_NODE_MAP;
        if (known && map && (taken || !e->value->n || !mio_str_eq(own->type, e->key)))
            continue;
        struct mio_str near = near_provider(p, e->key);
        if (known && map)
            mio_diags_error(st->diags, MIO_TEMPLATE, e->key_pos,
                            "Remove them; the settings of a provider stand under `providers:`.",
                            "%.*s of provider %.*s takes no options", MIO_FMT(r->block->kind),
                            MIO_FMT(own->type));
        else if (known)
            mio_diags_error(st->diags, MIO_TEMPLATE, e->value->pos, NULL,
                            "the options of provider %.*s are a map", MIO_FMT(e->key));
        else
            mio_diags_error(st->diags, MIO_TEMPLATE, e->key_pos,
                            near.n ? near.p : "The template's `providers:` names those it has.",
                            "provider_options: there is no provider of type \"%.*s\"",
                            MIO_FMT(e->key));
    }
}

enum mio_code mio_provs_bind(struct mio_provs *p, struct mio_stack *st)
{
    size_t before = st->diags->errors;
    unfold_all(p, st);
    for (size_t i = 0; i < p->n; i++) {
        struct mio_err err = {0};
        if (mio_prov_open(p, &p->items[i], &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    if (st->diags->errors > before)
        return mio_diags_code(st->diags);
    for (size_t i = 0; i < st->nres; i++) {
        struct mio_res *r = st->res[i];
        struct mio_err err = {0};
        struct mio_prov *it = choose(p, st, r, &err);
        if (it) {
            r->provider = it->name;
            r->kind = it->schema ? mio_schema_kind(it->schema, r->block->kind) : NULL;
            check_options(p, st, r, it);
            if (!r->kind)
                no_kind(p, r, it, &err);
            else if (r->block->is_data && !(r->kind->flags & MLOPS_KIND_DATA)) {
                mio_fail(&err, MIO_TEMPLATE,
                         "%.*s cannot be looked up with data:", MIO_FMT(r->block->kind));
                mio_err_at(&err, r->block->pos);
            } else if (r->block->lifecycle.nignore) {
                check_ignored(st, r);
            }
        }
        if (err.code)
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    mio_guards_kinds(st, p);
    return st->diags->errors > before ? MIO_TEMPLATE : MIO_OK;
}

void mio_provs_close(struct mio_provs *p)
{
    for (size_t i = 0; i < p->n; i++)
        mio_provider_close(p->items[i].plugin);
    p->n = 0;
}
