/* planner/expr/parse.c: tokens to the tree of an expression: operators, and the steps behind a
 * value.
 *
 * Recursive descent; binary operators by precedence climbing. After an error the parser goes on
 * behind the next comma or bracket, so that one run tells everything that is wrong. */
#include "planner/expr/parse.h"
#include "planner/expr/number.h"
#include <ctype.h>

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
    if (!cond || !mio_parser_accept(p, '?'))
        return cond;
    struct mio_expr *e = mio_node(p, NODE_COND, from, p->at);
    e->op3.a = cond;
    e->op3.b = mio_parse_expr(p);
    if (!e->op3.b)
        return NULL;
    if (!mio_parser_accept(p, ':'))
        return mio_parser_unexpected(p, "\":\" and the value for the other case",
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
    const struct mio_expr *e = mio_parser_enter(p) ? parse_conditional(p) : NULL;
    p->nest--;
    return e;
}

static const struct mio_expr *parse_unary(struct parser *p)
{
    struct token op = mio_parser_next(p);
    const struct mio_expr *a = mio_parser_enter(p) ? parse_operand(p) : NULL;
    p->nest--;
    if (!a)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_UNARY, op.start, p->at);
    e->op = op.kind == '-' ? OP_NEG : OP_NOT;
    e->op3.a = a;
    mio_node_child(e, a);
    return e;
}

/* ---- steps behind a value ---- */

/* The step's key, an expression or a name, and whether it was there; err tells a syntax error from
 * no step at all. */
struct step {
    const struct mio_expr *key; /* NULL: the name */
    struct token name;
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
    s.name = mio_parser_next(p);
    return s;
}

static struct step parse_index_step(struct parser *p)
{
    struct step s = {0};
    bool before = mio_parser_newlines(p, false);
    mio_parser_next(p);
    s.key = mio_parse_expr(p);
    if (!s.key)
        mio_parser_resync(p);
    s.err = !s.key;
    if (!mio_parser_expect(p, ']', "\"]\""))
        s.err = true;
    mio_parser_newlines(p, before);
    return s;
}

static void add_ref_step(struct parser *p, struct mio_expr *ref, struct step s, const char *to,
                         struct node_array *keys, size_t *cap)
{
    struct mio_ref_step *steps =
        mio_arena_grow(p->a, (void *)(uintptr_t)ref->ref.steps, ref->nsteps, cap, sizeof *steps);
    bool computed = s.key && s.key->kind != NODE_LITERAL;
    steps[ref->nsteps++] =
        (struct mio_ref_step){.known = !computed,
                              .value = computed ? mio_unknown(MIO_UNKNOWN)
                                       : s.key  ? s.key->literal
                                                : mio_string(mio_token_str(s.name))};
    ref->ref.steps = steps;
    if (computed || ref->ref.index) {
        while (keys->n + 1 < ref->nsteps)
            MIO_PUSH(p->a, keys->items, keys->n, keys->cap) = NULL;
        MIO_PUSH(p->a, keys->items, keys->n, keys->cap) = computed ? s.key : NULL;
        ref->ref.index = keys->items; /* the array may have moved */
        mio_node_child(ref, s.key);
    }
    struct mio_pos end = mio_parser_pos(p, to, to);
    if (end.line == ref->pos.line)
        ref->pos.len = end.col - ref->pos.col;
}

static const struct mio_expr *index_node(struct parser *p, const struct mio_expr *base,
                                         struct step s, const char *from)
{
    struct mio_expr *e = mio_node(p, NODE_INDEX, from, p->at);
    if (!s.key) {
        struct mio_expr *name = mio_node(p, NODE_LITERAL, s.name.start, s.name.end);
        name->literal = mio_string(mio_token_str(s.name));
        s.key = name;
    }
    e->index.base = base;
    e->index.key = s.key;
    e->index.attr = s.attr;
    mio_node_child(e, base);
    mio_node_child(e, s.key);
    if (e->depth > EXPR_MAX_DEPTH)
        return mio_parser_fail(p, from, p->at, NULL, "too many index steps in a row");
    return e;
}

static const struct mio_expr *parse_steps(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool attrs_only);

/* base.* covers the .name steps that follow; base[*] covers every step that follows. */
static const struct mio_expr *parse_splat(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool full)
{
    mio_parser_next(p); /* . or [ */
    mio_parser_next(p); /* * */
    if (full && !mio_parser_expect(p, ']', "\"]\""))
        return NULL;
    const struct binding *names = p->names;
    mio_parser_bind(p, (struct mio_str){"", 0});
    struct mio_expr *item = mio_node(p, NODE_LOCAL, from, p->at);
    const struct mio_expr *each = mio_parser_enter(p) ? parse_steps(p, item, from, !full) : NULL;
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
    if (mio_ident_start(*open.end)) /* .name, nearly always */
        return false;
    struct token star = mio_lex(open.end, p->end, false);
    return star.kind == '*' && (open.kind == '.' || mio_lex(star.end, p->end, false).kind == ']');
}

static const struct mio_expr *parse_steps(struct parser *p, const struct mio_expr *base,
                                          const char *from, bool attrs_only)
{
    struct node_array keys = {0};
    size_t cap = 0;
    /* While every step so far belongs to the reference, whose node nobody else has yet. */
    struct mio_expr *ref = base->kind == NODE_REF ? (struct mio_expr *)(uintptr_t)base : NULL;
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
        base = index_node(p, base, s, from);
        if (!base)
            return NULL;
    }
}

static const struct mio_expr *parse_operand(struct parser *p)
{
    struct token t = mio_parser_peek(p);
    if (t.kind == '-' || t.kind == '!')
        return parse_unary(p);
    const struct mio_expr *e = mio_parse_primary(p);
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
        mio_parser_unexpected(&p, "the end of the expression", hint);
    }
    return diags->errors == before ? e : NULL;
}

struct mio_pos mio_expr_pos(const struct mio_expr *e)
{
    return e->pos;
}
