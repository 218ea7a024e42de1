/* tests/providers/environment/test_conda_file.c: what becomes of the names in an environment.yml.
 */
#include "providers/environment/conda_file.h"
#include "providers/sdk/json.h"
#include "tests/providers/environment/support.h"

/* The rewritten body as JSON, or the error. */
static const char *mapped(struct bed *b, const char *body_json, const char *yaml)
{
    struct mio_value body, out;
    memset(&b->err, 0, sizeof b->err);
    const char *path = mio_arena_printf(&b->a, "%s/environment.yml", b->folder).p;
    assert_int_equal(mio_fs_replace(path, mio_str_z(yaml), 0644, &b->err), MIO_OK);
    assert_int_equal(mio_json_read(&b->a, mio_str_z(body_json), NULL, &body, &b->err), MIO_OK);
    if (mio_env_conda_file(&b->a, body, b->folder, &out, &b->err))
        return b->err.message;
    out = mio_map_without(&b->a, out, MIO_STR("conda_file"));
    MIO_AUTO_BUF text;
    mio_buf_init(&text, 0);
    mio_json_write(&text, out, MIO_JSON_PLAIN);
    return mio_arena_z(&b->a, mio_buf_view(&text));
}

#define FILE_BODY "{\"conda_file\":\"environment.yml\"}"

static void names_and_versions_are_mapped(void **state)
{
    struct bed *b = *state;
    assert_string_equal(
        mapped(
            b, FILE_BODY,
            "name: e\nchannels: [conda-forge]\ndependencies:\n  - python=3.10\n  - pip\n  - numpy\n"
            "  - conda-forge::scikit-learn=1.2\n  - pandas==2.0.3\n  - 'scipy>=1.7,<2'\n  - Pillow "
            "9.*\n"
            "  - pytorch=2.1\n  - git\n  - pip:\n    - azureml-defaults\n    - "
            "'inference-schema[numpy]==1.3'\n"
            "    - -r sub/more.txt\n"),
        "{\"debian\":{\"packages\":[\"git\"]},\"python\":{\"from\":\"sub/"
        "more.txt\",\"packages\":["
        "\"numpy\",\"scikit-learn==1.2.*\",\"pandas==2.0.3\",\"scipy>=1.7,<2\",\"pillow==9.*\","
        "\"torch==2.1.*\",\"azureml-defaults\",\"inference-schema[numpy]==1.3\"],\"version\":\"3."
        "10\"}}");
}

static void what_is_declared_wins_and_stays(void **state)
{
    struct bed *b = *state;
    assert_string_equal(
        mapped(b,
               "{\"conda_file\":{\"dependencies\":[\"python=3.8.5\",\"dask\"]},\"debian\":{"
               "\"packages\":[\"jq\"]},\"python\":{\"version\":\"3.11\",\"packages\":[\"x\"]}}",
               ""),
        "{\"debian\":{\"packages\":[\"jq\"]},\"python\":{\"packages\":[\"x\",\"dask\"],"
        "\"version\":\"3.11\"}}");
    assert_string_equal(mapped(b, "{\"a\":1}", ""), "{\"a\":1}");
}

static void what_only_conda_has_is_named(void **state)
{
    struct bed *b = *state;
    static const char *const rows[][2] = {
        {"dependencies: [python=3.8, cudatoolkit=11, numpy, mkl]\n",
         "under these names: cudatoolkit, mkl"},
        {"dependencies: [python=3.8, numpy=1.21=py38_0]\n",
         "numpy=1.21=py38_0 names a build of conda"},
        {"dependencies: [python=3.8, 'numpy 1.21 py38_0']\n", "names a build of conda"},
        {"dependencies: [python=3.8, 'numpy=1.20|1.21']\n", "chooses among versions"},
        {"dependencies: ['python>=3.8']\n", "names no single Python"},
        {"dependencies: [numpy]\n", "names no Python, and python.version is missing"},
        {"dependencies: [python=3.8]\nvariables: {A: b}\n",
         "variables: is not taken over: write it under env"},
        {"dependencies: 1\n", "environment.yml: it has no list of dependencies"},
        {"dependencies: [\n", "environment.yml: line 2: "},
        {"a: &a [x, x]\nb: &b [*a, *a]\n", "a: is not taken over"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *said = mapped(b, FILE_BODY, rows[i][0]);
        if (!strstr(said, rows[i][1]))
            fail_msg("%s", said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(names_and_versions_are_mapped),
        T(what_is_declared_wins_and_stays),
        T(what_only_conda_has_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
