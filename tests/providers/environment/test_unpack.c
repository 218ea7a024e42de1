/* tests/providers/environment/test_unpack.c: what archives must not do, and what cells are made of.
 */
#include "tests/providers/environment/support.h"

#define CONTROL "Package: x\nVersion: 1\nArchitecture: all\n"
#define FILE_AT(path)                     \
    {                                     \
        path, "text", NULL, S_IFREG, 0644 \
    }

static enum mio_code cell_of(struct bed *b, struct mio_str deb, struct mio_env_cell *out)
{
    struct mio_env_package p = {
        .name = MIO_STR("x"), .version = MIO_STR("1"), .arch = MIO_STR("all")};
    memset(&b->err, 0, sizeof b->err);
    assert_int_equal(mio_env_store_put(&b->a, &b->s, deb, &p.sha256, &b->err), MIO_OK);
    return mio_env_cell_deb(&b->a, &b->s, &p, out, &b->err);
}

/* Nothing of a refused package is left: no cell, no file under tmp. */
static void assert_nothing_left(struct bed *b)
{
    static const char *const folders[] = {"cells", "tmp"};
    struct mio_str *names;
    size_t n;
    for (size_t i = 0; i < 2; i++) {
        const char *path = mio_arena_printf(&b->a, "%s/%s", b->folder, folders[i]).p;
        assert_int_equal(mio_fs_list(&b->a, path, &names, &n, &b->err), MIO_OK);
        assert_int_equal(n, 0);
    }
}

static void unsafe_archives_are_refused(void **state)
{
    struct bed *b = *state;
    static const struct {
        struct item items[2];
        const char *says;
    } rows[] = {
        {{FILE_AT("./../etc/passwd")}, "unsafe name"},
        {{FILE_AT("/etc/passwd")}, "unsafe name"},
        {{FILE_AT("./usr/../../x")}, "unsafe name"},
        {{FILE_AT("./a\nb")}, "unsafe name"},
        {{{"./dev/sda", NULL, NULL, S_IFBLK, 0644}}, "device"},
        {{{"./dev/null", NULL, NULL, S_IFCHR, 0644}}, "device"},
        {{{"./run/pipe", NULL, NULL, S_IFIFO, 0644}}, "pipe"},
        {{{"./usr/x", NULL, "/etc", S_IFLNK, 0777}, FILE_AT("./usr/x/passwd")}, "no folder"},
        {{FILE_AT("./usr/f"), FILE_AT("./usr/f/g")}, "no folder"},
        {{{"./usr/h", NULL, "../../etc/passwd", 0, 0644}}, "unsafe target"},
        {{{"./usr/h", NULL, "./usr/absent", 0, 0644}}, "not in the archive"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mio_env_cell cell;
        size_t n = rows[i].items[1].path ? 2 : 1;
        enum mio_code code = cell_of(b, make_deb(&b->a, CONTROL, NULL, rows[i].items, n), &cell);
        if (code != MIO_REALITY || !strstr(b->err.message, rows[i].says))
            print_error("row %zu: %d %s\n", i, (int)code, b->err.message);
        assert_int_equal(code, MIO_REALITY);
        assert_non_null(strstr(b->err.message, rows[i].says));
        assert_nothing_left(b);
    }
}

static void broken_archives_are_refused(void **state)
{
    struct bed *b = *state;
    const struct item items[] = {FILE_AT("./usr/f")};
    struct mio_env_cell cell;
    struct mio_str deb = make_deb(&b->a, CONTROL, NULL, items, 1);
    assert_int_equal(cell_of(b, mio_str_sub(deb, 0, deb.n - 60), &cell), MIO_REALITY);
    assert_int_equal(cell_of(b, MIO_STR("no archive at all"), &cell), MIO_REALITY);
    assert_nothing_left(b);
    /* A sound archive, and a lock that says another name: the cell may stay, it goes by the digest.
     */
    assert_int_equal(cell_of(b, make_deb(&b->a, "Package: y\nVersion: 1\n", NULL, items, 1), &cell),
                     MIO_STATE);
    assert_non_null(strstr(b->err.message, "the archive of that SHA-256 is y 1"));
}

static void a_cell_has_merged_paths_and_dpkgs_files(void **state)
{
    struct bed *b = *state;
    const struct item items[] = {{"./bin/", NULL, NULL, S_IFDIR, 0755},
                                 FILE_AT("./bin/tool"),
                                 {"./usr/bin/again", NULL, "./bin/tool", 0, 0644},
                                 {"./lib/l", NULL, "../x", S_IFLNK, 0777}};
    struct mio_env_cell cell, cached;
    struct mio_str text;
    struct mio_str deb = make_deb(&b->a, CONTROL, "#!/bin/sh\n", items, 4);
    assert_int_equal(cell_of(b, deb, &cell), MIO_OK);
    assert_int_equal(cell_of(b, deb, &cached), MIO_OK);
    assert_int_equal(cell.n, cached.n);
    const struct mio_env_entry *hard = mio_env_cell_find(&cached, MIO_STR("usr/bin/again")),
                               *list =
                                   mio_env_cell_find(&cached, MIO_STR("var/lib/dpkg/info/x.list"));
    assert_non_null(hard);
    assert_true(mio_str_is(hard->link, "usr/bin/tool"));
    assert_ptr_equal(hard, &cached.items[cached.n - 1]); /* after its target */
    assert_non_null(mio_env_cell_find(&cached, MIO_STR("usr/lib/l")));
    assert_int_equal(mio_env_cell_read(&b->a, &cached, list, &text, &b->err), MIO_OK);
    assert_non_null(strstr(text.p, "/bin/tool\n")); /* as the package names it */
    assert_true(mio_str_is(cached.about.postinst, "#!/bin/sh\n"));
    const struct mio_env_entry *tool = mio_env_cell_find(&cached, MIO_STR("usr/bin/tool"));
    assert_int_equal(mio_env_cell_read(&b->a, &cached, tool, &text, &b->err), MIO_OK);
    assert_true(mio_str_is(text, "text"));
}

/* Names beyond 100 bytes need a pax header; the standard reader must find them again. */
static void long_names_survive_the_tar(void **state)
{
    struct bed *b = *state;
    struct mio_env_tree t;
    struct mio_env_cell cell;
    char path[301];
    memset(path, 'n', 300);
    path[300] = 0;
    for (size_t i = 90; i < 300; i += 90)
        path[i] = '/';
    mio_env_tree_init(&t, &b->a, &b->s);
    mio_env_tree_file(&t, mio_str_z(path), 0640, 7, MIO_STR("deep"), &b->err);
    mio_env_tree_symlink(&t, MIO_STR("s"), mio_str_z(path), 7);
    mio_env_tree_sort(&t);
    assert_int_equal(
        mio_env_cell_put(&b->a, &b->s, mio_env_tree_key(&b->a, &t), &t, NULL, &cell, &b->err),
        MIO_OK);
    mio_env_tree_free(&t);
    struct archive *ar = archive_read_new();
    struct archive_entry *e;
    archive_read_support_filter_zstd(ar);
    archive_read_support_format_tar(ar);
    assert_int_equal(archive_read_open_filename(ar, cell.path, 4096), ARCHIVE_OK);
    char text[8] = "";
    assert_int_equal(archive_read_next_header(ar, &e), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(e), path);
    assert_int_equal(archive_entry_perm(e), 0640);
    assert_int_equal(archive_read_data(ar, text, sizeof text), 4);
    assert_string_equal(text, "deep");
    assert_int_equal(archive_read_next_header(ar, &e), ARCHIVE_OK);
    assert_string_equal(archive_entry_symlink(e), path);
    archive_read_free(ar);
}

/* Found by tests/fuzz/fuzz_archive.c: a tree without entries was sorted. */
static void a_tree_of_nothing_is_sorted(void **state)
{
    struct bed *b = *state;
    struct mio_env_tree t;
    mio_env_tree_init(&t, &b->a, &b->s);
    mio_env_tree_sort(&t);
    assert_int_equal(t.n, 0);
    assert_int_equal(mio_env_tree_check(&t, &b->err), MIO_OK);
    mio_env_tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(unsafe_archives_are_refused),
        T(broken_archives_are_refused),
        T(a_cell_has_merged_paths_and_dpkgs_files),
        T(long_names_survive_the_tar),
        T(a_tree_of_nothing_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
