/* planner/run/variables.c: where the values of input variables come from, weakest first. See
 * internal.h. */
#include "planner/run/internal.h"

static void add(struct mio_engine *e, struct mio_var_input v)
{
    MIO_PUSH(&e->arena, e->vars, e->nvars, e->vars_cap) = v;
}

static bool known(const struct mio_engine *e, struct mio_str name)
{
    for (size_t i = 0; i < e->tpl->variables.n; i++)
        if (mio_str_eq(e->tpl->variables.items[i].name, name))
            return true;
    return false;
}

static void refuse(struct mio_engine *e, struct mio_str name, const char *origin,
                   struct mio_pos pos)
{
    struct mio_str names[256], near;
    struct mio_err err = {0};
    size_t n = 0;
    for (size_t i = 0; i < e->tpl->variables.n && n < 256; i++)
        names[n++] = e->tpl->variables.items[i].name;
    near = mio_str_nearest(name, names, n);
    mio_fail(&err, MIO_USAGE, "%s: the template has no variable \"%.*s\"", origin, MIO_FMT(name));
    if (near.n)
        mio_err_hint(&err, "Did you mean %.*s?", MIO_FMT(near));
    else
        mio_err_hint(&err, "Declare it under `variables:`.");
    mio_err_at(&err, pos);
    mio_engine_fail(e, &err);
}

static void from_map(struct mio_engine *e, const struct mio_node *map, const char *origin)
{
    for (size_t i = 0; map && map->type == MIO_NODE_MAP && i < map->n; i++) {
        if (!known(e, map->entries[i].key))
            refuse(e, map->entries[i].key, origin, map->entries[i].key_pos);
        else
            add(e, (struct mio_var_input){.name = map->entries[i].key,
                                          .node = map->entries[i].value,
                                          .origin = origin});
    }
}

static void from_texts(struct mio_engine *e, bool environment)
{
    for (size_t i = 0; i < e->opts.nvars; i++) {
        struct mio_str text = mio_str_z(e->opts.vars[i]);
        bool env = e->opts.var_from_env && e->opts.var_from_env[i];
        ptrdiff_t eq = mio_str_find(text, '=');
        if (env != environment)
            continue;
        if (eq <= 0) {
            struct mio_err err = {0};
            mio_fail(&err, MIO_USAGE, "-var \"%.*s\" is not of the form name=value", MIO_FMT(text));
            mio_engine_fail(e, &err);
            continue;
        }
        struct mio_str name = mio_str_sub(text, 0, (size_t)eq);
        if (known(e, name))
            add(e, (struct mio_var_input){.name = name,
                                          .text = mio_str_sub(text, (size_t)eq + 1, text.n),
                                          .origin = env ? "environment" : "-var"});
        else if (!env)
            refuse(e, name, "-var", (struct mio_pos){0});
    }
}

/* Where the test file gives a variable: in the step, or for all of them. */
static struct mio_pos said_at(const struct mio_engine *e, struct mio_str name, bool of_value)
{
    const struct mio_node *file = e->tpl->overlay, *run = mio_node_get(file, "run");
    const struct mio_node *places[] = {
        run && e->opts.step < run->n ? run->items[e->opts.step] : NULL, file};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const struct mio_node *given = places[i] ? mio_node_get(places[i], "variables") : NULL;
        const struct mio_entry *found = given ? mio_node_entry(given, name) : NULL;
        if (found)
            return of_value ? found->value->pos : found->key_pos;
    }
    return (struct mio_pos){0};
}

static void from_values(struct mio_engine *e)
{
    for (uint32_t i = 0; e->opts.values.type == MIO_MAP && i < e->opts.values.n; i++) {
        const struct mio_pair *p = &e->opts.values.pairs[i];
        struct mio_node *n = MIO_NEW(&e->arena, struct mio_node);
        n->type = MIO_NODE_SCALAR;
        n->literal = mio_value_copy(&e->arena, p->value);
        n->pos = said_at(e, p->key, true);
        if (!known(e, p->key))
            refuse(e, p->key, "test", said_at(e, p->key, false));
        else
            add(e, (struct mio_var_input){
                       .name = mio_arena_str(&e->arena, p->key), .node = n, .origin = "test"});
    }
}

enum mio_code mio_engine_variables(struct mio_engine *e)
{
    const struct mio_node *stage = e->tpl->stage_block;
    from_texts(e, true);
    if (stage)
        from_map(e, mio_node_get(stage, "variables"), "stage");
    for (size_t i = 0; i < e->tpl->auto_vars.n; i++)
        from_map(e, e->tpl->auto_vars.items[i], "*.auto.yaml");
    for (size_t i = 0; i < e->opts.nvar_files; i++) {
        const struct mio_node *map = NULL;
        if (mio_varfile_load(&e->arena, e->opts.var_files[i], &e->sources, &map, &e->diags) ==
            MIO_OK)
            from_map(e, map, "-var-file");
    }
    from_texts(e, false);
    from_values(e);
    return e->diags.errors ? MIO_USAGE : MIO_OK;
}
