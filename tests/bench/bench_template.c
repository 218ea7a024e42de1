/* tests/bench/bench_template.c: how long loading 10,000 resource blocks takes, against libyaml's
 * own event loop over the same bytes. Prints both and the ratio; fails nothing. Usage:
 * bench_template [BLOCKS [ROUNDS]] */
#include "planner/template/template.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include <unistd.h>
#include <yaml.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_blocks(struct mio_buf *b, size_t n)
{
    mio_buf_z(b, "variables: { nodes: { type: number, default: 2 } }\nresources:\n  thing:\n");
    for (size_t i = 0; i < n; i++)
        mio_buf_printf(b,
                       "    t%zu:\n"
                       "      name: \"thing-%zu-${var.nodes}\"\n"
                       "      size: Standard_DS3_v2\n"
                       "      min_instances: 0\n"
                       "      max_instances: %zu\n"
                       "      inputs: { region: west, tier: \"${local.tier}\", tags: [a, b] }\n"
                       "      previous: ${thing.t%zu.id}\n"
                       "      enabled: true\n",
                       i, i, i % 7, i ? i - 1 : 0);
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

static double load(const char *dir, size_t *blocks, size_t *bytes)
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
    *blocks = t ? t->blocks.n : 0;
    *bytes = a.total;
    if (code)
        fprintf(stderr, "%s\n", diags.items[0].err.message);
    mio_arena_free(&a);
    return code ? -1 : seconds() - from;
}

int main(int argc, char **argv)
{
    uint64_t blocks = 10000, rounds = 9;
    if (argc > 1)
        mio_str_u64(mio_str_z(argv[1]), &blocks);
    if (argc > 2)
        mio_str_u64(mio_str_z(argv[2]), &rounds);
    char dir[] = "/tmp/mio-bench-XXXXXX", path[64];
    struct mio_err err = {0};
    MIO_AUTO_BUF text = {0};
    if (!mkdtemp(dir))
        return 1;
    write_blocks(&text, blocks);
    snprintf(path, sizeof path, "%s/main.yaml", dir);
    double best_events = 1e9, best_load = 1e9;
    size_t events = 0, seen = 0, bytes = 0;
    if (mio_fs_replace(path, mio_buf_view(&text), 0600, &err) == MIO_OK)
        for (uint64_t i = 0; i < rounds; i++) {
            double e = event_loop(mio_buf_view(&text), &events), l = load(dir, &seen, &bytes);
            best_events = e < best_events ? e : best_events;
            best_load = l < best_load ? l : best_load;
        }
    printf("%zu blocks of %.2f MiB, %zu events: libyaml alone %.1f ms, load %.1f ms and %.1f MiB: "
           "ratio %.2f\n",
           seen, (double)text.n / (1 << 20), events, best_events * 1e3, best_load * 1e3,
           (double)bytes / (1 << 20), best_load / best_events);
    mio_fs_remove_tree(dir, &err);
    return seen != blocks;
}
