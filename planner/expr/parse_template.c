/* planner/expr/parse_template.c: text with ${...} and %{...} to the tree of a template. */
#include "planner/expr/parse.h"
#include "planner/expr/text.h"
#include <ctype.h>

/* What ends a body: the text itself or a directive that belongs to an outer one. */
enum stop { STOP_END, STOP_ELSE, STOP_ENDIF, STOP_ENDFOR, STOP_ERROR };
static const char *const STOP_WORD[] = {"the end of the text", "%{else}", "%{endif}", "%{endfor}"};

struct body {
    const struct mio_expr **parts;
    size_t n, cap;
    bool bad;
};

/* ---- text that is none of ours ---- */

enum { LONGEST_FOREIGN = 4096 }; /* bounds the search for an end that may never come */

/* Behind "${{" or "$[[" at `at`: where the foreign expression ends, or NULL when it is none.
 * `clear` says up to where there is no end of either kind: nothing is searched twice. */
static const char *foreign_end(const char *at, const char *end, const char *clear[2])
{
    if (end - at < 3 || at[0] != '$' || at[1] != at[2] || (at[1] != '{' && at[1] != '['))
        return NULL;
    bool square = at[1] == '[';
    const char *from = at + 3, *limit = end - from < LONGEST_FOREIGN ? end : from + LONGEST_FOREIGN;
    if (clear[square] > from)
        from = clear[square];
    const char *close =
        from < limit ? memmem(from, (size_t)(limit - from), square ? "]]" : "}}", 2) : NULL;
    if (!close && from < limit)
        clear[square] = limit - 1; /* the last byte may be half of an end */
    return close ? close + 2 : at + 3;
}

/* Where the next thing of ours begins: ${ %{ $${ %%{ or, in quotes, a backslash or the quote. */
static const char *text_end(const char *at, const char *end, enum template_mode mode)
{
    const char *clear[2] = {at, at};
    while (at < end) {
        if (*at > '\\') { /* most bytes */
            at++;
            continue;
        }
        if (mode == TEMPLATE_QUOTED && (*at == '"' || *at == '\\' || *at == '\n'))
            return at;
        const char *foreign = *at == '$' ? foreign_end(at, end, clear) : NULL;
        if (foreign) {
            at = foreign;
            continue;
        }
        if (*at == '$' || *at == '%') {
            if (end - at >= 3 && at[1] == at[0] && at[2] == '{')
                return at;
            if (end - at >= 2 && at[1] == '{')
                return at;
        }
        at++;
    }
    return at;
}

bool mio_expr_needed(struct mio_str text)
{
    bool any = false;
    for (size_t i = 0; i < text.n && !any; i++)
        any = text.p[i] == '{';
    return any && text_end(text.p, text.p + text.n, TEMPLATE_BARE) < text.p + text.n;
}

/* ---- text ---- */

static bool read_hex(const char *at, const char *end, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if (at + i >= end || !isxdigit((unsigned char)at[i]))
            return false;
        int c = tolower((unsigned char)at[i]);
        *out = *out * 16 + (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xf0) | c);
    return n;
}

/* One backslash escape at p->at; gives the number of bytes put, 0 after an error. */
static size_t read_escape(struct parser *p, char *out)
{
    static const char FROM[] = "nrt\"\\", TO[] = "\n\r\t\"\\";
    const char *at = p->at;
    const char *simple = at + 1 < p->end && at[1] ? strchr(FROM, at[1]) : NULL;
    if (simple) {
        *out = TO[simple - FROM];
        mio_parser_move(p, at + 2);
        return 1;
    }
    size_t digits = at[1] == 'u' ? 4 : at[1] == 'U' ? 8 : 0;
    uint32_t c;
    if (digits && read_hex(at + 2, p->end, digits, &c) && c && c < 0x110000 &&
        (c < 0xd800 || c > 0xdfff)) {
        mio_parser_move(p, at + 2 + digits);
        return put_utf8(out, c);
    }
    mio_parser_fail(p, at, at + 2, "the escapes are \\n \\r \\t \\\" \\\\ \\uNNNN \\UNNNNNNNN",
                    "this backslash escape is not known");
    mio_parser_move(p, at + 1);
    return 0;
}

/* Literal text up to the next sequence, quote or end. */
static struct mio_str read_text(struct parser *p, enum template_mode mode)
{
    char *out = NULL;
    size_t n = 0;
    for (;;) {
        const char *from = p->at;
        const char *to = text_end(from, p->end, mode);
        bool escape = to < p->end && (*to == '\\' || (to[0] == to[1] && strchr("$%", *to)));
        if (!out && !escape) { /* nothing to decode: the tree points into the text */
            mio_parser_move(p, to);
            return (struct mio_str){from, (size_t)(to - from)};
        }
        if (!out)
            out = mio_arena_alloc(p->a, (size_t)(p->end - from) + 1);
        memcpy(out + n, from, (size_t)(to - from));
        n += (size_t)(to - from);
        mio_parser_move(p, to);
        if (!escape)
            return (struct mio_str){out, n};
        if (*to == '\\') {
            n += read_escape(p, out + n);
        } else { /* $${ and %%{ */
            out[n++] = *to;
            out[n++] = '{';
            mio_parser_move(p, to + 3);
        }
    }
}

static struct mio_str trim_left(struct mio_str s)
{
    while (s.n && isspace((unsigned char)*s.p))
        s = (struct mio_str){s.p + 1, s.n - 1};
    return s;
}

static struct mio_str trim_right(struct mio_str s)
{
    while (s.n && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static void add_text(struct parser *p, struct body *b, struct mio_str s, const char *from)
{
    if (p->ltrim)
        s = trim_left(s);
    p->ltrim = false;
    if (!s.n)
        return;
    struct mio_expr *e = mio_node(p, NODE_LITERAL, from, p->at);
    e->op = OP_TEXT;
    e->literal = mio_string(mio_text_nfc(p->a, s));
    MIO_PUSH(p->a, b->parts, b->n, b->cap) = e;
}

/* A ~ behind the opening: white space goes from the text in front. */
static void strip_before(struct parser *p, struct body *b)
{
    if (p->at >= p->end || *p->at != '~')
        return;
    mio_parser_move(p, p->at + 1);
    if (!b->n || b->parts[b->n - 1]->op != OP_TEXT)
        return;
    struct mio_expr *e = mio_node(p, NODE_LITERAL, p->at, p->at);
    *e = *b->parts[b->n - 1];
    e->literal = mio_string(trim_right(mio_value_str(e->literal)));
    b->parts[b->n - 1] = e;
}

/* ---- ${...} and %{...} ---- */

/* From inside the braces to behind the one that closes them; strings and nested braces are jumped
 * over. */
static const char *closing_brace(const char *at, const char *end)
{
    enum { LEVELS = 256 };
    char stack[LEVELS]; /* 'b' in braces, 'q' in quotes */
    int n = 1;
    stack[0] = 'b';
    for (; at < end && n; at++) {
        bool quoted = stack[n - 1] == 'q';
        char push = 0;
        if (quoted && *at == '\\' && at + 1 < end) {
            at++;
        } else if (*at == '"') {
            n -= quoted;
            push = quoted ? 0 : 'q';
        } else if (*at == '{' && (!quoted || at[-1] == '$' || at[-1] == '%')) {
            push = 'b';
        } else if (*at == '}' && !quoted) {
            n--;
        }
        if (push && n == LEVELS)
            return end;
        if (push)
            stack[n++] = push;
    }
    return at;
}

/* The end of a sequence whose inside began at `inside`; after an error the rest of it is jumped
 * over. */
static bool close_sequence(struct parser *p, const char *open, const char *inside, bool ok)
{
    if (ok) {
        bool strip = mio_parser_peek(p).kind == '~';
        if (strip)
            mio_parser_next(p);
        struct token t = mio_parser_peek(p);
        if (t.kind == '}') {
            mio_parser_next(p);
            p->ltrim = strip;
            return true;
        }
        char name[64];
        if (t.kind == TOK_END)
            mio_parser_fail(p, open, open + 2, "close it with }", "this %.2s has no end", open);
        else
            mio_parser_fail(p, t.start, t.end, "one expression stands between ${ and }",
                            "expected \"}\", found %s", mio_token_name(t, name));
    }
    mio_parser_move(p, closing_brace(inside, p->end));
    return false;
}

static void read_interpolation(struct parser *p, struct body *b)
{
    const char *open = p->at;
    bool newlines = p->newlines;
    p->newlines = false;
    mio_parser_move(p, open + 2);
    strip_before(p, b);
    const char *inside = p->at;
    const struct mio_expr *e = NULL;
    if (mio_parser_peek(p).kind == '}')
        mio_parser_fail(p, open, p->tok.end, "write $${ for the two characters themselves",
                        "there is no expression between ${ and }");
    else
        e = mio_parse_expr(p);
    if (close_sequence(p, open, inside, e))
        MIO_PUSH(p->a, b->parts, b->n, b->cap) = e;
    else
        b->bad = true;
    p->newlines = newlines;
    p->have = false;
}

static struct body read_body(struct parser *p, enum template_mode mode, enum stop *stop);

static const struct mio_expr *join_parts(struct parser *p, const struct body *b, const char *from)
{
    struct mio_expr *e;
    if (!b->n) {
        e = mio_node(p, NODE_LITERAL, from, from);
        e->literal = mio_string_z("");
        return e;
    }
    if (b->n == 1 && b->parts[0]->kind == NODE_LITERAL && b->parts[0]->literal.type == MIO_STRING)
        return b->parts[0];
    e = mio_node(p, NODE_TEMPLATE, from, p->at);
    e->list.items = b->parts;
    e->list.n = b->n;
    for (size_t i = 0; i < b->n; i++)
        mio_node_child(e, b->parts[i]);
    return e;
}

static bool wanted_stop(struct parser *p, const char *open, enum stop got, enum stop wanted)
{
    if (got == wanted)
        return true;
    if (got == STOP_END)
        mio_parser_fail(p, open, open + 2, NULL, "this directive has no %s", STOP_WORD[wanted]);
    else if (got != STOP_ERROR)
        mio_parser_fail(p, p->at - 1, p->at, NULL, "expected %s, found %s", STOP_WORD[wanted],
                        STOP_WORD[got]);
    return false;
}

static const struct mio_expr *read_if(struct parser *p, enum template_mode mode, const char *open,
                                      const char *inside)
{
    const struct mio_expr *cond = mio_parse_expr(p);
    bool ok = close_sequence(p, open, inside, cond);
    enum stop stop;
    const char *from = p->at;
    struct body yes = read_body(p, mode, &stop), no = {0};
    const struct mio_expr *then = join_parts(p, &yes, from);
    from = p->at;
    if (stop == STOP_ELSE)
        no = read_body(p, mode, &stop);
    if (!wanted_stop(p, open, stop, STOP_ENDIF) || !ok || yes.bad || no.bad)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_COND, open, p->at);
    e->op3.a = cond;
    e->op3.b = then;
    e->op3.c = join_parts(p, &no, from);
    mio_node_child(e, e->op3.a);
    mio_node_child(e, e->op3.b);
    mio_node_child(e, e->op3.c);
    return e;
}

static const struct mio_expr *read_for(struct parser *p, enum template_mode mode, const char *open,
                                       const char *inside)
{
    struct for_node *loop = MIO_NEW(p->a, struct for_node);
    const struct binding *names = p->names;
    loop->joined = true;
    bool ok = close_sequence(p, open, inside, mio_parse_for_head(p, loop));
    enum stop stop;
    const char *from = p->at;
    struct body b = read_body(p, mode, &stop);
    loop->value = join_parts(p, &b, from);
    p->names = names;
    if (!wanted_stop(p, open, stop, STOP_ENDFOR) || !ok || b.bad)
        return NULL;
    struct mio_expr *e = mio_node(p, NODE_FOR, open, p->at);
    e->loop = loop;
    mio_node_child(e, loop->source);
    mio_node_child(e, loop->value);
    return e;
}

/* One %{...}. Gives the stop it is, or STOP_END when the body goes on. */
static enum stop read_directive(struct parser *p, struct body *b, enum template_mode mode)
{
    const char *open = p->at;
    mio_parser_move(p, open + 2);
    strip_before(p, b);
    const char *inside = p->at;
    static const struct {
        const char *word;
        enum stop stop;
    } STOPS[] = {{"else", STOP_ELSE}, {"endif", STOP_ENDIF}, {"endfor", STOP_ENDFOR}};
    for (size_t i = 0; i < 3; i++) {
        if (!mio_parser_word(p, STOPS[i].word))
            continue;
        mio_parser_next(p);
        b->bad |= !close_sequence(p, open, inside, true);
        return STOPS[i].stop;
    }
    const struct mio_expr *e = NULL;
    if (p->nest++ >= EXPR_MAX_NEST) {
        mio_parser_fail(p, open, open + 2, NULL, "directives are nested more than %d deep",
                        EXPR_MAX_NEST);
        mio_parser_move(p, p->end);
    } else if (mio_parser_word(p, "if") || mio_parser_word(p, "for")) {
        bool loop = mio_parser_next(p).start[0] == 'f';
        e = loop ? read_for(p, mode, open, inside) : read_if(p, mode, open, inside);
    } else {
        mio_parser_fail(p, open, p->tok.end,
                        "write %%{ for the two characters themselves; directives are if, else, "
                        "endif, for, endfor",
                        "this is no directive");
        mio_parser_move(p, closing_brace(inside, p->end));
    }
    p->nest--;
    if (e)
        MIO_PUSH(p->a, b->parts, b->n, b->cap) = e;
    else
        b->bad = true;
    return STOP_END;
}

static bool body_ends(struct parser *p, enum template_mode mode)
{
    return p->at >= p->end || (mode == TEMPLATE_QUOTED && (*p->at == '"' || *p->at == '\n'));
}

static struct body read_body(struct parser *p, enum template_mode mode, enum stop *stop)
{
    struct body b = {0};
    *stop = STOP_END;
    while (*stop == STOP_END) {
        const char *from = p->at;
        struct mio_str text = read_text(p, mode);
        if (text.n || p->at > from)
            add_text(p, &b, text, from);
        if (body_ends(p, mode))
            break;
        bool newlines = p->newlines;
        p->newlines = p->ltrim = false;
        p->have = false;
        if (*p->at == '$')
            read_interpolation(p, &b);
        else
            *stop = read_directive(p, &b, mode);
        p->newlines = newlines;
        p->have = false;
    }
    return b;
}

const struct mio_expr *mio_parse_template(struct parser *p, enum template_mode mode)
{
    const char *from = p->at;
    size_t errors = p->diags->errors;
    bool ltrim = p->ltrim;
    p->ltrim = false;
    enum stop stop = STOP_END;
    struct body b = {0};
    if (p->nest++ < EXPR_MAX_NEST)
        b = read_body(p, mode, &stop);
    else
        mio_parser_fail(p, from, from + 1, NULL, "templates are nested more than %d deep",
                        EXPR_MAX_NEST);
    p->nest--;
    p->ltrim = ltrim;
    if (stop != STOP_END)
        mio_parser_fail(p, p->at - 1, p->at, NULL, "%s without its beginning", STOP_WORD[stop]);
    if (mode == TEMPLATE_QUOTED) {
        if (p->at < p->end && *p->at == '"')
            mio_parser_move(p, p->at + 1);
        else if (p->diags->errors == errors)
            mio_parser_fail(p, from - 1, from, "close it with \"; a line break is written \\n",
                            "this string has no end");
    }
    if (p->diags->errors != errors)
        return NULL;
    if (b.n == 1 && b.parts[0]->kind != NODE_LITERAL)
        return b.parts[0];
    return b.n == 1 ? b.parts[0] : join_parts(p, &b, from);
}

/* How many names "${a.b.c}" holds; 0 when the text is anything else. */
static size_t plain_names(struct mio_str s)
{
    static const char *const literals[] = {"true", "false", "null"};
    size_t n = 0;
    if (s.n < 4 || s.p[0] != '$' || s.p[1] != '{' || s.p[s.n - 1] != '}')
        return 0;
    for (size_t from = 2, i = 2; i < s.n; i++) {
        if (i > from && (s.p[i] == '.' || i + 1 == s.n)) {
            n++;
            from = i + 1;
        } else if ((i == from ? !mio_ident_start(s.p[i]) : !mio_ident_char(s.p[i])) ||
                   (unsigned char)s.p[i] >= 0x80) {
            return 0;
        }
    }
    for (size_t i = 0; n == 1 && i < 3; i++)
        if (mio_str_is(mio_str_sub(s, 2, s.n - 3), literals[i]))
            return 0;
    return n;
}

/* What most scalars with an expression are, a reference and nothing else, without the parser. */
static const struct mio_expr *plain_reference(struct mio_arena *a, struct mio_str text, size_t n,
                                              struct mio_pos at)
{
    struct mio_expr *e = MIO_NEW(a, struct mio_expr);
    struct mio_ref_step *steps = MIO_NEW_N(a, struct mio_ref_step, n - 1);
    struct mio_str rest = mio_arena_str(a, mio_str_sub(text, 2, text.n - 3));
    *e = (struct mio_expr){.kind = NODE_REF, .depth = 1, .pos = at, .nsteps = (uint32_t)n - 1};
    e->pos.col += 2;
    e->pos.len = (uint32_t)rest.n;
    e->ref.steps = steps;
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t dot = mio_str_find(rest, '.');
        struct mio_str name = mio_str_sub(rest, 0, dot < 0 ? rest.n : (size_t)dot);
        if (i)
            steps[i - 1] = (struct mio_ref_step){.known = true, .value = mio_string(name)};
        else
            e->ref.root = name;
        rest = mio_str_sub(rest, name.n + 1, rest.n);
    }
    return e;
}

const struct mio_expr *mio_expr_template(struct mio_arena *a, struct mio_str text,
                                         struct mio_pos at, struct mio_diags *diags)
{
    struct parser p;
    size_t before = diags->errors, names = plain_names(text);
    if (names)
        return plain_reference(a, text, names, at);
    mio_parser_init(&p, a, text, at, diags);
    const struct mio_expr *e =
        mio_parser_text_ok(&p) ? mio_parse_template(&p, TEMPLATE_BARE) : NULL;
    return diags->errors == before ? e : NULL;
}
