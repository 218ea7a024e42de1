/* providers/host/provider.c: one provider instance: its child, started when first needed and again
 * after a crash, its settings, and the turns that callers take. */
#include "providers/host/provider.h"

#include <errno.h>
#include <unistd.h>

#include "providers/host/verify.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"

enum { CLOSE_MS = 2000, JITTER_BASE_MS = 100, JITTER_CAP_MS = 20000, SLICE_MS = 50 };

static void log_line(void *arg, int level, struct mio_str message)
{
    struct mio_provider *p = arg;
    if (!p->o.on_log)
        return;
    pthread_mutex_lock(&p->log_mu);
    p->o.on_log(p->o.arg, level, p->o.instance, message);
    pthread_mutex_unlock(&p->log_mu);
}

enum mio_code mio_provider_open(struct mio_arena *a, const struct mio_provider_opts *o,
                                struct mio_provider **out, struct mio_err *err)
{
    int fd = -1;
    if (mio_plugin_open(o->plugin_path, o->sha256, &fd, err))
        return err->code;
    close(fd);
    struct mio_provider *p = MIO_NEW(a, struct mio_provider);
    mio_arena_init(&p->arena);
    p->o = *o;
    p->o.instance = mio_arena_str(&p->arena, o->instance);
    p->o.sha256 = mio_arena_str(&p->arena, o->sha256);
    p->o.base_dir = mio_arena_str(&p->arena, o->base_dir);
    p->o.stage = mio_arena_str(&p->arena, o->stage);
    p->lineage = mio_arena_str(&p->arena, o->lineage);
    p->path = mio_arena_z(&p->arena, mio_str_z(o->plugin_path));
    p->host_program = mio_arena_z(&p->arena, mio_str_z(o->host_program));
    p->limit = 1;
    pthread_mutex_init(&p->mu, NULL);
    pthread_mutex_init(&p->link_mu, NULL);
    pthread_mutex_init(&p->log_mu, NULL);
    pthread_cond_init(&p->turn, NULL);
    *out = p;
    return MIO_OK;
}

/* Settings hold credentials. */
static void forget_config(struct mio_provider *p)
{
    if (p->config)
        explicit_bzero(p->config, strlen(p->config));
    free(p->config);
    p->config = NULL;
}

void mio_provider_close(struct mio_provider *p)
{
    if (!p)
        return;
    if (p->link) {
        mio_link_close(p->link, mio_now_ms() + CLOSE_MS);
        mio_link_unref(p->link);
    }
    forget_config(p);
    pthread_cond_destroy(&p->turn);
    pthread_mutex_destroy(&p->log_mu);
    pthread_mutex_destroy(&p->link_mu);
    pthread_mutex_destroy(&p->mu);
    mio_arena_free(&p->arena);
}

struct mio_call_opts mio_call_opts_full(const struct mio_call_opts *o)
{
    struct mio_call_opts full = o ? *o : (struct mio_call_opts){0};
    if (full.deadline_ms == 0)
        full.deadline_ms = mio_now_ms() + MIO_CALL_DEFAULT_MS;
    if (full.attempt == 0)
        full.attempt = 1;
    return full;
}

/* ---- the child ---- */

static enum mio_code read_schema(struct mio_provider *p, char *json, struct mio_err *err)
{
    struct mio_str text = mio_arena_str(&p->arena, mio_str_z(json));
    struct mio_value v;
    struct mio_err why = {0};
    if (mio_json_read(&p->arena, text, NULL, &v, &why) ||
        mio_schema_read(&p->arena, v, &p->schema, &why)) {
        mio_fail(err, MIO_PROVIDER, "provider \"%.*s\": the plugin's schema is wrong: %s",
                 MIO_FMT(p->o.instance), why.message);
        return mio_err_cause(err, "plugin %s", p->path);
    }
    p->have_schema = true;
    unsigned wanted = p->o.parallelism ? p->o.parallelism : 10;
    unsigned limit = p->schema.threads ? p->schema.threads : wanted;
    if (!(p->schema.caps & MLOPS_CAP_CONCURRENT))
        limit = 1;
    p->limit = limit < MIO_WIRE_LANES - 1 ? limit : MIO_WIRE_LANES - 1;
    return MIO_OK;
}

static void set_link(struct mio_provider *p, struct mio_link *l)
{
    pthread_mutex_lock(&p->link_mu);
    struct mio_link *old = p->link;
    p->link = l;
    pthread_mutex_unlock(&p->link_mu);
    mio_link_unref(old);
}

/* Referenced for the caller; NULL when none runs. */
static struct mio_link *grab_link(struct mio_provider *p)
{
    pthread_mutex_lock(&p->link_mu);
    struct mio_link *l = p->link;
    if (l)
        mio_link_ref(l);
    pthread_mutex_unlock(&p->link_mu);
    return l;
}

/* Under mu: a link that lives, started if there is none. */
static enum mio_code ensure_link(struct mio_provider *p, struct mio_err *err)
{
    if (__atomic_load_n(&p->aborted, __ATOMIC_RELAXED))
        return mio_fail(err, MIO_CANCELLED, "provider \"%.*s\" was stopped",
                        MIO_FMT(p->o.instance));
    if (p->link && mio_link_dead(p->link)) {
        set_link(p, NULL);
        p->crashes++;
    }
    if (p->link)
        return MIO_OK;
    if (p->crashes >= MIO_CRASHES_IN_A_ROW) {
        mio_fail(err, MIO_PROVIDER,
                 "provider \"%.*s\": the plugin failed %u times in a row and is "
                 "not started again",
                 MIO_FMT(p->o.instance), p->crashes);
        return mio_err_cause(err, "plugin %s", p->path);
    }
    struct mio_link_opts lo = {.instance = p->o.instance,
                               .plugin_path = p->path,
                               .host_program = p->host_program,
                               .sha256 = p->o.sha256,
                               .on_log = log_line,
                               .arg = p};
    MIO_AUTO_FREE char *schema = NULL;
    p->link_configured = false;
    struct mio_link *l = NULL;
    if (mio_link_open(&lo, &l, &schema, err)) {
        p->crashes++;
        return err->code;
    }
    set_link(p, l);
    /* The digest is the same, so the tables are: only the first child is asked. */
    return p->have_schema ? MIO_OK : read_schema(p, schema, err);
}

enum mio_code mio_provider_schema(struct mio_provider *p, const struct mio_schema **out,
                                  struct mio_err *err)
{
    pthread_mutex_lock(&p->mu);
    enum mio_code code = p->have_schema ? MIO_OK : ensure_link(p, err);
    pthread_mutex_unlock(&p->mu);
    if (code == MIO_OK)
        *out = &p->schema;
    return code;
}

/* Under mu: sends the settings to the link. */
static enum mio_code send_config(struct mio_provider *p, struct mio_err *err)
{
    MIO_AUTO_OUT args = {0};
    mio_msg_z(&args, p->config);
    mio_msg_str(&args, p->o.instance);
    mio_msg_str(&args, p->o.base_dir);
    mio_msg_str(&args, p->o.stage);
    mio_msg_str(&args, p->lineage);
    struct mio_call_opts o = mio_call_opts_full(NULL);
    unsigned cancels = mio_provider_cancels(p);
    for (;; o.attempt++) {
        struct mio_answer answer = {0};
        struct mio_objects objects;
        struct mio_err why = {0};
        struct mio_lane *c = mio_link_send(p->link, MIO_VERB_CONFIGURE, &o, &args);
        enum mio_code code = mio_link_wait(p->link, c, &o, &answer, &why);
        if (!code)
            code = mio_answer_open(p, MIO_VERB_CONFIGURE, &answer, &objects, &why);
        free(answer.payload);
        if (!code) {
            p->link_configured = true;
            return MIO_OK;
        }
        if (!mio_provider_again(p, &why, o.attempt, &o, cancels)) {
            *err = why;
            return code;
        }
    }
}

enum mio_code mio_provider_configure(struct mio_provider *p, struct mio_value config,
                                     struct mio_str lineage, struct mio_err *err)
{
    MIO_AUTO_BUF text;
    mio_buf_init(&text, MIO_WIRE_MAX);
    if (mio_has_unknown(config))
        return mio_fail(err, MIO_BUG, "settings of provider \"%.*s\" are not known yet",
                        MIO_FMT(p->o.instance));
    if (mio_is_null(config))
        mio_buf_z(&text, "{}");
    else
        mio_json_write(&text, config, MIO_JSON_OPEN);
    pthread_mutex_lock(&p->mu);
    bool same = p->config && strcmp(p->config, text.p) == 0 && mio_str_eq(p->lineage, lineage);
    if (!same) {
        if (p->link && p->link_configured) { /* settings are for life: another life, then */
            mio_link_close(p->link, mio_now_ms() + CLOSE_MS);
            set_link(p, NULL);
        }
        forget_config(p);
        p->config = mio_strdup(text.p);
        p->lineage = mio_arena_str(&p->arena, lineage);
    }
    enum mio_code code = ensure_link(p, err);
    if (!code && !p->link_configured)
        code = send_config(p, err);
    pthread_mutex_unlock(&p->mu);
    return code;
}

/* ---- turns ---- */

static bool cancelled(struct mio_provider *p, const struct mio_call_opts *o)
{
    return __atomic_load_n(&p->aborted, __ATOMIC_RELAXED) ||
           (o->cancel && __atomic_load_n(o->cancel, __ATOMIC_RELAXED));
}

/* Under mu. Waits for a turn and for the rest that the platform asked for. */
static enum mio_code take_turn(struct mio_provider *p, struct mio_call_opts *o, bool wait,
                               bool *taken, struct mio_err *err)
{
    int64_t began = mio_now_ms(), now = began;
    *taken = false;
    while (p->in_flight >= p->limit || now < __atomic_load_n(&p->not_before, __ATOMIC_RELAXED)) {
        if (!wait)
            return MIO_OK;
        if (cancelled(p, o))
            return mio_fail(err, MIO_CANCELLED, "cancelled before the plugin was called");
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += SLICE_MS * 1000000L;
        ts.tv_sec += ts.tv_nsec / 1000000000L;
        ts.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&p->turn, &p->mu, &ts);
        now = mio_now_ms();
    }
    /* The time given is for the plugin's work, not for standing in line. */
    o->deadline_ms += now - began;
    p->in_flight++;
    *taken = true;
    return MIO_OK;
}

static void give_turn(struct mio_provider *p)
{
    pthread_mutex_lock(&p->mu);
    p->in_flight--;
    pthread_cond_signal(&p->turn);
    pthread_mutex_unlock(&p->mu);
}

/* Under mu. Validation and functions need no settings. */
static enum mio_code ensure_ready(struct mio_provider *p, uint8_t verb, struct mio_err *err)
{
    if (ensure_link(p, err))
        return err->code;
    bool without = verb == MIO_VERB_VALIDATE || verb == MIO_VERB_FUNCTION;
    if (p->link_configured || (without && !p->config))
        return MIO_OK;
    if (!p->config)
        return mio_fail(err, MIO_BUG, "provider \"%.*s\" was called before it was configured",
                        MIO_FMT(p->o.instance));
    return send_config(p, err);
}

enum mio_code mio_provider_begin(struct mio_provider *p, uint8_t verb,
                                 const struct mio_msg *payload, struct mio_call_opts *o, bool wait,
                                 struct mio_link **link, struct mio_lane **call,
                                 struct mio_err *err)
{
    bool taken = false;
    *link = NULL;
    pthread_mutex_lock(&p->mu);
    /* First the child, as its schema tells how many turns there are. */
    enum mio_code code = ensure_ready(p, verb, err);
    if (!code)
        code = take_turn(p, o, wait, &taken, err);
    if (!code && taken && (code = ensure_ready(p, verb, err))) /* it may have died meanwhile */
        p->in_flight--;
    if (!code && taken)
        *link = grab_link(p);
    pthread_mutex_unlock(&p->mu);
    if (!code && taken)
        *call = mio_link_send(*link, verb, o, payload);
    return code;
}

bool mio_provider_changes(uint8_t verb)
{
    return verb == MIO_VERB_CREATE || verb == MIO_VERB_UPDATE || verb == MIO_VERB_REMOVE;
}

enum mio_code mio_provider_finish(struct mio_provider *p, struct mio_link *link,
                                  struct mio_lane *call, uint8_t verb,
                                  const struct mio_call_opts *o, struct mio_answer *answer,
                                  struct mio_err *err)
{
    enum mio_code code = mio_link_wait(link, call, o, answer, err);
    if (code)
        err->ambiguous = mio_provider_changes(verb);
    mio_link_unref(link);
    pthread_mutex_lock(&p->mu);
    if (!code)
        p->crashes = 0;
    pthread_mutex_unlock(&p->mu);
    give_turn(p);
    return code;
}

enum mio_code mio_provider_call(struct mio_provider *p, uint8_t verb, const struct mio_msg *payload,
                                const struct mio_call_opts *o, struct mio_answer *answer,
                                struct mio_err *err)
{
    struct mio_call_opts mine = *o;
    struct mio_link *link;
    struct mio_lane *call;
    if (mio_provider_begin(p, verb, payload, &mine, true, &link, &call, err))
        return err->code;
    return mio_provider_finish(p, link, call, verb, &mine, answer, err);
}

/* ---- retries, cancel ---- */

unsigned mio_provider_cancels(struct mio_provider *p)
{
    return __atomic_load_n(&p->cancels, __ATOMIC_RELAXED);
}

static int64_t random_up_to(int64_t max)
{
    uint32_t r;
    mio_random(&r, sizeof r);
    return max > 0 ? (int64_t)(r % (uint64_t)(max + 1)) : 0;
}

bool mio_provider_again(struct mio_provider *p, const struct mio_err *err, unsigned attempt,
                        const struct mio_call_opts *o, unsigned cancels)
{
    if (err->code != MIO_TRANSIENT || err->ambiguous)
        return false;
    int64_t cap = JITTER_BASE_MS;
    for (unsigned i = 1; i < attempt && cap < JITTER_CAP_MS; i++)
        cap *= 2;
    int64_t now = mio_now_ms();
    int64_t until =
        now + err->retry_after_ms + random_up_to(cap < JITTER_CAP_MS ? cap : JITTER_CAP_MS);
    if (until >= o->deadline_ms)
        return false;
    if (err->retry_after_ms >
        0) /* everybody rests: what is asked of one call is meant for the account */
        __atomic_store_n(&p->not_before, now + err->retry_after_ms, __ATOMIC_RELAXED);
    while (now < until) {
        mio_sleep_ms(until - now < SLICE_MS ? until - now : SLICE_MS);
        if (cancelled(p, o) || mio_provider_cancels(p) != cancels)
            return false;
        now = mio_now_ms();
    }
    return true;
}

void mio_provider_cancel(struct mio_provider *p)
{
    __atomic_add_fetch(&p->cancels, 1, __ATOMIC_RELAXED);
    struct mio_link *l = grab_link(p);
    if (l)
        mio_link_cancel_all(l);
    mio_link_unref(l);
}

void mio_provider_abort(struct mio_provider *p)
{
    __atomic_store_n(&p->aborted, true, __ATOMIC_RELAXED);
    struct mio_link *l = grab_link(p);
    if (l)
        mio_link_kill(l, MIO_CANCELLED, "stopped", NULL);
    mio_link_unref(l);
}

enum mio_code mio_provider_breach(struct mio_provider *p, uint8_t verb, struct mio_str what,
                                  struct mio_err *err)
{
    mio_fail(err, MIO_PROVIDER, "provider \"%.*s\": the plugin broke its contract in %s: %.*s",
             MIO_FMT(p->o.instance), mio_wire_verb_name(verb), MIO_FMT(what));
    mio_err_cause(err, "plugin %s", p->path);
    mio_err_hint(err, "report this to the plugin's author");
    err->ambiguous = mio_provider_changes(verb);
    struct mio_link *l = grab_link(p);
    if (l)
        mio_link_kill(l, MIO_PROVIDER, "the plugin was stopped: it broke its contract", NULL);
    mio_link_unref(l);
    return err->code;
}
