/* tests/fuzz/fuzz_archive.c: Debian packages and wheels of any bytes: nothing unsafe may come out
 * of them, unpacked or made into a cell. */
#include <stdlib.h>
#include <unistd.h>

#include "providers/environment/inspect.h"
#include "providers/environment/unpack.h"
#include "providers/environment/wheel.h"
#include "providers/sdk/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_paths(struct mio_arena *a, const struct mio_env_entry *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct mio_str again;
        if (!mio_env_path(a, items[i].path, &again) || !mio_str_eq(again, items[i].path))
            abort();
    }
}

static void unpack(struct mio_arena *a, const struct mio_env_store *s, int kind, struct mio_str in)
{
    struct mio_env_tree control, data;
    struct mio_err err = {0};
    mio_env_tree_init(&control, a, s);
    mio_env_tree_init(&data, a, s);
    if (!mio_env_unpack_memory(in.p, in.n, kind, &control, &data, &err)) {
        mio_env_tree_sort(&data);
        if (!mio_env_tree_check(&data, &err))
            check_paths(a, data.items, data.n);
    }
    mio_env_tree_free(&control);
    mio_env_tree_free(&data);
}

/* The same as a build does it: from a blob of the store. The cell is thrown away. */
static void make_cell(struct mio_arena *a, const struct mio_env_store *s, bool wheel,
                      struct mio_str in)
{
    struct mio_err err = {0};
    struct mio_env_cell cell = {0};
    struct mio_str hex;
    struct mio_env_wheel w = {.name = MIO_STR("p"), .version = MIO_STR("1"), .file = MIO_STR("p")};
    struct mio_env_package d = {
        .name = MIO_STR("x"), .version = MIO_STR("1"), .arch = MIO_STR("all")};
    struct mio_env_lock lock = {.config = mio_null()};
    if (mio_env_store_put(a, s, in, &hex, &err))
        abort();
    w.sha256 = d.sha256 = hex;
    if (!(wheel ? mio_env_cell_wheel(a, s, &lock, &w, &cell, &err)
                : mio_env_cell_deb(a, s, &d, &cell, &err))) {
        check_paths(a, cell.items, cell.n);
        unlink(cell.path);
        unlink(mio_arena_printf(a, "%s/cells/%.*s.idx", s->root, MIO_FMT(cell.key)).p);
    }
    unlink(mio_env_store_blob(a, s, hex));
}

/* A layer of an image, over a root that has links and files in its way. */
static void read_layer(struct mio_arena *a, const struct mio_env_store *s, struct mio_str in)
{
    static const struct mio_env_entry below[] = {
        {.path = {"etc", 3}, .type = MIO_ENTRY_DIR},
        {.path = {"lib", 3}, .link = {"usr/lib", 7}, .type = MIO_ENTRY_SYMLINK},
        {.path = {"out", 3}, .link = {"../../etc", 9}, .type = MIO_ENTRY_SYMLINK},
        {.path = {"file", 4}, .type = MIO_ENTRY_FILE}};
    struct mio_err err = {0};
    struct mio_env_content all;
    struct mio_str hex;
    if (mio_env_store_put(a, s, in, &hex, &err))
        abort();
    mio_env_content_init(&all, a);
    mio_env_content_lay(&all, below, sizeof below / sizeof *below);
    if (!mio_env_content_layer(&all, mio_env_store_blob(a, s, hex), &err))
        for (size_t i = 0; i < all.n; i++)
            check_paths(a, all.items[i], 1);
    unlink(mio_env_store_blob(a, s, hex));
}

/* The first byte chooses: its lowest bit between a package and a wheel, the next one how; the third
 * is for layers. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct mio_env_store store;
    static struct mio_arena keep;
    struct mio_err err = {0};
    if (!store.root && mio_env_store_open(&keep, "/tmp/mio-fuzz-archive", &store, &err))
        abort();
    if (!n)
        return 0;
    struct mio_arena a;
    struct mio_str in = {(const char *)p + 1, n - 1};
    mio_arena_init(&a);
    if (p[0] & 4)
        read_layer(&a, &store, in);
    else if (p[0] & 2)
        make_cell(&a, &store, p[0] & 1, in);
    else
        unpack(&a, &store, p[0] & 1, in);
    mio_arena_free(&a);
    return 0;
}
