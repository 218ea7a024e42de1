/* planner/template/azureml_check.c: one document against its table: known fields, types,
 * references, local paths. */
#include "planner/template/azureml_check.h"
#include "planner/template/load.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include <stdarg.h>

void mio_az_error(struct mio_az_check *c, struct mio_pos pos, const char *hint, const char *fmt,
                  ...)
{
    if (c->diags->errors >= MIO_TPL_MAX_ERRORS)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mio_diags_error(c->diags, MIO_TEMPLATE, pos, hint, "%s", text);
}

bool mio_az_text(const struct mio_node *n)
{
    return n && n->type == MIO_NODE_SCALAR && !n->expr && !mio_is_null(n->literal);
}

bool mio_az_has_expr(struct mio_str s)
{
    for (size_t i = 0; i + 2 < s.n; i++)
        if (s.p[i] == '$' && s.p[i + 1] == '{' && s.p[i + 2] == '{')
            return true;
    return false;
}

/* Known only later: an expression of ours or of Azure ML. */
static bool is_later(const struct mio_node *n)
{
    return n->type == MIO_NODE_SCALAR && (n->expr || mio_az_has_expr(n->text));
}

static bool is_null(const struct mio_node *n)
{
    return n->type == MIO_NODE_SCALAR && !n->expr && mio_is_null(n->literal);
}

static void wrong(struct mio_az_check *c, const struct mio_entry *e, const char *wanted)
{
    const struct mio_node *n = e->value;
    bool assigns = n->type == MIO_NODE_SCALAR && mio_str_find(n->text, '=') > 0 &&
                   !strcmp(wanted, "a mapping");
    mio_az_error(c, n->pos, assigns ? "write `key: value`, each on a line of its own" : NULL,
                 "`%.*s` must be %s, this is %s", MIO_FMT(e->key), wanted,
                 mio_tpl_node_word(e->value));
}

/* Scalars */

static bool is_number(const struct mio_node *n)
{
    return n->literal.type == MIO_NUMBER || mio_number_valid(n->text);
}

static bool whole(const struct mio_node *n)
{
    int64_t v;
    return is_number(n) &&
           mio_value_i64(n->literal.type == MIO_NUMBER ? n->literal : mio_number(n->text), &v);
}

/* Durations are seconds or ISO 8601 (PT5M, P1D). */
static bool is_duration(const struct mio_node *n)
{
    int64_t s;
    if (n->literal.type == MIO_NUMBER || mio_duration_s(n->text, &s))
        return true;
    bool digit = false;
    for (size_t i = 1; i < n->text.n; i++) {
        char ch = n->text.p[i];
        digit = digit || (ch >= '0' && ch <= '9');
        if (!strchr("0123456789.YMDTHSW", ch))
            return false;
    }
    return digit && n->text.p[0] == 'P';
}

/* Letter case and underscores do not count: LowPriority is low_priority. */
static bool same_word(struct mio_str a, struct mio_str b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a.n && a.p[i] == '_')
            i++;
        while (j < b.n && b.p[j] == '_')
            j++;
        if (i == a.n || j == b.n)
            return i == a.n && j == b.n;
        char x = a.p[i++], y = b.p[j++];
        x = x >= 'A' && x <= 'Z' ? (char)(x | 32) : x;
        y = y >= 'A' && y <= 'Z' ? (char)(y | 32) : y;
        if (x != y)
            return false;
    }
}

static void check_enum(struct mio_az_check *c, const struct mio_entry *e,
                       const struct mio_az_field *f)
{
    char known[300] = "one of";
    size_t used = strlen(known), n = 0;
    struct mio_str words[16], near;
    for (; f->words[n] && n < 16; n++) {
        words[n] = mio_str_z(f->words[n]);
        if (same_word(words[n], e->value->text))
            return;
        if (used + words[n].n + 3 < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s %s", n ? "," : "",
                                     f->words[n]);
    }
    near = mio_str_nearest(e->value->text, words, n);
    if (near.n)
        snprintf(known, sizeof known, "did you mean `%.*s`?", MIO_FMT(near));
    mio_az_error(c, e->value->pos, known, "`%.*s` cannot be `%.*s`", MIO_FMT(e->key),
                 MIO_FMT(e->value->text));
}

static void check_scalar(struct mio_az_check *c, const struct mio_entry *e,
                         const struct mio_az_field *f)
{
    const struct mio_node *n = e->value;
    bool scalar = mio_az_text(n);
    if (is_later(n) || (f->type == MIO_AZ_SCALAR && n->type == MIO_NODE_SCALAR))
        return;
    if (f->type == MIO_AZ_INT && !(scalar && whole(n)))
        wrong(c, e, "a whole number");
    else if (f->type == MIO_AZ_NUMBER && !(scalar && is_number(n)))
        wrong(c, e, "a number");
    else if (f->type == MIO_AZ_BOOL && !(scalar && n->literal.type == MIO_BOOL))
        wrong(c, e, "true or false");
    else if (f->type == MIO_AZ_DURATION && !(scalar && is_duration(n)))
        wrong(c, e, "a number of seconds or a duration like PT5M");
    else if (f->type == MIO_AZ_ENUM && scalar)
        check_enum(c, e, f);
    else if (f->type == MIO_AZ_SCALAR)
        wrong(c, e, "one value");
    else if (!scalar && !(n->type == MIO_NODE_SCALAR && f->type == MIO_AZ_TEXT))
        wrong(c, e, "a string");
}

/* References and paths */

static void check_local(struct mio_az_check *c, const struct mio_node *n, struct mio_str path)
{
    if (c->opts->no_paths || mio_str_find(path, '*') >= 0)
        return;
    struct mio_str full = mio_path_join(c->arena, c->opts->dir, path);
    if (mio_fs_exists(mio_arena_z(c->arena, full)))
        return;
    mio_az_error(c, n->pos, "local paths begin at the folder of the file they stand in",
                 "there is no file or folder %.*s", MIO_FMT(path));
}

static void check_reference(struct mio_az_check *c, const struct mio_node *n, bool local)
{
    struct mio_azureml_ref ref;
    const char *why = NULL;
    if (!mio_azureml_ref_parse(n->text, &ref, &why)) {
        mio_az_error(c, n->pos, why, "`%.*s` is no reference", MIO_FMT(n->text));
        return;
    }
    if (ref.form == MIO_AZUREML_FILE || (ref.form == MIO_AZUREML_PATH && local))
        check_local(c, n, ref.path);
}

static void check_ref(struct mio_az_check *c, const struct mio_entry *e,
                      const struct mio_az_field *f, const struct mio_az_scope *scope)
{
    const struct mio_node *n = e->value;
    if (n->type == MIO_NODE_MAP && f->table)
        mio_az_object(c, n, f->table, scope, false);
    else if (mio_az_text(n) && !is_later(n))
        check_reference(c, n, f->flags & MIO_AZ_LOCAL);
    else if (n->type == MIO_NODE_SEQ || is_null(n))
        wrong(c, e, f->table ? "a reference, or a mapping" : "a reference");
}

/* Mappings */

static void each(struct mio_az_check *c, const struct mio_entry *e, const struct mio_az_table *t,
                 const struct mio_az_scope *scope)
{
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_entry *item = &e->value->entries[i];
        if (item->value->type == MIO_NODE_MAP)
            mio_az_object(c, item->value, t, scope, false);
        else if (!is_null(item->value))
            wrong(c, item, "a mapping");
    }
}

static void items(struct mio_az_check *c, const struct mio_entry *e, const struct mio_az_table *t,
                  const struct mio_az_scope *scope)
{
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_node *item = e->value->items[i];
        if (item->type == MIO_NODE_MAP)
            mio_az_object(c, item, t, scope, false);
        else
            mio_az_error(c, item->pos, NULL, "each item of `%.*s` must be a mapping, this is %s",
                         MIO_FMT(e->key), mio_tpl_node_word(item));
    }
}

static void scalars(struct mio_az_check *c, const struct mio_entry *e)
{
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_node *n =
            e->value->type == MIO_NODE_MAP ? e->value->entries[i].value : e->value->items[i];
        if (n->type != MIO_NODE_SCALAR)
            mio_az_error(c, n->pos, NULL, "the values of `%.*s` must be plain, this is %s",
                         MIO_FMT(e->key), mio_tpl_node_word(n));
    }
}

/* Inputs and outputs of a job: name to nothing, a value, or {type, path, mode}. */
static void bindings(struct mio_az_check *c, const struct mio_entry *e)
{
    for (size_t i = 0; i < e->value->n; i++) {
        const struct mio_entry *in = &e->value->entries[i];
        const struct mio_node *n = in->value, *path = mio_node_get(n, "path");
        if (n->type == MIO_NODE_SEQ) {
            wrong(c, in, "a value, or a mapping of type, path and mode");
        } else if (n->type == MIO_NODE_SCALAR) {
            if (mio_az_text(n) && mio_str_starts(n->text, "azureml:"))
                check_reference(c, n, false);
        } else if (path) {
            if (path->type != MIO_NODE_SCALAR)
                mio_az_error(c, path->pos, NULL, "`path` must be a string, this is %s",
                             mio_tpl_node_word(path));
            else if (mio_az_text(path) && !is_later(path))
                check_reference(c, path, true);
        }
    }
}

/* {x: {type: uniform, ...}} or a list of such mappings; a value stands for itself. */
static void space(struct mio_az_check *c, const struct mio_entry *e)
{
    const struct mio_node *const *maps =
        e->value->type == MIO_NODE_SEQ ? e->value->items : &e->value;
    size_t n = e->value->type == MIO_NODE_SEQ ? e->value->n : 1;
    for (size_t i = 0; i < n; i++) {
        if (maps[i]->type != MIO_NODE_MAP) {
            wrong(c, e, "a mapping of parameters, or a list of them");
            return;
        }
        for (size_t k = 0; k < maps[i]->n; k++) {
            const struct mio_entry *p = &maps[i]->entries[k];
            if (p->value->type == MIO_NODE_MAP && !mio_node_get(p->value, "type"))
                mio_az_error(c, p->key_pos, "choice, uniform, loguniform, normal, randint, ...",
                             "the parameter `%.*s` needs a `type`", MIO_FMT(p->key));
        }
    }
}

static void expressions(struct mio_az_check *c, const struct mio_node *n,
                        const struct mio_az_scope *scope);

/* A job in line: by its type; {type, job: FILE, ...} runs one that lies elsewhere. */
static void runnable(struct mio_az_check *c, const struct mio_entry *e,
                     const struct mio_az_scope *scope)
{
    const struct mio_node *n = e->value, *job = mio_node_get(n, "job");
    if (mio_az_text(n) && !is_later(n)) {
        check_reference(c, n, true);
    } else if (job && mio_az_text(job)) {
        check_reference(c, job, true);
        expressions(c, n, scope);
    } else if (n->type == MIO_NODE_MAP) {
        const struct mio_node *type = mio_node_get(n, "type");
        const struct mio_az_table *t = mio_az_step(type ? type->text : (struct mio_str){0});
        struct mio_az_scope inner = mio_az_scope_of(n, scope);
        if (t)
            mio_az_object(c, n, t, &inner, false);
        else
            mio_az_error(c, type->pos, NULL, "there is no job of type `%.*s`", MIO_FMT(type->text));
    } else {
        wrong(c, e, "a job, or a reference to one");
    }
}

static bool is_shape(const struct mio_node *n, const struct mio_az_field *f)
{
    bool loose = (f->flags & MIO_AZ_LOOSE) && n->type == MIO_NODE_SCALAR;
    switch (f->type) {
    case MIO_AZ_LIST:
    case MIO_AZ_ITEMS:
        return n->type == MIO_NODE_SEQ || loose;
    case MIO_AZ_TEXTS:
    case MIO_AZ_OBJECT:
    case MIO_AZ_EACH:
    case MIO_AZ_MAP:
    case MIO_AZ_BINDINGS:
    case MIO_AZ_STEPS:
        return n->type == MIO_NODE_MAP || loose;
    case MIO_AZ_TEXT:
    case MIO_AZ_INT:
    case MIO_AZ_NUMBER:
    case MIO_AZ_BOOL:
    case MIO_AZ_SCALAR:
    case MIO_AZ_ENUM:
    case MIO_AZ_DURATION:
    case MIO_AZ_ANY:
    case MIO_AZ_PATH:
    case MIO_AZ_REF:
    case MIO_AZ_SPACE:
    case MIO_AZ_RUNNABLE:
        return true;
    }
    return true;
}

static void check_field(struct mio_az_check *c, const struct mio_entry *e,
                        const struct mio_az_field *f, const struct mio_az_scope *scope)
{
    const struct mio_node *n = e->value;
    bool collection = f->type != MIO_AZ_TEXT && !is_shape(n, f);
    if (collection) {
        if (!is_null(n) && !is_later(n))
            wrong(c, e, f->type == MIO_AZ_LIST || f->type == MIO_AZ_ITEMS ? "a list" : "a mapping");
        return;
    }
    switch (f->type) {
    case MIO_AZ_TEXT:
    case MIO_AZ_INT:
    case MIO_AZ_NUMBER:
    case MIO_AZ_BOOL:
    case MIO_AZ_SCALAR:
    case MIO_AZ_ENUM:
    case MIO_AZ_DURATION:
        check_scalar(c, e, f);
        break;
    case MIO_AZ_ANY:
    case MIO_AZ_MAP:
        break;
    case MIO_AZ_TEXTS:
    case MIO_AZ_LIST:
        if (n->type != MIO_NODE_SCALAR)
            scalars(c, e);
        break;
    case MIO_AZ_PATH:
        if (!mio_az_text(n) && !is_later(n))
            wrong(c, e, "a path or an address");
        else if (!is_later(n))
            check_reference(c, n, true);
        break;
    case MIO_AZ_REF:
        check_ref(c, e, f, scope);
        break;
    case MIO_AZ_OBJECT:
        if (n->type == MIO_NODE_MAP)
            mio_az_object(c, n, f->table, scope, false);
        break;
    case MIO_AZ_EACH:
        each(c, e, f->table, scope);
        break;
    case MIO_AZ_ITEMS:
        items(c, e, f->table, scope);
        break;
    case MIO_AZ_BINDINGS:
        bindings(c, e);
        break;
    case MIO_AZ_STEPS:
        mio_az_steps(c, n, scope);
        break;
    case MIO_AZ_SPACE:
        space(c, e);
        break;
    case MIO_AZ_RUNNABLE:
        runnable(c, e, scope);
        break;
    }
}

static void unknown(struct mio_az_check *c, const struct mio_entry *e, const struct mio_az_table *t)
{
    if (c->diags->errors >= MIO_TPL_MAX_ERRORS)
        return;
    struct mio_str *names = MIO_NEW_N(c->arena, struct mio_str, t->n), near;
    for (size_t i = 0; i < t->n; i++)
        names[i] = t->fields[i].name;
    near = mio_str_nearest(e->key, names, t->n);
    struct mio_str hint = mio_arena_printf(c->arena, "did you mean `%.*s`?", MIO_FMT(near));
    if (t->open)
        mio_diags_warn(c->diags, e->key_pos, near.n ? hint.p : NULL, "%s has no field `%.*s`",
                       t->what, MIO_FMT(e->key));
    else
        mio_az_error(c, e->key_pos, near.n ? hint.p : NULL, "%s has no field `%.*s`", t->what,
                     MIO_FMT(e->key));
}

/* Every ${{...}} below the node, but for the steps of a pipeline, which have a scope of their own.
 */
static void expressions(struct mio_az_check *c, const struct mio_node *n,
                        const struct mio_az_scope *scope)
{
    if (n->type == MIO_NODE_SCALAR) {
        if (!n->expr)
            mio_az_expressions(c, n, scope);
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        expressions(c, n->type == MIO_NODE_SEQ ? n->items[i] : n->entries[i].value, scope);
}

static bool walks_itself(const struct mio_az_field *f, const struct mio_node *n)
{
    switch (f->type) {
    case MIO_AZ_STEPS:
    case MIO_AZ_RUNNABLE:
        return n->type == MIO_NODE_MAP;
    case MIO_AZ_REF:
        return n->type == MIO_NODE_MAP && f->table;
    case MIO_AZ_OBJECT:
    case MIO_AZ_EACH:
        return n->type == MIO_NODE_MAP;
    case MIO_AZ_ITEMS:
        return n->type == MIO_NODE_SEQ;
    case MIO_AZ_TEXT:
    case MIO_AZ_INT:
    case MIO_AZ_NUMBER:
    case MIO_AZ_BOOL:
    case MIO_AZ_SCALAR:
    case MIO_AZ_ENUM:
    case MIO_AZ_DURATION:
    case MIO_AZ_ANY:
    case MIO_AZ_TEXTS:
    case MIO_AZ_LIST:
    case MIO_AZ_PATH:
    case MIO_AZ_MAP:
    case MIO_AZ_BINDINGS:
    case MIO_AZ_SPACE:
        return false;
    }
    return false;
}

void mio_az_object(struct mio_az_check *c, const struct mio_node *n, const struct mio_az_table *t,
                   const struct mio_az_scope *scope, bool root)
{
    for (size_t i = 0; i < n->n; i++) {
        const struct mio_entry *e = &n->entries[i];
        size_t k = 0;
        while (k < t->n && !mio_str_eq(t->fields[k].name, e->key))
            k++;
        if (k == t->n) {
            unknown(c, e, t);
            continue;
        }
        check_field(c, e, &t->fields[k], scope);
        if (!walks_itself(&t->fields[k], e->value))
            expressions(c, e->value, scope);
    }
    for (size_t k = 0; k < t->n; k++) {
        const struct mio_az_field *f = &t->fields[k];
        if (!(f->flags & (MIO_AZ_NEED | MIO_AZ_LATER)) || mio_node_entry(n, f->name))
            continue;
        if (f->flags & MIO_AZ_NEED)
            mio_az_error(c, n->pos, NULL, "%s needs `%.*s`", t->what, MIO_FMT(f->name));
        else if (root)
            MIO_PUSH(c->arena, c->missing, c->nmissing, c->missing_cap) = f->name.p;
    }
}
