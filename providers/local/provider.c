/* providers/local/provider.c: the plugin's face: settings, the table of kinds, and one dispatcher a
 * verb.
 *
 * In: the calls of mlops_provider.h. Out: calls of struct local_kind with parsed arguments. Owns:
 * the instance. */
#include "providers/local/local.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/kinds.h"

#define SETTING(n, d)                                                                     \
    {                                                                                     \
        .size = sizeof(struct mlops_field), .name = (n), .type = MLOPS_STRING, .doc = (d) \
    }
static const struct mlops_field settings[] = {
    SETTING("root",
            "Folder that holds everything; relative to the template. Default: .local-platform"),
    SETTING("workspace", "Workspace of bodies that name none."),
    SETTING("bwrap", "Path of bubblewrap."),
    SETTING("haproxy", "Path of HAProxy."),
    SETTING("s6", "Folder of the s6 programs."),
    SETTING("cgroup_root", "Where control groups are mounted. Default: /sys/fs/cgroup"),
    {.size = sizeof(struct mlops_field)},
};

static const struct mlops_kind kinds[] = {
    MIO_CORE_KIND(workspace, MLOPS_CREATE_A),
    MIO_CORE_KIND(compute, MLOPS_CREATE_A),
    MIO_CORE_KIND(environment, MLOPS_CREATE_A),
    MIO_CORE_KIND(data, MLOPS_CREATE_A),
    MIO_CORE_KIND(model, MLOPS_CREATE_A),
    MIO_CORE_KIND(job, MLOPS_CREATE_A, .create_timeout_s = 7 * 24 * 3600),
    MIO_CORE_KIND(endpoint, MLOPS_CREATE_A),
    MIO_CORE_KIND(deployment, MLOPS_CREATE_A),
    {.size = sizeof(struct mlops_kind)},
};
static const struct local_kind *const verbs[] = {
    &local_workspace, &local_compute, &local_environment, &local_data,
    &local_model,     &local_job,     &local_endpoint,    &local_deployment,
};

/* ---- one call ---- */

struct scope {
    struct mio_arena arena;
    struct local l;
    struct mio_err err;
};

static void scope_end(struct scope *s)
{
    mio_arena_free(&s->arena);
}
#define SCOPE __attribute__((cleanup(scope_end))) struct scope

static void scope_begin(struct scope *s, struct mlops_instance *p, const struct mlops_call *c)
{
    static const struct mlops_instance unconfigured; /* validate may come before configure */
    *s = (struct scope){0};
    mio_arena_init(&s->arena);
    s->l = (struct local){.p = p ? p : &unconfigured, .c = c, .a = &s->arena};
}

static int scope_fail(struct scope *s)
{
    return mio_plugin_fail(s->l.c, &s->err);
}

static const struct local_kind *find_kind(struct scope *s, struct mio_str name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (mio_str_is(name, verbs[i]->name))
            return verbs[i];
    mio_fail(&s->err, MIO_PROVIDER, "provider local has no kind %.*s", MIO_FMT(name));
    return NULL;
}

static enum mio_code parse_json(struct scope *s, const char *text, struct mio_value *out)
{
    struct mio_value v;
    if (mio_plugin_json(s->l.a, text, &v, &s->err))
        return s->err.code;
    *out = mio_json_unmarshal_marks(s->l.a, v);
    return MIO_OK;
}

static struct mio_str workspace_of(const struct local *l, const struct local_change *ch)
{
    struct mio_str given = mio_get_str(ch->inputs, "workspace"), ws, rest;
    if (given.n)
        return local_ref_name(given);
    const char *parents[] = {"endpoint", "endpoint_name"};
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        if (local_id_split(mio_get_str(ch->inputs, parents[i]), &ws, &rest))
            return ws;
    if (local_id_split(ch->id, &ws, &rest))
        return ws;
    return l->p->workspace;
}

static enum mio_code parse_change(struct scope *s, const struct mlops_change_args *a,
                                  struct local_change *ch)
{
    *ch = (struct local_change){
        .address = mio_str_z(a->address),
        .id = mio_str_z(a->id),
        .resume = mio_str_z(a->resume),
        .fingerprint = mio_str_z(a->fingerprint),
        .base_dir = mio_str_z(a->base_dir),
    };
    if (parse_json(s, a->inputs, &ch->inputs) || parse_json(s, a->prior, &ch->prior) ||
        parse_json(s, a->changed, &ch->changed) || parse_json(s, a->content, &ch->content))
        return s->err.code;
    ch->workspace = workspace_of(&s->l, ch);
    return MIO_OK;
}

static int answer_rows(struct scope *s, const struct local_findings *f)
{
    return mio_plugin_answer(s->l.c, mio_list(f->items, f->n));
}

/* The checks that need no platform: the name's rule, that nobody counts on an option of this
 * provider, which has none, and what the kind adds. */
static void check(struct scope *s, const struct local_kind *k, const struct local_change *ch,
                  struct local_findings *f)
{
    struct mio_str name = mio_get_str(ch->inputs, "name");
    struct mio_err bad = {0};
    if (name.n && local_name_check(name, mio_arena_printf(s->l.a, "a %s", k->name).p, &bad))
        local_find_error(f, "name", bad.hint, "%s", bad.message);
    const struct mio_value *all = mio_get_z(ch->inputs, "provider_options"),
                           *ours = all ? mio_get_z(*all, "local") : NULL;
    if (ours && ours->type == MIO_MAP && ours->n)
        local_find_error(f, "provider_options",
                         "Remove it; the settings of a provider stand under `providers:`.",
                         "the provider local has no option \"%.*s\"", MIO_FMT(ours->pairs[0].key));
    if (k->validate)
        k->validate(&s->l, ch, f);
}

static int emit(struct scope *s, size_t index, const struct local_object *o)
{
    return mio_plugin_emit(s->l.a, s->l.c, index, o->id, o->fingerprint, o->attributes);
}

/* ---- settings ---- */

/* The file that holds this plugin's code. The host may have opened it by descriptor, so the dynamic
 * linker's name for it says nothing; the kernel's map of this process does. */
static struct mio_str plugin_file(struct mio_arena *a)
{
    char line[4352];
    uintptr_t here = (uintptr_t)&settings;
    struct mio_str path = {0};
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !path.n && fgets(line, sizeof line, maps)) {
        char *end, *slash = strchr(line, '/');
        uintptr_t from = strtoul(line, &end, 16);
        uintptr_t to = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;
        if (slash && from <= here && here < to)
            path = mio_arena_str(a, (struct mio_str){slash, strcspn(slash, "\n")});
    }
    if (maps)
        fclose(maps);
    return path;
}

/* The folder lib/mlops-iac that this plugin was loaded from: its helper programs lie there. */
static struct mio_str support_folder(struct mio_arena *a)
{
    return mio_path_join(a, mio_path_dir(plugin_file(a)), MIO_STR(".."));
}

static struct mio_str setting(const struct mlops_instance *p, const char *key,
                              const char *otherwise)
{
    struct mio_str s = mio_get_str(p->config, key);
    return s.n ? s : mio_str_z(otherwise);
}

static int configure(const struct mlops_call *c, const struct mlops_configure_args *a,
                     struct mlops_instance **out)
{
    struct mio_err err = {0};
    struct mlops_instance *p = mio_zalloc(1, sizeof *p);
    struct mio_arena *mem = &p->arena;
    mio_arena_init(mem);
    const char *config = mio_arena_z(mem, mio_str_z(a->config));
    if (mio_plugin_json(mem, config, &p->config, &err)) {
        mio_arena_free(mem);
        free(p);
        return mio_plugin_fail(c, &err);
    }
    p->base_dir = mio_arena_str(mem, mio_str_z(a->base_dir));
    p->root = mio_path_join(mem, p->base_dir, setting(p, "root", ".local-platform"));
    p->workspace = setting(p, "workspace", "");
    p->cgroup_root = setting(p, "cgroup_root", "/sys/fs/cgroup");
    p->support = support_folder(mem);
    p->lineage = mio_arena_str(mem, mio_str_z(a->lineage));
    p->stage = mio_arena_str(mem, mio_str_z(a->stage));
    *out = p;
    return MLOPS_OK;
}

static void close_instance(struct mlops_instance *p)
{
    if (!p)
        return;
    mio_arena_free(&p->arena);
    free(p);
}

/* ---- verbs of one object ---- */

static int validate(struct mlops_instance *p, const struct mlops_call *c,
                    const struct mlops_change_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_change ch;
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k || parse_change(&s, a, &ch))
        return scope_fail(&s);
    struct local_findings all = {.arena = s.l.a}, errors = {.arena = s.l.a};
    check(&s, k, &ch, &all);
    for (size_t i = 0; i < all.n;
         i++) /* an answer of validate is an error; warnings wait for preflight */
        if (mio_str_is(mio_get_str(all.items[i], "severity"), "error"))
            MIO_PUSH(s.l.a, errors.items, errors.n, errors.cap) = all.items[i];
    return answer_rows(&s, &errors);
}

static int plan(struct mlops_instance *p, const struct mlops_call *c,
                const struct mlops_change_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_change ch;
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k || parse_change(&s, a, &ch))
        return scope_fail(&s);
    struct mio_value answer = mio_map(NULL, 0);
    if (k->plan && k->plan(&s.l, &ch, &answer, &s.err))
        return scope_fail(&s);
    return mio_plugin_answer(c, answer);
}

typedef enum mio_code (*change_verb)(struct local *, const struct local_change *,
                                     struct local_object *, struct mio_err *);

static int change(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a, bool is_create)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_change ch;
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k || parse_change(&s, a, &ch))
        return scope_fail(&s);
    change_verb verb = is_create ? k->create : k->update;
    if (!verb) {
        mio_fail(&s.err, MIO_PROVIDER, "kind %s cannot be %s", k->name,
                 is_create ? "created" : "updated");
        return scope_fail(&s);
    }
    struct local_object made = {0};
    if (verb(&s.l, &ch, &made, &s.err))
        return scope_fail(&s);
    return emit(&s, 0, &made);
}

static int create(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    return change(p, c, a, true);
}

static int update(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a)
{
    return change(p, c, a, false);
}

/* Has the identifier the form of those of the kind? One that has not is nobody's. */
static bool is_id(const struct local_kind *k, struct mio_str id)
{
    struct mio_str form = mio_str_z(k->id);
    for (;;) {
        ptrdiff_t wanted = mio_str_find(form, '/'), slash = mio_str_find(id, '/');
        if (id.n == 0 || slash == 0 || (wanted < 0) != (slash < 0))
            return false;
        if (slash < 0)
            return mio_str_find(form, ':') < 0 || mio_str_find(id, ':') > 0;
        form = mio_str_sub(form, (size_t)wanted + 1, form.n);
        id = mio_str_sub(id, (size_t)slash + 1, id.n);
    }
}

static int remove_object(struct mlops_instance *p, const struct mlops_call *c,
                         const struct mlops_change_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_change ch;
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k || parse_change(&s, a, &ch))
        return scope_fail(&s);
    if (k->remove && is_id(k, ch.id) && k->remove(&s.l, &ch, &s.err))
        return scope_fail(&s);
    return MLOPS_OK;
}

/* ---- reading ---- */

static enum mio_code read_one(struct scope *s, struct mio_str kind, const struct local_read *r,
                              struct local_object *out)
{
    const struct local_kind *k = find_kind(s, kind);
    if (!k)
        return s->err.code;
    if (is_id(k, r->id))
        return k->read(&s->l, r, out, &s->err);
    out->status = MLOPS_NOT_FOUND;
    return MIO_OK;
}

static void read_item(struct mlops_instance *p, const struct mlops_call *c, size_t index,
                      const struct mlops_read_item *item)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_read r = {
        .id = mio_str_z(item->id),
        .fingerprint = mio_str_z(item->fingerprint),
        .full = item->full,
    };
    struct local_object o = {.status = MLOPS_OK};
    if (parse_json(&s, item->attributes, &r.attributes) ||
        read_one(&s, mio_str_z(item->kind), &r, &o))
        mio_plugin_emit_error(c, index, &s.err);
    else if (o.status == MLOPS_OK)
        emit(&s, index, &o);
    else
        mio_plugin_emit_status(c, index, o.status);
}

static int read_many(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_read_args *a)
{
    for (size_t i = 0; i < a->count; i++)
        read_item(p, c, i, mio_plugin_item(a, i));
    return MLOPS_OK;
}

static int import(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_import_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct local_read r = {.id = mio_str_z(a->id), .full = true};
    struct local_object o = {.status = MLOPS_OK};
    if (read_one(&s, mio_str_z(a->kind), &r, &o))
        return scope_fail(&s);
    if (o.status == MLOPS_OK)
        return emit(&s, 0, &o);
    mio_plugin_emit_status(c, 0, o.status);
    return MLOPS_OK;
}

static int list(struct mlops_instance *p, const struct mlops_call *c,
                const struct mlops_list_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k)
        return scope_fail(&s);
    struct local_findings rows = {.arena = s.l.a};
    const char *dir = local_path(&s.l, "workspaces");
    struct mio_str *names = NULL;
    size_t n = 0;
    if (k->list && local_names(&s.l, dir, &names, &n, &s.err))
        return scope_fail(&s);
    for (size_t i = 0; i < n; i++)
        if (local_name_ok(names[i]) && k->list(&s.l, names[i], &rows, &s.err))
            return scope_fail(&s);
    return answer_rows(&s, &rows);
}

/* The id of what a data block asks for: {workspace, name, version} or {id}. */
static enum mio_code query_id(struct scope *s, const struct local_kind *k, struct mio_value q,
                              struct mio_str *id)
{
    struct mio_str name = mio_get_str(q, "name"), ws = local_ref_name(mio_get_str(q, "workspace"));
    struct mio_str version = mio_get_str(q, "version"), given = mio_get_str(q, "id");
    struct local_asset asset;
    if (!ws.n)
        ws = s->l.p->workspace;
    if (given.n || k == &local_workspace) {
        *id = given.n ? given : name;
        return MIO_OK;
    }
    if (local_ws_check(&s->l, ws, &s->err))
        return s->err.code;
    if (k != &local_data && k != &local_model && k != &local_environment) {
        *id = mio_arena_printf(s->l.a, "%.*s/%.*s", MIO_FMT(ws), MIO_FMT(name));
        return MIO_OK;
    }
    struct mio_str ref = mio_arena_printf(s->l.a, "%.*s%s%.*s", MIO_FMT(name), version.n ? ":" : "",
                                          MIO_FMT(version));
    if (local_asset_resolve(&s->l, ws, k->name, ref, &asset, &s->err))
        return s->err.code;
    *id = mio_arena_printf(s->l.a, "%.*s/%.*s:%.*s", MIO_FMT(asset.ws), MIO_FMT(asset.name),
                           MIO_FMT(asset.version));
    return MIO_OK;
}

static int data_read(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_data_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct mio_value query = mio_null();
    struct local_read r = {.full = true};
    struct local_object o = {.status = MLOPS_OK};
    const struct local_kind *k = find_kind(&s, mio_str_z(a->kind));
    if (!k || parse_json(&s, a->query, &query) || query_id(&s, k, query, &r.id) ||
        k->read(&s.l, &r, &o, &s.err))
        return scope_fail(&s);
    if (o.status == MLOPS_OK)
        return mio_plugin_answer(c, o.attributes);
    mio_fail(&s.err, MIO_REALITY, "there is no %s \"%.*s\"", k->name, MIO_FMT(r.id));
    mio_err_hint(&s.err, "Check the name, or declare it under `resources:`.");
    return scope_fail(&s);
}

/* What is not known yet comes as null. */
static struct mio_value null_is_unknown(struct mio_arena *a, struct mio_value v)
{
    if (v.type == MIO_NULL)
        return mio_unknown(MIO_UNKNOWN);
    if (v.type != MIO_MAP)
        return v;
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, v.n + 1u);
    for (uint32_t i = 0; i < v.n; i++)
        pairs[i] = (struct mio_pair){v.pairs[i].key, null_is_unknown(a, v.pairs[i].value)};
    return mio_map(pairs, v.n);
}

static void preflight_one(struct scope *s, const struct local_kind *k, struct mio_value one,
                          struct local_findings *f)
{
    struct local_change ch = {.address = f->where, .prior = local_get(one, "prior")};
    ch.inputs = null_is_unknown(s->l.a, local_get(one, "inputs"));
    ch.workspace = workspace_of(&s->l, &ch);
    struct mio_str action = mio_get_str(one, "action");
    bool writes = !mio_str_is(action, "delete") && !mio_str_is(action, "forget");
    if (writes && ch.inputs.type == MIO_MAP)
        check(s, k, &ch, f);
    if (k->preflight)
        k->preflight(&s->l, one, f);
}

static int preflight(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_preflight_args *a)
{
    SCOPE s;
    scope_begin(&s, p, c);
    struct mio_value changes = mio_null();
    if (parse_json(&s, a->changes, &changes))
        return scope_fail(&s);
    struct local_findings f = {.arena = s.l.a};
    bool sandboxed = false;
    for (uint32_t i = 0; changes.type == MIO_LIST && i < changes.n; i++) {
        struct mio_value one = changes.items[i];
        const struct local_kind *k = find_kind(&s, mio_get_str(one, "kind"));
        f.where = mio_get_str(one, "address");
        if (k)
            preflight_one(&s, k, one, &f);
        struct mio_str action = mio_get_str(one, "action");
        bool runs = mio_str_is(action, "create") || mio_str_is(action, "replace") ||
                    (mio_str_is(action, "update") && k == &local_deployment);
        if (runs && !sandboxed && (k == &local_job || k == &local_deployment)) {
            sandboxed = true; /* once for all */
            local_sandbox_check(&s.l, &f);
        }
    }
    return answer_rows(&s, &f);
}

MLOPS_EXPORT const struct mlops_provider *mlops_provider_v1(const struct mlops_host *host)
{
    static const struct mlops_provider provider = {
        .size = sizeof provider,
        .abi_minor = MLOPS_ABI_MINOR,
        .name = "local",
        .version = MIO_VERSION,
        .doc = "This machine: folders, sandboxed jobs, HAProxy and supervised replicas.",
        .caps = MLOPS_CAP_CONCURRENT | MLOPS_CAP_PLAN | MLOPS_CAP_IMPORT | MLOPS_CAP_LIST |
                MLOPS_CAP_PREFLIGHT | MLOPS_CAP_DATA,
        .config = settings,
        .kinds = kinds,
        .configure = configure,
        .validate = validate,
        .plan = plan,
        .read_many = read_many,
        .create = create,
        .update = update,
        .remove = remove_object,
        .import = import,
        .list = list,
        .preflight = preflight,
        .data_read = data_read,
        .close = close_instance,
    };
    return host && host->size >= sizeof(uint32_t) ? &provider : NULL;
}
