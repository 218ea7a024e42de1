/* providers/environment/pull.c: images out of a registry, every byte checked by its digest. */
#include "providers/environment/registry_session.h"
#include "providers/sdk/alloc.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MANIFESTS                                                                                  \
    MIO_OCI_MANIFEST ", " MIO_OCI_INDEX ", application/vnd.docker.distribution.manifest.v2+json, " \
                     "application/vnd.docker.distribution.manifest.list.v2+json"

static struct mio_str hex_of(struct mio_str digest)
{
    return mio_str_starts(digest, "sha256:") ? mio_str_sub(digest, 7, digest.n)
                                             : (struct mio_str){0};
}

static bool sound(struct mio_str hex)
{
    for (size_t i = 0; i < hex.n; i++)
        if (!strchr("0123456789abcdef", hex.p[i]))
            return false;
    return hex.n == 64;
}

static struct mio_value at(struct mio_value v, const char *key)
{
    const struct mio_value *found = mio_get_z(v, key);
    return found ? *found : mio_null();
}

/* ---- manifests ---- */

/* Bytes of a manifest by tag or digest; a digest asked for must be theirs. */
static enum mio_code get_manifest(struct mio_env_session *s, struct mio_str tag,
                                  struct mio_str *text, struct mio_str *hex, bool *found)
{
    struct mio_env_exchange x;
    mio_env_exchange_init(
        &x, "GET",
        mio_env_session_url(s, mio_arena_printf(s->a, "manifests/%.*s", MIO_FMT(tag)).p));
    x.accept = MANIFESTS;
    if (!mio_env_exchange_insist(s, &x) && (*found = x.status == 200)) {
        *text = mio_arena_str(s->a, mio_buf_view(&x.answer));
        *hex = mio_env_sha256(s->a, *text);
        struct mio_str asked = hex_of(tag);
        if (asked.n && !mio_str_eq(asked, *hex))
            mio_fail(s->err, MIO_IO, "the registry gives sha256:%.*s for %.*s", MIO_FMT(*hex),
                     MIO_FMT(tag));
    }
    mio_env_exchange_free(&x);
    return s->err->code;
}

enum mio_code mio_env_remote_manifest(struct mio_arena *a, const struct mio_env_registry *r,
                                      struct mio_str *hex, bool *found, struct mio_err *err)
{
    struct mio_env_session s;
    struct mio_str text;
    *found = false;
    if (!mio_env_session_open(&s, a, r, err))
        get_manifest(&s, r->tag, &text, hex, found);
    mio_env_session_close(&s);
    return err->code;
}

struct mio_str mio_env_go_arch(struct mio_str arch)
{
    static const char *const rows[][2] = {
        {"armhf", "arm"}, {"i386", "386"}, {"ppc64el", "ppc64le"}, {"loong64", "loong64"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mio_str_is(arch, rows[i][0]))
            return mio_str_z(rows[i][1]);
    return arch;
}

enum mio_code mio_env_choose(struct mio_arena *a, struct mio_value index, struct mio_str arch,
                             struct mio_str *digest, struct mio_err *err)
{
    struct mio_value list = at(index, "manifests");
    MIO_AUTO_BUF there;
    mio_buf_init(&there, 300);
    for (uint32_t i = 0; list.type == MIO_LIST && i < list.n; i++) {
        struct mio_value platform = at(list.items[i], "platform");
        struct mio_str os = mio_get_str(platform, "os"),
                       own = mio_get_str(platform, "architecture");
        if (mio_str_is(os, "linux") && mio_str_eq(own, mio_env_go_arch(arch))) {
            *digest = mio_get_str(list.items[i], "digest");
            return MIO_OK;
        }
        if (!mio_str_is(os, "unknown")) /* attestations */
            mio_buf_printf(&there, "%s%.*s/%.*s", there.n ? ", " : "", MIO_FMT(os), MIO_FMT(own));
    }
    mio_fail(err, MIO_REALITY, "the image has nothing for linux/%.*s", MIO_FMT(arch));
    return mio_err_hint(err, "it has %.*s: say which by base.arch",
                        MIO_FMT(mio_arena_str(a, mio_buf_view(&there))));
}

/* ---- blobs ---- */

/* Asks for the rest as long as the connection breaks. */
static enum mio_code download(struct mio_env_session *s, struct mio_str hex, const char *tmp,
                              uint64_t size)
{
    struct stat st;
    const char *url =
        mio_env_session_url(s, mio_arena_printf(s->a, "blobs/sha256:%.*s", MIO_FMT(hex)).p);
    MIO_AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return mio_fail_sys(s->err, errno, "cannot make %s", tmp);
    for (unsigned tries = 0;;) {
        uint64_t before = 0;
        struct mio_env_exchange x;
        if (fstat(fd, &st))
            return mio_fail_sys(s->err, errno, "cannot look at %s", tmp);
        before = (uint64_t)st.st_size;
        if (before >= size && size)
            return MIO_OK;
        mio_env_exchange_init(&x, "GET", url);
        x.out_fd = fd;
        x.from = before;
        x.most = size;
        x.follow = true;
        enum mio_code code = mio_env_exchange_do(s, &x);
        long status = x.status;
        mio_env_exchange_free(&x);
        if (!code && status >= 400)
            return mio_fail(s->err, MIO_REALITY, "the registry does not hold sha256:%.*s",
                            MIO_FMT(hex));
        if (!code && before && status == 200 && ftruncate(fd, 0) != 0) /* it cannot go on */
            return mio_fail_sys(s->err, errno, "cannot empty %s", tmp);
        if (!code && !(before && status == 200))
            return MIO_OK;
        if (!fstat(fd, &st) && (uint64_t)st.st_size > before)
            tries = 0;
        if (code && !mio_env_session_again(s, &tries))
            return s->err->code;
    }
}

static enum mio_code pull_blob(struct mio_env_session *s, const struct mio_env_store *store,
                               struct mio_value descriptor, struct mio_env_remote *out)
{
    struct mio_str hex = hex_of(mio_get_str(descriptor, "digest")), is;
    int64_t size = mio_get_i64(descriptor, "size", -1);
    uint64_t got;
    if (!sound(hex) || size < 0)
        return mio_fail(s->err, MIO_REALITY, "the manifest names a blob without digest or size");
    MIO_PUSH(s->a, out->blobs, out->n_blobs, out->cap_blobs) = hex;
    const char *path = mio_env_store_blob(s->a, store, hex);
    if (mio_env_store_has(s->a, store, hex, (uint64_t)size))
        return MIO_OK;
    const char *tmp = mio_env_store_tmp(s->a, store);
    if (!download(s, hex, tmp, (uint64_t)size) &&
        !mio_env_file_sha256(s->a, tmp, &is, &got, s->err)) {
        if (got != (uint64_t)size || !mio_str_eq(hex, is))
            mio_fail(s->err, MIO_IO, "the registry gives sha256:%.*s (%llu bytes) for sha256:%.*s",
                     MIO_FMT(is), (unsigned long long)got, MIO_FMT(hex));
        else if (rename(tmp, path))
            mio_fail_sys(s->err, errno, "cannot move %s into the store", tmp);
    }
    if (s->err->code)
        unlink(tmp);
    else
        out->fetched++;
    return s->err->code;
}

/* ---- images ---- */

static enum mio_code find_image(struct mio_env_session *s, struct mio_str arch,
                                struct mio_env_remote *out, struct mio_value *manifest)
{
    struct mio_str tag = s->r->tag;
    for (int depth = 0; depth < 2; depth++) {
        if (get_manifest(s, tag, &out->manifest, &out->manifest_digest, &out->found) || !out->found)
            return s->err->code;
        if (mio_json_read(s->a, out->manifest, NULL, manifest, s->err))
            return mio_err_wrap(s->err, "the manifest");
        if (at(*manifest, "manifests").type != MIO_LIST)
            return MIO_OK;
        if (mio_env_choose(s->a, *manifest, arch, &tag, s->err))
            return s->err->code;
    }
    return mio_fail(s->err, MIO_REALITY, "the index leads to an index");
}

static enum mio_code read_config(struct mio_env_session *s, const struct mio_env_store *store,
                                 struct mio_env_remote *out)
{
    struct mio_str text;
    if (mio_fs_read(s->a, mio_env_store_blob(s->a, store, out->config_digest), MIO_REGISTRY_ANSWER,
                    &text, NULL, s->err) ||
        mio_json_read(s->a, text, NULL, &out->config, s->err))
        return mio_err_wrap(s->err, "the image's configuration");
    out->diff_ids = at(at(out->config, "rootfs"), "diff_ids");
    return MIO_OK;
}

enum mio_code mio_env_pull(struct mio_arena *a, const struct mio_env_store *store,
                           const struct mio_env_registry *r, struct mio_str arch, bool layers,
                           struct mio_env_remote *out, struct mio_err *err)
{
    struct mio_env_session s;
    struct mio_value manifest;
    *out = (struct mio_env_remote){0};
    if (mio_env_session_open(&s, a, r, err))
        return err->code;
    if (!find_image(&s, arch, out, &manifest) && out->found) {
        out->layers = at(manifest, "layers");
        out->config_digest = hex_of(mio_get_str(at(manifest, "config"), "digest"));
        if (!mio_env_store_put(a, store, out->manifest, &out->manifest_digest, err) &&
            !pull_blob(&s, store, at(manifest, "config"), out))
            read_config(&s, store, out);
        for (uint32_t i = 0;
             layers && !err->code && out->layers.type == MIO_LIST && i < out->layers.n; i++)
            pull_blob(&s, store, out->layers.items[i], out);
    }
    mio_env_session_close(&s);
    return err->code;
}
