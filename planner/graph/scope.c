/* planner/graph/scope.c: what a name in an expression stands for. See stack.h. */
#include "planner/graph/stack.h"

static const char *const fixed_roots[] = {"var",   "local", "stage",  "path", "each",
                                          "count", "self",  "module", "data"};

static struct mio_str step_name(const struct mio_ref *ref, size_t i)
{
    return i < ref->n ? mio_value_str(ref->steps[i].value) : MIO_STR("");
}

/* The nearest key of the module's index that begins with `prefix`, without the prefix. */
static struct mio_str suggest(struct mio_stack *st, const struct mio_modinst *m, const char *prefix,
                              struct mio_str word)
{
    struct mio_str *names = NULL, key;
    size_t n = 0, cap = 0, skip = strlen(prefix);
    for (size_t at = 0; mio_index_next(&m->index, &at, &key);)
        if (mio_str_starts(key, prefix))
            MIO_PUSH(st->arena, names, n, cap) = mio_str_sub(key, skip, SIZE_MAX);
    return mio_str_nearest(word, names, n);
}

static enum mio_code unknown_name(struct mio_scope_arg *s, const char *what, const char *prefix,
                                  struct mio_str name, struct mio_err *err)
{
    struct mio_str near = suggest(s->st, s->mod, prefix, name);
    mio_fail(err, MIO_TEMPLATE, "there is no %s \"%.*s\"", what, MIO_FMT(name));
    if (near.n)
        return mio_err_hint(err, "Did you mean %s%.*s?", prefix, MIO_FMT(near));
    return mio_err_hint(err, "Declare it in the template, or correct the name.");
}

struct item {
    struct mio_modinst *m;
    size_t i;
    /* of a variable's value: where it is written, or what it came with; NULL */
    const struct mio_node *from;
    const char *origin;
};

/* Evaluates a memo once, noting what it depended on, and hands that on to whoever asks. What was
 * unknown while planning is looked at again once things are being made. */
static enum mio_code
remember(struct mio_stack *st, struct mio_memo *memo, const char *what, struct mio_str name,
         enum mio_code (*make)(struct mio_stack *, void *, struct mio_value *, struct mio_err *),
         struct item *arg, struct mio_err *err)
{
    if (memo->visit == MIO_VISIT_BUSY)
        return mio_fail(err, MIO_TEMPLATE, "%s.%.*s refers to itself", what, MIO_FMT(name));
    if (memo->visit == MIO_VISIT_FAILED) {
        *err = err->code ? *err : *memo->err;
        return err->code;
    }
    if (memo->visit == MIO_VISIT_NEW || (!st->planning && mio_has_unknown(memo->value))) {
        struct mio_deps *outer = st->collect;
        struct mio_inst *self = st->self;
        memo->visit = MIO_VISIT_BUSY;
        st->collect = &memo->deps;
        st->self = NULL; /* it is the same for everyone who asks */
        st->kept++;
        enum mio_code rc = make(st, arg, &memo->value, err);
        st->collect = outer;
        st->self = self;
        memo->visit = rc ? MIO_VISIT_FAILED : MIO_VISIT_DONE;
        if (rc) {
            mio_err_address(err, mio_arena_printf(st->arena, "%.*s%s.%.*s", MIO_FMT(arg->m->prefix),
                                                  what, MIO_FMT(name)));
            struct mio_err *copy = MIO_NEW(st->arena, struct mio_err);
            *copy = *err;
            memo->err = copy;
            return rc;
        }
    }
    if (st->collect)
        mio_deps_merge(st, st->collect, &memo->deps);
    return MIO_OK;
}

static enum mio_code node_in(struct mio_stack *st, struct mio_modinst *m, const struct mio_node *n,
                             struct mio_value *out, struct mio_err *err)
{
    struct mio_scope_arg arg = {.st = st, .mod = m};
    struct mio_scope scope = mio_stack_scope(&arg);
    return mio_node_eval(n, &scope, out, err);
}

/* One {condition, error} rule; what cannot be said yet holds. */
static void check_rule(struct mio_stack *st, struct mio_modinst *m, const struct mio_node *rule,
                       enum mio_code code, const char *what, struct mio_str name,
                       struct mio_err *err)
{
    const struct mio_node *condition = mio_node_get(rule, "condition");
    const struct mio_node *message = mio_node_get(rule, "error");
    struct mio_value ok, text = mio_null();
    struct mio_err ignored = {0};
    if (!condition || node_in(st, m, condition, &ok, err))
        return;
    if (mio_is_null(ok))
        mio_fail(err, MIO_TEMPLATE, "the condition is null, not true or false");
    else if (mio_to_bool(ok, &ok, err) == MIO_OK && (ok.type != MIO_BOOL || ok.b))
        return;
    if (err->code) {
        mio_err_wrap(err, "%s \"%.*s\"", what, MIO_FMT(name));
    } else {
        if (!message || node_in(st, m, message, &text, &ignored) || text.type != MIO_STRING ||
            mio_is_sensitive(text))
            text = mio_string_z("the condition does not hold");
        mio_fail(err, code, "%s \"%.*s\": %.*s", what, MIO_FMT(name), MIO_FMT(mio_value_str(text)));
    }
    mio_err_at(err, condition->pos);
}

/* Every rule of a variable or an output; the first fault is the answer, the others are told. */
static enum mio_code holds(struct mio_stack *st, struct mio_modinst *m,
                           const struct mio_node *rules, enum mio_code code, const char *what,
                           struct mio_str name, struct mio_err *err)
{
    for (size_t k = 0; rules && k < rules->n; k++) {
        struct mio_err one = {0};
        check_rule(st, m, rules->items[k], code, what, name, err->code ? &one : err);
        if (one.code)
            mio_diags_add(st->diags, MIO_ERROR, &one);
    }
    return err->code;
}

static enum mio_code make_local(struct mio_stack *st, void *arg, struct mio_value *out,
                                struct mio_err *err)
{
    struct item *it = arg;
    return node_in(st, it->m, it->m->tpl->locals.items[it->i].value, out, err);
}

static enum mio_code make_output(struct mio_stack *st, void *arg, struct mio_value *out,
                                 struct mio_err *err)
{
    struct item *it = arg;
    const struct mio_output *o = &it->m->tpl->outputs.items[it->i];
    if (mio_stack_named(st, it->m, o->depends_on, st->collect, err) ||
        holds(st, it->m, o->precondition, MIO_TEMPLATE, "precondition failed for output", o->name,
              err) ||
        node_in(st, it->m, o->value, out, err))
        return err->code;
    if (o->sensitive) {
        *out = mio_sensitive(*out);
    } else if (it->m == st->root && mio_has_sensitive(*out)) {
        mio_fail(err, MIO_TEMPLATE, "output \"%.*s\" holds a sensitive value", MIO_FMT(o->name));
        mio_err_hint(err,
                     "Add `sensitive: true` to the output, or wrap the value in nonsensitive().");
        return mio_err_at(err, o->pos);
    }
    return MIO_OK;
}

/* A value given as text: by the variable's type, else as it stands. */
static enum mio_code from_text(struct mio_stack *st, const struct mio_variable *v,
                               const struct mio_var_input *in, struct mio_value *out,
                               struct mio_err *err)
{
    struct mio_str type = v->type ? mio_typespec_name(st->arena, v->type) : MIO_STR("any");
    if (mio_str_is(type, "string") || mio_str_is(type, "any")) {
        *out = mio_string(in->text);
        return MIO_OK;
    }
    if (mio_str_is(type, "number") || mio_str_is(type, "bool")) {
        *out = mio_string(in->text);
        return MIO_OK; /* the conversion that follows checks it */
    }
    struct mio_diags diags;
    mio_diags_init(&diags, st->arena);
    const struct mio_expr *e = mio_expr_parse(st->arena, in->text, (struct mio_pos){0}, &diags);
    struct mio_scope none = {.arena = st->arena, .pure = true};
    if (!e) {
        mio_fail(err, MIO_USAGE, "%s: the value of %.*s is not a valid %.*s: %s", in->origin,
                 MIO_FMT(v->name), MIO_FMT(type), diags.n ? diags.items[0].err.message : "");
        return mio_err_hint(err,
                            "Write it as in a template, for example -var 'names=[\"a\", \"b\"]'.");
    }
    return mio_expr_eval(e, &none, out, err);
}

static const struct mio_var_input *given(const struct mio_stack *st, struct mio_str name)
{
    for (size_t i = st->nvars; i-- > 0;)
        if (mio_str_eq(st->vars[i].name, name))
            return &st->vars[i];
    return NULL;
}

/* Key and value of an instance that stands for those that nobody knows yet. */
static void stand_in(const struct mio_node *for_each, const struct mio_node *count,
                     struct mio_value *key, struct mio_value *each)
{
    if (for_each)
        *key = mio_unknown(MIO_STRING), *each = mio_unknown(MIO_UNKNOWN);
    else if (count)
        *key = mio_unknown(MIO_NUMBER);
}

/* Root variables come from outside, a module's from its call. */
static enum mio_code raw_variable(struct mio_stack *st, struct item *it, struct mio_value *out,
                                  struct mio_err *err)
{
    const struct mio_variable *v = &it->m->tpl->variables.items[it->i];
    const struct mio_node *node = NULL;
    struct mio_modinst *where = it->m;
    if (it->m->parent) {
        const struct mio_node *inputs = it->m->call->inputs;
        const struct mio_entry *e = inputs ? mio_node_entry(inputs, v->name) : NULL;
        node = e ? e->value : NULL;
        where = node ? it->m->parent : it->m;
    } else {
        const struct mio_var_input *in = given(st, v->name);
        it->origin = in ? in->origin : NULL;
        if (in && !in->node)
            return from_text(st, v, in, out, err);
        node = in ? in->node : NULL;
    }
    if (!node)
        node = v->dflt;
    it->from = node;
    if (!node && st->validating && !it->m->parent) {
        *out = mio_unknown(MIO_UNKNOWN);
        return MIO_OK;
    }
    if (!node) {
        mio_fail(err, MIO_USAGE, "the variable \"%.*s\" has no value", MIO_FMT(v->name));
        mio_err_hint(err,
                     it->m->parent ? "Give it under `inputs:` of the module call."
                                   : "Give it with -var '%.*s=...', -var-file, or a default.",
                     MIO_FMT(v->name));
        return mio_err_at(err, it->m->parent ? it->m->call->pos : v->pos);
    }
    struct mio_inst call = {.key = it->m->key, .each = it->m->each};
    if (it->m->stand_in)
        stand_in(it->m->call->for_each, it->m->call->count, &call.key, &call.each);
    st->self = where != it->m ? &call : NULL; /* each and count of the module call */
    enum mio_code rc = node_in(st, where, node, out, err);
    st->self = NULL;
    return rc;
}

static enum mio_code make_variable(struct mio_stack *st, void *arg, struct mio_value *out,
                                   struct mio_err *err)
{
    struct item *it = arg;
    const struct mio_variable *v = &it->m->tpl->variables.items[it->i];
    struct mio_value raw;
    if (raw_variable(st, it, &raw, err))
        return err->code;
    if (mio_is_null(raw) && v->not_nullable && v->dflt && node_in(st, it->m, v->dflt, &raw, err))
        return err->code;
    if (mio_is_null(raw) && v->not_nullable) {
        mio_fail(err, MIO_USAGE, "variable \"%.*s\" cannot be null", MIO_FMT(v->name));
        return mio_err_at(err, it->from ? it->from->pos : v->pos);
    }
    if (v->type && !mio_is_null(raw) && mio_typespec_convert(st->arena, v->type, raw, &raw, err)) {
        const struct mio_node *at =
            it->from ? mio_node_at(it->from, mio_str_z(err->message)) : NULL;
        mio_err_wrap(err, "variable \"%.*s\"%s%s%s", MIO_FMT(v->name), it->origin ? " (" : "",
                     it->origin ? it->origin : "", it->origin ? ")" : "");
        return mio_err_at(err, at ? at->pos : v->pos);
    }
    *out = v->sensitive || v->ephemeral ? mio_sensitive(raw) : raw;
    /* Validation may refer to the variable itself: it counts as known from here on. */
    it->m->variables[it->i].value = *out;
    it->m->variables[it->i].visit = MIO_VISIT_DONE;
    return holds(st, it->m, v->validation, MIO_USAGE, "invalid value for variable", v->name, err);
}

enum mio_code mio_stack_variable(struct mio_stack *st, struct mio_modinst *m, size_t i,
                                 struct mio_value *out, struct mio_err *err)
{
    struct item it = {.m = m, .i = i};
    if (remember(st, &m->variables[i], "var", m->tpl->variables.items[i].name, make_variable, &it,
                 err))
        return err->code;
    *out = m->variables[i].value;
    return MIO_OK;
}

enum mio_code mio_stack_output(struct mio_stack *st, struct mio_modinst *m, size_t i,
                               struct mio_value *out, struct mio_err *err)
{
    struct item it = {.m = m, .i = i};
    if (remember(st, &m->outputs[i], "output", m->tpl->outputs.items[i].name, make_output, &it,
                 err))
        return err->code;
    *out = m->outputs[i].value;
    return MIO_OK;
}

/* The position that the module's index gives for "HEAD.NAME", behind `prefix`. */
static bool find(const struct mio_modinst *m, struct mio_str head, struct mio_str name,
                 const char *prefix, uintptr_t *at)
{
    char key[512];
    size_t skip = strlen(prefix), n = skip + head.n + 1 + name.n;
    if (n > sizeof key)
        return false;
    memcpy(key, prefix, skip);
    memcpy(key + skip, head.p, head.n);
    key[skip + head.n] = '.';
    memcpy(key + skip + head.n + 1, name.p, name.n);
    return mio_index_get(&m->index, (struct mio_str){key, n}, at);
}

static enum mio_code named(struct mio_scope_arg *s, const struct mio_ref *ref,
                           struct mio_value *out, struct mio_err *err)
{
    bool local = mio_str_is(ref->root, "local");
    const char *prefix = local ? "local." : "var.";
    struct mio_str name = step_name(ref, 0);
    uintptr_t i;
    if (!find(s->mod, ref->root, name, "", &i))
        return unknown_name(s, local ? "local" : "variable", prefix, name, err);
    if (!local)
        return mio_stack_variable(s->st, s->mod, i, out, err);
    struct item it = {.m = s->mod, .i = i};
    if (remember(s->st, &s->mod->locals[i], "local", name, make_local, &it, err))
        return err->code;
    *out = s->mod->locals[i].value;
    return MIO_OK;
}

static void evaluate_module(struct mio_stack *st, struct mio_modinst *m)
{
    struct mio_value ignored;
    for (size_t i = 0; i < m->tpl->variables.n; i++) {
        struct mio_err err = {0};
        if (mio_stack_variable(st, m, i, &ignored, &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    for (size_t i = 0; i < m->tpl->locals.n; i++) {
        struct mio_err err = {0};
        struct item it = {.m = m, .i = i};
        if (remember(st, &m->locals[i], "local", m->tpl->locals.items[i].name, make_local, &it,
                     &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
    for (size_t i = 0; m->parent && i < m->tpl->outputs.n; i++) {
        struct mio_err err = {0};
        if (mio_stack_output(st, m, i, &ignored, &err))
            mio_diags_add(st->diags, MIO_ERROR, &err);
    }
}

void mio_stack_evaluate(struct mio_stack *st)
{
    evaluate_module(st, st->root);
    for (size_t i = 0; i < st->ncalls; i++)
        for (size_t k = 0; k < st->calls[i]->n; k++)
            evaluate_module(st, st->calls[i]->items[k]);
}

static enum mio_code instance_value(struct mio_stack *st, struct mio_inst *inst,
                                    struct mio_value *out, struct mio_err *err)
{
    if (st->collect)
        mio_deps_add(st, st->collect, inst);
    return st->value(st->arg, inst, out, err);
}

/* One instance by key; a key that is not there is an error that names those that are. */
static struct mio_inst *by_key(const struct mio_res *r, struct mio_value key)
{
    int64_t i;
    uintptr_t at;
    if (r->repetition == MIO_COUNT && mio_value_i64(key, &i))
        return i >= 0 && (uint64_t)i < r->n ? &r->insts[i] : NULL;
    if (r->repetition == MIO_FOR_EACH && mio_index_get(&r->keys, mio_value_str(key), &at))
        return &r->insts[at];
    return NULL;
}

static enum mio_code all_instances(struct mio_stack *st, struct mio_res *r, struct mio_value *out,
                                   struct mio_err *err)
{
    struct mio_value *items = MIO_NEW_N(st->arena, struct mio_value, r->n);
    for (size_t i = 0; i < r->n; i++)
        if (instance_value(st, &r->insts[i], &items[i], err))
            return err->code;
    if (r->repetition == MIO_COUNT) {
        *out = mio_list(items, r->n);
        return MIO_OK;
    }
    struct mio_pair *pairs = MIO_NEW_N(st->arena, struct mio_pair, r->n);
    for (size_t i = 0; i < r->n; i++)
        pairs[i] = (struct mio_pair){mio_value_str(r->insts[i].key), items[i]};
    *out = mio_map(pairs, r->n);
    return MIO_OK;
}

static enum mio_code resource(struct mio_scope_arg *s, const struct mio_ref *ref, struct mio_res *r,
                              size_t step, struct mio_value *out, size_t *used, struct mio_err *err)
{
    struct mio_stack *st = s->st;
    if (mio_stack_expand_res(st, r, err))
        return err->code;
    *used = step;
    if (r->repetition == MIO_DISABLED) {
        *out = mio_null();
        return MIO_OK;
    }
    if (r->stand_in) {
        *used = step + (step < ref->n);
        if (step < ref->n)
            return instance_value(st, &r->insts[0], out, err);
        *out = mio_unknown(r->block->count ? MIO_LIST : MIO_MAP);
        return MIO_OK;
    }
    if (r->repetition == MIO_ONE)
        return instance_value(st, &r->insts[0], out, err);
    if (step >= ref->n || !ref->steps[step].known || ref->steps[step].value.type == MIO_UNKNOWN)
        return all_instances(st, r, out, err);
    struct mio_value key = ref->steps[step].value;
    struct mio_inst *inst = by_key(r, key);
    if (!inst) {
        mio_fail(err, MIO_TEMPLATE, "%.*s.%.*s has no instance with the key %s%.*s%s",
                 MIO_FMT(r->block->kind), MIO_FMT(r->block->name),
                 key.type == MIO_STRING ? "\"" : "", MIO_FMT(mio_value_str(key)),
                 key.type == MIO_STRING ? "\"" : "");
        return mio_err_hint(err,
                            r->repetition == MIO_COUNT
                                ? "It uses count: the keys are numbers from 0 to %zu."
                                : "It uses for_each with %zu keys; use one of those.",
                            r->repetition == MIO_COUNT ? r->n - (r->n > 0) : r->n);
    }
    *used = step + 1;
    return instance_value(st, inst, out, err);
}

static enum mio_code module_outputs(struct mio_stack *st, struct mio_modinst *m,
                                    struct mio_value *out, struct mio_err *err)
{
    size_t n = m->tpl->outputs.n;
    struct mio_pair *pairs = MIO_NEW_N(st->arena, struct mio_pair, n);
    for (size_t i = 0; i < n; i++) {
        pairs[i].key = m->tpl->outputs.items[i].name;
        if (mio_stack_output(st, m, i, &pairs[i].value, err))
            return err->code;
    }
    *out = mio_map(pairs, n);
    return MIO_OK;
}

/* One module instance: an output that is named is asked for alone, because the others may depend on
 * whoever asks. */
static enum mio_code module_value(struct mio_stack *st, struct mio_modinst *m,
                                  const struct mio_ref *ref, size_t step, struct mio_value *out,
                                  size_t *used, struct mio_err *err)
{
    uintptr_t o;
    *used = step;
    if (ref->n <= step || !ref->steps[step].known)
        return module_outputs(st, m, out, err);
    struct mio_str name = step_name(ref, step);
    if (!find(m, MIO_STR("output"), name, "", &o)) {
        struct mio_scope_arg inner = {.st = st, .mod = m};
        return unknown_name(&inner, "output of that module", "output.", name, err);
    }
    *used = step + 1;
    return mio_stack_output(st, m, o, out, err);
}

static struct mio_modinst *module_at(const struct mio_modcall *c, struct mio_value key)
{
    for (size_t i = 0; i < c->n; i++)
        if (mio_equal(c->items[i]->key, key))
            return c->items[i];
    return NULL;
}

static enum mio_code no_module_key(const struct mio_modcall *c, struct mio_str name,
                                   struct mio_value key, struct mio_err *err)
{
    const char *quote = key.type == MIO_STRING ? "\"" : "";
    mio_fail(err, MIO_TEMPLATE, "module.%.*s has no instance with the key %s%.*s%s", MIO_FMT(name),
             quote, MIO_FMT(mio_value_str(key)), quote);
    if (c->repetition == MIO_COUNT)
        return mio_err_hint(err, "It uses count: the keys are numbers from 0 to %zu.",
                            c->n - (c->n > 0));
    return mio_err_hint(err, "It uses for_each with %zu keys; use one of those.", c->n);
}

static enum mio_code module_ref(struct mio_scope_arg *s, const struct mio_ref *ref,
                                struct mio_value *out, size_t *used, struct mio_err *err)
{
    struct mio_str name = step_name(ref, 0);
    uintptr_t at;
    if (!find(s->mod, ref->root, name, "", &at))
        return unknown_name(s, "module", "module.", name, err);
    struct mio_modcall *c = (struct mio_modcall *)at;
    if (c->visit == MIO_VISIT_BUSY) {
        mio_fail(err, MIO_TEMPLATE, "module.%.*s refers to itself", MIO_FMT(name));
        return mio_err_hint(err,
                            "Its count or for_each needs what only the module itself can say.");
    }
    if (mio_stack_unfold_module(s->st, c)) {
        err->reported = true;
        return mio_fail(err, MIO_TEMPLATE, "module.%.*s could not be unfolded", MIO_FMT(name));
    }
    *used = 1;
    if (c->stand_in && ref->n > 1)
        return module_value(s->st, c->items[0], ref, 2, out, used, err);
    if (c->stand_in) {
        *out = mio_unknown(c->call->count ? MIO_LIST : MIO_MAP);
        return MIO_OK;
    }
    if (c->repetition == MIO_ONE)
        return module_value(s->st, c->items[0], ref, 1, out, used, err);
    if (ref->n > 1 && ref->steps[1].known && ref->steps[1].value.type != MIO_UNKNOWN) {
        struct mio_modinst *m = module_at(c, ref->steps[1].value);
        if (!m)
            return no_module_key(c, name, ref->steps[1].value, err);
        return module_value(s->st, m, ref, 2, out, used, err);
    }
    struct mio_pair *pairs = MIO_NEW_N(s->st->arena, struct mio_pair, c->n);
    struct mio_value *items = MIO_NEW_N(s->st->arena, struct mio_value, c->n);
    for (size_t i = 0; i < c->n; i++) {
        if (module_outputs(s->st, c->items[i], &items[i], err))
            return err->code;
        pairs[i] = (struct mio_pair){mio_value_str(c->items[i]->key), items[i]};
    }
    *out = c->repetition == MIO_COUNT ? mio_list(items, c->n) : mio_map(pairs, c->n);
    return MIO_OK;
}

static bool is_key(struct mio_value key, enum mio_type type)
{
    return key.type == type || (key.type == MIO_UNKNOWN && key.hint == type);
}

/* each, count, self, path, stage: small things that one look settles. */
static enum mio_code context(struct mio_scope_arg *s, const struct mio_ref *ref,
                             struct mio_value *out, size_t *used, struct mio_err *err)
{
    struct mio_stack *st = s->st;
    struct mio_str name = step_name(ref, 0);
    const struct mio_inst *self = st->self;
    struct mio_value key = self ? self->key : mio_null(), each = self ? self->each : mio_null();
    *used = 1;
    if (self && self->res && self->res->stand_in)
        stand_in(self->res->block->for_each, self->res->block->count, &key, &each);
    if (mio_str_is(ref->root, "each") && is_key(key, MIO_STRING)) {
        if (mio_str_is(name, "key") || mio_str_is(name, "value")) {
            *out = mio_str_is(name, "key") ? key : each;
            return MIO_OK;
        }
        return mio_fail(err, MIO_TEMPLATE, "each has key and value, not \"%.*s\"", MIO_FMT(name));
    }
    if (mio_str_is(ref->root, "count") && is_key(key, MIO_NUMBER)) {
        if (!mio_str_is(name, "index"))
            return mio_fail(err, MIO_TEMPLATE, "count has index, not \"%.*s\"", MIO_FMT(name));
        *out = key;
        return MIO_OK;
    }
    if (mio_str_is(ref->root, "stage")) {
        if (!mio_str_is(name, "name"))
            return mio_fail(err, MIO_TEMPLATE, "stage has name, not \"%.*s\"", MIO_FMT(name));
        *out = mio_string(st->root->tpl->stage.n ? st->root->tpl->stage : MIO_STR("default"));
        return MIO_OK;
    }
    if (mio_str_is(ref->root, "path")) {
        bool module = mio_str_is(name, "module"), root = mio_str_is(name, "root");
        if (mio_str_is(name, "temp") && st->temp_dir) {
            *out = mio_string_z(st->temp_dir);
            return MIO_OK;
        }
        if (!module && !root && !mio_str_is(name, "cwd"))
            return mio_fail(err, MIO_TEMPLATE, "path has module, root and cwd, not \"%.*s\"",
                            MIO_FMT(name));
        *out = module ? mio_string(s->mod->tpl->dir)
               : root ? mio_string(st->root->tpl->dir)
                      : mio_string_z(st->chdir);
        return MIO_OK;
    }
    if (mio_str_is(ref->root, "self") && st->self_value) {
        *out = *st->self_value;
        *used = 0;
        return MIO_OK;
    }
    mio_fail(err, MIO_TEMPLATE, "%.*s means nothing here", MIO_FMT(ref->root));
    return mio_err_hint(err,
                        mio_str_is(ref->root, "each")    ? "each is there in blocks with for_each."
                        : mio_str_is(ref->root, "count") ? "count is there in blocks with count."
                                                         : "self is there in postconditions.");
}

static bool is_fixed_root(struct mio_str root)
{
    for (size_t i = 0; i < sizeof fixed_roots / sizeof *fixed_roots; i++)
        if (mio_str_is(root, fixed_roots[i]))
            return true;
    return false;
}

enum mio_code mio_scope_no_resource(struct mio_scope_arg *s, struct mio_str kind,
                                    struct mio_str name, bool data, struct mio_err *err)
{
    struct mio_str word = mio_arena_printf(s->st->arena, "%s%.*s.%.*s", data ? "data." : "",
                                           MIO_FMT(kind), MIO_FMT(name));
    struct mio_str *names = NULL, key;
    size_t n = 0, cap = 0;
    for (size_t at = 0; mio_index_next(&s->mod->index, &at, &key);)
        MIO_PUSH(s->st->arena, names, n, cap) = key;
    for (size_t i = 0; i < sizeof fixed_roots / sizeof *fixed_roots; i++)
        MIO_PUSH(s->st->arena, names, n, cap) =
            mio_arena_printf(s->st->arena, "%s.%.*s", fixed_roots[i], MIO_FMT(name));
    struct mio_str near = mio_str_nearest(word, names, n);
    if (name.n == 0)
        mio_fail(err, MIO_TEMPLATE, "there is nothing named \"%.*s\" here", MIO_FMT(kind));
    else
        mio_fail(err, MIO_TEMPLATE, "there is no resource %.*s in the template", MIO_FMT(word));
    if (near.n)
        return mio_err_hint(err, "Did you mean %.*s?", MIO_FMT(near));
    return mio_err_hint(err, "Declare it, or refer to one that the template has.");
}

static enum mio_code lookup(void *varg, const struct mio_ref *ref, struct mio_value *out,
                            size_t *used, struct mio_err *err)
{
    struct mio_scope_arg *s = varg;
    bool data = mio_str_is(ref->root, "data");
    enum mio_code rc;
    *used = 1;
    const struct mio_value *extra = s->extra ? mio_get(*s->extra, ref->root) : NULL;
    if (extra) {
        *out = *extra;
        *used = 0;
        return MIO_OK;
    }
    if (mio_str_is(ref->root, "var") || mio_str_is(ref->root, "local")) {
        rc = named(s, ref, out, err);
    } else if (mio_str_is(ref->root, "module")) {
        rc = module_ref(s, ref, out, used, err);
    } else if (data || !is_fixed_root(ref->root)) {
        struct mio_str kind = data ? step_name(ref, 0) : ref->root, name = step_name(ref, data);
        uintptr_t r;
        /* data is a kind of asset too: data.trips is a resource, data.KIND.NAME a lookup. */
        if (find(s->mod, kind, name, data ? "data." : "", &r))
            rc = resource(s, ref, (struct mio_res *)r, 1u + data, out, used, err);
        else if (data && find(s->mod, ref->root, kind, "", &r))
            rc = resource(s, ref, (struct mio_res *)r, 1, out, used, err);
        else
            rc = mio_scope_no_resource(s, kind, name, data, err);
    } else {
        rc = context(s, ref, out, used, err);
    }
    return rc ? mio_err_at(err, ref->pos) : MIO_OK;
}

static enum mio_code function(void *arg, struct mio_str provider, struct mio_str name,
                              struct mio_value args, struct mio_value *out, struct mio_err *err)
{
    const struct mio_stack *st = ((struct mio_scope_arg *)arg)->st;
    return st->function(st->function_arg, provider, name, args, out, err);
}

struct mio_scope mio_stack_scope(struct mio_scope_arg *arg)
{
    return (struct mio_scope){
        .arena = arg->st->arena,
        .lookup = lookup,
        .function = arg->st->function ? function : NULL,
        .arg = arg,
        .dir = arg->mod->tpl->dir.p,
        .planning = arg->st->planning,
        .now = arg->st->now,
    };
}
