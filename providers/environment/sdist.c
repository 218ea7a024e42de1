/* providers/environment/sdist.c: a source distribution to a wheel, in a sandbox.
 *
 * bubblewrap gives it /usr of this machine, its source, the wheels of its build system, and nothing
 * else: no network, no home, a fixed clock for what it writes. It is built twice; a package whose
 * bytes depend on more than its source is refused. */
#include "providers/environment/download.h"
#include "providers/environment/python.h"
#include "providers/environment/toml.h"
#include "providers/environment/unpack.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/proc.h"
#include <unistd.h>

enum { BUILD_MS = 60 * 60 * 1000, MAX_PYPROJECT = 1 << 20 };

struct job {
    const struct mio_env_ask *q;
    const struct mio_env_pinned *sdist;
    struct mio_env_wheel *tools; /* of the build system, and pip itself */
    size_t n_tools;
    const char *folder;
    struct mio_err *err;
};

/* What pyproject.toml asks for, beside pip and the two that older sources take for granted. */
static enum mio_code requirements(struct job *j, const char *path)
{
    struct mio_str text = {0};
    struct mio_value v = mio_null();
    bool found = false;
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    const char *blob = mio_env_store_blob(j->q->a, j->q->s, j->sdist->sha256);
    if (mio_env_archive_text(j->q->a, blob, "pyproject.toml", MAX_PYPROJECT, &text, &found,
                             j->err) ||
        (found && mio_env_toml(j->q->a, text, &v, j->err)))
        return mio_err_wrap(j->err, "%.*s: pyproject.toml", MIO_FMT(j->sdist->file));
    const struct mio_value *build = mio_get_z(v, "build-system");
    const struct mio_value *list = build ? mio_get_z(*build, "requires") : NULL;
    for (uint32_t i = 0; list && list->type == MIO_LIST && i < list->n; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(mio_value_str(list->items[i])));
    mio_buf_z(&b, list ? "pip\nwheel\n" : "pip\nwheel\nsetuptools\n");
    return mio_fs_replace(path, mio_buf_view(&b), 0600, j->err);
}

static enum mio_code resolve_tools(struct job *j)
{
    struct mio_env_ask q = *j->q;
    struct mio_env_pinned *pins = NULL;
    size_t n = 0;
    const char *list = mio_env_store_tmp(q.a, q.s);
    q.files[0] = list;
    q.files[1] = NULL;
    q.links = NULL;
    q.keep = NULL;
    q.bare = false;
    if (!requirements(j, list) && mio_env_pin(&q, &pins, &n, j->err))
        mio_err_wrap(j->err, "what it is built with");
    unlink(list);
    if (j->err->code)
        return j->err->code;
    struct mio_env_download *d = MIO_NEW_N(q.a, struct mio_env_download, n + 1);
    j->tools = MIO_NEW_N(q.a, struct mio_env_wheel, n + 1);
    for (size_t i = 0; i < n; i++)
        d[i] = (struct mio_env_download){.url = pins[i].url, .sha256 = pins[i].sha256};
    if (mio_env_download(q.a, q.s, d, n, j->err))
        return j->err->code;
    for (j->n_tools = 0; j->n_tools < n; j->n_tools++) {
        struct mio_env_pinned *p = &pins[j->n_tools];
        j->tools[j->n_tools] =
            (struct mio_env_wheel){.name = p->name,
                                   .version = p->version,
                                   .file = p->file,
                                   .url = mio_env_pinned_hint(q.a, q.dir, p->url),
                                   .sha256 = d[j->n_tools].sha256,
                                   .built = mio_null()};
    }
    return MIO_OK;
}

static enum mio_code lay(struct job *j, struct mio_str sha256, struct mio_str file)
{
    const char *to = mio_arena_printf(j->q->a, "%s/in/%.*s", j->folder, MIO_FMT(file)).p;
    return mio_env_store_give(j->q->a, j->q->s, sha256, to, j->err);
}

/* The last lines of what the build said. */
static enum mio_code failed(struct job *j, struct mio_str said)
{
    said = mio_str_trim(said);
    if (said.n > 300)
        said = mio_str_sub(said, said.n - 300, 300);
    mio_fail(j->err, MIO_TEMPLATE, "%.*s does not build in the sandbox: %.*s",
             MIO_FMT(j->sdist->file), MIO_FMT(said));
    return mio_err_hint(j->err, "it has no network, and of this machine /usr alone: compilers and "
                                "headers must be installed here");
}

/* What the build sees of this machine; an option and its value stay together. */
// clang-format off
static const char *const cage[] = {
    "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
    "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin",
    "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
    "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
    "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp",
    "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp", "--setenv", "TZ", "UTC",
    "--setenv", "LC_ALL", "C.UTF-8", "--setenv", "SOURCE_DATE_EPOCH", "315532800",
    "--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
};
// clang-format on

static enum mio_code sandbox(struct job *j, const char *out)
{
    struct mio_arena *a = j->q->a;
    struct mio_str pip = {0};
    const char *python = mio_arena_printf(a, "/usr/bin/python%.*s", MIO_FMT(j->q->py.version)).p;
    for (size_t i = 0; i < j->n_tools; i++)
        if (mio_str_is(j->tools[i].name, "pip"))
            pip = j->tools[i].file;
    if (!mio_proc_find(a, "bwrap").n || !mio_fs_exists(python)) {
        mio_fail(j->err, MIO_IO, "building %.*s needs bubblewrap and %s", MIO_FMT(j->sdist->file),
                 python);
        return mio_err_hint(j->err, "install bubblewrap and python%.*s", MIO_FMT(j->q->py.version));
    }
    const char *const words[] = {"--ro-bind",
                                 mio_arena_printf(a, "%s/in", j->folder).p,
                                 "/in",
                                 "--bind",
                                 out,
                                 "/out",
                                 python,
                                 mio_arena_printf(a, "/in/%.*s/pip", MIO_FMT(pip)).p,
                                 "wheel",
                                 "-q",
                                 "--no-index",
                                 "--find-links",
                                 "/in",
                                 "--no-deps",
                                 "--no-cache-dir",
                                 "--disable-pip-version-check",
                                 "-w",
                                 "/out",
                                 mio_arena_printf(a, "/in/%.*s", MIO_FMT(j->sdist->file)).p,
                                 NULL};
    const char *argv[sizeof cage / sizeof *cage + sizeof words / sizeof *words];
    memcpy(argv, cage, sizeof cage);
    memcpy(argv + sizeof cage / sizeof *cage, words, sizeof words);
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    if (mio_proc_run(&(struct mio_proc_opts){.argv = argv, .in = -1}, mio_now_ms() + BUILD_MS,
                     &said, &status, j->err))
        return j->err->code;
    return status ? failed(j, mio_buf_view(&said)) : MIO_OK;
}

/* One build: the name and digest of the wheel that came out. */
static enum mio_code build_once(struct job *j, const char *name, struct mio_str *file,
                                struct mio_str *sha256, uint64_t *size)
{
    struct mio_arena *a = j->q->a;
    struct mio_str *names;
    size_t n = 0;
    const char *out = mio_arena_printf(a, "%s/%s", j->folder, name).p;
    if (mio_fs_mkdirs(out, 0755, j->err) || sandbox(j, out) ||
        mio_fs_list(a, out, &names, &n, j->err))
        return j->err->code;
    if (n != 1 || !mio_env_pep_tag(&j->q->py, names[0]))
        return mio_fail(j->err, MIO_TEMPLATE, "%.*s built to no wheel for this target",
                        MIO_FMT(j->sdist->file));
    *file = names[0];
    return mio_env_file_sha256(a, mio_arena_printf(a, "%s/%.*s", out, MIO_FMT(names[0])).p, sha256,
                               size, j->err);
}

static enum mio_code prepare(struct job *j)
{
    const char *in = mio_arena_printf(j->q->a, "%s/in", j->folder).p;
    if (mio_fs_mkdirs(in, 0755, j->err) || lay(j, j->sdist->sha256, j->sdist->file))
        return j->err->code;
    for (size_t i = 0; i < j->n_tools; i++)
        if (lay(j, j->tools[i].sha256, j->tools[i].file))
            return j->err->code;
    return MIO_OK;
}

static struct mio_value row(struct mio_arena *a, struct mio_str file, struct mio_str sha256,
                            struct mio_str url)
{
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 3);
    p[0] = (struct mio_pair){MIO_STR("file"), mio_string(file)};
    p[1] = (struct mio_pair){MIO_STR("sha256"), mio_string(sha256)};
    p[2] = (struct mio_pair){MIO_STR("url"), mio_string(url)};
    return mio_map(p, url.n ? 3 : 2);
}

static struct mio_value recipe(struct job *j)
{
    struct mio_arena *a = j->q->a;
    struct mio_value *tools = MIO_NEW_N(a, struct mio_value, j->n_tools + 1);
    struct mio_pair *p = MIO_NEW_N(a, struct mio_pair, 2);
    for (size_t i = 0; i < j->n_tools; i++)
        tools[i] = row(a, j->tools[i].file, j->tools[i].sha256, j->tools[i].url);
    p[0] =
        (struct mio_pair){MIO_STR("sdist"), row(a, j->sdist->file, j->sdist->sha256,
                                                mio_env_pinned_hint(a, j->q->dir, j->sdist->url))};
    p[1] = (struct mio_pair){MIO_STR("requires"), mio_list(tools, j->n_tools)};
    return mio_map(p, 2);
}

static enum mio_code keep(struct job *j, const char *name, struct mio_str file,
                          struct mio_str sha256)
{
    const char *path = mio_arena_printf(j->q->a, "%s/%s/%.*s", j->folder, name, MIO_FMT(file)).p;
    struct mio_env_download d = {.url = mio_str_z(path), .sha256 = sha256};
    return mio_env_download(j->q->a, j->q->s, &d, 1, j->err);
}

static enum mio_code build_twice(struct job *j, struct mio_env_wheel *out)
{
    struct mio_str file[2], sha256[2], name;
    uint64_t size[2];
    if (resolve_tools(j) || prepare(j) || build_once(j, "one", &file[0], &sha256[0], &size[0]) ||
        build_once(j, "two", &file[1], &sha256[1], &size[1]))
        return j->err->code;
    if (!mio_str_eq(sha256[0], sha256[1])) {
        mio_fail(j->err, MIO_TEMPLATE, "%.*s gives other bytes each time it is built",
                 MIO_FMT(j->sdist->file));
        return mio_err_hint(j->err,
                            "build a wheel once, keep it beside the template, and name it in "
                            "a pylock.toml");
    }
    struct mio_env_wheel w = {
        .file = file[0], .sha256 = sha256[0], .size = size[0], .built = recipe(j)};
    mio_env_pep_wheel(w.file, &name, &w.version);
    w.name = mio_env_pep_name(j->q->a, name);
    *out = w;
    return keep(j, "one", file[0], sha256[0]);
}

enum mio_code mio_env_sdist_build(const struct mio_env_ask *q, const struct mio_env_pinned *sdist,
                                  struct mio_env_wheel *out, struct mio_err *err)
{
    struct job j = {.q = q, .sdist = sdist, .folder = mio_env_store_tmp(q->a, q->s), .err = err};
    struct mio_err ignored = {0};
    build_twice(&j, out);
    mio_fs_remove_tree(j.folder, &ignored);
    return err->code;
}

/* A file of the recipe into the store. */
static enum mio_code bring(const struct mio_env_ask *q, struct mio_value v,
                           struct mio_env_wheel *out, struct mio_err *err)
{
    struct mio_str url = mio_get_str(v, "url"), name;
    *out = (struct mio_env_wheel){.file = mio_get_str(v, "file"),
                                  .sha256 = mio_get_str(v, "sha256"),
                                  .url = url,
                                  .built = mio_null()};
    if (mio_env_pep_wheel(out->file, &name, &out->version))
        out->name = mio_env_pep_name(q->a, name);
    if (out->sha256.n != 64 || !out->file.n || mio_str_find(out->file, '/') >= 0)
        return mio_fail(err, MIO_STATE, "what a wheel was built from is incomplete in the lock");
    struct mio_env_download d = {
        .url = mio_str_find(url, ':') < 0 ? mio_path_join(q->a, mio_str_z(q->dir), url) : url,
        .sha256 = out->sha256};
    return mio_env_download(q->a, q->s, &d, 1, err);
}

enum mio_code mio_env_sdist_again(const struct mio_env_ask *q, const struct mio_env_wheel *w,
                                  struct mio_err *err)
{
    const struct mio_value *sdist = mio_get_z(w->built, "sdist"),
                           *tools = mio_get_z(w->built, "requires");
    struct job j = {.q = q, .folder = mio_env_store_tmp(q->a, q->s), .err = err};
    struct mio_env_wheel source;
    if (!sdist || !tools || tools->type != MIO_LIST)
        return mio_fail(err, MIO_STATE, "what %.*s was built from is not in the lock",
                        MIO_FMT(w->file));
    j.tools = MIO_NEW_N(q->a, struct mio_env_wheel, tools->n + 1u);
    if (bring(q, *sdist, &source, err))
        return err->code;
    for (; j.n_tools < tools->n; j.n_tools++)
        if (bring(q, tools->items[j.n_tools], &j.tools[j.n_tools], err))
            return err->code;
    struct mio_env_pinned pinned = {.file = source.file, .sha256 = source.sha256};
    struct mio_str file, sha256;
    uint64_t size;
    j.sdist = &pinned;
    if (!prepare(&j) && !build_once(&j, "one", &file, &sha256, &size)) {
        if (mio_str_eq(sha256, w->sha256))
            keep(&j, "one", file, sha256);
        else {
            mio_fail(err, MIO_STATE, "%.*s came out with other bytes than were locked",
                     MIO_FMT(w->file));
            mio_err_hint(err, "the compiler or Python of this machine may be another: take the "
                              "wheel from a vendored folder");
        }
    }
    struct mio_err ignored = {0};
    mio_fs_remove_tree(j.folder, &ignored);
    return err->code;
}
