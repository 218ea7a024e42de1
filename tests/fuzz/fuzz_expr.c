/* tests/fuzz/fuzz_expr.c: any bytes as an expression, a template and a type; whatever parses is
 * evaluated.
 *
 * Properties: parsing gives a tree or an error, never both or neither; evaluating twice gives equal
 * values. */
#include "planner/expr/expr.h"
#include "planner/expr/func.h"
#include "providers/sdk/buf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum mio_code lookup(void *arg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err)
{
    (void)err;
    const struct mio_value *names = arg;
    const struct mio_value *v = mio_get(*names, ref->root);
    *used = 0;
    *out = v ? *v : mio_sensitive(mio_unknown(MIO_UNKNOWN));
    return MIO_OK;
}

static struct mio_value names(struct mio_arena *a)
{
    struct mio_value *items = mio_arena_alloc(a, 3 * sizeof *items);
    struct mio_pair *pairs = mio_arena_alloc(a, 4 * sizeof *pairs);
    for (int i = 0; i < 3; i++)
        items[i] = mio_number_i64(a, i - 1);
    pairs[0] = (struct mio_pair){MIO_STR("s"), mio_string(MIO_STR("caf\xc3\xa9"))};
    pairs[1] = (struct mio_pair){MIO_STR("l"), mio_list(items, 3)};
    pairs[2] = (struct mio_pair){MIO_STR("n"), mio_number(MIO_STR("2.50"))};
    pairs[3] = (struct mio_pair){MIO_STR("z"), mio_null()};
    return mio_map(pairs, 4);
}

static struct mio_str say(struct mio_arena *a, const struct mio_expr *e, bool *ok)
{
    struct mio_value all = names(a), v;
    struct mio_scope scope = {.arena = a, .lookup = lookup, .arg = &all, .pure = true};
    struct mio_err err = {0};
    *ok = !mio_expr_eval(e, &scope, &v, &err);
    if (*ok == (err.code != MIO_OK))
        abort();
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 1 << 20);
    if (*ok)
        mio_put_json(a, &b, v);
    return mio_arena_str(a, mio_buf_view(&b));
}

static bool visit(void *arg, const struct mio_ref *ref)
{
    *(size_t *)arg += ref->n + 1;
    return true;
}

static void run(struct mio_str text, bool template)
{
    struct mio_arena a;
    struct mio_diags diags;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    const struct mio_expr *e = (template ? mio_expr_template : mio_expr_parse)(
        &a, text, (struct mio_pos){1, 1, 1, 1}, &diags);
    if (!e == !diags.errors)
        abort();
    if (e) {
        bool ok[2];
        size_t refs = 0;
        mio_expr_refs(e, visit, &refs);
        struct mio_str one = say(&a, e, &ok[0]), two = say(&a, e, &ok[1]);
        if (ok[0] != ok[1] || !mio_str_eq(one, two))
            abort();
    }
    mio_arena_free(&a);
}

static void run_type(struct mio_str text)
{
    struct mio_arena a;
    struct mio_diags diags;
    struct mio_err err = {0};
    struct mio_value v;
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    const struct mio_typespec *t =
        mio_typespec_parse(&a, text, (struct mio_pos){1, 1, 1, 1}, &diags);
    if (!t == !diags.errors)
        abort();
    if (t) {
        mio_typespec_name(&a, t);
        mio_typespec_convert(&a, t, names(&a), &v, &err);
    }
    mio_arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mio_str text = {(const char *)data, size};
    mio_expr_needed(text);
    run(text, false);
    run(text, true);
    run_type(text);
    return 0;
}
