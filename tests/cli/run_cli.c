/* tests/cli/run_cli.c: the program as people call it: templates and command lines to what is
 * printed.
 *
 * Cases live in tests/cases/cli. `--- run` holds a shell command a line, run in the case's folder
 * with the program on PATH; each is printed with its output (both streams) and, unless it is 0, its
 * exit status. */
#include "providers/sdk/proc.h"
#include "tests/cases/casefile.h"
#include <sys/wait.h>

static void run_line(struct mio_case *c, struct mio_str line, struct mio_buf *out)
{
    const char *argv[] = {"sh", "-c", mio_arena_z(c->arena, line), NULL};
    struct mio_str path =
        mio_arena_printf(c->arena, "PATH=%s/bin:/usr/bin:/bin", getenv("MIO_BUILD"));
    const char *env[] = {path.p, "HOME=/nonexistent", "LANG=C.UTF-8", "TERM=dumb", NULL};
    struct mio_proc_opts o = {
        .argv = argv, .env = env, .cwd = mio_arena_z(c->arena, c->folder), .in = -1};
    struct mio_err err = {0};
    int status = 0;
    mio_buf_printf(out, "$ %.*s\n", MIO_FMT(line));
    if (mio_proc_run(&o, 0, out, &status, &err))
        mio_buf_printf(out, "cannot run: %s\n", err.message);
    else if (WIFSIGNALED(status))
        mio_buf_printf(out, "[signal %d]\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        mio_buf_printf(out, "[exit %d]\n", WEXITSTATUS(status));
}

static void run(struct mio_case *c, struct mio_buf *out)
{
    struct mio_str rest = mio_case_text(c, "run");
    while (rest.n) {
        ptrdiff_t nl = mio_str_find(rest, '\n');
        struct mio_str line = mio_str_sub(rest, 0, nl < 0 ? rest.n : (size_t)nl);
        rest = nl < 0 ? (struct mio_str){0} : mio_str_sub(rest, (size_t)nl + 1, rest.n);
        if (line.n)
            run_line(c, line, out);
    }
}

int main(void)
{
    return mio_cases_run("cli", run);
}
