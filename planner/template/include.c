/* planner/template/include.c: `include:`: files named by pattern (* ? [...] in a name, ** for any
 * folders between). */
#include "planner/template/load.h"
#include "providers/sdk/fs.h"
#include <fnmatch.h>

struct raw_include {
    struct mio_str files, prefix;
    bool expand;
};
struct walk {
    struct mio_load *load;
    MIO_BLOCKS(struct mio_str) found; /* below the folder where the walk began */
    bool full;
};
enum { DEEPEST = 32 };

static bool is_pattern(struct mio_str s)
{
    return mio_str_find(s, '*') >= 0 || mio_str_find(s, '?') >= 0 || mio_str_find(s, '[') >= 0;
}

static void walk(struct walk *w, struct mio_str dir, struct mio_str shown, struct mio_str pattern,
                 int depth);

/* An entry of the folder that the first part of the pattern matches. */
static void step(struct walk *w, struct mio_str dir, struct mio_str shown, struct mio_str name,
                 struct mio_str rest, int depth)
{
    struct mio_arena *a = w->load->arena;
    struct mio_str path = mio_path_join(a, dir, name);
    struct mio_str below =
        shown.n ? mio_arena_printf(a, "%.*s/%.*s", MIO_FMT(shown), MIO_FMT(name)) : name;
    const char *z = mio_arena_z(a, path);
    if (rest.n)
        walk(w, path, below, rest, depth + 1);
    else if (mio_fs_exists(z) && !mio_fs_is_dir(z))
        MIO_PUSH(a, w->found.items, w->found.n, w->found.cap) = below;
}

static void walk(struct walk *w, struct mio_str dir, struct mio_str shown, struct mio_str pattern,
                 int depth)
{
    struct mio_arena *a = w->load->arena;
    ptrdiff_t slash = mio_str_find(pattern, '/');
    struct mio_str head = slash < 0 ? pattern : mio_str_sub(pattern, 0, (size_t)slash);
    struct mio_str rest =
        slash < 0 ? (struct mio_str){0} : mio_str_sub(pattern, (size_t)slash + 1, pattern.n);
    bool any = mio_str_is(head, "**");
    const char *glob = mio_arena_z(a, head), *z = mio_arena_z(a, dir);
    struct mio_err err = {0};
    struct mio_str *names;
    size_t n;
    w->full = w->full || depth > DEEPEST || w->found.n > MIO_TPL_MAX_FILES;
    if (w->full)
        return;
    if (!is_pattern(head)) {
        step(w, dir, shown, head, rest, depth);
        return;
    }
    if (any && rest.n)
        walk(w, dir, shown, rest, depth + 1);
    if (!mio_fs_is_dir(z) || mio_fs_list(a, z, &names, &n, &err) != MIO_OK)
        return;
    for (size_t i = 0; i < n && !w->full; i++) {
        if (any && names[i].p[0] != '.' && mio_fs_is_dir(mio_path_join(a, dir, names[i]).p))
            step(w, dir, shown, names[i], pattern, depth);
        else if (!any && !fnmatch(glob, names[i].p, FNM_PERIOD))
            step(w, dir, shown, names[i], rest, depth);
    }
}

static int by_name(const void *a, const void *b)
{
    return mio_str_cmp(*(const struct mio_str *)a, *(const struct mio_str *)b);
}

/* Links must not lead a module's files out of the module. */
static bool stays_inside(struct mio_load *l, struct mio_str dir, struct mio_str path)
{
    char *root = realpath(mio_arena_z(l->arena, dir), NULL);
    char *real = realpath(mio_arena_z(l->arena, path), NULL);
    size_t n = root ? strlen(root) : 0;
    bool good = root && real && !strncmp(root, real, n) && real[n] == '/';
    free(root);
    free(real);
    return good;
}

/* Length of the folders in front that are no pattern: they do not go into names. */
static size_t literal_folders(struct mio_str s)
{
    size_t end = 0;
    for (size_t i = 0; i < s.n && !is_pattern(mio_str_sub(s, 0, i + 1)); i++)
        end = s.p[i] == '/' ? i + 1 : end;
    return end;
}

static void add(struct mio_scope_load *s, const struct raw_include *in, struct mio_pos pos)
{
    struct mio_load *l = s->load;
    struct walk w = {.load = l};
    bool absolute = mio_str_starts(in->files, "/"), up = false;
    for (struct mio_str rest = in->files; rest.n && !up;) {
        ptrdiff_t slash = mio_str_find(rest, '/');
        up = mio_str_is(mio_str_sub(rest, 0, slash < 0 ? rest.n : (size_t)slash), "..");
        rest = slash < 0 ? (struct mio_str){0} : mio_str_sub(rest, (size_t)slash + 1, rest.n);
    }
    if (absolute || (up && s->prefix.n)) {
        mio_tpl_error(l, pos, "write it as seen from the folder of the template",
                      absolute ? "an absolute path cannot be included"
                               : "a module cannot include files from outside its folder");
        return;
    }
    if (++l->nincludes > MIO_TPL_MAX_INCLUDES) {
        mio_tpl_error(l, pos, "let one pattern match more files",
                      "more than %d patterns to include", MIO_TPL_MAX_INCLUDES);
        return;
    }
    walk(&w, s->t->dir, (struct mio_str){0}, in->files, 0);
    if (!w.found.n || w.full) {
        mio_tpl_error(l, pos,
                      "patterns begin at the folder of the template; ** stands for any folders",
                      w.full ? "`%.*s` matches too many files" : "`%.*s` matches no file",
                      MIO_FMT(in->files));
        return;
    }
    size_t skip = literal_folders(in->files);
    qsort(w.found.items, w.found.n, sizeof *w.found.items, by_name);
    for (size_t i = 0; i < w.found.n; i++) {
        struct mio_str path = mio_path_join(l->arena, s->t->dir, w.found.items[i]);
        if (i && mio_str_eq(w.found.items[i], w.found.items[i - 1]))
            continue;
        if (s->prefix.n && !stays_inside(l, s->t->dir, path))
            mio_tpl_error(l, pos, NULL, "`%.*s` leads out of the module",
                          MIO_FMT(w.found.items[i]));
        else
            mio_tpl_add_file(s, mio_tpl_file(l, path, pos, in->expand),
                             mio_str_sub(w.found.items[i], skip, w.found.items[i].n), in->prefix);
    }
}

void mio_tpl_include(struct mio_scope_load *s, const struct mio_entry *top)
{
    static const struct mio_tpl_key keys[] = {
        MIO_TPL_NEED(raw_include, "files", MIO_WANT_TEXT, files),
        MIO_TPL_KEY(raw_include, "expand", MIO_WANT_BOOL, expand),
        MIO_TPL_KEY(raw_include, "prefix", MIO_WANT_TEXT, prefix),
    };
    if (!mio_tpl_is_seq(s->load, top->value, MIO_STR("`include`")))
        return;
    if (s->including == MIO_TPL_MAX_DEPTH) {
        mio_tpl_error(s->load, top->key_pos, NULL, "files include each other more than %d deep",
                      MIO_TPL_MAX_DEPTH);
        return;
    }
    s->including++;
    for (size_t i = 0; i < top->value->n; i++) {
        const struct mio_node *n = top->value->items[i], *files = mio_node_get(n, "files");
        struct raw_include in = {0};
        if (n->type == MIO_NODE_SCALAR && !n->expr && n->text.n) {
            in.files = n->text;
            add(s, &in, n->pos);
        } else if (mio_tpl_read(s->load, n, "this item of `include`", n->pos, keys, 3, &in)) {
            add(s, &in, files->pos);
        }
    }
    s->including--;
}
