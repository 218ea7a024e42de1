/* providers/local/asset.c: the verbs of assets that hold a file or a folder. See asset.h. */
#include "providers/local/asset.h"

#include <errno.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"

/* What a change wants of its asset. */
struct wish {
    struct local_version v; /* version: as given, "" when the next free one is meant */
    const char *source;     /* absolute path; "" when the path is not known yet */
    struct mio_str digest;  /* of the source; "" when not known yet */
    bool version_unknown;
};

static bool is_unknown(struct mio_value inputs, const char *key)
{
    return local_get(inputs, key).type == MIO_UNKNOWN;
}

/* "scheme://..." cannot be read by this provider. */
static bool is_remote(struct mio_str path)
{
    for (size_t i = 0; i + 2 < path.n; i++)
        if (path.p[i] == ':' && path.p[i + 1] == '/' && path.p[i + 2] == '/')
            return true;
    return mio_str_starts(path, "azureml:") || mio_str_starts(path, "runs:");
}

static enum mio_code wish_digest(struct local *l, const struct local_change *ch, struct wish *w,
                                 struct mio_err *err)
{
    struct mio_str planned = mio_get_str(ch->content, "path");
    if (planned.n) {
        w->digest = planned;
        return MIO_OK;
    }
    return mio_digest_path(l->a, w->source, &w->digest, err);
}

static enum mio_code parse_wish(struct local *l, const char *kind, const struct local_change *ch,
                                struct wish *w, struct mio_err *err)
{
    struct mio_str path = mio_get_str(ch->inputs, "path");
    *w = (struct wish){.v = {ch->workspace, mio_str_z(kind), mio_get_str(ch->inputs, "name"),
                             mio_get_str(ch->inputs, "version")},
                       .source = ""};
    w->version_unknown = is_unknown(ch->inputs, "version");
    if (local_name_check(w->v.name, "an asset", err) ||
        (w->v.version.n && local_name_check(w->v.version, "a version", err)))
        return err->code;
    if (!path.n)
        return MIO_OK;
    if (is_remote(path)) {
        mio_fail(err, MIO_TEMPLATE, "provider local cannot read %.*s", MIO_FMT(path));
        return mio_err_hint(err, "Give a file or folder of this machine.");
    }
    w->source = local_abs(l, ch, path);
    return wish_digest(l, ch, w, err);
}

static enum mio_code version_taken(struct local *l, const struct wish *w, struct mio_err *err)
{
    struct mio_str next;
    if (local_version_next(l, &w->v, &next, err))
        return err->code;
    mio_fail(err, MIO_TEMPLATE, "%.*s \"%.*s\" version %.*s exists with another content",
             MIO_FMT(w->v.kind), MIO_FMT(w->v.name), MIO_FMT(w->v.version));
    return mio_err_hint(err,
                        "Assets are immutable: write `version: \"%.*s\"`, or leave `version` out "
                        "and get the next free one.",
                        MIO_FMT(next));
}

static struct mio_str entry_of(struct local *l, const char *source)
{
    return mio_path_base(mio_path_join(l->a, MIO_STR("/"), mio_str_z(source)));
}

/* A file's or folder's own name is part of what others find below stored_path. */
static bool same_content(struct local *l, const struct wish *w, struct mio_value record)
{
    return mio_str_eq(w->digest, mio_get_str(record, "content_digest")) &&
           mio_str_eq(entry_of(l, w->source), mio_get_str(record, "entry"));
}

/* The version that this wish ends in: current (nothing of the content changes), the one given, or
 * the next free. current is "" for a create. */
static enum mio_code decide_version(struct local *l, const struct wish *w, struct mio_str current,
                                    struct mio_value record, struct mio_str *version,
                                    struct mio_err *err)
{
    bool same = current.n && same_content(l, w, record), there = false;
    if (same && (!w->v.version.n || mio_str_eq(w->v.version, current))) {
        *version = current;
        return MIO_OK;
    }
    if (!w->v.version.n)
        return local_version_next(l, &w->v, version, err);
    if (local_record_read(l, local_version_record(l, &w->v), &record, &there, err))
        return err->code;
    if (there && !same_content(l, w, record))
        return version_taken(l, w, err);
    *version = w->v.version;
    return MIO_OK;
}

/* The stored thing itself: content/ENTRY. */
static struct mio_str stored_path(struct local *l, const struct local_version *v,
                                  struct mio_str entry)
{
    return mio_arena_printf(l->a, "%s/content/%.*s", local_version_dir(l, v), MIO_FMT(entry));
}

static struct mio_value unknown_list(struct mio_arena *a, const char *const *names, size_t n)
{
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, n);
    for (size_t i = 0; i < n; i++)
        items[i] = mio_string_z(names[i]);
    return mio_list(items, n);
}

/* The digest that the newest record of the object bears, not what was read back. */
static enum mio_code recorded(struct local *l, const char *kind, const struct local_change *ch,
                              struct local_version *v, struct mio_value *record,
                              struct mio_err *err)
{
    bool found;
    *record = mio_map(NULL, 0);
    if (local_version_parse(l, kind, ch->id, v, err) ||
        local_record_read(l, local_version_record(l, v), record, &found, err))
        return err->code;
    if (found)
        return MIO_OK;
    mio_fail(err, MIO_REALITY, "%s %.*s is gone", kind, MIO_FMT(ch->id));
    return mio_err_hint(err, "Plan again: it will be made anew.");
}

enum mio_code local_asset_plan(struct local *l, const char *kind, const struct local_change *ch,
                               struct mio_value *answer, struct mio_err *err)
{
    static const char *const all[] = {"id", "version", "content_digest", "stored_path"};
    static const char *const contents[] = {"content_digest", "stored_path"};
    struct mio_arena *a = l->a;
    struct wish w;
    struct local_version cur = {0};
    struct mio_value record = mio_null();
    if (!ch->workspace.n || is_unknown(ch->inputs, "name") || is_unknown(ch->inputs, "workspace"))
        return MIO_OK; /* nothing can be said yet */
    if (parse_wish(l, kind, ch, &w, err) || (ch->id.n && recorded(l, kind, ch, &cur, &record, err)))
        return err->code;
    bool blind = !w.source[0];
    if (w.version_unknown || (blind && cur.version.n)) {
        *answer = local_map(a, "unknown", unknown_list(a, all, 4), NULL);
        return MIO_OK;
    }
    struct local_version v = w.v;
    if (!blind && decide_version(l, &w, cur.version, record, &v.version, err))
        return err->code;
    if (!v.version.n && local_version_next(l, &v, &v.version, err))
        return err->code;
    struct mio_value known = local_map(a, "id", mio_string(local_version_id(l, &v)), "version",
                                       mio_string(v.version), NULL);
    if (blind) {
        *answer = local_map(a, "computed", known, "unknown", unknown_list(a, contents, 2), NULL);
        return MIO_OK;
    }
    known = mio_map_with(a, known, MIO_STR("content_digest"), mio_string(w.digest));
    known = mio_map_with(a, known, MIO_STR("stored_path"),
                         mio_string(stored_path(l, &v, entry_of(l, w.source))));
    *answer = local_map(a, "computed", known, NULL);
    if (cur.version.n && !mio_str_eq(v.version, cur.version)) {
        struct mio_value *why = MIO_NEW(a, struct mio_value);
        *why = local_map(a, "path", mio_string_z("stored_path"), NULL);
        *answer = mio_map_with(a, *answer, MIO_STR("replace"), mio_list(why, 1));
    }
    return MIO_OK;
}

/* ---- writing ---- */

static void describe(struct local *l, const struct local_version *v, struct mio_value record,
                     struct mio_str digest, struct local_object *out)
{
    struct mio_value inputs = local_get(record, "inputs");
    struct mio_value computed =
        local_map(l->a, "id", mio_string(local_version_id(l, v)), "version", mio_string(v->version),
                  "content_digest", mio_string(digest), "stored_path",
                  mio_string(stored_path(l, v, mio_get_str(record, "entry"))), NULL);
    out->status = MLOPS_OK;
    out->id = local_version_id(l, v);
    out->attributes = mio_map_merge(l->a, inputs, computed);
}

static enum mio_code fingerprint(struct local *l, const struct local_version *v,
                                 struct mio_str *out, struct mio_err *err)
{
    struct mio_str stamp;
    const char *content = mio_arena_printf(l->a, "%s/content", local_version_dir(l, v)).p;
    if (local_store_stamp(l, content, &stamp, err))
        return err->code;
    *out = mio_arena_printf(l->a, "%.*s-%.*s", MIO_FMT(stamp),
                            MIO_FMT(local_stamp(l, local_version_record(l, v))));
    return MIO_OK;
}

static enum mio_code fill_staging(struct local *l, const struct local_change *ch,
                                  const struct wish *w, const struct local_version *v,
                                  struct mio_str supersedes, const char *staging,
                                  struct mio_err *err)
{
    const char *content = mio_arena_printf(l->a, "%s/content", staging).p;
    struct mio_str digest;
    if (local_store_ingest(l, v->ws, w->source, content, &digest, err))
        return err->code;
    if (!mio_str_eq(digest, w->digest)) {
        mio_fail(err, MIO_REALITY, "%s changed since it was planned", w->source);
        return mio_err_hint(err, "Plan again.");
    }
    struct mio_value record =
        local_map(l->a, "kind", mio_string(v->kind), "name", mio_string(v->name), "version",
                  mio_string(v->version), "key", mio_string_z(l->c->idempotency_key), "supersedes",
                  mio_string(supersedes), "content_digest", mio_string(digest), "entry",
                  mio_string(entry_of(l, w->source)), "inputs", ch->inputs, NULL);
    return local_record_write(l, mio_arena_printf(l->a, "%s/asset.json", staging).p, record, err);
}

/* Fills a staging folder and renames it to the version's place. A failure leaves nothing. */
static enum mio_code make_version(struct local *l, const struct local_change *ch,
                                  const struct wish *w, const struct local_version *v,
                                  struct mio_str supersedes, struct mio_err *err)
{
    struct local_version staged = *v;
    staged.version = mio_arena_printf(l->a, ".new-%.*s", MIO_FMT(v->version));
    const char *staging = local_version_dir(l, &staged), *dir = local_version_dir(l, v);
    if (mio_fs_remove_tree(staging, err))
        return err->code;
    if (!fill_staging(l, ch, w, v, supersedes, staging, err) && rename(staging, dir) != 0)
        mio_fail_sys(err, errno, "cannot create %s", dir);
    if (!err->code)
        return mio_fs_sync_dir(mio_arena_z(l->a, mio_path_dir(mio_str_z(dir))), err);
    struct mio_err ignored = {0};
    local_version_abandon(l, &staged, &ignored);
    return err->code;
}

static enum mio_code read_back(struct local *l, const struct local_version *v,
                               struct local_object *out, struct mio_err *err)
{
    struct local_read r = {.id = local_version_id(l, v), .full = true};
    return local_asset_read(l, mio_arena_z(l->a, v->kind), &r, out, err);
}

enum mio_code local_asset_create(struct local *l, const char *kind, const struct local_change *ch,
                                 struct local_object *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct wish w;
    bool made;
    if (local_ws_check(l, ch->workspace, err) || parse_wish(l, kind, ch, &w, err))
        return err->code;
    struct local_version v = w.v;
    if (local_version_lock(l, v.ws, &lock, err) || local_version_by_key(l, &v, &made, err))
        return err->code;
    if (made)
        return read_back(l, &v, out, err);
    struct mio_str none = {0};
    if (decide_version(l, &w, none, mio_null(), &v.version, err))
        return err->code;
    if (mio_fs_exists(local_version_record(l, &v))) {
        mio_fail(err, MIO_REALITY, "%s %.*s exists already", kind,
                 MIO_FMT(local_version_id(l, &v)));
        return mio_err_hint(err,
                            "Import it (`mlops-iac import %.*s %.*s`), or give another version.",
                            MIO_FMT(ch->address), MIO_FMT(local_version_id(l, &v)));
    }
    if (make_version(l, ch, &w, &v, none, err))
        return err->code;
    return read_back(l, &v, out, err);
}

/* Puts the recorded content back from the source: the altered files go, good blobs come. */
static enum mio_code repair(struct local *l, const struct wish *w, const struct local_version *v,
                            struct mio_err *err)
{
    const char *dir = local_version_dir(l, v), *fresh = mio_arena_printf(l->a, "%s/.fresh", dir).p;
    const char *content = mio_arena_printf(l->a, "%s/content", dir).p;
    const char *fresh_content = mio_arena_printf(l->a, "%s/content", fresh).p;
    struct mio_str digest;
    if (mio_fs_remove_tree(fresh, err) ||
        local_store_ingest(l, v->ws, w->source, fresh_content, &digest, err) ||
        mio_fs_remove_tree(content, err))
        return err->code;
    if (rename(fresh_content, content) != 0 ||
        rename(mio_arena_printf(l->a, "%s/blobs", fresh).p,
               mio_arena_printf(l->a, "%s/blobs", dir).p) != 0)
        return mio_fail_sys(err, errno, "cannot put the content of %s back", dir);
    return mio_fs_remove_tree(fresh, err);
}

/* The content as it lies there agrees with the record. */
static bool content_intact(struct local *l, const struct local_version *v, struct mio_value record)
{
    struct mio_err ignored = {0};
    struct mio_str digest, path = stored_path(l, v, mio_get_str(record, "entry"));
    return !mio_digest_path(l->a, path.p, &digest, &ignored) &&
           mio_str_eq(digest, mio_get_str(record, "content_digest"));
}

enum mio_code local_asset_update(struct local *l, const char *kind, const struct local_change *ch,
                                 struct local_object *out, struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct local_version cur, v;
    struct mio_value record;
    struct wish w;
    bool made;
    if (recorded(l, kind, ch, &cur, &record, err) || parse_wish(l, kind, ch, &w, err) ||
        local_version_lock(l, cur.ws, &lock, err))
        return err->code;
    v = cur;
    if (local_version_by_key(l, &v, &made, err))
        return err->code;
    if (made && !mio_str_eq(v.version, cur.version))
        return read_back(l, &v, out, err);
    v = cur;
    w.v.ws = cur.ws;
    if (decide_version(l, &w, cur.version, record, &v.version, err))
        return err->code;
    if (!mio_str_eq(v.version, cur.version)) {
        if (mio_fs_exists(local_version_record(l, &v)))
            return version_taken(l, &w, err);
        if (make_version(l, ch, &w, &v, cur.version, err))
            return err->code;
        return read_back(l, &v, out, err);
    }
    if (!content_intact(l, &cur, record) && repair(l, &w, &cur, err))
        return err->code;
    record = mio_map_with(l->a, record, MIO_STR("inputs"), ch->inputs);
    if (local_record_write(l, local_version_record(l, &cur), record, err))
        return err->code;
    return read_back(l, &cur, out, err);
}

enum mio_code local_asset_remove(struct local *l, const char *kind, const struct local_change *ch,
                                 struct mio_err *err)
{
    MIO_AUTO_CLOSE int lock = -1;
    struct local_version v;
    if (local_version_parse(l, kind, ch->id, &v, err))
        return err->code;
    if (!mio_fs_is_dir(local_ws_dir(l, v.ws)))
        return MIO_OK;
    if (local_version_lock(l, v.ws, &lock, err))
        return err->code;
    return local_version_remove(l, &v, err);
}

/* ---- reading ---- */

enum mio_code local_asset_read(struct local *l, const char *kind, const struct local_read *r,
                               struct local_object *out, struct mio_err *err)
{
    struct local_version v;
    struct mio_value record;
    struct mio_str print = {0}, digest;
    bool found;
    if (local_version_parse(l, kind, r->id, &v, err) ||
        local_record_read(l, local_version_record(l, &v), &record, &found, err))
        return err->code;
    struct mio_str path = found ? stored_path(l, &v, mio_get_str(record, "entry")) : print;
    if (!found) {
        out->status = MLOPS_NOT_FOUND;
        return MIO_OK;
    }
    bool there = mio_fs_exists(path.p);
    if (there && fingerprint(l, &v, &print, err))
        return err->code;
    if (there && !r->full && print.n && mio_str_eq(print, r->fingerprint)) {
        out->status = MLOPS_UNCHANGED;
        return MIO_OK;
    }
    if (!there)
        digest = MIO_STR("missing");
    else if (mio_digest_path(l->a, path.p, &digest, err))
        return err->code;
    describe(l, &v, record, digest, out);
    /* An altered content gets no fingerprint: it must be looked at again until it is repaired. */
    if (mio_str_eq(digest, mio_get_str(record, "content_digest")))
        out->fingerprint = print;
    return MIO_OK;
}

enum mio_code local_asset_list(struct local *l, const char *kind, struct mio_str ws,
                               struct local_findings *rows, struct mio_err *err)
{
    const char *dir = local_path(l, "workspaces/%.*s/assets/%s", MIO_FMT(ws), kind);
    struct mio_str *names = NULL, *versions;
    size_t n = 0, nversions;
    if (local_names(l, dir, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct local_version v = {ws, mio_str_z(kind), names[i], {0}};
        if (local_version_all(l, &v, &versions, &nversions, err))
            return err->code;
        if (!nversions)
            continue;
        v.version = versions[nversions - 1]; /* it stands for the ones it supersedes */
        if (mio_fs_exists(local_version_record(l, &v)))
            local_list_row(rows, local_version_id(l, &v), v.name);
    }
    return MIO_OK;
}

void local_asset_validate(struct local *l, const struct local_change *ch, struct local_findings *f)
{
    struct mio_str type = mio_get_str(ch->inputs, "type"), path = mio_get_str(ch->inputs, "path");
    if (!path.n)
        return;
    if (is_remote(path)) {
        local_find_error(f, "path", "Give a file or folder of this machine.",
                         "provider local cannot read %.*s", MIO_FMT(path));
        return;
    }
    if (!ch->base_dir.n)
        return;
    const char *abs = local_abs(l, ch, path);
    if (!mio_fs_exists(abs))
        local_find_error(f, "path", "Paths are relative to the folder of the template.",
                         "%s does not exist", abs);
    else if (mio_str_ieq(type, MIO_STR("uri_file")) && mio_fs_is_dir(abs))
        local_find_error(f, "path", "Write `type: uri_folder`.", "%s is a folder, not a file", abs);
    else if ((mio_str_ieq(type, MIO_STR("uri_folder")) || mio_str_ieq(type, MIO_STR("mltable"))) &&
             !mio_fs_is_dir(abs))
        local_find_error(f, "path", "Write `type: uri_file`.", "%s is a file, not a folder", abs);
}
