/* planner/run/ops.c: see ops.h. The order:
 *
 *   apply(x)    after apply(d) for everything d that x refers to
 *   late(x)     after apply(x), after apply(y) for every y that refers to x: traffic follows its
 * deployments destroy(x)  after destroy(y) for every y that was built on x; after late(d) for
 * everything d that x was built on: traffic leaves before the deployment goes;
 *               create-before-destroy: after apply(x) and apply(y) for every y that refers to x
 *   apply(x)    after destroy(x) in a plain replacement
 *   destroy(x)  after apply(y) for every y that no longer refers to x (given up when it would close
 * a circle)
 */
#include "planner/run/ops.h"

struct slots { /* the operations of one step */
    struct mio_op *apply, *destroy, *late;
};
struct build {
    struct mio_arena *a;
    const struct mio_planner *p;
    struct mio_ops *ops;
    struct slots *slots;    /* beside p->steps */
    struct mio_index index; /* address of a current object to its step's number */
    bool soft;
};

static bool destroys(const struct mio_step *s)
{
    return s->action == MIO_DELETE || s->action == MIO_FORGET || s->action == MIO_REPLACE ||
           s->action == MIO_REPLACE_CREATE;
}

static bool is_deposed(const struct mio_step *s)
{
    return !s->inst && s->row && s->record && s->record->deposed.n;
}

static void after(struct build *b, struct mio_op *later, struct mio_op *earlier)
{
    if (!later || !earlier || later == earlier)
        return;
    MIO_PUSH(b->a, earlier->next, earlier->nnext, earlier->cap) = later;
    later->waits++;
}

static struct slots *slots_of(struct build *b, const struct mio_inst *inst)
{
    return &b->slots[inst->number];
}

static void make_ops(struct build *b)
{
    const struct mio_planner *p = b->p;
    size_t room = 0;
    for (size_t i = 0; i < p->nsteps; i++)
        room += p->steps[i] && !p->steps[i]->excluded ? 3 : 0;
    b->ops->items = MIO_NEW_N(b->a, struct mio_op, room + 1);
    b->ops->n = b->ops->work = 0;
    mio_index_init(&b->index, b->a, p->nsteps);
    for (size_t i = 0; i < p->nsteps; i++) {
        struct mio_step *s = p->steps[i];
        if (!s)
            continue;
        if (!is_deposed(s))
            mio_index_add(&b->index, s->inst ? s->inst->address : s->record->address, i);
        if (s->excluded)
            continue;
        struct mio_op *first = &b->ops->items[b->ops->n];
        if (s->inst)
            b->slots[i].apply = &b->ops->items[b->ops->n++];
        if (destroys(s))
            b->slots[i].destroy = &b->ops->items[b->ops->n++];
        if (s->inst && s->late_change)
            b->slots[i].late = &b->ops->items[b->ops->n++];
        for (struct mio_op *op = first; op < &b->ops->items[b->ops->n]; op++) {
            op->step = s;
            op->type = op == b->slots[i].apply     ? MIO_OP_APPLY
                       : op == b->slots[i].destroy ? MIO_OP_DESTROY
                                                   : MIO_OP_LATE;
            op->idle = op->type == MIO_OP_APPLY && !s->main_change;
            op->depose_key = MIO_STR("");
            b->ops->work += !op->idle;
        }
    }
}

/* Edges that the template's references ask for. */
static void by_reference(struct build *b, struct mio_step *s, struct slots *own)
{
    for (size_t i = 0; i < s->inst->deps.n; i++) {
        const struct mio_inst *d = s->inst->deps.items[i];
        struct slots *dep = slots_of(b, d);
        struct mio_step *ds = mio_step_of(d);
        after(b, own->apply, dep->apply);
        after(b, dep->late, own->apply);
        if (ds && ds->action == MIO_REPLACE_CREATE)
            after(b, dep->destroy, own->apply);
    }
    for (size_t i = 0; i < s->late_deps.n; i++)
        after(b, own->late, slots_of(b, s->late_deps.items[i])->apply);
    after(b, own->late, own->apply);
    if (s->action == MIO_REPLACE)
        after(b, own->apply, own->destroy);
    if (s->action == MIO_REPLACE_CREATE)
        after(b, own->destroy, own->apply);
}

/* Edges that the recorded dependencies ask for. */
static void by_record(struct build *b, struct mio_step *s, struct slots *own)
{
    for (uint32_t i = 0; s->record && i < s->record->dependencies.n; i++) {
        uintptr_t at;
        if (!mio_index_get(&b->index, mio_value_str(s->record->dependencies.items[i]), &at))
            continue;
        struct slots *dep = &b->slots[at];
        const struct mio_step *ds = b->p->steps[at];
        after(b, dep->destroy, own->destroy);
        if (own->destroy && s->action != MIO_REPLACE)
            after(b, own->destroy, dep->late);
        if (b->soft && !own->destroy && own->apply &&
            (ds->action == MIO_DELETE || ds->action == MIO_FORGET))
            after(b, dep->destroy, own->apply);
    }
}

/* Kahn's algorithm on a copy of the counters: true when every operation can come. */
static bool has_order(struct build *b)
{
    size_t *waits = MIO_NEW_N(b->a, size_t, b->ops->n + 1);
    struct mio_op **ready = MIO_NEW_N(b->a, struct mio_op *, b->ops->n + 1);
    size_t n = 0, done = 0;
    for (size_t i = 0; i < b->ops->n; i++) {
        waits[i] = b->ops->items[i].waits;
        if (waits[i] == 0)
            ready[n++] = &b->ops->items[i];
    }
    while (n) {
        struct mio_op *op = ready[--n];
        done++;
        for (size_t i = 0; i < op->nnext; i++)
            if (--waits[op->next[i] - b->ops->items] == 0)
                ready[n++] = op->next[i];
    }
    return done == b->ops->n;
}

enum mio_code mio_ops_build(struct mio_arena *a, const struct mio_planner *p, struct mio_ops *out,
                            struct mio_err *err)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct build b = {.a = a, .p = p, .ops = out, .soft = attempt == 0};
        b.slots = MIO_NEW_N(a, struct slots, p->nsteps + 1);
        make_ops(&b);
        for (size_t i = 0; i < p->nsteps; i++) {
            struct mio_step *s = p->steps[i];
            if (!s || s->excluded)
                continue;
            if (s->inst)
                by_reference(&b, s, &b.slots[i]);
            by_record(&b, s, &b.slots[i]);
        }
        if (has_order(&b))
            return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "the changes cannot be brought into an order");
    return mio_err_hint(
        err,
        "A recorded dependency and a reference of the template point at each other; apply in two "
        "steps with -target.");
}

enum mio_action mio_op_action(const struct mio_op *op)
{
    if (op->type == MIO_OP_DESTROY)
        return op->step->action == MIO_FORGET ? MIO_FORGET : MIO_DELETE;
    if (op->type == MIO_OP_LATE)
        return MIO_UPDATE;
    switch ((enum mio_action)op->step->action) {
    case MIO_CREATE:
    case MIO_REPLACE:
    case MIO_REPLACE_CREATE:
        return MIO_CREATE;
    case MIO_READ:
        return MIO_READ;
    case MIO_UPDATE:
        return MIO_UPDATE;
    case MIO_NOOP:
    case MIO_DELETE:
    case MIO_FORGET:
        break;
    }
    return MIO_NOOP;
}
