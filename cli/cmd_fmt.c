/* cli/cmd_fmt.c: fmt: files, folders or standard input through mio_format. */
#include "cli/session.h"
#include "planner/template/format.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <errno.h>
#include <unistd.h>

enum { MAX_BYTES = 4 << 20, UNFORMATTED = 3 };

struct fmt {
    struct mio_cli *c;
    enum mio_code first; /* of the errors */
    bool differs;
};

static void fail(struct fmt *f, const struct mio_err *err)
{
    f->first = f->first ? f->first : err->code;
    mio_cli_fail(f->c, err);
}

static void put_diff(struct fmt *f, struct mio_str shown, struct mio_str old, struct mio_str new)
{
    struct mio_err err = {0};
    struct mio_arena *a = &f->c->arena;
    int from = mio_cli_text_file(old, &err), to = from < 0 ? -1 : mio_cli_text_file(new, &err),
        status = 0;
    if (to >= 0) {
        const char *argv[] = {"diff",
                              "-u",
                              "--label",
                              mio_arena_printf(a, "old/%.*s", MIO_FMT(shown)).p,
                              "--label",
                              mio_arena_printf(a, "new/%.*s", MIO_FMT(shown)).p,
                              "--",
                              mio_arena_printf(a, "/proc/%d/fd/%d", (int)getpid(), from).p,
                              mio_arena_printf(a, "/proc/%d/fd/%d", (int)getpid(), to).p,
                              NULL};
        struct mio_proc_opts o = {.argv = argv, .in = -1};
        MIO_AUTO_BUF text = {0};
        if (mio_proc_run(&o, 0, &text, &status, &err) == MIO_OK)
            mio_buf_str(&f->c->out.buf, mio_buf_view(&text));
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (err.code)
        fail(f, &err);
}

/* False when the text is no YAML; what is wrong has been shown. */
static bool format(struct fmt *f, struct mio_str text, struct mio_str shown, struct mio_str *out)
{
    struct mio_cli *c = f->c;
    struct mio_diags diags;
    struct mio_sources sources = {0};
    mio_diags_init(&diags, &c->arena);
    enum mio_code code = mio_format(&c->arena, text, shown, &sources, out, &diags);
    if (!code)
        return true;
    f->first = f->first ? f->first : code;
    mio_ui_flush(&c->ui);
    c->ui.shown = 0;
    mio_ui_diags(&c->ui, &diags, &sources);
    return false;
}

static void one_file(struct fmt *f, struct mio_str path)
{
    struct mio_cli *c = f->c;
    struct mio_err err = {0};
    struct mio_str text, out;
    bool write = mio_cli_on(c, MIO_OPT_WRITE) && !mio_cli_on(c, MIO_OPT_CHECK);
    const char *name = mio_arena_z(&c->arena, path);
    if (mio_fs_read(&c->arena, name, MAX_BYTES, &text, NULL, &err)) {
        fail(f, &err);
        return;
    }
    if (!format(f, text, path, &out) || mio_str_eq(text, out))
        return;
    f->differs = true;
    if (mio_cli_on(c, MIO_OPT_LIST_NAMES))
        mio_buf_printf(&c->out.buf, "%s\n", name);
    if (mio_cli_on(c, MIO_OPT_DIFF))
        put_diff(f, path, text, out);
    struct stat st;
    if (write && stat(name, &st))
        mio_fail_sys(&err, errno, "cannot look at %s", name);
    if (write && !err.code)
        mio_fs_replace(name, out, st.st_mode & 0777, &err);
    if (err.code)
        fail(f, &err);
}

static void folder(struct fmt *f, struct mio_str dir)
{
    struct mio_arena *a = &f->c->arena;
    struct mio_str *names;
    struct mio_err err = {0};
    struct stat st;
    size_t n;
    if (mio_fs_list(a, mio_arena_z(a, dir), &names, &n, &err)) {
        fail(f, &err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct mio_str path = mio_str_is(dir, ".") ? names[i]
                                                   : mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(dir),
                                                                      MIO_FMT(names[i]));
        bool yaml = mio_str_ends(names[i], ".yaml") || mio_str_ends(names[i], ".yml");
        if (names[i].p[0] == '.' || lstat(mio_arena_z(a, path), &st))
            continue;
        if (S_ISREG(st.st_mode) && yaml)
            one_file(f, path);
        else if (S_ISDIR(st.st_mode) && mio_cli_on(f->c, MIO_OPT_RECURSIVE))
            folder(f, path);
    }
}

static void standard_input(struct fmt *f)
{
    struct mio_cli *c = f->c;
    struct mio_err err = {0};
    struct mio_str in, out;
    if (mio_cli_stdin(c, MAX_BYTES >> 20, &in, &err)) {
        fail(f, &err);
        return;
    }
    if (!format(f, in, MIO_STR("<stdin>"), &out))
        return;
    f->differs = !mio_str_eq(in, out);
    if (mio_cli_on(c, MIO_OPT_DIFF) && f->differs)
        put_diff(f, MIO_STR("<stdin>"), in, out);
    else if (!mio_cli_on(c, MIO_OPT_CHECK))
        mio_buf_str(&c->out.buf, out);
}

static void argument(struct fmt *f, const char *arg)
{
    struct mio_str path = mio_str_z(arg);
    struct mio_err err = {0};
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (mio_str_is(path, "-"))
        standard_input(f);
    else if (mio_fs_is_dir(arg))
        folder(f, path);
    else if (mio_str_ends(path, ".yaml") || mio_str_ends(path, ".yml"))
        one_file(f, path);
    else {
        mio_fail(&err, MIO_USAGE, "%s is no YAML file and no folder", arg);
        mio_err_hint(&err, "Only *.yaml and *.yml files are formatted.");
        fail(f, &err);
    }
}

enum mio_code mio_cmd_fmt(struct mio_cli *c)
{
    struct fmt f = {.c = c};
    struct mio_err err = {0};
    const char *dir;
    for (size_t i = 0; i < c->nargs; i++)
        argument(&f, c->args[i]);
    if (c->nargs == 0) {
        if (mio_cli_dir(c, &dir, &err))
            return mio_cli_fail(c, &err);
        char cwd[4096];
        struct mio_str full = mio_str_z(dir), here = mio_str_z(getcwd(cwd, sizeof cwd) ? cwd : "");
        bool below = mio_str_starts(full, cwd) && full.n > here.n && full.p[here.n] == '/';
        folder(&f, mio_str_eq(full, here) ? MIO_STR(".")
                   : below                ? mio_str_sub(full, here.n + 1, full.n)
                                          : full);
    }
    if (!f.first && f.differs && mio_cli_on(c, MIO_OPT_CHECK))
        c->exit_status = UNFORMATTED;
    return f.first;
}
