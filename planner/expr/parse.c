/* planner/expr/parse.c: tokens to the tree of an expression.
 *
 * Recursive descent; binary operators by precedence climbing. After an error the parser goes on
 * behind the next comma or bracket, so that one run tells everything that is wrong. */
#include "planner/expr/parse.h"
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include <ctype.h>

void mio_parser_init(struct parser *p, struct mio_arena *a, struct mio_str text, struct mio_pos at,
                     struct mio_diags *diags)
{
    const char *copy = mio_arena_z(a, text);
    *p = (struct parser){.a = a,
                         .diags = diags,
                         .text = copy,
                         .at = copy,
                         .end = copy + text.n,
                         .origin = at,
                         .mark = copy,
                         .line_start = copy,
                         .line = at.line};
}

bool mio_parser_text_ok(struct parser *p)
{
    if (mio_str_utf8((struct mio_str){p->text, (size_t)(p->end - p->text)}))
        return true;
    mio_parser_fail(p, p->text, p->text, "save the file as UTF-8",
                    "the text is no UTF-8 or holds a NUL");
    return false;
}

struct mio_pos mio_parser_pos(struct parser *p, const char *from, const char *to)
{
    if (from < p->mark) {
        p->mark = p->line_start = p->text;
        p->line = p->origin.line;
    }
    for (const char *nl; p->mark < from; p->mark = nl ? nl + 1 : from) {
        nl = memchr(p->mark, '\n', (size_t)(from - p->mark));
        if (nl) {
            p->line++;
            p->line_start = nl + 1;
        }
    }
    struct mio_pos pos = {.file = p->origin.file, .line = p->line};
    pos.col = (uint32_t)(from - p->line_start) + (p->line_start == p->text ? p->origin.col : 1);
    pos.len = to > from ? (uint32_t)(to - from) : 1;
    return pos;
}

void *mio_parser_fail(struct parser *p, const char *from, const char *to, const char *hint,
                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char message[400];
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    mio_diags_error(p->diags, MIO_TEMPLATE, mio_parser_pos(p, from, to), hint, "%s", message);
    return NULL;
}

struct token mio_parser_peek(struct parser *p)
{
    if (!p->have)
        p->tok = mio_lex(p->at, p->end, p->newlines);
    p->have = true;
    return p->tok;
}

struct token mio_parser_next(struct parser *p)
{
    struct token t = mio_parser_peek(p);
    p->at = t.end;
    p->have = false;
    return t;
}

void mio_parser_move(struct parser *p, const char *at)
{
    p->at = at;
    p->have = false;
}

bool mio_parser_word(struct parser *p, const char *word)
{
    struct token t = mio_parser_peek(p);
    return t.kind == TOK_IDENT && strlen(word) == (size_t)(t.end - t.start) &&
           !memcmp(t.start, word, strlen(word));
}

void mio_parser_bind(struct parser *p, struct mio_str name)
{
    struct binding *b = MIO_NEW(p->a, struct binding);
    *b = (struct binding){.name = name, .up = p->names};
    p->names = b;
}

struct mio_expr *mio_node(struct parser *p, enum node_kind kind, const char *from, const char *to)
{
    struct mio_expr *e = MIO_NEW(p->a, struct mio_expr);
    e->kind = (uint8_t)kind;
    e->depth = 1;
    e->pos = mio_parser_pos(p, from, to);
    return e;
}

void mio_node_child(struct mio_expr *node, const struct mio_expr *child)
{
    if (child && child->depth >= node->depth)
        node->depth = (uint16_t)(child->depth + 1);
}

static struct mio_str token_str(struct token t)
{
    return (struct mio_str){t.start, (size_t)(t.end - t.start)};
}

static bool accept(struct parser *p, int kind)
{
    if (mio_parser_peek(p).kind != kind)
        return false;
    mio_parser_next(p);
    return true;
}

/* Switches whether newlines count; the caller puts the old value back with the same call. */
static bool set_newlines(struct parser *p, bool on)
{
    bool before = p->newlines;
    p->newlines = on;
    p->have = false;
    return before;
}

static void *unexpected(struct parser *p, const char *wanted, const char *hint)
{
    char name[64];
    struct token t = mio_parser_peek(p);
    return mio_parser_fail(p, t.start, t.end, hint, "expected %s, found %s", wanted,
                           mio_token_name(t, name));
}

static bool expect(struct parser *p, int kind, const char *wanted)
{
    if (accept(p, kind))
        return true;
    unexpected(p, wanted, NULL);
    return false;
}

/* After an error: forward to a comma or the closer of the bracket we are in. Strings are jumped
 * over. */
static void resync(struct parser *p)
{
    int depth = 0;
    for (;;) {
        struct token t = mio_parser_peek(p);
        if (t.kind == TOK_END || (!depth && t.kind && t.kind < 256 && strchr(",)]}", t.kind)))
            return;
        mio_parser_next(p);
        if (t.kind == '(' || t.kind == '[' || t.kind == '{') {
            depth++;
        } else if (t.kind == ')' || t.kind == ']' || t.kind == '}') {
            depth--;
        } else if (t.kind == TOK_QUOTE) {
            const char *q = p->at;
            while (q < p->end && *q != '"')
                q += *q == '\\' && q + 1 < p->end ? 2 : 1;
            mio_parser_move(p, q < p->end ? q + 1 : q);
        }
    }
}

static bool enter(struct parser *p)
{
    if (p->nest++ < EXPR_MAX_NEST)
        return true;
    struct token t = mio_parser_peek(p);
    mio_parser_fail(p, t.start, t.end, "split it with locals",
                    "the expression is nested more than %d deep", EXPR_MAX_NEST);
    return false;
}

static const struct mio_expr *parse_operand(struct parser *p);

/* ---- operators ---- */

static const struct {
    int token, op, level;
} BINARY[] = {
    {TOK_OR, OP_OR, 1}, {TOK_AND, OP_AND, 2}, {TOK_EQ, OP_EQ, 3}, {TOK_NE, OP_NE, 3},
    {'>', OP_GT, 4},    {TOK_GE, OP_GE, 4},   {'<', OP_LT, 4},    {TOK_LE, OP_LE, 4},
    {'+', OP_ADD, 5},   {'-', OP_SUB, 5},     {'*', OP_MUL, 6},   {'/', OP_DIV, 6},
    {'%', OP_MOD, 6},
};

static int binary_row(int token)
{
    for (int i = 0; i < (int)(sizeof BINARY / sizeof *BINARY); i++)
        if (BINARY[i].token == token)
            return i;
    return -1;
}

static const struct mio_expr *parse_binary(struct parser *p, int level)
{
    const char *from = mio_parser_peek(p).start;
    const struct mio_expr *left = parse_operand(p);
    while (left) {
        int row = binary_row(mio_parser_peek(p).kind);
        if (row < 0 || BINARY[row].level < level)
            break;
        struct token op = mio_parser_next(p);
        const struct mio_expr *right = parse_binary(p, BINARY[row].level + 1);
        if (!right)
            return NULL;
        struct mio_expr *e = mio_node(p, NODE_BINARY, from, p->at);
        e->op = (uint8_t)BINARY[row].op;
        e->op3.a = left;
        e->op3.b = right;
        mio_node_child(e, left);
        mio_node_child(e, right);
        if (e->depth > EXPR_MAX_DEPTH)
            return mio_parser_fail(p, op.start, op.end, "split it with locals",
                                   "the expression has too many operators in a row");
        left = e;
    }
    return left;
}

static const struct mio_expr *parse_conditional(struct parser *p)
{
    const char *from = mio_parser_peek(p).start;
    const struct mio_expr *cond = parse_binary(p, 1);
    if (!cond || !accept(p, '?'))
        return cond;
    struct mio_expr *e = mio_node(p, NODE_COND, from, p->at);
    e->op3.a = cond;
    e->op3.b = mio_parse_expr(p);
    if (!e->op3.b)
        return NULL;
    if (!accept(p, ':'))
        return unexpected(p, "\":\" and the value for the other case",
                          "a conditional is CONDITION ? VALUE : OTHER_VALUE");
    e->op3.c = mio_parse_expr(p);
    if (!e->op3.c)
        return NULL;
    e->pos = mio_parser_pos(p, from, p->at);
    mio_node_child(e, e->op3.a);
    mio_node_child(e, e->op3.b);
    mio_node_child(e, e->op3.c);
    return e;
}

const struct mio_expr *mio_parse_expr(struct parser *p)
{
    const struct mio_expr *e = enter(p) ? parse_conditional(p) : NULL;
    p->nest--;
    return e;
}

static const struct mio_expr *parse_unary(struct parser *p)
{
    struct token op = mio_parser_next(p);
    const struct mio_expr *a = enter(p) ? parse_operand(p) : NULL;
    p->nest--;
    if (!a)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_UNARY, op.start, p->at);
    e->op = op.kind == '-' ? OP_NEG : OP_NOT;
    e->op3.a = a;
    mio_node_child(e, a);
    return e;
}

/* ---- brackets ---- */

bool mio_parse_for_head(struct parser *p, struct for_node *loop)
{
    struct token names[2] = {mio_parser_next(p)};
    bool ok = names[0].kind == TOK_IDENT;
    if (ok && accept(p, ',')) {
        loop->with_key = true;
        names[1] = mio_parser_peek(p);
        ok = names[1].kind == TOK_IDENT;
        if (ok)
            mio_parser_next(p);
    }
    if (!ok || !mio_parser_word(p, "in")) {
        unexpected(p, "NAME in COLLECTION", "a for is: for NAME in LIST, or for KEY, VALUE in MAP");
        return false;
    }
    mio_parser_next(p);
    loop->source = mio_parse_expr(p);
    for (int i = 0; i <= loop->with_key; i++)
        mio_parser_bind(p, token_str(names[i]));
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
    if (ok && !accept(p, ':'))
        ok = unexpected(p, "\":\" and the result of each round", NULL);
    if (ok)
        ok = (loop->value = mio_parse_expr(p));
    if (ok && loop->object) {
        loop->key = loop->value;
        ok = accept(p, TOK_ARROW) || unexpected(p, "\"=>\" and the value",
                                                "a for in braces is {for x in y : KEY => VALUE}");
        ok = ok && (loop->value = mio_parse_expr(p));
        loop->group = ok && accept(p, TOK_ELLIPSIS);
    }
    if (ok && mio_parser_word(p, "if")) {
        mio_parser_next(p);
        ok = (loop->cond = mio_parse_expr(p));
    }
    p->names = names;
    if (!ok)
        resync(p);
    bool closed = loop->object ? expect(p, '}', "\"}\"") : expect(p, ']', "\"]\"");
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

struct node_array {
    const struct mio_expr **items;
    size_t n, cap;
};

/* Items up to `close`, commas between; NULL items after errors make the result false. */
static bool parse_items(struct parser *p, int close, const char *wanted, bool *expand,
                        struct node_array *out)
{
    bool ok = true;
    while (!accept(p, close)) {
        const struct mio_expr *item = mio_parse_expr(p);
        if (item)
            MIO_PUSH(p->a, out->items, out->n, out->cap) = item;
        if (item && expand && accept(p, TOK_ELLIPSIS))
            *expand = true;
        int kind = mio_parser_peek(p).kind;
        if (item &&
            (*(expand ? expand : &(bool){false}) ? kind != close : kind != ',' && kind != close)) {
            unexpected(p, wanted, NULL);
            item = NULL;
        }
        if (!item) {
            ok = false;
            resync(p);
        }
        if (!accept(p, ',') && mio_parser_peek(p).kind != close)
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
    if (!parse_items(p, ']', "\",\" or \"]\"", NULL, &items))
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
    if (key->kind == NODE_REF && key->ref.ref.n)
        return mio_parser_fail(p, from, p->at, "put the key in parentheses: (a.b) = value",
                               "an attribute path cannot be a key");
    if (!word && (key->kind != NODE_REF && key->kind != NODE_LOCAL))
        return key;
    struct token t = mio_lex(from, p->end, false);
    struct mio_expr *e = mio_node(p, NODE_LITERAL, t.start, t.end);
    e->literal = mio_string(token_str(t));
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
    if (!accept(p, '=') && !accept(p, ':'))
        return unexpected(p, "\"=\" and the value", "an object is {key = value, other = value}");
    item->value = mio_parse_expr(p);
    if (!item->value)
        return false;
    int kind = mio_parser_peek(p).kind;
    return kind == ',' || kind == TOK_NEWLINE || kind == '}' ||
           unexpected(p, "\",\", a new line or \"}\"", NULL);
}

static const struct mio_expr *parse_object(struct parser *p)
{
    struct token open = mio_parser_next(p);
    bool before = set_newlines(p, false);
    if (mio_parser_word(p, "for")) {
        const struct mio_expr *loop = parse_for(p, open);
        set_newlines(p, before);
        return loop;
    }
    set_newlines(p, true);
    struct object_item *items = NULL;
    size_t n = 0, cap = 0;
    bool ok = true;
    for (;;) {
        while (accept(p, TOK_NEWLINE))
            ;
        if (accept(p, '}'))
            break;
        struct object_item item = {0};
        if (parse_object_item(p, &item)) {
            MIO_PUSH(p->a, items, n, cap) = item;
        } else {
            ok = false;
            resync(p);
        }
        if (!accept(p, ',') && mio_parser_peek(p).kind != TOK_NEWLINE &&
            mio_parser_peek(p).kind != '}') {
            ok = false;
            break;
        }
    }
    set_newlines(p, before);
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
        resync(p);
    if (!expect(p, ')', "\")\"") || !inner)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_PAREN, open.start, p->at);
    e->op3.a = inner;
    mio_node_child(e, inner);
    return e;
}

/* Newlines never count inside brackets other than an object's. */
static const struct mio_expr *parse_bracket(struct parser *p, int kind)
{
    if (kind == '{')
        return parse_object(p);
    struct token open = mio_parser_peek(p);
    bool before = set_newlines(p, false);
    const struct mio_expr *e = open.kind == '(' ? parse_paren(p) : parse_list(p);
    set_newlines(p, before);
    return e;
}

/* ---- names and calls ---- */

static const struct mio_expr *parse_call(struct parser *p, struct token name, const char *to)
{
    struct mio_str word = {name.start, (size_t)(to - name.start)};
    const char *hint = NULL;
    const struct mio_func *f = mio_func_find(p->a, word, &hint);
    if (!f)
        mio_parser_fail(p, name.start, to, hint, "there is no function named \"%.*s\"",
                        MIO_FMT(word));
    struct node_array args = {0};
    bool expand = false;
    bool before = set_newlines(p, false);
    mio_parser_next(p); /* ( */
    bool ok = parse_items(p, ')', "\",\" or \")\"", &expand, &args);
    set_newlines(p, before);
    if (!f || !ok)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_CALL, name.start, p->at);
    e->call =
        (struct call_node){.func = f, .args = args.items, .n = (uint32_t)args.n, .expand = expand};
    for (size_t i = 0; i < args.n; i++)
        mio_node_child(e, args.items[i]);
    const char *wrong = expand ? NULL : mio_func_count(p->a, f, args.n);
    if (wrong)
        return mio_parser_fail(p, name.start, p->at, wrong, "wrong number of arguments for %.*s",
                               MIO_FMT(word));
    return e;
}

static struct mio_expr *local_node(struct parser *p, struct token name)
{
    uint32_t up = 0;
    struct mio_str word = token_str(name);
    for (const struct binding *b = p->names; b; b = b->up, up++) {
        if (!mio_str_eq(b->name, word))
            continue;
        struct mio_expr *e = mio_node(p, NODE_LOCAL, name.start, name.end);
        e->local.name = word;
        e->local.up = up;
        return e;
    }
    return NULL;
}

static const struct mio_expr *parse_name(struct parser *p)
{
    struct token t = mio_parser_next(p);
    const char *to = t.end;
    while (mio_parser_peek(p).kind == TOK_SCOPE) {
        mio_parser_next(p);
        if (mio_parser_peek(p).kind != TOK_IDENT)
            return unexpected(p, "the name of a function", NULL);
        to = mio_parser_next(p).end;
    }
    if (mio_parser_peek(p).kind == '(')
        return parse_call(p, t, to);
    if (to != t.end)
        return unexpected(p, "\"(\" and the arguments", NULL);
    struct mio_str word = token_str(t);
    static const struct {
        const char *word;
        int which;
    } LITERALS[] = {{"true", 1}, {"false", 0}, {"null", 2}};
    for (size_t i = 0; i < 3; i++) {
        if (!mio_str_is(word, LITERALS[i].word))
            continue;
        struct mio_expr *e = mio_node(p, NODE_LITERAL, t.start, t.end);
        e->literal = LITERALS[i].which == 2 ? mio_null() : mio_bool(LITERALS[i].which);
        return e;
    }
    struct mio_expr *e = local_node(p, t);
    if (!e) {
        e = mio_node(p, NODE_REF, t.start, t.end);
        e->ref.ref.root = word;
        e->ref.ref.pos = e->pos;
    }
    return e;
}

static const struct mio_expr *parse_number(struct parser *p)
{
    struct token t = mio_parser_next(p);
    struct mio_expr *e = mio_node(p, NODE_LITERAL, t.start, t.end);
    if (!mio_num_literal(p->a, token_str(t), &e->literal))
        return mio_parser_fail(p, t.start, t.end, NULL, "the number is too large");
    return e;
}

/* ---- heredocs ---- */

static size_t spaces(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && *p == ' ')
        p++;
    return (size_t)(p - from);
}

/* Takes the smallest indentation of all lines off each of them. */
static struct mio_str dedent(struct mio_arena *a, struct mio_str body)
{
    const char *end = body.p + body.n;
    size_t least = SIZE_MAX;
    for (const char *line = body.p, *nl; line < end; line = nl + 1) {
        nl = memchr(line, '\n', (size_t)(end - line));
        nl = nl ? nl : end;
        size_t n = spaces(line, nl);
        least = n < least ? n : least;
    }
    char *out = mio_arena_alloc(a, body.n + 1);
    size_t n = 0;
    for (const char *line = body.p, *nl; line < end; line = nl + 1) {
        nl = memchr(line, '\n', (size_t)(end - line));
        nl = nl ? nl : end - 1;
        memcpy(out + n, line + least, (size_t)(nl + 1 - line) - least);
        n += (size_t)(nl + 1 - line) - least;
    }
    return (struct mio_str){out, n};
}

static const struct mio_expr *parse_heredoc(struct parser *p)
{
    struct token t = mio_parser_next(p);
    bool flush = t.start[2] == '-';
    struct mio_str name = {t.start + 2 + flush, (size_t)(t.end - t.start) - 2 - flush};
    const char *body = memchr(t.end, '\n', (size_t)(p->end - t.end));
    for (const char *line = body ? body + 1 : p->end; line < p->end;) {
        const char *nl = memchr(line, '\n', (size_t)(p->end - line));
        const char *line_end = nl ? nl : p->end;
        const char *word = line;
        while (word < line_end && (*word == ' ' || *word == '\t'))
            word++;
        size_t left = (size_t)(line_end - word);
        if (left >= name.n && !memcmp(word, name.p, name.n) && !mio_ident_char(word[name.n])) {
            struct mio_str text = {body + 1, (size_t)(line - body - 1)};
            struct parser sub = *p;
            if (flush)
                text = dedent(p->a, text);
            mio_parser_init(&sub, p->a, text, mio_parser_pos(p, body + 1, line), p->diags);
            sub.names = p->names;
            sub.nest = p->nest;
            const struct mio_expr *e = mio_parse_template(&sub, TEMPLATE_BARE);
            mio_parser_move(p, word + name.n);
            return e;
        }
        line = nl ? nl + 1 : p->end;
    }
    mio_parser_move(p, p->end);
    return mio_parser_fail(p, t.start, t.end, "end it with a line that holds the word alone",
                           "the text that begins with <<%.*s has no end", MIO_FMT(name));
}

/* ---- steps behind a value ---- */

static const struct mio_expr *parse_primary(struct parser *p)
{
    struct token t = mio_parser_peek(p);
    switch (t.kind) {
    case TOK_NUMBER:
        return parse_number(p);
    case TOK_IDENT:
        return parse_name(p);
    case TOK_QUOTE:
        mio_parser_next(p);
        return mio_parse_template(p, TEMPLATE_QUOTED);
    case TOK_HEREDOC:
        return parse_heredoc(p);
    case '(':
    case '[':
    case '{':
        return parse_bracket(p, t.kind);
    default:
        return unexpected(p, "a value",
                          *t.start == '\'' ? "strings are written in double quotes" : NULL);
    }
}

/* The step's key and whether it was there; err tells a syntax error from no step at all. */
struct step {
    const struct mio_expr *key;
    bool attr, err;
};

static struct step parse_attr_step(struct parser *p)
{
    struct token dot = mio_parser_next(p);
    const char *at = p->at;
    struct step s = {.attr = true};
    if (isdigit((unsigned char)*at)) { /* a.0.b: an index as old templates write it */
        const char *to = at;
        while (isdigit((unsigned char)*to))
            to++;
        struct mio_expr *key = mio_node(p, NODE_LITERAL, at, to);
        s.attr = false;
        s.err = !mio_num_literal(p->a, (struct mio_str){at, (size_t)(to - at)}, &key->literal);
        s.key = key;
        mio_parser_move(p, to);
        return s;
    }
    struct token t = mio_parser_peek(p);
    if (t.kind != TOK_IDENT) {
        mio_parser_fail(p, dot.start, t.end, "write .name, [index] or [*]",
                        "the name of an attribute is missing behind the dot");
        s.err = true;
        return s;
    }
    mio_parser_next(p);
    struct mio_expr *key = mio_node(p, NODE_LITERAL, t.start, t.end);
    key->literal = mio_string(token_str(t));
    s.key = key;
    return s;
}

static struct step parse_index_step(struct parser *p)
{
    struct step s = {0};
    bool before = set_newlines(p, false);
    mio_parser_next(p);
    s.key = mio_parse_expr(p);
    if (!s.key)
        resync(p);
    s.err = !s.key;
    if (!expect(p, ']', "\"]\""))
        s.err = true;
    set_newlines(p, before);
    return s;
}

static void add_ref_step(struct parser *p, struct mio_expr *ref, struct step s, const char *to,
                         struct node_array *keys, size_t *cap)
{
    struct mio_ref *r = &ref->ref.ref;
    struct mio_ref_step *steps =
        mio_arena_grow(p->a, (void *)(uintptr_t)r->steps, r->n, cap, sizeof *steps);
    bool literal = s.key->kind == NODE_LITERAL;
    steps[r->n] = (struct mio_ref_step){
        .known = literal, .value = literal ? s.key->literal : mio_unknown(MIO_UNKNOWN)};
    r->steps = steps;
    r->n++;
    MIO_PUSH(p->a, keys->items, keys->n, keys->cap) = s.key;
    if (!literal || ref->ref.index) /* the array may have moved */
        ref->ref.index = keys->items;
    mio_node_child(ref, s.key);
    ref->pos.len = r->pos.len = mio_parser_pos(p, to, to).line == ref->pos.line
                                    ? mio_parser_pos(p, to, to).col - ref->pos.col
                                    : ref->pos.len;
}

static const struct mio_expr *parse_steps(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool attrs_only);

/* base.* covers the .name steps that follow; base[*] covers every step that follows. */
static const struct mio_expr *parse_splat(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool full)
{
    mio_parser_next(p); /* . or [ */
    mio_parser_next(p); /* * */
    if (full && !expect(p, ']', "\"]\""))
        return NULL;
    const struct binding *names = p->names;
    mio_parser_bind(p, (struct mio_str){"", 0});
    struct mio_expr *item = mio_node(p, NODE_LOCAL, from, p->at);
    const struct mio_expr *each = enter(p) ? parse_steps(p, item, from, !full) : NULL;
    p->nest--;
    p->names = names;
    if (!each)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_SPLAT, from, p->at);
    e->splat.base = base;
    e->splat.each = each;
    mio_node_child(e, base);
    mio_node_child(e, each);
    return e;
}

/* What stands after `.` or `[`: the splat's star? */
static bool star_follows(struct parser *p)
{
    struct token open = mio_parser_peek(p);
    struct token star = mio_lex(open.end, p->end, false);
    return star.kind == '*' && (open.kind == '.' || mio_lex(star.end, p->end, false).kind == ']');
}

static const struct mio_expr *parse_steps(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool attrs_only)
{
    struct node_array keys = {0};
    size_t cap = 0;
    struct mio_expr *ref = NULL; /* while every step so far belongs to the reference */
    if (base->kind == NODE_REF) {
        ref = mio_node(p, NODE_REF, from, p->at);
        *ref = *base;
        base = ref;
    }
    for (;;) {
        int kind = mio_parser_peek(p).kind;
        if (kind != '.' && (kind != '[' || attrs_only))
            return base;
        if (star_follows(p)) {
            if (attrs_only)
                return mio_parser_fail(p, p->tok.start, p->tok.end, "use [*] for both",
                                       "a splat inside .* is not possible");
            base = parse_splat(p, base, from, kind == '[');
            ref = NULL;
            if (!base)
                return NULL;
            continue;
        }
        struct step s = kind == '.' ? parse_attr_step(p) : parse_index_step(p);
        if (s.err)
            return NULL;
        if (ref) {
            add_ref_step(p, ref, s, p->at, &keys, &cap);
            continue;
        }
        struct mio_expr *e = mio_node(p, NODE_INDEX, from, p->at);
        e->index.base = base;
        e->index.key = s.key;
        e->index.attr = s.attr;
        mio_node_child(e, base);
        mio_node_child(e, s.key);
        if (e->depth > EXPR_MAX_DEPTH)
            return mio_parser_fail(p, from, p->at, NULL, "too many index steps in a row");
        base = e;
    }
}

static const struct mio_expr *parse_operand(struct parser *p)
{
    struct token t = mio_parser_peek(p);
    if (t.kind == '-' || t.kind == '!')
        return parse_unary(p);
    const struct mio_expr *e = parse_primary(p);
    return e ? parse_steps(p, e, t.start, false) : NULL;
}

/* ---- entry ---- */

const struct mio_expr *mio_expr_parse(struct mio_arena *a, struct mio_str text, struct mio_pos at,
                                      struct mio_diags *diags)
{
    struct parser p;
    size_t before = diags->errors;
    mio_parser_init(&p, a, text, at, diags);
    const struct mio_expr *e = mio_parser_text_ok(&p) ? mio_parse_expr(&p) : NULL;
    if (e && mio_parser_peek(&p).kind != TOK_END) {
        const char *hint = *p.tok.start == '=' ? "comparison is written ==" : NULL;
        unexpected(&p, "the end of the expression", hint);
    }
    return diags->errors == before ? e : NULL;
}

struct mio_pos mio_expr_pos(const struct mio_expr *e)
{
    return e->pos;
}
