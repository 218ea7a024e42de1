/* planner/run/expected.c: see expected.h. */
#include "planner/run/expected.h"
#include "planner/graph/address.h"

/* What a template and its modules have that can fail, without the keys of instances. */
struct names {
    struct mio_arena *a;
    struct mio_str *items;
    size_t n, cap;
};

static void add(struct names *out, struct mio_str prefix, const char *word, struct mio_str name)
{
    MIO_PUSH(out->a, out->items, out->n, out->cap) =
        mio_arena_printf(out->a, "%.*s%s%.*s", MIO_FMT(prefix), word, MIO_FMT(name));
}

static void collect(struct names *out, const struct mio_template *t, struct mio_str prefix)
{
    for (size_t i = 0; i < t->variables.n; i++)
        add(out, prefix, "var.", t->variables.items[i].name);
    for (size_t i = 0; i < t->outputs.n; i++)
        add(out, prefix, "output.", t->outputs.items[i].name);
    for (size_t i = 0; i < t->checks.n; i++)
        add(out, prefix, t->checks.items[i].blocks ? "policy." : "check.", t->checks.items[i].name);
    for (size_t i = 0; i < t->locals.n; i++)
        add(out, prefix, "local.", t->locals.items[i].name);
    for (size_t i = 0; i < t->blocks.n; i++)
        add(out, prefix, "", t->blocks.items[i].address);
    for (size_t i = 0; i < t->modules.n; i++) {
        add(out, prefix, "module.", t->modules.items[i].name);
        collect(out, t->modules.items[i].tpl,
                mio_arena_printf(out->a, "%.*s.", MIO_FMT(out->items[out->n - 1])));
    }
}

/* module.m["a.b"].thing.x[0]: module.m.thing.x */
static struct mio_str without_keys(struct mio_arena *a, struct mio_str s)
{
    char *text = mio_arena_alloc(a, s.n + 1);
    size_t n = 0;
    bool inside = false, quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (inside && s.p[i] == '"' && s.p[i - 1] != '\\')
            quoted = !quoted;
        else if (!quoted && s.p[i] == '[')
            inside = true;
        else if (!quoted && s.p[i] == ']')
            inside = false;
        else if (!inside)
            text[n++] = s.p[i];
    }
    return (struct mio_str){text, n};
}

/* Is there nothing of this name? Then it says so. */
static bool is_unknown(const struct mio_node *n, const struct names *known, struct mio_diags *diags)
{
    struct mio_str near, name = without_keys(known->a, n->text);
    for (size_t i = 0; i < known->n; i++)
        if (mio_str_eq(known->items[i], name))
            return false;
    near = mio_str_nearest(name, known->items, known->n);
    struct mio_str hint =
        near.n ? mio_arena_printf(known->a, "Did you mean %.*s?", MIO_FMT(near))
               : MIO_STR("Write var.NAME, output.NAME, check.NAME, policy.NAME or KIND.NAME, with "
                         "module.NAME. before what is in a module.");
    mio_diags_error(diags, MIO_TEMPLATE, n->pos, hint.p,
                    "the template has no `%.*s` that could fail", MIO_FMT(n->text));
    return true;
}

bool mio_is_of_check(const struct mio_err *err)
{
    const char *name = strrchr(err->address, '.');
    size_t n = name ? (size_t)(name - err->address) : 0;
    return n >= 5 && !memcmp(name - 5, "check", 5) && (n == 5 || name[-6] == '.');
}

/* Is this expected by the list, with the keys of instances or without? Notes by what. */
static bool is_expected(struct mio_arena *a, const struct mio_node *list, const struct mio_diag *d,
                        bool *seen)
{
    struct mio_str address = mio_str_z(d->err.address), all = without_keys(a, address);
    bool found = false;
    for (size_t k = 0; list && k < list->n; k++)
        if (mio_address_covers(list->items[k]->text, address) ||
            mio_address_covers(list->items[k]->text, all))
            seen[k] = found = true;
    return found;
}

void mio_expected(const struct mio_node *list, const struct mio_template *t,
                  struct mio_diags *diags)
{
    struct names known = {.a = diags->arena};
    size_t n = list ? list->n : 0, kept = 0;
    bool *seen = MIO_NEW_N(diags->arena, bool, n + 1);
    for (size_t i = 0; i < diags->n; i++) {
        struct mio_diag d = diags->items[i];
        bool check = d.severity == MIO_WARNING && mio_is_of_check(&d.err);
        if ((check || d.severity == MIO_ERROR) && is_expected(known.a, list, &d, seen)) {
            diags->errors -= !check;
            continue;
        }
        d.severity = check ? MIO_ERROR : d.severity;
        diags->errors += check;
        diags->items[kept++] = d;
    }
    diags->n = kept;
    collect(&known, t, MIO_STR(""));
    for (size_t k = 0; k < n; k++)
        if (!seen[k] && !is_unknown(list->items[k], &known, diags))
            mio_diags_error(diags, MIO_TEMPLATE, list->items[k]->pos, NULL,
                            "%.*s was expected to fail, and did not",
                            MIO_FMT(list->items[k]->text));
}
