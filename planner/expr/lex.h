/* planner/expr/lex.h: tokens of an expression, scanned one at a time where the parser stands.
 *
 * Templates are not tokens: the parser reads their text itself from `at`. */
#pragma once
#include "planner/expr/ast.h"

enum token_kind {
    /* single characters are their own kind */
    TOK_END = 256,
    TOK_NEWLINE, /* only where newlines count */
    TOK_IDENT,
    TOK_NUMBER,
    TOK_QUOTE,
    TOK_HEREDOC, /* << or <<- with the name; text is the name */
    TOK_EQ,
    TOK_NE,
    TOK_LE,
    TOK_GE,
    TOK_AND,
    TOK_OR,
    TOK_ELLIPSIS,
    TOK_ARROW,
    TOK_SCOPE,
    TOK_BAD,
};

struct token {
    int kind;
    const char *start, *end;
};

/* Scans the token at `at` (white space and comments skipped first); `end` is readable and NUL. */
struct token mio_lex(const char *at, const char *end, bool newlines);
/* How people call the token: "a comma", "the end of the expression". */
const char *mio_token_name(struct token t, char buf[static 64]);
/* A byte of 128 or more belongs to a letter outside ASCII, which names may hold. */
static inline bool mio_ident_start(char c)
{
    return ((unsigned char)(c | 32) >= 'a' && (unsigned char)(c | 32) <= 'z') || c == '_' ||
           (unsigned char)c >= 0x80;
}
static inline bool mio_ident_char(char c)
{
    return mio_ident_start(c) || (c >= '0' && c <= '9') || c == '-';
}
