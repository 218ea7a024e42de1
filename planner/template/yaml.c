/* planner/template/yaml.c: libyaml's events to a frozen tree of positioned nodes.
 *
 * In: one text of struct mio_sources. Out: struct mio_node, or diagnostics.
 * Never: yaml_parser_load (it has no limits). Depth, nodes, aliases and scalar sizes are counted
 * while events arrive, so that a hostile file is left at the first event beyond its budget. */
#include "planner/template/yaml.h"
#include "planner/template/scalar.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/map.h"
#include <stdarg.h>

struct anchor {
    const struct mio_node *node; /* NULL until it is complete */
    size_t size;                 /* nodes below it, aliases counted each time */
    unsigned height;
};
struct frame { /* one open collection */
    struct mio_node *node;
    struct anchor *anchor;
    size_t first; /* its children begin here in parse.children */
    size_t size;
    unsigned height;
    bool have_key, merges;
    struct mio_str key;
    struct mio_pos key_pos;
};
struct parse {
    struct mio_arena *arena;
    struct mio_diags *diags;
    struct mio_yaml_lines lines;
    bool expand, stop;
    size_t said, nodes, expanded;
    struct frame frames[MIO_YAML_MAX_DEPTH];
    unsigned depth;
    struct mio_entry *children; /* of all open collections, innermost last; owned */
    size_t nchildren, room;
    struct mio_index anchors;
    const struct mio_node *root;
};

/* n more were said, the last of them at pos. */
static void count_errors(struct parse *p, struct mio_pos pos, size_t n)
{
    p->said += n;
    if (p->stop || p->said < MIO_YAML_MAX_ERRORS)
        return;
    mio_diags_error(p->diags, MIO_TEMPLATE, pos, "mend these first",
                    "too many errors in this file: the rest is not shown");
    p->stop = true;
}

__attribute__((format(printf, 4, 5))) static void complain(struct parse *p, struct mio_pos pos,
                                                           const char *hint, const char *fmt, ...)
{
    if (p->stop)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mio_diags_error(p->diags, MIO_TEMPLATE, pos, hint, "%s", text);
    count_errors(p, pos, 1);
}

/* Scalars */

static struct mio_str event_text(struct parse *p, const yaml_event_t *e, size_t from)
{
    struct mio_str value = {(const char *)e->data.scalar.value, e->data.scalar.length};
    bool quoted = e->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
                  e->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    struct mio_str written = mio_str_sub(p->lines.text, from + quoted, value.n);
    if (mio_str_eq(written, value))
        return written; /* as it stands in the file: no copy */
    return mio_arena_str(p->arena, value);
}

static void check_escapes(struct parse *p, struct mio_str s, struct mio_pos pos)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xe0) == 0x80;
        if (c1 || c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r')) {
            complain(p, pos, "leave the escape out; no resource can hold such a character",
                     "control character U+%04X written as an escape",
                     c1 ? (unsigned)(unsigned char)s.p[i + 1] : (unsigned)c);
            return;
        }
    }
}

/* Where the first byte of the text stands, for the positions inside an expression. */
static struct mio_pos content_pos(const struct parse *p, const yaml_event_t *e, struct mio_pos pos,
                                  size_t from, size_t to)
{
    switch (e->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        pos.col++;
        pos.len = pos.len > 2 ? pos.len - 2 : 1;
        return pos;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE: {
        struct mio_str text = p->lines.text;
        while (from < to && text.p[from] != '\n')
            from++;
        while (from < to && (text.p[from] == '\n' || text.p[from] == ' ' || text.p[from] == '\r'))
            from++;
        return mio_yaml_pos_at(&p->lines, from, 1);
    }
    case YAML_ANY_SCALAR_STYLE:
    case YAML_PLAIN_SCALAR_STYLE:
        return pos;
    }
    return pos;
}

/* The first byte after the scalar that is no blank, 0 at the end: `#` cut it as a comment, `:` as a
 * key. */
static char after(const struct parse *p, size_t to)
{
    struct mio_str text = p->lines.text;
    while (to < text.n && (text.p[to] == ' ' || text.p[to] == '\t'))
        to++;
    return to < text.n ? text.p[to] : 0;
}

static void expand(struct parse *p, const yaml_event_t *e, struct mio_node *n, size_t from,
                   size_t to)
{
    char next = n->plain && mio_yaml_unclosed(n->text) ? after(p, to) : 0;
    if (next == '#')
        complain(p, n->pos, MIO_YAML_QUOTE_HINT, "this expression is cut short by ` #`");
    if (next == '#' || next == ':') /* of the colon libyaml complains next */
        return;
    size_t before = p->diags->errors;
    n->expr = mio_expr_template(p->arena, n->text, content_pos(p, e, n->pos, from, to), p->diags);
    count_errors(p, n->pos, p->diags->errors - before);
    n->literal = mio_null();
}

static void note(struct parse *p, enum mio_scalar_note what, const struct mio_node *n)
{
    switch (what) {
    case MIO_SCALAR_FINE:
        return;
    case MIO_SCALAR_BOOL_WORD:
        mio_diags_warn(p->diags, n->pos, "write true or false, or put the word in quotes",
                       "`%.*s` is a string here, not a bool", MIO_FMT(n->text));
        return;
    case MIO_SCALAR_UNDERSCORES:
        mio_diags_warn(p->diags, n->pos, "leave the underscores out, or put it in quotes",
                       "`%.*s` is a string here, not a number", MIO_FMT(n->text));
        return;
    case MIO_SCALAR_LEADING_ZERO:
        mio_diags_warn(p->diags, n->pos, "write 0o... for octal, or put it in quotes",
                       "`%.*s` is a decimal number here: its leading zeros mean nothing",
                       MIO_FMT(n->text));
        return;
    case MIO_SCALAR_NOT_FINITE:
        complain(p, n->pos, "put it in quotes if the word is meant",
                 "`%.*s` is no value a resource can have", MIO_FMT(n->text));
        return;
    case MIO_SCALAR_TOO_LARGE:
        complain(p, n->pos, "put it in quotes if the text is meant",
                 "`%.*s` does not fit into 64 bits", MIO_FMT(n->text));
        return;
    }
}

/* `!!int "5"` and the like: the tag decides where it is one of the core schema's. */
static void resolve_tagged(struct parse *p, const char *tag, struct mio_node *n)
{
    static const struct {
        const char *tag;
        enum mio_type type;
    } tags[] = {{YAML_NULL_TAG, MIO_NULL},  {YAML_BOOL_TAG, MIO_BOOL},
                {YAML_INT_TAG, MIO_NUMBER}, {YAML_FLOAT_TAG, MIO_NUMBER},
                {YAML_STR_TAG, MIO_STRING}, {"!", MIO_STRING}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strcmp(tag, tags[i].tag) != 0)
            continue;
        if (tags[i].type == MIO_STRING)
            return;
        struct mio_value v;
        mio_scalar_resolve(p->arena, n->text, &v);
        if (v.type == tags[i].type)
            n->literal = v;
        else
            complain(p, n->pos, NULL, "`%.*s` is no %s, as its tag says", MIO_FMT(n->text),
                     mio_type_name(tags[i].type));
        return;
    }
    complain(p, n->pos, "remove it; functions are written as expressions: \"${...}\"",
             "the tag `%s` has no meaning here", tag);
}

static void make_scalar(struct parse *p, const yaml_event_t *e, bool is_key, struct mio_node *n)
{
    size_t from = mio_yaml_offset(&p->lines, &e->start_mark),
           to = mio_yaml_offset(&p->lines, &e->end_mark);
    *n = (struct mio_node){.type = MIO_NODE_SCALAR};
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = event_text(p, e, from);
    bool block = e->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
                 e->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
    n->pos = mio_yaml_place(&p->lines, &e->start_mark, from, block ? 1 : to - from);
    if (e->data.scalar.length > MIO_YAML_MAX_SCALAR)
        complain(p, n->pos, "keep large content in a file of its own and name its path",
                 "this text is larger than 1 MiB");
    if (e->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE &&
        n->text.p != p->lines.text.p + from + 1)
        check_escapes(p, n->text, n->pos);
    n->literal = mio_string(n->text);
    if (is_key)
        return;
    if (e->data.scalar.tag)
        resolve_tagged(p, (const char *)e->data.scalar.tag, n);
    else if (p->expand && mio_expr_needed(n->text))
        expand(p, e, n, from, to);
    else if (n->plain)
        note(p, mio_scalar_resolve(p->arena, n->text, &n->literal), n);
}

/* Collections */

/* Nothing is evaluated in a key, but `$${` and `%%{` mean `${` and `%{` as they do in a value.
 * False: there is an expression. */
static bool unescape(struct mio_arena *a, struct mio_str *key)
{
    char *text = mio_arena_alloc(a, key->n + 1);
    size_t n = 0;
    for (size_t i = 0; i < key->n; i++) {
        struct mio_str rest = mio_str_sub(*key, i, key->n);
        if (mio_str_starts(rest, "$${") || mio_str_starts(rest, "%%{")) {
            text[n++] = key->p[i++];
            text[n++] = key->p[++i];
            continue;
        }
        if (mio_str_starts(rest, "%{") ||
            (mio_str_starts(rest, "${") && !mio_str_starts(rest, "${{")))
            return false;
        text[n++] = key->p[i];
    }
    *key = (struct mio_str){text, n};
    return true;
}

/* The key's text, once it has been looked at. */
static struct mio_str check_key(struct parse *p, const struct mio_node *key)
{
    struct mio_str text = key->text;
    if (key->type != MIO_NODE_SCALAR) {
        size_t at = p->lines.starts[key->pos.line - 1] + key->pos.col - 1;
        if (at && mio_str_starts(mio_str_sub(p->lines.text, at - 1, 2), "{{")) {
            complain(p, key->pos, MIO_YAML_FILL_HINT, "a `{{...}}` placeholder is no YAML value");
            p->stop = true; /* what follows is no YAML either */
        } else {
            complain(p, key->pos, NULL, "a key must be a word, not a %s",
                     key->type == MIO_NODE_SEQ ? "list" : "mapping");
        }
    } else if (!key->text.n && key->plain) {
        complain(p, key->pos, NULL, "a key is missing in front of `:`");
    } else if (p->expand && mio_expr_needed(text) && !unescape(p->arena, &text)) {
        complain(p, key->pos,
                 "make the whole mapping with an expression: \"${ {for k, v in ... : k => v} }\"",
                 "a key cannot hold an expression");
    }
    return text;
}

static void add(struct parse *p, const struct mio_node *n, size_t size, unsigned height)
{
    if (!p->depth) {
        p->root = n;
        return;
    }
    struct frame *f = &p->frames[p->depth - 1];
    f->size += size;
    if (f->height < height + 1)
        f->height = height + 1;
    if (f->node->type == MIO_NODE_MAP && !f->have_key) {
        f->key = check_key(p, n);
        f->key_pos = n->pos;
        f->have_key = true;
        f->merges = f->merges || (n->plain && mio_str_is(n->text, "<<"));
        return;
    }
    if (p->nchildren == p->room) {
        p->room = p->room ? p->room * 2 : 256;
        p->children = mio_realloc(p->children, p->room, sizeof *p->children);
    }
    struct mio_entry *c = &p->children[p->nchildren++];
    *c = (struct mio_entry){.value = n};
    if (f->have_key) {
        c->key = f->key;
        c->key_pos = f->key_pos;
        f->have_key = false;
    }
}

static struct anchor *new_anchor(struct parse *p, const yaml_char_t *name)
{
    if (!name)
        return NULL;
    struct anchor *an = MIO_NEW(p->arena, struct anchor);
    mio_index_set(&p->anchors, mio_arena_str(p->arena, mio_str_z((const char *)name)),
                  (uintptr_t)an);
    return an;
}

static void open_collection(struct parse *p, const yaml_event_t *e)
{
    bool map = e->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    struct mio_pos pos = mio_yaml_pos(&p->lines, &e->start_mark, 1);
    if (p->depth == MIO_YAML_MAX_DEPTH) {
        complain(p, pos, NULL, "nested deeper than %d levels", MIO_YAML_MAX_DEPTH);
        p->stop = true;
        return;
    }
    if (tag && strcmp((const char *)tag, map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        complain(p, pos, "remove it; functions are written as expressions: \"${...}\"",
                 "the tag `%s` has no meaning here", (const char *)tag);
    struct frame *f = &p->frames[p->depth++];
    *f = (struct frame){.node = MIO_NEW(p->arena, struct mio_node), .first = p->nchildren};
    f->node->type = map ? MIO_NODE_MAP : MIO_NODE_SEQ;
    f->node->pos = pos;
    f->anchor = new_anchor(p, map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor);
    f->size = 1;
}

/* Drops repeated keys (the first one stays) and says so. Returns how many are left. */
static size_t refuse_repeated(struct parse *p, struct mio_entry *c, size_t n)
{
    enum { FEW = 12 };
    struct mio_arena scratch;
    struct mio_index seen;
    mio_arena_init(&scratch);
    if (n > FEW)
        mio_index_init(&seen, &scratch, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t first = kept;
        if (n > FEW) {
            uintptr_t at;
            if (!mio_index_add(&seen, c[i].key, kept) && mio_index_get(&seen, c[i].key, &at))
                first = at;
        } else {
            for (first = 0; first < kept && !mio_str_eq(c[first].key, c[i].key);)
                first++;
        }
        if (first == kept)
            c[kept++] = c[i];
        else
            complain(p, c[i].key_pos, "remove one of them, or merge what they hold",
                     "the key `%.*s` is here a second time: line %u has it already",
                     MIO_FMT(c[i].key), c[first].key_pos.line);
    }
    mio_arena_free(&scratch);
    return kept;
}

static void merge_from(struct parse *p, struct mio_node *into, size_t *cap,
                       const struct mio_node *from, struct mio_index *keys)
{
    if (from->type != MIO_NODE_MAP) {
        complain(p, from->pos, "`<<` takes an alias of a mapping, or a list of them",
                 "only a mapping can be merged");
        return;
    }
    struct mio_entry *entries = (struct mio_entry *)(uintptr_t)into->entries;
    for (size_t i = 0; i < from->n; i++) {
        if (!mio_index_add(keys, from->entries[i].key, 0))
            continue;
        MIO_PUSH(p->arena, entries, into->n, *cap) = from->entries[i];
        into->entries = entries;
    }
}

/* `<<: *defaults`: keys of the merged mapping that the mapping itself has not. */
static void merge(struct parse *p, struct mio_node *n)
{
    struct mio_node merged = {.type = MIO_NODE_MAP};
    size_t cap = 0;
    struct mio_entry *entries = NULL;
    struct mio_arena scratch;
    struct mio_index keys;
    mio_arena_init(&scratch);
    mio_index_init(&keys, &scratch, n->n + mio_node_get(n, "<<")->n);
    for (size_t i = 0; i < n->n; i++) {
        mio_index_add(&keys, n->entries[i].key, 0);
        if (!mio_str_is(n->entries[i].key, "<<"))
            MIO_PUSH(p->arena, entries, merged.n, cap) = n->entries[i];
    }
    merged.entries = entries;
    const struct mio_node *from = mio_node_get(n, "<<");
    if (from->type == MIO_NODE_SEQ)
        for (size_t i = 0; i < from->n; i++)
            merge_from(p, &merged, &cap, from->items[i], &keys);
    else
        merge_from(p, &merged, &cap, from, &keys);
    mio_arena_free(&scratch);
    n->entries = merged.entries;
    n->n = merged.n;
}

static void close_collection(struct parse *p)
{
    struct frame *f = &p->frames[--p->depth];
    struct mio_node *n = f->node;
    struct mio_entry *c = p->children ? p->children + f->first : NULL;
    n->n = (uint32_t)(p->nchildren - f->first); /* at most MIO_YAML_MAX_NODES */
    p->nchildren = f->first;
    if (n->type == MIO_NODE_MAP) {
        n->n = (uint32_t)refuse_repeated(p, c, n->n);
        struct mio_entry *entries = mio_arena_alloc(p->arena, n->n * sizeof *entries);
        if (n->n)
            memcpy(entries, c, n->n * sizeof *entries);
        n->entries = entries;
        if (f->merges)
            merge(p, n);
    } else {
        const struct mio_node **items = mio_arena_alloc(p->arena, n->n * sizeof *items);
        for (size_t i = 0; i < n->n; i++)
            items[i] = c[i].value;
        n->items = items;
    }
    if (f->anchor)
        *f->anchor = (struct anchor){n, f->size, f->height};
    add(p, n, f->size, f->height);
}

static void add_alias(struct parse *p, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.alias.anchor;
    struct mio_pos pos = mio_yaml_pos(&p->lines, &e->start_mark, strlen(name) + 1);
    uintptr_t found;
    if (!mio_index_get(&p->anchors, mio_str_z(name), &found)) {
        complain(p, pos, "an anchor `&NAME` must stand above its alias `*NAME`",
                 "no anchor is called `%s`", name);
        p->stop = true;
        return;
    }
    const struct anchor *an = (const struct anchor *)found;
    p->expanded += an->size;
    if (!an->node)
        complain(p, pos, NULL, "`*%s` contains itself", name);
    else if (p->depth + an->height > MIO_YAML_MAX_DEPTH)
        complain(p, pos, NULL, "nested deeper than %d levels", MIO_YAML_MAX_DEPTH);
    else if (p->expanded > 10 * p->nodes + 1000)
        complain(p, pos, "write the repeated parts with for_each or a module",
                 "aliases make the file more than ten times as large");
    else {
        add(p, an->node, an->size, an->height);
        return;
    }
    p->stop = true;
}

static void add_scalar(struct parse *p, const yaml_event_t *e)
{
    const struct frame *f = p->depth ? &p->frames[p->depth - 1] : NULL;
    bool is_key = f && f->node->type == MIO_NODE_MAP && !f->have_key;
    struct mio_node key, *n = &key; /* a key needs no node of its own */
    struct anchor *an = new_anchor(p, e->data.scalar.anchor);
    if (!is_key || an)
        n = mio_arena_alloc(p->arena, sizeof *n);
    make_scalar(p, e, is_key, n);
    if (an)
        *an = (struct anchor){n, 1, 0};
    add(p, n, 1, 0);
}

/* One event. False when the text is at its end or the rest cannot be read. */
static bool step(struct parse *p, const yaml_event_t *e, unsigned *documents)
{
    switch (e->type) {
    case YAML_STREAM_END_EVENT:
        return false;
    case YAML_DOCUMENT_START_EVENT:
        if ((*documents)++) {
            complain(p, mio_yaml_pos(&p->lines, &e->start_mark, 3),
                     "write each document into a file of its own", "a second document begins here");
            return false;
        }
        return true;
    case YAML_SCALAR_EVENT:
        add_scalar(p, e);
        break;
    case YAML_ALIAS_EVENT:
        add_alias(p, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        open_collection(p, e);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_collection(p);
        return !p->stop;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    if (++p->nodes > MIO_YAML_MAX_NODES) {
        complain(p, mio_yaml_pos(&p->lines, &e->start_mark, 1), "split the file",
                 "more than a million values in one file");
        p->stop = true;
    }
    return !p->stop;
}

static void read_events(struct parse *p, yaml_parser_t *yp)
{
    unsigned documents = 0;
    for (bool more = true; more;) {
        yaml_event_t e;
        if (!yaml_parser_parse(yp, &e)) {
            if (yp->error == YAML_MEMORY_ERROR)
                mio_alloc_die(0);
            mio_yaml_syntax_error(yp, &p->lines, p->diags);
            return;
        }
        more = step(p, &e, &documents);
        yaml_event_delete(&e);
    }
}

static void find_lines(struct mio_yaml_lines *l)
{
    size_t room = l->text.n / 24 + 16;
    l->starts = mio_alloc(room * sizeof *l->starts);
    l->starts[l->n++] = mio_str_starts(l->text, "\xef\xbb\xbf") ? 3 : 0;
    for (const char *p = l->text.p, *end = p + l->text.n; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            break;
        p = nl + 1;
        if (l->n == room) {
            room *= 2;
            l->starts = mio_realloc(l->starts, room, sizeof *l->starts);
        }
        l->starts[l->n++] = (uint32_t)(p - l->text.p);
    }
}

const struct mio_node *mio_yaml_parse(struct mio_arena *a, const struct mio_sources *sources,
                                      uint32_t file, bool expand, struct mio_diags *diags)
{
    size_t errors = diags->errors;
    struct parse p = {.arena = a, .diags = diags, .expand = expand};
    p.lines.text = sources->items[file - 1].text;
    p.lines.file = file;
    p.lines.ascii = true;
    if (p.lines.text.n > MIO_YAML_MAX_BYTES) {
        mio_diags_error(diags, MIO_TEMPLATE, (struct mio_pos){.file = file, .line = 1, .col = 1},
                        "split it into several files", "the file is larger than 4 MiB");
        return NULL;
    }
    find_lines(&p.lines);
    if (mio_yaml_check_bytes(&p.lines, diags)) {
        yaml_parser_t yp;
        if (!yaml_parser_initialize(&yp))
            mio_alloc_die(sizeof yp);
        size_t bom = p.lines.starts[0];
        yaml_parser_set_encoding(&yp, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&yp, (const unsigned char *)p.lines.text.p + bom,
                                     p.lines.text.n - bom);
        mio_index_init(&p.anchors, a, 0);
        read_events(&p, &yp);
        yaml_parser_delete(&yp);
    }
    free(p.children);
    free(p.lines.starts);
    if (diags->errors != errors)
        return NULL;
    if (p.root)
        return p.root;
    struct mio_node *empty = MIO_NEW(a, struct mio_node);
    empty->pos = (struct mio_pos){.file = file, .line = 1, .col = 1};
    empty->plain = true;
    empty->literal = mio_null();
    return empty;
}
