/* cli/docs_provider.c: settings, kinds and fields of a provider, as Markdown. */
#include "cli/markdown.h"
#include "cli/session.h"
#include "providers/sdk/json.h"
#include "providers/sdk/schema.h"

static const char *const type_names[] = {
    [MLOPS_STRING] = "string", [MLOPS_INTEGER] = "integer", [MLOPS_NUMBER] = "number",
    [MLOPS_BOOL] = "bool",     [MLOPS_LIST] = "list",       [MLOPS_MAP] = "map",
    [MLOPS_OBJECT] = "object", [MLOPS_ANY] = "any",
};

static void put_type(struct mio_buf *b, const struct mio_field *f)
{
    mio_buf_z(b, type_names[f->type]);
    if (f->element) {
        mio_buf_char(b, '(');
        put_type(b, f->element);
        mio_buf_char(b, ')');
    }
}

/* What a flag means to who writes or reads the field. */
static const struct {
    uint32_t flag;
    const char *words;
} notes[] = {
    {MLOPS_CREATE_ONLY, "A change replaces the object."},
    {MLOPS_SENSITIVE, "Sensitive."},
    {MLOPS_WRITE_ONLY, "Never read back."},
    {MLOPS_CONTENT, "What lies at the path counts, by digest."},
    {MLOPS_ENSURED, "Drift is repaired."},
    {MLOPS_LATE, "Set after everything that depends on the object."},
    {MLOPS_DURATION, "A length of time: 90, 90s, 5m or PT5M."},
    {MLOPS_UNSTABLE, "Differs at every read, never drift."},
};

static void put_limits(struct mio_buf *b, const struct mio_field *f)
{
    for (size_t i = 0; i < f->nallowed; i++) {
        mio_buf_z(b, i ? ", " : " One of ");
        mio_md_code(b, f->allowed[i]);
    }
    if (f->nallowed)
        mio_buf_z(b, f->flags & MLOPS_FOLD_CASE ? ", in any case." : ".");
    if (f->minimum.n)
        mio_buf_printf(b, " At least %.*s.", MIO_FMT(f->minimum));
    if (f->maximum.n)
        mio_buf_printf(b, " At most %.*s.", MIO_FMT(f->maximum));
    if (f->unit.n)
        mio_buf_printf(b, " Unit: %.*s.", MIO_FMT(f->unit));
}

static void put_default(struct mio_buf *b, const struct mio_field *f)
{
    MIO_AUTO_BUF json = {0};
    if (f->flags & MLOPS_REQUIRED) {
        mio_buf_z(b, "required");
    } else if (f->has_default) {
        mio_json_write(&json, f->dflt, MIO_JSON_HIDDEN);
        mio_md_code(b, mio_buf_view(&json));
    } else if (f->flags & MLOPS_COMPUTED) {
        mio_buf_z(b, "the platform's choice");
    }
}

/* Rows of the fields that can be written (or, with inputs false, that only the platform sets);
 * those of objects follow under a dotted name. */
static void put_fields(struct mio_buf *b, const struct mio_field *object, struct mio_str prefix,
                       bool inputs, size_t *rows)
{
    for (size_t i = 0; i < object->nfields; i++) {
        const struct mio_field *f = &object->fields[i];
        MIO_AUTO_BUF name = {0};
        if (mio_field_is_input(f) != inputs)
            continue;
        if (!(*rows)++)
            mio_buf_z(b, inputs ? "| field | type | default | meaning |\n|---|---|---|---|\n"
                                : "\n| set by the platform | type | meaning |\n|---|---|---|\n");
        mio_buf_str(&name, prefix);
        mio_buf_str(&name, f->name);
        mio_buf_z(b, "| ");
        mio_md_code(b, mio_buf_view(&name));
        mio_buf_z(b, " | ");
        put_type(b, f);
        mio_buf_z(b, " | ");
        if (inputs) {
            put_default(b, f);
            mio_buf_z(b, " | ");
        }
        mio_md_cell(b, f->doc);
        put_limits(b, f);
        for (size_t k = 0; k < sizeof notes / sizeof *notes; k++)
            if (f->flags & notes[k].flag)
                mio_buf_printf(b, " %s", notes[k].words);
        mio_buf_z(b, " |\n");
        const struct mio_field *inner =
            f->type == MLOPS_LIST || f->type == MLOPS_MAP ? f->element : f;
        if (inner && inner->type == MLOPS_OBJECT) {
            mio_buf_z(&name, f->type == MLOPS_LIST ? "[]." : f->type == MLOPS_MAP ? ".*." : ".");
            put_fields(b, inner, mio_buf_view(&name), inputs, rows);
        }
    }
}

static const char *const classes[] = {
    [MLOPS_CREATE_A] = "A, the name makes it unique",
    [MLOPS_CREATE_B] = "B, the platform knows a repeated key",
    [MLOPS_CREATE_C] = "C, the key is found at the object",
    [MLOPS_CREATE_D] = "D, a person decides when the reply to a create is lost",
};

static void put_kind(struct mio_buf *b, const struct mio_kind *k)
{
    size_t inputs = 0, outputs = 0;
    mio_buf_printf(b, "\n## %.*s\n\n%.*s", MIO_FMT(k->name), MIO_FMT(k->doc));
    mio_buf_printf(b, " Create class: %s.\n\n", classes[k->create_class]);
    put_fields(b, &k->root, MIO_STR(""), true, &inputs);
    put_fields(b, &k->root, MIO_STR(""), false, &outputs);
}

void mio_docs_provider(struct mio_buf *b, const struct mio_schema *s)
{
    size_t rows = 0;
    mio_buf_printf(b,
                   "# Provider %.*s\n\nMade by `mlops-iac docs provider` from the tables of the "
                   "plugin.\n\n%.*s\n\n## Settings\n\n",
                   MIO_FMT(s->name), MIO_FMT(s->doc));
    put_fields(b, &s->config, MIO_STR(""), true, &rows);
    if (!rows)
        mio_buf_z(b, "None.\n");
    for (size_t i = 0; i < s->nkinds; i++)
        put_kind(b, &s->kinds[i]);
}
