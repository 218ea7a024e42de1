/* tests/faults/shaky.c: the plugin `sim`, which misbehaves once around a change of the resource
 * "victim".
 *
 * In: FAULTS_SIM, the real plugin; FAULTS_HOW, a name of the table below; FAULTS_WHEN, before or
 * after the change took effect; FAULTS_ONCE, a file made by the first call that misbehaves: later
 * ones behave. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/abi/mlops_provider.h"

static const struct mlops_provider *real; /* set once, when the plugin is loaded */
static struct mlops_provider mine;

typedef void how_fn(const struct mlops_call *c);

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void emit(const struct mlops_call *c, size_t index, const char *id, const char *text,
                 size_t n)
{
    c->emit(c, index,
            &(struct mlops_object){.size = sizeof(struct mlops_object),
                                   .id = id,
                                   .fingerprint = "odd",
                                   .attributes = text,
                                   .attributes_len = n});
}

static void segfault(const struct mlops_call *c)
{
    (void)c;
    raise(SIGSEGV);
}

static void fault_address(const struct mlops_call *c)
{
    char *volatile nowhere = (char *)(uintptr_t)16;
    *nowhere = c->idempotency_key[0];
}

static void give_up(const struct mlops_call *c)
{
    (void)c;
    abort();
}

static void leave_0(const struct mlops_call *c)
{
    (void)c;
    exit(0);
}

static void leave_1(const struct mlops_call *c)
{
    (void)c;
    _exit(1);
}

static void killed(const struct mlops_call *c)
{
    (void)c;
    kill(getpid(), SIGKILL);
}

static void stopped(const struct mlops_call *c)
{
    (void)c;
    raise(SIGSTOP);
}

static void hang(const struct mlops_call *c)
{
    (void)c;
    for (;;)
        nap(1000);
}

static void spin(const struct mlops_call *c)
{
    while (!c->cancelled(c) || c->attempt)
        ;
}

/* Says something now and then, for ever. */
static void drip(const struct mlops_call *c)
{
    for (int i = 0;; i++) {
        c->progress(c, "still at it", i % 100);
        c->log(c, 1, "drip");
        nap(100);
    }
}

static void flood(const struct mlops_call *c)
{
    char line[4096];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    for (int i = 0; i < 5000; i++)
        c->log(c, 3, line);
}

static void huge(const struct mlops_call *c)
{
    size_t n = (size_t)1 << 30;
    char *text = malloc(n);
    if (!text)
        abort();
    memset(text, 'x', n);
    emit(c, 0, "t-1", text, n);
    free(text);
}

static void wrong_id(const struct mlops_call *c)
{
    emit(c, 0, "t-999999\n\x1b[31m", "{\"id\":\"t-999999\"}", 17);
}

static void no_id(const struct mlops_call *c)
{
    emit(c, 0, "", "{}", 2);
}

static void wrong_index(const struct mlops_call *c)
{
    emit(c, 4711, "t-1", "{}", 2);
}

static void twice(const struct mlops_call *c)
{
    emit(c, 0, "t-1", "{}", 2);
    emit(c, 0, "t-2", "{}", 2);
}

static void no_json(const struct mlops_call *c)
{
    emit(c, 0, "t-1", "{\"id\": nonsense", 15);
}

static void close_all(const struct mlops_call *c)
{
    (void)c;
    for (int fd = 0; fd < 64; fd++)
        close(fd);
}

/* Bytes of its own into whatever channel it has. */
static void scribble(const struct mlops_call *c)
{
    struct stat st;
    (void)c;
    for (int fd = 1; fd < 64; fd++)
        if (fstat(fd, &st) == 0 &&
            !S_ISREG(st.st_mode)) /* the cloud's own files are not the engine's concern */
            (void)!write(fd, "\xff\xff\xff\x7fnonsense", 12);
}

static void no_memory(const struct mlops_call *c)
{
    (void)c;
    setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, 1 << 20});
    for (size_t n = 1; malloc(n); n *= 2)
        ;
}

static void children(const struct mlops_call *c)
{
    (void)c;
    for (int i = 0; i < 20; i++)
        if (fork() == 0) {
            nap(3000);
            _exit(0);
        }
    abort();
}

static const struct {
    const char *name;
    how_fn *fn;
} ways[] = {
    {"segfault", segfault},
    {"fault address", fault_address},
    {"abort", give_up},
    {"exit 0", leave_0},
    {"exit 1", leave_1},
    {"SIGKILL", killed},
    {"gone for good", killed}, /* and it does not start again */
    {"SIGSTOP", stopped},
    {"hang", hang},
    {"spin", spin},
    {"drip", drip},
    {"flood", flood},
    {"1 GiB answer", huge},
    {"wrong id", wrong_id},
    {"no id", no_id},
    {"wrong index", wrong_index},
    {"double answer", twice},
    {"no JSON", no_json},
    {"closed descriptors", close_all},
    {"scribble", scribble},
    {"no memory", no_memory},
    {"children", children},
};

static bool is(const char *variable, const char *value)
{
    const char *text = getenv(variable);
    return text && strcmp(text, value) == 0;
}

/* Once, even when several processes ask. */
static bool first(void)
{
    const char *path = getenv("FAULTS_ONCE");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool misbehave(const struct mlops_call *c)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (is("FAULTS_HOW", ways[i].name)) {
            ways[i].fn(c);
            return true;
        }
    return false;
}

static void swallow(const struct mlops_call *c, size_t index, const struct mlops_object *object)
{
    (void)c;
    (void)index;
    (void)object;
}

typedef int change_fn(struct mlops_instance *p, const struct mlops_call *c,
                      const struct mlops_change_args *a);

/* What is removed by a call that comes back is removed: nobody can tell a plugin that says so
 * falsely. */
static int around(change_fn *fn, struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    if (!strstr(a->address, "victim") || !first())
        return fn(p, c, a);
    if (is("FAULTS_WHEN",
           "after")) { /* the change takes effect; what is told of it is the fault's alone */
        struct mlops_call quiet = *c;
        quiet.emit = swallow;
        fn(p, &quiet, a);
    }
    misbehave(c);
    return fn == real->remove ? fn(p, c, a) : MLOPS_OK;
}

static int create(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    return around(real->create, p, c, a);
}

static int update(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    return around(real->update, p, c, a);
}

static int remove_thing(struct mlops_instance *p, const struct mlops_call *c,
                        const struct mlops_change_args *a)
{
    return around(real->remove, p, c, a);
}

const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host)
{
    const char *path = getenv("FAULTS_SIM"), *once = getenv("FAULTS_ONCE");
    if (is("FAULTS_HOW", "gone for good") && once && access(once, F_OK) == 0)
        abort();
    void *so = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const struct mlops_provider *(*entry)(const struct mlops_host *) = NULL;
    if (so)
        *(void **)&entry = dlsym(so, "mlops_provider_v1");
    if (!entry)
        return NULL;
    real = entry(host);
    mine = *real;
    mine.create = create;
    mine.update = update;
    mine.remove = remove_thing;
    return &mine;
}
