/* state/move.c: a whole state taken from somewhere and put somewhere else. See fsck.h. */
#include "providers/sdk/buf.h"
#include "state/codec.h"
#include "state/fsck.h"
#include "state/store_impl.h"

static enum mio_code check_push(struct mio_store *s, const struct mio_state *old,
                                const struct mio_state *new, bool force, struct mio_err *err)
{
    if (!mio_str_eq(new->stage, s->stage)) {
        mio_fail(err, MIO_STATE, "that state is of stage \"%.*s\", this one of \"%.*s\"",
                 MIO_FMT(new->stage), MIO_FMT(s->stage));
        return mio_err_hint(err, "Choose the stage with -stage.");
    }
    if (old->serial && !force && !mio_str_eq(old->lineage, new->lineage)) {
        mio_fail(err, MIO_STATE, "that state is another one: lineage %.*s, here %.*s",
                 MIO_FMT(new->lineage), MIO_FMT(old->lineage));
        return mio_err_hint(
            err, "With -force it takes this one's place; what this one records is then nobody's.");
    }
    if (!force && new->serial <= old->serial) {
        mio_fail(err, MIO_STATE, "that state has serial %lu, the one here %lu",
                 (unsigned long)new->serial, (unsigned long)old->serial);
        return mio_err_hint(
            err, "-force puts an older state back; what was made since must then be imported.");
    }
    return MIO_OK;
}

/* The state in a file: as `state pull` gives it, or sealed, as an emergency dump is. */
static enum mio_code read_pushed(struct mio_store *s, struct mio_arena *a, struct mio_str text,
                                 struct mio_state *new, struct mio_err *err)
{
    enum mio_code rc = mio_is_sealed(text) ? mio_store_unwrap(s, a, text, &text, err) : MIO_OK;
    rc = rc ? rc : mio_state_read(a, text, new, err);
    if (rc == MIO_STATE) {
        mio_err_wrap(err, "what is to be put in place");
        err->hint[0] = '\0'; /* it speaks of the state that is there */
        return mio_err_hint(err, "Nothing was changed. `mlops-iac state pull` and `state at` write "
                                 "states that can be put in place.");
    }
    return rc;
}

/* Is the state what became of the apply whose journal this is? Then nothing of it is lost. */
static bool is_outcome(const struct mio_state *new, const struct mio_jrn_replay *r)
{
    return new->apply.n &&mio_str_eq(new->apply, r->begin.apply_id) &&
           mio_str_eq(new->lineage, r->begin.lineage) && new->serial == r->begin.base_serial + 1;
}

static enum mio_code push(struct mio_store *s, struct mio_arena *a, struct mio_str text, bool force,
                          struct mio_err *err)
{
    struct mio_state old, new;
    struct mio_jrn_replay r;
    bool pending = false;
    enum mio_code rc = read_pushed(s, a, text, &new, err);
    rc = rc ? rc : mio_store_load(s, a, &old, err);
    rc = rc ? rc : mio_store_journal(s, a, &old, &r, &pending, err);
    if (rc == MIO_OK && pending && !is_outcome(&new, &r)) {
        mio_fail(err, MIO_STATE, "an apply that was interrupted must be settled first");
        rc = mio_err_hint(err, "Run `mlops-iac plan`: it settles what the journal holds.");
    }
    rc = rc ? rc : check_push(s, &old, &new, force, err);
    if (rc)
        return rc;
    if (new.serial <= old.serial && mio_str_eq(new.lineage, old.lineage))
        new.serial =
            old.serial + 1; /* serials only grow, so that nothing that was planned before fits */
    new.apply = MIO_STR("");
    new.keeps = old.keeps;
    rc = mio_store_swap(s, s->tag, &new, err);
    return rc || !pending ? rc : mio_store_drop_journal(s, err);
}

enum mio_code mio_store_push(struct mio_store *s, struct mio_str text, bool force,
                             struct mio_err *err)
{
    struct mio_arena a;
    bool ours = s->locked;
    enum mio_code rc = ours ? MIO_OK : mio_store_lock(s, "state push", 0, NULL, err);
    if (rc)
        return rc;
    mio_arena_init(&a);
    rc = push(s, &a, text, force, err);
    mio_arena_free(&a);
    if (!ours)
        mio_store_unlock(s);
    return rc;
}

static enum mio_code copy_history(struct mio_store *from, struct mio_store *to, struct mio_arena *a,
                                  struct mio_err *err)
{
    struct mio_history_text lines, there;
    enum mio_code rc = mio_history_read(from, a, &lines, err);
    rc = rc ? rc : mio_history_read(to, a, &there, err);
    if (rc || lines.n == 0 || there.n)
        return rc;
    return mio_history_write(to, a, &lines, err);
}

static bool is_copy(const struct mio_state *x, const struct mio_state *y)
{
    return mio_str_eq(x->lineage, y->lineage) && x->serial == y->serial &&
           mio_str_eq(x->digest, y->digest);
}

static enum mio_code migrate(struct mio_store *from, struct mio_store *to, struct mio_arena *a,
                             bool *moved, struct mio_err *err)
{
    struct mio_state old, new;
    struct mio_jrn_replay r;
    bool pending = false;
    enum mio_code rc = mio_store_load(from, a, &old, err);
    rc = rc ? rc : mio_store_journal(from, a, &old, &r, &pending, err);
    rc = rc ? rc : mio_store_load(to, a, &new, err);
    *moved = old.serial > 0;
    if (rc || !*moved)
        return rc;
    if (pending) {
        mio_fail(err, MIO_STATE,
                 "an apply that was interrupted must be settled before the state moves");
        return mio_err_hint(err, "Run `mlops-iac plan` with the old backend.");
    }
    if (new.serial && is_copy(&new, &old)) /* moved already, by a run that was killed after it */
        return copy_history(from, to, a, err);
    if (new.serial && mio_str_eq(new.lineage, old.lineage) && new.serial >= old.serial) {
        mio_fail(err, MIO_STATE,
                 "the state in %s (serial %lu) has the lineage of this one (serial %lu), but is "
                 "not a copy of it",
                 to->b->where, (unsigned long)new.serial, (unsigned long)old.serial);
        return mio_err_hint(err, "Compare both with `mlops-iac state pull`. If the one there goes "
                                 "on from this one: `mlops-iac init -reconfigure`.");
    }
    if (new.serial) {
        mio_fail(err, MIO_STATE, "there is a state in %s already (serial %lu)", to->b->where,
                 (unsigned long)new.serial);
        return mio_err_hint(
            err, "Move to an empty place, or use the state there without -migrate-state.");
    }
    rc = mio_store_swap(to, to->tag, &old, err);
    return rc ? rc : copy_history(from, to, a, err);
}

enum mio_code mio_store_migrate(struct mio_store *from, struct mio_store *to, bool *moved,
                                struct mio_err *err)
{
    struct mio_arena a;
    mio_arena_init(&a);
    *moved = false;
    enum mio_code rc = migrate(from, to, &a, moved, err);
    mio_arena_free(&a);
    return rc;
}

enum mio_code mio_store_rekey(struct mio_store *s, struct mio_err *err)
{
    struct mio_arena a;
    struct mio_state state;
    bool ours = s->locked;
    enum mio_code rc = ours ? MIO_OK : mio_store_lock(s, "state rekey", 0, NULL, err);
    if (rc)
        return rc;
    mio_arena_init(&a);
    rc = mio_store_load(s, &a, &state, err);
    if (rc == MIO_OK && state.serial)
        rc = mio_store_commit(s, &state, err);
    struct mio_history_text history;
    rc = rc ? rc : mio_history_read(s, &a, &history, err);
    if (rc == MIO_OK && history.n)
        rc = mio_history_write(s, &a, &history, err);
    mio_arena_free(&a);
    if (!ours)
        mio_store_unlock(s);
    return rc;
}
