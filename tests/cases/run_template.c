/* tests/cases/run_template.c: template directories to diagnostics or, when all is well, to what was
 * read.
 *
 * Files lie below the case's folder; the template is its .cloud/. Sections: `--- stage NAME`; `---
 * yaml TEXT` parses one text alone and prints the tree. */
#include "cli/render_diag.h"
#include "planner/template/azureml.h"
#include "planner/template/format.h"
#include "planner/template/template.h"
#include "providers/sdk/json.h"
#include "tests/cases/casefile.h"

static void put_node(struct mio_buf *b, const struct mio_node *n)
{
    if (n->type == MIO_NODE_SCALAR) {
        if (n->expr) {
            mio_buf_printf(b, "<%.*s @%u:%u>", MIO_FMT(n->text), mio_expr_pos(n->expr).line,
                           mio_expr_pos(n->expr).col);
        } else if (n->literal.type == MIO_NUMBER) {
            mio_buf_str(b, mio_value_str(n->literal));
        } else {
            mio_json_write(b, n->literal, MIO_JSON_PLAIN);
        }
        return;
    }
    bool map = n->type == MIO_NODE_MAP;
    mio_buf_char(b, map ? '{' : '[');
    for (size_t i = 0; i < n->n; i++) {
        if (i)
            mio_buf_z(b, ", ");
        if (map)
            mio_buf_printf(b, "%.*s: ", MIO_FMT(n->entries[i].key));
        put_node(b, map ? n->entries[i].value : n->items[i]);
    }
    mio_buf_char(b, map ? '}' : ']');
}

static void put(struct mio_buf *b, const char *word, const struct mio_node *n)
{
    if (!n)
        return;
    mio_buf_printf(b, " %s=", word);
    put_node(b, n);
}

static void put_blocks(struct mio_buf *b, const struct mio_template *t)
{
    for (size_t i = 0; i < t->blocks.n; i++) {
        const struct mio_block *k = &t->blocks.items[i];
        const struct mio_lifecycle *l = &k->lifecycle;
        mio_buf_printf(b, "%s%s%.*s.%.*s", k->azureml ? "azureml " : "", k->is_data ? "data." : "",
                       MIO_FMT(k->kind), MIO_FMT(k->name));
        put(b, "count", k->count);
        put(b, "for_each", k->for_each);
        put(b, "enabled", k->enabled);
        put(b, "depends_on", k->depends_on);
        put(b, "provider", k->provider);
        put(b, "timeouts", k->timeouts);
        mio_buf_printf(b, "%s%s%s%s", l->create_before_destroy ? " cbd" : "",
                       l->prevent_destroy ? " protected" : "", l->ignore_all ? " ignore_all" : "",
                       l->on_removed_forget ? " forget" : "");
        for (size_t j = 0; j < l->nignore; j++)
            mio_buf_printf(b, " ignore=%.*s", MIO_FMT(l->ignore_changes[j]));
        put(b, "triggers", l->replace_triggered_by);
        put(b, "pre", l->precondition);
        put(b, "post", l->postcondition);
        for (size_t j = 0; k->doc && j < k->doc->nedges; j++)
            mio_buf_printf(b, " %.*s>%.*s", MIO_FMT(k->doc->edges[j].from),
                           MIO_FMT(k->doc->edges[j].to));
        mio_buf_char(b, ' ');
        put_node(b, k->body);
        mio_buf_char(b, '\n');
    }
}

static void put_template(struct mio_arena *a, struct mio_buf *b, const struct mio_template *t);

static void put_declarations(struct mio_arena *a, struct mio_buf *b, const struct mio_template *t)
{
    if (t->required_version.n)
        mio_buf_printf(b, "needs %.*s\n", MIO_FMT(t->required_version));
    if (t->backend) {
        mio_buf_z(b, "backend ");
        put_node(b, t->backend);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->variables.n; i++) {
        const struct mio_variable *v = &t->variables.items[i];
        struct mio_str type = v->type ? mio_typespec_name(a, v->type) : MIO_STR("any");
        mio_buf_printf(b, "var %.*s %.*s%s%s%s", MIO_FMT(v->name), MIO_FMT(type),
                       v->sensitive ? " sensitive" : "", v->ephemeral ? " ephemeral" : "",
                       v->not_nullable ? " not_nullable" : "");
        put(b, "default", v->dflt);
        put(b, "validation", v->validation);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->auto_vars.n; i++) {
        put(b, "auto", t->auto_vars.items[i]);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->locals.n; i++) {
        mio_buf_printf(b, "local %.*s ", MIO_FMT(t->locals.items[i].name));
        put_node(b, t->locals.items[i].value);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->providers.n; i++) {
        const struct mio_provider_block *p = &t->providers.items[i];
        mio_buf_printf(b, "provider %.*s of %.*s", MIO_FMT(p->name), MIO_FMT(p->type));
        put(b, "config", p->config);
        mio_buf_char(b, '\n');
    }
}

static void put_rest(struct mio_buf *b, const struct mio_template *t)
{
    for (size_t i = 0; i < t->outputs.n; i++) {
        const struct mio_output *o = &t->outputs.items[i];
        mio_buf_printf(b, "output %.*s%s", MIO_FMT(o->name), o->sensitive ? " sensitive" : "");
        put(b, "value", o->value);
        put(b, "pre", o->precondition);
        put(b, "depends_on", o->depends_on);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->moved.n; i++)
        mio_buf_printf(b, "moved %.*s -> %.*s\n", MIO_FMT(t->moved.items[i].from),
                       MIO_FMT(t->moved.items[i].to));
    for (size_t i = 0; i < t->removed.n; i++)
        mio_buf_printf(b, "removed %.*s%s\n", MIO_FMT(t->removed.items[i].from),
                       t->removed.items[i].forget ? " forget" : "");
    for (size_t i = 0; i < t->imports.n; i++) {
        mio_buf_printf(b, "import %.*s", MIO_FMT(t->imports.items[i].to));
        put(b, "id", t->imports.items[i].id);
        put(b, "for_each", t->imports.items[i].for_each);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->checks.n; i++) {
        const struct mio_check *c = &t->checks.items[i];
        mio_buf_printf(b, "%s %.*s", c->blocks ? "policy" : "check", MIO_FMT(c->name));
        put(b, "condition", c->condition);
        put(b, "error", c->error);
        mio_buf_char(b, '\n');
    }
    for (size_t i = 0; i < t->notifications.n; i++) {
        mio_buf_printf(b, "notification %.*s ", MIO_FMT(t->notifications.items[i].name));
        put_node(b, t->notifications.items[i].value);
        mio_buf_char(b, '\n');
    }
    if (t->stage_block) {
        mio_buf_printf(b, "stage %.*s", MIO_FMT(t->stage));
        put(b, "as", t->stage_block);
        mio_buf_char(b, '\n');
    }
}

static void put_template(struct mio_arena *a, struct mio_buf *b, const struct mio_template *t)
{
    put_declarations(a, b, t);
    put_blocks(b, t);
    for (size_t i = 0; i < t->modules.n; i++) {
        const struct mio_module_call *c = &t->modules.items[i];
        mio_buf_printf(b, "module %.*s from %.*s", MIO_FMT(c->name), MIO_FMT(c->source));
        put(b, "inputs", c->inputs);
        put(b, "count", c->count);
        put(b, "for_each", c->for_each);
        put(b, "depends_on", c->depends_on);
        mio_buf_z(b, " (\n");
        put_template(a, b, c->tpl);
        mio_buf_z(b, ")\n");
    }
    put_rest(b, t);
}

static void parse_alone(struct mio_case *c, struct mio_buf *out, struct mio_diags *diags,
                        struct mio_sources *sources)
{
    MIO_PUSH(c->arena, sources->items, sources->n, sources->cap) =
        (struct mio_source){.path = MIO_STR("main.yaml"), .text = mio_case_text(c, "yaml")};
    const struct mio_node *n = mio_yaml_parse(c->arena, sources, 1, true, diags);
    if (n) {
        put_node(out, n);
        mio_buf_char(out, '\n');
    }
}

static void format(struct mio_case *c, struct mio_buf *out, struct mio_diags *diags,
                   struct mio_sources *sources)
{
    struct mio_str text;
    if (mio_format(c->arena, mio_case_text(c, "format"), MIO_STR("main.yaml"), sources, &text,
                   diags) == MIO_OK)
        mio_buf_str(out, text);
}

static void run(struct mio_case *c, struct mio_buf *out)
{
    struct mio_diags diags;
    struct mio_sources sources = {0};
    mio_diags_init(&diags, c->arena);
    struct mio_str dir = mio_arena_printf(c->arena, "%.*s/.cloud", MIO_FMT(c->folder));
    const char *stage = mio_arena_z(c->arena, mio_case_text(c, "stage"));
    struct mio_template *t = NULL;
    struct mio_template_opts o = {.dir = dir.p,
                                  .stage = stage,
                                  .sources = &sources,
                                  .no_paths = mio_case_section(c, "no-paths")};
    if (mio_case_section(c, "yaml"))
        parse_alone(c, out, &diags, &sources);
    else if (mio_case_section(c, "format"))
        format(c, out, &diags, &sources);
    else if (mio_template_load(c->arena, &o, &t, &diags) == MIO_OK)
        put_template(c->arena, out, t);
    mio_render_diags(&(struct mio_pen){out, false}, &diags, 0, &sources, false);
}

int main(void)
{
    return mio_cases_run("template", run);
}
