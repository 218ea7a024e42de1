/* planner/expr/parse_bracket.c: lists, objects, `for` and parentheses. */
#include "planner/expr/parse.h"

bool mio_parse_for_head(struct parser *p, struct for_node *loop)
{
    struct token names[2] = {mio_parser_next(p)};
    bool ok = names[0].kind == TOK_IDENT;
    if (ok && mio_parser_accept(p, ',')) {
        loop->with_key = true;
        names[1] = mio_parser_peek(p);
        ok = names[1].kind == TOK_IDENT;
        if (ok)
            mio_parser_next(p);
    }
    if (!ok || !mio_parser_word(p, "in")) {
        mio_parser_unexpected(p, "NAME in COLLECTION",
                              "a for is: for NAME in LIST, or for KEY, VALUE in MAP");
        return false;
    }
    mio_parser_next(p);
    loop->source = mio_parse_expr(p);
    for (int i = 0; i <= loop->with_key; i++)
        mio_parser_bind(p, mio_token_str(names[i]));
    return loop->source;
}

/* Behind `[for` or `{for`. */
static const struct mio_expr *parse_for(struct parser *p, struct token open)
{
    struct for_node *loop = MIO_NEW(p->a, struct for_node);
    const struct binding *names = p->names;
    loop->object = open.kind == '{';
    mio_parser_next(p);
    bool ok = mio_parse_for_head(p, loop);
    if (ok && !mio_parser_accept(p, ':'))
        ok = mio_parser_unexpected(p, "\":\" and the result of each round", NULL);
    if (ok)
        ok = (loop->value = mio_parse_expr(p));
    if (ok && loop->object) {
        loop->key = loop->value;
        ok = mio_parser_accept(p, TOK_ARROW) ||
             mio_parser_unexpected(p, "\"=>\" and the value",
                                   "a for in braces is {for x in y : KEY => VALUE}");
        ok = ok && (loop->value = mio_parse_expr(p));
        loop->group = ok && mio_parser_accept(p, TOK_ELLIPSIS);
    }
    if (ok && mio_parser_word(p, "if")) {
        mio_parser_next(p);
        ok = (loop->cond = mio_parse_expr(p));
    }
    p->names = names;
    if (!ok)
        mio_parser_resync(p);
    bool closed =
        loop->object ? mio_parser_expect(p, '}', "\"}\"") : mio_parser_expect(p, ']', "\"]\"");
    if (!ok || !closed)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_FOR, open.start, p->at);
    e->loop = loop;
    mio_node_child(e, loop->source);
    mio_node_child(e, loop->key);
    mio_node_child(e, loop->value);
    mio_node_child(e, loop->cond);
    return e;
}

bool mio_parse_items(struct parser *p, int close, const char *wanted, bool *expand,
                     struct node_array *out)
{
    bool ok = true;
    while (!mio_parser_accept(p, close)) {
        const struct mio_expr *item = mio_parse_expr(p);
        if (item)
            MIO_PUSH(p->a, out->items, out->n, out->cap) = item;
        if (item && expand && mio_parser_accept(p, TOK_ELLIPSIS))
            *expand = true;
        int kind = mio_parser_peek(p).kind;
        if (item &&
            (*(expand ? expand : &(bool){false}) ? kind != close : kind != ',' && kind != close)) {
            mio_parser_unexpected(p, wanted, NULL);
            item = NULL;
        }
        if (!item) {
            ok = false;
            mio_parser_resync(p);
        }
        if (!mio_parser_accept(p, ',') && mio_parser_peek(p).kind != close)
            return false;
    }
    return ok;
}

static const struct mio_expr *parse_list(struct parser *p)
{
    struct token open = mio_parser_next(p);
    if (mio_parser_word(p, "for"))
        return parse_for(p, open);
    struct node_array items = {0};
    if (!mio_parse_items(p, ']', "\",\" or \"]\"", NULL, &items))
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_LIST, open.start, p->at);
    e->list.items = items.items;
    e->list.n = items.n;
    for (size_t i = 0; i < items.n; i++)
        mio_node_child(e, items.items[i]);
    return e;
}

/* A bare word in key position is that word. */
static const struct mio_expr *object_key(struct parser *p, const struct mio_expr *key,
                                         const char *from)
{
    bool word = key->kind == NODE_LITERAL && mio_ident_start(*from);
    if (key->kind == NODE_REF && key->nsteps)
        return mio_parser_fail(p, from, p->at, "put the key in parentheses: (a.b) = value",
                               "an attribute path cannot be a key");
    if (!word && (key->kind != NODE_REF && key->kind != NODE_LOCAL))
        return key;
    struct token t = mio_lex(from, p->end, false);
    struct mio_expr *e = mio_node(p, NODE_LITERAL, t.start, t.end);
    e->literal = mio_string(mio_token_str(t));
    return e;
}

static bool parse_object_item(struct parser *p, struct object_item *item)
{
    const char *from = mio_parser_peek(p).start;
    item->key = mio_parse_expr(p);
    if (item->key)
        item->key = object_key(p, item->key, from);
    if (!item->key)
        return false;
    if (!mio_parser_accept(p, '=') && !mio_parser_accept(p, ':'))
        return mio_parser_unexpected(p, "\"=\" and the value",
                                     "an object is {key = value, other = value}");
    item->value = mio_parse_expr(p);
    if (!item->value)
        return false;
    int kind = mio_parser_peek(p).kind;
    return kind == ',' || kind == TOK_NEWLINE || kind == '}' ||
           mio_parser_unexpected(p, "\",\", a new line or \"}\"", NULL);
}

static const struct mio_expr *parse_object(struct parser *p)
{
    struct token open = mio_parser_next(p);
    bool before = mio_parser_newlines(p, false);
    if (mio_parser_word(p, "for")) {
        const struct mio_expr *loop = parse_for(p, open);
        mio_parser_newlines(p, before);
        return loop;
    }
    mio_parser_newlines(p, true);
    struct object_item *items = NULL;
    size_t n = 0, cap = 0;
    bool ok = true;
    for (;;) {
        while (mio_parser_accept(p, TOK_NEWLINE))
            ;
        if (mio_parser_accept(p, '}'))
            break;
        struct object_item item = {0};
        if (parse_object_item(p, &item)) {
            MIO_PUSH(p->a, items, n, cap) = item;
        } else {
            ok = false;
            mio_parser_resync(p);
        }
        if (!mio_parser_accept(p, ',') && mio_parser_peek(p).kind != TOK_NEWLINE &&
            mio_parser_peek(p).kind != '}') {
            ok = false;
            break;
        }
    }
    mio_parser_newlines(p, before);
    if (!ok)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_OBJECT, open.start, p->at);
    e->object.items = items;
    e->object.n = n;
    for (size_t i = 0; i < n; i++) {
        mio_node_child(e, items[i].key);
        mio_node_child(e, items[i].value);
    }
    return e;
}

static const struct mio_expr *parse_paren(struct parser *p)
{
    struct token open = mio_parser_next(p);
    const struct mio_expr *inner = mio_parse_expr(p);
    if (!inner)
        mio_parser_resync(p);
    if (!mio_parser_expect(p, ')', "\")\"") || !inner)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_PAREN, open.start, p->at);
    e->op3.a = inner;
    mio_node_child(e, inner);
    return e;
}

/* Newlines never count inside brackets other than an object's. */
const struct mio_expr *mio_parse_bracket(struct parser *p, int kind)
{
    if (kind == '{')
        return parse_object(p);
    struct token open = mio_parser_peek(p);
    bool before = mio_parser_newlines(p, false);
    const struct mio_expr *e = open.kind == '(' ? parse_paren(p) : parse_list(p);
    mio_parser_newlines(p, before);
    return e;
}
