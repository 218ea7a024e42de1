/* planner/run/inspect.c: the state, locks, the graph, schemas and single expressions. See engine.h.
 */
#include "planner/run/internal.h"
#include "planner/template/azureml.h"

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
    enum mio_code rc = mio_engine_store_open(e);
    if (rc)
        return rc;
    return mio_store_force_unlock(e->store, id, &err) ? mio_engine_fail(e, &err) : MIO_OK;
}

/* The graph as it stands after a plan against the recorded state: what `scope` leaves. */
static enum mio_code plan_offline(struct mio_engine *e, const struct mio_plan_opts *scope,
                                  struct mio_inst ***insts, size_t *n)
{
    struct mio_plan_opts o = *scope;
    const struct mio_plan *plan;
    o.looking = true;
    enum mio_code rc = mio_engine_plan(e, &o, &plan);
    if (rc)
        return rc;
    *insts = MIO_NEW_N(&e->arena, struct mio_inst *, e->stack.ninsts + 1);
    *n = 0;
    for (size_t i = 0; i < e->stack.ninsts; i++) {
        const struct mio_step *s = mio_step_of(e->stack.insts[i]);
        if (!s || !s->excluded)
            (*insts)[(*n)++] = e->stack.insts[i];
    }
    return MIO_OK;
}

/* The steps of a pipeline that one reads another's output of: "job.fit/train" to "job.fit/prep". */
static size_t step_edges(const struct mio_inst *inst, const struct mio_azureml_edge **edges)
{
    const struct mio_azureml_doc *doc = inst->res->block->doc;
    *edges = doc ? doc->edges : NULL;
    return doc ? doc->nedges : 0;
}

/* The steps themselves: a map by their names, or NULL. */
static const struct mio_node *steps_of(const struct mio_inst *inst)
{
    const struct mio_node *doc = inst->res->block->document;
    const struct mio_node *jobs = doc ? mio_node_get(doc, "jobs") : NULL;
    return jobs && jobs->type == MIO_NODE_MAP ? jobs : NULL;
}

static struct mio_str step_address(struct mio_arena *a, const struct mio_inst *inst,
                                   struct mio_str step)
{
    return mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(inst->address), MIO_FMT(step));
}

static void put_edge(struct mio_buf *dot, struct mio_str from, struct mio_str to, const char *label)
{
    mio_buf_z(dot, "  ");
    mio_json_string(dot, from);
    mio_buf_z(dot, " -> ");
    mio_json_string(dot, to);
    mio_buf_z(dot, label);
}

/* The steps of a pipeline in a box of their own. */
static void put_steps(struct mio_engine *e, struct mio_buf *dot, const struct mio_inst *inst)
{
    const struct mio_node *steps = steps_of(inst);
    if (!steps)
        return;
    mio_buf_z(dot, "  subgraph ");
    mio_json_string(dot, mio_arena_printf(&e->arena, "cluster %.*s", MIO_FMT(inst->address)));
    mio_buf_z(dot, " {\n    label = ");
    mio_json_string(dot, mio_arena_printf(&e->arena, "steps of %.*s", MIO_FMT(inst->address)));
    mio_buf_z(dot, ";\n");
    for (size_t i = 0; i < steps->n; i++) {
        mio_buf_z(dot, "    ");
        mio_json_string(dot, step_address(&e->arena, inst, steps->entries[i].key));
        mio_buf_z(dot, ";\n");
    }
    mio_buf_z(dot, "  }\n");
}

enum mio_code mio_engine_graph(struct mio_engine *e, const struct mio_plan_opts *scope,
                               struct mio_buf *dot)
{
    const struct mio_azureml_edge *steps;
    struct mio_inst **insts;
    size_t ninsts;
    enum mio_code rc = plan_offline(e, scope, &insts, &ninsts);
    if (rc)
        return rc;
    mio_buf_z(
        dot, "digraph {\n  rankdir = \"RL\";\n  node [shape = rect, fontname = \"sans-serif\"];\n");
    for (size_t i = 0; i < ninsts; i++) {
        mio_buf_z(dot, "  ");
        mio_json_string(dot, insts[i]->address);
        mio_buf_z(dot, ";\n");
        put_steps(e, dot, insts[i]);
    }
    for (size_t i = 0; i < ninsts; i++) {
        const struct mio_inst *inst = insts[i];
        for (size_t k = 0; k < inst->deps.n; k++)
            put_edge(dot, inst->address, inst->deps.items[k]->address, ";\n");
        size_t n = step_edges(inst, &steps);
        for (size_t k = 0; k < n; k++)
            put_edge(dot, step_address(&e->arena, inst, steps[k].to),
                     step_address(&e->arena, inst, steps[k].from), " [style = dashed];\n");
    }
    mio_buf_z(dot, "}\n");
    return MIO_OK;
}

static struct mio_value text_map(struct mio_arena *a, const char *const *keys,
                                 const struct mio_str *values, size_t n)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, n);
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct mio_pair){mio_str_z(keys[i]), mio_string(values[i])};
    return mio_map(pairs, n);
}

enum mio_code mio_engine_graph_json(struct mio_engine *e, const struct mio_plan_opts *scope,
                                    struct mio_buf *json)
{
    static const char *const node_keys[] = {"address", "kind", "action"}, *const edge_keys[] = {
                                                                              "from", "to"};
    const struct mio_azureml_edge *steps;
    struct mio_arena *a = &e->arena;
    struct mio_inst **insts;
    size_t nedges = 0, n = 0, ninsts, at = 0;
    enum mio_code rc = plan_offline(e, scope, &insts, &ninsts);
    if (rc)
        return rc;
    size_t nnodes = ninsts;
    for (size_t i = 0; i < ninsts; i++) {
        const struct mio_node *jobs = steps_of(insts[i]);
        nedges += insts[i]->deps.n + step_edges(insts[i], &steps);
        nnodes += jobs ? jobs->n : 0;
    }
    struct mio_value *nodes = MIO_NEW_N(a, struct mio_value, nnodes + 1);
    struct mio_value *edges = MIO_NEW_N(a, struct mio_value, nedges + 1);
    for (size_t i = 0; i < ninsts; i++) {
        const struct mio_inst *inst = insts[i];
        const struct mio_step *s = mio_step_of(inst);
        struct mio_str node[] = {
            inst->address, inst->res->block->kind,
            mio_str_z(mio_action_name(s ? (enum mio_action)s->action : MIO_NOOP))};
        nodes[at++] = text_map(a, node_keys, node, 3);
        const struct mio_node *jobs = steps_of(inst);
        for (size_t k = 0; jobs && k < jobs->n; k++) {
            struct mio_str step[] = {step_address(a, inst, jobs->entries[k].key), MIO_STR("step"),
                                     node[2]};
            nodes[at++] = text_map(a, node_keys, step, 3);
        }
        for (size_t k = 0; k < inst->deps.n; k++) {
            struct mio_str edge[] = {inst->address, inst->deps.items[k]->address};
            edges[n++] = text_map(a, edge_keys, edge, 2);
        }
        size_t inner = step_edges(inst, &steps);
        for (size_t k = 0; k < inner; k++) {
            struct mio_str edge[] = {step_address(a, inst, steps[k].to),
                                     step_address(a, inst, steps[k].from)};
            edges[n++] = text_map(a, edge_keys, edge, 2);
        }
    }
    struct mio_pair root[] = {{MIO_STR("nodes"), mio_list(nodes, nnodes)},
                              {MIO_STR("edges"), mio_list(edges, n)}};
    mio_json_pretty(json, mio_map(root, 2), MIO_JSON_HIDDEN);
    mio_buf_char(json, '\n');
    return MIO_OK;
}

enum mio_code mio_engine_schemas(struct mio_engine *e, const struct mio_schema *const **out,
                                 size_t *n)
{
    const struct mio_schema **list =
        MIO_NEW_N(&e->arena, const struct mio_schema *, e->provs.n + 1);
    struct mio_err err = {0};
    bool found = false;
    if (mio_lockfile_read(&e->arena, e->opts.dir, &e->provs.lock, &found, &err))
        return mio_engine_fail(e, &err);
    e->provs.have_lock = found;
    *n = 0;
    for (size_t i = 0; i < e->provs.n; i++) {
        struct mio_err one = {0};
        if (mio_prov_open(&e->provs, &e->provs.items[i], &one))
            mio_engine_fail(e, &one);
        else
            list[(*n)++] = e->provs.items[i].schema;
    }
    *out = list;
    return e->diags.errors ? MIO_PROVIDER : MIO_OK;
}

enum mio_code mio_engine_eval_node(struct mio_engine *e, const struct mio_node *n,
                                   struct mio_value extra, struct mio_value *out,
                                   struct mio_err *err)
{
    struct mio_scope_arg arg = {
        .st = &e->stack, .mod = e->stack.root, .extra = mio_is_null(extra) ? NULL : &extra};
    struct mio_scope scope = mio_stack_scope(&arg);
    return mio_node_eval(n, &scope, out, err);
}

struct mio_value mio_engine_outputs(struct mio_engine *e)
{
    size_t n = 0;
    struct mio_pair *pairs = MIO_NEW_N(&e->arena, struct mio_pair, e->tpl->outputs.n + 1);
    for (size_t i = 0; i < e->tpl->outputs.n; i++) {
        struct mio_err ignored = {0};
        pairs[n].key = e->tpl->outputs.items[i].name;
        if (mio_stack_output(&e->stack, e->stack.root, i, &pairs[n].value, &ignored) == MIO_OK)
            n++;
    }
    return mio_map(pairs, n);
}

enum mio_code mio_engine_eval(struct mio_engine *e, struct mio_str text, struct mio_value *out,
                              struct mio_err *err)
{
    if (!e->planned) {
        const struct mio_plan *plan;
        const struct mio_plan_opts looking = {.looking = true};
        enum mio_code rc = mio_engine_plan(e, &looking, &plan);
        if (rc) {
            err->reported = true; /* each of them is in diags */
            return mio_fail(err, rc, "the template has errors");
        }
    }
    struct mio_diags diags;
    mio_diags_init(&diags, &e->arena);
    MIO_PUSH(&e->arena, e->sources.items, e->sources.n, e->sources.cap) =
        (struct mio_source){.path = MIO_STR("console"), .text = mio_arena_str(&e->arena, text)};
    struct mio_pos at = {(uint32_t)e->sources.n, 1, 1, (uint32_t)text.n};
    const struct mio_expr *x =
        mio_expr_parse(&e->arena, e->sources.items[e->sources.n - 1].text, at, &diags);
    if (!x) {
        *err = diags.items[0].err;
        return err->code;
    }
    struct mio_scope_arg arg = {.st = &e->stack, .mod = e->stack.root};
    struct mio_scope scope = mio_stack_scope(&arg);
    return mio_expr_eval(x, &scope, out, err);
}
