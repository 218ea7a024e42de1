/* providers/environment/yaml.c: libyaml's document, frozen. */
#include "providers/environment/yaml.h"
#include <yaml.h>

enum { MAX_DEPTH = 64, MAX_VALUES = 2000000 };

struct reader {
    struct mio_arena *a;
    yaml_document_t *doc;
    size_t made; /* aliases are copied: their number is bounded */
    struct mio_err *err;
};

static enum mio_code freeze(struct reader *r, int id, int depth, struct mio_value *out);

static struct mio_str text_of(struct reader *r, const yaml_node_t *n)
{
    return mio_arena_str(
        r->a, (struct mio_str){(const char *)n->data.scalar.value, n->data.scalar.length});
}

static enum mio_code bad(struct reader *r, const yaml_node_t *n, const char *what)
{
    return mio_fail(r->err, MIO_TEMPLATE, "line %zu: %s", n->start_mark.line + 1, what);
}

static enum mio_code freeze_map(struct reader *r, const yaml_node_t *n, int depth,
                                struct mio_value *out)
{
    size_t count = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    struct mio_pair *pairs = MIO_NEW_N(r->a, struct mio_pair, count + 1);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_pair_t *p = &n->data.mapping.pairs.start[i];
        const yaml_node_t *key = yaml_document_get_node(r->doc, p->key);
        if (key->type != YAML_SCALAR_NODE)
            return bad(r, key, "a key that is no text");
        pairs[i].key = text_of(r, key);
        if (freeze(r, p->value, depth + 1, &pairs[i].value))
            return r->err->code;
    }
    *out = mio_map(pairs, count);
    return MIO_OK;
}

static enum mio_code freeze_list(struct reader *r, const yaml_node_t *n, int depth,
                                 struct mio_value *out)
{
    size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    struct mio_value *items = MIO_NEW_N(r->a, struct mio_value, count + 1);
    for (size_t i = 0; i < count; i++)
        if (freeze(r, n->data.sequence.items.start[i], depth + 1, &items[i]))
            return r->err->code;
    *out = mio_list(items, count);
    return MIO_OK;
}

static enum mio_code freeze(struct reader *r, int id, int depth, struct mio_value *out)
{
    const yaml_node_t *n = yaml_document_get_node(r->doc, id);
    if (depth > MAX_DEPTH || ++r->made > MAX_VALUES)
        return bad(r, n, "too deep or too large");
    if (n->type == YAML_MAPPING_NODE)
        return freeze_map(r, n, depth, out);
    if (n->type == YAML_SEQUENCE_NODE)
        return freeze_list(r, n, depth, out);
    struct mio_str s = text_of(r, n);
    bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    *out =
        plain && (!s.n || mio_str_is(s, "null") || mio_str_is(s, "~")) ? mio_null() : mio_string(s);
    return MIO_OK;
}

enum mio_code mio_env_yaml(struct mio_arena *a, struct mio_str text, struct mio_value *out,
                           struct mio_err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        return mio_fail(err, MIO_IO, "libyaml cannot start");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    if (!yaml_parser_load(&parser, &doc)) {
        mio_fail(err, MIO_TEMPLATE, "line %zu: %s", parser.problem_mark.line + 1,
                 parser.problem ? parser.problem : "no YAML");
        yaml_parser_delete(&parser);
        return err->code;
    }
    struct reader r = {.a = a, .doc = &doc, .err = err};
    *out = mio_null();
    if (yaml_document_get_root_node(&doc))
        freeze(&r, 1, 0, out);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return err->code;
}
