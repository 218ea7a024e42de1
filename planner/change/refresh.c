/* planner/change/refresh.c: see refresh.h. */
#include "planner/change/refresh.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/json.h"

struct mio_refresh_job {
    struct mio_refresh *r;
    struct mio_prov *prov;
    struct mio_read_item *items;
    uint32_t *rows; /* items[i] speaks of state->rows[rows[i]] */
    size_t n;
    struct mio_read_job *job;
    struct mio_call_opts opts;
};

void mio_refresh_unchecked(struct mio_refresh *r, const struct mio_row *row, const char *why)
{
    struct mio_str **list = (struct mio_str **)(void *)&r->unchecked;
    MIO_PUSH(r->arena, *list, r->nunchecked, r->unchecked_cap) =
        mio_arena_printf(r->arena, "%.*s: %s", MIO_FMT(row->address), why);
}

static void prepare(struct mio_refresh *r)
{
    size_t n = r->state->nrows;
    r->seen = mio_arena_zalloc(r->arena, n + 1);
    r->here = MIO_NEW_N(r->arena, struct mio_observation *, n + 1);
}

void mio_refresh_none(struct mio_refresh *r)
{
    prepare(r);
    r->collected = true;
}

/* Rows without a fingerprint carry their attributes, so that a plugin can compare by itself. */
static void fill_item(struct mio_refresh *r, const struct mio_row *row, bool full,
                      struct mio_read_item *item)
{
    static const char mask[] = "\"$mio\":\"digest\"";
    /* A sealed state keeps secrets: those that it has as masks from before are asked for. */
    full |= r->state->keeps && memmem(row->line.p, row->line.n, mask, sizeof mask - 1);
    *item = (struct mio_read_item){
        .kind = row->kind, .id = row->id, .fingerprint = row->fingerprint, .full = full};
    if (row->fingerprint.n)
        return;
    struct mio_record rec;
    struct mio_err err = {0};
    if (mio_row_read(r->arena, row, &rec, &err) == MIO_OK) {
        MIO_AUTO_BUF b = {0};
        mio_json_write(&b, rec.attributes, MIO_JSON_OPEN);
        item->attributes_json = mio_arena_str(r->arena, mio_buf_view(&b));
    }
}

void mio_refresh_start(struct mio_refresh *r, bool full, const bool *cancel)
{
    prepare(r);
    r->jobs = MIO_NEW_N(r->arena, struct mio_refresh_job, r->provs->n + 1);
    size_t *counts = MIO_NEW_N(r->arena, size_t, r->provs->n + 1);
    uint32_t *owner = MIO_NEW_N(r->arena, uint32_t, r->state->nrows + 1);
    struct mio_str last = {"", 0};
    const char *why = "";
    uint32_t last_owner = UINT32_MAX;
    for (size_t i = 0; i < r->state->nrows; i++) {
        const struct mio_row *row = &r->state->rows[i];
        if (last_owner == UINT32_MAX || !mio_str_eq(row->provider, last)) {
            struct mio_prov *p = mio_provs_find(r->provs, row->provider);
            last = row->provider;
            last_owner = p && p->configured ? (uint32_t)(p - r->provs->items) : UINT32_MAX - 1;
            why = p && !p->folded ? "its provider could not be configured"
                                  : "its provider is not configured in the template";
        }
        owner[i] = last_owner;
        if (last_owner == UINT32_MAX - 1)
            mio_refresh_unchecked(r, row, why);
        else if (!mio_schema_kind(r->provs->items[last_owner].schema, row->kind))
            owner[i] = UINT32_MAX - 1,
            mio_refresh_unchecked(r, row, "its provider no longer has this kind");
        else
            counts[last_owner]++;
    }
    for (uint32_t p = 0; p < r->provs->n; p++) {
        if (!counts[p])
            continue;
        struct mio_refresh_job *j = &r->jobs[r->njobs++];
        *j = (struct mio_refresh_job){.r = r, .prov = &r->provs->items[p]};
        j->items = mio_arena_alloc(r->arena, counts[p] * sizeof *j->items);
        j->rows = mio_arena_alloc(r->arena, counts[p] * sizeof *j->rows);
        for (size_t i = 0; i < r->state->nrows; i++) {
            if (owner[i] != p)
                continue;
            if (r->on_row)
                r->on_row(r->arg, &r->state->rows[i], false);
            fill_item(r, &r->state->rows[i], full, &j->items[j->n]);
            j->rows[j->n++] = (uint32_t)i;
        }
        j->opts = (struct mio_call_opts){.deadline_ms = mio_now_ms() + 60000 + (int64_t)j->n * 2,
                                         .cancel = cancel};
        j->job = mio_provider_read_start(j->prov->plugin, j->items, j->n, &j->opts);
    }
}

static void answered(void *arg, size_t index, const struct mio_object *o)
{
    struct mio_refresh_job *j = arg;
    struct mio_refresh *r = j->r;
    uint32_t i = j->rows[index];
    const struct mio_row *row = &r->state->rows[i];
    if (r->on_row)
        r->on_row(r->arg, row, true);
    if (o->status == MLOPS_UNCHANGED) {
        r->seen[i] = MIO_SEEN_UNCHANGED;
        return;
    }
    if (o->status == MLOPS_NOT_FOUND) {
        r->seen[i] = MIO_SEEN_GONE;
        return;
    }
    struct mio_observation *ob = MIO_NEW(r->arena, struct mio_observation);
    r->here[i] = ob;
    if (o->status == MLOPS_ERROR) {
        r->seen[i] = MIO_SEEN_ERROR;
        ob->err = MIO_NEW(r->arena, struct mio_err);
        *ob->err = o->error;
        mio_err_address(ob->err, row->address);
        return;
    }
    r->seen[i] = MIO_SEEN_HERE;
    ob->attributes = mio_value_copy(r->arena, o->attributes);
    ob->fingerprint = mio_arena_str(r->arena, o->fingerprint);
    ob->id = mio_arena_str(r->arena, o->id);
}

/* The provider failed as a whole: what it had not answered by then. */
static void not_told(const struct mio_refresh_job *j)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->r->seen[j->rows[i]] == MIO_SEEN_NOT)
            mio_refresh_unchecked(j->r, &j->r->state->rows[j->rows[i]],
                                  "its provider could not be read");
}

enum mio_code mio_refresh_collect(struct mio_refresh *r, struct mio_err *err)
{
    if (r->collected)
        return MIO_OK;
    r->collected = true;
    for (size_t i = 0; i < r->njobs; i++) {
        struct mio_err one = {0};
        if (mio_provider_read_collect(r->jobs[i].job, answered, &r->jobs[i], &one)) {
            not_told(&r->jobs[i]);
            mio_err_wrap(&one, "cannot read what provider \"%.*s\" has",
                         MIO_FMT(r->jobs[i].prov->name));
            if (!err->code)
                *err = one;
        }
    }
    return err->code;
}
