/* tests/providers/local/support.c: see support.h. */
#include "tests/providers/local/support.h"

#include <dlfcn.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

struct one_call {
    struct mlops_call call;
    struct fixture *f;
    struct answer a;
};

const char *text(struct fixture *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_str s = mio_arena_vprintf(&f->arena, fmt, ap);
    va_end(ap);
    return s.p;
}

/* ---- the host's side ---- */

static struct one_call *of(const struct mlops_call *c)
{
    return c->host;
}

static void on_log(const struct mlops_call *c, int level, const char *message)
{
    struct fixture *f = of(c)->f;
    f->warnings += level == MLOPS_LOG_WARN;
    f->last_warning = mio_arena_str(&f->arena, mio_str_z(message));
}

static void on_progress(const struct mlops_call *c, const char *message, int percent)
{
    (void)percent;
    of(c)->f->last_progress = mio_arena_str(&of(c)->f->arena, mio_str_z(message));
}

static bool on_handle(const struct mlops_call *c, const char *handle)
{
    (void)c;
    (void)handle;
    return true;
}

static bool on_cancelled(const struct mlops_call *c)
{
    struct fixture *f = of(c)->f;
    return f->cancel_at &&
           memmem(f->last_progress.p, f->last_progress.n, f->cancel_at, strlen(f->cancel_at));
}

static struct mio_value parse(struct fixture *f, const char *json, size_t n)
{
    struct mio_value v;
    struct mio_err err = {0};
    if (mio_json_read(&f->arena, mio_arena_str(&f->arena, (struct mio_str){json, n}), NULL, &v,
                      &err))
        fail_msg("the plugin answered bad JSON: %s", err.message);
    return v;
}

static void on_error(struct one_call *o, const struct mlops_error *e)
{
    o->a.code = e->code;
    o->a.message = mio_arena_str(&o->f->arena, mio_str_z(e->message));
    o->a.hint = mio_arena_str(&o->f->arena, mio_str_z(e->hint));
}

static void on_emit(const struct mlops_call *c, size_t index, const struct mlops_object *obj)
{
    struct one_call *o = of(c);
    assert_int_equal(index, 0);
    assert_int_equal(o->a.status, -1); /* exactly once */
    o->a.status = obj->status;
    o->a.id = mio_arena_str(&o->f->arena, mio_str_z(obj->id));
    o->a.fingerprint = mio_arena_str(&o->f->arena, mio_str_z(obj->fingerprint));
    if (obj->attributes)
        o->a.attributes = parse(o->f, obj->attributes, obj->attributes_len);
    if (obj->error)
        on_error(o, obj->error);
}

static void on_fail(const struct mlops_call *c, const struct mlops_error *e)
{
    on_error(of(c), e);
}

static void on_answer(const struct mlops_call *c, const char *json, size_t n)
{
    of(c)->a.json = parse(of(c)->f, json, n);
}

static void begin(struct one_call *o, struct fixture *f, const char *key)
{
    *o = (struct one_call){.f = f, .a = {.rc = -1, .status = -1}};
    f->last_progress = MIO_STR("");
    o->call = (struct mlops_call){
        .size = sizeof o->call,
        .host = o,
        .idempotency_key = key,
        .attempt = 1,
        .deadline_ms = f->deadline_ms,
        .log = on_log,
        .progress = on_progress,
        .handle = on_handle,
        .cancelled = on_cancelled,
        .emit = on_emit,
        .fail = on_fail,
        .answer = on_answer,
    };
}

/* ---- fixture ---- */

void fixture_configure(struct fixture *f, const char *config)
{
    struct one_call o;
    begin(&o, f, "");
    if (f->instance)
        f->provider->close(f->instance);
    f->instance = NULL;
    struct mlops_configure_args a = {.size = sizeof a,
                                     .config = config,
                                     .instance = "local",
                                     .base_dir = f->dir,
                                     .stage = "",
                                     .lineage = ""};
    if (f->provider->configure(&o.call, &a, &f->instance) != MLOPS_OK)
        fail_msg("%.*s", MIO_FMT(o.a.message));
}

int fixture_open(void **state)
{
    struct fixture *f = mio_zalloc(1, sizeof *f);
    mio_arena_init(&f->arena);
    char template[] = "/tmp/mlops-local-XXXXXX";
    const char *build = getenv("MIO_BUILD");
    if (!build)
        return -1;
    /* Kept mapped, as in the host: what the plugin caches for the life of the process stays
     * reachable. */
    f->plugin = dlopen(text(f, "%s/lib/mlops-iac/providers/local.so", build),
                       RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!f->plugin) {
        print_error("%s\n", dlerror());
        return -1;
    }
    if (!mkdtemp(template))
        return -1;
    f->dir = text(f, "%s", template);
    f->root = text(f, "%s/.local-platform", template);
    union {
        void *object;
        const struct mlops_provider *(*entry)(const struct mlops_host *);
    } symbol = {dlsym(f->plugin, "mlops_provider_v1")};
    struct mlops_host host = {.size = sizeof host, .abi_minor = MLOPS_ABI_MINOR, .version = "test"};
    f->provider = symbol.entry(&host);
    fixture_configure(f, "{}");
    *state = f;
    return 0;
}

int fixture_close(void **state)
{
    struct fixture *f = *state;
    struct mio_err err = {0};
    struct mio_value jobs = do_list(f, "job").json;
    for (uint32_t i = 0; i < jobs.n; i++) /* a test that failed half-way leaves nothing running */
        do_remove(f, "job", mio_arena_z(&f->arena, mio_get_str(jobs.items[i], "id")));
    f->provider->close(f->instance);
    mio_fs_remove_tree(f->dir, &err);
    mio_arena_free(&f->arena);
    dlclose(f->plugin);
    free(f);
    return err.code ? -1 : 0;
}

/* ---- verbs ---- */

static const char *json_of(struct fixture *f, const char *s)
{
    char *copy = mio_arena_z(&f->arena, mio_str_z(s));
    for (char *p = copy; !strchr(s, '"') && *p; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static const char *key26(struct fixture *f, const char *key)
{
    return text(f, "%.*s%.*s", 26, key, 26 - (int)strlen(key), "aaaaaaaaaaaaaaaaaaaaaaaaaa");
}

typedef int (*change_fn)(struct mlops_instance *, const struct mlops_call *,
                         const struct mlops_change_args *);

static struct answer change(struct fixture *f, change_fn fn, const char *kind, const char *key,
                            const char *id, const char *inputs, const char *changed,
                            const char *content)
{
    struct one_call o;
    begin(&o, f, key26(f, key));
    struct mlops_change_args a = {
        .size = sizeof a,
        .kind = kind,
        .address = text(f, "%s.x", kind),
        .id = id,
        .inputs = inputs ? json_of(f, inputs) : "null",
        .prior = "null",
        .changed = changed ? json_of(f, changed) : "[]",
        .content = json_of(f, content),
        .base_dir = f->dir,
    };
    o.a.rc = fn(f->instance, &o.call, &a);
    return o.a;
}

struct answer do_create(struct fixture *f, const char *kind, const char *key, const char *inputs)
{
    return change(f, f->provider->create, kind, key, NULL, inputs, NULL, "{}");
}

struct answer do_create_planned(struct fixture *f, const char *kind, const char *key,
                                const char *inputs, const char *content)
{
    return change(f, f->provider->create, kind, key, NULL, inputs, NULL, content);
}

struct answer do_update(struct fixture *f, const char *kind, const char *key, const char *id,
                        const char *inputs, const char *changed)
{
    return change(f, f->provider->update, kind, key, id, inputs, changed, "{}");
}

struct answer do_remove(struct fixture *f, const char *kind, const char *id)
{
    return change(f, f->provider->remove, kind, "remove", id, NULL, NULL, "{}");
}

struct answer do_plan(struct fixture *f, const char *kind, const char *id, const char *inputs)
{
    return change(f, f->provider->plan, kind, "", id, inputs, NULL, "{}");
}

struct answer do_validate(struct fixture *f, const char *kind, const char *inputs)
{
    return change(f, f->provider->validate, kind, "", NULL, inputs, NULL, "{}");
}

struct answer do_read(struct fixture *f, const char *kind, const char *id, const char *fingerprint)
{
    struct one_call o;
    begin(&o, f, "");
    struct mlops_read_item item = {.size = sizeof item,
                                   .kind = kind,
                                   .id = id,
                                   .fingerprint = fingerprint,
                                   .full = fingerprint == NULL};
    struct mlops_read_args a = {.size = sizeof a, .items = &item, .count = 1};
    o.a.rc = f->provider->read_many(f->instance, &o.call, &a);
    return o.a;
}

struct answer do_import(struct fixture *f, const char *kind, const char *id)
{
    struct one_call o;
    begin(&o, f, "");
    struct mlops_import_args a = {.size = sizeof a, .kind = kind, .id = id};
    o.a.rc = f->provider->import(f->instance, &o.call, &a);
    return o.a;
}

struct answer do_list(struct fixture *f, const char *kind)
{
    struct one_call o;
    begin(&o, f, "");
    struct mlops_list_args a = {.size = sizeof a, .kind = kind};
    o.a.rc = f->provider->list(f->instance, &o.call, &a);
    return o.a;
}

struct answer do_data(struct fixture *f, const char *kind, const char *query)
{
    struct one_call o;
    begin(&o, f, "");
    struct mlops_data_args a = {.size = sizeof a, .kind = kind, .query = json_of(f, query)};
    o.a.rc = f->provider->data_read(f->instance, &o.call, &a);
    return o.a;
}

struct answer do_preflight(struct fixture *f, const char *changes)
{
    struct one_call o;
    begin(&o, f, "");
    struct mlops_preflight_args a = {.size = sizeof a, .changes = json_of(f, changes)};
    o.a.rc = f->provider->preflight(f->instance, &o.call, &a);
    return o.a;
}

/* ---- files and attributes ---- */

void put_file(struct fixture *f, const char *path, const char *content)
{
    struct mio_err err = {0};
    const char *dir = mio_arena_z(&f->arena, mio_path_dir(mio_str_z(path)));
    if (mio_fs_mkdirs(dir, 0700, &err) || mio_fs_replace(path, mio_str_z(content), 0644, &err))
        fail_msg("%s", err.message);
}

const char *get_file(struct fixture *f, const char *path)
{
    struct mio_err err = {0};
    struct mio_str s;
    if (mio_fs_read(&f->arena, path, 1 << 20, &s, NULL, &err))
        fail_msg("%s", err.message);
    return s.p;
}

struct mio_str attr(const struct answer *a, const char *key)
{
    return mio_get_str(a->attributes, key);
}

struct mio_str attr2(const struct answer *a, const char *key, const char *inner)
{
    const struct mio_value *v = mio_get_z(a->attributes, key);
    return v ? mio_get_str(*v, inner) : (struct mio_str){0};
}
