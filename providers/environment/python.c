/* providers/environment/python.c: pip as the resolver and the downloader of wheels. */
#include "providers/environment/python.h"
#include "providers/environment/fetch.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/proc.h"
#include <unistd.h>

enum { PIP_MS = 20 * 60 * 1000, MAX_REPORT = 64 << 20 };

/* manylinux tags from the newest C library of the suite downwards; pip takes the first that fits.
 */
static const char *const glibc[] = {"2_36", "2_35", "2_34", "2_31", "2_28", "2_27",
                                    "2_26", "2_24", "2_17", "2_12", "2_5"};

struct pip {
    struct mio_arena *a;
    const char **argv;
    size_t n, cap;
};

static void arg(struct pip *p, const char *z)
{
    MIO_PUSH(p->a, p->argv, p->n, p->cap) = z;
}

static void arg_platforms(struct pip *p, struct mio_str arch)
{
    const char *machine = mio_str_is(arch, "arm64") ? "aarch64" : "x86_64";
    for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++) {
        arg(p, "--platform");
        arg(p, mio_arena_printf(p->a, "manylinux_%s_%s", glibc[i], machine).p);
    }
    static const char *const old[] = {"manylinux2014", "manylinux2010", "manylinux1", "linux"};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        arg(p, "--platform");
        arg(p, mio_arena_printf(p->a, "%s_%s", old[i], machine).p);
    }
}

static struct pip begin(struct mio_arena *a, const char *verb, struct mio_str version,
                        struct mio_str arch)
{
    struct pip p = {.a = a};
    static const char *const head[] = {"python3", "-m", "pip", "--no-input",
                                       "--disable-pip-version-check"};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        arg(&p, head[i]);
    arg(&p, verb);
    arg(&p, "--only-binary=:all:");
    arg(&p, "--implementation=cp");
    arg(&p, "--python-version");
    arg(&p, mio_arena_z(a, version));
    arg_platforms(&p, arch);
    return p;
}

static enum mio_code run(struct pip *p, const char *what, struct mio_err *err)
{
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 1 << 20);
    int status = 0;
    arg(p, NULL);
    if (mio_proc_run(&(struct mio_proc_opts){.argv = p->argv, .in = -1}, mio_now_ms() + PIP_MS,
                     &said, &status, err))
        return err->code;
    if (!status)
        return MIO_OK;
    struct mio_str text = mio_buf_view(&said), line, last = {0};
    while (mio_env_line(&text, &line))
        if (mio_str_starts(line, "ERROR:"))
            last = mio_str_trim(mio_str_sub(line, 6, line.n));
    mio_fail(err, MIO_TEMPLATE, "%s: %.*s", what,
             MIO_FMT(last.n ? last : mio_str_trim(mio_buf_view(&said))));
    return mio_err_hint(err, "only wheels are taken: a package that exists as source alone must be "
                             "built into a wheel first");
}

static int by_name(const void *x, const void *y)
{
    return mio_str_cmp(((const struct mio_env_wheel *)x)->name,
                       ((const struct mio_env_wheel *)y)->name);
}

/* pip's installation report: where each wheel is and which hash it has. */
static enum mio_code read_report(struct mio_arena *a, struct mio_str text,
                                 struct mio_env_wheel **out, size_t *n, struct mio_err *err)
{
    struct mio_value v;
    if (mio_json_read(a, text, NULL, &v, err))
        return mio_err_wrap(err, "pip's report");
    const struct mio_value *install = mio_get_z(v, "install");
    size_t count = install && install->type == MIO_LIST ? install->n : 0;
    struct mio_env_wheel *items = MIO_NEW_N(a, struct mio_env_wheel, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct mio_value *info = mio_get_z(install->items[i], "download_info"),
                               *meta = mio_get_z(install->items[i], "metadata");
        const struct mio_value *ar = info ? mio_get_z(*info, "archive_info") : NULL;
        const struct mio_value *hashes = ar ? mio_get_z(*ar, "hashes") : NULL;
        struct mio_str url = info ? mio_get_str(*info, "url") : (struct mio_str){0};
        ptrdiff_t hash_mark = mio_str_find(url, '#');
        if (hash_mark >= 0)
            url = mio_str_sub(url, 0, (size_t)hash_mark);
        if (!meta || !mio_str_ends(url, ".whl"))
            return mio_fail(err, MIO_TEMPLATE, "%.*s is no wheel", MIO_FMT(url));
        items[i] = (struct mio_env_wheel){.name = mio_get_str(*meta, "name"),
                                          .version = mio_get_str(*meta, "version"),
                                          .file = mio_path_base(url),
                                          .sha256 = hashes ? mio_get_str(*hashes, "sha256")
                                                           : (struct mio_str){0}};
    }
    qsort(items, count, sizeof *items, by_name);
    *out = items;
    *n = count;
    return MIO_OK;
}

static enum mio_code write_requirements(struct mio_arena *a, const struct mio_env_store *s,
                                        const struct mio_env_spec *spec, const char **out,
                                        struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < spec->n_requirement_lines; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(spec->requirement_lines[i]));
    *out = mio_env_store_tmp(a, s);
    return mio_fs_replace(*out, mio_buf_view(&b), 0600, err);
}

/* Downloads into a folder and moves each wheel into the store; fills hashes and sizes that are
 * missing. */
static enum mio_code download(struct mio_arena *a, const struct mio_env_store *s,
                              struct mio_str version, struct mio_str arch,
                              struct mio_env_wheel *wheels, size_t n, struct mio_err *err)
{
    const char *folder = mio_env_store_tmp(a, s), *list = mio_env_store_tmp(a, s);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    for (size_t i = 0; i < n; i++) {
        mio_buf_printf(&b, "%.*s==%.*s", MIO_FMT(wheels[i].name), MIO_FMT(wheels[i].version));
        if (wheels[i].sha256.n)
            mio_buf_printf(&b, " --hash=sha256:%.*s", MIO_FMT(wheels[i].sha256));
        mio_buf_char(&b, '\n');
    }
    struct pip p = begin(a, "download", version, arch);
    arg(&p, "--no-deps");
    arg(&p, "-q");
    arg(&p, "-d");
    arg(&p, folder);
    arg(&p, "-r");
    arg(&p, list);
    if (!mio_fs_replace(list, mio_buf_view(&b), 0600, err) && !mio_fs_mkdirs(folder, 0700, err))
        run(&p, "the wheels cannot be downloaded", err);
    for (size_t i = 0; i < n && !err->code; i++) {
        const char *path = mio_arena_printf(a, "%s/%.*s", folder, MIO_FMT(wheels[i].file)).p;
        struct mio_str hex;
        if (mio_env_file_sha256(a, path, &hex, &wheels[i].size, err))
            break;
        if (!wheels[i].sha256.n)
            wheels[i].sha256 = hex;
        struct mio_env_fetch f = {.url = mio_str_z(path), .sha256 = wheels[i].sha256};
        mio_env_fetch_all(a, s, &f, 1, err);
    }
    struct mio_err ignored = {0};
    unlink(list);
    mio_fs_remove_tree(folder, &ignored);
    return err->code;
}

enum mio_code mio_env_python_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                     const struct mio_env_spec *spec, const char *dir,
                                     struct mio_env_wheel **out, size_t *n, struct mio_err *err)
{
    *out = NULL;
    *n = 0;
    if (!spec->requirements.n && !spec->n_requirement_lines)
        return MIO_OK;
    const char *report = mio_env_store_tmp(a, s), *list = NULL;
    struct pip p = begin(a, "install", spec->python_version, spec->arch);
    static const char *const flags[] = {"--dry-run", "--ignore-installed", "-q",
                                        "--target",  "/nonexistent",       "--report"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        arg(&p, flags[i]);
    arg(&p, report);
    if (spec->requirements.n) {
        arg(&p, "-r");
        arg(&p, mio_path_join(a, mio_str_z(dir), spec->requirements).p);
    }
    if (spec->n_requirement_lines && !write_requirements(a, s, spec, &list, err)) {
        arg(&p, "-r");
        arg(&p, list);
    }
    struct mio_str text = {0};
    if (!err->code && !run(&p, "the Python requirements cannot be resolved", err) &&
        !mio_fs_read(a, report, MAX_REPORT, &text, NULL, err) && !read_report(a, text, out, n, err))
        download(a, s, spec->python_version, spec->arch, *out, *n, err);
    unlink(report);
    if (list)
        unlink(list);
    return err->code;
}

enum mio_code mio_env_python_fetch(struct mio_arena *a, const struct mio_env_store *s,
                                   const struct mio_env_lock *lock, struct mio_err *err)
{
    struct mio_env_wheel *missing = MIO_NEW_N(a, struct mio_env_wheel, lock->n_wheels + 1);
    size_t n = 0;
    for (size_t i = 0; i < lock->n_wheels; i++)
        if (!mio_fs_exists(mio_env_store_blob(a, s, lock->wheels[i].sha256)))
            missing[n++] = lock->wheels[i];
    const struct mio_value *python = mio_get_z(lock->config, "python");
    if (!n)
        return MIO_OK;
    return download(a, s, python ? mio_get_str(*python, "version") : MIO_STR("3"), lock->arch,
                    missing, n, err);
}
