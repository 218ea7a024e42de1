/* planner/template/format.c: lays a YAML file out anew, line by line.
 *
 * libyaml drops comments, so the text is kept and only the white space at the beginnings and ends
 * of lines is changed: its tokens tell which column each line belongs to. */
#include "planner/template/format.h"
#include "planner/template/emit.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/buf.h"
#include <yaml.h>

enum role {
    LOOSE,    /* blank or comment: placed by its neighbours */
    CODE,     /* begins with a token */
    CONTINUE, /* inside a plain or flow scalar of several lines: its first column means nothing */
    QUOTED,   /* the same inside quotes: blanks at its end may be escaped */
    BLOCK,    /* inside a block scalar: shifted as a whole */
};
struct line {
    struct mio_str text; /* without line end */
    size_t old, new;     /* columns of the first character that is no blank */
    enum role role;
    ptrdiff_t shift;    /* BLOCK */
    size_t gap, excess; /* blanks to take out at byte `gap`: behind a dash */
};
enum frame_kind { MAP, SEQ, INDENTLESS };
struct frame {
    enum frame_kind kind;
    size_t old, new;
};
enum { DEEPEST = 3 * 64 + 8 };
struct layout {
    struct line *lines; /* owned */
    size_t n;
    struct frame frames[DEEPEST];
    size_t depth, flow;
    bool newline;   /* the text ends in one */
    ptrdiff_t seen; /* last line that has a token */
    bool dash;      /* the token before was a dash, at: */
    yaml_mark_t dash_end;
};

static size_t leading(struct mio_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == ' ')
        n++;
    return n;
}

static void split(struct layout *l, struct mio_str text)
{
    size_t room = 64;
    l->lines = mio_zalloc(room, sizeof *l->lines);
    if (mio_str_starts(text, "\xef\xbb\xbf"))
        text = mio_str_sub(text, 3, text.n);
    while (text.n) {
        ptrdiff_t nl = mio_str_find(text, '\n');
        struct mio_str s = mio_str_sub(text, 0, nl < 0 ? text.n : (size_t)nl);
        text = mio_str_sub(text, s.n + (nl >= 0), text.n);
        if (s.n && s.p[s.n - 1] == '\r')
            s.n--;
        if (l->n == room) {
            room *= 2;
            l->lines = mio_realloc(l->lines, room, sizeof *l->lines);
        }
        l->lines[l->n++] = (struct line){.text = s, .old = leading(s)};
    }
}

static struct frame *top(struct layout *l)
{
    return l->depth ? &l->frames[l->depth - 1] : NULL;
}

static void push(struct layout *l, enum frame_kind kind, size_t old)
{
    const struct frame *up = top(l);
    if (l->depth < DEEPEST)
        l->frames[l->depth++] = (struct frame){kind, old, up ? up->new + 2 : 0};
}

/* Column of whatever stands inside the innermost collection, but its own keys and dashes. */
static size_t inner(struct layout *l)
{
    const struct frame *f = top(l);
    size_t base = f ? f->new + 2 : 0;
    if (!l->flow)
        return base;
    base = f && f->kind == MAP ? f->new : base;
    return base + 2 * l->flow;
}

/* Where a token that begins its line goes. */
static size_t column(struct layout *l, const yaml_token_t *t)
{
    bool closes = t->type == YAML_FLOW_MAPPING_END_TOKEN || t->type == YAML_FLOW_SEQUENCE_END_TOKEN;
    bool own = t->type == YAML_KEY_TOKEN || t->type == YAML_VALUE_TOKEN ||
               t->type == YAML_BLOCK_ENTRY_TOKEN;
    if (t->type == YAML_DOCUMENT_START_TOKEN || t->type == YAML_DOCUMENT_END_TOKEN ||
        t->type == YAML_VERSION_DIRECTIVE_TOKEN || t->type == YAML_TAG_DIRECTIVE_TOKEN)
        return 0;
    if (l->flow)
        return inner(l) - (closes ? 2 : 0);
    return own && top(l) ? top(l)->new : inner(l);
}

/* libyaml counts columns in characters. */
static size_t byte_of(struct mio_str line, size_t column)
{
    size_t i = 0;
    for (; i < line.n && column; column--)
        for (i++; i < line.n && ((unsigned char)line.p[i] & 0xc0) == 0x80;)
            i++;
    return i;
}

/* The lines of a scalar behind its first one. */
static void scalar(struct layout *l, const yaml_token_t *t)
{
    size_t from = t->start_mark.line + 1, to = t->end_mark.line;
    yaml_scalar_style_t style = t->data.scalar.style;
    bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    if (!block) {
        bool plain = style == YAML_PLAIN_SCALAR_STYLE;
        for (size_t i = from; i <= to && i < l->n; i++) {
            l->lines[i].role = plain ? CONTINUE : QUOTED;
            l->lines[i].new = inner(l);
        }
        return;
    }
    struct mio_str head = l->lines[t->start_mark.line].text;
    bool fixed = false, keep = false;
    for (size_t i = byte_of(head, t->start_mark.column) + 1;
         i < head.n && head.p[i] != ' ' && head.p[i] != '#'; i++) {
        fixed = fixed || (head.p[i] >= '1' && head.p[i] <= '9');
        keep = keep || head.p[i] == '+';
    }
    size_t end = t->end_mark.column ? to + 1 : to, first = from;
    end = end < l->n ? end : l->n;
    while (!keep && end > from && !mio_str_trim(l->lines[end - 1].text).n)
        end--; /* empty lines behind it are none of it */
    while (first < end && !mio_str_trim(l->lines[first].text).n)
        first++;
    const struct frame *f = top(l);
    ptrdiff_t shift = f ? (ptrdiff_t)f->new - (ptrdiff_t)f->old : 0;
    if (!fixed && first < end)
        shift = (ptrdiff_t)(f ? f->new + 2 : 2) - (ptrdiff_t)l->lines[first].old;
    for (size_t i = from; i < end; i++) {
        l->lines[i].role = BLOCK;
        l->lines[i].shift = shift;
    }
}

static void open_or_close(struct layout *l, const yaml_token_t *t)
{
    size_t col = t->start_mark.column;
    if (t->type == YAML_BLOCK_MAPPING_START_TOKEN) {
        push(l, MAP, col);
    } else if (t->type == YAML_BLOCK_SEQUENCE_START_TOKEN) {
        push(l, SEQ, col);
    } else if (t->type == YAML_BLOCK_END_TOKEN) {
        l->depth -= top(l) && top(l)->kind == INDENTLESS;
        l->depth -= l->depth > 0;
    } else if (!l->flow && t->type == YAML_BLOCK_ENTRY_TOKEN && top(l) && top(l)->kind == MAP) {
        push(l, INDENTLESS, col);
    } else if (!l->flow && (t->type == YAML_KEY_TOKEN || t->type == YAML_VALUE_TOKEN) && top(l) &&
               top(l)->kind == INDENTLESS && t->start_mark.column <= top(l)->old) {
        l->depth--;
    }
}

static bool is_structure(const yaml_token_t *t)
{
    return t->type == YAML_BLOCK_MAPPING_START_TOKEN || t->type == YAML_BLOCK_END_TOKEN ||
           t->type == YAML_BLOCK_SEQUENCE_START_TOKEN || t->type == YAML_STREAM_START_TOKEN ||
           t->type == YAML_STREAM_END_TOKEN;
}

/* `-   x`: one blank is enough. */
static void behind_dash(struct layout *l, const yaml_token_t *t)
{
    struct line *line = &l->lines[t->start_mark.line];
    if (l->dash && l->dash_end.line == t->start_mark.line && !line->excess &&
        t->start_mark.column > l->dash_end.column + 1) {
        line->gap = l->dash_end.column;
        line->excess = t->start_mark.column - l->dash_end.column - 1;
        for (size_t i = line->gap; i < line->gap + line->excess; i++)
            if (line->text.p[i] != ' ')
                line->excess = 0;
    }
    l->dash = t->type == YAML_BLOCK_ENTRY_TOKEN;
    l->dash_end = t->end_mark;
}

static void token(struct layout *l, const yaml_token_t *t)
{
    open_or_close(l, t);
    if (is_structure(t) || t->start_mark.line >= l->n)
        return;
    if ((ptrdiff_t)t->start_mark.line > l->seen) {
        struct line *line = &l->lines[t->start_mark.line];
        if (line->role == LOOSE) {
            line->role = CODE;
            line->new = column(l, t);
        }
        l->seen = (ptrdiff_t)t->start_mark.line;
    }
    behind_dash(l, t);
    if (t->type == YAML_FLOW_MAPPING_START_TOKEN || t->type == YAML_FLOW_SEQUENCE_START_TOKEN)
        l->flow++;
    else if (t->type == YAML_FLOW_MAPPING_END_TOKEN || t->type == YAML_FLOW_SEQUENCE_END_TOKEN)
        l->flow -= l->flow > 0;
    else if (t->type == YAML_SCALAR_TOKEN && t->end_mark.line > t->start_mark.line)
        scalar(l, t);
}

static void read_tokens(struct layout *l, struct mio_str text)
{
    yaml_parser_t p;
    if (!yaml_parser_initialize(&p))
        mio_alloc_die(sizeof p);
    size_t bom = mio_str_starts(text, "\xef\xbb\xbf") ? 3 : 0;
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text.p + bom, text.n - bom);
    for (bool more = true; more;) {
        yaml_token_t t;
        if (!yaml_parser_scan(&p, &t))
            break;
        token(l, &t);
        more = t.type != YAML_STREAM_END_TOKEN;
        yaml_token_delete(&t);
    }
    yaml_parser_delete(&p);
}

/* For each comment the place of the nearest line above that begins no deeper. Of the lines above
 * only those count that no shallower line follows, so they lie on a stack of growing columns. */
static void look_up(struct layout *l)
{
    const struct line **stack = mio_alloc((l->n + 1) * sizeof(*stack));
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct line *line = &l->lines[i];
        if (line->role == CODE) {
            while (n && stack[n - 1]->old >= line->old)
                n--;
            stack[n++] = line;
        } else if (line->role == LOOSE) {
            size_t low = 0, high = n; /* the first that is deeper */
            while (low < high) {
                size_t mid = (low + high) / 2;
                if (stack[mid]->old <= line->old)
                    low = mid + 1;
                else
                    high = mid;
            }
            line->new = low ? stack[low - 1]->new : 0;
        }
    }
    free(stack);
}

/* Comments go with the next line unless they stand deeper: then with the line above that they are
 * level with. */
static void place_comments(struct layout *l)
{
    size_t next_old = 0, next_new = 0;
    look_up(l);
    for (size_t i = l->n; i-- > 0;) {
        struct line *line = &l->lines[i];
        if (line->role == CODE) {
            next_old = line->old;
            next_new = line->new;
        }
        if (line->role != LOOSE || !mio_str_trim(line->text).n)
            continue;
        if (line->old <= next_old || line->new < next_new)
            line->new = next_new;
    }
}

static struct mio_str strip(struct mio_str s)
{
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static void put_block_line(struct mio_buf *b, const struct line *line)
{
    ptrdiff_t at = (ptrdiff_t)line->old + line->shift;
    if (line->old == line->text.n) { /* only blanks: those beyond the indentation are text */
        mio_buf_pad(b, ' ', at > 0 ? (size_t)at : 0);
        return;
    }
    mio_buf_pad(b, ' ', at > 0 ? (size_t)at : 0);
    mio_buf_str(b, mio_str_sub(line->text, line->old, line->text.n));
}

static void put_line(struct mio_buf *b, const struct line *line)
{
    struct mio_str s = line->role == QUOTED ? line->text : strip(line->text);
    size_t from = line->old;
    if (line->role == BLOCK) {
        put_block_line(b, line);
        return;
    }
    if (line->role == CONTINUE || line->role == QUOTED)
        while (from < s.n && (s.p[from] == ' ' || s.p[from] == '\t'))
            from++;
    if (from >= s.n)
        return;
    mio_buf_pad(b, ' ', line->new);
    if (line->excess) {
        mio_buf_str(b, mio_str_sub(s, from, line->gap - from));
        from = line->gap + line->excess;
    }
    mio_buf_str(b, mio_str_sub(s, from, s.n));
}

static void put(struct mio_buf *b, const struct layout *l)
{
    bool gap = false; /* an empty line is due */
    for (size_t i = 0; i < l->n; i++) {
        const struct line *line = &l->lines[i];
        if (line->role == LOOSE && !mio_str_trim(line->text).n) {
            gap = b->n;
            continue;
        }
        if (gap)
            mio_buf_char(b, '\n');
        gap = false;
        put_line(b, line);
        if (i + 1 < l->n || l->newline || line->role != BLOCK) /* else the newline would be text */
            mio_buf_char(b, '\n');
    }
}

static const struct mio_node *parse(struct mio_arena *a, struct mio_str text, struct mio_str shown,
                                    struct mio_sources *sources, struct mio_diags *diags)
{
    MIO_PUSH(a, sources->items, sources->n, sources->cap) =
        (struct mio_source){.path = shown, .text = text};
    return mio_yaml_parse(a, sources, (uint32_t)sources->n, false, diags);
}

static struct mio_str lay_out(struct mio_arena *a, struct mio_str text)
{
    struct layout *l = mio_zalloc(1, sizeof *l);
    MIO_AUTO_BUF out = {0};
    l->seen = -1;
    l->newline = mio_str_ends(text, "\n");
    split(l, text);
    read_tokens(l, text);
    place_comments(l);
    put(&out, l);
    free(l->lines);
    free(l);
    return mio_arena_str(a, mio_buf_view(&out));
}

enum mio_code mio_format(struct mio_arena *a, struct mio_str text, struct mio_str shown,
                         struct mio_sources *sources, struct mio_str *out, struct mio_diags *diags)
{
    const struct mio_node *before = parse(a, text, shown, sources, diags), *after;
    struct mio_diags quiet;
    if (!before)
        return MIO_TEMPLATE;
    struct mio_str laid = lay_out(a, text), again;
    struct mio_sources scratch = {0};
    mio_diags_init(&quiet, a);
    after = parse(a, laid, shown, &scratch, &quiet);
    again = lay_out(a, laid);
    if (!after || !mio_node_same(before, after) || !mio_str_eq(laid, again)) {
        mio_diags_warn(diags, before->pos, NULL,
                       "the layout of this file is too unusual to be changed safely");
        laid = text;
    }
    *out = mio_str_eq(laid, text) ? text : laid;
    return MIO_OK;
}
