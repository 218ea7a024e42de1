/* tests/planner/run/test_ops.c: what waits for what.
 *
 * A case is a list of steps "name action: references | recorded dependencies", and pairs "a<b": a
 * ends before b begins. Operations are called +x (apply), -x (destroy) and =x (late). */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "planner/run/ops.h"
#include "tests/arena.h"

enum { MOST = 8 };

struct world {
    struct mio_planner p;
    struct mio_step *steps[MOST];
    struct mio_inst insts[MOST];
    struct mio_res res;
    struct mio_block block;
    struct mio_kind kind;
    struct mio_ops ops;
    size_t n;
};

static struct mio_inst *inst_named(struct world *w, char c)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->steps[i]->inst && w->steps[i]->inst->address.p[0] == c)
            return w->steps[i]->inst;
    return NULL;
}

/* refs and record are strings of one-letter names */
static void step(struct world *w, const char *name, enum mio_action action, const char *refs,
                 const char *record)
{
    struct mio_step *s = MIO_NEW(&arena, struct mio_step);
    struct mio_inst *inst = &w->insts[w->n];
    bool orphan = action == MIO_DELETE || action == MIO_FORGET;
    *inst = (struct mio_inst){
        .res = &w->res, .address = mio_str_z(name), .number = (uint32_t)w->n, .user = s};
    s->inst = orphan ? NULL : inst;
    s->action = (uint8_t)action;
    s->main_change = action == MIO_CREATE || action == MIO_UPDATE || action == MIO_REPLACE ||
                     action == MIO_REPLACE_CREATE;
    struct mio_value *deps = MIO_NEW_N(&arena, struct mio_value, strlen(record) + 1);
    for (size_t i = 0; record[i]; i++)
        deps[i] = mio_string(mio_arena_str(&arena, (struct mio_str){&record[i], 1}));
    if (action != MIO_CREATE) {
        s->record = MIO_NEW(&arena, struct mio_record);
        s->record->address = mio_str_z(name);
        s->record->dependencies = mio_list(deps, strlen(record));
        s->row = MIO_NEW(&arena, struct mio_row);
    }
    w->steps[w->n++] = s;
    for (size_t i = 0; refs[i]; i++) {
        struct mio_inst *d = inst_named(w, refs[i]);
        assert_non_null(d);
        MIO_PUSH(&arena, inst->deps.items, inst->deps.n, inst->deps.cap) = d;
    }
}

static void build(struct world *w)
{
    struct mio_err err = {0};
    w->res.block = &w->block;
    w->res.kind = &w->kind;
    w->p.steps = w->steps;
    w->p.nsteps = w->n;
    assert_int_equal(mio_ops_build(&arena, &w->p, &w->ops, &err), MIO_OK);
}

static struct mio_op *find(struct world *w, const char *op)
{
    enum mio_op_type type = op[0] == '+'   ? MIO_OP_APPLY
                            : op[0] == '-' ? MIO_OP_DESTROY
                                           : MIO_OP_LATE;
    for (size_t i = 0; i < w->ops.n; i++) {
        struct mio_step *s = w->ops.items[i].step;
        struct mio_str name = s->inst ? s->inst->address : s->record->address;
        if (w->ops.items[i].type == type && name.p[0] == op[1])
            return &w->ops.items[i];
    }
    fail_msg("no operation %s", op);
    return NULL;
}

static bool reaches(const struct mio_op *from, const struct mio_op *to)
{
    for (size_t i = 0; i < from->nnext; i++)
        if (from->next[i] == to || reaches(from->next[i], to))
            return true;
    return false;
}

static void before(struct world *w, const char *a, const char *b)
{
    if (!reaches(find(w, a), find(w, b)))
        fail_msg("%s does not come before %s", a, b);
}

static void unordered(struct world *w, const char *a, const char *b)
{
    assert_false(reaches(find(w, a), find(w, b)) || reaches(find(w, b), find(w, a)));
}

static void creation_follows_references(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_CREATE, "", "");
    step(&w, "b", MIO_CREATE, "a", "");
    step(&w, "c", MIO_CREATE, "a", "");
    build(&w);
    before(&w, "+a", "+b");
    unordered(&w, "+b", "+c");
}

static void order_passes_through_what_does_not_change(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_UPDATE, "", "");
    step(&w, "b", MIO_NOOP, "a", "a");
    step(&w, "c", MIO_UPDATE, "b", "b");
    build(&w);
    before(&w, "+a", "+c");
    assert_int_equal(w.ops.work, 2);
}

static void destruction_goes_the_other_way(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_DELETE, "", "");
    step(&w, "b", MIO_DELETE, "", "a");
    build(&w);
    before(&w, "-b", "-a");
}

static void a_replacement_waits_for_those_built_on_it(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_REPLACE, "", "");
    step(&w, "b", MIO_REPLACE, "a", "a");
    build(&w);
    before(&w, "-b", "-a");
    before(&w, "-a", "+a");
    before(&w, "+a", "+b");
}

static void create_before_destroy_keeps_the_old_one_until_nobody_needs_it(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_REPLACE_CREATE, "", "");
    step(&w, "b", MIO_UPDATE, "a", "a");
    build(&w);
    before(&w, "+a", "+b");
    before(&w, "+b", "-a");
}

static void what_is_no_longer_referred_to_goes_last(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_DELETE, "", "");
    step(&w, "b", MIO_UPDATE, "", "a");
    build(&w);
    before(&w, "+b", "-a");
}

static void traffic_follows_new_and_leaves_old_deployments(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "e", MIO_UPDATE, "", "");
    w.steps[0]->late_change = true;
    w.steps[0]->main_change = false;
    step(&w, "n", MIO_CREATE, "e", "");
    step(&w, "o", MIO_DELETE, "", "e");
    build(&w);
    before(&w, "+n", "=e");
    before(&w, "=e", "-o");
}

static void a_wish_that_would_close_a_circle_is_given_up(void **state)
{
    (void)state;
    struct world w = {0};
    /* w is to be updated after x is replaced; y goes and was built on x; w used y */
    step(&w, "x", MIO_REPLACE, "", "");
    step(&w, "y", MIO_DELETE, "", "x");
    step(&w, "w", MIO_UPDATE, "x", "y");
    build(&w);
    before(&w, "-y", "-x");
    before(&w, "-x", "+x");
    before(&w, "+x", "+w");
}

static void what_is_left_out_has_no_operation(void **state)
{
    (void)state;
    struct world w = {0};
    step(&w, "a", MIO_CREATE, "", "");
    step(&w, "b", MIO_CREATE, "a", "");
    w.steps[1]->excluded = true;
    build(&w);
    assert_int_equal(w.ops.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creation_follows_references),
        cmocka_unit_test(order_passes_through_what_does_not_change),
        cmocka_unit_test(destruction_goes_the_other_way),
        cmocka_unit_test(a_replacement_waits_for_those_built_on_it),
        cmocka_unit_test(create_before_destroy_keeps_the_old_one_until_nobody_needs_it),
        cmocka_unit_test(what_is_no_longer_referred_to_goes_last),
        cmocka_unit_test(traffic_follows_new_and_leaves_old_deployments),
        cmocka_unit_test(a_wish_that_would_close_a_circle_is_given_up),
        cmocka_unit_test(what_is_left_out_has_no_operation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
