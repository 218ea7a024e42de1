/* tests/conformance/kit.c: see kit.h. */
#include "tests/conformance/kit_impl.h"

#include <unistd.h>

bool kit_check(struct kit *k, bool held, const char *check, const char *fmt, ...)
{
    char seen[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(seen, sizeof seen, fmt, ap);
    va_end(ap);
    if (held)
        k->result->held++;
    else
        k->result->broken++;
    k->o->report(k->o->arg, held, check, held ? "" : seen);
    return held;
}

enum mio_code kit_connect(struct kit *k, struct mio_err *err)
{
    struct mio_value config;
    struct mio_provider_opts o = {.instance = MIO_STR("conformance"),
                                  .plugin_path = k->o->plugin_path,
                                  .host_program = k->o->host_program,
                                  .base_dir = mio_str_z(k->o->base_dir),
                                  .parallelism = 8};
    if (mio_json_read(&k->a, mio_str_z(k->o->config), NULL, &config, err) ||
        mio_provider_open(&k->a, &o, &k->p, err) || mio_provider_schema(k->p, &k->schema, err))
        return err->code;
    k->kind = mio_schema_kind(k->schema, mio_str_z(k->o->kind));
    if (!k->kind)
        return mio_fail(err, MIO_USAGE, "the plugin has no kind \"%s\"", k->o->kind);
    return mio_provider_configure(k->p, config, MIO_STR("conformance"), err);
}

struct mio_value kit_inputs(struct kit *k, const char *text, unsigned number)
{
    struct mio_str s = mio_str_z(text);
    const char *mark = strstr(text, "%d");
    if (mark) {
        size_t before = (size_t)(mark - text);
        s = mio_arena_printf(&k->a, "%.*s%lu-%u%s", (int)before, text, k->run, number, mark + 2);
    }
    struct mio_err err = {0};
    struct mio_value v = mio_map(NULL, 0);
    mio_json_read(&k->a, s, NULL, &v, &err);
    return v;
}

struct mio_str kit_key(struct kit *k, unsigned number)
{
    return mio_arena_printf(&k->a, "kit%013lx%010u", k->run & 0xfffffffffffffUL, number);
}

enum mio_code kit_create(struct kit *k, struct mio_provider *p, struct mio_arena *a,
                         unsigned number, struct mio_object *out, struct mio_err *err)
{
    struct mio_prov_change c = {
        .kind = k->kind->name,
        .address = mio_arena_printf(a, "%.*s.kit%u", MIO_FMT(k->kind->name), number),
        .inputs = kit_inputs(k, k->o->inputs, number)};
    struct mio_call_opts o = {.key = kit_key(k, number), .deadline_ms = mio_now_ms() + 60000};
    *out = (struct mio_object){0};
    return mio_provider_change(p, a, MIO_PROV_CREATE, &c, &o, out, err);
}

void kit_delete(struct kit *k, const struct mio_object *obj)
{
    struct mio_err err = {0};
    struct mio_prov_change c = {.kind = k->kind->name,
                                .address = MIO_STR("kit.delete"),
                                .id = obj->id,
                                .prior = obj->attributes};
    struct mio_call_opts o = {.key = MIO_STR("kitdelete"), .deadline_ms = mio_now_ms() + 60000};
    mio_provider_change(k->p, &k->a, MIO_PROV_DELETE, &c, &o, NULL, &err);
}

int64_t kit_count(struct kit *k)
{
    struct mio_err err = {0};
    struct mio_value list;
    if (!(k->schema->caps & MLOPS_CAP_LIST) ||
        mio_provider_list(k->p, &k->a, k->kind->name, &list, &err))
        return -1;
    return list.n;
}

enum mio_code kit_run(const struct kit_opts *o, struct kit_result *out, struct mio_err *err)
{
    struct kit k = {.o = o,
                    .result = out,
                    .run = (unsigned long)mio_wall_s() * 1000 + (unsigned long)getpid() % 1000};
    *out = (struct kit_result){0};
    mio_arena_init(&k.a);
    if (kit_connect(&k, err) == MIO_OK) {
        kit_schema(&k);
        kit_sizes(&k);
        kit_cycle(&k);
        kit_class(&k);
    }
    mio_provider_close(k.p);
    mio_arena_free(&k.a);
    return err->code;
}
