/* tests/cli/test_option.c: the option parser, the splitting of variables, the table itself. */
#include "cli/option.h"
#include "tests/cli/support.h"

#define ARGS(...)                         \
    ((const char *const[]){__VA_ARGS__}), \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
static const uint64_t ALL = (UINT64_C(1) << MIO_OPT_COUNT) - 1;

struct parsed {
    struct mio_arena a;
    struct mio_options o;
    const char **args;
    size_t nargs;
    struct mio_err err;
    enum mio_code code;
};

static void parse(struct parsed *p, uint64_t allowed, const char *const *argv, size_t argc)
{
    *p = (struct parsed){0};
    mio_arena_init(&p->a);
    p->code =
        mio_options_parse(&p->a, allowed, "plan", argv, argc, &p->o, &p->args, &p->nargs, &p->err);
}

static void test_forms(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, ALL,
          ARGS("-out=a", "--stage", "dev", "-json", "-refresh=false", "--lock=F", "file", "-"));
    assert_int_equal(p.code, MIO_OK);
    assert_string_equal(p.o.v[MIO_OPT_OUT].text, "a");
    assert_string_equal(p.o.v[MIO_OPT_STAGE].text, "dev");
    assert_true(p.o.v[MIO_OPT_JSON].on);
    assert_true(p.o.v[MIO_OPT_REFRESH].set);
    assert_false(p.o.v[MIO_OPT_REFRESH].on);
    assert_false(p.o.v[MIO_OPT_LOCK].on);
    assert_int_equal(p.nargs, 2);
    assert_string_equal(p.args[0], "file");
    assert_string_equal(p.args[1], "-");
    mio_arena_free(&p.a);
}

static void test_repeated_and_last(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, ALL,
          ARGS("-var", "a=1", "-var=b=x=y", "-target=m.x", "-parallelism=3", "-parallelism=4",
               "-lock-timeout=1m30s", "--", "-json"));
    assert_int_equal(p.code, MIO_OK);
    assert_int_equal(p.o.v[MIO_OPT_VAR].n, 2);
    assert_string_equal(p.o.v[MIO_OPT_VAR].list[0], "a=1");
    assert_string_equal(p.o.v[MIO_OPT_VAR].list[1], "b=x=y");
    assert_int_equal(p.o.v[MIO_OPT_PARALLELISM].number, 4);
    assert_int_equal(p.o.v[MIO_OPT_LOCK_TIMEOUT].number, 90000);
    assert_false(p.o.v[MIO_OPT_JSON].on);
    assert_string_equal(p.args[0], "-json");
    mio_arena_free(&p.a);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *word, *message, *hint;
    } cases[] = {
        {"-taget=x", "unknown option -taget", "Did you mean -target?"},
        {"-zzzzzz", "unknown option -zzzzzz", "'mlops-iac plan -help' lists its options."},
        {"-raw", "plan does not take the option -raw", "'mlops-iac plan -help' lists its options."},
        {"-refresh=maybe", "-refresh takes true or false, not \"maybe\"", ""},
        {"-parallelism=0", "-parallelism takes a number from 1 to 10000, not \"0\"", ""},
        {"-parallelism=9x", "-parallelism takes a number from 1 to 10000, not \"9x\"", ""},
        {"-valid-for=0s", "-valid-for takes 1s to 365d, not \"0s\"", ""},
        {"-valid-for=366d", "-valid-for takes 1s to 365d, not \"366d\"", ""},
        {"-valid-for=-1s", "-valid-for takes a length of time, not \"-1s\"",
         "Write it like 90s, 5m or 1h30m."},
        {"-valid-for=0.5h", "-valid-for takes a length of time, not \"0.5h\"",
         "Write it like 90s, 5m or 1h30m."},
        {"-lock-timeout=soon", "-lock-timeout takes a length of time, not \"soon\"",
         "Write it like 90s, 5m or 1h30m."},
        {"-exit-codes=many", "-exit-codes must be one of plain|fine, not \"many\"", ""},
        {"-out", "-out needs a value", "Write -out=FILE."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed p;
        parse(&p, ALL & ~MIO_OPT_BIT(RAW), ARGS(cases[i].word));
        assert_int_equal(p.code, MIO_USAGE);
        assert_string_equal(p.err.message, cases[i].message);
        assert_string_equal(p.err.hint, cases[i].hint);
        mio_arena_free(&p.a);
    }
}

static void test_defaults_and_environment(void **state)
{
    (void)state;
    struct parsed p;
    setenv("MLOPS_IAC_PARALLELISM", "7", 1);
    setenv("MLOPS_IAC_INPUT", "0", 1);
    setenv("MLOPS_IAC_STAGE", "prod", 1);
    parse(&p, ALL, ARGS("-stage=dev"));
    assert_int_equal(mio_options_defaults(&p.a, ALL, &p.o, &p.err), MIO_OK);
    assert_int_equal(p.o.v[MIO_OPT_PARALLELISM].number, 7);
    assert_false(p.o.v[MIO_OPT_INPUT].on);
    assert_string_equal(p.o.v[MIO_OPT_STAGE].text, "dev"); /* the command line wins */
    assert_true(p.o.v[MIO_OPT_REFRESH].on);
    assert_false(p.o.v[MIO_OPT_REFRESH].set);
    mio_arena_free(&p.a);
    setenv("MLOPS_IAC_PARALLELISM", "many", 1);
    parse(&p, ALL, ARGS("x"));
    assert_int_equal(mio_options_defaults(&p.a, ALL, &p.o, &p.err), MIO_USAGE);
    assert_non_null(strstr(p.err.message, "MLOPS_IAC_PARALLELISM"));
    mio_arena_free(&p.a);
    unsetenv("MLOPS_IAC_PARALLELISM");
    unsetenv("MLOPS_IAC_INPUT");
    unsetenv("MLOPS_IAC_STAGE");
}

static void test_first_word(void **state)
{
    (void)state;
    assert_int_equal(mio_options_first_word(ARGS("plan", "-json")), 0);
    assert_int_equal(mio_options_first_word(ARGS("-chdir=x", "plan")), 1);
    assert_int_equal(mio_options_first_word(ARGS("-chdir", "x", "-no-color", "plan")), 3);
    assert_int_equal(mio_options_first_word(ARGS("-help")), 1);
}

static void test_split(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_err err = {0};
    const char **w = NULL;
    size_t n = 0, cap = 0;
    mio_arena_init(&a);
    assert_int_equal(
        mio_options_split(&a, " -a  'b c' \"d\\\"e\"f g\\ h '' ", "X", &w, &n, &cap, &err), 0);
    assert_int_equal(n, 5);
    assert_string_equal(w[1], "b c");
    assert_string_equal(w[2], "d\"ef");
    assert_string_equal(w[3], "g h");
    assert_string_equal(w[4], "");
    assert_int_equal(mio_options_split(&a, "'open", "X", &w, &n, &cap, &err), MIO_USAGE);
    mio_arena_free(&a);
}

/* Every row is complete: the help, the man page and the completion rely on it. */
static void test_table(void **state)
{
    (void)state;
    assert_true(MIO_OPT_COUNT <= 64);
    for (int i = 0; i < MIO_OPT_COUNT; i++) {
        const struct mio_option *o = &mio_option_table[i];
        assert_non_null(o->name);
        assert_non_null(o->help);
        assert_true((o->type == MIO_OPT_BOOL) == (o->arg == NULL));
        assert_true(i == 0 || strcmp(mio_option_table[i - 1].name, o->name) < 0);
        assert_int_equal(o->help[strlen(o->help) - 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_repeated_and_last),
        cmocka_unit_test(test_errors),     cmocka_unit_test(test_defaults_and_environment),
        cmocka_unit_test(test_first_word), cmocka_unit_test(test_split),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
