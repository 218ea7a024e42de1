/* tests/fuzz/fuzz_archive.c: Debian packages and wheels of any bytes: nothing unsafe may come out
 * of them. */
#include <stdlib.h>

#include "providers/environment/unpack.h"
#include "providers/sdk/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The first byte chooses the format. */
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
    struct mio_env_tree control, data;
    mio_arena_init(&a);
    mio_env_tree_init(&control, &a, &store);
    mio_env_tree_init(&data, &a, &store);
    if (!mio_env_unpack_memory(p + 1, n - 1, p[0] & 1, &control, &data, &err)) {
        mio_env_tree_sort(&data);
        if (!mio_env_tree_check(&data, &err))
            for (size_t i = 0; i < data.n; i++) {
                struct mio_str again;
                if (!mio_env_path(&a, data.items[i].path, &again) ||
                    !mio_str_eq(again, data.items[i].path))
                    abort();
            }
    }
    mio_env_tree_free(&control);
    mio_env_tree_free(&data);
    mio_arena_free(&a);
    return 0;
}
