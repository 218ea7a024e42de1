/* planner/template/shape.c: mappings with known keys, read by table: unknown keys, wrong types,
 * missing ones. */
#include "planner/template/load.h"
#include <stdarg.h>

void mio_tpl_error(struct mio_load *l, struct mio_pos pos, const char *hint, const char *fmt, ...)
{
    if (l->full)
        return;
    if (l->diags->errors >= MIO_TPL_MAX_ERRORS) {
        l->full = true;
        mio_diags_error(l->diags, MIO_TEMPLATE, pos, "mend these first",
                        "too many errors: the rest is not shown");
        return;
    }
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mio_diags_error(l->diags, MIO_TEMPLATE, pos, hint, "%s", text);
}

const char *mio_tpl_node_word(const struct mio_node *n)
{
    if (n->type != MIO_NODE_SCALAR)
        return n->type == MIO_NODE_SEQ ? "a list" : "a mapping";
    if (n->expr)
        return "an expression";
    switch ((enum mio_type)n->literal.type) {
    case MIO_NULL:
        return "empty";
    case MIO_BOOL:
        return "a bool";
    case MIO_NUMBER:
        return "a number";
    case MIO_STRING:
    case MIO_LIST:
    case MIO_MAP:
    case MIO_UNKNOWN:
        return "a string";
    }
    return "a string";
}

static bool is_null(const struct mio_node *n)
{
    return n->type == MIO_NODE_SCALAR && !n->expr && mio_is_null(n->literal);
}

bool mio_tpl_is_map(struct mio_load *l, const struct mio_node *n, struct mio_str what)
{
    if (n->type == MIO_NODE_MAP || is_null(n))
        return true;
    mio_tpl_error(l, n->pos, NULL, "%.*s must be a mapping of `name: ...`, this is %s",
                  MIO_FMT(what), mio_tpl_node_word(n));
    return false;
}

bool mio_tpl_is_seq(struct mio_load *l, const struct mio_node *n, struct mio_str what)
{
    if (n->type == MIO_NODE_SEQ || is_null(n))
        return true;
    mio_tpl_error(l, n->pos, "write each item on a line of its own, with `- ` in front",
                  "%.*s must be a list, this is %s", MIO_FMT(what), mio_tpl_node_word(n));
    return false;
}

static bool name_chars(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], low = (char)(c | 32);
        bool letter = (low >= 'a' && low <= 'z') || c == '_';
        if (!letter && !(i && ((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return s.n && s.n <= 128;
}

bool mio_tpl_is_name(struct mio_load *l, const struct mio_entry *e, const char *what)
{
    if (name_chars(e->key))
        return true;
    mio_tpl_error(l, e->key_pos, "letters, digits, `-` and `_`, beginning with a letter or `_`",
                  "`%.*s` cannot be the name of a %s", MIO_FMT(e->key), what);
    return false;
}

/* The next dot outside [...], or s.n. */
static size_t step_end(struct mio_str s, size_t i)
{
    bool inside = false, quoted = false;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"' && s.p[i - 1] != '\\')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == ']'))
            inside = c == '[';
        else if (c == '.' && !quoted && !inside)
            break;
    }
    return i;
}

/* A name, perhaps with [...] behind it. */
static bool is_step(struct mio_str s, bool keyed)
{
    ptrdiff_t open = mio_str_find(s, '[');
    if (open < 0)
        return name_chars(s);
    return keyed && mio_str_ends(s, "]") && s.n > (size_t)open + 2 &&
           name_chars(mio_str_sub(s, 0, (size_t)open));
}

bool mio_tpl_is_address(struct mio_str s, bool keyed)
{
    struct mio_str parts[2 * MIO_TPL_MAX_DEPTH + 3];
    size_t n = 0, i = 0;
    for (size_t from = 0; from <= s.n && n < sizeof parts / sizeof *parts;) {
        size_t end = from < s.n ? step_end(s, from + (from > 0)) : s.n;
        parts[n++] = mio_str_sub(s, from, end - from);
        from = end + 1;
    }
    while (i + 1 < n && mio_str_is(parts[i], "module")) {
        if (!is_step(parts[i + 1], keyed))
            return false;
        i += 2;
    }
    if (i == n)
        return true; /* a module as a whole */
    if (n - i == 3 && mio_str_is(parts[i], "data"))
        i++; /* a lookup; data.NAME is an asset */
    return n - i == 2 && name_chars(parts[i]) && is_step(parts[i + 1], keyed);
}

bool mio_tpl_define(struct mio_scope_load *s, struct mio_str address, struct mio_pos pos)
{
    uintptr_t at;
    if (!mio_index_add(&s->addresses, address, s->defined.n) &&
        mio_index_get(&s->addresses, address, &at)) {
        struct mio_pos first = s->defined.items[at];
        struct mio_str path = s->load->sources->items[first.file - 1].path;
        mio_tpl_error(s->load, pos, "rename or remove one of them",
                      "`%.*s` is declared a second time: %.*s:%u:%u has it already",
                      MIO_FMT(address), MIO_FMT(path), first.line, first.col);
        return false;
    }
    MIO_PUSH(s->load->arena, s->defined.items, s->defined.n, s->defined.cap) = pos;
    return true;
}

const struct mio_node *mio_tpl_without(struct mio_arena *a, const struct mio_node *map,
                                       const char *key)
{
    if (!mio_node_get(map, key))
        return map;
    struct mio_node *n = MIO_NEW(a, struct mio_node);
    struct mio_entry *entries = MIO_NEW_N(a, struct mio_entry, map->n);
    *n = *map;
    n->n = 0;
    for (size_t i = 0; i < map->n; i++)
        if (!mio_str_is(map->entries[i].key, key))
            entries[n->n++] = map->entries[i];
    n->entries = entries;
    return n;
}

void mio_tpl_names_init(struct mio_tpl_names *n, struct mio_arena *a, size_t expected)
{
    *n = (struct mio_tpl_names){0};
    mio_index_init(&n->at, a, expected);
}

void mio_tpl_names_add(struct mio_tpl_names *n, struct mio_arena *a, struct mio_str name)
{
    mio_index_set(&n->at, name, n->list.n);
    MIO_PUSH(a, n->list.items, n->list.n, n->list.cap) = name;
}

const char *mio_tpl_names_hint(const struct mio_tpl_names *n, struct mio_arena *a,
                               struct mio_str word, const char *otherwise)
{
    enum { MOST = 1000 }; /* looked through for a similar one */
    struct mio_str near = mio_str_nearest(word, n->list.items, n->list.n < MOST ? n->list.n : MOST);
    return near.n ? mio_arena_printf(a, "did you mean `%.*s`?", MIO_FMT(near)).p : otherwise;
}

/* Words that other tools use for our keys. */
static const char *const habits[][2] = {
    {"error_message", "error"},   {"terraform", "mlops_iac"},  {"variable", "variables"},
    {"resource", "resources"},    {"output", "outputs"},       {"provider", "providers"},
    {"module", "modules"},        {"imports", "import"},       {"parameters", "variables"},
    {"vars", "variables"},        {"source_module", "source"}, {"if", "enabled"},
    {"condition_error", "error"}, {"foreach", "for_each"},     {"destroy", "on_removed"},
};

static struct mio_str suggestion(struct mio_str word, const struct mio_tpl_key *keys, size_t n)
{
    struct mio_str names[40];
    size_t k = 0;
    for (; k < n && k < sizeof names / sizeof *names; k++)
        names[k] = keys[k].name;
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if (mio_str_is(word, habits[i][0]))
            for (size_t j = 0; j < k; j++)
                if (mio_str_is(names[j], habits[i][1]))
                    return names[j];
    return mio_str_nearest(word, names, k);
}

void mio_tpl_unknown(struct mio_load *l, const struct mio_entry *e, const char *what,
                     const struct mio_tpl_key *keys, size_t n)
{
    if (l->full) /* a nearest name for each of a million keys takes its time */
        return;
    char hint[320];
    struct mio_str near = suggestion(e->key, keys, n);
    if (near.n) {
        snprintf(hint, sizeof hint, "did you mean `%.*s`?", MIO_FMT(near));
    } else {
        size_t used = (size_t)snprintf(hint, sizeof hint, "known keys:");
        for (size_t i = 0; i < n && used + keys[i].name.n + 3 < sizeof hint; i++)
            used += (size_t)snprintf(hint + used, sizeof hint - used, "%s %.*s", i ? "," : "",
                                     MIO_FMT(keys[i].name));
    }
    mio_tpl_error(l, e->key_pos, hint, "%s has no key `%.*s`", what, MIO_FMT(e->key));
}

static bool wrong(struct mio_load *l, const struct mio_entry *e, const char *what,
                  const char *wanted)
{
    mio_tpl_error(l, e->value->pos, NULL, "`%.*s` of %s must be %s, this is %s", MIO_FMT(e->key),
                  what, wanted, mio_tpl_node_word(e->value));
    return false;
}

static bool all_scalars(struct mio_load *l, const struct mio_entry *e)
{
    bool good = true;
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_node *n = e->value->items[i];
        if (n->type == MIO_NODE_SCALAR && !is_null(n))
            continue;
        mio_tpl_error(l, n->pos, NULL, "each item of `%.*s` names one thing, this is %s",
                      MIO_FMT(e->key), mio_tpl_node_word(n));
        good = false;
    }
    return good;
}

struct rule {
    const struct mio_node *condition, *error;
};

static bool all_rules(struct mio_load *l, const struct mio_entry *e)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(rule, "condition", MIO_WANT_NODE, condition),
        MIO_TPL_NEED(rule, "error", MIO_WANT_SAID, error),
    };
    bool good = true;
    struct rule r;
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_node *n = e->value->items[i];
        char what[160];
        snprintf(what, sizeof what, "this item of `%.*s`", MIO_FMT(e->key));
        good = mio_tpl_read(l, n, what, n->pos, keys, 2, &r) && good;
    }
    return good;
}

bool mio_tpl_take(struct mio_load *l, const struct mio_entry *e, const char *what,
                  const struct mio_tpl_key *key, void *out)
{
    const struct mio_node *n = e->value;
    void *slot = (char *)out + key->offset;
    bool scalar = n->type == MIO_NODE_SCALAR && !n->expr;
    switch (key->want) {
    case MIO_WANT_IGNORE:
        return true;
    case MIO_WANT_NODE:
        if (!is_null(n))
            break;
        mio_tpl_error(l, e->key_pos, "give it a value, or leave the key out",
                      "`%.*s` of %s is empty", MIO_FMT(e->key), what);
        return false;
    case MIO_WANT_SAID:
        if (n->type != MIO_NODE_SCALAR || is_null(n))
            return wrong(l, e, what, "a string");
        break;
    case MIO_WANT_MAP:
        if (n->type != MIO_NODE_MAP)
            return wrong(l, e, what, "a mapping");
        break;
    case MIO_WANT_SEQ:
    case MIO_WANT_REFS:
    case MIO_WANT_RULES:
        if (n->type != MIO_NODE_SEQ)
            return wrong(l, e, what, "a list");
        if ((key->want == MIO_WANT_REFS && !all_scalars(l, e)) ||
            (key->want == MIO_WANT_RULES && !all_rules(l, e)))
            return false;
        break;
    case MIO_WANT_TEXT:
        if (!scalar || is_null(n) || n->literal.type == MIO_BOOL)
            return wrong(l, e, what, "a string");
        *(struct mio_str *)slot = n->text;
        return true;
    case MIO_WANT_BOOL:
        if (!scalar || n->literal.type != MIO_BOOL)
            return wrong(l, e, what, "true or false");
        *(bool *)slot = n->literal.b;
        return true;
    }
    *(const struct mio_node **)slot = n;
    return true;
}

bool mio_tpl_read(struct mio_load *l, const struct mio_node *map, const char *what,
                  struct mio_pos at, const struct mio_tpl_key *keys, size_t n, void *out)
{
    bool good = mio_tpl_is_map(l, map, mio_str_z(what));
    if (!good)
        return false;
    for (size_t i = 0; i < map->n; i++) {
        const struct mio_entry *e = &map->entries[i];
        size_t k = 0;
        while (k < n && !mio_str_eq(e->key, keys[k].name))
            k++;
        if (k < n) {
            good = mio_tpl_take(l, e, what, &keys[k], out) && good;
        } else {
            mio_tpl_unknown(l, e, what, keys, n);
            good = false;
        }
    }
    for (size_t k = 0; k < n; k++) {
        if (!keys[k].required || mio_node_entry(map, keys[k].name))
            continue;
        mio_tpl_error(l, at, NULL, "%s needs the key `%.*s`", what, MIO_FMT(keys[k].name));
        good = false;
    }
    return good;
}
