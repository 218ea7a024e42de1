/* cli/cmd_document.c: single Azure ML documents: `validate FILE...` and `show -azureml ADDRESS`. */
#include "cli/document.h"
#include "planner/template/azureml.h"
#include "planner/template/emit.h"
#include "providers/sdk/redact.h"

static struct mio_str or_dash(struct mio_str s)
{
    return s.n ? s : MIO_STR("-");
}

/* One line: file, kind, name, ok; or file with line and column, kind and name as far as they are
 * known, and the first error. */
static bool check_one(struct mio_cli *c, const char *path, const struct mio_azureml_opts *o)
{
    struct mio_arena a;
    struct mio_sources sources = {0};
    struct mio_azureml_doc doc = {0};
    const struct mio_node *root = NULL;
    struct mio_diags diags;
    MIO_AUTO_BUF line = {0};
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    bool ok = mio_azureml_file(&a, path, o, &sources, &root, &doc, &diags) == MIO_OK;
    if (ok) {
        mio_buf_printf(&line, "%s: %s %.*s ok", path, mio_azureml_entity_name(doc.entity),
                       MIO_FMT(or_dash(doc.name)));
    } else {
        size_t i = 0;
        while (i + 1 < diags.n && diags.items[i].severity != MIO_ERROR)
            i++;
        const struct mio_err *err = diags.n ? &diags.items[i].err : NULL;
        mio_buf_printf(&line, "%s:", path);
        if (err && err->pos.line)
            mio_buf_printf(&line, "%u:%u:", err->pos.line, err->pos.col);
        if (doc.entity)
            mio_buf_printf(&line, " %s %.*s:", mio_azureml_entity_name(doc.entity),
                           MIO_FMT(or_dash(doc.name)));
        mio_buf_printf(&line, " %s", err ? err->message : "not valid");
        if (err && err->hint[0])
            mio_buf_printf(&line, " (%s)", err->hint);
    }
    mio_redact(&c->out.buf, mio_buf_view(&line));
    mio_buf_char(&c->out.buf, '\n');
    mio_arena_free(&a);
    return ok;
}

enum mio_code mio_cli_documents(struct mio_cli *c)
{
    struct mio_azureml_opts o = {.no_paths = mio_cli_on(c, MIO_OPT_NO_PATHS)};
    size_t bad = 0;
    for (size_t i = 0; i < c->nargs; i++)
        bad += !check_one(c, c->args[i], &o);
    if (bad)
        c->exit_status = 1; /* each was told on its line */
    return MIO_OK;
}

enum mio_code mio_cli_show_document(struct mio_cli *c, const char *address)
{
    struct mio_err err = {0};
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (code)
        return code;
    const struct mio_template *t = mio_engine_template(c->engine);
    for (size_t i = 0; i < t->blocks.n; i++) {
        const struct mio_block *b = &t->blocks.items[i];
        struct mio_str own =
            mio_arena_printf(&c->arena, "%.*s.%.*s", MIO_FMT(b->kind), MIO_FMT(b->name));
        if (!mio_str_is(own, address))
            continue;
        if (b->azureml && b->document) {
            mio_node_emit(&c->out.buf, b->document);
            return MIO_OK;
        }
        mio_fail(&err, MIO_USAGE, "%s does not come from an Azure ML document", address);
        return mio_cli_fail(c, &err);
    }
    mio_fail(&err, MIO_USAGE, "the template has no resource %s", address);
    mio_err_hint(&err, "`mlops-iac graph` lists them.");
    return mio_cli_fail(c, &err);
}
