/* planner/expr/parse.h: what the two halves of the parser share: expressions (parse.c) and
 * templates (parse_template.c). */
#pragma once
#include "planner/expr/lex.h"

/* Names bound by `for`, innermost first; a splat binds an anonymous one (empty name). */
struct binding {
    struct mio_str name;
    const struct binding *up;
};

struct parser {
    struct mio_arena *a;
    struct mio_diags *diags;
    const char *text, *at, *end; /* *end is readable */
    struct mio_pos origin;       /* of text[0] */
    struct token tok;            /* valid when `have` */
    bool have, newlines;         /* newlines: they separate items here */
    bool ltrim;                  /* a ~} stands directly before the next template text */
    const struct binding *names;
    unsigned nest;
    /* Where positions were last counted to; they are asked for mostly in order. */
    const char *mark, *line_start;
    uint32_t line;
};

/* Reports and gives false when the text is no UTF-8 or holds a NUL. */
bool mio_parser_text_ok(struct parser *p);
/* Copies the text into the arena, so that the tree may point into it. */
void mio_parser_init(struct parser *p, struct mio_arena *a, struct mio_str text, struct mio_pos at,
                     struct mio_diags *diags);
struct mio_pos mio_parser_pos(struct parser *p, const char *from, const char *to);
/* Reports and gives NULL. */
void *mio_parser_fail(struct parser *p, const char *from, const char *to, const char *hint,
                      const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void mio_parser_scan(struct parser *p); /* fills p->tok */
static inline struct token mio_parser_peek(struct parser *p)
{
    if (!p->have)
        mio_parser_scan(p);
    return p->tok;
}
struct token mio_parser_next(struct parser *p);
/* Moves to a place in the text; forgets the token seen ahead. */
void mio_parser_move(struct parser *p, const char *at);
bool mio_parser_accept(struct parser *p, int kind); /* takes the next token if it is of this kind */
/* The same, or reports what was wanted. */
bool mio_parser_expect(struct parser *p, int kind, const char *wanted);
/* Reports "expected WANTED, found ..." and gives NULL. */
void *mio_parser_unexpected(struct parser *p, const char *wanted, const char *hint);
/* Switches whether newlines count; gives the old value, which the caller puts back with the same
 * call. */
bool mio_parser_newlines(struct parser *p, bool on);
/* After an error: forward to a comma or the closer of the bracket we are in. Strings are jumped
 * over. */
void mio_parser_resync(struct parser *p);
/* One level deeper (p->nest, which the caller counts down again); false, reported, when it is too
 * deep. */
bool mio_parser_enter(struct parser *p);
struct mio_str mio_token_str(struct token t);
bool mio_parser_word(struct parser *p, const char *word); /* the next token is this identifier */
void mio_parser_bind(struct parser *p, struct mio_str name);

/* A new node; its position is from..to. */
struct mio_expr *mio_node(struct parser *p, enum node_kind kind, const char *from, const char *to);
void mio_node_child(struct mio_expr *node, const struct mio_expr *child); /* counts the depth */

struct node_array {
    const struct mio_expr **items;
    size_t n, cap;
};

/* Items up to `close`, commas between. `expand` (may be NULL): a ... behind the last one is allowed
 * and told. False after errors. */
bool mio_parse_items(struct parser *p, int close, const char *wanted, bool *expand,
                     struct node_array *out);

/* All parts give NULL after an error, which is reported. */
const struct mio_expr *mio_parse_bracket(struct parser *p, int kind);
const struct mio_expr *mio_parse_primary(struct parser *p);
const struct mio_expr *mio_parse_expr(struct parser *p);
enum template_mode { TEMPLATE_BARE, TEMPLATE_QUOTED };
/* Reads to the closing quote (consumed) or to p->end. */
const struct mio_expr *mio_parse_template(struct parser *p, enum template_mode mode);
/* The `for NAME, NAME in EXPR` head up to, not including, what follows the source; binds the names.
 */
bool mio_parse_for_head(struct parser *p, struct for_node *loop);
