/* tests/providers/sdk/test_files.c: reading, replacing, copying, digesting files. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "providers/sdk/digest.h"
#include "providers/sdk/fault.h"
#include "providers/sdk/fs.h"

static char dir[] = "/tmp/mio-files-XXXXXX";
static struct mio_arena arena;

static const char *at(const char *name)
{
    return mio_arena_printf(&arena, "%s/%s", dir, name).p;
}

static int setup(void **state)
{
    (void)state;
    mio_arena_init(&arena);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct mio_err err = {0};
    (void)state;
    mio_fs_remove_tree(dir, &err);
    mio_arena_free(&arena);
    return (int)err.code;
}

static void put(const char *name, const char *text)
{
    struct mio_err err = {0};
    assert_int_equal(mio_fs_replace(at(name), mio_str_z(text), 0600, &err), MIO_OK);
}

static void a_failed_replacement_leaves_the_old_file(void **state)
{
    (void)state;
    static const char *const faults[] = {"open:1:ENOSPC", "write:1:ENOSPC", "fsync:1:EIO",
                                         "rename:1:EACCES"};
    put("state", "old");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct mio_err err = {0};
        struct mio_str text, *names;
        size_t n;
        mio_fault_setup(faults[i]);
        assert_int_equal(mio_fs_replace(at("state"), MIO_STR("new"), 0600, &err), MIO_IO);
        mio_fault_setup(NULL);
        assert_true(err.message[0] && err.cause[0]);
        mio_err_clear(&err);
        assert_int_equal(mio_fs_read(&arena, at("state"), 100, &text, NULL, &err), MIO_OK);
        assert_true(mio_str_is(text, "old"));
        assert_int_equal(mio_fs_list(&arena, dir, &names, &n, &err), MIO_OK);
        assert_int_equal(n, 1); /* no temporary file is left */
    }
    put("state", "new");
}

static void a_missing_file_is_an_answer_when_asked_for(void **state)
{
    (void)state;
    struct mio_err err = {0};
    struct mio_str text;
    bool found = true;
    assert_int_equal(mio_fs_read(&arena, at("nothing"), 10, &text, &found, &err), MIO_OK);
    assert_false(found);
    assert_int_equal(mio_fs_read(&arena, at("nothing"), 10, &text, NULL, &err), MIO_IO);
    mio_err_clear(&err);
    put("big", "0123456789");
    assert_int_equal(mio_fs_read(&arena, at("big"), 9, &text, NULL, &err), MIO_IO);
}

static void the_digest_of_a_tree_follows_names_content_and_mode(void **state)
{
    (void)state;
    struct mio_err err = {0};
    struct mio_str one, two;
    assert_int_equal(mio_fs_mkdirs(at("t/sub"), 0755, &err), MIO_OK);
    put("t/a", "1");
    put("t/sub/b", "2");
    assert_int_equal(mio_digest_path(&arena, at("t"), &one, &err), MIO_OK);
    assert_int_equal(mio_fs_copy_tree(at("t"), at("copy"), &err), MIO_OK);
    assert_int_equal(mio_digest_path(&arena, at("copy"), &two, &err), MIO_OK);
    assert_true(mio_str_eq(one, two));
    assert_int_equal(chmod(at("copy/a"), 0755), 0);
    assert_int_equal(mio_digest_path(&arena, at("copy"), &two, &err), MIO_OK);
    assert_false(mio_str_eq(one, two));
    assert_int_equal(chmod(at("copy/a"), 0644), 0);
    put("copy/sub/b", "3");
    assert_int_equal(mio_digest_path(&arena, at("copy"), &two, &err), MIO_OK);
    assert_false(mio_str_eq(one, two));
    assert_int_equal(mio_digest_path(&arena, at("absent"), &two, &err), MIO_TEMPLATE);
}

static void removing_a_tree_follows_no_link(void **state)
{
    (void)state;
    struct mio_err err = {0};
    put("outside", "keep me");
    assert_int_equal(mio_fs_mkdirs(at("gone/deep"), 0755, &err), MIO_OK);
    assert_int_equal(symlink(at("outside"), at("gone/link")), 0);
    assert_int_equal(symlink(dir, at("gone/deep/up")), 0);
    assert_int_equal(chmod(at("gone/deep"), 0500), 0);
    assert_int_equal(mio_fs_remove_tree(at("gone"), &err), MIO_OK);
    assert_false(mio_fs_exists(at("gone")));
    assert_true(mio_fs_exists(at("outside")));
    assert_int_equal(mio_fs_remove_tree(at("gone"), &err), MIO_OK);
}

/* What another process of the platform does: a folder that holds nothing any more goes. */
static void a_folder_is_made_while_its_parent_comes_and_goes(void **state)
{
    (void)state;
    struct mio_err err = {0};
    const char *parent = at("busy"), *leaf = at("busy/leaf");
    pid_t other = fork();
    if (other == 0) {
        alarm(60);
        for (;; usleep(10)) /* without rest it would win for ever */
            rmdir(parent);
    }
    for (int i = 0; i < 5000 && !err.code; i++)
        if (!mio_fs_mkdirs(leaf, 0700, &err))
            rmdir(leaf);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    assert_string_equal(err.message, "");
    assert_int_equal(symlink(at("nowhere"), at("loose")), 0); /* this one nothing mends */
    assert_int_equal(mio_fs_mkdirs(at("loose/leaf"), 0700, &err), MIO_IO);
    mio_err_clear(&err);
}

/* What a process that has been killed still does, and another that removes the same. */
static void a_tree_is_removed_while_others_write_and_remove_there(void **state)
{
    (void)state;
    struct mio_err err = {0};
    const char *tree = at("refilled"), *leaf = at("refilled/leaf");
    unsigned turn = 0;
    pid_t other = fork();
    if (other == 0) {
        alarm(60);
        for (;; usleep(200)) {
            mkdir(tree, 0700);
            close(open(leaf, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            if (++turn % 2) {
                unlink(leaf);
                rmdir(tree);
            }
        }
    }
    for (int i = 0; i < 20 && !err.code; i++) {
        for (int k = 0; k < 50; k++) /* emptying it takes a while */
            mio_fs_mkdirs(mio_arena_printf(&arena, "%s/%d", tree, k).p, 0700, &err);
        mio_fs_remove_tree(tree, &err);
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    assert_string_equal(err.message, "");
}

static void paths_are_joined_and_cleaned(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *name, *out;
    } rows[] = {{"/a/b/c", "../../x/./y", "/a/x/y"},
                {"a", "../../z", "../z"},
                {"/a", "../../z", "/z"},
                {"x", "..", "."},
                {"/a", "/b//c/", "/b/c"},
                {"/", "a", "/a"},
                {"a/b", ".", "a/b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(
            mio_path_join(&arena, mio_str_z(rows[i].dir), mio_str_z(rows[i].name)).p, rows[i].out);
    assert_true(mio_str_is(mio_path_dir(MIO_STR("/a/b")), "/a"));
    assert_true(mio_str_is(mio_path_dir(MIO_STR("b")), "."));
    assert_true(mio_str_is(mio_path_base(MIO_STR("/a/b")), "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_replacement_leaves_the_old_file),
        cmocka_unit_test(a_missing_file_is_an_answer_when_asked_for),
        cmocka_unit_test(the_digest_of_a_tree_follows_names_content_and_mode),
        cmocka_unit_test(removing_a_tree_follows_no_link),
        cmocka_unit_test(a_folder_is_made_while_its_parent_comes_and_goes),
        cmocka_unit_test(a_tree_is_removed_while_others_write_and_remove_there),
        cmocka_unit_test(paths_are_joined_and_cleaned),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
