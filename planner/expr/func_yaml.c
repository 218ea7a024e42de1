/* planner/expr/func_yaml.c: yamldecode(): the event stream of libyaml to values, by Terraform's
 * rules of YAML 1.1. */
#include "planner/expr/civil.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "planner/expr/text.h"
#include "providers/sdk/map.h"
#include <ctype.h>
#include <yaml.h>

enum { MAX_DEPTH = 64, MAX_NODES = 1000000 };

struct reader {
    struct mio_call *c;
    yaml_parser_t parser;
    yaml_event_t event;
    bool have;
    struct mio_index anchors; /* name to struct anchor */
    size_t nodes;
};
struct anchor {
    struct mio_value value;
    size_t nodes; /* how many an alias stands for */
    bool done;
};

static void reader_close(struct reader *r)
{
    if (r->have)
        yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}
#define AUTO_READER __attribute__((cleanup(reader_close))) struct reader

static enum mio_code fail(struct reader *r, const char *what)
{
    yaml_mark_t at = r->have ? r->event.start_mark : r->parser.problem_mark;
    return mio_call_fail(r->c, 0, NULL, "line %zu, column %zu: %s", at.line + 1, at.column + 1,
                         what);
}

static enum mio_code next(struct reader *r)
{
    if (r->have)
        yaml_event_delete(&r->event);
    r->have = false;
    if (!yaml_parser_parse(&r->parser, &r->event))
        return fail(r, r->parser.problem ? r->parser.problem : "this is no YAML");
    r->have = true;
    return MIO_OK;
}

/* ---- scalars ---- */

static bool one_of(struct mio_str s, const char *const *words)
{
    for (; *words; words++)
        if (mio_str_is(s, *words))
            return true;
    return false;
}

/* 2001-1-2 and the longer forms as RFC 3339; false when it is none. */
static bool timestamp(struct mio_call *c, struct mio_str s, struct mio_value *out)
{
    char text[64], zone[16] = "";
    int y, mo, d, h = 0, mi = 0, sec = 0, n = 0, k = 0;
    snprintf(text, sizeof text, "%.*s", MIO_FMT(s));
    if (s.n >= sizeof text || s.n < 8 || !isdigit((unsigned char)s.p[0]) || s.p[4] != '-')
        return false;
    if (sscanf(text, "%4d-%2d-%2d%n", &y, &mo, &d, &n) < 3 || !n)
        return false;
    const char *p = text + n;
    if (*p && (!strchr("Tt ", *p) || sscanf(p + 1, "%2d:%2d:%2d%n", &h, &mi, &sec, &k) < 3 || !k))
        return false;
    p += *p ? k + 1 : 0;
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p);)
            p++;
    snprintf(zone, sizeof zone, "%s", *p ? p : "Z");
    struct civil t;
    struct mio_str full =
        mio_arena_printf(c->a, "%04d-%02d-%02dT%02d:%02d:%02d%s", y, mo, d, h, mi, sec, zone);
    if (!mio_civil_parse(full, &t))
        return false;
    *out = mio_string(mio_civil_text(c->a, t));
    return true;
}

static bool number(struct mio_call *c, struct mio_str s, struct mio_value *out)
{
    struct mio_str digits = s;
    bool neg = s.n && *s.p == '-';
    if (s.n && (*s.p == '-' || *s.p == '+'))
        digits = mio_str_sub(s, 1, s.n);
    int base = mio_str_starts(digits, "0x") ? 16 : mio_str_starts(digits, "0o") ? 8 : 0;
    if (!base)
        return mio_num_parse(c->a, s, out);
    digits = mio_str_sub(digits, 2, digits.n);
    if (!digits.n || !isxdigit((unsigned char)*digits.p) || !mio_num_base(c->a, digits, base, out))
        return false;
    if (neg)
        *out = mio_num_neg(c->a, *out);
    return true;
}

static enum mio_code plain(struct reader *r, struct mio_str s, struct mio_value *out)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const YES[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const NO[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                     "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const NOT_FINITE[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                             "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                             ".NaN",  ".NAN",  NULL};
    if (one_of(s, NULLS))
        *out = mio_null();
    else if (one_of(s, YES) || one_of(s, NO))
        *out = mio_bool(one_of(s, YES));
    else if (one_of(s, NOT_FINITE))
        return fail(r, "infinite numbers and NaN have no value here");
    else if (!number(r->c, s, out) && !timestamp(r->c, s, out))
        *out = mio_string(s);
    return MIO_OK;
}

#define TAG(name) "tag:yaml.org,2002:" name

static enum mio_code scalar(struct reader *r, struct mio_value *out)
{
    static const char *const KNOWN[] = {TAG("str"),       TAG("int"),  TAG("float"),
                                        TAG("bool"),      TAG("null"), TAG("binary"),
                                        TAG("timestamp"), "!",         NULL};
    struct mio_str s =
        mio_arena_str(r->c->a, (struct mio_str){(const char *)r->event.data.scalar.value,
                                                r->event.data.scalar.length});
    struct mio_str tag = mio_str_z((const char *)r->event.data.scalar.tag);
    if (!mio_str_utf8(s))
        return fail(r, "the text holds a NUL");
    s = mio_text_nfc(r->c->a, s);
    if (tag.n && !one_of(tag, KNOWN))
        return fail(r, "this tag is not supported");
    bool text =
        mio_str_is(tag, TAG("str")) || mio_str_is(tag, TAG("binary")) || mio_str_is(tag, "!");
    if (text || r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        *out = mio_string(s);
        return MIO_OK;
    }
    return plain(r, s, out);
}

/* ---- collections ---- */

static enum mio_code node(struct reader *r, int depth, struct mio_value *out);

static enum mio_code sequence(struct reader *r, int depth, struct mio_value *out)
{
    struct mio_value *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        enum mio_code code = next(r);
        if (code)
            return code;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        struct mio_value v;
        code = node(r, depth + 1, &v);
        if (code)
            return code;
        MIO_PUSH(r->c->a, items, n, cap) = v;
    }
    *out = mio_list(items, n);
    return MIO_OK;
}

/* << brings the pairs of a map, or of a list of maps; the map's own pairs win. */
static enum mio_code merge(struct reader *r, struct mio_value from, struct mio_value *into)
{
    if (from.type == MIO_MAP) {
        *into = mio_map_merge(r->c->a, from, *into);
        return MIO_OK;
    }
    if (from.type != MIO_LIST)
        return fail(r, "<< takes a map or a list of maps");
    for (uint32_t i = from.n; i--;) {
        if (from.items[i].type != MIO_MAP)
            return fail(r, "<< takes a map or a list of maps");
        *into = mio_map_merge(r->c->a, *into, from.items[i]);
    }
    return MIO_OK;
}

static enum mio_code map_key(struct reader *r, int depth, struct mio_str *key, bool *merges)
{
    struct mio_value v;
    struct mio_err err = {0};
    *merges = r->event.type == YAML_SCALAR_EVENT &&
              r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !r->event.data.scalar.tag &&
              !strcmp((const char *)r->event.data.scalar.value, "<<");
    enum mio_code code = node(r, depth + 1, &v);
    if (code)
        return code;
    if (v.type == MIO_NULL || mio_to_string(r->c->a, v, &v, &err))
        return fail(r, "a key must be a string, number or bool");
    *key = mio_value_str(v);
    return MIO_OK;
}

static enum mio_code mapping(struct reader *r, int depth, struct mio_value *out)
{
    struct mio_pair *pairs = NULL;
    struct mio_value merged = mio_map(NULL, 0);
    size_t n = 0, cap = 0;
    for (;;) {
        enum mio_code code = next(r);
        if (code)
            return code;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        struct mio_pair pair;
        bool merges;
        code = map_key(r, depth, &pair.key, &merges);
        if (!code)
            code = next(r);
        if (!code)
            code = node(r, depth + 1, &pair.value);
        if (!code && merges)
            code = merge(r, pair.value, &merged);
        if (code)
            return code;
        if (!merges)
            MIO_PUSH(r->c->a, pairs, n, cap) = pair;
    }
    *out = mio_map(pairs, n);
    if (merged.n)
        *out = mio_map_merge(r->c->a, merged, *out);
    return MIO_OK;
}

static enum mio_code alias(struct reader *r, struct mio_value *out)
{
    uintptr_t slot;
    struct mio_str name = mio_str_z((const char *)r->event.data.alias.anchor);
    if (!mio_index_get(&r->anchors, name, &slot))
        return fail(r, "there is no such anchor");
    const struct anchor *a = (const struct anchor *)slot;
    if (!a->done)
        return fail(r, "an anchor cannot contain itself");
    r->nodes += a->nodes;
    *out = a->value;
    return MIO_OK;
}

static enum mio_code node(struct reader *r, int depth, struct mio_value *out)
{
    const yaml_char_t *name = NULL;
    const char *tag = NULL;
    yaml_event_type_t type = r->event.type;
    if (++r->nodes > MAX_NODES || depth > MAX_DEPTH)
        return fail(r, "the document is too large or nested too deep");
    if (type == YAML_ALIAS_EVENT)
        return alias(r, out);
    if (type == YAML_SCALAR_EVENT) {
        name = r->event.data.scalar.anchor;
    } else if (type == YAML_SEQUENCE_START_EVENT) {
        name = r->event.data.sequence_start.anchor;
        tag = (const char *)r->event.data.sequence_start.tag;
    } else if (type == YAML_MAPPING_START_EVENT) {
        name = r->event.data.mapping_start.anchor;
        tag = (const char *)r->event.data.mapping_start.tag;
    } else {
        return fail(r, "a value is missing");
    }
    if (tag && strcmp(tag, TAG("seq")) && strcmp(tag, TAG("map")))
        return fail(r, "this tag is not supported");
    struct anchor *a = NULL;
    if (name) {
        a = MIO_NEW(r->c->a, struct anchor);
        mio_index_set(&r->anchors, mio_arena_str(r->c->a, mio_str_z((const char *)name)),
                      (uintptr_t)a);
    }
    size_t before = r->nodes;
    enum mio_code code = type == YAML_SCALAR_EVENT           ? scalar(r, out)
                         : type == YAML_SEQUENCE_START_EVENT ? sequence(r, depth, out)
                                                             : mapping(r, depth, out);
    if (!code && a)
        *a = (struct anchor){.value = *out, .nodes = r->nodes - before + 1, .done = true};
    return code;
}

enum mio_code mio_fn_yamldecode(struct mio_call *c, struct mio_value *out)
{
    AUTO_READER r = {.c = c};
    struct mio_str s = mio_value_str(c->args[0]);
    mio_index_init(&r.anchors, c->a, 0);
    if (!yaml_parser_initialize(&r.parser))
        return mio_fail(c->err, MIO_IO, "libyaml cannot start");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)s.p, s.n);
    enum mio_code code = next(&r); /* stream start */
    if (!code)
        code = next(&r);
    if (!code && r.event.type != YAML_DOCUMENT_START_EVENT)
        return mio_call_fail(c, 0, NULL, "there is no document in it");
    if (!code)
        code = next(&r);
    struct mio_value v;
    if (!code)
        code = node(&r, 0, &v);
    if (!code)
        code = next(&r); /* document end */
    if (!code)
        code = next(&r);
    if (!code && r.event.type != YAML_STREAM_END_EVENT)
        return fail(&r, "only one document is allowed");
    if (!code)
        *out = v;
    return code;
}
