/* providers/environment/conda_lock.c: locks of conda's tools. */
#include "providers/environment/conda.h"
#include "providers/environment/download.h"
#include "providers/environment/sources.h"
#include "providers/environment/yaml.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/map.h"
#include <openssl/evp.h>

enum { MAX_LOCK = 64 << 20, MD5_HEX = 32 };

struct reader {
    struct mio_arena *a;
    const char *platform; /* linux-64 */
    struct mio_env_wheel *items;
    struct mio_str *md5; /* by item; where that is all there is */
    size_t n, cap, md5_cap;
    struct mio_err *err;
};

bool mio_env_is_conda(const struct mio_env_wheel *w)
{
    return mio_str_ends(w->file, ".conda") || mio_str_ends(w->file, ".tar.bz2");
}

struct mio_str mio_env_conda_prefix(struct mio_value config)
{
    const struct mio_value *conda = mio_get_z(config, "conda");
    struct mio_str p = conda ? mio_get_str(*conda, "prefix") : (struct mio_str){0};
    return p.n > 1 ? mio_str_sub(p, 1, p.n) : MIO_STR("opt/conda");
}

struct mio_str mio_env_conda_url(struct mio_arena *a, struct mio_value config, struct mio_str url)
{
    const struct mio_value *conda = mio_get_z(config, "conda");
    struct mio_str mirror = conda ? mio_get_str(*conda, "mirror") : (struct mio_str){0};
    const char *at = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    if (!mirror.n)
        mirror = mio_str_z(getenv("MLOPS_IAC_CONDA_MIRROR"));
    if (!mirror.n || !at)
        return url;
    struct mio_str rest = mio_str_sub(url, (size_t)(at - url.p) + 3, url.n);
    ptrdiff_t slash = mio_str_find(rest, '/');
    while (mirror.n && mirror.p[mirror.n - 1] == '/')
        mirror.n--;
    return mio_arena_printf(a, "%.*s%.*s", MIO_FMT(mirror),
                            MIO_FMT(mio_str_sub(rest, slash < 0 ? rest.n : (size_t)slash, rest.n)));
}

/* NAME-VERSION-BUILD.conda */
static bool split(struct mio_str file, struct mio_str *name, struct mio_str *version)
{
    size_t n = file.n;
    while (n && file.p[n - 1] != '-')
        n--;
    size_t v = n ? n - 1 : 0;
    while (v && file.p[v - 1] != '-')
        v--;
    if (v < 2)
        return false;
    *name = mio_str_sub(file, 0, v - 1);
    *version = mio_str_sub(file, v, n - 1 - v);
    return true;
}

static enum mio_code add(struct reader *r, struct mio_str url, struct mio_str sha256,
                         struct mio_str md5)
{
    struct mio_env_pinned at = {0};
    struct mio_env_wheel w = {.built = mio_null(), .sha256 = sha256};
    mio_env_pinned_at(r->a, url, &at);
    w.file = at.file;
    w.url = mio_env_pinned_hint(r->a, "/", at.url);
    bool wheel = mio_env_pep_wheel(w.file, &w.name, &w.version);
    if (!wheel && (!mio_env_is_conda(&w) || !split(w.file, &w.name, &w.version)))
        return mio_fail(r->err, MIO_TEMPLATE, "%.*s is no conda package and no wheel",
                        MIO_FMT(url));
    if (wheel)
        w.name = mio_env_pep_name(r->a, w.name);
    if (sha256.n != 64 && md5.n != MD5_HEX)
        return mio_fail(r->err, MIO_TEMPLATE, "%.*s has no SHA-256 and no MD5", MIO_FMT(w.file));
    MIO_PUSH(r->a, r->md5, r->n, r->md5_cap) = sha256.n ? (struct mio_str){0} : md5;
    r->n--;
    MIO_PUSH(r->a, r->items, r->n, r->cap) = w;
    return MIO_OK;
}

/* A URL a line, its MD5 or SHA-256 behind a #. */
static enum mio_code read_explicit(struct reader *r, struct mio_str text)
{
    struct mio_str line;
    while (mio_env_line(&text, &line)) {
        line = mio_str_trim(line);
        if (!line.n || line.p[0] == '#' || line.p[0] == '@')
            continue;
        ptrdiff_t mark = mio_str_find(line, '#');
        struct mio_str hash = mio_str_sub(line, mark < 0 ? line.n : (size_t)mark + 1, line.n),
                       none = {0};
        if (mio_str_starts(hash, "sha256:"))
            hash = mio_str_sub(hash, 7, hash.n);
        if (add(r, mio_str_sub(line, 0, mark < 0 ? line.n : (size_t)mark),
                hash.n == 64 ? hash : none, hash))
            return r->err->code;
    }
    return MIO_OK;
}

/* conda-lock: one list of packages for all platforms. */
static enum mio_code read_conda_lock(struct reader *r, const struct mio_value *packages)
{
    for (uint32_t i = 0; i < packages->n; i++) {
        struct mio_value p = packages->items[i];
        const struct mio_value *hash = mio_get_z(p, "hash");
        struct mio_str category = mio_get_str(p, "category"), none = {0};
        if (!mio_str_is(mio_get_str(p, "platform"), r->platform) ||
            (category.n && !mio_str_is(category, "main")) ||
            mio_str_is(mio_get_str(p, "optional"), "true"))
            continue;
        if (add(r, mio_get_str(p, "url"), hash ? mio_get_str(*hash, "sha256") : none,
                hash ? mio_get_str(*hash, "md5") : none))
            return r->err->code;
    }
    return MIO_OK;
}

static struct mio_str url_of(struct mio_value v)
{
    struct mio_str url = mio_get_str(v, "conda");
    return url.n ? url : mio_get_str(v, "pypi");
}

/* pixi: addresses by environment and platform, and one list that tells about each. */
static enum mio_code read_pixi(struct reader *r, struct mio_value v, struct mio_str environment)
{
    const struct mio_value *about = mio_get_z(v, "packages"), *e = mio_get_z(v, "environments");
    struct mio_str name = environment.n ? environment : MIO_STR("default");
    e = e ? mio_get(*e, name) : NULL;
    e = e ? mio_get_z(*e, "packages") : NULL;
    e = e ? mio_get_z(*e, r->platform) : NULL;
    if (!e || e->type != MIO_LIST || !about || about->type != MIO_LIST)
        return mio_fail(r->err, MIO_TEMPLATE, "it has no environment %.*s for %s", MIO_FMT(name),
                        r->platform);
    struct mio_index index;
    mio_index_init(&index, r->a, about->n);
    for (uint32_t i = 0; i < about->n; i++)
        mio_index_set(&index, url_of(about->items[i]), (uintptr_t)&about->items[i]);
    for (uint32_t i = 0; i < e->n; i++) {
        uintptr_t at = 0;
        struct mio_str url = url_of(e->items[i]);
        if (!mio_index_get(&index, url, &at))
            return mio_fail(r->err, MIO_TEMPLATE, "it says nothing of %.*s", MIO_FMT(url));
        const struct mio_value *p = (const struct mio_value *)at;
        if (add(r, url, mio_get_str(*p, "sha256"), mio_get_str(*p, "md5")))
            return r->err->code;
    }
    return MIO_OK;
}

static enum mio_code read_lock(struct reader *r, const struct mio_env_spec *spec,
                               struct mio_str text)
{
    struct mio_value v;
    if (mio_str_find(text, '@') >= 0 && memmem(text.p, text.n, "@EXPLICIT", 9))
        return read_explicit(r, text);
    if (mio_env_yaml(r->a, text, &v, r->err))
        return r->err->code;
    const struct mio_value *packages = mio_get_z(v, "package"),
                           *conda = mio_get_z(spec->body, "conda");
    if (mio_get_z(v, "environments"))
        return read_pixi(r, v, mio_get_str(*conda, "environment"));
    if (packages && packages->type == MIO_LIST)
        return read_conda_lock(r, packages);
    return mio_fail(r->err, MIO_TEMPLATE,
                    "it is no conda-lock.yml, no pixi.lock and no list that begins with @EXPLICIT");
}

/* A package that only MD5 names: what came is compared with that, and pinned by SHA-256. */
static enum mio_code check_md5(struct reader *r, const struct mio_env_store *s, size_t i)
{
    struct mio_str text;
    uint8_t sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    if (mio_fs_read(r->a, mio_env_store_blob(r->a, s, r->items[i].sha256), 2u << 30, &text, NULL,
                    r->err))
        return r->err->code;
    if (!EVP_Digest(text.p, text.n, sum, &n, EVP_md5(), NULL))
        return mio_fail(r->err, MIO_IO, "OpenSSL has no MD5 here");
    mio_hex(sum, n, hex);
    return mio_str_is(r->md5[i], hex)
               ? MIO_OK
               : mio_fail(r->err, MIO_IO, "%.*s: MD5 is %s, not %.*s", MIO_FMT(r->items[i].file),
                          hex, MIO_FMT(r->md5[i]));
}

static enum mio_code fetch(struct reader *r, const struct mio_env_store *s,
                           const struct mio_env_spec *spec)
{
    struct mio_env_download *d = MIO_NEW_N(r->a, struct mio_env_download, r->n + 1);
    for (size_t i = 0; i < r->n; i++)
        d[i] = (struct mio_env_download){
            .url = mio_env_is_conda(&r->items[i])
                       ? mio_env_conda_url(r->a, spec->body, r->items[i].url)
                       : r->items[i].url,
            .sha256 = r->items[i].sha256};
    if (mio_env_download(r->a, s, d, r->n, r->err))
        return r->err->code;
    for (size_t i = 0; i < r->n; i++) {
        r->items[i].sha256 = d[i].sha256;
        r->items[i].size = d[i].size;
        if (r->md5[i].n && check_md5(r, s, i))
            return r->err->code;
    }
    return MIO_OK;
}

enum mio_code mio_env_conda_resolve(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_spec *spec, const char *dir,
                                    struct mio_env_wheel **out, size_t *n, struct mio_err *err)
{
    struct reader r = {.a = a,
                       .platform = mio_str_is(spec->arch, "arm64") ? "linux-aarch64" : "linux-64",
                       .err = err};
    struct mio_str text;
    bool found = false;
    *n = 0;
    if (!spec->conda.n)
        return MIO_OK;
    const char *path = mio_path_join(a, mio_str_z(dir), spec->conda).p;
    if (mio_fs_read(a, path, MAX_LOCK, &text, &found, err))
        return err->code;
    if (!found)
        return mio_fail(err, MIO_TEMPLATE, "conda.from: %s is not there", path);
    if (read_lock(&r, spec, text)) {
        mio_err_wrap(err, "%.*s", MIO_FMT(spec->conda));
        return mio_err_hint(err,
                            "lock for %s with conda-lock, pixi or 'conda list --explicit "
                            "--sha256'; of several environments conda.environment names one",
                            r.platform);
    }
    if (fetch(&r, s, spec))
        return mio_err_wrap(err, "%.*s", MIO_FMT(spec->conda));
    if (!r.n)
        return mio_fail(err, MIO_TEMPLATE, "%.*s names nothing for %s", MIO_FMT(spec->conda),
                        r.platform);
    *out = r.items;
    *n = r.n;
    return MIO_OK;
}
