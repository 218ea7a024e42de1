/* cli/cmd_version.c: version. Starts nothing and loads nothing but the plugin lock file. */
#include "cli/json_out.h"
#include "cli/session.h"
#include <sys/utsname.h>

static const char *platform(struct mio_arena *a)
{
    struct utsname u;
    if (uname(&u))
        return "unknown";
    const char *machine = mio_str_is(mio_str_z(u.machine), "x86_64")    ? "amd64"
                          : mio_str_is(mio_str_z(u.machine), "aarch64") ? "arm64"
                                                                        : u.machine;
    return mio_arena_printf(a, "linux_%s", machine).p;
}

/* The lock file of the template directory, if there is one: without it there is nothing to say. */
static void find_plugins(struct mio_cli *c, struct mio_lockfile *lock)
{
    const char *dir;
    bool found = false;
    struct mio_err ignored = {0};
    if (mio_cli_dir(c, &dir, &ignored) || mio_lockfile_read(&c->arena, dir, lock, &found, &ignored))
        *lock = (struct mio_lockfile){0};
}

enum mio_code mio_cmd_version(struct mio_cli *c)
{
    struct mio_lockfile lock = {0};
    struct mio_buf *b = &c->out.buf;
    find_plugins(c, &lock);
    if (!mio_cli_on(c, MIO_OPT_JSON)) {
        mio_buf_printf(b, "mlops-iac v" MIO_VERSION "\non %s\n", platform(&c->arena));
        for (size_t i = 0; i < lock.n; i++)
            mio_buf_printf(b, "+ provider %.*s v%.*s\n", MIO_FMT(lock.items[i].type),
                           MIO_FMT(lock.items[i].version));
        return MIO_OK;
    }
    struct mio_jout j = {.b = b, .pretty = true};
    mio_jout_open(&j, '{');
    mio_jout_kz(&j, "mlops_iac_version", MIO_VERSION);
    mio_jout_kz(&j, "platform", platform(&c->arena));
    mio_jout_key(&j, "provider_selections");
    mio_jout_open(&j, '{');
    for (size_t i = 0; i < lock.n; i++) {
        mio_jout_key_str(&j, lock.items[i].type);
        mio_jout_str(&j, lock.items[i].version);
    }
    mio_jout_close(&j, '}');
    mio_jout_close(&j, '}');
    mio_buf_char(b, '\n');
    return MIO_OK;
}
