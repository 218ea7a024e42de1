/* planner/template/node.h: YAML as a tree with positions, scalars resolved by the YAML 1.2 core
 * schema. */
#pragma once
#include "planner/expr/expr.h"

enum mio_node_type { MIO_NODE_SCALAR, MIO_NODE_SEQ, MIO_NODE_MAP };
struct mio_node;
struct mio_entry {
    struct mio_str key;
    struct mio_pos key_pos;
    const struct mio_node *value;
};
struct mio_node {
    uint8_t type; /* enum mio_node_type */
    bool plain;   /* MIO_NODE_SCALAR: unquoted */
    uint32_t n;   /* of items or entries; 0 for a scalar */
    struct mio_pos pos;
    struct mio_str text;      /* MIO_NODE_SCALAR: source text after YAML's escapes and folding */
    struct mio_value literal; /* null, bool, number or string; `1.10` is the number "1.10" */
    union {
        const struct mio_expr *expr;         /* MIO_NODE_SCALAR: NULL for a literal */
        const struct mio_node *const *items; /* MIO_NODE_SEQ */
        const struct mio_entry *entries;     /* MIO_NODE_MAP: in source order, each key once */
    };
};
const struct mio_node *mio_node_get(const struct mio_node *map, const char *key);
const struct mio_entry *mio_node_entry(const struct mio_node *map, struct mio_str key);
/* The literal value of a node without expressions; false when it has one. */
bool mio_node_literal(struct mio_arena *a, const struct mio_node *n, struct mio_value *out);
/* The node that a path in it ("slots[2].cpu") leads to, or as far as it leads; the path ends where
 * it stops making sense. */
const struct mio_node *mio_node_at(const struct mio_node *n, struct mio_str path);
/* Any expression anywhere in it? */
bool mio_node_has_expr(const struct mio_node *n);
/* Every expression below the node. */
void mio_node_exprs(const struct mio_node *n, void (*visit)(void *arg, const struct mio_expr *e),
                    void *arg);

/* Parses one YAML text that is sources->items[file - 1]. Budgets: 4 MiB, depth 64, 1 M nodes,
 * aliases x10. All errors go to diags; NULL when there was any. `expand` false leaves ${...} alone
 * (Azure ML documents). */
const struct mio_node *mio_yaml_parse(struct mio_arena *a, const struct mio_sources *sources,
                                      uint32_t file, bool expand, struct mio_diags *diags);
