/* state/backend_load.c: a backend by its type; remote ones are shared objects, so that a program
 * that needs none does not pay for libcurl and libpq. */
#include "providers/sdk/alloc.h"
#include "state/backend.h"
#include "state/store.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Regular, and written by nobody but root or us: it is code that we run. */
static enum mio_code check_file(const char *path, struct mio_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        mio_fail_sys(err, errno, "cannot load the backend %s", path);
        return mio_err_hint(err, "It is part of the installation of mlops-iac; install it whole.");
    }
    bool ours = st.st_uid == 0 || st.st_uid == geteuid();
    if (S_ISREG(st.st_mode) && ours && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return MIO_OK;
    mio_fail(err, MIO_IO, "the backend %s could have been changed by others", path);
    return mio_err_hint(
        err, "Only its owner, you or root, may be able to write it: chmod go-w '%s'", path);
}

static enum mio_code load(const char *path, mio_backend_entry **entry, struct mio_err *err)
{
    enum mio_code rc = check_file(path, err);
    if (rc)
        return rc;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = lib ? dlsym(lib, MIO_BACKEND_ENTRY) : NULL;
    if (!symbol) {
        mio_fail(err, MIO_IO, "the backend %s cannot be loaded", path);
        return mio_err_cause(err, "%s", dlerror());
    }
    memcpy(entry, &symbol, sizeof symbol);
    __typeof__(mio_backend_program_v1) *program = NULL;
    symbol = dlsym(lib, MIO_BACKEND_PROGRAM);
    memcpy(&program, &symbol, sizeof symbol);
    if (program)
        program(mio_fault, mio_log_line);
    return MIO_OK;
}

enum mio_code mio_backend_open(const struct mio_backend_args *args, const char *folder,
                               struct mio_backend **out, struct mio_err *err)
{
    struct mio_str type = mio_get_str(args->config, "type");
    char path[4096];
    mio_backend_entry *entry = NULL;
    if (type.n == 0 || mio_str_is(type, "file"))
        return mio_backend_file(args->dir, args->create, out, err);
    struct mio_str wrong;
    if (mio_backend_check(args->config, &wrong, err))
        return err->code;
    if (!folder ||
        (size_t)snprintf(path, sizeof path, "%s/%.*s.so", folder, MIO_FMT(type)) >= sizeof path)
        return mio_fail(err, MIO_BUG, "no folder of backends is known");
    enum mio_code rc = load(path, &entry, err);
    struct mio_backend_args with = *args;
    with.variable = mio_backend_variable;
    return rc ? rc : entry(&with, out, err);
}
