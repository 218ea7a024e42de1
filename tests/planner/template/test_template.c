/* tests/planner/template/test_template.c: what a template directory is as a whole: digest, variable
 * files, single documents, budgets. What one can see in text is in tests/cases/template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/template/azureml.h"
#include "planner/template/template.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"
#include <unistd.h>

static struct mio_arena arena;
static struct mio_diags diags;
static struct mio_sources sources;
static char dir[64];

static int set_up(void **state)
{
    (void)state;
    mio_arena_init(&arena);
    mio_diags_init(&diags, &arena);
    sources = (struct mio_sources){0};
    snprintf(dir, sizeof dir, "/tmp/mio-template-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct mio_err err = {0};
    mio_fs_remove_tree(dir, &err);
    mio_arena_free(&arena);
    return 0;
}

static const char *file(const char *name, const char *text)
{
    struct mio_err err = {0};
    struct mio_str path = mio_arena_printf(&arena, "%s/%s", dir, name);
    mio_fs_mkdirs(mio_arena_z(&arena, mio_path_dir(path)), 0700, &err);
    assert_int_equal(mio_fs_replace(path.p, mio_str_z(text), 0600, &err), MIO_OK);
    return path.p;
}

static struct mio_template *load(const char *stage)
{
    struct mio_template *t = NULL;
    struct mio_template_opts o = {.dir = dir, .stage = stage, .sources = &sources};
    return mio_template_load(&arena, &o, &t, &diags) == MIO_OK ? t : NULL;
}

static const char *last_message(void)
{
    return diags.n ? diags.items[diags.n - 1].err.message : "";
}

static void the_digest_covers_every_file(void **state)
{
    (void)state;
    file("main.yaml", "modules: { m: { source: ./m } }\n");
    file("m/main.yaml", "locals: { a: 1 }\n");
    file("stages/dev.yaml", "description: x\n");
    file("notes.txt", "x\n");
    struct mio_str first = load("dev")->digest;
    assert_int_equal(first.n, 64);
    file("notes.txt", "y\n");
    assert_true(mio_str_eq(first, load("dev")->digest));
    file("m/main.yaml", "locals: { a: 2 }\n");
    struct mio_str module = load("dev")->digest;
    assert_false(mio_str_eq(first, module));
    file("stages/dev.yaml", "description: y\n");
    struct mio_str stage = load("dev")->digest;
    assert_false(mio_str_eq(module, stage));
    file("other.yaml", "");
    assert_false(mio_str_eq(stage, load("dev")->digest));
}

static void the_digest_tells_names_from_bytes(void **state)
{
    (void)state;
    file("a.yaml", "locals: { a: 1 }\n");
    struct mio_str one = load("")->digest;
    assert_int_equal(unlink(mio_arena_printf(&arena, "%s/a.yaml", dir).p), 0);
    file("b.yaml", "locals: { a: 1 }\n");
    assert_false(mio_str_eq(one, load("")->digest));
}

static void reads_variable_files(void **state)
{
    (void)state;
    const struct mio_node *n = NULL;
    const char *good = file("x.yaml", "a: 1\nb: [x, y]\n");
    assert_int_equal(mio_varfile_load(&arena, good, &sources, &n, &diags), MIO_OK);
    assert_true(mio_str_is(mio_node_get(n, "a")->text, "1"));
    const char *list = file("l.yaml", "- 1\n");
    assert_int_equal(mio_varfile_load(&arena, list, &sources, &n, &diags), MIO_TEMPLATE);
    assert_string_equal(last_message(),
                        "a variable file must be a mapping of `name: ...`, this is a list");
    const char *expr = file("e.yaml", "a: ${1}\n");
    assert_int_equal(mio_varfile_load(&arena, expr, &sources, &n, &diags), MIO_TEMPLATE);
    assert_string_equal(last_message(), "a variable file holds plain values, no expressions");
    assert_int_equal(mio_varfile_load(&arena, "/nowhere/x.yaml", &sources, &n, &diags), MIO_IO);
}

static void checks_single_documents(void **state)
{
    (void)state;
    const struct mio_node *n = NULL;
    struct mio_azureml_doc doc;
    struct mio_azureml_opts paths = {0}, none = {.no_paths = true};
    const char *path = file("jobs/train.yml", "type: command\ncommand: python t.py\ncode: src\n"
                                              "environment: azureml:e:1\n");
    assert_int_equal(mio_azureml_file(&arena, path, &none, &sources, &n, &doc, &diags), MIO_OK);
    assert_string_equal(mio_azureml_entity_name(doc.entity), "commandJob");
    assert_int_equal(mio_azureml_file(&arena, path, &paths, &sources, &n, &doc, &diags),
                     MIO_TEMPLATE);
    assert_string_equal(last_message(), "there is no file or folder src");
    assert_true(mio_str_is(sources.items[1].path, path));
    file("jobs/src/t.py", "");
    assert_int_equal(mio_azureml_file(&arena, path, &paths, &sources, &n, &doc, &diags), MIO_OK);
}

static void counts_errors_and_modules(void **state)
{
    (void)state;
    MIO_AUTO_BUF text = {0};
    mio_buf_z(&text, "modules:\n");
    for (int i = 0; i < 1100; i++)
        mio_buf_printf(&text, "  m%d: { source: ./m }\n", i);
    file("main.yaml", text.p);
    file("m/main.yaml", "locals: { a: 1 }\n");
    assert_null(load(""));
    assert_string_equal(diags.items[0].err.message,
                        "more than 1000 module calls, or modules more than 16 deep");
    mio_buf_reset(&text);
    mio_buf_z(&text, "resources:\n  thing:\n");
    for (int i = 0; i < 2000; i++)
        mio_buf_printf(&text, "    t%d: { depends_on: x }\n", i);
    file("main.yaml", text.p);
    mio_diags_init(&diags, &arena);
    assert_null(load(""));
    assert_int_equal(diags.errors, 501);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_digest_covers_every_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_digest_tells_names_from_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_variable_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checks_single_documents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_errors_and_modules, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
