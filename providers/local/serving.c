/* providers/local/serving.c: the records of endpoints and deployments, and what their inputs mean.
 */
#include "providers/local/serving.h"

#include "providers/sdk/clock.h"

static enum mio_code read_record(struct local *l, const char *dir, const char *file,
                                 struct mio_value *out, struct mio_err *err)
{
    bool found = false;
    const char *path = mio_arena_printf(l->a, "%s/%s", dir, file).p;
    *out = mio_null();
    return local_record_read(l, path, out, &found, err);
}

enum mio_code serving_open(struct local *l, struct mio_str ws, struct mio_str name,
                           struct serving *out, struct mio_err *err)
{
    *out = (struct serving){.ws = ws, .name = name};
    if (local_name_check(ws, "a workspace", err) || local_name_check(name, "an endpoint", err))
        return err->code;
    out->dir = mio_arena_printf(l->a, "%s/endpoints/%.*s", local_ws_dir(l, ws), MIO_FMT(name)).p;
    return read_record(l, out->dir, "endpoint.json", &out->record, err);
}

enum mio_code served_open(struct local *l, struct mio_str ws, struct mio_str endpoint,
                          struct mio_str name, struct served *out, struct mio_err *err)
{
    *out = (struct served){.name = name};
    if (serving_open(l, ws, endpoint, &out->ep, err) || local_name_check(name, "a deployment", err))
        return err->code;
    out->dir = mio_arena_printf(l->a, "%s/deployments/%.*s", out->ep.dir, MIO_FMT(name)).p;
    return read_record(l, out->dir, "deployment.json", &out->record, err);
}

enum mio_code served_all(struct local *l, const struct serving *ep, struct served **out, size_t *n,
                         struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t count = 0, kept = 0;
    const char *dir = mio_arena_printf(l->a, "%s/deployments", ep->dir).p;
    if (local_names(l, dir, &names, &count, err))
        return err->code;
    struct served *all = MIO_NEW_N(l->a, struct served, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!local_name_ok(names[i]))
            continue;
        if (served_open(l, ep->ws, ep->name, names[i], &all[kept], err))
            return err->code;
        if (all[kept].record.type == MIO_MAP && !mio_get_bool(all[kept].record, "removing", false))
            kept++;
    }
    *out = all;
    *n = kept;
    return MIO_OK;
}

/* Seconds as a number, "5", "5s" or "PT5S". */
static int64_t seconds(struct mio_value probe, const char *key, int64_t otherwise)
{
    int64_t s = otherwise;
    mio_duration_s(mio_get_str(probe, key), &s);
    return s;
}

struct probe served_probe(struct local *l, struct mio_value inputs, const char *key,
                          const char *path)
{
    struct mio_value p = local_get(inputs, key);
    bool given = p.type == MIO_MAP;
    struct mio_str asked = mio_get_str(p, "path");
    struct mio_str sound = {0};
    if (asked.n && asked.p[0] == '/' && asked.n < 256)
        sound = asked;
    for (size_t i = 0; i < sound.n; i++)
        if (sound.p[i] <= ' ' || sound.p[i] >= 0x7f || strchr("\"'\\#%", sound.p[i]))
            sound.n = 0;
    return (struct probe){
        .path = sound.n ? mio_arena_z(l->a, sound) : path,
        .initial_delay = seconds(p, "initial_delay", given ? 10 : 1),
        .period = seconds(p, "period", given ? 10 : 2),
        .timeout = seconds(p, "timeout", 2),
        .success = mio_get_i64(p, "success_threshold", 1),
        .failure = mio_get_i64(p, "failure_threshold", given ? 30 : 3),
    };
}

struct bounds served_bounds(struct mio_value inputs)
{
    struct mio_value s = local_get(inputs, "request_settings");
    bool given = s.type == MIO_MAP;
    return (struct bounds){
        .concurrency = mio_get_i64(s, "max_concurrent_requests_per_instance", 1),
        .timeout_ms = mio_get_i64(s, "request_timeout_ms", given ? 5000 : 60000),
        .queue_ms = mio_get_i64(s, "max_queue_wait_ms", given ? 500 : 60000),
        .refuse = given,
    };
}
