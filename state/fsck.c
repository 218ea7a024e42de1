/* state/fsck.c: a store looked at from end to end, and mended where that loses nothing more. See
 * fsck.h. */
#include "state/fsck.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/json.h"
#include "state/codec.h"
#include "state/store_impl.h"

struct fsck {
    struct mio_store *s;
    struct mio_arena *a;
    bool repair;
    struct mio_finding *found;
    size_t n, cap;
    struct mio_state state; /* as it is, or as it was restored */
    bool has_state;
    struct mio_err *err;
};

static struct mio_finding *say(struct fsck *k, enum mio_finding_level level, struct mio_str what,
                               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static struct mio_finding *say(struct fsck *k, enum mio_finding_level level, struct mio_str what,
                               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mio_finding f = {.level = level, .what = what, .remedy = MIO_STR("")};
    f.message = mio_arena_vprintf(k->a, fmt, ap);
    va_end(ap);
    MIO_PUSH(k->a, k->found, k->n, k->cap) = f;
    return &k->found[k->n - 1];
}

/* ---- the state ---- */

/* The serial that the journal began from: a restored state must not be older than that. */
static uint64_t journal_base(struct fsck *k)
{
    struct mio_journal_text t;
    struct mio_frame f;
    struct mio_jrn_origin o;
    struct mio_err ignored = {0};
    if (k->s->b->ops->journal_read(k->s->b, k->a, &t, &ignored) || !t.found ||
        !mio_frame_get(t.text, 0, &f) || f.type != 'B' ||
        mio_begin_get(k->s->sealer, k->a, f.payload, &o, &ignored))
        return 0;
    return o.begin.base_serial;
}

/* Puts a good generation in the place of the current state, whatever that is. */
static enum mio_code restore(struct fsck *k, const struct mio_kept *from)
{
    struct mio_blob now;
    enum mio_code rc = k->s->b->ops->read(k->s->b, k->a, &now, k->err);
    if (rc || (rc = mio_state_read(k->a, from->text, &k->state, k->err)))
        return rc;
    uint64_t base = journal_base(k);
    if (base > k->state.serial)
        k->state.serial = base;
    rc = mio_store_swap(k->s, now.tag, &k->state, k->err);
    k->has_state = rc == MIO_OK;
    return rc;
}

static enum mio_code check_rows(struct fsck *k)
{
    struct mio_state *s = &k->state;
    for (size_t i = 0; i < s->nrows; i++) {
        struct mio_arena_mark m = mio_arena_mark(k->a);
        struct mio_record r;
        struct mio_err why = {0};
        size_t missing = 0;
        bool bad = mio_row_read(k->a, &s->rows[i], &r, &why) != MIO_OK;
        for (uint32_t d = 0; !bad && r.dependencies.type == MIO_LIST && d < r.dependencies.n; d++)
            missing += !mio_state_find(s, mio_value_str(r.dependencies.items[d]), MIO_STR(""));
        mio_arena_rewind(k->a, m);
        if (bad) {
            struct mio_finding *f = say(k, MIO_FINDING_DAMAGE, MIO_STR("state"), "%.*s: %s",
                                        MIO_FMT(s->rows[i].address), why.message);
            f->remedy = MIO_STR("drop it with `mlops-iac state rm` and import it again");
        } else if (missing) {
            say(k, MIO_FINDING_NOTE, MIO_STR("state"),
                "%.*s names %zu direct dependencies that are no longer recorded",
                MIO_FMT(s->rows[i].address), missing);
        }
    }
    return MIO_OK;
}

static enum mio_code check_current(struct fsck *k, const struct mio_kept *current,
                                   const struct mio_kept *good)
{
    if (current && current->good) {
        k->has_state = true;
        enum mio_code rc = mio_state_read(k->a, current->text, &k->state, k->err);
        if (rc)
            return rc;
        if (!mio_str_eq(k->state.stage, k->s->stage)) {
            struct mio_finding *f = say(k, MIO_FINDING_DAMAGE, MIO_STR("state"),
                                        "is of stage \"%.*s\", not of \"%.*s\"",
                                        MIO_FMT(k->state.stage), MIO_FMT(k->s->stage));
            f->remedy = MIO_STR("give each stage a state folder of its own");
        } else {
            say(k, MIO_FINDING_NOTE, MIO_STR("state"), "serial %lu, %zu resources, whole",
                (unsigned long)current->serial, current->rows);
        }
        return check_rows(k);
    }
    if (!current && !good)
        return MIO_OK;                 /* there has never been one */
    if (current && current->foreign) { /* an older one in its place would lose what it records */
        say(k, MIO_FINDING_DAMAGE, MIO_STR("state"), "%s", current->message)->remedy =
            mio_arena_str(k->a, mio_str_z(current->remedy));
        return MIO_OK;
    }
    struct mio_finding *f = say(k, MIO_FINDING_DAMAGE, MIO_STR("state"), "%s",
                                current ? current->message : "is missing");
    if (!good) {
        f->remedy =
            MIO_STR("no good generation is left: restore a backup, or import the resources anew");
        return MIO_OK;
    }
    f->mendable = true;
    f->remedy = mio_arena_printf(
        k->a,
        "%s %.*s (serial %lu, %zu resources); what was recorded after it must be imported anew",
        k->repair ? "restored from" : "a repair restores", MIO_FMT(good->name),
        (unsigned long)good->serial, good->rows);
    if (!k->repair)
        return MIO_OK;
    f->mended = true;
    return restore(k, good);
}

static enum mio_code check_state(struct fsck *k)
{
    struct mio_kept *kept;
    size_t n;
    enum mio_code rc = mio_store_kept(k->s, k->a, &kept, &n, k->err);
    if (rc)
        return rc;
    const struct mio_kept *current = n && mio_str_is(kept[0].name, "current") ? &kept[0] : NULL;
    const struct mio_kept *good = NULL;
    for (size_t i = current ? 1 : 0; i < n; i++) {
        if (kept[i].good && !good)
            good = &kept[i];
        if (kept[i].good)
            say(k, MIO_FINDING_NOTE, kept[i].name, "serial %lu, %zu resources, whole",
                (unsigned long)kept[i].serial, kept[i].rows);
        else
            say(k, MIO_FINDING_WARNING, kept[i].name, "%s", kept[i].message);
    }
    return check_current(k, current, good);
}

/* ---- the journal ---- */

/* Appends a frame of our own making, chained to the one before. */
struct chain {
    struct mio_jrn_origin origin; /* how its records are sealed */
    struct mio_index intents;     /* numbers of operations that the new chain knows */
    size_t lost;
    struct mio_buf text;
    uint64_t seq;
    uint8_t prev[32];
};

static void chain_add(struct chain *c, char type, struct mio_str payload)
{
    size_t from = c->text.n;
    MIO_AUTO_BUF p = {0};
    mio_payload_put(&p, &c->origin, type, c->seq + 1, payload);
    mio_frame_put(&c->text, type, c->seq + 1, c->seq, c->prev, mio_buf_view(&p));
    c->seq++;
    mio_sha256_of(c->text.p + from, c->text.n - from, c->prev);
}

/* A result whose intent is lost: the object is there, so the intent is made up from it. */
static void made_up_intent(struct chain *c, struct mio_arena *a, struct mio_str payload)
{
    struct mio_value v;
    struct mio_err err = {0};
    struct mio_jrn_intent i = {.verb = MIO_JRN_CREATE};
    const struct mio_value *result;
    if (mio_json_read(a, payload, NULL, &v, &err) || !mio_str_u64(mio_get_str(v, "op"), &i.op) ||
        !(result = mio_get_z(v, "result")) || mio_record_from(a, *result, &i.target, &err))
        return;
    i.address = i.target.address;
    i.deposed = i.target.deposed;
    i.kind = i.target.kind;
    i.provider = i.target.provider;
    i.id = i.target.id;
    MIO_AUTO_BUF b = {0};
    if (mio_payload_intent(&b, &i, c->origin.sealed, &err) == MIO_OK)
        chain_add(c, 'I', mio_buf_view(&b));
}

static bool op_of(struct mio_arena *a, struct mio_str payload, uint64_t *op)
{
    struct mio_value v;
    struct mio_err err = {0};
    return mio_json_read(a, payload, NULL, &v, &err) == MIO_OK &&
           mio_str_u64(mio_get_str(v, "op"), op);
}

/* B as it was, or, when it is lost, as the state knows that it was. False: it is sealed and cannot
 * be opened. */
static bool start_chain(struct fsck *k, struct chain *c, const struct mio_frame *first)
{
    struct mio_err err = {0};
    MIO_AUTO_BUF b = {0};
    if (first->type == 'B') {
        if (mio_begin_get(k->s->sealer, k->a, first->payload, &c->origin, &err))
            return false;
        c->origin.boot =
            MIO_STR(""); /* intents may be among what is lost: look all planned ones up */
        if (mio_begin_put(&b, c->origin.sealed ? k->s->sealer : NULL, &c->origin, &err))
            return false;
        chain_add(c, 'B', mio_buf_view(&b));
        return true;
    }
    c->origin = (struct mio_jrn_origin){.begin = {.apply_id = MIO_STR("salvaged"),
                                                  .lineage = k->state.lineage,
                                                  .base_serial = k->state.serial,
                                                  .epoch = k->state.epoch},
                                        .salt = k->state.salt,
                                        .stage = k->s->stage};
    mio_payload_begin(&b, &c->origin);
    chain_add(c, 'B', mio_buf_view(&b));
    return true;
}

/* Every whole record of a damaged journal, wherever it lies, in a new chain. Counts the bytes that
 * are in none. */
static void salvage(struct fsck *k, struct mio_str text, struct chain *c)
{
    struct mio_frame f;
    for (size_t at = 0; at < text.n;) {
        uint64_t op = 0;
        struct mio_str plain;
        if (!mio_frame_get(text, at, &f)) {
            c->lost += text.p[at++] != '\0';
            continue;
        }
        at += f.bytes.n;
        if (c->seq == 0 && !start_chain(k, c, &f))
            return;
        if (f.type == 'B')
            continue;
        if (!mio_payload_get(k->a, &c->origin, &f, &plain)) {
            c->lost += f.bytes.n;
            continue;
        }
        if (f.type != 'E' && op_of(k->a, plain, &op)) {
            struct mio_str key = mio_arena_printf(k->a, "%lu", (unsigned long)op);
            uintptr_t seen;
            if (!mio_index_get(&c->intents, key, &seen) && f.type != 'I' && f.type != 'P')
                made_up_intent(c, k->a, plain);
            mio_index_set(&c->intents, key, 1);
        }
        chain_add(c, f.type, plain);
    }
}

static enum mio_code rebuild_journal(struct fsck *k, const struct mio_journal_text *t, size_t *lost)
{
    struct chain c = {0};
    mio_index_init(&c.intents, k->a, 64);
    salvage(k, t->text, &c);
    salvage(k, t->rescue, &c);
    enum mio_code rc = k->s->b->ops->journal_replace(k->s->b, mio_buf_view(&c.text), k->err);
    *lost = c.lost;
    mio_buf_free(&c.text);
    return rc;
}

static enum mio_code damaged_journal(struct fsck *k, const struct mio_journal_text *t,
                                     const struct mio_err *why)
{
    struct mio_finding *f = say(k, MIO_FINDING_DAMAGE, MIO_STR("journal"), "%s", why->message);
    f->mendable = why->code != MIO_AUTH &&
                  (k->has_state || mio_frame_get(t->text, 0, &(struct mio_frame){0}));
    if (!f->mendable) {
        f->remedy = mio_arena_str(
            k->a, mio_str_z(why->code == MIO_AUTH ? why->hint : "restore the state first"));
        return MIO_OK;
    }
    f->remedy =
        MIO_STR("a repair makes it anew from its whole records and sets the damaged file aside");
    if (!k->repair)
        return MIO_OK;
    size_t lost;
    enum mio_code rc = rebuild_journal(k, t, &lost);
    f = &k->found[k->n - 1];
    f->mended = rc == MIO_OK;
    f->remedy =
        mio_arena_printf(k->a,
                         "made anew; %zu bytes of records are lost: run `mlops-iac drift` and "
                         "look on the platform for objects that nothing records",
                         lost);
    return rc;
}

static enum mio_code check_journal(struct fsck *k)
{
    struct mio_journal_text t;
    struct mio_jrn_origin o = {0};
    struct mio_jrn_replay r;
    struct mio_err why = {0};
    bool begun;
    enum mio_code rc = k->s->b->ops->journal_read(k->s->b, k->a, &t, k->err);
    if (rc || !t.found)
        return rc;
    if (mio_replay(k->a, k->s->sealer, t.text, t.rescue, &o, &r, &begun, &why))
        return damaged_journal(k, &t, &why);
    if (begun && k->has_state && mio_store_judge(k->s, &o, &r, &k->state, &begun, &why)) {
        struct mio_finding *f = say(k, MIO_FINDING_DAMAGE, MIO_STR("journal"), "%s", why.message);
        f->remedy = mio_arena_str(k->a, mio_str_z(why.hint));
    } else if (!begun) {
        say(k, MIO_FINDING_NOTE, MIO_STR("journal"), "spent: the state has all of it");
    } else {
        size_t open = 0;
        for (size_t i = 0; i < r.n; i++)
            open += r.ops[i].outcome != MIO_OP_DONE && r.ops[i].outcome != MIO_OP_FAILED;
        struct mio_finding *f = say(k, MIO_FINDING_NOTE, MIO_STR("journal"),
                                    "of an unfinished apply: %zu operations, %zu open", r.n, open);
        f->remedy = MIO_STR("the next plan or apply settles them");
    }
    return MIO_OK;
}

static enum mio_code check_history(struct fsck *k)
{
    struct mio_history *h;
    size_t n, broken;
    struct mio_err why = {0};
    if (mio_store_history(k->s, k->a, &h, &n, &broken, &why)) {
        struct mio_finding *f = say(k, MIO_FINDING_WARNING, MIO_STR("history"), "%s", why.message);
        f->remedy = mio_arena_str(k->a, mio_str_z(why.hint));
        return MIO_OK;
    }
    if (broken)
        say(k, MIO_FINDING_WARNING, MIO_STR("history"),
            "line %zu does not follow from the line before it: "
            "edited or lost",
            broken);
    else if (n)
        say(k, MIO_FINDING_NOTE, MIO_STR("history"), "%zu applies, chain whole", n);
    return MIO_OK;
}

enum mio_code mio_store_fsck(struct mio_store *s, struct mio_arena *a, bool repair,
                             struct mio_finding **out, size_t *n, struct mio_err *err)
{
    struct fsck k = {.s = s, .a = a, .repair = repair, .err = err};
    bool ours = s->locked;
    enum mio_code rc = repair && !ours ? mio_store_lock(s, "state fsck", 0, NULL, err) : MIO_OK;
    if (rc)
        return rc;
    rc = check_state(&k);
    rc = rc ? rc : check_journal(&k);
    rc = rc ? rc : check_history(&k);
    if (repair && !ours)
        mio_store_unlock(s);
    if (rc)
        return rc;
    *out = k.found;
    *n = k.n;
    return MIO_OK;
}
