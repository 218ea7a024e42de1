/* providers/sdk/schema.c: see schema.h. The tables of a plugin become JSON here, and JSON becomes
 * tables again.
 *
 * In: static C tables whose structs may be older or newer than ours; JSON of an untrusted child. */
#include "providers/sdk/schema.h"

#include "providers/sdk/json.h"

enum { DEPTH = 16 };

/* ---- C tables to JSON ---- */

/* The member at `offset` exists in a struct of the declared size. */
#define HAS(s, member) ((s)->size >= offsetof(__typeof__(*(s)), member) + sizeof((s)->member))
#define GET(s, member) (HAS(s, member) ? (s)->member : (__typeof__((s)->member))0)

static void put_text(struct mio_buf *b, const char *key, const char *text)
{
    if (!text)
        return;
    mio_buf_printf(b, ",\"%s\":", key);
    mio_json_string(b, mio_str_z(text));
}

static void put_number(struct mio_buf *b, const char *key, uint64_t v)
{
    if (v)
        mio_buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)v);
}

static void put_fields(struct mio_buf *b, const char *key, const struct mlops_field *f, int depth);

static void put_field(struct mio_buf *b, const struct mlops_field *f, int depth)
{
    mio_buf_printf(b, "{\"type\":%d", (int)GET(f, type));
    put_text(b, "name", GET(f, name));
    put_number(b, "flags", GET(f, flags));
    put_text(b, "doc", GET(f, doc));
    put_text(b, "unit", GET(f, unit));
    put_text(b, "default", GET(f, dflt));
    put_text(b, "allowed", GET(f, allowed));
    put_text(b, "minimum", GET(f, minimum));
    put_text(b, "maximum", GET(f, maximum));
    put_text(b, "pattern", GET(f, pattern));
    const struct mlops_field *element = GET(f, element);
    if (element && depth > 0) {
        mio_buf_z(b, ",\"element\":");
        put_field(b, element, depth - 1);
    }
    put_fields(b, "fields", GET(f, fields), depth - 1);
    mio_buf_char(b, '}');
}

/* Tables are stepped through by the size that their first entry declares: a plugin built against
 * another minor version has other sizes than we. */
static void put_fields(struct mio_buf *b, const char *key, const struct mlops_field *f, int depth)
{
    if (!f || depth < 0)
        return;
    mio_buf_printf(b, ",\"%s\":[", key);
    const char *sep = "";
    for (size_t step = f->size; step > 0 && f->name;
         f = (const struct mlops_field *)(const void *)((const char *)f + step)) {
        mio_buf_z(b, sep);
        put_field(b, f, depth);
        sep = ",";
    }
    mio_buf_char(b, ']');
}

static void put_kind(struct mio_buf *b, const struct mlops_kind *k)
{
    mio_buf_printf(b, "{\"create_class\":%d", (int)GET(k, create_class));
    put_text(b, "name", GET(k, name));
    put_text(b, "doc", GET(k, doc));
    put_number(b, "flags", GET(k, flags));
    put_number(b, "settle_ms", GET(k, settle_ms));
    put_number(b, "create_timeout_s", GET(k, create_timeout_s));
    put_number(b, "update_timeout_s", GET(k, update_timeout_s));
    put_number(b, "delete_timeout_s", GET(k, delete_timeout_s));
    put_number(b, "read_timeout_s", GET(k, read_timeout_s));
    put_number(b, "schema_version", GET(k, schema_version));
    put_fields(b, "fields", GET(k, fields), DEPTH);
    mio_buf_char(b, '}');
}

void mio_schema_write(struct mio_buf *b, const struct mlops_provider *p)
{
    mio_buf_printf(b, "{\"caps\":%u", (unsigned)GET(p, caps));
    put_text(b, "name", GET(p, name));
    put_text(b, "version", GET(p, version));
    put_text(b, "doc", GET(p, doc));
    put_number(b, "batch", GET(p, batch));
    put_number(b, "threads", GET(p, threads));
    put_number(b, "validate", GET(p, validate) != NULL);
    put_fields(b, "config", GET(p, config), DEPTH);
    mio_buf_z(b, ",\"kinds\":[");
    const struct mlops_kind *k = GET(p, kinds);
    const char *sep = "";
    for (size_t step = k ? k->size : 0; step > 0 && k->name;
         k = (const struct mlops_kind *)(const void *)((const char *)k + step)) {
        mio_buf_z(b, sep);
        put_kind(b, k);
        sep = ",";
    }
    mio_buf_z(b, "]}");
}

/* ---- JSON to tables ---- */

static uint32_t get_u32(struct mio_value v, const char *key)
{
    int64_t n = mio_get_i64(v, key, 0);
    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static bool is_name(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '$' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n <= 128;
}

static int by_field_name(const void *x, const void *y)
{
    const struct mio_field *a = x, *b = y;
    return mio_str_cmp(a->name, b->name);
}

static int by_kind_name(const void *x, const void *y)
{
    const struct mio_kind *a = x, *b = y;
    return mio_str_cmp(a->name, b->name);
}

static enum mio_code read_field(struct mio_arena *a, struct mio_value v, struct mio_field *f,
                                struct mio_err *err);

/* A list of fields becomes a sorted array. */
static enum mio_code read_fields(struct mio_arena *a, const struct mio_value *list,
                                 struct mio_field *object, struct mio_err *err)
{
    if (!list || list->type != MIO_LIST)
        return MIO_OK;
    struct mio_field *fields = MIO_NEW_N(a, struct mio_field, list->n + 1);
    for (uint32_t i = 0; i < list->n; i++) {
        if (read_field(a, list->items[i], &fields[i], err))
            return err->code;
        if (!is_name(fields[i].name))
            return mio_fail(err, MIO_PROVIDER, "\"%.*s\" is no name of a field",
                            MIO_FMT(fields[i].name));
    }
    qsort(fields, list->n, sizeof *fields, by_field_name);
    for (uint32_t i = 1; i < list->n; i++)
        if (mio_str_eq(fields[i - 1].name, fields[i].name))
            return mio_fail(err, MIO_PROVIDER, "field \"%.*s\" is there twice",
                            MIO_FMT(fields[i].name));
    object->fields = fields;
    object->nfields = list->n;
    return MIO_OK;
}

static void read_allowed(struct mio_arena *a, struct mio_str text, struct mio_field *f)
{
    size_t n = text.n > 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '|';
    struct mio_str *items = MIO_NEW_N(a, struct mio_str, n + 1);
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t bar = mio_str_find(text, '|');
        items[i] = mio_str_sub(text, 0, bar < 0 ? text.n : (size_t)bar);
        text = bar < 0 ? MIO_STR("") : mio_str_sub(text, (size_t)bar + 1, text.n);
    }
    f->allowed = items;
    f->nallowed = n;
}

static enum mio_code read_default(struct mio_arena *a, struct mio_value v, struct mio_field *f,
                                  struct mio_err *err)
{
    const struct mio_value *text = mio_get_z(v, "default");
    if (!text)
        return MIO_OK;
    struct mio_err why = {0};
    if (mio_json_read(a, mio_value_str(*text), NULL, &f->dflt, &why))
        return mio_fail(err, MIO_PROVIDER, "the default of field \"%.*s\" is no JSON: %s",
                        MIO_FMT(f->name), why.message);
    f->has_default = true;
    return MIO_OK;
}

static enum mio_code read_field(struct mio_arena *a, struct mio_value v, struct mio_field *f,
                                struct mio_err *err)
{
    int64_t type = mio_get_i64(v, "type", 0);
    *f = (struct mio_field){.name = mio_get_str(v, "name"),
                            .doc = mio_get_str(v, "doc"),
                            .unit = mio_get_str(v, "unit"),
                            .pattern = mio_get_str(v, "pattern"),
                            .minimum = mio_get_str(v, "minimum"),
                            .maximum = mio_get_str(v, "maximum"),
                            .type = (enum mlops_type)type,
                            .flags = get_u32(v, "flags")};
    if (type < MLOPS_STRING || type > MLOPS_ANY)
        return mio_fail(err, MIO_PROVIDER, "field \"%.*s\" has no type", MIO_FMT(f->name));
    if ((f->minimum.n > 0 && !mio_number_valid(f->minimum)) ||
        (f->maximum.n > 0 && !mio_number_valid(f->maximum)))
        return mio_fail(err, MIO_PROVIDER, "a limit of field \"%.*s\" is no number",
                        MIO_FMT(f->name));
    read_allowed(a, mio_get_str(v, "allowed"), f);
    if (read_default(a, v, f, err))
        return err->code;
    const struct mio_value *element = mio_get_z(v, "element");
    if (element) {
        struct mio_field *e = MIO_NEW(a, struct mio_field);
        if (read_field(a, *element, e, err))
            return err->code;
        f->element = e;
    }
    return read_fields(a, mio_get_z(v, "fields"), f, err);
}

/* The flags of a field and of everything below it. */
static uint32_t flags_below(const struct mio_field *f)
{
    uint32_t flags = f->flags;
    if (f->element)
        flags |= flags_below(f->element);
    for (size_t i = 0; i < f->nfields; i++)
        flags |= flags_below(&f->fields[i]);
    return flags;
}

static enum mio_code read_kind(struct mio_arena *a, struct mio_value v, struct mio_kind *k,
                               struct mio_err *err)
{
    int64_t class = mio_get_i64(v, "create_class", 0);
    if (class < MLOPS_CREATE_D || class > MLOPS_CREATE_C)
        class = MLOPS_CREATE_D; /* a promise we do not know is none */
    *k = (struct mio_kind){.name = mio_get_str(v, "name"),
                           .doc = mio_get_str(v, "doc"),
                           .flags = get_u32(v, "flags"),
                           .create_class = (enum mlops_create_class) class,
                           .settle_ms = get_u32(v, "settle_ms"),
                           .create_timeout_s = get_u32(v, "create_timeout_s"),
                           .update_timeout_s = get_u32(v, "update_timeout_s"),
                           .delete_timeout_s = get_u32(v, "delete_timeout_s"),
                           .read_timeout_s = get_u32(v, "read_timeout_s"),
                           .schema_version = get_u32(v, "schema_version")};
    k->root = (struct mio_field){.name = k->name, .type = MLOPS_OBJECT};
    if (!is_name(k->name))
        return mio_fail(err, MIO_PROVIDER, "\"%.*s\" is no name of a kind", MIO_FMT(k->name));
    if (read_fields(a, mio_get_z(v, "fields"), &k->root, err))
        return mio_err_wrap(err, "kind %.*s", MIO_FMT(k->name));
    uint32_t *const timeouts[] = {&k->create_timeout_s, &k->update_timeout_s, &k->delete_timeout_s};
    for (size_t i = 0; i < 3; i++)
        if (*timeouts[i] == 0)
            *timeouts[i] = 1200;
    if (k->read_timeout_s == 0)
        k->read_timeout_s = 60;
    uint32_t flags = flags_below(&k->root);
    k->has_late = flags & MLOPS_LATE;
    k->has_content = flags & MLOPS_CONTENT;
    k->has_ensured = flags & MLOPS_ENSURED;
    return MIO_OK;
}

enum mio_code mio_schema_read(struct mio_arena *a, struct mio_value json, struct mio_schema *out,
                              struct mio_err *err)
{
    struct mio_schema s = {.name = mio_get_str(json, "name"),
                           .version = mio_get_str(json, "version"),
                           .doc = mio_get_str(json, "doc"),
                           .caps = get_u32(json, "caps"),
                           .batch = get_u32(json, "batch"),
                           .threads = get_u32(json, "threads"),
                           .has_validate = get_u32(json, "validate") != 0};
    if (!is_name(s.name))
        return mio_fail(err, MIO_PROVIDER, "the plugin has no name");
    s.config = (struct mio_field){.name = MIO_STR("config"), .type = MLOPS_OBJECT};
    if (read_fields(a, mio_get_z(json, "config"), &s.config, err))
        return mio_err_wrap(err, "settings");
    const struct mio_value *list = mio_get_z(json, "kinds");
    uint32_t n = list && list->type == MIO_LIST ? list->n : 0;
    struct mio_kind *kinds = MIO_NEW_N(a, struct mio_kind, n + 1);
    for (uint32_t i = 0; i < n; i++)
        if (read_kind(a, list->items[i], &kinds[i], err))
            return err->code;
    qsort(kinds, n, sizeof *kinds, by_kind_name);
    for (uint32_t i = 1; i < n; i++)
        if (mio_str_eq(kinds[i - 1].name, kinds[i].name))
            return mio_fail(err, MIO_PROVIDER, "kind \"%.*s\" is there twice",
                            MIO_FMT(kinds[i].name));
    s.kinds = kinds;
    s.nkinds = n;
    *out = s;
    return MIO_OK;
}

/* ---- questions ---- */

const struct mio_kind *mio_schema_kind(const struct mio_schema *s, struct mio_str name)
{
    struct mio_kind key = {.name = name};
    return s->nkinds ? bsearch(&key, s->kinds, s->nkinds, sizeof key, by_kind_name) : NULL;
}

const struct mio_field *mio_field_get(const struct mio_field *object, struct mio_str name)
{
    size_t low = 0, high = object->nfields;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = mio_str_cmp(object->fields[mid].name, name);
        if (!c)
            return &object->fields[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct mio_field *mio_field_at(const struct mio_field *object, struct mio_str path)
{
    const struct mio_field *f = object;
    while (path.n > 0 && f) {
        ptrdiff_t dot = mio_str_find(path, '.');
        struct mio_str step = mio_str_sub(path, 0, dot < 0 ? path.n : (size_t)dot);
        path = dot < 0 ? MIO_STR("") : mio_str_sub(path, (size_t)dot + 1, path.n);
        switch (f->type) {
        case MLOPS_OBJECT:
            f = mio_field_get(f, step);
            break;
        case MLOPS_LIST:
        case MLOPS_MAP:
            if (!f->element)
                return f; /* anything may be below: the rules of the whole hold */
            f = f->element;
            break;
        case MLOPS_ANY:
            return f;
        case MLOPS_STRING:
        case MLOPS_NUMBER:
        case MLOPS_INTEGER:
        case MLOPS_BOOL:
            return NULL;
        }
    }
    return f;
}

bool mio_field_is_input(const struct mio_field *f)
{
    return !(f->flags & MLOPS_COMPUTED) || (f->flags & MLOPS_OPTIONAL);
}
