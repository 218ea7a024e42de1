/* tests/fuzz/fuzz_lock.c: lock files and the text of package indices, of any bytes: what is read as
 * a lock is written and read again as the same. */
#include <stdlib.h>
#include <unistd.h>

#include "providers/environment/lock.h"
#include "providers/environment/users.h"
#include "providers/sdk/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool read_lock(struct mio_arena *a, struct mio_str text, struct mio_env_lock *out)
{
    struct mio_err err = {0};
    bool found = false;
    const char *path = mio_arena_printf(a, "/tmp/mio-fuzz-lock-%d", (int)getpid()).p;
    if (mio_fs_replace(path, text, 0600, &err))
        abort();
    enum mio_code code = mio_env_lock_read(a, path, out, &found, &err);
    unlink(path);
    return !code && found;
}

static void walk_index(struct mio_arena *a, struct mio_str text)
{
    struct mio_str line, word, path, rest = text;
    int64_t seconds;
    while (mio_env_line(&rest, &line))
        while (mio_env_word(&line, &word))
            mio_env_path(a, word, &path);
    mio_env_date(mio_env_field(text, "Date"), &seconds);
    mio_env_field(text, "SHA256");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct mio_arena a;
    struct mio_env_lock lock, again;
    struct mio_str text = {(const char *)p, n};
    struct mio_env_user *users;
    struct mio_err err = {0};
    size_t count;
    mio_arena_init(&a);
    walk_index(&a, text);
    if (read_lock(&a, text, &lock)) {
        struct mio_str once = mio_env_lock_text(&a, &lock, true);
        if (!read_lock(&a, once, &again) || !mio_str_eq(once, mio_env_lock_text(&a, &again, true)))
            abort();
        mio_env_users_read(&a, lock.config, &users, &count, &err);
    }
    mio_arena_free(&a);
    return 0;
}
