/* planner/run/testfile.c: see testfile.h. */
#include "planner/run/testfile.h"
#include "planner/graph/stack.h"
#include "planner/run/expected.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <stdlib.h>

enum { MAX_BYTES = 4 << 20 };

/* What one state holds at last: a step that destroys it needs the same variables. */
struct used {
    struct mio_str stage;
    struct mio_value values;
};
struct file {
    struct mio_arena *arena;
    const struct mio_test_opts *o;
    const char *path;
    const struct mio_node *root;
    struct mio_str temp;
    struct mio_pair *outputs; /* of the steps so far: {NAME: {output: {...}}} */
    size_t noutputs, outputs_cap;
    struct used *used;
    size_t nused, used_cap;
    bool broken;
};
struct step {
    struct file *f;
    const struct mio_node *node; /* as the harness read it */
    size_t at;                   /* position under `run:` */
    struct mio_str name, stage;
    bool apply;
    struct mio_value values;
};

/* ---- reading the file ---- */

static const char *const file_keys[] = {"description", "variables", "providers", "set", "run"};
static const char *const step_keys[] = {"name",      "description", "command",        "stage",
                                        "variables", "assert",      "expect_failures"};

static void check_keys(const struct mio_node *map, const char *what, const char *const *keys,
                       size_t n, struct mio_diags *diags)
{
    struct mio_str names[8];
    for (size_t k = 0; k < n; k++)
        names[k] = mio_str_z(keys[k]);
    for (size_t i = 0; i < map->n; i++) {
        size_t k = 0;
        while (k < n && !mio_str_eq(map->entries[i].key, names[k]))
            k++;
        if (k < n)
            continue;
        struct mio_str near = mio_str_nearest(map->entries[i].key, names, n);
        struct mio_str hint = mio_arena_printf(diags->arena, "Did you mean %.*s?", MIO_FMT(near));
        mio_diags_error(diags, MIO_TEMPLATE, map->entries[i].key_pos, near.n ? hint.p : NULL,
                        "%s has no key `%.*s`", what, MIO_FMT(map->entries[i].key));
    }
}

static void want(const struct mio_node *map, const char *key, enum mio_node_type type,
                 const char *word, struct mio_diags *diags)
{
    const struct mio_node *n = mio_node_get(map, key);
    if (n && n->type != type)
        mio_diags_error(diags, MIO_TEMPLATE, n->pos, NULL, "`%s` must be %s", key, word);
}

static void check_asserts(const struct mio_node *list, struct mio_diags *diags)
{
    for (size_t i = 0; list && list->type == MIO_NODE_SEQ && i < list->n; i++) {
        const struct mio_node *rule = list->items[i];
        if (rule->type != MIO_NODE_MAP || !mio_node_get(rule, "condition"))
            mio_diags_error(diags, MIO_TEMPLATE, rule->pos,
                            "Write { condition: \"${...}\", error: \"...\" }.",
                            "an assertion needs a condition");
    }
}

static void check_expected(const struct mio_node *list, struct mio_diags *diags)
{
    for (size_t i = 0; list && list->type == MIO_NODE_SEQ && i < list->n; i++)
        if (list->items[i]->type != MIO_NODE_SCALAR || list->items[i]->expr)
            mio_diags_error(diags, MIO_TEMPLATE, list->items[i]->pos,
                            "Write addresses such as var.nodes, check.small or compute.cpu.",
                            "what is expected to fail must be an address");
}

static void check_step(const struct mio_node *n, struct mio_diags *diags)
{
    const struct mio_node *name = n->type == MIO_NODE_MAP ? mio_node_get(n, "name") : NULL;
    if (!name || name->type != MIO_NODE_SCALAR || !name->text.n) {
        mio_diags_error(diags, MIO_TEMPLATE, n->pos, "Write - name: WHAT_IS_TESTED.",
                        "a step needs a name");
        return;
    }
    check_keys(n, "a step", step_keys, sizeof step_keys / sizeof *step_keys, diags);
    want(n, "variables", MIO_NODE_MAP, "a mapping", diags);
    want(n, "assert", MIO_NODE_SEQ, "a list", diags);
    want(n, "expect_failures", MIO_NODE_SEQ, "a list of addresses", diags);
    check_asserts(mio_node_get(n, "assert"), diags);
    check_expected(mio_node_get(n, "expect_failures"), diags);
    const struct mio_node *command = mio_node_get(n, "command");
    if (command && !mio_str_is(command->text, "plan") && !mio_str_is(command->text, "apply"))
        mio_diags_error(diags, MIO_TEMPLATE, command->pos, NULL,
                        "`command` is plan or apply, not \"%.*s\"", MIO_FMT(command->text));
}

/* `run.NAME` means one step. */
static void check_names(const struct mio_node *run, struct mio_diags *diags)
{
    for (size_t i = 1; i < run->n; i++) {
        const struct mio_node *name = mio_node_get(run->items[i], "name");
        for (size_t k = 0; name && k < i; k++) {
            const struct mio_node *other = mio_node_get(run->items[k], "name");
            if (!other || !mio_str_eq(other->text, name->text))
                continue;
            mio_diags_error(diags, MIO_TEMPLATE, name->pos, "A step is known by its name.",
                            "there are two steps \"%.*s\"", MIO_FMT(name->text));
            break;
        }
    }
}

/* The path as diagnostics show those of the template. */
static struct mio_str shown(const struct file *f)
{
    struct mio_str path = mio_str_z(f->path), from = mio_str_z(f->o->engine->shown_from);
    bool below = from.n && path.n > from.n && mio_str_starts(path, from.p) && path.p[from.n] == '/';
    return below ? mio_str_sub(path, from.n + 1, path.n) : path;
}

static enum mio_code read_file(struct file *f, struct mio_sources *sources, struct mio_diags *diags)
{
    struct mio_err err = {0};
    struct mio_str text;
    if (mio_fs_read(f->arena, f->path, MAX_BYTES, &text, NULL, &err))
        return mio_diags_add(diags, MIO_ERROR, &err);
    MIO_PUSH(f->arena, sources->items, sources->n, sources->cap) =
        (struct mio_source){.path = shown(f), .text = text};
    f->root = mio_yaml_parse(f->arena, sources, (uint32_t)sources->n, true, diags);
    if (!f->root)
        return MIO_TEMPLATE;
    if (f->root->type != MIO_NODE_MAP)
        return mio_diags_error(diags, MIO_TEMPLATE, f->root->pos, NULL, "a test file is a mapping");
    check_keys(f->root, "a test file", file_keys, sizeof file_keys / sizeof *file_keys, diags);
    want(f->root, "variables", MIO_NODE_MAP, "a mapping", diags);
    want(f->root, "run", MIO_NODE_SEQ, "a list of steps", diags);
    const struct mio_node *run = mio_node_get(f->root, "run");
    if (!run)
        mio_diags_error(diags, MIO_TEMPLATE, f->root->pos,
                        "Write run: [{ name: ..., assert: [...] }].",
                        "a test file needs steps under `run`");
    for (size_t i = 0; run && run->type == MIO_NODE_SEQ && i < run->n; i++)
        check_step(run->items[i], diags);
    if (run && run->type == MIO_NODE_SEQ && !diags->errors)
        check_names(run, diags);
    return diags->errors ? MIO_TEMPLATE : MIO_OK;
}

/* ---- one step ---- */

static struct mio_value earlier(const struct file *f)
{
    struct mio_pair *copy = MIO_NEW_N(f->arena, struct mio_pair, f->noutputs + 1);
    if (f->noutputs)
        memcpy(copy, f->outputs, f->noutputs * sizeof *copy);
    return mio_map(copy, f->noutputs);
}

/* Variables of a step may refer to `run.NAME.output` and path.temp, and to nothing else. */
static enum mio_code lookup(void *arg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err)
{
    struct file *f = arg;
    if (mio_str_is(ref->root, "run")) {
        *out = earlier(f);
        *used = 0;
        return MIO_OK;
    }
    if (mio_str_is(ref->root, "path") && ref->n &&
        mio_str_is(mio_value_str(ref->steps[0].value), "temp")) {
        *out = mio_string(f->temp);
        *used = 1;
        return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "%.*s means nothing here", MIO_FMT(ref->root));
    mio_err_hint(err, "Variables of a test may refer to run.NAME.output and path.temp.");
    return mio_err_at(err, ref->pos);
}

static enum mio_code take_values(struct step *s, const struct mio_node *map, struct mio_err *err)
{
    struct mio_scope scope = {.arena = s->f->arena,
                              .lookup = lookup,
                              .arg = s->f,
                              .now = mio_wall_s(),
                              .dir = s->f->o->engine->dir};
    struct mio_value v;
    if (!map)
        return MIO_OK;
    if (mio_node_eval(map, &scope, &v, err))
        return err->code;
    s->values = mio_map_merge(s->f->arena, s->values, v);
    return MIO_OK;
}

static enum mio_code open_engine(struct file *f, const struct step *s, struct mio_engine **e,
                                 struct mio_diags **diags, struct mio_sources **sources)
{
    struct mio_engine_opts eo = *f->o->engine;
    eo.state_dir =
        mio_arena_printf(f->arena, "%.*s/state-%.*s", MIO_FMT(f->temp), MIO_FMT(s->stage)).p;
    eo.stage = mio_arena_z(f->arena, s->stage);
    eo.temp_dir = f->temp.p;
    eo.overlay = f->path;
    eo.values = s->values;
    eo.step = s->at;
    eo.lock = eo.durable_folder = true;
    eo.read_only = false;
    return mio_engine_open(&eo, e, diags, sources);
}

static void remember_use(struct file *f, const struct step *s)
{
    for (size_t i = 0; i < f->nused; i++) {
        if (!mio_str_eq(f->used[i].stage, s->stage))
            continue;
        f->used[i].values = s->values;
        return;
    }
    MIO_PUSH(f->arena, f->used, f->nused, f->used_cap) = (struct used){s->stage, s->values};
}

static void remember_outputs(struct step *s, struct mio_value outputs)
{
    struct mio_pair *one = MIO_NEW(s->f->arena, struct mio_pair);
    *one = (struct mio_pair){MIO_STR("output"), mio_value_copy(s->f->arena, outputs)};
    MIO_PUSH(s->f->arena, s->f->outputs, s->f->noutputs, s->f->outputs_cap) =
        (struct mio_pair){s->name, mio_map(one, 1)};
}

static void assert_one(struct mio_engine *e, const struct mio_node *rule, struct mio_value extra)
{
    struct mio_diags *diags = mio_engine_diags(e);
    const struct mio_node *cond = mio_node_get(rule, "condition"),
                          *text = mio_node_get(rule, "error");
    struct mio_err err = {0}, ignored = {0};
    struct mio_value ok, said;
    if (mio_engine_eval_node(e, cond, extra, &ok, &err) || mio_to_bool(ok, &ok, &err)) {
        mio_err_at(&err, cond->pos);
    } else if (mio_is_null(ok)) {
        mio_fail(&err, MIO_TEMPLATE, "the condition is null, not true or false");
        mio_err_at(&err, cond->pos);
    } else if (ok.type != MIO_BOOL) {
        mio_fail(&err, MIO_TEMPLATE, "the condition depends on what is known only after apply");
        mio_err_hint(&err, "Use `command: apply` in this step.");
        mio_err_at(&err, cond->pos);
    } else if (!ok.b) {
        if (!text || mio_engine_eval_node(e, text, extra, &said, &ignored) ||
            said.type != MIO_STRING || mio_is_sensitive(said))
            said = mio_string_z("the condition does not hold");
        mio_fail(&err, MIO_TEMPLATE, "assertion failed: %.*s", MIO_FMT(mio_value_str(said)));
        mio_err_at(&err, cond->pos);
    } else {
        return;
    }
    mio_diags_add(diags, MIO_ERROR, &err);
}

static void assert_all(struct step *s, struct mio_engine *e)
{
    struct mio_value outputs = mio_engine_outputs(e);
    struct mio_pair extra[] = {{MIO_STR("output"), outputs}, {MIO_STR("run"), earlier(s->f)}};
    struct mio_value roots = mio_map(extra, 2);
    /* The nodes of the engine's own reading: their positions belong to its sources. */
    const struct mio_node *run = mio_node_get(mio_engine_template(e)->overlay, "run");
    const struct mio_node *list = mio_node_get(run->items[s->at], "assert");
    for (size_t i = 0; list && i < list->n; i++)
        assert_one(e, list->items[i], roots);
    remember_outputs(s, outputs);
}

/* Assertions that failed, and checks, and nothing worse? */
static bool only_failures(const struct mio_diags *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i].severity == MIO_ERROR && !mio_is_of_check(&d->items[i].err) &&
            !mio_str_starts(mio_str_z(d->items[i].err.message), "assertion failed"))
            return false;
    return true;
}

static enum mio_code plan_and_apply(struct step *s, struct mio_engine *e, enum mio_plan_mode mode,
                                    const struct mio_plan **plan)
{
    struct mio_plan_opts po = {.mode = mode, .refresh = true};
    enum mio_code rc = mio_engine_plan(e, &po, plan);
    struct mio_apply_result done;
    if (rc || !s->apply)
        return rc;
    remember_use(s->f, s);
    return mio_engine_apply(e, &done);
}

/* Where the failure that was expected left nothing to look at. */
static void refuse_asserts(const struct mio_node *step, struct mio_diags *diags)
{
    const struct mio_node *list = mio_node_get(step, "assert");
    if (list && list->n)
        mio_diags_error(diags, MIO_TEMPLATE, list->pos, "Put them into a step of their own.",
                        "the step failed, as it says: its assertions have nothing to look at");
}

static enum mio_test_status judge(struct step *s, struct mio_engine *e, struct mio_diags *diags)
{
    const struct mio_plan *plan = NULL;
    const struct mio_template *t = mio_engine_template(e);
    enum mio_code rc = plan_and_apply(s, e, MIO_PLAN_NORMAL, &plan);
    const struct mio_node *run = mio_node_get(t->overlay, "run");
    const struct mio_node *list = mio_node_get(run->items[s->at], "expect_failures");
    bool done = rc == MIO_OK && !diags->errors;
    if (!list && !done)
        return MIO_TEST_ERROR;
    mio_expected(list, t, diags);
    if (done)
        assert_all(s, e);
    else
        refuse_asserts(run->items[s->at], diags);
    return !diags->errors                 ? MIO_TEST_PASS
           : list || only_failures(diags) ? MIO_TEST_FAIL
                                          : MIO_TEST_ERROR;
}

static void tell(struct file *f, struct mio_test_step *r, int64_t since)
{
    r->elapsed_s = (double)(mio_now_ms() - since) / 1000.0;
    f->o->on_step(f->o->arg, r);
}

static void run_step(struct step *s, struct mio_sources *file_sources, struct mio_diags *file_diags)
{
    struct file *f = s->f;
    struct mio_test_step r = {
        .name = s->name, .diags = file_diags, .sources = file_sources, .status = MIO_TEST_ERROR};
    struct mio_engine *e = NULL;
    struct mio_diags *diags;
    struct mio_sources *sources;
    struct mio_err err = {0};
    int64_t since = mio_now_ms();
    if (take_values(s, mio_node_get(f->root, "variables"), &err) ||
        take_values(s, mio_node_get(s->node, "variables"), &err)) {
        mio_diags_add(file_diags, MIO_ERROR, &err);
    } else {
        enum mio_code rc = open_engine(f, s, &e, &diags, &sources);
        r.diags = diags;
        r.sources = sources;
        if (rc == MIO_OK)
            r.status = judge(s, e, diags);
    }
    f->broken |= r.status == MIO_TEST_ERROR;
    tell(f, &r, since);
    mio_engine_close(e);
}

/* Everything goes, whatever the steps came to. An interrupt does not stop this, a second one does.
 */
static bool tear_down(struct file *f, const struct used *u)
{
    struct step s = {.f = f, .stage = u->stage, .values = u->values, .apply = true};
    struct mio_engine *e = NULL;
    struct mio_diags *diags;
    struct mio_sources *sources;
    const struct mio_plan *plan;
    int64_t since = mio_now_ms();
    enum mio_code rc = open_engine(f, &s, &e, &diags, &sources);
    if (!rc)
        rc = plan_and_apply(&s, e, MIO_PLAN_DESTROY, &plan);
    if (rc) {
        struct mio_err err = {0};
        struct mio_test_step r = {.name = MIO_STR("(destroy)"),
                                  .status = MIO_TEST_ERROR,
                                  .teardown = true,
                                  .diags = diags,
                                  .sources = sources};
        mio_fail(&err, MIO_REALITY, "what the test made could not be destroyed");
        mio_err_hint(&err, "Its state is kept in %.*s; destroy it with -state-dir=%.*s/state-%.*s.",
                     MIO_FMT(f->temp), MIO_FMT(f->temp), MIO_FMT(u->stage));
        mio_diags_add(diags, MIO_ERROR, &err);
        tell(f, &r, since);
    }
    mio_engine_close(e);
    return rc == MIO_OK;
}

static bool selected(const struct mio_test_opts *o, struct mio_str name)
{
    for (size_t i = 0; i < o->nfilters; i++)
        if (mio_str_is(name, o->filters[i]))
            return true;
    return o->nfilters == 0;
}

static void run_steps(struct file *f, struct mio_sources *sources, struct mio_diags *diags)
{
    const struct mio_node *run = mio_node_get(f->root, "run");
    for (size_t i = 0; i < run->n; i++) {
        const struct mio_node *n = run->items[i], *command = mio_node_get(n, "command");
        const struct mio_node *stage = mio_node_get(n, "stage");
        struct step s = {.f = f,
                         .node = n,
                         .at = i,
                         .name = mio_node_get(n, "name")->text,
                         .stage = stage ? stage->text : mio_str_z(f->o->engine->stage),
                         .apply = !command || mio_str_is(command->text, "apply"),
                         .values = mio_map(NULL, 0)};
        bool stopped =
            f->o->engine->interrupt && __atomic_load_n(f->o->engine->interrupt, __ATOMIC_RELAXED);
        if (!f->broken && !stopped && selected(f->o, s.name)) {
            run_step(&s, sources, diags);
            continue;
        }
        struct mio_test_step r = {
            .name = s.name, .status = MIO_TEST_SKIP, .diags = diags, .sources = sources};
        if (f->o->nfilters == 0 || selected(f->o, s.name))
            f->o->on_step(f->o->arg, &r);
    }
}

enum mio_code mio_test_file(struct mio_arena *a, const char *path, const struct mio_test_opts *o,
                            struct mio_sources *sources, struct mio_diags *diags)
{
    static const bool never = false;
    struct mio_engine_opts calm = *o->engine;
    struct mio_test_opts last = *o;
    struct file f = {.arena = a, .o = o, .path = path};
    struct mio_err err = {0};
    const char *base = getenv("TMPDIR");
    if (read_file(&f, sources, diags))
        return MIO_TEMPLATE;
    struct mio_str name =
        mio_arena_printf(a, "%s/mlops-iac-test-XXXXXX", base && *base == '/' ? base : "/tmp");
    char *temp = mio_arena_z(a, name);
    if (!mkdtemp(temp)) {
        mio_fail_sys(&err, errno, "cannot make a folder for the test");
        return mio_diags_add(diags, MIO_ERROR, &err);
    }
    f.temp = mio_str_z(temp);
    run_steps(&f, sources, diags);
    calm.interrupt = &never;
    last.engine = &calm;
    f.o = &last;
    bool clean = true;
    for (size_t i = f.nused; i-- > 0;)
        clean = tear_down(&f, &f.used[i]) && clean;
    if (clean)
        mio_fs_remove_tree(temp, &err);
    return MIO_OK;
}
