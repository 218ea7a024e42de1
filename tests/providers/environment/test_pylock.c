/* tests/providers/environment/test_pylock.c: TOML, and which file of a pylock.toml is taken. */
#include "providers/environment/pylock.h"
#include "providers/environment/toml.h"
#include "providers/sdk/json.h"
#include "tests/providers/environment/support.h"

static const char *as_json(struct bed *b, const char *toml)
{
    struct mio_value v;
    memset(&b->err, 0, sizeof b->err);
    if (mio_env_toml(&b->a, mio_str_z(toml), &v, &b->err))
        return b->err.message;
    MIO_AUTO_BUF out;
    mio_buf_init(&out, 0);
    mio_json_write(&out, v, MIO_JSON_PLAIN);
    return mio_arena_z(&b->a, mio_buf_view(&out));
}

static void toml_is_read(void **state)
{
    struct bed *b = *state;
    assert_string_equal(
        as_json(b, "a = 1_000 # c\nb = 'x\\y'\n\"c d\" = true\ne.f = [1, 'two', [3]]\n"),
        "{\"a\":1000,\"b\":\"x\\\\y\",\"c d\":true,\"e\":{\"f\":[1,\"two\",[3]]}}");
    assert_string_equal(
        as_json(b, "[t]\nk = \"\"\"\na\\tb\\u00e9\n\"\"\"\n[[t.l]]\nx = {y = 1}\n[[t.l]]\n"
                   "d = 2024-01-02 03:04:05Z\n[t.l.m]\nz = 0.5\n"),
        "{\"t\":{\"k\":\"a\\tb\xc3\xa9\\n\",\"l\":[{\"x\":{\"y\":1}},{\"d\":"
        "\"2024-01-02 03:04:05Z\",\"m\":{\"z\":0.5}}]}}");
    assert_string_equal(as_json(b, "a = [\n  1, # one\n  2,\n]\n"), "{\"a\":[1,2]}");
}

static void broken_toml_says_the_line(void **state)
{
    struct bed *b = *state;
    static const char *const rows[][2] = {
        {"a = 1\na = 2\n", "line 2: a key is given twice"},
        {"a = 1\nb = \n", "line 2: a value is missing"},
        {"[t]\n[t]\n", "line 2: a table is given twice"},
        {"a = 'x\n", "line 1: a string that does not end"},
        {"a = {b = 1}\na.c = 2\n", "line 2: a key goes through something that is no open table"},
        {"a = [1, 2\n", "line 2: ',' or ']' is missing"},
        {"a = \"\\q\"\n", "line 1: an unknown escape"},
        {"a = 1 2\n", "line 1: something stands after the value"},
        {"a = nonsense!\n", "line 1: a value that is no string, number, date, array or table"},
        {"[a\n", "line 1: ']' is missing"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(as_json(b, rows[i][0]), rows[i][1]);
    char deep[400];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "a = ", 4);
    deep[sizeof deep - 1] = 0;
    assert_string_equal(as_json(b, deep), "line 1: nested too deeply");
}

#define HEAD "lock-version = '1.0'\ncreated-by = 'test'\n"
#define WHEEL(file, hash) "{url = 'https://x/" file "', size = 7, hashes = {sha256 = '" hash "'}}"

static enum mio_code read_lock(struct bed *b, const char *text, struct mio_env_pinned **out,
                               size_t *n)
{
    const struct mio_env_python py = {MIO_STR("3.11"), MIO_STR("amd64"), 36};
    memset(&b->err, 0, sizeof b->err);
    return mio_env_pylock_read(&b->a, mio_str_z(text), "/t", &py, out, n, &b->err);
}

static void the_file_that_fits_is_taken(void **state)
{
    struct bed *b = *state;
    struct mio_env_pinned *p;
    size_t n;
    assert_int_equal(
        read_lock(
            b,
            HEAD
            "requires-python = '>=3.9'\nenvironments = [\"sys_platform == 'linux'\"]\n"
            "[[packages]]\nname = 'Zed'\nversion = '2'\nwheels = [\n" WHEEL(
                "zed-2-cp310-cp310-manylinux_2_17_x86_64.whl",
                "aa") ",\n" WHEEL("zed-2-cp311-cp311-manylinux_2_17_x86_64.whl",
                                  "bb") ",\n" WHEEL("zed-2-py3-none-any.whl",
                                                    "cc") "]\n"
                                                          "[[packages]]\nname = 'win'\nversion = "
                                                          "'1'\nmarker = \"os_name == 'nt'\"\n"
                                                          "[[packages]]\nname = 'a-local'\nversion "
                                                          "= '1+cpu'\n[[packages.wheels]]\npath = "
                                                          "'w/"
                                                          "a_local-1%2Bcpu-py3-none-any.whl'\n["
                                                          "packages.wheels.hashes]\nsha256 = 'dd'\n"
                                                          "[[packages]]\nname = 'src'\nversion = "
                                                          "'3'\nsdist = {url = "
                                                          "'https://x/src-3.tar.gz'}\n",
            &p, &n),
        MIO_OK);
    assert_int_equal(n, 3);
    assert_string_equal(p[0].url.p, "/t/w/a_local-1%2Bcpu-py3-none-any.whl");
    assert_true(p[1].sdist && mio_str_is(p[1].name, "src"));
    assert_true(mio_str_is(p[2].name, "zed") && mio_str_is(p[2].sha256, "bb") && p[2].size == 7);
    assert_true(mio_str_is(p[2].file, "zed-2-cp311-cp311-manylinux_2_17_x86_64.whl"));
}

static void what_cannot_be_taken_is_named(void **state)
{
    struct bed *b = *state;
    struct mio_env_pinned *p;
    size_t n;
    static const char *const rows[][2] = {
        {"lock-version = '2.0'\n", "its lock-version is \"2.0\""},
        {HEAD "requires-python = '>=3.12'\n", "made for Python >=3.12"},
        {HEAD "environments = [\"platform_machine == 'aarch64'\"]\n", "not made for this Python"},
        {HEAD "[[packages]]\nname = 'g'\nvcs = {type = 'git'}\n", "package g comes from a vcs"},
        {HEAD "[[packages]]\nname = 'w'\nversion = '1'\nwheels = [" WHEEL(
             "w-1-cp39-cp39-manylinux_2_17_x86_64.whl", "aa") "]\n",
         "no wheel of package w fits Python 3.11 on amd64"},
        {HEAD "[[packages]]\nname = 'm'\nmarker = 'oops =='\n",
         "package m: a marker that cannot be read"},
        {HEAD "[[packages]]\nname = 'r'\nrequires-python = '<3.10'\n",
         "package r needs Python <3.10"},
        {HEAD "[[packages]]\nname = 'd'\nwheels = [" WHEEL(
             "d-1-py3-none-any.whl", "aa") "]\n[[packages]]\n"
                                           "name = 'D'\nwheels = [" WHEEL("d-2-py3-none-any.whl",
                                                                          "bb") "]\n",
         "package d is chosen twice"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(read_lock(b, rows[i][0], &p, &n), MIO_TEMPLATE);
        if (!strstr(b->err.message, rows[i][1]))
            fail_msg("%s", b->err.message);
    }
}

/* What is written is read back as it was. */
static void a_written_lock_is_read(void **state)
{
    struct bed *b = *state;
    struct mio_env_wheel w[] = {{.name = MIO_STR("a"),
                                 .version = MIO_STR("1"),
                                 .file = MIO_STR("a-1-py3-none-any.whl"),
                                 .sha256 = MIO_STR("aa"),
                                 .url = MIO_STR("https://x/y/a-1-py3-none-any.whl"),
                                 .size = 5},
                                {.name = MIO_STR("b"),
                                 .version = MIO_STR("2"),
                                 .file = MIO_STR("b-2-py3-none-any.whl"),
                                 .sha256 = MIO_STR("bb"),
                                 .url = MIO_STR("w/b-2-py3-none-any.whl"),
                                 .size = 6}};
    struct mio_pair version = {MIO_STR("version"), mio_string_z("3.11")};
    struct mio_pair python = {MIO_STR("python"), mio_map(&version, 1)};
    struct mio_env_lock lock = {.wheels = w,
                                .n_wheels = 2,
                                .arch = MIO_STR("amd64"),
                                .suite = MIO_STR("bookworm"),
                                .config = mio_map(&python, 1)};
    struct mio_env_pinned *p;
    size_t n;
    assert_int_equal(read_lock(b, mio_env_pylock_text(&b->a, &lock).p, &p, &n), MIO_OK);
    assert_int_equal(n, 2);
    assert_true(mio_str_eq(p[0].url, w[0].url) && mio_str_eq(p[0].sha256, w[0].sha256));
    assert_true(mio_str_is(p[1].url, "/t/w/b-2-py3-none-any.whl") && p[1].size == 6);
}

/* No user, password or query may come into a lock. */
static void addresses_are_stripped(void **state)
{
    struct bed *b = *state;
    static const char *const rows[][2] = {
        {"https://me:secret@host/x/y.whl?token=1", "https://host/x/y.whl"},
        {"https://host/x/a@b.whl", "https://host/x/a@b.whl"},
        {"/t/sub/w.whl", "sub/w.whl"},
        {"/elsewhere/w.whl", ""},
        {"/tea/w.whl", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(
            mio_arena_z(&b->a, mio_env_pinned_hint(&b->a, "/t", mio_str_z(rows[i][0]))),
            rows[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(toml_is_read),
        T(broken_toml_says_the_line),
        T(the_file_that_fits_is_taken),
        T(what_cannot_be_taken_is_named),
        T(a_written_lock_is_read),
        T(addresses_are_stripped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
