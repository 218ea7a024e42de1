/* state/frame.c: journal records to bytes and back. See frame.h. */
#include "state/frame.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/codec.h"
#include <endian.h>

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
    memcpy(head, MIO_FRAME_MAGIC, sizeof MIO_FRAME_MAGIC - 1);
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
    if (memcmp(p, MIO_FRAME_MAGIC, sizeof MIO_FRAME_MAGIC - 1) != 0 || len > room ||
        len > MIO_FRAME_MAX)
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
    put_str(b, ",\"commit\":", o->begin.commit);
    put_str(b, ",\"signed_by\":", o->begin.signed_by);
    mio_buf_z(b, ",\"approvals\":");
    mio_json_write(b, o->begin.approvals, MIO_JSON_PLAIN);
    put_str(b, ",\"stage\":", o->stage);
    put_str(b, ",\"salt\":", o->salt);
    if (o->begin.lazy)
        put_str(b, ",\"durability\":\"plan\",\"boot\":", o->boot);
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
                                bool keeps, struct mio_err *err)
{
    mio_buf_z(b, before);
    if (r->address.n == 0) {
        mio_buf_z(b, "null");
        return MIO_OK;
    }
    struct mio_record known = *r;
    if (mio_has_unknown(known.attributes)) /* of an object that does not exist yet */
        known.attributes = mio_null();
    if (!mio_record_storable(&known, keeps)) {
        mio_fail(err, MIO_BUG, "a value that must not be stored (unknown, or sensitive in clear)");
        return mio_err_address(err, r->address);
    }
    mio_record_write(b, &known, keeps);
    return MIO_OK;
}

enum mio_code mio_payload_intent(struct mio_buf *b, const struct mio_jrn_intent *i, bool keeps,
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
    enum mio_code rc = put_record(b, ",\"target\":", &i->target, keeps, err);
    mio_buf_char(b, '}');
    return rc;
}

enum mio_code mio_payload_result(struct mio_buf *b, uint64_t op, const struct mio_record *result,
                                 bool keeps, const char *outcome, struct mio_str text,
                                 struct mio_err *err)
{
    put_u64(b, "{\"op\":", op);
    put_str(b, ",\"outcome\":", mio_str_z(outcome));
    put_str(b, ",\"text\":", text);
    enum mio_code rc = MIO_OK;
    if (result)
        rc = put_record(b, ",\"result\":", result, keeps, err);
    mio_buf_char(b, '}');
    return rc;
}

static bool u64_of(struct mio_value v, const char *key, uint64_t *out)
{
    return mio_str_u64(mio_get_str(v, key), out);
}

enum mio_code mio_payload_misread(struct mio_err *err)
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
    const struct mio_value *approvals = mio_get_z(v, "approvals");
    struct mio_jrn_origin o = {
        .begin = {.apply_id = mio_get_str(v, "apply_id"),
                  .lineage = mio_get_str(v, "lineage"),
                  .plan_digest = mio_get_str(v, "plan_digest"),
                  .tool_version = mio_get_str(v, "tool_version"),
                  .commit = mio_get_str(v, "commit"),
                  .signed_by = mio_get_str(v, "signed_by"),
                  .approvals = approvals ? *approvals : mio_null(),
                  .lazy = mio_str_is(mio_get_str(v, "durability"), "plan")},
        .boot = mio_get_str(v, "boot"),
        .salt = mio_get_str(v, "salt"),
        .stage = mio_get_str(v, "stage"),
        .sealed = sealed,
    };
    if (sealed && !mio_unhex(mio_get_str(v, "record_key"), o.record_key, sizeof o.record_key))
        return mio_payload_misread(err);
    if (!u64_of(v, "base_serial", &o.begin.base_serial) || !u64_of(v, "epoch", &o.begin.epoch) ||
        o.begin.lineage.n == 0 || o.salt.n != MIO_SHA256_HEX)
        return mio_payload_misread(err);
    *out = o;
    return MIO_OK;
}

bool mio_jrn_verb_of(struct mio_str name, enum mio_jrn_verb *out)
{
    for (size_t i = 0; i < sizeof verb_names / sizeof *verb_names; i++)
        if (mio_str_is(name, verb_names[i])) {
            *out = (enum mio_jrn_verb)i;
            return true;
        }
    return false;
}
