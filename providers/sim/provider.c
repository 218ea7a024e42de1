/* providers/sim/provider.c: the plugin `sim`, a simulated cloud for tests, demonstrations and
 * measurements.
 *
 * Kinds: thing (create class B), and the same thing as thing_a, thing_c and thing_d. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include "providers/sim/sim.h"

#define FIELD .size = sizeof(struct mlops_field)

static const struct mlops_field config_fields[] = {
    {FIELD, .flags = MLOPS_REQUIRED, .type = MLOPS_STRING, .name = "path",
     .doc = "The file of the cloud; made when it is missing. Relative to the template."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_INTEGER, .name = "latency_ms",
     .unit = "milliseconds", .minimum = "0",
     .doc = "How long each create, update and delete takes."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_INTEGER, .name = "read_latency_ms",
     .unit = "milliseconds", .minimum = "0", .doc = "How long each batched read takes."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_INTEGER, .name = "lag_ms",
     .unit = "milliseconds", .minimum = "0", .doc = "How long a created thing cannot be read yet."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_INTEGER, .name = "late_commit_ms",
     .unit = "milliseconds", .minimum = "0",
     .doc = "Every create loses its reply and takes effect so much later."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_INTEGER, .name = "quota", .minimum = "0",
     .doc = "How many things there may be; checked before the first write of a plan."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_ANY, .name = "fail",
     .doc = "Share of changes that fail (0 to 1), or a list of {op, name, code, quote, times, "
            "retry_after_ms}; "
            "code: template, reality, auth, transient, provider, io, lost. For op read, a name is "
            "an id."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_ANY, .name = "crash",
     .doc = "The plugin dies: \"create\", \"create:NAME\", \"create@after\", or a list of {op, "
            "name, when, times}."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_ANY, .name = "hang",
     .doc =
         "The plugin never returns: \"create\", \"create:NAME\", or a list of {op, name, times}."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_ANY, .name = "garbage",
     .doc = "The plugin breaks its contract: index, double, json, huge, missing, status, OP:MODE, "
            "or a list of "
            "{op, name, mode, times}."},
    {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_STRING, .name = "create_class",
     .allowed = "A|B|C|D", .doc = "How every kind behaves in truth, whatever it declares."},
    {0},
};

static const struct mlops_field anything = {FIELD, .type = MLOPS_ANY, .name = "value"};
#define THING_FIELDS                                                                               \
    {FIELD, .flags = MLOPS_OPTIONAL | MLOPS_CREATE_ONLY, .type = MLOPS_STRING, .name = "name",     \
     .doc = "Unique among the things of its kind."},                                               \
        {FIELD,                                                                                    \
         .flags = MLOPS_OPTIONAL,                                                                  \
         .type = MLOPS_MAP,                                                                        \
         .name = "inputs",                                                                         \
         .element = &anything,                                                                     \
         .doc = "What the thing holds: any keys, any values."},                                    \
        {FIELD, .flags = MLOPS_OPTIONAL | MLOPS_CREATE_ONLY, .type = MLOPS_ANY,                    \
         .name = "triggers", .doc = "Any values; what they stand for is the template's own."},     \
        {FIELD, .flags = MLOPS_OPTIONAL, .type = MLOPS_STRING, .name = "fail",                     \
         .doc = "What goes wrong with this thing: create, update or delete, also after crash-, "   \
                "crash-after-, hang- or "                                                          \
                "lost-."},                                                                         \
        {FIELD, .flags = MLOPS_OPTIONAL | MLOPS_SENSITIVE, .type = MLOPS_STRING, .name = "secret", \
         .doc = "A value that is shown nowhere."},                                                 \
        {FIELD, .flags = MLOPS_COMPUTED, .type = MLOPS_STRING, .name = "id",                       \
         .doc = "Given by the cloud."},                                                            \
    {                                                                                              \
        FIELD, .flags = MLOPS_COMPUTED | MLOPS_VOLATILE, .type = MLOPS_ANY, .name = "output",      \
               .doc = "A copy of inputs, known after the change."                                  \
    }

static const struct mlops_field thing_fields[] = {THING_FIELDS, {0}};
static const struct mlops_field secret_fields[] = {
    THING_FIELDS,
    {FIELD, .flags = MLOPS_COMPUTED | MLOPS_SENSITIVE, .type = MLOPS_STRING, .name = "token",
     .doc = "A secret that the cloud makes up."},
    {0},
};

#define KIND(kind, class, more, settle, its_fields)                                               \
    {                                                                                             \
        .size = sizeof(struct mlops_kind), .flags = MLOPS_KIND_DATA | (more), .name = (kind),     \
        .doc = "A thing in the simulated cloud.", .create_class = (class), .settle_ms = (settle), \
        .fields = (its_fields), .schema_version = 1                                               \
    }

static const struct mlops_kind kinds[] = {
    KIND("thing", MLOPS_CREATE_B, MLOPS_KIND_FINDABLE, 200, thing_fields),
    KIND("thing_a", MLOPS_CREATE_A, MLOPS_KIND_FINDABLE, 200, thing_fields),
    KIND("thing_c", MLOPS_CREATE_C, 0, 1000, thing_fields),
    KIND("thing_d", MLOPS_CREATE_D, 0, 0, thing_fields),
    KIND("thing_s", MLOPS_CREATE_B, MLOPS_KIND_FINDABLE, 200, secret_fields),
    {0},
};

static void close_instance(struct mlops_instance *p)
{
    sim_cloud_close(p->cloud);
    pthread_cond_destroy(&p->woken);
    pthread_mutex_destroy(&p->mu);
    mio_arena_free(&p->arena);
    free(p);
}

static int configure(const struct mlops_call *c, const struct mlops_configure_args *a,
                     struct mlops_instance **out)
{
    struct mlops_instance *p = mio_zalloc(1, sizeof *p);
    mio_arena_init(&p->arena);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->woken, NULL);
    struct mio_err err = {0};
    struct mio_value config;
    /* The knobs point into the text: it must live as long as they. */
    const char *text = mio_arena_z(&p->arena, mio_str_z(a->config));
    if (mio_plugin_json(&p->arena, text, &config, &err) == MIO_OK &&
        sim_knobs_read(&p->arena, config, &p->knobs, &err) == MIO_OK) {
        struct mio_str path = mio_path_join(&p->arena, mio_str_z(a->base_dir), p->knobs.path);
        sim_cloud_open(mio_arena_z(&p->arena, path), &p->cloud, &err);
    }
    if (err.code) {
        close_instance(p);
        return mio_plugin_fail(c, &err);
    }
    *out = p;
    return MLOPS_OK;
}

/* The call sees c->cancelled by itself; only those asleep must be woken. */
static void cancel(struct mlops_instance *p, const struct mlops_call *c)
{
    (void)c;
    pthread_mutex_lock(&p->mu);
    pthread_cond_broadcast(&p->woken);
    pthread_mutex_unlock(&p->mu);
}

static const struct mlops_provider provider = {
    .size = sizeof provider,
    .abi_minor = MLOPS_ABI_MINOR,
    .name = "sim",
    .version = MIO_VERSION,
    .doc = "A simulated cloud in one SQLite file, which can be told to misbehave. Its function "
           "slug(text) "
           "gives a text as a name: provider::sim::slug(\"My Model\") is \"my-model\".",
    .caps = MLOPS_CAP_CONCURRENT | MLOPS_CAP_IMPORT | MLOPS_CAP_LIST | MLOPS_CAP_LOOKUP |
            MLOPS_CAP_PREFLIGHT | MLOPS_CAP_DATA | MLOPS_CAP_CANCEL | MLOPS_CAP_FUNCTIONS,
    .batch = 1000,
    .config = config_fields,
    .kinds = kinds,
    .configure = configure,
    .validate = sim_validate,
    .read_many = sim_read_many,
    .create = sim_create,
    .update = sim_update,
    .remove = sim_remove,
    .import = sim_import,
    .list = sim_list,
    .lookup_by_key = sim_lookup,
    .preflight = sim_preflight,
    .data_read = sim_data_read,
    .cancel = cancel,
    .function = sim_function,
    .close = close_instance,
};

const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host)
{
    (void)host; /* every 1.x will do */
    return &provider;
}
