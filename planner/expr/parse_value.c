/* planner/expr/parse_value.c: what an expression begins with: numbers, names, calls, strings,
 * heredocs. */
#include "planner/expr/func.h"
#include "planner/expr/number.h"
#include "planner/expr/parse.h"

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
    bool before = mio_parser_newlines(p, false);
    mio_parser_next(p); /* ( */
    bool ok = mio_parse_items(p, ')', "\",\" or \")\"", &expand, &args);
    mio_parser_newlines(p, before);
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
    struct mio_str word = mio_token_str(name);
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
            return mio_parser_unexpected(p, "the name of a function", NULL);
        to = mio_parser_next(p).end;
    }
    if (mio_parser_peek(p).kind == '(')
        return parse_call(p, t, to);
    if (to != t.end)
        return mio_parser_unexpected(p, "\"(\" and the arguments", NULL);
    struct mio_str word = mio_token_str(t);
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
        e->ref.root = word;
    }
    return e;
}

static const struct mio_expr *parse_number(struct parser *p)
{
    struct token t = mio_parser_next(p);
    struct mio_expr *e = mio_node(p, NODE_LITERAL, t.start, t.end);
    if (!mio_num_literal(p->a, mio_token_str(t), &e->literal))
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

/* ---- any of them ---- */

const struct mio_expr *mio_parse_primary(struct parser *p)
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
        return mio_parse_bracket(p, t.kind);
    default:
        return mio_parser_unexpected(
            p, "a value", *t.start == '\'' ? "strings are written in double quotes" : NULL);
    }
}
