/* providers/sim/thing.c: what can be done to a thing. */
#include <stdlib.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"
#include "providers/sim/sim.h"

bool sim_sleep(struct mlops_instance *p, const struct mlops_call *c, int64_t ms)
{
    int64_t until = sim_now_ms() + ms;
    struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    pthread_mutex_lock(&p->mu);
    while (!c->cancelled(c) && sim_now_ms() < until)
        pthread_cond_timedwait(&p->woken, &p->mu, &ts);
    pthread_mutex_unlock(&p->mu);
    return !c->cancelled(c);
}

_Noreturn void sim_hang(void)
{
    for (;;)
        pause();
}

struct mio_str sim_id(struct mio_arena *a, int64_t id)
{
    return mio_arena_printf(a, "t-%lld", (long long)id);
}

int64_t sim_id_number(const char *id)
{
    uint64_t n = 0;
    struct mio_str s = mio_str_z(id);
    if (!mio_str_starts(s, "t-") || !mio_str_u64(mio_str_sub(s, 2, s.n), &n) || n > INT64_MAX)
        return 0;
    return (int64_t)n;
}

/* The body is a JSON object: id and output are put in front of its members. */
struct mio_str sim_attributes(struct mio_arena *a, const struct sim_row *row, struct mio_err *err)
{
    struct mio_value body;
    if (mio_json_read(a, row->body, NULL, &body, err))
        return (struct mio_str){0};
    const struct mio_value *inputs = mio_get_z(body, "inputs");
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 0);
    mio_buf_printf(&out, "{\"id\":\"t-%lld\",\"output\":", (long long)row->id);
    mio_json_write(&out, inputs ? *inputs : mio_null(), MIO_JSON_PLAIN);
    if (mio_str_is(row->kind, "thing_s"))
        mio_buf_printf(&out, ",\"token\":\"made-up-token-%lld\"", (long long)row->id);
    if (body.n > 0)
        mio_buf_char(&out, ',');
    mio_buf_str(&out, mio_str_sub(row->body, 1, row->body.n));
    return mio_arena_str(a, mio_buf_view(&out));
}

int sim_emit(struct mio_arena *a, const struct mlops_call *c, size_t index,
             const struct sim_row *row, enum sim_garbage garbage)
{
    struct mio_err err = {0};
    struct mio_str attributes = sim_attributes(a, row, &err);
    if (err.code)
        return mio_plugin_fail(c, &err);
    struct mlops_object o = {.size = sizeof o,
                             .status = garbage == SIM_G_STATUS ? 77 : MLOPS_OK,
                             .id = sim_id(a, row->id).p,
                             .fingerprint = mio_arena_printf(a, "v%lld", (long long)row->version).p,
                             .attributes =
                                 garbage == SIM_G_JSON ? "{\"id\": nonsense" : attributes.p,
                             .attributes_len = garbage == SIM_G_JSON ? 0 : attributes.n};
    MIO_AUTO_FREE char *huge = NULL;
    if (garbage == SIM_G_HUGE) {
        o.attributes_len = 20 << 20;
        o.attributes = huge = mio_alloc(o.attributes_len);
        memset(huge, 'x', o.attributes_len);
    }
    if (garbage != SIM_G_MISSING)
        c->emit(c, garbage == SIM_G_INDEX ? index + 1000 : index, &o);
    if (garbage == SIM_G_DOUBLE)
        c->emit(c, index, &o);
    return MLOPS_OK;
}

/* ---- faults around a change ---- */

static int fail_with(const struct mlops_call *c, const struct sim_rule *r, const char *op,
                     const char *request)
{
    struct mio_err err = {0};
    const char *quoted = r->quote && request ? request : "";
    if (*quoted)
        c->log(c, MLOPS_LOG_WARN, quoted);
    mio_fail(&err, r->code, "the simulated cloud refuses this %s%s%s", op, *quoted ? ": " : "",
             quoted);
    mio_err_hint(&err, "it was told to: see `fail` of the thing or of the provider");
    err.retry_after_ms = r->retry_after_ms;
    return mio_plugin_fail(c, &err);
}

/* Before anything is done. False: the call is over, *status says how. */
static bool before(struct mlops_instance *p, const struct mlops_call *c, const struct sim_rule *r,
                   const char *op, const char *request, int *status)
{
    if (!sim_sleep(p, c, p->knobs.latency_ms)) {
        struct mio_err err = {0};
        mio_fail(&err, MIO_CANCELLED, "cancelled before the %s", op);
        *status = mio_plugin_fail(c, &err);
        return false;
    }
    if (r->fault == SIM_CRASH)
        abort();
    if (r->fault == SIM_HANG)
        sim_hang();
    if (r->fault == SIM_FAIL) {
        *status = fail_with(c, r, op, request);
        return false;
    }
    return true;
}

static int lost_reply(const struct mlops_call *c, const char *op)
{
    struct mio_err err = {0};
    mio_fail(&err, MIO_TRANSIENT, "the reply to this %s was lost", op);
    err.ambiguous = true;
    return mio_plugin_fail(c, &err);
}

/* After it is done. False: the call is over. */
static bool after(const struct mlops_call *c, const struct sim_rule *r, const char *op, int *status)
{
    if (r->fault == SIM_CRASH_AFTER)
        abort();
    if (r->fault == SIM_LOST) {
        *status = lost_reply(c, op);
        return false;
    }
    return true;
}

static struct sim_rule decide(struct mlops_instance *p, const char *op,
                              const struct mlops_change_args *a, struct mio_value inputs)
{
    return sim_knobs_decide(&p->knobs, p->cloud, op, mio_get_str(inputs, "name"),
                            mio_str_z(a->address), mio_get_str(inputs, "fail"));
}

/* ---- verbs ---- */

/* The create class that a kind declares, or the one the settings force on it. */
static char class_of(const struct mlops_instance *p, const char *kind)
{
    static const struct {
        const char *kind;
        char class;
    } classes[] = {{"thing", 'B'}, {"thing_a", 'A'}, {"thing_c", 'C'}, {"thing_d", 'D'}};
    for (size_t i = 0; i < 4 && !p->knobs.create_class; i++)
        if (strcmp(kind, classes[i].kind) == 0)
            return classes[i].class;
    return p->knobs.create_class ? p->knobs.create_class : 'D';
}

static int create(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct mio_value inputs;
    int status;
    if (mio_plugin_json(arena, a->inputs, &inputs, &err))
        return mio_plugin_fail(c, &err);
    struct sim_rule rule = decide(p, "create", a, inputs);
    if (!before(p, c, &rule, "create", a->inputs, &status))
        return status;
    char class = class_of(p, a->kind);
    int64_t commit_at = sim_now_ms() + p->knobs.late_commit_ms;
    struct sim_row row = {.kind = mio_str_z(a->kind),
                          .name = mio_get_str(inputs, "name"),
                          .key = mio_str_z(c->idempotency_key),
                          .body = mio_str_z(a->inputs),
                          .commit_at = commit_at,
                          .visible_at = commit_at + p->knobs.lag_ms};
    bool existed = false;
    if (sim_cloud_insert(p->cloud, arena, &row, class == 'A' || class == 'B', class == 'C', &row,
                         &existed, &err))
        return mio_plugin_fail(c, &err);
    if (existed && row.commit_at > sim_now_ms()) { /* the first attempt is still being worked on */
        mio_fail(&err, MIO_TRANSIENT, "an earlier create with this key is in progress");
        err.retry_after_ms = (uint32_t)(row.commit_at - sim_now_ms());
        return mio_plugin_fail(c, &err);
    }
    if (!existed && !after(c, &rule, "create", &status))
        return status;
    if (!existed && p->knobs.late_commit_ms > 0)
        return lost_reply(c, "create");
    return sim_emit(arena, c, 0, &row, rule.garbage);
}

static int update(struct mlops_instance *p, const struct mlops_call *c,
                  const struct mlops_change_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct mio_value inputs;
    struct sim_row row;
    bool found = false;
    int status;
    if (mio_plugin_json(arena, a->inputs, &inputs, &err))
        return mio_plugin_fail(c, &err);
    struct sim_rule rule = decide(p, "update", a, inputs);
    if (!before(p, c, &rule, "update", a->inputs, &status))
        return status;
    if (sim_cloud_update(p->cloud, arena, sim_id_number(a->id), mio_str_z(c->idempotency_key),
                         mio_str_z(a->inputs), &row, &found, &err))
        return mio_plugin_fail(c, &err);
    if (!found) {
        mio_plugin_emit_status(c, 0, MLOPS_NOT_FOUND);
        return MLOPS_OK;
    }
    if (!after(c, &rule, "update", &status))
        return status;
    return sim_emit(arena, c, 0, &row, rule.garbage);
}

static int remove_thing(struct mlops_instance *p, const struct mlops_call *c,
                        const struct mlops_change_args *a, struct mio_arena *arena)
{
    struct mio_err err = {0};
    struct mio_value prior;
    int status;
    if (mio_plugin_json(arena, a->prior, &prior, &err))
        return mio_plugin_fail(c, &err);
    struct sim_rule rule = decide(p, "delete", a, prior);
    if (!before(p, c, &rule, "delete", a->prior, &status))
        return status;
    if (sim_cloud_delete(p->cloud, sim_id_number(a->id), mio_str_z(c->idempotency_key), &err))
        return mio_plugin_fail(c, &err);
    return after(c, &rule, "delete", &status) ? MLOPS_OK : status;
}

typedef int change_fn(struct mlops_instance *p, const struct mlops_call *c,
                      const struct mlops_change_args *a, struct mio_arena *arena);

static int with_arena(change_fn *fn, struct mlops_instance *p, const struct mlops_call *c,
                      const struct mlops_change_args *a)
{
    struct mio_arena arena;
    mio_arena_init(&arena);
    int status = fn(p, c, a, &arena);
    mio_arena_free(&arena);
    return status;
}

int sim_create(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a)
{
    return with_arena(create, p, c, a);
}

int sim_update(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a)
{
    return with_arena(update, p, c, a);
}

int sim_remove(struct mlops_instance *p, const struct mlops_call *c,
               const struct mlops_change_args *a)
{
    return with_arena(remove_thing, p, c, a);
}
