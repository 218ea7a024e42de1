/* planner/expr/ast.h: the frozen expression tree, shared by parser, evaluator and reference walk.
 *
 * Owns: nothing; every node lives in the arena of its parse. Never: seen outside planner/expr. */
#pragma once
#include "planner/expr/expr.h"

enum node_kind {
    NODE_LITERAL,
    NODE_REF,   /* a name of the scope and the steps that follow it directly */
    NODE_LOCAL, /* a name bound by a `for`, or the anonymous item of a splat */
    NODE_INDEX, /* base[key], base.name */
    NODE_SPLAT, /* base[*]..., base.*... */
    NODE_UNARY, /* - ! */
    NODE_BINARY,
    NODE_COND,
    NODE_LIST,
    NODE_OBJECT,
    NODE_FOR,
    NODE_CALL,
    NODE_TEMPLATE, /* parts joined to one string */
    NODE_PAREN,    /* kept so that {(a) = 1} differs from {a = 1} */
};

enum node_op {
    OP_NONE,
    OP_OR,
    OP_AND,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_GE,
    OP_LT,
    OP_LE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_NEG,
    OP_NOT,
    OP_TEXT, /* a literal that is text of a template */
};

struct object_item {
    const struct mio_expr *key, *value;
};

struct for_node {
    const struct mio_expr *source, *key, *value, *cond; /* key: object form; cond may be NULL */
    bool with_key;                                      /* two names are bound */
    bool object, group, joined;
};

struct mio_func;
struct call_node {
    const struct mio_func *func;
    const struct mio_expr *const *args;
    uint32_t n;
    bool expand; /* the last argument is a list to spread: f(x...) */
};

/* Of 56 bytes: a large template has more of these than of anything else. */
struct mio_expr {
    uint8_t kind, op;
    uint16_t depth; /* 1 + that of the deepest child: bounds the evaluator's recursion */
    struct mio_pos pos;
    uint32_t nsteps; /* NODE_REF; here because there is room */
    union {
        struct mio_value literal;
        struct {
            struct mio_str root;
            const struct mio_ref_step *steps;
            const struct mio_expr *const
                *index; /* NULL: every step is a literal; else one a step, NULL for a literal */
        } ref;          /* nsteps of them */
        struct {
            struct mio_str name;
            uint32_t up; /* how many bindings further out */
        } local;
        struct {
            const struct mio_expr *base, *key;
            bool attr; /* written as .name */
        } index;
        struct {
            const struct mio_expr *base, *each; /* each: over the item, NODE_LOCAL 0 */
        } splat;
        struct {
            const struct mio_expr *a, *b, *c;
        } op3;
        struct {
            const struct mio_expr *const *items;
            size_t n;
        } list; /* list and template */
        struct {
            const struct object_item *items;
            size_t n;
        } object;
        struct for_node *loop;
        struct call_node call;
    };
};

/* What a NODE_REF says, as scopes and visitors want it. */
static inline struct mio_ref mio_expr_ref(const struct mio_expr *e)
{
    return (struct mio_ref){
        .root = e->ref.root, .steps = e->ref.steps, .n = e->nsteps, .pos = e->pos};
}

enum {
    EXPR_MAX_DEPTH = 400, /* of the finished tree */
    EXPR_MAX_NEST = 100,  /* of brackets, calls and templates while parsing */
};
