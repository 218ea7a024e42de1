/* cli/render_value.c: values and differences of values as indented lines. */
#include "cli/render_value.h"
#include "cli/edit.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/json.h"
#include "state/model.h"

static void end_line(const struct mio_pen *pen)
{
    mio_buf_char(pen->b, '\n');
}

void mio_put_symbol(const struct mio_pen *pen, size_t depth, const char *symbol)
{
    static const struct {
        char last;
        enum mio_style style;
    } styles[] = {
        {'+', MIO_GREEN}, {'-', MIO_RED}, {'~', MIO_YELLOW}, {'=', MIO_CYAN}, {'.', MIO_DIM}};
    size_t n = strlen(symbol);
    if (!depth) /* at the margin there is no room for one */
        return;
    mio_buf_pad(pen->b, ' ', 4 * depth - 1 - n);
    for (size_t i = 0; i < sizeof styles / sizeof *styles && n && pen->color; i++) {
        if (symbol[n - 1] == styles[i].last)
            mio_style(pen, styles[i].style);
    }
    mio_buf_add(pen->b, symbol, n);
    if (n)
        mio_style(pen, MIO_RESET);
    mio_buf_char(pen->b, ' ');
}

/* ---- whole values ---- */

static bool is_word(struct mio_str s)
{
    if (!s.n || (s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* In quotes, on one line. */
static void put_quoted(struct mio_buf *b, struct mio_str s)
{
    MIO_AUTO_BUF escaped = {0};
    struct mio_str text = s;
    if (memchr(s.p, '"', s.n) || memchr(s.p, '\\', s.n) || memchr(s.p, '\n', s.n) ||
        memchr(s.p, '\t', s.n) || memchr(s.p, '\r', s.n)) {
        for (size_t i = 0; i < s.n; i++) {
            const char *known = "\"\\\n\t\r", *at = memchr(known, s.p[i], 5);
            if (at)
                mio_buf_char(&escaped, '\\');
            mio_buf_char(&escaped, at ? "\"\\ntr"[at - known] : s.p[i]);
        }
        text = mio_buf_view(&escaped);
    }
    mio_buf_char(b, '"');
    mio_put_safe(b, text);
    mio_buf_char(b, '"');
}

/* Returns the columns used. */
static size_t put_key(struct mio_buf *b, struct mio_str key)
{
    size_t before = b->n;
    if (is_word(key))
        mio_buf_str(b, key);
    else
        put_quoted(b, key);
    return b->n - before;
}

static size_t key_width(struct mio_str key)
{
    return is_word(key) ? key.n : key.n + 2;
}

/* "key    = " behind its symbol. */
static void put_key_column(const struct mio_pen *pen, struct mio_str key, size_t width)
{
    size_t used = put_key(pen->b, key);
    mio_buf_pad(pen->b, ' ', used < width ? width - used : 0);
    mio_buf_z(pen->b, " = ");
}

static bool is_block(struct mio_value v)
{
    return v.type == MIO_STRING && !mio_is_sensitive(v) && memchr(v.s, '\n', v.n);
}

static bool next_line(struct mio_str *rest, struct mio_str *line)
{
    if (!rest->n)
        return false;
    ptrdiff_t nl = mio_str_find(*rest, '\n');
    *line = nl < 0 ? *rest : mio_str_sub(*rest, 0, (size_t)nl);
    *rest = nl < 0 ? (struct mio_str){0} : mio_str_sub(*rest, (size_t)nl + 1, rest->n);
    return true;
}

static void put_block(const struct mio_pen *pen, struct mio_str text, size_t depth)
{
    struct mio_str line;
    mio_buf_z(pen->b, "<<-EOT\n");
    while (next_line(&text, &line)) {
        mio_put_symbol(pen, depth + 1, "");
        mio_put_safe(pen->b, line);
        end_line(pen);
    }
    mio_put_symbol(pen, depth, "");
    mio_buf_z(pen->b, "EOT");
}

static void put_list(const struct mio_pen *pen, struct mio_value v, size_t depth,
                     const char *symbol)
{
    mio_buf_z(pen->b, "[\n");
    for (uint32_t i = 0; i < v.n; i++) {
        mio_put_symbol(pen, depth + 1, symbol);
        mio_put_value(pen, v.items[i], depth + 1, symbol);
        mio_buf_z(pen->b, ",\n");
    }
    mio_put_symbol(pen, depth, "");
    mio_buf_char(pen->b, ']');
}

void mio_put_map_lines(const struct mio_pen *pen, struct mio_value map, size_t depth,
                       const char *symbol, const char *behind)
{
    size_t width = 0;
    for (uint32_t i = 0; i < map.n; i++) {
        size_t w = mio_is_null(map.pairs[i].value) ? 0 : key_width(map.pairs[i].key);
        width = w > width ? w : width;
    }
    for (uint32_t i = 0; i < map.n; i++) {
        if (mio_is_null(map.pairs[i].value))
            continue;
        mio_put_symbol(pen, depth, symbol);
        put_key_column(pen, map.pairs[i].key, width);
        mio_put_value(pen, map.pairs[i].value, depth, symbol);
        mio_buf_z(pen->b, behind);
        end_line(pen);
    }
}

void mio_put_value(const struct mio_pen *pen, struct mio_value v, size_t depth, const char *symbol)
{
    struct mio_buf *b = pen->b;
    if (mio_is_sensitive(v)) {
        mio_buf_z(b, "(sensitive value)");
        return;
    }
    switch ((enum mio_type)v.type) {
    case MIO_NULL:
        mio_buf_z(b, "null");
        break;
    case MIO_BOOL:
        mio_buf_z(b, v.b ? "true" : "false");
        break;
    case MIO_NUMBER:
        mio_buf_str(b, mio_value_str(v));
        break;
    case MIO_STRING:
        if (is_block(v))
            put_block(pen, mio_value_str(v), depth);
        else
            put_quoted(b, mio_value_str(v));
        break;
    case MIO_LIST:
        if (v.n)
            put_list(pen, v, depth, symbol);
        else
            mio_buf_z(b, "[]");
        break;
    case MIO_MAP:
        mio_buf_z(b, v.n ? "{\n" : "{}");
        mio_put_map_lines(pen, v, depth + 1, symbol, "");
        if (v.n) {
            mio_put_symbol(pen, depth, "");
            mio_buf_char(b, '}');
        }
        break;
    case MIO_UNKNOWN:
        mio_buf_z(b, "(known after apply)");
        break;
    }
}

/* ---- differences ---- */

static const struct mio_diff_attr *attr_at(const struct mio_value_page *p)
{
    struct mio_str path = mio_buf_view(&p->path);
    for (size_t i = 0; p->change && i < p->change->nattrs; i++) {
        if (mio_str_eq(p->change->attrs[i].path, path))
            return &p->change->attrs[i];
    }
    return NULL;
}

/* The engine named this path, something below it, or what holds it. */
static bool attr_near(const struct mio_value_page *p)
{
    struct mio_str path = mio_buf_view(&p->path);
    for (size_t i = 0; p->change && i < p->change->nattrs; i++) {
        struct mio_str one = p->change->attrs[i].path;
        size_t n = one.n < path.n ? one.n : path.n;
        bool border = one.n == path.n || (one.n > n ? one.p[n] : path.p[n]) == '.';
        if (border && memcmp(one.p, path.p, n) == 0)
            return true;
    }
    return false;
}

static size_t push_path(struct mio_value_page *p, struct mio_str step)
{
    size_t old = p->path.n;
    if (old)
        mio_buf_char(&p->path, '.');
    mio_buf_str(&p->path, step);
    return old;
}

static void pop_path(struct mio_value_page *p, size_t old)
{
    p->path.n = old;
}

/* Same value, as far as people are concerned. A digest of a secret and the secret itself cannot be
 * compared here: then the engine's word counts. */
static bool same(const struct mio_value_page *p, struct mio_value b, struct mio_value a)
{
    if (mio_is_masked(b) != mio_is_masked(a))
        return !attr_near(p);
    if (!mio_equal(b, a))
        return false;
    const struct mio_diff_attr *named = attr_at(p);
    return !named || mio_has_unknown(a) || (b.type == MIO_MAP && b.n);
}

static const char *attr_comment(const struct mio_value_page *p, bool unchanged)
{
    const struct mio_diff_attr *d = attr_at(p);
    return !d            ? NULL
           : d->replaces ? "forces replacement"
           : d->repairs  ? "restores what was recorded"
           : d->late     ? "set after its dependants"
           : unchanged   ? "content changed"
                         : NULL;
}

static void put_comment(struct mio_value_page *p)
{
    if (!p->comment)
        return;
    mio_buf_z(p->pen->b, " ");
    mio_style(p->pen, MIO_RED);
    mio_buf_printf(p->pen->b, "# %s", p->comment);
    mio_style(p->pen, MIO_RESET);
    p->comment = NULL;
}

static void put_hidden(const struct mio_pen *pen, size_t depth, size_t n, const char *what)
{
    if (!n)
        return;
    mio_put_symbol(pen, depth, "");
    mio_style(pen, MIO_DIM);
    mio_buf_printf(pen->b, "# (%zu unchanged %s%s hidden)", n, what, n == 1 ? "" : "s");
    mio_style(pen, MIO_RESET);
    end_line(pen);
}

/* One key of either map. */
struct entry {
    struct mio_str key;
    struct mio_value before, after;
    bool same;
};

static bool is_shown(const struct entry *e)
{
    return !e->same || mio_str_is(e->key, "id") || mio_str_is(e->key, "name");
}

/* Joins two sorted maps; nulls at the top mean absent. Returns how many. */
static size_t join(struct mio_value_page *p, struct mio_value b, struct mio_value a, bool top,
                   struct entry *out)
{
    size_t n = 0;
    for (uint32_t i = 0, k = 0; i < b.n || k < a.n;) {
        int order = i == b.n ? 1 : k == a.n ? -1 : mio_str_cmp(b.pairs[i].key, a.pairs[k].key);
        struct entry e = {.key = order <= 0 ? b.pairs[i].key : a.pairs[k].key};
        if (order <= 0)
            e.before = b.pairs[i++].value;
        if (order >= 0)
            e.after = a.pairs[k++].value;
        if (top && mio_is_null(e.before) && mio_is_null(e.after))
            continue;
        size_t old = push_path(p, e.key);
        e.same = same(p, e.before, e.after);
        pop_path(p, old);
        out[n++] = e;
    }
    return n;
}

static void put_entry(struct mio_value_page *p, const struct entry *e, size_t width, size_t depth,
                      bool top)
{
    bool born = mio_is_null(e->before), dies = mio_is_null(e->after);
    const char *symbol = e->same ? "" : born ? "+" : dies ? "-" : "~";
    size_t old = push_path(p, e->key);
    mio_put_symbol(p->pen, depth, symbol);
    put_key_column(p->pen, e->key, width);
    p->comment = e->same ? NULL : attr_comment(p, mio_equal(e->before, e->after));
    if (e->same || born)
        mio_put_value(p->pen, e->after, depth, symbol);
    else if (dies)
        mio_put_value(p->pen, e->before, depth, symbol);
    else
        mio_put_diff(p, e->before, e->after, depth);
    if (dies && !e->same && top)
        mio_buf_z(p->pen->b, " -> null");
    put_comment(p);
    end_line(p->pen);
    pop_path(p, old);
}

void mio_put_map_diff(struct mio_value_page *p, struct mio_value before, struct mio_value after,
                      size_t depth, bool top)
{
    MIO_AUTO_FREE struct entry *entries = mio_zalloc(before.n + after.n + 1, sizeof *entries);
    size_t n = join(p, before, after, top, entries), width = 0, hidden = 0;
    for (size_t i = 0; i < n; i++) {
        size_t w = is_shown(&entries[i]) ? key_width(entries[i].key) : 0;
        width = w > width ? w : width;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_shown(&entries[i]))
            put_entry(p, &entries[i], width, depth, top);
        else
            hidden++;
    }
    put_hidden(p->pen, depth, hidden, "attribute");
}

struct lists {
    const struct mio_value *b, *a;
};

static bool items_equal(const void *arg, size_t b, size_t a)
{
    const struct lists *l = arg;
    return mio_equal(l->b[b], l->a[a]);
}

static bool is_container(struct mio_value v)
{
    return (v.type == MIO_MAP || v.type == MIO_LIST) && !mio_is_sensitive(v);
}

/* A container that went and one that came right after it are one that changed. */
static size_t pair_up(struct mio_edit *e, size_t n, const struct lists *l)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && e[i].op == '-' && e[i + 1].op == '+' && is_container(l->b[e[i].b]) &&
            l->b[e[i].b].type == l->a[e[i + 1].a].type) {
            e[out++] = (struct mio_edit){'~', e[i].b, e[i + 1].a, true};
            i++;
        } else {
            e[out++] = e[i];
        }
    }
    return out;
}

static void put_list_diff(struct mio_value_page *p, struct mio_value b, struct mio_value a,
                          size_t depth)
{
    struct lists l = {b.items, a.items};
    MIO_AUTO_FREE struct mio_edit *edits = NULL;
    size_t n = mio_edit_script(b.n, a.n, !(a.marks & MIO_MARK_SET), 1, items_equal, &l, &edits);
    n = pair_up(edits, n, &l);
    size_t hidden = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mio_edit *e = &edits[i];
        if (!e->show) {
            hidden++;
            continue;
        }
        put_hidden(p->pen, depth + 1, hidden, "element");
        hidden = 0;
        char symbol[2] = {e->op == '=' ? '\0' : e->op, '\0'}, step[24];
        int len = snprintf(step, sizeof step, "%zu", e->op == '-' ? e->b : e->a);
        size_t old = push_path(p, (struct mio_str){step, (size_t)len});
        mio_put_symbol(p->pen, depth + 1, symbol);
        if (e->op == '~')
            mio_put_diff(p, l.b[e->b], l.a[e->a], depth + 1);
        else
            mio_put_value(p->pen, e->op == '-' ? l.b[e->b] : l.a[e->a], depth + 1, symbol);
        mio_buf_z(p->pen->b, ",\n");
        pop_path(p, old);
    }
    put_hidden(p->pen, depth + 1, hidden, "element");
}

struct texts {
    struct mio_str *b, *a;
};

static bool lines_equal(const void *arg, size_t b, size_t a)
{
    const struct texts *t = arg;
    return mio_str_eq(t->b[b], t->a[a]);
}

/* The caller frees. */
static struct mio_str *split_lines(struct mio_str text, size_t *n)
{
    size_t count = 1;
    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    struct mio_str *lines = mio_zalloc(count, sizeof *lines);
    *n = 0;
    while (next_line(&text, &lines[*n]))
        ++*n;
    return lines;
}

static void put_block_diff(struct mio_value_page *p, struct mio_str b, struct mio_str a,
                           size_t depth)
{
    size_t nb, na, hidden = 0;
    MIO_AUTO_FREE struct mio_str *lb = split_lines(b, &nb);
    MIO_AUTO_FREE struct mio_str *la = split_lines(a, &na);
    MIO_AUTO_FREE struct mio_edit *edits = NULL;
    struct texts t = {lb, la};
    size_t n = mio_edit_script(nb, na, false, 3, lines_equal, &t, &edits);
    mio_buf_z(p->pen->b, "<<-EOT");
    put_comment(p);
    end_line(p->pen);
    for (size_t i = 0; i < n; i++) {
        if (!edits[i].show) {
            hidden++;
            continue;
        }
        put_hidden(p->pen, depth + 1, hidden, "line");
        hidden = 0;
        char symbol[2] = {edits[i].op == '=' ? '\0' : edits[i].op, '\0'};
        mio_put_symbol(p->pen, depth + 1, symbol);
        mio_put_safe(p->pen->b, edits[i].op == '-' ? lb[edits[i].b] : la[edits[i].a]);
        end_line(p->pen);
    }
    put_hidden(p->pen, depth + 1, hidden, "line");
    mio_put_symbol(p->pen, depth, "");
    mio_buf_z(p->pen->b, "EOT");
}

static void put_arrow(struct mio_value_page *p, struct mio_value before, struct mio_value after,
                      size_t depth)
{
    mio_put_value(p->pen, before, depth, "-");
    mio_style(p->pen, MIO_YELLOW);
    mio_buf_z(p->pen->b, " -> ");
    mio_style(p->pen, MIO_RESET);
    mio_put_value(p->pen, after, depth, "+");
}

void mio_put_diff(struct mio_value_page *p, struct mio_value before, struct mio_value after,
                  size_t depth)
{
    struct mio_buf *b = p->pen->b;
    if (mio_is_sensitive(before) || mio_is_sensitive(after)) {
        mio_buf_z(b, "(sensitive value)");
    } else if (before.type == MIO_MAP && after.type == MIO_MAP) {
        mio_buf_char(b, '{');
        put_comment(p);
        end_line(p->pen);
        mio_put_map_diff(p, before, after, depth + 1, false);
        mio_put_symbol(p->pen, depth, "");
        mio_buf_char(b, '}');
    } else if (before.type == MIO_LIST && after.type == MIO_LIST) {
        mio_buf_char(b, '[');
        put_comment(p);
        end_line(p->pen);
        put_list_diff(p, before, after, depth);
        mio_put_symbol(p->pen, depth, "");
        mio_buf_char(b, ']');
    } else if (before.type == MIO_STRING && after.type == MIO_STRING &&
               (is_block(before) || is_block(after))) {
        put_block_diff(p, mio_value_str(before), mio_value_str(after), depth);
    } else if (!mio_has_unknown(after) && mio_equal(before, after)) {
        mio_put_value(p->pen, after, depth, "~"); /* what a local path holds has changed */
    } else {
        put_arrow(p, before, after, depth);
    }
}

/* ---- leaves ---- */

struct leaf_walk {
    mio_leaf_visit *visit;
    void *arg;
    struct mio_buf path;
};

static void walk_leaves(struct leaf_walk *w, struct mio_value b, struct mio_value a);

static void walk_step(struct leaf_walk *w, struct mio_str step, struct mio_value b,
                      struct mio_value a)
{
    size_t old = w->path.n;
    if (old)
        mio_buf_char(&w->path, '.');
    mio_buf_str(&w->path, step);
    walk_leaves(w, b, a);
    w->path.n = old;
}

static void walk_leaves(struct leaf_walk *w, struct mio_value b, struct mio_value a)
{
    if (!mio_has_unknown(a) && mio_equal(b, a))
        return;
    bool open = !mio_is_sensitive(b) && !mio_is_sensitive(a);
    if (open && b.type == MIO_MAP && a.type == MIO_MAP) {
        for (uint32_t i = 0, k = 0; i < b.n || k < a.n;) {
            int order = i == b.n ? 1 : k == a.n ? -1 : mio_str_cmp(b.pairs[i].key, a.pairs[k].key);
            struct mio_str key = order <= 0 ? b.pairs[i].key : a.pairs[k].key;
            struct mio_value before = order <= 0 ? b.pairs[i++].value : mio_null();
            struct mio_value after = order >= 0 ? a.pairs[k++].value : mio_null();
            walk_step(w, key, before, after);
        }
    } else if (open && b.type == MIO_LIST && a.type == MIO_LIST && b.n == a.n) {
        for (uint32_t i = 0; i < b.n; i++) {
            char step[16];
            int len = snprintf(step, sizeof step, "%u", i);
            walk_step(w, (struct mio_str){step, (size_t)len}, b.items[i], a.items[i]);
        }
    } else {
        w->visit(w->arg, mio_buf_view(&w->path), b, a);
    }
}

void mio_leaf_diff(struct mio_value before, struct mio_value after, mio_leaf_visit *visit,
                   void *arg)
{
    struct leaf_walk w = {.visit = visit, .arg = arg};
    walk_leaves(&w, before, after);
    mio_buf_free(&w.path);
}

void mio_put_brief(struct mio_buf *b, struct mio_value v, size_t max)
{
    if (v.type == MIO_UNKNOWN || mio_is_sensitive(v)) {
        const struct mio_pen pen = {b, false};
        mio_put_value(&pen, v, 0, "");
        return;
    }
    MIO_AUTO_BUF json = {0};
    mio_json_write(&json, v, MIO_JSON_HIDDEN);
    struct mio_str text = mio_str_sub(mio_buf_view(&json), 0, max);
    while (text.n < json.n && text.n && ((unsigned char)json.p[text.n] & 0xc0) == 0x80)
        text.n--; /* never half a character */
    mio_put_safe(b, text);
    if (text.n < json.n)
        mio_buf_z(b, "...");
}
