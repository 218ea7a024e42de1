/* cli/cmd_explain.c: explain: the chain of causes behind one planned change, and who is affected by
 * it. */
#include "cli/json_out.h"
#include "cli/render_json.h"
#include "cli/render_value.h"
#include "cli/session.h"
#include "planner/change/planfile.h"
#include "providers/sdk/map.h"

/* ---- who depends on it ---- */

struct edge {
    const struct mio_change *from; /* the dependant */
    struct mio_str reference;      /* what it reads */
    struct edge *next;
};
struct dependant {
    const struct mio_change *change;
    struct mio_str reference;
    unsigned distance;
};
struct dependants {
    struct dependant *items;
    size_t n, cap;
};

/* "kind.name" of "kind.name[0].attribute" or of an address, with the module in front. */
static struct mio_str block_of(struct mio_arena *a, struct mio_str module, struct mio_str ref)
{
    size_t dots = 0, wanted = mio_str_starts(ref, "data.") ? 3 : 2, end = ref.n;
    for (size_t i = 0; i < ref.n && end == ref.n; i++) {
        dots += ref.p[i] == '.';
        if (ref.p[i] == '[' || dots == wanted)
            end = i;
    }
    ref.n = end;
    return module.n ? mio_arena_printf(a, "%.*s.%.*s", MIO_FMT(module), MIO_FMT(ref)) : ref;
}

static struct mio_str block_of_change(struct mio_arena *a, const struct mio_change *c)
{
    return mio_arena_printf(a, "%.*s%s%s%.*s.%.*s", MIO_FMT(c->module), c->module.n ? "." : "",
                            c->is_data ? "data." : "", MIO_FMT(c->kind), MIO_FMT(c->name));
}

static void add_edge(struct mio_arena *a, struct mio_index *edges, const struct mio_change *from,
                     struct mio_str ref)
{
    struct mio_str block = block_of(a, from->module, ref);
    uintptr_t head = 0;
    struct edge *e = MIO_NEW(a, struct edge);
    mio_index_get(edges, block, &head);
    *e = (struct edge){from, ref, (struct edge *)head};
    mio_index_set(edges, block, (uintptr_t)e);
}

static void index_edges(struct mio_arena *a, const struct mio_plan *p, struct mio_index *edges)
{
    mio_index_init(edges, a, 64);
    for (size_t i = 0; i < p->nchanges; i++) {
        for (size_t k = 0; k < p->changes[i].nattrs; k++) {
            const struct mio_diff_attr *d = &p->changes[i].attrs[k];
            for (size_t m = 0; m < d->ninputs; m++)
                add_edge(a, edges, &p->changes[i], d->inputs[m]);
        }
    }
}

/* Breadth first, each change once. */
static void find_dependants(struct mio_arena *a, const struct mio_plan *p,
                            const struct mio_change *start, struct dependants *out)
{
    struct mio_index edges, seen, blocks;
    index_edges(a, p, &edges);
    mio_index_init(&seen, a, 64);
    mio_index_init(&blocks, a, 64);
    mio_index_add(&seen, start->address, 1);
    const struct mio_change *at = start;
    for (size_t next = 0, distance = 1;; next++) {
        struct mio_str block = block_of_change(a, at);
        uintptr_t head = 0;
        if (mio_index_add(&blocks, block, 1))
            mio_index_get(&edges, block, &head);
        for (const struct edge *e = (const struct edge *)head; e; e = e->next) {
            if (mio_index_add(&seen, e->from->address, 1))
                MIO_PUSH(a, out->items, out->n, out->cap) =
                    (struct dependant){e->from, e->reference, (unsigned)distance};
        }
        if (next == out->n)
            return;
        at = out->items[next].change;
        distance = out->items[next].distance + 1;
    }
}

/* ---- one cause ---- */

/* The value at a dotted path, or null. */
static struct mio_value value_at(struct mio_value v, struct mio_str path)
{
    const struct mio_value *whole = mio_get(v, path);
    if (whole)
        return *whole;
    while (path.n) {
        ptrdiff_t dot = mio_str_find(path, '.');
        struct mio_str step = mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot);
        uint64_t index;
        const struct mio_value *next = NULL;
        if (mio_is_sensitive(v))
            return v;
        if (v.type == MIO_MAP)
            next = mio_get(v, step);
        else if (v.type == MIO_LIST && mio_str_u64(step, &index) && index < v.n)
            next = &v.items[index];
        if (!next)
            return v.type == MIO_UNKNOWN ? v : mio_null();
        v = *next;
        path = dot < 0 ? (struct mio_str){0} : mio_str_sub(path, (size_t)dot + 1, path.n);
    }
    return v;
}

static const char *rule_of(const struct mio_change *c, const struct mio_diff_attr *d)
{
    const struct mio_field *f = c->schema ? mio_field_at(&c->schema->root, d->path) : NULL;
    if (d->replaces)
        return "can only be set when the object is created, so a change replaces it";
    if (d->repairs)
        return "is kept as recorded; it was changed outside of mlops-iac and is set back";
    if (d->late)
        return "is set after everything that depends on the object";
    if (f && f->flags & MLOPS_CONTENT)
        return "names local content; a change of the content counts as a change";
    return "can be changed in place";
}

static struct mio_str place_of(struct mio_cli *c, struct mio_pos pos)
{
    if (!pos.file || !c->sources || pos.file > c->sources->n)
        return MIO_STR("");
    return mio_arena_printf(&c->arena, "%.*s:%u:%u", MIO_FMT(c->sources->items[pos.file - 1].path),
                            pos.line, pos.col);
}

/* A plan says places by the names of files, "NAME:LINE:COLUMN": with their paths from here where
 * the template is at hand. */
static struct mio_str diff_place(struct mio_cli *c, const struct mio_diff_attr *d)
{
    for (size_t i = 0; c->sources && d->place.n && i < c->sources->n; i++) {
        const struct mio_source *s = &c->sources->items[i];
        struct mio_str head = mio_str_sub(d->place, 0, s->name.n);
        if (s->name.n && mio_str_eq(head, s->name) && d->place.n > head.n &&
            d->place.p[head.n] == ':')
            return mio_arena_printf(&c->arena, "%.*s%.*s", MIO_FMT(s->path),
                                    MIO_FMT(mio_str_sub(d->place, s->name.n, d->place.n)));
    }
    return d->place.n ? d->place : place_of(c, d->pos);
}

static void put_labelled(struct mio_buf *b, const char *label, struct mio_str text)
{
    mio_buf_printf(b, "    %-10s  ", label);
    mio_put_safe(b, text);
    mio_buf_char(b, '\n');
}

static void put_inputs(struct mio_buf *b, const struct mio_diff_attr *d)
{
    if (!d->ninputs)
        return;
    mio_buf_z(b, "    reads       ");
    for (size_t i = 0; i < d->ninputs; i++) {
        mio_buf_z(b, i ? ", " : "");
        mio_put_safe(b, d->inputs[i]);
    }
    mio_buf_char(b, '\n');
}

struct leaf_lines {
    struct mio_buf *b;
    struct mio_str path;
};

static void put_leaf(void *arg, struct mio_str path, struct mio_value before,
                     struct mio_value after)
{
    enum { BRIEF = 200 };
    const struct leaf_lines *l = arg;
    mio_buf_z(l->b, "  ");
    mio_put_safe(l->b, l->path);
    mio_buf_z(l->b, path.n ? "." : "");
    mio_put_safe(l->b, path);
    mio_buf_z(l->b, ": ");
    mio_put_brief(l->b, before, BRIEF);
    mio_buf_z(l->b, " -> ");
    mio_put_brief(l->b, after, BRIEF);
    mio_buf_char(l->b, '\n');
}

static void put_cause(struct mio_cli *c, const struct mio_change *ch, const struct mio_diff_attr *d)
{
    struct mio_buf *b = &c->out.buf;
    struct mio_str place = diff_place(c, d);
    struct mio_value before = value_at(ch->before, d->path), after = value_at(ch->after, d->path);
    struct leaf_lines lines = {b, d->path};
    size_t n = b->n;
    mio_leaf_diff(before, after, put_leaf, &lines);
    if (b->n == n) /* what a local path holds, or a secret that only the engine can compare */
        put_leaf(&lines, MIO_STR(""), before, after);
    put_inputs(b, d);
    if (d->source.n)
        put_labelled(b, "expression", d->source);
    if (place.n)
        put_labelled(b, "at", place);
    put_labelled(b, "rule",
                 mio_arena_printf(&c->arena, "%.*s.%.*s %s", MIO_FMT(ch->kind), MIO_FMT(d->path),
                                  rule_of(ch, d)));
    mio_buf_char(b, '\n');
}

/* ---- the answer ---- */

static const char *action_text(enum mio_action a)
{
    static const char *const words[] = {
        [MIO_NOOP] = "is unchanged",
        [MIO_READ] = "will be read during apply",
        [MIO_CREATE] = "will be created",
        [MIO_UPDATE] = "will be updated in-place",
        [MIO_DELETE] = "will be destroyed",
        [MIO_REPLACE] = "will be destroyed and created anew",
        [MIO_REPLACE_CREATE] = "will be created anew, then the old object is destroyed",
        [MIO_FORGET] = "will be forgotten",
    };
    return words[a];
}

static void put_text(struct mio_cli *c, const struct mio_change *ch, const struct dependants *deps)
{
    struct mio_buf *b = &c->out.buf;
    struct mio_str place = place_of(c, ch->pos);
    mio_put_safe(b, ch->address);
    mio_buf_printf(b, " %s", action_text(ch->action));
    if (ch->reason != MIO_WHY_NONE)
        mio_buf_printf(b, " (%s)", mio_reason_name(ch->reason));
    if (place.n) {
        mio_buf_z(b, ", ");
        mio_put_safe(b, place);
    }
    mio_buf_z(b, "\n\n");
    for (size_t i = 0; i < ch->nattrs; i++)
        put_cause(c, ch, &ch->attrs[i]);
    if (!deps->n) {
        mio_buf_z(b, "No other planned change depends on it.\n");
        return;
    }
    mio_buf_z(b, "Changes that depend on it:\n");
    for (size_t i = 0; i < deps->n; i++) {
        const struct dependant *d = &deps->items[i];
        mio_buf_pad(b, ' ', 2 * (size_t)d->distance);
        mio_put_safe(b, d->change->address);
        mio_buf_printf(b, " %s, reads ", action_text(d->change->action));
        mio_put_safe(b, d->reference);
        mio_buf_char(b, '\n');
    }
}

static void put_json_cause(struct mio_cli *c, struct mio_jout *j, const struct mio_change *ch,
                           const struct mio_diff_attr *d)
{
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "path", d->path);
    mio_jout_kvalue(j, "before", value_at(ch->before, d->path));
    mio_jout_kvalue(j, "after", value_at(ch->after, d->path));
    mio_jout_kstr(j, "expression", d->source);
    mio_jout_kstr(j, "at", diff_place(c, d));
    mio_jout_key(j, "inputs");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < d->ninputs; i++) {
        mio_jout_item(j);
        mio_jout_str(j, d->inputs[i]);
    }
    mio_jout_close(j, ']');
    mio_jout_kbool(j, "replaces", d->replaces);
    mio_jout_kz(j, "rule", rule_of(ch, d));
    mio_jout_close(j, '}');
}

static void put_json(struct mio_cli *c, const struct mio_change *ch, const struct dependants *deps)
{
    struct mio_jout out = {.b = &c->out.buf, .pretty = true}, *j = &out;
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "address", ch->address);
    mio_jout_key(j, "actions");
    mio_json_actions(j, ch->action);
    mio_jout_kz(j, "reason", mio_reason_name(ch->reason));
    mio_jout_kstr(j, "at", place_of(c, ch->pos));
    mio_jout_key(j, "causes");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < ch->nattrs; i++)
        put_json_cause(c, j, ch, &ch->attrs[i]);
    mio_jout_close(j, ']');
    mio_jout_key(j, "dependants");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < deps->n; i++) {
        mio_jout_item(j);
        mio_jout_open(j, '{');
        mio_jout_kstr(j, "address", deps->items[i].change->address);
        mio_jout_kstr(j, "reads", deps->items[i].reference);
        mio_jout_ku64(j, "distance", deps->items[i].distance);
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, ']');
    mio_jout_close(j, '}');
    mio_buf_char(j->b, '\n');
}

static enum mio_code explain(struct mio_cli *c, const struct mio_plan *plan)
{
    struct mio_str address = mio_str_z(c->args[0]);
    const struct mio_change *ch = mio_plan_find(plan, address);
    struct dependants deps = {0};
    if (!ch) {
        struct mio_str *names = MIO_NEW_N(&c->arena, struct mio_str, plan->nchanges + 1);
        for (size_t i = 0; i < plan->nchanges; i++)
            names[i] = plan->changes[i].address;
        struct mio_str near = mio_str_nearest(address, names, plan->nchanges);
        struct mio_str hint =
            near.n         ? mio_arena_printf(&c->arena, "Did you mean %.*s?", MIO_FMT(near))
            : c->nargs > 1 ? MIO_STR("A saved plan holds changes alone: what it "
                                     "does not name is unchanged.")
                           : MIO_STR("'mlops-iac plan -summary' names the changes.");
        return mio_cli_usage(c, hint.p, "there is no %s in the plan", c->args[0]);
    }
    find_dependants(&c->arena, plan, ch, &deps);
    if (mio_cli_on(c, MIO_OPT_JSON))
        put_json(c, ch, &deps);
    else
        put_text(c, ch, &deps);
    return MIO_OK;
}

enum mio_code mio_cmd_explain(struct mio_cli *c)
{
    const struct mio_plan *plan = NULL;
    if (c->nargs > 1) {
        struct mio_planfile saved;
        enum mio_code code = mio_cli_read_plan(c, c->args[1], &saved);
        return code ? code : explain(c, &saved.plan);
    }
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_report(
            c, mio_cli_plan(c, mio_cli_on(c, MIO_OPT_DESTROY) ? MIO_PLAN_DESTROY : MIO_PLAN_NORMAL,
                            &plan));
    return code || !plan ? code : explain(c, plan);
}
