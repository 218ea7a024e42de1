/* tests/planner/template/test_azureml.c: references and expressions of Azure ML taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/template/azureml.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
