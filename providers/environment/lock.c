/* providers/environment/lock.c: the lock file, read, written, compared. */
#include "providers/environment/base_image.h"
#include "providers/environment/conda.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"

enum { MAX_LOCK = 64 << 20 };

/* The brackets of a key become a dot, and what files are not named with a number. */
struct mio_str mio_env_file_name(struct mio_arena *a, struct mio_str name)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    bool quoted = false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || (c == '.' && !quoted);
        if (c == '"')
            quoted = !quoted;
        else if (plain)
            mio_buf_char(&b, c);
        else if (c == '[' && !quoted)
            mio_buf_char(&b, '.');
        else if (c != ']' || quoted)
            mio_buf_printf(&b, "%%%02X", (unsigned)(unsigned char)c);
        if (c == '\\' && quoted && i + 1 < name.n) /* what is escaped stands for itself */
            mio_buf_printf(&b, "%%%02X", (unsigned)(unsigned char)name.p[++i]);
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

const char *mio_env_lock_path(struct mio_arena *a, const char *dir, struct mio_str name)
{
    const char *kind = mio_str_starts(name, "module.") ? "" : "environment.";
    return mio_arena_printf(a, "%s/%s%.*s.lock.json", dir, kind,
                            MIO_FMT(mio_env_file_name(a, name)))
        .p;
}

struct column {
    const char *key;
    size_t offset;
};
#define COLUMN(type, member)                   \
    {                                          \
#member, offsetof(struct type, member) \
    }
static const struct column package_columns[] = {
    COLUMN(mio_env_package, name),  COLUMN(mio_env_package, version),
    COLUMN(mio_env_package, arch),  COLUMN(mio_env_package, source),
    COLUMN(mio_env_package, path),  COLUMN(mio_env_package, sha256),
    COLUMN(mio_env_package, suite), COLUMN(mio_env_package, source_version),
};
static const struct column wheel_columns[] = {
    COLUMN(mio_env_wheel, name),
    COLUMN(mio_env_wheel, version),
    COLUMN(mio_env_wheel, file),
    COLUMN(mio_env_wheel, sha256),
};
#define N(array) (sizeof(array) / sizeof *(array))

static struct mio_value put_row(struct mio_arena *a, const void *row, const struct column *columns,
                                size_t n, uint64_t size)
{
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct mio_str *s =
            (const struct mio_str *)(const void *)((const char *)row + columns[i].offset);
        pairs[i] = (struct mio_pair){mio_str_z(columns[i].key), mio_string(*s)};
    }
    pairs[n] = (struct mio_pair){MIO_STR("size"), mio_number_i64(a, (int64_t)size)};
    return mio_map(pairs, n + 1);
}

static bool get_row(struct mio_value v, void *row, const struct column *columns, size_t n,
                    uint64_t *size)
{
    for (size_t i = 0; i < n; i++) {
        struct mio_str *s = (struct mio_str *)(void *)((char *)row + columns[i].offset);
        *s = mio_get_str(v, columns[i].key);
        if (!s->n)
            return false;
    }
    int64_t number = mio_get_i64(v, "size", -1);
    *size = (uint64_t)number;
    return number >= 0;
}

static struct mio_value put_wheel(struct mio_arena *a, const struct mio_env_wheel *w)
{
    struct mio_value v = put_row(a, w, wheel_columns, N(wheel_columns), w->size);
    if (w->url.n)
        v = mio_map_with(a, v, MIO_STR("url"), mio_string(w->url));
    return mio_is_null(w->built) ? v : mio_map_with(a, v, MIO_STR("built"), w->built);
}

static struct mio_value to_value(struct mio_arena *a, const struct mio_env_lock *l, bool sealed)
{
    struct mio_value *packages = MIO_NEW_N(a, struct mio_value, l->n_packages + 1),
                     *wheels = MIO_NEW_N(a, struct mio_value, l->n_wheels + 1);
    for (size_t i = 0; i < l->n_packages; i++)
        packages[i] =
            put_row(a, &l->packages[i], package_columns, N(package_columns), l->packages[i].size);
    size_t n_wheels = 0; /* conda's packages stand behind the wheels */
    for (size_t i = 0; i < l->n_wheels; i++) {
        wheels[i] = put_wheel(a, &l->wheels[i]);
        n_wheels += !mio_env_is_conda(&l->wheels[i]);
    }
    struct mio_pair rows[] = {
        {MIO_STR("format"), mio_number_i64(a, MIO_ENV_LOCK_FORMAT)},
        {MIO_STR("name"), mio_string(l->name)},
        {MIO_STR("inputs"), mio_string(l->inputs)},
        {MIO_STR("suite"), mio_string(l->suite)},
        {MIO_STR("arch"), mio_string(l->arch)},
        {MIO_STR("epoch"), mio_number_i64(a, l->epoch)},
        {MIO_STR("indices"), l->indices},
        {MIO_STR("packages"), mio_list(packages, l->n_packages)},
        {MIO_STR("wheels"), mio_list(wheels, n_wheels)},
        {MIO_STR("conda"), mio_list(wheels + n_wheels, l->n_wheels - n_wheels)},
        {MIO_STR("files"), l->files},
        {MIO_STR("sources"), l->sources},
        {MIO_STR("config"), l->config},
        {MIO_STR("sealed"), sealed ? l->sealed : mio_null()},
    };
    struct mio_pair *pairs = MIO_NEW_N(a, struct mio_pair, N(rows) + 2);
    size_t n = N(rows);
    memcpy(pairs, rows, sizeof rows);
    if (!mio_is_null(l->image)) /* locks of packages alone stay as they were */
        pairs[n++] = (struct mio_pair){MIO_STR("image"), l->image};
    if (!mio_is_null(l->build))
        pairs[n++] = (struct mio_pair){MIO_STR("build"), l->build};
    return mio_map(pairs, n);
}

struct mio_str mio_env_lock_text(struct mio_arena *a, const struct mio_env_lock *lock, bool sealed)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_json_pretty(&b, to_value(a, lock, sealed), MIO_JSON_PLAIN);
    if (!b.n || b.p[b.n - 1] != '\n')
        mio_buf_char(&b, '\n');
    return mio_arena_str(a, mio_buf_view(&b));
}

enum mio_code mio_env_lock_write(struct mio_arena *a, const char *path,
                                 const struct mio_env_lock *lock, struct mio_err *err)
{
    return mio_fs_replace(path, mio_env_lock_text(a, lock, true), 0644, err);
}

static bool sound_hex(struct mio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdef", s.p[i]))
            return false;
    return s.n == 64;
}

static bool read_wheel(struct mio_value v, struct mio_env_wheel *w)
{
    const struct mio_value *built = mio_get_z(v, "built");
    w->url = mio_get_str(v, "url");
    w->built = built ? *built : mio_null();
    return !get_row(v, w, wheel_columns, N(wheel_columns), &w->size) || !sound_hex(w->sha256) ||
           mio_str_find(w->file, '/') >= 0;
}

static enum mio_code read_rows(struct mio_arena *a, struct mio_value v, struct mio_env_lock *l,
                               struct mio_err *err)
{
    const struct mio_value *packages = mio_get_z(v, "packages"), *wheels = mio_get_z(v, "wheels"),
                           *conda = mio_get_z(v, "conda");
    if (conda && conda->type != MIO_LIST)
        conda = NULL;
    if (!packages || packages->type != MIO_LIST || !wheels || wheels->type != MIO_LIST)
        return mio_fail(err, MIO_STATE, "it has no list of packages");
    l->packages = MIO_NEW_N(a, struct mio_env_package, packages->n + 1u);
    l->wheels = MIO_NEW_N(a, struct mio_env_wheel, wheels->n + (conda ? (size_t)conda->n : 0) + 1u);
    for (uint32_t i = 0; i < packages->n; i++) {
        struct mio_env_package *p = &l->packages[l->n_packages++];
        if (!get_row(packages->items[i], p, package_columns, N(package_columns), &p->size) ||
            !sound_hex(p->sha256))
            return mio_fail(err, MIO_STATE, "package %u is incomplete", i + 1);
    }
    for (size_t k = 0; k < 2; k++)
        for (uint32_t i = 0; k ? conda && i < conda->n : i < wheels->n; i++)
            if (read_wheel(k ? conda->items[i] : wheels->items[i], &l->wheels[l->n_wheels++]))
                return mio_fail(err, MIO_STATE, "wheel %zu is incomplete", l->n_wheels);
    return MIO_OK;
}

static enum mio_code from_value(struct mio_arena *a, struct mio_value v, struct mio_env_lock *l,
                                struct mio_err *err)
{
    int64_t format = mio_get_i64(v, "format", 0);
    if (format != MIO_ENV_LOCK_FORMAT)
        return mio_fail(err, MIO_STATE, "its format is %lld, this program reads %d",
                        (long long)format, MIO_ENV_LOCK_FORMAT);
    *l = (struct mio_env_lock){
        .name = mio_get_str(v, "name"),
        .inputs = mio_get_str(v, "inputs"),
        .suite = mio_get_str(v, "suite"),
        .arch = mio_get_str(v, "arch"),
        .epoch = mio_get_i64(v, "epoch", -1),
    };
    struct {
        const char *key;
        struct mio_value *to;
    } parts[] = {{"indices", &l->indices}, {"files", &l->files}, {"sources", &l->sources},
                 {"config", &l->config},   {"image", &l->image}, {"build", &l->build},
                 {"sealed", &l->sealed}};
    for (size_t i = 0; i < N(parts); i++) {
        const struct mio_value *part = mio_get_z(v, parts[i].key);
        *parts[i].to = part ? *part : mio_null();
    }
    if (!l->name.n || !sound_hex(l->inputs) || !l->arch.n || l->epoch < 0)
        return mio_fail(err, MIO_STATE, "name, inputs, arch or epoch is missing");
    const struct mio_value *bases = mio_get_z(l->build, "bases");
    bool whole = mio_env_base_sound(l->image) && (mio_is_null(l->build) || bases);
    for (uint32_t i = 0; bases && bases->type == MIO_LIST && i < bases->n; i++)
        whole &= bases->items[i].type == MIO_MAP && mio_env_base_sound(bases->items[i]);
    if (!whole)
        return mio_fail(err, MIO_STATE, "its image is incomplete");
    return read_rows(a, v, l, err);
}

enum mio_code mio_env_lock_read(struct mio_arena *a, const char *path, struct mio_env_lock *out,
                                bool *found, struct mio_err *err)
{
    struct mio_str text;
    struct mio_value v;
    bool there = true;
    if (mio_fs_read(a, path, MAX_LOCK, &text, &there, err))
        return err->code;
    if (found)
        *found = there;
    if (!there)
        return MIO_OK;
    if (mio_json_read(a, text, NULL, &v, err) || from_value(a, v, out, err)) {
        mio_err_wrap(err, "%s", path);
        return mio_err_hint(err, "take the last version from git, or remove it and run 'env lock'");
    }
    return MIO_OK;
}

bool mio_env_keeps(const struct mio_env_keep *k, struct mio_str name)
{
    for (size_t i = 0; i < k->n_names; i++)
        if (mio_str_eq(k->names[i], name))
            return false;
    return k->old && !k->all;
}

static int order_wheels(const struct mio_env_wheel *x, const struct mio_env_wheel *y)
{
    int c = mio_env_is_conda(x) - mio_env_is_conda(y);
    return c ? c : mio_str_cmp(x->name, y->name);
}

/* Two lists of {name, version}, both sorted by name. */
static void diff_named(struct mio_value x, struct mio_value y, struct mio_buf *out)
{
    uint32_t i = 0, k = 0, n = x.type == MIO_LIST ? x.n : 0, m = y.type == MIO_LIST ? y.n : 0;
    while (i < n || k < m) {
        struct mio_str p = i < n ? mio_get_str(x.items[i], "name") : (struct mio_str){0},
                       q = k < m ? mio_get_str(y.items[k], "name") : (struct mio_str){0},
                       v = i < n ? mio_get_str(x.items[i], "version") : (struct mio_str){0},
                       w = k < m ? mio_get_str(y.items[k], "version") : (struct mio_str){0};
        int c = i == n ? 1 : k == m ? -1 : mio_str_cmp(p, q);
        if (c < 0)
            mio_buf_printf(out, "- %.*s %.*s of the image\n", MIO_FMT(p), MIO_FMT(v));
        else if (c > 0)
            mio_buf_printf(out, "+ %.*s %.*s of the image\n", MIO_FMT(q), MIO_FMT(w));
        else if (!mio_str_eq(v, w))
            mio_buf_printf(out, "~ %.*s %.*s -> %.*s of the image\n", MIO_FMT(p), MIO_FMT(v),
                           MIO_FMT(w));
        i += c <= 0;
        k += c >= 0;
    }
}

static void diff_image(struct mio_value x, struct mio_value y, struct mio_buf *out)
{
    const struct mio_value *p = mio_get_z(x, "packages"), *q = mio_get_z(y, "packages");
    struct mio_str was = mio_get_str(x, "manifest"), is = mio_get_str(y, "manifest"),
                   from = mio_get_str(x, "reference"), to = mio_get_str(y, "reference");
    if (mio_str_eq(was, is) && mio_str_eq(from, to))
        return;
    if (!was.n || !is.n)
        mio_buf_printf(out, "%c image %.*s %.*s\n", was.n ? '-' : '+', MIO_FMT(was.n ? from : to),
                       MIO_FMT(was.n ? was : is));
    else
        mio_buf_printf(out, "~ image %.*s %.*s -> %.*s%s%.*s\n", MIO_FMT(from), MIO_FMT(was),
                       MIO_FMT(mio_str_eq(from, to) ? MIO_STR("") : to),
                       mio_str_eq(from, to) ? "" : " ", MIO_FMT(is));
    diff_named(p ? *p : mio_null(), q ? *q : mio_null(), out);
}

/* The images that a Dockerfile begins with, by their references. */
static void diff_bases(struct mio_value x, struct mio_value y, struct mio_buf *out)
{
    const struct mio_value *p = mio_get_z(x, "bases"), *q = mio_get_z(y, "bases");
    for (int side = 0; side < 2; side++) {
        const struct mio_value *from = side ? q : p, *to = side ? p : q;
        for (uint32_t i = 0; from && i < from->n; i++) {
            struct mio_value other = mio_null();
            for (uint32_t k = 0; to && k < to->n; k++)
                if (mio_str_eq(mio_get_str(from->items[i], "reference"),
                               mio_get_str(to->items[k], "reference")))
                    other = to->items[k];
            if (mio_is_null(other) || !side)
                diff_image(side ? other : from->items[i], side ? from->items[i] : other, out);
        }
    }
}

bool mio_env_lock_diff(const struct mio_env_lock *a, const struct mio_env_lock *b,
                       struct mio_buf *out)
{
    size_t i = 0, k = 0, before = out->n;
    diff_image(a->image, b->image, out);
    diff_bases(a->build, b->build, out);
    while (i < a->n_packages || k < b->n_packages) {
        const struct mio_env_package *x = &a->packages[i], *y = &b->packages[k];
        int c = i == a->n_packages ? 1 : k == b->n_packages ? -1 : mio_str_cmp(x->name, y->name);
        if (c < 0)
            mio_buf_printf(out, "- %.*s %.*s\n", MIO_FMT(x->name), MIO_FMT(x->version));
        else if (c > 0)
            mio_buf_printf(out, "+ %.*s %.*s\n", MIO_FMT(y->name), MIO_FMT(y->version));
        else if (!mio_str_eq(x->sha256, y->sha256))
            mio_buf_printf(out, "~ %.*s %.*s -> %.*s\n", MIO_FMT(x->name), MIO_FMT(x->version),
                           MIO_FMT(y->version));
        i += c <= 0;
        k += c >= 0;
    }
    for (i = k = 0; i < a->n_wheels || k < b->n_wheels;) {
        const struct mio_env_wheel *x = &a->wheels[i], *y = &b->wheels[k];
        int c = i == a->n_wheels ? 1 : k == b->n_wheels ? -1 : order_wheels(x, y);
        const char *what = mio_env_is_conda(c > 0 ? y : x) ? "conda" : "wheel";
        if (c < 0)
            mio_buf_printf(out, "- %s %.*s %.*s\n", what, MIO_FMT(x->name), MIO_FMT(x->version));
        else if (c > 0)
            mio_buf_printf(out, "+ %s %.*s %.*s\n", what, MIO_FMT(y->name), MIO_FMT(y->version));
        else if (!mio_str_eq(x->sha256, y->sha256))
            mio_buf_printf(out, "~ %s %.*s %.*s -> %.*s\n", what, MIO_FMT(x->name),
                           MIO_FMT(x->version), MIO_FMT(y->version));
        i += c <= 0;
        k += c >= 0;
    }
    return out->n > before;
}
