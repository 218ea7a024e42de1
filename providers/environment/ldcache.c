/* providers/environment/ldcache.c: the dynamic loader's cache in the format of glibc 2.x
 * ("glibc-ld.so.cache1.1"). */
#include "providers/environment/static.h"
#include "providers/sdk/buf.h"
#include "providers/sdk/fs.h"

struct file_header {
    char magic[20];
    uint32_t count, strings_size;
    uint8_t flags, pad[3];
    uint32_t extension, unused[3];
};
struct file_entry {
    int32_t flags;
    uint32_t key, value, os;
    uint64_t hwcap;
};
_Static_assert(sizeof(struct file_header) == 48 && sizeof(struct file_entry) == 24,
               "glibc's layout");

struct lib {
    struct mio_str key, value;
    unsigned flags;
};
struct libs {
    struct mio_arena *a;
    struct lib *items;
    size_t n, cap;
    struct mio_str *folders;
    size_t n_folders, folders_cap;
};

static unsigned long number(const struct mio_str *s, size_t *i)
{
    unsigned long v = 0;
    while (*i < s->n && s->p[*i] >= '0' && s->p[*i] <= '9')
        v = v * 10 + (unsigned long)(s->p[(*i)++] - '0');
    return v;
}

/* The loader's own order: runs of digits count as numbers and sort after other characters. */
static int loader_cmp(struct mio_str a, struct mio_str b)
{
    size_t i = 0, k = 0;
    while (i < a.n) {
        bool da = a.p[i] >= '0' && a.p[i] <= '9', db = k < b.n && b.p[k] >= '0' && b.p[k] <= '9';
        if (da && db) {
            unsigned long x = number(&a, &i), y = number(&b, &k);
            if (x != y)
                return x < y ? -1 : 1;
        } else if (da || db)
            return da ? 1 : -1;
        else if (k == b.n || a.p[i] != b.p[k])
            return k < b.n && a.p[i] < b.p[k] ? -1 : 1;
        else {
            i++;
            k++;
        }
    }
    return k < b.n ? -1 : 0;
}

static int descending(const void *x, const void *y)
{
    const struct lib *a = x, *b = y;
    int c = loader_cmp(b->key, a->key);
    return c ? c : mio_str_cmp(a->value, b->value);
}

static void add_folder(struct libs *l, struct mio_str folder)
{
    folder = mio_str_sub(folder, 1, folder.n); /* absolute by the caller's check */
    static const char *const merged[] = {"lib", "lib64"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(merged[i]);
        if (mio_str_starts(folder, merged[i]) && (folder.n == n || folder.p[n] == '/'))
            folder = mio_arena_printf(l->a, "usr/%.*s", MIO_FMT(folder));
    }
    for (size_t i = 0; i < l->n_folders; i++)
        if (mio_str_eq(l->folders[i], folder))
            return;
    MIO_PUSH(l->a, l->folders, l->n_folders, l->folders_cap) = folder;
}

/* ld.so.conf.d in byte order, then the built-in folders. */
static enum mio_code find_folders(struct mio_env_view *v, struct libs *l, struct mio_err *err)
{
    struct mio_str *confs = NULL, text, line;
    size_t n = 0, cap = 0;
    bool found;
    for (size_t c = 0; c < v->n; c++)
        for (size_t i = 0; i < v->cells[c].n; i++)
            if (mio_str_starts(v->cells[c].items[i].path, "etc/ld.so.conf.d/") &&
                mio_str_ends(v->cells[c].items[i].path, ".conf"))
                MIO_PUSH(l->a, confs, n, cap) = v->cells[c].items[i].path;
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k && mio_str_cmp(confs[k - 1], confs[k]) > 0; k--) {
            struct mio_str t = confs[k];
            confs[k] = confs[k - 1];
            confs[k - 1] = t;
        }
    for (size_t i = 0; i < n; i++) {
        if (mio_env_view_read(v, mio_arena_z(l->a, confs[i]), &text, &found, err))
            return err->code;
        while (found && mio_env_line(&text, &line))
            if (mio_str_starts(mio_str_trim(line), "/"))
                add_folder(l, mio_str_trim(line));
    }
    static const char *const fixed[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64"};
    for (size_t i = 0; i < 4; i++)
        add_folder(l, mio_str_z(fixed[i]));
    return MIO_OK;
}

static void look(struct mio_env_view *v, struct libs *l, struct mio_str folder,
                 const struct mio_env_entry *e)
{
    struct mio_str base = mio_path_base(e->path);
    if (!mio_str_eq(mio_path_dir(e->path), folder) || e->type == MIO_ENTRY_DIR ||
        !(mio_str_starts(base, "lib") || mio_str_starts(base, "ld-")) ||
        !memmem(base.p, base.n, ".so", 3))
        return;
    struct mio_env_found f = mio_env_view_follow(v, e->path);
    if (!f.entry || !f.entry->soname.n)
        return;
    struct mio_str soname = f.entry->soname;
    if (!mio_str_eq(soname, base) &&
        mio_env_view_follow(v,
                            mio_arena_printf(l->a, "%.*s/%.*s", MIO_FMT(folder), MIO_FMT(soname)))
            .entry)
        return; /* found under its own name */
    MIO_PUSH(l->a, l->items, l->n, l->cap) =
        (struct lib){soname, mio_arena_printf(l->a, "/%.*s", MIO_FMT(e->path)), f.entry->elf};
}

static enum mio_code write_cache(struct libs *l, int64_t mtime, struct mio_env_tree *made,
                                 struct mio_err *err)
{
    MIO_AUTO_BUF strings;
    MIO_AUTO_BUF b;
    mio_buf_init(&strings, 0);
    mio_buf_init(&b, 0);
    uint32_t start = (uint32_t)(sizeof(struct file_header) + l->n * sizeof(struct file_entry));
    struct file_header h = {.magic = "glibc-ld.so.cache", .count = (uint32_t)l->n, .flags = 2};
    memcpy(h.magic + 17, "1.1", 3);
    struct file_entry *entries = MIO_NEW_N(l->a, struct file_entry, l->n + 1);
    for (size_t i = 0; i < l->n; i++) {
        entries[i].flags = (int32_t)l->items[i].flags;
        entries[i].key = start + (uint32_t)strings.n;
        mio_buf_str(&strings, l->items[i].key);
        mio_buf_char(&strings, 0);
        entries[i].value = start + (uint32_t)strings.n;
        mio_buf_str(&strings, l->items[i].value);
        mio_buf_char(&strings, 0);
    }
    h.strings_size = (uint32_t)strings.n;
    mio_buf_add(&b, &h, sizeof h);
    mio_buf_add(&b, entries, l->n * sizeof *entries);
    mio_buf_add(&b, strings.p, strings.n);
    return mio_env_tree_file(made, MIO_STR("etc/ld.so.cache"), 0644, mtime, mio_buf_view(&b), err);
}

enum mio_code mio_env_ld_cache(struct mio_env_view *v, int64_t mtime, struct mio_env_tree *made,
                               struct mio_err *err)
{
    struct libs l = {.a = v->arena};
    if (find_folders(v, &l, err))
        return err->code;
    for (size_t f = 0; f < l.n_folders; f++) {
        for (size_t c = 0; c < v->n; c++)
            for (size_t i = 0; i < v->cells[c].n; i++)
                look(v, &l, l.folders[f], &v->cells[c].items[i]);
        for (size_t i = 0; i < made->n; i++)
            look(v, &l, l.folders[f], &made->items[i]);
    }
    if (l.n)
        qsort(l.items, l.n, sizeof *l.items, descending);
    return l.n ? write_cache(&l, mtime, made, err) : MIO_OK;
}
