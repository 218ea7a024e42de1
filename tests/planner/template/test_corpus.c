/* tests/planner/template/test_corpus.c: documents that others wrote, and one of each kind of our
 * own. Every one of them is an entity or is refused with a reason; written out as `show -azureml`
 * writes it and read again it is the same resource.
 *
 * The corpus is where MIO_CORPUS says, or in shared/corpus beside the sources or beside the folder
 * that holds them; without it that part is skipped (exit 77). The tables of docs/azureml.md are
 * made here, and compared: `test_corpus --write` writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "planner/template/azureml.h"
#include "planner/template/emit.h"
#include "planner/template/format.h"
#include "providers/sdk/fs.h"

#define PAGE_FROM "<!-- made by test_corpus --write -->\n"
#define PAGE_TO "<!-- to here -->\n"

struct tally {
    struct mio_str what, kind;
    size_t n;
};
struct tallies {
    struct tally rows[80];
    size_t n;
};
struct corpus {
    struct tallies entities, reasons;
    size_t files, loaded, edges, different, formatted;
    size_t forms[MIO_AZUREML_X_FORMS];
    bool refusals_are_wrong, format_only;
};
static struct mio_arena arena;
static bool rewrite;

static const char *const form_words[MIO_AZUREML_X_FORMS] = {
    [MIO_AZUREML_X_INPUT] = "`${{inputs.X}}`",
    [MIO_AZUREML_X_OUTPUT] = "`${{outputs.X}}`",
    [MIO_AZUREML_X_PARENT_INPUT] = "`${{parent.inputs.X}}`",
    [MIO_AZUREML_X_PARENT_OUTPUT] = "`${{parent.outputs.X}}`",
    [MIO_AZUREML_X_STEP_OUTPUT] = "`${{parent.jobs.J.outputs.X}}`",
    [MIO_AZUREML_X_SEARCH] = "`${{search_space.X}}`",
    [MIO_AZUREML_X_NAME] = "`${{name}}`",
    [MIO_AZUREML_X_DATASTORE] = "`${{default_datastore}}`",
    [MIO_AZUREML_X_OPTIONAL] = "`$[[...]]`",
};

static void count(struct tallies *t, struct mio_str what, struct mio_str kind)
{
    size_t i = 0;
    while (i < t->n && !mio_str_eq(t->rows[i].what, what))
        i++;
    assert_true(i < sizeof t->rows / sizeof *t->rows);
    if (i == t->n)
        t->rows[t->n++] =
            (struct tally){mio_arena_str(&arena, what), mio_arena_str(&arena, kind), 0};
    t->rows[i].n++;
}

static const struct mio_node *parse(struct mio_arena *a, struct mio_str text,
                                    struct mio_diags *diags)
{
    struct mio_source item = {.path = MIO_STR("x.yml"), .text = text};
    struct mio_sources sources = {&item, 1, 1};
    mio_diags_init(diags, a);
    return mio_yaml_parse(a, &sources, 1, false, diags);
}

static bool check(struct mio_arena *a, const char *path, const struct mio_node *n,
                  struct mio_azureml_doc *doc, struct mio_diags *diags)
{
    struct mio_azureml_opts o = {.dir = mio_path_dir(mio_str_z(path)), .no_paths = true};
    return mio_azureml_check(a, n, &o, doc, diags) == MIO_OK;
}

/* Written out and read again: the same tree, and the same resource. */
static bool same_again(struct mio_arena *a, const char *path, const struct mio_node *n,
                       const struct mio_azureml_doc *doc)
{
    MIO_AUTO_BUF out = {0};
    struct mio_diags diags;
    struct mio_azureml_doc two = {0};
    mio_node_emit(&out, n);
    const struct mio_node *again = parse(a, mio_buf_view(&out), &diags);
    return again && mio_node_same(n, again) && check(a, path, again, &two, &diags) &&
           two.entity == doc->entity && mio_str_eq(two.kind, doc->kind) &&
           mio_str_eq(two.name, doc->name) && mio_str_eq(two.version, doc->version) &&
           two.nedges == doc->nedges && two.nmissing == doc->nmissing;
}

/* The text without white space: what fmt must leave as it is, comments and quotes included. */
static struct mio_str inked(struct mio_arena *a, struct mio_str text)
{
    char *out = mio_arena_alloc(a, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (!memchr(" \t\r\n", text.p[i], 4))
            out[n++] = text.p[i];
    return (struct mio_str){out, n};
}

/* Parsed, laid out and parsed again: the same document, only its white space differs; laid out once
 * more nothing changes. */
static void check_format(struct corpus *c, struct mio_arena *a, const char *path,
                         const struct mio_node *n, struct mio_str text)
{
    struct mio_sources sources = {0};
    struct mio_diags diags;
    struct mio_str out, more;
    mio_diags_init(&diags, a);
    if (mio_format(a, text, MIO_STR("x.yml"), &sources, &out, &diags) != MIO_OK ||
        mio_format(a, out, MIO_STR("x.yml"), &sources, &more, &diags) != MIO_OK ||
        !mio_str_eq(out, more) || !mio_str_eq(inked(a, text), inked(a, out)) ||
        !mio_node_same(n, parse(a, out, &diags)))
        fail_msg("%s is not the same after fmt", path);
    c->formatted++;
}

/* The reason as the table groups it: what one document alone says is left out. */
static struct mio_str reason(const struct mio_azureml_doc *doc, const char *message)
{
    static const char but[] = "this is no Azure ML entity, but ";
    if (doc->entity)
        return MIO_STR("an entity with a mistake of its own");
    if (strstr(message, "is here a second time"))
        return MIO_STR("a key stands in it twice");
    return mio_str_z(strncmp(message, but, sizeof but - 1) ? message : message + sizeof but - 1);
}

static void document(struct corpus *c, const char *path)
{
    struct mio_arena a;
    struct mio_err err = {0};
    struct mio_diags diags;
    struct mio_str text;
    struct mio_azureml_doc doc = {0};
    mio_arena_init(&a);
    assert_int_equal(mio_fs_read(&a, path, 4 << 20, &text, NULL, &err), MIO_OK);
    const struct mio_node *n = parse(&a, text, &diags);
    c->files++;
    if (n)
        check_format(c, &a, path, n, text);
    if (c->format_only) {
        assert_non_null(n);
    } else if (n && check(&a, path, n, &doc, &diags)) {
        assert_true(mio_azureml_text(text));
        count(&c->entities, mio_str_z(mio_azureml_entity_name(doc.entity)), doc.kind);
        c->loaded++;
        c->edges += doc.nedges;
        for (size_t i = 0; i < MIO_AZUREML_X_FORMS; i++)
            c->forms[i] += doc.expressions[i];
        if (!same_again(&a, path, n, &doc)) {
            print_message("%s: not the same when written out and read again\n", path);
            c->different++;
        }
    } else {
        const struct mio_err *last = &diags.items[diags.n - 1].err;
        count(&c->reasons, reason(&doc, last->message), MIO_STR(""));
        if (c->refusals_are_wrong)
            fail_msg("%s:%u: %s", path, last->pos.line, last->message);
    }
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

/* The corpus's folder, or NULL. */
static const char *corpus_folder(void)
{
    const char *source = getenv("MIO_SOURCE"), *said = getenv("MIO_CORPUS");
    static const char *const beside[] = {"..", "../.."};
    for (size_t i = 0; !said && source && i < 2; i++) {
        const char *path = mio_arena_printf(&arena, "%s/%s/shared/corpus", source, beside[i]).p;
        if (mio_fs_is_dir(path))
            return path;
    }
    return said;
}

static int by_kind(const void *x, const void *y)
{
    const struct tally *a = x, *b = y;
    int c = mio_str_cmp(a->kind, b->kind);
    return c ? c : a->n != b->n ? (a->n < b->n ? 1 : -1) : mio_str_cmp(a->what, b->what);
}

static size_t placeholders(const struct corpus *c)
{
    for (size_t i = 0; i < c->reasons.n; i++)
        if (mio_str_find(c->reasons.rows[i].what, '{') >= 0)
            return c->reasons.rows[i].n;
    return 0;
}

static void put_tables(struct mio_buf *b, struct corpus *c)
{
    qsort(c->entities.rows, c->entities.n, sizeof *c->entities.rows, by_kind);
    qsort(c->reasons.rows, c->reasons.n, sizeof *c->reasons.rows, by_kind);
    mio_buf_printf(b,
                   "There are %zu YAML files. %zu are well formed, the others hold placeholders "
                   "(`{{NAME}}`) to be\nfilled in first. %zu load as resources; their steps are "
                   "joined by %zu edges.\n\n| kind | document | files |\n|---|---|---|\n",
                   c->files, c->files - placeholders(c), c->loaded, c->edges);
    for (size_t i = 0; i < c->entities.n; i++)
        mio_buf_printf(b, "| %.*s | %.*s | %zu |\n", MIO_FMT(c->entities.rows[i].kind),
                       MIO_FMT(c->entities.rows[i].what), c->entities.rows[i].n);
    mio_buf_printf(b, "\n%zu are refused:\n\n| because it is, or because | files |\n|---|---|\n",
                   c->files - c->loaded);
    for (size_t i = 0; i < c->reasons.n; i++)
        mio_buf_printf(b, "| %.*s | %zu |\n", MIO_FMT(c->reasons.rows[i].what),
                       c->reasons.rows[i].n);
    mio_buf_z(b, "\nThe nine forms of expressions in those that load:\n\n"
                 "| form | times |\n|---|---|\n");
    for (size_t i = 0; i < MIO_AZUREML_X_FORMS; i++)
        mio_buf_printf(b, "| %s | %zu |\n", form_words[i], c->forms[i]);
}

/* The page's tables are these; with --write they become these. */
static void compare_page(const struct mio_buf *tables)
{
    struct mio_err err = {0};
    struct mio_str page;
    const char *path = mio_arena_printf(&arena, "%s/docs/azureml.md", getenv("MIO_SOURCE")).p;
    assert_int_equal(mio_fs_read(&arena, path, 1 << 20, &page, NULL, &err), MIO_OK);
    const char *from = strstr(page.p, PAGE_FROM), *to = strstr(page.p, PAGE_TO);
    assert_non_null(from);
    assert_non_null(to);
    from += strlen(PAGE_FROM);
    struct mio_str old = {from, (size_t)(to - from)};
    if (mio_str_eq(old, mio_buf_view(tables)))
        return;
    if (!rewrite)
        fail_msg("docs/azureml.md has other tables; test_corpus --write makes them anew:\n%s",
                 tables->p);
    MIO_AUTO_BUF out = {0};
    mio_buf_str(&out, mio_str_sub(page, 0, (size_t)(from - page.p)));
    mio_buf_str(&out, mio_buf_view(tables));
    mio_buf_z(&out, to);
    assert_int_equal(mio_fs_replace(path, mio_buf_view(&out), 0644, &err), MIO_OK);
}

static void reads_what_others_wrote(void **state)
{
    (void)state;
    const char *folder = corpus_folder();
    if (!folder) {
        print_message("no corpus: set MIO_CORPUS to the folder that holds azureml-examples/\n");
        skip();
    }
    struct corpus c = {0};
    MIO_AUTO_BUF tables = {0};
    walk(&c, mio_arena_printf(&arena, "%s/azureml-examples", folder));
    put_tables(&tables, &c);
    assert_int_equal(c.different, 0);
    assert_true(c.formatted > 560);
    compare_page(&tables);
}

/* One document of each kind, written for this test; it runs everywhere. */
static void reads_one_of_each_kind(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "component",   "compute", "connection", "data",    "datastore", "deployment", "endpoint",
        "environment", "job",     "model",      "monitor", "registry",  "schedule",   "workspace"};
    struct corpus c = {.refusals_are_wrong = true};
    walk(&c, mio_arena_printf(&arena, "%s/tests/planner/template/documents", getenv("MIO_SOURCE")));
    assert_int_equal(c.different, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t k = 0;
        while (k < c.entities.n && !mio_str_is(c.entities.rows[k].kind, kinds[i]))
            k++;
        if (k == c.entities.n)
            fail_msg("no document of the kind %s", kinds[i]);
    }
    for (size_t i = 0; i < MIO_AZUREML_X_FORMS; i++)
        if (!c.forms[i])
            fail_msg("no %s in any of them", form_words[i]);
    assert_true(c.edges > 0);
}

static void lays_out_what_is_shipped(void **state)
{
    (void)state;
    static const char *const folders[] = {"modules", ".cloud"};
    struct corpus c = {.format_only = true};
    for (size_t i = 0; i < 2; i++)
        walk(&c, mio_arena_printf(&arena, "%s/%s", getenv("MIO_SOURCE"), folders[i]));
    assert_true(c.formatted > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_one_of_each_kind),
        cmocka_unit_test(lays_out_what_is_shipped),
        cmocka_unit_test(reads_what_others_wrote),
    };
    rewrite = argc > 1 && !strcmp(argv[1], "--write");
    mio_arena_init(&arena);
    bool there = corpus_folder();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mio_arena_free(&arena);
    return failed ? 1 : there ? 0 : 77;
}
