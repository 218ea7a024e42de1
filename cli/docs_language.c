/* cli/docs_language.c: tables for the documentation of modules and of the language, as Markdown. */
#include "cli/json_out.h"
#include "cli/markdown.h"
#include "cli/session.h"

static void put_input(struct mio_arena *a, struct mio_buf *b, const struct mio_variable *v)
{
    struct mio_value dflt;
    MIO_AUTO_BUF json = {0};
    mio_buf_z(b, "| ");
    mio_md_code(b, v->name);
    mio_buf_z(b, " | ");
    mio_md_code(b, v->type ? mio_typespec_name(a, v->type) : MIO_STR("any"));
    mio_buf_z(b, " | ");
    if (v->dflt && mio_node_literal(a, v->dflt, &dflt)) {
        mio_json_write(&json, dflt, MIO_JSON_HIDDEN);
        mio_md_code(b, mio_buf_view(&json));
    } else {
        mio_buf_z(b, "required");
    }
    mio_buf_z(b, " | ");
    mio_md_cell(b, v->doc);
    mio_buf_z(b, " |\n");
}

void mio_docs_module(struct mio_arena *a, struct mio_buf *b, const struct mio_template *t)
{
    mio_buf_z(b, "| input | type | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < t->variables.n; i++)
        put_input(a, b, &t->variables.items[i]);
    mio_buf_z(b, "\n| output | meaning |\n|---|---|\n");
    for (size_t i = 0; i < t->outputs.n; i++) {
        mio_buf_z(b, "| ");
        mio_md_code(b, t->outputs.items[i].name);
        mio_buf_z(b, " | ");
        mio_md_cell(b, t->outputs.items[i].doc);
        mio_buf_z(b, " |\n");
    }
}

void mio_docs_functions(struct mio_buf *b)
{
    size_t n;
    const struct mio_function_doc *f = mio_functions(&n);
    mio_buf_z(b, "| function | meaning | example | gives |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        mio_buf_z(b, "| ");
        mio_md_code(b, mio_str_z(f[i].signature));
        mio_buf_z(b, " | ");
        mio_md_cell(b, mio_str_z(f[i].help));
        mio_buf_z(b, " | ");
        mio_md_code(b, mio_str_z(f[i].example));
        mio_buf_z(b, " | ");
        mio_md_code(b, mio_str_z(f[i].result));
        mio_buf_z(b, " |\n");
    }
}
