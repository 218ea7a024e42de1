/* providers/environment/requirements.c: lines of requirements files. */
#include "providers/environment/requirements.h"
#include "providers/environment/pep.h"
#include "providers/environment/sources.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"

enum { MAX_FILE = 4 << 20, MAX_FILES = 100 };

struct walk {
    struct mio_arena *a;
    const char *dir;
    struct mio_env_requirements *r;
    struct mio_str now;
    int line;
    struct mio_err *err;
};

static enum mio_code bad(struct walk *w, const char *what, const char *hint)
{
    mio_fail(w->err, MIO_TEMPLATE, "%.*s:%d: %s", MIO_FMT(w->now), w->line, what);
    return mio_err_hint(w->err, "%s", hint);
}

static void add_file(struct walk *w, struct mio_str path)
{
    for (size_t i = 0; i < w->r->n_files; i++)
        if (mio_str_eq(w->r->files[i], path))
            return;
    MIO_PUSH(w->a, w->r->files, w->r->n_files, w->r->files_cap) = path;
}

/* "-r x", "-rx", "--requirement x", "--requirement=x": the x. */
static struct mio_str option(struct mio_str line, const char *short_form, const char *long_form)
{
    size_t n = 0;
    if (mio_str_starts(line, long_form))
        n = strlen(long_form);
    else if (mio_str_starts(line, short_form) && !mio_str_starts(line, "--"))
        n = strlen(short_form);
    if (!n)
        return (struct mio_str){0};
    line = mio_str_trim(mio_str_sub(line, n, line.n));
    return mio_str_starts(line, "=") ? mio_str_trim(mio_str_sub(line, 1, line.n)) : line;
}

/* A name, and after it "--hash=sha256:..." as often as there are files. */
static enum mio_code take_hashes(struct walk *w, struct mio_str line)
{
    size_t n = 0;
    while (n < line.n && !strchr(" \t[=<>!~;@(", line.p[n]))
        n++;
    struct mio_str name = mio_env_pep_name(w->a, mio_str_sub(line, 0, n)), word;
    while (mio_env_word(&line, &word)) {
        if (mio_str_is(word, "--hash") && !mio_env_word(&line, &word))
            return bad(w, "--hash without a hash", "write --hash=sha256:HEX");
        if (mio_str_starts(word, "--hash="))
            word = mio_str_sub(word, 7, word.n);
        if (mio_str_starts(word, "sha256:"))
            MIO_PUSH(w->a, w->r->hashes, w->r->n_hashes, w->r->hashes_cap) =
                (struct mio_env_demanded){name, mio_str_sub(word, 7, word.n)};
    }
    return MIO_OK;
}

static enum mio_code take_line(struct walk *w, struct mio_str line)
{
    ptrdiff_t mark = mio_str_starts(line, "#") ? 0 : -1;
    for (size_t i = 1; i < line.n && mark < 0; i++)
        if (line.p[i] == '#' && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
            mark = (ptrdiff_t)i;
    line = mio_str_trim(mio_str_sub(line, 0, mark < 0 ? line.n : (size_t)mark));
    struct mio_str path = option(line, "-r", "--requirement");
    if (!path.n)
        path = option(line, "-c", "--constraint");
    if (path.n && mio_str_find(path, ':') >= 0)
        return bad(w, "a requirements file behind an address cannot be locked",
                   "keep a copy beside the template");
    if (path.n)
        add_file(w, mio_path_join(w->a, mio_path_dir(w->now), path));
    else if (option(line, "-e", "--editable").n || mio_str_starts(line, "./") ||
             mio_str_starts(line, "../") || mio_str_is(line, "."))
        return bad(w, "a folder of sources is no package that can be locked",
                   "build a wheel of it, or lay it into the image under files:");
    else if (line.n && line.p[0] != '-')
        return take_hashes(w, line);
    return MIO_OK;
}

static enum mio_code take_file(struct walk *w)
{
    struct mio_str text, line;
    bool found = false;
    const char *path = mio_path_join(w->a, mio_str_z(w->dir), w->now).p;
    if (mio_fs_read(w->a, path, MAX_FILE, &text, &found, w->err))
        return w->err->code;
    if (!found)
        return mio_fail(w->err, MIO_TEMPLATE, "%s is not there", path);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, MAX_FILE);
    w->line = 0;
    while (mio_env_line(&text, &line)) { /* a backslash at the end joins lines */
        w->line++;
        line = mio_str_ends(line, "\r") ? mio_str_sub(line, 0, line.n - 1) : line;
        bool more = mio_str_ends(line, "\\");
        mio_buf_str(&b, mio_str_sub(line, 0, line.n - more));
        if (more && text.n)
            continue;
        if (take_line(w, mio_str_trim(mio_arena_str(w->a, mio_buf_view(&b)))))
            return w->err->code;
        mio_buf_reset(&b);
    }
    return MIO_OK;
}

enum mio_code mio_env_requirements(struct mio_arena *a, const char *dir, struct mio_str path,
                                   struct mio_env_requirements *out, struct mio_err *err)
{
    *out = (struct mio_env_requirements){0};
    struct walk w = {.a = a, .dir = dir, .r = out, .err = err};
    add_file(&w, path);
    for (size_t i = 0; i < out->n_files; i++) {
        if (i == MAX_FILES)
            return mio_fail(err, MIO_TEMPLATE, "%.*s reads more than %d files", MIO_FMT(path),
                            MAX_FILES);
        w.now = out->files[i];
        if (take_file(&w))
            return err->code;
    }
    return MIO_OK;
}
