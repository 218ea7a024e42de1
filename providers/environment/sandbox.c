/* providers/environment/sandbox.c: see sandbox.h. */
#include "providers/environment/sandbox.h"
#include "providers/environment/box.h"
#include "providers/environment/capture.h"
#include "providers/environment/sources.h"
#include "providers/environment/users.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <unistd.h>

enum { CONFIGURE_MS = 60 * 60 * 1000, SAID = 4 << 20 };

/* The package that dpkg names, and the last line that its script said. */
static enum mio_code explain(struct mio_str said, struct mio_err *err)
{
    static const char mark[] = "dpkg: error processing package ";
    struct mio_str line, before = {0}, name = {0}, last = {0};
    while (mio_env_line(&said, &line)) {
        if (mio_str_starts(line, mark) && !name.n) {
            struct mio_str rest = mio_str_sub(line, strlen(mark), line.n);
            mio_env_word(&rest, &name);
            last = before;
        }
        if (mio_str_trim(line).n)
            before = line;
    }
    if (!name.n)
        mio_fail(err, MIO_REALITY, "dpkg cannot configure the packages: %.*s", MIO_FMT(before));
    else
        mio_fail(err, MIO_REALITY, "the script of package %.*s failed: %.*s", MIO_FMT(name),
                 MIO_FMT(last));
    return mio_err_hint(err, "scripts have no network and no running services here; add what they "
                             "miss to debian.packages, or drop the package");
}

static enum mio_code configure(struct mio_arena *a, const struct mio_env_lock *lock,
                               const char *root, struct mio_err *err)
{
    const char *policy = mio_arena_printf(a, "%s/usr/sbin/policy-rc.d", root).p;
    const char *const variables[] = {"DEBIAN_FRONTEND",
                                     "noninteractive",
                                     "LC_ALL",
                                     "C.UTF-8",
                                     "HOME",
                                     "/root",
                                     "TZ",
                                     "UTC",
                                     "PYTHONHASHSEED",
                                     "0",
                                     "SOURCE_DATE_EPOCH",
                                     mio_arena_printf(a, "%lld", (long long)lock->epoch).p,
                                     NULL};
    /* The users first: other scripts give files to them, and dpkg knows no order between them. */
    static const char *const argv[][6] = {
        {"/usr/bin/dpkg", "--force-depends", "--force-unsafe-io", "--configure", "base-passwd",
         NULL},
        {"/usr/bin/dpkg", "--force-depends", "--force-unsafe-io", "--configure", "-a", NULL}};
    struct mio_env_box box = {.root = root,
                              .writable = true,
                              .variables = variables,
                              .in = -1,
                              .out = -1,
                              .ms = CONFIGURE_MS,
                              .without = "scripts: static"};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, SAID);
    int status = 0;
    /* No script is to start a service: 101 says that policy forbids it. */
    if (mio_fs_replace(policy, MIO_STR("#!/bin/sh\nexit 101\n"), 0755, err))
        return err->code;
    for (size_t i = 0; i < sizeof argv / sizeof *argv && !status; i++) {
        box.argv = argv[i];
        if (mio_env_box_run(a, &box, &said, &status, err))
            return err->code;
    }
    return status ? explain(mio_buf_view(&said), err) : MIO_OK;
}

static struct mio_str key_of(struct mio_arena *a, const struct mio_env_lock *lock,
                             const struct mio_env_image *im)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    const struct mio_value *users = mio_get_z(lock->config, "users");
    mio_buf_printf(&b, "sandbox %d zstd %lld ", MIO_ENV_CELL_FORMAT, (long long)lock->epoch);
    mio_json_write(&b, users ? *users : mio_null(), MIO_JSON_OPEN);
    mio_buf_char(&b, '\n');
    for (size_t i = 0; i < im->n_cells; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(im->cells[i].key));
    return mio_env_sha256(a, mio_buf_view(&b));
}

static enum mio_code check_means(const struct mio_env_image *im, struct mio_err *err)
{
    bool has_dpkg = false;
    for (size_t i = 0; i < im->n_cells && !has_dpkg; i++)
        has_dpkg = mio_str_is(im->cells[i].name, "dpkg");
    if (!has_dpkg) {
        mio_fail(err, MIO_TEMPLATE, "scripts: sandbox needs dpkg in the environment");
        return mio_err_hint(err, "set base.variant: essential, which brings what scripts rely on");
    }
    if (geteuid() == 0)
        return MIO_OK;
    mio_fail(err, MIO_AUTH, "scripts: sandbox gives files to several users, which you cannot do");
    return mio_err_hint(err,
                        "run as root, or with mapped users: unshare --map-root-user --map-auto "
                        "mlops-iac env build ... (package uidmap, and a range in /etc/subuid)");
}

/* Declared users come behind those that the scripts made. */
static enum mio_code add_users(struct mio_arena *a, const struct mio_env_lock *lock,
                               const struct mio_env_spec *spec, const struct mio_env_image *im,
                               struct mio_env_tree *t, struct mio_err *err)
{
    struct mio_env_view v;
    if (mio_env_view_init(&v, a, im->cells, im->n_cells, spec, err) ||
        mio_env_users(&v, lock->config, lock->epoch, t, err))
        return err->code;
    mio_env_tree_sort(t);
    return mio_env_tree_check(t, err);
}

enum mio_code mio_env_sandbox(struct mio_arena *a, const struct mio_env_store *s,
                              const struct mio_env_lock *lock, const struct mio_env_spec *spec,
                              const struct mio_env_image *im, struct mio_env_cell *out,
                              struct mio_err *err)
{
    struct mio_str key = key_of(a, lock, im);
    bool found = false;
    if (mio_env_cell_load(a, s, key, NULL, &found, out, err) || found)
        return err->code;
    if (check_means(im, err))
        return err->code;
    const char *root = mio_env_store_tmp(a, s);
    struct mio_env_tree t;
    struct mio_err ignored = {0};
    mio_env_tree_init(&t, a, s);
    if (!mio_env_root(a, im, root, err) && !configure(a, lock, root, err) &&
        !mio_env_capture(&t, im, spec, root, lock->epoch, err) &&
        !add_users(a, lock, spec, im, &t, err))
        mio_env_cell_put(a, s, key, &t, NULL, out, err);
    mio_env_tree_free(&t);
    mio_fs_remove_tree(root, &ignored);
    return err->code;
}
