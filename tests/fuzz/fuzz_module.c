/* tests/fuzz/fuzz_module.c: where a module comes from, and the archive that it came in; the lock
 * file of plugins. The first byte chooses: a source with its digest on the line below, the bytes of
 * an archive, a lock file.
 *
 * Properties: a source that is taken starts no option, leaves no folder and names a known scheme;
 * an archive writes plain files and folders below its folder and nothing else; a lock file that was
 * read is written and read again to the same entries. */
#include "planner/run/archive/archive.h"
#include "planner/run/internal.h"
#include "providers/host/host.h"
#include "providers/sdk/fs.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void source(struct mio_arena *a, struct mio_str text)
{
    struct mio_module_source s = {0};
    struct mio_err err = {0};
    ptrdiff_t nl = mio_str_find(text, '\n');
    struct mio_str digest = {0};
    if (nl >= 0) {
        digest = mio_str_sub(text, (size_t)nl + 1, text.n);
        text = mio_str_sub(text, 0, (size_t)nl);
    }
    bool ok = mio_module_source(a, text, digest, &s, &err) == MIO_OK;
    if (ok != !err.code)
        abort();
    if (!ok)
        return;
    const char *up = memmem(s.folder.p ? s.folder.p : "", s.folder.n, "..", 2);
    bool leaves = up && (up == s.folder.p || up[-1] == '/') &&
                  (up + 2 == s.folder.p + s.folder.n || up[2] == '/');
    if (s.url.p[0] == '-' || leaves || (!s.archive && (!s.ref.n || s.ref.p[0] == '-')) ||
        memchr(s.url.p, ' ', s.url.n) || memchr(s.url.p, '\n', s.url.n))
        abort();
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)path;
    (void)f;
    if ((type != FTW_F && type != FTW_D) || (type == FTW_F && st->st_nlink != 1) ||
        (st->st_mode & 07022))
        abort();
    return 0;
}

static void make_folder(char *dir, size_t size)
{
    const char *root = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(dir, size, "%s/mio-fuzz-XXXXXX", root);
    if (!mkdtemp(dir))
        abort();
}

static void archive(struct mio_arena *a, const uint8_t *data, size_t size)
{
    struct mio_err err = {0};
    struct mio_str *names;
    size_t n = 0;
    char dir[256], into[300];
    int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))
        abort();
    make_folder(dir, sizeof dir);
    snprintf(into, sizeof into, "%s/into", dir);
    if (mkdir(into, 0755))
        abort();
    bool ok = mio_archive_unpack(fd, into, &err) == MIO_OK;
    close(fd);
    if (ok != !err.code || nftw(into, visit, 16, FTW_PHYS))
        abort();
    if (mio_fs_list(a, dir, &names, &n, &(struct mio_err){0}) || n != 1)
        abort(); /* something beside the folder */
    mio_fs_remove_tree(dir, &(struct mio_err){0});
}

static void lock_file(struct mio_arena *a, struct mio_str text)
{
    struct mio_lockfile one, two;
    struct mio_err err = {0};
    bool found;
    char dir[256], path[300];
    make_folder(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/.mlops-iac.lock.json", dir);
    if (mio_fs_replace(path, text, 0600, &err))
        abort();
    bool ok = mio_lockfile_read(a, dir, &one, &found, &err) == MIO_OK;
    if (ok != !err.code || (ok && !found))
        abort();
    if (ok && (mio_lockfile_write(dir, &one, &err) ||
               mio_lockfile_read(a, dir, &two, &found, &err) || one.n != two.n))
        abort();
    mio_fs_remove_tree(dir, &(struct mio_err){0});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct mio_arena a;
    mio_arena_init(&a);
    struct mio_str text = mio_arena_str(&a, (struct mio_str){(const char *)data + 1, size - 1});
    if (data[0] % 3 == 1)
        archive(&a, data + 1, size - 1);
    else if (data[0] % 3 == 2)
        lock_file(&a, text);
    else
        source(&a, text);
    mio_arena_free(&a);
    return 0;
}
