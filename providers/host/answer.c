/* providers/host/answer.c: what a plugin answered, checked and turned into typed objects.
 *
 * In: bytes of an untrusted child. Out: objects in the caller's arena, or the error that says who
 * must act. */
#include "providers/host/provider.h"
#include "providers/sdk/json.h"

static enum mio_code code_of(uint32_t code)
{
    static const enum mio_code codes[] = {
        [MLOPS_E_TEMPLATE] = MIO_TEMPLATE,
        [MLOPS_E_REALITY] = MIO_REALITY,
        [MLOPS_E_AUTH] = MIO_AUTH,
        [MLOPS_E_TRANSIENT] = MIO_TRANSIENT,
        [MLOPS_E_PROVIDER] = MIO_PROVIDER,
        [MLOPS_E_CANCELLED] = MIO_CANCELLED,
        [MLOPS_E_IO] = MIO_IO,
        [MLOPS_E_DEADLINE] = MIO_PROVIDER,
    };
    return code < sizeof codes / sizeof *codes && codes[code] ? codes[code] : MIO_PROVIDER;
}

/* Reads an error of the plugin; false when it is garbage. */
static bool take_error(struct mio_in *in, uint8_t verb, struct mio_err *err)
{
    uint32_t code = mio_in_u32(in), retry_after = mio_in_u32(in);
    bool unknown = mio_in_u8(in);
    struct mio_str message = mio_in_str(in), hint = mio_in_str(in), attribute = mio_in_str(in);
    if (in->bad || !mio_str_utf8(message) || !mio_str_utf8(hint) || !mio_str_utf8(attribute))
        return false;
    if (message.n == 0)
        message = MIO_STR("the plugin failed without a word");
    if (attribute.n > 0)
        mio_fail(err, code_of(code), "%.*s: %.*s", MIO_FMT(attribute), MIO_FMT(message));
    else
        mio_fail(err, code_of(code), "%.*s", MIO_FMT(message));
    if (hint.n > 0)
        mio_err_hint(err, "%.*s", MIO_FMT(hint));
    if (code == MLOPS_E_DEADLINE)
        mio_err_hint(err, "raise the timeout of the resource, or see why the platform is slow");
    err->retry_after_ms = retry_after;
    err->ambiguous = mio_provider_changes(verb) && (unknown || code == MLOPS_E_DEADLINE);
    return true;
}

enum mio_code mio_answer_open(struct mio_provider *p, uint8_t verb, const struct mio_answer *a,
                              struct mio_objects *out, struct mio_err *err)
{
    struct mio_in in = {.p = a->payload, .end = a->payload + a->n};
    if (a->outcome == MIO_OUT_FAIL) {
        if (take_error(&in, verb, err))
            return err->code;
        return mio_provider_breach(p, verb, MIO_STR("an error that is no text"), err);
    }
    if (a->outcome == MIO_OUT_LARGE)
        return mio_provider_breach(p, verb, MIO_STR("an answer beyond 16 MiB"), err);
    if (a->outcome != MIO_OUT_OK) {
        struct mio_str what = mio_in_str(&in);
        if (in.bad || !mio_str_utf8(what))
            what = MIO_STR("garbage");
        return mio_provider_breach(p, verb, what, err);
    }
    out->n = mio_in_u32(&in);
    out->status = mio_in_raw(&in, out->n);
    uint32_t bytes = mio_in_u32(&in);
    const uint8_t *data = mio_in_raw(&in, bytes);
    out->data = (struct mio_in){.p = data, .end = data ? data + bytes : data};
    out->answer = mio_in_str(&in);
    if (in.bad || in.p != in.end)
        return mio_provider_breach(p, verb, MIO_STR("an answer that does not add up"), err);
    return MIO_OK;
}

/* Steps over one record; false when it is garbage. */
static bool skip_record(struct mio_in *in, uint8_t status)
{
    if (status == MLOPS_ERROR)
        mio_in_raw(in, 9); /* code, retry after, applied_unknown */
    for (int i = 0; i < 3; i++)
        mio_in_str(in);
    return !in->bad;
}

bool mio_answer_index(const struct mio_objects *objects, const uint8_t **at)
{
    memset(at, 0, objects->n * sizeof *at);
    struct mio_in in = objects->data;
    while (in.p < in.end) {
        uint32_t i = mio_in_u32(&in);
        if (in.bad || i >= objects->n || at[i])
            return false;
        at[i] = in.p;
        if (!skip_record(&in, objects->status[i]))
            return false;
    }
    for (size_t i = 0; i < objects->n; i++) {
        uint8_t s = objects->status[i];
        if (s > MLOPS_ERROR || (at[i] != NULL) != (s == MLOPS_OK || s == MLOPS_ERROR))
            return false;
    }
    return true;
}

static bool take_object(struct mio_arena *a, struct mio_in *in, struct mio_object *out,
                        struct mio_err *why)
{
    struct mio_str id = mio_in_str(in), fingerprint = mio_in_str(in), attributes = mio_in_str(in);
    if (in->bad || !mio_str_utf8(id) || !mio_str_utf8(fingerprint)) {
        mio_fail(why, MIO_PROVIDER, "an id or fingerprint that is no text");
        return false;
    }
    out->id = mio_arena_str(a, id);
    out->fingerprint = mio_arena_str(a, fingerprint);
    out->attributes_json = mio_arena_str(a, attributes);
    if (mio_json_read(a, out->attributes_json, NULL, &out->attributes, why))
        return false;
    if (out->attributes.type != MIO_MAP)
        mio_fail(why, MIO_PROVIDER, "attributes that are no JSON object");
    return why->code == MIO_OK;
}

bool mio_answer_object(struct mio_provider *p, struct mio_arena *a, uint8_t status,
                       const uint8_t *at, const uint8_t *end, uint8_t verb, struct mio_object *out,
                       struct mio_err *err)
{
    struct mio_in in = {.p = at, .end = end};
    *out = (struct mio_object){.status = (enum mlops_status)status};
    if (!at)
        return true;
    if (out->status == MLOPS_ERROR) {
        if (take_error(&in, verb, &out->error))
            return true;
        mio_provider_breach(p, verb, MIO_STR("an error that is no text"), err);
        return false;
    }
    struct mio_err why = {0};
    if (take_object(a, &in, out, &why))
        return true;
    char text[320];
    snprintf(text, sizeof text, "bad JSON: %.280s", why.message);
    mio_provider_breach(p, verb, mio_str_z(text), err);
    return false;
}
