/* providers/sim/knobs.c: see knobs.h. */
#include "providers/sim/knobs.h"

#include "providers/sdk/digest.h"

static const struct {
    const char *word;
    enum sim_garbage mode;
} garbage_words[] = {{"index", SIM_G_INDEX}, {"double", SIM_G_DOUBLE},   {"json", SIM_G_JSON},
                     {"huge", SIM_G_HUGE},   {"missing", SIM_G_MISSING}, {"status", SIM_G_STATUS}};

static const struct {
    const char *word;
    enum mio_code code;
} code_words[] = {{"template", MIO_TEMPLATE},   {"reality", MIO_REALITY},   {"auth", MIO_AUTH},
                  {"transient", MIO_TRANSIENT}, {"provider", MIO_PROVIDER}, {"io", MIO_IO}};

static enum sim_garbage garbage_of(struct mio_str word)
{
    for (size_t i = 0; i < sizeof garbage_words / sizeof *garbage_words; i++)
        if (mio_str_is(word, garbage_words[i].word))
            return garbage_words[i].mode;
    return SIM_G_NONE;
}

static enum mio_code code_of(struct mio_str word)
{
    for (size_t i = 0; i < sizeof code_words / sizeof *code_words; i++)
        if (mio_str_is(word, code_words[i].word))
            return code_words[i].code;
    return MIO_TRANSIENT;
}

/* "create", "create:NAME", either with "@after". */
static void split_target(struct mio_str text, struct sim_rule *r)
{
    static const char after[] = "@after";
    if (mio_str_ends(text, after)) {
        if (r->fault == SIM_CRASH)
            r->fault = SIM_CRASH_AFTER;
        text = mio_str_sub(text, 0, text.n - (sizeof after - 1));
    }
    ptrdiff_t colon = mio_str_find(text, ':');
    r->op = colon < 0 ? text : mio_str_sub(text, 0, (size_t)colon);
    r->name = colon < 0 ? MIO_STR("") : mio_str_sub(text, (size_t)colon + 1, text.n);
}

/* One entry: a word, or {op, name, times, code, when, mode, retry_after_ms}. */
static enum mio_code read_rule(struct mio_arena *a, struct sim_knobs *k, const char *knob,
                               enum sim_fault fault, struct mio_value v, struct mio_err *err)
{
    struct sim_rule r = {.fault = fault, .code = MIO_TRANSIENT};
    if (v.type == MIO_STRING && fault == SIM_GARBAGE) {
        /* MODE or OP:MODE */
        struct mio_str text = mio_value_str(v);
        ptrdiff_t colon = mio_str_find(text, ':');
        r.op = colon < 0 ? MIO_STR("create") : mio_str_sub(text, 0, (size_t)colon);
        r.garbage = garbage_of(colon < 0 ? text : mio_str_sub(text, (size_t)colon + 1, text.n));
    } else if (v.type == MIO_STRING) {
        split_target(mio_value_str(v), &r);
    } else if (v.type == MIO_MAP) {
        r.op = mio_get_str(v, "op");
        r.name = mio_get_str(v, "name");
        r.quote = mio_get_bool(v, "quote", false);
        r.times = mio_get_i64(v, "times", 0);
        r.retry_after_ms = (uint32_t)mio_get_i64(v, "retry_after_ms", 0);
        r.garbage = garbage_of(mio_get_str(v, "mode"));
        r.code = code_of(mio_get_str(v, "code"));
        if (fault == SIM_CRASH && mio_str_is(mio_get_str(v, "when"), "after"))
            r.fault = SIM_CRASH_AFTER;
        if (fault == SIM_FAIL && mio_str_is(mio_get_str(v, "code"), "lost"))
            r.fault = SIM_LOST;
    } else {
        return mio_fail(err, MIO_TEMPLATE, "%s: an entry is a string or a map", knob);
    }
    if (fault == SIM_GARBAGE && r.garbage == SIM_G_NONE)
        return mio_fail(err, MIO_TEMPLATE, "%s: one of index, double, json, huge, missing, status",
                        knob);
    snprintf(r.id, sizeof r.id, "%s#%zu", knob, k->nrules);
    MIO_PUSH(a, k->rules, k->nrules, k->cap) = r;
    return MIO_OK;
}

static enum mio_code read_rules(struct mio_arena *a, struct sim_knobs *k, struct mio_value config,
                                const char *knob, enum sim_fault fault, struct mio_err *err)
{
    const struct mio_value *v = mio_get_z(config, knob);
    if (!v || mio_is_null(*v) || v->type == MIO_NUMBER)
        return MIO_OK;
    if (v->type != MIO_LIST)
        return read_rule(a, k, knob, fault, *v, err);
    for (uint32_t i = 0; i < v->n; i++)
        if (read_rule(a, k, knob, fault, v->items[i], err))
            return err->code;
    return MIO_OK;
}

enum mio_code sim_knobs_read(struct mio_arena *a, struct mio_value config, struct sim_knobs *out,
                             struct mio_err *err)
{
    struct sim_knobs k = {.path = mio_get_str(config, "path"),
                          .latency_ms = mio_get_i64(config, "latency_ms", 0),
                          .read_latency_ms = mio_get_i64(config, "read_latency_ms", 0),
                          .lag_ms = mio_get_i64(config, "lag_ms", 0),
                          .late_commit_ms = mio_get_i64(config, "late_commit_ms", 0),
                          .quota = mio_get_i64(config, "quota", -1)};
    const struct mio_value *fail = mio_get_z(config, "fail");
    if (fail && fail->type == MIO_NUMBER)
        mio_value_f64(*fail, &k.fail_share);
    struct mio_str class = mio_get_str(config, "create_class");
    if (class.n > 0)
        k.create_class = class.p[0];
    if (k.path.n == 0)
        return mio_fail(err, MIO_TEMPLATE, "path: the file of the simulated cloud must be named");
    if (class.n > 1 || (k.create_class && (k.create_class < 'A' || k.create_class > 'D')))
        return mio_fail(err, MIO_TEMPLATE, "create_class: one of A, B, C, D");
    if (read_rules(a, &k, config, "fail", SIM_FAIL, err) ||
        read_rules(a, &k, config, "crash", SIM_CRASH, err) ||
        read_rules(a, &k, config, "hang", SIM_HANG, err) ||
        read_rules(a, &k, config, "garbage", SIM_GARBAGE, err))
        return err->code;
    *out = k;
    return MIO_OK;
}

bool sim_own_fail(struct mio_str word, enum sim_fault *fault, struct mio_str *op)
{
    static const struct {
        const char *prefix;
        enum sim_fault fault;
    } prefixes[] = {{"crash-after-", SIM_CRASH_AFTER},
                    {"crash-", SIM_CRASH},
                    {"hang-", SIM_HANG},
                    {"lost-", SIM_LOST}};
    *fault = SIM_FAIL;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (mio_str_starts(word, prefixes[i].prefix)) {
            *fault = prefixes[i].fault;
            word = mio_str_sub(word, strlen(prefixes[i].prefix), word.n);
            break;
        }
    *op = word;
    return mio_str_is(word, "create") || mio_str_is(word, "update") || mio_str_is(word, "delete");
}

static bool is_change(const char *op)
{
    return strcmp(op, "create") == 0 || strcmp(op, "update") == 0 || strcmp(op, "delete") == 0;
}

static bool applies(const struct sim_rule *r, const char *op, struct mio_str name,
                    struct mio_str address)
{
    if (r->op.n > 0 ? !mio_str_is(r->op, op) : !is_change(op))
        return false;
    return r->name.n == 0 || mio_str_eq(r->name, name) || mio_str_eq(r->name, address);
}

static bool by_chance(double share)
{
    uint32_t r;
    mio_random(&r, sizeof r);
    return (double)r < share * 4294967296.0;
}

struct sim_rule sim_knobs_decide(const struct sim_knobs *k, struct sim_cloud *cloud, const char *op,
                                 struct mio_str name, struct mio_str address,
                                 struct mio_str own_fail)
{
    struct sim_rule own = {.code = MIO_REALITY};
    struct mio_str own_op;
    if (own_fail.n > 0 && sim_own_fail(own_fail, &own.fault, &own_op) && mio_str_is(own_op, op))
        return own;
    for (size_t i = 0; i < k->nrules; i++) {
        const struct sim_rule *r = &k->rules[i];
        if (applies(r, op, name, address) &&
            (r->times == 0 || sim_cloud_fires(cloud, r->id, r->times)))
            return *r;
    }
    if (k->fail_share > 0 && is_change(op) && by_chance(k->fail_share))
        return (struct sim_rule){.fault = SIM_FAIL, .code = MIO_TRANSIENT};
    return (struct sim_rule){.fault = SIM_FINE};
}

struct sim_rule sim_knobs_read_rule(const struct sim_knobs *k, struct mio_str id)
{
    struct mio_str none = {0};
    for (size_t i = 0; i < k->nrules; i++)
        if (k->rules[i].name.n && applies(&k->rules[i], "read", id, none))
            return k->rules[i];
    return (struct sim_rule){.fault = SIM_FINE};
}
