/* providers/local/endpoint.c: an endpoint: a HAProxy of its own on a port of 127.0.0.1, its keys,
 * its traffic.
 *
 * In: inputs of the template. Out: HAProxy that runs what endpoint.json and the deployments say.
 * Create and update are the same step, so a run that was killed is carried on by the next. Never:
 * shows a key. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "providers/local/serving.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/redact.h"

enum { KEY_BYTES = 32, WHOLE = 100 };

static bool needs_key(struct mio_value inputs)
{
    return !mio_str_ieq(mio_get_str(inputs, "auth_mode"), MIO_STR("none"));
}

/* ---- checks ---- */

static void check_traffic(struct mio_value traffic, struct local_findings *f)
{
    int64_t sum = 0;
    if (traffic.type != MIO_MAP || mio_has_unknown(traffic))
        return;
    for (uint32_t i = 0; i < traffic.n; i++) {
        int64_t share = -1;
        struct mio_str name = traffic.pairs[i].key;
        if (!mio_value_i64(traffic.pairs[i].value, &share) || share < 0 || share > WHOLE)
            local_find_error(f, mio_arena_printf(f->arena, "traffic.%.*s", MIO_FMT(name)).p,
                             "Give a whole number from 0 to 100.",
                             "the traffic of %.*s is not a percentage", MIO_FMT(name));
        sum += share;
    }
    if (traffic.n && sum != 0 && sum != WHOLE)
        local_find_error(f, "traffic", "Let the percentages add up to 100 (or all be 0).",
                         "the traffic adds up to %jd percent", (intmax_t)sum);
}

static void validate(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    (void)l;
    struct mio_str mode = mio_get_str(ch->inputs, "auth_mode");
    struct mio_value mirror = local_get(ch->inputs, "mirror_traffic");
    check_traffic(local_get(ch->inputs, "traffic"), f);
    if (mode.n && !mio_str_ieq(mode, MIO_STR("key")) && !mio_str_ieq(mode, MIO_STR("none")))
        local_find_warning(f, "auth_mode", "Send the key as you would send the token.",
                           "provider local has no tokens: it asks for a key instead");
    if (mirror.type == MIO_MAP && mirror.n)
        local_find_error(f, "mirror_traffic",
                         "Leave it out for this provider, for example with a stage.",
                         "provider local does not copy traffic");
}

static void preflight(struct local *l, struct mio_value change, struct local_findings *f)
{
    struct mio_err err = {0};
    struct mio_value inputs = local_get(change, "inputs"), prior = local_get(change, "prior");
    int64_t port = mio_get_i64(inputs, "port", 0), held;
    struct mio_str action = mio_get_str(change, "action");
    MIO_AUTO_CLOSE int fd = -1;
    if (mio_str_is(action, "delete") || mio_str_is(action, "forget"))
        return;
    if (service_programs(l, &err))
        local_find_error(f, "", err.hint, "%s", err.message);
    mio_err_clear(&err);
    if (port && port != mio_get_i64(prior, "port", 0) &&
        port_hold(l, port, MIO_STR(""), &fd, &held, &err))
        local_find_error(f, "port", err.hint, "%s", err.message);
}

/* Every deployment that gets a share exists. */
static enum mio_code check_names(struct local *l, const struct serving *ep,
                                 struct mio_value traffic, struct mio_err *err)
{
    struct served *d;
    size_t n;
    if (served_all(l, ep, &d, &n, err))
        return err->code;
    for (uint32_t i = 0; traffic.type == MIO_MAP && i < traffic.n; i++) {
        struct mio_str name = traffic.pairs[i].key;
        int64_t share = 0;
        bool known = !mio_value_i64(traffic.pairs[i].value, &share) || share == 0;
        for (size_t k = 0; k < n; k++)
            known = known || mio_str_eq(d[k].name, name);
        if (known)
            continue;
        mio_fail(err, MIO_REALITY, "endpoint %.*s has no deployment %.*s to send traffic to",
                 MIO_FMT(ep->name), MIO_FMT(name));
        return mio_err_hint(
            err, "Declare deployment %.*s with this endpoint, or take it out of `traffic`.",
            MIO_FMT(name));
    }
    return MIO_OK;
}

/* ---- keys ---- */

static const char *key_path(struct local *l, const struct serving *ep, const char *which)
{
    return mio_arena_printf(l->a, "%s/keys/%s", ep->dir, which).p;
}

/* A key as a header that curl -H @FILE sends; one that is there is kept. */
static enum mio_code ensure_key(struct local *l, const struct serving *ep, const char *which,
                                struct mio_buf *digests, struct mio_err *err)
{
    static const char prefix[] = "Authorization: Bearer ";
    const char *path = key_path(l, ep, which);
    struct mio_str text = {0}, key;
    bool found = false;
    if (mio_fs_read(l->a, path, 4096, &text, &found, err))
        return err->code;
    if (!found || !mio_str_starts(text, prefix)) {
        uint8_t raw[KEY_BYTES];
        mio_random(raw, sizeof raw);
        char *made = mio_arena_z(l->a, mio_base64(l->a, raw, sizeof raw));
        for (char *p = made; *p; p++)
            *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
        text = mio_arena_printf(l->a, "%s%s\n", prefix, made);
        if (mio_fs_replace(path, text, 0600, err))
            return err->code;
    }
    key = mio_str_trim(mio_str_sub(text, sizeof prefix - 1, text.n));
    mio_secret_add(key);
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(key.p, key.n, sum);
    mio_hex(sum, sizeof sum, hex);
    for (char *p = hex; *p; p++)
        *p = *p >= 'a' ? (char)(*p - 'a' + 'A') : *p; /* as HAProxy's converter writes it */
    mio_buf_printf(digests, "%s\n", hex);
    return MIO_OK;
}

/* Both keys and the file of their digests, which is all that HAProxy reads; *digest names them. */
static enum mio_code ensure_keys(struct local *l, const struct serving *ep, struct mio_str *digest,
                                 struct mio_err *err)
{
    MIO_AUTO_BUF lines;
    mio_buf_init(&lines, 0);
    if (mio_fs_mkdirs(mio_arena_printf(l->a, "%s/keys", ep->dir).p, 0700, err) ||
        ensure_key(l, ep, "primary", &lines, err) || ensure_key(l, ep, "secondary", &lines, err))
        return err->code;
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    mio_sha256_of(lines.p, lines.n, sum);
    mio_hex(sum, sizeof sum, hex);
    *digest = mio_arena_str(l->a, (struct mio_str){hex, 16});
    return mio_fs_replace(mio_arena_printf(l->a, "%s/keys.sha256", ep->dir).p, mio_buf_view(&lines),
                          0600, err);
}

/* ---- attributes ---- */

static struct mio_value key_file(struct local *l, const struct serving *ep, struct mio_value inputs)
{
    return mio_string_z(needs_key(inputs) ? key_path(l, ep, "primary") : "");
}

/* Where the key will be, so that those who name it need not wait for a change of anything else. */
static enum mio_code plan(struct local *l, const struct local_change *ch, struct mio_value *answer,
                          struct mio_err *err)
{
    struct serving ep;
    struct mio_str name = mio_get_str(ch->inputs, "name");
    if (!ch->workspace.n || !name.n || local_get(ch->inputs, "auth_mode").type == MIO_UNKNOWN)
        return MIO_OK;
    if (serving_open(l, ch->workspace, name, &ep, err))
        return err->code;
    struct mio_value known = local_map(l->a, "key_file", key_file(l, &ep, ch->inputs), NULL);
    *answer = local_map(l->a, "computed", known, NULL);
    return MIO_OK;
}

/* Wanted names and whatever else has a share, with the weights that HAProxy runs with. */
static struct mio_value observed_traffic(struct local *l, struct mio_value wanted,
                                         const struct haproxy_state *now)
{
    if (!now->up)
        return wanted;
    struct mio_pair *pairs = MIO_NEW_N(l->a, struct mio_pair, wanted.n + now->weights.n + 1);
    size_t n = 0;
    for (uint32_t i = 0; wanted.type == MIO_MAP && i < wanted.n; i++) {
        const struct mio_value *w = mio_get(now->weights, wanted.pairs[i].key);
        pairs[n++] = (struct mio_pair){wanted.pairs[i].key, w ? *w : mio_number_i64(l->a, 0)};
    }
    for (uint32_t i = 0; i < now->weights.n; i++) {
        int64_t w = 0;
        mio_value_i64(now->weights.pairs[i].value, &w);
        if (w && !(wanted.type == MIO_MAP && mio_get(wanted, now->weights.pairs[i].key)))
            pairs[n++] = now->weights.pairs[i];
    }
    return mio_map(pairs, n);
}

static const char *state_of(struct local *l, const struct serving *ep,
                            const struct haproxy_state *now)
{
    if (mio_get_bool(ep->record, "removing", false))
        return "Deleting";
    if (!now->up)
        return "Failed";
    if (needs_key(local_get(ep->record, "inputs")) &&
        !(mio_fs_exists(key_path(l, ep, "primary")) && mio_fs_exists(key_path(l, ep, "secondary"))))
        return "Degraded";
    return now->current ? "Succeeded" : "Updating";
}

static enum mio_code describe(struct local *l, const struct serving *ep, struct local_object *out,
                              struct mio_err *err)
{
    struct haproxy_state now = {0};
    if (haproxy_read(l, ep, &now, err))
        return err->code;
    struct mio_value inputs = local_get(ep->record, "inputs");
    struct mio_value traffic = observed_traffic(l, local_get(ep->record, "traffic"), &now);
    int64_t port = mio_get_i64(ep->record, "port", 0);
    const char *base = mio_arena_printf(l->a, "http://127.0.0.1:%jd", (intmax_t)port).p;
    struct mio_str id = mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(ep->ws), MIO_FMT(ep->name));
    struct mio_value computed = local_map(
        l->a, "id", mio_string(id), "name", mio_string(ep->name), "port",
        mio_number_i64(l->a, port), "scoring_uri",
        mio_string(mio_arena_printf(l->a, "%s/score", base)), "swagger_uri",
        mio_string(mio_arena_printf(l->a, "%s/swagger.json", base)), "key_file",
        key_file(l, ep, inputs), "provisioning_state", mio_string_z(state_of(l, ep, &now)), NULL);
    out->attributes = mio_map_merge(l->a, inputs, computed);
    if (traffic.n || local_get(ep->record, "traffic").type == MIO_MAP)
        out->attributes = mio_map_with(l->a, out->attributes, MIO_STR("traffic"), traffic);
    out->id = id;
    out->status = MLOPS_OK;
    return MIO_OK;
}

/* ---- verbs ---- */

/* The port that the endpoint has or gets. *fd keeps it free until HAProxy has it; -1 when HAProxy
 * has it already, or is about to. */
static enum mio_code find_port(struct local *l, const struct serving *ep, int64_t given, int *fd,
                               int64_t *port, struct mio_err *err)
{
    struct haproxy_state now = {0};
    int64_t had = mio_get_i64(ep->record, "port", 0), want = given ? given : had;
    if (ep->record.type == MIO_MAP && haproxy_read(l, ep, &now, err))
        return err->code;
    *port = want;
    if ((now.up || now.starting) && want == had)
        return MIO_OK;
    struct mio_str seed = mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(ep->ws), MIO_FMT(ep->name));
    return port_hold(l, want, seed, fd, port, err);
}

/* With everything behind it. The record goes last, so that a run which is killed is carried on by
 * the next. */
static enum mio_code take_away(struct local *l, const struct serving *ep, struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t n = 0;
    const char *deployments = mio_arena_printf(l->a, "%s/deployments", ep->dir).p;
    struct mio_value mark =
        mio_map_with(l->a, ep->record.type == MIO_MAP ? ep->record : mio_map(NULL, 0),
                     MIO_STR("removing"), mio_bool(true));
    if (local_record_write(l, mio_arena_printf(l->a, "%s/endpoint.json", ep->dir).p, mark, err) ||
        service_stop_all(l, ep, err) || local_names(l, deployments, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) { /* for their control groups */
        struct served d;
        if (served_open(l, ep->ws, ep->name, names[i], &d, err) || replicas_prune(l, &d, 0, 0, err))
            return err->code;
    }
    return local_remove(l, ep->dir, "endpoint.json", err);
}

/* Gives the record as it is then. The lock lies outside of what is removed. */
static enum mio_code lock_endpoint(struct local *l, struct serving *ep, int *lock,
                                   struct mio_err *err)
{
    const char *path =
        local_path(l, "workspaces/%.*s/run/endpoint-%.*s.lock", MIO_FMT(ep->ws), MIO_FMT(ep->name));
    if (local_lock(l, path, lock, err))
        return err->code;
    return serving_open(l, ep->ws, ep->name, ep, err);
}

static enum mio_code converge(struct local *l, const struct local_change *ch,
                              struct local_object *out, struct mio_err *err)
{
    struct serving ep;
    struct mio_value traffic = local_get(ch->inputs, "traffic");
    struct mio_str keys = {0};
    int64_t port = 0;
    MIO_AUTO_CLOSE int held = -1, lock = -1;
    if (local_ws_check(l, ch->workspace, err) || service_programs(l, err) ||
        serving_open(l, ch->workspace, mio_get_str(ch->inputs, "name"), &ep, err) ||
        lock_endpoint(l, &ep, &lock, err) ||
        (mio_get_bool(ep.record, "removing", false) &&
         (take_away(l, &ep, err) || serving_open(l, ep.ws, ep.name, &ep, err))))
        return err->code;
    if ((ep.record.type == MIO_MAP && check_names(l, &ep, traffic, err)) ||
        find_port(l, &ep, mio_get_i64(ch->inputs, "port", 0), &held, &port, err) ||
        (needs_key(ch->inputs) && ensure_keys(l, &ep, &keys, err)))
        return err->code;
    struct mio_value wanted = traffic.type == MIO_MAP ? traffic : local_get(ep.record, "traffic");
    ep.record =
        local_map(l->a, "name", mio_string(ep.name), "inputs",
                  mio_map_without(l->a, ch->inputs, MIO_STR("traffic")), "port",
                  mio_number_i64(l->a, port), "keys", mio_string(keys), "traffic", wanted, NULL);
    if (local_record_write(l, mio_arena_printf(l->a, "%s/endpoint.json", ep.dir).p, ep.record,
                           err) ||
        haproxy_apply(l, &ep, traffic, err))
        return err->code;
    return describe(l, &ep, out, err);
}

static enum mio_code parse_id(struct local *l, struct mio_str id, struct serving *ep,
                              struct mio_err *err)
{
    struct mio_str ws, name;
    if (local_id_split(id, &ws, &name))
        return serving_open(l, ws, name, ep, err);
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" is no endpoint's identifier", MIO_FMT(id));
    return mio_err_hint(err, "Write WORKSPACE/NAME.");
}

static enum mio_code read_endpoint(struct local *l, const struct local_read *r,
                                   struct local_object *out, struct mio_err *err)
{
    struct serving ep;
    if (parse_id(l, r->id, &ep, err))
        return err->code;
    if (ep.record.type != MIO_MAP) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    return describe(l, &ep, out, err);
}

static enum mio_code remove_endpoint(struct local *l, const struct local_change *ch,
                                     struct mio_err *err)
{
    struct serving ep;
    MIO_AUTO_CLOSE int lock = -1;
    if (parse_id(l, ch->id, &ep, err) || !mio_fs_is_dir(ep.dir) ||
        lock_endpoint(l, &ep, &lock, err))
        return err->code;
    return take_away(l, &ep, err);
}

static enum mio_code list(struct local *l, struct mio_str ws, struct local_findings *rows,
                          struct mio_err *err)
{
    struct mio_str *names = NULL;
    size_t n = 0;
    const char *dir = mio_arena_printf(l->a, "%s/endpoints", local_ws_dir(l, ws)).p;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (mio_fs_exists(
                mio_arena_printf(l->a, "%s/%.*s/endpoint.json", dir, MIO_FMT(names[i])).p))
            local_list_row(rows,
                           mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(ws), MIO_FMT(names[i])),
                           names[i]);
    return MIO_OK;
}

const struct local_kind local_endpoint = {
    .name = "endpoint",
    .id = "WORKSPACE/NAME",
    .validate = validate,
    .plan = plan,
    .preflight = preflight,
    .create = converge,
    .update = converge,
    .remove = remove_endpoint,
    .read = read_endpoint,
    .list = list,
};
