/* state/journal.c: the journal's writer: append, group commit, poison and rescue. See journal.h.
 *
 * One mutex guards it all and is not held during a sync: one waiter leads and syncs for everybody
 * who has appended by then, the others sleep until their record's number is durable. */
#include "state/journal.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "state/backend.h"
#include "state/frame.h"
#include <pthread.h>
#include <stdatomic.h>

struct mio_jrn {
    pthread_mutex_t mutex;
    pthread_cond_t synced_more;
    struct mio_sink *sink;
    struct mio_jrn **owner;
    uint64_t at, seq, synced, records, syncs;
    uint8_t prev[32];
    int64_t waiting_since; /* when the oldest record that is not known durable was appended */
    int64_t held_at;       /* boot time at which the last good sync began: it was ours then */
    bool leading;          /* somebody is in a sync */
    atomic_bool poisoned;
    struct mio_err why;           /* it was poisoned */
    struct mio_jrn_origin cipher; /* of it only how records are sealed */
    struct mio_buf payload;       /* of the record being appended, sealed */
    struct mio_buf begin;         /* payload of B: the rescue file starts with it too */
    struct mio_buf frame;         /* the one being appended */
    struct mio_buf unsynced;      /* frames not known durable, to be rescued when a sync fails */
    bool rescuing;
    uint64_t rescue_seq;
    uint8_t rescue_prev[32];
};

static const uint8_t unchained[32];

struct mio_jrn *mio_jrn_new(struct mio_sink *sink, const struct mio_jrn_origin *o,
                            struct mio_str begin, uint64_t at, uint64_t seq, const uint8_t *prev,
                            struct mio_jrn **owner)
{
    struct mio_jrn *j = mio_zalloc(1, sizeof *j);
    pthread_mutex_init(&j->mutex, NULL);
    pthread_cond_init(&j->synced_more, NULL);
    j->sink = sink;
    j->owner = owner;
    j->at = at;
    j->seq = j->synced = seq;
    j->held_at = mio_boot_ms();
    if (prev)
        memcpy(j->prev, prev, sizeof j->prev);
    j->cipher.sealed = o->sealed;
    memcpy(j->cipher.record_key, o->record_key, sizeof o->record_key);
    mio_buf_str(&j->begin, begin);
    return j;
}

/* The first n bytes of the frames that may be lost are safe now. */
static void forget(struct mio_jrn *j, size_t n)
{
    if (n == 0)
        return;
    memmove(j->unsynced.p, j->unsynced.p + n, j->unsynced.n - n);
    j->unsynced.n -= n;
}

/* ---- rescue ---- */

static enum mio_code rescue_one(struct mio_jrn *j, char type, struct mio_str payload,
                                struct mio_err *err)
{
    MIO_AUTO_BUF b = {0}, p = {0};
    mio_payload_put(&p, &j->cipher, type, j->rescue_seq + 1, payload);
    mio_frame_put(&b, type, j->rescue_seq + 1, j->rescue_seq, j->rescue_prev, mio_buf_view(&p));
    enum mio_code rc = j->sink->rescue(j->sink, b.p, b.n, err);
    if (rc)
        return rc;
    j->rescue_seq++;
    mio_sha256_of(b.p, b.n, j->rescue_prev);
    return MIO_OK;
}

/* Writes the results among the frames that may be lost to the second file; those that it takes are
 * settled, the rest is tried again with the next result. */
static enum mio_code rescue_pending(struct mio_jrn *j, struct mio_err *err)
{
    struct mio_frame f;
    size_t at = 0;
    enum mio_code rc = MIO_OK;
    if (!j->rescuing)
        rc = rescue_one(j, 'B', mio_buf_view(&j->begin), err);
    j->rescuing = j->rescuing || rc == MIO_OK;
    while (rc == MIO_OK && mio_frame_get(mio_buf_view(&j->unsynced), at, &f)) {
        if (f.type != 'B' && f.type != 'P' && f.type != 'I')
            rc = rescue_one(j, f.type, f.payload, err);
        at += rc ? 0 : f.bytes.n;
    }
    forget(j, at);
    return rc;
}

/* Keeps a result when the journal no longer can. */
static enum mio_code rescue(struct mio_jrn *j, char type, struct mio_str payload,
                            struct mio_err *err)
{
    mio_frame_put(&j->unsynced, type, 0, 0, unchained, payload);
    return rescue_pending(j, err);
}

/* After a failed write or sync nothing that was not synced before can be trusted to be there: the
 * results among it go to the second file. */
static void poison(struct mio_jrn *j, const struct mio_err *why)
{
    if (atomic_exchange(&j->poisoned, true))
        return;
    struct mio_err ignored = {0}; /* the caller's error says that the journal is lost */
    j->why = *why;
    (void)rescue_pending(j, &ignored);
    pthread_cond_broadcast(&j->synced_more);
}

static enum mio_code refuse(struct mio_jrn *j, struct mio_err *err)
{
    mio_fail(err, MIO_IO, "the journal can no longer be written, so nothing new is started");
    mio_err_cause(err, "%s%s%s", j->why.message, j->why.cause[0] ? ": " : "", j->why.cause);
    return mio_err_hint(err, "%s",
                        j->why.hint[0] ? j->why.hint
                                       : "Repair the disk, then run the command again: it carries "
                                         "on from what is recorded.");
}

/* ---- append and sync; the mutex is held ---- */

static enum mio_code append(struct mio_jrn *j, char type, struct mio_str payload, uint64_t *seq,
                            struct mio_err *err)
{
    if (atomic_load(&j->poisoned))
        return refuse(j, err);
    if (payload.n > MIO_FRAME_MAX)
        return mio_fail(err, MIO_REALITY, "a resource of %zu bytes is too large to be recorded",
                        payload.n);
    mio_buf_reset(&j->frame);
    mio_buf_reset(&j->payload);
    mio_payload_put(&j->payload, &j->cipher, type, j->seq + 1, payload);
    mio_frame_put(&j->frame, type, j->seq + 1, j->synced, j->prev, mio_buf_view(&j->payload));
    struct mio_err why = {0};
    if (j->sink->write(j->sink, j->frame.p, j->frame.n, j->at, &why)) {
        poison(j, &why);
        return refuse(j, err);
    }
    mio_sha256_of(j->frame.p, j->frame.n, j->prev);
    if (j->cipher
            .sealed) /* in memory they wait as they would be sealed again, under another number */
        mio_frame_put(&j->unsynced, type, j->seq + 1, 0, unchained, payload);
    else
        mio_buf_str(&j->unsynced, mio_buf_view(&j->frame));
    if (j->synced == j->seq)
        j->waiting_since = mio_now_ms();
    j->at += j->frame.n;
    j->records++;
    *seq = ++j->seq;
    return MIO_OK;
}

/* The frames up to `seq` are durable. */
static void settled(struct mio_jrn *j, uint64_t seq)
{
    struct mio_frame f;
    size_t at = 0;
    while (seq < j->seq && mio_frame_get(mio_buf_view(&j->unsynced), at, &f) && f.seq <= seq)
        at += f.bytes.n;
    forget(j, seq == j->seq ? j->unsynced.n : at);
    j->synced = seq;
    j->waiting_since = mio_now_ms();
}

static void lead(struct mio_jrn *j)
{
    uint64_t upto = j->seq;
    int64_t from = mio_boot_ms();
    struct mio_err why = {0};
    j->leading = true;
    pthread_mutex_unlock(&j->mutex);
    enum mio_code rc = j->sink->sync(j->sink, &why);
    pthread_mutex_lock(&j->mutex);
    j->leading = false;
    j->syncs++;
    if (rc) {
        poison(j, &why);
    } else if (!atomic_load(&j->poisoned)) { /* a failed write meanwhile: trust nothing */
        settled(j, upto);
        j->held_at = from;
    }
    pthread_cond_broadcast(&j->synced_more);
}

static enum mio_code wait_durable(struct mio_jrn *j, uint64_t seq, struct mio_err *err)
{
    while (j->synced < seq) {
        if (atomic_load(&j->poisoned))
            return refuse(j, err);
        if (j->leading)
            pthread_cond_wait(&j->synced_more, &j->mutex);
        else
            lead(j);
    }
    return MIO_OK;
}

/* Before an effect without a sync of its own: nobody may have taken the journal over. */
static enum mio_code check_held(struct mio_jrn *j, uint64_t seq, struct mio_err *err)
{
    struct mio_err why = {0};
    if (!j->sink->held)
        return mio_boot_ms() - j->held_at > j->sink->lease_ms ? wait_durable(j, seq, err) : MIO_OK;
    if (j->sink->held(j->sink, &why) == MIO_OK)
        return MIO_OK;
    poison(j, &why);
    return refuse(j, err);
}

static enum mio_code add(struct mio_jrn *j, char type, struct mio_str payload, bool now,
                         struct mio_err *err)
{
    uint64_t seq;
    pthread_mutex_lock(&j->mutex);
    enum mio_code rc = append(j, type, payload, &seq, err);
    if (rc == MIO_OK && now)
        rc = wait_durable(j, seq, err);
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

/* A result must be kept somewhere: its call has happened. */
static enum mio_code add_result(struct mio_jrn *j, char type, struct mio_str payload, bool now,
                                struct mio_err *err)
{
    uint64_t seq = 0;
    struct mio_err why = {0};
    pthread_mutex_lock(&j->mutex);
    enum mio_code rc = append(j, type, payload, &seq, &why);
    if (rc && atomic_load(&j->poisoned))
        rc = rescue(j, type, payload, err);
    else if (rc)
        *err = why;
    else if (now && wait_durable(j, seq, &why)) /* poisoned, and by that rescued */
        rc = j->unsynced.n == 0 ? MIO_OK : refuse(j, err);
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

/* ---- records ---- */

enum mio_code mio_jrn_start(struct mio_jrn *j, struct mio_err *err)
{
    return add(j, 'B', mio_buf_view(&j->begin), true, err);
}

void mio_jrn_end(struct mio_jrn *j, uint64_t serial)
{
    MIO_AUTO_BUF b = {0};
    struct mio_err ignored = {0}; /* the record only hastens what the serial says anyway */
    mio_buf_printf(&b, "{\"serial\":%lu}", (unsigned long)serial);
    (void)add(j, 'E', mio_buf_view(&b), false, &ignored);
}

enum mio_code mio_jrn_plan(struct mio_jrn *j, const struct mio_jrn_intent *i, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    enum mio_code rc = mio_payload_intent(&b, i, j->cipher.sealed, err);
    return rc ? rc : add(j, 'P', mio_buf_view(&b), false, err);
}

enum mio_code mio_jrn_intent(struct mio_jrn *j, const struct mio_jrn_intent *i, struct mio_err *err)
{
    uint64_t seq;
    MIO_AUTO_BUF b = {0};
    enum mio_code rc = mio_payload_intent(&b, i, j->cipher.sealed, err);
    if (rc || !i->planned)
        return rc ? rc : add(j, 'I', mio_buf_view(&b), true, err);
    pthread_mutex_lock(&j->mutex);
    rc = append(j, 'I', mio_buf_view(&b), &seq, err);
    rc = rc ? rc : check_held(j, seq, err);
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

enum mio_code mio_jrn_sync(struct mio_jrn *j, struct mio_err *err)
{
    pthread_mutex_lock(&j->mutex);
    enum mio_code rc = wait_durable(j, j->seq, err);
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

void mio_jrn_tick(struct mio_jrn *j)
{
    enum { WAIT_MS = 2000 };
    pthread_mutex_lock(&j->mutex);
    bool late = j->synced < j->seq && mio_now_ms() - j->waiting_since > WAIT_MS;
    if (late && !j->leading && !atomic_load(&j->poisoned))
        lead(j);
    pthread_mutex_unlock(&j->mutex);
}

static enum mio_code result(struct mio_jrn *j, char type, uint64_t op, const struct mio_record *r,
                            const char *outcome, struct mio_str text, bool now, struct mio_err *err)
{
    MIO_AUTO_BUF b = {0};
    enum mio_code rc = mio_payload_result(&b, op, r, j->cipher.sealed, outcome, text, err);
    return rc ? rc : add_result(j, type, mio_buf_view(&b), now, err);
}

enum mio_code mio_jrn_handle(struct mio_jrn *j, uint64_t op, struct mio_str handle,
                             struct mio_err *err)
{
    return result(j, 'H', op, NULL, "", handle, false, err);
}

enum mio_code mio_jrn_done(struct mio_jrn *j, uint64_t op, const struct mio_record *r, bool now,
                           struct mio_err *err)
{
    return result(j, 'D', op, r, "applied", MIO_STR(""), now, err);
}

enum mio_code mio_jrn_failed(struct mio_jrn *j, uint64_t op, bool ambiguous, struct mio_str why,
                             struct mio_err *err)
{
    return result(j, 'F', op, NULL, ambiguous ? "ambiguous" : "not-applied", why, false, err);
}

enum mio_code mio_jrn_recovered(struct mio_jrn *j, uint64_t op, const struct mio_record *r,
                                bool applied, struct mio_err *err)
{
    return result(j, 'R', op, r, applied ? "applied" : "not-applied", MIO_STR(""), false, err);
}

bool mio_jrn_keeps(const struct mio_jrn *j)
{
    return j->cipher.sealed;
}

bool mio_jrn_poisoned(const struct mio_jrn *j)
{
    return atomic_load(&j->poisoned);
}

void mio_jrn_counts(const struct mio_jrn *j, uint64_t *records, uint64_t *syncs)
{
    struct mio_jrn *m = (struct mio_jrn *)(uintptr_t)j; /* to look, the mutex must be taken */
    pthread_mutex_lock(&m->mutex);
    *records = j->records;
    *syncs = j->syncs;
    pthread_mutex_unlock(&m->mutex);
}

void mio_jrn_disown(struct mio_jrn *j)
{
    j->owner = NULL;
}

void mio_jrn_close(struct mio_jrn *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->mutex);
    if (j->synced < j->seq && !atomic_load(&j->poisoned))
        lead(j); /* results ride on the next sync; this is the last */
    struct mio_err ignored = {0};
    if (j->unsynced.n && atomic_load(&j->poisoned))
        (void)rescue_pending(j, &ignored);
    pthread_mutex_unlock(&j->mutex);
    if (j->owner)
        *j->owner = NULL;
    j->sink->close(j->sink);
    mio_buf_free(&j->begin);
    mio_buf_free(&j->frame);
    mio_buf_free(&j->payload);
    explicit_bzero(j->cipher.record_key, sizeof j->cipher.record_key);
    mio_buf_free(&j->unsynced);
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->synced_more);
    free(j);
}

void mio_jrn_key(struct mio_str salt, struct mio_str lineage, uint64_t base_serial,
                 struct mio_str address, enum mio_jrn_verb verb, uint32_t generation, char out[27])
{
    enum { KEY_CHARS = 26 };
    MIO_AUTO_BUF b = {0};
    /* The address comes last: no other part can hold a newline, so no two inputs give the same
     * text. */
    mio_buf_printf(&b, "key\n%.*s\n%lu\n%d\n%u\n%.*s", MIO_FMT(lineage), (unsigned long)base_serial,
                   (int)verb, generation, MIO_FMT(address));
    uint8_t mac[MIO_SHA256_LEN];
    mio_hmac_sha256(salt.p, salt.n, b.p, b.n, mac);
    mio_base32(mac, sizeof mac, out, KEY_CHARS);
}
