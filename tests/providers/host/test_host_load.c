/* tests/providers/host/test_host_load.c: which files become plugins, and what they may have once
 * they run. */
#include "tests/providers/host/odd.h"

#include <signal.h>
#include <sys/wait.h>

#include "providers/sdk/proc.h"

/* Each build of the odd plugin is refused with a word about why. */
static void refuses_broken_plugins(void **state)
{
    (void)state;
    static const struct {
        const char *plugin, *message;
    } cases[] = {
        {"crash_at_load", "crashed (signal 6"},
        {"exit_at_load", "ended with status 0"},
        {"refuses", "refuses mlops-iac"},
        {"wrong_size", "table has 40 bytes"},
        {"wrong_symbol", "exports no mlops_provider_v1"},
        {"broken_promise", "promises the function list"},
        {"class_c_alone", "class C without lookup_by_key"},
        {"unsized_field", "declares 0 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct odd t;
        struct mio_err err = {0};
        const struct mio_schema *schema;
        odd_begin(&t);
        assert_int_equal(odd_open_path(&t, odd_plugin_path(&t.a, cases[i].plugin).p, "", 1, &err),
                         MIO_OK);
        assert_int_equal(mio_provider_schema(t.p, &schema, &err), MIO_PROVIDER);
        assert_has(err.message, cases[i].message);
        assert_has(err.message, "\"test\"");
        odd_close(&t);
    }
}

static void no_library(void **state)
{
    (void)state;
    struct odd t;
    struct mio_err err = {0};
    const struct mio_schema *schema;
    odd_begin(&t);
    struct mio_str path = mio_arena_printf(&t.a, "%s/text.so", t.folder);
    assert_int_equal(mio_fs_replace(path.p, MIO_STR("no library"), 0755, &err), MIO_OK);
    assert_int_equal(odd_open_path(&t, path.p, "", 1, &err), MIO_OK);
    assert_int_equal(mio_provider_schema(t.p, &schema, &err), MIO_PROVIDER);
    assert_has(err.message, "cannot be loaded");
    odd_close(&t);
}

/* What the file itself must be like; checked before anything starts. */
static void refuses_unsafe_files(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    struct mio_str good = odd_plugin_path(&t.a, "odd"), hex;
    struct mio_str copy = mio_arena_printf(&t.a, "%s/copy.so", t.folder);
    struct mio_str link = mio_arena_printf(&t.a, "%s/link.so", t.folder);
    assert_int_equal(mio_plugin_digest(&t.a, good.p, &hex, &err), MIO_OK);
    assert_int_equal(mio_fs_copy_tree(good.p, copy.p, &err), MIO_OK);
    assert_int_equal(symlink(copy.p, link.p), 0);

    assert_int_equal(odd_open_path(&t, copy.p, hex.p, 1, &err), MIO_OK);
    mio_provider_close(t.p);
    t.p = NULL;

    assert_int_equal(odd_open_path(&t, link.p, hex.p, 1, &err), MIO_PROVIDER);
    assert_has(err.message, "symbolic link");
    mio_err_clear(&err);

    assert_int_equal(odd_open_path(&t, "odd.so", hex.p, 1, &err), MIO_PROVIDER);
    assert_has(err.message, "not absolute");
    mio_err_clear(&err);

    assert_int_equal(odd_open_path(&t, t.folder, "", 1, &err), MIO_PROVIDER);
    assert_has(err.message, "not a regular file");
    mio_err_clear(&err);

    assert_int_equal(chmod(copy.p, 0757), 0);
    assert_int_equal(odd_open_path(&t, copy.p, hex.p, 1, &err), MIO_PROVIDER);
    assert_has(err.message, "written by others");
    assert_has(err.hint, "chmod go-w");
    mio_err_clear(&err);

    assert_int_equal(chmod(copy.p, 0755), 0);
    int fd = open(copy.p, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(odd_open_path(&t, copy.p, hex.p, 1, &err), MIO_PROVIDER);
    assert_has(err.message, "not the one in the lock file");
    assert_has(err.hint, "init -upgrade");
    mio_err_clear(&err);

    assert_int_equal(unlink(copy.p), 0);
    assert_int_equal(odd_open_path(&t, copy.p, hex.p, 1, &err), MIO_PROVIDER);
    assert_has(err.message, "does not exist");
    assert_has(err.hint, "mlops-iac init");
    odd_close(&t);
}

/* The file is exchanged after it was checked and before the child loads it. */
static void altered_between(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    const struct mio_schema *schema;
    struct mio_str good = odd_plugin_path(&t.a, "odd"), hex;
    struct mio_str copy = mio_arena_printf(&t.a, "%s/copy.so", t.folder);
    assert_int_equal(mio_plugin_digest(&t.a, good.p, &hex, &err), MIO_OK);
    assert_int_equal(mio_fs_copy_tree(good.p, copy.p, &err), MIO_OK);
    assert_int_equal(odd_open_path(&t, copy.p, hex.p, 1, &err), MIO_OK);
    assert_int_equal(unlink(copy.p), 0);
    assert_int_equal(mio_fs_copy_tree(odd_plugin_path(&t.a, "many").p, copy.p, &err), MIO_OK);
    assert_int_equal(mio_provider_schema(t.p, &schema, &err), MIO_PROVIDER);
    assert_has(err.message, "not the one in the lock file");
    odd_close(&t);
}

static void no_host_program(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    const struct mio_schema *schema;
    struct mio_provider_opts o = {.instance = MIO_STR("test"),
                                  .plugin_path = odd_plugin_path(&t.a, "odd").p,
                                  .host_program = "/nonexistent/host"};
    assert_int_equal(mio_provider_open(&t.a, &o, &t.p, &err), MIO_OK);
    assert_int_equal(mio_provider_schema(t.p, &schema, &err), MIO_IO);
    assert_has(err.message, "/nonexistent/host");
    odd_close(&t);
}

static void schema_without_settings(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    const struct mio_schema *schema;
    assert_int_equal(odd_open_path(&t, odd_plugin_path(&t.a, "odd").p, "", 1, &err), MIO_OK);
    assert_int_equal(mio_provider_schema(t.p, &schema, &err), MIO_OK);
    assert_true(mio_str_is(schema->name, "odd"));
    assert_int_equal(schema->batch, 100);
    assert_true(schema->has_validate);
    assert_non_null(mio_schema_kind(schema, MIO_STR("odd")));
    assert_null(mio_schema_kind(schema, MIO_STR("even")));
    odd_close(&t);
}

static void clean_process(void **state)
{
    (void)state;
    struct odd t;
    setenv("LD_ODD", "1", 1);
    setenv("GCONV_PATH", "/tmp", 1);
    setenv("ODD_KEEP", "1", 1);
    /* without close-on-exec, as a careless library would */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), leak = fcntl(null, F_DUPFD, 20);
    close(null);
    odd_open(&t, "odd", 1);
    unsetenv("LD_ODD");
    unsetenv("GCONV_PATH");
    assert_int_equal(odd_tell(&t, "preload"), 0);
    assert_int_equal(odd_tell(&t, "keep"), 1);
    assert_int_equal(odd_tell(&t, "core"), 0);
    assert_int_equal(odd_tell(&t, "dumpable"), 0);
    assert_int_equal(odd_tell(&t, "session"), 1);
    assert_int_equal(odd_tell(&t, "fds"), 6); /* 0 1 2, two sockets, the plugin's file */
    close(leak);
    odd_close(&t);
}

static size_t open_fds(void)
{
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str *names;
    size_t n = 0;
    struct mio_err err = {0};
    assert_int_equal(mio_fs_list(&a, "/proc/self/fd", &names, &n, &err), MIO_OK);
    mio_arena_free(&a);
    return n;
}

static void leaves_nothing_behind(void **state)
{
    (void)state;
    struct odd t;
    odd_open(&t, "many", 4);
    odd_close(&t);
    size_t before = open_fds();
    for (int i = 0; i < 5; i++) {
        struct mio_object obj;
        struct mio_err err = {0};
        odd_open(&t, "many", 4);
        assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_OK);
        assert_int_not_equal(odd_create(&t, i % 2 ? "crash" : "exit", 5000, &obj, &err), MIO_OK);
        mio_err_clear(&err);
        assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_OK);
        odd_close(&t);
    }
    assert_int_equal(open_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, not even a dead one */
}

static void close_runs_the_plugins_close(void **state)
{
    (void)state;
    struct odd t;
    struct mio_err err = {0};
    odd_begin(&t);
    struct mio_str mark = mio_arena_printf(&t.a, "%s/closed", t.folder);
    assert_int_equal(odd_open_path(&t, odd_plugin_path(&t.a, "odd").p, "", 1, &err), MIO_OK);
    odd_configure(&t, mio_arena_printf(&t.a, "{\"on_close\":\"%s\"}", mark.p).p);
    int64_t pid = odd_tell(&t, "pid");
    odd_configure(&t, mio_arena_printf(&t.a, "{\"on_close\":\"%s\"}", mark.p).p);
    assert_int_equal(odd_tell(&t, "pid"), pid); /* the same settings change nothing */
    assert_false(mio_fs_exists(mark.p));
    odd_configure(&t, "{\"other\":true}"); /* others begin a new life */
    assert_true(mio_fs_exists(mark.p));
    assert_int_not_equal(odd_tell(&t, "pid"), pid);
    odd_close(&t);
}

static void settings_refused(void **state)
{
    (void)state;
    struct odd t;
    odd_begin(&t);
    struct mio_err err = {0};
    struct mio_value config;
    struct mio_object obj;
    assert_int_equal(odd_open_path(&t, odd_plugin_path(&t.a, "odd").p, "", 1, &err), MIO_OK);
    assert_int_equal(mio_json_read(&t.a, MIO_STR("{\"bad\":1}"), NULL, &config, &err), MIO_OK);
    assert_int_equal(mio_provider_configure(t.p, config, MIO_STR(""), &err), MIO_AUTH);
    assert_has(err.message, "no such account");
    mio_err_clear(&err);
    assert_int_equal(odd_create(&t, "fine", 5000, &obj, &err), MIO_AUTH); /* still */
    odd_close(&t);
}

/* The engine is killed: its plugins do not outlive it, not even one that hangs. */
static void dies_with_the_engine(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t engine = fork();
    assert_true(engine >= 0);
    if (engine == 0) {
        struct odd t;
        struct mio_object obj;
        struct mio_err err = {0};
        odd_open(&t, "odd", 1);
        pid_t child = (pid_t)odd_tell(&t, "pid");
        if (write(pipe_fds[1], &child, sizeof child) == (ssize_t)sizeof child)
            odd_create(&t, "hang", 60000, &obj, &err);
        _exit(0);
    }
    pid_t child = 0;
    assert_int_equal(read(pipe_fds[0], &child, sizeof child), (ssize_t)sizeof child);
    assert_true(mio_proc_alive(child));
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    for (int i = 0; i < 200 && mio_proc_alive(child); i++)
        mio_sleep_ms(10);
    assert_false(mio_proc_alive(child));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_broken_plugins),
        cmocka_unit_test(no_library),
        cmocka_unit_test(refuses_unsafe_files),
        cmocka_unit_test(altered_between),
        cmocka_unit_test(no_host_program),
        cmocka_unit_test(schema_without_settings),
        cmocka_unit_test(clean_process),
        cmocka_unit_test(leaves_nothing_behind),
        cmocka_unit_test(close_runs_the_plugins_close),
        cmocka_unit_test(settings_refused),
        cmocka_unit_test(dies_with_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
