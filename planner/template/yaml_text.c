/* planner/template/yaml_text.c: the text below the events: places, forbidden bytes, and what
 * libyaml's complaints mean.
 *
 * libyaml says where it stopped, seldom why. The why is guessed from the line: a torn expression, a
 * tab, a placeholder, a key whose parent line is missing. */
#include "planner/template/yaml.h"

/* Places */

static size_t char_len(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t mio_yaml_offset(struct mio_yaml_lines *l, const yaml_mark_t *mark)
{
    size_t line = mark->line < l->n ? mark->line : l->n - 1, at = l->starts[line], chars = 0;
    if (l->ascii) {
        at += mark->column;
        return at < l->text.n ? at : l->text.n;
    }
    if (line == l->last_line && mark->column >= l->last_char && l->last_byte) {
        at = l->last_byte;
        chars = l->last_char;
    }
    for (; chars < mark->column && at < l->text.n; chars++)
        at += char_len((unsigned char)l->text.p[at]);
    l->last_line = line;
    l->last_char = mark->column;
    l->last_byte = at;
    return at < l->text.n ? at : l->text.n;
}

struct mio_str mio_yaml_line(const struct mio_yaml_lines *l, size_t line)
{
    size_t from = l->starts[line], to = line + 1 < l->n ? l->starts[line + 1] : l->text.n;
    while (to > from && (l->text.p[to - 1] == '\n' || l->text.p[to - 1] == '\r'))
        to--;
    return mio_str_sub(l->text, from, to - from);
}

static struct mio_pos place(const struct mio_yaml_lines *l, size_t line, size_t offset, size_t len)
{
    size_t col = offset - (line ? l->starts[line] : 0);
    size_t next = line + 1 < l->n ? l->starts[line + 1] : l->text.n;
    if (offset + len >= next) { /* it goes on behind the line */
        size_t end = l->starts[line] + mio_yaml_line(l, line).n;
        len = end <= offset ? 0 : len < end - offset ? len : end - offset;
    }
    return (struct mio_pos){.file = l->file,
                            .line = (uint32_t)line + 1,
                            .col = (uint32_t)col + 1,
                            .len = len ? (uint32_t)len : 1};
}

struct mio_pos mio_yaml_place(const struct mio_yaml_lines *l, const yaml_mark_t *mark,
                              size_t offset, size_t len)
{
    return place(l, mark->line < l->n ? mark->line : l->n - 1, offset, len);
}

struct mio_pos mio_yaml_pos(struct mio_yaml_lines *l, const yaml_mark_t *mark, size_t len)
{
    return mio_yaml_place(l, mark, mio_yaml_offset(l, mark), len);
}

struct mio_pos mio_yaml_pos_at(const struct mio_yaml_lines *l, size_t offset, size_t len)
{
    size_t low = 0, high = l->n;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (l->starts[mid] <= offset)
            low = mid;
        else
            high = mid;
    }
    return place(l, low, offset, len);
}

/* Bytes */

/* Length of the well-formed character at s[i], 0 when there is none. */
static size_t utf8_len(struct mio_str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p + i;
    size_t left = s.n - i, n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : char_len(p[0]);
    if (!n || n > left || p[0] > 0xf4)
        return 0;
    for (size_t k = 1; k < n; k++)
        if ((p[k] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* U+0085, U+2028 and U+2029 end a line for YAML 1.1 and libyaml, not for YAML 1.2 and editors. */
static bool is_separator(struct mio_str s, size_t i)
{
    struct mio_str at = mio_str_sub(s, i, 3);
    return mio_str_starts(at, "\xc2\x85") || mio_str_eq(at, MIO_STR("\xe2\x80\xa8")) ||
           mio_str_eq(at, MIO_STR("\xe2\x80\xa9"));
}

/* Says it and gives false. */
static bool bad(const struct mio_yaml_lines *l, size_t i, struct mio_diags *diags, const char *hint,
                const char *what)
{
    mio_diags_error(diags, MIO_TEMPLATE, mio_yaml_pos_at(l, i, 1), hint, "%s", what);
    return false;
}

static bool check_wide(const struct mio_yaml_lines *l, size_t *i, struct mio_diags *diags)
{
    size_t n = utf8_len(l->text, *i);
    if (!n)
        return bad(l, *i, diags, "save the file as UTF-8", "this byte is not UTF-8");
    if (is_separator(l->text, *i))
        return bad(l, *i, diags, "write it as \\u2028, \\u2029 or \\N inside double quotes",
                   "a Unicode line separator stands here");
    *i += n - 1;
    return true;
}

/* The high bit of each byte of x that is zero, exactly. */
static uint64_t zeros(uint64_t x)
{
    const uint64_t m = 0x7f7f7f7f7f7f7f7fu;
    return ~(((x & m) + m) | x | m);
}

/* How many bytes from i on need no look, in steps of eight: 0x20 to 0x7e but %, and newlines. */
static size_t skip_plain(struct mio_str s, size_t i)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t from = i;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        uint64_t control = zeros(w & (ones * 0xe0)) & ~zeros(w ^ (ones * '\n'));
        if (control | zeros(w ^ (ones * 0x7f)) | zeros(w ^ (ones * '%')) | (w & (ones << 7)))
            break;
    }
    return i - from;
}

bool mio_yaml_check_bytes(struct mio_yaml_lines *l, struct mio_diags *diags)
{
    struct mio_str s = l->text;
    if (mio_str_starts(s, "\xff\xfe") || mio_str_starts(s, "\xfe\xff"))
        return bad(l, 0, diags, "save the file as UTF-8", "the file is UTF-16");
    if (l->starts[0])
        mio_diags_warn(diags, mio_yaml_pos_at(l, 0, 1), "save the file as UTF-8 without it",
                       "the file begins with a byte order mark");
    unsigned directives = 0;
    for (size_t i = l->starts[0] + skip_plain(s, l->starts[0]); i < s.n;
         i += 1 + skip_plain(s, i + 1)) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            l->ascii = false;
            if (!check_wide(l, &i, diags))
                return false;
        } else if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
            return bad(l, i, diags, "remove it", "a control character stands here");
        } else if (c == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')) {
            return bad(l, i, diags, "save the file with ordinary line ends",
                       "a carriage return without a line feed stands here");
        } else if (c == '%' && (!i || s.p[i - 1] == '\n') &&
                   ++directives > MIO_YAML_MAX_DIRECTIVES) {
            return bad(l, i, diags, "remove them", "too many YAML directives");
        }
    }
    return true;
}

/* What went wrong */

/* Index of the `}` that closes the `{` at `from`, or s.n. Braces in double quotes do not count. */
static size_t closing_brace(struct mio_str s, size_t from)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = from; i < s.n; i++) {
        if (s.p[i] == '"' && s.p[i - 1] != '\\')
            quoted = !quoted;
        if (quoted)
            continue;
        depth += s.p[i] == '{' ? 1 : s.p[i] == '}' ? -1 : 0;
        if (!depth)
            return i;
    }
    return s.n;
}

bool mio_yaml_unclosed(struct mio_str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if ((s.p[i] != '$' && s.p[i] != '%') || s.p[i + 1] != '{')
            continue;
        i = closing_brace(s, i + 1);
        if (i == s.n)
            return true;
    }
    return false;
}

/* An expression outside quotes that begins at or before `col` (0-based) and is not closed there. */
static bool torn_expression(struct mio_str line, size_t col)
{
    char quote = 0;
    for (size_t i = 0; i < line.n && i <= col; i++) {
        char c = line.p[i];
        if (quote) {
            if (c == quote)
                quote = 0;
        } else if ((c == '"' || c == '\'') && (!i || strchr(" [{,:", line.p[i - 1]))) {
            quote = c;
        } else if (c == '$' && i + 1 < line.n && line.p[i + 1] == '{') {
            size_t end = closing_brace(line, i + 1);
            if (i + 2 >= col || end >= col)
                return true;
            i = end;
        }
    }
    return false;
}

/* Where the double-quoted text that ends just before `end` begins, or SIZE_MAX. */
static size_t quoted_before(struct mio_str line, size_t end)
{
    size_t open = SIZE_MAX;
    for (size_t i = 0; i < end && i < line.n; i++) {
        if (open == SIZE_MAX) {
            open = line.p[i] == '"' ? i : open;
        } else if (line.p[i] == '\\') {
            i++;
        } else if (line.p[i] == '"') {
            if (i + 1 == end)
                return open;
            open = SIZE_MAX;
        }
    }
    return SIZE_MAX;
}

/* "${upper("x")}": a quote of the expression ends the text. What was said of the expression, which
 * has lost its end, is taken back. */
static bool quote_in_expression(struct mio_str line, struct mio_pos pos, struct mio_diags *diags)
{
    size_t col = pos.col - 1, open = quoted_before(line, col);
    if (open == SIZE_MAX || !mio_yaml_unclosed(mio_str_sub(line, open + 1, col - open - 2)))
        return false;
    while (diags->n && diags->items[diags->n - 1].err.pos.file == pos.file &&
           diags->items[diags->n - 1].err.pos.line == pos.line &&
           diags->items[diags->n - 1].err.pos.col > open) {
        diags->n--;
        diags->errors -= diags->items[diags->n].severity == MIO_ERROR;
    }
    pos.col--;
    mio_diags_error(diags, MIO_TEMPLATE, pos,
                    "write \\\" for a quote in the expression, or put the whole in single quotes",
                    "this quote ends the text in the middle of an expression");
    return true;
}

static bool has_placeholder(struct mio_str line)
{
    for (size_t i = 0; i + 1 < line.n; i++)
        if (line.p[i] == '{' && line.p[i + 1] == '{' && (!i || line.p[i - 1] != '$'))
            return true;
    return false;
}

static size_t indent_of(struct mio_str line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

/* The nearest line above that says anything, or SIZE_MAX. */
static size_t line_above(const struct mio_yaml_lines *l, size_t line)
{
    while (line-- > 0) {
        struct mio_str t = mio_str_trim(mio_yaml_line(l, line));
        if (t.n && t.p[0] != '#')
            return line;
    }
    return SIZE_MAX;
}

/* `type: command` followed by a deeper `raw_data:`: the line between them is missing. */
static bool missing_parent(const struct mio_yaml_lines *l, size_t line, struct mio_pos pos,
                           struct mio_diags *diags)
{
    size_t up = line_above(l, line);
    if (up == SIZE_MAX)
        return false;
    struct mio_str above = mio_yaml_line(l, up), here = mio_yaml_line(l, line);
    struct mio_str t = mio_str_trim(above), child = mio_str_trim(here);
    ptrdiff_t colon = mio_str_find(t, ':'), end = mio_str_find(child, ':');
    if (indent_of(here) <= indent_of(above) || colon < 0 || end < 0 ||
        mio_str_trim(mio_str_sub(t, (size_t)colon + 1, t.n)).n == 0)
        return false;
    bool azureml = false;
    for (size_t i = 0; i < l->n && !azureml; i++)
        azureml = mio_str_starts(mio_yaml_line(l, i), "$schema");
    struct mio_err err = {0};
    mio_fail(&err, MIO_TEMPLATE, "`%.*s` is nested below `%.*s`, which has a value already",
             (int)end, child.p, MIO_FMT(t));
    mio_err_hint(&err,
                 azureml ? "a line is probably missing above it: `inputs:`, indented like `%.*s`"
                         : "a line is probably missing above it, or it should be indented like "
                           "`%.*s`",
                 (int)colon, t.p);
    pos.col = (uint32_t)indent_of(here) + 1;
    pos.len = (uint32_t)end;
    mio_err_at(&err, pos);
    mio_diags_add(diags, MIO_ERROR, &err);
    return true;
}

/* libyaml's words and ours. `context`: the place to show is where the construct began. */
static const struct complaint {
    const char *theirs, *ours, *hint;
    bool context;
} complaints[] = {
    {"mapping values are not allowed", "a second `key: value` is not possible here",
     "put the value in quotes if it holds `: `, or begin a new line", false},
    {"did not find expected key", "a key is expected here",
     "keys of one mapping begin in the same column, one a line", false},
    {"did not find expected '-'", "the next `- item` is expected here",
     "items of one list begin in the same column", false},
    {"could not find expected ':'", "a `:` is expected after this key",
     "put the text in quotes if it is a value", true},
    {"did not find expected ',' or '}'", "a `,` or `}` is expected here",
     "the `{` above is still open", false},
    {"did not find expected ',' or ']'", "a `,` or `]` is expected here",
     "the `[` above is still open", false},
    {"did not find expected node content", "a value is expected here", NULL, false},
    {"found unexpected end of stream", "this quote is never closed", "close it, or leave it out",
     true},
    {"found unexpected document indicator", "this quote is never closed",
     "close it, or leave it out", true},
    {"found unknown escape character", "`\\` and this character is no escape",
     "write `\\\\`, or use single quotes, in which `\\` means itself", false},
    {"block sequence entries are not allowed", "a list item `- ` is not possible here",
     "begin the list on a line of its own, below its key", false},
    {"block mapping values are not allowed", "a `key: value` is not possible here", NULL, false},
    {"found undefined tag handle", "this tag has no meaning here", "remove it", false},
    {"did not find expected <document start>", "the document ends above, and more follows",
     "indent it like the rest", false},
};

static void say(const yaml_parser_t *yp, struct mio_yaml_lines *l, struct mio_diags *diags)
{
    for (size_t i = 0; i < sizeof complaints / sizeof *complaints; i++) {
        const struct complaint *c = &complaints[i];
        if (strncmp(yp->problem, c->theirs, strlen(c->theirs)) != 0)
            continue;
        const yaml_mark_t *at = c->context && yp->context ? &yp->context_mark : &yp->problem_mark;
        mio_diags_error(diags, MIO_TEMPLATE, mio_yaml_pos(l, at, 1), c->hint, "%s", c->ours);
        return;
    }
    struct mio_err err = {0};
    mio_fail(&err, MIO_TEMPLATE, "not valid YAML: %s", yp->problem);
    if (yp->context)
        mio_err_cause(&err, "%s", yp->context);
    mio_err_at(&err, mio_yaml_pos(l, &yp->problem_mark, 1));
    mio_diags_add(diags, MIO_ERROR, &err);
}

void mio_yaml_syntax_error(const yaml_parser_t *yp, struct mio_yaml_lines *l,
                           struct mio_diags *diags)
{
    size_t at = mio_yaml_offset(l, &yp->problem_mark);
    struct mio_pos pos = mio_yaml_pos(l, &yp->problem_mark, 1);
    size_t n = pos.line - 1;
    struct mio_str line = mio_yaml_line(l, n);
    size_t col = at - l->starts[n];
    if (at < l->text.n && l->text.p[at] == '\t' && indent_of(line) <= col) {
        mio_diags_error(diags, MIO_TEMPLATE, pos, "indent with spaces",
                        "a tab cannot indent or begin a value");
        return;
    }
    if (has_placeholder(line)) {
        mio_diags_error(diags, MIO_TEMPLATE, pos, MIO_YAML_FILL_HINT,
                        "a `{{...}}` placeholder is no YAML value");
        return;
    }
    if (quote_in_expression(line, pos, diags))
        return;
    if (torn_expression(line, col)) {
        mio_diags_error(diags, MIO_TEMPLATE, pos, MIO_YAML_QUOTE_HINT,
                        "YAML tears this expression apart");
        return;
    }
    bool nested = !strncmp(yp->problem, "mapping values", strlen("mapping values"));
    if (nested && missing_parent(l, n, pos, diags))
        return;
    if (at < l->text.n && !strncmp(yp->problem, "found character that", 20)) {
        mio_diags_error(diags, MIO_TEMPLATE, pos, "put the value in quotes",
                        "a value cannot begin with `%c`", l->text.p[at]);
        return;
    }
    say(yp, l, diags);
}
