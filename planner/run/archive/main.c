/* planner/run/archive/main.c: mlops-iac-module URL FOLDER [sha256:HEX]: fetches an archive of a
 * module, compares its digest and unpacks it into an empty folder.
 *
 * Out: status 0, or 1 with four lines on standard output: code, message, hint, cause. Started by
 * `mlops-iac init` alone. */
#include "planner/run/archive/archive.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CPU_S = 120, CHUNK = 1 << 16 };

/* One line, whatever is in it. */
static void line(const char *z)
{
    for (; *z; z++)
        putchar(*z == '\n' || *z == '\r' ? ' ' : *z);
    putchar('\n');
}

static int end(const struct mio_err *err)
{
    if (!err->code)
        return 0;
    printf("%d\n", (int)err->code);
    line(err->message);
    line(err->hint);
    line(err->cause);
    return 1;
}

static void bound(int what, rlim_t most)
{
    struct rlimit l = {most, most};
    setrlimit(what, &l);
}

/* However a decoder goes wrong, it goes no further than this. */
static void bound_all(void)
{
    bound(RLIMIT_CPU, CPU_S);
    bound(RLIMIT_CORE, 0);
    bound(RLIMIT_FSIZE, (rlim_t)MIO_ARCHIVE_UNPACKED << 20);
#ifndef __SANITIZE_ADDRESS__
    bound(RLIMIT_AS, (rlim_t)1 << 30);
#endif
}

static enum mio_code compare(int fd, const char *wanted, struct mio_err *err)
{
    MIO_AUTO_FREE char *chunk = mio_alloc(CHUNK);
    uint8_t sum[MIO_SHA256_LEN], want[MIO_SHA256_LEN];
    char hex[MIO_SHA256_HEX + 1];
    struct mio_sha256 *sha = mio_sha256_new();
    ssize_t n;
    mio_sha256_start(sha);
    for (off_t at = 0; (n = pread(fd, chunk, CHUNK, at)) > 0; at += n)
        mio_sha256_add(sha, chunk, (size_t)n);
    if (n < 0)
        mio_fail_sys(err, errno, "cannot read the archive again");
    mio_sha256_end(sha, sum);
    mio_sha256_free(sha);
    mio_hex(sum, sizeof sum, hex);
    if (err->code)
        return err->code;
    if (mio_unhex(mio_str_z(wanted + strlen("sha256:")), want, sizeof want) &&
        memcmp(sum, want, sizeof sum) == 0)
        return MIO_OK;
    mio_fail(err, MIO_TEMPLATE, "the archive is not the one that the template's `digest` names");
    mio_err_cause(err, "it has sha256:%s", hex);
    return mio_err_hint(err, "If the change is meant, write the new digest into the template.");
}

int main(int argc, char **argv)
{
    struct mio_arena a;
    struct mio_err err = {0};
    if (argc < 3 || argc > 4)
        return 2;
    setlocale(LC_ALL, "C.UTF-8"); /* names of entries are UTF-8 */
    bound_all();
    mio_arena_init(&a);
    MIO_AUTO_CLOSE int fd = open(argv[2], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        mio_fail_sys(&err, errno, "cannot make a file in %s", argv[2]);
    if (!err.code && mio_archive_download(&a, argv[1], fd, &err) == MIO_OK &&
        (argc < 4 || compare(fd, argv[3], &err) == MIO_OK)) {
        if (lseek(fd, 0, SEEK_SET))
            mio_fail_sys(&err, errno, "cannot rewind the archive");
        else
            mio_archive_unpack(fd, argv[2], &err);
    }
    mio_arena_free(&a);
    return end(&err);
}
