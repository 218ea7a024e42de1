/* state/remote/object_journal.c: a journal out of objects.
 *
 * A row of numbered objects, each made only if absent: whoever reopens it takes the next number and
 * thereby stops the one that had it before. Who finds the number free asks whether the first object
 * is still the same: a journal that was settled is dropped, and its numbers are free again. Where a
 * place can append, an object takes many batches, each at a position that must be its end, and who
 * reopens it appends a mark there. */
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include "state/remote/object_impl.h"
#include <errno.h>
#include <unistd.h>

enum { LEASE_MS = 5000, MOST_APPENDS = 40000, FIRST = 256 };
static const char journal_prefix[] = "journal/";
static const char taken_over[] = "\nMJR taken over\n"; /* ends a part that its holder lost */

struct object_sink {
    struct mio_sink base;
    struct object_backend *b;
    pthread_mutex_t mutex; /* a write may come while a sync is on its way */
    struct mio_buf pending;
    unsigned long next; /* number of the next object */
    unsigned appends;   /* to the one before it; 0: it takes no more */
    uint64_t end;       /* of that one */
    char first[FIRST]; /* how the first object begins, which goes first when a journal is dropped */
    size_t nfirst;
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
    enum mio_code rc = mio_ob_list(b, a, journal_prefix, &names, &found, err);
    *n = 0;
    for (size_t i = 0; rc == MIO_OK && i < found; i++) {
        char name[32];
        part_name(name, *n + 1);
        *n += mio_str_is(names[i], name);
    }
    return rc;
}

enum mio_code mio_ob_journal_read(struct mio_backend *base, struct mio_arena *a,
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
        rc = mio_ob_get(b, a, name, &text, &tag, &found, err);
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

static void remember_first(struct object_sink *s, struct mio_str text)
{
    s->nfirst = text.n < FIRST ? text.n : FIRST;
    memcpy(s->first, text.p, s->nfirst);
}

/* Is the new object one of our journal, or did another run settle and drop that, so that the name
 * was free again? */
static enum mio_code follows(struct object_sink *s, struct mio_arena *a, const char *name,
                             bool *lost, struct mio_err *err)
{
    struct mio_str text, tag;
    struct mio_err ignored = {0};
    char first[32];
    bool found;
    part_name(first, 1);
    enum mio_code rc = mio_ob_get(s->b, a, first, &text, &tag, &found, err);
    if (rc || (found && text.n >= s->nfirst && memcmp(text.p, s->first, s->nfirst) == 0))
        return rc;
    *lost = true;
    (void)mio_ob_del(s->b, name, &ignored); /* it would lie in the way of another journal */
    return MIO_OK;
}

/* To the end of the last object, or into the next one. */
static enum mio_code place(struct object_sink *s, struct mio_arena *a, struct mio_str text,
                           bool *lost, struct mio_err *err)
{
    struct mio_str tag;
    char name[32];
    bool can = s->b->o->append && text.n > 0 && text.n <= s->b->o->append_max,
         further = can && s->appends > 0 && s->appends < MOST_APPENDS;
    part_name(name, further ? s->next - 1 : s->next);
    enum mio_code rc = can ? append(s->b, a, name, text, further ? s->end : 0, lost, err)
                           : mio_ob_put(s->b, a, name, text, "", &tag, lost, err);
    if (rc || *lost)
        return rc;
    s->next += !further;
    s->appends = further ? s->appends + 1 : can;
    s->end = further ? s->end + text.n : text.n;
    if (s->next > 2)
        return further ? MIO_OK : follows(s, a, name, lost, err);
    if (!further)
        remember_first(s, text);
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
        rc = mio_ob_get(b, &a, name, &text, &tag, &found, err);
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
        rc = mio_ob_get(b, a, name, &text, &tag, &found, err);
        if (rc)
            break;
        text = without_marks(text);
        if (at < keep && at + text.n > keep)
            rc = mio_ob_put(b, a, name, mio_str_sub(text, 0, keep - at), mio_arena_z(a, tag), &tag,
                            &lost, err);
        else if (at >= keep && text.n)
            rc = mio_ob_del(b, name, err);
        stay = at < keep || text.n == 0 ? i : stay;
        at += text.n;
    }
    *n = stay;
    return rc;
}

/* The journal that was read goes on, as ours. */
static enum mio_code resume(struct object_sink *s, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_str text, tag;
    char name[32];
    bool found;
    mio_arena_init(&a);
    part_name(name, 1);
    enum mio_code rc = mio_ob_get(s->b, &a, name, &text, &tag, &found, err);
    if (rc == MIO_OK)
        remember_first(s, text);
    mio_arena_free(&a);
    return rc ? rc : fence(s, err);
}

enum mio_code mio_ob_journal_open(struct mio_backend *base, uint64_t keep, struct mio_sink **out,
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
        rc = resume(s, err);
    if (rc) {
        sink_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return MIO_OK;
}

enum mio_code mio_ob_journal_drop(struct mio_backend *base, struct mio_err *err)
{
    struct object_backend *b = (struct object_backend *)base;
    struct mio_arena a;
    struct mio_str *names;
    size_t n;
    mio_arena_init(&a);
    if (b->rescue && unlink(b->rescue) != 0 && errno != ENOENT && errno != ENOTDIR)
        mio_fail_sys(err, errno, "cannot remove %s", b->rescue);
    else if (mio_ob_list(b, &a, journal_prefix, &names, &n, err) == MIO_OK)
        for (size_t i = 0; i < n && err->code == MIO_OK;
             i++) /* B first: without it the rest is void */
            (void)mio_ob_del(b, mio_arena_z(&a, names[i]), err);
    mio_arena_free(&a);
    return err->code;
}

enum mio_code mio_ob_journal_replace(struct mio_backend *base, struct mio_str text,
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
    enum mio_code rc = mio_ob_journal_read(base, &a, &old, err);
    if (rc == MIO_OK)
        rc = mio_ob_put(b, &a, "journal.damaged", old.text, NULL, &tag, &lost, err);
    if (rc == MIO_OK)
        rc = parts(b, &a, &n, err);
    part_name(name, 1);
    if (rc == MIO_OK)
        rc = mio_ob_put(b, &a, name, text, NULL, &tag, &lost, err);
    for (unsigned long i = 2; rc == MIO_OK && i <= n; i++) {
        part_name(name, i);
        rc = mio_ob_del(b, name, err);
    }
    mio_arena_free(&a);
    return rc;
}
