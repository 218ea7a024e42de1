/* providers/environment/view.c: who owns a path. */
#include "providers/environment/view.h"
#include "providers/sdk/fs.h"

struct owner {
    const struct mio_env_cell *cell;
    const struct mio_env_entry *entry;
};

static bool names(struct mio_str field, struct mio_str package)
{
    while (field.n) {
        ptrdiff_t comma = mio_str_find(field, ',');
        struct mio_str one = mio_str_sub(field, 0, comma < 0 ? field.n : (size_t)comma), word;
        field = comma < 0 ? (struct mio_str){0} : mio_str_sub(field, (size_t)comma + 1, field.n);
        if (mio_env_word(&one, &word) && mio_str_eq(word, package))
            return true;
    }
    return false;
}

static bool same(const struct mio_env_entry *a, const struct mio_env_entry *b)
{
    return a->type == b->type && a->mode == b->mode && mio_str_eq(a->sha256, b->sha256) &&
           mio_str_eq(a->link, b->link);
}

static bool has(struct mio_str text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word));
}

/* Packages that share a name above them each bring its __init__.py, alike but for a comment. */
static bool namespace_file(struct mio_env_view *v, const struct owner *o)
{
    struct mio_str text;
    struct mio_err ignored = {0};
    return mio_str_is(mio_path_base(o->entry->path), "__init__.py") && o->entry->size < 4096 &&
           !mio_env_cell_read(v->arena, o->cell, o->entry, &text, &ignored) &&
           (has(text, "extend_path(") || has(text, "declare_namespace("));
}

static bool listed(const struct mio_env_reasoned *list, size_t n, struct mio_str name)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_eq(list[i].name, name))
            return true;
    return false;
}

/* Two wheels with other files under one name: pip would let the one that comes last win. */
static enum mio_code settle_wheels(struct mio_env_view *v, const struct owner *old,
                                   const struct owner *new, struct mio_err *err)
{
    bool first = listed(v->allowed->overlap, v->allowed->n_overlap, old->cell->name),
         second = listed(v->allowed->overlap, v->allowed->n_overlap, new->cell->name);
    if (first && !second) {
        MIO_PUSH(v->arena, v->late, v->n_late, v->late_cap) =
            (struct mio_env_found){old->cell, old->entry};
        return MIO_OK;
    }
    /* byte-code lies behind its source, and goes the way of it */
    bool compiled = memmem(new->entry->path.p, new->entry->path.n, "/__pycache__/", 13) != NULL;
    if (second || compiled || (namespace_file(v, old) && namespace_file(v, new))) {
        mio_index_set(&v->index, new->entry->path, (uintptr_t) new);
        return MIO_OK;
    }
    mio_fail(err, MIO_REALITY, "wheels %.*s and %.*s both bring /%.*s, and differ",
             MIO_FMT(old->cell->name), MIO_FMT(new->cell->name), MIO_FMT(new->entry->path));
    return mio_err_hint(err, "take one of them out, or say whose files win by python.overlap: "
                             "[{ name, reason }]");
}

static enum mio_code settle(struct mio_env_view *v, const struct owner *old,
                            const struct owner *new, struct mio_err *err)
{
    const struct mio_env_entry *x = old->entry, *y = new->entry;
    if (x->type == MIO_ENTRY_DIR && y->type == MIO_ENTRY_DIR)
        return MIO_OK;
    if (!same(x, y) && !old->cell->about.control.n && !new->cell->about.control.n)
        return settle_wheels(v, old, new, err);
    if (!same(x, y) &&
        names(mio_env_field(old->cell->about.control, "Replaces"), new->cell->name)) {
        MIO_PUSH(v->arena, v->late, v->n_late, v->late_cap) = (struct mio_env_found){old->cell, x};
        return MIO_OK;
    }
    if (!same(x, y) &&
        !names(mio_env_field(new->cell->about.control, "Replaces"), old->cell->name)) {
        mio_fail(err, MIO_REALITY, "packages %.*s and %.*s both bring /%.*s, and differ",
                 MIO_FMT(old->cell->name), MIO_FMT(new->cell->name), MIO_FMT(y->path));
        return mio_err_hint(err, "drop one of them, with its reason, under debian.drop");
    }
    mio_index_set(&v->index, y->path, (uintptr_t) new);
    return MIO_OK;
}

static enum mio_code check_setuid(const struct mio_env_cell *c, const struct mio_env_entry *e,
                                  const struct mio_env_reasoned *ok, size_t n, struct mio_err *err)
{
    if (e->type != MIO_ENTRY_FILE || !(e->mode & 06000))
        return MIO_OK;
    if (listed(ok, n, c->name))
        return MIO_OK;
    mio_fail(err, MIO_REALITY, "/%.*s of package %.*s runs with another user's rights (mode %o)",
             MIO_FMT(e->path), MIO_FMT(c->name), e->mode);
    return mio_err_hint(err, "drop the package, or list it with a reason under debian.setuid");
}

static enum mio_code check_parents(const struct mio_env_view *v, struct mio_err *err)
{
    for (size_t c = 0; c < v->n; c++)
        for (size_t i = 0; i < v->cells[c].n; i++) {
            struct mio_str path = v->cells[c].items[i].path;
            for (size_t k = path.n; k-- > 1;) {
                if (path.p[k] != '/')
                    continue;
                struct mio_env_found f = mio_env_view_get(v, mio_str_sub(path, 0, k));
                if (f.entry && f.entry->type != MIO_ENTRY_DIR)
                    return mio_fail(err, MIO_REALITY,
                                    "/%.*s of package %.*s lies behind /%.*s, which package %.*s "
                                    "makes a link",
                                    MIO_FMT(path), MIO_FMT(v->cells[c].name), (int)k, path.p,
                                    MIO_FMT(f.cell->name));
                if (f.entry)
                    break; /* its own parents are checked with it */
            }
        }
    return MIO_OK;
}

enum mio_code mio_env_view_init(struct mio_env_view *v, struct mio_arena *a,
                                const struct mio_env_cell *cells, size_t n,
                                const struct mio_env_spec *allowed, struct mio_err *err)
{
    *v = (struct mio_env_view){.arena = a, .cells = cells, .n = n, .allowed = allowed};
    size_t total = 0, used = 0;
    for (size_t c = 0; c < n; c++)
        total += cells[c].n;
    struct owner *owners = MIO_NEW_N(a, struct owner, total + 1);
    mio_index_init(&v->index, a, total);
    for (size_t c = 0; c < n; c++)
        for (size_t i = 0; i < cells[c].n; i++) {
            struct owner *o = &owners[used++];
            *o = (struct owner){&cells[c], &cells[c].items[i]};
            uintptr_t old = 0;
            if (check_setuid(o->cell, o->entry, allowed->setuid, allowed->n_setuid, err))
                return err->code;
            if (!mio_index_get(&v->index, o->entry->path, &old))
                mio_index_add(&v->index, o->entry->path, (uintptr_t)o);
            else if (settle(v, (const struct owner *)old, o, err))
                return err->code;
        }
    return check_parents(v, err);
}

struct mio_env_found mio_env_view_get(const struct mio_env_view *v, struct mio_str path)
{
    uintptr_t at = 0;
    for (size_t i = 0; v->made && i < v->made->n; i++)
        if (mio_str_eq(v->made->items[i].path, path))
            return (struct mio_env_found){NULL, &v->made->items[i]};
    if (!mio_index_get(&v->index, path, &at))
        return (struct mio_env_found){0};
    const struct owner *o = (const struct owner *)at;
    return (struct mio_env_found){o->cell, o->entry};
}

struct mio_env_found mio_env_view_follow(const struct mio_env_view *v, struct mio_str path)
{
    static const char *const merged[] = {"bin/", "sbin/", "lib/", "lib64/", "lib32/"};
    for (int hops = 0; hops < 16; hops++) {
        for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
            if (mio_str_starts(path, merged[i]))
                path = mio_arena_printf(v->arena, "usr/%.*s", MIO_FMT(path));
        struct mio_env_found f = mio_env_view_get(v, path);
        if (!f.entry || f.entry->type == MIO_ENTRY_FILE || f.entry->type == MIO_ENTRY_DIR)
            return f;
        if (f.entry->type == MIO_ENTRY_HARDLINK) {
            path = f.entry->link;
            continue;
        }
        struct mio_str from = mio_arena_printf(v->arena, "/%.*s", MIO_FMT(mio_path_dir(path)));
        struct mio_str to = mio_path_join(v->arena, from, f.entry->link);
        while (to.n && to.p[0] == '/')
            to = mio_str_sub(to, 1, to.n);
        path = to;
    }
    return (struct mio_env_found){0};
}

enum mio_code mio_env_view_read(const struct mio_env_view *v, const char *path, struct mio_str *out,
                                bool *found, struct mio_err *err)
{
    struct mio_env_found f = mio_env_view_get(v, mio_str_z(path));
    *found = f.entry && f.cell && f.entry->type == MIO_ENTRY_FILE;
    return *found ? mio_env_cell_read(v->arena, f.cell, f.entry, out, err) : MIO_OK;
}
