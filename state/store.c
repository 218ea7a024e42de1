/* state/store.c: one recorded state on its backend. See store.h; the lock is in store_lock.c,
 * history in history.c, bytes in codec.c, the journal in journal.c and frame.c. */
#include "state/store.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/log.h"
#include "state/codec.h"
#include "state/store_impl.h"
#include <fcntl.h>
#include <unistd.h>

enum mio_code mio_store_open(const struct mio_store_opts *o, struct mio_store **out,
                             struct mio_err *err)
{
    struct mio_backend *b;
    struct mio_sealer *sealer = NULL;
    enum mio_code rc = o->seal ? mio_sealer_open(o->seal, &sealer, err) : MIO_OK;
    struct mio_backend_args args = {
        .config = o->backend, .stage = o->stage, .dir = o->dir, .create = o->create};
    rc = rc ? rc : mio_backend_open(&args, o->backend_dir, &b, err);
    if (rc) {
        mio_sealer_close(sealer);
        return rc;
    }
    struct mio_store *s = mio_zalloc(1, sizeof *s);
    mio_arena_init(&s->arena);
    s->b = b;
    s->sealer = sealer;
    s->seen_dir = o->seen_dir ? mio_arena_z(&s->arena, mio_str_z(o->seen_dir)) : NULL;
    s->accept_rollback = o->accept_rollback;
    s->stage = mio_arena_str(&s->arena, o->stage);
    s->tag = s->digest = s->lineage = MIO_STR("");
    *out = s;
    return MIO_OK;
}

const char *mio_store_warning(const struct mio_store *s)
{
    return s->b->warning;
}

struct mio_sealer *mio_store_sealer(const struct mio_store *s)
{
    return s->sealer;
}

enum mio_code mio_store_probe(struct mio_store *s, struct mio_err *err)
{
    return s->b->ops->probe ? s->b->ops->probe(s->b, err) : MIO_OK;
}

void mio_store_close(struct mio_store *s)
{
    if (!s)
        return;
    if (s->jrn)
        mio_jrn_disown(s->jrn);
    mio_store_unlock(s);
    s->b->ops->close(s->b);
    mio_sealer_close(s->sealer);
    explicit_bzero(s->origin.record_key, sizeof s->origin.record_key);
    mio_arena_free(&s->arena);
    free(s);
}

/* ---- load ---- */

enum mio_code mio_store_unwrap(struct mio_store *s, struct mio_arena *a, struct mio_str text,
                               struct mio_str *plain, struct mio_err *err)
{
    struct mio_seal_about about;
    struct mio_state_header h;
    if (!mio_is_sealed(text)) {
        *plain = text;
        if (!s->sealer || !mio_sealer_opts(s->sealer)->enforced ||
            mio_sealer_opts(s->sealer)->accept_clear)
            return MIO_OK;
        mio_fail(err, MIO_AUTH, "it is in clear although sealing is enforced");
        return mio_err_hint(err, "Find out who wrote it. If it is yours, from before sealing: "
                                 "`mlops-iac state rekey -accept-clear` seals it.");
    }
    enum mio_code rc = mio_unseal(s->sealer, a, "state", text, plain, &about, err);
    if (rc)
        return rc == MIO_STATE ? mio_err_hint(err, "%s", mio_state_repair) : rc;
    rc = mio_state_header(a, *plain, &h, err);
    if (rc == MIO_OK && (!mio_str_eq(h.lineage, about.lineage) || h.serial != about.serial ||
                         h.epoch != about.epoch))
        rc = mio_fail(err, MIO_STATE, "sealed as another state than it holds");
    return rc;
}

static enum mio_code check_stage(struct mio_store *s, struct mio_str stage, struct mio_err *err)
{
    if (mio_str_eq(stage, s->stage))
        return MIO_OK;
    mio_fail(err, MIO_STATE, "the state in %s is that of %s%.*s, not of %s%.*s", s->b->where,
             stage.n ? "stage " : "the default stage", MIO_FMT(stage),
             s->stage.n ? "stage " : "the default stage", MIO_FMT(s->stage));
    return mio_err_hint(
        err, "Give each stage a state folder of its own, or choose the stage with -stage.");
}

/* There is no state. There never has been one, unless something else is left of it. */
static enum mio_code check_never_written(struct mio_store *s, struct mio_arena *a,
                                         struct mio_err *err)
{
    struct mio_generation *g;
    size_t n;
    enum mio_code rc = s->b->ops->generations(s->b, a, &g, &n, err);
    if (rc || n == 0)
        return rc;
    mio_fail(err, MIO_STATE,
             "the state in %s is missing, but older generations of it are there (%.*s)",
             s->b->where, MIO_FMT(g[0].name));
    return mio_err_hint(err, "%s", mio_state_repair);
}

/* The first apply was killed before it wrote a state: its journal knows the lineage and the salt.
 */
static enum mio_code adopt_journal(struct mio_store *s, struct mio_state *state,
                                   struct mio_err *err)
{
    struct mio_journal_text j;
    struct mio_frame f;
    struct mio_jrn_origin o;
    enum mio_code rc = s->b->ops->journal_read(s->b, state->arena, &j, err);
    if (rc || !j.found || !mio_frame_get(j.text, 0, &f) || f.type != 'B')
        return rc;
    rc = mio_begin_get(s->sealer, state->arena, f.payload, &o, err);
    if (rc)
        return rc;
    if (o.begin.base_serial > 0) {
        mio_fail(err, MIO_STATE,
                 "the state in %s is missing: an unfinished apply began from serial %lu of it",
                 s->b->where, (unsigned long)o.begin.base_serial);
        return mio_err_hint(err, "%s", mio_state_repair);
    }
    state->lineage = o.begin.lineage;
    state->salt = o.salt;
    return MIO_OK;
}

enum mio_code mio_store_load(struct mio_store *s, struct mio_arena *a, struct mio_state *out,
                             struct mio_err *err)
{
    struct mio_blob blob;
    struct mio_state state;
    enum mio_code rc = s->b->ops->read(s->b, a, &blob, err);
    if (rc)
        return rc;
    if (blob.found) {
        struct mio_str plain;
        if (mio_store_unwrap(s, a, blob.text, &plain, err) || mio_state_read(a, plain, &state, err))
            return mio_err_wrap(err, "the state in %s", s->b->where);
        rc = check_stage(s, state.stage, err);
        if (rc == MIO_OK && !s->accept_rollback && mio_store_check_seen(s, &state, err))
            return mio_err_wrap(err, "the state in %s", s->b->where);
    } else {
        mio_state_init(&state, a, s->stage);
        state.lineage = state.digest = MIO_STR("");
        rc = check_never_written(s, a, err);
        if (rc == MIO_OK)
            rc = adopt_journal(s, &state, err);
    }
    if (rc)
        return rc;
    s->tag = mio_arena_str(&s->arena, blob.tag);
    s->digest = mio_arena_str(&s->arena, state.digest);
    state.keeps = s->sealer && !mio_sealer_opts(s->sealer)->write_clear;
    if (state.serial)
        mio_store_note_seen(s, &state);
    *out = state;
    return MIO_OK;
}

/* ---- commit ---- */

static struct mio_str lineage_of(struct mio_arena *a, const char *hex)
{
    return mio_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                            hex + 20);
}

static struct mio_str new_lineage(struct mio_arena *a)
{
    uint8_t id[16];
    char hex[33];
    mio_random(id, sizeof id);
    mio_hex(id, sizeof id, hex);
    return lineage_of(a, hex);
}

void mio_store_name(struct mio_store *s, struct mio_str digest, uint64_t *seen)
{
    struct mio_str lineage = lineage_of(&s->arena, mio_arena_z(&s->arena, digest));
    *seen = s->accept_rollback ? 0 : mio_store_seen(s, lineage);
    if (s->lineage.n == 0)
        s->lineage = lineage;
}

/* A killed apply's journal must not be thrown away by a commit that knows nothing of it. */
static enum mio_code check_no_pending(struct mio_store *s, const struct mio_state *state,
                                      struct mio_err *err)
{
    struct mio_arena a;
    struct mio_jrn_replay r;
    bool found = false;
    mio_arena_init(&a);
    enum mio_code rc = mio_store_journal(s, &a, state, &r, &found, err);
    mio_arena_free(&a);
    if (rc || !found)
        return rc;
    mio_fail(err, MIO_STATE, "an apply that was interrupted must be settled first");
    return mio_err_hint(err, "Run `mlops-iac apply` (or plan): it carries on from the journal.");
}

/* The bytes for the backend: sealed, if that is configured. */
static enum mio_code encode(struct mio_store *s, struct mio_state *state, struct mio_buf *out,
                            struct mio_str *digest, struct mio_err *err)
{
    MIO_AUTO_BUF plain = {0};
    bool seal = s->sealer && !mio_sealer_opts(s->sealer)->write_clear;
    struct mio_buf *text = seal ? &plain : out;
    struct mio_state_header h;
    struct mio_arena scratch;
    mio_arena_init(&scratch);
    if (!seal)
        mio_state_mask(state);
    mio_state_write(text, state);
    enum mio_code rc = mio_state_header(&scratch, mio_buf_view(text), &h, err);
    if (rc == MIO_OK)
        *digest = mio_arena_str(state->arena, h.sha256);
    mio_arena_free(&scratch);
    if (rc || !seal)
        return rc;
    struct mio_seal_about about = {MIO_STR("state"), state->lineage, state->serial, state->epoch};
    rc = mio_seal(s->sealer, &about, mio_buf_view(&plain), out, err);
    explicit_bzero(plain.p, plain.n);
    return rc;
}

enum mio_code mio_store_dump(struct mio_store *s, const struct mio_state *state,
                             struct mio_str apply, const char *path, struct mio_err *err)
{
    MIO_AUTO_BUF text = {0};
    struct mio_state next = *state;
    struct mio_str digest;
    next.serial++;
    next.epoch += s->took_over;
    next.apply = apply;
    enum mio_code rc = encode(s, &next, &text, &digest, err);
    return rc ? rc : mio_fs_replace(path, mio_buf_view(&text), 0600, err);
}

enum mio_code mio_store_swap(struct mio_store *s, struct mio_str tag, struct mio_state *next,
                             struct mio_err *err)
{
    MIO_AUTO_BUF text = {0};
    struct mio_str new_tag, digest;
    enum mio_code rc = encode(s, next, &text, &digest, err);
    if (rc == MIO_OK)
        rc = s->b->ops->swap(s->b, &s->arena, tag, mio_buf_view(&text), &new_tag, err);
    if (rc)
        return rc;
    next->digest = digest;
    s->digest = mio_arena_str(&s->arena, digest);
    s->tag = new_tag;
    mio_store_note_seen(s, next);
    return MIO_OK;
}

static void spend_journal(struct mio_store *s, uint64_t serial)
{
    struct mio_err err = {0};
    if (s->jrn)
        mio_jrn_end(s->jrn, serial);
    if (mio_store_drop_journal(s, &err)) /* its base serial shows the next run that it is spent */
        mio_log(MIO_WARN, "state", "%s: %s", err.message, err.cause);
}

static enum mio_code commit_locked(struct mio_store *s, struct mio_state *state,
                                   struct mio_err *err)
{
    if (!mio_str_eq(state->digest, s->digest)) {
        mio_fail(err, MIO_STATE,
                 "the state to write was not made from the one that was loaded last");
        return mio_err_hint(err, "Nothing was overwritten. Run the command again.");
    }
    enum mio_code rc = s->journal_ours ? MIO_OK : check_no_pending(s, state, err);
    if (rc)
        return rc;
    struct mio_state next = *state;
    next.serial++;
    next.epoch += s->took_over;
    if (next.lineage.n == 0)
        next.lineage =
            s->lineage.n ? mio_arena_str(next.arena, s->lineage) : new_lineage(next.arena);
    rc = mio_store_swap(s, s->tag, &next, err);
    if (rc)
        return rc;
    next.dirty = false;
    *state = next;
    s->took_over = false;
    spend_journal(s, state->serial);
    return MIO_OK;
}

enum mio_code mio_store_commit(struct mio_store *s, struct mio_state *state, struct mio_err *err)
{
    enum { WAIT_MS = 10000 };
    bool ours = s->locked; /* without it, the lock is taken for the swap alone */
    enum mio_code rc = ours ? MIO_OK : mio_store_lock(s, "commit", WAIT_MS, NULL, err);
    if (rc)
        return rc;
    rc = commit_locked(s, state, err);
    if (!ours)
        mio_store_unlock(s);
    return rc;
}

/* ---- journal ---- */

enum mio_code mio_store_drop_journal(struct mio_store *s, struct mio_err *err)
{
    s->journal_ours = false;
    return s->b->ops->journal_drop(s->b, err);
}

static enum mio_code rolled_back(struct mio_store *s, const struct mio_jrn_origin *o,
                                 uint64_t serial, struct mio_err *err)
{
    mio_fail(err, MIO_STATE,
             "the journal in %s began from serial %lu, but the state has serial %lu: an older "
             "state was put back",
             s->b->where, (unsigned long)o->begin.base_serial, (unsigned long)serial);
    return mio_err_hint(
        err, "Put the newer state back (`mlops-iac state fsck` lists the generations); the "
             "journal is then settled by the next run.");
}

/* Does the journal belong to this state, and is there anything in it that the state does not have?
 */
enum mio_code mio_store_judge(struct mio_store *s, const struct mio_jrn_origin *o,
                              const struct mio_jrn_replay *r, const struct mio_state *state,
                              bool *live, struct mio_err *err)
{
    if (!mio_str_eq(o->begin.lineage, state->lineage)) {
        mio_fail(err, MIO_STATE,
                 "the journal in %s is of another state (lineage %.*s, the state's is %.*s)",
                 s->b->where, MIO_FMT(o->begin.lineage), MIO_FMT(state->lineage));
        return mio_err_hint(
            err, "Move the journal file back to the folder of the state that it belongs to.");
    }
    enum mio_code rc = check_stage(s, o->stage, err);
    if (rc)
        return rc;
    *live = o->begin.base_serial == state->serial && r->n > 0;
    if (o->begin.base_serial > state->serial || (r->ended && o->begin.base_serial == state->serial))
        return rolled_back(s, o, state->serial, err);
    return MIO_OK;
}

/* Keeps what a reopened journal needs, beyond the arena that it was read into. */
static void remember(struct mio_store *s, const struct mio_jrn_origin *o)
{
    s->origin = *o;
    struct mio_jrn_begin *b = &s->origin.begin;
    struct mio_str *texts[] = {&b->apply_id,     &b->lineage,      &b->plan_digest,
                               &b->tool_version, &b->commit,       &b->signed_by,
                               &s->origin.salt,  &s->origin.stage, &s->origin.boot};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = mio_arena_str(&s->arena, *texts[i]);
    b->approvals = mio_value_copy(&s->arena, b->approvals);
}

/* Which start of this machine is this? "" when the system does not tell. */
static struct mio_str boot_id(struct mio_arena *a)
{
    char text[64];
    MIO_AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
    return mio_arena_str(a, mio_str_trim((struct mio_str){text, n > 0 ? (size_t)n : 0}));
}

/* The machine has not stopped since: every intent that was written is there, so what has none was
 * not sent. */
static void drop_unsent(struct mio_store *s, struct mio_arena *a, const struct mio_jrn_origin *o,
                        struct mio_jrn_replay *r)
{
    size_t kept = 0;
    if (!o->begin.lazy || !s->b->ops->journal_stays || o->boot.n == 0 ||
        !mio_str_eq(o->boot, boot_id(a)))
        return;
    for (size_t i = 0; i < r->n; i++)
        if (r->ops[i].outcome != MIO_OP_PLANNED)
            r->ops[kept++] = r->ops[i];
    r->n = kept;
}

enum mio_code mio_store_journal(struct mio_store *s, struct mio_arena *a,
                                const struct mio_state *state, struct mio_jrn_replay *out,
                                bool *found, struct mio_err *err)
{
    struct mio_journal_text t;
    struct mio_jrn_origin o = {0};
    bool begun;
    *found = false;
    enum mio_code rc = s->b->ops->journal_read(s->b, a, &t, err);
    if (rc || !t.found)
        return rc;
    rc = mio_replay(a, s->sealer, t.text, t.rescue, &o, out, &begun, err);
    if (rc == MIO_OK && begun) {
        drop_unsent(s, a, &o, out);
        rc = mio_store_judge(s, &o, out, state, found, err);
    }
    if (rc)
        return mio_err_wrap(err, "the state in %s", s->b->where);
    if (*found)
        remember(s, &o);
    if (*found || !s->locked)
        return MIO_OK;
    return mio_store_drop_journal(s, err); /* nothing was started, or all of it is in the state */
}

/* Asked when the journal is there for all to see: who slept while another run took the lock, and
 * was done before, must not begin from what it read then. */
static enum mio_code check_still_loaded(struct mio_store *s, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_blob now;
    mio_arena_init(&a);
    enum mio_code rc = s->b->ops->read(s->b, &a, &now, err);
    bool same = rc == MIO_OK && mio_str_eq(now.tag, s->tag);
    mio_arena_free(&a);
    if (rc || same)
        return rc;
    mio_fail(err, MIO_STATE, "another run has changed the state in %s since it was read",
             s->b->where);
    return mio_err_hint(err,
                        "Nothing was done. Run the command again: it starts from the new state.");
}

enum mio_code mio_store_begin(struct mio_store *s, const struct mio_state *state,
                              const struct mio_jrn_begin *b, struct mio_jrn **out,
                              struct mio_err *err)
{
    enum mio_code rc = check_no_pending(s, state, err);
    if (rc || (rc = mio_store_drop_journal(s, err)))
        return rc;
    struct mio_history_text history; /* no change without lineage: its key must be usable now */
    if (s->sealer && (rc = mio_history_read(s, state->arena, &history, err)) != MIO_OK)
        return rc;
    if (s->lineage.n == 0)
        s->lineage =
            state->lineage.n ? mio_arena_str(&s->arena, state->lineage) : new_lineage(&s->arena);
    struct mio_jrn_origin o = {.begin = *b, .salt = state->salt, .stage = s->stage};
    o.begin.lineage = state->lineage.n ? state->lineage : s->lineage;
    o.begin.base_serial = state->serial;
    o.begin.epoch = state->epoch;
    o.boot = b->lazy && s->b->ops->journal_stays ? boot_id(&s->arena) : MIO_STR("");
    MIO_AUTO_BUF begin = {0};
    struct mio_sink *sink;
    rc = mio_begin_put(&begin, s->sealer, &o, err);
    rc = rc ? rc : s->b->ops->journal_open(s->b, 0, &sink, err);
    if (rc)
        return rc;
    struct mio_jrn *j = mio_jrn_new(sink, &o, mio_buf_view(&begin), 0, 0, NULL, &s->jrn);
    rc = mio_jrn_start(j, err);
    rc = rc ? rc : check_still_loaded(s, err);
    if (rc) {
        struct mio_err second = {0};
        mio_jrn_close(j);
        (void)mio_store_drop_journal(s, &second); /* nothing is in it */
        return rc;
    }
    s->jrn = j;
    s->journal_ours = true;
    *out = j;
    return MIO_OK;
}

enum mio_code mio_store_reopen(struct mio_store *s, const struct mio_jrn_replay *r,
                               struct mio_jrn **out, struct mio_err *err)
{
    if (!mio_str_eq(s->origin.begin.apply_id, r->begin.apply_id))
        return mio_fail(err, MIO_BUG, "a journal is reopened that this store has not read");
    MIO_AUTO_BUF begin = {0};
    struct mio_sink *sink;
    struct mio_jrn_origin o = s->origin;
    enum mio_code rc = mio_begin_put(&begin, o.sealed ? s->sealer : NULL, &o, err);
    rc = rc ? rc : s->b->ops->journal_open(s->b, r->valid_bytes, &sink, err);
    if (rc)
        return rc;
    if (o.begin.lazy && !sink->held) /* from now on the former holder can sync no more; what it may
                                        still send without a sync, it has sent after this */
        mio_sleep_ms(sink->lease_ms);
    s->jrn = mio_jrn_new(sink, &o, mio_buf_view(&begin), r->valid_bytes, r->last_seq, r->last_hash,
                         &s->jrn);
    s->journal_ours = true;
    s->took_over = true;
    if (s->lineage.n == 0)
        s->lineage = mio_arena_str(&s->arena, r->begin.lineage);
    *out = s->jrn;
    return MIO_OK;
}
