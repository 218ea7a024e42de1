/* planner/run/place.c: where the state is kept: backend, sealing, and the note that `init` leaves
 * of them, so that a changed backend is not taken for an empty state. See engine.h.
 *
 * The note is backend.json in the state folder: {"block": {...}, "config": {...}}, without secrets.
 * Absent: the state folder itself is the place. */
#include "planner/run/internal.h"
#include "planner/run/review.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "state/fsck.h"

#define SEALING_FILE "/etc/mlops-iac/encryption.yaml"
enum { FILE_MAX = 1 << 20 };

/* Settings of a backend; both null: the state folder itself. */
struct place {
    struct mio_value block;  /* `mlops_iac.backend` of the template */
    struct mio_value config; /* what -backend-config put over it */
};

/* ---- what was asked for ---- */

/* Settings without secrets and without those that do not say where the state is. */
static struct mio_value without_secrets(struct mio_arena *a, struct mio_value settings)
{
    struct mio_value out = settings;
    struct mio_str type = mio_get_str(settings, "type");
    for (uint32_t i = 0; settings.type == MIO_MAP && i < settings.n; i++)
        if (mio_backend_secret(type, &settings.pairs[i]) ||
            mio_str_is(settings.pairs[i].key, "durability"))
            out = mio_map_without(a, out, settings.pairs[i].key);
    return out;
}

static enum mio_code literal(struct mio_engine *e, const struct mio_node *n, const char *what,
                             struct mio_value *out)
{
    *out = mio_null();
    if (!n || mio_node_literal(&e->arena, n, out))
        return MIO_OK;
    return mio_diags_error(
        &e->diags, MIO_TEMPLATE, n->pos,
        "They are needed before any expression can be evaluated; -backend-config and the "
        "environment set what differs between runs.",
        "%s takes no expressions", what);
}

static bool is_file(struct mio_value settings)
{
    struct mio_str type = mio_get_str(settings, "type");
    return mio_is_null(settings) || mio_str_is(type, "file") ||
           (settings.type == MIO_MAP && settings.n == 0);
}

static struct mio_value merged(struct mio_arena *a, const struct place *p)
{
    struct mio_value none = mio_map(NULL, 0);
    return mio_map_merge(a, mio_is_null(p->block) ? none : p->block,
                         mio_is_null(p->config) ? none : p->config);
}

/* The template's block; `file` is the same as none. */
static enum mio_code read_block(struct mio_engine *e, struct mio_value *out, struct mio_err *err)
{
    struct mio_str where;
    enum mio_code rc = literal(e, e->tpl->backend, "`backend`", out);
    if (rc || mio_is_null(*out))
        return rc;
    if (mio_backend_check(*out, &where, err)) {
        const struct mio_entry *entry = mio_node_entry(e->tpl->backend, where);
        return mio_err_at(err, entry ? entry->key_pos : e->tpl->backend->pos);
    }
    e->lazy = mio_str_is(mio_get_str(*out, "durability"), "plan");
    if (is_file(*out))
        *out = mio_null();
    return rc;
}

/* How the journal is kept: by the command line, else -backend-config, else the template. */
static void choose_durability(struct mio_engine *e, struct mio_value settings)
{
    struct mio_str chosen =
        e->opts.durability ? mio_str_z(e->opts.durability) : mio_get_str(settings, "durability");
    if (chosen.n)
        e->lazy = mio_str_is(chosen, "plan");
}

/* Secrets are not noted: those of the template serve for the old place, too, when it is of the same
 * type. */
static struct mio_value with_secrets(struct mio_arena *a, struct mio_value old,
                                     struct mio_value now)
{
    struct mio_str type = mio_get_str(now, "type");
    bool fits = mio_str_eq(type, mio_get_str(old, "type"));
    for (uint32_t i = 0; fits && now.type == MIO_MAP && i < now.n; i++)
        if (mio_backend_secret(type, &now.pairs[i]) && !mio_get(old, now.pairs[i].key))
            old = mio_map_with(a, old, now.pairs[i].key, now.pairs[i].value);
    return old;
}

/* ---- the note ---- */

static const char *note_path(struct mio_engine *e)
{
    return mio_arena_printf(&e->arena, "%.*s/backend.json", MIO_FMT(e->state_dir)).p;
}

static enum mio_code read_note(struct mio_engine *e, struct place *out, bool *found,
                               struct mio_err *err)
{
    struct mio_str text;
    struct mio_value v;
    *out = (struct place){mio_null(), mio_null()};
    enum mio_code rc = mio_fs_read(&e->arena, note_path(e), FILE_MAX, &text, found, err);
    if (rc || !*found)
        return rc;
    if (mio_json_read(&e->arena, text, NULL, &v, err) || !mio_get_z(v, "block") ||
        !mio_get_z(v, "config")) {
        mio_err_clear(err);
        mio_fail(err, MIO_STATE, "the note of `init` on the backend, %s, is damaged", note_path(e));
        return mio_err_hint(err, "Remove it and run `mlops-iac init -reconfigure`.");
    }
    *out = (struct place){*mio_get_z(v, "block"), *mio_get_z(v, "config")};
    return MIO_OK;
}

static enum mio_code write_note(struct mio_engine *e, const struct place *p, struct mio_err *err)
{
    struct mio_pair pairs[] = {{MIO_STR("block"), without_secrets(&e->arena, p->block)},
                               {MIO_STR("config"), p->config}};
    MIO_AUTO_BUF b = {0};
    mio_json_pretty(&b, mio_map(pairs, 2), MIO_JSON_PLAIN);
    mio_buf_char(&b, '\n');
    enum mio_code rc = mio_fs_mkdirs(e->state_dir.p, 0700, err);
    return rc ? rc : mio_fs_replace(note_path(e), mio_buf_view(&b), 0600, err);
}

static bool same(struct mio_arena *a, const struct place *x, const struct place *y)
{
    return mio_equal(without_secrets(a, merged(a, x)), without_secrets(a, merged(a, y)));
}

/* ---- sealing ---- */

static const char *from_environment(void *arg, const char *name)
{
    struct mio_engine *e = arg;
    return e->opts.env ? e->opts.env(e->opts.arg_env, name) : getenv(name);
}

const char *mio_engine_env(struct mio_engine *e, const char *name)
{
    return from_environment(e, name);
}

/* Settings of this machine; null when the file is not there. */
static enum mio_code read_admin(struct mio_arena *a, struct mio_sources *sources,
                                struct mio_diags *diags, const char *path, struct mio_value *out,
                                struct mio_err *err)
{
    struct mio_str text;
    bool found = false;
    *out = mio_null();
    enum mio_code rc = mio_fs_read(a, path, FILE_MAX, &text, &found, err);
    if (rc || !found)
        return rc;
    MIO_PUSH(a, sources->items, sources->n, sources->cap) =
        (struct mio_source){.path = mio_str_z(path), .text = text};
    const struct mio_node *n = mio_yaml_parse(a, sources, (uint32_t)sources->n, false, diags);
    if (!n || !mio_node_literal(a, n, out))
        return mio_fail(err, MIO_USAGE, "%s cannot be read", path);
    if (out->type != MIO_MAP) /* a slip must not open what was meant to be closed */
        return mio_fail(err, MIO_USAGE, "%s is %s, and no map of settings", path,
                        mio_is_null(*out) ? "empty" : mio_type_name((enum mio_type)out->type));
    return MIO_OK;
}

enum mio_code mio_engine_admin(struct mio_engine *e, const char *path, struct mio_value *out,
                               struct mio_err *err)
{
    return read_admin(&e->arena, &e->sources, &e->diags, path, out, err);
}

static enum mio_code seal_settings(struct mio_arena *a, const struct mio_plan_source *p,
                                   bool accept_clear, struct mio_sources *sources,
                                   struct mio_diags *diags, struct mio_seal_opts *out, bool *wanted,
                                   struct mio_err *err)
{
    struct mio_seal_from from = {.block = mio_null(),
                                 .dir = p->dir,
                                 .lookup = p->lookup,
                                 .arg = p->arg,
                                 .accept_clear = accept_clear};
    enum mio_code rc = MIO_OK;
    if (p->encryption && !mio_node_literal(a, p->encryption, &from.block))
        rc = mio_err_at(err, p->encryption->pos);
    rc = rc ? rc : read_admin(a, sources, diags, SEALING_FILE, &from.admin, err);
    return rc ? rc : mio_seal_settings(a, &from, out, wanted, err);
}

enum mio_code mio_sealing_of(struct mio_arena *a, const struct mio_plan_source *from,
                             struct mio_sources *sources, struct mio_diags *diags,
                             struct mio_seal_opts *out, bool *wanted, struct mio_err *err)
{
    return seal_settings(a, from, false, sources, diags, out, wanted, err);
}

static enum mio_code settle_sealing(struct mio_engine *e, struct mio_err *err)
{
    struct mio_plan_source from = {e->tpl->encryption, e->tpl->dir, from_environment, e};
    struct mio_value ignored;
    if (e->seal_known)
        return MIO_OK;
    enum mio_code rc = literal(e, e->tpl->encryption, "`encryption`", &ignored);
    rc = rc ? rc
            : seal_settings(&e->arena, &from, e->opts.accept_clear, &e->sources, &e->diags,
                            &e->seal, &e->sealing, err);
    e->seal_known = rc == MIO_OK;
    return rc;
}

enum mio_code mio_engine_sealer(struct mio_engine *e, struct mio_sealer **out, struct mio_err *err)
{
    enum mio_code rc = settle_sealing(e, err);
    if (rc == MIO_OK && e->sealing && !e->store && !e->sealer)
        rc = mio_sealer_open(&e->seal, &e->sealer, err);
    *out = rc ? NULL : e->store ? mio_store_sealer(e->store) : e->sealer;
    return rc;
}

/* ---- opening ---- */

/* What a remote backend keeps on this machine has a folder of its own for each place. */
static const char *local_folder(struct mio_engine *e, struct mio_value settings)
{
    enum { DIGITS = 12 };
    MIO_AUTO_BUF b = {0};
    uint8_t digest[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    if (is_file(settings))
        return e->state_dir.p;
    mio_json_write(&b, without_secrets(&e->arena, settings), MIO_JSON_PLAIN);
    mio_sha256_of(b.p, b.n, digest);
    mio_hex(digest, sizeof digest, hex);
    return mio_arena_printf(&e->arena, "%.*s/%.*s-%.*s", MIO_FMT(e->state_dir),
                            MIO_FMT(mio_get_str(settings, "type")), DIGITS, hex)
        .p;
}

static enum mio_code open_place(struct mio_engine *e, struct mio_value settings, bool create,
                                struct mio_store **out, struct mio_err *err)
{
    struct mio_arena *a = &e->arena;
    enum mio_code rc = settle_sealing(e, err);
    if (rc)
        return rc;
    struct mio_store_opts o = {
        .dir = local_folder(e, settings),
        .stage = e->tpl->stage,
        .create = create,
        .backend =
            is_file(settings) ? mio_null() : mio_backend_settings(a, settings, from_environment, e),
        .backend_dir = mio_arena_printf(a, "%s/../lib/mlops-iac/backends", e->opts.program_dir).p,
        .seal = e->sealing ? &e->seal : NULL,
        .seen_dir = e->opts.seen_dir,
        .accept_rollback = e->opts.accept_rollback};
    return mio_store_open(&o, out, err);
}

/* The template's backend as `init` left it. */
static enum mio_code settled(struct mio_engine *e, struct mio_value *settings, struct mio_err *err)
{
    struct place note, now = {mio_null(), mio_null()};
    bool found = false;
    *settings = mio_null();
    if (e->opts.temp_dir) /* tests keep to their temporary folder */
        return MIO_OK;
    enum mio_code rc = read_block(e, &now.block, err);
    rc = rc ? rc : read_note(e, &note, &found, err);
    if (rc)
        return rc;
    now.config = note.config;
    bool fits = found ? mio_equal(without_secrets(&e->arena, now.block), note.block)
                      : mio_is_null(now.block);
    if (!fits) {
        mio_fail(err, MIO_USAGE,
                 found ? "the backend of the template is not the one that `init` was run for"
                       : "the backend of the template has not been initialised here");
        mio_err_hint(
            err,
            found
                ? "Run `mlops-iac init -migrate-state` to move the state to it, or `mlops-iac init "
                  "-reconfigure` to use what is there."
                : "Run `mlops-iac init`.");
        return e->tpl->backend ? mio_err_at(err, e->tpl->backend->pos) : err->code;
    }
    *settings = found ? merged(&e->arena, &now) : mio_null();
    return MIO_OK;
}

/* Into diags, unless it is there already. */
static enum mio_code tell(struct mio_engine *e, enum mio_code rc, const struct mio_err *err)
{
    return rc && err->code ? mio_engine_fail(e, err) : rc;
}

enum mio_code mio_engine_store_open(struct mio_engine *e)
{
    struct mio_err err = {0};
    struct mio_value settings;
    if (e->store)
        return MIO_OK;
    enum mio_code rc = settled(e, &settings, &err);
    choose_durability(e, settings);
    rc = rc ? rc : open_place(e, settings, e->opts.durable_folder, &e->store, &err);
    e->remote = !is_file(settings);
    return tell(e, rc, &err);
}

/* The other stage's own note of `init` counts; where this machine has none, the same backend. */
enum mio_code mio_engine_store_of(struct mio_engine *e, struct mio_str stage,
                                  struct mio_store **out, struct mio_err *err)
{
    struct mio_str own_dir = e->state_dir, own_stage = e->tpl->stage;
    struct mio_value here, there;
    struct mio_err none = {0};
    *out = NULL;
    if (settled(e, &here, err))
        return err->code;
    e->state_dir = mio_path_join(&e->arena, mio_path_dir(own_dir), stage);
    e->tpl->stage = stage;
    if (settled(e, &there, &none))
        there = here;
    enum mio_code rc = open_place(e, there, false, out, err);
    e->state_dir = own_dir;
    e->tpl->stage = own_stage;
    return rc;
}

void mio_engine_store_warn(struct mio_engine *e)
{
    const char *warning = mio_store_warning(e->store);
    if (warning)
        mio_diags_warn(&e->diags, e->tpl->backend ? e->tpl->backend->pos : (struct mio_pos){0},
                       NULL, "%s", warning);
}

bool mio_engine_seals(const struct mio_engine *e)
{
    return e->sealing && !e->seal.write_clear;
}

const char *mio_engine_key(struct mio_engine *e)
{
    return e->sealing ? mio_arena_z(&e->arena, e->seal.keys[0].id) : NULL;
}

/* ---- init ---- */

static enum mio_code read_config(struct mio_engine *e, const struct mio_backend_init *o,
                                 struct mio_value *out, struct mio_err *err)
{
    struct mio_value map = mio_map(NULL, 0);
    for (size_t i = 0; i < o->nconfig; i++) {
        struct mio_str s = mio_str_z(o->config[i]);
        ptrdiff_t eq = mio_str_find(s, '=');
        if (eq <= 0)
            return mio_fail(err, MIO_USAGE, "-backend-config takes KEY=VALUE, not \"%s\"",
                            o->config[i]);
        struct mio_str key = mio_str_sub(s, 0, (size_t)eq),
                       text = mio_str_sub(s, (size_t)eq + 1, s.n);
        bool flag = mio_str_is(text, "true") || mio_str_is(text, "false");
        map = mio_map_with(&e->arena, map, key,
                           flag ? mio_bool(mio_str_is(text, "true")) : mio_string(text));
    }
    *out = map;
    return MIO_OK;
}

/* Command lines are seen by everybody on the machine, and the note is not a place for secrets
 * either. */
static enum mio_code refuse_secrets(struct mio_engine *e, const struct place *p,
                                    struct mio_err *err)
{
    struct mio_str type = mio_get_str(merged(&e->arena, p), "type");
    for (uint32_t i = 0; p->config.type == MIO_MAP && i < p->config.n; i++) {
        if (!mio_backend_secret(type, &p->config.pairs[i]))
            continue;
        mio_fail(err, MIO_USAGE, "the secret `%.*s` does not belong on a command line",
                 MIO_FMT(p->config.pairs[i].key));
        MIO_AUTO_BUF name = {0};
        for (size_t k = 0; k < p->config.pairs[i].key.n; k++)
            mio_buf_char(&name, (char)(p->config.pairs[i].key.p[k] & ~0x20));
        return mio_err_hint(err, "Set MLOPS_IAC_BACKEND_%s in the environment, for every run.",
                            name.p);
    }
    return MIO_OK;
}

static bool was_written(struct mio_engine *e, struct mio_store *s)
{
    struct mio_state state;
    struct mio_err unreadable = {0}; /* something is there then */
    return mio_store_load(s, &e->arena, &state, &unreadable) != MIO_OK || state.serial > 0;
}

static enum mio_code move(struct mio_engine *e, struct mio_value old, struct mio_store *to,
                          bool *moved, struct mio_err *err)
{
    struct mio_store *from = NULL;
    enum mio_code rc = open_place(e, old, true, &from, err);
    rc = rc ? rc : mio_store_lock(from, "init", e->opts.lock_timeout_ms, e->opts.interrupt, err);
    rc = rc ? rc : mio_store_lock(to, "init", e->opts.lock_timeout_ms, e->opts.interrupt, err);
    rc = rc ? rc : mio_store_migrate(from, to, moved, err);
    mio_store_close(from);
    return rc;
}

static enum mio_code refuse_change(struct mio_engine *e, struct mio_value old, struct mio_err *err)
{
    struct mio_str type = is_file(old) ? MIO_STR("file") : mio_get_str(old, "type");
    mio_fail(err, MIO_USAGE,
             "the backend has changed, and the one before it (%.*s) may hold the state",
             MIO_FMT(type));
    mio_err_hint(
        err, "-migrate-state moves the state to the new place; -reconfigure uses what is there.");
    return e->tpl->backend ? mio_err_at(err, e->tpl->backend->pos) : err->code;
}

/* Is there anything behind that must not be forgotten? A folder without a note may never have had a
 * state. */
static bool leaves_state(struct mio_engine *e, struct mio_value old, bool noted)
{
    struct mio_store *s = NULL;
    struct mio_err ignored = {0};
    if (noted || !mio_fs_exists(e->state_dir.p))
        return noted;
    if (open_place(e, old, false, &s, &ignored))
        return true;
    bool written = was_written(e, s);
    mio_store_close(s);
    return written;
}

/* -reconfigure leaves the old place as it is: what nobody manages from here on is worth a word. */
static void warn_left(struct mio_engine *e, struct mio_value old)
{
    struct mio_store *s = NULL;
    struct mio_state state = {0};
    struct mio_jrn_replay journal = {0};
    struct mio_err ignored = {0};
    bool found = false;
    if (open_place(e, old, false, &s, &ignored))
        return;
    if (!mio_store_load(s, &e->arena, &state, &ignored))
        mio_store_journal(s, &e->arena, &state, &journal, &found, &ignored);
    struct mio_str type = is_file(old) ? MIO_STR("file") : mio_get_str(old, "type");
    const char *killed = found && !journal.ended ? " and an apply that was killed, unsettled" : "";
    if (state.nrows || *killed)
        mio_diags_warn(&e->diags, e->tpl->backend ? e->tpl->backend->pos : (struct mio_pos){0},
                       "To manage it again, restore the settings of before and run `mlops-iac init "
                       "-reconfigure`.",
                       "what the backend before it (%.*s) holds is left there: %zu resource%s%s",
                       MIO_FMT(type), state.nrows, state.nrows == 1 ? "" : "s", killed);
    mio_store_close(s);
}

static enum mio_code init_place(struct mio_engine *e, const struct mio_backend_init *o,
                                struct mio_backend_done *done, struct mio_err *err)
{
    struct place note, now;
    bool noted = false;
    struct mio_arena *a = &e->arena;
    enum mio_code rc = read_block(e, &now.block, err);
    rc = rc ? rc : read_note(e, &note, &noted, err);
    rc = rc ? rc : read_config(e, o, &now.config, err);
    if (rc)
        return rc;
    if (o->nconfig == 0 && noted && mio_equal(without_secrets(a, now.block), note.block))
        now.config = note.config; /* said once is enough */
    if ((rc = refuse_secrets(e, &now, err)) != MIO_OK)
        return rc;
    struct mio_value settings = merged(a, &now), old = merged(a, &note);
    bool changed = !same(a, &now, &note);
    old = with_secrets(a, old, settings);
    struct mio_str wrong;
    if ((rc = mio_backend_check(settings, &wrong, err)) != MIO_OK)
        return rc;
    done->type = is_file(settings) ? MIO_STR("file") : mio_get_str(settings, "type");
    if (!is_file(settings) && done->type.n == 0)
        return mio_fail(err, MIO_USAGE, "the backend needs the setting `type`");
    if (changed && !o->migrate && !o->reconfigure && leaves_state(e, old, noted))
        return refuse_change(e, old, err);
    rc = open_place(e, settings, changed && o->migrate, &e->store, err);
    rc = rc ? rc : mio_store_probe(e->store, err);
    if (rc == MIO_OK && changed && o->migrate)
        rc = move(e, old, e->store, &done->moved, err);
    if (rc == MIO_OK && changed && o->reconfigure)
        warn_left(e, old);
    if (rc == MIO_OK &&
        (changed || (noted && !mio_equal(without_secrets(a, now.block), note.block))))
        rc = write_note(e, &now, err);
    e->remote = !is_file(settings);
    done->changed = changed;
    return rc;
}

enum mio_code mio_engine_init_backend(struct mio_engine *e, const struct mio_backend_init *o,
                                      struct mio_backend_done *done)
{
    struct mio_err err = {0};
    *done = (struct mio_backend_done){0};
    enum mio_code rc = init_place(e, o, done, &err);
    if (rc == MIO_OK)
        mio_engine_store_warn(e);
    return tell(e, rc, &err);
}
