/* tests/fuzz/fuzz_azureml.c: any bytes as the body of an Azure ML document: the first byte chooses
 * the entity whose `$schema` stands above them, or none, so that kinds are inferred as well.
 *
 * Properties: sound or an error, never both or neither; what is sound comes back sound, with the
 * same edges, when it has been written out; every reference and every expression in it is taken
 * apart or refused with a reason. */
#include "planner/template/azureml.h"
#include "planner/template/azureml_table.h"
#include "planner/template/emit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mio_node *parse(struct mio_arena *a, struct mio_str text,
                                    struct mio_diags *diags)
{
    struct mio_source item = {.path = MIO_STR("x.yaml"), .text = text};
    struct mio_sources sources = {&item, 1, 1};
    mio_diags_init(diags, a);
    return mio_yaml_parse(a, &sources, 1, false, diags);
}

static bool sound(struct mio_arena *a, const struct mio_node *n, struct mio_azureml_doc *doc,
                  struct mio_diags *diags)
{
    struct mio_azureml_opts o = {.dir = MIO_STR("/nowhere"), .no_paths = true};
    size_t errors = diags->errors;
    bool ok = mio_azureml_check(a, n, &o, doc, diags) == MIO_OK;
    if (ok != (diags->errors == errors) || (ok && !doc->entity))
        abort();
    return ok;
}

static void take_apart(const struct mio_node *n)
{
    if (n->type != MIO_NODE_SCALAR) {
        for (size_t i = 0; i < n->n; i++)
            take_apart(n->type == MIO_NODE_SEQ ? n->items[i] : n->entries[i].value);
        return;
    }
    struct mio_azureml_ref ref;
    struct mio_azureml_expr x;
    const char *why = NULL;
    if (!mio_azureml_ref_parse(n->text, &ref, &why) && !why)
        abort();
    why = NULL;
    for (size_t at = 0, before = 0; mio_azureml_expr_next(n->text, &at, &x, &why); before = at)
        if (at <= before || x.offset < before || at > n->text.n)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct mio_arena a;
    struct mio_diags diags;
    struct mio_azureml_doc one = {0}, two = {0};
    mio_arena_init(&a);
    size_t row = data[0] % (mio_az_nentities + 1);
    const char *name = row < mio_az_nentities ? mio_az_entities[row].schemas[0] : NULL;
    struct mio_str text = mio_arena_printf(
        &a, "%s%s%s%.*s", name ? "$schema: https://azuremlschemas.azureedge.net/latest/" : "",
        name ? name : "", name ? ".schema.json\n" : "", (int)size - 1, (const char *)data + 1);
    mio_azureml_text(text);
    const struct mio_node *n = parse(&a, text, &diags);
    if (n)
        take_apart(n);
    if (n && sound(&a, n, &one, &diags)) {
        MIO_AUTO_BUF out = {0};
        mio_node_emit(&out, n);
        const struct mio_node *again = parse(&a, mio_buf_view(&out), &diags);
        if (!again || !mio_node_same(n, again) || !sound(&a, again, &two, &diags) ||
            one.entity != two.entity || one.nedges != two.nedges || one.nmissing != two.nmissing)
            abort();
    }
    mio_arena_free(&a);
    return 0;
}
