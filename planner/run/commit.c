/* planner/run/commit.c: the commit that the template was taken from, for plan file and history.
 *
 * Git is asked, and without what a repository could make it run. What cannot be told is "". */
#include "planner/run/internal.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <sys/wait.h>

enum { GIT_MS = 5000, LONGEST = 256 };

static bool in_repository(struct mio_arena *a, struct mio_str dir)
{
    for (; dir.n > 1; dir = mio_path_dir(dir))
        if (mio_fs_exists(mio_path_join(a, dir, MIO_STR(".git")).p))
            return true;
    return false;
}

struct mio_str mio_engine_commit(struct mio_engine *e)
{
    struct mio_arena *a = &e->arena;
    const char *path = getenv("PATH");
    const char *const argv[] = {"git",
                                "-c",
                                "core.fsmonitor=false",
                                "-c",
                                "core.hooksPath=/dev/null",
                                "describe",
                                "--always",
                                "--dirty",
                                "--abbrev=40",
                                "--exclude=*",
                                NULL};
    const char *const env[] = {mio_arena_printf(a, "PATH=%s", path ? path : "/usr/bin:/bin").p,
                               "LC_ALL=C",
                               "GIT_OPTIONAL_LOCKS=0",
                               "GIT_TERMINAL_PROMPT=0",
                               "GIT_CONFIG_NOSYSTEM=1",
                               "GIT_CONFIG_GLOBAL=/dev/null",
                               NULL};
    struct mio_proc_opts o = {
        .argv = argv, .env = env, .cwd = mio_arena_z(a, e->tpl->dir), .in = -1};
    MIO_AUTO_BUF out = {0};
    struct mio_err ignored = {0};
    int status = 0;
    mio_buf_init(&out, LONGEST);
    if (e->opts.temp_dir || !in_repository(a, e->tpl->dir) ||
        mio_proc_run(&o, mio_now_ms() + GIT_MS, &out, &status, &ignored) || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        return MIO_STR("");
    struct mio_str text = mio_str_trim(mio_buf_view(&out));
    for (size_t i = 0; i < text.n; i++)
        if (!strchr("0123456789abcdef-dirty", text.p[i]))
            return MIO_STR("");
    return mio_arena_str(a, text);
}
