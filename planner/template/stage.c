/* planner/template/stage.c: stages/NAME.yaml: checked, and its overrides laid over providers and
 * blocks.
 *
 * Variables, guards and `after` are left in stage_block for the rooms that use them. */
#include "planner/template/load.h"
#include "providers/sdk/fs.h"

struct raw_stage {
    const struct mio_node *variables, *providers, *set, *guards, *after, *approvals, *approvers;
    struct mio_str description;
};
static const struct mio_tpl_key stage_keys[] = {
    MIO_TPL_KEY(raw_stage, "variables", MIO_WANT_MAP, variables),
    MIO_TPL_KEY(raw_stage, "providers", MIO_WANT_MAP, providers),
    MIO_TPL_KEY(raw_stage, "set", MIO_WANT_MAP, set),
    MIO_TPL_KEY(raw_stage, "guards", MIO_WANT_MAP, guards),
    MIO_TPL_KEY(raw_stage, "required_approvals", MIO_WANT_NODE, approvals),
    MIO_TPL_KEY(raw_stage, "approvers", MIO_WANT_NODE, approvers),
    MIO_TPL_KEY(raw_stage, "after", MIO_WANT_NODE, after),
    MIO_TPL_KEY(raw_stage, "description", MIO_WANT_TEXT, description),
};

/* A copy of `map` in which `path` ("a.b.c") holds `value`; mappings on the way are made or copied.
 * A key that exists as it is written, dots and all, wins. */
static const struct mio_node *with(struct mio_load *l, const struct mio_node *map,
                                   struct mio_str path, const struct mio_entry *e)
{
    struct mio_arena *a = l->arena;
    l->copied += map->n + 1;
    if (l->copied > MIO_TPL_MAX_COPIED) {
        mio_tpl_error(l, e->key_pos, "change the resources themselves", "`set:` changes too much");
        return map;
    }
    ptrdiff_t dot = mio_node_entry(map, path) ? -1 : mio_str_find(path, '.');
    struct mio_str head = dot < 0 ? path : mio_str_sub(path, 0, (size_t)dot);
    if (!head.n) {
        mio_tpl_error(l, e->key_pos,
                      "write the names of fields with dots between them: `tags.team`",
                      "a name is missing in `%.*s`", MIO_FMT(e->key));
        return map;
    }
    const struct mio_node *value = e->value;
    const struct mio_entry *old = mio_node_entry(map, head);
    if (dot >= 0) {
        struct mio_node *inner = MIO_NEW(a, struct mio_node);
        *inner = (struct mio_node){.type = MIO_NODE_MAP, .pos = e->key_pos};
        value = with(l, old && old->value->type == MIO_NODE_MAP ? old->value : inner,
                     mio_str_sub(path, (size_t)dot + 1, path.n), e);
    }
    struct mio_node *n = MIO_NEW(a, struct mio_node);
    struct mio_entry *entries = MIO_NEW_N(a, struct mio_entry, map->n + 1);
    *n = *map;
    if (map->n)
        memcpy(entries, map->entries, map->n * sizeof *entries);
    size_t at = old ? (size_t)(old - map->entries) : n->n++;
    entries[at] = (struct mio_entry){head, e->key_pos, value};
    n->entries = entries;
    return n;
}

static void set_provider(struct mio_load *l, struct mio_template *t, const struct mio_entry *e)
{
    struct mio_str what = mio_arena_printf(l->arena, "provider `%.*s`", MIO_FMT(e->key));
    if (!mio_tpl_is_map(l, e->value, what))
        return;
    for (size_t i = 0; i < t->providers.n; i++) {
        struct mio_provider_block *p = &t->providers.items[i];
        if (!mio_str_eq(p->name, e->key))
            continue;
        struct mio_provider_block more = {0};
        mio_tpl_provider_body(l, e->value, &more);
        if (more.for_each)
            p->for_each = more.for_each;
        if (!p->config)
            p->config = more.config;
        for (size_t k = 0; more.config && k < more.config->n && p->config != more.config; k++)
            p->config = with(l, p->config, more.config->entries[k].key, &more.config->entries[k]);
        return;
    }
    if (t->torn)
        return;
    struct mio_tpl_names names;
    mio_tpl_names_init(&names, l->arena, t->providers.n);
    for (size_t i = 0; i < t->providers.n && !l->full; i++)
        mio_tpl_names_add(&names, l->arena, t->providers.items[i].name);
    mio_tpl_error(
        l, e->key_pos,
        mio_tpl_names_hint(&names, l->arena, e->key, "declare it under `providers:` first"),
        "the template has no provider `%.*s`", MIO_FMT(e->key));
}

/* The template that the leading module.NAME. steps of an address lead to; the rest stays in *s. */
static struct mio_template *descend(struct mio_template *t, struct mio_str *s)
{
    while (t && mio_str_starts(*s, "module.")) {
        struct mio_str rest = mio_str_sub(*s, 7, s->n);
        ptrdiff_t dot = mio_str_find(rest, '.');
        struct mio_str name = dot < 0 ? rest : mio_str_sub(rest, 0, (size_t)dot);
        struct mio_template *next = NULL;
        for (size_t i = 0; i < t->modules.n && !next; i++)
            if (mio_str_eq(t->modules.items[i].name, name))
                next = t->modules.items[i].tpl;
        *s = dot < 0 ? (struct mio_str){0} : mio_str_sub(rest, (size_t)dot + 1, rest.n);
        t = next;
    }
    return t;
}

/* The blocks of one template by address. */
struct targets {
    const struct mio_template *of;
    struct mio_tpl_names names;
};

static void list_targets(struct mio_load *l, const struct mio_template *t, struct targets *out)
{
    if (out->of == t)
        return;
    out->of = t;
    mio_tpl_names_init(&out->names, l->arena, t->blocks.n);
    for (size_t i = 0; i < t->blocks.n; i++)
        mio_tpl_names_add(&out->names, l->arena, t->blocks.items[i].address);
}

static void set_block(struct mio_load *l, struct mio_template *root, const struct mio_entry *e,
                      struct targets *targets)
{
    struct mio_str rest = e->key;
    struct mio_template *t = descend(root, &rest);
    const char *hint = "`set:` takes addresses like `compute.cpu` or `module.train.job.fit`";
    uintptr_t at = 0;
    if (!mio_tpl_is_map(l, e->value, mio_arena_printf(l->arena, "`%.*s`", MIO_FMT(e->key))))
        return;
    if (t)
        list_targets(l, t, targets);
    if (t && mio_index_get(&targets->names.at, rest, &at)) {
        struct mio_block *b = &t->blocks.items[at];
        for (size_t k = 0; k < e->value->n; k++)
            b->body = with(l, b->body, e->value->entries[k].key, &e->value->entries[k]);
        return;
    }
    if (t && t->torn)
        return;
    if (mio_str_find(e->key, '[') >= 0)
        hint = "name the resource without an instance key: all its instances share a body";
    else if (t)
        hint = mio_tpl_names_hint(&targets->names, l->arena, rest, hint);
    mio_tpl_error(l, e->key_pos, hint, "the template has no `%.*s` to set", MIO_FMT(e->key));
}

void mio_tpl_set(struct mio_load *l, struct mio_template *t, const struct mio_node *set)
{
    struct targets targets = {0};
    for (size_t i = 0; i < set->n && !l->full; i++)
        set_block(l, t, &set->entries[i], &targets);
}

static void check_variables(struct mio_load *l, const struct mio_template *t,
                            const struct mio_node *map)
{
    struct mio_tpl_names names;
    uintptr_t at;
    mio_tpl_names_init(&names, l->arena, t->variables.n);
    for (size_t i = 0; i < t->variables.n; i++)
        mio_tpl_names_add(&names, l->arena, t->variables.items[i].name);
    for (size_t i = 0; i < map->n && !l->full && !t->torn; i++) {
        const struct mio_entry *e = &map->entries[i];
        if (!mio_index_get(&names.at, e->key, &at))
            mio_tpl_error(
                l, e->key_pos,
                mio_tpl_names_hint(&names, l->arena, e->key, "declare it under `variables:` first"),
                "the template has no variable `%.*s`", MIO_FMT(e->key));
    }
}

/* A name becomes part of a path. */
static bool is_stage_name(struct mio_load *l, struct mio_str name, struct mio_pos pos)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || (i && c == '-') ||
            c == '_')
            continue;
        mio_tpl_error(l, pos, "letters, digits, `-` and `_`",
                      "`%.*s` cannot be the name of a stage", MIO_FMT(name));
        return false;
    }
    return true;
}

/* `after: staging` or a list of stages. */
static void check_after(struct mio_load *l, const struct mio_node *n, struct mio_str stage)
{
    const struct mio_node *const *items = n->type == MIO_NODE_SEQ ? n->items : &n;
    size_t count = n->type == MIO_NODE_SEQ ? n->n : 1;
    for (size_t i = 0; i < count; i++) {
        if (items[i]->type != MIO_NODE_SCALAR || items[i]->expr || !items[i]->text.n)
            mio_tpl_error(l, items[i]->pos, NULL, "`after` names a stage, this is %s",
                          mio_tpl_node_word(items[i]));
        else if (is_stage_name(l, items[i]->text, items[i]->pos) &&
                 mio_str_eq(items[i]->text, stage))
            mio_tpl_error(l, items[i]->pos, NULL, "a stage cannot come after itself");
    }
}

static void check_approvals(struct mio_load *l, const struct mio_node *n)
{
    int64_t count;
    if (n->type != MIO_NODE_SCALAR || n->expr || !mio_value_i64(n->literal, &count) || count < 0 ||
        count > 100)
        mio_tpl_error(l, n->pos, NULL, "`required_approvals` must be a number from 0 to 100");
}

static bool is_word(struct mio_str s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_is(s, words[i]))
            return true;
    return false;
}

/* Numbers of objects, actions, and kinds or addresses. */
static void check_guards(struct mio_load *l, const struct mio_node *map)
{
    static const char *const actions[] = {"create", "update", "replace", "delete", "forget"};
    struct raw_guards {
        const struct mio_node *most[2], *allow, *protect;
    } g = {0};
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_KEY(raw_guards, "max_destroy", MIO_WANT_NODE, most[0]),
        MIO_TPL_KEY(raw_guards, "max_change", MIO_WANT_NODE, most[1]),
        MIO_TPL_KEY(raw_guards, "allow", MIO_WANT_REFS, allow),
        MIO_TPL_KEY(raw_guards, "protect", MIO_WANT_REFS, protect),
    };
    mio_tpl_read(l, map, "`guards`", map->pos, keys, sizeof keys / sizeof *keys, &g);
    for (size_t i = 0; i < 2; i++) {
        int64_t n;
        if (g.most[i] && (g.most[i]->type != MIO_NODE_SCALAR || g.most[i]->expr ||
                          !mio_value_i64(g.most[i]->literal, &n) || n < 0))
            mio_tpl_error(l, g.most[i]->pos, "write 0 or more", "`%s` is a whole number of objects",
                          i ? "max_change" : "max_destroy");
    }
    for (size_t i = 0; g.allow && i < g.allow->n; i++)
        if (!is_word(g.allow->items[i]->text, actions, sizeof actions / sizeof *actions))
            mio_tpl_error(l, g.allow->items[i]->pos,
                          "actions are create, update, replace, delete and forget",
                          "`%.*s` is no action", MIO_FMT(g.allow->items[i]->text));
    for (size_t i = 0; g.protect && i < g.protect->n; i++) {
        struct mio_str s = g.protect->items[i]->text;
        struct mio_entry e = {s, g.protect->items[i]->pos, g.protect->items[i]};
        if (mio_str_find(s, '.') < 0)
            mio_tpl_is_name(l, &e, "kind");
        else if (!mio_tpl_is_address(s, true))
            mio_tpl_error(l, e.key_pos, "write a kind, or an address such as workspace.taxi",
                          "`%.*s` is no address", MIO_FMT(s));
    }
}

/* The file of the stage, or NULL with an error that lists the stages there are. */
static struct mio_tpl_file *stage_file(struct mio_load *l, struct mio_str dir, struct mio_str stage)
{
    for (int yml = 0; yml < 2; yml++) {
        struct mio_str path = mio_arena_printf(l->arena, "%.*s/stages/%.*s.%s", MIO_FMT(dir),
                                               MIO_FMT(stage), yml ? "yml" : "yaml");
        if (mio_fs_exists(path.p))
            return mio_tpl_file(l, path, (struct mio_pos){0}, true);
    }
    struct mio_str *names, folder = mio_arena_printf(l->arena, "%.*s/stages", MIO_FMT(dir));
    struct mio_err err = {0};
    size_t n = 0;
    if (!mio_fs_is_dir(folder.p) || mio_fs_list(l->arena, folder.p, &names, &n, &err) != MIO_OK)
        n = 0;
    char known[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof known - 64; i++) {
        ptrdiff_t dot = mio_str_find(names[i], '.');
        if (dot > 0 && dot < 50)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%.*s", used ? ", " : "",
                                     (int)dot, names[i].p);
    }
    struct mio_str hint = mio_arena_printf(l->arena, "stages of this template: %s", known);
    mio_tpl_error(l, (struct mio_pos){0},
                  used ? hint.p : "make the folder stages/ with one file a stage",
                  "there is no stages/%.*s.yaml", MIO_FMT(stage));
    return NULL;
}

void mio_tpl_stage(struct mio_load *l, struct mio_template *t, struct mio_str stage)
{
    if (!is_stage_name(l, stage, (struct mio_pos){0}))
        return;
    struct mio_tpl_file *f = stage_file(l, t->dir, stage);
    if (!f || !f->root)
        return;
    struct raw_stage r = {0};
    t->stage_block = f->root;
    mio_tpl_read(l, f->root, "a stage", f->root->pos, stage_keys,
                 sizeof stage_keys / sizeof *stage_keys, &r);
    if (r.variables)
        check_variables(l, t, r.variables);
    for (size_t i = 0; r.providers && i < r.providers->n && !l->full; i++)
        set_provider(l, t, &r.providers->entries[i]);
    if (r.set)
        mio_tpl_set(l, t, r.set);
    if (r.guards)
        check_guards(l, r.guards);
    if (r.after)
        check_after(l, r.after, stage);
    if (r.approvals)
        check_approvals(l, r.approvals);
}
