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

static void check(struct fixture *f, struct mio_str expression, struct mio_str want)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str got = answer(&a, f->dir, expression);
    if (!mio_str_eq(want, got)) {
        f->wrong++;
        print_error("%.*s\n  want %.*s\n  got  %.*s\n", MIO_FMT(expression), MIO_FMT(want),
                    MIO_FMT(got));
    }
    f->lines++;
    mio_arena_free(&a);
}

static void test_cases(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, "cases.tsv");
    while (f.text.n) {
        struct mio_str line = cut(&f.text, '\n');
        struct mio_str expression = cut(&line, '\t');
        check(&f, expression, line);
    }
    assert_true(f.lines >= 2000);
    assert_int_equal(f.wrong, 0);
    fixture_close(&f);
}

/* Differences that are meant; a new one, or one that went away, shows up here. */
static void test_known(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, "known.tsv");
    while (f.text.n) {
        struct mio_str line = cut(&f.text, '\n');
        struct mio_str expression = cut(&line, '\t');
        struct mio_str theirs = cut(&line, '\t');
        assert_false(mio_str_eq(theirs, line));
        check(&f, expression, line);
    }
    assert_int_equal(f.wrong, 0);
    assert_true(f.lines < 40);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
