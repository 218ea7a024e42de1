/* planner/template/block.c: `resources:` and `data:`: kinds, names, bodies, and the meta arguments
 * inside them. */
#include "planner/template/load.h"
#include "providers/sdk/clock.h"

/* Not "data": it is a kind of asset too (data.trips), beside the lookups (data.KIND.NAME). */
static const char *const roots[] = {"var",  "local", "stage", "path",
                                    "each", "count", "self",  "module"};

static bool is_kind(struct mio_load *l, const struct mio_entry *e)
{
    struct mio_str s = e->key;
    bool good = s.n && s.n <= 64 && s.p[0] >= 'a' && s.p[0] <= 'z';
    for (size_t i = 0; i < s.n && good; i++)
        good =
            (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_';
    if (!good) {
        mio_tpl_error(l, e->key_pos, "kinds are words like `compute` or `slurm_partition`",
                      "`%.*s` cannot be a kind", MIO_FMT(s));
        return false;
    }
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (!mio_str_is(s, roots[i]))
            continue;
        mio_tpl_error(l, e->key_pos, NULL, "`%s` is no kind: expressions use the word otherwise",
                      roots[i]);
        return false;
    }
    return true;
}

struct mio_str mio_tpl_address(struct mio_arena *a, bool is_data, struct mio_str kind,
                               struct mio_str name)
{
    struct mio_str head = is_data ? MIO_STR("data.") : (struct mio_str){"", 0};
    size_t n = head.n + kind.n + 1 + name.n;
    char *p = mio_arena_alloc(a, n + 1);
    memcpy(p, head.p, head.n);
    memcpy(p + head.n, kind.p, kind.n);
    p[head.n + kind.n] = '.';
    memcpy(p + head.n + kind.n + 1, name.p, name.n);
    p[n] = '\0';
    return (struct mio_str){p, n};
}

static void block(struct mio_scope_load *s, struct mio_str kind, const struct mio_entry *e,
                  bool is_data)
{
    struct mio_load *l = s->load;
    struct mio_str address = mio_tpl_address(l->arena, is_data, kind, e->key);
    if (!mio_tpl_is_name(l, e, is_data ? "data lookup" : "resource") ||
        !mio_tpl_define(s, address, e->key_pos) || !mio_tpl_is_map(l, e->value, address))
        return;
    if (++l->nblocks > MIO_TPL_MAX_BLOCKS) {
        mio_tpl_error(l, e->key_pos, "split the template; each part has a state of its own",
                      "more than %d resources", MIO_TPL_MAX_BLOCKS);
        l->full = true;
        return;
    }
    struct mio_node *empty = NULL;
    if (e->value->type != MIO_NODE_MAP) {
        empty = MIO_NEW(l->arena, struct mio_node);
        *empty = (struct mio_node){.type = MIO_NODE_MAP, .pos = e->value->pos};
    }
    MIO_PUSH(l->arena, s->t->blocks.items, s->t->blocks.n, s->t->blocks.cap) =
        (struct mio_block){.kind = kind,
                           .name = e->key,
                           .address = address,
                           .is_data = is_data,
                           .pos = e->key_pos,
                           .body = empty ? empty : e->value,
                           .base_dir = s->base_dir};
}

/* For n more blocks at once: doubling would leave as much garbage in the arena. */
static void make_room(struct mio_scope_load *s, size_t n)
{
    struct mio_template *t = s->t;
    mio_index_reserve(&s->addresses, n);
    if (n < 64 || t->blocks.cap - t->blocks.n >= n)
        return;
    struct mio_block *items = mio_arena_alloc(s->load->arena, (t->blocks.n + n) * sizeof *items);
    if (t->blocks.n)
        memcpy(items, t->blocks.items, t->blocks.n * sizeof *items);
    t->blocks.items = items;
    t->blocks.cap = t->blocks.n + n;
}

void mio_tpl_blocks(struct mio_scope_load *s, const struct mio_entry *top, bool is_data)
{
    if (!mio_tpl_is_map(s->load, top->value, is_data ? MIO_STR("`data`") : MIO_STR("`resources`")))
        return;
    for (size_t i = 0; i < top->value->n; i++) {
        const struct mio_entry *kind = &top->value->entries[i];
        struct mio_str what =
            mio_arena_printf(s->load->arena, "`%.*s.%.*s`", MIO_FMT(top->key), MIO_FMT(kind->key));
        if (!is_kind(s->load, kind) || !mio_tpl_is_map(s->load, kind->value, what))
            continue;
        make_room(s, kind->value->n);
        for (size_t k = 0; k < kind->value->n && !s->load->full; k++)
            block(s, kind->key, &kind->value->entries[k], is_data);
    }
}

/* Lifecycle */

struct raw_lifecycle {
    struct mio_lifecycle l;
    const struct mio_node *ignore;
    struct mio_str on_removed;
};

static void ignore_changes(struct mio_load *l, const struct mio_node *n, struct mio_lifecycle *out)
{
    if (n->type == MIO_NODE_SCALAR && mio_str_is(n->text, "all")) {
        out->ignore_all = true;
        return;
    }
    if (n->type != MIO_NODE_SEQ) {
        mio_tpl_error(l, n->pos, "write `[field, other.field]`, or `all`",
                      "`ignore_changes` must be a list of fields, this is %s",
                      mio_tpl_node_word(n));
        return;
    }
    struct mio_str *paths = MIO_NEW_N(l->arena, struct mio_str, n->n);
    for (size_t i = 0; i < n->n; i++) {
        const struct mio_node *item = n->items[i];
        if (item->type == MIO_NODE_SCALAR && !item->expr && item->text.n)
            paths[out->nignore++] = item->text;
        else
            mio_tpl_error(l, item->pos, "write the path as it is: `tags.owner`",
                          "each item of `ignore_changes` must be the name of a field, this is %s",
                          mio_tpl_node_word(item));
    }
    out->ignore_changes = paths;
}

/* "`KEY` of ADDRESS" */
static const char *part_of(struct mio_load *l, const struct mio_entry *e, const char *address)
{
    return mio_arena_printf(l->arena, "`%.*s` of %s", MIO_FMT(e->key), address).p;
}

static void lifecycle(struct mio_load *l, const struct mio_entry *e, const char *address,
                      struct mio_lifecycle *out)
{
    const char *what = part_of(l, e, address);
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_KEY(raw_lifecycle, "create_before_destroy", MIO_WANT_BOOL, l.create_before_destroy),
        MIO_TPL_KEY(raw_lifecycle, "prevent_destroy", MIO_WANT_BOOL, l.prevent_destroy),
        MIO_TPL_KEY(raw_lifecycle, "ignore_changes", MIO_WANT_NODE, ignore),
        MIO_TPL_KEY(raw_lifecycle, "replace_triggered_by", MIO_WANT_REFS, l.replace_triggered_by),
        MIO_TPL_KEY(raw_lifecycle, "on_removed", MIO_WANT_TEXT, on_removed),
        MIO_TPL_KEY(raw_lifecycle, "precondition", MIO_WANT_RULES, l.precondition),
        MIO_TPL_KEY(raw_lifecycle, "postcondition", MIO_WANT_RULES, l.postcondition),
    };
    struct raw_lifecycle r = {0};
    mio_tpl_read(l, e->value, what, e->key_pos, keys, sizeof keys / sizeof *keys, &r);
    if (r.ignore)
        ignore_changes(l, r.ignore, &r.l);
    if (r.on_removed.n)
        mio_tpl_on_removed(l, e->value, r.on_removed, &r.l.on_removed_forget);
    const struct mio_entry *prevent = mio_node_entry(e->value, MIO_STR("prevent_destroy"));
    if (prevent)
        r.l.prevent_destroy_pos = prevent->key_pos;
    *out = r.l;
}

static void timeouts(struct mio_load *l, const struct mio_entry *e, const char *address,
                     const struct mio_node **out)
{
    const char *what = part_of(l, e, address);
    struct {
        const struct mio_node *n;
    } each;
    static const struct mio_tpl_key keys[] = {{MIO_STR_INIT("create"), MIO_WANT_NODE, 0, false},
                                              {MIO_STR_INIT("update"), MIO_WANT_NODE, 0, false},
                                              {MIO_STR_INIT("delete"), MIO_WANT_NODE, 0, false},
                                              {MIO_STR_INIT("read"), MIO_WANT_NODE, 0, false}};
    if (!mio_tpl_read(l, e->value, what, e->key_pos, keys, 4, &each))
        return;
    *out = e->value;
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_node *n = e->value->entries[i].value;
        int64_t seconds;
        if (n->type != MIO_NODE_SCALAR || n->expr || !mio_duration_s(n->text, &seconds))
            mio_tpl_error(l, n->pos, "write 90s, 30m or 2h", "a timeout is a duration, this is %s",
                          mio_tpl_node_word(n));
    }
}

void mio_tpl_finish_block(struct mio_load *l, struct mio_block *b)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_KEY(mio_block, "count", MIO_WANT_NODE, count),
        MIO_TPL_KEY(mio_block, "for_each", MIO_WANT_NODE, for_each),
        MIO_TPL_KEY(mio_block, "enabled", MIO_WANT_NODE, enabled),
        MIO_TPL_KEY(mio_block, "depends_on", MIO_WANT_REFS, depends_on),
        MIO_TPL_KEY(mio_block, "provider", MIO_WANT_NODE, provider),
        MIO_TPL_ALSO("timeouts"),
        MIO_TPL_ALSO("lifecycle"),
    };
    const char *what = b->address.p;
    for (size_t i = 0; i < b->body->n; i++) {
        const struct mio_entry *e = &b->body->entries[i];
        size_t k = 0, n = sizeof keys / sizeof *keys;
        while (k < n && !mio_str_eq(e->key, keys[k].name))
            k++;
        if (k == n)
            continue;
        mio_tpl_take(l, e, what, &keys[k], b);
        if (mio_str_is(e->key, "lifecycle"))
            lifecycle(l, e, what, &b->lifecycle);
        else if (mio_str_is(e->key, "timeouts"))
            timeouts(l, e, what, &b->timeouts);
    }
    if (b->count && b->for_each)
        mio_tpl_error(l, b->for_each->pos, "for_each covers what count does",
                      "%s has both `count` and `for_each`", what);
}
