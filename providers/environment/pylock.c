/* providers/environment/pylock.c: which file of each package, and the way back. */
#include "providers/environment/pylock.h"
#include "providers/environment/conda.h"
#include "providers/environment/toml.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

struct reader {
    struct mio_arena *a;
    const char *dir;
    const struct mio_env_python *py;
    struct mio_err *err;
};

/* "%2B" in a URL is "+" in the file's name. */
static struct mio_str decoded(struct mio_arena *a, struct mio_str s)
{
    char *z = mio_arena_alloc(a, s.n + 1);
    size_t n = 0;
    uint8_t byte;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '%' && mio_unhex(mio_str_sub(s, i + 1, 2), &byte, 1) && byte > ' ') {
            z[n++] = (char)byte;
            i += 2;
        } else
            z[n++] = s.p[i];
    z[n] = 0;
    return (struct mio_str){z, n};
}

bool mio_env_pinned_at(struct mio_arena *a, struct mio_str url, struct mio_env_pinned *out)
{
    ptrdiff_t mark = mio_str_find(url, '#');
    if (mark >= 0)
        url = mio_str_sub(url, 0, (size_t)mark);
    out->url = mio_str_starts(url, "file://") ? decoded(a, mio_str_sub(url, 7, url.n)) : url;
    out->file = decoded(a, mio_path_base(url));
    return out->file.n > 0 && mio_str_find(out->file, '/') < 0;
}

/* url, or path relative to the lock; the name is given or is the last part of either. */
static struct mio_env_pinned read_file(struct reader *r, struct mio_value v)
{
    struct mio_env_pinned f = {0};
    struct mio_str path = mio_get_str(v, "path"), name = mio_get_str(v, "name");
    mio_env_pinned_at(r->a, mio_get_str(v, "url"), &f);
    if (!f.url.n && path.n)
        f.url = mio_path_join(r->a, mio_str_z(r->dir), path);
    if (name.n || path.n)
        f.file = mio_path_base(name.n ? name : path);
    const struct mio_value *hashes = mio_get_z(v, "hashes");
    if (hashes)
        f.sha256 = mio_get_str(*hashes, "sha256");
    int64_t size = mio_get_i64(v, "size", 0);
    f.size = size > 0 ? (uint64_t)size : 0;
    return f;
}

static struct mio_env_pinned best_wheel(struct reader *r, const struct mio_value *wheels)
{
    struct mio_env_pinned best = {0};
    unsigned rank = 0;
    for (uint32_t i = 0; wheels && wheels->type == MIO_LIST && i < wheels->n; i++) {
        struct mio_env_pinned f = read_file(r, wheels->items[i]);
        unsigned k = mio_env_pep_tag(r->py, f.file);
        if (k > rank) {
            best = f;
            rank = k;
        }
    }
    return best;
}

static enum mio_code no_file(struct reader *r, struct mio_value p, struct mio_str name)
{
    static const char *const others[] = {"vcs", "directory", "archive"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (mio_get_z(p, others[i]))
            return mio_fail(r->err, MIO_TEMPLATE, "package %.*s comes from a %s, not as a wheel",
                            MIO_FMT(name), others[i]);
    mio_fail(r->err, MIO_TEMPLATE, "no wheel of package %.*s fits Python %.*s on %.*s",
             MIO_FMT(name), MIO_FMT(r->py->version), MIO_FMT(r->py->arch));
    return mio_err_hint(r->err, "lock it for this target as well, or choose another version");
}

static enum mio_code read_package(struct reader *r, struct mio_value p, bool *wanted,
                                  struct mio_env_pinned *out)
{
    struct mio_str name = mio_env_pep_name(r->a, mio_get_str(p, "name"));
    struct mio_str needs = mio_get_str(p, "requires-python");
    if (!name.n)
        return mio_fail(r->err, MIO_TEMPLATE, "a package without a name");
    if (mio_env_pep_marker(r->py, mio_get_str(p, "marker"), wanted, r->err))
        return mio_err_wrap(r->err, "package %.*s", MIO_FMT(name));
    if (!*wanted)
        return MIO_OK;
    if (needs.n &&
        !mio_env_pep_fits(mio_arena_printf(r->a, "%.*s.99", MIO_FMT(r->py->version)), needs))
        return mio_fail(r->err, MIO_TEMPLATE, "package %.*s needs Python %.*s", MIO_FMT(name),
                        MIO_FMT(needs));
    struct mio_env_pinned f = best_wheel(r, mio_get_z(p, "wheels"));
    const struct mio_value *sdist = mio_get_z(p, "sdist"), *archive = mio_get_z(p, "archive");
    if (!f.file.n && archive && mio_env_pep_tag(r->py, read_file(r, *archive).file))
        f = read_file(r, *archive);
    if (!f.file.n && sdist) {
        f = read_file(r, *sdist);
        f.sdist = true;
    }
    if (!f.file.n)
        return no_file(r, p, name);
    f.name = name;
    f.version = mio_get_str(p, "version");
    struct mio_str ignored;
    if (!f.version.n && !f.sdist)
        mio_env_pep_wheel(f.file, &ignored, &f.version);
    *out = f;
    return MIO_OK;
}

static int by_name(const void *x, const void *y)
{
    return mio_str_cmp(((const struct mio_env_pinned *)x)->name,
                       ((const struct mio_env_pinned *)y)->name);
}

/* The lock says for which targets it was made. */
static enum mio_code check_target(struct reader *r, struct mio_value v)
{
    struct mio_str version = mio_get_str(v, "lock-version"),
                   needs = mio_get_str(v, "requires-python");
    if (!mio_str_is(version, "1.0") && !mio_str_starts(version, "1."))
        return mio_fail(r->err, MIO_TEMPLATE, "its lock-version is \"%.*s\"; 1.0 is read here",
                        MIO_FMT(version));
    if (needs.n &&
        !mio_env_pep_fits(mio_arena_printf(r->a, "%.*s.99", MIO_FMT(r->py->version)), needs))
        return mio_fail(r->err, MIO_TEMPLATE,
                        "it is made for Python %.*s, and python.version is %.*s", MIO_FMT(needs),
                        MIO_FMT(r->py->version));
    const struct mio_value *environments = mio_get_z(v, "environments");
    bool fits = !environments || environments->type != MIO_LIST || !environments->n;
    for (uint32_t i = 0; !fits && i < environments->n; i++)
        if (mio_env_pep_marker(r->py, mio_value_str(environments->items[i]), &fits, r->err))
            return r->err->code;
    return fits
               ? MIO_OK
               : mio_fail(r->err, MIO_TEMPLATE, "it was not made for this Python and architecture");
}

enum mio_code mio_env_pylock_read(struct mio_arena *a, struct mio_str text, const char *dir,
                                  const struct mio_env_python *py, struct mio_env_pinned **out,
                                  size_t *n, struct mio_err *err)
{
    struct reader r = {a, dir, py, err};
    struct mio_value v;
    if (mio_env_toml(a, text, &v, err) || check_target(&r, v))
        return err->code;
    const struct mio_value *packages = mio_get_z(v, "packages");
    size_t count = packages && packages->type == MIO_LIST ? packages->n : 0, k = 0;
    struct mio_env_pinned *items = MIO_NEW_N(a, struct mio_env_pinned, count + 1);
    for (size_t i = 0; i < count; i++) {
        bool wanted = false;
        if (read_package(&r, packages->items[i], &wanted, &items[k]))
            return err->code;
        k += wanted;
    }
    qsort(items, k, sizeof *items, by_name);
    for (size_t i = 1; i < k; i++)
        if (mio_str_eq(items[i - 1].name, items[i].name))
            return mio_fail(err, MIO_TEMPLATE, "package %.*s is chosen twice for this target",
                            MIO_FMT(items[i].name));
    *out = items;
    *n = k;
    return MIO_OK;
}

struct mio_str mio_env_pinned_hint(struct mio_arena *a, const char *dir, struct mio_str url)
{
    ptrdiff_t query = mio_str_find(url, '?');
    url = mio_str_sub(url, 0, query < 0 ? url.n : (size_t)query);
    const char *at = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    if (!at) {
        struct mio_str base = mio_path_join(a, mio_str_z(dir), MIO_STR(""));
        bool below = mio_str_starts(url, base.p) && url.n > base.n && url.p[base.n] == '/';
        return url.n && url.p[0] != '/' ? url
               : below                  ? mio_str_sub(url, base.n + 1, url.n)
                                        : (struct mio_str){0};
    }
    size_t head = (size_t)(at - url.p) + 3;
    struct mio_str rest = mio_str_sub(url, head, url.n);
    ptrdiff_t slash = mio_str_find(rest, '/'), user = mio_str_find(rest, '@');
    if (user >= 0 && user < slash)
        rest = mio_str_sub(rest, (size_t)user + 1, rest.n);
    return mio_arena_printf(a, "%.*s%.*s", (int)head, url.p, MIO_FMT(rest));
}

static void put_string(struct mio_buf *b, const char *key, struct mio_str s)
{
    mio_buf_printf(b, "%s = ", key);
    mio_json_string(b, s); /* a JSON string is a basic string of TOML */
}

struct mio_str mio_env_pylock_text(struct mio_arena *a, const struct mio_env_lock *lock)
{
    struct mio_env_python py = mio_env_python_target(lock->config, lock->suite, lock->arch);
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b,
                   "lock-version = \"1.0\"\nenvironments = [\"sys_platform == 'linux' and "
                   "platform_machine == '%s'\"]\nrequires-python = \"==%.*s.*\"\ncreated-by = "
                   "\"mlops-iac\"\n",
                   mio_env_pep_machine(lock->arch), MIO_FMT(py.version));
    for (size_t i = 0; i < lock->n_wheels; i++) {
        const struct mio_env_wheel *w = &lock->wheels[i];
        if (mio_env_is_conda(w))
            continue;
        bool local = mio_str_find(w->url, ':') < 0;
        mio_buf_z(&b, "\n[[packages]]\n");
        put_string(&b, "name", w->name);
        put_string(&b, "\nversion", w->version);
        mio_buf_z(&b, "\n\n[[packages.wheels]]\n");
        put_string(&b, "name", w->file);
        put_string(&b, local ? "\npath" : "\nurl", local && !w->url.n ? w->file : w->url);
        mio_buf_printf(&b, "\nsize = %llu\n", (unsigned long long)w->size);
        mio_buf_printf(&b, "hashes = { sha256 = \"%.*s\" }\n", MIO_FMT(w->sha256));
    }
    return mio_arena_str(a, mio_buf_view(&b));
}
