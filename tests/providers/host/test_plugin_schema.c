/* tests/providers/host/test_plugin_schema.c: tables of a plugin to JSON and back: sdk/schema.c. */
#include "tests/providers/host/odd.h"

#define FIELD .size = sizeof(struct mlops_field)
static const struct mlops_field number = {FIELD, .type = MLOPS_NUMBER, .name = "n",
                                          .flags = MLOPS_LATE};
static const struct mlops_field inner[] = {
    {FIELD, .type = MLOPS_STRING, .name = "zone", .flags = MLOPS_CREATE_ONLY, .allowed = "a|b|c"},
    {FIELD, .type = MLOPS_ANY, .name = "free"},
    {0}};
static const struct mlops_field fields[] = {
    {FIELD, .type = MLOPS_INTEGER, .name = "size", .dflt = "3", .minimum = "1", .maximum = "9",
     .unit = "GiB", .doc = "How \"large\"."},
    {FIELD, .type = MLOPS_MAP, .name = "traffic", .element = &number},
    {FIELD, .type = MLOPS_LIST, .name = "disks", .element = &inner[1]},
    {FIELD, .type = MLOPS_OBJECT, .name = "place", .fields = inner},
    {FIELD, .type = MLOPS_STRING, .name = "id", .flags = MLOPS_COMPUTED},
    {FIELD, .type = MLOPS_STRING, .name = "ip", .flags = MLOPS_COMPUTED | MLOPS_OPTIONAL},
    {0}};
static const struct mlops_kind kinds[] = {
    {.size = sizeof(struct mlops_kind),
     .name = "vm",
     .create_class = MLOPS_CREATE_A,
     .fields = fields,
     .update_timeout_s = 7},
    {.size = sizeof(struct mlops_kind), .name = "disk", .flags = MLOPS_KIND_ASSET},
    {0}};

static enum mio_code pass(struct mio_arena *a, const struct mlops_provider *p, struct mio_schema *s,
                          struct mio_err *err)
{
    MIO_AUTO_BUF json;
    mio_buf_init(&json, 0);
    mio_schema_write(&json, p);
    struct mio_value v;
    enum mio_code code = mio_json_read(a, mio_arena_str(a, mio_buf_view(&json)), NULL, &v, err);
    return code ? code : mio_schema_read(a, v, s, err);
}

static void round_trip(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_schema s;
    struct mlops_provider p = {.size = sizeof p,
                               .name = "x",
                               .version = "1.2",
                               .kinds = kinds,
                               .caps = MLOPS_CAP_LIST,
                               .threads = 3};
    assert_int_equal(pass(&a, &p, &s, &err), MIO_OK);
    assert_int_equal(s.nkinds, 2);
    assert_int_equal(s.threads, 3);
    assert_false(s.has_validate);
    assert_true(mio_str_is(s.kinds[0].name, "disk")); /* sorted */
    const struct mio_kind *vm = mio_schema_kind(&s, MIO_STR("vm"));
    assert_int_equal(vm->create_class, MLOPS_CREATE_A);
    assert_int_equal(vm->update_timeout_s, 7);
    assert_int_equal(vm->create_timeout_s, 1200);
    assert_int_equal(vm->read_timeout_s, 60);
    assert_true(vm->has_late);
    assert_false(vm->has_content);
    const struct mio_field *size = mio_field_get(&vm->root, MIO_STR("size"));
    assert_true(size->has_default);
    assert_true(mio_str_is(mio_value_str(size->dflt), "3"));
    assert_true(mio_str_is(size->maximum, "9"));
    assert_true(mio_str_is(size->doc, "How \"large\"."));
    const struct mio_field *zone = mio_field_at(&vm->root, MIO_STR("place.zone"));
    assert_int_equal(zone->nallowed, 3);
    assert_true(mio_str_is(zone->allowed[1], "b"));
    mio_arena_free(&a);
}

static void paths(void **state)
{
    (void)state;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_err err = {0};
    struct mio_schema s;
    struct mlops_provider p = {.size = sizeof p, .name = "x", .version = "1", .kinds = kinds};
    assert_int_equal(pass(&a, &p, &s, &err), MIO_OK);
    const struct mio_field *root = &mio_schema_kind(&s, MIO_STR("vm"))->root;
    assert_int_equal(mio_field_at(root, MIO_STR("traffic.blue"))->type, MLOPS_NUMBER);
    assert_int_equal(mio_field_at(root, MIO_STR("disks.0"))->type, MLOPS_ANY);
    assert_int_equal(mio_field_at(root, MIO_STR("disks.0.deep.down"))->type, MLOPS_ANY);
    assert_ptr_equal(mio_field_at(root, MIO_STR("")), root);
    assert_null(mio_field_at(root, MIO_STR("place.street")));
    assert_null(mio_field_at(root, MIO_STR("size.x")));
    assert_true(mio_field_is_input(mio_field_get(root, MIO_STR("size"))));
    assert_false(mio_field_is_input(mio_field_get(root, MIO_STR("id"))));
    assert_true(mio_field_is_input(mio_field_get(root, MIO_STR("ip"))));
    mio_arena_free(&a);
}

/* A plugin of an older minor version has shorter structs, one of a newer one longer: both are
 * stepped through right, and what is not there reads as zero. */
struct old_field {
    uint32_t size, flags;
    int32_t type;
    const char *name, *doc;
};
struct new_field {
    struct mlops_field now;
    const char *tomorrow[3];
};

static void other_sizes(void **state)
{
    (void)state;
    static const struct old_field old[] = {
        {sizeof(struct old_field), MLOPS_REQUIRED, MLOPS_STRING, "one", "The first."},
        {sizeof(struct old_field), 0, MLOPS_BOOL, "two", NULL},
        {0}};
    static const struct new_field new[] = {
        {{.size = sizeof(struct new_field), .type = MLOPS_STRING, .name = "one"}, {"x", "y", "z"}},
        {{.size = sizeof(struct new_field), .type = MLOPS_BOOL, .name = "two", .dflt = "true"},
         {0}},
        {{0}, {0}}};
    const struct mlops_field *const tables[] = {(const struct mlops_field *)(const void *)old,
                                                (const struct mlops_field *)(const void *)new};
    for (int i = 0; i < 2; i++) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_err err = {0};
        struct mio_schema s;
        struct mlops_provider p = {.size = offsetof(struct mlops_provider, kinds),
                                   .name = "x",
                                   .version = "1",
                                   .config = tables[i],
                                   .kinds = kinds};
        assert_int_equal(pass(&a, &p, &s, &err), MIO_OK);
        assert_int_equal(s.nkinds, 0); /* beyond the declared size: not there */
        assert_int_equal(s.config.nfields, 2);
        assert_int_equal(mio_field_get(&s.config, MIO_STR("one"))->type, MLOPS_STRING);
        assert_int_equal(mio_field_get(&s.config, MIO_STR("two"))->has_default, i == 1);
        mio_arena_free(&a);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct mlops_field twice[] = {
        {FIELD, .type = MLOPS_BOOL, .name = "a"}, {FIELD, .type = MLOPS_BOOL, .name = "a"}, {0}};
    static const struct mlops_field no_type[] = {{FIELD, .name = "a"}, {0}};
    static const struct mlops_field bad_default[] = {
        {FIELD, .type = MLOPS_STRING, .name = "a", .dflt = "unquoted"}, {0}};
    static const struct mlops_field bad_name[] = {{FIELD, .type = MLOPS_BOOL, .name = "a b"}, {0}};
    static const struct mlops_field bad_limit[] = {
        {FIELD, .type = MLOPS_NUMBER, .name = "a", .minimum = "low"}, {0}};
    static const struct {
        const struct mlops_field *table;
        const char *message;
    } cases[] = {{twice, "twice"},
                 {no_type, "no type"},
                 {bad_default, "no JSON"},
                 {bad_name, "no name"},
                 {bad_limit, "no number"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_err err = {0};
        struct mio_schema s;
        struct mlops_provider p = {
            .size = sizeof p, .name = "x", .version = "1", .config = cases[i].table};
        assert_int_equal(pass(&a, &p, &s, &err), MIO_PROVIDER);
        assert_has(err.message, cases[i].message);
        mio_arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(paths),
                                       cmocka_unit_test(other_sizes), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
