/* tests/bench/nosync.c: a library to preload: what is synced to disk is not waited for. Only to see
 * what syncing costs (tests/bench/sync). */
int fsync(int fd);
int fdatasync(int fd);

__attribute__((visibility("default"))) int fsync(int fd)
{
    (void)fd;
    return 0;
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
