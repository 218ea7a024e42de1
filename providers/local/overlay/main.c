/* providers/local/overlay/main.c: mlops-iac-overlay, bubblewrap over a root that its processes may
 * write to without touching it.
 *
 * In a mount namespace of its own it lays a tmpfs and an overlay (lower: the root, upper: the
 * tmpfs) over the root's folder, and becomes bubblewrap. Nobody else sees the mounts, and they end
 * with the last process in there. What is written counts as memory of whoever wrote it.
 *
 *   mlops-iac-overlay --probe ROOT           0 when this can be done here
 *   mlops-iac-overlay --args FD -- COMMAND   as bubblewrap; among the options behind FD stand
 *                                            --root-overlay BWRAP ROOT, in place of --bind ROOT /
 *
 * An ordinary user gets a user namespace for it, with nobody but that user in it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "providers/sdk/alloc.h"

static int fail(const char *what, const char *name)
{
    dprintf(2, "mlops-iac-overlay: %s %s: %s\n", what, name, strerror(errno));
    return 126;
}

static bool put(const char *path, const char *text)
{
    MIO_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A user namespace only where there is no right to do without: *own tells. */
static bool separate(bool *own)
{
    char line[64];
    unsigned uid = geteuid(), gid = getegid();
    *own = unshare(CLONE_NEWNS) != 0;
    if (*own) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
            return false;
        snprintf(line, sizeof line, "%u %u 1", uid, uid);
        if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", line))
            return false;
        snprintf(line, sizeof line, "%u %u 1", gid, gid);
        if (!put("/proc/self/gid_map", line))
            return false;
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* ROOT/m becomes the root that can be written to. The options hold no path of the caller's: a comma
 * or a colon in it would be read as another option. */
static bool lay(const char *root)
{
    char options[128];
    bool own;
    if (strlen(root) >= 4096 || !separate(&own))
        return false;
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int lower = open(root, O_DIRECTORY | O_RDONLY | O_CLOEXEC); /* by the mounts of ours */
    if (here < 0 || lower < 0 || mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") ||
        chdir(root) || mkdir("u", 0755) || mkdir("w", 0755) || mkdir("m", 0755))
        return false;
    snprintf(options, sizeof options, "lowerdir=/proc/self/fd/%d,upperdir=u,workdir=w%s", lower,
             own ? ",userxattr" : "");
    return mount("overlay", "m", "overlay", MS_NOSUID | MS_NODEV, options) == 0 &&
           fchdir(here) == 0;
}

/* ---- bubblewrap's options ---- */

static char *read_all(int fd, size_t *n)
{
    struct stat st;
    if (fstat(fd, &st) || st.st_size <= 0)
        return NULL;
    *n = (size_t)st.st_size;
    char *text = mio_alloc(*n);
    return pread(fd, text, *n, 0) == st.st_size && !text[*n - 1] ? text : NULL;
}

/* The word after `at`, or NULL behind the last. */
static const char *next(const char *at, const char *end)
{
    at += strlen(at) + 1;
    return at < end ? at : NULL;
}

static bool write_words(int fd, const char *from, const char *to)
{
    return from >= to || write(fd, from, (size_t)(to - from)) == to - from;
}

static int become_bubblewrap(char **argv, int options)
{
    static const char mark[] = "--root-overlay";
    size_t n = 0;
    char number[16], bind[4096 + 16];
    const char *text = read_all(options, &n), *end = text + n, *at = text;
    while (text && at && strcmp(at, mark) != 0)
        at = next(at, end);
    const char *bwrap = text && at ? next(at, end) : NULL, *root = bwrap ? next(bwrap, end) : NULL;
    if (!root) {
        errno = EINVAL;
        return fail("cannot find", mark);
    }
    if (!lay(root))
        return fail("cannot lay a folder that can be written to over", root);
    int k = snprintf(bind, sizeof bind, "--bind%c%s/m%c/", 0, root, 0);
    int fd = memfd_create("options", 0); /* inherited by bubblewrap, which closes it */
    const char *rest = root + strlen(root) + 1;
    if (fd < 0 || !write_words(fd, text, at) || !write_words(fd, bind, bind + k + 1) ||
        !write_words(fd, rest, end) || lseek(fd, 0, SEEK_SET))
        return fail("cannot keep", "the options of the sandbox");
    snprintf(number, sizeof number, "%d", fd);
    close(options);
    argv[0] = strdup(bwrap);
    argv[2] = number;
    execv(bwrap, argv);
    return fail("cannot start", bwrap);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--probe"))
        return lay(argv[2]) ? 0 : fail("cannot lay a folder that can be written to over", argv[2]);
    char *end = NULL;
    long options = argc > 4 && !strcmp(argv[1], "--args") ? strtol(argv[2], &end, 10) : -1;
    if (options < 0 || !end || *end) {
        dprintf(2, "usage: mlops-iac-overlay --probe ROOT | --args FD -- COMMAND...\n");
        return 126;
    }
    return become_bubblewrap(argv, (int)options);
}
