/* planner/expr/parser.c: the cursor of the parser: tokens, positions, errors, nodes. */
#include "planner/expr/parse.h"
#include <string.h>

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

void mio_parser_scan(struct parser *p)
{
    p->tok = mio_lex(p->at, p->end, p->newlines);
    p->have = true;
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

struct mio_str mio_token_str(struct token t)
{
    return (struct mio_str){t.start, (size_t)(t.end - t.start)};
}

bool mio_parser_accept(struct parser *p, int kind)
{
    if (mio_parser_peek(p).kind != kind)
        return false;
    mio_parser_next(p);
    return true;
}

bool mio_parser_newlines(struct parser *p, bool on)
{
    bool before = p->newlines;
    p->newlines = on;
    p->have = false;
    return before;
}

void *mio_parser_unexpected(struct parser *p, const char *wanted, const char *hint)
{
    char name[64];
    struct token t = mio_parser_peek(p);
    return mio_parser_fail(p, t.start, t.end, hint, "expected %s, found %s", wanted,
                           mio_token_name(t, name));
}

bool mio_parser_expect(struct parser *p, int kind, const char *wanted)
{
    if (mio_parser_accept(p, kind))
        return true;
    mio_parser_unexpected(p, wanted, NULL);
    return false;
}

void mio_parser_resync(struct parser *p)
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

bool mio_parser_enter(struct parser *p)
{
    if (p->nest++ < EXPR_MAX_NEST)
        return true;
    struct token t = mio_parser_peek(p);
    mio_parser_fail(p, t.start, t.end, "split it with locals",
                    "the expression is nested more than %d deep", EXPR_MAX_NEST);
    return false;
}
