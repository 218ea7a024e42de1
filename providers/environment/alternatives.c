/* providers/environment/alternatives.c: update-alternatives --install, read from the scripts: the
 * highest priority wins, the links lie under /etc/alternatives, the register under
 * /var/lib/dpkg/alternatives. */
#include "providers/environment/static.h"
#include "providers/sdk/buf.h"

struct link {
    struct mio_str link, name, path;
};
struct choice { /* one --install */
    struct link master;
    int64_t priority;
    struct link *slaves;
    size_t n, cap;
};
struct all {
    struct mio_arena *a;
    struct choice *items;
    size_t n, cap;
};

/* One command of a script: continuation lines joined, quotes taken off. */
static struct mio_str *words_of(struct mio_arena *a, struct mio_str *text, size_t *count)
{
    struct mio_str *words = NULL, line, word;
    size_t n = 0, cap = 0;
    bool more = true;
    while (more && mio_env_line(text, &line)) {
        line = mio_str_trim(line);
        more = line.n && line.p[line.n - 1] == '\\';
        if (more)
            line.n--;
        while (mio_env_word(&line, &word)) {
            if (word.p[0] == '#' && !n)
                break;
            if (word.n > 1 && (word.p[0] == '"' || word.p[0] == '\'') &&
                word.p[word.n - 1] == word.p[0])
                word = mio_str_sub(word, 1, word.n - 2);
            MIO_PUSH(a, words, n, cap) = word;
        }
    }
    *count = n;
    return words;
}

static bool shell_only(const struct mio_str *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_find(w[i], '$') >= 0 || mio_str_find(w[i], '`') >= 0)
            return true;
    return false;
}

static struct mio_str relative(struct mio_str path)
{
    return mio_str_sub(path, mio_str_starts(path, "/"), path.n);
}

/* Words after update-alternatives. */
static bool take(struct all *all, const struct mio_str *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!mio_str_is(w[i], "--install"))
            continue;
        struct mio_str number;
        struct choice c = {0};
        if (n - i < 5 || shell_only(w + i, 5))
            return false;
        number = w[i + 4];
        while (number.n && strchr(";)&|", number.p[number.n - 1]))
            number.n--;
        c.master = (struct link){w[i + 1], w[i + 2], w[i + 3]};
        if (!mio_str_i64(number, &c.priority))
            return false;
        for (size_t k = i + 5; k + 3 < n && mio_str_is(w[k], "--slave"); k += 4) {
            if (shell_only(w + k, 4))
                return false;
            MIO_PUSH(all->a, c.slaves, c.n, c.cap) = (struct link){w[k + 1], w[k + 2], w[k + 3]};
        }
        MIO_PUSH(all->a, all->items, all->n, all->cap) = c;
    }
    return true;
}

static bool read_script(struct all *all, struct mio_str text)
{
    while (text.n) {
        size_t n = 0;
        struct mio_str *w = words_of(all->a, &text, &n);
        for (size_t i = 0; i < n; i++)
            if (mio_str_ends(w[i], "update-alternatives") && !take(all, w + i + 1, n - i - 1))
                return false;
    }
    return true;
}

static int by_name(const void *x, const void *y)
{
    const struct choice *a = x, *b = y;
    int c = mio_str_cmp(a->master.name, b->master.name);
    if (c)
        return c;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return mio_str_cmp(a->master.path, b->master.path);
}

static void put_link(struct mio_env_view *v, struct mio_env_tree *made, const struct link *l,
                     int64_t mtime)
{
    struct mio_str place = relative(l->link);
    static const char *const merged[] = {"bin/", "sbin/", "lib/"};
    if (!mio_env_view_follow(v, relative(l->path)).entry)
        return;
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
        if (mio_str_starts(place, merged[i]))
            place = mio_arena_printf(v->arena, "usr/%.*s", MIO_FMT(place));
    struct mio_str middle = mio_arena_printf(v->arena, "etc/alternatives/%.*s", MIO_FMT(l->name));
    mio_env_tree_symlink(made, middle, l->path, mtime);
    mio_env_tree_symlink(made, place, mio_arena_printf(v->arena, "/%.*s", MIO_FMT(middle)), mtime);
}

/* dpkg's register: status, link, slaves, an empty line, then every choice. */
static enum mio_code put_register(struct mio_env_view *v, struct mio_env_tree *made,
                                  const struct choice *c, size_t n, int64_t mtime,
                                  struct mio_err *err)
{
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    mio_buf_printf(&b, "auto\n%.*s\n", MIO_FMT(c->master.link));
    for (size_t i = 0; i < c->n; i++)
        mio_buf_printf(&b, "%.*s\n%.*s\n", MIO_FMT(c->slaves[i].name), MIO_FMT(c->slaves[i].link));
    mio_buf_char(&b, '\n');
    for (size_t k = 0; k < n; k++) {
        mio_buf_printf(&b, "%.*s\n%lld\n", MIO_FMT(c[k].master.path), (long long)c[k].priority);
        for (size_t i = 0; i < c->n; i++) {
            struct mio_str path = {0};
            for (size_t j = 0; j < c[k].n; j++)
                if (mio_str_eq(c[k].slaves[j].name, c->slaves[i].name))
                    path = c[k].slaves[j].path;
            mio_buf_printf(&b, "%.*s\n", MIO_FMT(path));
        }
    }
    mio_buf_char(&b, '\n');
    return mio_env_tree_file(
        made, mio_arena_printf(v->arena, "var/lib/dpkg/alternatives/%.*s", MIO_FMT(c->master.name)),
        0644, mtime, mio_buf_view(&b), err);
}

enum mio_code mio_env_alternatives(struct mio_env_view *v, int64_t mtime,
                                   bool (*accepted)(const void *arg, struct mio_str package),
                                   const void *arg, struct mio_env_tree *made, struct mio_err *err)
{
    struct all all = {.a = v->arena};
    for (size_t i = 0; i < v->n; i++)
        if (!read_script(&all, v->cells[i].about.postinst) && !accepted(arg, v->cells[i].name)) {
            mio_fail(err, MIO_REALITY,
                     "package %.*s calls update-alternatives in a way that only its script knows",
                     MIO_FMT(v->cells[i].name));
            return mio_err_hint(err, "run scripts with scripts: sandbox, or list the package under "
                                     "debian.accept_scripts when its alternatives are not needed");
        }
    if (all.n)
        qsort(all.items, all.n, sizeof *all.items, by_name);
    for (size_t i = 0, next; i < all.n; i = next) {
        const struct choice *c = &all.items[i];
        for (next = i + 1; next < all.n && mio_str_eq(all.items[next].master.name, c->master.name);)
            next++;
        if (!mio_env_view_follow(v, relative(c->master.path)).entry)
            continue;
        put_link(v, made, &c->master, mtime);
        for (size_t k = 0; k < c->n; k++)
            put_link(v, made, &c->slaves[k], mtime);
        if (put_register(v, made, c, next - i, mtime, err))
            return err->code;
    }
    return MIO_OK;
}
