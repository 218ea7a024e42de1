/* tests/bench/bench_template.c: how long loading 10,000 resource blocks takes, and loading and
 * evaluating them, against libyaml's own event loop over the same bytes. Usage:
 * bench_template [BLOCKS [ROUNDS]]
 *
 * Prints the medians, and the medians of the ratios: the parts of one round run behind each other,
 * so that a busy machine slows all of them. Fails when three quarters of the rounds took more than
 * twice libyaml's time for loading and evaluating. */
#include "planner/graph/stack.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <unistd.h>
#include <yaml.h>

enum { MAX_ROUNDS = 1000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_blocks(struct mio_buf *b, size_t n)
{
    mio_buf_z(b, "variables: { nodes: { type: number, default: 2 } }\n"
                 "locals: { tier: gold }\n"
                 "resources:\n  thing:\n");
    for (size_t i = 0; i < n; i++) {
        mio_buf_printf(b,
                       "    t%zu:\n"
                       "      name: \"thing-%zu-${var.nodes}\"\n"
                       "      size: Standard_DS3_v2\n"
                       "      min_instances: 0\n"
                       "      max_instances: %zu\n"
                       "      inputs: { region: west, tier: \"${local.tier}\", tags: [a, b] }\n",
                       i, i, i % 7);
        if (i)
            mio_buf_printf(b, "      previous: ${thing.t%zu.id}\n", i - 1);
        mio_buf_z(b, "      enabled: true\n");
    }
}

static double event_loop(struct mio_str text, size_t *events)
{
    double from = seconds();
    yaml_parser_t p;
    yaml_event_t e;
    *events = 0;
    yaml_parser_initialize(&p);
    yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
    for (bool more = true; more; ++*events) {
        if (!yaml_parser_parse(&p, &e))
            return -1;
        more = e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&p);
    return seconds() - from;
}

static const struct mlops_field fields[] = {
    {.size = sizeof fields[0], .name = "id", .type = MLOPS_STRING, .flags = MLOPS_COMPUTED},
    {.size = sizeof fields[0], .name = "name", .type = MLOPS_STRING, .flags = MLOPS_REQUIRED},
    {.size = sizeof fields[0], .name = "size", .type = MLOPS_STRING},
    {.size = sizeof fields[0], .name = "min_instances", .type = MLOPS_INTEGER, .dflt = "0"},
    {.size = sizeof fields[0], .name = "max_instances", .type = MLOPS_INTEGER, .minimum = "0"},
    {.size = sizeof fields[0], .name = "inputs", .type = MLOPS_ANY},
    {.size = sizeof fields[0], .name = "previous", .type = MLOPS_STRING},
    {0},
};
static const struct mlops_kind kinds[] = {
    {.size = sizeof kinds[0], .name = "thing", .fields = fields},
    {0},
};
static const struct mlops_provider provider = {
    .size = sizeof provider, .abi_minor = MLOPS_ABI_MINOR, .name = "bench", .kinds = kinds};

/* What a planner knows of an instance that it will create. */
static enum mio_code planned(void *arg, struct mio_inst *inst, struct mio_value *out,
                             struct mio_err *err)
{
    (void)inst;
    (void)err;
    *out = *(const struct mio_value *)arg;
    return MIO_OK;
}

static enum mio_code evaluate(struct mio_arena *a, const struct mio_template *t,
                              const struct mio_kind *kind, struct mio_diags *diags)
{
    struct mio_pair id = {MIO_STR("id"), mio_unknown(MIO_STRING)};
    struct mio_value value = mio_map(&id, 1), body;
    struct mio_stack st = {.arena = a, .diags = diags, .budget = 1000000, .planning = true};
    struct mio_err err = {0};
    st.value = planned;
    st.arg = &value;
    enum mio_code rc = mio_stack_build(&st, t);
    for (size_t i = 0; !rc && i < st.nres; i++)
        st.res[i]->kind = kind;
    if (!rc)
        rc = mio_stack_expand(&st);
    for (size_t i = 0; !rc && i < st.ninsts; i++) {
        st.collect = &st.insts[i]->deps;
        rc = mio_body_eval(&st, st.insts[i], MIO_BODY_MAIN, &body, &err);
    }
    return rc;
}

struct seen {
    size_t blocks, loaded, evaluated; /* bytes of the arena after each */
    double load, both;
};

static bool load(const char *dir, const struct mio_kind *kind, struct seen *seen)
{
    double from = seconds();
    struct mio_arena a;
    struct mio_diags diags;
    struct mio_sources sources = {0};
    struct mio_template *t = NULL;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    struct mio_template_opts o = {.dir = dir, .stage = "", .sources = &sources};
    enum mio_code code = mio_template_load(&a, &o, &t, &diags);
    seen->blocks = t ? t->blocks.n : 0;
    seen->loaded = a.total;
    seen->load = seconds() - from;
    if (!code)
        code = evaluate(&a, t, kind, &diags);
    seen->evaluated = a.total;
    if (code)
        fprintf(stderr, "%s\n", diags.n ? diags.items[0].err.message : "failed");
    mio_arena_free(&a);
    seen->both = seconds() - from;
    return !code;
}

static int by_size(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n / 2];
}

/* Prints the sentence; gives the lower quartile of the ratios. */
static double measure(const char *dir, struct mio_str text, const struct mio_kind *kind,
                      size_t rounds)
{
    static double yaml[MAX_ROUNDS], loads[MAX_ROUNDS], both[MAX_ROUNDS], load_ratio[MAX_ROUNDS],
        ratio[MAX_ROUNDS];
    struct seen s = {0};
    size_t events = 0;
    for (size_t i = 0; i < rounds; i++) {
        yaml[i] = event_loop(text, &events);
        if (yaml[i] < 0 || !load(dir, kind, &s))
            return 1e9;
        loads[i] = s.load;
        both[i] = s.both;
        load_ratio[i] = s.load / yaml[i];
        ratio[i] = s.both / yaml[i];
    }
    printf("%zu blocks of %.2f MiB, %zu events, %zu rounds\n", s.blocks, (double)text.n / (1 << 20),
           events, rounds);
    printf("libyaml alone      %6.1f ms\n", median(yaml, rounds) * 1e3);
    printf("load               %6.1f ms  %5.1f MiB  ratio %.2f\n", median(loads, rounds) * 1e3,
           (double)s.loaded / (1 << 20), median(load_ratio, rounds));
    printf("load and evaluate  %6.1f ms  %5.1f MiB  ratio %.2f\n", median(both, rounds) * 1e3,
           (double)s.evaluated / (1 << 20), median(ratio, rounds));
    return ratio[rounds / 4];
}

int main(int argc, char **argv)
{
    uint64_t blocks = 10000, rounds = 15;
    if (argc > 1)
        mio_str_u64(mio_str_z(argv[1]), &blocks);
    if (argc > 2)
        mio_str_u64(mio_str_z(argv[2]), &rounds);
    char dir[] = "/tmp/mio-bench-XXXXXX", path[64];
    struct mio_err err = {0};
    struct mio_arena a;
    struct mio_value json;
    struct mio_schema schema;
    MIO_AUTO_BUF text = {0};
    MIO_AUTO_BUF tables = {0};
    if (!rounds || rounds > MAX_ROUNDS || !mkdtemp(dir))
        return 1;
    mio_arena_init(&a);
    write_blocks(&text, blocks);
    mio_schema_write(&tables, &provider);
    snprintf(path, sizeof path, "%s/main.yaml", dir);
    bool ok = mio_fs_replace(path, mio_buf_view(&text), 0600, &err) == MIO_OK &&
              mio_json_read(&a, mio_buf_view(&tables), NULL, &json, &err) == MIO_OK &&
              mio_schema_read(&a, json, &schema, &err) == MIO_OK &&
              measure(dir, mio_buf_view(&text), &schema.kinds[0], rounds) <= 2;
    mio_fs_remove_tree(dir, &err);
    mio_arena_free(&a);
    return ok ? 0 : 1;
}
