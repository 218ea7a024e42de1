/* state/replay.c: what a journal says, read back: whole records in order, then the rescue file's.
 * See frame.h. */
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/codec.h"
#include "state/frame.h"

static bool u64_of(struct mio_value v, const char *key, uint64_t *out)
{
    return mio_str_u64(mio_get_str(v, key), out);
}

static enum mio_code read_intent(struct mio_arena *a, struct mio_value v,
                                 struct mio_jrn_intent *out, struct mio_err *err)
{
    struct mio_jrn_intent i = {
        .address = mio_get_str(v, "address"),
        .deposed = mio_get_str(v, "deposed"),
        .kind = mio_get_str(v, "kind"),
        .provider = mio_get_str(v, "provider"),
        .id = mio_get_str(v, "id"),
        .key = mio_get_str(v, "key"),
        .create_class = (uint32_t)mio_get_i64(v, "class", 0),
        .depose = mio_get_bool(v, "depose", false),
        .depose_key = mio_get_str(v, "depose_key"),
    };
    const struct mio_value *target = mio_get_z(v, "target");
    if (!u64_of(v, "op", &i.op) || !mio_jrn_verb_of(mio_get_str(v, "verb"), &i.verb))
        return mio_payload_misread(err);
    if (target && target->type == MIO_MAP && mio_record_from(a, *target, &i.target, err))
        return err->code;
    *out = i;
    return MIO_OK;
}

/* ---- replay ---- */

struct replay {
    struct mio_arena *a;
    struct mio_sealer *sealer;
    struct mio_jrn_replay *out;
    struct mio_jrn_origin *origin;
    size_t cap;
    size_t *place; /* op number to index + 1 */
    size_t nplace;
    uint8_t prev[32];
    bool begun;
};

/* The operation a record speaks of; made when it is an intent. NULL: unheard of. */
static struct mio_jrn_op *op_at(struct replay *r, uint64_t op, bool make)
{
    enum { MOST_OPS = 16 * 1024 * 1024 };
    if (op == 0 || op > MOST_OPS)
        return NULL;
    if (op >= r->nplace) {
        if (!make)
            return NULL;
        size_t room = r->nplace ? r->nplace * 2 : 64;
        while (room <= op)
            room *= 2;
        size_t *place = MIO_NEW_N(r->a, size_t, room);
        if (r->nplace)
            memcpy(place, r->place, r->nplace * sizeof *place);
        r->place = place;
        r->nplace = room;
    }
    if (r->place[op] == 0 && make) {
        struct mio_jrn_op fresh = {.handle = MIO_STR("")};
        MIO_PUSH(r->a, r->out->ops, r->out->n, r->cap) = fresh;
        r->place[op] = r->out->n;
    }
    return r->place[op] ? &r->out->ops[r->place[op] - 1] : NULL;
}

static enum mio_code apply_intent(struct replay *r, char type, struct mio_value v,
                                  struct mio_err *err)
{
    struct mio_jrn_intent i;
    if (read_intent(r->a, v, &i, err))
        return err->code;
    struct mio_jrn_op *op = op_at(r, i.op, true);
    if (!op)
        return mio_payload_misread(err);
    *op = (struct mio_jrn_op){
        .intent = i, .outcome = type == 'P' ? MIO_OP_PLANNED : MIO_OP_OPEN, .handle = MIO_STR("")};
    return MIO_OK;
}

static enum mio_code apply_result(struct replay *r, char type, struct mio_value v,
                                  struct mio_err *err)
{
    uint64_t n;
    struct mio_jrn_op *op = u64_of(v, "op", &n) ? op_at(r, n, false) : NULL;
    if (!op)
        return mio_payload_misread(err);
    struct mio_str outcome = mio_get_str(v, "outcome");
    const struct mio_value *result = mio_get_z(v, "result");
    if (type == 'H') {
        op->handle = mio_get_str(v, "text");
        return MIO_OK;
    }
    bool applied = mio_str_is(outcome, "applied");
    op->outcome = applied                            ? MIO_OP_DONE
                  : mio_str_is(outcome, "ambiguous") ? MIO_OP_AMBIGUOUS
                                                     : MIO_OP_FAILED;
    op->has_result = applied && result && result->type == MIO_MAP;
    return op->has_result ? mio_record_from(r->a, *result, &op->result, err) : MIO_OK;
}

static enum mio_code apply_frame(struct replay *r, const struct mio_frame *f, struct mio_err *err)
{
    if (f->type == 'B') {
        r->begun = true;
        return mio_begin_get(r->sealer, r->a, f->payload, r->origin, err);
    }
    struct mio_value v;
    struct mio_str plain;
    if (!mio_payload_get(r->a, r->origin, f, &plain))
        return mio_fail(err, MIO_STATE, "sealed, but altered");
    if (mio_json_read(r->a, plain, NULL, &v, err))
        return err->code;
    switch (f->type) {
    case 'P':
    case 'I':
        return apply_intent(r, f->type, v, err);
    case 'H':
    case 'D':
    case 'F':
    case 'R':
        return apply_result(r, f->type, v, err);
    case 'E':
        r->out->ended = true;
        return MIO_OK;
    default:
        return mio_payload_misread(err);
    }
}

/* Applies the frames from the start to the first one that is not whole, not next, or not chained.
 */
static enum mio_code apply_all(struct replay *r, struct mio_str text, size_t *valid, uint64_t *seq,
                               struct mio_err *err)
{
    struct mio_frame f;
    *valid = 0;
    *seq = 0;
    memset(r->prev, 0, sizeof r->prev);
    while (mio_frame_get(text, *valid, &f) && f.seq == *seq + 1 &&
           memcmp(f.prev, r->prev, sizeof r->prev) == 0 && (f.seq > 1) == (f.type != 'B')) {
        if (apply_frame(r, &f, err))
            return mio_err_wrap(err, "journal record %lu", (unsigned long)f.seq);
        mio_sha256_of(f.bytes.p, f.bytes.n, r->prev);
        *valid += f.bytes.n;
        *seq = f.seq;
    }
    return MIO_OK;
}

/* Does a later whole record say that record `lost` was durable? Then it was damaged, not torn. */
static bool was_durable(struct mio_str text, size_t from, uint64_t lost)
{
    struct mio_frame f;
    while (from < text.n) {
        const char *m =
            memmem(text.p + from, text.n - from, MIO_FRAME_MAGIC, sizeof MIO_FRAME_MAGIC - 1);
        if (!m)
            return false;
        from = (size_t)(m - text.p);
        if (mio_frame_get(text, from, &f)) {
            if (f.synced >= lost)
                return true;
            from += f.bytes.n;
        } else {
            from++;
        }
    }
    return false;
}

static int op_cmp(const void *x, const void *y)
{
    const struct mio_jrn_op *a = x, *b = y;
    return (a->intent.op > b->intent.op) - (a->intent.op < b->intent.op);
}

/* Results that were written to the second file when the first had failed. */
static enum mio_code apply_rescue(struct replay *r, struct mio_str rescue, struct mio_err *err)
{
    struct mio_frame f;
    struct mio_jrn_origin o;
    if (!r->begun || !mio_frame_get(rescue, 0, &f) || f.type != 'B' ||
        mio_begin_get(r->sealer, r->a, f.payload, &o, err) ||
        !mio_str_eq(o.begin.apply_id, r->origin->begin.apply_id) ||
        !mio_str_eq(o.begin.lineage, r->origin->begin.lineage)) {
        mio_err_clear(err);
        return MIO_OK; /* torn at its start, or of another apply */
    }
    size_t valid;
    uint64_t seq;
    return apply_all(r, rescue, &valid, &seq, err);
}

enum mio_code mio_replay(struct mio_arena *a, struct mio_sealer *s, struct mio_str text,
                         struct mio_str rescue, struct mio_jrn_origin *origin,
                         struct mio_jrn_replay *out, bool *begun, struct mio_err *err)
{
    *out = (struct mio_jrn_replay){0};
    struct replay r = {.a = a, .sealer = s, .out = out, .origin = origin};
    enum mio_code rc = apply_all(&r, text, &out->valid_bytes, &out->last_seq, err);
    if (rc == MIO_OK && was_durable(text, out->valid_bytes, out->last_seq + 1)) {
        mio_fail(err, MIO_STATE,
                 "record %lu of the journal is damaged although it had been written safely",
                 (unsigned long)out->last_seq + 1);
        rc = mio_err_hint(
            err, "Nothing was changed. See what it holds with `mlops-iac state fsck`; "
                 "`-repair` keeps what is whole, sets the damaged file aside and looks every "
                 "operation up again.");
    }
    uint8_t end[32];
    memcpy(end, r.prev, sizeof end);
    if (rc == MIO_OK)
        rc = apply_rescue(&r, rescue, err);
    if (rc)
        return rc;
    memcpy(out->last_hash, end, sizeof end);
    if (out->n)
        qsort(out->ops, out->n, sizeof *out->ops, op_cmp);
    *begun = r.begun;
    if (r.begun)
        out->begin = origin->begin;
    return MIO_OK;
}
