/* providers/host/read.c: reading many objects at once.
 *
 * The items are cut into batches of what the plugin takes. A thread of the job encodes and sends
 * them, several on their way at once when the plugin is concurrent, and puts the answers aside as
 * they came: an unchanged object costs one byte. The collecting thread decodes them in order. */
#include "providers/host/provider.h"
#include "providers/sdk/clock.h"

enum { BATCH_DEFAULT = 1000, BATCH_BYTES = 4 << 20, WINDOW = 4 };

struct batch {
    size_t first, n;
    bool ready;
    struct mio_answer answer;
    struct mio_err err;
    /* while it is on its way */
    struct mio_link *link;
    struct mio_lane *call;
    struct mio_call_opts o;
};

struct mio_read_job {
    struct mio_provider *p;
    const struct mio_read_item *items;
    size_t n;
    struct mio_call_opts o;
    unsigned cancels;
    struct batch *batches;
    size_t nbatches, cap;
    struct mio_err err; /* before the first batch */
    pthread_mutex_t mu;
    pthread_cond_t ready;
    pthread_t thread;
    bool threaded;
};

/* ---- cutting and encoding ---- */

static size_t item_bytes(const struct mio_read_item *it)
{
    return it->kind.n + it->id.n + it->fingerprint.n + it->attributes_json.n + 24;
}

static void add_batch(struct mio_read_job *job, size_t first, size_t n)
{
    if (job->nbatches == job->cap) {
        job->cap = job->cap ? job->cap * 2 : 8;
        job->batches = mio_realloc(job->batches, job->cap, sizeof *job->batches);
    }
    job->batches[job->nbatches++] = (struct batch){.first = first, .n = n};
}

static void cut(struct mio_read_job *job, size_t most)
{
    size_t first = 0, bytes = 0;
    for (size_t i = 0; i < job->n; i++) {
        size_t more = item_bytes(&job->items[i]);
        if (i > first && (i - first == most || bytes + more > BATCH_BYTES)) {
            add_batch(job, first, i - first);
            first = i;
            bytes = 0;
        }
        bytes += more;
    }
    if (job->n > first)
        add_batch(job, first, job->n - first);
}

static void put_optional(struct mio_msg *o, struct mio_str s)
{
    if (s.n > 0)
        mio_msg_str(o, s);
    else
        mio_msg_z(o, NULL);
}

static void encode(struct mio_msg *out, const struct mio_read_item *items, size_t n)
{
    out->n = 0;
    mio_msg_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        mio_msg_str(out, items[i].kind);
        mio_msg_str(out, items[i].id);
        put_optional(out, items[i].fingerprint);
        put_optional(out, items[i].attributes_json);
        mio_msg_u8(out, items[i].full);
    }
}

/* ---- the pipeline ---- */

static void publish(struct mio_read_job *job, struct batch *b)
{
    pthread_mutex_lock(&job->mu);
    b->ready = true;
    pthread_cond_signal(&job->ready);
    pthread_mutex_unlock(&job->mu);
}

static void finish(struct mio_read_job *job, struct batch *b)
{
    mio_provider_finish(job->p, b->link, b->call, MIO_VERB_READ, &b->o, &b->answer, &b->err);
    publish(job, b);
}

/* Sends b; when no turn is free, first finishes what this job has on its way, then waits. */
static size_t send_batch(struct mio_read_job *job, size_t i, size_t oldest,
                         const struct mio_msg *args)
{
    struct batch *b = &job->batches[i];
    for (;;) {
        b->o = mio_call_opts_full(&job->o); /* without a deadline each batch has a minute */
        mio_provider_begin(job->p, MIO_VERB_READ, args, &b->o, oldest == i, &b->link, &b->call,
                           &b->err);
        if (b->err.code)
            publish(job, b);
        if (b->err.code || b->link)
            return oldest;
        /* Waiting for a second turn while holding one could starve everybody. */
        if (!job->batches[oldest].ready)
            finish(job, &job->batches[oldest]);
        oldest++;
    }
}

static void run(struct mio_read_job *job)
{
    MIO_AUTO_OUT args = {0};
    size_t oldest = 0, window = job->p->limit < WINDOW ? job->p->limit : WINDOW;
    for (size_t i = 0; i < job->nbatches; i++) {
        encode(&args, job->items + job->batches[i].first, job->batches[i].n);
        for (; i - oldest >= window; oldest++)
            if (!job->batches[oldest].ready)
                finish(job, &job->batches[oldest]);
        oldest = send_batch(job, i, oldest, &args);
    }
    for (; oldest < job->nbatches; oldest++)
        if (!job->batches[oldest].ready)
            finish(job, &job->batches[oldest]);
}

static void *run_thread(void *arg)
{
    run(arg);
    return NULL;
}

static void prepare(struct mio_read_job *job, struct mio_provider *p,
                    const struct mio_read_item *items, size_t n, const struct mio_call_opts *o)
{
    *job =
        (struct mio_read_job){.p = p, .items = items, .n = n, .cancels = mio_provider_cancels(p)};
    if (o)
        job->o = *o;
    job->o.on_handle = NULL;
    job->o.on_progress = NULL;
    pthread_mutex_init(&job->mu, NULL);
    pthread_cond_init(&job->ready, NULL);
    const struct mio_schema *schema;
    if (n > 0 && mio_provider_schema(p, &schema, &job->err) == MIO_OK)
        cut(job, schema->batch ? schema->batch : BATCH_DEFAULT);
}

static void begin(struct mio_read_job *job)
{
    job->threaded = pthread_create(&job->thread, NULL, run_thread, job) == 0;
    if (!job->threaded)
        run(job);
}

/* ---- collecting ---- */

/* Where the answer about one item of the batch lies. */
struct place {
    uint8_t status;
    const uint8_t *at, *end;
};
struct kept { /* an answer that places point into */
    struct kept *next;
    struct mio_answer answer;
};
struct collect {
    struct mio_read_job *job;
    void (*done)(void *arg, size_t index, const struct mio_object *obj);
    void *arg;
    struct mio_arena arena; /* of the object being handed out */
    struct batch *b;
    struct mio_call_opts o; /* for reading again */
    struct place *places;   /* room for the largest batch */
    const uint8_t **at;     /* the same */
    size_t *which;          /* items of the batch to be read again */
    struct kept *kept;
};

/* Notes what an answer says of items which[0..n) of the batch; takes the answer over. */
static enum mio_code place_answer(struct collect *c, const struct mio_answer *answer,
                                  const size_t *which, size_t n, struct mio_err *err)
{
    struct kept *k = mio_alloc(sizeof *k);
    *k = (struct kept){.next = c->kept, .answer = *answer};
    c->kept = k;
    struct mio_objects objects;
    if (mio_answer_open(c->job->p, MIO_VERB_READ, answer, &objects, err))
        return err->code;
    if (objects.n != n || !mio_answer_index(&objects, c->at))
        return mio_provider_breach(c->job->p, MIO_VERB_READ,
                                   MIO_STR("an answer that does not add up"), err);
    for (size_t i = 0; i < n; i++)
        c->places[which[i]] = (struct place){objects.status[i], c->at[i], objects.data.end};
    return MIO_OK;
}

/* Reads some items of the batch here and now, in halves when the answer is too large for one
 * message. */
static enum mio_code read_now(struct collect *c, const size_t *which, size_t n, unsigned attempt,
                              struct mio_err *err)
{
    struct mio_read_job *job = c->job;
    MIO_AUTO_FREE struct mio_read_item *items = mio_zalloc(n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = job->items[c->b->first + which[i]];
    MIO_AUTO_OUT args = {0};
    encode(&args, items, n);
    struct mio_call_opts o = c->o;
    o.attempt = attempt;
    struct mio_answer answer = {0};
    if (mio_provider_call(job->p, MIO_VERB_READ, &args, &o, &answer, err))
        return err->code;
    if (answer.outcome != MIO_OUT_LARGE || n == 1)
        return place_answer(c, &answer, which, n, err);
    free(answer.payload);
    if (read_now(c, which, n / 2, attempt, err))
        return err->code;
    return read_now(c, which + n / 2, n - n / 2, attempt, err);
}

/* Items whose error is worth another try go into `which`; *why becomes such an error. */
static size_t find_transient(struct collect *c, struct mio_err *why)
{
    size_t n = 0;
    for (size_t i = 0; i < c->b->n; i++) {
        const struct place *at = &c->places[i];
        if (at->status != MLOPS_ERROR)
            continue;
        struct mio_in in = {.p = at->at, .end = at->end};
        uint32_t code = mio_in_u32(&in), retry_after = mio_in_u32(&in);
        if (code != MLOPS_E_TRANSIENT)
            continue;
        c->which[n++] = i;
        mio_fail(why, MIO_TRANSIENT, "some objects could not be read");
        if (why->retry_after_ms < retry_after)
            why->retry_after_ms = retry_after;
    }
    return n;
}

/* Gets the batch answered: the answer from the pipeline, then again what is transient. */
static enum mio_code settle(struct collect *c, struct mio_err *err)
{
    struct batch *b = c->b;
    struct mio_err why = b->err;
    size_t n = b->n;
    c->o = mio_call_opts_full(&c->job->o);
    for (size_t i = 0; i < n; i++)
        c->which[i] = i;
    if (!why.code && b->answer.outcome == MIO_OUT_LARGE && n > 1) {
        read_now(c, c->which, n, 1, &why);
    } else if (!why.code) {
        struct mio_answer answer = b->answer;
        b->answer.payload = NULL;
        place_answer(c, &answer, c->which, n, &why);
    }
    for (unsigned attempt = 1;; attempt++) {
        bool whole = why.code != MIO_OK;
        if (!whole && (n = find_transient(c, &why)) == 0)
            return MIO_OK;
        if (!mio_provider_again(c->job->p, &why, attempt, &c->o, c->job->cancels)) {
            if (whole)
                *err = why;
            return err->code;
        }
        mio_err_clear(&why);
        read_now(c, c->which, n, attempt + 1, &why);
    }
}

static enum mio_code collect_batch(struct collect *c, struct mio_err *err)
{
    if (settle(c, err))
        return err->code;
    struct mio_object obj, plain = {0}; /* an object is large: the unchanged share one */
    for (size_t i = 0; i < c->b->n; i++) {
        const struct place *at = &c->places[i];
        if (!at->at) {
            plain.status = (enum mlops_status)at->status;
            c->done(c->arg, c->b->first + i, &plain);
            continue;
        }
        struct mio_arena_mark mark = mio_arena_mark(&c->arena);
        if (!mio_answer_object(c->job->p, &c->arena, at->status, at->at, at->end, MIO_VERB_READ,
                               &obj, err))
            return err->code;
        c->done(c->arg, c->b->first + i, &obj);
        mio_arena_rewind(&c->arena, mark);
    }
    return MIO_OK;
}

static void drop_answers(struct collect *c)
{
    while (c->kept) {
        struct kept *next = c->kept->next;
        free(c->kept->answer.payload);
        free(c->kept);
        c->kept = next;
    }
    free(c->b->answer.payload);
    c->b->answer.payload = NULL;
}

static enum mio_code collect(struct mio_read_job *job,
                             void (*done)(void *arg, size_t index, const struct mio_object *obj),
                             void *arg, struct mio_err *err)
{
    struct collect c = {.job = job, .done = done, .arg = arg};
    mio_arena_init(&c.arena);
    size_t most = 1;
    for (size_t i = 0; i < job->nbatches; i++)
        most = job->batches[i].n > most ? job->batches[i].n : most;
    c.places = mio_alloc(most * sizeof *c.places);
    c.at = mio_alloc(most * sizeof *c.at);
    c.which = mio_alloc(most * sizeof *c.which);
    if (job->err.code)
        *err = job->err;
    for (size_t i = 0; i < job->nbatches; i++) {
        c.b = &job->batches[i];
        pthread_mutex_lock(&job->mu);
        while (!c.b->ready)
            pthread_cond_wait(&job->ready, &job->mu);
        pthread_mutex_unlock(&job->mu);
        if (!err->code)
            collect_batch(&c, err);
        drop_answers(&c);
    }
    if (job->threaded)
        pthread_join(job->thread, NULL);
    free(c.places);
    free(c.at);
    free(c.which);
    mio_arena_free(&c.arena);
    free(job->batches);
    pthread_cond_destroy(&job->ready);
    pthread_mutex_destroy(&job->mu);
    return err->code;
}

struct mio_read_job *mio_provider_read_start(struct mio_provider *p,
                                             const struct mio_read_item *items, size_t n,
                                             const struct mio_call_opts *o)
{
    struct mio_read_job *job = mio_alloc(sizeof *job);
    prepare(job, p, items, n, o);
    begin(job);
    return job;
}

enum mio_code mio_provider_read_collect(struct mio_read_job *job,
                                        void (*done)(void *arg, size_t index,
                                                     const struct mio_object *obj),
                                        void *arg, struct mio_err *err)
{
    enum mio_code code = collect(job, done, arg, err);
    free(job);
    return code;
}

enum mio_code mio_provider_read(struct mio_provider *p, const struct mio_read_item *items, size_t n,
                                const struct mio_call_opts *o,
                                void (*done)(void *arg, size_t index, const struct mio_object *obj),
                                void *arg, struct mio_err *err)
{
    struct mio_read_job job;
    prepare(&job, p, items, n, o);
    if (job.nbatches > 1)
        begin(&job);
    else
        run(&job); /* a thread would cost more than the call */
    return collect(&job, done, arg, err);
}
