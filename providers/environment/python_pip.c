/* providers/environment/python_pip.c: pip as the resolver, where uv is absent. */
#include "providers/environment/fetch.h"
#include "providers/environment/python.h"
#include "providers/environment/sources.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"
#include <sys/utsname.h>
#include <unistd.h>

enum { PIP_MS = 20 * 60 * 1000, ASK_MS = 60 * 1000, MAX_REPORT = 64 << 20 };

/* manylinux tags from newer C libraries downwards: pip takes the first that fits. */
static const unsigned glibc[] = {41, 40, 39, 38, 36, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5};

struct pip {
    struct mio_arena *a;
    const char **argv;
    size_t n, cap;
};

static void arg(struct pip *p, const char *z)
{
    MIO_PUSH(p->a, p->argv, p->n, p->cap) = z;
}

/* The Python that pip runs under: "pip 23.0 from ... (python 3.11)"; empty when there is no pip. */
static struct mio_str version_of(struct mio_arena *a, const char *python)
{
    const char *const argv[] = {python, "-m", "pip", "--version", NULL};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 4096);
    int status = 0;
    struct mio_err ignored = {0};
    if (!mio_proc_find(a, python).n ||
        mio_proc_run(&(struct mio_proc_opts){.argv = argv, .in = -1}, mio_now_ms() + ASK_MS, &said,
                     &status, &ignored) ||
        status)
        return (struct mio_str){0};
    struct mio_str text = mio_buf_view(&said);
    const char *at = text.n ? memmem(text.p, text.n, "(python ", 8) : NULL;
    if (!at)
        return (struct mio_str){0};
    text = mio_str_sub(text, (size_t)(at - text.p) + 8, text.n);
    ptrdiff_t end = mio_str_find(text, ')');
    return mio_arena_str(a, mio_str_sub(text, 0, end < 0 ? 0 : (size_t)end));
}

/* pip judges markers by the interpreter that it runs under: to resolve, only the target's own will
 * do; to fetch by hash, any. */
static enum mio_code find_python(const struct mio_env_ask *q, bool any, const char **out,
                                 struct mio_err *err)
{
    const char *const names[] = {mio_arena_printf(q->a, "python%.*s", MIO_FMT(q->py.version)).p,
                                 "python3"};
    struct utsname host;
    struct mio_str found = {0};
    bool own =
        !uname(&host) && mio_str_is(mio_str_z(host.machine), mio_env_pep_machine(q->py.arch));
    for (size_t i = 0; i < 2; i++) {
        struct mio_str v = version_of(q->a, names[i]);
        if (v.n && !found.n)
            found = v;
        if (v.n && (any || (mio_str_eq(v, q->py.version) && own))) {
            *out = names[i];
            return MIO_OK;
        }
    }
    if (!found.n)
        mio_fail(err, MIO_IO,
                 "neither uv nor pip is installed here: nothing can resolve the Python "
                 "requirements");
    else
        mio_fail(err, MIO_IO,
                 "pip %s cannot resolve for Python %.*s on %.*s: it would judge "
                 "markers by its own",
                 own ? mio_arena_printf(q->a, "of Python %.*s", MIO_FMT(found)).p
                     : "of this machine",
                 MIO_FMT(q->py.version), MIO_FMT(q->py.arch));
    return mio_err_hint(err, "install uv (pip install uv), which resolves for any target, or write "
                             "a pylock.toml and name it by python.pylock");
}

static void arg_platforms(struct pip *p, const struct mio_env_python *py)
{
    const char *machine = mio_env_pep_machine(py->arch);
    for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++)
        if (glibc[i] <= py->glibc) {
            arg(p, "--platform");
            arg(p, mio_arena_printf(p->a, "manylinux_2_%u_%s", glibc[i], machine).p);
        }
    static const char *const old[] = {"manylinux2014", "manylinux2010", "manylinux1", "linux"};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        arg(p, "--platform");
        arg(p, mio_arena_printf(p->a, "%s_%s", old[i], machine).p);
    }
}

static enum mio_code begin(const struct mio_env_ask *q, const char *verb, struct pip *out,
                           struct mio_err *err)
{
    struct pip p = {.a = q->a};
    const char *python = NULL;
    if (find_python(q, !strcmp(verb, "download"), &python, err))
        return err->code;
    const char *const head[] = {python,
                                "-m",
                                "pip",
                                "--no-input",
                                "--disable-pip-version-check",
                                verb,
                                "-q",
                                "--only-binary=:all:",
                                "--implementation=cp",
                                "--python-version",
                                mio_arena_z(q->a, q->py.version)};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        arg(&p, head[i]);
    arg_platforms(&p, &q->py);
    if (q->links) {
        arg(&p, "--find-links");
        arg(&p, q->links);
    }
    *out = p;
    return MIO_OK;
}

/* Its last complaint, but for one that only points to a page; and what to do about it. */
static enum mio_code explain(const char *what, struct mio_str said, struct mio_err *err)
{
    static const struct {
        const char *words, *hint;
    } hints[] = {
        {"Cannot install", "they exclude each other: change a version in the requirements or the "
                           "constraints"},
        {"Invalid requirement", "mend that line of the requirements"},
        {"HASHES", "no wheel has a hash that the requirements name: the hash is wrong, or that of "
                   "a source"},
        {"", "only wheels are taken: a package that exists as source alone must be listed under "
             "python.build_wheel"},
    };
    struct mio_str text = said, line, last = {0};
    size_t i = 0;
    while (mio_env_line(&text, &line))
        if (mio_str_starts(line, "ERROR:") && !mio_str_starts(line, "ERROR: ResolutionImpossible"))
            last = mio_str_trim(mio_str_sub(line, 6, line.n));
    if (!last.n)
        last = mio_str_trim(said);
    while (*hints[i].words && !memmem(last.p, last.n, hints[i].words, strlen(hints[i].words)))
        i++;
    mio_fail(err, MIO_TEMPLATE, "%s: %.*s", what, MIO_FMT(last));
    return mio_err_hint(err, "%s", hints[i].hint);
}

static enum mio_code run(const struct mio_env_ask *q, struct pip *p, const char *what,
                         struct mio_err *err)
{
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    arg(p, NULL);
    struct mio_proc_opts o = {.argv = p->argv, .cwd = q->dir, .in = -1};
    if (mio_proc_run(&o, mio_now_ms() + PIP_MS, &said, &status, err))
        return err->code;
    if (!status)
        return MIO_OK;
    return explain(what, mio_buf_view(&said), err);
}

/* pip's installation report: where each wheel is and which hash it has. */
static enum mio_code read_report(const struct mio_env_ask *q, struct mio_str text,
                                 struct mio_env_pinned **out, size_t *n, struct mio_err *err)
{
    struct mio_value v;
    if (mio_json_read(q->a, text, NULL, &v, err))
        return mio_err_wrap(err, "pip's report");
    const struct mio_value *install = mio_get_z(v, "install");
    size_t count = install && install->type == MIO_LIST ? install->n : 0;
    struct mio_env_pinned *items = MIO_NEW_N(q->a, struct mio_env_pinned, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct mio_value *info = mio_get_z(install->items[i], "download_info"),
                               *meta = mio_get_z(install->items[i], "metadata");
        const struct mio_value *ar = info ? mio_get_z(*info, "archive_info") : NULL;
        const struct mio_value *hashes = ar ? mio_get_z(*ar, "hashes") : NULL;
        struct mio_str url = info ? mio_get_str(*info, "url") : (struct mio_str){0};
        if (!meta || !mio_env_pinned_at(q->a, url, &items[i]) ||
            !mio_str_ends(items[i].file, ".whl"))
            return mio_fail(err, MIO_TEMPLATE, "%.*s is no wheel", MIO_FMT(url));
        items[i].name = mio_env_pep_name(q->a, mio_get_str(*meta, "name"));
        items[i].version = mio_get_str(*meta, "version");
        if (hashes)
            items[i].sha256 = mio_get_str(*hashes, "sha256");
    }
    *out = items;
    *n = count;
    return MIO_OK;
}

/* What stays as it was, as constraints. */
static enum mio_code put_kept(const struct mio_env_ask *q, const char *path, bool *any,
                              struct mio_err *err)
{
    const struct mio_env_keep *k = q->keep;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; k && k->old && i < k->old->n_wheels; i++) {
        const struct mio_env_wheel *w = &k->old->wheels[i];
        if (mio_env_keeps(k, w->name))
            mio_buf_printf(&b, "%.*s==%.*s\n", MIO_FMT(w->name), MIO_FMT(w->version));
    }
    *any = b.n > 0;
    return *any ? mio_fs_replace(path, mio_buf_view(&b), 0600, err) : MIO_OK;
}

static enum mio_code pin(const struct mio_env_ask *q, const char *kept, struct mio_env_pinned **out,
                         size_t *n, struct mio_err *err)
{
    static const char *const flags[] = {"--dry-run", "--ignore-installed", "--target",
                                        "/nonexistent", "--report"};
    const char *report = mio_env_store_tmp(q->a, q->s);
    struct mio_str text;
    struct pip p;
    if (begin(q, "install", &p, err))
        return err->code;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        arg(&p, flags[i]);
    arg(&p, report);
    if (q->bare)
        arg(&p, "--no-deps");
    if (kept) {
        arg(&p, "-c");
        arg(&p, kept);
    }
    for (size_t i = 0; i < 2; i++)
        if (q->files[i]) {
            arg(&p, "-r");
            arg(&p, q->files[i]);
        }
    if (!run(q, &p, "the Python requirements cannot be resolved", err) &&
        !mio_fs_read(q->a, report, MAX_REPORT, &text, NULL, err))
        read_report(q, text, out, n, err);
    unlink(report);
    return err->code;
}

/* A version that was locked may have come to contradict what is asked now: then everything is
 * resolved anew. */
enum mio_code mio_env_pip_pin(const struct mio_env_ask *q, struct mio_env_pinned **out, size_t *n,
                              struct mio_err *err)
{
    const char *kept = mio_env_store_tmp(q->a, q->s);
    bool any = false;
    struct mio_err first = {0};
    if (put_kept(q, kept, &any, err))
        return err->code;
    if (!any)
        return pin(q, NULL, out, n, err);
    pin(q, kept, out, n, &first);
    unlink(kept);
    return first.code ? pin(q, NULL, out, n, err) : MIO_OK;
}

enum mio_code mio_env_pip_fetch(const struct mio_env_ask *q, const struct mio_env_wheel *wheels,
                                size_t n, struct mio_err *err)
{
    struct mio_arena *a = q->a;
    const char *folder = mio_env_store_tmp(a, q->s), *list = mio_env_store_tmp(a, q->s);
    struct pip p;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < n; i++)
        mio_buf_printf(&b, "%.*s==%.*s --hash=sha256:%.*s\n", MIO_FMT(wheels[i].name),
                       MIO_FMT(wheels[i].version), MIO_FMT(wheels[i].sha256));
    if (!mio_fs_replace(list, mio_buf_view(&b), 0600, err) && !mio_fs_mkdirs(folder, 0700, err) &&
        !begin(q, "download", &p, err)) {
        const char *const flags[] = {"--no-deps", "-d", folder, "-r", list};
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            arg(&p, flags[i]);
        run(q, &p, "the wheels cannot be downloaded", err);
    }
    for (size_t i = 0; i < n && !err->code; i++) {
        const char *path = mio_arena_printf(a, "%s/%.*s", folder, MIO_FMT(wheels[i].file)).p;
        struct mio_env_fetch f = {.url = mio_str_z(path), .sha256 = wheels[i].sha256};
        mio_env_fetch_all(a, q->s, &f, 1, err);
    }
    struct mio_err ignored = {0};
    unlink(list);
    mio_fs_remove_tree(folder, &ignored);
    return err->code;
}
