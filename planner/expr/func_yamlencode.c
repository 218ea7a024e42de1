/* planner/expr/func_yamlencode.c: yamlencode(): quoted strings, block collections, as Terraform
 * writes them. */
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "providers/sdk/buf.h"
#include <yaml.h>

struct writer {
    struct mio_arena *a;
    struct mio_buf *b;
    yaml_emitter_t emitter;
    bool bad;
};

static int append(void *arg, unsigned char *p, size_t n)
{
    mio_buf_add(((struct writer *)arg)->b, p, n);
    return 1;
}

static void emit(struct writer *w, yaml_event_t *e, int made)
{
    w->bad |= !made || !yaml_emitter_emit(&w->emitter, e);
}

static void put_scalar(struct writer *w, struct mio_str s, yaml_scalar_style_t style)
{
    yaml_event_t e;
    emit(w, &e,
         yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s.p, (int)s.n, 1, 1,
                                      style));
}

static void put_string(struct writer *w, struct mio_str s, bool key)
{
    bool lines = !key && memchr(s.p, '\n', s.n);
    put_scalar(w, s, lines ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static void put_value(struct writer *w, struct mio_value v)
{
    yaml_event_t e;
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
    case MIO_UNKNOWN:
        put_scalar(w, MIO_STR("null"), YAML_PLAIN_SCALAR_STYLE);
        return;
    case MIO_BOOL:
        put_scalar(w, v.b ? MIO_STR("true") : MIO_STR("false"), YAML_PLAIN_SCALAR_STYLE);
        return;
    case MIO_NUMBER:
        mio_num_literal(w->a, mio_value_str(v), &v);
        put_scalar(w, mio_value_str(v), YAML_PLAIN_SCALAR_STYLE);
        return;
    case MIO_STRING:
        put_string(w, mio_value_str(v), false);
        return;
    case MIO_LIST:
        emit(w, &e,
             yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
        for (uint32_t i = 0; i < v.n; i++)
            put_value(w, v.items[i]);
        emit(w, &e, yaml_sequence_end_event_initialize(&e));
        return;
    case MIO_MAP:
        break;
    }
    emit(w, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    for (uint32_t i = 0; i < v.n; i++) {
        put_string(w, v.pairs[i].key, true);
        put_value(w, v.pairs[i].value);
    }
    emit(w, &e, yaml_mapping_end_event_initialize(&e));
}

enum mio_code mio_fn_yamlencode(struct mio_call *c, struct mio_value *out)
{
    MIO_AUTO_BUF b;
    struct writer w = {.a = c->a, .b = &b};
    yaml_event_t e;
    mio_buf_init(&b, MIO_MAX_TEXT);
    if (!yaml_emitter_initialize(&w.emitter))
        return mio_fail(c->err, MIO_IO, "libyaml cannot start");
    yaml_emitter_set_output(&w.emitter, append, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    emit(&w, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
    emit(&w, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
    put_value(&w, c->args[0]);
    emit(&w, &e, yaml_document_end_event_initialize(&e, 1));
    emit(&w, &e, yaml_stream_end_event_initialize(&e));
    yaml_emitter_delete(&w.emitter);
    if (w.bad)
        return mio_call_fail(c, 0, NULL, "it cannot be written as YAML");
    /* A bare scalar is followed by the end of the document, as older emitters do it. */
    if (c->args[0].type <= MIO_NUMBER && !mio_str_ends(mio_buf_view(&b), "...\n"))
        mio_buf_z(&b, "...\n");
    return mio_call_text(c, &b, out);
}
