/* tests/conformance/kit_sizes.c: a plugin meets a host of a later minor version, whose structs are
 * longer.
 *
 * The plugin is loaded here, in a process of its own, without the provider host: only so can the
 * structs be given sizes that this version's host does not use. What lies beyond the sizes known
 * today is filled with noise. */
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "tests/conformance/kit_impl.h"

enum { MORE = 48, ITEMS = 3, NOISE = 0xA5 };

static struct {
    int answered[ITEMS], failed;
    bool odd;
} heard;

static void on_emit(const struct mlops_call *c, size_t index, const struct mlops_object *o)
{
    (void)c;
    if (index >= ITEMS || o->status != MLOPS_NOT_FOUND)
        heard.odd = true;
    else
        heard.answered[index]++;
}
static void on_fail(const struct mlops_call *c, const struct mlops_error *e)
{
    (void)c, (void)e;
    heard.failed++;
}
static void on_text(const struct mlops_call *c, int level, const char *message)
{
    (void)c, (void)level, (void)message;
}
static void on_progress(const struct mlops_call *c, const char *message, int percent)
{
    (void)c, (void)message, (void)percent;
}
static bool on_handle(const struct mlops_call *c, const char *handle)
{
    (void)c, (void)handle;
    return true;
}
static bool on_cancelled(const struct mlops_call *c)
{
    (void)c;
    return false;
}
static void on_answer(const struct mlops_call *c, const char *json, size_t len)
{
    (void)c, (void)json, (void)len;
}

/* A struct of today with a tail of tomorrow. */
#define GROWN(type)               \
    struct {                      \
        type now;                 \
        unsigned char tail[MORE]; \
    }

enum verdict { FINE, NOT_LOADED, REFUSED, NOT_CONFIGURED, NOT_READ, WRONG_ANSWERS };
static const char *const verdicts[] = {
    [FINE] = "",
    [NOT_LOADED] = "it cannot be loaded",
    [REFUSED] = "it refuses a host of minor version 99",
    [NOT_CONFIGURED] = "configure fails",
    [NOT_READ] = "read_many fails",
    [WRONG_ANSWERS] = "read_many steps through the items by a size of its own",
};

static enum verdict meet(const struct kit *k)
{
    GROWN(struct mlops_host) host;
    GROWN(struct mlops_call) call;
    GROWN(struct mlops_configure_args) conf;
    GROWN(struct mlops_read_args) args;
    GROWN(struct mlops_read_item) items[ITEMS];
    memset(&host, NOISE, sizeof host);
    memset(&call, NOISE, sizeof call);
    memset(&conf, NOISE, sizeof conf);
    memset(&args, NOISE, sizeof args);
    memset(items, NOISE, sizeof items);
    void *so = dlopen(k->o->plugin_path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = so ? dlsym(so, "mlops_provider_v1") : NULL;
    const struct mlops_provider *(*entry)(const struct mlops_host *) = NULL;
    memcpy(&entry, &symbol, sizeof entry);
    if (!entry)
        return NOT_LOADED;
    host.now = (struct mlops_host){.size = sizeof host, .abi_minor = 99, .version = "99"};
    const struct mlops_provider *p = entry(&host.now);
    if (!p)
        return REFUSED;
    call.now = (struct mlops_call){.size = sizeof call,
                                   .idempotency_key = "",
                                   .attempt = 1,
                                   .deadline_ms = mio_now_ms() + 60000,
                                   .log = on_text,
                                   .progress = on_progress,
                                   .handle = on_handle,
                                   .cancelled = on_cancelled,
                                   .emit = on_emit,
                                   .fail = on_fail,
                                   .answer = on_answer};
    conf.now = (struct mlops_configure_args){.size = sizeof conf,
                                             .config = k->o->config,
                                             .instance = "kit",
                                             .base_dir = k->o->base_dir,
                                             .stage = "",
                                             .lineage = ""};
    struct mlops_instance *instance = NULL;
    if (p->configure(&call.now, &conf.now, &instance) != MLOPS_OK || heard.failed)
        return NOT_CONFIGURED;
    for (int i = 0; i < ITEMS; i++)
        items[i].now = (struct mlops_read_item){
            .size = sizeof items[i], .kind = k->o->kind, .id = "no-such-object"};
    args.now =
        (struct mlops_read_args){.size = sizeof args, .items = &items[0].now, .count = ITEMS};
    if (p->read_many(instance, &call.now, &args.now) != MLOPS_OK || heard.failed)
        return NOT_READ;
    for (int i = 0; i < ITEMS; i++)
        if (heard.answered[i] != 1)
            return WRONG_ANSWERS;
    return heard.odd ? WRONG_ANSWERS : FINE;
}

void kit_sizes(struct kit *k)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)meet(k));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return;
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) <= WRONG_ANSWERS;
    const char *what = ended ? verdicts[WEXITSTATUS(status)] : "it crashes";
    kit_check(k, !*what, "it lives with a host of a later minor version", "%s", what);
}
