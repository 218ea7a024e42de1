/* providers/local/compute.c: kind compute: max_instances slots on this machine, each a lock file
 * and a control group with the limits of `resources`. See compute.h. */
#include "providers/local/compute.h"

#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"

enum { SLOTS_MAX = 256 };

static const char *record_path(struct local *l, const struct local_compute *c)
{
    return local_path(l, "workspaces/%.*s/compute/%.*s/compute.json", MIO_FMT(c->ws),
                      MIO_FMT(c->name));
}

static const char *slot_path(struct local *l, const struct local_compute *c, int64_t slot)
{
    return local_path(l, "workspaces/%.*s/compute/%.*s/slots/%jd", MIO_FMT(c->ws), MIO_FMT(c->name),
                      (intmax_t)slot);
}

const char *local_compute_group(struct local *l, const struct local_compute *c, int64_t slot)
{
    return mio_arena_printf(l->a, "%.*s+%.*s+%jd", MIO_FMT(c->ws), MIO_FMT(c->name), (intmax_t)slot)
        .p;
}

static int64_t slots_of(struct mio_value inputs)
{
    int64_t n = mio_get_i64(inputs, "max_instances", 1);
    return n < 1 ? 1 : n > SLOTS_MAX ? SLOTS_MAX : n;
}

static enum mio_code parse_id(struct mio_str id, struct local_compute *c, struct mio_err *err)
{
    if (local_id_split(id, &c->ws, &c->name) && local_name_ok(c->ws) && local_name_ok(c->name))
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" names no compute", MIO_FMT(id));
    return mio_err_hint(err, "Write WORKSPACE/NAME, such as taxi/cpu.");
}

static struct mio_str id_of(struct local *l, const struct local_compute *c)
{
    return mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(c->ws), MIO_FMT(c->name));
}

/* Do the groups of all slots have these limits? *actual is the first that differs. */
static enum mio_code limits_hold(struct local *l, const struct local_compute *c,
                                 const struct local_limits *want, struct local_limits *actual,
                                 bool *present, bool *hold, struct mio_err *err)
{
    *present = *hold = true;
    for (int64_t i = 0; i < c->slots; i++) {
        if (local_cgroup_get(l, local_compute_group(l, c, i), actual, present, err))
            return err->code;
        if (!*present || actual->cpu_milli != want->cpu_milli || actual->pids != want->pids ||
            actual->memory_bytes / 4096 != want->memory_bytes / 4096) {
            *hold = false;
            return MIO_OK;
        }
    }
    return MIO_OK;
}

static enum mio_code describe(struct local *l, struct local_compute *c, struct mio_value record,
                              struct local_object *out, struct mio_err *err)
{
    struct mio_value attributes = local_get(record, "inputs");
    struct mio_value resources = local_get(attributes, "resources");
    struct mio_str limits = mio_get_str(record, "limits");
    struct local_limits want, actual;
    bool present, hold;
    c->slots = slots_of(attributes);
    if (local_limits_parse(resources, &want, err))
        return err->code;
    if (mio_str_is(limits, "enforced")) {
        if (limits_hold(l, c, &want, &actual, &present, &hold, err))
            return err->code;
        if (!present)
            limits = MIO_STR("not_enforced");
        else if (!hold)
            attributes = mio_map_with(l->a, attributes, MIO_STR("resources"),
                                      local_limits_value(l, &actual, resources));
    }
    struct mio_value computed =
        local_map(l->a, "id", mio_string(id_of(l, c)), "limits", mio_string(limits),
                  "provisioning_state", mio_string_z("Succeeded"), NULL);
    out->status = MLOPS_OK;
    out->id = id_of(l, c);
    out->attributes = mio_map_merge(l->a, attributes, computed);
    return MIO_OK;
}

/* Removes groups and lock files from slot `from` on. A slot that is in use is an error. */
static enum mio_code drop_slots(struct local *l, const struct local_compute *c, int64_t from,
                                int64_t to, struct mio_err *err)
{
    for (int64_t i = from; i < to; i++) {
        MIO_AUTO_CLOSE int lock = -1;
        if (!mio_fs_is_dir(mio_arena_z(l->a, mio_path_dir(mio_str_z(record_path(l, c))))))
            break;
        if (local_trylock(l, slot_path(l, c, i), &lock, err))
            return err->code;
        if (lock < 0) {
            mio_fail(err, MIO_REALITY, "a job is running on slot %jd of compute %.*s", (intmax_t)i,
                     MIO_FMT(c->name));
            return mio_err_hint(err, "Wait until it ends, or stop it, and apply again.");
        }
        if (local_cgroup_remove(l, local_compute_group(l, c, i), err))
            return err->code;
        unlink(slot_path(l, c, i));
    }
    return MIO_OK;
}

/* Writes the record and brings the slots in line. `before` is how many slots there were. */
static enum mio_code settle(struct local *l, struct local_compute *c, struct mio_str key,
                            int64_t before, struct mio_value inputs, struct local_object *out,
                            struct mio_err *err)
{
    struct local_limits want;
    bool limited = false, enforced = true;
    c->slots = slots_of(inputs);
    if (local_limits_parse(local_get(inputs, "resources"), &want, err) ||
        drop_slots(l, c, c->slots, before, err))
        return err->code;
    limited = want.cpu_milli || want.memory_bytes || want.pids;
    for (int64_t i = 0; i < c->slots && enforced; i++)
        if (local_cgroup_set(l, local_compute_group(l, c, i), &want, &enforced, err))
            return err->code;
    const char *limits = !limited ? "none" : enforced ? "enforced" : "not_enforced";
    struct mio_value record = local_map(l->a, "name", mio_string(c->name), "key", mio_string(key),
                                        "limits", mio_string_z(limits), "inputs", inputs, NULL);
    if (local_record_write(l, record_path(l, c), record, err))
        return err->code;
    return describe(l, c, record, out, err);
}

static void compute_validate(struct local *l, const struct local_change *ch,
                             struct local_findings *f)
{
    struct mio_value in = ch->inputs;
    struct mio_str type = mio_get_str(in, "type");
    struct local_limits lim;
    struct mio_err err = {0};
    int64_t most = mio_get_i64(in, "max_instances", 1), cpus = sysconf(_SC_NPROCESSORS_ONLN);
    (void)l;
    if (type.n && !mio_str_ieq(type, MIO_STR("amlcompute")) &&
        !mio_str_ieq(type, MIO_STR("computeinstance")))
        local_find_error(f, "type", "Leave `type` out, or write `type: amlcompute`.",
                         "provider local has no compute of type %.*s", MIO_FMT(type));
    if (mio_get_i64(in, "min_instances", 0) > most)
        local_find_error(f, "min_instances", NULL, "min_instances is larger than max_instances");
    if (most > SLOTS_MAX)
        local_find_error(f, "max_instances", NULL, "provider local has at most %d slots",
                         SLOTS_MAX);
    else if (most > cpus)
        local_find_warning(f, "max_instances", "Jobs will share the CPUs.",
                           "%jd slots on a machine with %jd CPUs", (intmax_t)most, (intmax_t)cpus);
    if (!mio_has_unknown(local_get(in, "resources")) &&
        local_limits_parse(local_get(in, "resources"), &lim, &err))
        local_find_error(f, "resources", err.hint, "%s", err.message);
}

static enum mio_code compute_plan(struct local *l, const struct local_change *ch,
                                  struct mio_value *answer, struct mio_err *err)
{
    struct mio_str name = mio_get_str(ch->inputs, "name");
    struct local_limits want;
    struct mio_value resources = local_get(ch->inputs, "resources");
    struct mio_value computed = mio_map(NULL, 0);
    if (ch->workspace.n && name.n) {
        struct local_compute c = {ch->workspace, name, 0};
        computed = local_map(l->a, "id", mio_string(id_of(l, &c)), NULL);
    }
    if (!mio_has_unknown(resources)) {
        if (local_limits_parse(resources, &want, err))
            return err->code;
        if (!want.cpu_milli && !want.memory_bytes && !want.pids)
            computed = mio_map_with(l->a, computed, MIO_STR("limits"), mio_string_z("none"));
    }
    *answer = local_map(l->a, "computed", computed, NULL);
    return MIO_OK;
}

static enum mio_code compute_create(struct local *l, const struct local_change *ch,
                                    struct local_object *out, struct mio_err *err)
{
    struct local_compute c = {ch->workspace, mio_get_str(ch->inputs, "name"), 0};
    struct mio_str key = mio_str_z(l->c->idempotency_key);
    struct mio_value record;
    bool found;
    MIO_AUTO_CLOSE int lock = -1;
    if (local_ws_check(l, c.ws, err) || local_name_check(c.name, "a compute", err) ||
        local_lock(
            l,
            local_path(l, "workspaces/%.*s/run/compute-%.*s.lock", MIO_FMT(c.ws), MIO_FMT(c.name)),
            &lock, err) ||
        local_record_read(l, record_path(l, &c), &record, &found, err))
        return err->code;
    if (found && !(key.n && mio_str_eq(mio_get_str(record, "key"), key))) {
        mio_fail(err, MIO_REALITY, "compute \"%.*s\" exists already", MIO_FMT(id_of(l, &c)));
        return mio_err_hint(
            err, "Take it over with `mlops-iac import %.*s %.*s`, or choose another name.",
            MIO_FMT(ch->address), MIO_FMT(id_of(l, &c)));
    }
    return settle(l, &c, key, 0, ch->inputs, out, err);
}

static enum mio_code compute_update(struct local *l, const struct local_change *ch,
                                    struct local_object *out, struct mio_err *err)
{
    struct local_compute c = {0};
    struct mio_value record = mio_null();
    bool found;
    if (parse_id(ch->id, &c, err) || local_ws_check(l, c.ws, err) ||
        local_record_read(l, record_path(l, &c), &record, &found, err))
        return err->code;
    return settle(l, &c, mio_get_str(record, "key"), slots_of(local_get(record, "inputs")),
                  ch->inputs, out, err);
}

static enum mio_code compute_read(struct local *l, const struct local_read *r,
                                  struct local_object *out, struct mio_err *err)
{
    struct local_compute c = {0};
    struct mio_value record;
    bool found;
    if (parse_id(r->id, &c, err) || local_record_read(l, record_path(l, &c), &record, &found, err))
        return err->code;
    if (found)
        return describe(l, &c, record, out, err);
    out->status = MLOPS_NOT_FOUND;
    return MIO_OK;
}

static enum mio_code compute_remove(struct local *l, const struct local_change *ch,
                                    struct mio_err *err)
{
    struct local_compute c = {0};
    struct mio_value record = mio_null();
    bool found;
    if (parse_id(ch->id, &c, err) || local_record_read(l, record_path(l, &c), &record, &found, err))
        return err->code;
    int64_t slots = found ? slots_of(local_get(record, "inputs")) : SLOTS_MAX;
    if (drop_slots(l, &c, 0, slots, err) ||
        local_remove(l, mio_arena_z(l->a, mio_path_dir(mio_str_z(record_path(l, &c)))),
                     "compute.json", err))
        return err->code;
    rmdir(
        local_path(l, "workspaces/%.*s/compute", MIO_FMT(c.ws))); /* stays when there are others */
    return MIO_OK;
}

static enum mio_code compute_list(struct local *l, struct mio_str ws, struct local_findings *rows,
                                  struct mio_err *err)
{
    const char *dir = local_path(l, "workspaces/%.*s/compute", MIO_FMT(ws));
    struct mio_str *names = NULL;
    size_t n = 0;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct local_compute c = {ws, names[i], 0};
        if (mio_fs_exists(record_path(l, &c)))
            local_list_row(rows, id_of(l, &c), c.name);
    }
    return MIO_OK;
}

/* ---- slots ---- */

enum mio_code local_compute_open(struct local *l, struct mio_str ws, struct mio_str ref,
                                 struct local_compute *out, struct mio_err *err)
{
    struct local_compute c = {.ws = ws, .name = local_ref_name(ref)};
    struct mio_value record;
    struct mio_str in, rest;
    bool found;
    if (local_id_split(ref, &in, &rest))
        c.ws = in;
    if (local_name_check(c.name, "a compute", err) || local_name_check(c.ws, "a workspace", err) ||
        local_record_read(l, record_path(l, &c), &record, &found, err))
        return err->code;
    if (!found) {
        mio_fail(err, MIO_REALITY, "workspace %.*s has no compute \"%.*s\"", MIO_FMT(c.ws),
                 MIO_FMT(c.name));
        return mio_err_hint(err,
                            "Declare it, and refer to it with ${compute.NAME.name}, so that it is "
                            "made first.");
    }
    c.slots = slots_of(local_get(record, "inputs"));
    *out = c;
    return MIO_OK;
}

enum mio_code local_compute_take(struct local *l, const struct local_compute *c, int64_t *slot,
                                 int *fd, struct mio_err *err)
{
    for (int64_t pause = 5, round = 0;; pause = pause < 200 ? pause * 2 : 200, round++) {
        struct mio_arena_mark mark = mio_arena_mark(l->a);
        for (int64_t i = 0; i < c->slots; i++) {
            if (local_trylock(l, slot_path(l, c, i), fd, err))
                return err->code;
            if (*fd >= 0) {
                *slot = i;
                return MIO_OK;
            }
        }
        if (round == 0)
            local_progress(l, -1, "waiting for a free slot of compute %.*s (all %jd in use)",
                           MIO_FMT(c->name), (intmax_t)c->slots);
        if (local_check_stop(l, err))
            return err->code;
        mio_arena_rewind(l->a, mark);
        mio_sleep_ms(pause);
    }
}

const struct local_kind local_compute = {
    .name = "compute",
    .id = "WORKSPACE/NAME",
    .validate = compute_validate,
    .plan = compute_plan,
    .create = compute_create,
    .update = compute_update,
    .remove = compute_remove,
    .read = compute_read,
    .list = compute_list,
};
