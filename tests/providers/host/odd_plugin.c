/* tests/providers/host/odd_plugin.c: a plugin that misbehaves as told, in plain C against the ABI
 * header alone.
 *
 * Loading goes wrong by the macro it is built with (see CMakeLists.txt); a call goes wrong by the
 * first word of the resource's address ("crash", "hang", "huge", ...), a read by that of the id. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "providers/abi/mlops_provider.h"

struct mlops_instance {
    char on_close[512]; /* file to be made by close() */
};

static int inside; /* calls running at once */
static int most;   /* the most ever seen */
static int calls;  /* changes so far */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static void enter(void)
{
    pthread_mutex_lock(&mu);
    calls++;
    if (++inside > most)
        most = inside;
    pthread_mutex_unlock(&mu);
}

static void leave(void)
{
    pthread_mutex_lock(&mu);
    inside--;
    pthread_mutex_unlock(&mu);
}

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int fail(const struct mlops_call *c, int code, const char *message, bool unknown,
                uint32_t retry_after_ms)
{
    c->fail(c, &(struct mlops_error){.size = sizeof(struct mlops_error),
                                     .code = code,
                                     .message = message,
                                     .hint = "a hint",
                                     .applied_unknown = unknown,
                                     .retry_after_ms = retry_after_ms});
    return MLOPS_ERROR;
}

static void emit(const struct mlops_call *c, size_t i, const char *id, const char *attributes)
{
    c->emit(c, i,
            &(struct mlops_object){.size = sizeof(struct mlops_object),
                                   .id = id,
                                   .fingerprint = "f1",
                                   .attributes = attributes,
                                   .attributes_len = strlen(attributes)});
}

/* What a child may not have: descriptors, variables, core dumps. */
static void describe_process(char *out, size_t n)
{
    int fds = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        fds++;
    closedir(d);
    struct rlimit core = {1, 1};
    getrlimit(RLIMIT_CORE, &core);
    snprintf(out, n,
             "{\"pid\":%d,\"fds\":%d,\"core\":%d,\"dumpable\":%d,\"preload\":%d,\"keep\":%d,"
             "\"session\":%d,"
             "\"most\":%d}",
             (int)getpid(), fds - 3, (int)core.rlim_max, prctl(PR_GET_DUMPABLE),
             getenv("LD_ODD") != NULL || getenv("GCONV_PATH") != NULL, getenv("ODD_KEEP") != NULL,
             getsid(0) == getpid(), most);
}

static int configure(const struct mlops_call *c, const struct mlops_configure_args *a,
                     struct mlops_instance **out)
{
    if (strstr(a->config, "\"bad\""))
        return fail(c, MLOPS_E_AUTH, "no such account", false, 0);
    struct mlops_instance *p = calloc(1, sizeof *p);
    const char *path = strstr(a->config, "/"), *end = path ? strchr(path, '"') : NULL;
    if (path && end)
        snprintf(p->on_close, sizeof p->on_close, "%.*s", (int)(end - path), path);
    *out = p;
    return MLOPS_OK;
}

static void close_instance(struct mlops_instance *p)
{
    FILE *f = p->on_close[0] ? fopen(p->on_close, "w") : NULL;
    if (f)
        fclose(f);
}

/* ---- misbehaviour of a change; each is one word ---- */

typedef int odd(const struct mlops_call *c, const struct mlops_change_args *a);

static int ok(const struct mlops_call *c, const struct mlops_change_args *a)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"address\":\"%s\",\"key\":\"%s\",\"attempt\":%u,\"resume\":\"%s\",\"inputs\":%s,"
             "\"most\":%d}",
             a->address, c->idempotency_key, c->attempt, a->resume ? a->resume : "", a->inputs,
             most);
    emit(c, 0, a->id ? a->id : a->address, text);
    return MLOPS_OK;
}
static int crash(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)c, (void)a;
    fprintf(stderr, "something is deeply wrong\nmy last words\n");
    abort();
}
static int leave_process(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)c, (void)a;
    _exit(3);
}
static int hang(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    while (c)
        pause();
    return MLOPS_ERROR;
}
static int patient(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    while (!c->cancelled(c))
        nap(5);
    return fail(c, MLOPS_E_CANCELLED, "was asked to stop", false, 0);
}
static int slow(const struct mlops_call *c, const struct mlops_change_args *a)
{
    nap(30);
    return ok(c, a);
}
static int sleepy(const struct mlops_call *c, const struct mlops_change_args *a)
{
    nap(900);
    return ok(c, a);
}
static int wrong_index(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    emit(c, 7, "x", "{}");
    return MLOPS_OK;
}
static int twice(const struct mlops_call *c, const struct mlops_change_args *a)
{
    ok(c, a);
    return ok(c, a);
}
static int nothing(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)c, (void)a;
    return MLOPS_OK;
}
static int silent_error(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)c, (void)a;
    return MLOPS_ERROR;
}
static int odd_status(const struct mlops_call *c, const struct mlops_change_args *a)
{
    ok(c, a);
    return 42;
}
static int bad_json(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    emit(c, 0, "x", "{\"a\": nonsense");
    return MLOPS_OK;
}
static int list_json(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    emit(c, 0, "x", "[1, 2]");
    return MLOPS_OK;
}
static int with_nul(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    static const char text[] = "{\"a\":\"b\0c\"}";
    c->emit(c, 0,
            &(struct mlops_object){.size = sizeof(struct mlops_object),
                                   .id = "x",
                                   .attributes = text,
                                   .attributes_len = sizeof text - 1});
    return MLOPS_OK;
}
static int no_utf8(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    emit(c, 0, "\xff\xfe", "{}");
    return MLOPS_OK;
}
static int no_id(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    emit(c, 0, "", "{}");
    return MLOPS_OK;
}
static int no_size(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    c->emit(c, 0, &(struct mlops_object){.id = "x", .attributes = "{}"});
    return MLOPS_OK;
}
static int unchanged(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    c->emit(c, 0,
            &(struct mlops_object){.size = sizeof(struct mlops_object), .status = MLOPS_UNCHANGED});
    return MLOPS_OK;
}
static int huge(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    size_t n = 20u << 20;
    char *text = malloc(n);
    memset(text, ' ', n);
    c->emit(c, 0,
            &(struct mlops_object){.size = sizeof(struct mlops_object),
                                   .id = "x",
                                   .attributes = text,
                                   .attributes_len = n});
    free(text);
    return MLOPS_OK;
}
/* Writes to what it has no business with: the socket. */
static int scribble(const struct mlops_call *c, const struct mlops_change_args *a)
{
    static const char noise[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    for (int fd = 3; fd < 64; fd++)
        send(fd, noise, sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT);
    return ok(c, a);
}
/* A well-formed answer (12 bytes of head: no payload, id 12345, a result of outcome 4) to a call
 * nobody made. */
static int forge(const struct mlops_call *c, const struct mlops_change_args *a)
{
    static const unsigned char head[12] = {0, 0, 0, 0, 0x39, 0x30, 0, 0, 3, 4, 0, 0};
    for (int fd = 3; fd < 64; fd++)
        send(fd, head, sizeof head, MSG_NOSIGNAL | MSG_DONTWAIT);
    return ok(c, a);
}
static int noisy(const struct mlops_call *c, const struct mlops_change_args *a)
{
    for (int i = 0; i < 2000; i++)
        printf("{\"type\":\"garbage on standard output\",\"n\":%d}\n", i);
    fflush(stdout);
    c->log(c, MLOPS_LOG_INFO, "a proper line");
    return ok(c, a);
}
static int refused(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    return fail(c, MLOPS_E_REALITY, "quota is used up", false, 0);
}
static int flaky(const struct mlops_call *c, const struct mlops_change_args *a)
{
    return c->attempt < 3 ? fail(c, MLOPS_E_TRANSIENT, "busy", false, 0) : ok(c, a);
}
static int throttled(const struct mlops_call *c, const struct mlops_change_args *a)
{
    return c->attempt < 2 ? fail(c, MLOPS_E_TRANSIENT, "too many requests", false, 250) : ok(c, a);
}
static int always_busy(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    return fail(c, MLOPS_E_TRANSIENT, "busy for ever", false, 0);
}
static int lost(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    return fail(c, MLOPS_E_TRANSIENT, "the reply was lost", true, 0);
}
static int long_running(const struct mlops_call *c, const struct mlops_change_args *a)
{
    if (a->resume)
        return ok(c, a);
    c->progress(c, "half way", 50);
    if (!c->handle(c, "operation-17"))
        return fail(c, MLOPS_E_PROVIDER, "the handle was not kept", false, 0);
    return fail(c, MLOPS_E_TRANSIENT, "poll again", false, 0);
}
static int tell(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)a;
    char text[512];
    describe_process(text, sizeof text);
    emit(c, 0, "x", text);
    return MLOPS_OK;
}
/* A child of the child that holds every descriptor open beyond the death of its parent. */
static int fork_and_crash(const struct mlops_call *c, const struct mlops_change_args *a)
{
    (void)c, (void)a;
    if (fork() == 0) {
        setsid(); /* out of reach of whoever kills our group */
        nap(4000);
        _exit(0);
    }
    abort();
}

static const struct {
    const char *word;
    odd *run;
} oddities[] = {
    {"crash", crash},         {"exit", leave_process}, {"hang", hang},
    {"patient", patient},     {"slow", slow},          {"sleepy", sleepy},
    {"index", wrong_index},   {"twice", twice},        {"nothing", nothing},
    {"silent", silent_error}, {"status", odd_status},  {"badjson", bad_json},
    {"listjson", list_json},  {"nul", with_nul},       {"noutf8", no_utf8},
    {"noid", no_id},          {"nosize", no_size},     {"unchanged", unchanged},
    {"huge", huge},           {"scribble", scribble},  {"forge", forge},
    {"noisy", noisy},         {"refused", refused},    {"flaky", flaky},
    {"throttled", throttled}, {"busy", always_busy},   {"lost", lost},
    {"long", long_running},   {"tell", tell},          {"fork", fork_and_crash},
};

static int change(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    (void)p;
    odd *run = ok;
    size_t n = strcspn(a->address, ".");
    for (size_t i = 0; i < sizeof oddities / sizeof *oddities; i++)
        if (strlen(oddities[i].word) == n && strncmp(a->address, oddities[i].word, n) == 0)
            run = oddities[i].run;
    enter();
    int status = run(c, a);
    leave();
    return status;
}

static int remove_object(struct mlops_instance *p, const struct mlops_call *c,
                         const struct mlops_change_args *a)
{
    /* Nothing need be emitted by a delete. */
    return strcmp(a->address, "gone") == 0 ? MLOPS_OK : change(p, c, a);
}

/* ids: gone, same, big (9 MiB), failed, shaky (transient once), skip (no answer), back (answered
 * out of order). */
static void read_one(const struct mlops_call *c, size_t i, const char *id)
{
    struct mlops_error e = {.size = sizeof e, .code = MLOPS_E_REALITY, .message = "cannot be read"};
    struct mlops_object o = {.size = sizeof o, .id = id, .attributes = "{\"a\":1}"};
    char *big = NULL;
    if (strcmp(id, "gone") == 0)
        o.status = MLOPS_NOT_FOUND;
    if (strcmp(id, "same") == 0)
        o.status = MLOPS_UNCHANGED;
    if (strcmp(id, "failed") == 0 || (strcmp(id, "shaky") == 0 && c->attempt < 3)) {
        o.status = MLOPS_ERROR;
        o.error = &e;
        e.code = id[0] == 's' ? MLOPS_E_TRANSIENT : MLOPS_E_REALITY;
    }
    if (strcmp(id, "big") == 0) {
        o.attributes_len = 9u << 20;
        o.attributes = big = malloc(o.attributes_len);
        memset(big, ' ', o.attributes_len);
        memcpy(big, "{}", 2);
    }
    c->emit(c, i, &o);
    free(big);
}

static int read_many(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_read_args *a)
{
    (void)p;
    enter();
    for (size_t i = a->count; i-- > 0;) { /* backwards: order is the host's business */
        const struct mlops_read_item *item =
            (const struct mlops_read_item *)(const void *)((const char *)a->items +
                                                           i * a->items->size);
        if (strcmp(item->id, "crash") == 0)
            abort();
        if (strcmp(item->id, "skip") != 0)
            read_one(c, i, item->id);
    }
    leave();
    return MLOPS_OK;
}

static int validate(struct mlops_instance *p, const struct mlops_call *c,
                    const struct mlops_change_args *a)
{
    (void)a;
    const char *text = p ? "[{\"path\":\"configured\"}]" : "[]";
    c->answer(c, text, strlen(text));
    return MLOPS_OK;
}

static int lookup(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_lookup_args *a)
{
    (void)p;
    for (size_t i = 0; i < strlen(a->key); i++)
        emit(c, i, a->key + i, "{}");
    return MLOPS_OK;
}

static const struct mlops_field config[] = {
    {.size = sizeof(struct mlops_field), .type = MLOPS_STRING, .name = "on_close"}, {0}};
static const struct mlops_field fields[] = {
#ifdef ODD_FIELD_SIZE
    {.type = MLOPS_STRING, .name = "a"},
#endif
    {.size = sizeof(struct mlops_field), .type = MLOPS_ANY, .name = "inputs"},
    {0}};
static const struct mlops_kind kinds[] = {{.size = sizeof(struct mlops_kind),
                                           .name = "odd",
#ifdef ODD_CLASS_C
                                           .create_class = MLOPS_CREATE_C,
#endif
                                           .fields = fields},
                                          {0}};

static const struct mlops_provider provider = {
#ifdef ODD_SIZE
    .size = 40,
#else
    .size = sizeof provider,
#endif
    .abi_minor = 99, /* newer is no reason to refuse */
    .name = "odd",
    .version = "1",
    .caps = 0
#ifdef ODD_CONCURRENT
            | MLOPS_CAP_CONCURRENT
#endif
#ifdef ODD_PROMISE
            | MLOPS_CAP_LIST
#endif
#ifndef ODD_CLASS_C
            | MLOPS_CAP_LOOKUP
#endif
    ,
    .batch = 100,
    .config = config,
    .kinds = kinds,
    .configure = configure,
    .validate = validate,
    .read_many = read_many,
    .create = change,
    .update = change,
    .remove = remove_object,
    .lookup_by_key = lookup,
    .close = close_instance,
};

#ifdef ODD_SYMBOL
#define ENTRY mlops_provider_v2
MLOPS_EXPORT const struct mlops_provider *mlops_provider_v2(const struct mlops_host *host);
#else
#define ENTRY mlops_provider_v1
#endif

const struct mlops_provider *ENTRY(const struct mlops_host *host)
{
#ifdef ODD_CRASH_AT_LOAD
    abort();
#endif
#ifdef ODD_EXIT_AT_LOAD
    _exit(0);
#endif
#ifdef ODD_REFUSES
    return host->size ? NULL : &provider;
#endif
    return host->size >= sizeof(uint32_t) ? &provider : NULL;
}
