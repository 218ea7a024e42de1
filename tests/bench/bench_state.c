/* tests/bench/bench_state.c: what the state costs at a given number of resources, and a journalled
 * operation.
 *
 * Usage: bench_state [ROWS [WORKERS]]; a JSON line a figure. Not a test: nothing fails when it is
 * slow. */
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "state/store.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* cpu_ms: of this process since the last line; what a machine that has nothing else to do would
 * need, disk aside. */
static void say(const char *what, size_t n, double ms)
{
    static double before;
    struct rusage u;
    struct timespec t;
    getrusage(RUSAGE_SELF, &u);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    double cpu = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
    printf("{\"what\":\"%s\",\"n\":%zu,\"ms\":%.1f,\"cpu_ms\":%.1f,\"peak_mib\":%ld}\n", what, n,
           ms, cpu - before, u.ru_maxrss / 1024);
    before = cpu;
}

static void need(enum mio_code rc, const struct mio_err *err)
{
    if (rc == MIO_OK)
        return;
    fprintf(stderr, "%s (%s)\n", err->message, err->cause);
    exit(1);
}

static struct mio_record sample(struct mio_arena *a, struct mio_str address)
{
    static const char inputs[] = "{\"inputs\":{\"name\":\"node\",\"size\":12,\"zone\":\"a\"}}";
    static const char attributes[] =
        "{\"id\":\"0123456789abcdef\",\"inputs\":{\"name\":\"node\",\"size\":12,\"zone\":\"a\"},"
        "\"output\":{\"name\":\"node\",\"size\":12,\"zone\":\"a\"}}";
    struct mio_err err = {0};
    struct mio_record r = {
        .digest = MIO_STR("1111111111111111111111111111111111111111111111111111111111111111"),
        .address = address,
        .deposed = MIO_STR(""),
        .kind = MIO_STR("thing"),
        .provider = MIO_STR("sim"),
        .id = MIO_STR("0123456789abcdef"),
        .fingerprint = MIO_STR("1"),
        .generation = 1,
        .content = mio_map(NULL, 0),
        .dependencies = mio_list(NULL, 0),
    };
    need(mio_json_read(a, MIO_STR(inputs), NULL, &r.inputs, &err), &err);
    need(mio_json_read(a, MIO_STR(attributes), NULL, &r.attributes, &err), &err);
    return r;
}

static struct mio_store *open_store(const char *dir)
{
    struct mio_store *s;
    struct mio_err err = {0};
    struct mio_store_opts o = {.dir = dir, .stage = MIO_STR(""), .create = true};
    need(mio_store_open(&o, &s, &err), &err);
    return s;
}

static void bench_rows(const char *dir, size_t rows)
{
    struct mio_err err = {0};
    struct mio_arena a;
    struct mio_state state;
    mio_arena_init(&a);
    struct mio_store *s = open_store(dir);
    need(mio_store_load(s, &a, &state, &err), &err);
    struct mio_record r = sample(&a, MIO_STR(""));
    double from = now_ms();
    for (size_t i = 0; i < rows; i++) {
        r.address = mio_arena_printf(&a, "thing.t[%zu]", i * 7919 % rows);
        need(mio_state_put(&state, &r, &err), &err);
    }
    say("put", rows, now_ms() - from);
    from = now_ms();
    need(mio_store_commit(s, &state, &err), &err);
    say("commit (shuffled)", rows, now_ms() - from);
    from = now_ms();
    need(mio_store_commit(s, &state, &err), &err);
    say("commit (in order)", rows, now_ms() - from);
    mio_store_close(s);
    mio_arena_free(&a);
}

static void bench_load(const char *dir)
{
    struct mio_err err = {0};
    struct mio_arena a;
    struct mio_state state;
    mio_arena_init(&a);
    double from = now_ms();
    struct mio_store *s = open_store(dir);
    need(mio_store_load(s, &a, &state, &err), &err);
    say("load", state.nrows, now_ms() - from);
    from = now_ms();
    size_t found = 0;
    for (size_t i = 0; i < state.nrows; i++)
        found += mio_state_find(&state, state.rows[i].address, MIO_STR("")) != NULL;
    say("find each", found, now_ms() - from);
    mio_store_close(s);
    mio_arena_free(&a);
}

struct worker {
    struct mio_jrn *j;
    uint64_t first, n;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct mio_arena a;
    struct mio_err err = {0};
    mio_arena_init(&a);
    struct mio_jrn_intent i = {.address = MIO_STR("thing.a"), .kind = MIO_STR("thing")};
    i.target = sample(&a, i.address);
    for (uint64_t k = 0; k < w->n; k++) {
        i.op = w->first + k;
        need(mio_jrn_intent(w->j, &i, &err), &err);
        need(mio_jrn_done(w->j, i.op, &i.target, false, &err), &err);
    }
    mio_arena_free(&a);
    return NULL;
}

static void bench_journal(const char *dir, size_t workers, uint64_t each)
{
    struct mio_err err = {0};
    struct mio_arena a;
    struct mio_state state;
    struct mio_jrn *j;
    struct mio_jrn_replay r;
    bool found;
    mio_arena_init(&a);
    struct mio_store *s = open_store(dir);
    need(mio_store_lock(s, "bench", 0, NULL, &err), &err);
    need(mio_store_load(s, &a, &state, &err), &err);
    struct mio_jrn_begin b = {.apply_id = MIO_STR("bench")};
    need(mio_store_begin(s, &state, &b, &j, &err), &err);
    pthread_t *t = calloc(workers, sizeof *t);
    struct worker *w = calloc(workers, sizeof *w);
    double from = now_ms();
    for (size_t i = 0; i < workers; i++) {
        w[i] = (struct worker){j, i * each + 1, each};
        if (pthread_create(&t[i], NULL, work, &w[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < workers; i++)
        pthread_join(t[i], NULL);
    double spent = now_ms() - from;
    uint64_t records, syncs;
    mio_jrn_counts(j, &records, &syncs);
    say("journalled operations", workers * each, spent);
    printf("{\"what\":\"syncs an operation\",\"workers\":%zu,\"ratio\":%.3f}\n", workers,
           (double)syncs / (double)(workers * each));
    mio_jrn_close(j);
    from = now_ms();
    need(mio_store_journal(s, &a, &state, &r, &found, &err), &err);
    say("replay", r.n, now_ms() - from);
    need(mio_store_drop_journal(s, &err), &err);
    mio_store_close(s);
    mio_arena_free(&a);
    free(t);
    free(w);
}

int main(int argc, char **argv)
{
    uint64_t rows = 100000, workers = 10;
    struct mio_err err = {0};
    if (argc > 1 && !mio_str_u64(mio_str_z(argv[1]), &rows))
        return 2;
    if (argc > 2 && !mio_str_u64(mio_str_z(argv[2]), &workers))
        return 2;
    char dir[] = "/tmp/mio-bench-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    pid_t child = fork(); /* so that the peak of the load is not that of the making */
    if (child == 0) {
        bench_rows(dir, rows);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child)
        return 1;
    bench_load(dir);
    bench_journal(dir, workers, 10000 / workers);
    need(mio_fs_remove_tree(dir, &err), &err);
    return 0;
}
