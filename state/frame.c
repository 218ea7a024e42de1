/* state/frame.c: journal records to bytes and back. See frame.h. */
#include "state/frame.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/codec.h"
#include <endian.h>

static const char magic[4] = {'M', 'J', 'R', '1'};
enum { AT_LEN = 4, AT_TYPE = 8, AT_SEQ = 16, AT_SYNCED = 24, AT_PREV = 32 };

static void put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static void put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static uint32_t get32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static uint64_t get64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

void mio_frame_put(struct mio_buf *b, char type, uint64_t seq, uint64_t synced,
                   const uint8_t prev[32], struct mio_str payload)
{
    uint8_t head[MIO_FRAME_HEAD] = {0}, tail[MIO_FRAME_TAIL];
    size_t from = b->n;
    memcpy(head, magic, sizeof magic);
    put32(head + AT_LEN, (uint32_t)payload.n);
    head[AT_TYPE] = (uint8_t)type;
    put64(head + AT_SEQ, seq);
    put64(head + AT_SYNCED, synced);
    memcpy(head + AT_PREV, prev, 32);
    mio_buf_add(b, head, sizeof head);
    mio_buf_str(b, payload);
    put32(tail, mio_crc32c(b->p + from, b->n - from));
    mio_buf_add(b, tail, sizeof tail);
}

bool mio_frame_get(struct mio_str text, size_t at, struct mio_frame *out)
{
    if (at > text.n || text.n - at < MIO_FRAME_HEAD + MIO_FRAME_TAIL)
        return false;
    const char *p = text.p + at;
    size_t len = get32(p + AT_LEN), room = text.n - at - MIO_FRAME_HEAD - MIO_FRAME_TAIL;
    if (memcmp(p, magic, sizeof magic) != 0 || len > room || len > MIO_FRAME_MAX)
        return false;
    if (get32(p + MIO_FRAME_HEAD + len) != mio_crc32c(p, MIO_FRAME_HEAD + len))
        return false;
    *out = (struct mio_frame){
        .type = p[AT_TYPE],
        .seq = get64(p + AT_SEQ),
        .synced = get64(p + AT_SYNCED),
        .prev = (const uint8_t *)p + AT_PREV,
        .payload = {p + MIO_FRAME_HEAD, len},
        .bytes = {p, MIO_FRAME_HEAD + len + MIO_FRAME_TAIL},
    };
    return true;
}

/* ---- payloads ---- */

static const char *const verb_names[] = {
    [MIO_JRN_CREATE] = "create",
    [MIO_JRN_UPDATE] = "update",
    [MIO_JRN_DELETE] = "delete",
    [MIO_JRN_FORGET] = "forget",
};

static void put_str(struct mio_buf *b, const char *before, struct mio_str s)
{
    mio_buf_z(b, before);
    mio_json_string(b, s);
}

static void put_u64(struct mio_buf *b, const char *before, uint64_t v)
{
    mio_buf_z(b, before);
    mio_buf_u64(b, v);
}

void mio_payload_begin(struct mio_buf *b, const struct mio_jrn_origin *o)
{
    put_str(b, "{\"apply_id\":", o->begin.apply_id);
    put_str(b, ",\"lineage\":", o->begin.lineage);
    put_u64(b, ",\"base_serial\":", o->begin.base_serial);
    put_u64(b, ",\"epoch\":", o->begin.epoch);
    put_str(b, ",\"plan_digest\":", o->begin.plan_digest);
    put_str(b, ",\"tool_version\":", o->begin.tool_version);
    put_str(b, ",\"stage\":", o->stage);
    put_str(b, ",\"salt\":", o->salt);
    if (o->sealed) {
        char hex[2 * MIO_RECORD_KEY + 1];
        mio_hex(o->record_key, sizeof o->record_key, hex);
        put_str(b, ",\"record_key\":", mio_str_z(hex));
    }
    mio_buf_char(b, '}');
}

enum mio_code mio_begin_put(struct mio_buf *b, struct mio_sealer *s, struct mio_jrn_origin *o,
                            struct mio_err *err)
{
    if (!s || mio_sealer_opts(s)->write_clear) {
        mio_payload_begin(b, o);
        return MIO_OK;
    }
    if (!o->sealed)
        mio_random(o->record_key, sizeof o->record_key);
    o->sealed = true;
    MIO_AUTO_BUF plain = {0};
    mio_payload_begin(&plain, o);
    struct mio_seal_about about = {.kind = MIO_STR("journal"),
                                   .lineage = o->begin.lineage,
                                   .serial = o->begin.base_serial,
                                   .epoch = o->begin.epoch};
    enum mio_code rc = mio_seal(s, &about, mio_buf_view(&plain), b, err);
    explicit_bzero(plain.p, plain.n);
    return rc;
}

/* What a record's cipher text is bound to. */
static void context_of(char type, uint64_t seq, uint8_t out[9])
{
    out[0] = (uint8_t)type;
    put64(out + 1, seq);
}

void mio_payload_put(struct mio_buf *b, const struct mio_jrn_origin *o, char type, uint64_t seq,
                     struct mio_str plain)
{
    uint8_t context[9];
    context_of(type, seq, context);
    if (o->sealed && type != 'B')
        mio_seal_record(o->record_key, context, sizeof context, plain, b);
    else
        mio_buf_str(b, plain);
}

bool mio_payload_get(struct mio_arena *a, const struct mio_jrn_origin *o, const struct mio_frame *f,
                     struct mio_str *plain)
{
    uint8_t context[9];
    context_of(f->type, f->seq, context);
    *plain = f->payload;
    return !o->sealed || f->type == 'B' ||
           mio_unseal_record(o->record_key, context, sizeof context, f->payload, a, plain);
}

/* A record without address is none: null. */
static enum mio_code put_record(struct mio_buf *b, const char *before, const struct mio_record *r,
                                struct mio_err *err)
{
    mio_buf_z(b, before);
    if (r->address.n == 0) {
        mio_buf_z(b, "null");
        return MIO_OK;
    }
    struct mio_record known = *r;
    if (mio_has_unknown(known.attributes)) /* of an object that does not exist yet */
        known.attributes = mio_null();
    if (!mio_record_storable(&known)) {
        mio_fail(err, MIO_BUG, "a value that must not be stored (unknown, or sensitive in clear)");
        return mio_err_address(err, r->address);
    }
    mio_record_write(b, &known);
    return MIO_OK;
}

enum mio_code mio_payload_intent(struct mio_buf *b, const struct mio_jrn_intent *i,
                                 struct mio_err *err)
{
    put_u64(b, "{\"op\":", i->op);
    put_str(b, ",\"verb\":", mio_str_z(verb_names[i->verb]));
    put_str(b, ",\"address\":", i->address);
    put_str(b, ",\"deposed\":", i->deposed);
    put_str(b, ",\"kind\":", i->kind);
    put_str(b, ",\"provider\":", i->provider);
    put_str(b, ",\"id\":", i->id);
    put_str(b, ",\"key\":", i->key);
    put_u64(b, ",\"class\":", i->create_class);
    mio_buf_z(b, i->depose ? ",\"depose\":true" : ",\"depose\":false");
    put_str(b, ",\"depose_key\":", i->depose_key);
    enum mio_code rc = put_record(b, ",\"target\":", &i->target, err);
    mio_buf_char(b, '}');
    return rc;
}

enum mio_code mio_payload_result(struct mio_buf *b, uint64_t op, const struct mio_record *result,
                                 const char *outcome, struct mio_str text, struct mio_err *err)
{
    put_u64(b, "{\"op\":", op);
    put_str(b, ",\"outcome\":", mio_str_z(outcome));
    put_str(b, ",\"text\":", text);
    enum mio_code rc = MIO_OK;
    if (result)
        rc = put_record(b, ",\"result\":", result, err);
    mio_buf_char(b, '}');
    return rc;
}

static bool u64_of(struct mio_value v, const char *key, uint64_t *out)
{
    return mio_str_u64(mio_get_str(v, key), out);
}

static enum mio_code misread(struct mio_err *err)
{
    mio_fail(err, MIO_STATE,
             "a journal record is whole but says something this version cannot read");
    return mio_err_hint(err, "Finish with the version of mlops-iac that began it.");
}

static enum mio_code unseal_begin(struct mio_sealer *s, struct mio_arena *a,
                                  struct mio_str *payload, struct mio_err *err)
{
    struct mio_seal_about about;
    if (mio_is_sealed(*payload))
        return mio_unseal(s, a, "journal", *payload, payload, &about, err);
    if (!s || !mio_sealer_opts(s)->enforced || mio_sealer_opts(s)->accept_clear)
        return MIO_OK;
    mio_fail(err, MIO_AUTH, "the journal is in clear although sealing is enforced");
    return mio_err_hint(
        err, "Find out who wrote it. If it is yours, from before sealing: settle it once "
             "with `accept_clear`.");
}

enum mio_code mio_begin_get(struct mio_sealer *s, struct mio_arena *a, struct mio_str payload,
                            struct mio_jrn_origin *out, struct mio_err *err)
{
    struct mio_value v;
    bool sealed = mio_is_sealed(payload);
    if (unseal_begin(s, a, &payload, err) || mio_json_read(a, payload, NULL, &v, err))
        return err->code;
    struct mio_jrn_origin o = {
        .begin = {.apply_id = mio_get_str(v, "apply_id"),
                  .lineage = mio_get_str(v, "lineage"),
                  .plan_digest = mio_get_str(v, "plan_digest"),
                  .tool_version = mio_get_str(v, "tool_version")},
        .salt = mio_get_str(v, "salt"),
        .stage = mio_get_str(v, "stage"),
        .sealed = sealed,
    };
    if (sealed && !mio_unhex(mio_get_str(v, "record_key"), o.record_key, sizeof o.record_key))
        return misread(err);
    if (!u64_of(v, "base_serial", &o.begin.base_serial) || !u64_of(v, "epoch", &o.begin.epoch) ||
        o.begin.lineage.n == 0 || o.salt.n != MIO_SHA256_HEX)
        return misread(err);
    *out = o;
    return MIO_OK;
}

static bool verb_of(struct mio_str name, enum mio_jrn_verb *out)
{
    for (size_t i = 0; i < sizeof verb_names / sizeof *verb_names; i++)
        if (mio_str_is(name, verb_names[i])) {
            *out = (enum mio_jrn_verb)i;
            return true;
        }
    return false;
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
    if (!u64_of(v, "op", &i.op) || !verb_of(mio_get_str(v, "verb"), &i.verb))
        return misread(err);
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

static enum mio_code apply_intent(struct replay *r, struct mio_value v, struct mio_err *err)
{
    struct mio_jrn_intent i;
    if (read_intent(r->a, v, &i, err))
        return err->code;
    struct mio_jrn_op *op = op_at(r, i.op, true);
    if (!op)
        return misread(err);
    *op = (struct mio_jrn_op){.intent = i, .outcome = MIO_OP_OPEN, .handle = MIO_STR("")};
    return MIO_OK;
}

static enum mio_code apply_result(struct replay *r, char type, struct mio_value v,
                                  struct mio_err *err)
{
    uint64_t n;
    struct mio_jrn_op *op = u64_of(v, "op", &n) ? op_at(r, n, false) : NULL;
    if (!op)
        return misread(err);
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
    case 'I':
        return apply_intent(r, v, err);
    case 'H':
    case 'D':
    case 'F':
    case 'R':
        return apply_result(r, f->type, v, err);
    case 'E':
        r->out->ended = true;
        return MIO_OK;
    default:
        return misread(err);
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
        const char *m = memmem(text.p + from, text.n - from, magic, sizeof magic);
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
