/* cli/cmd_state_edit.c: state mv, state rm and state replace-provider: what changes the record
 * without touching objects. */
#include "cli/session.h"
#include "planner/graph/address.h"
#include "providers/sdk/map.h"

static enum mio_code open_state(struct mio_cli *c, struct mio_state **out)
{
    enum mio_code code = mio_cli_open(c, MIO_OPEN_WRITE);
    return code ? code : mio_cli_state(c, out);
}

static enum mio_code not_found(struct mio_cli *c, const char *address)
{
    return mio_cli_usage(c, "'mlops-iac state list' shows what is recorded.",
                         "nothing in the state matches %s", address);
}

/* ---- rm ---- */

struct victim {
    struct mio_str address, deposed;
};

enum mio_code mio_cmd_state_rm(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    struct victim *victims = NULL;
    size_t n = 0, cap = 0;
    bool dry = mio_cli_on(c, MIO_OPT_DRY_RUN);
    enum mio_code code = open_state(c, &s);
    if (code)
        return code;
    for (size_t i = 0; i < c->nargs; i++) {
        size_t before = n;
        for (size_t k = 0; k < s->nrows; k++) {
            const struct mio_row *row = &s->rows[k];
            if (mio_address_covers(mio_str_z(c->args[i]), row->address))
                MIO_PUSH(&c->arena, victims, n, cap) = (struct victim){row->address, row->deposed};
        }
        if (n == before && !mio_cli_on(c, MIO_OPT_ALLOW_MISSING))
            return not_found(c, c->args[i]);
    }
    size_t removed = 0;
    for (size_t i = 0; i < n; i++) {
        if (!dry && !mio_state_remove(s, victims[i].address, victims[i].deposed))
            continue; /* named twice */
        removed++;
        mio_ui_note(&c->ui, "%s %.*s", dry ? "Would remove" : "Removed",
                    MIO_FMT(victims[i].address));
    }
    if (dry || !removed)
        return MIO_OK;
    code = mio_cli_report(c, mio_engine_state_commit(c->engine));
    if (!code)
        mio_ui_note(&c->ui, "Successfully removed %zu resource instance(s).", removed);
    return code;
}

/* ---- mv ---- */

struct move {
    struct mio_str from, to, deposed;
};
struct moves {
    struct move *items;
    size_t n, cap;
    struct mio_index by_old; /* address to index of items */
};

/* A row that has nothing to do with the source and would be among its instances afterwards; or
 * NULL. */
static const struct mio_row *stranger(const struct mio_state *s, struct mio_str from,
                                      struct mio_str to)
{
    for (size_t i = 0; i < s->nrows; i++)
        if (mio_address_covers(to, s->rows[i].address) &&
            !mio_address_covers(from, s->rows[i].address))
            return &s->rows[i];
    return NULL;
}

/* Every row below the source gets the destination in the place of the source. */
static enum mio_code collect(struct mio_cli *c, const struct mio_state *s, struct moves *m)
{
    struct mio_err err = {0};
    struct mio_str from = mio_str_z(c->args[0]), to = mio_str_z(c->args[1]);
    bool instances = false;
    if (mio_str_eq(from, to))
        return mio_cli_usage(c, NULL, "source and destination are the same");
    for (size_t i = 0; i < s->nrows; i++) {
        const struct mio_row *row = &s->rows[i];
        if (!mio_address_covers(from, row->address))
            continue;
        struct mio_str rest = mio_str_sub(row->address, from.n, row->address.n);
        struct mio_str moved = mio_arena_printf(&c->arena, "%.*s%.*s", MIO_FMT(to), MIO_FMT(rest));
        struct mio_address parts;
        if (mio_address_parse(&c->arena, moved, &parts, &err))
            return mio_cli_fail(c, &err);
        if (!mio_str_eq(parts.kind, row->kind))
            return mio_cli_usage(c, NULL, "a resource of kind %.*s cannot become one of kind %.*s",
                                 MIO_FMT(row->kind), MIO_FMT(parts.kind));
        const struct mio_row *taken = mio_state_find(s, moved, row->deposed);
        if (taken && !mio_address_covers(from, taken->address))
            return mio_cli_usage(c, NULL, "%.*s is in the state already", MIO_FMT(moved));
        instances |= mio_str_starts(rest, "[");
        mio_index_set(&m->by_old, row->address, m->n);
        MIO_PUSH(&c->arena, m->items, m->n, m->cap) =
            (struct move){row->address, moved, row->deposed};
    }
    const struct mio_row *other = instances ? stranger(s, from, to) : NULL;
    if (other)
        return mio_cli_usage(c, "Move them one by one, or give the destination another name.",
                             "%.*s is in the state already; it would be one more instance of what "
                             "is moved",
                             MIO_FMT(other->address));
    return m->n ? MIO_OK : not_found(c, c->args[0]);
}

/* The dependencies with moved addresses in them; false when none was. */
static bool rewrite(struct mio_arena *a, const struct moves *m, struct mio_record *rec)
{
    struct mio_value deps = rec->dependencies;
    struct mio_value *items = MIO_NEW_N(a, struct mio_value, deps.n + 1);
    bool changed = false;
    for (uint32_t i = 0; deps.type == MIO_LIST && i < deps.n; i++) {
        uintptr_t at;
        bool hit = mio_index_get(&m->by_old, mio_value_str(deps.items[i]), &at);
        items[i] = hit ? mio_string(m->items[at].to) : deps.items[i];
        changed |= hit;
    }
    if (changed)
        rec->dependencies = mio_list(items, deps.n);
    return changed;
}

static enum mio_code perform(struct mio_cli *c, struct mio_state *s, const struct moves *m)
{
    struct mio_err err = {0};
    struct mio_record *moved = MIO_NEW_N(&c->arena, struct mio_record, m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct mio_row *row = mio_state_find(s, m->items[i].from, m->items[i].deposed);
        if (mio_row_read(&c->arena, row, &moved[i], &err))
            return mio_cli_fail(c, &err);
        moved[i].address = m->items[i].to;
        rewrite(&c->arena, m, &moved[i]);
    }
    for (size_t i = 0; i < m->n; i++)
        mio_state_remove(s, m->items[i].from, m->items[i].deposed);
    for (size_t i = 0; i < m->n; i++) {
        if (mio_state_put(s, &moved[i], &err))
            return mio_cli_fail(c, &err);
    }
    for (size_t i = 0; i < s->nrows; i++) {
        struct mio_record rec;
        if (mio_row_read(&c->arena, &s->rows[i], &rec, &err))
            return mio_cli_fail(c, &err);
        if (rewrite(&c->arena, m, &rec) && mio_state_put(s, &rec, &err))
            return mio_cli_fail(c, &err);
    }
    return mio_cli_report(c, mio_engine_state_commit(c->engine));
}

enum mio_code mio_cmd_state_mv(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    struct moves m = {0};
    bool dry = mio_cli_on(c, MIO_OPT_DRY_RUN);
    enum mio_code code = open_state(c, &s);
    if (code)
        return code;
    mio_index_init(&m.by_old, &c->arena, 64);
    code = collect(c, s, &m);
    for (size_t i = 0; !code && i < m.n; i++)
        mio_ui_note(&c->ui, "%s \"%.*s\" to \"%.*s\"", dry ? "Would move" : "Move",
                    MIO_FMT(m.items[i].from), MIO_FMT(m.items[i].to));
    if (code || dry)
        return code;
    code = perform(c, s, &m);
    if (!code)
        mio_ui_note(&c->ui, "Successfully moved %zu object(s).", m.n);
    return code;
}

/* ---- replace-provider ---- */

/* NAME or NAME["KEY"] of the template; NULL when it has none such. */
static const struct mio_provider_block *declared(struct mio_cli *c, const char *name)
{
    const struct mio_template *t = mio_engine_template(c->engine);
    struct mio_str s = mio_str_z(name);
    ptrdiff_t open = mio_str_find(s, '[');
    struct mio_str block = open < 0 ? s : mio_str_sub(s, 0, (size_t)open);
    for (size_t i = 0; i < t->providers.n; i++) {
        const struct mio_provider_block *b = &t->providers.items[i];
        if (mio_str_eq(b->name, block) && (b->for_each != NULL) == (open >= 0))
            return b;
    }
    return NULL;
}

static enum mio_code check_providers(struct mio_cli *c)
{
    const struct mio_provider_block *from = declared(c, c->args[0]), *to = declared(c, c->args[1]);
    if (!to)
        return mio_cli_usage(c,
                             "Declare it under `providers:` first; one with for_each is named "
                             "'NAME[\"KEY\"]'.",
                             "the template has no provider %s", c->args[1]);
    if (from && !mio_str_eq(from->type, to->type))
        return mio_cli_usage(c, NULL, "%s is of the plugin %.*s, %s of the plugin %.*s", c->args[0],
                             MIO_FMT(from->type), c->args[1], MIO_FMT(to->type));
    return MIO_OK;
}

enum mio_code mio_cmd_state_replace_provider(struct mio_cli *c)
{
    struct mio_state *s = NULL;
    struct mio_err err = {0};
    bool dry = mio_cli_on(c, MIO_OPT_DRY_RUN);
    size_t n = 0;
    if (strcmp(c->args[0], c->args[1]) == 0)
        return mio_cli_usage(c, NULL, "FROM and TO are the same");
    enum mio_code code = open_state(c, &s);
    if (code || (code = check_providers(c)) != MIO_OK)
        return code;
    for (size_t i = 0; i < s->nrows; i++) {
        struct mio_record rec;
        if (!mio_str_is(s->rows[i].provider, c->args[0]))
            continue;
        if (mio_row_read(&c->arena, &s->rows[i], &rec, &err))
            return mio_cli_fail(c, &err);
        mio_ui_note(&c->ui, "%s %.*s", dry ? "Would change" : "Change", MIO_FMT(rec.address));
        rec.provider = mio_str_z(c->args[1]);
        n++;
        if (!dry && mio_state_put(s, &rec, &err))
            return mio_cli_fail(c, &err);
    }
    if (!n)
        return mio_cli_usage(c, "'mlops-iac state list -json' shows providers.",
                             "nothing is recorded under the provider %s", c->args[0]);
    if (dry)
        return MIO_OK;
    code = mio_cli_report(c, mio_engine_state_commit(c->engine));
    if (!code)
        mio_ui_note(&c->ui, "Successfully changed the provider of %zu object(s).", n);
    return code;
}
