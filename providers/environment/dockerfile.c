/* providers/environment/dockerfile.c: see dockerfile.h. */
#include "providers/environment/dockerfile.h"
#include "providers/environment/sources.h"
#include "providers/sdk/clock.h"
#include "providers/sdk/digest.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 4 << 20 };

/* ---- what it begins with ---- */

struct file {
    struct mio_arena *a;
    struct mio_env_pair *args; /* ARG before the first FROM: name and default */
    struct mio_str *images, *stages;
    size_t n_args, args_cap, n_images, images_cap, n_stages, stages_cap;
    unsigned line;
    struct mio_err *err;
};

static bool among(const struct mio_str *list, size_t n, struct mio_str s)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_ieq(list[i], s))
            return true;
    return false;
}

static struct mio_str default_of(const struct file *f, struct mio_str name)
{
    for (size_t i = f->n_args; i-- > 0;)
        if (mio_str_eq(f->args[i].key, name))
            return f->args[i].value;
    return (struct mio_str){0};
}

/* $NAME, ${NAME} and ${NAME:-default} */
static struct mio_str expand(const struct file *f, struct mio_str s)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 4096);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '$') {
            mio_buf_char(&b, s.p[i]);
            continue;
        }
        bool braced = i + 1 < s.n && s.p[i + 1] == '{';
        size_t from = i + 1 + braced, n = 0;
        while (from + n < s.n &&
               (s.p[from + n] == '_' || (s.p[from + n] >= '0' && s.p[from + n] <= '9') ||
                ((s.p[from + n] | 32) >= 'a' && (s.p[from + n] | 32) <= 'z')))
            n++;
        struct mio_str value = default_of(f, mio_str_sub(s, from, n)), other = {0};
        i = from + n - 1;
        if (braced) {
            struct mio_str rest = mio_str_sub(s, from + n, s.n);
            ptrdiff_t end = mio_str_find(rest, '}');
            if (mio_str_starts(rest, ":-") && end > 1)
                other = mio_str_sub(rest, 2, (size_t)end - 2);
            i += end < 0 ? rest.n : (size_t)end + 1;
        }
        mio_buf_str(&b, value.n ? value : other);
    }
    return mio_arena_str(f->a, mio_buf_view(&b));
}

static struct mio_str unquoted(struct mio_str s)
{
    return s.n > 1 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0]
               ? mio_str_sub(s, 1, s.n - 2)
               : s;
}

/* An image, unless it is a stage (by name or number) or nothing at all. */
static enum mio_code take_image(struct file *f, struct mio_str raw)
{
    struct mio_str name = expand(f, unquoted(raw));
    uint64_t number;
    if (mio_str_is(name, "scratch") || among(f->stages, f->n_stages, name) ||
        mio_str_u64(name, &number) || among(f->images, f->n_images, name))
        return MIO_OK;
    if (!name.n || mio_str_find(name, '$') >= 0) {
        mio_fail(f->err, MIO_TEMPLATE, "line %u: %.*s names no image", f->line, MIO_FMT(raw));
        return mio_err_hint(f->err, "give the argument a default: ARG NAME=VALUE before the first "
                                    "FROM");
    }
    MIO_PUSH(f->a, f->images, f->n_images, f->images_cap) = name;
    return MIO_OK;
}

static enum mio_code take_from(struct file *f, struct mio_str rest)
{
    struct mio_str word, image = {0};
    while (mio_env_word(&rest, &word) && mio_str_starts(word, "--"))
        word.n = 0;
    image = word;
    if (!image.n)
        return mio_fail(f->err, MIO_TEMPLATE, "line %u: FROM names no image", f->line);
    if (take_image(f, image))
        return f->err->code;
    if (mio_env_word(&rest, &word) && mio_str_ieq(word, MIO_STR("as")) &&
        mio_env_word(&rest, &word))
        MIO_PUSH(f->a, f->stages, f->n_stages, f->stages_cap) = word;
    return MIO_OK;
}

/* --from=IMAGE of COPY and ADD, from=IMAGE of RUN --mount. */
static enum mio_code take_sources(struct file *f, struct mio_str rest)
{
    struct mio_str word;
    while (mio_env_word(&rest, &word) && mio_str_starts(word, "--")) {
        if (mio_str_starts(word, "--from=") && take_image(f, mio_str_sub(word, 7, word.n)))
            return f->err->code;
        const char *from =
            mio_str_starts(word, "--mount=") ? memmem(word.p, word.n, ",from=", 6) : NULL;
        if (!from)
            continue;
        struct mio_str image = mio_str_sub(word, (size_t)(from - word.p) + 6, word.n);
        ptrdiff_t comma = mio_str_find(image, ',');
        if (take_image(f, mio_str_sub(image, 0, comma < 0 ? image.n : (size_t)comma)))
            return f->err->code;
    }
    return MIO_OK;
}

static enum mio_code take_line(struct file *f, struct mio_str line)
{
    struct mio_str word;
    if (!mio_env_word(&line, &word))
        return MIO_OK;
    if (mio_str_ieq(word, MIO_STR("from")))
        return take_from(f, line);
    if (mio_str_ieq(word, MIO_STR("copy")) || mio_str_ieq(word, MIO_STR("add")) ||
        mio_str_ieq(word, MIO_STR("run")))
        return take_sources(f, line);
    bool before = !f->n_images && !f->n_stages;
    if (!mio_str_ieq(word, MIO_STR("arg")) || !before || !mio_env_word(&line, &word))
        return MIO_OK;
    ptrdiff_t eq = mio_str_find(word, '=');
    if (eq > 0)
        MIO_PUSH(f->a, f->args, f->n_args, f->args_cap) =
            (struct mio_env_pair){mio_str_sub(word, 0, (size_t)eq),
                                  expand(f, unquoted(mio_str_sub(word, (size_t)eq + 1, word.n)))};
    return MIO_OK;
}

enum mio_code mio_env_dockerfile_bases(struct mio_arena *a, struct mio_str text,
                                       struct mio_str **out, size_t *n, struct mio_err *err)
{
    struct file f = {.a = a, .err = err};
    struct mio_str line;
    MIO_AUTO_BUF whole;
    mio_buf_init(&whole, MAX_FILE);
    while (mio_env_line(&text, &line)) {
        struct mio_str trimmed = mio_str_trim(line);
        f.line++;
        if (trimmed.n && trimmed.p[0] == '#') /* within a continued line too */
            continue;
        bool goes_on = trimmed.n && trimmed.p[trimmed.n - 1] == '\\';
        mio_buf_str(&whole, goes_on ? mio_str_sub(trimmed, 0, trimmed.n - 1) : trimmed);
        mio_buf_char(&whole, ' ');
        if (goes_on)
            continue;
        if (take_line(&f, mio_arena_str(a, mio_buf_view(&whole))))
            return err->code;
        mio_buf_reset(&whole);
    }
    *out = f.images;
    *n = f.n_images;
    return MIO_OK;
}

/* ---- locking ---- */

static const char *file_of(struct mio_arena *a, const struct mio_env_spec *spec, const char *dir)
{
    return mio_path_join(a, mio_path_join(a, mio_str_z(dir), spec->context), spec->dockerfile).p;
}

/* As it was locked, when it can still be had. */
static bool kept(struct mio_arena *a, const struct mio_env_store *s,
                 const struct mio_env_spec *spec, struct mio_str reference, const char *dir,
                 const struct mio_env_keep *keep, struct mio_value *out)
{
    const struct mio_value *bases = keep->old ? mio_get_z(keep->old->build, "bases") : NULL;
    struct mio_env_build_opts o = {.store = s, .dir = dir};
    struct mio_err gone = {0};
    for (uint32_t i = 0; bases && bases->type == MIO_LIST && i < bases->n; i++)
        if (mio_str_eq(mio_get_str(bases->items[i], "reference"), reference) &&
            mio_env_keeps(keep, MIO_STR("image")) && mio_str_eq(keep->old->arch, spec->arch) &&
            !mio_env_base_fetch(a, &o, spec->name, bases->items[i], &gone)) {
            *out = bases->items[i];
            return true;
        }
    return false;
}

enum mio_code mio_env_dockerfile_lock(struct mio_arena *a, const struct mio_env_store *s,
                                      const struct mio_env_spec *spec, const char *dir,
                                      const struct mio_env_keep *keep, struct mio_env_lock *l,
                                      struct mio_err *err)
{
    struct mio_str text, *names;
    size_t n;
    bool found = true;
    const char *path = file_of(a, spec, dir);
    if (mio_fs_read(a, path, MAX_FILE, &text, &found, err))
        return err->code;
    if (!found) {
        mio_fail(err, MIO_TEMPLATE, "%s is not there", path);
        return mio_err_hint(err, "build.path names the folder, build.dockerfile_path a file in it");
    }
    if (mio_env_dockerfile_bases(a, text, &names, &n, err))
        return mio_err_wrap(err, "%s", path);
    struct mio_value *bases = MIO_NEW_N(a, struct mio_value, n + 1), config;
    for (size_t i = 0; i < n; i++) {
        if ((!kept(a, s, spec, names[i], dir, keep, &bases[i]) &&
             mio_env_base_find(a, s, names[i], spec->arch, dir, &bases[i], err)) ||
            mio_env_base_config(a, s, bases[i], &config, err))
            return mio_err_wrap(err, "%s", path);
        int64_t created = mio_env_base_created(a, config);
        l->epoch = created > l->epoch ? created : l->epoch;
    }
    struct mio_pair *p = MIO_NEW(a, struct mio_pair);
    *p = (struct mio_pair){MIO_STR("bases"), mio_list(bases, n)};
    l->build = mio_map(p, 1);
    return MIO_OK;
}

/* ---- building ---- */

/* What COPY takes over must not depend on who checked the folder out. */
static enum mio_code plain_modes(struct mio_arena *a, const char *path, struct mio_err *err)
{
    struct mio_str *names;
    size_t n;
    struct stat st;
    if (lstat(path, &st) || S_ISLNK(st.st_mode))
        return MIO_OK;
    bool folder = S_ISDIR(st.st_mode);
    if (chmod(path, folder || st.st_mode & 0100 ? 0755 : 0644))
        return mio_fail(err, MIO_IO, "cannot set the mode of %s", path);
    if (!folder)
        return MIO_OK;
    if (mio_fs_list(a, path, &names, &n, err))
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (plain_modes(a, mio_arena_printf(a, "%s/%.*s", path, MIO_FMT(names[i])).p, err))
            return err->code;
    return MIO_OK;
}

static enum mio_code copy_context(struct mio_arena *a, const struct mio_env_lock *lock,
                                  const struct mio_env_spec *spec, const char *dir, const char *to,
                                  struct mio_err *err)
{
    struct mio_str digest;
    const struct mio_value *locked = mio_get(lock->sources, spec->context);
    const char *from = mio_path_join(a, mio_str_z(dir), spec->context).p;
    if (mio_fs_copy_tree(from, to, err) || mio_digest_path(a, to, &digest, err))
        return err->code;
    if (!locked || !mio_str_eq(digest, mio_value_str(*locked))) {
        mio_fail(err, MIO_STATE, "%s has changed since the environment was locked", from);
        return mio_err_hint(err, "run 'env lock', and review the difference");
    }
    return plain_modes(a, to, err);
}

static enum mio_code list_bases(struct mio_arena *a, const struct mio_env_store *s,
                                struct mio_value bases, struct mio_env_oci **out,
                                struct mio_err *err)
{
    struct mio_env_oci *list = MIO_NEW_N(a, struct mio_env_oci, bases.n + 1u);
    for (uint32_t i = 0; i < bases.n; i++) {
        struct mio_str *hex, manifest = mio_get_str(bases.items[i], "manifest"), text;
        size_t n;
        mio_env_base_blobs(a, bases.items[i], &hex, &n);
        if (mio_env_store_text(a, s, hex[0], MAX_FILE, &text, err))
            return err->code;
        list[i] = (struct mio_env_oci){.name = mio_get_str(bases.items[i], "reference"),
                                       .manifest = text,
                                       .manifest_digest = mio_str_sub(manifest, 7, manifest.n),
                                       .blobs = hex + 1,
                                       .n_blobs = n - 1,
                                       .lent = true};
    }
    *out = list;
    return MIO_OK;
}

/* What buildah wrote in `work`, in the store, with a manifest that says nothing of the machine. */
static enum mio_code take_result(struct mio_arena *a, const struct mio_env_store *s,
                                 const char *work, const struct mio_env_lock *lock,
                                 struct mio_value *image, struct mio_err *err)
{
    struct mio_env_layer *layers;
    struct mio_value config, v;
    struct mio_str hex;
    size_t n;
    if (mio_env_base_find(a, s, MIO_STR("oci:out"), lock->arch, work, &v, err) ||
        mio_env_base_config(a, s, v, &config, err) ||
        mio_env_base_layers(a, s, v, &layers, &n, err))
        return err->code;
    v = mio_map_without(a, v, MIO_STR("reference"));
    if (mio_env_base_facts(a, layers, n, config, (struct mio_str){0}, &v, err) ||
        mio_env_manifest_of(a, s, v, &hex, err))
        return err->code;
    *image = mio_map_with(a, v, MIO_STR("manifest"),
                          mio_string(mio_arena_printf(a, "sha256:%.*s", MIO_FMT(hex))));
    return MIO_OK;
}

static enum mio_code run(struct mio_arena *a, const struct mio_env_build_opts *o,
                         const struct mio_env_lock *lock, const struct mio_env_spec *spec,
                         const char *work, struct mio_value *image, struct mio_err *err)
{
    struct mio_env_oci *bases = NULL;
    struct mio_value list = *mio_get_z(lock->build, "bases");
    const char *context = mio_arena_printf(a, "%s/context", work).p;
    if (mio_fs_mkdirs(work, 0755, err) || copy_context(a, lock, spec, o->dir, context, err) ||
        list_bases(a, o->store, list, &bases, err))
        return err->code;
    struct mio_env_buildah b = {.work = work,
                                .context = context,
                                .file = mio_path_join(a, mio_str_z(context), spec->dockerfile).p,
                                .bases = bases,
                                .n_bases = list.n,
                                .epoch = lock->epoch,
                                .network = spec->network};
    return mio_env_buildah_run(a, o->store, &b, err)
               ? err->code
               : take_result(a, o->store, work, lock, image, err);
}

static bool in_store(struct mio_arena *a, const struct mio_env_store *s, struct mio_value image)
{
    struct mio_str *hex;
    size_t n;
    if (mio_is_null(image) || !mio_env_base_sound(image))
        return false;
    mio_env_base_blobs(a, image, &hex, &n);
    for (size_t i = 0; i < n; i++)
        if (!mio_env_store_has(a, s, hex[i], 0))
            return false;
    return true;
}

enum mio_code mio_env_dockerfile_build(struct mio_arena *a, const struct mio_env_build_opts *o,
                                       const struct mio_env_lock *lock,
                                       const struct mio_env_spec *spec, struct mio_value *image,
                                       struct mio_err *err)
{
    struct mio_value below = mio_env_below(lock);
    if (!o->anew && in_store(a, o->store, below)) {
        *image = below;
        return MIO_OK;
    }
    struct mio_err ignored = {0};
    const char *work = mio_env_store_tmp(a, o->store);
    run(a, o, lock, spec, work, image, err);
    mio_fs_remove_tree(work, &ignored);
    return err->code;
}
