/* planner/expr/lex.c: one token from text. */
#include "planner/expr/lex.h"
#include <ctype.h>

static const struct {
    char text[4];
    int kind;
} OPERATORS[] = {
    {"...", TOK_ELLIPSIS}, {"==", TOK_EQ}, {"!=", TOK_NE},    {"<=", TOK_LE},    {">=", TOK_GE},
    {"&&", TOK_AND},       {"||", TOK_OR}, {"=>", TOK_ARROW}, {"::", TOK_SCOPE},
};

static const char *skip_line(const char *at, const char *end)
{
    while (at < end && *at != '\n')
        at++;
    return at;
}

static const char *skip_space(const char *at, const char *end, bool newlines)
{
    while (at < end) {
        if (*at == ' ' || *at == '\t' || *at == '\r' || (*at == '\n' && !newlines)) {
            at++;
        } else if (*at == '#' || (*at == '/' && at[1] == '/')) {
            at = skip_line(at, end);
        } else if (*at == '/' && at[1] == '*') {
            const char *close = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);
            if (!close)
                break;
            at = close + 2;
        } else {
            break;
        }
    }
    return at;
}

static const char *scan_number(const char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    if (*at == '.' && isdigit((unsigned char)at[1])) {
        at++;
        while (isdigit((unsigned char)*at))
            at++;
    }
    if (*at == 'e' || *at == 'E') {
        const char *exp = at + 1;
        if (*exp == '+' || *exp == '-')
            exp++;
        if (isdigit((unsigned char)*exp)) {
            at = exp;
            while (isdigit((unsigned char)*at))
                at++;
        }
    }
    return at;
}

static const char *scan_heredoc(const char *at)
{
    const char *name = at + 2;
    if (*name == '-')
        name++;
    const char *p = name;
    while (mio_ident_start(*name) && mio_ident_char(*p))
        p++;
    return p > name && (*p == '\n' || (*p == '\r' && p[1] == '\n')) ? p : NULL;
}

struct token mio_lex(const char *at, const char *end, bool newlines)
{
    at = skip_space(at, end, newlines);
    struct token t = {.start = at, .end = at + 1};
    if (at >= end)
        return (struct token){TOK_END, end, end};
    if (*at == '\n') {
        t.kind = TOK_NEWLINE;
        return t;
    }
    if (mio_ident_start(*at)) {
        while (t.end < end && mio_ident_char(*t.end))
            t.end++;
        t.kind = TOK_IDENT;
        return t;
    }
    if (isdigit((unsigned char)*at)) {
        t.kind = TOK_NUMBER;
        t.end = scan_number(at);
        return t;
    }
    if (*at == '<' && at[1] == '<' && scan_heredoc(at)) {
        t.kind = TOK_HEREDOC;
        t.end = scan_heredoc(at);
        return t;
    }
    for (size_t i = 0; i < sizeof OPERATORS / sizeof *OPERATORS; i++) {
        const char *op = OPERATORS[i].text;
        if (*at == op[0] && at[1] == op[1] && (!op[2] || (at[1] && at[2] == op[2]))) {
            t.kind = OPERATORS[i].kind;
            t.end = at + (op[2] ? 3 : 2);
            return t;
        }
    }
    if (*at == '"')
        t.kind = TOK_QUOTE;
    else if (*at && strchr("()[]{}.,?:+-*/%!<>=~", *at))
        t.kind = (unsigned char)*at;
    else
        t.kind = TOK_BAD;
    return t;
}

const char *mio_token_name(struct token t, char buf[static 64])
{
    if (t.kind == TOK_END)
        return "the end of the expression";
    if (t.kind == TOK_NEWLINE)
        return "the end of the line";
    if (t.kind == TOK_QUOTE)
        return "a quoted string";
    size_t n = (size_t)(t.end - t.start);
    if (n == 1 && !isprint((unsigned char)*t.start))
        snprintf(buf, 64, "the byte 0x%02x", (unsigned char)*t.start);
    else
        snprintf(buf, 64, "\"%.*s\"", n > 40 ? 40 : (int)n, t.start);
    return buf;
}
