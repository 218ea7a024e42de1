/* planner/template/decl.c: the declarations beside resources: variables, locals, providers,
 * outputs, moved, import, removed, checks, policies, notifications, mlops_iac. One reader each,
 * found by table. */
#include "planner/template/load.h"

#define ADD(s, list) \
    MIO_PUSH((s)->load->arena, (s)->t->list.items, (s)->t->list.n, (s)->t->list.cap)

static const char *called(struct mio_scope_load *s, const char *what, struct mio_str name)
{
    return mio_arena_printf(s->load->arena, "%s `%.*s`", what, MIO_FMT(name)).p;
}

static bool define(struct mio_scope_load *s, const char *root, const struct mio_entry *e,
                   const char *what)
{
    return mio_tpl_is_name(s->load, e, what) &&
           mio_tpl_define(s, mio_arena_printf(s->load->arena, "%s.%.*s", root, MIO_FMT(e->key)),
                          e->key_pos);
}

struct raw_variable {
    struct mio_variable v;
    struct mio_str type;
    bool nullable;
};

/* The default is a value like any other: it fits the type, and is null only where null may be. */
static void check_default(struct mio_load *l, const struct mio_variable *v)
{
    struct mio_err err = {0};
    struct mio_value given, made;
    if (mio_node_has_expr(v->dflt)) {
        mio_tpl_error(l, v->dflt->pos, "put it into `locals:`, which may refer to variables",
                      "the default of a variable cannot be an expression");
        return;
    }
    if (!mio_node_literal(l->arena, v->dflt, &given))
        return;
    if (mio_is_null(given) && v->not_nullable)
        mio_tpl_error(l, v->dflt->pos, "leave `default` out, and the variable must be given",
                      "the default of variable `%.*s` is null, and it has `nullable: false`",
                      MIO_FMT(v->name));
    if (v->type && mio_typespec_convert(l->arena, v->type, given, &made, &err))
        mio_tpl_error(l, mio_node_at(v->dflt, mio_str_z(err.message))->pos,
                      *err.hint ? err.hint : NULL,
                      "the default of variable `%.*s` does not fit its type: %s", MIO_FMT(v->name),
                      err.message);
}

static void variable(struct mio_scope_load *s, const struct mio_entry *e)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_KEY(raw_variable, "type", MIO_WANT_TEXT, type),
        MIO_TPL_ALSO("default"),
        MIO_TPL_KEY(raw_variable, "description", MIO_WANT_TEXT, v.doc),
        MIO_TPL_KEY(raw_variable, "sensitive", MIO_WANT_BOOL, v.sensitive),
        MIO_TPL_KEY(raw_variable, "ephemeral", MIO_WANT_BOOL, v.ephemeral),
        MIO_TPL_KEY(raw_variable, "nullable", MIO_WANT_BOOL, nullable),
        MIO_TPL_KEY(raw_variable, "validation", MIO_WANT_RULES, v.validation),
    };
    if (!define(s, "var", e, "variable"))
        return;
    struct raw_variable r = {.v = {.name = e->key, .pos = e->key_pos}, .nullable = true};
    const struct mio_node *n = e->value;
    if (n->type == MIO_NODE_SEQ || (n->type == MIO_NODE_SCALAR && n->text.n)) {
        char hint[160];
        snprintf(hint, sizeof hint, "write `%.*s: { default: ... }`",
                 MIO_FMT(mio_str_sub(e->key, 0, 80)));
        mio_tpl_error(s->load, n->pos, hint, "variable `%.*s` must be a mapping, this is %s",
                      MIO_FMT(e->key), mio_tpl_node_word(n));
        return;
    }
    mio_tpl_read(s->load, n, called(s, "variable", e->key), e->key_pos, keys,
                 sizeof keys / sizeof *keys, &r);
    r.v.not_nullable = !r.nullable;
    r.v.dflt = mio_node_get(n, "default");
    if (r.type.n)
        r.v.type = mio_typespec_parse(s->load->arena, r.type, mio_node_get(n, "type")->pos,
                                      s->load->diags);
    if (r.v.dflt)
        check_default(s->load, &r.v);
    ADD(s, variables) = r.v;
}

static void local(struct mio_scope_load *s, const struct mio_entry *e)
{
    if (define(s, "local", e, "local value"))
        ADD(s, locals) = (struct mio_local){e->key, e->key_pos, e->value};
}

void mio_tpl_provider_body(struct mio_load *l, const struct mio_node *map,
                           struct mio_provider_block *p)
{
    if (map->type != MIO_NODE_MAP)
        return;
    p->for_each = mio_node_get(map, "for_each");
    p->config = mio_tpl_without(l->arena, map, "type");
    if (p->for_each)
        p->config = mio_tpl_without(l->arena, p->config, "for_each");
}

static void provider(struct mio_scope_load *s, const struct mio_entry *e)
{
    if (!define(s, "provider", e, "provider") ||
        !mio_tpl_is_map(s->load, e->value, mio_str_z(called(s, "provider", e->key))))
        return;
    struct mio_provider_block p = {.name = e->key, .type = e->key, .pos = e->key_pos};
    static const struct mio_tpl_key type =
        MIO_TPL_KEY(mio_provider_block, "type", MIO_WANT_TEXT, type);
    const struct mio_entry *t = mio_node_entry(e->value, MIO_STR("type"));
    if (t)
        mio_tpl_take(s->load, t, called(s, "provider", e->key), &type, &p);
    mio_tpl_provider_body(s->load, e->value, &p);
    ADD(s, providers) = p;
}

static void output(struct mio_scope_load *s, const struct mio_entry *e)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(mio_output, "value", MIO_WANT_NODE, value),
        MIO_TPL_KEY(mio_output, "sensitive", MIO_WANT_BOOL, sensitive),
        MIO_TPL_KEY(mio_output, "description", MIO_WANT_TEXT, doc),
        MIO_TPL_KEY(mio_output, "precondition", MIO_WANT_RULES, precondition),
        MIO_TPL_KEY(mio_output, "depends_on", MIO_WANT_REFS, depends_on),
    };
    if (!define(s, "output", e, "output"))
        return;
    struct mio_output o = {.name = e->key, .pos = e->key_pos};
    if (mio_tpl_read(s->load, e->value, called(s, "output", e->key), e->key_pos, keys,
                     sizeof keys / sizeof *keys, &o))
        ADD(s, outputs) = o;
}

static void check_or_policy(struct mio_scope_load *s, const struct mio_entry *e, bool blocks)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(mio_check, "condition", MIO_WANT_NODE, condition),
        MIO_TPL_NEED(mio_check, "error", MIO_WANT_SAID, error),
    };
    const char *what = blocks ? "policy" : "check";
    if (!define(s, what, e, what))
        return;
    struct mio_check c = {.name = e->key, .pos = e->key_pos, .blocks = blocks};
    if (mio_tpl_read(s->load, e->value, called(s, what, e->key), e->key_pos, keys,
                     sizeof keys / sizeof *keys, &c))
        ADD(s, checks) = c;
}

static void check(struct mio_scope_load *s, const struct mio_entry *e)
{
    check_or_policy(s, e, false);
}

static void policy(struct mio_scope_load *s, const struct mio_entry *e)
{
    check_or_policy(s, e, true);
}

static void notification(struct mio_scope_load *s, const struct mio_entry *e)
{
    if (define(s, "notification", e, "notification") &&
        mio_tpl_is_map(s->load, e->value, mio_str_z(called(s, "notification", e->key))))
        ADD(s, notifications) = (struct mio_local){e->key, e->key_pos, e->value};
}

static bool is_address(struct mio_scope_load *s, const struct mio_node *map, const char *key)
{
    const struct mio_node *n = mio_node_get(map, key);
    if (mio_tpl_is_address(n->text, true))
        return true;
    mio_tpl_error(s->load, n->pos, "write KIND.NAME, KIND.NAME[\"key\"] or module.NAME.KIND.NAME",
                  "`%.*s` is no address", MIO_FMT(n->text));
    return false;
}

static void moved(struct mio_scope_load *s, const struct mio_node *n)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(mio_moved, "from", MIO_WANT_TEXT, from),
        MIO_TPL_NEED(mio_moved, "to", MIO_WANT_TEXT, to),
    };
    struct mio_moved m = {.pos = n->pos};
    if (!mio_tpl_read(s->load, n, "this item of `moved`", n->pos, keys, 2, &m))
        return;
    bool good = is_address(s, n, "from");
    if (!is_address(s, n, "to") || !good)
        return;
    if (mio_str_eq(m.from, m.to))
        mio_tpl_error(s->load, n->pos, NULL, "`from` and `to` are the same address");
    else
        ADD(s, moved) = m;
}

struct raw_removed {
    struct mio_removed r;
    struct mio_str on_removed;
};

bool mio_tpl_on_removed(struct mio_load *l, const struct mio_node *map, struct mio_str word,
                        bool *forget)
{
    *forget = mio_str_is(word, "forget");
    if (*forget || mio_str_is(word, "delete"))
        return true;
    mio_tpl_error(l, mio_node_get(map, "on_removed")->pos, "write delete or forget",
                  "`on_removed` cannot be `%.*s`", MIO_FMT(word));
    return false;
}

static void removed(struct mio_scope_load *s, const struct mio_node *n)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(raw_removed, "from", MIO_WANT_TEXT, r.from),
        MIO_TPL_NEED(raw_removed, "on_removed", MIO_WANT_TEXT, on_removed),
    };
    struct raw_removed r = {.r = {.pos = n->pos}};
    if (mio_tpl_read(s->load, n, "this item of `removed`", n->pos, keys, 2, &r) &&
        is_address(s, n, "from") && mio_tpl_on_removed(s->load, n, r.on_removed, &r.r.forget))
        ADD(s, removed) = r.r;
}

static void import(struct mio_scope_load *s, const struct mio_node *n)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(mio_import_block, "to", MIO_WANT_NODE, to_node),
        MIO_TPL_NEED(mio_import_block, "id", MIO_WANT_NODE, id),
        MIO_TPL_KEY(mio_import_block, "for_each", MIO_WANT_NODE, for_each),
    };
    struct mio_import_block b = {.pos = n->pos};
    if (!mio_tpl_read(s->load, n, "this item of `import`", n->pos, keys, 3, &b))
        return;
    if (b.to_node->type != MIO_NODE_SCALAR || !b.to_node->expr) {
        if (!is_address(s, n, "to"))
            return;
        b.to = b.to_node->text;
        b.to_node = NULL;
    }
    ADD(s, imports) = b;
}

struct raw_settings {
    struct mio_str required_version;
    const struct mio_node *backend, *encryption, *plans;
};

static void settings(struct mio_scope_load *s, const struct mio_entry *e)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_KEY(raw_settings, "required_version", MIO_WANT_TEXT, required_version),
        MIO_TPL_KEY(raw_settings, "backend", MIO_WANT_MAP, backend),
        MIO_TPL_KEY(raw_settings, "encryption", MIO_WANT_MAP, encryption),
        MIO_TPL_KEY(raw_settings, "plans", MIO_WANT_MAP, plans),
    };
    if (!mio_tpl_define(s, e->key, e->key_pos))
        return;
    struct raw_settings r = {0};
    mio_tpl_read(s->load, e->value, "`mlops_iac`", e->key_pos, keys, sizeof keys / sizeof *keys,
                 &r);
    s->t->required_version = r.required_version;
    s->t->backend = r.backend;
    s->t->encryption = r.encryption;
    s->t->plans = r.plans;
}

/* The table of top-level keys. Exactly one of the three readers is set. */
static const struct top {
    const char *key;
    void (*each)(struct mio_scope_load *s, const struct mio_entry *e);  /* a mapping of name: ... */
    void (*item)(struct mio_scope_load *s, const struct mio_node *n);   /* a list */
    void (*whole)(struct mio_scope_load *s, const struct mio_entry *e); /* read as it is */
} tops[] = {
    {"mlops_iac", NULL, NULL, settings},
    {"variables", variable, NULL, NULL},
    {"locals", local, NULL, NULL},
    {"providers", provider, NULL, NULL},
    {"outputs", output, NULL, NULL},
    {"moved", NULL, moved, NULL},
    {"import", NULL, import, NULL},
    {"removed", NULL, removed, NULL},
    {"checks", check, NULL, NULL},
    {"policies", policy, NULL, NULL},
    {"notifications", notification, NULL, NULL},
};

static const struct top *find_top(struct mio_str key)
{
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        if (mio_str_is(key, tops[i].key))
            return &tops[i];
    return NULL;
}

bool mio_tpl_is_declaration(struct mio_str key)
{
    return find_top(key);
}

void mio_tpl_declarations(struct mio_scope_load *s, const struct mio_entry *top)
{
    const struct top *t = find_top(top->key);
    struct mio_str what = mio_arena_printf(s->load->arena, "`%s`", t->key);
    if (t->whole) {
        t->whole(s, top);
    } else if (t->each && mio_tpl_is_map(s->load, top->value, what)) {
        for (size_t i = 0; i < top->value->n; i++)
            t->each(s, &top->value->entries[i]);
    } else if (t->item && mio_tpl_is_seq(s->load, top->value, what)) {
        for (size_t i = 0; i < top->value->n; i++)
            t->item(s, top->value->items[i]);
    }
}
