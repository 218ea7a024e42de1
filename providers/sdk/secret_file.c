/* providers/sdk/secret_file.c: see secret_file.h. */
#include "providers/sdk/secret_file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "providers/sdk/alloc.h"

enum mio_code mio_secret_file_open(const char *path, int *fd, struct mio_err *err)
{
    struct stat st;
    MIO_AUTO_CLOSE int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0 || fstat(opened, &st) != 0)
        return mio_fail_sys(err, errno, "cannot open the key file %s", path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) || (st.st_uid != geteuid() && st.st_uid != 0)) {
        mio_fail(err, MIO_AUTH, "the key file %s can be read by others", path);
        return mio_err_hint(err, "Make it yours alone: chmod 600 '%s'", path);
    }
    *fd = opened;
    opened = -1;
    return MIO_OK;
}
