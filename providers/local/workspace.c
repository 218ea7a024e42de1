/* providers/local/workspace.c: kind workspace: a folder with a record. */
#include <errno.h>
#include <unistd.h>

#include "providers/local/local.h"
#include "providers/sdk/alloc.h"

static const char *record_path(struct local *l, struct mio_str ws)
{
    return local_path(l, "workspaces/%.*s/workspace.json", MIO_FMT(ws));
}

static void describe(struct local *l, struct mio_str ws, struct mio_value record,
                     struct local_object *out)
{
    struct mio_value computed =
        local_map(l->a, "id", mio_string(ws), "storage", mio_string_z(local_ws_dir(l, ws)), NULL);
    out->status = MLOPS_OK;
    out->id = ws;
    out->fingerprint = local_stamp(l, record_path(l, ws));
    out->attributes = mio_map_merge(l->a, local_get(record, "inputs"), computed);
}

static enum mio_code write_record(struct local *l, struct mio_str ws, struct mio_str key,
                                  struct mio_value inputs, struct local_object *out,
                                  struct mio_err *err)
{
    struct mio_value record =
        local_map(l->a, "name", mio_string(ws), "key", mio_string(key), "inputs", inputs, NULL);
    if (local_record_write(l, record_path(l, ws), record, err))
        return err->code;
    describe(l, ws, record, out);
    return MIO_OK;
}

static enum mio_code workspace_plan(struct local *l, const struct local_change *ch,
                                    struct mio_value *answer, struct mio_err *err)
{
    struct mio_str name = mio_get_str(ch->inputs, "name");
    if (!name.n || local_name_check(name, "a workspace", err))
        return err->code;
    *answer = local_map(l->a, "computed",
                        local_map(l->a, "id", mio_string(name), "storage",
                                  mio_string_z(local_ws_dir(l, name)), NULL),
                        NULL);
    return MIO_OK;
}

static enum mio_code workspace_create(struct local *l, const struct local_change *ch,
                                      struct local_object *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct mio_str name = mio_get_str(ch->inputs, "name"), key = mio_str_z(l->c->idempotency_key);
    struct mio_value record;
    bool found;
    if (local_name_check(name, "a workspace", err) ||
        local_lock(l, local_path(l, "workspaces/%.*s/run/workspace.lock", MIO_FMT(name)), &lock,
                   err) ||
        local_record_read(l, record_path(l, name), &record, &found, err))
        return err->code;
    if (!found)
        return write_record(l, name, key, ch->inputs, out, err);
    if (key.n && mio_str_eq(mio_get_str(record, "key"), key)) {
        describe(l, name, record, out);
        return MIO_OK;
    }
    mio_fail(err, MIO_REALITY, "workspace \"%.*s\" exists already in %.*s", MIO_FMT(name),
             MIO_FMT(l->p->root));
    return mio_err_hint(err,
                        "Take it over with `mlops-iac import %.*s %.*s`, or choose another name.",
                        MIO_FMT(ch->address), MIO_FMT(name));
}

static enum mio_code workspace_update(struct local *l, const struct local_change *ch,
                                      struct local_object *out, struct mio_err *err)
{
    struct mio_value record = mio_null();
    bool found;
    if (local_name_check(ch->id, "a workspace", err) ||
        local_record_read(l, record_path(l, ch->id), &record, &found, err))
        return err->code;
    return write_record(l, ch->id, mio_get_str(record, "key"), ch->inputs, out, err);
}

static enum mio_code workspace_read(struct local *l, const struct local_read *r,
                                    struct local_object *out, struct mio_err *err)
{
    struct mio_value record;
    bool found;
    if (local_name_check(r->id, "a workspace", err) ||
        local_record_read(l, record_path(l, r->id), &record, &found, err))
        return err->code;
    if (!found) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    describe(l, r->id, record, out);
    if (!r->full && mio_str_eq(r->fingerprint, out->fingerprint))
        out->status = MLOPS_UNCHANGED;
    return MIO_OK;
}

/* What would be left running, or lost without a word: compute, assets, jobs and endpoints of
 * others. A folder without its record is none of them, but what a killed operation left. */
static enum mio_code check_empty(struct local *l, struct mio_str ws, struct mio_err *err)
{
    const struct local_kind *const kinds[] = {&local_endpoint, &local_compute, &local_data,
                                              &local_model,    &local_job,     &local_environment};
    struct local_findings rows = {.arena = l->a};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i]->list(l, ws, &rows, err))
            return err->code;
        if (rows.n) {
            mio_fail(err, MIO_REALITY, "workspace \"%.*s\" still holds %s %.*s", MIO_FMT(ws),
                     kinds[i]->name, MIO_FMT(mio_get_str(rows.items[0], "id")));
            return mio_err_hint(err,
                                "It is not in this template's state: import it, or remove it where "
                                "it is managed.");
        }
    }
    return MIO_OK;
}

static enum mio_code workspace_remove(struct local *l, const struct local_change *ch,
                                      struct mio_err *err)
{
    if (local_name_check(ch->id, "a workspace", err) || check_empty(l, ch->id, err) ||
        local_remove(l, local_ws_dir(l, ch->id), "workspace.json", err))
        return err->code;
    if (rmdir(local_path(l, "workspaces")) == 0) { /* it stays while another workspace is there */
        unlink(local_path(l, "environments/.lock"));
        rmdir(local_path(l, "environments"));
    }
    rmdir(mio_arena_z(l->a, l->p->root));
    return MIO_OK;
}

static enum mio_code workspace_list(struct local *l, struct mio_str ws, struct local_findings *rows,
                                    struct mio_err *err)
{
    (void)err;
    if (mio_fs_exists(record_path(l, ws)))
        local_list_row(rows, ws, ws);
    return MIO_OK;
}

/* The folder that will hold everything can be written. */
static void preflight(struct local *l, struct mio_value change, struct local_findings *f)
{
    const char *at = mio_arena_z(l->a, l->p->root);
    if (!mio_str_is(mio_get_str(change, "action"), "create"))
        return;
    while (!mio_fs_exists(at) && strcmp(at, "/") != 0)
        at = mio_arena_z(l->a, mio_path_dir(mio_str_z(at)));
    if (access(at, W_OK | X_OK) != 0)
        local_find_error(f, "", "Give another `root:` in the settings of provider local.",
                         "%s cannot be written: %s", at, strerror(errno));
}

const struct local_kind local_workspace = {
    .name = "workspace",
    .id = "NAME",
    .plan = workspace_plan,
    .create = workspace_create,
    .update = workspace_update,
    .remove = workspace_remove,
    .read = workspace_read,
    .list = workspace_list,
    .preflight = preflight,
};
