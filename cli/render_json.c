/* cli/render_json.c: a plan as JSON, with the keys of Terraform's plan format 1.2. What is ours
 * alone stands under "mlops_iac". */
#include "cli/render_json.h"
#include "cli/module_tree.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/map.h"

/* ---- values ---- */

void mio_json_known(struct mio_jout *j, struct mio_value v)
{
    if (!mio_has_unknown(v) && !j->pretty) {
        mio_jout_value(j, v);
    } else if (v.type == MIO_LIST && !mio_is_sensitive(v)) {
        mio_jout_open(j, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            mio_jout_item(j);
            mio_json_known(j, v.items[i]);
        }
        mio_jout_close(j, ']');
    } else if (v.type == MIO_MAP && !mio_is_sensitive(v)) {
        mio_jout_open(j, '{');
        for (uint32_t i = 0; i < v.n; i++) {
            if (v.pairs[i].value.type == MIO_UNKNOWN)
                continue;
            mio_jout_key_str(j, v.pairs[i].key);
            mio_json_known(j, v.pairs[i].value);
        }
        mio_jout_close(j, '}');
    } else {
        mio_jout_value(j, v);
    }
}

/* true where the question says so, and the way there; false or {} where nothing is. */
static void put_marks(struct mio_jout *j, struct mio_value v, bool (*here)(struct mio_value),
                      bool (*inside)(struct mio_value))
{
    if (here(v)) {
        mio_jout_bool(j, true);
    } else if (v.type == MIO_MAP) {
        mio_jout_open(j, '{');
        for (uint32_t i = 0; i < v.n; i++) {
            if (!inside(v.pairs[i].value))
                continue;
            mio_jout_key_str(j, v.pairs[i].key);
            put_marks(j, v.pairs[i].value, here, inside);
        }
        mio_jout_close(j, '}');
    } else if (v.type == MIO_LIST && inside(v)) {
        mio_jout_open(j, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            mio_jout_item(j);
            put_marks(j, v.items[i], here, inside);
        }
        mio_jout_close(j, ']');
    } else {
        mio_jout_bool(j, false);
    }
}

static bool is_unknown(struct mio_value v)
{
    return v.type == MIO_UNKNOWN;
}

static void put_unknown(struct mio_jout *j, const char *key, struct mio_value v)
{
    mio_jout_key(j, key);
    put_marks(j, v, is_unknown, mio_has_unknown);
}

void mio_json_sensitive(struct mio_jout *j, struct mio_value v)
{
    put_marks(j, v, mio_is_sensitive, mio_has_sensitive);
}

static void put_sensitive(struct mio_jout *j, const char *key, struct mio_value v)
{
    mio_jout_key(j, key);
    mio_json_sensitive(j, v);
}

static void put_object_type(struct mio_jout *j, struct mio_value v)
{
    mio_jout_open(j, '{');
    for (uint32_t i = 0; i < v.n; i++) {
        mio_jout_key_str(j, v.pairs[i].key);
        mio_json_type(j, v.pairs[i].value);
    }
    mio_jout_close(j, '}');
}

void mio_json_type(struct mio_jout *j, struct mio_value v)
{
    static const char *const simple[] = {
        [MIO_NULL] = "dynamic",  [MIO_BOOL] = "bool",       [MIO_NUMBER] = "number",
        [MIO_STRING] = "string", [MIO_UNKNOWN] = "dynamic",
    };
    bool container = v.type == MIO_LIST || v.type == MIO_MAP;
    if (!container || mio_is_sensitive(v)) {
        mio_jout_str(j, mio_str_z(container ? "dynamic" : simple[v.type]));
        return;
    }
    mio_jout_open(j, '[');
    mio_jout_item(j);
    mio_jout_str(j, v.type == MIO_LIST ? MIO_STR("tuple") : MIO_STR("object"));
    mio_jout_item(j);
    if (v.type == MIO_MAP) {
        put_object_type(j, v);
    } else {
        mio_jout_open(j, '[');
        for (uint32_t i = 0; i < v.n; i++) {
            mio_jout_item(j);
            mio_json_type(j, v.items[i]);
        }
        mio_jout_close(j, ']');
    }
    mio_jout_close(j, ']');
}

void mio_json_actions(struct mio_jout *j, enum mio_action action)
{
    static const char *const words[][2] = {
        [MIO_NOOP] = {"no-op"},    [MIO_READ] = {"read"},
        [MIO_CREATE] = {"create"}, [MIO_UPDATE] = {"update"},
        [MIO_DELETE] = {"delete"}, [MIO_REPLACE] = {"delete", "create"},
        [MIO_FORGET] = {"forget"}, [MIO_REPLACE_CREATE] = {"create", "delete"},
    };
    mio_jout_open(j, '[');
    for (size_t i = 0; i < 2 && words[action][i]; i++) {
        mio_jout_item(j);
        mio_jout_str(j, mio_str_z(words[action][i]));
    }
    mio_jout_close(j, ']');
}

void mio_json_path(struct mio_jout *j, struct mio_str path)
{
    mio_jout_open(j, '[');
    while (path.n) {
        ptrdiff_t dot = mio_str_find(path, '.');
        struct mio_str step = mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot);
        uint64_t index;
        mio_jout_item(j);
        if (mio_str_u64(step, &index))
            mio_jout_u64(j, index);
        else
            mio_jout_str(j, step);
        path = dot < 0 ? (struct mio_str){0} : mio_str_sub(path, (size_t)dot + 1, path.n);
    }
    mio_jout_close(j, ']');
}

/* ---- changes ---- */

static void put_identity(struct mio_jout *j, const struct mio_change *c)
{
    mio_jout_kstr(j, "address", c->address);
    if (c->previous_address.n)
        mio_jout_kstr(j, "previous_address", c->previous_address);
    if (c->module.n)
        mio_jout_kstr(j, "module_address", c->module);
    mio_jout_kz(j, "mode", c->is_data ? "data" : "managed");
    mio_jout_kstr(j, "type", c->kind);
    mio_jout_kstr(j, "name", c->name);
    if (!mio_is_null(c->key))
        mio_jout_kvalue(j, "index", c->key);
    if (c->deposed.n)
        mio_jout_kstr(j, "deposed", c->deposed);
    mio_jout_kstr(j, "provider_name", c->provider);
}

static void put_replace_paths(struct mio_jout *j, const struct mio_change *c)
{
    bool some = false;
    for (size_t i = 0; i < c->nattrs && !some; i++)
        some = c->attrs[i].replaces;
    if (!some)
        return;
    mio_jout_key(j, "replace_paths");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < c->nattrs; i++) {
        if (!c->attrs[i].replaces)
            continue;
        mio_jout_item(j);
        mio_json_path(j, c->attrs[i].path);
    }
    mio_jout_close(j, ']');
}

static void put_values(struct mio_jout *j, struct mio_value before, struct mio_value after)
{
    mio_jout_kvalue(j, "before", before);
    if (after.type != MIO_UNKNOWN) {
        mio_jout_key(j, "after");
        mio_json_known(j, after);
    }
    put_unknown(j, "after_unknown", after);
}

static void put_change(struct mio_jout *j, const struct mio_change *c)
{
    mio_jout_item(j);
    mio_jout_open(j, '{');
    put_identity(j, c);
    mio_jout_key(j, "change");
    mio_jout_open(j, '{');
    mio_jout_key(j, "actions");
    mio_json_actions(j, c->action);
    put_values(j, c->before, c->after);
    put_sensitive(j, "before_sensitive", c->before);
    put_sensitive(j, "after_sensitive", c->after);
    put_replace_paths(j, c);
    if (c->import_id.n) {
        mio_jout_key(j, "importing");
        mio_jout_open(j, '{');
        mio_jout_kstr(j, "id", c->import_id);
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, '}');
    if (c->reason != MIO_WHY_NONE)
        mio_jout_kz(j, "action_reason", mio_reason_name(c->reason));
    mio_jout_close(j, '}');
}

static void put_changes(struct mio_jout *j, const char *key, const struct mio_change *c, size_t n)
{
    mio_jout_key(j, key);
    mio_jout_open(j, '[');
    for (size_t i = 0; i < n; i++)
        put_change(j, &c[i]);
    mio_jout_close(j, ']');
}

/* ---- values before and after ---- */

static void put_resource(struct mio_jout *j, const struct mio_change *c, struct mio_value values)
{
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "address", c->address);
    mio_jout_kz(j, "mode", c->is_data ? "data" : "managed");
    mio_jout_kstr(j, "type", c->kind);
    mio_jout_kstr(j, "name", c->name);
    if (!mio_is_null(c->key))
        mio_jout_kvalue(j, "index", c->key);
    mio_jout_kstr(j, "provider_name", c->provider);
    mio_jout_ku64(j, "schema_version", c->schema ? c->schema->schema_version : 0);
    mio_jout_key(j, "values");
    mio_json_known(j, values);
    put_sensitive(j, "sensitive_values", values);
    mio_jout_close(j, '}');
}

static void put_after(struct mio_jout *j, const void *item)
{
    const struct mio_change *c = item;
    put_resource(j, c, c->after);
}

static void put_before(struct mio_jout *j, const void *item)
{
    const struct mio_change *c = item;
    put_resource(j, c, c->before);
}

static void put_output_value(struct mio_jout *j, const struct mio_output_change *o,
                             struct mio_value v)
{
    bool sensitive = o->sensitive || mio_is_sensitive(v);
    mio_jout_key_str(j, o->name);
    mio_jout_open(j, '{');
    mio_jout_kbool(j, "sensitive", sensitive);
    if (!mio_has_unknown(v)) {
        mio_jout_key(j, "type");
        mio_json_type(j, v);
        mio_jout_kvalue(j, "value", sensitive ? mio_sensitive(v) : v);
    }
    mio_jout_close(j, '}');
}

static void put_module_values(struct mio_jout *j, struct mio_arena *a, const struct mio_plan *p,
                              bool after)
{
    struct mio_module_item *items = MIO_NEW_N(a, struct mio_module_item, p->nchanges + 1);
    size_t n = 0;
    for (size_t i = 0; i < p->nchanges; i++) {
        const struct mio_change *c = &p->changes[i];
        struct mio_value v = after ? c->after : c->before;
        if (!mio_is_null(v) && !c->deposed.n && !(after && c->action == MIO_FORGET))
            items[n++] = (struct mio_module_item){.module = c->module, .item = c};
    }
    mio_jout_open(j, '{');
    mio_jout_key(j, "outputs");
    mio_jout_open(j, '{');
    for (size_t i = 0; i < p->noutputs; i++) {
        struct mio_value v = after ? p->outputs[i].after : p->outputs[i].before;
        if (p->outputs[i].action != (after ? MIO_DELETE : MIO_CREATE))
            put_output_value(j, &p->outputs[i], v);
    }
    mio_jout_close(j, '}');
    mio_jout_key(j, "root_module");
    mio_module_tree(j, a, items, n, after ? put_after : put_before);
    mio_jout_close(j, '}');
}

/* ---- the rest of the document ---- */

static void put_variables(struct mio_jout *j, struct mio_value vars)
{
    mio_jout_key(j, "variables");
    mio_jout_open(j, '{');
    for (uint32_t i = 0; vars.type == MIO_MAP && i < vars.n; i++) {
        mio_jout_key_str(j, vars.pairs[i].key);
        mio_jout_open(j, '{');
        mio_jout_kvalue(j, "value", vars.pairs[i].value);
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, '}');
}

static void put_output_changes(struct mio_jout *j, const struct mio_plan *p)
{
    mio_jout_key(j, "output_changes");
    mio_jout_open(j, '{');
    for (size_t i = 0; i < p->noutputs; i++) {
        const struct mio_output_change *o = &p->outputs[i];
        struct mio_value before = o->sensitive ? mio_sensitive(o->before) : o->before;
        struct mio_value after = o->sensitive ? mio_sensitive(o->after) : o->after;
        mio_jout_key_str(j, o->name);
        mio_jout_open(j, '{');
        mio_jout_key(j, "actions");
        mio_json_actions(j, o->action);
        put_values(j, mio_is_null(o->before) ? o->before : before,
                   mio_is_null(o->after) || mio_has_unknown(o->after) ? o->after : after);
        mio_jout_kbool(j, "before_sensitive", mio_has_sensitive(before));
        mio_jout_kbool(j, "after_sensitive", mio_has_sensitive(after));
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, '}');
}

static bool is_reference_to_resource(struct mio_str ref)
{
    static const char *const roots[] = {"var.",  "local.", "each.", "count.",
                                        "self.", "path.",  "stage."};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (mio_str_starts(ref, roots[i]))
            return false;
    }
    return mio_str_find(ref, '.') > 0;
}

/* Border between "kind.name[key]" (with data. or module. in front) and the attribute. */
static size_t reference_border(struct mio_str ref)
{
    size_t dots = 0, wanted = mio_str_starts(ref, "data.") ? 3 : 2;
    bool quoted = false;
    for (size_t i = 0; i < ref.n; i++) {
        if (ref.p[i] == '"')
            quoted = !quoted;
        else if (ref.p[i] == '.' && !quoted && ++dots == wanted)
            return i;
    }
    return ref.n;
}

static void put_relevant(struct mio_jout *j, struct mio_arena *a, const struct mio_plan *p)
{
    struct mio_index seen;
    mio_index_init(&seen, a, 64);
    mio_jout_key(j, "relevant_attributes");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < p->nchanges; i++) {
        for (size_t k = 0; k < p->changes[i].nattrs; k++) {
            const struct mio_diff_attr *d = &p->changes[i].attrs[k];
            for (size_t m = 0; m < d->ninputs; m++) {
                struct mio_str ref = d->inputs[m];
                if (!is_reference_to_resource(ref) || !mio_index_add(&seen, ref, 1))
                    continue;
                size_t border = reference_border(ref);
                mio_jout_item(j);
                mio_jout_open(j, '{');
                mio_jout_kstr(j, "resource", mio_str_sub(ref, 0, border));
                mio_jout_key(j, "attribute");
                mio_json_path(j, mio_str_sub(ref, border + 1, ref.n));
                mio_jout_close(j, '}');
            }
        }
    }
    mio_jout_close(j, ']');
}

static void put_check(struct mio_jout *j, const struct mio_check_result *c)
{
    MIO_AUTO_BUF display = {0};
    mio_buf_printf(&display, "%s.%.*s", c->blocks ? "policy" : "check", MIO_FMT(c->name));
    const char *status = c->unknown ? "unknown" : c->passed ? "pass" : "fail";
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_key(j, "address");
    mio_jout_open(j, '{');
    mio_jout_kz(j, "kind", c->blocks ? "policy" : "check");
    mio_jout_kstr(j, "name", c->name);
    mio_jout_kstr(j, "to_display", mio_buf_view(&display));
    mio_jout_close(j, '}');
    mio_jout_kz(j, "status", status);
    mio_jout_key(j, "instances");
    mio_jout_open(j, '[');
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_key(j, "address");
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "to_display", mio_buf_view(&display));
    mio_jout_close(j, '}');
    mio_jout_kz(j, "status", status);
    if (!c->passed && !c->unknown) {
        mio_jout_key(j, "problems");
        mio_jout_open(j, '[');
        mio_jout_item(j);
        mio_jout_open(j, '{');
        mio_jout_kstr(j, "message", c->message);
        mio_jout_close(j, '}');
        mio_jout_close(j, ']');
    }
    mio_jout_close(j, '}');
    mio_jout_close(j, ']');
    mio_jout_close(j, '}');
}

static void put_strings(struct mio_jout *j, const char *key, const struct mio_str *s, size_t n)
{
    mio_jout_key(j, key);
    mio_jout_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        mio_jout_item(j);
        mio_jout_str(j, s[i]);
    }
    mio_jout_close(j, ']');
}

static void put_ours(struct mio_jout *j, const struct mio_plan *p, struct mio_str digest)
{
    static const char *const modes[] = {[MIO_PLAN_NORMAL] = "normal",
                                        [MIO_PLAN_DESTROY] = "destroy",
                                        [MIO_PLAN_REFRESH_ONLY] = "refresh-only"};
    const struct mio_plan_binding *b = &p->binding;
    mio_jout_key(j, "mlops_iac");
    mio_jout_open(j, '{');
    mio_jout_kstr(j, "tool_version", b->tool_version);
    mio_jout_kz(j, "mode", modes[p->mode]);
    mio_jout_kstr(j, "stage", b->stage);
    mio_jout_kstr(j, "lineage", b->lineage);
    mio_jout_ku64(j, "serial", b->serial);
    mio_jout_kstr(j, "template_digest", b->template_digest);
    mio_jout_kstr(j, "variables_digest", b->variables_digest);
    mio_jout_kstr(j, "state_digest", b->state_digest);
    if (digest.n)
        mio_jout_kstr(j, "plan_digest", digest);
    char when[24];
    if (b->expires) {
        mio_rfc3339(b->expires, when);
        mio_jout_kz(j, "expires", when);
    }
    put_strings(j, "plugins", b->plugins, b->nplugins);
    put_strings(j, "targets", p->targets, p->ntargets);
    put_strings(j, "excludes", p->excludes, p->nexcludes);
    put_strings(j, "replaces", p->replaces, p->nreplaces);
    put_strings(j, "unchecked", p->unchecked, p->nunchecked);
    mio_jout_kbool(j, "refreshed", p->refreshed);
    mio_jout_close(j, '}');
}

static void put_head(struct mio_jout *j, const struct mio_plan *p)
{
    mio_jout_kz(j, "format_version", "1.2");
    mio_jout_kz(j, "terraform_version", MIO_VERSION);
    put_variables(j, p->variables);
}

void mio_plan_json(struct mio_buf *b, struct mio_arena *a, const struct mio_plan *p,
                   struct mio_str digest)
{
    struct mio_jout out = {.b = b}, *j = &out;
    char when[24];
    mio_jout_open(j, '{');
    put_head(j, p);
    mio_jout_key(j, "planned_values");
    put_module_values(j, a, p, true);
    put_changes(j, "resource_drift", p->drift, p->ndrift);
    put_changes(j, "resource_changes", p->changes, p->nchanges);
    put_output_changes(j, p);
    mio_jout_key(j, "prior_state");
    mio_jout_open(j, '{');
    mio_jout_kz(j, "format_version", "1.0");
    mio_jout_kz(j, "terraform_version", MIO_VERSION);
    mio_jout_key(j, "values");
    put_module_values(j, a, p, false);
    mio_jout_close(j, '}');
    mio_jout_key(j, "configuration");
    mio_jout_open(j, '{');
    mio_jout_key(j, "root_module");
    mio_jout_open(j, '{');
    mio_jout_close(j, '}');
    mio_jout_close(j, '}');
    put_relevant(j, a, p);
    mio_jout_key(j, "checks");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < p->nchecks; i++)
        put_check(j, &p->checks[i]);
    mio_jout_close(j, ']');
    mio_rfc3339(p->binding.created, when);
    mio_jout_kz(j, "timestamp", when);
    mio_jout_kbool(j, "applyable", !p->errored && mio_plan_has_changes(p));
    mio_jout_kbool(j, "complete", !p->errored && !p->ntargets && !p->nexcludes);
    mio_jout_kbool(j, "errored", p->errored);
    put_ours(j, p, digest);
    mio_jout_close(j, '}');
}
