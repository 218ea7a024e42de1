/* providers/host/child/load.c: from a path to a checked table of functions. */
#include <dlfcn.h>

#include "providers/host/child/child.h"
#include "providers/host/verify.h"

typedef const struct mlops_provider *entry_fn(const struct mlops_host *);

/* What a capability bit, or being a plugin at all (bit 0), promises. */
struct promise {
    uint32_t cap;
    size_t offset;
    const char *name;
};
#define PROMISE(cap, member)                                    \
    {                                                           \
        (cap), offsetof(struct mlops_provider, member), #member \
    }
static const struct promise promises[] = {
    PROMISE(0, configure),
    PROMISE(0, read_many),
    PROMISE(0, create),
    PROMISE(0, update),
    PROMISE(0, remove),
    PROMISE(MLOPS_CAP_PLAN, plan),
    PROMISE(MLOPS_CAP_IMPORT, import),
    PROMISE(MLOPS_CAP_LIST, list),
    PROMISE(MLOPS_CAP_LOOKUP, lookup_by_key),
    PROMISE(MLOPS_CAP_PREFLIGHT, preflight),
    PROMISE(MLOPS_CAP_DATA, data_read),
    PROMISE(MLOPS_CAP_CANCEL, cancel),
    PROMISE(MLOPS_CAP_FUNCTIONS, function),
};

static enum mio_code check_promises(const struct mlops_provider *p, struct mio_err *err)
{
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        const struct promise *m = &promises[i];
        if (m->cap && !(p->caps & m->cap))
            continue;
        void (*fn)(void) = NULL;
        if (p->size >= m->offset + sizeof fn)
            memcpy(&fn, (const char *)p + m->offset, sizeof fn);
        if (fn)
            continue;
        mio_fail(err, MIO_PROVIDER, "the plugin \"%s\" promises the function %s but has none",
                 p->name, m->name);
        return mio_err_hint(err, "report this to the plugin's author");
    }
    return MIO_OK;
}

/* Every entry of a table says the same size, and one that holds at least what version 1.0 had. */
static enum mio_code check_fields(const struct mlops_field *f, const char *where, int depth,
                                  struct mio_err *err)
{
    if (!f || depth == 0)
        return MIO_OK;
    size_t step = f->size;
    if (step == 0 && !f->name)
        return MIO_OK; /* an empty table */
    if (step < offsetof(struct mlops_field, fields) + sizeof f->fields)
        return mio_fail(err, MIO_PROVIDER, "a field of %s declares %zu bytes as its size", where,
                        step);
    for (; f->name; f = (const struct mlops_field *)(const void *)((const char *)f + step)) {
        if (f->size != step)
            return mio_fail(err, MIO_PROVIDER,
                            "field %s of %s declares another size than the first", f->name, where);
        if (f->element && f->element->size < offsetof(struct mlops_field, fields))
            return mio_fail(err, MIO_PROVIDER, "the element of field %s of %s declares no size",
                            f->name, where);
        if (check_fields(f->fields, f->name, depth - 1, err) ||
            (f->element && check_fields(f->element->fields, f->name, depth - 1, err)))
            return err->code;
    }
    return MIO_OK;
}

static enum mio_code check_kinds(const struct mlops_provider *p, struct mio_err *err)
{
    const struct mlops_kind *k = p->kinds;
    if (!k)
        return mio_fail(err, MIO_PROVIDER, "the plugin has no table of kinds");
    size_t step = k->size;
    if (k->name && step < offsetof(struct mlops_kind, schema_version) + sizeof k->schema_version)
        return mio_fail(err, MIO_PROVIDER, "kind %s declares %zu bytes as its size", k->name, step);
    for (; k->name; k = (const struct mlops_kind *)(const void *)((const char *)k + step)) {
        if (k->size != step)
            return mio_fail(err, MIO_PROVIDER, "kind %s declares another size than the first",
                            k->name);
        if (k->create_class == MLOPS_CREATE_C && !(p->caps & MLOPS_CAP_LOOKUP))
            return mio_fail(err, MIO_PROVIDER, "kind %s is of create class C without lookup_by_key",
                            k->name);
        if ((k->flags & MLOPS_KIND_FINDABLE) && !(p->caps & MLOPS_CAP_LOOKUP))
            return mio_fail(err, MIO_PROVIDER, "kind %s is findable, but there is no lookup_by_key",
                            k->name);
        if ((k->flags & MLOPS_KIND_DATA) && !(p->caps & MLOPS_CAP_DATA))
            return mio_fail(err, MIO_PROVIDER,
                            "kind %s can be looked up, but there is no data_read", k->name);
        if (check_fields(k->fields, k->name, 16, err))
            return err->code;
    }
    return MIO_OK;
}

static enum mio_code check(const struct mlops_provider *p, struct mio_err *err)
{
    size_t least = offsetof(struct mlops_provider, close) + sizeof p->close;
    if (p->size < least) {
        mio_fail(err, MIO_PROVIDER, "the plugin's table has %u bytes where version 1.0 has %zu",
                 (unsigned)p->size, least);
        return mio_err_hint(err,
                            "build the plugin again against the mlops_provider.h of this version");
    }
    if (!p->name || !*p->name || !p->version)
        return mio_fail(err, MIO_PROVIDER, "the plugin has no name or version");
    if (check_promises(p, err) || check_fields(p->config, "the settings", 16, err))
        return err->code;
    return check_kinds(p, err);
}

enum mio_code mio_child_load(const char *path, struct mio_str sha256,
                             const struct mlops_provider **out, struct mio_err *err)
{
    int fd = -1;
    if (mio_plugin_open(path, sha256, &fd, err))
        return err->code;
    /* The descriptor stays open: what is loaded is what was hashed, whatever happens to the path.
     */
    char self[40];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    void *so = dlopen(self, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        mio_fail(err, MIO_PROVIDER, "the plugin %s cannot be loaded: %s", path, dlerror());
        return mio_err_hint(err, "a library that the plugin needs may be missing: ldd %s", path);
    }
    entry_fn *entry = NULL;
    void *symbol = dlsym(so, "mlops_provider_v1");
    memcpy(&entry, &symbol, sizeof entry);
    if (!entry) {
        mio_fail(err, MIO_PROVIDER,
                 "%s is no provider plugin of interface version %d: it exports no "
                 "mlops_provider_v%d",
                 path, MLOPS_ABI_MAJOR, MLOPS_ABI_MAJOR);
        return mio_err_hint(err, "install the plugin's release for this version of mlops-iac");
    }
    static const struct mlops_host host = {
        .size = sizeof host, .abi_minor = MLOPS_ABI_MINOR, .version = MIO_VERSION};
    const struct mlops_provider *p = entry(&host);
    if (!p)
        return mio_fail(err, MIO_PROVIDER, "the plugin %s refuses mlops-iac %s (interface %d.%d)",
                        path, MIO_VERSION, MLOPS_ABI_MAJOR, MLOPS_ABI_MINOR);
    if (check(p, err))
        return mio_err_wrap(err, "%s", path);
    *out = p;
    return MIO_OK;
}
