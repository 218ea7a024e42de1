/* providers/local/job.c: kind job: a command run once in a sandbox, its folder named by the
 * idempotency key.
 *
 * Out: jobs/NAME-KEY with job.json, the log and the outputs. A run that fails leaves
 * failed/NAME-KEY.log and nothing else, so that what exists is what succeeded. See job.h. */
#include "providers/local/job.h"

#include <errno.h>
#include <unistd.h>

#include "providers/local/environment.h"
#include "providers/sdk/alloc.h"

enum { KEY_CHARS = 10, TAIL_BYTES = 240 };

static const char *record_path(struct local *l, const struct local_job *j)
{
    return mio_arena_printf(l->a, "%s/job.json", j->dir).p;
}

static void set_dir(struct local *l, struct local_job *j, struct mio_str folder)
{
    j->dir = local_path(l, "workspaces/%.*s/jobs/%.*s", MIO_FMT(j->ws), MIO_FMT(folder));
    j->id = mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(j->ws), MIO_FMT(folder));
}

static enum mio_code from_id(struct local *l, struct mio_str id, struct local_job *j,
                             struct mio_err *err)
{
    struct mio_str folder;
    *j = (struct local_job){0};
    if (local_id_split(id, &j->ws, &folder) && local_name_ok(j->ws) &&
        folder.n <= 64 + 1 + KEY_CHARS && mio_str_find(folder, '/') < 0 && folder.p[0] != '.') {
        set_dir(l, j, folder);
        return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "\"%.*s\" names no job", MIO_FMT(id));
    return mio_err_hint(err, "Write WORKSPACE/NAME-KEY, as `mlops-iac state show` gives it.");
}

static enum mio_code from_change(struct local *l, const struct local_change *ch,
                                 struct local_job *j, struct mio_err *err)
{
    struct mio_str key = mio_str_sub(mio_str_z(l->c->idempotency_key), 0, KEY_CHARS);
    *j = (struct local_job){
        .ws = ch->workspace, .name = mio_get_str(ch->inputs, "name"), .key = key};
    if (local_ws_check(l, j->ws, err) || local_name_check(j->name, "a job", err))
        return err->code;
    set_dir(l, j, mio_arena_printf(l->a, "%.*s-%.*s", MIO_FMT(j->name), MIO_FMT(key)));
    return MIO_OK;
}

/* ---- describing ---- */

static struct mio_value output_paths(struct local *l, const struct local_job *j,
                                     struct mio_value inputs)
{
    struct local_job_ios outs = {0};
    struct mio_err ignored = {0};
    local_job_outputs(l, j->dir, local_get(inputs, "outputs"), &outs, &ignored);
    struct mio_pair *pairs = MIO_NEW_N(l->a, struct mio_pair, outs.n + 1);
    for (size_t i = 0; i < outs.n; i++)
        pairs[i] = (struct mio_pair){outs.items[i].name, mio_string_z(outs.items[i].from)};
    return mio_map(pairs, outs.n);
}

/* A job whose outputs are gone is gone: only a new run brings them back. */
static bool outputs_there(struct mio_value paths)
{
    for (uint32_t i = 0; i < paths.n; i++)
        if (!mio_fs_exists(paths.pairs[i].value.s))
            return false;
    return true;
}

static enum mio_code describe(struct local *l, const struct local_job *j, struct local_object *out,
                              struct mio_err *err)
{
    struct mio_value record, status;
    bool found;
    if (local_record_read(l, record_path(l, j), &record, &found, err) ||
        local_job_status(l, j->dir, &status, err))
        return err->code;
    struct mio_value inputs = found ? local_get(record, "inputs") : mio_null();
    struct mio_value paths = output_paths(l, j, inputs);
    bool removing = found && mio_get_bool(record, "removing", false);
    if (!found || (!removing && (mio_is_null(status) || !outputs_there(paths)))) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    const char *log = mio_arena_printf(l->a, "%s/std_log.txt", j->dir).p;
    struct mio_value computed = local_map(
        l->a, "id", mio_string(j->id), "status",
        removing ? mio_string_z("Deleting") : local_get(status, "state"), "output_paths", paths,
        "log_path", mio_string_z(log), "started_at", local_get(status, "started_at"), "finished_at",
        local_get(status, "finished_at"), NULL);
    out->status = MLOPS_OK;
    out->id = j->id;
    out->attributes = mio_map_merge(l->a, inputs, computed);
    return MIO_OK;
}

/* ---- verbs ---- */

/* Stands for what validate and plan cannot resolve yet: names are enough to check the command. */
static void names_of(struct local *l, struct mio_value map, struct local_job_ios *out)
{
    for (uint32_t i = 0; map.type == MIO_MAP && i < map.n; i++)
        MIO_PUSH(l->a, out->items, out->n, out->cap) =
            (struct local_job_io){.name = map.pairs[i].key, .text = MIO_STR("x")};
}

static void check_command(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    struct mio_value command = local_get(ch->inputs, "command");
    struct local_job_ios ins = {0}, outs = {0};
    struct mio_err err = {0};
    struct mio_str text = mio_value_str(command);
    if (command.type == MIO_UNKNOWN)
        return;
    if (!text.n) {
        local_find_error(f, "command", NULL, "a job needs a command");
        return;
    }
    names_of(l, local_get(ch->inputs, "inputs"), &ins);
    names_of(l, local_get(ch->inputs, "outputs"), &outs);
    /* What is unknown yet may have been left out by the caller. */
    bool blind = (!ins.n && memmem(text.p, text.n, "inputs.", 7)) ||
                 (!outs.n && memmem(text.p, text.n, "outputs.", 8));
    if (!blind && local_job_command(l, mio_value_str(command), &ins, &outs, &text, &err))
        local_find_error(f, "command", err.hint, "%s", err.message);
}

static bool is_given(struct mio_value v)
{
    return v.type != MIO_NULL && v.type != MIO_UNKNOWN;
}

static void job_validate(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    static const char *const refused[] = {"jobs", "component", "distribution"};
    struct mio_str type = mio_get_str(ch->inputs, "type"), code = mio_get_str(ch->inputs, "code");
    if (type.n && !mio_str_ieq(type, MIO_STR("command"))) {
        local_find_error(f, "type", "Write `type: command`.", "provider local runs no %.*s jobs",
                         MIO_FMT(type));
        return;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (is_given(local_get(ch->inputs, refused[i])))
            local_find_error(f, refused[i], "Run the command on this machine, without it.",
                             "provider local cannot use %s", refused[i]);
    if (code.n && ch->base_dir.n && !mio_fs_exists(local_abs(l, ch, code)))
        local_find_error(f, "code", "Paths are relative to the folder of the template.",
                         "%s does not exist", local_abs(l, ch, code));
    check_command(l, ch, f);
}

static void job_preflight(struct local *l, struct mio_value change, struct local_findings *f)
{
    struct mio_str action = mio_get_str(change, "action");
    if (!mio_str_is(action, "create") && !mio_str_is(action, "replace"))
        return;
    const char *runner = local_support(l, "mlops-iac-runner");
    if (access(runner, X_OK) != 0)
        local_find_error(f, "", "Install mlops-iac again.", "%s is missing", runner);
}

static enum mio_code failed(struct local *l, const struct local_job *j, struct mio_value status,
                            struct mio_err *err)
{
    const char *log = mio_arena_printf(l->a, "%s/std_log.txt", j->dir).p;
    const char *kept = local_path(l, "workspaces/%.*s/failed/%.*s-%.*s.log", MIO_FMT(j->ws),
                                  MIO_FMT(j->name), MIO_FMT(j->key));
    struct mio_str tail = local_job_tail(l, log, TAIL_BYTES), state = mio_get_str(status, "state");
    int64_t code = mio_get_i64(status, "exit_code", 0), sig = mio_get_i64(status, "signal", 0);
    struct mio_err ignored = {0};
    mio_fs_mkdirs(mio_arena_z(l->a, mio_path_dir(mio_str_z(kept))), 0700, &ignored);
    if (rename(log, kept) != 0)
        kept = log;
    if (mio_str_is(state, "TimedOut"))
        mio_fail(err, MIO_REALITY, "the job was stopped: it took longer than limits.timeout");
    else if (sig == 9)
        mio_fail(err, MIO_REALITY,
                 "the job was killed (signal 9), which is what happens when it needs "
                 "more memory than its compute gives");
    else if (sig)
        mio_fail(err, MIO_REALITY, "the job was ended by signal %jd", (intmax_t)sig);
    else
        mio_fail(err, MIO_REALITY, "the command ended with exit status %jd", (intmax_t)code);
    mio_err_cause(err, "%.*s", MIO_FMT(tail));
    return mio_err_hint(err, "The whole log is in %s", kept);
}

static enum mio_code check_outputs(struct local *l, const struct local_job *j,
                                   struct mio_value inputs, struct mio_err *err)
{
    struct local_job_ios outs = {0};
    if (local_job_outputs(l, j->dir, local_get(inputs, "outputs"), &outs, err))
        return err->code;
    for (size_t i = 0; i < outs.n; i++)
        if (!mio_fs_exists(outs.items[i].from)) {
            mio_fail(err, MIO_REALITY, "the job ended well but wrote no output \"%.*s\"",
                     MIO_FMT(outs.items[i].name));
            return mio_err_hint(err, "Let the command write ${{outputs.%.*s}}.",
                                MIO_FMT(outs.items[i].name));
        }
    return MIO_OK;
}

static enum mio_code job_create(struct local *l, const struct local_change *ch,
                                struct local_object *out, struct mio_err *err)
{
    struct local_job j;
    struct mio_value status = mio_null();
    if (from_change(l, ch, &j, err))
        return err->code;
    struct mio_value record =
        local_map(l->a, "name", mio_string(j.name), "key", mio_string_z(l->c->idempotency_key),
                  "inputs", ch->inputs, NULL);
    if (local_record_write(l, record_path(l, &j), record, err))
        return err->code;
    if (!local_job_run(l, ch, &j, &status, err) &&
        !mio_str_is(mio_get_str(status, "state"), "Completed"))
        failed(l, &j, status, err);
    if (!err->code && !check_outputs(l, &j, ch->inputs, err))
        return describe(l, &j, out, err);
    struct mio_err ignored = {0};
    mio_fs_remove_tree(j.dir, &ignored);
    rmdir(local_path(l, "workspaces/%.*s/jobs", MIO_FMT(j.ws)));
    return err->code;
}

/* Only what does not touch the run can change: tags, description, display name, timeout. */
static enum mio_code job_update(struct local *l, const struct local_change *ch,
                                struct local_object *out, struct mio_err *err)
{
    struct local_job j;
    struct mio_value record;
    bool found;
    if (from_id(l, ch->id, &j, err) ||
        local_record_read(l, record_path(l, &j), &record, &found, err))
        return err->code;
    if (!found)
        return mio_fail(err, MIO_REALITY, "job %.*s is gone", MIO_FMT(j.id));
    record = mio_map_with(l->a, record, MIO_STR("inputs"), ch->inputs);
    if (local_record_write(l, record_path(l, &j), record, err))
        return err->code;
    return describe(l, &j, out, err);
}

static enum mio_code job_remove(struct local *l, const struct local_change *ch, struct mio_err *err)
{
    struct local_job j;
    struct mio_value record;
    bool found;
    if (from_id(l, ch->id, &j, err) || local_job_stop(l, j.dir, err) ||
        local_record_read(l, record_path(l, &j), &record, &found, err))
        return err->code;
    if (found) /* without its outputs it would count as gone */
        record = mio_map_with(l->a, record, MIO_STR("removing"), mio_bool(true));
    if ((found && local_record_write(l, record_path(l, &j), record, err)) ||
        local_remove(l, j.dir, "job.json", err))
        return err->code;
    rmdir(local_path(l, "workspaces/%.*s/jobs", MIO_FMT(j.ws))); /* stays when there are others */
    return MIO_OK;
}

static enum mio_code job_read(struct local *l, const struct local_read *r, struct local_object *out,
                              struct mio_err *err)
{
    struct local_job j;
    if (from_id(l, r->id, &j, err) || describe(l, &j, out, err) || out->status != MLOPS_OK)
        return err->code;
    out->fingerprint = mio_arena_printf(
        l->a, "%.*s-%.*s", MIO_FMT(local_stamp(l, record_path(l, &j))),
        MIO_FMT(local_stamp(l, mio_arena_printf(l->a, "%s/status.json", j.dir).p)));
    if (!r->full && mio_str_eq(r->fingerprint, out->fingerprint))
        out->status = MLOPS_UNCHANGED;
    return MIO_OK;
}

static enum mio_code job_list(struct local *l, struct mio_str ws, struct local_findings *rows,
                              struct mio_err *err)
{
    const char *dir = local_path(l, "workspaces/%.*s/jobs", MIO_FMT(ws));
    struct mio_str *names = NULL;
    size_t n = 0;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct local_job j = {.ws = ws};
        set_dir(l, &j, names[i]);
        if (mio_fs_exists(record_path(l, &j)))
            local_list_row(rows, j.id, names[i]);
    }
    return MIO_OK;
}

const struct local_kind local_job = {
    .name = "job",
    .id = "WORKSPACE/NAME-KEY",
    .validate = job_validate,
    .create = job_create,
    .update = job_update,
    .remove = job_remove,
    .read = job_read,
    .list = job_list,
    .preflight = job_preflight,
};
