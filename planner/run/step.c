/* planner/run/step.c: see step.h. */
#include "planner/run/step.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"

enum { LOOK_MS = 60000 }; /* for looking at one object */

static enum mio_prov_verb verb_of(enum mio_jrn_verb v)
{
    return v == MIO_JRN_CREATE   ? MIO_PROV_CREATE
           : v == MIO_JRN_UPDATE ? MIO_PROV_UPDATE
                                 : MIO_PROV_DELETE;
}

static bool journal_handle(void *arg, struct mio_str handle)
{
    struct mio_work *w = arg;
    struct mio_err err = {0};
    return mio_jrn_handle(w->journal, w->intent.op, handle, &err) == MIO_OK;
}

static void note_progress(void *arg, struct mio_str message, int percent)
{
    struct mio_work *w = arg;
    pthread_mutex_lock(&w->lock);
    snprintf(w->progress, sizeof w->progress, "%.*s", MIO_FMT(message));
    w->percent = percent;
    w->news = true;
    pthread_mutex_unlock(&w->lock);
}

bool mio_work_progress(struct mio_work *w, char text[160], int *percent)
{
    pthread_mutex_lock(&w->lock);
    bool news = w->news;
    w->news = false;
    memcpy(text, w->progress, sizeof w->progress);
    *percent = w->percent;
    pthread_mutex_unlock(&w->lock);
    return news;
}

static void breach(struct mio_work *w, struct mio_str path, const char *what);

/* The attributes that count: what came back, and inputs that the platform does not tell. */
static void keep(struct mio_work *w, const struct mio_object *o)
{
    struct mio_arena *a = &w->arena;
    struct mio_value told = o->attributes.type == MIO_MAP ? o->attributes : mio_map(NULL, 0);
    struct mio_value inputs = w->call.inputs.type == MIO_MAP ? w->call.inputs : mio_map(NULL, 0);
    struct mio_value all = mio_map_merge(a, inputs, told);
    struct mio_value marked = w->wanted.type == MIO_MAP ? w->wanted : w->call.inputs;
    all = mio_carry_texts(a, marked, mio_carry_marks(a, marked, all));
    w->attributes = mio_mark(a, w->kind ? &w->kind->root : NULL, all);
    w->result = w->intent.target;
    w->result.id = o->id.n ? o->id : w->intent.id;
    if (w->intent.verb == MIO_JRN_UPDATE && w->intent.id.n &&
        !mio_str_eq(w->result.id, w->intent.id)) {
        breach(w, MIO_STR("id"),
               "is another one than before"); /* recorded, it would leave an orphan */
        w->result.id = w->intent.id;
    }
    w->result.fingerprint = o->fingerprint;
    w->result.status = MIO_ROW_OK;
    w->result.attributes = w->keeps ? w->attributes : mio_mask(a, w->salt, w->attributes);
    w->done = true;
}

static void breach(struct mio_work *w, struct mio_str path, const char *what)
{
    if (w->err.code)
        return;
    w->breach = true;
    mio_fail(&w->err, MIO_PROVIDER,
             "the plugin \"%.*s\" broke its promise for %.*s: attribute %.*s %s",
             MIO_FMT(w->plugin_name), MIO_FMT(w->intent.address), MIO_FMT(path), what);
    mio_err_hint(&w->err, "The object is recorded as it is. Report this to the author of the "
                          "plugin; the next plan shows "
                          "the difference.");
}

/* Planned known values come back as planned, unknown ones get resolved, nothing else changes. */
static void check_promises(struct mio_work *w)
{
    for (uint32_t i = 0; w->kind && w->planned.type == MIO_MAP && i < w->planned.n; i++) {
        struct mio_str name = w->planned.pairs[i].key;
        struct mio_value want = w->planned.pairs[i].value;
        const struct mio_field *f = mio_field_get(&w->kind->root, name);
        const struct mio_value *got = mio_get(w->attributes, name);
        if (!f || (f->flags & (MLOPS_UNSTABLE | MLOPS_WRITE_ONLY | MLOPS_LATE)) ||
            mio_has_unknown(want) || mio_has_sensitive(want) || mio_is_null(want))
            continue;
        if (!got)
            breach(w, name, "is missing from its answer");
        else if (!mio_same(f, want, *got))
            breach(w, name, "is not what was planned");
    }
}

static void call(struct mio_work *w)
{
    struct mio_object o = {0};
    enum mio_prov_verb verb = verb_of(w->intent.verb);
    mio_provider_change(w->plugin, &w->arena, verb, &w->call, &w->opts, &o, &w->err);
    if (w->err.code)
        return;
    if (verb == MIO_PROV_DELETE)
        w->done = true;
    else
        keep(w, &o);
}

/* ---- outcomes that nobody knows ---- */

static bool lookup(struct mio_work *w, struct mio_object **found, size_t *n)
{
    struct mio_err err = {0};
    struct mio_call_opts o = {.deadline_ms = mio_now_ms() + LOOK_MS, .cancel = w->opts.cancel};
    if (mio_provider_lookup(w->plugin, &w->arena, w->intent.kind, w->intent.key, w->call.inputs, &o,
                            found, n, &err) == MIO_OK)
        return true;
    w->err = err;
    w->open = true;
    return false;
}

/* Is this failure an answer of the platform about the object? One that never got that far (a plugin
 * that does not start, credentials that are refused) says nothing of an earlier attempt. */
static bool is_answer(const struct mio_err *err)
{
    return !err->ambiguous && (err->code == MIO_REALITY || err->code == MIO_TEMPLATE);
}

static void again(struct mio_work *w)
{
    struct mio_err first = w->err;
    mio_err_clear(&w->err);
    if (w->unjournalled && mio_holds_mask(w->call.inputs))
        return; /* the journal holds no secrets: it did not happen, and the next plan does it */
    w->opts.attempt++;
    w->opts.deadline_ms = mio_now_ms() + (w->timeout_ms ? w->timeout_ms : LOOK_MS);
    call(w);
    if (w->err.code && !is_answer(&w->err)) {
        w->open = true;
        w->err = first.code ? first : w->err;
    }
}

/* The oldest stays, the others bear our marker too: sweep them. */
static void keep_first(struct mio_work *w, const struct mio_object *found, size_t n)
{
    mio_err_clear(&w->err);
    keep(w, &found[0]);
    for (size_t i = 1; i < n; i++) {
        struct mio_prov_change c = w->call;
        struct mio_object gone;
        struct mio_err err = {0};
        c.id = found[i].id;
        c.prior = found[i].attributes;
        c.inputs = mio_null();
        mio_provider_change(w->plugin, &w->arena, MIO_PROV_DELETE, &c, &w->opts, &gone, &err);
    }
}

/* Class C: wait until a late commit must have shown itself, then look for the marker. */
static void settle_by_marker(struct mio_work *w)
{
    struct mio_object *found = NULL;
    size_t n = 0;
    if (!w->settled)
        mio_sleep_ms(w->kind ? w->kind->settle_ms : 0);
    if (!lookup(w, &found, &n))
        return;
    if (n == 0)
        again(w);
    else
        keep_first(w, found, n);
}

void mio_work_find(struct mio_work *w)
{
    struct mio_object *found = NULL;
    size_t n = 0;
    if (lookup(w, &found, &n) && n)
        keep_first(w, found, n);
}

/* Class D: only a person can tell. The row says so and blocks the next plan until one has. */
static void give_up(struct mio_work *w)
{
    struct mio_str cause = mio_arena_printf(&w->arena, "%s", w->err.message);
    mio_err_clear(&w->err);
    mio_fail(&w->err, MIO_REALITY, "nobody can say whether %.*s was created",
             MIO_FMT(w->intent.address));
    mio_err_cause(&w->err, "%.*s", MIO_FMT(cause));
    mio_err_hint(&w->err,
                 "Look at the platform. If it exists: mlops-iac import '%.*s' ID. If not: "
                 "mlops-iac state rm "
                 "'%.*s'.",
                 MIO_FMT(w->intent.address), MIO_FMT(w->intent.address));
    w->result = w->intent.target;
    w->result.status = MIO_ROW_UNCONFIRMED;
    w->result.attributes = mio_map(NULL, 0);
    w->done = true;
    w->breach = true;
}

static bool is_here(struct mio_work *w, struct mio_object *o);

static void copy_read(void *arg, size_t index, const struct mio_object *o)
{
    struct mio_work *w = arg;
    (void)index;
    w->attributes = mio_value_copy(&w->arena, o->attributes);
    w->result.fingerprint = mio_arena_str(&w->arena, o->fingerprint);
    w->result.id = mio_arena_str(&w->arena, o->id);
    w->result.status = o->status == MLOPS_NOT_FOUND ? MIO_ROW_TAINTED : MIO_ROW_OK;
}

/* Reads the object the operation was about; false when that cannot be done. */
static bool is_here(struct mio_work *w, struct mio_object *o)
{
    struct mio_read_item item = {.kind = w->intent.kind, .id = w->intent.id, .full = true};
    struct mio_call_opts opts = {.deadline_ms = mio_now_ms() + LOOK_MS, .cancel = w->opts.cancel};
    struct mio_err err = {0};
    w->result.status = MIO_ROW_OK;
    if (mio_provider_read(w->plugin, &item, 1, &opts, copy_read, w, &err)) {
        w->err = err;
        w->open = true;
        return false;
    }
    *o = (struct mio_object){.status =
                                 w->result.status == MIO_ROW_TAINTED ? MLOPS_NOT_FOUND : MLOPS_OK,
                             .id = w->result.id,
                             .fingerprint = w->result.fingerprint,
                             .attributes = w->attributes};
    return true;
}

void mio_work_settle(struct mio_work *w)
{
    struct mio_object o;
    w->open = false;
    if (w->intent.verb == MIO_JRN_FORGET) {
        w->done = true;
        return;
    }
    if (w->intent.verb == MIO_JRN_DELETE) {
        if (is_here(w, &o)) {
            mio_err_clear(&w->err);
            if (o.status == MLOPS_NOT_FOUND)
                w->done = true;
            else
                again(w);
        }
        return;
    }
    if (w->intent.verb == MIO_JRN_UPDATE) {
        again(w); /* an update says what should be: sending it twice does no harm */
        return;
    }
    bool masked = mio_holds_mask(w->call.inputs);
    switch ((enum mlops_create_class)w->intent.create_class) {
    case MLOPS_CREATE_A:
    case MLOPS_CREATE_B:
        if (masked && w->unjournalled) { /* the journal holds no secrets: find it instead of sending
                                            it again */
            struct mio_object *found = NULL;
            size_t n = 0;
            if (lookup(w, &found, &n) && n)
                keep(w, &found[0]);
            break;
        }
        again(w);
        break;
    case MLOPS_CREATE_C:
        settle_by_marker(w);
        break;
    case MLOPS_CREATE_D:
        give_up(w);
        break;
    }
}

static void journal_outcome(struct mio_work *w)
{
    struct mio_err err = {0};
    if (w->open)
        mio_jrn_failed(w->journal, w->intent.op, true, mio_str_z(w->err.message), &err);
    else if (!w->done)
        mio_jrn_failed(w->journal, w->intent.op, false, mio_str_z(w->err.message), &err);
    else
        mio_jrn_done(w->journal, w->intent.op,
                     w->intent.verb == MIO_JRN_DELETE || w->intent.verb == MIO_JRN_FORGET
                         ? NULL
                         : &w->result,
                     false, &err);
    if (err.code && !w->err.code) { /* done, but not on disk: the caller must know */
        w->err = err;
        w->breach = w->done;
    }
}

static void read_data(struct mio_work *w)
{
    if (mio_provider_data(w->plugin, &w->arena, w->kind->name, w->call.inputs, &w->opts,
                          &w->attributes, &w->err) == MIO_OK) {
        w->attributes = mio_mark(&w->arena, &w->kind->root, w->attributes);
        w->done = true;
    }
}

void mio_work_run(struct mio_job *job)
{
    struct mio_work *w = (struct mio_work *)job;
    w->started_ms = mio_now_ms();
    w->opts.on_handle = journal_handle;
    w->opts.on_progress = note_progress;
    w->opts.arg = w;
    if (w->is_read) {
        read_data(w);
    } else if (mio_jrn_intent(w->journal, &w->intent, &w->err) == MIO_OK) {
        if (w->intent.verb == MIO_JRN_FORGET)
            w->done = true;
        else
            call(w);
        if (w->err.code && w->err.ambiguous && w->err.code != MIO_CANCELLED)
            mio_work_settle(w);
        else if (w->err.code && w->err.ambiguous)
            w->open = true;
        if (w->done && !w->breach)
            check_promises(w);
        journal_outcome(w);
    }
    mio_err_address(&w->err, w->intent.address);
    w->ended_ms = mio_now_ms();
}
