/* cli/cmd_schema.c: schema: JSON Schema of template files and kinds. */
#include "cli/json_schema.h"
#include "cli/session.h"

static enum mio_code no_kind(struct mio_cli *c, const struct mio_schema *const *schemas, size_t n,
                             struct mio_str kind)
{
    struct mio_str *names = NULL;
    size_t count = 0, cap = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < schemas[i]->nkinds; k++)
            MIO_PUSH(&c->arena, names, count, cap) = schemas[i]->kinds[k].name;
    struct mio_str near = mio_str_nearest(kind, names, count);
    struct mio_str hint = mio_arena_printf(&c->arena, "Did you mean %.*s?", MIO_FMT(near));
    return mio_cli_usage(c, near.n ? hint.p : "'mlops-iac schema' without a kind lists them all.",
                         "no provider of the template has the kind \"%.*s\"", MIO_FMT(kind));
}

enum mio_code mio_cmd_schema(struct mio_cli *c)
{
    const struct mio_schema *const *schemas;
    const struct mio_kind *kind = NULL;
    struct mio_str name = mio_str_z(c->nargs ? c->args[0] : NULL);
    size_t n;
    enum mio_code code = mio_cli_open(c, MIO_OPEN_READ);
    if (!code)
        code = mio_cli_report(c, mio_engine_schemas(c->engine, &schemas, &n));
    if (code)
        return code;
    for (size_t i = 0; !kind && i < n; i++)
        kind = mio_schema_kind(schemas[i], name);
    if (name.n && !kind)
        return no_kind(c, schemas, n, name);
    struct mio_jout j = {.b = &c->out.buf, .pretty = true};
    if (kind)
        mio_json_schema_kind(&j, kind);
    else
        mio_json_schema_template(&j, schemas, n);
    mio_buf_char(&c->out.buf, '\n');
    return MIO_OK;
}
