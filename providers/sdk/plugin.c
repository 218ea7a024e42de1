/* providers/sdk/plugin.c: see plugin.h. */
#include "providers/sdk/plugin.h"

enum mio_code mio_plugin_json(struct mio_arena *a, const char *text, struct mio_value *out,
                              struct mio_err *err)
{
    /* What the engine sends is as large as the plan; its own budgets were kept when it read the
     * template. */
    static const struct mio_json_limits ours = {.depth = 128, .nodes = SIZE_MAX};
    if (text)
        return mio_json_read(a, mio_str_z(text), &ours, out, err);
    *out = mio_null();
    return MIO_OK;
}

static int32_t code_of(enum mio_code code)
{
    switch (code) {
    case MIO_USAGE:
    case MIO_TEMPLATE:
        return MLOPS_E_TEMPLATE;
    case MIO_REALITY:
    case MIO_LOCKED:
    case MIO_STATE:
        return MLOPS_E_REALITY;
    case MIO_AUTH:
        return MLOPS_E_AUTH;
    case MIO_TRANSIENT:
        return MLOPS_E_TRANSIENT;
    case MIO_CANCELLED:
        return MLOPS_E_CANCELLED;
    case MIO_IO:
        return MLOPS_E_IO;
    case MIO_OK:
    case MIO_PROVIDER:
    case MIO_BUG:
        return MLOPS_E_PROVIDER;
    }
    return MLOPS_E_PROVIDER;
}

/* The message with its cause, as the wire has one text for both. */
static struct mlops_error error_of(const struct mio_err *err, char text[800])
{
    snprintf(text, 800, "%s%s%s", err->message, *err->cause ? ": " : "", err->cause);
    return (struct mlops_error){.size = sizeof(struct mlops_error),
                                .code = code_of(err->code),
                                .retry_after_ms = err->retry_after_ms,
                                .applied_unknown = err->ambiguous,
                                .message = text,
                                .hint = *err->hint ? err->hint : NULL};
}

int mio_plugin_fail(const struct mlops_call *c, const struct mio_err *err)
{
    char text[800];
    struct mlops_error e = error_of(err, text);
    c->fail(c, &e);
    return MLOPS_ERROR;
}

int mio_plugin_emit(struct mio_arena *a, const struct mlops_call *c, size_t index,
                    struct mio_str id, struct mio_str fingerprint, struct mio_value attributes)
{
    MIO_AUTO_BUF json;
    mio_buf_init(&json, 0);
    mio_json_write(&json, attributes, MIO_JSON_OPEN);
    struct mlops_object o = {.size = sizeof o,
                             .status = MLOPS_OK,
                             .id = mio_arena_z(a, id),
                             .fingerprint = fingerprint.n > 0 ? mio_arena_z(a, fingerprint) : NULL,
                             .attributes = json.p,
                             .attributes_len = json.n};
    c->emit(c, index, &o);
    return MLOPS_OK;
}

void mio_plugin_emit_status(const struct mlops_call *c, size_t index, enum mlops_status status)
{
    c->emit(c, index,
            &(struct mlops_object){.size = sizeof(struct mlops_object), .status = (int32_t)status});
}

void mio_plugin_emit_error(const struct mlops_call *c, size_t index, const struct mio_err *err)
{
    char text[800];
    struct mlops_error e = error_of(err, text);
    c->emit(c, index,
            &(struct mlops_object){
                .size = sizeof(struct mlops_object), .status = MLOPS_ERROR, .error = &e});
}

int mio_plugin_answer(const struct mlops_call *c, struct mio_value v)
{
    MIO_AUTO_BUF json;
    mio_buf_init(&json, 0);
    mio_json_write(&json, v, MIO_JSON_OPEN);
    c->answer(c, json.p, json.n);
    return MLOPS_OK;
}

const struct mlops_read_item *mio_plugin_item(const struct mlops_read_args *a, size_t i)
{
    const char *first = (const char *)a->items;
    return (const struct mlops_read_item *)(const void *)(first + i * a->items->size);
}
