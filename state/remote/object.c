/* state/remote/object.c: lock, compare-and-swap, journal and history out of get, put-if, delete and
 * list.
 *
 * A put that seems lost is compared with what lies there: an answer that got lost on the way must
 * not look like another writer. The journal is a row of numbered objects, each made only if absent:
 * whoever reopens it takes the next number and thereby stops the one that had it before. Where a
 * place can append, an object takes many batches, each at a position that must be its end, and who
 * reopens it appends a mark there. */
#include "state/remote/object.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

enum { GENERATIONS = 8, LEASE_MS = 5000, MOST_APPENDS = 40000 };
static const char state_name[] = "state", lock_name[] = "lock", history_name[] = "history.jsonl",
                  journal_prefix[] = "journal/", generation_prefix[] = "generations/";

static const char taken_over[] = "\nMJR taken over\n"; /* ends a part that its holder lost */

struct object_backend {
    struct mio_backend base;
    struct mio_backend_ops ops; /* with the type's own name */
    struct mio_objects *o;
    pthread_mutex_t mutex; /* the journal's sink is called from other threads */
    char *rescue;          /* local file, or NULL */
    char lock_id[65];
    unsigned long parts; /* of the journal as it was read last */
    size_t last_part;    /* bytes of the last of them */
};

/* ---- the place, one call at a time ---- */

static enum mio_code get(struct object_backend *b, struct mio_arena *a, const char *name,
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

static enum mio_code put(struct object_backend *b, struct mio_arena *a, const char *name,
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

static enum mio_code del(struct object_backend *b, const char *name, struct mio_err *err)
{
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->del(b->o, name, err);
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

static enum mio_code list(struct object_backend *b, struct mio_arena *a, const char *prefix,
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
    enum mio_code rc = b->o->lock ? b->o->lock(b->o, a, lock_name, note, id, &lost, err)
                                  : put(b, a, lock_name, note, "", &tag, &lost, err);
    if (rc)
        return rc;
    if (!lost) {
        snprintf(b->lock_id, sizeof b->lock_id, "%s", id);
        return MIO_OK;
    }
    rc = get(b, a, lock_name, held, &tag, &found, err);
    return rc ? rc : mio_fail(err, MIO_LOCKED, "the state is locked");
}

static enum mio_code ob_holder(struct mio_backend *base, struct mio_arena *a, struct mio_str *note,
                               bool *live, struct mio_err *err)
{
    struct mio_str tag;
    bool found;
    *live = false; /* nobody can tell */
    return get((struct object_backend *)base, a, lock_name, note, &tag, &found, err);
}

static enum mio_code ob_break(struct mio_backend *base, struct mio_str id, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    (void)id; /* compared by the caller */
    return b->o->break_lock ? b->o->break_lock(b->o, lock_name, err) : del(b, lock_name, err);
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
            (void)del(b, lock_name, &ignored);
    }
    b->lock_id[0] = '\0';
    mio_arena_free(&a);
}

/* ---- state and generations ---- */

static enum mio_code ob_read(struct mio_backend *base, struct mio_arena *a, struct mio_blob *out,
                             struct mio_err *err)
{
    return get((struct object_backend *)base, a, state_name, &out->text, &out->tag, &out->found,
               err);
}

/* A copy of what was just written, so that even a state that is damaged later is there a second
 * time. */
static void keep_generation(struct object_backend *b, struct mio_arena *a, struct mio_str text)
{
    struct timespec t;
    uint8_t sum[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1], name[96];
    struct mio_str tag, *names;
    struct mio_err ignored = {0}; /* the state is safe; a copy less is no reason to fail */
    size_t n;
    bool lost;
    clock_gettime(CLOCK_REALTIME, &t);
    mio_sha256_of(text.p, text.n, sum);
    mio_hex(sum, sizeof sum, hex);
    snprintf(name, sizeof name, "%s%014lld-%.16s", generation_prefix,
             (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, hex);
    if (put(b, a, name, text, NULL, &tag, &lost, &ignored) ||
        list(b, a, generation_prefix, &names, &n, &ignored))
        return;
    for (size_t i = 0; i + GENERATIONS < n; i++) /* the oldest come first */
        (void)del(b, mio_arena_z(a, names[i]), &ignored);
}

static enum mio_code ob_swap(struct mio_backend *base, struct mio_arena *a, struct mio_str tag,
                             struct mio_str text, struct mio_str *new_tag, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    bool lost;
    enum mio_code rc = put(b, a, state_name, text, mio_arena_z(a, tag), new_tag, &lost, err);
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
    enum mio_code rc = list((struct object_backend *)base, a, generation_prefix, &names, n, err);
    if (rc)
        return rc;
    *out = MIO_NEW_N(a, struct mio_generation, *n);
    for (size_t i = 0; i < *n; i++) {
        struct mio_str name = names[*n - 1 - i];
        struct mio_str ms = mio_str_sub(name, sizeof generation_prefix - 1, 14);
        uint64_t when = 0;
        (void)mio_str_u64(ms, &when);
        (*out)[i] = (struct mio_generation){.name = name, .when = (int64_t)(when / 1000)};
    }
    return MIO_OK;
}

static enum mio_code ob_generation_read(struct mio_backend *base, struct mio_arena *a,
                                        struct mio_generation *g, struct mio_err *err)
{
    struct mio_str tag;
    bool found;
    enum mio_code rc =
        get((struct object_backend *)base, a, mio_arena_z(a, g->name), &g->text, &tag, &found, err);
    if (rc == MIO_OK && !found)
        return mio_fail(err, MIO_STATE, "%.*s is gone", MIO_FMT(g->name));
    return rc;
}

/* ---- journal ---- */

struct object_sink {
    struct mio_sink base;
    struct object_backend *b;
    pthread_mutex_t mutex; /* a write may come while a sync is on its way */
    struct mio_buf pending;
    unsigned long next; /* number of the next object */
    unsigned appends;   /* to the one before it; 0: it takes no more */
    uint64_t end;       /* of that one */
    struct mio_buf rescued;
};

static void part_name(char out[32], unsigned long number)
{
    snprintf(out, 32, "%s%08lu", journal_prefix, number);
}

static struct mio_str without_marks(struct mio_str text)
{
    while (mio_str_ends(text, taken_over))
        text.n -= sizeof taken_over - 1;
    return text;
}

/* The parts from 1 on without a gap. */
static enum mio_code parts(struct object_backend *b, struct mio_arena *a, unsigned long *n,
                           struct mio_err *err)
{
    struct mio_str *names;
    size_t found;
    enum mio_code rc = list(b, a, journal_prefix, &names, &found, err);
    *n = 0;
    for (size_t i = 0; rc == MIO_OK && i < found; i++) {
        char name[32];
        part_name(name, *n + 1);
        *n += mio_str_is(names[i], name);
    }
    return rc;
}

static enum mio_code ob_journal_read(struct mio_backend *base, struct mio_arena *a,
                                     struct mio_journal_text *out, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    unsigned long n;
    bool rescued = false;
    *out = (struct mio_journal_text){.text = MIO_STR(""), .rescue = MIO_STR("")};
    enum mio_code rc = parts(b, a, &n, err);
    MIO_AUTO_BUF all = {0};
    b->parts = n;
    for (unsigned long i = 1; rc == MIO_OK && i <= n; i++) {
        struct mio_str text, tag;
        char name[32];
        bool found;
        part_name(name, i);
        rc = get(b, a, name, &text, &tag, &found, err);
        b->last_part = text.n;
        mio_buf_str(&all, without_marks(text));
    }
    if (rc == MIO_OK && b->rescue)
        rc = mio_fs_read(a, b->rescue, 1u << 30, &out->rescue, &rescued, err);
    if (rc)
        return rc;
    out->text = mio_arena_str(a, mio_buf_view(&all));
    out->found = n > 0;
    return MIO_OK;
}

static enum mio_code sink_write(struct mio_sink *base, const void *p, size_t n, uint64_t at,
                                struct mio_err *err)
{
    struct object_sink *s = (struct object_sink *)base;
    (void)at;
    (void)err;
    pthread_mutex_lock(&s->mutex);
    mio_buf_add(&s->pending, p, n);
    pthread_mutex_unlock(&s->mutex);
    return MIO_OK;
}

static enum mio_code append(struct object_backend *b, struct mio_arena *a, const char *name,
                            struct mio_str text, uint64_t at, bool *lost, struct mio_err *err)
{
    *lost = false;
    pthread_mutex_lock(&b->mutex);
    enum mio_code rc = b->o->append(b->o, a, name, text, at, lost, err);
    pthread_mutex_unlock(&b->mutex);
    return rc;
}

/* To the end of the last object, or into the next one. */
static enum mio_code place(struct object_sink *s, struct mio_arena *a, struct mio_str text,
                           bool *lost, struct mio_err *err)
{
    struct mio_str tag;
    char name[32];
    bool further = s->appends > 0 && s->appends < MOST_APPENDS;
    if (!s->b->o->append || text.n == 0 || text.n > s->b->o->append_max) {
        part_name(name, s->next);
        enum mio_code rc = put(s->b, a, name, text, "", &tag, lost, err);
        s->next += rc == MIO_OK && !*lost;
        s->appends = 0;
        return rc;
    }
    part_name(name, further ? s->next - 1 : s->next);
    enum mio_code rc = append(s->b, a, name, text, further ? s->end : 0, lost, err);
    if (rc || *lost)
        return rc;
    s->next += !further;
    s->appends = further ? s->appends + 1 : 1;
    s->end = further ? s->end + text.n : text.n;
    return MIO_OK;
}

static enum mio_code put_part(struct object_sink *s, struct mio_str text, struct mio_err *err)
{
    struct mio_arena a;
    bool lost = false;
    mio_arena_init(&a);
    enum mio_code rc = place(s, &a, text, &lost, err);
    mio_arena_free(&a);
    if (rc || !lost)
        return rc;
    mio_fail(err, MIO_STATE, "another run has taken over the state in %s", s->b->base.where);
    return mio_err_hint(err, "This one stops here; what it did is settled by the other.");
}

/* From here on what the former holder writes is refused; so is this when it has written since the
 * journal was read. */
static enum mio_code fence(struct object_sink *s, struct mio_err *err)
{
    struct object_backend *b = s->b;
    struct mio_arena a;
    struct mio_str text, tag;
    char name[32];
    bool lost = true, found;
    if (!b->o->append || s->next == 1)
        return put_part(s, MIO_STR(""), err);
    mio_arena_init(&a);
    part_name(name, s->next - 1);
    enum mio_code rc = append(b, &a, name, mio_str_z(taken_over), b->last_part, &lost, err);
    if (rc == MIO_OK && lost) { /* it has grown, or is one that was put as a whole */
        rc = get(b, &a, name, &text, &tag, &found, err);
        if (rc == MIO_OK && text.n == b->last_part)
            rc = put_part(s, MIO_STR(""), err);
        else if (rc == MIO_OK)
            rc = mio_fail(err, MIO_TRANSIENT, "the run that was taken for dead still writes to %s",
                          b->base.where);
    }
    mio_arena_free(&a);
    return rc;
}

static enum mio_code sink_sync(struct mio_sink *base, struct mio_err *err)
{
    struct object_sink *s = (struct object_sink *)base;
    pthread_mutex_lock(&s->mutex);
    struct mio_buf batch = s->pending;
    s->pending = (struct mio_buf){0};
    pthread_mutex_unlock(&s->mutex);
    enum mio_code rc = batch.n ? put_part(s, mio_buf_view(&batch), err) : MIO_OK;
    mio_buf_free(&batch);
    return rc;
}

static enum mio_code sink_rescue(struct mio_sink *base, const void *p, size_t n,
                                 struct mio_err *err)
{
    struct object_sink *s = (struct object_sink *)base;
    if (!s->b->rescue)
        return mio_fail(err, MIO_IO,
                        "there is no local folder for results that the backend cannot take");
    size_t before = s->rescued.n;
    mio_buf_add(&s->rescued, p, n);
    enum mio_code rc = mio_fs_replace(s->b->rescue, mio_buf_view(&s->rescued), 0600, err);
    if (rc)
        s->rescued.n = before;
    return rc;
}

static void sink_close(struct mio_sink *base)
{
    struct object_sink *s = (struct object_sink *)base;
    mio_buf_free(&s->pending);
    mio_buf_free(&s->rescued);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* Cuts what lies behind the first `keep` bytes; *n becomes the number of the parts that stay. */
static enum mio_code cut_parts(struct object_backend *b, struct mio_arena *a, uint64_t keep,
                               unsigned long *n, struct mio_err *err)
{
    enum mio_code rc = MIO_OK;
    unsigned long stay = 0;
    uint64_t at = 0;
    for (unsigned long i = 1; rc == MIO_OK && i <= *n; i++) {
        struct mio_str text, tag;
        char name[32];
        bool found, lost;
        part_name(name, i);
        rc = get(b, a, name, &text, &tag, &found, err);
        if (rc)
            break;
        text = without_marks(text);
        if (at < keep && at + text.n > keep)
            rc = put(b, a, name, mio_str_sub(text, 0, keep - at), mio_arena_z(a, tag), &tag, &lost,
                     err);
        else if (at >= keep && text.n)
            rc = del(b, name, err);
        stay = at < keep || text.n == 0 ? i : stay;
        at += text.n;
    }
    *n = stay;
    return rc;
}

static enum mio_code ob_journal_open(struct mio_backend *base, uint64_t keep, struct mio_sink **out,
                                     struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    unsigned long n;
    mio_arena_init(&a);
    enum mio_code rc = keep ? MIO_OK : parts(b, &a, &n, err);
    if (rc == MIO_OK && keep == 0 && n > 0)
        rc = mio_fail(err, MIO_STATE, "a journal is there already in %s", base->where);
    if (rc == MIO_OK && keep > 0) { /* as it was read: what came since must stop us */
        n = b->parts;
        rc = cut_parts(b, &a, keep, &n, err);
    }
    mio_arena_free(&a);
    if (rc)
        return rc;
    struct object_sink *s = mio_zalloc(1, sizeof *s);
    s->base = (struct mio_sink){.write = sink_write,
                                .sync = sink_sync,
                                .lease_ms = LEASE_MS,
                                .rescue = sink_rescue,
                                .close = sink_close};
    s->b = b;
    s->next = n + 1;
    pthread_mutex_init(&s->mutex, NULL);
    if (keep > 0)
        rc = fence(s, err);
    if (rc) {
        sink_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return MIO_OK;
}

static enum mio_code ob_journal_drop(struct mio_backend *base, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str *names;
    size_t n;
    mio_arena_init(&a);
    if (b->rescue && unlink(b->rescue) != 0 && errno != ENOENT && errno != ENOTDIR)
        mio_fail_sys(err, errno, "cannot remove %s", b->rescue);
    else if (list(b, &a, journal_prefix, &names, &n, err) == MIO_OK)
        for (size_t i = 0; i < n && err->code == MIO_OK;
             i++) /* B first: without it the rest is void */
            (void)del(b, mio_arena_z(&a, names[i]), err);
    mio_arena_free(&a);
    return err->code;
}

static enum mio_code ob_journal_replace(struct mio_backend *base, struct mio_str text,
                                        struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_journal_text old;
    struct mio_str tag;
    bool lost;
    char name[32];
    unsigned long n;
    mio_arena_init(&a);
    enum mio_code rc = ob_journal_read(base, &a, &old, err);
    if (rc == MIO_OK)
        rc = put(b, &a, "journal.damaged", old.text, NULL, &tag, &lost, err);
    if (rc == MIO_OK)
        rc = parts(b, &a, &n, err);
    part_name(name, 1);
    if (rc == MIO_OK)
        rc = put(b, &a, name, text, NULL, &tag, &lost, err);
    for (unsigned long i = 2; rc == MIO_OK && i <= n; i++) {
        part_name(name, i);
        rc = del(b, name, err);
    }
    mio_arena_free(&a);
    return rc;
}

/* ---- history ---- */

static enum mio_code ob_history_read(struct mio_backend *base, struct mio_arena *a,
                                     struct mio_str *out, struct mio_err *err)
{
    struct mio_str tag;
    bool found;
    return get((struct object_backend *)base, a, history_name, out, &tag, &found, err);
}

static enum mio_code ob_history_add(struct mio_backend *base, uint64_t keep, struct mio_str line,
                                    struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str text, tag;
    bool found, lost = false;
    mio_arena_init(&a);
    enum mio_code rc = get(b, &a, history_name, &text, &tag, &found, err);
    if (rc == MIO_OK &&
        text.n != keep) /* somebody else added a line, and ours chains to another one */
        lost = true;
    if (rc == MIO_OK && !lost) {
        MIO_AUTO_BUF all = {0};
        mio_buf_str(&all, text);
        mio_buf_str(&all, line);
        rc = put(b, &a, history_name, mio_buf_view(&all), mio_arena_z(&a, tag), &tag, &lost, err);
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
    enum mio_code rc = get(b, &a, history_name, &old, &tag, &found, err);
    if (rc == MIO_OK)
        rc = put(b, &a, history_name, text, mio_arena_z(&a, tag), &tag, &lost, err);
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
    enum mio_code rc = put(b, &a, name, MIO_STR("1"), "", &tag, &lost[0], err);
    rc = rc ? rc : put(b, &a, name, MIO_STR("2"), "", &junk, &lost[1], err);
    rc = rc ? rc : put(b, &a, name, MIO_STR("3"), mio_arena_z(&a, tag), &second, &lost[2], err);
    rc = rc ? rc : put(b, &a, name, MIO_STR("4"), mio_arena_z(&a, tag), &junk, &lost[3], err);
    struct mio_err ignored = {0};
    (void)del(b, name, &ignored);
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
    .journal_read = ob_journal_read,
    .journal_open = ob_journal_open,
    .journal_replace = ob_journal_replace,
    .journal_drop = ob_journal_drop,
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
        return mio_err_hint(err, "Set it under `backend:` or with -backend-config=%s=...", name);
    }
    *out = text.n ? mio_arena_z(a, text) : dflt;
    return MIO_OK;
}
