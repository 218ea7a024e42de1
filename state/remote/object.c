/* state/remote/object.c: lock, compare-and-swap, journal and history out of get, put-if, delete and
 * list.
 *
 * A put that seems lost is compared with what lies there: an answer that got lost on the way must
 * not look like another writer. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "state/remote/object_impl.h"

enum { GENERATIONS = 8, TIME_DIGITS = 14 };
static const char state_name[] = "state", lock_name[] = "lock", history_name[] = "history.jsonl",
                  generation_prefix[] = "generations/";

/* ---- the place, one call at a time ---- */

enum mio_code mio_ob_get(struct object_backend *b, struct mio_arena *a, const char *name,
                         struct mio_str *text, struct mio_str *tag, bool *found,
                         struct mio_err *err)
{
    *text = *tag = MIO_STR("");
    *found = false;
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->get(b->o, a, name, text, tag, found, err);
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

enum mio_code mio_ob_put(struct object_backend *b, struct mio_arena *a, const char *name,
                         struct mio_str text, const char *if_tag, struct mio_str *tag, bool *lost,
                         struct mio_err *err)
{
    *lost = false;
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->put(b->o, a, name, text, if_tag, tag, lost, err);
    if (rc == MIO_OK &&
        *lost) { /* ours all the same, when only the answer of an earlier attempt got lost */
        struct mio_str there = MIO_STR("");
        bool found = false;
        rc = b->o->get(b->o, a, name, &there, tag, &found, err);
        *lost = !found || !mio_str_eq(there, text);
    }
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

enum mio_code mio_ob_del(struct object_backend *b, const char *name, struct mio_err *err)
{
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->del(b->o, name, err);
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

enum mio_code mio_ob_list(struct object_backend *b, struct mio_arena *a, const char *prefix,
                          struct mio_str **names, size_t *n, struct mio_err *err)
{
    *n = 0;
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->list(b->o, a, prefix, names, n, err);
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

/* ---- lock ---- */

static void id_in(struct mio_arena *a, struct mio_str note, char out[65])
{
    struct mio_value v;
    struct mio_err ignored = {0};
    out[0] = '\0';
    if (note.n && mio_json_read(a, note, NULL, &v, &ignored) == MIO_OK)
        snprintf(out, 65, "%.*s", MIO_FMT(mio_get_str(v, "id")));
}

static enum mio_code ob_lock(struct mio_backend *base, struct mio_str note, struct mio_arena *a,
                             struct mio_str *held, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_str tag;
    char id[65];
    bool lost = false, found;
    *held = MIO_STR("");
    id_in(a, note, id);
    if (b->waited && !b->o->lock) { /* to look costs less than to try, and many may wait */
        enum mio_code looked = mio_ob_get(b, a, lock_name, held, &tag, &found, err);
        if (looked || found)
            return looked ? looked : mio_fail(err, MIO_LOCKED, "the state is locked");
    }
    enum mio_code rc = b->o->lock ? b->o->lock(b->o, a, lock_name, note, id, &lost, err)
                                  : mio_ob_put(b, a, lock_name, note, "", &tag, &lost, err);
    if (rc)
        return rc;
    if (!lost) {
        snprintf(b->lock_id, sizeof b->lock_id, "%s", id);
        b->waited = false;
        return MIO_OK;
    }
    b->waited = true;
    rc = mio_ob_get(b, a, lock_name, held, &tag, &found, err);
    return rc ? rc : mio_fail(err, MIO_LOCKED, "the state is locked");
}

static enum mio_code ob_holder(struct mio_backend *base, struct mio_arena *a, struct mio_str *note,
                               bool *live, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_str tag;
    bool found;
    enum mio_code rc = mio_ob_get(b, a, lock_name, note, &tag, &found, err);
    *live = !rc && found && !b->o->lock; /* the object is the lock, whatever it says */
    return rc;
}

static enum mio_code ob_break(struct mio_backend *base, struct mio_str id, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    (void)id; /* compared by the caller */
    return b->o->break_lock ? b->o->break_lock(b->o, lock_name, err)
                            : mio_ob_del(b, lock_name, err);
}

static void ob_unlock(struct mio_backend *base)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str note;
    struct mio_err ignored = {0};
    char id[65];
    bool live;
    if (b->o->unlock) {
        b->o->unlock(b->o, lock_name);
        b->lock_id[0] = '\0';
        return;
    }
    mio_arena_init(&a);
    if (ob_holder(base, &a, &note, &live, &ignored) == MIO_OK) {
        id_in(&a, note, id);
        if (b->lock_id[0] && strcmp(id, b->lock_id) == 0) /* else it was taken from us */
            (void)mio_ob_del(b, lock_name, &ignored);
    }
    b->lock_id[0] = '\0';
    mio_arena_free(&a);
}

/* ---- state and generations ---- */

static enum mio_code ob_read(struct mio_backend *base, struct mio_arena *a, struct mio_blob *out,
                             struct mio_err *err)
{
    return mio_ob_get((struct object_backend *)base, a, state_name, &out->text, &out->tag,
                      &out->found, err);
}

static uint64_t time_in(struct mio_str name)
{
    uint64_t ms = 0;
    (void)mio_str_u64(mio_str_sub(name, sizeof generation_prefix - 1, TIME_DIGITS), &ms);
    return ms;
}

/* Milliseconds since 1970 by which a generation sorts: behind all that are there, whatever the
 * clocks of those were that wrote them. */
static uint64_t generation_time(const struct mio_str *names, size_t n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    uint64_t last = n ? time_in(names[n - 1]) : 0;
    return now > last ? now : last + 1;
}

/* A copy of what was just written, so that even a state that is damaged later is there a second
 * time. */
static void keep_generation(struct object_backend *b, struct mio_arena *a, struct mio_str text)
{
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1], name[96];
    struct mio_str tag, *names;
    struct mio_err ignored = {0}; /* the state is safe; a copy less is no reason to fail */
    size_t n;
    bool lost;
    if (mio_ob_list(b, a, generation_prefix, &names, &n, &ignored))
        return;
    mio_sha256_of(text.p, text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    snprintf(name, sizeof name, "%s%0*llu-%.16s", generation_prefix, TIME_DIGITS,
             (unsigned long long)generation_time(names, n), hex);
    if (mio_ob_put(b, a, name, text, NULL, &tag, &lost, &ignored))
        return;
    for (size_t i = 0; i + GENERATIONS <= n; i++) /* the oldest come first */
        (void)mio_ob_del(b, mio_arena_z(a, names[i]), &ignored);
}

static enum mio_code ob_swap(struct mio_backend *base, struct mio_arena *a, struct mio_str tag,
                             struct mio_str text, struct mio_str *new_tag, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    bool lost;
    enum mio_code rc = mio_ob_put(b, a, state_name, text, mio_arena_z(a, tag), new_tag, &lost, err);
    if (rc)
        return rc;
    if (lost) {
        mio_fail(err, MIO_STATE, "the state in %s was changed by someone else meanwhile",
                 base->where);
        return mio_err_hint(
            err, "Nothing was overwritten. Run the command again: it starts from the new state.");
    }
    keep_generation(b, a, text);
    return MIO_OK;
}

static enum mio_code ob_generations(struct mio_backend *base, struct mio_arena *a,
                                    struct mio_generation **out, size_t *n, struct mio_err *err)
{
    struct mio_str *names;
    enum mio_code rc =
        mio_ob_list((struct object_backend *)base, a, generation_prefix, &names, n, err);
    if (rc)
        return rc;
    *out = MIO_NEW_N(a, struct mio_generation, *n);
    for (size_t i = 0; i < *n; i++) {
        struct mio_str name = names[*n - 1 - i];
        (*out)[i] = (struct mio_generation){.name = name, .when = (int64_t)(time_in(name) / 1000)};
    }
    return MIO_OK;
}

static enum mio_code ob_generation_read(struct mio_backend *base, struct mio_arena *a,
                                        struct mio_generation *g, struct mio_err *err)
{
    struct mio_str tag;
    bool found;
    enum mio_code rc = mio_ob_get((struct object_backend *)base, a, mio_arena_z(a, g->name),
                                  &g->text, &tag, &found, err);
    if (rc == MIO_OK && !found)
        return mio_fail(err, MIO_STATE, "%.*s is gone", MIO_FMT(g->name));
    return rc;
}

/* ---- history ---- */

static enum mio_code ob_history_read(struct mio_backend *base, struct mio_arena *a,
                                     struct mio_str *out, struct mio_err *err)
{
    struct mio_str tag;
    bool found;
    return mio_ob_get((struct object_backend *)base, a, history_name, out, &tag, &found, err);
}

static enum mio_code ob_history_add(struct mio_backend *base, uint64_t keep, struct mio_str line,
                                    struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str text, tag;
    bool found, lost = false;
    mio_arena_init(&a);
    enum mio_code rc = mio_ob_get(b, &a, history_name, &text, &tag, &found, err);
    if (rc == MIO_OK &&
        text.n != keep) /* somebody else added a line, and ours chains to another one */
        lost = true;
    if (rc == MIO_OK && !lost) {
        MIO_AUTO_BUF all = {0};
        mio_buf_str(&all, text);
        mio_buf_str(&all, line);
        rc = mio_ob_put(b, &a, history_name, mio_buf_view(&all), mio_arena_z(&a, tag), &tag, &lost,
                        err);
    }
    mio_arena_free(&a);
    if (rc == MIO_OK && lost)
        return mio_fail(err, MIO_TRANSIENT, "somebody else wrote to the history of %s",
                        base->where);
    return rc;
}

static enum mio_code ob_history_replace(struct mio_backend *base, struct mio_str text,
                                        struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str old, tag;
    bool found, lost = false;
    mio_arena_init(&a);
    enum mio_code rc = mio_ob_get(b, &a, history_name, &old, &tag, &found, err);
    if (rc == MIO_OK)
        rc = mio_ob_put(b, &a, history_name, text, mio_arena_z(&a, tag), &tag, &lost, err);
    mio_arena_free(&a);
    if (rc == MIO_OK && lost)
        return mio_fail(err, MIO_TRANSIENT, "somebody else wrote to the history of %s",
                        base->where);
    return rc;
}

/* ---- probe, open, close ---- */

static enum mio_code ob_probe(struct mio_backend *base, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str tag = MIO_STR(""), second = MIO_STR(""), junk;
    uint8_t noise[8];
    char name[40];
    bool lost[4] = {false};
    mio_arena_init(&a);
    mio_random(noise, sizeof noise);
    snprintf(name, sizeof name, "probe-");
    mio_hex(noise, sizeof noise, name + 6);
    enum mio_code rc = mio_ob_put(b, &a, name, MIO_STR("1"), "", &tag, &lost[0], err);
    rc = rc ? rc : mio_ob_put(b, &a, name, MIO_STR("2"), "", &junk, &lost[1], err);
    rc = rc ? rc
            : mio_ob_put(b, &a, name, MIO_STR("3"), mio_arena_z(&a, tag), &second, &lost[2], err);
    rc =
        rc ? rc : mio_ob_put(b, &a, name, MIO_STR("4"), mio_arena_z(&a, tag), &junk, &lost[3], err);
    struct mio_err ignored = {0};
    (void)mio_ob_del(b, name, &ignored);
    mio_arena_free(&a);
    if (rc || (!lost[0] && lost[1] && !lost[2] && lost[3]))
        return rc;
    mio_fail(err, MIO_STATE,
             "%s does not compare before it writes: two runs could overwrite each other's state",
             base->where);
    return mio_err_hint(
        err, "Use a store that honours conditional writes (If-Match and If-None-Match).");
}

static void ob_close(struct mio_backend *base)
{
    struct object_backend *b = (struct object_backend *)base;
    b->o->close(b->o);
    pthread_mutex_destroy(&b->mutex);
    free(b->rescue);
    free(b);
}

static const struct mio_backend_ops object_ops = {
    .lock_outlives = true,
    .close = ob_close,
    .probe = ob_probe,
    .lock = ob_lock,
    .unlock = ob_unlock,
    .holder = ob_holder,
    .break_lock = ob_break,
    .read = ob_read,
    .swap = ob_swap,
    .generations = ob_generations,
    .generation_read = ob_generation_read,
    .journal_read = mio_ob_journal_read,
    .journal_open = mio_ob_journal_open,
    .journal_replace = mio_ob_journal_replace,
    .journal_drop = mio_ob_journal_drop,
    .history_read = ob_history_read,
    .history_add = ob_history_add,
    .history_replace = ob_history_replace,
};

enum mio_code mio_backend_objects(struct mio_objects *o, const char *type,
                                  const struct mio_backend_args *args, struct mio_backend **out,
                                  struct mio_err *err)
{
    struct object_backend *b = mio_zalloc(1, sizeof *b);
    b->o = o;
    b->ops = object_ops;
    b->ops.type = type;
    b->base = (struct mio_backend){.ops = &b->ops, .where = o->where};
    pthread_mutex_init(&b->mutex, NULL);
    if (args->create && args->dir && mio_fs_mkdirs(args->dir, 0700, err)) {
        ob_close(&b->base);
        return err->code;
    }
    if (args->dir) {
        size_t n = strlen(args->dir) + sizeof "/journal.rescue";
        b->rescue = mio_alloc(n);
        snprintf(b->rescue, n, "%s/journal.rescue", args->dir);
    }
    *out = &b->base;
    return MIO_OK;
}

enum mio_code mio_setting(struct mio_arena *a, const struct mio_backend_args *args,
                          const char *name, const char *dflt, const char **out, struct mio_err *err)
{
    struct mio_str text = mio_get_str(args->config, name);
    if (text.n == 0 && !dflt) {
        struct mio_str type = mio_get_str(args->config, "type");
        mio_fail(err, MIO_USAGE, "the backend %.*s needs the setting `%s`", MIO_FMT(type), name);
        const char *variable = args->variable ? args->variable(type, name) : NULL;
        if (variable)
            return mio_err_hint(err,
                                "It is a secret, so no note is kept of it: set %s in the "
                                "environment.",
                                variable);
        return mio_err_hint(err, "Set it under `backend:` or with -backend-config=%s=...", name);
    }
    *out = text.n ? mio_arena_z(a, text) : dflt;
    return MIO_OK;
}
