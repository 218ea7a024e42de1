/* planner/template/azureml.c: which entity a document is, and the document as a whole. */
#include "planner/template/azureml_check.h"
#include "planner/template/load.h"

const char *mio_azureml_entity_name(const struct mio_azureml_entity *e)
{
    return e->name;
}

const char *mio_azureml_entity_kind(const struct mio_azureml_entity *e)
{
    return e->kind;
}

/* Text */

static bool in(struct mio_str word, const char *const *words)
{
    for (; *words; words++)
        if (mio_str_is(word, *words))
            return true;
    return false;
}

/* The key of a line that begins in the first column, or "". */
static struct mio_str first_key(struct mio_str line)
{
    size_t i = 0, from = line.n && (line.p[0] == '"' || line.p[0] == '\'');
    for (i = from; i < line.n && line.p[i] != ':' && line.p[i] != '"' && line.p[i] != '\''; i++) {
        char low = (char)(line.p[i] | 32);
        if (!((low >= 'a' && low <= 'z') || line.p[i] == '_' || line.p[i] == '$'))
            return (struct mio_str){0};
    }
    return i < line.n ? mio_str_sub(line, from, i - from) : (struct mio_str){0};
}

static bool holds(struct mio_str s, const char *what)
{
    for (size_t i = 0; i < s.n; i++)
        if (mio_str_starts(mio_str_sub(s, i, s.n - i), what))
            return true;
    return false;
}

bool mio_azureml_text(struct mio_str text)
{
    /* `resources`, `data` and `outputs` are keys of both. */
    static const char *const ours[] = {
        "mlops_iac", "variables", "locals",   "providers",     "modules", "moved", "import",
        "removed",   "checks",    "policies", "notifications", "include", "set",   NULL};
    static const char *const theirs[] = {"type",       "name",         "command",
                                         "jobs",       "inputs",       "component",
                                         "trigger",    "auth_mode",    "image",
                                         "conda_file", "build",        "endpoint_name",
                                         "path",       "dependencies", "channels",
                                         "identity",   "display_name", "managed_network",
                                         "code",       "environment",  "model_id",
                                         "location",   "python",       "replication_locations",
                                         "nodes",      "flow",         NULL};
    bool azure = false;
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        struct mio_str line = mio_str_sub(text, 0, nl ? (size_t)(nl - text.p) : text.n);
        text = mio_str_sub(text, line.n + (nl != NULL), text.n);
        if (!line.n || strchr(" #-", line.p[0]))
            continue;
        struct mio_str key = first_key(line);
        if (mio_str_is(key, "$schema") && (holds(line, "azureml") || holds(line, "promptflow")))
            return true;
        if (in(key, ours))
            return false;
        azure = azure || in(key, theirs);
    }
    return azure;
}

/* Entities */

/* ".../latest/commandJob.schema.json" to "commandjob". */
static struct mio_str schema_name(struct mio_arena *a, struct mio_str s)
{
    s = mio_str_trim(s);
    for (ptrdiff_t slash; (slash = mio_str_find(s, '/')) >= 0;)
        s = mio_str_sub(s, (size_t)slash + 1, s.n);
    ptrdiff_t dot = mio_str_find(s, '.');
    if (dot >= 0)
        s = mio_str_sub(s, 0, (size_t)dot);
    char *low = mio_arena_z(a, s);
    for (size_t i = 0; i < s.n; i++)
        if (low[i] >= 'A' && low[i] <= 'Z')
            low[i] = (char)(low[i] | 32);
    return (struct mio_str){low, s.n};
}

static const struct mio_azureml_entity *by_schema(struct mio_str schema)
{
    for (size_t i = 0; i < mio_az_nentities; i++)
        if (in(schema, mio_az_entities[i].schemas))
            return &mio_az_entities[i];
    return NULL;
}

/* Without $schema: what `type` says. The first row whose keys (NULL: none asked) are there wins. */
static const struct by_type {
    const char *type, *key, *entity;
} by_type[] = {
    {"command", "version", "commandComponent"},
    {"command", NULL, "commandJob"},
    {"pipeline", "version", "pipelineComponent"},
    {"pipeline", "endpoint_name", "pipelineBatchDeployment"},
    {"pipeline", NULL, "pipelineJob"},
    {"sweep", NULL, "sweepJob"},
    {"spark", "version", "sparkComponent"},
    {"spark", NULL, "sparkJob"},
    {"parallel", NULL, "parallelComponent"},
    {"automl", NULL, "autoMLJob"},
    {"finetuning", NULL, "finetuningJob"},
    {"distillation", NULL, "distillationJob"},
    {"amlcompute", NULL, "amlCompute"},
    {"computeinstance", NULL, "computeInstance"},
    {"kubernetes", NULL, "kubernetesCompute"},
    {"virtualmachine", NULL, "vmCompute"},
    {"synapsespark", NULL, "synapseSparkCompute"},
    {"azure_blob", NULL, "azureBlob"},
    {"azure_file", NULL, "azureFile"},
    {"azure_data_lake_gen1", NULL, "azureDataLakeGen1"},
    {"azure_data_lake_gen2", NULL, "azureDataLakeGen2"},
    {"one_lake", NULL, "oneLake"},
    {"custom_model", NULL, "model"},
    {"mlflow_model", NULL, "model"},
    {"triton_model", NULL, "model"},
    {"uri_file", "source", "dataImport"},
    {"uri_folder", "source", "dataImport"},
    {"mltable", "source", "dataImport"},
    {"uri_file", NULL, "data"},
    {"uri_folder", NULL, "data"},
    {"mltable", NULL, "data"},
    {"model", NULL, "batchDeployment"},
    {"git", NULL, "connection"},
    {"python_feed", NULL, "connection"},
    {"container_registry", NULL, "connection"},
    {"snowflake", NULL, "connection"},
    {"azure_sql_db", NULL, "connection"},
    {"azure_synapse_analytics", NULL, "connection"},
    {"azure_my_sql_db", NULL, "connection"},
    {"azure_postgres_db", NULL, "connection"},
    {"s3", NULL, "connection"},
    {"generic_container_registry", NULL, "connection"},
    {"azure_open_ai", NULL, "connection"},
    {"azure_ai_services", NULL, "connection"},
    {"azure_ai_search", NULL, "connection"},
    {"api_key", NULL, "connection"},
    {"custom", NULL, "connection"},
    {"serverless", NULL, "connection"},
};
/* And without `type`: a key that only one entity has, or two keys. */
static const struct by_key {
    const char *key, *also, *entity;
} by_key[] = {
    {"replication_locations", NULL, "registry"},
    {"trigger", "create_monitor", "monitor"},
    {"trigger", NULL, "schedule"},
    {"model_id", NULL, "serverlessEndpoint"},
    {"hub_id", NULL, "project"},
    {"managed_network", "name", "workspace"},
    {"storage_account", NULL, "workspace"},
    {"hbi_workspace", NULL, "workspace"},
    {"jobs", "version", "pipelineComponent"},
    {"jobs", NULL, "pipelineJob"},
    {"command", "version", "commandComponent"},
    {"command", "environment", "commandJob"},
    {"instance_type", "model", "managedOnlineDeployment"},
    {"instance_type", "endpoint_name", "managedOnlineDeployment"},
    {"endpoint_name", "compute", "batchDeployment"},
    {"endpoint_name", NULL, "managedOnlineDeployment"},
    {"defaults", "name", "batchEndpoint"},
    {"auth_mode", "name", "managedOnlineEndpoint"},
    {"image", "name", "environment"},
    {"conda_file", "name", "environment"},
    {"inferencing_server", NULL, "modelPackage"},
    {"index_columns", NULL, "featureStoreEntity"},
};
static const char part_of_template[] = "part of a template";
/* Files that lie beside Azure ML documents and are none. */
static const struct {
    const char *key, *what;
} strangers[] = {
    {"build_dependencies", "the Python environment of a saved model"},
    {"dependencies", "a conda file: name it in the `conda_file` of an environment"},
    {"nodes", "a prompt flow, which no workspace keeps as a resource"},
    {"flow", "the run of a prompt flow, which no workspace keeps as a resource"},
    {"model_repository", "the settings of a tool"},
    {"task", "the settings of a tool"},
    {"identity", "a patch for a resource: name the resource it belongs to"},
    {"inputs", "inputs for a job: give them where the job is run"},
    {"resources", part_of_template},
    {"modules", part_of_template},
    {"variables", part_of_template},
    {"mlops_iac", part_of_template},
};

static const struct mio_azureml_entity *infer(const struct mio_node *root)
{
    const struct mio_node *type = mio_node_get(root, "type");
    if (mio_az_text(type)) {
        for (size_t i = 0; i < sizeof by_type / sizeof *by_type; i++)
            if (mio_str_is(type->text, by_type[i].type) &&
                (!by_type[i].key || mio_node_get(root, by_type[i].key)))
                return mio_az_entity(by_type[i].entity);
        return NULL;
    }
    for (size_t i = 0; i < sizeof by_key / sizeof *by_key; i++)
        if (mio_node_get(root, by_key[i].key) &&
            (!by_key[i].also || mio_node_get(root, by_key[i].also)))
            return mio_az_entity(by_key[i].entity);
    return NULL;
}

static void not_ours(struct mio_az_check *c, const struct mio_node *root)
{
    const struct mio_node *type = mio_node_get(root, "type");
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        const struct mio_node *n = mio_node_get(root, strangers[i].key);
        if (!n || (!strcmp(strangers[i].key, "nodes") && n->type == MIO_NODE_SCALAR))
            continue; /* `nodes: 3` is the value of a variable */
        mio_az_error(c, root->pos,
                     strangers[i].what == part_of_template
                         ? "`validate -dir=FOLDER` checks templates"
                         : "move it out of the template directory, or do not include it",
                     "this is no Azure ML entity, but %s", strangers[i].what);
        return;
    }
    if (mio_az_text(type))
        mio_az_error(c, type->pos, "write its `$schema` in the first line",
                     "`%.*s` is not the type of an Azure ML entity", MIO_FMT(type->text));
    else
        mio_az_error(c, root->pos,
                     "write its `$schema` in the first line; values for -var-file go into a folder "
                     "below that of the template",
                     "neither `$schema` nor `type` nor its keys tell what this document is");
}

static const struct mio_azureml_entity *identify(struct mio_az_check *c,
                                                 const struct mio_node *root)
{
    const struct mio_node *schema = mio_node_get(root, "$schema");
    if (!mio_az_text(schema)) {
        const struct mio_azureml_entity *e = infer(root);
        if (!e)
            not_ours(c, root);
        return e;
    }
    struct mio_str name = schema_name(c->arena, schema->text);
    const struct mio_azureml_entity *e = by_schema(name);
    if (holds(schema->text, "promptflow")) {
        not_ours(c, root);
        return NULL;
    }
    if (e && !strcmp(e->name, "schedule") && mio_node_get(root, "create_monitor"))
        return mio_az_entity("monitor");
    if (e)
        return e;
    struct mio_str *names = MIO_NEW_N(c->arena, struct mio_str, mio_az_nentities), near;
    for (size_t i = 0; i < mio_az_nentities; i++)
        names[i] = mio_str_z(mio_az_entities[i].schemas[0]);
    near = mio_str_nearest(name, names, mio_az_nentities);
    struct mio_str hint =
        mio_arena_printf(c->arena, "did you mean %s?", near.n ? by_schema(near)->name : "");
    mio_az_error(c, schema->pos, near.n ? hint.p : NULL, "no Azure ML entity has the schema `%.*s`",
                 MIO_FMT(name));
    return NULL;
}

/* One of two fields must be there. */
static void check_pairs(struct mio_az_check *c, const struct mio_node *root,
                        const struct mio_azureml_entity *e)
{
    static const struct {
        const char *entity, *a, *b;
    } pairs[] = {
        {"pipelineJob", "jobs", "component"},
        {"environment", "image", "build"},
        {"schedule", "create_job", "import_data"},
        {"pipelineBatchDeployment", "component", "job_definition"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!strcmp(e->name, pairs[i].entity) && !mio_node_get(root, pairs[i].a) &&
            !mio_node_get(root, pairs[i].b))
            mio_az_error(c, root->pos, NULL, "%s needs `%s` or `%s`", e->table->what, pairs[i].a,
                         pairs[i].b);
}

enum mio_code mio_azureml_check(struct mio_arena *a, const struct mio_node *root,
                                const struct mio_azureml_opts *o, struct mio_azureml_doc *out,
                                struct mio_diags *diags)
{
    size_t errors = diags->errors;
    struct mio_az_check c = {.arena = a, .diags = diags, .opts = o, .doc = out};
    *out = (struct mio_azureml_doc){0};
    if (root->type != MIO_NODE_MAP)
        return mio_diags_error(diags, MIO_TEMPLATE, root->pos, NULL,
                               root->type == MIO_NODE_SCALAR && !root->text.n
                                   ? "the file is empty"
                                   : "an Azure ML document is a mapping, this is %s",
                               mio_tpl_node_word(root));
    const struct mio_azureml_entity *e = identify(&c, root);
    if (!e)
        return MIO_TEMPLATE;
    out->entity = e;
    out->kind = mio_str_z(e->kind);
    const struct mio_node *name = mio_node_get(root, "name"),
                          *version = mio_node_get(root, "version"),
                          *type = mio_node_get(root, "type");
    if (mio_az_text(name))
        out->name = name->text;
    if (mio_az_text(version))
        out->version = version->text;
    if (e->type && mio_az_text(type) && !mio_str_ieq(type->text, mio_str_z(e->type)))
        mio_az_error(&c, type->pos, NULL, "%s has the type `%s`, not `%.*s`", e->table->what,
                     e->type, MIO_FMT(type->text));
    struct mio_az_scope scope = mio_az_scope_of(root, NULL);
    mio_az_object(&c, root, e->table, &scope, true);
    check_pairs(&c, root, e);
    out->edges = c.edges;
    out->nedges = c.nedges;
    out->missing = c.missing;
    out->nmissing = c.nmissing;
    return diags->errors == errors ? MIO_OK : MIO_TEMPLATE;
}
