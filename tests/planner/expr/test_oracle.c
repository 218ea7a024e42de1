/* tests/planner/expr/test_oracle.c: the recorded answers of Terraform, see oracle/README.md. */
#include "answer.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "providers/sdk/fs.h"

struct fixture {
    struct mio_arena arena;
    char dir[64];
    struct mio_str text;
    size_t lines, wrong;
};

static void fixture_open(struct fixture *f, const char *name)
{
    struct mio_err err = {0};
    char path[512];
    *f = (struct fixture){0};
    mio_arena_init(&f->arena);
    answer_folder_make(f->dir);
    snprintf(path, sizeof path, "%s/tests/planner/expr/oracle/%s",
             getenv("MIO_SOURCE") ? getenv("MIO_SOURCE") : ".", name);
    assert_int_equal(mio_fs_read(&f->arena, path, 16 << 20, &f->text, NULL, &err), MIO_OK);
}

static void fixture_close(struct fixture *f)
{
    answer_folder_remove(f->dir);
    mio_arena_free(&f->arena);
}

/* Cuts the text up to `end` off the front. */
static struct mio_str cut(struct mio_str *s, char end)
{
    ptrdiff_t at = mio_str_find(*s, end);
    struct mio_str head = at < 0 ? *s : mio_str_sub(*s, 0, (size_t)at);
    *s = at < 0 ? (struct mio_str){s->p + s->n, 0} : mio_str_sub(*s, (size_t)at + 1, s->n);
    return head;
}

static void compare(struct fixture *f, struct mio_str what, struct mio_str want, struct mio_str got)
{
    f->lines++;
    if (mio_str_eq(want, got))
        return;
    f->wrong++;
    print_error("%.*s\n  want %.*s\n  got  %.*s\n", MIO_FMT(what), MIO_FMT(want), MIO_FMT(got));
}

/* The answer to an expression of cases.tsv, or, with variables, of flows.tsv. */
static void check(struct fixture *f, struct mio_str variables, struct mio_str expression,
                  struct mio_str want)
{
    struct mio_arena a;
    mio_arena_init(&a);
    compare(f, expression, want,
            variables.n ? answer_flow(&a, f->dir, answer_names(&a, variables), expression)
                        : answer(&a, f->dir, expression));
    mio_arena_free(&a);
}

static void check_file(const char *name, struct mio_str variables, size_t least)
{
    struct fixture f;
    fixture_open(&f, name);
    while (f.text.n) {
        struct mio_str line = cut(&f.text, '\n');
        struct mio_str expression = cut(&line, '\t');
        check(&f, variables, expression, line);
    }
    assert_true(f.lines >= least);
    assert_int_equal(f.wrong, 0);
    fixture_close(&f);
}

/* Differences that are meant: a new one, or one that went away, shows up here. Each names the row
 * of the documentation that tells it. */
static void check_known(const char *name, struct mio_str variables, size_t most)
{
    struct fixture f, page;
    fixture_open(&f, name);
    fixture_open(&page, "../../../../docs/language.md");
    while (f.text.n) {
        struct mio_str line = cut(&f.text, '\n');
        struct mio_str expression = cut(&line, '\t'), theirs = cut(&line, '\t'),
                       ours = cut(&line, '\t');
        struct mio_str shown = mio_str_eq(line, MIO_STR("`&&` and `||`"))
                                   ? MIO_STR("`&&` and `\\|\\|`") /* as a table needs it */
                                   : line;
        struct mio_str row = mio_arena_printf(&f.arena, "\n| %.*s | ", MIO_FMT(shown));
        if (!line.n || !memmem(page.text.p, page.text.n, row.p, row.n))
            fail_msg("docs/language.md has no row \"%.*s\"", MIO_FMT(line));
        assert_false(mio_str_eq(theirs, ours));
        check(&f, variables, expression, ours);
    }
    assert_int_equal(f.wrong, 0);
    assert_true(f.lines <= most);
    fixture_close(&page);
    fixture_close(&f);
}

static void test_cases(void **state)
{
    (void)state;
    check_file("cases.tsv", MIO_STR(""), 2900);
    check_known("known.tsv", MIO_STR(""), 10);
}

static void test_flows(void **state)
{
    (void)state;
    struct fixture variables;
    fixture_open(&variables, "variables.tsv");
    check_file("flows.tsv", variables.text, 2900);
    check_known("flows_known.tsv", variables.text, 60);
    fixture_close(&variables);
}

static void test_types(void **state)
{
    (void)state;
    struct fixture f;
    size_t differ = 0;
    fixture_open(&f, "types.tsv");
    while (f.text.n) {
        struct mio_arena a;
        mio_arena_init(&a);
        struct mio_str line = cut(&f.text, '\n');
        struct mio_str type = cut(&line, '\t'), value = cut(&line, '\t'), theirs = cut(&line, '\t');
        differ += line.n > 0;
        compare(&f, mio_arena_printf(&a, "%.*s <- %.*s", MIO_FMT(type), MIO_FMT(value)),
                line.n ? line : theirs, answer_type(&a, type, value));
        mio_arena_free(&a);
    }
    assert_int_equal(f.lines, 1000);
    assert_int_equal(f.wrong, 0);
    assert_true(differ <= 2); /* numbers as text */
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_flows),
                                       cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
