/* tests/cli/test_docs.c: docs/cli.md is what the tables say; the manual and the completion know
 * every command. */
#include "cli/session.h"
#include "providers/sdk/fs.h"
#include "tests/cli/support.h"
#include <unistd.h>

static void test_markdown(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_str file;
    struct mio_err err = {0};
    MIO_AUTO_BUF want = {0};
    mio_arena_init(&a);
    const char *path = mio_arena_printf(&a, "%s/docs/cli.md", getenv("MIO_SOURCE")).p;
    if (mio_fs_read(&a, path, 1 << 20, &file, NULL, &err))
        fail_msg("%s (make it with: mlops-iac docs markdown > docs/cli.md)", err.message);
    mio_docs_markdown(&want);
    MIO_AUTO_BUF got = {0};
    mio_buf_str(&got, file);
    assert_text(&got, want.p); /* else: mlops-iac docs markdown > docs/cli.md */
    mio_arena_free(&a);
}

/* The language reference ends with the function table. */
static void test_functions(void **state)
{
    (void)state;
    struct mio_arena a;
    struct mio_str file;
    struct mio_err err = {0};
    MIO_AUTO_BUF want = {0}, got = {0};
    mio_arena_init(&a);
    const char *path = mio_arena_printf(&a, "%s/docs/language.md", getenv("MIO_SOURCE")).p;
    if (mio_fs_read(&a, path, 1 << 20, &file, NULL, &err))
        fail_msg("%s", err.message);
    mio_docs_functions(&want);
    assert_true(want.n > 10000);
    assert_true(file.n > want.n);
    mio_buf_str(&got, mio_str_sub(file, file.n - want.n, want.n));
    assert_text(&got, want.p); /* else: its end is what `mlops-iac docs functions` prints */
    mio_arena_free(&a);
}

static void test_man(void **state)
{
    (void)state;
    MIO_AUTO_BUF man = {0};
    mio_docs_man(&man);
    assert_non_null(strstr(man.p, ".SS plan\n"));
    assert_non_null(strstr(man.p, ".B \\-out=FILE\n"));
    assert_non_null(strstr(man.p, ".B MLOPS_IAC_LOG\n"));
    assert_null(strstr(man.p, "\n.SS docs\n"));
}

static void test_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < mio_command_count; i++) {
        const struct mio_command *c = &mio_command_table[i];
        MIO_AUTO_BUF b = {0};
        size_t used = 0;
        mio_help_command(&b, c);
        assert_true(b.n > 100);
        for (const char *line = b.p; line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            assert_true(strcspn(line, "\n") <= 90);
        assert_non_null(c->run);
        assert_true((c->max_args > 0) == (c->args != NULL));
        const char *words[2] = {c->name, NULL};
        if (!strchr(c->name, ' '))
            assert_ptr_equal(mio_command_find(words, 1, &used), c);
    }
    const char *words[] = {"state", "list", "-json"};
    size_t used = 0;
    assert_string_equal(mio_command_find(words, 3, &used)->name, "state list");
    assert_int_equal(used, 2);
    assert_null(mio_command_find(words, 1, &used));
    assert_true(mio_command_is_group(MIO_STR("state")));
    assert_false(mio_command_is_group(MIO_STR("plan")));
    assert_true(mio_str_is(mio_command_nearest(MIO_STR("aply")), "apply"));
}

static void test_completion(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < 3; i++) {
        struct mio_cli c = {.args = (const char *[]){shells[i]}, .nargs = 1};
        assert_int_equal(mio_cmd_completion(&c), MIO_OK);
        for (size_t k = 0; k < mio_command_count; k++) {
            const char *name = mio_command_table[k].name;
            const char *last = strrchr(name, ' ') ? strrchr(name, ' ') + 1 : name;
            if (!(mio_command_table[k].flags & MIO_CMD_HIDDEN))
                assert_non_null(strstr(c.out.buf.p, last));
        }
        for (size_t k = 0; k < MIO_OPT_COUNT; k++)
            assert_non_null(strstr(c.out.buf.p, mio_option_table[k].name));
        mio_buf_free(&c.out.buf);
    }
}

static void test_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(mio_exit_status(MIO_OK, false), 0);
    assert_int_equal(mio_exit_status(MIO_OK, true), 0);
    for (int code = MIO_USAGE; code <= MIO_BUG; code++) {
        assert_int_equal(mio_exit_status((enum mio_code)code, false), 1);
        assert_int_equal(mio_exit_status((enum mio_code)code, true), 9 + code);
        assert_non_null(mio_exit_meaning((enum mio_code)code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),   cmocka_unit_test(test_functions),
        cmocka_unit_test(test_man),        cmocka_unit_test(test_help),
        cmocka_unit_test(test_completion), cmocka_unit_test(test_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
