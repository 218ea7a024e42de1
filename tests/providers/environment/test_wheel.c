/* tests/providers/environment/test_wheel.c: wheels made here, sound and unsound. */
#include "providers/environment/wheel.h"
#include "tests/providers/environment/support.h"

#define INFO "p-1.dist-info/"

/* RECORD over the items, with the hash of `wrong` replaced. */
static const char *record_of(struct mio_arena *a, const struct item *items, size_t n,
                             const char *wrong)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < n; i++) {
        uint8_t sum[MIO_SHA256_LEN];
        if (!items[i].text)
            continue;
        const char *text = wrong && !strcmp(items[i].path, wrong) ? "other" : items[i].text;
        mio_sha256_of(text, strlen(text), sum);
        char *z = mio_arena_z(a, mio_base64(a, sum, sizeof sum));
        for (char *c = z; *c; c++)
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? 0 : *c;
        mio_buf_printf(&b, "\"%s\",sha256=%s,%zu\n", items[i].path, z, strlen(items[i].text));
    }
    mio_buf_z(&b, INFO "RECORD,,\n");
    return mio_arena_z(a, mio_buf_view(&b));
}

static enum mio_code install_at(struct bed *b, const char *prefix, const struct item *items,
                                size_t n, const char *wrong, struct mio_env_cell *out)
{
    struct item all[10];
    memcpy(all, items, n * sizeof *items);
    all[n++] = (struct item){INFO "WHEEL", "Wheel-Version: 1.0\n", NULL, S_IFREG, 0644};
    all[n] = (struct item){INFO "RECORD", record_of(&b->a, all, n, wrong), NULL, S_IFREG, 0644};
    struct mio_str zip = pack(&b->a, all, n + 1, 1);
    struct mio_env_wheel w = {
        .name = MIO_STR("p"), .version = MIO_STR("1"), .file = MIO_STR("p.whl")};
    struct mio_pair about[] = {{MIO_STR("version"), mio_string_z("3.11")},
                               {MIO_STR("prefix"), mio_string_z(prefix)}};
    struct mio_pair python = {MIO_STR("python"), mio_map(about, 2)};
    struct mio_env_lock lock = {.config = mio_map(&python, 1)};
    memset(&b->err, 0, sizeof b->err);
    assert_int_equal(mio_env_store_put(&b->a, &b->s, zip, &w.sha256, &b->err), MIO_OK);
    return mio_env_cell_wheel(&b->a, &b->s, &lock, &w, out, &b->err);
}

static enum mio_code install(struct bed *b, const struct item *items, size_t n, const char *wrong,
                             struct mio_env_cell *out)
{
    return install_at(b, "", items, n, wrong, out);
}

static void files_and_scripts_come_to_their_places(void **state)
{
    struct bed *b = *state;
    const struct item items[] = {
        {"p/__init__.py", "x = 1\n", NULL, S_IFREG, 0644},
        {"p-1.data/scripts/run", "#!python\nprint(1)\n", NULL, S_IFREG, 0644},
        {"p-1.data/data/share/d", "d", NULL, S_IFREG, 0644},
        {"p-1.data/headers/p.h", "h", NULL, S_IFREG, 0644},
        {"p-1.data/purelib/q.py", "q", NULL, S_IFREG, 0644},
        {INFO "entry_points.txt", "[console_scripts]\np-tool = p.cli:main.run [all]\n", NULL,
         S_IFREG, 0644},
    };
    struct mio_env_cell cell;
    struct mio_str text;
    assert_int_equal(install(b, items, 6, NULL, &cell), MIO_OK);
    assert_non_null(
        mio_env_cell_find(&cell, MIO_STR("usr/local/lib/python3.11/dist-packages/p/__init__.py")));
    assert_non_null(mio_env_cell_find(&cell, MIO_STR("usr/local/share/d")));
    assert_non_null(mio_env_cell_find(&cell, MIO_STR("usr/local/include/p/p.h")));
    assert_non_null(
        mio_env_cell_find(&cell, MIO_STR("usr/local/lib/python3.11/dist-packages/q.py")));
    const struct mio_env_entry *run = mio_env_cell_find(&cell, MIO_STR("usr/local/bin/run")),
                               *tool = mio_env_cell_find(&cell, MIO_STR("usr/local/bin/p-tool"));
    assert_int_equal(run->mode, 0755);
    assert_int_equal(mio_env_cell_read(&b->a, &cell, run, &text, &b->err), MIO_OK);
    assert_string_equal(text.p, "#!/usr/bin/python3.11\nprint(1)\n");
    assert_int_equal(mio_env_cell_read(&b->a, &cell, tool, &text, &b->err), MIO_OK);
    assert_string_equal(text.p, "#!/usr/bin/python3.11\nimport sys\nfrom p.cli import main\n\n"
                                "sys.exit(main.run())\n");
}

/* Below another prefix everything moves with it, and RECORD names it from there. */
static void a_prefix_moves_everything(void **state)
{
    struct bed *b = *state;
    const struct item items[] = {{"p/a.py", "a", NULL, S_IFREG, 0644},
                                 {"p-1.data/scripts/run", "#!python\n", NULL, S_IFREG, 0644}};
    struct mio_env_cell cell;
    struct mio_str text;
    assert_int_equal(install_at(b, "/opt/conda", items, 2, NULL, &cell), MIO_OK);
    const struct mio_env_entry *run = mio_env_cell_find(&cell, MIO_STR("opt/conda/bin/run"));
    const struct mio_env_entry *record =
        mio_env_cell_find(&cell, MIO_STR("opt/conda/lib/python3.11/site-packages/" INFO "RECORD"));
    assert_int_equal(mio_env_cell_read(&b->a, &cell, run, &text, &b->err), MIO_OK);
    assert_string_equal(text.p, "#!/opt/conda/bin/python3.11\n");
    assert_int_equal(mio_env_cell_read(&b->a, &cell, record, &text, &b->err), MIO_OK);
    assert_non_null(
        strstr(text.p, "\np/a.py,sha256=ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs,1\n"));
    assert_non_null(strstr(text.p, "../../../bin/run,sha256="));
    assert_non_null(strstr(text.p, INFO "INSTALLER,sha256="));
    assert_non_null(strstr(text.p, INFO "RECORD,,\n"));
}

static void unsound_wheels_are_refused(void **state)
{
    struct bed *b = *state;
    struct mio_env_cell cell;
    const struct item good = {"p/a.py", "a", NULL, S_IFREG, 0644};
    const struct item evil[] = {
        good, {INFO "entry_points.txt", "[console_scripts]\n../sh = p:f\n", NULL, S_IFREG, 0644}};
    const struct item out[] = {{"../a.py", "a", NULL, S_IFREG, 0644}};
    assert_int_equal(install(b, &good, 1, "p/a.py", &cell), MIO_REALITY);
    assert_non_null(strstr(b->err.message, "does not match its RECORD: p/a.py"));
    assert_int_equal(install(b, evil, 2, NULL, &cell), MIO_REALITY);
    assert_non_null(strstr(b->err.message, "no name"));
    const struct item root[] = {{"/etc/a.py", "a", NULL, S_IFREG, 0644}};
    const struct item climb[] = {{"p-1.data/scripts/../../../etc/x", "a", NULL, S_IFREG, 0644}};
    const struct item link[] = {good, {"p/l.py", NULL, "/etc/passwd", S_IFLNK, 0777}};
    const struct item odd[] = {{"p-1.data/etc/x", "a", NULL, S_IFREG, 0644}};
    const struct {
        const struct item *items;
        size_t n;
        const char *says;
    } rows[] = {{out, 1, "unsafe name"},
                {root, 1, "unsafe name"},
                {climb, 1, "unsafe name"},
                {odd, 1, "data for an unknown place: etc/x"},
                {link, 2, "it holds a link: p/l.py"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(install(b, rows[i].items, rows[i].n, NULL, &cell), MIO_REALITY);
        if (!strstr(b->err.message, rows[i].says))
            fail_msg("%s", b->err.message);
    }
}

static void every_file_must_be_in_the_record(void **state)
{
    struct bed *b = *state;
    struct mio_env_cell cell;
    const struct item items[] = {{"p/a.py", "a", NULL, S_IFREG, 0644},
                                 {INFO "WHEEL", "Wheel-Version: 1.0\n", NULL, S_IFREG, 0644},
                                 {INFO "RECORD", INFO "RECORD,,\n", NULL, S_IFREG, 0644}};
    struct mio_env_wheel w = {.name = MIO_STR("p"), .file = MIO_STR("p.whl")};
    struct mio_env_lock lock = {.config = mio_null()};
    assert_int_equal(mio_env_store_put(&b->a, &b->s, pack(&b->a, items, 3, 1), &w.sha256, &b->err),
                     MIO_OK);
    assert_int_equal(mio_env_cell_wheel(&b->a, &b->s, &lock, &w, &cell, &b->err), MIO_REALITY);
    assert_non_null(strstr(b->err.message, "missing in its RECORD: p/a.py"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(files_and_scripts_come_to_their_places),
        T(a_prefix_moves_everything),
        T(unsound_wheels_are_refused),
        T(every_file_must_be_in_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
