/* tests/providers/environment/test_tar.c: the bytes of a known tree, plain and compressed, and what
 * other people's readers find in them. */
#include "providers/sdk/clock.h"
#include "providers/sdk/proc.h"
#include "tests/providers/environment/support.h"
#include <zlib.h>
#include <zstd.h>

/* Recorded from this writer: the plain bytes change only together with MIO_ENV_CELL_FORMAT, the
 * compressed ones with the version of the library. */
#define GOLDEN_TAR "01a9a3d783dc21ebb08e6c3a19e43ce059daf6e03e339c5f437179b4218fdb62"
#define GOLDEN_ZSTD_1_5_4 "dd2c99a82196703e4983d6af42ddc67060c1a315e7383a8605d0533199130577"
#define GOLDEN_GZIP_1_2_13 "29c5bd031057d52b48b593428d7173f397adb78dd734884543afba88f7d7fb37"
#define DEEP                                                                                       \
    "deep/"                                                                                        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaa"

static void fill(struct bed *b, struct mio_env_tree *t)
{
    mio_env_tree_init(t, &b->a, &b->s);
    mio_env_tree_file(t, MIO_STR("etc/b"), 0644, 1, MIO_STR("b\n"), &b->err);
    mio_env_tree_dir(t, MIO_STR("etc"), 0755, 2);
    mio_env_tree_symlink(t, MIO_STR("etc/a"), MIO_STR("b"), 3);
    mio_env_tree_file(t, MIO_STR("etc-b"), 04755, 4, MIO_STR(""), &b->err);
    mio_env_tree_file(t, MIO_STR(DEEP), 0600, 1700000000, MIO_STR("deep\n"), &b->err);
    mio_env_tree_symlink(t, MIO_STR("far"), MIO_STR(DEEP), 5);
    mio_env_tree_file(t, MIO_STR("same"), 0644, 6, MIO_STR(""), &b->err);
    struct mio_env_entry *hard = &t->items[t->n - 1], *owned = &t->items[3];
    hard->type = MIO_ENTRY_HARDLINK;
    hard->link = MIO_STR("etc/b");
    owned->uid = 1000;
    owned->gid = 50;
    mio_env_tree_sort(t);
}

/* The tree as a file of the store; its digests. */
static const char *write_tree(struct bed *b, enum mio_codec codec, struct mio_env_sums *sums)
{
    struct mio_env_tree t;
    struct mio_env_sink *sink;
    const char *path = mio_env_store_tmp(&b->a, &b->s);
    fill(b, &t);
    assert_int_equal(mio_env_sink_open(path, codec, true, &sink, &b->err), MIO_OK);
    assert_int_equal(mio_env_tar_write(&t, sink, &b->err), MIO_OK);
    assert_int_equal(mio_env_tar_end(sink, &b->err), MIO_OK);
    assert_int_equal(mio_env_sink_close(sink, &b->a, sums, &b->err), MIO_OK);
    mio_env_tree_free(&t);
    return path;
}

static void the_tar_is_canonical(void **state)
{
    struct bed *b = *state;
    struct mio_env_sums sums;
    write_tree(b, MIO_CODEC_ZSTD, &sums);
    assert_string_equal(sums.plain.p, GOLDEN_TAR);
    write_tree(b, MIO_CODEC_GZIP, &sums);
    assert_string_equal(sums.plain.p, GOLDEN_TAR);
}

static void the_encoders_are_pinned(void **state)
{
    struct bed *b = *state;
    struct mio_env_sums zstd, gzip;
    bool known = !strcmp(ZSTD_versionString(), "1.5.4") && !strcmp(zlibVersion(), "1.2.13");
    write_tree(b, MIO_CODEC_ZSTD, &zstd);
    write_tree(b, MIO_CODEC_GZIP, &gzip);
    if (!known) {
        print_message("zstd %s gives %s, zlib %s gives %s\n", ZSTD_versionString(), zstd.packed.p,
                      zlibVersion(), gzip.packed.p);
        skip();
    }
    assert_string_equal(zstd.packed.p, GOLDEN_ZSTD_1_5_4);
    assert_string_equal(gzip.packed.p, GOLDEN_GZIP_1_2_13);
}

/* A file of the store with `text`, written in pieces of `step` bytes. */
static const char *write_text(struct bed *b, struct mio_str text, size_t step,
                              struct mio_env_sums *sums)
{
    struct mio_env_sink *sink;
    const char *path = mio_env_store_tmp(&b->a, &b->s);
    assert_int_equal(mio_env_sink_open(path, MIO_CODEC_ZSTD, true, &sink, &b->err), MIO_OK);
    for (size_t i = 0; i < text.n; i += step) {
        size_t n = text.n - i < step ? text.n - i : step;
        assert_int_equal(mio_env_sink_write(sink, text.p + i, n, &b->err), MIO_OK);
    }
    assert_int_equal(mio_env_sink_close(sink, &b->a, sums, &b->err), MIO_OK);
    return path;
}

struct rest {
    struct mio_str text; /* what has not come yet */
    bool same;
};

static enum mio_code take_rest(void *arg, const void *p, size_t n, bool *enough,
                               struct mio_err *err)
{
    struct rest *r = arg;
    (void)enough;
    (void)err;
    r->same = r->same && n <= r->text.n && !memcmp(r->text.p, p, n);
    r->text = mio_str_sub(r->text, n < r->text.n ? n : r->text.n, r->text.n);
    return MIO_OK;
}

static void frames_hold_8_mib_each_however_they_are_written(void **state)
{
    enum { FRAME = 8 << 20, SIZE = 2 * FRAME + 12345 };
    struct bed *b = *state;
    char *letters = mio_arena_alloc(&b->a, SIZE);
    uint32_t x = 1;
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        letters[i] = (char)('a' + (x >> 24) % 26);
    }
    struct mio_str text = {letters, SIZE}, packed;
    struct mio_env_sums sums[3];
    bool found;
    const char *path = write_text(b, text, 1 << 16, &sums[0]);
    write_text(b, text, 999983, &sums[1]);
    write_text(b, text, SIZE, &sums[2]);
    for (int i = 1; i < 3; i++)
        assert_string_equal(sums[0].packed.p, sums[i].packed.p);
    assert_int_equal(sums[0].plain_size, SIZE);
    assert_int_equal(mio_fs_read(&b->a, path, SIZE, &packed, &found, &b->err), MIO_OK);
    for (size_t left = SIZE, frame = FRAME; left; left -= frame) {
        frame = left < FRAME ? left : FRAME;
        assert_int_equal(ZSTD_getFrameContentSize(packed.p, packed.n), frame);
        packed = mio_str_sub(packed, ZSTD_findFrameCompressedSize(packed.p, packed.n), packed.n);
    }
    assert_int_equal(packed.n, 0);
    struct rest r = {mio_str_sub(text, FRAME + 5, SIZE), true};
    assert_int_equal(mio_env_unzstd(path, FRAME + 5, take_rest, &r, &b->err), MIO_OK);
    assert_true(r.same);
    assert_int_equal(r.text.n, 0);
}

/* What a program says, or NULL where it is not installed. */
static const char *said(struct bed *b, const char *const *argv)
{
    MIO_AUTO_BUF out;
    int status = 0;
    mio_buf_init(&out, 1 << 16);
    if (!mio_proc_find(&b->a, argv[0]).n)
        return NULL;
    assert_int_equal(mio_proc_run(&(struct mio_proc_opts){.argv = argv, .in = -1},
                                  mio_now_ms() + 60000, &out, &status, &b->err),
                     MIO_OK);
    const char *text = mio_arena_z(&b->a, mio_buf_view(&out));
    if (status)
        print_error("%s: %s\n", argv[0], text);
    assert_int_equal(status, 0);
    return text;
}

static void other_readers_find_the_same(void **state)
{
    struct bed *b = *state;
    static const char names[] = DEEP "\netc/\netc/a\netc/b\netc-b\nfar\nsame\n";
    static const char listing[] = "-rw------- 0/0 5 2023-11-14 22:13:20 " DEEP "\n"
                                  "drwxr-xr-x 0/0 0 1970-01-01 00:00:02 etc/\n"
                                  "lrwxrwxrwx 0/0 0 1970-01-01 00:00:03 etc/a -> b\n"
                                  "-rw-r--r-- 0/0 2 1970-01-01 00:00:01 etc/b\n"
                                  "-rwsr-xr-x 1000/50 0 1970-01-01 00:00:04 etc-b\n"
                                  "lrwxrwxrwx 0/0 0 1970-01-01 00:00:05 far -> " DEEP "\n"
                                  "hrw-r--r-- 0/0 0 1970-01-01 00:00:06 same link to etc/b\n";
    static const char script[] =
        "import sys, tarfile\n"
        "for m in tarfile.open(sys.argv[1]):\n"
        "    mode = tarfile.stat.filemode(m.mode)[1:]\n"
        "    body = m.isreg() and tarfile.open(sys.argv[1]).extractfile(m.name).read() or b''\n"
        "    print(m.type.decode(), mode, m.uid, m.gid, m.mtime, m.name, m.linkname, len(body))\n";
    static const char by_python[] = "0 rw------- 0 0 1700000000 " DEEP "  5\n"
                                    "5 rwxr-xr-x 0 0 2 etc  0\n"
                                    "2 rwxrwxrwx 0 0 3 etc/a b 0\n"
                                    "0 rw-r--r-- 0 0 1 etc/b  2\n"
                                    "0 rwsr-xr-x 1000 50 4 etc-b  0\n"
                                    "2 rwxrwxrwx 0 0 5 far " DEEP " 0\n"
                                    "1 rw-r--r-- 0 0 6 same etc/b 0\n";
    struct mio_env_sums sums;
    const char *path = write_tree(b, MIO_CODEC_GZIP, &sums), *text;
    const char *gnu[] = {"tar", "--numeric-owner", "--utc", "--full-time", "-tvzf", path, NULL},
               *bsd[] = {"bsdtar", "-tf", path, NULL},
               *python[] = {"/usr/bin/python3", "-c", script, path, NULL};
    char squeezed[2048];
    size_t n = 0;
    text = said(b, gnu);
    for (const char *c = text; c && *c; c++) /* columns are as wide as their widest text */
        if (*c != ' ' || c[1] != ' ')
            squeezed[n++] = *c;
    squeezed[n] = 0;
    assert_string_equal(squeezed, listing);
    text = said(b, bsd);
    if (text)
        assert_string_equal(text, names);
    else
        print_message("bsdtar is not installed: its reading is not compared\n");
    assert_string_equal(said(b, python), by_python);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
        T(the_tar_is_canonical),
        T(the_encoders_are_pinned),
        T(frames_hold_8_mib_each_however_they_are_written),
        T(other_readers_find_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
