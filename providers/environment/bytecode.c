/* providers/environment/bytecode.c: see bytecode.h. */
#include "providers/environment/bytecode.h"
#include "providers/environment/box.h"
#include "providers/environment/build.h"
#include "providers/environment/sources.h"
#include "providers/sdk/fs.h"
#include "providers/sdk/json.h"
#include "providers/sdk/map.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { COMPILE_MS = 10 * 60 * 1000, MAX_OUTPUT = 1 << 30 };

/* The tar fragment comes in; "MTIME SIZE PATH" and the bytes go out, in the order of the paths. */
static const char program[] =
    "import sys, importlib.util as u, importlib._bootstrap_external as b\n"
    "src, out, long = sys.stdin.buffer, sys.stdout.buffer, None\n"
    "def text(p): return p.rstrip(b'\\0')\n"
    "while True:\n"
    "    h = src.read(512)\n"
    "    if len(h) < 512 or not h[0]: break\n"
    "    size, mtime = int(text(h[124:136]), 8), int(text(h[136:148]), 8)\n"
    "    body = src.read((size + 511) // 512 * 512)[:size]\n"
    "    if h[156:157] == b'x':\n"
    "        while body:\n"
    "            n = int(body.split(b' ', 1)[0])\n"
    "            key, value = body[:n - 1].split(b' ', 1)[1].split(b'=', 1)\n"
    "            if key == b'path': long = value\n"
    "            body = body[n:]\n"
    "        continue\n"
    "    path, long = long or text(h[:100]), None\n"
    "    if h[156:157] != b'0' or not path.endswith(b'.py') or b'\\n' in path: continue\n"
    "    if not path.startswith(tuple(a.encode() for a in sys.argv[1:])): continue\n"
    "    name = path.decode(errors='surrogateescape')\n"
    "    try: code = compile(body, '/' + name, 'exec', 0, True, -1)\n"
    "    except (SyntaxError, ValueError, RecursionError): continue\n"
    "    code = b._code_to_hash_pyc(code, u.source_hash(body), False)\n"
    "    folder, _, base = name.rpartition('/')\n"
    "    tag = sys.implementation.cache_tag\n"
    "    to = f'{folder}/__pycache__/{base[:-3]}.{tag}.pyc'.encode(errors='surrogateescape')\n"
    "    out.write(b'%d %d %s\\n' % (mtime, len(code), to) + bytes(code))\n";

static const struct mio_env_cell *named(const struct mio_env_cell *cells, size_t n,
                                        struct mio_str name)
{
    for (size_t i = 0; i < n; i++)
        if (mio_str_eq(cells[i].name, name) && cells[i].about.control.n)
            return &cells[i];
    return NULL;
}

/* ---- the interpreter and what it depends on ---- */

struct closure {
    struct mio_arena *a;
    const struct mio_env_cell *cells;
    size_t n;
    const char *meta; /* below which conda notes what is installed */
    struct mio_env_interpreter *out;
};

static void take_cell(struct closure *c, const struct mio_env_cell *cell);

/* False when it is there already. */
static bool add(struct closure *c, const struct mio_env_cell *cell)
{
    for (size_t i = 0; i < c->out->n; i++)
        if (mio_str_eq(c->out->cells[i].key, cell->key))
            return false;
    MIO_PUSH(c->a, c->out->cells, c->out->n, c->out->cap) = *cell;
    return true;
}

static void take_names(struct closure *c, struct mio_str field)
{
    struct mio_str word;
    char *z = mio_arena_z(c->a, field);
    for (char *p = z; *p; p++)
        *p = *p == ',' || *p == '|' ? '\n' : *p == ':' ? ' ' : *p;
    struct mio_str text = mio_str_z(z), line;
    while (mio_env_line(&text, &line))
        if (mio_env_word(&line, &word))
            take_cell(c, named(c->cells, c->n, word));
}

static void take_cell(struct closure *c, const struct mio_env_cell *cell)
{
    if (!cell || !add(c, cell))
        return;
    take_names(c, mio_env_field(cell->about.control, "Pre-Depends"));
    take_names(c, mio_env_field(cell->about.control, "Depends"));
}

static const struct mio_env_cell *find_python(struct mio_arena *a, const struct mio_env_cell *cells,
                                              size_t n, struct mio_str version,
                                              struct mio_env_interpreter *out)
{
    struct mio_str tag = {0};
    if (version.n)
        tag = mio_arena_printf(a, "python%.*s", MIO_FMT(version));
    for (size_t i = 0; i < n && !tag.n; i++) {
        const struct mio_env_entry *e = mio_env_cell_find(&cells[i], MIO_STR("usr/bin/python3"));
        if (e && e->type == MIO_ENTRY_SYMLINK && mio_str_starts(e->link, "python3."))
            tag = e->link;
    }
    struct mio_str path = mio_arena_printf(a, "usr/bin/%.*s", MIO_FMT(tag));
    out->tag = tag;
    out->path = mio_arena_printf(a, "/%.*s", MIO_FMT(path)).p;
    for (size_t i = 0; i < n && tag.n; i++)
        if (mio_env_cell_find(&cells[i], path))
            return &cells[i];
    return NULL;
}

/* What conda notes of an installed package, with the names of what it needs; NULL: no conda cell.
 */
static const struct mio_env_entry *record(const struct closure *c, const struct mio_env_cell *cell)
{
    for (size_t i = 0; i < cell->n; i++) {
        const struct mio_env_entry *e = &cell->items[i];
        if (e->type == MIO_ENTRY_FILE && mio_str_starts(e->path, c->meta))
            return e;
    }
    return NULL;
}

static enum mio_code take_conda(struct closure *c, const struct mio_env_cell *cell,
                                struct mio_err *err)
{
    struct mio_str text, word;
    struct mio_value v;
    if (!add(c, cell))
        return MIO_OK;
    if (mio_env_cell_read(c->a, cell, record(c, cell), &text, err) ||
        mio_json_read(c->a, text, NULL, &v, err))
        return mio_err_wrap(err, "conda package %.*s", MIO_FMT(cell->name));
    const struct mio_value *needs = mio_get_z(v, "depends");
    for (uint32_t i = 0; needs && needs->type == MIO_LIST && i < needs->n; i++) {
        struct mio_str need = mio_value_str(needs->items[i]);
        if (!mio_env_word(&need, &word))
            continue;
        for (size_t k = 0; k < c->n; k++)
            if (mio_str_eq(c->cells[k].name, word) && record(c, &c->cells[k]) &&
                take_conda(c, &c->cells[k], err))
                return err->code;
    }
    return MIO_OK;
}

/* Conda's Python stands on the C library of the base. */
static enum mio_code find_conda(struct closure *c, struct mio_str version, struct mio_str prefix,
                                struct mio_err *err)
{
    struct mio_arena *a = c->a;
    struct mio_str tag = mio_arena_printf(a, "python%.*s", MIO_FMT(version)),
                   path = mio_arena_printf(a, "%.*s/bin/%.*s", MIO_FMT(prefix), MIO_FMT(tag));
    c->meta = mio_arena_printf(a, "%.*s/conda-meta/", MIO_FMT(prefix)).p;
    for (size_t i = 0; i < c->n; i++) {
        if (!mio_env_cell_find(&c->cells[i], path) || !record(c, &c->cells[i]))
            continue;
        c->out->tag = tag;
        c->out->path = mio_arena_printf(a, "/%.*s", MIO_FMT(path)).p;
        c->out->folders[0] = mio_arena_printf(a, "%.*s/lib/%.*s/", MIO_FMT(prefix), MIO_FMT(tag)).p;
        if (take_conda(c, &c->cells[i], err))
            return err->code;
        take_cell(c, named(c->cells, c->n, MIO_STR("libc6")));
    }
    return MIO_OK;
}

static int by_name(const void *x, const void *y)
{
    return mio_str_cmp(((const struct mio_env_cell *)x)->name,
                       ((const struct mio_env_cell *)y)->name);
}

enum mio_code mio_env_interpreter_find(struct mio_arena *a, const struct mio_env_cell *cells,
                                       size_t n, struct mio_str version, struct mio_str conda,
                                       struct mio_env_interpreter *out, struct mio_err *err)
{
    *out = (struct mio_env_interpreter){0};
    struct closure c = {.a = a, .cells = cells, .n = n, .out = out};
    MIO_AUTO_BUF b;
    mio_buf_init(&b, 0);
    if (conda.n && find_conda(&c, version, conda, err))
        return err->code;
    if (!out->n) {
        take_cell(&c, find_python(a, cells, n, version, out));
        out->folders[0] = "usr/lib/python3/";
        out->folders[1] = mio_arena_printf(a, "usr/lib/%.*s/", MIO_FMT(out->tag)).p;
        out->folders[2] = mio_arena_printf(a, "usr/local/lib/%.*s/", MIO_FMT(out->tag)).p;
    }
    if (!out->n) {
        out->path = NULL;
        return MIO_OK;
    }
    qsort(out->cells, out->n, sizeof *out->cells, by_name);
    for (size_t i = 0; i < out->n; i++)
        mio_buf_printf(&b, "%.*s\n", MIO_FMT(out->cells[i].key));
    out->key = mio_env_sha256(a, mio_buf_view(&b));
    return MIO_OK;
}

enum mio_code mio_env_interpreter_make(struct mio_arena *a, const struct mio_env_store *s,
                                       struct mio_env_interpreter *p, struct mio_err *err)
{
    static const char *const folders[] = {"proc", "dev", "tmp"};
    static const char *const merged[] = {"bin", "lib", "lib64"};
    struct mio_env_image im = {.cells = p->cells, .n_cells = p->n};
    const char *root = mio_env_store_tmp(a, s);
    if (mio_env_root(a, &im, root, err))
        return err->code;
    p->root = root;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mio_fs_mkdirs(mio_arena_printf(a, "%s/%s", root, folders[i]).p, 0755, err))
            return err->code;
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
        if (symlink(mio_arena_printf(a, "usr/%s", merged[i]).p,
                    mio_arena_printf(a, "%s/%s", root, merged[i]).p) &&
            errno != EEXIST)
            return mio_fail_sys(err, errno, "cannot make a link in %s", root);
    return MIO_OK;
}

void mio_env_interpreter_free(const struct mio_env_interpreter *p)
{
    struct mio_err ignored = {0};
    if (p->root)
        mio_fs_remove_tree(p->root, &ignored);
}

/* ---- one package ---- */

static bool is_module(struct mio_str path, const char *const *folders)
{
    bool found = mio_str_ends(path, ".py");
    for (size_t i = 0; found && folders[i]; i++)
        if (mio_str_starts(path, folders[i]))
            return true;
    return false;
}

static enum mio_code write_plain(void *arg, const void *p, size_t n, bool *enough,
                                 struct mio_err *err)
{
    (void)enough;
    return mio_fs_write_all(*(const int *)arg, p, n, "a package's files", err);
}

static int spare_file(struct mio_arena *a, const struct mio_env_store *s, struct mio_err *err)
{
    const char *path = mio_env_store_tmp(a, s);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        mio_fail_sys(err, errno, "cannot make %s", path);
    else
        unlink(path);
    return fd;
}

static enum mio_code compile(struct mio_arena *a, const struct mio_env_interpreter *python,
                             const struct mio_env_cell *of, int in, int out, struct mio_err *err)
{
    static const char *const variables[] = {"PYTHONHASHSEED", "0", "LC_ALL", "C.UTF-8", NULL};
    const char *const *folders = python->folders;
    const char *argv[] = {python->path, "-S",       "-B",       "-s",       "-c",
                          program,      folders[0], folders[1], folders[2], NULL};
    struct mio_env_box box = {.root = python->root,
                              .variables = variables,
                              .argv = argv,
                              .in = in,
                              .out = out,
                              .ms = COMPILE_MS,
                              .without = "bytecode: false"};
    MIO_AUTO_BUF said;
    mio_buf_init(&said, 4096);
    int status = 0;
    if (mio_env_unzstd(of->path, 0, write_plain, &in, err))
        return err->code;
    if (lseek(in, 0, SEEK_SET))
        return mio_fail_sys(err, errno, "cannot read a package's files");
    if (mio_env_box_run(a, &box, &said, &status, err) || !status)
        return err->code;
    mio_fail(err, MIO_REALITY, "%s cannot compile it: %.*s", python->path,
             MIO_FMT(mio_str_trim(mio_buf_view(&said))));
    return mio_err_hint(err, "an interpreter runs on its own architecture alone; with bytecode: "
                             "false the environment is built without");
}

/* What the interpreter wrote, as entries; folders once. */
static enum mio_code collect(struct mio_env_tree *t, struct mio_str text, struct mio_err *err)
{
    struct mio_index folders;
    mio_index_init(&folders, t->arena, 64);
    while (text.n) {
        struct mio_str line, mtime, size, path;
        uint64_t at = 0, n = 0;
        if (!mio_env_line(&text, &line) || !mio_env_word(&line, &mtime) ||
            !mio_env_word(&line, &size) || !mio_str_u64(mtime, &at) || !mio_str_u64(size, &n) ||
            n > text.n || !mio_env_path(t->arena, mio_str_trim(line), &path))
            return mio_fail(err, MIO_REALITY, "its byte-code cannot be read");
        struct mio_str folder = mio_arena_str(t->arena, mio_path_dir(path));
        if (mio_index_add(&folders, folder, 1))
            mio_env_tree_dir(t, folder, 0755, (int64_t)at);
        if (mio_env_tree_file(t, path, 0644, (int64_t)at, mio_str_sub(text, 0, (size_t)n), err))
            return err->code;
        text = mio_str_sub(text, (size_t)n, text.n);
    }
    mio_env_tree_sort(t);
    return mio_env_tree_check(t, err);
}

static enum mio_code make(struct mio_arena *a, const struct mio_env_store *s,
                          const struct mio_env_interpreter *python, const struct mio_env_cell *of,
                          struct mio_str key, struct mio_env_cell *out, struct mio_err *err)
{
    struct mio_str text;
    struct mio_arena scratch;
    struct mio_env_tree t;
    const char *path = mio_env_store_tmp(a, s);
    int in = spare_file(a, s, err), to = -1;
    mio_arena_init(&scratch);
    mio_env_tree_init(&t, a, s);
    if (!err->code) {
        to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (to < 0)
            mio_fail_sys(err, errno, "cannot make %s", path);
        else if (!compile(a, python, of, in, to, err) &&
                 !mio_fs_read(&scratch, path, MAX_OUTPUT, &text, NULL, err) &&
                 !collect(&t, text, err))
            mio_env_cell_put(a, s, key, &t, NULL, out, err);
        unlink(path);
    }
    for (size_t i = 0; i < 2; i++)
        if ((i ? in : to) >= 0)
            close(i ? in : to);
    mio_env_tree_free(&t);
    mio_arena_free(&scratch);
    return err->code;
}

enum mio_code mio_env_cell_bytecode(struct mio_arena *a, const struct mio_env_store *s,
                                    const struct mio_env_interpreter *python,
                                    const struct mio_env_cell *of, struct mio_env_cell *out,
                                    bool *missing, struct mio_err *err)
{
    bool found = false;
    *out = (struct mio_env_cell){0};
    for (size_t i = 0; i < of->n && !found; i++)
        found =
            of->items[i].type == MIO_ENTRY_FILE && is_module(of->items[i].path, python->folders);
    if (!found)
        return MIO_OK;
    struct mio_str key =
        mio_env_sha256(a, mio_arena_printf(a, "bytecode %d zstd %.*s %.*s", MIO_ENV_CELL_FORMAT,
                                           MIO_FMT(python->key), MIO_FMT(of->key)));
    if (mio_env_cell_load(a, s, key, NULL, &found, out, err))
        return err->code;
    if (!found && !python->root) {
        *missing = true;
        return MIO_OK;
    }
    if (!found && make(a, s, python, of, key, out, err))
        return mio_err_wrap(err, "byte-code of %.*s", MIO_FMT(of->name));
    out->name = of->name;
    out->group = of->group;
    return MIO_OK;
}
