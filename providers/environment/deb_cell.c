/* providers/environment/deb_cell.c: a .deb as a cell: merged /usr, dpkg's files about it, its
 * scripts kept for static.h to judge. */
#include "providers/environment/cell.h"
#include "providers/environment/unpack.h"

/* /bin and its like are links into /usr on every Debian that this builder makes. */
static const char *const merged[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

static struct mio_str merge(struct mio_arena *a, struct mio_str path)
{
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++) {
        size_t n = strlen(merged[i]);
        if (mio_str_starts(path, merged[i]) && (path.n == n || path.p[n] == '/'))
            return mio_arena_printf(a, "usr/%.*s", MIO_FMT(path));
    }
    return path;
}

static const struct mio_env_entry *find(const struct mio_env_tree *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (mio_str_is(t->items[i].path, path))
            return &t->items[i];
    return NULL;
}

static enum mio_code read_control(const struct mio_env_tree *t, const char *name,
                                  struct mio_str *out, struct mio_err *err)
{
    const struct mio_env_entry *e = find(t, name);
    *out = (struct mio_str){0};
    if (!e || e->type != MIO_ENTRY_FILE)
        return MIO_OK;
    if (e->size > (8u << 20))
        return mio_fail(err, MIO_REALITY, "its %s is larger than 8 MiB", name);
    return mio_env_tree_read(t, e, out, err);
}

/* What dpkg would list: every path as the package names it. */
static struct mio_str list_of(struct mio_arena *a, const struct mio_env_tree *data)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_z(&b, "/.\n");
    for (size_t i = 0; i < data->n; i++)
        mio_buf_printf(&b, "/%.*s\n", MIO_FMT(data->items[i].path));
    return mio_arena_str(a, mio_buf_view(&b));
}

static void merge_all(struct mio_arena *a, struct mio_env_tree *data)
{
    size_t n = 0;
    for (size_t i = 0; i < data->n; i++) {
        struct mio_env_entry e = data->items[i];
        struct mio_str path = merge(a, e.path);
        if (e.type == MIO_ENTRY_SYMLINK && path.n != e.path.n && mio_str_find(e.path, '/') < 0)
            continue; /* newer suites bring the links themselves; all images have them by static.c
                       */
        if (e.type == MIO_ENTRY_HARDLINK)
            e.link = merge(a, e.link);
        e.path = path;
        data->items[n++] = e;
    }
    data->n = n;
}

/* Files under /var/lib/dpkg/info, named as dpkg names them. */
static enum mio_code add_info(struct mio_env_tree *data, const struct mio_env_tree *control,
                              struct mio_str list, const char *stem, int64_t mtime,
                              struct mio_err *err)
{
    struct mio_arena *a = data->arena;
    if (mio_env_tree_file(data, mio_arena_printf(a, "%s.list", stem), 0644, mtime, list, err))
        return err->code;
    for (size_t i = 0; i < control->n; i++) {
        const struct mio_env_entry *e = &control->items[i];
        struct mio_str text;
        if (e->type != MIO_ENTRY_FILE || mio_str_is(e->path, "control"))
            continue;
        if (read_control(control, mio_arena_z(a, e->path), &text, err) ||
            mio_env_tree_file(data, mio_arena_printf(a, "%s.%.*s", stem, MIO_FMT(e->path)),
                              e->mode & 0755, mtime, text, err))
            return err->code;
    }
    return MIO_OK;
}

static enum mio_code build(struct mio_arena *a, const struct mio_env_store *s,
                           const struct mio_env_package *p, struct mio_str key,
                           struct mio_env_tree *control, struct mio_env_tree *data,
                           struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_str stanza;
    struct mio_env_about about;
    if (mio_env_unpack_deb(mio_env_store_blob(a, s, p->sha256), control, data, err) ||
        read_control(control, "control", &stanza, err) ||
        read_control(control, "postinst", &about.postinst, err) ||
        read_control(control, "preinst", &about.preinst, err))
        return err->code;
    int64_t mtime = 0;
    const struct mio_env_entry *e = find(control, "control");
    mtime = e ? e->mtime : 0;
    bool same = mio_str_is(mio_env_field(stanza, "Multi-Arch"), "same");
    const char *stem = same ? mio_arena_printf(a, "var/lib/dpkg/info/%.*s:%.*s", MIO_FMT(p->name),
                                               MIO_FMT(p->arch))
                                  .p
                            : mio_arena_printf(a, "var/lib/dpkg/info/%.*s", MIO_FMT(p->name)).p;
    struct mio_str list = list_of(a, data);
    merge_all(a, data);
    if (add_info(data, control, list, stem, mtime, err))
        return err->code;
    mio_env_tree_sort(data);
    if (mio_env_tree_check(data, err))
        return err->code;
    about.control = mio_str_trim(stanza);
    return mio_env_cell_put(a, s, key, data, &about, out, err);
}

/* What is reviewed in a lock are names and versions; what is unpacked is chosen by the digest. */
static enum mio_code check_names(const struct mio_env_package *p, struct mio_str control,
                                 struct mio_err *err)
{
    struct mio_str name = mio_env_field(control, "Package"),
                   version = mio_env_field(control, "Version");
    if (mio_str_eq(name, p->name) && mio_str_eq(version, p->version))
        return MIO_OK;
    mio_fail(err, MIO_STATE,
             "the lock says %.*s %.*s, but the archive of that SHA-256 is %.*s %.*s",
             MIO_FMT(p->name), MIO_FMT(p->version), MIO_FMT(name), MIO_FMT(version));
    return mio_err_hint(err, "the lock was edited: take it from git, or remove it and run "
                             "'env lock'");
}

enum mio_code mio_env_cell_deb(struct mio_arena *a, const struct mio_env_store *s,
                               const struct mio_env_package *p, struct mio_env_cell *out,
                               struct mio_err *err)
{
    struct mio_str key = mio_env_sha256(
        a, mio_arena_printf(a, "deb %d zstd %.*s", MIO_ENV_CELL_FORMAT, MIO_FMT(p->sha256)));
    bool found = false;
    if (mio_env_cell_load(a, s, key, NULL, &found, out, err))
        return err->code;
    if (!found) {
        struct mio_env_tree control, data;
        mio_env_tree_init(&control, a, s);
        mio_env_tree_init(&data, a, s);
        if (!mio_env_store_sound(a, s, p->sha256, err))
            build(a, s, p, key, &control, &data, out, err);
        mio_env_tree_free(&control);
        mio_env_tree_free(&data);
        if (err->code == MIO_REALITY && !err->hint[0])
            mio_err_hint(err, "its hash is the locked one, so it was made like this: take another "
                              "version, or leave it out by debian.drop with a reason");
        if (err->code)
            return mio_err_wrap(err, "package %.*s", MIO_FMT(p->name));
    }
    out->name = p->name;
    out->group = p->source;
    return check_names(p, out->about.control, err);
}
