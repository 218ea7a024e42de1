/* cli/json_schema.c: see json_schema.h. */
#include "cli/json_schema.h"
#include <ctype.h>

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

static void put_field(struct mio_jout *j, const struct mio_field *f);

static void ref(struct mio_jout *j, const char *name)
{
    MIO_AUTO_BUF path = {0};
    mio_buf_printf(&path, "#/$defs/%s", name);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "$ref", path.p);
    mio_jout_close(j, '}');
}

/* A mapping, or nothing at all behind the colon. */
static void put_map_or_null(struct mio_jout *j)
{
    mio_jout_key(j, "type");
    mio_jout_open(j, '[');
    mio_jout_item(j);
    mio_jout_str(j, MIO_STR("object"));
    mio_jout_item(j);
    mio_jout_str(j, MIO_STR("null"));
    mio_jout_close(j, ']');
}

static void key_ref(struct mio_jout *j, const char *key, const char *name)
{
    mio_jout_key(j, key);
    ref(j, name);
}

/* What the values of a field are, and where they end. */
static void put_number(struct mio_jout *j, const struct mio_field *f)
{
    mio_jout_kz(j, "type", f->type == MLOPS_INTEGER ? "integer" : "number");
    if (f->minimum.n)
        mio_jout_kvalue(j, "minimum", mio_number(f->minimum));
    if (f->maximum.n)
        mio_jout_kvalue(j, "maximum", mio_number(f->maximum));
}

static void put_allowed(struct mio_jout *j, const struct mio_field *f)
{
    mio_jout_key(j, "enum");
    mio_jout_open(j, '[');
    for (size_t i = 0; i < f->nallowed; i++) {
        mio_jout_item(j);
        mio_jout_str(j, f->allowed[i]);
    }
    mio_jout_close(j, ']');
}

/* The allowed words in any case, as JSON Schema's expressions know no flag for it. */
static void put_folded(struct mio_jout *j, const struct mio_field *f)
{
    MIO_AUTO_BUF re = {0};
    mio_buf_z(&re, "^(");
    for (size_t i = 0; i < f->nallowed; i++) {
        if (i)
            mio_buf_char(&re, '|');
        for (size_t k = 0; k < f->allowed[i].n; k++) {
            unsigned char c = (unsigned char)f->allowed[i].p[k];
            if (isalpha(c))
                mio_buf_printf(&re, "[%c%c]", tolower(c), toupper(c));
            else
                mio_buf_printf(&re, isalnum(c) || c == '_' || c == '-' ? "%c" : "[%c]", c);
        }
    }
    mio_buf_z(&re, ")$");
    mio_jout_item(j);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "type", "string");
    mio_jout_kstr(j, "pattern", mio_buf_view(&re));
    mio_jout_close(j, '}');
}

static void put_object(struct mio_jout *j, const struct mio_field *f, bool kind);

/* The type of a value that is no expression, as the members of an open object. */
static void put_type(struct mio_jout *j, const struct mio_field *f)
{
    switch (f->type) {
    case MLOPS_INTEGER:
    case MLOPS_NUMBER:
        put_number(j, f);
        break;
    case MLOPS_BOOL:
        mio_jout_kz(j, "type", "boolean");
        break;
    case MLOPS_LIST:
        mio_jout_kz(j, "type", "array");
        if (f->element) {
            mio_jout_key(j, "items");
            put_field(j, f->element);
        }
        break;
    case MLOPS_MAP:
        mio_jout_kz(j, "type", "object");
        if (f->element) {
            mio_jout_key(j, "additionalProperties");
            put_field(j, f->element);
        }
        break;
    case MLOPS_OBJECT:
        put_object(j, f, false);
        break;
    case MLOPS_STRING:
    case MLOPS_ANY:
        break;
    }
}

/* Text: numbers and booleans are taken too, as YAML writes them without quotes. */
static void put_string(struct mio_jout *j, const struct mio_field *f)
{
    if (f->nallowed) {
        mio_jout_key(j, "anyOf");
        mio_jout_open(j, '[');
        mio_jout_item(j);
        mio_jout_open(j, '{');
        put_allowed(j, f);
        mio_jout_close(j, '}');
        if (f->flags & MLOPS_FOLD_CASE)
            put_folded(j, f);
        mio_jout_item(j);
        ref(j, "expression");
        if (!(f->flags & MLOPS_REQUIRED)) {
            mio_jout_item(j);
            mio_jout_open(j, '{');
            mio_jout_kz(j, "type", "null");
            mio_jout_close(j, '}');
        }
        mio_jout_close(j, ']');
        return;
    }
    mio_jout_key(j, "type");
    mio_jout_open(j, '[');
    static const char *const types[] = {"string", "number", "boolean", "null"};
    for (size_t i = 0; i < 4; i++) {
        mio_jout_item(j);
        mio_jout_str(j, mio_str_z(types[i]));
    }
    mio_jout_close(j, ']');
}

static void put_about(struct mio_jout *j, const struct mio_field *f)
{
    MIO_AUTO_BUF text = {0};
    mio_buf_str(&text, f->doc);
    if (f->unit.n)
        mio_buf_printf(&text, " Unit: %.*s.", MIO_FMT(f->unit));
    if (f->flags & MLOPS_CREATE_ONLY)
        mio_buf_z(&text, " A change replaces the object.");
    if (f->flags & MLOPS_CONTENT)
        mio_buf_z(&text, " A local path: a change of what it holds counts.");
    mio_jout_kstr(j, "description", mio_buf_view(&text));
    if (f->has_default)
        mio_jout_kvalue(j, "default", f->dflt);
    if (f->flags & MLOPS_SENSITIVE)
        mio_jout_kbool(j, "writeOnly", true);
}

static void put_field(struct mio_jout *j, const struct mio_field *f)
{
    mio_jout_open(j, '{');
    if (f->doc.n)
        put_about(j, f);
    if (f->type == MLOPS_STRING) {
        put_string(j, f);
    } else if (f->type != MLOPS_ANY) {
        mio_jout_key(j, "anyOf");
        mio_jout_open(j, '[');
        mio_jout_item(j);
        mio_jout_open(j, '{');
        put_type(j, f);
        mio_jout_close(j, '}');
        mio_jout_item(j);
        ref(j, "expression");
        mio_jout_item(j);
        mio_jout_open(j, '{');
        mio_jout_kz(j, "type", "null");
        mio_jout_close(j, '}');
        mio_jout_close(j, ']');
    }
    mio_jout_close(j, '}');
}

static const char *const meta_keys[] = {"count",    "for_each",  "enabled",  "depends_on",
                                        "provider", "lifecycle", "timeouts", "provider_options"};

/* `kind`: the name may be left out, and meta arguments are allowed. */
static void put_object(struct mio_jout *j, const struct mio_field *f, bool kind)
{
    mio_jout_key(j, "properties");
    mio_jout_open(j, '{');
    for (size_t i = 0; i < f->nfields; i++) {
        if (!mio_field_is_input(&f->fields[i]))
            continue;
        mio_jout_key_str(j, f->fields[i].name);
        put_field(j, &f->fields[i]);
    }
    for (size_t i = 0; kind && i < sizeof meta_keys / sizeof *meta_keys; i++)
        if (!mio_field_get(f, mio_str_z(meta_keys[i])))
            key_ref(j, meta_keys[i], meta_keys[i]);
    mio_jout_close(j, '}');
    bool any = false;
    for (size_t i = 0; i < f->nfields; i++) {
        bool needed = (f->fields[i].flags & MLOPS_REQUIRED) &&
                      !(kind && mio_str_is(f->fields[i].name, "name"));
        if (!needed)
            continue;
        if (!any) {
            mio_jout_key(j, "required");
            mio_jout_open(j, '[');
        }
        any = true;
        mio_jout_item(j);
        mio_jout_str(j, f->fields[i].name);
    }
    if (any)
        mio_jout_close(j, ']');
    if (kind && !any)
        put_map_or_null(j);
    else
        mio_jout_kz(j, "type", "object");
    mio_jout_kbool(j, "additionalProperties", false);
}

/* ---- what does not depend on plugins ---- */

/* Written as JSON: it is the shape of the language itself. */
static const char definitions[] =
    "{\"expression\":{\"description\":\"An expression: ${...}.\",\"type\":\"string\","
    "\"pattern\":\"[$%][{]\"},\"count\":{\"description\":\"How many instances; count.index "
    "is 0, 1, ...\",\"anyOf\":[{\"type\":\"integer\",\"minimum\":0},{"
    "\"$ref\":\"#/$defs/expression\"}]},\"for_each\":{\"description\":\"One instance for "
    "each key of a map or string of a set: each.key, each.value.\",\"anyOf\":[{"
    "\"type\":\"object\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}},{"
    "\"$ref\":\"#/$defs/expression\"}]},\"enabled\":{\"description\":\"false: as if the "
    "block were not there.\",\"anyOf\":[{\"type\":\"boolean\"},{"
    "\"$ref\":\"#/$defs/expression\"}]},\"depends_on\":{\"description\":\"Addresses of "
    "resources and modules that come first.\",\"type\":\"array\",\"items\":{"
    "\"type\":\"string\"}},\"provider\":{\"description\":\"Name of the provider under "
    "`providers`.\",\"type\":\"string\"},\"provider_options\":{\"description\":\"Settings "
    "for one type of provider alone, by its name.\",\"type\":\"object\"},\"timeouts\":{"
    "\"description\":\"How long an operation may take.\",\"type\":[\"object\",\"null\"],"
    "\"properties\":{\"create\":{\"type\":[\"string\",\"integer\"]},\"update\":{"
    "\"type\":[\"string\",\"integer\"]},\"delete\":{\"type\":[\"string\",\"integer\"]},"
    "\"read\":{\"type\":[\"string\",\"integer\"]}},\"additionalProperties\":false},"
    "\"rules\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/rule\"}},\"rule\":{"
    "\"type\":\"object\",\"properties\":{\"condition\":{\"description\":\"Must be true.\","
    "\"type\":[\"string\",\"boolean\"]},\"error\":{\"description\":\"What is said when it is "
    "not.\",\"type\":\"string\"}},\"required\":[\"condition\",\"error\"],"
    "\"additionalProperties\":false},\"lifecycle\":{\"description\":\"Rules of the life of "
    "the object.\",\"type\":[\"object\",\"null\"],\"properties\":{\"create_before_destroy\":{"
    "\"description\":\"A replacement is made before the old object goes.\","
    "\"type\":\"boolean\"},\"prevent_destroy\":{\"description\":\"A plan that destroys it is "
    "refused.\",\"type\":\"boolean\"},\"ignore_changes\":{\"description\":\"Fields whose "
    "changes do not count, or `all`.\",\"anyOf\":[{\"const\":\"all\"},{\"type\":\"array\","
    "\"items\":{\"type\":\"string\"}}]},\"replace_triggered_by\":{"
    "\"description\":\"References whose change replaces it.\",\"type\":\"array\",\"items\":{"
    "\"type\":\"string\"}},\"on_removed\":{\"description\":\"What happens when the block "
    "goes.\",\"enum\":[\"delete\",\"forget\"]},\"precondition\":{\"$ref\":\"#/$defs/rules\"},"
    "\"postcondition\":{\"$ref\":\"#/$defs/rules\"}},\"additionalProperties\":false}";

static const char top_level[] =
    "\"mlops_iac\":{\"description\":\"Required version and where the state is kept.\","
    "\"type\":[\"object\",\"null\"],\"properties\":{\"required_version\":{"
    "\"type\":\"string\"},\"backend\":{\"type\":\"object\"},\"encryption\":{"
    "\"type\":\"object\"},\"plans\":{\"type\":\"object\"}},\"additionalProperties\":false},"
    "\"variables\":{\"description\":\"Inputs by name: var.NAME.\",\"type\":[\"object\","
    "\"null\"],\"additionalProperties\":{\"type\":[\"object\",\"null\"],\"properties\":{"
    "\"type\":{\"description\":\"string, number, bool, list(T), set(T), map(T), object({"
    "...}), tuple([...]) or any.\",\"type\":\"string\"},\"default\":{\"description\":\"Value "
    "when none is given; without it one must be.\"},\"description\":{\"type\":\"string\"},"
    "\"sensitive\":{\"description\":\"Never shown.\",\"type\":\"boolean\"},\"ephemeral\":{"
    "\"description\":\"Never stored.\",\"type\":\"boolean\"},\"nullable\":{"
    "\"type\":\"boolean\"},\"validation\":{\"$ref\":\"#/$defs/rules\"}},"
    "\"additionalProperties\":false}},\"locals\":{\"description\":\"Named values: "
    "local.NAME.\",\"type\":[\"object\",\"null\"]},\"outputs\":{\"description\":\"Values "
    "that are shown and recorded.\",\"type\":[\"object\",\"null\"],\"additionalProperties\":{"
    "\"type\":\"object\",\"properties\":{\"value\":{},\"description\":{\"type\":\"string\"},"
    "\"sensitive\":{\"type\":\"boolean\"},\"precondition\":{\"$ref\":\"#/$defs/rules\"},"
    "\"depends_on\":{\"$ref\":\"#/$defs/depends_on\"}},\"required\":[\"value\"],"
    "\"additionalProperties\":false}},\"modules\":{\"description\":\"Calls of other template "
    "directories: module.NAME.OUTPUT.\",\"type\":[\"object\",\"null\"],"
    "\"additionalProperties\":{\"type\":\"object\",\"properties\":{\"source\":{"
    "\"description\":\"./FOLDER, ../FOLDER, git::URL//FOLDER?ref=TAG or "
    "https://HOST/NAME.tar.gz//FOLDER.\",\"type\":\"string\"},\"digest\":{"
    "\"description\":\"Of an archive: sha256:HEX.\",\"type\":\"string\","
    "\"pattern\":\"^sha256:[0-9a-fA-F]{64}$\"},\"inputs\":{\"type\":\"object\"},\"count\":{"
    "\"$ref\":\"#/$defs/count\"},\"for_each\":{\"$ref\":\"#/$defs/for_each\"},"
    "\"depends_on\":{\"$ref\":\"#/$defs/depends_on\"}},\"required\":[\"source\"],"
    "\"additionalProperties\":false}},\"moved\":{\"description\":\"Addresses that have "
    "another name now.\",\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\","
    "\"properties\":{\"from\":{\"type\":\"string\"},\"to\":{\"type\":\"string\"}},"
    "\"required\":[\"from\",\"to\"],\"additionalProperties\":false}},\"import\":{"
    "\"description\":\"Existing objects to take under management.\",\"type\":[\"array\","
    "\"null\"],\"items\":{\"type\":\"object\",\"properties\":{\"to\":{\"type\":\"string\"},"
    "\"id\":{\"type\":[\"string\",\"number\"]},\"for_each\":{\"$ref\":\"#/$defs/for_each\"}},"
    "\"required\":[\"to\",\"id\"],\"additionalProperties\":false}},\"removed\":{"
    "\"description\":\"Resources that are gone from the template, and what becomes of the "
    "objects.\",\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\",\"properties\":{"
    "\"from\":{\"type\":\"string\"},\"on_removed\":{\"enum\":[\"delete\",\"forget\"]}},"
    "\"required\":[\"from\",\"on_removed\"],\"additionalProperties\":false}},\"checks\":{"
    "\"description\":\"Conditions that warn.\",\"type\":[\"object\",\"null\"],"
    "\"additionalProperties\":{\"$ref\":\"#/$defs/rule\"}},\"policies\":{"
    "\"description\":\"Conditions that block, also over plan.changes and plan.counts.\","
    "\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"$ref\":\"#/$defs/rule\"}},"
    "\"notifications\":{\"description\":\"Who is told what.\",\"type\":[\"object\",\"null\"],"
    "\"additionalProperties\":{\"type\":[\"object\",\"null\"]}},\"include\":{"
    "\"description\":\"Further files by glob.\",\"type\":[\"array\",\"null\"],\"items\":{"
    "\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{\"files\":{"
    "\"description\":\"The pattern.\",\"type\":\"string\"},\"expand\":{"
    "\"description\":\"Evaluate ${...} in Azure ML documents, too.\",\"type\":\"boolean\"},"
    "\"prefix\":{\"description\":\"Stands before the names of the documents.\","
    "\"type\":\"string\"}},\"required\":[\"files\"],\"additionalProperties\":false}]}},"
    "\"set\":{\"description\":\"Fields of blocks by address.\",\"type\":[\"object\","
    "\"null\"],\"additionalProperties\":{\"type\":[\"object\",\"null\"]}}";

/* Members that are JSON text already go in as they are; the writer indents everything anew at the
 * end. */
static void put_definitions(struct mio_jout *j)
{
    struct mio_arena a;
    struct mio_value v;
    struct mio_err err = {0};
    mio_arena_init(&a);
    MIO_AUTO_BUF text = {0};
    mio_buf_printf(&text, "%s}", definitions);
    if (mio_json_read(&a, mio_buf_view(&text), NULL, &v, &err) == MIO_OK)
        mio_jout_value(j, v);
    mio_arena_free(&a);
}

static void put_top_level(struct mio_jout *j)
{
    struct mio_arena a;
    struct mio_value v;
    struct mio_err err = {0};
    mio_arena_init(&a);
    MIO_AUTO_BUF text = {0};
    mio_buf_printf(&text, "{%s}", top_level);
    if (mio_json_read(&a, mio_buf_view(&text), NULL, &v, &err) == MIO_OK)
        for (uint32_t i = 0; i < v.n; i++) {
            mio_jout_key_str(j, v.pairs[i].key);
            mio_jout_value(j, v.pairs[i].value);
        }
    mio_arena_free(&a);
}

void mio_json_schema_kind(struct mio_jout *j, const struct mio_kind *kind)
{
    mio_jout_open(j, '{');
    mio_jout_kz(j, "$schema", DIALECT);
    mio_jout_kstr(j, "title", kind->name);
    mio_jout_kstr(j, "description", kind->doc);
    put_object(j, &kind->root, true);
    mio_jout_key(j, "$defs");
    put_definitions(j);
    mio_jout_close(j, '}');
}

/* `resources:` and `data:`: every kind once. */
static void put_kinds(struct mio_jout *j, const char *key, const char *doc,
                      const struct mio_schema *const *schemas, size_t n, bool lookups)
{
    mio_jout_key(j, key);
    mio_jout_open(j, '{');
    mio_jout_kz(j, "description", doc);
    put_map_or_null(j);
    mio_jout_key(j, "properties");
    mio_jout_open(j, '{');
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < schemas[i]->nkinds; k++) {
            const struct mio_kind *kind = &schemas[i]->kinds[k];
            bool seen = lookups && !(kind->flags & MLOPS_KIND_DATA);
            for (size_t p = 0; p < i; p++)
                seen = seen || mio_schema_kind(schemas[p], kind->name);
            if (seen)
                continue;
            mio_jout_key_str(j, kind->name);
            mio_jout_open(j, '{');
            mio_jout_kstr(j, "description", kind->doc);
            put_map_or_null(j);
            mio_jout_key(j, "additionalProperties");
            mio_jout_open(j, '{');
            if (lookups)
                put_map_or_null(j);
            else
                put_object(j, &kind->root, true);
            mio_jout_close(j, '}');
            mio_jout_close(j, '}');
        }
    mio_jout_close(j, '}');
    mio_jout_kbool(j, "additionalProperties", false);
    mio_jout_close(j, '}');
}

/* A provider's settings, under any name when `type` says whose they are. */
static void put_providers(struct mio_jout *j, const struct mio_schema *const *schemas, size_t n)
{
    mio_jout_key(j, "providers");
    mio_jout_open(j, '{');
    mio_jout_kz(
        j, "description",
        "Provider instances: settings by name; `type` names the plugin when the name does not.");
    put_map_or_null(j);
    mio_jout_key(j, "properties");
    mio_jout_open(j, '{');
    for (size_t i = 0; i < n; i++) {
        mio_jout_key_str(j, schemas[i]->name);
        mio_jout_open(j, '{');
        mio_jout_kstr(j, "description", schemas[i]->doc);
        put_map_or_null(j);
        mio_jout_key(j, "properties");
        mio_jout_open(j, '{');
        mio_jout_key(j, "for_each");
        mio_jout_open(j, '{');
        mio_jout_kz(j, "$ref", "#/$defs/for_each");
        mio_jout_close(j, '}');
        for (size_t k = 0; k < schemas[i]->config.nfields; k++) {
            mio_jout_key_str(j, schemas[i]->config.fields[k].name);
            put_field(j, &schemas[i]->config.fields[k]);
        }
        mio_jout_close(j, '}');
        mio_jout_close(j, '}');
    }
    mio_jout_close(j, '}');
    mio_jout_key(j, "additionalProperties");
    mio_jout_open(j, '{');
    put_map_or_null(j);
    mio_jout_close(j, '}');
    mio_jout_close(j, '}');
}

void mio_json_schema_template(struct mio_jout *j, const struct mio_schema *const *schemas, size_t n)
{
    mio_jout_open(j, '{');
    mio_jout_kz(j, "$schema", DIALECT);
    mio_jout_kz(j, "title", "mlops-iac template");
    mio_jout_kz(j, "type", "object");
    mio_jout_key(j, "properties");
    mio_jout_open(j, '{');
    put_top_level(j);
    put_providers(j, schemas, n);
    put_kinds(j, "resources", "What is managed: kind, name, body.", schemas, n, false);
    put_kinds(j, "data", "What is only looked up: data.KIND.NAME.", schemas, n, true);
    mio_jout_close(j, '}');
    mio_jout_kbool(j, "additionalProperties", false);
    mio_jout_key(j, "$defs");
    put_definitions(j);
    mio_jout_close(j, '}');
}
