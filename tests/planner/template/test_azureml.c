/* tests/planner/template/test_azureml.c: documents that others wrote, when MIO_CORPUS names the
 * folder that holds azureml-examples/: every one of them is an entity or refused with a reason;
 * written out and read again it is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/template/azureml.h"
#include "planner/template/emit.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"

static struct mio_arena arena;

struct tally {
    const char *entity;
    size_t n;
};
struct corpus {
    struct tally kinds[64];
    size_t nkinds, files, entities, refused, placeholders, mistaken, different;
    size_t forms[MIO_AZUREML_X_FORMS], edges;
};

static void count(struct corpus *c, const char *entity)
{
    size_t i = 0;
    while (i < c->nkinds && strcmp(c->kinds[i].entity, entity) != 0)
        i++;
    c->nkinds += i == c->nkinds;
    c->kinds[i].entity = entity;
    c->kinds[i].n++;
}

static const struct mio_node *parse(struct mio_arena *a, struct mio_str text,
                                    struct mio_diags *diags)
{
    struct mio_source item = {.path = MIO_STR("x.yml"), .text = text};
    struct mio_sources sources = {&item, 1, 1};
    mio_diags_init(diags, a);
    return mio_yaml_parse(a, &sources, 1, false, diags);
}

static bool same_again(struct mio_arena *a, const struct mio_node *n)
{
    MIO_AUTO_BUF out = {0};
    struct mio_diags diags;
    mio_node_emit(&out, n);
    const struct mio_node *again = parse(a, mio_buf_view(&out), &diags);
    return again && mio_node_same(n, again);
}

static void document(struct corpus *c, const char *path)
{
    struct mio_arena a;
    struct mio_err err = {0};
    struct mio_diags diags;
    struct mio_str text;
    struct mio_azureml_doc doc = {0};
    struct mio_azureml_opts o = {.dir = mio_path_dir(mio_str_z(path)), .no_paths = true};
    mio_arena_init(&a);
    assert_int_equal(mio_fs_read(&a, path, 4 << 20, &text, NULL, &err), MIO_OK);
    const struct mio_node *n = parse(&a, text, &diags);
    c->files++;
    c->different += n && !same_again(&a, n);
    if (!n) {
        c->placeholders += diags.errors && strstr(diags.items[diags.n - 1].err.message, "{{...}}");
        c->refused++;
    } else if (mio_azureml_check(&a, n, &o, &doc, &diags) == MIO_OK) {
        count(c, mio_azureml_entity_name(doc.entity));
        c->entities++;
        c->edges += doc.nedges;
        assert_true(mio_azureml_text(text));
    } else {
        c->refused++;
        c->mistaken += doc.entity != NULL;
        if (doc.entity)
            print_message("%s: %s\n", path, diags.items[diags.n - 1].err.message);
    }
    for (size_t i = 0; i < MIO_AZUREML_X_FORMS; i++)
        c->forms[i] += doc.expressions[i];
    mio_arena_free(&a);
}

static void walk(struct corpus *c, struct mio_str dir)
{
    struct mio_err err = {0};
    struct mio_str *names;
    size_t n;
    assert_int_equal(mio_fs_list(&arena, dir.p, &names, &n, &err), MIO_OK);
    for (size_t i = 0; i < n; i++) {
        struct mio_str path = mio_path_join(&arena, dir, names[i]);
        if (mio_fs_is_dir(path.p))
            walk(c, path);
        else if (mio_str_ends(path, ".yml") || mio_str_ends(path, ".yaml"))
            document(c, path.p);
    }
}

static void reads_what_others_wrote(void **state)
{
    (void)state;
    const char *corpus = getenv("MIO_CORPUS");
    if (!corpus)
        skip();
    struct corpus c = {0};
    mio_arena_init(&arena);
    int64_t from = mio_now_ms();
    walk(&c, mio_arena_printf(&arena, "%s/azureml-examples", corpus));
    print_message("%zu files in %lld ms: %zu entities, %zu refused (%zu placeholders, %zu with "
                  "mistakes), %zu edges\n",
                  c.files, (long long)(mio_now_ms() - from), c.entities, c.refused, c.placeholders,
                  c.mistaken, c.edges);
    for (size_t i = 0; i < c.nkinds; i++)
        print_message("%6zu %s\n", c.kinds[i].n, c.kinds[i].entity);
    mio_arena_free(&arena);
    assert_int_equal(c.files, 575);
    assert_int_equal(c.placeholders, 11);
    assert_int_equal(c.different, 0);
    assert_int_equal(c.entities, 490);
    assert_int_equal(c.mistaken, 1);
    static const size_t forms[] = {316, 119, 274, 60, 122, 7, 11, 2, 11};
    for (size_t i = 0; i < MIO_AZUREML_X_FORMS; i++)
        assert_int_equal(c.forms[i], forms[i]);
}

static void takes_references_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mio_azureml_form form;
        const char *root, *name, *version, *label, *path;
    } rows[] = {
        {"azureml:env:3", MIO_AZUREML_VERSION, "", "env", "3", "", ""},
        {"azureml:env:1.10", MIO_AZUREML_VERSION, "", "env", "1.10", "", ""},
        {"azureml:env@latest", MIO_AZUREML_LABEL, "", "env", "", "latest", ""},
        {"azureml:cpu-cluster", MIO_AZUREML_NAME, "", "cpu-cluster", "", "", ""},
        {"azureml://registries/r/models/m/versions/4", MIO_AZUREML_URI, "r", "m", "4", "", ""},
        {"azureml://registries/r/components/c/labels/latest", MIO_AZUREML_URI, "r", "c", "",
         "latest", ""},
        {"azureml://registries/r/environments/e", MIO_AZUREML_URI, "r", "e", "", "", ""},
        {"azureml://datastores/d/paths/a/b.csv", MIO_AZUREML_URI, "d", "", "", "", "a/b.csv"},
        {"file:./x/y.yml", MIO_AZUREML_FILE, "", "", "", "", "./x/y.yml"},
        {"file:///x/y.yml", MIO_AZUREML_FILE, "", "", "", "", "/x/y.yml"},
        {"./src", MIO_AZUREML_PATH, "", "", "", "", "./src"},
        {"wasbs://c@a.blob.core.windows.net/x", MIO_AZUREML_URL, "", "", "", "",
         "wasbs://c@a.blob.core.windows.net/x"},
        {"runs:/1/model", MIO_AZUREML_RUNS, "", "", "", "", "runs:/1/model"},
        {"/subscriptions/s/x", MIO_AZUREML_ARM_ID, "", "", "", "", "/subscriptions/s/x"},
        {"<CLUSTER>", MIO_AZUREML_BLANK, "", "", "", "", "<CLUSTER>"},
        {"azureml:${{parent.inputs.m}}", MIO_AZUREML_EXPR, "", "", "", "",
         "azureml:${{parent.inputs.m}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_azureml_ref ref;
        const char *why = NULL;
        assert_true(mio_azureml_ref_parse(mio_str_z(rows[i].text), &ref, &why));
        assert_int_equal(ref.form, rows[i].form);
        assert_true(mio_str_is(ref.root, rows[i].root));
        assert_true(mio_str_is(ref.name, rows[i].name));
        assert_true(mio_str_is(ref.version, rows[i].version));
        assert_true(mio_str_is(ref.label, rows[i].label));
        if (ref.path.n || rows[i].path[0])
            assert_true(!rows[i].path[0] || mio_str_is(ref.path, rows[i].path));
    }
}

static void refuses_references(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "azureml:",
                                      "azureml:x:",
                                      "azureml:x@",
                                      "azureml:x:1:2",
                                      "azureml:a b",
                                      "azureml://",
                                      "azureml://registries",
                                      "azureml://registries/r",
                                      "azureml://registries/r/things/x",
                                      "azureml://registries/r/models/m/versions",
                                      "azureml://registries/r/models/m/version/1",
                                      "azureml://registries/r/models/m/versions/1/x",
                                      "azureml://datastores",
                                      "azureml://datastores/d/path/x",
                                      "azureml://nowhere/x",
                                      "file:",
                                      "runs:/",
                                      "https://"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mio_azureml_ref ref;
        const char *why = NULL;
        if (mio_azureml_ref_parse(mio_str_z(bad[i]), &ref, &why))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(why);
    }
}

static void reads_expressions(void **state)
{
    (void)state;
    struct mio_str text =
        MIO_STR("a ${{inputs.x}} ${{ parent.jobs.j-1.outputs.o }} $[[--y ${{inputs.g.y}}]] "
                "${{parent.inputs.p}}${{parent.outputs.q}} ${{name}} ${{default_datastore}} "
                "${{search_space.s}} ${{outputs.z}} $x ${y}");
    static const struct {
        enum mio_azureml_expr_form form;
        const char *step, *name;
    } rows[] = {
        {MIO_AZUREML_X_INPUT, "", "x"},        {MIO_AZUREML_X_STEP_OUTPUT, "j-1", "o"},
        {MIO_AZUREML_X_OPTIONAL, "", ""},      {MIO_AZUREML_X_INPUT, "", "g"},
        {MIO_AZUREML_X_PARENT_INPUT, "", "p"}, {MIO_AZUREML_X_PARENT_OUTPUT, "", "q"},
        {MIO_AZUREML_X_NAME, "", ""},          {MIO_AZUREML_X_DATASTORE, "", ""},
        {MIO_AZUREML_X_SEARCH, "", "s"},       {MIO_AZUREML_X_OUTPUT, "", "z"},
    };
    struct mio_azureml_expr x;
    const char *why = NULL;
    size_t at = 0, n = 0;
    while (mio_azureml_expr_next(text, &at, &x, &why)) {
        assert_true(n < sizeof rows / sizeof *rows);
        assert_int_equal(x.form, rows[n].form);
        assert_true(mio_str_is(x.step, rows[n].step));
        assert_true(mio_str_is(x.name, rows[n].name));
        n++;
    }
    assert_null(why);
    assert_int_equal(n, sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_references_apart),
        cmocka_unit_test(refuses_references),
        cmocka_unit_test(reads_expressions),
        cmocka_unit_test(reads_what_others_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
