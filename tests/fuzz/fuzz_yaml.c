/* tests/fuzz/fuzz_yaml.c: any bytes as a template file: parsed, checked as an Azure ML document,
 * written out, laid out anew. Whatever parses must come back the same from the writer and from fmt;
 * whatever does not is shown with its carets. */
#include "cli/render_diag.h"
#include "planner/template/azureml.h"
#include "planner/template/emit.h"
#include "planner/template/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mio_node *parse(struct mio_arena *a, struct mio_str text, bool expand,
                                    bool show)
{
    struct mio_diags diags;
    struct mio_source item = {.path = MIO_STR("x.yaml"), .text = text};
    struct mio_sources sources = {&item, 1, 1};
    mio_diags_init(&diags, a);
    const struct mio_node *n = mio_yaml_parse(a, &sources, 1, expand, &diags);
    if (!n != (diags.errors > 0))
        abort(); /* a tree or an error, never both or neither */
    if (show) {
        MIO_AUTO_BUF out = {0};
        mio_render_diags(&(struct mio_pen){&out, true}, &diags, 0, &sources, false);
    }
    return n;
}

static void written_out(struct mio_arena *a, const struct mio_node *n)
{
    MIO_AUTO_BUF out = {0};
    mio_node_emit(&out, n);
    const struct mio_node *again = parse(a, mio_buf_view(&out), false, false);
    if (!again || !mio_node_same(n, again))
        abort();
}

static void laid_out(struct mio_arena *a, const struct mio_node *n, struct mio_str text)
{
    struct mio_diags diags;
    struct mio_sources sources = {0};
    struct mio_str out, more;
    mio_diags_init(&diags, a);
    if (mio_format(a, text, MIO_STR("x.yaml"), &sources, &out, &diags) != MIO_OK ||
        mio_format(a, out, MIO_STR("x.yaml"), &sources, &more, &diags) != MIO_OK ||
        !mio_str_eq(out, more) || !mio_node_same(n, parse(a, out, false, false)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mio_arena a;
    struct mio_diags diags;
    struct mio_azureml_doc doc;
    struct mio_azureml_opts o = {.dir = MIO_STR("/"), .no_paths = true};
    mio_arena_init(&a);
    mio_diags_init(&diags, &a);
    struct mio_str text = mio_arena_str(&a, (struct mio_str){(const char *)data, size});
    mio_azureml_text(text);
    parse(&a, text, true, true);
    const struct mio_node *n = parse(&a, text, false, false);
    if (n) {
        mio_azureml_check(&a, n, &o, &doc, &diags);
        written_out(&a, n);
        laid_out(&a, n, text);
    }
    mio_arena_free(&a);
    return 0;
}
