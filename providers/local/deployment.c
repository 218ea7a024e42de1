/* providers/local/deployment.c: a deployment: generations of supervised replicas behind an
 * endpoint.
 *
 * Create and update are the same step. What a replica is made of has a digest; when that changes a
 * new generation starts beside the old one, takes over in HAProxy once it is ready, and the old one
 * ends when HAProxy has answered what it had in flight there. When it has not changed, replicas
 * that are missing are started and surplus ones stopped. */
#include <unistd.h>

#include "providers/local/environment.h"
#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"

static struct mio_str endpoint_of(struct mio_value inputs)
{
    struct mio_str given = mio_get_str(inputs, "endpoint");
    return local_ref_name(given.n ? given : mio_get_str(inputs, "endpoint_name"));
}

static struct mio_str script_of(struct mio_value inputs)
{
    struct mio_str s = mio_get_str(local_get(inputs, "code_configuration"), "scoring_script");
    return s.n ? s : MIO_STR("score.py");
}

/* ---- checks ---- */

static void validate(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    struct mio_value code = local_get(ch->inputs, "code_configuration");
    struct mio_value path = local_get(code, "code"),
                     scale = local_get(ch->inputs, "scale_settings");
    struct mio_str script = script_of(ch->inputs), type = mio_get_str(scale, "type");
    if (code.type == MIO_NULL)
        local_find_error(f, "code_configuration",
                         "Add `code_configuration: {code: FOLDER, scoring_script: score.py}`.",
                         "provider local serves scoring scripts: it needs one");
    if (script.p[0] == '/' || mio_str_starts(script, "../") ||
        memmem(script.p, script.n, "/../", 4))
        local_find_error(f, "code_configuration.scoring_script", NULL,
                         "the scoring script lies outside the code folder");
    else if (path.type == MIO_STRING) {
        const char *folder = local_abs(l, ch, mio_value_str(path));
        const char *file = mio_arena_printf(l->a, "%s/%.*s", folder, MIO_FMT(script)).p;
        if (mio_fs_is_dir(folder) && !mio_fs_exists(file))
            local_find_error(f, "code_configuration.scoring_script",
                             "Name a script of that folder.", "there is no %.*s in %s",
                             MIO_FMT(script), folder);
    }
    if (scale.type == MIO_MAP && type.n && !mio_str_ieq(type, MIO_STR("default")))
        local_find_warning(f, "scale_settings", "Set `instance_count`.",
                           "provider local does not scale by load: instance_count holds");
}

static void preflight(struct local *l, struct mio_value change, struct local_findings *f)
{
    struct mio_err err = {0};
    struct mio_str action = mio_get_str(change, "action");
    if (!mio_str_is(action, "delete") && !mio_str_is(action, "forget") && service_programs(l, &err))
        local_find_error(f, "", err.hint, "%s", err.message);
}

/* ---- what a generation is made of ---- */

struct wanted {
    struct served d;
    struct mio_value inputs;
    const char *code;                   /* source folder */
    struct mio_str code_digest, digest; /* digest: of all that a replica is started with */
    const char *model;                  /* source; NULL when there is none */
    bool model_copied; /* an inline model lives in the generation, an asset where it is */
    struct mio_str model_name, model_version;
    struct mio_str root; /* of a built environment, as it lies there */
    int64_t count;
};

static enum mio_code resolve_code(struct local *l, const struct local_change *ch, struct wanted *w,
                                  struct mio_err *err)
{
    struct mio_str path = mio_get_str(local_get(w->inputs, "code_configuration"), "code");
    if (!path.n) {
        mio_fail(err, MIO_TEMPLATE, "deployment %.*s has no scoring code", MIO_FMT(w->d.name));
        return mio_err_hint(err,
                            "Add `code_configuration: {code: FOLDER, scoring_script: score.py}`.");
    }
    w->code = local_abs(l, ch, path);
    const char *script =
        mio_arena_printf(l->a, "%s/%.*s", w->code, MIO_FMT(script_of(w->inputs))).p;
    if (!mio_fs_is_dir(w->code) || !mio_fs_exists(script)) {
        mio_fail(err, MIO_TEMPLATE, "the scoring script %s does not exist", script);
        return mio_err_hint(err, "`code` names a folder, `scoring_script` a file in it.");
    }
    return mio_digest_path(l->a, w->code, &w->code_digest, err);
}

static enum mio_code resolve_model(struct local *l, const struct local_change *ch, struct wanted *w,
                                   struct mio_value *identity, struct mio_err *err)
{
    struct mio_value model = local_get(w->inputs, "model");
    struct local_asset asset;
    struct mio_str digest;
    *identity = mio_null();
    if (model.type == MIO_STRING) {
        if (local_asset_resolve(l, w->d.ep.ws, "model", mio_value_str(model), &asset, err))
            return err->code;
        w->model = asset.path;
        w->model_name = asset.name;
        w->model_version = asset.version;
        *identity = mio_string_z(asset.dir);
    } else if (model.type == MIO_MAP) {
        w->model = local_abs(l, ch, mio_get_str(model, "path"));
        w->model_copied = true;
        w->model_name = w->d.name;
        w->model_version = MIO_STR("1");
        if (mio_digest_path(l->a, w->model, &digest, err))
            return mio_err_wrap(err, "model of deployment %.*s", MIO_FMT(w->d.name));
        *identity = mio_string(digest);
    }
    return MIO_OK;
}

static enum mio_code resolve(struct local *l, const struct local_change *ch, struct wanted *w,
                             struct mio_err *err)
{
    struct mio_value model;
    if (resolve_code(l, ch, w, err) || resolve_model(l, ch, w, &model, err))
        return err->code;
    if (local_environment_root(l, w->d.ep.ws, local_get(w->inputs, "environment"), &w->root, err))
        return err->code;
    struct mio_value all = local_map(
        l->a, "code", mio_string(w->code_digest), "script", mio_string(script_of(w->inputs)),
        "model", model, "environment", local_get(w->inputs, "environment"), "variables",
        local_get(w->inputs, "environment_variables"), "resources",
        local_get(w->inputs, "resources"), "liveness", local_get(w->inputs, "liveness_probe"),
        "concurrency", mio_number_i64(l->a, served_bounds(w->inputs).concurrency), NULL);
    if (w->root.n)
        all = mio_map_with(l->a, all, MIO_STR("root"), mio_string(w->root));
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_write(&b, all, MIO_JSON_OPEN);
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(b.p, b.n, sum);
    mio_hex(sum, sizeof sum, hex);
    w->digest = mio_arena_str(l->a, mio_str_z(hex));
    w->count = mio_get_i64(w->inputs, "instance_count", 1);
    return MIO_OK;
}

/* ---- generations ---- */

static const char *generation_dir(struct local *l, const struct served *d, int64_t generation)
{
    return mio_arena_printf(l->a, "%s/g%jd", d->dir, (intmax_t)generation).p;
}

/* The running generation if it is made of the same things, its code is unaltered and its limits
 * hold, else 0. */
static int64_t same_generation(struct local *l, const struct wanted *w)
{
    struct mio_value record = w->d.record;
    struct mio_str digest;
    struct mio_err ignored = {0};
    struct replicas_state now = {0};
    int64_t g = mio_get_i64(record, "generation", 0), n = mio_get_i64(record, "replicas", 1);
    const char *code = mio_arena_printf(l->a, "%s/code", generation_dir(l, &w->d, g)).p;
    bool same = g && mio_str_eq(mio_get_str(record, "digest"), w->digest) &&
                !mio_digest_path(l->a, code, &digest, &ignored) &&
                mio_str_eq(digest, w->code_digest) &&
                !replicas_look(l, &w->d, g, n, &now, &ignored) && !now.unlimited;
    return same ? g : 0;
}

static enum mio_code next_generation(struct local *l, const struct served *d, int64_t *out,
                                     struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t n = 0;
    int64_t last = mio_get_i64(d->record, "generation", 0), g;
    if (local_names(l, d->dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (names[i].p[0] == 'g' && mio_str_i64(mio_str_sub(names[i], 1, names[i].n), &g) &&
            g > last)
            last = g;
    *out = last + 1;
    return MIO_OK;
}

/* Where the model lies for generation `dir`; NULL when there is none. */
static const char *model_path(struct local *l, const struct wanted *w, const char *dir)
{
    if (!w->model || !w->model_copied)
        return w->model;
    struct mio_str base = mio_path_base(mio_str_z(w->model));
    return mio_arena_printf(l->a, "%s/model/%.*s", dir, MIO_FMT(base)).p;
}

static enum mio_code fill_generation(struct local *l, const struct wanted *w, const char *dir,
                                     struct mio_err *err)
{
    if (mio_fs_mkdirs(dir, 0700, err) ||
        mio_fs_copy_tree(w->code, mio_arena_printf(l->a, "%s/code", dir).p, err))
        return err->code;
    if (!w->model_copied)
        return MIO_OK;
    if (mio_fs_mkdirs(mio_arena_printf(l->a, "%s/model", dir).p, 0700, err))
        return err->code;
    return mio_fs_copy_tree(w->model, model_path(l, w, dir), err);
}

/* Back to what the record says, quietly: the error that led here is the one to report. */
static void roll_back(struct local *l, const struct served *d)
{
    struct mio_err ignored = {0};
    bool had = d->record.type == MIO_MAP;
    int64_t generation = mio_get_i64(d->record, "generation", 0);
    replicas_prune(l, d, generation, had ? mio_get_i64(d->record, "replicas", 1) : 0, &ignored);
    mio_err_clear(&ignored);
    if (!had)
        mio_fs_remove_tree(d->dir, &ignored);
}

static enum mio_code bring_up(struct local *l, const struct wanted *w, int64_t generation,
                              struct mio_err *err)
{
    const char *dir = generation_dir(l, &w->d, generation);
    const struct replicas r = {
        .of = &w->d,
        .generation = generation,
        .dir = dir,
        .inputs = w->inputs,
        .script = script_of(w->inputs),
        .model = model_path(l, w, dir),
        .model_name = mio_arena_z(l->a, w->model ? w->model_name : MIO_STR("model")),
        .model_version = mio_arena_z(l->a, w->model ? w->model_version : MIO_STR("1")),
    };
    for (int64_t i = 0; i < w->count; i++)
        if (replica_start(l, &r, i, err))
            return err->code;
    return replicas_wait(l, &r, w->count, err);
}

/* ---- verbs ---- */

/* Whether its replicas run in a root that has been altered, mended or replaced under them. */
static bool outdated(struct local *l, const struct served *d)
{
    struct mio_value inputs = local_get(d->record, "inputs");
    struct mio_str root, was = mio_get_str(d->record, "root");
    struct mio_err ignored = {0};
    return was.n && (local_environment_root(l, d->ep.ws, local_get(inputs, "environment"), &root,
                                            &ignored) ||
                     !mio_str_eq(root, was));
}

static enum mio_code describe(struct local *l, const struct served *d, struct local_object *out,
                              struct mio_err *err)
{
    int64_t count = mio_get_i64(d->record, "replicas", 1);
    int64_t generation = mio_get_i64(d->record, "generation", 1);
    struct replicas_state now;
    struct mio_str digest = MIO_STR("missing");
    struct mio_err ignored = {0};
    if (replicas_look(l, d, generation, count, &now, err))
        return err->code;
    const char *code = mio_arena_printf(l->a, "%s/code", generation_dir(l, d, generation)).p;
    mio_digest_path(l->a, code, &digest, &ignored);
    bool well = now.ready == count && !now.extra && !now.unlimited;
    const char *state = now.ready == 0 ? "Failed" : well ? "Succeeded" : "Degraded";
    if (outdated(l, d))
        state = "Outdated";
    if (mio_get_bool(d->record, "removing", false))
        state = "Deleting";
    out->id = mio_arena_printf(l->a, "%.*s/%.*s/%.*s", MIO_FMT(d->ep.ws), MIO_FMT(d->ep.name),
                               MIO_FMT(d->name));
    struct mio_value computed =
        local_map(l->a, "id", mio_string(out->id), "name", mio_string(d->name),
                  "provisioning_state", mio_string_z(state), "ready_replicas",
                  mio_number_i64(l->a, now.ready), "content_digest", mio_string(digest), NULL);
    out->attributes = mio_map_merge(l->a, local_get(d->record, "inputs"), computed);
    out->status = MLOPS_OK;
    return MIO_OK;
}

static enum mio_code lock_deployment(struct local *l, const struct served *d, int *lock,
                                     struct mio_err *err)
{
    const char *path = mio_arena_printf(l->a, "%s/locks/%.*s", d->ep.dir, MIO_FMT(d->name)).p;
    return local_lock(l, path, lock, err);
}

static enum mio_code switch_over(struct local *l, struct wanted *w, int64_t generation,
                                 struct mio_err *err)
{
    struct served *d = &w->d;
    bool replaces = d->record.type == MIO_MAP;
    struct mio_value record =
        local_map(l->a, "name", mio_string(d->name), "inputs", w->inputs, "generation",
                  mio_number_i64(l->a, generation), "digest", mio_string(w->digest), "replicas",
                  mio_number_i64(l->a, w->count), "root", mio_string(w->root), NULL);
    if (local_record_write(l, mio_arena_printf(l->a, "%s/deployment.json", d->dir).p, record, err))
        return err->code;
    d->record = record;
    if (haproxy_apply(l, &d->ep, mio_null(), err) || haproxy_well(l, d, w->count, err))
        return err->code;
    if (replaces) {
        local_progress(l, -1, "waiting for requests in flight");
        if (haproxy_drained(l, &d->ep, err))
            return err->code;
    }
    return replicas_prune(l, d, generation, w->count, err);
}

/* The record goes last, so that a run which is killed is carried on by whoever comes next. The
 * caller holds the lock. */
static enum mio_code take_away(struct local *l, const struct served *d, struct mio_err *err)
{
    if (d->record.type == MIO_MAP) {
        struct mio_value mark = mio_map_with(l->a, d->record, MIO_STR("removing"), mio_bool(true));
        struct haproxy_state now = {0};
        if (local_record_write(l, mio_arena_printf(l->a, "%s/deployment.json", d->dir).p, mark,
                               err) ||
            haproxy_read(l, &d->ep, &now, err))
            return err->code;
        if (now.up &&
            (haproxy_apply(l, &d->ep, mio_null(), err) || haproxy_drained(l, &d->ep, err)))
            return err->code;
    }
    if (replicas_prune(l, d, 0, 0, err))
        return err->code;
    return local_remove(l, d->dir, "deployment.json", err);
}

static enum mio_code converge(struct local *l, const struct local_change *ch,
                              struct local_object *out, struct mio_err *err)
{
    struct wanted w = {.inputs = ch->inputs};
    struct mio_str name = mio_get_str(ch->inputs, "name"), endpoint = endpoint_of(ch->inputs);
    MIO_AUTO_CLOSE int lock = -1;
    if (local_ws_check(l, ch->workspace, err) || service_programs(l, err) ||
        served_open(l, ch->workspace, endpoint, name, &w.d, err))
        return err->code;
    if (w.d.ep.record.type != MIO_MAP) {
        mio_fail(err, MIO_REALITY, "endpoint %.*s does not exist in workspace %.*s",
                 MIO_FMT(endpoint), MIO_FMT(ch->workspace));
        return mio_err_hint(
            err, "Declare it as `endpoint:` and refer to it with ${endpoint.NAME.name}.");
    }
    if (lock_deployment(l, &w.d, &lock, err) ||
        served_open(l, ch->workspace, endpoint, name, &w.d, err))
        return err->code;
    if (mio_get_bool(w.d.record, "removing", false)) {
        if (take_away(l, &w.d, err))
            return err->code;
        w.d.record = mio_null();
    }
    if (resolve(l, ch, &w, err))
        return err->code;
    int64_t generation = same_generation(l, &w);
    bool fresh = generation == 0;
    if (fresh && next_generation(l, &w.d, &generation, err))
        return err->code;
    if ((fresh && fill_generation(l, &w, generation_dir(l, &w.d, generation), err)) ||
        bring_up(l, &w, generation, err)) {
        roll_back(l, &w.d);
        return err->code;
    }
    /* Once more, because one may have died while the earlier ones were waited for. */
    if (switch_over(l, &w, generation, err) || bring_up(l, &w, generation, err))
        return err->code;
    return describe(l, &w.d, out, err);
}

/* "WS/ENDPOINT/NAME" */
static enum mio_code parse_id(struct local *l, struct mio_str id, struct served *d,
                              struct mio_err *err)
{
    struct mio_str ws, rest, endpoint, name;
    if (local_id_split(id, &ws, &rest) && local_id_split(rest, &endpoint, &name))
        return served_open(l, ws, endpoint, name, d, err);
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" is no deployment's identifier", MIO_FMT(id));
    return mio_err_hint(err, "Write WORKSPACE/ENDPOINT/NAME.");
}

static enum mio_code read_deployment(struct local *l, const struct local_read *r,
                                     struct local_object *out, struct mio_err *err)
{
    struct served d;
    if (parse_id(l, r->id, &d, err))
        return err->code;
    if (d.record.type != MIO_MAP) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    return describe(l, &d, out, err);
}

static enum mio_code remove_deployment(struct local *l, const struct local_change *ch,
                                       struct mio_err *err)
{
    struct served d;
    MIO_AUTO_CLOSE int lock = -1;
    if (parse_id(l, ch->id, &d, err))
        return err->code;
    if (!mio_fs_is_dir(d.dir))
        return MIO_OK;
    if (lock_deployment(l, &d, &lock, err) || parse_id(l, ch->id, &d, err))
        return err->code;
    return take_away(l, &d, err);
}

static enum mio_code list(struct local *l, struct mio_str ws, struct local_findings *rows,
                          struct mio_err *err)
{
    struct local_findings endpoints = {.arena = l->a};
    if (local_endpoint.list(l, ws, &endpoints, err))
        return err->code;
    for (size_t i = 0; i < endpoints.n; i++) {
        struct serving ep;
        struct served *d;
        size_t n;
        if (serving_open(l, ws, mio_get_str(endpoints.items[i], "name"), &ep, err) ||
            served_all(l, &ep, &d, &n, err))
            return err->code;
        for (size_t k = 0; k < n; k++)
            local_list_row(rows,
                           mio_arena_printf(l->a, "%.*s/%.*s/%.*s", MIO_FMT(ws), MIO_FMT(ep.name),
                                            MIO_FMT(d[k].name)),
                           d[k].name);
    }
    return MIO_OK;
}

const struct local_kind local_deployment = {
    .name = "deployment",
    .id = "WORKSPACE/ENDPOINT/NAME",
    .validate = validate,
    .preflight = preflight,
    .create = converge,
    .update = converge,
    .remove = remove_deployment,
    .read = read_deployment,
    .list = list,
};
