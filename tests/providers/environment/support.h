/* tests/providers/environment/support.h: a store in a temporary folder, and archives made up entry
 * by entry. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

#include "providers/environment/cell.h"
#include "providers/environment/unpack.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"

struct bed {
    struct mio_arena a;
    struct mio_env_store s;
    struct mio_err err;
    char folder[64];
};

static inline int bed_setup(void **state)
{
    struct bed *b = test_calloc(1, sizeof *b);
    mio_arena_init(&b->a);
    snprintf(b->folder, sizeof b->folder, "/tmp/mio-env-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    assert_int_equal(mio_env_store_open(&b->a, b->folder, &b->s, &b->err), MIO_OK);
    *state = b;
    return 0;
}

static inline int bed_teardown(void **state)
{
    struct bed *b = *state;
    struct mio_err err = {0};
    mio_fs_remove_tree(b->folder, &err);
    mio_arena_free(&b->a);
    test_free(b);
    return 0;
}

/* One entry of a made archive; type as in sys/stat.h, 0 for a hard link. */
struct item {
    const char *path, *text, *link;
    unsigned type, mode;
};

static inline void put_item(struct archive *ar, const struct item *i)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, i->path);
    if (i->type)
        archive_entry_set_filetype(e, i->type);
    else
        archive_entry_set_hardlink(e, i->link);
    if (i->type == S_IFLNK)
        archive_entry_set_symlink(e, i->link);
    archive_entry_set_perm(e, i->mode ? i->mode : 0644);
    archive_entry_set_mtime(e, 1000000000, 0);
    archive_entry_set_size(e, i->text ? (la_int64_t)strlen(i->text) : 0);
    assert_int_equal(archive_write_header(ar, e), ARCHIVE_OK);
    if (i->text)
        archive_write_data(ar, i->text, strlen(i->text));
    archive_entry_free(e);
}

static inline struct mio_str pack(struct mio_arena *a, const struct item *items, size_t n,
                                  int format)
{
    size_t used = 0, room = 1 << 20;
    char *p = mio_arena_alloc(a, room);
    struct archive *ar = archive_write_new();
    if (format == 0)
        archive_write_set_format_pax_restricted(ar);
    else if (format == 1)
        archive_write_set_format_zip(ar);
    else
        archive_write_set_format_ar_svr4(ar);
    if (format == 0)
        archive_write_add_filter_xz(ar);
    assert_int_equal(archive_write_open_memory(ar, p, room, &used), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++)
        put_item(ar, &items[i]);
    assert_int_equal(archive_write_close(ar), ARCHIVE_OK);
    archive_write_free(ar);
    return (struct mio_str){p, used};
}

static inline void put_member(struct archive *ar, const char *name, struct mio_str text)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)text.n);
    assert_int_equal(archive_write_header(ar, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(ar, text.p, text.n), (la_ssize_t)text.n);
    archive_entry_free(e);
}

/* A Debian package around the items. */
static inline struct mio_str make_deb(struct mio_arena *a, const char *control,
                                      const char *postinst, const struct item *items, size_t n)
{
    struct item meta[] = {{"./control", control, NULL, S_IFREG, 0644},
                          {"./postinst", postinst, NULL, S_IFREG, 0755}};
    struct mio_str inner = pack(a, meta, postinst ? 2 : 1, 0), data = pack(a, items, n, 0);
    size_t used = 0, room = 1 << 20;
    char *p = mio_arena_alloc(a, room);
    struct archive *ar = archive_write_new();
    archive_write_set_format_ar_svr4(ar);
    assert_int_equal(archive_write_open_memory(ar, p, room, &used), ARCHIVE_OK);
    put_member(ar, "debian-binary", MIO_STR("2.0\n"));
    put_member(ar, "control.tar.xz", inner);
    put_member(ar, "data.tar.xz", data);
    assert_int_equal(archive_write_close(ar), ARCHIVE_OK);
    archive_write_free(ar);
    return (struct mio_str){p, used};
}
