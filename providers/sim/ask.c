/* providers/sim/ask.c: what can be asked about things. Nothing here changes one. */
#include <stdlib.h>

#include "providers/sdk/alloc.h"
#include "providers/sim/sim.h"

/* ---- read_many ---- */

/* "v12" as a number; 0 when there is no fingerprint. */
static int64_t version_of(const char *fingerprint)
{
    uint64_t n = 0;
    struct mio_str s = mio_str_z(fingerprint);
    return s.n > 1 && mio_str_u64(mio_str_sub(s, 1, s.n), &n) ? (int64_t)n : 0;
}

static enum mio_code answer_item(struct mlops_instance *p, struct mio_arena *a,
                                 const struct mlops_call *c, size_t i,
                                 const struct mlops_read_item *item, int64_t version,
                                 enum sim_garbage garbage, struct mio_err *err)
{
    struct mlops_object plain = {.size = sizeof plain, .status = MLOPS_NOT_FOUND};
    struct sim_row row;
    bool found = version > 0;
    struct sim_rule rule = sim_knobs_read_rule(&p->knobs, mio_str_z(item->id));
    if (rule.fault == SIM_FAIL) {
        struct mio_err one = {0};
        mio_fail(&one, rule.code, "the simulated cloud does not tell of %s", item->id);
        mio_plugin_emit_error(c, i, &one);
        return MIO_OK;
    }
    if (found && !item->full && version_of(item->fingerprint) == version) {
        plain.status = MLOPS_UNCHANGED;
        found = false;
    } else if (found &&
               sim_cloud_get(p->cloud, a, sim_id_number(item->id), true, &row, &found, err)) {
        return err->code;
    }
    if (found && strcmp(item->kind, row.kind.p) == 0)
        sim_emit(a, c, i, &row, garbage);
    else
        c->emit(c, i, &plain);
    return MIO_OK;
}

static int read_things(struct mlops_instance *p, const struct mlops_call *c,
                       const struct mlops_read_args *a, const struct sim_rule *rule)
{
    struct mio_err err = {0};
    MIO_AUTO_FREE int64_t *ids = mio_alloc((a->count + 1) * sizeof *ids);
    MIO_AUTO_FREE int64_t *versions = mio_alloc((a->count + 1) * sizeof *versions);
    for (size_t i = 0; i < a->count; i++)
        ids[i] = sim_id_number(mio_plugin_item(a, i)->id);
    if (sim_cloud_read_begin(p->cloud, a->count, &err))
        return mio_plugin_fail(c, &err);
    struct mio_arena arena;
    mio_arena_init(&arena);
    sim_cloud_versions(p->cloud, ids, a->count, versions, &err);
    for (size_t i = 0; i < a->count && !err.code; i++) {
        struct mio_arena_mark mark = mio_arena_mark(&arena);
        answer_item(p, &arena, c, i, mio_plugin_item(a, i), versions[i], rule->garbage, &err);
        mio_arena_rewind(&arena, mark);
    }
    mio_arena_free(&arena);
    sim_cloud_read_end(p->cloud, &err);
    return err.code ? mio_plugin_fail(c, &err) : MLOPS_OK;
}

int sim_read_many(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_read_args *a)
{
    struct mio_str none = {0};
    struct sim_rule rule = sim_knobs_decide(&p->knobs, p->cloud, "read", none, none, none);
    struct mio_err err = {0};
    if (p->knobs.read_latency_ms > 0 && !sim_sleep(p, c, p->knobs.read_latency_ms)) {
        mio_fail(&err, MIO_CANCELLED, "cancelled");
        return mio_plugin_fail(c, &err);
    }
    if (rule.fault == SIM_CRASH || rule.fault == SIM_CRASH_AFTER)
        abort();
    if (rule.fault == SIM_HANG)
        sim_hang();
    if (rule.fault == SIM_FAIL || rule.fault == SIM_LOST) {
        mio_fail(&err, rule.code, "the simulated cloud refuses this read");
        err.retry_after_ms = rule.retry_after_ms;
        return mio_plugin_fail(c, &err);
    }
    return read_things(p, c, a, &rule);
}

/* ---- one thing ---- */

static int import(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_import_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct sim_row row;
    bool found = false;
    if (sim_cloud_called(p->cloud, "import", 1, &err) ||
        sim_cloud_get(p->cloud, arena, sim_id_number(a->id), true, &row, &found, &err))
        return mio_plugin_fail(c, &err);
    if (found && mio_str_is(row.kind, a->kind))
        return sim_emit(arena, c, 0, &row, SIM_G_NONE);
    mio_plugin_emit_status(c, 0, MLOPS_NOT_FOUND);
    return MLOPS_OK;
}

static int lookup(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_lookup_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct sim_row *rows;
    size_t n = 0;
    if (sim_cloud_called(p->cloud, "lookup", 1, &err) ||
        sim_cloud_list(p->cloud, arena, mio_str_z(a->kind), mio_str_z(a->key), &rows, &n, &err))
        return mio_plugin_fail(c, &err);
    for (size_t i = 0; i < n; i++)
        sim_emit(arena, c, i, &rows[i], SIM_G_NONE);
    return MLOPS_OK;
}

static int data_read(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_data_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct mio_value query;
    struct sim_row row;
    bool found = false;
    if (mio_plugin_json(arena, a->query, &query, &err) ||
        sim_cloud_called(p->cloud, "data", 1, &err))
        return mio_plugin_fail(c, &err);
    struct mio_str id = mio_get_str(query, "id"), name = mio_get_str(query, "name");
    if (id.n == 0 && name.n == 0)
        mio_fail(&err, MIO_TEMPLATE, "a lookup of a thing needs its id or its name");
    else if (id.n > 0)
        sim_cloud_get(p->cloud, arena, sim_id_number(mio_arena_z(arena, id)), true, &row, &found,
                      &err);
    else
        sim_cloud_by_name(p->cloud, arena, mio_str_z(a->kind), name, &row, &found, &err);
    if (!err.code && !(found && mio_str_is(row.kind, a->kind)))
        mio_fail(&err, MIO_REALITY, "there is no %s %.*s", a->kind, MIO_FMT(id.n > 0 ? id : name));
    struct mio_str attributes = err.code ? (struct mio_str){0} : sim_attributes(arena, &row, &err);
    if (err.code)
        return mio_plugin_fail(c, &err);
    c->answer(c, attributes.p, attributes.n);
    return MLOPS_OK;
}

/* ---- many ---- */

static int list(struct mlops_instance *p, const struct mlops_call *c,
                const struct mlops_list_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct sim_row *rows;
    size_t n = 0;
    if (sim_cloud_called(p->cloud, "list", 1, &err) ||
        sim_cloud_list(p->cloud, arena, mio_str_z(a->kind), MIO_STR(""), &rows, &n, &err))
        return mio_plugin_fail(c, &err);
    struct mio_value *items = MIO_NEW_N(arena, struct mio_value, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct mio_str id = sim_id(arena, rows[i].id);
        struct mio_pair *pairs = MIO_NEW_N(arena, struct mio_pair, 2);
        pairs[0] = (struct mio_pair){MIO_STR("id"), mio_string(id)};
        pairs[1] =
            (struct mio_pair){MIO_STR("name"), mio_string(rows[i].name.n > 0 ? rows[i].name : id)};
        items[i] = mio_map(pairs, 2);
    }
    return mio_plugin_answer(c, mio_list(items, n));
}

static struct mio_value finding(struct mio_arena *a, const char *key, struct mio_str what,
                                struct mio_str message)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, 4);
    pairs[0] = (struct mio_pair){mio_str_z(key), mio_string(what)};
    pairs[1] = (struct mio_pair){MIO_STR("severity"), mio_string_z("error")};
    pairs[2] = (struct mio_pair){MIO_STR("message"), mio_string(message)};
    pairs[3] = (struct mio_pair){MIO_STR("hint"), mio_string_z("see the settings of the provider")};
    return mio_map(pairs, 4);
}

/* The quota: what exists, less what goes, plus what comes. */
static int preflight(struct mlops_instance *p, const struct mlops_call *c,
                     const struct mlops_preflight_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct mio_value changes;
    int64_t there = 0;
    if (mio_plugin_json(arena, a->changes, &changes, &err) ||
        sim_cloud_called(p->cloud, "preflight", changes.n, &err) ||
        sim_cloud_count(p->cloud, &there, &err))
        return mio_plugin_fail(c, &err);
    struct mio_value *items = MIO_NEW_N(arena, struct mio_value, changes.n + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < changes.n; i++)
        there -= mio_str_is(mio_get_str(changes.items[i], "action"), "delete");
    for (uint32_t i = 0; i < changes.n && p->knobs.quota >= 0; i++) {
        if (!mio_str_is(mio_get_str(changes.items[i], "action"), "create") ||
            ++there <= p->knobs.quota)
            continue;
        items[n++] = finding(arena, "address", mio_get_str(changes.items[i], "address"),
                             mio_arena_printf(arena, "the quota of %lld things is used up",
                                              (long long)p->knobs.quota));
    }
    return mio_plugin_answer(c, mio_list(items, n));
}

static int validate(struct mlops_instance *p, const struct mlops_call *c,
                    const struct mlops_change_args *a, struct mio_arena *arena)
{
    (void)p; /* NULL when the provider is not configured yet */
    struct mio_err err = {0};
    struct mio_value inputs;
    if (mio_plugin_json(arena, a->inputs, &inputs, &err))
        return mio_plugin_fail(c, &err);
    struct mio_str word = mio_get_str(inputs, "fail"), op;
    enum sim_fault fault;
    struct mio_value *items = MIO_NEW_N(arena, struct mio_value, 1);
    size_t n = 0;
    if (word.n > 0 && !sim_own_fail(word, &fault, &op))
        items[n++] = finding(arena, "path", MIO_STR("fail"),
                             MIO_STR("one of create, update, delete, or one of them after crash-, "
                                     "crash-after-, hang- or lost-"));
    return mio_plugin_answer(c, mio_list(items, n));
}

/* Every question gets an arena of its own. */
#define WITH_ARENA(name, args_type, fn)                                                       \
    int name(struct mlops_instance *p, const struct mlops_call *c, const struct args_type *a) \
    {                                                                                         \
        struct mio_arena arena;                                                               \
        mio_arena_init(&arena);                                                               \
        int status = fn(p, c, a, &arena);                                                     \
        mio_arena_free(&arena);                                                               \
        return status;                                                                        \
    }
WITH_ARENA(sim_import, mlops_import_args, import)
WITH_ARENA(sim_lookup, mlops_lookup_args, lookup)
WITH_ARENA(sim_data_read, mlops_data_args, data_read)
WITH_ARENA(sim_list, mlops_list_args, list)
WITH_ARENA(sim_preflight, mlops_preflight_args, preflight)
WITH_ARENA(sim_validate, mlops_change_args, validate)

/* ---- functions ---- */

static int slug(const struct mlops_call *c, struct mio_value list, struct mio_arena *arena)
{
    struct mio_err err = {0};
    MIO_AUTO_BUF b = {0};
    if (list.n != 1 || list.items[0].type != MIO_STRING) {
        mio_fail(&err, MIO_TEMPLATE, "it takes one text");
        mio_err_hint(&err, "provider::sim::slug(\"My Model\")");
        return mio_plugin_fail(c, &err);
    }
    struct mio_str text = mio_value_str(list.items[0]);
    for (size_t i = 0; i < text.n; i++) {
        char x = text.p[i];
        bool upper = x >= 'A' && x <= 'Z', kept = (x >= 'a' && x <= 'z') || (x >= '0' && x <= '9');
        if (upper || kept)
            mio_buf_char(&b, upper ? (char)(x - 'A' + 'a') : x);
        else if (b.n && b.p[b.n - 1] != '-')
            mio_buf_char(&b, '-');
    }
    struct mio_str out = mio_buf_view(&b);
    out.n -= out.n && out.p[out.n - 1] == '-';
    return mio_plugin_answer(c, mio_string(mio_arena_str(arena, out)));
}

int sim_function(struct mlops_instance *p, const struct mlops_call *c, const char *name,
                 const char *arguments)
{
    (void)p; /* NULL when the provider is not configured yet: functions are pure */
    struct mio_arena arena;
    struct mio_err err = {0};
    struct mio_value list;
    int status;
    mio_arena_init(&arena);
    if (strcmp(name, "slug") != 0) {
        mio_fail(&err, MIO_TEMPLATE, "there is no such function");
        mio_err_hint(&err, "sim has slug(text).");
        status = mio_plugin_fail(c, &err);
    } else if (mio_plugin_json(&arena, arguments, &list, &err)) {
        status = mio_plugin_fail(c, &err);
    } else {
        status = slug(c, list, &arena);
    }
    mio_arena_free(&arena);
    return status;
}
