/* planner/template/azureml_pipeline.c: steps of a pipeline, the names in their ${{...}}, who waits
 * for whom. */
#include "planner/template/azureml_check.h"
#include "planner/template/load.h"

struct mio_az_scope mio_az_scope_of(const struct mio_node *n, const struct mio_az_scope *parent)
{
    struct mio_az_scope s = {.parent = parent};
    s.inputs = mio_node_get(n, "inputs");
    s.outputs = mio_node_get(n, "outputs");
    s.space = mio_node_get(n, "search_space");
    s.jobs = mio_node_get(n, "jobs");
    const struct mio_node *trial = mio_node_get(n, "trial");
    s.open = mio_node_get(n, "component") || mio_az_text(trial);
    return s;
}

/* mio_node_entry in constant time for large mappings, which are indexed when first asked. */
static const struct mio_entry *find(struct mio_az_check *c, const struct mio_node *map,
                                    struct mio_str key)
{
    enum { LARGE = 64 };
    struct large {
        const struct mio_node *map;
        struct mio_index keys;
    } * l;
    uintptr_t at;
    if (!map || map->type != MIO_NODE_MAP || map->n < LARGE)
        return mio_node_entry(map, key);
    if (!c->large.arena)
        mio_index_init(&c->large, c->arena, 4);
    if (mio_index_get(&c->large, (struct mio_str){(const char *)&map, sizeof map}, &at)) {
        l = (struct large *)at;
    } else {
        l = MIO_NEW(c->arena, struct large);
        l->map = map;
        mio_index_init(&l->keys, c->arena, map->n);
        for (size_t i = 0; i < map->n; i++)
            mio_index_add(&l->keys, map->entries[i].key, i);
        mio_index_add(&c->large, (struct mio_str){(const char *)&l->map, sizeof map}, (uintptr_t)l);
    }
    return mio_index_get(&l->keys, key, &at) ? &map->entries[at] : NULL;
}

/* The name must be declared in the mapping, unless a component elsewhere declares it. */
static void declared(struct mio_az_check *c, struct mio_pos pos, const struct mio_node *map,
                     bool open, struct mio_str name, const char *what, const char *where)
{
    if (open || find(c, map, name) || c->diags->errors >= MIO_TPL_MAX_ERRORS)
        return;
    enum { MOST = 1000 };
    size_t n = map && map->type == MIO_NODE_MAP ? map->n < MOST ? map->n : MOST : 0;
    struct mio_str *names = MIO_NEW_N(c->arena, struct mio_str, n), near;
    for (size_t i = 0; i < n; i++)
        names[i] = map->entries[i].key;
    near = mio_str_nearest(name, names, n);
    struct mio_str hint = mio_arena_printf(c->arena, "did you mean `%.*s`?", MIO_FMT(near));
    mio_az_error(c, pos, near.n ? hint.p : NULL, "%s no %s `%.*s`", where, what, MIO_FMT(name));
}

/* Does the step say itself what it writes? */
static bool is_closed(const struct mio_node *step)
{
    return step->type == MIO_NODE_MAP && !mio_node_get(step, "component") &&
           mio_node_get(step, "command");
}

static void step_output(struct mio_az_check *c, struct mio_pos pos,
                        const struct mio_azureml_expr *x, const struct mio_az_scope *scope)
{
    const struct mio_az_scope *pipeline = scope->parent ? scope->parent : scope;
    if (!pipeline->jobs || pipeline->jobs->type != MIO_NODE_MAP) {
        mio_az_error(c, pos, NULL,
                     "there is no pipeline around this that could have the step `%.*s`",
                     MIO_FMT(x->step));
        return;
    }
    const struct mio_entry *from = find(c, pipeline->jobs, x->step);
    if (!from) {
        declared(c, pos, pipeline->jobs, false, x->step, "step", "the pipeline has");
        return;
    }
    if (mio_str_eq(x->step, scope->step) && scope->parent) {
        mio_az_error(c, pos, NULL, "the step `%.*s` reads its own output", MIO_FMT(x->step));
        return;
    }
    if (is_closed(from->value))
        declared(c, pos, mio_node_get(from->value, "outputs"), false, x->name, "output",
                 "that step has");
    if (scope->parent)
        MIO_PUSH(c->arena, c->edges, c->nedges, c->edge_cap) =
            (struct mio_azureml_edge){x->step, scope->step, x->name, pos};
}

static void expression(struct mio_az_check *c, struct mio_pos pos, const struct mio_azureml_expr *x,
                       const struct mio_az_scope *s)
{
    const struct mio_az_scope *up = s->parent;
    c->doc->expressions[x->form]++;
    switch (x->form) {
    case MIO_AZUREML_X_INPUT:
        declared(c, pos, s->inputs, s->open, x->name, "input", "there is");
        break;
    case MIO_AZUREML_X_OUTPUT:
        declared(c, pos, s->outputs, s->open, x->name, "output", "there is");
        break;
    case MIO_AZUREML_X_SEARCH:
        declared(c, pos, s->space, s->open, x->name, "parameter", "the search space has");
        break;
    case MIO_AZUREML_X_PARENT_INPUT:
        if (!up)
            up = s; /* in the pipeline's own fields */
        declared(c, pos, up->inputs, up->open, x->name, "input", "the pipeline has");
        break;
    case MIO_AZUREML_X_PARENT_OUTPUT:
        if (!up)
            up = s;
        declared(c, pos, up->outputs, up->open, x->name, "output", "the pipeline has");
        break;
    case MIO_AZUREML_X_STEP_OUTPUT:
        step_output(c, pos, x, s);
        break;
    case MIO_AZUREML_X_NAME:
    case MIO_AZUREML_X_DATASTORE:
    case MIO_AZUREML_X_OPTIONAL:
    case MIO_AZUREML_X_FORMS:
        break;
    }
}

void mio_az_expressions(struct mio_az_check *c, const struct mio_node *n,
                        const struct mio_az_scope *scope)
{
    static const struct mio_az_scope none = {.open = true};
    const char *why = NULL;
    struct mio_azureml_expr x;
    size_t at = 0;
    if (mio_str_find(n->text, '$') < 0)
        return;
    /* A folded or escaped scalar is pointed at as a whole. */
    bool exact = n->pos.len >= n->text.n && !memchr(n->text.p, '\n', n->text.n);
    struct mio_pos pos = n->pos;
    while (mio_azureml_expr_next(n->text, &at, &x, &why)) {
        if (exact) {
            pos.col = n->pos.col + (uint32_t)(x.offset + !n->plain);
            pos.len = (uint32_t)(at - x.offset);
        }
        expression(c, pos, &x, scope ? scope : &none);
    }
    if (!why)
        return;
    if (exact) {
        pos.col = n->pos.col + (uint32_t)(x.offset + !n->plain);
        pos.len = 3;
    }
    mio_az_error(c, pos, why, "this is no expression of Azure ML");
}

void mio_az_steps(struct mio_az_check *c, const struct mio_node *jobs,
                  const struct mio_az_scope *pipeline)
{
    size_t first = c->nedges;
    for (size_t i = 0; i < jobs->n; i++) {
        const struct mio_entry *e = &jobs->entries[i];
        const struct mio_node *n = e->value, *type = mio_node_get(n, "type");
        if (n->type != MIO_NODE_MAP) {
            mio_az_error(c, n->pos, NULL, "the step `%.*s` must be a mapping, this is %s",
                         MIO_FMT(e->key), mio_tpl_node_word(n));
            continue;
        }
        if (type && type->type != MIO_NODE_SCALAR) {
            mio_az_error(c, type->pos, NULL, "`type` must be a string, this is %s",
                         mio_tpl_node_word(type));
            continue;
        }
        const struct mio_az_table *t = mio_az_step(type ? type->text : (struct mio_str){0});
        if (!t) {
            mio_az_error(c, type->pos, "command, pipeline, spark, parallel, sweep, automl",
                         "there is no step of type `%.*s`", MIO_FMT(type->text));
            continue;
        }
        struct mio_az_scope s = mio_az_scope_of(n, pipeline);
        s.step = e->key;
        mio_az_object(c, n, t, &s, false);
        if (!mio_node_get(n, "component") && !mio_node_get(n, "command") &&
            (!type || mio_str_is(type->text, "command")))
            mio_az_error(c, e->key_pos, NULL, "the step `%.*s` needs `command` or `component`",
                         MIO_FMT(e->key));
    }
    mio_az_circles(c, jobs, first);
}

/* Takes away steps that wait for nothing, again and again; what is left waits for itself. */
void mio_az_circles(struct mio_az_check *c, const struct mio_node *jobs, size_t first)
{
    size_t n = jobs->n, left = 0, edges = c->nedges - first;
    uintptr_t to = 0, from = 0;
    if (!edges)
        return;
    struct mio_index at;
    mio_index_init(&at, c->arena, n);
    for (size_t i = 0; i < n; i++)
        mio_index_add(&at, jobs->entries[i].key, i);
    size_t *waits = MIO_NEW_N(c->arena, size_t, n), *ready = MIO_NEW_N(c->arena, size_t, n);
    size_t *heads = MIO_NEW_N(c->arena, size_t, n), *next = MIO_NEW_N(c->arena, size_t, edges);
    for (size_t i = 0; i < edges;
         i++) { /* lists of edges by the step they leave, numbered from 1 */
        if (!mio_index_get(&at, c->edges[first + i].to, &to) ||
            !mio_index_get(&at, c->edges[first + i].from, &from))
            continue;
        waits[to]++;
        next[i] = heads[from];
        heads[from] = i + 1;
    }
    for (size_t i = 0; i < n; i++)
        if (!waits[i])
            ready[left++] = i;
    for (size_t k = 0; k < left; k++)
        for (size_t e = heads[ready[k]]; e; e = next[e - 1])
            if (mio_index_get(&at, c->edges[first + e - 1].to, &to) && --waits[to] == 0)
                ready[left++] = to;
    for (size_t i = 0; i < n && left < n; i++) {
        if (!waits[i])
            continue;
        mio_az_error(c, jobs->entries[i].key_pos, NULL,
                     "the step `%.*s` waits for a step that waits for it",
                     MIO_FMT(jobs->entries[i].key));
        return;
    }
}
