/* tests/cli/test_edit.c: edit scripts lead from the one sequence to the other, and by the shortest
 * way. */
#include "cli/edit.h"
#include "tests/cli/support.h"

struct words {
    const char *b, *a;
};

static bool same(const void *arg, size_t b, size_t a)
{
    const struct words *w = arg;
    return w->b[b] == w->a[a];
}

static void script(const char *b, const char *a, bool places, char out[64])
{
    struct words w = {b, a};
    struct mio_edit *e = NULL;
    size_t n = mio_edit_script(strlen(b), strlen(a), places, 1, same, &w, &e), used = 0;
    for (size_t i = 0; i < n; i++) {
        out[used++] = e[i].op;
        out[used++] = e[i].op == '-' ? b[e[i].b] : a[e[i].a];
    }
    out[used] = '\0';
    free(e);
}

static void test_scripts(void **state)
{
    (void)state;
    static const struct {
        const char *b, *a;
        bool places;
        const char *want;
    } cases[] = {
        {"", "", false, ""},
        {"", "ab", false, "+a+b"},
        {"ab", "", false, "-a-b"},
        {"abc", "abc", false, "=a=b=c"},
        {"abc", "axc", true, "=a~x=c"},
        {"abc", "axcd", true, "=a-b+x=c+d"},
        {"abcabba", "cbabac", false, "-a-b=c-a=b+a=b=a+c"},
        {"xaby", "xbay", false, "=x-a=b+a=y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[64];
        script(cases[i].b, cases[i].a, cases[i].places, got);
        assert_string_equal(got, cases[i].want);
    }
}

/* Any script, applied, gives the other sequence. */
static void test_leads_there(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 500; round++) {
        char b[13] = {0}, a[13] = {0}, got[64], rebuilt[13] = {0};
        seed = seed * 1664525 + 1013904223;
        size_t nb = seed >> 8 & 7, na = seed >> 16 & 7, n = 0;
        for (size_t i = 0; i < nb; i++)
            b[i] = (char)('a' + ((seed = seed * 1664525 + 1013904223) >> 16) % 3);
        for (size_t i = 0; i < na; i++)
            a[i] = (char)('a' + ((seed = seed * 1664525 + 1013904223) >> 16) % 3);
        script(b, a, false, got);
        for (size_t i = 0; got[i]; i += 2) {
            if (got[i] != '-')
                rebuilt[n++] = got[i + 1];
        }
        assert_string_equal(rebuilt, a);
    }
}

/* Too long to compare everything with everything: still right, just not the shortest. */
static void test_long(void **state)
{
    (void)state;
    enum { N = 4000 };
    char *b = malloc(N + 1), *a = malloc(N + 1);
    struct words w = {b, a};
    struct mio_edit *e = NULL;
    for (size_t i = 0; i < N; i++) {
        b[i] = (char)('a' + i % 7);
        a[i] = (char)('a' + i % 5);
    }
    b[N] = a[N] = '\0';
    size_t n = mio_edit_script(N, N, false, 1, same, &w, &e), gone = 0, new = 0;
    for (size_t i = 0; i < n; i++) {
        gone += e[i].op != '+';
        new += e[i].op != '-';
    }
    assert_int_equal(gone, N);
    assert_int_equal(new, N);
    free(e);
    free(b);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_leads_there),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
