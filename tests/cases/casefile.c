/* tests/cases/casefile.c: reads case files, runs them, compares to the byte. */
#include "tests/cases/casefile.h"
#include "providers/sdk/fs.h"
#include <unistd.h>

const struct mio_section *mio_case_section(const struct mio_case *c, const char *word)
{
    for (size_t i = 0; i < c->n; i++)
        if (mio_str_is(c->sections[i].word, word))
            return &c->sections[i];
    return NULL;
}

struct mio_str mio_case_text(const struct mio_case *c, const char *word)
{
    const struct mio_section *s = mio_case_section(c, word);
    return !s ? (struct mio_str){0} : s->text.n ? s->text : s->arg;
}

struct cases {
    struct mio_case *items;
    size_t n, cap;
};

static struct mio_str next_line(struct mio_str *rest)
{
    ptrdiff_t nl = mio_str_find(*rest, '\n');
    struct mio_str line = mio_str_sub(*rest, 0, nl < 0 ? rest->n : (size_t)nl + 1);
    *rest = mio_str_sub(*rest, line.n, rest->n);
    return line;
}

/* `--- file a b \` to its word, argument and whether the last newline is dropped. */
static bool section_head(struct mio_str line, struct mio_section *s)
{
    struct mio_str head = mio_str_trim(mio_str_sub(line, 4, line.n));
    bool chop = mio_str_ends(head, "\\");
    if (chop)
        head = mio_str_trim(mio_str_sub(head, 0, head.n - 1));
    ptrdiff_t blank = mio_str_find(head, ' ');
    *s = (struct mio_section){.word = head};
    if (blank > 0) {
        s->word = mio_str_sub(head, 0, (size_t)blank);
        s->arg = mio_str_trim(mio_str_sub(head, (size_t)blank, head.n));
    }
    return chop;
}

static void read_cases(struct mio_arena *a, struct mio_str text, struct cases *out)
{
    struct mio_section *open = NULL;
    bool chop = false;
    while (text.n) {
        struct mio_str line = next_line(&text);
        bool title = mio_str_starts(line, "=== "), head = mio_str_starts(line, "--- ");
        if ((title || head || !text.n) && open) {
            if (!title && !head)
                open->text.n += line.n;
            open->text.n -= chop && open->text.n;
        }
        if (title) {
            struct mio_case *c = &MIO_PUSH(a, out->items, out->n, out->cap);
            *c = (struct mio_case){.arena = a, .title = mio_str_trim(mio_str_sub(line, 4, line.n))};
            open = NULL;
        } else if (head && out->n) {
            struct mio_case *c = &out->items[out->n - 1];
            open = &MIO_PUSH(a, c->sections, c->n, c->cap);
            chop = section_head(line, open);
            open->text.p = text.p;
        } else if (open && text.n) {
            open->text.n += line.n;
        }
    }
}

static bool write_file(struct mio_arena *a, struct mio_str folder, const struct mio_section *s)
{
    struct mio_err err = {0};
    struct mio_str path = mio_path_join(a, folder, s->arg);
    const char *dir = mio_arena_z(a, mio_path_dir(path));
    if (mio_fs_mkdirs(dir, 0700, &err) == MIO_OK &&
        mio_fs_replace(mio_arena_z(a, path), s->text, 0600, &err) == MIO_OK)
        return true;
    fprintf(stderr, "%.*s: %s\n", MIO_FMT(path), err.message);
    return false;
}

static bool run_case(struct mio_case *c, void (*run)(struct mio_case *, struct mio_buf *),
                     struct mio_buf *out)
{
    char *folder = mio_arena_z(c->arena, MIO_STR("/tmp/mio-case-XXXXXX"));
    struct mio_err err = {0};
    if (!mkdtemp(folder)) {
        perror(folder);
        return false;
    }
    bool good = true;
    c->folder = mio_str_z(folder);
    for (size_t i = 0; i < c->n && good; i++)
        if (mio_str_is(c->sections[i].word, "file"))
            good = write_file(c->arena, c->folder, &c->sections[i]);
    if (good)
        run(c, out);
    mio_fs_remove_tree(folder, &err);
    return good;
}

/* What was printed, with the case's own folder (another one each time) as DIR. */
static struct mio_str steady(struct mio_arena *a, struct mio_str s, struct mio_str folder)
{
    MIO_AUTO_BUF b = {0};
    for (size_t i = 0; i < s.n;) {
        bool here = mio_str_eq(mio_str_sub(s, i, folder.n), folder);
        mio_buf_str(&b, here ? MIO_STR("DIR") : mio_str_sub(s, i, 1));
        i += here ? folder.n : 1;
    }
    return mio_arena_str(a, mio_buf_view(&b));
}

/* The case as it would be written with the output that was seen. */
static void write_back(struct mio_buf *b, const struct mio_case *c, struct mio_str seen)
{
    mio_buf_printf(b, "=== %.*s\n", MIO_FMT(c->title));
    for (size_t i = 0; i < c->n; i++) {
        const struct mio_section *s = &c->sections[i];
        if (mio_str_is(s->word, "expect"))
            continue;
        bool chopped = s->text.n && s->text.p[s->text.n - 1] != '\n';
        mio_buf_printf(b, "--- %.*s%s%.*s%s\n%.*s%s", MIO_FMT(s->word), s->arg.n ? " " : "",
                       MIO_FMT(s->arg), chopped ? " \\" : "", MIO_FMT(s->text),
                       chopped ? "\n" : "");
    }
    mio_buf_printf(b, "--- expect\n%.*s", MIO_FMT(seen));
}

static int run_file(struct mio_arena *a, const char *path,
                    void (*run)(struct mio_case *, struct mio_buf *), size_t *total)
{
    struct mio_err err = {0};
    struct mio_str text;
    struct cases cases = {0};
    int failed = 0;
    if (mio_fs_read(a, path, 16 << 20, &text, NULL, &err) != MIO_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    read_cases(a, text, &cases);
    MIO_AUTO_BUF updated = {0};
    for (size_t i = 0; i < cases.n; i++) {
        MIO_AUTO_BUF out = {0};
        struct mio_case *c = &cases.items[i];
        bool good = run_case(c, run, &out);
        struct mio_str seen = steady(a, mio_buf_view(&out), c->folder);
        struct mio_str want = mio_case_text(c, "expect");
        write_back(&updated, c, seen);
        ++*total;
        if (good && mio_str_eq(seen, want))
            continue;
        failed++;
        fprintf(stderr, "%s: %.*s\n--- expected\n%.*s--- got\n%.*s\n", path, MIO_FMT(c->title),
                MIO_FMT(want), MIO_FMT(seen));
    }
    if (failed && getenv("MIO_CASES_UPDATE") &&
        mio_fs_replace(path, mio_buf_view(&updated), 0644, &err) != MIO_OK)
        fprintf(stderr, "%s\n", err.message);
    return failed + !cases.n;
}

int mio_cases_run(const char *folder, void (*run)(struct mio_case *c, struct mio_buf *out))
{
    struct mio_arena a;
    struct mio_err err = {0};
    struct mio_str *names;
    size_t n, total = 0;
    int failed = 0;
    const char *source = getenv("MIO_SOURCE");
    mio_arena_init(&a);
    struct mio_str dir = mio_arena_printf(&a, "%s/tests/cases/%s", source ? source : ".", folder);
    if (mio_fs_list(&a, dir.p, &names, &n, &err) != MIO_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        if (mio_str_ends(names[i], ".case"))
            failed += run_file(&a, mio_path_join(&a, dir, names[i]).p, run, &total);
    mio_arena_free(&a);
    printf("%zu cases, %d failed\n", total, failed);
    return failed || !total;
}
